//! Alcove's windows: the generated code of the `.slint` files, and nothing that knows what a talk is. The app fills the globals with plain
//! values and listens to their callbacks.

#![allow(missing_docs, clippy::all, clippy::pedantic)] // generated

slint::include_modules!();

pub use slint;
