//! Who reads a parcel: each part looks for its own label, and what nobody recognises is only carried.

use super::Node;
use crate::proto::cx::Via;
use crate::proto::error::Fault;
use crate::proto::id::{LinkId, TalkId};
use crate::proto::io::Event;
use crate::proto::mesh::Kind;
use crate::proto::talk::Stage;
use crate::proto::talk::close::{ClosingWord, Ending};
use crate::proto::talk::door::{self, Door};
use crate::proto::talk::seats::Errand;
use crate::proto::wire::decode;
use crate::proto::wire::parcel::Parcel;

/// For whom a parcel is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Reader {
    /// The board.
    Board,
    /// A card's door, or (with a number) a room's.
    Door(TalkId, usize),
    /// A guest's reply door.
    Reply(TalkId),
    /// A room of ours.
    Room(TalkId),
    /// The certificate of a room of ours.
    Closing(TalkId),
    /// Confirmations for a receipt of ours.
    Receipt(TalkId),
    /// The organizer.
    Report,
}

impl Reader {
    pub(super) fn is_of(self, id: TalkId) -> bool {
        match self {
            Reader::Board | Reader::Report => false,
            Reader::Door(talk, _) | Reader::Reply(talk) | Reader::Room(talk) | Reader::Closing(talk) => talk == id,
            Reader::Receipt(_) => false,
        }
    }
}

impl Node {
    /// Takes a parcel from a link or (`None`) from the relay: once.
    pub(super) fn take_parcel(&mut self, parcel: Parcel, link: Option<LinkId>, via: Via) {
        link.into_iter().for_each(|link| self.presence.brought(self.now, link));
        let wall = self.clock.earliest(self.now);
        let is_card = self.event.as_ref().is_some_and(|event| event.board.recognises(&parcel));
        let kind = if is_card { Kind::Card } else { Kind::Sealed };
        if let Some((parcel, frames)) = self.mesh.receive(&mut self.rng, self.now, wall, link, kind, &parcel) {
            self.transmit(frames);
            self.read(&parcel, link, via);
        }
    }

    /// New keys may open what is carried already. Steps among it lead on at once, and what is of an epoch on their way is read too.
    pub(super) fn rescan(&mut self) {
        loop {
            let mut keys = Vec::new();
            for talk in self.talk_ids() {
                keys.extend(self.with_room(talk, |room, _| room.take_new_keys()).unwrap_or_default());
            }
            if keys.is_empty() {
                return;
            }
            let is_new = |parcel: &&Parcel| keys.iter().any(|keys| keys.recognises(parcel));
            let carried: Vec<_> = self.mesh.carried_parcels().filter(is_new).cloned().collect();
            carried.iter().for_each(|parcel| self.read(parcel, None, Via::Relay));
        }
    }

    pub(super) fn read(&mut self, parcel: &Parcel, link: Option<LinkId>, via: Via) {
        let Some((reader, content)) = self.recognise(parcel) else { return };
        let result = match reader {
            Reader::Room(talk) => match self.with_room(talk, |room, cx| room.receive(cx, &content, via)) {
                Some(Ok(effects)) => {
                    self.confirm_clock(talk);
                    self.carry_out(talk, effects);
                    Ok(())
                }
                Some(Err(fault)) => Err(fault),
                None => Ok(()),
            },
            _ => match self.assemblers.entry(reader).or_default().take(&content) {
                Ok(Some(message)) => self.read_message(reader, &message, parcel, link, via),
                Ok(None) => Ok(()),
                Err(fault) => Err(fault),
            },
        };
        if let Err(fault) = result {
            self.fault("a sender", fault);
        }
    }

    fn read_message(
        &mut self,
        reader: Reader,
        message: &[u8],
        parcel: &Parcel,
        link: Option<LinkId>,
        via: Via,
    ) -> Result<(), Fault> {
        match reader {
            Reader::Board => {
                let signed: Vec<u8> = decode(message, "card")?;
                let source = self.mesh.source(link);
                if self.board.receive(self.clock.earliest(self.now), source, parcel.crowd(), &signed)?.is_some() {
                    self.tell(Event::BoardChanged);
                }
                Ok(())
            }
            Reader::Door(talk, number) => self.read_request(talk, number, message, via),
            Reader::Reply(talk) => self.read_answer(talk, message),
            Reader::Closing(talk) => {
                let certificate = match decode(message, "certificate")? {
                    ClosingWord::Certificate(certificate) => certificate,
                    ClosingWord::Goodbye { seat, signature } => {
                        let effects = self.with_room(talk, |room, cx| room.take_goodbye(cx, seat, signature)).transpose()?;
                        self.carry_out(talk, effects.unwrap_or_default());
                        return Ok(());
                    }
                };
                let accepted = self.talks.get(&talk).is_some_and(|talk| match &talk.stage {
                    Stage::Open(room) => room.accepts(&certificate),
                    Stage::Waiting(waiting) => matches!(waiting.errand(), Errand::Return(stub) if stub.accepts(&certificate)),
                    Stage::Drafted(_) | Stage::Hosting(_) => false,
                });
                if !accepted {
                    return Err(Fault::Forged("certificate"));
                }
                self.end_talk(talk, Ending::Closed, Some(&certificate));
                Ok(())
            }
            Reader::Receipt(talk) => {
                let token: [u8; 16] = decode(message, "confirmation")?;
                // Who left and came back has two receipts of one talk.
                let marker = self.receipts.get(&talk).map(|receipt| receipt.afterlife.marker);
                let same = self.receipts.iter().filter(|(_, receipt)| Some(receipt.afterlife.marker) == marker);
                for talk in same.map(|(id, _)| *id).collect::<Vec<_>>() {
                    self.confirm(talk, &token, (via == Via::Link).then_some(parcel));
                }
                Ok(())
            }
            Reader::Report => self.read_report(message),
            Reader::Room(_) => Ok(()),
        }
    }

