//! Carries an edit over to a document that has moved on: what undo and rebase have in common.
//!
//! Laws: what the edit inserted arrives, beside the nearest neighbour that is still there; what it deleted goes if it is there and is
//! nothing if it is not; nothing else changes.

use super::document::{ChangeBytes, Document};
use super::edit::Edit;
use super::placement::Placement;
use super::view::{ActionItem, AgendaItem, MarkSpan, View};
use automerge::ChangeHash;
use std::collections::BTreeSet;

/// What happens to a field that has a third value by now.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Clash {
    /// It keeps it: an undo touches only what is still its own.
    KeepTheirs,
    /// It is overwritten: an edit that comes late is still an edit.
    WriteMine,
}

/// What was done between two moments of one document.
pub(super) struct Step {
    pub from: View,
    pub to: View,
    /// Where the text of `from` is in that of `to`.
    pub kept: Placement,
}

impl Step {
    /// From some heads of a document to others, which may be later or earlier.
    pub fn between(notes: &Document, from: &[ChangeHash], to: &[ChangeHash]) -> Self {
        let kept = Placement::by_history(&notes.settled, &notes.roots.text, from, to);
        let view = |heads| View::at(&notes.settled, &notes.roots, heads);
        Self { from: view(from), to: view(to), kept }
    }

    /// Does to `notes` what was done in this step; `placement` says where the text of `from` is in them now. The result is changes to
    /// be sent.
    pub fn carry(&self, placement: &Placement, notes: &mut Document, clash: Clash) -> Vec<ChangeBytes> {
        let onto = notes.view();
        let (edits, result) = self.carry_text(placement, onto.text.chars().count());
        let mut changes = notes.write(edits);
        // Which marks the inserted text has inherited is best asked of the text itself.
        changes.extend(notes.write(self.carry_marks(placement, &result, &notes.marks())));
        changes.extend(notes.write(carry_agenda(&self.from.agenda, &self.to.agenda, &onto.agenda, clash)));
        changes.extend(notes.write(carry_actions(&self.from.actions, &self.to.actions, &onto.actions, clash)));
        changes.extend(notes.settle());
        changes
    }

    fn carry_text(&self, placement: &Placement, onto_length: usize) -> (Vec<Edit>, Vec<Origin>) {
        let new: Vec<char> = self.to.text.chars().collect();
        let mut edits = Vec::new();
        let mut result: Vec<Origin> = (0..onto_length).map(Origin::Onto).collect();
        // From the back, so that the places before stay what they are.
        for hunk in self.kept.hunks(new.len()).into_iter().rev() {
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

    /// The marks that inserted text had, and those that were set or removed on text that is still there; `now` are the marks of
    /// `result`.
    fn carry_marks(&self, placement: &Placement, result: &[Origin], now: &[MarkSpan]) -> Vec<Edit> {
        let Self { from, to, kept } = self;
        let (old_length, new_length) = (from.text.chars().count(), to.text.chars().count());
        // Where what is still there stood in `from` and stands in `to`, by its place before.
        let mut still: Vec<Option<(usize, usize)>> = vec![None; placement.end()];
        for (old, (place, new)) in placement.0.iter().zip(&kept.0).enumerate() {
            if let (Some(place), Some(new)) = (place, new) {
                still[*place] = Some((old, *new));
            }
        }
        let mut edits = Vec::new();
        let names: BTreeSet<&str> = from.marks.iter().chain(&to.marks).chain(now).map(|mark| mark.name.as_str()).collect();
        for name in names {
            let before = values(name, &from.marks, old_length);
            let after = values(name, &to.marks, new_length);
            let there = values(name, now, result.len());
            let wanted = result.iter().enumerate().map(|(place, origin)| {
                let wish = match origin {
                    Origin::To(source) => Some(after[*source]),
                    Origin::Onto(place) => {
                        let still = still.get(*place).copied().flatten();
                        still.filter(|(old, new)| before[*old] != after[*new]).map(|(_, new)| after[new])
                    }
                };
                wish.filter(|wish| *wish != there[place])
            });
            runs(wanted, name, &mut edits);
        }
        edits
    }
}

/// One scalar value of the text as it will be.
#[derive(Clone, Copy)]
enum Origin {
    /// It stood here before.
    Onto(usize),
    /// It comes from here in `to`.
    To(usize),
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
