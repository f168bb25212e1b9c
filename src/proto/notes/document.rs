//! One seat's copy of the notes: edits in, changes out, changes of others in.
//!
//! Laws: every document of a talk begins with the same first change, byte for byte, so that all copies merge; a change carries no
//! time, no message and no author; what is pending is in the views and in nothing else (heads, changes and the saved bytes know only
//! what is committed); a change that breaks the document leaves it as it was.
//! It does not judge foreign bytes: [`super::quarantine`] does, and [`Document::load`] and [`Document::adopt`] take only what passed.

use super::chunk::change_hash;
use super::edit::{Cost, Edit, Spliced};
use super::view::{ActionItem, AgendaItem, MarkSpan, Roots, View, items, spans};
use crate::proto::config::{CHANGE_CUT_BYTES, UNDO_CHANGES_MAX};
use crate::proto::error::Refused;
use crate::proto::id::SeatId;
use crate::proto::secret::hash16;
use automerge::transaction::{OwnedTransaction, Transactable};
use automerge::{ActorId, Automerge, Change, ChangeHash, ObjType, ROOT, ReadDoc};
use std::panic::{AssertUnwindSafe, catch_unwind};
use thiserror::Error;

/// A change without content: chunk header, own actor, counters and the table of columns.
const HEAD_BYTES: usize = 75;
/// A hash.
const DEPENDENCY_BYTES: usize = 32;
/// Each other actor whose operations are referred to.
const ACTOR_BYTES: usize = 9;

/// The Automerge actor that a seat writes as in one fold generation, and the only one it may: 8 bytes of hash("alcove/1 actor").
pub fn actor(seat: SeatId, generation: u32) -> Vec<u8> {
    hash16("alcove/1 actor", &[&seat.0, &generation.to_le_bytes()])[..8].to_vec()
}

/// A change as it travels: one uncompressed change chunk of the Automerge storage format.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangeBytes {
    /// Its name: SHA-256 of the chunk without magic and checksum.
    pub hash: [u8; 32],
    /// The whole chunk.
    pub bytes: Vec<u8>,
}

/// Why [`Document::adopt`] did nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum NotAdopted {
    /// A change cannot straddle those of others.
    #[error("commit and send the pending edits first")]
    Pending,
    /// The document has moved on since the quarantine, and what was sound then is not now.
    #[error("run the changes through the quarantine again, against the document as it is now")]
    Unproven,
}

/// The notes of one talk in one fold generation, as one seat has them.
pub struct Document {
    seat: SeatId,
    generation: u32,
    pub(super) roots: Roots,
    /// Everything committed.
    pub(super) settled: Automerge,
    /// A copy of `settled` with the pending edits in its open transaction, while there are any.
    pub(super) writing: Option<Writing>,
    /// The last changes of this seat that can be taken back, newest last. Not saved.
    pub(super) mine: Vec<ChangeHash>,
}

pub(super) struct Writing {
    pub(super) transaction: OwnedTransaction,
    cost: Cost,
    /// The splices so far.
    pub(super) splices: Vec<Spliced>,
}

/// For the model check alone: a copy without what is being typed.
#[cfg(test)]
impl Clone for Document {
    fn clone(&self) -> Self {
        let (roots, settled, mine) = (self.roots.clone(), self.settled.clone(), self.mine.clone());
        Document { seat: self.seat, generation: self.generation, roots, settled, writing: None, mine }
    }
}

impl Document {
    /// The empty notes of a talk, generation 0. The first change is the same on every device.
    pub fn new(seat: SeatId) -> Self {
        let genesis = hash16("alcove/1 genesis", &[])[..8].to_vec();
        let (settled, roots) = begin(&genesis, |_, _| {});
        Self::over(settled, roots, seat, 0)
    }

    /// A document from its saved bytes: our own, or a peer's that the quarantine (`Job::Load`) found sound. `None` if it does not
    /// load or has not our shape.
    pub fn load(bytes: &[u8], seat: SeatId, generation: u32) -> Option<Self> {
        let settled = Automerge::load(bytes).ok()?;
        let roots = Roots::of(&settled)?;
        Some(Self::over(settled, roots, seat, generation))
    }

    pub(super) fn over(mut settled: Automerge, roots: Roots, seat: SeatId, generation: u32) -> Self {
        settled.set_actor(ActorId::from(actor(seat, generation)));
        Self { seat, generation, roots, settled, writing: None, mine: Vec::new() }
    }

    /// How often these notes have been folded.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Whose copy this is.
    pub fn seat(&self) -> SeatId {
        self.seat
    }

