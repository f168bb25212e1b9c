//! What waits to be judged, and what is judged when: the notes' side of the quarantine.

use super::*;
use crate::proto::config::{CHANGE_IDLE, QUARANTINE_BATCH_MAX, QUARANTINE_QUEUE_MAX};
use crate::proto::id::JobId;
use crate::proto::io::{Answer, Verdict};
use crate::proto::job;
use crate::proto::notes::exchange::{Notes, Outcome};
use crate::proto::time::Instant;

/// Runs jobs until there are no more; gives how many it took and what came of each.
fn settle(notes: &mut Notes) -> (usize, Vec<Outcome>) {
    let mut outcomes = Vec::new();
    for number in 0..1_000 {
        let Some(job) = notes.next_job(JobId(number)) else { return (outcomes.len(), outcomes) };
        outcomes.push(notes.answered(JobId(number), Some(&job::run(&job))));
    }
    panic!("it never ends");
}

/// So many changes of one seat, one upon the other.
fn line_of(author: u8, length: usize, rng: &mut Rng) -> Vec<Vec<u8>> {
    let mut document = Document::new(seat(author));
    (0..length).map(|_| random_change(&mut document, rng).bytes).collect()
}

#[test]
fn what_waits_for_a_missing_change_costs_no_job_until_it_comes() {
    let mut changes = line_of(2, 3 * QUARANTINE_BATCH_MAX, &mut rng(60));
    let first = changes.remove(0);
    let mut notes = Notes::new(seat(1));
    changes.iter().for_each(|change| notes.take(seat(2), 0, change.clone()));
    assert_eq!((settle(&mut notes).0, notes.waiting()), (0, changes.len()));
    notes.take(seat(3), 0, line_of(3, 1, &mut rng(61)).remove(0));
    assert_eq!((settle(&mut notes).0, notes.waiting()), (1, changes.len()), "another's change is judged meanwhile");
    notes.take(seat(2), 0, first);
    let (jobs, outcomes) = settle(&mut notes);
    assert_eq!((jobs, notes.waiting()), (3, 0), "as few jobs as there are full batches");
    assert!(outcomes.iter().all(|outcome| outcome.changed && outcome.hostile.is_empty()));
}

#[test]
fn one_seat_s_waiting_changes_take_no_place_from_another_s() {
    let waiting = line_of(2, 2, &mut rng(62)).remove(1);
    let mut notes = Notes::new(seat(1));
    (0..QUARANTINE_QUEUE_MAX).for_each(|_| notes.take(seat(2), 0, waiting.clone()));
    let honest = line_of(3, 5, &mut rng(63));
    honest.iter().for_each(|change| notes.take(seat(3), 0, change.clone()));
    assert_eq!(notes.waiting(), QUARANTINE_QUEUE_MAX, "no more than that are kept");
    settle(&mut notes);
    let document = Document::load(&notes.save(), seat(1), 0).unwrap();
    assert!(honest.iter().all(|change| document.has(&crate::proto::notes::change_hash(change).unwrap())));
}

#[test]
fn a_document_that_comes_in_the_midst_of_a_job_loses_nobody_s_change() {
    let changes = line_of(2, 3, &mut rng(64));
    let mut notes = Notes::new(seat(1));
    changes.iter().for_each(|change| notes.take(seat(2), 0, change.clone()));
    let job = notes.next_job(JobId(0)).unwrap();
    let load = notes.take_document(JobId(1), Some(seat(3)), 0, 0, b"no document".to_vec()).unwrap();
    assert!(!notes.answered(JobId(0), Some(&job::run(&job))).changed, "its answer comes too late");
    let outcome = notes.answered(JobId(1), Some(&job::run(&load)));
    assert_eq!(outcome.hostile_document, Some(Some(seat(3))));
    settle(&mut notes);
    assert_eq!(notes.change_count(), 4);
}

/// Notes of a member that folds at once, as a chair that is alone does.
fn fold_alone(notes: &mut Notes) {
    let (generation, heads) = (notes.generation() + 1, notes.heads());
    let hash = notes.fold_at(generation, heads, b"room").unwrap();
    notes.fold_done(generation, hash).unwrap();
}

