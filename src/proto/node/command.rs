//! What the user may ask of the node. Every command answers at once: done, or one sentence why not.

use super::Node;
use super::talks::post_card;
use crate::model::event::SignedPack;
use crate::proto::board::Terms;
use crate::proto::config::INTERESTS_MAX;
use crate::proto::cx::{EventKeys, Post};
use crate::proto::error::Refused;
use crate::proto::handoff::code::{Code, Kind};
use crate::proto::handoff::fountain::{self, Heard};
use crate::proto::handoff::table::Standing;
use crate::proto::id::{CardId, LinkId, Source, TalkId};
use crate::proto::io::{Output, Scope};
use crate::proto::notes::{Edit, Run, exchange::Notes};
use crate::proto::talk::close::Ending;
use crate::proto::talk::door;
use crate::proto::talk::entry::SeatNumber;
use crate::proto::talk::seats::{Errand, Hosting, Waiting};
use crate::proto::talk::{Stage, Talk};
use crate::proto::wire::encode;
use crate::proto::wire::parcel::ParcelKeys;
use crate::proto::wire::table_advert::TablePlan;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// What an animated code carries from one member to another.
#[derive(Serialize, Deserialize)]
struct Carried {
    generation: u32,
    document: Vec<u8>,
}

impl Node {
    // ---- the event ---------------------------------------------------------------------------------------------------------------

    /// Joins an event.
    ///
    /// # Errors
    /// [`Refused::EventOver`]; [`Refused::OtherEvent`] while talks of another event are open: close or leave them first.
    pub fn join_event(&mut self, pack: &SignedPack) -> Result<(), Refused> {
        if pack.is_over(self.wall()) {
            return Err(Refused::EventOver);
        }
        let other = self.event.as_ref().is_some_and(|event| event.id != pack.event());
        if other && !self.talks.is_empty() {
            return Err(Refused::OtherEvent);
        }
        if other {
            (self.board, self.mesh, self.mailbox) = Default::default();
        }
        self.enter_event(pack);
        self.with_cx(|_, cx| cx.put(Scope::Durable, b"event", &pack.bytes().to_vec()));
        self.upkeep();
        Ok(())
    }

    pub(super) fn enter_event(&mut self, pack: &SignedPack) {
        let event = pack.pack();
        self.pack = pack.bytes().to_vec();
        self.event = Some(EventKeys {
            id: pack.event(),
            board: ParcelKeys::new(&event.board_key),
            relay: event.relay_key.clone(),
            room_buckets: event.room_buckets,
            report: event.report_key,
            ends: event.ends_at,
        });
        self.plan = Some(TablePlan::new(&event.board_key, event.tables.iter().map(|table| table.number)));
        self.presence.compare_again();
    }

    /// The bytes of the joined event's pack.
    pub fn pack(&self) -> Option<&[u8]> {
        self.event.is_some().then_some(&self.pack)
    }

    /// Sets the tags that the board is compared with. They stay on this device.
    ///
    /// # Errors
    /// [`Refused::TooMany`].
    pub fn set_interests(&mut self, tags: Vec<String>) -> Result<(), Refused> {
        if tags.len() > INTERESTS_MAX {
            return Err(Refused::TooMany);
        }
        self.interests = tags;
        let interests = self.interests.clone();
        self.with_cx(|_, cx| cx.put(Scope::Durable, b"interests", &interests)).ok_or(Refused::NoEvent)
    }

    // ---- cards and seats -----------------------------------------------------------------------------------------------------------

    /// Writes a card without posting it.
    ///
    /// # Errors
    /// [`Refused::NoEvent`], [`Refused::OutOfRange`] (see [`Terms::checked`]), [`Refused::TooMany`] talks.
    pub fn draft_card(&mut self, terms: Terms) -> Result<TalkId, Refused> {
        if self.event.is_none() {
            return Err(Refused::NoEvent);
        }
        let terms = terms.checked(self.wall())?;
        if !self.has_room_for_a_talk() {
            return Err(Refused::TooMany);
        }
        let talk = TalkId(self.rng.bytes());
        self.talks.insert(talk, Talk::new(talk, Stage::Drafted(terms)));
        self.remember_stage(talk);
        Ok(talk)
    }

