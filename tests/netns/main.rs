//! The whole story by `alcove node` alone, each attendee in a network namespace of its own: started by `tests/netns/run`.
//!
//! Three plays: with multicast and without a relay, where the attendees find each other; without multicast, where the room opens over
//! a relay in a fourth namespace, the relay is killed, and codes from screen to screen make the links; and a whole `alcove tour`, of which
//! everything is captured that goes over the loopback interface by IPv4. Laws: it plays all of them or fails with a sentence, and never
//! skips; nothing it does leaves the namespaces; they are gone when it ends. It needs root, so `cargo test` leaves it out (`test = false`), and whoever names it (`--test netns`) gets it.

mod capture;
#[path = "../node_story/process.rs"]
#[allow(dead_code)]
mod process;
mod sizes;
mod world;

use capture::Capture;
use process::{Attendee, BINARY, make_event, start_relay, text};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use world::World;

const NAMES: [&str; 3] = ["heron", "otter", "raven"];
/// Where nothing is: the pack names a relay that nobody needs.
const NO_RELAY: &str = "ws://127.0.0.1:9";
/// Three times what neighbours need to find each other by multicast.
const SEARCH: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    if let Err(why) = world::is_possible() {
        eprintln!("{why}");
        return ExitCode::FAILURE;
    }
    // A claim that does not hold panics, and a panic ends the process with an exit code that is not 0.
    let began = Instant::now();
    with_multicast();
    println!("with multicast, without a relay: held ({:.1} s)", began.elapsed().as_secs_f32());
    let began = Instant::now();
    without_multicast();
    println!("without multicast, over a relay that dies, by codes: held ({:.1} s)", began.elapsed().as_secs_f32());
    let began = Instant::now();
    let figure = everything_has_its_size();
    println!("a whole tour, captured: {figure} ({:.1} s)", began.elapsed().as_secs_f32());
    ExitCode::SUCCESS
}

/// Everything that a tour sends, before a handshake and after it, has one of the sizes of the design.
fn everything_has_its_size() -> String {
    world::raise_loopback();
    let plain = capture_of(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut speaker = TcpStream::connect(listener.local_addr().expect("its address")).expect("it listens");
        let (mut listens, _) = listener.accept().expect("it connects");
        speaker.write_all(b"Stopped: weekly report.").expect("said");
        listens.read_exact(&mut [0; 23]).expect("heard");
    });
    assert!(sizes::check(&plain).is_err(), "control: what is said in the clear has no size of ours");

    let out = tempfile::tempdir().expect("a temporary folder");
    let seen = capture_of(|| {
        let tour =
            Command::new(BINARY).args(["tour", "--out"]).arg(out.path()).stdout(Stdio::null()).status().expect("the tour starts");
        assert!(tour.success(), "the tour did not hold: see what `alcove tour` says");
    });
    assert_eq!(seen.others, 0, "nothing but TCP");
    sizes::check(&seen).unwrap_or_else(|why| panic!("{why}"))
}

fn capture_of(play: impl FnOnce()) -> capture::Seen {
    let capture = Capture::begin().unwrap_or_else(|why| panic!("{why}"));
    play();
    capture.end().unwrap_or_else(|why| panic!("{why}"))
}

fn with_multicast() {
    let world = World::new(&NAMES, true);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pack = make_event(folder.path(), "Multicast", NO_RELAY);
    let mut people = attendees(&world, folder.path(), "multicast", &pack);
    for person in &mut people {
        person.ask(json!({ "do": "offline", "transport": "relay" }));
    }
    for person in &mut people {
        person.until_status("both neighbours", |status| status["neighbours"] == 2);
    }
    let talks = meet(&mut people);
    write(&mut people, &talks, "Before the table");
    equal_notes(&mut people, &talks, &["Before the table"]);
    hand_over(&mut people, &talks, 1, folder.path());
    write(&mut people, &talks, "At the table");
    equal_notes(&mut people, &talks, &["Before the table", "At the table"]);
    close(people, &talks);
}

fn without_multicast() {
    let world = World::new(&["heron", "otter", "raven", "relay"], false);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = world.command("relay", BINARY);
    command.args(["relay", "--listen", &format!("{}:0", world.address("relay"))]);
    let (mut relay, url) = start_relay(command);
    let pack = make_event(folder.path(), "No Multicast", &url);
    nobody_is_found(&world, folder.path(), &pack);
    let mut people = attendees(&world, folder.path(), "direct", &pack);
    for person in &mut people {
        person.until_status("the relay", |status| status["relay"]["state"] == "up");
    }
    let talks = meet(&mut people);

    relay.kill().and_then(|()| relay.wait()).expect("the relay is killed");
    for person in &mut people {
        person.until_status("nothing but itself", |status| status["relay"]["state"] != "up" && status["links"] == 0);
    }
    write(&mut people, &talks, "Alone");
    for (number, (person, talk)) in people.iter_mut().zip(&talks).enumerate() {
        let notes = person.ask(json!({ "do": "notes", "talk": talk }));
        assert_eq!(notes["text"], line("Alone", number), "control: without a link nothing comes over");
    }
    hand_over(&mut people, &talks, 1, folder.path());
    hand_over(&mut people, &talks, 2, folder.path());
    equal_notes(&mut people, &talks, &["Alone"]);
    write(&mut people, &talks, "At the table");
    equal_notes(&mut people, &talks, &["Alone", "At the table"]);
    let links = people.each_mut().map(|person| person.ask(json!({ "do": "status" }))["neighbours"].clone());
    assert_eq!(links, [json!(2), json!(1), json!(1)], "only the codes made links");
    close(people, &talks);
}

