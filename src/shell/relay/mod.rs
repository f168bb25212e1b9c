//! The blind relay, both ends: `alcove relay` keeps sealed blobs of one size for hours, and the device's client puts and reads them.
//!
//! A mailbox is a write name; whoever knows it may put. Only who shows the read key that hashes to it may read. A blob is withdrawn only
//! by who shows the key that hashes to its delete hash. The relay has no other notion of who anybody is.
//!
//! Downwards: [`Relay`] and its `http` and `socket` paths; `hub` (who reads what) and `store` (one writer thread over `mailbox`
//! and `disk`); `message` (the bytes both ends agree on); `listener`, `tls`, `stream`, `address` (connections). [`RelayClient`] and
//! [`fetch_pack`] are the device's side.

mod address;
mod args;
mod client;
mod conversation;
mod disk;
mod hex;
mod http;
mod hub;
mod listener;
mod mailbox;
pub mod message;
mod meter;
mod pack;
mod server;
mod socket;
mod store;
mod stream;
mod tls;

pub use address::{AddressInvalid, ConnectError, RelayAddress};
pub use args::{Args, run};
pub use client::{Pace, RelayClient, RelayState};
pub use disk::DiskError;
pub use mailbox::Limits;
pub use meter::Meter;
pub use pack::{FetchError, PACK_BYTES_MAX, fetch_pack};
pub use server::{Options, Relay, RelayError};
pub use store::HourClock;
pub use tls::{Identity, IdentityError, Pin};
