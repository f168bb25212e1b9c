//! Why a group did not do it, and which of OpenMLS's many reasons that was.

use super::store::StoreError;
use openmls::framing::errors::{MessageDecryptionError, SecretTreeError};
use openmls::prelude::{ProcessMessageError, ValidationError, WelcomeError};
use thiserror::Error;

/// Of a key package that we would not have made.
pub(super) const OTHER_KEY_PACKAGE: GroupError = GroupError::Refused("a key package of another form");
/// Of a member whose leaf we would not have made.
pub(super) const OTHER_LEAF: GroupError = GroupError::Refused("a leaf of another form");
/// Of a roster in which two could not be told apart.
pub(super) const TWICE: GroupError = GroupError::Refused("two seats of one name or key");

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

pub(super) fn not_joined(error: WelcomeError<StoreError>) -> GroupError {
    match error {
        WelcomeError::NoMatchingKeyPackage => GroupError::Foreign,
        WelcomeError::StorageError(_) => GroupError::Broken,
        _ => GroupError::Forged,
    }
}

pub(super) fn not_opened(error: ProcessMessageError<StoreError>) -> GroupError {
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
