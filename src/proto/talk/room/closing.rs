//! The room's way to its end: votes, the certificate, the last words.

use super::{Effect, Room};
use crate::proto::config::{CERTIFICATE_HOURS, MARKER_HOURS, PROPOSAL_TIME_MAX};
use crate::proto::cx::{Cx, Post};
use crate::proto::error::Fault;
use crate::proto::id::SeatId;
use crate::proto::io::Event;
use crate::proto::talk::close::{self, Certificate, ClosedSeat, ClosingWord, Ending, Receipt, SeatEnd};
use crate::proto::talk::entry::{Body, ProposalId, SeatNumber, Sig};
use crate::proto::talk::roster::{Seat, Standing};

impl Room {
    pub(super) fn vote(&mut self, cx: &mut Cx<'_>) -> Vec<Effect> {
        let proposal = self.meta.closing.proposal.map_or(ProposalId(self.meta.me, 0), |(proposal, _)| proposal);
        let token = *self.meta.closing.token.get_or_insert_with(|| cx.rng.bytes());
        let vote = close::vote(&self.keys, &self.room, proposal, self.meta.roster.close_set(&self.room), &token);
        self.append(cx, Body::Vote(vote))
    }

    /// When the set of those who must agree has changed since our vote, or two proposals crossed, our consent goes over.
    pub(super) fn revote(&mut self, cx: &mut Cx<'_>) -> Vec<Effect> {
        let set = self.meta.roster.close_set(&self.room);
        let proposal = self.meta.closing.proposal.map(|(proposal, _)| proposal);
        match self.meta.closing.votes.get(&self.meta.me) {
            Some(vote) if vote.set != set || Some(vote.proposal) != proposal => self.vote(cx),
            _ => Vec::new(),
        }
    }

    /// The certificate, once every seat that must has agreed over the same set.
    pub(super) fn certificate(&self) -> Option<Certificate> {
        let set = self.meta.roster.close_set(&self.room);
        let (proposal, _) = self.meta.closing.proposal?;
        let votes = &self.meta.closing.votes;
        let agreed = |number: SeatNumber| votes.get(&number).is_some_and(|vote| vote.set == set && vote.proposal == proposal);
        if !self.meta.roster.closers().all(|(number, _)| agreed(number)) {
            return None;
        }
        let end = |number: SeatNumber, seat: &Seat| -> Option<SeatEnd> {
            match seat.standing {
                Standing::Sits | Standing::Removed => self.meta.closing.votes.get(&number).cloned().map(SeatEnd::Voted),
                Standing::Left => seat.goodbye.map(SeatEnd::Left),
                Standing::Replaced(_) => {
                    let device = self.meta.returned.iter().find(|device| device.old == number)?;
                    let by = seat.rejoin_key?;
                    Some(SeatEnd::Replaced { by, newer: device.newer, signature: device.signature })
                }
            }
        };
        let seats = self.meta.roster.seats();
        let seats = seats.map(|(number, seat)| Some(ClosedSeat { seat: seat.id, key: seat.key, end: end(number, seat)? }));
        seats.collect::<Option<Vec<_>>>().map(|seats| Certificate { seats })
    }

    /// Whether a certificate that came from elsewhere ends this room: it holds, everybody we know is in it with the key we know, and
    /// what was agreed to has not lapsed here: nobody can keep our consent and use it later.
    pub fn accepts(&self, certificate: &Certificate) -> bool {
        let known = |(_, seat): (SeatNumber, &Seat)| {
            certificate.seats.iter().any(|closed| closed.seat == seat.id && closed.key == seat.key)
        };
        let stands = certificate.proposal().is_some_and(|proposal| !self.meta.closing.lapsed.contains(&proposal));
        stands && certificate.holds(&self.room) && self.meta.roster.seats().all(known)
    }

    /// Takes the goodbye of a seat that could not write it here. The chair writes it down for all; without one everybody who hears it
    /// knows it.
    ///
    /// # Errors
    /// A [`Fault`] if it is not that seat's.
    pub fn take_goodbye(&mut self, cx: &mut Cx<'_>, id: SeatId, signature: Sig) -> Result<Vec<Effect>, Fault> {
        let number = self.meta.roster.number(id).ok_or(Fault::OutOfPlace("goodbye"))?;
        let seat = self.meta.roster.seat(number).ok_or(Fault::OutOfPlace("goodbye"))?;
        if !close::leave_holds(&self.room, id, &seat.key, &signature) {
            return Err(Fault::Forged("goodbye"));
        }
        match seat.standing {
            Standing::Sits | Standing::Removed if self.is_chair() => Ok(self.append(cx, Body::Goodbye { seat: number, signature })),
            Standing::Sits | Standing::Removed => {
                let mut effects = self.say_goodbye(cx, number, &signature)?;
                effects.extend(self.follow_up(cx));
                self.persist(cx);
                Ok(effects)
            }
            Standing::Left | Standing::Replaced(_) => Ok(Vec::new()),
        }
    }

