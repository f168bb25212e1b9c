//! How a talk ends for all: votes, the certificate that everybody agreed, and the receipt that remains.
//!
//! Laws: a vote is signed over the talk and every seat that must agree; the certificate is complete or it is nothing; whoever holds it
//! erases, and nobody's own erasure waits for anybody. What remains tells that there was a talk with n seats and which of them (never
//! who) confirmed that it is gone; its keys open nothing of the talk.

use super::entry::{ProposalId, SeatNumber, Sig, Vote};
use super::group::{SeatKeys, verify};
use super::rejoin::RejoinKey;
use crate::proto::id::{SeatId, WriteName};
use crate::proto::secret::{Key, hash};
use crate::proto::time::{Instant, WallTime};
use crate::proto::wire::encode;
use crate::proto::wire::parcel::ParcelKeys;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

const VOTE_DOMAIN: &str = "close vote";
const LEAVE_DOMAIN: &str = "leave";

/// The keys that outlive a talk's content: they open certificates and confirmations of this talk, and nothing else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Afterlife {
    /// Seals certificates.
    closing: Key,
    /// Seals confirmations.
    receipt: Key,
    /// HMAC(founding secret, "closed"): tells this talk from all others, and from a card by nobody.
    pub marker: [u8; 32],
}

impl Afterlife {
    /// From the secret of the founding epoch.
    pub fn new(founding: &Key) -> Afterlife {
        let marker = founding.mac(&[b"closed"]);
        Afterlife { closing: founding.derive("alcove/1 closing", &[]), receipt: founding.derive("alcove/1 receipt", &[]), marker }
    }

    /// For certificates.
    pub fn closing_keys(&self) -> ParcelKeys {
        ParcelKeys::new(&self.closing)
    }

    /// For confirmations.
    pub fn receipt_keys(&self) -> ParcelKeys {
        ParcelKeys::new(&self.receipt)
    }
}

/// A seat in a certificate.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ClosedSeat {
    /// Whose.
    pub seat: SeatId,
    /// Its Ed25519 key.
    pub key: [u8; 32],
    /// How it ended.
    pub end: SeatEnd,
}

/// How a seat ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SeatEnd {
    /// It agreed.
    Voted(Vote),
    /// It had left; signed by it.
    Left(Sig),
    /// Its device came back as another seat of this certificate; signed by its re-join key.
    Replaced {
        /// The re-join key, as the seat itself named it.
        by: RejoinKey,
        /// As which seat.
        newer: SeatId,
        /// Over both seats.
        signature: Sig,
    },
}

/// Proof that every seat ever admitted agreed to close, left, or came back as one that did.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// All of them, in the order of admission.
    pub seats: Vec<ClosedSeat>,
}

impl Certificate {
    /// The proposal that the voters agreed to; `None` if they did not agree to one.
    pub fn proposal(&self) -> Option<ProposalId> {
        let mut votes = self.seats.iter().filter_map(|seat| match &seat.end {
            SeatEnd::Voted(vote) => Some(vote.proposal),
            SeatEnd::Left(_) | SeatEnd::Replaced { .. } => None,
        });
        let first = votes.next()?;
        votes.all(|other| other == first).then_some(first)
    }

    /// Whether it holds by itself: every signature, one proposal, and one set of voters over which all of them voted.
    pub fn holds(&self, room: &[u8; 16]) -> bool {
        let set = set_hash(room, self.seats.iter().filter(|seat| matches!(seat.end, SeatEnd::Voted(_))).map(|seat| &seat.seat));
        let seat_holds = |seat: &ClosedSeat| match &seat.end {
            SeatEnd::Voted(vote) => vote.set == set && vote_holds(room, seat.seat, &seat.key, vote),
            SeatEnd::Left(signature) => leave_holds(room, seat.seat, &seat.key, signature),
            SeatEnd::Replaced { by, newer, signature } => {
                // Without the seat's own word for the key, anybody could bring anybody back as himself.
                by.is_of(room, seat.seat, &seat.key)
                    && by.lets_back(room, seat.seat, *newer, signature)
                    && self.seats.iter().any(|other| other.seat == *newer)
            }
        };
        self.proposal().is_some() && self.seats.iter().all(seat_holds)
    }

