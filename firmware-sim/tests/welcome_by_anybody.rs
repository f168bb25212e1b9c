//! Who is away while a term is founded follows nobody but the chair of a term that is proven to it, whoever welcomes it first.

use alcove::proto::id::{CardId, SeatId};
use alcove::proto::rng::Rng;
use alcove::proto::secret::{Key, hash};
use alcove::proto::talk::entry::{Head, Sig};
use alcove::proto::talk::group::{Group, Member, SeatKeys, verify};
use alcove::proto::talk::roster::Roster;
use alcove::proto::wire::message::Assembler;
use alcove::proto::wire::parcel::Parcel;
use alcove::proto::wire::{decode, encode};
use firmware_sim::intruder::{Insider, Intruder};
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{S, number, open_room, room, terms};

type Place = (u32, u64);
type Ballot = (u32, Place, u8);
type Grant = (Ballot, u8, Place, Vec<u8>, Sig);
/// A goodbye as a reason: its variant, the seat, and what it signed.
type Goodbye = (u8, u8, Sig);
type Founded = (Ballot, Vec<Grant>, Vec<Goodbye>, Vec<u8>, Sig);
type Consent = (u8, Place, [u8; 32], Sig);
type Mandate = (Ballot, Vec<Consent>, [u8; 32], Sig);

const LATE: [u8; 2] = [7, 3];
const FOUNDED: [u8; 2] = [7, 2];

#[test]
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
    let late: Grant = decode(&said(&insider, &end.parcels(), LATE), "late").expect("control: it asks to follow");
    let founded: Founded = decode(&said(&insider, &recorded, FOUNDED), "founded").expect("control: the founding was heard");
    let (true_one, chair) = (mandate(&insider, &founded), founded.0.2);
    // Terms with a chair that nobody chose, and the term that was founded, with another in the place of its chair.
    let own = insider.number;
    let alone = own_mandate(&insider, (3, (2, 1), own));
    let other = SeatKeys::generate(&mut Rng::new([4; 32]));
    let not_the_chair = Member { seat: other.id(), key: other.verifying_key() };
    let same_name = Member { seat: insider.members[usize::from(chair)].seat, ..not_the_chair };
    let lies = [
        (u32::MAX, own, Vec::new(), None),
        (3, own, vec![true_one.clone()], None),
        (3, own, vec![true_one.clone(), alone.clone()], None),
        (3, own, vec![alone], None),
        (2, chair, vec![true_one.clone()], None),
        (2, chair, vec![true_one.clone()], Some(not_the_chair)),
        (2, chair, vec![true_one], Some(same_name)),
    ];
    for (number, (term, chair, mandates, instead)) in lies.into_iter().enumerate() {
        let rng = &mut Rng::new([number as u8; 32]);
        let keys = if instead.is_some() { &other } else { &insider.keys };
        let (mut group, _) = Group::found(rng, keys, [9; 16], &[], &Key([1; 32]), b"nobody's").unwrap();
        let welcome = group.admit_and_remove(rng, std::slice::from_ref(&late.3), None).unwrap().welcome.unwrap();
        let mut roster = Roster::default();
        for member in &insider.members {
            let is_chair = member.seat == insider.members[usize::from(chair)].seat;
            let member = instead.filter(|_| is_chair).unwrap_or(*member);
            assert!(roster.admit(member.seat, member.key).is_some());
        }
        let none: Vec<Vec<u8>> = Vec::new();
        let state = (
            (terms(3, 50), CardId([0; 16]), insider.founding.clone(), term, chair, roster),
            (vec![Head::default(); insider.members.len()], START, 0_u32, Vec::<u8>::new(), none.clone(), mandates, none),
        );
        let step = [&[4][..], &encode(&(late.1, welcome, encode(&state)))].concat();
        let parcels = insider.message(7, &step);
        end.hand(&mut network, &parcels);
        end.run(&mut network, S(5));
        assert_eq!(room(&network, away, talks[away]).term, 1, "it follows lie {number}");
    }
    network.connect_all();
    let follows = network.run_until(S(1_500), |n| room(n, away, talks[away]).fingerprint == room(n, 2, talks[2]).fingerprint);
    assert!(follows, "it is in term {}", room(&network, away, talks[away]).term);
}

