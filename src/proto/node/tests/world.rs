//! A small world: a few phones joined by nothing but a blind relay, and the moments at which each of them is in contact.
//!
//! A phone that is not syncing is in a partition, so all orders of syncs are all partitions and reorderings at the grain of whole
//! contacts. What two phones do out of contact commutes, because neither sees the other's; their contacts do not, and stand in the
//! fingerprint in the order in which others will read them.

use super::super::Node;
use super::phone::{Exchange, Phone, START};
use crate::model::event::{EventPack, OrganizerKeys, SignedPack};
use crate::proto::board::{Pattern, Terms};
use crate::proto::id::{SeatId, TalkId, WriteName};
use crate::proto::io::{ReadKey, RelayCommand, RelayEvent};
use crate::proto::rng::Rng;
use crate::proto::secret::{hash, hash16};
use crate::proto::talk::Stage;
use crate::proto::talk::room::Room;
use crate::proto::time::{Duration, Instant, WallTime};
use crate::proto::wire::parcel::Parcel;
use jiff::civil::date;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// A talk of the small world lasts so long.
const HOURS: u32 = 2;

/// Which phones: one bit each.
pub type Phones = u8;
/// All of them.
pub const ALL: Phones = u8::MAX;

/// A phone at rest, shared by all worlds in which it is the same.
#[derive(Clone)]
struct Resting {
    phone: Arc<Mutex<Phone>>,
    outline: Arc<str>,
}

/// One state.
#[derive(Clone)]
pub struct World {
    /// The moment up to which everybody has come.
    pub now: Instant,
    phones: Vec<Resting>,
    relay: Relay,
    /// What went wrong in the very step that led here.
    pub broken: Vec<String>,
    /// So many steps led here.
    pub depth: usize,
    /// The number of each phone's first seat, once there is a room.
    pub seats: Vec<u8>,
    /// What the card promised.
    pub seats_min: u8,
    digest: u64,
}

#[derive(Clone, Default)]
struct Relay {
    boxes: BTreeMap<WriteName, Vec<Arc<Blob>>>,
    cursor: u64,
}

struct Blob {
    cursor: u64,
    from: usize,
    /// For whom alone, where a hostile phone chooses.
    to: Phones,
    /// What it tells, but for random bytes.
    tag: u64,
    bytes: Vec<u8>,
    delete_hash: [u8; 16],
}

impl World {
    /// So many phones that have joined an event, and the card of phone 0, which is on everybody's board.
    pub fn with_card(count: usize, seats_min: u8) -> World {
        let pack = pack();
        let mut world = World {
            now: Instant(0),
            phones: Vec::new(),
            relay: Relay::default(),
            broken: Vec::new(),
            depth: 0,
            seats: Vec::new(),
            seats_min,
            digest: 0,
        };
        for number in 0..count {
            let mut phone = Phone::new(number, 1);
            phone.act(|node| node.join_event(&pack)).expect("the pack is fresh");
            world.phones.push(Resting::new(phone));
        }
        world.act(0, |node| {
            let talk = node.draft_card(terms(seats_min)).expect("within bounds");
            node.post_card(talk).expect("a draft");
        });
        (0..count).for_each(|phone| world.sync(phone));
        world
    }

    /// The same, with a room in which all of them sit and know each other's first words.
    pub fn with_room(count: usize, seats_min: u8) -> World {
        let mut world = World::with_card(count, seats_min);
        (1..count).for_each(|phone| world.take_seat(phone));
        for _ in 0..8 {
            (0..count).for_each(|phone| world.sync(phone));
        }
        let outlines: Vec<_> = world.each(|phone| phone.room().map(|room| room.agreed_outline(&[])));
        let is_open = outlines[0].is_some() && outlines.iter().all(|other| *other == outlines[0]);
        assert!(is_open, "the room opens for all: {world:?}");
        world.seats = world.each(|phone| phone.room().map(Room::number).unwrap_or_default());
        world.pass(Duration::from_secs(1), 0);
        world
    }

    pub fn count(&self) -> usize {
        self.phones.len()
    }

    /// Looks at a phone.
    pub fn look<T>(&self, phone: usize, f: impl FnOnce(&Phone) -> T) -> T {
        f(&self.phones[phone].phone.lock().expect("nobody panicked"))
    }

