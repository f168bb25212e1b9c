//! A small parcel as it lies on a link. What is in it is for others: only its first two bytes are looked at.
//!
//! Layout: `flags 1 | crowd and hop limit 4 + 4 bits | expiry 4 | label 8 | nonce 12 | sealed`.

use crate::config::PARCEL_BYTES;
use crate::secret::hash;

const VERSION: u8 = 0x10;
const EPHEMERAL: u8 = 0x01;
const HOPS: u8 = 0x0f;
/// The largest crowd.
pub(crate) const CROWD_MAX: u8 = 15;

/// A small parcel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parcel([u8; PARCEL_BYTES]);

impl Parcel {
    /// `None` if it is of another version.
    pub(crate) fn decode(bytes: [u8; PARCEL_BYTES]) -> Option<Parcel> {
        (bytes[0] & !EPHEMERAL == VERSION).then_some(Parcel(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; PARCEL_BYTES] {
        &self.0
    }

    /// A hash of all but the hop limit and the crowd.
    pub(crate) fn id(&self) -> [u8; 16] {
        let mut id = [0; 16];
        id.copy_from_slice(&hash("alcove/1 parcel", &[&self.0[..1], &self.0[2..]])[..16]);
        id
    }

    /// Passed on and never carried.
    pub(crate) fn is_ephemeral(&self) -> bool {
        self.0[0] & EPHEMERAL != 0
    }

    pub(crate) fn crowd(&self) -> u8 {
        self.0[1] >> 4
    }

    pub(crate) fn in_crowd(mut self, crowd: u8) -> Parcel {
        self.0[1] = crowd.min(CROWD_MAX) << 4 | self.0[1] & HOPS;
        self
    }

    /// The same one hop on; `None` when its hop limit is used up.
    pub(crate) fn next_hop(mut self) -> Option<Parcel> {
        let hops = (self.0[1] & HOPS).checked_sub(1)?;
        self.0[1] = self.0[1] & !HOPS | hops;
        Some(self)
    }
}
