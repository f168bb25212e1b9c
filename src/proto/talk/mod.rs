//! A talk: the short-lived private room of a few seats, from the first seat taken to the last key destroyed.

pub mod group;
