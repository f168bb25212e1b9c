//! This node's side of the blind relay: which mailboxes it reads, what waits to be left there, and what it may withdraw.
//!
//! Laws: every blob has one size; every phone reads the same number of room buckets whether it has talks or not, and those it has none
//! in are drawn at random; what waits is bounded; a withdrawal is made only by who wrote the blob. The relay sees mailbox names and sealed blobs, nothing else.

use super::config::{BUCKETS_READ, OUTBOX_GATHER, OUTBOX_MAX, RELAY_BLOB_BYTES, RELAY_HOURS_MAX, RELAY_PAUSE};
use super::cx::Cx;
use super::id::{PutId, TalkId, WriteName};
use super::io::{Output, ReadKey, RelayCommand, RelayEvent, RelayRefusal, Scope};
use super::rng::Rng;
use super::secret::{Key, hash16};
use super::time::Instant;
use super::wire::parcel::Parcel;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const NONCE_BYTES: usize = 24;
const PLAIN_BYTES: usize = RELAY_BLOB_BYTES - NONCE_BYTES - 16;
const LENGTH_BYTES: usize = 2;

/// The relay as one node sees it.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Mailbox {
    up: bool,
    /// The event's buckets in an order of this device's own: decoys are taken from the front.
    decoys: Vec<u16>,
    reading: BTreeMap<WriteName, Reading>,
    /// For what [`Mailbox::read`] was asked last: it is asked at every input, and hardly ever for something else.
    read: Option<(Vec<ReadKey>, BTreeSet<u16>)>,
    outbox: VecDeque<Waiting>,
    in_flight: BTreeMap<PutId, Blob>,
    next_put: u64,
    gather_until: Option<Instant>,
    paused_until: Instant,
    kept: BTreeMap<[u8; 16], Kept>,
    withdrawing: BTreeSet<[u8; 16]>,
}

#[cfg_attr(test, derive(Clone))]
struct Reading {
    read_key: ReadKey,
    cursor: u64,
    caught_up: bool,
}

#[cfg_attr(test, derive(Clone))]
struct Waiting {
    to: WriteName,
    parcel: Parcel,
    hours: u8,
    owner: Option<TalkId>,
}

#[cfg_attr(test, derive(Clone))]
struct Blob {
    to: WriteName,
    bytes: Vec<u8>,
    hours: u8,
    owner: Option<TalkId>,
    delete_key: [u8; 16],
    is_refused: bool,
}

/// A blob of ours at the relay: what it takes to withdraw it.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    to: WriteName,
    owner: Option<TalkId>,
    until_hours: u32,
}

/// What came of a relay event.
#[derive(Default)]
pub struct Delivered {
    /// Parcels that were in a blob.
    pub parcels: Vec<Parcel>,
    /// The relay said that nothing newer is there.
    pub caught_up: bool,
}

impl Mailbox {
    /// Takes up what a restarted node may still withdraw. `records`: those whose name starts with `blob/`.
    pub fn restore(&mut self, name: &[u8], value: &[u8]) -> bool {
        match (name.strip_prefix(b"blob/").and_then(|key| key.try_into().ok()), postcard::from_bytes(value)) {
            (Some(delete_key), Ok(kept)) => self.kept.insert(delete_key, kept).is_none(),
            _ => false,
        }
    }

    /// Whether a connection to the relay stands.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Whether everything that is read has been read to its end since the connection came up.
    pub fn is_caught_up(&self) -> bool {
        self.up && self.reading.values().all(|reading| reading.caught_up)
    }

    /// How many blobs of ours lie at the relay, as far as we know.
    pub fn kept(&self) -> usize {
        // How to withdraw a blob is remembered before it is on its way.
        self.kept.len().saturating_sub(self.in_flight.len())
    }

    /// How many parcels and blobs wait to be stored.
    pub fn waiting(&self) -> usize {
        self.outbox.len() + self.in_flight.len()
    }

