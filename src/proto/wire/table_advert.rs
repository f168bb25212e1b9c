//! What a table's beacon tells in its advert to the people of its event: which table it is.
//!
//! Laws: whoever holds the event's pack reads the number, without a clock; nobody else tells two adverts of one table from those of two; a
//! number that is not on the plan is no table. A stranger's advert passes for a table's with 2⁻⁸ of the share that the plan has of all
//! numbers; who can say a number on the radio has proven nothing.
//!
//! `hint = number 2 XOR mac(00 ‖ id)[..2] ‖ mac(01 ‖ id ‖ number)[..1]`, under [`TableKey`].

use super::advert::{Advert, Shower};
use crate::proto::id::EventId;
use crate::proto::secret::Key;
use zeroize::Zeroizing;

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

/// What is flashed into a beacon beside its program.
pub const FLASH_BYTES: usize = 16 + 32 + 32 + 2;

/// What the event pack says of tables on the radio: the key, and which there are.
#[derive(Clone, Debug)]
pub struct TablePlan {
    key: TableKey,
    /// Ascending.
    numbers: Vec<u16>,
}

impl TablePlan {
    /// The tables with these numbers.
    pub fn new(board_key: &Key, numbers: impl IntoIterator<Item = u16>) -> TablePlan {
        let mut numbers: Vec<_> = numbers.into_iter().collect();
        numbers.sort_unstable();
        TablePlan { key: TableKey::new(board_key), numbers }
    }

    /// The number of the table that shows this advert. Costs as [`TableKey::recognise`], however many tables there are.
    pub fn recognise(&self, advert: &Advert) -> Option<u16> {
        self.key.recognise(advert, |number| self.has(number))
    }

    /// What to flash into the beacon of this table: event 16 ‖ beacon key 32 ‖ the device's own secret 32 ‖ number 2. `None` if it is not
    /// on the plan. The secret is drawn for this device and kept nowhere else.
    pub fn flash(&self, event: EventId, number: u16, secret: [u8; 32]) -> Option<Zeroizing<[u8; FLASH_BYTES]>> {
        let mut bytes = Zeroizing::new([0; FLASH_BYTES]);
        let parts = [&event.0[..], self.key.as_bytes(), &secret, &number.to_be_bytes()];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(byte, part)| *byte = *part);
        self.has(number).then_some(bytes)
    }

    fn has(&self, number: u16) -> bool {
        self.numbers.binary_search(&number).is_ok()
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
    fn a_plan_reads_its_tables_and_no_number_that_it_lacks_and_no_other_events() {
        let rng = &mut Rng::new([4; 32]);
        let plan = TablePlan::new(&Key([1; 32]), [40, 12, 7]);
        for number in 0..=50 {
            let expected = [7, 12, 40].contains(&number).then_some(number);
            assert_eq!(plan.recognise(&shown(&key(1), rng, number)), expected);
            assert_eq!(plan.recognise(&shown(&key(2), rng, number)), None, "of another event");
            assert_eq!(plan.flash(EventId([9; 16]), number, [5; 32]).map(|_| number), expected);
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
