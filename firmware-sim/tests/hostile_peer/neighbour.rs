//! A neighbour of the event without a seat: floods, odd parcels, questions that cost more than they ask, seats that are taken and given
//! back.

use crate::world::{assert_goes_on, close, is_gone, large_noise, noise, two};
use alcove::proto::board::Card;
use alcove::proto::config::{CARRIED_BYTES_MAX, RECONCILE_ANSWER_BYTES_MAX};
use alcove::proto::rng::Rng;
use alcove::proto::talk::door;
use alcove::proto::talk::group::SeatKeys;
use alcove::proto::talk::seats::Hosting;
use alcove::proto::wire::encode;
use alcove::proto::wire::frame::{Control, Frame};
use alcove::proto::wire::message;
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use firmware_sim::intruder::Intruder;
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{S, post, take_seat, terms, view};

#[test]
fn a_flood_of_parcels_fills_its_own_share_and_the_talk_goes_on_and_closes() {
    let (mut network, talks) = two(1);
    let rng = &mut network.rng().fork();
    let mut flooder = Intruder::connect(&mut network, 0);
    for round in 0..6 {
        for _ in 0..250 {
            let parcel = large_noise(rng, round == 5);
            flooder.say(&mut network, &Frame::Parcel(parcel));
        }
        flooder.run(&mut network, S(1));
        assert!(network.node(0).status().carried.1 <= CARRIED_BYTES_MAX);
    }
    assert!(network.node(0).status().carried.1 > CARRIED_BYTES_MAX * 9 / 10, "control: the flood fills what there is");
    assert_goes_on(&mut network, &talks, "in a flood");
    close(&mut network, &talks);
    assert!(network.run_until(S(30), |n| is_gone(n, &talks)));
}

#[test]
fn a_parcel_that_is_over_is_not_taken_and_one_for_ever_is_kept_a_day() {
    let mut network = Network::new(2, 1);
    let rng = &mut network.rng().fork();
    let mut intruder = Intruder::connect(&mut network, 0);
    let over = noise(rng, 0, false);
    let mut forever = noise(rng, 1, false).as_bytes().to_vec();
    forever[2..6].fill(0xff);
    let mut far = forever.clone();
    far[1] = 255;
    assert_eq!(Parcel::decode(far).unwrap().travel().hops, 15, "no parcel can ask for more hops");
    let proper = noise(rng, 2, false);
    intruder.hand(&mut network, &[over]);
    intruder.run(&mut network, S(1));
    assert_eq!(network.node(0).status().carried.0, 0);
    intruder.hand(&mut network, &[Parcel::decode(forever).unwrap(), proper]);
    intruder.run(&mut network, S(1));
    assert_eq!(network.node(0).status().carried.0, 2, "control: what is not over is carried");
    intruder.leave(&mut network);
    network.run(S(3 * 3_600));
    assert_eq!(network.node(0).status().carried.0, 1);
    network.run(S(22 * 3_600));
    assert_eq!(network.node(0).status().carried.0, 0);
}

#[test]
fn who_asks_without_end_what_is_carried_gets_one_answer_a_second() {
    let (mut network, talks) = two(3);
    let rng = &mut network.rng().fork();
    let mut flooder = Intruder::connect(&mut network, 0);
    for _ in 0..2_000 {
        let parcel = noise(rng, 20, false);
        flooder.say(&mut network, &Frame::Parcel(parcel));
    }
    flooder.run(&mut network, S(2));
    flooder.leave(&mut network);

    let mut greedy = Intruder::connect(&mut network, 0);
    greedy.run(&mut network, S(2));
    let before = greedy.traffic;
    for _ in 0..300 {
        greedy.ask_for_all(&mut network);
        greedy.say(&mut network, &Frame::Control(Control::Lacking { round: [0; 4], short_ids: None }));
    }
    greedy.run(&mut network, S(1));
    let (asked, answered) = (greedy.traffic.0 - before.0, greedy.traffic.1 - before.1);
    assert!(answered > asked / 2, "control: there is something to tell");
    // One portion in whole cells, perhaps twice: the questions may straddle a second.
    assert!(answered < 2 * (RECONCILE_ANSWER_BYTES_MAX * 11 / 10), "{answered} bytes for {asked}");
    assert_goes_on(&mut network, &talks, "beside somebody greedy");
}

