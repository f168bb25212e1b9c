//! Reads a change chunk of the Automerge storage format with our own eyes, before Automerge sees a byte of it
//! (<https://automerge.org/automerge-binary-format-spec/>, sections "Chunk container", "Change chunks", "Column metadata").
//!
//! Laws: total and without allocation beyond the dependencies; one uncompressed change chunk of exact length and with a true checksum,
//! or nothing; no column claims more rows, more predecessors or longer values than [`crate::proto::config`] allows, so that nothing
//! beneath is led to count or allocate without end. Whether the rows make sense is for [`super::vocabulary`].

use crate::proto::config::{CHANGE_BYTES_MAX, CHANGE_DEPS_MAX, CHANGE_OPS_MAX};
use crate::proto::error::Fault;
use sha2::{Digest, Sha256};

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const CHANGE: u8 = 1;
/// The columns a change may have: id << 4 | type, in this order; types as in [`rows`].
const COLUMNS: [u32; 14] = [0x01, 0x02, 0x11, 0x13, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73, 0x94, 0xa5];
const ACTION: u32 = 0x42;
const VALUE_SIZES: u32 = 0x56;
const VALUES: u32 = 0x57;
const PREDECESSOR_COUNTS: u32 = 0x70;
/// An operation replaces as many values as were written at the same time: a few, on average.
const PREDECESSORS_MAX: u64 = 4 * CHANGE_OPS_MAX as u64;

/// What the head of a change says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chunk<'a> {
    pub hash: [u8; 32],
    pub deps: Vec<[u8; 32]>,
    pub actor: &'a [u8],
    pub seq: u64,
    pub start_op: u64,
    pub operations: u64,
}

/// The name of a change, if these bytes are one chunk that may be looked at any further.
pub fn change_hash(bytes: &[u8]) -> Option<[u8; 32]> {
    Chunk::read(bytes).ok().map(|chunk| chunk.hash)
}

/// The changes that a change builds on, ascending.
pub fn change_deps(bytes: &[u8]) -> Option<Vec<[u8; 32]>> {
    Chunk::read(bytes).ok().map(|chunk| chunk.deps)
}

impl<'a> Chunk<'a> {
    /// # Errors
    /// The [`Fault`] of whoever wrote it.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Fault> {
        if bytes.len() > CHANGE_BYTES_MAX {
            return Err(Fault::TooMuch("bytes in a change"));
        }
        Self::parse(bytes)?.ok_or(Fault::Malformed("change"))
    }

    fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Fault> {
        let Some((hash, body)) = open(bytes, CHANGE) else { return Ok(None) };
        let mut input = Input(body);
        let Some(count) = input.number() else { return Ok(None) };
        if count > CHANGE_DEPS_MAX as u64 {
            return Err(Fault::TooMuch("dependencies of a change"));
        }
        let Some(deps) = (0..count).map(|_| input.hash()).collect::<Option<Vec<_>>>() else { return Ok(None) };
        if !deps.is_sorted_by(|a, b| a < b) {
            return Ok(None);
        }
        let Some((actor, seq, start_op)) = input.author() else { return Ok(None) };
        // Time 0 and a message of length 0: one byte each, and nothing that says when or who.
        if input.take(2) != Some(&[0, 0]) {
            return Err(Fault::Malformed("time or message of a change"));
        }
        let Some(operations) = input.operations()? else { return Ok(None) };
        Ok(Some(Self { hash, deps, actor, seq, start_op, operations }))
    }
}

