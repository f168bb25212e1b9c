//! With the app's allocator, nothing of dropped notes is left in memory; and the app leaves no core dump. The control without the
//! allocator is `memory_control.rs`, since a program has only one.

mod needle;

use alcove::shell::hardening;
use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
use std::process::Command;

#[global_allocator]
static ALLOCATOR: hardening::Allocator = hardening::ALLOCATOR;

#[test]
fn dropped_notes_leave_nothing_in_memory() {
    if let Ok(role) = std::env::var(needle::ROLE) {
        return needle::child(&role);
    }
    let test = "dropped_notes_leave_nothing_in_memory";
    assert!(needle::copies_in_child(test, "keep") > 0, "the control: the search finds notes that are still open");
    assert_eq!(needle::copies_in_child(test, "drop"), 0);
}

#[test]
fn what_finished_calls_left_on_the_stack_is_gone_once_it_is_wiped() {
    if let Ok(role) = std::env::var(needle::ROLE) {
        return needle::child(&role);
    }
    let test = "what_finished_calls_left_on_the_stack_is_gone_once_it_is_wiped";
    assert!(needle::copies_in_child(test, "stack") > 0, "the control: without it they are found");
    assert_eq!(needle::copies_in_child(test, "wiped stack"), 0);
}

#[test]
fn a_panic_says_where_and_not_what() {
    const WORDS: &str = "the ferry leaves from pier nine";
    if let Ok(role) = std::env::var(needle::ROLE) {
        if role == "hush" {
            hardening::hush_panics();
        }
        panic!("{WORDS}");
    }
    let said = |role: &str| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended =
            child.args(["a_panic_says_where_and_not_what", "--exact", "--nocapture"]).env(needle::ROLE, role).output().unwrap();
        String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned()
    };
    assert!(said("speak").contains(WORDS), "the control: a panic says what");
    let hushed = said("hush");
    assert!(hushed.contains("tests/memory.rs:") && !hushed.contains("ferry"), "{hushed}");
}

#[test]
fn a_hardened_process_dumps_no_core_and_lets_nobody_read_its_memory() {
    if std::env::var(needle::ROLE).is_ok() {
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::Dumpable, "the control: before, it would");
        hardening::harden().unwrap();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
        return;
    }
    let test = "a_hardened_process_dumps_no_core_and_lets_nobody_read_its_memory";
    let mut child = Command::new(std::env::current_exe().unwrap());
    let status = child.args([test, "--exact"]).env(needle::ROLE, "harden").status().unwrap();
    assert!(status.success());
}
