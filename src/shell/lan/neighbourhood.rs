//! Who is to be seen on the LAN, which of them a link stands to, and whom to dial when: a plain value, without sockets or clock.
//!
//! Laws: of two that see each other the one with the smaller name dials, and the other only if that does not come to pass; nobody
//! is dialled to whom a link stands; whoever does not answer is dialled ever more seldom.
//!
//! A neighbour redraws its name while its links stand, and tells nobody. What tells is the address: a link that belongs to no
//! instance to be seen (it was accepted, or its instance is gone) is *unclaimed*, and an instance that is seen at its address claims it
//! instead of being dialled. So with several nodes at one address the number of links comes out right, but not always to whom; and a
//! neighbour whose goodbye is lost is counted twice, and gets a second link, until its old name expires (two minutes).

use super::discovery::Name;
use crate::proto::id::LinkId;
use crate::proto::rng::Rng;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Instances remembered: more than a room holds. Beyond it, whoever answered least makes way.
pub(super) const NEIGHBOURS_MAX: usize = 256;
/// Before the first dial, so that more addresses come in than the first.
const GATHER: Duration = Duration::from_millis(50);
/// So much later the one with the greater name dials: the other may see nothing of it, or be kept out by its firewall.
const DEFERENCE: Duration = Duration::from_secs(10);
/// After a failure the next dial waits this long, twice as long after each further one, …
const BACKOFF_MIN: Duration = Duration::from_secs(1);
/// … but not longer than this.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// A link that stood this long was no failure.
const LASTING: Duration = Duration::from_secs(60);

/// The table of neighbours and links.
#[derive(Default)]
pub(super) struct Neighbourhood {
    seen: BTreeMap<Name, Neighbour>,
    /// Every standing link, with the other end's address.
    links: BTreeMap<LinkId, IpAddr>,
}

struct Neighbour {
    addresses: Vec<SocketAddr>,
    failures: u32,
    state: State,
}

enum State {
    /// Without a link; to be dialled then (or later, see [`DEFERENCE`]).
    Waiting { due: Instant },
    /// An attempt is running.
    Dialing,
    /// A link stands.
    Linked { link: LinkId, since: Instant },
}

impl Neighbour {
    fn is_at(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|address| address.ip() == ip)
    }

    fn wait(&mut self, now: Instant, rng: &mut Rng) {
        let wait = (BACKOFF_MIN * 2u32.saturating_pow(self.failures.min(16))).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Waiting { due: now + rng.between(wait / 2, wait) };
    }
}

impl Neighbourhood {
    /// An instance is there, at these addresses.
    pub fn seen(&mut self, name: Name, addresses: Vec<SocketAddr>, now: Instant) {
        if !self.seen.contains_key(&name) && !self.make_room() {
            return;
        }
        let unclaimed = self.unclaimed(&addresses);
        let fresh = Neighbour { addresses: Vec::new(), failures: 0, state: State::Waiting { due: now + GATHER } };
        let neighbour = self.seen.entry(name).or_insert(fresh);
        neighbour.addresses = addresses;
        if let (State::Waiting { .. }, Some(link)) = (&neighbour.state, unclaimed) {
            neighbour.state = State::Linked { link, since: now };
        }
    }

    /// An instance is not there any more; its link, if one stands, does.
    pub fn gone(&mut self, name: Name) {
        self.seen.remove(&name);
    }

    /// Nothing is known of who is there.
    pub fn forget_instances(&mut self) {
        self.seen.clear();
    }

    /// Whether a link to this instance would be the only one.
    pub fn wants(&self, name: Name) -> bool {
        self.seen.get(&name).is_none_or(|neighbour| !matches!(neighbour.state, State::Linked { .. }))
    }

    /// A link to this address stands, for this instance if discovery led to it.
    pub fn link_up(&mut self, link: LinkId, ip: IpAddr, instance: Option<Name>, own: Name, now: Instant) {
        self.links.insert(link, ip);
        let waits = |neighbour: &Neighbour| !matches!(neighbour.state, State::Linked { .. }) && neighbour.is_at(ip);
        let claimant = instance
            .filter(|name| self.seen.contains_key(name))
            // Whoever has the smaller name is the one who would dial us.
            .or_else(|| self.seen.iter().find(|(name, neighbour)| **name < own && waits(neighbour)).map(|(&name, _)| name))
            .or_else(|| self.seen.iter().find(|(_, neighbour)| waits(neighbour)).map(|(&name, _)| name));
        if let Some(neighbour) = claimant.and_then(|name| self.seen.get_mut(&name)) {
            neighbour.state = State::Linked { link, since: now };
        }
    }

