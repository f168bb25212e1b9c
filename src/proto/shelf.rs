//! A bounded shelf whose room is shared fairly among those who fill it.
//!
//! Law: when it is full, something goes from the source that takes the most room: the most crowded first, then what is over soonest.
//! So whoever brings too much pushes out its own, at the first hop by its share and behind it by its crowd. What this device made
//! itself goes last.

use super::id::Source;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Things by name, each with its size, source, crowd and end.
#[cfg_attr(test, derive(Clone))]
pub struct Shelf<K, V> {
    room: usize,
    used: usize,
    items: BTreeMap<K, Item<V>>,
    shares: BTreeMap<Source, Share<K>>,
    ends: BTreeSet<(u64, K)>,
}

/// Where a thing on the shelf comes from and how long it stays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// How much room it takes.
    pub size: usize,
    /// Who brought it.
    pub source: Source,
    /// How much of the kind that source, and those behind it, bring: 0 to 15.
    pub crowd: u8,
    /// When it is over, in whatever unit the shelf's owner counts.
    pub until: u64,
}

#[cfg_attr(test, derive(Clone))]
struct Item<V> {
    value: V,
    tag: Tag,
}

#[cfg_attr(test, derive(Clone))]
struct Share<K> {
    used: usize,
    /// From the one that stays longest to the one that goes first.
    order: BTreeSet<(u8, Reverse<u64>, K)>,
}

impl<K: Ord + Copy, V> Shelf<K, V> {
    /// An empty shelf with so much room.
    pub fn new(room: usize) -> Shelf<K, V> {
        Shelf { room, used: 0, items: BTreeMap::new(), shares: BTreeMap::new(), ends: BTreeSet::new() }
    }

    /// Puts a thing on the shelf, in the place of one of the same name. False if it is itself what had to go.
    pub fn put(&mut self, key: K, value: V, tag: Tag) -> bool {
        self.remove(&key);
        self.used += tag.size;
        let share = self.shares.entry(tag.source).or_insert_with(|| Share { used: 0, order: BTreeSet::new() });
        share.used += tag.size;
        share.order.insert((tag.crowd, Reverse(tag.until), key));
        self.ends.insert((tag.until, key));
        self.items.insert(key, Item { value, tag });
        while self.used > self.room
            && let Some(first) = self.first_to_go()
        {
            self.remove(&first);
        }
        self.items.contains_key(&key)
    }

    /// Takes a thing off.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let Item { value, tag } = self.items.remove(key)?;
        self.used -= tag.size;
        if let Some(share) = self.shares.get_mut(&tag.source) {
            share.used -= tag.size;
            share.order.remove(&(tag.crowd, Reverse(tag.until), *key));
            if share.order.is_empty() {
                self.shares.remove(&tag.source);
            }
        }
        self.ends.remove(&(tag.until, *key));
        Some(value)
    }

    /// Takes everything off that is over; says whether there was anything.
    pub fn expire(&mut self, now: u64) -> bool {
        let mut any = false;
        while let Some((_, key)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.remove(&key);
            any = true;
        }
        any
    }

    /// When the next thing is over.
    pub fn next_end(&self) -> Option<u64> {
        self.ends.first().map(|(until, _)| *until)
    }

    /// A thing by its name.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.items.get(key).map(|item| &item.value)
    }

    /// All things by name.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.items.iter().map(|(key, item)| (key, &item.value))
    }

    /// The names of all things.
    pub fn keys(&self) -> impl Iterator<Item = &K> + Clone {
        self.items.keys()
    }

    /// How many things there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How much room is taken.
    pub fn used(&self) -> usize {
        self.used
    }

    /// How much room one source takes.
    pub fn share(&self, source: Source) -> usize {
        self.shares.get(&source).map_or(0, |share| share.used)
    }

    fn first_to_go(&self) -> Option<K> {
        let (_, fullest) = self.shares.iter().max_by_key(|(source, share)| (**source != Source::Here, share.used))?;
        fullest.order.last().map(|(.., key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(source: u32, crowd: u8, until: u64) -> Tag {
        Tag { size: 1, source: Source::Neighbour(source), crowd, until }
    }

    #[test]
    fn whoever_takes_the_most_room_makes_room_and_its_most_crowded_goes_first() {
        let mut shelf = Shelf::new(4);
        for (key, tag) in [(1, tag(1, 9, 90)), (2, tag(2, 3, 50)), (3, tag(2, 7, 80)), (4, tag(2, 7, 70))] {
            assert!(shelf.put(key, (), tag));
        }
        assert!(shelf.put(5, (), tag(1, 0, 1)));
        assert_eq!(
            shelf.iter().map(|(key, ())| *key).collect::<Vec<_>>(),
            [1, 2, 3, 5],
            "of the fullest and most crowded the soonest over"
        );
        assert!(!shelf.put(6, (), tag(1, 10, 99)), "now the first is fullest, and what it brings is its most crowded");
        assert_eq!((shelf.len(), shelf.share(Source::Neighbour(1)), shelf.share(Source::Neighbour(2))), (4, 2, 2));
    }

    #[test]
    fn what_this_device_made_goes_last() {
        let mut shelf = Shelf::new(2);
        let own = Tag { size: 1, source: Source::Here, crowd: 15, until: 1 };
        shelf.put(1, (), own);
        shelf.put(2, (), own);
        assert!(!shelf.put(3, (), tag(1, 0, 99)));
        assert!(shelf.put(4, (), Tag { until: 2, ..own }) && shelf.len() == 2, "and among its own what is over first");
    }

    #[test]
    fn what_is_over_goes_and_the_next_end_is_known() {
        let mut shelf = Shelf::new(9);
        shelf.put(1, (), tag(1, 0, 10));
        shelf.put(2, (), tag(1, 0, 20));
        assert_eq!(shelf.next_end(), Some(10));
        assert!(!shelf.expire(9) && shelf.expire(10) && !shelf.expire(10));
        assert_eq!((shelf.len(), shelf.used(), shelf.next_end()), (1, 1, Some(20)));
    }
}
