//! The linker: somebody who wants to know which id on the air follows which, and how much better than chance it does.
//!
//! A hall of phones that run the real node plays some hours ([`arena`]): they show ids, rotate, link up, reconcile, sit in talks. Two
//! watch. One hears every advert and sees the time and number of all cells on all links. The other is a neighbour: it holds the event's
//! key, opens a link to each id as soon as it shows, asks what it carries, and notes who brings which parcel when, in which crowd and
//! with which hop limit ([`sighting`]). From both, [`attack`] learns on the first half of the time what a device and its next id have
//! in common, as one does who brings devices of its own, and guesses in the second.
//!
//! Laws: the linker never reads the truth of what it is judged by; the same seed gives the same verdict; each protection can be taken
//! away ([`weakness`]) in what the watchers have noted, as if the product lacked it, and never in the product.
//!
//! What it does not use: the strength at which somebody is heard, and who is in whose range. A radio has a place, and no rotation hides
//! one that stands still; so everybody is in everybody's range.

pub mod arena;
pub mod attack;
pub mod feature;
mod people;
pub mod sighting;
pub mod weakness;

use alcove::proto::time::Duration;

/// What is played.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Of all chance.
    pub seed: u64,
    /// How many phones.
    pub devices: usize,
    /// How long.
    pub span: Duration,
    /// Talks of three to five.
    pub talks: usize,
}
