//! A phone's storage as the vault promises it: records by scope, and talks whose key is gone for good.

use alcove::proto::id::TalkId;
use alcove::proto::io::{Persist, Record, Scope};
use std::collections::{BTreeMap, BTreeSet};

/// Durable records of one phone.
#[derive(Clone, Default)]
pub struct Disk {
    records: BTreeMap<(Scope, Vec<u8>), Vec<u8>>,
    forgotten: BTreeSet<TalkId>,
    /// How many changes were made durable: where a crash can cut.
    pub writes: u64,
}

impl Disk {
    /// Makes one change durable.
    pub fn persist(&mut self, change: Persist) {
        self.writes += 1;
        match change {
            Persist::Put { scope, name, value } => drop(self.records.insert((scope, name), value)),
            Persist::Delete { scope, name } => drop(self.records.remove(&(scope, name))),
            Persist::Forget { talk } => {
                self.records.retain(|(scope, _), _| *scope != Scope::Talk(talk));
                self.forgotten.insert(talk);
            }
        }
    }

    /// What a restarted node gets.
    pub fn records(&self) -> Vec<Record> {
        let record = |((scope, name), value): (&(Scope, Vec<u8>), &Vec<u8>)| Record {
            scope: *scope,
            name: name.clone(),
            value: value.clone(),
        };
        self.records.iter().map(record).collect()
    }

    /// The forgetting keystore is emptied, as by a reboot: every talk's records are lost, the durable ones stay.
    pub fn reboot(&mut self) {
        self.records.retain(|(scope, _), _| *scope == Scope::Durable);
    }

    /// Whether any record of any talk is left.
    pub fn holds_talks(&self) -> bool {
        self.records.keys().any(|(scope, _)| matches!(scope, Scope::Talk(_)))
    }

    /// Whether these bytes stand in any record.
    pub fn contains(&self, needle: &[u8]) -> bool {
        self.records.values().any(|value| value.windows(needle.len()).any(|window| window == needle))
    }

    /// Records whose name starts so.
    pub fn count(&self, prefix: &[u8]) -> usize {
        self.records.keys().filter(|(_, name)| name.starts_with(prefix)).count()
    }
}
