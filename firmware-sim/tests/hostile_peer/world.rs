//! Two honest people with an open room, and what must still hold of them.

use alcove::proto::id::TalkId;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use firmware_sim::intruder::Insider;
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::{S, open_room, said, text, view, write};

/// Two neighbours with an open room.
pub fn two(seed: u64) -> (Network, Vec<TalkId>) {
    room(seed, 2)
}

/// Neighbours with an open room.
pub fn room(seed: u64, count: usize) -> (Network, Vec<TalkId>) {
    let mut network = Network::new(seed, count);
    network.connect_all();
    let talks = open_room(&mut network, count, count as u8);
    network.run(S(5));
    (network, talks)
}

/// Three in a room, the third of whom is hostile: its phone is off, and its seat speaks from elsewhere.
pub fn betrayed(seed: u64) -> (Network, Vec<TalkId>, Insider) {
    let (mut network, talks) = room(seed, 3);
    network.crash(2, None);
    let insider = Insider::of(&mut network, 2, talks[2]);
    (network, talks, insider)
}

/// Phones 0 and 1 say something and write something, and both have it.
pub fn assert_goes_on(network: &mut Network, talks: &[TalkId], word: &str) {
    let before: Vec<_> = (0..2).map(|phone| text(network, phone, talks[phone]).len()).collect();
    for phone in 0..2 {
        network.with(phone, |node| node.say(talks[phone], &format!("{word} {phone}"))).unwrap();
    }
    write(network, 0, talks[0], word);
    let arrived = network.run_until(S(30), |n| {
        (0..2).all(|phone| {
            let heard = said(n, phone, talks[phone]);
            (0..2).all(|by| heard.contains(&format!("{word} {by}")))
                && text(n, phone, talks[phone]).starts_with(word)
                && text(n, phone, talks[phone]).len() == before[phone] + word.len()
        })
    });
    let seen: Vec<_> = (0..2).map(|phone| (said(network, phone, talks[phone]), text(network, phone, talks[phone]))).collect();
    assert!(arrived, "{word}: {seen:?}");
}

/// Phones 0 and 1 have nothing left of the talk.
pub fn is_gone(network: &Network, talks: &[TalkId]) -> bool {
    (0..2).all(|phone| view(network, phone, talks[phone]).is_none() && !network.phones[phone].disk.holds_talks())
}

/// Phones 0 and 1 agree to close; what is left of them is nothing, within the time.
pub fn close(network: &mut Network, talks: &[TalkId]) {
    for phone in 0..2 {
        network.with(phone, |node| node.close(talks[phone])).unwrap();
    }
}

/// A large parcel that nobody here can open.
pub fn large_noise(rng: &mut Rng, ephemeral: bool) -> Parcel {
    let travel = Travel { expiry_hours: START.hours() + 20, ephemeral, hops: 15 };
    ParcelKeys::new(&Key(rng.bytes())).seal(rng, travel, &[7; 1_000]).unwrap()
}

/// A parcel that nobody here can open.
pub fn noise(rng: &mut Rng, hours: u32, ephemeral: bool) -> Parcel {
    let travel = Travel { expiry_hours: START.hours() + hours, ephemeral, hops: 15 };
    ParcelKeys::new(&Key(rng.bytes())).seal(rng, travel, b"noise").unwrap()
}
