//! A counter that no power cut sets back.
//!
//! Laws: a number is given out only when the block that it is from stands in the flash, whole and read back; a start begins behind every
//! block that stands there; so no number is given out twice, whenever the power goes. One write serves [`BLOCK_IDS`] numbers.
//!
//! Flash: two pages, used in turn, each `block 4 | check 4`. While one is erased and written the other holds.

use crate::config::{BLOCK_IDS, FLASH_TRIES};
use crate::hardware::Hardware;
use crate::table::Table;

/// Numbers from a block that is reserved.
#[derive(Default)]
pub(crate) struct Counter {
    next: u64,
    end: u64,
}

impl Counter {
    /// A number that was never given out before; `None` if the flash does not keep what is written.
    pub(crate) fn next(&mut self, hardware: &mut impl Hardware, table: &Table) -> Option<u64> {
        if self.next == self.end {
            let block = reserve(hardware, table)?;
            self.next = u64::from(block) * BLOCK_IDS;
            self.end = self.next + BLOCK_IDS;
        }
        self.next += 1;
        Some(self.next - 1)
    }
}

/// Writes the number of the first block that was never reserved into the page that does not hold the last one.
fn reserve(hardware: &mut impl Hardware, table: &Table) -> Option<u32> {
    let [first, second] = [0, 1].map(|page| read(hardware, table, page));
    let page = usize::from(first > second || (first.is_some() && first == second));
    let block = first.max(second).map_or(Some(0), |last| last.checked_add(1))?;
    for _ in 0..FLASH_TRIES {
        hardware.erase_flash(page);
        hardware.write_flash(page, 0, block);
        hardware.write_flash(page, 1, table.slot_check(block));
        if read(hardware, table, page) == Some(block) {
            return Some(block);
        }
    }
    None
}

fn read(hardware: &mut impl Hardware, table: &Table, page: usize) -> Option<u32> {
    let (block, check) = (hardware.read_flash(page, 0), hardware.read_flash(page, 1));
    (table.slot_check(block) == check).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use std::collections::BTreeSet;

    fn table() -> Table {
        Table { event: [1; 16], key: [2; 32], secret: [3; 32], number: 4 }
    }

    /// Lives that end anywhere, most of them in the middle of a flash operation. Says how many numbers were given, and how many of them
    /// for the first time.
    fn live(board: &mut Board, lives: u32, mut at_reboot: impl FnMut(&mut Board)) -> (usize, usize) {
        let (table, mut given, mut known) = (table(), 0, BTreeSet::new());
        for _ in 0..lives {
            let mut counter = Counter::default();
            board.cut_after = Some(board.below(8) as u32).filter(|cut| *cut < 7);
            let is_long = board.below(10) == 0;
            for _ in 0..board.below(if is_long { 3 * BLOCK_IDS } else { 8 }) {
                let number = counter.next(board, &table);
                // What is reckoned while the power goes is never shown.
                if let Some(number) = number.filter(|_| board.is_on()) {
                    given += 1;
                    known.insert(number);
                }
            }
            at_reboot(board);
            board.reboot();
        }
        (given, known.len())
    }

    #[test]
    fn no_number_comes_twice_whenever_the_power_goes() {
        let board = &mut Board::new(1);
        let (given, first) = live(board, 10_000, |_| {});
        std::eprintln!("{given} numbers in 10,000 lives, {} times erased", board.erased);
        assert!(given > 100_000);
        assert_eq!(given, first);
    }

    #[test]
    fn control_a_counter_that_is_kept_in_memory_alone_gives_numbers_twice() {
        let board = &mut Board::new(1);
        let (given, first) = live(board, 10_000, Board::wipe);
        assert!(first < given / 10, "{first} of {given}");
    }

    #[test]
    fn one_write_serves_two_days() {
        let (board, table) = (&mut Board::new(2), table());
        let mut counter = Counter::default();
        (0..BLOCK_IDS * 10).for_each(|number| assert_eq!(counter.next(board, &table), Some(number)));
        assert_eq!(board.erased, 10);
    }

    #[test]
    fn a_flash_that_keeps_nothing_gives_no_number_and_is_not_pressed() {
        let (board, table) = (&mut Board::new(3), table());
        board.is_flash_dead = true;
        assert_eq!(Counter::default().next(board, &table), None);
        assert_eq!(board.erased, u64::from(FLASH_TRIES));
    }
}
