//! From the core's states and refusals to the words of the screens: one table, without a default, so that a new state asks for its word.

use crate::proto::board::Pattern;
use crate::proto::io::HandoffFailure;
use crate::proto::node::view::{State, TalkView};
use crate::proto::presence::Band;
use crate::proto::talk::attendance::Contact;
use crate::proto::talk::close::Ending;
use crate::proto::talk::roster::Standing;
use crate::shell::ble::BleState;
use crate::shell::driver::Situation;
use crate::shell::keystore::Level;
use crate::shell::relay::RelayState;
use alcove_ui as ui;

/// Where a talk stands.
pub fn state(talk: &TalkView) -> ui::TalkState {
    if talk.room.as_ref().is_some_and(|room| room.is_locked) {
        return ui::TalkState::Locked;
    }
    match talk.state {
        State::Drafted => ui::TalkState::Drafted,
        State::Gathering => ui::TalkState::Gathering,
        State::Waiting => ui::TalkState::Waiting,
        State::Knocking => ui::TalkState::Knocking,
        State::Returning => ui::TalkState::Returning,
        State::Open => ui::TalkState::Open,
        State::Closing => ui::TalkState::Closing,
    }
}

/// Whether a seat still counts.
pub fn standing(standing: Standing) -> ui::Standing {
    match standing {
        Standing::Sits => ui::Standing::Sits,
        Standing::Left => ui::Standing::Left,
        Standing::Removed => ui::Standing::Removed,
        Standing::Replaced(_) => ui::Standing::Replaced,
    }
}

/// Whether what is shown was checked.
pub fn contact(contact: Contact) -> ui::Contact {
    match contact {
        Contact::Fresh => ui::Contact::Fresh,
        Contact::Checking { .. } => ui::Contact::Checking,
        Contact::Unchecked => ui::Contact::Unchecked,
    }
}

/// How a talk ended.
pub fn ending(ending: Ending) -> ui::Ending {
    match ending {
        Ending::Closed => ui::Ending::Closed,
        Ending::Left => ui::Ending::Left,
        Ending::Expired => ui::Ending::Expired,
        Ending::Removed => ui::Ending::Removed,
    }
}

/// A talk's form.
pub fn pattern(pattern: Pattern) -> ui::Pattern {
    match pattern {
        Pattern::KnowHow => ui::Pattern::KnowHow,
        Pattern::Need => ui::Pattern::Need,
        Pattern::Mentoring => ui::Pattern::Mentoring,
        Pattern::Open => ui::Pattern::Open,
    }
}

/// The form that was chosen.
pub fn chosen(pattern: ui::Pattern) -> Pattern {
    match pattern {
        ui::Pattern::KnowHow => Pattern::KnowHow,
        ui::Pattern::Need => Pattern::Need,
        ui::Pattern::Mentoring => Pattern::Mentoring,
        ui::Pattern::Open => Pattern::Open,
    }
}

/// What the keystore promises.
pub fn keystore(level: Level) -> ui::Keystore {
    match level {
        Level::Forgets => ui::Keystore::Forgets,
        Level::DoesNotForget => ui::Keystore::DoesNotForget,
    }
}

/// How the relay stands.
pub fn online(situation: &Situation, has_relay: bool) -> ui::Online {
    match situation.relay {
        _ if !has_relay => ui::Online::None,
        None | Some(RelayState::Offline) => ui::Online::Off,
        Some(RelayState::Connecting) => ui::Online::Connecting,
        Some(RelayState::Unreachable) => ui::Online::Unreachable,
        Some(RelayState::PinMismatch) => ui::Online::Impostor,
        Some(RelayState::Up) => ui::Online::On,
    }
}

/// How the local network stands.
pub fn lan(situation: &Situation, has_failed: bool) -> ui::Lan {
    match situation.lan {
        None => ui::Lan::None,
        Some(false) => ui::Lan::Off,
        Some(true) if has_failed => ui::Lan::Failed,
        Some(true) => ui::Lan::On,
    }
}

/// How Bluetooth stands.
pub fn bluetooth(situation: &Situation, has_event: bool) -> ui::Bluetooth {
    match situation.bluetooth {
        None => ui::Bluetooth::None,
        Some(_) if !has_event => ui::Bluetooth::NoEvent,
        Some(BleState::Off) => ui::Bluetooth::Off,
        Some(BleState::Starting) => ui::Bluetooth::Starting,
        Some(BleState::On { is_shown: true }) => ui::Bluetooth::On,
        Some(BleState::On { is_shown: false }) => ui::Bluetooth::OnHidden,
        Some(BleState::NoAdapter) => ui::Bluetooth::NoAdapter,
        Some(BleState::PoweredOff) => ui::Bluetooth::PoweredOff,
        Some(BleState::NotAllowed) => ui::Bluetooth::NotAllowed,
    }
}

/// How strongly somebody is heard.
pub fn band(band: Band) -> ui::Band {
    match band {
        Band::Close => ui::Band::Close,
        Band::Around => ui::Band::Around,
        Band::Far => ui::Band::Far,
        Band::Unknown => ui::Band::Unknown,
    }
}

/// How a handoff failed.
pub fn handoff(failure: HandoffFailure) -> ui::Word {
    match failure {
        HandoffFailure::Unreachable => ui::Word::Unreachable,
        HandoffFailure::Stale => ui::Word::Stale,
        HandoffFailure::TurnedAway => ui::Word::TurnedAway,
    }
}

/// What a command was not carried out for, by its code (see `docs/NODE.md`).
pub fn failure(code: &str) -> ui::Word {
    match code {
        "no-event" => ui::Word::NoEvent,
        "pack-invalid" => ui::Word::PackInvalid,
        "event-over" => ui::Word::EventOver,
        "other-event" => ui::Word::OtherEvent,
        "unknown-talk" => ui::Word::UnknownTalk,
        "unknown-card" => ui::Word::UnknownCard,
        "own-card" => ui::Word::OwnCard,
        "seat-taken" => ui::Word::SeatTaken,
        "full" => ui::Word::Full,
        "not-open" => ui::Word::NotOpen,
        "closing" => ui::Word::Closing,
        "read-only" => ui::Word::ReadOnly,
        "no-proposal" => ui::Word::NoProposal,
        "out-of-range" => ui::Word::OutOfRange,
        "too-many" => ui::Word::TooMany,
        "not-a-code" => ui::Word::NotACode,
        "code-expired" => ui::Word::CodeExpired,
        "code-of-other-event" => ui::Word::CodeOfOtherEvent,
        "nobody-waits" => ui::Word::NobodyWaits,
        "unknown-seat" => ui::Word::UnknownSeat,
        "not-chair" => ui::Word::NotChair,
        "not-organizer" => ui::Word::NotOrganizer,
        "no-lan" => ui::Word::NoLan,
        "not-saved" => ui::Word::NotSaved,
        "ended" => ui::Word::Ended,
        "file" => ui::Word::FileUnreadable,
        "no-code" => ui::Word::NoCodeInPicture,
        "not-a-picture" => ui::Word::NotAPicture,
        "web-pack" => ui::Word::WebPack,
        "fetch-failed" => ui::Word::FetchFailed,
        _ => ui::Word::Defect,
    }
}