    /// Looks at all.
    pub fn each<T>(&self, f: impl Fn(&Phone) -> T) -> Vec<T> {
        (0..self.count()).map(|phone| self.look(phone, &f)).collect()
    }

    /// The owner of a phone does something, out of contact.
    pub fn act<T>(&mut self, number: usize, f: impl FnOnce(&mut Node) -> T) -> T {
        self.change(number, |phone| phone.act(f))
    }

    /// Changes a phone.
    pub fn change<T>(&mut self, number: usize, f: impl FnOnce(&mut Phone) -> T) -> T {
        let mut phone = self.thaw(number);
        let done = f(&mut phone);
        self.phones[number] = Resting::new(phone);
        done
    }

    /// The owner asks something of the one talk of a phone.
    pub fn command<T, E>(&mut self, number: usize, f: impl FnOnce(&mut Node, TalkId) -> Result<T, E>) {
        self.act(number, |node| node.talk_ids().first().copied().map(|talk| drop(f(node, talk))));
    }

    /// Changes a phone's room, if it is open.
    pub fn in_open_room(&mut self, number: usize, f: impl FnOnce(&mut Room)) {
        self.change(number, |phone| match phone.node.talks.values_mut().next().map(|talk| &mut talk.stage) {
            Some(Stage::Open(room)) => f(room),
            Some(Stage::Drafted(_) | Stage::Hosting(_) | Stage::Waiting(_)) | None => {}
        });
    }

    /// Notes that something went wrong in this step.
    pub fn note_if(&mut self, wrong: bool, what: &str) {
        if wrong {
            self.broken.push(what.to_owned());
        }
    }

    /// The latest moment that anybody has come to.
    pub fn latest(&self) -> Instant {
        self.each(|phone| phone.now).into_iter().max().unwrap_or_default().max(self.now)
    }

    /// Whether the talk's hour has come.
    pub fn is_expired(&self) -> bool {
        START + self.now.since(Instant(0)) >= WallTime::from_hours(START.hours() + HOURS)
    }

    /// How many have opened their contribution as far as any device knows: the host counts itself and those it heard.
    pub fn gathered(&self) -> usize {
        let opened = |phone: &Phone| match phone.stage() {
            Some(Stage::Open(room)) => room.roster().seats().count(),
            Some(Stage::Hosting(hosting)) => hosting.opened(),
            Some(Stage::Drafted(_) | Stage::Waiting(_)) | None => 0,
        };
        self.each(opened).into_iter().max().unwrap_or_default()
    }

    /// The fingerprint of the last [`World::seal`].
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// A guest asks for a seat.
    pub fn take_seat(&mut self, phone: usize) {
        self.act(phone, |node| {
            let card = node.board().first().map(|view| view.card);
            card.map(|card| node.take_seat(card))
        });
    }

    /// A phone is in contact with the relay for a while.
    pub fn sync(&mut self, number: usize) {
        self.sync_to(number, ALL);
    }

    /// The same; what it says reaches only these others, as over links of its choice.
    pub fn sync_to(&mut self, number: usize, to: Phones) {
        let mut phone = self.thaw(number);
        for (other, tag) in self.unread(number, &phone) {
            phone.last_tags.insert(other, tag);
        }
        let mut session = Session { relay: &mut self.relay, phone: number, puts: Vec::new() };
        phone.sync(&mut session);
        let puts = session.puts;
        phone.synced_at = self.now;
        let resting = Resting::new(phone);
        for (name, bytes, delete_hash) in puts {
            self.relay.cursor += 1;
            let says = resting.look(|phone| kinds(&phone.node, &bytes));
            let tag = digest(&[resting.outline.as_bytes(), says.as_bytes(), &[number as u8]]);
            let blob = Blob { cursor: self.relay.cursor, from: number, to, tag, bytes, delete_hash };
            self.relay.boxes.entry(name).or_default().push(Arc::new(blob));
        }
        self.phones[number] = resting;
        self.pass_on(number);
    }

