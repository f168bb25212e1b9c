//! Rooms that have been written in for a while, as honest people would have done it: what an attacker finds there.

use alcove::proto::id::{ItemId, SeatId};
use alcove::proto::notes::{Document, Edit, actor};
use alcove::proto::rng::Rng;

/// Who receives it all.
pub const VICTIM: SeatId = SeatId([1; 16]);
/// Who sends what is hostile.
pub const ATTACKER: SeatId = SeatId([2; 16]);
const SEATS: u8 = 4;

/// One room.
pub struct Scene {
    /// The victim's document, saved.
    pub saved: Vec<u8>,
    /// The names of the changes in it.
    pub hashes: Vec<[u8; 32]>,
    /// The actors of all seats.
    pub actors: Vec<Vec<u8>>,
    /// Changes that the attacker might write next if she were honest, each instead of the others.
    pub bases: Vec<Vec<u8>>,
    /// What honest seats write next: two of one seat, one upon the other, and one of another.
    pub honest: Vec<(SeatId, Vec<u8>)>,
    /// A document somewhat further on, saved.
    pub further: Vec<u8>,
}

impl Scene {
    /// A room of four after so many changes.
    pub fn new(seed: u64, changes: usize) -> Scene {
        let rng = &mut seeded(seed);
        let mut all: Vec<Document> = (0..SEATS).map(|seat| Document::new(SeatId([seat + 1; 16]))).collect();
        for _ in 0..changes {
            let (one, other) = (rng.below(u64::from(SEATS)) as usize, rng.below(u64::from(SEATS)) as usize);
            write(&mut all[one], rng);
            if one != other && rng.below(3) == 0 {
                tell(&mut all, one, other);
            }
        }
        (0..all.len()).for_each(|one| (0..all.len()).filter(|other| *other != one).for_each(|other| tell(&mut all, one, other)));
        let saved = all[0].save();
        let bases = (0..24).map(|_| write(&mut Document::load(&all[1].save(), ATTACKER, 0).expect("ours"), rng)).collect();
        let honest: Vec<_> = [2, 2, 3].map(|seat: usize| (SeatId([seat as u8 + 1; 16]), write(&mut all[seat], rng))).into();
        tell(&mut all, 2, 1);
        write(&mut all[1], rng);
        Scene {
            hashes: all[0].changes_since(&[]).iter().map(|change| change.hash).collect(),
            actors: (0..SEATS).map(|seat| actor(SeatId([seat + 1; 16]), 0)).collect(),
            further: all[1].save(),
            saved,
            bases,
            honest,
        }
    }
}

/// A generator from a number.
pub fn seeded(seed: u64) -> Rng {
    let mut bytes = [0x5e; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Rng::new(bytes)
}

/// One seat hears all that another has.
fn tell(all: &mut [Document], from: usize, to: usize) {
    let changes: Vec<_> = all[from].changes_since(&all[to].heads()).into_iter().map(|change| change.bytes).collect();
    all[to].adopt(&changes).expect("honest changes");
}

/// One honest change of a few edits.
pub fn write(notes: &mut Document, rng: &mut Rng) -> Vec<u8> {
    loop {
        for _ in 0..=rng.below(4) {
            let edit = edit(notes, rng);
            notes.edit(&[edit]).expect("it is in range");
        }
        if let Some(change) = notes.commit() {
            return change.bytes;
        }
    }
}

fn edit(notes: &Document, rng: &mut Rng) -> Edit {
    let words = ["seed ", "trail and sail, ", "übung ", "混沌 ", "🦩", "x", "\n", "e\u{301} "];
    let word = |rng: &mut Rng| words[rng.below(words.len() as u64) as usize].to_owned();
    let length = notes.text().chars().count() as u64;
    let at = rng.below(length + 1) as usize;
    let left = length - at as u64;
    let (agenda, actions) = (notes.agenda(), notes.actions());
    let agenda = agenda.get(rng.below(agenda.len() as u64 + 1) as usize).map(|item| item.id);
    let action = actions.get(rng.below(actions.len() as u64 + 1) as usize).map(|item| item.id);
    match (rng.below(14), agenda, action) {
        (0, ..) => Edit::AddAgenda { id: ItemId(rng.bytes()), text: word(rng), minutes: rng.below(90) as u16 },
        (1, Some(id), _) => Edit::SetAgenda { id, text: Some(word(rng)), minutes: Some(7), done: Some(true) },
        (2, Some(id), _) => Edit::RemoveAgenda { id },
        (3, ..) => Edit::AddAction { id: ItemId(rng.bytes()), text: word(rng), owner: Some(VICTIM) },
        (4, _, Some(id)) => Edit::SetAction { id, text: None, owner: Some(None), done: Some(true) },
        (5, _, Some(id)) => Edit::RemoveAction { id },
        (6, ..) if left > 0 => {
            Edit::Mark { start: at, end: at + 1 + rng.below(left) as usize, name: "bold".into(), value: word(rng) }
        }
        (7, ..) if left > 0 => Edit::Unmark { start: at, end: at + 1 + rng.below(left) as usize, name: "bold".into() },
        (8 | 9, ..) if left > 0 => Edit::Splice { at, delete: 1 + rng.below(left.min(9)) as usize, insert: String::new() },
        _ => Edit::Splice { at, delete: 0, insert: word(rng) },
    }
}
