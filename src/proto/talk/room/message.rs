//! What members send each other, sealed under the keys of an epoch.

use super::commit::Commit;
use super::succession::Step;
use crate::proto::talk::beacon::Beacon;
use crate::proto::talk::document::Offered;
use crate::proto::talk::preview::Preview;
use serde::{Deserialize, Serialize};

/// One message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// An MLS PrivateMessage with entries.
    Sealed(Vec<u8>),
    /// A commit of the chair.
    Commit(Commit),
    /// A sign of life.
    Beacon(Beacon),
    /// What I know; send what I lack.
    Ask { numbers: Vec<u32> },
    /// What somebody types, before it is a change.
    Preview(Preview),
    /// Somebody lacks what a fold included: send the document.
    WantDocument,
    /// Here it is.
    Document(Offered),
    /// Steps to a new term.
    Step(Step),
    /// An MLS PrivateMessage with a presence key.
    Presence(Vec<u8>),
}
