//! The story by Bluetooth alone: real `alcove node` processes with neither LAN nor relay, whose Bluetooth stack talks to a simulated
//! radio. They see each other, open a talk, hand over by a code, write notes, close, and are left with nothing.

#[path = "node_story/process.rs"]
#[allow(dead_code)]
mod process;

use alcove::proto::config::{ADVERT_BYTES, CELL_BYTES};
use alcove::proto::wire::advert::{Advert, SERVICE_UUID};
use process::{Attendee, make_event, program, text};
use radio::{Facade, Kind, Options};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tokio::runtime::Runtime;

/// What is said and written and must be gone.
const WORDS: &str = "The ferry leaves from pier nine";

/// Names the adapters of a real BlueZ, with commas: `tests/bluez/run` sets it.
const ADAPTERS: &str = "ALCOVE_BLUEZ_ADAPTERS";

/// What carries the radio: the simulated air, in which phones have places, or the adapters of a real BlueZ, which hear each other always.
enum Stage {
    Simulated { runtime: Runtime, facade: Facade },
    Adapters(Vec<String>),
}

struct Hall {
    stage: Stage,
    folder: tempfile::TempDir,
}

impl Hall {
    /// So many phones, with their places in metres, unless [`ADAPTERS`] names adapters to use instead.
    fn new(seed: u64, places: &[f64]) -> Hall {
        let stage = match std::env::var(ADAPTERS) {
            Ok(names) => Stage::Adapters(names.split(',').map(str::to_owned).collect()),
            Err(_) => Stage::simulated(seed, places),
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        make_event(folder.path(), "By Radio", "ws://127.0.0.1:9");
        Hall { stage, folder }
    }

    fn enter(&self, phone: usize, name: &str) -> Attendee {
        let mut command = Command::new(program());
        let mut options = vec!["--lan", "off", "--bluetooth", "on"];
        match &self.stage {
            Stage::Simulated { facade, .. } => drop(command.env("DBUS_SYSTEM_BUS_ADDRESS", facade.phone(phone).bus_address())),
            Stage::Adapters(names) => options.extend(["--adapter", &names[phone]]),
        }
        let mut attendee = Attendee::run(command, &options, name, self.folder.path().join(name));
        attendee.ask(json!({ "do": "join-event", "file": self.folder.path().join("event.alcove") }));
        attendee.ask(json!({ "do": "offline", "transport": "relay" }));
        attendee
    }

    fn end(self) {
        if let Stage::Simulated { runtime, facade } = self.stage {
            runtime.block_on(facade.shutdown());
        }
    }
}

impl Stage {
    fn simulated(seed: u64, places: &[f64]) -> Stage {
        let runtime = Runtime::new().expect("threads");
        let options = Options { phones: places.len(), seed, ..Options::default() };
        let facade = runtime.block_on(Facade::start(options)).expect("the simulated radio starts: is dbus-daemon installed?");
        places.iter().enumerate().for_each(|(phone, x)| facade.phone(phone).place(*x, 0.0));
        Stage::Simulated { runtime, facade }
    }
}

/// From strangers to an open talk: the first hosts, the others sit down. Gives each one's name for it.
fn open_talk(people: &mut [Attendee]) -> Vec<String> {
    let seats = people.len();
    let posted = people[0].ask(json!({
        "do": "post-card", "topic": "Trains and sails", "tags": ["ferries"], "pattern": "know-how",
        "seats_min": seats, "seats_max": seats, "hours": 12,
    }));
    let mut talks = vec![text(&posted["talk"])];
    for person in &mut people[1..] {
        person.until("the card", json!({ "do": "board" }), |board| board["cards"][0]["topic"] == "Trains and sails");
        talks.push(text(&person.ask(json!({ "do": "take-seat", "card": posted["card"] }))["talk"]));
    }
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.event("talk-opened", |event| event["talk"] == **talk);
    }
    talks
}

