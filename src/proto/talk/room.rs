//! An open room: its group, its log, and who is heard; what a member sends and what it does with what it hears.
//!
//! Laws: only the chair commits, and only for reasons that every member can check; a message opens once, an entry is acted on once;
//! what is missing is found by beacons and asked for by numbers; a vote to close ends one's own writing.

mod chair;
mod closing;
mod commit;
#[cfg(test)]
mod hostile;
mod succession;
#[cfg(test)]
mod tests;
mod view;

use super::beacon::{Asking, Beacon, Trickle};
use super::close::{self, Afterlife, Certificate, Closing};
use super::door::Door;
use super::entry::{Body, Entry, Head, Item, Log, ProposalId, SeatNumber, Sig};
use super::group::{Group, GroupError, Opened, SeatKeys, verify};
use super::roster::{RejoinKey, Roster, Seat, Standing};
use super::seats::{Founding, HostDoor, Offer, tell_encoded};
use crate::proto::board::Terms;
use crate::proto::config::{
    ABSENCE_MAX, ANSWER_BYTES_MAX, ASK_INTERVAL, CANDIDATES_MAX, CHECK_TIME_MAX, COMMIT_GATHER, COMMITS_MAX,
    DOCUMENT_ANSWER_DELAY_MAX, DOCUMENT_ASK_INTERVAL, EARLY_MAX, EPOCH_KEYS_MAX, PREVIEW_TIME, PROPOSAL_TIME_MAX,
    RELAY_BEACON_INTERVAL, SAY_CHARS_MAX, TABLE_SILENCE_MAX,
};
use crate::proto::cx::{Cx, Post, Via};
use crate::proto::error::{Fault, Refused};
use crate::proto::id::{CardId, SeatId, TalkId, WriteName};
use crate::proto::io::{Event, ReadKey, Scope};
use crate::proto::secret::{Key, hash16};
use crate::proto::time::{Duration, Instant, WallTime};
use crate::proto::wire::message::Assembler;
use crate::proto::wire::parcel::{Parcel, ParcelKeys};
use crate::proto::wire::{decode, encode};
use commit::Commit;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use succession::{Step, Succession};

const DOCUMENT_DOMAIN: &str = "document";

/// What members send each other, sealed under the keys of an epoch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Message {
    /// An MLS PrivateMessage with entries.
    Sealed(Vec<u8>),
    /// A commit of the chair.
    Commit(Commit),
    /// A sign of life.
    Beacon(Beacon),
    /// What I know; send what I lack.
    Ask { numbers: Vec<u32> },
    /// What somebody types, before it is a change.
    Preview(Preview),
    /// Somebody lacks what a fold included: send the document.
    WantDocument,
    /// The document of this fold, and how many changes of each seat it took in; signed, so that a hostile one has an author.
    Document { seat: SeatNumber, generation: u32, folded: Vec<u64>, document: Vec<u8>, signature: Sig },
    /// Steps to a new term.
    Step(Step),
}

/// Keystrokes on their way, never stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Preview {
    /// Who types.
    pub seat: SeatNumber,
    /// Where in the text, in characters.
    pub at: u32,
    /// How many characters go.
    pub delete: u32,
    /// What comes.
    pub insert: String,
}

/// A device that lost its keys asks back in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Rejoin {
    /// Its former number.
    pub old: SeatNumber,
    /// Its new seat.
    pub offer: Offer,
    /// By its re-join key, over the room and both seats.
    pub signature: Sig,
}

/// A returned device as a commit names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Returned {
    old: SeatNumber,
    newer: SeatId,
    signature: Sig,
}

/// All that one who is admitted later needs to take part.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct State {
    /// What the card promised.
    pub terms: Terms,
    /// Whose card.
    card: CardId,
    founding: Key,
    term: u32,
    chair: SeatNumber,
    roster: Roster,
    heads: Vec<Head>,
    opened: WallTime,
    /// The fold that the document is of.
    pub generation: u32,
    /// The notes, saved.
    pub document: Vec<u8>,
    returned: Vec<Returned>,
}

/// What survives a lost forgetting key: enough to ask back in and to learn of the end, and nothing that opens content.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stub {
    /// Re-admits this device.
    pub rejoin_key: Key,
    /// Our number.
    pub number: SeatNumber,
    /// Our seat, and the key that verifies our vote.
    pub seat: SeatId,
    /// See above.
    pub key: [u8; 32],
    /// The room's id.
    pub room: [u8; 16],
    /// Hands the request in.
    pub door: [u8; 32],
    /// Or here.
    pub door_mailbox: WriteName,
    /// Tells certificates.
    pub afterlife: Afterlife,
    /// Where the room's parcels lie at the relay.
    pub bucket: u16,
    /// What the card promised: for the end of the talk.
    pub expires_hours: u32,
}

impl Stub {
    /// The request by which this device asks back in as another seat.
    pub fn rejoin(&self, newer: &SeatId, offer: Offer) -> Rejoin {
        let signature = super::group::sign(&self.rejoin_key, "re-join", &[&self.room, &self.seat.0, &newer.0]).into();
        Rejoin { old: self.number, offer, signature }
    }

    /// Whether a certificate ends the talk for this device: it holds, and our own vote is in it.
    pub fn accepts(&self, certificate: &Certificate) -> bool {
        let is_ours = |seat: &close::ClosedSeat| {
            seat.seat == self.seat && seat.key == self.key && matches!(seat.end, close::SeatEnd::Voted(_))
        };
        certificate.holds(&self.room) && certificate.seats.iter().any(is_ours)
    }
}

