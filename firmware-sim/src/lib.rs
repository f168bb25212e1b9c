//! Scenarios and checkers over the deterministic core.
