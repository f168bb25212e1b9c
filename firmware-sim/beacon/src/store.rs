//! The few parcels that a table carries, who is still to get which, and what was seen.
//!
//! Laws: what is seen is not taken again while it is remembered; room is shared among places as the app does: something goes from the
//! place that has most, of it the one in the largest crowd, then the one that is over first; a place that floods forgets its own; an
//! ephemeral parcel never takes the room of a carried one.
//!
//! A *place* is that of a link: whoever breaks a link and comes back does not begin anew.

use crate::config::{
    CARRIED_MAX, CARRY_TIME_US, CROWD_HALF_LIFE_US, EAGER_CROWD_MAX, LINKS_MAX, PASSING_MAX, PASSING_TIME_US, SEEN_PER_PLACE,
};
use crate::parcel::{CROWD_MAX, Parcel};
use core::cmp::Reverse;

/// Links as bits.
pub(crate) type Links = u8;
const _: () = assert!(LINKS_MAX <= Links::BITS as usize);

/// Carried ones first, then the passing ones.
pub(crate) struct Store {
    slots: [Option<Slot>; CARRIED_MAX + PASSING_MAX],
    places: [Place; LINKS_MAX],
}

#[derive(Clone, Copy)]
struct Slot {
    id: u64,
    parcel: Parcel,
    place: u8,
    until: u64,
    owed: Links,
}

#[derive(Clone, Copy)]
struct Place {
    /// A ring of the first 8 bytes of ids.
    seen: [u64; SEEN_PER_PLACE],
    next: u8,
    /// Parcels by the crowd in which they were said to be.
    by_crowd: [u16; CROWD_MAX as usize + 1],
    halved: u64,
}

impl Default for Store {
    fn default() -> Store {
        let place = Place { seen: [0; SEEN_PER_PLACE], next: 0, by_crowd: [0; CROWD_MAX as usize + 1], halved: 0 };
        Store { slots: [None; CARRIED_MAX + PASSING_MAX], places: [place; LINKS_MAX] }
    }
}

impl Store {
    /// Takes a parcel that came over the link at `place`, to be passed on to `others`. False: nothing new, or no room for it.
    pub(crate) fn take(&mut self, now: u64, place: usize, others: Links, parcel: Parcel) -> bool {
        let id = short(&parcel);
        let Some(parcel) = parcel.next_hop().filter(|_| !self.has_seen(id)) else { return false };
        let crowd = self.places[place].count(now, parcel.crowd());
        let (free, until) = match parcel.is_ephemeral() {
            true => (self.free_to_pass(others), now + PASSING_TIME_US),
            false => (self.free_to_carry(place, crowd), now + CARRY_TIME_US),
        };
        let Some(free) = free else { return false };
        let owed = if crowd > EAGER_CROWD_MAX { 0 } else { others };
        self.slots[free] = Some(Slot { id, parcel: parcel.in_crowd(crowd), place: place as u8, until, owed });
        self.places[place].remember(id);
        true
    }

    /// Somebody has come: all that is carried is for it, too.
    pub(crate) fn greet(&mut self, link: usize) {
        self.slots[..CARRIED_MAX].iter_mut().flatten().for_each(|slot| slot.owed |= 1 << link);
    }

    /// Somebody has gone.
    pub(crate) fn forget(&mut self, link: usize) {
        self.slots.iter_mut().flatten().for_each(|slot| slot.owed &= !(1 << link));
    }

    /// What this link is still to get: given once.
    pub(crate) fn give(&mut self, link: usize) -> Option<Parcel> {
        let slot = self.slots.iter_mut().flatten().find(|slot| slot.owed & 1 << link != 0)?;
        slot.owed &= !(1 << link);
        Some(slot.parcel)
    }

    /// Of these places, the one that holds most: who comes may be who went.
    pub(crate) fn fullest(&self, places: impl Iterator<Item = usize>) -> Option<usize> {
        places.max_by_key(|place| (self.places[*place].weight(), self.share(*place), Reverse(*place)))
    }

    /// Drops what is over.
    pub(crate) fn expire(&mut self, now: u64) {
        let is_over = |slot: &Slot| slot.until <= now || (slot.parcel.is_ephemeral() && slot.owed == 0);
        self.slots.iter_mut().filter(|slot| slot.as_ref().is_some_and(is_over)).for_each(|slot| *slot = None);
    }

    /// When something is over next.
    pub(crate) fn next_end(&self) -> Option<u64> {
        self.slots.iter().flatten().map(|slot| slot.until).min()
    }

    fn has_seen(&self, id: u64) -> bool {
        let is_here = self.slots.iter().flatten().any(|slot| slot.id == id);
        is_here || self.places.iter().any(|place| place.seen.contains(&id))
    }

