//! Copies of the notes agree, edits keep their bounds, and undo takes back one's own.

use super::*;
use crate::proto::config::{CHANGE_OPS_MAX, ITEM_TEXT_BYTES_MAX, ITEMS_MAX, MARK_NAME_BYTES_MAX, UNDO_CHANGES_MAX};
use crate::proto::error::Refused;
use crate::proto::notes::view::find;
use crate::proto::notes::{NotAdopted, Undone, change_deps, change_hash};
use crate::proto::secret::hash16;
use automerge::{Cursor, ObjId, ReadDoc};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[test]
fn every_document_begins_with_the_same_bytes() {
    let documents: Vec<Vec<u8>> = (0..4).map(|number| Document::new(seat(number)).save()).collect();
    assert!(documents.iter().all(|bytes| *bytes == documents[0]));
    let genesis = Document::new(seat(9)).changes_since(&[]);
    let hex: String = genesis[0].hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((genesis.len(), hex.as_str()), (1, "e21ed2ef68231ccf"), "a changed genesis no longer merges with older versions");
}

#[test]
fn the_same_changes_in_any_order_give_the_same_notes() {
    let mut rng = rng(1);
    for round in 0..40 {
        let mut replicas = history(4, 30, &mut rng);
        sync_all(&mut replicas);
        let (view, heads) = (replicas[0].view(), replicas[0].heads());
        assert!(replicas.iter().all(|notes| notes.view() == view && notes.heads() == heads), "round {round}");

        let mut changes: Vec<Vec<u8>> = replicas[0].changes_since(&[]).into_iter().map(|change| change.bytes).collect();
        for place in (1..changes.len()).rev() {
            changes.swap(place, rng.below(place as u64 + 1) as usize);
        }
        let mut late = Document::new(seat(200));
        late.adopt(&changes).expect("all of them together are complete");
        assert_eq!((late.view(), late.heads()), (view, heads), "round {round}");
    }
}

#[test]
fn a_saved_document_loads_to_the_same_notes_and_serves_the_same_changes() {
    let mut rng = rng(2);
    let replicas = history(3, 60, &mut rng);
    for notes in &replicas {
        let loaded = Document::load(&notes.save(), seat(9), 0).expect("own bytes");
        assert_eq!((loaded.view(), loaded.heads(), loaded.save()), (notes.view(), notes.heads(), notes.save()));
        assert_eq!(loaded.changes_since(&[]), notes.changes_since(&[]));
    }
}

#[test]
fn changes_are_named_and_found_by_their_hash() {
    let mut notes = Document::new(seat(1));
    let genesis = notes.heads();
    notes.edit(&[splice(0, 0, "hello")]).unwrap();
    let change = notes.commit().unwrap();
    assert_eq!(change_hash(&change.bytes), Some(change.hash));
    assert_eq!(change_deps(&change.bytes), Some(genesis.clone()));
    assert_eq!((notes.heads(), notes.change_count()), (vec![change.hash], 2));
    assert_eq!(notes.change(&change.hash), Some(change.clone()));
    assert_eq!(notes.changes_since(&genesis), vec![change.clone()]);
    notes.edit(&[splice(5, 0, "!")]).unwrap();
    println!("a change of one character by one who has written before: {} bytes", notes.commit().unwrap().bytes.len());
    notes.edit(&[splice(0, 0, "ein Satz mit 20 Zeic")]).unwrap();
    println!("of twenty: {} bytes", notes.commit().unwrap().bytes.len());
    assert_eq!(Document::new(seat(2)).lacks(&[change.hash, genesis[0]]), vec![change.hash]);
    let mut cut = change.bytes;
    cut.pop();
    assert_eq!((change_hash(&cut), change_hash(b"")), (None, None));
}

#[test]
fn what_is_pending_is_seen_here_and_nowhere_else() {
    let mut notes = Document::new(seat(1));
    let (heads, saved) = (notes.heads(), notes.save());
    notes.edit(&[splice(0, 0, "draft")]).unwrap();
    assert_eq!((notes.text().as_str(), notes.has_pending()), ("draft", true));
    assert_eq!((notes.heads(), notes.save(), notes.changes_since(&heads)), (heads, saved, vec![]));
    assert!(notes.commit().is_some() && notes.commit().is_none() && !notes.has_pending());
}

