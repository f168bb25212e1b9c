//! What a member lacks, asked for and answered: negative acknowledgement and repair (RFC 5740), in a group that knows nobody's state.
//!
//! Laws: who lacks something waits a random moment and asks for all of it at once, and then not again for a while; what anybody has
//! answered a moment ago is not answered again; what was answered longer ago is forgotten. A difference that stays, because what makes it
//! is nowhere to be had, costs no more than silence does.

use super::entry::{Item, SeatNumber};
use crate::proto::config::{ASK_INTERVAL, BEACON_INTERVAL_MAX, DIFFERENCES_MAX};
use crate::proto::rng::Rng;
use crate::proto::time::{Duration, Instant, doubled};
use crate::proto::wire::encode;
use std::collections::{BTreeMap, VecDeque};

/// Our own questions, and everybody's answers.
#[derive(Default)]
#[cfg_attr(test, derive(Clone))]
pub struct Repair {
    asking: Asking,
    last_steps: Option<Instant>,
    answered: BTreeMap<(SeatNumber, u32), Instant>,
}

impl Repair {
    /// Another has something that we lack.
    pub fn need(&mut self, rng: &mut Rng, now: Instant) {
        self.asking.want(now + rng.between(Duration::from_millis(20), Duration::from_millis(200)));
    }

    /// We know that we lack something, and nobody else has cause to ask for it.
    pub fn need_now(&mut self, now: Instant) {
        self.asking.want(now);
    }

    /// Another's fingerprint is not ours. Says whether the two have not met lately: then it is asked as soon as it may.
    pub fn differs(&mut self, theirs: [u8; 8], ours: [u8; 8]) -> bool {
        self.asking.differs(theirs, ours)
    }

    /// Whether to ask now; said once. What comes too soon after the last question waits.
    pub fn take_ask(&mut self, now: Instant) -> bool {
        self.asking.take_due(now)
    }

    /// When [`Repair::take_ask`] has something to say.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asking.due
    }

    /// Somebody has said what stands in this place.
    pub fn note_answer(&mut self, now: Instant, place: (SeatNumber, u32)) {
        self.answered.insert(place, now);
    }

    /// Of what somebody lacks, that which nobody has answered a moment ago, in portions that each fill a large parcel at most, if they
    /// can; it counts as answered.
    pub fn take_answers(&mut self, now: Instant, missing: Vec<Item>) -> Vec<Vec<Item>> {
        self.forget_answers(now);
        let place = |item: &Item| (item.seat(), item.number());
        let unanswered: Vec<_> = missing.into_iter().filter(|item| !self.answered.contains_key(&place(item))).collect();
        self.answered.extend(unanswered.iter().map(|item| (place(item), now)));
        portions(unanswered)
    }

    /// What was answered longer ago may be answered again: nothing is remembered of it.
    pub fn forget_answers(&mut self, now: Instant) {
        self.answered.retain(|_, at| now.since(*at) < ASK_INTERVAL);
    }

    /// Whether the steps to our epoch may be said now, for somebody behind it; said once, and then not again for a while.
    pub fn take_steps(&mut self, now: Instant) -> bool {
        let is_due = self.last_steps.is_none_or(|at| now.since(at) >= ASK_INTERVAL);
        if is_due {
            self.last_steps = Some(now);
        }
        is_due
    }
}

/// The timer of questions: soon after news, ever more rarely while nothing comes of them.
#[derive(Default, Debug)]
#[cfg_attr(test, derive(Clone))]
struct Asking {
    due: Option<Instant>,
    last: Option<Instant>,
    tries: u32,
    differences: VecDeque<([u8; 8], [u8; 8])>,
}

impl Asking {
    /// A fingerprint is not ours. Says whether the two have not met lately: then it is asked as soon as it may.
    fn differs(&mut self, theirs: [u8; 8], ours: [u8; 8]) -> bool {
        let is_news = !self.differences.contains(&(theirs, ours));
        if is_news {
            self.tries = 0;
            self.differences.truncate(DIFFERENCES_MAX - 1);
            self.differences.push_front((theirs, ours));
        }
        is_news
    }

