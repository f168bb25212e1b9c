//! From a scanned code to the same notes on both devices, over the local network: `cargo bench --bench handoff [-- RUNS]`.
//!
//! Two `alcove node` processes on this machine, on 127.0.0.1, without discovery: the only link there can be is the one that the code
//! makes. A relay opens the room and is then switched off on both. In each run both devices are apart (no link, no relay), each writes
//! a line that the other has not, one shows a fresh code, and the clock starts when the other is given the code's text. It stops when
//! both devices' answers to `notes` hold both new lines, are equal and nothing waits. Not in it: the camera and the drawing of the
//! code. Then both leave the table and switch the network off, which ends the link, so that the next run has to make a new one.
//! It fails if the median is above 2.5 s or the 95th percentile above 5 s.

#[path = "../tests/node_story/process.rs"]
#[allow(dead_code)]
mod process;

use process::{Attendee, BINARY, Place, text};
use serde_json::{Value, json};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

const RUNS: usize = 100;
const MEDIAN_MAX: Duration = Duration::from_millis(2_500);
const P95_MAX: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // `cargo bench` itself adds arguments of its own.
    let runs = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(RUNS).max(1);
    let place = Place::new();
    let mut people = ["heron", "otter"].map(|name| {
        let options = ["--lan", "direct", "--bind", "127.0.0.1"];
        let mut person = Attendee::run(Command::new(BINARY), &options, name, place.path(name));
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
        person
    });
    let talks = open_room(&mut people);
    let mut times: Vec<Duration> = (0..runs).map(|run| one_run(&mut people, &talks, run)).collect();
    people.into_iter().for_each(|person| drop(person.quit()));

    println!("in the order of the runs, ms: {}", times.iter().map(|t| t.as_millis().to_string()).collect::<Vec<_>>().join(" "));
    times.sort();
    // The nearest rank: the smallest time that is not exceeded in so many per cent of the runs.
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100).max(1) - 1];
    let (median, p95) = (at(50), at(95));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!(
        "QR to same notes (LAN), {runs} runs, {cores} cores: median {median:.0?}, p95 {p95:.0?}, min {:.0?}, max {:.0?}",
        at(0),
        at(100)
    );
    if median > MEDIAN_MAX || p95 > P95_MAX {
        println!("over its budget: median {MEDIAN_MAX:?}, p95 {P95_MAX:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// A room of two that opened over the relay, which both then leave.
fn open_room(people: &mut [Attendee; 2]) -> [String; 2] {
    let [heron, otter] = people;
    let posted = heron.ask(json!({ "do": "post-card", "topic": "Handoffs", "seats_min": 2, "seats_max": 2, "hours": 12 }));
    otter.until("the card", json!({ "do": "board" }), |board| board["cards"][0]["topic"] == "Handoffs");
    let seat = otter.ask(json!({ "do": "take-seat", "card": posted["card"] }));
    let talks = [text(&posted["talk"]), text(&seat["talk"])];
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.event("talk-opened", |event| event["talk"] == **talk);
    }
    for person in people {
        person.ask(json!({ "do": "offline", "transport": "relay" }));
        person.until_status("no relay", |status| status["relay"]["state"] == "offline");
    }
    talks
}

fn one_run(people: &mut [Attendee; 2], talks: &[String; 2], run: usize) -> Duration {
    let lines = ["heron", "otter"].map(|name| format!("Run {run} of {name}: a line that the other has not.\n"));
    for ((person, talk), line) in people.iter_mut().zip(talks).zip(&lines) {
        person.until_status("nobody", |status| status["links"] == 0);
        person.ask(json!({ "do": "edit", "talk": talk, "edits": [{ "splice": { "at": 0, "insert": line } }] }));
        person.ask(json!({ "do": "flush", "talk": talk }));
    }
    for (number, (person, talk)) in people.iter_mut().zip(talks).enumerate() {
        let notes = text(&person.ask(json!({ "do": "notes", "talk": talk }))["text"]);
        assert!(!notes.contains(&lines[1 - number]), "control: while they are apart, nothing comes over");
    }
    let [heron, otter] = people;
    let code = heron.until_ok(json!({ "do": "show-handoff", "talk": talks[0] }));

    let began = Instant::now();
    otter.ask(json!({ "do": "scan", "text": code["text"] }));
    let has_both = |notes: &Value| lines.iter().all(|line| text(&notes["text"]).contains(line)) && notes["waiting"] == 0;
    let otters = otter.until("both lines", json!({ "do": "notes", "talk": talks[1] }), has_both);
    let herons = heron.until("both lines", json!({ "do": "notes", "talk": talks[0] }), has_both);
    let took = began.elapsed();
    assert_eq!(herons["text"], otters["text"]);

    otter.event("handoff-ended", |event| event["end"] == "at-table");
    for (person, talk) in people.iter_mut().zip(talks) {
        person.ask(json!({ "do": "leave-table", "talk": talk }));
        person.ask(json!({ "do": "offline", "transport": "lan" }));
    }
    for person in people {
        person.until_status("nobody", |status| status["links"] == 0 && status["neighbours"] == 0);
        person.ask(json!({ "do": "online", "transport": "lan" }));
    }
    took
}
