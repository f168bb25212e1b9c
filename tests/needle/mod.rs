//! The memory thief: a child process types, drops and reports; its parent searches the child's memory for what was typed.
//!
//! The searcher is another process, so its own buffers are not searched, and the words reach the child only as a number.

use automerge::transaction::Transactable;
use automerge::{AutoCommit, ObjType, ROOT};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};

/// Tells the process that it is the child; its value says what to do.
pub const ROLE: &str = "NEEDLE_ROLE";

/// The words: 32 letters derived from a number, so that they stand in no program and no environment.
fn needle() -> String {
    (0..32u32)
        .map(|place| char::from(b'a' + (place * place * 7 + place * 11 + 3).wrapping_mul(2_654_435_761).rotate_left(9) as u8 % 26))
        .collect()
}

/// Types the words into notes again and again; the notes are dropped at the end or kept.
pub fn child(role: &str) {
    match role {
        "stack" => on_stack(),
        "wiped stack" => {
            on_stack();
            alcove::shell::hardening::wipe_stack();
        }
        _ => return in_notes(role),
    }
    wait_to_be_searched();
}

/// Writes the words into a block on the stack and returns.
#[inline(never)]
fn on_stack() {
    let mut block = [0u8; 4_096];
    block.chunks_exact_mut(32).for_each(|place| place.copy_from_slice(needle().as_bytes()));
    std::hint::black_box(&mut block);
}

fn wait_to_be_searched() {
    println!("\nready");
    std::io::stdout().flush().unwrap();
    _ = std::io::stdin().read_line(&mut String::new());
}

fn in_notes(role: &str) {
    let words = needle();
    let mut notes = AutoCommit::new();
    let text = notes.put_object(ROOT, "text", ObjType::Text).unwrap();
    for round in 0..100 {
        notes.splice_text(&text, round * words.len(), 0, &words).unwrap();
        notes.commit();
    }
    let saved = notes.save();
    let mut loaded = AutoCommit::load(&saved).unwrap();
    assert_eq!(loaded.get_heads(), notes.get_heads());
    drop((words, saved, loaded));
    let kept = (role == "keep").then_some(notes);
    wait_to_be_searched();
    drop(kept);
}

/// How often the words are in the memory of a child of this test with this role.
pub fn copies_in_child(test: &str, role: &str) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(ROLE, role)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let ready = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(Result::ok).any(|line| line == "ready");
    assert!(ready, "the child failed");
    let copies = search(child.id(), needle().as_bytes());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    copies
}

fn search(process: u32, needle: &[u8]) -> usize {
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut copies = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let (start, end) = (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        if memory.read_exact_at(&mut bytes, start).is_ok() {
            copies += count(&bytes, needle);
        }
    }
    copies
}

fn count(bytes: &[u8], needle: &[u8]) -> usize {
    bytes.windows(needle.len()).filter(|window| window[0] == needle[0] && *window == needle).count()
}
