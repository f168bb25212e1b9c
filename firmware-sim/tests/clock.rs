//! Clocks that lie: a jump locks at most, cuts nobody off, and a step back revives nothing.

use alcove::proto::talk::close::Ending;
use firmware_sim::checker::{converged, gone};
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, open_room, post, room, said, terms, view};

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_phone_whose_clock_jumps_two_days_writes_and_closes_with_the_others() {
    for hours in [-48, 48] {
        let mut network = Network::new(1, 3);
        network.connect_all();
        let talks = open_room(&mut network, 3, 3);
        let members: Vec<_> = talks.iter().copied().enumerate().collect();
        network.jump_clock(1, hours * HOUR_MS);
        network.run(S(1));
        assert_eq!(room(&network, 1, talks[1]).is_locked, hours > 0, "only a jump past the talk's end locks it");
        network.with(1, |node| node.say(talks[1], "what time is it?")).unwrap();
        network.with(0, |node| node.say(talks[0], "half past nine")).unwrap();
        let heard = |n: &Network| (0..3).all(|p| said(n, p, talks[p]).len() == 2);
        assert!(network.run_until(S(60), heard), "{hours}: {:?}", converged(&network, &members));
        for phone in 0..3 {
            network.with(phone, |node| node.close(talks[phone])).unwrap();
        }
        assert!(network.run_until(S(30), |n| gone(n, &members, &[]).is_ok()), "{hours}: {:?}", gone(&network, &members, &[]));
    }
}

#[test]
fn a_talk_ends_when_its_time_has_passed_however_often_the_clock_is_set_back() {
    let mut network = Network::new(2, 3);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    for _ in 0..9 {
        network.run(S(3_600));
        network.jump_clock(1, -2 * HOUR_MS);
    }
    assert!(view(&network, 1, talks[1]).is_some(), "control: its time is not over");
    network.run(S(2 * 3_600));
    for phone in 0..3 {
        assert!(view(&network, phone, talks[phone]).is_none(), "phone {phone}");
        assert_eq!(network.node(phone).receipts()[0].ending, Ending::Expired);
        assert!(!network.phones[phone].disk.holds_talks());
    }
}

#[test]
fn a_clock_set_back_while_the_phone_was_off_does_not_give_a_card_more_time() {
    let mut network = Network::new(3, 1);
    let (talk, _) = post(&mut network, 0, terms(3, 3));
    network.run(S(9 * 3_600));
    network.jump_clock(0, -48 * HOUR_MS);
    network.restart(0);
    network.run(S(1_800));
    assert!(view(&network, 0, talk).is_some(), "control: half an hour is left");
    network.run(S(3_600));
    assert!(view(&network, 0, talk).is_none());
    assert!(!network.phones[0].disk.holds_talks() && network.phones[0].disk.count(b"time") == 1);
}

#[test]
fn a_phone_takes_its_own_word_for_nobodys() {
    // Found by `room_of_twelve`, seed 107 of five.
    let mut network = Network::new(4, 3);
    (0..3).for_each(|phone| network.set_online(phone, true));
    let talks = open_room(&mut network, 3, 3);
    network.jump_clock(1, 17 * HOUR_MS);
    for _ in 0..2 {
        // It says at the relay what its clock shows, and reads it there when it has forgotten that it said so.
        network.restart(1);
        network.run(S(5));
        assert!(room(&network, 1, talks[1]).is_locked, "nobody else has seen that hour");
    }
    network.jump_clock(0, 17 * HOUR_MS);
    network.restart(0);
    network.run(S(5));
    assert!(view(&network, 0, talks[0]).is_none(), "control: the word of another counts");
}
