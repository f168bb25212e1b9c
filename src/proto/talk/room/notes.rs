//! What an open room does for its notes: it carries changes, previews and the words of a fold, and the document as a whole.
//!
//! It opens none of them: what they hold is the notes' own affair, and the node carries it there.

use super::message::Message;
use super::{Effect, Room};
use crate::proto::cx::{Cx, Post};
use crate::proto::error::Fault;
use crate::proto::talk::document::Offered;
use crate::proto::talk::entry::{Body, Entry, SeatNumber};
use crate::proto::talk::preview::Preview;
use crate::proto::talk::roster::Standing;
use crate::proto::time::{Duration, Instant};

impl Room {
    /// Sends a committed change of the notes.
    pub fn change(&mut self, cx: &mut Cx<'_>, generation: u32, bytes: Vec<u8>) {
        self.append(cx, Body::Change { generation, bytes });
    }

    /// Sends keystrokes to whoever is within two hops.
    pub fn preview(&mut self, cx: &mut Cx<'_>, at: u32, delete: u32, insert: String) {
        let preview = Message::Preview(Preview { seat: self.meta.me, at, delete, insert });
        let post = Post::new(&self.current_keys(), &preview).ephemeral().within_hops(1);
        if post.is_small() {
            cx.post(post);
        }
    }

    /// Shows what somebody types until the change comes.
    pub fn keep_preview(&mut self, now: Instant, preview: Preview) {
        if self.meta.roster.seat(preview.seat).is_some() {
            self.previews.keep(now, preview);
        }
    }

    /// What others type, as far as it is fresh.
    pub fn previews(&self, now: Instant) -> impl Iterator<Item = &Preview> {
        self.previews.fresh(now)
    }

    // ---- the document as a whole ----------------------------------------------------------------------------------------------

    /// Asks whoever hears it for the whole document as it is since this fold.
    pub fn ask_for_document(&mut self, cx: &mut Cx<'_>, generation: u32) {
        self.meta.document.want(cx.now, generation);
        self.persist(cx);
        let post = Post::new(&self.current_keys(), &Message::WantDocument).ephemeral();
        cx.post(post.with_mailbox(self.mailbox(cx), self.talk));
    }

    /// A document that others offered is in use, and of this fold.
    pub fn has_document(&mut self, cx: &mut Cx<'_>, generation: u32) {
        if self.meta.document.settle(generation) {
            self.persist(cx);
        }
    }

    /// Whether it is on us to send the document now; said once. The node then calls [`Room::send_document`].
    pub fn take_document_due(&mut self, now: Instant) -> bool {
        self.meta.document.take_answer(now)
    }

    /// Sends the document to whoever lacks what a fold included.
    pub fn send_document(&mut self, cx: &mut Cx<'_>, generation: u32, document: Vec<u8>) {
        let offered = Offered::new(&self.keys, &self.room, self.meta.me, generation, self.meta.folded.clone(), document);
        cx.post(Post::new(&self.current_keys(), &Message::Document(offered)).with_mailbox(self.mailbox(cx), self.talk));
    }

    pub(super) fn take_document(&mut self, offered: Offered) -> Result<Vec<Effect>, Fault> {
        let sender = self.meta.roster.seat(offered.seat).filter(|sender| offered.holds(&self.room, sender));
        let from = sender.ok_or(Fault::Forged("document"))?.id;
        self.meta.document.hear_answer();
        let included = offered.included(self.meta.me);
        match self.meta.document.is_wanted() {
            true => Ok(vec![Effect::Document { from, generation: offered.generation, included, bytes: offered.document }]),
            false => Ok(Vec::new()),
        }
    }

    // ---- the fold -------------------------------------------------------------------------------------------------------------

    /// Sends a word of the fold.
    pub fn fold(&mut self, cx: &mut Cx<'_>, body: Body) -> Vec<Effect> {
        self.append(cx, body)
    }

    /// Remembers how many changes of each seat the fold took in.
    pub fn note_fold(&mut self, folded: Vec<u64>) {
        self.meta.folded = folded;
    }

    /// Lets go of changes of former generations: only their places stay.
    pub fn fold_log(&mut self, cx: &mut Cx<'_>, generation: u32) {
        let former = |entry: &Entry| matches!(&entry.body, Body::Change { generation: of, .. } if *of < generation);
        let folded = self.log.fold(former);
        folded.iter().for_each(|item| self.persist_item(cx, item));
        self.persist(cx);
    }

    /// What makes the folds of this room differ from those of all others.
    pub fn fold_context(&self) -> Vec<u8> {
        self.room.to_vec()
    }

    /// What a seat has said last that it obtains by the fold to this generation: it may have been asked for at other heads before.
    pub fn folded(&self, seat: SeatNumber, generation: u32) -> Option<[u8; 16]> {
        let said = self.log.entries().filter_map(|entry| match entry.body {
            Body::Folded { generation: of, hash } if of == generation && entry.seat == seat => Some(hash),
            _ => None,
        });
        said.last()
    }

    /// The hash on which every seat that sits and was heard within `span` agrees for this generation, our own included.
    pub fn fold_agreed(&self, generation: u32, now: Instant, span: Duration) -> Option<[u8; 16]> {
        let ours = self.folded(self.meta.me, generation)?;
        let counts = |number: SeatNumber| number == self.meta.me || self.attendance.is_here(number, now, span);
        let mut seats = self.meta.roster.seats().filter(|(number, seat)| seat.standing == Standing::Sits && counts(*number));
        seats.all(|(number, _)| self.folded(number, generation) == Some(ours)).then_some(ours)
    }
}
