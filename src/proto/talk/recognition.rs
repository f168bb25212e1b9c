//! By which members recognise each other on the radio: a key of each seat, known to the members of its talk alone.
//!
//! Laws: a key is drawn at random and lives in memory only; every quarter of an hour it is replaced by its hash, so that no key that is
//! known now recognises what was shown two steps ago; whoever enters another epoch draws anew, so that who has left recognises nobody.
//! Three bytes are a hint and no proof.

use super::entry::SeatNumber;
use crate::proto::config::{PRESENCE_ASK_INTERVAL, PRESENCE_STEP, PRESENCE_STEPS_KEPT, PRESENCE_STEPS_MAX, PRESENCE_TELL_INTERVAL};
use crate::proto::id::EphemeralId;
use crate::proto::rng::Rng;
use crate::proto::secret::Key;
use crate::proto::time::{Duration, Instant, WallTime};
use crate::proto::wire::advert::HINT_BYTES;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a seat tells the others of its room, inside MLS.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Told {
    key: PresenceKey,
    /// It does not know everybody's: tell it yours.
    asks: bool,
}

/// The key of one seat at one step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct PresenceKey {
    /// Quarters of an hour since the Unix epoch.
    step: u32,
    key: Key,
}

/// The keys of one room's seats, as one member knows them.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Recognition {
    /// Where our clock stands.
    step: u32,
    own: Option<Own>,
    others: BTreeMap<SeatNumber, PresenceKey>,
    has_news: bool,
}

#[cfg_attr(test, derive(Clone))]
struct Own {
    key: PresenceKey,
    /// Term and epoch in which it was drawn.
    place: (u32, u64),
    /// When to tell it.
    due: Option<Instant>,
    told: Option<Instant>,
}

impl Recognition {
    /// There is a radio, and the room is in this place (term and epoch): a key is drawn, and told a moment later, when the others have
    /// come there too.
    pub fn show(&mut self, rng: &mut Rng, now: Instant, wall: WallTime, place: (u32, u64)) {
        if self.own.as_ref().is_some_and(|own| own.place == place) {
            return;
        }
        let key = PresenceKey { step: step(wall), key: Key(rng.bytes()) };
        let due = Some(now + rng.between(Duration::from_secs(2), Duration::from_secs(10)));
        self.own = Some(Own { key, place, due, told: None });
    }

    /// There is no radio any more.
    pub fn hide(&mut self) {
        self.own = None;
    }

    /// Goes on to this time, and forgets what the keys were.
    pub fn advance(&mut self, wall: WallTime) {
        self.step = step(wall);
        if self.own.as_mut().is_some_and(|own| !own.key.advance(self.step)) {
            self.own = None;
        }
        let oldest = self.step.saturating_sub(PRESENCE_STEPS_KEPT);
        self.others.retain(|_, key| key.advance(oldest));
    }

    /// A seat that is heard close by is not known: what should be asked for is asked for.
    pub fn miss(&mut self, now: Instant) {
        if let Some(own) = &mut self.own
            && let Some(told) = own.told
            && own.due.is_none()
            && now.since(told) >= PRESENCE_ASK_INTERVAL
        {
            own.due = Some(now);
        }
    }

    /// Whether this seat's key is known.
    pub fn knows(&self, seat: SeatNumber) -> bool {
        self.others.contains_key(&seat)
    }

    /// What to tell the others now; said once. `knows_all`: whether nobody is missed.
    pub fn take_due(&mut self, now: Instant, knows_all: bool) -> Option<Told> {
        let own = self.own.as_mut().filter(|own| own.due.is_some_and(|due| due <= now))?;
        (own.due, own.told) = (None, Some(now));
        Some(Told { key: own.key.clone(), asks: !knows_all })
    }

