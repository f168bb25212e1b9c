//! The node: the only place that knows all the parts. It carries values from one part to the next and decides nothing itself.
//!
//! Laws: [`Node::handle_input`] cannot fail; every effect leaves through [`Node::poll_output`] in order; time comes in with every
//! input, and [`Node::poll_timeout`] says when to come back.
//!
//! ```
//! use alcove::proto::{io::{Input, Output}, node::Node, time::{Instant, WallTime}};
//!
//! let mut node = Node::new([7; 32]);
//! node.handle_input(Instant(0), Input::Wall(WallTime(1_800_000_000_000)));
//! while let Some(output) = node.poll_output() {
//!     match output {
//!         Output::Persist(_record) => { /* make it durable before anything that follows */ }
//!         Output::Transmit { link: _, bytes: _ } => { /* write whole cells */ }
//!         Output::Disconnect { .. } | Output::Dial { .. } | Output::Relay(_) | Output::Radio(_) => {}
//!         Output::Compute { .. } | Output::Event(_) => {}
//!     }
//! }
//! assert!(node.poll_timeout().is_none(), "a node without an event sleeps for ever");
//! ```

mod command;
mod ending;
mod links;
mod radio;
mod reading;
pub mod reports;
mod restore;
mod talks;
#[cfg(test)]
mod tests;
mod upkeep;
pub mod view;

use super::board::Board;
use super::config::{EVENTS_OUT_MAX, LED_BY_MAX, PEER_FAULTS_MAX};
use super::cx::{Cx, EventKeys, Post, Via};
use super::error::Fault;
use super::handoff::fountain;
use super::handoff::table::Table;
use super::id::{JobId, LinkId, ParcelId, TalkId};
use super::io::{Event, Input, Output, RelayEvent};
use super::link::Link;
use super::mailbox::Mailbox;
use super::mesh::{Mesh, Outgoing};
use super::notes::exchange::Notes;
use super::presence::Presence;
use super::rng::Rng;
use super::talk::Talk;
use super::talk::close::Receipt;
use super::time::{Instant, WallTime};
use super::wire::frame::Frame;
use super::wire::message::Assembler;
use super::wire::parcel::Parcel;
use super::wire::table_advert::TablePlan;
use reading::Reader;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// One device of the event.
pub struct Node {
    rng: Rng,
    now: Instant,
    clock: upkeep::Clock,
    event: Option<EventKeys>,
    pack: Vec<u8>,
    interests: Vec<String>,
    listening: Vec<SocketAddr>,
    links: BTreeMap<LinkId, Link>,
    mesh: Mesh,
    presence: Presence,
    plan: Option<TablePlan>,
    /// Said at a table since the last visit to one, the latest last.
    for_table: VecDeque<ParcelId>,
    mailbox: Mailbox,
    board: Board,
    talks: BTreeMap<TalkId, Talk>,
    notes: BTreeMap<TalkId, Notes>,
    receipts: BTreeMap<TalkId, Receipt>,
    reports: reports::Reports,
    table: Table,
    animated: fountain::Receiver,
    assemblers: BTreeMap<Reader, Assembler>,
    jobs: BTreeMap<JobId, TalkId>,
    next_job: u64,
    next_upkeep: Option<Instant>,
    faults: u64,
    out: VecDeque<Output>,
    posts: Vec<Post>,
}

impl Node {
    /// A node without an event, whose every choice follows from this seed.
    pub fn new(seed: [u8; 32]) -> Node {
        Node {
            rng: Rng::new(seed),
            now: Instant(0),
            clock: upkeep::Clock::default(),
            event: None,
            pack: Vec::new(),
            interests: Vec::new(),
            listening: Vec::new(),
            links: BTreeMap::new(),
            mesh: Mesh::default(),
            presence: Presence::default(),
            plan: None,
            for_table: VecDeque::new(),
            mailbox: Mailbox::default(),
            board: Board::default(),
            talks: BTreeMap::new(),
            notes: BTreeMap::new(),
            receipts: BTreeMap::new(),
            reports: reports::Reports::default(),
            table: Table::default(),
            animated: fountain::Receiver::default(),
            assemblers: BTreeMap::new(),
            jobs: BTreeMap::new(),
            next_job: 0,
            next_upkeep: None,
            faults: 0,
            out: VecDeque::new(),
            posts: Vec::new(),
        }
    }

