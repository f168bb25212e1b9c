//! A reboot empties the keystore and leaves the disk: while the talk lives, its seat and notes come back from the others; after its
//! close nothing does. With real processes; the emptied keystore is the profile's key files removed while no process runs.

#[path = "node_story/process.rs"]
#[allow(dead_code)]
mod process;

use process::{Attendee, Place, text};
use serde_json::json;
use std::fs;
use std::path::Path;

const WORDS: &str = "Platform two, under the clock";

/// What a reboot does to a keystore in memory; says how many keys were lost.
fn reboot(profile: &Path) -> usize {
    let keys = fs::read_dir(profile).expect("the profile").map(|entry| entry.expect("an entry").path());
    let forgetting = keys.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("forgetting.")));
    forgetting.map(|path| fs::remove_file(path).expect("the key can be removed")).count()
}

#[test]
fn a_rebooted_device_gets_its_seat_and_notes_back_while_the_talk_lives_and_nothing_after_its_close() {
    let place = Place::new();
    let mut people: Vec<_> = ["heron", "otter", "raven"].into_iter().map(|name| Attendee::start(&place, name)).collect();
    for person in &mut people {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let posted = people[0].ask(json!({ "do": "post-card", "topic": "Clocks", "seats_min": 3, "seats_max": 4, "hours": 4 }));
    let mut talks = vec![text(&posted["talk"])];
    for person in &mut people[1..] {
        talks.push(text(&person.until_ok(json!({ "do": "take-seat", "card": posted["card"] }))["talk"]));
    }
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.event("talk-opened", |event| event["talk"] == **talk);
    }
    people[1].ask(json!({ "do": "edit", "talk": talks[1], "edits": [{ "splice": { "at": 0, "insert": WORDS } }] }));
    people[1].ask(json!({ "do": "flush", "talk": talks[1] }));
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.until("the notes", json!({ "do": "notes", "talk": talk }), |notes| notes["text"] == WORDS);
    }
    let persona = people[2].view(&talks[2])["persona"].clone();

    // Control: a restart that keeps the keystore shows the notes at once, by itself.
    let raven = people.pop().expect("raven");
    drop(raven.quit());
    let mut raven = Attendee::start(&place, "raven");
    assert_eq!(raven.ask(json!({ "do": "notes", "talk": talks[2] }))["text"], WORDS);

    let profile = raven.quit();
    assert!(reboot(&profile) > 0);
    let mut raven = Attendee::start(&place, "raven");
    raven.until("the seat", json!({ "do": "talk", "talk": talks[2] }), |talk| talk["state"] == "open");
    raven.until("the notes from the others", json!({ "do": "notes", "talk": talks[2] }), |notes| notes["text"] == WORDS);
    assert_eq!(raven.view(&talks[2])["persona"], persona, "the same person in the same talk");
    people.push(raven);

    for (person, talk) in people.iter_mut().zip(&talks) {
        person.until("all three in one epoch", json!({ "do": "talk", "talk": talk }), |view| view["room"]["agreed_of"] == 3);
        person.ask(json!({ "do": "close", "talk": talk }));
    }
    for (person, talk) in people.iter_mut().zip(&talks) {
        person.event("talk-erased", |event| event["talk"] == **talk);
    }
    let raven = people.pop().expect("raven");
    let profile = raven.quit();
    reboot(&profile);
    let mut raven = Attendee::start(&place, "raven");
    raven.until_status("the relay", |status| status["relay_caught_up"] == true);
    assert_eq!(raven.ask(json!({ "do": "talks" }))["talks"], json!([]));
    assert_eq!(raven.ask(json!({ "do": "receipts" }))["receipts"][0]["ending"], "closed");
}
