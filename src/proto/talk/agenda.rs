//! What waits for the chair: who asks to be let in, and when the next commit is due.
//!
//! Laws: nobody waits twice; what comes within a moment goes into one commit; both lists are bounded, and what no longer fits asks again
//! or is vouched for again.

use super::entry::SeatNumber;
use super::rejoin::{Rejoin, Returned};
use super::seats::Offer;
use crate::proto::config::{CANDIDATES_MAX, COMMIT_GATHER};
use crate::proto::time::Instant;

/// Somebody to be let in.
#[cfg_attr(test, derive(Clone))]
pub enum Admission {
    /// A stranger.
    New(Offer),
    /// A device that lost its keys.
    Return(Rejoin),
    /// A seat that was away when this term was founded.
    Late {
        /// Which.
        seat: SeatNumber,
        /// The place at which it stayed behind.
        after: (u32, u64),
        /// By which it comes in.
        key_package: Vec<u8>,
    },
}

impl Admission {
    /// What a stranger or a returning device handed in; a seat that follows late needs none.
    pub fn offer(&self) -> Option<&Offer> {
        match self {
            Admission::New(offer) => Some(offer),
            Admission::Return(rejoin) => Some(&rejoin.offer),
            Admission::Late { .. } => None,
        }
    }

    /// By which it comes into the group.
    pub fn key_package(&self) -> &[u8] {
        match self {
            Admission::New(offer) => &offer.key_package,
            Admission::Return(rejoin) => &rejoin.offer.key_package,
            Admission::Late { key_package, .. } => key_package,
        }
    }

    /// As a commit names it, if it is a returned device.
    pub fn returned(&self) -> Option<Returned> {
        match self {
            Admission::New(_) | Admission::Late { .. } => None,
            Admission::Return(rejoin) => rejoin.returned(),
        }
    }
}

/// All of it. Members that do not chair keep it too: any of them may have to.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Agenda {
    admissions: Vec<Admission>,
    /// For whom members vouched while another had the chair.
    vouched: Vec<Offer>,
    commit_at: Option<Instant>,
}

impl Agenda {
    /// Something is to be committed: not before more may have come.
    pub fn call(&mut self, now: Instant) {
        self.commit_at.get_or_insert(now + COMMIT_GATHER);
    }

    /// Nothing is to be committed until the next call.
    pub fn adjourn(&mut self) {
        self.commit_at = None;
    }

    /// When to commit.
    pub fn due(&self) -> Option<Instant> {
        self.commit_at
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.admissions.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.admissions.is_empty()
    }

    /// Whether one more could wait: it does not yet, and there is room.
    pub fn has_room_for(&self, admission: &Admission) -> bool {
        let waits = self.admissions.iter().any(|other| other.key_package() == admission.key_package());
        !waits && self.admissions.len() < CANDIDATES_MAX
    }

    /// Lets somebody wait.
    pub fn add(&mut self, admission: Admission) {
        self.admissions.push(admission);
    }

    /// The same, in the place of an earlier request of the same seat.
    pub fn add_late(&mut self, late: SeatNumber, after: (u32, u64), key_package: Vec<u8>) {
        self.admissions.retain(|admission| !matches!(admission, Admission::Late { seat, .. } if *seat == late));
        self.admissions.push(Admission::Late { seat: late, after, key_package });
    }

    /// Whether a seat waits that follows late.
    pub fn has_late(&self) -> bool {
        self.admissions.iter().any(|admission| matches!(admission, Admission::Late { .. }))
    }

    /// The old seat of the first returning device.
    pub fn returning(&self) -> Option<SeatNumber> {
        self.admissions.iter().find_map(|admission| match admission {
            Admission::Return(rejoin) => Some(rejoin.old),
            Admission::New(_) | Admission::Late { .. } => None,
        })
    }

    /// Something is still to be committed, but not now.
    pub fn postpone(&mut self, at: Instant) {
        self.commit_at = Some(at);
    }

    /// The first returning device, whose old seat goes in the same commit.
    pub fn take_return(&mut self) -> Option<Rejoin> {
        let place = self.admissions.iter().position(|admission| matches!(admission, Admission::Return(_)))?;
        match self.admissions.remove(place) {
            Admission::Return(rejoin) => Some(rejoin),
            Admission::New(_) | Admission::Late { .. } => None,
        }
    }

    /// The strangers among those who wait.
    pub fn take_new(&mut self) -> Vec<Admission> {
        self.admissions.extract_if(.., |admission| matches!(admission, Admission::New(_))).collect()
    }

    /// All who wait.
    pub fn take(&mut self) -> Vec<Admission> {
        std::mem::take(&mut self.admissions)
    }

    /// Keeps an offer for a chair to come. False if there is no room for it.
    pub fn vouch(&mut self, offer: Offer) -> bool {
        let has_room = self.vouched.len() < CANDIDATES_MAX;
        if has_room {
            self.vouched.push(offer);
        }
        has_room
    }

    /// The offers that were kept.
    pub fn take_vouched(&mut self) -> Vec<Offer> {
        std::mem::take(&mut self.vouched)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::id::WriteName;
    use crate::proto::time::Duration;

    impl Agenda {
        pub(crate) fn admissions(&self) -> &[Admission] {
            &self.admissions
        }

        pub(crate) fn vouched(&self) -> usize {
            self.vouched.len()
        }
    }

    fn offer(name: u8) -> Offer {
        let (commitment, reply, reply_mailbox) = ([0; 32], [0; 32], WriteName([0; 16]));
        Offer { round: 0, key_package: vec![name], commitment, reply, reply_mailbox }
    }

    #[test]
    fn nobody_waits_twice_and_only_so_many_wait() {
        let mut agenda = Agenda::default();
        for name in 0..=u8::MAX {
            let admission = Admission::New(offer(name));
            if agenda.has_room_for(&admission) {
                agenda.add(admission);
            }
            assert!(!agenda.has_room_for(&Admission::New(offer(0))));
            agenda.vouch(offer(name));
        }
        assert_eq!((agenda.len(), agenda.vouched()), (CANDIDATES_MAX, CANDIDATES_MAX));
        let mut agenda = Agenda::default();
        (0..3).for_each(|package| agenda.add_late(1, (1, 1), vec![package]));
        assert_eq!(agenda.take().iter().map(Admission::key_package).collect::<Vec<_>>(), [[2]], "its last request counts");
    }

    #[test]
    fn what_comes_within_a_moment_goes_into_one_commit() {
        let (mut agenda, at) = (Agenda::default(), Instant(1_000));
        agenda.call(at);
        agenda.call(at + Duration::from_millis(100));
        assert_eq!(agenda.due(), Some(at + COMMIT_GATHER));
        agenda.adjourn();
        assert_eq!(agenda.due(), None);
    }
}
