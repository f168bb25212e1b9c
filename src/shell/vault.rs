//! What the device remembers: sealed records in one file, each talk under a key of its own that can be destroyed for good.
//!
//! Laws: a batch is one durable transaction, all of it or nothing, in its order; once a [`Persist::Forget`] has returned, no earlier copy
//! of the profile together with all that is in it and in its keystore now opens the talk, provided the keystore forgets
//! ([`Vault::level`]); between two calls the vault holds no key of a talk in memory; what cannot be read is named and set aside, never
//! thrown away. It knows nothing of what the records mean.
//!
//! Erasing: every talk's data key is wrapped under one forgetting key. To forget a talk, the vault (1) puts the forgetting key's next
//! generation into the keystore, (2) in the batch's one transaction drops the talk, wraps the surviving keys under the new generation
//! and records it, (3) deletes the old generation and checks that it cannot be read back, (4) compacts the file. There is no separate
//! record of intent: the transaction of step 2 is the decision, and whoever opens the profile deletes the generations beside the
//! recorded one. A crash before it leaves the talk open, one after it leaves it erased.
//!
//! Records of [`Scope::Durable`] lie under a key in the file `durable.key` beside the store. That protects them from somebody who gets
//! the store without that file, and from nobody else: it is the disk's encryption that guards them.

pub mod layout;

mod disk;
mod open;
mod profile;
mod rescue;
mod write;

use crate::proto::config::{RECORD_BYTES_MAX, RECORD_NAME_BYTES_MAX};
use crate::proto::error::Corrupt;
use crate::proto::id::TalkId;
use crate::proto::io::{Persist, Record, Scope};
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::shell::keystore::{Choice, Keystore, KeystoreError, Kind, Level};
use profile::Profile;
use redb::Database;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// The store's file in the profile's directory.
const STORE: &str = "vault.redb";

/// An open profile's store.
pub struct Vault {
    /// Absent after a failure: the next commit opens it anew, which settles what became of the last transaction.
    store: Option<Database>,
    keystore: Keystore,
    generation: u64,
    durable: Key,
    rng: Rng,
    bytes_max: Arc<AtomicU64>,
    stop_after: Option<Step>,
    // Dropped last: the lock outlives the store.
    profile: Profile,
}

/// What [`Vault::open`] found.
#[derive(Debug)]
pub struct Opened {
    /// The vault, ready to commit.
    pub vault: Vault,
    /// Every readable record, by scope and name.
    pub records: Vec<Record>,
    /// What proved damaged and was set aside. Its name cannot be read, so each is named by its scope and a label.
    pub corrupt: Vec<Corrupt>,
    /// The talks that can no longer be read, because the keystore lost their key (a reboot) or their wrapped key is damaged. Their
    /// records are gone from the store; the others at the table still have the talk.
    pub lost: Vec<TalkId>,
}

/// The steps of an erasure, for tests that cut the power after one of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Step {
    /// The next generation is in the keystore.
    KeyMade,
    /// The transaction is durable.
    Committed,
    /// The old generation cannot be read any more.
    KeyGone,
    /// The file is compact.
    Compacted,
}

impl Step {
    /// All of them in their order.
    pub const ALL: [Step; 4] = [Step::KeyMade, Step::Committed, Step::KeyGone, Step::Compacted];
}

/// Why the vault could not be opened or written.
#[derive(Debug, Error)]
pub enum VaultError {
    /// Another process works in the profile.
    #[error("another Alcove is running with the profile {profile}: close it, or start this one with another --profile")]
    InUse {
        /// The profile's directory.
        profile: PathBuf,
    },
    /// The profile belongs to another user.
    #[error("{path} belongs to another user: start Alcove as that user, or with another --profile")]
    NotYours {
        /// The directory or file.
        path: PathBuf,
    },
    /// Other users may read secrets.
    #[error("other users of this computer can read {path}: run `chmod go-rwx` on it")]
    Exposed {
        /// The directory or file.
        path: PathBuf,
    },
    /// The durable key is not the one that the store was sealed with.
    #[error("the key file {path} is missing, damaged or of another profile: put the right one back, or start with a new --profile")]
    DurableKey {
        /// The key's file.
        path: PathBuf,
    },
    /// The talks' key lies in another keystore than the one asked for.
    #[error("the open talks of this profile have their keys in {0}: start without --keystore, or close them first")]
    KeystoreElsewhere(Kind),
    /// The keystore failed.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The key vanished while the vault was open.
    #[error("the key of the open talks has vanished from the keystore: restart Alcove, and the talks come back from the others")]
    KeyVanished,
    /// No room for the batch; everything committed before is safe.
    #[error("the disk is full, the last change was not saved: free some space")]
    DiskFull,
    /// The store's file cannot be read. It is left as it is.
    #[error(
        "the vault {path} is damaged ({reason}): put back a copy, or run `alcove set-aside`, which keeps it and saves what is legible"
    )]
    Damaged {
        /// The store's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A later version of Alcove wrote the store.
    #[error("a newer Alcove wrote {path}: update this one")]
    Newer {
        /// The store's file.
        path: PathBuf,
    },
    /// A name or value beyond `config::RECORD_NAME_BYTES_MAX` or `config::RECORD_BYTES_MAX`; nothing of the batch was written.
    #[error("a record is longer than the vault takes: this is a defect of Alcove, please report it")]
    TooLong,
    /// The system refused.
    #[error("{path} cannot be used ({source}): check that it exists and is yours")]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A test cut the power.
    #[error("stopped after {0:?}, as the test asked")]
    Stopped(Step),
}

