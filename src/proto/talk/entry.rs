//! What is said and done in a room: one signed, gapless line of entries per seat.
//!
//! Laws: an entry's signature covers the chain of all entries before it, so that a seat cannot say two things in one place without
//! being noticed; entries are delivered in order and once; what two members lack of each other is told by numbers alone. Who relays
//! an entry does not matter: the author's signature does.

use crate::proto::config::{ENTRY_BYTES_MAX, LINE_WAITING_BYTES_MAX, LINE_WAITING_MAX};
use crate::proto::error::Fault;
use crate::proto::id::SeatId;
use crate::proto::secret::hash16;
use crate::proto::wire::encode;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// A seat's place in the order of admission; never given twice in a talk.
pub type SeatNumber = u8;

/// An Ed25519 signature in two halves, which serde can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Sig(pub [u8; 32], pub [u8; 32]);

impl From<[u8; 64]> for Sig {
    fn from(bytes: [u8; 64]) -> Sig {
        let mut sig = Sig([0; 32], [0; 32]);
        sig.0.copy_from_slice(&bytes[..32]);
        sig.1.copy_from_slice(&bytes[32..]);
        sig
    }
}

impl Sig {
    /// As 64 bytes.
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(&self.1);
        bytes
    }
}

/// What an entry says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Body {
    /// The first of every seat: the key that re-admits its device after a restart, and whose place it takes if it is such a device.
    Hello {
        /// Ed25519.
        rejoin_key: [u8; 32],
    },
    /// A message to all.
    Say {
        /// At most `config::SAY_CHARS_MAX` characters.
        text: String,
    },
    /// A change of the shared notes.
    Change {
        /// Of which fold of the document.
        generation: u32,
        /// The Automerge change.
        bytes: Vec<u8>,
    },
    /// This seat is at the table, or no longer.
    Place {
        /// At the table.
        at_table: bool,
    },
    /// This seat leaves for good; it asks nobody.
    Leave {
        /// By the seat, over the room and itself, so that it can be shown to anybody.
        signature: Sig,
    },
    /// This seat wants that one removed.
    Remove {
        /// Whom.
        seat: SeatNumber,
        /// By this seat, over the room and both seats, so that it can be shown to anybody.
        signature: Sig,
    },
    /// This seat vouches for a newcomer at the table.
    Vouch {
        /// The newcomer's encoded offer.
        offer: Vec<u8>,
    },
    /// This seat proposes to close.
    Propose,
    /// This seat agrees to close.
    Vote(Vote),
    /// The proposal lapsed, or this seat changed its mind in time.
    Retract {
        /// Which proposal.
        proposal: ProposalId,
    },
    /// The chair asks everybody to fold the notes here.
    FoldAt {
        /// The generation to come.
        generation: u32,
        /// The document's heads at which to fold.
        heads: Vec<[u8; 32]>,
    },
    /// This seat folded and obtained this.
    Folded {
        /// The generation to come.
        generation: u32,
        /// Hash of the folded document's bytes.
        hash: [u8; 16],
    },
    /// The chair says that the fold is agreed: the old generation is over.
    FoldDone {
        /// The generation that begins.
        generation: u32,
        /// Hash of the folded document's bytes.
        hash: [u8; 16],
    },
    /// The chair passes on the goodbye of a seat that could no longer write one here: it was removed, or left in an epoch long gone.
    Goodbye {
        /// Whose.
        seat: SeatNumber,
        /// By that seat, as in [`Body::Leave`].
        signature: Sig,
    },
}

/// A proposal to close: by whom, and its number in that seat's line.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ProposalId(pub SeatNumber, pub u32);

/// The consent of one seat to close. It can be shown to anybody who knows the seat's key.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Vote {
    /// To which proposal.
    pub proposal: ProposalId,
    /// Hash of the seats that must all agree.
    pub set: [u8; 32],
    /// Hash of the token that this seat shows once it has erased.
    pub token_hash: [u8; 32],
    /// By the seat, over talk, proposal, set and token hash.
    pub signature: Sig,
}

/// One entry of a seat's line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// By whom.
    pub seat: SeatNumber,
    /// Its number in the line, from 1.
    pub number: u32,
    /// What it says.
    pub body: Body,
    /// By the seat, over talk, seat, number, chain and body.
    pub signature: Sig,
}

impl Entry {
    /// What is signed.
    pub fn signed_parts(room: &[u8; 16], seat: SeatId, number: u32, chain: &[u8; 16], body: &Body) -> Vec<u8> {
        [&room[..], &seat.0, &number.to_be_bytes(), chain, &encode(body)].concat()
    }

