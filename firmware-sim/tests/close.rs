//! How a talk ends: when all agree, when somebody leaves, is away, is removed, or lets a proposal lapse.

use alcove::proto::error::Refused;
use alcove::proto::id::TalkId;
use alcove::proto::node::view::State;
use alcove::proto::talk::attendance::Contact;
use alcove::proto::talk::close::Ending;
use alcove::proto::time::Duration;
use firmware_sim::checker::gone;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, number, open_room, room, said, text, view, write};

fn linked_room(seed: u64, count: usize) -> (Network, Vec<TalkId>) {
    let mut network = Network::new(seed, count);
    network.connect_all();
    let talks = open_room(&mut network, count, 3);
    (network, talks)
}

fn all(talks: &[TalkId]) -> Vec<(usize, TalkId)> {
    talks.iter().copied().enumerate().collect()
}

fn close(network: &mut Network, talks: &[TalkId], phones: &[usize]) {
    for phone in phones {
        network.with(*phone, |node| node.close(talks[*phone])).unwrap();
    }
}

fn assert_gone(network: &mut Network, members: &[(usize, TalkId)], planted: &[&str], within: u64) {
    let held = network.run_until(S(within), |n| gone(n, members, planted).is_ok());
    assert!(held, "{:?}", gone(network, members, planted));
}

#[test]
fn the_card_of_a_talk_that_ended_is_on_nobody_s_board() {
    for ending in ["closed", "left"] {
        let (mut network, talks) = linked_room(9, 3);
        let cards = |network: &Network| (0..3).map(|phone| network.node(phone).board().len()).sum::<usize>();
        assert_eq!(cards(&network), 3, "control: while it lasts all have it");
        match ending {
            "closed" => close(&mut network, &talks, &[0, 1, 2]),
            _ => network.with(0, |node| node.leave(talks[0])).unwrap(),
        }
        assert!(network.run_until(S(30), |n| cards(n) == 0), "{ending}: the host's own board included");
    }
}

// ---- proposals -------------------------------------------------------------------------------------------------------------------

#[test]
fn a_proposal_lapses_after_ten_minutes_and_everybody_writes_again() {
    let (mut network, talks) = linked_room(1, 3);
    close(&mut network, &talks, &[0, 1]);
    assert_eq!(network.with(0, |node| node.say(talks[0], "one more thing")), Err(Refused::Closing));
    network.run(S(9 * 60));
    assert!((0..3).all(|p| room(&network, p, talks[p]).agreed == (2, 3)));
    assert_eq!(view(&network, 2, talks[2]).unwrap().state, State::Closing);
    network.run(S(70));
    for phone in 0..3 {
        assert_eq!(view(&network, phone, talks[phone]).unwrap().state, State::Open, "phone {phone}");
        assert_eq!(room(&network, phone, talks[phone]).agreed, (0, 3));
        network.with(phone, |node| node.say(talks[phone], "one more thing")).unwrap();
    }
    assert!(network.run_until(S(20), |n| (0..3).all(|p| said(n, p, talks[p]).len() == 3)));
    close(&mut network, &talks, &[2, 1, 0]);
    assert_gone(&mut network, &all(&talks), &["one more thing"], 30);
}

#[test]
fn a_proposal_lapses_in_time_on_a_phone_that_was_started_again_meanwhile() {
    let (mut network, talks) = linked_room(2, 3);
    network.run(S(3_600));
    close(&mut network, &talks, &[1]);
    network.run(S(5 * 60));
    network.restart(1);
    network.run(S(60));
    assert!(room(&network, 1, talks[1]).is_voted, "control: it remembers that it agreed");
    network.run(S(10 * 60));
    for phone in 0..3 {
        assert_eq!(view(&network, phone, talks[phone]).unwrap().state, State::Open, "phone {phone}");
        assert!(!room(&network, phone, talks[phone]).is_voted);
    }
}

#[test]
fn consent_that_was_given_before_a_lapse_does_not_count_for_the_next_proposal() {
    let (mut network, talks) = linked_room(3, 3);
    close(&mut network, &talks, &[0, 1]);
    network.run(S(11 * 60));
    close(&mut network, &talks, &[2]);
    network.run(S(60));
    assert!((0..3).all(|p| room(&network, p, talks[p]).agreed == (1, 3)), "two have not agreed to this one");
    close(&mut network, &talks, &[0, 1]);
    assert_gone(&mut network, &all(&talks), &[], 30);
}

#[test]
fn two_who_propose_at_once_propose_the_same() {
    let (mut network, talks) = linked_room(4, 4);
    network.partition(|phone| phone / 2);
    close(&mut network, &talks, &[0, 2]);
    network.run(S(30));
    network.connect_all();
    network.run(S(30));
    assert!((0..4).all(|p| room(&network, p, talks[p]).agreed == (2, 4)));
    close(&mut network, &talks, &[1, 3]);
    assert_gone(&mut network, &all(&talks), &[], 30);
}

// ---- leaving ---------------------------------------------------------------------------------------------------------------------

