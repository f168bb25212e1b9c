//! What a talk asks of its node: effects of its room, the way from one stage to the next, and the end.

use super::Node;
use crate::proto::board::Board;
use crate::proto::config::{FOLD_HEARD_WITHIN, TALKS_MAX};
use crate::proto::cx::{Cx, Post};
use crate::proto::error::Fault;
use crate::proto::id::{JobId, SeatId, Source, TalkId};
use crate::proto::io::{Answer, Event, Output, Scope};
use crate::proto::notes::exchange::Notes;
use crate::proto::talk::close::{Ending, Receipt};
use crate::proto::talk::entry::{Body, SeatNumber};
use crate::proto::talk::rejoin::Stub;
use crate::proto::talk::room::{Effect, Room};
use crate::proto::talk::seats::{Answered, Errand, Founding, Waiting};
use crate::proto::talk::{Stage, Talk};
use std::collections::BTreeSet;

/// Under which name the sealed commit that let us in is remembered.
pub(super) const LED_BY: &[u8] = b"led by";

/// Under which name a receipt is remembered.
pub(super) fn receipt_name(talk: TalkId) -> Vec<u8> {
    [b"receipt/", &talk.0[..]].concat()
}

impl Node {
    pub(super) fn room(&self, talk: TalkId) -> Option<&Room> {
        match &self.talks.get(&talk)?.stage {
            Stage::Open(room) => Some(room),
            Stage::Drafted(_) | Stage::Hosting(_) | Stage::Waiting(_) => None,
        }
    }

