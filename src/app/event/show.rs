//! What a person wants to know of an event pack, as text.

use crate::model::event::SignedPack;
use crate::proto::time::{Duration, WallTime};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;
use std::io::{Result, Write};

/// Writes everything of the pack that is not secret.
pub(super) fn describe(signed: &SignedPack, wall: WallTime, out: &mut dyn Write) -> Result<()> {
    let pack = signed.pack();
    writeln!(out, "{}", pack.name)?;
    let mut line = |what: &str, text: String| writeln!(out, "  {what:<12}{text}");
    if !pack.place.is_empty() {
        line("where", pack.place.clone())?;
    }
    line("when", format!("{} to {} ({})", pack.starts, pack.ends, pack.zone))?;
    line("", format!("{} to {}", instant(pack.opens_at), instant(pack.ends_at)))?;
    line("now", state(signed, wall))?;
    line("event", format!("{}  (compare it with the organizer's own page)", signed.event()))?;
    line("signature", format!("valid, by the key {}", hex(&signed.organizer())))?;

    if pack.relays.is_empty() {
        line("relay", "none: talks live on Bluetooth and the local network only".into())?;
    }
    for relay in &pack.relays {
        line("relay", relay.url.clone())?;
        let pin = |pin: [u8; 32]| format!("certificate {}", hex(&pin));
        line("", relay.tls_pin.map_or("not encrypted on its way: for trying things out only".into(), pin))?;
    }
    let buckets = pack.room_buckets;
    line("mailboxes", format!("{buckets} {} by all talks", if buckets == 1 { "bucket, shared" } else { "buckets, shared" }))?;
    line("reports", format!("sealed to {}", hex(&pack.report_key)))?;
    let seats: u32 = pack.tables.iter().map(|table| u32::from(table.seats)).sum();
    let zones: BTreeSet<&str> = pack.tables.iter().map(|table| table.zone.as_str()).filter(|zone| !zone.is_empty()).collect();
    line("tables", if pack.tables.is_empty() { "none".into() } else { format!("{} with {seats} seats", pack.tables.len()) })?;
    for zone in zones {
        let tables = pack.tables.iter().filter(|table| table.zone == zone).count();
        line("", format!("{tables} in {zone}"))?;
    }
    line("kiosks", pack.kiosk_keys.len().to_string())?;
    line("tickets", if pack.ticket_issuer.is_some() { "needed".into() } else { "none needed".into() })?;
    match &pack.programme {
        None => line("programme", "none".into())?,
        Some(programme) => {
            line("programme", programme.url.clone())?;
            line("", format!("SHA-256 {}", hex(&programme.sha256)))?;
        }
    }
    let code = match signed.to_link() {
        Ok(link) if link.starts_with("ALCOVE:P") => "the whole pack fits it",
        Ok(_) => "too large for one: it names the first relay, where the pack must be fetched",
        Err(_) => "too large for one: say with --at where the pack can be fetched",
    };
    line("size", format!("{} bytes", signed.bytes().len()))?;
    line("code", code.into())?;
    line("hash", format!("SHA-256 {}", hex(&signed.sha256())))
}

fn state(signed: &SignedPack, wall: WallTime) -> String {
    let pack = signed.pack();
    if signed.is_over(wall) {
        "over: it can no longer be joined".into()
    } else if wall < pack.opens_at {
        format!("begins in {}", span(pack.opens_at.since(wall)))
    } else {
        format!("running, for another {}", span(pack.ends_at.since(wall)))
    }
}

fn span(time: Duration) -> String {
    match time.as_secs() / 3_600 {
        0 => "less than an hour".into(),
        1 => "1 hour".into(),
        hours @ 2..48 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    }
}

/// In universal time: the same on every machine, whatever zones it knows.
fn instant(at: WallTime) -> String {
    let at = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    at.map_or("never".into(), |at| at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
