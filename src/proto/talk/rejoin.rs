//! How a device that lost its keys comes back: what it keeps, what it asks, and by which key the others know that it is the same.
//!
//! Laws: what it keeps opens no content; the seat itself has named the key that lets it back, in the first entry of its line, so that
//! nobody can bring another back as himself; it comes back as a new seat in the place of the old one.

use super::close::{Afterlife, Certificate, ClosedSeat, SeatEnd};
use super::entry::{Body, Entry, SeatNumber, Sig};
use super::group::{check_key_package, sign, verify};
use super::seats::Offer;
use crate::proto::id::{SeatId, TalkId, WriteName};
use crate::proto::secret::Key;
use serde::{Deserialize, Serialize};

const DOMAIN: &str = "re-join";
const STUB: &[u8] = b"stub/";

/// What a seat said in its first entry: with it its device comes back, and nobody else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RejoinKey {
    /// Ed25519.
    pub key: [u8; 32],
    /// The entry's signature: the seat itself named this key, as can be shown to anybody.
    pub hello: Sig,
}

impl RejoinKey {
    /// Whether the seat of this Ed25519 key named it.
    pub fn is_of(&self, room: &[u8; 16], seat: SeatId, key: &[u8; 32]) -> bool {
        let hello = Entry::signed_parts(room, seat, 1, &[0; 16], &Body::Hello { rejoin_key: self.key });
        verify(key, "entry", &[&hello], &self.hello.to_bytes())
    }

    /// Whether it signed that the old seat's device comes back as the newer one.
    pub fn lets_back(&self, room: &[u8; 16], old: SeatId, newer: SeatId, signature: &Sig) -> bool {
        verify(&self.key, DOMAIN, &[room, &old.0, &newer.0], &signature.to_bytes())
    }
}

/// A device that lost its keys asks back in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rejoin {
    /// Its former number.
    pub old: SeatNumber,
    /// Its new seat.
    pub offer: Offer,
    /// By its re-join key, over the room and both seats.
    pub signature: Sig,
}

impl Rejoin {
    /// The same as a commit names it; `None` if its offer does not hold.
    pub fn returned(&self) -> Option<Returned> {
        let newer = check_key_package(&self.offer.key_package).ok()?.seat;
        Some(Returned { old: self.old, newer, signature: self.signature })
    }
}

/// A returned device as a commit names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Returned {
    /// Its former number.
    pub old: SeatNumber,
    /// Its new seat.
    pub newer: SeatId,
    /// By its re-join key, over the room and both seats.
    pub signature: Sig,
}

/// What survives a lost forgetting key: enough to ask back in and to learn of the end, and nothing that opens content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stub {
    /// Re-admits this device.
    pub rejoin_key: Key,
    /// Our number.
    pub number: SeatNumber,
    /// Our seat, and the key that verifies our vote.
    pub seat: SeatId,
    /// See above.
    pub key: [u8; 32],
    /// The room's id.
    pub room: [u8; 16],
    /// Hands the request in.
    pub door: [u8; 32],
    /// Or here.
    pub door_mailbox: WriteName,
    /// Tells certificates.
    pub afterlife: Afterlife,
    /// Where the room's parcels lie at the relay.
    pub bucket: u16,
    /// What the card promised: for the end of the talk.
    pub expires_hours: u32,
}

impl Stub {
    /// Under which name the stub of a talk is remembered.
    pub fn name(talk: TalkId) -> Vec<u8> {
        [STUB, &talk.0[..]].concat()
    }

    /// Of which talk a record of this name is the stub; `None` if it is none.
    pub fn talk(name: &[u8]) -> Option<TalkId> {
        name.strip_prefix(STUB)?.try_into().ok().map(TalkId)
    }

    /// The request by which this device asks back in as another seat.
    pub fn rejoin(&self, newer: &SeatId, offer: Offer) -> Rejoin {
        let signature = sign(&self.rejoin_key, DOMAIN, &[&self.room, &self.seat.0, &newer.0]).into();
        Rejoin { old: self.number, offer, signature }
    }

    /// Whether a certificate ends the talk for this device: it holds, and our own vote is in it.
    pub fn accepts(&self, certificate: &Certificate) -> bool {
        let is_ours = |seat: &ClosedSeat| seat.seat == self.seat && seat.key == self.key && matches!(seat.end, SeatEnd::Voted(_));
        certificate.holds(&self.room) && certificate.seats.iter().any(is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_is_found_by_its_name_and_nothing_else_is() {
        let talk = TalkId([7; 16]);
        assert_eq!(Stub::talk(&Stub::name(talk)), Some(talk));
        assert_eq!([&b"stub/"[..], b"room", &Stub::name(talk)[1..]].map(Stub::talk), [None; 3]);
    }
}