    pub(super) fn with_room<T>(&mut self, talk: TalkId, f: impl FnOnce(&mut Room, &mut Cx<'_>) -> T) -> Option<T> {
        self.with_cx(|parts, cx| match &mut parts.talks.get_mut(&talk)?.stage {
            Stage::Open(room) => Some(f(room, cx)),
            Stage::Drafted(_) | Stage::Hosting(_) | Stage::Waiting(_) => None,
        })
        .flatten()
    }

    pub(super) fn each_room(&mut self, mut f: impl FnMut(&mut Room, &mut Cx<'_>)) {
        self.with_cx(|parts, cx| {
            for talk in parts.talks.values_mut() {
                if let Stage::Open(room) = &mut talk.stage {
                    f(room, cx);
                }
            }
        });
    }

    /// Which draw a talk of ours is at, while people gather.
    pub(super) fn hosting_round(&self, talk: TalkId) -> Option<u32> {
        match &self.talks.get(&talk)?.stage {
            Stage::Hosting(hosting) => Some(hosting.round()),
            Stage::Drafted(_) | Stage::Waiting(_) | Stage::Open(_) => None,
        }
    }

    /// Remembers the stage of a talk whose room is not open.
    pub(super) fn remember_stage(&mut self, talk: TalkId) {
        self.with_cx(|parts, cx| {
            if let Some(known) = parts.talks.get(&talk) {
                cx.put(Scope::Talk(talk), b"stage", &known.record());
            }
        });
    }

    pub(super) fn has_room_for_a_talk(&self) -> bool {
        self.talks.len() < TALKS_MAX
    }

    /// The room is founded with us.
    pub(super) fn open_founded(&mut self, talk: TalkId, founding: Founding) {
        let seat = founding.keys.id();
        match self.with_cx(|_, cx| Room::found(cx, talk, founding)) {
            Some(Ok(room)) => self.open(talk, room, Some(Notes::new(seat))),
            Some(Err(fault)) => self.fault("a founding", fault),
            None => {}
        }
    }

    /// Whoever has waited long enough for a seat at a card that is withdrawn waits in vain.
    pub(super) fn give_up_waiting(&mut self) {
        let mut over = Vec::new();
        for talk in self.talks.values_mut() {
            let Stage::Waiting(waiting) = &mut talk.stage else { continue };
            let Errand::Card { card, .. } = *waiting.errand() else { continue };
            if self.board.card(card).is_none() {
                waiting.card_gone(self.now);
                over.extend(waiting.is_in_vain(self.now).then_some((talk.id, card)));
            }
        }
        for (talk, card) in over {
            self.drop_talk(talk);
            self.tell(Event::CardGone(card));
            self.tell(Event::TalkErased(talk));
        }
    }

    /// Takes an answer to a guest.
    pub(super) fn answered_guest(&mut self, talk: TalkId, answered: Answered) {
        match answered {
            Answered::Nothing => {}
            Answered::Changed => {
                self.remember_stage(talk);
                self.tell(Event::TalkChanged(talk));
            }
            Answered::Declined => {
                self.tell(Event::TalkErased(talk));
                self.drop_talk(talk);
            }
            Answered::Founded(founding) => self.open_founded(talk, *founding),
            Answered::Joined(joined) => {
                let (group, keys, state) = *joined;
                let joined = self.with_cx(|_, cx| Room::join(cx, talk, group, keys, &state));
                match joined {
                    Some(Ok((room, state))) => {
                        // Who left, or was removed, may come back while it goes on; what was closed is over for everybody.
                        let ended = |receipt: &Receipt| matches!(receipt.ending, Ending::Closed | Ending::Expired);
                        let marker = room.afterlife().marker;
                        let is_over = self.receipts.values().any(|receipt| ended(receipt) && receipt.afterlife.marker == marker);
                        if is_over {
                            return self.fault("a welcome", Fault::OutOfPlace("closed talk"));
                        }
                        self.open(talk, room, None);
                        self.with_cx(|_, cx| cx.put(Scope::Talk(talk), LED_BY, &state.led_by));
                        self.carry(state.led_by);
                        let from = self.room(talk).and_then(|room| room.roster().seat(room.chair())).map(|seat| seat.id);
                        self.take_document(talk, from, state.generation, 0, state.document);
                    }
                    Some(Err(fault)) => self.fault("a welcome", fault),
                    None => {}
                }
            }
        }
    }

    fn open(&mut self, talk: TalkId, mut room: Room, notes: Option<Notes>) {
        let seat = room.seat();
        if self.mailbox.is_up() {
            self.with_cx(|_, cx| room.relay_up(cx));
        }
        if let Some(known) = self.talks.get_mut(&talk) {
            known.stage = Stage::Open(Box::new(room));
        }
        self.remember_stage(talk);
        self.notes.insert(talk, notes.unwrap_or_else(|| Notes::new(seat)));
        self.remember_notes(talk);
    }

    pub(super) fn remember_notes(&mut self, talk: TalkId) {
        self.with_cx(|parts, cx| {
            if let Some(notes) = parts.notes.get(&talk) {
                cx.put(Scope::Talk(talk), b"notes", &(notes.generation(), notes.save()));
            }
        });
    }

    /// Does what a room asks for.
    pub(super) fn carry_out(&mut self, talk: TalkId, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Change { seat, generation, bytes, .. } => {
                    let id = self.room(talk).and_then(|room| room.roster().seat(seat)).map(|seat| seat.id);
                    if let (Some(id), Some(notes)) = (id, self.notes.get_mut(&talk)) {
                        let here = notes.generation();
                        notes.take(id, generation, bytes);
                        if generation < here {
                            // Too late for the fold: its author carries it over, and nobody keeps it.
                            self.with_room(talk, |room, cx| room.fold_log(cx, here));
                        }
                    }
                }
                Effect::Document { from, generation, included, bytes } => {
                    self.take_document(talk, Some(from), generation, included, bytes);
                }
                Effect::Preview(preview) => {
                    let now = self.now;
                    self.with_room(talk, |room, _| room.keep_preview(now, preview));
                    self.tell(Event::NotesChanged(talk));
                }
                Effect::Fold(seat, body) => self.fold(talk, seat, body),
                Effect::Closed(certificate) => return self.end_talk(talk, Ending::Closed, Some(&certificate)),
                Effect::Removed => return self.end_talk(talk, Ending::Removed, None),
            }
        }
    }

    pub(super) fn take_carried_document(&mut self, talk: TalkId, generation: u32, document: Vec<u8>) {
        self.take_document(talk, None, generation, 0, document);
    }

    /// Tries a document; `from` is not known when it came as an animated code.
    fn take_document(&mut self, talk: TalkId, from: Option<SeatId>, generation: u32, included: u64, bytes: Vec<u8>) {
        let id = JobId(self.next_job);
        if let Some(job) = self.notes.get_mut(&talk).and_then(|notes| notes.take_document(id, from, generation, included, bytes)) {
            self.next_job += 1;
            self.jobs.insert(id, talk);
            self.out.push_back(Output::Compute { id, job });
        }
    }

