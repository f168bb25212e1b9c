//! What the relay holds, as a plain value: mailboxes, their blobs in the order of their cursors, quota and expiry.
//!
//! Laws: a cursor is never 0 and never given twice in one mailbox, not even after the mailbox stood empty; a reader never sees a blob
//! before it is kept (durable) or after its hour; they never hold more than their limits. They know no key but hashes, no sender and
//! no time finer than an hour, and do no I/O: a blob's body may lie on the disk only.

use crate::proto::config::{RELAY_BLOB_BYTES, RELAY_HOURS_MAX};
use crate::proto::id::WriteName;
use crate::proto::io::RelayRefusal;
use axum::body::Bytes;
use std::collections::{HashMap, VecDeque};

/// How much a relay holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Blobs in one mailbox; the next put is refused with `MailboxFull`.
    pub mailbox_blobs_max: usize,
    /// Blobs in all mailboxes, and also the number of mailboxes that are remembered; the next put is refused with `RelayFull`.
    pub blobs_max: usize,
}

/// A blob on its way to its mailbox.
#[derive(Clone, Debug)]
pub struct Put {
    /// In which mailbox.
    pub to: WriteName,
    /// Exactly `config::RELAY_BLOB_BYTES`.
    pub blob: Bytes,
    /// 1 to `config::RELAY_HOURS_MAX`.
    pub hours: u8,
    /// Hash of the key that withdraws it.
    pub delete_hash: [u8; 16],
}

/// A blob's place: mailbox and cursor.
pub type Place = (WriteName, u64);

/// What is gone because its time was over.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Expired {
    /// Blobs.
    pub blobs: Vec<Place>,
    /// Mailboxes that need not be remembered any more.
    pub mailboxes: Vec<WriteName>,
}

/// A blob that a reader may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// Its place in its mailbox.
    pub cursor: u64,
    /// `None`: it lies on the disk only.
    pub body: Option<Bytes>,
}

struct Blob {
    cursor: u64,
    /// The first hour (since the Unix epoch) in which it is gone.
    expires: u32,
    delete_hash: [u8; 16],
    kept: bool,
    body: Option<Bytes>,
}

#[derive(Default)]
struct Mailbox {
    /// The highest cursor ever given.
    last: u64,
    /// Ascending by cursor.
    blobs: VecDeque<Blob>,
}

impl Mailbox {
    fn place_of(&self, cursor: u64) -> Option<usize> {
        self.blobs.binary_search_by_key(&cursor, |blob| blob.cursor).ok()
    }
}

/// Cursors of a new mailbox start at the current hour times this. An empty mailbox is forgotten only in a later hour than its last
/// cursor's, so that what comes after the forgetting has higher cursors, without a memory of every name that ever was and without a
/// counter that tells one reader how much the others receive.
const CURSORS_PER_HOUR: u64 = 1 << 20;

/// All mailboxes and their blobs.
pub struct Mailboxes {
    limits: Limits,
    by_name: HashMap<WriteName, Mailbox>,
    blobs: usize,
    /// The highest hour that cursors were made for: cursors go on from it when the clock is set back.
    hour: u32,
}

impl Mailboxes {
    /// None yet. `hour`: the highest hour that an earlier run knew.
    pub fn new(limits: Limits, hour: u32) -> Mailboxes {
        Mailboxes { limits, by_name: HashMap::new(), blobs: 0, hour }
    }

    /// Takes back a blob whose body lies on the disk.
    pub fn restore(&mut self, (mailbox, cursor): Place, expires: u32, delete_hash: [u8; 16]) {
        let mailbox = self.by_name.entry(mailbox).or_default();
        mailbox.last = mailbox.last.max(cursor);
        let place = mailbox.blobs.partition_point(|blob| blob.cursor < cursor);
        mailbox.blobs.insert(place, Blob { cursor, expires, delete_hash, kept: true, body: None });
        self.blobs += 1;
    }

