//! The epochs that a member still knows: the keys of their parcels, who sat in them, and the steps that led from each to the next.
//!
//! Laws: a parcel is recognised by the newest epoch that it fits; whoever lags behind is led on by the very bytes that led us; what is
//! of an epoch to come waits for it. All of it is bounded, and the oldest is forgotten first. A place is a term and an epoch in it.

use super::entry::SeatNumber;
use super::group::Group;
use super::roster::Roster;
use crate::proto::config::{COMMITS_MAX, EARLY_MAX, EPOCH_KEYS_MAX};
use crate::proto::secret::Key;
use crate::proto::wire::encode;
use crate::proto::wire::parcel::{Parcel, ParcelKeys};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// All that are known, the oldest first.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(Clone))]
pub struct Epochs {
    known: VecDeque<Epoch>,
    /// After which place, and how it was said.
    steps: VecDeque<((u32, u64), Vec<u8>)>,
    /// How many of the last that are known were not yet tried on what is carried.
    #[serde(skip)]
    untried: usize,
    #[serde(skip)]
    early: VecDeque<Vec<u8>>,
}

/// One epoch.
#[derive(Clone, Serialize, Deserialize)]
pub struct Epoch {
    term: u32,
    epoch: u64,
    secret: Key,
    /// Who sat at its leaves,
    pub leaves: Vec<SeatNumber>,
    /// and how many had ever been admitted.
    pub seats: usize,
}

impl Epochs {
    /// The group has come to an epoch.
    pub fn enter(&mut self, term: u32, group: &Group, roster: &Roster) {
        if let Ok(secret) = group.export("alcove/1 parcels", &term.to_be_bytes()) {
            let leaves = group.roster().iter().filter_map(|member| roster.number(member.seat)).collect();
            self.known.push_back(Epoch { term, epoch: group.epoch(), secret, leaves, seats: roster.seats().count() });
            self.untried += 1;
        }
        keep_last(&mut self.known, EPOCH_KEYS_MAX);
    }

    /// The keys that may open what is carried already, of every epoch since this was asked; said once.
    pub fn take_new_keys(&mut self) -> Vec<ParcelKeys> {
        let untried = std::mem::take(&mut self.untried);
        self.known.iter().rev().take(untried).map(Epoch::keys).collect()
    }

    /// The last one that was entered.
    pub fn newest(&self) -> Option<&Epoch> {
        self.known.back()
    }

    /// The one at this place.
    pub fn at(&self, place: (u32, u64)) -> Option<&Epoch> {
        self.known.iter().find(|epoch| epoch.place() == place)
    }

    /// Those of former terms, and the one at this place.
    pub fn before_term(&self, term: u32, place: (u32, u64)) -> impl Iterator<Item = &Epoch> {
        self.known.iter().filter(move |epoch| epoch.term < term || epoch.place() == place)
    }

    /// The keys that recognise this parcel.
    pub fn recognise(&self, parcel: &Parcel) -> Option<ParcelKeys> {
        self.known.iter().rev().map(Epoch::keys).find(|keys| keys.recognises(parcel))
    }

    /// Keeps a message of an epoch that we have not come to.
    pub fn keep_early(&mut self, message: Vec<u8>) {
        self.early.push_back(message);
        keep_last(&mut self.early, EARLY_MAX);
    }

    /// The messages that were kept.
    pub fn take_early(&mut self) -> VecDeque<Vec<u8>> {
        std::mem::take(&mut self.early)
    }

    /// Keeps a step (a commit, or the founding of a term) for members that lag behind it. What else led on from there did not happen.
    pub fn keep_step<T: Serialize>(&mut self, after: (u32, u64), step: &T) {
        self.forget_steps(after);
        self.steps.push_back((after, encode(step)));
        keep_last(&mut self.steps, COMMITS_MAX);
    }

    /// The steps from this place on led where the others did not go.
    pub fn forget_steps(&mut self, place: (u32, u64)) {
        self.steps.retain(|(after, _)| *after < place);
    }

    /// The step that we took from this place.
    pub fn step_after(&self, place: (u32, u64)) -> Option<&[u8]> {
        self.steps.iter().find(|(after, _)| *after == place).map(|(_, step)| &step[..])
    }

    /// What leads on from this place, each step with the keys of those whom it concerns.
    pub fn steps_from(&self, place: (u32, u64)) -> impl Iterator<Item = (ParcelKeys, &[u8])> {
        let steps = self.steps.iter().filter(move |(after, _)| *after >= place);
        steps.filter_map(|(after, step)| Some((self.at(*after)?.keys(), &step[..])))
    }
}

