//! The host's side of a gathering: who asked for a seat, the draw at the quorum, and the founding when it is complete.
//!
//! Laws: a seat that is drawn is bound to what it offered first; one that stays silent loses its place, and everybody draws afresh; who
//! asked but is in no draw is let in later, by asking again.

use super::draw::{Draw, RosterSeat, founding_psk, group_id};
use super::{Founding, Offer, ToGuest, ToHost, Welcome, open_request, tell};
use crate::proto::board::{Card, Content, Terms};
use crate::proto::config::{CANDIDATES_MAX, COUNT_GATHER, REVEAL_TIME_MAX, REVEAL_TIME_MAX_BY_RELAY};
use crate::proto::cx::Cx;
use crate::proto::error::Fault;
use crate::proto::id::{CardId, SeatId, TalkId};
use crate::proto::io::ReadKey;
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::proto::talk::door::Door;
use crate::proto::talk::group::{Group, Member, SeatKeys};
use crate::proto::time::Instant;
use crate::proto::wire::encode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The host's side while people gather.
#[cfg_attr(test, derive(Clone))]
pub struct Hosting {
    /// The card and its way in.
    pub door: HostDoor,
    keys: SeatKeys,
    candidates: BTreeMap<SeatId, Candidate>,
    round: u32,
    draw: Option<Draw>,
    /// When the others are told that somebody came: one who comes and goes without end must not make as many answers each time.
    count_due: Option<Instant>,
}

#[cfg_attr(test, derive(Clone))]
struct Candidate {
    member: Member,
    offer: Offer,
    by_relay: bool,
}

impl Candidate {
    fn drawn(&self) -> RosterSeat {
        RosterSeat::guest(self.member.seat, &self.offer.key_package, self.offer.commitment)
    }
}

/// What remains of [`Hosting`] over a restart: who had asked asks again.
#[derive(Serialize, Deserialize)]
pub struct HostingRecord {
    door: HostDoor,
    keys: Vec<u8>,
    round: u32,
}

impl Hosting {
    /// Posts a new card.
    pub fn new(rng: &mut Rng, terms: Terms) -> Hosting {
        let (keys, door, mailbox) = (SeatKeys::generate(rng), Door::new(rng), ReadKey(Key(rng.bytes())));
        let content = Content { terms, host: keys.id(), door: door.public(), mailbox: mailbox.write_name() };
        let door = HostDoor { card_key: Key(rng.bytes()), version: 0, content, door, mailbox };
        Hosting { door, keys, candidates: BTreeMap::new(), round: 0, draw: None, count_due: None }
    }

    /// Goes on after a restart: with a new round, because what was drawn and opened so far is lost, and guests follow to a later
    /// round only.
    pub fn restore(record: HostingRecord) -> Option<Hosting> {
        let keys = SeatKeys::from_bytes(&record.keys).ok()?;
        let round = record.round.saturating_add(1);
        Some(Hosting { door: record.door, keys, candidates: BTreeMap::new(), round, draw: None, count_due: None })
    }

    /// Which draw comes, or is under way: to be remembered whenever it changes.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// What to remember.
    pub fn record(&self) -> HostingRecord {
        HostingRecord { door: self.door.clone(), keys: self.keys.to_bytes().to_vec(), round: self.round }
    }

    /// The host's own seat.
    pub fn seat(&self) -> SeatId {
        self.keys.id()
    }

    /// Seats taken, the host's own included.
    pub fn taken(&self) -> u8 {
        u8::try_from(self.candidates.len() + 1).unwrap_or(u8::MAX)
    }

    /// Takes a request that came through the door. Gives the founding when this was the last contribution.
    ///
    /// # Errors
    /// A [`Fault`] if the request does not hold.
    pub fn receive(&mut self, cx: &mut Cx<'_>, talk: TalkId, sealed: &[u8], by_relay: bool) -> Result<Option<Founding>, Fault> {
        let (member, request) = open_request(&self.door.door, sealed, |seat| self.candidates.get(&seat).map(|known| known.member))?;
        match request {
            ToHost::Offer(offer) => self.take_offer(cx, talk, member, offer, by_relay),
            ToHost::Reveal { round, contribution } => return self.take_reveal(cx, talk, member.seat, round, contribution),
            ToHost::StandUp => {
                self.candidates.remove(&member.seat);
                self.redraw_without(cx, talk, |_| false);
            }
            ToHost::Rejoin(_) => return Err(Fault::OutOfPlace("re-join")),
        }
        Ok(None)
    }

