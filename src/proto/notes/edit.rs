//! The edits of this device's own user, checked before Automerge sees them.
//!
//! Laws: an edit outside its bounds is refused and changes nothing; every edit that is accepted is one that the quarantine of the
//! others accepts (`super::vocabulary` is its mirror image).

use super::view::{ActionItem, AgendaItem, Roots, find};
use crate::proto::config::{
    CHANGE_BYTES_MAX, CHANGE_OPS_MAX, ITEM_TEXT_BYTES_MAX, ITEMS_MAX, MARK_NAME_BYTES_MAX, MARK_VALUE_BYTES_MAX,
};
use crate::proto::error::Refused;
use crate::proto::id::{ItemId, SeatId};
use automerge::marks::{ExpandMark, Mark};
use automerge::transaction::Transactable;
use automerge::{AutomergeError, ObjId, ObjType};

/// One edit of the notes. Positions count Unicode scalar values; ids of new items are 8 random bytes of the caller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Edit {
    /// Replace `delete` scalar values at `at` by `insert`.
    Splice {
        /// Where.
        at: usize,
        /// How many go.
        delete: usize,
        /// What comes.
        insert: String,
    },
    /// Mark `start..end`, which must not be empty.
    Mark {
        /// The first to be marked.
        start: usize,
        /// One past the last.
        end: usize,
        /// Which mark, 1 to `config::MARK_NAME_BYTES_MAX` bytes.
        name: String,
        /// Its value, at most `config::MARK_VALUE_BYTES_MAX` bytes.
        value: String,
    },
    /// Take a mark off `start..end`, which must not be empty.
    Unmark {
        /// The first.
        start: usize,
        /// One past the last.
        end: usize,
        /// Which mark.
        name: String,
    },
    /// A new item at the agenda's end.
    AddAgenda {
        /// Its name, not in use.
        id: ItemId,
        /// At most `config::ITEM_TEXT_BYTES_MAX` bytes.
        text: String,
        /// How long it shall take.
        minutes: u16,
    },
    /// Change fields of an agenda item; `None` leaves a field as it is.
    SetAgenda {
        /// Which.
        id: ItemId,
        /// What it is about.
        text: Option<String>,
        /// How long it shall take.
        minutes: Option<u16>,
        /// Whether it is done.
        done: Option<bool>,
    },
    /// Strike an agenda item.
    RemoveAgenda {
        /// Which.
        id: ItemId,
    },
    /// A new item at the end of the actions.
    AddAction {
        /// Its name, not in use.
        id: ItemId,
        /// At most `config::ITEM_TEXT_BYTES_MAX` bytes.
        text: String,
        /// Who does it, if that is known.
        owner: Option<SeatId>,
    },
    /// Change fields of an action; `None` leaves a field as it is.
    SetAction {
        /// Which.
        id: ItemId,
        /// What is to be done.
        text: Option<String>,
        /// Who does it; `Some(None)`: nobody any more.
        owner: Option<Option<SeatId>>,
        /// Whether it is done.
        done: Option<bool>,
    },
    /// Strike an action.
    RemoveAction {
        /// Which.
        id: ItemId,
    },
}

/// What edits cost as a change: operations exactly or more, bytes by a close upper estimate.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Cost {
    pub operations: usize,
    pub bytes: usize,
}

