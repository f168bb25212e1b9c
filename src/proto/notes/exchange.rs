//! One talk's notes as they live: local edits on their way out, remote changes on their way through the quarantine, and the fold.
//!
//! Laws: nothing remote touches the document before a job found it sound; a change that breaks its job is tried alone before its
//! author is blamed; local edits are never lost, whatever comes in or folds meanwhile; what waits for a change that is not here costs
//! no job until something new comes, and takes no place from what others send.

use super::typing::{Run, Typing};
use super::{Document, Edit, Undone, View, actor, change_deps, change_hash, fold, rebase};
use crate::proto::config::{FOLD_CHANGES, QUARANTINE_BATCH_MAX, QUARANTINE_QUEUE_MAX};
use crate::proto::error::Refused;
use crate::proto::id::{JobId, SeatId};
use crate::proto::io::{Answer, BoundChange, Job, Verdict};
use crate::proto::secret::hash16;
use crate::proto::time::Instant;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The notes of one talk.
#[cfg_attr(test, derive(Clone))]
pub struct Notes {
    document: Document,
    queue: VecDeque<Incoming>,
    running: Option<Running>,
    typing: Option<Typing>,
    /// A job of several broke its limits: until nothing is left to try they are tried one by one.
    alone: bool,
    /// Nothing in the queue can be judged before something new comes.
    waits: bool,
    folding: Option<Folding>,
}

#[derive(Clone)]
struct Incoming {
    seat: SeatId,
    generation: u32,
    /// `None`: no change at all, so that it waits for nothing, and the quarantine says whose fault that is.
    hash: Option<[u8; 32]>,
    deps: Vec<[u8; 32]>,
    bytes: Vec<u8>,
}

#[cfg_attr(test, derive(Clone))]
enum Running {
    Quarantine { id: JobId, batch: Vec<Incoming> },
    Load { id: JobId, from: Option<SeatId>, generation: u32, included: u64, bytes: Vec<u8> },
}

#[cfg_attr(test, derive(Clone))]
struct Folding {
    generation: u32,
    heads: Vec<[u8; 32]>,
    folded: Option<Document>,
}

/// What came of a job.
#[derive(Default, Debug)]
pub struct Outcome {
    /// The notes changed.
    pub changed: bool,
    /// Changes of our own to be sent: cut because others' came in, or carried over a fold.
    pub own: Vec<Vec<u8>>,
    /// Whose change was hostile.
    pub hostile: Vec<SeatId>,
    /// A document was hostile, and whose it was if that is known.
    pub hostile_document: Option<Option<SeatId>>,
    /// A document that others offered is in use: what is older may be let go.
    pub replaced: bool,
}

impl Notes {
    /// Empty notes.
    pub fn new(seat: SeatId) -> Notes {
        Notes::over(Document::new(seat))
    }

    /// Our own notes after a restart.
    pub fn load(bytes: &[u8], seat: SeatId, generation: u32) -> Option<Notes> {
        Document::load(bytes, seat, generation).map(Notes::over)
    }

    fn over(document: Document) -> Notes {
        Notes { document, queue: VecDeque::new(), running: None, typing: None, alone: false, waits: false, folding: None }
    }

    /// What the notes say, our uncommitted edits included.
    pub fn view(&self) -> View {
        self.document.view()
    }

    /// Of which fold they are.
    pub fn generation(&self) -> u32 {
        self.document.generation()
    }

    /// Saved.
    pub fn save(&self) -> Vec<u8> {
        self.document.save()
    }

    /// Whether a change is in them.
    pub fn holds(&self, change: &[u8]) -> bool {
        change_hash(change).is_some_and(|hash| self.document.has(&hash))
    }

    /// The document's heads.
    pub fn heads(&self) -> Vec<[u8; 32]> {
        self.document.heads()
    }

    /// How many changes there are.
    pub fn change_count(&self) -> u64 {
        self.document.change_count()
    }

