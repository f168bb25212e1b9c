//! What a hostile member cannot make a room remember.

use super::*;
use crate::proto::board::Terms;
use crate::proto::cx::EventKeys;
use crate::proto::id::{CardId, EventId};
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::proto::talk::entry::Head;
use crate::proto::talk::seats::Founding;
use crate::proto::time::WallTime;
use std::collections::VecDeque;

/// Runs something with a room's surroundings at this second; what it caused is dropped.
fn at<T>(rng: &mut Rng, second: u64, f: impl FnOnce(&mut Cx<'_>) -> T) -> T {
    let key = Key([1; 32]);
    let (board, ends) = (ParcelKeys::new(&key), WallTime::from_hours(500_100));
    let event = EventKeys { id: EventId([2; 16]), board, relay: key, room_buckets: 2, report: [3; 32], ends };
    let (now, wall) = (Instant(0) + Duration::from_secs(second), WallTime::from_hours(500_000));
    let (mut out, mut posts) = (VecDeque::new(), Vec::new());
    f(&mut Cx { now, wall, shown: wall, rng, out: &mut out, posts: &mut posts, event: &event })
}

/// The host's room, and the group of a member that says what it likes.
fn room_and_member(rng: &mut Rng) -> (Room, Group) {
    let (host, mut hostile) = (SeatKeys::generate(rng), SeatKeys::generate(rng));
    let package = hostile.key_package(rng).unwrap();
    let psk = Key([4; 32]);
    let (group, welcome) = Group::found(rng, &host, [5; 16], &[package], &psk, b"roster").unwrap();
    let (theirs, _) = Group::join(&mut hostile, &welcome, Some((&psk, b"roster"))).unwrap();
    let (topic, pattern, expires_hours) = ("x".into(), Default::default(), 500_010);
    let terms = Terms { topic, tags: Vec::new(), pattern, seats_min: 2, seats_max: 5, expires_hours };
    let founding = Founding { group, keys: host, terms, card: CardId([6; 16]), door: None, to_tell: Vec::new() };
    (at(rng, 0, |cx| Room::found(cx, TalkId([7; 16]), founding)).unwrap(), theirs)
}

#[test]
fn a_member_that_floods_with_places_is_forgotten_as_fast() {
    let rng = &mut Rng::new([1; 32]);
    let (mut room, mut theirs) = room_and_member(rng);
    for round in 0..20 {
        let place = |at: u32| Item::Folded { seat: 1, head: Head { number: 1_000 * round + at, chain: [0; 16] } };
        let items: Vec<_> = (1..=1_000).map(place).collect();
        let sealed = theirs.seal(rng, &encode(&items)).unwrap();
        let message = [&[0][..], &encode(&Message::Sealed(sealed))].concat();
        at(rng, u64::from(round) + 1, |cx| room.receive(cx, &message, Via::Link)).unwrap();
        assert!(room.repair.answers() <= 1_000, "round {round}: {}", room.repair.answers());
    }
}
