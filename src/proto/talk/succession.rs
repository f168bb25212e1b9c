//! When the chair is gone: who may found the next term, and with whose consent.

use serde::{Deserialize, Serialize};

/// Steps to a new term.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Consent {}

/// What this member has promised.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Succession {}
