//! One phone of a small world: a real node and its disk, which can be copied, put to sleep and started again.

use super::super::{Node, Table, fountain};
use crate::proto::id::WriteName;
use crate::proto::io::{Input, Output, Persist, Record, RelayCommand, RelayEvent, Scope};
use crate::proto::job;
use crate::proto::secret::hash;
use crate::proto::talk::Stage;
use crate::proto::talk::close::Ending;
use crate::proto::talk::entry::ProposalId;
use crate::proto::talk::room::Room;
use crate::proto::time::{Duration, Instant, WallTime};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The wall clock when a world begins: a full hour, so that the talk's end is known to the minute.
pub const START: WallTime = WallTime(1_794_301_200_000);

/// How long a phone stays with the relay: every answer within a room comes sooner.
const SYNC_SPAN: Duration = Duration::from_secs(3);

/// What the owner of a phone did.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Deeds {
    /// Asked to close so often.
    pub closes: u8,
    /// Left.
    pub left: bool,
    /// Wants these seats removed.
    pub removes: BTreeSet<u8>,
    /// Said how many things.
    pub said: u8,
    /// The phone was restarted or lost its keys so often.
    pub restarts: u8,
    /// Lied so often.
    pub lies: u8,
    /// Proposals to close that its owner agreed to,
    pub voted: BTreeSet<ProposalId>,
    /// and those that it knows to be over.
    pub lapsed: BTreeSet<ProposalId>,
    /// How the talk first ended here.
    pub ended: Option<Ending>,
}

/// A phone.
#[derive(Clone)]
pub struct Phone {
    pub node: Node,
    pub number: usize,
    pub now: Instant,
    pub deeds: Deeds,
    /// The mailboxes that it last read, and up to where.
    pub read: BTreeMap<WriteName, u64>,
    /// The moment of the world when it was last in contact.
    pub synced_at: Instant,
    /// What it last heard of each other phone.
    pub last_tags: BTreeMap<usize, u64>,
    disk: BTreeMap<(Scope, Vec<u8>), Vec<u8>>,
}

/// What the relay is to a phone that is connected.
pub trait Exchange {
    /// Answers a command.
    fn handle(&mut self, command: RelayCommand) -> Vec<RelayEvent>;
}

impl Phone {
    pub fn new(number: usize, seed: u8) -> Phone {
        let mut node = Node::new(hash("phone", &[&[seed, number as u8]]));
        node.handle_input(Instant(0), Input::Wall(START));
        Phone {
            node,
            number,
            now: Instant(0),
            deeds: Deeds::default(),
            read: BTreeMap::new(),
            synced_at: Instant(0),
            last_tags: BTreeMap::new(),
            disk: BTreeMap::new(),
        }
    }

    /// Where its one talk stands.
    pub fn stage(&self) -> Option<&Stage> {
        self.node.talks.values().next().map(|talk| &talk.stage)
    }

    pub fn room(&self) -> Option<&Room> {
        match self.stage() {
            Some(Stage::Open(room)) => Some(room),
            Some(Stage::Drafted(_) | Stage::Hosting(_) | Stage::Waiting(_)) | None => None,
        }
    }

    /// How its talk ended.
    pub fn ending(&self) -> Option<Ending> {
        self.node.receipts.values().next().map(|receipt| receipt.ending)
    }

    /// Records that die with a talk.
    pub fn talk_records(&self) -> usize {
        self.disk.keys().filter(|(scope, _)| matches!(scope, Scope::Talk(_))).count()
    }

    /// Records of a group: keys of a room.
    pub fn group_records(&self) -> usize {
        self.disk.keys().filter(|(scope, name)| matches!(scope, Scope::Talk(_)) && name.starts_with(b"g/")).count()
    }

    /// The owner does something, out of contact.
    pub fn act<T>(&mut self, f: impl FnOnce(&mut Node) -> T) -> T {
        self.node.handle_input(self.now, Input::Timeout);
        let done = f(&mut self.node);
        self.settle(None);
        done
    }

    /// Time has come so far; what was due happens, out of contact.
    pub fn wake(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.node.handle_input(self.now, Input::Wall(START + self.now.since(Instant(0))));
        self.settle(None);
        for _ in 0..8 {
            if self.node.poll_timeout().is_none_or(|due| due > self.now) {
                return;
            }
            self.node.handle_input(self.now, Input::Timeout);
            self.settle(None);
        }
    }

