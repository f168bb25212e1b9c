//! What a hostile member can do to the notes, with and without the quarantine.

use super::*;
use crate::proto::config::{CHANGE_BYTES_MAX, CHANGE_OPS_MAX};
use crate::proto::io::{Answer, Job, Verdict};
use crate::proto::job;
use crate::proto::notes::reproduce::reproduced;
use crate::proto::notes::view::Roots;
use automerge::transaction::{CommitOptions, Transactable};
use automerge::{ActorId, Automerge, Change, ExpandedChange, ObjType, ROOT, ReadDoc, ScalarValue};
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The verdicts, and the document with the sound changes in it.
fn quarantine(document: &[u8], changes: Vec<BoundChange>) -> (Vec<Verdict>, Vec<u8>) {
    let mut after = Document::load(document, seat(0), 0).expect("notes that load");
    let Answer::Quarantined { verdicts } = job::run(&job_of(&after, changes.clone())) else { panic!("the wrong answer") };
    let sound = changes.iter().zip(&verdicts).filter(|(_, verdict)| **verdict == Verdict::Sound);
    after.adopt(&sound.map(|(bound, _)| &bound.bytes).collect::<Vec<_>>()).expect("what is sound is adopted");
    (verdicts, after.save())
}

fn job_of(document: &Document, changes: Vec<BoundChange>) -> Job {
    Job::Quarantine { document: document.save(), heads: document.heads(), changes }
}

/// A document three seats have written in, and the next honest change of seat 2.
pub(super) fn scene(rng: &mut Rng) -> (Document, ChangeBytes) {
    let mut replicas = history(3, 25, rng);
    sync_all(&mut replicas);
    let mut two = replicas.pop().expect("three");
    let change = random_change(&mut two, rng);
    (replicas.remove(0), change)
}

/// A change of seat 2 that its own editor would never write.
pub(super) fn forge(notes: &Document, write: impl FnOnce(&mut automerge::transaction::Transaction, &Roots)) -> Vec<u8> {
    let mut document = Automerge::load(&notes.save()).unwrap().with_actor(ActorId::from(actor(seat(2), 0)));
    let roots = Roots::of(&document).unwrap();
    let mut writing = document.transaction();
    write(&mut writing, &roots);
    let hash = writing.commit_with(CommitOptions::default()).0.unwrap();
    document.get_change_by_hash(&hash).unwrap().raw_bytes().to_vec()
}

/// An honest change with one thing about it altered.
pub(super) fn alter(change: &ChangeBytes, alter: impl FnOnce(&mut ExpandedChange)) -> Vec<u8> {
    let mut expanded = Change::try_from(change.bytes.as_slice()).unwrap().decode();
    alter(&mut expanded);
    Change::from(expanded).raw_bytes().to_vec()
}

fn by_two(bytes: Vec<u8>) -> Vec<BoundChange> {
    vec![BoundChange { actor: actor(seat(2), 0), bytes }]
}

/// Changes one to three bytes behind the header and repairs the checksum: what a member with a hex editor can do.
pub(super) fn mutate(chunk: &[u8], rng: &mut Rng) -> Vec<u8> {
    let mut bytes = chunk.to_vec();
    let body = if chunk[9] & 0x80 == 0 { 10 } else { 11 };
    for _ in 0..=rng.below(3) {
        let place = body + rng.below((bytes.len() - body) as u64) as usize;
        bytes[place] = if rng.below(2) == 0 { rng.bytes::<1>()[0] } else { bytes[place] ^ 1 << rng.below(8) };
    }
    let checksum: [u8; 32] = Sha256::digest(&bytes[8..]).into();
    bytes[4..8].copy_from_slice(&checksum[..4]);
    bytes
}

#[test]
fn an_honest_change_is_sound_and_comes_out_in_the_document() {
    let mut rng = rng(20);
    for _ in 0..20 {
        let mut replicas = history(3, 25, &mut rng);
        sync_all(&mut replicas);
        let document = replicas[0].save();
        let mut batch = Vec::new();
        for _ in 0..12 {
            let author = 1 + rng.below(2) as usize;
            batch.push(bound(&random_change(&mut replicas[author], &mut rng), author as u8, 0));
        }
        batch.push(batch[0].clone());
        let (verdicts, after) = quarantine(&document, batch.clone());
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Sound));
        let changes: Vec<&Vec<u8>> = batch.iter().map(|bound| &bound.bytes).collect();
        replicas[0].adopt(&changes).unwrap();
        assert_eq!(replicas[0].heads(), Document::load(&after, seat(0), 0).unwrap().heads());
        batch.reverse();
        assert_eq!(quarantine(&document, batch).0, verdicts, "in whatever order they come");
    }
}

