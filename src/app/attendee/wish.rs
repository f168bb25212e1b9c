//! What a person wants, as values that may leave the screen's thread, and how a node carries out those that are its own.

use super::editor::{self, Edit};
use crate::model::event::SignedPack;
use crate::proto::board::{Pattern, Terms};
use crate::proto::error::Refused;
use crate::proto::handoff::code::Kind;
use crate::proto::handoff::fountain;
use crate::proto::id::{CardId, ItemId, LinkId, TalkId};
use crate::proto::node::Node;
use crate::proto::notes;
use crate::proto::talk::entry::SeatNumber;
use crate::shell::driver::Transport;
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// The mark of bold text.
pub const BOLD: &str = "bold";

/// A wish of the person who holds the device.
#[derive(Clone, PartialEq, Debug)]
pub enum Wish {
    /// One for the node.
    Node(Act),
    /// Show how the node stands now, and what is in this talk.
    Look(Option<TalkId>),
    /// Join the event of this file or code, or take the code of a talk, whichever it is.
    Read(Given),
    /// Use a way to others, or not.
    Switch(Transport, bool),
    /// Try it alone, with companions.
    Practice,
    /// Nothing is to be left on this device.
    EraseEverything,
}

/// Where a code comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Given {
    /// The path of a file.
    Path(PathBuf),
    /// The code's text.
    Text(String),
}

impl Given {
    /// What was typed or handed over by the desktop: the text of a code, or else a path or a `file:` address (RFC 8089).
    pub fn of(text: &str) -> Given {
        if let Some(path) = text.strip_prefix("file://") {
            return Given::Path(PathBuf::from(OsString::from_vec(unescaped(path))));
        }
        let begins = |with: &str| text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
        let is_code = ["alcove:", "http://", "https://", "ws://", "wss://"].into_iter().any(begins);
        if is_code { Given::Text(text.into()) } else { Given::Path(text.into()) }
    }
}

/// Something that a node does at once.
#[derive(Clone, PartialEq, Debug)]
pub enum Act {
    /// Join an event, or renew its pack.
    Join(Box<SignedPack>),
    /// Which tags interest the owner.
    SetInterests(Vec<String>),
    /// Draft a card that ends after so many hours, and post it.
    Post(Terms, u32),
    /// Withdraw a card, or give a seat back.
    Withdraw(TalkId),
    /// Ask for a seat.
    TakeSeat(CardId),
    /// Say something in a room.
    Say(TalkId, String),
    /// Edit the text of the notes.
    Edit(TalkId, Edit),
    /// Mark a stretch of the notes bold, or no longer.
    Embolden(TalkId, Range<usize>, bool),
    /// Edit agenda or actions.
    Plan(TalkId, notes::Edit),
    /// Be the one who does it.
    TakeAction(TalkId, ItemId),
    /// Take back what was written last here.
    Undo(TalkId),
    /// Have what was deleted struck for good.
    Strike(TalkId),
    /// Propose to close, or agree.
    Close(TalkId),
    /// Leave at once.
    Leave(TalkId),
    /// Show no more what a seat says, or show it again.
    Hide(TalkId, SeatNumber, bool),
    /// Want a seat removed.
    Remove(TalkId, SeatNumber),
    /// Tell the organizer.
    Report(String),
    /// Show a code at the table.
    ShowCode(TalkId, Kind),
    /// Show it no more.
    HideCode(TalkId),
    /// The notes as a moving code.
    Animate(TalkId),
    /// A code's text was read.
    Scan(String),
    /// Let a newcomer in, or turn her away.
    Admit(LinkId, bool),
    /// Leave the table.
    LeaveTable(TalkId),
}

/// What came of it, beyond what the next look at the node shows.
pub enum Done {
    /// Nothing more.
    Quietly,
    /// An event was joined, or its pack renewed.
    Joined,
    /// A card was posted.
    Posted(TalkId),
    /// A seat was asked for.
    Asked(TalkId),
    /// The code to show.
    Code(TalkId, String),
    /// The frames to show.
    Frames(TalkId, Box<fountain::Sender>),
    /// So much of a moving code is there.
    Progress(f32),
    /// A report is on its way.
    Reported,
}

/// What a percent-encoded text means (RFC 3986, 2.1); what is no escape stays as it is.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, after @ ..] = rest {
        let escape = after.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let decoded = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(decoded.unwrap_or(*first));
        rest = if decoded.is_some() { &after[2..] } else { after };
    }
    bytes
}

