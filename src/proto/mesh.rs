//! Many hops: what has been seen, what is carried, whom to pass it to, and what two neighbours lack when they meet.
//!
//! Laws: a parcel is passed on at most once; an ephemeral one is never carried; memory is bounded and shared fairly ([`Shelf`]): what
//! makes room is of the largest crowd, which is never passed on at once, so that what was forgotten does not circle. What is carried is
//! not read.
//!
//! The *crowd* of a parcel is the logarithm of how much its neighbour brought that was no more crowded. Each hop raises it and none
//! lowers it, so that behind many hops, when everything comes over one link, a flood is still told from those who say little.

use super::config::{
    CARDS_HALF_LIFE, CARRIED_BYTES_MAX, CARRY_TIME_MAX, CROWD_HALF_LIFE, CROWDED_PER_ROUND_MAX, EAGER_CROWD_MAX, EPHEMERAL_MEMORY,
    FORWARD_ALL_LINKS_MAX, OWN_CROWD_MAX, RECONCILE_ANSWER_BYTES_MAX, RECONCILE_ANSWER_INTERVAL, RECONCILE_INTERVAL, SEEN_MAX,
};
use super::id::{LinkId, ParcelId, Source};
use super::rng::Rng;
use super::secret::hash16;
use super::shelf::{Shelf, Tag};
use super::time::{Duration, Instant, WallTime};
use super::wire::frame::{Control, Frame};
use super::wire::parcel::{CROWD_MAX, Parcel};
use std::collections::{BTreeMap, BTreeSet};

/// A frame for a neighbour.
pub type Outgoing = (LinkId, Frame);

/// Short ids per `Have` frame: what 16 cells hold.
const HAVE_MAX: usize = 440;
/// `Have` frames of one neighbour in one round: as many as a full carry buffer of small parcels needs.
const HAVE_IDS_MAX: usize = 32_768;

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
    seen: Shelf<ParcelId, ()>,
    carried: Shelf<ParcelId, Parcel>,
}

#[cfg_attr(test, derive(Clone))]
struct Neighbour {
    place: Source,
    salt: [u8; 32],
    have: BTreeSet<[u8; 8]>,
    next_reconcile: Instant,
    /// Before these, a question what we carry and one for what is missing are not answered again.
    next_have: Instant,
    next_give: Instant,
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

    /// Whose share it is that something came over this link, or (`None`) from the relay.
    pub fn source(&self, link: Option<LinkId>) -> Source {
        link.and_then(|link| self.neighbours.get(&link)).map_or(Source::Relay, |neighbour| neighbour.place)
    }

    /// A link is up: `salt` is its handshake hash. Gives the first word of reconciliation.
    pub fn link_up(&mut self, now: Instant, link: LinkId, salt: [u8; 32]) -> Vec<Outgoing> {
        let place = self.free_place();
        self.places.entry(place).or_default().is_taken = true;
        let next_reconcile = now + RECONCILE_INTERVAL;
        let neighbour = Neighbour { place, salt, have: BTreeSet::new(), next_reconcile, next_have: now, next_give: now };
        self.neighbours.insert(link, neighbour);
        vec![(link, Frame::Control(Control::Carrying { fingerprint: self.fingerprint(&salt) }))]
    }

    /// A link is gone.
    pub fn link_down(&mut self, link: LinkId) {
        let gone = self.neighbours.remove(&link).and_then(|neighbour| self.places.get_mut(&neighbour.place));
        gone.into_iter().for_each(|place| place.is_taken = false);
    }