#[test]
fn a_document_that_is_judged_while_the_notes_are_folded_does_not_bring_back_what_they_were() {
    let mut notes = Notes::new(seat(1));
    let load = notes.take_document(JobId(0), Some(seat(2)), 0, 0, Notes::new(seat(2)).save()).unwrap();
    fold_alone(&mut notes);
    let folded = notes.save();
    let outcome = notes.answered(JobId(0), Some(&job::run(&load)));
    assert!(!outcome.changed && !outcome.replaced && outcome.hostile_document.is_none());
    assert_eq!((notes.generation(), notes.save()), (1, folded));
}

#[test]
fn a_change_that_is_judged_while_the_notes_are_folded_comes_too_late_for_them() {
    let mut notes = Notes::new(seat(1));
    notes.take(seat(2), 0, line_of(2, 1, &mut rng(69)).remove(0));
    let job = notes.next_job(JobId(0)).unwrap();
    fold_alone(&mut notes);
    let folded = notes.save();
    let outcome = notes.answered(JobId(0), Some(&job::run(&job)));
    assert!(!outcome.changed && outcome.hostile.is_empty());
    assert_eq!((notes.save(), notes.waiting()), (folded, 0));
}

#[test]
fn a_document_of_another_history_is_its_sender_s_fault_and_ours_stays() {
    let mut rng = rng(65);
    let (mut one, mut other) = (Document::new(seat(2)), Document::new(seat(2)));
    let ours = random_change(&mut one, &mut rng);
    random_change(&mut other, &mut rng);
    assert_ne!(one.heads(), other.heads());
    let mut notes = Notes::new(seat(1));
    notes.take(seat(2), 0, ours.bytes);
    settle(&mut notes);
    let before = notes.save();
    let load = notes.take_document(JobId(0), Some(seat(3)), 0, 0, other.save()).unwrap();
    let outcome = notes.answered(JobId(0), Some(&job::run(&load)));
    assert_eq!((outcome.hostile_document, outcome.changed, notes.save()), (Some(Some(seat(3))), false, before));
}

#[test]
fn a_job_that_judges_nothing_is_not_run_again() {
    let mut notes = Notes::new(seat(1));
    notes.take(seat(2), 0, line_of(2, 1, &mut rng(66)).remove(0));
    notes.next_job(JobId(0)).unwrap();
    let nothing = Answer::Quarantined { verdicts: vec![Verdict::Waiting] };
    notes.answered(JobId(0), Some(&nothing));
    assert_eq!(notes.next_job(JobId(1)), None);
}

#[test]
fn of_several_changes_only_the_one_that_breaks_its_job_is_blamed() {
    let mut notes = Notes::new(seat(1));
    let deadly = line_of(2, 1, &mut rng(67)).remove(0);
    line_of(3, 4, &mut rng(68)).into_iter().for_each(|change| notes.take(seat(3), 0, change));
    notes.take(seat(2), 0, deadly.clone());
    let mut blamed = Vec::new();
    for number in 0..20 {
        let Some(job) = notes.next_job(JobId(number)) else { break };
        let breaks = matches!(&job, crate::proto::io::Job::Quarantine { changes, .. } if changes.iter().any(|c| c.bytes == deadly));
        let answer = (!breaks).then(|| job::run(&job));
        blamed.extend(notes.answered(JobId(number), answer.as_ref()).hostile);
    }
    assert_eq!((blamed, notes.change_count(), notes.waiting()), (vec![seat(2)], 5, 0));
}

#[test]
fn whoever_types_on_and_on_has_a_change_cut_every_ten_seconds() {
    let mut notes = Notes::new(seat(1));
    let mut cuts = Vec::new();
    for half_second in 0..82_u64 {
        let now = Instant(half_second * 500_000);
        cuts.extend(notes.cut(now).map(|_| half_second / 2));
        notes.edit(now, &[splice(0, 0, "k")]).unwrap();
    }
    assert_eq!(cuts, [10, 20, 30, 40]);
    let pause = notes.poll_timeout().unwrap();
    assert_eq!(pause, Instant(81 * 500_000) + CHANGE_IDLE, "control: a pause cuts sooner");
    assert!(notes.cut(pause).is_some() && notes.poll_timeout().is_none());
}
