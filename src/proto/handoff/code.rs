//! The handoff's QR code: 62 bytes that say which one-time key to speak to, with which one-time secret, where and until when.
//!
//! Laws: it names no person, device or talk; every list of 62 bytes has one reading or none. It does not tell whether the code was
//! used already: only the device that shows it knows.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | version, 1 |
//! | 1 | [`Kind`] |
//! | 32 | one-time X25519 public key (RFC 7748): the Noise responder's static key |
//! | 16 | one-time secret |
//! | 4 | expiry, minutes since the Unix epoch, big endian |
//! | 4 + 2 | IPv4 address and TCP port, big endian; all zero: none |
//! | 2 | which event: a hash of its id, so that a wrong code is told from a broken one |
//!
//! As text it is [`scheme`] without a letter: 100 characters, QR version 5-M. With this version and these kinds the first character
//! of the base45 text is `W` or `X`, which no letter of another kind is.

use crate::proto::error::Refused;
use crate::proto::id::EventId;
use crate::proto::rng::Rng;
use crate::proto::scheme;
use crate::proto::secret::{Key, hash16};
use crate::proto::time::WallTime;
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// The length of a handoff code.
pub const CODE_BYTES: usize = 62;
const VERSION: u8 = 1;
const MINUTE_MS: u64 = 60_000;

/// Whom the device that shows the code would let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Those who sit in the talk already.
    Members = 1,
    /// Those, and newcomers whom the host admits after both have seen the same words.
    Newcomers = 2,
}

/// A handoff code as shown or scanned. It holds a secret: it is wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// Who may come.
    pub kind: Kind,
    /// The one-time X25519 public key of the device that shows it.
    pub public_key: [u8; 32],
    /// Where that device listens; `None` when its LAN is off.
    pub address: Option<SocketAddrV4>,
    secret: Zeroizing<[u8; 16]>,
    expiry_minute: u32,
    event_check: [u8; 2],
}

impl Code {
    /// Reads a scanned text. Space around it and lower case are accepted.
    ///
    /// # Errors
    /// [`Refused::NotACode`]: not a handoff code of this version. Whether it has expired or belongs to another event is for the caller
    /// to ask.
    pub fn parse(text: &str) -> Result<Code, Refused> {
        let bytes = Zeroizing::new(scheme::from_text("", text, CODE_BYTES).ok_or(Refused::NotACode)?);
        let bytes: &[u8; CODE_BYTES] = bytes.as_slice().try_into().map_err(|_| Refused::NotACode)?;
        Code::from_bytes(bytes).ok_or(Refused::NotACode)
    }

    /// The text of the QR code.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(scheme::to_text("", &*self.to_bytes()))
    }

    /// The 62 bytes: what the Noise prologue binds the handshake to.
    pub fn to_bytes(&self) -> Zeroizing<[u8; CODE_BYTES]> {
        let (ip, port) = self.address.map_or((Ipv4Addr::UNSPECIFIED, 0), |at| (*at.ip(), at.port()));
        let mut bytes = Zeroizing::new([0; CODE_BYTES]);
        bytes[0] = VERSION;
        bytes[1] = self.kind as u8;
        bytes[2..34].copy_from_slice(&self.public_key);
        bytes[34..50].copy_from_slice(&*self.secret);
        bytes[50..54].copy_from_slice(&self.expiry_minute.to_be_bytes());
        bytes[54..58].copy_from_slice(&ip.octets());
        bytes[58..60].copy_from_slice(&port.to_be_bytes());
        bytes[60..62].copy_from_slice(&self.event_check);
        bytes
    }

    /// Reads what [`Code::to_bytes`] wrote; `None` for another version, an unknown kind, or half an address.
    pub fn from_bytes(bytes: &[u8; CODE_BYTES]) -> Option<Code> {
        let (&[version, kind], rest) = bytes.split_first_chunk()?;
        let (public_key, rest) = rest.split_first_chunk()?;
        let (secret, rest) = rest.split_first_chunk()?;
        let (expiry, rest) = rest.split_first_chunk()?;
        let (ip, rest) = rest.split_first_chunk::<4>()?;
        let (port, event_check) = rest.split_first_chunk()?;
        let kind = match (version, kind) {
            (VERSION, 1) => Kind::Members,
            (VERSION, 2) => Kind::Newcomers,
            _ => return None,
        };
        let address = match (Ipv4Addr::from(*ip), u16::from_be_bytes(*port)) {
            (Ipv4Addr::UNSPECIFIED, 0) => None,
            (Ipv4Addr::UNSPECIFIED, _) | (_, 0) => return None,
            (ip, port) => Some(SocketAddrV4::new(ip, port)),
        };
        Some(Code {
            kind,
            public_key: *public_key,
            address,
            secret: Zeroizing::new(*secret),
            expiry_minute: u32::from_be_bytes(*expiry),
            event_check: event_check.try_into().ok()?,
        })
    }

    /// Whether its time is over by this wall clock.
    pub fn is_expired(&self, wall: WallTime) -> bool {
        wall.minutes() >= self.expiry_minute
    }

    /// Whether it was made at this event. One foreign code in 65,536 passes; it fails in the handshake.
    pub fn is_for(&self, event: EventId) -> bool {
        self.event_check == event_check(event)
    }

    /// The handshake's pre-shared key, the same as [`OneTime::psk`].
    pub fn psk(&self) -> Key {
        psk(&self.secret)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({:?} …)", self.kind)
    }
}

