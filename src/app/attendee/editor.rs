//! The shared notes as paragraphs on a screen: one of them is written in, and what is typed there becomes edits of the whole text.
//!
//! Laws: what is shown is always one text, the last one that the node told or that text with our own edits on top; a text that the node
//! told before it had all our edits is not shown; a remote edit leaves the cursor between the same letters. It knows no window and no node.

pub use super::splice::Splice;
use super::splice::{carried, differences, typed};
use std::ops::Range;
use std::sync::Arc;

/// Where the cursor is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Caret {
    /// Which paragraph.
    pub row: usize,
    /// How many bytes of it are before the cursor.
    pub byte: usize,
}

/// An edit to be carried out by the node, made on a text that the node may have left behind meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    /// The text on which it was made.
    pub before: Arc<str>,
    /// What was done.
    pub splice: Splice,
}

/// Rows in whose place others stand now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// Which rows there were.
    pub old: Range<usize>,
    /// Which rows there are.
    pub new: Range<usize>,
}

/// The notes on the screen.
#[derive(Debug)]
pub struct Editor {
    text: Arc<str>,
    rows: Vec<String>,
    caret: Option<Caret>,
    /// Our edits so far, and how many of them the node has told of.
    edits: u64,
}

impl Default for Editor {
    fn default() -> Editor {
        Editor { text: "".into(), rows: vec![String::new()], caret: None, edits: 0 }
    }
}

impl Editor {
    /// The paragraphs.
    pub fn rows(&self) -> &[String] {
        &self.rows
    }

    /// All of it.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// Where the cursor is.
    pub fn caret(&self) -> Option<Caret> {
        self.caret
    }

    /// How many edits were made here.
    pub fn edits(&self) -> u64 {
        self.edits
    }

    /// Puts the cursor somewhere; beyond the end means at the end.
    pub fn place(&mut self, caret: Option<Caret>) {
        self.caret = caret.map(|caret| {
            let row = caret.row.min(self.rows.len() - 1);
            Caret { row, byte: floor(&self.rows[row], caret.byte) }
        });
    }

    /// Shows what the node tells, if it has carried out so many of our edits as there are. Gives the rows that changed.
    pub fn show(&mut self, text: &str, edits_done: u64) -> Option<Replaced> {
        if edits_done < self.edits || *self.text == *text {
            return None;
        }
        let found = differences(&self.text, text);
        let place = self.caret.map(|caret| carried(self.offset(caret), &found));
        let replaced = self.replace(text);
        self.caret = place.map(|place| self.caret_at(place));
        Some(replaced)
    }

    /// A paragraph was typed in, and the cursor is after so many bytes of it. Gives the edit and the rows that changed.
    pub fn typed(&mut self, row: usize, paragraph: &str, byte: usize) -> Option<(Edit, Replaced)> {
        let old = self.rows.get(row)?;
        let splice = typed(old, paragraph)?;
        let start = self.offset(Caret { row, byte: 0 });
        let before_cursor = paragraph.get(..floor(paragraph, byte))?.chars().count();
        Some(self.edit(Splice { at: start + splice.at, ..splice }, start + before_cursor))
    }

    /// The paragraph is joined to the one before.
    pub fn join_before(&mut self, row: usize) -> Option<(Edit, Replaced)> {
        if row == 0 || row >= self.rows.len() {
            return None;
        }
        let at = self.offset(Caret { row, byte: 0 }) - 1;
        Some(self.edit(Splice { at, delete: 1, insert: String::new() }, at))
    }

    /// The cursor goes up or down from the first or last line of a paragraph.
    pub fn step(&mut self, row: usize, down: bool) -> bool {
        let next = if down { row.checked_add(1).filter(|next| *next < self.rows.len()) } else { row.checked_sub(1) };
        let Some(next) = next else { return false };
        self.place(Some(Caret { row: next, byte: if down { 0 } else { usize::MAX } }));
        true
    }

    /// The stretch of the text between two places of a paragraph; all of it if they are one place.
    pub fn stretch(&self, row: usize, from: usize, to: usize) -> Option<Range<usize>> {
        let paragraph = self.rows.get(row)?;
        let (from, to) = if from == to { (0, paragraph.len()) } else { (from.min(to), from.max(to)) };
        let place = |byte: usize| self.offset(Caret { row, byte: floor(paragraph, byte) });
        Some(place(from)..place(to)).filter(|range| !range.is_empty())
    }

    /// Where a place of the text is.
    pub fn caret_at(&self, place: usize) -> Caret {
        let mut left = place;
        for (row, paragraph) in self.rows.iter().enumerate() {
            let length = paragraph.chars().count();
            if left <= length {
                return Caret { row, byte: paragraph.char_indices().nth(left).map_or(paragraph.len(), |(byte, _)| byte) };
            }
            left -= length + 1;
        }
        let row = self.rows.len() - 1;
        Caret { row, byte: self.rows[row].len() }
    }

    /// In which row each of these places is, in ascending order.
    pub fn row_starts(&self) -> impl Iterator<Item = (usize, usize)> {
        self.rows.iter().scan(0, |at, paragraph| {
            let start = *at;
            let length = paragraph.chars().count();
            *at += length + 1;
            Some((start, length))
        })
    }