    /// Carries out edits, one after the other; they stay pending until [`Document::commit`].
    ///
    /// # Errors
    /// [`Refused::OutOfRange`]: a position, id or length outside its bounds, or more than one change may hold: commit, split the
    /// edit and go on. [`Refused::TooMany`]: the list is full. The edits before the refused one stand; it and those after it do not.
    pub fn edit(&mut self, edits: &[Edit]) -> Result<(), Refused> {
        for edit in edits {
            let cost = match &self.writing {
                Some(writing) => writing.cost.plus(edit.cost(writing.splices.last())),
                None => edit.cost(None),
            };
            if !cost.fits() {
                return Err(Refused::OutOfRange);
            }
            let writing = match self.writing.take() {
                Some(writing) => self.writing.insert(writing),
                None => {
                    let transaction = open(self.settled.clone());
                    self.writing.insert(Writing { transaction, cost: Cost::default(), splices: Vec::new() })
                }
            };
            let done = edit.apply(&mut writing.transaction, &self.roots);
            if done.is_ok() {
                writing.cost = cost;
                if let Edit::Splice { at, delete, insert } = edit {
                    writing.splices.push(Spliced { at: *at, deleted: *delete, inserted: insert.chars().count() });
                }
            }
            if writing.transaction.pending_ops() == 0 {
                self.writing = None;
            }
            done?;
        }
        Ok(())
    }

    /// Whether edits wait for [`Document::commit`].
    pub fn has_pending(&self) -> bool {
        self.writing.is_some()
    }

    /// About how many bytes the pending edits will make as a change, rather too many than too few; 0 without any.
    pub fn pending_bytes(&self) -> usize {
        let Some(writing) = &self.writing else { return 0 };
        let others = usize::try_from(self.settled.stats().num_actors).unwrap_or(usize::MAX).min(writing.cost.operations + 1);
        HEAD_BYTES + DEPENDENCY_BYTES * self.settled.get_heads().len() + ACTOR_BYTES * others + writing.cost.bytes
    }

    /// Whether the pending edits are as much as a change should hold (`config::CHANGE_CUT_BYTES`) and are to be committed now. Measured
    /// as if the notes had one head: many heads make a change larger, and cutting it sooner would only make more of them.
    pub fn is_full(&self) -> bool {
        let content = self.writing.as_ref().map_or(0, |writing| writing.cost.bytes);
        HEAD_BYTES + DEPENDENCY_BYTES + ACTOR_BYTES + content > CHANGE_CUT_BYTES
    }

    /// Closes the pending edits into one change, which others can have from now on. `None` if nothing is pending.
    pub fn commit(&mut self) -> Option<ChangeBytes> {
        let change = self.settle()?;
        if self.mine.len() >= UNDO_CHANGES_MAX {
            self.mine.remove(0);
        }
        self.mine.push(ChangeHash(change.hash));
        Some(change)
    }

    /// Commits without remembering it for an undo.
    pub(super) fn settle(&mut self) -> Option<ChangeBytes> {
        let (settled, hash, _) = self.writing.take()?.transaction.commit();
        self.settled = settled;
        self.settled.get_change_by_hash(&hash?).map(|change| bytes_of(&change))
    }

    /// Carries out edits of any size; an edit that no longer applies is left out. What does not fit into the pending change closes
    /// it, and the changes so closed are returned.
    pub(super) fn write(&mut self, edits: Vec<Edit>) -> Vec<ChangeBytes> {
        let mut closed = Vec::new();
        for edit in edits.into_iter().flat_map(Edit::pieces) {
            if self.edit(std::slice::from_ref(&edit)).is_err() && self.has_pending() {
                closed.extend(self.settle());
                let _gone_meanwhile = self.edit(&[edit]);
            }
        }
        closed
    }

