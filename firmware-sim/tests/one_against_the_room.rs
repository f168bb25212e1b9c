//! What one seat cannot do to a room: part it, hold up its next chair, or take another's words from it.

use alcove::proto::id::TalkId;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::entry::Head;
use alcove::proto::talk::group::{Group, SeatKeys, check_key_package, share_no_key};
use alcove::proto::wire::encode;
use ed25519_dalek::{Signer, SigningKey};
use firmware_sim::intruder::{Insider, Intruder};
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, number, open_room, room, view};

fn outline(network: &Network, phones: &[usize], talks: &[TalkId]) -> String {
    let one =
        |p: usize| view(network, p, talks[p]).and_then(|v| v.room).map(|room| (p, room.term, room.epoch, room.fingerprint.clone()));
    format!("{:?}", phones.iter().map(|p| one(*p)).collect::<Vec<_>>())
}

#[test]
fn the_old_chair_that_had_committed_alone_goes_on_with_the_others_after_a_restart() {
    let mut network = Network::new(31, 6);
    network.connect_all();
    let talks = open_room(&mut network, 6, 6);
    network.partition(|phone| usize::from(phone == 0 || phone == 5));
    network.with(5, |node| node.leave(talks[5])).unwrap();
    assert!(network.run_until(S(60), |n| room(n, 0, talks[0]).epoch == 2), "the chair commits alone");
    let unwanted = number(&network, 1, talks[1]);
    for phone in 2..5 {
        network.with(phone, |node| node.remove(talks[phone], unwanted)).unwrap();
    }
    assert!(
        network.run_until(S(1_500), |n| (2..5).all(|p| room(n, p, talks[p]).term == 2)),
        "{}",
        outline(&network, &[2, 3, 4], &talks)
    );
    network.run(S(30));
    network.connect_all();
    assert!(network.run_until(S(120), |n| room(n, 0, talks[0]).term == 2), "{}", outline(&network, &[0, 2, 3, 4], &talks));
    network.run(S(60));
    network.restart(0);
    network.run(S(120));
    let before = outline(&network, &[2], &talks);
    network.with(4, |node| node.leave(talks[4])).unwrap();
    let goes_on = |n: &Network| {
        let fingerprint = room(n, 0, talks[0]).fingerprint;
        outline(n, &[2], &talks) != before && [2, 3].iter().all(|p| room(n, *p, talks[*p]).fingerprint == fingerprint)
    };
    let together = network.run_until(S(1_800), goes_on);
    assert!(together, "{}", outline(&network, &[0, 2, 3], &talks));
}

/// A key package of this seat with other public keys in it, properly signed (RFC 9420 sections 5.1.2, 7.2, 10).
fn package_with(keys: &SeatKeys, package: &[u8], init: [u8; 32], encryption: Option<[u8; 32]>) -> Vec<u8> {
    // Version and suite 4, init key 1 + 32, leaf … its signature 2 + 64, no extensions 1, signature 2 + 64.
    let seed: [u8; 32] = keys.to_bytes()[16..48].try_into().unwrap();
    let signing = SigningKey::from_bytes(&seed);
    assert_eq!(signing.verifying_key().to_bytes(), keys.verifying_key());
    let sign = |label: &str, content: &[u8]| {
        let label = format!("MLS 1.0 {label}");
        let mut signed = vec![label.len() as u8];
        signed.extend(label.as_bytes());
        let length = content.len();
        match length < 64 {
            true => signed.push(length as u8),
            false => signed.extend([0x40 | (length >> 8) as u8, length as u8]),
        }
        signed.extend(content);
        signing.sign(&signed).to_bytes()
    };
    let end = package.len() - 66 - 1;
    let mut leaf = package[4 + 33..end - 66].to_vec();
    if let Some(encryption) = encryption {
        leaf[1..33].copy_from_slice(&encryption);
    }
    let leaf_signature = sign("LeafNodeTBS", &leaf);
    let mut tbs = package[..4].to_vec();
    tbs.push(32);
    tbs.extend(init);
    tbs.extend(&leaf);
    tbs.extend([0x40, 64]);
    tbs.extend(leaf_signature);
    tbs.push(0);
    let signature = sign("KeyPackageTBS", &tbs);
    [&tbs[..], &[0x40, 64], &signature].concat()
}

