//! What attendees have reported, on the organizer's own device.
//!
//! Laws: a report opens only with the organizer's key, which is given anew after each start and is never remembered; each report is
//! kept once, and no longer than a receipt; when the list is full, new ones are left unread where they lie.

use super::Node;
use crate::proto::config::{MARKER_HOURS, REPORTS_MAX};
use crate::proto::cx::{Cx, Via};
use crate::proto::error::{Fault, Refused};
use crate::proto::io::{Event, Scope};
use crate::proto::secret::{Key, hash16};
use crate::proto::talk::door::{self, Door};
use crate::proto::wire::decode;
use crate::proto::wire::parcel::Parcel;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Reports that were opened here, and the key that opens more.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Reports {
    door: Option<Door>,
    opened: BTreeMap<[u8; 16], Report>,
}

/// A report as its writer wrote it: it names nobody but whom the text names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// In which hour it came to this device.
    pub came_hours: u32,
    /// What was reported.
    pub text: String,
}

impl Reports {
    /// The content of a parcel that carries a report, if the organizer's key is here.
    pub(super) fn recognise(&self, parcel: &Parcel) -> Option<Vec<u8>> {
        door::parcel_keys(&self.door.as_ref()?.public()).open(parcel)
    }

    fn take(&mut self, cx: &mut Cx<'_>, message: &[u8]) -> Result<(), Fault> {
        let sealed: Vec<u8> = decode(message, "report")?;
        let id = hash16("alcove/1 report", &[&sealed]);
        if self.opened.contains_key(&id) || self.opened.len() == REPORTS_MAX {
            return Ok(());
        }
        let plain = self.door.as_ref().and_then(|door| door.open(&sealed)).ok_or(Fault::Forged("report"))?;
        let text = String::from_utf8(plain).map_err(|_| Fault::Malformed("report"))?;
        let report = Report { came_hours: cx.wall.hours(), text };
        cx.put(Scope::Durable, &record_name(&id), &report);
        cx.tell(Event::ReportsChanged);
        self.opened.insert(id, report);
        Ok(())
    }

    pub(super) fn restore(&mut self, name: &[u8], value: &[u8]) -> Option<()> {
        let id = name.strip_prefix(b"report/")?.try_into().ok()?;
        self.opened.insert(id, decode(value, "report").ok()?);
        Some(())
    }

    pub(super) fn expire(&mut self, cx: &mut Cx<'_>) {
        if cx.event.ends.hours() + MARKER_HOURS < cx.wall.hours() {
            for id in std::mem::take(&mut self.opened).into_keys() {
                cx.delete(Scope::Durable, &record_name(&id));
            }
        }
    }
}

impl Node {
    /// Opens the reports that reach this device, until it stops. `secret`: `OrganizerKeys::report_secret` of the joined event.
    ///
    /// # Errors
    /// [`Refused::NoEvent`]; [`Refused::NotOrganizer`]: take the key file that signed this event's pack.
    pub fn open_reports(&mut self, secret: Key) -> Result<(), Refused> {
        let wanted = self.event.as_ref().ok_or(Refused::NoEvent)?.report;
        let door = Door::from_secret(secret).filter(|door| door.public() == wanted).ok_or(Refused::NotOrganizer)?;
        self.reports.door = Some(door);
        // They may have been carried here for days.
        let carried: Vec<_> =
            self.mesh.carried_parcels().filter(|parcel| self.reports.recognise(parcel).is_some()).cloned().collect();
        carried.iter().for_each(|parcel| self.read(parcel, None, Via::Link));
        self.upkeep();
        Ok(())
    }

    /// The reports that were opened on this device, oldest first.
    pub fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<_> = self.reports.opened.values().cloned().collect();
        reports.sort_by_key(|report| report.came_hours);
        reports
    }

    pub(super) fn read_report(&mut self, message: &[u8]) -> Result<(), Fault> {
        self.with_cx(|parts, cx| parts.reports.take(cx, message)).unwrap_or(Ok(()))
    }
}

