//! Many hops: what has been seen, what is carried, whom to pass it to, and what two neighbours lack when they meet.
//!
//! Laws: a parcel is passed on at most once; an ephemeral one is never carried; memory is bounded and shared fairly ([`Shelf`]): what
//! makes room is of the largest crowd, which is never passed on at once, so that what was forgotten does not circle. What is carried is
//! not read.
//!
//! The *crowd* of a parcel is the logarithm of how much its neighbour brought that was no more crowded. Each hop raises it and none
//! lowers it, so that behind many hops, when everything comes over one link, a flood is still told from those who say little.

mod fresh;
pub mod reconcile;

use super::config::{
    CARDS_HALF_LIFE, CARRIED_BYTES_MAX, CARRY_TIME_MAX, CROWD_HALF_LIFE, EAGER_CROWD_MAX, EPHEMERAL_MEMORY, FORWARD_ALL_LINKS_MAX,
    MARK_TIME_MAX, OWN_CROWD_MAX, RECONCILE_ANSWER_BYTES_MAX, SEEN_MAX,
};
use super::id::{LinkId, ParcelId, Source};
use super::rng::Rng;
use super::shelf::{Shelf, Tag};
use super::time::{Duration, Instant, WallTime};
use super::wire::frame::{Control, Frame};
use super::wire::parcel::{CROWD_MAX, Parcel};
use fresh::Fresh;
use reconcile::{Exchange, Round, ShortIds, Step};
use std::collections::BTreeMap;

/// A frame for a neighbour.
pub type Outgoing = (LinkId, Frame);

/// What a parcel is, as far as the mesh can tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A card of the board, which everybody reads.
    Card,
    /// Something for others.
    Sealed,
}

/// The mesh as one node sees it.
#[cfg_attr(test, derive(Clone))]
pub struct Mesh {
    neighbours: BTreeMap<LinkId, Neighbour>,
    places: BTreeMap<Source, Place>,
    /// With until when this device would be known by it, because it was passed on to nobody when it came.
    seen: Shelf<ParcelId, Option<Instant>>,
    carried: Shelf<ParcelId, Parcel>,
    fresh: Fresh,
}

#[cfg_attr(test, derive(Clone))]
struct Neighbour {
    place: Source,
    exchange: Exchange,
}

/// What a neighbour, and whoever had its place before, has brought.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
struct Place {
    is_taken: bool,
    cards: Count,
    sealed: Count,
}

/// Parcels by the crowd in which they were said to be.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
struct Count {
    by_crowd: [u32; CROWD_MAX as usize + 1],
    halved: Instant,
}

impl Default for Mesh {
    fn default() -> Mesh {
        Mesh {
            neighbours: BTreeMap::new(),
            places: BTreeMap::new(),
            seen: Shelf::new(SEEN_MAX),
            carried: Shelf::new(CARRIED_BYTES_MAX),
            fresh: Fresh::default(),
        }
    }
}

impl Mesh {
    /// How many neighbours there are.
    pub fn neighbour_count(&self) -> usize {
        self.neighbours.len()
    }

    /// How many parcels and bytes are carried.
    pub fn carried(&self) -> (usize, usize) {
        (self.carried.len(), self.carried.used())
    }

