//! What two neighbours lack of each other, found for a few bytes per missing parcel, however much both carry.
//!
//! One tells a *sketch* of what it carries, symbol by symbol; the other takes its own sketch away and is left with one of the difference,
//! which it *peels*: a symbol on which a single item fell names it, and with that item taken off others come to be single (Yang, Gilad,
//! Alizadeh: "Practical Rateless Set Reconciliation", SIGCOMM 2024). About 1.4 symbols per difference do. There are no counts in
//! them: they would tell how much is carried.
//!
//! Laws: short ids are salted with the link and the round, so that nothing can be compared over two links, nobody else can make two
//! parcels collide, and what collides by chance is found in another round. A sketch tells nothing beyond the difference. What a
//! neighbour says makes us hold two sketches, peel a bounded number of times, and answer once per round. A difference too large for
//! one round is found in *slices*: of a random half, a quarter, … of all parcels. A link loses nothing, so that a parcel is handed over
//! once on it: who has no room for it has none for it again.

use crate::proto::config::{
    CROWDED_PER_ROUND_MAX, RECONCILE_ANSWER_INTERVAL, RECONCILE_INTERVAL, RECONCILE_SLICE_MAX, RECONCILE_SYMBOLS_MAX,
    SYMBOLS_PER_CELL,
};
use crate::proto::id::ParcelId;
use crate::proto::rng::Rng;
use crate::proto::secret::{hash, sip};
use crate::proto::time::{Duration, Instant};
use crate::proto::wire::frame::Control;
use std::collections::{BTreeSet, VecDeque};

const SHORT_ID_BITS: u32 = 24;
const SHORT_ID: u64 = (1 << SHORT_ID_BITS) - 1;

/// Short ids on the wire.
pub type ShortIds = BTreeSet<u32>;

/// How reconciliation stands with one neighbour.
#[cfg_attr(test, derive(Clone))]
pub struct Exchange {
    salt: [u8; 32],
    /// Rounds are about a part of all parcels: one in two to this power.
    slice: u8,
    told: Option<Told>,
    heard: Option<Heard>,
    /// Between two rounds: twice as long on the side that begins only if the other does not.
    pause: Duration,
    /// When this side begins a round.
    pub next_round: Instant,
    /// Before this a round that the neighbour begins is not heard.
    next_heard: Instant,
    /// Before these nothing more is handed over, and nothing crowded.
    next_given: Instant,
    next_crowded: Instant,
    /// What was handed over and is still carried.
    given: BTreeSet<ParcelId>,
}

/// The round that this side began: what it still may tell.
#[cfg_attr(test, derive(Clone))]
struct Told {
    round: Round,
    sketch: Sketch,
    count: usize,
}

/// The round that the neighbour began: what was heard, without what this side carries.
#[cfg_attr(test, derive(Clone))]
struct Heard {
    round: Round,
    rest: Sketch,
    count: usize,
}

/// What follows from a word of the neighbour.
pub enum Step {
    /// Nothing.
    Nothing,
    /// An answer.
    Say(Control),
    /// The difference is known: what the neighbour lacks, and what this side does.
    Found(Round, ShortIds),
    /// The neighbour names what it lacks.
    Asked(Round, ShortIds),
}

impl Exchange {
    /// A link is up. Who opened it begins; the other does if it waits in vain.
    pub fn new(now: Instant, salt: [u8; 32], begins: bool) -> Exchange {
        let pause = RECONCILE_INTERVAL * if begins { 1 } else { 2 };
        let (next_round, next_heard, next_given, next_crowded) = (now + pause, now, now, now);
        let (told, heard, given) = (None, None, BTreeSet::new());
        Exchange { salt, slice: 0, told, heard, pause, next_round, next_heard, next_given, next_crowded, given }
    }

