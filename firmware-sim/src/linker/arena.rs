//! A hall: phones that run the real node by radio alone, their adverts, and the links that they open.
//!
//! Law: what a phone orders of its radio is done, and nothing else: it is heard while it shows an id, linked by whoever heard that id,
//! and silent when it says so. Adverts are heard every few seconds, as often as the nodes need; the watcher hears the first and the last.

use super::Setting;
use super::people::People;
use super::sighting::{Brought, Passed, Sighted, Sightings};
use crate::network::{START, pack};
use alcove::proto::config::CELL_BYTES;
use alcove::proto::id::{EphemeralId, LinkId};
use alcove::proto::io::{Input, Origin, Output, RadioCommand, RadioEvent};
use alcove::proto::job;
use alcove::proto::link::{Heard, Link};
use alcove::proto::node::Node;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant, WallTime};
use alcove::proto::wire::advert::{Advert, Shower};
use alcove::proto::wire::frame::{Control, Frame};
use std::collections::BTreeMap;

/// Between two moments at which an advert may be heard.
const ROUND: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(8));
/// So many may hear it then, drawn anew each time: everybody is in everybody's range.
const HEARERS: usize = 24;
/// Until a link stands that was ordered.
const CONNECT: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(600));
/// One way over a link.
const DELAY: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(60));
/// How soon the neighbour opens a link to a new id.
const POUNCE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(900));
/// How often the neighbour asks what one carries.
const ASK_PAUSE: Duration = Duration::from_secs(15);
/// How often people act, and how often phones look at the clock.
const PEOPLE_PAUSE: Duration = Duration::from_secs(5);
const WALL_PAUSE: Duration = Duration::from_secs(60);
/// Everybody comes within so long.
const ARRIVAL: Duration = Duration::from_secs(900);

enum Happening {
    Come { phone: usize },
    Input { phone: usize, input: Input },
    Wake { phone: usize },
    Heard { number: usize },
    Connected { number: usize, by: usize },
    Pounce { number: usize },
    Ask { link: LinkId },
    Reply { link: LinkId, bytes: Vec<u8> },
    People,
    Wall,
}

struct Device {
    node: Node,
    wake: Option<Instant>,
    /// The id that it shows, by number.
    shows: Option<usize>,
    duty_percent: u8,
}

/// One end of a link.
struct End {
    /// Whose; `None`: the neighbour's.
    phone: Option<usize>,
    /// The id under which it was opened, or to which the neighbour opened it.
    number: usize,
    twin: LinkId,
    heard_until: Instant,
    noise: Option<Link>,
}

/// The hall.
pub struct Arena {
    rng: Rng,
    now: Instant,
    event: [u8; 16],
    devices: Vec<Device>,
    queue: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    links: BTreeMap<LinkId, End>,
    next_link: u64,
    shown: BTreeMap<EphemeralId, usize>,
    people: Option<People>,
    sightings: Sightings,
}

/// Plays a setting to its end; gives all that was seen.
pub fn play(setting: Setting) -> Sightings {
    let mut arena = Arena::new(setting);
    let end = Instant(0) + setting.span;
    while let Some((&key, _)) = arena.queue.first_key_value() {
        if key.0 > end {
            break;
        }
        arena.now = key.0;
        if let Some(happening) = arena.queue.remove(&key) {
            arena.happen(happening);
        }
    }
    arena.sightings
}

impl Arena {
    fn new(setting: Setting) -> Arena {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&setting.seed.to_le_bytes());
        let mut rng = Rng::new(seed);
        let pack = pack(&mut rng);
        let device = |_| {
            let mut node = Node::new(rng.bytes());
            node.handle_input(Instant(0), Input::Wall(START));
            node.join_event(&pack).expect("the pack is fresh");
            while node.poll_output().is_some() {}
            Device { node, wake: None, shows: None, duty_percent: 0 }
        };
        let devices = (0..setting.devices).map(device).collect();
        let people = Some(People::new(rng.fork(), setting.talks));
        let mut arena = Arena {
            rng,
            now: Instant(0),
            event: pack.event().0,
            devices,
            queue: BTreeMap::new(),
            sequence: 0,
            links: BTreeMap::new(),
            next_link: 1,
            shown: BTreeMap::new(),
            people,
            sightings: Sightings::default(),
        };
        for phone in 0..setting.devices {
            let at = Instant(0) + arena.rng.between(Duration::ZERO, ARRIVAL);
            // Who sits in a talk is there when it begins.
            let at = if phone < setting.talks * 5 { Instant(at.0 % 60_000_000) } else { at };
            arena.schedule(at, Happening::Come { phone });
        }
        arena.schedule(Instant(0), Happening::People);
        arena.schedule(Instant(0), Happening::Wall);
        arena
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    pub(super) fn count(&self) -> usize {
        self.devices.len()
    }