/// The first shows a code, the second scans it.
fn hand_over(people: &mut [Attendee], talks: &[String]) {
    let shown = people[0].ask(json!({ "do": "show-handoff", "talk": talks[0] }));
    people[1].ask(json!({ "do": "scan", "text": shown["text"] }));
    people[1].event("handoff-ended", |event| event["end"] == "at-table" && event["talk"] == *talks[1]);
}

/// From the open talk to nothing: written in by all, closed by all.
fn write_and_close(people: &mut [Attendee], talks: &[String]) {
    for (number, (person, talk)) in people.iter_mut().zip(talks).enumerate() {
        let line = format!("Line {number}. {WORDS}.\n");
        person.ask(json!({ "do": "edit", "talk": talk, "edits": [{ "splice": { "at": 0, "insert": line } }] }));
        person.ask(json!({ "do": "flush", "talk": talk }));
    }
    let seats = people.len();
    let is_whole = |notes: &Value| (0..seats).all(|number| text(&notes["text"]).contains(&format!("Line {number}.")));
    let notes: Vec<_> = people
        .iter_mut()
        .zip(talks)
        .map(|(person, talk)| person.until("everybody's lines", json!({ "do": "notes", "talk": talk }), is_whole)["text"].clone())
        .collect();
    assert!(notes.iter().all(|text| *text == notes[0]), "{notes:?}");

    for (person, talk) in people.iter_mut().zip(talks) {
        person.ask(json!({ "do": "close", "talk": talk }));
    }
    for (person, talk) in people.iter_mut().zip(talks) {
        person.event("talk-erased", |event| event["talk"] == **talk);
        let all = |receipts: &Value| receipts["receipts"][0]["confirmed"] == seats;
        person.until("every confirmation", json!({ "do": "receipts" }), all);
        assert_eq!(person.ask(json!({ "do": "talks" }))["talks"], json!([]));
    }
}

fn linked(count: usize) -> impl Fn(&Value) -> bool {
    move |status| status["neighbours"] == count && status["bluetooth"]["state"] == "on"
}

/// Every value over GATT is a cell or half of one, and every advert shows our ten bytes; no id is shown under two addresses, no address
/// shows two ids.
fn check_the_air(hall: &Hall) {
    let (mut cells, mut shown) = (0, BTreeMap::new());
    let Stage::Simulated { facade, .. } = &hall.stage else { return };
    for record in facade.capture() {
        match record.kind {
            Kind::Advert => {
                let service = SERVICE_UUID.to_le_bytes();
                let at = record.bytes.windows(16).position(|window| window == service).expect("the service's data");
                let advert = Advert::from_bytes(&record.bytes[at + 16..][..ADVERT_BYTES]).expect("an advert of ours");
                let sender = format!("{:?}", record.sender);
                assert_eq!(shown.entry(sender.clone()).or_insert(advert.id), &advert.id, "{sender}");
                let senders = shown.iter().filter(|(_, id)| **id == advert.id).count();
                assert_eq!(senders, 1, "one id, one address");
            }
            Kind::Write | Kind::WriteCommand | Kind::Notify => {
                assert!([CELL_BYTES, CELL_BYTES / 2].contains(&record.bytes.len()), "{record:?}");
                cells += 1;
            }
            Kind::ScanResponse | Kind::Connect | Kind::Disconnect | Kind::Read => {}
        }
    }
    assert!(cells > 20 && !shown.is_empty(), "the air was watched: {cells} cells, {} addresses", shown.len());
}

fn holds_words(folder: &Path) -> bool {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if std::fs::read(&path).is_ok_and(|bytes| bytes.windows(WORDS.len()).any(|window| window == WORDS.as_bytes())) {
                return true;
            }
        }
    }
    false
}

