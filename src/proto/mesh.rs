//! Many hops: what has been seen, what is carried, whom to pass it to, and what two neighbours lack when they meet.
//!
//! Laws: a parcel is passed on at most once; an ephemeral one is never carried; memory is bounded, and whoever fills most of it makes
//! room: of the duplicate memory its own new parcels are refused rather than old ones forgotten (a forgotten one would circle), and
//! those of others take the place of its. What this device makes itself is never refused. What is carried is not read.

use super::config::{
    CARRIED_BYTES_MAX, CARRY_TIME_MAX, EPHEMERAL_MEMORY, FORWARD_ALL_LINKS_MAX, RECONCILE_ANSWER_BYTES_MAX,
    RECONCILE_ANSWER_INTERVAL, RECONCILE_INTERVAL, SEEN_MAX,
};
use super::id::{LinkId, ParcelId, Source};
use super::rng::Rng;
use super::secret::hash16;
use super::time::{Instant, WallTime};
use super::wire::frame::{Control, Frame};
use super::wire::parcel::Parcel;
use std::collections::{BTreeMap, BTreeSet};

/// A frame for a neighbour.
pub type Outgoing = (LinkId, Frame);

/// Short ids per `Have` frame: what 16 cells hold.
const HAVE_MAX: usize = 440;
/// `Have` frames of one neighbour in one round: as many as a full carry buffer of small parcels needs.
const HAVE_IDS_MAX: usize = 32_768;

/// How many parcels of the fullest source are forgotten when there is no room for those of others.
const FORGOTTEN_AT_ONCE: usize = 64;

/// The mesh as one node sees it.
#[derive(Default)]
pub struct Mesh {
    neighbours: BTreeMap<LinkId, Neighbour>,
    seen: BTreeMap<ParcelId, Seen>,
    seen_share: BTreeMap<Source, usize>,
    carried: BTreeMap<ParcelId, Carried>,
    carried_bytes: usize,
}

struct Neighbour {
    salt: [u8; 32],
    have: BTreeSet<[u8; 8]>,
    next_reconcile: Instant,
    /// Before these, a question what we carry and one for what is missing are not answered again.
    next_have: Instant,
    next_give: Instant,
}

struct Seen {
    source: Source,
    until: Instant,
}

struct Carried {
    parcel: Parcel,
    source: Source,
    until: Instant,
}

impl Mesh {
    /// How many neighbours there are.
    pub fn neighbour_count(&self) -> usize {
        self.neighbours.len()
    }

    /// How many parcels and bytes are carried.
    pub fn carried(&self) -> (usize, usize) {
        (self.carried.len(), self.carried_bytes)
    }

    /// All parcels carried, for a part that has new keys and looks for what it can now open.
    pub fn carried_parcels(&self) -> impl Iterator<Item = &Parcel> {
        self.carried.values().map(|carried| &carried.parcel)
    }

    /// A link is up: `salt` is its handshake hash. Gives the first word of reconciliation.
    pub fn link_up(&mut self, now: Instant, link: LinkId, salt: [u8; 32]) -> Vec<Outgoing> {
        let next_reconcile = now + RECONCILE_INTERVAL;
        let neighbour = Neighbour { salt, have: BTreeSet::new(), next_reconcile, next_have: now, next_give: now };
        self.neighbours.insert(link, neighbour);
        vec![(link, Frame::Control(Control::Carrying { fingerprint: self.fingerprint(&salt) }))]
    }

    /// A link is gone.
    pub fn link_down(&mut self, link: LinkId) {
        self.neighbours.remove(&link);
        let (gone, here) = (Source::Gone, Source::Link(link));
        self.carried.values_mut().filter(|carried| carried.source == here).for_each(|carried| carried.source = gone);
        if let Some(share) = self.seen_share.remove(&here) {
            self.seen.values_mut().filter(|seen| seen.source == here).for_each(|seen| seen.source = gone);
            *self.seen_share.entry(gone).or_default() += share;
        }
    }

    /// Sends what this node made itself to everybody.
    pub fn originate(&mut self, rng: &mut Rng, now: Instant, wall: WallTime, parcel: Parcel) -> Vec<Outgoing> {
        match self.admit(now, wall, &parcel, Source::Own) {
            true => self.pass_on(rng, &parcel, None),
            false => Vec::new(),
        }
    }

