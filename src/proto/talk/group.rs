//! The group: one talk's shared keys by MLS (RFC 9420), through OpenMLS. This file and the folder beside it alone name OpenMLS.
//!
//! Laws:
//! - Time and chance are arguments: what leaves is a function of the seed and the calls, whatever the clock and the process.
//! - The first epoch with content is a function of everybody's contribution (an external PSK), and nobody can found alone.
//! - A commit adds and removes seats, inline, and does nothing else; whoever opens one decides before anything happens.
//! - Opening a commit spends nothing: it can be opened again until one is merged. A message opens once.
//! - Foreign bytes give a [`GroupError`], never a panic.
//!
//! It does not know who the chair is, who may be removed, or what a message means; it does not pad, send or persist.

mod provider;
mod seat;
mod store;
mod timeless;

#[cfg(test)]
mod tests;

pub use seat::{KEY_PACKAGE_BYTES_MAX, KEY_PACKAGES_MAX, SeatKeys, check_key_package, verify};

use crate::proto::config::{PARCEL_LARGE_BYTES, PARCEL_PARTS_MAX};
use crate::proto::error::Corrupt;
use crate::proto::id::SeatId;
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    ContentType, Credential, CredentialType, GroupId, JoinBuilder, LeafNodeIndex, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn,
    MlsMessageIn, MlsMessageOut, PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, PreSharedKeyProposal, ProcessMessageError,
    ProcessedMessageContent, ProcessedWelcome, Proposal, ProtocolMessage, Sender, SenderRatchetConfiguration, StagedCommit,
    ValidationError, WelcomeError,
};
use openmls::schedule::{ExternalPsk, PreSharedKeyId, Psk};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::StorageProvider;
use provider::{Crypto, Provider, SUITE};
use seat::{OTHER_FORM, Signing, capabilities, checked, lifetime, member_at, member_by};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use store::{Store, StoreError};
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest message, commit or welcome: what fits into the parts of one split parcel.
pub const GROUP_MESSAGE_BYTES_MAX: usize = PARCEL_LARGE_BYTES * PARCEL_PARTS_MAX as usize;
/// Epochs back that messages still open. A phone that slept through as many admissions still reads what was said meanwhile.
pub const PAST_EPOCHS_MAX: usize = 8;
/// Messages of one sender in one epoch that may arrive late, after a newer one: the largest burst between two contacts.
pub const OUT_OF_ORDER_MAX: u32 = 256;
/// Messages of one sender in one epoch that may be lost in a row. Each costs a key derivation, so this bounds a hostile jump.
pub const LOST_MAX: u32 = 10_000;

/// Somebody with a seat in the group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The name in this talk.
    pub seat: SeatId,
    /// The Ed25519 key that verifies what the seat signs.
    pub key: [u8; 32],
}

impl Member {
    fn read(credential: &Credential, key: &[u8]) -> Option<Member> {
        let is_basic = credential.credential_type() == CredentialType::Basic;
        let seat = SeatId(is_basic.then(|| credential.serialized_content().try_into().ok()).flatten()?);
        Some(Member { seat, key: key.try_into().ok()? })
    }
}

/// Why the group did not do it. Most are a peer's fault; the caller says which are and which only mean "wait".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum GroupError {
    /// Bytes that do not parse, or too many of them.
    #[error("these bytes are no group message")]
    Malformed,
    /// For another group, or not for us.
    #[error("this message belongs to another group")]
    Foreign,
    /// A signature, tag, seal or pre-shared key that does not hold.
    #[error("this group message is forged")]
    Forged,
    /// From an epoch that we have not reached: keep the bytes and ask for the commits between.
    #[error("this group message is from epoch {epoch}, which lies ahead: wait for the commits before it")]
    Later {
        /// Which.
        epoch: u64,
    },
    /// A commit that came too late, or a message from before our window or our time.
    #[error("this group message is too old to be opened")]
    TooOld,
    /// Opened before, or our own.
    #[error("this group message was opened before")]
    Replayed,
    /// Valid MLS, but not what a talk does; says what.
    #[error("a talk does not allow {0}")]
    Refused(&'static str),
    /// No such seat in the group.
    #[error("this seat is not in the group")]
    UnknownSeat,
    /// We have been removed.
    #[error("this seat was removed from the group")]
    Removed,
    /// Our own state failed us.
    #[error("the group's own state is damaged: leave and ask the chair for a fresh seat")]
    Broken,
}

