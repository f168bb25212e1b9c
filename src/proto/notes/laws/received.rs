//! A whole document from a peer, honest or not.

use super::hostile::{alter, forge, mutate, scene};
use super::*;
use crate::proto::config::{DOCUMENT_BYTES_MAX, DOCUMENT_INFLATED_BYTES_MAX};
use crate::proto::io::{Answer, Job};
use crate::proto::job;
use automerge::transaction::Transactable;
use automerge::{Automerge, Change, ROOT};
use std::panic::catch_unwind;

fn is_sound(document: &[u8]) -> bool {
    job::run(&Job::Load { document: document.to_vec() }) == Answer::Loaded { sound: true }
}

#[test]
fn a_document_of_a_peer_is_sound_only_if_it_is_one_of_ours() {
    let mut rng = rng(30);
    let (notes, change) = scene(&mut rng);
    let saved = notes.save();
    assert!(is_sound(&saved) && is_sound(&Document::new(seat(1)).save()));
    let folded = crate::proto::notes::fold(&notes, &notes.heads(), b"talk").unwrap();
    assert!(is_sound(&folded.save()));

    assert!(!is_sound(b"") && !is_sound(&saved[1..]) && !is_sound(&change.bytes));
    assert!(!is_sound(&[saved.clone(), change.bytes.clone()].concat()), "nothing rides behind it");
    let plain = Automerge::load(&saved).unwrap().save_nocompress();
    assert!(plain == saved || !is_sound(&plain), "one document, one form");
    assert!(!is_sound(&Automerge::new().save()), "not our shape");
    for forged in [
        forge(&notes, |writing, _| drop(writing.put(ROOT, "more", 1))),
        forge(&notes, |writing, roots| drop(writing.split_block(&roots.text, 0))),
        alter(&change, |change| change.time = 1_700_000_000),
    ] {
        let mut document = Automerge::load(&saved).unwrap();
        document.apply_changes([Change::try_from(forged.as_slice()).unwrap()]).unwrap();
        assert!(!is_sound(&document.save()));
    }
}

#[test]
fn a_mutated_document_never_panics_outside_and_what_is_sound_loads() {
    let mut rng = rng(31);
    let (mut panics, mut let_in) = (0, 0);
    for _ in 0..10 {
        let (notes, _) = scene(&mut rng);
        let saved = notes.save();
        for _ in 0..100 {
            let mutant = mutate(&saved, &mut rng);
            panics += u32::from(catch_unwind(|| Automerge::load(&mutant)).is_err());
            if is_sound(&mutant) {
                let_in += 1;
                let mut loaded = Document::load(&mutant, seat(1), 0).expect("it loads");
                random_change(&mut loaded, &mut rng);
                assert!(Document::load(&loaded.save(), seat(1), 0).is_some());
            }
        }
    }
    println!("1,000 mutated documents: {panics} panic a plain load, {let_in} let in");
    assert!(panics > 0, "the control: the attack is real");
}

#[test]
fn a_document_that_swells_when_it_is_opened_is_refused() {
    let filled = |length: usize| {
        let (document, _) = crate::proto::notes::document::begin(b"genesis", |writing, roots| {
            writing.splice_text(&roots.text, 0, 0, &"a".repeat(length)).unwrap();
        });
        (document.save(), document.save_nocompress().len())
    };
    let (small, _) = filled(20_000);
    let (bomb, inflated) = filled(DOCUMENT_INFLATED_BYTES_MAX);
    assert!(bomb.len() < DOCUMENT_BYTES_MAX && inflated > DOCUMENT_INFLATED_BYTES_MAX);
    assert!(is_sound(&small) && !is_sound(&bomb));
    let mut rng = rng(33);
    let incompressible: String = (0..60_000).map(|_| char::from_u32(0x4e00 + rng.below(20_000) as u32).unwrap()).collect();
    let mut long = Document::new(seat(1));
    long.write(vec![splice(0, 0, &incompressible)]);
    long.settle();
    assert!(long.save().len() > DOCUMENT_BYTES_MAX && !is_sound(&long.save()));
}

#[test]
fn every_honest_document_is_sound_to_the_byte() {
    let mut rng = rng(32);
    for _ in 0..40 {
        let mut replicas = history(4, 30, &mut rng);
        sync_all(&mut replicas);
        assert!(replicas.iter().all(|notes| is_sound(&notes.save())));
    }
}
