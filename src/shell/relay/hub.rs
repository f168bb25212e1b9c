//! Who reads which mailbox, and what each connection still has to say.
//!
//! Law: a connection holds no blobs, only cursors and the names of mailboxes in which there may be news; it reads the next blob when its
//! socket takes one. So a slow reader costs as much memory as a fast one and loses nothing. Answers to puts are bounded by their permits.

use super::message::{Reply, SUBSCRIPTIONS_MAX};
use crate::proto::id::WriteName;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit};

/// All subscriptions of the relay.
#[derive(Default)]
pub struct Hub {
    readers: Mutex<HashMap<WriteName, Vec<Arc<Outbox>>>>,
}

impl Hub {
    /// There is news in these mailboxes.
    pub fn wake(&self, mailboxes: impl Iterator<Item = WriteName>) {
        let readers = lock(&self.readers);
        for mailbox in mailboxes {
            readers.get(&mailbox).into_iter().flatten().for_each(|outbox| outbox.wake(mailbox));
        }
    }

    /// From now on this connection hears of the mailbox, from `after` on. A second time moves the cursor. `false`: too many.
    pub fn subscribe(&self, outbox: &Arc<Outbox>, mailbox: WriteName, after: u64) -> bool {
        let Some(is_new) = outbox.subscribe(mailbox, after) else { return false };
        if is_new {
            lock(&self.readers).entry(mailbox).or_default().push(outbox.clone());
            // What came between the two steps is found by the reading that this asks for.
            outbox.wake(mailbox);
        }
        true
    }

    /// No more of it.
    pub fn unsubscribe(&self, outbox: &Arc<Outbox>, mailbox: WriteName) {
        if outbox.unsubscribe(mailbox) {
            self.remove(outbox, mailbox);
        }
    }

    /// The connection is gone.
    pub fn leave(&self, outbox: &Arc<Outbox>) {
        outbox.take_mailboxes().into_iter().for_each(|mailbox| self.remove(outbox, mailbox));
    }

    fn remove(&self, outbox: &Arc<Outbox>, mailbox: WriteName) {
        let mut readers = lock(&self.readers);
        if let Some(list) = readers.get_mut(&mailbox) {
            list.retain(|other| !Arc::ptr_eq(other, outbox));
            if list.is_empty() {
                readers.remove(&mailbox);
            }
        }
    }
}

/// What a connection does next.
pub enum Step {
    /// Say this. The permit is given back when it has been said.
    Say(Reply, Option<OwnedSemaphorePermit>),
    /// Read the next blob of this mailbox and report with [`Outbox::sent`] or [`Outbox::drained`].
    Read {
        /// Which mailbox.
        mailbox: WriteName,
        /// After this cursor.
        after: u64,
    },
    /// Nothing to do; wait for [`Outbox::news`]. If the connection ends, say the reason of the WebSocket close (RFC 6455, 7.4.1).
    Rest {
        /// Set by [`Outbox::end`].
        ending: Option<u16>,
    },
}

/// One connection's subscriptions and unsaid answers.
#[derive(Default)]
pub struct Outbox {
    inside: Mutex<Inside>,
    news: Notify,
}

#[derive(Default)]
struct Inside {
    answers: VecDeque<(Reply, Option<OwnedSemaphorePermit>)>,
    /// A tree, because a hash table of so many takes twice the memory.
    subscriptions: BTreeMap<WriteName, Subscription>,
    /// Mailboxes with `is_due`, each once, in turn.
    due: VecDeque<WriteName>,
    ending: Option<u16>,
}

struct Subscription {
    after: u64,
    is_due: bool,
    is_caught_up: bool,
}

impl Inside {
    fn make_due(&mut self, mailbox: WriteName) {
        if let Some(subscription) = self.subscriptions.get_mut(&mailbox)
            && !subscription.is_due
        {
            subscription.is_due = true;
            self.due.push_back(mailbox);
        }
    }
}

impl Outbox {
    /// Says this after what is to be said already.
    pub fn answer(&self, reply: Reply, permit: Option<OwnedSemaphorePermit>) {
        lock(&self.inside).answers.push_back((reply, permit));
        self.news.notify_one();
    }

    /// The next thing to do; answers first, then the mailboxes in turn.
    pub fn next(&self) -> Step {
        let mut inside = lock(&self.inside);
        if let Some((reply, permit)) = inside.answers.pop_front() {
            return Step::Say(reply, permit);
        }
        while inside.ending.is_none()
            && let Some(mailbox) = inside.due.pop_front()
        {
            if let Some(subscription) = inside.subscriptions.get_mut(&mailbox) {
                // Cleared before the reading, so that news during it is not lost.
                subscription.is_due = false;
                return Step::Read { mailbox, after: subscription.after };
            }
        }
        Step::Rest { ending: inside.ending }
    }

    /// This blob is said; there may be more.
    pub fn sent(&self, mailbox: WriteName, after: u64, cursor: u64) {
        let mut inside = lock(&self.inside);
        // A subscription that was moved meanwhile keeps its new cursor.
        if let Some(subscription) = inside.subscriptions.get_mut(&mailbox)
            && subscription.after == after
        {
            subscription.after = cursor;
        }
        inside.make_due(mailbox);
    }

    /// There was nothing after this cursor. `true`: say so, for the first time since the subscription.
    pub fn drained(&self, mailbox: WriteName, after: u64) -> bool {
        let mut inside = lock(&self.inside);
        match inside.subscriptions.get_mut(&mailbox) {
            Some(subscription) if subscription.after == after && !subscription.is_caught_up => {
                subscription.is_caught_up = true;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Resolves when [`Outbox::next`] may have something new.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    /// Say what is left to say, read nothing more, then close with this code.
    pub fn end(&self, code: u16) {
        lock(&self.inside).ending.get_or_insert(code);
        self.news.notify_one();
    }

    /// Whether it is new; `None`: too many.
    fn subscribe(&self, mailbox: WriteName, after: u64) -> Option<bool> {
        let mut inside = lock(&self.inside);
        let is_new = !inside.subscriptions.contains_key(&mailbox);
        if is_new && inside.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return None;
        }
        let is_due = inside.subscriptions.get(&mailbox).is_some_and(|subscription| subscription.is_due);
        inside.subscriptions.insert(mailbox, Subscription { after, is_due, is_caught_up: false });
        inside.make_due(mailbox);
        drop(inside);
        self.news.notify_one();
        Some(is_new)
    }

    fn unsubscribe(&self, mailbox: WriteName) -> bool {
        let mut inside = lock(&self.inside);
        inside.due.retain(|due| *due != mailbox);
        inside.subscriptions.remove(&mailbox).is_some()
    }

    fn take_mailboxes(&self) -> Vec<WriteName> {
        let mut inside = lock(&self.inside);
        inside.due.clear();
        std::mem::take(&mut inside.subscriptions).into_keys().collect()
    }

    fn wake(&self, mailbox: WriteName) {
        lock(&self.inside).make_due(mailbox);
        self.news.notify_one();
    }
}

/// No holder of these locks panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
