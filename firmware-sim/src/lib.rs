//! Scenarios and checkers over the deterministic core: phones that run the real [`alcove::proto::node::Node`], a virtual network
//! between them, virtual time, and faults on demand. Same seed, same bytes.

pub mod checker;
pub mod disk;
pub mod network;
pub mod onlooker;
pub mod relay;
pub mod scenario;
