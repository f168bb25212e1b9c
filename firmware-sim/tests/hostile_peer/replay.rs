//! What was recorded is said again: elsewhere, later, in another room, after the end.

use crate::world::{assert_goes_on, two};
use alcove::proto::wire::frame::Frame;
use alcove::proto::wire::parcel::Parcel;
use firmware_sim::intruder::Intruder;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, number, open_room, room, said, view};

/// A neighbour of phone 0 that hears everything from now on.
fn recorder(network: &mut Network) -> Intruder {
    recorder_at(network, 0)
}

fn recorder_at(network: &mut Network, phone: usize) -> Intruder {
    let mut recorder = Intruder::connect(network, phone);
    recorder.ask_for_all(network);
    recorder.run(network, S(1));
    recorder
}

fn replay(network: &mut Network, phones: &[usize], recorded: &[Parcel]) {
    for phone in phones {
        let mut end = Intruder::connect(network, *phone);
        for parcel in recorded {
            end.say(network, &Frame::Parcel(parcel.with_hops(15)));
        }
        end.run(network, S(3));
        end.leave(network);
    }
}

#[test]
fn parcels_of_a_closed_talk_bring_nothing_back_and_the_same_inside_its_term_are_taken() {
    let (mut network, talks) = two(1);
    let mut recorder = recorder(&mut network);
    network.separate(0, 1);
    network.with(0, |node| node.say(talks[0], "carried by a stranger")).unwrap();
    recorder.run(&mut network, S(2));
    replay(&mut network, &[1], &recorder.parcels());
    assert_eq!(said(&network, 1, talks[1]), ["carried by a stranger"], "control: inside its term, by whomever it comes");

    network.connect(0, 1);
    assert_goes_on(&mut network, &talks, "again");
    for phone in 0..2 {
        network.with(phone, |node| node.close(talks[phone])).unwrap();
    }
    recorder.run(&mut network, S(30));
    assert!((0..2).all(|phone| view(&network, phone, talks[phone]).is_none()));
    let receipts: Vec<_> = (0..2).map(|phone| network.node(phone).receipts()).collect();
    // A restart forgets what was seen, so that everything is read once more.
    (0..2).for_each(|phone| network.restart(phone));
    network.run(S(2));
    replay(&mut network, &[0, 1], &recorder.parcels());
    for phone in 0..2 {
        assert!(view(&network, phone, talks[phone]).is_none() && network.node(phone).talks().is_empty());
        assert!(!network.phones[phone].disk.holds_talks() && !network.phones[phone].disk.contains(b"carried by a stranger"));
        assert_eq!(network.node(phone).receipts(), receipts[phone]);
    }
}

#[test]
fn parcels_of_one_room_say_nothing_in_another_of_the_same_people() {
    let (mut network, first) = two(2);
    let mut recorder = recorder(&mut network);
    assert_goes_on(&mut network, &first, "in the first room");
    for phone in 0..2 {
        network.with(phone, |node| node.close(first[phone])).unwrap();
    }
    recorder.run(&mut network, S(30));
    let second = open_room(&mut network, 2, 2);
    network.run(S(5));
    (0..2).for_each(|phone| network.restart(phone));
    network.run(S(5));
    let heads = room(&network, 0, second[0]).heads;
    replay(&mut network, &[0, 1], &recorder.parcels());
    assert!((0..2).all(|phone| said(&network, phone, second[phone]).is_empty()));
    assert_eq!(room(&network, 0, second[0]).heads, heads);
    assert_goes_on(&mut network, &second, "in the second room");
}

#[test]
fn parcels_of_an_epoch_that_is_over_are_opened_once_and_a_removed_seat_gets_no_further() {
    let mut network = Network::new(3, 4);
    network.connect_all();
    let talks = open_room(&mut network, 4, 4);
    network.run(S(5));
    let mut recorder = recorder(&mut network);
    assert_goes_on(&mut network, &talks, "in epoch one");
    recorder.run(&mut network, S(2));
    let outcast = number(&network, 3, talks[3]);
    for phone in 0..3 {
        network.with(phone, |node| node.remove(talks[phone], outcast)).unwrap();
    }
    assert!(network.run_until(S(30), |n| (0..3).all(|p| room(n, p, talks[p]).epoch == 2)), "control: another epoch");
    network.run(S(2));
    let before: Vec<_> =
        (0..3).map(|phone| (said(&network, phone, talks[phone]), room(&network, phone, talks[phone]).heads)).collect();
    (0..3).for_each(|phone| network.restart(phone));
    network.run(S(5));
    replay(&mut network, &[0, 1, 2], &recorder.parcels());
    for phone in 0..3 {
        assert_eq!((said(&network, phone, talks[phone]), room(&network, phone, talks[phone]).heads), before[phone]);
        assert_eq!(room(&network, phone, talks[phone]).epoch, 2);
    }
    assert_goes_on(&mut network, &talks, "in epoch two");
}

#[test]
fn parcels_of_a_term_that_is_over_found_nothing_and_say_nothing_and_those_of_the_new_one_are_taken() {
    let mut network = Network::new(4, 4);
    network.connect_all();
    let talks = open_room(&mut network, 4, 3);
    network.run(S(5));
    let mut first = recorder_at(&mut network, 1);
    assert_goes_on(&mut network, &talks, "in term one");
    network.with(0, |node| node.leave(talks[0])).unwrap();
    // Its votes for a new chair are among what is recorded.
    let mut founded = false;
    for _ in 0..60 {
        first.run(&mut network, S(1));
        founded |= (1..4).all(|phone| room(&network, phone, talks[phone]).term == 2);
    }
    assert!(founded, "control: another term");
    let old = first.parcels();
    first.leave(&mut network);

    let mut second = recorder_at(&mut network, 1);
    network.partition(|phone| usize::from(phone == 1));
    network.with(1, |node| node.say(talks[1], "in term two, by a stranger")).unwrap();
    second.run(&mut network, S(2));
    replay(&mut network, &[2], &second.parcels());
    let heard = said(&network, 2, talks[2]);
    assert!(heard.contains(&"in term two, by a stranger".into()), "control: inside its term, by whomever it comes: {heard:?}");
    network.connect_all();
    network.run(S(20));

    let state = |network: &Network| -> Vec<_> {
        let of = |phone: usize| (room(network, phone, talks[phone]), said(network, phone, talks[phone]));
        (1..4).map(of).map(|(room, said)| (room.term, room.epoch, room.heads, room.seats.len(), said)).collect()
    };
    let before = state(&network);
    (1..4).for_each(|phone| network.restart(phone));
    network.run(S(5));
    replay(&mut network, &[1, 2, 3], &old);
    network.run(S(60));
    assert_eq!(state(&network), before);
    network.with(3, |node| node.say(talks[3], "and on")).unwrap();
    assert!(network.run_until(S(20), |n| (1..4).all(|phone| said(n, phone, talks[phone]).contains(&"and on".into()))));
}
