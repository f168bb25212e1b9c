//! Takes one protection away, in what the watchers have noted: what they would have noted of a product that lacks it.

use super::sighting::Sightings;
use alcove::proto::time::Duration;
use std::collections::BTreeMap;

/// A protection that is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weakness {
    /// The address stays when the id is redrawn.
    AddressKept,
    /// The id stays when the address is redrawn.
    IdKept,
    /// An id is the one before it, plus one.
    IdCounted,
    /// The hint is the device's.
    HintKept,
    /// The advertising interval is the device's.
    IntervalKept,
    /// The time for which an id shows is the device's.
    LifeKept,
    /// The silence between two ids is the device's.
    GapKept,
    /// Links outlive the id under which they were opened.
    LinksKept,
    /// A parcel's first hop limit is the device's.
    HopsKept,
    /// What a device writes has the device's own size.
    SizeKept,
}

/// What a device that keeps something keeps: one of so many.
const KINDS: usize = 16;
/// So many parcels come over both links of a device whose links outlive its id.
const TOGETHER: usize = 20;

impl Weakness {
    /// All of them.
    pub const ALL: [Weakness; 10] = [
        Weakness::AddressKept,
        Weakness::IdKept,
        Weakness::IdCounted,
        Weakness::HintKept,
        Weakness::IntervalKept,
        Weakness::LifeKept,
        Weakness::GapKept,
        Weakness::LinksKept,
        Weakness::HopsKept,
        Weakness::SizeKept,
    ];

    /// The same play without this protection.
    pub fn of(self, sightings: &Sightings) -> Sightings {
        let mut weak = sightings.clone();
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        for number in 0..weak.ids.len() {
            let device = weak.ids[number].device;
            let kind = device % KINDS;
            let before = last.insert(device, number);
            self.own_kind(&mut weak, number, kind);
            if let Some(before) = before {
                self.kept(&mut weak, before, number, kind);
            }
        }
        weak
    }

    /// What of an id is its device's own.
    fn own_kind(self, weak: &mut Sightings, number: usize, kind: usize) {
        let own = kind as u64;
        match self {
            Weakness::IntervalKept => weak.ids[number].interval += Duration::from_micros(700 * own),
            Weakness::LifeKept => weak.ids[number].life = Duration::from_secs(480 + 28 * own),
            Weakness::HopsKept => {
                let first = weak.ids[number].contact.brought.iter_mut().filter(|brought| brought.is_first);
                first.for_each(|brought| brought.hops = 5 + (kind % 3) as u8);
            }
            Weakness::SizeKept => {
                let first = weak.ids[number].contact.brought.iter().filter(|brought| brought.is_first);
                first.for_each(|brought| weak.parcels[brought.parcel].bytes += 256 * (kind % 2));
            }
            _ => {}
        }
    }

    /// What an id has of the one before it.
    fn kept(self, weak: &mut Sightings, before: usize, number: usize, kind: usize) {
        let (earlier, later) = weak.ids.split_at_mut(number);
        let (before, now) = (&mut earlier[before], &mut later[0]);
        match self {
            Weakness::AddressKept => now.address = before.address,
            Weakness::IdKept => now.id = before.id,
            Weakness::IdCounted => {
                let [a, b, c, d, e, f] = before.id;
                let next = u64::from_be_bytes([0, 0, a, b, c, d, e, f]) + 1;
                now.id.copy_from_slice(&next.to_be_bytes()[2..]);
            }
            Weakness::HintKept => now.hint = before.hint,
            Weakness::GapKept => {
                now.began = before.ended.unwrap_or(now.began) + Duration::from_millis(2_000 + 1_000 * kind as u64);
            }
            Weakness::LinksKept => before.contact.brought.extend(now.contact.brought.iter().take(TOGETHER)),
            _ => {}
        }
    }
}
