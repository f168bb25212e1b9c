//! What was said in a room, read from a phone's disk, and what an onlooker heard of it, by kind.

use alcove::proto::config::{CELL_BYTES, CELL_CONTENT_BYTES};
use alcove::proto::id::TalkId;
use alcove::proto::io::Scope;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::beacon::Beacon;
use alcove::proto::talk::entry::{Body, Entry, Item};
use alcove::proto::talk::group::{Group, SeatKeys};
use alcove::proto::wire::parcel::{Parcel, SMALL_CONTENT_BYTES};
use alcove::proto::wire::{decode, encode};
use firmware_sim::network::Network;
use std::collections::BTreeMap;

/// By seat and number.
pub type Entries = BTreeMap<(u8, u32), Entry>;

/// A change of the notes and the seat that wrote it.
pub type Change = (u8, Vec<u8>);

/// All entries that a phone remembers.
pub fn entries(network: &mut Network, phone: usize, talk: TalkId) -> Entries {
    let records = network.phones[phone].disk.records().into_iter();
    let items = records.filter(|record| record.scope == Scope::Talk(talk) && record.name.starts_with(b"e/"));
    items
        .filter_map(|record| match decode(&record.value, "entry") {
            Ok(Item::Entry(entry)) => Some(((entry.seat, entry.number), entry)),
            _ => None,
        })
        .collect()
}

/// The changes among them.
pub fn changes(entries: &Entries) -> Vec<Change> {
    let change = |entry: &Entry| match &entry.body {
        Body::Change { bytes, .. } => Some((entry.seat, bytes.clone())),
        _ => None,
    };
    entries.values().filter_map(change).collect()
}

/// What these entries are before they are sealed.
pub fn plain(entries: &Entries) -> u64 {
    entries.values().map(|entry| encode(&Item::Entry(entry.clone())).len() as u64).sum()
}

/// What each of these entries is as the content of parcels, sealed by itself.
fn contents(entries: &Entries) -> Vec<usize> {
    let mut rng = Rng::new([1; 32]);
    let (host, mut guest) = (SeatKeys::generate(&mut rng), SeatKeys::generate(&mut rng));
    let package = guest.key_package(&mut rng).expect("a fresh seat");
    let (mut group, _) = Group::found(&mut rng, &host, [7; 16], &[package], &Key([1; 32]), b"roster").expect("fresh seats");
    let sealed = |entry: &Entry| {
        let sealed = group.seal(&mut rng, &encode(&[Item::Entry(entry.clone())].as_slice())).expect("we sit there");
        // The kind of the parcel's content, the kind of the message.
        1 + 1 + encode(&sealed).len()
    };
    entries.values().map(sealed).collect()
}

/// What was heard of a room, in bytes of cells on one medium, and as content of parcels.
pub struct Heard {
    pub lasting: u64,
    pub lasting_count: usize,
    pub beacons: u64,
    pub beacon_count: usize,
    pub previews: u64,
    pub preview_count: usize,
    pub entry_count: usize,
    pub long_count: usize,
    pub entry_content: u64,
    pub beacon_content: u64,
}

impl Heard {
    /// These parcels, of a room in which these entries were said.
    pub fn of<'a>(parcels: impl Iterator<Item = &'a Parcel> + Clone, entries: &Entries) -> Heard {
        let bytes_of = |parcel: &Parcel| (parcel.as_bytes().len() / CELL_CONTENT_BYTES * CELL_BYTES) as u64;
        let sum = |is: fn(&Parcel) -> bool| {
            let those = parcels.clone().filter(|parcel| is(parcel));
            (those.clone().map(bytes_of).sum(), those.count())
        };
        // A preview is passed on once at most, a beacon more than once.
        let (lasting, lasting_count) = sum(|parcel| !parcel.travel().ephemeral);
        let (beacons, beacon_count) = sum(|parcel| parcel.travel().ephemeral && parcel.travel().hops > 1);
        let (previews, preview_count) = sum(|parcel| parcel.travel().ephemeral && parcel.travel().hops <= 1);
        let beacon = Beacon { seat: 1, term: 1, epoch: 1, digest: [0; 8], wall_minutes: 30_000_000 };
        let beacon_content = (beacon_count * (1 + 1 + encode(&beacon).len())) as u64;
        let contents = contents(entries);
        Heard {
            lasting,
            lasting_count,
            beacons,
            beacon_count,
            previews,
            preview_count,
            entry_count: contents.len(),
            long_count: contents.iter().filter(|content| **content > SMALL_CONTENT_BYTES).count(),
            entry_content: contents.iter().sum::<usize>() as u64,
            beacon_content,
        }
    }
}
