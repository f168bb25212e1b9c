//! When the chair is gone: who may found the next term, with whose consent, and how the others follow.
//!
//! Laws: a term is founded with the signed consent of more than half of the seats that the last epoch agreed on (of two: both), or of
//! half of them and, with seats that have not followed to it, more than half of all that sit; and a seat consents once per term,
//! remembered before it is said. Any two such sets of one place share a seat, so no two successors can both have one. If a hostile seat
//! consents twice, two can: then the lower successor's term stands, and the other follows like everybody who was away. A seat that was away
//! keeps its number, its log and its words: it follows by the same chain of steps by which others follow commits.

#[cfg(test)]
mod tests;

use super::commit::Reason;
use super::mandate::{Ballot, Grant, Mandate, Missed};
use super::message::Message;
use super::opening::State;
use super::{Effect, Room};
use crate::proto::config::{
    CHAIR_SILENCE_MAX, CHAIR_SILENCE_MAX_BY_RELAY, CONSENT_INTERVAL, CONSENT_INTERVAL_MAX, CONSENT_TRIES, TERMS_AHEAD_MAX,
};
use crate::proto::cx::{Cx, Post};
use crate::proto::error::Fault;
use crate::proto::id::SeatId;
use crate::proto::io::Event;
use crate::proto::secret::{Key, hash};
use crate::proto::talk::agenda::Admission;
use crate::proto::talk::entry::{Head, SeatNumber, Sig};
use crate::proto::talk::epoch::Epoch;
use crate::proto::talk::group::{Group, Member, check_key_package, share_no_key};
use crate::proto::talk::roster::{Roster, Standing};
use crate::proto::time::{Instant, doubled};
use crate::proto::wire::parcel::ParcelKeys;
use crate::proto::wire::{decode, encode};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Steps to a new term, sealed under the keys of the epoch that it follows.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Step {
    /// A seat wants to found this term, from this epoch.
    Ask { ballot: Ballot },
    /// A seat agrees, and gives what it takes to be part of it.
    Grant(Grant),
    /// The term is founded.
    Founded(Founded),
    /// A seat that was away asks to follow.
    Late(Grant),
    /// And is let in: an MLS welcome and an encoded [`State`].
    Welcome { seat: SeatNumber, welcome: Vec<u8>, state: Vec<u8> },
}

/// The founding of a term, signed by the successor: two of one place prove that it founded twice.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Founded {
    ballot: Ballot,
    grants: Vec<Grant>,
    /// Who has left, and is not counted: whoever was away has not heard it.
    goodbyes: Vec<Reason>,
    welcome: Vec<u8>,
    signature: Sig,
}

impl Founded {
    fn mandate(&self) -> Mandate {
        Mandate::new(self.ballot, &self.grants, &self.goodbyes, &self.welcome, self.signature)
    }
}

/// What this member has promised and gathered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Succession {
    promised: Option<Ballot>,
    grants: BTreeMap<SeatNumber, Grant>,
    /// Something waits for a chair.
    pub(super) is_needed: bool,
    /// The newest founded term that we are not part of,
    missed: Option<Missed>,
    /// and our newest consent: said again it is the same, so that whatever is founded with it fits the keys we keep.
    own: Option<Grant>,
    /// Who was last heard in a former term.
    #[serde(skip)]
    behind: BTreeSet<SeatNumber>,
    /// Elapsed time starts anew with the node, and so do these.
    #[serde(skip)]
    next_try: Option<Instant>,
    #[serde(skip)]
    tries: u32,
}

impl Succession {
    /// Goes on after a restart with what is still wanted.
    pub(super) fn resume(&mut self, now: Instant) {
        self.next_try = (self.is_needed || self.missed.is_some()).then_some(now);
    }

    /// Asked once more: the next time is later if nothing comes of it.
    fn tried(&mut self, now: Instant) {
        self.next_try = Some(now + doubled(CONSENT_INTERVAL, self.tries, CONSENT_INTERVAL_MAX));
        self.tries = self.tries.saturating_add(1);
    }
}

