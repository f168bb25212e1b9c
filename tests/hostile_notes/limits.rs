//! A few bytes that make Automerge count and allocate without end: the worker ends them in time, their sender is named, and the next job is
//! answered.

use super::chunk::{self, DOCUMENT, signed, unsigned};
use super::scene::{ATTACKER, Scene, VICTIM};
use alcove::proto::config::{JOB_MEMORY_BYTES_MAX, JOB_TIME_MAX};
use alcove::proto::id::JobId;
use alcove::proto::notes::exchange::Notes;
use alcove::shell::worker::Worker;
use automerge::Automerge;
use rustix::process::{Resource, Rlimit, setrlimit};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

/// Tells the process that it is the control: the file whose bytes it is to load.
const BYTES: &str = "HOSTILE_NOTES_BYTES";

/// A sound document of which one column claims 2^40 rows in a dozen bytes; one document for each column of the changes that takes it.
fn bombs(scene: &Scene) -> Vec<Vec<u8>> {
    const ACTOR: u64 = 0x01;
    const SEQ: u64 = 0x03;
    const MAX_OP: u64 = 0x13;
    const DEPS: u64 = 0x40;
    let mut run = Vec::new();
    signed(&mut run, 1 << 40);
    unsigned(&mut run, 1);
    let bomb = |number: u64| {
        let mut parts = chunk::Document::read(&scene.saved);
        let column = parts.changes.iter_mut().find(|column| column.number & !chunk::DEFLATED == number).expect("such a column");
        (column.number, column.data) = (number, run.clone());
        chunk::chunk(DOCUMENT, &parts.body())
    };
    [ACTOR, SEQ, MAX_OP, DEPS].map(bomb).into()
}

#[tokio::test]
async fn a_document_that_swells_without_end_is_ended_its_sender_is_named_and_the_next_job_is_answered() {
    if let Ok(file) = std::env::var(BYTES) {
        return load_with_twice_the_limits(&file);
    }
    let scene = Scene::new(1, 40);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut worker = Worker::new(env!("CARGO_BIN_EXE_alcove").into());
    for (number, bomb) in bombs(&scene).into_iter().enumerate() {
        assert!(bomb.len() < 4_096, "it is small on the way");
        let mut notes = Notes::load(&scene.saved, VICTIM, 0).expect("our own notes");
        let before = notes.save();
        let job = notes.take_document(JobId(0), Some(ATTACKER), 0, 0, bomb.clone()).expect("nothing is running");
        let answer = worker.run(&job).await;
        assert_eq!(answer, None, "bomb {number}");
        assert_eq!(notes.answered(JobId(0), None).hostile_document, Some(Some(ATTACKER)));
        assert_eq!(notes.save(), before);

        // The next job, on the same worker.
        let (seat, change) = &scene.honest[0];
        notes.take(*seat, 0, change.clone());
        let job = notes.next_job(JobId(1)).expect("there is something to try");
        let answer = worker.run(&job).await;
        assert!(notes.answered(JobId(1), answer.as_ref()).changed, "bomb {number}: and the next one is answered");

        let file = folder.path().join("bomb");
        std::fs::write(&file, &bomb).expect("the file is written");
        assert!(!control(&file).success(), "control: with twice the time and memory bomb {number} does not end by itself");
    }
    let file = folder.path().join("honest");
    std::fs::write(&file, &scene.saved).expect("the file is written");
    assert!(control(&file).success(), "control: an honest document does");
}

/// Loads the file in a process of its own, without a quarantine.
fn control(file: &std::path::Path) -> std::process::ExitStatus {
    let test = "limits::a_document_that_swells_without_end_is_ended_its_sender_is_named_and_the_next_job_is_answered";
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    let ended = child.args([test, "--exact"]).env(BYTES, file).output().expect("this program runs").status;
    assert!(ended.success() || ended.signal().is_some(), "it is ended, or it ends well: {ended}");
    ended
}

fn load_with_twice_the_limits(file: &str) {
    let bytes = std::fs::read(file).expect("the bytes");
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    setrlimit(Resource::As, limit(2 * JOB_MEMORY_BYTES_MAX)).expect("a limit of memory");
    setrlimit(Resource::Cpu, limit(2 * JOB_TIME_MAX.as_secs())).expect("a limit of time");
    setrlimit(Resource::Core, limit(0)).expect("no core dump");
    assert!(Automerge::load(&bytes).is_ok());
}