/// Control: in this world multicast does not pass, so those who rely on it stay alone for longer than the first play takes to meet.
fn nobody_is_found(world: &World, folder: &Path, pack: &Path) {
    let mut searching = attendees(world, &folder.join("searching"), "multicast", pack);
    let deadline = Instant::now() + SEARCH;
    while Instant::now() < deadline {
        for person in &mut searching {
            assert_eq!(person.ask(json!({ "do": "status" }))["links"], 0, "control: multicast passes");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Everybody in a namespace of their own, at the event.
fn attendees(world: &World, folder: &Path, lan: &str, pack: &Path) -> [Attendee; 3] {
    NAMES.map(|name| {
        let mut person = Attendee::run(world.command(name, BINARY), &["--lan", lan], name, folder.join(name));
        person.ask(json!({ "do": "join-event", "file": pack }));
        let own = format!("{}:", world.address(name));
        let listening = person.until_status("an address", |status| status["listening"] != json!([]));
        assert!(text(&listening["listening"][0]).starts_with(&own), "{listening}");
        person
    })
}

/// A card, its seats and an open room; everybody's name of the talk.
fn meet(people: &mut [Attendee; 3]) -> [String; 3] {
    let [heron, otter, raven] = people;
    let posted = heron.ask(json!({
        "do": "post-card", "topic": "Trains and sails", "tags": ["ferries"], "seats_min": 3, "seats_max": 3, "hours": 12,
    }));
    let seats = [otter, raven].map(|person| {
        person.until("the card", json!({ "do": "board" }), |board| board["cards"][0]["topic"] == "Trains and sails");
        text(&person.ask(json!({ "do": "take-seat", "card": posted["card"] }))["talk"])
    });
    let [second, third] = seats;
    let talks = [text(&posted["talk"]), second, third];
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.event("talk-opened", |event| event["talk"] == **talk);
    }
    let prints: Vec<Value> = people.iter_mut().zip(&talks).map(|(p, talk)| p.view(talk)["room"]["fingerprint"].clone()).collect();
    assert!(prints[0].is_string() && prints.iter().all(|print| *print == prints[0]), "one room: {prints:?}");
    talks
}

fn line(what: &str, number: usize) -> String {
    format!("{what}, number {number}.\n")
}

/// Everybody writes a line.
fn write(people: &mut [Attendee; 3], talks: &[String; 3], what: &str) {
    for (number, (person, talk)) in people.iter_mut().zip(talks).enumerate() {
        let edits = json!([{ "splice": { "at": 0, "insert": line(what, number) } }]);
        person.ask(json!({ "do": "edit", "talk": talk, "edits": edits }));
        person.ask(json!({ "do": "flush", "talk": talk }));
    }
}

/// Everybody has everybody's lines, and the same text.
fn equal_notes(people: &mut [Attendee; 3], talks: &[String; 3], written: &[&str]) {
    let texts: Vec<Value> = people
        .iter_mut()
        .zip(talks)
        .map(|(person, talk)| {
            let has_all = |notes: &Value| {
                let text = text(&notes["text"]);
                let mut lines = written.iter().flat_map(|what| (0..3).map(|number| line(what, number)));
                lines.all(|line| text.contains(&line)) && notes["waiting"] == 0
            };
            person.until("everybody's lines", json!({ "do": "notes", "talk": talk }), has_all)["text"].clone()
        })
        .collect();
    assert!(texts.iter().all(|text| *text == texts[0]), "the same notes: {texts:?}");
}

/// The first shows a picture, and this one reads it.
fn hand_over(people: &mut [Attendee; 3], talks: &[String; 3], scanner: usize, folder: &Path) {
    let picture = folder.join(format!("handoff-{scanner}.png"));
    people[0].until_ok(json!({ "do": "show-handoff", "talk": talks[0], "png": picture }));
    people[scanner].ask(json!({ "do": "scan", "image": picture }));
    people[scanner].event("handoff-ended", |event| event["end"] == "at-table" && event["talk"] == *talks[scanner]);
    people[0].until("a seat at the table", json!({ "do": "talk", "talk": talks[0] }), |view| {
        let at_table = |seats: &Vec<Value>| seats.iter().filter(|seat| seat["at_table"] == true).count();
        view["room"]["seats"].as_array().map(at_table) >= Some(2)
    });
}

/// All agree, and every device says so of every device.
fn close(mut people: [Attendee; 3], talks: &[String; 3]) {
    for (person, talk) in people.iter_mut().zip(talks) {
        person.ask(json!({ "do": "close", "talk": talk }));
    }
    for (person, talk) in people.iter_mut().zip(talks) {
        person.event("talk-erased", |event| event["talk"] == **talk);
        let receipts = person.until("three confirmations", json!({ "do": "receipts" }), |all| all["receipts"][0]["confirmed"] == 3);
        let receipt = &receipts["receipts"][0];
        assert_eq!((&receipt["ending"], &receipt["confirmed_of"]), (&json!("closed"), &json!(3)));
        assert_eq!(person.refused(json!({ "do": "notes", "talk": talk })), "unknown-talk");
    }
    people.into_iter().for_each(|person| drop(person.quit()));
}
