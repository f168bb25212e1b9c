//! The chair is gone: a majority founds the next term, a minority does not, and whoever was away follows.

use alcove::proto::notes::Edit;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, number, open_room, post, room, take_seat, terms, texts_equal};

fn insert(text: &str) -> [Edit; 1] {
    [Edit::Splice { at: 0, delete: 0, insert: text.into() }]
}

#[test]
fn the_host_leaves_and_the_others_go_on_with_a_chair_of_their_own() {
    let mut network = Network::new(11, 4);
    network.connect_all();
    let talks = open_room(&mut network, 4, 3);
    network.with(0, |node| node.edit(talks[0], &insert("from the host. "))).unwrap();
    network.run(S(6));
    network.with(0, |node| node.leave(talks[0])).unwrap();
    assert!(network.node(0).talk(talks[0]).is_none(), "mine is erased at once");
    assert!(!network.phones[0].disk.holds_talks());

    let founded = network.run_until(S(60), |n| (1..4).all(|p| room(n, p, talks[p]).term == 2));
    assert!(
        founded,
        "{:?}",
        (1..4).map(|p| (room(&network, p, talks[p]).term, room(&network, p, talks[p]).epoch)).collect::<Vec<_>>()
    );
    network.with(2, |node| node.edit(talks[2], &insert("and on. "))).unwrap();
    let all = |n: &Network| (1..4).all(|p| n.node(p).notes(talks[p]).unwrap().notes.text == "and on. from the host. ");
    assert!(network.run_until(S(20), all));
    (1..4).for_each(|p| network.with(p, |node| node.close(talks[p])).unwrap());
    assert!(network.run_until(S(20), |n| (1..4).all(|p| n.node(p).talk(talks[p]).is_none())), "three votes and a goodbye close it");
}

#[test]
fn a_minority_without_the_chair_founds_nothing_and_both_halves_keep_writing() {
    let mut network = Network::new(12, 5);
    network.connect_all();
    let talks = open_room(&mut network, 5, 3);
    // The chair with two others on one side, two on the other; each side wants somebody removed, which only a chair can do.
    network.partition(|phone| usize::from(phone >= 3));
    let (fourth, chair) = (number(&network, 4, talks[4]), number(&network, 0, talks[0]));
    network.with(3, |node| node.remove(talks[3], fourth)).unwrap();
    network.with(4, |node| node.remove(talks[4], chair)).unwrap();
    network.with(3, |node| node.say(talks[3], "apart")).unwrap();
    network.with(1, |node| node.say(talks[1], "with the chair")).unwrap();
    network.run(S(1_500));
    assert!((3..5).all(|p| room(&network, p, talks[p]).term == 1));
    assert!((3..5).all(|p| room(&network, p, talks[p]).messages.len() == 1));
    network.connect_all();
    assert!(network.run_until(S(60), |n| (0..5).all(|p| room(n, p, talks[p]).messages.len() == 2)), "nothing said is lost");
}

#[test]
fn the_old_chair_returns_to_a_new_term_and_follows_with_its_unsent_words() {
    let mut network = Network::new(13, 5);
    network.connect_all();
    let talks = open_room(&mut network, 5, 3);
    network.partition(|phone| usize::from(phone == 0));
    network.with(0, |node| node.say(talks[0], "said alone")).unwrap();
    let unwanted = number(&network, 1, talks[1]);
    for phone in 2..5 {
        network.with(phone, |node| node.remove(talks[phone], unwanted)).unwrap();
    }
    let founded = network.run_until(S(1_500), |n| (2..5).all(|p| room(n, p, talks[p]).term == 2));
    assert!(founded, "{:?}", (1..5).map(|p| n_term(&network, p, &talks)).collect::<Vec<_>>());
    network.run(S(30));
    assert!(network.node(1).talk(talks[1]).is_none(), "three of four others removed it");
    network.connect_all();
    let back =
        network.run_until(S(60), |n| room(n, 0, talks[0]).term == 2 && (2..5).all(|p| room(n, p, talks[p]).messages.len() == 1));
    assert!(back, "{:?}", (0..5).map(|p| n_term(&network, p, &talks)).collect::<Vec<_>>());
    network.with(0, |node| node.edit(talks[0], &insert("together"))).unwrap();
    assert!(
        network.run_until(S(30), |n| [0, 2, 3, 4].iter().all(|p| n.node(*p).notes(talks[*p]).unwrap().notes.text == "together"))
    );
}

fn n_term(network: &Network, phone: usize, talks: &[alcove::proto::id::TalkId]) -> Option<(u32, u64, usize)> {
    network.node(phone).talk(talks[phone])?.room.map(|room| (room.term, room.epoch, room.messages.len()))
}

