//! What a hostile seat says with its own real keys and the honest core never would. It forges nothing: all of it is properly signed
//! and sealed, and only its content or its moment is a lie.

use super::super::Room;
use super::super::message::Message;
use crate::proto::cx::{Cx, Post};
use crate::proto::talk::close::{self, Certificate, ClosedSeat, ClosingWord, SeatEnd};
use crate::proto::talk::entry::{Body, Entry, Item, ProposalId, SeatNumber, Vote};
use crate::proto::talk::roster::Standing;
use std::collections::BTreeMap;

impl Room {
    /// An entry for the place after our last one, which our own log does not keep: another may be said to others in the same place.
    pub(crate) fn whisper(&mut self, cx: &mut Cx<'_>, body: Body) {
        let item = Item::Entry(self.signed(body));
        self.send_items(cx, &[item]);
    }

    fn signed(&self, body: Body) -> Entry {
        let (number, chain) = self.log.next(self.meta.me);
        let message = Entry::signed_parts(&self.room, self.keys.id(), number, &chain, &body);
        let signature = self.keys.sign("entry", &[&message]).into();
        Entry { seat: self.meta.me, number, body, signature }
    }

    /// A vote of ours for any proposal.
    pub(crate) fn any_vote(&self, proposal: ProposalId, token: u8) -> Body {
        Body::Vote(close::vote(&self.keys, &self.room, proposal, self.meta.roster.close_set(&self.room), &[token; 16]))
    }

    /// Proposals that anybody ever made or voted for.
    pub(crate) fn proposals(&self) -> Vec<ProposalId> {
        let named = |entry: &Entry| match &entry.body {
            Body::Propose => Some(ProposalId(entry.seat, entry.number)),
            Body::Vote(vote) => Some(vote.proposal),
            _ => None,
        };
        let mut all: Vec<_> = self.log.entries().filter_map(named).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A certificate from every consent that we ever saw, whatever became of its proposal, and our own.
    pub(crate) fn kept_certificate(&self) -> Option<Certificate> {
        self.proposals().into_iter().find_map(|proposal| self.kept_for(proposal))
    }

    fn kept_for(&self, proposal: ProposalId) -> Option<Certificate> {
        let set = self.meta.roster.close_set(&self.room);
        let mut votes: BTreeMap<SeatNumber, Vote> = BTreeMap::new();
        for entry in self.log.entries() {
            if let Body::Vote(vote) = &entry.body
                && vote.proposal == proposal
                && vote.set == set
            {
                votes.insert(entry.seat, vote.clone());
            }
        }
        let Body::Vote(own) = self.any_vote(proposal, 7) else { return None };
        votes.insert(self.meta.me, own);
        let seat = |(number, seat): (SeatNumber, &crate::proto::talk::roster::Seat)| {
            let end = match seat.standing {
                Standing::Left => SeatEnd::Left(seat.goodbye?),
                Standing::Sits | Standing::Removed | Standing::Replaced(_) => SeatEnd::Voted(votes.get(&number)?.clone()),
            };
            Some(ClosedSeat { seat: seat.id, key: seat.key, end })
        };
        self.meta.roster.seats().map(seat).collect::<Option<Vec<_>>>().map(|seats| Certificate { seats })
    }

    /// Shows a certificate to the others and goes on.
    pub(crate) fn show_certificate(&mut self, cx: &mut Cx<'_>, certificate: Certificate) {
        let word = ClosingWord::Certificate(certificate);
        let post = Post::new(&self.afterlife().closing_keys(), &word);
        cx.post(post.with_mailbox(self.mailbox(cx), self.talk));
    }

    /// Claims that another has left, with a signature of our own.
    pub(crate) fn claim_goodbye(&mut self, cx: &mut Cx<'_>, seat: SeatNumber) {
        let signature = close::leave(&self.keys, &self.room);
        self.whisper(cx, Body::Goodbye { seat, signature });
    }

    /// Commits the removal of a seat, as if we were the chair and the others had agreed. `follow`: we go to that epoch ourselves.
    pub(crate) fn remove_alone(&mut self, cx: &mut Cx<'_>, seat: SeatNumber, follow: bool) {
        let Some(remove) = self.meta.roster.seat(seat).map(|seat| seat.id) else { return };
        let mut group = self.group.clone();
        let Ok(committed) = group.admit_and_remove(cx.rng, &[], Some(remove)) else { return };
        let place = (self.meta.term, self.group.epoch());
        let message = Message::Commit(self.sign_commit(place, committed.commit, Vec::new(), self.reasons_for(Some(seat))));
        cx.post(Post::new(&self.current_keys(), &message).with_mailbox(self.mailbox(cx), self.talk));
        if follow {
            self.group = group;
            self.push_epoch();
        }
    }

    /// Says all commits and foundings that we know again, each under the keys of today.
    pub(crate) fn replay(&mut self, cx: &mut Cx<'_>) {
        let (keys, mailbox) = (self.current_keys(), self.mailbox(cx));
        for step in self.meta.epochs.steps() {
            cx.post(Post::encoded(&keys, step.to_vec()).with_mailbox(mailbox, self.talk));
        }
    }
}