    fn read_request(&mut self, talk: TalkId, number: usize, message: &[u8], via: Via) -> Result<(), Fault> {
        let sealed: Vec<u8> = decode(message, "seat request")?;
        let round = self.hosting_round(talk);
        let founding = self.with_cx(|parts, cx| match parts.talks.get_mut(&talk).map(|talk| &mut talk.stage) {
            Some(Stage::Hosting(hosting)) => hosting.receive(cx, talk, &sealed, via == Via::Relay),
            Some(Stage::Open(room)) => match room.doors().get(number) {
                Some((door, _)) => room.take_request(cx, door, &sealed).map(|()| None),
                None => Ok(None),
            },
            Some(Stage::Drafted(_) | Stage::Waiting(_)) | None => Ok(None),
        });
        if self.hosting_round(talk) != round {
            self.remember_stage(talk);
        }
        if let Some(founding) = founding.transpose()?.flatten() {
            self.open_founded(talk, founding);
        } else {
            self.tell(Event::TalkChanged(talk));
        }
        Ok(())
    }

    fn read_answer(&mut self, talk: TalkId, message: &[u8]) -> Result<(), Fault> {
        let sealed: Vec<u8> = decode(message, "answer to a seat request")?;
        let answered = self.with_cx(|parts, cx| match parts.talks.get_mut(&talk).map(|talk| &mut talk.stage) {
            Some(Stage::Waiting(waiting)) => waiting.receive(cx, &sealed).map(Some),
            Some(Stage::Drafted(_) | Stage::Hosting(_) | Stage::Open(_)) | None => Ok(None),
        });
        if let Some(answered) = answered.transpose()?.flatten() {
            self.answered_guest(talk, answered);
        }
        Ok(())
    }

    /// Finds the reader of a parcel, and opens it.
    fn recognise(&self, parcel: &Parcel) -> Option<(Reader, Vec<u8>)> {
        let event = self.event.as_ref()?;
        let open =
            |reader: Reader, keys: &crate::proto::wire::parcel::ParcelKeys| keys.open(parcel).map(|content| (reader, content));
        if event.board.recognises(parcel) {
            return open(Reader::Board, &event.board);
        }
        if let Some(content) = self.reports.recognise(parcel) {
            return Some((Reader::Report, content));
        }
        for (id, talk) in &self.talks {
            let through = |number: usize, door: &Door| open(Reader::Door(*id, number), &door::parcel_keys(&door.public()));
            let found = match &talk.stage {
                Stage::Drafted(_) => None,
                Stage::Hosting(hosting) => through(0, &hosting.door.door),
                Stage::Waiting(waiting) => {
                    let reply = open(Reader::Reply(*id), &door::parcel_keys(&waiting.door().0.public()));
                    reply.or_else(|| match waiting.errand() {
                        Errand::Return(stub) => open(Reader::Closing(*id), &stub.afterlife.closing_keys()),
                        Errand::Card { .. } | Errand::Table => None,
                    })
                }
                Stage::Open(room) => room
                    .recognise(parcel)
                    .and_then(|keys| open(Reader::Room(*id), &keys))
                    .or_else(|| open(Reader::Closing(*id), &room.afterlife().closing_keys()))
                    .or_else(|| room.doors().iter().enumerate().find_map(|(number, (door, _))| through(number, door))),
            };
            if found.is_some() {
                return found;
            }
        }
        self.receipts.iter().find_map(|(id, receipt)| open(Reader::Receipt(*id), &receipt.afterlife.receipt_keys()))
    }

    fn confirm_clock(&mut self, talk: TalkId) {
        if let Some(minutes) = self.with_room(talk, |room, _| room.take_peer_minutes()).flatten() {
            self.clock.confirm(self.now, minutes);
        }
    }
}