    /// How many changes wait for the quarantine or for what they depend on.
    pub fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.running.is_some())
    }

    /// Carries out local edits.
    ///
    /// # Errors
    /// [`Refused::OutOfRange`], [`Refused::TooMany`]; the edits before the refused one stand.
    pub fn edit(&mut self, now: Instant, edits: &[Edit]) -> Result<(), Refused> {
        let done = self.document.edit(edits);
        if self.document.has_pending() {
            let edits = if done.is_ok() { edits } else { &[] };
            self.typing = Some(Typing::go_on(self.typing.take(), now, edits));
        }
        done
    }

    /// What was typed since the last change.
    pub fn typed(&self) -> Option<&Run> {
        self.typing.as_ref().and_then(Typing::run)
    }

    /// Takes back our last edits; gives changes to send.
    pub fn undo(&mut self) -> Vec<Vec<u8>> {
        match self.document.undo_mine() {
            Undone::Changes(changes) => changes.into_iter().map(|change| change.bytes).collect(),
            Undone::Nothing | Undone::Pending => Vec::new(),
        }
    }

    /// Cuts a change if typing paused long enough or went on for long, or it is large enough; gives it to be sent.
    pub fn cut(&mut self, now: Instant) -> Option<Vec<u8>> {
        let is_due = self.typing.as_ref().is_some_and(|typing| typing.cut_at() <= now);
        if !is_due && !self.document.is_full() {
            return None;
        }
        self.commit()
    }

    /// Cuts a change now; gives it to be sent.
    pub fn commit(&mut self) -> Option<Vec<u8>> {
        self.typing = None;
        self.document.commit().map(|change| change.bytes)
    }

    /// When [`Notes::cut`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.typing.as_ref().map(Typing::cut_at)
    }

    /// Queues a remote change. A change of ours comes back after a restart: it is tried like any other.
    pub fn take(&mut self, seat: SeatId, generation: u32, bytes: Vec<u8>) {
        let hash = change_hash(&bytes);
        if generation < self.generation() || hash.is_some_and(|hash| self.document.has(&hash)) {
            return;
        }
        self.waits = false;
        let deps = change_deps(&bytes).unwrap_or_default();
        self.queue.push_back(Incoming { seat, generation, hash, deps, bytes });
        if self.queue.len() > QUARANTINE_QUEUE_MAX {
            self.drop_one();
        }
    }

    /// Makes room at the cost of whoever has most in the queue: the newest of that seat goes.
    fn drop_one(&mut self) {
        let mut shares: BTreeMap<SeatId, usize> = BTreeMap::new();
        self.queue.iter().for_each(|incoming| *shares.entry(incoming.seat).or_default() += 1);
        let fullest = shares.into_iter().max_by_key(|(_, count)| *count).map(|(seat, _)| seat);
        if let Some(place) = self.queue.iter().rposition(|incoming| Some(incoming.seat) == fullest) {
            self.queue.remove(place);
        }
    }

    /// Queues a document that a member sent (who, if that is known), of this or a later fold. `included`: how many of our own changes
    /// are in it.
    pub fn take_document(
        &mut self,
        id: JobId,
        from: Option<SeatId>,
        generation: u32,
        included: u64,
        bytes: Vec<u8>,
    ) -> Option<Job> {
        if generation < self.generation() || matches!(self.running, Some(Running::Load { .. })) {
            return None;
        }
        if let Some(Running::Quarantine { batch, .. }) = self.running.take() {
            self.put_back(batch);
        }
        let job = Job::Load { document: bytes.clone() };
        self.running = Some(Running::Load { id, from, generation, included, bytes });
        Some(job)
    }

    /// The next job, if there is something to try and none is running.
    pub fn next_job(&mut self, id: JobId) -> Option<Job> {
        let here = self.generation();
        self.queue.retain(|incoming| incoming.generation >= here);
        if self.running.is_some() || self.waits {
            return None;
        }
        let batch = self.take_ready();
        if batch.is_empty() {
            (self.waits, self.alone) = (true, false);
            return None;
        }
        let bound = |incoming: &Incoming| BoundChange { actor: actor(incoming.seat, here), bytes: incoming.bytes.clone() };
        let (document, heads) = (self.document.save_uncompressed(), self.document.heads());
        let job = Job::Quarantine { document, heads, changes: batch.iter().map(bound).collect() };
        self.running = Some(Running::Quarantine { id, batch });
        Some(job)
    }

    /// Takes out of the queue what builds on nothing but what is here or is taken along, as much as one job may have.
    fn take_ready(&mut self) -> Vec<Incoming> {
        let (here, most) = (self.generation(), if self.alone { 1 } else { QUARANTINE_BATCH_MAX });
        let (mut batch, mut along) = (Vec::new(), BTreeSet::new());
        loop {
            let before = batch.len();
            for incoming in std::mem::take(&mut self.queue) {
                let is_there = |dep: &[u8; 32]| along.contains(dep) || self.document.has(dep);
                if batch.len() < most && incoming.generation == here && incoming.deps.iter().all(is_there) {
                    along.extend(incoming.hash);
                    batch.push(incoming);
                } else {
                    self.queue.push_back(incoming);
                }
            }
            if batch.len() == before || batch.len() == most {
                return batch;
            }
        }
    }

    fn put_back(&mut self, batch: Vec<Incoming>) {
        batch.into_iter().rev().for_each(|incoming| self.queue.push_front(incoming));
        self.waits = false;
    }

    /// Takes a job's answer; `None` if the job broke its limits.
    pub fn answered(&mut self, id: JobId, answer: Option<&Answer>) -> Outcome {
        match self.running.take() {
            Some(Running::Quarantine { id: expected, batch }) if expected == id => self.quarantined(batch, answer),
            Some(Running::Load { id: expected, from, generation, included, bytes }) if expected == id => {
                match answer {
                    // We have folded meanwhile, and hold more than that fold did.
                    Some(Answer::Loaded { sound: true }) if generation < self.generation() => Outcome::default(),
                    Some(Answer::Loaded { sound: true }) => self.replace(from, generation, included, &bytes),
                    _ => Outcome { hostile_document: Some(from), ..Outcome::default() },
                }
            }
            other => {
                self.running = other;
                Outcome::default()
            }
        }
    }

    fn quarantined(&mut self, batch: Vec<Incoming>, answer: Option<&Answer>) -> Outcome {
        let mut outcome = Outcome::default();
        if batch.iter().any(|incoming| incoming.generation < self.generation()) {
            // We have folded meanwhile: too late for it, their authors carry them over.
            return outcome;
        }
        let Some(Answer::Quarantined { verdicts }) = answer else {
            // The job broke its limits: one of the batch is to blame, and only alone can it be found.
            if let [offender] = &batch[..] {
                outcome.hostile.push(offender.seat);
            } else {
                self.alone = true;
                self.put_back(batch);
            }
            return outcome;
        };
        let mut sound = Vec::new();
        let mut waiting = Vec::new();
        for (incoming, verdict) in batch.into_iter().zip(verdicts) {
            match verdict {
                Verdict::Sound => sound.push(incoming),
                Verdict::Waiting => waiting.push(incoming),
                Verdict::Hostile => outcome.hostile.push(incoming.seat),
            }
        }
        self.queue.extend(waiting);
        if sound.is_empty() {
            // A job that judged nothing at all would judge nothing again.
            self.waits = outcome.hostile.is_empty();
            return outcome;
        }
        outcome.own.extend(self.commit());
        let changes: Vec<_> = sound.iter().map(|incoming| &incoming.bytes[..]).collect();
        match self.document.adopt(&changes) {
            Ok(()) => outcome.changed = true,
            Err(_) => self.put_back(sound),
        }
        outcome
    }

    /// Puts a sound document of others in the place of ours; what we wrote and it does not hold is carried over. One that tells another
    /// history than ours does not fit to it: ours stays.
    fn replace(&mut self, from: Option<SeatId>, generation: u32, included: u64, bytes: &[u8]) -> Outcome {
        let seat = self.document.seat();
        let own: Vec<_> = self.commit().into_iter().collect();
        let hostile = |own| Outcome { own, hostile_document: Some(from), ..Outcome::default() };
        let Some(mut next) = Document::load(bytes, seat, generation) else { return hostile(own) };
        let own = if generation == self.generation() {
            // The same fold: one document is a part of the other's history, and changes find their way by themselves.
            let missing = self.document.changes_since(&next.heads());
            if next.adopt(&missing.iter().map(|change| &change.bytes).collect::<Vec<_>>()).is_err() {
                return hostile(own);
            }
            own
        } else {
            let mine = std::mem::replace(&mut self.document, Document::new(seat));
            rebase(mine, included, &mut next).into_iter().map(|change| change.bytes).collect()
        };
        self.document = next;
        self.folding = None;
        self.waits = false;
        Outcome { changed: true, own, replaced: true, ..Outcome::default() }
    }

    // ---- fold --------------------------------------------------------------------------------------------------------------------

    /// Whether the document has grown enough to be folded, and no fold is under way.
    pub fn wants_fold(&self) -> bool {
        self.folding.is_none() && self.change_count() >= FOLD_CHANGES
    }

    /// A fold at these heads is asked for. Gives the hash of what we obtain, once we have all that is folded.
    pub fn fold_at(&mut self, generation: u32, heads: Vec<[u8; 32]>, context: &[u8]) -> Option<[u8; 16]> {
        if generation != self.generation() + 1 {
            return None;
        }
        self.folding = Some(Folding { generation, heads, folded: None });
        self.try_fold(context)
    }

    /// Tries again what [`Notes::fold_at`] could not do yet.
    pub fn try_fold(&mut self, context: &[u8]) -> Option<[u8; 16]> {
        let folding = self.folding.as_mut().filter(|folding| folding.folded.is_none())?;
        let folded = fold(&self.document, &folding.heads, context)?;
        let hash = hash16("alcove/1 folded", &[&folded.save()]);
        folding.folded = Some(folded);
        Some(hash)
    }

    /// How many changes of each of these seats the fold under way includes.
    pub fn folded_counts(&self, seats: &[SeatId]) -> Vec<u64> {
        let heads = self.folding.as_ref().map(|folding| folding.heads.clone()).unwrap_or_default();
        seats.iter().map(|seat| super::written_at(&self.document, *seat, &heads)).collect()
    }

    /// The fold is agreed. `None`: we cannot follow by ourselves and need the document from a member. Otherwise our own changes after
    /// it, carried over and to be sent.
    pub fn fold_done(&mut self, generation: u32, hash: [u8; 16]) -> Option<Vec<Vec<u8>>> {
        if generation <= self.generation() {
            return Some(Vec::new());
        }
        let folding = self.folding.take().filter(|folding| folding.generation == generation)?;
        let mut folded = folding.folded.filter(|folded| hash16("alcove/1 folded", &[&folded.save()]) == hash)?;
        let _in_the_old_one = self.commit();
        let seat = self.document.seat();
        let included = super::written_at(&self.document, seat, &folding.heads);
        let mine = std::mem::replace(&mut self.document, Document::new(seat));
        let own = rebase(mine, included, &mut folded);
        self.document = folded;
        self.waits = false;
        Some(own.into_iter().map(|change| change.bytes).collect())
    }
}
