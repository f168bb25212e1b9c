//! What we show on the radio, whom we hear there, and to whom a link is worth opening.
//!
//! Laws: an id is random, in memory only, and shown under one address: it rotates after a random 8–15 minutes, with a silent gap, in
//! which the links that it had are closed, so that no neighbour sees the old id and the new one at once; nothing about an id follows from
//! an earlier one; what is heard is bounded and never more than a hint. Of two devices the one with the lower id opens the link. Whoever
//! is heard is recognised once. A table of this event is visited once under each id, and to leave something; any other is left alone.
//!
//! It does not know talks: what hint to show and whom it recognises is said by others.

use super::config::{
    ADVERTISE_INTERVAL_MAX, ADVERTISE_INTERVAL_MIN, ADVERTISE_INTERVAL_PER_DEVICE, DIAL_PATIENCE, EAGER_LISTENING,
    MEMBER_PROOF_INTERVAL, NEAR_SILENCE_MAX, RADIO_CONNECT_MAX, RADIO_DIALED_MAX, RADIO_RETRY_MAX, RADIO_RETRY_MIN, ROTATION_MAX,
    ROTATION_MIN, SIGHTINGS_MAX, SILENT_GAP_MAX, SILENT_GAP_MIN, TABLE_QUIET_MAX, TABLE_VISIT_MAX,
};
use super::id::{EphemeralId, LinkId, TalkId};
use super::io::RadioCommand;
use super::rng::Rng;
use super::time::{Duration, Instant, doubled};
use super::wire::advert::{Advert, HINT_BYTES, Shower};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use tables::Tables;

/// Who was heard so often is no flood.
const TIMES_THAT_TELL: u32 = 4;

/// What the people of this device are doing, as far as it decides how much to listen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Attention {
    /// Nothing waits for anybody.
    #[default]
    Background,
    /// A talk is open.
    Talking,
    /// People gather for a talk.
    Gathering,
}

impl Attention {
    /// Scan windows of a tenth, a quarter and a half: Android's "low power", "balanced", and between that and "low latency".
    fn duty_percent(self) -> u8 {
        match self {
            Attention::Background => 10,
            Attention::Talking => 25,
            Attention::Gathering => 50,
        }
    }
}

/// How strongly somebody is heard. Bodies and pockets cost 20 dB, so that it is no distance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Band {
    /// -60 dBm and more: about as far as a table reaches.
    Close,
    /// -80 dBm and more.
    Around,
    /// Less.
    Far,
    /// The radio does not say.
    Unknown,
}

/// Somebody near.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Near {
    /// What it is.
    pub shower: Shower,
    /// How strongly it is heard.
    pub band: Band,
    /// There is a link to it.
    pub is_linked: bool,
    /// Which member of a talk of ours it is: by a proof over a link, or by the hint that it shows.
    pub member: Option<Member>,
    /// Which table of this event it is: by what it shows, which somebody may repeat elsewhere.
    pub table: Option<u16>,
}

/// Whom we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// A member of a talk of ours.
    Member(Member),
    /// The table with this number.
    Table(u16),
}

/// Somebody of a talk of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    /// Which talk.
    pub talk: TalkId,
    /// The number of its seat there.
    pub seat: u8,
}

/// The radio's part of a node.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Presence {
    own: Own,
    attention: Attention,
    /// Whoever has just come listens all the time until then.
    eager_until: Instant,
    scans: Option<u8>,
    /// Those near: heard shortly ago, or linked.
    heard: BTreeMap<EphemeralId, Sighting>,
    tables: Tables,
    links: BTreeMap<LinkId, Standing>,
    has_changed: bool,
}

/// What we show.
#[derive(Clone, Copy, Default, Debug)]
enum Own {
    /// There is no radio, or nothing to be there for.
    #[default]
    Off,
    /// Nothing: the next id comes when the gap is over.
    Gap { until: Instant },
    /// This id.
    Shown { id: EphemeralId, until: Instant },
}

#[derive(Clone, Debug)]
struct Sighting {
    shower: Shower,
    hint: [u8; HINT_BYTES],
    member: Option<Member>,
    table: Option<Numbered>,
    /// Whether what it shows was compared with whom we know.
    is_compared: bool,
    rssi_dbm: Option<i8>,
    first: Instant,
    last: Instant,
    times: u32,
    tries: u32,
    next_try: Instant,
    /// Ordered and not answered.
    tried_at: Option<Instant>,
}

