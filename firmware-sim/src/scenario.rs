//! Steps that many scenarios share: a card, a full room, notes that agree.

use crate::network::{Network, START};
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::id::TalkId;
use alcove::proto::node::view::{RoomView, State};
use alcove::proto::time::Duration;

/// Seconds.
pub const S: fn(u64) -> Duration = Duration::from_secs;

/// What the card says.
pub fn terms(seats_min: u8, seats_max: u8) -> Terms {
    Terms {
        topic: "What did you stop doing?".into(),
        tags: vec!["rust".into(), "teams".into()],
        pattern: Pattern::KnowHow,
        seats_min,
        seats_max,
        expires_hours: START.hours() + 10,
    }
}

/// Phone 0 posts a card, the others take a seat; gives everybody's name for the talk once all rooms are open.
pub fn open_room(network: &mut Network, count: usize, seats_min: u8) -> Vec<TalkId> {
    let host = network.with(0, |node| node.draft_card(terms(seats_min, 50))).unwrap();
    let card = network.with(0, |node| node.post_card(host)).unwrap();
    assert!(network.run_until(S(30), |n| (1..count).all(|phone| !n.node(phone).board().is_empty())), "the card reaches everybody");
    let mut talks = vec![host];
    for phone in 1..count {
        talks.push(network.with(phone, |node| node.take_seat(card)).unwrap());
    }
    let all = talks.clone();
    let open = network
        .run_until(S(120), |n| (0..count).all(|phone| n.node(phone).talk(all[phone]).is_some_and(|t| t.state == State::Open)));
    for phone in 0..count {
        if !open {
            eprintln!("{phone}: {:?} {:?}", network.node(phone).talk(talks[phone]), network.phones[phone].events);
        }
    }
    assert!(open, "every room opens");
    talks
}

/// Whether everybody's notes read so.
pub fn texts_equal(network: &Network, talks: &[TalkId], text: &str) -> bool {
    talks.iter().enumerate().all(|(phone, talk)| network.node(phone).notes(*talk).is_some_and(|notes| notes.notes.text == text))
}

/// What a phone shows of a room.
pub fn room(network: &Network, phone: usize, talk: TalkId) -> RoomView {
    network.node(phone).talk(talk).and_then(|talk| talk.room).expect("the room is open")
}

/// The seat number of a phone in the talk.
pub fn number(network: &Network, phone: usize, talk: TalkId) -> u8 {
    room(network, phone, talk).seats.iter().find(|seat| seat.is_me).map(|seat| seat.number).expect("we sit in our own room")
}
