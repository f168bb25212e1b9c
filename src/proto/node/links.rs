//! Links of the node: handshakes, frames, and what is proven at the table.

use super::Node;
use crate::proto::config::{CELL_BYTES, CODE_SEARCH, CODE_SEARCH_BY_RADIO, LINKS_MAX};
use crate::proto::cx::Via;
use crate::proto::error::Fault;
use crate::proto::handoff::ask::Ask;
use crate::proto::handoff::table::Standing;
use crate::proto::id::{DialId, LinkId, TalkId};
use crate::proto::io::{Event, HandoffEnd, HandoffFailure, Origin, Output};
use crate::proto::link::{Heard, Link};
use crate::proto::talk::seats::{Errand, Waiting};
use crate::proto::talk::{Stage, Talk, persona};
use crate::proto::time::Duration;
use crate::proto::wire::encode;
use crate::proto::wire::frame::{Control, Frame};

impl Node {
    pub(super) fn link_up(&mut self, link: LinkId, origin: Origin) {
        let Some(event) = self.event.as_ref().map(|event| event.id) else { return self.disconnect(link) };
        if self.links.len() >= LINKS_MAX {
            return self.disconnect(link);
        }
        if let Origin::Near(to) = origin
            && self.presence.id().is_none()
        {
            // Its connection is of the id before: it would outlive the silence, and who is there would see both.
            to.into_iter().for_each(|id| self.presence.out_of_reach(self.now, id));
            return self.disconnect(link);
        }
        let (up, first) = match origin {
            Origin::Accepted | Origin::Near(None) => (Link::accept(self.now, &event.0), Vec::new()),
            Origin::Found | Origin::Near(Some(_)) => Link::initiate(&mut self.rng, self.now, &event.0, None),
            Origin::Dialed(dial) => {
                let Some(scanned) = self.table.scanned(dial) else { return self.disconnect(link) };
                Link::initiate(&mut self.rng, self.now, &event.0, Some(scanned))
            }
        };
        if let Origin::Dialed(dial) = origin {
            self.table.dialed(dial, Some(link));
        }
        let up = match origin {
            Origin::Near(to) => {
                self.presence.link_up(self.now, link, to);
                up.in_any_order()
            }
            Origin::Accepted | Origin::Found | Origin::Dialed(_) => up,
        };
        self.links.insert(link, up);
        if !first.is_empty() {
            self.out.push_back(Output::Transmit { link, bytes: first });
        }
    }

    pub(super) fn link_down(&mut self, link: LinkId) {
        let Some(gone) = self.links.remove(&link) else { return };
        self.mesh.link_down(link);
        self.presence.link_down(self.now, link);
        match self.table.standing(link).cloned() {
            Some(Standing::Scans { .. }) => {
                let why = if gone.is_up() { HandoffFailure::TurnedAway } else { HandoffFailure::Stale };
                self.tell(Event::HandoffEnded(HandoffEnd::Failed(why)));
            }
            Some(Standing::Newcomer { talk, .. }) => self.tell(Event::TalkChanged(talk)),
            // With the link goes our place at their table: nobody can admit us any more.
            Some(Standing::Knocks { talk }) => self.turned_away(talk),
            Some(Standing::Shows { .. }) | None => {}
        }
        self.table.stand(link, None);
        if gone.is_up() {
            self.tell(Event::NeighboursChanged);
        }
    }

    /// Without an address, or where nobody answers at it, the code's device may be among the neighbours.
    pub(super) fn dial_failed(&mut self, dial: DialId) {
        let up = self.links.iter().filter(|(_, link)| link.is_up()).filter_map(|(id, link)| Some((*id, link.handshake_hash()?)));
        let up: Vec<_> = up.collect();
        let patience = match (self.presence.is_on(), up.is_empty()) {
            (true, _) => CODE_SEARCH_BY_RADIO,
            (false, false) => CODE_SEARCH,
            (false, true) => Duration::ZERO,
        };
        self.table.search(dial, self.now + patience);
        for (link, hash) in up {
            self.ask_for_codes(link, &hash);
        }
    }

    fn ask_for_codes(&mut self, link: LinkId, hash: &[u8; 32]) {
        for Ask { public, proof } in self.table.questions(hash) {
            self.transmit_one(link, &Frame::Control(Control::Ask { public, proof }));
        }
    }

    pub(super) fn give_up_codes(&mut self) {
        for _ in self.table.give_up(self.now) {
            self.tell(Event::HandoffEnded(HandoffEnd::Failed(HandoffFailure::Unreachable)));
        }
    }

