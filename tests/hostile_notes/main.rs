//! A member with a program of her own against the notes of the others: changes and documents that are wrong in every way we could think
//! of, with lengths and checksums that are right, through the very path that an honest one takes.
//!
//! A share runs with all tests. All of it: `HOSTILE_NOTES=100000 cargo test --release --workspace --test hostile_notes -- --nocapture`.

mod chunk;
mod limits;
mod mutate;
mod scene;

use alcove::proto::id::{JobId, SeatId};
use alcove::proto::io::{Answer, Job};
use alcove::proto::job;
use alcove::proto::notes::exchange::Notes;
use alcove::proto::notes::{Document, Edit, change_hash, fold};
use alcove::proto::rng::Rng;
use alcove::proto::time::Instant;
use alcove::shell::worker::Worker;
use automerge::Automerge;
use mutate::{CHANGE_WAYS, DOCUMENT_BOMB, DOCUMENT_WAYS, Kit};
use scene::{ATTACKER, Scene, VICTIM, seeded};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use tokio::runtime::{Builder, Runtime};

/// How many hostile changes and documents a usual run tries.
const SHARE: u64 = 2_000;
const SCENES: u64 = 16;
/// Of ten that are tried, two are documents.
const CHANGES: usize = 8;
const DOCUMENTS: usize = 2;

#[test]
fn no_hostile_change_or_document_panics_outside_its_job_or_breaks_the_notes_and_each_has_an_author() {
    let count = std::env::var("HOSTILE_NOTES").ok().and_then(|count| count.parse().ok()).unwrap_or(SHARE);
    let rounds = count.div_ceil((CHANGES + DOCUMENTS) as u64);
    let scenes: Vec<Scene> = (0..SCENES).map(|seed| Scene::new(seed, 10 + 6 * seed as usize)).collect();
    let before = Panics::so_far();
    let cores = thread::available_parallelism().map_or(1, usize::from) as u64;
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let share = |first: u64| {
            let scenes = &scenes;
            scope.spawn(move || {
                let mut attack = Attack::new();
                (first..rounds).step_by(cores as usize).for_each(|round| attack.play(round, scenes));
                attack.tally
            })
        };
        let threads: Vec<_> = (0..cores).map(share).collect();
        threads.into_iter().map(|thread| thread.join().expect("a law was broken")).collect()
    });
    let panics = Panics::so_far();
    let all = tallies.into_iter().fold(Tally::default(), Tally::plus);
    let (in_jobs, at_home) = (panics.in_jobs - before.in_jobs, panics.at_home - before.at_home);
    println!("{all}panics inside jobs: {in_jobs}, outside: {at_home}");
    assert_eq!(at_home, 0);
    assert_eq!(all.changes.values().chain(all.documents.values()).map(Fate::tried).sum::<u64>(), rounds * 10);
    assert!(in_jobs > 0 && all.deadly > 0, "the control: simply applied, they do break things");
    let adopted: u64 = all.changes.values().map(|fate| fate.adopted).sum();
    assert!(adopted > 0, "some of them are no worse than what anybody may write");
}

#[test]
fn control_what_is_honest_is_taken_on_the_same_path() {
    let mut attack = Attack::new();
    for (round, scene) in (0..6).map(|seed| (seed, Scene::new(seed, 20))) {
        let rng = &mut seeded(round);
        let next = let_in(&scene.saved, &scene.bases[0]).expect("an honest change");
        for document in [next, scene.further.clone()] {
            let adopted = attack.take_document(round, &scene, 0, document, rng);
            assert!(adopted, "an honest document");
        }
        take_changes(round, &scene, &[(0, scene.bases[0].clone())], &mut attack.tally, rng);
    }
    assert_eq!(attack.tally.changes["bytes"].adopted, 6);
}

/// What one thread does.
struct Attack {
    tally: Tally,
    runtime: Runtime,
    /// Nothing bounds a document before Automerge reads it, so it is tried where the app tries it.
    worker: Worker,
}

impl Attack {
    fn new() -> Attack {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        Attack { tally: Tally::default(), runtime, worker: Worker::new(env!("CARGO_BIN_EXE_alcove").into()) }
    }

