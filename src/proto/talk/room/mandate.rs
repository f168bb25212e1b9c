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
    /// them, and each term's mandate leads on from the one before. `missed` is the term that we know to have been founded.
    pub(super) fn is_led_to(&mut self, state: &State, missed: Ballot) -> bool {
        let shared = self.meta.epochs.at(missed.after).map_or(self.meta.roster.seats().count(), |epoch| epoch.seats);
        let ours: Vec<(SeatId, [u8; 32])> = self.meta.roster.seats().take(shared).map(|(_, seat)| (seat.id, seat.key)).collect();
        let is_as_known = state.roster.seats().map(|(_, seat)| (seat.id, seat.key)).take(shared).eq(ours);
        if !is_as_known || state.mandates.len() > MANDATES_MAX {
            return false;
        }
        let goodbyes = state.roster.seats().take(shared);
        let goodbyes = goodbyes.filter_map(|(seat, known)| Some(Reason::Goodbye { seat, signature: known.goodbye? }));
        self.learn_reasons(&goodbyes.collect::<Vec<_>>());
        // The last that holds, and who of those we know came into its term with it.
        let mut last: Option<(Ballot, Vec<SeatNumber>)> = None;
        for mandate in state.mandates.iter().filter(|mandate| self.is_signed(&state.roster, mandate)) {
            let ballot = &mandate.ballot;
            let known = mandate.consents.iter().filter(|consent| usize::from(consent.seat) < shared);
            let known: Vec<_> = known.filter(|consent| self.consented(&state.roster, ballot, consent)).collect();
            let mut seats: Vec<_> = known.iter().map(|consent| consent.seat).collect();
            seats.sort_unstable();
            seats.dedup();
            let leads_on = |(before, came): &(Ballot, Vec<SeatNumber>)| {
                before.term == ballot.after.0 && before.term < ballot.term && self.is_most_of(&seats, came, shared)
            };
            let is_from_here = self.meta.epochs.at(ballot.after).is_some() && {
                let electors = self.electors(ballot.after, &seats);
                seats.contains(&ballot.successor) && electors.contains(&ballot.successor) && self.may_found(&seats, &electors)
            };
            if *ballot == missed || is_from_here || last.as_ref().is_some_and(leads_on) {
                seats.retain(|seat| known.iter().any(|consent| consent.seat == *seat && consent.stands == ballot.after));
                last = Some((*ballot, seats));
            }
        }
        last.is_some_and(|(ballot, _)| (ballot.term, ballot.successor) == (state.term, state.chair))
    }

    /// Whether two or more consented whom we know, and they are more than half of those who came into the term before and still sit, or
    /// of all who sit among the first `shared`. Who else was admitted to that term is the word of its members, and counts for nothing.
    fn is_most_of(&self, seats: &[SeatNumber], came: &[SeatNumber], shared: usize) -> bool {
        let all: Vec<_> = self.meta.roster.seats().take(shared).map(|(number, _)| number).collect();
        let most = |of: &[SeatNumber]| {
            let sitting: Vec<_> = of.iter().filter(|number| self.sits(**number)).collect();
            2 * sitting.iter().filter(|number| seats.contains(number)).count() > sitting.len()
        };
        seats.len() >= 2 && (most(came) || most(&all))
    }
}
