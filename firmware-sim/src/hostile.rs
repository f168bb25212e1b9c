//! A program that speaks the links' language and keeps none of its rules: it drops, mutates, replays, floods.
//!
//! It has the event's code like everybody else, so its handshakes hold; everything after them is its own affair.

use alcove::model::event::SignedPack;
use alcove::proto::board::{Card, Content, Pattern, Terms};
use alcove::proto::config::SYMBOLS_PER_CELL;
use alcove::proto::cx::Post;
use alcove::proto::id::{LinkId, SeatId, WriteName};
use alcove::proto::io::{Input, Origin, Output};
use alcove::proto::link::{Heard, Link};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::{Duration, Instant};
use alcove::proto::wire::frame::{Control, Frame};
use alcove::proto::wire::message;
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use ed25519_dalek::SigningKey;
use std::collections::{BTreeMap, VecDeque};

/// What it does.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// Takes everything and passes nothing on.
    Drop,
    /// Passes everything on with a bit changed.
    Mutate,
    /// Says everything it has heard again and again, with every hop that a parcel may have.
    Replay,
    /// Sends parcels that nobody can open: so many at once, so often.
    Noise(Beat),
    /// Posts cards, each under a key of its own, that end at this hour.
    Cards(Beat, u32),
}

/// So many at once, so often.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    /// Parcels at a time, on each link.
    pub many: usize,
    /// Between two times.
    pub every: Duration,
}

/// How much of what it heard a replayer keeps.
const HEARD_MAX: usize = 2_000;

/// The program.
pub struct Hostile {
    conduct: Conduct,
    rng: Rng,
    now: Instant,
    event: Vec<u8>,
    board: ParcelKeys,
    hour: u32,
    links: BTreeMap<LinkId, Link>,
    out: VecDeque<Output>,
    heard: Vec<Parcel>,
    next: Instant,
    /// Parcels that it has sent, counted once per link.
    pub sent: u64,
}

impl Hostile {
    /// A program of this conduct.
    pub fn new(conduct: Conduct, pack: &SignedPack, rng: Rng) -> Hostile {
        Hostile {
            conduct,
            rng,
            now: Instant(0),
            event: pack.event().0.to_vec(),
            board: ParcelKeys::new(&pack.pack().board_key),
            hour: 0,
            links: BTreeMap::new(),
            out: VecDeque::new(),
            heard: Vec::new(),
            next: Instant(0),
            sent: 0,
        }
    }

    /// Does what it likes from now on.
    pub fn behave(&mut self, conduct: Conduct) {
        (self.conduct, self.next) = (conduct, self.now);
    }

