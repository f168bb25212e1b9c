//! The event pack: what every attendee of an event holds, from its dates and tables to the keys that all of them share.
//!
//! Laws: one that exists is within every bound of [`bound`]; it holds the exact instants of opening and end, so that no device needs
//! time zone tables to know them; no text in it can steer a terminal. It is no secret among attendees and must not leave them: whoever
//! holds it reads the event's board. Signing is [`signed`]'s, the organizer's keys are [`organizer`]'s, codes and addresses [`link`]'s.

pub mod link;
pub mod organizer;
pub mod plan;
pub mod relay;
pub mod signed;

pub use link::PackLink;
pub use organizer::OrganizerKeys;
pub use relay::RelayAddress;
pub use signed::{PackError, SignedPack};

use crate::proto::secret::Key;
use crate::proto::time::{Duration, WallTime};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The bounds of a pack.
pub mod bound {
    /// Characters of the event's name and of its place: one line on a screen, three on a phone.
    pub const NAME_CHARS_MAX: usize = 120;
    /// Characters of the name of a zone of the hall, and bytes of a time zone's name.
    pub const ZONE_CHARS_MAX: usize = 40;
    /// Days from the first to the last, both counted: longer than any conference, and a pack's keys should not live longer.
    pub const DAYS_MAX: u32 = 31;
    /// Relays, in order of preference.
    pub const RELAYS_MAX: usize = 8;
    /// Bytes of one address.
    pub const URL_BYTES_MAX: usize = 200;
    /// Coarse relay buckets: at 20 rooms each this serves 20,000 rooms.
    pub const ROOM_BUCKETS_MAX: u16 = 1_000;
    /// Tables: five times the largest hall we have seen a plan of.
    pub const TABLES_MAX: usize = 5_000;
    /// Seats at one table.
    pub const SEATS_MAX: u8 = 100;
    /// How far from the plan's corner a table may stand, in metres.
    pub const PLAN_METRES_MAX: f32 = 10_000.0;
    /// Kiosks.
    pub const KIOSKS_MAX: usize = 256;
    /// Bytes of the ticket issuer's public parameters.
    pub const TICKET_ISSUER_BYTES_MAX: usize = 4_096;
}

/// An event, as its organizer describes it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EventPack {
    /// What it is called, 1 to [`bound::NAME_CHARS_MAX`] characters.
    pub name: String,
    /// Where it is, at most [`bound::NAME_CHARS_MAX`] characters.
    pub place: String,
    /// The first day.
    #[serde(with = "day")]
    pub starts: Date,
    /// The last day.
    #[serde(with = "day")]
    pub ends: Date,
    /// The IANA time zone in which the days are meant, for display.
    pub zone: String,
    /// When the first day begins there.
    pub opens_at: WallTime,
    /// When the last day is over there.
    pub ends_at: WallTime,
    /// The event's blind relays, best first; none: no online leg.
    pub relays: Vec<RelayAddress>,
    /// Opens the board's cards: all attendees hold it, the organizer too.
    pub board_key: Key,
    /// Wraps what goes to the relay and names the event's mailboxes there, so that the relay learns neither.
    pub relay_key: Key,
    /// How many coarse buckets the event's rooms share at the relay: as many as there are rooms divided by at least 20.
    pub room_buckets: u16,
    /// X25519 public key (RFC 7748) that reports are sealed to.
    pub report_key: [u8; 32],
    /// The tables, by ascending number.
    pub tables: Vec<Table>,
    /// Ed25519 public keys (RFC 8032) of the kiosks that may sell tables.
    pub kiosk_keys: Vec<[u8; 32]>,
    /// Public parameters of the ticket issuer; `None`: no tickets.
    pub ticket_issuer: Option<Vec<u8>>,
    /// Where the programme is; `None`: there is none (yet).
    pub programme: Option<Programme>,
}

/// A table in the hall.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Table {
    /// The number that stands on it; unique in the event.
    pub number: u16,
    /// How many can sit there, 1 to [`bound::SEATS_MAX`].
    pub seats: u8,
    /// The part of the hall, for people; may be empty.
    pub zone: String,
    /// Metres to the right of the plan's upper left corner.
    pub x_m: f32,
    /// Metres below the plan's upper left corner.
    pub y_m: f32,
}

/// The programme's file, which is larger than a pack should be.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Programme {
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// An `https` address.
    pub url: String,
}

/// The first field of a pack that breaks a rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{field}: {rule}")]
pub struct OutOfBounds {
    /// Which field.
    pub field: &'static str,
    /// What holds for it.
    pub rule: &'static str,
}

impl EventPack {
    /// An event that has a name, its days and an organizer, and nothing else yet: no relay, no tables, no kiosks. `None`: no such days,
    /// as in [`span`].
    pub fn bare(name: &str, starts: Date, ends: Date, zone: &TimeZone, keys: &OrganizerKeys) -> Option<EventPack> {
        let (opens_at, ends_at) = span(starts, ends, zone)?;
        Some(EventPack {
            name: name.into(),
            place: String::new(),
            starts,
            ends,
            zone: zone.iana_name().unwrap_or("UTC").into(),
            opens_at,
            ends_at,
            relays: Vec::new(),
            board_key: keys.board_key(),
            relay_key: keys.relay_key(),
            room_buckets: 1,
            report_key: keys.report_key(),
            tables: Vec::new(),
            kiosk_keys: Vec::new(),
            ticket_issuer: None,
            programme: None,
        })
    }

    /// Whether the last day is over.
    pub fn is_over(&self, wall: WallTime) -> bool {
        wall >= self.ends_at
    }