    fn share(&self, place: usize) -> usize {
        self.slots[..CARRIED_MAX].iter().flatten().filter(|slot| usize::from(slot.place) == place).count()
    }

    /// Passing parcels come again: there is room for one, or there is not.
    fn free_to_pass(&self, others: Links) -> Option<usize> {
        (CARRIED_MAX..CARRIED_MAX + PASSING_MAX).find(|index| others != 0 && self.slots[*index].is_none())
    }

    /// A free slot, or that of what has to go; `None` if it is the newcomer that has to.
    fn free_to_carry(&self, place: usize, crowd: u8) -> Option<usize> {
        if let Some(free) = self.slots[..CARRIED_MAX].iter().position(Option::is_none) {
            return Some(free);
        }
        let share = |of: usize| self.share(of) + usize::from(of == place);
        let fullest = (0..LINKS_MAX).max_by_key(|of| (share(*of), *of == place))?;
        let carried = self.slots[..CARRIED_MAX].iter().enumerate().filter_map(|(index, slot)| Some((index, (*slot)?)));
        let first = carried
            .filter(|(_, slot)| usize::from(slot.place) == fullest)
            .max_by_key(|(_, slot)| (slot.parcel.crowd(), Reverse(slot.until)));
        // The newcomer is over last of all: it goes only if it is in a larger crowd.
        first.filter(|(_, slot)| fullest != place || slot.parcel.crowd() >= crowd).map(|(index, _)| index)
    }
}

impl Place {
    fn remember(&mut self, id: u64) {
        self.seen[usize::from(self.next)] = id;
        self.next = (self.next + 1) % SEEN_PER_PLACE as u8;
    }

    /// Counts a parcel that was said to be in this crowd; gives the one it is in here (`docs/PROTOCOL.md`, 5).
    fn count(&mut self, now: u64, said: u8) -> u8 {
        let halvings = now.saturating_sub(self.halved) / CROWD_HALF_LIFE_US;
        self.halved += halvings * CROWD_HALF_LIFE_US;
        self.by_crowd.iter_mut().for_each(|count| *count = count.checked_shr(halvings.min(16) as u32).unwrap_or(0));
        let said = said.min(CROWD_MAX);
        let calm = &mut self.by_crowd[..=usize::from(said)];
        if let Some(count) = calm.last_mut() {
            *count = count.saturating_add(1);
        }
        let brought: u32 = calm.iter().map(|count| u32::from(*count)).sum();
        said.max(brought.max(1).ilog2() as u8).min(CROWD_MAX)
    }

    fn weight(&self) -> u32 {
        self.by_crowd.iter().map(|count| u32::from(*count)).sum()
    }
}

