//! Puts what a node tells on the screen: snapshots into the windows' values. Only what changed is set, so that nothing flickers and the
//! focus stays.

use super::words;
use crate::proto::id::SeatId;
use crate::proto::node::view::{CardView, NotesView, ReceiptView, RoomView, TalkView};
use crate::proto::notes::{MarkSpan, View};
use alcove_ui as ui;
use slint::{Model, ModelRc, SharedString, StyledText, VecModel};
use std::ops::Range;
use std::rc::Rc;

/// Rows of a list on the screen.
pub struct Rows<T>(Rc<VecModel<T>>);

impl<T: Clone + PartialEq + 'static> Default for Rows<T> {
    fn default() -> Rows<T> {
        Rows(Rc::new(VecModel::default()))
    }
}

impl<T: Clone + PartialEq + 'static> Rows<T> {
    /// For the window.
    pub fn model(&self) -> ModelRc<T> {
        ModelRc::from(self.0.clone())
    }

    /// Makes the list equal to these, touching no more rows than differ.
    pub fn set(&self, rows: Vec<T>) {
        let old: Vec<T> = self.0.iter().collect();
        let before = old.iter().zip(&rows).take_while(|(a, b)| a == b).count();
        let after = old[before..].iter().rev().zip(rows[before..].iter().rev()).take_while(|(a, b)| a == b).count();
        let end = rows.len() - after;
        self.replace(before..old.len() - after, rows.into_iter().take(end).skip(before));
    }

    /// Puts rows in the place of others.
    pub fn replace(&self, old: Range<usize>, new: impl ExactSizeIterator<Item = T>) {
        if old.len().abs_diff(new.len()) > 64 {
            // Each row that comes or goes is told to the list: many at once are told as one.
            let mut all: Vec<T> = self.0.iter().collect();
            all.splice(old, new);
            return self.0.set_vec(all);
        }
        let mut at = old.start;
        for row in new {
            if at < old.end {
                self.0.set_row_data(at, row);
            } else {
                self.0.insert(at, row);
            }
            at += 1;
        }
        for _ in at..old.end {
            self.0.remove(at);
        }
    }

    /// All rows.
    pub fn iter(&self) -> impl Iterator<Item = T> {
        self.0.iter()
    }
}

/// A card of the board.
pub fn card(card: &CardView, talks: &[TalkView], hour: u32) -> ui::CardItem {
    let talk = card.talk.and_then(|id| talks.iter().find(|talk| talk.talk == id));
    ui::CardItem {
        id: card.card.to_string().into(),
        topic: (&card.terms.topic).into(),
        tags: card.terms.tags.join(", ").into(),
        persona: (&card.persona).into(),
        pattern: words::pattern(card.terms.pattern),
        seats_min: card.terms.seats_min.into(),
        seats_max: card.terms.seats_max.into(),
        taken: talk.and_then(|talk| talk.taken).map_or(-1, i32::from),
        shared_tags: int(card.shared_tags),
        hours_left: int(card.terms.expires_hours.saturating_sub(hour) as usize),
        talk: talk.map(|talk| talk.talk.to_string()).unwrap_or_default().into(),
        state: talk.map_or(ui::TalkState::Gathering, words::state),
    }
}

/// Whether a card fits what was typed above the board.
pub fn fits(card: &CardView, filter: &str) -> bool {
    let filter = filter.to_lowercase();
    filter.split_whitespace().all(|word| {
        card.terms.topic.to_lowercase().contains(word) || card.terms.tags.iter().any(|tag| tag.to_lowercase().contains(word))
    })
}

/// One of my talks, in the list.
pub fn talk(talk: &TalkView, has_news: bool) -> ui::TalkItem {
    ui::TalkItem {
        id: talk.talk.to_string().into(),
        topic: (&talk.topic).into(),
        persona: (&talk.persona).into(),
        state: words::state(talk),
        seats_min: talk.seats_min.into(),
        seats_max: talk.seats_max.into(),
        taken: talk.taken.map_or(-1, i32::from),
        news: has_news,
    }
}

/// The first letters of a persona.
pub fn letters(persona: &str) -> SharedString {
    persona.split_whitespace().filter_map(|word| word.chars().next()).take(2).collect::<String>().into()
}

/// The people of a room.
pub fn seats(room: &RoomView) -> Vec<ui::SeatItem> {
    let seat = |seat: &crate::proto::node::view::SeatView| ui::SeatItem {
        number: seat.number.into(),
        persona: (&seat.persona).into(),
        letters: letters(&seat.persona),
        is_me: seat.is_me,
        standing: words::standing(seat.standing),
        at_table: seat.at_table,
        agreed: seat.agreed,
        is_hidden: seat.is_hidden,
        heard_seconds: seat.heard_seconds_ago.map_or(-1, |seconds| int(seconds as usize)),
    };
    room.seats.iter().map(seat).collect()
}