impl Room {
    /// Something came up that only a chair can do.
    pub(super) fn need_chair(&mut self, now: Instant) {
        if !self.is_chair() {
            self.meta.succession.is_needed = true;
            self.meta.succession.next_try.get_or_insert(now);
        }
    }

    /// When [`Room::succeed`] has something to do.
    pub(super) fn succession_due(&self) -> Option<Instant> {
        self.meta.succession.next_try
    }

    /// Steps forward as a successor, if the chair is gone, something needs one, and nobody before us is here.
    pub(super) fn succeed(&mut self, cx: &mut Cx<'_>) {
        if self.meta.succession.next_try.is_none_or(|at| at > cx.now) {
            return;
        }
        self.meta.succession.next_try = Some(cx.now + CONSENT_INTERVAL);
        if let Some(Missed { ballot, .. }) = self.meta.succession.missed {
            return self.ask_to_follow(cx, ballot);
        }
        let needed = self.meta.succession.is_needed || self.next_removal().is_some();
        if !needed || self.is_chair() {
            self.meta.succession.next_try = None;
            return;
        }
        if !self.is_chair_gone(cx.now) || !self.is_first_in_line(cx.now) {
            return;
        }
        let own_term = self.meta.succession.promised.map_or(self.meta.term, |promised| promised.term.max(self.meta.term));
        let (place, tries) = (self.place_in_chain(), self.meta.succession.tries);
        let is_vain = tries > 0 && tries.is_multiple_of(CONSENT_TRIES);
        let ballot = match self.meta.succession.promised {
            // Another may have promised this term to itself and never found it: it consents to a later one.
            Some(promised) if promised.successor == self.meta.me && promised.after == place => {
                Ballot { term: promised.term.saturating_add(u32::from(is_vain)), ..promised }
            }
            _ => {
                self.meta.succession.tries = 0;
                Ballot { term: own_term.saturating_add(1), after: place, successor: self.meta.me }
            }
        };
        self.meta.succession.tried(cx.now);
        if let Some(grant) = self.grant(cx, ballot) {
            self.meta.succession.grants.retain(|_, known| known.ballot == ballot);
            self.meta.succession.grants.insert(self.meta.me, grant);
            self.persist(cx);
            self.post_step(cx, &Step::Ask { ballot });
            // Seats that have not followed to this term, or were let in and never came, read what is said in the epochs where they stayed.
            let electors = self.electors(ballot.after, &[]);
            let has_followed = |number: &SeatNumber| electors.contains(number) && !self.meta.succession.behind.contains(number);
            if self.meta.roster.sitting().any(|(number, _)| !has_followed(&number)) {
                let stayed: Vec<_> = self.meta.epochs.before_term(ballot.after.0, ballot.after).map(Epoch::keys).collect();
                for keys in stayed.into_iter().filter(|keys| *keys != self.keys_at(ballot.after)) {
                    let post = Post::new(&keys, &Message::Step(Step::Ask { ballot }));
                    cx.post(post.with_mailbox(self.mailbox(cx), self.talk));
                }
            }
        }
    }

    /// Takes a step of somebody.
    pub(super) fn take_step(&mut self, cx: &mut Cx<'_>, step: Step) -> Result<Vec<Effect>, Fault> {
        match step {
            Step::Ask { ballot } => self.take_ballot(cx, ballot),
            Step::Grant(grant) => self.take_grant(cx, grant)?,
            Step::Founded(founded) => return self.take_founded(cx, founded),
            Step::Late(grant) => self.take_late(cx, grant)?,
            Step::Welcome { seat, welcome, state } if seat == self.meta.me => return self.take_welcome(cx, &welcome, &state),
            Step::Welcome { .. } => {}
        }
        Ok(Vec::new())
    }

    /// The newest founded term that we are not part of.
    fn missed(&self) -> Option<Ballot> {
        self.meta.succession.missed.as_ref().map(|missed| missed.ballot)
    }

