//! For the model check: what a room is but for chance and the exact time, and the few things that only a test may do with it.

mod hostile;

use super::Room;
use crate::proto::config::{ABSENCE_MAX, CHAIR_SILENCE_MAX, CHAIR_SILENCE_MAX_BY_RELAY};
use crate::proto::talk::agenda::Admission;
use crate::proto::talk::attendance::Contact;
use crate::proto::talk::close::set_hash;
use crate::proto::talk::entry::{Body, ProposalId, SeatNumber, Sig, Vote};
use crate::proto::time::{Duration, Instant};
use std::collections::BTreeSet;

/// How long ago, in the classes that the room's rules tell apart.
fn age(now: Instant, at: Option<Instant>) -> char {
    let Some(at) = at else { return '-' };
    let ages = [CHAIR_SILENCE_MAX, ABSENCE_MAX, CHAIR_SILENCE_MAX_BY_RELAY];
    ages.iter().position(|age| now.since(at) <= *age).map_or('3', |class| char::from(b'0' + class as u8))
}

impl Room {
    /// Everything on which the future depends but random bytes and time within its classes: two rooms with one outline are one state.
    pub(crate) fn outline(&self, now: Instant) -> String {
        let meta = &self.meta;
        let seats: Vec<_> = meta.roster.seats().map(|(_, s)| (s.standing, s.at_table, s.rejoin_key.is_some())).collect();
        let removals: Vec<_> =
            meta.roster.seats().map(|(n, _)| meta.roster.wishes(n).map(|(by, _)| by).collect::<Vec<_>>()).collect();
        let leaves: Vec<_> = self.group.roster().iter().map(|member| meta.roster.number(member.seat)).collect();
        let closing = &meta.closing;
        let votes: Vec<_> = closing.votes.iter().map(|(seat, vote)| (*seat, self.vote_outline(vote))).collect();
        let proposal = closing.proposal.map(|(id, at)| (id, now.since(at) >= Duration::from_secs(60)));
        let succession = self.succession_outline(now);
        let heard: String = meta.roster.seats().map(|(n, _)| age(now, self.heard(n))).collect();
        let admissions: Vec<_> = self.agenda.admissions().iter().map(Admission::outline).collect();
        let contact = match self.contact() {
            Contact::Fresh => 'f',
            Contact::Checking { .. } => 'c',
            Contact::Unchecked => 'u',
        };
        let rest = (
            (
                meta.read_only,
                meta.document.is_wanted(),
                meta.to_tell.len(),
                meta.epochs.early(),
                self.agenda.vouched(),
                self.unheard.len(),
                closing.token.is_some(),
            ),
            (
                meta.split,
                meta.heard_commit.map(|(place, _)| place),
                self.agenda.due().is_some(),
                self.repair.poll_timeout().is_some(),
                meta.document.is_answering(),
            ),
            (&meta.folded, meta.epochs.places()),
        );
        format!(
            "room {}.{} chair {} me {} seats {seats:?} removals {removals:?} leaves {leaves:?} log {:?} closing {proposal:?} {votes:?} \
             lapsed {:?} {succession} heard {heard} admissions {admissions:?} contact {contact} {rest:?}",
            meta.term,
            self.group.epoch(),
            meta.chair,
            meta.me,
            self.log_outline(),
            closing.lapsed,
        )
    }

    /// What every honest member of a living room must come to share, whatever these liars said.
    pub(crate) fn agreed_outline(&self, liars: &[SeatNumber]) -> String {
        let standing: Vec<_> = self.meta.roster.seats().map(|(_, seat)| (seat.id, seat.standing)).collect();
        let leaves: Vec<_> = self.group.roster().iter().map(|member| member.seat).collect();
        let fingerprint = self.group.export("alcove/1 fingerprint", &[]).map(|key| key.mac(&[b"words"])[..4].to_vec()).ok();
        let lines: Vec<_> =
            self.log.heads().into_iter().enumerate().filter(|(n, _)| !liars.contains(&(*n as SeatNumber))).collect();
        format!("{:?} {fingerprint:?} {standing:?} {leaves:?} {lines:?}", (self.meta.term, self.group.epoch(), self.meta.chair))
    }

