//! From a card to a seat: who is drawn, who is not, who comes later, and who gets in by a code.

use alcove::proto::error::Refused;
use alcove::proto::handoff::code::Kind;
use alcove::proto::id::{LinkId, TalkId};
use alcove::proto::io::{Event, HandoffEnd, HandoffFailure};
use alcove::proto::node::view::State;
use alcove::proto::time::Duration;
use firmware_sim::checker::{converged, gone};
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{S, events, handoff_end, is_open, open_room, post, room, said, take_seat, terms, text, view, write};

fn assert_all_open(network: &mut Network, members: &[(usize, TalkId)], within: u64) {
    let open = network.run_until(S(within), |n| members.iter().all(|(phone, talk)| is_open(n, *phone, *talk)));
    let states: Vec<_> = members.iter().map(|(phone, talk)| view(network, *phone, *talk).map(|view| view.state)).collect();
    assert!(open, "{states:?}");
}

fn assert_converged(network: &mut Network, members: &[(usize, TalkId)], within: u64) {
    let held = network.run_until(S(within), |n| converged(n, members).is_ok());
    assert!(held, "{:?}", converged(network, members));
}

fn assert_closes(network: &mut Network, members: &[(usize, TalkId)]) {
    for (phone, talk) in members {
        network.with(*phone, |node| node.close(*talk)).unwrap();
    }
    let held = network.run_until(S(60), |n| gone(n, members, &[]).is_ok());
    assert!(held, "{:?}", gone(network, members, &[]));
}

// ---- quorum and draws ------------------------------------------------------------------------------------------------------------

#[test]
fn a_seat_that_stays_silent_among_neighbours_is_dropped_after_a_minute_and_comes_in_later() {
    let mut network = Network::new(1, 4);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 50));
    let silent = take_seat(&mut network, 1, card);
    network.run(S(2));
    network.crash(1, None);
    let second = take_seat(&mut network, 2, card);
    network.run(S(5));
    let third = take_seat(&mut network, 3, card);
    network.run(S(45));
    assert!(!is_open(&network, 0, host), "control: the silent one is waited for");
    assert_all_open(&mut network, &[(0, host), (2, second), (3, third)], 40);
    assert_eq!(room(&network, 0, host).seats.len(), 3);

    network.run(S(60));
    network.restart(1);
    assert_all_open(&mut network, &[(1, silent)], 60);
    let members = [(0, host), (1, silent), (2, second), (3, third)];
    assert_converged(&mut network, &members, 30);
    assert_closes(&mut network, &members);
}

#[test]
fn a_seat_in_a_tunnel_is_waited_for_ten_minutes() {
    let mut network = Network::new(2, 4);
    (0..4).for_each(|phone| network.set_online(phone, true));
    let (host, card) = post(&mut network, 0, terms(3, 50));
    let silent = take_seat(&mut network, 1, card);
    network.run(S(2));
    network.set_online(1, false);
    let second = take_seat(&mut network, 2, card);
    network.run(S(5 * 60));
    assert!(!is_open(&network, 0, host) && !is_open(&network, 2, second));
    network.set_online(1, true);
    assert_all_open(&mut network, &[(0, host), (1, silent), (2, second)], 30);
}

#[test]
fn a_seat_that_never_comes_out_of_its_tunnel_does_not_keep_the_others_waiting_for_ever() {
    let mut network = Network::new(3, 4);
    (0..4).for_each(|phone| network.set_online(phone, true));
    let (host, card) = post(&mut network, 0, terms(3, 50));
    take_seat(&mut network, 1, card);
    network.run(S(2));
    network.set_online(1, false);
    let (second, third) = (take_seat(&mut network, 2, card), take_seat(&mut network, 3, card));
    network.run(S(9 * 60));
    assert!(!is_open(&network, 0, host), "control: it is waited for");
    assert_all_open(&mut network, &[(0, host), (2, second), (3, third)], 120);
}

