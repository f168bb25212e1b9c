//! What a table's beacon tells in its advert to the people of its event: which table it is.
//!
//! Laws: whoever holds the event's pack reads the number, without a clock; nobody else tells two adverts of one table from those of two; a
//! number that is not on the plan is no table. A stranger's advert passes for a table's with 2⁻⁸ of the share that the plan has of all
//! numbers; who can say a number on the radio has proven nothing.
//!
//! `hint = number 2 XOR mac(00 ‖ id)[..2] ‖ mac(01 ‖ id ‖ number)[..1]`, under [`TableKey`].

use super::advert::{Advert, Shower};
use crate::proto::secret::Key;

const MASK: u8 = 0;
const CHECK: u8 = 1;

/// The event's beacon key: what is flashed into its beacons and follows from its pack. It reads these hints and nothing else.
#[derive(Clone, Debug)]
pub struct TableKey(Key);

impl TableKey {
    /// From the key that everybody with the pack has.
    pub fn new(board_key: &Key) -> TableKey {
        TableKey(board_key.derive("alcove/1 table beacons", &[]))
    }

    /// Its bytes, to be flashed.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0.0
    }

    /// The number of the table that shows this advert; `None` if it is no table of this event's plan. Costs one HMAC for a stranger's
    /// table, two for ours, none for anything else.
    pub fn recognise(&self, advert: &Advert, is_on_plan: impl FnOnce(u16) -> bool) -> Option<u16> {
        let Advert { shower: Shower::Table, id, hint: [high, low, check] } = advert else { return None };
        let mask = self.0.mac(&[&[MASK], &id.0]);
        let number = u16::from_be_bytes([high ^ mask[0], low ^ mask[1]]);
        let is_ours = is_on_plan(number) && self.0.verifies(&[&[CHECK], &id.0, &number.to_be_bytes()], &[*check]);
        is_ours.then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::config::ADVERT_BYTES;
    use crate::proto::id::EphemeralId;
    use crate::proto::rng::Rng;

    fn key(seed: u8) -> TableKey {
        TableKey::new(&Key([seed; 32]))
    }

    fn shown(key: &TableKey, rng: &mut Rng, number: u16) -> Advert {
        let (id, [high, low]) = (EphemeralId(rng.bytes()), number.to_be_bytes());
        let mask = key.0.mac(&[&[MASK], &id.0]);
        let check = key.0.mac(&[&[CHECK], &id.0, &[high, low]]);
        Advert { shower: Shower::Table, id, hint: [high ^ mask[0], low ^ mask[1], check[0]] }
    }

    #[test]
    fn every_table_on_the_plan_is_read_from_every_id_and_none_that_is_not() {
        let rng = &mut Rng::new([1; 32]);
        for number in [0, 1, 255, 256, 5_000, u16::MAX] {
            let advert = shown(&key(1), rng, number);
            assert_eq!(key(1).recognise(&advert, |_| true), Some(number));
            assert_eq!(key(1).recognise(&advert, |other| other != number), None, "not on the plan");
            for shower in [Shower::Attendee, Shower::Kiosk] {
                assert_eq!(key(1).recognise(&Advert { shower, ..advert }, |_| true), None, "{shower:?}");
            }
        }
    }

    #[test]
    fn a_strangers_table_passes_for_one_of_ours_with_a_two_hundred_and_fifty_sixth_of_the_plans_share() {
        let rng = &mut Rng::new([2; 32]);
        const ADVERTS: usize = 40_000;
        let foreign: Vec<_> = (0..ADVERTS).map(|_| shown(&key(2), rng, 7)).collect();
        let passed =
            |plan: u32| foreign.iter().filter(|advert| key(1).recognise(advert, |n| u32::from(n) < plan).is_some()).count();
        let expected = ADVERTS as f64 / 256.0;
        let all = passed(65_536) as f64;
        assert!((all - expected).abs() < 5.0 * expected.sqrt(), "{all} of {expected}");
        assert!(passed(655) <= 10, "a hundredth of all numbers: 1.6 are expected");
        assert!(foreign.iter().all(|advert| key(2).recognise(advert, |_| true) == Some(7)), "control: its own people");
    }

    #[test]
    fn who_changes_a_bit_of_a_tables_advert_makes_no_other_table_of_it() {
        let rng = &mut Rng::new([3; 32]);
        let (mut changed, mut taken) = (0, 0);
        for _ in 0..200 {
            let advert = shown(&key(1), rng, 12);
            for bit in 0..72 {
                let mut bytes = advert.to_bytes();
                bytes[1 + bit / 8] ^= 1 << (bit % 8);
                let forged = Advert::from_bytes(&bytes).unwrap();
                changed += 1;
                taken += usize::from(key(1).recognise(&forged, |_| true).is_some());
            }
        }
        assert!(taken < changed / 128, "{taken} of {changed}: one in 256 is chance");
    }

    #[test]
    fn what_the_firmware_shows_is_read() {
        // Written by a program of its own (HMAC and HKDF of Python's library); the firmware's laws have the same.
        let key = key(1);
        assert_eq!(key.as_bytes()[..8], [0x98, 0x1c, 0x86, 0xad, 0xeb, 0x4b, 0x32, 0x91]);
        let bytes: [u8; ADVERT_BYTES] = [0x11, 0x32, 0x31, 0x29, 0x9e, 0x19, 0x66, 0x6e, 0x5d, 0x50];
        assert_eq!(key.recognise(&Advert::from_bytes(&bytes).unwrap(), |_| true), Some(12));
    }
}
