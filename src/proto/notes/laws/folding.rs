//! A fold is the same everywhere, forgets what was deleted, and loses nothing that was written.

use super::*;
use crate::proto::notes::{fold, rebase, written_at};
use automerge::Automerge;
use std::collections::BTreeMap;

fn contains(bytes: &[u8], sought: &str) -> bool {
    bytes.windows(sought.len()).any(|window| window == sought.as_bytes())
}

/// The saved bytes with no column deflated, so that text in them can be found.
fn plain(notes: &Document) -> Vec<u8> {
    Automerge::load(&notes.save()).unwrap().save_nocompress()
}

#[test]
fn a_fold_is_byte_identical_on_every_replica_and_looks_the_same() {
    let mut rng = rng(10);
    for round in 0..100 {
        let mut replicas = history(4, 25, &mut rng);
        sync_all(&mut replicas);
        let heads = replicas[0].heads();
        let mut backwards = heads.clone();
        backwards.reverse();
        let folded: Vec<Document> = replicas
            .iter()
            .enumerate()
            .map(|(number, notes)| fold(notes, if number % 2 == 0 { &heads } else { &backwards }, b"talk").unwrap())
            .collect();
        assert!(folded.iter().all(|notes| notes.save() == folded[0].save()), "round {round}");
        assert_eq!(folded[0].view(), replicas[0].view(), "round {round}");
        assert_eq!((folded[0].generation(), folded[0].change_count()), (1, 1));
        assert_ne!(folded[0].save(), fold(&replicas[0], &heads, b"other talk").unwrap().save());
    }
}

#[test]
fn deleted_text_is_gone_from_a_folded_document() {
    let mut rng = rng(11);
    for _ in 0..50 {
        let mut replicas = history(4, 12, &mut rng);
        let at = rng.below(replicas[1].text().chars().count() as u64 + 1) as usize;
        replicas[1].edit(&[splice(at, 0, "INDISCRETION")]).unwrap();
        replicas[1].commit().unwrap();
        replicas[1].edit(&[splice(at, 12, "")]).unwrap();
        replicas[1].commit().unwrap();
        sync_all(&mut replicas);
        let notes = &replicas[3];
        assert!(contains(&plain(notes), "INDISCRETION"), "the control: without a fold it is still there");
        let folded = fold(notes, &notes.heads(), b"talk").unwrap();
        assert!(!contains(&plain(&folded), "INDISCRETION"));
    }
}

#[test]
fn a_folded_document_is_written_on_by_all() {
    let mut rng = rng(12);
    let mut replicas = history(3, 30, &mut rng);
    sync_all(&mut replicas);
    let heads = replicas[0].heads();
    let mut folded: Vec<Document> = replicas.iter().map(|notes| fold(notes, &heads, b"talk").unwrap()).collect();
    for _ in 0..20 {
        let one = rng.below(3) as usize;
        random_change(&mut folded[one], &mut rng);
    }
    sync_all(&mut folded);
    assert!(folded.iter().all(|notes| notes.view() == folded[0].view() && notes.heads() == folded[0].heads()));
}

#[test]
fn a_fold_at_unknown_heads_is_none() {
    let notes = Document::new(seat(1));
    assert!(fold(&notes, &[[9; 32]], b"talk").is_none() && fold(&notes, &[], b"talk").is_none());
}

