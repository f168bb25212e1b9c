//! What this node made itself, told to one neighbour and in a moment to the others: whoever has links to many cannot tell who said
//! something by who says it first (a single hop of the stem of Dandelion, BIP 156), nor by its hop limit.
//!
//! Laws: the others are given it as by somebody who has it from the first: with a hop limit two less, and as soon as anybody else brings
//! it; it is passed on to the others within [`FRESH_DELAY_MAX`], whatever the first one does with it; so few neighbours that none could
//! be told apart, and what goes to the neighbours alone, wait for nothing; what waits is bounded.

use crate::proto::config::{FRESH_DELAY_MAX, FRESH_DELAY_MIN, FRESH_MAX};
use crate::proto::id::{LinkId, ParcelId};
use crate::proto::rng::Rng;
use crate::proto::time::Instant;
use crate::proto::wire::parcel::Parcel;
use std::collections::VecDeque;

/// Parcels of our own that the others have not been given yet, in the order in which they were made.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Fresh {
    waiting: VecDeque<Waiting>,
}

#[cfg_attr(test, derive(Clone))]
struct Waiting {
    due: Instant,
    told: LinkId,
    id: ParcelId,
    parcel: Parcel,
}

/// One from here to the first, one from there to its neighbours.
const HOPS_BEHIND: u8 = 2;

impl Fresh {
    /// The neighbour that is told first, and what; `None`: all are told at once.
    pub(super) fn first(&mut self, rng: &mut Rng, now: Instant, parcel: &Parcel, links: &[LinkId]) -> Option<(LinkId, Parcel)> {
        if links.len() < 2 || parcel.travel().hops <= 1 || self.waiting.len() >= FRESH_MAX {
            return None;
        }
        let told = links[rng.below(links.len() as u64) as usize];
        // Not before what was made earlier: a line is read in order.
        let due = now + rng.between(FRESH_DELAY_MIN, FRESH_DELAY_MAX);
        let due = self.waiting.back().map_or(due, |last| due.max(last.due));
        self.waiting.push_back(Waiting { due, told, id: parcel.id(), parcel: parcel.clone() });
        Some((told, parcel.with_hops(parcel.travel().hops + HOPS_BEHIND)))
    }

    /// A neighbour brings it: if that is not the first, the others are given it now. Who waited longer would be known by it.
    pub(super) fn heard(&mut self, now: Instant, from: LinkId, id: &ParcelId) {
        let place = self.waiting.iter().position(|waiting| waiting.id == *id && waiting.told != from);
        if let Some(waiting) = place.and_then(|place| self.waiting.remove(place)) {
            self.waiting.push_front(Waiting { due: now, ..waiting });
        }
    }

    /// The next parcel that the others may be given, and who has it already.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(LinkId, Parcel)> {
        let is_due = self.poll_timeout().is_some_and(|due| due <= now);
        let waiting = if is_due { self.waiting.pop_front() } else { None };
        waiting.map(|waiting| (waiting.told, waiting.parcel))
    }

    /// When [`Fresh::take_due`] has something to give.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|waiting| waiting.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::secret::Key;
    use crate::proto::time::Duration;
    use crate::proto::wire::parcel::{ParcelKeys, Travel};

    const LINKS: [LinkId; 4] = [LinkId(1), LinkId(2), LinkId(3), LinkId(4)];

    fn parcel(rng: &mut Rng, hops: u8) -> Parcel {
        ParcelKeys::new(&Key([1; 32])).seal(rng, Travel { expiry_hours: 1_010, ephemeral: false, hops }, b"x").unwrap()
    }

    #[test]
    fn one_is_told_first_each_as_often_and_the_others_within_the_delay_in_order() {
        let (rng, mut fresh) = (&mut Rng::new([1; 32]), Fresh::default());
        let mut firsts = [0; 5];
        for second in 0..400 {
            let now = Instant(second * 1_000_000);
            let parcels = [parcel(rng, 5), parcel(rng, 7)];
            let told = parcels.each_ref().map(|parcel| fresh.first(rng, now, parcel, &LINKS).unwrap());
            assert_eq!(told.each_ref().map(|(_, parcel)| parcel.travel().hops), [7, 9]);
            let told = told.map(|(link, _)| link);
            told.iter().for_each(|link| firsts[link.0 as usize] += 1);
            assert!(fresh.take_due(now).is_none() && fresh.poll_timeout().unwrap() >= now + FRESH_DELAY_MIN);
            let late = now + FRESH_DELAY_MAX;
            let given: Vec<_> = std::iter::from_fn(|| fresh.take_due(late)).collect();
            assert_eq!(given, [(told[0], parcels[0].clone()), (told[1], parcels[1].clone())]);
            assert_eq!(fresh.poll_timeout(), None);
        }
        assert!(firsts[1..].iter().all(|count| (140..260).contains(count)), "{firsts:?}");
    }

    #[test]
    fn what_another_brings_back_is_given_to_the_others_at_once_and_what_the_first_brings_back_is_not() {
        let (rng, mut fresh) = (&mut Rng::new([3; 32]), Fresh::default());
        let parcels = [parcel(rng, 5), parcel(rng, 7)];
        let told = parcels.each_ref().map(|parcel| fresh.first(rng, Instant(0), parcel, &LINKS).unwrap().0);
        fresh.heard(Instant(1), told[1], &parcels[1].id());
        assert!(fresh.take_due(Instant(1)).is_none());
        let other = LINKS.into_iter().find(|link| *link != told[1]).unwrap();
        fresh.heard(Instant(1), other, &parcels[1].id());
        assert_eq!(fresh.take_due(Instant(1)), Some((told[1], parcels[1].clone())));
        assert!(fresh.take_due(Instant(1)).is_none() && fresh.poll_timeout().is_some(), "control: the other still waits");
    }

    #[test]
    fn nothing_waits_where_nobody_could_be_told_apart_or_what_is_for_the_neighbours_alone_and_what_waits_is_bounded() {
        let (rng, mut fresh) = (&mut Rng::new([2; 32]), Fresh::default());
        let (far, near) = (parcel(rng, 5), parcel(rng, 1));
        assert_eq!(fresh.first(rng, Instant(0), &far, &LINKS[..1]), None);
        assert_eq!(fresh.first(rng, Instant(0), &near, &LINKS), None);
        let waiting = (0..2 * FRESH_MAX).filter(|_| fresh.first(rng, Instant(0), &far, &LINKS).is_some()).count();
        assert_eq!(waiting, FRESH_MAX);
        assert!(FRESH_DELAY_MAX < Duration::from_secs(1));
    }
}