#[test]
fn a_key_package_to_which_nothing_can_be_sealed_is_refused() {
    let rng = &mut Rng::new([4; 32]);
    let (host, mut honest, mut hostile) = (SeatKeys::generate(rng), SeatKeys::generate(rng), SeatKeys::generate(rng));
    let (good, own) = (honest.key_package(rng).unwrap(), hostile.key_package(rng).unwrap());
    let init = own[5..37].try_into().unwrap();
    let same = package_with(&hostile, &own, init, None);
    assert!(check_key_package(&same).is_ok() && share_no_key([&good[..], &same]), "control: signed anew it is as good as before");
    assert!(Group::found(rng, &host, [5; 16], &[good.clone(), same], &Key([4; 32]), b"roster").is_ok());
    assert!(check_key_package(&package_with(&hostile, &own, [0; 32], None)).is_err(), "an init key of small order");
    assert!(check_key_package(&package_with(&hostile, &own, init, Some([0; 32]))).is_err(), "a leaf's key of small order");
    let theirs = |at: usize| good[at..at + 32].try_into().unwrap();
    for copied in [package_with(&hostile, &own, theirs(5), None), package_with(&hostile, &own, init, Some(theirs(38)))] {
        assert!(check_key_package(&copied).is_ok() && !share_no_key([&good[..], &copied]));
        assert!(Group::found(rng, &host, [5; 16], &[good.clone(), copied], &Key([4; 32]), b"roster").is_err(), "why it matters");
    }
}

type Ballot = (u32, (u32, u64), u8);

#[test]
fn one_seat_uses_up_no_terms() {
    for hostile_asks in [false, true] {
        let mut network = Network::new(33, 6);
        network.connect_all();
        let talks = open_room(&mut network, 6, 6);
        network.run(S(10));
        network.crash(5, None);
        let mut insider = Insider::of(&mut network, 5, talks[5]);
        network.crash(0, None);
        network.run(S(800));
        if hostile_asks {
            let mut end = Intruder::connect(&mut network, 2);
            let ballot: Ballot = (u32::MAX, (1, 1), insider.number);
            let step = [&[0][..], &encode(&ballot)].concat();
            let parcels = insider.message(7, &step);
            end.hand(&mut network, &parcels);
            end.run(&mut network, S(5));
            end.leave(&mut network);
        }
        let unwanted = insider.number;
        for phone in 1..5 {
            network.with(phone, |node| node.remove(talks[phone], unwanted)).unwrap();
        }
        let founded = network.run_until(S(3_000), |n| (1..5).all(|p| room(n, p, talks[p]).term > 1));
        assert!(founded, "{}", outline(&network, &[1, 2, 3, 4], &talks));
    }
}

#[test]
fn what_a_hostile_member_says_beside_anothers_change_does_not_lose_it() {
    use alcove::proto::talk::entry::{Body, Entry, Item};
    use firmware_sim::scenario::{text, write};
    for spoils in [false, true] {
        let mut network = Network::new(36, 3);
        network.connect_all();
        let talks = open_room(&mut network, 3, 3);
        network.run(S(5));
        network.crash(2, None);
        let mut insider = Insider::of(&mut network, 2, talks[2]);
        network.separate(0, 1);
        let mut ear = Intruder::connect(&mut network, 0);
        ear.run(&mut network, S(1));
        ear.frames.clear();
        write(&mut network, 0, talks[0], "hello");
        ear.run(&mut network, S(2));
        let heard = insider.heard(&ear.parcels());
        let change = heard.into_iter().find(|item| matches!(item, Item::Entry(Entry { body: Body::Change { .. }, .. }))).unwrap();
        let nonsense = Item::Folded { seat: 200, head: Head { number: 5, chain: [0; 16] } };
        let mut items = vec![change];
        items.extend(spoils.then_some(nonsense));
        let parcels = insider.say(&items);
        let mut end = Intruder::connect(&mut network, 1);
        end.hand(&mut network, &parcels);
        end.run(&mut network, S(2));
        network.connect(0, 1);
        network.run(S(30));
        write(&mut network, 0, talks[0], "and on ");
        let read = network.run_until(S(120), |n| text(n, 1, talks[1]) == "and on hello");
        assert!(read, "spoils {spoils}: {:?}", text(&network, 1, talks[1]));
    }
}

