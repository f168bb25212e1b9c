//! What a person may see, as plain values: events say *that* something changed, these say *what is*.

use super::Node;
use crate::proto::board::{Pattern, Terms};
use crate::proto::id::{CardId, LinkId, ParcelId, SeatId, TalkId};
use crate::proto::notes;
use crate::proto::notes::exchange::Notes;
use crate::proto::talk::attendance::Contact;
use crate::proto::talk::close::Ending;
use crate::proto::talk::entry::SeatNumber;
use crate::proto::talk::persona;
use crate::proto::talk::roster::Standing;
use crate::proto::talk::seats::Errand;
use crate::proto::talk::{Stage, room};
use crate::proto::wire::parcel::Parcel;

/// A card on the board.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardView {
    /// Its name.
    pub card: CardId,
    /// Topic, tags, seats, end.
    pub terms: Terms,
    /// Who posted it, in this talk.
    pub persona: String,
    /// How many of its tags are among our interests.
    pub shared_tags: usize,
    /// Our talk, if we host or sit in it.
    pub talk: Option<TalkId>,
}

/// A talk of this device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TalkView {
    /// Its name here.
    pub talk: TalkId,
    /// Where it stands.
    pub state: State,
    /// What it is about; empty while it is not known.
    pub topic: String,
    /// Its form.
    pub pattern: Pattern,
    /// How we are called in it.
    pub persona: String,
    /// The room opens with so many seats.
    pub seats_min: u8,
    /// No more than these.
    pub seats_max: u8,
    /// How many are taken, as far as it is known.
    pub taken: Option<u8>,
    /// What an open room shows.
    pub room: Option<RoomView>,
}

/// Where a talk stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Not posted.
    Drafted,
    /// Ours; people gather.
    Gathering,
    /// We asked for a seat.
    Waiting,
    /// We wait at the table to be admitted.
    Knocking,
    /// Our keys were lost; we ask back in.
    Returning,
    /// The room is open.
    Open,
    /// The room is open, and somebody has proposed to close.
    Closing,
}

/// An open room.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoomView {
    /// Everybody who was ever admitted.
    pub seats: Vec<SeatView>,
    /// What was said, per seat in its order.
    pub messages: Vec<MessageView>,
    /// Who agreed to close, of how many.
    pub agreed: (usize, usize),
    /// We have agreed: we write no more.
    pub is_voted: bool,
    /// Below its minimum: it can only be read.
    pub is_read_only: bool,
    /// We chair it: we alone may strike what was deleted.
    pub is_chair: bool,
    /// The online leg rests, because everybody is at the table.
    pub is_resting: bool,
    /// Whether what is shown was checked since the last absence.
    pub contact: Contact,
    /// The clock jumped and nothing confirms it: locked until it is known.
    pub is_locked: bool,
    /// The MLS epoch and our term.
    pub epoch: u64,
    /// See epoch.
    pub term: u32,
    /// Newcomers who wait at our table.
    pub newcomers: Vec<LinkId>,
    /// Four words that everybody in this epoch sees alike.
    pub fingerprint: String,
    /// A fingerprint of everything that was written: equal on two devices that know the same.
    pub heads: [u8; 8],
}

/// One seat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SeatView {
    /// Its number.
    pub number: SeatNumber,
    /// Its MLS credential.
    pub id: SeatId,
    /// How it is called.
    pub persona: String,
    /// It is ours.
    pub is_me: bool,
    /// Whether it still counts.
    pub standing: Standing,
    /// At the table.
    pub at_table: bool,
    /// It has agreed to close.
    pub agreed: bool,
    /// We do not show what it says.
    pub is_hidden: bool,
    /// How long ago it was heard, in seconds.
    pub heard_seconds_ago: Option<u64>,
}

/// Something that was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageView {
    /// By whom.
    pub seat: SeatNumber,
    /// How that seat is called.
    pub persona: String,
    /// What.
    pub text: String,
}

/// The shared notes, and what others are typing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotesView {
    /// Text, marks, agenda, actions.
    pub notes: notes::View,
    /// How often they were folded.
    pub generation: u32,
    /// Changes in them.
    pub changes: u64,
    /// Changes that wait for the quarantine or for others.
    pub waiting: usize,
    /// What others type: persona, place, deleted, inserted.
    pub previews: Vec<(String, u32, u32, String)>,
}

/// What remains of a talk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReceiptView {
    /// The talk's former name here.
    pub talk: TalkId,
    /// How it ended.
    pub ending: Ending,
    /// In which hour since the Unix epoch.
    pub ended_hours: u32,
    /// How many seats there were.
    pub seats: u8,
    /// How many have confirmed that they erased, of how many.
    pub confirmed: (usize, usize),
}

/// How the node stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusView {
    /// Links whose handshake is over.
    pub neighbours: usize,
    /// The relay is connected.
    pub is_relay_up: bool,
    /// Everything at the relay has been read.
    pub is_caught_up: bool,
    /// What waits to be left at the relay.
    pub relay_waiting: usize,
    /// Our blobs at the relay.
    pub relay_kept: usize,
    /// Parcels and bytes carried.
    pub carried: (usize, usize),
    /// Rules that peers broke.
    pub faults: u64,
}

