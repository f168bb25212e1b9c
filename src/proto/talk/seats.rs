//! From a card to a quorum: who asks for a seat, whose contributions found the room, and who stayed silent.
//!
//! Laws: below the quorum there is no group and no key; at the quorum every seat opens the random bytes it committed to, and only all
//! of them together make the room's first key; a seat that does not open in time returns to the queue, and everybody draws afresh.
//! The host counts; she sees "gathering", the others what she tells them.

#[cfg(test)]
mod tests;

use super::door::{self, Door};
use super::entry::Sig;
use super::group::{Group, GroupError, Member, SeatKeys, check_key_package, verify};
use crate::proto::board::{Card, Content, Terms};
use crate::proto::config::{
    CANDIDATES_MAX, COUNT_GATHER, OFFER_INTERVAL, REVEAL_TIME_MAX, REVEAL_TIME_MAX_BY_RELAY, SEAT_RETRY_INTERVAL,
    SEAT_RETRY_INTERVAL_MAX,
};
use crate::proto::cx::{Cx, Post};
use crate::proto::error::Fault;
use crate::proto::id::{CardId, SeatId, TalkId, WriteName};
use crate::proto::io::ReadKey;
use crate::proto::rng::Rng;
use crate::proto::secret::{Key, hash};
use crate::proto::time::{Instant, doubled};
use crate::proto::wire::{decode, encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const DOMAIN: &str = "seat request";

/// What somebody hands in who wants a seat.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Of which draw; 0 at first.
    pub round: u32,
    /// MLS key package, used once.
    pub key_package: Vec<u8>,
    /// Hash of the random bytes that this seat will contribute.
    pub commitment: [u8; 32],
    /// Answers are sealed to this door,
    pub reply: [u8; 32],
    /// and may be left in this mailbox.
    pub reply_mailbox: WriteName,
}

/// From a guest to the host, sealed to the card's door.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToHost {
    /// A seat, please.
    Offer(Offer),
    /// The random bytes behind the commitment.
    Reveal {
        /// Of which draw.
        round: u32,
        /// 16 random bytes.
        contribution: [u8; 16],
    },
    /// I gave up my seat.
    StandUp,
    /// A device that lost its keys asks back in (see `room`).
    Rejoin(super::room::Rejoin),
}

/// A [`ToHost`] with its seat and signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Signed {
    seat: SeatId,
    body: Vec<u8>,
    signature: Sig,
}

/// From the host to one guest, sealed to the guest's reply door.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum ToGuest {
    /// Your seat is noted; so many are taken.
    Noted {
        /// Seats taken, the host's own included.
        taken: u8,
    },
    /// Somebody stayed silent: offer again, with fresh random bytes.
    Redraw {
        /// Which draw comes now.
        round: u32,
    },
    /// The quorum sits: open your contribution.
    Roster {
        /// Which draw.
        round: u32,
        /// Everybody, the host first.
        seats: Vec<RosterSeat>,
    },
    /// The room is founded.
    Founded {
        /// Which draw.
        round: u32,
        /// Everybody's contribution, in the roster's order.
        contributions: Vec<[u8; 16]>,
        /// MLS welcome.
        welcome: Vec<u8>,
    },
    /// You were admitted to a room that stands.
    Joined {
        /// MLS welcome.
        welcome: Vec<u8>,
        /// An encoded `room::State`.
        state: Vec<u8>,
    },
    /// No seat: full, withdrawn, or closing.
    Declined,
}

/// One seat in a draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RosterSeat {
    /// Whose.
    pub seat: SeatId,
    /// Hash of its key package; zero for the host, who needs none.
    pub key_package: [u8; 32],
    /// What it committed to.
    pub commitment: [u8; 32],
}

/// What a founding gives to each of its members.
pub struct Founding {
    /// Epoch 1.
    pub group: Group,
    /// The same seat, its key package used up.
    pub keys: SeatKeys,
    /// Topic, seats, end.
    pub terms: Terms,
    /// Whose card it grew from.
    pub card: CardId,
    /// The host's way in for later seats.
    pub door: Option<HostDoor>,
    /// Who has to be told, by whom it is not yet known whether they heard: seat, reply door, mailbox, message.
    pub to_tell: Vec<(SeatId, [u8; 32], WriteName, Vec<u8>)>,
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
        let key = ed25519_dalek::SigningKey::from_bytes(&self.card_key.0).verifying_key().to_bytes();
        let card = Card { key, version: self.version, content: stands.then(|| self.content.clone()) };
        let signed = card.sign(&self.card_key);
        (card, signed)
    }

    /// The card as it stands, signed: the same bytes every time.
    pub fn card_as_it_stands(&self) -> Vec<u8> {
        let key = ed25519_dalek::SigningKey::from_bytes(&self.card_key.0).verifying_key().to_bytes();
        Card { key, version: self.version, content: Some(self.content.clone()) }.sign(&self.card_key)
    }

    /// The card's id.
    pub fn card(&self) -> CardId {
        let key = ed25519_dalek::SigningKey::from_bytes(&self.card_key.0).verifying_key().to_bytes();
        Card { key, version: 0, content: None }.id()
    }
}

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

