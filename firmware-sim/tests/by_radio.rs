//! At a table without a network: a code names no address, and is proven over the links that the radio has made; and how long it takes
//! over such links until both have the same notes, and until a letter is on the other screen.

use alcove::proto::error::Refused;
use alcove::proto::handoff::code::{Code, Kind};
use alcove::proto::id::TalkId;
use alcove::proto::io::{Event, HandoffEnd, HandoffFailure, Input, RadioEvent};
use alcove::proto::notes::Edit;
use alcove::proto::time::{Duration, Instant};
use firmware_sim::network::Network;
use firmware_sim::radio::Radio;
use firmware_sim::scenario::{S, events, handoff_end, open_room, room, text, write};

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

/// Lets time pass until something holds; says how long that took.
fn time_until(network: &mut Network, longest: Duration, holds: impl Fn(&Network) -> bool) -> Duration {
    let began = network.now();
    while !holds(network) {
        assert!(network.now().since(began) < longest, "it takes too long");
        network.run(Duration::from_millis(5));
    }
    network.now().since(began)
}

fn told(what: &str, mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
    eprintln!("{what}, {} times: median {:?}, p95 {:?}, longest {:?}", times.len(), at(50), at(95), at(100));
    (at(50), at(95))
}

/// Two of a talk were apart for ten minutes, in which both wrote, and meet: one scans the other's code, and their link comes up within the
/// next two seconds, as radios find each other. One packet in ten is lost.
fn from_the_code_to_the_same_notes(seed: u64) -> Duration {
    let (mut network, talks) = without_lan(seed, 0);
    network.faults.radio = Some(Radio::losing(10));
    network.partition(|phone| phone);
    for change in 0..30 {
        write(&mut network, 0, talks[0], &format!("The host's {change}. sentence, written while the guest was away.\n"));
        network.run(S(15));
        if change % 5 == 0 {
            write(&mut network, 1, talks[1], &format!("The guest's {change}. sentence, written on the way.\n"));
        }
        network.run(S(5));
    }
    let same = |n: &Network| text(n, 0, talks[0]) == text(n, 1, talks[1]);
    assert!(!same(&network), "control: apart, the notes differ");
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Members)).unwrap();
    network.with(1, |node| node.scan(&code)).unwrap();
    let found = network.rng().between(Duration::ZERO, S(2));
    network.run(found);
    network.connect(0, 1);
    let at_same_table = |n: &Network| (0..2).all(|phone| at_table(n, phone, talks[phone]) == 2);
    found + time_until(&mut network, S(60), |n| at_same_table(n) && same(n))
}

#[test]
fn from_the_code_to_the_same_notes_by_radio_alone_it_takes_seconds() {
    let times: Vec<_> = (0..100).map(|run| from_the_code_to_the_same_notes(1_000 + run)).collect();
    let (median, p95) = told("from the code to the same notes", times);
    assert!(median <= Duration::from_millis(2_500) && p95 <= S(5), "{median:?} {p95:?}");
}

#[test]
fn a_letter_is_on_the_other_screen_within_a_second_through_one_phone_between() {
    let (mut network, talks) = without_lan(36, 1);
    network.faults.radio = Some(Radio::losing(10));
    // 0 and 1 hear the stranger, and not each other.
    for (a, b) in [(0, 1), (0, 2), (1, 2), (2, 3)] {
        network.separate(a, b);
    }
    network.run(S(60));
    let mut times = Vec::new();
    for letter in "A talk in the corner is worth three on the stage, as they say, and nobody takes it down but both.".chars() {
        let before = shown(&network, 1, talks[1]);
        let at = text(&network, 0, talks[0]).chars().count();
        let edit = Edit::Splice { at, delete: 0, insert: letter.into() };
        network.with(0, |node| node.edit(talks[0], &[edit])).unwrap();
        times.push(time_until(&mut network, S(60), |n| shown(n, 1, talks[1]) != before));
        let pause = network.rng().between(Duration::from_millis(120), S(1));
        network.run(pause);
    }
    told("from a key to the other screen through a phone between", times.clone());
    assert!(times.iter().all(|time| *time <= S(1)), "{times:?}");
}

/// The notes as a screen shows them: with what another is typing.
fn shown(network: &Network, phone: usize, talk: TalkId) -> (String, Vec<String>) {
    let view = network.node(phone).notes(talk).expect("the room is open");
    (view.notes.text, view.previews.into_iter().map(|(_, _, _, insert)| insert).collect())
}
