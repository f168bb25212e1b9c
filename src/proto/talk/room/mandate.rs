//! Who may found a term: what seats consent to, how many must, and how it is shown to a seat that was away.
//!
//! Laws: a consent names the successor by its seat and key, so that it stands for nobody else; and whoever follows to a later term
//! follows only consents of seats that it knows.

use super::Room;
use super::commit::Reason;
use super::opening::State;
use crate::proto::config::MANDATES_MAX;
use crate::proto::id::SeatId;
use crate::proto::secret::hash;
use crate::proto::talk::entry::{SeatNumber, Sig};
use crate::proto::talk::group::{Member, check_key_package, verify};
use crate::proto::talk::roster::{Roster, Standing};
use crate::proto::wire::encode;
use serde::{Deserialize, Serialize};

const DOMAIN: &str = "consent to a term";
const FOUNDING_DOMAIN: &str = "founding of a term";

/// What is consented to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Ballot {
    /// The term to be founded.
    pub(super) term: u32,
    /// The term and epoch that it follows.
    pub(super) after: (u32, u64),
    /// Who founds it and will chair it.
    pub(super) successor: SeatNumber,
}

/// That a seat consents to a ballot. It can be shown to anybody who knows the seat's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Consent {
    pub(super) seat: SeatNumber,
    /// Where it stands: at the place that the term follows, or behind it. Then it has to be let in.
    pub(super) stands: (u32, u64),
    /// The hash of the key package by which it takes part.
    package: [u8; 32],
    signature: Sig,
}

/// A seat's consent, with what it takes to be part of the term.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Grant {
    pub(super) ballot: Ballot,
    pub(super) seat: SeatNumber,
    pub(super) stands: (u32, u64),
    pub(super) key_package: Vec<u8>,
    signature: Sig,
}

/// A founded term that we are not part of.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Missed {
    pub(super) ballot: Ballot,
    /// Who came into it with its founding.
    pub(super) came: Vec<SeatNumber>,
}

/// The consents by which a term was founded: all of them, by the successor's signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Mandate {
    ballot: Ballot,
    consents: Vec<Consent>,
    /// The hash of what else was said with it.
    rest: [u8; 32],
    pub(super) signature: Sig,
}

impl Mandate {
    pub(super) fn new(ballot: Ballot, grants: &[Grant], goodbyes: &[Reason], welcome: &[u8], signature: Sig) -> Mandate {
        let rest = hash("alcove/1 with a founding", &[&encode(&(goodbyes, welcome))]);
        Mandate { ballot, consents: grants.iter().map(Grant::consent).collect(), rest, signature }
    }

    fn hash(&self) -> [u8; 32] {
        hash("alcove/1 founding of a term", &[&encode(&(self.ballot, &self.consents)), &self.rest])
    }
}

impl Grant {
    fn consent(&self) -> Consent {
        let Grant { ballot: _, seat, stands, ref key_package, signature } = *self;
        Consent { seat, stands, package: package_hash(key_package), signature }
    }
}

fn package_hash(key_package: &[u8]) -> [u8; 32] {
    hash("alcove/1 key package", &[key_package])
}

/// What a consent says, if the successor has a seat.
fn statement(roster: &Roster, ballot: &Ballot, stands: (u32, u64), package: &[u8; 32]) -> Option<Vec<u8>> {
    let successor = roster.seat(ballot.successor)?;
    Some(encode(&(ballot, successor.id, successor.key, stands, package)))
}

impl Room {
    /// Our own consent.
    pub(super) fn consent(&self, ballot: Ballot, key_package: Vec<u8>) -> Option<Grant> {
        let stands = self.place_in_chain();
        let said = statement(&self.meta.roster, &ballot, stands, &package_hash(&key_package))?;
        let signature = self.keys.sign(DOMAIN, &[&self.room, &said]).into();
        Some(Grant { ballot, seat: self.meta.me, stands, key_package, signature })
    }

    /// Whether a seat granted this, with a key package of its own.
    pub(super) fn holds(&self, grant: &Grant) -> bool {
        let is_its_own = |member: Member| {
            let seat = self.meta.roster.seat(grant.seat);
            seat.is_some_and(|seat| (member.seat, member.key) == (seat.id, seat.key))
        };
        self.consented(&self.meta.roster, &grant.ballot, &grant.consent())
            && check_key_package(&grant.key_package).is_ok_and(is_its_own)
    }

    /// Whether a seat of this roster consented to this ballot.
    fn consented(&self, roster: &Roster, ballot: &Ballot, consent: &Consent) -> bool {
        let said = statement(roster, ballot, consent.stands, &consent.package);
        let seat = roster.seat(consent.seat).zip(said);
        seat.is_some_and(|(seat, said)| verify(&seat.key, DOMAIN, &[&self.room, &said], &consent.signature.to_bytes()))
    }

    /// Signs what we found.
    pub(super) fn sign_mandate(&self, mandate: &Mandate) -> Sig {
        self.keys.sign(FOUNDING_DOMAIN, &[&self.room, &mandate.hash()]).into()
    }

    /// Whether the successor signed it.
    pub(super) fn is_signed(&self, roster: &Roster, mandate: &Mandate) -> bool {
        let signature = mandate.signature.to_bytes();
        let signed = |key: &[u8; 32]| verify(key, FOUNDING_DOMAIN, &[&self.room, &mandate.hash()], &signature);
        roster.seat(mandate.ballot.successor).is_some_and(|successor| signed(&successor.key))
    }

