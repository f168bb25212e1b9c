//! Keeps secrets out of what the system writes down about this process: no core dumps, no tracing by others, freed memory wiped.
//!
//! It does not lock memory: swap must be off or encrypted with a throw-away key, and hibernation off.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use std::alloc::System;
use std::io;
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
