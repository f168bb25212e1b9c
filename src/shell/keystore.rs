//! Where the forgetting key lives: a [`Keystore`] keeps one key per generation and can prove that a deleted one is gone.
//!
//! Laws: what was put is read back by the same user's next process; a deleted key is reported gone only after reading it back failed;
//! "absent" and "could not look" are never confused, since the vault gives up talks on the former. Which keystore is in use decides
//! how much a closed talk is worth: see [`Level`]. It encrypts nothing and knows no talk.

mod kernel;

use crate::proto::secret::Key;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use thiserror::Error;

/// What a closed talk is worth on this device. Shown before a talk starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Level {
    /// The key of a closed talk cannot be restored from any copy of the disk.
    Forgets,
    /// The key lies on the disk, and so in each copy of it.
    DoesNotForget,
}

impl Level {
    /// One sentence for the person who is about to start a talk.
    pub fn description(self) -> &'static str {
        match self {
            Level::Forgets => {
                "Forgets: the keys of your talks live only in this computer's memory, so a closed talk cannot be read again from any \
                 copy of its disk, and after a reboot an open talk comes back from the others at its table."
            }
            Level::DoesNotForget => {
                "Does not forget: the keys of your talks lie in a file, so whoever has copied this disk before a talk was closed can \
                 still read it."
            }
        }
    }
}

/// Which keystore to use: the option `--keystore`.
#[derive(Clone, Debug, Default)]
pub enum Choice {
    /// The kernel's keyring if it works here, else the file.
    #[default]
    Auto,
    /// The kernel's keyring or nothing.
    Kernel,
    /// The file, which does not forget.
    File,
    /// A keystore of a test.
    Memory(Memory),
}

impl FromStr for Choice {
    type Err = KeystoreError;
    fn from_str(text: &str) -> Result<Self, KeystoreError> {
        match text {
            "auto" => Ok(Choice::Auto),
            "kernel" => Ok(Choice::Kernel),
            "file" => Ok(Choice::File),
            _ => Err(KeystoreError::Unknown),
        }
    }
}

/// Why a keystore did not do its duty.
#[derive(Debug, Error)]
pub enum KeystoreError {
    /// The kernel's keyring does not keep keys here.
    #[error("the kernel's keyring does not work here ({0}): start with --keystore file, which does not forget")]
    Unavailable(String),
    /// A deleted key could still be read.
    #[error("the key of a closed talk could not be deleted from {0}: restart this computer, then start Alcove again")]
    NotDeleted(&'static str),
    /// A put key could not be read back.
    #[error("{0} lost a key at once: start with --keystore file, which does not forget")]
    NotKept(&'static str),
    /// The file keystore met its file system.
    #[error("the key file {path} cannot be used ({source}): make the directory writable for you and free some space")]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No such choice.
    #[error("the keystore is one of: auto, kernel, file")]
    Unknown,
}

/// The kinds of keystore, as the vault records them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// [`Keystore::Kernel`].
    Kernel = 1,
    /// [`Keystore::File`].
    File = 2,
    /// [`Keystore::Memory`].
    Memory = 3,
}

impl Kind {
    /// Reads the recorded byte back.
    pub fn from_byte(byte: u8) -> Option<Kind> {
        [Kind::Kernel, Kind::File, Kind::Memory].into_iter().find(|kind| *kind as u8 == byte)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Kernel => "the kernel's keyring",
            Kind::File => "a file",
            Kind::Memory => "a test's memory",
        })
    }
}

/// One profile's keys by generation (1 and up).
#[derive(Clone, Debug)]
pub enum Keystore {
    /// The user keyring `@u` of the Linux kernel: RAM that is never swapped, survives logout, not a reboot.
    Kernel {
        /// Sets this profile's keys apart from those of all others.
        profile: [u8; 16],
    },
    /// One file per generation in the profile's directory.
    File {
        /// The profile's directory.
        directory: PathBuf,
    },
    /// A map that the test holds too.
    Memory(Memory),
}

