//! Which table it is, and how it says so: the advert.
//!
//! Laws: ids are a permutation of the counter, so that none comes twice before the counter does; whoever has the event's beacon key reads
//! the table's number from an advert without a clock; nobody else tells two adverts of one table from those of two.

use crate::config::ADVERT_BYTES;
use crate::secret::mac;

/// Version 1 in the high four bits; a table in the low ones.
const HEAD: u8 = 0x11;
/// The rounds of the Feistel network: as many as FF1 has (NIST SP 800-38G), which permutes as few values.
const ROUNDS: u8 = 10;
const HALF_BITS: u32 = 24;
const HALF: u32 = (1 << HALF_BITS) - 1;
const MASK: u8 = 0;
const CHECK: u8 = 1;

/// What is flashed into a beacon beside the program: `alcove event beacon` writes it.
pub struct Table {
    /// The event's id, which every link is bound to.
    pub event: [u8; 16],
    /// The event's beacon key. It reads adverts and nothing else: neither board nor mailboxes follow from it.
    pub key: [u8; 32],
    /// This device's own secret, known to nobody, drawn when it is flashed.
    pub secret: [u8; 32],
    /// The number that stands on the table.
    pub number: u16,
}

/// What is flashed: event 16 ‖ beacon key 32 ‖ secret 32 ‖ number 2.
pub const FLASH_BYTES: usize = 16 + 32 + 32 + 2;

impl Table {
    /// From what `alcove event beacon` wrote.
    pub fn from_bytes(bytes: &[u8; FLASH_BYTES]) -> Table {
        let mut table = Table { event: [0; 16], key: [0; 32], secret: [0; 32], number: 0 };
        let (event, rest) = bytes.split_at(16);
        let (key, rest) = rest.split_at(32);
        let (secret, number) = rest.split_at(32);
        table.event.copy_from_slice(event);
        table.key.copy_from_slice(key);
        table.secret.copy_from_slice(secret);
        table.number = number.iter().fold(0, |high, low| high << 8 | u16::from(*low));
        table
    }

    /// The advert for one value of the counter, of which 48 bits count.
    pub(crate) fn advert(&self, counter: u64) -> [u8; ADVERT_BYTES] {
        let id = self.id(counter);
        let mut advert = [HEAD; ADVERT_BYTES];
        advert[1..7].copy_from_slice(&id);
        advert[7..].copy_from_slice(&self.hint(&id));
        advert
    }

    /// A Feistel network over the counter: a permutation that is random to whoever has not the device's secret.
    fn id(&self, counter: u64) -> [u8; 6] {
        let (mut left, mut right) = ((counter >> HALF_BITS) as u32 & HALF, counter as u32 & HALF);
        for round in 0..ROUNDS {
            let [a, b, c, ..] = mac(&self.secret, &[b"alcove/1 table id\0", &[round], &right.to_be_bytes()]);
            (left, right) = (right, left ^ u32::from_be_bytes([0, a, b, c]));
        }
        let (left, right) = (left.to_be_bytes(), right.to_be_bytes());
        [left[1], left[2], left[3], right[1], right[2], right[3]]
    }

    /// The number under a mask that only this id has, and a check over both.
    fn hint(&self, id: &[u8; 6]) -> [u8; 3] {
        let number = self.number.to_be_bytes();
        let mask = mac(&self.key, &[&[MASK], id]);
        let check = mac(&self.key, &[&[CHECK], id, &number]);
        [number[0] ^ mask[0], number[1] ^ mask[1], check[0]]
    }

