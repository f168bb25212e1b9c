//! What scenarios begin with: a card, the seats around it, an open room.

use crate::network::{Network, START};
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::id::{CardId, TalkId};
use alcove::proto::io::Event;
use alcove::proto::node::view::{RoomView, State, TalkView};
use alcove::proto::notes::Edit;
use alcove::proto::time::Duration;

/// A card for a talk of at least and at most so many, which ends ten hours after the scenario's start.
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

/// The host writes and posts a card.
pub fn post(network: &mut Network, host: usize, terms: Terms) -> (TalkId, CardId) {
    let talk = network.with(host, |node| node.draft_card(terms)).expect("the terms are within their bounds");
    let card = network.with(host, |node| node.post_card(talk)).expect("it is a draft");
    (talk, card)
}

/// A guest takes a seat once the card has come.
pub fn take_seat(network: &mut Network, guest: usize, card: CardId) -> TalkId {
    let came = network.run_until(Duration::from_secs(60), |n| n.node(guest).board().iter().any(|view| view.card == card));
    assert!(came, "the card does not reach phone {guest}");
    network.with(guest, |node| node.take_seat(card)).expect("the card is on the board")
}

/// Phone `host` posts a card, all others of `0..count` take a seat; gives everybody's name for the talk, by phone, once all rooms are
/// open.
pub fn open_room(network: &mut Network, host: usize, count: usize, seats_max: u8) -> Vec<TalkId> {
    let (talk, card) = post(network, host, terms(count as u8, seats_max));
    let mut talks = vec![talk; count];
    for guest in (0..count).filter(|guest| *guest != host) {
        talks[guest] = take_seat(network, guest, card);
    }
    let open = network.run_until(Duration::from_secs(700), |n| (0..count).all(|phone| is_open(n, phone, talks[phone])));
    if !open {
        let views: Vec<_> =
            (0..count).map(|phone| network.phones[phone].node.as_ref().and_then(|node| node.talk(talks[phone]))).collect();
        panic!("the room does not open for all: {views:#?}");
    }
    talks
}

/// Whether the phone runs and the talk's room is open on it.
pub fn is_open(network: &Network, phone: usize, talk: TalkId) -> bool {
    view(network, phone, talk).is_some_and(|view| matches!(view.state, State::Open | State::Closing))
}

/// The talk as a phone shows it; `None` if it has none or does not run.
pub fn view(network: &Network, phone: usize, talk: TalkId) -> Option<TalkView> {
    network.phones[phone].node.as_ref().and_then(|node| node.talk(talk))
}

/// The open room as a phone shows it.
///
/// # Panics
/// If it is not open there.
pub fn room(network: &Network, phone: usize, talk: TalkId) -> RoomView {
    view(network, phone, talk).and_then(|view| view.room).unwrap_or_else(|| panic!("the room is not open on phone {phone}"))
}

/// Everything that was said, as a phone shows it.
pub fn said(network: &Network, phone: usize, talk: TalkId) -> Vec<String> {
    room(network, phone, talk).messages.into_iter().map(|message| message.text).collect()
}

/// The text of the notes, as a phone shows it.
pub fn text(network: &Network, phone: usize, talk: TalkId) -> String {
    network.node(phone).notes(talk).map(|notes| notes.notes.text).unwrap_or_default()
}

/// A phone writes at the beginning of the notes, and the change is cut.
pub fn write(network: &mut Network, phone: usize, talk: TalkId, insert: &str) {
    let edit = Edit::Splice { at: 0, delete: 0, insert: insert.to_owned() };
    network.with(phone, |node| node.edit(talk, &[edit]).and_then(|()| node.flush(talk))).expect("the room can be written in");
}

/// What a phone told since it was last asked.
pub fn events(network: &mut Network, phone: usize) -> Vec<Event> {
    std::mem::take(&mut network.phones[phone].events)
}

/// Seconds.
pub const S: fn(u64) -> Duration = Duration::from_secs;

/// Phone 0 posts a card that opens with `seats_min`, and everybody sits down; gives everybody's name for the talk, by phone.
pub fn open_room_from(network: &mut Network, count: usize, seats_min: u8) -> Vec<TalkId> {
    let (talk, card) = post(network, 0, terms(seats_min, 50));
    let mut talks = vec![talk];
    for guest in 1..count {
        talks.push(take_seat(network, guest, card));
    }
    let open = network.run_until(S(120), |n| (0..count).all(|phone| is_open(n, phone, talks[phone])));
    assert!(open, "every room opens");
    talks
}

/// Whether everybody's notes read so.
pub fn texts_equal(network: &Network, talks: &[TalkId], expected: &str) -> bool {
    talks.iter().enumerate().all(|(phone, talk)| text(network, phone, *talk) == expected)
}

/// The seat number of a phone in the talk.
pub fn number(network: &Network, phone: usize, talk: TalkId) -> u8 {
    room(network, phone, talk).seats.iter().find(|seat| seat.is_me).map(|seat| seat.number).expect("we sit in our own room")
}