    /// Sends what this node made itself to everybody.
    pub fn originate(&mut self, rng: &mut Rng, now: Instant, wall: WallTime, parcel: Parcel) -> Vec<Outgoing> {
        let parcel = parcel.in_crowd(rng.below(u64::from(OWN_CROWD_MAX) + 1) as u8);
        match self.admit(now, wall, &parcel, Source::Here) {
            true => self.pass_on(rng, &parcel, None),
            false => Vec::new(),
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
        if self.seen.get(&parcel.id()).is_some() {
            return None;
        }
        let source = self.source(from);
        let crowd = self.places.entry(source).or_default().count(now, kind, parcel.crowd());
        let parcel = parcel.in_crowd(crowd);
        if !self.admit(now, wall, &parcel, source) {
            return None;
        }
        let next = parcel.next_hop().filter(|_| crowd <= EAGER_CROWD_MAX);
        let frames = next.map(|next| self.pass_on(rng, &next, from)).unwrap_or_default();
        Some((parcel, frames))
    }

    /// Takes a word of reconciliation.
    pub fn hear(&mut self, rng: &mut Rng, now: Instant, link: LinkId, control: &Control) -> Vec<Outgoing> {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return Vec::new() };
        let salt = neighbour.salt;
        match control {
            // An answer may cost thousands of times the question.
            Control::Carrying { .. } if neighbour.next_have > now => Vec::new(),
            Control::Carrying { fingerprint } => {
                neighbour.next_have = now + RECONCILE_ANSWER_INTERVAL;
                if *fingerprint == self.fingerprint(&salt) { Vec::new() } else { self.have(link, &salt) }
            }
            Control::Have { short_ids, last } => self.lacking(rng, now, link, short_ids, *last),
            Control::Table { .. }
            | Control::Newcomer { .. }
            | Control::Admission { .. }
            | Control::Introduction { .. }
            | Control::Ask { .. }
            | Control::Answer { .. }
            | Control::Member { .. } => Vec::new(),
        }
    }

    /// Drops what is over and, now and then, asks each neighbour whether anything is missing.
    pub fn tick(&mut self, now: Instant) -> Vec<Outgoing> {
        self.seen.expire(now.0);
        self.carried.expire(now.0);

        let due: Vec<_> = self.neighbours.iter_mut().filter(|(_, neighbour)| neighbour.next_reconcile <= now).collect();
        let due: Vec<_> = due
            .into_iter()
            .map(|(link, neighbour)| {
                neighbour.next_reconcile = now + RECONCILE_INTERVAL;
                (*link, neighbour.salt)
            })
            .collect();
        due.into_iter()
            .map(|(link, salt)| (link, Frame::Control(Control::Carrying { fingerprint: self.fingerprint(&salt) })))
            .collect()
    }