    /// Takes what the world tells. `now` never goes back.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Wall(wall) => self.clock.observe(self.now, wall),
            Input::Listening(addresses) => self.listening = addresses,
            Input::LinkUp { link, origin } => self.link_up(link, origin),
            Input::LinkDown { link } => self.link_down(link),
            Input::Received { link, bytes } => self.received(link, &bytes),
            Input::DialFailed { dial } => self.dial_failed(dial),
            Input::Relay(event) => self.relay(event),
            Input::Radio(event) => self.radio(event),
            Input::Computed { id, answer } => self.computed(id, answer),
            Input::Timeout => {}
        }
        self.upkeep();
        self.send_posts();
    }

    /// The next effect, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When to call [`Node::handle_input`] with [`Input::Timeout`] at the latest.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next_upkeep
    }

    fn relay(&mut self, event: RelayEvent) {
        let (is_up, is_down) = (event == RelayEvent::Up, event == RelayEvent::Down);
        let Some(delivered) = self.with_cx(|node, cx| node.mailbox.handle(cx, event)) else { return };
        for parcel in delivered.parcels {
            self.take_parcel(parcel, None, Via::Relay);
        }
        if is_up || is_down {
            self.tell(Event::RelayChanged);
        }
        if is_up {
            self.each_room(|room, cx| {
                room.check(cx);
                room.relay_up(cx);
            });
        }
        if delivered.caught_up && self.mailbox.is_caught_up() {
            self.each_room(|room, cx| room.nothing_newer(cx));
        }
    }

    /// Seals and sends what the parts have posted while they handled an input.
    fn send_posts(&mut self) {
        while !self.posts.is_empty() {
            for post in std::mem::take(&mut self.posts) {
                self.send_post(post);
            }
        }
    }

    fn send_post(&mut self, post: Post) {
        let sealed = self.seal_post(&post);
        self.send_sealed(&post, sealed);
    }

    fn seal_post(&mut self, post: &Post) -> Vec<Parcel> {
        let sealed = post.seal(&mut self.rng, self.clock.latest(self.now));
        if sealed.is_none() {
            self.fault("own message", Fault::TooMuch("message"));
        }
        sealed.unwrap_or_default()
    }

    fn send_sealed(&mut self, post: &Post, parcels: Vec<Parcel>) {
        for parcel in parcels {
            if let Some(to) = post.mailbox {
                self.mailbox.leave(self.now, to, parcel.clone(), post.hours, post.owner);
            }
            self.originate(parcel);
        }
        self.schedule();
    }

    /// Carries what another has sealed for whom we may meet, unless it is too old.
    fn carry(&mut self, sealed: Vec<Vec<u8>>) {
        let hour = self.clock.latest(self.now).hours();
        for parcel in sealed.into_iter().take(LED_BY_MAX).filter_map(|bytes| Parcel::decode(bytes).ok()) {
            if parcel.travel().expiry_hours > hour {
                self.originate(parcel);
            }
        }
    }

    /// Carries a sealed parcel, and gives it to all neighbours.
    fn originate(&mut self, parcel: Parcel) {
        self.keep_for_table(&parcel);
        let wall = self.clock.latest(self.now);
        let frames = self.mesh.originate(&mut self.rng, self.now, wall, parcel);
        self.transmit(frames);
    }

    fn transmit(&mut self, frames: Vec<Outgoing>) {
        for (link, frame) in frames {
            self.transmit_one(link, &frame);
        }
    }

    fn transmit_one(&mut self, link: LinkId, frame: &Frame) {
        if let Some(bytes) = self.links.get_mut(&link).and_then(|link| link.send(frame)) {
            self.out.push_back(Output::Transmit { link, bytes });
        }
    }

    /// Lends the parts what they may use; `None` without an event.
    fn with_cx<T>(&mut self, f: impl FnOnce(&mut NodeParts<'_>, &mut Cx<'_>) -> T) -> Option<T> {
        let Self { rng, now, clock, event, out, posts, mailbox, talks, notes, board, receipts, reports, table, .. } = self;
        let event = event.as_ref()?;
        let cx = &mut Cx { now: *now, wall: clock.believed(*now), shown: clock.wall(), rng, out, posts, event };
        Some(f(&mut NodeParts { mailbox, talks, notes, board, receipts, reports, table }, cx))
    }

    fn tell(&mut self, event: Event) {
        if self.out.len() < EVENTS_OUT_MAX {
            self.out.push_back(Output::Event(event));
        }
    }

    /// A peer broke a rule: counted and told, never more.
    fn fault(&mut self, whose: &str, fault: Fault) {
        self.faults += 1;
        if self.faults <= PEER_FAULTS_MAX {
            self.tell(Event::PeerFault(format!("{whose}: {fault}")));
        }
    }

    /// What the wall clock shows, as far as it is believed.
    pub fn wall(&self) -> WallTime {
        self.clock.wall()
    }
}

/// The parts that need a [`Cx`], visibly apart from what the [`Cx`] is made of.
struct NodeParts<'a> {
    mailbox: &'a mut Mailbox,
    talks: &'a mut BTreeMap<TalkId, Talk>,
    notes: &'a mut BTreeMap<TalkId, Notes>,
    board: &'a mut Board,
    receipts: &'a BTreeMap<TalkId, Receipt>,
    reports: &'a mut reports::Reports,
    table: &'a mut Table,
}
