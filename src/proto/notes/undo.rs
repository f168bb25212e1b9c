//! Takes back what this seat wrote last, and only that.
//!
//! Laws: what others wrote in the meantime stays, wherever it stands; an undo is an ordinary change that everybody gets. The list of
//! what can be taken back lives as long as the document in memory and is not saved.

use super::carry::{Clash, Step};
use super::document::{ChangeBytes, Document, actor};
use super::placement::Placement;
use automerge::{ChangeHash, ReadDoc};

/// What [`Document::undo_mine`] took back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Undone {
    /// There is nothing (more) to take back.
    Nothing,
    /// Pending edits: nobody else has them, so nothing is to be sent.
    Pending,
    /// A committed change: these changes take it back and are to be sent.
    Changes(Vec<ChangeBytes>),
}

impl Document {
    /// Takes back the pending edits, or else the last committed change of this seat that still stands: what it inserted and is still
    /// there goes, what it deleted comes back where it was, and fields that nobody has changed since get their old values.
    pub fn undo_mine(&mut self) -> Undone {
        if self.writing.take().is_some() {
            return Undone::Pending;
        }
        let Some(last) = self.mine.pop() else { return Undone::Nothing };
        let Some(change) = self.settled.get_change_by_hash(&last) else { return Undone::Nothing };
        let step = Step::between(self, &[last], change.deps());
        let placement = self.placement_since(&step.from.text, last);
        Undone::Changes(step.carry(&placement, self, Clash::KeepTheirs))
    }

    /// Where each scalar value that was there at `then` is now: by its identity in the CRDT, or, if an earlier undo brought it back
    /// under a new one, by its neighbours.
    fn placement_since(&self, text_then: &str, then: ChangeHash) -> Placement {
        let text = &self.roots.text;
        let me = actor(self.seat(), self.generation());
        let is_mine = |place: usize| {
            // Version, kind, length of the actor, actor.
            let cursor = self.settled.get_cursor(text, place, None).map(|cursor| cursor.to_bytes());
            cursor.is_ok_and(|bytes| bytes.get(3..3 + me.len()) == Some(me.as_slice()))
        };
        let mut placement = Placement::by_history(&self.settled, text, &[then], &self.settled.get_heads());
        placement.fill_gaps(text_then, &self.text(), is_mine);
        placement
    }
}
