//! A commit as the chair says it: with the chair's signature and with its reasons, so that whoever hears it can judge it alone.
//!
//! Laws: a removal shows the goodbye of its seat, or the signed wishes of more than half of the others; nobody needs to have heard
//! them before. A chair that signs two commits for one epoch has split the room, and everybody who sees both can prove it.

use super::Room;
use crate::proto::secret::hash;
use crate::proto::talk::close::leave_holds;
use crate::proto::talk::entry::{SeatNumber, Sig};
use crate::proto::talk::group::verify;
use crate::proto::talk::rejoin::{RejoinKey, Returned};
use crate::proto::talk::roster::Seat;
use crate::proto::wire::encode;
use serde::{Deserialize, Serialize};

const COMMIT_DOMAIN: &str = "commit";
const REMOVAL_DOMAIN: &str = "removal";

/// A signed commit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Commit {
    /// The term and epoch that it ends.
    pub(super) place: (u32, u64),
    /// For MLS.
    pub(super) bytes: Vec<u8>,
    /// Devices that come back by it.
    pub(super) returned: Vec<Returned>,
    /// Why somebody goes, and who else has gone.
    pub(super) reasons: Vec<Reason>,
    /// By the chair, over the room and all of this.
    pub(super) signature: Sig,
}

/// What a seat signed and anybody who knows its key can check.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Reason {
    /// This seat has left.
    Goodbye { seat: SeatNumber, signature: Sig },
    /// This seat named the key by which its device comes back.
    Named { seat: SeatNumber, key: RejoinKey },
    /// This seat wants that one removed.
    Wish { by: SeatNumber, target: SeatNumber, signature: Sig },
}

impl Commit {
    fn signed_hash(place: (u32, u64), bytes: &[u8], returned: &[Returned], reasons: &[Reason]) -> [u8; 32] {
        hash("alcove/1 commit", &[&encode(&(place, bytes, returned, reasons))])
    }

    /// What tells it from every other.
    pub(super) fn hash(&self) -> [u8; 32] {
        Self::signed_hash(self.place, &self.bytes, &self.returned, &self.reasons)
    }

    /// Whether the chair of its term signed it.
    pub(super) fn holds(&self, room: &[u8; 16], chair: &Seat) -> bool {
        verify(&chair.key, COMMIT_DOMAIN, &[room, &self.hash()], &self.signature.to_bytes())
    }
}

impl Room {
    /// Signs a commit of ours for the epoch that it ends.
    pub(super) fn sign_commit(&self, place: (u32, u64), bytes: Vec<u8>, returned: Vec<Returned>, reasons: Vec<Reason>) -> Commit {
        let hash = Commit::signed_hash(place, &bytes, &returned, &reasons);
        let signature = self.keys.sign(COMMIT_DOMAIN, &[&self.room, &hash]).into();
        Commit { place, bytes, returned, reasons, signature }
    }

    /// Our wish that a seat be removed.
    pub(crate) fn wish(&self, target: SeatNumber) -> Option<Sig> {
        let seat = self.meta.roster.seat(target)?.id;
        Some(self.keys.sign(REMOVAL_DOMAIN, &[&self.room, &self.keys.id().0, &seat.0]).into())
    }

    /// Whether a seat wished this.
    pub(super) fn wish_holds(&self, by: SeatNumber, target: SeatNumber, signature: &Sig) -> bool {
        let (Some(by), Some(target)) = (self.meta.roster.seat(by), self.meta.roster.seat(target)) else { return false };
        verify(&by.key, REMOVAL_DOMAIN, &[&self.room, &by.id.0, &target.id.0], &signature.to_bytes())
    }

    /// What others need to know to find the removal of this seat just: who has left, who lets its device back, and who wants it gone.
    pub(super) fn reasons_for(&self, removed: Option<SeatNumber>) -> Vec<Reason> {
        let Some(target) = removed else { return Vec::new() };
        let named = self.meta.roster.seat(target).and_then(|seat| Some(Reason::Named { seat: target, key: seat.rejoin_key? }));
        let wishes = self.meta.roster.wishes(target).map(|(by, signature)| Reason::Wish { by, target, signature });
        self.goodbyes().chain(named).chain(wishes).collect()
    }

    /// Who has left, each by its own word.
    pub(super) fn goodbyes(&self) -> impl Iterator<Item = Reason> {
        self.meta.roster.seats().filter_map(|(seat, known)| Some(Reason::Goodbye { seat, signature: known.goodbye? }))
    }

    /// Takes up those reasons that hold and are new.
    pub(super) fn learn_reasons(&mut self, reasons: &[Reason]) {
        for reason in reasons {
            match *reason {
                Reason::Goodbye { seat: number, signature } => {
                    let Some(seat) = self.meta.roster.seat(number).filter(|seat| seat.goodbye.is_none()) else { continue };
                    if leave_holds(&self.room, seat.id, &seat.key, &signature) {
                        self.meta.roster.leave(number, signature);
                        self.meta.closing.votes.remove(&number);
                    }
                }
                Reason::Named { seat: number, key } => {
                    // A seat that names one key to some and another to others is heard as the chair heard it, or they would part here.
                    let Some(seat) = self.meta.roster.seat_mut(number).filter(|seat| seat.rejoin_key != Some(key)) else {
                        continue;
                    };
                    if key.is_of(&self.room, seat.id, &seat.key) {
                        seat.rejoin_key = Some(key);
                    }
                }
                Reason::Wish { by, target, signature } if self.wish_holds(by, target, &signature) => {
                    self.meta.roster.vote_removal(by, target, signature);
                }
                Reason::Wish { .. } => {}
            }
        }
    }
}