    /// Begins a round: the first symbols of what is carried.
    pub fn begin<'a>(&mut self, rng: &mut Rng, now: Instant, carried: impl Iterator<Item = &'a ParcelId>) -> Control {
        self.next_round = now + self.pause;
        let round = Round::new(&self.salt, rng.bytes(), self.slice);
        let sketch = Sketch::of(&round, carried);
        let told = self.told.insert(Told { round, sketch, count: 0 });
        told.next()
    }

    /// The neighbour tells a part of its sketch.
    pub fn hear<'a>(
        &mut self,
        rng: &mut Rng,
        now: Instant,
        (number, slice, first): ([u8; 4], u8, u16),
        symbols: &[[u8; 4]],
        carried: impl Iterator<Item = &'a ParcelId> + Clone,
    ) -> Step {
        let mut heard = match self.heard.take() {
            // A sketch takes a while to make: not more often.
            _ if first == 0 && self.next_heard > now => return Step::Nothing,
            _ if first == 0 => {
                self.next_heard = now + RECONCILE_ANSWER_INTERVAL;
                self.next_round = now + self.pause;
                self.slice = slice.min(RECONCILE_SLICE_MAX);
                let round = Round::new(&self.salt, number, self.slice);
                let rest = Sketch::of(&round, carried.clone());
                Heard { round, rest, count: 0 }
            }
            Some(heard) if heard.round.number == number && heard.count == usize::from(first) => heard,
            _ => return Step::Nothing,
        };
        if symbols.len() != portion(heard.count) {
            return Step::Nothing;
        }
        let carries_nothing = heard.rest.is_empty();
        let tells_nothing = symbols.iter().all(|symbol| *symbol == [0; 4]);
        if heard.count == 0 && carries_nothing != tells_nothing {
            // Who carries nothing needs no sketch: all that the other carries is the difference.
            return match tells_nothing {
                true => {
                    let all = carried.filter_map(|id| heard.round.short_id(id)).collect();
                    Step::Found(heard.round, all)
                }
                false => Step::Say(self.begin(rng, now, carried)),
            };
        }
        heard.rest.take_off(heard.count, symbols);
        heard.count += symbols.len();
        if let Some(difference) = heard.rest.peel(&heard.round, heard.count) {
            return Step::Found(heard.round, difference);
        }
        if heard.count >= RECONCILE_SYMBOLS_MAX {
            self.slice = (self.slice + 2).min(RECONCILE_SLICE_MAX);
            self.hurry(now);
            return Step::Nothing;
        }
        self.heard = Some(heard);
        Step::Say(Control::Lacking { round: number, short_ids: None })
    }

    /// The neighbour wants more symbols, or names what it lacks.
    pub fn answered(&mut self, number: [u8; 4], short_ids: Option<&[[u8; 3]]>) -> Step {
        match (&mut self.told, short_ids) {
            (Some(told), _) if told.round.number != number => Step::Nothing,
            (Some(told), None) if told.count < RECONCILE_SYMBOLS_MAX => Step::Say(told.next()),
            (Some(_), Some(short_ids)) => {
                let difference = short_ids.iter().map(|&[a, b, c]| u32::from_be_bytes([0, a, b, c])).collect();
                self.told.take().map_or(Step::Nothing, |told| Step::Asked(told.round, difference))
            }
            (Some(_) | None, _) => Step::Nothing,
        }
    }

    /// Whether something may be handed over now; if so, not again for a while.
    pub fn may_give(&mut self, now: Instant) -> bool {
        let may = self.next_given <= now;
        if may {
            self.next_given = now + RECONCILE_ANSWER_INTERVAL;
        }
        may
    }

    /// Whether this parcel was not handed over yet.
    pub fn is_owed(&self, id: &ParcelId) -> bool {
        !self.given.contains(id)
    }

    /// This parcel is handed over.
    pub fn give(&mut self, id: ParcelId) {
        self.given.insert(id);
    }

    /// Keeps in mind of what was handed over only what is still carried.
    pub fn retain_given(&mut self, is_carried: impl Fn(&ParcelId) -> bool) {
        self.given.retain(is_carried);
    }

    /// How many crowded parcels may be handed over now; if any, none again until others had their turn.
    pub fn crowded_max(&mut self, now: Instant) -> usize {
        if self.next_crowded > now {
            return 0;
        }
        self.next_crowded = now + RECONCILE_INTERVAL;
        CROWDED_PER_ROUND_MAX
    }

    /// A round is over: what it found was handed over, some of it, or all.
    pub fn settled(&mut self, now: Instant, given: usize, is_all: bool) {
        let slice = self.slice;
        if is_all {
            self.slice = slice.saturating_sub(1);
        }
        if !is_all || (slice > 0 && given > 0) {
            self.hurry(now);
        }
    }

    fn hurry(&mut self, now: Instant) {
        self.next_round = self.next_round.min(now + RECONCILE_ANSWER_INTERVAL * 2);
    }
}

impl Told {
    fn next(&mut self) -> Control {
        let first = self.count;
        self.count += portion(first);
        let symbols = self.sketch.0[first..self.count].iter().map(|symbol| symbol.to_be_bytes()).collect();
        Control::Carrying { round: self.round.number, slice: self.round.slice, first: first as u16, symbols }
    }
}

/// How many symbols follow after so many: whole cells, one or half as many again.
fn portion(count: usize) -> usize {
    let cells = (count / SYMBOLS_PER_CELL / 2).max(1);
    (cells * SYMBOLS_PER_CELL).min(RECONCILE_SYMBOLS_MAX - count)
}

