//! The quarantine: foreign notes are tried on a copy, and only what leaves it whole may enter the live document.
//!
//! Mutated but checksum-valid changes panic Automerge 0.12 in about 7 % of all cases, and in another 7 % they are accepted and leave a
//! document that can be saved and never loaded again: 100 bytes from one member would cost everybody's notes. Hence, for each change:
//! 1. our own reader bounds it before Automerge sees it ([`super::chunk`]);
//! 2. its actor is the one its author's seat is bound to, its `seq` that actor's next, on top of that actor's previous change, and its
//!    first operation follows directly on what it builds on: no forging, no two changes in one place, no leap in the counters;
//! 3. decoded and encoded again it is the same bytes, and holds only operations of our own editor ([`super::vocabulary`]);
//! 4. our own editor writes the same bytes on the same notes ([`super::reproduce`]), which is all there is to prove; or else
//! 5. on a copy, where a panic is caught: apply, write in every part of the notes on top, save, load: same heads, same views, the same
//!    bytes when saved again, and the change comes out as it went in.
//!
//! Laws: never panics; a change that fails costs only itself (and what builds on it waits in vain), not the honest ones beside it;
//! rules 1 to 3 depend on a change and its past alone, so all replicas judge alike.
//! It stops neither an endless loop nor an exhausted allocator: whoever runs the job ends it (see [`crate::proto::job`]).

use super::chunk::{self, Chunk};
use super::document::open;
use super::edit::Edit;
use super::reproduce::reproduced;
use super::view::{Roots, View};
use super::vocabulary::{is_ours, makes_roots};
use crate::proto::config::{DOCUMENT_BYTES_MAX, DOCUMENT_INFLATED_BYTES_MAX};
use crate::proto::error::Fault;
use crate::proto::id::ItemId;
use crate::proto::io::{BoundChange, Verdict};
use automerge::{ActorId, Automerge, Change, ChangeHash, ExpandedChange, ReadDoc};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// Notes in which every change has proved sound: what the next trial begins with.
pub struct Ground {
    document: Automerge,
    roots: Roots,
    past: Past,
}

impl Ground {
    /// Reads notes as saved. `None`: they cannot be read, or are not those with these heads.
    pub fn load(document: &[u8], heads: &[[u8; 32]]) -> Option<Ground> {
        let load = || {
            let document = Automerge::load(document).ok()?;
            let roots = Roots::of(&document)?;
            Some(Ground { past: Past::of(&document), roots, document })
        };
        guarded(load).filter(|ground| ground.stands_at(heads))
    }

    /// Whether these are the heads of its notes. Heads name all that is under them, so equal heads are equal notes.
    pub fn stands_at(&self, heads: &[[u8; 32]]) -> bool {
        let mut own: Vec<[u8; 32]> = self.document.get_heads().iter().map(|head| head.0).collect();
        own.sort_unstable();
        own == heads
    }

    /// Tries changes on a copy, all at once and, when that fails, in halves down to the ones at fault. The sound ones are part of the
    /// ground afterwards.
    pub fn try_changes(&mut self, changes: &[BoundChange]) -> Vec<Verdict> {
        let candidates = changes.iter().map(|bound| examine(bound, &self.roots)).collect();
        let mut trial = Trial { ground: self, candidates, verdicts: vec![None; changes.len()] };
        loop {
            let ready = trial.ready();
            if ready.is_empty() {
                return trial.verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Waiting)).collect();
            }
            trial.prove(&ready);
        }
    }
}

/// Tries a document that a peer saved: at most `config::DOCUMENT_BYTES_MAX`, saved by our own version (to the byte), of our shape and
/// vocabulary throughout, and it can be written on, saved and loaded.
pub fn is_sound(bytes: &[u8]) -> bool {
    const DOCUMENT: u8 = 0;
    let fits = bytes.len() <= DOCUMENT_BYTES_MAX && chunk::open(bytes, DOCUMENT).is_some();
    fits && guarded(|| stands_alone(bytes)).is_some()
}

fn stands_alone(bytes: &[u8]) -> Option<()> {
    let document = Automerge::load(bytes).ok()?;
    holds(document.save() == bytes && document.save_nocompress().len() <= DOCUMENT_INFLATED_BYTES_MAX)?;
    let roots = Roots::of(&document)?;
    let mut past = Past::default();
    for (place, change) in document.get_changes(&[]).into_iter().enumerate() {
        let plain = change.timestamp() == 0 && change.message().is_none() && change.extra_bytes().is_empty();
        let expanded = change.decode();
        let ours = match place {
            0 => change.seq() == 1 && change.deps().is_empty() && makes_roots(&expanded) && is_ours(&expanded, 3, &roots),
            _ => is_ours(&expanded, 0, &roots) && past.place(&change) == Place::Next,
        };
        holds(plain && ours)?;
        past.insert(&change);
    }
    can_be_written_on(document, &roots)
}

