//! Keeps secrets out of what is written down about this process: no core dumps, no tracing by others, freed memory wiped, no words of
//! anybody in what a panic says or on the stack.
//!
//! It does not lock memory: swap must be off or encrypted with a throw-away key, and hibernation off.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::alloc::System;
use std::io::{self, Write};
use zeroizing_alloc::ZeroAlloc;

/// The system's allocator that overwrites each block with zeros when it is freed or moved: the only way to reach the copies that
/// libraries make of texts and keys.
pub type Allocator = ZeroAlloc<System>;

/// The value for the `#[global_allocator]` of a program.
pub const ALLOCATOR: Allocator = ZeroAlloc(System);

/// Forbids core dumps and reading of this process's memory by other processes of the same user, for good. Call it first in `main`.
///
/// # Errors
/// What the system said; the program should then end, since its promise does not hold.
pub fn harden() -> io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// From here on a panic says where, and not what: its message may hold somebody's words, as that of a text cut in the midst of a
/// character does, and standard error may be a log.
pub fn hush_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        // Nobody is there to be told if it cannot be written.
        let _ = writeln!(io::stderr(), "A defect of Alcove at {place}, please report it.");
    }));
}

/// More than the deepest of our calls takes, and a quarter of a thread's stack.
const STACK_BYTES: usize = 512 * 1024;

/// Overwrites what finished calls have left on this thread's stack: ciphers and hashes work on blocks there, and the texts of the notes
/// up to 23 bytes lie in their values and not on the heap. Call it from as shallow a place as there is.
#[inline(never)]
pub fn wipe_stack() {
    let mut block = [0u8; STACK_BYTES];
    std::hint::black_box(&mut block);
}