#[test]
fn a_change_without_its_past_waits() {
    let mut two = Document::new(seat(2));
    let (first, second) = (random_change(&mut two, &mut rng(21)), random_change(&mut two, &mut rng(22)));
    let empty = Document::new(seat(1)).save();
    assert_eq!(quarantine(&empty, vec![bound(&second, 2, 0)]), (vec![Verdict::Waiting], empty.clone()));
    let both = vec![bound(&second, 2, 0), bound(&first, 2, 0)];
    assert_eq!(quarantine(&empty, both).0, [Verdict::Sound, Verdict::Sound]);
    let unreadable = |document: Vec<u8>, heads| Job::Quarantine { document, heads, changes: vec![bound(&first, 2, 0)] };
    let notes = Document::new(seat(1));
    for job in [unreadable(b"no document".to_vec(), notes.heads()), unreadable(notes.save(), vec![first.hash])] {
        assert_eq!(job::run(&job), Answer::Quarantined { verdicts: vec![Verdict::Waiting] });
    }
}

#[test]
fn what_was_typed_on_the_newest_notes_is_written_again_to_the_same_bytes_and_anything_else_is_not() {
    let mut rng = rng(27);
    let (notes, _) = scene(&mut rng);
    let base = Automerge::load(&notes.save()).unwrap();
    let roots = Roots::of(&base).unwrap();
    let again = |bytes: &[u8]| reproduced(&base, &roots, &Change::try_from(bytes).unwrap());
    let length = notes.text().chars().count();
    for at in [0, 1, length / 3, length / 2, length] {
        let mut two = Document::load(&notes.save(), seat(2), 0).unwrap();
        two.edit(&[Edit::Splice { at, delete: usize::from(at < length), insert: "häus".into() }]).unwrap();
        let change = two.commit().unwrap();
        let written = again(&change.bytes).expect("an honest editor wrote it");
        assert_eq!(written.get_heads(), [automerge::ChangeHash(change.hash)]);
        assert_eq!(Automerge::load(&written.save()).unwrap().get_heads(), written.get_heads());
        // An operation that refers to another letter than our editor would, or to one that is not there.
        let altered = |counter: u64| {
            alter(&change, |expanded| {
                let last = expanded.operations.last_mut().unwrap();
                last.key =
                    automerge::legacy::Key::Seq(automerge::legacy::OpId::new(counter, &ActorId::from(actor(seat(2), 0))).into());
            })
        };
        for counter in [1, 2, 1_000_000] {
            assert!(!matches!(catch_unwind(AssertUnwindSafe(|| again(&altered(counter)))), Ok(Some(_))));
        }
        let next = random_change(&mut two, &mut rng);
        assert!(again(&next.bytes).is_none(), "what builds on other notes is for the trial");
    }
}

#[test]
fn the_answer_depends_on_the_job_alone_whatever_ran_before() {
    let mut rng = rng(26);
    let mut runner = job::Runner::default();
    let (mut notes, mut other) = (scene(&mut rng).0, scene(&mut rng).0);
    for round in 0..30 {
        let target = if rng.below(4) == 0 { &mut other } else { &mut notes };
        if rng.below(3) == 0 {
            random_change(target, &mut rng);
        }
        let author = 1 + rng.below(2) as u8;
        let mut writer = Document::load(&target.save(), seat(author), 0).unwrap();
        let honest = random_change(&mut writer, &mut rng);
        let job = job_of(target, vec![by_two(mutate(&honest.bytes, &mut rng)).remove(0), bound(&honest, author, 0)]);
        let answer = runner.run(&job);
        assert_eq!(answer, job::run(&job), "round {round}");
        let Answer::Quarantined { verdicts } = answer else { panic!("the wrong answer") };
        assert_eq!(verdicts[1], Verdict::Sound);
        target.adopt(&[&honest.bytes]).unwrap();
    }
}

