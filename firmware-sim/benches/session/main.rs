//! Ten minutes of shared notes at 2, 5 and 12 seats in virtual time, in bytes, beside `automerge::sync` between the same replicas:
//! `cargo bench --workspace --bench session [-- MINUTES [SEATS…]]`. Exact and repeatable.
//!
//! Everybody reaches everybody. Each types in bursts of 40 to 160 keystrokes, 120 to 280 ms apart, one in fourteen a deletion, and pauses
//! 20 to 90 s in between. An onlooker hears each parcel once: that is what one shared medium carries. The links between the phones carry
//! each parcel once per link that it crosses. Payload is what is in the parcels before they are padded: entries sealed by MLS, beacons.
//! Then what it takes to bring 100 missing changes of a long document, and what it takes to find 100 missing parcels among many.
//! `ALCOVE_TRACE=FILE` takes the document from an editing trace (josephg/editing-traces, `sequential_traces`, unpacked JSON) instead of
//! writing one.

#[path = "../../../benches/measure/mod.rs"]
mod measure;
mod missing;
mod pairwise;
mod room;
mod trace;

use alcove::proto::id::TalkId;
use alcove::proto::node::Node;
use alcove::proto::notes::Edit;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};
use firmware_sim::checker::converged;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, open_room, text};
use measure::{head, kb, machine, numbers, row};
use room::{Change, Heard, changes, entries};
use std::collections::BTreeMap;

fn main() {
    let numbers = numbers();
    let minutes = numbers.first().map_or(10, |minutes| *minutes as u64);
    // Twelve seats for ten minutes are minutes of work: by default they play two.
    let plays = match numbers.get(1..) {
        Some(seats) if !seats.is_empty() => seats.iter().map(|seats| (*seats, minutes)).collect(),
        _ => vec![(2, minutes), (5, minutes), (12, minutes.min(2))],
    };
    println!("session in virtual time, {}", machine());
    let payload = "payload: changes + beacons";
    head(&["seats", "minutes", "keys", "changes", payload, "one medium: changes + beacons", "and previews", "all links"]);
    let mut sessions = Vec::new();
    for (seats, minutes) in plays {
        let session = play(seats, minutes);
        let Session { keys, changes, heard, links, .. } = &session;
        let (entries, beacons) = (heard.entry_content, heard.beacon_content);
        row(&[
            seats.to_string(),
            minutes.to_string(),
            keys.to_string(),
            changes.len().to_string(),
            format!("{} + {} = **{}**", kb(entries), kb(beacons), kb(entries + beacons)),
            format!("{} + {} = **{}**", kb(heard.lasting), kb(heard.beacons), kb(heard.lasting + heard.beacons)),
            kb(heard.previews),
            kb(*links),
        ]);
        sessions.push(session);
    }
    head(&["seats", "entries in parcels", "too long for one small parcel", "beacons and asks", "previews"]);
    for Session { seats, heard, .. } in &sessions {
        let Heard { entry_count, long_count, lasting_count, beacon_count, preview_count, .. } = heard;
        let parcels = format!("{entry_count} in {lasting_count}");
        row(&[seats.to_string(), parcels, long_count.to_string(), beacon_count.to_string(), preview_count.to_string()]);
    }
    head(&["seats", "`automerge::sync`, every pair", "messages", "author to each only", "messages", "our payload : every pair"]);
    for Session { seats, changes, heard, .. } in &sessions {
        let (pairs, author) = (pairwise::every_pair(*seats, changes), pairwise::author_to_each(*seats, changes));
        let ours = heard.entry_content + heard.beacon_content;
        let ratio = format!("1 : {:.1}", pairs.bytes as f64 / ours as f64);
        row(&[
            seats.to_string(),
            kb(pairs.bytes),
            pairs.messages.to_string(),
            kb(author.bytes),
            author.messages.to_string(),
            ratio,
        ]);
    }
    missing::parcels_of_many();
    missing::changes_of_a_long_document();
}

struct Session {
    seats: usize,
    keys: usize,
    changes: Vec<Change>,
    heard: Heard,
    links: u64,
}

fn play(seats: usize, minutes: u64) -> Session {
    let mut network = Network::new(seats as u64, seats);
    network.connect_all();
    (0..seats).for_each(|phone| network.overhear(phone));
    let talks = open_room(&mut network, seats, seats as u8);
    // The beacons calm down before the session begins.
    network.run(S(120));
    let known = entries(&mut network, 0, talks[0]);
    network.onlooker.heard.clear();
    let (bytes_before, began, end) = (network.bytes_sent, network.now(), network.now() + S(60 * minutes));

    let keystrokes = keystrokes(&mut Rng::new([seats as u8; 32]), seats, began, end);
    let mut cursors = vec![0; seats];
    for ((at, phone), key) in &keystrokes {
        network.run(at.since(network.now()));
        press(&mut network, *phone, talks[*phone], *key, &mut cursors[*phone]);
    }
    network.run(end.since(network.now()));
    let (heard, links) = (std::mem::take(&mut network.onlooker.heard), network.bytes_sent - bytes_before);

    let members: Vec<_> = talks.iter().copied().enumerate().collect();
    network.run_until(S(60), |n| converged(n, &members).is_ok());
    converged(&network, &members).expect("everybody has everything");
    let mut new = entries(&mut network, 0, talks[0]);
    new.retain(|place, _| !known.contains_key(place));
    let heard = Heard::of(heard.values(), &new);
    Session { seats, keys: keystrokes.len(), changes: changes(&new), heard, links }
}

#[derive(Clone, Copy)]
enum Key {
    /// The first of a burst: the cursor goes to a place of the text, in 2^16ths of its length.
    Place(u16),
    Insert(char),
    Delete,
}

fn keystrokes(rng: &mut Rng, seats: usize, began: Instant, end: Instant) -> BTreeMap<(Instant, usize), Key> {
    let ms = Duration::from_millis;
    let mut keys = BTreeMap::new();
    for seat in 0..seats {
        let mut at = began + rng.between(Duration::ZERO, S(60));
        // The last burst ends in time to be cut.
        while at < end {
            for place in 0..40 + rng.below(121) {
                at = at + rng.between(ms(120), ms(280));
                let letter = char::from(b"etaoin shrdlu"[rng.below(13) as usize]);
                let key = match (place, rng.below(14)) {
                    (0, _) => Key::Place(rng.below(1 << 16) as u16),
                    (_, 0) => Key::Delete,
                    _ => Key::Insert(letter),
                };
                if at + S(5) < end {
                    keys.insert((at, seat), key);
                }
            }
            at = at + rng.between(S(20), S(90));
        }
    }
    keys
}

fn press(network: &mut Network, phone: usize, talk: TalkId, key: Key, cursor: &mut usize) {
    let length = text(network, phone, talk).chars().count();
    *cursor = (*cursor).min(length);
    let edit = match key {
        Key::Place(part) => {
            *cursor = (length * usize::from(part)) >> 16;
            Edit::Splice { at: *cursor, delete: 0, insert: ".".into() }
        }
        Key::Delete if *cursor > 0 => {
            *cursor -= 1;
            Edit::Splice { at: *cursor, delete: 1, insert: String::new() }
        }
        Key::Delete => return,
        Key::Insert(letter) => Edit::Splice { at: *cursor, delete: 0, insert: letter.into() },
    };
    if let Edit::Splice { insert, .. } = &edit {
        *cursor += insert.chars().count();
    }
    network.with(phone, |node: &mut Node| node.edit(talk, &[edit])).expect("the room can be written in");
}
