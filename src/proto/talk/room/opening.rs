//! How a room begins for a member: founded by all at once, or entered later with what the chair sends.
//!
//! Law: what the chair sends fits the group that it admits to, or nobody enters.

use super::Room;
use super::mandate::Mandate;
use super::record::Meta;
use crate::proto::board::Terms;
use crate::proto::cx::Cx;
use crate::proto::error::Fault;
use crate::proto::id::{CardId, TalkId};
use crate::proto::io::Event;
use crate::proto::secret::Key;
use crate::proto::talk::entry::{Body, Entry, Head, Log, SeatNumber};
use crate::proto::talk::group::{Group, Member, SeatKeys};
use crate::proto::talk::rejoin::Returned;
use crate::proto::talk::roster::Roster;
use crate::proto::talk::seats::Founding;
use crate::proto::time::WallTime;
use crate::proto::wire::decode;
use serde::{Deserialize, Serialize};

/// All that one who is admitted later needs to take part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// What the card promised.
    pub terms: Terms,
    /// Whose card.
    pub(super) card: CardId,
    pub(super) founding: Key,
    pub(super) term: u32,
    pub(super) chair: SeatNumber,
    pub(super) roster: Roster,
    pub(super) heads: Vec<Head>,
    pub(super) opened: WallTime,
    /// The fold that the document is of.
    pub generation: u32,
    /// The notes, saved.
    pub document: Vec<u8>,
    pub(super) returned: Vec<Returned>,
    /// By which consents the terms after the first were founded, the oldest first.
    pub(super) mandates: Vec<Mandate>,
    /// The commit that lets the newcomer in, sealed for those who have not heard it: to be carried to them, and not to be read.
    pub led_by: Vec<Vec<u8>>,
}

/// The notes as whoever is let in gets them.
pub struct Snapshot<'a> {
    /// The fold that they are of.
    pub generation: u32,
    /// Saved.
    pub document: &'a [u8],
    /// Whether a change is in them.
    pub holds: &'a dyn Fn(&[u8]) -> bool,
}

impl Snapshot<'_> {
    /// Whether an entry's change is still being tried here, waits for another, or is of a fold that we have not made: it is not in the
    /// document, so that whoever gets that needs the entry, too.
    fn lacks(&self, entry: &Entry) -> bool {
        match &entry.body {
            Body::Change { generation, bytes } if *generation == self.generation => !(self.holds)(bytes),
            Body::Change { generation, .. } => *generation > self.generation,
            _ => false,
        }
    }
}

impl State {
    /// Of the first term, before anything was said.
    fn first(group: &Group, terms: Terms, card: CardId, opened: WallTime) -> Option<State> {
        let founding = group.export("alcove/1 founding", &[]).ok()?;
        let mut roster = Roster::default();
        for member in group.roster() {
            roster.admit(member.seat, member.key);
        }
        let heads = vec![Head::default(); group.roster().len()];
        Some(State {
            terms,
            card,
            founding,
            term: 1,
            chair: 0,
            roster,
            heads,
            opened,
            generation: 0,
            document: Vec::new(),
            returned: Vec::new(),
            mandates: Vec::new(),
            led_by: Vec::new(),
        })
    }

    /// Whether everybody in the group sits by the key under which it was admitted, and every seat has a line.
    pub(super) fn fits(&self, group: &Group) -> bool {
        let key = |member: &Member| Some(self.roster.seat(self.roster.number(member.seat)?)?.key);
        let sits = |member: &Member| key(member) == Some(member.key);
        group.roster().iter().all(sits) && self.heads.len() == self.roster.seats().count() && self.roster.is_in_order()
    }
}

impl Room {
    /// Opens the room that was just founded.
    ///
    /// # Errors
    /// A [`Fault`] if it is no founding of our seat.
    pub fn found(cx: &mut Cx<'_>, talk: TalkId, founding: Founding) -> Result<Room, Fault> {
        let Founding { group, keys, terms, card, door, to_tell } = founding;
        let state = State::first(&group, terms, card, cx.wall).ok_or(Fault::OutOfPlace("founding"))?;
        let me = state.roster.number(keys.id()).ok_or(Fault::OutOfPlace("founding"))?;
        let mut room = Room::begin(cx, talk, group, keys, me, state);
        (room.meta.host, room.meta.to_tell) = (door, to_tell);
        room.meta.to_tell.iter().for_each(|word| word.tell(cx, talk));
        room.enter(cx);
        Ok(room)
    }

    /// Enters a room that stands, with what the chair sent.
    ///
    /// # Errors
    /// A [`Fault`] if the state does not fit the group, or breaks a rule.
    pub fn join(cx: &mut Cx<'_>, talk: TalkId, group: Group, keys: SeatKeys, state: &[u8]) -> Result<(Room, State), Fault> {
        let state: State = decode(state, "room state")?;
        let me = state.roster.number(keys.id()).filter(|_| state.fits(&group)).ok_or(Fault::OutOfPlace("room state"))?;
        let mut room = Room::begin(cx, talk, group, keys, me, state.clone());
        // It comes with the state, and is asked for again if it proves unsound or this device dies before it is in use.
        room.meta.document.want(cx.now, state.generation);
        room.enter(cx);
        Ok((room, state))
    }

    fn begin(cx: &mut Cx<'_>, talk: TalkId, group: Group, keys: SeatKeys, me: SeatNumber, state: State) -> Room {
        let mut log = Log::default();
        state.roster.seats().zip(&state.heads).for_each(|((_, seat), head)| log.open_line(seat.id, seat.key, *head));
        let meta = Meta::new(cx.rng, cx.wall, me, state);
        Room::new(cx.now, talk, group, keys, meta, log)
    }

    /// The first things a member does: keys of the epoch, the stub, its first entry.
    fn enter(&mut self, cx: &mut Cx<'_>) {
        self.push_epoch();
        self.persist_stub(cx);
        self.persist_keys(cx);
        let rejoin_key = ed25519_dalek::SigningKey::from_bytes(&self.meta.rejoin_key.0).verifying_key().to_bytes();
        self.append(cx, Body::Hello { rejoin_key });
        cx.tell(Event::TalkOpened(self.talk));
    }

    /// What one who is admitted now needs.
    pub(super) fn state(&self, notes: &Snapshot<'_>) -> State {
        State {
            terms: self.meta.terms.clone(),
            card: self.meta.card,
            founding: self.meta.founding.clone(),
            term: self.meta.term,
            chair: self.meta.chair,
            roster: self.meta.roster.clone(),
            heads: self.log.heads_until(|entry| notes.lacks(entry)),
            opened: self.meta.opened,
            generation: notes.generation,
            document: notes.document.to_vec(),
            returned: self.meta.returned.clone(),
            mandates: self.meta.mandates.clone(),
            led_by: Vec::new(),
        }
    }
}