    /// When [`Mesh::tick`] has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let reconcile = self.neighbours.values().map(|neighbour| neighbour.next_reconcile).min();
        // What is carried is dropped with the next reconciliation or at the latest when it is over.
        reconcile.into_iter().chain(self.carried.next_end().map(Instant)).min()
    }

    /// Whether the parcel is new and may be kept in mind; carries it if it may be carried.
    fn admit(&mut self, now: Instant, wall: WallTime, parcel: &Parcel, source: Source) -> bool {
        let (id, travel) = (parcel.id(), parcel.travel());
        let hours_left = travel.expiry_hours.saturating_sub(wall.hours());
        if hours_left == 0 || self.seen.get(&id).is_some() {
            return false;
        }
        let until = now + CARRY_TIME_MAX.min(Duration::from_secs(3600) * hours_left);
        let memory = if travel.ephemeral { now + EPHEMERAL_MEMORY } else { until };
        let tag = |size, until: Instant| Tag { size, source, crowd: parcel.crowd(), until: until.0 };
        if !self.seen.put(id, (), tag(1, memory)) {
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

    fn fingerprint(&self, salt: &[u8; 32]) -> [u8; 16] {
        self.carried.iter().fold([0; 16], |mut sum, (id, _)| {
            let salted = hash16("alcove/1 carrying", &[salt, &id.0]);
            sum.iter_mut().zip(salted).for_each(|(byte, other)| *byte ^= other);
            sum
        })
    }

    fn have(&self, link: LinkId, salt: &[u8; 32]) -> Vec<Outgoing> {
        let ids: Vec<_> = self.carried.iter().map(|(id, _)| short_id(salt, id)).collect();
        let frames = ids.len().div_ceil(HAVE_MAX).max(1);
        (0..frames)
            .map(|frame| {
                let short_ids = ids.iter().skip(frame * HAVE_MAX).take(HAVE_MAX).copied().collect();
                (link, Frame::Control(Control::Have { short_ids, last: frame + 1 == frames }))
            })
            .collect()
    }

    fn lacking(&mut self, rng: &mut Rng, now: Instant, link: LinkId, short_ids: &[[u8; 8]], last: bool) -> Vec<Outgoing> {
        let Some(neighbour) = self.neighbours.get_mut(&link) else { return Vec::new() };
        let salt = neighbour.salt;
        if neighbour.have.len() < HAVE_IDS_MAX {
            neighbour.have.extend(short_ids);
        }
        if !last {
            return Vec::new();
        }
        let have = std::mem::take(&mut neighbour.have);
        if neighbour.next_give > now {
            return Vec::new();
        }
        neighbour.next_give = now + RECONCILE_ANSWER_INTERVAL;
        let lacking = self.carried.iter().filter(|(id, _)| !have.contains(&short_id(&salt, id))).map(|(_, parcel)| parcel);
        let (crowded, calm): (Vec<_>, Vec<_>) = lacking.partition(|parcel| parcel.crowd() > EAGER_CROWD_MAX);
        let mut left = RECONCILE_ANSWER_BYTES_MAX;
        let mut given = Vec::new();
        for parcel in calm.into_iter().chain(crowded.into_iter().take(CROWDED_PER_ROUND_MAX)) {
            let size = parcel.as_bytes().len();
            if size > left {
                neighbour.next_reconcile = neighbour.next_reconcile.min(now + RECONCILE_ANSWER_INTERVAL * 2);
                break;
            }
            left -= size;
            given.push((link, Frame::Parcel(parcel.with_hops(5 + rng.below(3) as u8))));
        }
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

fn short_id(salt: &[u8; 32], id: &ParcelId) -> [u8; 8] {
    let mut short = [0; 8];
    short.copy_from_slice(&hash16("alcove/1 short id", &[salt, &id.0])[..8]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::secret::Key;
    use crate::proto::wire::parcel::{ParcelKeys, Travel};

    const WALL: WallTime = WallTime(3_600_000 * 1_000);

    fn parcel(rng: &mut Rng, ephemeral: bool) -> Parcel {
        ParcelKeys::new(&Key([1; 32])).seal(rng, Travel { expiry_hours: 1_010, ephemeral, hops: 5 }, b"x").unwrap()
    }

    #[test]
    fn a_seen_parcel_is_never_passed_on_twice() {
        let rng = &mut Rng::new([1; 32]);
        let mut mesh = Mesh::default();
        mesh.link_up(Instant(0), LinkId(1), [1; 32]);
        mesh.link_up(Instant(0), LinkId(2), [2; 32]);
        let parcel = parcel(rng, false);
        let (_, sent) = mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), Kind::Sealed, &parcel).unwrap();
        assert!(matches!(&sent[..], [(LinkId(2), Frame::Parcel(next))] if next.travel().hops == 4));
        assert!(mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &parcel).is_none());
        assert!(mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &parcel.next_hop().unwrap()).is_none());
    }

    #[test]
    fn an_expired_parcel_is_refused_and_an_ephemeral_one_is_not_carried() {
        let rng = &mut Rng::new([2; 32]);
        let mut mesh = Mesh::default();
        let (lasting, fleeting) = (parcel(rng, false), parcel(rng, true));
        assert!(mesh.receive(rng, Instant(0), WallTime(3_600_000 * 1_010), None, Kind::Sealed, &lasting).is_none());
        assert!(mesh.receive(rng, Instant(0), WALL, None, Kind::Sealed, &fleeting).is_some());
        assert_eq!(mesh.carried(), (0, 0));
    }

    #[test]
    fn two_that_meet_exchange_exactly_what_is_missing() {
        let rng = &mut Rng::new([3; 32]);
        let (mut alice, mut bob) = (Mesh::default(), Mesh::default());
        for index in 0..1_000 {
            let parcel = parcel(rng, false);
            if index % 10 != 0 {
                alice.originate(rng, Instant(0), WALL, parcel.clone());
            }
            if index % 10 != 1 {
                bob.originate(rng, Instant(0), WALL, parcel);
            }
        }
        let (salt, link) = ([7; 32], LinkId(1));
        let mut to_bob = alice.link_up(Instant(0), link, salt);
        let mut to_alice = bob.link_up(Instant(0), link, salt);
        let mut parcels = 0;
        let mut hear = |mesh: &mut Mesh, rng: &mut Rng, frames: Vec<Outgoing>| -> Vec<Outgoing> {
            let answer = |(_, frame)| match frame {
                Frame::Parcel(parcel) => {
                    parcels += 1;
                    assert!(
                        mesh.receive(rng, Instant(0), WALL, Some(link), Kind::Sealed, &parcel).is_some(),
                        "only what is missing is sent"
                    );
                    Vec::new()
                }
                Frame::Control(control) => mesh.hear(rng, Instant(0), link, &control),
            };
            frames.into_iter().flat_map(answer).collect()
        };
        while !(to_bob.is_empty() && to_alice.is_empty()) {
            let from_bob = hear(&mut bob, rng, to_bob);
            to_bob = hear(&mut alice, rng, to_alice);
            to_alice = from_bob;
        }
        assert_eq!(parcels, 200);
        assert_eq!(alice.fingerprint(&salt), bob.fingerprint(&salt));
    }

    #[test]
    fn a_neighbour_that_asks_again_and_again_gets_one_answer_a_second_and_in_the_end_everything() {
        let rng = &mut Rng::new([5; 32]);
        let mut mesh = Mesh::default();
        let carried = 3 * RECONCILE_ANSWER_BYTES_MAX / 448;
        for _ in 0..carried {
            let parcel = parcel(rng, false);
            mesh.originate(rng, Instant(0), WALL, parcel);
        }
        let link = LinkId(1);
        mesh.link_up(Instant(0), link, [7; 32]);
        let mut known = BTreeSet::new();
        for second in 0..4 {
            let now = Instant(second * 1_000_000);
            let mut bytes = 0;
            for _ in 0..50 {
                mesh.hear(rng, now, link, &Control::Carrying { fingerprint: [0; 16] });
                let short_ids: Vec<_> = known.iter().map(|id| short_id(&[7; 32], id)).collect();
                for chunk in short_ids.chunks(HAVE_MAX) {
                    mesh.hear(rng, now, link, &Control::Have { short_ids: chunk.to_vec(), last: false });
                }
                for (_, frame) in mesh.hear(rng, now, link, &Control::Have { short_ids: Vec::new(), last: true }) {
                    let Frame::Parcel(parcel) = frame else { unreachable!() };
                    bytes += parcel.as_bytes().len();
                    known.insert(parcel.id());
                }
            }
            assert!(bytes <= RECONCILE_ANSWER_BYTES_MAX, "{bytes}");
        }
        assert_eq!(known.len(), carried, "control: who asks in time gets all");
    }

    #[test]
    fn a_flooder_silences_neither_this_device_nor_others_however_often_it_comes_again() {
        let rng = &mut Rng::new([6; 32]);
        let mut mesh = Mesh::default();
        // Parcels are made by hand: sealing so many takes longer than taking them.
        let (mut bytes, mut number) = (parcel(rng, true).as_bytes().to_vec(), 0_u64);
        let mut next = || {
            number += 1;
            bytes[20..28].copy_from_slice(&number.to_be_bytes());
            Parcel::decode(bytes.clone()).unwrap()
        };
        for link in 0..8 {
            let link = LinkId(100 + link);
            mesh.link_up(Instant(0), link, [1; 32]);
            for _ in 0..SEEN_MAX / 6 {
                mesh.receive(rng, Instant(0), WALL, Some(link), Kind::Sealed, &next());
            }
            mesh.link_down(link);
        }
        assert_eq!(mesh.seen.len(), SEEN_MAX, "control: the memory is full");
        mesh.link_up(Instant(0), LinkId(99), [1; 32]);
        mesh.link_up(Instant(0), LinkId(1), [1; 32]);
        for _ in 0..500 {
            assert!(mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), Kind::Sealed, &next()).is_some(), "an honest neighbour");
            assert!(mesh.receive(rng, Instant(0), WALL, None, Kind::Sealed, &next()).is_some(), "the relay");
            assert!(!mesh.originate(rng, Instant(0), WALL, next()).is_empty(), "this device");
        }
        assert_eq!(mesh.seen.len(), SEEN_MAX);
    }

    #[test]
    fn a_flooder_evicts_itself() {
        let rng = &mut Rng::new([4; 32]);
        let mut mesh = Mesh::default();
        [1, 2].into_iter().for_each(|link| drop(mesh.link_up(Instant(0), LinkId(link), [1; 32])));
        let honest: Vec<_> = (0..20).map(|_| parcel(rng, false)).collect();
        honest
            .iter()
            .for_each(|parcel| assert!(mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), Kind::Sealed, parcel).is_some()));
        for _ in 0..CARRIED_BYTES_MAX / 448 + 100 {
            let parcel = parcel(rng, false);
            mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &parcel);
        }
        assert!(mesh.carried().1 <= CARRIED_BYTES_MAX);
        assert!(honest.iter().all(|parcel| mesh.carried.get(&parcel.id()).is_some()));
    }

    #[test]
    fn a_full_memory_still_takes_what_is_not_crowded() {
        let rng = &mut Rng::new([5; 32]);
        let mut mesh = Mesh::default();
        for link in 1..3 {
            mesh.link_up(Instant(0), LinkId(link), [link as u8; 32]);
        }
        let parcel = parcel(rng, true);
        for flood in 0..SEEN_MAX as u32 + 10 {
            // Parcels in all but the making: each has another expiry.
            let mut bytes = parcel.as_bytes().to_vec();
            bytes[2..6].copy_from_slice(&(2_000 + flood).to_be_bytes());
            mesh.receive(rng, Instant(1), WALL, Some(LinkId(1)), Kind::Sealed, &Parcel::decode(bytes).unwrap());
        }
        assert_eq!(mesh.seen.len(), SEEN_MAX);
        let honest = self::parcel(rng, false);
        let (taken, sent) = mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &honest).unwrap();
        assert!(taken.crowd() <= EAGER_CROWD_MAX && sent.len() == 1, "and passes it on");
    }

    #[test]
    fn who_breaks_its_link_and_comes_back_does_not_begin_anew() {
        let rng = &mut Rng::new([6; 32]);
        let mut mesh = Mesh::default();
        let mut last = 0;
        for link in 1..=100 {
            mesh.link_up(Instant(0), LinkId(link), [1; 32]);
            for _ in 0..50 {
                let parcel = parcel(rng, true);
                last = mesh.receive(rng, Instant(1), WALL, Some(LinkId(link)), Kind::Sealed, &parcel).unwrap().0.crowd();
            }
            mesh.link_down(LinkId(link));
        }
        assert_eq!(last, 12, "five thousand parcels, over however many links");
        mesh.link_up(Instant(0), LinkId(101), [1; 32]);
        mesh.link_up(Instant(0), LinkId(102), [2; 32]);
        let honest = parcel(rng, true);
        let (honest, _) = mesh.receive(rng, Instant(1), WALL, Some(LinkId(102)), Kind::Sealed, &honest).unwrap();
        assert_eq!(honest.crowd(), 0, "control: another place is another's");
    }

    #[test]
    fn what_comes_in_a_crowd_is_passed_on_at_leisure() {
        let rng = &mut Rng::new([7; 32]);
        let mut mesh = Mesh::default();
        for link in 1..3 {
            mesh.link_up(Instant(0), LinkId(link), [link as u8; 32]);
        }
        let (mut sent, mut calm) = (0, Vec::new());
        for _ in 0..5_000 {
            let parcel = parcel(rng, false);
            let (parcel, frames) = mesh.receive(rng, Instant(1), WALL, Some(LinkId(1)), Kind::Sealed, &parcel).unwrap();
            sent += frames.len();
            calm.extend((parcel.crowd() <= EAGER_CROWD_MAX).then(|| short_id(&[2; 32], &parcel.id())));
        }
        assert_eq!((sent, calm.len()), (2_047, 2_047), "at once while the crowd is small");
        let mut round = |now, short_ids| {
            let given = mesh.hear(rng, now, LinkId(2), &Control::Have { short_ids, last: true });
            let is_crowded = |frame: &Frame| matches!(frame, Frame::Parcel(parcel) if parcel.crowd() > EAGER_CROWD_MAX);
            (given.iter().filter(|(_, frame)| is_crowded(frame)).count(), given.len())
        };
        assert_eq!(round(Instant(1), Vec::new()), (0, RECONCILE_ANSWER_BYTES_MAX / 448), "what is calm goes first");
        assert_eq!(round(Instant(2_000_000), calm), (CROWDED_PER_ROUND_MAX, CROWDED_PER_ROUND_MAX));
        let later = Instant(0) + CROWD_HALF_LIFE * 20;
        let parcel = parcel(rng, false);
        let (calm, _) = mesh.receive(rng, later, WALL, Some(LinkId(1)), Kind::Sealed, &parcel).unwrap();
        assert_eq!(calm.crowd(), 0, "a flood that is over is forgotten");
    }
}