/// The hash and the body of one chunk of the given type that fills `bytes`.
pub(super) fn open(bytes: &[u8], kind: u8) -> Option<([u8; 32], &[u8])> {
    let mut input = Input(bytes);
    if input.take(4)? != MAGIC {
        return None;
    }
    let checksum = input.take(4)?;
    let hashed = input.0;
    if input.take(1)? != [kind] || input.number()? != input.0.len() as u64 {
        return None;
    }
    let hash: [u8; 32] = Sha256::digest(hashed).into();
    (hash[..4] == *checksum).then_some((hash, input.0))
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn hash(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }

    /// An unsigned LEB128 number in its shortest form.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            let bits = u64::from(byte & 0x7f);
            if (bits << shift) >> shift != bits {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return (byte != 0 || shift == 0).then_some(value);
            }
        }
        None
    }

    /// A signed LEB128 number.
    fn signed(&mut self) -> Option<i64> {
        let mut value = 0i64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= i64::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                let negative = byte & 0x40 != 0 && shift + 7 < 64;
                return Some(if negative { value | (-1i64).wrapping_shl(shift + 7) } else { value });
            }
        }
        None
    }

    fn author(&mut self) -> Option<(&'a [u8], u64, u64)> {
        Some((self.sized()?, self.number()?, self.number()?))
    }

    /// Other actors and columns to the end of the chunk; how many operations they hold.
    fn operations(&mut self) -> Result<Option<u64>, Fault> {
        let Some(actors) = self.number() else { return Ok(None) };
        if actors > self.0.len() as u64 || !(0..actors).all(|_| self.sized().is_some()) {
            return Ok(None);
        }
        let Some(columns) = self.number().filter(|count| *count <= COLUMNS.len() as u64) else { return Ok(None) };
        let mut table = Vec::with_capacity(COLUMNS.len());
        for _ in 0..columns {
            let (Some(column), Some(length)) = (self.number(), self.number()) else { return Ok(None) };
            table.push((column, length));
        }
        if !table.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Ok(None);
        }
        let (mut operations, mut values) = (0, 0);
        for (column, length) in table {
            let Some(data) = usize::try_from(length).ok().and_then(|length| self.take(length)) else { return Ok(None) };
            let Some(column) = COLUMNS.into_iter().find(|known| u64::from(*known) == column) else { return Ok(None) };
            let Some(Rows { count, sum }) = rows(column, data) else { return Ok(None) };
            match column {
                ACTION => operations = count,
                VALUE_SIZES => values = sum,
                VALUES if values != length => return Ok(None),
                _ => {}
            }
            if count.max(if column == PREDECESSOR_COUNTS { sum } else { 0 }) > PREDECESSORS_MAX {
                return Err(Fault::TooMuch("rows in a change"));
            }
        }
        if operations > CHANGE_OPS_MAX as u64 {
            return Err(Fault::TooMuch("operations in a change"));
        }
        Ok((operations > 0 && self.0.is_empty()).then_some(operations))
    }
}

/// How many rows a column has, and the sum of what it counts.
struct Rows {
    count: u64,
    sum: u64,
}