    /// Who founds a later term from where we are, with our consent: until it is silent, nothing may come behind this place.
    pub(super) fn awaited_successor(&self, now: Instant) -> Option<SeatNumber> {
        let promised = self.meta.succession.promised.filter(|promised| promised.term > self.meta.term)?;
        let is_awaited = promised.after == self.place_in_chain() && promised.successor != self.meta.me;
        (is_awaited && !self.is_silent(promised.successor, now)).then_some(promised.successor)
    }

    /// Where the others are too: our epoch, or the last one before the chair split the room.
    pub(super) fn place_in_chain(&self) -> (u32, u64) {
        self.meta.split.unwrap_or((self.meta.term, self.group.epoch()))
    }

    /// Whether another may take the chair's place. Whom more than half of the others want removed does not do it itself; who chairs knows
    /// that it is here, though it never hears itself.
    fn is_chair_gone(&self, now: Instant) -> bool {
        let chair = self.meta.chair;
        let is_silent = || !self.is_chair() && self.is_silent(chair, now);
        self.meta.split.is_some() || self.meta.roster.is_removal_agreed(chair) || is_silent()
    }

    /// Whether a chair does not sit any more, or was not heard for so long that another may take its place.
    fn is_silent(&self, chair: SeatNumber, now: Instant) -> bool {
        let all_near = self.meta.roster.sitting().all(|(_, seat)| seat.at_table);
        let patience = if all_near { CHAIR_SILENCE_MAX } else { CHAIR_SILENCE_MAX_BY_RELAY };
        let sits = self.meta.roster.seat(chair).is_some_and(|seat| seat.standing == Standing::Sits);
        !sits || now.since(self.attendance.silent_since(chair)) > patience
    }

    /// A seat says which term it is in.
    pub(super) fn note_term(&mut self, seat: SeatNumber, term: u32) {
        match term < self.meta.term {
            true => self.meta.succession.behind.insert(seat),
            false => self.meta.succession.behind.remove(&seat),
        };
    }

    /// Whether nobody is here who comes before us. Whoever has not followed to this term cannot lead on from it, and whoever is to be
    /// removed will not do it.
    fn is_first_in_line(&self, now: Instant) -> bool {
        let electors = self.electors(self.place_in_chain(), &[]);
        let leads =
            |number: SeatNumber| !self.meta.succession.behind.contains(&number) && !self.meta.roster.is_removal_agreed(number);
        let here = |number: SeatNumber| self.attendance.is_here(number, now, CHAIR_SILENCE_MAX) && leads(number);
        !electors.into_iter().any(|number| number < self.meta.me && number != self.meta.chair && here(number))
    }

    fn grant(&mut self, cx: &mut Cx<'_>, ballot: Ballot) -> Option<Grant> {
        let key_package = match &self.meta.succession.own {
            Some(own) if own.ballot == ballot => return Some(own.clone()),
            // One until it is used: a welcome that was missed fits whatever is asked for after it.
            Some(own) => own.key_package.clone(),
            None => self.keys.key_package(cx.rng).ok()?,
        };
        let grant = self.consent(ballot, key_package)?;
        // Who asks to follow to a term may have promised a later one.
        if self.meta.succession.promised.is_none_or(|promised| promised.term <= ballot.term) {
            self.meta.succession.promised = Some(ballot);
        }
        self.meta.succession.own = Some(grant.clone());
        self.persist_keys(cx);
        self.persist(cx);
        Some(grant)
    }

    fn take_ballot(&mut self, cx: &mut Cx<'_>, ballot: Ballot) {
        let first = match self.meta.succession.promised {
            Some(promised) => ballot.term > promised.term || ballot == promised,
            None => ballot.term > self.meta.term,
        };
        let known = self.meta.succession.promised.map_or(self.meta.term, |promised| promised.term.max(self.meta.term));
        let is_near = ballot.term <= known.saturating_add(TERMS_AHEAD_MAX);
        if !first || !is_near || !self.electors(ballot.after, &[]).contains(&ballot.successor) {
            return;
        }
        // Only from where we are: a successor that lags gets the commits first, and one that is ahead asks again.
        if ballot.after == self.place_in_chain() {
            if self.is_chair_gone(cx.now)
                && let Some(grant) = self.grant(cx, ballot)
            {
                self.post_step(cx, &Step::Grant(grant));
            }
        } else if let Some(missed) = self.missed().filter(|missed| missed.term == ballot.after.0)
            && missed.successor != ballot.successor
            && self.is_silent(missed.successor, cx.now)
        {
            self.consent_from_afar(cx, missed, ballot);
        }
    }

