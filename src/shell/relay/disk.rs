//! The relay's file: what the mailboxes must know again after a restart, in one redb database.
//!
//! Law: when [`Disk::commit`] returns, all of its batch is durable, else none of it is visible. A record is a blob's place, the hour it
//! expires, its delete hash and its body; the file holds no time finer than an hour and no name but hashes.

use super::mailbox::{Expired, Mailboxes, Place};
use crate::proto::config::RELAY_BLOB_BYTES;
use crate::proto::id::WriteName;
use axum::body::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;

/// Mailbox and cursor (big-endian, so that the order of keys is the order of cursors) to expiry, delete hash and body.
const BLOBS: TableDefinition<&[u8; 24], &[u8]> = TableDefinition::new("blobs");
/// Mailbox to the highest cursor it ever gave; written when a blob leaves, for until then the blobs tell.
const LAST: TableDefinition<&[u8; 16], u64> = TableDefinition::new("last");
/// The highest hour that cursors were made for, and the version of this format.
const FACTS: TableDefinition<&str, u64> = TableDefinition::new("facts");
const FORMAT: u64 = 1;

/// redb's own cache; the file's pages lie in the operating system's cache as well.
const CACHE_BYTES: usize = 16 << 20;
const HEAD_BYTES: usize = 4 + 16;

/// The relay's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process has it, no right to it, no space left, or the disk fails.
    #[error("the relay's store cannot be used ({0}): check free space and rights, and that no other relay uses it")]
    Unusable(#[source] Box<redb::Error>),
    /// It is a file of a later version.
    #[error("the relay's store was written by a newer version: start that version, or choose another --store")]
    Newer,
}

impl<E: Into<redb::Error>> From<E> for DiskError {
    fn from(error: E) -> Self {
        DiskError::Unusable(Box::new(error.into()))
    }
}

/// A blob as it goes to the disk.
pub struct Record {
    /// Where.
    pub place: Place,
    /// The first hour in which it is gone.
    pub expires: u32,
    /// Hash of the key that withdraws it.
    pub delete_hash: [u8; 16],
    /// What was put.
    pub body: Bytes,
}

/// Changes that become durable together.
#[derive(Default)]
pub struct Batch {
    /// Blobs that came.
    pub puts: Vec<Record>,
    /// Blobs that were withdrawn.
    pub withdrawn: Vec<Place>,
    /// What expired.
    pub expired: Expired,
    /// The highest cursors of the mailboxes that blobs left and that are still remembered.
    pub last: Vec<(WriteName, u64)>,
    /// The hour of a sweep.
    pub hour: Option<u32>,
}

impl Batch {
    /// Whether a commit would change nothing.
    pub fn is_empty(&self) -> bool {
        self.puts.is_empty() && self.withdrawn.is_empty() && self.hour.is_none()
    }
}

/// The open file.
pub struct Disk(Database);

impl Disk {
    /// Opens or makes the file and fills the mailboxes with all it knows. Reads the whole file once, so that a damaged one is found now.
    ///
    /// # Errors
    /// [`DiskError`]: the file is in use, damaged or newer than this program.
    pub fn open(file: &Path, empty: impl FnOnce(u32) -> Mailboxes) -> Result<(Disk, Mailboxes), DiskError> {
        let database = Database::builder().set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true).create(file)?;
        let write = database.begin_write()?;
        let hour = {
            let mut facts = write.open_table(FACTS)?;
            let format = facts.get("format")?.map(|format| format.value());
            match format {
                Some(FORMAT) => {}
                Some(_) => return Err(DiskError::Newer),
                None => {
                    facts.insert("format", FORMAT)?;
                }
            }
            write.open_table(BLOBS)?;
            write.open_table(LAST)?;
            facts.get("hour")?.map_or(0, |hour| u32::try_from(hour.value()).unwrap_or(u32::MAX))
        };
        write.commit()?;

        let mut mailboxes = empty(hour);
        let read = database.begin_read()?;
        for row in read.open_table(LAST)?.iter()? {
            let (name, last) = row?;
            mailboxes.restore_last(WriteName(*name.value()), last.value());
        }
        for row in read.open_table(BLOBS)?.iter()? {
            let (key, value) = row?;
            let (head, _) = value.value().split_at_checked(HEAD_BYTES).unwrap_or_default();
            let Some((expires, delete_hash)) = head.split_first_chunk::<4>() else { continue };
            let Ok(delete_hash) = delete_hash.try_into() else { continue };
            mailboxes.restore(place(key.value()), u32::from_le_bytes(*expires), delete_hash);
        }
        drop(read);
        Ok((Disk(database), mailboxes))
    }

    /// Makes a batch durable with one flush of the disk.
    ///
    /// # Errors
    /// [`DiskError`]: nothing of the batch is kept, and the file must not be written any more.
    pub fn commit(&self, batch: &Batch) -> Result<(), DiskError> {
        let write = self.0.begin_write()?;
        {
            let mut blobs = write.open_table(BLOBS)?;
            let mut value = Vec::with_capacity(HEAD_BYTES + RELAY_BLOB_BYTES);
            for record in &batch.puts {
                value.clear();
                value.extend_from_slice(&record.expires.to_le_bytes());
                value.extend_from_slice(&record.delete_hash);
                value.extend_from_slice(&record.body);
                blobs.insert(&key(record.place), value.as_slice())?;
            }
            for place in batch.withdrawn.iter().chain(&batch.expired.blobs) {
                blobs.remove(&key(*place))?;
            }
            let mut last = write.open_table(LAST)?;
            for (name, cursor) in &batch.last {
                last.insert(&name.0, cursor)?;
            }
            for name in &batch.expired.mailboxes {
                last.remove(&name.0)?;
            }
            if let Some(hour) = batch.hour {
                write.open_table(FACTS)?.insert("hour", u64::from(hour))?;
            }
        }
        write.commit()?;
        Ok(())
    }

    /// A blob's body, if it is still there. Reads the disk: not for a thread that must not wait.
    ///
    /// # Errors
    /// [`DiskError`]: the disk cannot be read.
    pub fn read(&self, at: Place) -> Result<Option<Bytes>, DiskError> {
        let read = self.0.begin_read()?;
        let row = read.open_table(BLOBS)?.get(&key(at))?;
        Ok(row.and_then(|row| row.value().get(HEAD_BYTES..).map(Bytes::copy_from_slice)))
    }
}

fn key((WriteName(name), cursor): Place) -> [u8; 24] {
    let mut key = [0; 24];
    key[..16].copy_from_slice(&name);
    key[16..].copy_from_slice(&cursor.to_be_bytes());
    key
}

fn place(key: &[u8; 24]) -> Place {
    let (mut name, mut cursor) = ([0; 16], [0; 8]);
    name.copy_from_slice(&key[..16]);
    cursor.copy_from_slice(&key[16..]);
    (WriteName(name), u64::from_be_bytes(cursor))
}
