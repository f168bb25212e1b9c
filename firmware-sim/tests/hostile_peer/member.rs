//! A seat of the room says what no honest phone would: in others' lines, in pieces that do not fit, in questions that cost more than
//! they ask.

use crate::world::{assert_goes_on, betrayed, close, is_gone};
use alcove::proto::config::{DOCUMENT_ASK_INTERVAL, ENTRY_BYTES_MAX};
use alcove::proto::talk::beacon::Beacon;
use alcove::proto::talk::close as closing;
use alcove::proto::talk::entry::{Body, Entry, Head, Item, ProposalId};
use alcove::proto::wire::encode;
use alcove::proto::wire::frame::Frame;
use firmware_sim::intruder::{Insider, Intruder};
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{S, said, text, write};

const SEALED: u8 = 0;
const BEACON: u8 = 2;
const ASK: u8 = 3;
const WANT_DOCUMENT: u8 = 5;

/// The hostile seat agrees like everybody else, so that the talk can end.
fn agree(insider: &mut Insider, intruder: &mut Intruder, network: &mut Network, proposal: ProposalId) {
    let set = closing::set_hash(&insider.room, insider.members.iter().map(|member| &member.seat));
    let vote = closing::vote(&insider.keys, &insider.room, proposal, set, &[7; 16]);
    let item = insider.entry(Body::Vote(vote));
    let parcels = insider.say(&[item]);
    intruder.hand(network, &parcels);
}

/// Both honest ones agree, the hostile one too, and it is over for them.
fn assert_closes(network: &mut Network, talks: &[alcove::proto::id::TalkId], insider: &mut Insider, intruder: &mut Intruder) {
    let mine = insider.entry(Body::Propose);
    let proposal = ProposalId(insider.number, mine.number());
    let parcels = insider.say(&[mine]);
    intruder.hand(network, &parcels);
    intruder.run(network, S(1));
    close(network, talks);
    intruder.run(network, S(5));
    assert!(!is_gone(network, talks), "control: without the third vote it is not over");
    agree(insider, intruder, network, proposal);
    intruder.run(network, S(20));
    assert!(is_gone(network, talks));
}

#[test]
fn what_a_member_says_of_another_ones_line_silences_nobody() {
    for victims in [&[0][..], &[1], &[0, 1]] {
        let (mut network, talks, mut insider) = betrayed(1);
        let mut ends: Vec<_> = victims.iter().map(|phone| Intruder::connect(&mut network, *phone)).collect();
        network.separate(0, 1);
        // To each victim: the next places of everybody's lines are folded away, and so is what stands there in truth.
        for (end, phone) in ends.iter_mut().zip(victims) {
            let me = insider.number;
            for line in (0..3_u8).filter(|line| *line != me) {
                let head = insider.log.head(line);
                for ahead in 1..4 {
                    let item = Item::Folded { seat: line, head: Head { number: head.number + ahead, chain: [9; 16] } };
                    let parcels = insider.say(&[item]);
                    end.hand(&mut network, &parcels);
                }
            }
            end.run(&mut network, S(1));
            assert!(said(&network, *phone, talks[*phone]).is_empty());
        }
        network.connect(0, 1);
        assert_goes_on(&mut network, &talks, "nobody is silenced");
        // The last word of a line, after which its seat says nothing more.
        for phone in 0..2 {
            network.with(phone, |node| node.say(talks[phone], "last")).unwrap();
        }
        let heard = |n: &Network| (0..2).all(|p| said(n, p, talks[p]).iter().filter(|word| *word == "last").count() == 2);
        assert!(network.run_until(S(60), heard), "{victims:?}");
    }
}

