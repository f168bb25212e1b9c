//! The control of `forgetting.rs`: the same kind of talk by people whose program has the system's allocator, which wipes nothing, and the
//! same thief. He finds words after the close. A program has only one allocator, so this is a program of its own, and its people run it.

#[path = "forgetting/marker.rs"]
#[allow(dead_code)]
mod marker;
#[path = "forgetting/play.rs"]
#[allow(dead_code)]
mod play;
#[path = "node_story/process.rs"]
#[allow(dead_code)]
mod process;
#[path = "forgetting/scan.rs"]
#[allow(dead_code)]
mod scan;

use alcove::app::headless::{self, NodeArgs};
use alcove::shell::worker;
use clap::Parser;
use marker::{Marker, Markers};
use play::World;
use scan::Thief;
use serde_json::json;
use std::process::ExitCode;

/// What its people are.
#[derive(Parser)]
struct Node {
    #[command(flatten)]
    args: NodeArgs,
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("node") => headless::run(Node::parse_from(std::env::args().skip(1)).args),
        Some(worker::SUBCOMMAND) => worker::serve(),
        Some(_) | None => {
            without_the_wiping_allocator_words_are_found_after_the_close();
            ExitCode::SUCCESS
        }
    }
}

fn without_the_wiping_allocator_words_are_found_after_the_close() {
    let mut markers = Markers::default();
    let world = World::new(&std::env::current_exe().expect("this program"));
    let [mut heron, mut otter] = ["heron", "otter"].map(|name| world.person(name));
    let talks = play::gather(&mut heron, [&mut otter], &mut markers, 2);
    for _ in 0..5 {
        heron.ask(json!({ "do": "say", "talk": talks[0], "text": markers.some(20, "message") }));
        play::edit(&mut heron, &talks[0], json!([{ "splice": { "at": 0, "insert": markers.some(15, "notes") } }]));
    }
    for (person, talk) in [(&mut heron, &talks[0]), (&mut otter, &talks[1])] {
        person.ask(json!({ "do": "close", "talk": talk }));
    }
    for (person, talk) in [(&mut heron, &talks[0]), (&mut otter, &talks[1])] {
        person.event("talk-erased", |event| event["talk"] == **talk);
    }
    let all: Vec<&Marker> = markers.all.iter().collect();
    let thief = Thief::new(&all);
    for person in [&heron, &otter] {
        let mut loot = thief.empty();
        thief.search_memory(person.id(), &mut loot);
        println!("without the wiping allocator {} still holds {} of {} words", person.name(), loot.markers(), all.len());
        assert!(loot.markers() > 0, "the control: the same search finds what is not wiped");
    }
}
