//! A thousand words over every field that a person can type into; after the close a thief finds none of them in any byte that any process
//! has written, and none in the memory of those that live on.
//!
//! What stays by design is named, not overlooked: the event's pack, receipts, and each owner's own interests, which are looked for on all
//! other devices. The processes are real, as hardened as always when root runs the test; without root they are built to be read by their
//! own user, which only a build for tests can be.

#[path = "forgetting/marker.rs"]
mod marker;
#[path = "forgetting/play.rs"]
mod play;
#[path = "node_story/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "forgetting/scan.rs"]
mod scan;

use alcove::proto::io::Scope;
use alcove::proto::rng::Rng;
use alcove::shell::keystore::Choice;
use alcove::shell::vault::Vault;
use marker::{Marker, Markers};
use play::World;
use process::BINARY;
use scan::Thief;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is still on its way when the last confirmation comes is gone within this time, on a slow machine too.
const SOON: Duration = Duration::from_secs(40);

#[test]
fn of_a_thousand_words_none_is_left_in_any_file_or_memory_after_the_close() {
    let mut markers = Markers::default();
    let mut world = World::new(Path::new(BINARY));
    let mut cast = play::play(&mut world, &mut markers);
    let all: Vec<&Marker> = markers.all.iter().collect();
    let everything = Thief::new(&all);

    // The controls, before the close: the words are in memory, and whoever copies a disk that does not forget can read them later.
    for (name, person, least) in [("heron", &cast.heron, 300), ("otter", &cast.otter, 300), ("wren", &cast.wren, 300)] {
        let mut loot = everything.empty();
        everything.search_memory(person.id(), &mut loot);
        println!("before the close {name}'s {} MB hold {} words", loot.bytes >> 20, loot.markers());
        assert!(loot.markers() >= least && loot.automerge > 0, "the control: the same search finds them: {}", loot.markers());
        assert!(!children(person.id()).is_empty(), "the control: {name}'s quarantine is a process that has had the notes");
    }
    let copy = tempfile::tempdir().expect("a temporary folder");
    play::copy(&world.path().join("profiles/wren"), copy.path());
    let before = words_in_vault(copy.path(), &all);
    println!("a copy of wren's disk from before the close gives {} words back", before.len());
    assert!(before.len() >= 300, "the control: the words were on the disk, under a key that lay beside them");

    let transcript = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(transcript.path(), all.iter().map(|marker| marker.word.as_str()).collect::<Vec<_>>().join("\n"))
        .expect("written");
    let mut loot = everything.empty();
    everything.search(&std::fs::read(transcript.path()).expect("read"), "a file that holds them", &mut loot);
    assert_eq!(loot.markers(), play::MARKERS, "the control: in a file that holds them all are found");

    play::close(&mut cast);
    let mut failures = Vec::new();
    for (name, person) in [("heron", &cast.heron), ("otter", &cast.otter), ("wren", &cast.wren), ("raven", &cast.raven)] {
        failures.extend(left_in_memory(name, person.id(), &all));
        let orphans = children(person.id());
        if !orphans.is_empty() {
            failures.push(format!("{name}: processes that have had the notes go on: {orphans:?}"));
        }
    }
    failures.extend(left_in_files(world.path(), &everything));
    for person in [cast.heron, cast.otter, cast.wren, cast.raven] {
        let name = person.name().to_owned();
        let profile = person.quit();
        let left = words_in_vault(&profile, &others_words(&name, &all));
        if !left.is_empty() {
            failures.push(format!("{name}'s vault opens and holds {left:?}"));
        }
    }
    failures.extend(left_in_files(world.path(), &everything));
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

/// All words but those that this person keeps.
fn others_words<'a>(name: &str, all: &[&'a Marker]) -> Vec<&'a Marker> {
    all.iter().filter(|marker| marker.keeper != Some(name)).copied().collect()
}

fn left_in_memory(name: &str, process: u32, all: &[&Marker]) -> Option<String> {
    let thief = Thief::new(&others_words(name, all));
    let deadline = Instant::now() + SOON;
    loop {
        let mut loot = thief.empty();
        thief.search_memory(process, &mut loot);
        if loot.markers() == 0 && loot.automerge == 0 {
            println!("after the close {name}'s {} MB hold 0 words", loot.bytes >> 20);
            return None;
        }
        if Instant::now() > deadline {
            let fields = thief.fields(&loot);
            let (words, saved, places) = (loot.markers(), loot.automerge, loot.places.join("\n    "));
            return Some(format!("{name}'s memory: {words} words, {saved} saved notes: {fields:?}\n    {places}"));
        }
    }
}

fn left_in_files(folder: &Path, thief: &Thief) -> Option<String> {
    let mut loot = thief.empty();
    thief.search_files(folder, &mut loot);
    println!("{} kB of files hold {} words", loot.bytes >> 10, loot.markers());
    (loot.markers() > 0 || loot.automerge > 0)
        .then(|| format!("files: {:?}\n    {}", thief.fields(&loot), loot.places.join("\n    ")))
}

/// Opens a profile with all the keys that lie in it, and gives the fields whose words its records hold.
fn words_in_vault(profile: &Path, all: &[&Marker]) -> BTreeSet<String> {
    let opened = Vault::open(profile, Choice::File, Rng::new([1; 32])).expect("the profile opens");
    let thief = Thief::new(all);
    let mut loot = thief.empty();
    for record in &opened.records {
        thief.search(&record.value, if record.scope == Scope::Durable { "a durable record" } else { "a record" }, &mut loot);
    }
    let found = loot.times.iter().zip(all).filter(|(times, _)| **times > 0);
    found.map(|(_, marker)| format!("{}: {}", marker.field, marker.word)).collect()
}

/// The processes that this one has started and that run.
fn children(process: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    children.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}
