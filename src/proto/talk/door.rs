//! A one-time X25519 key through which strangers hand in one sealed message (HPKE, RFC 9180, base mode), and its public half.
//!
//! Law: only the door's owner can read what was handed in; the parcel's label is derived from the public half, so that whoever knows
//! the door can recognise (not read) what goes to it.

use crate::proto::rng::Rng;
use crate::proto::secret::{Key, hash};
use crate::proto::wire::parcel::ParcelKeys;
use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable, single_shot_open, single_shot_seal_with_rng};
use rand_core::RngCore;
use serde::{Deserialize, Serialize};
use std::convert::Infallible;

const INFO: &[u8] = b"alcove/1 door";
const ENCAPPED_BYTES: usize = 32;

/// The secret half.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Door {
    secret: Key,
    public: [u8; 32],
}

impl Door {
    /// A fresh door.
    pub fn new(rng: &mut Rng) -> Door {
        Door::from_seed(&Key(rng.bytes()))
    }

    /// The door that everybody who knows the seed computes (DeriveKeyPair of RFC 9180, section 7.1.3).
    pub fn from_seed(seed: &Key) -> Door {
        let (secret, public) = X25519HkdfSha256::derive_keypair(&seed.0);
        Door { secret: Key(secret.to_bytes().into()), public: public.to_bytes().into() }
    }

    /// The door of this X25519 private key; `None` if it is none.
    pub fn from_secret(secret: Key) -> Option<Door> {
        let private = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&secret.0).ok()?;
        let public = X25519HkdfSha256::sk_to_pk(&private).to_bytes().into();
        Some(Door { secret, public })
    }

    /// The public half.
    pub fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Reads what was handed in; `None` if it was not for this door or is damaged.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let (encapped, ciphertext) = sealed.split_at_checked(ENCAPPED_BYTES)?;
        let secret = <X25519HkdfSha256 as Kem>::PrivateKey::from_bytes(&self.secret.0).ok()?;
        let encapped = <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapped).ok()?;
        let mode = OpModeR::Base;
        single_shot_open::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(&mode, &secret, &encapped, INFO, ciphertext, &[]).ok()
    }
}

/// Seals a message for the owner of the door; `None` if `public` is no X25519 key that anything can be sealed to.
pub fn seal(rng: &mut Rng, public: &[u8; 32], message: &[u8]) -> Option<Vec<u8>> {
    let key = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).ok()?;
    let mut chance = Chance(rng);
    let (encapped, ciphertext) = single_shot_seal_with_rng::<ChaCha20Poly1305, HkdfSha256, X25519HkdfSha256>(
        &OpModeS::Base,
        &key,
        INFO,
        message,
        &[],
        &mut chance,
    )
    .ok()?;
    Some([&encapped.to_bytes()[..], &ciphertext].concat())
}

/// The parcel keys of whatever goes to this door.
pub fn parcel_keys(public: &[u8; 32]) -> ParcelKeys {
    ParcelKeys::new(&Key(hash("alcove/1 door parcels", &[public])))
}

/// Our chance in the shape of the trait that `hpke` asks for.
struct Chance<'a>(&'a mut Rng);

impl hpke::rand_core::TryRng for Chance<'_> {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl hpke::rand_core::TryCryptoRng for Chance<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_of_the_door_reads_what_was_handed_in() {
        let rng = &mut Rng::new([1; 32]);
        let (mine, other) = (Door::new(rng), Door::new(rng));
        let sealed = seal(rng, &mine.public(), b"a seat, please").unwrap();
        assert_eq!(mine.open(&sealed), Some(b"a seat, please".to_vec()));
        assert_eq!(other.open(&sealed), None);
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert_eq!(mine.open(&changed), None);
        }
        assert_eq!(mine.open(&sealed[..20]), None);
        assert!(seal(rng, &[0; 32], b"x").is_none(), "the all-zero point gives no secret");
    }
}