#[test]
fn a_seat_that_is_given_up_is_not_counted_and_not_waited_for() {
    let mut network = Network::new(4, 4);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 50));
    let fickle = take_seat(&mut network, 1, card);
    assert!(network.run_until(S(5), |n| view(n, 0, host).unwrap().taken == Some(2)));
    network.with(1, |node| node.withdraw(fickle)).unwrap();
    assert!(network.run_until(S(5), |n| view(n, 0, host).unwrap().taken == Some(1)));
    assert!(view(&network, 1, fickle).is_none() && !network.phones[1].disk.holds_talks());
    let second = take_seat(&mut network, 2, card);
    network.run(S(30));
    assert!(!is_open(&network, 0, host), "two are not enough");
    let third = take_seat(&mut network, 3, card);
    assert_all_open(&mut network, &[(0, host), (2, second), (3, third)], 20);
    assert_eq!(room(&network, 0, host).seats.len(), 3);
}

#[test]
fn a_seat_may_be_given_up_and_taken_again() {
    let mut network = Network::new(5, 3);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 50));
    let fickle = take_seat(&mut network, 1, card);
    network.run(S(2));
    assert_eq!(network.with(1, |node| node.take_seat(card)), Err(Refused::SeatTaken));
    network.with(1, |node| node.withdraw(fickle)).unwrap();
    network.run(S(2));
    let (first, second) = (take_seat(&mut network, 1, card), take_seat(&mut network, 2, card));
    assert_all_open(&mut network, &[(0, host), (1, first), (2, second)], 20);
}

#[test]
fn a_card_that_is_withdrawn_ends_the_waiting_and_takes_no_more_seats() {
    let mut network = Network::new(6, 3);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 50));
    let guest = take_seat(&mut network, 1, card);
    network.run(S(2));
    assert_eq!(network.with(0, |node| node.take_seat(card)), Err(Refused::OwnCard));
    network.with(0, |node| node.withdraw(host)).unwrap();
    network.run(S(5));
    assert!(network.phones.iter().all(|phone| !phone.disk.holds_talks()));
    assert!(view(&network, 1, guest).is_none() && (0..3).all(|phone| network.node(phone).board().is_empty()));
    assert_eq!(network.with(2, |node| node.take_seat(card)), Err(Refused::UnknownCard));
}

#[test]
fn whoever_was_away_when_the_card_was_withdrawn_learns_it_from_the_board() {
    let mut network = Network::new(7, 3);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 50));
    network.run(S(2));
    // What it asks nobody hears, so that nobody can decline.
    [0, 2].into_iter().for_each(|other| network.separate(1, other));
    let guest = take_seat(&mut network, 1, card);
    network.run(S(2));
    network.with(0, |node| node.withdraw(host)).unwrap();
    network.run(S(10));
    assert!(view(&network, 1, guest).is_some(), "control: it cannot know");
    network.connect(1, 2);
    network.run(S(5));
    assert!(
        network.node(1).board().is_empty() && view(&network, 1, guest).is_some(),
        "it may have been admitted in the last moment"
    );
    assert!(network.run_until(S(700), |n| view(n, 1, guest).is_none()));
    assert!(events(&mut network, 1).contains(&Event::CardGone(card)));
}

#[test]
fn a_guest_whose_host_admits_it_and_leaves_while_it_is_away_comes_in_when_it_is_back() {
    let mut network = Network::new(9, 3);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(2, 6));
    network.run(S(2));
    let other = take_seat(&mut network, 1, card);
    assert_all_open(&mut network, &[(0, host), (1, other)], 20);
    let guest = take_seat(&mut network, 2, card);
    network.run(Duration::from_millis(150));
    [0, 1].into_iter().for_each(|member| network.separate(member, 2));
    network.run(S(10));
    assert_eq!(room(&network, 1, other).seats.len(), 3, "it was admitted");
    assert!(view(&network, 2, guest).is_some_and(|view| view.room.is_none()), "control: and does not know");
    network.with(0, |node| node.leave(host)).unwrap();
    network.run(S(5));
    network.connect(1, 2);
    assert!(
        network.run_until(S(60), |n| view(n, 2, guest).is_some_and(|view| view.room.is_some())),
        "{:?}",
        view(&network, 2, guest)
    );
    network.with(2, |node| node.say(guest, "here at last")).unwrap();
    assert!(network.run_until(S(60), |n| room(n, 1, other).messages.len() == 1));
}

