//! The quarantine's child process: it answers as the core itself would, and whatever becomes of it, the parent goes on.

use alcove::proto::config::{JOB_MEMORY_BYTES_MAX, JOB_TIME_MAX};
use alcove::proto::id::SeatId;
use alcove::proto::io::{Answer, Job};
use alcove::proto::job;
use alcove::proto::notes::{Document, Edit};
use alcove::shell::worker::{PATIENCE, Worker};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;
use tempfile::TempDir;

fn alcove() -> Worker {
    Worker::new(env!("CARGO_BIN_EXE_alcove").into())
}

fn job() -> Job {
    let mut document = Document::new(SeatId([7; 16]));
    document.edit(&[Edit::Splice { at: 0, delete: 0, insert: "hello".into() }]).unwrap();
    document.commit();
    Job::Load { document: document.save() }
}

fn pid(worker: &Worker) -> Pid {
    Pid::from_raw(worker.process_id().expect("a child") as i32).expect("a process id")
}

/// A program that the first time does what `first` says and from then on is the worker.
fn stumbling(folder: &TempDir, first: &str) -> Worker {
    let (program, mark) = (folder.path().join("program"), folder.path().join("mark"));
    let text = format!(
        "#!/bin/sh\nif [ -e '{mark}' ]; then exec '{alcove}' \"$@\"; fi\n: > '{mark}'\n{first}\n",
        mark = mark.display(),
        alcove = env!("CARGO_BIN_EXE_alcove"),
    );
    // Written by another process: a file that this one has open for writing cannot be run by a child forked in that moment.
    let write = "printf %s \"$1\" > \"$2\" && chmod 700 \"$2\"";
    let written = Command::new("/bin/sh").args(["-c", write, "write", &text]).arg(&program).status().unwrap();
    assert!(written.success());
    Worker::new(program)
}

#[tokio::test]
async fn the_child_answers_what_the_core_answers_and_stays_for_the_next_job() {
    let mut worker = alcove();
    assert_eq!(worker.process_id(), None, "nobody is started before there is work");
    assert_eq!(worker.run(&job()).await, Some(job::run(&job())));
    let first = worker.process_id();
    assert_eq!(worker.run(&Job::Load { document: vec![0; 9] }).await, Some(Answer::Loaded { sound: false }));
    assert_eq!(worker.process_id(), first);
}

#[tokio::test]
async fn an_endless_job_ends_in_time_and_the_next_one_is_answered() {
    let folder = TempDir::new().unwrap();
    let mut worker = stumbling(&folder, "while :; do :; done");
    let began = Instant::now();
    assert_eq!(worker.run(&job()).await, None);
    assert!(began.elapsed() >= PATIENCE, "{:?}", began.elapsed());
    assert_eq!(worker.run(&job()).await, Some(job::run(&job())), "control: the same job, a worker that works");
}

#[tokio::test]
async fn a_job_that_is_late_because_the_machine_is_busy_is_answered() {
    let folder = TempDir::new().unwrap();
    let late = format!("sleep {}; exec '{}' \"$@\"", JOB_TIME_MAX.as_secs() + 1, env!("CARGO_BIN_EXE_alcove"));
    let mut worker = stumbling(&folder, &late);
    assert_eq!(worker.run(&job()).await, Some(job::run(&job())));
}

#[tokio::test]
async fn a_child_that_dies_of_a_job_gives_no_answer_and_one_that_dies_between_two_is_replaced() {
    let folder = TempDir::new().unwrap();
    let mut worker = stumbling(&folder, "read -r word; exit 3");
    assert_eq!(worker.run(&job()).await, None);
    assert!(worker.run(&job()).await.is_some());
    let first = pid(&worker);
    kill_process(first, Signal::KILL).unwrap();
    while fs::read_to_string(format!("/proc/{}/stat", first.as_raw_nonzero())).is_ok_and(|stat| !stat.contains(") Z ")) {
        tokio::task::yield_now().await;
    }
    assert_eq!(worker.run(&job()).await, Some(job::run(&job())));
    assert_ne!(pid(&worker), first);
}

#[tokio::test]
async fn a_child_that_is_ended_is_gone_and_the_next_job_has_another() {
    let mut worker = alcove();
    assert!(worker.run(&job()).await.is_some());
    let first = pid(&worker);
    worker.end().await;
    assert!(kill_process(first, Signal::CONT).is_err(), "there is no such process any more");
    assert!(worker.run(&job()).await.is_some());
    assert_ne!(pid(&worker), first);
}

#[tokio::test]
async fn nonsense_instead_of_an_answer_is_no_answer() {
    for nonsense in [r"printf '\377\377\377\377'; cat", r"printf '\003\000\000\000xyz'; cat", r"printf '\003\000\000\000x'"] {
        let folder = TempDir::new().unwrap();
        let mut worker = stumbling(&folder, nonsense);
        assert_eq!(worker.run(&job()).await, None, "{nonsense}");
        assert!(worker.run(&job()).await.is_some());
    }
    let mut nobody = Worker::new(PathBuf::from("/nowhere/alcove"));
    assert_eq!(nobody.run(&job()).await, None);
}

#[tokio::test]
async fn the_child_is_locked_in_and_its_parent_is_not() {
    let mut worker = alcove();
    worker.run(&job()).await.expect("an answer");
    let limit = |whose: &str, what: &str| {
        let limits = fs::read_to_string(format!("/proc/{whose}/limits")).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.split_whitespace().map(str::to_owned).take(2).collect::<Vec<_>>()
    };
    let child = pid(&worker).as_raw_nonzero().to_string();
    for (what, most) in
        [("Max address space", JOB_MEMORY_BYTES_MAX), ("Max open files", 0), ("Max file size", 0), ("Max core file size", 0)]
    {
        assert_eq!(limit(&child, what), [most.to_string(), most.to_string()], "{what}");
    }
    assert_ne!(limit(&child, "Max cpu time")[0], "unlimited");
    assert_eq!(fs::read(format!("/proc/{child}/environ")).map_or(0, |environ| environ.len()), 0);
    assert_ne!(limit("self", "Max open files")[0], "0", "control");
}
