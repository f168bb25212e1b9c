//! The end of a talk on this device: what is said last, what is forgotten, and what remains.
//!
//! Laws: a talk's records and keys go in the same batch that brings its receipt, so that a crash leaves the whole talk or nothing of
//! it; the last words (certificate, confirmation, goodbye) are remembered with the receipt until nobody needs them, so that a crash
//! takes nobody's end away. Whatever else was left at the relay for the talk is withdrawn.

use super::Node;
use super::talks::{post_card, receipt_name};
use crate::proto::config::MARKER_HOURS;
use crate::proto::cx::{Post, Via};
use crate::proto::id::TalkId;
use crate::proto::io::{Event, Output, Persist, Scope};
use crate::proto::talk::Stage;
use crate::proto::talk::close::{Certificate, Ending, LastWord, Receipt};
use crate::proto::talk::rejoin::Stub;
use crate::proto::talk::seats::Errand;
use crate::proto::wire::parcel::Parcel;

impl Node {
    /// The talk ends on this device: its last words are sealed, its key is destroyed, its receipt remains.
    pub(super) fn end_talk(&mut self, id: TalkId, ending: Ending, certificate: Option<&Certificate>) {
        let receipt = self.with_cx(|parts, cx| match &mut parts.talks.get_mut(&id)?.stage {
            Stage::Open(room) => {
                if let Some(withdrawn) = room.take_card() {
                    post_card(parts.board, cx, &withdrawn);
                }
                Some(room.finish(cx, ending, certificate))
            }
            Stage::Hosting(hosting) => {
                hosting.decline_all(cx, id);
                post_card(parts.board, cx, &hosting.door.next_card(false).1);
                None
            }
            Stage::Waiting(waiting) => match waiting.errand() {
                // A device that lost its keys learns of the end by its stub.
                Errand::Return(stub) => {
                    let hashes = certificate.map(Certificate::token_hashes).unwrap_or_default();
                    let (until, afterlife) = (cx.event.ends.hours() + MARKER_HOURS, stub.afterlife.clone());
                    Some(Receipt::new(ending, cx.wall, hashes.len() as u8, hashes, afterlife, until, stub.bucket))
                }
                Errand::Card { .. } | Errand::Table => None,
            },
            Stage::Drafted(_) => None,
        });
        // Sealed while their keys are here; they leave once the talk is gone.
        let last: Vec<_> = std::mem::take(&mut self.posts).into_iter().map(|post| (self.seal_post(&post), post)).collect();
        if let Some(mut receipt) = receipt.flatten() {
            if matches!(ending, Ending::Left | Ending::Removed) || receipt.is_awaited() {
                receipt.words = last.iter().flat_map(|(parcels, post)| last_words(parcels, post)).collect();
            }
            self.with_cx(|_, cx| cx.put(Scope::Durable, &receipt_name(id), &receipt));
            self.receipts.insert(id, receipt);
        }
        self.drop_talk(id);
        last.into_iter().for_each(|(parcels, post)| self.send_sealed(&post, parcels));
        self.tell(Event::TalkErased(id));
        self.read_early_confirmations(id);
    }

    /// Others may have confirmed before we knew of the end: what they said is carried, and nobody here could read it.
    fn read_early_confirmations(&mut self, id: TalkId) {
        let Some(keys) = self.receipts.get(&id).map(|receipt| receipt.afterlife.receipt_keys()) else { return };
        let early: Vec<_> = self.mesh.carried_parcels().filter(|parcel| keys.recognises(parcel)).cloned().collect();
        early.iter().for_each(|parcel| self.read(parcel, None, Via::Link));
    }

    /// Forgets a talk without a word, and withdraws what was left at the relay for it.
    pub(super) fn drop_talk(&mut self, id: TalkId) {
        self.forget_talk(id);
        self.with_cx(|parts, cx| parts.mailbox.withdraw(cx, id));
    }

    /// Destroys the talk's key and everything of it in memory.
    pub(super) fn forget_talk(&mut self, id: TalkId) {
        self.talks.remove(&id);
        self.notes.remove(&id);
        self.jobs.retain(|_, talk| *talk != id);
        self.table.forget(id);
        self.assemblers.retain(|reader, _| !reader.is_of(id));
        self.with_cx(|_, cx| {
            cx.delete(Scope::Durable, &Stub::name(id));
            cx.out.push_back(Output::Persist(Persist::Forget { talk: id }));
        });
    }

    /// Somebody confirmed that it has erased. What came over a link is left at the relay too: who confirmed may have no relay, and
    /// who waits no neighbour.
    pub(super) fn confirm(&mut self, id: TalkId, token: &[u8; 16], came_by_link: Option<&Parcel>) {
        let Some(receipt) = self.receipts.get_mut(&id) else { return };
        if !receipt.confirm(token) {
            return;
        }
        let is_awaited = receipt.is_awaited();
        if !is_awaited {
            // Nobody is away any more who would need the certificate. Ours to confirm may still be on its way to somebody.
            receipt.words.retain(|word| !word.is_withdrawn);
        }
        let (receipt, now) = (receipt.clone(), self.now);
        self.with_cx(|parts, cx| {
            cx.put(Scope::Durable, &receipt_name(id), &receipt);
            if !is_awaited {
                parts.mailbox.withdraw(cx, id);
            }
            if let Some(parcel) = came_by_link {
                let hours = parcel.travel().expiry_hours.saturating_sub(cx.wall.hours()).clamp(1, 168) as u8;
                parts.mailbox.leave(now, cx.event.bucket(receipt.bucket).write_name(), parcel.clone(), hours, None);
            }
        });
        self.tell(Event::TalkErased(id));
    }

    /// After a restart: says again what was said last, and withdraws what was to be withdrawn.
    pub(super) fn repeat_last_words(&mut self) {
        let (now, wall) = (self.now, self.clock.latest(self.now));
        let words: Vec<_> =
            self.receipts.iter().flat_map(|(id, receipt)| receipt.words.iter().map(|word| (*id, word.clone()))).collect();
        for (id, word) in words {
            let Ok(parcel) = Parcel::decode(word.parcel) else { continue };
            if parcel.travel().expiry_hours <= wall.hours() {
                continue;
            }
            if let Some(to) = word.mailbox {
                self.mailbox.leave(now, to, parcel.clone(), word.hours, word.is_withdrawn.then_some(id));
            }
            self.originate(parcel);
        }
        let over = |id: &TalkId| !self.talks.contains_key(id) && !self.receipts.get(id).is_some_and(Receipt::is_awaited);
        let over: Vec<_> = self.mailbox.owners().filter(over).collect();
        for id in over {
            self.with_cx(|parts, cx| parts.mailbox.withdraw(cx, id));
        }
    }

    pub(super) fn expire_receipts(&mut self) {
        let hours = self.clock.believed(self.now).hours();
        let over: Vec<_> =
            self.receipts.iter().filter(|(_, receipt)| receipt.marker_until_hours < hours).map(|(id, _)| *id).collect();
        for id in over {
            self.receipts.remove(&id);
            self.with_cx(|_, cx| cx.delete(Scope::Durable, &receipt_name(id)));
        }
    }
}

fn last_words(parcels: &[Parcel], post: &Post) -> Vec<LastWord> {
    let word = |parcel: &Parcel| LastWord {
        parcel: parcel.as_bytes().to_vec(),
        mailbox: post.mailbox,
        hours: post.hours,
        is_withdrawn: post.owner.is_some(),
    };
    parcels.iter().filter(|parcel| !parcel.travel().ephemeral).map(word).collect()
}