fn short(parcel: &Parcel) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = parcel.id();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::visitor;
    use std::vec::Vec;

    const SECOND: u64 = 1_000_000;

    fn parcel(board: &mut Board, crowd: u8, hops: u8) -> Parcel {
        Parcel::decode(visitor::parcel(board, crowd, hops)).unwrap()
    }

    fn ephemeral(board: &mut Board) -> Parcel {
        let mut bytes = visitor::parcel(board, 0, 1);
        bytes[0] |= 1;
        Parcel::decode(bytes).unwrap()
    }

    /// All that somebody gets who comes now.
    fn all(store: &mut Store) -> Vec<[u8; 16]> {
        store.greet(LINKS_MAX - 1);
        core::iter::from_fn(|| store.give(LINKS_MAX - 1)).map(|parcel| parcel.id()).collect()
    }

    #[test]
    fn what_comes_is_given_once_to_every_other_link_and_to_all_who_come_later() {
        let (board, store) = (&mut Board::new(1), &mut Store::default());
        let parcel = parcel(board, 2, 5);
        assert!(store.take(0, 0, 0b110, parcel));
        assert_eq!(store.give(0), None, "it came from there");
        let given = store.give(1).unwrap();
        assert_eq!((given.id(), given.as_bytes()[1]), (parcel.id(), 2 << 4 | 4), "one hop on, no other bit changed");
        assert_eq!((store.give(1), store.give(2)), (None, Some(given)));
        assert_eq!(all(store), [parcel.id()]);
    }

    #[test]
    fn a_parcel_is_not_taken_twice_nor_one_whose_hops_are_used_up() {
        let (board, store) = (&mut Board::new(2), &mut Store::default());
        let first = parcel(board, 0, 5);
        assert!(store.take(0, 0, 0, first));
        assert!(!store.take(0, 0, 0, first) && !store.take(0, 1, 0, first.in_crowd(9).next_hop().unwrap()));
        store.expire(CARRY_TIME_US);
        assert!(!store.take(CARRY_TIME_US, 1, 0, first), "not even when it is not carried any more");
        assert!(!store.take(0, 0, 0, parcel(board, 0, 0)));
        assert!(store.take(0, 0, 0, parcel(board, 0, 1)), "control");
    }

    #[test]
    fn a_day_after_it_came_a_parcel_is_dropped() {
        let (board, store) = (&mut Board::new(3), &mut Store::default());
        store.take(5, 0, 0, parcel(board, 0, 5));
        assert_eq!(store.next_end(), Some(CARRY_TIME_US + 5));
        store.expire(CARRY_TIME_US + 4);
        assert_eq!(all(store).len(), 1);
        store.expire(CARRY_TIME_US + 5);
        assert_eq!((all(store).len(), store.next_end()), (0, None));
    }

    #[test]
    fn an_ephemeral_parcel_is_passed_on_never_carried_and_takes_no_carried_ones_room() {
        let (board, store) = (&mut Board::new(4), &mut Store::default());
        (0..CARRIED_MAX).for_each(|_| assert!(store.take(0, 0, 0, parcel(board, 0, 5))));
        assert!(!store.take(0, 0, 0, ephemeral(board)), "there is nobody to pass it on to");
        let passing: Vec<_> = (0..10).filter(|_| store.take(0, 0, 0b10, ephemeral(board))).collect();
        assert_eq!(passing.len(), PASSING_MAX);
        assert!(store.give(1).is_some_and(|parcel| parcel.is_ephemeral() && parcel.as_bytes()[1] & 0x0f == 0));
        store.expire(1);
        assert!(store.take(1, 0, 0b10, ephemeral(board)), "where one has gone there is room again");
        store.expire(1 + PASSING_TIME_US);
        assert_eq!((store.give(1), all(store).len()), (None, CARRIED_MAX));
    }

    #[test]
    fn a_flood_from_one_place_pushes_out_itself() {
        let (board, store) = (&mut Board::new(5), &mut Store::default());
        let quiet: Vec<_> = (0..3).map(|_| parcel(board, 0, 5)).collect();
        quiet.iter().for_each(|parcel| assert!(store.take(0, 0, 0, *parcel)));
        for step in 0..5_000 {
            store.take(step * SECOND / 10, 1, 0, parcel(board, 0, 5));
        }
        let kept = all(store);
        assert!(kept.len() == CARRIED_MAX && quiet.iter().all(|parcel| kept.contains(&parcel.id())));

        // Control: were all places one, the quiet would have nothing of its own.
        let store = &mut Store::default();
        quiet.iter().for_each(|parcel| assert!(store.take(0, 1, 0, *parcel)));
        for step in 0..5_000 {
            store.take(step * 100 * SECOND, 1, 0, parcel(board, 0, 5));
        }
        assert!(quiet.iter().all(|parcel| !all(store).contains(&parcel.id())));
    }

    #[test]
    fn after_a_flood_in_the_same_place_what_is_said_quietly_finds_room() {
        let (board, store) = (&mut Board::new(6), &mut Store::default());
        for _ in 0..500 {
            store.take(0, 0, 0, parcel(board, 0, 5));
        }
        let quiet = parcel(board, 0, 5);
        assert!(store.take(3_600 * SECOND, 0, 0, quiet) && all(store).contains(&quiet.id()));
        let mut flooded = Store::default();
        let taken = (0..500).filter(|_| flooded.take(0, 0, 0, parcel(board, 0, 5))).count();
        assert!(taken < 20, "control: in the flood itself {taken} of 500 are");
    }

    #[test]
    fn a_place_that_floods_forgets_its_own_and_what_is_crowded_is_not_passed_on_at_once() {
        let (board, store) = (&mut Board::new(7), &mut Store::default());
        let seen = parcel(board, 0, 5);
        store.take(0, 0, 0, seen);
        for step in 0..5_000 {
            store.take(step * 100 * SECOND, 1, 0, parcel(board, 0, 5));
        }
        store.expire(u64::MAX);
        assert!(!store.take(0, 0, 0, seen));
        let crowded = parcel(board, EAGER_CROWD_MAX + 1, 5);
        assert!(store.take(0, 2, 0b11, crowded) && store.give(0).is_none());
        assert_eq!(all(store), [crowded.id()], "whoever comes later gets it");
    }

    #[test]
    fn who_comes_takes_the_place_that_holds_most() {
        let (board, store) = (&mut Board::new(8), &mut Store::default());
        assert_eq!(store.fullest([0, 1, 2].into_iter()), Some(0));
        store.take(0, 2, 0, parcel(board, 0, 5));
        assert_eq!((store.fullest([0, 1, 2].into_iter()), store.fullest([0, 1].into_iter())), (Some(2), Some(0)));
        assert_eq!(store.fullest(core::iter::empty()), None);
    }
}
