//! The device's side of the relay: one connection that comes back by itself.
//!
//! Laws: [`RelayClient::send`] never waits; between `Up` and `Down` replies arrive in the relay's order; a blob of a mailbox that was not
//! asked for, a cursor that goes back and an answer to nothing are counted and dropped; bytes that are no message end the connection.
//! A put that has no answer when `Down` comes may or may not be kept: the node puts it again, so delivery is at least once.

use super::address::{AddressInvalid, ConnectError, Endpoint, RelayAddress};
use super::conversation::{self, Deaf};
use super::message::{SOCKET_PATH, SUBSCRIPTIONS_MAX};
use super::stream::Stream;
use crate::proto::config::{RELAY_BLOB_BYTES, RELAY_MESSAGE_BYTES};
use crate::proto::io::{RelayCommand, RelayEvent, RelayRefusal};
use crate::proto::rng::Rng;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Commands that wait to be sent; 1 MiB of blobs.
const QUEUE_MAX: usize = 256;
/// Of these, kept free for what is not a put: subscriptions must not stand behind a full queue of blobs.
const RESERVED: usize = SUBSCRIPTIONS_MAX;
/// Events that wait for the node; then the relay waits too.
const EVENTS_MAX: usize = 64;
/// Withdrawals kept over a lost connection; beyond that the oldest is left to the blob's expiry.
const WITHDRAWALS_MAX: usize = 256;

/// How the relay stands, for people.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelayState {
    /// Switched off here.
    Offline,
    /// On the way.
    Connecting,
    /// A connection stands.
    Up,
    /// Nobody answers; the next attempt comes by itself.
    Unreachable,
    /// Somebody else answers; nothing was said to them, and the next attempt comes by itself.
    PinMismatch,
}

impl fmt::Display for RelayState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RelayState::Offline => "the online leg is switched off",
            RelayState::Connecting => "connecting to the relay",
            RelayState::Up => "connected to the relay",
            RelayState::Unreachable => "the relay cannot be reached; trying again",
            RelayState::PinMismatch => {
                "somebody else answers in the relay's place, so nothing was sent: sign in to the Wi-Fi, or ask the organizer"
            }
        })
    }
}

/// How patient the client is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// After this long without a word from the relay it is asked whether it is there.
    pub quiet_max: Duration,
    /// If it does not answer within this, the connection is dead.
    pub answer_max: Duration,
    /// The shortest pause before another attempt.
    pub retry_min: Duration,
    /// The longest pause before another attempt.
    pub retry_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            quiet_max: Duration::from_secs(30),
            answer_max: Duration::from_secs(20),
            retry_min: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
        }
    }
}

/// A handle to the connection. Dropping it ends the connection.
pub struct RelayClient {
    commands: mpsc::Sender<RelayCommand>,
    is_online: watch::Sender<bool>,
    state: watch::Receiver<RelayState>,
    overrun: Arc<Notify>,
    faults: Arc<AtomicU64>,
}

impl RelayClient {
    /// Starts connecting, within a Tokio runtime. What the relay says comes from the receiver.
    ///
    /// # Errors
    /// [`AddressInvalid`]: what is wrong with the address.
    pub fn start(address: &RelayAddress, pace: Pace) -> Result<(RelayClient, mpsc::Receiver<RelayEvent>), AddressInvalid> {
        let endpoint = address.endpoint()?;
        let mut seed = [0; 32];
        // Only the pauses between attempts depend on it: without entropy they are merely predictable.
        let _ = getrandom::fill(&mut seed);
        let (commands, queue) = mpsc::channel(QUEUE_MAX);
        let (events, received) = mpsc::channel(EVENTS_MAX);
        let (is_online, online) = watch::channel(true);
        let (state_tx, state) = watch::channel(RelayState::Connecting);
        let (overrun, faults) = (Arc::new(Notify::new()), Arc::new(AtomicU64::new(0)));
        let client = RelayClient { commands, is_online, state, overrun: overrun.clone(), faults: faults.clone() };
        let retry = Retry { pace, ceiling: pace.retry_min, rng: Rng::new(seed) };
        let task = Task { endpoint, pace, queue, withdrawals: VecDeque::new(), events, state: state_tx, overrun, faults };
        tokio::spawn(task.run(online, retry));
        Ok((client, received))
    }

    /// Hands over a command and returns at once. The answer, if there is one, is for the node: a put that cannot be taken now (no
    /// connection, or too many wait) is refused with `SlowDown`. Subscriptions without a connection are dropped, for the node subscribes
    /// anew at `Up`; withdrawals wait for the next one.
    pub fn send(&self, command: RelayCommand) -> Option<RelayEvent> {
        let is_up = *self.state.borrow() == RelayState::Up;
        match command {
            RelayCommand::Put { id, ref blob, .. } => {
                let refused = |why| Some(RelayEvent::Refused { id, why });
                if blob.len() != RELAY_BLOB_BYTES {
                    refused(RelayRefusal::Malformed)
                } else if is_up && self.commands.capacity() > RESERVED && self.commands.try_send(command).is_ok() {
                    None
                } else {
                    refused(RelayRefusal::SlowDown)
                }
            }
            RelayCommand::Subscribe { .. } | RelayCommand::Unsubscribe { .. } => {
                if is_up && self.commands.try_send(command).is_err() {
                    // A lost subscription would be a silent hole; a new connection makes the node say all of them again.
                    self.overrun.notify_one();
                }
                None
            }
            RelayCommand::Delete { .. } => {
                let _ = self.commands.try_send(command);
                None
            }
        }
    }

