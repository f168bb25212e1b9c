//! The same changes between the same number of replicas by `automerge::sync`, which works between two at a time.

use super::room::Change;
use alcove::proto::id::SeatId;
use alcove::proto::notes::{Document, change_deps, change_hash};
use automerge::sync::{State, SyncDoc};
use automerge::{Automerge, ChangeHash};
use std::collections::BTreeMap;

/// What it took; nothing is sealed or padded.
#[derive(Default)]
pub struct Cost {
    pub bytes: u64,
    pub messages: u64,
}

/// Each replica synchronises with each other until all are quiet, after each change.
pub fn every_pair(seats: usize, changes: &[Change]) -> Cost {
    replay(seats, changes, |_, _, _| true)
}

/// Only the author of a change synchronises, with each of the others.
pub fn author_to_each(seats: usize, changes: &[Change]) -> Cost {
    replay(seats, changes, |author, one, other| one == author || other == author)
}

/// Two replicas that have never met.
pub fn cold(one: Automerge, other: Automerge) -> Cost {
    let (mut replicas, mut cost) = (Replicas { documents: vec![one, other], states: BTreeMap::new() }, Cost::default());
    replicas.synchronise(|_, _| true, &mut cost);
    assert_eq!(replicas.documents[0].get_heads(), replicas.documents[1].get_heads());
    cost
}

struct Replicas {
    documents: Vec<Automerge>,
    states: BTreeMap<(usize, usize), State>,
}

impl Replicas {
    fn synchronise(&mut self, speak: impl Fn(usize, usize) -> bool, cost: &mut Cost) {
        let seats = self.documents.len();
        let mut is_quiet = false;
        while !is_quiet {
            is_quiet = true;
            for (from, to) in
                (0..seats).flat_map(|from| (0..seats).map(move |to| (from, to))).filter(|(a, b)| a != b && speak(*a, *b))
            {
                let state = self.states.entry((from, to)).or_default();
                let Some(message) = self.documents[from].generate_sync_message(state) else { continue };
                is_quiet = false;
                cost.messages += 1;
                cost.bytes += message.clone().encode().len() as u64;
                let state = self.states.entry((to, from)).or_default();
                self.documents[to].receive_sync_message(state, message).expect("an honest message");
            }
        }
    }
}

fn replay(seats: usize, changes: &[Change], speak: impl Fn(usize, usize, usize) -> bool) -> Cost {
    let empty = Automerge::load(&Document::new(SeatId([0; 16])).save()).expect("what we saved");
    let mut replicas = Replicas { documents: vec![empty; seats], states: BTreeMap::new() };
    // They know each other before the session begins.
    replicas.synchronise(|_, _| true, &mut Cost::default());
    let mut cost = Cost::default();
    for (author, bytes) in in_order(&replicas.documents[0], changes) {
        let author = usize::from(*author);
        replicas.documents[author].load_incremental(bytes).expect("an honest change");
        replicas.synchronise(|one, other| speak(author, one, other), &mut cost);
    }
    let heads = replicas.documents[0].get_heads();
    assert!(replicas.documents.iter().all(|document| document.get_heads() == heads), "all have everything");
    cost
}

/// So that each comes after what it depends on.
fn in_order<'a>(start: &Automerge, changes: &'a [Change]) -> Vec<&'a Change> {
    let mut known: Vec<[u8; 32]> = start.get_heads().iter().map(|ChangeHash(hash)| *hash).collect();
    let (mut ordered, mut rest) = (Vec::new(), changes.iter().collect::<Vec<_>>());
    while !rest.is_empty() {
        let before = rest.len();
        rest.retain(|change| {
            let is_ready = change_deps(&change.1).expect("a change").iter().all(|dependency| known.contains(dependency));
            if is_ready {
                known.extend(change_hash(&change.1));
                ordered.push(*change);
            }
            !is_ready
        });
        assert!(rest.len() < before, "a change depends on one that is not there");
    }
    ordered
}
