//! Streams on the LAN port that are garbage, too long, cut short, silent or too many, while honest traffic goes on.

use super::process::{Attendee, Place, text};
use super::{assert_goes_over, open_room};
use alcove::proto::config::CELL_BYTES;
use alcove::proto::rng::Rng;
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Whoever is not answered by then is not spoken to.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn strangers_who_send_garbage_are_cut_off_and_neighbours_do_not_notice() {
    let place = Place::new();
    let [mut heron, mut otter] = ["heron", "otter"].map(|name| Attendee::start(&place, name));
    for person in [&mut heron, &mut otter] {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let talks = open_room(&mut heron, &mut otter, "Beside a stranger");
    let status = heron.until_status("an address", |status| status["listening"] != json!([]));
    let at = text(&status["listening"][0]);
    let faults = status["faults"].as_u64().expect("a count");

    let mut rng = Rng::new([11; 32]);
    let noise: Vec<u8> = (0..(1 << 20) / 1024).flat_map(|_| rng.bytes::<1024>()).collect();
    let cells: Vec<u8> =
        noise.chunks(CELL_BYTES).flat_map(|cell| [&(CELL_BYTES as u16).to_be_bytes()[..], cell].concat()).collect();
    for (number, (what, bytes)) in [
        ("a mebibyte of noise", &noise[..]),
        ("a mebibyte of random cells", &cells),
        ("one cell", &noise[..CELL_BYTES]),
        ("half a cell", &noise[..CELL_BYTES / 2]),
        ("one byte", &noise[..1]),
        ("zeros", &[0; 100_000]),
        ("the greatest length", &[0xff; 100_000]),
        ("a web browser", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    ]
    .into_iter()
    .enumerate()
    {
        // It speaks, and hangs up in the middle; and it speaks, and waits to see what comes.
        let mut leaves = TcpStream::connect(&at).expect("the node listens");
        let _ = leaves.write_all(bytes);
        let _ = leaves.shutdown(Shutdown::Both);
        let mut stays = TcpStream::connect(&at).expect("the node listens");
        let _ = stays.write_all(bytes);
        let words = format!("{number}: {what}. ");
        if number % 2 == 0 {
            assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), &words);
        } else {
            assert_goes_over((&mut otter, &talks[1]), (&mut heron, &talks[0]), &words);
        }
        // One cell of noise is a fine first message of Noise NN, whose responder answers anybody. What follows it is forged.
        let _ = stays.write_all(&noise[..2 * CELL_BYTES]);
        assert!(is_cut_off(stays), "{what}: the stranger is not kept");
    }
    let silent = TcpStream::connect(&at).expect("the node listens");
    assert!(is_cut_off(silent), "who says nothing is not kept");
    let status = heron.until_status("the strangers gone", |status| status["links"] == 1);
    assert_eq!(status["neighbours"], 1);
    assert!(status["faults"].as_u64().is_some_and(|now| now > faults), "they were counted: {status}");
}

#[test]
fn one_cell_of_noise_makes_no_neighbour() {
    let place = Place::new();
    let mut heron = Attendee::start(&place, "heron");
    heron.ask(json!({ "do": "join-event", "file": place.pack() }));
    let at = text(&heron.until_status("an address", |status| status["listening"] != json!([]))["listening"][0]);
    let mut stranger = TcpStream::connect(&at).expect("the node listens");
    stranger.write_all(&Rng::new([12; 32]).bytes::<CELL_BYTES>()).expect("sent");
    assert!(is_cut_off(stranger), "who cannot finish the handshake is not kept");
    assert_eq!(heron.ask(json!({ "do": "status" }))["faults"], 1);
}

#[test]
fn a_crowd_of_silent_strangers_takes_nobody_s_place() {
    let place = Place::new();
    let [mut heron, mut otter] = ["heron", "otter"].map(|name| Attendee::start(&place, name));
    for person in [&mut heron, &mut otter] {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let talks = open_room(&mut heron, &mut otter, "Beside a crowd");
    let at = text(&heron.until_status("an address", |status| status["listening"] != json!([]))["listening"][0]);
    let crowd: Vec<TcpStream> = (0..60).map_while(|_| TcpStream::connect(&at).ok()).collect();
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "In a crowd. ");
    assert!(heron.ask(json!({ "do": "status" }))["links"].as_u64() <= Some(10), "one address gets eight places at most");
    assert_goes_over((&mut otter, &talks[1]), (&mut heron, &talks[0]), "Still. ");
    drop(crowd);
    heron.until_status("the crowd gone", |status| status["links"] == 1 && status["neighbours"] == 1);
}

/// Whether the other side hangs up in time. What it says before that is of no interest.
fn is_cut_off(mut stream: TcpStream) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut sink = [0; 4096];
    while Instant::now() < deadline {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        match stream.read(&mut sink) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != std::io::ErrorKind::WouldBlock,
        }
    }
    false
}
