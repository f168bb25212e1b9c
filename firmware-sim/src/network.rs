//! Phones on a virtual network: links that come and go, a relay, delays, faults; one queue of events in virtual time.
//!
//! Law: the order of events follows from the seed alone. A link delivers in order and loses nothing until it breaks, as TCP and BLE
//! do; what was under way when it breaks is lost.

mod intrusion;

use crate::hostile::{Conduct, Hostile};
use crate::onlooker::Onlooker;
use crate::phone::Phone;
use crate::radio::{Radio, Way};
use crate::relay::Relay;
use alcove::model::event::{EventPack, OrganizerKeys, SignedPack, plan};
use alcove::proto::config::ADVERT_BYTES;
use alcove::proto::id::{DialId, EphemeralId, LinkId};
use alcove::proto::io::{Input, Origin, Output, Persist, RadioCommand, RadioEvent, RelayCommand, RelayEvent};
use alcove::proto::job;
use alcove::proto::node::Node;
use alcove::proto::rng::Rng;
use alcove::proto::secret::hash;
use alcove::proto::time::{Duration, Instant, WallTime};
use jiff::civil::date;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

/// The wall clock at the start of every scenario: 10 November 2026, 09:00 UTC.
pub const START: WallTime = WallTime(1_794_301_200_000);

/// How often a phone tells its node what the wall clock shows.
const WALL_INTERVAL: Duration = Duration::from_secs(60);

/// What can go wrong, as probabilities per event and delays.
#[derive(Clone, Copy, Debug)]
pub struct Faults {
    /// One way, between these.
    pub delay: (Duration, Duration),
    /// How links carry cells instead of within that delay.
    pub radio: Option<Radio>,
    /// A delivery on a link breaks it instead: one in so many; 0 never.
    pub break_one_in: u64,
    /// The relay says something twice: one in so many; 0 never.
    pub duplicate_one_in: u64,
    /// Between the relay and a phone. What is said on one connection arrives in order, as over TCP.
    pub relay_delay: (Duration, Duration),
    /// The relay holds a blob back for up to 5 s while later ones overtake it: one in so many; 0 never. If the connection ends
    /// meanwhile the blob is lost to this phone, whose cursor has passed it.
    pub overtake_one_in: u64,
}

impl Default for Faults {
    fn default() -> Faults {
        let (ms, none) = (Duration::from_millis, 0);
        Faults {
            delay: (ms(1), ms(20)),
            radio: None,
            break_one_in: none,
            duplicate_one_in: none,
            relay_delay: (ms(20), ms(80)),
            overtake_one_in: none,
        }
    }
}

enum Happening {
    Input { phone: usize, life: u32, input: Input },
    Relayed { phone: usize, connection: u32, event: RelayEvent },
    Wake { phone: usize, life: u32 },
    Relinked { a: usize, b: usize },
}

/// All of it.
pub struct Network {
    /// The phones, by number.
    pub phones: Vec<Phone>,
    /// The relay.
    pub relay: Relay,
    /// What can go wrong.
    pub faults: Faults,
    /// Every byte that went over a link or to the relay, that was remembered or told, by whom and when, hashed: equal for equal seeds.
    pub trace: [u8; 32],
    /// Whether the trace is kept: it costs a tenth of the time.
    pub is_traced: bool,
    /// Hears what phones pass on, without a seat in any talk.
    pub onlooker: Onlooker,
    /// Every advert that was put on the air, when and by whom. These phones hear one another's only where a test says so.
    pub adverts: Vec<(Instant, usize, [u8; ADVERT_BYTES])>,
    /// Every link that was ordered by radio, when, by whom and to which id. It comes where a test says so.
    pub ordered: Vec<(Instant, usize, EphemeralId)>,
    /// Bytes that went over links between phones, in whole cells.
    pub bytes_sent: u64,
    pack: SignedPack,
    rng: Rng,
    now: Instant,
    queue: BTreeMap<(Instant, u64), Happening>,
    sequence: u64,
    links: BTreeMap<LinkId, (usize, usize, LinkId)>,
    adjacent: BTreeMap<(usize, usize), bool>,
    ways: BTreeMap<LinkId, (Way, Instant)>,
    lives: Vec<u32>,
    next_link: u64,
    next_wall: Instant,
    overheard: BTreeMap<LinkId, Vec<u8>>,
}

