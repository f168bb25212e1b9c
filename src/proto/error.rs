//! Errors by who must act: [`Refused`] by the user, [`Fault`] by nobody here (a peer is at fault), [`Corrupt`] by whoever keeps the disk.

use thiserror::Error;

/// Why a command of the user was not carried out. Each variant is one sentence on the screen that says what to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Refused {
    /// No event pack has been joined.
    #[error("join an event first")]
    NoEvent,
    /// The event pack is damaged, foreign or not signed.
    #[error("this event pack is damaged or not signed: ask the organizer for a fresh one")]
    PackInvalid,
    /// The event is over.
    #[error("this event is over")]
    EventOver,
    /// Another event is joined and talks of it are still there.
    #[error("close or leave your talks of the other event first")]
    OtherEvent,
    /// No talk with this name.
    #[error("there is no such talk on this device")]
    UnknownTalk,
    /// No card with this name on the board.
    #[error("this card is not on the board (any more)")]
    UnknownCard,
    /// The card is ours.
    #[error("this is your own card")]
    OwnCard,
    /// We sit in this talk already.
    #[error("you have a seat in this talk already")]
    SeatTaken,
    /// Every seat is taken.
    #[error("every seat in this talk is taken")]
    Full,
    /// The talk's room is not open (yet).
    #[error("the room is not open: it opens when enough people have taken a seat")]
    NotOpen,
    /// We have voted to close, which ends our own writing.
    #[error("you have agreed to close this talk and can write no more in it")]
    Closing,
    /// The talk was founded anew with fewer people than it promised.
    #[error("fewer people are left than this talk needs: it can only be read")]
    ReadOnly,
    /// A vote to close is not open.
    #[error("nobody has proposed to close this talk")]
    NoProposal,
    /// Text or number outside its bounds.
    #[error("that is too long, empty or out of range")]
    OutOfRange,
    /// Too many of these at once.
    #[error("there are too many of these already: end one first")]
    TooMany,
    /// Not a code of ours.
    #[error("this is not an Alcove code")]
    NotACode,
    /// The code's time is over.
    #[error("this code has expired: ask for the one that is on the screen now")]
    CodeExpired,
    /// The code belongs to another event.
    #[error("this code belongs to another event")]
    CodeOfOtherEvent,
    /// Nobody waits to be admitted there.
    #[error("nobody is waiting there")]
    NobodyWaits,
    /// No seat with this name in the talk.
    #[error("there is no such seat in this talk")]
    UnknownSeat,
    /// Only the chair may ask for this.
    #[error("only the one who chairs this talk can do that")]
    NotChair,
    /// The key is of another event.
    #[error("this key is not the organizer's of this event: take the organizer.key that signed its pack")]
    NotOrganizer,
    /// LAN and radio are off, so that nobody who scans the code could reach us.
    #[error("switch the local network or Bluetooth on first: whoever scans the code must reach you")]
    NoLan,
}

/// A peer sent nonsense. Counted, its link closed; never a panic, never an error for the caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Fault {
    /// Bytes that do not parse.
    #[error("malformed {0}")]
    Malformed(&'static str),
    /// A signature or seal that does not verify.
    #[error("forged {0}")]
    Forged(&'static str),
    /// More than the bound allows.
    #[error("too much of {0}")]
    TooMuch(&'static str),
    /// A valid thing at the wrong time or from the wrong place.
    #[error("{0} out of place")]
    OutOfPlace(&'static str),
}

/// One of our own records cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("the record {name} is damaged and was set aside")]
pub struct Corrupt {
    /// Which.
    pub name: String,
}
