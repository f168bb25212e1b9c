//! What we show on the radio, whom we hear there, and to whom a link is worth opening.
//!
//! Laws: an id is random, in memory only, and shown under one address: it rotates after a random 8–15 minutes, with a silent gap, in
//! which the links that it had are closed, so that no neighbour sees the old id and the new one at once; nothing about an id follows from
//! an earlier one; what is heard is bounded and never more than a hint. Of two devices the one with the lower id opens the link.
//!
//! It does not know talks: what hint to show and whom it recognises is said by others.

use super::config::{
    ADVERTISE_INTERVAL_MAX, ADVERTISE_INTERVAL_MIN, ADVERTISE_INTERVAL_PER_DEVICE, DIAL_PATIENCE, EAGER_LISTENING,
    MEMBER_PROOF_INTERVAL, NEAR_SILENCE_MAX, RADIO_CONNECT_MAX, RADIO_DIALED_MAX, RADIO_RETRY_MAX, RADIO_RETRY_MIN, ROTATION_MAX,
    ROTATION_MIN, SIGHTINGS_MAX, SILENT_GAP_MAX, SILENT_GAP_MIN,
};
use super::id::{EphemeralId, LinkId, TalkId};
use super::io::RadioCommand;
use super::rng::Rng;
use super::time::{Duration, Instant, doubled};
use super::wire::advert::{Advert, HINT_BYTES, Shower};
use std::collections::BTreeMap;

/// Who was heard so often is no flood.
const TIMES_THAT_TELL: u32 = 4;

/// What the people of this device are doing, as far as it decides how much to listen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Attention {
    /// Nothing waits for anybody.
    #[default]
    Background,
    /// A talk is open.
    Talking,
    /// People gather for a talk.
    Gathering,
}

impl Attention {
    /// Scan windows of a tenth, a quarter and a half: Android's "low power", "balanced", and between that and "low latency".
    fn duty_percent(self) -> u8 {
        match self {
            Attention::Background => 10,
            Attention::Talking => 25,
            Attention::Gathering => 50,
        }
    }
}

/// How strongly somebody is heard. Bodies and pockets cost 20 dB, so that it is no distance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Band {
    /// -60 dBm and more: about as far as a table reaches.
    Close,
    /// -80 dBm and more.
    Around,
    /// Less.
    Far,
    /// The radio does not say.
    Unknown,
}

/// Somebody near.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Near {
    /// What it is.
    pub shower: Shower,
    /// How strongly it is heard.
    pub band: Band,
    /// There is a link to it.
    pub is_linked: bool,
    /// Which member of a talk of ours it is: by a proof over a link, or by the hint that it shows.
    pub member: Option<Member>,
}

/// Somebody of a talk of ours.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Member {
    /// Which talk.
    pub talk: TalkId,
    /// The number of its seat there.
    pub seat: u8,
}

/// The radio's part of a node.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Presence {
    own: Own,
    attention: Attention,
    /// Whoever has just come listens all the time until then.
    eager_until: Instant,
    scans: Option<u8>,
    /// Those near: heard shortly ago, or linked.
    heard: BTreeMap<EphemeralId, Sighting>,
    links: BTreeMap<LinkId, Standing>,
    has_changed: bool,
}

/// What we show.
#[derive(Clone, Copy, Default, Debug)]
enum Own {
    /// There is no radio, or nothing to be there for.
    #[default]
    Off,
    /// Nothing: the next id comes when the gap is over.
    Gap { until: Instant },
    /// This id.
    Shown { id: EphemeralId, until: Instant },
}

#[derive(Clone, Debug)]
struct Sighting {
    shower: Shower,
    hint: [u8; HINT_BYTES],
    member: Option<Member>,
    /// Whether its hint was compared with whom we know.
    is_compared: bool,
    rssi_dbm: Option<i8>,
    first: Instant,
    last: Instant,
    times: u32,
    tries: u32,
    next_try: Instant,
    /// Ordered and not answered.
    tried_at: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    to: Option<EphemeralId>,
    is_ours: bool,
    member: Option<Member>,
    /// When to say again whose members we are; the handshake is over.
    next_proof: Option<Instant>,
}

