//! Open: a seat that was away takes the word of whoever welcomes it for the term that it is let into.

use alcove::proto::id::CardId;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::entry::Head;
use alcove::proto::talk::group::Group;
use alcove::proto::talk::roster::Roster;
use alcove::proto::wire::parcel::Parcel;
use alcove::proto::wire::{decode, encode};
use firmware_sim::intruder::{Insider, Intruder};
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{S, open_room, room, terms};

#[test]
#[ignore = "open: a welcome into a later term does not prove that term"]
fn a_seat_that_was_away_follows_nobody_but_the_chair_of_the_term() {
    let mut network = Network::new(32, 6);
    network.connect_all();
    let talks = open_room(&mut network, 6, 6);
    network.run(S(10));
    let (away, hostile) = (1, 5);
    network.crash(hostile, None);
    let mut insider = Insider::of(&mut network, hostile, talks[hostile]);
    network.partition(|phone| usize::from(phone == away));
    let mut ear = Intruder::connect(&mut network, 2);
    network.with(0, |node| node.leave(talks[0])).unwrap();
    for _ in 0..120 {
        ear.run(&mut network, S(1));
        if (2..5).all(|p| room(&network, p, talks[p]).term == 2) {
            break;
        }
    }
    assert!((2..5).all(|p| room(&network, p, talks[p]).term == 2), "the others go on");
    let recorded: Vec<Parcel> = ear.parcels();
    ear.leave(&mut network);
    // The hostile seat, which has no part in the new term, stands beside the one that was away.
    let mut end = Intruder::connect(&mut network, away);
    end.hand(&mut network, &recorded);
    end.run(&mut network, S(10));
    type Late = ((u32, (u32, u64), u8), u8, (u32, u64), Vec<u8>, ([u8; 32], [u8; 32]));
    let late = end.parcels().iter().filter_map(|parcel| insider.parcels.open(parcel)).find_map(|content| {
        let rest = content.strip_prefix(&[0, 7, 3])?.to_vec();
        decode::<Late>(&rest, "late").ok()
    });
    let (_, seat, _, package, _) = late.expect("control: it asks to follow");
    let rng = &mut Rng::new([3; 32]);
    let (mut group, _) = Group::found(rng, &insider.keys, [9; 16], &[], &Key([1; 32]), b"nobody's").unwrap();
    let welcome = group.admit_and_remove(rng, &[package], None).unwrap().welcome.unwrap();
    let mut roster = Roster::default();
    insider.members.iter().for_each(|member| assert!(roster.admit(member.seat, member.key).is_some()));
    let (card, term, chair) = (CardId([0; 16]), u32::MAX, insider.number);
    let none: Vec<Vec<u8>> = Vec::new();
    let state = (
        (terms(3, 50), card, insider.founding.clone(), term, chair, roster),
        (vec![Head::default(); insider.members.len()], START, 0_u32, Vec::<u8>::new(), none.clone(), none),
    );
    let step = [&[4][..], &encode(&(seat, welcome, encode(&state)))].concat();
    let parcels = insider.message(7, &step);
    end.hand(&mut network, &parcels);
    end.run(&mut network, S(5));
    network.connect_all();
    let follows = network.run_until(S(1_500), |n| room(n, away, talks[away]).fingerprint == room(n, 2, talks[2]).fingerprint);
    assert!(follows, "it is in term {}", room(&network, away, talks[away]).term);
}
