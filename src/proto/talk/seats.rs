//! From a card to a quorum: who asks for a seat, whose contributions found the room, and who stayed silent.
//!
//! Laws: below the quorum there is no group and no key; at the quorum every seat opens the random bytes it committed to, and only all
//! of them together make the room's first key; a seat that does not open in time returns to the queue, and everybody draws afresh.
//! The host counts; she sees "gathering", the others what she tells them.

mod draw;
mod hosting;
mod waiting;

use super::door::{self, Door};
use super::entry::Sig;
use super::group::{Group, Member, SeatKeys, check_key_package, verify};
use super::rejoin::Rejoin;
use crate::proto::board::Terms;
use crate::proto::cx::{Cx, Post};
use crate::proto::error::Fault;
use crate::proto::id::{CardId, SeatId, TalkId, WriteName};
use crate::proto::wire::{decode, encode};
pub use draw::RosterSeat;
pub use hosting::{HostDoor, Hosting, HostingRecord};
use serde::{Deserialize, Serialize};
pub use waiting::{Answered, Errand, Waiting, WaitingRecord};

const DOMAIN: &str = "seat request";

/// What somebody hands in who wants a seat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Of which draw; 0 at first.
    pub round: u32,
    /// MLS key package, used once.
    pub key_package: Vec<u8>,
    /// Hash of the random bytes that this seat will contribute.
    pub commitment: [u8; 32],
    /// Answers are sealed to this door,
    pub reply: [u8; 32],
    /// and may be left in this mailbox.
    pub reply_mailbox: WriteName,
}

/// From a guest to the host, sealed to the card's door.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToHost {
    /// A seat, please.
    Offer(Offer),
    /// The random bytes behind the commitment.
    Reveal {
        /// Of which draw.
        round: u32,
        /// 16 random bytes.
        contribution: [u8; 16],
    },
    /// I gave up my seat.
    StandUp,
    /// A device that lost its keys asks back in (see `rejoin`).
    Rejoin(Rejoin),
}

/// A [`ToHost`] with its seat and signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Signed {
    seat: SeatId,
    body: Vec<u8>,
    signature: Sig,
}

/// From the host to one guest, sealed to the guest's reply door.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToGuest {
    /// Your seat is noted; so many are taken.
    Noted {
        /// Seats taken, the host's own included.
        taken: u8,
    },
    /// Somebody stayed silent: offer again, with fresh random bytes.
    Redraw {
        /// Which draw comes now.
        round: u32,
    },
    /// The quorum sits: open your contribution.
    Roster {
        /// Which draw.
        round: u32,
        /// Everybody, the host first.
        seats: Vec<RosterSeat>,
    },
    /// The room is founded.
    Founded {
        /// Which draw.
        round: u32,
        /// Everybody's contribution, in the roster's order.
        contributions: Vec<[u8; 16]>,
        /// MLS welcome.
        welcome: Vec<u8>,
    },
    /// You were admitted to a room that stands.
    Joined {
        /// MLS welcome.
        welcome: Vec<u8>,
        /// An encoded `room::State`.
        state: Vec<u8>,
    },
    /// No seat: full, withdrawn, or closing.
    Declined,
}

/// What a founding gives to each of its members.
pub struct Founding {
    /// Epoch 1.
    pub group: Group,
    /// The same seat, its key package used up.
    pub keys: SeatKeys,
    /// Topic, seats, end.
    pub terms: Terms,
    /// Whose card it grew from.
    pub card: CardId,
    /// The host's way in for later seats.
    pub door: Option<HostDoor>,
    /// Who has to be told, by the host.
    pub to_tell: Vec<Welcome>,
}

/// The answer by which a seat enters a room, of which it is not yet known whether it was heard.
#[derive(Clone, Serialize, Deserialize)]
pub struct Welcome {
    /// Whose.
    pub seat: SeatId,
    reply: [u8; 32],
    mailbox: WriteName,
    message: Vec<u8>,
}

impl Welcome {
    /// To the seat of this offer, with an encoded [`ToGuest`].
    pub fn new(seat: SeatId, offer: &Offer, message: Vec<u8>) -> Welcome {
        Welcome { seat, reply: offer.reply, mailbox: offer.reply_mailbox, message }
    }

    /// Says it, again if need be.
    pub fn tell(&self, cx: &mut Cx<'_>, talk: TalkId) {
        tell_encoded(cx, talk, &self.reply, self.mailbox, &self.message);
    }
}

/// Hands a signed request in through a door.
pub fn hand_in(cx: &mut Cx<'_>, talk: TalkId, keys: &SeatKeys, (door, mailbox): (&[u8; 32], WriteName), request: &ToHost) {
    let body = encode(request);
    let signature = keys.sign(DOMAIN, &[door, &body]).into();
    let signed = encode(&Signed { seat: keys.id(), body, signature });
    if let Some(sealed) = door::seal(cx.rng, door, &signed) {
        cx.post(Post::new(&door::parcel_keys(door), &sealed).with_mailbox(Some(mailbox), talk));
    }
}

/// Opens a request and checks its signature: with the key of its own key package for an offer, else with the key that `known` gives.
///
/// # Errors
/// A [`Fault`] if it does not open, parse or verify.
pub fn open_request(door: &Door, sealed: &[u8], known: impl Fn(SeatId) -> Option<Member>) -> Result<(Member, ToHost), Fault> {
    let plain = door.open(sealed).ok_or(Fault::Forged("seat request"))?;
    let signed: Signed = decode(&plain, "seat request")?;
    let request: ToHost = decode(&signed.body, "seat request")?;
    let member = match &request {
        ToHost::Offer(Offer { key_package, .. }) => check_key_package(key_package).map_err(|_| Fault::Forged("key package"))?,
        ToHost::Rejoin(rejoin) => check_key_package(&rejoin.offer.key_package).map_err(|_| Fault::Forged("key package"))?,
        ToHost::Reveal { .. } | ToHost::StandUp => known(signed.seat).ok_or(Fault::OutOfPlace("seat request"))?,
    };
    let holds =
        member.seat == signed.seat && verify(&member.key, DOMAIN, &[&door.public(), &signed.body], &signed.signature.to_bytes());
    if holds { Ok((member, request)) } else { Err(Fault::Forged("seat request")) }
}

/// Answers through a guest's reply door.
pub fn tell(cx: &mut Cx<'_>, talk: TalkId, offer: &Offer, answer: &ToGuest) {
    tell_encoded(cx, talk, &offer.reply, offer.reply_mailbox, &encode(answer));
}

fn tell_encoded(cx: &mut Cx<'_>, talk: TalkId, reply: &[u8; 32], mailbox: WriteName, answer: &[u8]) {
    if let Some(sealed) = door::seal(cx.rng, reply, answer) {
        cx.post(Post::new(&door::parcel_keys(reply), &sealed).with_mailbox(Some(mailbox), talk));
    }
}