#[test]
fn a_full_talk_declines() {
    let mut network = Network::new(8, 4);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 3));
    let (first, second) = (take_seat(&mut network, 1, card), take_seat(&mut network, 2, card));
    assert_all_open(&mut network, &[(0, host), (1, first), (2, second)], 20);
    let third = take_seat(&mut network, 3, card);
    assert!(network.run_until(S(10), |n| view(n, 3, third).is_none()));
    assert!(events(&mut network, 3).contains(&Event::TalkErased(third)));
    assert!(!network.phones[3].disk.holds_talks());
    assert_eq!(room(&network, 0, host).seats.len(), 3);
}

#[test]
fn one_who_comes_after_the_opening_gets_the_notes_but_no_older_messages() {
    let mut network = Network::new(9, 4);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 5));
    let (first, second) = (take_seat(&mut network, 1, card), take_seat(&mut network, 2, card));
    let three = [(0, host), (1, first), (2, second)];
    assert_all_open(&mut network, &three, 20);
    network.with(1, |node| node.say(first, "before you came")).unwrap();
    write(&mut network, 2, second, "what we have so far");
    assert_converged(&mut network, &three, 20);
    let late = take_seat(&mut network, 3, card);
    assert_all_open(&mut network, &[(3, late)], 20);
    assert!(network.run_until(S(20), |n| text(n, 3, late) == "what we have so far"));
    network.with(0, |node| node.say(host, "welcome")).unwrap();
    network.with(3, |node| node.say(late, "thank you")).unwrap();
    assert!(network.run_until(S(20), |n| said(n, 3, late).len() == 2));
    assert_eq!(said(&network, 3, late), ["welcome", "thank you"]);
    assert!(!network.phones[3].disk.contains(b"before you came"));
    let seats = |n: &Network, phone: usize, talk| {
        room(n, phone, talk).seats.into_iter().map(|seat| (seat.id, seat.persona)).collect::<Vec<_>>()
    };
    assert_eq!(seats(&network, 3, late), seats(&network, 0, host));
    write(&mut network, 3, late, "and one thing more. ");
    let four = [(0, host), (1, first), (2, second), (3, late)];
    assert!(network.run_until(S(20), |n| four.iter().all(|(p, t)| text(n, *p, *t) == "and one thing more. what we have so far")));
    assert_closes(&mut network, &four);
}

#[test]
fn one_whose_phone_dies_in_the_moment_it_is_admitted_gets_the_notes_all_the_same() {
    for cut in 1..8 {
        let mut network = Network::new(10, 4);
        network.connect_all();
        let (host, card) = post(&mut network, 0, terms(3, 5));
        let (first, second) = (take_seat(&mut network, 1, card), take_seat(&mut network, 2, card));
        assert_all_open(&mut network, &[(0, host), (1, first), (2, second)], 20);
        write(&mut network, 2, second, "what we have so far");
        network.run(S(5));
        let late = take_seat(&mut network, 3, card);
        network.crash(3, Some(cut));
        network.run(S(5));
        network.restart(3);
        assert_all_open(&mut network, &[(3, late)], 60);
        assert!(network.run_until(S(60), |n| text(n, 3, late) == "what we have so far"), "dies after write {cut}");
        assert_closes(&mut network, &[(0, host), (1, first), (2, second), (3, late)]);
    }
}

// ---- codes -----------------------------------------------------------------------------------------------------------------------

/// Three in a room, and strangers beside them.
fn room_and_strangers(seed: u64, strangers: usize) -> (Network, Vec<TalkId>) {
    let mut network = Network::new(seed, 3 + strangers);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    network.with(0, |node| node.say(talks[0], "for members")).unwrap();
    write(&mut network, 1, talks[1], "our notes");
    network.run(S(10));
    (0..3 + strangers).for_each(|phone| drop(events(&mut network, phone)));
    (network, talks)
}

fn newcomer(network: &mut Network, phone: usize) -> Option<(LinkId, [String; 2])> {
    let waits = |event| if let Event::NewcomerWaits { link, words, .. } = event { Some((link, words)) } else { None };
    events(network, phone).into_iter().find_map(waits)
}