/// A table that says its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Numbered {
    number: u16,
    /// No beacon shows one id for longer.
    until: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    to: Option<EphemeralId>,
    is_ours: bool,
    visit: Option<Visit>,
    member: Option<Member>,
    /// When to say again whose members we are; the handshake is over.
    next_proof: Option<Instant>,
}

/// A link to a table, for whose place others wait.
#[derive(Clone, Copy, Debug)]
struct Visit {
    since: Instant,
    /// When it brought something.
    news: Instant,
}

impl Visit {
    fn ends(&self) -> Instant {
        (self.news + TABLE_QUIET_MAX).min(self.since + TABLE_VISIT_MAX)
    }
}

impl Presence {
    /// The radio can be used from now on, or no longer.
    pub fn switch(&mut self, rng: &mut Rng, now: Instant, is_on: bool) {
        self.heard.clear();
        self.tables = Tables::default();
        (self.scans, self.has_changed, self.eager_until) = (None, true, now + EAGER_LISTENING);
        // Whoever watches must not see that what goes off here comes on again there at once.
        self.own = if is_on { Own::Gap { until: now + rng.between(Duration::ZERO, SILENT_GAP_MIN) } } else { Own::Off };
    }

    /// Whether there is a radio to use.
    pub fn is_on(&self) -> bool {
        !matches!(self.own, Own::Off)
    }

    /// The id that is shown now.
    pub fn id(&self) -> Option<EphemeralId> {
        match self.own {
            Own::Shown { id, .. } => Some(id),
            Own::Off | Own::Gap { .. } => None,
        }
    }

    /// How closely to listen from now on.
    pub fn attend(&mut self, attention: Attention) {
        self.attention = attention;
    }

    /// An advert was heard.
    pub fn hear(&mut self, now: Instant, advert: &[u8], rssi_dbm: Option<i8>) {
        let Some(Advert { shower, id, hint }) = Advert::from_bytes(advert) else { return };
        if !self.is_on() || self.id() == Some(id) {
            return;
        }
        if let Some(known) = self.heard.get_mut(&id) {
            if known.table.is_some() && (known.shower, known.hint) != (shower, hint) {
                // A table never says two things under one id: this is somebody else.
                return;
            }
            let rssi_dbm = smoothed(known.rssi_dbm, rssi_dbm);
            self.has_changed |= band(rssi_dbm) != band(known.rssi_dbm);
            known.is_compared &= (known.shower, known.hint) == (shower, hint);
            (known.shower, known.hint, known.rssi_dbm) = (shower, hint, rssi_dbm);
            (known.last, known.times) = (now, known.times.saturating_add(1));
            return;
        }
        if self.heard.len() >= SIGHTINGS_MAX {
            self.forget_some();
        }
        let sighting = Sighting {
            shower,
            hint,
            member: None,
            table: None,
            is_compared: false,
            rssi_dbm,
            first: now,
            last: now,
            times: 1,
            tries: 0,
            next_try: now,
            tried_at: None,
        };
        self.heard.insert(id, sighting);
        self.has_changed = true;
    }

    /// We know more people or tables than before: whoever is not known is compared again.
    pub fn compare_again(&mut self) {
        let is_known = |sighting: &Sighting| sighting.member.is_some() || sighting.table.is_some();
        self.heard.values_mut().for_each(|sighting| sighting.is_compared = is_known(sighting));
    }

    /// Compares whoever was not compared with whom we know. It costs some hashes for each member, so that nobody is compared twice.
    pub fn recognise(&mut self, now: Instant, mut whose: impl FnMut(&Advert) -> Option<Known>) {
        for (id, sighting) in self.heard.iter_mut().filter(|(_, sighting)| !sighting.is_compared) {
            let advert = Advert { shower: sighting.shower, id: *id, hint: sighting.hint };
            let (member, table) = match whose(&advert) {
                Some(Known::Member(member)) => (Some(member), None),
                Some(Known::Table(number)) => (None, self.tables.believe(now, *id).map(|until| Numbered { number, until })),
                None => (None, None),
            };
            self.has_changed |= (member, table) != (sighting.member, sighting.table);
            (sighting.member, sighting.table, sighting.is_compared) = (member, table, true);
        }
    }

