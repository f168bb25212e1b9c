//! The directory of one profile: whose it is, who may read it, that only one process works in it, and its durable key.
//!
//! Laws: nothing is used that another user owns or may read; a lock dies with its process, however that ends; a missing or wrong durable
//! key is an error and never replaced, since the records under it would be lost.

use super::{STORE, VaultError};
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::shell::keystore::write_durably;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A locked profile.
#[derive(Debug)]
pub struct Profile {
    directory: PathBuf,
    /// Empty until the store has been made: then an empty or missing store is a loss and not a beginning.
    lock: File,
}

impl Profile {
    /// Makes the directory if it is missing (mode 0700) and locks it.
    pub fn open(directory: &Path) -> Result<Profile, VaultError> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|source| VaultError::io(directory, source))?;
        check_owner(directory)?;
        if is_readable_by_others(directory)? {
            // Nothing lies in an empty directory yet that somebody could have read.
            let mut entries = fs::read_dir(directory).map_err(|source| VaultError::io(directory, source))?;
            if entries.next().is_some() {
                return Err(VaultError::Exposed { path: directory.into() });
            }
            fs::set_permissions(directory, Permissions::from_mode(0o700)).map_err(|source| VaultError::io(directory, source))?;
        }
        let path = directory.join("lock");
        let lock = open_private(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Profile { directory: directory.into(), lock }),
            Err(TryLockError::WouldBlock) => Err(VaultError::InUse { profile: directory.into() }),
            Err(TryLockError::Error(source)) => Err(VaultError::io(&path, source)),
        }
    }

    /// The profile's directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The store's file.
    pub fn store_path(&self) -> PathBuf {
        self.directory.join(STORE)
    }

    /// Whether the store is nothing although it was made once: whoever started anew would lose the event and the receipts unawares.
    pub fn has_lost_its_store(&self) -> Result<bool, VaultError> {
        let path = self.store_path();
        let bytes = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => return Err(VaultError::io(&path, source)),
        };
        let begun = self.lock.metadata().map_err(|source| VaultError::io(&self.directory, source))?.len() > 0;
        Ok(begun && bytes == 0)
    }

    /// Remembers whether there is a store to be missed.
    pub fn remember_store(&self, is_there: bool) -> Result<(), VaultError> {
        let remembered = self.lock.set_len(u64::from(is_there)).and_then(|()| self.lock.sync_all());
        remembered.map_err(|source| VaultError::io(&self.directory, source))
    }

    /// The durable key; made on first use, before there is a store (also one set aside).
    pub fn durable_key(&self, rng: &mut Rng) -> Result<Key, VaultError> {
        let path = self.durable_key_path();
        match fs::read(&path) {
            Ok(bytes) => {
                check_owner(&path)?;
                if is_readable_by_others(&path)? {
                    return Err(VaultError::Exposed { path });
                }
                <[u8; 32]>::try_from(bytes.as_slice()).map(Key).map_err(|_| VaultError::DurableKey { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.store_path().exists() {
                    return Err(VaultError::DurableKey { path });
                }
                let key = Key(rng.bytes());
                write_durably(&path, &key.0).map_err(|source| VaultError::io(&path, source))?;
                Ok(key)
            }
            Err(source) => Err(VaultError::io(&path, source)),
        }
    }

    /// The durable key's file.
    pub fn durable_key_path(&self) -> PathBuf {
        self.directory.join("durable.key")
    }

    /// The first free name for a damaged store.
    pub fn aside_path(&self) -> PathBuf {
        let mut paths = (1u32..).map(|number| self.directory.join(format!("{STORE}.damaged-{number}")));
        paths.find(|path| !path.exists()).unwrap_or_else(|| self.directory.join(format!("{STORE}.damaged")))
    }
}

/// Opens a file for reading and writing, made with mode 0600 if it is missing.
pub fn open_private(path: &Path) -> Result<File, VaultError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|source| VaultError::io(path, source))
}

fn is_readable_by_others(path: &Path) -> Result<bool, VaultError> {
    let metadata = fs::metadata(path).map_err(|source| VaultError::io(path, source))?;
    Ok(metadata.mode() & 0o077 != 0)
}

/// Root could read another user's profile but not that user's keyring, and would take every open talk for lost.
fn check_owner(path: &Path) -> Result<(), VaultError> {
    let metadata = fs::metadata(path).map_err(|source| VaultError::io(path, source))?;
    if metadata.uid() == rustix::process::geteuid().as_raw() { Ok(()) } else { Err(VaultError::NotYours { path: path.into() }) }
}
