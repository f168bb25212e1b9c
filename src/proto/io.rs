//! The core's edge: everything that can come in as an [`Input`], everything that can go out as an [`Output`].
//!
//! Laws: handling an input cannot fail (the world does not wait for our errors); outputs are ordered, and a [`Persist`] is durable
//! before any later [`Output::Transmit`], [`Output::Relay`] or [`Output::Dial`] leaves. All that is to be persisted between two of
//! those is one batch, durable as a whole or not at all: what one input changes is never remembered by half. Timers are never
//! effects: see `Node::poll_timeout`.

use super::config::ADVERT_BYTES;
use super::id::{CardId, DialId, EphemeralId, JobId, LinkId, PutId, TalkId, WriteName};
use super::secret::Key;
use super::time::{Duration, WallTime};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What the world tells the node.
#[derive(Clone, Debug)]
pub enum Input {
    /// What the device's wall clock shows: at the start, then at least every minute and after each wake-up.
    Wall(WallTime),
    /// The addresses at which a neighbour on the LAN can dial this device, best first; empty when the LAN is off.
    Listening(Vec<SocketAddr>),
    /// A link came up. Whoever opened it speaks first (Noise initiator), the other listens (responder).
    LinkUp {
        /// The shell's number for it, fresh.
        link: LinkId,
        /// Where it comes from.
        origin: Origin,
    },
    /// A link is gone, whoever ended it. Nothing more arrives on it.
    LinkDown {
        /// Which.
        link: LinkId,
    },
    /// Bytes arrived on a link, cut anywhere.
    Received {
        /// On which link.
        link: LinkId,
        /// At most what one read of the shell gives.
        bytes: Vec<u8>,
    },
    /// No link could be opened for [`Output::Dial`].
    DialFailed {
        /// Which.
        dial: DialId,
    },
    /// The relay said something.
    Relay(RelayEvent),
    /// The radio said something.
    Radio(RadioEvent),
    /// A job's answer. `None`: the job broke its limits (time, memory) or its worker died.
    Computed {
        /// Which.
        id: JobId,
        /// Its result.
        answer: Option<Answer>,
    },
    /// The clock reached `poll_timeout`.
    Timeout,
}

/// How a link came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// We opened it to a neighbour that discovery found.
    Found,
    /// We opened it because the node asked for it.
    Dialed(DialId),
    /// The other side opened it.
    Accepted,
    /// By radio: we opened it to whoever shows this id, or (`None`) the other side did.
    Near(Option<EphemeralId>),
}

/// What the node wants done, in this order.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Make it durable before anything later in this list leaves the device, in one batch with its neighbours in the list (events
    /// and jobs between them do not count).
    Persist(Persist),
    /// Send these bytes on a link: whole cells.
    Transmit {
        /// On which link.
        link: LinkId,
        /// A multiple of the cell's size.
        bytes: Vec<u8>,
    },
    /// Close a link; `LinkDown` answers.
    Disconnect {
        /// Which.
        link: LinkId,
    },
    /// Open a link to the first of these addresses that answers.
    Dial {
        /// Comes back in [`Origin::Dialed`] or [`Input::DialFailed`].
        dial: DialId,
        /// In order of preference.
        addresses: Vec<SocketAddr>,
    },
    /// Something for the relay.
    Relay(RelayCommand),
    /// Something for the radio.
    Radio(RadioCommand),
    /// Heavy or hostile work to run beside the node.
    Compute {
        /// Comes back in [`Input::Computed`].
        id: JobId,
        /// The work: a pure function of this value.
        job: Job,
    },
    /// Something changed that a person may want to see. Events say *that*, queries say *what is*.
    Event(Event),
}

/// Under which key a record lies.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Scope {
    /// Survives a lost forgetting key: event, own cards, markers, receipts, re-join stubs.
    Durable,
    /// Dies with the talk: under its own data key, wrapped by the forgetting keystore.
    Talk(TalkId),
}

