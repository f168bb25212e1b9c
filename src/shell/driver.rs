//! The only loop: one thread owns node, vault, LAN, Bluetooth and relay, and carries inputs in and outputs out.
//!
//! Laws: nothing leaves the device, no event is told and no command is answered before what it rests on is durable; while the vault
//! cannot write, nothing comes in and nothing goes out, and it is tried again; time is read once per input; when a talk is forgotten, so
//! is what it left on this thread's stack and in the worker. It decides nothing about talks, and starts no transport before
//! there is an event to attend.
//!
//! It has a thread of its own, since a commit waits for the disk, and since what is open is then on one stack only.

mod handle;
mod outbox;
mod transports;

pub use handle::{DriverHandle, NotAnswered};

use super::ble::{BleOptions, BleState};
use super::clock::Clock;
use super::hardening;
use super::lan::LanOptions;
use super::relay::RelayState;
use super::vault::{Vault, VaultError};
use super::worker::Worker;
use crate::proto::id::JobId;
use crate::proto::io::{Answer, Event, Input, Job, Output, Persist};
use crate::proto::node::Node;
use handle::Order;
use outbox::Outbox;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, sleep};
use transports::{Transports, Word};

/// A vault that could not write is tried again after this long.
const VAULT_RETRY: Duration = Duration::from_secs(2);
/// A worker that had nothing to do for so long is ended: it holds memory, and the notes that it tried last.
const WORKER_IDLE_MAX: Duration = Duration::from_secs(20);
/// Inputs that wait for the node; then the transports wait too.
const INPUTS_MAX: usize = 256;
/// Notices that wait to be read; then they are dropped, and [`Notice::Missed`] says so.
const NOTICES_MAX: usize = 4_096;

/// Something that whoever drives the driver may want to know.
#[derive(Clone, PartialEq, Debug)]
pub enum Notice {
    /// The node tells it.
    Node(Event),
    /// Where neighbours can dial this device now; empty: nowhere.
    Listening(Vec<SocketAddr>),
    /// How the relay stands; `None`: the event has none.
    Relay(Option<RelayState>),
    /// How Bluetooth stands.
    Bluetooth(BleState),
    /// The local network cannot be used, and why.
    LanFailed(String),
    /// The vault cannot write, and why. Nothing is sent or taken until [`Notice::Saved`].
    NotSaved(String),
    /// The vault writes again; nothing was lost.
    Saved,
    /// Nobody has read, and notices were dropped: ask for all views.
    Missed,
}

/// How the shell stands.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Situation {
    /// Whether the LAN is on; `None`: there is none.
    pub lan: Option<bool>,
    /// How Bluetooth stands; `None`: it is not to be used, or there is no event.
    pub bluetooth: Option<BleState>,
    /// Connections on the LAN and by radio, those included that are still shaking hands.
    pub links: usize,
    /// Where neighbours can dial this device.
    pub listening: Vec<SocketAddr>,
    /// How the relay stands; `None`: the event has none, or there is no event.
    pub relay: Option<RelayState>,
    /// Why the vault does not write now, if it does not.
    pub not_saved: Option<String>,
}

/// The ways by which a device reaches others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transport {
    /// The local network.
    Lan,
    /// Bluetooth Low Energy.
    Bluetooth,
    /// The blind relay.
    Relay,
}

/// What a driver is made of.
pub struct Parts {
    /// As restored.
    pub node: Node,
    /// From which it was restored.
    pub vault: Vault,
    /// The clock by which it was restored.
    pub clock: Clock,
    /// How to be on the LAN; `None`: not at all.
    pub lan: Option<LanOptions>,
    /// How to use Bluetooth; `None`: not at all.
    pub bluetooth: Option<BleOptions>,
    /// The program that runs jobs, see [`Worker`].
    pub worker: PathBuf,
}

/// Starts the loop, within a Tokio runtime. What it has to tell comes from the receiver.
pub fn start(parts: Parts) -> (DriverHandle, mpsc::Receiver<Notice>) {
    let worker = Worker::new(parts.worker.clone());
    let (driver, Ends { orders, notices, errands, answers }) = Driver::new(parts);
    let worker = tokio::spawn(work(worker, errands, answers));
    let runtime = Handle::current();
    let driver = spawn_blocking(move || runtime.block_on(driver.run()));
    (DriverHandle::new(orders, driver, worker), notices)
}