    /// Reads these mailboxes from now on, and no others; the shared ones are added here.
    pub fn read(&mut self, cx: &mut Cx<'_>, own: &[ReadKey], rooms: &BTreeSet<u16>) {
        let event = cx.event;
        if self.read.as_ref().is_some_and(|(known, buckets)| known == own && buckets == rooms) {
            return;
        }
        self.read = Some((own.to_vec(), rooms.clone()));
        if self.decoys.len() != usize::from(event.room_buckets) {
            self.decoys = shuffled(cx.rng, event.room_buckets);
        }
        let mut wanted: BTreeMap<WriteName, ReadKey> = BTreeMap::new();
        let mut want = |key: ReadKey| wanted.insert(key.write_name(), key);
        want(event.board_mailbox());
        own.iter().cloned().for_each(|key| drop(want(key)));
        let decoys = self.decoys.iter().copied().filter(|bucket| !rooms.contains(bucket));
        let count = usize::from(BUCKETS_READ.min(event.room_buckets)).max(rooms.len());
        rooms.iter().copied().chain(decoys).take(count).for_each(|bucket| drop(want(event.bucket(bucket))));

        let gone: Vec<_> = self.reading.keys().filter(|name| !wanted.contains_key(name)).copied().collect();
        for name in gone {
            if let Some(reading) = self.reading.remove(&name)
                && self.up
            {
                cx.out.push_back(Output::Relay(RelayCommand::Unsubscribe { read_key: reading.read_key }));
            }
        }
        for (name, read_key) in wanted {
            if let std::collections::btree_map::Entry::Vacant(place) = self.reading.entry(name) {
                if self.up {
                    cx.out.push_back(Output::Relay(RelayCommand::Subscribe { read_key: read_key.clone(), after: 0 }));
                }
                place.insert(Reading { read_key, cursor: 0, caught_up: false });
            }
        }
    }

    /// Leaves a parcel in a mailbox, together with others for it.
    pub fn leave(&mut self, now: Instant, to: WriteName, parcel: Parcel, hours: u8, owner: Option<TalkId>) {
        if self.outbox.len() == OUTBOX_MAX {
            self.outbox.pop_front();
        }
        self.outbox.push_back(Waiting { to, parcel, hours, owner });
        self.gather_until.get_or_insert(now + OUTBOX_GATHER);
    }

    /// The talks for which blobs of ours lie at the relay.
    pub fn owners(&self) -> impl Iterator<Item = TalkId> {
        self.kept.values().filter_map(|kept| kept.owner).collect::<BTreeSet<_>>().into_iter()
    }

    /// Withdraws every blob that was left for this talk, but not what still waits to be left for nobody in particular.
    pub fn withdraw(&mut self, cx: &mut Cx<'_>, talk: TalkId) {
        self.outbox.retain(|waiting| waiting.owner != Some(talk));
        // What is on its way may be there already, and the answer on its way back: withdrawn it must be all the same.
        let (gone, still): (BTreeMap<_, _>, _) =
            std::mem::take(&mut self.in_flight).into_iter().partition(|(_, blob)| blob.owner == Some(talk));
        self.in_flight = still;
        gone.into_values().for_each(|blob| self.keep(cx, blob));
        let keys: Vec<_> = self.kept.iter().filter(|(_, kept)| kept.owner == Some(talk)).map(|(key, _)| *key).collect();
        self.withdrawing.extend(keys);
        self.send_withdrawals(cx);
    }

    /// Takes what the relay said.
    pub fn handle(&mut self, cx: &mut Cx<'_>, event: RelayEvent) -> Delivered {
        let mut delivered = Delivered::default();
        match event {
            RelayEvent::Up => {
                self.up = true;
                for reading in self.reading.values_mut() {
                    reading.caught_up = false;
                    let subscribe = RelayCommand::Subscribe { read_key: reading.read_key.clone(), after: reading.cursor };
                    cx.out.push_back(Output::Relay(subscribe));
                }
                let again: Vec<_> = self.in_flight.iter().map(|(id, blob)| blob.put(*id)).collect();
                again.into_iter().for_each(|put| cx.out.push_back(Output::Relay(put)));
                self.send_withdrawals(cx);
            }
            RelayEvent::Down => {
                self.up = false;
                self.reading.values_mut().for_each(|reading| reading.caught_up = false);
            }
            RelayEvent::Blob { mailbox, cursor, blob } => {
                if let Some(reading) = self.reading.get_mut(&mailbox) {
                    reading.cursor = reading.cursor.max(cursor);
                    delivered.parcels = unwrap(&cx.event.relay, &blob).unwrap_or_default();
                }
            }
            RelayEvent::CaughtUp { mailbox } => {
                if let Some(reading) = self.reading.get_mut(&mailbox) {
                    reading.caught_up = true;
                    delivered.caught_up = true;
                }
            }
            RelayEvent::Stored { id } => {
                if let Some(blob) = self.in_flight.remove(&id) {
                    self.keep(cx, blob);
                }
            }
            RelayEvent::Refused { id, why: RelayRefusal::Malformed } => {
                self.in_flight.remove(&id);
            }
            RelayEvent::Refused { id, .. } => {
                // Full or too fast: left again after a pause.
                if let Some(blob) = self.in_flight.get_mut(&id) {
                    blob.is_refused = true;
                    self.paused_until = cx.now + RELAY_PAUSE;
                }
            }
        }
        delivered
    }

