//! All that a part may use while it handles one input: a function without [`Cx`] is pure, and its signature says so.

use super::id::{TalkId, WriteName};
use super::io::{Event, Output, Persist, ReadKey, Scope};
use super::rng::Rng;
use super::secret::Key;
use super::time::{Instant, WallTime};
use super::wire::parcel::{Parcel, ParcelKeys, Travel};
use super::wire::{encode, message, parcel};
use serde::Serialize;
use std::collections::VecDeque;

/// The only door to time, chance and effects.
pub struct Cx<'a> {
    /// Elapsed time at this input.
    pub now: Instant,
    /// The wall time at this input, as far as it is believed.
    pub wall: WallTime,
    /// What the wall clock claims: for peers to compare theirs with.
    pub shown: WallTime,
    /// The node's chance.
    pub rng: &'a mut Rng,
    /// Effects, in order.
    pub out: &'a mut VecDeque<Output>,
    /// Messages to seal and send once this input is handled, in order.
    pub posts: &'a mut Vec<Post>,
    /// The joined event.
    pub event: &'a EventKeys,
}

/// What the event pack gives to everybody who joined.
#[derive(Clone, Debug)]
pub struct EventKeys {
    /// The event, for prologues and labels.
    pub id: super::id::EventId,
    /// Seals the cards of the board.
    pub board: ParcelKeys,
    /// Wraps blobs for the relay and names the shared mailboxes.
    pub relay: Key,
    /// How many coarse buckets the event's rooms share at the relay, at least 1.
    pub room_buckets: u16,
    /// Where reports go: the organizer's X25519 key.
    pub report: [u8; 32],
    /// When the event ends.
    pub ends: WallTime,
}

impl EventKeys {
    /// The mailbox in which all cards lie.
    pub fn board_mailbox(&self) -> ReadKey {
        ReadKey(self.relay.derive("alcove/1 board mailbox", &[]))
    }

    /// One of the buckets that rooms share.
    pub fn bucket(&self, number: u16) -> ReadKey {
        ReadKey(self.relay.derive("alcove/1 bucket", &number.to_be_bytes()))
    }

    /// The bucket of the room that grew from this secret.
    pub fn bucket_of(&self, founding: &Key) -> u16 {
        let pick = founding.mac(&[b"alcove/1 bucket of room"]);
        u16::from_be_bytes([pick[0], pick[1]]) % self.room_buckets.max(1)
    }
}

/// By which way something came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Via {
    /// Over a link: its sender is within a few hops.
    Link,
    /// From the relay.
    Relay,
}

/// A message on its way out.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Post {
    /// For whom.
    pub keys: ParcelKeys,
    /// What.
    pub message: Vec<u8>,
    /// For how many hours it is worth carrying.
    pub hours: u8,
    /// Passed on at once or never.
    pub ephemeral: bool,
    /// Hop limit; drawn at random from 5 to 7 where `None`.
    pub hops: Option<u8>,
    /// Where it also goes at the relay.
    pub mailbox: Option<WriteName>,
    /// Whose blob it is, so that it can be withdrawn.
    pub owner: Option<TalkId>,
}

impl Post {
    /// A message that is carried for a day.
    pub fn new<T: Serialize>(keys: &ParcelKeys, message: &T) -> Post {
        Post::encoded(keys, encode(message))
    }

    /// The same, of a message that is encoded already.
    pub fn encoded(keys: &ParcelKeys, message: Vec<u8>) -> Post {
        Post { keys: keys.clone(), message, hours: 24, ephemeral: false, hops: None, mailbox: None, owner: None }
    }

    /// Passed on at once or never.
    pub fn ephemeral(self) -> Post {
        Post { ephemeral: true, hours: 1, ..self }
    }

    /// Also left at the relay, to be withdrawn with its talk.
    pub fn with_mailbox(self, mailbox: Option<WriteName>, owner: TalkId) -> Post {
        Post { mailbox, owner: Some(owner), ..self }
    }

    /// Worth carrying for this long.
    pub fn for_hours(self, hours: u8) -> Post {
        Post { hours, ..self }
    }

    /// At most this many hops.
    pub fn within_hops(self, hops: u8) -> Post {
        Post { hops: Some(hops), ..self }
    }

    /// Sealed by this time; `None` if it is longer than any message may be.
    pub fn seal(&self, rng: &mut Rng, wall: WallTime) -> Option<Vec<Parcel>> {
        // The expiry names an hour, rounded up, so that it tells no more about the time of sending than that.
        let expiry_hours = wall.hours() + u32::from(self.hours.max(1)) + 1;
        let hops = self.hops.unwrap_or(5 + rng.below(3) as u8);
        let travel = Travel { expiry_hours, ephemeral: self.ephemeral, hops };
        message::seal(rng, &self.keys, travel, &self.message)
    }

    /// Whether it fits one small parcel.
    pub fn is_small(&self) -> bool {
        self.message.len() < parcel::SMALL_CONTENT_BYTES
    }
}

impl Cx<'_> {
    /// Tells the people outside that something changed.
    pub fn tell(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    /// Remembers a value.
    pub fn put<T: Serialize>(&mut self, scope: Scope, name: &[u8], value: &T) {
        self.out.push_back(Output::Persist(Persist::Put { scope, name: name.to_vec(), value: encode(value) }));
    }

    /// Forgets one record.
    pub fn delete(&mut self, scope: Scope, name: &[u8]) {
        self.out.push_back(Output::Persist(Persist::Delete { scope, name: name.to_vec() }));
    }

    /// Sends a message once this input is handled.
    pub fn post(&mut self, post: Post) {
        self.posts.push(post);
    }
}
