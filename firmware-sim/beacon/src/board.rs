//! A simulated board, for tests: virtual time, a seeded generator, flash that loses power in the middle of a write, and a radio that
//! remembers what it did and how long it was on.

use crate::beacon::{Beacon, Input};
use crate::config::{ADVERT_BYTES, CELL_BYTES};
use crate::hardware::Hardware;
use std::collections::BTreeMap;
use std::vec::Vec;

/// The radio's time for one advertising event: on each of three channels 31 bytes of advert in 47 on the air, at a microsecond a bit
/// (Bluetooth Core, Vol 6, Part B, 2.1), then listening through the 150 µs until an answer begins and the 40 µs that tell it.
pub const ADVERTISING_EVENT_US: u64 = 3 * (47 * 8 + 150 + 40);
/// The mean of Bluetooth's advDelay, 0 to 10 ms.
const ADV_DELAY_US: u64 = 5_000;

/// What the air has seen of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shown {
    /// From when,
    pub from: u64,
    /// until when; `u64::MAX`: still.
    pub until: u64,
    /// The radio's address.
    pub address: [u8; 6],
    /// The advert.
    pub advert: [u8; ADVERT_BYTES],
    /// How often.
    pub interval_us: u32,
}

/// The board.
pub struct Board {
    /// The virtual time since power-up.
    pub now_us: u64,
    /// Everything it has shown, over all its lives; times are those of each life.
    pub shown: Vec<Shown>,
    /// How long the radio was on, links left out.
    pub radio_on_us: u64,
    /// Cells that it sent and nobody has taken yet, by connection.
    pub sent: BTreeMap<u16, Vec<[u8; CELL_BYTES]>>,
    /// Connections that it ended and nobody has taken note of yet.
    pub ended: Vec<u16>,
    /// Cells that a connection takes until they are fetched.
    pub room: usize,
    /// The power goes in the middle of the flash operation after so many more.
    pub cut_after: Option<u32>,
    /// Writes to the flash do nothing.
    pub is_flash_dead: bool,
    /// Times a page was to be erased.
    pub erased: u64,
    flash: [[u32; 2]; 2],
    is_on: bool,
    chance: u64,
}

impl Board {
    /// A fresh board.
    pub fn new(seed: u64) -> Board {
        Board {
            now_us: 0,
            shown: Vec::new(),
            radio_on_us: 0,
            sent: BTreeMap::new(),
            ended: Vec::new(),
            room: 6,
            cut_after: None,
            is_flash_dead: false,
            erased: 0,
            flash: [[u32::MAX; 2]; 2],
            is_on: true,
            chance: seed,
        }
    }

    /// A random number (SplitMix64).
    pub fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.draw() % bound
    }

    /// The power goes, and comes back: all but the flash is lost.
    pub fn reboot(&mut self) {
        self.end_shown();
        (self.now_us, self.cut_after, self.is_on) = (0, None, true);
        self.sent.clear();
        self.ended.clear();
    }

    /// Whether there is power.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// The flash forgets everything, as if there were none.
    pub fn wipe(&mut self) {
        self.flash = [[u32::MAX; 2]; 2];
    }

    /// Lets time pass, and wakes the beacon whenever it wants to be.
    pub fn run(&mut self, beacon: &mut Beacon, span_us: u64) {
        let end = self.now_us + span_us;
        while beacon.wake_at() <= end {
            self.now_us = self.now_us.max(beacon.wake_at());
            beacon.handle(self, Input::Wake);
        }
        self.now_us = end;
    }

    /// The advert on the air, if there is one.
    pub fn advert(&self) -> Option<[u8; ADVERT_BYTES]> {
        self.shown.last().filter(|shown| shown.until == u64::MAX).map(|shown| shown.advert)
    }

    /// Fetches what was sent on a connection.
    pub fn fetch(&mut self, connection: u16) -> Vec<[u8; CELL_BYTES]> {
        self.sent.remove(&connection).unwrap_or_default()
    }

    fn end_shown(&mut self) {
        let now = self.now_us;
        if let Some(shown) = self.shown.last_mut().filter(|shown| shown.until == u64::MAX) {
            shown.until = now;
            let events = (now - shown.from) / (u64::from(shown.interval_us) + ADV_DELAY_US) + 1;
            self.radio_on_us += events * ADVERTISING_EVENT_US;
        }
    }

    /// Whether a flash operation is done; if the power goes in it, so much of it as chance wants is done: the bits of a mask.
    fn flash_mask(&mut self) -> u32 {
        match &mut self.cut_after {
            _ if !self.is_on || self.is_flash_dead => 0,
            Some(0) => {
                self.is_on = false;
                self.draw() as u32
            }
            Some(left) => {
                *left -= 1;
                u32::MAX
            }
            None => u32::MAX,
        }
    }
}

impl Hardware for Board {
    fn now_us(&mut self) -> u64 {
        self.now_us
    }

    fn random(&mut self, bytes: &mut [u8]) {
        bytes.iter_mut().for_each(|byte| *byte = self.draw() as u8);
    }

    fn read_flash(&mut self, page: usize, word: usize) -> u32 {
        self.flash[page][word]
    }

    fn write_flash(&mut self, page: usize, word: usize, value: u32) {
        let mask = self.flash_mask();
        self.flash[page][word] &= value | !mask;
    }

    fn erase_flash(&mut self, page: usize) {
        self.erased += u64::from(self.is_on);
        let mask = self.flash_mask();
        self.flash[page].iter_mut().for_each(|word| *word |= mask);
    }

    fn advertise(&mut self, address: [u8; 6], advert: [u8; ADVERT_BYTES], interval_us: u32) {
        self.end_shown();
        if self.is_on {
            self.shown.push(Shown { from: self.now_us, until: u64::MAX, address, advert, interval_us });
        }
    }

    fn silence(&mut self) {
        self.end_shown();
    }

    fn listen(&mut self, window_us: u32) {
        self.radio_on_us += u64::from(window_us);
    }

    fn room(&mut self, connection: u16) -> usize {
        self.room.saturating_sub(self.sent.get(&connection).map_or(0, Vec::len))
    }

    fn send(&mut self, connection: u16, cell: &[u8; CELL_BYTES]) {
        assert!(self.room(connection) > 0, "more than the radio takes");
        self.sent.entry(connection).or_default().push(*cell);
    }

    fn disconnect(&mut self, connection: u16) {
        self.ended.push(connection);
    }
}