    /// Posts a drafted card: from now on people can take a seat.
    ///
    /// # Errors
    /// [`Refused::UnknownTalk`] if there is no such draft.
    pub fn post_card(&mut self, talk: TalkId) -> Result<CardId, Refused> {
        let Some(Stage::Drafted(terms)) = self.talks.get(&talk).map(|talk| &talk.stage) else { return Err(Refused::UnknownTalk) };
        let mut hosting = Hosting::new(&mut self.rng, terms.clone());
        let (card, signed) = hosting.door.next_card(true);
        if let Some(known) = self.talks.get_mut(&talk) {
            known.stage = Stage::Hosting(Box::new(hosting));
        }
        self.remember_stage(talk);
        let wall = self.wall();
        // Our own card stands on our own board too.
        let _ours = self.board.receive(wall, Source::Here, 0, &signed);
        self.with_cx(|_, cx| {
            let mut post = Post::new(&cx.event.board, &signed);
            (post.mailbox, post.owner) = (Some(cx.event.board_mailbox().write_name()), Some(talk));
            cx.post(post);
        });
        self.upkeep();
        Ok(card.id())
    }

    /// Takes a card off the board, or gives up a seat that was asked for. An open room is left by [`Node::leave`].
    ///
    /// # Errors
    /// [`Refused::UnknownTalk`].
    pub fn withdraw(&mut self, talk: TalkId) -> Result<(), Refused> {
        let known = self.talks.get_mut(&talk).ok_or(Refused::UnknownTalk)?;
        match &known.stage {
            Stage::Open(_) => return Err(Refused::UnknownTalk),
            Stage::Drafted(_) => {}
            Stage::Waiting(_) | Stage::Hosting(_) => {
                self.with_cx(|parts, cx| {
                    parts.mailbox.withdraw(cx, talk);
                    match parts.talks.get_mut(&talk).map(|talk| &mut talk.stage) {
                        Some(Stage::Waiting(waiting)) => waiting.stand_up(cx, talk),
                        Some(Stage::Hosting(hosting)) => {
                            hosting.decline_all(cx, talk);
                            let (_, signed) = hosting.door.next_card(false);
                            post_card(parts.board, cx, &signed);
                        }
                        Some(Stage::Drafted(_) | Stage::Open(_)) | None => {}
                    }
                });
            }
        }
        self.forget_talk(talk);
        self.send_posts();
        self.upkeep();
        Ok(())
    }

    /// Takes a seat at a card's talk.
    ///
    /// # Errors
    /// [`Refused::UnknownCard`], [`Refused::OwnCard`], [`Refused::SeatTaken`], [`Refused::TooMany`].
    pub fn take_seat(&mut self, card: CardId) -> Result<TalkId, Refused> {
        let content = self.board.card(card).cloned().ok_or(Refused::UnknownCard)?;
        let hosts = |talk: &Talk| matches!(&talk.stage, Stage::Hosting(hosting) if hosting.door.card() == card);
        let sits = |talk: &Talk| match &talk.stage {
            Stage::Waiting(waiting) => matches!(waiting.errand(), Errand::Card { card: of, .. } if *of == card),
            Stage::Open(room) => room.card() == card,
            Stage::Drafted(_) | Stage::Hosting(_) => false,
        };
        if self.talks.values().any(hosts) {
            return Err(Refused::OwnCard);
        }
        if self.talks.values().any(sits) {
            return Err(Refused::SeatTaken);
        }
        if !self.has_room_for_a_talk() {
            return Err(Refused::TooMany);
        }
        let talk = TalkId(self.rng.bytes());
        let waiting = self.with_cx(|_, cx| Waiting::new(cx, Errand::Card { card, content })).ok_or(Refused::NoEvent)?;
        let waiting = waiting.map_err(|_| Refused::OutOfRange)?;
        self.talks.insert(talk, Talk::new(talk, Stage::Waiting(Box::new(waiting))));
        self.remember_stage(talk);
        self.upkeep();
        Ok(talk)
    }

