//! Our own wire formats as bytes: what a fixed seed writes is committed, so that a changed format is a reviewed diff, and a second
//! implementation has something to read.
//!
//! `ALCOVE_WRITE_VECTORS=1 cargo test --test vectors_wire` writes `tests/vectors/wire.json` anew. Long ones are kept as their SHA-256.

use alcove::model::event::{EventPack, OrganizerKeys, PackLink, RelayAddress, SignedPack};
use alcove::proto::board::{Card, Content, Pattern, Terms};
use alcove::proto::error::Fault;
use alcove::proto::handoff::code::{Code, Kind, OneTime};
use alcove::proto::handoff::fountain::{Heard, Receiver, Sender};
use alcove::proto::id::{EphemeralId, EventId, PutId, SeatId, WriteName};
use alcove::proto::io::{ReadKey, RelayCommand, RelayRefusal};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::beacon::Beacon;
use alcove::proto::talk::close::{self, Certificate, ClosedSeat, ClosingWord, SeatEnd};
use alcove::proto::talk::door::{self, Door};
use alcove::proto::talk::entry::{Body, Entry, Head, Item, ProposalId};
use alcove::proto::talk::group::{SeatKeys, check_key_package, verify};
use alcove::proto::talk::seats::{Offer, RosterSeat, ToGuest, ToHost};
use alcove::proto::time::WallTime;
use alcove::proto::wire::advert::{Advert, Shower};
use alcove::proto::wire::frame::{Control, Frame, FrameReader};
use alcove::proto::wire::message::{self, Assembler};
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use alcove::proto::wire::{decode, encode};
use alcove::shell::relay::message::{Reply, decode_command, decode_reply, encode_command, encode_reply};
use ed25519_dalek::SigningKey;
use jiff::civil::date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

/// Longer ones are kept as a hash.
const HEX_BYTES_MAX: usize = 600;
const ROOM: [u8; 16] = [7; 16];
const WALL: WallTime = WallTime(1_794_301_200_000);
const TRAVEL: Travel = Travel { expiry_hours: 500_000, ephemeral: false, hops: 5 };

/// Says whether bytes are taken for what was written.
type Reads = Box<dyn Fn(&[u8]) -> bool>;

/// One vector: its bytes, and a reader that says whether bytes are taken.
struct Vector {
    name: String,
    bytes: Vec<u8>,
    /// What a reader needs beside the bytes.
    given: String,
    reads: Reads,
    /// Whether any changed bit must be noticed: true for what is sealed, signed or checked.
    is_proof: bool,
}

#[derive(Default)]
struct Vectors(Vec<Vector>);

impl Vectors {
    /// A format whose own bytes prove that they are whole.
    fn proof(&mut self, name: &str, given: &str, bytes: Vec<u8>, reads: impl Fn(&[u8]) -> bool + 'static) {
        let (name, given) = (name.to_owned(), given.to_owned());
        self.0.push(Vector { name, bytes, given, reads: Box::new(reads), is_proof: true });
    }