#[test]
fn a_forged_entry_in_anothers_line_is_refused_and_a_true_one_of_ones_own_is_taken() {
    let (mut network, talks, mut insider) = betrayed(2);
    let mut end = Intruder::connect(&mut network, 0);
    let other = u8::from(insider.number == 0);
    let head = insider.log.head(other);
    let Item::Entry(own) = insider.entry_after(head, Body::Say { text: "not mine".into() }) else { unreachable!() };
    let forged = Item::Entry(Entry { seat: other, ..own });
    let unknown = Item::Folded { seat: 200, head: Head { number: 5, chain: [0; 16] } };
    for items in [vec![forged], vec![unknown]] {
        let parcels = insider.say(&items);
        end.hand(&mut network, &parcels);
    }
    end.run(&mut network, S(2));
    assert!((0..2).all(|phone| said(&network, phone, talks[phone]).is_empty()));
    let mine = insider.entry(Body::Say { text: "mine".into() });
    let parcels = insider.say(&[mine]);
    end.hand(&mut network, &parcels);
    end.run(&mut network, S(2));
    assert!((0..2).all(|phone| said(&network, phone, talks[phone]) == ["mine"]), "control");
    assert_goes_on(&mut network, &talks, "beside a forger");
    assert_closes(&mut network, &talks, &mut insider, &mut end);
}

#[test]
fn changes_that_are_no_changes_and_words_without_end_cost_only_their_author() {
    let (mut network, talks, mut insider) = betrayed(3);
    let mut end = Intruder::connect(&mut network, 0);
    let noise = network.rng().bytes::<2_000>().to_vec();
    let mut bomb = vec![0x85, 0x6f, 0x4a, 0x83];
    bomb.extend(&noise);
    for bytes in [Vec::new(), noise.clone(), bomb, vec![0; ENTRY_BYTES_MAX - 100]] {
        let item = insider.entry(Body::Change { generation: 0, bytes });
        let parcels = insider.say(&[item]);
        end.hand(&mut network, &parcels);
    }
    end.run(&mut network, S(5));
    let faults = network.node(0).status().faults;
    assert!(faults > 0, "control: they were looked at");
    assert_goes_on(&mut network, &talks, "beside broken changes");
    assert_closes(&mut network, &talks, &mut insider, &mut end);
}

#[test]
fn pieces_that_contradict_poison_only_a_message_of_whoever_knows_the_key_and_it_comes_again() {
    // Who has no seat cannot make a piece of the room's messages: without the key there is no label that anybody reads.
    let (mut network, talks, mut insider) = betrayed(4);
    let long = "long ".repeat(390);
    let mut end = Intruder::connect(&mut network, 1);
    network.separate(0, 1);
    let mut recorder = Intruder::connect(&mut network, 0);
    recorder.run(&mut network, S(1));
    recorder.frames.clear();
    // Two words in one answer are a message of several parts.
    for _ in 0..3 {
        network.with(0, |node| node.say(talks[0], &long)).unwrap();
    }
    let big: String = "x".repeat(1_900);
    network.with(0, |node| node.say(talks[0], &big)).unwrap();
    recorder.run(&mut network, S(1));
    let parts: Vec<_> = recorder.parcels();
    assert!(!parts.is_empty());
    // The insider begins messages that never end, under ids of its own, and contradicts each: more than are remembered.
    for id in 0..20_u8 {
        for (index, count) in [(0, 2), (1, 3), (0, 32), (31, 32)] {
            let content = [&[1, id, 0, 0, 0, 0, 0, 0, 0, index, count][..], &[7; 3_000]].concat();
            let part = insider.content(&content);
            end.hand(&mut network, &[part]);
        }
    }
    // And nonsense in the shape of a message.
    for nonsense in [vec![], vec![9], vec![1, 2, 3], vec![0, 200, 200], [&[0, SEALED][..], &[0xff; 9]].concat()] {
        let part = insider.content(&nonsense);
        end.hand(&mut network, &[part]);
    }
    end.run(&mut network, S(2));
    assert!(network.node(1).status().faults > 0, "control: they were read");
    network.connect(0, 1);
    let heard = |n: &Network| said(n, 1, talks[1]).len() == 4;
    assert!(network.run_until(S(60), heard), "{:?}", said(&network, 1, talks[1]).len());
    assert_goes_on(&mut network, &talks, "beside poisoned pieces");
    assert_closes(&mut network, &talks, &mut insider, &mut end);
}

