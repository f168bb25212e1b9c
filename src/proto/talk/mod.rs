//! One talk from its card to its end: seats and quorum, the room, its log, who sits where, and the close.

pub mod agenda;
pub mod attendance;
pub mod beacon;
pub mod close;
pub mod document;
pub mod door;
pub mod entry;
pub mod epoch;
pub mod group;
pub mod persona;
pub mod preview;
pub mod recognition;
pub mod rejoin;
pub mod repair;
pub mod room;
pub mod roster;
pub mod seats;

use super::board::Terms;
use super::id::TalkId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One talk of this device.
#[cfg_attr(test, derive(Clone))]
pub struct Talk {
    /// This device's own name for it.
    pub id: TalkId,
    /// Where it stands in its life.
    pub stage: Stage,
    /// Seats whose words this device does not show.
    pub hidden: BTreeSet<entry::SeatNumber>,
}

/// Where a talk stands. Closing is a state of the open room; closed, withdrawn and expired talks are gone, and a receipt remains.
#[cfg_attr(test, derive(Clone))]
pub enum Stage {
    /// Written, not posted: nobody knows of it.
    Drafted(Terms),
    /// Our card is on the board: we count seats.
    Hosting(Box<seats::Hosting>),
    /// We have asked for a seat.
    Waiting(Box<seats::Waiting>),
    /// The room is open.
    Open(Box<room::Room>),
}

/// What is remembered of a talk before its room opens. An open room has records of its own.
#[derive(Serialize, Deserialize)]
pub enum StageRecord {
    /// See [`Stage::Drafted`].
    Drafted(Terms),
    /// See [`Stage::Hosting`].
    Hosting(seats::HostingRecord),
    /// See [`Stage::Waiting`].
    Waiting(seats::WaitingRecord),
    /// The room's own records tell.
    Open,
}

impl Talk {
    /// A talk in its first stage.
    pub fn new(id: TalkId, stage: Stage) -> Talk {
        Talk { id, stage, hidden: BTreeSet::new() }
    }

    /// What to remember of its stage.
    pub fn record(&self) -> StageRecord {
        match &self.stage {
            Stage::Drafted(terms) => StageRecord::Drafted(terms.clone()),
            Stage::Hosting(hosting) => StageRecord::Hosting(hosting.record()),
            Stage::Waiting(waiting) => StageRecord::Waiting(waiting.record()),
            Stage::Open(_) => StageRecord::Open,
        }
    }
}
