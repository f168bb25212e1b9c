//! Somebody at the other end of a link who is no node: speaks the real handshake, then says whatever a test wants. And a seat of a
//! room in such hands: the keys that an honest phone had on its disk, under which what no honest phone would say can be signed.
//!
//! What it says is built from `docs/PROTOCOL.md`, not by the parts of the core that would refuse to.

use crate::network::Network;
use alcove::proto::config::SYMBOLS_PER_CELL;
use alcove::proto::handoff::code::Code;
use alcove::proto::id::{EphemeralId, LinkId, SeatId, TalkId};
use alcove::proto::io::{Origin, Scope};
use alcove::proto::link::{Heard, Link, Scanned};
use alcove::proto::rng::Rng;
use alcove::proto::secret::{Key, hash16};
use alcove::proto::talk::close::{Afterlife, Certificate, ClosedSeat, ClosingWord, SeatEnd};
use alcove::proto::talk::entry::{Body, Entry, Head, Item, Log, SeatNumber, Vote};
use alcove::proto::talk::group::{Group, Member, Opened, SeatKeys};
use alcove::proto::time::Duration;
use alcove::proto::wire::frame::{Control, Frame};
use alcove::proto::wire::message;
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use alcove::proto::wire::{decode, encode};
use std::collections::BTreeMap;

/// How long an answer may take over a link.
const A_MOMENT: Duration = Duration::from_millis(100);

/// One end of a link.
pub struct Intruder {
    at: LinkId,
    link: Link,
    rng: Rng,
    /// What the phone said since the handshake.
    pub frames: Vec<Frame>,
    /// Bytes that went to the phone, and that came from it.
    pub traffic: (usize, usize),
}

impl Intruder {
    /// Only the stream: no handshake begins.
    pub fn silent(network: &mut Network, phone: usize) -> Intruder {
        let (rng, now) = (network.rng().fork(), network.now());
        let at = network.intrude(phone, Origin::Accepted);
        Intruder { at, link: Link::accept(now, &[]), rng, frames: Vec::new(), traffic: (0, 0) }
    }

    /// Opens a link to a phone and says the first word of the handshake; [`Intruder::run`] finishes it.
    pub fn begin(network: &mut Network, phone: usize, event: &[u8], code: Option<&Code>) -> Intruder {
        let mut intruder = Intruder::silent(network, phone);
        let psk = code.map(Code::psk);
        let bytes = code.map(Code::to_bytes);
        let scanned = code.zip(psk.as_ref()).zip(bytes.as_ref());
        let scanned = scanned.map(|((code, psk), bytes)| Scanned { public: &code.public_key, psk, code: &bytes[..] });
        let (link, first) = Link::initiate(&mut intruder.rng, network.now(), event, scanned);
        intruder.link = link;
        intruder.say_raw(network, first);
        intruder
    }

    /// A neighbour of the event.
    pub fn connect(network: &mut Network, phone: usize) -> Intruder {
        let event = network.pack().event();
        let mut intruder = Intruder::begin(network, phone, &event.0, None);
        intruder.run(network, A_MOMENT);
        assert!(intruder.link.is_up(), "a neighbour of the event gets a link");
        // Who opened a link is known by its first word.
        intruder.greet(network);
        intruder.run(network, A_MOMENT);
        intruder
    }

    /// One who scanned a code that the phone shows.
    pub fn scan(network: &mut Network, phone: usize, code: &Code) -> Intruder {
        let event = network.pack().event();
        Intruder::begin(network, phone, &event.0, Some(code))
    }

    /// A neighbour whom the phone finds: the phone speaks first.
    pub fn found(network: &mut Network, phone: usize) -> Intruder {
        Intruder::found_as(network, phone, Origin::Found)
    }

    /// The same, by radio: whom the phone ordered a link to.
    pub fn found_by_radio(network: &mut Network, phone: usize, id: EphemeralId) -> Intruder {
        Intruder::found_as(network, phone, Origin::Near(Some(id)))
    }

    fn found_as(network: &mut Network, phone: usize, origin: Origin) -> Intruder {
        let (rng, now, event) = (network.rng().fork(), network.now(), network.pack().event());
        let at = network.intrude(phone, origin);
        Intruder { at, link: Link::accept(now, &event.0), rng, frames: Vec::new(), traffic: (0, 0) }
    }

    /// What the phone sent since the last look, as it came; `None` once the link is broken.
    pub fn hear_raw(&mut self, network: &mut Network) -> Option<Vec<u8>> {
        let bytes = network.overheard(self.at)?;
        self.traffic.1 += bytes.len();
        Some(bytes)
    }