    /// What each line holds.
    fn log_outline(&self) -> Vec<String> {
        let base = |n: usize| self.meta.bases.get(n).map_or(0, |head| head.number);
        let entries = |n: usize| {
            let of = self.log.entries().filter(move |entry| usize::from(entry.seat) == n);
            of.map(|entry| self.body_outline(&entry.body)).collect::<Vec<_>>().join(" ")
        };
        let line = |(n, head): (usize, &crate::proto::talk::entry::Head)| format!("{}..{}: {}", base(n), head.number, entries(n));
        self.log.heads().iter().enumerate().map(line).collect()
    }

    fn body_outline(&self, body: &Body) -> String {
        match body {
            Body::Hello { .. } => "hello".into(),
            Body::Say { text } => format!("{text:?}"),
            Body::Change { bytes, .. } => format!("change/{}", bytes.len()),
            Body::Place { at_table } => format!("place {at_table}"),
            Body::Leave { .. } => "leave".into(),
            Body::Remove { seat, .. } => format!("remove {seat}"),
            Body::Vouch { .. } => "vouch".into(),
            Body::Propose => "propose".into(),
            Body::Vote(vote) => self.vote_outline(vote),
            Body::Retract { proposal } => format!("retract {proposal:?}"),
            Body::FoldAt { .. } | Body::Folded { .. } | Body::FoldDone { .. } => "fold".into(),
            Body::Goodbye { seat, .. } => format!("goodbye {seat}"),
        }
    }

    /// To what, and over which set of seats.
    fn vote_outline(&self, vote: &Vote) -> String {
        let seats: Vec<_> = self.meta.roster.seats().map(|(_, seat)| seat.id).collect();
        let sets = 0..1_u32 << seats.len().min(10);
        let chosen = |set: u32| seats.iter().enumerate().filter(move |(n, _)| set >> n & 1 == 1).map(|(_, id)| id);
        let set = sets.into_iter().find(|set| set_hash(&self.room, chosen(*set)) == vote.set);
        format!("vote {:?} {set:?}", vote.proposal)
    }

    /// Whether this room holds the certificate of its own end.
    pub(crate) fn holds_certificate(&self) -> bool {
        self.certificate().is_some()
    }

    /// Proposals that this seat said are over.
    pub(crate) fn retracted(&self) -> BTreeSet<ProposalId> {
        let own = self.log.entries().filter(|entry| entry.seat == self.meta.me);
        own.filter_map(|entry| if let Body::Retract { proposal } = entry.body { Some(proposal) } else { None }).collect()
    }

    /// Proposals that this seat ever agreed to.
    pub(crate) fn voted(&self) -> BTreeSet<ProposalId> {
        let own = self.log.entries().filter(|entry| entry.seat == self.meta.me);
        own.filter_map(|entry| if let Body::Vote(vote) = &entry.body { Some(vote.proposal) } else { None }).collect()
    }

    /// Proposals that are known to be over here.
    pub(crate) fn lapsed(&self) -> BTreeSet<ProposalId> {
        self.meta.closing.lapsed.clone()
    }

    // ---- rules that a control switches off ---------------------------------------------------------------------------------------

    /// Control: this device forgets which proposals are over.
    pub(crate) fn forget_lapses(&mut self) {
        self.meta.closing.lapsed.clear();
    }

    /// Control: whatever the chair does with a seat is agreed here.
    pub(crate) fn let_anybody_remove(&mut self) {
        let all: Vec<_> = self.meta.roster.sitting().map(|(number, _)| number).collect();
        for (by, target) in all.iter().flat_map(|by| all.iter().map(move |target| (*by, *target))) {
            self.meta.roster.vote_removal(by, target, Sig([0; 32], [0; 32]));
        }
    }
}

impl Admission {
    fn outline(&self) -> String {
        match self {
            Admission::New(offer) => format!("new {}", offer.round),
            Admission::Return(rejoin) => format!("return {}", rejoin.old),
            Admission::Late { seat, after, .. } => format!("late {seat} {after:?}"),
        }
    }
}
