//! Scenarios and checkers over the deterministic core: phones that run the real [`alcove::proto::node::Node`], a virtual network
//! between them, virtual time, and faults on demand. Same seed, same bytes.

pub mod checker;
pub mod disk;
pub mod failure;
pub mod hostile;
pub mod intruder;
pub mod linker;
pub mod network;
pub mod onlooker;
pub mod phone;
pub mod radio;
pub mod relay;
pub mod scenario;
pub mod schedule;
pub mod twelve;