    // ---- in the room ---------------------------------------------------------------------------------------------------------------

    /// Says something to all.
    ///
    /// # Errors
    /// [`Refused::NotOpen`] and those of the room: see `Room::say`.
    pub fn say(&mut self, talk: TalkId, text: &str) -> Result<(), Refused> {
        self.check_open(talk)?;
        let said = self.with_room(talk, |room, cx| room.say(cx, text)).ok_or(Refused::NotOpen)?;
        self.upkeep();
        said
    }

    /// Edits the shared notes. Keystrokes go out at once as a preview; the change is cut when typing pauses or with [`Node::flush`].
    ///
    /// # Errors
    /// [`Refused::NotOpen`], [`Refused::Closing`], [`Refused::ReadOnly`], [`Refused::OutOfRange`], [`Refused::TooMany`].
    pub fn edit(&mut self, talk: TalkId, edits: &[Edit]) -> Result<(), Refused> {
        self.check_open(talk)?;
        self.with_room(talk, |room, _| room.may_write()).ok_or(Refused::NotOpen)??;
        let now = self.now;
        let notes = self.notes.get_mut(&talk).ok_or(Refused::NotOpen)?;
        let done = notes.edit(now, edits);
        let typed = notes.typed().filter(|_| edits.iter().any(|edit| matches!(edit, Edit::Splice { .. }))).cloned();
        if let Some(Run { at, delete, insert }) = typed {
            let (at, delete) = (u32::try_from(at).unwrap_or(u32::MAX), u32::try_from(delete).unwrap_or(u32::MAX));
            self.with_room(talk, |room, cx| room.preview(cx, at, delete, insert));
        }
        self.upkeep();
        done
    }

    /// Takes back our last edits of the notes, and nobody else's.
    ///
    /// # Errors
    /// [`Refused::NotOpen`], [`Refused::Closing`].
    pub fn undo(&mut self, talk: TalkId) -> Result<(), Refused> {
        self.check_open(talk)?;
        self.with_room(talk, |room, _| room.may_write()).ok_or(Refused::NotOpen)??;
        let changes = self.notes.get_mut(&talk).map(Notes::undo).unwrap_or_default();
        self.send_changes(talk, changes);
        self.upkeep();
        Ok(())
    }

    /// Cuts a change of what was typed, without waiting for a pause.
    ///
    /// # Errors
    /// [`Refused::NotOpen`].
    pub fn flush(&mut self, talk: TalkId) -> Result<(), Refused> {
        self.check_open(talk)?;
        let change = self.notes.get_mut(&talk).and_then(Notes::commit);
        self.send_changes(talk, change.into_iter().collect());
        self.upkeep();
        Ok(())
    }

    /// Folds the notes, so that what was deleted is gone for good. The chair's to ask.
    ///
    /// # Errors
    /// [`Refused::NotOpen`]; [`Refused::NotChair`].
    pub fn strike_for_good(&mut self, talk: TalkId) -> Result<(), Refused> {
        self.check_open(talk)?;
        if !self.room(talk).is_some_and(|room| room.is_chair()) {
            return Err(Refused::NotChair);
        }
        self.strike(talk);
        self.upkeep();
        Ok(())
    }

    /// Wants a seat removed; it is when more than half of the others do.
    ///
    /// # Errors
    /// [`Refused::NotOpen`], [`Refused::UnknownSeat`].
    pub fn remove(&mut self, talk: TalkId, seat: SeatNumber) -> Result<(), Refused> {
        self.check_open(talk)?;
        let removed = self.with_room(talk, |room, cx| room.remove(cx, seat)).ok_or(Refused::NotOpen)?;
        self.upkeep();
        removed
    }