#[test]
fn what_the_chair_has_done_already_founds_nothing_when_it_is_silent_later() {
    for leaves in [false, true] {
        let mut network = Network::new(37, 5);
        network.connect_all();
        let talks = open_room(&mut network, 5, 4);
        assert!(network.run_until(S(60), |n| (0..5).all(|p| room(n, p, talks[p]).seats.len() == 5)));
        network.run(S(5));
        if leaves {
            let before = room(&network, 0, talks[0]).epoch;
            network.with(4, |node| node.leave(talks[4])).unwrap();
            assert!(network.run_until(S(60), |n| (0..4).all(|p| room(n, p, talks[p]).epoch == before + 1)));
        }
        network.run(S(60));
        network.partition(|phone| usize::from(phone == 0));
        network.run(S(1_500));
        for phone in 1..4 {
            let said = network.with(phone, |node| node.say(talks[phone], "still here"));
            assert_eq!((room(&network, phone, talks[phone]).term, said.is_ok()), (1, true), "leaves {leaves}");
        }
    }
}

#[test]
fn more_than_half_of_the_others_remove_the_chair_too() {
    let mut network = Network::new(38, 5);
    network.connect_all();
    let talks = open_room(&mut network, 5, 3);
    network.run(S(10));
    let chair = number(&network, 0, talks[0]);
    for phone in 1..5 {
        network.with(phone, |node| node.remove(talks[phone], chair)).unwrap();
    }
    assert!(network.run_until(S(1_500), |n| view(n, 0, talks[0]).is_none()), "{}", outline(&network, &[0, 1, 2, 3, 4], &talks));
}

#[test]
fn a_chair_that_is_here_consents_to_no_other() {
    let mut network = Network::new(39, 3);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    network.run(S(5));
    network.crash(2, None);
    let mut insider = Insider::of(&mut network, 2, talks[2]);
    network.run(S(700));
    let mut end = Intruder::connect(&mut network, 0);
    let ballot: Ballot = (2, (1, 1), insider.number);
    let step = [&[0][..], &encode(&ballot)].concat();
    let parcels = insider.message(7, &step);
    end.hand(&mut network, &parcels);
    end.run(&mut network, S(5));
    let is_grant = |content: &Vec<u8>| content.starts_with(&[0, 7, 1]);
    let grants = end.parcels().iter().filter_map(|parcel| insider.parcels.open(parcel)).filter(is_grant).count();
    assert_eq!(grants, 0, "with it the one that asks has two of three");
}

#[test]
fn who_strikes_twice_before_all_have_folded_is_obeyed() {
    use firmware_sim::scenario::{text, write};
    for strikes in [1, 2] {
        let mut network = Network::new(40, 3);
        network.connect_all();
        let talks = open_room(&mut network, 3, 3);
        write(&mut network, 1, talks[1], "one ");
        assert!(network.run_until(S(20), |n| (0..3).all(|p| text(n, p, talks[p]) == "one ")));
        // It was heard a moment ago, and is waited for.
        network.partition(|phone| usize::from(phone == 2));
        for _ in 0..strikes {
            network.with(0, |node| node.strike_for_good(talks[0])).unwrap();
            network.run(S(5));
            write(&mut network, 1, talks[1], "more ");
            network.run(S(5));
        }
        network.connect_all();
        let folded = |n: &Network| (0..3).all(|p| n.node(p).notes(talks[p]).unwrap().generation == 1);
        assert!(
            network.run_until(S(1_500), folded),
            "{strikes} strikes: {:?}",
            (0..3).map(|p| network.node(p).notes(talks[p]).unwrap().generation).collect::<Vec<_>>()
        );
    }
}