    /// All parcels carried, for a part that has new keys and looks for what it can now open.
    pub fn carried_parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.carried.iter().map(|(_, parcel)| parcel)
    }

    /// A parcel that is carried.
    pub fn carried_parcel(&self, id: &ParcelId) -> Option<&Parcel> {
        self.carried.get(id)
    }

    /// Whose share it is that something came over this link, or (`None`) from the relay.
    pub fn source(&self, link: Option<LinkId>) -> Source {
        link.and_then(|link| self.neighbours.get(&link)).map_or(Source::Relay, |neighbour| neighbour.place)
    }

    /// A link is up: `salt` is its handshake hash. Who opened it begins with reconciliation.
    pub fn link_up(&mut self, rng: &mut Rng, now: Instant, link: LinkId, salt: [u8; 32], begins: bool) -> Vec<Outgoing> {
        let place = self.free_place();
        self.places.entry(place).or_default().is_taken = true;
        self.neighbours.insert(link, Neighbour { place, exchange: Exchange::new(now, salt, begins) });
        if begins { self.begin(rng, now, link) } else { Vec::new() }
    }

    /// A link is gone.
    pub fn link_down(&mut self, link: LinkId) {
        let gone = self.neighbours.remove(&link).and_then(|neighbour| self.places.get_mut(&neighbour.place));
        gone.into_iter().for_each(|place| place.is_taken = false);
    }

    /// Sends what this node made itself to one neighbour, and with [`Mesh::tick`] to the others.
    pub fn originate(&mut self, rng: &mut Rng, now: Instant, wall: WallTime, parcel: Parcel) -> Vec<Outgoing> {
        let parcel = parcel.in_crowd(rng.below(u64::from(OWN_CROWD_MAX) + 1) as u8);
        if !self.admit(now, wall, &parcel, Source::Here, None) {
            return Vec::new();
        }
        let links: Vec<_> = self.neighbours.keys().copied().collect();
        match self.fresh.first(rng, now, &parcel, &links) {
            Some((first, parcel)) => vec![(first, Frame::Parcel(parcel))],
            None => self.pass_on(rng, &parcel, None),
        }
    }

    /// Takes a parcel from a neighbour, or from the relay (`None`). `None` if it is not new or not acceptable; otherwise it is the
    /// caller's to read, in the crowd it is in here, and the frames are to be sent.
    pub fn receive(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        wall: WallTime,
        from: Option<LinkId>,
        kind: Kind,
        parcel: &Parcel,
    ) -> Option<(Parcel, Vec<Outgoing>)> {
        let id = parcel.id();
        if self.seen.get(&id).is_some() {
            from.into_iter().for_each(|from| self.fresh.heard(now, from, &id));
            return None;
        }
        let source = self.source(from);
        let crowd = self.places.entry(source).or_default().count(now, kind, parcel.crowd());
        let parcel = parcel.in_crowd(crowd);
        let next = parcel.next_hop().filter(|_| crowd <= EAGER_CROWD_MAX);
        let goes_on = next.is_some() && self.neighbours.keys().any(|link| Some(*link) != from);
        let memory = if parcel.travel().ephemeral { EPHEMERAL_MEMORY } else { MARK_TIME_MAX };
        if !self.admit(now, wall, &parcel, source, from.filter(|_| !goes_on).map(|_| now + memory)) {
            return None;
        }
        let frames = next.map(|next| self.pass_on(rng, &next, from)).unwrap_or_default();
        Some((parcel, frames))
    }

    /// This device shows itself under a new name: drops what came so shortly ago that nobody else may have it yet. Whoever gave it would
    /// know the device again by it.
    pub fn forget_marks(&mut self, now: Instant) {
        let marks = self.seen.iter().filter(|(_, until)| until.is_some_and(|until| until > now));
        for id in marks.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.seen.remove(&id);
            self.carried.remove(&id);
        }
    }

    /// Takes a word of reconciliation.
    pub fn hear(&mut self, rng: &mut Rng, now: Instant, link: LinkId, control: &Control) -> Vec<Outgoing> {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return Vec::new() };
        let exchange = &mut neighbour.exchange;
        let step = match control {
            Control::Carrying { round, slice, first, symbols } => {
                exchange.hear(rng, now, (*round, *slice, *first), symbols, self.carried.keys())
            }
            Control::Lacking { round, short_ids } => exchange.answered(*round, short_ids.as_deref()),
            Control::Table { .. }
            | Control::Newcomer { .. }
            | Control::Admission { .. }
            | Control::Introduction { .. }
            | Control::Ask { .. }
            | Control::Answer { .. }
            | Control::Member { .. } => Step::Nothing,
        };
        match step {
            Step::Nothing => Vec::new(),
            Step::Say(control) => vec![(link, Frame::Control(control))],
            Step::Found(round, difference) => self.settle(rng, now, link, &round, &difference),
            Step::Asked(round, lacking) => self.give(rng, now, link, &round, &lacking),
        }
    }

    /// Drops what is over, tells the others what one was told, and, now and then, tells each neighbour what is carried.
    pub fn tick(&mut self, rng: &mut Rng, now: Instant) -> Vec<Outgoing> {
        self.seen.expire(now.0);
        self.carried.expire(now.0);

        let mut frames = Vec::new();
        while let Some((told, parcel)) = self.fresh.take_due(now) {
            frames.extend(self.pass_on(rng, &parcel, Some(told)));
        }
        let due = self.neighbours.iter().filter(|(_, neighbour)| neighbour.exchange.next_round <= now);
        let due: Vec<_> = due.map(|(link, _)| *link).collect();
        frames.extend(due.into_iter().flat_map(|link| self.begin(rng, now, link)));
        frames
    }

    /// When [`Mesh::tick`] has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let reconcile = self.neighbours.values().map(|neighbour| neighbour.exchange.next_round).min();
        // What is carried is dropped with the next reconciliation or at the latest when it is over.
        let ends = self.carried.next_end().map(Instant);
        [reconcile, ends, self.fresh.poll_timeout()].into_iter().flatten().min()
    }

    /// Whether the parcel is new and may be kept in mind; carries it if it may be carried.
    fn admit(&mut self, now: Instant, wall: WallTime, parcel: &Parcel, source: Source, mark: Option<Instant>) -> bool {
        let (id, travel) = (parcel.id(), parcel.travel());
        let hours_left = travel.expiry_hours.saturating_sub(wall.hours());
        if hours_left == 0 || self.seen.get(&id).is_some() {
            return false;
        }
        let until = now + CARRY_TIME_MAX.min(Duration::from_secs(3600) * hours_left);
        let memory = if travel.ephemeral { now + EPHEMERAL_MEMORY } else { until };
        let tag = |size, until: Instant| Tag { size, source, crowd: parcel.crowd(), until: until.0 };
        if !self.seen.put(id, mark, tag(1, memory)) {
            return false;
        }
        if !travel.ephemeral {
            self.carried.put(id, parcel.clone(), tag(parcel.as_bytes().len(), until));
        }
        true
    }

    /// The place that the next neighbour takes: of those that are left the one that carries most, because who comes may be who went.
    fn free_place(&self) -> Source {
        let left = self.places.iter().filter(|(source, place)| matches!(source, Source::Neighbour(_)) && !place.is_taken);
        let fullest = left.max_by_key(|(source, place)| (place.weight(), self.carried.share(**source))).map(|(source, _)| *source);
        fullest.unwrap_or(Source::Neighbour(self.places.len() as u32))
    }

    /// To everybody but the one it came from; with many neighbours, to about log2 of them (the rest learn it by reconciliation).
    fn pass_on(&self, rng: &mut Rng, parcel: &Parcel, from: Option<LinkId>) -> Vec<Outgoing> {
        let mut links: Vec<_> = self.neighbours.keys().copied().filter(|link| Some(*link) != from).collect();
        if links.len() > FORWARD_ALL_LINKS_MAX {
            let wanted = FORWARD_ALL_LINKS_MAX + links.len().ilog2() as usize;
            for place in 0..wanted.min(links.len()) {
                let other = place + rng.below((links.len() - place) as u64) as usize;
                links.swap(place, other);
            }
            links.truncate(wanted);
        }
        links.into_iter().map(|link| (link, Frame::Parcel(parcel.clone()))).collect()
    }

    fn begin(&mut self, rng: &mut Rng, now: Instant, link: LinkId) -> Vec<Outgoing> {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return Vec::new() };
        let first = neighbour.exchange.begin(rng, now, self.carried.keys());
        vec![(link, Frame::Control(first))]
    }

    /// The difference is known: asks for what is not carried here, and gives what is.
    fn settle(&mut self, rng: &mut Rng, now: Instant, link: LinkId, round: &Round, difference: &ShortIds) -> Vec<Outgoing> {
        let here: ShortIds = self.carried.keys().filter_map(|id| round.short_id(id)).filter(|id| difference.contains(id)).collect();
        let unknown: ShortIds = difference.difference(&here).copied().collect();
        let ask = (!unknown.is_empty()).then(|| (link, Frame::Control(round.ask(&unknown))));
        ask.into_iter().chain(self.give(rng, now, link, round, difference)).collect()
    }

    /// Hands over what the neighbour lacks: the calm first, and of the crowded so many in a while.
    fn give(&mut self, rng: &mut Rng, now: Instant, link: LinkId, round: &Round, lacking: &ShortIds) -> Vec<Outgoing> {
        let Some(Neighbour { exchange, .. }) = self.neighbours.get_mut(&link) else { return Vec::new() };
        if !exchange.may_give(now) {
            return Vec::new();
        }
        exchange.retain_given(|id| self.carried.get(id).is_some());
        let is_lacking = |id: &ParcelId| round.short_id(id).is_some_and(|short_id| lacking.contains(&short_id));
        let lacking = self.carried.iter().filter(|(id, _)| is_lacking(id) && exchange.is_owed(id));
        let (crowded, calm): (Vec<_>, Vec<_>) = lacking.partition(|(_, parcel)| parcel.crowd() > EAGER_CROWD_MAX);
        let crowded_max = if crowded.is_empty() { 0 } else { exchange.crowded_max(now) };
        let (mut left, mut is_all) = (RECONCILE_ANSWER_BYTES_MAX, true);
        let mut given = Vec::new();
        for (id, parcel) in calm.into_iter().chain(crowded.into_iter().take(crowded_max)) {
            let size = parcel.as_bytes().len();
            is_all = size <= left;
            if !is_all {
                break;
            }
            left -= size;
            exchange.give(*id);
            given.push((link, Frame::Parcel(parcel.with_hops(5 + rng.below(3) as u8))));
        }
        exchange.settled(now, given.len(), is_all);
        given
    }
}

impl Place {
    /// Counts a parcel that was said to be in this crowd; gives the one it is in here.
    fn count(&mut self, now: Instant, kind: Kind, said: u8) -> u8 {
        match kind {
            Kind::Card => self.cards.count(now, CARDS_HALF_LIFE, said),
            Kind::Sealed => self.sealed.count(now, CROWD_HALF_LIFE, said),
        }
    }

    fn weight(&self) -> u32 {
        self.cards.by_crowd.iter().chain(&self.sealed.by_crowd).sum()
    }
}

impl Count {
    fn count(&mut self, now: Instant, half_life: Duration, said: u8) -> u8 {
        while now.since(self.halved) >= half_life {
            self.halved = if self.by_crowd == [0; 16] { now } else { self.halved + half_life };
            self.by_crowd.iter_mut().for_each(|count| *count /= 2);
        }
        let calm = &mut self.by_crowd[..=usize::from(said.min(CROWD_MAX))];
        if let Some(count) = calm.last_mut() {
            *count = count.saturating_add(1);
        }
        let brought: u32 = calm.iter().fold(0, |sum, count| sum.saturating_add(*count));
        said.max(brought.max(1).ilog2() as u8).min(CROWD_MAX)
    }
}

#[cfg(test)]
mod tests;