    fn edit(&mut self, splice: Splice, cursor: usize) -> (Edit, Replaced) {
        let before = Arc::clone(&self.text);
        let mut text = String::with_capacity(before.len() + splice.insert.len());
        text.extend(before.chars().take(splice.at));
        text.push_str(&splice.insert);
        text.extend(before.chars().skip(splice.at + splice.delete));
        let replaced = self.replace(&text);
        self.edits += 1;
        self.caret = Some(self.caret_at(cursor));
        (Edit { before, splice }, replaced)
    }

    fn replace(&mut self, text: &str) -> Replaced {
        let rows: Vec<String> = text.split('\n').map(str::to_owned).collect();
        let before = self.rows.iter().zip(&rows).take_while(|(a, b)| a == b).count();
        let after = self.rows[before..].iter().rev().zip(rows[before..].iter().rev()).take_while(|(a, b)| a == b).count();
        let replaced = Replaced { old: before..self.rows.len() - after, new: before..rows.len() - after };
        (self.rows, self.text) = (rows, text.into());
        replaced
    }

    fn offset(&self, caret: Caret) -> usize {
        let before: usize = self.rows[..caret.row].iter().map(|paragraph| paragraph.chars().count() + 1).sum();
        before + self.rows[caret.row][..floor(&self.rows[caret.row], caret.byte)].chars().count()
    }
}

/// The largest place not beyond this one that is between two letters.
fn floor(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

/// What an edit means on the text that the node has now.
pub fn on(edit: &Edit, now: &str) -> Vec<Splice> {
    super::splice::rebased(&edit.splice, &differences(&edit.before, now))
}

#[cfg(test)]
mod laws {
    use super::*;

    fn showing(text: &str) -> Editor {
        let mut editor = Editor::default();
        editor.show(text, 0);
        editor
    }

    #[test]
    fn typing_a_letter_is_one_edit_and_leaves_the_cursor_behind_it() {
        let mut editor = showing("one\ntwo\nthree");
        editor.place(Some(Caret { row: 1, byte: 3 }));
        let (edit, replaced) = editor.typed(1, "twos", 4).unwrap();
        assert_eq!(edit.splice, Splice { at: 7, delete: 0, insert: "s".into() });
        assert_eq!((replaced.old, replaced.new), (1..2, 1..2));
        assert_eq!(editor.caret(), Some(Caret { row: 1, byte: 4 }));
        assert_eq!(&**editor.text(), "one\ntwos\nthree");
    }

    #[test]
    fn a_paragraph_is_parted_by_enter_and_joined_by_backspace() {
        let mut editor = showing("häuser");
        let (edit, _) = editor.typed(0, "hä\nuser", 4).unwrap();
        assert_eq!(edit.splice, Splice { at: 2, delete: 0, insert: "\n".into() });
        assert_eq!((editor.rows(), editor.caret()), (&["hä".to_owned(), "user".to_owned()][..], Some(Caret { row: 1, byte: 0 })));
        let (edit, _) = editor.join_before(1).unwrap();
        assert_eq!(edit.splice, Splice { at: 2, delete: 1, insert: String::new() });
        assert_eq!((editor.rows(), editor.caret()), (&["häuser".to_owned()][..], Some(Caret { row: 0, byte: 3 })));
        assert_eq!(editor.join_before(0), None);
    }

    #[test]
    fn a_remote_edit_leaves_the_cursor_between_the_same_letters_wherever_it_is() {
        for (now, caret) in [
            ("zero\none\ntwo", Caret { row: 2, byte: 2 }),
            ("one\ntwo\nthree", Caret { row: 1, byte: 2 }),
            ("ONE\ntwo", Caret { row: 1, byte: 2 }),
            ("one\nXtwo", Caret { row: 1, byte: 3 }),
            ("one two", Caret { row: 0, byte: 6 }),
        ] {
            let mut editor = showing("one\ntwo");
            editor.place(Some(Caret { row: 1, byte: 2 }));
            assert!(editor.show(now, 0).is_some());
            assert_eq!(editor.caret(), Some(caret), "{now:?}");
        }
    }

    #[test]
    fn what_the_node_told_before_it_had_our_edits_is_not_shown() {
        let mut editor = showing("one");
        editor.typed(0, "one more", 8).unwrap();
        assert_eq!(editor.show("one", 0), None);
        assert_eq!(&**editor.text(), "one more");
        assert!(editor.show("one more of theirs", 1).is_some());
    }

    #[test]
    fn an_edit_made_on_an_older_text_is_carried_out_where_it_was_meant() {
        let mut editor = showing("one\ntwo");
        let (edit, _) = editor.typed(1, "two!", 4).unwrap();
        assert_eq!(on(&edit, "zero\none\ntwo"), [Splice { at: 12, delete: 0, insert: "!".into() }]);
        assert_eq!(on(&edit, "one\ntwo"), [Splice { at: 7, delete: 0, insert: "!".into() }]);
    }

    #[test]
    fn a_page_that_is_pasted_changes_only_its_own_rows() {
        let mut editor = showing("one\ntwo\nthree");
        let page = "a line of the page\n".repeat(5_000);
        let (edit, replaced) = editor.typed(1, &format!("t{page}wo"), 1 + page.len()).unwrap();
        assert_eq!(edit.splice.insert.len(), page.len());
        assert_eq!((replaced.old, replaced.new), (1..2, 1..5_002));
        assert_eq!(editor.rows().len(), 5_003);
    }
}