    /// The check of a slot in the flash.
    pub(crate) fn slot_check(&self, block: u32) -> u32 {
        let [a, b, c, d, ..] = mac(&self.secret, &[b"alcove/1 table slot\0", &block.to_be_bytes()]);
        u32::from_be_bytes([a, b, c, d])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::vec::Vec;

    const ADVERTS: u64 = 10_000;

    fn table(seed: u8, number: u16) -> Table {
        // The beacon key of an event whose board key is 32 times 1.
        let key = *b"\x98\x1c\x86\xad\xeb\x4b\x32\x91\x5b\xf6\xd3\x62\x37\x33\x76\x7a\x5b\x04\x7c\xec\x70\x1e\xb3\xa9\x39\xdf\xdf\xff\x92\x02\x8f\xfd";
        Table { event: [9; 16], key, secret: [seed; 32], number }
    }

    #[test]
    fn an_advert_is_what_a_program_of_its_own_writes() {
        // HMAC and HKDF of Python's library; `wire/table_advert.rs` of the app reads the first.
        let table = table(2, 12);
        assert_eq!(table.advert(0), [0x11, 0x32, 0x31, 0x29, 0x9e, 0x19, 0x66, 0x6e, 0x5d, 0x50]);
        assert_eq!(table.advert(1), [0x11, 0x32, 0x2a, 0xa8, 0xf3, 0x6a, 0xec, 0x5e, 0x2f, 0x3d]);
        assert_eq!(table.advert((1 << 48) - 1), [0x11, 0x35, 0xec, 0xce, 0x07, 0x07, 0x44, 0x96, 0x8c, 0x92]);
    }

    #[test]
    fn what_is_flashed_is_read_in_its_order() {
        let mut bytes: [u8; FLASH_BYTES] = core::array::from_fn(|at| at as u8);
        bytes[80..].copy_from_slice(&[1, 2]);
        let table = Table::from_bytes(&bytes);
        assert_eq!((table.event[15], table.key[0], table.key[31], table.secret[0]), (15, 16, 47, 48));
        assert_eq!((table.secret[31], table.number), (79, 258));
    }

    #[test]
    fn no_id_comes_twice_before_the_counter_does() {
        let table = table(1, 1);
        let ids: BTreeSet<_> = (0..ADVERTS).map(|counter| table.id(counter)).collect();
        assert_eq!(ids.len() as u64, ADVERTS);
        assert_eq!(table.id(1 << 48), table.id(0), "control: then it does");
    }

    /// By how many standard deviations the most telling bit of these rows is off a fair coin.
    fn most_telling_bit(rows: &[Vec<u8>]) -> f64 {
        let bits = rows[0].len() * 8;
        let ones = |bit: usize| rows.iter().filter(|row| row[bit / 8] >> (bit % 8) & 1 == 1).count() as f64;
        let half = rows.len() as f64 / 2.0;
        (0..bits).map(|bit| (ones(bit) - half).abs() / (half / 2.0).sqrt()).fold(0.0, f64::max)
    }

    /// What somebody without the key can compare: ids and hints of two adverts, and in the second each bit of the hint with each of its id.
    fn compared(pairs: impl Iterator<Item = ([u8; 10], [u8; 10])>) -> Vec<Vec<u8>> {
        let compare = |(one, other): ([u8; 10], [u8; 10])| {
            let differ = (1..10).map(|at| one[at] ^ other[at]);
            let own = (1..7).flat_map(|id| (7..10).map(move |hint| (id, hint)));
            let own = own.flat_map(|(id, hint)| (0..8).map(move |turn| other[id].rotate_left(turn) ^ other[hint]));
            differ.chain(own).collect()
        };
        pairs.map(compare).collect()
    }

    #[test]
    fn without_the_key_two_adverts_of_one_table_look_like_those_of_two() {
        let (one, other) = (table(1, 12), table(2, 4_000));
        let same = compared((0..ADVERTS).map(|counter| (one.advert(counter), one.advert(counter + 1))));
        let two = compared((0..ADVERTS).map(|counter| (one.advert(counter), other.advert(counter))));
        // The largest of 1,224 bits of chance is over 5.5 once in 20,000 runs.
        let (same, two) = (most_telling_bit(&same), most_telling_bit(&two));
        std::eprintln!("the most telling bit, in standard deviations: {same:.2} for one table, {two:.2} for two");
        assert!(same < 5.5 && two < 5.5);

        let fixed = |counter| {
            let mut advert = one.advert(counter);
            advert[7..].copy_from_slice(&[0, 12, 0xaa]);
            advert
        };
        let fixed = compared((0..ADVERTS).map(|counter| (fixed(counter), fixed(counter + 1))));
        assert!(most_telling_bit(&fixed) > 50.0, "control: a hint that stays tells");
        let counted = |counter: u64| {
            let mut advert = one.advert(counter);
            advert[1..7].copy_from_slice(&counter.to_be_bytes()[2..]);
            advert
        };
        let counted = compared((0..ADVERTS).map(|counter| (counted(counter), counted(counter + 1))));
        assert!(most_telling_bit(&counted) > 50.0, "control: an id that counts tells");
    }
}