#[test]
fn nobody_writes_as_somebody_else_or_as_the_seat_of_another_generation() {
    let (notes, change) = scene(&mut rng(23));
    for (author, generation, verdict) in [(2, 0, Verdict::Sound), (1, 0, Verdict::Hostile), (2, 1, Verdict::Hostile)] {
        assert_eq!(quarantine(&notes.save(), vec![bound(&change, author, generation)]).0, [verdict]);
    }
    let mut plain = Automerge::load(&notes.save()).unwrap();
    plain.apply_changes([Change::try_from(change.bytes.as_slice()).unwrap()]).expect("the control: Automerge asks nobody's name");
}

#[test]
fn two_changes_in_one_place_are_refused_before_and_beside_each_other() {
    let mut rng = rng(24);
    let (notes, one) = scene(&mut rng);
    let mut two = Document::load(&notes.save(), seat(2), 0).unwrap();
    let other = random_change(&mut two, &mut rng);
    assert_ne!(one.hash, other.hash);
    let (verdicts, with_one) = quarantine(&notes.save(), vec![bound(&one, 2, 0), bound(&other, 2, 0)]);
    assert_eq!(verdicts, [Verdict::Sound, Verdict::Hostile]);
    assert_eq!(quarantine(&with_one, vec![bound(&other, 2, 0)]).0, [Verdict::Hostile]);
    assert_eq!(quarantine(&with_one, vec![bound(&one, 2, 0)]).0, [Verdict::Sound], "the same again is nothing new");
}

#[test]
fn what_our_own_editor_would_not_write_is_hostile() {
    let (notes, change) = scene(&mut rng(25));
    let saved = notes.save();
    let forged: Vec<(&str, Vec<u8>)> = vec![
        ("replaces the text", forge(&notes, |writing, _| drop(writing.put_object(ROOT, "text", ObjType::Text)))),
        ("a new root", forge(&notes, |writing, _| drop(writing.put(ROOT, "more", 1)))),
        ("strikes a root", forge(&notes, |writing, _| drop(writing.delete(ROOT, "agenda")))),
        ("a block in the text", forge(&notes, |writing, roots| drop(writing.split_block(&roots.text, 0)))),
        ("a counter in a list", forge(&notes, |writing, roots| drop(writing.insert(&roots.agenda, 0, ScalarValue::counter(1))))),
        ("a list in a list", forge(&notes, |writing, roots| drop(writing.insert_object(&roots.agenda, 0, ObjType::List)))),
        (
            "a mark that is a number",
            forge(&notes, |writing, roots| {
                writing.splice_text(&roots.text, 0, 0, "ab").unwrap();
                let mark = automerge::marks::Mark::new("bold".into(), 7, 0, 1);
                writing.mark(&roots.text, mark, automerge::marks::ExpandMark::After).unwrap();
            }),
        ),
        (
            "a nameless field",
            forge(&notes, |writing, roots| {
                let map = writing.insert_object(&roots.agenda, 0, ObjType::Map).unwrap();
                writing.put(&map, "colour", "red").unwrap();
            }),
        ),
        (
            "minutes beyond a day and a half",
            forge(&notes, |writing, roots| {
                let map = writing.insert_object(&roots.agenda, 0, ObjType::Map).unwrap();
                writing.put(&map, "minutes", 70_000u64).unwrap();
            }),
        ),
        (
            "too many operations",
            forge(&notes, |writing, roots| {
                writing.splice_text(&roots.text, 0, 0, &"x".repeat(CHANGE_OPS_MAX + 1)).unwrap();
            }),
        ),
        (
            "too many bytes",
            forge(&notes, |writing, roots| {
                let map = writing.insert_object(&roots.agenda, 0, ObjType::Map).unwrap();
                writing.put(&map, "text", "x".repeat(CHANGE_BYTES_MAX)).unwrap();
            }),
        ),
        ("a time", alter(&change, |change| change.time = 1_700_000_000)),
        ("a message", alter(&change, |change| change.message = Some("psst".into()))),
        ("extra bytes", alter(&change, |change| change.extra_bytes = vec![1, 1, 65])),
        ("no past", alter(&change, |change| change.deps.clear())),
        ("a seq too high", alter(&change, |change| change.seq += 1)),
        ("a leap that leaves others no counters", alter(&change, |change| change.start_op = 4_294_900_000.try_into().unwrap())),
        ("no operations", alter(&change, |change| change.operations.clear())),
        ("the whole document", saved.clone()),
        ("nothing", Vec::new()),
    ];
    for (what, bytes) in forged {
        assert_eq!(quarantine(&saved, by_two(bytes)), (vec![Verdict::Hostile], saved.clone()), "{what}");
    }
    let mut long = Document::load(&saved, seat(2), 0).unwrap();
    long.edit(&[splice(0, 0, &"lorem ipsum ".repeat(100))]).unwrap();
    let honest = long.commit().unwrap().bytes;
    let compressed = Change::try_from(honest.as_slice()).unwrap().bytes().into_owned();
    assert_eq!(compressed[8], 2, "Automerge compresses this one");
    assert_eq!(quarantine(&saved, by_two(compressed)).0, [Verdict::Hostile]);
    assert_eq!(quarantine(&saved, by_two(honest)).0, [Verdict::Sound]);
}

