//! One TCP stream as a link: its queue, its reading and writing, its end.
//!
//! Laws: what is queued leaves in order or the link ends, never with a hole; a peer that does not read cannot make the queue grow
//! past [`QUEUE_BYTES_MAX`]; nothing is read while the events' channel is full; after `LinkDown` nothing more is said of a link.

use super::dial::configure;
use crate::proto::id::LinkId;
use crate::proto::io::{Input, Origin};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

/// A queue longer than this is full: 1,074 cells, two saved documents.
const QUEUE_FULL_BYTES: usize = 256 * 1024;
/// A link whose queue stays full for so long is closed.
const PATIENCE: Duration = Duration::from_secs(10);
/// A queue that would grow past this closes the link at once, for dropping bytes would tear a hole into the stream. The node
/// learns nothing of a full queue, so this leaves room for a burst.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;
/// At most so much in one `Received`, and in one write if it is made of several pieces.
const READ_BYTES_MAX: usize = 16 * 1024;
/// How long a link that the node closed may take to send what is still queued.
const FAREWELL: Duration = Duration::from_secs(1);

/// How a link is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// After what is queued has left.
    Flushed,
    /// At once.
    Abrupt,
}

/// The queues of all standing links.
pub(super) struct Links {
    queues: Mutex<BTreeMap<LinkId, Arc<Queue>>>,
    numbers: Arc<AtomicU64>,
}

impl Links {
    /// None; the next one takes its number from `numbers`.
    pub fn new(numbers: Arc<AtomicU64>) -> Self {
        Self { queues: Mutex::default(), numbers }
    }

    /// How many stand.
    pub fn count(&self) -> usize {
        self.locked().len()
    }

    /// Queues bytes, or nothing if the link is gone.
    pub fn push(&self, link: LinkId, bytes: Vec<u8>) {
        if let Some(queue) = self.locked().get(&link) {
            queue.push(bytes);
        }
    }

    /// Ends a link, if it stands.
    pub fn end(&self, link: LinkId, end: End) {
        if let Some(queue) = self.locked().get(&link) {
            queue.end(end);
        }
    }

    /// Ends every link.
    pub fn end_all(&self, end: End) {
        self.locked().values().for_each(|queue| queue.end(end));
    }

    /// A number and a queue for a fresh stream; [`Links::carry`] must follow.
    pub fn open(&self) -> LinkId {
        let link = LinkId(self.numbers.fetch_add(1, Ordering::Relaxed));
        self.locked().insert(link, Arc::default());
        link
    }