    /// Whether who is near has changed; said once.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// A link of the radio came up: to whom we ordered it, or from somebody who has not said yet.
    pub fn link_up(&mut self, now: Instant, link: LinkId, to: Option<EphemeralId>) {
        let sighting = to.and_then(|id| self.heard.get_mut(&id));
        let visit = sighting.and_then(|sighting| {
            sighting.tried_at = None;
            sighting.table.map(|_| Visit { since: now, news: now })
        });
        self.links.insert(link, Standing { to, is_ours: to.is_some(), visit, member: None, next_proof: None });
    }

    /// The handshake of a link is over.
    pub fn shaken(&mut self, now: Instant, link: LinkId) {
        if let Some(standing) = self.links.get_mut(&link) {
            standing.next_proof = Some(now);
            if let (Some(visit), Some(id)) = (&mut standing.visit, standing.to) {
                visit.news = now;
                self.tables.visit(id);
            }
        }
    }

    /// A link has brought a parcel.
    pub fn brought(&mut self, now: Instant, link: LinkId) {
        if let Some(visit) = self.links.get_mut(&link).and_then(|standing| standing.visit.as_mut()) {
            visit.news = now;
        }
    }

    /// Something was said that is to be left at the table where we are, of several the one that is heard most strongly: it is visited once
    /// more. False if there is none, and if it has a link and hears it now.
    pub fn leave_at_table(&mut self) -> bool {
        let tables = self.heard.iter().filter(|(_, sighting)| sighting.table.is_some());
        let Some(id) = tables.max_by_key(|(_, sighting)| sighting.rssi_dbm).map(|(id, _)| *id) else { return false };
        let is_away = !self.is_linked(id);
        if is_away {
            self.tables.visit_again(id);
        }
        is_away
    }

