//! The store's file as redb sees it, with a bound on its size that a test can lower while it runs: a disk that is full.
//!
//! It takes no file locks: the profile's lock already keeps other processes out.

use redb::StorageBackend;
use redb::backends::FileBackend;
use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that refuses to be written beyond `bytes_max`.
#[derive(Debug)]
pub struct Disk {
    file: FileBackend,
    bytes_max: Arc<AtomicU64>,
}

impl Disk {
    /// The file with its shared bound; `u64::MAX` leaves it to the file system.
    pub fn new(file: File, bytes_max: Arc<AtomicU64>) -> Result<Disk, redb::DatabaseError> {
        Ok(Disk { file: FileBackend::new(file)?, bytes_max })
    }

    fn check(&self, end: u64) -> io::Result<()> {
        if end <= self.bytes_max.load(Ordering::Relaxed) { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.file.len()? {
            self.check(len)?;
        }
        self.file.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.check(offset.saturating_add(data.len() as u64))?;
        self.file.write(offset, data)
    }
    fn close(&self) -> io::Result<()> {
        self.file.close()
    }
}
