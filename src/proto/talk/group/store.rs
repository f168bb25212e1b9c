//! One group's MLS state: a sorted map from OpenMLS's keys to bytes, and which entries have changed since it was last persisted.
//!
//! Laws: what it holds depends on the calls alone (sorted, no clock: see [`timeless`](super::timeless)), so its changes can be
//! persisted as a delta and compared between two runs. What a talk never uses cannot get in: no queued proposals, no update of a leaf
//! by proposal, no signature keys. The join configuration is a constant of the program and not part of the state.

use super::timeless::encode;
use crate::proto::secret::hash16;
use openmls_memory_storage::{MemoryStorage, MemoryStorageError};
use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why the store did not do what OpenMLS asked.
#[derive(Debug, Error)]
pub(super) enum StoreError {
    #[error("the group's state does not read as what it should be")]
    Unreadable(#[from] postcard::Error),
    #[error("the group's configuration could not be kept")]
    Settings(#[from] MemoryStorageError),
    #[error("a talk does not use this part of MLS")]
    Unused,
}

/// What an entry of the map is; the first byte of its key.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Tree = 1,
    InterimTranscriptHash,
    Context,
    ConfirmationTag,
    GroupState,
    MessageSecrets,
    ResumptionPsks,
    OwnLeafIndex,
    EpochSecrets,
    EncryptionKeyPair,
    EpochKeyPairs,
    KeyPackage,
    Psk,
}

impl Kind {
    /// Key packages are the seat's to keep, and the contributions' key is gone with the call that used it.
    fn is_persisted(self) -> bool {
        !matches!(self, Kind::KeyPackage | Kind::Psk)
    }
}

type Map = BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>;

/// The map, its changes, and the configuration beside it.
#[derive(Default)]
pub(super) struct Store {
    state: RefCell<State>,
    /// OpenMLS reads its configuration only from a self-describing format, which our records are not.
    settings: MemoryStorage,
}

/// A copy to return to.
#[derive(Clone, Default)]
pub(super) struct State {
    entries: Map,
    changed: BTreeSet<Vec<u8>>,
}

impl Store {
    /// What has changed since the last call, by name: the new value, or `None` where the entry is gone. A name is the 16-byte hash of
    /// the entry's key; the key itself is in the value.
    pub(super) fn take_changes(&self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let state = &mut *self.state.borrow_mut();
        let changed = std::mem::take(&mut state.changed);
        changed.into_iter().map(|key| (record_name(&key), state.entries.get(&key).map(|value| record(&key, value)))).collect()
    }

    /// The names of all records that hold a part of this state.
    pub(super) fn record_names(&self) -> Vec<Vec<u8>> {
        let state = self.state.borrow();
        let names: BTreeSet<_> = state.entries.keys().chain(&state.changed).map(|key| record_name(key)).collect();
        names.into_iter().collect()
    }

    /// Takes back a record of [`take_changes`](Self::take_changes). `false` if it is not one.
    pub(super) fn restore(&self, name: &[u8], value: &[u8]) -> bool {
        let Ok((key, value)) = postcard::from_bytes::<(Vec<u8>, Vec<u8>)>(value) else {
            return false;
        };
        let is_ours = record_name(&key) == name;
        if is_ours {
            self.state.borrow_mut().entries.insert(key, Zeroizing::new(value));
        }
        is_ours
    }

    /// The id of the group whose state this is, if there is one.
    pub(super) fn group_id<G: DeserializeOwned>(&self) -> Option<G> {
        let state = self.state.borrow();
        let key = state.entries.keys().find(|key| key.first() == Some(&(Kind::GroupState as u8)))?;
        postcard::from_bytes(key.get(1..)?).ok()
    }

    /// Whether the private keys of our path are there: the one part that OpenMLS misses only when the next commit comes.
    pub(super) fn holds_key_pairs(&self) -> bool {
        self.state.borrow().entries.keys().any(|key| key.first() == Some(&(Kind::EpochKeyPairs as u8)))
    }

    /// The state as it is, to return to with [`roll_back`](Self::roll_back).
    pub(super) fn checkpoint(&self) -> State {
        self.state.borrow().clone()
    }

    /// Returns to an earlier state.
    pub(super) fn roll_back(&self, checkpoint: State) {
        *self.state.borrow_mut() = checkpoint;
    }