#[cfg_attr(test, derive(Clone))]
struct Draw {
    roster: Vec<RosterSeat>,
    contributions: BTreeMap<SeatId, [u8; 16]>,
    deadline: Instant,
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
        let Some(draw) = self.draw.as_ref().filter(|draw| draw.deadline <= cx.now) else { return };
        let silent: Vec<_> =
            draw.roster.iter().map(|seat| seat.seat).filter(|seat| !draw.contributions.contains_key(seat)).collect();
        self.redraw_without(cx, talk, |seat| silent.contains(&seat));
    }

    /// When [`Hosting::tick`] has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.draw.as_ref().map(|draw| draw.deadline).into_iter().chain(self.count_due).min()
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
        if let Some(draw) = self.draw.as_ref().filter(|draw| draw.roster.iter().any(|seat| seat.seat == member.seat)) {
            // It asks again although it is drawn: it has not heard of the draw, in which it is bound to what it offered first.
            let drawn = ToGuest::Roster { round: self.round, seats: draw.roster.clone() };
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
        let own: [u8; 16] = cx.rng.bytes();
        let host = RosterSeat { seat: self.keys.id(), key_package: [0; 32], commitment: commitment(&own) };
        let guest = |candidate: &Candidate| RosterSeat {
            seat: candidate.member.seat,
            key_package: hash("alcove/1 key package", &[&candidate.offer.key_package]),
            commitment: candidate.offer.commitment,
        };
        let roster: Vec<_> = [host].into_iter().chain(self.candidates.values().filter(fresh).map(guest)).collect();
        let patient = self.candidates.values().filter(fresh).any(|candidate| candidate.by_relay);
        let deadline = cx.now + if patient { REVEAL_TIME_MAX_BY_RELAY } else { REVEAL_TIME_MAX };
        for candidate in self.candidates.values().filter(fresh) {
            tell(cx, talk, &candidate.offer, &ToGuest::Roster { round: self.round, seats: roster.clone() });
        }
        self.draw = Some(Draw { roster, contributions: BTreeMap::from([(self.keys.id(), own)]), deadline });
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
        let committed = draw.roster.iter().find(|other| other.seat == seat).ok_or(Fault::OutOfPlace("contribution"))?;
        if committed.commitment != commitment(&contribution) {
            return Err(Fault::Forged("contribution"));
        }
        draw.contributions.insert(seat, contribution);
        if draw.contributions.len() < draw.roster.len() {
            return Ok(None);
        }
        let contributions: Vec<_> = draw.roster.iter().filter_map(|seat| draw.contributions.get(&seat.seat)).copied().collect();
        let seated: Vec<_> = draw.roster.iter().filter_map(|seat| self.candidates.get(&seat.seat)).collect();
        let key_packages: Vec<_> = seated.iter().map(|candidate| candidate.offer.key_package.clone()).collect();
        let (psk, psk_id) = founding_psk(&draw.roster, &contributions);
        let founded = Group::found(cx.rng, &self.keys, group_id(&psk_id), &key_packages, &psk, &psk_id);
        let (group, welcome) = founded.map_err(|_| Fault::OutOfPlace("key package"))?;
        let message = encode(&ToGuest::Founded { round, contributions, welcome });
        let to_tell = seated.iter().map(|c| (c.member.seat, c.offer.reply, c.offer.reply_mailbox, message.clone())).collect();
        // Whoever asked but is not in this draw is admitted later, by asking again.
        let left_over = self.candidates.values().filter(|candidate| !draw.contributions.contains_key(&candidate.member.seat));
        left_over.for_each(|candidate| tell(cx, talk, &candidate.offer, &ToGuest::Redraw { round: self.round + 1 }));
        let keys = SeatKeys::from_bytes(&self.keys.to_bytes()).map_err(|_| Fault::OutOfPlace("seat"))?;
        let (terms, card) = (self.door.content.terms.clone(), self.door.card());
        Ok(Some(Founding { group, keys, terms, card, door: Some(self.door.clone()), to_tell }))
    }
}

