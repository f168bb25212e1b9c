//! The quarantine: changes and documents with changed bytes and true checksums, beside honest ones. Whatever a job answers is sound.
//!
//! Automerge panics on some of them and the quarantine catches that, as it does in production: such a panic is no finding here, one that
//! comes out of the job is. An endless loop or a torrent of memory is one too: libFuzzer's time and memory limits are those of a job.

use super::{Choices, guarded};
use alcove::proto::id::{ItemId, SeatId};
use alcove::proto::io::{Answer, BoundChange, Job, Verdict};
use alcove::proto::job::{self, Runner};
use alcove::proto::notes::{Document, Edit, actor, change_deps, change_hash};
use sha2::{Digest, Sha256};

pub fn run(data: &[u8]) {
    guarded(|| {
        let mut choices = Choices(data);
        match choices.below(4) {
            0 => drop((change_hash(choices.0), change_deps(choices.0))),
            1 => document(choices),
            2 => changes(choices, false),
            _ => changes(choices, true),
        }
    });
}

fn seat(number: u8) -> SeatId {
    SeatId([number; 16])
}

/// What a run starts from: saved notes, and one more change of each of two seats.
type History = (Vec<u8>, [Vec<u8>; 2]);

thread_local! {
    /// Made once.
    static HISTORY: History = write_history();
}

/// Notes of two seats with a bit of everything, and one more change of each that the other has not seen.
fn write_history() -> History {
    let (mut one, mut other) = (Document::new(seat(1)), Document::new(seat(2)));
    let edits = [
        Edit::Splice { at: 0, delete: 0, insert: "What did you stop doing? Übung 混沌".into() },
        Edit::Mark { start: 0, end: 4, name: "bold".into(), value: "true".into() },
        Edit::AddAgenda { id: ItemId([3; 8]), text: "first".into(), minutes: 5 },
        Edit::AddAction { id: ItemId([4; 8]), text: "write".into(), owner: Some(seat(2)) },
    ];
    let commit = |document: &mut Document, edits: &[Edit]| {
        document.edit(edits).expect("in range");
        document.commit().expect("there is something").bytes
    };
    let first = commit(&mut one, &edits);
    other.adopt(&[first]).expect("an honest change");
    let second = commit(&mut other, &[Edit::Splice { at: 5, delete: 3, insert: "they".into() }]);
    one.adopt(&[second]).expect("an honest change");
    let saved = one.save();
    let last = Edit::SetAction { id: ItemId([4; 8]), text: None, owner: Some(None), done: Some(true) };
    let pending = [
        commit(&mut one, &[Edit::Splice { at: 0, delete: 1, insert: "w".into() }, last]),
        commit(&mut other, &[Edit::Splice { at: 2, delete: 0, insert: "x".into() }, Edit::RemoveAgenda { id: ItemId([3; 8]) }]),
    ];
    (saved, pending)
}

/// Gives a chunk the checksum of its contents.
fn set_checksum(chunk: &mut [u8]) {
    if let Some((head, body)) = chunk.split_at_mut_checked(8) {
        head[4..8].copy_from_slice(&Sha256::digest(&*body)[..4]);
    }
}

fn document(mut choices: Choices<'_>) {
    let mut bytes = HISTORY.with(|(saved, _)| saved.clone());
    if choices.below(4) == 0 {
        bytes = choices.rest().to_vec();
    } else {
        choices.mutate(&mut bytes);
    }
    set_checksum(&mut bytes);
    let Answer::Loaded { sound } = job::run(&Job::Load { document: bytes.clone() }) else { panic!("the answer of a load") };
    if sound {
        let mut document = Document::load(&bytes, seat(5), 0).expect("a sound document loads");
        assert_eq!(document.save(), bytes, "and is saved as it was");
        write_on(&mut document);
    }
}

/// Mutated changes in a batch; `among` honest ones of the other seat.
fn changes(mut choices: Choices<'_>, among: bool) {
    let (saved, pending) = HISTORY.with(History::clone);
    let bound = |author: u8, bytes: &[u8]| BoundChange { actor: actor(seat(author), 0), bytes: bytes.to_vec() };
    let mut batch = Vec::new();
    while !choices.is_over() && batch.len() < 4 {
        let mut change = if choices.below(8) == 0 { choices.sized().to_vec() } else { pending[0].clone() };
        choices.mutate(&mut change);
        set_checksum(&mut change);
        batch.push(bound(1, &change));
    }
    if among {
        batch.insert(choices.below(batch.len() + 1), bound(2, &pending[1]));
    }
    let mut live = Document::load(&saved, seat(1), 0).expect("our own bytes");
    let job = Job::Quarantine { document: saved, heads: live.heads(), changes: batch.clone() };
    let mut runner = Runner::default();
    let answer = runner.run(&job);
    assert_eq!(runner.run(&job), answer, "the same job, the same answer, whatever ran before");
    let Answer::Quarantined { verdicts } = answer else { panic!("the answer of a quarantine") };
    assert_eq!(verdicts.len(), batch.len());

    let sound: Vec<_> = batch.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Sound).collect();
    let sound: Vec<_> = sound.iter().map(|(change, _)| &change.bytes).collect();
    if among {
        let honest = batch.iter().position(|change| change.bytes == pending[1]).expect("it is in the batch");
        assert_eq!(verdicts[honest], Verdict::Sound, "an honest change does not suffer from the others");
    }
    live.adopt(&sound).expect("what is sound is adopted");
    let document = live.save();
    let mut after = Document::load(&document, seat(5), 0).expect("the document with the sound changes loads");
    assert_eq!((after.save(), after.heads()), (document, live.heads()));
    let held: Vec<_> = after.changes_since(&[]).into_iter().map(|change| change.bytes).collect();
    assert!(sound.iter().all(|change| held.contains(change)), "a sound change is in the document as it came");
    write_on(&mut live);
    write_on(&mut after);
}

fn write_on(document: &mut Document) {
    document.edit(&[Edit::Splice { at: 0, delete: 0, insert: "on".into() }]).expect("the notes can be written on");
    document.commit().expect("and the change be cut");
    let again = Document::load(&document.save(), seat(6), 0).expect("and saved and loaded");
    assert_eq!(again.text(), document.text());
}
