//! Who sits in a group, and what a commit would change about it.

use super::error::{GroupError, OTHER_KEY_PACKAGE, OTHER_LEAF, TWICE};
use super::seat::{member_at, member_by};
use crate::proto::id::SeatId;
use openmls::prelude::{Credential, CredentialType, LeafNodeIndex, MlsGroup, Proposal, StagedCommit};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Somebody with a seat in the group.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Member {
    /// The name in this talk.
    pub seat: SeatId,
    /// The Ed25519 key that verifies what the seat signs.
    pub key: [u8; 32],
}

impl Member {
    pub(super) fn read(credential: &Credential, key: &[u8]) -> Option<Member> {
        let is_basic = credential.credential_type() == CredentialType::Basic;
        let seat = SeatId(is_basic.then(|| credential.serialized_content().try_into().ok()).flatten()?);
        Some(Member { seat, key: key.try_into().ok()? })
    }
}

/// Everybody at the leaves of the tree, from left to right; a leaf that is not of our form is left out.
pub(super) fn roster(mls: &MlsGroup) -> Vec<Member> {
    mls.members().filter_map(|member| Member::read(&member.credential, &member.signature_key)).collect()
}

/// Who sits at a leaf.
pub(super) fn member_of(mls: &MlsGroup, leaf: LeafNodeIndex) -> Option<Member> {
    let member = mls.members().find(|member| member.index == leaf)?;
    Member::read(&member.credential, &member.signature_key)
}

/// Where a seat is in the tree.
pub(super) fn leaf_of(mls: &MlsGroup, seat: SeatId) -> Option<LeafNodeIndex> {
    let sits = |credential: &Credential, key: &[u8]| Member::read(credential, key).is_some_and(|member| member.seat == seat);
    Some(mls.members().find(|member| sits(&member.credential, &member.signature_key))?.index)
}

/// Refuses two of one name or one key.
pub(super) fn check_distinct(members: impl IntoIterator<Item = Member>) -> Result<(), GroupError> {
    let (mut seats, mut keys) = (BTreeSet::new(), BTreeSet::new());
    let distinct = members.into_iter().all(|member| seats.insert(member.seat) && keys.insert(member.key));
    if distinct { Ok(()) } else { Err(TWICE) }
}

/// A commit that holds, and what it would do.
pub struct Staged {
    pub(super) commit: StagedCommit,
    /// Who made it.
    pub committer: SeatId,
    /// Who would sit down.
    pub added: Vec<Member>,
    /// Who would have to get up.
    pub removed: Vec<SeatId>,
}

impl Staged {
    /// Holds a valid commit against what a talk allows: adds and at most one removal, committer and newcomers of our form.
    pub(super) fn judge(mls: &MlsGroup, commit: StagedCommit, by: LeafNodeIndex) -> Result<Self, GroupError> {
        let committer = member_of(mls, by).ok_or(OTHER_LEAF)?;
        if commit.update_path_leaf_node().is_some_and(|leaf| member_at(leaf) != Some(committer)) {
            return Err(GroupError::Refused("a committer that changes its own seat"));
        }
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        for queued in commit.queued_proposals() {
            match queued.proposal() {
                Proposal::Add(add) => added.push(member_by(add.key_package()).ok_or(OTHER_KEY_PACKAGE)?),
                Proposal::Remove(remove) => removed.push(member_of(mls, remove.removed()).ok_or(GroupError::UnknownSeat)?.seat),
                _ => return Err(GroupError::Refused("a commit that does more than add and remove")),
            }
        }
        if removed.len() > 1 || (added.is_empty() && removed.is_empty()) {
            return Err(GroupError::Refused("a commit that removes several seats or changes nothing"));
        }
        let staying = roster(mls).into_iter().filter(|member| !removed.contains(&member.seat));
        check_distinct(staying.chain(added.iter().copied()))?;
        Ok(Self { commit, committer: committer.seat, added, removed })
    }
}
