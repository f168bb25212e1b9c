//! What the two watchers have noted of each id.

use alcove::proto::id::ParcelId;
use alcove::proto::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};

/// Cells are counted in slots of this length.
pub const SLOT: Duration = Duration::from_secs(10);

/// Everything that was noted in one play.
#[derive(Clone, Default)]
pub struct Sightings {
    /// Each id that was shown, in the order in which they began.
    pub ids: Vec<Sighted>,
    /// Each parcel that the neighbour was given.
    pub parcels: Vec<Passed>,
    numbers: BTreeMap<ParcelId, usize>,
}

/// One id, from its first advert to its last.
#[derive(Clone, Default)]
pub struct Sighted {
    /// Whose it is: the truth, for the teacher and the judge.
    pub device: usize,
    /// When it was heard first.
    pub began: Instant,
    /// When it was heard last; `None`: it is still there.
    pub ended: Option<Instant>,
    /// For how long it showed.
    pub life: Duration,
    /// Under which address.
    pub address: [u8; 6],
    /// The id.
    pub id: [u8; 6],
    /// The hint.
    pub hint: [u8; 3],
    /// Between two adverts, as measured.
    pub interval: Duration,
    /// The ids with which it had links.
    pub partners: BTreeSet<usize>,
    /// Cells that it sent, by [`SLOT`].
    pub sent: Vec<u32>,
    /// Cells that it was sent.
    pub received: Vec<u32>,
    /// What the neighbour got to see.
    pub contact: Contact,
}

/// What the neighbour saw of one id.
#[derive(Clone, Default)]
pub struct Contact {
    /// When the handshake began, and when it was over.
    pub asked: Instant,
    /// See `asked`.
    pub up: Option<Instant>,
    /// What it said first that it carries, and when: parcels by number.
    pub first_set: Option<(Instant, BTreeSet<usize>)>,
    /// And last.
    pub last_set: Option<(Instant, BTreeSet<usize>)>,
    /// When it last and first asked by itself whether anything is missing, after the first word.
    pub asks: Vec<Instant>,
    /// What it brought, in order.
    pub brought: Vec<Brought>,
}

/// A parcel that came from one id.
#[derive(Clone, Copy)]
pub struct Brought {
    /// When it was sent.
    pub at: Instant,
    /// Its number.
    pub parcel: usize,
    /// With this hop limit.
    pub hops: u8,
    /// In this crowd.
    pub crowd: u8,
    /// Nobody had brought it before.
    pub is_first: bool,
}

/// A parcel as the neighbour knows it.
#[derive(Clone)]
pub struct Passed {
    /// Its id.
    pub id: ParcelId,
    /// When anybody brought it first.
    pub first: Instant,
    /// Not carried.
    pub is_ephemeral: bool,
    /// Not carried after this hour.
    pub expiry_hours: u32,
    /// Its length.
    pub bytes: usize,
}

impl Sightings {
    /// The number of a parcel that somebody has brought.
    pub fn known(&self, id: ParcelId) -> Option<usize> {
        self.numbers.get(&id).copied()
    }

    /// The number of a parcel that was brought now, and whether it is new.
    pub fn number(&mut self, id: ParcelId, passed: impl FnOnce() -> Passed) -> (usize, bool) {
        let next = self.parcels.len();
        let number = *self.numbers.entry(id).or_insert(next);
        if number == next {
            self.parcels.push(passed());
        }
        (number, number == next)
    }
}

impl Sighted {
    /// Counts cells.
    pub fn count(&mut self, now: Instant, sent: bool, cells: u32) {
        let slot = (now.since(self.began).as_micros() / SLOT.as_micros()) as usize;
        let slots = if sent { &mut self.sent } else { &mut self.received };
        slots.resize(slots.len().max(slot + 1), 0);
        slots[slot] += cells;
    }
}
