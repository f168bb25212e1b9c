//! Random schedules of seats, edits, strikes, leaving, returning, crashes, old disks and copied profiles: every replica agrees before
//! the close, and after it nothing is reopened and no text is left.
//!
//! `ALCOVE_SCHEDULES=n` plays so many; `ALCOVE_SEED=n` plays one, or begins there; with `ALCOVE_SHRINK=1` it is shrunk;
//! `ALCOVE_FAILURES=n` goes on until so many fail. A schedule takes 0.03 s of one core in a release build, half of them less than
//! 0.02 s; the few that can only run out of time take five times as long. `cargo test` plays 200 in a debug build, CI ten thousand in
//! a release build, and `ALCOVE_SCHEDULES=1000000 cargo test --release --workspace --test schedules` a million in about four hours on
//! two cores.
//!
//! A seat that goes back to an older state with its keys, or runs twice with them, may say two things in one place. Then the others need
//! not agree before the end (how often they do not is printed); everything else holds for it too.

use firmware_sim::failure::{number, report, verdict};
use firmware_sim::schedule::{End, Outcome, Sabotage, Schedule, Step, play};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a debug build plays in a minute or two on two cores.
const SCHEDULES: u64 = 200;

fn check(seed: u64, sabotage: Sabotage) -> Result<Outcome, String> {
    let schedule = Schedule::of(seed);
    let mut outcome = Outcome { end: End::NeverOpen, has_agreed: false };
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
        Some(seed) => (seed, number("ALCOVE_SCHEDULES").unwrap_or(1)),
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
                        Err(why) => {
                            eprintln!("seed {seed}: {why}");
                            failed.lock().unwrap().push((seed, why));
                        }
                    }
                    if (seed - first + 1) % (count / 100).max(100) == 0 {
                        eprintln!("{} of {count} after {:?}: {:?}", seed - first + 1, began.elapsed(), outcomes.lock().unwrap());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    eprintln!("{:?} in {:?}", outcomes.lock().unwrap(), began.elapsed());
    if let Some((seed, why)) = failed.iter().min() {
        panic!("{}", tell(*seed, why));
    }
}

/// What random schedules have found, shrunk: what went wrong, and the seed and steps with which it did.
const FOUND: &[(&str, u64, &[Step])] = {
    use Step::*;
    &[
        (
            "a seat asks in vain for a term that another has promised to itself, and asks for no later one",
            138_984,
            &[CrashAfterWrites(2, 2), Leave(0), Pass(29_286), Reboot(3)],
        ),
        (
            "a member that has not heard the newcomer's first word refuses the commit that lets its device back",
            215_174,
            &[Pass(1_379), Crash(1), Pass(3_039), TakeSeat(2), Pass(2_584), Reboot(2), Pass(4_390), Leave(0)],
        ),
        (
            "the host leaves, and what it said before the epoch changed was heard by nobody who could read it",
            266_273,
            &[TakeSeat(2), Pass(380), Say(0), Pass(72), Leave(0)],
        ),
        ("the host dies while it leaves, and a guest's welcome with it", 51_158, &[CrashAfterWrites(0, 6), Pass(237), Leave(0)]),
        (
            "the chair dies while it has what was deleted struck, and forgets that it began",
            47_433,
            &[Away(0), CrashAfterWrites(0, 1), CloneElsewhere(1), Strike(0), Pass(87), Write(1)],
        ),
        (
            "a device comes back while a fold is agreed, and takes the document from before it for what it lacks",
            96_628,
            &[Say(2), Pass(153), Reboot(1), Pass(227), Strike(0), Pass(3_302), Write(2)],
        ),
        (
            "the chair lets a device back in and loses its keys, and who was away hears of it from nobody",
            204_621,
            &[Away(1), Reboot(2), Pass(2_540), Crash(2), Reboot(0)],
        ),
        (
            "a seat dies while it is let into a term, and asks again by other keys than those it is let in with",
            348_713,
            &[Pass(211), Leave(0), Pass(192), Crash(3), Pass(1_740)],
        ),
        (
            "who was away agrees alone when the host has left, and a newcomer whom it never met waits for it",
            351_284,
            &[Pass(159), Away(1), TakeSeat(2), Pass(2_160), Leave(0), Close(1)],
        ),
        (
            "the notes are folded while who was just let in has the document from before it judged",
            175_854,
            &[Pass(1_611), CloneElsewhere(1), Pass(300), Away(0), Pass(107), Strike(0), Write(0), Pass(156)],
        ),
        (
            "a chair leaves while one is away that it has let into its term, and the others wait for that one to lead on",
            239_898,
            &[Say(3), Say(1), Pass(13), Write(2), Say(0), Leave(0), Pass(285), Crash(2), Pass(254), Leave(1)],
        ),
        (
            "the same with a proposal to close under way",
            357_841,
            &[Close(3), Pass(217), Pass(1_877), Leave(0), Pass(46), Crash(2), Pass(33_768), Leave(3)],
        ),
        (
            "the chair agrees to close and then lets in who had asked before, and one who is away closes by the votes of the two",
            46_127,
            &[Pass(231), Close(1), Away(1), Pass(83), TakeSeat(2), Pass(186), Close(0), Pass(2_350)],
        ),
        (
            "a device is let back in while the chair still tries a change: it is in what was said, and not in the notes that it gets",
            65_231,
            &[PutBack(0), Pass(4_182), Close(3), Pass(1_372), Back(0), Pass(1_635), Reboot(2), Pass(333), Write(1)],
        ),
        (
            "the chair is to be removed and consents to its successor, and then lets somebody in",
            84_589,
            &[Leave(2), Pass(4_344), Pass(2_214), TakeSeat(2), Pass(280), Remove(1, 0), Pass(52)],
        ),
        (
            "the host leaves and a device loses its keys, and its old seat has no leaf in the term that follows",
            54_925,
            &[Leave(0), Pass(174), Reboot(2)],
        ),
    ]
};

