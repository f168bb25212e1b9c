//! What time brings: every part's deadlines, and a wall clock that may lie.
//!
//! Laws of the clock: a jump of over ten minutes that elapsed time does not explain is doubted until a peer confirms it or a day has
//! passed; the highest time believed never goes back.

use super::Node;
use crate::proto::config::{CLOCK_DOUBT_MAX, CLOCK_JUMP_MAX, HANDSHAKE_TIME_MAX};
use crate::proto::error::Fault;
use crate::proto::id::{JobId, TalkId};
use crate::proto::io::{Event, Output, Scope};
use crate::proto::talk::Stage;
use crate::proto::talk::close::Ending;
use crate::proto::talk::room::Snapshot;
use crate::proto::time::{Duration, Instant, WallTime};

/// What the device's clock shows, and whether to believe it.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub(super) struct Clock {
    shown: WallTime,
    shown_at: Instant,
    believed: WallTime,
    believed_at: Instant,
    doubted_since: Option<Instant>,
    remembered: WallTime,
}

impl Clock {
    /// A restarted node remembers the highest time it believed.
    pub(super) fn remember(&mut self, wall: WallTime) {
        self.believed = self.believed.max(wall);
        self.remembered = self.believed;
    }

    /// The highest time believed, when it is time to write it down.
    pub(super) fn due_to_remember(&mut self, now: Instant) -> Option<WallTime> {
        let believed = self.expected(now);
        let due = believed.since(self.remembered) >= CLOCK_JUMP_MAX;
        due.then(|| {
            self.remembered = believed;
            believed
        })
    }

    pub(super) fn observe(&mut self, now: Instant, wall: WallTime) {
        let expected = self.expected(now);
        let is_first = self.shown == WallTime(0);
        (self.shown, self.shown_at) = (wall, now);
        if wall.since(expected) <= CLOCK_JUMP_MAX || (is_first && self.believed == WallTime(0)) {
            // At the start there is nothing to compare with; a step back is not followed.
            self.believe(now, wall.max(expected));
        } else if self.doubted_since.is_none() {
            self.doubted_since = Some(now);
        }
    }

    /// A peer of a talk shows this time: whoever doubts takes its word, if it agrees with our own clock.
    pub(super) fn confirm(&mut self, now: Instant, minutes: u32) {
        let shown = self.shown + now.since(self.shown_at);
        if self.doubted_since.is_some() && minutes.abs_diff(shown.minutes()) <= 10 {
            self.believe(now, shown);
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if self.doubted_since.is_some_and(|since| now.since(since) >= CLOCK_DOUBT_MAX) {
            let shown = self.shown + now.since(self.shown_at);
            self.believe(now, shown);
        }
    }

    /// The highest time that is believed.
    pub(super) fn believed(&self, now: Instant) -> WallTime {
        self.expected(now)
    }

    /// The latest time it may be: what we send must not seem over to others, whichever of our clocks is wrong.
    pub(super) fn latest(&self, now: Instant) -> WallTime {
        self.shown.max(self.expected(now))
    }

    /// The earliest time it may be: what others send must not seem over to us.
    pub(super) fn earliest(&self, now: Instant) -> WallTime {
        self.shown.min(self.expected(now))
    }

    /// What is shown: for people, and for everything whose worst case is a card or a code that is over early or late.
    pub(super) fn wall(&self) -> WallTime {
        self.shown
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.doubted_since.is_some()
    }

    fn expected(&self, now: Instant) -> WallTime {
        self.believed + now.since(self.believed_at)
    }

    fn believe(&mut self, now: Instant, wall: WallTime) {
        (self.believed, self.believed_at, self.doubted_since) = (wall, now, None);
    }
}

impl Node {
    /// Does everything that is due and sets the next deadline.
    pub(super) fn upkeep(&mut self) {
        let now = self.now;
        self.clock.tick(now);
        let late: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| !link.is_up() && now.since(link.since) >= HANDSHAKE_TIME_MAX)
            .map(|(id, _)| *id)
            .collect();
        late.into_iter().for_each(|link| self.close_link(link, Some(Fault::OutOfPlace("handshake that takes too long"))));
        let frames = self.mesh.tick(&mut self.rng, now);
        self.transmit(frames);
        self.tick_radio();
        if self.board.expire(self.clock.earliest(now)) {
            self.tell(Event::BoardChanged);
        }
        for talk in self.table.tick(now) {
            self.tell(Event::HandoffChanged(talk));
        }
        self.give_up_codes();
        self.give_up_waiting();
        self.tick_talks();
        self.tick_notes();
        self.rescan();
        self.read_mailboxes();
        self.send_posts();
        self.with_cx(|parts, cx| parts.mailbox.tick(cx));
        self.expire_receipts();
        self.with_cx(|parts, cx| parts.reports.expire(cx));
        if self.event.is_some()
            && let Some(wall) = self.clock.due_to_remember(now)
        {
            self.with_cx(|_, cx| cx.put(Scope::Durable, b"time", &wall));
        }
        self.schedule();
    }