    /// The same state once more, without the configuration.
    #[cfg(test)]
    pub(super) fn copy(&self) -> Store {
        Store { state: RefCell::new(self.checkpoint()), settings: MemoryStorage::default() }
    }

    /// Takes every key package out: key and bytes, for the seat to keep.
    pub(super) fn take_key_packages(&self) -> Map {
        let state = &mut *self.state.borrow_mut();
        let mut after = state.entries.split_off([Kind::KeyPackage as u8].as_slice());
        let mut later = after.split_off([Kind::KeyPackage as u8 + 1].as_slice());
        state.entries.append(&mut later);
        after
    }

    /// Lends a seat's key package to the group that is being joined.
    pub(super) fn lend_key_package(&self, key: &[u8], bundle: &[u8]) {
        self.state.borrow_mut().entries.insert(key.to_vec(), Zeroizing::new(bundle.to_vec()));
    }

    fn put(&self, kind: Kind, key: &impl Serialize, value: &(impl Serialize + ?Sized)) -> Result<(), StoreError> {
        let (key, value) = (entry_key(kind, key)?, Zeroizing::new(encode(value)?));
        let state = &mut *self.state.borrow_mut();
        if state.entries.get(&key) != Some(&value) {
            state.entries.insert(key.clone(), value);
            state.changed.extend(kind.is_persisted().then_some(key));
        }
        Ok(())
    }

    fn read<T: DeserializeOwned>(&self, kind: Kind, key: &impl Serialize) -> Result<Option<T>, StoreError> {
        let key = entry_key(kind, key)?;
        let state = self.state.borrow();
        Ok(state.entries.get(&key).map(|value| postcard::from_bytes(value)).transpose()?)
    }

    fn remove(&self, kind: Kind, key: &impl Serialize) -> Result<(), StoreError> {
        let key = entry_key(kind, key)?;
        let state = &mut *self.state.borrow_mut();
        if state.entries.remove(&key).is_some() {
            state.changed.extend(kind.is_persisted().then_some(key));
        }
        Ok(())
    }
}

fn entry_key(kind: Kind, key: &impl Serialize) -> Result<Vec<u8>, postcard::Error> {
    postcard::to_extend(key, vec![kind as u8])
}

fn record_name(key: &[u8]) -> Vec<u8> {
    hash16("alcove/1 group record", &[key]).to_vec()
}

fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    postcard::to_allocvec(&(key, value)).expect("two byte strings always have a postcard form")
}

impl StorageProvider<V> for Store {
    type Error = StoreError;

    // -- the group's state --