    /// Shows nothing more that this seat says; here alone, and nobody is told.
    ///
    /// # Errors
    /// [`Refused::UnknownTalk`], [`Refused::UnknownSeat`].
    pub fn hide(&mut self, talk: TalkId, seat: SeatNumber, hidden: bool) -> Result<(), Refused> {
        self.room(talk).and_then(|room| room.roster().seat(seat)).ok_or(Refused::UnknownSeat)?;
        let known = self.talks.get_mut(&talk).ok_or(Refused::UnknownTalk)?;
        if hidden {
            known.hidden.insert(seat)
        } else {
            known.hidden.remove(&seat)
        };
        let all = known.hidden.clone();
        self.with_cx(|_, cx| cx.put(Scope::Talk(talk), b"hidden", &all));
        Ok(())
    }

    /// Reports to the organizer, sealed, without any identity; what is reported is what the reporter writes.
    ///
    /// # Errors
    /// [`Refused::NoEvent`], [`Refused::OutOfRange`].
    pub fn report(&mut self, text: &str) -> Result<(), Refused> {
        if text.trim().is_empty() || text.chars().count() > crate::proto::config::SAY_CHARS_MAX {
            return Err(Refused::OutOfRange);
        }
        let sent = self.with_cx(|_, cx| {
            let to = cx.event.report;
            let sealed = door::seal(cx.rng, &to, text.as_bytes()).ok_or(Refused::PackInvalid)?;
            let mut post = Post::new(&door::parcel_keys(&to), &sealed).for_hours(72);
            post.mailbox = Some(cx.event.board_mailbox().write_name());
            cx.post(post);
            Ok(())
        });
        let sent = sent.ok_or(Refused::NoEvent)?;
        self.upkeep();
        sent
    }

    /// Proposes to close the talk, or agrees to the proposal. When all have, it is gone.
    ///
    /// # Errors
    /// [`Refused::NotOpen`].
    pub fn close(&mut self, talk: TalkId) -> Result<(), Refused> {
        self.check_open(talk)?;
        let change = self.notes.get_mut(&talk).and_then(Notes::commit);
        self.send_changes(talk, change.into_iter().collect());
        let effects = self.with_room(talk, |room, cx| room.close(cx)).ok_or(Refused::NotOpen)?;
        self.carry_out(talk, effects);
        self.upkeep();
        Ok(())
    }

    /// Leaves: this device's copy is erased at once, and nobody is asked.
    ///
    /// # Errors
    /// [`Refused::NotOpen`].
    pub fn leave(&mut self, talk: TalkId) -> Result<(), Refused> {
        self.check_open(talk)?;
        self.with_room(talk, |room, cx| room.leave(cx));
        self.end_talk(talk, Ending::Left, None);
        self.upkeep();
        Ok(())
    }

    // ---- at the table ----------------------------------------------------------------------------------------------------------------

    /// The handoff code to show now: ask again when [`crate::proto::io::Event::HandoffChanged`] says so.
    ///
    /// # Errors
    /// [`Refused::NotOpen`]; [`Refused::NoLan`]: switch the local network or Bluetooth on.
    pub fn show_handoff(&mut self, talk: TalkId, kind: Kind) -> Result<String, Refused> {
        self.check_open(talk)?;
        let address = self.listening.iter().find_map(|address| match address {
            SocketAddr::V4(address) => Some(*address),
            SocketAddr::V6(_) => None,
        });
        if address.is_none() && !self.presence.is_on() {
            return Err(Refused::NoLan);
        }
        let text = self.with_cx(|parts, cx| parts.table.show(cx, talk, kind, address)).ok_or(Refused::NoEvent)?;
        self.schedule();
        Ok(text)
    }

    /// Takes the code off the screen: it opens nothing any more.
    pub fn hide_handoff(&mut self, talk: TalkId) {
        self.table.hide(talk);
        self.schedule();
    }