#[test]
fn what_random_schedules_have_found_stays_mended() {
    for (what, seed, steps) in FOUND {
        let schedule = Schedule { steps: steps.to_vec(), ..Schedule::of(*seed) };
        assert_eq!(verdict(|| play(&schedule, Sabotage::None).map(drop)), Ok(()), "{what}");
    }
}

/// Parcels that were carried are read in the order of their names, which is that of chance: here what the newcomer said and the commit
/// that lets its device back are of one epoch, and both come to one who was away before it has that epoch's keys.
#[test]
fn what_was_said_between_two_steps_is_read_by_who_was_away_over_both_in_whatever_order_it_is_carried() {
    use Step::*;
    let steps = [Crash(1), Pass(3_000), TakeSeat(2), Pass(2_500), Reboot(2), Pass(4_400), Leave(0)];
    for seed in 0..12 {
        let schedule = Schedule { seed, people: 3, seats_min: 2, opens_first: true, is_rough: false, steps: steps.to_vec() };
        assert_eq!(verdict(|| play(&schedule, Sabotage::None).map(drop)), Ok(()), "seed {seed}");
    }
}

#[test]
fn who_is_to_be_removed_leaves_nobody_waiting() {
    use Step::*;
    let plays: [(usize, &[Step]); 2] = [
        (2, &[Remove(1, 0), Remove(0, 1), Pass(1_000), Say(0), Say(1)]),
        (4, &[Remove(1, 0), Remove(2, 0), Pass(30), Leave(2), Pass(400), TakeSeat(2)]),
    ];
    for (people, steps) in plays {
        for seed in 0..12 {
            let schedule =
                Schedule { seed, people, seats_min: people as u8, opens_first: true, is_rough: false, steps: steps.to_vec() };
            let mut end = None;
            let played = verdict(|| play(&schedule, Sabotage::None).map(|outcome| end = Some(outcome.end)));
            assert_eq!((played, end), (Ok(()), Some(End::Closed)), "seed {seed}: {steps:?}");
        }
    }
}

/// A schedule in which three meet, write and close, and copies of their disks are put back afterwards.
fn plain(seed: u64) -> Schedule {
    let steps = vec![Step::Say(1), Step::Write(2), Step::Pass(5_000), Step::Copy(1), Step::Pass(1_000)];
    Schedule { seed, people: 3, seats_min: 3, opens_first: true, is_rough: false, steps }
}

#[test]
fn control_the_laws_hold_for_a_plain_schedule_and_each_breach_is_found() {
    assert_eq!(play(&plain(1), Sabotage::None), Ok(Outcome { end: End::Closed, has_agreed: true }));
    let why = |sabotage| verdict(|| play(&plain(1), sabotage).map(drop)).unwrap_err();
    let reopened = why(Sabotage::DisksForgetNothing);
    assert!(reopened.contains("holds") || reopened.contains("shows a talk again") || reopened.contains("is left"), "{reopened}");
    let diverged = why(Sabotage::SecretWriter);
    assert!(diverged.contains("differ in said"), "{diverged}");
    let reopened = why(Sabotage::KeysAreKept);
    assert!(reopened.contains("shows a talk again that was closed"), "{reopened}");
}

#[test]
fn control_a_failing_schedule_is_shrunk_to_what_it_takes_and_told_with_its_command() {
    let schedule = plain(1);
    let with = |steps: &[Step]| play(&Schedule { steps: steps.to_vec(), ..schedule.clone() }, Sabotage::KeysAreKept).map(drop);
    let (least, why) = firmware_sim::failure::shrunk(schedule.steps.clone(), with);
    assert_eq!(least, [Step::Copy(1)], "{why}");
    let told = tell(1, &why);
    assert!(told.contains("ALCOVE_SEED=1 ALCOVE_SHRINK=1 cargo test --workspace --test schedules"), "{told}");
}