#[test]
fn a_newcomer_sees_the_same_words_as_the_host_and_is_admitted() {
    let (mut network, talks) = room_and_strangers(11, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(2));
    let (link, words) = newcomer(&mut network, 0).expect("somebody stands at the table");
    assert_eq!(handoff_end(&mut network, 3), Some(HandoffEnd::WordsShown(words)));
    let talk = network.node(3).talks()[0].talk;
    assert_eq!(view(&network, 3, talk).unwrap().state, State::Knocking);
    assert_eq!(room(&network, 0, talks[0]).newcomers, [link]);
    network.run(S(30));
    assert!(!is_open(&network, 3, talk), "control: nobody has admitted it");

    network.with(0, |node| node.admit(link, true)).unwrap();
    assert_all_open(&mut network, &[(3, talk)], 20);
    assert!(network.run_until(S(20), |n| text(n, 3, talk) == "our notes"));
    assert!(said(&network, 3, talk).is_empty());
    let members = [(0, talks[0]), (1, talks[1]), (2, talks[2]), (3, talk)];
    network.run(S(5));
    assert_closes(&mut network, &members);
}

#[test]
fn a_member_who_is_not_the_chair_admits_a_newcomer_too() {
    let (mut network, talks) = room_and_strangers(12, 1);
    let code = network.with(2, |node| node.show_handoff(talks[2], Kind::Newcomers)).unwrap();
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(2));
    let (link, _) = newcomer(&mut network, 2).expect("somebody stands at the table");
    network.with(2, |node| node.admit(link, true)).unwrap();
    let talk = network.node(3).talks()[0].talk;
    assert_all_open(&mut network, &[(3, talk)], 20);
}

#[test]
fn a_newcomer_who_is_turned_away_keeps_nothing() {
    let (mut network, talks) = room_and_strangers(13, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(2));
    let (link, _) = newcomer(&mut network, 0).expect("somebody stands at the table");
    drop(events(&mut network, 3));
    network.with(0, |node| node.admit(link, false)).unwrap();
    network.run(S(5));
    assert_eq!(handoff_end(&mut network, 3), Some(HandoffEnd::Failed(HandoffFailure::TurnedAway)));
    assert!(network.node(3).talks().is_empty() && !network.phones[3].disk.holds_talks());
    assert_eq!(network.with(0, |node| node.admit(link, true)), Err(Refused::NobodyWaits));
    assert_eq!(room(&network, 0, talks[0]).seats.len(), 3);
}

#[test]
fn a_photographed_code_for_members_shows_a_stranger_nothing() {
    let (mut network, talks) = room_and_strangers(14, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Members)).unwrap();
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(10));
    assert!(newcomer(&mut network, 0).is_none());
    assert!(matches!(handoff_end(&mut network, 3), Some(HandoffEnd::Failed(_) | HandoffEnd::WordsShown(_))));
    network.run(S(30));
    assert!(network.node(3).talks().is_empty(), "{:?}", network.node(3).talks());
    assert!(!network.phones[3].disk.contains(b"our notes") && !network.phones[3].disk.holds_talks());
    assert_eq!(room(&network, 0, talks[0]).seats.len(), 3);
}

#[test]
fn a_code_that_was_used_opens_nothing_more() {
    let (mut network, talks) = room_and_strangers(15, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    network.with(1, |node| node.scan(&code)).unwrap();
    network.run(S(3));
    assert_eq!(handoff_end(&mut network, 1), Some(HandoffEnd::AtTable(talks[1])), "control: it was good");
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(10));
    assert_eq!(handoff_end(&mut network, 3), Some(HandoffEnd::Failed(HandoffFailure::Stale)));
    assert!(newcomer(&mut network, 0).is_none() && network.node(3).talks().is_empty());
    let next = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    assert_ne!(next, code, "the screen shows another one");
}

#[test]
fn a_code_that_has_expired_is_refused_on_both_sides() {
    let (mut network, talks) = room_and_strangers(16, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    network.run(S(200));
    assert_eq!(network.with(3, |node| node.scan(&code)), Err(Refused::CodeExpired));
    // A clock that is set back does not help: the other side burned the code.
    network.jump_clock(3, -3_600_000);
    network.run(S(1));
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(10));
    assert_eq!(handoff_end(&mut network, 3), Some(HandoffEnd::Failed(HandoffFailure::Stale)));
}

