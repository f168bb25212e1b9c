//! Parcels that wait before they are passed on, because in a crowd most neighbours get them from each other.
//!
//! A node with many neighbours waits for a short random time, longer the more it has, and counts from how many the parcel comes
//! meanwhile (Ni, Tseng, Chen, Sheu: "The Broadcast Storm Problem in a Mobile Ad Hoc Network", 1999, the counter-based scheme).
//!
//! Laws: with few neighbours nothing waits, so that a small room loses no time. Who brought a parcel does not get it back. What waits
//! is bounded: what finds no place goes on at once.

use crate::proto::config::{FORWARD_AT_ONCE_MAX, FORWARD_DELAY_MAX, FORWARD_DELAY_PER_LINK, FORWARD_WAITING_MAX};
use crate::proto::id::{LinkId, ParcelId};
use crate::proto::rng::Rng;
use crate::proto::time::{Duration, Instant};
use crate::proto::wire::parcel::Parcel;
use std::collections::{BTreeMap, BTreeSet};

/// What waits, and who has brought it meanwhile.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Waiting {
    parcels: BTreeMap<ParcelId, (Parcel, BTreeSet<LinkId>)>,
    due: BTreeSet<(Instant, ParcelId)>,
}

impl Waiting {
    /// Lets a parcel wait that came from this neighbour and is for so many others; gives it back if it is to go on at once.
    pub fn put(&mut self, rng: &mut Rng, now: Instant, parcel: Parcel, from: Option<LinkId>, others: usize) -> Option<Parcel> {
        if others <= FORWARD_AT_ONCE_MAX || self.parcels.len() >= FORWARD_WAITING_MAX {
            return Some(parcel);
        }
        let longest = (FORWARD_DELAY_PER_LINK * others as u32).min(FORWARD_DELAY_MAX);
        let id = parcel.id();
        self.due.insert((now + rng.between(Duration::ZERO, longest), id));
        self.parcels.insert(id, (parcel, from.into_iter().collect()));
        None
    }

    /// A parcel came again.
    pub fn came_again(&mut self, id: &ParcelId, from: LinkId) {
        if let Some((_, brought)) = self.parcels.get_mut(id) {
            brought.insert(from);
        }
    }

    /// The next parcel whose time has come, and who has brought it.
    pub fn take_due(&mut self, now: Instant) -> Option<(Parcel, BTreeSet<LinkId>)> {
        let (_, id) = self.due.first().copied().filter(|(due, _)| *due <= now)?;
        self.due.pop_first();
        self.parcels.remove(&id)
    }

    /// When the next one's time comes.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests;