#[test]
fn a_member_that_asks_without_end_is_answered_at_a_bounded_rate() {
    let (mut network, talks, mut insider) = betrayed(5);
    // Something to be asked for.
    for number in 0..20 {
        network.with(0, |node| node.say(talks[0], &format!("{number} {}", "word ".repeat(380)))).unwrap();
    }
    for _ in 0..8 {
        let page: String = network.rng().bytes::<1_700>().iter().map(|byte| format!("{byte:02x}")).collect();
        write(&mut network, 0, talks[0], &page);
        network.run(S(2));
    }
    network.run(S(10));
    let mut end = Intruder::connect(&mut network, 0);
    end.run(&mut network, S(3));
    let wall_minutes = START.minutes();
    let beacon = Beacon { seat: insider.number, term: 0, epoch: 0, digest: [0; 8], wall_minutes };
    let questions: [(&str, Vec<u8>, u8, usize); 3] = [
        // 96 KiB every 800 ms at most from each of two, padded to parcels.
        ("ask", encode(&Vec::<u32>::new()), ASK, 2_000_000),
        ("beacon of an epoch that was before the first", encode(&beacon), BEACON, 60_000),
        // The document, of some 20 kB, once in half its interval.
        ("want the document", Vec::new(), WANT_DOCUMENT, 60_000),
    ];
    for (name, fields, variant, bytes_max) in questions {
        let before = end.traffic;
        for _ in 0..50 {
            let parcels = insider.message(variant, &fields);
            end.hand(&mut network, &parcels);
            end.run(&mut network, std::time::Duration::from_millis(100));
        }
        let (asked, answered) = (end.traffic.0 - before.0, end.traffic.1 - before.1);
        assert!(answered < bytes_max, "{name}: {answered} bytes for {asked}");
        if variant != BEACON {
            assert!(answered > 10_000, "control: {name} is heard ({answered})");
        }
    }
    assert!(DOCUMENT_ASK_INTERVAL > S(10), "the test above asks for less than half of it");
    assert_goes_on(&mut network, &talks, "beside somebody who asks");
    assert!(!text(&network, 0, talks[0]).is_empty());
    assert_closes(&mut network, &talks, &mut insider, &mut end);
}

#[test]
fn beacons_that_lie_about_the_time_move_no_clock() {
    for hours in [-48_i64, 48, i64::from(u32::MAX) / 60] {
        let (mut network, talks, mut insider) = betrayed(6);
        let mut end = Intruder::connect(&mut network, 0);
        let wall_minutes = (i64::from(START.minutes()) + hours * 60).clamp(0, i64::from(u32::MAX)) as u32;
        for _ in 0..10 {
            let beacon = Beacon { seat: insider.number, term: 1, epoch: 1, digest: [0; 8], wall_minutes };
            let parcels = insider.message(BEACON, &encode(&beacon));
            end.hand(&mut network, &parcels);
            end.run(&mut network, S(1));
        }
        assert!((0..2).all(|phone| network.node(phone).wall().since(START) < S(120)), "{hours}");
        assert_goes_on(&mut network, &talks, "whatever the time");
        assert_closes(&mut network, &talks, &mut insider, &mut end);
    }
}

#[test]
fn who_has_no_seat_cannot_say_a_word_that_anybody_reads() {
    let (mut network, talks, insider) = betrayed(7);
    let mut end = Intruder::connect(&mut network, 0);
    let rng = &mut network.rng().fork();
    let before = network.node(0).status().faults;
    for _ in 0..50 {
        let parcel = crate::world::noise(rng, 3, false);
        end.say(&mut network, &Frame::Parcel(parcel));
    }
    end.run(&mut network, S(1));
    assert_eq!(network.node(0).status().faults, before, "nobody reads them, so nobody complains");
    drop(insider);
    assert_goes_on(&mut network, &talks, "beside noise");
}