    /// In contact for a while: reads all that waits for it, says what it has to say, and answers.
    pub fn sync(&mut self, relay: &mut dyn Exchange) {
        let end = self.now + SYNC_SPAN;
        self.node.handle_input(self.now, Input::Timeout);
        self.node.handle_input(self.now, Input::Relay(RelayEvent::Up));
        self.settle(Some(relay));
        while let Some(due) = self.node.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.node.handle_input(self.now, Input::Timeout);
            self.settle(Some(relay));
        }
        self.now = end;
        self.node.handle_input(self.now, Input::Relay(RelayEvent::Down));
        self.settle(None);
    }

    /// Started again from its disk; with `reboot`, without what the forgetting keystore held.
    pub fn restart(&mut self, reboot: bool) {
        self.deeds.restarts += 1;
        if reboot {
            self.disk.retain(|(scope, _), _| *scope == Scope::Durable);
        }
        let record = |((scope, name), value): (&(Scope, Vec<u8>), &Vec<u8>)| Record {
            scope: *scope,
            name: name.clone(),
            value: value.clone(),
        };
        let records = self.disk.iter().map(record).collect();
        let seed = hash("restart", &[&[self.number as u8, self.deeds.restarts]]);
        self.node = Node::restore(seed, self.now, START + self.now.since(Instant(0)), records);
        self.read.clear();
        self.settle(None);
    }

    /// Control: the disk as it was on an earlier day.
    pub fn restore_disk(&mut self, early: &Phone) {
        self.disk = early.disk.clone();
    }

    /// Control: so few seats are enough for this phone.
    pub fn lower_minimum(&mut self, seats: u8) {
        for talk in self.node.talks.values_mut() {
            match &mut talk.stage {
                Stage::Hosting(hosting) => hosting.lower_minimum(seats),
                Stage::Waiting(waiting) => waiting.lower_minimum(seats),
                Stage::Drafted(_) | Stage::Open(_) => {}
            }
        }
    }

    /// Carries out what the node wants until it wants nothing more.
    fn settle(&mut self, mut relay: Option<&mut dyn Exchange>) {
        let mut answers = VecDeque::new();
        loop {
            while let Some(output) = self.node.poll_output() {
                match output {
                    Output::Persist(change) => self.persist(change),
                    Output::Relay(command) => {
                        self.note_reading(&command);
                        if let Some(relay) = &mut relay {
                            answers.extend(relay.handle(command).into_iter().map(Input::Relay));
                        }
                    }
                    Output::Compute { id, job } => answers.push_back(Input::Computed { id, answer: Some(job::run(&job)) }),
                    Output::Transmit { .. }
                    | Output::Disconnect { .. }
                    | Output::Dial { .. }
                    | Output::Radio(_)
                    | Output::Event(_) => {}
                }
            }
            let Some(answer) = answers.pop_front() else { return };
            if let Input::Relay(RelayEvent::Blob { mailbox, cursor, .. }) = &answer {
                self.read.insert(*mailbox, *cursor);
            }
            self.node.handle_input(self.now, answer);
        }
    }

    fn note_reading(&mut self, command: &RelayCommand) {
        match command {
            RelayCommand::Subscribe { read_key, after } => {
                self.read.insert(read_key.write_name(), *after);
            }
            RelayCommand::Unsubscribe { read_key } => {
                self.read.remove(&read_key.write_name());
            }
            RelayCommand::Put { .. } | RelayCommand::Delete { .. } => {}
        }
    }

    fn persist(&mut self, change: Persist) {
        match change {
            Persist::Put { scope, name, value } => drop(self.disk.insert((scope, name), value)),
            Persist::Delete { scope, name } => drop(self.disk.remove(&(scope, name))),
            Persist::Forget { talk } => self.disk.retain(|(scope, _), _| *scope != Scope::Talk(talk)),
        }
    }
}

/// For the model check alone, and only of a node without links: two copies in use would say two things under one key.
impl Clone for Node {
    fn clone(&self) -> Node {
        assert!(self.links.is_empty() && self.out.is_empty() && self.posts.is_empty(), "a node at rest");
        Node {
            rng: self.rng.clone(),
            now: self.now,
            clock: self.clock.clone(),
            event: self.event.clone(),
            pack: self.pack.clone(),
            interests: self.interests.clone(),
            listening: Vec::new(),
            links: BTreeMap::new(),
            presence: self.presence.clone(),
            plan: self.plan.clone(),
            for_table: self.for_table.clone(),
            mesh: self.mesh.clone(),
            mailbox: self.mailbox.clone(),
            board: self.board.clone(),
            talks: self.talks.clone(),
            notes: self.notes.clone(),
            receipts: self.receipts.clone(),
            reports: self.reports.clone(),
            table: Table::default(),
            animated: fountain::Receiver::default(),
            assemblers: self.assemblers.clone(),
            jobs: self.jobs.clone(),
            next_job: self.next_job,
            next_upkeep: self.next_upkeep,
            faults: self.faults,
            out: VecDeque::new(),
            posts: Vec::new(),
        }
    }
}