    /// The chair that should let us into its term is gone, and another of that term wants to found the next: our consent counts with
    /// those of its seats, and we go on asking to follow.
    fn consent_from_afar(&mut self, cx: &mut Cx<'_>, missed: Ballot, ballot: Ballot) {
        let Some(asked) = self.meta.succession.own.clone().filter(|own| own.ballot == missed) else { return };
        self.meta.succession.promised = Some(ballot);
        self.meta.succession.tries = 0;
        self.meta.succession.next_try = Some(cx.now + CONSENT_INTERVAL);
        self.persist(cx);
        if let Some(grant) = self.consent(ballot, asked.key_package) {
            self.post_step_from(cx, missed.after, &Step::Grant(grant));
        }
    }

    fn take_grant(&mut self, cx: &mut Cx<'_>, grant: Grant) -> Result<(), Fault> {
        let ours = self.meta.succession.promised.filter(|promised| promised.successor == self.meta.me && *promised == grant.ballot);
        let Some(ballot) = ours.filter(|ballot| ballot.after == self.place_in_chain()) else { return Ok(()) };
        let others = self.meta.succession.grants.values().filter(|other| other.seat != grant.seat);
        let packages = others.chain([&grant]).map(|grant| &grant.key_package[..]);
        if !self.holds(&grant) || !share_no_key(packages) {
            return Err(Fault::Forged("consent"));
        }
        self.meta.succession.grants.insert(grant.seat, grant);
        let electors = self.electors(ballot.after, &[]);
        let grants: Vec<_> = self.meta.succession.grants.values().cloned().collect();
        let seats: Vec<_> = grants.iter().map(|grant| grant.seat).collect();
        if !self.may_found(&seats, &electors) {
            return Ok(());
        }
        let (psk, psk_id) = self.term_psk(&ballot, &grants);
        // Who consented from afar has to be told what happened since, and follows as a seat that was away.
        let is_let_in = |grant: &&Grant| grant.stands == ballot.after && electors.contains(&grant.seat);
        let others = grants.iter().filter(|grant| grant.seat != self.meta.me).filter(is_let_in);
        let packages: Vec<_> = others.map(|grant| grant.key_package.clone()).collect();
        let mut group_id = [0; 16];
        group_id.copy_from_slice(&psk_id[..16]);
        let Ok((group, welcome)) = Group::found(cx.rng, &self.keys, group_id, &packages, &psk, &psk_id) else {
            return Err(Fault::OutOfPlace("consent"));
        };
        let goodbyes: Vec<_> = self.goodbyes().collect();
        let founded = self.founding(ballot, grants, goodbyes, welcome);
        let mandate = founded.mandate();
        let message = Message::Step(Step::Founded(founded));
        let keys = self.keys_at(ballot.after);
        self.meta.epochs.keep_step(ballot.after, &message);
        self.return_to(cx, ballot.after);
        self.remember_mandate(mandate);
        self.enter_term(cx, ballot, group);
        cx.post(Post::new(&keys, &message).with_mailbox(self.mailbox(cx), self.talk));
        Ok(())
    }

    /// Signed by us.
    fn founding(&self, ballot: Ballot, grants: Vec<Grant>, goodbyes: Vec<Reason>, welcome: Vec<u8>) -> Founded {
        let mut founded = Founded { ballot, grants, goodbyes, welcome, signature: Sig([0; 32], [0; 32]) };
        founded.signature = self.sign_mandate(&founded.mandate());
        founded
    }