    /// What a hostile phone said to this one alone goes on to all others by its next contact: phones carry what they cannot even read.
    fn pass_on(&mut self, number: usize) {
        for blobs in self.relay.boxes.values_mut() {
            let whispered = |blob: &Arc<Blob>| blob.to != ALL && blob.from != number && blob.to >> number & 1 == 1;
            let (passed, kept): (Vec<_>, Vec<_>) = std::mem::take(blobs).into_iter().partition(whispered);
            *blobs = kept;
            for blob in passed {
                self.relay.cursor += 1;
                let Blob { from, tag, delete_hash, .. } = *blob;
                let bytes = blob.bytes.clone();
                blobs.push(Arc::new(Blob { cursor: self.relay.cursor, from, to: ALL, tag, bytes, delete_hash }));
            }
        }
    }

    /// Time passes. Those named are in contact all the while, the others are alone.
    pub fn pass(&mut self, span: Duration, in_contact: Phones) {
        let start = self.latest();
        let last = Duration::from_secs(50).min(span);
        for part in [span.saturating_sub(last), last] {
            self.now = (if self.now < start { start } else { self.now }) + part;
            let now = self.now;
            for number in (0..self.count()).filter(|number| in_contact >> number & 1 == 1) {
                self.change(number, |phone| phone.wake(now));
            }
            for number in (0..self.count()).chain(0..self.count()).filter(|number| in_contact >> number & 1 == 1) {
                self.sync(number);
            }
        }
        let now = self.now;
        (0..self.count()).for_each(|number| self.change(number, |phone| phone.wake(now)));
    }

    /// Whether a contact would bring anything new, to this phone or to others.
    pub fn can_sync(&self, number: usize) -> bool {
        self.look(number, |phone| {
            phone.synced_at < self.now || phone.node.mailbox.waiting() > 0 || !self.unread(number, phone).is_empty()
        })
    }

    /// What waits for a phone at the relay and is not what it heard last of the same sender: from whom, and what.
    fn unread(&self, number: usize, phone: &Phone) -> Vec<(usize, u64)> {
        let mut last = phone.last_tags.clone();
        let mut blobs: Vec<&Arc<Blob>> = Vec::new();
        for (name, cursor) in &phone.read {
            let new = self.relay.boxes.get(name).into_iter().flatten();
            blobs.extend(new.filter(|blob| blob.cursor > *cursor && blob.from != number && blob.to >> number & 1 == 1));
        }
        blobs.sort_by_key(|blob| blob.cursor);
        let news = blobs.into_iter().filter(|blob| last.insert(blob.from, blob.tag) != Some(blob.tag));
        news.map(|blob| (blob.from, blob.tag)).collect()
    }

    /// Computes the fingerprint; the last thing in every step.
    pub fn seal(mut self) -> World {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for (number, resting) in self.phones.iter().enumerate() {
            parts.push(resting.outline.as_bytes().to_vec());
            let unread = resting.look(|phone| (self.unread(number, phone), phone.synced_at < self.now));
            parts.push(format!("{unread:?}").into_bytes());
        }
        parts.push(self.broken.join("\n").into_bytes());
        self.digest = digest(&parts.iter().map(|part| &part[..]).collect::<Vec<_>>());
        self
    }

    fn thaw(&self, number: usize) -> Phone {
        self.look(number, Phone::clone)
    }
}

impl std::hash::Hash for World {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl PartialEq for World {
    fn eq(&self, other: &World) -> bool {
        self.digest == other.digest
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "world {:016x} at {} s {:?}", self.digest, self.now.0 / 1_000_000, self.broken)?;
        self.phones.iter().enumerate().try_for_each(|(number, resting)| writeln!(f, "  {number}: {}", resting.outline))
    }
}

impl Resting {
    fn new(phone: Phone) -> Resting {
        let outline = phone.outline().into();
        Resting { phone: Arc::new(Mutex::new(phone)), outline }
    }

    fn look<T>(&self, f: impl FnOnce(&Phone) -> T) -> T {
        f(&self.phone.lock().expect("nobody panicked"))
    }
}