fn record_name(id: &[u8; 16]) -> Vec<u8> {
    [b"report/", &id[..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::OrganizerKeys;
    use crate::model::event::tests::signed_by;
    use crate::proto::io::{Input, Output, Persist, Record, RelayCommand, RelayEvent};
    use crate::proto::rng::Rng;
    use crate::proto::time::{Duration, Instant};

    const LONG: &str = "Somebody at table 7 follows me from talk to talk. ";

    fn joined(seed: u8, keys: &OrganizerKeys) -> Node {
        let pack = signed_by(keys);
        let mut node = Node::new([seed; 32]);
        node.handle_input(Instant(0), Input::Wall(pack.pack().opens_at));
        node.join_event(&pack).unwrap();
        node.handle_input(Instant(0), Input::Relay(RelayEvent::Up));
        node
    }

    /// What an attendee's reports leave at the relay.
    fn blobs_of_reports(keys: &OrganizerKeys, texts: &[&str]) -> Vec<RelayEvent> {
        let mut attendee = joined(1, keys);
        let mut blobs = Vec::new();
        for (turn, text) in texts.iter().enumerate() {
            attendee.report(text).unwrap();
            attendee.handle_input(Instant(0) + Duration::from_secs(1 + turn as u64), Input::Timeout);
        }
        while let Some(output) = attendee.poll_output() {
            if let Output::Relay(RelayCommand::Put { to, blob, .. }) = output {
                blobs.push(RelayEvent::Blob { mailbox: to, cursor: 1 + blobs.len() as u64, blob });
            }
        }
        blobs
    }

    fn texts(node: &Node) -> Vec<String> {
        node.reports().into_iter().map(|report| report.text).collect()
    }

    #[test]
    fn the_organizer_reads_reports_that_came_before_and_after_the_key_and_keeps_them_over_a_restart() {
        let keys = OrganizerKeys::new(&mut Rng::new([9; 32]));
        let long = LONG.repeat(40);
        let mut blobs = blobs_of_reports(&keys, &[&long, "and once more"]).into_iter();
        let mut organizer = joined(2, &keys);
        organizer.handle_input(Instant(1), Input::Relay(blobs.next().unwrap()));
        assert!(organizer.reports().is_empty(), "without the key nobody reads a report");
        organizer.open_reports(keys.report_secret()).unwrap();
        assert_eq!(texts(&organizer), std::slice::from_ref(&long));
        for blob in blobs.clone().chain(blobs) {
            organizer.handle_input(Instant(2), Input::Relay(blob));
        }
        let mut both = vec![long, "and once more".to_owned()];
        both.sort();
        let mut read = texts(&organizer);
        read.sort();
        assert_eq!(read, both, "each once");

        let mut records = Vec::new();
        while let Some(output) = organizer.poll_output() {
            if let Output::Persist(Persist::Put { scope, name, value }) = output {
                records.push(Record { scope, name, value });
            }
        }
        let secret = keys.report_secret().0;
        assert!(records.iter().all(|record| !record.value.windows(32).any(|window| window == secret)), "the key is not remembered");
        let wall = signed_by(&keys).pack().opens_at;
        let again = Node::restore([3; 32], Instant(0), wall, records);
        assert_eq!(again.reports().len(), 2);
    }

    #[test]
    fn another_organizers_key_opens_nothing_and_is_refused() {
        let keys = OrganizerKeys::new(&mut Rng::new([9; 32]));
        let other = OrganizerKeys::new(&mut Rng::new([8; 32]));
        let mut node = joined(2, &keys);
        assert_eq!(node.open_reports(other.report_secret()), Err(Refused::NotOrganizer));
        for blob in blobs_of_reports(&keys, &["help"]) {
            node.handle_input(Instant(1), Input::Relay(blob));
        }
        assert!(node.reports().is_empty());
        assert_eq!(Node::new([1; 32]).open_reports(other.report_secret()), Err(Refused::NoEvent));
    }

    #[test]
    fn a_flood_of_reports_is_bounded() {
        let keys = OrganizerKeys::new(&mut Rng::new([9; 32]));
        let mut node = joined(2, &keys);
        node.open_reports(keys.report_secret()).unwrap();
        let rng = &mut Rng::new([7; 32]);
        for number in 0..REPORTS_MAX + 10 {
            let sealed = door::seal(rng, &keys.report_key(), number.to_string().as_bytes()).unwrap();
            node.read_report(&crate::proto::wire::encode(&sealed)).unwrap();
        }
        assert_eq!(node.reports().len(), REPORTS_MAX);
    }
}
