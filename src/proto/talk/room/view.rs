//! What an open room tells of itself.

use super::Room;
use crate::proto::board::Terms;
use crate::proto::cx::EventKeys;
use crate::proto::id::{CardId, SeatId};
use crate::proto::secret::Key;
use crate::proto::talk::attendance::Contact;
use crate::proto::talk::close::Afterlife;
use crate::proto::talk::entry::{Body, Entry, SeatNumber};
use crate::proto::talk::persona;
use crate::proto::talk::roster::Roster;
use crate::proto::time::Instant;

impl Room {
    /// What the card promised.
    pub fn terms(&self) -> &Terms {
        &self.meta.terms
    }

    /// Whose card it grew from.
    pub fn card(&self) -> CardId {
        self.meta.card
    }

    /// Everybody who was ever admitted.
    pub fn roster(&self) -> &Roster {
        &self.meta.roster
    }

    /// Our seat.
    pub fn seat(&self) -> SeatId {
        self.keys.id()
    }

    /// Our number.
    pub fn number(&self) -> SeatNumber {
        self.meta.me
    }

    /// The chair's number.
    pub fn chair(&self) -> SeatNumber {
        self.meta.chair
    }

    /// How a seat is called.
    pub fn persona(&self, seat: SeatId) -> String {
        let number = self.meta.roster.number(seat).map(usize::from);
        number.and_then(|number| self.meta.roster.personas().get(number).cloned()).unwrap_or_default()
    }

    /// All entries that are held.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.log.entries()
    }

    /// What was said: seat and text, seat by seat.
    pub fn said(&self) -> impl Iterator<Item = (SeatNumber, &str)> {
        self.log.entries().filter_map(|entry| match &entry.body {
            Body::Say { text } => Some((entry.seat, text.as_str())),
            _ => None,
        })
    }

    /// Whether somebody has proposed to close.
    pub fn is_closing(&self) -> bool {
        self.meta.closing.proposal.is_some()
    }

    /// Whether a seat has agreed to close.
    pub fn has_agreed(&self, seat: SeatNumber) -> bool {
        self.meta.closing.votes.contains_key(&seat)
    }

    /// How many have agreed to close, of how many that must.
    pub fn agreement(&self) -> (usize, usize) {
        let must: Vec<_> = self.meta.roster.closers().map(|(number, _)| number).collect();
        (must.iter().filter(|number| self.has_agreed(**number)).count(), must.len())
    }

    /// Whether fewer people are left than the card promised.
    pub fn is_read_only(&self) -> bool {
        self.meta.read_only
    }

    /// Whether what is shown was checked since the last absence.
    pub fn contact(&self) -> Contact {
        self.attendance.contact()
    }

    /// When a seat was last heard.
    pub fn heard(&self, seat: SeatNumber) -> Option<Instant> {
        self.attendance.heard(seat)
    }

    /// The MLS epoch.
    pub fn epoch(&self) -> u64 {
        self.group.epoch()
    }

    /// How often the room was founded.
    pub fn term(&self) -> u32 {
        self.meta.term
    }

    /// Two names that everybody in this epoch sees alike, and nobody outside can compute.
    pub fn fingerprint(&self) -> String {
        let key = self.group.export("alcove/1 fingerprint", &[]).map(|key| key.mac(&[b"words"])).unwrap_or_default();
        let word = |half: &[u8]| {
            let mut id = [0; 16];
            id.copy_from_slice(half);
            persona::alone(SeatId(id))
        };
        format!("{} · {}", word(&key[..16]), word(&key[16..]))
    }

    /// A fingerprint of everything that was written: equal on two devices that know the same.
    pub fn heads(&self) -> [u8; 8] {
        self.log.digest()
    }

    /// What outlives the content.
    pub fn afterlife(&self) -> Afterlife {
        Afterlife::new(&self.meta.founding)
    }

    /// Proof at the table that we sit here, for this handshake and this side of it.
    pub fn table_proof(&self, handshake: &[u8; 32], shows: bool) -> [u8; 32] {
        self.meta.founding.derive("alcove/1 table", &[]).mac(&[handshake, &[u8::from(shows)]])
    }

    /// Seals what only members of this talk may read, whatever its epoch.
    pub fn members_key(&self) -> Key {
        self.meta.founding.derive("alcove/1 members", &[])
    }

    /// The bucket at the relay in which the room's parcels lie.
    pub fn bucket(&self, event: &EventKeys) -> u16 {
        event.bucket_of(&self.meta.founding)
    }
}
