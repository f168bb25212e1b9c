//! A guest's side of a gathering: it asks for a seat, opens its contribution, and enters what was founded or stands.
//!
//! Laws: a guest enters no group but the one whose roster it saw, with the contributions to which that committed; what the host may not
//! have heard is said again.

use super::draw::{RosterSeat, commitment, founding_psk, is_opened_by};
use super::{Founding, Offer, ToGuest, ToHost, hand_in};
use crate::proto::board::Content;
use crate::proto::config::{CARD_GONE_PATIENCE, OFFER_INTERVAL, SEAT_RETRY_INTERVAL, SEAT_RETRY_INTERVAL_MAX};
use crate::proto::cx::Cx;
use crate::proto::error::Fault;
use crate::proto::id::{CardId, SeatId, TalkId};
use crate::proto::io::ReadKey;
use crate::proto::secret::Key;
use crate::proto::talk::door::Door;
use crate::proto::talk::group::{Group, GroupError, SeatKeys};
use crate::proto::talk::rejoin::Stub;
use crate::proto::time::{Instant, doubled};
use crate::proto::wire::decode;
use serde::{Deserialize, Serialize};

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
    /// The card is gone: when to give up.
    vain_from: Option<Instant>,
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
    Return(Stub),
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
        Ok(Waiting {
            errand,
            keys,
            reply,
            mailbox,
            round,
            contribution,
            key_package,
            roster,
            taken,
            next_try,
            tries: 0,
            vain_from: None,
        })
    }

    /// Goes on after a restart.
    pub fn restore(record: WaitingRecord) -> Option<Waiting> {
        let keys = SeatKeys::from_bytes(&record.keys).ok()?;
        let WaitingRecord { errand, reply, mailbox, round, contribution, key_package, roster, .. } = record;
        let (taken, next_try) = (None, Instant(0));
        Some(Waiting {
            errand,
            keys,
            reply,
            mailbox,
            round,
            contribution,
            key_package,
            roster,
            taken,
            next_try,
            tries: 0,
            vain_from: None,
        })
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
        self.vain_from.map_or(self.next_try, |vain_from| vain_from.min(self.next_try))
    }

    /// The card is on the board no more. Its host may have admitted us before it left: whether that is so is known in a while.
    pub fn card_gone(&mut self, now: Instant) {
        self.vain_from.get_or_insert(now + CARD_GONE_PATIENCE);
    }

    /// Whether nobody will answer any more.
    pub fn is_in_vain(&self, now: Instant) -> bool {
        self.vain_from.is_some_and(|vain_from| vain_from <= now)
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
                let own = RosterSeat::guest(self.keys.id(), &self.key_package, commitment(&self.contribution));
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
        if !is_opened_by(roster, contributions) {
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

#[cfg(test)]
mod tests {
    use super::*;

    impl Waiting {
        /// For the model check: everything but random bytes and the exact time.
        pub(crate) fn outline(&self, now: Instant) -> String {
            let errand = match &self.errand {
                Errand::Card { .. } => "card",
                Errand::Table => "table",
                Errand::Return(_) => "return",
            };
            let (roster, due) = (self.roster.as_ref().map(Vec::len), self.next_try <= now);
            format!("waiting {errand} {} {roster:?} {:?} {due} {}", self.round, self.taken, self.tries.min(2))
        }

        /// Control: so few are enough.
        pub(crate) fn lower_minimum(&mut self, seats: u8) {
            if let Errand::Card { content, .. } = &mut self.errand {
                content.terms.seats_min = seats;
            }
        }
    }
}
