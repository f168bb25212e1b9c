//! What two ids may have in common: one number for each pair, in which a device and its next id may stand out from strangers.

use super::sighting::{Brought, SLOT, Sighted, Sightings};
use crate::network::START;
use alcove::proto::config::RECONCILE_INTERVAL;
use alcove::proto::time::{Duration, Instant, WallTime};
use std::collections::BTreeSet;

/// One thing that the linker looks at.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Feature {
    /// The address.
    Address,
    /// How far the ids are apart as numbers.
    Id,
    /// The bits in which the ids differ.
    IdBits,
    /// The bits in which the hints differ.
    Hint,
    /// The silence between.
    Gap,
    /// The advertising intervals.
    Interval,
    /// For how long each shows.
    Life,
    /// How many cells each sends.
    Sent,
    /// How many cells each is sent.
    Received,
    /// The neighbours that they have in common.
    Partners,
    /// Frames on a link of the old id at the very moment of one of the new id's.
    Together,
    /// How soon the handshake is answered.
    Answer,
    /// When, within the interval, each asks whether anything is missing.
    Phase,
    /// How many lasting parcels come from each first.
    Talks,
    /// How many fleeting ones.
    Beacons,
    /// How large are those that come from each first.
    Sizes,
    /// The hop limits of what comes from each first.
    Hops,
    /// The crowds of what each passes on.
    Crowds,
    /// In how many parcels the two sets differ, of those that were there before.
    Carried,
    /// Whether the new one lacks what came by in the silence, and that alone.
    Missed,
    /// What the new one passes on late.
    Late,
}

/// Features that need the adverts and the cells' times and sizes alone.
pub const PASSIVE: [Feature; 10] = [
    Feature::Address,
    Feature::Id,
    Feature::IdBits,
    Feature::Hint,
    Feature::Gap,
    Feature::Interval,
    Feature::Life,
    Feature::Sent,
    Feature::Received,
    Feature::Partners,
];

/// Features that a neighbour sees.
pub const NEIGHBOUR: [Feature; 11] = [
    Feature::Together,
    Feature::Answer,
    Feature::Phase,
    Feature::Talks,
    Feature::Beacons,
    Feature::Sizes,
    Feature::Hops,
    Feature::Crowds,
    Feature::Carried,
    Feature::Missed,
    Feature::Late,
];

/// What is counted up to here makes one class each.
const COUNT_MAX: usize = 6;
/// A parcel reaches everybody within so long.
const SPREAD: Duration = Duration::from_secs(2);

impl Feature {
    /// The number for an id that ended and one that began after it.
    pub fn of(self, sightings: &Sightings, old: &Sighted, new: &Sighted) -> f64 {
        match self {
            Feature::Address => f64::from(old.address == new.address),
            Feature::Id => (number(&new.id).abs_diff(number(&old.id)) as f64 + 1.0).log2().floor(),
            Feature::IdBits => f64::from(differing(&old.id, &new.id)),
            Feature::Hint => f64::from(differing(&old.hint, &new.hint)),
            Feature::Gap => seconds(new.began, old.ended.unwrap_or_default()),
            Feature::Interval => apart(old.interval.as_secs_f64(), new.interval.as_secs_f64()),
            Feature::Life => (old.life.as_secs_f64() - new.life.as_secs_f64()).abs(),
            Feature::Sent => apart(mean(&old.sent), mean(&new.sent)),
            Feature::Received => apart(mean(&old.received), mean(&new.received)),
            Feature::Partners => {
                let both = old.partners.intersection(&new.partners).count() as f64;
                both / old.partners.union(&new.partners).count().max(1) as f64
            }
            Feature::Together => together(old, new),
            Feature::Answer => {
                let answer = |id: &Sighted| id.contact.up.map_or(0.0, |up| seconds(up, id.contact.asked));
                (answer(old) - answer(new)).abs()
            }
            Feature::Phase => phase(old, new),
            Feature::Talks => pair(level(old, |b| lasts(sightings, b)), level(new, |b| lasts(sightings, b))),
            Feature::Beacons => pair(level(old, |b| !lasts(sightings, b)), level(new, |b| !lasts(sightings, b))),
            Feature::Sizes => {
                let large = |b: &Brought| sightings.parcels[b.parcel].bytes > 448;
                pair(level(old, large), level(new, large))
            }
            Feature::Hops => match (first_hops(old), first_hops(new)) {
                (Some(old), Some(new)) => (old - new).abs(),
                (None, None) => 20.0,
                _ => 21.0,
            },
            Feature::Crowds => match (crowds(old, true), crowds(new, false)) {
                (Some(old), Some(new)) => (old - new).abs(),
                _ => 20.0,
            },
            Feature::Carried => carried(sightings, old, new),
            Feature::Missed => missed(sightings, old, new),
            Feature::Late => late(sightings, old, new),
        }
    }
}

