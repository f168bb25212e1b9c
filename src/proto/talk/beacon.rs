//! When to say what one knows: Trickle (RFC 6206) without suppression, because a beacon is also the sign that its seat is here.

use crate::proto::config::{BEACON_INTERVAL_MAX, BEACON_INTERVAL_MIN};
use crate::proto::rng::Rng;
use crate::proto::time::{Duration, Instant};
use serde::{Deserialize, Serialize};

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
