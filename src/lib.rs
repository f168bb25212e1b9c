//! Alcove: the quiet recess in a busy room.
//!
//! [`proto`] is the deterministic core (no I/O, clock, thread or global), [`model`] is plain data. With the feature `shell`
//! come the world outside (`shell`) and the programs made of both (`app`).
#![warn(missing_docs)]

pub mod model;
pub mod proto;

#[cfg(feature = "shell")]
pub mod app;
#[cfg(feature = "shell")]
pub mod shell;
