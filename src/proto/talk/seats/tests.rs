//! For the model check: how far a gathering is, on the host's side and on a guest's.

use super::{Errand, Hosting, Waiting};
use crate::proto::time::Instant;

impl Hosting {
    /// Everything but random bytes and the exact time. Seats are named by the place that `place` gives.
    pub(crate) fn outline(&self, now: Instant, place: impl Fn(crate::proto::id::SeatId) -> usize) -> String {
        let mut candidates: Vec<_> = self.candidates.values().map(|c| (place(c.member.seat), c.offer.round)).collect();
        candidates.sort_unstable();
        let draw = self.draw.as_ref().map(|draw| {
            let mut seats: Vec<_> =
                draw.roster.iter().map(|seat| (place(seat.seat), draw.contributions.contains_key(&seat.seat))).collect();
            seats.sort_unstable();
            (seats, draw.deadline.since(now).as_secs() / 300)
        });
        format!("hosting {} {candidates:?} {draw:?}", self.round)
    }

    /// How many have opened their contribution in the draw under way.
    pub(crate) fn opened(&self) -> usize {
        self.draw.as_ref().map_or(0, |draw| draw.contributions.len())
    }

    /// Control: so few are enough.
    pub(crate) fn lower_minimum(&mut self, seats: u8) {
        self.door.content.terms.seats_min = seats;
    }
}

impl Waiting {
    /// Everything but random bytes and the exact time.
    pub(crate) fn outline(&self, now: Instant) -> String {
        let errand = match &self.errand {
            Errand::Card { .. } => "card",
            Errand::Table => "table",
            Errand::Return(_) => "return",
        };
        let (roster, due) = (self.roster.as_ref().map(Vec::len), self.next_try <= now);
        format!("waiting {errand} {} {roster:?} {:?} {due} {}", self.round, self.taken, self.tries.min(2))
    }

    /// Control: so few are enough.
    pub(crate) fn lower_minimum(&mut self, seats: u8) {
        if let Errand::Card { content, .. } = &mut self.errand {
            content.terms.seats_min = seats;
        }
    }
}
