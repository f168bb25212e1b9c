//! Laws of the event pack, its signature and its code.

use super::*;
use crate::proto::rng::Rng;
use crate::proto::scheme;
use crate::proto::secret::hash;
use ed25519_dalek::Signer;
use jiff::civil::date;

fn keys() -> OrganizerKeys {
    OrganizerKeys::new(&mut Rng::new([1; 32]))
}

fn pack(tables: u16) -> EventPack {
    pack_of(&keys(), tables)
}

/// The pack of another organizer's event.
pub(crate) fn signed_by(keys: &OrganizerKeys) -> SignedPack {
    SignedPack::sign(pack_of(keys, 12), keys).unwrap()
}

fn pack_of(keys: &OrganizerKeys, tables: u16) -> EventPack {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    EventPack {
        place: "Halle 7, Köln".into(),
        zone: "Europe/Berlin".into(),
        relays: vec![RelayAddress { url: "wss://relay.example:7878".into(), tls_pin: Some([0xAB; 32]) }],
        room_buckets: 8,
        tables: plan::in_rows(tables, 4),
        kiosk_keys: vec![keys.kiosk_key(0)],
        programme: Some(Programme { sha256: [3; 32], url: "https://conf.example/programme.ics".into() }),
        ..EventPack::bare("Offline Days 2026", date(2026, 11, 24), date(2026, 11, 26), &zone, keys).unwrap()
    }
}

/// A pack file whose check is right, whatever it holds: what an attacker can always make.
fn file(organizer: &[u8; 32], signature: &[u8; 64], payload: &[u8]) -> Vec<u8> {
    let check = &hash("alcove/1 event pack check", &[organizer, signature, payload])[..4];
    [b"ALCP", &[1][..], check, organizer, signature, payload].concat()
}

/// Any payload, signed as the organizer signs.
fn signed_file(payload: &[u8]) -> Vec<u8> {
    let key = keys().signing_key();
    let organizer = key.verifying_key().to_bytes();
    let signature = key.sign(&hash("alcove/1 event pack", &[b"ALCP", &[1], &organizer, payload]));
    file(&organizer, &signature.to_bytes(), payload)
}

#[test]
fn a_signed_pack_is_read_as_it_was_made() {
    let signed = SignedPack::sign(pack(40), &keys()).unwrap();
    let read = SignedPack::decode(signed.bytes()).unwrap();
    assert_eq!(read, signed);
    assert_eq!(read.pack(), &pack(40));
    assert_eq!(
        signed_file(&postcard::to_stdvec(&pack(40)).unwrap()),
        signed.bytes(),
        "the control: forging by hand gives the same"
    );
}

#[test]
fn the_event_stays_the_same_when_its_pack_is_made_anew() {
    let (old, new) = (SignedPack::sign(pack(40), &keys()).unwrap(), SignedPack::sign(pack(41), &keys()).unwrap());
    assert_eq!(old.event(), new.event());
    assert_eq!(old.pack().board_key, new.pack().board_key);
    let other = SignedPack::sign(pack(40), &OrganizerKeys::new(&mut Rng::new([2; 32]))).unwrap();
    assert_ne!(old.event(), other.event());
}

#[test]
fn every_flipped_byte_is_found_and_named() {
    let signed = SignedPack::sign(pack(12), &keys()).unwrap();
    for at in 0..signed.bytes().len() {
        let mut bytes = signed.bytes().to_vec();
        bytes[at] ^= 0x40;
        let expected = match at {
            0..4 => PackError::Foreign,
            4 => PackError::UnsupportedVersion,
            _ => PackError::Damaged,
        };
        assert_eq!(SignedPack::decode(&bytes), Err(expected), "byte {at}");
    }
}