    fn chained(&self, before: &[u8; 16]) -> [u8; 16] {
        hash16("alcove/1 chain", &[before, &encode(&self.body), &self.number.to_be_bytes()])
    }
}

/// The head of one seat's line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Head {
    /// The number of its last entry, 0 for none.
    pub number: u32,
    /// The chain up to it.
    pub chain: [u8; 16],
}

/// A place in a line as members tell each other of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Item {
    /// What stands there.
    Entry(Entry),
    /// What stood there is folded away; the chain goes on from here. The next entry's signature proves it; until then it gives way to
    /// the entry itself.
    Folded {
        /// Whose line.
        seat: SeatNumber,
        /// Which place.
        head: Head,
    },
}

impl Item {
    /// Whose line.
    pub fn seat(&self) -> SeatNumber {
        match self {
            Item::Entry(entry) => entry.seat,
            Item::Folded { seat, .. } => *seat,
        }
    }

    /// Which place.
    pub fn number(&self) -> u32 {
        match self {
            Item::Entry(entry) => entry.number,
            Item::Folded { head, .. } => head.number,
        }
    }

    fn entry(&self) -> Option<&Entry> {
        match self {
            Item::Entry(entry) => Some(entry),
            Item::Folded { .. } => None,
        }
    }
}

/// All lines of a room.
#[derive(Default, Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Log {
    lines: Vec<Line>,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Line {
    seat: SeatId,
    key: [u8; 32],
    base: Head,
    head: Head,
    /// The head as far as a signature vouches for it: behind it are only places that somebody said were folded away.
    proven: Head,
    items: VecDeque<Item>,
    waiting: BTreeMap<u32, Item>,
    /// What [`Line::waiting`] holds.
    waiting_bytes: usize,
}

/// How signatures are checked: `(key, domain, message, signature)`.
pub type Verify = fn(&[u8; 32], &str, &[u8], &[u8; 64]) -> bool;

impl Log {
    /// Opens the line of the next seat, from `base` on.
    pub fn open_line(&mut self, seat: SeatId, key: [u8; 32], base: Head) {
        let (items, waiting) = (VecDeque::new(), BTreeMap::new());
        self.lines.push(Line { seat, key, base, head: base, proven: base, items, waiting, waiting_bytes: 0 });
    }

    /// The head of a line; all zero if there is none.
    pub fn head(&self, seat: SeatNumber) -> Head {
        self.lines.get(usize::from(seat)).map(|line| line.head).unwrap_or_default()
    }

    /// All heads in the order of seats.
    pub fn heads(&self) -> Vec<Head> {
        self.lines.iter().map(|line| line.head).collect()
    }

    /// The same as far as a signature vouches for each line, and only up to its first entry for which `is_open` says yes.
    pub fn heads_until(&self, is_open: impl Fn(&Entry) -> bool) -> Vec<Head> {
        let head = |line: &Line| match line.items.iter().position(|item| item.entry().is_some_and(&is_open)) {
            Some(open) => line.items.iter().take(open).fold(line.base, |head, item| item.after(&head)),
            None => line.proven,
        };
        self.lines.iter().map(head).collect()
    }

    /// Up to where a signature vouches for each line: what somebody lacks who asks for what it lacks.
    pub fn proven(&self) -> Vec<u32> {
        self.lines.iter().map(|line| line.proven.number).collect()
    }

    /// A fingerprint of all heads: equal ones mean that two members know the same.
    pub fn digest(&self) -> [u8; 8] {
        let heads: Vec<_> = self.heads().iter().flat_map(|head| [&head.number.to_be_bytes()[..], &head.chain].concat()).collect();
        let mut digest = [0; 8];
        digest.copy_from_slice(&hash16("alcove/1 heads", &[&heads])[..8]);
        digest
    }