impl Network {
    /// So many phones that have joined one event, not connected to anything.
    pub fn new(seed: u64, count: usize) -> Network {
        let mut seed_bytes = [0; 32];
        seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = Rng::new(seed_bytes);
        let pack = pack(&mut rng);
        let mut network = Network {
            phones: Vec::new(),
            relay: Relay::default(),
            faults: Faults::default(),
            trace: [0; 32],
            is_traced: true,
            onlooker: Onlooker::default(),
            adverts: Vec::new(),
            ordered: Vec::new(),
            bytes_sent: 0,
            pack,
            rng,
            now: Instant(0),
            queue: BTreeMap::new(),
            sequence: 0,
            links: BTreeMap::new(),
            adjacent: BTreeMap::new(),
            ways: BTreeMap::new(),
            lives: vec![0; count],
            next_link: 1,
            next_wall: Instant(0) + WALL_INTERVAL,
            overheard: BTreeMap::new(),
        };
        for _ in 0..count {
            let node = Node::new(network.rng.bytes());
            network.phones.push(Phone::new(node));
        }
        for phone in 0..count {
            network.greet(phone);
            let pack = network.pack.clone();
            network.with(phone, |node| node.join_event(&pack)).expect("the pack is fresh");
        }
        network
    }

    /// The virtual time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The time since a phone was started: what its node knows as now.
    pub fn since_start(&self, phone: usize) -> Instant {
        self.elapsed(phone)
    }

    /// A hostile program takes the place of a phone's node.
    pub fn possess(&mut self, phone: usize, conduct: Conduct) {
        self.die(phone);
        let program = Hostile::new(conduct, &self.pack, self.rng.fork());
        (self.phones[phone].hostile, self.phones[phone].started) = (Some(program), self.now);
        self.greet(phone);
        self.relink(phone);
    }

    /// Chance for the scenario.
    pub fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Uses a phone, as its owner would; panics if it is crashed.
    pub fn with<T>(&mut self, phone: usize, f: impl FnOnce(&mut Node) -> T) -> T {
        let elapsed = self.elapsed(phone);
        let node = self.phones[phone].node.as_mut().expect("the phone runs");
        // The node learns what time it is before its owner acts.
        node.handle_input(elapsed, Input::Timeout);
        let result = f(node);
        self.drain(phone);
        result
    }

    /// Looks at a phone.
    pub fn node(&self, phone: usize) -> &Node {
        self.phones[phone].node.as_ref().expect("the phone runs")
    }

    /// Puts two phones in reach of each other; the link comes up, and comes up again when it breaks.
    pub fn connect(&mut self, a: usize, b: usize) {
        let pair = (a.min(b), a.max(b));
        if self.adjacent.insert(pair, true) != Some(true) {
            self.link(a, b);
        }
    }

    /// Puts every phone in reach of every other.
    pub fn connect_all(&mut self) {
        for a in 0..self.phones.len() {
            for b in a + 1..self.phones.len() {
                self.connect(a, b);
            }
        }
    }

    /// Puts the onlooker in reach of a phone, as one more neighbour.
    pub fn overhear(&mut self, phone: usize) {
        let link = LinkId(self.next_link);
        self.next_link += 2;
        self.onlooker.accept(self.now, &self.pack.event().0, phone, link);
        self.tell(phone, Duration::ZERO, Input::LinkUp { link, origin: Origin::Found });
    }

    /// Breaks the links between two phones that stay in reach of each other.
    pub fn break_link(&mut self, a: usize, b: usize) {
        self.break_links(a, b);
    }