impl Cost {
    pub fn plus(self, other: Cost) -> Cost {
        Cost { operations: self.operations.saturating_add(other.operations), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// Whether one change may hold this much, with a kilobyte left for its header and dependencies.
    pub fn fits(self) -> bool {
        self.operations <= CHANGE_OPS_MAX && self.bytes <= CHANGE_BYTES_MAX - 4 * 1024
    }
}

/// A splice that is pending, in scalar values.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spliced {
    pub at: usize,
    pub deleted: usize,
    pub inserted: usize,
}

impl Spliced {
    fn goes_on(&self, at: usize, delete: usize, insert: &str) -> bool {
        let types_on = delete == 0 && self.inserted > 0 && at == self.at + self.inserted;
        let deletes_on = insert.is_empty() && self.inserted == 0 && at.checked_add(delete) == Some(self.at);
        types_on || deletes_on
    }
}

impl Edit {
    /// The edit's share of a change, never too low: a run of text costs its UTF-8 and about 14 bytes for the place it starts at, a
    /// deleted scalar value at most 4, a field about 10 and its value. `last` is the splice before it in the same change: typing on
    /// and deleting backwards start no new place.
    pub(super) fn cost(&self, last: Option<&Spliced>) -> Cost {
        let fields = |given: [bool; 3]| given.iter().filter(|given| **given).count();
        let (operations, bytes) = match self {
            Edit::Splice { at, delete, insert } => {
                let place = if last.is_some_and(|last| last.goes_on(*at, *delete, insert)) { 0 } else { 14 };
                let bytes = delete.saturating_mul(4).saturating_add(insert.len() + place);
                (delete.saturating_add(insert.chars().count()), bytes)
            }
            Edit::Mark { name, value, .. } => (2, name.len() + value.len() + 30),
            Edit::Unmark { name, .. } => (2, name.len() + 30),
            Edit::AddAgenda { text, .. } | Edit::AddAction { text, .. } => (5, text.len() + 120),
            Edit::SetAgenda { text, minutes, done, .. } => {
                let count = fields([text.is_some(), minutes.is_some(), done.is_some()]);
                (count, 22 * count + text.as_ref().map_or(0, String::len))
            }
            Edit::SetAction { text, owner, done, .. } => {
                let count = fields([text.is_some(), owner.is_some(), done.is_some()]);
                (count, 22 * count + text.as_ref().map_or(0, String::len) + 32)
            }
            Edit::RemoveAgenda { .. } | Edit::RemoveAction { .. } => (1, 16),
        };
        Cost { operations, bytes }
    }

    /// Cuts a splice that one change could not hold: deletions from the back, then insertions from the front.
    pub fn pieces(self) -> Vec<Edit> {
        const PIECE: usize = CHANGE_OPS_MAX / 4;
        match self {
            Edit::Splice { at, delete, insert } if delete.saturating_add(insert.chars().count()) > PIECE => {
                let characters: Vec<char> = insert.chars().collect();
                let deletions = (0..delete).step_by(PIECE).rev();
                let deletions =
                    deletions.map(|cut| Edit::Splice { at: at + cut, delete: PIECE.min(delete - cut), insert: String::new() });
                let insertions = characters.chunks(PIECE).zip((at..).step_by(PIECE));
                let insertions = insertions.map(|(piece, at)| Edit::Splice { at, delete: 0, insert: piece.iter().collect() });
                deletions.chain(insertions).collect()
            }
            other => vec![other],
        }
    }

    /// Carries the edit out in an open transaction.
    ///
    /// # Errors
    /// [`Refused::OutOfRange`]: a position, an id or a length outside its bounds; [`Refused::TooMany`]: the list is full.
    pub(super) fn apply(&self, notes: &mut impl Transactable, roots: &Roots) -> Result<(), Refused> {
        match self {
            Edit::Splice { at, delete, insert } => {
                let length = notes.length(&roots.text);
                let delete_signed = isize::try_from(*delete).map_err(|_| Refused::OutOfRange)?;
                in_range(at.checked_add(*delete).is_some_and(|end| end <= length) && !(insert.is_empty() && *delete == 0))?;
                notes.splice_text(&roots.text, *at, delete_signed, insert).map_err(refused)
            }
            Edit::Mark { start, end, name, value } => {
                in_range(start < end && *end <= notes.length(&roots.text))?;
                in_range(is_mark_name(name) && value.len() <= MARK_VALUE_BYTES_MAX)?;
                notes.mark(&roots.text, Mark::new(name.clone(), value.as_str(), *start, *end), EXPAND).map_err(refused)
            }
            Edit::Unmark { start, end, name } => {
                in_range(start < end && *end <= notes.length(&roots.text) && is_mark_name(name))?;
                notes.unmark(&roots.text, name, *start, *end, EXPAND).map_err(refused)
            }
            Edit::AddAgenda { id, text, minutes } => {
                room_for(notes, &roots.agenda, *id, text)?;
                append_agenda(notes, roots, &AgendaItem { id: *id, text: text.clone(), minutes: *minutes, done: false })
            }
            Edit::SetAgenda { id, text, minutes, done } => {
                let map = set(notes, &roots.agenda, *id, text.as_deref(), *done)?;
                minutes.map_or(Ok(()), |minutes| notes.put(&map, "minutes", u64::from(minutes)).map_err(refused))
            }
            Edit::RemoveAgenda { id } => remove(notes, &roots.agenda, *id),
            Edit::AddAction { id, text, owner } => {
                room_for(notes, &roots.actions, *id, text)?;
                append_action(notes, roots, &ActionItem { id: *id, text: text.clone(), owner: *owner, done: false })
            }
            Edit::SetAction { id, text, owner, done } => {
                let map = set(notes, &roots.actions, *id, text.as_deref(), *done)?;
                match owner {
                    None => Ok(()),
                    Some(Some(owner)) => notes.put(&map, "owner", owner.to_string()).map_err(refused),
                    Some(None) if notes.get(&map, "owner").is_ok_and(|found| found.is_some()) => {
                        notes.delete(&map, "owner").map_err(refused)
                    }
                    Some(None) => Ok(()),
                }
            }
            Edit::RemoveAction { id } => remove(notes, &roots.actions, *id),
        }
    }
}

/// A mark grows with text typed at its end, as in every editor.
pub(super) const EXPAND: ExpandMark = ExpandMark::After;

/// Whether a mark may have this name.
pub(super) fn is_mark_name(name: &str) -> bool {
    (1..=MARK_NAME_BYTES_MAX).contains(&name.len())
}

fn in_range(holds: bool) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused::OutOfRange) }
}

