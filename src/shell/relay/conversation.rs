//! One connection of the client, from the first word to the last: what was asked, what is heard, and whether anybody is still there.
//!
//! Laws: only replies to what was asked reach the node; bytes that are no message end the connection; a node that is slow to take events
//! slows the relay down and is never mistaken for a dead connection.

use super::client::Pace;
use super::message::{Reply, decode_reply, encode_command};
use super::stream::Stream;
use crate::proto::id::{PutId, WriteName};
use crate::proto::io::{RelayCommand, RelayEvent};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Puts that have no answer yet; the relay reads no more of them either.
const PUTS_MAX: usize = 64;

/// The node does not listen any more.
pub struct Deaf;

/// Says what the queues hold and passes on what is heard, until the connection ends.
///
/// # Errors
/// [`Deaf`]: nobody takes the events.
pub async fn hold(
    socket: WebSocketStream<Stream>,
    pace: Pace,
    queue: &mut mpsc::Receiver<RelayCommand>,
    withdrawals: &mut VecDeque<RelayCommand>,
    events: &mpsc::Sender<RelayEvent>,
    faults: &AtomicU64,
) -> Result<(), Deaf> {
    let (sink, stream) = socket.split();
    let ledger = Ledger::new();
    tokio::select! {
        heard = hear(stream, &ledger, events, faults) => heard,
        () = Outgoing { queue, withdrawals, ledger: &ledger }.say(sink) => Ok(()),
        () = watch_over(&ledger, pace) => Ok(()),
    }
}

/// What the two directions of one connection must both know.
struct Ledger {
    inside: Mutex<LedgerInside>,
    ping: Notify,
    room: Notify,
}

struct LedgerInside {
    /// Mailboxes that were asked for, with the last cursor.
    subscribed: HashMap<WriteName, u64>,
    /// Puts without an answer.
    puts: HashSet<PutId>,
    /// When the relay last said anything, or the node last let us listen.
    heard: Instant,
    /// The node is slow to take events: the relay's silence means nothing.
    is_waiting: bool,
}

impl Ledger {
    fn new() -> Ledger {
        let inside = LedgerInside { subscribed: HashMap::new(), puts: HashSet::new(), heard: Instant::now(), is_waiting: false };
        Ledger { inside: Mutex::new(inside), ping: Notify::new(), room: Notify::new() }
    }

    fn open(&self) -> MutexGuard<'_, LedgerInside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the relay last had a chance to be heard and used it.
    fn heard(&self) -> Instant {
        let inside = self.open();
        if inside.is_waiting { Instant::now() } else { inside.heard }
    }

    /// Whether this reply answers something that was asked.
    fn expects(&self, reply: &Reply) -> bool {
        let mut inside = self.open();
        match reply {
            Reply::Blob { mailbox, cursor, .. } => match inside.subscribed.get_mut(mailbox) {
                Some(last) if *last < *cursor => {
                    *last = *cursor;
                    true
                }
                Some(_) | None => false,
            },
            Reply::CaughtUp { mailbox } => inside.subscribed.contains_key(mailbox),
            Reply::Stored { id } | Reply::Refused { id, .. } => {
                let is_ours = inside.puts.remove(id);
                self.room.notify_one();
                is_ours
            }
        }
    }

    fn has_room(&self) -> bool {
        self.open().puts.len() < PUTS_MAX
    }

    fn note(&self, command: &RelayCommand) {
        let mut inside = self.open();
        match command {
            RelayCommand::Subscribe { read_key, after } => {
                inside.subscribed.insert(read_key.write_name(), *after);
            }
            RelayCommand::Unsubscribe { read_key } => {
                inside.subscribed.remove(&read_key.write_name());
            }
            RelayCommand::Put { id, .. } => {
                inside.puts.insert(*id);
            }
            RelayCommand::Delete { .. } => {}
        }
    }
}

async fn hear(
    mut stream: SplitStream<WebSocketStream<Stream>>,
    ledger: &Ledger,
    events: &mpsc::Sender<RelayEvent>,
    faults: &AtomicU64,
) -> Result<(), Deaf> {
    while let Some(Ok(message)) = stream.next().await {
        ledger.open().heard = Instant::now();
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return Ok(()),
            Message::Text(_) | Message::Frame(_) => Default::default(),
        };
        let Ok(reply) = decode_reply(&bytes) else {
            faults.fetch_add(1, Relaxed);
            return Ok(());
        };
        if !ledger.expects(&reply) {
            faults.fetch_add(1, Relaxed);
            continue;
        }
        ledger.open().is_waiting = true;
        events.send(reply.into()).await.map_err(|_| Deaf)?;
        let mut inside = ledger.open();
        (inside.is_waiting, inside.heard) = (false, Instant::now());
    }
    Ok(())
}

struct Outgoing<'a> {
    queue: &'a mut mpsc::Receiver<RelayCommand>,
    withdrawals: &'a mut VecDeque<RelayCommand>,
    ledger: &'a Ledger,
}

impl Outgoing<'_> {
    async fn say(mut self, mut sink: SplitSink<WebSocketStream<Stream>, Message>) {
        let ledger = self.ledger;
        loop {
            tokio::select! {
                command = self.next() => {
                    let Some(command) = command else { return };
                    ledger.note(&command);
                    let Ok(message) = encode_command(&command) else { continue };
                    if sink.feed(Message::Binary(message.into())).await.is_err() {
                        return;
                    }
                    // What waits already goes out in the same write.
                    let is_last = self.withdrawals.is_empty() && self.queue.is_empty();
                    if (is_last || !ledger.has_room()) && sink.flush().await.is_err() {
                        return;
                    }
                }
                () = ledger.ping.notified() => {
                    if sink.send(Message::Ping(Default::default())).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// The next command, once there is room for another put. `None`: the handle was dropped.
    async fn next(&mut self) -> Option<RelayCommand> {
        while !self.ledger.has_room() {
            self.ledger.room.notified().await;
        }
        match self.withdrawals.pop_front() {
            Some(withdrawal) => Some(withdrawal),
            None => self.queue.recv().await,
        }
    }
}

/// Ends when the relay has been silent for too long and does not answer a ping (RFC 6455, 5.5.2) either.
async fn watch_over(ledger: &Ledger, pace: Pace) {
    loop {
        sleep_until(ledger.heard() + pace.quiet_max).await;
        let asked = Instant::now();
        if ledger.heard() + pace.quiet_max > asked {
            continue;
        }
        ledger.ping.notify_one();
        sleep(pace.answer_max).await;
        if ledger.heard() < asked {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::config::RELAY_BLOB_BYTES;
    use crate::proto::io::ReadKey;
    use crate::proto::secret::Key;

    #[test]
    fn only_what_was_asked_for_is_believed() {
        let ledger = Ledger::new();
        let read_key = ReadKey(Key([1; 32]));
        let mailbox = read_key.write_name();
        let blob = |cursor| Reply::Blob { mailbox, cursor, blob: vec![0; RELAY_BLOB_BYTES].into() };
        assert!(!ledger.expects(&blob(5)));
        ledger.note(&RelayCommand::Subscribe { read_key: read_key.clone(), after: 4 });
        assert!(!ledger.expects(&blob(4)));
        assert!(ledger.expects(&blob(5)) && !ledger.expects(&blob(5)), "no cursor twice");
        assert!(!ledger.expects(&Reply::Stored { id: PutId(1) }));
        ledger.note(&RelayCommand::Unsubscribe { read_key });
        assert!(!ledger.expects(&Reply::CaughtUp { mailbox }));
    }
}