    /// The hashes of the tokens by which the voters confirm that they have erased.
    pub fn token_hashes(&self) -> Vec<[u8; 32]> {
        let voted = |seat: &ClosedSeat| match &seat.end {
            SeatEnd::Voted(vote) => Some(vote.token_hash),
            SeatEnd::Left(_) | SeatEnd::Replaced { .. } => None,
        };
        self.seats.iter().filter_map(voted).collect()
    }
}

/// What is said under the keys that outlive the room's epochs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ClosingWord {
    /// Everybody agreed.
    Certificate(Certificate),
    /// This seat has left, or was removed, and has erased: nobody has to wait for its consent.
    Goodbye {
        /// Whose.
        seat: SeatId,
        /// By it, over the room and itself.
        signature: Sig,
    },
}

/// Where a room stands on its way to the close.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Closing {
    /// The proposal on the table, and when it was first seen here.
    pub proposal: Option<(ProposalId, Instant)>,
    /// Who agrees.
    pub votes: BTreeMap<SeatNumber, Vote>,
    /// What we show once we have erased; its hash is in our vote.
    pub token: Option<[u8; 16]>,
    /// Proposals that lapsed while others were heard, or that others retracted: no vote for them counts any more, whoever still shows one.
    pub lapsed: BTreeSet<ProposalId>,
}

impl Closing {
    /// A proposal is seen, by itself or in a vote. Of several the lowest is on the table, so that all come to agree on one.
    pub fn see(&mut self, proposal: ProposalId, now: Instant) {
        if self.lapsed.contains(&proposal) {
            return;
        }
        match &mut self.proposal {
            Some((known, _)) => *known = (*known).min(proposal),
            None => self.proposal = Some((proposal, now)),
        }
    }

    /// A proposal is over: it leaves the table, and so do the votes for it. `is_known` unless we were away and the others may have
    /// agreed in time: then their certificate still counts.
    pub fn drop_proposal(&mut self, proposal: ProposalId, is_known: bool) {
        if is_known {
            self.lapsed.insert(proposal);
        }
        self.votes.retain(|_, vote| vote.proposal != proposal);
        if self.proposal.is_some_and(|(known, _)| known == proposal) {
            self.proposal = None;
        }
    }
}

/// Hash of the seats that must all agree.
pub fn set_hash<'a>(room: &[u8; 16], seats: impl Iterator<Item = &'a SeatId>) -> [u8; 32] {
    let parts: Vec<&[u8]> = [&room[..]].into_iter().chain(seats.map(|seat| &seat.0[..])).collect();
    hash("alcove/1 close set", &parts)
}

/// Our consent.
pub fn vote(keys: &SeatKeys, room: &[u8; 16], proposal: ProposalId, set: [u8; 32], token: &[u8; 16]) -> Vote {
    let token_hash = token_hash(token);
    let signature = keys.sign(VOTE_DOMAIN, &[room, &keys.id().0, &encode(&proposal), &set, &token_hash]).into();
    Vote { proposal, set, token_hash, signature }
}

/// Whether a vote is its seat's.
pub fn vote_holds(room: &[u8; 16], seat: SeatId, key: &[u8; 32], vote: &Vote) -> bool {
    let parts: [&[u8]; 5] = [room, &seat.0, &encode(&vote.proposal), &vote.set, &vote.token_hash];
    verify(key, VOTE_DOMAIN, &parts, &vote.signature.to_bytes())
}

/// Our goodbye.
pub fn leave(keys: &SeatKeys, room: &[u8; 16]) -> Sig {
    keys.sign(LEAVE_DOMAIN, &[room, &keys.id().0]).into()
}

/// Whether a goodbye is its seat's.
pub fn leave_holds(room: &[u8; 16], seat: SeatId, key: &[u8; 32], signature: &Sig) -> bool {
    verify(key, LEAVE_DOMAIN, &[room, &seat.0], &signature.to_bytes())
}

/// What a vote promises to show after the erasure.
pub fn token_hash(token: &[u8; 16]) -> [u8; 32] {
    hash("alcove/1 erased", &[token])
}

/// How a talk ended on this device.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Ending {
    /// All agreed.
    Closed,
    /// We left.
    Left,
    /// Its time was over.
    Expired,
    /// The others removed this seat.
    Removed,
}

