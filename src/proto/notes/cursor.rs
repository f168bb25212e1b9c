//! Where others are in the text: positions that stay with a character while everybody writes.
//!
//! Laws: bytes of a stranger are never more than a position or nothing. Automerge's own look-up of a cursor panics when it names an
//! operation outside the text; its look-up *at given heads* searches the text and does not. Only that one is used here, and pending
//! edits, which no heads cover, are added by counting.

use super::document::Document;
use automerge::{ChangeHash, Cursor, ReadDoc};

impl Document {
    /// A cursor that stays with the scalar value at `position`, or with the end of the text: at most 32 bytes, for the other seats.
    /// `None` if the position lies outside, or its value is not committed yet and thus nothing to others.
    pub fn cursor_at(&self, position: usize) -> Option<Vec<u8>> {
        let text = &self.roots.text;
        let (length, cursor) = match &self.writing {
            Some(writing) => (writing.transaction.length(text), writing.transaction.get_cursor(text, position, None)),
            None => (self.settled.length(text), self.settled.get_cursor(text, position, None)),
        };
        if position == length {
            return Some(Cursor::End.to_bytes());
        }
        let cursor = cursor.ok()?;
        self.settled_position(&cursor)?;
        Some(cursor.to_bytes())
    }

    /// Where a cursor of another seat points now; if its place was deleted, to what followed it. `None` for bytes that are no cursor
    /// or point at what is not here (yet).
    pub fn position_of(&self, cursor: &[u8]) -> Option<usize> {
        let cursor = read(cursor)?;
        let mut position = self.settled_position(&cursor)?;
        for splice in self.writing.iter().flat_map(|writing| &writing.splices) {
            position = match position.checked_sub(splice.at) {
                None => position,
                Some(beyond) => splice.at + splice.inserted + beyond.saturating_sub(splice.deleted),
            };
        }
        Some(position)
    }

    fn settled_position(&self, cursor: &Cursor) -> Option<usize> {
        // The heads and one that nobody has: the same moment, but not taken for "now", whose look-up panics.
        let mut then = self.settled.get_heads();
        then.push(ChangeHash([0; 32]));
        self.settled.get_cursor_position(&self.roots.text, cursor, Some(&then)).ok()
    }
}

/// Reads a cursor of Automerge's byte format version 1, and only what [`Document::cursor_at`] writes: the end, or an operation with a
/// counter that its own reader takes without a panic.
fn read(bytes: &[u8]) -> Option<Cursor> {
    match bytes {
        [1, 2] => Some(Cursor::End),
        [1, 3, actor_length, rest @ ..] if usize::from(*actor_length) <= 16 && rest.len() <= usize::from(*actor_length) + 6 => {
            let counter = rest.get(usize::from(*actor_length)..rest.len().checked_sub(1)?)?;
            let ends = counter.iter().position(|byte| byte & 0x80 == 0) == counter.len().checked_sub(1);
            let fits = counter.len() < 5 || counter.last().is_some_and(|last| *last <= 0x0f);
            (ends && fits && rest.last() == Some(&2)).then(|| Cursor::try_from(bytes).ok())?
        }
        _ => None,
    }
}