/// One talk's group, in one term, as one seat sees it.
pub struct Group {
    mls: MlsGroup,
    store: Store,
    signing: Signing,
    me: Member,
}

/// What a message turned out to be.
pub enum Opened {
    /// Something that a member said.
    Message {
        /// Who.
        from: SeatId,
        /// In which epoch.
        epoch: u64,
        /// What.
        plaintext: Vec<u8>,
    },
    /// A commit, for the caller to judge and [`Group::merge`] or drop.
    Commit(Box<Staged>),
}

/// A commit that holds, and what it would do.
pub struct Staged {
    commit: StagedCommit,
    /// Who made it.
    pub committer: SeatId,
    /// Who would sit down.
    pub added: Vec<Member>,
    /// Who would have to get up.
    pub removed: Vec<SeatId>,
}

/// A commit that this seat made and merged.
pub struct Committed {
    /// For those who were members before.
    pub commit: Vec<u8>,
    /// For those who were added, one for all of them.
    pub welcome: Option<Vec<u8>>,
}

impl Group {
    /// Founds the group: one commit adds everybody together with the pre-shared key of all contributions, and epoch 1 begins. That
    /// commit itself goes nowhere, for nobody else was in epoch 0; the welcome goes to all.
    ///
    /// # Errors
    /// As [`check_key_package`] for a key package that does not hold; [`GroupError::Refused`] for a seat or key that comes twice.
    pub fn found(
        rng: &mut Rng,
        seat: &SeatKeys,
        group_id: [u8; 16],
        key_packages: &[Vec<u8>],
        psk: &Key,
        psk_id: &[u8],
    ) -> Result<(Group, Vec<u8>), GroupError> {
        let newcomers = key_packages.iter().map(|bytes| checked(bytes)).collect::<Result<Vec<_>, _>>()?;
        let everybody = newcomers.iter().map(|(member, _)| *member).chain([seat.member()]);
        distinct(everybody).ok_or(GroupError::Refused("two seats of one name or key"))?;

        let store = Store::default();
        let provider = Provider::drawing(&store, rng);
        let signing = seat.signing();
        let mut mls = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(&group_id))
            .ciphersuite(SUITE)
            .with_capabilities(capabilities())
            .lifetime(lifetime())
            .with_wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
            .padding_size(0)
            .max_past_epochs(PAST_EPOCHS_MAX)
            .number_of_resumption_psks(0)
            .use_ratchet_tree_extension(true)
            .sender_ratchet_configuration(ratchets())
            .build(&provider, &signing, seat.credential())
            .map_err(|_| GroupError::Broken)?;
        let contributions = PreSharedKeyId::new(SUITE, provider.rand(), external(psk_id)).map_err(|_| GroupError::Broken)?;
        contributions.store(&provider, &psk.0).map_err(|_| GroupError::Broken)?;