/// What was said in a room.
pub fn messages(room: &RoomView) -> Vec<ui::MessageItem> {
    let mut before = None;
    room.messages
        .iter()
        .map(|message| ui::MessageItem {
            seat: message.seat.into(),
            persona: (&message.persona).into(),
            letters: letters(&message.persona),
            text: (&message.text).into(),
            is_me: room.seats.iter().any(|seat| seat.is_me && seat.number == message.seat),
            goes_on: before.replace(message.seat) == Some(message.seat),
        })
        .collect()
}

/// The agenda.
pub fn agenda(notes: &View) -> Vec<ui::AgendaItem> {
    let item = |item: &crate::proto::notes::AgendaItem| ui::AgendaItem {
        id: item.id.to_string().into(),
        text: (&item.text).into(),
        minutes: item.minutes.into(),
        done: item.done,
    };
    notes.agenda.iter().map(item).collect()
}

/// Who does what.
pub fn actions(notes: &View, room: &RoomView) -> Vec<ui::ActionItem> {
    let owner = |id: Option<SeatId>| room.seats.iter().find(|seat| Some(seat.id) == id);
    let item = |item: &crate::proto::notes::ActionItem| ui::ActionItem {
        id: item.id.to_string().into(),
        text: (&item.text).into(),
        owner: owner(item.owner).map(|seat| seat.persona.as_str()).unwrap_or_default().into(),
        seat: owner(item.owner).map_or(0, |seat| seat.number.into()),
        done: item.done,
    };
    notes.actions.iter().map(item).collect()
}

/// A paragraph: its text, its bold stretches, and who types in it. It begins after so many scalar values of the text.
pub fn block(text: &str, start: usize, marks: &[MarkSpan], notes: &NotesView, room: &RoomView) -> ui::BlockItem {
    let length = text.chars().count();
    let bold: Vec<Range<usize>> = marks
        .iter()
        .filter(|mark| mark.name == super::wish::BOLD && mark.start < start + length && mark.end > start)
        .map(|mark| mark.start.saturating_sub(start)..(mark.end - start).min(length))
        .collect();
    let here = |at: u32| (start..=start + length).contains(&(at as usize));
    let preview = notes.previews.iter().find(|(_, at, ..)| here(*at));
    let typing = preview.map(|(persona, ..)| persona.as_str()).unwrap_or_default();
    ui::BlockItem {
        text: text.into(),
        has_marks: !bold.is_empty(),
        styled: if bold.is_empty() { StyledText::default() } else { styled(text, &bold) },
        typing: typing.into(),
        preview: preview.map(|(.., insert)| insert.as_str()).unwrap_or_default().into(),
        seat: room.seats.iter().find(|seat| seat.persona == typing).map_or(0, |seat| seat.number.into()),
    }
}

/// Text with bold stretches. The toolkit's only door for styles is Markdown, so everything that it might read as such is escaped, and a
/// stretch begins and ends with a letter or a digit, where its asterisks surely count.
fn styled(text: &str, bold: &[Range<usize>]) -> StyledText {
    let chars: Vec<char> = text.chars().collect();
    let (mut begins, mut ends) = (Vec::new(), Vec::new());
    for range in bold {
        let stretch = &chars[range.clone()];
        let first = stretch.iter().position(|c| c.is_alphanumeric());
        let last = stretch.iter().rposition(|c| c.is_alphanumeric());
        if let (Some(first), Some(last)) = (first, last) {
            begins.push(range.start + first);
            ends.push(range.start + last + 1);
        }
    }
    let mut markdown = String::with_capacity(2 * text.len());
    for (place, c) in chars.iter().enumerate() {
        if ends.contains(&place) {
            markdown.push_str("**");
        }
        if begins.contains(&place) {
            markdown.push_str("**");
        }
        if c.is_ascii_punctuation() {
            markdown.push('\\');
        }
        markdown.push(*c);
    }
    if ends.contains(&chars.len()) {
        markdown.push_str("**");
    }
    StyledText::from_markdown(&markdown).unwrap_or_else(|_| StyledText::from_plain_text(text))
}

/// What remains of a talk.
pub fn receipt(receipt: &ReceiptView, hour: u32) -> ui::ReceiptItem {
    ui::ReceiptItem {
        ending: words::ending(receipt.ending),
        hours_ago: int(hour.saturating_sub(receipt.ended_hours) as usize),
        seats: receipt.seats.into(),
        confirmed: int(receipt.confirmed.0),
        of: int(receipt.confirmed.1),
    }
}

/// A number as the windows count.
pub fn int(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