    /// Makes blobs of what was gathered, and forgets blobs that are over.
    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        let over: Vec<_> = self.kept.iter().filter(|(_, kept)| kept.until_hours < cx.wall.hours()).map(|(key, _)| *key).collect();
        over.iter().for_each(|key| self.forget(cx, key));
        if self.paused_until > cx.now {
            return;
        }
        if self.up {
            for (id, blob) in self.in_flight.iter_mut().filter(|(_, blob)| blob.is_refused) {
                blob.is_refused = false;
                cx.out.push_back(Output::Relay(blob.put(*id)));
            }
        }
        if self.gather_until.is_none_or(|until| until > cx.now) {
            return;
        }
        self.gather_until = None;
        while let Some(first) = self.outbox.front() {
            let (to, owner) = (first.to, first.owner);
            let (mut parcels, mut room, mut hours) = (Vec::new(), PLAIN_BYTES, 1);
            self.outbox.retain(|waiting| {
                let needed = LENGTH_BYTES + waiting.parcel.as_bytes().len();
                let fits = waiting.to == to && waiting.owner == owner && needed <= room;
                if fits {
                    room -= needed;
                    hours = hours.max(waiting.hours);
                    parcels.push(waiting.parcel.clone());
                }
                !fits
            });
            let blob = Blob {
                to,
                bytes: wrap(cx.rng, &cx.event.relay, &parcels),
                hours: hours.min(RELAY_HOURS_MAX),
                owner,
                delete_key: cx.rng.bytes(),
                is_refused: false,
            };
            let id = PutId(self.next_put);
            self.next_put += 1;
            if self.up {
                cx.out.push_back(Output::Relay(blob.put(id)));
            }
            self.in_flight.insert(id, blob);
            while self.in_flight.len() > OUTBOX_MAX {
                self.in_flight.pop_first();
            }
        }
    }

    /// When [`Mailbox::tick`] has something to do next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let again = (self.up && self.in_flight.values().any(|blob| blob.is_refused)).then_some(self.paused_until);
        let gathered = self.gather_until.map(|until| until.max(self.paused_until));
        again.into_iter().chain(gathered).min()
    }

    fn send_withdrawals(&mut self, cx: &mut Cx<'_>) {
        if !self.up {
            return;
        }
        for delete_key in std::mem::take(&mut self.withdrawing) {
            if let Some(kept) = self.kept.get(&delete_key) {
                cx.out.push_back(Output::Relay(RelayCommand::Delete { from: kept.to, delete_key }));
            }
            self.forget(cx, &delete_key);
        }
    }

    fn keep(&mut self, cx: &mut Cx<'_>, blob: Blob) {
        let kept = Kept { to: blob.to, owner: blob.owner, until_hours: cx.wall.hours() + u32::from(blob.hours) };
        cx.put(Scope::Durable, &[b"blob/", &blob.delete_key[..]].concat(), &kept);
        self.kept.insert(blob.delete_key, kept);
    }

    fn forget(&mut self, cx: &mut Cx<'_>, delete_key: &[u8; 16]) {
        self.kept.remove(delete_key);
        cx.delete(Scope::Durable, &[b"blob/", &delete_key[..]].concat());
    }
}

impl Blob {
    fn put(&self, id: PutId) -> RelayCommand {
        let delete_hash = hash16("alcove/1 delete", &[&self.delete_key]);
        RelayCommand::Put { id, to: self.to, blob: self.bytes.clone(), hours: self.hours, delete_hash }
    }
}

/// 0 to `count` - 1 in random order (Fisher and Yates).
fn shuffled(rng: &mut Rng, count: u16) -> Vec<u16> {
    let mut all: Vec<u16> = (0..count).collect();
    for last in (1..all.len()).rev() {
        all.swap(last, rng.below(last as u64 + 1) as usize);
    }
    all
}

/// Parcels as one blob under the event's relay key; the caller has counted that they fit.
fn wrap(rng: &mut Rng, relay: &Key, parcels: &[Parcel]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(PLAIN_BYTES);
    for parcel in parcels {
        plain.extend_from_slice(&(parcel.as_bytes().len() as u16).to_be_bytes());
        plain.extend_from_slice(parcel.as_bytes());
    }
    plain.resize(PLAIN_BYTES, 0);
    let nonce: [u8; NONCE_BYTES] = rng.bytes();
    [&nonce[..], &relay.derive("alcove/1 blob", &[]).seal_x(&nonce, &[], &plain)].concat()
}

