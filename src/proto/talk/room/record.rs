//! What an open room remembers, and how it goes on from that after a restart.
//!
//! The records of a talk's scope: `room`, `seat` (the keys of our own), `g/…` (the group's), `e/…` (one per place in a line), `w/…` (the
//! welcome of each who was admitted and not yet heard). The stub outlives the scope's key, for a device that has to come back without it.

use super::mandate::Mandate;
use super::opening::State;
use super::succession::Succession;
use super::{Effect, Room, verify_entry};
use crate::proto::board::Terms;
use crate::proto::cx::Cx;
use crate::proto::error::Fault;
use crate::proto::id::{CardId, SeatId, TalkId};
use crate::proto::io::{Output, Persist, Scope};
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::proto::talk::close::Closing;
use crate::proto::talk::document::Requests;
use crate::proto::talk::entry::{Head, Item, Log, SeatNumber};
use crate::proto::talk::epoch::Epochs;
use crate::proto::talk::group::{Group, SeatKeys};
use crate::proto::talk::rejoin::{Returned, Stub};
use crate::proto::talk::roster::Roster;
use crate::proto::talk::seats::{HostDoor, Welcome};
use crate::proto::time::{Duration, Instant, WallTime};
use crate::proto::wire::decode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const ROOM: &[u8] = b"room";
const SEAT: &[u8] = b"seat";
const GROUP: &[u8] = b"g/";
const ENTRY: &[u8] = b"e/";
const WELCOME: &[u8] = b"w/";

/// All but keys, group and log, in one record.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Meta {
    pub(super) terms: Terms,
    pub(super) card: CardId,
    pub(super) founding: Key,
    pub(super) term: u32,
    pub(super) chair: SeatNumber,
    pub(super) me: SeatNumber,
    pub(super) roster: Roster,
    pub(super) epochs: Epochs,
    pub(super) closing: Closing,
    pub(super) returned: Vec<Returned>,
    pub(super) rejoin_key: Key,
    pub(super) host: Option<HostDoor>,
    pub(super) opened: WallTime,
    pub(super) remaining: Duration,
    pub(super) bases: Vec<Head>,
    pub(super) folded: Vec<u64>,
    pub(super) read_only: bool,
    pub(super) to_tell: Vec<Welcome>,
    pub(super) succession: Succession,
    /// By which consents the terms up to ours were founded.
    pub(super) mandates: Vec<Mandate>,
    pub(super) document: Requests,
    /// The place after which the chair took us one way and others another: only a new term brings us together.
    pub(super) split: Option<(u32, u64)>,
    /// The commit of the chair that we heard first for the last place: another one for it is a split.
    pub(super) heard_commit: Option<((u32, u64), [u8; 32])>,
    /// Whom we, the chair, let follow late: by which key package, and the welcome, in case it has not arrived.
    pub(super) welcomes: BTreeMap<SeatNumber, (Vec<u8>, Vec<u8>)>,
}

impl Meta {
    /// Of a member that begins with this state.
    pub(super) fn new(rng: &mut Rng, wall: WallTime, me: SeatNumber, state: State) -> Meta {
        let State { terms, card, founding, term, chair, roster, heads, opened, returned, mandates, .. } = state;
        Meta {
            remaining: WallTime::from_hours(terms.expires_hours).since(wall),
            terms,
            card,
            founding,
            term,
            chair,
            me,
            roster,
            epochs: Epochs::default(),
            closing: Closing::default(),
            returned,
            rejoin_key: Key(rng.bytes()),
            host: None,
            opened,
            bases: heads,
            folded: Vec::new(),
            read_only: false,
            to_tell: Vec::new(),
            succession: Succession::default(),
            mandates,
            document: Requests::default(),
            split: None,
            heard_commit: None,
            welcomes: BTreeMap::new(),
        }
    }
}