#[test]
fn without_a_quarantine_a_leap_in_the_counters_ends_all_writing() {
    let (notes, change) = scene(&mut rng(26));
    let leap =
        alter(&change, |change| change.start_op = (u64::from(u32::MAX) - change.operations.len() as u64).try_into().unwrap());
    let mut plain = Automerge::load(&notes.save()).unwrap();
    plain.apply_changes([Change::try_from(leap.as_slice()).unwrap()]).expect("Automerge takes it");
    let roots = Roots::of(&plain).unwrap();
    let next = catch_unwind(AssertUnwindSafe(|| {
        let mut writing = plain.transaction();
        writing.splice_text(&roots.text, 0, 0, "hello").unwrap();
        writing.commit();
        Automerge::load(&plain.save()).unwrap();
    }));
    assert!(next.is_err(), "the next one to write is the one who falls");
}

/// What happens to one mutant when it is simply applied.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug, Clone, Copy)]
enum Plain {
    Rejected,
    Accepted,
    Panics,
    Bricks,
}

fn plainly(document: &[u8], change: &[u8]) -> Plain {
    let mut plain = Automerge::load(document).unwrap();
    match catch_unwind(AssertUnwindSafe(|| plain.load_incremental(change).map(|_| plain.save()))) {
        Err(_) => Plain::Panics,
        Ok(Err(_)) => Plain::Rejected,
        Ok(Ok(saved)) => match catch_unwind(|| Automerge::load(&saved)) {
            Ok(Ok(_)) => Plain::Accepted,
            Ok(Err(_)) | Err(_) => Plain::Bricks,
        },
    }
}

#[test]
fn a_mutated_change_never_panics_outside_and_never_bricks_the_notes() {
    let mut rng = rng(27);
    let mut plain = std::collections::BTreeMap::<Plain, u32>::new();
    let (mut let_in, mut refused, mut waits) = (0, 0, 0);
    for _ in 0..50 {
        let (notes, change) = scene(&mut rng);
        let saved = notes.save();
        for _ in 0..40 {
            let mutant = mutate(&change.bytes, &mut rng);
            *plain.entry(plainly(&saved, &mutant)).or_default() += 1;
            let (verdicts, after) = quarantine(&saved, by_two(mutant.clone()));
            let mut live = Document::load(&saved, seat(1), 0).unwrap();
            match verdicts[..] {
                [Verdict::Sound] => {
                    let_in += 1;
                    live.adopt(&[&mutant]).unwrap();
                    random_change(&mut live, &mut rng);
                    let loaded = Document::load(&live.save(), seat(1), 0).expect("it saves and loads");
                    assert_eq!(loaded.view(), live.view());
                    assert_eq!(Document::load(&after, seat(1), 0).unwrap().change_count(), notes.change_count() + 1);
                }
                [Verdict::Hostile] => refused += 1,
                [Verdict::Waiting] => waits += 1,
                _ => panic!("one change, one verdict"),
            }
            if verdicts != [Verdict::Sound] {
                assert_eq!(after, saved, "and the document is untouched");
            }
        }
    }
    println!("2,000 mutants, plain: {plain:?}; quarantine: {let_in} let in, {refused} refused, {waits} waiting");
    let count = |what| plain.get(&what).copied().unwrap_or(0);
    assert!(count(Plain::Panics) >= 40 && count(Plain::Bricks) >= 20, "the control: the attack is real: {plain:?}");
    assert!(let_in > 0 && refused > 1_000);
}