/// The half of a code that stays on the device that shows it: the one-time private key and secret, wiped when dropped. Make a new one
/// for every code shown.
pub struct OneTime {
    private_key: StaticSecret,
    secret: Zeroizing<[u8; 16]>,
}

impl OneTime {
    /// A fresh one.
    pub fn new(rng: &mut Rng) -> OneTime {
        OneTime { private_key: StaticSecret::from(rng.bytes::<32>()), secret: Zeroizing::new(rng.bytes()) }
    }

    /// The code to show, good until `expiry` (rounded up to the minute).
    pub fn code(&self, kind: Kind, expiry: WallTime, address: Option<SocketAddrV4>, event: EventId) -> Code {
        Code {
            kind,
            public_key: PublicKey::from(&self.private_key).to_bytes(),
            // Half an address cannot be dialled, and a code that says so cannot be read.
            address: address.filter(|at| !at.ip().is_unspecified() && at.port() != 0),
            secret: self.secret.clone(),
            expiry_minute: u32::try_from(expiry.0.div_ceil(MINUTE_MS)).unwrap_or(u32::MAX),
            event_check: event_check(event),
        }
    }

    /// The Noise responder's static private key.
    pub fn private_key(&self) -> &[u8; 32] {
        self.private_key.as_bytes()
    }

    /// The handshake's pre-shared key.
    pub fn psk(&self) -> Key {
        psk(&self.secret)
    }
}

impl fmt::Debug for OneTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTime(…)")
    }
}

/// HKDF-SHA256 (RFC 5869) of the one-time secret, without salt.
fn psk(secret: &[u8; 16]) -> Key {
    let mut okm = [0; 32];
    Hkdf::<Sha256>::new(None, secret)
        .expand(b"alcove/1 handoff psk", &mut okm)
        .expect("32 bytes are a valid HKDF-SHA256 output length");
    Key(okm)
}