/// The other ends of the driver's channels.
struct Ends {
    orders: mpsc::Sender<Order>,
    notices: mpsc::Receiver<Notice>,
    errands: mpsc::UnboundedReceiver<Errand>,
    answers: mpsc::UnboundedSender<(JobId, Option<Answer>)>,
}

/// What the worker is to do next.
enum Errand {
    Run(JobId, Job),
    /// A talk was forgotten: no process goes on that has had its notes.
    End,
}

struct Driver {
    node: Node,
    vault: Vault,
    clock: Clock,
    outbox: Outbox,
    /// Inputs that follow from what was just carried out.
    echoes: VecDeque<Input>,
    transports: Transports,
    situation: Situation,
    /// A talk was forgotten, and the stack is still to be wiped.
    has_forgotten: bool,
    orders: mpsc::Receiver<Order>,
    notices: mpsc::Sender<Notice>,
    has_missed: bool,
    link_inputs: mpsc::Receiver<Input>,
    errands: mpsc::UnboundedSender<Errand>,
    answers: mpsc::UnboundedReceiver<(JobId, Option<Answer>)>,
}

impl Driver {
    fn new(parts: Parts) -> (Driver, Ends) {
        let (orders, ordered) = mpsc::channel(INPUTS_MAX);
        let (notices, noticed) = mpsc::channel(NOTICES_MAX);
        let (inputs, link_inputs) = mpsc::channel(INPUTS_MAX);
        // The node has at most one job per talk on its way, so these two need no bound of their own.
        let (errands, for_worker) = mpsc::unbounded_channel();
        let (from_worker, answers) = mpsc::unbounded_channel();
        let driver = Driver {
            node: parts.node,
            vault: parts.vault,
            clock: parts.clock,
            outbox: Outbox::default(),
            echoes: VecDeque::new(),
            transports: Transports::new(parts.lan, parts.bluetooth, inputs),
            situation: Situation::default(),
            has_forgotten: false,
            orders: ordered,
            notices,
            has_missed: false,
            link_inputs,
            errands,
            answers,
        };
        (driver, Ends { orders, notices: noticed, errands: for_worker, answers: from_worker })
    }

