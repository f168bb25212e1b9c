//! One connection: its two ends, and how fast each may send.
//!
//! Laws: no direction is faster than its rate, and each is first in, first out, but for what a slower bearer holds back; a full queue
//! takes nothing but the answers that the other end waits for.

use super::address::Address;
use crate::air::PhoneId;

/// Four packets of 244 bytes in each 30-ms connection event.
pub(crate) const BYTES_PER_SECOND: u32 = 32_533;
/// The mean wait for the next connection event of a 30-ms interval.
pub(crate) const LATENCY_US: u64 = 15_000;
/// What the controller takes ahead of the air: the packets of one connection event.
pub(crate) const CONTROLLER_BUFFER_US: u64 = 30_000;
/// Packets that wait in one direction. A client that does not await its replies fills it; more is refused.
pub(crate) const QUEUE_MAX: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Link {
    /// The central, which opened it, and the peripheral.
    pub(crate) ends: [End; 2],
    pub(crate) mtu: u16,
    /// A disconnect was asked for: what is on its way still arrives, nothing new is taken.
    pub(crate) closing: bool,
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) phone: PhoneId,
    /// What this end is called on the air for as long as the link lives.
    pub(crate) address: Address,
    busy_until_us: u64,
    /// When the last of what is queued arrives.
    drained_us: u64,
    pub(crate) queued: usize,
}

/// When one packet leaves and arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The controller has taken it: the sender may go on.
    pub(crate) taken_us: u64,
    pub(crate) arrives_us: u64,
}

impl Link {
    pub(crate) fn new(central: (PhoneId, Address), peripheral: (PhoneId, Address), mtu: u16) -> Self {
        let end = |(phone, address)| End { phone, address, busy_until_us: 0, drained_us: LATENCY_US, queued: 0 };
        Self { ends: [end(central), end(peripheral)], mtu, closing: false }
    }

    pub(crate) fn end_of(&self, phone: PhoneId) -> usize {
        usize::from(self.ends[0].phone != phone)
    }

    /// The phone at the other end.
    pub(crate) fn peer_of(&self, phone: PhoneId) -> &End {
        &self.ends[1 - self.end_of(phone)]
    }

    /// Longest value of a notification or of a write without response (Core Vol 3 Part F 3.4.5.3, 3.4.7.1).
    pub(crate) fn value_max(&self) -> usize {
        usize::from(self.mtu).saturating_sub(3)
    }

    /// When all that is queued has arrived.
    pub(crate) fn drained_us(&self) -> u64 {
        self.ends.iter().map(|end| end.drained_us).max().unwrap_or_default()
    }
}

impl End {
    pub(crate) fn is_full(&self) -> bool {
        self.queued >= QUEUE_MAX
    }

    /// Queues a packet of so many bytes, which so many of its size overtake.
    pub(crate) fn send(&mut self, now_us: u64, bytes: usize, bytes_per_second: u32, overtaken: u64) -> Slot {
        self.queued += 1;
        let airtime_us = bytes as u64 * 1_000_000 / u64::from(bytes_per_second.max(1));
        self.busy_until_us = self.busy_until_us.max(now_us) + airtime_us;
        let taken_us = self.busy_until_us.saturating_sub(CONTROLLER_BUFFER_US).max(now_us);
        let arrives_us = self.busy_until_us + LATENCY_US + overtaken * airtime_us;
        self.drained_us = self.drained_us.max(arrives_us);
        Slot { taken_us, arrives_us }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link::new((0, Address([1; 6])), (1, Address([2; 6])), 517)
    }

    #[test]
    fn a_direction_is_never_faster_than_its_rate() {
        let mut link = link();
        let slots: Vec<Slot> = (0..100).map(|_| link.ends[0].send(0, 244, BYTES_PER_SECOND, 0)).collect();
        assert!(slots.windows(2).all(|pair| pair[0].arrives_us < pair[1].arrives_us));
        let seconds = (slots[99].arrives_us - LATENCY_US) as f64 / 1e6;
        assert!((seconds - 24_400.0 / f64::from(BYTES_PER_SECOND)).abs() < 0.01, "{seconds}");
        assert_eq!(slots[99].taken_us, slots[99].arrives_us - LATENCY_US - CONTROLLER_BUFFER_US);
        assert_eq!(link.ends[1].send(0, 0, BYTES_PER_SECOND, 0).arrives_us, LATENCY_US);
    }

    #[test]
    fn a_full_queue_says_so() {
        let mut link = link();
        for _ in 0..QUEUE_MAX {
            assert!(!link.ends[0].is_full());
            link.ends[0].send(0, 1, BYTES_PER_SECOND, 0);
        }
        assert!(link.ends[0].is_full());
    }
}