    /// Takes two phones out of reach of each other.
    pub fn separate(&mut self, a: usize, b: usize) {
        self.adjacent.insert((a.min(b), a.max(b)), false);
        self.break_links(a, b);
    }

    /// Only phones of the same group reach each other.
    pub fn partition(&mut self, group: impl Fn(usize) -> usize) {
        let pairs: Vec<_> = self.adjacent.iter().filter(|(_, near)| **near).map(|(pair, _)| *pair).collect();
        for (a, b) in pairs {
            if group(a) != group(b) {
                self.separate(a, b);
            }
        }
    }

    /// Connects a phone to the relay or cuts it off.
    pub fn set_online(&mut self, phone: usize, online: bool) {
        if self.phones[phone].is_online != online {
            self.phones[phone].is_online = online;
            self.disconnect_relay(phone);
            self.tell(phone, Duration::ZERO, Input::Relay(if online { RelayEvent::Up } else { RelayEvent::Down }));
        }
    }

    /// The phone dies now; with `after_writes`, right after so many more changes became durable.
    pub fn crash(&mut self, phone: usize, after_writes: Option<u64>) {
        match after_writes {
            Some(writes) => self.phones[phone].cut_after_writes = Some(self.phones[phone].disk.writes + writes),
            None => self.die(phone),
        }
    }

    /// A phone that was to die after some writes lives on.
    pub fn spare(&mut self, phone: usize) {
        self.phones[phone].cut_after_writes = None;
    }

    /// The phone starts again from its disk.
    pub fn restart(&mut self, phone: usize) {
        self.die(phone);
        self.phones[phone].started = self.now;
        let (seed, records, wall) = (self.rng.bytes(), self.phones[phone].disk.records(), self.wall(phone));
        self.phones[phone].node = Some(Node::restore(seed, Instant(0), wall, records));
        self.greet(phone);
        if self.phones[phone].is_online {
            self.tell(phone, Duration::ZERO, Input::Relay(RelayEvent::Up));
        }
        self.relink(phone);
        self.drain(phone);
    }

    fn relink(&mut self, phone: usize) {
        let touches = |pair: &(usize, usize)| pair.0 == phone || pair.1 == phone;
        let near: Vec<_> = self.adjacent.iter().filter(|(pair, near)| **near && touches(pair)).map(|(pair, _)| *pair).collect();
        near.into_iter().for_each(|(a, b)| self.link(a, b));
    }

    /// The phone has Bluetooth and no LAN: nobody can dial it. Its links stay as they are.
    pub fn leave_lan(&mut self, phone: usize) {
        self.tell(phone, Duration::ZERO, Input::Listening(Vec::new()));
        self.tell(phone, Duration::ZERO, Input::Radio(RadioEvent::On));
    }

    /// Shifts a phone's wall clock.
    pub fn jump_clock(&mut self, phone: usize, by_ms: i64) {
        self.phones[phone].wall_offset_ms += by_ms;
        let wall = self.wall(phone);
        self.tell(phone, Duration::ZERO, Input::Wall(wall));
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Duration) {
        let end = self.now + span;
        loop {
            let next = self.queue.first_key_value().map(|(key, _)| *key).filter(|(at, _)| *at <= end);
            if self.next_wall <= next.map_or(end, |(at, _)| at) {
                self.now = self.next_wall;
                self.next_wall = self.now + WALL_INTERVAL;
                for phone in 0..self.phones.len() {
                    let wall = self.wall(phone);
                    self.tell(phone, Duration::ZERO, Input::Wall(wall));
                }
                continue;
            }
            let Some(key) = next else { break };
            self.now = key.0;
            if let Some(happening) = self.queue.remove(&key) {
                self.happen(key.0, happening);
            }
        }
        self.now = end;
    }

    /// Lets time pass until something holds, at most so long. Says whether it came to hold.
    pub fn run_until(&mut self, longest: Duration, mut holds: impl FnMut(&Network) -> bool) -> bool {
        let end = self.now + longest;
        while !holds(self) {
            if self.now >= end {
                return false;
            }
            self.run(Duration::from_millis(100));
        }
        true
    }

