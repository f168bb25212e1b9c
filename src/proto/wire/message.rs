//! A message of any size up to [`MESSAGE_BYTES_MAX`] as one parcel or several, and back.
//!
//! Laws: what is assembled is what was split; a message goes the way that takes the fewest bytes; an assembler waits for at most
//! [`OPEN_PARTS_MAX`] parts and drops the oldest message first.

use super::parcel::{LARGE_CONTENT_BYTES, Parcel, ParcelKeys, SMALL_CONTENT_BYTES, Travel};
use crate::proto::config::PARCEL_PARTS_MAX;
use crate::proto::error::Fault;
use crate::proto::rng::Rng;
use std::collections::VecDeque;

const WHOLE: u8 = 0;
const PART: u8 = 1;
const PART_HEADER_BYTES: usize = 11;
const PART_BYTES: usize = LARGE_CONTENT_BYTES - PART_HEADER_BYTES;
const SMALL_PART_BYTES: usize = SMALL_CONTENT_BYTES - PART_HEADER_BYTES;
/// A message is split over so many small parcels rather than put into a large one: half of its size.
const SMALL_PARTS_MAX: usize = 4;

/// The largest message.
pub const MESSAGE_BYTES_MAX: usize = PARCEL_PARTS_MAX as usize * PART_BYTES;
/// Parts, there or not, of the unfinished messages of one assembler: four documents of the largest size for as many returning members,
/// or 64 changes of the notes whose parts come in any order when two phones meet.
const OPEN_PARTS_MAX: usize = 4 * PARCEL_PARTS_MAX as usize;

/// Seals a message for the holders of `keys`; `None` if it is longer than [`MESSAGE_BYTES_MAX`].
pub fn seal(rng: &mut Rng, keys: &ParcelKeys, travel: Travel, message: &[u8]) -> Option<Vec<Parcel>> {
    let is_light_in_small_parts = message.len() <= SMALL_PARTS_MAX * SMALL_PART_BYTES;
    if message.len() < SMALL_CONTENT_BYTES || (message.len() < LARGE_CONTENT_BYTES && !is_light_in_small_parts) {
        let content = [&[WHOLE], message].concat();
        return Some(vec![keys.seal(rng, travel, &content)?]);
    }
    let parts = message.chunks(if is_light_in_small_parts { SMALL_PART_BYTES } else { PART_BYTES });
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
                while self.open.iter().map(|unfinished| unfinished.parts.len()).sum::<usize>() + count > OPEN_PARTS_MAX {
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
    use crate::proto::config::{PARCEL_LARGE_BYTES, PARCEL_SMALL_BYTES};
    use crate::proto::secret::Key;

    const TRAVEL: Travel = Travel { expiry_hours: 1, ephemeral: false, hops: 7 };

    #[test]
    fn what_is_assembled_is_what_was_split_in_any_order() {
        let rng = &mut Rng::new([1; 32]);
        let keys = ParcelKeys::new(&Key([9; 32]));
        let small = [0, 400, SMALL_CONTENT_BYTES - 1, SMALL_CONTENT_BYTES, SMALL_PARTS_MAX * SMALL_PART_BYTES];
        let large = [small[4] + 1, LARGE_CONTENT_BYTES - 1, LARGE_CONTENT_BYTES, 50_000, MESSAGE_BYTES_MAX];
        for length in small.into_iter().chain(large) {
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
    fn a_message_goes_the_way_that_takes_the_fewest_bytes() {
        let (rng, keys) = (&mut Rng::new([3; 32]), ParcelKeys::new(&Key([9; 32])));
        let mut bytes = |length: usize| -> usize {
            seal(rng, &keys, TRAVEL, &vec![7; length]).unwrap().iter().map(|parcel| parcel.as_bytes().len()).sum()
        };
        let small = PARCEL_SMALL_BYTES;
        assert_eq!([bytes(0), bytes(403), bytes(404), bytes(786), bytes(787)], [small, small, 2 * small, 2 * small, 3 * small]);
        assert_eq!([bytes(1_572), bytes(1_573), bytes(3_539)], [4 * small, PARCEL_LARGE_BYTES, PARCEL_LARGE_BYTES]);
        assert_eq!(bytes(3_540), PARCEL_LARGE_BYTES + small, "the last part may fit a small one");
    }

    #[test]
    fn many_split_messages_are_put_together_though_their_parts_come_in_any_order() {
        let (rng, keys) = (&mut Rng::new([4; 32]), ParcelKeys::new(&Key([9; 32])));
        let mut parcels: Vec<_> = (0..64).flat_map(|text| seal(rng, &keys, TRAVEL, &[text; 700]).unwrap()).collect();
        for place in (1..parcels.len()).rev() {
            parcels.swap(place, rng.below(place as u64 + 1) as usize);
        }
        let mut assembler = Assembler::default();
        let done = parcels.iter().filter_map(|parcel| assembler.take(&keys.open(parcel).unwrap()).unwrap()).count();
        assert_eq!(done, 64);
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
            assert!(assembler.open.iter().map(|unfinished| unfinished.parts.len()).sum::<usize>() <= OPEN_PARTS_MAX);
        }
    }
}