impl Vault {
    /// Opens the profile in this directory, or makes it; finishes an erasure that a crash cut short.
    ///
    /// `rng` makes the keys: seed it from the OS's entropy for the vault alone, since whoever knows the seed knows the keys.
    ///
    /// # Errors
    /// Each variant of [`VaultError`] says what to do. Nothing is changed in a profile that cannot be opened.
    pub fn open(profile: &Path, keystore: Choice, rng: Rng) -> Result<Opened, VaultError> {
        open::open(profile, keystore, rng)
    }

    /// Makes a batch durable: all of it or nothing. The order within counts; a [`Persist::Forget`] is final when this returns.
    ///
    /// # Errors
    /// [`VaultError::TooLong`]: nothing was written. After any other error the batch may or may not be durable, never half of it, and
    /// all committed before is; committing it again is safe, and so is going on.
    pub fn commit(&mut self, batch: &[Persist]) -> Result<(), VaultError> {
        if batch.iter().any(is_too_long) {
            return Err(VaultError::TooLong);
        }
        // The store goes back into its place only after success.
        let mut store = match self.store.take() {
            Some(store) => store,
            None => self.reopen()?,
        };
        let retired = self.write(&store, batch).map_err(|error| error.within(self.profile.directory()))?;
        if let Some(generation) = retired {
            self.keystore.delete(generation)?;
            self.stop(Step::KeyGone)?;
            // The talk is gone by now. Compaction only keeps the file small and remnants few, so its failure is not the caller's.
            if store.compact().is_err() {
                return Ok(());
            }
            self.stop(Step::Compacted)?;
        }
        self.store = Some(store);
        Ok(())
    }

    /// How well closed talks are forgotten here.
    pub fn level(&self) -> Level {
        self.keystore.level()
    }

    /// Renames the store of a profile that cannot be opened, says where it is now, and starts a new one with what is still legible in it;
    /// the next opening names the records that are not. Only for a person who has asked for it.
    ///
    /// # Errors
    /// The profile is in use, not ours, or has no store.
    pub fn set_aside(profile: &Path) -> Result<PathBuf, VaultError> {
        rescue::set_aside(&Profile::open(profile)?)
    }

    /// Destroys the forgetting key and with it every open talk; what is left of the profile can be deleted. The next opening reports the
    /// talks as lost.
    ///
    /// # Errors
    /// [`VaultError::Keystore`] if the key could not be deleted.
    pub fn destroy_talks(self) -> Result<(), VaultError> {
        Ok(self.keystore.delete(self.generation)?)
    }

    /// Cuts the power after this step of the next erasure. For tests.
    #[doc(hidden)]
    pub fn stop_after(&mut self, step: Step) {
        self.stop_after = Some(step);
    }

    /// Gives the store's file at most this many bytes from now on. For tests.
    #[doc(hidden)]
    pub fn limit_disk(&self, bytes_max: u64) {
        self.bytes_max.store(bytes_max, Ordering::Relaxed);
    }

    fn stop(&self, step: Step) -> Result<(), VaultError> {
        if self.stop_after == Some(step) { Err(VaultError::Stopped(step)) } else { Ok(()) }
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("profile", &self.profile).field("keystore", &self.keystore.kind()).finish_non_exhaustive()
    }
}

impl VaultError {
    fn io(path: &Path, source: io::Error) -> VaultError {
        if is_full(&source) { VaultError::DiskFull } else { VaultError::Io { path: path.into(), source } }
    }

    /// Completes the path of an error about the store.
    fn within(self, directory: &Path) -> VaultError {
        match self {
            VaultError::Damaged { path, reason } if path == Path::new(STORE) => {
                VaultError::Damaged { path: directory.join(path), reason }
            }
            VaultError::Newer { path } if path == Path::new(STORE) => VaultError::Newer { path: directory.join(path) },
            VaultError::Io { path, source } if path == Path::new(STORE) => VaultError::Io { path: directory.join(path), source },
            other => other,
        }
    }

    fn damaged(reason: impl ToString) -> VaultError {
        VaultError::Damaged { path: STORE.into(), reason: reason.to_string() }
    }
}

/// Sorts redb's many errors by what a person can do.
impl From<redb::Error> for VaultError {
    fn from(error: redb::Error) -> VaultError {
        match error {
            redb::Error::Io(source) => match source.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => VaultError::damaged(source),
                _ => VaultError::io(Path::new(STORE), source),
            },
            redb::Error::UpgradeRequired(_) => VaultError::Newer { path: STORE.into() },
            error => VaultError::damaged(error),
        }
    }
}

impl From<redb::DatabaseError> for VaultError {
    fn from(error: redb::DatabaseError) -> VaultError {
        redb::Error::from(error).into()
    }
}

impl From<redb::TransactionError> for VaultError {
    fn from(error: redb::TransactionError) -> VaultError {
        redb::Error::from(error).into()
    }
}

impl From<redb::TableError> for VaultError {
    fn from(error: redb::TableError) -> VaultError {
        redb::Error::from(error).into()
    }
}

impl From<redb::StorageError> for VaultError {
    fn from(error: redb::StorageError) -> VaultError {
        redb::Error::from(error).into()
    }
}

impl From<redb::CommitError> for VaultError {
    fn from(error: redb::CommitError) -> VaultError {
        redb::Error::from(error).into()
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

fn is_too_long(change: &Persist) -> bool {
    match change {
        Persist::Put { name, value, .. } => name.len() > RECORD_NAME_BYTES_MAX || value.len() > RECORD_BYTES_MAX,
        Persist::Delete { name, .. } => name.len() > RECORD_NAME_BYTES_MAX,
        Persist::Forget { .. } => false,
    }
}

/// A new key. The generator then starts anew from its own output, so that no later state of it leads back to the key.
fn fresh_key(rng: &mut Rng) -> Key {
    let key = Key(rng.bytes());
    *rng = rng.fork();
    key
}