impl Node {
    /// The board, best matches first.
    pub fn board(&self) -> Vec<CardView> {
        let cards = self.board.matching(&self.interests).into_iter();
        cards
            .map(|(card, content, shared_tags)| {
                let ours = |talk: &&crate::proto::talk::Talk| match &talk.stage {
                    Stage::Drafted(_) => false,
                    Stage::Hosting(hosting) => hosting.door.card() == card,
                    Stage::Waiting(waiting) => matches!(waiting.errand(), Errand::Card { card: of, .. } if *of == card),
                    Stage::Open(room) => room.card() == card,
                };
                let talk = self.talks.values().find(ours).map(|talk| talk.id);
                CardView { card, terms: content.terms.clone(), persona: persona::alone(content.host), shared_tags, talk }
            })
            .collect()
    }

    /// All talks of this device.
    pub fn talks(&self) -> Vec<TalkView> {
        self.talks.keys().filter_map(|talk| self.talk(*talk)).collect()
    }

    /// One talk.
    pub fn talk(&self, id: TalkId) -> Option<TalkView> {
        let talk = self.talks.get(&id)?;
        let before = |state: State, terms: Option<&Terms>, persona: String, taken: Option<u8>| TalkView {
            talk: id,
            state,
            topic: terms.map(|terms| terms.topic.clone()).unwrap_or_default(),
            pattern: terms.map(|terms| terms.pattern).unwrap_or_default(),
            persona,
            seats_min: terms.map_or(0, |terms| terms.seats_min),
            seats_max: terms.map_or(0, |terms| terms.seats_max),
            taken,
            room: None,
        };
        Some(match &talk.stage {
            Stage::Drafted(terms) => before(State::Drafted, Some(terms), String::new(), None),
            Stage::Hosting(hosting) => {
                before(State::Gathering, Some(&hosting.door.content.terms), persona::alone(hosting.seat()), Some(hosting.taken()))
            }
            Stage::Waiting(waiting) => {
                let name = persona::alone(waiting.seat());
                match waiting.errand() {
                    Errand::Card { content, .. } => before(State::Waiting, Some(&content.terms), name, waiting.taken()),
                    Errand::Table => before(State::Knocking, None, name, None),
                    Errand::Return(_) => before(State::Returning, None, String::new(), None),
                }
            }
            Stage::Open(room) => {
                let personas = room.roster().personas();
                let me = personas.get(usize::from(room.number())).cloned().unwrap_or_default();
                let state = if room.is_closing() { State::Closing } else { State::Open };
                let mut view = before(state, Some(room.terms()), me, Some(room.roster().sitting().count() as u8));
                view.room = Some(self.room_view(id, room, &personas));
                view
            }
        })
    }

    fn room_view(&self, id: TalkId, room: &room::Room, personas: &[String]) -> RoomView {
        let hidden = self.talks.get(&id).map(|talk| talk.hidden.clone()).unwrap_or_default();
        let name = |seat: SeatNumber| personas.get(usize::from(seat)).cloned().unwrap_or_default();
        let seats = room.roster().seats().map(|(number, seat)| SeatView {
            number,
            id: seat.id,
            persona: name(number),
            is_me: number == room.number(),
            standing: seat.standing,
            at_table: seat.at_table,
            agreed: room.has_agreed(number),
            is_hidden: hidden.contains(&number),
            heard_seconds_ago: room.heard(number).map(|at| self.now.since(at).as_secs()),
        });
        let said = room.said().filter(|(seat, _)| !hidden.contains(seat));
        RoomView {
            seats: seats.collect(),
            messages: said.map(|(seat, text)| MessageView { seat, persona: name(seat), text: text.to_owned() }).collect(),
            agreed: room.agreement(),
            is_voted: room.has_agreed(room.number()),
            is_read_only: room.is_read_only(),
            is_chair: room.is_chair(),
            is_resting: room.rests(self.now),
            contact: room.contact(),
            is_locked: self.clock.is_doubted() && self.wall().hours() >= room.terms().expires_hours,
            epoch: room.epoch(),
            term: room.term(),
            newcomers: self.table.newcomers(id),
            fingerprint: room.fingerprint(),
            heads: room.heads(),
        }
    }

    /// The notes of an open room.
    pub fn notes(&self, id: TalkId) -> Option<NotesView> {
        let (notes, room): (&Notes, &room::Room) = (self.notes.get(&id)?, self.room(id)?);
        let personas = room.roster().personas();
        let previews = room.previews(self.now).map(|preview| {
            let persona = personas.get(usize::from(preview.seat)).cloned().unwrap_or_default();
            (persona, preview.at, preview.delete, preview.insert.clone())
        });
        Some(NotesView {
            notes: notes.view(),
            generation: notes.generation(),
            changes: notes.change_count(),
            waiting: notes.waiting(),
            previews: previews.collect(),
        })
    }

    /// The parcels that are carried: what reconciliation tells to each neighbour.
    pub fn carried(&self) -> impl Iterator<Item = ParcelId> {
        self.mesh.carried_parcels().map(Parcel::id)
    }

    /// What remains of talks that are over.
    pub fn receipts(&self) -> Vec<ReceiptView> {
        let view = |(talk, receipt): (&TalkId, &crate::proto::talk::close::Receipt)| ReceiptView {
            talk: *talk,
            ending: receipt.ending,
            ended_hours: receipt.ended_hours,
            seats: receipt.seats,
            confirmed: receipt.confirmations(),
        };
        self.receipts.iter().map(view).collect()
    }

    /// How the node stands.
    pub fn status(&self) -> StatusView {
        StatusView {
            neighbours: self.mesh.neighbour_count(),
            is_relay_up: self.mailbox.is_up(),
            is_caught_up: self.mailbox.is_caught_up(),
            relay_waiting: self.mailbox.waiting(),
            relay_kept: self.mailbox.kept(),
            carried: self.mesh.carried(),
            faults: self.faults,
        }
    }
}
