//! Carries an edit over to a document that has moved on: what undo and rebase have in common.
//!
//! Laws: what the edit inserted arrives, beside the nearest neighbour that is still there; what it deleted goes if it is there and is
//! nothing if it is not; nothing else changes.

use super::diff::hunks;
use super::document::{ChangeBytes, Document};
use super::edit::Edit;
use super::view::{ActionItem, AgendaItem, MarkSpan, View};
use std::collections::BTreeSet;

/// Where each scalar value of one text is in another, ascending; `None` for those that are not there.
pub(super) struct Placement(pub Vec<Option<usize>>);

impl Placement {
    /// Of a text in another that has no common history with it: by their minimal difference.
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
    fn after_neighbour_of(&self, place: usize) -> usize {
        let left = self.0.iter().take(place).rev().find_map(|found| *found);
        left.map_or(0, |neighbour| neighbour + 1)
    }
}

/// What happens to a field that has a third value by now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clash {
    /// It keeps it: an undo touches only what is still its own.
    KeepTheirs,
    /// It is overwritten: an edit that comes late is still an edit.
    WriteMine,
}

/// Does to `notes` what was done between `from` and `to`; `placement` says where each scalar value of `from` is in them now. The
/// result is changes to be sent.
pub(super) fn carry(from: &View, to: &View, placement: &Placement, notes: &mut Document, clash: Clash) -> Vec<ChangeBytes> {
    let onto = notes.view();
    let (edits, result) = carry_text(from, to, placement, onto.text.chars().count());
    let mut changes = notes.write(edits);
    // Which marks the inserted text has inherited is best asked of the text itself.
    changes.extend(notes.write(carry_marks(from, to, placement, &result, &notes.marks())));
    changes.extend(notes.write(carry_agenda(&from.agenda, &to.agenda, &onto.agenda, clash)));
    changes.extend(notes.write(carry_actions(&from.actions, &to.actions, &onto.actions, clash)));
    changes.extend(notes.settle());
    changes
}

/// One scalar value of the text as it will be.
#[derive(Clone, Copy)]
enum Origin {
    /// It stood here before.
    Onto(usize),
    /// It comes from here in `to`.
    To(usize),
}

fn carry_text(from: &View, to: &View, placement: &Placement, onto_length: usize) -> (Vec<Edit>, Vec<Origin>) {
    let old: Vec<char> = from.text.chars().collect();
    let new: Vec<char> = to.text.chars().collect();
    let mut edits = Vec::new();
    let mut result: Vec<Origin> = (0..onto_length).map(Origin::Onto).collect();
    // From the back, so that the places before stay what they are.
    for hunk in hunks(&old, &new).into_iter().rev() {
        for place in placement.0[hunk.old.clone()].iter().rev().flatten() {
            result.remove(*place);
            match edits.last_mut() {
                Some(Edit::Splice { at, delete, insert }) if *at == place + 1 && insert.is_empty() => {
                    (*at, *delete) = (*place, *delete + 1);
                }
                _ => edits.push(Edit::Splice { at: *place, delete: 1, insert: String::new() }),
            }
        }
        if !hunk.new.is_empty() {
            let at = placement.after_neighbour_of(hunk.old.start);
            result.splice(at..at, hunk.new.clone().map(Origin::To));
            edits.push(Edit::Splice { at, delete: 0, insert: new[hunk.new].iter().collect() });
        }
    }
    (edits, result)
}

/// The marks that inserted text had, and those that were set or removed on text that is still there; `now` are the marks of `result`.
fn carry_marks(from: &View, to: &View, placement: &Placement, result: &[Origin], now: &[MarkSpan]) -> Vec<Edit> {
    let (old, new): (Vec<char>, Vec<char>) = (from.text.chars().collect(), to.text.chars().collect());
    let onto_length = placement.0.iter().flatten().max().map_or(0, |last| last + 1);
    // Where what is still there stood in `from` and stands in `to`, by its place before.
    let mut kept: Vec<Option<(usize, usize)>> = vec![None; onto_length];
    let (mut left, mut right) = (0, 0);
    for hunk in hunks(&old, &new).iter().map(Some).chain([None]) {
        let end = hunk.map_or(old.len(), |hunk| hunk.old.start);
        for place in left..end {
            if let Some(found) = placement.0[place] {
                kept[found] = Some((place, place - left + right));
            }
        }
        (left, right) = hunk.map_or((left, right), |hunk| (hunk.old.end, hunk.new.end));
    }
    let mut edits = Vec::new();
    let names: BTreeSet<&str> = from.marks.iter().chain(&to.marks).chain(now).map(|mark| mark.name.as_str()).collect();
    for name in names {
        let before = values(name, &from.marks, old.len());
        let after = values(name, &to.marks, new.len());
        let there = values(name, now, result.len());
        let wanted = result.iter().enumerate().map(|(place, origin)| {
            let wish = match origin {
                Origin::To(source) => Some(after[*source]),
                Origin::Onto(place) => {
                    let kept = kept.get(*place).copied().flatten();
                    kept.filter(|(old, new)| before[*old] != after[*new]).map(|(_, new)| after[new])
                }
            };
            wish.filter(|wish| *wish != there[place])
        });
        runs(wanted, name, &mut edits);
    }
    edits
}