#[test]
fn one_leaves_and_the_rest_close_without_it() {
    let (mut network, talks) = linked_room(5, 4);
    network.with(1, |node| node.say(talks[1], "off the record")).unwrap();
    assert!(network.run_until(S(10), |n| (0..4).all(|p| said(n, p, talks[p]).len() == 1)));
    network.with(3, |node| node.leave(talks[3])).unwrap();
    assert!(view(&network, 3, talks[3]).is_none() && !network.phones[3].disk.contains(b"off the record"), "mine is erased at once");
    network.run(S(5));
    close(&mut network, &talks, &[0, 1, 2]);
    assert_gone(&mut network, &all(&talks)[..3], &["off the record"], 30);
    assert_eq!(network.node(3).receipts()[0].ending, Ending::Left);
}

#[test]
fn consent_goes_over_to_those_who_remain_when_another_leaves() {
    let (mut network, talks) = linked_room(6, 4);
    close(&mut network, &talks, &[0, 1]);
    network.run(S(5));
    network.with(3, |node| node.leave(talks[3])).unwrap();
    network.run(S(5));
    assert!((0..3).all(|p| room(&network, p, talks[p]).agreed == (2, 3)), "{:?}", room(&network, 2, talks[2]).agreed);
    close(&mut network, &talks, &[2]);
    assert_gone(&mut network, &all(&talks)[..3], &[], 30);
}

#[test]
fn the_last_who_has_not_agreed_leaves_and_that_closes_it() {
    let (mut network, talks) = linked_room(7, 4);
    close(&mut network, &talks, &[0, 1, 2]);
    network.run(S(5));
    network.with(3, |node| node.leave(talks[3])).unwrap();
    assert_gone(&mut network, &all(&talks)[..3], &[], 30);
}

#[test]
fn one_who_leaves_without_a_network_and_is_switched_off_is_still_heard_of_later() {
    let (mut network, talks) = linked_room(8, 4);
    (0..3).for_each(|phone| network.separate(phone, 3));
    network.with(3, |node| node.leave(talks[3])).unwrap();
    network.run(S(60));
    network.restart(3);
    network.run(S(60));
    network.connect(0, 3);
    network.run(S(20));
    close(&mut network, &talks, &[0, 1, 2]);
    assert_gone(&mut network, &all(&talks)[..3], &[], 30);
}

#[test]
fn one_who_left_takes_a_seat_again_and_closes_with_the_others() {
    let (mut network, mut talks) = linked_room(20, 4);
    let card = network.node(0).board()[0].card;
    network.with(3, |node| node.leave(talks[3])).unwrap();
    network.run(S(5));
    talks[3] = network.with(3, |node| node.take_seat(card)).unwrap();
    let is_back = network.run_until(S(30), |n| view(n, 3, talks[3]).is_some_and(|view| view.room.is_some()));
    assert!(is_back, "{:?}", view(&network, 3, talks[3]));
    network.with(3, |node| node.say(talks[3], "back again")).unwrap();
    assert!(network.run_until(S(10), |n| (0..4).all(|p| said(n, p, talks[p]) == ["back again"])));
    close(&mut network, &talks, &[0, 1, 2, 3]);
    assert_gone(&mut network, &all(&talks), &["back again"], 30);
    assert_eq!(network.node(3).receipts().len(), 2, "it left once and closed once");
}

// ---- being away --------------------------------------------------------------------------------------------------------------------

/// Four agree, and one of them is away when the last one does.
fn closed_while_away(seed: u64) -> (Network, Vec<TalkId>) {
    let mut network = Network::new(seed, 4);
    network.connect_all();
    (0..4).for_each(|phone| network.set_online(phone, true));
    let talks = open_room(&mut network, 4, 3);
    network.with(0, |node| node.say(talks[0], "between us")).unwrap();
    write(&mut network, 1, talks[1], "and on paper");
    assert!(
        network.run_until(S(20), |n| (0..4).all(|p| said(n, p, talks[p]).len() == 1 && text(n, p, talks[p]) == "and on paper"))
    );
    close(&mut network, &talks, &[3, 0, 1]);
    network.run(S(10));
    (0..3).for_each(|phone| network.separate(phone, 3));
    network.set_online(3, false);
    network.run(S(10));
    close(&mut network, &talks, &[2]);
    assert!(network.run_until(S(30), |n| (0..3).all(|p| view(n, p, talks[p]).is_none())));
    assert!(view(&network, 3, talks[3]).is_some() && network.phones[3].disk.holds_talks(), "control: who is away cannot know");
    (network, talks)
}

#[test]
fn one_who_was_away_during_the_close_learns_it_from_the_first_neighbour() {
    let (mut network, talks) = closed_while_away(9);
    network.run(S(3_000));
    network.connect(1, 3);
    assert!(network.run_until(S(5), |n| view(n, 3, talks[3]).is_none()));
    assert_gone(&mut network, &all(&talks), &["between us", "and on paper"], 60);
}

#[test]
fn one_who_was_away_during_the_close_learns_it_from_the_relay() {
    let (mut network, talks) = closed_while_away(10);
    network.run(S(3_000));
    network.set_online(3, true);
    assert!(network.run_until(S(5), |n| view(n, 3, talks[3]).is_none()));
    assert_gone(&mut network, &all(&talks), &["between us", "and on paper"], 60);
}

