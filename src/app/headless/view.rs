//! The node's views as JSON: the same fields, ids as hex, states as words.
//!
//! It decides nothing; the names are a stable interface and stand in `docs/NODE.md`.

use super::notice;
use crate::model::event::SignedPack;
use crate::proto::board::Pattern;
use crate::proto::id::{SeatId, TalkId};
use crate::proto::node::Node;
use crate::proto::node::reports::Report;
use crate::proto::node::view::{CardView, ReceiptView, RoomView, SeatView, State, TalkView};
use crate::proto::presence::{Band, Member, Near};
use crate::proto::talk::attendance::Contact;
use crate::proto::talk::close::Ending;
use crate::proto::talk::roster::Standing;
use crate::proto::wire::advert::Shower;
use crate::shell::driver::Situation;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The patterns of a talk and their words.
pub const PATTERNS: [(&str, Pattern); 4] =
    [("know-how", Pattern::KnowHow), ("need", Pattern::Need), ("mentoring", Pattern::Mentoring), ("open", Pattern::Open)];

/// How strongly somebody is heard, and the words for it.
const BANDS: [(&str, Band); 4] = [("close", Band::Close), ("around", Band::Around), ("far", Band::Far), ("unknown", Band::Unknown)];

/// The joined event; null without one.
pub fn joined(pack: Option<&[u8]>) -> Value {
    let Some(Ok(signed)) = pack.map(SignedPack::decode) else { return Value::Null };
    let pack = signed.pack();
    let relays: Vec<_> = pack.relays.iter().map(|relay| relay.url.as_str()).collect();
    json!({
        "event_id": signed.event().to_string(),
        "name": pack.name,
        "place": pack.place,
        "opens_at_ms": pack.opens_at.0,
        "ends_at_ms": pack.ends_at.0,
        "relays": relays,
    })
}

/// How node and shell stand.
pub fn status(node: &Node, situation: &Situation) -> Value {
    let status = node.status();
    let (parcels, bytes) = status.carried;
    json!({
        "joined": joined(node.pack()),
        "wall_ms": node.wall().0,
        "neighbours": status.neighbours,
        "links": situation.links,
        "lan": situation.lan,
        "bluetooth": notice::bluetooth(situation.bluetooth),
        "listening": notice::addresses(&situation.listening),
        "relay": notice::relay(situation.relay),
        "relay_caught_up": status.is_relay_up && status.is_caught_up,
        "relay_waiting": status.relay_waiting,
        "relay_kept": status.relay_kept,
        "carried_parcels": parcels,
        "carried_bytes": bytes,
        "faults": status.faults,
        "not_saved": situation.not_saved.as_ref().map(notice::sentence),
    })
}

/// Who is near by radio: how many, how strongly they are heard, and who only of the members of our own talks.
pub fn nearby(node: &Node, situation: &Situation) -> Value {
    let near = node.nearby();
    let all = near.iter().flatten();
    let count = |wanted: Band| all.clone().filter(|near| near.shower == Shower::Attendee && near.band == wanted).count();
    let shown_by = |wanted: Shower| all.clone().filter(|near| near.shower == wanted).count();
    json!({
        "bluetooth": notice::bluetooth(situation.bluetooth),
        "is_listening": near.is_some(),
        "attendees": BANDS.map(|(word, band)| (word, count(band))).into_iter().collect::<BTreeMap<_, _>>(),
        "tables": shown_by(Shower::Table),
        "tables_named": near.iter().flatten().filter_map(table).collect::<Vec<_>>(),
        "kiosks": shown_by(Shower::Kiosk),
        "linked": all.clone().filter(|near| near.is_linked).count(),
        "members": all.clone().filter_map(|near| member(node, near)).collect::<Vec<_>>(),
    })
}

fn member(node: &Node, near: &Near) -> Option<Value> {
    let Member { talk, seat } = near.member?;
    let room = node.talk(talk)?.room?;
    let persona = &room.seats.iter().find(|other| other.number == seat)?.persona;
    Some(json!({ "talk": talk.to_string(), "seat": seat, "persona": persona, "band": band(near.band)? }))
}

fn table(near: &Near) -> Option<Value> {
    Some(json!({ "number": near.table?, "band": band(near.band)? }))
}

fn band(of: Band) -> Option<&'static str> {
    BANDS.iter().find(|(_, band)| *band == of).map(|(word, _)| *word)
}

/// A card on the board.
pub fn card(card: &CardView) -> Value {
    json!({
        "card": card.card.to_string(),
        "topic": card.terms.topic,
        "tags": card.terms.tags,
        "pattern": pattern(card.terms.pattern),
        "seats_min": card.terms.seats_min,
        "seats_max": card.terms.seats_max,
        "expires_hours": card.terms.expires_hours,
        "persona": card.persona,
        "shared_tags": card.shared_tags,
        "talk": card.talk.map(|talk| talk.to_string()),
    })
}

