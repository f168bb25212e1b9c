//! Steps that many scenarios share: a card, a full room, notes that agree.

use crate::network::{Network, START};
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::id::{CardId, TalkId};
use alcove::proto::io::{Event, HandoffEnd};
use alcove::proto::node::view::{RoomView, State, TalkView};
use alcove::proto::notes::Edit;
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

/// The host writes and posts a card.
pub fn post(network: &mut Network, host: usize, terms: Terms) -> (TalkId, CardId) {
    let talk = network.with(host, |node| node.draft_card(terms)).expect("the terms are within their bounds");
    let card = network.with(host, |node| node.post_card(talk)).expect("it is a draft");
    (talk, card)
}

/// A guest takes a seat once the card has come.
pub fn take_seat(network: &mut Network, guest: usize, card: CardId) -> TalkId {
    let came = network.run_until(S(60), |n| n.node(guest).board().iter().any(|view| view.card == card));
    assert!(came, "the card does not reach phone {guest}");
    network.with(guest, |node| node.take_seat(card)).expect("the card is on the board")
}

/// Whether the phone runs and the talk's room is open on it.
pub fn is_open(network: &Network, phone: usize, talk: TalkId) -> bool {
    view(network, phone, talk).is_some_and(|view| matches!(view.state, State::Open | State::Closing))
}

/// The talk as a phone shows it; `None` if it has none or does not run.
pub fn view(network: &Network, phone: usize, talk: TalkId) -> Option<TalkView> {
    network.phones[phone].node.as_ref().and_then(|node| node.talk(talk))
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

/// How a phone's handoff by scanning ended, if it has; what else the phone told is used up.
pub fn handoff_end(network: &mut Network, phone: usize) -> Option<HandoffEnd> {
    let ended = |event| if let Event::HandoffEnded(end) = event { Some(end) } else { None };
    events(network, phone).into_iter().find_map(ended)
}
