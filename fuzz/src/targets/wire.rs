//! Cells, parcels, split messages, and every value that lies in them: what is read is written again as itself, no longer than it came.

use super::Choices;
use alcove::proto::secret::Key;
use alcove::proto::talk::beacon::Beacon;
use alcove::proto::talk::close::ClosingWord;
use alcove::proto::talk::door::Door;
use alcove::proto::talk::entry::{Body, Item, Log};
use alcove::proto::talk::group::verify;
use alcove::proto::talk::rejoin::Stub;
use alcove::proto::talk::room::State;
use alcove::proto::talk::seats::{Offer, ToGuest, ToHost};
use alcove::proto::talk::{StageRecord, entry};
use alcove::proto::wire::frame::{CELL_PLAIN_BYTES, Control, Frame, FrameReader};
use alcove::proto::wire::message::{Assembler, MESSAGE_BYTES_MAX};
use alcove::proto::wire::parcel::{LARGE_CONTENT_BYTES, Parcel, ParcelKeys};
use alcove::proto::wire::{decode, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

const ROOM: [u8; 16] = [7; 16];

pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(16) {
        0 => cells(choices),
        1 => parcel(choices.rest()),
        2 => parts(choices),
        3 => same::<ToHost>(choices.rest()),
        4 => same::<ToGuest>(choices.rest()),
        5 => same::<State>(choices.rest()),
        6 => closing_word(choices.rest()),
        7 => log(choices, verify_entry),
        8 => log(choices, |_, _, _, _| true),
        9 => same::<Beacon>(choices.rest()),
        10 => same::<Offer>(choices.rest()),
        11 => same::<Body>(choices.rest()),
        12 => same::<Control>(choices.rest()),
        13 => drop(Door::from_seed(&Key([9; 32])).open(choices.rest())),
        14 => drop(decode::<Stub>(choices.rest(), "stub")),
        _ => drop(decode::<StageRecord>(choices.rest(), "stage")),
    }
}

/// What decodes is the same after it was written and read again, and never grows.
fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) {
    let Ok(value) = decode::<T>(bytes, "value") else { return };
    let written = encode(&value);
    assert!(written.len() <= bytes.len(), "a value is written in its shortest form");
    assert_eq!(decode::<T>(&written, "value"), Ok(value));
}

fn cells(mut choices: Choices<'_>) {
    let mut reader = FrameReader::default();
    while !choices.is_over() {
        // Mostly zero cells, so that 16 of them need few bytes.
        let mut cell = [0; CELL_PLAIN_BYTES];
        let content = choices.sized();
        let length = content.len().min(cell.len());
        cell[..length].copy_from_slice(&content[..length]);
        match reader.take(&cell) {
            Ok(None) => {}
            Err(_) => reader = FrameReader::default(),
            Ok(Some(frame)) => {
                let mut again = FrameReader::default();
                let cells = frame.to_cells().expect("what was read fits again");
                let read: Vec<_> = cells.iter().filter_map(|cell| again.take(cell).expect("our own cells")).collect();
                assert_eq!(read, [frame]);
            }
        }
    }
}

fn parcel(bytes: &[u8]) {
    let Ok(parcel) = Parcel::decode(bytes.to_vec()) else { return };
    assert_eq!(parcel.as_bytes(), bytes);
    let keys = ParcelKeys::new(&Key([2; 32]));
    drop(keys.open(&parcel));
    if let Some(next) = parcel.next_hop() {
        assert_eq!((next.id(), next.travel().hops + 1), (parcel.id(), parcel.travel().hops));
    }
    assert_eq!(Frame::Parcel(parcel.clone()).to_cells().map(|cells| cells.len()), Some(bytes.len() / 224));
}

fn parts(mut choices: Choices<'_>) {
    let (mut assembler, mut given) = (Assembler::default(), 0);
    while !choices.is_over() {
        let mut content = choices.sized().to_vec();
        if choices.below(4) == 0 {
            content.resize(LARGE_CONTENT_BYTES, 1);
        }
        content.truncate(LARGE_CONTENT_BYTES);
        given += content.len();
        if let Ok(Some(message)) = assembler.take(&content) {
            assert!(message.len() <= given && message.len() <= MESSAGE_BYTES_MAX);
        }
    }
}

fn closing_word(bytes: &[u8]) {
    same::<ClosingWord>(bytes);
    if let Ok(ClosingWord::Certificate(certificate)) = decode(bytes, "word") {
        let holds = certificate.holds(&ROOM);
        assert!(!holds || certificate.proposal().is_some());
        assert!(certificate.token_hashes().len() <= certificate.seats.len());
    }
}

fn verify_entry(key: &[u8; 32], domain: &str, message: &[u8], signature: &[u8; 64]) -> bool {
    verify(key, domain, &[message], signature)
}

/// Lines of three seats; `verify` as it is, or as if every seat were hostile and signed whatever it says.
fn log(mut choices: Choices<'_>, verify: entry::Verify) {
    let mut log = Log::default();
    for seat in 0..3 {
        log.open_line(alcove::proto::id::SeatId([seat; 16]), [seat; 32], entry::Head::default());
    }
    while !choices.is_over() {
        let Ok(items) = decode::<Vec<Item>>(choices.sized(), "entries") else { continue };
        for item in items {
            let (seat, before) = (item.seat(), log.head(item.seat()).number);
            if let Ok(ready) = log.receive(&ROOM, item, verify) {
                let numbers: Vec<_> = ready.iter().map(Item::number).collect();
                let expected: Vec<_> = (before + 1..).take(ready.len()).collect();
                assert_eq!(numbers, expected, "in order and without a gap");
            }
            assert!(log.head(seat).number >= before);
        }
    }
    let known: Vec<u32> = log.heads().iter().map(|head| head.number).collect();
    assert!(log.missing(&known, 1 << 20).is_empty() && !log.lacks(&known));
    let bytes: usize = log.missing(&[0, 0, 0], 10_000).iter().map(|item| encode(item).len()).sum();
    assert!(bytes <= 10_000);
}
