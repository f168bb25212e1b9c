//! The unit on one link: a parcel or a word between two neighbours, cut into cells of one size.
//!
//! Cell: `kind 1 | index 1 | count 1 | 0 | 224 bytes of content`, sealed by the link to 244 bytes.
//! Laws: a parcel fills its cells exactly; a control frame takes at most 16; cells of one frame come in order, or the link is at fault.

use super::parcel::Parcel;
use super::{decode, encode};
use crate::proto::config::{CELL_CONTENT_BYTES, PARCEL_LARGE_BYTES};
use crate::proto::error::Fault;
use crate::proto::id::EphemeralId;
use serde::{Deserialize, Serialize};

/// A cell before the link seals it.
pub const CELL_PLAIN_BYTES: usize = CELL_CONTENT_BYTES + HEADER_BYTES;
const HEADER_BYTES: usize = 4;
const CELLS_MAX: usize = PARCEL_LARGE_BYTES / CELL_CONTENT_BYTES;
const LENGTH_BYTES: usize = 2;

const KIND_PARCEL: u8 = 1;
const KIND_CONTROL: u8 = 2;

/// What two neighbours exchange.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Something carried.
    Parcel(Parcel),
    /// Something between the two alone.
    Control(Control),
}

/// Words between two neighbours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Control {
    /// A part of the sketch of what I carry; equal sets have equal sketches.
    Carrying {
        /// Names the round, and salts its short ids beside the link's handshake hash.
        round: [u8; 4],
        /// The round is about one parcel in two to this power.
        slice: u8,
        /// The place of its first symbol; 0 begins a round.
        first: u16,
        /// 4 bytes each.
        symbols: Vec<[u8; 4]>,
    },
    /// What I found by the sketch of that round; answered with these parcels.
    Lacking {
        /// The round.
        round: [u8; 4],
        /// What I do not carry; `None` as long as more symbols are needed.
        short_ids: Option<Vec<[u8; 3]>>,
    },
    /// Proof at the table: a MAC over the link's handshake hash under the talk's table key, or random bytes of a newcomer.
    Table {
        /// 32 bytes.
        proof: [u8; 32],
    },
    /// A newcomer asks for a seat, after the proof failed.
    Newcomer {
        /// An encoded seat offer.
        offer: Vec<u8>,
    },
    /// The answer to a newcomer.
    Admission {
        /// False: turned away.
        admitted: bool,
    },
    /// Who opened a link by radio says the id that it shows, so that none is opened the other way.
    Introduction {
        /// As in its adverts.
        id: EphemeralId,
    },
    /// Who has scanned a code asks whether it is the other's; whoever does not show it stays silent.
    Ask {
        /// A one-time X25519 key.
        public: [u8; 32],
        /// A MAC under the code's secret over the link's handshake hash and that key.
        proof: [u8; 32],
    },
    /// The code's device answers; proofs at the table follow.
    Answer {
        /// A MAC over the link's handshake hash under a key that the code's private key makes.
        proof: [u8; 32],
    },
    /// By which the members of our talks know who is at this end of a link by radio. Always as many, whether there are talks or not.
    Member {
        /// Each a MAC over the link's handshake hash under our presence key in one talk, or chance.
        proofs: [[u8; 8]; MEMBER_PROOFS],
    },
}

/// How many talks of ours are shown to a neighbour at a time.
pub const MEMBER_PROOFS: usize = 4;

impl Frame {
    /// The frame as cells of [`CELL_PLAIN_BYTES`]; `None` if a control frame is too long for 16 of them.
    pub fn to_cells(&self) -> Option<Vec<[u8; CELL_PLAIN_BYTES]>> {
        let (kind, content) = match self {
            Frame::Parcel(parcel) => (KIND_PARCEL, parcel.as_bytes().to_vec()),
            Frame::Control(control) => {
                let bytes = encode(control);
                let length = u16::try_from(bytes.len()).ok()?;
                (KIND_CONTROL, [&length.to_be_bytes()[..], &bytes].concat())
            }
        };
        let count = content.len().div_ceil(CELL_CONTENT_BYTES);
        if count > CELLS_MAX {
            return None;
        }
        let cell = |(index, piece): (usize, &[u8])| {
            let mut cell = [0; CELL_PLAIN_BYTES];
            cell[..3].copy_from_slice(&[kind, index as u8, count as u8]);
            cell[HEADER_BYTES..][..piece.len()].copy_from_slice(piece);
            cell
        };
        Some(content.chunks(CELL_CONTENT_BYTES).enumerate().map(cell).collect())
    }
}

