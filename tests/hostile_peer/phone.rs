//! A real node on the real LAN transport, in this process and without a disk.

use crate::within;
use alcove::model::event::SignedPack;
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::id::TalkId;
use alcove::proto::io::{Input, Output};
use alcove::proto::job;
use alcove::proto::node::Node;
use alcove::proto::node::view::State;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Instant, WallTime};
use alcove::shell::lan::{Discovery, Lan, LanOptions};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::mpsc;

/// 10 November 2026, 09:00 UTC: what every clock here shows.
const WALL: WallTime = WallTime(1_794_301_200_000);

pub struct Phone {
    pub node: Node,
    pub lan: Lan,
    /// Where it listens, once it does.
    pub address: Option<SocketAddr>,
    events: mpsc::Receiver<Input>,
    began: tokio::time::Instant,
}

impl Phone {
    pub fn start(seed: u8, pack: &SignedPack, mdns_port: u16) -> Phone {
        let (sender, events) = mpsc::channel(64);
        let bind = vec![[127, 0, 0, 1].into()];
        let options = LanOptions {
            bind,
            discovery: Discovery::LoopbackOnly,
            mdns_port,
            ..LanOptions::new([seed; 32], Arc::new(AtomicU64::new(1)))
        };
        let lan = Lan::start(options, sender).unwrap();
        let mut node = Node::new([seed; 32]);
        node.handle_input(Instant(0), Input::Wall(WALL));
        node.join_event(pack).unwrap();
        Phone { node, lan, address: None, events, began: tokio::time::Instant::now() }
    }

    pub fn with<T>(&mut self, f: impl FnOnce(&mut Node) -> T) -> T {
        self.node.handle_input(self.now(), Input::Timeout);
        let done = f(&mut self.node);
        self.drain();
        done
    }

    /// Waits for the next thing and handles it.
    pub async fn step(&mut self) {
        let due = self.node.poll_timeout().map(|due| self.began + due.since(Instant(0)));
        let due = due.unwrap_or_else(|| tokio::time::Instant::now() + crate::PATIENCE);
        let input = tokio::select! {
            input = self.events.recv() => input.expect("the transport runs"),
            () = tokio::time::sleep_until(due) => Input::Timeout,
        };
        if let Input::Listening(addresses) = &input {
            self.address = addresses.first().copied();
        }
        self.node.handle_input(self.now(), input);
        self.drain();
    }

    fn now(&self) -> Instant {
        Instant(self.began.elapsed().as_micros() as u64)
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit { link, bytes } => self.lan.transmit(link, bytes),
                Output::Disconnect { link } => self.lan.disconnect(link),
                Output::Dial { dial, addresses } => self.lan.dial(dial, addresses),
                Output::Compute { id, job } => {
                    let answer = Some(job::run(&job));
                    self.node.handle_input(self.now(), Input::Computed { id, answer });
                }
                Output::Persist(_) | Output::Relay(_) | Output::Radio(_) | Output::Event(_) => {}
            }
        }
    }
}

/// Lets two phones run until something holds of them.
pub async fn run_until(what: &str, a: &mut Phone, b: &mut Phone, holds: impl Fn(&Phone, &Phone) -> bool) {
    within(what, async {
        while !holds(a, b) {
            tokio::select! {
                () = a.step() => {}
                () = b.step() => {}
            }
        }
    })
    .await;
}

/// From a card to two open rooms; the talk's name on each phone.
pub async fn meet(a: &mut Phone, b: &mut Phone, topic: &str) -> (TalkId, TalkId) {
    let terms = Terms {
        topic: topic.into(),
        tags: Vec::new(),
        pattern: Pattern::Open,
        seats_min: 2,
        seats_max: 2,
        expires_hours: WALL.hours() + 5,
    };
    let host = a.with(|node| node.draft_card(terms)).unwrap();
    let card = a.with(|node| node.post_card(host)).unwrap();
    run_until("the card", a, b, |_, b| b.node.board().iter().any(|view| view.card == card)).await;
    let guest = b.with(|node| node.take_seat(card)).unwrap();
    let open = |phone: &Phone, talk| phone.node.talk(talk).is_some_and(|view| view.state == State::Open);
    run_until("the room", a, b, |a, b| open(a, host) && open(b, guest)).await;
    (host, guest)
}

/// Both say a word, and both hear both.
pub async fn talk(a: &mut Phone, b: &mut Phone, talks: (TalkId, TalkId), word: &str) {
    a.with(|node| node.say(talks.0, word)).unwrap();
    b.with(|node| node.say(talks.1, word)).unwrap();
    let heard = |phone: &Phone, talk| {
        let room = phone.node.talk(talk).and_then(|view| view.room);
        room.is_some_and(|room| room.messages.iter().filter(|message| message.text == word).count() == 2)
    };
    run_until(word, a, b, |a, b| heard(a, talks.0) && heard(b, talks.1)).await;
}

/// Both agree to close, and nothing is left on either.
pub async fn close(a: &mut Phone, b: &mut Phone, talks: (TalkId, TalkId)) {
    a.with(|node| node.close(talks.0)).unwrap();
    b.with(|node| node.close(talks.1)).unwrap();
    run_until("the close", a, b, |a, b| a.node.talks().is_empty() && b.node.talks().is_empty()).await;
}

pub fn pack() -> SignedPack {
    firmware_sim::network::pack(&mut Rng::new([9; 32]))
}
