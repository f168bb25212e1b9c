//! A random schedule of one talk: people take seats, write, strike, leave, return and close; phones die, lose their keys, go back to an
//! older disk, or run twice. Whatever the order, all replicas agree before the close, and after it nothing of the talk is left.

use crate::checker::agreed;
use crate::disk::Image;
use crate::network::{Faults, Network, START};
use crate::scenario::{S, post, terms, view};
use alcove::proto::board::Terms;
use alcove::proto::id::{CardId, TalkId};
use alcove::proto::node::view::State;
use alcove::proto::notes::Edit;
use alcove::proto::rng::Rng;
use alcove::proto::talk::close::Ending;
use alcove::proto::talk::roster::Standing;
use alcove::proto::time::{Duration, Instant};
use std::collections::BTreeSet;

/// In every text that is written, so that the disks can be searched for it.
const PLANTED: &str = "planted-";

/// One thing that happens. Phones are numbered; the last is a spare, for copies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Somebody who has none takes a seat.
    TakeSeat(usize),
    /// Says something to all.
    Say(usize),
    /// Writes in the notes.
    Write(usize),
    /// Deletes the first half of the notes.
    Delete(usize),
    /// The chair has what was deleted struck for good.
    Strike(usize),
    /// Proposes to close, or agrees.
    Close(usize),
    /// Leaves.
    Leave(usize),
    /// Wants another removed.
    Remove(usize, usize),
    /// Dies.
    Crash(usize),
    /// Dies after so many more writes.
    CrashAfterWrites(usize, u64),
    /// Starts again.
    Start(usize),
    /// Dies and loses what its keystore held.
    Reboot(usize),
    /// Out of reach of everybody.
    Away(usize),
    /// Back in reach.
    Back(usize),
    /// A copy of the disk is put aside.
    Copy(usize),
    /// The phone dies, the copy takes the place of its disk, and it starts.
    PutBack(usize),
    /// The spare phone runs a copy of this profile, on a machine of its own.
    CloneElsewhere(usize),
    /// The spare phone runs a copy of this profile, on the same machine: the keystore is the same.
    CloneBeside(usize),
    /// So many milliseconds pass.
    Pass(u64),
}

/// What a play is to be: the people, and what they do.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Names it.
    pub seed: u64,
    /// How many people, the host included.
    pub people: usize,
    /// So many make a room.
    pub seats_min: u8,
    /// Everything happens once the room is open, and not while it opens.
    pub opens_first: bool,
    /// Links break and the relay repeats itself.
    pub is_rough: bool,
    /// In order.
    pub steps: Vec<Step>,
}

/// A control: what is broken on purpose.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sabotage {
    /// Nothing.
    None,
    /// Disks keep what they are told to forget.
    DisksForgetNothing,
    /// The keystore keeps every key that it ever had: an old disk opens what was closed.
    KeysAreKept,
    /// One phone writes behind the others' backs once all agree.
    SecretWriter,
}

/// How a play went.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// Whether all agreed before. Only a seat that goes back to an older state with its keys, or runs twice with them, may keep them
    /// from it: it says two things in one place, and half of the others have heard the one, half the other.
    pub has_agreed: bool,
}

/// How a talk ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum End {
    /// All that were left agreed.
    Closed,
    /// Somebody's consent could not be had any more (its keys were lost and nobody could let it back in): its time ran out.
    Expired,
    /// It was never founded, or everybody had left.
    NeverOpen,
}

impl Schedule {
    /// The schedule of a seed.
    pub fn of(seed: u64) -> Schedule {
        let mut bytes = [11; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = &mut Rng::new(bytes);
        let people = [2, 2, 3, 3, 3, 3, 4, 4][rng.below(8) as usize];
        let seats_min = 2 + rng.below(people as u64 - 1) as u8;
        let length = 4 + rng.below(9);
        let (opens_first, is_rough) = (rng.below(2) == 0, rng.below(4) == 0);
        let steps = (0..length).flat_map(|_| [step(rng, people), Step::Pass(pause(rng))]).collect();
        Schedule { seed, people, seats_min, opens_first, is_rough, steps }
    }
}

fn pause(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0..4 => rng.below(400),
        4..7 => 400 + rng.below(4_000),
        _ => 4_400 + rng.below(30_000),
    }
}