    fn take_founded(&mut self, cx: &mut Cx<'_>, founded: Founded) -> Result<Vec<Effect>, Fault> {
        let ballot = founded.ballot;
        // Of two foundings of one term, which only a seat that consented twice makes possible, the lower successor's stands.
        if (ballot.term, self.meta.chair) < (self.meta.term, ballot.successor) {
            return Ok(Vec::new());
        }
        self.learn_reasons(&founded.goodbyes);
        self.check_founded(&founded)?;
        let message = Message::Step(Step::Founded(founded.clone()));
        if (ballot.term, ballot.successor) == (self.meta.term, self.meta.chair) {
            self.notice_split(cx, ballot.after, &message);
            return Ok(Vec::new());
        }
        let mandate = founded.mandate();
        let Founded { grants, welcome, .. } = founded;
        // We consented from there, and go back if we have followed the old chair since: it will do the same.
        if grants.iter().any(|grant| grant.seat == self.meta.me) && self.meta.epochs.at(ballot.after).is_some() {
            let (psk, psk_id) = self.term_psk(&ballot, &grants);
            let successor = self.meta.roster.seat(ballot.successor).map(|seat| seat.id);
            let roster = &self.meta.roster;
            let is_wanted = |group: &Group, founder| Some(founder) == successor && is_founded_by(roster, group, &ballot, &grants);
            if let Ok((group, _)) = Group::join_if(&mut self.keys, &welcome, Some((&psk, &psk_id)), is_wanted) {
                self.meta.epochs.keep_step(ballot.after, &message);
                self.return_to(cx, ballot.after);
                self.remember_mandate(mandate);
                self.enter_term(cx, ballot, group);
                return Ok(Vec::new());
            }
        }
        // The founding that counts is that of the latest term that we heard of, and of two for one term the lower successor's.
        let order = |ballot: Ballot| (ballot.term, std::cmp::Reverse(ballot.successor));
        if self.missed().is_none_or(|missed| order(missed) < order(ballot)) {
            let is_here = |grant: &&Grant| grant.ballot == ballot && grant.stands == ballot.after && self.holds(grant);
            let came = grants.iter().filter(is_here).map(|grant| grant.seat).collect();
            self.meta.succession.missed = Some(Missed { ballot, came });
            self.meta.succession.tries = 0;
            self.ask_to_follow(cx, ballot);
        }
        Ok(Vec::new())
    }

    /// Whether more than half of the seats of the epoch before consented, the successor among them, and the successor signed.
    fn check_founded(&self, founded: &Founded) -> Result<(), Fault> {
        let Founded { ballot, grants, .. } = founded;
        let mut seats: Vec<_> =
            grants.iter().filter(|grant| grant.ballot == *ballot && self.holds(grant)).map(|grant| grant.seat).collect();
        seats.sort_unstable();
        seats.dedup();
        let electors = self.electors(ballot.after, &seats);
        let signed = self.is_signed(&self.meta.roster, &founded.mandate());
        let is_elector = seats.contains(&ballot.successor) && electors.contains(&ballot.successor);
        let holds = signed && is_elector && self.may_found(&seats, &electors);
        if holds { Ok(()) } else { Err(Fault::Forged("term")) }
    }

    /// A term was founded without us: ask its chair to let us in.
    fn ask_to_follow(&mut self, cx: &mut Cx<'_>, ballot: Ballot) {
        self.meta.succession.tried(cx.now);
        if let Some(grant) = self.grant(cx, ballot) {
            self.post_step_from(cx, ballot.after, &Step::Late(grant));
        }
    }

