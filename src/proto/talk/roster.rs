//! Everybody who was ever admitted to a room, in order: who sits, who left, who came back, who is at the table.
//!
//! Laws: numbers are never given twice; a seat is removed only by its own goodbye, by its device coming back as another, or by more
//! than half of the others; personas follow from the order of admission alone.

use super::close::set_hash;
use super::entry::{SeatNumber, Sig};
use super::persona;
use super::rejoin::RejoinKey;
use crate::proto::id::SeatId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether a seat still counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Standing {
    /// It sits.
    Sits,
    /// It left of its own will.
    Left,
    /// More than half of the others removed it.
    Removed,
    /// Its device came back as this seat.
    Replaced(SeatNumber),
}

/// One who was admitted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Seat {
    /// The MLS credential.
    pub id: SeatId,
    /// The Ed25519 key.
    pub key: [u8; 32],
    /// Whether it still counts.
    pub standing: Standing,
    /// Re-admits its device after a restart, once its first entry was heard.
    pub rejoin_key: Option<RejoinKey>,
    /// At the table.
    pub at_table: bool,
    /// By the seat, once it has left.
    pub goodbye: Option<Sig>,
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Roster {
    seats: Vec<Seat>,
    /// Who is to go, and by whose signed wish.
    removals: BTreeMap<SeatNumber, BTreeMap<SeatNumber, Sig>>,
}

impl Roster {
    /// Admits the next seat; `None` when 255 numbers are used up.
    pub fn admit(&mut self, id: SeatId, key: [u8; 32]) -> Option<SeatNumber> {
        let number = SeatNumber::try_from(self.seats.len()).ok()?;
        self.seats.push(Seat { id, key, standing: Standing::Sits, rejoin_key: None, at_table: false, goodbye: None });
        Some(number)
    }

    /// A seat by its number.
    pub fn seat(&self, number: SeatNumber) -> Option<&Seat> {
        self.seats.get(usize::from(number))
    }

    /// The same, to change it.
    pub fn seat_mut(&mut self, number: SeatNumber) -> Option<&mut Seat> {
        self.seats.get_mut(usize::from(number))
    }

    /// A seat has said goodbye. One whose device came back as another stays that other, in whichever order the two are heard.
    pub fn leave(&mut self, number: SeatNumber, goodbye: Sig) {
        if let Some(seat) = self.seat_mut(number) {
            seat.goodbye = Some(goodbye);
            if !matches!(seat.standing, Standing::Replaced(_)) {
                seat.standing = Standing::Left;
            }
        }
    }

    /// The number of a seat.
    pub fn number(&self, id: SeatId) -> Option<SeatNumber> {
        self.seats.iter().position(|seat| seat.id == id).and_then(|place| SeatNumber::try_from(place).ok())
    }

    /// All that were ever admitted, with their numbers.
    pub fn seats(&self) -> impl Iterator<Item = (SeatNumber, &Seat)> {
        self.seats.iter().enumerate().map(|(place, seat)| (place as SeatNumber, seat))
    }

    /// Those that sit.
    pub fn sitting(&self) -> impl Iterator<Item = (SeatNumber, &Seat)> {
        self.seats().filter(|(_, seat)| seat.standing == Standing::Sits)
    }

    /// Whether every number is a seat's, and every device that came back did so as a later one.
    pub fn is_in_order(&self) -> bool {
        let count = SeatNumber::try_from(self.seats.len());
        let is_later = |(number, seat): (SeatNumber, &Seat)| match seat.standing {
            Standing::Replaced(newer) => number < newer && count.is_ok_and(|count| newer < count),
            Standing::Sits | Standing::Left | Standing::Removed => true,
        };
        count.is_ok() && self.seats().all(is_later)
    }

    /// How many people were ever admitted: a device that came back is the same person.
    pub fn people(&self) -> u8 {
        self.seats.iter().filter(|seat| !matches!(seat.standing, Standing::Replaced(_))).count() as u8
    }

    /// Those that must all agree to close: everybody ever admitted, but for those who left or came back as another.
    pub fn closers(&self) -> impl Iterator<Item = (SeatNumber, &Seat)> {
        self.seats().filter(|(_, seat)| matches!(seat.standing, Standing::Sits | Standing::Removed))
    }

