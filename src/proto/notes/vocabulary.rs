//! The operations that our own editor writes, and thus the only ones that anybody may: the mirror image of [`super::edit`].
//!
//! Laws: whatever [`super::Edit`] makes passes; nothing else does. No operation touches the root, so nobody can replace the text or a
//! list; no object is made but an item of a list; a text element is one scalar value; an operation refers only to earlier ones.

use super::edit::is_mark_name;
use super::view::Roots;
use crate::proto::config::{ITEM_TEXT_BYTES_MAX, MARK_VALUE_BYTES_MAX};
use crate::proto::id::{ItemId, SeatId};
use automerge::legacy::{ElementId, Key, MarkData, ObjectId, Op, OpId, OpType};
use automerge::{ExpandedChange, ObjId, ObjType, ScalarValue};

/// Whether every operation of the change from the given one on is one of ours.
pub(super) fn is_ours(change: &ExpandedChange, from: usize, roots: &Roots) -> bool {
    let mut operations = change.operations.iter().enumerate().skip(from).peekable();
    while let Some((place, operation)) = operations.next() {
        let own = change.start_op.get().saturating_add(place as u64);
        if !refers_back(operation, own) || !is_known(operation, roots) {
            return false;
        }
        // The two ends of a mark are written together.
        if matches!(operation.action, OpType::MarkBegin(_)) {
            let closed = operations.next().is_some_and(|(_, next)| is_mark_end(next, own, roots));
            if !closed {
                return false;
            }
        }
    }
    true
}

/// Whether the first three operations of a change make the three roots, which is how every document begins.
pub(super) fn makes_roots(change: &ExpandedChange) -> bool {
    let roots = [("text", ObjType::Text), ("agenda", ObjType::List), ("actions", ObjType::List)];
    change.operations.len() >= roots.len()
        && roots.iter().zip(&change.operations).all(|((key, kind), operation)| {
            operation.obj == ObjectId::Root
                && operation.action == OpType::Make(*kind)
                && operation.key == Key::Map((*key).into())
                && operation.pred.is_empty()
                && !operation.insert
        })
}

fn is_known(operation: &Op, roots: &Roots) -> bool {
    let ObjectId::Id(object) = &operation.obj else { return false };
    if is(object, &roots.text) {
        is_of_text(operation)
    } else if is(object, &roots.agenda) || is(object, &roots.actions) {
        is_of_list(operation)
    } else {
        is_of_item(operation)
    }
}

fn is_of_text(operation: &Op) -> bool {
    let Key::Seq(element) = &operation.key else { return false };
    match &operation.action {
        OpType::Put(ScalarValue::Str(value)) => operation.insert && operation.pred.is_empty() && value.chars().count() == 1,
        OpType::Delete => is_deletion(operation, element),
        OpType::MarkBegin(MarkData { name, value, .. }) => {
            let value = match value {
                ScalarValue::Str(value) => value.len() <= MARK_VALUE_BYTES_MAX,
                ScalarValue::Null => true,
                _ => false,
            };
            operation.insert && operation.pred.is_empty() && is_mark_name(name) && value
        }
        // Only right after its beginning, which looks for it itself.
        OpType::MarkEnd(_) => false,
        OpType::Make(_) | OpType::Increment(_) | OpType::Put(_) => false,
    }
}

fn is_mark_end(operation: &Op, begin: u64, roots: &Roots) -> bool {
    matches!(&operation.obj, ObjectId::Id(object) if is(object, &roots.text))
        && matches!(operation.action, OpType::MarkEnd(_))
        && matches!(operation.key, Key::Seq(_))
        && operation.insert
        && operation.pred.is_empty()
        && refers_back(operation, begin.saturating_add(1))
}

fn is_of_list(operation: &Op) -> bool {
    let Key::Seq(element) = &operation.key else { return false };
    match &operation.action {
        OpType::Make(ObjType::Map) => operation.insert && operation.pred.is_empty(),
        OpType::Delete => is_deletion(operation, element),
        OpType::Make(_) | OpType::Increment(_) | OpType::Put(_) | OpType::MarkBegin(_) | OpType::MarkEnd(_) => false,
    }
}

fn is_of_item(operation: &Op) -> bool {
    let Key::Map(field) = &operation.key else { return false };
    if operation.insert {
        return false;
    }
    match (&operation.action, field.as_str()) {
        (OpType::Put(ScalarValue::Str(value)), "id") => ItemId::from_hex(value).is_some() && operation.pred.is_empty(),
        (OpType::Put(ScalarValue::Str(value)), "text") => value.len() <= ITEM_TEXT_BYTES_MAX,
        (OpType::Put(ScalarValue::Str(value)), "owner") => SeatId::from_hex(value).is_some(),
        (OpType::Put(ScalarValue::Uint(value)), "minutes") => u16::try_from(*value).is_ok(),
        (OpType::Put(ScalarValue::Boolean(_)), "done") => true,
        // Of an owner who steps back; of the others when the winner of a conflict is written once more and its losers go.
        (OpType::Delete, "text" | "owner" | "minutes" | "done") => !operation.pred.is_empty(),
        _ => false,
    }
}

fn is_deletion(operation: &Op, element: &ElementId) -> bool {
    !operation.insert && element.not_head() && !operation.pred.is_empty()
}

/// Whether all that an operation names is older than itself.
fn refers_back(operation: &Op, own: u64) -> bool {
    let older = |id: &OpId| (1..own).contains(&id.counter());
    let object = match &operation.obj {
        ObjectId::Id(id) => older(id),
        ObjectId::Root => true,
    };
    object && operation.key.to_opid().is_none_or(|id| older(&id)) && operation.pred.iter().all(older)
}

/// Whether an operation's object is this root.
pub(super) fn is(object: &OpId, root: &ObjId) -> bool {
    match root {
        ObjId::Id(counter, actor, _) => object.counter() == *counter && object.actor() == actor,
        ObjId::Root => false,
    }
}
