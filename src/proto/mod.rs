//! The deterministic core: a [`node::Node`] turns inputs into outputs, and nothing else happens.
//!
//! Laws: no I/O, clock, entropy, thread, async or global; the same seed and the same inputs give the same outputs, byte for byte.
//! Layers point down only: `node` knows the parts, parts know `wire` and the words below, siblings never import each other.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

// Layer 0: words everybody uses.
pub mod config;
pub mod error;
pub mod id;
pub mod io;
pub mod rng;
pub mod scheme;
pub mod secret;
pub mod shelf;
pub mod time;

// Layer 1: bytes, and what a part is given.
pub mod cx;
pub mod wire;

// Layer 2: the parts. Siblings never import each other.
pub mod board;
pub mod handoff;
pub mod job;
pub mod link;
pub mod mailbox;
pub mod mesh;
pub mod notes;
pub mod presence;
pub mod talk;

// Layer 3: the only place that knows all the parts.
pub mod node;
