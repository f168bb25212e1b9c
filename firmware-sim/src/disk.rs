//! A phone's storage as the vault promises it: records by scope, and a keystore whose forgetting key is gone for good once a talk was
//! forgotten.
//!
//! Law: what lies under a forgetting key is there exactly as long as that key. An image of the disk brings its durable records back
//! whenever it is put back, and those of talks only onto a keystore that still has the key of that time.

use alcove::proto::id::TalkId;
use alcove::proto::io::{Persist, Record, Scope};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The forgetting keys of one machine, by number: profiles that were copied on it share it.
#[derive(Clone, Default)]
pub struct Keystore(Rc<RefCell<Keys>>);

#[derive(Default)]
struct Keys {
    made: u64,
    alive: BTreeSet<u64>,
}

/// A copy of the disk as it was, without the keystore.
#[derive(Clone)]
pub struct Image {
    records: BTreeMap<(Scope, Vec<u8>), Vec<u8>>,
    forgotten: BTreeSet<TalkId>,
    generation: u64,
}

/// Durable records of one phone.
pub struct Disk {
    records: BTreeMap<(Scope, Vec<u8>), Vec<u8>>,
    forgotten: BTreeSet<TalkId>,
    generation: u64,
    keystore: Keystore,
    /// How many batches were made durable: where a crash can cut.
    pub writes: u64,
    /// A control: a disk that keeps what it is told to forget.
    pub forgets_nothing: bool,
    /// A control: a keystore that keeps every key.
    pub keeps_keys: bool,
}

impl Default for Disk {
    fn default() -> Disk {
        let keystore = Keystore::default();
        let generation = keystore.make();
        Disk {
            records: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            generation,
            keystore,
            writes: 0,
            forgets_nothing: false,
            keeps_keys: false,
        }
    }
}

impl Image {
    /// The same phone as it was then, keystore included: where many plays begin alike.
    pub fn revived(&self) -> Disk {
        let keys = Keys { made: self.generation, alive: BTreeSet::from([self.generation]) };
        let mut disk = Disk { keystore: Keystore(Rc::new(RefCell::new(keys))), ..Disk::default() };
        disk.put_back(self);
        disk
    }
}

impl Keystore {
    fn make(&self) -> u64 {
        let mut keys = self.0.borrow_mut();
        keys.made += 1;
        let made = keys.made;
        keys.alive.insert(made);
        made
    }

    fn forget(&self, generation: u64) {
        self.0.borrow_mut().alive.remove(&generation);
    }

    fn has(&self, generation: u64) -> bool {
        self.0.borrow().alive.contains(&generation)
    }
}

impl Disk {
    /// Makes a batch durable: all of it or nothing. False if the keystore no longer has the key (a copy of this profile has forgotten a
    /// talk meanwhile): the process ends.
    ///
    /// # Panics
    /// If something is written under a talk that was forgotten: it would come back under a fresh key.
    pub fn commit(&mut self, batch: Vec<Persist>) -> bool {
        if !self.keystore.has(self.generation) {
            return false;
        }
        self.writes += 1;
        for change in batch {
            match change {
                Persist::Put { scope, name, value } => {
                    let revives = matches!(scope, Scope::Talk(talk) if self.forgotten.contains(&talk));
                    assert!(!revives, "{} is written for a forgotten talk", String::from_utf8_lossy(&name));
                    self.records.insert((scope, name), value);
                }
                Persist::Delete { scope, name } => drop(self.records.remove(&(scope, name))),
                Persist::Forget { .. } if self.forgets_nothing => {}
                Persist::Forget { talk } => {
                    self.records.retain(|(scope, _), _| *scope != Scope::Talk(talk));
                    self.forgotten.insert(talk);
                    self.next_generation();
                }
            }
        }
        true
    }

    /// What a restarted node gets. If the keystore has lost the key, the talks are lost.
    pub fn records(&mut self) -> Vec<Record> {
        if !self.keystore.has(self.generation) {
            self.reboot();
        }
        let record = |((scope, name), value): (&(Scope, Vec<u8>), &Vec<u8>)| Record {
            scope: *scope,
            name: name.clone(),
            value: value.clone(),
        };
        self.records.iter().map(record).collect()
    }

