//! What happens, as JSON lines: one object per event, named in its field `event`.
//!
//! It decides nothing; the names are a stable interface and stand in `docs/NODE.md`.

use crate::proto::io::{Event, HandoffEnd, HandoffFailure};
use crate::shell::ble::BleState;
use crate::shell::driver::Notice;
use crate::shell::relay::RelayState;
use serde_json::{Value, json};
use std::fmt::Display;
use std::net::SocketAddr;

/// The line for a notice.
pub fn line(notice: Notice) -> Value {
    match notice {
        Notice::Node(event) => of_node(event),
        Notice::Listening(at) => json!({ "event": "listening", "addresses": addresses(&at) }),
        Notice::Relay(state) => json!({ "event": "relay-state", "relay": relay(state) }),
        Notice::Bluetooth(state) => json!({ "event": "bluetooth-state", "bluetooth": bluetooth(Some(state)) }),
        Notice::LanFailed(why) => error("lan-failed", why),
        Notice::NotSaved(why) => error("not-saved", why),
        Notice::Saved => json!({ "event": "saved" }),
        Notice::Missed => json!({ "event": "missed" }),
    }
}

/// A trouble that no command asked for.
pub fn error(code: &str, message: impl Display) -> Value {
    json!({ "event": "error", "error": code, "message": sentence(message) })
}

/// How the relay stands; null without one.
pub fn relay(state: Option<RelayState>) -> Value {
    let Some(state) = state else { return Value::Null };
    let word = match state {
        RelayState::Offline => "offline",
        RelayState::Connecting => "connecting",
        RelayState::Up => "up",
        RelayState::Unreachable => "unreachable",
        RelayState::PinMismatch => "pin-mismatch",
    };
    json!({ "state": word, "message": sentence(state) })
}

/// How Bluetooth stands; null if it is not to be used.
pub fn bluetooth(state: Option<BleState>) -> Value {
    let (word, message) = match state {
        None => return Value::Null,
        Some(BleState::Off) => ("off", "Bluetooth is switched off here"),
        Some(BleState::Starting) => ("starting", "Bluetooth is being opened"),
        Some(BleState::On { is_shown: true }) => ("on", "others nearby find this device, and it finds them"),
        Some(BleState::On { is_shown: false }) => ("on-hidden", "this device finds others, and they do not find it"),
        Some(BleState::NoAdapter) => ("no-adapter", "there is no Bluetooth adapter: plug one in, and see that its service runs"),
        Some(BleState::PoweredOff) => {
            ("powered-off", "the Bluetooth adapter is switched off: switch it on in the system's settings")
        }
        Some(BleState::NotAllowed) => {
            ("not-allowed", "the system does not let this program use Bluetooth: allow it in its settings")
        }
    };
    json!({ "state": word, "message": sentence(message) })
}

/// Socket addresses as texts.
pub fn addresses(all: &[SocketAddr]) -> Vec<String> {
    all.iter().map(SocketAddr::to_string).collect()
}

/// With a capital at its beginning and a full stop at its end.
pub fn sentence(text: impl Display) -> String {
    let text = text.to_string();
    let mut letters = text.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    let stop = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

fn of_node(event: Event) -> Value {
    match event {
        Event::BoardChanged => json!({ "event": "board-changed" }),
        Event::TalkChanged(talk) => json!({ "event": "talk-changed", "talk": talk.to_string() }),
        Event::TalkOpened(talk) => json!({ "event": "talk-opened", "talk": talk.to_string() }),
        Event::Said(talk) => json!({ "event": "said", "talk": talk.to_string() }),
        Event::NotesChanged(talk) => json!({ "event": "notes-changed", "talk": talk.to_string() }),
        Event::NeighboursChanged => json!({ "event": "neighbours-changed" }),
        Event::NearbyChanged => json!({ "event": "nearby-changed" }),
        Event::RelayChanged => json!({ "event": "relay-changed" }),
        Event::HandoffChanged(talk) => json!({ "event": "handoff-changed", "talk": talk.to_string() }),
        Event::HandoffEnded(end) => of_handoff(end),
        Event::NewcomerWaits { talk, link, words } => {
            json!({ "event": "newcomer-waits", "talk": talk.to_string(), "link": link.0, "words": words })
        }
        Event::TalkErased(talk) => json!({ "event": "talk-erased", "talk": talk.to_string() }),
        Event::CardGone(card) => json!({ "event": "card-gone", "card": card.to_string() }),
        Event::ReportsChanged => json!({ "event": "reports-changed" }),
        Event::PeerFault(what) => json!({ "event": "peer-fault", "message": sentence(what) }),
        Event::RecordCorrupt(record) => json!({ "event": "record-corrupt", "record": record }),
    }
}

fn of_handoff(end: HandoffEnd) -> Value {
    match end {
        HandoffEnd::AtTable(talk) => json!({ "event": "handoff-ended", "end": "at-table", "talk": talk.to_string() }),
        HandoffEnd::WordsShown(words) => json!({ "event": "handoff-ended", "end": "words-shown", "words": words }),
        HandoffEnd::Failed(why) => {
            let reason = match why {
                HandoffFailure::Unreachable => "unreachable",
                HandoffFailure::Stale => "stale",
                HandoffFailure::TurnedAway => "turned-away",
            };
            json!({ "event": "handoff-ended", "end": "failed", "reason": reason, "message": sentence(why) })
        }
    }
}
