//! What is fuzzed, as plain functions: libFuzzer runs them (`fuzz/run`), and so does `tests/fuzz_seeds.rs` on stable Rust.
//!
//! A target takes any bytes and must not panic; what it asserts beside that is in its file. It is deterministic: everything it draws
//! comes from its bytes or a fixed seed. Signatures, checksums and seals do not keep the fuzzer out: where a peer can make them, the
//! target makes them.

mod codes;
mod link;
#[cfg(feature = "shell")]
mod local;
mod mls;
mod node_ops;
mod notes;
mod room;
mod signed;
mod wire;

use std::cell::RefCell;
use std::panic::{self, UnwindSafe};

/// One target.
pub struct Target {
    /// Its name: of its libFuzzer binary and of its folder of seeds.
    pub name: &'static str,
    /// What it does with bytes.
    pub run: fn(&[u8]),
    /// How many mutations of its seeds the workspace's test tries; the slow ones are simulations.
    pub rounds: usize,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "wire", run: wire::run, rounds: 4_000 },
    Target { name: "link", run: link::run, rounds: 1_000 },
    Target { name: "codes", run: codes::run, rounds: 4_000 },
    Target { name: "signed", run: signed::run, rounds: 4_000 },
    #[cfg(feature = "shell")]
    Target { name: "local", run: local::run, rounds: 6_000 },
    #[cfg(feature = "shell")]
    Target { name: "picture", run: local::picture, rounds: 60 },
    Target { name: "mls", run: mls::run, rounds: 800 },
    Target { name: "room", run: room::run, rounds: 150 },
    Target { name: "quarantine", run: notes::run, rounds: 300 },
    Target { name: "node_ops", run: node_ops::run, rounds: 20 },
];

/// Runs a target by its name: for libFuzzer's binaries.
#[allow(dead_code, reason = "the workspace's test takes the targets from the list")]
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target exists");
    (target.run)(data);
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Lets code catch its own panics, as it does in production: the notes' quarantine, the adoption of changes and the picture reader guard
/// a library that panics on foreign bytes. libFuzzer's own hook ends the process at the first panic, caught or not. Here it is kept,
/// and shown by [`guarded`] if nobody caught it.
#[allow(dead_code, reason = "the workspace's test keeps the hook of its harness")]
pub fn keep_panics() {
    panic::set_hook(Box::new(|info| LAST_PANIC.with_borrow_mut(|last| *last = info.to_string())));
}

/// Runs a target after [`keep_panics`]: a panic that comes out of it is told, and goes on.
pub fn guarded(run: impl FnOnce() + UnwindSafe) {
    if let Err(escaped) = panic::catch_unwind(run) {
        LAST_PANIC.with_borrow(|last| eprintln!("{last}"));
        panic::resume_unwind(escaped);
    }
}

/// The input as a list of choices; past its end every choice is 0 and [`is_over`](Choices::is_over) holds.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let taken = self.take(N);
        bytes[..taken.len()].copy_from_slice(taken);
        bytes
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// At most so many bytes.
    fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// As many bytes as the next two say.
    fn sized(&mut self) -> &'a [u8] {
        let length = usize::from(self.short());
        self.take(length)
    }

    fn rest(&mut self) -> &'a [u8] {
        self.take(self.0.len())
    }

    /// Bytes changed as the choices say: up to seven places, and perhaps the end.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(8) {
            let (at, change) = (usize::from(self.short()), self.byte());
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= change;
            }
        }
        match self.below(8) {
            0 => bytes.truncate(usize::from(self.short())),
            1 => bytes.extend_from_slice(self.sized()),
            _ => {}
        }
    }
}
