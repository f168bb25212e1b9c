//! The device's clocks as the core wants them: elapsed time that counts suspension, and wall time whenever there is news of it.
//!
//! Laws: elapsed time never goes back and goes on while the device sleeps; a wall clock that was set is told with the next input. It
//! judges no time: whether to believe a jump is the core's to decide.

use crate::proto::time::{Duration, Instant, WallTime};
use rustix::time::{ClockId, clock_gettime};
use std::time::SystemTime;

/// The wall time is told this often, and after each jump.
pub const WALL_INTERVAL: Duration = Duration::from_secs(30);
/// The two clocks may drift apart by this much between two tellings; more is a jump.
const DRIFT_MAX: Duration = Duration::from_secs(1);

/// Both clocks since one start.
#[derive(Debug)]
pub struct Clock {
    started: Duration,
    told: Option<(Instant, WallTime)>,
}

impl Clock {
    /// Elapsed time begins now.
    pub fn start() -> Clock {
        Clock { started: since_boot(), told: None }
    }

    /// Elapsed time.
    pub fn now(&self) -> Instant {
        Instant::default() + since_boot().saturating_sub(self.started)
    }

    /// Elapsed time, and the wall time if the core should hear it before anything else.
    pub fn tick(&mut self) -> (Instant, Option<WallTime>) {
        let now = self.now();
        (now, self.news(now, wall()))
    }

    /// How long to sleep at the longest before the next [`Clock::tick`].
    pub fn patience(&self) -> Duration {
        self.told.map_or(Duration::ZERO, |(at, _)| WALL_INTERVAL.saturating_sub(self.now().since(at)))
    }

    fn news(&mut self, now: Instant, shown: WallTime) -> Option<WallTime> {
        let is_news = self.told.is_none_or(|(at, told)| {
            let expected = told + now.since(at);
            now.since(at) >= WALL_INTERVAL || shown.since(expected).max(expected.since(shown)) > DRIFT_MAX
        });
        is_news.then(|| {
            self.told = Some((now, shown));
            shown
        })
    }
}

/// What the wall clock shows.
pub fn wall() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// CLOCK_BOOTTIME (clock_gettime(2)): monotonic, suspension included.
fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_is_told_at_the_start_every_half_minute_and_when_it_was_set() {
        let second = |n: u64| Instant(n * 1_000_000);
        let shows = |n: u64| WallTime(1_000_000_000 + n * 1_000);
        let mut clock = Clock::start();
        assert_eq!(clock.news(second(0), shows(0)), Some(shows(0)));
        assert_eq!(clock.news(second(10), shows(10)), None, "as expected");
        assert_eq!(clock.news(second(30), shows(30)), Some(shows(30)));
        assert_eq!(clock.news(second(31), shows(3_600)), Some(shows(3_600)), "set forward");
        assert_eq!(clock.news(second(32), shows(3_601)), None);
        assert_eq!(clock.news(second(33), shows(0)), Some(shows(0)), "set back");
    }
}
