//! The relay's memory and its disk as one: changes go through a single writer thread, reads come from the mailboxes.
//!
//! Laws: a put is answered only when it is durable, and becomes readable only then; many changes share one flush of the disk (group
//! commit: what arrives while one flush runs forms the next batch). Without a disk everything is the same but the flush. A disk that
//! fails ends the writer and with it the relay: nothing more is acknowledged.

use super::disk::{Batch, Disk, DiskError, Record};
use super::hub::Hub;
use super::mailbox::{Limits, Mailboxes, Place, Put};
use super::meter::Meter;
use crate::proto::config::RELAY_BLOB_BYTES;
use crate::proto::id::WriteName;
use crate::proto::io::RelayRefusal;
use crate::proto::time::WallTime;
use axum::body::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};

/// Tells whole hours since the Unix epoch: all the relay ever knows of time.
#[derive(Clone)]
pub struct HourClock(pub Arc<dyn Fn() -> u32 + Send + Sync>);

impl HourClock {
    /// The machine's clock.
    pub fn system() -> HourClock {
        HourClock(Arc::new(|| {
            let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            WallTime(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)).hours()
        }))
    }

    /// The hour now.
    pub fn hour(&self) -> u32 {
        (self.0)()
    }
}

/// Called with the outcome once it is final. Must not wait: it runs on the writer thread.
type Answer<T> = Box<dyn FnOnce(T) + Send>;

enum Change {
    Put(Put, Answer<Result<(), RelayRefusal>>),
    Delete {
        from: WriteName,
        delete_hash: [u8; 16],
        answer: Answer<usize>,
    },
    /// Look whether an hour has passed.
    Tick,
    /// Finish what came before and end.
    End,
}

/// Changes that wait for the writer; who wants to add one more waits. 1,024 blobs are 4 MiB.
const WAITING_MAX: usize = 1_024;
/// Changes that share one flush: bounds the memory of a batch and the time to the first answer.
const BATCH_MAX: usize = 1_024;
/// Bodies kept in memory beside the disk, newest first, so that a subscriber who is there never waits for it: 8 MiB.
const WARM_MAX: usize = 2_048;

/// The relay's blobs.
pub struct Store {
    mailboxes: Arc<Mutex<Mailboxes>>,
    disk: Option<Arc<Disk>>,
    clock: HourClock,
    changes: mpsc::Sender<Change>,
}

impl Store {
    /// Opens the store, in `folder` or in memory only. The second value resolves when the writer has ended.
    ///
    /// # Errors
    /// [`DiskError`]: the file in `folder` cannot be used.
    pub fn open(
        folder: Option<&Path>,
        limits: Limits,
        clock: HourClock,
        hub: Arc<Hub>,
        meter: Arc<Meter>,
    ) -> Result<(Store, oneshot::Receiver<Result<(), DiskError>>), DiskError> {
        let empty = |hour| Mailboxes::new(limits, hour);
        let (disk, mailboxes) = match folder {
            Some(folder) => {
                let (disk, mailboxes) = Disk::open(&folder.join("relay.redb"), empty)?;
                (Some(Arc::new(disk)), mailboxes)
            }
            None => (None, empty(0)),
        };
        let mailboxes = Arc::new(Mutex::new(mailboxes));
        let (changes, waiting) = mpsc::channel(WAITING_MAX);
        let (ended_tx, ended) = oneshot::channel();
        let mut writer = Writer {
            mailboxes: mailboxes.clone(),
            disk: disk.clone(),
            clock: clock.clone(),
            hub,
            meter,
            swept: None,
            warm: VecDeque::new(),
        };
        std::thread::Builder::new()
            .name("relay-writer".into())
            .spawn(move || {
                let result = writer.run(waiting);
                drop(writer);
                let _ = ended_tx.send(result);
            })
            .map_err(redb::Error::Io)?;
        Ok((Store { mailboxes, disk, clock, changes }, ended))
    }

    /// Keeps a blob; `answer` comes once it is durable or refused. Waits while too much waits already.
    pub async fn put(&self, put: Put, answer: impl FnOnce(Result<(), RelayRefusal>) + Send + 'static) {
        self.submit(Change::Put(put, Box::new(answer))).await;
    }

    /// Withdraws the blobs of a mailbox that were put with this hash; `answer` tells how many.
    pub async fn delete(&self, from: WriteName, delete_hash: [u8; 16], answer: impl FnOnce(usize) + Send + 'static) {
        self.submit(Change::Delete { from, delete_hash, answer: Box::new(answer) }).await;
    }

    /// Lets the writer see whether an hour has passed and something has expired.
    pub async fn tick(&self) {
        self.submit(Change::Tick).await;
    }

    /// Lets the writer finish what has been submitted, then end.
    pub async fn end(&self) {
        self.submit(Change::End).await;
    }

