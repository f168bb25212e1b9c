//! A relay that is down, silent, full, or answers nonsense: the device keeps what it has, and the local network goes on.

use super::process::{Attendee, BINARY, Place, make_event, silent_address, start_relay, text};
use super::{assert_goes_over, assert_sentence, open_room};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two people who find each other on this machine, at an event with a relay at this address.
fn two(place: &Place, pack: &Path) -> [Attendee; 2] {
    ["heron", "otter"].map(|name| {
        let mut person = Attendee::start(place, name);
        person.ask(json!({ "do": "join-event", "file": pack }));
        person
    })
}

#[test]
fn a_relay_that_is_down_is_waited_for_and_the_local_network_goes_on() {
    let place = Place::new();
    let (_held, address) = silent_address();
    let pack = make_event(&place.path("down"), "Relay Down", &format!("ws://{address}"));
    let [mut heron, mut otter] = two(&place, &pack);
    let status = heron.until_status("the bad news", |status| status["relay"]["state"] == "unreachable");
    assert_sentence(&text(&status["relay"]["message"]), "trying again");
    let talks = open_room(&mut heron, &mut otter, "Without a relay");
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "By the local network. ");

    let mut command = Command::new(BINARY);
    command.args(["relay", "--listen", &address.to_string()]);
    let (mut relay, _) = start_relay(command);
    heron.until_status("the relay", |status| status["relay"]["state"] == "up" && status["relay_waiting"] == 0);
    assert_goes_over((&mut otter, &talks[1]), (&mut heron, &talks[0]), "It is back. ");
    relay.kill().and_then(|()| relay.wait()).expect("the relay is killed");
}

#[test]
fn a_relay_that_answers_nonsense_or_nothing_is_not_believed() {
    let place = Place::new();
    let upgrade =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n";
    for (name, answer) in [
        ("noise", (0..100_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>()),
        ("a portal", b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n<html></html".to_vec()),
        ("a wrong upgrade", upgrade.as_bytes().to_vec()),
        ("silence", Vec::new()),
    ] {
        let (url, asked) = impostor(answer);
        let folder = place.path(name);
        let pack = make_event(&folder, name, &url);
        let [mut heron, mut otter] = ["heron", "otter"].map(|person| {
            let mut person = Attendee::start(&place, &format!("{name}/{person}"));
            person.ask(json!({ "do": "join-event", "file": pack }));
            person
        });
        let talks = open_room(&mut heron, &mut otter, "Beside an impostor");
        assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "By the local network. ");
        let state = if name == "silence" { "connecting" } else { "unreachable" };
        heron.until_status(name, |status| status["relay"]["state"] == state && asked.load(Ordering::Relaxed) > 0);
        let status = heron.ask(json!({ "do": "status" }));
        assert_sentence(&text(&status["relay"]["message"]), "relay");
        assert_ne!(status["relay"]["state"], "up", "{name}");
        assert_eq!(status["not_saved"], json!(null));
        for person in [heron, otter] {
            person.quit();
        }
    }
}

/// Answers every connection with these bytes, or, without any, keeps it open in silence; how many there were.
fn impostor(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("ws://{}", socket.local_addr().expect("its address"));
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    std::thread::spawn(move || {
        let mut open = Vec::new();
        for mut stream in socket.incoming().map_while(Result::ok) {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = stream.write_all(&answer);
            if answer.is_empty() {
                open.push(stream);
            }
        }
    });
    (url, asked)
}

#[test]
fn what_a_full_relay_does_not_take_goes_over_the_local_network() {
    let place = Place::with_relay(&["--capacity-mib", "1", "--mailbox-blobs", "1"]);
    let [mut heron, mut otter] = two(&place, &place.pack());
    for person in [&mut heron, &mut otter] {
        person.ask(json!({ "do": "offline", "transport": "lan" }));
        person.until_status("the relay alone", |status| status["relay"]["state"] == "up" && status["neighbours"] == 0);
    }
    let url = text(&heron.ask(json!({ "do": "status" }))["joined"]["relays"][0]);
    for number in 0..4 {
        let topic = format!("Card {number}");
        heron.ask(json!({ "do": "post-card", "topic": topic, "seats_min": 2, "seats_max": 2, "hours": 2 }));
        heron.until_status("the card, taken or refused", |status| match number {
            0 => status["relay_kept"] == 1 && status["relay_waiting"] == 0,
            _ => refused_as_full(&url) > 0,
        });
    }
    assert_eq!(heron.ask(json!({ "do": "talks" }))["talks"].as_array().map(Vec::len), Some(4), "nothing is lost here");

    for person in [&mut heron, &mut otter] {
        person.ask(json!({ "do": "online", "transport": "lan" }));
    }
    otter.until("all cards", json!({ "do": "board" }), |board| board["cards"].as_array().map(Vec::len) == Some(4));
    let talks = open_room(&mut heron, &mut otter, "Beside a full relay");
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "By the local network. ");
}

#[test]
fn what_a_full_relay_did_not_take_waits_and_is_left_there_when_there_is_room() {
    let place = Place::new();
    let mut command = Command::new(BINARY);
    command.args(["relay", "--listen", "127.0.0.1:0", "--mailbox-blobs", "1"]);
    let (mut full, url) = start_relay(command);
    let pack = make_event(&place.path("full"), "Relay Full", &url);
    let [mut heron, mut otter] = two(&place, &pack);
    for person in [&mut heron, &mut otter] {
        person.ask(json!({ "do": "offline", "transport": "lan" }));
        person.until_status("the relay alone", |status| status["relay"]["state"] == "up" && status["neighbours"] == 0);
    }
    let card = |topic: &str| json!({ "do": "post-card", "topic": topic, "seats_min": 2, "seats_max": 2, "hours": 2 });
    let taken = heron.ask(card("Taken"));
    heron.until_status("the card that is taken", |status| status["relay_kept"] == 1 && status["relay_waiting"] == 0);
    heron.ask(card("Refused"));
    heron.until_status("the card that is refused", |_| refused_as_full(&url) > 0);
    heron.until_status("the card that waits", |status| status["relay_waiting"] == 1);
    // The first card's place is free again: whoever waited longest gets it.
    heron.ask(json!({ "do": "withdraw", "talk": taken["talk"] }));
    let has_it = |card: &Value| card["topic"] == "Refused";
    otter.until("the card", json!({ "do": "board" }), |board| board["cards"].as_array().is_some_and(|all| all.iter().any(has_it)));
    full.kill().and_then(|()| full.wait()).expect("the relay is killed");
}

/// Puts that the relay refused because a mailbox, or all of it, was full: from its page for operators.
fn refused_as_full(url: &str) -> u64 {
    let host = url.strip_prefix("ws://").expect("a plain relay");
    let mut stream = TcpStream::connect(host).expect("the relay");
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").expect("asked");
    let mut page = String::new();
    stream.read_to_string(&mut page).expect("a page");
    let full = page.lines().filter(|line| line.contains("refusals_total{") && line.contains("_full"));
    full.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
