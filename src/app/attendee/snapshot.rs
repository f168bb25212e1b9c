//! What the screens show of a node, taken in one look: plain values that may leave its thread.

use crate::model::event::SignedPack;
use crate::proto::id::TalkId;
use crate::proto::node::Node;
use crate::proto::node::view::{CardView, NotesView, ReceiptView, StatusView, TalkView};
use crate::proto::presence::Near;
use crate::shell::driver::Situation;

/// What is to be looked at beyond what always is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// The board, which is long.
    pub board: bool,
    /// The notes of the talk that is on the screen.
    pub notes: Option<TalkId>,
}

/// The joined event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventView {
    /// What it is called.
    pub name: String,
    /// Where it is.
    pub place: String,
    /// Whether it has a relay.
    pub has_relay: bool,
}

/// All that a screen may show.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// The joined event, if there is one.
    pub event: Option<EventView>,
    /// The board, best matches first; `None`: as before.
    pub board: Option<Vec<CardView>>,
    /// All talks of this device.
    pub talks: Vec<TalkView>,
    /// The notes that were wanted, if their room is open.
    pub notes: Option<(TalkId, NotesView)>,
    /// What remains of talks that are over.
    pub receipts: Vec<ReceiptView>,
    /// Who is near by radio; `None`: there is none to hear them with.
    pub near: Option<Vec<Near>>,
    /// How the node stands.
    pub status: StatusView,
    /// How the shell stands.
    pub situation: Situation,
    /// The hour since the Unix epoch.
    pub hour: u32,
    /// So many edits of the notes that were made on the screen are in them.
    pub edits_done: u64,
}

impl Snapshot {
    /// Looks at the node, which has carried out so many edits of the screen.
    pub fn of(node: &Node, situation: &Situation, wanted: Wanted, edits_done: u64) -> Snapshot {
        Snapshot {
            event: node.pack().and_then(|pack| SignedPack::decode(pack).ok()).map(|signed| EventView {
                name: signed.pack().name.clone(),
                place: signed.pack().place.clone(),
                has_relay: !signed.pack().relays.is_empty(),
            }),
            board: wanted.board.then(|| node.board()),
            talks: node.talks(),
            notes: wanted.notes.and_then(|talk| Some((talk, node.notes(talk)?))),
            receipts: node.receipts(),
            near: node.nearby(),
            status: node.status(),
            situation: situation.clone(),
            hour: node.wall().hours(),
            edits_done,
        }
    }
}
