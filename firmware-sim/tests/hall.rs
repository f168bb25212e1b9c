//! A hall full of phones that pass parcels on: what a parcel costs when everybody hears it from everybody, and that nobody misses one.
//!
//! In each hall the same parcels are also flooded at once, as a reference: whoever gets one first gives it to 6 + log2 of its other
//! neighbours. In the groups the reference itself misses some, because it does not reconcile.

use alcove::proto::config::{CARRY_TIME_MAX, FORWARD_ALL_LINKS_MAX};
use alcove::proto::id::LinkId;
use alcove::proto::mesh::{Kind, Mesh, Outgoing};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::{Duration, Instant, WallTime};
use alcove::proto::wire::frame::Frame;
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use firmware_sim::scenario::S;
use std::collections::{BTreeMap, BTreeSet};

const WALL: WallTime = WallTime(3_600_000 * 1_000);
const PARCELS: usize = 100;
const BETWEEN_PARCELS: Duration = Duration::from_millis(100);
/// A cell over a link of a busy radio.
const DELAY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(45));

type Near = Vec<BTreeSet<usize>>;

/// Everybody has a link to everybody: a hall on one Wi-Fi.
fn everybody(count: usize) -> Near {
    (0..count).map(|phone| (0..count).filter(|other| *other != phone).collect()).collect()
}

/// Everybody opens links until it has this many: a hall by Bluetooth.
fn by_radio(rng: &mut Rng, count: usize, links: usize) -> Near {
    let mut near = vec![BTreeSet::new(); count];
    for phone in 0..count {
        while near[phone].len() < links {
            let other = rng.below(count as u64) as usize;
            if other != phone {
                near[phone].insert(other);
                near[other].insert(phone);
            }
        }
    }
    near
}

/// Groups in which all have links, each with a single one to the next.
fn groups(groups: usize, size: usize) -> Near {
    let mut near = vec![BTreeSet::new(); groups * size];
    for group in 0..groups {
        let all = group * size..(group + 1) * size;
        all.clone().for_each(|phone| near[phone].extend(all.clone().filter(|other| *other != phone)));
        if group + 1 < groups {
            near[all.end - 1].insert(all.end);
            near[all.end].insert(all.end - 1);
        }
    }
    near
}

/// What it took.
struct Outcome {
    /// Parcels sent, per parcel that came to somebody for the first time.
    sends: f64,
    /// Cells of other words, per parcel that came.
    words: f64,
    /// How many of all that should come came.
    came_percent: f64,
    median: Duration,
    p99: Duration,
    max: Duration,
}

impl Outcome {
    fn new(near: &Near, sends: usize, words: usize, mut delays: Vec<Duration>) -> Outcome {
        delays.sort();
        let at = |percent: usize| delays[(delays.len() * percent).div_ceil(100) - 1];
        let each = |many: usize| many as f64 / delays.len() as f64;
        let wanted = PARCELS * (near.len() - 1);
        let came_percent = delays.len() as f64 * 100.0 / wanted as f64;
        Outcome { sends: each(sends), words: each(words), came_percent, median: at(50), p99: at(99), max: at(100) }
    }

    fn row(&self, name: &str) {
        let Outcome { sends, words, came_percent, median, p99, max } = self;
        eprintln!("{name:<40} {sends:.2} sends, {words:.2} cells of words, {came_percent} % came, {median:?}, {p99:?}, {max:?}");
    }
}

/// Meshes on links that take a while.
struct Hall {
    rng: Rng,
    meshes: Vec<Mesh>,
    now: Instant,
    queue: BTreeMap<(Instant, u64), (usize, usize, Frame)>,
    sequence: u64,
    sends: usize,
    words: usize,
}

impl Hall {
    fn new(near: &Near) -> Hall {
        let rng = Rng::new([9; 32]);
        let meshes = near.iter().map(|_| Mesh::default()).collect();
        let mut hall = Hall { rng, meshes, now: Instant(0), queue: BTreeMap::new(), sequence: 0, sends: 0, words: 0 };
        for (phone, others) in near.iter().enumerate() {
            for other in others.iter().filter(|other| **other > phone) {
                let salt = hall.rng.bytes();
                let first = hall.meshes[phone].link_up(&mut hall.rng, Instant(0), LinkId(*other as u64), salt, true);
                hall.meshes[*other].link_up(&mut hall.rng, Instant(0), LinkId(phone as u64), salt, false);
                hall.send(phone, first);
            }
        }
        hall
    }

    fn send(&mut self, from: usize, frames: Vec<Outgoing>) {
        for (LinkId(to), frame) in frames {
            match &frame {
                Frame::Parcel(_) => self.sends += 1,
                Frame::Control(_) => self.words += frame.to_cells().unwrap().len(),
            }
            self.sequence += 1;
            let at = self.now + self.rng.between(DELAY.0, DELAY.1);
            self.queue.insert((at, self.sequence), (to as usize, from, frame));
        }
    }