    fn take_late(&mut self, cx: &mut Cx<'_>, grant: Grant) -> Result<(), Fault> {
        let seated: Vec<_> = self.group.roster().iter().map(|member| member.seat).collect();
        let is_told = self.meta.welcomes.get(&grant.seat).is_some_and(|(package, _)| *package == grant.key_package);
        let waits = |id: &SeatId| !seated.contains(id) || is_told;
        let waits = self.meta.roster.seat(grant.seat).is_some_and(|seat| seat.standing == Standing::Sits && waits(&seat.id));
        if grant.ballot.term > self.meta.term || !waits {
            return Ok(());
        }
        if !self.holds(&grant) {
            return Err(Fault::Forged("consent"));
        }
        if !self.is_chair() {
            self.need_chair(cx.now);
            return Ok(());
        }
        self.agenda.add_late(grant.seat, grant.ballot.after, grant.key_package);
        self.agenda.call(cx.now);
        Ok(())
    }

    /// Says the welcomes again that did not arrive; what is left needs a commit.
    pub(super) fn welcome_again(&mut self, cx: &mut Cx<'_>, state: &[u8]) {
        for admission in self.agenda.take() {
            let told = match &admission {
                Admission::Late { seat, after, key_package } => {
                    let told = self.meta.welcomes.get(seat).filter(|(package, _)| package == key_package);
                    told.map(|(_, welcome)| (*seat, *after, welcome.clone()))
                }
                Admission::New(_) | Admission::Return(_) => None,
            };
            match told {
                Some((seat, after, welcome)) => self.welcome_late(cx, seat, after, &welcome, state),
                None => self.agenda.add(admission),
            }
        }
    }

    /// Lets a seat that was away into this term.
    pub(super) fn welcome_late(&mut self, cx: &mut Cx<'_>, seat: SeatNumber, after: (u32, u64), welcome: &[u8], state: &[u8]) {
        let step = Message::Step(Step::Welcome { seat, welcome: welcome.to_vec(), state: state.to_vec() });
        let mailbox = self.mailbox(cx);
        // In whatever epoch it stayed behind: it reads at least one that we still know.
        for epoch in self.meta.epochs.before_term(self.meta.term, after) {
            cx.post(Post::new(&epoch.keys(), &step).with_mailbox(mailbox, self.talk));
        }
    }

    fn take_welcome(&mut self, cx: &mut Cx<'_>, welcome: &[u8], state: &[u8]) -> Result<Vec<Effect>, Fault> {
        let Some(missed) = self.meta.succession.missed.clone() else { return Ok(Vec::new()) };
        let ballot = missed.ballot;
        let state: State = decode(state, "room state")?;
        let is_ours = state.founding == self.meta.founding && state.roster.number(self.keys.id()) == Some(self.meta.me);
        if !is_ours || !self.is_led_to(&state, &missed) {
            return Err(Fault::Forged("room state"));
        }
        let is_wanted = |group: &Group, chair| state.fits(group) && state.roster.number(chair) == Some(state.chair);
        let joined = Group::join_if(&mut self.keys, welcome, None, is_wanted);
        let (group, _) = joined.map_err(|_| Fault::Forged("welcome"))?;
        // Seats that only our side admitted have to ask again: their numbers may be others' now.
        self.keep_lines(cx, |number, seat| state.roster.seat(number).is_some_and(|known| known.id == seat));
        for (_, seat) in state.roster.seats().skip(self.log.heads().len()) {
            // From its beginning: our notes stay, and lack what those have written who came meanwhile.
            self.log.open_line(seat.id, seat.key, Head::default());
        }
        self.meta.bases = self.log.bases();
        self.meta.roster = state.roster;
        self.meta.returned = state.returned;
        self.meta.epochs.forget_steps(ballot.after);
        self.meta.mandates = state.mandates;
        let step = Ballot { term: state.term, successor: state.chair, ..ballot };
        self.enter_term(cx, step, group);
        self.repair.need_now(cx.now);
        Ok(Vec::new())
    }

