//! The targets, for libFuzzer.
pub mod targets;
