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
