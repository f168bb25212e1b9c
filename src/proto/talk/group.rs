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

mod error;
mod member;
mod provider;
mod seat;
mod store;
mod timeless;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use error::GroupError;
pub use member::{Member, Staged};
pub use seat::{KEY_PACKAGE_BYTES_MAX, KEY_PACKAGES_MAX, SeatKeys, check_key_package, share_no_key, sign, verify};

use crate::proto::config::{PARCEL_LARGE_BYTES, PARCEL_PARTS_MAX};
use crate::proto::error::Corrupt;
use crate::proto::id::SeatId;
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use error::{OTHER_LEAF, not_joined, not_opened};
use member::{check_distinct, leaf_of, member_of};
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    ContentType, GroupId, JoinBuilder, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, PreSharedKeyProposal, ProcessedMessageContent, ProcessedWelcome, Proposal, ProtocolMessage,
    Sender, SenderRatchetConfiguration,
};
use openmls::schedule::{ExternalPsk, PreSharedKeyId, Psk};
use openmls_traits::OpenMlsProvider;
use openmls_traits::storage::StorageProvider;
use provider::{Crypto, Provider, SUITE};
use seat::{Signing, capabilities, checked, lifetime, member_at};
use std::collections::BTreeMap;
use store::Store;
use zeroize::Zeroizing;

/// The longest message, commit or welcome: what fits into the parts of one split parcel.
pub const GROUP_MESSAGE_BYTES_MAX: usize = PARCEL_LARGE_BYTES * PARCEL_PARTS_MAX as usize;
/// Epochs back that messages still open. A phone that slept through as many admissions still reads what was said meanwhile.
pub const PAST_EPOCHS_MAX: usize = 8;
/// Messages of one sender in one epoch that may arrive late, after a newer one: the largest burst between two contacts.
pub const OUT_OF_ORDER_MAX: u32 = 256;
/// Messages of one sender in one epoch that may be lost in a row. Each costs a key derivation, so this bounds a hostile jump.
pub const LOST_MAX: u32 = 10_000;

/// One talk's group, in one term, as one seat sees it.
pub struct Group {
    mls: MlsGroup,
    store: Store,
    signing: Signing,
    me: Member,
}

/// For the model check alone: two copies in use would seal under the same keys.
#[cfg(test)]
impl Clone for Group {
    fn clone(&self) -> Group {
        let (store, id) = (self.store.copy(), self.mls.group_id().clone());
        store.write_mls_join_config(&id, &join_config()).expect("the configuration is kept");
        let mls = MlsGroup::load(&store, &id).expect("the state reads").expect("the group is there");
        Group { mls, store, signing: self.signing.clone(), me: self.me }
    }
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
        check_distinct(everybody)?;

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
        // Without others there is nobody to welcome.
        let welcome = bundle.to_welcome_msg().map_or(Ok(Vec::new()), |welcome| wire(&welcome))?;
        mls.merge_pending_commit(&provider).map_err(|_| GroupError::Broken)?;
        store.delete_psk(&external(psk_id)).map_err(|_| GroupError::Broken)?;
        drop(provider);
        Ok((Group { mls, store, signing, me: seat.member() }, welcome))
    }

    /// Joins by a welcome, and names the seat that signed it: the caller holds that, the roster and the group's id against what was
    /// agreed. With `psk` (its key and its id) only a founding over exactly that key is joined, without it only a later admission.
    /// If it works, the private half of the key package that was used is gone from the seat; if not, nothing has changed.
    ///
    /// # Errors
    /// [`GroupError::Foreign`] if no unspent key package of ours is named, [`GroupError::Forged`] if the welcome or the pre-shared
    /// key does not hold, [`GroupError::Refused`] if the group is not of a talk's form.
    pub fn join(seat: &mut SeatKeys, welcome: &[u8], psk: Option<(&Key, &[u8])>) -> Result<(Group, SeatId), GroupError> {
        Group::join_if(seat, welcome, psk, |_, _| true)
    }

    /// The same, if the group and the seat that signed the welcome are the wanted ones: whoever welcomes into another group spends no
    /// key package.
    ///
    /// # Errors
    /// As [`Group::join`]; [`GroupError::Refused`] if it is not wanted.
    pub fn join_if(
        seat: &mut SeatKeys,
        welcome: &[u8],
        psk: Option<(&Key, &[u8])>,
        is_wanted: impl FnOnce(&Group, SeatId) -> bool,
    ) -> Result<(Group, SeatId), GroupError> {
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
        let welcomer = staged.welcome_sender().ok().and_then(member_at).ok_or(OTHER_LEAF)?;
        let mls = staged.into_group(&provider).map_err(not_joined)?;
        wanted.iter().try_for_each(|id| store.delete_psk(id)).map_err(|_| GroupError::Broken)?;
        drop(provider);

        let unspent = store.take_key_packages();
        let group = Group { mls, store, signing: seat.signing(), me: seat.member() };
        group.check_form()?;
        if !is_wanted(&group, welcomer.seat) {
            return Err(GroupError::Refused("another group than was agreed"));
        }
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
        let leaving = remove.map(|seat| leaf_of(&self.mls, seat).ok_or(GroupError::UnknownSeat)).transpose()?;
        let staying = self.roster().into_iter().filter(|member| Some(member.seat) != remove);
        check_distinct(staying.chain(newcomers.iter().map(|(member, _)| *member)))?;

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
        member::roster(&self.mls)
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
        if group.is_member() && (group.check_form().is_err() || !group.store.holds_key_pairs()) {
            return Err(corrupt());
        }
        Ok(group)
    }

    fn open_message(&mut self, message: ProtocolMessage) -> Result<Opened, GroupError> {
        let processed = self.mls.process_message(&Provider::fixed(&self.store), message).map_err(not_opened)?;
        let epoch = processed.epoch().as_u64();
        // The credential is that of the message's own epoch: in a later one, somebody else may sit at this leaf.
        let from = Member::read(processed.credential(), &self.me.key).ok_or(OTHER_LEAF)?.seat;
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
                Staged::judge(&self.mls, *commit, leaf).map(|staged| Opened::Commit(Box::new(staged)))
            }
            ProcessedMessageContent::OwnPrivateMessage => Err(GroupError::Replayed),
            _ => Err(GroupError::Refused("this kind of message")),
        }
    }

    /// Whether the group is as [`found`](Self::found) makes them and we sit in it.
    fn check_form(&self) -> Result<(), GroupError> {
        let roster = self.roster();
        let ours = self.mls.ciphersuite() == SUITE
            && self.mls.group_id().as_slice().len() == 16
            && self.mls.extensions().iter().next().is_none()
            && self.mls.members().count() == roster.len()
            && member_of(&self.mls, self.mls.own_leaf_index()) == Some(self.me)
            && check_distinct(roster).is_ok();
        if ours { Ok(()) } else { Err(GroupError::Refused("a group of another form")) }
    }
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
