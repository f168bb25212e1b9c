//! One batch as one transaction: seals what is put, drops what is forgotten, and moves the survivors to a new forgetting key.

use super::layout::{self, ASIDE, META, Place, RECORDS, SLOTS, meta};
use super::{Key, Persist, Scope, Step, TalkId, Vault, VaultError, fresh_key};
use redb::{Database, ReadableTable, Table};
use std::collections::BTreeMap;

/// The wrapped data keys.
type Slots<'t> = Table<'t, &'static [u8; 16], &'static [u8]>;

/// The keys that one batch has used so far; gone when it ends.
#[derive(Default)]
struct Keys {
    forgetting: Option<Key>,
    talks: BTreeMap<TalkId, Key>,
}

impl Vault {
    /// Writes the batch durably. If a talk was forgotten, the survivors are under the next generation, and the one to be deleted is
    /// returned.
    pub(super) fn write(&mut self, store: &Database, batch: &[Persist]) -> Result<Option<u64>, VaultError> {
        let transaction = store.begin_write()?;
        let mut keys = Keys::default();
        let mut forgot = false;
        {
            let mut slots = transaction.open_table(SLOTS)?;
            let mut records = transaction.open_table(RECORDS)?;
            let mut aside = transaction.open_table(ASIDE)?;
            for change in batch {
                match change {
                    Persist::Put { scope, name, value } => {
                        let key = match self.data_key(&slots, &mut keys, *scope)? {
                            Some(key) => key,
                            None => self.new_data_key(&mut slots, &mut keys, *scope)?,
                        };
                        let place = layout::place(&key, *scope, name);
                        let sealed = layout::seal_record(&mut self.rng, &key, &place, name, value);
                        records.insert(&place, sealed.as_slice())?;
                    }
                    Persist::Delete { scope, name } => {
                        if let Some(key) = self.data_key(&slots, &mut keys, *scope)? {
                            records.remove(&layout::place(&key, *scope, name))?;
                        }
                    }
                    Persist::Forget { talk } => {
                        let (first, last) = layout::places(Scope::Talk(*talk));
                        keys.talks.remove(talk);
                        forgot |= slots.remove(&talk.0)?.is_some();
                        records.retain_in::<&Place, _>(&first..=&last, |_, _| false)?;
                        // A wrapped key that was set aside is a key all the same to whoever has an earlier, undamaged copy of it.
                        forgot |= aside.range::<&Place>(&first..=&last)?.next().is_some();
                        aside.retain_in::<&Place, _>(&first..=&last, |_, _| false)?;
                    }
                }
            }
            if forgot {
                self.rewrap(&mut slots, &mut keys)?;
                transaction.open_table(META)?.insert(meta::GENERATION, (self.generation + 1).to_le_bytes().as_slice())?;
            }
        }
        transaction.commit()?;
        if !forgot {
            return Ok(None);
        }
        let retired = self.generation;
        self.generation += 1;
        self.stop(Step::Committed)?;
        Ok(Some(retired))
    }

    /// Wraps every remaining data key under a new forgetting key, which is in the keystore before anything depends on it.
    fn rewrap(&mut self, slots: &mut Slots<'_>, keys: &mut Keys) -> Result<(), VaultError> {
        let next = fresh_key(&mut self.rng);
        self.keystore.put(self.generation + 1, &next)?;
        self.stop(Step::KeyMade)?;
        let survivors = slots.iter()?.map(|slot| Ok(TalkId(*slot?.0.value()))).collect::<Result<Vec<_>, VaultError>>()?;
        for talk in survivors {
            let Some(data_key) = self.data_key(slots, keys, Scope::Talk(talk))? else { continue };
            let slot = layout::wrap(&mut self.rng, &next, self.generation + 1, talk, &data_key);
            slots.insert(&talk.0, slot.as_slice())?;
        }
        Ok(())
    }

    /// The data key of a scope, if it has one.
    fn data_key(&self, slots: &Slots<'_>, keys: &mut Keys, scope: Scope) -> Result<Option<Key>, VaultError> {
        let Scope::Talk(talk) = scope else { return Ok(Some(self.durable.clone())) };
        if let Some(key) = keys.talks.get(&talk) {
            return Ok(Some(key.clone()));
        }
        let Some(slot) = slots.get(&talk.0)? else { return Ok(None) };
        let forgetting = self.forgetting_key(keys)?;
        let Some(key) = layout::unwrap(forgetting, self.generation, talk, slot.value()) else {
            return Err(VaultError::damaged(format!("the key of talk {talk} does not open")));
        };
        keys.talks.insert(talk, key.clone());
        Ok(Some(key))
    }

    fn new_data_key(&mut self, slots: &mut Slots<'_>, keys: &mut Keys, scope: Scope) -> Result<Key, VaultError> {
        let Scope::Talk(talk) = scope else { return Ok(self.durable.clone()) };
        let key = fresh_key(&mut self.rng);
        let forgetting = self.forgetting_key(keys)?;
        let slot = layout::wrap(&mut self.rng, forgetting, self.generation, talk, &key);
        slots.insert(&talk.0, slot.as_slice())?;
        keys.talks.insert(talk, key.clone());
        Ok(key)
    }

    /// The forgetting key, fetched from the keystore once per batch.
    fn forgetting_key<'k>(&self, keys: &'k mut Keys) -> Result<&'k Key, VaultError> {
        if keys.forgetting.is_none() {
            keys.forgetting = self.keystore.read(self.generation)?;
        }
        keys.forgetting.as_ref().ok_or(VaultError::KeyVanished)
    }
}