#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(Clone))]
struct Meta {
    terms: Terms,
    card: CardId,
    founding: Key,
    term: u32,
    chair: SeatNumber,
    me: SeatNumber,
    roster: Roster,
    epochs: VecDeque<Epoch>,
    commits: VecDeque<((u32, u64), Vec<u8>)>,
    closing: Closing,
    returned: Vec<Returned>,
    rejoin_key: Key,
    host: Option<HostDoor>,
    opened: WallTime,
    remaining: Duration,
    bases: Vec<Head>,
    folded: Vec<u64>,
    read_only: bool,
    to_tell: Vec<(SeatId, [u8; 32], WriteName, Vec<u8>)>,
    succession: Succession,
    wants_document: bool,
    /// The place after which the chair took us one way and others another: only a new term brings us together.
    split: Option<(u32, u64)>,
    /// The commit of the chair that we heard first for the last place: another one for it is a split.
    heard_commit: Option<((u32, u64), [u8; 32])>,
    /// Whom we, the chair, let follow late: by which key package, and the welcome, in case it has not arrived.
    welcomes: BTreeMap<SeatNumber, (Vec<u8>, Vec<u8>)>,
}

/// The keys by which an epoch's parcels are recognised and opened.
#[derive(Clone, Serialize, Deserialize)]
struct Epoch {
    term: u32,
    epoch: u64,
    secret: Key,
    /// Who sat at its leaves,
    leaves: Vec<SeatNumber>,
    /// and how many had ever been admitted.
    seats: usize,
}

/// What the room asks the node to do with what it heard.
#[derive(Debug)]
pub enum Effect {
    /// A change of the notes by this seat.
    Change {
        /// By whom.
        seat: SeatNumber,
        /// Its number in the seat's line.
        number: u32,
        /// Of which fold.
        generation: u32,
        /// As received.
        bytes: Vec<u8>,
    },
    /// A saved document, to be checked before use.
    Document {
        /// Who sent it.
        from: SeatId,
        /// Of which fold.
        generation: u32,
        /// How many of our own changes are in it.
        included: u64,
        /// As received.
        bytes: Vec<u8>,
    },
    /// Somebody types.
    Preview(Preview),
    /// A word of the fold, by this seat.
    Fold(SeatNumber, Body),
    /// Everybody agreed: erase.
    Closed(Certificate),
    /// Our seat was removed: erase.
    Removed,
}

/// An open room as one member sees it.
#[cfg_attr(test, derive(Clone))]
pub struct Room {
    talk: TalkId,
    room: [u8; 16],
    /// Where devices that return ask, and where that is left at the relay.
    door: (Door, ReadKey),
    meta: Meta,
    keys: SeatKeys,
    group: Group,
    log: Log,
    assembler: Assembler,
    trickle: Trickle,
    next_relay_beacon: Option<Instant>,
    asking: Asking,
    last_commits_sent: Option<Instant>,
    early: VecDeque<Vec<u8>>,
    heard: BTreeMap<SeatNumber, Heard>,
    answered: BTreeMap<(SeatNumber, u32), Instant>,
    admissions: Vec<Admission>,
    /// Whom we, the chair, have admitted and not yet heard, and when it was told so.
    owed: BTreeMap<SeatId, (Owed, Option<Instant>)>,
    vouched: Vec<Offer>,
    commit_at: Option<Instant>,
    deadline: Instant,
    contact: Contact,
    previews: BTreeMap<SeatNumber, (Preview, Instant)>,
    has_new_keys: bool,
    peer_minutes: Option<u32>,
    document_ask_at: Option<Instant>,
    document_due: Option<Instant>,
    /// Before this the document is not sent again, whoever asks: who missed it asks later.
    document_rests_until: Instant,
    since: Instant,
}

/// The answer to one who was admitted.
#[derive(Clone, Serialize, Deserialize)]
struct Owed {
    reply: [u8; 32],
    mailbox: WriteName,
    message: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
struct Heard {
    any: Option<Instant>,
    link: Option<Instant>,
}

#[cfg_attr(test, derive(Clone))]
enum Admission {
    New(Offer),
    Return(Rejoin),
    Late { seat: SeatNumber, after: (u32, u64), key_package: Vec<u8> },
}

/// Whether what is shown has been checked against the others since the last absence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contact {
    /// No absence since the last word from another.
    Fresh,
    /// Away too long: a transport is being asked.
    Checking {
        /// Give up then.
        until: Instant,
    },
    /// Nobody answered: shown, and said to be unchecked.
    Unchecked,
}

impl Room {
    /// Opens the room that was just founded.
    pub fn found(cx: &mut Cx<'_>, talk: TalkId, founding: Founding) -> Result<Room, Fault> {
        let Founding { group, keys, terms, card, door, to_tell } = founding;
        let founding = group.export("alcove/1 founding", &[]).map_err(|_| Fault::OutOfPlace("founding"))?;
        let mut roster = Roster::default();
        group.roster().iter().for_each(|member| {
            roster.admit(member.seat, member.key);
        });
        let me = roster.number(keys.id()).ok_or(Fault::OutOfPlace("founding"))?;
        let opened = cx.wall;
        let heads = vec![Head::default(); group.roster().len()];
        let mut room = Room::assemble(
            cx,
            talk,
            group,
            keys,
            MetaStart { terms, card, founding, term: 1, chair: 0, me, roster, opened, heads },
        );
        room.meta.host = door;
        room.meta.to_tell = to_tell;
        let to_tell: Vec<_> =
            room.meta.to_tell.iter().map(|(_, reply, mailbox, message)| (*reply, *mailbox, message.clone())).collect();
        to_tell.iter().for_each(|(reply, mailbox, message)| tell_encoded(cx, talk, reply, *mailbox, message));
        room.enter(cx);
        Ok(room)
    }