    fn tick_talks(&mut self) {
        let (now, wall, doubted) = (self.now, self.clock.believed(self.now), self.clock.is_doubted());
        let ids: Vec<_> = self.talks.keys().copied().collect();
        for id in ids {
            let round = self.hosting_round(id);
            let over = self.with_cx(|parts, cx| {
                let Some(talk) = parts.talks.get_mut(&id) else { return false };
                let past = |hours: u32| !doubted && wall >= WallTime::from_hours(hours);
                match &mut talk.stage {
                    Stage::Drafted(_) => false,
                    Stage::Hosting(hosting) => {
                        hosting.tick(cx, id);
                        past(hosting.door.content.terms.expires_hours)
                    }
                    Stage::Waiting(waiting) => {
                        waiting.tick(cx, id);
                        waiting.expires_hours().is_some_and(past)
                    }
                    Stage::Open(room) => {
                        if room.wants_commit(now)
                            && let Some(notes) = parts.notes.get(&id)
                        {
                            let (generation, document) = (notes.generation(), notes.save());
                            room.commit(cx, &Snapshot { generation, document: &document, holds: &|change| notes.holds(change) });
                        }
                        if room.take_document_due(now)
                            && let Some(notes) = parts.notes.get(&id)
                        {
                            room.send_document(cx, notes.generation(), notes.save());
                        }
                        room.tick(cx) || past(room.terms().expires_hours)
                    }
                }
            });
            if self.hosting_round(id) != round {
                self.remember_stage(id);
            }
            if over == Some(true) {
                self.end_talk(id, Ending::Expired, None);
            }
        }
    }

    /// Cuts changes, runs quarantine jobs, folds.
    fn tick_notes(&mut self) {
        let ids: Vec<_> = self.notes.keys().copied().collect();
        for id in ids {
            let change = self.notes.get_mut(&id).and_then(|notes| notes.cut(self.now));
            self.send_changes(id, change.into_iter().collect());
            let job = JobId(self.next_job);
            if let Some(work) = self.notes.get_mut(&id).and_then(|notes| notes.next_job(job)) {
                self.next_job += 1;
                self.jobs.insert(job, id);
                self.out.push_back(Output::Compute { id: job, job: work });
            }
            self.propose_fold(id);
        }
    }

    /// Sets the next deadline.
    pub(super) fn schedule(&mut self) {
        let talk = |talk: &crate::proto::talk::Talk| match &talk.stage {
            Stage::Drafted(_) => None,
            Stage::Hosting(hosting) => hosting.poll_timeout(),
            Stage::Waiting(waiting) => Some(waiting.poll_timeout()),
            Stage::Open(room) => Some(room.poll_timeout()),
        };
        let handshakes = self.links.values().filter(|link| !link.is_up()).map(|link| link.since + HANDSHAKE_TIME_MAX);
        let due = self.talks.values().filter_map(talk).chain(handshakes);
        let due = due.chain(self.notes.values().filter_map(crate::proto::notes::exchange::Notes::poll_timeout));
        let parts =
            [self.mesh.poll_timeout(), self.presence.poll_timeout(), self.mailbox.poll_timeout(), self.table.poll_timeout()];
        let due = due.chain(parts.into_iter().flatten());
        // A deadline that has passed and was not acted on (nothing could be done) must not make the caller spin.
        self.next_upkeep = due.min().map(|due| due.max(self.now + Duration::from_millis(5)));
    }

    /// All talks of this device by name.
    pub(super) fn talk_ids(&self) -> Vec<TalkId> {
        self.talks.keys().copied().collect()
    }
}
