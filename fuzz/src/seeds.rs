//! Seeds for the targets, from what the simulator's phones really send and remember, and from one of each of our formats.
//!
//! `ALCOVE_WRITE_SEEDS=1 cargo test --workspace --test fuzz_seeds every_target` writes them anew.

use alcove::model::event::{OrganizerKeys, SignedPack};
use alcove::proto::board::{Card, Content};
use alcove::proto::handoff::code::{Kind, OneTime};
use alcove::proto::id::{EventId, PutId, SeatId, WriteName};
use alcove::proto::io::{ReadKey, RelayCommand, Scope};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::beacon::Beacon;
use alcove::proto::talk::close::{self, Certificate, ClosedSeat, ClosingWord, SeatEnd};
use alcove::proto::talk::entry::{Body, Head, Item, ProposalId};
use alcove::proto::talk::group::{Group, SeatKeys};
use alcove::proto::talk::seats::{Offer, RosterSeat, ToGuest, ToHost};
use alcove::proto::time::Duration;
use alcove::proto::wire::frame::{Control, Frame};
use alcove::proto::wire::parcel::{ParcelKeys, Travel};
use alcove::proto::wire::{decode, encode};
use alcove::shell::picture::{Correction, Qr};
use alcove::shell::relay::message::{Reply, encode_command, encode_reply};
use ed25519_dalek::SigningKey;
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{open_room, terms, write};
use std::fs;
use std::path::Path;

const ROOM: [u8; 16] = [7; 16];