    /// The entries that are still held, in the order of seats.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.lines.iter().flat_map(|line| &line.items).filter_map(Item::entry)
    }

    /// Adds the next item of a line without checking it: our own, or one that was checked before a restart.
    pub fn append(&mut self, item: Item) {
        if let Some(line) = self.lines.get_mut(usize::from(item.seat())) {
            line.push(item);
        }
    }

    /// The number and chain that a seat's next entry follows.
    pub fn next(&self, seat: SeatNumber) -> (u32, [u8; 16]) {
        let head = self.head(seat);
        (head.number + 1, head.chain)
    }

    /// Takes an item from a peer. Gives those that are now in order, to be acted on.
    ///
    /// # Errors
    /// [`Fault::Forged`] if the signature does not fit this seat, number and chain: forged, or the seat said two things in one place;
    /// [`Fault::TooMuch`] for an entry over its bounds or too far ahead; [`Fault::OutOfPlace`] for an unknown seat.
    pub fn receive(&mut self, room: &[u8; 16], item: Item, verify: Verify) -> Result<Vec<Item>, Fault> {
        if item.entry().is_some_and(|entry| encode(&entry.body).len() > ENTRY_BYTES_MAX) {
            return Err(Fault::TooMuch("entry"));
        }
        let line = self.lines.get_mut(usize::from(item.seat())).ok_or(Fault::OutOfPlace("entry"))?;
        let number = item.number();
        if let Item::Entry(entry) = &item
            && number == line.proven.number + 1
            && number <= line.head.number
            && line.holds(room, &line.proven, entry, verify)
        {
            // Somebody said that this place was folded away: here is what stands in it.
            line.drop_unproven();
        }
        if number <= line.head.number || line.waiting.contains_key(&number) {
            return Ok(Vec::new());
        }
        if number - line.head.number > LINE_WAITING_MAX {
            return Err(Fault::TooMuch("entries ahead"));
        }
        line.wait(item);
        let mut ready = Vec::new();
        while let Some(item) = line.take_next() {
            if !item.entry().is_none_or(|entry| line.holds(room, &line.head, entry, verify)) {
                // Keep nothing unproven, before it or behind: it will be asked for again and come from somebody else.
                (line.waiting, line.waiting_bytes) = Default::default();
                line.drop_unproven();
                return if ready.is_empty() { Err(Fault::Forged("entry")) } else { Ok(ready) };
            }
            line.push(item.clone());
            ready.push(item);
        }
        Ok(ready)
    }

    /// What somebody with these numbers lacks and we hold, at most `bytes_max` of it, oldest first.
    pub fn missing(&self, numbers: &[u32], bytes_max: usize) -> Vec<Item> {
        let mut left = bytes_max;
        let lines = self.lines.iter().enumerate();
        lines
            .flat_map(|(seat, line)| {
                let known = numbers.get(seat).copied().unwrap_or(0);
                // Below the base nothing can be shown, and what follows would not fit on.
                let reachable = known >= line.base.number;
                line.items.iter().filter(move |item| reachable && item.number() > known)
            })
            .take_while(|item| {
                let size = encode(item).len();
                let fits = size <= left;
                left = left.saturating_sub(size);
                fits
            })
            .cloned()
            .collect()
    }

    /// Whether somebody with these numbers has something that we lack.
    pub fn lacks(&self, numbers: &[u32]) -> bool {
        numbers.iter().enumerate().any(|(seat, number)| *number > self.head(seat as SeatNumber).number)
    }

    /// Lets go of every entry for which `fold` says yes; its place and the chain stay. Gives what stands there now.
    pub fn fold(&mut self, fold: impl Fn(&Entry) -> bool) -> Vec<Item> {
        let mut folded = Vec::new();
        for line in &mut self.lines {
            let mut before = line.base;
            for item in &mut line.items {
                let after = item.after(&before);
                if let Item::Entry(entry) = item
                    && fold(entry)
                {
                    *item = Item::Folded { seat: entry.seat, head: after };
                    folded.push(item.clone());
                }
                before = after;
            }
        }
        folded
    }

    /// Where each line begins, for a restart.
    pub fn bases(&self) -> Vec<Head> {
        self.lines.iter().map(|line| line.base).collect()
    }

    /// Keeps the first lines for which `keep` says yes, by number and seat; drops the rest, and gives the places of what stood in them.
    pub fn keep_lines(&mut self, keep: impl Fn(SeatNumber, SeatId) -> bool) -> Vec<(SeatNumber, u32)> {
        let kept = self.lines.iter().enumerate().take_while(|(place, line)| keep(*place as SeatNumber, line.seat)).count();
        let dropped = self.lines.drain(kept..);
        dropped.flat_map(|line| line.items).map(|item| (item.seat(), item.number())).collect()
    }
}

impl Item {
    /// What it takes to hold it.
    fn bytes(&self) -> usize {
        match self {
            Item::Entry(entry) => encode(&entry.body).len() + size_of::<Item>(),
            Item::Folded { .. } => size_of::<Item>(),
        }
    }

    /// The head of a line after this item.
    fn after(&self, before: &Head) -> Head {
        match self {
            Item::Entry(entry) => Head { number: entry.number, chain: entry.chained(&before.chain) },
            Item::Folded { head, .. } => *head,
        }
    }
}

