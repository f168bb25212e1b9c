//! The notes of the talk on the screen: from what is typed to an edit, and from what others wrote to the paragraphs and the cursor.

use super::{Screens, State};
use crate::app::attendee::editor::{self, Caret};
use crate::app::attendee::paint;
use crate::app::attendee::wish::{self, Act, Wish};
use crate::proto::node::view::NotesView;
use alcove_ui as ui;
use slint::{ComponentHandle, SharedString};

impl Screens {
    pub(super) fn show_notes(&self, state: &mut State, notes: &NotesView, edits_done: u64) {
        let caret = state.editor.caret();
        let replaced = state.editor.show(&notes.notes.text, edits_done);
        let has_other_looks =
            state.notes.as_ref().is_none_or(|before| before.notes.marks != notes.notes.marks || before.previews != notes.previews);
        state.notes = Some(notes.clone());
        let adapter = self.window.global::<ui::NotesAdapter>();
        adapter.set_words(paint::int(notes.notes.text.split_whitespace().count()));
        adapter.set_waiting(paint::int(notes.waiting));
        // The paragraph that is written in shows what it was given when the cursor came, so it is told when others wrote in it.
        let after = state.editor.caret();
        let is_touched = after.zip(replaced.as_ref()).is_some_and(|(caret, rows)| rows.new.contains(&caret.row));
        match replaced {
            _ if has_other_looks || state.blocks.iter().next().is_none() => {
                state.blocks.set(state.blocks_of(0..state.editor.rows().len()))
            }
            Some(replaced) => state.blocks.replace(replaced.old, state.blocks_of(replaced.new).into_iter()),
            None => {}
        }
        if after != caret || is_touched {
            self.place_cursor(state);
        }
    }

    /// Puts the cursor where the editor says.
    pub(super) fn place_cursor(&self, state: &State) {
        let adapter = self.window.global::<ui::NotesAdapter>();
        match state.editor.caret() {
            Some(Caret { row, byte }) => {
                adapter.set_cursor(paint::int(byte));
                adapter.set_row(paint::int(row));
                adapter.set_cursor_set(adapter.get_cursor_set().wrapping_add(1));
            }
            None => adapter.set_row(-1),
        }
    }

    pub(super) fn listen_to_notes(&self) {
        let notes = self.window.global::<ui::NotesAdapter>();
        let mut edited = self.when(|screens, state, (row, text, byte): (i32, SharedString, i32)| {
            let typed = state.editor.typed(count(row), &text, count(byte));
            screens.typed(state, typed, Some(count(row)));
        });
        notes.on_edited(move |row, text, byte| edited((row, text, byte)));
        let mut focused = self.when(|screens, state, (row, byte): (i32, i32)| {
            state.editor.place(Some(Caret { row: count(row), byte: usize::try_from(byte).unwrap_or(usize::MAX) }));
            screens.place_cursor(state);
        });
        notes.on_focused(move |row, byte| focused((row, byte)));
        let mut moved = self.when(|_, state, (row, byte): (i32, i32)| {
            state.editor.place(Some(Caret { row: count(row), byte: count(byte) }));
        });
        notes.on_moved(move |row, byte| moved((row, byte)));
        let joined = self.downgrade();
        notes.on_backspace(move |row| {
            joined.with(|screens, state| {
                let joined = state.editor.join_before(count(row));
                let is_joined = joined.is_some();
                screens.typed(state, joined, None);
                is_joined
            })
        });
        for down in [false, true] {
            let stepped = self.downgrade();
            let step = move |row: i32, byte: i32| {
                stepped.with(|screens, state| {
                    // Within a paragraph the toolkit moves the cursor by itself; at its ends the cursor leaves it.
                    let paragraph = state.editor.rows().get(count(row)).map_or(0, String::len);
                    let is_at_end = if down { count(byte) == paragraph } else { byte == 0 };
                    let is_done = is_at_end && state.editor.step(count(row), down);
                    if is_done {
                        screens.place_cursor(state);
                    }
                    is_done
                })
            };
            if down { notes.on_down(step) } else { notes.on_up(step) }
        }
        let mut undo = self.when(|_, state, ()| {
            if let Some(talk) = state.talk {
                (state.ask)(Wish::Node(Act::Undo(talk)));
            }
        });
        notes.on_undo(move || undo(()));
        let mut embolden = self.when(|_, state, (row, from, to): (i32, i32, i32)| {
            if let (Some(talk), Some(stretch)) = (state.talk, state.editor.stretch(count(row), count(from), count(to))) {
                let is_bold = state.notes.as_ref().is_some_and(|notes| {
                    notes
                        .notes
                        .marks
                        .iter()
                        .any(|mark| mark.name == wish::BOLD && mark.start <= stretch.start && stretch.end <= mark.end)
                });
                (state.ask)(Wish::Node(Act::Embolden(talk, stretch, !is_bold)));
            }
        });
        notes.on_embolden(move |row, from, to| embolden((row, from, to)));
    }

    /// Sends an edit on its way and shows it at once. The paragraph in which it was typed shows it already.
    pub(super) fn typed(&self, state: &mut State, typed: Option<(editor::Edit, editor::Replaced)>, row: Option<usize>) {
        let (Some(talk), Some((edit, replaced))) = (state.talk, typed) else { return };
        let stays = row.is_some_and(|row| replaced.old == (row..row + 1) && replaced.new == replaced.old);
        state.blocks.replace(replaced.old, state.blocks_of(replaced.new).into_iter());
        if !stays {
            self.place_cursor(state);
        }
        (state.ask)(Wish::Node(Act::Edit(talk, edit)));
    }
}

impl State {
    fn blocks_of(&self, rows: std::ops::Range<usize>) -> Vec<ui::BlockItem> {
        let room = self.talk.and_then(|id| self.talks.iter().find(|talk| talk.talk == id)).and_then(|talk| talk.room.as_ref());
        let (Some(room), Some(notes)) = (room, &self.notes) else { return Vec::new() };
        let paragraphs = self.editor.rows().iter().zip(self.editor.row_starts()).take(rows.end).skip(rows.start);
        paragraphs.map(|(text, (start, _))| paint::block(text, start, &notes.notes.marks, notes, room)).collect()
    }
}

fn count(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}