/// Seeds by target: a number counts them.
#[derive(Default)]
struct Seeds(Vec<(&'static str, Vec<u8>)>);

impl Seeds {
    fn add(&mut self, target: &'static str, parts: &[&[u8]]) {
        self.0.push((target, parts.concat()));
    }
}

/// Writes all seeds under this folder, in place of those that are there.
pub fn write_all(folder: &Path) {
    let mut seeds = Seeds::default();
    let traffic = traffic();
    wire(&mut seeds, &traffic);
    rooms(&mut seeds, &traffic);
    signed_and_codes(&mut seeds, &traffic);
    local(&mut seeds);
    groups(&mut seeds);
    quarantine(&mut seeds);
    operations(&mut seeds);
    let _ = fs::remove_dir_all(folder);
    for (number, (target, bytes)) in seeds.0.iter().enumerate() {
        let folder = folder.join(target);
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(folder.join(format!("{number:03}")), bytes).expect("the seed can be written");
    }
}

/// What one phone remembers of a talk in which three spoke and wrote.
struct Traffic {
    items: Vec<Vec<u8>>,
    stub: Vec<u8>,
    room: Vec<u8>,
    pack: Vec<u8>,
}

fn traffic() -> Traffic {
    let mut network = Network::new(7, 3);
    network.connect_all();
    (0..3).for_each(|phone| network.set_online(phone, true));
    let talks = open_room(&mut network, 3, 3);
    write(&mut network, 1, talks[1], "what we stopped");
    network.with(2, |node| node.say(talks[2], "a word")).expect("the room is open");
    network.run(Duration::from_secs(10));
    network.with(0, |node| node.close(talks[0])).expect("the room is open");
    network.run(Duration::from_secs(2));
    let records = network.phones[1].disk.records();
    let of_talk = |prefix: &[u8]| {
        let found = records.iter().filter(|record| record.scope != Scope::Durable && record.name.starts_with(prefix));
        found.map(|record| record.value.clone()).collect::<Vec<_>>()
    };
    let stub = records.iter().find(|record| record.name.starts_with(b"stub/")).expect("an open room leaves one");
    Traffic {
        items: of_talk(b"e/"),
        stub: stub.value.clone(),
        room: of_talk(b"room").concat(),
        pack: network.node(0).pack().expect("the phones joined").to_vec(),
    }
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn bodies(traffic: &Traffic) -> Vec<Vec<u8>> {
    let keys = SeatKeys::generate(&mut Rng::new([32; 32]));
    let (proposal, signature) = (ProposalId(0, 4), close::leave(&keys, &ROOM));
    let vote = close::vote(&keys, &ROOM, proposal, [33; 32], &[34; 16]);
    let made = [
        Body::Place { at_table: true },
        Body::Leave { signature },
        Body::Remove { seat: 2, signature },
        Body::Vouch { offer: encode(&offer()) },
        Body::Propose,
        Body::Vote(vote),
        Body::Retract { proposal },
        Body::FoldAt { generation: 1, heads: vec![[4; 32]] },
        Body::Folded { generation: 1, hash: [5; 16] },
        Body::FoldDone { generation: 1, hash: [5; 16] },
        Body::Goodbye { seat: 1, signature },
    ];
    let said = traffic.items.iter().filter_map(|item| match decode::<Item>(item, "item") {
        Ok(Item::Entry(entry)) => Some(encode(&entry.body)),
        _ => None,
    });
    said.chain(made.iter().map(encode)).collect()
}

fn offer() -> Offer {
    let rng = &mut Rng::new([30; 32]);
    let key_package = SeatKeys::generate(rng).key_package(rng).expect("fresh keys");
    Offer { round: 1, key_package, commitment: [2; 32], reply: [3; 32], reply_mailbox: WriteName([4; 16]) }
}

fn wire(seeds: &mut Seeds, traffic: &Traffic) {
    let rng = &mut Rng::new([1; 32]);
    let travel = Travel { expiry_hours: 500_000, ephemeral: false, hops: 5 };
    let parcel = ParcelKeys::new(&Key([2; 32])).seal(rng, travel, b"a word").expect("it is small");
    let controls = [
        Control::Carrying { round: [2; 4], slice: 0, first: 0, symbols: vec![[3; 4]; 53] },
        Control::Lacking { round: [2; 4], short_ids: Some(vec![[4; 3]; 30]) },
        Control::Lacking { round: [2; 4], short_ids: None },
        Control::Table { proof: [6; 32] },
        Control::Newcomer { offer: encode(&offer()) },
        Control::Admission { admitted: true },
    ];
    let frames: Vec<_> = controls.iter().cloned().map(Frame::Control).chain([Frame::Parcel(parcel.clone())]).collect();
    for frame in &frames {
        let cells: Vec<u8> = frame.to_cells().expect("it fits").iter().flat_map(|cell| sized(cell)).collect();
        seeds.add("wire", &[&[0], &cells]);
    }
    seeds.add("wire", &[&[1], parcel.as_bytes()]);
    let part = |index: u8| sized(&[&[1][..], &[8; 8], &[index, 3], &[index; 20]].concat());
    seeds.add("wire", &[&[2], &part(1), &[1], &part(0), &[0], &part(2), &[1]]);
    for word in [ToHost::Offer(offer()), ToHost::Reveal { round: 1, contribution: [5; 16] }, ToHost::StandUp] {
        seeds.add("wire", &[&[3], &encode(&word)]);
    }
    let drawn = RosterSeat { seat: SeatId([6; 16]), key_package: [7; 32], commitment: [8; 32] };
    for word in [
        ToGuest::Roster { round: 1, seats: vec![drawn; 3] },
        ToGuest::Founded { round: 1, contributions: vec![[9; 16]; 3], welcome: vec![10; 3] },
        ToGuest::Joined { welcome: vec![11; 3], state: traffic.room.clone() },
    ] {
        seeds.add("wire", &[&[4], &encode(&word)]);
    }
    seeds.add("wire", &[&[5], &traffic.room]);
    let keys = SeatKeys::generate(&mut Rng::new([40; 32]));
    let set = close::set_hash(&ROOM, [keys.id()].iter());
    let end = SeatEnd::Voted(close::vote(&keys, &ROOM, ProposalId(0, 4), set, &[42; 16]));
    let certificate = Certificate { seats: vec![ClosedSeat { seat: keys.id(), key: keys.verifying_key(), end }] };
    seeds.add("wire", &[&[6], &encode(&ClosingWord::Certificate(certificate))]);
    let goodbye = ClosingWord::Goodbye { seat: keys.id(), signature: close::leave(&keys, &ROOM) };
    seeds.add("wire", &[&[6], &encode(&goodbye)]);
    let items = [&[traffic.items.len() as u8][..], &traffic.items.concat()].concat();
    seeds.add("wire", &[&[7], &sized(&items)]);
    let folded = encode(&vec![Item::Folded { seat: 1, head: Head { number: 1, chain: [3; 16] } }]);
    seeds.add("wire", &[&[8], &sized(&items), &sized(&folded)]);
    seeds.add("wire", &[&[9], &encode(&Beacon { seat: 1, term: 2, epoch: 3, digest: [4; 8], wall_minutes: 5 })]);
    seeds.add("wire", &[&[10], &encode(&offer())]);
    bodies(traffic).iter().for_each(|body| seeds.add("wire", &[&[11], body]));
    controls.iter().for_each(|control| seeds.add("wire", &[&[12], &encode(control)]));
    seeds.add("wire", &[&[14], &traffic.stub]);
    seeds.add("wire", &[&[15, 3]]);

    // Towards a stranger: each role, a cell of anything.
    (0..4).for_each(|role| seeds.add("link", &[&[0, role], &sized(&[role; 244]), &[1], &sized(&[3; 30]), &[0]]));
    let admission = sized(&encode(&controls[4]));
    for scans in [1, 2] {
        seeds.add("link", &[&[scans, 3, 3, 3, 1], &admission, &[3, 1], &admission, &[3]]);
        seeds.add("link", &[&[scans, 3, 3, 3, 1], &admission, &[0, 1, 0, 9, 1, 3, 3]]);
    }
}

fn rooms(seeds: &mut Seeds, traffic: &Traffic) {
    let bodies = bodies(traffic);
    let signed: Vec<u8> = bodies.iter().flat_map(|body| [&[0, 2][..], &sized(body)].concat()).collect();
    seeds.add("room", &[&signed]);
    for body in &bodies {
        seeds.add("room", &[&[0, 2], &sized(body), &[0, 5, 4, 0, 0, 6, 0], &sized(b"hello"), &[1, 2], &sized(body)]);
    }
    let beacon = encode(&Beacon { seat: 1, term: 1, epoch: 1, digest: [4; 8], wall_minutes: 29_905_020 });
    let preview = encode(&(1_u8, 3_u32, 2_u32, "typed"));
    let ask = encode(&vec![0_u32, 0, 0]);
    let document = encode(&(0_u32, vec![0_u64; 3], vec![1_u8; 9]));
    for (tag, word) in [(2, &beacon), (3, &ask), (4, &preview), (6, &document), (5, &Vec::new()), (7, &beacon), (1, &ask)] {
        seeds.add("room", &[&[0, 4, tag], &sized(word), &[0, 5, 255, 0, 0, 6, 1, 0, 5, 255, 255]]);
    }
    let items = [&[traffic.items.len() as u8][..], &traffic.items.concat()].concat();
    seeds.add("room", &[&[0, 1], &sized(&items), &[0, 7], &sized(&encode(&offer())), &[0, 5, 1, 0]]);
}

fn signed_and_codes(seeds: &mut Seeds, traffic: &Traffic) {
    const PACK_HEADER_BYTES: usize = 4 + 1 + 4 + 32 + 64;
    seeds.add("signed", &[&[0], &traffic.pack]);
    seeds.add("signed", &[&[1], &traffic.pack[PACK_HEADER_BYTES..]]);
    let signed = SignedPack::decode(&traffic.pack).expect("the simulator's own pack");
    let keys = OrganizerKeys::new(&mut Rng::new([13; 32]));
    let content = Content { terms: terms(3, 5), host: SeatId([1; 16]), door: [2; 32], mailbox: WriteName([3; 16]) };
    let key = SigningKey::from_bytes(&[12; 32]).verifying_key().to_bytes();
    let card = |version, content| Card { key, version, content };
    seeds.add("signed", &[&[2], &card(1, Some(content.clone())).sign(&Key([12; 32]))]);
    let (stands, gone) = (sized(&encode(&card(1, Some(content)))), sized(&encode(&card(2, None))));
    seeds.add("signed", &[&[3, 0, 0], &stands, &[1, 1], &stands, &[0, 2], &gone]);

    let address = "192.0.2.7:4000".parse().ok();
    let code = OneTime::new(&mut Rng::new([10; 32])).code(Kind::Members, START, address, EventId([11; 16]));
    seeds.add("codes", &[&[0], code.to_text().as_bytes()]);
    seeds.add("codes", &[&[1], &*code.to_bytes()]);
    seeds.add("codes", &[&[2], signed.to_link().expect("it is small").as_bytes()]);
    seeds.add("codes", &[&[3, 0], signed.bytes()]);
    seeds.add("codes", &[&[3, 1], &signed.sha256(), &[1], &keys.board_key().0, b"wss://relay.example:443"]);
    seeds.add("codes", &[&[3, 1], &signed.sha256(), &[0], b"https://example.org/pack"]);
    let frames: Vec<u8> = (0..40).flat_map(|number| [number, 0]).collect();
    seeds.add("codes", &[&[4, 0, 200], &frames]);
    seeds.add("codes", &[&[4, 0, 90], &[0, 0, 1, 2, 1, 3, 0, 20, 9], &frames]);
    seeds.add("codes", &[&[4, 1, 0], &[0, 2, 0, 1, 0, 4, 77, 5, 2, 0, 1, 100, 9, 1, 0, 12, 3], &frames]);
}

fn local(seeds: &mut Seeds) {
    let (read_key, mailbox) = (ReadKey(Key([14; 32])), WriteName([15; 16]));
    let commands = [
        RelayCommand::Subscribe { read_key: read_key.clone(), after: 17 },
        RelayCommand::Unsubscribe { read_key },
        RelayCommand::Put { id: PutId(18), to: mailbox, blob: vec![0; 4096], hours: 24, delete_hash: [19; 16] },
        RelayCommand::Delete { from: mailbox, delete_key: [20; 16] },
    ];
    for command in commands {
        seeds.add("local", &[&[0], &encode_command(&command).expect("the blob has its size")[..64]]);
    }
    let refused = Reply::Refused { id: PutId(23), why: alcove::proto::io::RelayRefusal::SlowDown };
    for reply in [Reply::CaughtUp { mailbox }, Reply::Stored { id: PutId(22) }, refused] {
        seeds.add("local", &[&[0], &encode_reply(&reply)[..64]]);
    }
    seeds.add("local", &[&[0], &encode_reply(&Reply::Blob { mailbox, cursor: 3, blob: vec![0; 4096].into() })[..64]]);
    for line in [
        r#"{"id":1,"do":"status"}"#,
        r#"{"id":[2],"do":"edit","talk":"00ff","edits":[{"splice":{"at":0,"delete":1,"insert":"hello"}},{"unmark":{"start":0,"end":4,"name":"bold"}}]}"#,
        r#"{"do":"draft-card","topic":"\u00fc\ud83d\ude00","tags":["rust","a b"],"seat":3,"minutes":null,"hidden":true}"#,
    ] {
        seeds.add("local", &[&[1], line.as_bytes()]);
    }
    for edit in [
        r#"{"splice":{"at":3,"delete":2,"insert":"x"}}"#,
        r#"{"mark":{"start":0,"end":4,"name":"link","value":"https://example.org"}}"#,
        r#"{"add-agenda":{"text":"first","minutes":5}}"#,
        r#"{"set-action":{"id":"0404040404040404","owner":null,"done":true,"text":"write"}}"#,
        r#"{"remove-agenda":{"id":"0303030303030303"}}"#,
    ] {
        seeds.add("local", &[&[2], edit.as_bytes()]);
    }
    let qr = Qr::new("ALCOVE:TEST", Correction::Medium).expect("it is short");
    seeds.add("picture", &[&[0], &qr.luma(2).and_then(|luma| luma.png()).expect("it is small")]);
    let luma = qr.luma(4).expect("it is small");
    // A bit for every four pixels of a row; a width that they fill.
    let bits: Vec<u8> = luma
        .pixels
        .chunks_exact(4)
        .map(|four| u8::from(four[0] > 0))
        .collect::<Vec<_>>()
        .chunks(8)
        .map(|eight| eight.iter().enumerate().fold(0, |byte, (bit, pixel)| byte | pixel << bit))
        .collect();
    seeds.add("picture", &[&[1, (luma.width - 1) as u8], &bits]);
}

fn groups(seeds: &mut Seeds) {
    let mut rng = Rng::new([40; 32]);
    let (host, mut guest) = (SeatKeys::generate(&mut rng), SeatKeys::generate(&mut rng));
    let package = guest.key_package(&mut rng).expect("fresh keys");
    let psk = Key(rng.bytes());
    let (mut founder, welcome) =
        Group::found(&mut rng, &host, [7; 16], std::slice::from_ref(&package), &psk, b"roster").expect("a group of two");
    let message = founder.seal(&mut rng, b"hello").expect("a member seals");
    let newcomer = SeatKeys::generate(&mut rng).key_package(&mut rng).expect("fresh keys");
    let commit = founder.admit_and_remove(&mut rng, &[newcomer], None).expect("an admission").commit;
    seeds.add("mls", &[&[0], &package]);
    seeds.add("mls", &[&[1, 1, 0, 60, 4, 1]]);
    seeds.add("mls", &[&[3, 1, 1, 0, 4, 1]]);
    seeds.add("mls", &[&[4], &message]);
    seeds.add("mls", &[&[4], &commit]);
    seeds.add("mls", &[&[5], &welcome]);
    let hello = sized(b"hello");
    seeds.add("mls", &[&[2, 0], &hello, &[5, 0, 0], &hello, &[3, 5, 1, 5, 0, 1, 5, 0, 0], &hello, &[5, 0]]);
    seeds.add("mls", &[&[2, 0], &hello, &[2, 1, 0, 50, 8, 1, 5, 0, 1, 2, 1, 0, 90, 1, 1, 5, 0, 4, 5, 0]]);
}

fn quarantine(seeds: &mut Seeds) {
    let first = decode::<Body>(&bodies(&traffic())[0], "body").map(|body| encode(&body)).unwrap_or_default();
    seeds.add("quarantine", &[&[0], &first]);
    // A document and changes as they are, and with a byte changed in head, columns and data.
    seeds.add("quarantine", &[&[1, 1, 0, 1]]);
    for at in [40, 90, 120, 160] {
        seeds.add("quarantine", &[&[1, 1, 1, 0, at, 1, 1]]);
        seeds.add("quarantine", &[&[2, 1, 1, 0, at, 2, 1]]);
        seeds.add("quarantine", &[&[3, 1, 1, 0, at, 4, 1, 1, 2, 0, at, 1, 0, at + 9, 128, 1, 0]]);
    }
}

/// An operation of one phone's owner.
fn person(phone: u8, kind: u8, talk: u8, card: u8, number: u8, said: &str) -> Vec<u8> {
    [&[phone, 0, 11, talk, card, kind, number][..], &said.as_bytes()[..said.len().min(usize::from(number) % 64)], &[0]].concat()
}

fn operations(seeds: &mut Seeds) {
    let seconds = |seconds: u8| vec![0, 0, 1, seconds / 4];
    // From nothing to an open room of two, said, written, closed.
    let story = [
        vec![0],
        person(0, 0, 0, 0, 9, "lifetimes"),
        person(0, 1, 0, 0, 0, ""),
        seconds(40),
        person(1, 3, 0, 0, 0, ""),
        seconds(80),
        person(1, 5, 0, 0, 5, "hello"),
        person(0, 9, 0, 0, 5, "notes"),
        seconds(20),
        person(0, 16, 0, 0, 0, ""),
        person(1, 16, 0, 0, 0, ""),
        seconds(40),
    ];
    seeds.add("node_ops", &[&story.concat()]);
    // From an open room: writing, a crash, a restart, a jump of the clock, a partition, a fold, a removal, the close.
    let story = [
        vec![1],
        person(0, 9, 0, 0, 5, "notes"),
        vec![1, 0, 6, 3],
        person(2, 5, 0, 0, 4, "word"),
        seconds(8),
        vec![1, 0, 7],
        vec![0, 1, 3],
        person(0, 12, 0, 0, 0, ""),
        person(1, 13, 0, 0, 2, ""),
        vec![2, 0, 8, 0, 90],
        vec![0, 1, 2],
        person(0, 16, 0, 0, 0, ""),
        person(1, 16, 0, 0, 0, ""),
        person(2, 16, 0, 0, 0, ""),
        seconds(60),
    ];
    seeds.add("node_ops", &[&story.concat()]);
    let handoff = [vec![1], person(0, 18, 0, 0, 0, ""), vec![1, 0, 11, 0, 0, 21, 0, 0], seconds(8)];
    seeds.add("node_ops", &[&handoff.concat()]);
    let stranger = [
        vec![1],
        vec![0, 0, 9, 2, 2],
        vec![0, 0, 9, 2, 5, 7, 1, 0],
        vec![0, 0, 9, 2, 10, 0, 5, 3, 1, 2, 1, 1, 1, 0, 4, 9, 9, 9, 9, 0, 0],
        vec![0, 0, 9, 3, 0, 0, 4, 1, 2, 3, 4],
        seconds(8),
    ];
    seeds.add("node_ops", &[&stranger.concat()]);
    let rng = &mut Rng::new([80; 32]);
    for start in 0..6 {
        seeds.add("node_ops", &[&[start], &rng.bytes::<120>()]);
    }
}
