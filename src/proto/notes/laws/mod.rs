//! The laws of the notes, and the random histories they are tried on.

mod convergence;
mod folding;
mod hostile;
mod queue;
mod received;

use super::{ChangeBytes, Document, Edit, actor};
use crate::proto::id::{ItemId, SeatId};
use crate::proto::io::BoundChange;
use crate::proto::rng::Rng;

fn seat(number: u8) -> SeatId {
    SeatId([number; 16])
}

fn rng(seed: u64) -> Rng {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Rng::new(bytes)
}

fn splice(at: usize, delete: usize, insert: &str) -> Edit {
    Edit::Splice { at, delete, insert: insert.to_owned() }
}

/// Words of several scripts, so that bytes, scalar values and UTF-16 units all differ.
fn word(rng: &mut Rng) -> String {
    let words = ["seed ", "trail ", "übung ", "混沌 ", "🦩", "x", "\n", "e\u{301} "];
    words[rng.below(words.len() as u64) as usize].to_owned()
}

/// A random edit that is in range for these notes.
fn random_edit(notes: &Document, rng: &mut Rng) -> Edit {
    let length = notes.text().chars().count() as u64;
    let at = rng.below(length + 1);
    let (agenda, actions) = (notes.agenda(), notes.actions());
    let agenda = agenda.get(rng.below(agenda.len() as u64) as usize);
    let action = actions.get(rng.below(actions.len() as u64) as usize);
    match (rng.below(13), agenda, action) {
        (0, ..) => Edit::AddAgenda { id: ItemId(rng.bytes()), text: word(rng), minutes: rng.below(90) as u16 },
        (1, Some(item), _) => Edit::SetAgenda { id: item.id, text: Some(word(rng)), minutes: None, done: Some(true) },
        (2, Some(item), _) => Edit::RemoveAgenda { id: item.id },
        (3, ..) => Edit::AddAction { id: ItemId(rng.bytes()), text: word(rng), owner: Some(seat(1)) },
        (4, _, Some(item)) => Edit::SetAction { id: item.id, text: None, owner: Some(None), done: Some(true) },
        (5, _, Some(item)) => Edit::RemoveAction { id: item.id },
        (6, ..) if at < length => {
            let end = at + 1 + rng.below(length - at);
            let name = if rng.below(2) == 0 { "bold" } else { "link" }.to_owned();
            Edit::Mark { start: at as usize, end: end as usize, name, value: word(rng) }
        }
        (7, ..) if at < length => {
            let end = at + 1 + rng.below(length - at);
            Edit::Unmark { start: at as usize, end: end as usize, name: "bold".to_owned() }
        }
        (8 | 9, ..) if at < length => splice(at as usize, 1 + rng.below((length - at).min(9)) as usize, ""),
        _ => splice(at as usize, 0, &word(rng)),
    }
}

/// One committed change of a few random edits.
fn random_change(notes: &mut Document, rng: &mut Rng) -> ChangeBytes {
    loop {
        for _ in 0..=rng.below(5) {
            let edit = random_edit(notes, rng);
            notes.edit(&[edit]).expect("it is in range");
        }
        if let Some(change) = notes.commit() {
            return change;
        }
    }
}

fn bound(change: &ChangeBytes, author: u8, generation: u32) -> BoundChange {
    BoundChange { actor: actor(seat(author), generation), bytes: change.bytes.clone() }
}

/// Everything `from` has and `to` lacks goes over.
fn sync(from: &Document, to: &mut Document) {
    let changes: Vec<Vec<u8>> = from.changes_since(&to.heads()).into_iter().map(|change| change.bytes).collect();
    to.adopt(&changes).expect("honest changes");
}

fn sync_all(replicas: &mut [Document]) {
    for from in 0..replicas.len() {
        for to in 0..replicas.len() {
            if from != to {
                let changes: Vec<Vec<u8>> =
                    replicas[from].changes_since(&replicas[to].heads()).into_iter().map(|change| change.bytes).collect();
                replicas[to].adopt(&changes).expect("honest changes");
            }
        }
    }
}

/// Replicas with a random concurrent history, not all of them up to date with each other at the end.
fn history(replicas: usize, steps: usize, rng: &mut Rng) -> Vec<Document> {
    let mut all: Vec<Document> = (0..replicas).map(|number| Document::new(seat(number as u8))).collect();
    for _ in 0..steps {
        let one = rng.below(replicas as u64) as usize;
        let other = rng.below(replicas as u64) as usize;
        random_change(&mut all[one], rng);
        if one != other && rng.below(3) == 0 {
            let from = Document::load(&all[one].save(), seat(one as u8), 0).expect("own bytes");
            sync(&from, &mut all[other]);
        }
    }
    all
}
