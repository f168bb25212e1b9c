//! What the notes of a long talk cost. Prints figures; asserts only bounds that hold in an unoptimised build on a busy machine.

use super::*;
use crate::proto::config::JOB_TIME_MAX;
use crate::proto::io::{Answer, Job, Verdict};
use crate::proto::job;

/// 600 changes of 15 characters by five seats.
fn long_talk() -> Vec<Document> {
    let mut rng = rng(40);
    let mut replicas: Vec<Document> = (0..5).map(|number| Document::new(seat(number))).collect();
    for step in 0..599 {
        let author = rng.below(5) as usize;
        let at = rng.below(replicas[author].text().chars().count() as u64 + 1) as usize;
        replicas[author].edit(&[splice(at, 0, "fifteen letters")]).unwrap();
        replicas[author].commit().unwrap();
        if step % 10 == 0 {
            sync_all(&mut replicas);
        }
    }
    sync_all(&mut replicas);
    replicas
}

#[test]
#[allow(clippy::disallowed_types, clippy::disallowed_methods)]
fn an_honest_change_in_a_long_talk_leaves_the_quarantine_in_time() {
    use std::time::Instant;
    let mut replicas = long_talk();
    let document = replicas[0].save();
    replicas[1].edit(&[splice(100, 0, "?")]).unwrap();
    let change = replicas[1].commit().unwrap();
    let job = Job::Quarantine { document: document.clone(), changes: vec![bound(&change, 1, 0)] };
    let start = Instant::now();
    let Answer::Quarantined { verdicts, .. } = job::run(&job) else { panic!("the wrong answer") };
    let quarantine = start.elapsed();
    let start = Instant::now();
    replicas[0].adopt(&[&change.bytes]).unwrap();
    let adopt = start.elapsed();
    let start = Instant::now();
    assert_eq!(job::run(&Job::Load { document: document.clone() }), Answer::Loaded { sound: true });
    let load = start.elapsed();
    let start = Instant::now();
    replicas[0].edit(&[splice(5_000, 0, "?")]).unwrap();
    let first_key = start.elapsed();
    let start = Instant::now();
    replicas[0].undo_mine();
    replicas[0].edit(&[splice(5_000, 0, "?")]).unwrap();
    replicas[0].commit().unwrap();
    sync_all(&mut replicas[..2]);
    let commit = start.elapsed();
    let start = Instant::now();
    replicas[1].undo_mine();
    let undo = start.elapsed();
    println!(
        "{} changes, {} characters, {} bytes saved, a change of {} bytes: quarantine {quarantine:?}, adopt {adopt:?}, check a \
         document {load:?}, first key {first_key:?}, commit and exchange {commit:?}, undo {undo:?}",
        replicas[0].change_count(),
        replicas[0].text().chars().count(),
        document.len(),
        change.bytes.len(),
    );
    assert_eq!(verdicts, [Verdict::Sound]);
    assert!(quarantine < JOB_TIME_MAX && load < JOB_TIME_MAX);
}