impl Presence {
    /// The radio can be used from now on, or no longer.
    pub fn switch(&mut self, rng: &mut Rng, now: Instant, is_on: bool) {
        self.heard.clear();
        (self.scans, self.has_changed, self.eager_until) = (None, true, now + EAGER_LISTENING);
        // Whoever watches must not see that what goes off here comes on again there at once.
        self.own = if is_on { Own::Gap { until: now + rng.between(Duration::ZERO, SILENT_GAP_MIN) } } else { Own::Off };
    }

    /// Whether there is a radio to use.
    pub fn is_on(&self) -> bool {
        !matches!(self.own, Own::Off)
    }

    /// The id that is shown now.
    pub fn id(&self) -> Option<EphemeralId> {
        match self.own {
            Own::Shown { id, .. } => Some(id),
            Own::Off | Own::Gap { .. } => None,
        }
    }

    /// How closely to listen from now on.
    pub fn attend(&mut self, attention: Attention) {
        self.attention = attention;
    }

    /// An advert was heard.
    pub fn hear(&mut self, now: Instant, advert: &[u8], rssi_dbm: Option<i8>) {
        let Some(Advert { shower, id, hint }) = Advert::from_bytes(advert) else { return };
        if !self.is_on() || self.id() == Some(id) {
            return;
        }
        if let Some(known) = self.heard.get_mut(&id) {
            let rssi_dbm = smoothed(known.rssi_dbm, rssi_dbm);
            self.has_changed |= band(rssi_dbm) != band(known.rssi_dbm);
            (known.shower, known.rssi_dbm) = (shower, rssi_dbm);
            known.is_compared &= known.hint == hint;
            known.hint = hint;
            (known.last, known.times) = (now, known.times.saturating_add(1));
            return;
        }
        if self.heard.len() >= SIGHTINGS_MAX {
            self.forget_some();
        }
        let sighting = Sighting {
            shower,
            hint,
            member: None,
            is_compared: false,
            rssi_dbm,
            first: now,
            last: now,
            times: 1,
            tries: 0,
            next_try: now,
            tried_at: None,
        };
        self.heard.insert(id, sighting);
        self.has_changed = true;
    }

    /// We know more people than before: whoever is no known member is compared again.
    pub fn compare_again(&mut self) {
        self.heard.values_mut().for_each(|sighting| sighting.is_compared = sighting.member.is_some());
    }

    /// Compares whoever was not compared with whom we know. It costs some hashes for each member, so that nobody is compared twice.
    pub fn recognise(&mut self, mut whose: impl FnMut(EphemeralId, [u8; HINT_BYTES]) -> Option<Member>) {
        for (id, sighting) in self.heard.iter_mut().filter(|(_, sighting)| !sighting.is_compared) {
            let member = whose(*id, sighting.hint);
            self.has_changed |= member != sighting.member;
            (sighting.member, sighting.is_compared) = (member, true);
        }
    }