impl Room {
    /// Goes on after a restart, from the records of this talk's scope.
    pub fn restore(now: Instant, talk: TalkId, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Room> {
        let meta: Meta = decode(records.get(ROOM)?, "room").ok()?;
        let seat: Vec<u8> = decode(records.get(SEAT)?, "seat").ok()?;
        let keys = SeatKeys::from_bytes(&seat).ok()?;
        let group_records = records.iter().filter_map(|(name, value)| Some((name.strip_prefix(GROUP)?, &value[..])));
        let group = Group::restore(&keys, group_records).ok()?;
        let mut log = Log::default();
        let bases = meta.bases.iter().copied().chain(std::iter::repeat(Head::default()));
        meta.roster.seats().zip(bases).for_each(|((_, seat), base)| log.open_line(seat.id, seat.key, base));
        let entries = records.iter().filter(|(name, _)| name.starts_with(ENTRY));
        for entry in entries.filter_map(|(_, value)| decode::<Item>(value, "entry").ok()) {
            log.append(entry);
        }
        let mut room = Room::new(now, talk, group, keys, meta, log);
        if let Some((_, since)) = &mut room.meta.closing.proposal {
            // Elapsed time starts anew with the node: the proposal has ten minutes from here at most.
            *since = now;
        }
        let welcomes = records.iter().filter(|(name, _)| name.starts_with(WELCOME));
        let welcomes = welcomes.filter_map(|(_, value)| decode::<Welcome>(value, "welcome").ok());
        room.unheard = welcomes.map(|welcome| (welcome.seat, (welcome, None))).collect();
        room.meta.succession.resume(now);
        room.attendance.check(now);
        room.meta.document.restart(now);
        Some(room)
    }

    pub(super) fn persist(&self, cx: &mut Cx<'_>) {
        cx.put(Scope::Talk(self.talk), ROOM, &self.meta);
    }

    pub(super) fn persist_keys(&self, cx: &mut Cx<'_>) {
        cx.put(Scope::Talk(self.talk), SEAT, &*self.keys.to_bytes());
    }

    pub(super) fn persist_group(&mut self, cx: &mut Cx<'_>) {
        let scope = Scope::Talk(self.talk);
        for (name, value) in self.group.take_changes() {
            let name = [GROUP, &name[..]].concat();
            match value {
                Some(value) => cx.out.push_back(Output::Persist(Persist::Put { scope, name, value })),
                None => cx.delete(scope, &name),
            }
        }
    }

    /// Forgets the group before another takes its place.
    pub(super) fn forget_group(&self, cx: &mut Cx<'_>) {
        for name in self.group.record_names() {
            cx.delete(Scope::Talk(self.talk), &[GROUP, &name[..]].concat());
        }
    }

    pub(super) fn persist_item(&self, cx: &mut Cx<'_>, item: &Item) {
        cx.put(Scope::Talk(self.talk), &entry_name(item.seat(), item.number()), item);
    }

    /// Keeps the first lines of the log for which `keep` says yes; of the others nothing comes back with a restart, when their numbers
    /// may be others'.
    pub(super) fn keep_lines(&mut self, cx: &mut Cx<'_>, keep: impl Fn(SeatNumber, SeatId) -> bool) {
        for (seat, number) in self.log.keep_lines(keep) {
            cx.delete(Scope::Talk(self.talk), &entry_name(seat, number));
        }
    }

    /// Takes an item of somebody's line, and acts on all that are in order with it, whichever of them breaks a rule.
    pub(super) fn take_item(&mut self, cx: &mut Cx<'_>, item: Item, effects: &mut Vec<Effect>) -> Result<(), Fault> {
        let place = (item.seat(), item.number());
        let ready = self.log.receive(&self.room, item, verify_entry)?;
        self.repair.note_answer(cx.now, place);
        let mut taken = Ok(());
        for ready in ready {
            self.persist_item(cx, &ready);
            let Item::Entry(entry) = ready else { continue };
            match self.act(cx, entry) {
                Ok(more) => effects.extend(more),
                Err(broken) => taken = Err(broken),
            }
        }
        taken
    }

    pub(super) fn persist_welcome(&self, cx: &mut Cx<'_>, welcome: &Welcome) {
        cx.put(Scope::Talk(self.talk), &[WELCOME, &welcome.seat.0].concat(), welcome);
    }

    /// Who is heard needs no welcome any more.
    pub(super) fn forget_welcome(&mut self, cx: &mut Cx<'_>, seat: SeatId) {
        if self.unheard.remove(&seat).is_some() {
            cx.delete(Scope::Talk(self.talk), &[WELCOME, &seat.0].concat());
        }
    }

    pub(super) fn persist_stub(&self, cx: &mut Cx<'_>) {
        let (door, mailbox) = &self.door;
        let stub = Stub {
            rejoin_key: self.meta.rejoin_key.clone(),
            number: self.meta.me,
            seat: self.keys.id(),
            key: self.keys.verifying_key(),
            room: self.room,
            door: door.public(),
            door_mailbox: mailbox.write_name(),
            afterlife: self.afterlife(),
            bucket: self.bucket(cx.event),
            expires_hours: self.meta.terms.expires_hours,
        };
        cx.put(Scope::Durable, &Stub::name(self.talk), &stub);
    }
}

fn entry_name(seat: SeatNumber, number: u32) -> Vec<u8> {
    [ENTRY, &[seat], &number.to_be_bytes()].concat()
}