/// A change of what the device remembers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Persist {
    /// Write or replace a record.
    Put {
        /// Its key's life.
        scope: Scope,
        /// Unique within the scope; at most `config::RECORD_NAME_BYTES_MAX` bytes.
        name: Vec<u8>,
        /// At most `config::RECORD_BYTES_MAX` bytes.
        value: Vec<u8>,
    },
    /// Remove a record, if it is there.
    Delete {
        /// Its key's life.
        scope: Scope,
        /// Its name.
        name: Vec<u8>,
    },
    /// Destroy the talk's data key, so that no earlier copy of the store can ever be read again; its records go too.
    Forget {
        /// Which talk.
        talk: TalkId,
    },
}

/// A record as the vault gives it back at the start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its key's life.
    pub scope: Scope,
    /// Its name.
    pub name: Vec<u8>,
    /// What was put.
    pub value: Vec<u8>,
}

/// The secret that opens a mailbox at the relay; its [`WriteName`] is a hash of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReadKey(pub Key);

impl ReadKey {
    /// The address that others write to.
    pub fn write_name(&self) -> WriteName {
        WriteName(super::secret::hash16("alcove/1 mailbox", &[&self.0.0]))
    }
}

/// What the node asks of the relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RelayCommand {
    /// Send me what is in this mailbox after `after` (0: from the beginning), then `CaughtUp`, then what arrives from now on.
    Subscribe {
        /// Opens it.
        read_key: ReadKey,
        /// The last cursor seen.
        after: u64,
    },
    /// No more of it.
    Unsubscribe {
        /// Opens it.
        read_key: ReadKey,
    },
    /// Keep this blob.
    Put {
        /// Comes back in `Stored` or `Refused`.
        id: PutId,
        /// In which mailbox.
        to: WriteName,
        /// Exactly `config::RELAY_BLOB_BYTES`.
        blob: Vec<u8>,
        /// For how many hours, at most `config::RELAY_HOURS_MAX`.
        hours: u8,
        /// Hash of the key that alone withdraws it.
        delete_hash: [u8; 16],
    },
    /// Withdraw a blob.
    Delete {
        /// From which mailbox.
        from: WriteName,
        /// Hashes to the blob's `delete_hash`.
        delete_key: [u8; 16],
    },
}

/// What the relay tells the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RelayEvent {
    /// A connection stands. Subscriptions of an earlier one are gone.
    Up,
    /// There is no connection.
    Down,
    /// A blob of a subscribed mailbox.
    Blob {
        /// Which mailbox.
        mailbox: WriteName,
        /// Its place; ascending per mailbox, never 0.
        cursor: u64,
        /// What was put.
        blob: Vec<u8>,
    },
    /// Nothing newer is there.
    CaughtUp {
        /// Which mailbox.
        mailbox: WriteName,
    },
    /// The blob is kept.
    Stored {
        /// Which put.
        id: PutId,
    },
    /// The blob is not kept.
    Refused {
        /// Which put.
        id: PutId,
        /// Why.
        why: RelayRefusal,
    },
}

/// Why a relay does not keep a blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error, Serialize, Deserialize)]
pub enum RelayRefusal {
    /// The mailbox holds as much as it may.
    #[error("the mailbox is full")]
    MailboxFull,
    /// The relay holds as much as it may.
    #[error("the relay is full")]
    RelayFull,
    /// Too much in too short a time from this connection.
    #[error("the relay asks to slow down")]
    SlowDown,
    /// The request does not fit the protocol.
    #[error("the relay did not understand the request")]
    Malformed,
}

/// What the radio tells the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RadioEvent {
    /// It can be used: nothing is shown, nobody is heard, no link stands.
    On,
    /// It cannot be used, or no longer. Its links are gone.
    Off,
    /// An advert of our service was heard.
    Heard {
        /// Its service data, as heard.
        advert: Vec<u8>,
        /// How strongly; `None`: the radio does not know.
        rssi_dbm: Option<i8>,
    },
    /// No link could be opened to whoever shows this id.
    OutOfReach {
        /// Whom [`RadioCommand::Connect`] named.
        id: EphemeralId,
    },
}

