//! Who is here: when each seat was last heard and by which way, and whether what is shown was checked since the last absence.
//!
//! Laws: only the word of another seat is a sign of it; after an absence nothing counts as current before another was heard, a
//! transport said that nothing is newer, or time to ask ran out, and then it is said to be unchecked.

use super::entry::SeatNumber;
use crate::proto::config::{ABSENCE_MAX, CHECK_TIME_MAX, TABLE_SILENCE_MAX};
use crate::proto::cx::Via;
use crate::proto::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Whether what is shown has been checked against the others since the last absence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contact {
    /// No absence since the last word from another.
    Fresh,
    /// Away too long: a transport is being asked.
    Checking {
        /// Give up then.
        until: Instant,
    },
    /// Nobody answered: shown, and said to be unchecked.
    Unchecked,
}

/// The others, as one member hears them.
#[cfg_attr(test, derive(Clone))]
pub struct Attendance {
    heard: BTreeMap<SeatNumber, Heard>,
    contact: Contact,
    /// When we sat down at the table, where somebody of the talk was.
    sat_down: Option<Instant>,
    /// When we began to listen.
    since: Instant,
}

#[derive(Clone, Copy)]
struct Heard {
    last: Instant,
    over_link: Option<Instant>,
}

impl Attendance {
    /// Begins to listen; nothing was missed.
    pub fn new(now: Instant) -> Attendance {
        Attendance { heard: BTreeMap::new(), contact: Contact::Fresh, sat_down: None, since: now }
    }

    /// Another seat was heard.
    pub fn hear(&mut self, now: Instant, seat: SeatNumber, via: Via) {
        let before = self.heard.get(&seat).and_then(|heard| heard.over_link);
        let over_link = if via == Via::Link { Some(now) } else { before };
        self.heard.insert(seat, Heard { last: now, over_link });
        self.contact = Contact::Fresh;
    }

    /// When a seat was last heard.
    pub fn heard(&self, seat: SeatNumber) -> Option<Instant> {
        self.heard.get(&seat).map(|heard| heard.last)
    }

    /// Whether a seat was heard so shortly ago.
    pub fn is_here(&self, seat: SeatNumber, now: Instant, span: Duration) -> bool {
        self.heard(seat).is_some_and(|last| now.since(last) <= span)
    }

    /// Since when nothing was heard of a seat, or we began to listen.
    pub fn silent_since(&self, seat: SeatNumber) -> Instant {
        self.heard(seat).unwrap_or(self.since)
    }

    /// Whether a seat was heard over a link a moment ago.
    pub fn is_near(&self, seat: SeatNumber, now: Instant) -> bool {
        let last = self.heard.get(&seat).and_then(|heard| heard.over_link);
        last.is_some_and(|last| now.since(last) <= TABLE_SILENCE_MAX)
    }

    /// Somebody of the talk proved over a link to be at this table.
    pub fn sit_down(&mut self, now: Instant) {
        self.sat_down = Some(now);
    }

    /// Whether links have fallen silent over which others were heard, or met at the table.
    pub fn is_table_silent(&self, now: Instant) -> bool {
        let last = self.heard.values().filter_map(|heard| heard.over_link).chain(self.sat_down).max();
        last.is_some_and(|last| now.since(last) > TABLE_SILENCE_MAX)
    }

    /// Whether anybody was heard since we may have been away.
    pub fn is_in_contact(&self, now: Instant) -> bool {
        self.heard.values().any(|heard| now.since(heard.last) <= ABSENCE_MAX)
    }

    /// Whether what is shown was checked since the last absence.
    pub fn contact(&self) -> Contact {
        self.contact
    }

    /// A transport came up, or we are back from a restart: after an absence whatever is shown has to be checked.
    pub fn check(&mut self, now: Instant) {
        if self.contact == Contact::Fresh && !self.is_in_contact(now) {
            self.contact = Contact::Checking { until: now + CHECK_TIME_MAX };
        }
    }

    /// A transport answered that nothing newer is there. Says whether that is news.
    pub fn confirm(&mut self) -> bool {
        std::mem::replace(&mut self.contact, Contact::Fresh) != Contact::Fresh
    }

    /// Nobody has answered in time. Says whether that is news.
    pub fn give_up(&mut self, now: Instant) -> bool {
        let is_over = self.poll_timeout().is_some_and(|until| until <= now);
        if is_over {
            self.contact = Contact::Unchecked;
        }
        is_over
    }

    /// When [`Attendance::give_up`] has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.contact {
            Contact::Checking { until } => Some(until),
            Contact::Fresh | Contact::Unchecked => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Instant = Instant(1_000_000_000);

    #[test]
    fn a_seat_is_near_only_as_long_as_it_is_heard_over_a_link() {
        let mut attendance = Attendance::new(Instant(0));
        attendance.hear(AT, 1, Via::Link);
        let later = AT + TABLE_SILENCE_MAX;
        attendance.hear(later, 1, Via::Relay);
        assert!(attendance.is_near(1, later) && !attendance.is_table_silent(later));
        let silent = later + Duration::from_micros(1);
        assert!(!attendance.is_near(1, silent) && attendance.is_table_silent(silent), "the relay brings nobody to the table");
        assert!(attendance.is_here(1, silent, Duration::from_secs(1)));
        assert!(!attendance.is_near(2, AT) && attendance.silent_since(2) == Instant(0));
    }

    #[test]
    fn who_sits_down_after_a_long_way_is_not_alone_at_the_table_before_time_has_passed_there() {
        let mut attendance = Attendance::new(Instant(0));
        attendance.hear(AT, 1, Via::Link);
        let later = AT + TABLE_SILENCE_MAX * 2;
        assert!(attendance.is_table_silent(later), "control: they were together before");
        attendance.sit_down(later);
        assert!(!attendance.is_table_silent(later + TABLE_SILENCE_MAX));
        assert!(attendance.is_table_silent(later + TABLE_SILENCE_MAX + Duration::from_micros(1)));
    }

    #[test]
    fn after_an_absence_nothing_is_current_before_it_was_checked() {
        let mut attendance = Attendance::new(Instant(0));
        attendance.hear(AT, 1, Via::Link);
        attendance.check(AT + ABSENCE_MAX);
        assert_eq!(attendance.contact(), Contact::Fresh);
        let back = AT + ABSENCE_MAX + Duration::from_secs(1);
        attendance.check(back);
        let until = back + CHECK_TIME_MAX;
        assert_eq!((attendance.contact(), attendance.poll_timeout()), (Contact::Checking { until }, Some(until)));
        assert!(!attendance.give_up(back) && attendance.give_up(until) && !attendance.give_up(until));
        assert_eq!(attendance.contact(), Contact::Unchecked);
        assert!(attendance.confirm() && !attendance.confirm());
        attendance.check(back);
        attendance.hear(back, 1, Via::Relay);
        assert_eq!(attendance.contact(), Contact::Fresh, "any word of another will do");
    }
}
