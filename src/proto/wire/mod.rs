//! Bytes to values and back: adverts, cells and frames of one link, parcels of the mesh, messages over several parcels.
//!
//! Law: decoding is total and capped; what does not parse is a [`super::error::Fault`], never a panic.

pub mod advert;
pub mod frame;
pub mod message;
pub mod parcel;
pub mod table_advert;

use super::error::Fault;
use serde::{Serialize, de::DeserializeOwned};

/// A value as bytes (postcard wire format 1.0).
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("our own values hold nothing that postcard cannot write")
}

/// A value from bytes that must be used up to the last; `what` names it in the fault.
///
/// Allocation is bounded by the input: postcard reads lengths but grows collections only as their elements arrive.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], what: &'static str) -> Result<T, Fault> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        _ => Err(Fault::Malformed(what)),
    }
}
