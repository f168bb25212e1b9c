//! The links of a radio between two ids: none lives on, none is opened beside another, and nobody knows the device again by what it gave.

mod dial;
mod gap;
mod mark;