    /// Moves bytes both ways until the stream or the link ends.
    pub async fn carry(self: Arc<Self>, link: LinkId, origin: Origin, stream: TcpStream, events: mpsc::Sender<Input>) {
        let Some(queue) = self.locked().get(&link).cloned() else { return };
        configure(&stream);
        let (mut read, write) = stream.into_split();
        let mut writer = Writer { half: write, batch: Vec::new(), written: 0 };
        if events.send(Input::LinkUp { link, origin }).await.is_ok() {
            tokio::select! {
                () = receive(&mut read, link, &events) => {}
                () = writer.send(&queue) => {}
                () = queue.ended(PATIENCE) => {}
            }
        }
        self.locked().remove(&link);
        let down = events.send(Input::LinkDown { link });
        let farewell = async {
            if queue.locked().end == Some(End::Flushed) {
                let _ = timeout(FAREWELL, writer.send_rest_and_close(&queue, &mut read)).await;
            }
        };
        let _ = tokio::join!(down, farewell);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<LinkId, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands over what arrives, until the peer ends the stream or nobody listens.
async fn receive(read: &mut OwnedReadHalf, link: LinkId, events: &mpsc::Sender<Input>) {
    let mut buffer = vec![0; READ_BYTES_MAX];
    while let Ok(count @ 1..) = read.read(&mut buffer).await {
        if events.send(Input::Received { link, bytes: buffer[..count].to_vec() }).await.is_err() {
            return;
        }
    }
}

/// What waits to leave on one link.
#[derive(Default)]
struct Queue {
    pending: Mutex<Pending>,
    /// There is something to write.
    filled: Notify,
    /// The queue has become full, or the link is to end.
    alarm: Notify,
}

#[derive(Default)]
struct Pending {
    pieces: VecDeque<Vec<u8>>,
    /// Of all pieces and of what the writer holds and the socket has not taken yet.
    bytes: usize,
    full_since: Option<Instant>,
    end: Option<End>,
}

impl Queue {
    fn push(&self, bytes: Vec<u8>) {
        let mut pending = self.locked();
        if pending.end.is_some() || bytes.is_empty() {
            return;
        }
        if pending.bytes + bytes.len() > QUEUE_BYTES_MAX {
            pending.end = Some(End::Abrupt);
            self.alarm.notify_one();
            return;
        }
        pending.bytes += bytes.len();
        pending.pieces.push_back(bytes);
        self.filled.notify_one();
        if pending.bytes > QUEUE_FULL_BYTES && pending.full_since.is_none() {
            pending.full_since = Some(Instant::now());
            self.alarm.notify_one();
        }
    }

    fn end(&self, end: End) {
        self.locked().end = Some(end);
        self.alarm.notify_one();
    }

    /// The next pieces to write: one of any size, or several that make up one read of the other side.
    fn take(&self) -> Option<Vec<u8>> {
        let mut pending = self.locked();
        let mut batch = pending.pieces.pop_front()?;
        while let Some(piece) = pending.pieces.pop_front_if(|piece| batch.len() + piece.len() <= READ_BYTES_MAX) {
            batch.extend_from_slice(&piece);
        }
        Some(batch)
    }

    /// The socket took `count` bytes.
    fn wrote(&self, count: usize) {
        let mut pending = self.locked();
        pending.bytes = pending.bytes.saturating_sub(count);
        if pending.bytes <= QUEUE_FULL_BYTES {
            pending.full_since = None;
        }
    }

    /// Waits until the link is to end, or has been full for longer than `patience`.
    async fn ended(&self, patience: Duration) {
        loop {
            let deadline = {
                let pending = self.locked();
                if pending.end.is_some() {
                    return;
                }
                pending.full_since.map(|since| since + patience)
            };
            match deadline {
                Some(deadline) if deadline <= Instant::now() => return,
                Some(deadline) => tokio::select! {
                    () = sleep_until(deadline) => {}
                    () = self.alarm.notified() => {}
                },
                None => self.alarm.notified().await,
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writing side of a stream with the place it has got to, so that it can be interrupted and go on.
struct Writer {
    half: OwnedWriteHalf,
    batch: Vec<u8>,
    written: usize,
}

impl Writer {
    /// Writes what is queued and what will be, until the stream fails.
    async fn send(&mut self, queue: &Queue) {
        while self.send_queued(queue).await {
            queue.filled.notified().await;
        }
    }

    /// Writes what is queued and says the end; then waits for the peer's, because closing with unread bytes would reset the
    /// stream and destroy what the peer has not read yet.
    async fn send_rest_and_close(&mut self, queue: &Queue, read: &mut OwnedReadHalf) {
        if self.send_queued(queue).await && self.half.shutdown().await.is_ok() {
            let mut unheard = vec![0; READ_BYTES_MAX];
            while let Ok(1..) = read.read(&mut unheard).await {}
        }
    }

    /// Writes until the queue is empty (true) or the stream fails (false).
    async fn send_queued(&mut self, queue: &Queue) -> bool {
        loop {
            while self.written < self.batch.len() {
                match self.half.write(&self.batch[self.written..]).await {
                    Ok(count @ 1..) => {
                        self.written += count;
                        queue.wrote(count);
                    }
                    Ok(0) | Err(_) => return false,
                }
            }
            let Some(batch) = queue.take() else { return true };
            (self.batch, self.written) = (batch, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stands for ten seconds.
    const BRIEF: Duration = Duration::from_millis(40);

    #[tokio::test]
    async fn a_queue_that_stays_full_ends_the_link_when_patience_ends() {
        let queue = Queue::default();
        queue.push(vec![0; QUEUE_FULL_BYTES + 1]);
        let start = Instant::now();

        queue.ended(BRIEF).await;

        assert!(start.elapsed() >= BRIEF);
    }

    #[tokio::test]
    async fn a_queue_that_drains_in_time_does_not_end_the_link() {
        let queue = Queue::default();
        queue.push(vec![0; QUEUE_FULL_BYTES + 1]);
        queue.wrote(1);
        queue.push(vec![0; QUEUE_FULL_BYTES / 2]);
        queue.wrote(QUEUE_FULL_BYTES / 2);

        assert!(timeout(BRIEF * 5, queue.ended(BRIEF)).await.is_err());
    }

    #[tokio::test]
    async fn a_queue_never_grows_past_its_bound() {
        let queue = Queue::default();
        for _ in 0..10_000 {
            queue.push(vec![0; 244]);
        }

        assert!(queue.locked().bytes <= QUEUE_BYTES_MAX);
        assert!(timeout(BRIEF, queue.ended(PATIENCE)).await.is_ok(), "the link ends at once instead");
    }
}