    pub(super) fn computed(&mut self, id: JobId, answer: Option<Answer>) {
        let Some(talk) = self.jobs.remove(&id) else { return };
        let Some(outcome) = self.notes.get_mut(&talk).map(|notes| notes.answered(id, answer.as_ref())) else { return };
        for seat in outcome.hostile {
            let name = self.room(talk).map(|room| room.persona(seat)).unwrap_or_default();
            self.fault(&name, Fault::Forged("edit: it was set aside"));
        }
        if let Some(from) = outcome.hostile_document {
            let name = from.and_then(|seat| self.room(talk).map(|room| room.persona(seat)));
            self.fault(&name.unwrap_or_else(|| "an animated code".to_owned()), Fault::Forged("document: it was set aside"));
        }
        if outcome.changed {
            self.remember_notes(talk);
            self.tell(Event::NotesChanged(talk));
        }
        if outcome.replaced {
            let generation = self.notes.get(&talk).map_or(0, Notes::generation);
            self.with_room(talk, |room, cx| {
                room.has_document(cx, generation);
                room.fold_log(cx, generation);
            });
        }
        self.send_changes(talk, outcome.own);
        self.try_fold(talk);
    }

    /// Sends changes of our own.
    pub(super) fn send_changes(&mut self, talk: TalkId, changes: Vec<Vec<u8>>) {
        if changes.is_empty() {
            return;
        }
        let generation = self.notes.get(&talk).map_or(0, Notes::generation);
        self.remember_notes(talk);
        self.with_room(talk, |room, cx| changes.into_iter().for_each(|bytes| room.change(cx, generation, bytes)));
        self.tell(Event::NotesChanged(talk));
    }

    // ---- fold --------------------------------------------------------------------------------------------------------------------

    /// The chair asks for a fold when the document has grown.
    pub(super) fn propose_fold(&mut self, talk: TalkId) {
        let wants = self.notes.get(&talk).is_some_and(Notes::wants_fold) && self.room(talk).is_some_and(Room::is_chair);
        if wants {
            self.strike(talk);
        }
    }

    /// The chair asks everybody to fold here: what was deleted is to be gone for good.
    pub(super) fn strike(&mut self, talk: TalkId) {
        let own = self.notes.get_mut(&talk).and_then(Notes::commit);
        self.send_changes(talk, own.into_iter().collect());
        let Some((generation, heads)) = self.notes.get(&talk).map(|notes| (notes.generation() + 1, notes.heads())) else { return };
        let effects = self.with_room(talk, |room, cx| room.fold(cx, Body::FoldAt { generation, heads }));
        self.carry_out(talk, effects.unwrap_or_default());
    }

    fn fold(&mut self, talk: TalkId, seat: SeatNumber, body: Body) {
        let Some(room) = self.room(talk) else { return };
        let (context, is_chair_word) = (room.fold_context(), room.chair() == seat);
        match body {
            Body::FoldAt { generation, heads } if is_chair_word => {
                let own = self.notes.get_mut(&talk).and_then(Notes::commit);
                self.send_changes(talk, own.into_iter().collect());
                let hash = self.notes.get_mut(&talk).and_then(|notes| notes.fold_at(generation, heads, &context));
                self.acknowledge_fold(talk, hash);
            }
            Body::Folded { .. } => self.conclude_fold(talk),
            Body::FoldDone { generation, hash } if is_chair_word => {
                let seats: Vec<_> =
                    self.room(talk).map(|room| room.roster().seats().map(|(_, seat)| seat.id).collect()).unwrap_or_default();
                let Some(notes) = self.notes.get_mut(&talk) else { return };
                let folded = notes.folded_counts(&seats);
                match notes.fold_done(generation, hash) {
                    Some(own) => {
                        self.with_room(talk, |room, cx| {
                            room.note_fold(folded);
                            room.fold_log(cx, generation);
                        });
                        self.remember_notes(talk);
                        self.send_changes(talk, own);
                        self.tell(Event::NotesChanged(talk));
                    }
                    // What we lack for it is folded away elsewhere: whoever hears us ask sends the document.
                    None => drop(self.with_room(talk, |room, cx| room.ask_for_document(cx, generation))),
                }
            }
            _ => {}
        }
    }

