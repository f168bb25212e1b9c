//! Two talks of one device have nothing in common: no key, no name, no number by which somebody could tell that it is the same phone.

use alcove::proto::id::TalkId;
use alcove::proto::io::Scope;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, is_open, post, room, take_seat, terms};
use std::collections::BTreeSet;

/// As much as no two random values share.
const WINDOW_BYTES: usize = 12;

/// All that a phone remembers of a talk's keys: the seat's own, and what survives a reboot. Everything that others see of this seat is
/// made from these.
fn keys(network: &mut Network, phone: usize, talk: TalkId) -> Vec<u8> {
    let is_key = |record: &&alcove::proto::io::Record| match record.scope {
        Scope::Talk(of) => of == talk && record.name == b"seat",
        Scope::Durable => record.name == [b"stub/", &talk.0[..]].concat(),
    };
    let records = network.phones[phone].disk.records();
    let found: Vec<_> = records.iter().filter(is_key).collect();
    assert_eq!(found.len(), 2, "the seat and the stub");
    found.into_iter().flat_map(|record| record.value.clone()).collect()
}

fn windows(bytes: &[u8]) -> BTreeSet<&[u8]> {
    // Lengths and counters are zeros and small numbers: only windows that look random tell anything.
    bytes.windows(WINDOW_BYTES).filter(|window| window.iter().collect::<BTreeSet<_>>().len() > WINDOW_BYTES / 2).collect()
}

fn open(network: &mut Network) -> Vec<TalkId> {
    let (host, card) = post(network, 0, terms(3, 3));
    let talks = vec![host, take_seat(network, 1, card), take_seat(network, 2, card)];
    assert!(network.run_until(S(120), |n| (0..3).all(|phone| is_open(n, phone, talks[phone]))));
    talks
}

#[test]
fn two_talks_of_one_phone_have_no_key_no_seat_and_no_persona_in_common() {
    let mut network = Network::new(5, 3);
    network.connect_all();
    let first = open(&mut network);
    let second = open(&mut network);
    for phone in 0..3 {
        let (one, other) = (keys(&mut network, phone, first[phone]), keys(&mut network, phone, second[phone]));
        assert!(windows(&one).is_disjoint(&windows(&other)), "phone {phone}");
        assert!(windows(&one).len() > 200, "control: there is something to compare");
        let again = keys(&mut network, phone, first[phone]);
        assert!(!windows(&one).is_disjoint(&windows(&again)), "control: a key that is used twice is seen");

        let seat = |talk| room(&network, phone, talk).seats.into_iter().find(|seat| seat.is_me).expect("we sit there");
        let (here, there) = (seat(first[phone]), seat(second[phone]));
        assert_ne!(here.id, there.id);
        assert_ne!(here.persona, there.persona, "one in 4,096 seeds draws the same name");
    }
}