    /// The forgetting keystore is emptied, as by a reboot: every talk's records are lost, the durable ones stay.
    pub fn reboot(&mut self) {
        self.records.retain(|(scope, _), _| *scope == Scope::Durable);
        self.next_generation();
    }

    /// A copy of what lies on the disk now.
    pub fn image(&self) -> Image {
        Image { records: self.records.clone(), forgotten: self.forgotten.clone(), generation: self.generation }
    }

    /// An older copy takes the place of what lies on the disk. The keystore stays as it is. Says whether it opens talks there.
    pub fn put_back(&mut self, image: &Image) -> bool {
        (self.records, self.forgotten) = (image.records.clone(), image.forgotten.clone());
        self.generation = image.generation;
        self.holds_talks() && self.keystore.has(self.generation)
    }

    /// This phone gets a copy of another's profile: on the same machine, or on one of its own, where no key of it is.
    /// Says whether it opens talks there.
    pub fn copy_of(&mut self, other: &Disk, same_machine: bool) -> bool {
        let mut image = other.image();
        match same_machine {
            true => self.keystore = other.keystore.clone(),
            false => image.generation = 0,
        }
        self.put_back(&image)
    }

    /// Whether any record of any talk is left.
    pub fn holds_talks(&self) -> bool {
        self.records.keys().any(|(scope, _)| matches!(scope, Scope::Talk(_)))
    }

    /// Whether these bytes stand in any record that can still be read.
    pub fn contains(&self, needle: &[u8]) -> bool {
        let is_readable = |scope: &Scope| *scope == Scope::Durable || self.keystore.has(self.generation);
        let mut readable = self.records.iter().filter(|((scope, _), _)| is_readable(scope));
        readable.any(|(_, value)| value.windows(needle.len()).any(|window| window == needle))
    }

    /// Records whose name starts so.
    pub fn count(&self, prefix: &[u8]) -> usize {
        self.records.keys().filter(|(_, name)| name.starts_with(prefix)).count()
    }

    /// What is left is wrapped under a fresh key, and the old one is destroyed.
    fn next_generation(&mut self) {
        if !self.keeps_keys {
            self.keystore.forget(self.generation);
        }
        self.generation = self.keystore.make();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TALK: TalkId = TalkId([1; 16]);

    fn put(scope: Scope, name: &str) -> Persist {
        Persist::Put { scope, name: name.into(), value: name.into() }
    }

    fn written() -> (Disk, Image) {
        let mut disk = Disk::default();
        disk.commit(vec![put(Scope::Talk(TALK), "secret"), put(Scope::Durable, "stub")]);
        let image = disk.image();
        (disk, image)
    }

    #[test]
    fn an_old_image_brings_a_talk_back_only_while_its_key_lives() {
        let (mut disk, image) = written();
        disk.commit(vec![put(Scope::Talk(TALK), "later")]);
        disk.put_back(&image);
        assert!(disk.contains(b"secret") && !disk.contains(b"later"), "the key is the same");
        disk.commit(vec![Persist::Forget { talk: TALK }]);
        disk.put_back(&image);
        assert!(!disk.contains(b"secret") && disk.records().len() == 1 && disk.contains(b"stub"));
    }

    #[test]
    fn a_copy_on_another_machine_has_the_durable_records_alone_and_one_on_the_same_shares_the_key() {
        let (mut disk, _) = written();
        let (mut near, mut far) = (Disk::default(), Disk::default());
        near.copy_of(&disk, true);
        far.copy_of(&disk, false);
        assert!(near.contains(b"secret") && !far.contains(b"secret") && far.contains(b"stub"));
        disk.commit(vec![Persist::Forget { talk: TALK }]);
        assert!(!near.contains(b"secret"), "the original has forgotten, and so has the copy");
        assert!(!near.commit(vec![put(Scope::Talk(TALK), "more")]), "and it can write no more");
        assert_eq!((near.records().len(), far.records().len()), (1, 1));
    }
}