    pub(super) fn received(&mut self, id: LinkId, bytes: &[u8]) {
        // Cell by cell: what one cell brings must be handled before the next, which may rely on it or end the link.
        for piece in bytes.chunks(CELL_BYTES) {
            let Some(link) = self.links.get_mut(&id) else { return };
            let invitations = self.table.invitations();
            match link.receive(&mut self.rng, piece, &invitations) {
                Ok(heard) => heard.into_iter().for_each(|heard| self.heard(id, heard)),
                Err(fault) => return self.close_link(id, Some(fault)),
            }
        }
    }

    fn heard(&mut self, link: LinkId, heard: Heard) {
        match heard {
            Heard::Reply(bytes) => self.out.push_back(Output::Transmit { link, bytes }),
            Heard::Up { burned } => self.shaken(link, burned),
            Heard::Frame(Frame::Parcel(parcel)) => self.take_parcel(parcel, Some(link), Via::Link),
            Heard::Frame(Frame::Control(control)) => self.take_control(link, control),
        }
    }

    /// The handshake is over: say what we carry, and at the table prove where we sit.
    fn shaken(&mut self, link: LinkId, burned: Option<Vec<u8>>) {
        let up = self.links.get(&link);
        let Some((hash, begins)) = up.and_then(|up| Some((up.handshake_hash()?, up.is_initiator))) else { return };
        let handoff = burned.map(|code| self.table.burn(&code, link));
        if handoff == Some(None) {
            // Two began with the same code, and the other was first.
            return self.close_link(link, Some(Fault::OutOfPlace("code that was used")));
        }
        if let Some(id) = self.presence.introduction(link) {
            self.transmit_one(link, &Frame::Control(Control::Introduction { id }));
        }
        self.presence.shaken(self.now, link);
        let frames = self.mesh.link_up(&mut self.rng, self.now, link, hash, begins);
        self.transmit(frames);
        self.leave_at_table(link);
        self.tell(Event::NeighboursChanged);
        match handoff.flatten() {
            Some(talk) => self.prove_talk(link, &hash, talk),
            None => self.ask_for_codes(link, &hash),
        }
        self.each_room(|room, cx| room.check(cx));
    }

    /// Our code was used on this link: we show first that we sit in its talk.
    fn prove_talk(&mut self, link: LinkId, hash: &[u8; 32], talk: TalkId) {
        self.tell(Event::HandoffChanged(talk));
        if let Some(proof) = self.room(talk).map(|room| room.table_proof(hash, true)) {
            self.transmit_one(link, &Frame::Control(Control::Table { proof }));
        }
    }

    fn take_control(&mut self, link: LinkId, control: Control) {
        match (control, self.table.standing(link).cloned()) {
            (control @ (Control::Carrying { .. } | Control::Lacking { .. }), _) => {
                let frames = self.mesh.hear(&mut self.rng, self.now, link, &control);
                self.transmit(frames);
            }
            (Control::Introduction { id }, _) if self.presence.has_link(link) => self.presence.introduced(link, id),
            (Control::Member { proofs }, _) if self.presence.has_link(link) => self.meet_member(link, &proofs),
            (Control::Ask { public, proof }, None) => self.asked(link, &Ask { public, proof }),
            // Whoever stands at the table on this link already has other things to settle.
            (Control::Ask { .. }, Some(_)) => {}
            (Control::Answer { proof }, None) => self.answered(link, &proof),
            (Control::Table { proof }, Some(Standing::Scans { newcomers })) => self.prove_seat(link, &proof, newcomers),
            (Control::Table { proof }, Some(Standing::Shows { talk, newcomers })) => self.check_seat(link, &proof, talk, newcomers),
            (Control::Newcomer { offer }, Some(Standing::Shows { talk, newcomers: true })) => {
                self.greet_newcomer(link, talk, offer)
            }
            (Control::Admission { admitted: false }, Some(Standing::Knocks { talk })) => {
                self.table.stand(link, None);
                self.turned_away(talk);
            }
            (Control::Admission { .. }, Some(Standing::Knocks { .. })) => {
                self.table.stand(link, None);
            }
            (
                Control::Table { .. }
                | Control::Newcomer { .. }
                | Control::Admission { .. }
                | Control::Introduction { .. }
                | Control::Member { .. }
                | Control::Answer { .. },
                _,
            ) => {
                self.close_link(link, Some(Fault::OutOfPlace("word of a handoff")));
            }
        }
    }

    /// Somebody has scanned a code: it is burned if it is on our screen, and what follows is as on a fresh link.
    fn asked(&mut self, link: LinkId, ask: &Ask) {
        let Some(hash) = self.links.get(&link).and_then(Link::handshake_hash) else { return };
        let Some((code, proof)) = self.table.answer(&hash, ask) else { return };
        let Some(talk) = self.table.burn(&code, link) else { return };
        self.transmit_one(link, &Frame::Control(Control::Answer { proof }));
        self.prove_talk(link, &hash, talk);
    }

