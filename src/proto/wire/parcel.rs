//! The sealed unit that is carried from device to device: one of two sizes, a fresh label each time, an hour as its finest time.
//!
//! Laws: no two parcels have a bit in common that tells whether they belong together; only the hop limit and the crowd may change on
//! the way. A parcel does not know what is in it, and its size class is all that it tells about the length.
//!
//! Layout (448 or 3,584 bytes): `flags 1 | crowd and hop limit 4 + 4 bits | expiry 4 (hours since the epoch, big endian) | label 8 | nonce 12 | sealed`.

use crate::proto::config::{PARCEL_LARGE_BYTES, PARCEL_SMALL_BYTES};
use crate::proto::error::Fault;
use crate::proto::id::ParcelId;
use crate::proto::rng::Rng;
use crate::proto::secret::{Key, hash16};

const HEADER_BYTES: usize = 6;
const LABEL_BYTES: usize = 8;
const NONCE_BYTES: usize = 12;
const TAG_BYTES: usize = 16;
const LENGTH_BYTES: usize = 2;
const OVERHEAD_BYTES: usize = HEADER_BYTES + LABEL_BYTES + NONCE_BYTES + TAG_BYTES + LENGTH_BYTES;

const VERSION: u8 = 0x10;
const EPHEMERAL: u8 = 0x01;
const HOPS: u8 = 0x0f;

/// The largest crowd.
pub const CROWD_MAX: u8 = 15;

/// Content that fits a small parcel.
pub const SMALL_CONTENT_BYTES: usize = PARCEL_SMALL_BYTES - OVERHEAD_BYTES;
/// Content that fits a large parcel.
pub const LARGE_CONTENT_BYTES: usize = PARCEL_LARGE_BYTES - OVERHEAD_BYTES;

/// How a parcel travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Travel {
    /// After this hour (since the Unix epoch) nobody keeps it.
    pub expiry_hours: u32,
    /// Passed on, but never carried: beacons and live previews.
    pub ephemeral: bool,
    /// How many devices may still pass it on, at most 15.
    pub hops: u8,
}

/// A sealed parcel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parcel {
    bytes: Vec<u8>,
}

impl Parcel {
    /// Takes the bytes of a parcel from a peer.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if size or version are not those of a parcel.
    pub fn decode(bytes: Vec<u8>) -> Result<Parcel, Fault> {
        let sized = bytes.len() == PARCEL_SMALL_BYTES || bytes.len() == PARCEL_LARGE_BYTES;
        if !sized || bytes[0] & !EPHEMERAL != VERSION {
            return Err(Fault::Malformed("parcel"));
        }
        Ok(Parcel { bytes })
    }

    /// Its bytes on a link.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Hash of all but the hop limit and the crowd.
    pub fn id(&self) -> ParcelId {
        ParcelId(hash16("alcove/1 parcel", &[&self.bytes[..1], &self.bytes[2..]]))
    }

    /// How it travels.
    pub fn travel(&self) -> Travel {
        let mut expiry = [0; 4];
        expiry.copy_from_slice(&self.bytes[2..6]);
        Travel { expiry_hours: u32::from_be_bytes(expiry), ephemeral: self.bytes[0] & EPHEMERAL != 0, hops: self.bytes[1] & HOPS }
    }

    /// How much its source and those behind it send: the logarithm of a count, 0 to 15, raised on the way and never lowered.
    pub fn crowd(&self) -> u8 {
        self.bytes[1] >> 4
    }

    /// The same parcel in another crowd.
    pub fn in_crowd(&self, crowd: u8) -> Parcel {
        let mut bytes = self.bytes.clone();
        bytes[1] = crowd.min(CROWD_MAX) << 4 | bytes[1] & HOPS;
        Parcel { bytes }
    }

    /// The same parcel one hop on; `None` when its hop limit is used up.
    pub fn next_hop(&self) -> Option<Parcel> {
        let hops = self.travel().hops.checked_sub(1)?;
        Some(self.with_hops(hops))
    }

    /// The same parcel with another hop limit, for a node that gives out what it carries.
    pub fn with_hops(&self, hops: u8) -> Parcel {
        let mut bytes = self.bytes.clone();
        bytes[1] = bytes[1] & !HOPS | hops.min(HOPS);
        Parcel { bytes }
    }

    fn label(&self) -> &[u8] {
        &self.bytes[HEADER_BYTES..HEADER_BYTES + LABEL_BYTES]
    }

    fn nonce(&self) -> [u8; NONCE_BYTES] {
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&self.bytes[HEADER_BYTES + LABEL_BYTES..][..NONCE_BYTES]);
        nonce
    }
}

/// The two keys of everybody for whom a parcel is meant: one recognises it, one opens it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParcelKeys {
    label: Key,
    seal: Key,
}

impl ParcelKeys {
    /// Both keys from one secret that sender and receivers share.
    pub fn new(secret: &Key) -> Self {
        Self { label: secret.derive("alcove/1 parcel label", &[]), seal: secret.derive("alcove/1 parcel seal", &[]) }
    }

