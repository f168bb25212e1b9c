//! What bad input gets, by real `alcove` processes: a code and a sentence that says what to do, and nothing is lost.
//!
//! Each part brings its bad input to people who have an open room, and asks afterwards whether the room, its words and its notes are
//! still there and still go over. Not here: a full disk (`tests/vault.rs`), and clocks that jump and peers that speak the protocol and
//! lie, which need the simulator.

mod code;
mod disk;
mod lan;
mod pack;
#[path = "../node_story/process.rs"]
#[allow(dead_code)]
mod process;
mod radio;
mod relay;
#[path = "../hostile_peer/resident.rs"]
mod resident;

use process::{Attendee, text};
use serde_json::{Value, json};

/// Opens a room of two and gives each one's name of the talk.
fn open_room(host: &mut Attendee, guest: &mut Attendee, topic: &str) -> [String; 2] {
    let posted = host.ask(json!({ "do": "post-card", "topic": topic, "seats_min": 2, "seats_max": 3, "hours": 12 }));
    let is_there = |board: &Value| board["cards"].as_array().is_some_and(|cards| cards.iter().any(|card| card["topic"] == topic));
    guest.until("the card", json!({ "do": "board" }), is_there);
    let seat = guest.ask(json!({ "do": "take-seat", "card": posted["card"] }));
    let talks = [text(&posted["talk"]), text(&seat["talk"])];
    host.event("talk-opened", |event| event["talk"] == *talks[0]);
    guest.event("talk-opened", |event| event["talk"] == *talks[1]);
    talks
}

/// One writes and says something, and the other has it, with all that was there before.
fn assert_goes_over(from: (&mut Attendee, &str), to: (&mut Attendee, &str), words: &str) {
    let before = text(&from.0.ask(json!({ "do": "notes", "talk": from.1 }))["text"]);
    from.0.ask(json!({ "do": "say", "talk": from.1, "text": words }));
    from.0.ask(json!({ "do": "edit", "talk": from.1, "edits": [{ "splice": { "at": 0, "insert": words } }] }));
    from.0.ask(json!({ "do": "flush", "talk": from.1 }));
    let whole = format!("{words}{before}");
    to.0.until("the notes", json!({ "do": "notes", "talk": to.1 }), |notes| notes["text"] == *whole && notes["waiting"] == 0);
    to.0.until("the words", json!({ "do": "talk", "talk": to.1 }), |view| {
        view["room"]["messages"].as_array().is_some_and(|messages| messages.iter().any(|message| message["text"] == words))
    });
}

/// A refusal has this code and a whole sentence with this advice in it.
fn assert_says(answer: &Value, code: &str, advice: &str) {
    assert_eq!(answer["error"], code, "{answer}");
    assert_sentence(&text(&answer["message"]), advice);
}

fn assert_sentence(sentence: &str, advice: &str) {
    assert!(sentence.contains(advice), "{sentence:?} does not say {advice:?}");
    // Some begin with the path that they are about.
    assert!(
        sentence.starts_with(|first: char| first.is_uppercase() || first == '/') && sentence.ends_with('.'),
        "{sentence:?} is no sentence"
    );
}