/// A talk, with its room if that is open.
pub fn talk(talk: &TalkView) -> Value {
    let state = match talk.state {
        State::Drafted => "drafted",
        State::Gathering => "gathering",
        State::Waiting => "waiting",
        State::Knocking => "knocking",
        State::Returning => "returning",
        State::Open => "open",
        State::Closing => "closing",
    };
    json!({
        "talk": talk.talk.to_string(),
        "state": state,
        "topic": talk.topic,
        "pattern": pattern(talk.pattern),
        "persona": talk.persona,
        "seats_min": talk.seats_min,
        "seats_max": talk.seats_max,
        "taken": talk.taken,
        "room": talk.room.as_ref().map(room),
    })
}

fn room(room: &RoomView) -> Value {
    let contact = match room.contact {
        Contact::Fresh => "fresh",
        Contact::Checking { .. } => "checking",
        Contact::Unchecked => "unchecked",
    };
    let message = |message: &crate::proto::node::view::MessageView| json!({ "seat": message.seat, "persona": message.persona, "text": message.text });
    json!({
        "seats": room.seats.iter().map(seat).collect::<Vec<_>>(),
        "messages": room.messages.iter().map(message).collect::<Vec<_>>(),
        "agreed": room.agreed.0,
        "agreed_of": room.agreed.1,
        "voted": room.is_voted,
        "read_only": room.is_read_only,
        "resting": room.is_resting,
        "contact": contact,
        "locked": room.is_locked,
        "epoch": room.epoch,
        "term": room.term,
        "newcomers": room.newcomers.iter().map(|link| link.0).collect::<Vec<_>>(),
        "fingerprint": room.fingerprint,
    })
}

fn seat(seat: &SeatView) -> Value {
    let (standing, replaced_by) = match seat.standing {
        Standing::Sits => ("sits", None),
        Standing::Left => ("left", None),
        Standing::Removed => ("removed", None),
        Standing::Replaced(by) => ("replaced", Some(by)),
    };
    json!({
        "seat": seat.number,
        "persona": seat.persona,
        "me": seat.is_me,
        "standing": standing,
        "replaced_by": replaced_by,
        "at_table": seat.at_table,
        "agreed": seat.agreed,
        "hidden": seat.is_hidden,
        "heard_seconds_ago": seat.heard_seconds_ago,
    })
}

/// The notes of an open room, with owners as seat numbers.
pub fn notes(node: &Node, talk: TalkId) -> Option<Value> {
    let view = node.notes(talk)?;
    let seats = node.talk(talk).and_then(|talk| talk.room).map(|room| room.seats).unwrap_or_default();
    let number = |id: SeatId| seats.iter().find(|seat| seat.id == id).map(|seat| seat.number);
    let marks = view.notes.marks.iter();
    let marks = marks.map(|mark| json!({ "start": mark.start, "end": mark.end, "name": mark.name, "value": mark.value }));
    let agenda = view.notes.agenda.iter();
    let agenda =
        agenda.map(|item| json!({ "id": item.id.to_string(), "text": item.text, "minutes": item.minutes, "done": item.done }));
    let actions = view.notes.actions.iter();
    let actions = actions.map(
        |item| json!({ "id": item.id.to_string(), "text": item.text, "owner": item.owner.and_then(number), "done": item.done }),
    );
    let previews = view.previews.iter();
    let previews =
        previews.map(|(persona, at, delete, insert)| json!({ "persona": persona, "at": at, "delete": delete, "insert": insert }));
    Some(json!({
        "text": view.notes.text,
        "marks": marks.collect::<Vec<_>>(),
        "agenda": agenda.collect::<Vec<_>>(),
        "actions": actions.collect::<Vec<_>>(),
        "generation": view.generation,
        "changes": view.changes,
        "waiting": view.waiting,
        "previews": previews.collect::<Vec<_>>(),
    }))
}

/// What an attendee reported.
pub fn report(report: &Report) -> Value {
    json!({ "came_hours": report.came_hours, "text": report.text })
}

/// What remains of a talk.
pub fn receipt(receipt: &ReceiptView) -> Value {
    let ending = match receipt.ending {
        Ending::Closed => "closed",
        Ending::Left => "left",
        Ending::Expired => "expired",
        Ending::Removed => "removed",
    };
    json!({
        "talk": receipt.talk.to_string(),
        "ending": ending,
        "ended_hours": receipt.ended_hours,
        "seats": receipt.seats,
        "confirmed": receipt.confirmed.0,
        "confirmed_of": receipt.confirmed.1,
    })
}

fn pattern(pattern: Pattern) -> &'static str {
    PATTERNS.iter().find(|(_, of)| *of == pattern).map_or("open", |(word, _)| word)
}
