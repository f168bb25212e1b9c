//! What the window costs: until it is there, in memory, when nothing happens, and from a key on one screen to the other screen.

use super::person::{Person, Table};
use super::{TOPIC, open_room};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const STARTS: usize = 9;
const IDLE: Duration = Duration::from_secs(20);
const KEYS: usize = 60;

/// Prints all of it.
pub fn measure(table: &Table<'_>, pack: &Path) {
    let mut starts: Vec<_> = (0..STARTS)
        .map(|number| {
            let began = Instant::now();
            let person = Person::start(table, &format!("start-{number}"), 20, &[]);
            let shown = person.shown_after(began);
            person.end();
            shown
        })
        .collect();
    starts.sort_unstable();
    println!("start to the window's first picture: median {:?}, slowest of {STARTS} {:?}", starts[STARTS / 2], starts[STARTS - 1]);

    let idle = Person::start(table, "idle", 20, &[]);
    idle.sees("In each talk you have another name, and nobody sees who you are.");
    report(&idle, "the welcome screen, no event");
    idle.end();

    let (host, guest) = open_room(table, table, pack);
    report(&host, "an open room of two");
    host.touch("Notes");
    guest.touch("Notes");
    host.touch("Begin to write");
    host.types(TOPIC);
    guest.sees_in_part(TOPIC);
    let mut keys: Vec<_> = (0..KEYS).map(|_| host.key_to_screen(&guest)).collect();
    keys.sort_unstable();
    println!("a key on one screen to the other screen: median {:?}, p95 {:?} of {KEYS}", keys[KEYS / 2], keys[KEYS * 95 / 100]);
    host.end();
    guest.end();
}

/// Memory, and what happens while nothing happens.
fn report(person: &Person<'_>, what: &str) {
    std::thread::sleep(Duration::from_secs(5));
    let before = work(person.id());
    std::thread::sleep(IDLE);
    let after = work(person.id());
    let status = fs::read_to_string(format!("/proc/{}/status", person.id())).expect("its status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory").trim().to_owned();
    println!(
        "{what}: {resident} resident; in {} s of doing nothing {} wake-ups and {} ms of the processor",
        IDLE.as_secs(),
        after.0 - before.0,
        10 * (after.1 - before.1)
    );
}

/// How often its threads have been woken, and how many hundredths of a second they have used.
fn work(process: u32) -> (u64, u64) {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("its threads");
    let (mut wakes, mut ticks) = (0, 0);
    for task in tasks.filter_map(Result::ok) {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let woken = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        wakes += woken.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or_default();
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // After the name in brackets: state is the first field, user and system time are the 12th and 13th.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        ticks += [11, 12].iter().filter_map(|field| fields.get(*field)?.parse::<u64>().ok()).sum::<u64>();
    }
    (wakes, ticks)
}