#[test]
fn a_successor_that_is_started_again_goes_on_asking_at_once() {
    let mut network = Network::new(17, 3);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    let first = (1..3).find(|phone| number(&network, *phone, talks[*phone]) == 1).unwrap();
    // Elapsed time starts anew with the node: what was planned for a later minute of its former life must not wait for that minute.
    network.run(S(1_200));
    network.partition(|phone| usize::from(phone == 3 - first));
    network.with(0, |node| node.leave(talks[0])).unwrap();
    network.run(S(10));
    // Nobody else carries what it asked before.
    network.crash(0, None);
    network.restart(first);
    network.connect_all();
    let founded = network.run_until(S(120), |n| (1..3).all(|p| room(n, p, talks[p]).term == 2));
    assert!(founded, "{:?}", (1..3).map(|p| n_term(&network, p, &talks)).collect::<Vec<_>>());
}

#[test]
fn a_successor_that_dies_is_followed_with_the_consent_of_who_was_away_when_it_founded() {
    let mut network = Network::new(18, 4);
    network.connect_all();
    let talks = open_room(&mut network, 4, 4);
    let phone_of = |n: &Network, seat: u8| (0..4).find(|phone| number(n, *phone, talks[*phone]) == seat).unwrap();
    let [away, successor, other] = [1, 2, 3].map(|seat| phone_of(&network, seat));
    network.partition(|phone| usize::from(phone == away));
    network.with(away, |node| node.say(talks[away], "said alone")).unwrap();
    network.with(0, |node| node.leave(talks[0])).unwrap();
    let founded = network.run_until(S(120), |n| [successor, other].iter().all(|p| room(n, *p, talks[*p]).term == 2));
    assert!(founded, "two of three go on");
    assert_eq!(room(&network, away, talks[away]).term, 1);
    // Of the two that are in the term one is left: it and the one that was away are two of the three that sit.
    network.crash(successor, None);
    network.connect_all();
    let both =
        |n: &Network| [away, other].iter().all(|p| room(n, *p, talks[*p]).term == 3 && room(n, *p, talks[*p]).messages.len() == 1);
    let together = network.run_until(S(1_500), both);
    assert!(together, "{:?}", [away, other].map(|p| n_term(&network, p, &talks)));
    network.restart(successor);
    let back = network.run_until(S(120), |n| n_term(n, successor, &talks).is_some_and(|(term, _, words)| (term, words) == (3, 1)));
    assert!(back, "who was silent follows: {:?}", n_term(&network, successor, &talks));
}

#[test]
fn of_two_one_cannot_go_on_alone() {
    let mut network = Network::new(14, 2);
    network.connect_all();
    let mut two = terms(2, 2);
    two.topic = "two".into();
    let talks = open_room(&mut network, 2, 2);
    network.crash(0, None);
    network.run(S(2_000));
    assert_eq!(room(&network, 1, talks[1]).term, 1);
}

#[test]
fn a_rebooted_phone_gets_its_seat_and_the_notes_back_and_after_the_close_nothing() {
    let mut network = Network::new(15, 3);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    network.with(1, |node| node.edit(talks[1], &insert("kept by the others"))).unwrap();
    assert!(network.run_until(S(20), |n| texts_equal(n, &talks, "kept by the others")));
    let persona = network.node(2).talk(talks[2]).unwrap().persona;

    network.crash(2, None);
    network.phones[2].disk.reboot();
    assert!(!network.phones[2].disk.contains(b"kept by the others"), "nothing is left that could be read");
    network.restart(2);
    let back = network.run_until(S(60), |n| {
        n.node(2).talk(talks[2]).is_some_and(|t| t.room.is_some()) && texts_equal(n, &talks, "kept by the others")
    });
    assert!(back, "{:?}", network.node(2).talk(talks[2]));
    assert_eq!(network.node(2).talk(talks[2]).unwrap().persona, persona, "the same person");
    let seats = room(&network, 0, talks[0]).seats.len();
    assert_eq!(seats, 4, "three people, one of them by a second seat");

    (0..3).for_each(|p| network.with(p, |node| node.close(talks[p])).unwrap());
    assert!(network.run_until(S(20), |n| (0..3).all(|p| n.node(p).talk(talks[p]).is_none())), "{:?}", room(&network, 0, talks[0]));
    network.crash(2, None);
    network.phones[2].disk.reboot();
    network.restart(2);
    network.run(S(120));
    assert!(network.node(2).talks().is_empty() && network.phones[2].disk.count(b"stub/") == 0);
}

#[test]
fn who_was_admitted_in_the_moment_in_which_the_chair_died_comes_in_when_it_is_back() {
    let comes_in = |writes: u64| {
        let mut network = Network::new(18, 3);
        network.connect_all();
        let (_, card) = post(&mut network, 0, terms(2, 3));
        take_seat(&mut network, 1, card);
        let is_open = |n: &Network, phone: usize| n.node(phone).talks().iter().any(|talk| talk.room.is_some());
        assert!(network.run_until(S(30), |n| is_open(n, 0) && is_open(n, 1)));
        network.run(S(2));
        network.crash(0, Some(writes));
        take_seat(&mut network, 2, card);
        let has_died = network.run_until(S(20), |n| n.phones[0].node.is_none());
        network.restart(0);
        assert!(network.run_until(S(120), |n| is_open(n, 2)), "after {writes} writes");
        has_died
    };
    assert!(comes_in(1), "control: it dies");
    (2..8).for_each(|writes| {
        comes_in(writes);
    });
}