/// Automerge's own refusals are all of one kind here, because shape and types are ours.
fn refused(_: AutomergeError) -> Refused {
    Refused::OutOfRange
}

fn room_for(notes: &impl Transactable, list: &ObjId, id: ItemId, text: &str) -> Result<(), Refused> {
    in_range(text.len() <= ITEM_TEXT_BYTES_MAX && find(notes, list, id).is_none())?;
    if notes.length(list) < ITEMS_MAX { Ok(()) } else { Err(Refused::TooMany) }
}

/// Writes an item at the agenda's end, however many there are.
pub(super) fn append_agenda(notes: &mut impl Transactable, roots: &Roots, item: &AgendaItem) -> Result<(), Refused> {
    let map = append(notes, &roots.agenda, item.id, &item.text).map_err(refused)?;
    notes.put(&map, "minutes", u64::from(item.minutes)).map_err(refused)?;
    notes.put(&map, "done", item.done).map_err(refused)
}

/// Writes an item at the end of the actions, however many there are.
pub(super) fn append_action(notes: &mut impl Transactable, roots: &Roots, item: &ActionItem) -> Result<(), Refused> {
    let map = append(notes, &roots.actions, item.id, &item.text).map_err(refused)?;
    if let Some(owner) = item.owner {
        notes.put(&map, "owner", owner.to_string()).map_err(refused)?;
    }
    notes.put(&map, "done", item.done).map_err(refused)
}

fn append(notes: &mut impl Transactable, list: &ObjId, id: ItemId, text: &str) -> Result<ObjId, AutomergeError> {
    let map = notes.insert_object(list, notes.length(list), ObjType::Map)?;
    notes.put(&map, "id", id.to_string())?;
    notes.put(&map, "text", text)?;
    Ok(map)
}

fn set(notes: &mut impl Transactable, list: &ObjId, id: ItemId, text: Option<&str>, done: Option<bool>) -> Result<ObjId, Refused> {
    in_range(text.is_none_or(|text| text.len() <= ITEM_TEXT_BYTES_MAX))?;
    let (_, map) = find(notes, list, id).ok_or(Refused::OutOfRange)?;
    if let Some(text) = text {
        notes.put(&map, "text", text).map_err(refused)?;
    }
    if let Some(done) = done {
        notes.put(&map, "done", done).map_err(refused)?;
    }
    Ok(map)
}

fn remove(notes: &mut impl Transactable, list: &ObjId, id: ItemId) -> Result<(), Refused> {
    let (place, _) = find(notes, list, id).ok_or(Refused::OutOfRange)?;
    notes.delete(list, place).map_err(refused)
}