/// What the mark `name` is worth at each place.
fn values<'a>(name: &str, marks: &'a [MarkSpan], length: usize) -> Vec<Option<&'a str>> {
    let mut values = vec![None; length];
    for mark in marks.iter().filter(|mark| mark.name == name) {
        let end = mark.end.min(length);
        values[mark.start.min(end)..end].fill(Some(mark.value.as_str()));
    }
    values
}

/// One edit for each run of the same wish.
fn runs<'a>(wanted: impl Iterator<Item = Option<Option<&'a str>>>, name: &str, edits: &mut Vec<Edit>) {
    let mut run: Option<(usize, Option<&str>)> = None;
    for (place, wish) in wanted.chain([None]).enumerate() {
        if let Some((start, value)) = run
            && wish != Some(value)
        {
            let name = name.to_owned();
            edits.push(match value {
                Some(value) => Edit::Mark { start, end: place, name, value: value.to_owned() },
                None => Edit::Unmark { start, end: place, name },
            });
            run = None;
        }
        if let (None, Some(value)) = (run, wish) {
            run = Some((place, value));
        }
    }
}

/// The new value of a field, if it is to be written.
fn field<T: PartialEq + Clone>(from: &T, to: &T, onto: &T, clash: Clash) -> Option<T> {
    let mine = clash == Clash::WriteMine || onto == from;
    (from != to && onto != to && mine).then(|| to.clone())
}

fn carry_agenda(from: &[AgendaItem], to: &[AgendaItem], onto: &[AgendaItem], clash: Clash) -> Vec<Edit> {
    let mut edits = Vec::new();
    for item in to {
        let before = from.iter().find(|other| other.id == item.id);
        match (before, onto.iter().find(|other| other.id == item.id)) {
            (None, None) => {
                edits.push(Edit::AddAgenda { id: item.id, text: item.text.clone(), minutes: item.minutes });
                if item.done {
                    edits.push(Edit::SetAgenda { id: item.id, text: None, minutes: None, done: Some(true) });
                }
            }
            (Some(before), Some(now)) => {
                let text = field(&before.text, &item.text, &now.text, clash);
                let minutes = field(&before.minutes, &item.minutes, &now.minutes, clash);
                let done = field(&before.done, &item.done, &now.done, clash);
                if text.is_some() || minutes.is_some() || done.is_some() {
                    edits.push(Edit::SetAgenda { id: item.id, text, minutes, done });
                }
            }
            (None, Some(_)) | (Some(_), None) => {}
        }
    }
    for item in from.iter().filter(|item| to.iter().all(|other| other.id != item.id)) {
        if onto.iter().any(|now| now.id == item.id && (clash == Clash::WriteMine || now == item)) {
            edits.push(Edit::RemoveAgenda { id: item.id });
        }
    }
    edits
}

fn carry_actions(from: &[ActionItem], to: &[ActionItem], onto: &[ActionItem], clash: Clash) -> Vec<Edit> {
    let mut edits = Vec::new();
    for item in to {
        let before = from.iter().find(|other| other.id == item.id);
        match (before, onto.iter().find(|other| other.id == item.id)) {
            (None, None) => {
                edits.push(Edit::AddAction { id: item.id, text: item.text.clone(), owner: item.owner });
                if item.done {
                    edits.push(Edit::SetAction { id: item.id, text: None, owner: None, done: Some(true) });
                }
            }
            (Some(before), Some(now)) => {
                let text = field(&before.text, &item.text, &now.text, clash);
                let owner = field(&before.owner, &item.owner, &now.owner, clash);
                let done = field(&before.done, &item.done, &now.done, clash);
                if text.is_some() || owner.is_some() || done.is_some() {
                    edits.push(Edit::SetAction { id: item.id, text, owner, done });
                }
            }
            (None, Some(_)) | (Some(_), None) => {}
        }
    }
    for item in from.iter().filter(|item| to.iter().all(|other| other.id != item.id)) {
        if onto.iter().any(|now| now.id == item.id && (clash == Clash::WriteMine || now == item)) {
            edits.push(Edit::RemoveAction { id: item.id });
        }
    }
    edits
}