    /// Sends bytes as they are.
    pub fn say_raw(&mut self, network: &mut Network, bytes: Vec<u8>) {
        self.traffic.0 += bytes.len();
        network.inject(self.at, bytes);
    }

    /// The sealed cells of a frame; panics before the handshake is over.
    pub fn seal(&mut self, frame: &Frame) -> Vec<u8> {
        self.link.send(frame).expect("the handshake is over")
    }

    /// Says something.
    pub fn say(&mut self, network: &mut Network, frame: &Frame) {
        let cells = self.seal(frame);
        self.say_raw(network, cells);
    }

    /// A word to which there is nothing to say.
    pub fn greet(&mut self, network: &mut Network) {
        self.say(network, &Frame::Control(Control::Lacking { round: [0; 4], short_ids: Some(Vec::new()) }));
    }

    /// Says that it carries nothing, so that it is given what the phone carries.
    pub fn ask_for_all(&mut self, network: &mut Network) {
        let (round, symbols) = (self.rng.bytes(), vec![[0; 4]; SYMBOLS_PER_CELL]);
        self.say(network, &Frame::Control(Control::Carrying { round, slice: 0, first: 0, symbols }));
    }

    /// Hands parcels over.
    pub fn hand(&mut self, network: &mut Network, parcels: &[Parcel]) {
        parcels.iter().for_each(|parcel| self.say(network, &Frame::Parcel(parcel.clone())));
    }

    /// Lets time pass, shakes hands and listens.
    pub fn run(&mut self, network: &mut Network, span: Duration) {
        let end = network.now() + span;
        while network.now() < end {
            network.run(Duration::from_millis(25));
            let Some(bytes) = self.hear_raw(network) else { continue };
            for heard in self.link.receive(&mut self.rng, &bytes, &[]).unwrap_or_default() {
                match heard {
                    Heard::Reply(cells) => self.say_raw(network, cells),
                    Heard::Up { .. } => {}
                    Heard::Frame(frame) => self.frames.push(frame),
                }
            }
        }
    }

    /// Whether the phone has ended the link.
    pub fn is_cut(&self, network: &Network) -> bool {
        !network.stands(self.at)
    }

    /// Whether our side takes the handshake for over.
    pub fn is_up(&self) -> bool {
        self.link.is_up()
    }

    /// The link's handshake hash.
    pub fn handshake_hash(&self) -> [u8; 32] {
        self.link.handshake_hash().expect("the handshake is over")
    }

    /// Goes without a word.
    pub fn leave(self, network: &mut Network) {
        network.withdraw(self.at);
    }

    /// The parcels heard so far.
    pub fn parcels(&self) -> Vec<Parcel> {
        let parcel = |frame: &Frame| match frame {
            Frame::Parcel(parcel) => Some(parcel.clone()),
            Frame::Control(_) => None,
        };
        self.frames.iter().filter_map(parcel).collect()
    }
}

/// A seat of a room that stands in its first epoch, in hostile hands.
pub struct Insider {
    /// Its keys.
    pub keys: SeatKeys,
    /// Its number.
    pub number: SeatNumber,
    /// The room's id.
    pub room: [u8; 16],
    /// The secret from which the room's other keys come.
    pub founding: Key,
    /// Everybody, in the order of admission.
    pub members: Vec<Member>,
    /// What it knows of all lines.
    pub log: Log,
    /// Recognise and open the epoch's parcels.
    pub parcels: ParcelKeys,
    group: Group,
    rng: Rng,
    hours: u32,
}

impl Insider {
    /// The seat that a phone has in a talk, read from its disk. The phone itself must say nothing more: two would seal under one key.
    pub fn of(network: &mut Network, phone: usize, talk: TalkId) -> Insider {
        let records = network.phones[phone].disk.records();
        let records = records.into_iter().filter(|record| record.scope == Scope::Talk(talk));
        let records: BTreeMap<_, _> = records.map(|record| (record.name, record.value)).collect();
        let seat: Vec<u8> = decode(&records[&b"seat"[..]], "seat").expect("the seat's record");
        let keys = SeatKeys::from_bytes(&seat).expect("the seat's keys");
        let group = records.iter().filter_map(|(name, value)| Some((name.strip_prefix(b"g/")?, &value[..])));
        let group = Group::restore(&keys, group).expect("the group's records");
        assert_eq!(group.epoch(), 1, "only the first epoch gives the founding secret away");
        let founding = group.export("alcove/1 founding", &[]).expect("a member");
        let parcels = group.export("alcove/1 parcels", &1_u32.to_be_bytes()).expect("a member");
        let members = group.roster();
        let number = members.iter().position(|member| member.seat == keys.id()).expect("it sits") as SeatNumber;
        let mut log = Log::default();
        members.iter().for_each(|member| log.open_line(member.seat, member.key, Head::default()));
        let entries = records.iter().filter(|(name, _)| name.starts_with(b"e/"));
        entries.for_each(|(_, value)| log.append(decode(value, "entry").expect("an entry")));
        let (rng, hours) = (network.rng().fork(), crate::network::START.hours() + 5);
        let room = hash16("alcove/1 room", &[&founding.0]);
        Insider { keys, number, room, founding, members, log, parcels: ParcelKeys::new(&parcels), group, rng, hours }
    }