    /// Enters a room that stands, with what the chair sent.
    ///
    /// # Errors
    /// A [`Fault`] if the state does not fit the group, or breaks a rule.
    pub fn join(cx: &mut Cx<'_>, talk: TalkId, group: Group, keys: SeatKeys, state: &[u8]) -> Result<(Room, State), Fault> {
        let state: State = decode(state, "room state")?;
        let me = state.roster.number(keys.id()).ok_or(Fault::OutOfPlace("room state"))?;
        let sits = |member: &super::group::Member| {
            state.roster.number(member.seat).and_then(|n| state.roster.seat(n)).is_some_and(|seat| seat.key == member.key)
        };
        if !group.roster().iter().all(sits) || state.heads.len() != state.roster.seats().count() {
            return Err(Fault::OutOfPlace("room state"));
        }
        let start = MetaStart {
            terms: state.terms.clone(),
            card: state.card,
            founding: state.founding.clone(),
            term: state.term,
            chair: state.chair,
            me,
            roster: state.roster.clone(),
            opened: state.opened,
            heads: state.heads.clone(),
        };
        let mut room = Room::assemble(cx, talk, group, keys, start);
        room.meta.returned = state.returned.clone();
        // It comes with the state, and is asked for again if it proves unsound or this device dies before it is in use.
        (room.meta.wants_document, room.document_ask_at) = (true, Some(cx.now + DOCUMENT_ASK_INTERVAL));
        room.enter(cx);
        Ok((room, state))
    }

    fn assemble(cx: &mut Cx<'_>, talk: TalkId, group: Group, keys: SeatKeys, start: MetaStart) -> Room {
        let MetaStart { terms, card, founding, term, chair, me, roster, opened, heads } = start;
        let mut log = Log::default();
        roster.seats().zip(&heads).for_each(|((_, seat), head)| log.open_line(seat.id, seat.key, *head));
        let remaining = WallTime::from_hours(terms.expires_hours).since(cx.wall);
        let meta = Meta {
            terms,
            card,
            founding,
            term,
            chair,
            me,
            roster,
            epochs: VecDeque::new(),
            commits: VecDeque::new(),
            closing: Closing::default(),
            returned: Vec::new(),
            rejoin_key: Key(cx.rng.bytes()),
            host: None,
            opened,
            remaining,
            bases: heads,
            folded: Vec::new(),
            read_only: false,
            to_tell: Vec::new(),
            succession: Succession::default(),
            wants_document: false,
            split: None,
            heard_commit: None,
            welcomes: BTreeMap::new(),
        };
        Room::with(cx.now, talk, group, keys, meta, log)
    }

    fn with(now: Instant, talk: TalkId, group: Group, keys: SeatKeys, meta: Meta, log: Log) -> Room {
        Room {
            talk,
            room: hash16("alcove/1 room", &[&meta.founding.0]),
            door: (room_door(&meta.founding), room_mailbox(&meta.founding)),
            deadline: now + meta.remaining,
            meta,
            keys,
            group,
            log,
            assembler: Assembler::default(),
            trickle: Trickle::new(now),
            next_relay_beacon: None,
            asking: Asking::default(),
            last_commits_sent: None,
            early: VecDeque::new(),
            heard: BTreeMap::new(),
            answered: BTreeMap::new(),
            admissions: Vec::new(),
            owed: BTreeMap::new(),
            vouched: Vec::new(),
            commit_at: None,
            contact: Contact::Fresh,
            previews: BTreeMap::new(),
            has_new_keys: false,
            peer_minutes: None,
            document_ask_at: None,
            document_due: None,
            document_rests_until: now,
            since: now,
        }
    }

    /// The first things a member does: keys of the epoch, the stub, its first entry.
    fn enter(&mut self, cx: &mut Cx<'_>) {
        self.push_epoch();
        cx.put(Scope::Durable, &stub_name(self.talk), &self.stub(cx.event.bucket_of(&self.meta.founding)));
        cx.put(Scope::Talk(self.talk), b"seat", &*self.keys.to_bytes());
        let rejoin_key = ed25519_dalek::SigningKey::from_bytes(&self.meta.rejoin_key.0).verifying_key().to_bytes();
        self.append(cx, Body::Hello { rejoin_key });
        cx.tell(Event::TalkOpened(self.talk));
    }

