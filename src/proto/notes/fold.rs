//! Folding: the notes start anew from what is seen, so that what was deleted is gone from the bytes as well.
//!
//! Laws: at the same heads every seat folds to the same bytes, so nothing but the heads need be agreed on and nothing is sent; what a
//! seat wrote after those heads is carried over and not one scalar value of it is lost; the deleted is in the folded document nowhere.
//! A fold drops the losing side of a conflict: the caller folds only at heads that every seat has acknowledged.

use super::carry::{Clash, Step};
use super::document::{ChangeBytes, Document, actor, begin};
use super::edit::{EXPAND, append_action, append_agenda};
use super::placement::Placement;
use super::view::{Roots, View};
use crate::proto::id::SeatId;
use crate::proto::secret::hash16;
use automerge::marks::Mark;
use automerge::transaction::Transactable;
use automerge::{ActorId, ChangeHash, ChangeMetadata};

/// The next generation of the notes as they were at `heads`: text, then marks, then agenda, then actions, in one first change of the
/// actor hash("alcove/1 fold", context, generation, heads). `context` separates talks; it is the same for all of a talk's seats.
/// `None` if a head is not here. Edits after the heads are not in it: see [`rebase`].
pub fn fold(notes: &Document, heads: &[[u8; 32]], context: &[u8]) -> Option<Document> {
    let mut sorted = heads.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.is_empty() || !notes.lacks(&sorted).is_empty() {
        return None;
    }
    let at: Vec<ChangeHash> = sorted.iter().map(|head| ChangeHash(*head)).collect();
    let view = View::at(&notes.settled, &notes.roots, &at);
    let generation = notes.generation().checked_add(1)?;
    let actor = hash16("alcove/1 fold", &[context, &generation.to_le_bytes(), sorted.as_flattened()]);
    let (settled, roots) = begin(&actor[..8], |writing, roots| rewrite(writing, roots, &view));
    Some(Document::over(settled, roots, notes.seat(), generation))
}

fn rewrite(writing: &mut impl Transactable, roots: &Roots, view: &View) {
    const FRESH: &str = "a view of our own shape fits into a fresh document";
    writing.splice_text(&roots.text, 0, 0, &view.text).expect(FRESH);
    for mark in &view.marks {
        let mark = Mark::new(mark.name.clone(), mark.value.as_str(), mark.start, mark.end);
        writing.mark(&roots.text, mark, EXPAND).expect(FRESH);
    }
    view.agenda.iter().try_for_each(|item| append_agenda(writing, roots, item)).expect(FRESH);
    view.actions.iter().try_for_each(|item| append_action(writing, roots, item)).expect(FRESH);
}

/// How many changes of a seat there are at `heads`: what a fold there includes of them. Heads unknown here are passed over.
pub fn written_at(notes: &Document, seat: SeatId, heads: &[[u8; 32]]) -> u64 {
    let known: Vec<ChangeHash> = heads.iter().filter(|head| notes.has(head)).map(|head| ChangeHash(*head)).collect();
    let mine = ActorId::from(actor(seat, notes.generation()));
    let count = |changes: Vec<ChangeMetadata>| changes.iter().filter(|change| *change.actor == mine).count() as u64;
    count(notes.settled.get_changes_meta(&[])) - count(notes.settled.get_changes_meta(&known))
}

/// Carries into the folded notes what this seat wrote and the fold does not hold: its changes after the first `included` ones (see
/// [`written_at`]; a seat that was away is told by those who folded). What others wrote late is left to them. The result is changes
/// of the new generation, to be sent.
///
/// Each stretch of own changes without a foreign one in between is carried as one edit; the place of each scalar value in the folded
/// text is found by minimal difference, because the two documents have no history in common.
pub fn rebase(mut mine: Document, included: u64, folded: &mut Document) -> Vec<ChangeBytes> {
    mine.commit();
    let me = ActorId::from(actor(mine.seat(), mine.generation()));
    let late = mine.settled.get_changes_meta(&[]).into_iter().filter(|change| *change.actor == me && change.seq > included);
    let mut stretches: Vec<(Vec<ChangeHash>, ChangeHash)> = Vec::new();
    for change in late {
        match stretches.last_mut() {
            Some((_, last)) if change.deps == [*last] => *last = change.hash,
            _ => stretches.push((change.deps, change.hash)),
        }
    }
    let mut changes = Vec::from_iter(folded.commit());
    for (before, after) in stretches {
        let step = Step::between(&mine, &before, &[after]);
        let placement = Placement::by_difference(&step.from.text, &folded.text());
        changes.extend(step.carry(&placement, folded, Clash::WriteMine));
    }
    changes
}
