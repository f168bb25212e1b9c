//! The code of an event: the whole pack when it fits one QR code, else its hash and where to fetch it.
//!
//! Laws: what is fetched is accepted only if it hashes to what the code says, so the place it comes from need not be trusted with its
//! contents; the texts stay in QR's alphanumeric set.
//!
//! Inline: [`scheme`] with `P` and the pack. Fetched: [`scheme`] with `H` and SHA-256 32 ‖ whether there is a pin 1 ‖ pin 32 or 0 ‖
//! address.

use super::relay::{self, RelayAddress};
use super::signed::{PACK_BYTES_MAX, PackError, SignedPack};
use crate::proto::scheme;
use sha2::{Digest, Sha256};

/// The largest pack that goes into the code itself: version 29-M, 133 modules wide, which a phone reads from a poster.
pub const INLINE_BYTES_MAX: usize = 1_200;

const INLINE: &str = "P";
const FETCH: &str = "H";
/// More than any version 40 code holds.
const FETCH_BYTES_MAX: usize = 1_024;

/// What the code of an event says.
#[derive(Clone, PartialEq, Debug)]
pub enum PackLink {
    /// The pack itself.
    Inline(Box<SignedPack>),
    /// Where it is.
    Fetch {
        /// A relay of the event (`wss://…`, `ws://…`) or an `https` address.
        url: String,
        /// SHA-256 of the signed pack.
        sha256: [u8; 32],
        /// SHA-256 of the relay's certificate; `None` for `https`, whose host is a public one.
        tls_pin: Option<[u8; 32]>,
    },
}

impl SignedPack {
    /// The text of the event's code: the pack itself if it is small enough, else where its first relay is.
    ///
    /// # Errors
    /// [`PackError::NoAddress`]: too large, and there is no relay.
    pub fn to_link(&self) -> Result<String, PackError> {
        if self.bytes().len() <= INLINE_BYTES_MAX {
            return Ok(scheme::to_text(INLINE, self.bytes()));
        }
        let relay = self.pack().relays.first().ok_or(PackError::NoAddress)?;
        self.to_link_at(&relay.url, relay.tls_pin)
    }

    /// The text of a code that says where the pack is.
    ///
    /// # Errors
    /// [`PackError::NoAddress`]: that is neither a relay's address nor an `https` one.
    pub fn to_link_at(&self, url: &str, tls_pin: Option<[u8; 32]>) -> Result<String, PackError> {
        if !is_address(url, tls_pin) {
            return Err(PackError::NoAddress);
        }
        let pin = tls_pin.as_ref().map_or(&[][..], |pin| pin);
        Ok(scheme::to_text(FETCH, &[&self.sha256()[..], &[u8::from(tls_pin.is_some())], pin, url.as_bytes()].concat()))
    }
}

impl PackLink {
    /// Reads a scanned text.
    ///
    /// # Errors
    /// [`PackError::NotALink`]: another kind of text. If the pack is in the code, everything that [`SignedPack::decode`] finds.
    pub fn parse(text: &str) -> Result<PackLink, PackError> {
        if let Some(bytes) = scheme::from_text(INLINE, text, INLINE_BYTES_MAX) {
            return SignedPack::decode(&bytes).map(|signed| PackLink::Inline(Box::new(signed)));
        }
        scheme::from_text(FETCH, text, FETCH_BYTES_MAX).and_then(|bytes| fetch(&bytes)).ok_or(PackError::NotALink)
    }

    /// The pack that this code stands for, from the bytes that were fetched (none are needed if it is in the code).
    ///
    /// # Errors
    /// [`PackError::NotTheOne`]: another file; [`PackError::TooLarge`]: more than a pack can be; else as [`SignedPack::decode`].
    pub fn accept(&self, fetched: &[u8]) -> Result<SignedPack, PackError> {
        match self {
            PackLink::Inline(signed) => Ok(SignedPack::clone(signed)),
            PackLink::Fetch { .. } if fetched.len() > PACK_BYTES_MAX => Err(PackError::TooLarge),
            PackLink::Fetch { sha256, .. } if Sha256::digest(fetched)[..] != sha256[..] => Err(PackError::NotTheOne),
            PackLink::Fetch { .. } => SignedPack::decode(fetched),
        }
    }
}

fn fetch(bytes: &[u8]) -> Option<PackLink> {
    let (sha256, rest) = bytes.split_first_chunk::<32>()?;
    let (tls_pin, url) = match rest.split_first()? {
        (0, url) => (None, url),
        (1, rest) => rest.split_first_chunk::<32>().map(|(pin, url)| (Some(*pin), url))?,
        _ => return None,
    };
    let url = std::str::from_utf8(url).ok()?;
    is_address(url, tls_pin).then(|| PackLink::Fetch { url: url.to_owned(), sha256: *sha256, tls_pin })
}

fn is_address(url: &str, tls_pin: Option<[u8; 32]>) -> bool {
    (tls_pin.is_none() && relay::is_web(url)) || RelayAddress { url: url.to_owned(), tls_pin }.check().is_ok()
}