    fn happen(&mut self, at: Instant, happening: Happening) {
        match happening {
            Happening::Input { phone, life, input } if self.lives[phone] == life => {
                if let Input::Received { link, .. } = &input
                    && !self.links.contains_key(link)
                    && !self.onlooker.holds(*link)
                {
                    return;
                }
                let breaks = matches!(input, Input::Received { .. }) && self.happens_one_in(self.faults.break_one_in);
                match &input {
                    Input::Received { link, .. } if breaks => {
                        if let Some((a, b, _)) = self.links.get(link).copied() {
                            self.break_links(a, b);
                        }
                    }
                    _ => self.handle(phone, input),
                }
            }
            // A wake-up that was put off or brought forward is not one any more.
            Happening::Wake { phone, life } if self.lives[phone] == life && self.phones[phone].wake == Some(at) => {
                self.phones[phone].wake = None;
                self.handle(phone, Input::Timeout);
            }
            Happening::Relayed { phone, connection, event } if self.phones[phone].connection == connection => {
                self.handle(phone, Input::Relay(event));
            }
            Happening::Relinked { a, b } => {
                let near = self.adjacent.get(&(a, b)) == Some(&true);
                if near && !self.links.values().any(|(from, to, _)| (*from, *to) == (a, b)) {
                    self.link(a, b);
                }
            }
            Happening::Input { .. } | Happening::Wake { .. } | Happening::Relayed { .. } => {}
        }
    }

    fn handle(&mut self, phone: usize, input: Input) {
        let elapsed = self.elapsed(phone);
        self.phones[phone].handle_input(elapsed, input);
        self.drain(phone);
    }

    /// Carries out what a node wants, in order: nothing leaves before what precedes it is durable. What is to be durable between two
    /// effects that leave the phone is one batch, as the vault commits it: all of it or nothing.
    fn drain(&mut self, phone: usize) {
        let (mut batch, mut jobs) = (Vec::new(), Vec::new());
        while let Some(output) = self.phones[phone].poll_output() {
            let leaves = matches!(output, Output::Transmit { .. } | Output::Relay(_) | Output::Dial { .. });
            if leaves && !self.commit(phone, &mut batch) {
                return;
            }
            match output {
                Output::Persist(change) => batch.push(change),
                Output::Transmit { link, bytes } => self.deliver(link, bytes),
                Output::Disconnect { link } => {
                    if let Some((a, b, _)) = self.links.get(&link).copied() {
                        self.break_links(a, b);
                    }
                }
                Output::Dial { dial, addresses } => self.dial(phone, dial, &addresses),
                Output::Relay(command) if self.phones[phone].is_online => self.use_relay(phone, command),
                Output::Radio(RadioCommand::Advertise { advert, .. }) => self.adverts.push((self.now, phone, advert)),
                Output::Radio(RadioCommand::Connect { id }) => self.ordered.push((self.now, phone, id)),
                // Their links come and go as the scenario says.
                Output::Relay(_) | Output::Radio(_) => {}
                Output::Compute { id, job } => jobs.push((id, job)),
                Output::Event(event) => {
                    if self.is_traced {
                        self.note(phone, format!("{event:?}").as_bytes());
                    }
                    self.phones[phone].events.push(event);
                }
            }
        }
        if !self.commit(phone, &mut batch) {
            return;
        }
        for (id, job) in jobs {
            self.tell(phone, Duration::from_millis(2), Input::Computed { id, answer: Some(job::run(&job)) });
        }
        let (life, started) = (self.lives[phone], self.phones[phone].started);
        let due = self.phones[phone].poll_timeout().map(|due| started + due.since(Instant(0)));
        let due = due.map(|due| due.max(self.now));
        if due != self.phones[phone].wake {
            self.phones[phone].wake = due;
            if let Some(at) = due {
                self.schedule(at, Happening::Wake { phone, life });
            }
        }
    }