/// A guest's side until the room opens.
#[cfg_attr(test, derive(Clone))]
pub struct Waiting {
    errand: Errand,
    keys: SeatKeys,
    reply: Door,
    mailbox: ReadKey,
    round: u32,
    contribution: [u8; 16],
    key_package: Vec<u8>,
    roster: Option<Vec<RosterSeat>>,
    taken: Option<u8>,
    next_try: Instant,
    tries: u32,
}

/// What a guest waits for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Errand {
    /// A seat at a card's talk.
    Card {
        /// Whose.
        card: CardId,
        /// What it says.
        content: Content,
    },
    /// To be admitted by the people at the table.
    Table,
    /// To get back into a room whose keys this device lost.
    Return(super::room::Stub),
}

/// What remains of [`Waiting`] over a restart.
#[derive(Serialize, Deserialize)]
pub struct WaitingRecord {
    errand: Errand,
    keys: Vec<u8>,
    reply: Door,
    mailbox: ReadKey,
    round: u32,
    contribution: [u8; 16],
    key_package: Vec<u8>,
    roster: Option<Vec<RosterSeat>>,
}

/// What came of an answer to a guest.
pub enum Answered {
    /// Nothing to do.
    Nothing,
    /// Something to remember and show.
    Changed,
    /// The room is founded with us.
    Founded(Box<Founding>),
    /// We were admitted to a room that stands: group, our keys, its encoded state.
    Joined(Box<(Group, SeatKeys, Vec<u8>)>),
    /// There is no seat for us.
    Declined,
}

impl Waiting {
    /// Asks for a seat.
    ///
    /// # Errors
    /// [`GroupError::Broken`] if no key package could be made.
    pub fn new(cx: &mut Cx<'_>, errand: Errand) -> Result<Waiting, GroupError> {
        let mut keys = SeatKeys::generate(cx.rng);
        let key_package = keys.key_package(cx.rng)?;
        let (reply, mailbox) = (Door::new(cx.rng), ReadKey(Key(cx.rng.bytes())));
        let contribution = cx.rng.bytes();
        let (round, roster, taken, next_try) = (0, None, None, cx.now);
        Ok(Waiting { errand, keys, reply, mailbox, round, contribution, key_package, roster, taken, next_try, tries: 0 })
    }

    /// Goes on after a restart.
    pub fn restore(record: WaitingRecord) -> Option<Waiting> {
        let keys = SeatKeys::from_bytes(&record.keys).ok()?;
        let WaitingRecord { errand, reply, mailbox, round, contribution, key_package, roster, .. } = record;
        let (taken, next_try) = (None, Instant(0));
        Some(Waiting { errand, keys, reply, mailbox, round, contribution, key_package, roster, taken, next_try, tries: 0 })
    }

    /// What to remember.
    pub fn record(&self) -> WaitingRecord {
        WaitingRecord {
            errand: self.errand.clone(),
            keys: self.keys.to_bytes().to_vec(),
            reply: self.reply.clone(),
            mailbox: self.mailbox.clone(),
            round: self.round,
            contribution: self.contribution,
            key_package: self.key_package.clone(),
            roster: self.roster.clone(),
        }
    }

    /// Our seat.
    pub fn seat(&self) -> SeatId {
        self.keys.id()
    }

    /// What is waited for.
    pub fn errand(&self) -> &Errand {
        &self.errand
    }

    /// The hour (since the Unix epoch) after which waiting is vain, where it is known.
    pub fn expires_hours(&self) -> Option<u32> {
        match &self.errand {
            Errand::Card { content, .. } => Some(content.terms.expires_hours),
            Errand::Return(stub) => Some(stub.expires_hours),
            Errand::Table => None,
        }
    }

    /// Seats taken, if the host has told.
    pub fn taken(&self) -> Option<u8> {
        self.taken
    }

    /// Where answers come in.
    pub fn door(&self) -> (&Door, &ReadKey) {
        (&self.reply, &self.mailbox)
    }

    /// Our offer as a newcomer hands it over at the table.
    pub fn offer(&self) -> Offer {
        Offer {
            round: self.round,
            key_package: self.key_package.clone(),
            commitment: commitment(&self.contribution),
            reply: self.reply.public(),
            reply_mailbox: self.mailbox.write_name(),
        }
    }