fn unwrap(relay: &Key, blob: &[u8]) -> Option<Vec<Parcel>> {
    let (nonce, sealed) = blob.split_first_chunk::<NONCE_BYTES>()?;
    let plain = relay.derive("alcove/1 blob", &[]).open_x(nonce, &[], sealed)?;
    let (mut rest, mut parcels) = (&plain[..], Vec::new());
    while let Some((length, tail)) = rest.split_first_chunk::<LENGTH_BYTES>() {
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 {
            break;
        }
        let (bytes, tail) = tail.split_at_checked(length)?;
        parcels.push(Parcel::decode(bytes.to_vec()).ok()?);
        rest = tail;
    }
    Some(parcels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::cx::EventKeys;
    use crate::proto::id::EventId;
    use crate::proto::time::WallTime;
    use crate::proto::wire::parcel::{ParcelKeys, Travel};

    const ROOM_BUCKETS: u16 = 8;

    /// The buckets that a device with rooms in these reads.
    fn buckets_read(seed: u8, rooms: &[u16]) -> BTreeSet<u16> {
        let event = EventKeys {
            id: EventId([1; 16]),
            board: ParcelKeys::new(&Key([1; 32])),
            relay: Key([2; 32]),
            room_buckets: ROOM_BUCKETS,
            report: [0; 32],
            ends: WallTime(0),
        };
        let (mut out, mut posts, rng) = (VecDeque::new(), Vec::new(), &mut Rng::new([seed; 32]));
        let (now, wall) = (Instant(0), WallTime(0));
        let cx = &mut Cx { now, wall, shown: wall, rng, out: &mut out, posts: &mut posts, event: &event };
        let mut mailbox = Mailbox::default();
        mailbox.handle(cx, RelayEvent::Up);
        mailbox.read(cx, &[], &rooms.iter().copied().collect());
        mailbox.read(cx, &[], &rooms.iter().copied().collect());
        let read = |output: &Output| match output {
            Output::Relay(RelayCommand::Subscribe { read_key, .. }) => Some(read_key.write_name()),
            other => panic!("{other:?}"),
        };
        let names: BTreeSet<_> = out.iter().filter_map(read).collect();
        assert_eq!(names.len(), out.len(), "each is asked for once");
        assert!(names.contains(&event.board_mailbox().write_name()));
        (0..ROOM_BUCKETS).filter(|bucket| names.contains(&event.bucket(*bucket).write_name())).collect()
    }

    #[test]
    fn every_phone_reads_the_same_number_of_buckets_whatever_talks_it_has() {
        for rooms in [&[][..], &[5], &[0, 1], &[2, 3, 7], &[1, 4, 5, 6]] {
            let read = buckets_read(1, rooms);
            assert_eq!(read.len(), usize::from(BUCKETS_READ), "{rooms:?}");
            assert!(rooms.iter().all(|room| read.contains(room)));
        }
        assert_eq!(buckets_read(1, &[0, 1, 2, 3, 4]).len(), 5, "control: more rooms than that cannot hide");
    }

    #[test]
    fn the_buckets_of_a_phone_without_talks_look_like_those_of_one_with() {
        let mut times = [0; ROOM_BUCKETS as usize];
        for seed in 0..200 {
            buckets_read(seed, &[]).into_iter().for_each(|bucket| times[usize::from(bucket)] += 1);
        }
        // 100 of 200 on average, with a standard deviation of 7.
        assert!(times.iter().all(|times| (70..=130).contains(times)), "{times:?}");
        assert_eq!(buckets_read(7, &[]), buckets_read(7, &[]), "and they stay as long as the device runs");
    }

    #[test]
    fn a_blob_has_one_size_and_gives_its_parcels_back_to_the_event_alone() {
        let rng = &mut Rng::new([1; 32]);
        let keys = ParcelKeys::new(&Key([1; 32]));
        let travel = Travel { expiry_hours: 1, ephemeral: false, hops: 5 };
        let small: Vec<_> = (0..9).map(|_| keys.seal(rng, travel, b"small").unwrap()).collect();
        let large = vec![keys.seal(rng, travel, &[0; 3_000]).unwrap()];
        for parcels in [vec![], small, large] {
            let blob = wrap(rng, &Key([2; 32]), &parcels);
            assert_eq!(blob.len(), RELAY_BLOB_BYTES);
            assert_eq!(unwrap(&Key([2; 32]), &blob), Some(parcels));
            assert_eq!(unwrap(&Key([3; 32]), &blob), None);
        }
    }

    #[test]
    fn hostile_blobs_never_panic() {
        let rng = &mut Rng::new([2; 32]);
        for _ in 0..500 {
            let mut plain = vec![0; PLAIN_BYTES];
            rand_core::RngCore::fill_bytes(rng, &mut plain[..600]);
            plain[0] &= 3;
            let nonce = rng.bytes();
            let blob = [&nonce[..], &Key([2; 32]).derive("alcove/1 blob", &[]).seal_x(&nonce, &[], &plain)].concat();
            let _ = unwrap(&Key([2; 32]), &blob);
        }
        assert_eq!(unwrap(&Key([2; 32]), &[0; 10]), None);
    }
}