/// Puts the cells of one link together.
#[derive(Default, Debug)]
pub struct FrameReader {
    kind: u8,
    count: u8,
    content: Vec<u8>,
}

impl FrameReader {
    /// Takes the next cell; gives the frame when it is complete.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for a cell out of order, of an unknown kind, or a frame that does not parse. The link is to be closed.
    pub fn take(&mut self, cell: &[u8]) -> Result<Option<Frame>, Fault> {
        let malformed = Fault::Malformed("frame");
        if cell.len() != CELL_PLAIN_BYTES {
            return Err(malformed);
        }
        let (kind, index, count) = (cell[0], cell[1], cell[2]);
        let expected = self.content.len() / CELL_CONTENT_BYTES;
        if usize::from(count) > CELLS_MAX || index >= count || usize::from(index) != expected || cell[3] != 0 {
            return Err(malformed);
        }
        if index == 0 {
            (self.kind, self.count) = (kind, count);
        } else if (self.kind, self.count) != (kind, count) {
            return Err(malformed);
        }
        self.content.extend_from_slice(&cell[HEADER_BYTES..]);
        if index + 1 < count {
            return Ok(None);
        }
        let content = std::mem::take(&mut self.content);
        match kind {
            KIND_PARCEL => Parcel::decode(content).map(|parcel| Some(Frame::Parcel(parcel))),
            KIND_CONTROL => {
                let length = usize::from(u16::from_be_bytes([content[0], content[1]]));
                let bytes = content.get(LENGTH_BYTES..LENGTH_BYTES + length).ok_or(malformed)?;
                decode(bytes, "control frame").map(|control| Some(Frame::Control(control)))
            }
            _ => Err(malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;

    #[test]
    fn a_frame_survives_its_cells() {
        let parcel = {
            let keys = super::super::parcel::ParcelKeys::new(&crate::proto::secret::Key([1; 32]));
            let travel = super::super::parcel::Travel { expiry_hours: 1, ephemeral: true, hops: 2 };
            keys.seal(&mut Rng::new([1; 32]), travel, &[5; 1_000]).unwrap()
        };
        let lacking = Control::Lacking { round: [2; 4], short_ids: Some(vec![[3; 3]; 1_000]) };
        for frame in [Frame::Parcel(parcel), Frame::Control(lacking), Frame::Control(Control::Table { proof: [4; 32] })] {
            let mut reader = FrameReader::default();
            let read: Vec<_> = frame.to_cells().unwrap().iter().filter_map(|cell| reader.take(cell).unwrap()).collect();
            assert_eq!(read, [frame]);
        }
        let long = Control::Newcomer { offer: vec![0; PARCEL_LARGE_BYTES] };
        assert!(Frame::Control(long).to_cells().is_none());
    }

    #[test]
    fn random_cells_never_panic_and_never_hold_more_than_one_frame() {
        let rng = &mut Rng::new([2; 32]);
        let mut reader = FrameReader::default();
        for round in 0..20_000_u64 {
            let mut cell: [u8; CELL_PLAIN_BYTES] = rng.bytes();
            if round % 2 == 0 {
                cell[..4].copy_from_slice(&[1 + rng.below(2) as u8, rng.below(3) as u8, 1 + rng.below(17) as u8, 0]);
            }
            if reader.take(&cell).is_err() {
                reader = FrameReader::default();
            }
            assert!(reader.content.len() <= PARCEL_LARGE_BYTES);
        }
    }
}