impl Phone {
    /// Everything on which its future depends, but for random bytes and time within the classes that rules tell apart.
    fn outline(&self) -> String {
        let notes: Vec<_> = self.node.notes.values().map(|notes| (notes.view().text, notes.generation())).collect();
        let receipts: Vec<_> =
            self.node.receipts.values().map(|receipt| (receipt.ending, &receipt.confirmed, receipt.words.len())).collect();
        // Seats of a gathering have no numbers yet: they are told apart by when they were first seen.
        let place = |seat: SeatId| usize::from(seat.0[0]);
        let stage = match self.stage() {
            None => "no talk".to_owned(),
            Some(Stage::Drafted(_)) => "drafted".to_owned(),
            Some(Stage::Hosting(hosting)) => hosting.outline(self.now, place),
            Some(Stage::Waiting(waiting)) => waiting.outline(self.now),
            Some(Stage::Open(room)) => room.outline(self.now),
        };
        let board: Vec<_> = self.node.board().iter().map(|card| card.card).collect();
        let (waiting, deeds) = (self.node.mailbox.waiting(), &self.deeds);
        format!("{stage} | {notes:?} {receipts:?} board {board:?} outbox {waiting} {deeds:?}")
    }
}

/// One phone's connection.
struct Session<'a> {
    relay: &'a mut Relay,
    phone: usize,
    puts: Vec<(WriteName, Vec<u8>, [u8; 16])>,
}

impl Exchange for Session<'_> {
    fn handle(&mut self, command: RelayCommand) -> Vec<RelayEvent> {
        match command {
            RelayCommand::Subscribe { read_key, after } => self.blobs(&read_key, after),
            RelayCommand::Unsubscribe { .. } => Vec::new(),
            RelayCommand::Put { id, to, blob, delete_hash, .. } => {
                self.puts.push((to, blob, delete_hash));
                vec![RelayEvent::Stored { id }]
            }
            RelayCommand::Delete { from, delete_key } => {
                let hash = hash16("alcove/1 delete", &[&delete_key]);
                self.puts.retain(|(name, _, delete)| *name != from || *delete != hash);
                if let Some(blobs) = self.relay.boxes.get_mut(&from) {
                    blobs.retain(|blob| blob.delete_hash != hash);
                }
                Vec::new()
            }
        }
    }
}

impl Session<'_> {
    fn blobs(&self, read_key: &ReadKey, after: u64) -> Vec<RelayEvent> {
        let mailbox = read_key.write_name();
        let blobs = self.relay.boxes.get(&mailbox).into_iter().flatten();
        let blobs = blobs.filter(|blob| blob.cursor > after && blob.from != self.phone && blob.to >> self.phone & 1 == 1);
        let blobs = blobs.map(|blob| RelayEvent::Blob { mailbox, cursor: blob.cursor, blob: blob.bytes.clone() });
        blobs.chain([RelayEvent::CaughtUp { mailbox }]).collect()
    }
}

/// What kinds of messages a blob holds, as far as its own sender can read it, and how long they are.
fn kinds(node: &Node, blob: &[u8]) -> String {
    let read = || {
        let (nonce, sealed) = blob.split_first_chunk::<24>()?;
        let plain = node.event.as_ref()?.relay.derive("alcove/1 blob", &[]).open_x(nonce, &[], sealed)?;
        let (mut rest, mut kinds) = (&plain[..], Vec::new());
        while let Some((length, tail)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            let Some((bytes, tail)) = tail.split_at_checked(length).filter(|_| length > 0) else { break };
            let parcel = Parcel::decode(bytes.to_vec()).ok()?;
            let room = node
                .talks
                .values()
                .find_map(|talk| if let Stage::Open(room) = &talk.stage { room.recognise(&parcel) } else { None });
            kinds.push(match room.and_then(|keys| keys.open(&parcel)) {
                Some(content) => format!("{:?}/{}", content.get(..2), content.len()),
                None => format!("?/{length}"),
            });
            rest = tail;
        }
        Some(kinds.join(" "))
    };
    read().unwrap_or_default()
}

fn digest(parts: &[&[u8]]) -> u64 {
    u64::from_be_bytes(hash("world", parts)[..8].try_into().expect("eight bytes"))
}

fn terms(seats_min: u8) -> Terms {
    let (tags, pattern) = (Vec::new(), Pattern::KnowHow);
    Terms { topic: "t".into(), tags, pattern, seats_min, seats_max: 9, expires_hours: START.hours() + HOURS }
}

fn pack() -> SignedPack {
    let keys = OrganizerKeys::new(&mut Rng::new([3; 32]));
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let pack =
        EventPack::bare("Small World", date(2026, 11, 10), date(2026, 11, 12), &zone, &keys).expect("the days follow each other");
    SignedPack::sign(pack, &keys).expect("the pack is within its bounds")
}
