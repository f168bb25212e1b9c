//! The steps of a hostile seat: which lie, said to whom. How each is signed and sealed stands beside what it abuses, in the room's tests.

use super::world::{ALL, Phones, World};
use crate::proto::talk::entry::Body;

/// What a hostile seat does that the honest core never would.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lie {
    /// Agrees to the proposal towards one, and says something else in the same place of its line to another.
    TwoFaces(usize, usize),
    /// Two different votes for one proposal in one place.
    TwoVotes(usize, usize),
    /// Wants this one removed, and tells that only one other; to a third it says something else in the same place.
    TwoFacedRemoval(usize, usize, usize),
    /// Agrees to the oldest proposal there ever was.
    StaleVote,
    /// Completes a certificate from consents that it kept, whatever became of their proposal.
    KeptCertificate,
    /// Says that this one has left.
    ClaimGoodbye(usize),
    /// Commits this one's removal as if the others had agreed.
    RemoveAlone(usize),
    /// Two different commits of one removal in one epoch, each to another.
    TwoCommits(usize, usize, usize),
    /// Consents to this successor, whomever it promised before.
    ConsentTo(usize),
    /// Founds a term with its own consent, counted often.
    FoundAlone,
    /// Says old commits and foundings again under the keys of today.
    Replay,
}

impl World {
    /// Says a lie. `false` if there is nothing to say it about.
    pub fn lie(&mut self, liar: usize, lie: Lie) -> bool {
        let seat = |world: &World, phone: usize| world.seats[phone];
        let only = |phone: usize| -> Phones { 1 << phone };
        match lie {
            Lie::TwoFaces(a, b) => {
                let Some(vote) = self.vote_of(liar, 1) else { return false };
                self.whisper(liar, only(a), vote) && self.whisper(liar, only(b), Body::Say { text: "no".into() })
            }
            Lie::TwoVotes(a, b) => {
                let (Some(one), Some(other)) = (self.vote_of(liar, 1), self.vote_of(liar, 2)) else { return false };
                self.whisper(liar, only(a), one) && self.whisper(liar, only(b), other)
            }
            Lie::TwoFacedRemoval(target, a, b) => {
                let seat = seat(self, target);
                let signature = self.look(liar, |phone| phone.room()?.wish(seat));
                let Some(signature) = signature else { return false };
                self.whisper(liar, only(a), Body::Remove { seat, signature })
                    && self.whisper(liar, only(b), Body::Say { text: "no".into() })
            }
            Lie::StaleVote => {
                let vote = self.look(liar, |phone| {
                    let room = phone.room()?;
                    room.proposals().first().map(|proposal| room.any_vote(*proposal, 1))
                });
                vote.is_some_and(|vote| self.whisper(liar, ALL, vote))
            }
            Lie::KeptCertificate => {
                let Some(certificate) = self.look(liar, |phone| phone.room()?.kept_certificate()) else { return false };
                self.in_room(liar, ALL, |room, cx| room.show_certificate(cx, certificate))
            }
            Lie::ClaimGoodbye(target) => {
                let seat = seat(self, target);
                self.in_room(liar, ALL, |room, cx| room.claim_goodbye(cx, seat))
            }
            Lie::RemoveAlone(target) => {
                let seat = seat(self, target);
                self.in_room(liar, ALL, |room, cx| room.remove_alone(cx, seat, true))
            }
            Lie::TwoCommits(target, a, b) => {
                let seat = seat(self, target);
                self.in_room(liar, only(a), |room, cx| room.remove_alone(cx, seat, false))
                    && self.in_room(liar, only(b), |room, cx| room.remove_alone(cx, seat, true))
            }
            Lie::ConsentTo(successor) => {
                let seat = seat(self, successor);
                self.in_room(liar, ALL, |room, cx| room.consent_to(cx, seat))
            }
            Lie::FoundAlone => self.in_room(liar, ALL, |room, cx| room.found_alone(cx)),
            Lie::Replay => self.in_room(liar, ALL, |room, cx| room.replay(cx)),
        }
    }

    fn vote_of(&self, liar: usize, token: u8) -> Option<Body> {
        self.look(liar, |phone| {
            let room = phone.room()?;
            room.proposals().last().map(|proposal| room.any_vote(*proposal, token))
        })
    }

    fn whisper(&mut self, liar: usize, to: Phones, body: Body) -> bool {
        self.in_room(liar, to, |room, cx| room.whisper(cx, body))
    }

    /// Does something in the liar's room and sends what comes of it to these others alone.
    fn in_room(
        &mut self,
        liar: usize,
        to: Phones,
        f: impl FnOnce(&mut crate::proto::talk::room::Room, &mut crate::proto::cx::Cx<'_>),
    ) -> bool {
        let done = self.act(liar, |node| {
            let talk = node.talk_ids().first().copied()?;
            let done = node.with_room(talk, f);
            node.send_posts();
            done
        });
        self.sync_to(liar, to);
        done.is_some()
    }
}