/// What the node wants of the radio.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RadioCommand {
    /// Show this advert under a fresh address, in place of nothing.
    Advertise {
        /// The service data.
        advert: [u8; ADVERT_BYTES],
        /// The advertising interval (Bluetooth Core 5.4, vol. 6 part B §4.4.2.2).
        interval: Duration,
    },
    /// Show nothing, and close every link of the radio: they were opened under the old id and the old address.
    Silence,
    /// Listen for adverts so many per cent of the time: 1 to 100.
    Scan {
        /// The share of time.
        duty_percent: u8,
    },
    /// Open a link to whoever shows this id.
    Connect {
        /// As heard last.
        id: EphemeralId,
    },
}

/// Work that may be heavy or hostile. Each is a pure function (`proto::job::run`) bounded in operations and bytes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Job {
    /// Try remote changes on a copy of the document.
    Quarantine {
        /// The document as saved.
        document: Vec<u8>,
        /// Its heads, ascending. Whoever has notes with these heads at hand need not read the document.
        heads: Vec<[u8; 32]>,
        /// The changes in the order of their dependencies, each with the actor id that its author's seat is bound to.
        changes: Vec<BoundChange>,
    },
    /// Load a document that a peer saved.
    Load {
        /// As received.
        document: Vec<u8>,
    },
}

/// A remote change and the only actor that its author may write as.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BoundChange {
    /// The Automerge actor id of the author's seat.
    pub actor: Vec<u8>,
    /// The change, as received.
    pub bytes: Vec<u8>,
}

/// What a [`Job`] found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Of a quarantine: which changes proved harmless and which did not, by their place in the job.
    Quarantined {
        /// The verdict on each change, in the job's order.
        verdicts: Vec<Verdict>,
    },
    /// Of a load: whether the document loads, saves and loads again to the same heads.
    Loaded {
        /// If not, it must not be used.
        sound: bool,
    },
}

/// What the quarantine says of one change.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// Applied; it may enter the document.
    Sound,
    /// Its dependencies are not all there yet; try again later.
    Waiting,
    /// It breaks a rule or the document; its author is at fault.
    Hostile,
}

/// Something that a person may want to see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// The board's cards changed.
    BoardChanged,
    /// This talk's state, seats, or words changed: ask for its view.
    TalkChanged(TalkId),
    /// The talk's room is open.
    TalkOpened(TalkId),
    /// A message was said in the talk.
    Said(TalkId),
    /// The notes of the talk changed.
    NotesChanged(TalkId),
    /// The number of neighbours changed.
    NeighboursChanged,
    /// Who is near by radio changed.
    NearbyChanged,
    /// The relay came or went.
    RelayChanged,
    /// A handoff code was used, has expired or was replaced: show the new one.
    HandoffChanged(TalkId),
    /// A handoff that we started by scanning came to an end.
    HandoffEnded(HandoffEnd),
    /// A newcomer stands at the table and shows these words.
    NewcomerWaits {
        /// Of which talk.
        talk: TalkId,
        /// Admit or turn away by this link.
        link: LinkId,
        /// Both screens must show the same.
        words: [String; 2],
    },
    /// The talk is gone from this device; what remains is its receipt.
    TalkErased(TalkId),
    /// A card we had taken a seat at is no longer there.
    CardGone(CardId),
    /// The organizer's device opened a report.
    ReportsChanged,
    /// A peer broke a rule; whose link or seat it was, and which rule. Counted, never fatal.
    PeerFault(String),
    /// A record of the vault could not be read and was set aside.
    RecordCorrupt(String),
}

/// How a handoff ended for the one who scanned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandoffEnd {
    /// Both are members: the seat is at the table.
    AtTable(TalkId),
    /// We are a newcomer: show these words and wait to be admitted.
    WordsShown([String; 2]),
    /// The code's device could not be reached, did not know the code, or turned us away.
    Failed(HandoffFailure),
}

/// Why a handoff came to nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HandoffFailure {
    /// No address of the code answered.
    #[error("the device that shows the code could not be reached: join the same network, or ask for a fresh code")]
    Unreachable,
    /// The other side no longer knows the code.
    #[error("the code was used already or has been replaced: ask for the one that is on the screen now")]
    Stale,
    /// They turned us away.
    #[error("the people at the table did not admit you")]
    TurnedAway,
}