    /// Sends those who stayed silent back to the queue and draws afresh.
    pub fn tick(&mut self, cx: &mut Cx<'_>, talk: TalkId) {
        if self.count_due.take_if(|due| *due <= cx.now).is_some() {
            let noted = ToGuest::Noted { taken: self.taken() };
            self.candidates.values().for_each(|candidate| tell(cx, talk, &candidate.offer, &noted));
        }
        if let Some(draw) = self.draw.as_ref().filter(|draw| draw.deadline() <= cx.now) {
            let silent = draw.silent();
            self.redraw_without(cx, talk, |seat| silent.contains(&seat));
        }
    }

    /// When [`Hosting::tick`] has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.draw.as_ref().map(Draw::deadline).into_iter().chain(self.count_due).min()
    }

    /// Tells everybody who asked that there is no seat.
    pub fn decline_all(&self, cx: &mut Cx<'_>, talk: TalkId) {
        self.candidates.values().for_each(|candidate| tell(cx, talk, &candidate.offer, &ToGuest::Declined));
    }

    fn take_offer(&mut self, cx: &mut Cx<'_>, talk: TalkId, member: Member, offer: Offer, by_relay: bool) {
        let known = self.candidates.contains_key(&member.seat);
        if !known && (self.candidates.len() >= CANDIDATES_MAX || self.taken() >= self.door.content.terms.seats_max) {
            tell(cx, talk, &offer, &ToGuest::Declined);
            return;
        }
        if let Some(draw) = self.draw.as_ref().filter(|draw| draw.has(member.seat)) {
            // It asks again although it is drawn: it has not heard of the draw, in which it is bound to what it offered first.
            let drawn = ToGuest::Roster { round: self.round, seats: draw.roster().to_vec() };
            return tell(cx, talk, &offer, &drawn);
        }
        let fresh = offer.round == self.round;
        self.candidates.insert(member.seat, Candidate { member, offer: offer.clone(), by_relay });
        let answer = if fresh { ToGuest::Noted { taken: self.taken() } } else { ToGuest::Redraw { round: self.round } };
        tell(cx, talk, &offer, &answer);
        if fresh && !known {
            self.count_due.get_or_insert(cx.now + COUNT_GATHER);
        }
        self.draw_if_quorum(cx, talk);
    }

    /// Draws a roster of all whose commitment is fresh, once there are enough of them.
    fn draw_if_quorum(&mut self, cx: &mut Cx<'_>, talk: TalkId) {
        let fresh = |candidate: &&Candidate| candidate.offer.round == self.round;
        if self.draw.is_some()
            || self.candidates.values().filter(fresh).count() + 1 < usize::from(self.door.content.terms.seats_min)
        {
            return;
        }
        let patient = self.candidates.values().filter(fresh).any(|candidate| candidate.by_relay);
        let deadline = cx.now + if patient { REVEAL_TIME_MAX_BY_RELAY } else { REVEAL_TIME_MAX };
        let guests = self.candidates.values().filter(fresh).map(Candidate::drawn);
        let draw = Draw::new(self.keys.id(), cx.rng.bytes(), guests, deadline);
        let drawn = ToGuest::Roster { round: self.round, seats: draw.roster().to_vec() };
        for candidate in self.candidates.values().filter(fresh) {
            tell(cx, talk, &candidate.offer, &drawn);
        }
        self.draw = Some(draw);
    }

    fn redraw_without(&mut self, cx: &mut Cx<'_>, talk: TalkId, silent: impl Fn(SeatId) -> bool) {
        if self.draw.take().is_none() {
            return;
        }
        self.round = self.round.saturating_add(1);
        self.candidates.retain(|seat, _| !silent(*seat));
        for candidate in self.candidates.values() {
            tell(cx, talk, &candidate.offer, &ToGuest::Redraw { round: self.round });
        }
    }

    fn take_reveal(
        &mut self,
        cx: &mut Cx<'_>,
        talk: TalkId,
        seat: SeatId,
        round: u32,
        contribution: [u8; 16],
    ) -> Result<Option<Founding>, Fault> {
        let Some(draw) = self.draw.as_mut().filter(|_| round == self.round) else { return Ok(None) };
        let Some(contributions) = draw.open(seat, contribution)? else { return Ok(None) };
        let seated: Vec<_> = draw.roster().iter().filter_map(|drawn| self.candidates.get(&drawn.seat)).collect();
        let key_packages: Vec<_> = seated.iter().map(|candidate| candidate.offer.key_package.clone()).collect();
        let (psk, psk_id) = founding_psk(draw.roster(), &contributions);
        let founded = Group::found(cx.rng, &self.keys, group_id(&psk_id), &key_packages, &psk, &psk_id);
        let (group, welcome) = founded.map_err(|_| Fault::OutOfPlace("key package"))?;
        let message = encode(&ToGuest::Founded { round, contributions, welcome });
        let to_tell =
            seated.iter().map(|candidate| Welcome::new(candidate.member.seat, &candidate.offer, message.clone())).collect();
        // Whoever asked but is not in this draw is admitted later, by asking again.
        let left_over = self.candidates.values().filter(|candidate| !draw.has(candidate.member.seat));
        left_over.for_each(|candidate| tell(cx, talk, &candidate.offer, &ToGuest::Redraw { round: self.round + 1 }));
        let keys = SeatKeys::from_bytes(&self.keys.to_bytes()).map_err(|_| Fault::OutOfPlace("seat"))?;
        let (terms, card) = (self.door.content.terms.clone(), self.door.card());
        Ok(Some(Founding { group, keys, terms, card, door: Some(self.door.clone()), to_tell }))
    }
}