#[test]
fn every_cut_pack_is_found_and_named() {
    let signed = SignedPack::sign(pack(12), &keys()).unwrap();
    for end in 0..signed.bytes().len() {
        let expected = if end < 4 { PackError::Foreign } else { PackError::Damaged };
        assert_eq!(SignedPack::decode(&signed.bytes()[..end]), Err(expected), "cut at {end}");
    }
    assert_eq!(SignedPack::decode(&[signed.bytes(), &[0]].concat()), Err(PackError::Damaged));
}

#[test]
fn a_pack_that_somebody_altered_and_made_whole_again_is_not_the_organizers() {
    let payload = postcard::to_stdvec(&pack(12)).unwrap();
    let good = SignedPack::sign(pack(12), &keys()).unwrap();
    let (organizer, signature) = (good.organizer(), <[u8; 64]>::try_from(&good.bytes()[41..105]).unwrap());
    assert_eq!(SignedPack::decode(&file(&organizer, &signature, &payload)).as_ref(), Ok(&good), "the control");
    for at in 0..payload.len() {
        let mut altered = payload.clone();
        altered[at] ^= 1;
        assert_eq!(SignedPack::decode(&file(&organizer, &signature, &altered)), Err(PackError::SignatureWrong), "byte {at}");
    }
    let mallory = OrganizerKeys::new(&mut Rng::new([9; 32])).signing_key().verifying_key().to_bytes();
    assert_eq!(SignedPack::decode(&file(&mallory, &signature, &payload)), Err(PackError::SignatureWrong));
    assert_eq!(SignedPack::decode(&file(&organizer, &[0; 64], &payload)), Err(PackError::SignatureWrong), "unsigned");
    // The identity point as a key would verify anything under the lax rule of RFC 8032.
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut lax = [0; 64];
    lax[0] = 1;
    assert_eq!(SignedPack::decode(&file(&identity, &lax, &payload)), Err(PackError::SignatureWrong));
}

#[test]
fn foreign_files_and_oversized_packs_say_so() {
    for foreign in [&b""[..], b"ALC", b"%PDF-1.7 and so on", &[0; 300_000]] {
        assert_eq!(SignedPack::decode(foreign), Err(PackError::Foreign));
    }
    let huge = signed_file(&vec![7; signed::PACK_BYTES_MAX]);
    assert_eq!(SignedPack::decode(&huge), Err(PackError::TooLarge));
    let mut wordy = pack(5_000);
    wordy.tables.iter_mut().for_each(|table| table.zone = "ü".repeat(40));
    assert_eq!(SignedPack::sign(wordy, &keys()), Err(PackError::TooLarge));
    assert!(SignedPack::sign(pack(5_000), &keys()).is_ok());
}

#[test]
fn an_event_is_over_when_its_last_day_is_and_not_before() {
    let signed = SignedPack::sign(pack(1), &keys()).unwrap();
    let ends_at = signed.pack().ends_at;
    assert_eq!(ends_at.0, 1_795_734_000_000, "2026-11-27T00:00+01:00");
    assert!(SignedPack::decode_at(signed.bytes(), WallTime(ends_at.0 - 1)).is_ok());
    assert_eq!(SignedPack::decode_at(signed.bytes(), ends_at), Err(PackError::Over));
    assert!(signed.is_over(ends_at) && SignedPack::decode(signed.bytes()).is_ok(), "reading does not ask the clock");
}

#[test]
fn a_day_is_as_long_as_its_zone_makes_it() {
    let saving = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let hours = |day, zone: &TimeZone| span(day, day, zone).map(|(opens, ends)| ends.since(opens).as_secs() / 3_600);
    assert_eq!(hours(date(2026, 3, 29), &saving), Some(23));
    assert_eq!(hours(date(2026, 10, 25), &saving), Some(25));
    assert_eq!(hours(date(2026, 10, 25), &TimeZone::UTC), Some(24));
    assert_eq!(span(date(2026, 10, 26), date(2026, 10, 25), &TimeZone::UTC), None);
    assert_eq!(span(date(2026, 1, 1), date(2026, 2, 1), &TimeZone::UTC), None, "32 days");
    assert_eq!(span(date(1969, 1, 1), date(1969, 1, 1), &TimeZone::UTC), None);
}

