//! The relay over real sockets on the loopback: what it promises to readers, to writers and to those who are neither.
#![cfg(feature = "shell")]

mod client;
mod crowd;
mod server;
mod store;
mod tls;
mod world;
