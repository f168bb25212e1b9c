//! An open room: its group, its log, and who is heard; what a member sends and what it does with what it hears.
//!
//! Laws: only the chair commits, and only for reasons that every member can check; a message opens once, an entry is acted on once;
//! what is missing is found by beacons and asked for by numbers; a vote to close ends one's own writing.

mod chair;
mod closing;
mod commit;
#[cfg(test)]
mod hostile;
mod mandate;
mod message;
mod notes;
mod opening;
mod recognition;
mod record;
mod succession;
#[cfg(test)]
mod tests;
mod view;

use super::agenda::{Admission, Agenda};
use super::attendance::Attendance;
use super::beacon::{Beacon, Trickle};
use super::close::{self, Certificate};
use super::door::Door;
use super::entry::{Body, Entry, Item, Log, ProposalId, SeatNumber};
use super::group::{Group, GroupError, Opened, SeatKeys, check_key_package, verify};
use super::preview::{Preview, Previews};
use super::recognition::Recognition;
use super::rejoin::RejoinKey;
use super::repair::Repair;
use super::roster::Standing;
use super::seats::{Offer, Welcome};
use crate::proto::config::{ANSWER_BYTES_MAX, LAST_WORDS, PROPOSAL_TIME_MAX, RELAY_BEACON_INTERVAL, SAY_CHARS_MAX};
use crate::proto::cx::{Cx, Post, Via};
use crate::proto::error::{Fault, Refused};
use crate::proto::id::{SeatId, TalkId, WriteName};
use crate::proto::io::{Event, ReadKey};
use crate::proto::secret::hash16;
use crate::proto::time::{Duration, Instant};
use crate::proto::wire::message::Assembler;
use crate::proto::wire::parcel::{Parcel, ParcelKeys};
use crate::proto::wire::{decode, encode};
use message::Message;
pub use opening::{Snapshot, State};
use record::Meta;
use std::collections::BTreeMap;

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
    /// The room's own, which everybody in it computes: where devices that return ask, and where that is left at the relay.
    door: (Door, ReadKey),
    meta: Meta,
    keys: SeatKeys,
    group: Group,
    log: Log,
    assembler: Assembler,
    trickle: Trickle,
    next_relay_beacon: Option<Instant>,
    repair: Repair,
    attendance: Attendance,
    agenda: Agenda,
    /// Whom we, the chair, have admitted and not yet heard, and when it was told so.
    unheard: BTreeMap<SeatId, (Welcome, Option<Instant>)>,
    deadline: Instant,
    previews: Previews,
    recognition: Recognition,
    peer_minutes: Option<u32>,
}