/// What remains of a talk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// How it ended here.
    pub ending: Ending,
    /// In which hour.
    pub ended_hours: u32,
    /// How many seats there were.
    pub seats: u8,
    /// One per seat that must confirm; ours among them.
    pub token_hashes: Vec<[u8; 32]>,
    /// Which of them have.
    pub confirmed: Vec<bool>,
    /// Tells late certificates and confirmations.
    pub afterlife: Afterlife,
    /// Until when the marker is kept.
    pub marker_until_hours: u32,
    /// In which bucket at the relay the room's parcels lay, and its last words lie.
    pub bucket: u16,
    /// What was said last, for as long as others may need it.
    pub words: Vec<LastWord>,
}

/// A sealed parcel that a device still owes the others when its talk is over: the certificate, its confirmation, its goodbye. It is
/// remembered with the receipt, because the talk itself is erased in the same moment and a crash must not take it back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastWord {
    /// The parcel's bytes.
    pub parcel: Vec<u8>,
    /// Where it also goes at the relay.
    pub mailbox: Option<WriteName>,
    /// For how many hours there.
    pub hours: u8,
    /// Whether it is withdrawn when everybody has confirmed.
    pub is_withdrawn: bool,
}

impl Receipt {
    /// The receipt of a talk that ended now.
    pub fn new(
        ending: Ending,
        wall: WallTime,
        seats: u8,
        token_hashes: Vec<[u8; 32]>,
        afterlife: Afterlife,
        marker_until_hours: u32,
        bucket: u16,
    ) -> Receipt {
        let confirmed = vec![false; token_hashes.len()];
        let (ended_hours, words) = (wall.hours(), Vec::new());
        Receipt { ending, ended_hours, seats, token_hashes, confirmed, afterlife, marker_until_hours, bucket, words }
    }

    /// Takes a token; says whether it confirmed a seat that had not been confirmed.
    pub fn confirm(&mut self, token: &[u8; 16]) -> bool {
        let hash = token_hash(token);
        let place = self.token_hashes.iter().position(|known| *known == hash);
        place.is_some_and(|place| !std::mem::replace(&mut self.confirmed[place], true))
    }

    /// Whether somebody has yet to confirm.
    pub fn is_awaited(&self) -> bool {
        self.confirmed.iter().any(|confirmed| !confirmed)
    }