/// A copy of a phone on another machine gets its seat, and the phone itself is out; one was away, and hears both in any order.
#[test]
fn whoever_hears_the_goodbye_of_a_seat_before_its_return_agrees_with_the_others() {
    for seed in 1..=8 {
        let mut network = Network::new(seed, 4);
        (0..3).for_each(|a| (0..a).for_each(|b| network.connect(a, b)));
        let talks = open_room(&mut network, 3, 3);
        network.run(S(5));
        network.partition(|phone| usize::from(phone == 1));
        let mut copy = std::mem::take(&mut network.phones[3].disk);
        copy.copy_of(&network.phones[2].disk, false);
        network.phones[3].disk = copy;
        network.restart(3);
        network.connect(0, 3);
        let is_out = |n: &Network| n.node(2).talk(talks[2]).is_none() && n.node(3).talks().iter().any(|talk| talk.room.is_some());
        assert!(network.run_until(S(60), is_out), "seed {seed}");
        network.connect(0, 1);
        network.connect(1, 2);
        let agree = |n: &Network| room(n, 0, talks[0]).fingerprint == room(n, 1, talks[1]).fingerprint;
        assert!(network.run_until(S(60), agree), "seed {seed}: {:?}", room(&network, 1, talks[1]).seats);
    }
}

#[test]
fn a_phone_that_lost_its_keys_learns_of_the_close_and_does_not_ask_back_in() {
    let mut network = Network::new(16, 3);
    (0..3).for_each(|phone| network.set_online(phone, true));
    let talks = open_room(&mut network, 3, 3);
    network.with(2, |node| node.close(talks[2])).unwrap();
    network.run(S(5));
    network.crash(2, None);
    network.phones[2].disk.reboot();
    (0..2).for_each(|p| network.with(p, |node| node.close(talks[p])).unwrap());
    assert!(network.run_until(S(20), |n| (0..2).all(|p| n.node(p).talk(talks[p]).is_none())));
    network.restart(2);
    assert!(network.run_until(S(30), |n| n.node(2).talks().is_empty()), "{:?}", network.node(2).talks());
    assert_eq!(network.node(2).receipts().len(), 1);
}

#[test]
fn struck_words_are_gone_from_every_disk_once_the_fold_is_agreed() {
    let mut network = Network::new(17, 3);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    network.with(1, |node| node.edit(talks[1], &insert("open secret"))).unwrap();
    assert!(network.run_until(S(20), |n| texts_equal(n, &talks, "open secret")));
    network.with(1, |node| node.edit(talks[1], &[Edit::Splice { at: 4, delete: 7, insert: String::new() }])).unwrap();
    assert!(network.run_until(S(20), |n| texts_equal(n, &talks, "open")));
    assert!(network.phones.iter().all(|phone| phone.disk.contains(b"secret")), "control: history keeps it");
    network.with(0, |node| node.strike_for_good(talks[0])).unwrap();
    let folded = |n: &Network| (0..3).all(|p| n.node(p).notes(talks[p]).unwrap().generation == 1);
    assert!(
        network.run_until(S(30), folded),
        "{:?}",
        (0..3).map(|p| network.node(p).notes(talks[p]).unwrap().generation).collect::<Vec<_>>()
    );
    assert!(texts_equal(&network, &talks, "open"));
    assert!(network.phones.iter().all(|phone| !phone.disk.contains(b"secret")), "gone on 3 of 3");
    network.with(2, |node| node.edit(talks[2], &insert("still "))).unwrap();
    assert!(network.run_until(S(20), |n| texts_equal(n, &talks, "still open")));
}

#[test]
fn one_who_was_away_during_the_fold_takes_the_folded_notes_and_keeps_its_own_edits() {
    let mut network = Network::new(18, 3);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    network.with(1, |node| node.edit(talks[1], &insert("base"))).unwrap();
    assert!(network.run_until(S(20), |n| texts_equal(n, &talks, "base")));
    network.partition(|phone| usize::from(phone == 2));
    network.with(2, |node| node.edit(talks[2], &[Edit::Splice { at: 4, delete: 0, insert: " mine".into() }])).unwrap();
    network.run(S(700));
    network.with(0, |node| node.strike_for_good(talks[0])).unwrap();
    assert!(network.run_until(S(60), |n| (0..2).all(|p| n.node(p).notes(talks[p]).unwrap().generation == 1)));
    network.connect_all();
    let same = network.run_until(S(90), |n| texts_equal(n, &talks, "base mine"));
    assert!(same, "{:?}", (0..3).map(|p| network.node(p).notes(talks[p]).unwrap()).collect::<Vec<_>>());
}