    /// A format that lies inside a sealed one.
    fn plain(&mut self, name: &str, bytes: Vec<u8>, reads: impl Fn(&[u8]) -> bool + 'static) {
        self.0.push(Vector { name: name.to_owned(), bytes, given: String::new(), reads: Box::new(reads), is_proof: false });
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn seat(seed: u8) -> SeatKeys {
    SeatKeys::generate(&mut Rng::new([seed; 32]))
}

fn parcels_and_frames(vectors: &mut Vectors) {
    let (rng, secret) = (&mut Rng::new([1; 32]), Key([2; 32]));
    let given = format!("the secret of both parcel keys is {}; the content is \"a word\"", hex(&secret.0));
    let parcel = ParcelKeys::new(&secret).seal(rng, TRAVEL, b"a word").unwrap();
    let opens = move |bytes: &[u8]| {
        let parcel = Parcel::decode(bytes.to_vec());
        // The hop limit is the one thing that may change on the way.
        parcel.is_ok_and(|parcel| {
            parcel.travel().hops == TRAVEL.hops && ParcelKeys::new(&Key([2; 32])).open(&parcel).as_deref() == Some(b"a word")
        })
    };
    vectors.proof("parcel, small", &given, parcel.as_bytes().to_vec(), opens);
    let parts = message::seal(rng, &ParcelKeys::new(&secret), TRAVEL, &[5; 4_000]).unwrap();
    assert_eq!(parts.len(), 2);
    let contents: Vec<_> = parts.iter().map(|parcel| ParcelKeys::new(&secret).open(parcel).unwrap()).collect();
    vectors.plain(
        "message of 4,000 times 05 in two parts, the first part's first 12 bytes",
        contents[0][..12].to_vec(),
        move |bytes| {
            let mut assembler = Assembler::default();
            let first = [bytes, &contents[0][12..]].concat();
            assembler.take(&first) == Ok(None) && assembler.take(&contents[1]) == Ok(Some(vec![5; 4_000]))
        },
    );

    let advert = Advert { shower: Shower::Kiosk, id: EphemeralId([7; 6]), hint: [8; 3] };
    vectors.plain("advert of a kiosk", advert.to_bytes().to_vec(), move |bytes| Advert::from_bytes(bytes) == Some(advert));
    let controls = [
        ("carrying", Control::Carrying { round: [2; 4], slice: 1, first: 53, symbols: vec![[3; 4]; 49] }),
        ("lacking", Control::Lacking { round: [2; 4], short_ids: Some(vec![[4; 3], [5; 3]]) }),
        ("more symbols", Control::Lacking { round: [2; 4], short_ids: None }),
        ("table", Control::Table { proof: [6; 32] }),
        ("newcomer", Control::Newcomer { offer: vec![8; 3] }),
        ("admission", Control::Admission { admitted: true }),
        ("introduction", Control::Introduction { id: EphemeralId([7; 6]) }),
        ("ask", Control::Ask { public: [9; 32], proof: [10; 32] }),
        ("answer", Control::Answer { proof: [11; 32] }),
        ("member", Control::Member { proofs: [[12; 8]; 4] }),
    ];
    for (name, control) in controls {
        let frame = Frame::Control(control);
        let cell = frame.to_cells().unwrap().remove(0).to_vec();
        vectors.plain(&format!("cell before it is sealed, {name}"), cell, move |bytes| {
            FrameReader::default().take(bytes) == Ok(Some(frame.clone()))
        });
    }
    let sealed = door::seal(rng, &Door::from_seed(&Key([9; 32])).public(), b"an offer").unwrap();
    let given = "the door of the seed 09 × 32; what is handed in is \"an offer\"";
    let opens = |bytes: &[u8]| Door::from_seed(&Key([9; 32])).open(bytes).as_deref() == Some(b"an offer");
    vectors.proof("through a door", given, sealed, opens);
}

fn terms() -> Terms {
    Terms {
        topic: "What did you stop doing?".into(),
        tags: vec!["rust".into(), "teams".into()],
        pattern: Pattern::KnowHow,
        seats_min: 3,
        seats_max: 5,
        expires_hours: WALL.hours() + 10,
    }
}

fn pack(keys: &OrganizerKeys) -> EventPack {
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    EventPack {
        place: "Nowhere".into(),
        zone: "Europe/Berlin".into(),
        relays: vec![RelayAddress { url: "wss://relay.example:443".into(), tls_pin: Some([5; 32]) }],
        room_buckets: 2,
        ..EventPack::bare("Vector Days", date(2026, 11, 10), date(2026, 11, 12), &zone, keys).expect("days in their order")
    }
}

fn codes_cards_and_packs(vectors: &mut Vectors) {
    let one_time = OneTime::new(&mut Rng::new([10; 32]));
    let at = "192.0.2.7:4000".parse().ok();
    let code = one_time.code(Kind::Newcomers, WALL, at, EventId([11; 16]));
    let bytes = code.to_text().as_bytes().to_vec();
    vectors.plain("handoff code, as text", bytes, move |bytes| Code::parse(text(bytes)).is_ok_and(|read| read == code));

    let key = Key([12; 32]);
    let content = Content { terms: terms(), host: SeatId([1; 16]), door: [2; 32], mailbox: WriteName([3; 16]) };
    let public = SigningKey::from_bytes(&key.0).verifying_key().to_bytes();
    for (name, version, content) in [("card", 1, Some(content)), ("card, withdrawn", 2, None)] {
        let card = Card { key: public, version, content };
        let given = format!("read in the hour {}", WALL.hours());
        let bytes = card.sign(&key);
        vectors.proof(name, &given, bytes, move |bytes| Card::decode_signed(bytes, WALL).is_ok_and(|read| read == card));
    }

    let keys = OrganizerKeys::new(&mut Rng::new([13; 32]));
    let signed = SignedPack::sign(pack(&keys), &keys).unwrap();
    let (inline, wanted) = (signed.to_link().unwrap(), signed.clone());
    vectors.proof("event pack", "", signed.bytes().to_vec(), |bytes| SignedPack::decode(bytes).is_ok());
    vectors.proof("event pack, as a code", "", inline.into_bytes(), move |bytes| {
        PackLink::parse(text(bytes)) == Ok(PackLink::Inline(Box::new(wanted.clone())))
    });
    let fetch = signed.to_link_at("wss://relay.example:443", Some([5; 32])).unwrap();
    vectors.plain("event pack, as a code that says where it is", fetch.into_bytes(), move |bytes| {
        let url = "wss://relay.example:443".into();
        PackLink::parse(text(bytes)) == Ok(PackLink::Fetch { url, sha256: signed.sha256(), tls_pin: Some([5; 32]) })
    });

    let sealed: Vec<u8> = (0..600_u32).map(|at| at as u8).collect();
    let sender = Sender::new(&sealed).unwrap();
    for (name, number) in [("animated code, first frame", 0), ("animated code, a frame that repairs", 2)] {
        let frame = sender.frame(number).into_bytes();
        let given = "the sealed message is 00 01 … ff 00 … of 600 bytes";
        vectors.proof(name, given, frame, |bytes| Receiver::default().receive(text(bytes)) == Ok(Heard::New));
    }
}

fn relay_messages(vectors: &mut Vectors) {
    let (read_key, mailbox, blob) = (ReadKey(Key([14; 32])), WriteName([15; 16]), vec![16; 4096]);
    let commands = [
        ("subscribe", RelayCommand::Subscribe { read_key: read_key.clone(), after: 17 }),
        ("unsubscribe", RelayCommand::Unsubscribe { read_key }),
        ("put", RelayCommand::Put { id: PutId(18), to: mailbox, blob: blob.clone(), hours: 24, delete_hash: [19; 16] }),
        ("delete", RelayCommand::Delete { from: mailbox, delete_key: [20; 16] }),
    ];
    for (name, command) in commands {
        let bytes = encode_command(&command).unwrap();
        vectors.plain(&format!("to the relay, {name}"), bytes, move |bytes| decode_command(bytes).as_ref() == Ok(&command));
    }
    let replies = [
        ("blob", Reply::Blob { mailbox, cursor: 21, blob: blob.into() }),
        ("caught up", Reply::CaughtUp { mailbox }),
        ("stored", Reply::Stored { id: PutId(22) }),
        ("refused", Reply::Refused { id: PutId(23), why: RelayRefusal::SlowDown }),
    ];
    for (name, reply) in replies {
        let bytes = encode_reply(&reply);
        vectors.plain(&format!("from the relay, {name}"), bytes, move |bytes| decode_reply(bytes).as_ref() == Ok(&reply));
    }
}

fn seats_and_entries(vectors: &mut Vectors) {
    let mut guest = seat(30);
    let key_package = guest.key_package(&mut Rng::new([31; 32])).unwrap();
    vectors.proof("key package", "", key_package.clone(), |bytes| check_key_package(bytes).is_ok());
    let offer = Offer { round: 1, key_package: vec![1; 3], commitment: [2; 32], reply: [3; 32], reply_mailbox: WriteName([4; 16]) };
    let to_host = [
        ("offer", ToHost::Offer(offer)),
        ("reveal", ToHost::Reveal { round: 1, contribution: [5; 16] }),
        ("stand up", ToHost::StandUp),
    ];
    for (name, word) in to_host {
        plain_value(vectors, &format!("to the host, {name}"), word);
    }
    let drawn = RosterSeat { seat: SeatId([6; 16]), key_package: [7; 32], commitment: [8; 32] };
    let to_guest = [
        ("noted", ToGuest::Noted { taken: 3 }),
        ("redraw", ToGuest::Redraw { round: 2 }),
        ("roster", ToGuest::Roster { round: 1, seats: vec![drawn] }),
        ("founded", ToGuest::Founded { round: 1, contributions: vec![[9; 16]], welcome: vec![10; 3] }),
        ("joined", ToGuest::Joined { welcome: vec![11; 3], state: vec![12; 3] }),
        ("declined", ToGuest::Declined),
    ];
    for (name, word) in to_guest {
        plain_value(vectors, &format!("to a guest, {name}"), word);
    }
    plain_value(vectors, "beacon", Beacon { seat: 1, term: 2, epoch: 3, digest: [4; 8], wall_minutes: 5 });

    let keys = seat(32);
    let proposal = ProposalId(0, 4);
    let vote = close::vote(&keys, &ROOM, proposal, [33; 32], &[34; 16]);
    let goodbye = close::leave(&keys, &ROOM);
    let bodies = [
        ("hello", Body::Hello { rejoin_key: [1; 32] }),
        ("say", Body::Say { text: "hello".into() }),
        ("change", Body::Change { generation: 1, bytes: vec![2; 3] }),
        ("place", Body::Place { at_table: true }),
        ("leave", Body::Leave { signature: goodbye }),
        ("remove", Body::Remove { seat: 2, signature: goodbye }),
        ("vouch", Body::Vouch { offer: vec![3; 3] }),
        ("propose", Body::Propose),
        ("vote", Body::Vote(vote)),
        ("retract", Body::Retract { proposal }),
        ("fold at", Body::FoldAt { generation: 2, heads: vec![[4; 32]] }),
        ("folded", Body::Folded { generation: 2, hash: [5; 16] }),
        ("fold done", Body::FoldDone { generation: 2, hash: [5; 16] }),
        ("goodbye", Body::Goodbye { seat: 1, signature: goodbye }),
    ];
    for (name, body) in bodies {
        let (chain, number) = ([6; 16], 3);
        let message = Entry::signed_parts(&ROOM, keys.id(), number, &chain, &body);
        let signature = keys.sign("entry", &[&message]).into();
        let bytes = encode(&Item::Entry(Entry { seat: 0, number, body, signature }));
        let (id, key) = (keys.id(), keys.verifying_key());
        let given = format!("room {}, seat {id}, key {}, chain before it {}", hex(&ROOM), hex(&key), hex(&chain));
        vectors.proof(&format!("entry, {name}"), &given, bytes, move |bytes| {
            let Ok(Item::Entry(entry)) = decode::<Item>(bytes, "item") else { return false };
            let message = Entry::signed_parts(&ROOM, id, entry.number, &chain, &entry.body);
            entry.seat == 0 && verify(&key, "entry", &[&message], &entry.signature.to_bytes())
        });
    }
    plain_value(vectors, "entry, folded away", Item::Folded { seat: 1, head: Head { number: 2, chain: [3; 16] } });
}

fn certificates(vectors: &mut Vectors) {
    let (stays, left) = (seat(40), seat(41));
    let set = close::set_hash(&ROOM, [stays.id()].iter());
    let ends = [
        (&stays, SeatEnd::Voted(close::vote(&stays, &ROOM, ProposalId(0, 4), set, &[42; 16]))),
        (&left, SeatEnd::Left(close::leave(&left, &ROOM))),
    ];
    let seats = ends.map(|(keys, end)| ClosedSeat { seat: keys.id(), key: keys.verifying_key(), end }).to_vec();
    let given = format!("room {}", hex(&ROOM));
    vectors.proof("certificate", &given, encode(&ClosingWord::Certificate(Certificate { seats })), |bytes| {
        let read = decode::<ClosingWord>(bytes, "word");
        matches!(read, Ok(ClosingWord::Certificate(certificate)) if certificate.holds(&ROOM) && certificate.seats.len() == 2)
    });
    let (id, key) = (left.id(), left.verifying_key());
    let word = ClosingWord::Goodbye { seat: id, signature: close::leave(&left, &ROOM) };
    vectors.proof("goodbye", &format!("{given}, key {}", hex(&key)), encode(&word), move |bytes| {
        let read = decode::<ClosingWord>(bytes, "word");
        matches!(read, Ok(ClosingWord::Goodbye { seat, signature }) if close::leave_holds(&ROOM, seat, &key, &signature))
    });
}

fn plain_value<T>(vectors: &mut Vectors, name: &str, value: T)
where
    T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + 'static,
{
    vectors.plain(name, encode(&value), move |bytes| decode::<T>(bytes, "vector").is_ok_and(|read| read == value));
}

fn all() -> Vec<Vector> {
    let mut vectors = Vectors::default();
    parcels_and_frames(&mut vectors);
    codes_cards_and_packs(&mut vectors);
    relay_messages(&mut vectors);
    seats_and_entries(&mut vectors);
    certificates(&mut vectors);
    vectors.0
}

fn written(vector: &Vector) -> Value {
    let mut fields = json!({ "name": vector.name, "length": vector.bytes.len() });
    if !vector.given.is_empty() {
        fields["given"] = json!(vector.given);
    }
    match text(&vector.bytes) {
        _ if vector.bytes.len() > HEX_BYTES_MAX => fields["sha256"] = json!(hex(&Sha256::digest(&vector.bytes))),
        readable if readable.starts_with("ALCOVE:") => fields["text"] = json!(readable),
        _ => fields["hex"] = json!(hex(&vector.bytes)),
    }
    fields
}

#[test]
fn every_wire_format_is_written_as_the_committed_vectors_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/wire.json");
    let now: Vec<_> = all().iter().map(written).collect();
    if std::env::var_os("ALCOVE_WRITE_VECTORS").is_some() {
        let lines: Vec<_> = now.iter().map(Value::to_string).collect();
        std::fs::write(&path, format!("[\n{}\n]\n", lines.join(",\n"))).expect("the file can be written");
    }
    let committed: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).expect("the file is there")).expect("a JSON list");
    let by_name = |list: &[Value]| list.iter().map(|v| (v["name"].to_string(), v.clone())).collect::<BTreeMap<_, _>>();
    for (name, vector) in by_name(&now) {
        assert_eq!(by_name(&committed).get(&name), Some(&vector), "{name}: if this is meant, write the vectors anew");
    }
    assert_eq!((now.len(), committed.len()), (58, now.len()));
}

#[test]
fn every_vector_reads_back_and_one_changed_bit_is_noticed() {
    for vector in all() {
        assert!((vector.reads)(&vector.bytes), "{}", vector.name);
        let longer = [&vector.bytes[..], &[0]].concat();
        assert!(vector.bytes.len() < 13 || !(vector.reads)(&longer), "{}: a byte more", vector.name);
        for at in (0..vector.bytes.len()).step_by(1 + vector.bytes.len() / 500) {
            let mut changed = vector.bytes.clone();
            changed[at] ^= 1 << (at % 8);
            // Base45 is read in lower case too, and what follows a cell's content is padding.
            let is_padding = vector.name.starts_with("cell") && at >= 6 + usize::from(vector.bytes[5]);
            let same = text(&changed).to_ascii_uppercase() == text(&vector.bytes) && !text(&changed).is_empty();
            let noticed = !(vector.reads)(&changed);
            assert!(noticed || same || is_padding, "{}: byte {at} of {}", vector.name, vector.bytes.len());
            assert!(noticed || !vector.is_proof || same, "{}", vector.name);
        }
    }
    assert_eq!(Parcel::decode(vec![0; 448]), Err(Fault::Malformed("parcel")), "control");
}