#[test]
fn one_who_was_away_and_switched_off_learns_it_all_the_same() {
    let (mut network, talks) = closed_while_away(11);
    network.crash(3, None);
    network.run(S(3_000));
    network.restart(3);
    assert_eq!(room(&network, 3, talks[3]).contact, Contact::Checking { until: network.since_start(3) + S(3) });
    network.set_online(3, true);
    assert!(network.run_until(S(3), |n| view(n, 3, talks[3]).is_none()));
    assert_gone(&mut network, &all(&talks), &["between us", "and on paper"], 60);
}

#[test]
fn the_relay_keeps_nothing_but_last_words_once_all_have_erased() {
    let (mut network, talks) = closed_while_away(12);
    network.set_online(3, true);
    assert_gone(&mut network, &all(&talks), &[], 60);
    let held = network.relay.held();
    network.run(S(60));
    assert!(network.relay.held() <= 8, "four confirmations and what was forwarded of them, the card and its withdrawal: {held}");
}

#[test]
fn what_is_shown_after_an_absence_is_said_to_be_unchecked_until_somebody_answers() {
    let (mut network, talks) = linked_room(13, 3);
    let contact = |n: &Network| room(n, 2, talks[2]).contact;
    network.run(S(60));
    assert_eq!(contact(&network), Contact::Fresh);
    (0..2).for_each(|phone| network.separate(phone, 2));
    network.run(S(100));
    assert_eq!(contact(&network), Contact::Fresh, "a short absence is none");
    network.run(S(200));
    network.restart(2);
    assert!(matches!(contact(&network), Contact::Checking { .. }));
    network.run(S(4));
    assert_eq!(contact(&network), Contact::Unchecked, "nobody answered");
    network.connect(0, 2);
    assert!(network.run_until(S(5), |n| contact(n) == Contact::Fresh), "{:?}", contact(&network));
}

#[test]
fn the_relay_answers_that_nothing_is_newer() {
    let mut network = Network::new(14, 3);
    (0..3).for_each(|phone| network.set_online(phone, true));
    let talks = open_room(&mut network, 3, 3);
    network.set_online(2, false);
    network.run(S(600));
    network.restart(2);
    network.run(S(4));
    assert_eq!(room(&network, 2, talks[2]).contact, Contact::Unchecked);
    network.set_online(2, true);
    assert!(network.run_until(S(3), |n| room(n, 2, talks[2]).contact == Contact::Fresh));
}

// ---- being removed -----------------------------------------------------------------------------------------------------------------

#[test]
fn a_seat_that_a_majority_removes_reads_no_further_and_the_rest_can_close() {
    let (mut network, talks) = linked_room(15, 4);
    network.with(0, |node| node.say(talks[0], "before")).unwrap();
    assert!(network.run_until(S(10), |n| said(n, 3, talks[3]).len() == 1));
    let outcast = number(&network, 3, talks[3]);
    network.with(1, |node| node.remove(talks[1], outcast)).unwrap();
    network.run(S(20));
    assert!(view(&network, 3, talks[3]).is_some(), "control: one of three others is not a majority");
    network.with(2, |node| node.remove(talks[2], outcast)).unwrap();
    assert!(network.run_until(S(10), |n| view(n, 3, talks[3]).is_none()));
    assert_eq!(network.node(3).receipts()[0].ending, Ending::Removed);
    assert!(!network.phones[3].disk.holds_talks());

    network.with(0, |node| node.say(talks[0], "after")).unwrap();
    assert!(network.run_until(S(10), |n| (0..3).all(|p| said(n, p, talks[p]) == ["before", "after"])));
    network.run(S(Duration::from_secs(60).as_secs()));
    assert!(network.node(3).talks().is_empty() && !network.phones[3].disk.contains(b"after"));
    close(&mut network, &talks, &[0, 1, 2]);
    assert_gone(&mut network, &all(&talks)[..3], &["before", "after"], 60);
}

#[test]
fn a_seat_that_is_removed_while_it_is_away_reads_nothing_of_what_was_said_since() {
    let (mut network, talks) = linked_room(16, 4);
    let outcast = number(&network, 3, talks[3]);
    (0..3).for_each(|phone| network.separate(phone, 3));
    for phone in 0..3 {
        network.with(phone, |node| node.remove(talks[phone], outcast)).unwrap();
    }
    network.run(S(20));
    network.with(0, |node| node.say(talks[0], "after")).unwrap();
    network.run(S(20));
    assert!(view(&network, 3, talks[3]).is_some(), "control: it does not know yet");
    network.connect(1, 3);
    let mut heard = false;
    let removed = network.run_until(S(20), |n| {
        heard |= view(n, 3, talks[3]).and_then(|view| view.room).is_some_and(|room| !room.messages.is_empty());
        view(n, 3, talks[3]).is_none()
    });
    assert!(removed && !heard && !network.phones[3].disk.contains(b"after"));
}