        let bundle = mls
            .commit_builder()
            .propose_adds(newcomers.into_iter().map(|(_, package)| package))
            .add_proposal(Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(contributions))))
            .load_psks(&store)
            .and_then(|builder| builder.build(provider.rand(), provider.crypto(), &signing, |_| true))
            .map_err(|_| GroupError::Refused("these key packages together"))?
            .stage_commit(&provider)
            .map_err(|_| GroupError::Broken)?;
        let welcome = bundle.to_welcome_msg().ok_or(GroupError::Refused("a founding without others"))?;
        mls.merge_pending_commit(&provider).map_err(|_| GroupError::Broken)?;
        store.delete_psk(&external(psk_id)).map_err(|_| GroupError::Broken)?;
        drop(provider);
        Ok((Group { mls, store, signing, me: seat.member() }, wire(&welcome)?))
    }

    /// Joins by a welcome, and names the seat that signed it: the caller holds that, the roster and the group's id against what was
    /// agreed. With `psk` (its key and its id) only a founding over exactly that key is joined, without it only a later admission.
    /// If it works, the private half of the key package that was used is gone from the seat; if not, nothing has changed.
    ///
    /// # Errors
    /// [`GroupError::Foreign`] if no unspent key package of ours is named, [`GroupError::Forged`] if the welcome or the pre-shared
    /// key does not hold, [`GroupError::Refused`] if the group is not of a talk's form.
    pub fn join(seat: &mut SeatKeys, welcome: &[u8], psk: Option<(&Key, &[u8])>) -> Result<(Group, SeatId), GroupError> {
        let MlsMessageBodyIn::Welcome(welcome) = parse(welcome)? else {
            return Err(GroupError::Malformed);
        };
        let store = Store::default();
        seat.packages.iter().for_each(|(key, bundle)| store.lend_key_package(key, bundle));
        let provider = Provider::fixed(&store);
        if let Some((key, id)) = psk {
            PreSharedKeyId::external(id.to_vec(), Vec::new()).store(&provider, &key.0).map_err(|_| GroupError::Broken)?;
        }

        let processed = ProcessedWelcome::new_from_welcome(&provider, &join_config(), welcome).map_err(not_joined)?;
        let wanted: Vec<_> = psk.iter().map(|(_, id)| external(id)).collect();
        if !processed.psks().iter().map(PreSharedKeyId::psk).eq(&wanted) {
            return Err(GroupError::Refused("a welcome over other pre-shared keys"));
        }
        let staged = JoinBuilder::new(&provider, processed).skip_lifetime_validation().build().map_err(not_joined)?;
        let welcomer = staged.welcome_sender().ok().and_then(member_at).ok_or(GroupError::Refused("a leaf of another form"))?;
        let mls = staged.into_group(&provider).map_err(not_joined)?;
        wanted.iter().try_for_each(|id| store.delete_psk(id)).map_err(|_| GroupError::Broken)?;
        drop(provider);

        let unspent = store.take_key_packages();
        let group = Group { mls, store, signing: seat.signing(), me: seat.member() };
        group.check_form()?;
        seat.packages.retain(|(key, _)| unspent.contains_key(key));
        Ok((group, welcomer.seat))
    }

    /// Commits, as the chair: adds these key packages and removes this seat, in one step, and merges at once. A seat that is removed
    /// may be among those added: that is how a phone that lost its state comes back. One removal at most, because OpenMLS puts
    /// several in the order of a random hash. The new epoch's keys come from fresh randomness (the commit always has a path).
    ///
    /// # Errors
    /// As [`check_key_package`]; [`GroupError::UnknownSeat`]; [`GroupError::Refused`] for a seat or key that comes twice, for
    /// removing oneself, and for doing nothing. After an error nothing has changed.
    pub fn admit_and_remove(&mut self, rng: &mut Rng, add: &[Vec<u8>], remove: Option<SeatId>) -> Result<Committed, GroupError> {
        let newcomers = add.iter().map(|bytes| checked(bytes)).collect::<Result<Vec<_>, _>>()?;
        if newcomers.is_empty() && remove.is_none() {
            return Err(GroupError::Refused("a commit that changes nothing"));
        }
        if remove == Some(self.me.seat) {
            return Err(GroupError::Refused("removing oneself: send a proposal to leave"));
        }
        let leaving = remove.map(|seat| self.leaf_of(seat).ok_or(GroupError::UnknownSeat)).transpose()?;
        let staying = self.roster().into_iter().filter(|member| Some(member.seat) != remove);
        distinct(staying.chain(newcomers.iter().map(|(member, _)| *member)))
            .ok_or(GroupError::Refused("two seats of one name or key"))?;

        let provider = Provider::drawing(&self.store, rng);
        let bundle = self
            .mls
            .commit_builder()
            .force_self_update(true)
            .propose_adds(newcomers.into_iter().map(|(_, package)| package))
            .propose_removals(leaving)
            .load_psks(&self.store)
            .and_then(|builder| builder.build(provider.rand(), provider.crypto(), &self.signing, |_| true))
            .map_err(|_| GroupError::Refused("this change of the roster"))?
            .stage_commit(&provider)
            .map_err(|_| GroupError::Broken)?;
        self.mls.merge_pending_commit(&provider).map_err(|_| GroupError::Broken)?;
        let welcome = bundle.to_welcome_msg().map(|welcome| wire(&welcome)).transpose()?;
        Ok(Committed { commit: wire(bundle.commit())?, welcome })
    }

    /// Seals a message to the members of this epoch (an MLS PrivateMessage, some 145 bytes longer than the plaintext). Persist
    /// [`take_changes`](Self::take_changes) before it leaves: a restart must never seal under the same key again.
    ///
    /// # Errors
    /// [`GroupError::Removed`] once we are no member.
    pub fn seal(&mut self, rng: &mut Rng, plaintext: &[u8]) -> Result<Vec<u8>, GroupError> {
        if !self.is_member() {
            return Err(GroupError::Removed);
        }
        let provider = Provider::drawing(&self.store, rng);
        wire(&self.mls.create_message(&provider, &self.signing, plaintext).map_err(|_| GroupError::Broken)?)
    }

    /// Opens what a member sent. A message opens once, in any order within its epoch and in up to [`PAST_EPOCHS_MAX`] epochs since;
    /// a commit opens in the epoch it ends, and again until one is merged.
    ///
    /// # Errors
    /// Any but [`GroupError::UnknownSeat`]; after an error nothing has changed.
    pub fn open(&mut self, bytes: &[u8]) -> Result<Opened, GroupError> {
        let MlsMessageBodyIn::PrivateMessage(message) = parse(bytes)? else {
            return Err(GroupError::Refused("a message that is not sealed"));
        };
        let message = ProtocolMessage::from(message);
        if message.group_id() != self.mls.group_id() {
            return Err(GroupError::Foreign);
        }
        if !self.is_member() {
            return Err(GroupError::Removed);
        }
        let (epoch, now) = (message.epoch().as_u64(), self.epoch());
        match message.content_type() {
            _ if epoch > now => Err(GroupError::Later { epoch }),
            ContentType::Application => self.open_message(message),
            ContentType::Commit if epoch < now => Err(GroupError::TooOld),
            ContentType::Commit => self.open_commit(message),
            ContentType::Proposal => Err(GroupError::Refused("a proposal outside a commit")),
        }
    }

    /// Does what the commit says. Whoever is removed by it can open nothing from here on.
    ///
    /// # Errors
    /// [`GroupError::TooOld`] if another commit has been merged since it was opened, [`GroupError::Foreign`] if it was opened by
    /// another group; then nothing has changed.
    pub fn merge(&mut self, staged: Staged) -> Result<(), GroupError> {
        if staged.commit.group_context().group_id() != self.mls.group_id() {
            return Err(GroupError::Foreign);
        }
        if staged.commit.epoch().as_u64() != self.epoch() + 1 {
            return Err(GroupError::TooOld);
        }
        self.mls.merge_staged_commit(&Provider::fixed(&self.store), staged.commit).map_err(|_| GroupError::Broken)
    }

    /// A key that exactly the members of this epoch can derive (RFC 9420 section 8.5), another one for each label, context and epoch.
    ///
    /// # Errors
    /// [`GroupError::Removed`] once we are no member.
    pub fn export(&self, label: &str, context: &[u8]) -> Result<Key, GroupError> {
        let secret = self.mls.export_secret(&Crypto::fixed(), label, context, 32).map_err(|_| GroupError::Removed)?;
        Ok(Key(Zeroizing::new(secret).as_slice().try_into().map_err(|_| GroupError::Broken)?))
    }

    /// The number of commits since the group was made; 1 after the founding.
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// The group's id, empty if it is not one of ours.
    pub fn id(&self) -> [u8; 16] {
        self.mls.group_id().as_slice().try_into().unwrap_or_default()
    }

    /// Everybody with a seat, in the order of the tree's leaves, which is the same for all members.
    pub fn roster(&self) -> Vec<Member> {
        self.mls.members().filter_map(|member| Member::read(&member.credential, &member.signature_key)).collect()
    }

    /// Our own seat.
    pub fn me(&self) -> Member {
        self.me
    }

    /// Whether we still sit here.
    pub fn is_member(&self) -> bool {
        self.mls.is_active()
    }

    /// What must be persisted since the last call: records by name (16 bytes), with the new value or `None` if it is to be removed.
    /// All of one call belong together: a store that kept a part of them restores nothing.
    pub fn take_changes(&mut self) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        self.store.take_changes()
    }

    /// The names of all records of this group, to remove them when a new term takes its place. Erasing a talk is the vault's doing:
    /// it forgets the key under which these records are sealed.
    pub fn record_names(&self) -> Vec<Vec<u8>> {
        self.store.record_names()
    }

    /// The group as last persisted, from its records in any order.
    ///
    /// # Errors
    /// [`Corrupt`] if a record is not ours, one is missing, or the seat is not this group's.
    pub fn restore<'a>(seat: &SeatKeys, records: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Result<Group, Corrupt> {
        let corrupt = || Corrupt { name: "group".into() };
        let store = Store::default();
        if !records.into_iter().all(|(name, value)| store.restore(name, value)) {
            return Err(corrupt());
        }
        let id: GroupId = store.group_id().ok_or_else(corrupt)?;
        store.write_mls_join_config(&id, &join_config()).map_err(|_| corrupt())?;
        let mls = MlsGroup::load(&store, &id).ok().flatten().ok_or_else(corrupt)?;
        let group = Group { mls, store, signing: seat.signing(), me: seat.member() };
        if group.is_member() {
            group.check_form().map_err(|_| corrupt())?;
        }
        Ok(group)
    }

    fn open_message(&mut self, message: ProtocolMessage) -> Result<Opened, GroupError> {
        let processed = self.mls.process_message(&Provider::fixed(&self.store), message).map_err(not_opened)?;
        let epoch = processed.epoch().as_u64();
        // The credential is that of the message's own epoch: in a later one, somebody else may sit at this leaf.
        let from = Member::read(processed.credential(), &self.me.key).ok_or(GroupError::Refused("a leaf of another form"))?.seat;
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(message) => {
                Ok(Opened::Message { from, epoch, plaintext: message.into_bytes() })
            }
            ProcessedMessageContent::OwnPrivateMessage => Err(GroupError::Replayed),
            _ => Err(GroupError::Refused("this kind of message")),
        }
    }

    /// OpenMLS spends a commit's key when it is opened. We return to the state before, so that a commit which is dropped, or lost in
    /// a crash before it was merged, can be opened again.
    fn open_commit(&mut self, message: ProtocolMessage) -> Result<Opened, GroupError> {
        let before = self.store.checkpoint();
        let processed = self.mls.process_message(&Provider::fixed(&self.store), message).map_err(not_opened)?;
        self.store.roll_back(before);
        let id = self.mls.group_id().clone();
        self.mls = MlsGroup::load(&self.store, &id).ok().flatten().ok_or(GroupError::Broken)?;

        let Sender::Member(leaf) = *processed.sender() else {
            return Err(GroupError::Refused("a commit from outside"));
        };
        match processed.into_content() {
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                self.judge(*commit, leaf).map(|staged| Opened::Commit(Box::new(staged)))
            }
            ProcessedMessageContent::OwnPrivateMessage => Err(GroupError::Replayed),
            _ => Err(GroupError::Refused("this kind of message")),
        }
    }

    /// Holds a valid commit against what a talk allows: adds and at most one removal, committer and newcomers of our form.
    fn judge(&self, commit: StagedCommit, leaf: LeafNodeIndex) -> Result<Staged, GroupError> {
        let committer = self.member_of(leaf).ok_or(GroupError::Refused("a leaf of another form"))?;
        if commit.update_path_leaf_node().is_some_and(|leaf| member_at(leaf) != Some(committer)) {
            return Err(GroupError::Refused("a committer that changes its own seat"));
        }
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for queued in commit.queued_proposals() {
            match queued.proposal() {
                Proposal::Add(add) => added.push(member_by(add.key_package()).ok_or(OTHER_FORM)?),
                Proposal::Remove(remove) => removed.push(self.member_of(remove.removed()).ok_or(GroupError::UnknownSeat)?.seat),
                _ => return Err(GroupError::Refused("a commit that does more than add and remove")),
            }
        }
        if removed.len() > 1 || (added.is_empty() && removed.is_empty()) {
            return Err(GroupError::Refused("a commit that removes several seats or changes nothing"));
        }
        let staying = self.roster().into_iter().filter(|member| !removed.contains(&member.seat));
        distinct(staying.chain(added.iter().copied())).ok_or(GroupError::Refused("two seats of one name or key"))?;
        Ok(Staged { commit, committer: committer.seat, added, removed })
    }

    /// Whether the group is as [`found`](Self::found) makes them and we sit in it.
    fn check_form(&self) -> Result<(), GroupError> {
        let roster = self.roster();
        let ours = self.mls.ciphersuite() == SUITE
            && self.mls.group_id().as_slice().len() == 16
            && self.mls.extensions().iter().next().is_none()
            && self.mls.members().count() == roster.len()
            && self.member_of(self.mls.own_leaf_index()) == Some(self.me)
            && distinct(roster).is_some();
        if ours { Ok(()) } else { Err(GroupError::Refused("a group of another form")) }
    }

    fn member_of(&self, leaf: LeafNodeIndex) -> Option<Member> {
        let member = self.mls.members().find(|member| member.index == leaf)?;
        Member::read(&member.credential, &member.signature_key)
    }

    fn leaf_of(&self, seat: SeatId) -> Option<LeafNodeIndex> {
        let is_there =
            |credential: &Credential, key: &[u8]| Member::read(credential, key).is_some_and(|member| member.seat == seat);
        Some(self.mls.members().find(|member| is_there(&member.credential, &member.signature_key))?.index)
    }
}

