//! A message of any size up to [`MESSAGE_BYTES_MAX`] as one parcel or several, and back.
//!
//! Laws: what is assembled is what was split; an assembler holds at most [`OPEN_MAX`] unfinished messages and drops the oldest.

use super::parcel::{LARGE_CONTENT_BYTES, Parcel, ParcelKeys, Travel};
use crate::proto::config::PARCEL_PARTS_MAX;
use crate::proto::error::Fault;
use crate::proto::rng::Rng;
use std::collections::VecDeque;

const WHOLE: u8 = 0;
const PART: u8 = 1;
const PART_HEADER_BYTES: usize = 11;
const PART_BYTES: usize = LARGE_CONTENT_BYTES - PART_HEADER_BYTES;

/// The largest message.
pub const MESSAGE_BYTES_MAX: usize = PARCEL_PARTS_MAX as usize * PART_BYTES;
/// Unfinished messages that one assembler remembers: a room's worst case is one document per returning member.
const OPEN_MAX: usize = 4;

/// Seals a message for the holders of `keys`; `None` if it is longer than [`MESSAGE_BYTES_MAX`].
pub fn seal(rng: &mut Rng, keys: &ParcelKeys, travel: Travel, message: &[u8]) -> Option<Vec<Parcel>> {
    if message.len() < LARGE_CONTENT_BYTES {
        let content = [&[WHOLE], message].concat();
        return Some(vec![keys.seal(rng, travel, &content)?]);
    }
    let parts = message.chunks(PART_BYTES);
    let count = u8::try_from(parts.len()).ok().filter(|&count| count <= PARCEL_PARTS_MAX)?;
    let id: [u8; 8] = rng.bytes();
    let with_header = |(index, part): (usize, &[u8])| [&[PART], &id[..], &[index as u8, count], part].concat();
    parts.enumerate().map(with_header).map(|content| keys.seal(rng, travel, &content)).collect()
}

/// Puts the parts of messages together, in whatever order they come.
#[derive(Default, Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Assembler {
    open: VecDeque<Unfinished>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Unfinished {
    id: [u8; 8],
    parts: Vec<Option<Vec<u8>>>,
}

impl Assembler {
    /// Takes the content of one parcel; gives the message when it was the last missing part.
    ///
    /// # Errors
    /// [`Fault::Malformed`] if the content is not a message or a part, or contradicts earlier parts of its message.
    pub fn take(&mut self, content: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let malformed = Fault::Malformed("message part");
        match content.split_first().ok_or(malformed)? {
            (&WHOLE, message) => Ok(Some(message.to_vec())),
            (&PART, rest) if rest.len() > PART_HEADER_BYTES - 1 => {
                let (header, part) = rest.split_at(PART_HEADER_BYTES - 1);
                let (index, count) = (usize::from(header[8]), usize::from(header[9]));
                if count < 2 || count > usize::from(PARCEL_PARTS_MAX) || index >= count {
                    return Err(malformed);
                }
                let mut id = [0; 8];
                id.copy_from_slice(&header[..8]);
                self.take_part(id, index, count, part)
            }
            _ => Err(malformed),
        }
    }

    fn take_part(&mut self, id: [u8; 8], index: usize, count: usize, part: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let place = match self.open.iter().position(|unfinished| unfinished.id == id) {
            Some(place) => place,
            None => {
                if self.open.len() == OPEN_MAX {
                    self.open.pop_front();
                }
                self.open.push_back(Unfinished { id, parts: vec![None; count] });
                self.open.len() - 1
            }
        };
        let unfinished = &mut self.open[place];
        if unfinished.parts.len() != count {
            return Err(Fault::Malformed("message part"));
        }
        unfinished.parts[index] = Some(part.to_vec());
        if unfinished.parts.iter().any(Option::is_none) {
            return Ok(None);
        }
        Ok(self.open.remove(place).map(|whole| whole.parts.into_iter().flatten().flatten().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::secret::Key;

    const TRAVEL: Travel = Travel { expiry_hours: 1, ephemeral: false, hops: 7 };

    #[test]
    fn what_is_assembled_is_what_was_split_in_any_order() {
        let rng = &mut Rng::new([1; 32]);
        let keys = ParcelKeys::new(&Key([9; 32]));
        for length in [0, 400, LARGE_CONTENT_BYTES - 1, LARGE_CONTENT_BYTES, 50_000, MESSAGE_BYTES_MAX] {
            let message: Vec<u8> = (0..length).map(|index| index as u8).collect();
            let mut parcels = seal(rng, &keys, TRAVEL, &message).unwrap();
            for place in (1..parcels.len()).rev() {
                parcels.swap(place, rng.below(place as u64 + 1) as usize);
            }
            let mut assembler = Assembler::default();
            let done: Vec<_> = parcels.iter().filter_map(|parcel| assembler.take(&keys.open(parcel).unwrap()).unwrap()).collect();
            assert_eq!(done, [message]);
        }
        assert!(seal(rng, &keys, TRAVEL, &vec![0; MESSAGE_BYTES_MAX + 1]).is_none());
    }

    #[test]
    fn hostile_parts_never_panic_and_never_pile_up() {
        let rng = &mut Rng::new([2; 32]);
        let mut assembler = Assembler::default();
        for _ in 0..10_000 {
            let mut content = vec![0; rng.below(40) as usize];
            rand_core::RngCore::fill_bytes(rng, &mut content);
            if let Some(first) = content.first_mut() {
                *first = PART;
            }
            let _ = assembler.take(&content);
            assert!(assembler.open.len() <= OPEN_MAX);
        }
    }
}