    /// Whether who is near has changed; said once.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.has_changed)
    }

    /// A link of the radio came up: to whom we ordered it, or from somebody who has not said yet.
    pub fn link_up(&mut self, link: LinkId, to: Option<EphemeralId>) {
        if let Some(sighting) = to.and_then(|id| self.heard.get_mut(&id)) {
            sighting.tried_at = None;
        }
        self.links.insert(link, Standing { to, is_ours: to.is_some(), member: None, next_proof: None });
    }

    /// The handshake of a link is over.
    pub fn shaken(&mut self, now: Instant, link: LinkId) {
        if let Some(standing) = self.links.get_mut(&link) {
            standing.next_proof = Some(now);
        }
    }

    /// The links over which to say whose members we are: at first and again and again, whether there is a talk or not, so that none shows.
    pub fn take_proofs_due(&mut self, now: Instant) -> Vec<LinkId> {
        let is_due = |standing: &Standing| standing.next_proof.is_some_and(|at| at <= now);
        let due = self.links.iter_mut().filter(|(_, standing)| is_due(standing));
        let due = due.map(|(link, standing)| {
            standing.next_proof = Some(now + MEMBER_PROOF_INTERVAL);
            *link
        });
        due.collect()
    }

    /// Who is at the other end of a link has proven whose member it is, or has not.
    pub fn proven(&mut self, link: LinkId, member: Option<Member>) {
        if let Some(standing) = self.links.get_mut(&link).filter(|standing| standing.member != member) {
            standing.member = member;
            self.has_changed = true;
        }
    }

    /// What to say of ourselves on a link that we opened.
    pub fn introduction(&self, link: LinkId) -> Option<EphemeralId> {
        self.links.get(&link).filter(|standing| standing.is_ours).and_then(|_| self.id())
    }

    /// Who is at the other end says its id. It proves nothing, and spares a second link.
    pub fn introduced(&mut self, link: LinkId, id: EphemeralId) {
        if let Some(standing) = self.links.get_mut(&link).filter(|standing| !standing.is_ours) {
            standing.to = Some(id);
        }
    }

    /// A link is gone.
    pub fn link_down(&mut self, now: Instant, link: LinkId) {
        if let Some(id) = self.links.remove(&link).and_then(|standing| standing.to) {
            self.put_off(now, id);
        }
    }

    /// Whether it is a link of the radio.
    pub fn has_link(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// No link came of it.
    pub fn out_of_reach(&mut self, now: Instant, id: EphemeralId) {
        self.put_off(now, id);
    }

    /// Who is near, the strongest first.
    pub fn near(&self) -> Vec<Near> {
        let near = |(id, sighting): (&EphemeralId, &Sighting)| Near {
            shower: sighting.shower,
            band: band(sighting.rssi_dbm),
            is_linked: self.is_linked(*id),
            member: self.proven_member(*id).or(sighting.member),
        };
        let mut near: Vec<_> = self.heard.iter().map(near).collect();
        near.sort_by_key(|near| near.band);
        near
    }

    /// Rotates, opens links, and sets how much to listen: what the radio is to do now. `hint` says what to show beside a new id, if
    /// anybody is to recognise it.
    pub fn tick(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        hint: impl FnOnce(&mut Rng, EphemeralId) -> Option<[u8; HINT_BYTES]>,
    ) -> Vec<RadioCommand> {
        let mut commands = Vec::new();
        self.forget_the_silent(now);
        match self.own {
            Own::Off => return commands,
            Own::Shown { until, .. } if until <= now => {
                self.own = Own::Gap { until: now + rng.between(SILENT_GAP_MIN, SILENT_GAP_MAX) };
                commands.push(RadioCommand::Silence);
            }
            Own::Gap { until } if until <= now => {
                let id = EphemeralId(rng.bytes());
                self.own = Own::Shown { id, until: now + rng.between(ROTATION_MIN, ROTATION_MAX) };
                let chance = rng.bytes();
                let advert = Advert { shower: Shower::Attendee, id, hint: hint(rng, id).unwrap_or(chance) };
                commands.push(RadioCommand::Advertise { advert: advert.to_bytes(), interval: self.interval() });
            }
            Own::Shown { .. } | Own::Gap { .. } => {}
        }
        let duty_percent = if now < self.eager_until { 100 } else { self.attention.duty_percent() };
        if self.scans.replace(duty_percent) != Some(duty_percent) {
            commands.push(RadioCommand::Scan { duty_percent });
        }
        commands.extend(self.dial(rng, now));
        commands
    }

    /// When [`Presence::tick`] has something to do next, after it was called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let rotation = match self.own {
            Own::Off => return None,
            Own::Gap { until } | Own::Shown { until, .. } => until,
        };
        let dial = self.id().filter(|_| self.can_dial());
        let dial = dial.and_then(|own| self.unlinked().map(|(id, sighting)| sighting.due(own, *id)).min());
        let ends = self.unlinked().map(|(_, sighting)| sighting.ends()).min();
        let rest = (self.scans == Some(100)).then_some(self.eager_until);
        let proof = self.links.values().filter_map(|standing| standing.next_proof).min();
        [Some(rotation), dial, ends, rest, proof].into_iter().flatten().min()
    }

    /// The density-adaptive advertising interval: with N in range, 2aN lets most adverts through (slotless ALOHA).
    fn interval(&self) -> Duration {
        let best = ADVERTISE_INTERVAL_PER_DEVICE * u32::try_from(self.heard.len()).unwrap_or(u32::MAX);
        best.clamp(ADVERTISE_INTERVAL_MIN, ADVERTISE_INTERVAL_MAX)
    }

    /// One link at a time, to anybody who is near and has none: by chance, so that the strongest do not keep to themselves.
    fn dial(&mut self, rng: &mut Rng, now: Instant) -> Option<RadioCommand> {
        let own = self.id().filter(|_| self.can_dial())?;
        let due: Vec<_> = self.unlinked().filter(|(id, sighting)| sighting.due(own, **id) <= now).map(|(id, _)| *id).collect();
        let id = *due.get(rng.below(due.len() as u64) as usize)?;
        self.heard.get_mut(&id)?.tried_at = Some(now);
        Some(RadioCommand::Connect { id })
    }

    fn can_dial(&self) -> bool {
        let ours = self.links.values().filter(|standing| standing.is_ours).count();
        ours < RADIO_DIALED_MAX && self.heard.values().all(|sighting| sighting.tried_at.is_none())
    }

    fn unlinked(&self) -> impl Iterator<Item = (&EphemeralId, &Sighting)> {
        self.heard.iter().filter(|(id, _)| !self.is_linked(**id))
    }

    fn proven_member(&self, id: EphemeralId) -> Option<Member> {
        self.links.values().find(|standing| standing.to == Some(id))?.member
    }

    fn is_linked(&self, id: EphemeralId) -> bool {
        self.links.values().any(|standing| standing.to == Some(id))
    }

    fn put_off(&mut self, now: Instant, id: EphemeralId) {
        if let Some(sighting) = self.heard.get_mut(&id) {
            sighting.tried_at = None;
            sighting.next_try = now + doubled(RADIO_RETRY_MIN, sighting.tries, RADIO_RETRY_MAX);
            sighting.tries = sighting.tries.saturating_add(1);
        }
    }

    /// Makes room for a quarter of the list at once: of those without a link, who was heard least often goes first, and of these who was
    /// silent for longest. A flood of ids is heard once each and pushes out itself.
    fn forget_some(&mut self) {
        let mut least: Vec<_> =
            self.unlinked().map(|(id, sighting)| (sighting.times.min(TIMES_THAT_TELL), sighting.last, *id)).collect();
        least.sort_unstable();
        for (_, _, id) in least.into_iter().take(SIGHTINGS_MAX / 4) {
            self.heard.remove(&id);
        }
    }

    fn forget_the_silent(&mut self, now: Instant) {
        let late = |sighting: &Sighting| sighting.tried_at.is_some() && sighting.ends() <= now;
        let late: Vec<_> = self.heard.iter().filter(|(_, sighting)| late(sighting)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.put_off(now, id));
        let gone: Vec<_> = self.unlinked().filter(|(_, sighting)| sighting.ends() <= now).map(|(id, _)| *id).collect();
        self.has_changed |= !gone.is_empty();
        for id in gone {
            self.heard.remove(&id);
        }
    }
}

impl Sighting {
    /// When it is not near any more, or, if a link was ordered, when that has taken too long.
    fn ends(&self) -> Instant {
        self.tried_at.map_or(self.last + NEAR_SILENCE_MAX, |at| at + RADIO_CONNECT_MAX)
    }

    /// When a link to it may be ordered.
    fn due(&self, own: EphemeralId, id: EphemeralId) -> Instant {
        let patience = if own < id { Duration::ZERO } else { DIAL_PATIENCE };
        self.next_try.max(self.first + patience)
    }
}

/// A quarter of the news, so that one reflection does not move anybody to another band.
fn smoothed(before: Option<i8>, now: Option<i8>) -> Option<i8> {
    match (before, now) {
        (Some(before), Some(now)) => i8::try_from((i16::from(before) * 3 + i16::from(now)) / 4).ok(),
        (before, now) => now.or(before),
    }
}

fn band(rssi_dbm: Option<i8>) -> Band {
    match rssi_dbm {
        None => Band::Unknown,
        Some(-60..) => Band::Close,
        Some(-80..) => Band::Around,
        Some(_) => Band::Far,
    }
}

#[cfg(test)]
mod tests;
