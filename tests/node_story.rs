//! The whole story by three real `alcove node` processes on one machine: a card finds its quorum, the room opens, is written in
//! together, moves to the table by a picture of a code, is closed by all and is gone.

#[path = "node_story/process.rs"]
#[allow(dead_code)]
mod process;

use alcove::proto::io::Scope;
use alcove::proto::rng::Rng;
use alcove::shell::keystore::Choice;
use alcove::shell::vault::Vault;
use process::{Attendee, Place, text};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// What is said and written and must be gone.
const WORDS: &str = "The ferry leaves from pier nine";

#[test]
fn three_people_meet_write_and_leave_nothing_behind() {
    let place = Place::new();
    let mut people = ["heron", "otter", "raven"].map(|name| Attendee::start(&place, name));
    // On three trains: the relay alone.
    for person in &mut people {
        person.ask(json!({ "do": "offline", "transport": "lan" }));
        let joined = person.ask(json!({ "do": "join-event", "file": place.pack() }));
        assert_eq!(joined["joined"]["name"], "Node Story");
        person.until_status("connected to the relay", |status| status["relay"]["state"] == "up" && status["neighbours"] == 0);
    }

    // The card, and no room below the quorum.
    let [heron, otter, raven] = &mut people;
    let posted = heron.ask(json!({
        "do": "post-card", "topic": "Trains and sails", "tags": ["Ferries", "rail"], "pattern": "know-how",
        "seats_min": 3, "seats_max": 4, "hours": 12,
    }));
    let mut talks = [text(&posted["talk"]), String::new(), String::new()];
    for (person, talk) in [otter, raven].into_iter().zip(&mut talks[1..]) {
        person.ask(json!({ "do": "set-interests", "tags": ["ferries"] }));
        let board = person.until("the card", json!({ "do": "board" }), |board| board["cards"][0]["shared_tags"] == 1);
        assert_eq!(board["cards"][0]["topic"], "Trains and sails");
        assert_eq!(heron.view(&text(&posted["talk"]))["state"], "gathering");
        assert_eq!(heron.refused(json!({ "do": "say", "talk": posted["talk"], "text": "anybody?" })), "not-open");
        *talk = text(&person.ask(json!({ "do": "take-seat", "card": posted["card"] }))["talk"]);
    }
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.event("talk-opened", |event| event["talk"] == **talk);
    }
    let fingerprints: Vec<_> =
        people.iter_mut().zip(&talks).map(|(person, talk)| person.view(talk)["room"]["fingerprint"].clone()).collect();
    assert!(fingerprints.iter().all(|words| *words == fingerprints[0]), "{fingerprints:?}");

    // Said by one, heard by all; written by all, the same for all.
    people[1].ask(json!({ "do": "say", "talk": talks[1], "text": WORDS }));
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.until("the message", json!({ "do": "talk", "talk": talk }), |view| view["room"]["messages"][0]["text"] == WORDS);
    }
    // At the venue, whose internet is down: the local network alone.
    for person in &mut people {
        person.ask(json!({ "do": "offline", "transport": "relay" }));
        person.ask(json!({ "do": "online", "transport": "lan" }));
    }
    for person in &mut people {
        person.until_status("neighbours", |status| status["neighbours"] == 2 && status["relay"]["state"] == "offline");
    }
    for (number, (person, talk)) in people.iter_mut().zip(&talks).enumerate() {
        let line = format!("Line of number {number}. {WORDS}.\n");
        person.ask(json!({ "do": "edit", "talk": talk, "edits": [
            { "splice": { "at": 0, "insert": line } },
            { "mark": { "start": 0, "end": 4, "name": "bold" } },
            { "add-agenda": { "text": format!("Item {number}"), "minutes": 5 } },
            { "add-action": { "text": format!("Task {number}"), "owner": number } },
        ] }));
        person.ask(json!({ "do": "flush", "talk": talk }));
    }
    let notes: Vec<_> = people
        .iter_mut()
        .zip(&talks)
        .map(|(person, talk)| {
            let all = |notes: &serde_json::Value| {
                (0..3).all(|number| text(&notes["text"]).contains(&format!("number {number}.")))
                    && notes["agenda"].as_array().is_some_and(|agenda| agenda.len() == 3)
                    && notes["waiting"] == 0
            };
            let mut notes = person.until("everybody's notes", json!({ "do": "notes", "talk": talk }), all);
            // What others are typing is each screen's own affair.
            notes["previews"] = json!(null);
            notes["reply"] = json!(null);
            notes
        })
        .collect();
    assert_eq!(notes[0], notes[1]);
    assert_eq!(notes[0], notes[2]);
    assert_eq!(notes[0]["actions"].as_array().map(Vec::len), Some(3));

    // To the table: one shows a picture, the other process reads it.
    let picture = place.path("handoff.png");
    let shown = people[0].ask(json!({ "do": "show-handoff", "talk": talks[0], "png": picture }));
    people[2].ask(json!({ "do": "scan", "image": picture }));
    people[2].event("handoff-ended", |event| event["end"] == "at-table" && event["talk"] == *talks[2]);
    people[0].until("two at the table", json!({ "do": "talk", "talk": talks[0] }), |view| {
        view["room"]["seats"].as_array().is_some_and(|seats| seats.iter().filter(|seat| seat["at_table"] == true).count() == 2)
    });
    people[1].ask(json!({ "do": "scan", "text": shown["text"] }));
    people[1].event("handoff-ended", |event| event["end"] == "failed" && event["reason"] == "stale");

    // The end: all agree, and every device says so of every device.
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.ask(json!({ "do": "close", "talk": talk }));
    }
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.event("talk-erased", |event| event["talk"] == **talk);
        let receipts =
            person.until("every confirmation", json!({ "do": "receipts" }), |receipts| receipts["receipts"][0]["confirmed"] == 3);
        let receipt = &receipts["receipts"][0];
        assert_eq!((&receipt["ending"], &receipt["seats"], &receipt["confirmed_of"]), (&json!("closed"), &json!(3), &json!(3)));
        assert_eq!(person.refused(json!({ "do": "notes", "talk": talk })), "unknown-talk");
        assert_eq!(person.ask(json!({ "do": "talks" }))["talks"], json!([]));
    }
    for person in people {
        let profile = person.quit();
        assert_nothing_is_left(&profile);
    }
}