    pub(crate) fn handle_input(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Wall(wall) => self.hour = wall.hours(),
            Input::LinkUp { link, origin: Origin::Accepted } => drop(self.links.insert(link, Link::accept(now, &self.event))),
            Input::LinkUp { link, .. } => {
                let (up, first) = Link::initiate(&mut self.rng, now, &self.event, None);
                self.links.insert(link, up);
                self.out.push_back(Output::Transmit { link, bytes: first });
            }
            Input::LinkDown { link } => drop(self.links.remove(&link)),
            Input::Received { link, bytes } => self.received(link, &bytes),
            Input::Listening(_)
            | Input::DialFailed { .. }
            | Input::Relay(_)
            | Input::Radio(_)
            | Input::Computed { .. }
            | Input::Timeout => {}
        }
        if self.beat().is_some() && self.next <= now {
            self.act();
        }
    }

    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.beat().map(|_| self.next)
    }

    fn beat(&self) -> Option<Beat> {
        match &self.conduct {
            Conduct::Drop | Conduct::Mutate => None,
            Conduct::Replay => Some(Beat { many: 20, every: Duration::from_secs(1) }),
            Conduct::Noise(beat) | Conduct::Cards(beat, _) => Some(*beat),
        }
    }

    fn received(&mut self, id: LinkId, bytes: &[u8]) {
        let Some(link) = self.links.get_mut(&id) else { return };
        for heard in link.receive(&mut self.rng, bytes, &[]).unwrap_or_default() {
            match heard {
                Heard::Reply(bytes) => self.out.push_back(Output::Transmit { link: id, bytes }),
                // It claims to carry something, so that it is told what others carry.
                Heard::Up { .. } => {
                    let (round, symbols) = (self.rng.bytes(), (0..SYMBOLS_PER_CELL).map(|_| self.rng.bytes()).collect());
                    self.send(id, &Frame::Control(Control::Carrying { round, slice: 0, first: 0, symbols }));
                }
                Heard::Frame(Frame::Parcel(parcel)) => self.take(id, parcel),
                Heard::Frame(Frame::Control(_)) => {}
            }
        }
    }

    fn take(&mut self, from: LinkId, parcel: Parcel) {
        match self.conduct {
            Conduct::Drop | Conduct::Noise(_) | Conduct::Cards(..) => {}
            Conduct::Mutate => {
                let mut bytes = parcel.as_bytes().to_vec();
                let place = 2 + self.rng.below(bytes.len() as u64 - 2) as usize;
                bytes[place] ^= 1 << self.rng.below(8);
                if let Ok(parcel) = Parcel::decode(bytes) {
                    let to: Vec<_> = self.links.keys().copied().filter(|link| *link != from).collect();
                    to.into_iter().for_each(|link| self.send(link, &Frame::Parcel(parcel.clone())));
                }
            }
            Conduct::Replay if self.heard.len() < HEARD_MAX => self.heard.push(parcel),
            Conduct::Replay => {
                let place = self.rng.below(HEARD_MAX as u64) as usize;
                self.heard[place] = parcel;
            }
        }
    }

    fn act(&mut self) {
        let Some(beat) = self.beat() else { return };
        self.next = self.now + beat.every;
        let links: Vec<_> = self.links.iter().filter(|(_, link)| link.is_up()).map(|(id, _)| *id).collect();
        for _ in 0..beat.many {
            let Some(parcel) = self.invent() else { return };
            links.iter().for_each(|link| self.send(*link, &Frame::Parcel(parcel.clone())));
        }
    }

    fn invent(&mut self) -> Option<Parcel> {
        let travel = Travel { expiry_hours: self.hour + 24, ephemeral: false, hops: 7 };
        match self.conduct {
            Conduct::Drop | Conduct::Mutate => None,
            Conduct::Replay if self.heard.is_empty() => None,
            Conduct::Replay => {
                let place = self.rng.below(self.heard.len() as u64) as usize;
                Some(self.heard[place].with_hops(15))
            }
            Conduct::Noise(_) => ParcelKeys::new(&Key(self.rng.bytes())).seal(&mut self.rng, travel, b""),
            Conduct::Cards(_, expires_hours) => {
                let key = Key(self.rng.bytes());
                let terms = Terms {
                    topic: format!("Best offer {}", self.rng.below(u64::MAX)),
                    tags: vec!["rust".into()],
                    pattern: Pattern::Open,
                    seats_min: 2,
                    seats_max: 50,
                    expires_hours,
                };
                let (host, door, mailbox) = (SeatId(self.rng.bytes()), self.rng.bytes(), WriteName(self.rng.bytes()));
                let content = Some(Content { terms, host, door, mailbox });
                let card = Card { key: SigningKey::from_bytes(&key.0).verifying_key().to_bytes(), version: 1, content };
                let post = Post::new(&self.board, &card.sign(&key));
                message::seal(&mut self.rng, &post.keys, travel, &post.message)?.pop()
            }
        }
    }

    fn send(&mut self, link: LinkId, frame: &Frame) {
        if let Some(bytes) = self.links.get_mut(&link).and_then(|link| link.send(frame)) {
            self.sent += u64::from(matches!(frame, Frame::Parcel(_)));
            self.out.push_back(Output::Transmit { link, bytes });
        }
    }
}
