//! The blind relay as the core knows it: mailboxes of blobs, cursors, delete keys, expiry. What it sees is kept for checkers.

use alcove::proto::id::WriteName;
use alcove::proto::io::{RelayCommand, RelayEvent};
use alcove::proto::secret::hash16;
use std::collections::{BTreeMap, BTreeSet};

/// One relay and its readers.
#[derive(Default)]
pub struct Relay {
    mailboxes: BTreeMap<WriteName, Vec<Blob>>,
    next_cursor: u64,
    readers: BTreeMap<usize, BTreeSet<WriteName>>,
    /// Every blob ever put, for checkers.
    pub seen: Vec<Vec<u8>>,
}

struct Blob {
    cursor: u64,
    bytes: Vec<u8>,
    delete_hash: [u8; 16],
}

impl Relay {
    /// Blobs held now.
    pub fn held(&self) -> usize {
        self.mailboxes.values().map(Vec::len).sum()
    }

    /// A phone's connection is gone.
    pub fn disconnect(&mut self, phone: usize) {
        self.readers.remove(&phone);
    }

    /// Takes a command; gives what is to be told to which phone.
    pub fn handle(&mut self, phone: usize, command: RelayCommand) -> Vec<(usize, RelayEvent)> {
        match command {
            RelayCommand::Subscribe { read_key, after } => {
                let mailbox = read_key.write_name();
                self.readers.entry(phone).or_default().insert(mailbox);
                let blobs = self.mailboxes.get(&mailbox).into_iter().flatten().filter(|blob| blob.cursor > after);
                let blobs = blobs.map(|blob| (phone, RelayEvent::Blob { mailbox, cursor: blob.cursor, blob: blob.bytes.clone() }));
                blobs.chain([(phone, RelayEvent::CaughtUp { mailbox })]).collect()
            }
            RelayCommand::Unsubscribe { read_key } => {
                self.readers.entry(phone).or_default().remove(&read_key.write_name());
                Vec::new()
            }
            RelayCommand::Put { id, to, blob, delete_hash, .. } => {
                self.next_cursor += 1;
                let cursor = self.next_cursor;
                self.seen.push(blob.clone());
                self.mailboxes.entry(to).or_default().push(Blob { cursor, bytes: blob.clone(), delete_hash });
                let readers = self.readers.iter().filter(|(_, reads)| reads.contains(&to));
                let news = readers.map(|(phone, _)| (*phone, RelayEvent::Blob { mailbox: to, cursor, blob: blob.clone() }));
                news.chain([(phone, RelayEvent::Stored { id })]).collect()
            }
            RelayCommand::Delete { from, delete_key } => {
                let hash = hash16("alcove/1 delete", &[&delete_key]);
                if let Some(blobs) = self.mailboxes.get_mut(&from) {
                    blobs.retain(|blob| blob.delete_hash != hash);
                }
                Vec::new()
            }
        }
    }
}
