//! Opening a profile: finds its keystore, finishes what a crash cut short, reads every record, and parts with what cannot be read.
//!
//! Laws: talks are given up only if the keystore says for certain that their key is gone; a damaged record is moved aside as it is.

use super::disk::Disk;
use super::layout::{self, ASIDE, FORMAT, META, Place, RECORDS, SLOTS, meta};
use super::profile::{Profile, open_private};
use super::{
    Choice, Corrupt, Key, Keystore, KeystoreError, Kind, Opened, Record, Rng, Scope, TalkId, Vault, VaultError, fresh_key,
};
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableError};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// Memory for redb's pages. Vaults are a few megabytes.
const CACHE_BYTES: usize = 8 << 20;

/// The store's own facts.
struct Meta {
    profile: [u8; 16],
    keystore: Kind,
    generation: u64,
    durable_check: [u8; 16],
}

pub(super) fn open(directory: &Path, choice: Choice, rng: Rng) -> Result<Opened, VaultError> {
    let profile = Profile::open(directory)?;
    open_locked(profile, choice, rng).map_err(|error| error.within(directory))
}

fn open_locked(profile: Profile, choice: Choice, mut rng: Rng) -> Result<Opened, VaultError> {
    let durable = profile.durable_key(&mut rng)?;
    if profile.has_lost_its_store()? {
        return Err(VaultError::damaged("nothing is in it, though this profile was in use"));
    }
    let bytes_max = Arc::new(AtomicU64::new(u64::MAX));
    let store = open_store(&profile, &bytes_max)?;
    let meta = Meta::read(&store)?;
    if meta.as_ref().is_some_and(|meta| meta.durable_check != durable_check(&durable)) {
        return Err(VaultError::DurableKey { path: profile.durable_key_path() });
    }
    let talks = if meta.is_some() { talks(&store)? } else { Vec::new() };
    let keystore = match &meta {
        // The keys of open talks lie where they lie; with no talk open, the choice is free.
        Some(meta) if !talks.is_empty() => recorded_keystore(&choice, meta, profile.directory())?,
        Some(meta) => chosen_keystore(choice, meta.profile, profile.directory())?,
        None => chosen_keystore(choice, rng.bytes(), profile.directory())?,
    };
    let generation = meta.as_ref().filter(|meta| meta.keystore == keystore.kind()).map(|meta| meta.generation);
    let key_is_there = match generation {
        Some(generation) => keystore.read(generation)?.is_some(),
        None => false,
    };
    let generation = generation.unwrap_or(0);
    let mut vault = Vault { store: None, keystore, generation, durable, rng, bytes_max, stop_after: None, profile };
    let mut lost = Vec::new();
    if key_is_there {
        vault.sweep()?;
    } else {
        vault.begin_anew(&store, meta)?;
        lost = talks;
    }
    vault.profile.remember_store(true)?;
    let Loaded { records, corrupt, unreadable } = load(&store, &vault)?;
    lost.extend(unreadable);
    vault.store = Some(store);
    Ok(Opened { vault, records, corrupt, lost })
}

impl Vault {
    /// Opens the store again after a failure; the recorded generation tells what became of the last transaction.
    pub(super) fn reopen(&mut self) -> Result<Database, VaultError> {
        let meta_of = |store: &Database| Meta::read(store)?.ok_or_else(|| VaultError::damaged("it has lost its own facts"));
        let store = open_store(&self.profile, &self.bytes_max).map_err(|error| error.within(self.profile.directory()))?;
        self.generation = meta_of(&store).map_err(|error| error.within(self.profile.directory()))?.generation;
        self.sweep()?;
        Ok(store)
    }

    /// Deletes the generations beside the recorded one: the one before, if the power went before it was deleted, and the one after, if
    /// it went before anything was wrapped under it.
    fn sweep(&self) -> Result<(), VaultError> {
        self.keystore.delete(self.generation + 1)?;
        if self.generation > 1 {
            self.keystore.delete(self.generation - 1)?;
        }
        Ok(())
    }