    /// The next entry of its line.
    pub fn entry(&mut self, body: Body) -> Item {
        let item = self.entry_after(self.log.head(self.number), body);
        self.log.append(item.clone());
        item
    }

    /// An entry that follows this head, which it does not remember.
    pub fn entry_after(&self, head: Head, body: Body) -> Item {
        let number = head.number + 1;
        let message = Entry::signed_parts(&self.room, self.keys.id(), number, &head.chain, &body);
        Item::Entry(Entry { seat: self.number, number, body, signature: self.keys.sign("entry", &[&message]).into() })
    }

    /// Items, sealed as MLS and as parcels.
    pub fn say(&mut self, items: &[Item]) -> Vec<Parcel> {
        let sealed = self.group.seal(&mut self.rng, &encode(&items)).expect("a member");
        self.message(0, &encode(&sealed))
    }

    /// Any message of the room: its variant and its fields.
    pub fn message(&mut self, variant: u8, fields: &[u8]) -> Vec<Parcel> {
        let keys = self.parcels.clone();
        self.seal(&keys, &[&[variant], fields].concat())
    }

    /// A message under other keys.
    pub fn seal(&mut self, keys: &ParcelKeys, message: &[u8]) -> Vec<Parcel> {
        let travel = Travel { expiry_hours: self.hours, ephemeral: false, hops: 7 };
        message::seal(&mut self.rng, keys, travel, message).expect("not too long")
    }

    /// The content of one parcel under the epoch's keys: a part of a message, or nonsense.
    pub fn content(&mut self, content: &[u8]) -> Parcel {
        let travel = Travel { expiry_hours: self.hours, ephemeral: false, hops: 7 };
        self.parcels.seal(&mut self.rng, travel, content).expect("not too long")
    }

    /// A certificate, sealed for all who wait for one.
    pub fn certify(&mut self, certificate: Certificate) -> Vec<Parcel> {
        let keys = Afterlife::new(&self.founding).closing_keys();
        self.seal(&keys, &encode(&ClosingWord::Certificate(certificate)))
    }

    /// A certificate in which each seat ends so.
    pub fn certificate(&self, end: impl Fn(SeatNumber, SeatId) -> SeatEnd) -> Certificate {
        let seat = |(number, member): (usize, &Member)| ClosedSeat {
            seat: member.seat,
            key: member.key,
            end: end(number as SeatNumber, member.seat),
        };
        Certificate { seats: self.members.iter().enumerate().map(seat).collect() }
    }
}

impl Insider {
    /// The last vote of each seat among these parcels.
    pub fn heard_votes(&mut self, parcels: &[Parcel]) -> BTreeMap<SeatNumber, Vote> {
        let mut votes = BTreeMap::new();
        for item in self.heard(parcels) {
            if let Item::Entry(Entry { seat, body: Body::Vote(vote), .. }) = item {
                votes.insert(seat, vote);
            }
        }
        votes
    }

    /// What stands in these parcels of anybody's line.
    pub fn heard(&mut self, parcels: &[Parcel]) -> Vec<Item> {
        let mut items = Vec::new();
        for content in parcels.iter().filter_map(|parcel| self.parcels.open(parcel)) {
            // A whole message that is sealed by MLS: `00`, variant 0, bytes.
            let Some(sealed) = content.strip_prefix(&[0, 0]).and_then(|rest| decode::<Vec<u8>>(rest, "sealed").ok()) else {
                continue;
            };
            let Ok(Opened::Message { plaintext, .. }) = self.group.open(&sealed) else { continue };
            items.extend(decode::<Vec<Item>>(&plaintext, "entries").unwrap_or_default());
        }
        items
    }
}