    fn answered(&mut self, link: LinkId, proof: &[u8; 32]) {
        let Some(hash) = self.links.get(&link).and_then(Link::handshake_hash) else { return };
        match self.table.answered(&hash, proof) {
            Some(dial) => drop(self.table.dialed(dial, Some(link))),
            None => self.close_link(link, Some(Fault::Forged("answer for a code"))),
        }
    }

    /// We scanned: if the other proves one of our talks we prove our seat in it, otherwise we are a newcomer and ask.
    fn prove_seat(&mut self, link: LinkId, proof: &[u8; 32], newcomers: bool) {
        let Some(hash) = self.links.get(&link).and_then(Link::handshake_hash) else { return };
        let ours =
            self.talk_ids().into_iter().find(|id| self.room(*id).is_some_and(|room| room.table_proof(&hash, true) == *proof));
        if let Some(talk) = ours {
            let proof = self.room(talk).map(|room| room.table_proof(&hash, false)).unwrap_or_default();
            self.transmit_one(link, &Frame::Control(Control::Table { proof }));
            self.table.stand(link, None);
            self.sit_at_table(talk);
            return self.tell(Event::HandoffEnded(HandoffEnd::AtTable(talk)));
        }
        if !newcomers {
            // The code is for those who sit in the talk; who does not gets to know nothing of it, and need not knock.
            return self.close_link(link, None);
        }
        let proof = self.rng.bytes();
        self.transmit_one(link, &Frame::Control(Control::Table { proof }));
        let talk = TalkId(self.rng.bytes());
        let Some(Ok(waiting)) = self.with_cx(|_, cx| Waiting::new(cx, Errand::Table)) else { return };
        let offer = encode(&waiting.offer());
        self.talks.insert(talk, Talk::new(talk, Stage::Waiting(Box::new(waiting))));
        self.remember_stage(talk);
        self.transmit_one(link, &Frame::Control(Control::Newcomer { offer }));
        self.table.stand(link, Some(Standing::Knocks { talk }));
        self.tell(Event::HandoffEnded(HandoffEnd::WordsShown(words(&hash))));
    }

    /// We show: the other proved its seat, or is a newcomer.
    fn check_seat(&mut self, link: LinkId, proof: &[u8; 32], talk: TalkId, newcomers: bool) {
        let Some(hash) = self.links.get(&link).and_then(Link::handshake_hash) else { return };
        if self.room(talk).is_some_and(|room| room.table_proof(&hash, false) == *proof) {
            self.table.stand(link, None);
            return self.sit_at_table(talk);
        }
        if !newcomers {
            self.close_link(link, None);
        }
    }

    fn greet_newcomer(&mut self, link: LinkId, talk: TalkId, offer: Vec<u8>) {
        let Some(hash) = self.links.get(&link).and_then(Link::handshake_hash) else { return };
        if !self.table.stand(link, Some(Standing::Newcomer { talk, offer })) {
            return self.close_link(link, Some(Fault::TooMuch("newcomers")));
        }
        self.tell(Event::NewcomerWaits { talk, link, words: words(&hash) });
    }

    /// Answers a newcomer whose words were compared.
    pub(super) fn answer_newcomer(&mut self, link: LinkId, admitted: bool) {
        self.transmit_one(link, &Frame::Control(Control::Admission { admitted }));
        self.table.stand(link, None);
    }

    fn turned_away(&mut self, talk: TalkId) {
        self.drop_talk(talk);
        self.tell(Event::HandoffEnded(HandoffEnd::Failed(HandoffFailure::TurnedAway)));
    }

    fn sit_at_table(&mut self, talk: TalkId) {
        self.with_room(talk, |room, cx| room.place(cx, true));
        self.tell(Event::TalkChanged(talk));
    }

    pub(super) fn close_link(&mut self, link: LinkId, fault: Option<Fault>) {
        if let Some(fault) = fault {
            self.fault("a neighbour", fault);
        }
        self.disconnect(link);
        self.link_down(link);
    }

    pub(super) fn disconnect(&mut self, link: LinkId) {
        self.out.push_back(Output::Disconnect { link });
    }
}

/// Two names from a handshake: 24 bits that both screens show.
fn words(hash: &[u8; 32]) -> [String; 2] {
    let word = |half: &[u8]| {
        let mut id = [0; 16];
        id.copy_from_slice(half);
        persona::alone(crate::proto::id::SeatId(id))
    };
    [word(&hash[..16]), word(&hash[16..])]
}
