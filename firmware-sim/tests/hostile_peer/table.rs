//! Codes that are used twice, and proofs that are carried from one handshake to another.

use crate::world::{assert_goes_on, room, two};
use alcove::proto::handoff::code::{Code, Kind};
use alcove::proto::id::TalkId;
use alcove::proto::io::{Event, HandoffEnd};
use alcove::proto::wire::frame::{Control, Frame};
use firmware_sim::intruder::{Insider, Intruder};
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, events, room as shown};
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(400);

fn show(network: &mut Network, talk: TalkId, kind: Kind) -> Code {
    Code::parse(&network.with(0, |node| node.show_handoff(talk, kind)).unwrap()).unwrap()
}

fn is_at_table(network: &Network, talk: TalkId) -> bool {
    shown(network, 0, talk).seats.iter().any(|seat| seat.is_me && seat.at_table)
}

/// The proof that the phone gave.
fn proof(intruder: &Intruder) -> Option<[u8; 32]> {
    intruder.frames.iter().find_map(|frame| match frame {
        Frame::Control(Control::Table { proof }) => Some(*proof),
        Frame::Control(_) | Frame::Parcel(_) => None,
    })
}

#[test]
fn of_two_who_begin_with_one_code_the_second_opens_nothing_and_the_next_code_is_not_spent() {
    let (mut network, talks) = two(1);
    let code = show(&mut network, talks[0], Kind::Newcomers);
    let mut first = Intruder::scan(&mut network, 0, &code);
    let mut second = Intruder::scan(&mut network, 0, &code);
    network.run(MOMENT);
    first.run(&mut network, MOMENT);
    assert!(first.is_up() && !first.is_cut(&network) && proof(&first).is_some(), "control: the first is let in to the proof");
    let next = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    assert_ne!(Code::parse(&next).unwrap().to_text(), code.to_text(), "the screen shows another one");
    second.run(&mut network, MOMENT);
    assert!(second.is_cut(&network) && proof(&second).is_none(), "one code, one handshake");
    let again = network.with(0, |node| node.show_handoff(talks[0], Kind::Newcomers)).unwrap();
    assert_eq!(next, again, "the next code is still on show");
    network.with(1, |node| node.scan(&next)).unwrap();
    network.run(S(3));
    assert!(events(&mut network, 1).contains(&Event::HandoffEnded(HandoffEnd::AtTable(talks[1]))));
    // Long used: it opens nothing at all.
    let mut late = Intruder::scan(&mut network, 0, &code);
    late.run(&mut network, MOMENT);
    assert!(!late.is_up());
    assert_goes_on(&mut network, &talks, "at the table");
}

#[test]
fn a_proof_seats_nobody_but_in_the_handshake_it_was_made_for() {
    let (mut network, talks) = room(2, 3);
    network.crash(2, None);
    let insider = Insider::of(&mut network, 2, talks[2]);
    let table = insider.founding.derive("alcove/1 table", &[]);
    let mut recorded = Vec::new();
    for attack in ["reflected", "of another handshake", "of the other side", "random", "genuine"] {
        let code = show(&mut network, talks[0], Kind::Members);
        let mut scanner = Intruder::scan(&mut network, 0, &code);
        scanner.run(&mut network, MOMENT);
        let heard = proof(&scanner).expect("who shows the code proves first");
        let hash = scanner.handshake_hash();
        let said = match attack {
            "reflected" => heard,
            "of another handshake" => recorded[0],
            "of the other side" => table.mac(&[&hash, &[1]]),
            "random" => [5; 32],
            _ => table.mac(&[&hash, &[0]]),
        };
        // What would have been a proof for this one is kept for the next.
        recorded.push(table.mac(&[&hash, &[0]]));
        scanner.say(&mut network, &Frame::Control(Control::Table { proof: said }));
        scanner.run(&mut network, MOMENT);
        let genuine = attack == "genuine";
        assert_eq!(is_at_table(&network, talks[0]), genuine, "{attack}");
        assert_eq!(scanner.is_cut(&network), !genuine, "{attack}");
        scanner.leave(&mut network);
        network.run(S(1));
    }
    assert_goes_on(&mut network, &talks, "at the table");
}

#[test]
fn words_of_a_handoff_that_nobody_began_end_their_link() {
    let (mut network, talks) = two(3);
    for word in [
        Control::Table { proof: [1; 32] },
        Control::Newcomer { offer: vec![0; 3_000] },
        Control::Admission { admitted: true },
        Control::Admission { admitted: false },
    ] {
        let mut intruder = Intruder::connect(&mut network, 0);
        intruder.say(&mut network, &Frame::Control(word.clone()));
        intruder.run(&mut network, MOMENT);
        assert!(intruder.is_cut(&network), "{word:?}");
    }
    assert!(shown(&network, 0, talks[0]).newcomers.is_empty());
    assert_goes_on(&mut network, &talks, "beside them");
}

#[test]
fn a_crowd_of_newcomers_waits_in_bounds_and_nobody_comes_in_unasked() {
    let (mut network, talks) = two(4);
    let mut crowd = Vec::new();
    for _ in 0..12 {
        let code = show(&mut network, talks[0], Kind::Newcomers);
        let mut newcomer = Intruder::scan(&mut network, 0, &code);
        newcomer.run(&mut network, MOMENT);
        newcomer.say(&mut network, &Frame::Control(Control::Table { proof: [3; 32] }));
        newcomer.say(&mut network, &Frame::Control(Control::Newcomer { offer: vec![7; 3_000] }));
        newcomer.run(&mut network, MOMENT);
        crowd.push(newcomer);
    }
    let waiting = shown(&network, 0, talks[0]).newcomers;
    assert_eq!(waiting.len(), alcove::proto::config::NEWCOMERS_MAX, "control: they knock");
    assert!(network.with(0, |node| node.admit(waiting[0], true)).is_ok(), "and even who is admitted by mistake");
    network.run(S(5));
    assert_eq!(shown(&network, 0, talks[0]).seats.len(), 2, "does not sit without a key package that holds");
    assert_goes_on(&mut network, &talks, "beside a crowd");
}