    /// The seats of an epoch, but for those who said goodbye.
    pub(super) fn electors(&self, place: (u32, u64), consenting: &[SeatNumber]) -> Vec<SeatNumber> {
        let known = self.meta.epochs.at(place).or(self.meta.epochs.newest());
        let mut leaves = known.map(|known| known.leaves.clone()).unwrap_or_default();
        // Whoever consented and left since was there when it consented.
        leaves.retain(|number| consenting.contains(number) || self.sits(*number));
        leaves
    }

    fn sits(&self, number: SeatNumber) -> bool {
        self.meta.roster.seat(number).is_some_and(|seat| seat.standing == Standing::Sits)
    }

    /// Whether the consent of these seats founds a term after an epoch with these electors: more than half of them, of two both; or half
    /// of them and more than half of all that sit, where some sit that have not followed to it. Two such sets share a seat.
    pub(super) fn may_found(&self, seats: &[SeatNumber], electors: &[SeatNumber]) -> bool {
        let sits = |number: &SeatNumber| electors.contains(number) || self.sits(*number);
        let of_electors = seats.iter().filter(|seat| electors.contains(seat)).count();
        let all = self.meta.roster.seats().filter(|(number, _)| sits(number)).count();
        let of_all = seats.iter().filter(|seat| sits(seat)).count();
        let is_half = 2 * of_electors >= electors.len() && of_electors > 0;
        of_all >= 2 && (2 * of_electors > electors.len() || is_half && 2 * of_all > all)
    }

    /// Remembers by which consents the term was founded that we go on to, for those who follow later.
    pub(super) fn remember_mandate(&mut self, mandate: Mandate) {
        self.meta.mandates.retain(|former| former.ballot.term <= mandate.ballot.after.0);
        self.meta.mandates.push(mandate);
        let too_many = self.meta.mandates.len().saturating_sub(MANDATES_MAX);
        self.meta.mandates.drain(..too_many);
    }

    /// Whether the term that this state is of follows from what we know: all seats of the place where the way parted are in it as we know
    /// them, and the mandates of later terms lead on from `missed`, which we heard to be founded.
    pub(super) fn is_led_to(&mut self, state: &State, missed: &Missed) -> bool {
        let from = missed.ballot.after;
        let shared = self.meta.epochs.at(from).map_or(self.meta.roster.seats().count(), |epoch| epoch.seats);
        let ours: Vec<(SeatId, [u8; 32])> = self.meta.roster.seats().take(shared).map(|(_, seat)| (seat.id, seat.key)).collect();
        let is_as_known = state.roster.seats().map(|(_, seat)| (seat.id, seat.key)).take(shared).eq(ours);
        if !is_as_known || state.mandates.len() > MANDATES_MAX {
            return false;
        }
        self.learn_who_went(&state.roster, shared);
        // The last that holds, and who of those we know came into its term.
        let mut last = (missed.ballot, missed.came.clone());
        for mandate in &state.mandates {
            let ballot = &mandate.ballot;
            let follows = ballot.term > last.0.term && (ballot.after == from || ballot.after.0 == last.0.term);
            if !follows || !self.is_signed(&state.roster, mandate) {
                continue;
            }
            let consents = self.known(&state.roster, shared, mandate);
            let seats: Vec<_> = consents.iter().map(|consent| consent.seat).collect();
            let leads_on = if ballot.after == from {
                let electors = self.electors(from, &seats);
                electors.contains(&ballot.successor) && self.may_found(&seats, &electors)
            } else {
                self.is_most_of(&seats, &last.1, shared)
            };
            if leads_on {
                let came = consents.into_iter().filter(|consent| consent.stands == ballot.after);
                last = (*ballot, came.map(|consent| consent.seat).collect());
            }
        }
        (last.0.term, last.0.successor) == (state.term, state.chair)
    }

    /// Who of the first seats has left by its own word, or is to be removed by more than half of the others, is not counted.
    fn learn_who_went(&mut self, roster: &Roster, shared: usize) {
        let seats = || roster.seats().take(shared);
        let goodbyes = seats().filter_map(|(seat, known)| Some(Reason::Goodbye { seat, signature: known.goodbye? }));
        let wishes = seats().flat_map(|(target, _)| {
            let wishes = roster.wishes(target).filter(|(by, _)| usize::from(*by) < shared);
            wishes.map(move |(by, signature)| Reason::Wish { by, target, signature })
        });
        self.learn_reasons(&goodbyes.chain(wishes).collect::<Vec<_>>());
    }

    /// The consents that hold, of seats that we know: each seat's once, or none at all.
    fn known<'a>(&self, roster: &Roster, shared: usize, Mandate { ballot, consents, .. }: &'a Mandate) -> Vec<&'a Consent> {
        let are_in_order = consents.is_sorted_by(|one, other| one.seat < other.seat);
        let known = consents.iter().filter(|consent| are_in_order && usize::from(consent.seat) < shared);
        known.filter(|consent| self.consented(roster, ballot, consent)).collect()
    }

    /// Whether two or more consented whom we know, and they are more than half of those who came into the term before, or of all among the
    /// first `shared`, but for who went without consenting. Who else was admitted to that term is the word of its members, and counts for
    /// nothing.
    fn is_most_of(&self, seats: &[SeatNumber], came: &[SeatNumber], shared: usize) -> bool {
        let most = |of: &dyn Fn(SeatNumber) -> bool| {
            let is_here = |number: SeatNumber| self.sits(number) && !self.meta.roster.is_removal_agreed(number);
            let all = self.meta.roster.seats().take(shared).map(|(number, _)| number).filter(|number| of(*number));
            let counted: Vec<_> = all.filter(|number| seats.contains(number) || is_here(*number)).collect();
            2 * counted.iter().filter(|number| seats.contains(number)).count() > counted.len()
        };
        seats.len() >= 2 && (most(&|number| came.contains(&number)) || most(&|_| true))
    }
}