#[test]
fn an_edit_out_of_range_is_refused_and_changes_nothing() {
    let mut notes = Document::new(seat(1));
    let id = ItemId([1; 8]);
    notes.edit(&[splice(0, 0, "12🦩45"), Edit::AddAgenda { id, text: "a".into(), minutes: 1 }]).unwrap();
    notes.commit().unwrap();
    let before = notes.view();
    let mark = |start, end, name: &str| Edit::Mark { start, end, name: name.into(), value: "true".into() };
    let long = "x".repeat(ITEM_TEXT_BYTES_MAX + 1);
    let unknown = ItemId([2; 8]);
    let refused = [
        splice(6, 0, "x"),
        splice(0, 6, ""),
        splice(5, 1, "x"),
        splice(usize::MAX, 1, "x"),
        splice(1, usize::MAX, "x"),
        splice(2, 0, ""),
        splice(0, 0, &"x".repeat(CHANGE_OPS_MAX + 1)),
        mark(0, 6, "bold"),
        mark(3, 3, "bold"),
        mark(4, 3, "bold"),
        mark(0, 1, ""),
        mark(0, 1, &"b".repeat(MARK_NAME_BYTES_MAX + 1)),
        Edit::Unmark { start: 5, end: 6, name: "bold".into() },
        Edit::AddAgenda { id, text: "again".into(), minutes: 1 },
        Edit::AddAgenda { id: unknown, text: long.clone(), minutes: 1 },
        Edit::SetAgenda { id: unknown, text: None, minutes: None, done: Some(true) },
        Edit::SetAgenda { id, text: Some(long.clone()), minutes: None, done: Some(true) },
        Edit::RemoveAgenda { id: unknown },
        Edit::AddAction { id, text: long, owner: None },
        Edit::SetAction { id, text: None, owner: Some(None), done: None },
        Edit::RemoveAction { id },
    ];
    for edit in refused {
        assert_eq!(notes.edit(std::slice::from_ref(&edit)), Err(Refused::OutOfRange), "{edit:?}");
        assert!(!notes.has_pending(), "{edit:?}");
        assert_eq!(notes.view(), before, "{edit:?}");
    }
    for number in 1..ITEMS_MAX {
        notes.edit(&[Edit::AddAgenda { id: ItemId([number as u8 + 10; 8]), text: "b".into(), minutes: 1 }]).unwrap();
    }
    let one_more = Edit::AddAgenda { id: unknown, text: "c".into(), minutes: 1 };
    assert_eq!(notes.edit(&[one_more]), Err(Refused::TooMany));
}

#[test]
fn a_change_of_others_waits_until_ones_own_edits_are_committed() {
    let (mut mine, mut theirs) = (Document::new(seat(1)), Document::new(seat(2)));
    theirs.edit(&[splice(0, 0, "theirs")]).unwrap();
    let change = theirs.commit().unwrap().bytes;
    mine.edit(&[splice(0, 0, "mine")]).unwrap();
    assert_eq!(mine.adopt(&[&change]), Err(NotAdopted::Pending));
    mine.commit().unwrap();
    mine.adopt(&[&change]).unwrap();
    mine.adopt(&[&change]).expect("twice is once");
    assert!(mine.text().contains("mine") && mine.text().contains("theirs"));
}

#[test]
fn the_estimate_of_a_pending_change_is_close_and_never_too_low() {
    let mut rng = rng(3);
    let mut replicas = history(3, 40, &mut rng);
    sync_all(&mut replicas);
    let notes = &mut replicas[0];
    assert_eq!(notes.pending_bytes(), 0);
    for _ in 0..300 {
        while !notes.is_full() {
            let edit = random_edit(notes, &mut rng);
            notes.edit(&[edit]).unwrap();
        }
        let estimate = notes.pending_bytes();
        let change = notes.commit().unwrap();
        assert!(change.bytes.len() <= estimate, "{} > {estimate}", change.bytes.len());
    }
}