    /// Takes back the highest cursor that a mailbox ever gave.
    pub fn restore_last(&mut self, mailbox: WriteName, last: u64) {
        let mailbox = self.by_name.entry(mailbox).or_default();
        mailbox.last = mailbox.last.max(last);
    }

    /// Gives a blob its place and the hour in which it expires. No reader sees it before [`Mailboxes::keep`].
    ///
    /// # Errors
    /// `Malformed`, `MailboxFull` or `RelayFull`; all is then as before.
    pub fn place(&mut self, put: &Put, hour: u32) -> Result<(u64, u32), RelayRefusal> {
        if put.blob.len() != RELAY_BLOB_BYTES || put.hours == 0 || put.hours > RELAY_HOURS_MAX {
            return Err(RelayRefusal::Malformed);
        }
        let known = self.by_name.get(&put.to);
        if known.is_some_and(|mailbox| mailbox.blobs.len() >= self.limits.mailbox_blobs_max) {
            return Err(RelayRefusal::MailboxFull);
        }
        if self.blobs >= self.limits.blobs_max || (known.is_none() && self.by_name.len() >= self.limits.blobs_max) {
            return Err(RelayRefusal::RelayFull);
        }
        self.hour = self.hour.max(hour);
        let mailbox = self.by_name.entry(put.to).or_default();
        let cursor = mailbox.last.max(u64::from(self.hour) * CURSORS_PER_HOUR) + 1;
        mailbox.last = cursor;
        // One more than asked: the hour that has begun does not count, so a blob is held at least as long as promised.
        let expires = hour.saturating_add(u32::from(put.hours)).saturating_add(1);
        let body = Some(put.blob.clone());
        mailbox.blobs.push_back(Blob { cursor, expires, delete_hash: put.delete_hash, kept: false, body });
        self.blobs += 1;
        Ok((cursor, expires))
    }

    /// The blob is durable: readers may have it.
    pub fn keep(&mut self, (mailbox, cursor): Place) {
        if let Some(blob) = self.blob_mut((mailbox, cursor)) {
            blob.kept = true;
        }
    }

    /// Its body lies on the disk and need not lie in memory too.
    pub fn cool(&mut self, place: Place) {
        if let Some(blob) = self.blob_mut(place) {
            blob.body = None;
        }
    }

    /// Takes away every blob of this mailbox that was put with this hash; their cursors.
    pub fn withdraw(&mut self, from: WriteName, delete_hash: [u8; 16]) -> Vec<u64> {
        let Some(mailbox) = self.by_name.get_mut(&from) else { return Vec::new() };
        let mut gone = Vec::new();
        mailbox.blobs.retain(|blob| {
            let stays = blob.delete_hash != delete_hash;
            if !stays {
                gone.push(blob.cursor);
            }
            stays
        });
        self.blobs -= gone.len();
        gone
    }

    /// Takes away what has expired at this hour, and forgets empty mailboxes whose cursors can no longer come again.
    pub fn expire(&mut self, hour: u32) -> Expired {
        self.hour = self.hour.max(hour);
        let floor = u64::from(self.hour) * CURSORS_PER_HOUR;
        let mut expired = Expired::default();
        self.by_name.retain(|name, mailbox| {
            mailbox.blobs.retain(|blob| {
                let stays = blob.expires > hour;
                if !stays {
                    expired.blobs.push((*name, blob.cursor));
                }
                stays
            });
            let stays = !mailbox.blobs.is_empty() || mailbox.last > floor;
            if !stays {
                expired.mailboxes.push(*name);
            }
            stays
        });
        self.blobs -= expired.blobs.len();
        expired
    }

    /// The first blob after `after` that a reader may have at this hour.
    pub fn next_after(&self, mailbox: &WriteName, after: u64, hour: u32) -> Option<Found> {
        let blobs = &self.by_name.get(mailbox)?.blobs;
        let first = blobs.partition_point(|blob| blob.cursor <= after);
        let blob = blobs.range(first..).take_while(|blob| blob.kept).find(|blob| blob.expires > hour)?;
        Some(Found { cursor: blob.cursor, body: blob.body.clone() })
    }