/// Runs what may panic. The hook still reports the panic, so that it is seen in tests and logs; nothing of the notes is in it.
fn guarded<T>(risky: impl FnOnce() -> Option<T>) -> Option<T> {
    catch_unwind(AssertUnwindSafe(risky)).ok().flatten()
}

fn holds(condition: bool) -> Option<()> {
    condition.then_some(())
}

/// Rules 1 and 3 and the binding of the actor: all that can be said of a change without a document.
fn examine(bound: &BoundChange, roots: &Roots) -> Result<Change, Fault> {
    let chunk = Chunk::read(&bound.bytes)?;
    if chunk.actor != bound.actor {
        return Err(Fault::Forged("actor of a change"));
    }
    if chunk.deps.is_empty() || chunk.seq == 0 {
        return Err(Fault::OutOfPlace("change"));
    }
    let decoded = guarded(|| {
        let change = Change::try_from(bound.bytes.as_slice()).ok()?;
        let expanded: ExpandedChange = change.decode();
        let agrees =
            change.hash().0 == chunk.hash && change.len() as u64 == chunk.operations && change.start_op().get() == chunk.start_op;
        holds(agrees && is_ours(&expanded, 0, roots))?;
        (Change::from(expanded).raw_bytes() == bound.bytes).then_some(change)
    });
    decoded.ok_or(Fault::Malformed("operations of a change"))
}

/// What of each change is needed to place the next.
#[derive(Clone, Default)]
struct Past {
    changes: BTreeMap<ChangeHash, Node>,
    /// Each actor's changes by `seq`, from 1 without gaps.
    actors: BTreeMap<ActorId, Vec<ChangeHash>>,
}

#[derive(Clone)]
struct Node {
    max_op: u64,
    /// Shared, since a past is copied in each round.
    deps: Arc<[ChangeHash]>,
}

/// Where a change stands towards the past.
#[derive(PartialEq, Eq)]
enum Place {
    Known,
    Next,
    TooEarly,
    Never,
}

impl Past {
    fn of(document: &Automerge) -> Self {
        let mut past = Self::default();
        for change in document.get_changes_meta(&[]) {
            past.actors.entry(change.actor.into_owned()).or_default().push(change.hash);
            past.changes.insert(change.hash, Node { max_op: change.max_op, deps: change.deps.into() });
        }
        past
    }

    fn insert(&mut self, change: &Change) {
        self.actors.entry(change.actor_id().clone()).or_default().push(change.hash());
        self.changes.insert(change.hash(), Node { max_op: change.max_op(), deps: change.deps().into() });
    }

    /// Rule 2. A change's largest operation is larger than those of all it builds on, so the past is walked only as deep as needed.
    fn place(&self, change: &Change) -> Place {
        if self.changes.contains_key(&change.hash()) {
            return Place::Known;
        }
        let mut newest = 0;
        for dep in change.deps() {
            match self.changes.get(dep) {
                Some(node) => newest = newest.max(node.max_op),
                None => return Place::TooEarly,
            }
        }
        let own: &[ChangeHash] = self.actors.get(change.actor_id()).map_or(&[], Vec::as_slice);
        let follows = own.last().is_none_or(|previous| self.is_ancestor(*previous, change.deps()));
        let is_next = change.seq() == own.len() as u64 + 1 && change.start_op().get() == newest.saturating_add(1) && follows;
        if is_next { Place::Next } else { Place::Never }
    }

    fn is_ancestor(&self, sought: ChangeHash, heads: &[ChangeHash]) -> bool {
        let depth = self.changes.get(&sought).map_or(0, |node| node.max_op);
        let mut left: Vec<ChangeHash> = heads.to_vec();
        let mut seen = std::collections::BTreeSet::new();
        while let Some(hash) = left.pop() {
            if hash == sought {
                return true;
            }
            if let Some(node) = self.changes.get(&hash)
                && node.max_op > depth
                && seen.insert(hash)
            {
                left.extend(node.deps.iter());
            }
        }
        false
    }
}

/// The changes on trial, by their place in the job.
struct Trial<'a> {
    ground: &'a mut Ground,
    candidates: Vec<Result<Change, Fault>>,
    verdicts: Vec<Option<Verdict>>,
}