    /// Makes a batch durable; false if the phone dies of it.
    fn commit(&mut self, phone: usize, batch: &mut Vec<Persist>) -> bool {
        if batch.is_empty() {
            return true;
        }
        if self.is_traced {
            for change in batch.iter() {
                match change {
                    Persist::Put { name, value, .. } => self.note(phone, &[&name[..], value].concat()),
                    Persist::Delete { name, .. } => self.note(phone, name),
                    Persist::Forget { .. } => self.note(phone, b"forget"),
                }
            }
        }
        if !self.phones[phone].disk.commit(std::mem::take(batch)) {
            self.die(phone);
            return false;
        }
        let cut = self.phones[phone].cut_after_writes.is_some_and(|cut| self.phones[phone].disk.writes >= cut);
        if cut {
            self.die(phone);
        }
        !cut
    }

    fn use_relay(&mut self, phone: usize, command: RelayCommand) {
        if let RelayCommand::Put { blob, .. } = &command {
            self.note(phone, blob);
        }
        for (to, event) in self.relay.handle(phone, command) {
            let twice = self.happens_one_in(self.faults.duplicate_one_in);
            for _ in 0..1 + u32::from(twice) {
                let delay = self.rng.between(self.faults.relay_delay.0, self.faults.relay_delay.1);
                let mut at = self.now + delay;
                if matches!(event, RelayEvent::Blob { .. }) && self.happens_one_in(self.faults.overtake_one_in) {
                    at = at + self.rng.between(Duration::ZERO, Duration::from_secs(5));
                } else {
                    at = at.max(self.phones[to].relay_heard_until + Duration::from_micros(1));
                    self.phones[to].relay_heard_until = at;
                }
                let connection = self.phones[to].connection;
                self.schedule(at, Happening::Relayed { phone: to, connection, event: event.clone() });
            }
        }
    }

    fn disconnect_relay(&mut self, phone: usize) {
        self.relay.disconnect(phone);
        self.phones[phone].connection += 1;
    }

    fn happens_one_in(&mut self, many: u64) -> bool {
        many > 0 && self.rng.below(many) == 0
    }

    /// Takes what a phone sent into the trace.
    fn note(&mut self, phone: usize, bytes: &[u8]) {
        if !self.is_traced {
            return;
        }
        self.trace = hash("trace", &[&self.trace, &self.now.0.to_be_bytes(), &[phone as u8], bytes]);
    }

    fn deliver(&mut self, link: LinkId, bytes: Vec<u8>) {
        if let Some((phone, bytes)) = self.onlooker.hear(&mut self.rng, link, &bytes) {
            self.tell(phone, Duration::ZERO, Input::Received { link, bytes });
        }
        let Some((from, to, twin)) = self.links.get(&link).copied() else { return };
        if let Some(overheard) = self.overheard.get_mut(&twin) {
            return overheard.extend(bytes);
        }
        self.bytes_sent += bytes.len() as u64;
        self.note(self.owner(link), &bytes);
        let (way, last) = self.ways.entry(link).or_default();
        let at = match &self.faults.radio {
            Some(radio) => way.arrival(&mut self.rng, radio, self.now, bytes.len()),
            None => self.now + self.rng.between(self.faults.delay.0, self.faults.delay.1),
        };
        let at = at.max(*last + Duration::from_micros(1));
        *last = at;
        let other = if self.owner(link) == from { to } else { from };
        let life = self.lives[other];
        self.schedule(at, Happening::Input { phone: other, life, input: Input::Received { link: twin, bytes } });
    }

    fn owner(&self, link: LinkId) -> usize {
        // Odd numbers belong to the side that opened the link.
        self.links.get(&link).map_or(0, |(from, to, _)| if link.0 % 2 == 1 { *from } else { *to })
    }

    fn dial(&mut self, phone: usize, dial: DialId, addresses: &[SocketAddr]) {
        let target = addresses.iter().find_map(|address| (0..self.phones.len()).find(|other| address_of(*other) == *address));
        let reachable = target.filter(|other| self.adjacent.get(&(phone.min(*other), phone.max(*other))) == Some(&true));
        match reachable.filter(|other| self.phones[*other].runs()) {
            Some(other) => self.open(phone, other, Origin::Dialed(dial)),
            None => self.tell(phone, Duration::from_secs(3), Input::DialFailed { dial }),
        }
    }

