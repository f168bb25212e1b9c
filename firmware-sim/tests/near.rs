//! Who is near: members of a talk recognise each other by what their radios show, and nobody else ever learns who that was.

use alcove::proto::config::ADVERT_BYTES;
use alcove::proto::id::TalkId;
use alcove::proto::io::{Input, RadioEvent};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::recognition::Recognition;
use alcove::proto::time::Instant;
use alcove::proto::wire::advert::Advert;
use alcove::proto::wire::encode;
use alcove::proto::wire::parcel::Parcel;
use firmware_sim::disk::Image;
use firmware_sim::intruder::Intruder;
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{S, number, open_room};

/// A room of three; a fourth of the event is near. All of them have a radio, except where `radio` is not there yet.
fn gathered(seed: u64) -> (Network, Vec<TalkId>) {
    let mut network = Network::new(seed, 4);
    network.connect_all();
    let talks = open_room(&mut network, 3, 3);
    network.run(S(5));
    (network, talks)
}

fn switch_radios_on(network: &mut Network) {
    (0..4).for_each(|phone| network.leave_lan(phone));
    network.run(S(60));
}

/// What a phone shows now.
fn shown(network: &Network, phone: usize) -> [u8; ADVERT_BYTES] {
    network.adverts.iter().rev().find(|(_, by, _)| *by == phone).expect("it has a radio").2
}

/// Lets a phone hear all the others; gives the seats of the members whom it recognises, in order.
fn recognised(network: &mut Network, phone: usize) -> Vec<u8> {
    for other in (0..4).filter(|other| *other != phone) {
        let heard = RadioEvent::Heard { advert: shown(network, other).to_vec(), rssi_dbm: Some(-50) };
        network.with(phone, |node| node.handle_input(Instant(0), Input::Radio(heard)));
    }
    let near = network.node(phone).nearby().expect("it has a radio");
    assert!(near.len() >= 3, "all are heard");
    let mut seats: Vec<_> = near.into_iter().filter_map(|near| near.member).map(|member| member.seat).collect();
    seats.sort_unstable();
    seats
}

#[test]
fn members_recognise_each_other_by_radio_and_a_stranger_recognises_nobody() {
    let (mut network, talks) = gathered(41);
    switch_radios_on(&mut network);
    let seats: Vec<_> = (0..3).map(|phone| number(&network, phone, talks[phone])).collect();
    for phone in 0..3 {
        let mut others: Vec<_> = seats.iter().copied().filter(|seat| *seat != seats[phone]).collect();
        others.sort_unstable();
        assert_eq!(recognised(&mut network, phone), others);
    }
    assert!(recognised(&mut network, 3).is_empty(), "of the same event, and in no talk");
}

#[test]
fn members_still_recognise_each_other_after_hours_of_rotations_and_a_restart() {
    let (mut network, talks) = gathered(42);
    switch_radios_on(&mut network);
    network.run(S(3 * 3600));
    network.restart(1);
    network.leave_lan(1);
    network.run(S(20 * 60));
    assert!(network.adverts.iter().filter(|(_, phone, _)| *phone == 0).count() >= 12, "control: ids rotate");
    for phone in 0..3 {
        let others = (0..3).filter(|other| *other != phone).map(|other| number(&network, other, talks[other]));
        let mut others: Vec<_> = others.collect();
        others.sort_unstable();
        assert_eq!(recognised(&mut network, phone), others, "phone {phone}");
    }
}

/// A phone starts from a copy of its disk with its keystore of that time, alone with somebody who plays back all that was on the air.
fn seized(network: &mut Network, image: &Image, recorded: &[Parcel]) -> Vec<u8> {
    network.partition(|phone| phone);
    network.phones[1].disk = image.revived();
    network.restart(1);
    network.leave_lan(1);
    let mut player = Intruder::connect(network, 1);
    player.hand(network, recorded);
    player.run(network, S(5));
    recognised(network, 1)
}

#[test]
fn a_seized_phone_and_a_record_of_the_air_recognise_nobody_who_was_there() {
    let (mut network, talks) = gathered(43);
    (0..4).for_each(|phone| network.overhear(phone));
    let before = network.phones[1].disk.image();
    switch_radios_on(&mut network);
    let mut others = [number(&network, 0, talks[0]), number(&network, 2, talks[2])];
    others.sort_unstable();
    assert_eq!(recognised(&mut network, 1), others, "control: before it is seized it does");
    let after = network.phones[1].disk.image();
    let recorded: Vec<_> = network.onlooker.heard.values().cloned().collect();
    assert_eq!(
        seized(&mut network, &before, &recorded),
        others,
        "control: a copy from before it heard the keys opens what told them"
    );
    assert!(seized(&mut network, &after, &recorded).is_empty());
}

/// How many of all runs of 32 bytes in these records are a key whose hint one of the adverts shows.
fn keys_found(records: &[Vec<u8>], adverts: &[Advert]) -> usize {
    let windows = records.iter().flat_map(|record| record.windows(32));
    let shows = |window: &[u8]| {
        let mut key = Key(window.try_into().expect("32 bytes"));
        (0..5).any(|_| {
            let is_shown = adverts.iter().any(|advert| key.mac(&[b"alcove/1 hint", &advert.id.0])[..3] == advert.hint);
            key = key.derive("alcove/1 presence step", &[]);
            is_shown
        })
    };
    windows.filter(|window| shows(window)).count()
}

#[test]
fn no_record_of_a_phone_holds_a_key_of_what_it_showed() {
    let (mut network, _) = gathered(44);
    switch_radios_on(&mut network);
    network.run(S(600));
    let adverts: Vec<_> = network.adverts.iter().filter(|(_, phone, _)| *phone < 3).map(|(_, _, advert)| advert).collect();
    let adverts: Vec<_> = adverts.into_iter().filter_map(|advert| Advert::from_bytes(advert)).collect();
    let mut records: Vec<_> = (0..3).flat_map(|phone| network.phones[phone].disk.records()).map(|record| record.value).collect();
    let bytes: usize = records.iter().map(Vec::len).sum();
    assert!(adverts.len() >= 3 && bytes > 10_000, "there is something to search, {bytes} bytes");
    assert_eq!(keys_found(&records, &adverts), 0);

    let (rng, mut shower) = (&mut Rng::new([1; 32]), Recognition::default());
    shower.show(rng, Instant(0), START, (1, 1));
    let told = shower.take_due(Instant(0) + S(10), true).expect("it tells its key");
    let planted = Advert { hint: shower.hint(adverts[0].id).expect("it has a key"), ..adverts[0] };
    records.push([&[7; 5][..], &encode(&told)].concat());
    assert_eq!(keys_found(&records, &[planted]), 1, "control: a key that lies there is found");
}