    async fn run(mut self) {
        self.handle(Input::Timeout);
        loop {
            let is_open = self.situation.not_saved.is_none();
            let rest = self.rest();
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Change(change)) => self.change(change),
                    Some(Order::View(view)) => view(&self.node, &self.situation()),
                    Some(Order::Switch(transport, is_on)) => self.switch(transport, is_on),
                    None => break,
                },
                Some(input) = self.link_inputs.recv(), if is_open => self.handle(input),
                Some(word) = self.transports.next_word(), if is_open => self.hear(word),
                Some((id, answer)) = self.answers.recv(), if is_open => self.handle(Input::Computed { id, answer }),
                () = sleep(rest) => self.handle(Input::Timeout),
            }
            if std::mem::take(&mut self.has_forgotten) {
                hardening::wipe_stack();
            }
        }
        self.transports.shutdown().await;
    }

    /// How long nothing needs to be done. The sleep counts no suspension, so it is short enough for the clock to notice one.
    fn rest(&self) -> Duration {
        if self.situation.not_saved.is_some() {
            return VAULT_RETRY;
        }
        let due = self.node.poll_timeout().map_or(Duration::MAX, |due| due.since(self.clock.now()));
        due.min(self.clock.patience())
    }

    /// One input and all that follows from it; if the vault cannot write, another attempt at that instead.
    fn handle(&mut self, input: Input) {
        if self.situation.not_saved.is_some() && !self.carry_out() {
            return;
        }
        let mut next = Some(input);
        while let Some(input) = next {
            self.tell_node(input);
            if !self.carry_out() {
                return;
            }
            next = self.echoes.pop_front();
        }
    }

    fn tell_node(&mut self, input: Input) {
        let (now, wall) = self.clock.tick();
        if let Some(wall) = wall {
            self.node.handle_input(now, Input::Wall(wall));
        }
        if let Input::Listening(addresses) = &input {
            self.situation.listening.clone_from(addresses);
            self.notice(Notice::Listening(addresses.clone()));
        }
        self.node.handle_input(now, input);
    }

    /// A user's command: at the present time, between two inputs, and answered when it is durable.
    fn change(&mut self, change: handle::Change) {
        self.handle(Input::Timeout);
        if let Some(why) = &self.situation.not_saved {
            return change.refuse(NotAnswered::NotSaved(why.clone()));
        }
        let answer = change.carry_out(&mut self.node);
        self.handle(Input::Timeout);
        answer(self.situation.not_saved.clone().map_or(Ok(()), |why| Err(NotAnswered::NotSaved(why))));
    }

    fn hear(&mut self, word: Word) {
        match word {
            Word::State(state) => self.notice(Notice::Relay(Some(state))),
            Word::Bluetooth(state) => self.notice(Notice::Bluetooth(state)),
            Word::Event(event) => self.handle(Input::Relay(event)),
        }
    }

    /// Does what the node wants, in its order, as far as it is durable; whether that is all of it.
    fn carry_out(&mut self) -> bool {
        while let Some(output) = self.node.poll_output() {
            self.outbox.push(output);
        }
        loop {
            let Self { outbox, vault, errands, has_forgotten, .. } = self;
            let commit = |batch: &[Persist]| {
                vault.commit(batch)?;
                if batch.iter().any(|change| matches!(change, Persist::Forget { .. })) {
                    *has_forgotten = true;
                    // Without a worker nobody has had anything.
                    let _ = errands.send(Errand::End);
                }
                Ok::<(), VaultError>(())
            };
            match outbox.next(commit) {
                Ok(Some(effects)) => effects.into_iter().for_each(|effect| self.act(effect)),
                Ok(None) => break,
                Err(error) => {
                    self.note_saving(Some(error.to_string()));
                    return false;
                }
            }
        }
        self.note_saving(None);
        let follows = self.transports.attend(self.node.pack());
        self.echoes.extend(follows.inputs);
        follows.notices.into_iter().for_each(|notice| self.notice(notice));
        true
    }

    fn act(&mut self, effect: Output) {
        match effect {
            // It is durable by now.
            Output::Persist(_) => {}
            Output::Transmit { link, bytes } => self.transports.transmit(link, bytes),
            Output::Disconnect { link } => self.transports.disconnect(link),
            Output::Dial { dial, addresses } => self.echoes.extend(self.transports.dial(dial, addresses)),
            Output::Radio(command) => self.transports.radio(command),
            Output::Relay(command) => self.echoes.extend(self.transports.command(command)),
            Output::Compute { id, job } => drop(self.errands.send(Errand::Run(id, job))),
            Output::Event(event) => self.notice(Notice::Node(event)),
        }
    }

    fn switch(&mut self, transport: Transport, is_on: bool) {
        if let Some(trouble) = self.transports.switch(transport, is_on) {
            self.notice(trouble);
        }
    }

    fn situation(&self) -> Situation {
        Situation {
            lan: self.transports.lan(),
            bluetooth: self.transports.bluetooth(),
            links: self.transports.links(),
            relay: self.transports.relay(),
            ..self.situation.clone()
        }
    }

    /// The vault wrote (`None`), or why it did not; told when it changes.
    fn note_saving(&mut self, trouble: Option<String>) {
        if trouble == self.situation.not_saved {
            return;
        }
        self.situation.not_saved.clone_from(&trouble);
        self.notice(trouble.map_or(Notice::Saved, Notice::NotSaved));
    }

    fn notice(&mut self, notice: Notice) {
        if self.has_missed && self.notices.try_send(Notice::Missed).is_ok() {
            self.has_missed = false;
        }
        self.has_missed |= self.notices.try_send(notice).is_err();
    }
}

/// Runs jobs one after the other, away from the loop.
async fn work(
    mut worker: Worker,
    mut errands: mpsc::UnboundedReceiver<Errand>,
    answers: mpsc::UnboundedSender<(JobId, Option<Answer>)>,
) {
    loop {
        let errand = tokio::select! {
            errand = errands.recv() => errand,
            () = sleep(WORKER_IDLE_MAX), if worker.process_id().is_some() => Some(Errand::End),
        };
        let Some(errand) = errand else { return };
        match errand {
            Errand::Run(id, job) => {
                let answer = worker.run(&job).await;
                if answers.send((id, answer)).is_err() {
                    return;
                }
            }
            Errand::End => worker.end().await,
        }
    }
}

#[cfg(test)]
mod tests;
