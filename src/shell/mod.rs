//! The world outside: vault, LAN, Bluetooth, relay, pictures of codes, the loop that drives the node.

pub mod ble;
pub mod clock;
pub mod driver;
pub mod hardening;
pub mod keystore;
pub mod lan;
pub mod picture;
pub mod queue;
pub mod relay;
pub mod vault;
pub mod worker;