    /// A link is gone.
    pub fn link_down(&mut self, link: LinkId, now: Instant, rng: &mut Rng) {
        self.links.remove(&link);
        let spare: Vec<_> = self.unclaimed_links().collect();
        for neighbour in self.seen.values_mut() {
            if let State::Linked { link: claimed, since } = neighbour.state
                && claimed == link
            {
                if now.saturating_duration_since(since) >= LASTING {
                    neighbour.failures = 0;
                }
                neighbour.wait(now, rng);
                if let Some(&(link, _)) = spare.iter().find(|(_, ip)| neighbour.is_at(*ip)) {
                    neighbour.state = State::Linked { link, since: now };
                }
                return;
            }
        }
    }

    /// No address of this instance answered.
    pub fn failed(&mut self, name: Name, now: Instant, rng: &mut Rng) {
        if let Some(neighbour) = self.seen.get_mut(&name)
            && matches!(neighbour.state, State::Dialing)
        {
            neighbour.wait(now, rng);
        }
    }

    /// Whom to dial now, at most `count`; each must be answered by `link_up` or `failed`.
    pub fn take_due(&mut self, own: Name, now: Instant, count: usize) -> Vec<(Name, Vec<SocketAddr>)> {
        let due = |(name, neighbour): (&Name, &mut Neighbour)| match neighbour.state {
            State::Waiting { due } if dial_at(*name, own, due) <= now && !neighbour.addresses.is_empty() => {
                neighbour.state = State::Dialing;
                Some((*name, neighbour.addresses.clone()))
            }
            State::Waiting { .. } | State::Dialing | State::Linked { .. } => None,
        };
        self.seen.iter_mut().filter_map(due).take(count).collect()
    }

    /// When somebody is to be dialled.
    pub fn next_due(&self, own: Name) -> Option<Instant> {
        let waiting = self.seen.iter().filter(|(_, neighbour)| !neighbour.addresses.is_empty());
        let due = waiting.filter_map(|(name, neighbour)| match neighbour.state {
            State::Waiting { due } => Some(dial_at(*name, own, due)),
            State::Dialing | State::Linked { .. } => None,
        });
        due.min()
    }

    /// False if the table is full of neighbours with links.
    fn make_room(&mut self) -> bool {
        if self.seen.len() < NEIGHBOURS_MAX {
            return true;
        }
        let unlinked = self.seen.iter().filter(|(_, neighbour)| matches!(neighbour.state, State::Waiting { .. }));
        let Some(least) = unlinked.max_by_key(|(_, neighbour)| neighbour.failures).map(|(&name, _)| name) else { return false };
        self.seen.remove(&least);
        true
    }

    fn unclaimed(&self, addresses: &[SocketAddr]) -> Option<LinkId> {
        self.unclaimed_links().find(|(_, ip)| addresses.iter().any(|address| address.ip() == *ip)).map(|(link, _)| link)
    }

    fn unclaimed_links(&self) -> impl Iterator<Item = (LinkId, IpAddr)> {
        let claims = |link| self.seen.values().any(|n| matches!(n.state, State::Linked { link: claimed, .. } if claimed == link));
        self.links.iter().map(|(&link, &ip)| (link, ip)).filter(move |(link, _)| !claims(*link))
    }
}

