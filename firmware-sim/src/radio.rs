//! How a Bluetooth link carries cells: in connection events, each cell acknowledged or sent again.
//!
//! Model, after Bluetooth Core 5.4, vol. 6 part B: a link meets at every connection interval (§4.5.1); a packet that is not acknowledged
//! is sent again (§4.5.9), and here a lost one ends its event, so that it waits for the next. A cell of 244 bytes is one packet. So a
//! link loses nothing and keeps its order; what the air loses, it pays in time. Both ways have their own place in each event.

use alcove::proto::config::CELL_BYTES;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};

/// The air time of one packet of 251 bytes at 1 Mbit/s, with its acknowledgement and both gaps.
const PACKET_TIME: Duration = Duration::from_micros(2_500);

/// A kind of link.
#[derive(Clone, Copy, Debug)]
pub struct Radio {
    /// The connection interval.
    pub interval: Duration,
    /// Packets that fit one event, each way.
    pub cells_per_event: u32,
    /// How many of a hundred packets are lost.
    pub lose_percent: u64,
}

impl Radio {
    /// What a phone uses for a busy link: 30 ms, four packets; of a hundred packets so many are lost.
    pub fn losing(percent: u64) -> Radio {
        Radio { interval: Duration::from_millis(30), cells_per_event: 4, lose_percent: percent }
    }
}

/// One way of one link.
#[derive(Clone, Copy, Default, Debug)]
pub struct Way {
    event: Instant,
    used: u32,
}

impl Way {
    /// When these bytes, handed in now, have arrived as a whole.
    pub fn arrival(&mut self, rng: &mut Rng, radio: &Radio, now: Instant, bytes: usize) -> Instant {
        if self.event < now {
            let interval = radio.interval.as_micros() as u64;
            // Events of different links do not fall together: each link's first byte finds its own.
            let phase = if self.event == Instant(0) { rng.below(interval) } else { self.event.0 % interval };
            let behind = (now.0 + interval - phase) % interval;
            let wait = if behind == 0 { 0 } else { interval - behind };
            (self.event, self.used) = (Instant(now.0 + wait), 0);
        }
        for _ in 0..bytes.div_ceil(CELL_BYTES).max(1) {
            if self.used == radio.cells_per_event {
                self.next_event(radio);
            }
            while rng.below(100) < radio.lose_percent {
                self.next_event(radio);
            }
            self.used += 1;
        }
        self.event + PACKET_TIME * self.used
    }

    fn next_event(&mut self, radio: &Radio) {
        (self.event, self.used) = (self.event + radio.interval, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_ms(percent: u64, cells: usize) -> u64 {
        let (rng, radio) = (&mut Rng::new([1; 32]), Radio::losing(percent));
        let mut way = Way::default();
        let sent = |round: u64| Instant(1 + round * 10_000_000);
        let times = (0..10_000).map(|round| way.arrival(rng, &radio, sent(round), cells * CELL_BYTES).since(sent(round)));
        times.map(|time| time.as_micros() as u64).sum::<u64>() / 10_000 / 1_000
    }

    #[test]
    fn a_lost_packet_costs_a_connection_interval() {
        // One packet waits for half an interval. With a loss of p it waits for p/(1-p) intervals more: 7.5 ms at a fifth.
        let (none, fifth) = (mean_ms(0, 1), mean_ms(20, 1));
        assert!((15..=19).contains(&none) && (22..=27).contains(&fifth), "{none} {fifth}");
        // Sixteen cells take four events, and a fifth of loss costs 16 × p/(1-p) = 4 more, less what the broken events leave free.
        let (none, fifth) = (mean_ms(0, 16), mean_ms(20, 16));
        assert!((105..=120).contains(&none) && (170..=260).contains(&fifth), "{none} {fifth}");
    }

    #[test]
    fn what_is_sent_later_arrives_later() {
        let (rng, radio) = (&mut Rng::new([2; 32]), Radio::losing(50));
        let mut way = Way::default();
        let mut last = Instant(0);
        for round in 0..1_000 {
            let arrival = way.arrival(rng, &radio, Instant(round * 1_000), 488);
            assert!(arrival > last && arrival > Instant(round * 1_000));
            last = arrival;
        }
    }
}
