//! Handing a talk over at a table: the QR code that one shows and others scan, and the animated code for when no radio is on.
//!
//! Laws: a code is single use and names nobody; a photographed code gets nobody in.

pub mod ask;
pub mod code;
pub mod fountain;
pub mod table;
