//! What a person sees of the notes: text with marks, agenda and actions as plain values, now or at earlier heads.
//!
//! Law: reading never fails. A value of the wrong type reads as its default and an item without a readable id is not shown, because
//! the quarantine keeps both out and a view is no place to discover otherwise.

use crate::proto::id::{ItemId, SeatId};
use automerge::{Automerge, ChangeHash, ObjId, ObjType, ROOT, ReadDoc, ScalarValue, Value};

/// The notes at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct View {
    /// The text; positions in it count Unicode scalar values.
    pub text: String,
    /// Its marks, sorted by start, end and name.
    pub marks: Vec<MarkSpan>,
    /// The agenda, in order.
    pub agenda: Vec<AgendaItem>,
    /// The actions, in order.
    pub actions: Vec<ActionItem>,
}

/// A stretch of text that carries a mark.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MarkSpan {
    /// The first marked scalar value.
    pub start: usize,
    /// One past the last.
    pub end: usize,
    /// Which mark ("bold").
    pub name: String,
    /// Its value ("true").
    pub value: String,
}

/// One item of the agenda.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AgendaItem {
    /// Its name.
    pub id: ItemId,
    /// What it is about.
    pub text: String,
    /// How long it shall take, in minutes.
    pub minutes: u16,
    /// Whether it is done.
    pub done: bool,
}

/// One thing somebody has taken on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionItem {
    /// Its name.
    pub id: ItemId,
    /// What is to be done.
    pub text: String,
    /// Who does it; nobody yet if `None`.
    pub owner: Option<SeatId>,
    /// Whether it is done.
    pub done: bool,
}

/// The three objects under the document's root. They are made by its first change and never replaced.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Roots {
    pub text: ObjId,
    pub agenda: ObjId,
    pub actions: ObjId,
}

impl Roots {
    /// The roots of a document that has exactly our shape: three keys, without conflict, made by operations 1, 2 and 3 of one actor.
    pub fn of(document: &impl ReadDoc) -> Option<Self> {
        if document.keys(ROOT).collect::<Vec<_>>() != ["actions", "agenda", "text"] {
            return None;
        }
        let root = |key: &str, expected: ObjType, operation: u64| match document.get_all(ROOT, key).ok()?.as_slice() {
            [(Value::Object(found), id)] if *found == expected => match id {
                ObjId::Id(counter, ..) if *counter == operation => Some(id.clone()),
                _ => None,
            },
            _ => None,
        };
        let roots = Self {
            text: root("text", ObjType::Text, 1)?,
            agenda: root("agenda", ObjType::List, 2)?,
            actions: root("actions", ObjType::List, 3)?,
        };
        match (&roots.text, &roots.agenda, &roots.actions) {
            (ObjId::Id(_, a, _), ObjId::Id(_, b, _), ObjId::Id(_, c, _)) if a == b && b == c => Some(roots),
            _ => None,
        }
    }
}

impl View {
    /// The notes as they are, pending edits of `document` included.
    pub(super) fn now(document: &impl ReadDoc, roots: &Roots) -> View {
        View {
            text: document.text(&roots.text).unwrap_or_default(),
            marks: spans(document.marks(&roots.text).unwrap_or_default()),
            agenda: items(document, &roots.agenda, None),
            actions: items(document, &roots.actions, None),
        }
    }

    /// The notes as they were at `heads`.
    pub(super) fn at(document: &Automerge, roots: &Roots, heads: &[ChangeHash]) -> View {
        View {
            text: document.text_at(&roots.text, heads).unwrap_or_default(),
            marks: spans(document.marks_at(&roots.text, heads).unwrap_or_default()),
            agenda: items(document, &roots.agenda, Some(heads)),
            actions: items(document, &roots.actions, Some(heads)),
        }
    }
}

/// Marks in canonical order; removed ones (null) and empty ones are none.
pub(super) fn spans(marks: Vec<automerge::marks::Mark>) -> Vec<MarkSpan> {
    let mut spans: Vec<MarkSpan> = marks
        .into_iter()
        .filter(|mark| mark.start < mark.end)
        .filter_map(|mark| match &mark.value {
            ScalarValue::Str(value) => {
                Some(MarkSpan { start: mark.start, end: mark.end, name: mark.name.to_string(), value: value.to_string() })
            }
            _ => None,
        })
        .collect();
    spans.sort();
    spans
}

/// A map in one of the two lists, read field by field.
pub(super) struct Fields<'a, D: ReadDoc> {
    document: &'a D,
    map: ObjId,
    heads: Option<&'a [ChangeHash]>,
}

impl<D: ReadDoc> Fields<'_, D> {
    fn scalar(&self, key: &str) -> Option<ScalarValue> {
        let found = match self.heads {
            None => self.document.get(&self.map, key),
            Some(heads) => self.document.get_at(&self.map, key, heads),
        };
        match found {
            Ok(Some((Value::Scalar(value), _))) => Some(value.into_owned()),
            _ => None,
        }
    }

    fn text(&self, key: &str) -> String {
        match self.scalar(key) {
            Some(ScalarValue::Str(text)) => text.to_string(),
            _ => String::new(),
        }
    }

    fn id(&self) -> Option<ItemId> {
        ItemId::from_hex(&self.text("id"))
    }

    fn done(&self) -> bool {
        matches!(self.scalar("done"), Some(ScalarValue::Boolean(true)))
    }
}

/// An item that can be read from its map.
pub(super) trait Item: Sized {
    fn read<D: ReadDoc>(fields: &Fields<D>) -> Option<Self>;
}

impl Item for AgendaItem {
    fn read<D: ReadDoc>(fields: &Fields<D>) -> Option<Self> {
        let minutes = match fields.scalar("minutes") {
            Some(ScalarValue::Uint(minutes)) => u16::try_from(minutes).unwrap_or(u16::MAX),
            _ => 0,
        };
        Some(Self { id: fields.id()?, text: fields.text("text"), minutes, done: fields.done() })
    }
}

impl Item for ActionItem {
    fn read<D: ReadDoc>(fields: &Fields<D>) -> Option<Self> {
        let owner = SeatId::from_hex(&fields.text("owner"));
        Some(Self { id: fields.id()?, text: fields.text("text"), owner, done: fields.done() })
    }
}

/// The readable items of a list, in order.
pub(super) fn items<T: Item>(document: &impl ReadDoc, list: &ObjId, heads: Option<&[ChangeHash]>) -> Vec<T> {
    maps(document, list, heads).into_iter().filter_map(|map| T::read(&Fields { document, map, heads })).collect()
}

/// The place and the map of the item with this id, if it is in the list.
pub(super) fn find(document: &impl ReadDoc, list: &ObjId, id: ItemId) -> Option<(usize, ObjId)> {
    let all = maps(document, list, None).into_iter().enumerate();
    all.map(|(place, map)| (place, Fields { document, map, heads: None }))
        .find(|(_, fields)| fields.id() == Some(id))
        .map(|(place, fields)| (place, fields.map))
}

fn maps(document: &impl ReadDoc, list: &ObjId, heads: Option<&[ChangeHash]>) -> Vec<ObjId> {
    let range = match heads {
        None => document.list_range(list, ..),
        Some(heads) => document.list_range_at(list, .., heads),
    };
    range.map(|item| item.id()).collect()
}
