//! The cells of one link, put together to frames.
//!
//! Cell: `kind 1 | index 1 | count 1 | 0 | 224 bytes of content`. Laws: cells of a frame come in order, or the link is at fault; nothing is
//! kept but the first half of a small parcel.

use crate::Broken;
use crate::config::{CELL_CONTENT_BYTES, CELL_PLAIN_BYTES, FRAME_CELLS_MAX, PARCEL_BYTES};
use crate::parcel::Parcel;

const KIND_PARCEL: u8 = 1;
const KIND_CONTROL: u8 = 2;
const SMALL_CELLS: u8 = (PARCEL_BYTES / CELL_CONTENT_BYTES) as u8;

/// Where in a frame a link is.
pub(crate) struct Reader {
    kind: u8,
    count: u8,
    next: u8,
    first: [u8; CELL_CONTENT_BYTES],
}

impl Default for Reader {
    fn default() -> Reader {
        Reader { kind: 0, count: 0, next: 0, first: [0; CELL_CONTENT_BYTES] }
    }
}

impl Reader {
    /// Takes the next cell; gives the parcel that it completes. Words between neighbours and large parcels are passed over.
    pub(crate) fn take(&mut self, cell: &[u8; CELL_PLAIN_BYTES]) -> Result<Option<Parcel>, Broken> {
        let [kind, index, count, zero, content @ ..] = cell;
        let (&kind, &index, &count) = (kind, index, count);
        let is_sized = match kind {
            KIND_PARCEL => count == SMALL_CELLS || count == FRAME_CELLS_MAX,
            KIND_CONTROL => (1..=FRAME_CELLS_MAX).contains(&count),
            _ => false,
        };
        let is_same = index == 0 || (self.kind, self.count) == (kind, count);
        if !is_sized || index != self.next || !is_same || index >= count || *zero != 0 {
            return Err(Broken);
        }
        (self.kind, self.count) = (kind, count);
        self.next = if index + 1 < count { index + 1 } else { 0 };
        if (kind, count) != (KIND_PARCEL, SMALL_CELLS) {
            return Ok(None);
        }
        if index == 0 {
            self.first = *content;
            return Ok(None);
        }
        let mut bytes = [0; PARCEL_BYTES];
        bytes[..CELL_CONTENT_BYTES].copy_from_slice(&self.first);
        bytes[CELL_CONTENT_BYTES..].copy_from_slice(content);
        Parcel::decode(bytes).map(Some).ok_or(Broken)
    }
}

/// The two cells of a parcel.
pub(crate) fn cells(parcel: &Parcel) -> [[u8; CELL_PLAIN_BYTES]; SMALL_CELLS as usize] {
    [0, 1].map(|index| {
        let mut cell = [0; CELL_PLAIN_BYTES];
        cell[..3].copy_from_slice(&[KIND_PARCEL, index, SMALL_CELLS]);
        cell[4..].copy_from_slice(&parcel.as_bytes()[usize::from(index) * CELL_CONTENT_BYTES..][..CELL_CONTENT_BYTES]);
        cell
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::visitor::parcel;

    fn cell(kind: u8, index: u8, count: u8) -> [u8; CELL_PLAIN_BYTES] {
        let mut cell = [0x10; CELL_PLAIN_BYTES];
        cell[..4].copy_from_slice(&[kind, index, count, 0]);
        cell
    }

    #[test]
    fn a_parcel_survives_its_cells_between_words_and_large_ones_that_are_passed_over() {
        let bytes = parcel(&mut Board::new(1), 3, 5);
        let reader = &mut Reader::default();
        for (kind, count) in [(KIND_CONTROL, 1), (KIND_PARCEL, 16), (KIND_CONTROL, 16), (KIND_CONTROL, 2)] {
            assert!((0..count).all(|index| reader.take(&cell(kind, index, count)) == Ok(None)));
        }
        let [first, second] = cells(&Parcel::decode(bytes).unwrap());
        assert_eq!(reader.take(&first), Ok(None));
        assert_eq!(reader.take(&second).map(|read| read.map(|parcel| *parcel.as_bytes())), Ok(Some(bytes)));
    }

    #[test]
    fn a_cell_out_of_order_or_of_no_frame_is_a_fault() {
        let begun = || {
            let mut reader = Reader::default();
            assert_eq!(reader.take(&cell(KIND_PARCEL, 0, 2)), Ok(None));
            reader
        };
        for (kind, index, count) in [(1, 0, 2), (1, 2, 2), (1, 1, 16), (2, 1, 2), (1, 1, 1), (0, 1, 2), (3, 1, 2), (1, 1, 255)] {
            assert_eq!(begun().take(&cell(kind, index, count)), Err(Broken), "{kind} {index} {count}");
        }
        for (kind, index, count) in [(1, 1, 2), (1, 0, 3), (1, 0, 1), (2, 0, 0), (2, 0, 17), (2, 1, 2), (0, 0, 1), (9, 0, 2)] {
            assert_eq!(Reader::default().take(&cell(kind, index, count)), Err(Broken), "{kind} {index} {count}");
        }
        let mut odd = cell(KIND_PARCEL, 1, 2);
        odd[3] = 1;
        assert_eq!(begun().take(&odd), Err(Broken));
        let other_version = &mut Reader::default();
        let mut first = cell(KIND_PARCEL, 0, 2);
        first[4] = 0x20;
        assert_eq!(other_version.take(&first), Ok(None));
        assert_eq!(other_version.take(&cell(KIND_PARCEL, 1, 2)), Err(Broken));
        assert!(begun().take(&cell(KIND_PARCEL, 1, 2)).is_ok_and(|read| read.is_some()), "control");
    }
}
