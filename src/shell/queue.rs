//! What waits to leave on a link, whatever carries it: the queues of all standing links of one transport.
//!
//! Laws: what is queued leaves in order or the link ends, never with a hole; a peer that does not read cannot make a queue grow past
//! [`QUEUE_BYTES_MAX`].

use crate::proto::id::LinkId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// A queue longer than this is full: 1,074 cells, two saved documents.
const QUEUE_FULL_BYTES: usize = 256 * 1024;
/// A link whose queue stays full for so long is closed.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// A queue that would grow past this closes the link at once, for dropping bytes would tear a hole into the stream. The node
/// learns nothing of a full queue, so this leaves room for a burst.
const QUEUE_BYTES_MAX: usize = 1024 * 1024;

/// How a link is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// After what is queued has left.
    Flushed,
    /// At once.
    Abrupt,
}

/// The queues of all standing links.
pub struct Links {
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

    /// A number and a queue for a fresh link.
    pub fn open(&self) -> LinkId {
        let link = LinkId(self.numbers.fetch_add(1, Ordering::Relaxed));
        self.locked().insert(link, Arc::default());
        link
    }

    /// The queue of a link that stands.
    pub fn queue(&self, link: LinkId) -> Option<Arc<Queue>> {
        self.locked().get(&link).cloned()
    }

    /// The link is gone: nothing more is queued.
    pub fn close(&self, link: LinkId) {
        self.locked().remove(&link);
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<LinkId, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What waits to leave on one link.
#[derive(Default)]
pub struct Queue {
    pending: Mutex<Pending>,
    /// There is something to write.
    pub filled: Notify,
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
    /// Adds bytes, unless the link is to end.
    pub fn push(&self, bytes: Vec<u8>) {
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

    /// The link is to end so.
    pub fn end(&self, end: End) {
        self.locked().end = Some(end);
        self.alarm.notify_one();
    }

    /// How the link is to end, if it is.
    pub fn ending(&self) -> Option<End> {
        self.locked().end
    }

    /// The next pieces to write: one of any size, or several of together at most `bytes_max`.
    pub fn take(&self, bytes_max: usize) -> Option<Vec<u8>> {
        let mut pending = self.locked();
        let mut batch = pending.pieces.pop_front()?;
        while let Some(piece) = pending.pieces.pop_front_if(|piece| batch.len() + piece.len() <= bytes_max) {
            batch.extend_from_slice(&piece);
        }
        Some(batch)
    }

    /// `count` bytes have left.
    pub fn wrote(&self, count: usize) {
        let mut pending = self.locked();
        pending.bytes = pending.bytes.saturating_sub(count);
        if pending.bytes <= QUEUE_FULL_BYTES {
            pending.full_since = None;
        }
    }

    /// Waits until the link is to end, or has been full for longer than `patience`.
    pub async fn ended(&self, patience: Duration) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

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
