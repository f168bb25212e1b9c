//! The world outside: vault, LAN, relay, pictures of codes, the loop that drives the node.

pub mod relay;