    fn write_tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(&self, group: &G, tree: &T) -> Result<(), StoreError> {
        self.put(Kind::Tree, group, tree)
    }
    fn tree<G: traits::GroupId<V>, T: traits::TreeSync<V>>(&self, group: &G) -> Result<Option<T>, StoreError> {
        self.read(Kind::Tree, group)
    }
    fn delete_tree<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::Tree, group)
    }

    fn write_interim_transcript_hash<G: traits::GroupId<V>, H: traits::InterimTranscriptHash<V>>(
        &self,
        group: &G,
        hash: &H,
    ) -> Result<(), StoreError> {
        self.put(Kind::InterimTranscriptHash, group, hash)
    }
    fn interim_transcript_hash<G: traits::GroupId<V>, H: traits::InterimTranscriptHash<V>>(
        &self,
        group: &G,
    ) -> Result<Option<H>, StoreError> {
        self.read(Kind::InterimTranscriptHash, group)
    }
    fn delete_interim_transcript_hash<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::InterimTranscriptHash, group)
    }

    fn write_context<G: traits::GroupId<V>, C: traits::GroupContext<V>>(&self, group: &G, context: &C) -> Result<(), StoreError> {
        self.put(Kind::Context, group, context)
    }
    fn group_context<G: traits::GroupId<V>, C: traits::GroupContext<V>>(&self, group: &G) -> Result<Option<C>, StoreError> {
        self.read(Kind::Context, group)
    }
    fn delete_context<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::Context, group)
    }

    fn write_confirmation_tag<G: traits::GroupId<V>, T: traits::ConfirmationTag<V>>(
        &self,
        group: &G,
        tag: &T,
    ) -> Result<(), StoreError> {
        self.put(Kind::ConfirmationTag, group, tag)
    }
    fn confirmation_tag<G: traits::GroupId<V>, T: traits::ConfirmationTag<V>>(&self, group: &G) -> Result<Option<T>, StoreError> {
        self.read(Kind::ConfirmationTag, group)
    }
    fn delete_confirmation_tag<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::ConfirmationTag, group)
    }

    fn write_group_state<S: traits::GroupState<V>, G: traits::GroupId<V>>(&self, group: &G, state: &S) -> Result<(), StoreError> {
        self.put(Kind::GroupState, group, state)
    }
    fn group_state<S: traits::GroupState<V>, G: traits::GroupId<V>>(&self, group: &G) -> Result<Option<S>, StoreError> {
        self.read(Kind::GroupState, group)
    }
    fn delete_group_state<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::GroupState, group)
    }

    fn write_message_secrets<G: traits::GroupId<V>, S: traits::MessageSecrets<V>>(
        &self,
        group: &G,
        secrets: &S,
    ) -> Result<(), StoreError> {
        self.put(Kind::MessageSecrets, group, secrets)
    }
    fn message_secrets<G: traits::GroupId<V>, S: traits::MessageSecrets<V>>(&self, group: &G) -> Result<Option<S>, StoreError> {
        self.read(Kind::MessageSecrets, group)
    }
    fn delete_message_secrets<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::MessageSecrets, group)
    }

    fn write_resumption_psk_store<G: traits::GroupId<V>, S: traits::ResumptionPskStore<V>>(
        &self,
        group: &G,
        psks: &S,
    ) -> Result<(), StoreError> {
        self.put(Kind::ResumptionPsks, group, psks)
    }
    fn resumption_psk_store<G: traits::GroupId<V>, S: traits::ResumptionPskStore<V>>(
        &self,
        group: &G,
    ) -> Result<Option<S>, StoreError> {
        self.read(Kind::ResumptionPsks, group)
    }
    fn delete_all_resumption_psk_secrets<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::ResumptionPsks, group)
    }

    fn write_own_leaf_index<G: traits::GroupId<V>, I: traits::LeafNodeIndex<V>>(
        &self,
        group: &G,
        index: &I,
    ) -> Result<(), StoreError> {
        self.put(Kind::OwnLeafIndex, group, index)
    }
    fn own_leaf_index<G: traits::GroupId<V>, I: traits::LeafNodeIndex<V>>(&self, group: &G) -> Result<Option<I>, StoreError> {
        self.read(Kind::OwnLeafIndex, group)
    }
    fn delete_own_leaf_index<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::OwnLeafIndex, group)
    }

    fn write_group_epoch_secrets<G: traits::GroupId<V>, S: traits::GroupEpochSecrets<V>>(
        &self,
        group: &G,
        secrets: &S,
    ) -> Result<(), StoreError> {
        self.put(Kind::EpochSecrets, group, secrets)
    }
    fn group_epoch_secrets<G: traits::GroupId<V>, S: traits::GroupEpochSecrets<V>>(
        &self,
        group: &G,
    ) -> Result<Option<S>, StoreError> {
        self.read(Kind::EpochSecrets, group)
    }
    fn delete_group_epoch_secrets<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        self.remove(Kind::EpochSecrets, group)
    }

    // -- keys --

    fn write_encryption_key_pair<K: traits::EncryptionKey<V>, P: traits::HpkeKeyPair<V>>(
        &self,
        key: &K,
        pair: &P,
    ) -> Result<(), StoreError> {
        self.put(Kind::EncryptionKeyPair, key, pair)
    }
    fn encryption_key_pair<P: traits::HpkeKeyPair<V>, K: traits::EncryptionKey<V>>(
        &self,
        key: &K,
    ) -> Result<Option<P>, StoreError> {
        self.read(Kind::EncryptionKeyPair, key)
    }
    fn delete_encryption_key_pair<K: traits::EncryptionKey<V>>(&self, key: &K) -> Result<(), StoreError> {
        self.remove(Kind::EncryptionKeyPair, key)
    }

    fn write_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, P: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
        pairs: &[P],
    ) -> Result<(), StoreError> {
        self.put(Kind::EpochKeyPairs, &(group, epoch, leaf), pairs)
    }
    fn encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>, P: traits::HpkeKeyPair<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<Vec<P>, StoreError> {
        Ok(self.read(Kind::EpochKeyPairs, &(group, epoch, leaf))?.unwrap_or_default())
    }
    fn delete_encryption_epoch_key_pairs<G: traits::GroupId<V>, E: traits::EpochKey<V>>(
        &self,
        group: &G,
        epoch: &E,
        leaf: u32,
    ) -> Result<(), StoreError> {
        self.remove(Kind::EpochKeyPairs, &(group, epoch, leaf))
    }

    fn write_key_package<R: traits::HashReference<V>, P: traits::KeyPackage<V>>(
        &self,
        reference: &R,
        package: &P,
    ) -> Result<(), StoreError> {
        self.put(Kind::KeyPackage, reference, package)
    }
    fn key_package<R: traits::HashReference<V>, P: traits::KeyPackage<V>>(&self, reference: &R) -> Result<Option<P>, StoreError> {
        self.read(Kind::KeyPackage, reference)
    }
    fn delete_key_package<R: traits::HashReference<V>>(&self, reference: &R) -> Result<(), StoreError> {
        self.remove(Kind::KeyPackage, reference)
    }

    fn write_psk<I: traits::PskId<V>, B: traits::PskBundle<V>>(&self, id: &I, psk: &B) -> Result<(), StoreError> {
        self.put(Kind::Psk, id, psk)
    }
    fn psk<B: traits::PskBundle<V>, I: traits::PskId<V>>(&self, id: &I) -> Result<Option<B>, StoreError> {
        self.read(Kind::Psk, id)
    }
    fn delete_psk<I: traits::PskId<V>>(&self, id: &I) -> Result<(), StoreError> {
        self.remove(Kind::Psk, id)
    }

    // -- the configuration --

    fn write_mls_join_config<G: traits::GroupId<V>, C: traits::MlsGroupJoinConfig<V>>(
        &self,
        group: &G,
        config: &C,
    ) -> Result<(), StoreError> {
        Ok(self.settings.write_mls_join_config(group, config)?)
    }
    fn mls_group_join_config<G: traits::GroupId<V>, C: traits::MlsGroupJoinConfig<V>>(
        &self,
        group: &G,
    ) -> Result<Option<C>, StoreError> {
        Ok(self.settings.mls_group_join_config(group)?)
    }
    fn delete_group_config<G: traits::GroupId<V>>(&self, group: &G) -> Result<(), StoreError> {
        Ok(self.settings.delete_group_config(group)?)
    }

    // -- what a talk does not use --

    fn append_own_leaf_node<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, _: &G, _: &L) -> Result<(), StoreError> {
        Err(StoreError::Unused)
    }
    fn own_leaf_nodes<G: traits::GroupId<V>, L: traits::LeafNode<V>>(&self, _: &G) -> Result<Vec<L>, StoreError> {
        Ok(Vec::new())
    }
    fn delete_own_leaf_nodes<G: traits::GroupId<V>>(&self, _: &G) -> Result<(), StoreError> {
        Ok(())
    }

    fn queue_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        _: &G,
        _: &R,
        _: &P,
    ) -> Result<(), StoreError> {
        Err(StoreError::Unused)
    }
    fn queued_proposal_refs<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, _: &G) -> Result<Vec<R>, StoreError> {
        Ok(Vec::new())
    }
    fn queued_proposals<G: traits::GroupId<V>, R: traits::ProposalRef<V>, P: traits::QueuedProposal<V>>(
        &self,
        _: &G,
    ) -> Result<Vec<(R, P)>, StoreError> {
        Ok(Vec::new())
    }
    fn remove_proposal<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, _: &G, _: &R) -> Result<(), StoreError> {
        Ok(())
    }
    fn clear_proposal_queue<G: traits::GroupId<V>, R: traits::ProposalRef<V>>(&self, _: &G) -> Result<(), StoreError> {
        Ok(())
    }

    fn write_signature_key_pair<K: traits::SignaturePublicKey<V>, P: traits::SignatureKeyPair<V>>(
        &self,
        _: &K,
        _: &P,
    ) -> Result<(), StoreError> {
        Err(StoreError::Unused)
    }
    fn signature_key_pair<K: traits::SignaturePublicKey<V>, P: traits::SignatureKeyPair<V>>(
        &self,
        _: &K,
    ) -> Result<Option<P>, StoreError> {
        Ok(None)
    }
    fn delete_signature_key_pair<K: traits::SignaturePublicKey<V>>(&self, _: &K) -> Result<(), StoreError> {
        Ok(())
    }
}