impl Keystore {
    /// Whether the kernel's keyring keeps and forgets keys here: tried with a real key, since containers and hardened kernels differ.
    ///
    /// # Errors
    /// [`KeystoreError::Unavailable`] with the kernel's reason.
    pub fn kernel(profile: [u8; 16]) -> Result<Keystore, KeystoreError> {
        const PROBE: u64 = 0;
        let keystore = Keystore::Kernel { profile };
        keystore.put(PROBE, &Key([0x5a; 32]))?;
        keystore.delete(PROBE)?;
        Ok(keystore)
    }

    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Keystore::Kernel { .. } => Kind::Kernel,
            Keystore::File { .. } => Kind::File,
            Keystore::Memory(_) => Kind::Memory,
        }
    }

    /// How well it forgets. A test's memory counts as forgetting: the disk never sees it.
    pub fn level(&self) -> Level {
        match self {
            Keystore::Kernel { .. } | Keystore::Memory(_) => Level::Forgets,
            Keystore::File { .. } => Level::DoesNotForget,
        }
    }

    /// Keeps the key of a generation, in place of an earlier one, and reads it back. The file keystore is durable on return.
    ///
    /// # Errors
    /// The keystore is full, unavailable or not writable.
    pub fn put(&self, generation: u64, key: &Key) -> Result<(), KeystoreError> {
        match self {
            Keystore::Kernel { profile } => kernel::put(&kernel::name(profile, generation), key)?,
            Keystore::File { directory } => write_durably(&key_path(directory, generation), &key.0)
                .map_err(|source| KeystoreError::File { path: key_path(directory, generation), source })?,
            Keystore::Memory(memory) => memory.with(|keys| _ = keys.insert(generation, key.clone())),
        }
        if self.read(generation)?.as_ref() == Some(key) { Ok(()) } else { Err(KeystoreError::NotKept(self.label())) }
    }

    /// The key of a generation; `None` only if it is certain that there is none.
    ///
    /// # Errors
    /// The keystore could not be asked.
    pub fn read(&self, generation: u64) -> Result<Option<Key>, KeystoreError> {
        match self {
            Keystore::Kernel { profile } => kernel::read(&kernel::name(profile, generation)),
            Keystore::File { directory } => {
                let path = key_path(directory, generation);
                match fs::read(&path) {
                    Ok(bytes) => match <[u8; 32]>::try_from(bytes.as_slice()) {
                        Ok(bytes) => Ok(Some(Key(bytes))),
                        Err(_) => Err(KeystoreError::File { path, source: io::ErrorKind::InvalidData.into() }),
                    },
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(KeystoreError::File { path, source }),
                }
            }
            Keystore::Memory(memory) => Ok(memory.with(|keys| keys.get(&generation).cloned())),
        }
    }

    /// Destroys the key of a generation, if it is there, and proves it by reading back.
    ///
    /// # Errors
    /// [`KeystoreError::NotDeleted`] if it can still be read.
    pub fn delete(&self, generation: u64) -> Result<(), KeystoreError> {
        match self {
            Keystore::Kernel { profile } => kernel::delete(&kernel::name(profile, generation))?,
            Keystore::File { directory } => {
                let path = key_path(directory, generation);
                match remove_durably(&path) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => return Err(KeystoreError::File { path, source }),
                    Ok(()) => {}
                }
            }
            Keystore::Memory(memory) => memory.with(|keys| _ = keys.remove(&generation)),
        }
        if self.read(generation)?.is_none() { Ok(()) } else { Err(KeystoreError::NotDeleted(self.label())) }
    }

    fn label(&self) -> &'static str {
        match self {
            Keystore::Kernel { .. } => "the kernel's keyring",
            Keystore::File { .. } => "the key file",
            Keystore::Memory(_) => "the test's keystore",
        }
    }
}

/// A keystore in a test's hands: clones share their content.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<BTreeMap<u64, Key>>>);

impl Memory {
    /// A second keystore with the same content: what a thief of the whole machine would hold.
    pub fn copy(&self) -> Memory {
        Memory(Arc::new(Mutex::new(self.with(|keys| keys.clone()))))
    }

    /// Forgets everything: a reboot.
    pub fn reboot(&self) {
        self.with(BTreeMap::clear);
    }

    /// Every key it holds, for an attacker to try.
    pub fn keys(&self) -> Vec<Key> {
        self.with(|keys| keys.values().cloned().collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<u64, Key>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn key_path(directory: &Path, generation: u64) -> PathBuf {
    directory.join(format!("forgetting.{generation}.key"))
}

/// Writes a small secret file (mode 0600) so that after a crash it is there whole or not at all.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    sync_directory(path)
}

fn remove_durably(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync_directory(path)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}