#[test]
fn two_people_meet_hand_over_write_and_close_by_bluetooth_alone() {
    let hall = Hall::new(1, &[0.0, 2.0]);
    let mut people = ["heron", "otter"].into_iter().enumerate().map(|(phone, name)| hall.enter(phone, name)).collect::<Vec<_>>();
    for person in &mut people {
        person.until_status("a neighbour by radio", linked(1));
        let near = person.until("somebody near", json!({ "do": "nearby" }), |near| near["linked"] == 1);
        let seen = |band: &str| near["attendees"][band].as_u64().unwrap_or_default();
        // Virtual controllers measure no strength.
        let strong = if matches!(hall.stage, Stage::Simulated { .. }) { seen("close") + seen("around") } else { seen("unknown") };
        assert_eq!(strong, 1, "{near}");
    }
    let talks = open_talk(&mut people);
    for (person, talk) in people.iter_mut().zip(&talks) {
        let is_known = |near: &Value| near["members"].as_array().is_some_and(|all| all.len() == 1 && all[0]["talk"] == **talk);
        person.until("the other of the talk", json!({ "do": "nearby" }), is_known);
    }
    hand_over(&mut people, &talks);
    write_and_close(&mut people, &talks);
    check_the_air(&hall);
    people.into_iter().for_each(|person| drop(person.quit()));
    assert!(!holds_words(hall.folder.path()));
    hall.end();
}

#[test]
fn three_in_a_line_meet_through_the_middle_one_which_can_read_nothing() {
    // With this seed twenty metres are heard and forty are not.
    let hall = Hall::new(2, &[0.0, 40.0, 20.0]);
    if let Stage::Simulated { facade, .. } = &hall.stage {
        // Cells overtake each other, as over the bearers of Enhanced ATT.
        facade.set_bearers(5);
    }
    let mut people =
        ["heron", "otter", "raven"].into_iter().enumerate().map(|(phone, name)| hall.enter(phone, name)).collect::<Vec<_>>();
    people[2].until_status("both ends", linked(2));
    let mut middle = people.pop().expect("three");
    let talks = open_talk(&mut people);
    people[0].ask(json!({ "do": "say", "talk": talks[0], "text": WORDS }));
    let heard = |view: &Value| view["room"]["messages"][0]["text"] == WORDS;
    people[1].until("the message", json!({ "do": "talk", "talk": talks[1] }), heard);
    people.iter_mut().for_each(|person| drop(person.until_status("the middle alone", linked(1))));
    write_and_close(&mut people, &talks);
    let status = middle.ask(json!({ "do": "status" }));
    assert!(status["carried_parcels"].as_u64().is_some_and(|parcels| parcels > 0), "it carries what it cannot read");
    assert_eq!(middle.ask(json!({ "do": "talks" }))["talks"], json!([]));
    assert_eq!(middle.ask(json!({ "do": "nearby" }))["members"], json!([]), "it recognises nobody");
    let profile = middle.quit();
    assert!(!holds_words(&profile));
    people.into_iter().for_each(|person| drop(person.quit()));
    hall.end();
}

#[test]
fn who_switches_bluetooth_off_has_no_neighbour_left_whichever_side_opened_the_link() {
    let hall = Hall::new(4, &[0.0, 2.0]);
    let mut people = ["heron", "otter"].into_iter().enumerate().map(|(phone, name)| hall.enter(phone, name)).collect::<Vec<_>>();
    for round in 0..4 {
        people.iter_mut().for_each(|person| drop(person.until_status("a neighbour by radio", linked(1))));
        let person = &mut people[round % 2];
        person.ask(json!({ "do": "offline", "transport": "bluetooth" }));
        let is_alone = |status: &Value| status["bluetooth"]["state"] == "off" && status["neighbours"] == 0 && status["links"] == 0;
        person.until_status("nobody", is_alone);
        person.ask(json!({ "do": "online", "transport": "bluetooth" }));
    }
    people.into_iter().for_each(|person| drop(person.quit()));
    hall.end();
}
