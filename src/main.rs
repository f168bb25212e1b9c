//! The one binary.

#[global_allocator]
static ALLOCATOR: alcove::shell::hardening::Allocator = alcove::shell::hardening::ALLOCATOR;

fn main() {}