    /// Says again what the host may not have heard.
    pub fn tick(&mut self, cx: &mut Cx<'_>, talk: TalkId) {
        if self.next_try > cx.now {
            return;
        }
        let retry = doubled(SEAT_RETRY_INTERVAL, self.tries, SEAT_RETRY_INTERVAL_MAX);
        self.next_try = cx.now + if self.roster.is_some() || self.taken.is_none() { retry } else { OFFER_INTERVAL };
        self.tries = self.tries.saturating_add(1);
        match (&self.errand, &self.roster) {
            (Errand::Card { content, .. }, Some(_)) => {
                if self.tries > 1 {
                    // Nothing came of it: the host may have lost the draw or sent us back to the queue, and knows us no more.
                    hand_in(cx, talk, &self.keys, (&content.door, content.mailbox), &ToHost::Offer(self.offer()));
                }
                let reveal = ToHost::Reveal { round: self.round, contribution: self.contribution };
                hand_in(cx, talk, &self.keys, (&content.door, content.mailbox), &reveal);
            }
            (Errand::Card { content, .. }, None) => {
                hand_in(cx, talk, &self.keys, (&content.door, content.mailbox), &ToHost::Offer(self.offer()));
            }
            (Errand::Return(stub), _) => {
                let rejoin = stub.rejoin(&self.keys.id(), self.offer());
                hand_in(cx, talk, &self.keys, (&stub.door, stub.door_mailbox), &ToHost::Rejoin(rejoin));
            }
            (Errand::Table, _) => {}
        }
    }

    /// When [`Waiting::tick`] has something to do next.
    pub fn poll_timeout(&self) -> Instant {
        self.next_try
    }

    /// Gives the seat up.
    pub fn stand_up(&self, cx: &mut Cx<'_>, talk: TalkId) {
        if let Errand::Card { content, .. } = &self.errand {
            hand_in(cx, talk, &self.keys, (&content.door, content.mailbox), &ToHost::StandUp);
        }
    }

    /// Takes an answer that came through the reply door.
    ///
    /// # Errors
    /// A [`Fault`] if it does not hold: a roster without us, contributions that were not committed to, a group with others in it.
    pub fn receive(&mut self, cx: &mut Cx<'_>, sealed: &[u8]) -> Result<Answered, Fault> {
        let plain = self.reply.open(sealed).ok_or(Fault::Forged("answer to a seat request"))?;
        match decode(&plain, "answer to a seat request")? {
            ToGuest::Noted { taken } => {
                self.taken = Some(taken);
                Ok(Answered::Changed)
            }
            ToGuest::Redraw { round } if round > self.round => {
                self.key_package = self.keys.key_package(cx.rng).map_err(|_| Fault::OutOfPlace("redraw"))?;
                (self.round, self.contribution, self.roster) = (round, cx.rng.bytes(), None);
                (self.next_try, self.tries) = (cx.now, 0);
                Ok(Answered::Changed)
            }
            ToGuest::Roster { round, seats } if round == self.round && self.roster.is_none() => {
                let own = RosterSeat {
                    seat: self.keys.id(),
                    key_package: hash("alcove/1 key package", &[&self.key_package]),
                    commitment: commitment(&self.contribution),
                };
                let Errand::Card { content, .. } = &self.errand else { return Err(Fault::OutOfPlace("roster")) };
                let host_first = seats.first().is_some_and(|seat| seat.seat == content.host);
                if !seats.contains(&own) || !host_first || seats.len() < usize::from(content.terms.seats_min) {
                    return Err(Fault::OutOfPlace("roster"));
                }
                (self.roster, self.next_try, self.tries) = (Some(seats), cx.now, 0);
                Ok(Answered::Changed)
            }
            ToGuest::Founded { round, contributions, welcome } if round == self.round => self.found(&contributions, &welcome),
            ToGuest::Joined { welcome, state } => {
                let mut keys = SeatKeys::from_bytes(&self.keys.to_bytes()).map_err(|_| Fault::OutOfPlace("seat"))?;
                let (group, _chair) = Group::join(&mut keys, &welcome, None).map_err(|_| Fault::Forged("welcome"))?;
                Ok(Answered::Joined(Box::new((group, keys, state))))
            }
            ToGuest::Declined => Ok(Answered::Declined),
            ToGuest::Redraw { .. } | ToGuest::Roster { .. } | ToGuest::Founded { .. } => Ok(Answered::Nothing),
        }
    }