    /// After a restart: a fold that was under way goes on. Its words stand in the log.
    pub(super) fn resume_fold(&mut self, talk: TalkId) {
        let Some(here) = self.notes.get(&talk).map(Notes::generation) else { return };
        let Some(room) = self.room(talk) else { return };
        let is_to_come =
            |body: &Body| matches!(body, Body::FoldAt { generation, .. } | Body::FoldDone { generation, .. } if *generation > here);
        let words: Vec<_> =
            room.entries().filter(|entry| is_to_come(&entry.body)).map(|entry| (entry.seat, entry.body.clone())).collect();
        words.into_iter().for_each(|(seat, body)| self.fold(talk, seat, body));
    }

    fn try_fold(&mut self, talk: TalkId) {
        let Some(context) = self.room(talk).map(Room::fold_context) else { return };
        let hash = self.notes.get_mut(&talk).and_then(|notes| notes.try_fold(&context));
        self.acknowledge_fold(talk, hash);
    }

    fn acknowledge_fold(&mut self, talk: TalkId, hash: Option<[u8; 16]>) {
        let (Some(hash), Some(generation)) = (hash, self.notes.get(&talk).map(|notes| notes.generation() + 1)) else { return };
        if self.room(talk).is_some_and(|room| room.folded(room.number(), generation) == Some(hash)) {
            return;
        }
        let effects = self.with_room(talk, |room, cx| room.fold(cx, Body::Folded { generation, hash }));
        self.carry_out(talk, effects.unwrap_or_default());
    }

    /// The chair says that the fold is agreed, once every seat heard within ten minutes obtained the same.
    fn conclude_fold(&mut self, talk: TalkId) {
        let Some(generation) = self.notes.get(&talk).map(|notes| notes.generation() + 1) else { return };
        let Some(hash) = self
            .room(talk)
            .filter(|room| room.is_chair())
            .and_then(|room| room.fold_agreed(generation, self.now, FOLD_HEARD_WITHIN))
        else {
            return;
        };
        let effects = self.with_room(talk, |room, cx| room.fold(cx, Body::FoldDone { generation, hash }));
        self.carry_out(talk, effects.unwrap_or_default());
    }

    // ---- what is read where --------------------------------------------------------------------------------------------------------

    /// Tells the mailbox what this device reads at the relay.
    pub(super) fn read_mailboxes(&mut self) {
        self.with_cx(|parts, cx| {
            let (mut own, mut rooms) = (Vec::new(), BTreeSet::new());
            for talk in parts.talks.values() {
                match &talk.stage {
                    Stage::Drafted(_) => {}
                    Stage::Hosting(hosting) => own.push(hosting.door.mailbox.clone()),
                    Stage::Waiting(waiting) => {
                        own.push(waiting.door().1.clone());
                        if let Errand::Return(stub) = waiting.errand() {
                            rooms.insert(stub.bucket);
                        }
                    }
                    Stage::Open(room) => {
                        rooms.insert(room.bucket(cx.event));
                        if room.is_chair() {
                            own.extend(room.doors().into_iter().map(|(_, mailbox)| mailbox));
                        }
                    }
                }
            }
            // Confirmations come after the end.
            rooms.extend(parts.receipts.values().filter(|receipt| receipt.is_awaited()).map(|receipt| receipt.bucket));
            parts.mailbox.read(cx, &own, &rooms);
        });
    }

    /// A device whose forgetting keystore lost a talk asks back in.
    pub(super) fn return_to(&mut self, talk: TalkId, stub: Stub) {
        if let Some(Ok(waiting)) = self.with_cx(|_, cx| Waiting::new(cx, Errand::Return(stub))) {
            self.talks.insert(talk, Talk::new(talk, Stage::Waiting(Box::new(waiting))));
            self.remember_stage(talk);
        }
    }
}

/// Posts a signed card on the board: our own, everybody's and the relay's.
pub(super) fn post_card(board: &mut Board, cx: &mut Cx<'_>, signed: &Vec<u8>) {
    let _ours = board.receive(cx.wall, Source::Here, 0, signed);
    let mut post = Post::new(&cx.event.board, signed);
    post.mailbox = Some(cx.event.board_mailbox().write_name());
    cx.post(post);
}