    /// Uses a phone, as its owner would.
    pub(super) fn with<T>(&mut self, phone: usize, f: impl FnOnce(&mut Node) -> T) -> T {
        self.devices[phone].node.handle_input(self.now, Input::Timeout);
        let result = f(&mut self.devices[phone].node);
        self.drain(phone);
        result
    }

    /// What somebody writes.
    pub(super) fn words(&mut self, number: u64) -> String {
        format!("{number} {}", "word ".repeat(2 + self.rng.below(12) as usize))
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Come { phone } => self.tell(phone, Input::Radio(RadioEvent::On)),
            Happening::Input { phone, input } => match &input {
                Input::Received { link, .. } if !self.links.contains_key(link) => {}
                _ => self.tell(phone, input),
            },
            Happening::Wake { phone } if self.devices[phone].wake == Some(self.now) => {
                self.devices[phone].wake = None;
                self.tell(phone, Input::Timeout);
            }
            Happening::Wake { .. } => {}
            Happening::Heard { number } => self.heard(number),
            Happening::Connected { number, by } => self.connected(number, by),
            Happening::Pounce { number } => self.pounce(number),
            Happening::Ask { link } => self.ask(link),
            Happening::Reply { link, bytes } => self.transmit(link, bytes),
            Happening::People => {
                if let Some(mut people) = self.people.take() {
                    people.act(self);
                    self.people = Some(people);
                }
                self.schedule(self.now + PEOPLE_PAUSE, Happening::People);
            }
            Happening::Wall => {
                let wall = WallTime(START.0 + self.now.0 / 1_000);
                (0..self.devices.len()).for_each(|phone| self.tell(phone, Input::Wall(wall)));
                self.schedule(self.now + WALL_PAUSE, Happening::Wall);
            }
        }
    }

    fn tell(&mut self, phone: usize, input: Input) {
        self.devices[phone].node.handle_input(self.now, input);
        self.drain(phone);
    }

    fn drain(&mut self, phone: usize) {
        while let Some(output) = self.devices[phone].node.poll_output() {
            match output {
                Output::Transmit { link, bytes } => self.transmit(link, bytes),
                Output::Disconnect { link } => self.close(link),
                Output::Radio(command) => self.command(phone, command),
                Output::Compute { id, job } => {
                    let input = Input::Computed { id, answer: Some(job::run(&job)) };
                    self.schedule(self.now + Duration::from_millis(2), Happening::Input { phone, input });
                }
                // There is no LAN, no relay, and no restart.
                Output::Dial { .. } | Output::Relay(_) | Output::Persist(_) | Output::Event(_) => {}
            }
        }
        let due = self.devices[phone].node.poll_timeout().map(|due| due.max(self.now));
        if due != self.devices[phone].wake {
            self.devices[phone].wake = due;
            if let Some(at) = due {
                self.schedule(at, Happening::Wake { phone });
            }
        }
    }

    fn command(&mut self, phone: usize, command: RadioCommand) {
        match command {
            RadioCommand::Advertise { advert, interval } => self.show(phone, &advert, interval),
            RadioCommand::Silence => self.silence(phone),
            RadioCommand::Scan { duty_percent } => self.devices[phone].duty_percent = duty_percent,
            RadioCommand::Connect { id } => {
                let number = self.shown.get(&id).copied();
                let at = self.now + self.rng.between(CONNECT.0, CONNECT.1);
                match number {
                    Some(number) => self.schedule(at, Happening::Connected { number, by: phone }),
                    None => self.schedule(at, Happening::Input { phone, input: Input::Radio(RadioEvent::OutOfReach { id }) }),
                }
            }
        }
    }

    /// The phone is seen under a new id and a new address.
    fn show(&mut self, phone: usize, advert: &[u8], interval: Duration) {
        let Some(advert) = Advert::from_bytes(advert) else { return };
        let number = self.sightings.ids.len();
        self.shown.insert(advert.id, number);
        let seen = Sighted {
            device: phone,
            began: self.now,
            address: self.rng.bytes(),
            id: advert.id.0,
            hint: advert.hint,
            // A radio adds up to 10 ms to each, and what is measured is their mean over minutes.
            interval: interval + self.rng.between(Duration::ZERO, Duration::from_micros(200)),
            ..Sighted::default()
        };
        self.sightings.ids.push(seen);
        self.devices[phone].shows = Some(number);
        let first = self.now + self.rng.between(Duration::from_millis(100), Duration::from_secs(1));
        self.schedule(first, Happening::Heard { number });
        let pounce = self.now + self.rng.between(POUNCE.0, POUNCE.1);
        self.schedule(pounce, Happening::Pounce { number });
    }

    fn silence(&mut self, phone: usize) {
        let Some(number) = self.devices[phone].shows.take() else { return };
        let seen = &mut self.sightings.ids[number];
        (seen.ended, seen.life) = (Some(self.now), self.now.since(seen.began));
        self.shown.remove(&EphemeralId(seen.id));
        let gone: Vec<_> = self.links.iter().filter(|(_, end)| end.phone == Some(phone)).map(|(link, _)| *link).collect();
        gone.into_iter().for_each(|link| self.close(link));
    }

    /// Some hear an advert: now these, now those.
    fn heard(&mut self, number: usize) {
        let seen = &self.sightings.ids[number];
        let device = seen.device;
        if self.devices[device].shows != Some(number) {
            return;
        }
        let advert = Advert { shower: Shower::Attendee, id: EphemeralId(seen.id), hint: seen.hint }.to_bytes();
        for _ in 0..HEARERS {
            let phone = self.rng.below(self.devices.len() as u64) as usize;
            let percent = self.devices[phone].duty_percent;
            if phone != device && percent > 0 && self.rng.below(100) < u64::from(percent) + 15 {
                let input = Input::Radio(RadioEvent::Heard { advert: advert.to_vec(), rssi_dbm: None });
                self.tell(phone, input);
            }
        }
        let next = self.now + self.rng.between(ROUND.0, ROUND.1);
        self.schedule(next, Happening::Heard { number });
    }

    fn connected(&mut self, number: usize, by: usize) {
        let seen = &self.sightings.ids[number];
        let (to, id) = (seen.device, EphemeralId(seen.id));
        let (Some(own), true) = (self.devices[by].shows, self.devices[to].shows == Some(number)) else {
            return self.tell(by, Input::Radio(RadioEvent::OutOfReach { id }));
        };
        self.sightings.ids[own].partners.insert(number);
        self.sightings.ids[number].partners.insert(own);
        let (mine, theirs) = self.open((Some(by), own), (Some(to), number));
        self.tell(to, Input::LinkUp { link: theirs, origin: Origin::Near(None) });
        self.tell(by, Input::LinkUp { link: mine, origin: Origin::Near(Some(id)) });
    }

    fn open(&mut self, from: (Option<usize>, usize), to: (Option<usize>, usize)) -> (LinkId, LinkId) {
        let (mine, theirs) = (LinkId(self.next_link), LinkId(self.next_link + 1));
        self.next_link += 2;
        let end = |(phone, number), twin| End { phone, number, twin, heard_until: Instant(0), noise: None };
        self.links.insert(mine, end(from, theirs));
        self.links.insert(theirs, end(to, mine));
        (mine, theirs)
    }

    fn close(&mut self, link: LinkId) {
        let Some(end) = self.links.remove(&link) else { return };
        let twin = self.links.remove(&end.twin).and_then(|twin| twin.phone);
        for (phone, link) in [(end.phone, link), (twin, end.twin)] {
            if let Some(phone) = phone {
                self.schedule(self.now, Happening::Input { phone, input: Input::LinkDown { link } });
            }
        }
    }

    /// Carries cells to the other end; the watchers see them leave.
    fn transmit(&mut self, link: LinkId, bytes: Vec<u8>) {
        let Some(end) = self.links.get(&link) else { return };
        let cells = bytes.len().div_ceil(CELL_BYTES) as u32;
        let (twin, number, phone) = (end.twin, end.number, end.phone);
        if phone.is_some() {
            self.sightings.ids[number].count(self.now, true, cells);
        }
        let at = self.now + self.rng.between(DELAY.0, DELAY.1);
        let Some(other) = self.links.get_mut(&twin) else { return };
        let at = at.max(other.heard_until + Duration::from_micros(1));
        other.heard_until = at;
        let receiver = other.number;
        match other.phone {
            Some(phone) => {
                self.sightings.ids[receiver].count(self.now, false, cells);
                self.schedule(at, Happening::Input { phone, input: Input::Received { link: twin, bytes } });
            }
            // The neighbour's radio is right there.
            None => self.overhear(twin, &bytes),
        }
    }

    /// The neighbour opens a link to a new id.
    fn pounce(&mut self, number: usize) {
        let to = self.sightings.ids[number].device;
        if self.devices[to].shows != Some(number) {
            return;
        }
        let (link, first) = Link::initiate(&mut self.rng, self.now, &self.event, None);
        let (mine, theirs) = self.open((None, number), (Some(to), number));
        if let Some(end) = self.links.get_mut(&mine) {
            end.noise = Some(link);
        }
        self.sightings.ids[number].contact.asked = self.now;
        self.tell(to, Input::LinkUp { link: theirs, origin: Origin::Near(None) });
        self.transmit(mine, first);
    }

    /// The neighbour says something on a link.
    fn say(&mut self, link: LinkId, control: Control) {
        let end = self.links.get_mut(&link).and_then(|end| end.noise.as_mut());
        let cells = end.and_then(|noise| noise.send(&Frame::Control(control)));
        cells.into_iter().for_each(|cells| self.transmit(link, cells));
    }

    /// The neighbour notes what one carries: reconciliation tells all of it to whoever asks.
    fn ask(&mut self, link: LinkId) {
        let Some(number) = self.links.get(&link).map(|end| end.number) else { return };
        let device = self.sightings.ids[number].device;
        let known = self.devices[device].node.carried().filter_map(|id| self.sightings.known(id)).collect();
        let contact = &mut self.sightings.ids[number].contact;
        contact.last_set = Some((self.now, known));
        if contact.first_set.is_none() {
            contact.first_set.clone_from(&contact.last_set);
        }
        self.schedule(self.now + ASK_PAUSE, Happening::Ask { link });
    }

    /// The neighbour takes what comes.
    fn overhear(&mut self, link: LinkId, bytes: &[u8]) {
        let Some(end) = self.links.get_mut(&link) else { return };
        let (number, Some(noise)) = (end.number, &mut end.noise) else { return };
        let heard = noise.receive(&mut self.rng, bytes, &[]).expect("an honest phone keeps the link's rules");
        for heard in heard {
            match heard {
                Heard::Reply(bytes) => self.schedule(self.now, Happening::Reply { link, bytes }),
                Heard::Up { .. } => {
                    let contact = &mut self.sightings.ids[number].contact;
                    contact.up = Some(self.now);
                    let id = EphemeralId(self.rng.bytes());
                    self.say(link, Control::Introduction { id });
                    self.ask(link);
                }
                Heard::Frame(Frame::Parcel(parcel)) => {
                    let (travel, id) = (parcel.travel(), parcel.id());
                    let passed = || Passed {
                        id,
                        first: self.now,
                        is_ephemeral: travel.ephemeral,
                        expiry_hours: travel.expiry_hours,
                        bytes: parcel.as_bytes().len(),
                    };
                    let (parcel_number, is_first) = self.sightings.number(id, passed);
                    let brought =
                        Brought { at: self.now, parcel: parcel_number, hops: travel.hops, crowd: parcel.crowd(), is_first };
                    self.sightings.ids[number].contact.brought.push(brought);
                }
                Heard::Frame(Frame::Control(Control::Carrying { first: 0, .. })) => {
                    self.sightings.ids[number].contact.asks.push(self.now);
                }
                Heard::Frame(Frame::Control(_)) => {}
            }
        }
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }
}