    /// Takes a parcel from a neighbour, or from the relay (`None`). `None` if it is not new or not acceptable; otherwise it is the
    /// caller's to read, and the frames are to be sent.
    pub fn receive(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        wall: WallTime,
        from: Option<LinkId>,
        parcel: &Parcel,
    ) -> Option<Vec<Outgoing>> {
        if !self.admit(now, wall, parcel, from.map_or(Source::Relay, Source::Link)) {
            return None;
        }
        Some(parcel.next_hop().map(|next| self.pass_on(rng, &next, from)).unwrap_or_default())
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
            Control::Table { .. } | Control::Newcomer { .. } | Control::Admission { .. } => Vec::new(),
        }
    }

    /// Drops what is over and, now and then, asks each neighbour whether anything is missing.
    pub fn tick(&mut self, now: Instant) -> Vec<Outgoing> {
        let share = &mut self.seen_share;
        self.seen.retain(|_, seen| {
            let stays = seen.until > now;
            if !stays && let Some(share) = share.get_mut(&seen.source) {
                *share -= 1;
            }
            stays
        });
        let over: Vec<_> = self.carried.iter().filter(|(_, carried)| carried.until <= now).map(|(id, _)| *id).collect();
        over.iter().for_each(|id| self.drop_carried(id));

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
        reconcile.into_iter().chain(self.carried.values().map(|carried| carried.until).min()).min()
    }

    /// Whether the parcel is new and may be kept in mind; carries it if it may be carried.
    fn admit(&mut self, now: Instant, wall: WallTime, parcel: &Parcel, source: Source) -> bool {
        let (id, travel) = (parcel.id(), parcel.travel());
        let hours_left = travel.expiry_hours.saturating_sub(wall.hours());
        if hours_left == 0 || self.seen.contains_key(&id) || !self.has_room_for(source) {
            return false;
        }
        let until = now + CARRY_TIME_MAX.min(std::time::Duration::from_secs(3600) * hours_left);
        let memory = if travel.ephemeral { now + EPHEMERAL_MEMORY } else { until };
        self.seen.insert(id, Seen { source, until: memory });
        *self.seen_share.entry(source).or_default() += 1;
        if !travel.ephemeral {
            self.carried_bytes += parcel.as_bytes().len();
            self.carried.insert(id, Carried { parcel: parcel.clone(), source, until });
            while self.carried_bytes > CARRIED_BYTES_MAX {
                self.evict();
            }
        }
        true
    }

    /// Whether one more parcel of this source can be kept in mind. If all is full, the source that fills most of it makes room, unless it
    /// is this one.
    fn has_room_for(&mut self, source: Source) -> bool {
        if self.seen.len() < SEEN_MAX {
            return true;
        }
        let others = self.seen_share.iter().filter(|(of, _)| **of != Source::Own);
        let Some((fullest, share)) = others.map(|(of, share)| (*of, *share)).max_by_key(|(_, share)| *share) else { return false };
        if source != Source::Own && self.seen_share.get(&source).is_some_and(|own| *own >= share) {
            return false;
        }
        let mut its: Vec<_> =
            self.seen.iter().filter(|(_, seen)| seen.source == fullest).map(|(id, seen)| (seen.until, *id)).collect();
        // Several at once: looking for them costs a walk through all.
        its.sort_unstable();
        its.truncate(FORGOTTEN_AT_ONCE);
        for (_, id) in &its {
            self.seen.remove(id);
        }
        self.seen_share.insert(fullest, share - its.len());
        !its.is_empty()
    }

    /// Drops the parcel that is over first among those of the source that fills most of the buffer: a flooder evicts itself.
    fn evict(&mut self) {
        let mut share: BTreeMap<Source, usize> = BTreeMap::new();
        for carried in self.carried.values() {
            *share.entry(carried.source).or_default() += carried.parcel.as_bytes().len();
        }
        // What we made ourselves goes last.
        let Some((fullest, _)) = share.into_iter().max_by_key(|(of, bytes)| (*of != Source::Own, *bytes)) else { return };
        let first =
            self.carried.iter().filter(|(_, carried)| carried.source == fullest).min_by_key(|(id, carried)| (carried.until, **id));
        if let Some(id) = first.map(|(id, _)| *id) {
            self.drop_carried(&id);
        }
    }

    fn drop_carried(&mut self, id: &ParcelId) {
        if let Some(carried) = self.carried.remove(id) {
            self.carried_bytes -= carried.parcel.as_bytes().len();
        }
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
        self.carried.keys().fold([0; 16], |mut sum, id| {
            let salted = hash16("alcove/1 carrying", &[salt, &id.0]);
            sum.iter_mut().zip(salted).for_each(|(byte, other)| *byte ^= other);
            sum
        })
    }

    fn have(&self, link: LinkId, salt: &[u8; 32]) -> Vec<Outgoing> {
        let ids: Vec<_> = self.carried.keys().map(|id| short_id(salt, id)).collect();
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
        let mut left = RECONCILE_ANSWER_BYTES_MAX;
        let mut given = Vec::new();
        for carried in self.carried.iter().filter(|(id, _)| !have.contains(&short_id(&salt, id))).map(|(_, carried)| carried) {
            let size = carried.parcel.as_bytes().len();
            if size > left {
                neighbour.next_reconcile = neighbour.next_reconcile.min(now + RECONCILE_ANSWER_INTERVAL * 2);
                break;
            }
            left -= size;
            given.push((link, Frame::Parcel(carried.parcel.with_hops(5 + rng.below(3) as u8))));
        }
        given
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
        let sent = mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), &parcel).unwrap();
        assert!(matches!(&sent[..], [(LinkId(2), Frame::Parcel(next))] if next.travel().hops == 4));
        assert!(mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), &parcel).is_none());
        assert!(mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), &parcel.next_hop().unwrap()).is_none());
    }

    #[test]
    fn an_expired_parcel_is_refused_and_an_ephemeral_one_is_not_carried() {
        let rng = &mut Rng::new([2; 32]);
        let mut mesh = Mesh::default();
        let (lasting, fleeting) = (parcel(rng, false), parcel(rng, true));
        assert!(mesh.receive(rng, Instant(0), WallTime(3_600_000 * 1_010), None, &lasting).is_none());
        assert!(mesh.receive(rng, Instant(0), WALL, None, &fleeting).is_some());
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
                    assert!(mesh.receive(rng, Instant(0), WALL, Some(link), &parcel).is_some(), "only what is missing is sent");
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
        let mut refused = 0;
        for link in 0..8 {
            let link = LinkId(100 + link);
            mesh.link_up(Instant(0), link, [1; 32]);
            for _ in 0..SEEN_MAX / 6 {
                refused += usize::from(mesh.receive(rng, Instant(0), WALL, Some(link), &next()).is_none());
            }
            mesh.link_down(link);
        }
        assert!(mesh.seen.len() > SEEN_MAX - FORGOTTEN_AT_ONCE, "control: the memory is full");
        mesh.link_up(Instant(0), LinkId(99), [1; 32]);
        mesh.link_up(Instant(0), LinkId(1), [1; 32]);
        for _ in 0..500 {
            assert!(mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), &next()).is_some(), "an honest neighbour");
            assert!(mesh.receive(rng, Instant(0), WALL, None, &next()).is_some(), "the relay");
            assert!(!mesh.originate(rng, Instant(0), WALL, next()).is_empty(), "this device");
        }
        assert!(mesh.seen.len() <= SEEN_MAX && refused == 0, "what is forgotten makes room for more of the flood");
        assert_eq!(mesh.seen_share.values().sum::<usize>(), mesh.seen.len());
    }

    #[test]
    fn a_flooder_evicts_itself() {
        let rng = &mut Rng::new([4; 32]);
        let mut mesh = Mesh::default();
        let honest: Vec<_> = (0..20).map(|_| parcel(rng, false)).collect();
        honest.iter().for_each(|parcel| assert!(mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), parcel).is_some()));
        for _ in 0..CARRIED_BYTES_MAX / 448 + 100 {
            let parcel = parcel(rng, false);
            mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), &parcel);
        }
        assert!(mesh.carried().1 <= CARRIED_BYTES_MAX);
        assert!(honest.iter().all(|parcel| mesh.carried.contains_key(&parcel.id())));
    }
}