fn number(bytes: &[u8; 6]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn differing(one: &[u8], other: &[u8]) -> u32 {
    one.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum()
}

fn seconds(later: Instant, earlier: Instant) -> f64 {
    later.since(earlier).as_secs_f64()
}

/// How far two amounts are apart, whatever their unit.
fn apart(one: f64, other: f64) -> f64 {
    ((one + 1e-9) / (other + 1e-9)).ln().abs()
}

/// The mean of all slots but the first minute, which everybody begins alike, and the last, which is not full.
fn mean(slots: &[u32]) -> f64 {
    let skipped = (60 / SLOT.as_secs()) as usize;
    let slots = slots.get(skipped..slots.len().saturating_sub(1)).unwrap_or_default();
    f64::from(slots.iter().sum::<u32>()) / slots.len().max(1) as f64
}

fn pair(old: usize, new: usize) -> f64 {
    (old * (COUNT_MAX + 1) + new) as f64
}

fn lasts(sightings: &Sightings, brought: &Brought) -> bool {
    !sightings.parcels[brought.parcel].is_ephemeral
}

/// How often in ten minutes something comes from an id first, as a power of two.
fn level(id: &Sighted, counts: impl Fn(&Brought) -> bool) -> usize {
    let count = id.contact.brought.iter().filter(|brought| brought.is_first && counts(brought)).count();
    let rate = count as f64 * 600.0 / id.life.as_secs_f64().max(60.0);
    ((rate + 1.0).log2().ceil() as usize).min(COUNT_MAX)
}

fn first_hops(id: &Sighted) -> Option<f64> {
    let hops: Vec<_> = id.contact.brought.iter().filter(|b| b.is_first).map(|b| f64::from(b.hops)).collect();
    (!hops.is_empty()).then(|| hops.iter().sum::<f64>() / hops.len() as f64)
}

/// The mean crowd of what was passed on in the three minutes before the end, or after the beginning.
fn crowds(id: &Sighted, at_end: bool) -> Option<f64> {
    let span = Duration::from_secs(180);
    let ended = id.ended.unwrap_or_default();
    let is_near = |b: &&Brought| if at_end { ended.since(b.at) < span } else { b.at.since(id.began) < span };
    let crowds: Vec<_> = id.contact.brought.iter().filter(|b| !b.is_first).filter(is_near).map(|b| f64::from(b.crowd)).collect();
    (!crowds.is_empty()).then(|| crowds.iter().sum::<f64>() / crowds.len() as f64)
}

/// How often the old id's link still speaks at the very moment of the new one's.
fn together(old: &Sighted, new: &Sighted) -> f64 {
    let ended = old.ended.unwrap_or_default();
    let after: BTreeSet<_> = old.contact.brought.iter().rev().take_while(|b| b.at > ended).map(|b| b.at).collect();
    new.contact.brought.iter().take(100).filter(|b| after.contains(&b.at)).count().min(COUNT_MAX) as f64
}

fn phase(old: &Sighted, new: &Sighted) -> f64 {
    let interval = RECONCILE_INTERVAL.as_secs_f64();
    let (Some(one), Some(other)) = (old.contact.asks.last(), new.contact.asks.get(1)) else { return 20.0 };
    let apart = seconds(*other, *one) % interval;
    apart.min(interval - apart)
}

/// In how many parcels, of those that were there before the old id's last word and are not over, the two sets differ.
fn carried(sightings: &Sightings, old: &Sighted, new: &Sighted) -> f64 {
    let (Some((then, before)), Some((now, after))) = (&old.contact.last_set, &new.contact.first_set) else { return -1.0 };
    let hour = WallTime(START.0 + now.0 / 1_000).hours();
    let was_there = |parcel: &&usize| {
        let parcel = &sightings.parcels[**parcel];
        parcel.first + SPREAD < *then && parcel.expiry_hours > hour
    };
    before.symmetric_difference(after).filter(was_there).count().min(40) as f64
}

/// Whether the new id lacks what came by while the device was silent, and has what came before.
fn missed(sightings: &Sightings, old: &Sighted, new: &Sighted) -> f64 {
    let (Some(ended), Some((now, set))) = (old.ended, &new.contact.first_set) else { return -1.0 };
    let (mut lacks_earlier, mut lacks, mut has) = (0, 0, 0);
    let lately = sightings.parcels.iter().enumerate().rev().take_while(|(_, parcel)| seconds(*now, parcel.first) < 30.0);
    for (number, parcel) in lately.filter(|(_, parcel)| !parcel.is_ephemeral && parcel.first < *now) {
        match (parcel.first < ended, set.contains(&number)) {
            (true, false) => lacks_earlier += 1,
            (true, true) => {}
            (false, false) => lacks += 1,
            (false, true) => has += 1,
        }
    }
    (lacks_earlier.min(3) * 16 + lacks.min(3) * 4 + has.min(3)) as f64
}

/// What the new id passes on although it came by before it began: since the old one ended, and before.
fn late(sightings: &Sightings, old: &Sighted, new: &Sighted) -> f64 {
    let ended = old.ended.unwrap_or_default();
    let early = new.contact.brought.iter().take_while(|b| b.at.since(new.began) < Duration::from_secs(60));
    let late = early.map(|b| sightings.parcels[b.parcel].first).filter(|first| *first < new.began);
    let (since, before): (Vec<_>, Vec<_>) =
        late.filter(|first| first.since(Instant(0)) > Duration::ZERO).partition(|first| *first >= ended);
    (before.len().min(3) * 4 + since.len().min(3)) as f64
}
