//! A node from what its vault gives back: the only time that the core reads what it wrote.

use super::Node;
use super::talks::{LED_BY, post_card};
use crate::model::event::SignedPack;
use crate::proto::error::Corrupt;
use crate::proto::id::TalkId;
use crate::proto::io::{Event, Record, Scope};
use crate::proto::notes::exchange::Notes;
use crate::proto::talk::close::Receipt;
use crate::proto::talk::entry::Body;
use crate::proto::talk::rejoin::Stub;
use crate::proto::talk::room::Room;
use crate::proto::talk::seats::{Hosting, Waiting};
use crate::proto::talk::{Stage, StageRecord, Talk};
use crate::proto::time::{Instant, WallTime};
use crate::proto::wire::decode;
use std::collections::BTreeMap;

impl Node {
    /// Goes on where the records say: talks whose keys are there are opened again, talks whose keys were forgotten ask back in.
    ///
    /// A record that cannot be read is named in an [`Event::RecordCorrupt`], and the rest is opened.
    pub fn restore(seed: [u8; 32], now: Instant, wall: WallTime, records: Vec<Record>) -> Node {
        let mut node = Node::new(seed);
        node.now = now;
        let (mut durable, mut talks) = (BTreeMap::new(), BTreeMap::<TalkId, BTreeMap<Vec<u8>, Vec<u8>>>::new());
        for record in records {
            match record.scope {
                Scope::Durable => drop(durable.insert(record.name, record.value)),
                Scope::Talk(talk) => drop(talks.entry(talk).or_default().insert(record.name, record.value)),
            }
        }
        if let Some(highest) = durable.get(&b"time"[..]).and_then(|bytes| decode(bytes, "time").ok()) {
            node.clock.remember(highest);
        }
        node.clock.observe(now, wall);
        node.restore_durable(&durable);
        for (talk, records) in &talks {
            if node.restore_talk(*talk, records).is_err() {
                node.corrupt(&format!("talk {talk}"));
            }
            node.resume_fold(*talk);
            let led_by = records.get(LED_BY).and_then(|bytes| decode(bytes, "led by").ok());
            node.carry(led_by.unwrap_or_default());
            if node.hosting_round(*talk).is_some() {
                // Whoever follows to the new round follows to no other draw in it.
                node.remember_stage(*talk);
            }
        }
        for (name, value) in &durable {
            let Some(talk) = Stub::talk(name) else { continue };
            if node.talks.contains_key(&talk) {
                continue;
            }
            match decode::<Stub>(value, "stub") {
                Ok(stub) => node.return_to(talk, stub),
                Err(_) => node.corrupt(&format!("stub of talk {talk}")),
            }
        }
        node.repost_cards();
        node.repeat_last_words();
        node.upkeep();
        node
    }

    /// A board is not remembered, and a card that was posted may not have left the device.
    fn repost_cards(&mut self) {
        self.with_cx(|parts, cx| {
            for talk in parts.talks.values() {
                if let Stage::Hosting(hosting) = &talk.stage {
                    let signed = hosting.door.card_as_it_stands();
                    post_card(parts.board, cx, &signed);
                }
            }
        });
    }

    fn restore_durable(&mut self, durable: &BTreeMap<Vec<u8>, Vec<u8>>) {
        for (name, value) in durable {
            let read = match &name[..] {
                b"event" => decode::<Vec<u8>>(value, "event")
                    .ok()
                    .and_then(|bytes| SignedPack::decode(&bytes).ok())
                    .map(|pack| self.enter_event(&pack)),
                b"interests" => decode(value, "interests").ok().map(|tags| self.interests = tags),
                b"time" => Some(()),
                name if name.starts_with(b"blob/") => self.mailbox.restore(name, value).then_some(()),
                name if name.starts_with(b"report/") => self.reports.restore(name, value),
                name if name.starts_with(b"receipt/") => self.restore_receipt(name, value),
                _ => Some(()),
            };
            if read.is_none() {
                self.corrupt(&String::from_utf8_lossy(&name[..name.len().min(8)]));
            }
        }
    }

    fn restore_receipt(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let talk = TalkId(name.strip_prefix(b"receipt/")?.try_into().ok()?);
        let receipt: Receipt = decode(value, "receipt").ok()?;
        self.receipts.insert(talk, receipt);
        Some(())
    }

    fn restore_talk(&mut self, id: TalkId, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Corrupt> {
        let corrupt = |name: &str| Corrupt { name: name.to_owned() };
        let stage = records.get(&b"stage"[..]).ok_or_else(|| corrupt("stage"))?;
        let stage: StageRecord = decode(stage, "stage").map_err(|_| corrupt("stage"))?;
        let stage = match stage {
            StageRecord::Drafted(terms) => Stage::Drafted(terms),
            StageRecord::Hosting(record) => Stage::Hosting(Box::new(Hosting::restore(record).ok_or_else(|| corrupt("seat"))?)),
            StageRecord::Waiting(record) => Stage::Waiting(Box::new(Waiting::restore(record).ok_or_else(|| corrupt("seat"))?)),
            StageRecord::Open => {
                let room = Room::restore(self.now, id, records).ok_or_else(|| corrupt("room"))?;
                self.restore_notes(id, &room, records)?;
                Stage::Open(Box::new(room))
            }
        };
        let mut talk = Talk::new(id, stage);
        talk.hidden = records.get(&b"hidden"[..]).and_then(|bytes| decode(bytes, "hidden").ok()).unwrap_or_default();
        self.talks.insert(id, talk);
        Ok(())
    }

    fn restore_notes(&mut self, id: TalkId, room: &Room, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<(), Corrupt> {
        let corrupt = || Corrupt { name: "notes".to_owned() };
        let saved = records.get(&b"notes"[..]).ok_or_else(corrupt)?;
        let (generation, document): (u32, Vec<u8>) = decode(saved, "notes").map_err(|_| corrupt())?;
        let mut notes = Notes::load(&document, room.seat(), generation).ok_or_else(corrupt)?;
        // What was logged but had not yet passed the quarantine goes through it now.
        for entry in room.entries() {
            if let (Body::Change { generation, bytes }, Some(seat)) = (&entry.body, room.roster().seat(entry.seat)) {
                notes.take(seat.id, *generation, bytes.clone());
            }
        }
        self.notes.insert(id, notes);
        Ok(())
    }

    fn corrupt(&mut self, name: &str) {
        self.tell(Event::RecordCorrupt(name.to_owned()));
    }
}