    /// Something is lacking: asks at that time, or when it may again.
    fn want(&mut self, at: Instant) {
        let at = self.last.map_or(at, |last| at.max(last + self.pause()));
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// Whether to ask now; said once.
    fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.take_if(|due| *due <= now).is_some();
        if is_due {
            (self.last, self.tries) = (Some(now), self.tries.saturating_add(1));
        }
        is_due
    }

    fn pause(&self) -> Duration {
        doubled(ASK_INTERVAL, self.tries.saturating_sub(1), BEACON_INTERVAL_MAX)
    }
}

fn portions(items: Vec<Item>) -> Vec<Vec<Item>> {
    let mut portions: Vec<Vec<Item>> = Vec::new();
    let mut room_left = 0;
    for item in items {
        let size = encode(&item).len();
        if size > room_left {
            portions.push(Vec::new());
            room_left = 3_000;
        }
        room_left = room_left.saturating_sub(size);
        if let Some(portion) = portions.last_mut() {
            portion.push(item);
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::talk::entry::{Body, Entry, Head, Sig};

    const AT: Instant = Instant(1_000_000_000);

    impl Repair {
        /// How many answers are remembered.
        pub(crate) fn answers(&self) -> usize {
            self.answered.len()
        }
    }

    fn folded(number: u32) -> Item {
        Item::Folded { seat: 1, head: Head { number, chain: [0; 16] } }
    }

    #[test]
    fn a_question_waits_a_moment_and_is_not_asked_twice_in_one_interval() {
        let (mut repair, rng) = (Repair::default(), &mut Rng::new([1; 32]));
        repair.need(rng, AT);
        let first = repair.poll_timeout().unwrap();
        assert!(first > AT && !repair.take_ask(AT));
        repair.need(rng, AT);
        assert!(repair.poll_timeout().is_some_and(|due| due <= first), "what comes meanwhile is asked with it");
        assert!(repair.take_ask(first) && !repair.take_ask(first));
        repair.need_now(first);
        assert!(!repair.take_ask(first));
        assert!(repair.take_ask(first + ASK_INTERVAL));
        assert_eq!(repair.poll_timeout(), None);
    }

    #[test]
    fn what_anybody_answered_is_answered_again_only_after_an_interval() {
        let mut repair = Repair::default();
        repair.note_answer(AT, (1, 1));
        assert_eq!(repair.take_answers(AT, vec![folded(1), folded(2)]), [[folded(2)]], "another has said the first");
        assert!(repair.take_answers(AT, vec![folded(1), folded(2)]).is_empty());
        let later = AT + ASK_INTERVAL;
        assert_eq!(repair.take_answers(later, vec![folded(1), folded(2)]), [[folded(1), folded(2)]]);
        assert!(repair.take_steps(AT) && !repair.take_steps(AT) && repair.take_steps(later));
    }

    #[test]
    fn an_answer_goes_in_portions_and_what_fits_in_none_goes_alone() {
        let say = |number, chars| {
            let (body, signature) = (Body::Say { text: "x".repeat(chars) }, Sig([0; 32], [0; 32]));
            Item::Entry(Entry { seat: 0, number, body, signature })
        };
        let sizes = [1_000, 1_000, 1_000, 9_000, 10].into_iter().zip(1..);
        let portions = Repair::default().take_answers(AT, sizes.map(|(chars, number)| say(number, chars)).collect());
        assert_eq!(portions.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
    }

    /// How many questions an hour brings, if somebody is heard every second whose fingerprint is this one.
    fn asked(fingerprint: impl Fn(u64) -> u64) -> usize {
        let mut asking = Asking::default();
        let mut asks_at = |second: u64| {
            let now = Instant(second * 1_000_000);
            asking.differs(fingerprint(second).to_be_bytes(), [0xff; 8]);
            asking.want(now);
            asking.take_due(now)
        };
        (0..3_600).filter(|second| asks_at(*second)).count()
    }

    #[test]
    fn a_difference_that_stays_is_asked_for_ever_more_rarely_and_a_new_one_at_once() {
        assert!((120..130).contains(&asked(|_| 0)), "{}", asked(|_| 0));
        assert!((120..130).contains(&asked(|second| second % 2)), "a seat that runs twice");
        assert_eq!(asked(|second| second), 3_600, "control: each is new");
        assert!(asked(|second| second / 60) >= 240);
    }
}