    /// How many seats have confirmed, of how many.
    pub fn confirmations(&self) -> (usize, usize) {
        (self.confirmed.iter().filter(|confirmed| **confirmed).count(), self.confirmed.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;
    use crate::proto::talk::entry::{Body, Entry};

    const ROOM: [u8; 16] = [7; 16];
    const PROPOSAL: ProposalId = ProposalId(0, 1);

    fn certificate(rng: &mut Rng, count: usize) -> (Vec<SeatKeys>, Certificate) {
        let keys: Vec<_> = (0..count).map(|_| SeatKeys::generate(rng)).collect();
        let ids: Vec<_> = keys.iter().map(SeatKeys::id).collect();
        let set = set_hash(&ROOM, ids.iter());
        let seat = |keys: &SeatKeys| ClosedSeat {
            seat: keys.id(),
            key: keys.verifying_key(),
            end: SeatEnd::Voted(vote(keys, &ROOM, PROPOSAL, set, &[1; 16])),
        };
        let certificate = Certificate { seats: keys.iter().map(seat).collect() };
        (keys, certificate)
    }

    #[test]
    fn a_certificate_holds_with_every_vote_and_with_none_missing_exchanged_or_added() {
        let rng = &mut Rng::new([1; 32]);
        let (_, whole) = certificate(rng, 3);
        let (_, stranger) = certificate(rng, 1);
        assert!(whole.holds(&ROOM));
        assert!(!whole.holds(&[8; 16]), "of another room");
        let mut changed = whole.clone();
        changed.seats.pop();
        assert!(!changed.holds(&ROOM), "one missing");
        let mut changed = whole.clone();
        changed.seats.push(stranger.seats[0].clone());
        assert!(!changed.holds(&ROOM), "one added");
        let mut changed = whole.clone();
        changed.seats[0].end = whole.seats[1].end.clone();
        assert!(!changed.holds(&ROOM), "one transplanted");
        assert!(!Certificate { seats: vec![] }.holds(&ROOM));
    }

    #[test]
    fn a_seat_comes_back_in_a_certificate_only_by_the_key_that_it_named_itself() {
        let rng = &mut Rng::new([5; 32]);
        let (old, newer, forger) = (SeatKeys::generate(rng), SeatKeys::generate(rng), SeatKeys::generate(rng));
        let named = |by: &SeatKeys, at: u32| {
            let (key, body) = (forger.verifying_key(), Body::Hello { rejoin_key: forger.verifying_key() });
            RejoinKey { key, hello: by.sign("entry", &[&Entry::signed_parts(&ROOM, old.id(), at, &[0; 16], &body)]).into() }
        };
        let certificate = |by: RejoinKey| {
            let set = set_hash(&ROOM, [newer.id()].iter());
            let signature = forger.sign("re-join", &[&ROOM, &old.id().0, &newer.id().0]).into();
            let replaced = SeatEnd::Replaced { by, newer: newer.id(), signature };
            let voted = SeatEnd::Voted(vote(&newer, &ROOM, PROPOSAL, set, &[1; 16]));
            let seat = |keys: &SeatKeys, end| ClosedSeat { seat: keys.id(), key: keys.verifying_key(), end };
            Certificate { seats: vec![seat(&old, replaced), seat(&newer, voted)] }
        };
        assert!(!certificate(named(&forger, 1)).holds(&ROOM), "a key that the forger named for it");
        assert!(!certificate(named(&old, 2)).holds(&ROOM), "not its first word");
        assert!(certificate(named(&old, 1)).holds(&ROOM), "control: its own word");
    }

    #[test]
    fn votes_for_two_proposals_make_no_certificate_and_none_can_be_moved_to_another() {
        let rng = &mut Rng::new([4; 32]);
        let (keys, whole) = certificate(rng, 3);
        let SeatEnd::Voted(first) = whole.seats[0].end.clone() else { unreachable!() };
        let other = ProposalId(1, 9);
        let mut mixed = whole.clone();
        mixed.seats[0].end = SeatEnd::Voted(vote(&keys[0], &ROOM, other, first.set, &[1; 16]));
        assert!(!mixed.holds(&ROOM), "a fresh vote does not complete older ones");
        let mut moved = whole.clone();
        for seat in &mut moved.seats {
            if let SeatEnd::Voted(vote) = &mut seat.end {
                vote.proposal = other;
            }
        }
        assert!(!moved.holds(&ROOM), "the proposal is signed");
        assert!(whole.holds(&ROOM), "control");
    }

    #[test]
    fn of_two_proposals_the_lower_is_on_the_table_and_one_that_lapsed_never_comes_back() {
        let mut closing = Closing::default();
        closing.see(ProposalId(2, 5), Instant(1));
        closing.see(ProposalId(1, 7), Instant(2));
        assert_eq!(closing.proposal, Some((ProposalId(1, 7), Instant(1))));
        closing.drop_proposal(ProposalId(1, 7), true);
        closing.see(ProposalId(1, 7), Instant(3));
        assert_eq!(closing.proposal, None);
        closing.see(ProposalId(1, 8), Instant(4));
        assert!(closing.proposal.is_some(), "a new one is another");
    }

    #[test]
    fn a_seat_that_left_need_not_vote_but_its_goodbye_must_be_its_own() {
        let rng = &mut Rng::new([2; 32]);
        let keys: Vec<_> = (0..3).map(|_| SeatKeys::generate(rng)).collect();
        let set = set_hash(&ROOM, keys[..2].iter().map(SeatKeys::id).collect::<Vec<_>>().iter());
        let with_leave = |signature| Certificate {
            seats: keys
                .iter()
                .enumerate()
                .map(|(place, keys)| ClosedSeat {
                    seat: keys.id(),
                    key: keys.verifying_key(),
                    end: if place < 2 {
                        SeatEnd::Voted(vote(keys, &ROOM, PROPOSAL, set, &[1; 16]))
                    } else {
                        SeatEnd::Left(signature)
                    },
                })
                .collect(),
        };
        assert!(with_leave(leave(&keys[2], &ROOM)).holds(&ROOM));
        assert!(!with_leave(leave(&keys[1], &ROOM)).holds(&ROOM), "control: another's goodbye");
    }

    #[test]
    fn a_receipt_counts_each_confirmation_once_and_only_true_ones() {
        let founding = Key([3; 32]);
        let hashes = vec![token_hash(&[1; 16]), token_hash(&[2; 16])];
        let mut receipt = Receipt::new(Ending::Closed, WallTime(0), 2, hashes, Afterlife::new(&founding), 0, 0);
        assert!(receipt.confirm(&[1; 16]) && !receipt.confirm(&[1; 16]) && !receipt.confirm(&[9; 16]));
        assert_eq!(receipt.confirmations(), (1, 2));
    }
}
