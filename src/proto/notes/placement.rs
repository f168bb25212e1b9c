//! Where the characters of one text are in another.
//!
//! Laws: places ascend, because nothing in a text ever moves past something else; by history a character is found by its identity,
//! however many others look like it, and by difference so that as few as possible are taken for new.

use super::diff::{Hunk, hunks};
use automerge::{Automerge, ChangeHash, ObjId, PatchAction, ReadDoc};

/// For each scalar value of a text its place in the other; `None` for those that are not there.
pub(super) struct Placement(pub Vec<Option<usize>>);

impl Placement {
    /// In a text that has no history in common.
    pub fn by_difference(from: &str, onto: &str) -> Self {
        let (from, onto): (Vec<char>, Vec<char>) = (from.chars().collect(), onto.chars().collect());
        let mut places = Vec::with_capacity(from.len());
        let (mut old, mut new) = (0, 0);
        for hunk in hunks(&from, &onto) {
            places.extend((old..hunk.old.start).map(|place| Some(place - old + new)));
            places.extend(hunk.old.clone().map(|_| None));
            (old, new) = (hunk.old.end, hunk.new.end);
        }
        places.extend((old..from.len()).map(|place| Some(place - old + new)));
        Self(places)
    }

    /// In the same text at other heads.
    pub fn by_history(document: &Automerge, text: &ObjId, from: &[ChangeHash], to: &[ChangeHash]) -> Self {
        let old = document.text_at(text, from).unwrap_or_default();
        let mut origins: Vec<Option<usize>> = (0..old.chars().count()).map(Some).collect();
        let mut places = vec![None; origins.len()];
        for patch in document.diff_obj(text, from, to, false).unwrap_or_default() {
            match patch.action {
                PatchAction::SpliceText { index, value, .. } if index <= origins.len() => {
                    origins.splice(index..index, value.make_string().chars().map(|_| None));
                }
                PatchAction::DeleteSeq { index, length } if index.saturating_add(length) <= origins.len() => {
                    origins.drain(index..index + length);
                }
                // Marks leave text where it is; nothing else is ever in ours.
                _ => {}
            }
        }
        for (place, origin) in origins.iter().enumerate() {
            if let Some(origin) = origin {
                places[*origin] = Some(place);
            }
        }
        Self(places)
    }

    /// Fills each gap between two values that are there, if exactly the missing ones stand there again.
    pub fn fill_gaps(&mut self, from: &str, onto: &str, is_mine: impl Fn(usize) -> bool) {
        let (from, onto): (Vec<char>, Vec<char>) = (from.chars().collect(), onto.chars().collect());
        let mut start = 0;
        while start < self.0.len() {
            let end = self.0.iter().skip(start).position(Option::is_some).map_or(self.0.len(), |length| start + length);
            let first = self.after_neighbour_of(start);
            let next = self.0.get(end).copied().flatten().unwrap_or(onto.len());
            if start < end && onto.get(first..next) == from.get(start..end) && (first..next).all(&is_mine) {
                self.0.iter_mut().take(end).skip(start).zip(first..next).for_each(|(slot, place)| *slot = Some(place));
            }
            start = end + 1;
        }
    }

    /// Where to insert what stood before `place`.
    pub fn after_neighbour_of(&self, place: usize) -> usize {
        let left = self.0.iter().take(place).rev().find_map(|found| *found);
        left.map_or(0, |neighbour| neighbour + 1)
    }

    /// One past the last place.
    pub fn end(&self) -> usize {
        self.after_neighbour_of(self.0.len())
    }

    /// What was replaced by what, if the other text has this length.
    pub fn hunks(&self, new_length: usize) -> Vec<Hunk> {
        let mut hunks = Vec::new();
        let (mut old, mut new) = (0, 0);
        for (place, found) in self.0.iter().enumerate().chain([(self.0.len(), &Some(new_length))]) {
            let Some(found) = found else { continue };
            if old < place || new < *found {
                hunks.push(Hunk { old: old..place, new: new..*found });
            }
            (old, new) = (place + 1, found + 1);
        }
        hunks
    }
}