    /// Lets time pass in which these parcels are made; adds how long each took to whom it came.
    fn run(&mut self, until: Instant, made: &[(Instant, usize, Parcel)], delays: &mut Vec<Duration>) {
        let ids: BTreeMap<_, _> = made.iter().map(|(at, _, parcel)| (parcel.id(), *at)).collect();
        let mut made = made.iter().peekable();
        loop {
            let due = self.meshes.iter().enumerate().filter_map(|(phone, mesh)| Some((mesh.poll_timeout()?, phone))).min();
            let arrival = self.queue.first_key_value().map(|((at, _), _)| *at);
            let origin = made.peek().map(|(at, ..)| *at);
            let Some(next) = [due.map(|(at, _)| at), arrival, origin].into_iter().flatten().min().filter(|at| *at <= until) else {
                break;
            };
            self.now = next.max(self.now);
            if origin == Some(next) {
                let Some((_, phone, parcel)) = made.next() else { break };
                let frames = self.meshes[*phone].originate(&mut self.rng, self.now, WALL, parcel.clone());
                self.send(*phone, frames);
            } else if arrival == Some(next) {
                let Some((_, (to, from, frame))) = self.queue.pop_first() else { break };
                let link = Some(LinkId(from as u64));
                let frames = match frame {
                    Frame::Parcel(parcel) => {
                        let taken = self.meshes[to].receive(&mut self.rng, self.now, WALL, link, Kind::Sealed, &parcel);
                        delays.extend(taken.iter().map(|(parcel, _)| self.now.since(ids[&parcel.id()])));
                        taken.map(|(_, frames)| frames).unwrap_or_default()
                    }
                    Frame::Control(control) => self.meshes[to].hear(&mut self.rng, self.now, LinkId(from as u64), &control),
                };
                self.send(to, frames);
            } else if let Some((_, phone)) = due {
                let frames = self.meshes[phone].tick(&mut self.rng, self.now);
                self.send(phone, frames);
            }
        }
    }
}

/// When each parcel is made, by whom.
fn parcels(rng: &mut Rng, count: usize) -> Vec<(Instant, usize, Parcel)> {
    let keys = ParcelKeys::new(&Key(rng.bytes()));
    let travel = Travel { expiry_hours: 1_010, ephemeral: false, hops: 7 };
    let mut make = |number: usize| {
        let at = Instant(0) + S(10) + BETWEEN_PARCELS * number as u32;
        (at, rng.below(count as u64) as usize, keys.seal(rng, travel, b"x").unwrap())
    };
    (0..PARCELS).map(&mut make).collect()
}

/// Our mesh, in the first so many seconds after the parcels.
fn passed_on(near: &Near, seconds: u64) -> Outcome {
    let made = parcels(&mut Rng::new([1; 32]), near.len());
    let mut hall = Hall::new(near);
    let mut delays = Vec::new();
    let began = Instant(0) + S(9);
    hall.run(began, &[], &mut delays);
    (hall.sends, hall.words) = (0, 0);
    let end = Instant(0) + S(10) + BETWEEN_PARCELS * PARCELS as u32 + S(seconds);
    assert!(end.since(Instant(0)) < CARRY_TIME_MAX);
    hall.run(end, &made, &mut delays);
    Outcome::new(near, hall.sends, hall.words, delays)
}

/// The reference.
fn flooded(near: &Near) -> Outcome {
    let rng = &mut Rng::new([9; 32]);
    let made = parcels(&mut Rng::new([1; 32]), near.len());
    let (mut sends, mut delays) = (0, Vec::new());
    for (at, origin, _) in made {
        let (mut seen, mut queue, mut sequence) = (BTreeSet::from([origin]), BTreeMap::from([((at, 0), (origin, origin))]), 0);
        while let Some(((now, _), (phone, from))) = queue.pop_first() {
            if phone != origin {
                if !seen.insert(phone) {
                    continue;
                }
                delays.push(now.since(at));
            } else if now > at {
                continue;
            }
            let mut to: Vec<_> = near[phone].iter().copied().filter(|other| *other != from).collect();
            let eager = FORWARD_ALL_LINKS_MAX + to.len().max(1).ilog2() as usize;
            let wanted = if to.len() > FORWARD_ALL_LINKS_MAX { eager.min(to.len()) } else { to.len() };
            for place in 0..wanted {
                let other = place + rng.below((to.len() - place) as u64) as usize;
                to.swap(place, other);
            }
            for other in &to[..wanted] {
                (sends, sequence) = (sends + 1, sequence + 1);
                queue.insert((now + rng.between(DELAY.0, DELAY.1), sequence), (*other, phone));
            }
        }
    }
    Outcome::new(near, sends, 0, delays)
}

#[test]
fn in_a_full_hall_a_parcel_is_sent_half_as_often_as_it_would_be_at_once_and_comes_to_everybody() {
    let halls = [
        ("fifty, all with links", everybody(50)),
        ("fifty, six links or more", by_radio(&mut Rng::new([2; 32]), 50, 6)),
        ("fifty, nine links or more", by_radio(&mut Rng::new([3; 32]), 50, 9)),
        ("four groups of twelve", groups(4, 12)),
    ];
    for (name, near) in &halls {
        let (ours, at_once) = (passed_on(near, 30), flooded(near));
        ours.row(name);
        at_once.row(&format!("{name}, at once"));
        assert!(ours.came_percent == 100.0 && ours.came_percent >= at_once.came_percent, "{name}: {} %", ours.came_percent);
        assert!(ours.sends <= at_once.sends * 0.65, "{name}: {:.1} of {:.1}", ours.sends, at_once.sends);
        assert!(ours.p99 <= S(5), "{name}: {:?}", ours.p99);
    }
}

#[test]
fn where_few_have_links_nothing_waits() {
    let ring: Near = (0..12).map(|phone| BTreeSet::from([(phone + 1) % 12, (phone + 11) % 12])).collect();
    let (ours, at_once) = (passed_on(&ring, 5), flooded(&ring));
    assert!(ours.max <= DELAY.1 * 6, "six hops: {:?}", ours.max);
    assert!(ours.came_percent == 100.0 && ours.sends <= at_once.sends, "{} of {}", ours.sends, at_once.sends);
}