fn step(rng: &mut Rng, people: usize) -> Step {
    let (phone, other) = (rng.below(people as u64) as usize, rng.below(people as u64) as usize);
    match rng.below(32) {
        0..2 => Step::TakeSeat(phone),
        2..6 => Step::Say(phone),
        6..10 => Step::Write(phone),
        10 => Step::Delete(phone),
        11 => Step::Strike(phone),
        12..15 => Step::Close(phone),
        15..17 => Step::Leave(phone),
        17 => Step::Remove(phone, other),
        18 => Step::Crash(phone),
        19 => Step::CrashAfterWrites(phone, 1 + rng.below(6)),
        20..22 => Step::Start(phone),
        22 => Step::Reboot(phone),
        23..25 => Step::Away(phone),
        25 => Step::Back(phone),
        26..28 => Step::Copy(phone),
        28..30 => Step::PutBack(phone),
        30 => Step::CloneElsewhere(phone),
        _ => Step::CloneBeside(phone),
    }
}

struct Play {
    network: Network,
    people: usize,
    card: CardId,
    images: Vec<Vec<Image>>,
    away: BTreeSet<usize>,
    /// Phones on which the talk was closed: it may never open there again.
    closed: BTreeSet<usize>,
    /// Somebody's keys may be gone for good.
    has_lost_keys: bool,
    /// A seat has gone back to an older state with its keys, or runs twice with them: it may say two things in one place.
    may_contradict: bool,
    /// The spare phone runs a copy; until then it lies in a drawer.
    has_clone: bool,
    next: u64,
}

/// Plays a schedule to its end and holds the laws.
///
/// # Errors
/// The first law that does not hold.
pub fn play(schedule: &Schedule, sabotage: Sabotage) -> Result<Outcome, String> {
    let mut play = Play::open(schedule, sabotage);
    for step in &schedule.steps {
        play.take(*step);
        play.watch()?;
    }
    play.make_peace();
    let has_agreed = play.agree(sabotage)?;
    let end = play.close()?;
    play.leave_nothing()?;
    play.put_everything_back()?;
    Ok(Outcome { end, has_agreed })
}

impl Play {
    fn open(schedule: &Schedule, sabotage: Sabotage) -> Play {
        let people = schedule.people;
        let mut network = Network::new(schedule.seed, people + 1);
        network.is_traced = false;
        if schedule.is_rough {
            network.faults = Faults { break_one_in: 60, duplicate_one_in: 5, overtake_one_in: 10, ..Faults::default() };
        }
        for phone in 0..=people {
            network.phones[phone].disk.forgets_nothing = sabotage == Sabotage::DisksForgetNothing;
            network.phones[phone].disk.keeps_keys = sabotage == Sabotage::KeysAreKept;
        }
        for phone in 0..people {
            // Everybody has links, and some have the relay too.
            network.set_online(phone, phone % 2 == schedule.seed as usize % 2);
            (0..phone).for_each(|other| network.connect(other, phone));
        }
        // It ends in an hour by itself: so long at most lives a talk whose people cannot agree any more.
        let terms = Terms { expires_hours: START.hours() + 1, ..terms(schedule.seats_min, 6) };
        let (_, card) = post(&mut network, 0, terms);
        let came = network.run_until(S(30), |n| (0..people).all(|phone| !n.node(phone).board().is_empty()));
        assert!(came, "the card reaches everybody");
        let images = vec![Vec::new(); people + 1];
        let (away, closed) = (BTreeSet::new(), BTreeSet::new());
        let mut play = Play {
            network,
            people,
            card,
            images,
            away,
            closed,
            has_lost_keys: false,
            may_contradict: false,
            has_clone: false,
            next: 0,
        };
        (1..usize::from(schedule.seats_min)).for_each(|guest| play.take(Step::TakeSeat(guest)));
        if schedule.opens_first {
            let all = usize::from(schedule.seats_min);
            play.network.run_until(S(60), |n| (0..all).all(|phone| open_talk(n, phone).is_some()));
        }
        play
    }

