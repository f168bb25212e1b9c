//! The radio of the node: what it says goes to presence, what presence wants goes out.

use super::Node;
use crate::proto::config::{LEFT_AT_TABLE_MAX, PARCEL_SMALL_BYTES};
use crate::proto::id::{LinkId, TalkId};
use crate::proto::io::{Event, Output, RadioCommand, RadioEvent};
use crate::proto::link::Link;
use crate::proto::presence::{Attention, Known, Member, Near};
use crate::proto::talk::room::Room;
use crate::proto::talk::{Stage, Talk};
use crate::proto::wire::advert::{Advert, Shower};
use crate::proto::wire::frame::{Control, Frame};
use crate::proto::wire::parcel::Parcel;
use std::collections::BTreeMap;

impl Node {
    pub(super) fn radio(&mut self, event: RadioEvent) {
        // Without an event there is nobody to be there for.
        if self.event.is_none() {
            return;
        }
        match event {
            RadioEvent::On => self.presence.switch(&mut self.rng, self.now, true),
            RadioEvent::Off => {
                self.presence.switch(&mut self.rng, self.now, false);
                self.each_room(|room, _| room.hide());
            }
            RadioEvent::Heard { advert, rssi_dbm } => self.presence.hear(self.now, &advert, rssi_dbm),
            RadioEvent::OutOfReach { id } => self.presence.out_of_reach(self.now, id),
        }
    }

    pub(super) fn tick_radio(&mut self) {
        if self.presence.is_on() {
            self.presence.attend(self.attention());
            self.each_room(|room, cx| room.show(cx));
            self.name_who_is_near();
            self.prove_membership();
            for link in self.presence.visits_over(self.now) {
                self.close_link(link, None);
            }
        }
        let talks = &self.talks;
        let commands = self.presence.tick(&mut self.rng, self.now, |rng, id| {
            // Of one talk at a time: each has others who are to recognise us.
            let count = rooms(talks).count().max(1) as u64;
            rooms(talks).nth(rng.below(count) as usize)?.1.hint(id)
        });
        if commands.iter().any(|command| matches!(command, RadioCommand::Advertise { .. })) {
            self.mesh.forget_marks(self.now);
        }
        self.out.extend(commands.into_iter().map(Output::Radio));
        if self.presence.take_changed() {
            self.tell(Event::NearbyChanged);
        }
    }

    /// Compares who has come near with the members of our talks or the plan of tables, and everybody when there is news of these.
    fn name_who_is_near(&mut self) {
        let mut has_news = false;
        self.each_room(|room, _| has_news |= room.take_recognition_news());
        if has_news {
            self.presence.compare_again();
        }
        let (talks, plan) = (&self.talks, &self.plan);
        let member = |Advert { id, hint, .. }: &Advert| {
            rooms(talks).find_map(|(talk, room)| Some(Member { talk, seat: room.whose_hint(*id, *hint)? }))
        };
        self.presence.recognise(self.now, |advert| match advert.shower {
            Shower::Attendee => member(advert).map(Known::Member),
            Shower::Table => plan.as_ref()?.recognise(advert).map(Known::Table),
            Shower::Kiosk => None,
        });
    }

    /// Says to radio neighbours, by proofs that only members know, whose members we are.
    fn prove_membership(&mut self) {
        for link in self.presence.take_proofs_due(self.now) {
            let Some(hash) = self.links.get(&link).and_then(Link::handshake_hash) else { continue };
            let mut rooms: Vec<_> = rooms(&self.talks).filter_map(|(_, room)| room.member_proof(&hash)).collect();
            let proofs = std::array::from_fn(|_| match rooms.len() {
                0 => self.rng.bytes(),
                count => rooms.swap_remove(self.rng.below(count as u64) as usize),
            });
            self.transmit_one(link, &Frame::Control(Control::Member { proofs }));
        }
    }

    /// A radio neighbour says whose member it is.
    pub(super) fn meet_member(&mut self, link: LinkId, proofs: &[[u8; 8]]) {
        let Some(hash) = self.links.get(&link).and_then(Link::handshake_hash) else { return };
        let member = rooms(&self.talks).find_map(|(talk, room)| Some(Member { talk, seat: room.member_of(&hash, proofs)? }));
        self.presence.proven(link, member);
    }

    /// A table takes part in no reconciliation: what is said while it has no link is left there with the next visit.
    pub(super) fn keep_for_table(&mut self, parcel: &Parcel) {
        let is_taken = parcel.as_bytes().len() == PARCEL_SMALL_BYTES && !parcel.travel().ephemeral;
        if is_taken && self.presence.leave_at_table() {
            if self.for_table.len() >= LEFT_AT_TABLE_MAX {
                self.for_table.pop_front();
            }
            self.for_table.push_back(parcel.id());
        }
    }

    pub(super) fn leave_at_table(&mut self, link: LinkId) {
        if self.presence.is_visit(link) {
            for id in std::mem::take(&mut self.for_table) {
                let Some(parcel) = self.mesh.carried_parcel(&id).cloned() else { continue };
                self.transmit_one(link, &Frame::Parcel(parcel));
            }
        }
    }

    fn attention(&self) -> Attention {
        let attention = |stage: &Stage| match stage {
            Stage::Drafted(_) => Attention::Background,
            Stage::Open(_) => Attention::Talking,
            Stage::Hosting(_) | Stage::Waiting(_) => Attention::Gathering,
        };
        self.talks.values().map(|talk| attention(&talk.stage)).max().unwrap_or_default()
    }

    /// Who is near by radio, the strongest first; `None`: there is no radio to hear them with.
    pub fn nearby(&self) -> Option<Vec<Near>> {
        let is_open = |member: &Member| self.room(member.talk).is_some();
        let near = |near: Near| Near { member: near.member.filter(is_open), ..near };
        self.presence.is_on().then(|| self.presence.near().into_iter().map(near).collect())
    }
}

fn rooms(talks: &BTreeMap<TalkId, Talk>) -> impl Iterator<Item = (TalkId, &Room)> {
    talks.values().filter_map(|talk| if let Stage::Open(room) = &talk.stage { Some((talk.id, &**room)) } else { None })
}
