//! At a table without a network: a code names no address, and is proven over the links that the radio has made.

use alcove::proto::error::Refused;
use alcove::proto::handoff::code::{Code, Kind};
use alcove::proto::id::TalkId;
use alcove::proto::io::{Event, HandoffEnd, HandoffFailure, Input, RadioEvent};
use alcove::proto::time::Instant;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, events, handoff_end, open_room, room};

/// A room of three, of whom nobody has a LAN, and strangers.
fn without_lan(seed: u64, strangers: usize) -> (Network, Vec<TalkId>) {
    let mut network = Network::new(seed, 3 + strangers);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    (0..3 + strangers).for_each(|phone| network.leave_lan(phone));
    network.run(S(5));
    (0..3 + strangers).for_each(|phone| drop(events(&mut network, phone)));
    (network, talks)
}

fn at_table(network: &Network, phone: usize, talk: TalkId) -> usize {
    room(network, phone, talk).seats.iter().filter(|seat| seat.at_table).count()
}

#[test]
fn a_code_without_an_address_brings_a_member_to_the_table_over_the_link_that_stands() {
    let (mut network, talks) = without_lan(31, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Members)).unwrap();
    assert_eq!(Code::parse(&code).unwrap().address, None);
    network.with(1, |node| node.scan(&code)).unwrap();
    assert!(network.run_until(S(3), |n| (0..3).all(|phone| at_table(n, phone, talks[phone]) == 2)));
    assert_eq!(handoff_end(&mut network, 1), Some(HandoffEnd::AtTable(talks[1])));
    assert!([2, 3].into_iter().all(|phone| handoff_end(&mut network, phone).is_none()), "nobody else was meant");
}

#[test]
fn a_code_opens_once_and_whoever_comes_second_is_told_that_it_reaches_nobody() {
    let (mut network, talks) = without_lan(32, 0);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Members)).unwrap();
    network.with(1, |node| node.scan(&code)).unwrap();
    network.run(S(1));
    network.with(2, |node| node.scan(&code)).unwrap();
    network.run(S(25));
    assert_eq!(handoff_end(&mut network, 2), Some(HandoffEnd::Failed(HandoffFailure::Unreachable)));
    assert_eq!(at_table(&network, 0, talks[0]), 2);
}

#[test]
fn a_newcomer_sees_the_hosts_words_over_the_link_that_stands() {
    let (mut network, talks) = without_lan(33, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(2));
    let waits = |event| if let Event::NewcomerWaits { words, .. } = event { Some(words) } else { None };
    let words = events(&mut network, 0).into_iter().find_map(waits).expect("somebody stands at the table");
    assert_eq!(handoff_end(&mut network, 3), Some(HandoffEnd::WordsShown(words)));
}

#[test]
fn a_code_that_was_scanned_before_the_link_stood_is_proven_when_it_stands() {
    let (mut network, talks) = without_lan(34, 0);
    network.separate(0, 1);
    network.run(S(1));
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Members)).unwrap();
    network.with(1, |node| node.scan(&code)).unwrap();
    network.run(S(5));
    assert_eq!(handoff_end(&mut network, 1), None, "it is still looked for");
    network.connect(0, 1);
    assert!(network.run_until(S(5), |n| at_table(n, 1, talks[1]) == 2));
}

#[test]
fn without_lan_and_radio_no_code_is_shown() {
    let (mut network, talks) = without_lan(35, 0);
    // Elapsed time does not go back: this happens now.
    network.with(0, |node| node.handle_input(Instant(0), Input::Radio(RadioEvent::Off)));
    assert_eq!(network.with(0, |node| node.show_handoff(talks[0], Kind::Members)), Err(Refused::NoLan));
}
