//! How often something costly may happen.

use crate::config::{HANDSHAKE_INTERVAL_US, HANDSHAKES_AT_ONCE};

/// Handshakes: so many at once, and one per interval for long (the generic cell rate algorithm, ITU-T I.371).
#[derive(Default)]
pub(crate) struct Allowance {
    spent_until: u64,
}

impl Allowance {
    /// Takes one, if there is one left.
    pub(crate) fn take(&mut self, now: u64) -> bool {
        let spent_until = self.spent_until.max(now) + HANDSHAKE_INTERVAL_US;
        let is_left = spent_until <= now + HANDSHAKE_INTERVAL_US * HANDSHAKES_AT_ONCE;
        if is_left {
            self.spent_until = spent_until;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_allowed_and_then_one_per_interval() {
        let mut allowance = Allowance::default();
        let mut taken = |now| (0..100).filter(|_| allowance.take(now)).count() as u64;
        assert_eq!(taken(0), HANDSHAKES_AT_ONCE);
        assert_eq!(taken(HANDSHAKE_INTERVAL_US), 1);
        assert_eq!(taken(HANDSHAKE_INTERVAL_US * 3), 2);
        assert_eq!(taken(HANDSHAKE_INTERVAL_US * 1_000), HANDSHAKES_AT_ONCE);
    }
}