#[test]
fn a_seat_that_was_away_for_two_terms_follows_to_the_third() {
    let mut network = Network::new(34, 7);
    network.connect_all();
    let talks = open_room(&mut network, 7, 7);
    network.run(S(10));
    let (old_chair, away) = (0, 6);
    let are_in = |term: u32, phones: &[usize], network: &Network| phones.iter().all(|p| room(network, *p, talks[*p]).term == term);
    // One leaves while the chair and another are away, and the rest found the second term. The lowest number chairs it.
    network.partition(|phone| if phone == old_chair { 1 } else { usize::from(phone == away) * 2 });
    network.with(5, |node| node.leave(talks[5])).unwrap();
    assert!(network.run_until(S(1_500), |n| are_in(2, &[1, 2, 3, 4], n)), "the rest goes on");
    let mut rest = [1, 2, 3, 4];
    rest.sort_by_key(|phone| number(&network, *phone, talks[*phone]));
    let [chair, one, other, last] = rest;
    // The old chair follows; then the new one is gone, another leaves, and the third term is founded with the old chair's consent.
    network.connect_all();
    network.partition(|phone| usize::from(phone == away));
    assert!(network.run_until(S(1_500), |n| are_in(2, &[old_chair, one, other, last], n)), "the old chair follows");
    network.run(S(30));
    network.crash(chair, None);
    network.with(last, |node| node.leave(talks[last])).unwrap();
    let founded = network.run_until(S(1_500), |n| are_in(3, &[old_chair, one, other], n));
    assert!(founded, "who is left goes on");
    // One of them leaves, too, before the one that was away comes back.
    network.with(other, |node| node.leave(talks[other])).unwrap();
    network.run(S(30));
    network.connect_all();
    let same = |n: &Network| room(n, away, talks[away]).fingerprint == room(n, one, talks[one]).fingerprint;
    assert!(network.run_until(S(1_500), same), "it is in term {}", room(&network, away, talks[away]).term);
}

/// What follows in the last message among these parcels that begins so.
fn said(insider: &Insider, parcels: &[Parcel], variant: [u8; 2]) -> Vec<u8> {
    let mut parts = Assembler::default();
    let contents = parcels.iter().filter_map(|parcel| insider.parcels.open(parcel));
    let messages = contents.filter_map(|content| parts.take(&content).ok()?);
    let found = messages.filter_map(|message| message.strip_prefix(&variant).map(<[u8]>::to_vec));
    found.last().expect("control: it was said")
}

/// What a member of the founded term can show of it.
fn mandate(insider: &Insider, (ballot, grants, goodbyes, welcome, signature): &Founded) -> Mandate {
    let consent = |(_, seat, stands, package, signature): &Grant| {
        let package = hash("alcove/1 key package", &[package]);
        let parts = statement(insider, *ballot, *stands, package);
        let key = insider.members[usize::from(*seat)].key;
        assert!(verify(&key, "consent to a term", &[&insider.room, &parts], &signature.to_bytes()), "control: it consented");
        (*seat, *stands, package, *signature)
    };
    let consents: Vec<Consent> = grants.iter().map(consent).collect();
    let rest = hash("alcove/1 with a founding", &[&encode(&(goodbyes, welcome))]);
    let said = hash("alcove/1 founding of a term", &[&encode(&(ballot, &consents)), &rest]);
    let key = insider.members[usize::from(ballot.2)].key;
    assert!(verify(&key, "founding of a term", &[&insider.room, &said], &signature.to_bytes()), "control: it was founded");
    (*ballot, consents, rest, *signature)
}

/// As good as one seat alone can make it.
fn own_mandate(insider: &Insider, ballot: Ballot) -> Mandate {
    let package = [7; 32];
    let said = statement(insider, ballot, ballot.1, package);
    let signature: Sig = insider.keys.sign("consent to a term", &[&insider.room, &said]).into();
    let consents: Vec<Consent> =
        (0..4).map(|seat| (if seat == 3 { insider.number } else { seat }, ballot.1, package, signature)).collect();
    let said = hash("alcove/1 founding of a term", &[&encode(&(ballot, &consents)), &[0; 32]]);
    (ballot, consents, [0; 32], insider.keys.sign("founding of a term", &[&insider.room, &said]).into())
}

fn statement(insider: &Insider, ballot: Ballot, stands: Place, package: [u8; 32]) -> Vec<u8> {
    let successor = insider.members[usize::from(ballot.2)];
    let (id, key): (SeatId, [u8; 32]) = (successor.seat, successor.key);
    encode(&(ballot, id, key, stands, package))
}
