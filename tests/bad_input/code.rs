//! Codes that are garbage, expired, used, taken off the screen, of another event, of another talk, or lead nowhere.

use super::process::{Attendee, Place, silent_address, text};
use super::{assert_goes_over, assert_says, assert_sentence, open_room};
use alcove::proto::handoff::code::{Kind, OneTime};
use alcove::proto::id::EventId;
use alcove::proto::rng::Rng;
use alcove::proto::time::WallTime;
use serde_json::{Value, json};
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;

const MINUTE_MS: u64 = 60_000;

#[test]
fn a_bad_code_opens_nothing_and_says_why() {
    let place = Place::new();
    let [mut heron, mut otter, mut raven] = ["heron", "otter", "raven"].map(|name| Attendee::start(&place, name));
    for person in [&mut heron, &mut otter, &mut raven] {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let talks = open_room(&mut heron, &mut otter, "For two");
    let others = open_room(&mut heron, &mut raven, "For two others");
    let show = json!({ "do": "show-handoff", "talk": talks[0] });
    let code = text(&heron.until_ok(show.clone())["text"]);

    // What is no code at all.
    let swapped = code.replacen(':', ";", 1);
    let long = format!("{code}{}", "7".repeat(5_000));
    for garbage in ["", "hello", "ALCOVE:", "https://example.org/ALCOVE:", &code[..60], &swapped, &long, "ALCOVE:\u{1f600}"] {
        assert_says(&otter.refusal(json!({ "do": "scan", "text": garbage })), "not-a-code", "not an Alcove code");
    }
    let (white, noise) = (place.path("white.png"), place.path("noise.png"));
    write_white(&white);
    fs::write(&noise, Rng::new([5; 32]).bytes::<4096>()).expect("written");
    assert_says(&otter.refusal(json!({ "do": "scan", "image": white })), "no-code", "");
    assert_says(&otter.refusal(json!({ "do": "scan", "image": noise })), "not-a-picture", "");
    assert_says(&otter.refusal(json!({ "do": "scan", "image": place.path("nowhere.png") })), "file", "check the path");

    // Codes that were good once, or are elsewhere.
    let status = otter.ask(json!({ "do": "status" }));
    let event = EventId::from_hex(&text(&status["joined"]["event_id"])).expect("an event's name");
    let now = status["wall_ms"].as_u64().expect("a time");
    let (_held, silent) = silent_address();
    let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, silent.port());
    let made = |event: EventId, expiry_ms: u64| {
        let one_time = OneTime::new(&mut Rng::new([6; 32]));
        one_time.code(Kind::Members, WallTime(expiry_ms), Some(at), event).to_text().to_string()
    };
    let expired = made(event, now - MINUTE_MS);
    assert_says(&otter.refusal(json!({ "do": "scan", "text": expired })), "code-expired", "on the screen now");
    let elsewhere = made(EventId([9; 16]), now + MINUTE_MS);
    assert_says(&otter.refusal(json!({ "do": "scan", "text": elsewhere })), "code-of-other-event", "another event");
    assert_fails(&mut otter, &made(event, now + MINUTE_MS), "unreachable");

    // Codes that the one who shows them does not take from this one, or any more.
    raven.ask(json!({ "do": "scan", "text": code }));
    raven.event("handoff-ended", |event| event["end"] != "at-table");
    heron.event("handoff-changed", |event| event["talk"] == *talks[0]);
    assert_eq!(heron.ask(json!({ "do": "newcomers", "talk": talks[0] }))["links"], json!([]), "a code for members is for members");
    let code = text(&heron.until_ok(show.clone())["text"]);
    otter.ask(json!({ "do": "scan", "text": code }));
    otter.event("handoff-ended", |event| event["end"] == "at-table" && event["talk"] == *talks[1]);
    assert_fails(&mut raven, &code, "stale");
    assert_fails(&mut otter, &code, "stale");
    let code = text(&heron.until_ok(show)["text"]);
    heron.ask(json!({ "do": "hide-handoff", "talk": talks[0] }));
    assert_fails(&mut otter, &code, "stale");

    let opened = raven.ask(json!({ "do": "talks" }))["talks"]
        .as_array()
        .expect("talks")
        .iter()
        .filter(|talk| talk["state"] == "open")
        .count();
    assert_eq!(opened, 1, "raven got in nowhere");
    assert_eq!(heron.view(&talks[0])["taken"], 2);
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "For two only. ");
    assert_goes_over((&mut raven, &others[1]), (&mut heron, &others[0]), "And we are here. ");
}

#[test]
fn a_code_for_members_shows_no_words_to_others_and_leaves_nothing_with_them() {
    let place = Place::new();
    let [mut heron, mut otter, mut raven] = ["heron", "otter", "raven"].map(|name| Attendee::start(&place, name));
    for person in [&mut heron, &mut otter, &mut raven] {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let talks = open_room(&mut heron, &mut otter, "For two");
    let code = heron.until_ok(json!({ "do": "show-handoff", "talk": talks[0] }));
    raven.ask(json!({ "do": "scan", "text": code["text"] }));
    let ended = raven.event("handoff-ended", |_| true);
    assert_eq!((&ended["end"], &ended["reason"]), (&json!("failed"), &json!("turned-away")), "{ended}");
    assert_eq!(raven.ask(json!({ "do": "talks" }))["talks"], json!([]));
}

/// A scan that begins, and ends with this reason and a sentence.
fn assert_fails(scanner: &mut Attendee, code: &str, reason: &str) {
    assert_eq!(scanner.ask(json!({ "do": "scan", "text": code }))["code"], "handoff");
    let ended: Value = scanner.event("handoff-ended", |event| event["end"] != "words-shown");
    assert_eq!((&ended["end"], &ended["reason"]), (&json!("failed"), &json!(reason)), "{ended}");
    assert_sentence(&text(&ended["message"]), "");
}

fn write_white(path: &Path) {
    let mut encoder = png::Encoder::new(fs::File::create(path).expect("a file"), 200, 200);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&[255; 200 * 200]).expect("pixels");
}