#[test]
fn a_change_is_full_after_two_lines_of_typing_however_many_heads_there_are() {
    let mut rng = rng(6);
    let mut replicas = history(5, 40, &mut rng);
    sync_all(&mut replicas);
    random_change(&mut replicas[0], &mut rng);
    for heads in [1, 5] {
        if heads == 5 {
            replicas.iter_mut().for_each(|notes| drop(random_change(notes, &mut rng)));
            sync_all(&mut replicas);
        }
        let notes = &mut replicas[0];
        assert_eq!(notes.heads().len(), heads);
        let mut keys = 0;
        while !notes.is_full() {
            notes.edit(&[splice(keys, 0, "k")]).unwrap();
            keys += 1;
        }
        let (estimate, bytes) = (notes.pending_bytes(), notes.commit().unwrap().bytes.len());
        println!("{heads} heads: {keys} keys, {bytes} bytes, estimated {estimate}");
        assert!(keys >= 36 && bytes <= estimate && estimate <= bytes + 80, "{keys} keys, {bytes} bytes, {estimate}");
        for back in 0..10 {
            notes.edit(&[splice(keys - 1 - back, 1, "")]).unwrap();
        }
        assert!(notes.pending_bytes() >= notes.commit().unwrap().bytes.len());
    }
}

#[test]
fn a_cursor_stays_with_its_character_and_foreign_bytes_are_no_cursor() {
    let (mut mine, mut theirs) = (Document::new(seat(1)), Document::new(seat(2)));
    mine.edit(&[splice(0, 0, "0123456789")]).unwrap();
    assert_eq!(mine.cursor_at(5), None, "nobody else has what is not committed");
    mine.commit().unwrap();
    sync(&mine, &mut theirs);
    let (five, end) = (mine.cursor_at(5).unwrap(), mine.cursor_at(10).unwrap());
    assert_eq!((mine.cursor_at(11), five.len() <= 32), (None, true));
    theirs.edit(&[splice(0, 2, "abc🦩")]).unwrap();
    assert_eq!((theirs.position_of(&five), theirs.position_of(&end)), (Some(7), Some(12)));
    theirs.edit(&[splice(7, 1, "")]).unwrap();
    assert_eq!(theirs.position_of(&five), Some(7));

    // Every operation there is, and many there are not, of every actor: items, marks, deletions, roots.
    let mut rng = rng(4);
    (0..20).for_each(|_| drop(random_change(&mut mine, &mut rng)));
    sync_all(std::slice::from_mut(&mut mine));
    theirs.commit();
    sync(&mine, &mut theirs);
    let genesis = hash16("alcove/1 genesis", &[])[..8].to_vec();
    let mut points = 0;
    for pending in [false, true] {
        if pending {
            theirs.edit(&[splice(1, 2, "pending")]).unwrap();
        }
        let length = theirs.text().chars().count();
        for (who, counter) in
            [&actor(seat(1), 0), &actor(seat(2), 0), &genesis].into_iter().flat_map(|who| (0..128).map(move |n| (who, n)))
        {
            let cursor = [&[1, 3, 8][..], who, &[counter, 2]].concat();
            let position = theirs.position_of(&cursor);
            points += usize::from(position.is_some());
            assert!(position.is_none_or(|position| position <= length), "{position:?} of {length}");
        }
        for _ in 0..2_000 {
            let mut bytes = five.clone();
            for _ in 0..=rng.below(3) {
                let place = rng.below(bytes.len() as u64) as usize;
                bytes[place] = rng.bytes::<1>()[0];
            }
            bytes.truncate(rng.below(2 * bytes.len() as u64) as usize);
            assert!(theirs.position_of(&bytes).is_none_or(|position| position <= length));
        }
    }
    assert!(points > 100);
    let (back, length) = (theirs.cursor_at(0), theirs.text().chars().count());
    assert!(back.is_some() && theirs.position_of(&end) == Some(length));
    theirs.commit();
    theirs.edit(&[Edit::AddAgenda { id: ItemId([9; 8]), text: "a".into(), minutes: 1 }]).unwrap();
    theirs.commit();
    let ObjId::Id(counter, who, _) = find(&theirs.settled, &theirs.roots.agenda, ItemId([9; 8])).unwrap().1 else {
        panic!("a map")
    };
    let mut item = [&[1, 3, 8][..], who.to_bytes()].concat();
    item.extend([counter as u8 | 0x80, (counter >> 7) as u8, 2]);
    assert_eq!(theirs.position_of(&item), None);
    let folded = crate::proto::notes::fold(&theirs, &theirs.heads(), b"").unwrap();
    let first = folded.settled.get_cursor(&folded.roots.text, 0, None).unwrap().to_bytes();
    for counter in 0..=u8::MAX {
        let cursor = [&first[..11], &[counter | 0x80, counter >> 7, 2]].concat();
        let cursor = if counter < 0x80 { [&first[..11], &[counter, 2]].concat() } else { cursor };
        assert!(folded.position_of(&cursor).is_none_or(|position| position <= folded.text().chars().count()), "after a fold too");
    }
    assert_eq!(folded.position_of(&first), Some(0));
    let item = Cursor::try_from(item).unwrap();
    let control = catch_unwind(AssertUnwindSafe(|| theirs.settled.get_cursor_position(&theirs.roots.text, &item, None).is_ok()));
    assert!(control.is_err(), "the control: Automerge's own look-up falls over a cursor that names an item");
    let huge = [&[1, 3, 8][..], &actor(seat(1), 0), &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 2]].concat();
    assert_eq!(theirs.position_of(&huge), None);
}