    /// The highest cursor that this mailbox ever gave, as long as it is remembered.
    pub fn last(&self, mailbox: &WriteName) -> Option<u64> {
        self.by_name.get(mailbox).map(|mailbox| mailbox.last)
    }

    /// How many blobs are held.
    pub fn blobs(&self) -> usize {
        self.blobs
    }

    /// The highest hour that cursors were made for.
    pub fn hour(&self) -> u32 {
        self.hour
    }

    fn blob_mut(&mut self, (mailbox, cursor): Place) -> Option<&mut Blob> {
        let mailbox = self.by_name.get_mut(&mailbox)?;
        let place = mailbox.place_of(cursor)?;
        mailbox.blobs.get_mut(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;
    use std::collections::{BTreeMap, BTreeSet};

    const LIMITS: Limits = Limits { mailbox_blobs_max: 3, blobs_max: 8 };
    const A: WriteName = WriteName([1; 16]);

    fn put(to: WriteName, hours: u8, delete_hash: u8) -> Put {
        Put { to, blob: Bytes::from(vec![7; RELAY_BLOB_BYTES]), hours, delete_hash: [delete_hash; 16] }
    }

    fn cursors(mailboxes: &Mailboxes, mailbox: WriteName, hour: u32) -> Vec<u64> {
        let (mut after, mut seen) = (0, Vec::new());
        while let Some(found) = mailboxes.next_after(&mailbox, after, hour) {
            after = found.cursor;
            seen.push(after);
        }
        seen
    }

    #[test]
    fn a_reader_sees_nothing_that_a_power_cut_could_take_back() {
        let mut mailboxes = Mailboxes::new(LIMITS, 0);
        let (first, _) = mailboxes.place(&put(A, 1, 0), 10).unwrap();
        let (second, _) = mailboxes.place(&put(A, 1, 0), 10).unwrap();
        assert!(cursors(&mailboxes, A, 10).is_empty());
        mailboxes.keep((A, second));
        assert!(
            cursors(&mailboxes, A, 10).is_empty(),
            "a later blob waits for the earlier one, or a reader's cursor would pass it by"
        );
        mailboxes.keep((A, first));
        assert_eq!(cursors(&mailboxes, A, 10), [first, second]);
    }

    #[test]
    fn a_blob_is_held_for_the_hours_it_was_promised_and_gone_an_hour_later() {
        let mut mailboxes = Mailboxes::new(LIMITS, 0);
        let (cursor, expires) = mailboxes.place(&put(A, 2, 0), 10).unwrap();
        mailboxes.keep((A, cursor));
        assert_eq!(expires, 13);
        assert_eq!(cursors(&mailboxes, A, 12), [cursor]);
        assert!(cursors(&mailboxes, A, 13).is_empty(), "not even before the sweep");
        assert_eq!(mailboxes.expire(12), Expired::default());
        assert_eq!(mailboxes.expire(13), Expired { blobs: vec![(A, cursor)], mailboxes: vec![A] });
        assert_eq!(mailboxes.blobs(), 0);
    }

    #[test]
    fn a_put_outside_the_protocol_or_the_limits_changes_nothing() {
        let mut mailboxes = Mailboxes::new(LIMITS, 0);
        for hours in [0, RELAY_HOURS_MAX + 1] {
            assert_eq!(mailboxes.place(&put(A, hours, 0), 10), Err(RelayRefusal::Malformed));
        }
        let short = Put { blob: Bytes::from_static(b"short"), ..put(A, 1, 0) };
        assert_eq!(mailboxes.place(&short, 10), Err(RelayRefusal::Malformed));
        assert_eq!(mailboxes.last(&A), None);
        (0..3).for_each(|_| assert!(mailboxes.place(&put(A, 1, 0), 10).is_ok()));
        assert_eq!(mailboxes.place(&put(A, 1, 0), 10), Err(RelayRefusal::MailboxFull));
        (0..5).for_each(|other| assert!(mailboxes.place(&put(WriteName([50 + other; 16]), 1, 0), 10).is_ok()));
        assert_eq!(mailboxes.place(&put(WriteName([99; 16]), 1, 0), 10), Err(RelayRefusal::RelayFull));
        assert_eq!(mailboxes.blobs(), 8);
    }

    #[test]
    fn names_that_are_put_and_withdrawn_do_not_fill_the_memory() {
        let mut mailboxes = Mailboxes::new(LIMITS, 0);
        let mut placed = 0;
        for name in 0..100 {
            let name = WriteName([name; 16]);
            placed += usize::from(mailboxes.place(&put(name, 1, 0), 10).is_ok());
            mailboxes.withdraw(name, [0; 16]);
        }
        assert_eq!((placed, mailboxes.blobs()), (8, 0), "empty names are remembered for an hour and bounded");
        mailboxes.expire(11);
        assert!(mailboxes.place(&put(WriteName([9; 16]), 1, 0), 11).is_ok());
    }

    /// A reader's view, as simple as it can be told: cursor, first hour gone, delete hash.
    type Model = BTreeMap<WriteName, BTreeMap<u64, (u32, u8)>>;

    #[test]
    fn mailboxes_behave_like_sorted_lists_and_never_give_a_cursor_twice() {
        let rng = &mut Rng::new([3; 32]);
        let mut mailboxes = Mailboxes::new(LIMITS, 0);
        let (mut model, mut given, mut hour) = (Model::new(), BTreeSet::new(), 1_000u32);
        let mut floor = BTreeMap::new();
        for _ in 0..20_000 {
            let name = WriteName([rng.below(6) as u8; 16]);
            match rng.below(10) {
                0..5 => {
                    let (hours, hash) = (1 + rng.below(5) as u8, rng.below(4) as u8);
                    if let Ok((cursor, expires)) = mailboxes.place(&put(name, hours, hash), hour) {
                        assert!(cursor > 0 && given.insert((name, cursor)), "twice: {cursor}");
                        assert!(floor.insert(name, cursor).is_none_or(|earlier| earlier < cursor), "cursors ascend");
                        mailboxes.keep((name, cursor));
                        model.entry(name).or_default().insert(cursor, (expires, hash));
                    }
                }
                5..8 => {
                    let hash = rng.below(4) as u8;
                    mailboxes.withdraw(name, [hash; 16]);
                    model.entry(name).or_default().retain(|_, blob| blob.1 != hash);
                }
                8 => {
                    // Mostly forwards, at times back: people set clocks.
                    hour = if rng.below(4) == 0 { hour.saturating_sub(rng.below(3) as u32) } else { hour + rng.below(3) as u32 };
                    mailboxes.expire(hour);
                    model.values_mut().for_each(|blobs| blobs.retain(|_, blob| blob.0 > hour));
                }
                _ => {
                    // A restart: everything comes back from what a disk would hold.
                    let mut again = Mailboxes::new(LIMITS, mailboxes.hour());
                    for (name, mailbox) in &mailboxes.by_name {
                        again.restore_last(*name, mailbox.last);
                        for blob in &mailbox.blobs {
                            again.restore((*name, blob.cursor), blob.expires, blob.delete_hash);
                        }
                    }
                    mailboxes = again;
                }
            }
            let blobs = model.get(&name).cloned().unwrap_or_default();
            let visible: Vec<u64> = blobs.iter().filter(|(_, blob)| blob.0 > hour).map(|(cursor, _)| *cursor).collect();
            assert_eq!(cursors(&mailboxes, name, hour), visible);
            assert_eq!(mailboxes.blobs(), model.values().map(BTreeMap::len).sum::<usize>());
        }
        assert!(given.len() > 2_000, "{}", given.len());
    }
}