    /// Takes a scanned code: a handoff code, or one frame of an animated code (then the progress, 0 to 1).
    ///
    /// # Errors
    /// [`Refused::NotACode`], [`Refused::CodeExpired`], [`Refused::CodeOfOtherEvent`], [`Refused::NoEvent`].
    pub fn scan(&mut self, text: &str) -> Result<Option<f32>, Refused> {
        let event = self.event.as_ref().map(|event| event.id).ok_or(Refused::NoEvent)?;
        if let Ok(heard) = self.animated.receive(text) {
            return Ok(Some(self.take_animated(heard)));
        }
        let code = Code::parse(text)?;
        if !code.is_for(event) {
            return Err(Refused::CodeOfOtherEvent);
        }
        if code.is_expired(self.wall()) {
            return Err(Refused::CodeExpired);
        }
        let dial = self.table.scan(&mut self.rng, &code);
        match code.address.map(SocketAddr::V4) {
            Some(address) => self.out.push_back(Output::Dial { dial, addresses: vec![address] }),
            None => self.dial_failed(dial),
        }
        self.upkeep();
        Ok(None)
    }

    /// Admits the newcomer on this link, or turns her away.
    ///
    /// # Errors
    /// [`Refused::NobodyWaits`], [`Refused::Full`], [`Refused::Closing`].
    pub fn admit(&mut self, link: LinkId, admitted: bool) -> Result<(), Refused> {
        let Some(Standing::Newcomer { talk, offer }) = self.table.standing(link).cloned() else { return Err(Refused::NobodyWaits) };
        if admitted {
            self.with_room(talk, |room, cx| room.vouch(cx, offer)).ok_or(Refused::NotOpen)??;
        }
        self.answer_newcomer(link, admitted);
        self.upkeep();
        Ok(())
    }

    /// This device leaves the table: the online leg returns.
    ///
    /// # Errors
    /// [`Refused::NotOpen`].
    pub fn leave_table(&mut self, talk: TalkId) -> Result<(), Refused> {
        self.check_open(talk)?;
        self.with_room(talk, |room, cx| room.place(cx, false)).ok_or(Refused::NotOpen)?;
        self.upkeep();
        Ok(())
    }

    /// The notes as an animated code, for when every radio is off: any frames, in any order, slightly more than
    /// `frames_needed` of them. Only members of the talk can read them.
    ///
    /// # Errors
    /// [`Refused::NotOpen`]; [`Refused::OutOfRange`] if the notes are too long for it.
    pub fn animated_code(&mut self, talk: TalkId) -> Result<fountain::Sender, Refused> {
        self.check_open(talk)?;
        let key = self.room(talk).map(|room| room.members_key()).ok_or(Refused::NotOpen)?;
        let notes = self.notes.get_mut(&talk).ok_or(Refused::NotOpen)?;
        let change = notes.commit();
        let carried = encode(&Carried { generation: notes.generation(), document: notes.save() });
        self.send_changes(talk, change.into_iter().collect());
        fountain::Sender::new(&fountain::seal_for_members(&key, &carried, &mut self.rng))
    }

    fn take_animated(&mut self, heard: Heard) -> f32 {
        let Heard::Whole(sealed) = heard else { return self.animated.progress() };
        let opened = self.talk_ids().into_iter().find_map(|talk| {
            let plain = fountain::open_for_members(&self.room(talk)?.members_key(), &sealed)?;
            Some((talk, crate::proto::wire::decode::<Carried>(&plain, "animated code").ok()?))
        });
        self.animated.start_over();
        if let Some((talk, carried)) = opened {
            self.take_carried_document(talk, carried.generation, carried.document);
        }
        1.0
    }

    fn check_open(&self, talk: TalkId) -> Result<(), Refused> {
        match self.talks.get(&talk).map(|talk| &talk.stage) {
            None => Err(Refused::UnknownTalk),
            Some(Stage::Open(_)) => Ok(()),
            Some(Stage::Drafted(_) | Stage::Hosting(_) | Stage::Waiting(_)) => Err(Refused::NotOpen),
        }
    }
}
