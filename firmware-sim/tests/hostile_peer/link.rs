//! Handshakes that are never finished, and streams that are cut, changed, exchanged and sent again.

use crate::world::{assert_goes_on, close, is_gone, noise, two};
use alcove::proto::config::CELL_BYTES;
use alcove::proto::wire::frame::Frame;
use firmware_sim::intruder::Intruder;
use firmware_sim::scenario::S;
use std::time::Duration;

#[test]
fn a_handshake_that_is_not_finished_costs_a_place_for_five_seconds_and_no_byte_more_than_it_brought() {
    let (mut network, talks) = two(1);
    let event = network.pack().event();
    let mut crowd = Vec::new();
    for number in 0..60_u8 {
        let mut intruder = match number % 4 {
            0 => Intruder::silent(&mut network, 0),
            1 => Intruder::begin(&mut network, 0, &event.0, None),
            2 => Intruder::begin(&mut network, 0, b"another event", None),
            _ => Intruder::silent(&mut network, 0),
        };
        if number % 4 == 3 {
            let some = network.rng().bytes::<200>().to_vec();
            some.chunks(1).for_each(|byte| intruder.say_raw(&mut network, byte.to_vec()));
        }
        crowd.push(intruder);
    }
    assert_goes_on(&mut network, &talks, "beside half-open handshakes");
    assert!(network.node(0).status().neighbours == 1, "none of them is a neighbour");
    network.run(S(6));
    for intruder in &mut crowd {
        while intruder.hear_raw(&mut network).is_some_and(|bytes| !bytes.is_empty()) {}
        assert!(intruder.is_cut(&network));
        assert!(intruder.traffic.1 <= intruder.traffic.0, "{:?}: answered, asked", intruder.traffic);
    }
    // Control: who finishes it stays.
    let mut neighbour = Intruder::connect(&mut network, 0);
    neighbour.greet(&mut network);
    neighbour.run(&mut network, S(10));
    assert!(!neighbour.is_cut(&network) && network.node(0).status().neighbours == 2);
    close(&mut network, &talks);
    assert!(network.run_until(S(30), |n| is_gone(n, &talks)));
}

#[test]
fn more_links_than_there_are_places_are_refused_and_the_places_come_back() {
    let (mut network, talks) = two(2);
    let crowd: Vec<_> = (0..300).map(|_| Intruder::silent(&mut network, 0)).collect();
    network.run(S(1));
    let standing = crowd.iter().filter(|intruder| !intruder.is_cut(&network)).count();
    assert!((1..64).contains(&standing), "{standing} beside the honest one");
    assert_goes_on(&mut network, &talks, "in a crowd");
    network.run(S(6));
    assert!(crowd.iter().all(|intruder| intruder.is_cut(&network)));
    Intruder::connect(&mut network, 0);
}

#[test]
fn a_handshake_that_is_reflected_repeated_or_of_another_event_ends_the_link() {
    let (mut network, talks) = two(3);
    let moment = Duration::from_millis(200);

    let mut mirror = Intruder::found(&mut network, 0);
    network.run(moment);
    let first = mirror.hear_raw(&mut network).unwrap();
    assert_eq!(first.len(), CELL_BYTES, "the phone speaks first");
    mirror.say_raw(&mut network, first);
    network.run(moment);
    assert!(mirror.is_cut(&network), "reflected");

    let event = network.pack().event();
    let mut again = Intruder::begin(&mut network, 0, &event.0, None);
    let first = network.rng().bytes::<CELL_BYTES>().to_vec();
    again.say_raw(&mut network, first);
    network.run(moment);
    assert!(again.is_cut(&network), "a second first message");

    let mut stranger = Intruder::begin(&mut network, 0, b"another event", None);
    stranger.run(&mut network, moment);
    assert!(!stranger.is_up(), "of another event");

    let mut found = Intruder::found(&mut network, 0);
    found.run(&mut network, moment);
    found.greet(&mut network);
    found.run(&mut network, moment);
    assert!(found.is_up() && !found.is_cut(&network), "control: whom the phone finds and who answers properly");
    assert_goes_on(&mut network, &talks, "beside strangers");
}

#[test]
fn cells_that_are_cut_changed_exchanged_or_sent_again_end_their_own_link_alone() {
    let (mut network, talks) = two(4);
    let rng = &mut network.rng().fork();
    let mut recorded = Vec::new();
    for attack in ["none", "flip", "exchange", "again", "lost byte", "of another link", "unfinished"] {
        let mut intruder = Intruder::connect(&mut network, 0);
        intruder.greet(&mut network);
        let parcel = noise(rng, 2, false);
        let mut cells = intruder.seal(&Frame::Parcel(parcel));
        match attack {
            "none" => recorded = cells.clone(),
            "flip" => cells[300] ^= 1,
            "exchange" => cells.rotate_left(CELL_BYTES),
            "again" => cells.extend(cells.clone()),
            "lost byte" => drop(cells.remove(100)),
            "of another link" => cells.clone_from(&recorded),
            _ => cells.truncate(CELL_BYTES),
        }
        // A cell more, so that what lost a byte is a cell as well.
        cells.extend(rng.bytes::<CELL_BYTES>());
        if attack == "none" || attack == "unfinished" {
            cells.truncate(cells.len() - CELL_BYTES);
        }
        let carried = network.node(0).status().carried.0;
        intruder.say_raw(&mut network, cells);
        intruder.run(&mut network, S(1));
        let (is_cut, taken) = (intruder.is_cut(&network), network.node(0).status().carried.0 - carried);
        match attack {
            "none" => assert!(!is_cut && taken == 1, "control: as they were sealed"),
            "unfinished" => assert!(!is_cut && taken == 0, "half a frame waits, and holds a frame at most"),
            "again" => assert!(is_cut && taken == 1),
            _ => assert!(is_cut && taken == 0, "{attack}"),
        }
        assert_eq!(network.node(0).status().neighbours, if is_cut { 1 } else { 2 }, "{attack}");
        intruder.leave(&mut network);
        network.run(S(1));
    }
    assert_goes_on(&mut network, &talks, "beside broken streams");
}
