//! What the relay counts, and the page in Prometheus' text format that shows it.
//!
//! Law: counts and nothing else. No mailbox, address or time of a single request can be read from it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The relay's counters. All only grow, except `connections`.
#[derive(Default, Debug)]
pub struct Meter {
    /// Connections that stand now.
    pub connections: AtomicU64,
    /// Blobs accepted.
    pub puts: AtomicU64,
    /// Blobs handed to a reader.
    pub reads: AtomicU64,
    /// Blobs withdrawn by their writer.
    pub deletes: AtomicU64,
    /// Blobs whose time was over.
    pub expiries: AtomicU64,
    /// Puts refused because the mailbox holds its share.
    pub mailbox_full: AtomicU64,
    /// Puts refused because the relay holds its share.
    pub relay_full: AtomicU64,
    /// Requests refused because they came too fast.
    pub slow_down: AtomicU64,
    /// Messages that do not fit the protocol.
    pub malformed: AtomicU64,
    /// Requests with a key that does not fit.
    pub wrong_key: AtomicU64,
    /// Subscriptions beyond a connection's share.
    pub subscriptions: AtomicU64,
    /// Connections beyond the relay's share.
    pub turned_away: AtomicU64,
}

impl Meter {
    /// Counts one more.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// Counts a refused put.
    pub fn count_refusal(&self, why: crate::proto::io::RelayRefusal) {
        use crate::proto::io::RelayRefusal;
        Self::count(match why {
            RelayRefusal::MailboxFull => &self.mailbox_full,
            RelayRefusal::RelayFull => &self.relay_full,
            RelayRefusal::SlowDown => &self.slow_down,
            RelayRefusal::Malformed => &self.malformed,
        });
    }

    /// The page at `/metrics`.
    pub fn page(&self, blobs: u64, bytes: u64) -> String {
        let mut page = String::new();
        let mut show = |kind: &str, name: &str, help: &str, values: &[(&str, u64)]| {
            let _ = writeln!(page, "# HELP alcove_relay_{name} {help}\n# TYPE alcove_relay_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(page, "alcove_relay_{name}{labels} {value}");
            }
        };
        let read = |counter: &AtomicU64| counter.load(Relaxed);
        show("gauge", "connections", "Connections that stand now.", &[("", read(&self.connections))]);
        show("gauge", "blobs", "Blobs held.", &[("", blobs)]);
        show("gauge", "bytes", "Bytes of blobs held.", &[("", bytes)]);
        show("counter", "puts_total", "Blobs accepted.", &[("", read(&self.puts))]);
        show("counter", "reads_total", "Blobs handed to a reader.", &[("", read(&self.reads))]);
        show("counter", "deletes_total", "Blobs withdrawn by their writer.", &[("", read(&self.deletes))]);
        show("counter", "expiries_total", "Blobs whose time was over.", &[("", read(&self.expiries))]);
        let refusals = [
            ("{reason=\"mailbox_full\"}", read(&self.mailbox_full)),
            ("{reason=\"relay_full\"}", read(&self.relay_full)),
            ("{reason=\"slow_down\"}", read(&self.slow_down)),
            ("{reason=\"malformed\"}", read(&self.malformed)),
            ("{reason=\"wrong_key\"}", read(&self.wrong_key)),
            ("{reason=\"subscriptions\"}", read(&self.subscriptions)),
            ("{reason=\"connections\"}", read(&self.turned_away)),
        ];
        show("counter", "refusals_total", "Requests refused, by reason.", &refusals);
        page
    }
}