impl Epoch {
    /// The keys of its parcels.
    pub fn keys(&self) -> ParcelKeys {
        ParcelKeys::new(&self.secret)
    }

    fn place(&self) -> (u32, u64) {
        (self.term, self.epoch)
    }
}

fn keep_last<T>(queue: &mut VecDeque<T>, max: usize) {
    while queue.len() > max {
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;
    use crate::proto::talk::group::SeatKeys;
    use crate::proto::wire::parcel::Travel;

    impl Epochs {
        /// The places of all that are known, and all steps.
        pub(crate) fn places(&self) -> Vec<(u32, u64)> {
            self.known.iter().map(Epoch::place).collect()
        }

        pub(crate) fn early(&self) -> usize {
            self.early.len()
        }

        pub(crate) fn steps(&self) -> impl Iterator<Item = &[u8]> {
            self.steps.iter().map(|(_, step)| &step[..])
        }
    }

    /// A member of two that has come through so many terms.
    fn epochs(terms: u32) -> Epochs {
        let rng = &mut Rng::new([1; 32]);
        let (host, mut guest) = (SeatKeys::generate(rng), SeatKeys::generate(rng));
        let package = guest.key_package(rng).unwrap();
        let (group, _) = Group::found(rng, &host, [5; 16], &[package], &Key([4; 32]), b"roster").unwrap();
        let (mut roster, mut epochs) = (Roster::default(), Epochs::default());
        for member in group.roster() {
            roster.admit(member.seat, member.key);
        }
        (1..=terms).for_each(|term| epochs.enter(term, &group, &roster));
        epochs
    }

    #[test]
    fn parcels_of_the_last_epochs_are_recognised_and_of_no_older_ones() {
        let rng = &mut Rng::new([2; 32]);
        let max = u32::try_from(EPOCH_KEYS_MAX).unwrap();
        let mut of = |term| {
            let keys = epochs(term).newest().unwrap().keys();
            (keys.seal(rng, Travel { expiry_hours: 500_000, ephemeral: false, hops: 5 }, b"notes").unwrap(), keys)
        };
        let (forgotten, _) = of(1);
        let (oldest, oldest_keys) = of(2);
        let (newest, newest_keys) = of(max + 1);
        let known = epochs(max + 1);
        assert_eq!(known.places().len(), EPOCH_KEYS_MAX);
        assert_eq!(known.recognise(&forgotten), None);
        assert_eq!(known.recognise(&oldest), Some(oldest_keys));
        assert_eq!(known.recognise(&newest), Some(newest_keys));
    }

    #[test]
    fn whoever_lags_is_led_on_from_where_it_stands_by_the_same_bytes() {
        let mut epochs = epochs(4);
        (1..=3).for_each(|term| epochs.keep_step((term, 1), &term));
        let led: Vec<_> = epochs.steps_from((2, 1)).map(|(keys, step)| (keys, step.to_vec())).collect();
        let keys = |term| epochs.at((term, 1)).unwrap().keys();
        assert_eq!(led, [(keys(2), encode(&2_u32)), (keys(3), encode(&3_u32))]);
        assert_eq!(epochs.step_after((1, 1)), Some(&encode(&1_u32)[..]));
        assert_eq!(epochs.steps_from((4, 1)).count(), 0, "nobody is ahead of us");
    }

    #[test]
    fn what_led_on_from_where_another_way_was_taken_is_forgotten() {
        let mut epochs = epochs(4);
        (1..=3).for_each(|term| epochs.keep_step((term, 1), &term));
        epochs.keep_step((2, 1), &9_u32);
        let nine = encode(&9_u32);
        assert_eq!(epochs.steps().collect::<Vec<_>>(), [&encode(&1_u32)[..], &nine]);
        assert_eq!(epochs.step_after((2, 1)), Some(&nine[..]));
    }

    #[test]
    fn of_what_came_too_early_the_last_waits() {
        let mut epochs = Epochs::default();
        (0..=u8::MAX).for_each(|message| epochs.keep_early(vec![message]));
        let early = epochs.take_early();
        assert_eq!((early.len(), early.back(), epochs.early()), (EARLY_MAX, Some(&vec![u8::MAX]), 0));
    }

    #[test]
    fn the_keys_of_all_new_epochs_are_said_once_and_not_again_after_a_restart() {
        let mut epochs = epochs(2);
        let mut again: Epochs = crate::proto::wire::decode(&encode(&epochs), "epochs").unwrap();
        let all: Vec<_> = [2, 1].map(|term| epochs.at((term, 1)).unwrap().keys()).into();
        assert_eq!([epochs.take_new_keys(), epochs.take_new_keys(), again.take_new_keys()], [all, Vec::new(), Vec::new()]);
    }
}
