//! Glue: the programs made of core and shell. No protocol decision here.

#[cfg(feature = "app")]
pub mod attendee;
pub mod event;
pub mod headless;
pub mod start;
pub mod tour;