#[test]
fn undo_takes_back_my_last_change_and_only_mine() {
    let (mut mine, mut theirs) = (Document::new(seat(1)), Document::new(seat(2)));
    let id = ItemId([1; 8]);
    mine.edit(&[splice(0, 0, "one two three"), Edit::AddAgenda { id, text: "old".into(), minutes: 5 }]).unwrap();
    mine.commit().unwrap();
    let before = mine.view();
    mine.edit(&[
        splice(4, 3, "2"),
        Edit::Mark { start: 0, end: 3, name: "bold".into(), value: "true".into() },
        Edit::SetAgenda { id, text: Some("new".into()), minutes: Some(9), done: None },
    ])
    .unwrap();
    mine.commit().unwrap();
    sync(&mine, &mut theirs);
    theirs.edit(&[splice(0, 0, "two "), splice(15, 0, " four")]).unwrap();
    theirs.edit(&[Edit::SetAgenda { id, text: None, minutes: Some(7), done: None }]).unwrap();
    theirs.commit().unwrap();
    sync(&theirs, &mut mine);
    assert_eq!(mine.text(), "two one 2 three four");

    mine.edit(&[splice(0, 0, "typing")]).unwrap();
    assert_eq!((mine.undo_mine(), mine.text().as_str()), (Undone::Pending, "two one 2 three four"));
    let Undone::Changes(changes) = mine.undo_mine() else { panic!("there is a change to take back") };
    assert_eq!((mine.text().as_str(), mine.marks(), changes.len()), ("two one two three four", before.marks.clone(), 1));
    assert_eq!((mine.agenda()[0].text.as_str(), mine.agenda()[0].minutes), ("old", 7), "what they set since stays");
    sync(&mine, &mut theirs);
    assert_eq!(theirs.view(), mine.view());
    assert!(matches!(mine.undo_mine(), Undone::Changes(_)));
    assert_eq!((mine.text().as_str(), mine.agenda().len()), ("two  four", 1), "the item is no longer only mine");
    assert_eq!(mine.undo_mine(), Undone::Nothing);
}

#[test]
fn undo_reaches_back_as_far_as_it_says() {
    let mut notes = Document::new(seat(1));
    for _ in 0..UNDO_CHANGES_MAX + 3 {
        notes.edit(&[splice(0, 0, "x")]).unwrap();
        notes.commit().unwrap();
    }
    let undone = std::iter::from_fn(|| matches!(notes.undo_mine(), Undone::Changes(_)).then_some(())).count();
    assert_eq!((undone, notes.text().as_str()), (UNDO_CHANGES_MAX, "xxx"));
}

#[test]
fn without_others_undo_gives_back_exactly_what_was_there() {
    let mut rng = rng(5);
    for _ in 0..200 {
        let mut notes = Document::new(seat(1));
        (0..4).for_each(|_| drop(random_change(&mut notes, &mut rng)));
        let before = notes.view();
        random_change(&mut notes, &mut rng);
        notes.undo_mine();
        let after = notes.view();
        assert_eq!((after.text, after.marks), (before.text, before.marks));
        assert_eq!(sorted(after.agenda, |item| item.id), sorted(before.agenda, |item| item.id), "a struck item returns at the end");
        assert_eq!(sorted(after.actions, |item| item.id), sorted(before.actions, |item| item.id));
    }
}

fn sorted<T>(mut items: Vec<T>, id: impl Fn(&T) -> ItemId) -> Vec<T> {
    items.sort_by_key(id);
    items
}
