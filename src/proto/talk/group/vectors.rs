//! Published vectors through our own provider: RFC 9420 (MLS), RFC 9180 (HPKE) and Wycheproof.
//!
//! Passive clients run OpenMLS itself over our [`Provider`](super::provider::Provider) and [`Store`](super::store::Store). The formulas
//! of the key schedule, the secret tree and the labels are OpenMLS's and not public: here they are written down again, in a few lines,
//! over the provider that OpenMLS computes them with. See `tests/vectors/README.md` for where each file comes from.

mod passive;
mod primitives;
mod schedule;

use serde_json::Value;

/// The vectors of one file: a list.
fn list(json: &str) -> Vec<Value> {
    serde_json::from_str(json).expect("the committed file is a JSON list")
}

/// A field in hex.
fn hex(vector: &Value, name: &str) -> Vec<u8> {
    unhex(vector[name].as_str().unwrap_or_else(|| panic!("the field {name} is there")))
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits");
    (0..text.len()).step_by(2).map(digits).collect()
}

/// The bytes with one bit changed.
fn flipped(bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    changed
}
