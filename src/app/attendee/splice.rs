//! Two texts and what lies between them: which stretches differ, where a place of the one lies in the other, and what an edit made on the
//! one means on the other.
//!
//! Laws: the differences applied to the old text give the new one; an edit carried over deletes only what it deleted where it was made,
//! and what it inserts is never lost. Places and lengths count Unicode scalar values.

use crate::proto::notes::{Hunk, hunks};
use std::ops::Range;

/// One edit: at a place, so many go, and this comes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Splice {
    /// Where.
    pub at: usize,
    /// How many go.
    pub delete: usize,
    /// What comes in their place.
    pub insert: String,
}

/// What differs, in order.
pub fn differences(old: &str, new: &str) -> Vec<Hunk> {
    let chars = |text: &str| text.chars().collect::<Vec<_>>();
    if old == new { Vec::new() } else { hunks(&chars(old), &chars(new)) }
}

/// The one edit that makes the one text from the other, for a text that one person typed in.
pub fn typed(old: &str, new: &str) -> Option<Splice> {
    let found = differences(old, new);
    let (first, last) = (found.first()?, found.last()?);
    let insert = new.chars().skip(first.new.start).take(last.new.end - first.new.start).collect();
    Some(Splice { at: first.old.start, delete: last.old.end - first.old.start, insert })
}

/// Where a place of the old text lies in the new one. What was inserted right there comes after it, so that nobody's words move the
/// cursor of who stands before them.
pub fn carried(place: usize, differences: &[Hunk]) -> usize {
    let mut shifted = place;
    for Hunk { old, new } in differences {
        if place <= old.start {
            break;
        }
        // Inside of what was replaced: after what stands there now, so that nobody's words are parted.
        shifted = place.max(old.end) - old.end + new.end;
    }
    shifted
}

/// What an edit on the old text means on the new one: what it deleted and is still there goes, its insertion comes where it was meant.
/// In the order in which they are to be carried out.
pub fn rebased(splice: &Splice, differences: &[Hunk]) -> Vec<Splice> {
    let (start, end) = (splice.at, splice.at + splice.delete);
    let mut kept = Vec::new();
    let mut from = start;
    for Hunk { old, .. } in differences.iter().filter(|difference| difference.old.end >= start && difference.old.start < end) {
        if old.start > from {
            kept.push(from..old.start.min(end));
        }
        from = from.max(old.end);
    }
    if from < end {
        kept.push(from..end);
    }
    // What is left of the deletion lies in stretches that are the same in both texts: from behind, so that no place moves before its turn.
    let moved = |range: &Range<usize>| {
        let first = differences.iter().rev().find(|difference| difference.old.end <= range.start);
        first.map_or(range.start, |difference| range.start - difference.old.end + difference.new.end)
    };
    let mut splices: Vec<Splice> =
        kept.iter().rev().map(|range| Splice { at: moved(range), delete: range.len(), insert: String::new() }).collect();
    if !splice.insert.is_empty() {
        let at = carried(start, differences);
        match splices.last_mut().filter(|last| last.at == at) {
            Some(last) => last.insert.clone_from(&splice.insert),
            None => splices.push(Splice { at, delete: 0, insert: splice.insert.clone() }),
        }
    }
    splices
}

#[cfg(test)]
mod laws {
    use super::*;
    use crate::proto::rng::Rng;

    fn apply(text: &str, splice: &Splice) -> String {
        let chars: Vec<char> = text.chars().collect();
        let kept = |range: &[char]| range.iter().collect::<String>();
        kept(&chars[..splice.at]) + &splice.insert + &kept(&chars[splice.at + splice.delete..])
    }

    fn random_text(rng: &mut Rng, longest: u64) -> String {
        (0..rng.below(longest)).map(|_| ['a', 'b', '\n', 'ü', '🦆', ' '][rng.below(6) as usize]).collect()
    }

    fn random_splice(rng: &mut Rng, text: &str, insert: &str) -> Splice {
        let length = text.chars().count();
        let at = rng.below(length as u64 + 1) as usize;
        Splice { at, delete: rng.below((length - at) as u64 + 1).min(6) as usize, insert: insert.into() }
    }

    #[test]
    fn the_differences_applied_to_the_old_text_give_the_new_one() {
        let mut rng = Rng::new([1; 32]);
        for longest in [8, 80, 6_000] {
            for _ in 0..60 {
                let old = random_text(&mut rng, longest);
                let new = if rng.below(4) == 0 {
                    random_text(&mut rng, longest)
                } else {
                    let once = apply(&old, &random_splice(&mut rng, &old, "one"));
                    apply(&once, &random_splice(&mut rng, &once, "two\n"))
                };
                let news: Vec<char> = new.chars().collect();
                let mut made = old.clone();
                for Hunk { old, new } in differences(&old, &new).iter().rev() {
                    let insert = news[new.clone()].iter().collect();
                    made = apply(&made, &Splice { at: old.start, delete: old.len(), insert });
                }
                assert_eq!(made, new);
                assert_eq!(typed(&old, &new).map_or(old.clone(), |splice| apply(&old, &splice)), new);
            }
        }
    }

    #[test]
    fn an_edit_carried_over_loses_no_insertion_and_deletes_nothing_of_others() {
        let mut rng = Rng::new([2; 32]);
        for _ in 0..2_000 {
            let base = random_text(&mut rng, 40);
            let theirs = apply(&base, &random_splice(&mut rng, &base, "THEIRS"));
            let mine = random_splice(&mut rng, &base, "mine");
            let found = differences(&base, &theirs);
            let both = rebased(&mine, &found).iter().fold(theirs.clone(), |text, splice| apply(&text, splice));
            assert!(both.contains("mine"), "{base:?} {mine:?} {theirs:?} {both:?}");
            let without = both.replacen("mine", "", 1);
            assert!(without.contains("THEIRS"), "{base:?} {mine:?} {theirs:?} {both:?}");
        }
    }

    #[test]
    fn a_cursor_keeps_its_place_between_the_same_letters() {
        let place =
            |old: &str, new: &str| carried(old.find('|').unwrap(), &differences(&old.replace('|', ""), &new.replace('|', "")));
        for (old, new) in [
            ("abc|def", "xxabc|def"),
            ("abc|def", "abc|defxx"),
            ("one\nabc|def\ntwo", "ONE\nabc|def\nTWO"),
            ("ab|c", "a|c"),
            ("hello |world", "hello |dear world"),
            ("a\nb|\nc", "b|\nc"),
        ] {
            assert_eq!(place(old, new), new.find('|').unwrap(), "{old:?} {new:?}");
        }
    }
}