    /// Starts with a first forgetting key, and without the talks whose key is gone. The profile's keys get a new name, because the old
    /// one may be in use by the original that this profile was copied from.
    fn begin_anew(&mut self, store: &Database, before: Option<Meta>) -> Result<(), VaultError> {
        let profile = self.rng.bytes();
        if let Keystore::Kernel { profile: name } = &mut self.keystore {
            *name = profile;
        }
        self.generation = unused_generation(&self.keystore)?;
        let key = fresh_key(&mut self.rng);
        self.keystore.put(self.generation, &key)?;
        let meta = Meta {
            profile,
            keystore: self.keystore.kind(),
            generation: self.generation,
            durable_check: durable_check(&self.durable),
        };
        let transaction = store.begin_write()?;
        {
            let (first, last) = layout::talk_places();
            transaction.open_table(SLOTS)?.retain(|_, _| false)?;
            transaction.open_table(RECORDS)?.retain_in::<&Place, _>(&first..=&last, |_, _| false)?;
            transaction.open_table(ASIDE)?.retain_in::<&Place, _>(&first..=&last, |_, _| false)?;
            let mut table = transaction.open_table(META)?;
            table.insert(meta::FORMAT, [FORMAT].as_slice())?;
            table.insert(meta::PROFILE, meta.profile.as_slice())?;
            table.insert(meta::KEYSTORE, [meta.keystore as u8].as_slice())?;
            table.insert(meta::GENERATION, meta.generation.to_le_bytes().as_slice())?;
            table.insert(meta::DURABLE_CHECK, meta.durable_check.as_slice())?;
        }
        transaction.commit()?;
        if let Some(before) = before.filter(|before| before.keystore != meta.keystore) {
            // Nothing is wrapped under the key in the keystore that was left; if it is out of reach, it harms nobody.
            let left = match before.keystore {
                Kind::Kernel => Some(Keystore::Kernel { profile: before.profile }),
                Kind::File => Some(Keystore::File { directory: self.profile.directory().into() }),
                Kind::Memory => None,
            };
            _ = left.map(|keystore| keystore.delete(before.generation));
        }
        Ok(())
    }
}

/// The first generation that no key is in the way of: one that is there opens a store that was set aside, and a copy that is put back.
/// Its neighbours must be free too, since [`Vault::sweep`] takes what lies there for its own leftovers.
fn unused_generation(keystore: &Keystore) -> Result<u64, KeystoreError> {
    let mut generation = 1;
    loop {
        let near = [generation - 1, generation, generation + 1].map(|near| keystore.read(near).map(|key| key.is_some()));
        match near {
            [Ok(false), Ok(false), Ok(false)] => return Ok(generation),
            [Err(error), ..] | [_, Err(error), _] | [.., Err(error)] => return Err(error),
            _ => generation += 3,
        }
    }
}

impl Meta {
    /// `None` for a store that was only just made.
    fn read(store: &Database) -> Result<Option<Meta>, VaultError> {
        let transaction = store.begin_read()?;
        let table = match transaction.open_table(META) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let fact = |name: &str| match table.get(name)? {
            Some(value) => Ok(value.value().to_vec()),
            None => Err(VaultError::damaged(format!("its {name} is missing"))),
        };
        let wrong = |name: &str| VaultError::damaged(format!("its {name} is wrong"));
        match fact(meta::FORMAT)?[..] {
            [FORMAT] => {}
            _ => return Err(VaultError::Newer { path: super::STORE.into() }),
        }
        let keystore = match fact(meta::KEYSTORE)?[..] {
            [byte] => Kind::from_byte(byte),
            _ => None,
        };
        Ok(Some(Meta {
            profile: fact(meta::PROFILE)?.try_into().map_err(|_| wrong(meta::PROFILE))?,
            keystore: keystore.ok_or_else(|| wrong(meta::KEYSTORE))?,
            generation: u64::from_le_bytes(fact(meta::GENERATION)?.try_into().map_err(|_| wrong(meta::GENERATION))?),
            durable_check: fact(meta::DURABLE_CHECK)?.try_into().map_err(|_| wrong(meta::DURABLE_CHECK))?,
        }))
    }
}

fn durable_check(durable: &Key) -> [u8; 16] {
    let mut check = [0; 16];
    check.copy_from_slice(&durable.derive("alcove/1 vault durable check", &[]).0[..16]);
    check
}

/// Every page is checked at each opening, so that a damaged file shows here and not as a wrong answer later.
fn open_store(profile: &Profile, bytes_max: &Arc<AtomicU64>) -> Result<Database, VaultError> {
    let disk = Disk::new(open_private(&profile.store_path())?, bytes_max.clone())?;
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    Ok(builder.create_with_backend(disk)?)
}

fn talks(store: &Database) -> Result<Vec<TalkId>, VaultError> {
    let slots = store.begin_read()?.open_table(SLOTS)?;
    slots.iter()?.map(|slot| Ok(TalkId(*slot?.0.value()))).collect()
}