    /// The first blob after a cursor.
    ///
    /// # Errors
    /// [`DiskError`]: the disk cannot be read.
    pub async fn next_after(&self, mailbox: WriteName, mut after: u64) -> Result<Option<(u64, Bytes)>, DiskError> {
        loop {
            let Some(found) = lock(&self.mailboxes).next_after(&mailbox, after, self.clock.hour()) else { return Ok(None) };
            let place = (mailbox, found.cursor);
            let body = match (found.body, &self.disk) {
                (Some(body), _) => Some(body),
                (None, Some(disk)) => {
                    let disk = disk.clone();
                    tokio::task::spawn_blocking(move || disk.read(place)).await.unwrap_or(Ok(None))?
                }
                (None, None) => None,
            };
            match body {
                Some(body) => return Ok(Some((found.cursor, body))),
                // Withdrawn between the two looks.
                None => after = found.cursor,
            }
        }
    }

    /// How many blobs are held, and their bytes.
    pub fn holds(&self) -> (u64, u64) {
        let blobs = lock(&self.mailboxes).blobs() as u64;
        (blobs, blobs * RELAY_BLOB_BYTES as u64)
    }

    async fn submit(&self, change: Change) {
        // The writer is gone only when the disk failed; the relay ends then.
        match self.changes.send(change).await {
            Err(mpsc::error::SendError(Change::Put(_, answer))) => answer(Err(RelayRefusal::RelayFull)),
            Err(mpsc::error::SendError(Change::Delete { answer, .. })) => answer(0),
            Err(mpsc::error::SendError(Change::Tick | Change::End)) | Ok(()) => {}
        }
    }
}

struct Writer {
    mailboxes: Arc<Mutex<Mailboxes>>,
    disk: Option<Arc<Disk>>,
    clock: HourClock,
    hub: Arc<Hub>,
    meter: Arc<Meter>,
    /// The hour of the last sweep.
    swept: Option<u32>,
    /// Blobs whose bodies lie in memory beside the disk, oldest first.
    warm: VecDeque<Place>,
}

impl Writer {
    fn run(&mut self, mut waiting: mpsc::Receiver<Change>) -> Result<(), DiskError> {
        let mut changes = Vec::with_capacity(BATCH_MAX);
        let mut is_ending = false;
        while !is_ending && waiting.blocking_recv_many(&mut changes, BATCH_MAX) > 0 {
            is_ending = changes.iter().any(|change| matches!(change, Change::End));
            self.apply(changes.drain(..))?;
        }
        Ok(())
    }

    fn apply(&mut self, changes: impl Iterator<Item = Change>) -> Result<(), DiskError> {
        let mut batch = Batch::default();
        let mut puts = Vec::new();
        let mut deletes = Vec::new();
        let mut left = BTreeSet::new();
        let hour = self.clock.hour();
        let mut mailboxes = lock(&self.mailboxes);
        if self.swept.is_none_or(|swept| swept < hour) {
            self.swept = Some(hour);
            batch.expired = mailboxes.expire(hour);
            batch.hour = Some(mailboxes.hour());
            left.extend(batch.expired.blobs.iter().map(|(mailbox, _)| *mailbox));
        }
        for change in changes {
            match change {
                Change::Put(put, answer) => {
                    let placed = mailboxes.place(&put, hour).map(|(cursor, expires)| {
                        let Put { to, blob: body, delete_hash, .. } = put;
                        batch.puts.push(Record { place: (to, cursor), expires, delete_hash, body });
                    });
                    puts.push((placed, answer));
                }
                Change::Delete { from, delete_hash, answer } => {
                    let gone = mailboxes.withdraw(from, delete_hash);
                    deletes.push((gone.len(), answer));
                    left.extend((!gone.is_empty()).then_some(from));
                    batch.withdrawn.extend(gone.into_iter().map(|cursor| (from, cursor)));
                }
                Change::Tick | Change::End => {}
            }
        }
        batch.last = left.iter().filter_map(|name| Some((*name, mailboxes.last(name)?))).collect();
        drop(mailboxes);

        if let Some(disk) = &self.disk
            && !batch.is_empty()
            && let Err(error) = disk.commit(&batch)
        {
            puts.into_iter().for_each(|(_, answer)| answer(Err(RelayRefusal::RelayFull)));
            return Err(error);
        }
        self.publish(&batch);
        for (placed, answer) in puts {
            match placed {
                Ok(()) => Meter::count(&self.meter.puts),
                Err(why) => self.meter.count_refusal(why),
            }
            answer(placed);
        }
        deletes.into_iter().for_each(|(gone, answer)| answer(gone));
        self.meter.deletes.fetch_add(batch.withdrawn.len() as u64, Relaxed);
        self.meter.expiries.fetch_add(batch.expired.blobs.len() as u64, Relaxed);
        Ok(())
    }

    fn publish(&mut self, batch: &Batch) {
        let mut mailboxes = lock(&self.mailboxes);
        for record in &batch.puts {
            mailboxes.keep(record.place);
            if self.disk.is_some() {
                self.warm.push_back(record.place);
            }
        }
        while self.warm.len() > WARM_MAX {
            if let Some(place) = self.warm.pop_front() {
                mailboxes.cool(place);
            }
        }
        drop(mailboxes);
        self.hub.wake(batch.puts.iter().map(|record| record.place.0));
    }
}

/// No holder of the lock panics half-way through a change, so what a poisoned one guards is sound.
fn lock(mailboxes: &Mutex<Mailboxes>) -> MutexGuard<'_, Mailboxes> {
    mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
}
