//! A room of twelve with loss, duplication, reordering, partitions, crashes, restarts and clocks that jump: it converges, closes, and
//! is gone.

use crate::checker::{converged, gone};
use crate::network::{Faults, Network};
use crate::radio::Radio;
use crate::scenario::{is_open, post, take_seat, terms, view};
use alcove::proto::config::{CHANGE_AGE_MAX, CHANGE_IDLE};
use alcove::proto::id::{ItemId, SeatId, TalkId};
use alcove::proto::notes::Edit;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};

/// So many sit in the room.
pub const COUNT: usize = 12;
/// So many things happen to it.
pub const STEPS: usize = 60;
/// What goes wrong all the time: packets are lost and sent again, links break with what was under way, the relay repeats itself and
/// lets later blobs overtake earlier ones.
pub const FAULTS: Faults = Faults {
    delay: (Duration::from_millis(1), Duration::from_millis(20)),
    radio: Some(Radio { interval: Duration::from_millis(30), cells_per_event: 4, lose_percent: 10 }),
    break_one_in: 300,
    duplicate_one_in: 5,
    relay_delay: (Duration::from_millis(20), Duration::from_millis(80)),
    overtake_one_in: 10,
};
/// What is planted so that the disks can be searched for it.
const PLANTED: [&str; 3] = ["planted-word", "planted-note", "planted-item"];

/// One thing that happens between two stretches of time.
#[derive(Clone, Debug)]
pub enum Step {
    Say(usize),
    Write {
        phone: usize,
        what: u64,
        flush: bool,
    },
    Break(usize, usize),
    Partition(u64),
    Heal,
    Offline(usize),
    Online(usize),
    Crash(usize),
    CrashAfterWrites(usize, u64),
    Start(usize),
    /// The phone's clock is wrong by so many hours from here on.
    JumpClock(usize, i64),
    Pass(Duration),
}

/// How a phone of this number is connected.
fn has_mesh(phone: usize) -> bool {
    phone % 4 != 3
}

fn has_relay(phone: usize) -> bool {
    phone % 4 != 2
}