    /// Seals up to [`LARGE_CONTENT_BYTES`] into the smallest parcel that holds them; `None` if there are more.
    pub fn seal(&self, rng: &mut Rng, travel: Travel, content: &[u8]) -> Option<Parcel> {
        let size = match content.len() {
            length if length <= SMALL_CONTENT_BYTES => PARCEL_SMALL_BYTES,
            length if length <= LARGE_CONTENT_BYTES => PARCEL_LARGE_BYTES,
            _ => return None,
        };
        let nonce: [u8; NONCE_BYTES] = rng.bytes();
        let mut plaintext = vec![0; size - OVERHEAD_BYTES + LENGTH_BYTES];
        plaintext[..LENGTH_BYTES].copy_from_slice(&(content.len() as u16).to_be_bytes());
        plaintext[LENGTH_BYTES..][..content.len()].copy_from_slice(content);

        let mut bytes = Vec::with_capacity(size);
        bytes.push(VERSION | if travel.ephemeral { EPHEMERAL } else { 0 });
        bytes.push(travel.hops.min(15));
        bytes.extend_from_slice(&travel.expiry_hours.to_be_bytes());
        bytes.extend_from_slice(&self.label.mac(&[&nonce])[..LABEL_BYTES]);
        bytes.extend_from_slice(&nonce);
        let aad = [&bytes[..1], &bytes[2..HEADER_BYTES]].concat();
        bytes.extend_from_slice(&self.seal.seal(&nonce, &aad, &plaintext));
        Some(Parcel { bytes })
    }

    /// Whether the parcel's label was made with these keys. One in 2⁶⁴ foreign ones looks so too, and fails to open.
    pub fn recognises(&self, parcel: &Parcel) -> bool {
        self.label.verifies(&[&parcel.nonce()], parcel.label())
    }

    /// The content, if the parcel is for these keys and unharmed.
    pub fn open(&self, parcel: &Parcel) -> Option<Vec<u8>> {
        if !self.recognises(parcel) {
            return None;
        }
        let aad = [&parcel.bytes[..1], &parcel.bytes[2..HEADER_BYTES]].concat();
        let mut plaintext = self.seal.open(&parcel.nonce(), &aad, &parcel.bytes[HEADER_BYTES + LABEL_BYTES + NONCE_BYTES..])?;
        let length = usize::from(u16::from_be_bytes([*plaintext.first()?, *plaintext.get(1)?]));
        if length > plaintext.len() - LENGTH_BYTES {
            return None;
        }
        plaintext.drain(..LENGTH_BYTES);
        plaintext.truncate(length);
        Some(plaintext)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRAVEL: Travel = Travel { expiry_hours: 500_000, ephemeral: false, hops: 5 };

    fn keys(seed: u8) -> ParcelKeys {
        ParcelKeys::new(&Key([seed; 32]))
    }

    #[test]
    fn a_parcel_opens_for_its_keys_alone_and_has_one_of_two_sizes() {
        let rng = &mut Rng::new([1; 32]);
        for length in [0, 1, SMALL_CONTENT_BYTES, SMALL_CONTENT_BYTES + 1, LARGE_CONTENT_BYTES] {
            let content = vec![7; length];
            let parcel = keys(1).seal(rng, TRAVEL, &content).unwrap();
            let size = if length <= SMALL_CONTENT_BYTES { PARCEL_SMALL_BYTES } else { PARCEL_LARGE_BYTES };
            assert_eq!(parcel.as_bytes().len(), size);
            assert_eq!(keys(1).open(&Parcel::decode(parcel.as_bytes().to_vec()).unwrap()), Some(content));
            assert_eq!(keys(2).open(&parcel), None);
        }
        assert!(keys(1).seal(rng, TRAVEL, &[0; LARGE_CONTENT_BYTES + 1]).is_none());
    }

    #[test]
    fn only_the_hop_limit_and_the_crowd_may_change_on_the_way() {
        let rng = &mut Rng::new([2; 32]);
        let parcel = keys(1).seal(rng, TRAVEL, b"notes").unwrap();
        let next = parcel.next_hop().unwrap();
        assert_eq!((next.id(), next.travel().hops), (parcel.id(), 4));
        let crowded = next.in_crowd(9).next_hop().unwrap();
        assert_eq!((crowded.id(), crowded.travel().hops, crowded.crowd()), (parcel.id(), 3, 9));
        assert_eq!(keys(1).open(&next), Some(b"notes".to_vec()));
        for index in (0..PARCEL_SMALL_BYTES).filter(|&index| index != 1) {
            let mut bytes = parcel.as_bytes().to_vec();
            bytes[index] ^= 1;
            let changed = Parcel::decode(bytes);
            assert!(
                changed.is_err() || changed.is_ok_and(|changed| keys(1).open(&changed).is_none() && changed.id() != parcel.id())
            );
        }
    }

    #[test]
    fn equal_contents_share_no_label_and_no_body() {
        let rng = &mut Rng::new([3; 32]);
        let one = keys(1).seal(rng, TRAVEL, b"same").unwrap();
        let two = keys(1).seal(rng, TRAVEL, b"same").unwrap();
        let equal = one.as_bytes()[HEADER_BYTES..].iter().zip(&two.as_bytes()[HEADER_BYTES..]).filter(|(a, b)| a == b).count();
        assert!(equal < 20, "{equal} of 442 bytes are equal; chance gives about 2");
        assert_ne!(one.label(), two.label());
    }
}