#[test]
fn honest_changes_survive_in_the_same_batch_as_hostile_ones() {
    let mut rng = rng(28);
    let mut deadly = 0;
    for _ in 0..60 {
        let mut replicas = history(4, 20, &mut rng);
        sync_all(&mut replicas);
        let saved = replicas[0].save();
        let honest: Vec<BoundChange> = [1usize, 1, 3, 3, 1]
            .into_iter()
            .map(|author| bound(&random_change(&mut replicas[author], &mut rng), author as u8, 0))
            .collect();
        let base = random_change(&mut replicas[2], &mut rng);
        // Mutants that would take the whole batch down if it were simply applied.
        let mut mutants = Vec::new();
        for _ in 0..60 {
            let mutant = mutate(&base.bytes, &mut rng);
            if matches!(plainly(&saved, &mutant), Plain::Panics | Plain::Bricks) {
                mutants.extend(by_two(mutant));
            }
        }
        deadly += mutants.len();
        let mut batch = honest.clone();
        for mutant in &mutants {
            batch.insert(rng.below(batch.len() as u64 + 1) as usize, mutant.clone());
        }
        let (verdicts, after) = quarantine(&saved, batch.clone());
        for (bound, verdict) in batch.iter().zip(&verdicts) {
            let expected = if honest.contains(bound) { Verdict::Sound } else { Verdict::Hostile };
            if expected == Verdict::Sound || *verdict == Verdict::Sound {
                assert_eq!(*verdict, expected);
            }
        }
        let (alone, without) = quarantine(&saved, honest.clone());
        assert!(alone.iter().all(|verdict| *verdict == Verdict::Sound));
        assert_eq!(Document::load(&after, seat(0), 0).unwrap().view(), Document::load(&without, seat(0), 0).unwrap().view());
    }
    assert!(deadly >= 100, "{deadly}");
}

#[test]
fn a_change_that_only_the_copy_exposes_does_not_take_the_batch_with_it() {
    // In our vocabulary, in its place, of its author: but it strikes characters that never were.
    let mut rng = rng(29);
    let (notes, change) = scene(&mut rng);
    let mut one = Document::load(&notes.save(), seat(1), 0).unwrap();
    one.edit(&[splice(0, 0, "abc")]).unwrap();
    let honest = vec![bound(&one.commit().unwrap(), 1, 0)];
    let mut two = Document::load(&notes.save(), seat(2), 0).unwrap();
    two.edit(&[splice(0, 0, "xyz"), splice(1, 1, "")]).unwrap();
    let ghost = ChangeBytes { hash: [0; 32], bytes: two.commit().unwrap().bytes };
    let ghost = alter(&ghost, |change| {
        let last = change.operations.last_mut().unwrap();
        let nowhere = automerge::legacy::OpId::new(2, &ActorId::from(actor(seat(1), 0)));
        last.key = automerge::legacy::Key::Seq(automerge::legacy::ElementId::Id(nowhere.clone()));
        last.pred = vec![nowhere].into();
    });
    let batch = [honest.clone(), by_two(ghost.clone())].concat();
    assert_ne!(plainly(&notes.save(), &ghost), Plain::Accepted, "the control");
    assert_eq!(quarantine(&notes.save(), batch).0, [Verdict::Sound, Verdict::Hostile]);
    assert_eq!(quarantine(&notes.save(), by_two(change.bytes)).0, [Verdict::Sound]);
}

#[test]
fn a_change_is_judged_alike_whatever_else_is_there() {
    let mut rng = rng(34);
    for _ in 0..15 {
        let mut replicas = history(3, 20, &mut rng);
        sync_all(&mut replicas);
        let change = random_change(&mut replicas[2], &mut rng);
        let before = replicas[0].save();
        (0..3).for_each(|_| drop(random_change(&mut replicas[0], &mut rng)));
        let after = replicas[0].save();
        for _ in 0..30 {
            let mutant = mutate(&change.bytes, &mut rng);
            assert_eq!(quarantine(&before, by_two(mutant.clone())).0, quarantine(&after, by_two(mutant)).0);
        }
    }
}
