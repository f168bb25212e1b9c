//! Names of things: newtypes over counters and random or hashed bytes, printed as short hex.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! bytes_id {
    ($($(#[$doc:meta])* $name:ident[$len:literal];)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Reads the id back from its hex form; `None` if it is not exactly that.
            pub fn from_hex(text: &str) -> Option<Self> {
                let digits = text.as_bytes();
                if digits.len() != 2 * $len {
                    return None;
                }
                let mut bytes = [0; $len];
                for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
                    let high = char::from(pair[0]).to_digit(16)?;
                    let low = char::from(pair[1]).to_digit(16)?;
                    *byte = (high * 16 + low) as u8;
                }
                Some(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(", stringify!($name))?;
                self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("…)")
            }
        }
    )*};
}

bytes_id! {
    /// This device's own name for one talk: random, never on the wire, the same for nobody else.
    TalkId[16];
    /// A card on the event's board: hash of its one-time signing key.
    CardId[16];
    /// A seat in one talk: 16 random bytes, the MLS credential, used for this talk only.
    SeatId[16];
    /// An event: hash of its organizer's signing key.
    EventId[16];
    /// A parcel: hash of its expiry and body.
    ParcelId[16];
    /// The address at the relay to which anybody who knows it may write: hash of the mailbox's read key.
    WriteName[16];
    /// An item of the notes' agenda or action list: 8 random bytes drawn by whoever adds it.
    ItemId[8];
    /// How a device calls itself on the radio until it rotates: random, in memory only.
    EphemeralId[6];
}

/// One hop to a neighbour, numbered by the shell; never used twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct LinkId(pub u64);

/// Where something came from, as far as fairness needs to know. A neighbour is a place and not a link: whoever breaks a link and comes
/// back does not begin anew.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Source {
    /// This device made it.
    Here,
    /// The relay.
    Relay,
    /// A neighbour at this place.
    Neighbour(u32),
}

/// One piece of heavy or hostile work handed out by the node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct JobId(pub u64);

/// One blob on its way to the relay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct PutId(pub u64);

/// One request to open a direct link, so that the link that comes of it can be told from others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
pub struct DialId(pub u64);