    /// One round: a room, eight hostile changes among three honest ones in any order, then two hostile documents.
    fn play(&mut self, round: u64, scenes: &[Scene]) {
        let rng = &mut seeded(1_000_000 + round);
        let scene = &scenes[(round % SCENES) as usize];
        let donor = &scenes[rng.below(SCENES) as usize];
        let kit = Kit { donor: &donor.bases[0], hashes: &scene.hashes, actors: &scene.actors };
        let hostile_change = |rng: &mut Rng| {
            let way = rng.below(CHANGE_WAYS.len() as u64) as usize;
            let base = &scene.bases[rng.below(scene.bases.len() as u64) as usize];
            (way, attack(|| mutate::change(base, way, &kit, rng)))
        };
        let hostile: Vec<(usize, Vec<u8>)> = (0..CHANGES).map(|_| hostile_change(rng)).collect();
        take_changes(round, scene, &hostile, &mut self.tally, rng);
        for _ in 0..DOCUMENTS {
            // Bombs take their time, so there are few.
            let way = if rng.below(20) == 0 { DOCUMENT_BOMB } else { rng.below(DOCUMENT_BOMB as u64) as usize };
            let honest = if rng.below(2) == 0 { &scene.saved } else { &scene.further };
            let hostile_inside = let_in(&scene.saved, &hostile_change(rng).1);
            let bytes = attack(|| mutate::document(honest, way, hostile_inside, &kit, rng));
            if bytes == *honest {
                self.tally.documents.entry(DOCUMENT_WAYS[way]).or_default().known += 1;
            } else {
                self.take_document(round, scene, way, bytes, rng);
            }
        }
    }

    /// Offers a document to the victim; says whether it was adopted.
    fn take_document(&mut self, round: u64, scene: &Scene, way: usize, bytes: Vec<u8>, rng: &mut Rng) -> bool {
        let mut notes = Notes::load(&scene.saved, VICTIM, 0).expect("our own notes");
        notes.edit(Instant(0), &[Edit::Splice { at: 0, delete: 0, insert: "mine ".into() }]).expect("in range");
        let generation = rng.below(2) as u32;
        let job = notes.take_document(JobId(0), Some(ATTACKER), generation, 0, bytes).expect("nothing is running");
        let answer = self.runtime.block_on(self.worker.run(&job));
        let outcome = notes.answered(JobId(0), answer.as_ref());
        let fate = self.tally.documents.entry(DOCUMENT_WAYS[way]).or_default();
        assert!(notes.view().text.contains("mine "), "round {round}: our own words are lost");
        if outcome.replaced {
            fate.adopted += 1;
            is_whole(round, notes);
        } else {
            assert_eq!(outcome.hostile_document, Some(Some(ATTACKER)), "round {round}: it has an author");
            fate.refused += 1;
            fate.ended += u64::from(answer.is_none());
            let ours =
                Document::load(&notes.save(), VICTIM, 0).unwrap_or_else(|| panic!("round {round}: ours does not load again"));
            assert!(ours.lacks(&scene.hashes).is_empty(), "round {round}: ours stays as it was");
        }
        outcome.replaced
    }
}