    /// Acts on a goodbye that stands in the log.
    pub(super) fn say_goodbye(&mut self, cx: &mut Cx<'_>, number: SeatNumber, signature: &Sig) -> Result<Vec<Effect>, Fault> {
        let leaver = self.meta.roster.seat(number).ok_or(Fault::OutOfPlace("goodbye"))?;
        if !close::leave_holds(&self.room, leaver.id, &leaver.key, signature) {
            return Err(Fault::Forged("goodbye"));
        }
        self.meta.roster.leave(number, *signature);
        self.meta.closing.votes.remove(&number);
        Ok(self.revote(cx))
    }

    /// What remains once this room is erased, and the last words to send: the certificate for those who are away, our confirmation.
    pub fn finish(&mut self, cx: &mut Cx<'_>, ending: Ending, certificate: Option<&Certificate>) -> Receipt {
        let bucket = cx.event.bucket_of(&self.meta.founding);
        let mailbox = Some(cx.event.bucket(bucket).write_name());
        let afterlife = self.afterlife();
        let until = cx.event.ends.hours() + MARKER_HOURS;
        let token_hashes = certificate.map(Certificate::token_hashes).unwrap_or_default();
        let mut receipt = Receipt::new(ending, cx.wall, self.meta.roster.people(), token_hashes, afterlife, until, bucket);
        if let Some(certificate) = certificate {
            let word = ClosingWord::Certificate(certificate.clone());
            let post = Post::new(&receipt.afterlife.closing_keys(), &word).for_hours(CERTIFICATE_HOURS);
            cx.post(post.with_mailbox(mailbox, self.talk));
        }
        let is_last = certificate.is_some_and(|certificate| certificate.token_hashes().len() == 1);
        if is_last || matches!(ending, Ending::Left | Ending::Removed) {
            // Whoever was removed can write no entry, that of one who leaves may come when its epoch is long gone, and who agreed alone
            // when all others had left may not know whom they had let in.
            let word = ClosingWord::Goodbye { seat: self.keys.id(), signature: close::leave(&self.keys, &self.room) };
            let post = Post::new(&receipt.afterlife.closing_keys(), &word).for_hours(CERTIFICATE_HOURS);
            cx.post(post.with_mailbox(mailbox, self.talk));
        }
        if let (Some(token), Ending::Closed) = (self.meta.closing.token, ending) {
            receipt.confirm(&token);
            let mut post = Post::new(&receipt.afterlife.receipt_keys(), &token).for_hours(CERTIFICATE_HOURS);
            post.mailbox = mailbox;
            cx.post(post);
        }
        receipt
    }

    /// Our card as it goes off the board, if it is ours and stands.
    pub fn take_card(&mut self) -> Option<Vec<u8>> {
        self.meta.host.take().map(|mut host| host.next_card(false).1)
    }

    /// A proposal is over, by this seat's word. Our own clock alone does not know it if we were away when it lapsed: the others may have
    /// agreed in time.
    pub(super) fn drop_proposal(&mut self, cx: &Cx<'_>, by: SeatNumber, proposal: ProposalId) {
        let is_known = by != self.meta.me || self.attendance.is_in_contact(cx.now);
        self.meta.closing.drop_proposal(proposal, is_known);
    }

    pub(super) fn lapse(&mut self, cx: &mut Cx<'_>) {
        let Some((proposal, since)) = self.meta.closing.proposal else { return };
        if cx.now.since(since) < PROPOSAL_TIME_MAX {
            return;
        }
        if self.meta.closing.votes.contains_key(&self.meta.me) {
            self.append(cx, Body::Retract { proposal });
        }
        self.drop_proposal(cx, self.meta.me, proposal);
        self.meta.closing.votes.clear();
        self.persist(cx);
        cx.tell(Event::TalkChanged(self.talk));
    }
}