fn event_check(event: EventId) -> [u8; 2] {
    let [a, b, ..] = hash16("alcove/1 event check", &[&event.0]);
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const EVENT: EventId = EventId([7; 16]);
    const NOON: WallTime = WallTime(1_795_521_600_000);

    fn shown(rng: &mut Rng) -> (OneTime, Code) {
        let one_time = OneTime::new(rng);
        let at = SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 21), 40_123);
        let code = one_time.code(Kind::Newcomers, NOON + Duration::from_secs(45), Some(at), EVENT);
        (one_time, code)
    }

    #[test]
    fn a_code_is_62_bytes_and_100_characters_and_reads_as_it_was_written() {
        let mut rng = Rng::new([2; 32]);
        for _ in 0..200 {
            let (one_time, code) = shown(&mut rng);
            let text = code.to_text();
            assert_eq!((code.to_bytes().len(), text.len()), (62, 100));
            let read = Code::parse(&text).unwrap();
            assert_eq!(read, code);
            assert_eq!(read.psk(), one_time.psk());
            assert_eq!(read.address, code.address);
            assert_eq!(Code::parse(&format!("\n {}  ", text.to_lowercase())), Ok(code));
        }
    }

    #[test]
    fn the_public_key_in_the_code_belongs_to_the_private_key_that_stays() {
        let (one_time, code) = shown(&mut Rng::new([3; 32]));
        let guest = StaticSecret::from([9; 32]);
        let host = StaticSecret::from(*one_time.private_key());
        let by_guest = guest.diffie_hellman(&PublicKey::from(code.public_key));
        assert_eq!(by_guest.as_bytes(), host.diffie_hellman(&PublicKey::from(&guest)).as_bytes());
    }

    #[test]
    fn two_codes_of_one_device_have_nothing_in_common_but_place_and_time() {
        let mut rng = Rng::new([4; 32]);
        let ((_, a), (_, b)) = (shown(&mut rng), shown(&mut rng));
        assert_ne!(a.public_key, b.public_key);
        assert_ne!(a.psk(), b.psk());
        assert_eq!(a.to_bytes()[50..], b.to_bytes()[50..]);
    }

    #[test]
    fn a_code_expires_at_the_minute_after_its_time_and_not_before() {
        let (_, code) = shown(&mut Rng::new([5; 32]));
        assert!(!code.is_expired(NOON));
        assert!(!code.is_expired(NOON + Duration::from_millis(59_999)));
        assert!(code.is_expired(NOON + Duration::from_secs(60)));
        assert!(code.is_expired(WallTime(u64::MAX)));
    }

    #[test]
    fn a_code_knows_its_event() {
        let (_, code) = shown(&mut Rng::new([6; 32]));
        assert!(code.is_for(EVENT));
        assert!(!code.is_for(EventId([8; 16])));
    }

    #[test]
    fn a_device_without_lan_shows_a_code_without_address() {
        let one_time = OneTime::new(&mut Rng::new([7; 32]));
        for at in [None, Some(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 80)), Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))] {
            let code = one_time.code(Kind::Members, NOON, at, EVENT);
            assert_eq!(Code::parse(&code.to_text()).unwrap().address, None);
        }
    }

    #[test]
    fn another_version_an_unknown_kind_and_half_an_address_are_not_codes() {
        let (_, code) = shown(&mut Rng::new([8; 32]));
        let good = *code.to_bytes();
        assert!(Code::from_bytes(&good).is_some());
        for (at, value) in
            [(0, vec![0]), (0, vec![2]), (1, vec![0]), (1, vec![3]), (1, vec![0x82]), (54, vec![0; 4]), (58, vec![0; 2])]
        {
            let mut bad = good;
            bad[at..at + value.len()].copy_from_slice(&value);
            assert!(Code::from_bytes(&bad).is_none(), "{value:?} at {at}");
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_what_it_reads_it_would_write() {
        let mut rng = Rng::new([9; 32]);
        let (_, code) = shown(&mut rng);
        let good = code.to_text();
        let (mut read, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let mut text: Vec<u8> = good.bytes().collect();
            for _ in 0..=rng.below(3) {
                let at = rng.below(text.len() as u64) as usize;
                match rng.below(3) {
                    0 => text[at] = rng.below(128) as u8,
                    1 => drop(text.remove(at)),
                    _ => text.insert(at, rng.below(128) as u8),
                }
            }
            let text = String::from_utf8(text).unwrap();
            match Code::parse(&text) {
                Ok(code) => {
                    read += 1;
                    assert_eq!(*code.to_text(), text.trim().to_ascii_uppercase());
                }
                Err(refused_as) => {
                    refused += 1;
                    assert_eq!(refused_as, Refused::NotACode);
                }
            }
        }
        assert!(read > 1_000 && refused > 1_000, "both happen: {read} read, {refused} refused");
    }

    #[test]
    fn a_handoff_code_cannot_be_taken_for_a_code_with_a_letter() {
        let mut rng = Rng::new([10; 32]);
        for kind in [Kind::Members, Kind::Newcomers] {
            for _ in 0..200 {
                let text = OneTime::new(&mut rng).code(kind, NOON, None, EVENT).to_text();
                assert!(["W", "X"].contains(&&text[7..8]), "{}", &text[7..8]);
            }
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let (one_time, code) = shown(&mut Rng::new([11; 32]));
        assert_eq!(format!("{one_time:?} {code:?}"), "OneTime(…) Code(Newcomers …)");
    }
}
