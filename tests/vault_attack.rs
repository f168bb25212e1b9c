//! The thief's test: every earlier copy of the profile, its present state and all that the keystore holds now do not open a closed talk.
//!
//! The thief knows the layout. Every window of 32 bytes at every offset of every file of every copy is tried as the forgetting key on each
//! copy's wrapped key of the talk, and as the talk's data key on each of its records. The controls show that the same attack succeeds
//! when the thief also has the keystore from before the close, or when the keystore is a file on the same disk.

use alcove::proto::id::TalkId;
use alcove::proto::io::{Persist, Scope};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::shell::keystore::{Choice, Memory};
use alcove::shell::vault::layout::{self, Place};
use alcove::shell::vault::{Step, Vault, VaultError};
use redb::{Database, ReadableDatabase, ReadableTable};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

const TARGET: TalkId = TalkId([3; 16]);
const SURVIVORS: [TalkId; 4] = [TalkId([1; 16]), TalkId([4; 16]), TalkId([5; 16]), TalkId([6; 16])];
const CLOSED_BEFORE: TalkId = TalkId([2; 16]);

#[test]
fn no_copy_of_the_disk_and_no_key_that_is_left_opens_a_closed_talk() {
    // The thieves of all five runs pool what they have, which only helps them: one search covers every point of the power cut.
    let mut pool = Thief::default();
    for cut in [None].into_iter().chain(Step::ALL.map(Some)) {
        let memory = Memory::default();
        let (thief, erasure) = close_and_steal(&Choice::Memory(memory.clone()), cut);
        println!("cut after {cut:?}: {erasure:?} in the erasing commit, {} candidates", thief.candidates.len());
        pool.join(thief.with_keys(memory.keys()));
    }
    println!("{} candidates in all", pool.candidates.len());
    assert_eq!(pool.recovered(TARGET), None);
    assert_eq!(pool.recovered(CLOSED_BEFORE), None);
    let open = pool.recovered(SURVIVORS[0]);
    assert_eq!(open.as_deref(), Some(secret_of(SURVIVORS[0]).as_bytes()), "the same attack opens a talk that is still open");
}

#[test]
fn control_with_the_keystore_from_before_the_close_the_same_attack_succeeds() {
    let memory = Memory::default();
    let profile = tempfile::tempdir().unwrap();
    let (mut vault, mut thief) = live(profile.path(), &Choice::Memory(memory.clone()));
    let before = memory.copy();
    vault.commit(&[Persist::Forget { talk: TARGET }]).unwrap();
    drop(vault);
    thief.copy(profile.path());
    assert_eq!(thief.with_keys(before.keys()).recovered(TARGET).as_deref(), Some(secret_of(TARGET).as_bytes()));
}

#[test]
fn control_with_the_key_in_a_file_on_the_same_disk_the_same_attack_succeeds() {
    let (thief, _) = close_and_steal(&Choice::File, None);
    assert_eq!(thief.with_keys(Vec::new()).recovered(TARGET).as_deref(), Some(secret_of(TARGET).as_bytes()));
}

fn secret_of(talk: TalkId) -> String {
    format!("what was said in {talk}")
}

/// A profile in use: six talks, one of them closed already, each state copied by the thief.
fn live(profile: &Path, choice: &Choice) -> (Vault, Thief) {
    let mut thief = Thief::default();
    let mut vault = Vault::open(profile, choice.clone(), Rng::new([1; 32])).unwrap().vault;
    for talk in [CLOSED_BEFORE, TARGET].into_iter().chain(SURVIVORS) {
        let (scope, value) = (Scope::Talk(talk), secret_of(talk).into_bytes());
        vault.commit(&[Persist::Put { scope, name: b"notes".to_vec(), value }]).unwrap();
        thief.copy(profile);
    }
    vault.commit(&[Persist::Forget { talk: CLOSED_BEFORE }]).unwrap();
    thief.copy(profile);
    let (scope, value) = (Scope::Talk(TARGET), secret_of(TARGET).into_bytes());
    vault.commit(&[Persist::Put { scope, name: b"more notes".to_vec(), value }]).unwrap();
    thief.copy(profile);
    (vault, thief)
}