    fn found(&mut self, contributions: &[[u8; 16]], welcome: &[u8]) -> Result<Answered, Fault> {
        let roster = self.roster.as_ref().ok_or(Fault::OutOfPlace("founding"))?;
        let Errand::Card { card, content } = &self.errand else { return Err(Fault::OutOfPlace("founding")) };
        let kept = |(seat, contribution): (&RosterSeat, &[u8; 16])| seat.commitment == commitment(contribution);
        if roster.len() != contributions.len() || !roster.iter().zip(contributions).all(kept) {
            return Err(Fault::Forged("contribution"));
        }
        let (psk, psk_id) = founding_psk(roster, contributions);
        let mut keys = SeatKeys::from_bytes(&self.keys.to_bytes()).map_err(|_| Fault::OutOfPlace("seat"))?;
        let (group, founder) = Group::join(&mut keys, welcome, Some((&psk, &psk_id))).map_err(|_| Fault::Forged("welcome"))?;
        let promised: Vec<_> = roster.iter().map(|seat| seat.seat).collect();
        let seated: Vec<_> = group.roster().iter().map(|member| member.seat).collect();
        if promised != seated || founder != content.host {
            return Err(Fault::OutOfPlace("seat in the founding"));
        }
        let (terms, card) = (content.terms.clone(), *card);
        Ok(Answered::Founded(Box::new(Founding { group, keys, terms, card, door: None, to_tell: Vec::new() })))
    }
}

/// Hands a signed request in through a door.
pub fn hand_in(cx: &mut Cx<'_>, talk: TalkId, keys: &SeatKeys, (door, mailbox): (&[u8; 32], WriteName), request: &ToHost) {
    let body = encode(request);
    let signature = keys.sign(DOMAIN, &[door, &body]).into();
    let signed = encode(&Signed { seat: keys.id(), body, signature });
    if let Some(sealed) = door::seal(cx.rng, door, &signed) {
        cx.post(Post::new(&door::parcel_keys(door), &sealed).with_mailbox(Some(mailbox), talk));
    }
}

/// Opens a request and checks its signature: with the key of its own key package for an offer, else with the key that `known` gives.
///
/// # Errors
/// A [`Fault`] if it does not open, parse or verify.
pub fn open_request(door: &Door, sealed: &[u8], known: impl Fn(SeatId) -> Option<Member>) -> Result<(Member, ToHost), Fault> {
    let plain = door.open(sealed).ok_or(Fault::Forged("seat request"))?;
    let signed: Signed = decode(&plain, "seat request")?;
    let request: ToHost = decode(&signed.body, "seat request")?;
    let member = match &request {
        ToHost::Offer(Offer { key_package, .. }) => check_key_package(key_package).map_err(|_| Fault::Forged("key package"))?,
        ToHost::Rejoin(rejoin) => check_key_package(&rejoin.offer.key_package).map_err(|_| Fault::Forged("key package"))?,
        ToHost::Reveal { .. } | ToHost::StandUp => known(signed.seat).ok_or(Fault::OutOfPlace("seat request"))?,
    };
    let holds =
        member.seat == signed.seat && verify(&member.key, DOMAIN, &[&door.public(), &signed.body], &signed.signature.to_bytes());
    if holds { Ok((member, request)) } else { Err(Fault::Forged("seat request")) }
}

/// Answers through a guest's reply door.
pub fn tell(cx: &mut Cx<'_>, talk: TalkId, offer: &Offer, answer: &ToGuest) {
    tell_encoded(cx, talk, &offer.reply, offer.reply_mailbox, &encode(answer));
}

/// Answers through a guest's reply door with an encoded [`ToGuest`].
pub fn tell_encoded(cx: &mut Cx<'_>, talk: TalkId, reply: &[u8; 32], mailbox: WriteName, answer: &[u8]) {
    if let Some(sealed) = door::seal(cx.rng, reply, answer) {
        cx.post(Post::new(&door::parcel_keys(reply), &sealed).with_mailbox(Some(mailbox), talk));
    }
}

fn commitment(contribution: &[u8; 16]) -> [u8; 32] {
    hash("alcove/1 contribution", &[contribution])
}

/// The external PSK of the founding commit: a function of every seat's contribution and of the whole roster, and its id.
fn founding_psk(roster: &[RosterSeat], contributions: &[[u8; 16]]) -> (Key, [u8; 32]) {
    let id = hash("alcove/1 roster", &[&encode(&roster)]);
    let parts: Vec<_> = [&id[..]].into_iter().chain(contributions.iter().map(|contribution| &contribution[..])).collect();
    (Key(hash("alcove/1 founding psk", &parts)), id)
}

/// The MLS group id follows from the roster, so that no two foundings share one.
fn group_id(psk_id: &[u8; 32]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&psk_id[..16]);
    id
}
