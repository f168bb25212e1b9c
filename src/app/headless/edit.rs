//! Edits of the notes as JSON: `{"splice": {"at": 0, "delete": 0, "insert": "hello"}}` and its like, one name per object.
//!
//! Law: the ids of new items are drawn here and given back in the order in which they were asked for.

use super::request::{Failure, Fields};
use crate::proto::error::Refused;
use crate::proto::id::{ItemId, SeatId};
use crate::proto::notes::Edit;
use crate::proto::talk::entry::SeatNumber;
use serde_json::Value;

/// Positions and lengths: more than any document holds.
const PLACE_MAX: u64 = u32::MAX as u64;

/// One edit; owners are seat numbers until the room is known.
#[derive(Debug)]
pub enum Asked {
    /// Nothing to look up.
    Plain(Edit),
    /// A new action.
    AddAction {
        /// Its name, drawn here.
        id: ItemId,
        /// What is to be done.
        text: String,
        /// By whom.
        owner: Option<SeatNumber>,
    },
    /// A changed action; `owner: Some(None)` takes it from everybody.
    SetAction {
        /// Which.
        id: ItemId,
        /// What is to be done.
        text: Option<String>,
        /// By whom.
        owner: Option<Option<SeatNumber>>,
        /// Whether it is done.
        done: Option<bool>,
    },
}

impl Asked {
    /// Reads one edit.
    ///
    /// # Errors
    /// What is wrong with it, by its place in the list.
    pub fn parse(value: Value, place: usize) -> Result<Asked, Failure> {
        let place = format!("edits[{place}]");
        let known = "splice, mark, unmark, add-agenda, set-agenda, remove-agenda, add-action, set-action, remove-action";
        let one_name = || Failure::bad(format!("{place} must be an object with one of these names: {known}"));
        let Value::Object(map) = value else { return Err(one_name()) };
        let mut names = map.into_iter();
        let (Some((name, value)), None) = (names.next(), names.next()) else { return Err(one_name()) };
        let mut fields = Fields::of(value, &format!("{place}.{name}"))?;
        let f = &mut fields;
        let edit = match name.as_str() {
            "splice" => Asked::Plain(Edit::Splice {
                at: f.number("at", 0..=PLACE_MAX)?,
                delete: f.optional_number("delete", 0..=PLACE_MAX)?.unwrap_or(0),
                insert: f.optional_text("insert")?.unwrap_or_default(),
            }),
            "mark" => Asked::Plain(Edit::Mark {
                start: f.number("start", 0..=PLACE_MAX)?,
                end: f.number("end", 0..=PLACE_MAX)?,
                name: f.text("name")?,
                value: f.optional_text("value")?.unwrap_or_else(|| "true".to_owned()),
            }),
            "unmark" => Asked::Plain(Edit::Unmark {
                start: f.number("start", 0..=PLACE_MAX)?,
                end: f.number("end", 0..=PLACE_MAX)?,
                name: f.text("name")?,
            }),
            "add-agenda" => {
                let minutes = f.optional_number("minutes", 0..=u64::from(u16::MAX))?.unwrap_or(0);
                Asked::Plain(Edit::AddAgenda { id: new_item()?, text: f.text("text")?, minutes })
            }
            "set-agenda" => Asked::Plain(Edit::SetAgenda {
                id: f.hex("id", ItemId::from_hex)?,
                text: f.optional_text("text")?,
                minutes: f.optional_number("minutes", 0..=u64::from(u16::MAX))?,
                done: f.optional_flag("done")?,
            }),
            "remove-agenda" => Asked::Plain(Edit::RemoveAgenda { id: f.hex("id", ItemId::from_hex)? }),
            "add-action" => {
                let owner = f.nullable_number("owner", 0..=u64::from(SeatNumber::MAX))?.flatten();
                Asked::AddAction { id: new_item()?, text: f.text("text")?, owner }
            }
            "set-action" => Asked::SetAction {
                id: f.hex("id", ItemId::from_hex)?,
                text: f.optional_text("text")?,
                owner: f.nullable_number("owner", 0..=u64::from(SeatNumber::MAX))?,
                done: f.optional_flag("done")?,
            },
            "remove-action" => Asked::Plain(Edit::RemoveAction { id: f.hex("id", ItemId::from_hex)? }),
            _ => return Err(one_name()),
        };
        fields.finish()?;
        Ok(edit)
    }

    /// The new item that this edit makes.
    pub fn new_item(&self) -> Option<ItemId> {
        match self {
            Asked::Plain(Edit::AddAgenda { id, .. }) | Asked::AddAction { id, .. } => Some(*id),
            Asked::Plain(_) | Asked::SetAction { .. } => None,
        }
    }

    /// The edit, with owners by their seats.
    ///
    /// # Errors
    /// [`Refused::UnknownSeat`]: an owner who is not in the room.
    pub fn resolve(self, seat: impl Fn(SeatNumber) -> Option<SeatId>) -> Result<Edit, Refused> {
        let find = |number: SeatNumber| seat(number).ok_or(Refused::UnknownSeat);
        Ok(match self {
            Asked::Plain(edit) => edit,
            Asked::AddAction { id, text, owner } => Edit::AddAction { id, text, owner: owner.map(find).transpose()? },
            Asked::SetAction { id, text, owner, done } => {
                let owner = owner.map(|owner| owner.map(find).transpose()).transpose()?;
                Edit::SetAction { id, text, owner, done }
            }
        })
    }
}

fn new_item() -> Result<ItemId, Failure> {
    let mut id = [0; 8];
    getrandom::fill(&mut id).map_err(|_| Failure::new("failed", "the operating system has no randomness"))?;
    Ok(ItemId(id))
}
