//! The story of a talk on simulated phones: card, seats, room, words, notes, table, close, gone.

use alcove::proto::handoff::code::Kind;
use alcove::proto::node::view::State;
use alcove::proto::notes::Edit;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, open_room, said, terms, texts_equal};

#[test]
fn three_meet_write_and_are_gone() {
    let mut network = Network::new(1, 3);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    let rosters: Vec<_> = (0..3)
        .map(|p| {
            network
                .node(p)
                .talk(talks[p])
                .unwrap()
                .room
                .unwrap()
                .seats
                .iter()
                .map(|s| (s.id, s.persona.clone()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(rosters.iter().all(|roster| *roster == rosters[0]));

    network.with(1, |node| node.say(talks[1], "hello")).unwrap();
    network.with(2, |node| node.edit(talks[2], &[Edit::Splice { at: 0, delete: 0, insert: "Agenda".into() }])).unwrap();
    assert!(network.run_until(S(20), |n| texts_equal(n, &talks, "Agenda")));
    assert!((0..3).all(|p| network.node(p).talk(talks[p]).unwrap().room.unwrap().messages.len() == 1));

    for phone in 0..3 {
        network.with(phone, |node| node.close(talks[phone])).unwrap();
    }
    assert!(network.run_until(S(10), |n| (0..3).all(|p| n.node(p).talk(talks[p]).is_none())));
    assert!(network.run_until(S(10), |n| (0..3).all(|p| n.node(p).receipts()[0].confirmed == (3, 3))));
    for phone in &network.phones {
        assert!(!phone.disk.holds_talks() && !phone.disk.contains(b"Agenda") && !phone.disk.contains(b"hello"));
    }
}

#[test]
fn below_the_quorum_there_is_no_room_and_with_the_last_seat_it_opens_for_all() {
    let mut network = Network::new(2, 3);
    network.connect_all();
    let host = network.with(0, |node| node.draft_card(terms(3, 5))).unwrap();
    let card = network.with(0, |node| node.post_card(host)).unwrap();
    network.run(S(2));
    let one = network.with(1, |node| node.take_seat(card)).unwrap();
    network.run(S(300));
    assert_eq!(network.node(0).talk(host).unwrap().state, State::Gathering);
    assert_eq!(network.node(1).talk(one).unwrap().state, State::Waiting);
    assert!(network.phones.iter().all(|phone| phone.disk.count(b"g/") == 0), "no group exists on any device");
    let two = network.with(2, |node| node.take_seat(card)).unwrap();
    assert!(
        network.run_until(S(20), |n| [host, one, two]
            .iter()
            .enumerate()
            .all(|(p, t)| n.node(p).talk(*t).unwrap().state == State::Open))
    );
    assert!(network.phones.iter().all(|phone| phone.disk.count(b"g/") > 0), "control: now it does");
}

#[test]
fn a_talk_begun_over_the_relay_goes_on_at_the_table_and_its_online_leg_rests() {
    let mut network = Network::new(3, 3);
    (0..3).for_each(|phone| network.set_online(phone, true));
    let talks = open_room(&mut network, 3, 3);
    network.with(0, |node| node.say(talks[0], "from the train")).unwrap();
    assert!(network.run_until(S(20), |n| (0..3).all(|p| n.node(p).talk(talks[p]).unwrap().room.unwrap().messages.len() == 1)));

    (0..3).for_each(|phone| network.set_online(phone, false));
    network.connect_all();
    network.run(S(5));
    for phone in 1..3 {
        let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Members)).unwrap();
        network.with(phone, |node| node.scan(&code)).unwrap();
        network.run(S(3));
    }
    let resting = |n: &Network, p: usize| n.node(p).talk(talks[p]).unwrap().room.unwrap().is_resting;
    assert!(network.run_until(S(60), |n| (0..3).all(|p| resting(n, p))), "{:?}", network.node(1).talk(talks[1]));

    (1..3).for_each(|phone| network.separate(0, phone));
    assert!(network.run_until(S(200), |n| (0..3).all(|p| !resting(n, p))), "one left: the online leg returns by itself");
    (0..3).for_each(|phone| network.set_online(phone, true));
    network.with(0, |node| node.say(talks[0], "home again")).unwrap();
    assert!(network.run_until(S(30), |n| (0..3).all(|p| n.node(p).talk(talks[p]).unwrap().room.unwrap().messages.len() == 2)));
}

#[test]
fn one_who_has_the_relay_alone_hears_what_another_says_who_has_neighbours_alone() {
    // Found by `room_of_twelve`, seed 124 of five.
    let mut network = Network::new(5, 3);
    network.connect(0, 1);
    network.set_online(0, true);
    network.set_online(2, true);
    let talks = open_room(&mut network, 3, 3);
    network.with(1, |node| node.say(talks[1], "from the cellar")).unwrap();
    network.with(2, |node| node.say(talks[2], "from the roof")).unwrap();
    let heard = |n: &Network| (0..3).all(|phone| said(n, phone, talks[phone]).len() == 2);
    assert!(network.run_until(S(400), heard), "{:?}", said(&network, 2, talks[2]));
}