#[test]
fn cards_under_a_thousand_fresh_keys_leave_the_honest_one_on_the_board() {
    let mut network = Network::new(4, 2);
    network.connect_all();
    let (_, honest) = post(&mut network, 0, terms(2, 2));
    network.run(S(5));
    let rng = &mut network.rng().fork();
    let board = ParcelKeys::new(&network.pack().pack().board_key);
    let mut spammer = Intruder::connect(&mut network, 1);
    for number in 0..1_000_u32 {
        let mut host = Hosting::new(rng, terms(2, 2)).door;
        let stands = number % 2 == 0;
        // Every second one is a withdrawal of a card that never was, of the highest version there is.
        host.version = if stands { 0 } else { u32::MAX - 1 };
        let signed = host.next_card(stands).1;
        let travel = Travel { expiry_hours: START.hours() + 20, ephemeral: false, hops: 7 };
        let parcels = message::seal(rng, &board, travel, &encode(&signed)).unwrap();
        spammer.hand(&mut network, &parcels);
    }
    spammer.run(&mut network, S(5));
    assert!(network.node(1).board().len() >= 400, "control: such cards come in");
    for phone in 0..2 {
        assert!(network.node(phone).board().iter().any(|view| view.card == honest), "phone {phone}");
    }
    let guest = take_seat(&mut network, 1, honest);
    assert!(network.run_until(S(60), |n| view(n, 1, guest).is_some_and(|view| view.room.is_some())));
}

#[test]
fn seats_that_are_taken_and_given_back_without_end_do_not_multiply() {
    let mut network = Network::new(5, 2);
    network.connect_all();
    let (host, card) = post(&mut network, 0, terms(30, 40));
    let honest = take_seat(&mut network, 1, card);
    network.run(S(5));
    let content_door = door_of(&mut network, card);
    let rng = &mut network.rng().fork();
    let mut pest = Intruder::connect(&mut network, 0);
    pest.run(&mut network, S(2));
    let mut keys = SeatKeys::generate(rng);
    let asked = |network: &mut Network, pest: &mut Intruder, request: Vec<u8>, keys: &SeatKeys| {
        let rng = &mut network.rng().fork();
        let signature = keys.sign("seat request", &[&content_door, &request]);
        let signed = [encode(&keys.id()), encode(&request), signature.to_vec()].concat();
        let sealed = door::seal(rng, &content_door, &signed).unwrap();
        let travel = Travel { expiry_hours: START.hours() + 20, ephemeral: false, hops: 0 };
        let parcels = message::seal(rng, &door::parcel_keys(&content_door), travel, &encode(&sealed)).unwrap();
        pest.hand(network, &parcels);
    };
    let offer = |keys: &mut SeatKeys, rng: &mut Rng| {
        let key_package = keys.key_package(rng).unwrap();
        [&[0_u8][..], &[0], &encode(&key_package), &rng.bytes::<32>(), &rng.bytes::<32>(), &rng.bytes::<16>()].concat()
    };
    // Some others wait, and are told whenever the count changes.
    for _ in 0..15 {
        let mut other = SeatKeys::generate(rng);
        let offer = offer(&mut other, rng);
        asked(&mut network, &mut pest, offer, &other);
    }
    pest.run(&mut network, S(5));
    let before = pest.traffic;
    for _ in 0..100 {
        let offer = offer(&mut keys, rng);
        asked(&mut network, &mut pest, offer, &keys);
        pest.run(&mut network, std::time::Duration::from_millis(50));
        asked(&mut network, &mut pest, vec![2], &keys);
        pest.run(&mut network, std::time::Duration::from_millis(50));
    }
    pest.run(&mut network, S(2));
    let (sent, heard) = (pest.traffic.0 - before.0, pest.traffic.1 - before.1);
    assert!(heard > 20_000, "control: the offers are answered ({heard} bytes)");
    assert!(heard <= sent, "{heard} bytes for {sent}");
    assert_eq!(view(&network, 0, host).unwrap().taken, Some(17), "the honest guest and the fifteen are noted");
    assert!(view(&network, 1, honest).is_some());
}

/// The door of a card, as everybody reads it on the board: from the parcels that a new neighbour is given.
fn door_of(network: &mut Network, card: alcove::proto::id::CardId) -> [u8; 32] {
    let board = ParcelKeys::new(&network.pack().pack().board_key);
    let mut reader = Intruder::connect(network, 0);
    reader.ask_for_all(network);
    reader.run(network, S(2));
    let wall = alcove::proto::time::WallTime(START.0);
    let cards = reader.parcels().into_iter().filter_map(|parcel| board.open(&parcel)).filter_map(|content| {
        let signed: Vec<u8> = alcove::proto::wire::decode(content.get(1..)?, "card").ok()?;
        Card::decode_signed(&signed, wall).ok()
    });
    let found = cards.filter(|found| found.id() == card).find_map(|found| found.content).expect("the card is carried");
    reader.leave(network);
    found.door
}
