//! The minimal difference of two texts, by Myers' O(ND) algorithm (E. W. Myers, Algorithmica 1, 1986).
//!
//! Laws: applied to the first text the hunks give the second; hunks are ascending and never touch each other. Beyond
//! [`DISTANCE_MAX`] insertions and deletions it stops looking and gives one hunk from the first to the last difference.

use std::ops::Range;

/// The search keeps a row per edit: this many bound it to a few megabytes and a few milliseconds.
const DISTANCE_MAX: usize = 1_000;

/// One difference: `old` was replaced by `new`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hunk {
    /// In the old text.
    pub old: Range<usize>,
    /// In the new text.
    pub new: Range<usize>,
}

/// What turns `old` into `new`.
pub fn hunks(old: &[char], new: &[char]) -> Vec<Hunk> {
    let head = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(new[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let (old, new) = (&old[head..old.len() - tail], &new[head..new.len() - tail]);
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    let whole = vec![Hunk { old: 0..old.len(), new: 0..new.len() }];
    let mut found = if old.is_empty() || new.is_empty() { whole } else { search(old, new).unwrap_or(whole) };
    for hunk in &mut found {
        hunk.old = hunk.old.start + head..hunk.old.end + head;
        hunk.new = hunk.new.start + head..hunk.new.end + head;
    }
    found
}

/// The shortest path through the edit graph, as hunks; `None` beyond the bound.
fn search(old: &[char], new: &[char]) -> Option<Vec<Hunk>> {
    let bound = DISTANCE_MAX.min(old.len() + new.len());
    let mut frontier = Frontier { furthest: vec![0; 2 * bound + 3], centre: bound + 1 };
    let mut rows = Vec::new();
    for distance in 0..=bound as isize {
        rows.push(frontier.row(distance));
        for k in (-distance..=distance).step_by(2) {
            let step = frontier.step(k, distance);
            let mut x = step.x_after();
            let mut y = x.wrapping_add_signed(-k);
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            frontier.set(k, x);
            if x >= old.len() && y >= new.len() {
                return Some(walk_back(&rows, old.len(), new.len()));
            }
        }
    }
    None
}

/// How far along `old` the best path gets on each diagonal k = x - y.
struct Frontier {
    furthest: Vec<usize>,
    centre: usize,
}

/// The edit that leads onto a diagonal: from `x` on the one above (an insertion) or below (a deletion).
enum Step {
    Insert { x: usize },
    Delete { x: usize },
}

impl Step {
    fn x_after(&self) -> usize {
        match self {
            Step::Insert { x } => *x,
            Step::Delete { x } => x + 1,
        }
    }
}

impl Frontier {
    fn at(&self, k: isize) -> usize {
        self.furthest[self.centre.wrapping_add_signed(k)]
    }

    fn set(&mut self, k: isize, x: usize) {
        self.furthest[self.centre.wrapping_add_signed(k)] = x;
    }

    fn step(&self, k: isize, distance: isize) -> Step {
        if k == -distance || (k != distance && self.at(k - 1) < self.at(k + 1)) {
            Step::Insert { x: self.at(k + 1) }
        } else {
            Step::Delete { x: self.at(k - 1) }
        }
    }

    /// What the steps of this distance are decided by, kept for the way back.
    fn row(&self, distance: isize) -> Frontier {
        let reach = distance.unsigned_abs() + 1;
        Frontier { furthest: self.furthest[self.centre - reach..=self.centre + reach].to_vec(), centre: reach }
    }
}

fn walk_back(rows: &[Frontier], old_length: usize, new_length: usize) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut x, mut y) = (old_length, new_length);
    for (distance, row) in rows.iter().enumerate().skip(1).rev() {
        let k = x as isize - y as isize;
        let (old, new) = match row.step(k, distance as isize) {
            Step::Insert { x } => {
                let y = x.wrapping_add_signed(-(k + 1));
                (x..x, y..y + 1)
            }
            Step::Delete { x } => {
                let y = x.wrapping_add_signed(-(k - 1));
                (x..x + 1, y..y)
            }
        };
        (x, y) = (old.start, new.start);
        match hunks.last_mut() {
            Some(next) if next.old.start == old.end && next.new.start == new.end => {
                (next.old.start, next.new.start) = (old.start, new.start);
            }
            _ => hunks.push(Hunk { old, new }),
        }
    }
    hunks.reverse();
    hunks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;

    fn apply(old: &[char], new: &[char]) -> (Vec<char>, usize) {
        let (mut built, mut from, mut edits) = (Vec::new(), 0, 0);
        for hunk in hunks(old, new) {
            assert!(from == 0 || hunk.old.start > from, "hunks touch");
            built.extend_from_slice(&old[from..hunk.old.start]);
            built.extend_from_slice(&new[hunk.new.clone()]);
            from = hunk.old.end;
            edits += hunk.old.len() + hunk.new.len();
        }
        built.extend_from_slice(&old[from..]);
        (built, edits)
    }

    /// The length of the longest common subsequence, the slow and plain way.
    fn common(old: &[char], new: &[char]) -> usize {
        let mut row = vec![0; new.len() + 1];
        for a in old {
            let mut diagonal = 0;
            for (place, b) in new.iter().enumerate() {
                let above = row[place + 1];
                row[place + 1] = if a == b { diagonal + 1 } else { above.max(row[place]) };
                diagonal = above;
            }
        }
        row[new.len()]
    }

    #[test]
    fn the_hunks_turn_the_old_text_into_the_new_with_the_fewest_edits() {
        let mut rng = Rng::new([1; 32]);
        for _ in 0..2_000 {
            let text = |rng: &mut Rng| -> Vec<char> { (0..rng.below(14)).map(|_| char::from(b'a' + rng.below(3) as u8)).collect() };
            let (old, new) = (text(&mut rng), text(&mut rng));
            let (built, edits) = apply(&old, &new);
            assert_eq!(built, new, "{old:?}");
            assert_eq!(edits, old.len() + new.len() - 2 * common(&old, &new), "{old:?} {new:?}");
        }
    }

    #[test]
    fn texts_that_have_nothing_in_common_are_one_hunk_and_cost_no_search() {
        let old: Vec<char> = std::iter::repeat_n('a', 50_000).collect();
        let new: Vec<char> = std::iter::repeat_n('b', 50_000).collect();
        assert_eq!(hunks(&old, &new), vec![Hunk { old: 0..50_000, new: 0..50_000 }]);
    }
}
