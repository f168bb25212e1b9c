//! One honest change through the quarantine, with a document of 600 changes: `cargo bench --bench quarantine [-- RUNS]`.
//!
//! In the same run, change by change: *plain*, the change applied to a loaded document and nothing else (what an app without a quarantine
//! would do); *load*, that document read from its bytes once, which no proof can do without; *cold*, the verdict of a job that has to read
//! the notes first; *verdict*, the verdict through the worker process, as the app has it, which knows the notes from the job before;
//! *adopted*, the same from the arrival of the change until it stands in the notes.
//! It fails if the 95th percentile of the verdict is above 10 ms.

use alcove::proto::config::FOLD_CHANGES;
use alcove::proto::id::{JobId, SeatId};
use alcove::proto::io::Job;
use alcove::proto::job;
use alcove::proto::notes::exchange::Notes;
use alcove::proto::notes::{Document, Edit};
use alcove::shell::worker::Worker;
use automerge::{Automerge, Change};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const RUNS: usize = 200;
const CHANGES: u64 = 600;
const P95_MAX: Duration = Duration::from_millis(10);
const OURS: SeatId = SeatId([1; 16]);
const THEIRS: SeatId = SeatId([2; 16]);

fn main() -> ExitCode {
    // `cargo bench` itself adds arguments of its own.
    let runs = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(RUNS).max(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut worker = Worker::new(env!("CARGO_BIN_EXE_alcove").into());
    for changes in [CHANGES, FOLD_CHANGES] {
        let saved = document(changes);
        let mut times: [Vec<Duration>; 5] = Default::default();
        for number in 0..runs {
            let mut notes = Notes::load(&saved, OURS, 0).expect("ours");
            let change = next_change(&saved, number);
            // The worker has tried these notes before, as it has when somebody writes more than one change.
            let known = Job::Quarantine { document: saved.clone(), heads: notes.heads(), changes: Vec::new() };
            assert!(runtime.block_on(worker.run(&known)).is_some());

            let arrived = Instant::now();
            notes.take(THEIRS, 0, change.clone());
            let job = notes.next_job(JobId(0)).expect("there is something to try");
            let answer = runtime.block_on(worker.run(&job));
            let verdict = arrived.elapsed();
            assert!(notes.answered(JobId(0), answer.as_ref()).changed, "an honest change");
            let adopted = arrived.elapsed();

            let cold = timed(|| assert_eq!(Some(job::run(&job)), answer));
            let load = timed(|| drop(Automerge::load(&saved).expect("ours")));
            let all = [applied(&saved, &change), load, cold, verdict, adopted];
            times.iter_mut().zip(all).for_each(|(times, time)| times.push(time));
        }
        println!("{changes} changes, {} bytes saved, {runs} runs:", saved.len());
        for (name, times) in ["plain", "load", "cold", "verdict", "adopted"].into_iter().zip(&mut times) {
            report(name, times);
        }
        let p95 = rank(&times[3], 95);
        if changes == CHANGES && p95 > P95_MAX {
            println!("over its budget of {P95_MAX:?}: p95 {p95:?}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Notes of three who typed in turn: 15 characters in each change, now and then a word struck or marked.
fn document(changes: u64) -> Vec<u8> {
    let mut all = [1, 2, 3].map(|seat| Document::new(SeatId([seat; 16])));
    for number in 1..changes {
        let writer = &mut all[number as usize % 3];
        let length = writer.text().chars().count();
        let at = if number % 5 == 0 { length / 2 } else { length };
        writer.edit(&[Edit::Splice { at, delete: 0, insert: format!("words of {number:5} ") }]).expect("in range");
        if number % 7 == 0 {
            writer.edit(&[Edit::Splice { at: at / 2, delete: 3, insert: String::new() }]).expect("in range");
        }
        if number % 11 == 0 {
            let bold = Edit::Mark { start: at / 3, end: at / 3 + 5, name: "bold".into(), value: "true".into() };
            writer.edit(&[bold]).expect("in range");
        }
        let change = writer.commit().expect("a change");
        for (seat, document) in all.iter_mut().enumerate() {
            if seat != number as usize % 3 {
                document.adopt(&[&change.bytes]).expect("an honest change");
            }
        }
    }
    all[0].save()
}

/// What the other types next.
fn next_change(saved: &[u8], number: usize) -> Vec<u8> {
    let mut theirs = Document::load(saved, THEIRS, 0).expect("ours");
    let at = number * 31 % theirs.text().chars().count();
    theirs.edit(&[Edit::Splice { at, delete: 0, insert: format!("a line, number {number}") }]).expect("in range");
    theirs.commit().expect("a change").bytes
}

fn applied(saved: &[u8], change: &[u8]) -> Duration {
    let mut document = Automerge::load(saved).expect("ours");
    timed(|| document.apply_changes([Change::try_from(change).expect("a change")]).expect("an honest change"))
}

fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

fn report(name: &str, times: &mut [Duration]) {
    times.sort();
    let [median, p95, most] = [50, 95, 100].map(|percent| rank(times, percent));
    println!("  {name:7}: median {median:.1?}, p95 {p95:.1?}, max {most:.1?}");
}

/// The nearest rank: the smallest time that is not exceeded in so many per cent of the runs. The times are sorted.
fn rank(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() * percent).div_ceil(100).max(1) - 1]
}