/// Closes the target, with the power cut after a step, and starts again; the thief copies the disk all along.
fn close_and_steal(choice: &Choice, cut: Option<Step>) -> (Thief, std::time::Duration) {
    let profile = tempfile::tempdir().unwrap();
    let (mut vault, mut thief) = live(profile.path(), choice);
    if let Some(step) = cut {
        vault.stop_after(step);
    }
    let start = Instant::now();
    let outcome = vault.commit(&[Persist::Forget { talk: TARGET }]);
    let erasure = start.elapsed();
    match cut {
        None => outcome.unwrap(),
        Some(step) => assert!(matches!(outcome, Err(VaultError::Stopped(at)) if at == step)),
    }
    thief.copy(profile.path());
    drop(vault);
    thief.copy(profile.path());
    let mut opened = Vault::open(profile.path(), choice.clone(), Rng::new([2; 32])).unwrap();
    if opened.records.iter().any(|record| record.scope == Scope::Talk(TARGET)) {
        assert_eq!(cut, Some(Step::KeyMade), "only a cut before the transaction leaves the talk open");
        opened.vault.commit(&[Persist::Forget { talk: TARGET }]).unwrap();
    }
    thief.copy(profile.path());
    drop(opened);
    thief.copy(profile.path());
    let reopened = Vault::open(profile.path(), choice.clone(), Rng::new([3; 32])).unwrap();
    let open: BTreeSet<Scope> = reopened.records.iter().map(|record| record.scope).collect();
    assert_eq!(open, SURVIVORS.map(Scope::Talk).into(), "the other talks stay readable");
    thief.copy(profile.path());
    (thief, erasure)
}

/// Everything that was ever copied.
#[derive(Default)]
struct Thief {
    candidates: BTreeSet<[u8; 32]>,
    slots: BTreeSet<(TalkId, u64, Vec<u8>)>,
    records: BTreeMap<TalkId, BTreeSet<(Place, Vec<u8>)>>,
}

impl Thief {
    fn copy(&mut self, profile: &Path) {
        for entry in fs::read_dir(profile).unwrap() {
            self.try_windows(&fs::read(entry.unwrap().path()).unwrap());
        }
        let copy = tempfile::tempdir().unwrap();
        let path = copy.path().join("vault.redb");
        fs::copy(profile.join("vault.redb"), &path).unwrap();
        let store = Database::open(&path).unwrap();
        let transaction = store.begin_read().unwrap();
        let meta = transaction.open_table(layout::META).unwrap();
        let generation = meta.get(layout::meta::GENERATION).unwrap().unwrap();
        let generation = u64::from_le_bytes(generation.value().try_into().unwrap());
        for slot in transaction.open_table(layout::SLOTS).unwrap().iter().unwrap() {
            let (talk, slot) = slot.unwrap();
            self.slots.insert((TalkId(*talk.value()), generation, slot.value().to_vec()));
        }
        for record in transaction.open_table(layout::RECORDS).unwrap().iter().unwrap() {
            let (place, sealed) = record.unwrap();
            if let Scope::Talk(talk) = layout::scope_of(place.value()) {
                self.records.entry(talk).or_default().insert((*place.value(), sealed.value().to_vec()));
            }
        }
    }

    /// Keeps every window of 32 bytes that is not all zeros.
    fn try_windows(&mut self, bytes: &[u8]) {
        let mut zeros = 0;
        for (end, byte) in bytes.iter().enumerate() {
            zeros = if *byte == 0 { zeros + 1 } else { 0 };
            if end >= 31
                && zeros < 32
                && let Some(window) = bytes[..=end].last_chunk::<32>()
            {
                self.candidates.insert(*window);
            }
        }
    }

    fn with_keys(mut self, keys: Vec<Key>) -> Thief {
        self.candidates.extend(keys.iter().map(|key| key.0));
        self
    }

    fn join(&mut self, other: Thief) {
        self.candidates.extend(other.candidates);
        self.slots.extend(other.slots);
        for (talk, records) in other.records {
            self.records.entry(talk).or_default().extend(records);
        }
    }

    /// The first record of the talk that some candidate opens.
    fn recovered(&self, talk: TalkId) -> Option<Vec<u8>> {
        let records = self.records.get(&talk).expect("the thief has copies from when the talk was open");
        let slots: Vec<_> = self.slots.iter().filter(|(owner, ..)| *owner == talk).collect();
        assert!(!slots.is_empty());
        let read = |data_key: &Key| records.iter().find_map(|(place, sealed)| layout::open_record(data_key, place, sealed));
        self.candidates.iter().find_map(|candidate| {
            let candidate = Key(*candidate);
            let unwrapped = slots.iter().find_map(|(_, generation, slot)| layout::unwrap(&candidate, *generation, talk, slot));
            unwrapped.as_ref().and_then(read).or_else(|| read(&candidate)).map(|(_, value)| value)
        })
    }
}