fn dial_at(name: Name, own: Name, due: Instant) -> Instant {
    if own < name { due } else { due + DEFERENCE }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: Duration = Duration::from_secs(3600);

    /// Names in ascending order.
    fn names<const N: usize>() -> [Name; N] {
        let mut rng = Rng::new([7; 32]);
        let mut names: [Name; N] = std::array::from_fn(|_| Name::new(&mut rng));
        names.sort();
        names
    }

    fn at(host: u8) -> Vec<SocketAddr> {
        vec![SocketAddr::from(([192, 0, 2, host], 4000))]
    }

    fn ip(host: u8) -> IpAddr {
        [192, 0, 2, host].into()
    }

    #[test]
    fn of_two_the_smaller_dials_and_the_greater_only_if_nothing_comes() {
        let [small, great] = names();
        let now = Instant::now();
        let (mut left, mut right) = (Neighbourhood::default(), Neighbourhood::default());
        left.seen(great, at(2), now);
        right.seen(small, at(1), now);

        assert_eq!(left.take_due(small, now + GATHER, 9).len(), 1);
        assert!(right.take_due(great, now + GATHER, 9).is_empty());
        assert!(right.take_due(great, now + DEFERENCE, 9).is_empty());
        assert_eq!(right.take_due(great, now + GATHER + DEFERENCE, 9).len(), 1);
    }

    #[test]
    fn nobody_is_dialled_to_whom_a_link_stands() {
        let [small, great] = names();
        let now = Instant::now();
        let mut neighbourhood = Neighbourhood::default();
        neighbourhood.seen(great, at(2), now);
        neighbourhood.link_up(LinkId(1), ip(2), None, small, now);

        assert!(!neighbourhood.wants(great));
        assert!(neighbourhood.take_due(small, now + FAR, 9).is_empty());
    }

    #[test]
    fn a_neighbour_that_redraws_its_name_is_not_dialled_anew() {
        let [own, old, new, other] = names();
        let now = Instant::now();
        let mut neighbourhood = Neighbourhood::default();
        neighbourhood.seen(old, at(2), now);
        neighbourhood.link_up(LinkId(1), ip(2), Some(old), own, now);
        neighbourhood.gone(old);
        neighbourhood.seen(new, at(2), now);
        neighbourhood.seen(other, at(3), now);

        let due = neighbourhood.take_due(own, now + FAR, 9);

        assert!(due.len() == 1 && due[0].0 == other, "a neighbour at another address is dialled");
    }

    #[test]
    fn two_at_one_address_get_two_links() {
        let [own, one, two] = names();
        let now = Instant::now();
        let mut neighbourhood = Neighbourhood::default();
        neighbourhood.link_up(LinkId(1), ip(2), None, own, now);
        neighbourhood.seen(one, at(2), now);
        neighbourhood.seen(two, at(2), now);

        assert_eq!(neighbourhood.take_due(own, now + FAR, 9).len(), 1);
    }

    #[test]
    fn whoever_does_not_answer_is_dialled_ever_more_seldom_and_forgotten_when_gone() {
        let [own, silent] = names();
        let mut rng = Rng::new([1; 32]);
        let mut now = Instant::now();
        let mut neighbourhood = Neighbourhood::default();
        neighbourhood.seen(silent, at(2), now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let due = neighbourhood.next_due(own).unwrap();
            waits.push(due - now);
            now = due;
            assert_eq!(neighbourhood.take_due(own, now, 9).len(), 1);
            neighbourhood.failed(silent, now, &mut rng);
        }

        assert!(waits[3] > waits[1] && waits[9] > waits[5]);
        assert!(waits.iter().all(|wait| *wait <= BACKOFF_MAX) && waits[11] >= BACKOFF_MAX / 2);
        neighbourhood.gone(silent);
        assert!(neighbourhood.next_due(own).is_none());
    }

    #[test]
    fn a_link_that_falls_at_once_counts_as_a_failure() {
        let [own, other] = names();
        let mut rng = Rng::new([1; 32]);
        let now = Instant::now();
        let mut neighbourhood = Neighbourhood::default();
        neighbourhood.seen(other, at(2), now);
        for number in 0..9 {
            neighbourhood.link_up(LinkId(number), ip(2), Some(other), own, now);
            neighbourhood.link_down(LinkId(number), now, &mut rng);
        }

        assert!(neighbourhood.next_due(own).unwrap() - now >= Duration::from_secs(100));
    }

    #[test]
    fn the_table_is_bounded_and_never_forgets_a_neighbour_with_a_link_for_one_without() {
        let mut names: [Name; NEIGHBOURS_MAX + 100] = names();
        names.reverse();
        let now = Instant::now();
        let mut neighbourhood = Neighbourhood::default();
        neighbourhood.seen(names[0], at(2), now);
        neighbourhood.link_up(LinkId(1), ip(2), Some(names[0]), names[1], now);
        for name in &names[1..] {
            neighbourhood.seen(*name, at(3), now);
        }

        assert_eq!(neighbourhood.seen.len(), NEIGHBOURS_MAX);
        assert!(!neighbourhood.wants(names[0]));
    }
}