/// Through which door and mailbox seat requests come.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HostDoor {
    /// Signs the card.
    pub card_key: Key,
    /// The card's version so far.
    pub version: u32,
    /// What the card says while it stands.
    pub content: Content,
    /// Opens requests.
    pub door: Door,
    /// Opens the mailbox.
    pub mailbox: ReadKey,
}

impl HostDoor {
    /// The card's next version: as it stands, or withdrawn.
    pub fn next_card(&mut self, stands: bool) -> (Card, Vec<u8>) {
        self.version += 1;
        let card = Card { key: self.key(), version: self.version, content: stands.then(|| self.content.clone()) };
        let signed = card.sign(&self.card_key);
        (card, signed)
    }

    /// The card as it stands, signed: the same bytes every time.
    pub fn card_as_it_stands(&self) -> Vec<u8> {
        Card { key: self.key(), version: self.version, content: Some(self.content.clone()) }.sign(&self.card_key)
    }

    /// The card's id.
    pub fn card(&self) -> CardId {
        Card { key: self.key(), version: 0, content: None }.id()
    }

    fn key(&self) -> [u8; 32] {
        ed25519_dalek::SigningKey::from_bytes(&self.card_key.0).verifying_key().to_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Hosting {
        /// For the model check: everything but random bytes and the exact time. Seats are named by the place that `place` gives.
        pub(crate) fn outline(&self, now: Instant, place: impl Fn(SeatId) -> usize) -> String {
            let mut candidates: Vec<_> = self.candidates.values().map(|c| (place(c.member.seat), c.offer.round)).collect();
            candidates.sort_unstable();
            let draw = self.draw.as_ref().map(|draw| {
                let mut seats: Vec<_> = draw.outline().map(|(seat, has_opened)| (place(seat), has_opened)).collect();
                seats.sort_unstable();
                (seats, draw.deadline().since(now).as_secs() / 300)
            });
            format!("hosting {} {candidates:?} {draw:?}", self.round)
        }

        /// How many have opened their contribution in the draw under way.
        pub(crate) fn opened(&self) -> usize {
            self.draw.as_ref().map_or(0, |draw| draw.outline().filter(|(_, has_opened)| *has_opened).count())
        }

        /// Control: so few are enough.
        pub(crate) fn lower_minimum(&mut self, seats: u8) {
            self.door.content.terms.seats_min = seats;
        }
    }
}
