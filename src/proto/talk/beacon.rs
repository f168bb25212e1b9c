//! When to say what one knows: Trickle (RFC 6206) without suppression, because a beacon is also the sign that its seat is here. And
//! when to ask for what others know.
//!
//! Law: a difference that stays, because what makes it is nowhere to be had, costs no more than silence does.

use crate::proto::config::{ASK_INTERVAL, BEACON_INTERVAL_MAX, BEACON_INTERVAL_MIN, DIFFERENCES_MAX};
use crate::proto::rng::Rng;
use crate::proto::time::{Duration, Instant, doubled};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What a member says of itself to the others, sealed for them and never carried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Beacon {
    /// Who.
    pub seat: u8,
    /// Its term and epoch.
    pub term: u32,
    /// Its epoch.
    pub epoch: u64,
    /// A fingerprint of the log's heads.
    pub digest: [u8; 8],
    /// What its clock shows, in minutes since the Unix epoch: another's confirmation that time has passed.
    pub wall_minutes: u32,
}

/// The timer: quick after news, slow when all agree.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Trickle {
    interval: Duration,
    next: Instant,
}

impl Trickle {
    /// Begins quickly.
    pub fn new(now: Instant) -> Trickle {
        Trickle { interval: BEACON_INTERVAL_MIN, next: now }
    }

    /// When the next beacon is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// A beacon was sent: the next one comes at a random time in the second half of an interval twice as long.
    pub fn sent(&mut self, rng: &mut Rng, now: Instant) {
        self.next = now + rng.between(self.interval / 2, self.interval);
        self.interval = (self.interval * 2).min(BEACON_INTERVAL_MAX);
    }

    /// Something is inconsistent: begin quickly again.
    pub fn reset(&mut self, rng: &mut Rng, now: Instant) {
        if self.interval > BEACON_INTERVAL_MIN {
            self.interval = BEACON_INTERVAL_MIN;
            self.next = self.next.min(now + rng.between(Duration::ZERO, BEACON_INTERVAL_MIN));
        }
    }
}

/// The timer of questions: soon after news, ever more rarely while nothing comes of them.
#[derive(Default, Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Asking {
    due: Option<Instant>,
    last: Option<Instant>,
    tries: u32,
    differences: VecDeque<([u8; 8], [u8; 8])>,
}

impl Asking {
    /// When the next question is due.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A fingerprint is not ours. Says whether the two have not met lately: then it is asked as soon as it may.
    pub fn differs(&mut self, theirs: [u8; 8], ours: [u8; 8]) -> bool {
        let is_news = !self.differences.contains(&(theirs, ours));
        if is_news {
            self.tries = 0;
            self.differences.truncate(DIFFERENCES_MAX - 1);
            self.differences.push_front((theirs, ours));
        }
        is_news
    }

    /// Something is lacking: asks at that time, or when it may again.
    pub fn want(&mut self, at: Instant) {
        let at = self.last.map_or(at, |last| at.max(last + self.pause()));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Whether to ask now; said once.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.take_if(|due| *due <= now).is_some();
        if is_due {
            (self.last, self.tries) = (Some(now), self.tries.saturating_add(1));
        }
        is_due
    }

    fn pause(&self) -> Duration {
        doubled(ASK_INTERVAL, self.tries.saturating_sub(1), BEACON_INTERVAL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many questions an hour brings, if somebody is heard every second whose fingerprint is this one.
    fn asked(fingerprint: impl Fn(u64) -> u64) -> usize {
        let mut asking = Asking::default();
        let mut asks_at = |second: u64| {
            let now = Instant(second * 1_000_000);
            asking.differs(fingerprint(second).to_be_bytes(), [0xff; 8]);
            asking.want(now);
            asking.take_due(now)
        };
        (0..3_600).filter(|second| asks_at(*second)).count()
    }

    #[test]
    fn a_difference_that_stays_is_asked_for_ever_more_rarely_and_a_new_one_at_once() {
        assert!((120..130).contains(&asked(|_| 0)), "{}", asked(|_| 0));
        assert!((120..130).contains(&asked(|second| second % 2)), "a seat that runs twice");
        assert_eq!(asked(|second| second), 3_600, "control: each is new");
        assert!(asked(|second| second / 60) >= 240);
    }
}
