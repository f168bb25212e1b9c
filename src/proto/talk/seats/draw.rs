//! One draw: who takes part, what each committed to, and what comes of it when all have opened it.
//!
//! Laws: a contribution counts only if its seat committed to it before it knew any other; only all of them together make the first
//! key of the room, and with another roster they make another.

use crate::proto::error::Fault;
use crate::proto::id::SeatId;
use crate::proto::secret::{Key, hash};
use crate::proto::time::Instant;
use crate::proto::wire::encode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One seat in a draw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RosterSeat {
    /// Whose.
    pub seat: SeatId,
    /// Hash of its key package; zero for the host, who needs none.
    pub key_package: [u8; 32],
    /// What it committed to.
    pub commitment: [u8; 32],
}

impl RosterSeat {
    fn host(seat: SeatId, contribution: &[u8; 16]) -> RosterSeat {
        RosterSeat { seat, key_package: [0; 32], commitment: commitment(contribution) }
    }

    /// A guest's.
    pub(super) fn guest(seat: SeatId, key_package: &[u8], commitment: [u8; 32]) -> RosterSeat {
        RosterSeat { seat, key_package: hash("alcove/1 key package", &[key_package]), commitment }
    }
}

/// A draw under way, as the host sees it.
#[cfg_attr(test, derive(Clone))]
pub(super) struct Draw {
    roster: Vec<RosterSeat>,
    contributions: BTreeMap<SeatId, [u8; 16]>,
    deadline: Instant,
}

impl Draw {
    /// Of the host, who opens its own contribution at once, and these guests.
    pub(super) fn new(host: SeatId, own: [u8; 16], guests: impl Iterator<Item = RosterSeat>, deadline: Instant) -> Draw {
        let roster = [RosterSeat::host(host, &own)].into_iter().chain(guests).collect();
        Draw { roster, contributions: BTreeMap::from([(host, own)]), deadline }
    }

    /// Everybody, the host first.
    pub(super) fn roster(&self) -> &[RosterSeat] {
        &self.roster
    }

    /// Whether this seat was drawn.
    pub(super) fn has(&self, seat: SeatId) -> bool {
        self.roster.iter().any(|drawn| drawn.seat == seat)
    }

    /// A seat opens its contribution. Gives all of them in the roster's order, if it was the last.
    pub(super) fn open(&mut self, seat: SeatId, contribution: [u8; 16]) -> Result<Option<Vec<[u8; 16]>>, Fault> {
        let drawn = self.roster.iter().find(|drawn| drawn.seat == seat).ok_or(Fault::OutOfPlace("contribution"))?;
        if drawn.commitment != commitment(&contribution) {
            return Err(Fault::Forged("contribution"));
        }
        self.contributions.insert(seat, contribution);
        let is_complete = self.contributions.len() == self.roster.len();
        let opened = || self.roster.iter().filter_map(|drawn| self.contributions.get(&drawn.seat)).copied().collect();
        Ok(is_complete.then(opened))
    }

    /// Until when all must have opened theirs.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Who has not.
    pub(super) fn silent(&self) -> Vec<SeatId> {
        self.roster.iter().map(|drawn| drawn.seat).filter(|seat| !self.contributions.contains_key(seat)).collect()
    }
}

/// What a seat says of its random bytes before it opens them.
pub(super) fn commitment(contribution: &[u8; 16]) -> [u8; 32] {
    hash("alcove/1 contribution", &[contribution])
}

/// Whether these are the contributions to which the roster committed, in its order.
pub(super) fn is_opened_by(roster: &[RosterSeat], contributions: &[[u8; 16]]) -> bool {
    let kept = |(drawn, contribution): (&RosterSeat, &[u8; 16])| drawn.commitment == commitment(contribution);
    roster.len() == contributions.len() && roster.iter().zip(contributions).all(kept)
}

/// The external PSK of the founding commit: a function of every seat's contribution and of the whole roster, and its id.
pub(super) fn founding_psk(roster: &[RosterSeat], contributions: &[[u8; 16]]) -> (Key, [u8; 32]) {
    let id = hash("alcove/1 roster", &[&encode(&roster)]);
    let parts: Vec<_> = [&id[..]].into_iter().chain(contributions.iter().map(|contribution| &contribution[..])).collect();
    (Key(hash("alcove/1 founding psk", &parts)), id)
}

/// The MLS group id follows from the roster, so that no two foundings share one.
pub(super) fn group_id(psk_id: &[u8; 32]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&psk_id[..16]);
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Draw {
        /// Each seat, and whether it has opened its contribution.
        pub(crate) fn outline(&self) -> impl Iterator<Item = (SeatId, bool)> {
            self.roster.iter().map(|drawn| (drawn.seat, self.contributions.contains_key(&drawn.seat)))
        }
    }

    fn seat(name: u8) -> SeatId {
        SeatId([name; 16])
    }

    fn draw(guests: u8) -> Draw {
        let guests = (1..=guests).map(|name| RosterSeat::guest(seat(name), &[name], commitment(&[name; 16])));
        Draw::new(seat(0), [0; 16], guests, Instant(9))
    }

    #[test]
    fn a_draw_is_complete_when_every_seat_has_opened_what_it_committed_to() {
        let mut draw = draw(2);
        assert_eq!(draw.open(seat(2), [2; 16]).unwrap(), None);
        assert_eq!(draw.silent(), [seat(1)]);
        assert!(matches!(draw.open(seat(1), [3; 16]), Err(Fault::Forged(_))), "other bytes than it committed to");
        assert!(matches!(draw.open(seat(3), [3; 16]), Err(Fault::OutOfPlace(_))), "not drawn");
        assert_eq!(draw.open(seat(1), [1; 16]).unwrap(), Some(vec![[0; 16], [1; 16], [2; 16]]));
        assert!(draw.silent().is_empty());
    }

    #[test]
    fn every_contribution_and_every_seat_of_the_roster_is_in_the_first_key() {
        let (two, three) = (draw(1), draw(2));
        let opened = [[0; 16], [1; 16], [2; 16]];
        let key = |draw: &Draw, contributions: &[[u8; 16]]| founding_psk(draw.roster(), contributions).0;
        let whole = key(&three, &opened);
        assert!(is_opened_by(three.roster(), &opened) && !is_opened_by(three.roster(), &opened[..2]));
        assert!(key(&three, &[[0; 16], [1; 16], [9; 16]]) != whole);
        assert!(key(&three, &[[1; 16], [0; 16], [2; 16]]) != whole, "in its order");
        assert!(key(&two, &opened) != whole, "of the whole roster");
    }
}