fn take_changes(round: u64, scene: &Scene, hostile: &[(usize, Vec<u8>)], tally: &mut Tally, rng: &mut Rng) {
    let mut notes = Notes::load(&scene.saved, VICTIM, 0).expect("our own notes");
    let mut batch: Vec<(SeatId, &[u8])> = hostile.iter().map(|(_, bytes)| (ATTACKER, bytes.as_slice())).collect();
    for (seat, bytes) in &scene.honest {
        batch.insert(rng.below(batch.len() as u64 + 1) as usize, (*seat, bytes));
    }
    let known = |bytes: &[u8]| change_hash(bytes).is_some_and(|hash| scene.hashes.contains(&hash));
    batch.iter().for_each(|(seat, bytes)| notes.take(*seat, 0, bytes.to_vec()));
    let blamed = settle(&mut notes);
    assert!(blamed.iter().all(|seat| *seat == ATTACKER), "round {round}: an honest seat is blamed");

    let saved = notes.save();
    let document = Document::load(&saved, VICTIM, 0).unwrap_or_else(|| panic!("round {round}: the notes do not load again"));
    let has = |bytes: &[u8]| change_hash(bytes).is_some_and(|hash| document.has(&hash));
    assert!(scene.honest.iter().all(|(_, bytes)| has(bytes)), "round {round}: an honest change is not there");
    let (mut adopted, mut not_adopted) = (0, 0);
    for (way, bytes) in hostile {
        let fate = tally.changes.entry(CHANGE_WAYS[*way]).or_default();
        match (known(bytes), has(bytes)) {
            (true, _) => fate.known += 1,
            (false, true) => (fate.adopted, adopted) = (fate.adopted + 1, adopted + 1),
            // What it builds on is not there.
            (false, false) if waits(bytes, &document) => fate.waiting += 1,
            (false, false) => (fate.refused, not_adopted) = (fate.refused + 1, not_adopted + 1),
        }
        if round.is_multiple_of(10) {
            tally.deadly += u64::from(attack(|| is_deadly(&scene.saved, bytes)));
        }
    }
    assert_eq!(blamed.len(), not_adopted, "round {round}: each refused change has an author");
    if adopted > 0 {
        is_whole(round, notes);
    }
}

/// Whether the change depends on something that is not in the document.
fn waits(bytes: &[u8], document: &Document) -> bool {
    alcove::proto::notes::change_deps(bytes).is_some_and(|deps| !document.lacks(&deps).is_empty())
}

/// Runs every job there is, as the shell does; gives who was blamed, once for each.
fn settle(notes: &mut Notes) -> Vec<SeatId> {
    let mut blamed = Vec::new();
    for number in 0.. {
        assert!(number < 100, "it never ends");
        let Some(job) = notes.next_job(JobId(number)) else { break };
        let answer = run(&job);
        blamed.extend(notes.answered(JobId(number), Some(&answer)).hostile);
    }
    blamed
}

/// The notes save and load to the same, can be written on by us and folded, and what they then are is sound for everybody else.
fn is_whole(round: u64, mut notes: Notes) {
    let generation = notes.generation();
    notes.commit();
    for _ in 0..2 {
        let saved = notes.save();
        let loaded = Document::load(&saved, VICTIM, generation).unwrap_or_else(|| panic!("round {round}: it does not load"));
        assert_eq!((loaded.heads(), loaded.view()), (notes.heads(), notes.view()), "round {round}");
        let sound = run(&Job::Load { document: saved });
        assert_eq!(sound, Answer::Loaded { sound: true }, "round {round}: others would not take it");
        let length = notes.view().text.chars().count();
        let bold = Edit::Mark { start: 0, end: length / 2 + 4, name: "bold".into(), value: "true".into() };
        for edit in [Edit::Splice { at: length / 2, delete: 0, insert: "next".into() }, bold] {
            notes.edit(Instant(0), &[edit]).unwrap_or_else(|refused| panic!("round {round}: we cannot write on: {refused}"));
        }
        assert!(notes.commit().is_some(), "round {round}: our next change");
    }
    let document = Document::load(&notes.save(), VICTIM, generation).expect("it loads");
    let folded = fold(&document, &document.heads(), b"talk").expect("its own heads are there");
    assert_eq!(folded.view().text, document.view().text, "round {round}: a fold alters nothing");
    let sound = run(&Job::Load { document: folded.save() });
    assert_eq!(sound, Answer::Loaded { sound: true }, "round {round}: others would not take the fold");
}

/// The document with a change that Automerge alone lets in. What claims more rows than a change may have is left out: nothing bounds it
/// here.
fn let_in(saved: &[u8], change: &[u8]) -> Option<Vec<u8>> {
    change_hash(change)?;
    let let_in = || {
        let mut plain = Automerge::load(saved).ok()?;
        let before = plain.get_heads();
        plain.load_incremental(change).ok()?;
        (plain.get_heads() != before).then(|| plain.save())
    };
    attack(|| catch_unwind(let_in)).ok().flatten()
}