impl Room {
    fn new(now: Instant, talk: TalkId, group: Group, keys: SeatKeys, meta: Meta, log: Log) -> Room {
        Room {
            talk,
            room: hash16("alcove/1 room", &[&meta.founding.0]),
            door: chair::own_door(&meta.founding),
            deadline: now + meta.remaining,
            meta,
            keys,
            group,
            log,
            assembler: Assembler::default(),
            trickle: Trickle::new(now),
            next_relay_beacon: None,
            repair: Repair::default(),
            attendance: Attendance::new(now),
            agenda: Agenda::default(),
            unheard: BTreeMap::new(),
            previews: Previews::default(),
            recognition: Recognition::default(),
            peer_minutes: None,
        }
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

    /// The keys that may open what is carried already; said once.
    pub fn take_new_keys(&mut self) -> Vec<ParcelKeys> {
        self.meta.epochs.take_new_keys()
    }

    /// What a peer's clock shows, in minutes since the Unix epoch; said once.
    pub fn take_peer_minutes(&mut self) -> Option<u32> {
        self.peer_minutes.take()
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

    /// Says goodbye, and what may not have been heard with it: a welcome, or words without which nobody could take what follows. We
    /// answer no more; the caller erases.
    pub fn leave(&mut self, cx: &mut Cx<'_>) {
        self.meta.to_tell.iter().for_each(|word| word.tell(cx, self.talk));
        let mut heard = self.log.proven();
        if let Some(ours) = heard.get_mut(usize::from(self.meta.me)) {
            *ours = ours.saturating_sub(LAST_WORDS);
        }
        for portion in self.repair.take_answers(cx.now, self.log.missing(&heard, ANSWER_BYTES_MAX)) {
            self.send_items(cx, &portion);
        }
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
        if at_table {
            self.attendance.sit_down(cx.now);
        }
        if self.meta.roster.seat(self.meta.me).is_some_and(|seat| seat.at_table != at_table) {
            self.append(cx, Body::Place { at_table });
        }
    }

    // ---- what comes in ---------------------------------------------------------------------------------------------------------

    /// The keys that recognise this parcel, if it is for an epoch of this room.
    pub fn recognise(&self, parcel: &Parcel) -> Option<ParcelKeys> {
        self.meta.epochs.recognise(parcel)
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
                self.meta.document.hear_request(cx.rng, cx.now);
                Ok(Vec::new())
            }
            Message::Document(offered) => self.take_document(offered),
            Message::Step(step) => self.take_step(cx, step),
            Message::Presence(sealed) => {
                self.take_presence(cx, &sealed, via)?;
                Ok(Vec::new())
            }
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
                self.repair.forget_answers(cx.now);
                let (mut effects, mut fault) = (Vec::new(), None);
                // Nobody tells us what stands in our own line.
                let me = self.meta.me;
                for item in items.into_iter().filter(|item| item.seat() != me) {
                    // What others say beside what is refused counts: it would not come again.
                    fault = self.take_item(cx, item, &mut effects).err().or(fault);
                }
                self.persist(cx);
                fault.filter(|_| effects.is_empty()).map_or(Ok(effects), Err)
            }
            Ok(Opened::Commit(_)) => Err(Fault::OutOfPlace("commit")),
            Err(GroupError::Later { .. }) => {
                self.meta.epochs.keep_early(bytes);
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
        if beacon.seat == self.meta.me {
            // Said before a restart and read again: it is news of nobody, and its clock is our own.
            return;
        }
        self.hear(cx.now, beacon.seat, via);
        self.note_term(beacon.seat, beacon.term);
        self.peer_minutes = Some(beacon.wall_minutes);
        let here = (self.meta.term, self.group.epoch());
        if (beacon.term, beacon.epoch) < here {
            self.send_commits(cx, (beacon.term, beacon.epoch));
        } else if (beacon.term, beacon.epoch) == here {
            let ours = self.log.digest();
            if beacon.digest != ours {
                if self.repair.differs(beacon.digest, ours) {
                    self.trickle.reset(cx.rng, cx.now);
                }
                self.repair.need(cx.rng, cx.now);
            }
        }
    }

    fn take_ask(&mut self, cx: &mut Cx<'_>, numbers: &[u32]) {
        if self.log.lacks(numbers) {
            self.repair.need(cx.rng, cx.now);
        }
        for portion in self.repair.take_answers(cx.now, self.log.missing(numbers, ANSWER_BYTES_MAX)) {
            self.send_items(cx, &portion);
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
                self.meta.to_tell.retain(|word| Some(word.seat) != heard);
                if let Some(seat) = heard {
                    self.forget_welcome(cx, seat);
                }
            }
            Body::Say { .. } => cx.tell(Event::Said(self.talk)),
            Body::Change { generation, bytes } => {
                self.previews.drop(seat);
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
                let member = check_key_package(&offer.key_package).map_err(|_| Fault::Forged("key package"))?;
                if self.is_chair() {
                    self.queue_admission(cx, member.seat, Admission::New(offer));
                } else if self.agenda.vouch(offer) {
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
                self.agenda.call(cx.now);
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
        if !self.repair.take_steps(cx.now) {
            return;
        }
        let mailbox = self.mailbox(cx);
        for (keys, step) in self.meta.epochs.steps_from(from) {
            cx.post(Post::encoded(&keys, step.to_vec()).with_mailbox(mailbox, self.talk));
        }
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
        if self.repair.take_ask(cx.now) {
            let numbers = self.log.proven();
            let post = Post::new(&self.current_keys(), &Message::Ask { numbers }).ephemeral();
            cx.post(post.with_mailbox(self.mailbox(cx), self.talk));
        }
        if self.meta.document.is_ask_due(cx.now) {
            self.ask_for_document(cx, 0);
        }
        if self.attendance.give_up(cx.now) {
            cx.tell(Event::TalkChanged(self.talk));
        }
        self.tick_recognition(cx);
        self.lapse(cx);
        self.leave_table_if_alone(cx);
        self.remember_time(cx);
        self.succeed(cx);
        false
    }

    /// When [`Room::tick`] or [`Room::commit`] has something to do next.
    pub fn poll_timeout(&self) -> Instant {
        let commit = self.agenda.due().filter(|_| self.is_chair());
        let lapse = self.meta.closing.proposal.map(|(_, since)| since + PROPOSAL_TIME_MAX);
        let (trickle, deadline, succession) = (Some(self.trickle.next()), Some(self.deadline), self.succession_due());
        let due = [
            self.meta.document.poll_timeout(),
            trickle,
            deadline,
            self.next_relay_beacon,
            self.repair.poll_timeout(),
            self.attendance.poll_timeout(),
            self.recognition.poll_timeout(),
            commit,
            lapse,
            succession,
        ];
        due.into_iter().flatten().min().unwrap_or(self.deadline)
    }

    fn leave_table_if_alone(&mut self, cx: &mut Cx<'_>) {
        let at_table = self.meta.roster.seat(self.meta.me).is_some_and(|seat| seat.at_table);
        if at_table && self.attendance.is_table_silent(cx.now) {
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
        self.attendance.check(cx.now);
        self.trickle.reset(cx.rng, cx.now);
    }

    /// The relay is up: say there what we know, now and from now on.
    pub fn relay_up(&mut self, cx: &mut Cx<'_>) {
        self.next_relay_beacon = Some(cx.now + cx.rng.between(Duration::from_millis(200), Duration::from_secs(2)));
    }

    /// A transport answered that nothing newer is there.
    pub fn nothing_newer(&mut self, cx: &mut Cx<'_>) {
        if self.attendance.confirm() {
            cx.tell(Event::TalkChanged(self.talk));
        }
    }

    fn hear(&mut self, now: Instant, seat: SeatNumber, via: Via) {
        if seat != self.meta.me && self.meta.roster.seat(seat).is_some() {
            self.attendance.hear(now, seat, via);
        }
    }

    /// Whether the online leg rests: everybody who sits is at the table and was heard over a link a moment ago.
    pub fn rests(&self, now: Instant) -> bool {
        let near = |number: SeatNumber| number == self.meta.me || self.attendance.is_near(number, now);
        self.meta.roster.sitting().count() > 1 && self.meta.roster.sitting().all(|(number, seat)| seat.at_table && near(number))
    }

    // ---- keys and ways ---------------------------------------------------------------------------------------------------------

    fn push_epoch(&mut self) {
        self.meta.epochs.enter(self.meta.term, &self.group, &self.meta.roster);
    }

    fn current_keys(&self) -> ParcelKeys {
        match self.meta.epochs.newest() {
            Some(epoch) => epoch.keys(),
            None => ParcelKeys::new(&self.meta.founding.derive("alcove/1 no epoch", &[])),
        }
    }

    fn mailbox(&self, cx: &Cx<'_>) -> Option<WriteName> {
        (!self.rests(cx.now)).then(|| cx.event.bucket(cx.event.bucket_of(&self.meta.founding)).write_name())
    }
}

fn verify_entry(key: &[u8; 32], domain: &str, message: &[u8], signature: &[u8; 64]) -> bool {
    verify(key, domain, &[message], signature)
}