    fn link(&mut self, a: usize, b: usize) {
        if self.phones[a].runs() && self.phones[b].runs() {
            self.open(a, b, Origin::Found);
        }
    }

    fn open(&mut self, from: usize, to: usize, origin: Origin) {
        let (mine, theirs) = (LinkId(self.next_link), LinkId(self.next_link + 1));
        self.next_link += 2;
        self.links.insert(mine, (from, to, theirs));
        self.links.insert(theirs, (from, to, mine));
        self.tell(to, Duration::ZERO, Input::LinkUp { link: theirs, origin: Origin::Accepted });
        self.tell(from, Duration::ZERO, Input::LinkUp { link: mine, origin });
    }

    fn break_links(&mut self, a: usize, b: usize) {
        let gone: Vec<_> = self
            .links
            .iter()
            .filter(|(_, (from, to, _))| (*from, *to) == (a, b) || (*from, *to) == (b, a))
            .map(|(id, _)| *id)
            .collect();
        for link in gone {
            let owner = self.owner(link);
            self.links.remove(&link);
            self.ways.remove(&link);
            self.tell(owner, Duration::ZERO, Input::LinkDown { link });
        }
        let again = self.rng.between(Duration::from_millis(200), Duration::from_secs(2));
        let (a, b) = (a.min(b), a.max(b));
        self.schedule(self.now + again, Happening::Relinked { a, b });
    }

    fn die(&mut self, phone: usize) {
        self.phones[phone].node = None;
        self.phones[phone].cut_after_writes = None;
        self.phones[phone].wake = None;
        self.lives[phone] += 1;
        self.disconnect_relay(phone);
        let others: Vec<_> = (0..self.phones.len()).filter(|other| *other != phone).collect();
        others.into_iter().for_each(|other| self.break_links(phone, other));
    }

    fn greet(&mut self, phone: usize) {
        let (wall, elapsed) = (self.wall(phone), self.elapsed(phone));
        self.phones[phone].handle_input(elapsed, Input::Wall(wall));
        self.phones[phone].handle_input(elapsed, Input::Listening(vec![address_of(phone)]));
        self.drain(phone);
    }

    fn tell(&mut self, phone: usize, delay: Duration, input: Input) {
        // Who has no phone is told nothing.
        let Some(life) = self.lives.get(phone).copied() else { return };
        self.schedule(self.now + delay, Happening::Input { phone, life, input });
    }

    fn schedule(&mut self, at: Instant, happening: Happening) {
        self.sequence += 1;
        self.queue.insert((at, self.sequence), happening);
    }

    fn elapsed(&self, phone: usize) -> Instant {
        Instant(self.now.0 - self.phones[phone].started.0)
    }

    fn wall(&self, phone: usize) -> WallTime {
        let ms = START.0 + self.now.0 / 1000;
        WallTime(ms.saturating_add_signed(self.phones[phone].wall_offset_ms))
    }
}

fn address_of(phone: usize) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(127, 0, 0, 1), 2_000 + phone as u16))
}

/// An event of three days around [`START`], with twenty tables, on a relay of two buckets; its organizer's keys come from this chance.
pub fn pack(rng: &mut Rng) -> SignedPack {
    let keys = OrganizerKeys::new(rng);
    let zone = TimeZone::fixed(jiff::tz::offset(1));
    let bare =
        EventPack::bare("Simulated Days", date(2026, 11, 10), date(2026, 11, 12), &zone, &keys).expect("days in their order");
    let tables = plan::in_rows(20, 4);
    let pack = EventPack { place: "Nowhere".into(), zone: "Europe/Berlin".into(), room_buckets: 2, tables, ..bare };
    SignedPack::sign(pack, &keys).expect("the pack is within its bounds")
}