impl Act {
    /// Carries it out.
    ///
    /// # Errors
    /// As the node refuses it; nothing has happened then.
    pub fn carry_out(self, node: &mut Node) -> Result<Done, Refused> {
        match self {
            Act::Join(pack) => return node.join_event(&pack).map(|()| Done::Joined),
            Act::SetInterests(tags) => node.set_interests(tags)?,
            Act::Post(terms, hours) => {
                let expires_hours = node.wall().hours().saturating_add(hours);
                let talk = node.draft_card(Terms { expires_hours, ..terms })?;
                node.post_card(talk)?;
                return Ok(Done::Posted(talk));
            }
            Act::Withdraw(talk) => node.withdraw(talk)?,
            Act::TakeSeat(card) => return node.take_seat(card).map(Done::Asked),
            Act::Say(talk, text) => node.say(talk, &text)?,
            Act::Edit(talk, edit) => {
                let now = node.notes(talk).ok_or(Refused::NotOpen)?.notes.text;
                for editor::Splice { at, delete, insert } in editor::on(&edit, &now) {
                    write(node, talk, notes::Edit::Splice { at, delete, insert })?;
                }
            }
            Act::Embolden(talk, Range { start, end }, is_bold) => {
                let name = BOLD.to_owned();
                let edit = match is_bold {
                    true => notes::Edit::Mark { start, end, name, value: "true".into() },
                    false => notes::Edit::Unmark { start, end, name },
                };
                write(node, talk, edit)?;
            }
            Act::Plan(talk, edit) => write(node, talk, edit)?,
            Act::TakeAction(talk, id) => {
                let room = node.talk(talk).and_then(|talk| talk.room).ok_or(Refused::NotOpen)?;
                let me = room.seats.iter().find(|seat| seat.is_me).map(|seat| seat.id);
                write(node, talk, notes::Edit::SetAction { id, text: None, owner: Some(me), done: None })?;
            }
            Act::Undo(talk) => node.undo(talk)?,
            Act::Strike(talk) => node.strike_for_good(talk)?,
            Act::Close(talk) => node.close(talk)?,
            Act::Leave(talk) => node.leave(talk)?,
            Act::Hide(talk, seat, hidden) => node.hide(talk, seat, hidden)?,
            Act::Remove(talk, seat) => node.remove(talk, seat)?,
            Act::Report(text) => return node.report(&text).map(|()| Done::Reported),
            Act::ShowCode(talk, kind) => return node.show_handoff(talk, kind).map(|text| Done::Code(talk, text)),
            Act::HideCode(talk) => node.hide_handoff(talk),
            Act::Animate(talk) => return node.animated_code(talk).map(|sender| Done::Frames(talk, Box::new(sender))),
            Act::Scan(text) => return node.scan(&text).map(|progress| progress.map_or(Done::Quietly, Done::Progress)),
            Act::Admit(link, admitted) => node.admit(link, admitted)?,
            Act::LeaveTable(talk) => node.leave_table(talk)?,
        }
        Ok(Done::Quietly)
    }

    /// Whether the screen counts it among its edits of the notes.
    pub fn is_edit(&self) -> bool {
        matches!(self, Act::Edit(..))
    }
}

/// What a change cannot hold is cut into several.
fn write(node: &mut Node, talk: TalkId, edit: notes::Edit) -> Result<(), Refused> {
    for piece in edit.pieces() {
        if node.edit(talk, std::slice::from_ref(&piece)) == Err(Refused::OutOfRange) {
            node.flush(talk)?;
            node.edit(talk, &[piece])?;
        }
    }
    Ok(())
}

/// What a card says, as it was typed.
pub fn terms(topic: &str, tags: &str, pattern: Pattern, seats: (u8, u8)) -> Terms {
    Terms { topic: topic.trim().to_owned(), tags: tags_of(tags), pattern, seats_min: seats.0, seats_max: seats.1, expires_hours: 0 }
}

/// Tags with commas between them.
pub fn tags_of(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod laws {
    use super::*;

    #[test]
    fn what_the_desktop_hands_over_is_a_code_or_a_path() {
        let path = |text: &str| Given::Path(text.into());
        assert_eq!(Given::of("alcove:h?x"), Given::Text("alcove:h?x".into()));
        assert_eq!(Given::of("ALCOVE:ABC"), Given::Text("ALCOVE:ABC".into()));
        assert_eq!(Given::of("event.alcove"), path("event.alcove"));
        assert_eq!(Given::of("file:///home/me/My%20event.alcove"), path("/home/me/My event.alcove"));
        assert_eq!(Given::of("file:///home/me/H%C3%A4user"), path("/home/me/Häuser"));
        assert_eq!(Given::of("file:///100%"), path("/100%"));
        assert_eq!(Given::of("file:///%zz%"), path("/%zz%"));
    }
}
