//! One talk from its card to its end: seats and quorum, the room, its log, who sits where, and the close.

pub mod beacon;
pub mod close;
pub mod door;
pub mod entry;
pub mod group;
pub mod persona;
pub mod room;
pub mod roster;
pub mod seats;
pub mod succession;