    /// Switches the online leg on or off.
    pub fn set_online(&self, is_online: bool) {
        self.is_online.send_if_modified(|online| std::mem::replace(online, is_online) != is_online);
    }

    /// How the relay stands; the receiver tells of changes.
    pub fn state(&self) -> watch::Receiver<RelayState> {
        self.state.clone()
    }

    /// How often the relay said something that it should not have.
    pub fn faults(&self) -> u64 {
        self.faults.load(Relaxed)
    }
}

/// The pauses between attempts: longer each time, and never the same for two devices that lost the relay together.
struct Retry {
    pace: Pace,
    ceiling: Duration,
    rng: Rng,
}

impl Retry {
    fn pause(&mut self) -> Duration {
        self.ceiling = (self.ceiling * 2).min(self.pace.retry_max);
        self.rng.between(self.pace.retry_min, self.ceiling.max(self.pace.retry_min + Duration::from_micros(1)))
    }

    /// A connection that stood for long was a good one; one that fell at once is no reason to hurry.
    fn note(&mut self, stood: Duration) {
        if stood >= self.pace.retry_max {
            self.ceiling = self.pace.retry_min;
        }
    }
}

struct Task {
    endpoint: Endpoint,
    pace: Pace,
    queue: mpsc::Receiver<RelayCommand>,
    withdrawals: VecDeque<RelayCommand>,
    events: mpsc::Sender<RelayEvent>,
    state: watch::Sender<RelayState>,
    overrun: Arc<Notify>,
    faults: Arc<AtomicU64>,
}

impl Task {
    async fn run(mut self, mut online: watch::Receiver<bool>, mut retry: Retry) {
        let mut switch = online.clone();
        while online.wait_for(|is_online| *is_online).await.is_ok() {
            let began = Instant::now();
            let next = tokio::select! {
                next = self.connect() => next,
                _ = switch.wait_for(|is_online| !is_online) => RelayState::Offline,
            };
            let was_up = self.state.send_replace(next) == RelayState::Up;
            self.keep_withdrawals();
            if was_up {
                retry.note(began.elapsed());
                if self.events.send(RelayEvent::Down).await.is_err() {
                    return;
                }
            }
            if self.events.is_closed() {
                return;
            }
            if next != RelayState::Offline {
                tokio::select! {
                    () = sleep(retry.pause()) => {}
                    _ = switch.wait_for(|is_online| !is_online) => { self.state.send_replace(RelayState::Offline); }
                }
            }
        }
    }

    /// One connection from beginning to end; what it leaves behind.
    async fn connect(&mut self) -> RelayState {
        // A wrong certificate stays on the screen until something better is known.
        self.state.send_if_modified(|state| {
            let is_news = !matches!(state, RelayState::PinMismatch | RelayState::Connecting);
            if is_news {
                *state = RelayState::Connecting;
            }
            is_news
        });
        let stream = match self.endpoint.connect().await {
            Ok(stream) => stream,
            Err(ConnectError::Unreachable) => return RelayState::Unreachable,
            Err(ConnectError::PinMismatch) => return RelayState::PinMismatch,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(2 * RELAY_MESSAGE_BYTES)
            .write_buffer_size(2 * RELAY_MESSAGE_BYTES)
            .max_write_buffer_size(8 * RELAY_MESSAGE_BYTES)
            .max_message_size(Some(RELAY_MESSAGE_BYTES))
            .max_frame_size(Some(RELAY_MESSAGE_BYTES));
        let url = format!("ws://{}{SOCKET_PATH}", self.endpoint);
        let opening = timeout(self.pace.answer_max, client_async_with_config(url, stream, Some(config)));
        let Ok(Ok((socket, _))) = opening.await else { return RelayState::Unreachable };
        self.state.send_replace(RelayState::Up);
        let _ = self.converse(socket).await;
        RelayState::Unreachable
    }

    async fn converse(&mut self, socket: WebSocketStream<Stream>) -> Result<(), Deaf> {
        self.events.send(RelayEvent::Up).await.map_err(|_| Deaf)?;
        let Task { pace, queue, withdrawals, events, overrun, faults, .. } = self;
        tokio::select! {
            heard = conversation::hold(socket, *pace, queue, withdrawals, events, faults) => heard,
            () = overrun.notified() => Ok(()),
        }
    }

    /// What was not sent before the connection ended: the node repeats all but withdrawals, of which it keeps no list.
    fn keep_withdrawals(&mut self) {
        while let Ok(command) = self.queue.try_recv() {
            if matches!(command, RelayCommand::Delete { .. }) {
                self.withdrawals.push_back(command);
            }
        }
        while self.withdrawals.len() > WITHDRAWALS_MAX {
            self.withdrawals.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_differ_between_devices() {
        let pauses = |seed: u8| {
            let pace = Pace::default();
            let mut retry = Retry { pace, ceiling: pace.retry_min, rng: Rng::new([seed; 32]) };
            let pauses: Vec<Duration> = (0..12).map(|_| retry.pause()).collect();
            retry.note(pace.retry_max);
            assert!(retry.pause() <= 2 * pace.retry_min, "after a good connection the pauses start anew");
            pauses
        };
        let (one, other) = (pauses(1), pauses(2));
        assert_ne!(one, other);
        for (n, pause) in one.iter().chain(&other).enumerate() {
            assert!(*pause >= Pace::default().retry_min && *pause <= Pace::default().retry_max, "{n}: {pause:?}");
        }
        assert!(one[0] <= Duration::from_secs(1));
        assert!(one[6..].iter().chain(&other[6..]).any(|pause| *pause > Duration::from_secs(10)));
    }
}