/// The control: whether a change that is simply applied panics or leaves a document that never loads again. As above, only those that
/// claim no more rows than they may.
fn is_deadly(saved: &[u8], change: &[u8]) -> bool {
    if change_hash(change).is_none() {
        return false;
    }
    let mut plain = Automerge::load(saved).expect("our own notes");
    let applied = catch_unwind(AssertUnwindSafe(|| plain.load_incremental(change).map(|_| plain.save())));
    match applied {
        Err(_) => true,
        Ok(Err(_)) => false,
        Ok(Ok(saved)) => !matches!(catch_unwind(|| Automerge::load(&saved).is_ok()), Ok(true)),
    }
}

/// What became of the changes, or documents, of one way.
#[derive(Default)]
struct Fate {
    adopted: u64,
    refused: u64,
    /// Of those refused: how many broke the worker's limits.
    ended: u64,
    waiting: u64,
    known: u64,
}

impl Fate {
    fn tried(&self) -> u64 {
        self.adopted + self.refused + self.waiting + self.known
    }
}

#[derive(Default)]
struct Tally {
    changes: BTreeMap<&'static str, Fate>,
    documents: BTreeMap<&'static str, Fate>,
    /// Of every tenth round's changes: how many break notes to which they are simply applied.
    deadly: u64,
}

impl Tally {
    fn plus(mut self, other: Tally) -> Tally {
        let add = |to: &mut BTreeMap<&'static str, Fate>, from: BTreeMap<&'static str, Fate>| {
            for (way, fate) in from {
                let sum = to.entry(way).or_default();
                sum.adopted += fate.adopted;
                sum.refused += fate.refused;
                sum.ended += fate.ended;
                sum.waiting += fate.waiting;
                sum.known += fate.known;
            }
        };
        add(&mut self.changes, other.changes);
        add(&mut self.documents, other.documents);
        self.deadly += other.deadly;
        self
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (kind, fates) in [("changes", &self.changes), ("documents", &self.documents)] {
            for (way, fate) in fates {
                let Fate { adopted, refused, ended, waiting, known } = fate;
                let tried = fate.tried();
                writeln!(
                    f,
                    "{kind}, {way}: {tried} tried, {adopted} adopted and whole, {refused} refused ({ended} ended), {waiting} waiting, {known} unchanged"
                )?;
            }
        }
        writeln!(f, "every tenth round's changes, simply applied: {} deadly", self.deadly)
    }
}

/// Where a thread is, for what a panic there means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the app's own part: nothing may panic here.
    Home,
    /// In a job, which catches its panics.
    Job,
    /// In the attacker's own program, or in the control.
    Attack,
}

thread_local! {
    static AT: Cell<At> = const { Cell::new(At::Home) };
}
static AT_HOME: AtomicU64 = AtomicU64::new(0);
static IN_JOBS: AtomicU64 = AtomicU64::new(0);

fn run(job: &Job) -> Answer {
    at(At::Job, || job::run(job))
}

fn attack<T>(act: impl FnOnce() -> T) -> T {
    at(At::Attack, act)
}

fn at<T>(place: At, act: impl FnOnce() -> T) -> T {
    Panics::watch();
    let before = AT.replace(place);
    let done = act();
    AT.set(before);
    done
}

/// How many panics there were.
struct Panics {
    in_jobs: u64,
    at_home: u64,
}

impl Panics {
    fn so_far() -> Panics {
        Panics::watch();
        Panics { in_jobs: IN_JOBS.load(Ordering::Relaxed), at_home: AT_HOME.load(Ordering::Relaxed) }
    }

    fn watch() {
        static WATCHED: OnceLock<()> = OnceLock::new();
        WATCHED.get_or_init(|| {
            let tell = panic::take_hook();
            panic::set_hook(Box::new(move |panic| match AT.get() {
                At::Job => _ = IN_JOBS.fetch_add(1, Ordering::Relaxed),
                At::Attack => {}
                At::Home => {
                    AT_HOME.fetch_add(1, Ordering::Relaxed);
                    tell(panic);
                }
            }));
        });
    }
}