#[test]
fn no_field_leaves_its_bounds_not_even_signed() {
    type Break = (&'static str, fn(&mut EventPack));
    let breaks: [Break; 27] = [
        ("name", |pack| pack.name = " ".into()),
        ("name", |pack| pack.name = "n".repeat(121)),
        ("name", |pack| pack.name = "red\u{1b}[31m".into()),
        ("name", |pack| pack.name = "a\u{202e}b".into()),
        ("place", |pack| pack.place = "p".repeat(121)),
        ("place", |pack| pack.place = "two\nlines".into()),
        ("zone", |pack| pack.zone = String::new()),
        ("zone", |pack| pack.zone = "Europe Berlin".into()),
        ("ends", |pack| pack.ends = date(2026, 11, 23)),
        ("ends", |pack| pack.ends = date(2026, 12, 25)),
        ("opens_at", |pack| pack.opens_at = WallTime(0)),
        ("opens_at", |pack| pack.ends_at = WallTime(u64::MAX)),
        ("relays", |pack| pack.relays = vec![pack.relays[0].clone(); 9]),
        ("relays", |pack| pack.relays[0].tls_pin = None),
        ("relays", |pack| pack.relays[0].url = format!("wss://{}", "a".repeat(195))),
        ("room_buckets", |pack| pack.room_buckets = 0),
        ("room_buckets", |pack| pack.room_buckets = 1_001),
        ("tables", |pack| pack.tables[1].number = 1),
        ("tables", |pack| pack.tables.swap(0, 1)),
        ("tables", |pack| pack.tables[0].seats = 0),
        ("tables", |pack| pack.tables[0].seats = 101),
        ("tables", |pack| pack.tables[0].zone = "z".repeat(41)),
        ("tables", |pack| pack.tables[0].x_m = f32::NAN),
        ("tables", |pack| pack.tables[0].y_m = 10_001.0),
        ("kiosk_keys", |pack| pack.kiosk_keys = vec![[0; 32]; 257]),
        ("ticket_issuer", |pack| pack.ticket_issuer = Some(vec![0; 4_097])),
        ("programme", |pack| pack.programme = Some(Programme { sha256: [0; 32], url: "http://conf.example/".into() })),
    ];
    for (field, break_it) in breaks {
        let mut pack = pack(3);
        break_it(&mut pack);
        let found =
            [SignedPack::sign(pack.clone(), &keys()), SignedPack::decode(&signed_file(&postcard::to_stdvec(&pack).unwrap()))];
        for found in found {
            assert!(matches!(found, Err(PackError::OutOfBounds(out)) if out.field == field), "{field}: {found:?}");
        }
    }
}

#[test]
fn signed_nonsense_is_refused_and_nothing_panics() {
    let good = postcard::to_stdvec(&pack(6)).unwrap();
    let mut rng = Rng::new([4; 32]);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..1_500 {
        let mut payload = good.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(payload.len() as u64) as usize;
            match rng.below(3) {
                0 => payload[at] = rng.below(256) as u8,
                1 => payload.truncate(at.max(1)),
                _ => payload.insert(at, 0xFF),
            }
        }
        match SignedPack::decode(&signed_file(&payload)) {
            Ok(signed) => {
                read += 1;
                assert_eq!(signed.pack().check(), Ok(()));
            }
            Err(error) => {
                refused += 1;
                assert!(matches!(error, PackError::OutOfBounds(_)), "{error:?}");
            }
        }
    }
    assert!(read > 50 && refused > 50, "both happen: {read} read, {refused} refused");
}

