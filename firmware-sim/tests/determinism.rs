//! Same seed, same bytes: what is sent, told and remembered, by whom and when, follows from the seed alone, in one process and in
//! another with another clock and other hash seeds.

use alcove::proto::secret::hash;
use firmware_sim::failure::{report, verdict};
use firmware_sim::twelve::{COUNT, FAULTS, STEPS, Step, play, steps};
use std::collections::HashMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::SystemTime;

/// Set in the other process: it prints its hashes and is done.
const CHILD: &str = "ALCOVE_TRACE_OF_SEED";
/// By how much the other process's clock is ahead.
const AHEAD_SECONDS: u64 = 100_000_000;

/// What one process has to say.
struct Told {
    trace: String,
    /// The trace with the time of day mixed in.
    with_clock: String,
    /// The trace with the order of a hash map mixed in.
    with_hash_order: String,
    clock: u64,
    environment: String,
}

impl Told {
    fn here() -> Told {
        let trace = trace(seed());
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is past 1970").as_secs();
        let map: HashMap<u8, ()> = (0..100).map(|key| (key, ())).collect();
        let order: Vec<_> = map.into_keys().collect();
        let mixed = |what: &[u8]| hex(&hash("trace", &[trace.as_bytes(), what]));
        let environment = format!("{:?}", std::env::var_os("TZ"));
        Told { with_clock: mixed(&clock.to_be_bytes()), with_hash_order: mixed(&order), trace, clock, environment }
    }

    fn print(&self) {
        let Told { trace, with_clock, with_hash_order, clock, environment } = self;
        println!("\ntold {trace} {with_clock} {with_hash_order} {clock} {environment}");
    }

    fn of(child: Child) -> Told {
        let output = child.wait_with_output().expect("it ends");
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let line = printed.lines().find_map(|line| line.strip_prefix("told "));
        let words: Vec<_> = line.unwrap_or_else(|| panic!("{printed}\n{errors}")).split(' ').map(str::to_owned).collect();
        let [trace, with_clock, with_hash_order, clock, environment] = words.try_into().expect("five words");
        Told { trace, with_clock, with_hash_order, clock: clock.parse().expect("seconds"), environment }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first seed of a room of twelve to which everything happens that can.
fn seed() -> u64 {
    let needed = [
        Step::Break(0, 1),
        Step::Partition(0),
        Step::Heal,
        Step::Offline(0),
        Step::Online(0),
        Step::Crash(0),
        Step::CrashAfterWrites(0, 1),
        Step::Start(0),
        Step::JumpClock(0, 1),
    ];
    let happens = |seed: &u64, step: &Step| {
        let same = |other: &Step| std::mem::discriminant(other) == std::mem::discriminant(step);
        steps(*seed, COUNT, STEPS).iter().any(same)
    };
    let seed = (1..1_000).find(|seed| needed.iter().all(|step| happens(seed, step))).expect("there is such a seed");
    const { assert!(FAULTS.break_one_in > 0 && FAULTS.duplicate_one_in > 0 && FAULTS.overtake_one_in > 0) };
    assert!(FAULTS.radio.is_some_and(|radio| radio.lose_percent > 0), "lost packets");
    seed
}

/// The trace of a room of twelve; if it does not hold its own laws it says so as the room's own test does.
fn trace(seed: u64) -> String {
    let steps = steps(seed, COUNT, STEPS);
    let (mut trace, played) = ([0; 32], |steps: &[Step]| play(seed, COUNT, steps).map(drop));
    if let Err(why) = verdict(|| play(seed, COUNT, &steps).map(|all| trace = all)) {
        panic!("{}", report("room_of_twelve", seed, &why, steps, played));
    }
    hex(&trace)
}

/// A library that gives a process another clock, made with the C compiler that the build needs anyway.
fn other_clock() -> PathBuf {
    let library = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("other_clock.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/other_clock.c");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let made = Command::new(compiler).args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).status();
    assert!(made.expect("there is a C compiler").success());
    library
}

#[test]
fn one_seed_gives_one_hash_in_two_processes_with_different_clocks_and_hash_seeds() {
    if std::env::var_os(CHILD).is_some() {
        return Told::here().print();
    }
    let name = "one_seed_gives_one_hash_in_two_processes_with_different_clocks_and_hash_seeds";
    let mut child = Command::new(std::env::current_exe().expect("this test is a program"));
    child.args([name, "--exact", "--nocapture", "--test-threads=1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    child.env_clear().envs([(CHILD, "1"), ("TZ", "Pacific/Kiritimati"), ("LANG", "tr_TR.UTF-8"), ("HOME", "/nonexistent")]);
    let child = child.env("LD_PRELOAD", other_clock()).spawn().expect("it starts");
    let (ours, theirs) = (Told::here(), Told::of(child));
    assert_eq!(theirs.trace, ours.trace);

    assert!(theirs.clock.abs_diff(ours.clock + AHEAD_SECONDS) < 3_600, "control: the other clock is three years ahead");
    assert_ne!(theirs.with_clock, ours.with_clock, "control: what takes in a clock differs");
    assert_ne!(theirs.with_hash_order, ours.with_hash_order, "control: what takes in the order of a hash map differs");
    assert_ne!(theirs.environment, ours.environment, "control: another environment");
}

#[test]
fn another_seed_gives_another_hash() {
    let few = |seed| play(seed, 3, &steps(seed, 3, 3)).unwrap();
    assert_eq!(few(1), few(1));
    assert_ne!(few(1), few(2), "control: the trace sees what is sent");
}