    fn take(&mut self, step: Step) {
        let (mark, people) = (self.fresh(), self.people);
        let network = &mut self.network;
        match step {
            Step::TakeSeat(phone) if runs(network, phone) && network.node(phone).talks().is_empty() => {
                let card = self.card;
                let _refused = network.with(phone, |node| node.take_seat(card));
            }
            Step::Say(phone) => in_room(network, phone, |node, talk| {
                let _refused = node.say(talk, &format!("{PLANTED}{mark}"));
            }),
            Step::Write(phone) => in_room(network, phone, |node, talk| {
                let edit = Edit::Splice { at: 0, delete: 0, insert: format!("{PLANTED}{mark}. ") };
                let _refused = node.edit(talk, &[edit]).and_then(|()| if mark % 2 == 0 { node.flush(talk) } else { Ok(()) });
            }),
            Step::Delete(phone) => in_room(network, phone, |node, talk| {
                let length = node.notes(talk).map_or(0, |notes| notes.notes.text.chars().count());
                let edit = Edit::Splice { at: 0, delete: length / 2, insert: String::new() };
                let _refused = node.edit(talk, &[edit]).and_then(|()| node.flush(talk));
            }),
            Step::Strike(phone) => in_room(network, phone, |node, talk| {
                let _refused = node.strike_for_good(talk);
            }),
            Step::Close(phone) => in_room(network, phone, |node, talk| {
                let _refused = node.close(talk);
            }),
            Step::Leave(phone) => in_room(network, phone, |node, talk| {
                let _refused = node.leave(talk);
            }),
            Step::Remove(phone, other) => {
                let id = open_talk(network, other).and_then(|talk| own_seat(network, other, talk));
                in_room(network, phone, |node, talk| {
                    let seats = node.talk(talk).and_then(|view| view.room).map(|room| room.seats).unwrap_or_default();
                    let seat = seats.iter().find(|seat| Some(seat.id) == id).map(|seat| seat.number);
                    let _refused = seat.map(|seat| node.remove(talk, seat));
                });
            }
            Step::Crash(phone) => network.crash(phone, None),
            Step::CrashAfterWrites(phone, writes) if runs(network, phone) => network.crash(phone, Some(writes)),
            Step::Start(phone) if !runs(network, phone) => network.restart(phone),
            Step::Reboot(phone) => {
                network.crash(phone, None);
                network.phones[phone].disk.reboot();
                network.restart(phone);
                self.has_lost_keys = true;
            }
            Step::Away(phone) => {
                (0..=people).filter(|other| *other != phone).for_each(|other| network.separate(phone, other));
                network.set_online(phone, false);
                self.away.insert(phone);
            }
            Step::Back(phone) => {
                self.away.remove(&phone);
                self.meet(phone);
            }
            Step::Copy(phone) => self.images[phone].push(network.phones[phone].disk.image()),
            Step::PutBack(phone) => self.put_back(phone),
            Step::CloneElsewhere(phone) => self.clone(phone, false),
            Step::CloneBeside(phone) => self.clone(phone, true),
            Step::Pass(ms) => network.run(Duration::from_millis(ms)),
            Step::TakeSeat(_) | Step::CrashAfterWrites(..) | Step::Start(_) => {}
        }
    }

    fn put_back(&mut self, phone: usize) {
        let Some(image) = self.images[phone].last().cloned() else { return };
        self.network.crash(phone, None);
        if self.closed.iter().all(|closed| *closed == phone) {
            // It was the last to agree, and the first to know: the old disk knows of no end, nobody else does, and so there was none.
            self.closed.remove(&phone);
        }
        self.may_contradict |= self.network.phones[phone].disk.put_back(&image);
        self.network.restart(phone);
        self.has_lost_keys = true;
    }

    fn clone(&mut self, phone: usize, same_machine: bool) {
        let spare = self.people;
        self.has_clone = true;
        self.network.crash(spare, None);
        let mut disk = std::mem::take(&mut self.network.phones[spare].disk);
        self.may_contradict |= disk.copy_of(&self.network.phones[phone].disk, same_machine);
        let original = &self.network.phones[phone].disk;
        (disk.forgets_nothing, disk.keeps_keys) = (original.forgets_nothing, original.keeps_keys);
        self.network.phones[spare].disk = disk;
        self.network.restart(spare);
        self.closed.remove(&spare);
        self.away.remove(&spare);
        self.meet(spare);
        self.has_lost_keys = true;
    }