/// The keystore that holds the keys of the open talks, if the choice allows it.
fn recorded_keystore(choice: &Choice, meta: &Meta, directory: &Path) -> Result<Keystore, VaultError> {
    match (meta.keystore, choice) {
        (Kind::Kernel, Choice::Auto | Choice::Kernel) => Ok(Keystore::kernel(meta.profile)?),
        (Kind::File, Choice::Auto | Choice::File) => Ok(Keystore::File { directory: directory.into() }),
        (Kind::Memory, Choice::Memory(memory)) => Ok(Keystore::Memory(memory.clone())),
        (kind, _) => Err(VaultError::KeystoreElsewhere(kind)),
    }
}

fn chosen_keystore(choice: Choice, profile: [u8; 16], directory: &Path) -> Result<Keystore, KeystoreError> {
    let file = Keystore::File { directory: directory.into() };
    match choice {
        Choice::Auto => Ok(Keystore::kernel(profile).unwrap_or(file)),
        Choice::Kernel => Keystore::kernel(profile),
        Choice::File => Ok(file),
        Choice::Memory(memory) => Ok(Keystore::Memory(memory)),
    }
}

/// What lies in the store.
struct Loaded {
    records: Vec<Record>,
    corrupt: Vec<Corrupt>,
    unreadable: Vec<TalkId>,
}

/// Reads every record; moves aside what does not open.
fn load(store: &Database, vault: &Vault) -> Result<Loaded, VaultError> {
    let mut loaded = Loaded { records: Vec::new(), corrupt: Vec::new(), unreadable: Vec::new() };
    let mut damaged = Vec::new();
    {
        let transaction = store.begin_read()?;
        let keys = unwrap_all(transaction.open_table(SLOTS)?, vault, &mut loaded)?;
        for entry in transaction.open_table(RECORDS)?.iter()? {
            let (place, sealed) = entry?;
            let scope = layout::scope_of(place.value());
            let key = match scope {
                Scope::Durable => Some(&vault.durable),
                Scope::Talk(talk) => keys.get(&talk),
            };
            match key.and_then(|key| layout::open_record(key, place.value(), sealed.value())) {
                Some((name, value)) => loaded.records.push(Record { scope, name, value }),
                None => damaged.push(*place.value()),
            }
        }
    }
    for place in &damaged {
        if !matches!(layout::scope_of(place), Scope::Talk(talk) if loaded.unreadable.contains(&talk)) {
            loaded.corrupt.push(Corrupt { name: layout::describe(place) });
        }
    }
    if !damaged.is_empty() || !loaded.unreadable.is_empty() {
        set_aside(store, &damaged, &loaded.unreadable)?;
    }
    loaded.records.sort_by(|a, b| (a.scope, &a.name).cmp(&(b.scope, &b.name)));
    Ok(loaded)
}

/// The data key of each talk. A talk whose wrapped key does not open is named once, as a whole.
fn unwrap_all(
    slots: redb::ReadOnlyTable<&'static [u8; 16], &'static [u8]>,
    vault: &Vault,
    loaded: &mut Loaded,
) -> Result<BTreeMap<TalkId, Key>, VaultError> {
    let mut keys = BTreeMap::new();
    if slots.is_empty()? {
        return Ok(keys);
    }
    let forgetting = vault.keystore.read(vault.generation)?.ok_or(VaultError::KeyVanished)?;
    for entry in slots.iter()? {
        let (talk, slot) = entry?;
        let talk = TalkId(*talk.value());
        match layout::unwrap(&forgetting, vault.generation, talk, slot.value()) {
            Some(key) => _ = keys.insert(talk, key),
            None => {
                loaded.corrupt.push(Corrupt { name: format!("{talk}/key") });
                loaded.unreadable.push(talk);
            }
        }
    }
    Ok(keys)
}

fn set_aside(store: &Database, damaged: &[Place], unreadable: &[TalkId]) -> Result<(), VaultError> {
    let transaction = store.begin_write()?;
    {
        let mut slots = transaction.open_table(SLOTS)?;
        let mut records = transaction.open_table(RECORDS)?;
        let mut aside = transaction.open_table(ASIDE)?;
        for place in damaged {
            if let Some(sealed) = records.remove(place)? {
                aside.insert(place, sealed.value())?;
            }
        }
        for talk in unreadable {
            if let Some(slot) = slots.remove(&talk.0)? {
                aside.insert(&layout::places(Scope::Talk(*talk)).0, slot.value())?;
            }
        }
    }
    Ok(transaction.commit()?)
}
