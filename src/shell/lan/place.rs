//! The places for links: which are taken, and who may still take one.
//!
//! Law: there are never more than [`LINKS_MAX`] links, and those that others open never take the places of those we open.

use super::{ACCEPTED_MAX, ACCEPTED_PER_ADDRESS_MAX, FOUND_MAX, LINKS_MAX};
use crate::proto::id::LinkId;
use crate::proto::io::Origin;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Every standing link.
#[derive(Default)]
pub(super) struct Places(BTreeMap<LinkId, Place>);

struct Place {
    remote: IpAddr,
    local: IpAddr,
    is_accepted: bool,
}

impl Places {
    /// A link from `local` to `remote` takes a place.
    pub fn take(&mut self, link: LinkId, origin: Origin, remote: IpAddr, local: IpAddr) {
        self.0.insert(link, Place { remote, local, is_accepted: origin == Origin::Accepted });
    }

    /// A link gives its place back.
    pub fn free(&mut self, link: LinkId) {
        self.0.remove(&link);
    }

    /// Whether a link that we open for the node may stand.
    pub fn admits_ours(&self) -> bool {
        self.0.len() < LINKS_MAX
    }

    /// How many more links may be opened to what discovery found.
    pub fn left_for_found(&self) -> usize {
        FOUND_MAX.saturating_sub(self.0.len())
    }

    /// Whether a link that this address opens may stand. On one machine everybody may share the loopback address.
    pub fn admits(&self, remote: IpAddr) -> bool {
        let accepted = || self.0.values().filter(|place| place.is_accepted);
        let from_there = accepted().filter(|place| place.remote == remote).count();
        let has_room_there = from_there < ACCEPTED_PER_ADDRESS_MAX || remote.is_loopback();
        self.admits_ours() && accepted().count() < ACCEPTED_MAX && has_room_there
    }

    /// The links from addresses that this machine no longer has.
    pub fn severed(&self, is_ours: impl Fn(IpAddr) -> bool) -> impl Iterator<Item = LinkId> {
        self.0.iter().filter(move |(_, place)| !is_ours(place.local)).map(|(&link, _)| link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(host: usize) -> IpAddr {
        [192, 0, 2, host as u8].into()
    }

    fn accept_all(places: &mut Places, from: impl Fn(usize) -> IpAddr) -> usize {
        for number in 0..1_000 {
            if places.admits(from(number)) {
                places.take(LinkId(number as u64), Origin::Accepted, from(number), ip(254));
            }
        }
        places.0.len()
    }

    #[test]
    fn one_address_cannot_take_every_place() {
        let mut places = Places::default();
        assert_eq!(accept_all(&mut places, |_| ip(1)), ACCEPTED_PER_ADDRESS_MAX);
        assert!(places.admits(ip(2)));
    }

    #[test]
    fn all_others_together_cannot_take_the_places_of_those_we_open() {
        let mut places = Places::default();
        assert_eq!(accept_all(&mut places, |number| ip(number % 200)), ACCEPTED_MAX);
        assert!(places.admits_ours());
        assert_eq!(places.left_for_found(), FOUND_MAX - ACCEPTED_MAX);
    }

    #[test]
    fn there_are_never_more_links_than_places() {
        let mut places = Places::default();
        for number in 0..LINKS_MAX as u64 {
            assert!(places.admits_ours());
            places.take(LinkId(number), Origin::Found, ip(1), ip(254));
        }
        assert!(!places.admits_ours() && !places.admits(ip(2)) && places.left_for_found() == 0);
        places.free(LinkId(3));
        assert!(places.admits_ours());
    }
}
