//! What went over the air, for privacy tests.
//!
//! Laws: a record is written when the packet is sent on the air, in the order of time, whoever hears it; when the
//! capture is full its oldest records go.

use std::collections::VecDeque;
use std::time::Duration;

use super::address::Address;

/// About a day of one phone that advertises once a second.
const RECORDS_MAX: usize = 100_000;

/// One packet on the air.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Since the facade started.
    pub at: Duration,
    /// The sender's address as everybody can see it.
    pub sender: Address,
    /// Which simulated phone that was: the answer, not something an observer sees.
    pub phone: usize,
    pub kind: Kind,
    /// The payload above the link layer; for Connect and Disconnect the other end's address.
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Advert,
    ScanResponse,
    Connect,
    Disconnect,
    /// A value written with response.
    Write,
    /// A value written without response.
    WriteCommand,
    /// The value that answers a read.
    Read,
    /// A notification or an indication.
    Notify,
}

#[derive(Debug, Default)]
pub(crate) struct Capture {
    records: VecDeque<Record>,
}

impl Capture {
    pub(crate) fn push(&mut self, now_us: u64, phone: usize, sender: Address, kind: Kind, bytes: &[u8]) {
        if self.records.len() == RECORDS_MAX {
            self.records.pop_front();
        }
        let at = Duration::from_micros(now_us);
        self.records.push_back(Record { at, sender, phone, kind, bytes: bytes.to_vec() });
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        self.records.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_capture_drops_its_oldest_records() {
        let mut capture = Capture::default();
        for n in 0..=RECORDS_MAX as u64 {
            capture.push(n, 0, Address([0; 6]), Kind::Advert, &[]);
        }
        let records = capture.records();
        assert_eq!(records.len(), RECORDS_MAX);
        assert_eq!(records[0].at, Duration::from_micros(1));
    }
}
