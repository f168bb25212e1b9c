//! Takes back what this seat wrote last, and only that.
//!
//! Laws: what others wrote in the meantime stays, wherever it stands; an undo is an ordinary change that everybody gets. The list of
//! what can be taken back lives as long as the document in memory and is not saved.

use super::carry::{Clash, Placement, carry};
use super::document::{ChangeBytes, Document, actor};
use super::view::View;
use automerge::{ChangeHash, PatchAction, ReadDoc};

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
        let with = View::at(&self.settled, &self.roots, &[last]);
        let without = View::at(&self.settled, &self.roots, change.deps());
        let placement = self.placement_since(&with.text, last);
        Undone::Changes(carry(&with, &without, &placement, self, Clash::KeepTheirs))
    }

    /// Where each scalar value that was there at `then` is now: by its identity in the CRDT, or, if an earlier undo brought it back
    /// under a new one, by its neighbours.
    fn placement_since(&self, text_then: &str, then: ChangeHash) -> Placement {
        let text = &self.roots.text;
        let mut origins: Vec<Option<usize>> = (0..text_then.chars().count()).map(Some).collect();
        let mut placement = Placement(vec![None; origins.len()]);
        for patch in self.settled.diff_obj(text, &[then], &self.settled.get_heads(), false).unwrap_or_default() {
            match patch.action {
                PatchAction::SpliceText { index, value, .. } if index <= origins.len() => {
                    origins.splice(index..index, value.make_string().chars().map(|_| None));
                }
                PatchAction::DeleteSeq { index, length } if index.saturating_add(length) <= origins.len() => {
                    origins.drain(index..index + length);
                }
                _ => {}
            }
        }
        for (place, origin) in origins.iter().enumerate() {
            if let Some(origin) = origin {
                placement.0[*origin] = Some(place);
            }
        }
        let me = actor(self.seat(), self.generation());
        let is_mine = |place: usize| {
            // Version, kind, length of the actor, actor.
            let cursor = self.settled.get_cursor(text, place, None).map(|cursor| cursor.to_bytes());
            cursor.is_ok_and(|bytes| bytes.get(3..3 + me.len()) == Some(me.as_slice()))
        };
        placement.fill_gaps(text_then, &self.text(), is_mine);
        placement
    }
}
