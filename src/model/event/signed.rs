//! The signed event pack: bytes that only the organizer can have made, and their reading.
//!
//! Laws: reading is total and capped; it checks in this order, so that each defect has its own sentence: kind, version, size, damage,
//! signature, bounds. What was read is passed on byte for byte. It does not ask a clock: whether the event is over is asked separately.
//!
//! `ALCP` ‖ version 1 ‖ check 4 ‖ organizer's Ed25519 public key 32 ‖ signature 64 ‖ the pack in postcard.

use super::{EventPack, OrganizerKeys, OutOfBounds};
use crate::proto::error::Refused;
use crate::proto::id::EventId;
use crate::proto::secret::{hash, hash16, is_signed_by};
use crate::proto::time::WallTime;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use std::fmt;

/// The largest pack: 5,000 tables with short zone names and room to spare.
pub const PACK_BYTES_MAX: usize = 256 * 1024;

const MAGIC: &[u8; 4] = b"ALCP";
const VERSION: u8 = 1;

/// Why a pack cannot be used. Each is one sentence for a person.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PackError {
    /// Something else.
    #[error("this is not an event pack")]
    Foreign,
    /// Made by a later Alcove.
    #[error("this event pack was made by a newer Alcove: update this one")]
    UnsupportedVersion,
    /// More than [`PACK_BYTES_MAX`].
    #[error("this event pack is larger than 256 KiB: use fewer tables or shorter names")]
    TooLarge,
    /// Cut or altered by accident.
    #[error("this event pack is damaged: get it again")]
    Damaged,
    /// Not signed by the organizer whom it names.
    #[error("this event pack is not signed by the organizer whom it names: somebody has altered it, do not use it")]
    SignatureWrong,
    /// Signed, but against the rules.
    #[error("this event pack breaks a rule ({0}): ask the organizer for a fresh one")]
    OutOfBounds(OutOfBounds),
    /// The event's last day is over.
    #[error("this event is over")]
    Over,
    /// Not the pack that the code names.
    #[error("this is not the event pack that the code stands for: get it again, and if that does not help scan the code again")]
    NotTheOne,
    /// Not a code of an event.
    #[error("this is not the code of an event")]
    NotALink,
    /// Too large for one code, and nothing says where it could be fetched.
    #[error("this event pack is too large for one code: say with --at where it can be fetched, or give the event a relay")]
    NoAddress,
}

/// What the core tells a person of it, who holds a phone and not a file.
impl From<PackError> for Refused {
    fn from(error: PackError) -> Refused {
        match error {
            PackError::Over => Refused::EventOver,
            PackError::NotALink => Refused::NotACode,
            PackError::Foreign
            | PackError::UnsupportedVersion
            | PackError::TooLarge
            | PackError::Damaged
            | PackError::SignatureWrong
            | PackError::OutOfBounds(_)
            | PackError::NotTheOne
            | PackError::NoAddress => Refused::PackInvalid,
        }
    }
}

/// A pack with a valid signature and every field within its bounds.
#[derive(Clone, PartialEq)]
pub struct SignedPack {
    pack: EventPack,
    organizer: [u8; 32],
    bytes: Vec<u8>,
}

impl SignedPack {
    /// Signs a pack.
    ///
    /// # Errors
    /// [`PackError::OutOfBounds`] and [`PackError::TooLarge`]: the organizer must describe the event otherwise.
    pub fn sign(pack: EventPack, keys: &OrganizerKeys) -> Result<SignedPack, PackError> {
        pack.check().map_err(PackError::OutOfBounds)?;
        let payload = postcard::to_stdvec(&pack).expect("every field of a pack has a postcard form, and memory grows");
        let key = keys.signing_key();
        let organizer = key.verifying_key().to_bytes();
        let signature = key.sign(&signed_hash(&organizer, &payload)).to_bytes();
        let check = check(&organizer, &signature, &payload);
        let bytes = [&MAGIC[..], &[VERSION], &check, &organizer, &signature, &payload].concat();
        if bytes.len() > PACK_BYTES_MAX {
            return Err(PackError::TooLarge);
        }
        Ok(SignedPack { pack, organizer, bytes })
    }

    /// Reads a pack from foreign bytes.
    ///
    /// # Errors
    /// [`PackError::Foreign`], [`PackError::UnsupportedVersion`], [`PackError::TooLarge`], [`PackError::Damaged`],
    /// [`PackError::SignatureWrong`] or [`PackError::OutOfBounds`].
    pub fn decode(bytes: &[u8]) -> Result<SignedPack, PackError> {
        let Some((MAGIC, rest)) = bytes.split_first_chunk() else { return Err(PackError::Foreign) };
        let rest = match rest.split_first() {
            Some((&VERSION, rest)) => rest,
            Some(_) => return Err(PackError::UnsupportedVersion),
            None => return Err(PackError::Damaged),
        };
        if bytes.len() > PACK_BYTES_MAX {
            return Err(PackError::TooLarge);
        }
        let (expected, rest) = rest.split_first_chunk::<4>().ok_or(PackError::Damaged)?;
        let (organizer, rest) = rest.split_first_chunk::<32>().ok_or(PackError::Damaged)?;
        let (signature, payload) = rest.split_first_chunk::<64>().ok_or(PackError::Damaged)?;
        if check(organizer, signature, payload) != *expected {
            return Err(PackError::Damaged);
        }
        if !is_signed_by(organizer, &signed_hash(organizer, payload), signature) {
            return Err(PackError::SignatureWrong);
        }
        let unreadable = PackError::OutOfBounds(OutOfBounds { field: "contents", rule: "readable" });
        let Ok((pack, [])) = postcard::take_from_bytes::<EventPack>(payload) else { return Err(unreadable) };
        pack.check().map_err(PackError::OutOfBounds)?;
        Ok(SignedPack { pack, organizer: *organizer, bytes: bytes.to_vec() })
    }

    /// Reads a pack that is to be joined now.
    ///
    /// # Errors
    /// As [`SignedPack::decode`], and [`PackError::Over`].
    pub fn decode_at(bytes: &[u8], wall: WallTime) -> Result<SignedPack, PackError> {
        let signed = SignedPack::decode(bytes)?;
        if signed.pack.is_over(wall) { Err(PackError::Over) } else { Ok(signed) }
    }

    /// What the organizer signed.
    pub fn pack(&self) -> &EventPack {
        &self.pack
    }

    /// The organizer's Ed25519 public key.
    pub fn organizer(&self) -> [u8; 32] {
        self.organizer
    }

    /// Which event it is: the same for every pack of the same organizer's key.
    pub fn event(&self) -> EventId {
        EventId(hash16("alcove/1 event", &[&self.organizer]))
    }

    /// As it was signed.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256 of [`SignedPack::bytes`]: what a code names when the pack does not fit.
    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.bytes).into()
    }

    /// Whether the last day is over.
    pub fn is_over(&self, wall: WallTime) -> bool {
        self.pack.is_over(wall)
    }
}

/// The bytes hold the event's shared keys.
impl fmt::Debug for SignedPack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedPack({:?}, {} …)", self.pack.name, self.event())
    }
}

fn signed_hash(organizer: &[u8; 32], payload: &[u8]) -> [u8; 32] {
    hash("alcove/1 event pack", &[MAGIC, &[VERSION], organizer, payload])
}

/// Tells an accident from an attack: anybody can compute it.
fn check(organizer: &[u8; 32], signature: &[u8; 64], payload: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = hash("alcove/1 event pack check", &[organizer, signature, payload]);
    [a, b, c, d]
}