impl Trial<'_> {
    /// Judges what can be judged now, and gives those that are next in line, in the order of their dependencies.
    fn ready(&mut self) -> Vec<usize> {
        let mut past = self.ground.past.clone();
        let mut ready = Vec::new();
        loop {
            let before = ready.len();
            for (place, candidate) in self.candidates.iter().enumerate() {
                let verdict = &mut self.verdicts[place];
                if verdict.is_some() || ready.contains(&place) {
                    continue;
                }
                let Ok(change) = candidate else {
                    *verdict = Some(Verdict::Hostile);
                    continue;
                };
                match past.place(change) {
                    // A second copy of one that is on trial gets its verdict in the next round.
                    Place::Known if self.ground.past.changes.contains_key(&change.hash()) => *verdict = Some(Verdict::Sound),
                    Place::Known | Place::TooEarly => {}
                    Place::Never if self.ground.past.place(change) != Place::TooEarly => *verdict = Some(Verdict::Hostile),
                    Place::Never => {}
                    Place::Next => {
                        past.insert(change);
                        ready.push(place);
                    }
                }
            }
            if ready.len() == before {
                return ready;
            }
        }
    }

    /// Rule 4, from the first on as long as it says yes. Gives those that are left.
    fn reproduce<'p>(&mut self, places: &'p [usize]) -> &'p [usize] {
        for (count, place) in places.iter().enumerate() {
            let Ok(change) = &self.candidates[*place] else { return &places[count..] };
            let Ground { document, roots, past } = &mut *self.ground;
            let next = (past.place(change) == Place::Next).then(|| guarded(|| reproduced(document, roots, change))).flatten();
            let Some(next) = next else { return &places[count..] };
            *document = next;
            past.insert(change);
            self.verdicts[*place] = Some(Verdict::Sound);
        }
        &[]
    }

    /// Rules 4 and 5, for all of them or for each half.
    fn prove(&mut self, places: &[usize]) {
        let places = self.reproduce(places);
        let mut past = self.ground.past.clone();
        let mut changes = Vec::with_capacity(places.len());
        let mut standing = Vec::with_capacity(places.len());
        for place in places {
            // What builds on a change that has just failed is not ready after all.
            if let Ok(change) = &self.candidates[*place]
                && past.place(change) == Place::Next
            {
                past.insert(change);
                changes.push(change.clone());
                standing.push(*place);
            }
        }
        if standing.is_empty() {
            return;
        }
        if let Some(document) = guarded(|| survives(self.ground, &changes)) {
            (self.ground.document, self.ground.past) = (document, past);
            standing.iter().for_each(|place| self.verdicts[*place] = Some(Verdict::Sound));
        } else if let [only] = standing.as_slice() {
            self.verdicts[*only] = Some(Verdict::Hostile);
        } else {
            let (first, second) = standing.split_at(standing.len() / 2);
            self.prove(first);
            self.prove(second);
        }
    }
}

/// The document with the changes in it, if it is whole.
fn survives(ground: &Ground, changes: &[Change]) -> Option<Automerge> {
    let mut next = ground.document.clone();
    next.apply_changes(changes.iter().cloned()).ok()?;
    holds(next.get_missing_deps(&[]).is_empty() && Roots::of(&next)? == ground.roots)?;
    for change in changes {
        holds(next.get_change_by_hash(&change.hash())?.raw_bytes() == change.raw_bytes())?;
    }
    can_be_written_on(next.clone(), &ground.roots)?;
    Some(next)
}

/// Whether the document with an honest edit in every part of it saves and loads to the same. A load compares the heads, which are
/// hashes over all changes under them, so every change comes out again as it went in.
fn can_be_written_on(mut document: Automerge, roots: &Roots) -> Option<()> {
    document.set_actor(ActorId::from(b"probe".as_slice()));
    let mut writing = open(document);
    let length = writing.length(&roots.text);
    for at in [0, length / 2, length] {
        Edit::Splice { at, delete: 0, insert: "?".into() }.apply(&mut writing, roots).ok()?;
    }
    Edit::Mark { start: 0, end: length + 3, name: "probe".into(), value: "?".into() }.apply(&mut writing, roots).ok()?;
    Edit::Splice { at: (length + 3) / 2, delete: 1, insert: String::new() }.apply(&mut writing, roots).ok()?;
    let (agenda, action) = (ItemId(*b"?agenda?"), ItemId(*b"?action?"));
    Edit::AddAgenda { id: agenda, text: "?".into(), minutes: 1 }.apply(&mut writing, roots).ok();
    Edit::AddAction { id: action, text: "?".into(), owner: None }.apply(&mut writing, roots).ok();
    let (document, hash, _) = writing.commit();
    document.get_change_by_hash(&hash?)?;
    // Without compression, which costs more than all the rest of saving and has nothing to do with what is in a change.
    let saved = document.save_nocompress();
    let loaded = Automerge::load(&saved).ok()?;
    holds(loaded.get_heads() == document.get_heads() && loaded.save_nocompress() == saved)?;
    holds(Roots::of(&loaded)? == *roots && View::now(&loaded, roots) == View::now(&document, roots))
}