    /// Whether every field is within its bounds.
    ///
    /// # Errors
    /// [`OutOfBounds`]: the first field that is not.
    pub fn check(&self) -> Result<(), OutOfBounds> {
        let rule = |holds: bool, field, rule| if holds { Ok(()) } else { Err(OutOfBounds { field, rule }) };
        let name_rule = "one line of 1 to 120 characters, without control characters";
        rule(!self.name.trim().is_empty() && is_line(&self.name, bound::NAME_CHARS_MAX), "name", name_rule)?;
        rule(
            is_line(&self.place, bound::NAME_CHARS_MAX),
            "place",
            "one line of at most 120 characters, without control characters",
        )?;
        let is_zone = |c: u8| c.is_ascii_alphanumeric() || b"/_+-".contains(&c);
        let zone_rule = "a name of the IANA time zone database, such as Europe/Berlin";
        rule((1..=bound::ZONE_CHARS_MAX).contains(&self.zone.len()) && self.zone.bytes().all(is_zone), "zone", zone_rule)?;
        rule(days(self.starts, self.ends).is_some(), "ends", "not before the first day, and at most 31 days in all")?;
        // No zone is more than 26 h away from UTC's day; the exact check needs the zone's tables, which only the organizer needs.
        let is_near = |at: WallTime, day: Date| utc_midnight(day).is_some_and(|utc| at.since(utc).max(utc.since(at)) <= ZONE_SPAN);
        let instants = is_near(self.opens_at, self.starts)
            && self.ends.tomorrow().is_ok_and(|after| is_near(self.ends_at, after))
            && self.opens_at < self.ends_at;
        rule(instants, "opens_at", "the instants are those of the days")?;
        rule(self.relays.len() <= bound::RELAYS_MAX, "relays", "at most 8")?;
        self.relays.iter().try_for_each(|relay| relay.check().map_err(OutOfBounds::from))?;
        rule((1..=bound::ROOM_BUCKETS_MAX).contains(&self.room_buckets), "room_buckets", "1 to 1,000")?;
        self.check_tables()?;
        rule(self.kiosk_keys.len() <= bound::KIOSKS_MAX, "kiosk_keys", "at most 256")?;
        let issuer = self.ticket_issuer.as_ref().is_none_or(|issuer| (1..=bound::TICKET_ISSUER_BYTES_MAX).contains(&issuer.len()));
        rule(issuer, "ticket_issuer", "1 to 4,096 bytes")?;
        let programme = self.programme.as_ref().is_none_or(|programme| relay::is_web(&programme.url));
        rule(programme, "programme", "an https:// address of at most 200 characters")
    }

    fn check_tables(&self) -> Result<(), OutOfBounds> {
        let rule = |holds: bool, rule| if holds { Ok(()) } else { Err(OutOfBounds { field: "tables", rule }) };
        rule(self.tables.len() <= bound::TABLES_MAX, "at most 5,000")?;
        let numbers: BTreeSet<u16> = self.tables.iter().map(|table| table.number).collect();
        rule(numbers.len() == self.tables.len(), "no number twice")?;
        rule(self.tables.is_sorted_by_key(|table| table.number), "ascending numbers")?;
        let metres = -bound::PLAN_METRES_MAX..=bound::PLAN_METRES_MAX;
        self.tables.iter().try_for_each(|table| {
            rule((1..=bound::SEATS_MAX).contains(&table.seats), "1 to 100 seats each")?;
            rule(is_line(&table.zone, bound::ZONE_CHARS_MAX), "zone names of at most 40 characters")?;
            rule(metres.contains(&table.x_m) && metres.contains(&table.y_m), "at most 10,000 m from the corner")
        })
    }
}

const ZONE_SPAN: Duration = Duration::from_hours(26);

/// When the days from `starts` to `ends` begin and are over in a time zone; `None` if they are no time span within bounds.
pub fn span(starts: Date, ends: Date, zone: &TimeZone) -> Option<(WallTime, WallTime)> {
    days(starts, ends)?;
    let midnight = |day: Date| day.to_zoned(zone.clone()).ok().and_then(|at| u64::try_from(at.timestamp().as_millisecond()).ok());
    Some((WallTime(midnight(starts)?), WallTime(midnight(ends.tomorrow().ok()?)?)))
}

/// How many days, both ends counted.
fn days(starts: Date, ends: Date) -> Option<u32> {
    let days = u32::try_from(starts.until(ends).ok()?.get_days()).ok()?.checked_add(1)?;
    (1..=bound::DAYS_MAX).contains(&days).then_some(days)
}

fn utc_midnight(day: Date) -> Option<WallTime> {
    let at = day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond();
    u64::try_from(at).ok().map(WallTime)
}

/// Whether a text is one line that a terminal and a label can show as it is: no control characters, and none that turn the direction
/// of writing (Unicode TR 36, 2.1), with which a name could be made to look like another.
fn is_line(text: &str, chars_max: usize) -> bool {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().take(chars_max + 1).count() <= chars_max && !text.chars().any(|c| c.is_control() || turns(c))
}

/// A day as year, month and day.
mod day {
    use jiff::civil::Date;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(day: &Date, serializer: S) -> Result<S::Ok, S::Error> {
        (day.year(), day.month(), day.day()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Date, D::Error> {
        let (year, month, day) = Deserialize::deserialize(deserializer)?;
        Date::new(year, month, day).map_err(D::Error::custom)
    }
}

#[cfg(test)]
pub(crate) mod tests;