    /// Hash over those that must agree.
    pub fn close_set(&self, room: &[u8; 16]) -> [u8; 32] {
        set_hash(room, self.closers().map(|(_, seat)| &seat.id))
    }

    /// Keeps the first so many that were admitted.
    pub fn truncate(&mut self, seats: usize) {
        self.seats.truncate(seats);
        self.removals.retain(|target, _| usize::from(*target) < seats);
        self.removals.values_mut().for_each(|wishes| wishes.retain(|by, _| usize::from(*by) < seats));
    }

    /// Notes that a seat wants another removed; says whether more than half of the others now do.
    pub fn vote_removal(&mut self, by: SeatNumber, target: SeatNumber, signature: Sig) -> bool {
        let valid = by != target && self.seat(target).is_some_and(|seat| seat.standing == Standing::Sits);
        if valid {
            self.removals.entry(target).or_default().insert(by, signature);
        }
        self.is_removal_agreed(target)
    }

    /// Who wants this seat removed, each with its signature.
    pub fn wishes(&self, target: SeatNumber) -> impl Iterator<Item = (SeatNumber, Sig)> {
        self.removals.get(&target).into_iter().flatten().map(|(by, signature)| (*by, *signature))
    }

    /// Whether more than half of the others want this seat removed.
    pub fn is_removal_agreed(&self, target: SeatNumber) -> bool {
        let others: Vec<_> = self.sitting().map(|(number, _)| number).filter(|number| *number != target).collect();
        let votes = self.removals.get(&target).map_or(0, |votes| others.iter().filter(|other| votes.contains_key(other)).count());
        votes * 2 > others.len()
    }

    /// Persona of every seat, by number: a device that came back keeps its own.
    pub fn personas(&self) -> Vec<String> {
        let first = |number: SeatNumber| {
            let mut first = number;
            while let Some((earlier, _)) = self.seats().find(|(_, seat)| seat.standing == Standing::Replaced(first)) {
                first = earlier;
            }
            first
        };
        let people: Vec<_> =
            self.seats().filter(|(number, _)| first(*number) == *number).map(|(number, seat)| (number, seat.id)).collect();
        let names: BTreeMap<_, _> =
            people.iter().map(|(number, _)| *number).zip(persona::names(people.iter().map(|(_, id)| id))).collect();
        self.seats().map(|(number, _)| names.get(&first(number)).cloned().unwrap_or_default()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIG: Sig = Sig([0; 32], [0; 32]);

    fn roster(count: u8) -> Roster {
        let mut roster = Roster::default();
        for n in 0..count {
            roster.admit(SeatId([n; 16]), [n; 32]);
        }
        roster
    }

    #[test]
    fn only_more_than_half_of_the_others_remove_a_seat() {
        let mut five = roster(5);
        assert!(!five.vote_removal(0, 4, SIG) && !five.vote_removal(1, 4, SIG) && !five.vote_removal(1, 4, SIG));
        assert!(!five.vote_removal(4, 4, SIG), "nobody removes itself by a vote");
        assert!(five.vote_removal(2, 4, SIG));
        let mut two = roster(2);
        assert!(two.vote_removal(0, 1, SIG));
    }

    #[test]
    fn a_device_comes_back_only_as_a_later_seat() {
        let mut roster = roster(3);
        for (newer, is_in_order) in [(0, false), (1, false), (2, true), (3, false)] {
            roster.seat_mut(1).unwrap().standing = Standing::Replaced(newer);
            assert_eq!(roster.is_in_order(), is_in_order, "{newer}");
        }
    }

    #[test]
    fn a_device_that_came_back_keeps_its_persona_and_no_other_changes() {
        let mut roster = roster(4);
        let before = roster.personas();
        let newer = roster.admit(SeatId([9; 16]), [9; 32]).unwrap();
        roster.seat_mut(1).unwrap().standing = Standing::Replaced(newer);
        let after = roster.personas();
        assert_eq!(after[..4], before[..]);
        assert_eq!(after[usize::from(newer)], before[1]);
        assert_eq!(roster.people(), 4);
    }
}