    /// Takes changes of others in, each found [`Sound`](crate::proto::io::Verdict::Sound) by the quarantine. Those that are there
    /// already are skipped.
    ///
    /// The changes are applied to a copy of the live document instead of replacing it by the document the quarantine saved: the live
    /// one may have moved on while the job ran, and what was committed meanwhile must not be lost. It also costs less than a load.
    /// That this very combination was not tried is why it happens on a copy, guarded, and is read once before it goes live.
    ///
    /// # Errors
    /// [`NotAdopted`]; the document is as it was.
    pub fn adopt(&mut self, changes: &[impl AsRef<[u8]>]) -> Result<(), NotAdopted> {
        if self.has_pending() {
            return Err(NotAdopted::Pending);
        }
        let is_new = |bytes: &&[u8]| change_hash(bytes).is_none_or(|hash| !self.has(&hash));
        let new: Vec<&[u8]> = changes.iter().map(AsRef::as_ref).filter(is_new).collect();
        if new.is_empty() {
            return Ok(());
        }
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let decoded: Vec<Change> = new.iter().map(|bytes| Change::try_from(*bytes).ok()).collect::<Option<_>>()?;
            let hashes: Vec<ChangeHash> = decoded.iter().map(Change::hash).collect();
            let mut next = self.settled.clone();
            next.apply_changes(decoded).ok()?;
            View::now(&next, &self.roots);
            hashes.iter().all(|hash| next.get_change_meta_by_hash(hash).is_some()).then_some(next)
        }));
        let Ok(Some(next)) = applied else { return Err(NotAdopted::Unproven) };
        self.settled = next;
        Ok(())
    }

    /// The notes as this user sees them, pending edits included.
    pub fn view(&self) -> View {
        match &self.writing {
            Some(writing) => View::now(&writing.transaction, &self.roots),
            None => View::now(&self.settled, &self.roots),
        }
    }

    /// The text, pending edits included.
    pub fn text(&self) -> String {
        match &self.writing {
            Some(writing) => writing.transaction.text(&self.roots.text),
            None => self.settled.text(&self.roots.text),
        }
        .unwrap_or_default()
    }

    /// The marks of the text, sorted, pending edits included.
    pub fn marks(&self) -> Vec<MarkSpan> {
        let marks = match &self.writing {
            Some(writing) => writing.transaction.marks(&self.roots.text),
            None => self.settled.marks(&self.roots.text),
        };
        spans(marks.unwrap_or_default())
    }

    /// The agenda, pending edits included.
    pub fn agenda(&self) -> Vec<AgendaItem> {
        match &self.writing {
            Some(writing) => items(&writing.transaction, &self.roots.agenda, None),
            None => items(&self.settled, &self.roots.agenda, None),
        }
    }

    /// The actions, pending edits included.
    pub fn actions(&self) -> Vec<ActionItem> {
        match &self.writing {
            Some(writing) => items(&writing.transaction, &self.roots.actions, None),
            None => items(&self.settled, &self.roots.actions, None),
        }
    }

    /// The committed changes that no other depends on, ascending. Equal heads mean equal notes.
    pub fn heads(&self) -> Vec<[u8; 32]> {
        let mut heads: Vec<[u8; 32]> = self.settled.get_heads().iter().map(|head| head.0).collect();
        heads.sort_unstable();
        heads
    }

    /// How many changes are committed, the first one included. Cost grows with it: fold at 2,000.
    pub fn change_count(&self) -> u64 {
        self.settled.stats().num_changes
    }

    /// The committed document, compressed: for the vault and for a joiner.
    pub fn save(&self) -> Vec<u8> {
        self.settled.save()
    }

    /// The committed document as it is: three times as large and four times as quick, for who reads it on the same machine.
    pub fn save_uncompressed(&self) -> Vec<u8> {
        self.settled.save_nocompress()
    }

    /// Whether the change is committed here.
    pub fn has(&self, hash: &[u8; 32]) -> bool {
        self.settled.get_change_meta_by_hash(&ChangeHash(*hash)).is_some()
    }

    /// Which of these changes are not here.
    pub fn lacks(&self, hashes: &[[u8; 32]]) -> Vec<[u8; 32]> {
        hashes.iter().filter(|hash| !self.has(hash)).copied().collect()
    }

    /// A committed change, to be sent to whoever lacks it.
    pub fn change(&self, hash: &[u8; 32]) -> Option<ChangeBytes> {
        self.settled.get_change_by_hash(&ChangeHash(*hash)).map(|change| bytes_of(&change))
    }

    /// Every change that somebody with these heads lacks, in the order of their dependencies. Heads unknown here are passed over.
    pub fn changes_since(&self, heads: &[[u8; 32]]) -> Vec<ChangeBytes> {
        let known: Vec<ChangeHash> = heads.iter().filter(|head| self.has(head)).map(|head| ChangeHash(*head)).collect();
        self.settled.get_changes(&known).iter().map(bytes_of).collect()
    }
}

/// A document whose first change is made by `actor` alone: the three roots, then what `fill` writes. The same actor and filling give
/// the same bytes.
pub(super) fn begin(actor: &[u8], fill: impl FnOnce(&mut OwnedTransaction, &Roots)) -> (Automerge, Roots) {
    const FRESH: &str = "a fresh document takes any key, and its roots are these";
    let mut writing = open(Automerge::new().with_actor(ActorId::from(actor)));
    let roots = Roots {
        text: writing.put_object(ROOT, "text", ObjType::Text).expect(FRESH),
        agenda: writing.put_object(ROOT, "agenda", ObjType::List).expect(FRESH),
        actions: writing.put_object(ROOT, "actions", ObjType::List).expect(FRESH),
    };
    fill(&mut writing, &roots);
    (writing.commit().0, roots)
}

pub(super) fn open(document: Automerge) -> OwnedTransaction {
    document.into_transaction(None, None).expect("only a patch log can belong to another document, and there is none")
}

fn bytes_of(change: &Change) -> ChangeBytes {
    ChangeBytes { hash: change.hash().0, bytes: change.raw_bytes().to_vec() }
}