    /// When [`Recognition::take_due`] has something to tell.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.own.as_ref()?.due
    }

    /// A seat tells its key. One that is older than what is carried of it is passed over.
    pub fn hear(&mut self, rng: &mut Rng, now: Instant, wall: WallTime, seat: SeatNumber, told: Told) {
        let Told { mut key, asks } = told;
        self.step = step(wall);
        if !key.advance(self.step.saturating_sub(PRESENCE_STEPS_KEPT)) {
            return;
        }
        self.has_news |= self.others.insert(seat, key.clone()) != Some(key);
        if let Some(own) = &mut self.own
            && asks
        {
            let soon = now + rng.between(Duration::ZERO, Duration::from_secs(2));
            let due = own.told.map_or(soon, |told| soon.max(told + PRESENCE_TELL_INTERVAL));
            own.due = Some(own.due.map_or(due, |earlier| earlier.min(due)));
        }
    }

    /// Keeps the keys of these seats alone.
    pub fn retain(&mut self, sits: impl Fn(SeatNumber) -> bool) {
        self.others.retain(|seat, _| sits(*seat));
    }

    /// Whether keys have come by which somebody may be recognised who was not; said once.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// The hint to show beside this id, for the others of this room.
    pub fn hint(&self, id: EphemeralId) -> Option<[u8; HINT_BYTES]> {
        self.own.as_ref().map(|own| own.key.hint(id))
    }

    /// Whose hint this is, if it is a member's.
    pub fn recognise(&self, id: EphemeralId, hint: [u8; HINT_BYTES]) -> Option<SeatNumber> {
        self.whose(|key| key.hint(id) == hint)
    }

    /// What to say over a link with this handshake hash, for the others of this room.
    pub fn proof(&self, handshake_hash: &[u8; 32]) -> Option<[u8; 8]> {
        self.own.as_ref().map(|own| own.key.proof(handshake_hash))
    }

    /// Which of the others said one of these over the link with this handshake hash.
    pub fn prover(&self, handshake_hash: &[u8; 32], proofs: &[[u8; 8]]) -> Option<SeatNumber> {
        self.whose(|key| proofs.contains(&key.proof(handshake_hash)))
    }

    /// Whose key it is that does so, at one of the steps that its clock may show: two before ours to two after.
    fn whose(&self, does: impl Fn(&PresenceKey) -> bool) -> Option<SeatNumber> {
        let latest = self.step.saturating_add(PRESENCE_STEPS_KEPT);
        let knows = |key: &PresenceKey| {
            let steps = std::iter::successors(Some(key.clone()), |key| Some(key.next()));
            steps.take_while(|key| key.step <= latest).take(2 * PRESENCE_STEPS_KEPT as usize + 1).any(|key| does(&key))
        };
        self.others.iter().find(|(_, key)| knows(key)).map(|(seat, _)| *seat)
    }
}

impl PresenceKey {
    /// Goes on to this step, unless it is too far for a key that anybody still uses.
    fn advance(&mut self, step: u32) -> bool {
        let is_near = step.saturating_sub(self.step) <= PRESENCE_STEPS_MAX;
        while is_near && self.step < step {
            *self = self.next();
        }
        is_near
    }

    fn next(&self) -> PresenceKey {
        PresenceKey { step: self.step.saturating_add(1), key: self.key.derive("alcove/1 presence step", &[]) }
    }

    fn hint(&self, id: EphemeralId) -> [u8; HINT_BYTES] {
        let mut hint = [0; HINT_BYTES];
        hint.copy_from_slice(&self.key.mac(&[b"alcove/1 hint", &id.0])[..HINT_BYTES]);
        hint
    }

    fn proof(&self, handshake_hash: &[u8; 32]) -> [u8; 8] {
        let mut proof = [0; 8];
        proof.copy_from_slice(&self.key.mac(&[b"alcove/1 member", handshake_hash])[..8]);
        proof
    }
}

fn step(wall: WallTime) -> u32 {
    wall.minutes() / (PRESENCE_STEP.as_secs() / 60) as u32
}

#[cfg(test)]
mod tests;