    fn meet(&mut self, phone: usize) {
        for other in (0..self.people + usize::from(self.has_clone)).filter(|other| *other != phone) {
            if !self.away.contains(&other) {
                self.network.connect(phone, other);
            }
        }
        self.network.set_online(phone, phone.is_multiple_of(2));
    }

    /// Whoever has seen the end never sees the talk again.
    fn watch(&mut self) -> Result<(), String> {
        for phone in 0..=self.people {
            if !runs(&self.network, phone) {
                continue;
            }
            if self.network.node(phone).receipts().iter().any(|receipt| receipt.ending == Ending::Closed) {
                self.closed.insert(phone);
            }
            if self.closed.contains(&phone) && open_talk(&self.network, phone).is_some() {
                return Err(format!("phone {phone} shows a talk again that was closed"));
            }
        }
        Ok(())
    }

    fn make_peace(&mut self) {
        self.network.faults = Faults::default();
        self.away.clear();
        self.start_all();
        for phone in 0..self.people + usize::from(self.has_clone) {
            self.network.spare(phone);
            self.meet(phone);
        }
    }

    /// Time passes in peace. A phone whose copy has destroyed its key under its feet ends, and is started again.
    fn pass(&mut self, span: Duration) -> Result<(), String> {
        self.network.run(span);
        self.start_all();
        self.watch()
    }

    fn start_all(&mut self) {
        for phone in 0..=self.people {
            if !runs(&self.network, phone) {
                self.network.restart(phone);
            }
        }
    }

    /// All that have the room open come to see the same.
    fn agree(&mut self, sabotage: Sabotage) -> Result<bool, String> {
        let mut last = Ok(());
        let patience = if self.may_contradict { 24 } else { 360 };
        for _ in 0..patience {
            self.pass(S(5))?;
            let rooms = self.open_rooms();
            last = agreed(&self.network, &rooms).and_then(|()| self.is_complete(&rooms));
            if last.is_ok() {
                if let (Sabotage::SecretWriter, Some((phone, talk))) = (sabotage, rooms.first().copied()) {
                    (0..=self.people).filter(|other| *other != phone).for_each(|other| self.network.separate(phone, other));
                    self.network.set_online(phone, false);
                    let _refused = self.network.with(phone, |node| node.say(talk, "behind their backs"));
                    agreed(&self.network, &self.open_rooms())?;
                }
                return Ok(true);
            }
        }
        match last {
            Err(why) if !self.may_contradict => Err(format!("does not converge: {why}")),
            _ => Ok(false),
        }
    }

