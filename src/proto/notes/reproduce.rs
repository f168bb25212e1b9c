//! A change written once more by our own hand: what our editor writes to the same bytes on the same notes needs no other proof.
//!
//! Law: it never says yes to anything that an honest editor could not have written in this very place; where it cannot say, the
//! quarantine tries the change on a copy.

use super::document::open;
use super::view::Roots;
use super::vocabulary::is;
use automerge::legacy::{ElementId, Key, ObjectId, OpId, OpType};
use automerge::transaction::Transactable;
use automerge::{Automerge, Change, Cursor, ReadDoc, ScalarValue};

/// The document with the change in it, if the same seat typing the same on these notes makes the same bytes. May panic, as Automerge may.
pub(super) fn reproduced(document: &Automerge, roots: &Roots, change: &Change) -> Option<Automerge> {
    // A change names every head, and its author's last one even where others have built on it.
    if !document.get_heads().iter().all(|head| change.deps().contains(head)) {
        return None;
    }
    let mut writing = open(document.clone().with_actor(change.actor_id().clone()));
    // What was inserted last, and where: typing goes on right behind it, and a search costs more than all the rest.
    let mut last: Option<(OpId, usize)> = None;
    let expanded = change.decode();
    for (operation, counter) in expanded.operations.iter().zip(change.start_op().get()..) {
        let (ObjectId::Id(object), Key::Seq(element)) = (&operation.obj, &operation.key) else { return None };
        if !is(object, &roots.text) {
            return None;
        }
        let find = |id: &OpId, writing: &automerge::transaction::OwnedTransaction| match &last {
            Some((newest, at)) if newest == id => Some(*at),
            _ => {
                let cursor = Cursor::try_from(format!("{}@{}", id.counter(), id.actor())).ok()?;
                writing.get_cursor_position(&roots.text, &cursor, None).ok()
            }
        };
        match (&operation.action, element) {
            (OpType::Put(ScalarValue::Str(letter)), element) if operation.insert => {
                let at = match element {
                    ElementId::Head => 0,
                    ElementId::Id(id) => find(id, &writing)? + 1,
                };
                writing.splice_text(&roots.text, at, 0, letter).ok()?;
                last = Some((OpId::new(counter, change.actor_id()), at));
            }
            (OpType::Delete, ElementId::Id(id)) => {
                let at = find(id, &writing)?;
                writing.splice_text(&roots.text, at, 1, "").ok()?;
                last = None;
            }
            _ => return None,
        }
    }
    let (document, hash, _) = writing.commit();
    // The hash is over all bytes of the change.
    (hash? == change.hash()).then_some(document)
}
