//! The firmware of a table's beacon: a small battery device under a conference table.
//!
//! It shows by radio which table it is, to the people of the event and to nobody else, under a name that is never used twice; and it
//! carries a few parcels from those who were here to those who come later, without being able to read one.
//!
//! Laws: all time, chance, flash and radio come in through [`Hardware`]; the state has one fixed size ([`STATE_BYTES_MAX`]), and only
//! `snow` uses a heap, for [`config::LINKS_MAX`] links at most; foreign bytes never panic; nothing of what is carried is opened. It does
//! not know what time it is, takes no part in talks, and never connects to anybody.
//!
//! The loop of a board, whole:
//!
//! ```
//! use table_beacon::{Beacon, Hardware, Input, Table};
//!
//! fn run(hardware: &mut impl Hardware, table: Table, mut sleep_until: impl FnMut(u64) -> Input<'static>) -> ! {
//!     let mut beacon = Beacon::power_up(hardware, table);
//!     loop {
//!         // Woken by the radio or by the clock, whichever is first.
//!         let input = sleep_until(beacon.wake_at());
//!         beacon.handle(hardware, input);
//!     }
//! }
//! ```
#![no_std]

extern crate alloc;
#[cfg(any(test, feature = "board"))]
extern crate std;

mod allowance;
mod beacon;
#[cfg(any(test, feature = "board"))]
pub mod board;
pub mod config;
mod counter;
mod hardware;
mod link;
mod parcel;
mod reader;
mod secret;
mod store;
mod table;
#[cfg(any(test, feature = "board"))]
pub mod visitor;

#[cfg(test)]
mod laws;

pub use beacon::{Beacon, Input};
pub use hardware::Hardware;
pub use table::{FLASH_BYTES, Table};

/// All of a beacon's state but what `snow` keeps of its links on the heap.
pub const STATE_BYTES_MAX: usize = 8 * 1024;
const _: () = assert!(size_of::<Beacon>() <= STATE_BYTES_MAX);

/// Somebody sent what nobody of the event sends: the link is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Broken;