#[test]
fn what_i_wrote_after_the_fold_is_carried_over_once() {
    let (mut mine, mut theirs) = (Document::new(seat(1)), Document::new(seat(2)));
    let id = ItemId([1; 8]);
    mine.edit(&[splice(0, 0, "plan: walk, talk"), Edit::AddAgenda { id, text: "walk".into(), minutes: 5 }]).unwrap();
    mine.commit().unwrap();
    sync(&mine, &mut theirs);
    let heads = mine.heads();
    // We talk on, in turns, in the old generation.
    mine.edit(&[splice(16, 0, ", eat")]).unwrap();
    mine.commit().unwrap();
    sync(&mine, &mut theirs);
    theirs.edit(&[splice(21, 0, ", sleep"), splice(0, 6, "")]).unwrap();
    theirs.edit(&[Edit::SetAgenda { id, text: None, minutes: None, done: Some(true) }]).unwrap();
    theirs.commit().unwrap();
    sync(&theirs, &mut mine);
    mine.edit(&[splice(6, 6, ""), Edit::Mark { start: 0, end: 4, name: "bold".into(), value: "true".into() }]).unwrap();
    assert_eq!(mine.text(), "walk, eat, sleep");
    let expected = { Document::load(&mine.save(), seat(1), 0).map(|_| mine.view()).unwrap() };

    let (mut my_fold, mut their_fold) = (fold(&mine, &heads, b"talk").unwrap(), fold(&theirs, &heads, b"talk").unwrap());
    assert_eq!((written_at(&mine, mine.seat(), &heads), written_at(&theirs, theirs.seat(), &heads)), (1, 0));
    rebase(mine, 1, &mut my_fold);
    rebase(theirs, 0, &mut their_fold);
    let mut both = [my_fold, their_fold];
    sync_all(&mut both);
    assert_eq!(both[0].view(), both[1].view());
    assert_eq!(both[0].view(), expected);
}

#[test]
fn a_seat_that_was_away_loses_no_character_to_a_fold_it_has_not_seen() {
    let mut rng = rng(13);
    for round in 0..150 {
        let mut replicas = history(3, 20, &mut rng);
        sync_all(&mut replicas);
        let mut away = replicas.pop().unwrap();
        let included = written_at(&away, away.seat(), &away.heads());
        // The others go on and fold; the one that is away goes on as well. Its new characters are its own alone.
        for _ in 0..6 {
            let one = rng.below(2) as usize;
            random_change(&mut replicas[one], &mut rng);
        }
        sync_all(&mut replicas);
        for number in 0..8u32 {
            let length = away.text().chars().count() as u64;
            let mark = char::from_u32(0x2460 + number).unwrap().to_string();
            away.edit(&[splice(rng.below(length + 1) as usize, 0, &mark.repeat(3))]).unwrap();
            if rng.below(2) == 0 {
                away.commit();
            }
        }
        let heads = replicas[0].heads();
        let mut folded: Vec<Document> = replicas.iter().map(|notes| fold(notes, &heads, b"talk").unwrap()).collect();
        let mut returned = Document::load(&folded[0].save(), away.seat(), 1).unwrap();
        let theirs = count(&returned.text());
        let changes = rebase(away, included, &mut returned);
        let mut expected = theirs;
        expected.extend((0..8u32).map(|number| (char::from_u32(0x2460 + number).unwrap(), 3)));
        assert_eq!(count(&returned.text()), expected, "round {round}");
        let bytes: Vec<Vec<u8>> = changes.into_iter().map(|change| change.bytes).collect();
        folded[0].adopt(&bytes).unwrap();
        assert_eq!(folded[0].view(), returned.view(), "round {round}");
    }
}

fn count(text: &str) -> BTreeMap<char, usize> {
    let mut counts = BTreeMap::new();
    text.chars().for_each(|character| *counts.entry(character).or_default() += 1);
    counts
}

#[test]
fn a_rebase_onto_the_same_view_gives_the_same_view() {
    let mut rng = rng(14);
    for round in 0..100 {
        let mut replicas = history(2, 15, &mut rng);
        sync_all(&mut replicas);
        let mut mine = replicas.remove(0);
        let (heads, included) = (mine.heads(), written_at(&mine, mine.seat(), &mine.heads()));
        let mut folded = fold(&mine, &heads, b"talk").unwrap();
        (0..6).for_each(|_| drop(random_change(&mut mine, &mut rng)));
        let expected = mine.view();
        rebase(mine, included, &mut folded);
        assert_eq!(folded.view(), expected, "round {round}");
    }
}