#[test]
fn a_small_pack_is_in_its_code_and_a_large_one_is_named_by_hash_and_place() {
    let small = SignedPack::sign(pack(40), &keys()).unwrap();
    let link = small.to_link().unwrap();
    assert!(link.starts_with("ALCOVE:P") && link.len() <= 1_808);
    assert_eq!(PackLink::parse(&link), Ok(PackLink::Inline(Box::new(small.clone()))));
    assert_eq!(PackLink::parse(&link.to_lowercase()).unwrap().accept(&[]), Ok(small.clone()));

    let large = SignedPack::sign(pack(400), &keys()).unwrap();
    let link = PackLink::parse(&large.to_link().unwrap()).unwrap();
    let named = PackLink::Fetch { url: "wss://relay.example:7878".into(), sha256: large.sha256(), tls_pin: Some([0xAB; 32]) };
    assert_eq!(link, named);
    assert_eq!(link.accept(large.bytes()), Ok(large.clone()));
    assert_eq!(link.accept(small.bytes()), Err(PackError::NotTheOne), "a valid pack of the same organizer, but an older one");
    assert_eq!(link.accept(&vec![0; signed::PACK_BYTES_MAX + 1]), Err(PackError::TooLarge));
}

#[test]
fn a_code_with_a_bad_pack_says_what_is_wrong_with_it() {
    let signed = SignedPack::sign(pack(3), &keys()).unwrap();
    let link_of = |bytes: &[u8]| PackLink::parse(&scheme::to_text("P", bytes)).map(|_| ());
    let mut damaged = signed.bytes().to_vec();
    damaged[200] ^= 1;
    assert_eq!(link_of(signed.bytes()), Ok(()));
    assert_eq!(link_of(&damaged), Err(PackError::Damaged));
    assert_eq!(link_of(b"something else"), Err(PackError::Foreign));
    for text in ["", "ALCOVE:", "ALCOVE:X", "ALCOVE:H", "https://example.org", "ALCOVE:P!", &"A".repeat(100_000)] {
        assert_eq!(PackLink::parse(text), Err(PackError::NotALink), "{}", &text[..text.len().min(20)]);
    }
}

#[test]
fn a_code_never_names_a_place_that_is_not_safe_to_fetch_from() {
    let signed = SignedPack::sign(pack(3), &keys()).unwrap();
    for good in ["https://conf.example/event.alcove", "ws://127.0.0.1:7878"] {
        let link = PackLink::parse(&signed.to_link_at(good, None).unwrap()).unwrap();
        assert_eq!(link.accept(signed.bytes()), Ok(signed.clone()));
    }
    for wrong in ["http://conf.example/", "file:///etc/passwd", "wss://no.pin", "", "https://a b/"] {
        assert_eq!(signed.to_link_at(wrong, None), Err(PackError::NoAddress), "{wrong}");
        let by_hand = scheme::to_text("H", &[&[0; 33][..], wrong.as_bytes()].concat());
        assert_eq!(PackLink::parse(&by_hand), Err(PackError::NotALink), "{wrong}");
    }
    let mut without = pack(400);
    without.relays.clear();
    assert_eq!(SignedPack::sign(without, &keys()).unwrap().to_link(), Err(PackError::NoAddress));
}

#[test]
fn a_defect_is_told_to_the_attendee_in_the_words_of_the_core() {
    use crate::proto::error::Refused;
    assert_eq!(Refused::from(PackError::Over), Refused::EventOver);
    assert_eq!(Refused::from(PackError::NotALink), Refused::NotACode);
    assert_eq!(Refused::from(PackError::SignatureWrong), Refused::PackInvalid);
}

#[test]
fn the_shared_keys_are_not_printed() {
    let signed = SignedPack::sign(pack(1), &keys()).unwrap();
    let key = format!("{:?}", signed.pack().board_key.0);
    let bytes = format!("{:?}", signed.bytes());
    assert!(bytes.contains(key.trim_matches(['[', ']'])), "the control: the bytes do hold it");
    for printed in
        [format!("{:?}", signed.pack()), format!("{signed:?}"), format!("{:?}", PackLink::parse(&signed.to_link().unwrap()))]
    {
        assert!(!printed.contains(key.trim_matches(['[', ']'])));
    }
}
