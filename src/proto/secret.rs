//! Keys that vanish with their owner and what is done with them: derive (HKDF), label (HMAC), seal (AEAD); hashes, and the one check of a
//! signature. Every part of the core uses these and no others, so that the published vectors in `tests/vectors.rs` speak for all.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, XChaCha20Poly1305};
use ed25519_dalek::VerifyingKey;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher24;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// 32 secret bytes, wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// A key for one purpose: HKDF-SHA256 (RFC 5869) without salt, `info` = `purpose`, a zero byte, `context`.
    pub fn derive(&self, purpose: &str, context: &[u8]) -> Key {
        let mut okm = [0; 32];
        let info = [purpose.as_bytes(), &[0], context];
        Hkdf::<Sha256>::new(None, &self.0)
            .expand_multi_info(&info, &mut okm)
            .expect("32 bytes are a valid HKDF-SHA256 output length");
        Key(okm)
    }

    /// HMAC-SHA256 (RFC 2104) of the parts one after the other.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    }

    /// Whether `tag` is the first bytes of this key's HMAC of the parts, compared in constant time. An empty tag never is.
    pub fn verifies(&self, parts: &[&[u8]], tag: &[u8]) -> bool {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        parts.iter().for_each(|part| mac.update(part));
        mac.verify_truncated_left(tag).is_ok()
    }

    /// ChaCha20-Poly1305 (RFC 8439): ciphertext and 16-byte tag. A (key, nonce) pair must never come twice.
    pub fn seal(&self, nonce: &[u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        ChaCha20Poly1305::new((&self.0).into())
            .encrypt(nonce.into(), Payload { msg: plaintext, aad })
            .expect("in-memory plaintexts are below the AEAD's 256 GiB limit")
    }

    /// Opens what [`Key::seal`] made; `None` if one bit of key, nonce, aad or ciphertext differs.
    pub fn open(&self, nonce: &[u8; 12], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        ChaCha20Poly1305::new((&self.0).into()).decrypt(nonce.into(), Payload { msg: sealed, aad }).ok()
    }

    /// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a 24-byte nonce that may be drawn at random without counting.
    pub fn seal_x(&self, nonce: &[u8; 24], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
        XChaCha20Poly1305::new((&self.0).into())
            .encrypt(nonce.into(), Payload { msg: plaintext, aad })
            .expect("in-memory plaintexts are below the AEAD's 256 GiB limit")
    }

    /// Opens what [`Key::seal_x`] made.
    pub fn open_x(&self, nonce: &[u8; 24], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        XChaCha20Poly1305::new((&self.0).into()).decrypt(nonce.into(), Payload { msg: sealed, aad }).ok()
    }
}

/// Whether `key` signed this message: Ed25519 (RFC 8032) with the strict rules, by which neither a key nor a signature of small order
/// and no second form of a signature verifies.
pub fn is_signed_by(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature.into()).is_ok())
}

/// SHA-256 of a domain (zero-terminated) and the parts, each preceded by its length as 8 bytes little-endian, so that no two lists of
/// parts hash alike.
pub fn hash(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut sha = Sha256::new();
    sha.update(domain.as_bytes());
    sha.update([0]);
    for part in parts {
        sha.update((part.len() as u64).to_le_bytes());
        sha.update(part);
    }
    sha.finalize().into()
}

/// The first 16 bytes of [`hash`]: what ids are made of.
pub fn hash16(domain: &str, parts: &[&[u8]]) -> [u8; 16] {
    let digest = hash(domain, parts);
    let mut short = [0; 16];
    short.copy_from_slice(&digest[..16]);
    short
}

/// SipHash-2-4 (Aumasson, Bernstein 2012): a short hash under a key for ten thousand ids at a time, a tenth of what [`hash`] takes.
pub fn sip(key: &[u8; 16], bytes: &[u8]) -> u64 {
    SipHasher24::new_with_key(key).hash(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_hash_is_that_of_its_paper() {
        let key = std::array::from_fn(|place| place as u8);
        let message: [u8; 15] = std::array::from_fn(|place| place as u8);
        assert_eq!(sip(&key, &message), 0xa129_ca61_49be_45e5, "appendix A");
    }
}
