//! The linker: somebody who wants to know which id on the air follows which, and how much better than chance it does.
//!
//! A hall of phones that run the real node plays some hours ([`arena`]): they show ids, rotate, link up, reconcile, sit in talks. Two
//! watch. One hears every advert and sees the time and number of all cells on all links. The other is a neighbour: it holds the event's
//! key, opens a link to each id as soon as it shows, asks what it carries, and notes who brings which parcel when, in which crowd and
//! with which hop limit ([`sighting`]). From both, [`attack`] learns on the first half of the time what a device and its next id have
//! in common, as one does who brings devices of its own, and guesses in the second.
//!
//! Laws: the linker never reads the truth of what it is judged by; the same seed gives the same verdict; each protection can be taken
//! away ([`Weakness`]), in what the watchers see or in what the hall does, and never in the product.
//!
//! What it does not use: the strength at which somebody is heard, and who is in whose range. A radio has a place, and no rotation hides
//! one that stands still; so who hears whom is drawn anew with each id.

pub mod arena;
pub mod attack;
pub mod feature;
mod people;
pub mod sighting;

use alcove::proto::time::Duration;

/// A protection that is taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weakness {
    /// The address stays when the id is redrawn.
    AddressKept,
    /// The id stays when the address is redrawn.
    IdKept,
    /// An id is the one before it, plus one.
    IdCounted,
    /// The hint is the device's.
    HintKept,
    /// The advertising interval is the device's.
    IntervalKept,
    /// The next id shows at once.
    NoGap,
    /// The time for which an id shows is the device's.
    LifeKept,
    /// Links outlive the id under which they were opened.
    LinksKept,
    /// A parcel's first hop limit is the device's.
    HopsKept,
    /// What a device writes has the device's own size.
    SizeKept,
}

impl Weakness {
    /// All of them.
    pub const ALL: [Weakness; 10] = [
        Weakness::AddressKept,
        Weakness::IdKept,
        Weakness::IdCounted,
        Weakness::HintKept,
        Weakness::IntervalKept,
        Weakness::NoGap,
        Weakness::LifeKept,
        Weakness::LinksKept,
        Weakness::HopsKept,
        Weakness::SizeKept,
    ];
}

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
    /// What is taken away.
    pub weakness: Option<Weakness>,
}