    /// Goes on after a restart, from the records of this talk's scope.
    pub fn restore(now: Instant, talk: TalkId, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Room> {
        let meta: Meta = decode(records.get(&b"room"[..])?, "room").ok()?;
        let seat: Vec<u8> = decode(records.get(&b"seat"[..])?, "seat").ok()?;
        let keys = SeatKeys::from_bytes(&seat).ok()?;
        let group_records = records.iter().filter_map(|(name, value)| Some((name.strip_prefix(b"g/")?, &value[..])));
        let group = Group::restore(&keys, group_records).ok()?;
        let mut log = Log::default();
        let bases = meta.bases.iter().copied().chain(std::iter::repeat(Head::default()));
        meta.roster.seats().zip(bases).for_each(|((_, seat), base)| log.open_line(seat.id, seat.key, base));
        let entries = records.iter().filter(|(name, _)| name.starts_with(b"e/"));
        for entry in entries.filter_map(|(_, value)| decode::<Item>(value, "entry").ok()) {
            log.append(entry);
        }
        let mut room = Room::with(now, talk, group, keys, meta, log);
        let owed = |(name, value): (&Vec<u8>, &Vec<u8>)| {
            let seat = SeatId(name.strip_prefix(OWED)?.try_into().ok()?);
            Some((seat, (decode(value, "welcome").ok()?, None)))
        };
        room.owed = records.iter().filter_map(owed).collect();
        if let Some((_, since)) = &mut room.meta.closing.proposal {
            // Elapsed time starts anew with the node: the proposal has ten minutes from here at most.
            *since = now;
        }
        room.meta.succession.resume(now);
        room.contact = Contact::Checking { until: now + CHECK_TIME_MAX };
        room.document_ask_at = room.meta.wants_document.then_some(now + ASK_INTERVAL);
        Some(room)
    }

    // ---- what a member may ask -------------------------------------------------------------------------------------------------

    /// Says something to all.
    ///
    /// # Errors
    /// [`Refused::OutOfRange`]: shorten it; [`Refused::Closing`]; [`Refused::ReadOnly`].
    pub fn say(&mut self, cx: &mut Cx<'_>, text: &str) -> Result<(), Refused> {
        self.may_write()?;
        if text.trim().is_empty() || text.chars().count() > SAY_CHARS_MAX {
            return Err(Refused::OutOfRange);
        }
        self.append(cx, Body::Say { text: text.to_owned() });
        Ok(())
    }

    /// Whether this member may still write.
    ///
    /// # Errors
    /// [`Refused::Closing`] after our vote, [`Refused::ReadOnly`] in a room below its minimum.
    pub fn may_write(&self) -> Result<(), Refused> {
        if self.meta.closing.votes.contains_key(&self.meta.me) {
            return Err(Refused::Closing);
        }
        if self.meta.read_only { Err(Refused::ReadOnly) } else { Ok(()) }
    }

    /// Sends a committed change of the notes.
    pub fn change(&mut self, cx: &mut Cx<'_>, generation: u32, bytes: Vec<u8>) {
        self.append(cx, Body::Change { generation, bytes });
    }

    /// Sends a word of the fold.
    pub fn fold(&mut self, cx: &mut Cx<'_>, body: Body) -> Vec<Effect> {
        self.append(cx, body)
    }

    /// Asks whoever hears it for the whole document.
    pub fn ask_for_document(&mut self, cx: &mut Cx<'_>) {
        self.meta.wants_document = true;
        self.persist(cx);
        self.document_ask_at = Some(cx.now + DOCUMENT_ASK_INTERVAL);
        let post = Post::new(&self.current_keys(), &Message::WantDocument).ephemeral();
        cx.post(post.with_mailbox(self.mailbox(cx), self.talk));
    }

    /// A document that others offered is in use.
    pub fn has_document(&mut self, cx: &mut Cx<'_>) {
        self.document_ask_at = None;
        if std::mem::take(&mut self.meta.wants_document) {
            self.persist(cx);
        }
    }

    /// Whether it is on us to send the document now; said once. The node then calls [`Room::send_document`].
    pub fn take_document_due(&mut self, now: Instant) -> bool {
        let is_due = self.document_due.take_if(|due| *due <= now).is_some();
        if is_due {
            self.document_rests_until = now + DOCUMENT_ASK_INTERVAL / 2;
        }
        is_due
    }

    /// Shows what somebody types until the change comes.
    pub fn keep_preview(&mut self, now: Instant, preview: Preview) {
        if self.meta.roster.seat(preview.seat).is_some() {
            self.previews.insert(preview.seat, (preview, now + PREVIEW_TIME));
        }
    }

    /// Whether there are keys that may open what is carried already; said once.
    pub fn take_new_keys(&mut self) -> bool {
        std::mem::take(&mut self.has_new_keys)
    }

    /// What a peer's clock shows, in minutes since the Unix epoch; said once.
    pub fn take_peer_minutes(&mut self) -> Option<u32> {
        self.peer_minutes.take()
    }

    /// Sends keystrokes to whoever is within two hops.
    pub fn preview(&mut self, cx: &mut Cx<'_>, at: u32, delete: u32, insert: String) {
        let preview = Message::Preview(Preview { seat: self.meta.me, at, delete, insert });
        let post = Post::new(&self.current_keys(), &preview).ephemeral().within_hops(1);
        if post.is_small() {
            cx.post(post);
        }
    }

    /// Proposes to close, or agrees to what is proposed.
    pub fn close(&mut self, cx: &mut Cx<'_>) -> Vec<Effect> {
        if self.meta.closing.votes.contains_key(&self.meta.me) {
            return Vec::new();
        }
        if self.meta.closing.proposal.is_none() {
            self.append(cx, Body::Propose);
        }
        self.vote(cx)
    }

    /// Wants a seat removed.
    ///
    /// # Errors
    /// [`Refused::UnknownSeat`] if it does not sit here or is our own.
    pub fn remove(&mut self, cx: &mut Cx<'_>, seat: SeatNumber) -> Result<(), Refused> {
        let sits = self.meta.roster.seat(seat).is_some_and(|other| other.standing == Standing::Sits);
        if !sits || seat == self.meta.me {
            return Err(Refused::UnknownSeat);
        }
        let signature = self.wish(seat).ok_or(Refused::UnknownSeat)?;
        self.append(cx, Body::Remove { seat, signature });
        Ok(())
    }

    /// Says goodbye; the caller erases.
    pub fn leave(&mut self, cx: &mut Cx<'_>) {
        let signature = close::leave(&self.keys, &self.room);
        self.append(cx, Body::Leave { signature });
    }

    /// Vouches for a newcomer whose words were compared.
    ///
    /// # Errors
    /// [`Refused::Full`], [`Refused::Closing`].
    pub fn vouch(&mut self, cx: &mut Cx<'_>, offer: Vec<u8>) -> Result<(), Refused> {
        self.may_write()?;
        if self.meta.roster.sitting().count() >= usize::from(self.meta.terms.seats_max) {
            return Err(Refused::Full);
        }
        self.append(cx, Body::Vouch { offer });
        Ok(())
    }

    /// Notes that this seat is at the table, or no longer.
    pub fn place(&mut self, cx: &mut Cx<'_>, at_table: bool) {
        if self.meta.roster.seat(self.meta.me).is_some_and(|seat| seat.at_table != at_table) {
            self.append(cx, Body::Place { at_table });
        }
    }

    // ---- what comes in ---------------------------------------------------------------------------------------------------------

    /// The keys that recognise this parcel, if it is for an epoch of this room.
    pub fn recognise(&self, parcel: &Parcel) -> Option<ParcelKeys> {
        self.meta.epochs.iter().rev().map(|epoch| ParcelKeys::new(&epoch.secret)).find(|keys| keys.recognises(parcel))
    }

    /// Whether a parcel is for the newest epoch of this room.
    pub fn recognise_newest(&self, parcel: &Parcel) -> bool {
        self.meta.epochs.back().is_some_and(|epoch| ParcelKeys::new(&epoch.secret).recognises(parcel))
    }

    /// Takes the content of a parcel that [`Room::recognise`] recognised.
    ///
    /// # Errors
    /// A [`Fault`]: a member broke a rule.
    pub fn receive(&mut self, cx: &mut Cx<'_>, content: &[u8], via: Via) -> Result<Vec<Effect>, Fault> {
        let Some(message) = self.assembler.take(content)? else { return Ok(Vec::new()) };
        match decode(&message, "room message")? {
            Message::Sealed(bytes) => self.take_sealed(cx, bytes, via),
            Message::Commit(commit) => self.take_commit(cx, commit),
            Message::Beacon(beacon) => {
                self.take_beacon(cx, &beacon, via);
                Ok(Vec::new())
            }
            Message::Ask { numbers } => {
                self.take_ask(cx, &numbers);
                Ok(Vec::new())
            }
            Message::Preview(preview) => Ok(vec![Effect::Preview(preview)]),
            Message::WantDocument => {
                if !self.meta.wants_document && self.document_rests_until <= cx.now {
                    let delay = cx.rng.between(Duration::from_millis(20), DOCUMENT_ANSWER_DELAY_MAX);
                    self.document_due.get_or_insert(cx.now + delay);
                }
                Ok(Vec::new())
            }
            Message::Document { seat, generation, folded, document, signature } => {
                let sender = self.meta.roster.seat(seat).ok_or(Fault::Forged("document"))?;
                let from = sender.id;
                if !document_holds(&self.room, sender, generation, &folded, &document, signature) {
                    return Err(Fault::Forged("document"));
                }
                Ok(self.take_document(from, generation, &folded, document))
            }
            Message::Step(step) => self.take_step(cx, step),
        }
    }

    fn take_sealed(&mut self, cx: &mut Cx<'_>, bytes: Vec<u8>, via: Via) -> Result<Vec<Effect>, Fault> {
        match self.group.open(&bytes) {
            Ok(Opened::Message { from, plaintext, .. }) => {
                self.persist_group(cx);
                if let Some(number) = self.meta.roster.number(from) {
                    self.hear(cx.now, number, via);
                }
                let items: Vec<Item> = decode(&plaintext, "entries")?;
                self.forget_answered(cx.now);
                let mut effects = Vec::new();
                // Nobody tells us what stands in our own line.
                let me = self.meta.me;
                for item in items.into_iter().filter(|item| item.seat() != me) {
                    let place = (item.seat(), item.number());
                    let ready = self.log.receive(&self.room, item, verify_entry)?;
                    self.answered.insert(place, cx.now);
                    for ready in ready {
                        self.persist_item(cx, &ready);
                        if let Item::Entry(entry) = ready {
                            effects.extend(self.act(cx, entry)?);
                        }
                    }
                }
                self.persist(cx);
                Ok(effects)
            }
            Ok(Opened::Commit(_)) => Err(Fault::OutOfPlace("commit")),
            Err(GroupError::Later { .. }) => {
                if self.early.len() == EARLY_MAX {
                    self.early.pop_front();
                }
                self.early.push_back(bytes);
                self.trickle.reset(cx.rng, cx.now);
                Ok(Vec::new())
            }
            Err(GroupError::Replayed | GroupError::TooOld | GroupError::Removed) => Ok(Vec::new()),
            Err(
                GroupError::Malformed
                | GroupError::Forged
                | GroupError::Foreign
                | GroupError::Refused(_)
                | GroupError::UnknownSeat
                | GroupError::Broken,
            ) => Err(Fault::Forged("group message")),
        }
    }

    fn take_beacon(&mut self, cx: &mut Cx<'_>, beacon: &Beacon, via: Via) {
        self.hear(cx.now, beacon.seat, via);
        self.peer_minutes = Some(beacon.wall_minutes);
        let here = (self.meta.term, self.group.epoch());
        if (beacon.term, beacon.epoch) < here {
            self.send_commits(cx, (beacon.term, beacon.epoch));
        } else if (beacon.term, beacon.epoch) == here {
            let ours = self.log.digest();
            if beacon.digest != ours {
                if self.asking.differs(beacon.digest, ours) {
                    self.trickle.reset(cx.rng, cx.now);
                }
                self.want_missing(cx);
            }
        }
    }

    /// Asks for what we lack, a moment later than others may who heard the same.
    fn want_missing(&mut self, cx: &mut Cx<'_>) {
        let delay = cx.rng.between(Duration::from_millis(20), Duration::from_millis(200));
        self.asking.want(cx.now + delay);
    }

    fn take_ask(&mut self, cx: &mut Cx<'_>, numbers: &[u32]) {
        if self.log.lacks(numbers) {
            self.want_missing(cx);
        }
        let now = cx.now;
        self.forget_answered(now);
        let unanswered = |item: &Item| !self.answered.contains_key(&(item.seat(), item.number()));
        let missing: Vec<_> = self.log.missing(numbers, ANSWER_BYTES_MAX).into_iter().filter(unanswered).collect();
        for batch in batches(missing) {
            self.answered.extend(batch.iter().map(|item| ((item.seat(), item.number()), now)));
            self.send_items(cx, &batch);
        }
    }

    /// What was answered longer ago may be answered again: nothing is remembered of it.
    fn forget_answered(&mut self, now: Instant) {
        self.answered.retain(|_, at| now.since(*at) < ASK_INTERVAL);
    }

    fn take_document(&mut self, from: SeatId, generation: u32, folded: &[u64], document: Vec<u8>) -> Vec<Effect> {
        let included = folded.get(usize::from(self.meta.me)).copied().unwrap_or(0);
        // Another has answered already.
        self.document_due = None;
        match self.meta.wants_document {
            true => vec![Effect::Document { from, generation, included, bytes: document }],
            false => Vec::new(),
        }
    }

    /// Acts on an entry that is new and in order: ours as well as others'.
    fn act(&mut self, cx: &mut Cx<'_>, entry: Entry) -> Result<Vec<Effect>, Fault> {
        let Entry { seat, number, body, signature: signed } = entry;
        let mut effects = Vec::new();
        match body {
            Body::Hello { rejoin_key } => {
                if let Some(seat) = self.meta.roster.seat_mut(seat)
                    && number == 1
                {
                    seat.rejoin_key = Some(RejoinKey { key: rejoin_key, hello: signed });
                }
                let heard: Option<SeatId> = self.meta.roster.seat(seat).map(|seat| seat.id);
                self.meta.to_tell.retain(|(id, ..)| Some(*id) != heard);
                if let Some(seat) = heard.filter(|seat| self.owed.remove(seat).is_some()) {
                    cx.delete(Scope::Talk(self.talk), &owed_name(seat));
                }
            }
            Body::Say { .. } => cx.tell(Event::Said(self.talk)),
            Body::Change { generation, bytes } => {
                self.previews.remove(&seat);
                effects.push(Effect::Change { seat, number, generation, bytes });
            }
            Body::Place { at_table } => {
                if let Some(seat) = self.meta.roster.seat_mut(seat) {
                    seat.at_table = at_table;
                }
            }
            Body::Leave { signature } => effects.extend(self.say_goodbye(cx, seat, &signature)?),
            Body::Goodbye { seat: leaver, signature } => effects.extend(self.say_goodbye(cx, leaver, &signature)?),
            Body::Remove { seat: target, signature } => {
                if !self.wish_holds(seat, target, &signature) {
                    return Err(Fault::Forged("wish for a removal"));
                }
                self.meta.roster.vote_removal(seat, target, signature);
            }
            Body::Vouch { offer } => {
                let offer: Offer = decode(&offer, "vouched offer")?;
                let member = super::group::check_key_package(&offer.key_package).map_err(|_| Fault::Forged("key package"))?;
                if self.is_chair() {
                    self.queue_admission(cx, member.seat, Admission::New(offer));
                } else if self.vouched.len() < CANDIDATES_MAX {
                    self.vouched.push(offer);
                    self.need_chair(cx.now);
                }
            }
            Body::Propose => {
                self.meta.closing.see(ProposalId(seat, number), cx.now);
                effects.extend(self.revote(cx));
            }
            Body::Vote(vote) => {
                let voter = self.meta.roster.seat(seat).ok_or(Fault::OutOfPlace("vote"))?;
                if !close::vote_holds(&self.room, voter.id, &voter.key, &vote) {
                    return Err(Fault::Forged("vote"));
                }
                if !self.meta.closing.lapsed.contains(&vote.proposal) {
                    self.meta.closing.see(vote.proposal, cx.now);
                    self.meta.closing.votes.insert(seat, vote);
                    effects.extend(self.revote(cx));
                }
            }
            Body::Retract { proposal } => self.drop_proposal(cx, seat, proposal),
            Body::FoldAt { .. } | Body::Folded { .. } | Body::FoldDone { .. } => effects.push(Effect::Fold(seat, body)),
        }
        effects.extend(self.follow_up(cx));
        Ok(effects)
    }

    /// What an entry may have brought about: somebody may go, or all agree to close.
    fn follow_up(&mut self, cx: &mut Cx<'_>) -> Option<Effect> {
        if self.next_removal().is_some() {
            if self.is_chair() {
                self.commit_at.get_or_insert(cx.now + COMMIT_GATHER);
            }
            self.need_chair(cx.now);
        }
        cx.tell(Event::TalkChanged(self.talk));
        self.certificate().map(Effect::Closed)
    }

    // ---- what goes out ---------------------------------------------------------------------------------------------------------

    /// Signs, remembers, acts on and sends an entry of our own.
    fn append(&mut self, cx: &mut Cx<'_>, body: Body) -> Vec<Effect> {
        let (number, chain) = self.log.next(self.meta.me);
        let message = Entry::signed_parts(&self.room, self.keys.id(), number, &chain, &body);
        let signature = self.keys.sign("entry", &[&message]).into();
        let entry = Entry { seat: self.meta.me, number, body, signature };
        let item = Item::Entry(entry.clone());
        self.log.append(item.clone());
        self.persist_item(cx, &item);
        self.send_items(cx, &[item]);
        // Our own entries are made to hold, and a change of ours is in the document already.
        let effects = match &entry.body {
            Body::Change { .. } => Vec::new(),
            _ => self.act(cx, entry).unwrap_or_default(),
        };
        self.persist(cx);
        effects
    }

    fn send_items(&mut self, cx: &mut Cx<'_>, items: &[Item]) {
        let Ok(sealed) = self.group.seal(cx.rng, &encode(&items)) else { return };
        self.persist_group(cx);
        let post = Post::new(&self.current_keys(), &Message::Sealed(sealed)).with_mailbox(self.mailbox(cx), self.talk);
        cx.post(post);
    }

    fn send_commits(&mut self, cx: &mut Cx<'_>, from: (u32, u64)) {
        if self.last_commits_sent.is_some_and(|at| cx.now.since(at) < ASK_INTERVAL) {
            return;
        }
        self.last_commits_sent = Some(cx.now);
        let commits: Vec<_> = self.meta.commits.iter().filter(|(after, _)| *after >= from).cloned().collect();
        for (after, message) in commits {
            if let Some(keys) = self.keys_of(after) {
                let mut post = Post::new(&keys, &()).with_mailbox(self.mailbox(cx), self.talk);
                post.message = message;
                cx.post(post);
            }
        }
    }

    /// Sends the document to whoever lacks what a fold included.
    pub fn send_document(&mut self, cx: &mut Cx<'_>, generation: u32, document: Vec<u8>) {
        let folded = self.meta.folded.clone();
        let parts = document_parts(generation, &folded, &document);
        let signature = self.keys.sign(DOCUMENT_DOMAIN, &[&self.room, &parts]).into();
        let document = Message::Document { seat: self.meta.me, generation, folded, document, signature };
        cx.post(Post::new(&self.current_keys(), &document).with_mailbox(self.mailbox(cx), self.talk));
    }

    /// Remembers how many changes of each seat the fold took in.
    pub fn note_fold(&mut self, folded: Vec<u64>) {
        self.meta.folded = folded;
    }

    /// Lets go of changes of former generations: only their places stay.
    pub fn fold_log(&mut self, cx: &mut Cx<'_>, generation: u32) {
        let former = |entry: &Entry| matches!(&entry.body, Body::Change { generation: of, .. } if *of < generation);
        let folded = self.log.fold(former);
        folded.iter().for_each(|item| self.persist_item(cx, item));
        self.persist(cx);
    }

    fn beacon(&mut self, cx: &mut Cx<'_>, to_relay: bool) {
        let beacon = Beacon {
            seat: self.meta.me,
            term: self.meta.term,
            epoch: self.group.epoch(),
            digest: self.log.digest(),
            wall_minutes: cx.shown.minutes(),
        };
        // The epoch before knows us too: whoever lags there learns that there is a commit to ask for.
        let post = Post::new(&self.current_keys(), &Message::Beacon(beacon)).ephemeral();
        let mailbox = if to_relay { self.mailbox(cx) } else { None };
        cx.post(post.with_mailbox(mailbox, self.talk));
    }

    // ---- time ------------------------------------------------------------------------------------------------------------------

    /// Does what is due. Says whether the talk's time is over.
    pub fn tick(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.deadline <= cx.now {
            return true;
        }
        if self.trickle.next() <= cx.now {
            self.beacon(cx, false);
            self.trickle.sent(cx.rng, cx.now);
        }
        if self.next_relay_beacon.is_some_and(|at| at <= cx.now) {
            self.next_relay_beacon = Some(cx.now + RELAY_BEACON_INTERVAL);
            if !self.rests(cx.now) {
                self.beacon(cx, true);
            }
        }
        if self.asking.take_due(cx.now) {
            let numbers = self.log.proven();
            let post = Post::new(&self.current_keys(), &Message::Ask { numbers }).ephemeral();
            cx.post(post.with_mailbox(self.mailbox(cx), self.talk));
        }
        if self.document_ask_at.is_some_and(|at| at <= cx.now) {
            self.ask_for_document(cx);
        }
        if matches!(self.contact, Contact::Checking { until } if until <= cx.now) {
            self.contact = Contact::Unchecked;
            cx.tell(Event::TalkChanged(self.talk));
        }
        self.lapse(cx);
        self.leave_table_if_alone(cx);
        self.remember_time(cx);
        self.succeed(cx);
        false
    }

    /// When [`Room::tick`] or [`Room::commit`] has something to do next.
    pub fn poll_timeout(&self) -> Instant {
        let checking = match self.contact {
            Contact::Checking { until } => Some(until),
            Contact::Fresh | Contact::Unchecked => None,
        };
        let commit = self.commit_at.filter(|_| self.is_chair());
        let lapse = self.meta.closing.proposal.map(|(_, since)| since + PROPOSAL_TIME_MAX);
        let (trickle, deadline, succession) = (Some(self.trickle.next()), Some(self.deadline), self.succession_due());
        let due = [
            self.document_ask_at,
            self.document_due,
            trickle,
            deadline,
            self.next_relay_beacon,
            self.asking.due(),
            checking,
            commit,
            lapse,
            succession,
        ];
        due.into_iter().flatten().min().unwrap_or(self.deadline)
    }

    fn leave_table_if_alone(&mut self, cx: &mut Cx<'_>) {
        let at_table = self.meta.roster.seat(self.meta.me).is_some_and(|seat| seat.at_table);
        let last = self.heard.values().filter_map(|heard| heard.link).max();
        if at_table && last.is_some_and(|last| cx.now.since(last) > TABLE_SILENCE_MAX) {
            self.append(cx, Body::Place { at_table: false });
        }
    }

    fn remember_time(&mut self, cx: &mut Cx<'_>) {
        let remaining = Duration::from_micros(self.deadline.0.saturating_sub(cx.now.0));
        if self.meta.remaining.saturating_sub(remaining) >= Duration::from_secs(600) {
            self.meta.remaining = remaining;
            self.persist(cx);
        }
    }

    /// Somebody is heard again after a time alone, or a transport came up: whether anything is newer must be asked.
    pub fn check(&mut self, cx: &mut Cx<'_>) {
        let last = self.heard.values().filter_map(|heard| heard.any).max();
        if last.is_none_or(|last| cx.now.since(last) > ABSENCE_MAX) && self.contact == Contact::Fresh {
            self.contact = Contact::Checking { until: cx.now + CHECK_TIME_MAX };
        }
        self.trickle.reset(cx.rng, cx.now);
    }

    /// The relay came up: say there what we know.
    pub fn relay_up(&mut self, cx: &mut Cx<'_>) {
        self.next_relay_beacon = Some(cx.now + cx.rng.between(Duration::from_millis(200), Duration::from_secs(2)));
    }

    /// A transport answered that nothing newer is there.
    pub fn nothing_newer(&mut self, cx: &mut Cx<'_>) {
        if self.contact != Contact::Fresh {
            self.contact = Contact::Fresh;
            cx.tell(Event::TalkChanged(self.talk));
        }
    }

    fn hear(&mut self, now: Instant, seat: SeatNumber, via: Via) {
        if seat == self.meta.me || self.meta.roster.seat(seat).is_none() {
            return;
        }
        let heard = self.heard.entry(seat).or_default();
        heard.any = Some(now);
        if via == Via::Link {
            heard.link = Some(now);
        }
        self.contact = Contact::Fresh;
    }

    /// Whether the online leg rests: everybody who sits is at the table and was heard over a link a moment ago.
    pub fn rests(&self, now: Instant) -> bool {
        let near = |number: SeatNumber| {
            number == self.meta.me
                || self.heard.get(&number).and_then(|heard| heard.link).is_some_and(|at| now.since(at) <= TABLE_SILENCE_MAX)
        };
        self.meta.roster.sitting().count() > 1 && self.meta.roster.sitting().all(|(number, seat)| seat.at_table && near(number))
    }

    // ---- records and keys --------------------------------------------------------------------------------------------------------

    fn push_epoch(&mut self) {
        if let Ok(secret) = self.group.export("alcove/1 parcels", &self.meta.term.to_be_bytes()) {
            let seats = self.group.roster();
            let leaves = seats.iter().filter_map(|member| self.meta.roster.number(member.seat)).collect();
            let (term, epoch, seats) = (self.meta.term, self.group.epoch(), self.meta.roster.seats().count());
            self.meta.epochs.push_back(Epoch { term, epoch, secret, leaves, seats });
            self.has_new_keys = true;
        }
        while self.meta.epochs.len() > EPOCH_KEYS_MAX {
            self.meta.epochs.pop_front();
        }
    }

    /// Keeps a step of the chain (a commit, or the founding of a term) for members that lag behind it.
    fn keep_step(&mut self, after: (u32, u64), message: &Message) {
        self.meta.commits.push_back((after, encode(message)));
        while self.meta.commits.len() > COMMITS_MAX {
            self.meta.commits.pop_front();
        }
    }

    fn current_keys(&self) -> ParcelKeys {
        match self.meta.epochs.back() {
            Some(epoch) => ParcelKeys::new(&epoch.secret),
            None => ParcelKeys::new(&self.meta.founding.derive("alcove/1 no epoch", &[])),
        }
    }

    fn keys_of(&self, (term, epoch): (u32, u64)) -> Option<ParcelKeys> {
        let known = self.meta.epochs.iter().find(|known| (known.term, known.epoch) == (term, epoch));
        known.map(|known| ParcelKeys::new(&known.secret))
    }

    fn mailbox(&self, cx: &Cx<'_>) -> Option<WriteName> {
        (!self.rests(cx.now)).then(|| cx.event.bucket(cx.event.bucket_of(&self.meta.founding)).write_name())
    }

    fn persist(&self, cx: &mut Cx<'_>) {
        cx.put(Scope::Talk(self.talk), b"room", &self.meta);
    }

    fn persist_group(&mut self, cx: &mut Cx<'_>) {
        for (name, value) in self.group.take_changes() {
            let name = [b"g/", &name[..]].concat();
            match value {
                Some(value) => cx.out.push_back(crate::proto::io::Output::Persist(crate::proto::io::Persist::Put {
                    scope: Scope::Talk(self.talk),
                    name,
                    value,
                })),
                None => cx.delete(Scope::Talk(self.talk), &name),
            }
        }
    }

    fn persist_item(&self, cx: &mut Cx<'_>, item: &Item) {
        cx.put(Scope::Talk(self.talk), &entry_name(item.seat(), item.number()), item);
    }

    fn stub(&self, bucket: u16) -> Stub {
        Stub {
            rejoin_key: self.meta.rejoin_key.clone(),
            number: self.meta.me,
            seat: self.keys.id(),
            key: self.keys.verifying_key(),
            room: self.room,
            door: self.door.0.public(),
            door_mailbox: self.door.1.write_name(),
            afterlife: self.afterlife(),
            bucket,
            expires_hours: self.meta.terms.expires_hours,
        }
    }
}

struct MetaStart {
    terms: Terms,
    card: CardId,
    founding: Key,
    term: u32,
    chair: SeatNumber,
    me: SeatNumber,
    roster: Roster,
    opened: WallTime,
    heads: Vec<Head>,
}

impl Admission {
    /// What a stranger or a returning device handed in; a seat that follows late needs none.
    fn offer(&self) -> Option<&Offer> {
        match self {
            Admission::New(offer) => Some(offer),
            Admission::Return(rejoin) => Some(&rejoin.offer),
            Admission::Late { .. } => None,
        }
    }