impl Line {
    fn push(&mut self, item: Item) {
        self.head = item.after(&self.head);
        if matches!(item, Item::Entry(_)) {
            self.proven = self.head;
        }
        self.items.push_back(item);
    }

    /// Keeps an item until those before it have come. Nobody has proven it yet, so what all of them hold is bounded: those nearest to
    /// the head stay.
    fn wait(&mut self, item: Item) {
        self.waiting_bytes += item.bytes();
        self.waiting.insert(item.number(), item);
        while self.waiting_bytes > LINE_WAITING_BYTES_MAX
            && let Some((_, farthest)) = self.waiting.pop_last()
        {
            self.waiting_bytes -= farthest.bytes();
        }
    }

    /// The item that continues the line, if it waits.
    fn take_next(&mut self) -> Option<Item> {
        let item = self.waiting.remove(&(self.head.number + 1))?;
        self.waiting_bytes -= item.bytes();
        Some(item)
    }

    fn holds(&self, room: &[u8; 16], after: &Head, entry: &Entry, verify: Verify) -> bool {
        let message = Entry::signed_parts(room, self.seat, entry.number, &after.chain, &entry.body);
        verify(&self.key, "entry", &message, &entry.signature.to_bytes())
    }

    /// Takes back places at the end that somebody said were folded away, which no signature has proven.
    fn drop_unproven(&mut self) {
        while self.items.back().is_some_and(|item| item.number() > self.proven.number) {
            self.items.pop_back();
        }
        self.head = self.proven;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signature scheme of one line: enough to test lines, not to protect anything.
    fn verify(key: &[u8; 32], domain: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        signature[..16] == hash16(domain, &[key, message])
    }

    fn log() -> Log {
        let mut log = Log::default();
        (0..2).for_each(|seat| log.open_line(SeatId([seat; 16]), [seat; 32], Head::default()));
        log
    }

    fn say(log: &mut Log, seat: SeatNumber, text: &str) -> Item {
        let (number, chain) = log.next(seat);
        let body = Body::Say { text: text.into() };
        let message = Entry::signed_parts(&[0; 16], SeatId([seat; 16]), number, &chain, &body);
        let mut signature = [0; 64];
        signature[..16].copy_from_slice(&hash16("entry", &[&[seat; 32], &message]));
        let item = Item::Entry(Entry { seat, number, body, signature: signature.into() });
        log.append(item.clone());
        item
    }

    #[test]
    fn entries_are_delivered_in_order_and_once_however_they_come() {
        let (mut author, mut reader) = (log(), log());
        let entries: Vec<_> = (0..5).map(|n| say(&mut author, 0, &n.to_string())).collect();
        let mut delivered = Vec::new();
        for index in [3, 1, 1, 4, 0, 2, 2, 0] {
            delivered.extend(reader.receive(&[0; 16], entries[index].clone(), verify).unwrap());
        }
        assert_eq!(delivered, entries);
        assert_eq!(reader.digest(), author.digest());
    }

    #[test]
    fn a_seat_that_says_two_things_in_one_place_is_noticed() {
        let (mut author, mut twin, mut reader) = (log(), log(), log());
        let (one, other) = (say(&mut author, 0, "yes"), say(&mut twin, 0, "no"));
        let next = say(&mut author, 0, "indeed");
        assert_eq!(reader.receive(&[0; 16], other, verify).unwrap().len(), 1);
        assert_eq!(reader.receive(&[0; 16], one, verify), Ok(vec![]), "the place is taken");
        assert_eq!(reader.receive(&[0; 16], next, verify), Err(Fault::Forged("entry")), "and the other line does not go on here");
    }

    #[test]
    fn a_forged_entry_is_refused_and_the_true_one_still_comes_in() {
        let (mut author, mut reader) = (log(), log());
        let entry = say(&mut author, 0, "true");
        let Item::Entry(said) = entry.clone() else { unreachable!() };
        let forged = Item::Entry(Entry { body: Body::Say { text: "false".into() }, ..said });
        assert_eq!(reader.receive(&[0; 16], forged, verify), Err(Fault::Forged("entry")));
        assert_eq!(reader.receive(&[0; 16], entry.clone(), verify), Ok(vec![entry]));
    }

    fn folded(number: u32, chain: u8) -> Item {
        Item::Folded { seat: 0, head: Head { number, chain: [chain; 16] } }
    }

    #[test]
    fn a_place_that_somebody_says_is_folded_gives_way_to_what_its_seat_says_there() {
        let (mut author, mut reader) = (log(), log());
        let entries: Vec<_> = (0..3).map(|n| say(&mut author, 0, &n.to_string())).collect();
        let mut take = |item: &Item| reader.receive(&[0; 16], item.clone(), verify).unwrap();
        take(&entries[0]);
        assert_eq!(take(&folded(2, 9)).len() + take(&folded(3, 9)).len(), 2);
        assert_eq!(take(&entries[1]), [entries[1].clone()], "the first forged place, and the second with it");
        assert_eq!(take(&entries[2]), [entries[2].clone()]);
        assert_eq!(reader.digest(), author.digest());
    }

    #[test]
    fn who_asks_owns_up_only_to_what_a_signature_vouches_for() {
        let (mut author, mut reader) = (log(), log());
        let entries: Vec<_> = (0..2).map(|n| say(&mut author, 0, &n.to_string())).collect();
        reader.receive(&[0; 16], entries[0].clone(), verify).unwrap();
        reader.receive(&[0; 16], folded(2, 9), verify).unwrap();
        assert_eq!((reader.head(0).number, reader.proven()), (2, vec![1, 0]));
        let until = |log: &Log, number| log.heads_until(|entry| entry.number == number)[0].number;
        assert_eq!((until(&reader, 9), until(&author, 9), until(&author, 2)), (1, 2, 1), "and so does who lets others in");
        assert_eq!(author.missing(&reader.proven(), 10_000), entries[1..]);
        // Control: a true fold is proven by the entry behind it.
        let (mut author, mut reader) = (log(), log());
        say(&mut author, 0, "struck");
        let next = say(&mut author, 0, "stays");
        let item = author.fold(|entry| entry.number == 1).remove(0);
        reader.receive(&[0; 16], item, verify).unwrap();
        reader.receive(&[0; 16], next, verify).unwrap();
        assert_eq!((reader.proven(), reader.digest()), (vec![2, 0], author.digest()));
    }

    #[test]
    fn what_waits_unproven_is_bounded_and_the_nearest_stay() {
        let (mut author, mut reader) = (log(), log());
        let items: Vec<_> = (0..20).map(|_| say(&mut author, 0, &"x".repeat(ENTRY_BYTES_MAX - 10))).collect();
        for item in items[1..].iter().rev() {
            reader.receive(&[0; 16], item.clone(), verify).unwrap();
            let held: usize = reader.lines[0].waiting.values().map(Item::bytes).sum();
            assert!(held <= LINE_WAITING_BYTES_MAX && held == reader.lines[0].waiting_bytes);
        }
        let ready = reader.receive(&[0; 16], items[0].clone(), verify).unwrap();
        assert!(ready.len() >= 3, "those next in line were kept: {}", ready.len());
        for item in author.missing(&[ready.len() as u32], usize::MAX) {
            reader.receive(&[0; 16], item, verify).unwrap();
        }
        assert_eq!(reader.digest(), author.digest(), "and the others are asked for again");
    }

    #[test]
    fn numbers_alone_tell_what_is_missing() {
        let (mut author, mut reader) = (log(), log());
        let items: Vec<_> = (0..10).map(|n| say(&mut author, 1, &n.to_string())).collect();
        for item in &items[..4] {
            reader.receive(&[0; 16], item.clone(), verify).unwrap();
        }
        assert!(reader.lacks(&[0, 10]) && !author.lacks(&[0, 4]));
        assert_eq!(author.missing(&[0, 4], 1 << 20), items[4..]);
    }

    #[test]
    fn what_is_folded_away_leaves_its_place_and_the_rest_is_still_proven() {
        let (mut author, mut reader) = (log(), log());
        let items: Vec<_> = (0..10).map(|n| say(&mut author, 1, &n.to_string())).collect();
        let even = |entry: &Entry| matches!(&entry.body, Body::Say { text } if text.parse::<u32>().unwrap() % 2 == 0);
        assert_eq!(author.fold(even).len(), 5);
        for item in author.missing(&[0, 0], 1 << 20) {
            reader.receive(&[0; 16], item, verify).unwrap();
        }
        assert_eq!((reader.digest(), reader.entries().count()), (author.digest(), 5));

        // A folded place with a false chain: the next entry does not fit on it, and the true items still come in.
        let mut misled = log();
        let lie = Item::Folded { seat: 1, head: Head { number: 1, chain: [9; 16] } };
        assert_eq!(misled.receive(&[0; 16], lie, verify).unwrap().len(), 1);
        assert_eq!(misled.receive(&[0; 16], items[1].clone(), verify), Err(Fault::Forged("entry")));
        for item in &items {
            misled.receive(&[0; 16], item.clone(), verify).unwrap();
        }
        assert_eq!(misled.digest(), author.digest());
    }
}