/// What happens, by this seed.
pub fn steps(seed: u64, count: usize, length: usize) -> Vec<Step> {
    let mut bytes = [9; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = &mut Rng::new(bytes);
    let mut steps = Vec::new();
    for _ in 0..length {
        let (phone, other) = (rng.below(count as u64) as usize, rng.below(count as u64) as usize);
        steps.push(match rng.below(24) {
            0..6 => Step::Say(phone),
            6..13 => Step::Write { phone, what: rng.below(u64::MAX), flush: rng.below(2) == 0 },
            13 => Step::Break(phone, other),
            14 => Step::Partition(rng.below(u64::MAX)),
            15 => Step::Heal,
            16 => Step::Offline(phone),
            17 => Step::Online(phone),
            18 => Step::Crash(phone),
            19 => Step::CrashAfterWrites(phone, 1 + rng.below(6)),
            20..22 => Step::Start(phone),
            22 => {
                // No two clocks are wrong alike: whose clock jumped believes it when another shows the same.
                let (hours, count) = (rng.below(96) as i64 - 48, count as i64);
                Step::JumpClock(phone, hours.div_euclid(count) * count + phone as i64)
            }
            _ => Step::Pass(rng.between(Duration::from_secs(5), Duration::from_secs(200))),
        });
        let pause = rng.between(Duration::from_millis(10), Duration::from_secs(3));
        steps.push(Step::Pass(pause));
    }
    steps
}

/// One play: the network, and what its people were promised would stay.
struct Play {
    network: Network,
    talks: Vec<TalkId>,
    near: Vec<(usize, usize)>,
    kept: Vec<String>,
    /// Typed, not yet cut: by whom, when, what.
    typed: Vec<(usize, Instant, String)>,
    struck: Vec<String>,
    next: u64,
    /// When each phone's person typed last, and when it was last seen to run.
    typed_at: Vec<Instant>,
    alive_at: Vec<Instant>,
}

impl Play {
    fn open(seed: u64, count: usize) -> Play {
        let mut network = Network::new(seed, count);
        network.faults = FAULTS;
        let mesh: Vec<_> = (0..count).filter(|phone| has_mesh(*phone)).collect();
        let mut near: Vec<_> =
            (0..mesh.len()).map(|place| (mesh[place], mesh[(place + 1) % mesh.len()])).filter(|(a, b)| a != b).collect();
        for _ in 0..mesh.len() / 2 {
            let (a, b) = (network.rng().below(mesh.len() as u64) as usize, network.rng().below(mesh.len() as u64) as usize);
            if mesh[a] != mesh[b] && !near.contains(&(mesh[a], mesh[b])) && !near.contains(&(mesh[b], mesh[a])) {
                near.push((mesh[a], mesh[b]));
            }
        }
        near.iter().for_each(|(a, b)| network.connect(*a, *b));
        (0..count).filter(|phone| has_relay(*phone)).for_each(|phone| network.set_online(phone, true));
        // Whoever is on one medium only must be able to reach the host: it has both.
        let (host, card) = post(&mut network, 0, terms(count as u8, 50));
        let mut talks = vec![host];
        talks.extend((1..count).map(|guest| take_seat(&mut network, guest, card)));
        let (typed_at, alive_at) = (vec![network.now(); count], vec![network.now(); count]);
        Play { network, talks, near, kept: Vec::new(), typed: Vec::new(), struck: Vec::new(), next: 0, typed_at, alive_at }
    }

    fn runs(&self, phone: usize) -> bool {
        self.network.phones[phone].node.is_some()
    }

    fn may_write(&self, phone: usize) -> bool {
        self.runs(phone) && is_open(&self.network, phone, self.talks[phone])
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Say(phone) if self.may_write(phone) => {
                let text = format!("planted-word {}", self.fresh());
                let talk = self.talks[phone];
                let said = self.network.with(phone, |node| node.say(talk, &text));
                if said.is_ok() && self.runs(phone) {
                    self.kept.push(text);
                }
            }
            Step::Write { phone, what, flush } if self.may_write(phone) => self.write(phone, what, flush),
            Step::Break(a, b) if a != b => self.network.break_link(a, b),
            Step::Partition(bits) => self.network.partition(|phone| (bits >> phone & 1) as usize),
            Step::Heal => self.heal(),
            Step::Offline(phone) => self.network.set_online(phone, false),
            Step::Online(phone) if has_relay(phone) => self.network.set_online(phone, true),
            Step::Crash(phone) => self.network.crash(phone, None),
            Step::CrashAfterWrites(phone, writes) if self.runs(phone) => self.network.crash(phone, Some(writes)),
            Step::Start(phone) if !self.runs(phone) => self.network.restart(phone),
            Step::JumpClock(phone, hours) => {
                let by_ms = hours * 3_600_000 - self.network.phones[phone].wall_offset_ms;
                self.network.jump_clock(phone, by_ms);
            }
            Step::Pass(span) => self.network.run(span),
            Step::Say(_) | Step::Write { .. } | Step::Break(..) | Step::Online(_) | Step::CrashAfterWrites(..) | Step::Start(_) => {
            }
        }
        self.settle_typed();
    }

    /// What was typed is cut after three idle seconds, or when it is ten seconds old; a phone that dies before loses it, as its screen
    /// says.
    fn settle_typed(&mut self) {
        for phone in 0..self.talks.len() {
            if self.runs(phone) {
                self.alive_at[phone] = self.network.now();
            }
        }
        let (idle, old) = (CHANGE_IDLE + Duration::from_millis(100), CHANGE_AGE_MAX + Duration::from_millis(100));
        for (phone, at, text) in std::mem::take(&mut self.typed) {
            let alive_at = self.alive_at[phone];
            if alive_at.since(self.typed_at[phone]) > idle || alive_at.since(at) > old {
                self.kept.push(text);
            } else if self.runs(phone) {
                self.typed.push((phone, at, text));
            }
        }
    }

    fn write(&mut self, phone: usize, what: u64, flush: bool) {
        let talk = self.talks[phone];
        let Some(notes) = self.network.node(phone).notes(talk).map(|notes| notes.notes) else { return };
        let length = notes.text.chars().count();
        let mark = format!("planted-note {}.", self.fresh());
        let id = ItemId(self.network.rng().bytes());
        // Between two sentences, so that nobody writes into another's.
        let ends: Vec<_> =
            notes.text.chars().enumerate().filter(|(_, c)| *c == '.').map(|(place, _)| place + 1).chain([0]).collect();
        let at = ends[what as usize % ends.len()];
        let owner: Option<SeatId> =
            view(&self.network, phone, talk).and_then(|v| v.room).map(|room| room.seats[what as usize % room.seats.len()].id);
        let (edit, kept, struck) = match what >> 32 & 7 {
            0 if length > 0 => {
                let start = what as usize % length;
                let (name, value) = ("bold".to_owned(), "true".to_owned());
                (Edit::Mark { start, end: length.min(start + 9), name, value }, None, None)
            }
            1 if ends.len() > 2 => {
                // Strikes a whole sentence.
                let place = what as usize % (ends.len() - 1);
                let (start, end) = (if place == 0 { 0 } else { ends[place - 1] }, ends[place]);
                let text: String = notes.text.chars().skip(start).take(end - start).collect();
                (Edit::Splice { at: start, delete: end - start, insert: String::new() }, None, Some(text))
            }
            2 => (
                Edit::AddAgenda { id, text: format!("planted-item {mark}"), minutes: 5 },
                Some(format!("planted-item {mark}")),
                None,
            ),
            3 => (Edit::AddAction { id, text: format!("planted-item {mark}"), owner }, Some(format!("planted-item {mark}")), None),
            4 if !notes.actions.is_empty() => {
                let id = notes.actions[what as usize % notes.actions.len()].id;
                (Edit::SetAction { id, text: None, owner: None, done: Some(true) }, None, None)
            }
            _ => (Edit::Splice { at, delete: 0, insert: mark.clone() }, Some(mark), None),
        };
        let now = self.network.now();
        let done = self.network.with(phone, |node| {
            node.edit(talk, std::slice::from_ref(&edit))?;
            if flush { node.flush(talk) } else { Ok(()) }
        });
        self.struck.extend(struck);
        if done.is_ok() && self.runs(phone) {
            self.typed_at[phone] = now;
            self.typed.extend(kept.map(|text| (phone, now, text)));
            if flush {
                let cut = self.typed.extract_if(.., |(by, ..)| *by == phone);
                self.kept.extend(cut.map(|(.., text)| text));
            }
        }
    }

    fn heal(&mut self) {
        for (a, b) in self.near.clone() {
            self.network.connect(a, b);
        }
    }

    fn end_faults(&mut self) {
        let count = self.talks.len();
        self.network.faults = Faults::default();
        for phone in 0..count {
            if !self.runs(phone) {
                self.network.restart(phone);
            }
            self.network.spare(phone);
            self.network.set_online(phone, has_relay(phone));
        }
        self.heal();
    }

    fn members(&self) -> Vec<(usize, TalkId)> {
        self.talks.iter().copied().enumerate().collect()
    }

    fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Plays the room to its end: whatever happens, then peace, then the close. Gives the trace of all that was sent, told and remembered.
///
/// # Errors
/// The first law that does not hold.
pub fn play(seed: u64, count: usize, steps: &[Step]) -> Result<[u8; 32], String> {
    let mut play = Play::open(seed, count);
    for step in steps {
        play.take(step);
    }
    play.end_faults();
    let members = play.members();
    if !play.network.run_until(Duration::from_secs(1_800), |n| converged(n, &members).is_ok()) {
        return Err(format!("does not converge: {}", converged(&play.network, &members).unwrap_err()));
    }
    play.settle_typed();
    check_kept(&play)?;

    for phone in 0..count {
        let talk = play.talks[phone];
        let voted = play.network.with(phone, |node| node.close(talk));
        let _gone_already = voted;
        let pause = play.network.rng().between(Duration::ZERO, Duration::from_secs(20));
        play.network.run(pause);
    }
    if !play.network.run_until(Duration::from_secs(1_200), |n| gone(n, &members, &PLANTED).is_ok()) {
        return Err(format!("does not end: {}", gone(&play.network, &members, &PLANTED).unwrap_err()));
    }
    Ok(play.network.trace)
}

/// Nothing that was acknowledged is lost.
fn check_kept(play: &Play) -> Result<(), String> {
    let (talk, node) = (play.talks[0], play.network.node(0));
    let room = view(&play.network, 0, talk).and_then(|view| view.room).ok_or("no room")?;
    let notes = node.notes(talk).ok_or("no notes")?.notes;
    let items = notes.agenda.iter().map(|item| &item.text).chain(notes.actions.iter().map(|item| &item.text));
    let items: Vec<_> = items.collect();
    let is_there = |text: &String| {
        room.messages.iter().any(|message| message.text == *text) || notes.text.contains(&text[..]) || items.contains(&text)
    };
    match play.kept.iter().find(|text| !play.struck.contains(text) && !is_there(text)) {
        Some(lost) => Err(format!("{lost:?} was acknowledged and is lost")),
        None => Ok(()),
    }
}