#[test]
fn a_code_whose_device_is_out_of_reach_says_so() {
    let (mut network, talks) = room_and_strangers(17, 1);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    network.separate(0, 3);
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(10));
    assert_eq!(handoff_end(&mut network, 3), Some(HandoffEnd::Failed(HandoffFailure::Unreachable)));
}

#[test]
fn codes_of_another_event_and_other_texts_are_refused() {
    let (mut network, _) = room_and_strangers(18, 1);
    let (mut other, talks) = room_and_strangers(19, 0);
    let code = other.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    assert_eq!(network.with(3, |node| node.scan(&code)), Err(Refused::CodeOfOtherEvent));
    for text in ["", "ALCOVE:", "https://example.org/", &code[..code.len() - 1]] {
        assert_eq!(network.with(3, |node| node.scan(text)), Err(Refused::NotACode), "{text}");
    }
}

#[test]
fn a_member_of_another_talk_is_a_stranger_at_this_table() {
    let (mut network, talks) = room_and_strangers(20, 3);
    let (theirs, card) = post(&mut network, 3, terms(3, 3));
    let (fourth, fifth) = (take_seat(&mut network, 4, card), take_seat(&mut network, 5, card));
    assert_all_open(&mut network, &[(3, theirs), (4, fourth), (5, fifth)], 20);
    let code = network.with(0, |node| node.show_handoff(talks[0], Kind::Members)).unwrap();
    network.with(3, |node| node.scan(&code)).unwrap();
    network.run(S(10));
    assert_eq!(network.node(3).talks().len(), 1, "its own alone");
    assert!(room(&network, 3, theirs).seats.iter().all(|seat| !seat.at_table));
    assert!(room(&network, 0, talks[0]).seats.iter().all(|seat| !seat.at_table));
}

// ---- no radio at all ---------------------------------------------------------------------------------------------------------------

#[test]
fn an_animated_code_carries_the_notes_one_way_to_members_alone() {
    let (mut network, talks) = room_and_strangers(21, 1);
    for a in 0..4 {
        (0..a).for_each(|b| network.separate(a, b));
    }
    write(&mut network, 0, talks[0], "written by the host. ");
    write(&mut network, 1, talks[1], "written by the guest. ");
    let code = network.with(0, |node| node.animated_code(talks[0])).unwrap();
    // A scanner begins somewhere, misses every third frame, and reads some twice.
    let frames: Vec<_> =
        code.frames().skip(1).take(3 * code.frames_needed() + 10).enumerate().filter(|(at, _)| at % 3 != 0).collect();
    for phone in [1, 3] {
        let done = frames.iter().find_map(|(_, frame)| {
            let progress = network.with(phone, |node| node.scan(frame)).unwrap();
            network.with(phone, |node| node.scan(frame)).unwrap();
            progress.filter(|progress| *progress >= 1.0)
        });
        assert_eq!(done, Some(1.0), "phone {phone}");
    }
    network.run(S(1));
    let here = text(&network, 1, talks[1]);
    assert!(here.contains("written by the host. ") && here.contains("written by the guest. "), "{here:?}");
    assert!(!text(&network, 0, talks[0]).contains("guest"), "one way");
    assert!(network.node(3).talks().is_empty() && !network.phones[3].disk.contains(b"written by"));

    network.connect_all();
    assert!(network.run_until(S(30), |n| {
        (0..3).all(|p| text(n, p, talks[p]) == text(n, 0, talks[0]) && text(n, p, talks[p]).contains("guest"))
    }));
}

#[test]
fn the_card_and_its_talk_end_at_the_hour_that_was_promised() {
    let mut network = Network::new(22, 3);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(3, 3));
    let guest = take_seat(&mut network, 1, card);
    assert_eq!(network.node(1).board()[0].terms.expires_hours, START.hours() + 10);
    network.run(Duration::from_secs(10 * 3_600 - 120));
    assert!(view(&network, 0, host).is_some() && view(&network, 1, guest).is_some(), "control: two minutes are left");
    network.run(S(240));
    assert!(view(&network, 0, host).is_none() && view(&network, 1, guest).is_none());
    assert!((0..3).all(|phone| network.node(phone).board().is_empty() && !network.phones[phone].disk.holds_talks()));
}
