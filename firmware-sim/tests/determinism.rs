//! Same seed, same bytes: what is sent, by whom and when, follows from the seed alone, in one process and in another.

use alcove::proto::notes::Edit;
use alcove::proto::time::Duration;
use firmware_sim::checker::gone;
use firmware_sim::network::{Faults, Network};
use firmware_sim::scenario::{S, open_room};
use std::process::Command;

const SEED: u64 = 77;
/// Set in the other process: it prints its trace and is done.
const CHILD: &str = "ALCOVE_TRACE_OF_SEED";

/// Five phones on both media, with faults: card, seats, words, marks, a fold, a crash, a close. Gives the trace of all that was sent.
fn trace(seed: u64) -> String {
    let mut network = Network::new(seed, 5);
    network.faults = Faults { break_one_in: 100, duplicate_one_in: 5, overtake_one_in: 10, ..Faults::default() };
    for phone in 0..5 {
        network.connect(phone, (phone + 1) % 5);
        network.set_online(phone, phone % 2 == 0);
    }
    let talks = open_room(&mut network, 5, 5);
    let members: Vec<_> = talks.iter().copied().enumerate().collect();
    for (phone, talk) in &members {
        let edits = [
            Edit::Splice { at: 0, delete: 0, insert: format!("note {phone}. ") },
            Edit::Mark { start: 0, end: 4, name: "bold".into(), value: "true".into() },
        ];
        network.with(*phone, |node| node.say(*talk, "hello").and_then(|()| node.edit(*talk, &edits))).unwrap();
        network.run(Duration::from_millis(700));
    }
    network.run(S(20));
    network.with(0, |node| node.strike_for_good(talks[0])).unwrap();
    network.run(S(20));
    network.crash(3, None);
    network.run(S(30));
    network.restart(3);
    network.run(S(60));
    for (phone, talk) in &members {
        network.with(*phone, |node| node.close(*talk)).unwrap();
    }
    assert!(network.run_until(S(900), |n| gone(n, &members, &["hello", "note"]).is_ok()), "{:?}", gone(&network, &members, &[]));
    network.trace.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_same_seed_sends_the_same_bytes_twice_and_another_seed_others() {
    let first = trace(SEED);
    assert_eq!(trace(SEED), first);
    assert_ne!(trace(SEED + 1), first, "control: the trace sees what is sent");
}

#[test]
fn the_same_seed_sends_the_same_bytes_in_another_process_with_another_environment() {
    if std::env::var_os(CHILD).is_some() {
        return println!("trace={}", trace(SEED));
    }
    let name = "the_same_seed_sends_the_same_bytes_in_another_process_with_another_environment";
    let program = std::env::current_exe().expect("this test is a program");
    // Hash maps are seeded per process, and this one has another zone, language and home as well.
    let mut child = Command::new(program);
    child.args([name, "--exact", "--nocapture", "--test-threads=1"]);
    child.env_clear().envs([(CHILD, "1"), ("TZ", "Pacific/Kiritimati"), ("LANG", "tr_TR.UTF-8"), ("HOME", "/nonexistent")]);
    let output = child.output().expect("it starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let theirs = printed.lines().find_map(|line| line.split_once("trace=")).map(|(_, trace)| trace.trim().to_owned());
    assert_eq!(theirs, Some(trace(SEED)), "{printed}\n{}", String::from_utf8_lossy(&output.stderr));
}