/// With all that the device has, keys included, no record of a talk is there.
fn assert_nothing_is_left(profile: &Path) {
    let opened = Vault::open(profile, Choice::File, Rng::new([1; 32])).expect("the profile opens");
    assert!(!opened.records.is_empty(), "the receipt is there");
    assert!(opened.corrupt.is_empty() && opened.lost.is_empty());
    for record in &opened.records {
        assert_eq!(record.scope, Scope::Durable);
        assert!(!record.value.windows(WORDS.len()).any(|window| window == WORDS.as_bytes()));
    }
}

#[test]
fn a_newcomer_is_admitted_by_two_words_and_everybody_can_go_as_they_please() {
    let place = Place::new();
    let [mut heron, mut otter, mut raven] = ["heron", "otter", "raven"].map(|name| Attendee::start(&place, name));
    for person in [&mut heron, &mut otter, &mut raven] {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let draft = heron.ask(json!({
        "do": "draft-card", "topic": "Quiet places", "seats_min": 2, "seats_max": 4, "hours": 6, "pattern": "open",
    }));
    let posted = heron.ask(json!({ "do": "post-card", "talk": draft["talk"] }));
    otter.until("the card", json!({ "do": "board" }), |board| board["cards"][0]["topic"] == "Quiet places");
    let herons = text(&posted["talk"]);
    let otters = text(&otter.ask(json!({ "do": "take-seat", "card": posted["card"] }))["talk"]);
    heron.event("talk-opened", |event| event["talk"] == *herons);
    otter.event("talk-opened", |event| event["talk"] == *otters);

    // A newcomer: both screens show the same two words, and a person decides.
    let shown = heron.until_ok(json!({ "do": "show-handoff", "talk": herons, "newcomers": true }));
    raven.ask(json!({ "do": "scan", "text": shown["text"] }));
    let hers = raven.event("handoff-ended", |event| event["end"] == "words-shown");
    let waits = heron.event("newcomer-waits", |event| event["talk"] == *herons);
    assert_eq!(hers["words"], waits["words"]);
    assert_eq!(heron.ask(json!({ "do": "newcomers", "talk": herons }))["links"], json!([waits["link"]]));
    assert_eq!(otter.refused(json!({ "do": "admit", "link": waits["link"] })), "nobody-waits");
    heron.ask(json!({ "do": "admit", "link": waits["link"], "admitted": true }));
    let opened = raven.event("talk-opened", |_| true);
    let ravens = text(&opened["talk"]);
    raven.until("three seats", json!({ "do": "talk", "talk": ravens }), |view| view["taken"] == 3);

    // Every radio off: the notes go over by pictures.
    for transport in ["lan", "relay"] {
        heron.ask(json!({ "do": "offline", "transport": transport }));
        otter.ask(json!({ "do": "offline", "transport": transport }));
    }
    let edits = json!([{ "splice": { "at": 0, "insert": WORDS } }]);
    heron.ask(json!({ "do": "edit", "talk": herons, "edits": edits }));
    let code = heron.ask(json!({ "do": "animated-code", "talk": herons, "png_dir": place.path("frames") }));
    assert_eq!(otter.ask(json!({ "do": "notes", "talk": otters }))["text"], "", "control: nothing came by radio");
    for picture in code["pngs"].as_array().expect("pictures") {
        if otter.ask(json!({ "do": "scan", "image": picture }))["progress"] == 1.0 {
            break;
        }
    }
    otter.until("the notes", json!({ "do": "notes", "talk": otters }), |notes| notes["text"] == WORDS);

    // The power fails, and what was answered is there again.
    drop(otter);
    let mut otter = Attendee::start(&place, "otter");
    assert_eq!(otter.view(&otters)["state"], "open");
    assert_eq!(otter.ask(json!({ "do": "notes", "talk": otters }))["text"], WORDS);

    // One leaves, and the others see it go.
    heron.ask(json!({ "do": "online", "transport": "lan" }));
    otter.ask(json!({ "do": "report", "text": "Nothing to complain about." }));
    otter.until_status("neighbours", |status| status["neighbours"] == 2);
    // The organizer sits here too: her key opens what was reported.
    heron.ask(json!({ "do": "open-reports", "keys": place.pack().with_file_name("organizer.key") }));
    let reports = heron.until("the report", json!({ "do": "reports" }), |reports| !reports["reports"][0].is_null());
    assert_eq!(reports["reports"][0]["text"], "Nothing to complain about.");
    assert_eq!(raven.ask(json!({ "do": "reports" }))["reports"], json!([]), "nobody else can read it");
    otter.ask(json!({ "do": "leave", "talk": otters }));
    assert_eq!(otter.ask(json!({ "do": "receipts" }))["receipts"][0]["ending"], "left");
    let gone = |view: &serde_json::Value| {
        view["room"]["seats"].as_array().is_some_and(|seats| seats.iter().any(|seat| seat["standing"] == "left"))
    };
    for (person, talk) in [(&mut heron, &herons), (&mut raven, &ravens)] {
        person.until("the empty seat", json!({ "do": "talk", "talk": talk }), gone);
    }
    assert_nothing_is_left(&otter.quit());

    // Who quits in the middle of a word has it at the next start.
    let edits = json!([{ "splice": { "at": 0, "insert": "Unfinished " } }]);
    heron.ask(json!({ "do": "edit", "talk": herons, "edits": edits }));
    heron.quit();
    let mut heron = Attendee::start(&place, "heron");
    assert_eq!(heron.ask(json!({ "do": "notes", "talk": herons }))["text"], format!("Unfinished {WORDS}"));
}

#[test]
fn a_profile_is_one_process_s() {
    let place = Place::new();
    let heron = Attendee::start(&place, "heron");
    let second = Command::new(process::BINARY)
        .args(["node", "--lan", "off", "--keystore", "file", "--profile"])
        .arg(place.path("heron"))
        .output()
        .expect("the binary runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("Another Alcove is running with the profile"), "{said}");
    let line: serde_json::Value = serde_json::from_slice(&second.stdout).expect("one JSON line");
    assert_eq!((&line["event"], &line["error"]), (&json!("failed"), &json!("profile-in-use")));
    heron.quit();
}

#[test]
fn a_bad_line_gets_a_sentence_and_the_next_line_is_heard() {
    let place = Place::new();
    let mut heron = Attendee::start(&place, "heron");
    for (line, code) in [
        ("{nonsense", "not-json"),
        ("[1, 2]", "not-json"),
        ("\u{1}\u{fffd}", "not-json"),
        (r#"{"id": 1}"#, "bad-request"),
        (r#"{"id": 1, "do": "dance"}"#, "unknown-command"),
        (r#"{"id": 1, "do": "status", "extra": 1}"#, "bad-request"),
        (r#"{"id": 1, "do": "say", "talk": "xyz", "text": "hi"}"#, "bad-request"),
        (r#"{"id": 1, "do": "board"}"#, ""),
        (r#"{"id": 1, "do": "post-card", "topic": "t", "seats_min": 3, "seats_max": 4, "hours": 1}"#, "no-event"),
        (r#"{"id": 1, "do": "join-event", "link": "hello"}"#, "not-a-code"),
        (r#"{"id": 1, "do": "join-event", "file": "/nowhere"}"#, "file"),
        (r#"{"id": 1, "do": "join-event"}"#, "bad-request"),
        (
            r#"{"id": 1, "do": "edit", "talk": "00112233445566778899aabbccddeeff", "edits": [{"splice": {"at": "x"}}]}"#,
            "bad-request",
        ),
        (r#"{"id": 1, "do": "edit", "talk": "00112233445566778899aabbccddeeff", "edits": []}"#, "unknown-talk"),
        (&"x".repeat(2 << 20), "line-too-long"),
    ] {
        let answer = heron.line(line);
        assert_eq!(answer["error"].as_str().unwrap_or_default(), code, "{:.80} {answer}", line);
        assert_eq!(answer["message"].is_string(), !code.is_empty());
    }
    assert_eq!(heron.ask(json!({ "do": "status" }))["joined"], json!(null));
    heron.quit();
}