/// Walks a column's run lengths without unfolding them. The type is in the lowest three bits of the column's number: 0 to 2 are
/// run-length encoded numbers, 3 differences, 4 booleans, 5 strings, 6 sizes of values, 7 the values themselves.
fn rows(column: u32, data: &[u8]) -> Option<Rows> {
    let mut input = Input(data);
    let mut rows = Rows { count: 0, sum: 0 };
    let kind = column & 7;
    while !input.0.is_empty() && kind != 7 {
        if kind == 4 {
            rows.count = rows.count.checked_add(input.number()?)?;
            continue;
        }
        let run = input.signed()?;
        let (times, values) = match run {
            0 => (input.number()?, 0),
            1.. => (run.unsigned_abs(), 1),
            ..0 => (1, run.unsigned_abs()),
        };
        rows.count = rows.count.checked_add(if run < 0 { values } else { times })?;
        if values > data.len() as u64 {
            return None;
        }
        for _ in 0..values {
            let value = match kind {
                3 => input.signed().map(|_| 0)?,
                5 => input.sized().map(|_| 0)?,
                6 => input.number()? >> 4,
                _ => input.number()?,
            };
            // Only counts and sizes are meant to be added up; the sum of the others is not used.
            rows.sum = rows.sum.saturating_add(value.saturating_mul(times));
        }
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk with a true checksum around this body.
    fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
        let length: Vec<u8> =
            if body.len() < 128 { vec![body.len() as u8] } else { vec![body.len() as u8 | 0x80, (body.len() >> 7) as u8] };
        let hashed = [&[kind][..], &length, body].concat();
        [&MAGIC[..], &Sha256::digest(&hashed)[..4], &hashed].concat()
    }

    /// A change without dependencies of actor 7, with these columns.
    fn body(columns: &[(u8, &[u8])]) -> Vec<u8> {
        let mut body = vec![0, 1, 7, 1, 1, 0, 0, 0, columns.len() as u8];
        for (column, data) in columns {
            body.extend(if *column < 0x80 { vec![*column] } else { vec![*column, 1] });
            body.push(data.len() as u8);
        }
        columns.iter().for_each(|(_, data)| body.extend(*data));
        body
    }

    fn read(columns: &[(u8, &[u8])]) -> Result<u64, Fault> {
        Chunk::read(&chunk(CHANGE, &body(columns))).map(|chunk| chunk.operations)
    }

    /// 2^40 as a number in LEB128, positive when signed.
    const HUGE: [u8; 6] = [0x80, 0x80, 0x80, 0x80, 0x80, 0x20];

    #[test]
    fn a_column_cannot_claim_more_rows_than_a_change_may_have() {
        assert_eq!(read(&[(0x42, &[3, 1])]), Ok(3), "three times the same action");
        assert_eq!(read(&[(0x42, &[0x7d, 1, 1, 3])]), Ok(3), "three actions one by one");
        let bomb = [&HUGE[..], &[1]].concat();
        let nothing = [&[0][..], &HUGE].concat();
        let switch = [&[0][..], &HUGE].concat();
        for column in [0x01, 0x02, 0x11, 0x13, 0x42, 0x56, 0x70, 0x71, 0x73] {
            assert!(matches!(read(&[(column, &bomb)]), Err(Fault::TooMuch(_))), "{column:x}");
            assert!(matches!(read(&[(column, &nothing)]), Err(Fault::TooMuch(_))), "{column:x}");
        }
        for column in [0x34, 0x94] {
            assert!(matches!(read(&[(column, &switch)]), Err(Fault::TooMuch(_))), "{column:x}");
        }
        // One operation with 2^40 predecessors.
        let group = [&[1][..], &HUGE].concat();
        assert!(matches!(read(&[(0x42, &[1, 1]), (0x70, &group)]), Err(Fault::TooMuch(_))));
        // A value longer than what is there.
        assert!(read(&[(0x42, &[1, 1]), (0x56, &[1, 0x16]), (0x57, b"a")]).is_ok());
        assert!(read(&[(0x42, &[1, 1]), (0x56, &[1, 0x26]), (0x57, b"a")]).is_err());
    }

    #[test]
    fn only_one_whole_uncompressed_change_is_read() {
        let good = chunk(CHANGE, &body(&[(0x42, &[1, 1])]));
        assert!(Chunk::read(&good).is_ok());
        for kind in [0, 2, 3, 4, 0xff] {
            assert!(Chunk::read(&chunk(kind, &body(&[(0x42, &[1, 1])]))).is_err(), "{kind}");
        }
        for cut in 0..good.len() {
            assert!(Chunk::read(&good[..cut]).is_err());
        }
        assert!(Chunk::read(&[&good[..], &[0]].concat()).is_err());
        assert!(Chunk::read(&[&good[..], &good[..]].concat()).is_err());
        for place in 0..good.len() {
            let mut damaged = good.clone();
            damaged[place] ^= 1;
            assert!(Chunk::read(&damaged).is_err(), "the checksum covers byte {place}");
        }
        let deflated = 0x42 | 8;
        assert!(read(&[(deflated, &[1, 1])]).is_err() && read(&[]).is_err());
        assert!(read(&[(0x42, &[1, 1]), (0x42, &[1, 1])]).is_err() && read(&[(0x63, &[1, 1]), (0x42, &[1, 1])]).is_err());
    }

    #[test]
    fn more_dependencies_than_allowed_are_not_even_read() {
        let with = |count: u8| {
            let mut body = vec![count];
            (0..count).for_each(|number| body.extend([number; 32]));
            body.extend(&super::tests::body(&[(0x42, &[1, 1])])[1..]);
            Chunk::read(&chunk(CHANGE, &body)).map(|chunk| chunk.deps.len())
        };
        assert_eq!(with(CHANGE_DEPS_MAX as u8), Ok(CHANGE_DEPS_MAX));
        assert!(matches!(with(CHANGE_DEPS_MAX as u8 + 1), Err(Fault::TooMuch(_))));
    }
}