    /// Whether everybody who sits in the room has it open.
    fn is_complete(&self, rooms: &[(usize, TalkId)]) -> Result<(), String> {
        let Some((phone, talk)) = rooms.first().copied() else { return Ok(()) };
        let seats = view(&self.network, phone, talk).and_then(|view| view.room).map(|room| room.seats).unwrap_or_default();
        let present: BTreeSet<_> = rooms.iter().filter_map(|(phone, talk)| own_seat(&self.network, *phone, *talk)).collect();
        let absent = seats.iter().find(|seat| seat.standing == Standing::Sits && !present.contains(&seat.id));
        match absent {
            Some(seat) if !self.has_lost_keys => Err(format!("seat {} sits, and no phone has it", seat.number)),
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> Result<End, String> {
        // Who lost its keys and finds nobody to let it back in cannot agree: then only time ends the talk.
        let patience = if self.has_lost_keys { 30 } else { 260 };
        for _ in 0..patience {
            if self.open_rooms().is_empty() {
                break;
            }
            for (phone, talk) in self.open_rooms() {
                let _voted = self.network.with(phone, |node| node.close(talk));
            }
            self.pass(S(5))?;
        }
        if !self.open_rooms().is_empty() && self.has_lost_keys {
            self.run_out()?;
        }
        if !self.open_rooms().is_empty() {
            return Err(format!("does not end: {:?}", self.state()));
        }
        let ended = |ending: Ending| {
            (0..=self.people).any(|phone| self.network.node(phone).receipts().iter().any(|receipt| receipt.ending == ending))
        };
        Ok(match (ended(Ending::Closed), ended(Ending::Expired)) {
            (true, _) => End::Closed,
            (false, true) => End::Expired,
            (false, false) => End::NeverOpen,
        })
    }

    /// The hour runs out. Until shortly before its end all are apart, which costs little to play; then they see it end together.
    fn run_out(&mut self) -> Result<(), String> {
        for phone in 0..=self.people {
            (0..phone).for_each(|other| self.network.separate(phone, other));
            self.network.set_online(phone, false);
        }
        let gone = self.network.now().since(Instant(0));
        self.pass(S(3_560).saturating_sub(gone))?;
        self.make_peace();
        self.pass(S(140))
    }

    fn leave_nothing(&mut self) -> Result<(), String> {
        // Whoever asked for a seat and got none gives up, and so does a host without guests.
        let left = |network: &Network, phone: usize| network.node(phone).talks().into_iter().map(|view| (view.talk, view.state));
        for phone in 0..=self.people {
            for (talk, state) in left(&self.network, phone).collect::<Vec<_>>() {
                if matches!(state, State::Waiting | State::Gathering | State::Drafted) {
                    let _refused = self.network.with(phone, |node| node.withdraw(talk));
                }
            }
        }
        for _ in 0..24 {
            if (0..=self.people).all(|phone| !self.network.phones[phone].disk.holds_talks()) {
                return self.search();
            }
            self.pass(S(5))?;
        }
        match self.has_lost_keys {
            true => self.search(),
            false => Err(format!("something is left: {:?}", self.state())),
        }
    }

    /// Every copy that was ever made is put back, one after the other.
    fn put_everything_back(&mut self) -> Result<(), String> {
        for phone in 0..self.people {
            for image in std::mem::take(&mut self.images[phone]) {
                self.images[phone] = vec![image];
                self.put_back(phone);
                self.watch()?;
                self.pass(S(20))?;
                self.search()?;
            }
        }
        Ok(())
    }

    fn search(&self) -> Result<(), String> {
        match (0..=self.people).find(|phone| self.network.phones[*phone].disk.contains(PLANTED.as_bytes())) {
            Some(phone) => Err(format!("after the end the disk of phone {phone} holds a text")),
            None => Ok(()),
        }
    }

    fn open_rooms(&self) -> Vec<(usize, TalkId)> {
        (0..=self.people).filter_map(|phone| Some((phone, open_talk(&self.network, phone)?))).collect()
    }

    fn state(&self) -> Vec<String> {
        let room = |view: alcove::proto::node::view::TalkView| {
            let room = view.room.map(|r| {
                let seats: Vec<_> = r.seats.iter().map(|s| format!("{}{:?}", s.number, s.standing)).collect();
                (r.agreed, r.term, r.epoch, seats)
            });
            format!("{:?} {room:?}", view.state)
        };
        let phone = |phone: usize| match &self.network.phones[phone].node {
            Some(node) => format!(
                "{phone}: {:?} {:?}",
                node.talks().into_iter().map(room).collect::<Vec<_>>(),
                node.receipts().iter().map(|receipt| receipt.ending).collect::<Vec<_>>()
            ),
            None => format!("{phone}: off"),
        };
        (0..=self.people).map(phone).collect()
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn runs(network: &Network, phone: usize) -> bool {
    network.phones[phone].node.is_some()
}

/// The open room that a phone shows.
fn open_talk(network: &Network, phone: usize) -> Option<TalkId> {
    let node = network.phones[phone].node.as_ref()?;
    let mut talks = node.talks().into_iter();
    talks.find(|view| matches!(view.state, State::Open | State::Closing)).map(|view| view.talk)
}

fn own_seat(network: &Network, phone: usize, talk: TalkId) -> Option<alcove::proto::id::SeatId> {
    let room = view(network, phone, talk)?.room?;
    room.seats.iter().find(|seat| seat.is_me).map(|seat| seat.id)
}

fn in_room(network: &mut Network, phone: usize, act: impl FnOnce(&mut alcove::proto::node::Node, TalkId)) {
    if let Some(talk) = open_talk(network, phone) {
        network.with(phone, |node| act(node, talk));
    }
}