    /// What a chair did after this place did not happen: seats that only our side admitted have to ask again.
    fn return_to(&mut self, cx: &mut Cx<'_>, place: (u32, u64)) {
        let known = self.meta.epochs.at(place).cloned();
        let Some(epoch) = known.filter(|_| place != (self.meta.term, self.group.epoch())) else { return };
        self.meta.roster.truncate(epoch.seats);
        self.keep_lines(cx, |number, _| usize::from(number) < epoch.seats);
        self.meta.bases = self.log.bases();
        for number in epoch.leaves {
            if let Some(seat) = self.meta.roster.seat_mut(number) {
                seat.standing = if seat.goodbye.is_some() { Standing::Left } else { Standing::Sits };
            }
        }
        let roster = &self.meta.roster;
        self.meta.returned.retain(|device| roster.number(device.newer).is_some());
    }

    /// The group of a new term takes the old one's place; log, notes and numbers stay.
    fn enter_term(&mut self, cx: &mut Cx<'_>, ballot: Ballot, group: Group) {
        self.forget_group(cx);
        self.group = group;
        (self.meta.term, self.meta.chair) = (ballot.term, ballot.successor);
        let promised = self.meta.succession.promised.filter(|promised| promised.term > ballot.term).unwrap_or(ballot);
        self.meta.succession = Succession { promised: Some(promised), ..Succession::default() };
        self.meta.split = None;
        self.agenda.adjourn();
        self.meta.welcomes.clear();
        // Whom only our side had admitted is not told of that any more: it asks again.
        let gone: Vec<_> = self.unheard.keys().copied().filter(|seat| self.meta.roster.number(*seat).is_none()).collect();
        gone.into_iter().for_each(|seat| self.forget_welcome(cx, seat));
        self.meta.epochs.take_early();
        self.push_epoch();
        self.note_minimum();
        self.persist_group(cx);
        self.persist_keys(cx);
        self.persist(cx);
        if self.is_chair() {
            for offer in self.agenda.take_vouched() {
                if let Ok(member) = check_key_package(&offer.key_package) {
                    self.queue_admission(cx, member.seat, Admission::New(offer));
                }
            }
        }
        if self.is_chair() && (self.next_removal().is_some() || !self.agenda.is_empty()) {
            self.agenda.call(cx.now);
        }
        self.trickle.reset(cx.rng, cx.now);
        cx.tell(Event::TalkChanged(self.talk));
    }

    /// Below the minimum that the card promised, a room that was founded anew can only be read.
    pub(super) fn note_minimum(&mut self) {
        let seats = self.group.roster().len();
        self.meta.read_only = self.meta.term > 1 && seats < usize::from(self.meta.terms.seats_min);
    }

    fn post_step(&mut self, cx: &mut Cx<'_>, step: &Step) {
        self.post_step_from(cx, self.place_in_chain(), step);
    }

    /// Says a step under the keys of the epoch that it follows: those whom it concerns know them, whichever way they went since.
    fn post_step_from(&mut self, cx: &mut Cx<'_>, place: (u32, u64), step: &Step) {
        let keys = self.keys_at(place);
        let post = Post::new(&keys, &Message::Step(step.clone()));
        cx.post(post.with_mailbox(self.mailbox(cx), self.talk));
    }

    /// The keys of the epoch at this place, where it is known.
    fn keys_at(&self, place: (u32, u64)) -> ParcelKeys {
        self.meta.epochs.at(place).map_or_else(|| self.current_keys(), Epoch::keys)
    }

    /// Known to everybody who was a member, and bound to who consented.
    fn term_psk(&self, ballot: &Ballot, grants: &[Grant]) -> (Key, [u8; 32]) {
        let id = hash("alcove/1 term", &[&self.room, &encode(ballot), &encode(&grants)]);
        (self.meta.founding.derive("alcove/1 term psk", &id), id)
    }
}

/// Whether nobody sits in the group but seats of the place that it follows, by their own consent.
fn is_founded_by(roster: &Roster, group: &Group, ballot: &Ballot, grants: &[Grant]) -> bool {
    let consented = |member: &Member| {
        grants.iter().filter(|grant| grant.stands == ballot.after).any(|grant| {
            let seat = roster.seat(grant.seat);
            seat.is_some_and(|seat| (seat.id, seat.key) == (member.seat, member.key))
        })
    };
    group.roster().iter().all(consented)
}
