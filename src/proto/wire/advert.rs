//! The advert: 10 bytes of service data under our 128-bit UUID, the only bytes that leave the device unasked.
//!
//! Law: an advert holds a version, what shows it, a random id and a hint, and nothing else; what does not parse is passed over, because
//! anybody may show anything.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version 1 in the high four bits, [`Shower`] in the low four |
//! | 6 | random id, redrawn together with the radio's address |
//! | 3 | hint: by which members of a talk recognise each other; random without a talk |
//!
//! Ten bytes are what BlueZ lets through beside the flags: eleven are refused.

use crate::proto::config::ADVERT_BYTES;
use crate::proto::id::EphemeralId;

/// The service of Alcove, in adverts and in GATT.
pub const SERVICE_UUID: u128 = 0x9d3a_f1c2_5b7e_4c60_8e21_6a1c_0e57_b001;
/// The length of a hint.
pub const HINT_BYTES: usize = 3;
const VERSION: u8 = 1;

/// What shows an advert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shower {
    /// An attendee's device.
    Attendee = 0,
    /// A table's beacon.
    Table = 1,
    /// A kiosk.
    Kiosk = 2,
}

/// What a device shows of itself to everybody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advert {
    /// What it is.
    pub shower: Shower,
    /// Its name until it rotates.
    pub id: EphemeralId,
    /// Told apart from chance by whoever shares a key with it.
    pub hint: [u8; HINT_BYTES],
}

impl Advert {
    /// The bytes to show.
    pub fn to_bytes(self) -> [u8; ADVERT_BYTES] {
        let mut bytes = [0; ADVERT_BYTES];
        bytes[0] = VERSION << 4 | self.shower as u8;
        bytes[1..7].copy_from_slice(&self.id.0);
        bytes[7..].copy_from_slice(&self.hint);
        bytes
    }

    /// Reads what [`Advert::to_bytes`] wrote; `None` for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Advert> {
        let bytes: &[u8; ADVERT_BYTES] = bytes.try_into().ok()?;
        let (&[head], rest) = bytes.split_first_chunk()?;
        let (id, hint) = rest.split_first_chunk()?;
        let shower = match (head >> 4, head & 0x0f) {
            (VERSION, 0) => Shower::Attendee,
            (VERSION, 1) => Shower::Table,
            (VERSION, 2) => Shower::Kiosk,
            _ => return None,
        };
        Some(Advert { shower, id: EphemeralId(*id), hint: hint.try_into().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;

    #[test]
    fn an_advert_survives_its_bytes_and_has_one_form() {
        let rng = &mut Rng::new([1; 32]);
        for shower in [Shower::Attendee, Shower::Table, Shower::Kiosk] {
            let advert = Advert { shower, id: EphemeralId(rng.bytes()), hint: rng.bytes() };
            assert_eq!(Advert::from_bytes(&advert.to_bytes()), Some(advert));
        }
        let read = (0..20_000)
            .filter_map(|_| Advert::from_bytes(&rng.bytes::<ADVERT_BYTES>()).map(|advert| advert.to_bytes()[0]))
            .collect::<Vec<_>>();
        assert!(read.len() > 100 && read.iter().all(|head| head >> 4 == 1), "one version of sixteen");
    }

    #[test]
    fn anything_else_is_passed_over() {
        let advert = Advert { shower: Shower::Attendee, id: EphemeralId([1; 6]), hint: [2; 3] }.to_bytes();
        assert!((0..ADVERT_BYTES).all(|length| Advert::from_bytes(&advert[..length]).is_none()));
        assert!(Advert::from_bytes(&[&advert[..], &[0]].concat()).is_none());
        for head in [0x00, 0x03, 0x0f, 0x13, 0x1f, 0x20, 0xff] {
            let mut other = advert;
            other[0] = head;
            assert!(Advert::from_bytes(&other).is_none(), "{head:#x}");
        }
    }
}