    fn key_package(&self) -> &[u8] {
        match self {
            Admission::New(offer) => &offer.key_package,
            Admission::Return(rejoin) => &rejoin.offer.key_package,
            Admission::Late { key_package, .. } => key_package,
        }
    }

    fn returned(&self) -> Option<Returned> {
        match self {
            Admission::New(_) | Admission::Late { .. } => None,
            Admission::Return(rejoin) => {
                let member = super::group::check_key_package(&rejoin.offer.key_package).ok()?;
                Some(Returned { old: rejoin.old, newer: member.seat, signature: rejoin.signature })
            }
        }
    }
}

/// Under which name the stub of a talk is remembered.
pub fn stub_name(talk: TalkId) -> Vec<u8> {
    [b"stub/", &talk.0[..]].concat()
}

/// Under which names it is remembered whom we owe a welcome.
const OWED: &[u8] = b"w/";

fn owed_name(seat: SeatId) -> Vec<u8> {
    [OWED, &seat.0[..]].concat()
}

fn entry_name(seat: SeatNumber, number: u32) -> Vec<u8> {
    [b"e/", &[seat][..], &number.to_be_bytes()].concat()
}

fn room_door(founding: &Key) -> Door {
    Door::from_seed(&founding.derive("alcove/1 room door", &[]))
}

fn room_mailbox(founding: &Key) -> ReadKey {
    ReadKey(founding.derive("alcove/1 room mailbox", &[]))
}

/// What a seat says of a document that it sends.
fn document_parts(generation: u32, folded: &[u64], document: &[u8]) -> Vec<u8> {
    encode(&(generation, folded, document))
}

fn document_holds(room: &[u8; 16], sender: &Seat, generation: u32, folded: &[u64], document: &[u8], signature: Sig) -> bool {
    let parts = document_parts(generation, folded, document);
    verify(&sender.key, DOCUMENT_DOMAIN, &[room, &parts], &signature.to_bytes())
}

fn verify_entry(key: &[u8; 32], domain: &str, message: &[u8], signature: &[u8; 64]) -> bool {
    verify(key, domain, &[message], signature)
}

/// Items in portions that each fill a large parcel at most, if they can.
fn batches(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut batches: Vec<Vec<Item>> = Vec::new();
    let mut room_left = 0;
    for item in items {
        let size = encode(&item).len();
        if size > room_left {
            batches.push(Vec::new());
            room_left = 3_000;
        }
        room_left = room_left.saturating_sub(size);
        if let Some(batch) = batches.last_mut() {
            batch.push(item);
        }
    }
    batches
}
