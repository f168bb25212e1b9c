//! What is typed and not yet a change: since when, and as one edit, for others to see it at once.
//!
//! Law: told alone, the last word of a run of keys is the whole run; a key that gets lost is made up for by the next.

use super::Edit;
use crate::proto::config::{CHANGE_AGE_MAX, CHANGE_IDLE};
use crate::proto::time::Instant;

/// The pending edits: when the first and the last of them were made, and the run of keys that the last one ends.
#[derive(Clone)]
pub struct Typing {
    since: Instant,
    last: Instant,
    run: Option<Run>,
}

/// Keys as one edit of the text as it was before them, in scalar values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// Where.
    pub at: usize,
    /// How much goes.
    pub delete: usize,
    /// What comes.
    pub insert: String,
}

impl Typing {
    /// The first edit of a change, or one more.
    pub fn go_on(before: Option<Typing>, now: Instant, edits: &[Edit]) -> Typing {
        let since = before.as_ref().map_or(now, |before| before.since);
        let mut run = before.and_then(|before| before.run);
        for edit in edits {
            if let Edit::Splice { at, delete, insert } = edit {
                let next = Run { at: *at, delete: *delete, insert: insert.clone() };
                run = Some(run.map_or_else(|| next.clone(), |run| run.then(&next)));
            }
        }
        Typing { since, last: now, run }
    }

    /// When it becomes a change: soon after a pause, and after a while without one.
    pub fn cut_at(&self) -> Instant {
        (self.last + CHANGE_IDLE).min(self.since + CHANGE_AGE_MAX)
    }

    /// What is typed.
    pub fn run(&self) -> Option<&Run> {
        self.run.as_ref()
    }
}

impl Run {
    /// Both as one, where the next touches what this one made; else the next alone, as others find its place.
    fn then(self, next: &Run) -> Run {
        let made = self.insert.chars().count();
        let (end, next_end) = (self.at.saturating_add(made), next.at.saturating_add(next.delete));
        if next_end < self.at {
            return next.clone();
        }
        if next.at > end {
            return Run { at: next.at - made + self.delete, ..next.clone() };
        }
        let kept_before = self.insert.chars().take(next.at.saturating_sub(self.at));
        let kept_behind = self.insert.chars().skip(next_end - self.at);
        let insert = kept_before.chain(next.insert.chars()).chain(kept_behind).collect();
        let (before, behind) = (self.at.saturating_sub(next.at), next_end.saturating_sub(end));
        Run { at: self.at.min(next.at), delete: self.delete.saturating_add(before).saturating_add(behind), insert }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;

    fn splice(at: usize, delete: usize, insert: &str) -> Edit {
        Edit::Splice { at, delete, insert: insert.into() }
    }

    fn typed(edits: &[Edit]) -> Run {
        Typing::go_on(None, Instant(0), edits).run.unwrap()
    }

    fn carried_out(text: &str, run: &Run) -> String {
        let kept: Vec<char> = text.chars().collect();
        kept[..run.at].iter().copied().chain(run.insert.chars()).chain(kept[run.at + run.delete..].iter().copied()).collect()
    }

    #[test]
    fn keys_in_a_row_are_one_run_with_what_is_taken_back() {
        let run = |at, delete, insert: &str| Run { at, delete, insert: insert.into() };
        assert_eq!(typed(&[splice(4, 0, "x"), splice(5, 0, "x")]), run(4, 0, "xx"));
        assert_eq!(typed(&[splice(4, 0, "ab"), splice(5, 1, ""), splice(4, 0, "ü")]), run(4, 0, "üa"));
        assert_eq!(typed(&[splice(4, 0, "a"), splice(3, 2, "")]), run(3, 1, ""), "backwards over its begin");
        assert_eq!(typed(&[splice(4, 2, "a"), splice(5, 3, "")]), run(4, 5, "a"), "forwards over its end");
        assert_eq!(typed(&[splice(4, 0, "abc"), splice(20, 0, "z")]), run(17, 0, "z"), "elsewhere, where others find it");
    }

    #[test]
    fn whatever_is_typed_in_one_place_the_run_alone_gives_the_same_text() {
        let rng = &mut Rng::new([1; 32]);
        for _ in 0..2_000 {
            let begin: String = (0..20).map(|_| char::from(b'a' + rng.below(26) as u8)).collect();
            let (mut text, mut run): (String, Option<Run>) = (begin.clone(), None);
            for _ in 0..8 {
                let length = text.chars().count();
                let (low, high) = run.as_ref().map_or((0, length), |run| (run.at, run.at + run.insert.chars().count()));
                // Whatever touches what was made.
                let end = low + rng.below((length - low + 1) as u64) as usize;
                let at = rng.below((high.min(end) + 1) as u64) as usize;
                let next = Run { at, delete: end - at, insert: "ÄÖÜ".chars().take(rng.below(4) as usize).collect() };
                text = carried_out(&text, &next);
                run = Some(run.map_or_else(|| next.clone(), |run| run.then(&next)));
                assert_eq!(carried_out(&begin, run.as_ref().unwrap()), text);
            }
        }
    }

    #[test]
    fn a_change_is_cut_after_a_pause_and_at_last_without_one() {
        let first = Typing::go_on(None, Instant(0), &[splice(0, 0, "a")]);
        assert_eq!(first.cut_at(), Instant(0) + CHANGE_IDLE);
        let late = Instant(0) + CHANGE_AGE_MAX;
        assert_eq!(Typing::go_on(Some(first), late, &[]).cut_at(), late);
    }
}
