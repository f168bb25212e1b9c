//! The ids under which tables of this event were heard: how long each is believed, and whether it was visited.
//!
//! Laws: an id is believed for as long as a beacon shows one, from when it was first heard, and not again while it is remembered: a record
//! of it that is played back later names no table. What is remembered is bounded, the oldest goes first.

use crate::proto::config::{TABLE_ID_LIFE_MAX, TABLE_IDS_MAX};
use crate::proto::id::EphemeralId;
use crate::proto::time::Instant;
use std::collections::BTreeMap;

/// The ids of tables.
#[derive(Clone, Default)]
pub(super) struct Tables(BTreeMap<EphemeralId, Stay>);

#[derive(Clone, Copy)]
struct Stay {
    first: Instant,
    is_visited: bool,
}

impl Tables {
    /// Until when a table's id that is heard now is believed; `None`: it is older than a beacon shows one.
    pub(super) fn believe(&mut self, now: Instant, id: EphemeralId) -> Option<Instant> {
        if !self.0.contains_key(&id) && self.0.len() >= TABLE_IDS_MAX {
            let oldest = self.0.iter().min_by_key(|(_, stay)| stay.first).map(|(id, _)| *id);
            oldest.and_then(|id| self.0.remove(&id));
        }
        let stay = self.0.entry(id).or_insert(Stay { first: now, is_visited: false });
        Some(stay.first + TABLE_ID_LIFE_MAX).filter(|until| now < *until)
    }

    /// It was visited under this id.
    pub(super) fn visit(&mut self, id: EphemeralId) {
        if let Some(stay) = self.0.get_mut(&id) {
            stay.is_visited = true;
        }
    }

    /// It is to be visited once more.
    pub(super) fn visit_again(&mut self, id: EphemeralId) {
        if let Some(stay) = self.0.get_mut(&id) {
            stay.is_visited = false;
        }
    }

    pub(super) fn is_visited(&self, id: EphemeralId) -> bool {
        self.0.get(&id).is_some_and(|stay| stay.is_visited)
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