    /// Whether it is a link to a table.
    pub fn is_visit(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|standing| standing.visit.is_some())
    }

    /// The links to tables that have nothing more for us.
    pub fn visits_over(&self, now: Instant) -> Vec<LinkId> {
        let is_over = |standing: &Standing| standing.visit.is_some_and(|visit| visit.ends() <= now);
        self.links.iter().filter(|(_, standing)| is_over(standing)).map(|(link, _)| *link).collect()
    }

    /// The links over which to say whose members we are: at first and again and again, whether there is a talk or not, so that none shows.
    pub fn take_proofs_due(&mut self, now: Instant) -> Vec<LinkId> {
        let is_due = |standing: &Standing| standing.next_proof.is_some_and(|at| at <= now);
        let due = self.links.iter_mut().filter(|(_, standing)| is_due(standing));
        let due = due.map(|(link, standing)| {
            standing.next_proof = Some(now + MEMBER_PROOF_INTERVAL);
            *link
        });
        due.collect()
    }

    /// Who is at the other end of a link has proven whose member it is, or has not.
    pub fn proven(&mut self, link: LinkId, member: Option<Member>) {
        if let Some(standing) = self.links.get_mut(&link).filter(|standing| standing.member != member) {
            standing.member = member;
            self.has_changed = true;
        }
    }

    /// What to say of ourselves on a link that we opened.
    pub fn introduction(&self, link: LinkId) -> Option<EphemeralId> {
        self.links.get(&link).filter(|standing| standing.is_ours).and_then(|_| self.id())
    }

    /// Who is at the other end says its id. It proves nothing, and spares a second link.
    pub fn introduced(&mut self, link: LinkId, id: EphemeralId) {
        if let Some(standing) = self.links.get_mut(&link).filter(|standing| !standing.is_ours) {
            standing.to = Some(id);
        }
    }

    /// A link is gone.
    pub fn link_down(&mut self, now: Instant, link: LinkId) {
        if let Some(id) = self.links.remove(&link).and_then(|standing| standing.to) {
            self.put_off(now, id);
        }
    }

    /// Whether it is a link of the radio.
    pub fn has_link(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// No link came of it.
    pub fn out_of_reach(&mut self, now: Instant, id: EphemeralId) {
        self.put_off(now, id);
    }

    /// Who is near, the strongest first.
    pub fn near(&self) -> Vec<Near> {
        let mut heard: Vec<_> = self.heard.iter().collect();
        heard.sort_by_key(|(_, sighting)| Reverse(sighting.rssi_dbm));
        let near = |(id, sighting): (&EphemeralId, &Sighting)| Near {
            shower: sighting.shower,
            band: band(sighting.rssi_dbm),
            is_linked: self.is_linked(*id),
            member: self.proven_member(*id).or(sighting.member),
            table: sighting.table.map(|table| table.number),
        };
        heard.into_iter().map(near).collect()
    }

    /// Rotates, opens links, and sets how much to listen: what the radio is to do now. `hint` says what to show beside a new id, if
    /// anybody is to recognise it.
    pub fn tick(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        hint: impl FnOnce(&mut Rng, EphemeralId) -> Option<[u8; HINT_BYTES]>,
    ) -> Vec<RadioCommand> {
        let mut commands = Vec::new();
        self.forget_the_silent(now);
        match self.own {
            Own::Off => return commands,
            Own::Shown { until, .. } if until <= now => {
                self.own = Own::Gap { until: now + rng.between(SILENT_GAP_MIN, SILENT_GAP_MAX) };
                commands.push(RadioCommand::Silence);
            }
            Own::Gap { until } if until <= now => {
                let id = EphemeralId(rng.bytes());
                self.own = Own::Shown { id, until: now + rng.between(ROTATION_MIN, ROTATION_MAX) };
                let chance = rng.bytes();
                let advert = Advert { shower: Shower::Attendee, id, hint: hint(rng, id).unwrap_or(chance) };
                commands.push(RadioCommand::Advertise { advert: advert.to_bytes(), interval: self.interval() });
            }
            Own::Shown { .. } | Own::Gap { .. } => {}
        }
        let duty_percent = if now < self.eager_until { 100 } else { self.attention.duty_percent() };
        if self.scans.replace(duty_percent) != Some(duty_percent) {
            commands.push(RadioCommand::Scan { duty_percent });
        }
        commands.extend(self.dial(rng, now));
        commands
    }

    /// When [`Presence::tick`] has something to do next, after it was called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let rotation = match self.own {
            Own::Off => return None,
            Own::Gap { until } | Own::Shown { until, .. } => until,
        };
        let dial = self.id().and_then(|own| self.wanted(own).map(|(due, ..)| due).min());
        let ends = self.unlinked().map(|(_, sighting)| sighting.ends()).min();
        let rest = (self.scans == Some(100)).then_some(self.eager_until);
        let proof = self.links.values().filter_map(|standing| standing.next_proof).min();
        let visit = self.links.values().filter_map(|standing| standing.visit).map(|visit| visit.ends()).min();
        let named = self.heard.values().filter_map(|sighting| sighting.table).map(|table| table.until).min();
        [Some(rotation), dial, ends, rest, proof, visit, named].into_iter().flatten().min()
    }

    /// The density-adaptive advertising interval: with N in range, 2aN lets most adverts through (slotless ALOHA).
    fn interval(&self) -> Duration {
        let best = ADVERTISE_INTERVAL_PER_DEVICE * u32::try_from(self.heard.len()).unwrap_or(u32::MAX);
        best.clamp(ADVERTISE_INTERVAL_MIN, ADVERTISE_INTERVAL_MAX)
    }

    /// One link at a time: to a table first, because a visit is short; else to anybody who is near and has none, by chance, so that the
    /// strongest do not keep to themselves.
    fn dial(&mut self, rng: &mut Rng, now: Instant) -> Option<RadioCommand> {
        let own = self.id()?;
        let due: Vec<_> = self.wanted(own).filter(|(due, ..)| *due <= now).collect();
        let has_table = due.iter().any(|(_, is_table, _)| *is_table);
        let due: Vec<_> = due.into_iter().filter(|(_, is_table, _)| *is_table == has_table).map(|(.., id)| id).collect();
        let id = *due.get(rng.below(due.len() as u64) as usize)?;
        self.heard.get_mut(&id)?.tried_at = Some(now);
        Some(RadioCommand::Connect { id })
    }

    /// When to open a link and to whom, and whether that is a table. A table does not dial, so that nobody waits for it to; one visit at a
    /// time has a place of its own. What says that it is a table and is none of this event's is nobody to visit.
    fn wanted(&self, own: EphemeralId) -> impl Iterator<Item = (Instant, bool, EphemeralId)> {
        let ours = self.links.values().filter(|standing| standing.is_ours && standing.visit.is_none()).count();
        let (has_place, is_visiting) = (ours < RADIO_DIALED_MAX, self.links.values().any(|standing| standing.visit.is_some()));
        let is_dialling = self.heard.values().any(|sighting| sighting.tried_at.is_some());
        let wanted = move |(id, sighting): (&EphemeralId, &Sighting)| match (sighting.shower, sighting.table) {
            (Shower::Table, None) => None,
            (Shower::Table, Some(_)) => {
                let is_wanted = !is_visiting && !self.tables.is_visited(*id);
                is_wanted.then_some((sighting.next_try, true, *id))
            }
            (Shower::Attendee | Shower::Kiosk, _) => has_place.then(|| (sighting.due(own, *id), false, *id)),
        };
        self.unlinked().filter(move |_| !is_dialling).filter_map(wanted)
    }

    fn unlinked(&self) -> impl Iterator<Item = (&EphemeralId, &Sighting)> {
        self.heard.iter().filter(|(id, _)| !self.is_linked(**id))
    }

    fn proven_member(&self, id: EphemeralId) -> Option<Member> {
        self.links.values().find(|standing| standing.to == Some(id))?.member
    }

    /// A table opens no link, so that who says on one of its own that it is a table is none.
    fn is_linked(&self, id: EphemeralId) -> bool {
        let is_table = || self.heard.get(&id).is_some_and(|sighting| sighting.table.is_some());
        self.links.values().any(|standing| standing.to == Some(id) && (standing.is_ours || !is_table()))
    }

    fn put_off(&mut self, now: Instant, id: EphemeralId) {
        if let Some(sighting) = self.heard.get_mut(&id) {
            sighting.tried_at = None;
            sighting.next_try = now + doubled(RADIO_RETRY_MIN, sighting.tries, RADIO_RETRY_MAX);
            sighting.tries = sighting.tries.saturating_add(1);
        }
    }

    /// Makes room for a quarter of the list at once: of those without a link, who was heard least often goes first, and of these who was
    /// silent for longest. A flood of ids is heard once each and pushes out itself. Whom a link was ordered to stays until that is
    /// answered: forgotten, it would make place for another order.
    fn forget_some(&mut self) {
        let idle = self.unlinked().filter(|(_, sighting)| sighting.tried_at.is_none());
        let mut least: Vec<_> = idle.map(|(id, sighting)| (sighting.times.min(TIMES_THAT_TELL), sighting.last, *id)).collect();
        least.sort_unstable();
        for (_, _, id) in least.into_iter().take(SIGHTINGS_MAX / 4) {
            self.heard.remove(&id);
        }
    }

    fn forget_the_silent(&mut self, now: Instant) {
        let late = |sighting: &Sighting| sighting.tried_at.is_some() && sighting.ends() <= now;
        let late: Vec<_> = self.heard.iter().filter(|(_, sighting)| late(sighting)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.put_off(now, id));
        let gone: Vec<_> = self.unlinked().filter(|(_, sighting)| sighting.ends() <= now).map(|(id, _)| *id).collect();
        self.has_changed |= !gone.is_empty();
        for id in gone {
            self.heard.remove(&id);
        }
        for sighting in self.heard.values_mut() {
            self.has_changed |= sighting.table.take_if(|table| table.until <= now).is_some();
        }
    }
}

impl Sighting {
    /// When it is not near any more, or, if a link was ordered, when that has taken too long.
    fn ends(&self) -> Instant {
        self.tried_at.map_or(self.last + NEAR_SILENCE_MAX, |at| at + RADIO_CONNECT_MAX)
    }

    /// When a link to it may be ordered.
    fn due(&self, own: EphemeralId, id: EphemeralId) -> Instant {
        let patience = if own < id { Duration::ZERO } else { DIAL_PATIENCE };
        self.next_try.max(self.first + patience)
    }
}

/// A quarter of the news, so that one reflection does not move anybody to another band.
fn smoothed(before: Option<i8>, now: Option<i8>) -> Option<i8> {
    match (before, now) {
        (Some(before), Some(now)) => i8::try_from((i16::from(before) * 3 + i16::from(now)) / 4).ok(),
        (before, now) => now.or(before),
    }
}

fn band(rssi_dbm: Option<i8>) -> Band {
    match rssi_dbm {
        None => Band::Unknown,
        Some(-60..) => Band::Close,
        Some(-80..) => Band::Around,
        Some(_) => Band::Far,
    }
}

#[cfg(test)]
mod table_tests;
mod tables;
#[cfg(test)]
mod tests;