/// What salts the short ids of one round.
#[cfg_attr(test, derive(Clone))]
pub struct Round {
    /// Drawn by whoever began it.
    number: [u8; 4],
    slice: u8,
    key: [u8; 16],
    seed: u64,
}

impl Round {
    fn new(salt: &[u8; 32], number: [u8; 4], slice: u8) -> Round {
        let digest = hash("alcove/1 carrying", &[salt, &number, &[slice]]);
        let (mut key, mut seed) = ([0; 16], [0; 8]);
        key.copy_from_slice(&digest[..16]);
        seed.copy_from_slice(&digest[16..24]);
        Round { number, slice, key, seed: u64::from_be_bytes(seed) }
    }

    /// A parcel's short id; `None` if it is not of the round's slice.
    pub fn short_id(&self, id: &ParcelId) -> Option<u32> {
        let hash = sip(&self.key, &id.0);
        let is_here = (hash >> SHORT_ID_BITS) & ((1 << self.slice) - 1) == 0;
        is_here.then_some((hash & SHORT_ID) as u32)
    }

    /// Asks for what is not carried here.
    pub fn ask(&self, unknown: &ShortIds) -> Control {
        let short_id = |id: &u32| {
            let [_, a, b, c] = id.to_be_bytes();
            [a, b, c]
        };
        let short_ids = unknown.iter().take(RECONCILE_SYMBOLS_MAX).map(short_id).collect();
        Control::Lacking { round: self.number, short_ids: Some(short_ids) }
    }

    /// The symbols on which an item falls, and what it adds to them: its short id and a check of 8 bits.
    fn fall(&self, short_id: u32) -> (u32, Fall) {
        let mut fall = Fall { state: self.seed ^ u64::from(short_id), at: 0 };
        let check = (fall.draw() >> 56) as u32;
        (check << SHORT_ID_BITS | short_id, fall)
    }
}

/// The places on which one item falls: 0 always, a later one `i` with probability 1 / (1 + i/2).
struct Fall {
    state: u64,
    at: u32,
}

impl Fall {
    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl Iterator for Fall {
    type Item = usize;

    /// The paper's section 4.2 in whole numbers: the gap after `i` is (i + 3/2) (1/√u − 1), rounded up, for a `u` drawn from 0 to 1.
    fn next(&mut self) -> Option<usize> {
        let at = self.at as usize;
        let root = ((self.draw() >> 32) as u32).isqrt().max(1);
        let gap = (2 * self.at + 3).checked_mul((1 << 16) - root)? / (2 * root);
        self.at = self.at.checked_add(1 + gap)?;
        Some(at)
    }
}

/// Symbols: each the XOR of what falls on it.
#[cfg_attr(test, derive(Clone))]
struct Sketch(Vec<u32>);

impl Sketch {
    fn of<'a>(round: &Round, carried: impl Iterator<Item = &'a ParcelId>) -> Sketch {
        let mut sketch = Sketch(vec![0; RECONCILE_SYMBOLS_MAX]);
        for short_id in carried.filter_map(|id| round.short_id(id)) {
            let (item, fall) = round.fall(short_id);
            fall.take_while(|at| *at < RECONCILE_SYMBOLS_MAX).for_each(|at| sketch.0[at] ^= item);
        }
        sketch
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|symbol| *symbol == 0)
    }

    fn take_off(&mut self, first: usize, symbols: &[[u8; 4]]) {
        for (mine, theirs) in self.0.iter_mut().skip(first).zip(symbols) {
            *mine ^= u32::from_be_bytes(*theirs);
        }
    }

    /// The items of the first `count` symbols, if these are enough to find them all. One symbol in 256 looks single by chance: what is
    /// taken off wrongly turns up on other symbols and is put back. They take turns, because two items and their wrong sum on the same
    /// symbol make each other look single for ever.
    fn peel(&self, round: &Round, count: usize) -> Option<ShortIds> {
        let mut left = self.0[..count].to_vec();
        let mut found = ShortIds::new();
        let mut singles: VecDeque<usize> = (0..count).rev().collect();
        let mut peels_left = count * 4;
        while let Some(at) = singles.pop_front() {
            let short_id = left[at] & SHORT_ID as u32;
            let (item, fall) = round.fall(short_id);
            if left[at] == 0 || left[at] != item {
                continue;
            }
            peels_left = peels_left.checked_sub(1)?;
            if !found.remove(&short_id) {
                found.insert(short_id);
            }
            for at in fall.take_while(|at| *at < count) {
                left[at] ^= item;
                singles.push_back(at);
            }
        }
        left.iter().all(|symbol| *symbol == 0).then_some(found)
    }
}

#[cfg(test)]
mod tests;
