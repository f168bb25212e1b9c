//! Random schedules of seats, edits, strikes, leaving, returning, crashes, old disks and copied profiles: every replica agrees before
//! the close, and after it nothing is reopened and no text is left.
//!
//! `ALCOVE_SCHEDULES=n` plays so many (a million: `ALCOVE_SCHEDULES=1000000 cargo test --release --workspace --test schedules`);
//! `ALCOVE_SEED=n` plays one, with `ALCOVE_SHRINK=1` it is shrunk.

use firmware_sim::failure::{number, report, verdict};
use firmware_sim::schedule::{Outcome, Sabotage, Schedule, Step, play};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A hundredth of what is to hold.
const SCHEDULES: u64 = 10_000;

fn check(seed: u64, sabotage: Sabotage) -> Result<Outcome, String> {
    let schedule = Schedule::of(seed);
    let mut outcome = Outcome::NeverOpen;
    verdict(|| play(&schedule, sabotage).map(|ended| outcome = ended))?;
    Ok(outcome)
}

fn tell(seed: u64, why: &str) -> String {
    let schedule = Schedule::of(seed);
    let with = |steps: &[Step]| play(&Schedule { steps: steps.to_vec(), ..schedule.clone() }, Sabotage::None).map(drop);
    let about = format!("{} people, {} make a room", schedule.people, schedule.seats_min);
    format!("{about}, {}", report("schedules", seed, why, schedule.steps.clone(), with))
}

#[test]
fn whatever_the_schedule_all_agree_before_the_close_and_nothing_is_left_or_reopened_after_it() {
    let (first, count) = match number("ALCOVE_SEED") {
        Some(seed) => (seed, 1),
        None => (1, number("ALCOVE_SCHEDULES").unwrap_or(SCHEDULES)),
    };
    let (next, failed, outcomes) = (AtomicU64::new(first), Mutex::new(Vec::new()), Mutex::new(BTreeMap::new()));
    let began = std::time::Instant::now();
    let failures_max = number("ALCOVE_FAILURES").unwrap_or(1) as usize;
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while failed.lock().unwrap().len() < failures_max {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        break;
                    }
                    match check(seed, Sabotage::None) {
                        Ok(outcome) => *outcomes.lock().unwrap().entry(outcome).or_insert(0_u64) += 1,
                        Err(why) => failed.lock().unwrap().push((seed, why)),
                    }
                    if (seed - first + 1) % 1_000 == 0 {
                        eprintln!("{} of {count} after {:?}: {:?}", seed - first + 1, began.elapsed(), outcomes.lock().unwrap());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    if failed.len() > 1 {
        failed.iter().for_each(|(seed, why)| eprintln!("seed {seed}: {why}"));
    }
    if let Some((seed, why)) = failed.iter().min() {
        panic!("{}", tell(*seed, why));
    }
}
