//! The world outside: vault, LAN, relay, pictures of codes, the loop that drives the node.

pub mod hardening;
pub mod keystore;
pub mod lan;
pub mod picture;
pub mod relay;
pub mod vault;
