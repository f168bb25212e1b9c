//! The organizer's keys: one root secret, from which everything that signs or opens in the organizer's name is derived.
//!
//! Laws: it is never printed and wiped when dropped; the same root gives the same event, so that a pack can be made anew (a table more,
//! a relay elsewhere) and stays the same event with the same board. It never leaves the organizer: a kiosk gets its own key only.

use crate::proto::rng::Rng;
use crate::proto::secret::{Key, hash};
use ed25519_dalek::SigningKey;
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// The organizer's root secret.
#[derive(Clone, PartialEq, Eq)]
pub struct OrganizerKeys(Key);

/// Why a key file cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeysError {
    /// Something else.
    #[error("this is not an organizer's key file")]
    Foreign,
    /// Made by a later Alcove.
    #[error("this key file was made by a newer Alcove: update this one")]
    UnsupportedVersion,
    /// Cut or altered.
    #[error("this key file is damaged: use your copy of it")]
    Damaged,
}

const MAGIC: &[u8; 4] = b"ALCK";
const VERSION: u8 = 1;
/// Magic, version, check, root.
const FILE_BYTES: usize = 4 + 1 + 4 + 32;

impl OrganizerKeys {
    /// The keys of a new event.
    pub fn new(rng: &mut Rng) -> OrganizerKeys {
        OrganizerKeys(Key(rng.bytes()))
    }

    /// Signs packs; the event's id is a hash of its public half.
    pub fn signing_key(&self) -> SigningKey {
        SigningKey::from_bytes(&self.0.derive("alcove/1 organizer signing", &[]).0)
    }

    /// X25519 private key that opens reports.
    pub fn report_secret(&self) -> Key {
        self.0.derive("alcove/1 organizer report", &[])
    }

    /// The public half of [`OrganizerKeys::report_secret`], for the pack.
    pub fn report_key(&self) -> [u8; 32] {
        PublicKey::from(&StaticSecret::from(self.report_secret().0)).to_bytes()
    }

    /// The key that all attendees read and write the board with.
    pub fn board_key(&self) -> Key {
        self.0.derive("alcove/1 event board", &[])
    }

    /// The key that wraps what goes to the relay.
    pub fn relay_key(&self) -> Key {
        self.0.derive("alcove/1 event relay", &[])
    }

    /// The Ed25519 private key of a kiosk, counted from 0.
    pub fn kiosk_secret(&self, kiosk: u16) -> Key {
        self.0.derive("alcove/1 event kiosk", &kiosk.to_be_bytes())
    }

    /// The public half of [`OrganizerKeys::kiosk_secret`], for the pack.
    pub fn kiosk_key(&self, kiosk: u16) -> [u8; 32] {
        SigningKey::from_bytes(&self.kiosk_secret(kiosk).0).verifying_key().to_bytes()
    }

    /// As a file: `ALCK` ‖ version ‖ check 4 ‖ root 32. Whoever holds it is the organizer.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new([&MAGIC[..], &[VERSION], &check(&self.0), &self.0.0].concat())
    }

    /// Reads what [`OrganizerKeys::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`KeysError`]: what is wrong with the file.
    pub fn from_bytes(bytes: &[u8]) -> Result<OrganizerKeys, KeysError> {
        let Some((MAGIC, rest)) = bytes.split_first_chunk() else { return Err(KeysError::Foreign) };
        match rest.split_first() {
            Some((&VERSION, _)) if bytes.len() == FILE_BYTES => {}
            Some((&VERSION, _)) | None => return Err(KeysError::Damaged),
            Some(_) => return Err(KeysError::UnsupportedVersion),
        }
        let root = bytes.last_chunk().map(|root| Key(*root)).ok_or(KeysError::Damaged)?;
        let keys = OrganizerKeys(root);
        if *keys.to_bytes() == bytes { Ok(keys) } else { Err(KeysError::Damaged) }
    }
}

/// Against a damaged copy. 32 bits of a hash of 256 random ones help nobody to guess them.
fn check(root: &Key) -> [u8; 4] {
    let [a, b, c, d, ..] = hash("alcove/1 organizer key check", &[&root.0]);
    [a, b, c, d]
}

impl fmt::Debug for OrganizerKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OrganizerKeys(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_gives_the_keys_back_and_a_damaged_one_says_so() {
        let keys = OrganizerKeys::new(&mut Rng::new([1; 32]));
        let file = keys.to_bytes();
        assert_eq!(OrganizerKeys::from_bytes(&file), Ok(keys));
        for at in 0..file.len() {
            let mut damaged = file.to_vec();
            damaged[at] ^= 0x10;
            let expected = match at {
                0..4 => KeysError::Foreign,
                4 => KeysError::UnsupportedVersion,
                _ => KeysError::Damaged,
            };
            assert_eq!(OrganizerKeys::from_bytes(&damaged), Err(expected), "byte {at}");
            let cut = if at < 4 { KeysError::Foreign } else { KeysError::Damaged };
            assert_eq!(OrganizerKeys::from_bytes(&file[..at]), Err(cut), "cut at {at}");
        }
        assert_eq!(OrganizerKeys::from_bytes(&[&file[..], &[0]].concat()), Err(KeysError::Damaged));
    }

    #[test]
    fn every_purpose_has_its_own_key() {
        let keys = OrganizerKeys::new(&mut Rng::new([2; 32]));
        let all = [
            keys.signing_key().to_bytes(),
            keys.report_secret().0,
            keys.board_key().0,
            keys.relay_key().0,
            keys.kiosk_secret(0).0,
            keys.kiosk_secret(1).0,
        ];
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn the_keys_are_not_printed() {
        assert_eq!(format!("{:?}", OrganizerKeys::new(&mut Rng::new([3; 32]))), "OrganizerKeys(…)");
    }
}