/// `None` if two have one name or one key.
fn distinct(members: impl IntoIterator<Item = Member>) -> Option<()> {
    let (mut seats, mut keys) = (BTreeSet::new(), BTreeSet::new());
    members.into_iter().all(|member| seats.insert(member.seat) && keys.insert(member.key)).then_some(())
}

fn external(psk_id: &[u8]) -> Psk {
    Psk::External(ExternalPsk::new(psk_id.to_vec()))
}

fn ratchets() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER_MAX, LOST_MAX)
}

fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .max_past_epochs(PAST_EPOCHS_MAX)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchets())
        .build()
}

fn wire(message: &MlsMessageOut) -> Result<Vec<u8>, GroupError> {
    message.tls_serialize_detached().map_err(|_| GroupError::Broken)
}

/// Reads through `Read` and not from the slice: that parser of `tls_codec` asserts on a truncated vector.
fn parse(bytes: &[u8]) -> Result<MlsMessageBodyIn, GroupError> {
    if bytes.len() > GROUP_MESSAGE_BYTES_MAX {
        return Err(GroupError::Malformed);
    }
    Ok(MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| GroupError::Malformed)?.extract())
}

fn not_joined(error: WelcomeError<StoreError>) -> GroupError {
    match error {
        WelcomeError::NoMatchingKeyPackage => GroupError::Foreign,
        WelcomeError::StorageError(_) => GroupError::Broken,
        _ => GroupError::Forged,
    }
}

fn not_opened(error: ProcessMessageError<StoreError>) -> GroupError {
    use MessageDecryptionError::SecretTreeError as Ratchet;
    match error {
        ProcessMessageError::StorageError(_) => GroupError::Broken,
        ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(Ratchet(ratchet))) => match ratchet {
            SecretTreeError::SecretReuseError => GroupError::Replayed,
            SecretTreeError::TooDistantInThePast => GroupError::TooOld,
            SecretTreeError::TooDistantInTheFuture => GroupError::Refused("a jump over so many messages"),
            _ => GroupError::Forged,
        },
        ProcessMessageError::ValidationError(ValidationError::NoPastEpochData | ValidationError::WrongEpoch) => GroupError::TooOld,
        _ => GroupError::Forged,
    }
}
