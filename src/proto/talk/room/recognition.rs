//! What an open room does so that its members recognise each other on the radio: it carries their presence keys inside MLS.
//!
//! Law: a presence key is in no record and in no parcel that a key of a record opens: MLS forgets the key of a message with the message.

use super::Room;
use super::message::Message;
use crate::proto::cx::{Cx, Post, Via};
use crate::proto::error::Fault;
use crate::proto::id::EphemeralId;
use crate::proto::talk::entry::SeatNumber;
use crate::proto::talk::group::Opened;
use crate::proto::talk::roster::Standing;
use crate::proto::wire::advert::HINT_BYTES;
use crate::proto::wire::{decode, encode};

impl Room {
    /// There is a radio: the others are told how to recognise us there.
    pub fn show(&mut self, cx: &mut Cx<'_>) {
        let place = (self.meta.term, self.group.epoch());
        self.recognition.show(cx.rng, cx.now, cx.wall, place);
    }

    /// There is no radio any more.
    pub fn hide(&mut self) {
        self.recognition.hide();
    }

    /// Whether somebody may be recognised who was not; said once.
    pub fn take_recognition_news(&mut self) -> bool {
        self.recognition.take_news()
    }

    /// By which the others of this room recognise this id.
    pub fn hint(&self, id: EphemeralId) -> Option<[u8; HINT_BYTES]> {
        self.recognition.hint(id)
    }

    /// Which of the others shows this, if any.
    pub fn whose_hint(&self, id: EphemeralId, hint: [u8; HINT_BYTES]) -> Option<SeatNumber> {
        self.recognition.recognise(id, hint)
    }

    /// By which the others of this room know us at this end of a link.
    pub fn member_proof(&self, handshake_hash: &[u8; 32]) -> Option<[u8; 8]> {
        self.recognition.proof(handshake_hash)
    }

    /// Which of the others is at the other end of a link.
    pub fn member_of(&self, handshake_hash: &[u8; 32], proofs: &[[u8; 8]]) -> Option<SeatNumber> {
        self.recognition.prover(handshake_hash, proofs)
    }

    pub(super) fn tick_recognition(&mut self, cx: &mut Cx<'_>) {
        self.recognition.advance(cx.wall);
        let sits = |seat: SeatNumber| self.meta.roster.seat(seat).is_some_and(|seat| seat.standing == Standing::Sits);
        self.recognition.retain(sits);
        let is_missed =
            |seat: SeatNumber| seat != self.meta.me && self.attendance.is_near(seat, cx.now) && !self.recognition.knows(seat);
        let misses = self.meta.roster.sitting().any(|(seat, _)| is_missed(seat));
        if misses {
            self.recognition.miss(cx.now);
        }
        let Some(told) = self.recognition.take_due(cx.now, !misses) else { return };
        let Ok(sealed) = self.group.seal(cx.rng, &encode(&told)) else { return };
        self.persist_group(cx);
        let post = Post::new(&self.current_keys(), &Message::Presence(sealed)).with_mailbox(self.mailbox(cx), self.talk);
        cx.post(post);
    }

    pub(super) fn take_presence(&mut self, cx: &mut Cx<'_>, sealed: &[u8], via: Via) -> Result<(), Fault> {
        // Of another epoch, or heard before: it is told again to whoever misses it.
        let Ok(Opened::Message { from, plaintext, .. }) = self.group.open(sealed) else { return Ok(()) };
        self.persist_group(cx);
        let Some(seat) = self.meta.roster.number(from).filter(|seat| *seat != self.meta.me) else { return Ok(()) };
        self.hear(cx.now, seat, via);
        self.recognition.hear(cx.rng, cx.now, cx.wall, seat, decode(&plaintext, "presence key")?);
        Ok(())
    }
}
