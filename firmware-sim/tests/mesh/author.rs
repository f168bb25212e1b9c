//! Who has links to many does not know the author of a word: not by who says it first, and not by anything else that it sees of it.

use super::WALL;
use alcove::proto::id::LinkId;
use alcove::proto::mesh::{Kind, Mesh};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::{Duration, Instant};
use alcove::proto::wire::frame::Frame;
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use std::collections::BTreeMap;

const PHONES: usize = 6;
/// The one that watches has a link to each and says nothing.
const WATCHER: usize = PHONES;
const DELAY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(60));

/// What the watcher notes of one parcel.
#[derive(Clone, Copy)]
struct Brought {
    at: Instant,
    by: usize,
    hops: u8,
}

/// Everybody has a link to everybody; one says something: what the watcher is brought.
fn say(rng: &mut Rng, hall: &mut [Mesh], now: Instant, author: usize) -> Vec<Brought> {
    let travel = Travel { expiry_hours: 1_010, ephemeral: true, hops: 5 + rng.below(3) as u8 };
    let parcel = ParcelKeys::new(&Key([1; 32])).seal(rng, travel, b"x").unwrap();
    let (mut queue, mut brought, mut sequence) = (BTreeMap::<(Instant, u64), (usize, usize, Parcel)>::new(), Vec::new(), 0);
    let mut under_way = |rng: &mut Rng, queue: &mut BTreeMap<_, _>, now: Instant, from: usize, frames: Vec<(LinkId, Frame)>| {
        for (link, frame) in frames {
            let Frame::Parcel(parcel) = frame else { continue };
            sequence += 1;
            queue.insert((now + rng.between(DELAY.0, DELAY.1), sequence), (from, link.0 as usize, parcel));
        }
    };
    let frames = hall[author].originate(rng, now, WALL, parcel);
    under_way(rng, &mut queue, now, author, frames);
    let mut tick = now;
    while tick < now + Duration::from_secs(2) {
        while let Some(entry) = queue.first_entry().filter(|entry| entry.key().0 <= tick) {
            let ((at, _), (from, to, parcel)) = entry.remove_entry();
            if to == WATCHER {
                brought.push(Brought { at, by: from, hops: parcel.travel().hops });
                continue;
            }
            let link = Some(LinkId(from as u64));
            let frames = hall[to].receive(rng, at, WALL, link, Kind::Sealed, &parcel).map(|(_, frames)| frames);
            under_way(rng, &mut queue, at, to, frames.unwrap_or_default());
        }
        for phone in 0..PHONES {
            let frames = hall[phone].tick(rng, tick);
            under_way(rng, &mut queue, tick, phone, frames);
        }
        tick = tick + Duration::from_millis(1);
    }
    brought
}

#[test]
fn who_has_links_to_many_does_not_know_the_author_by_what_it_sees_of_a_word() {
    let rng = &mut Rng::new([9; 32]);
    let mut hall: Vec<Mesh> = (0..PHONES).map(|_| Mesh::default()).collect();
    for (phone, mesh) in hall.iter_mut().enumerate() {
        for other in (0..=PHONES).filter(|other| *other != phone) {
            mesh.link_up(rng, Instant(0), LinkId(other as u64), [0; 32], false);
        }
    }
    const WORDS: usize = 300;
    let (mut by_first, mut by_hops, mut by_last) = (0, 0, 0);
    for word in 0..WORDS {
        let (now, author) = (Instant(word as u64 * 15_000_000), rng.below(PHONES as u64) as usize);
        let brought = say(rng, &mut hall, now, author);
        let guess = |by: Option<&Brought>| usize::from(by.is_some_and(|brought| brought.by == author));
        by_first += guess(brought.iter().min_by_key(|brought| brought.at));
        // Of several the earliest.
        by_hops += guess(brought.iter().rev().max_by_key(|brought| brought.hops));
        by_last += guess(brought.iter().max_by_key(|brought| brought.at));
    }
    eprintln!("of {WORDS}: {by_first} by who says it first, {by_hops} by the highest hop limit, {by_last} by who says it last");
    let known = WORDS / 2;
    assert!(by_first < known, "by who says it first: {by_first}");
    assert!(by_hops < known, "by the highest hop limit: {by_hops}");
    assert!(by_last < known, "by who says it last: {by_last}");
}
