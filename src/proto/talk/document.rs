//! The notes as a whole, from one member to another: who lacks what a fold included asks, and one of those who have it answers.
//!
//! Laws: an offered document is signed, so that a hostile one has an author; whoever hears that another answered keeps silent, and an
//! answer is not given again for a while, whoever asks; that one lacks it is remembered until what was offered is in use.

use super::entry::{SeatNumber, Sig};
use super::group::{SeatKeys, verify};
use super::roster::Seat;
use crate::proto::config::{ASK_INTERVAL, DOCUMENT_ANSWER_DELAY_MAX, DOCUMENT_ASK_INTERVAL};
use crate::proto::rng::Rng;
use crate::proto::time::{Duration, Instant};
use crate::proto::wire::encode;
use serde::{Deserialize, Serialize};

const DOMAIN: &str = "document";

/// A saved document on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offered {
    /// By whom.
    pub seat: SeatNumber,
    /// The fold that it is of,
    pub generation: u32,
    /// and how many changes of each seat that took in.
    folded: Vec<u64>,
    /// The notes, saved.
    pub document: Vec<u8>,
    /// By the seat, over the room and all of this.
    signature: Sig,
}

impl Offered {
    /// Our own, signed.
    pub fn new(
        keys: &SeatKeys,
        room: &[u8; 16],
        seat: SeatNumber,
        generation: u32,
        folded: Vec<u64>,
        document: Vec<u8>,
    ) -> Offered {
        let signature = keys.sign(DOMAIN, &[room, &signed_parts(generation, &folded, &document)]).into();
        Offered { seat, generation, folded, document, signature }
    }

    /// Whether its seat offered it.
    pub fn holds(&self, room: &[u8; 16], sender: &Seat) -> bool {
        let parts = signed_parts(self.generation, &self.folded, &self.document);
        verify(&sender.key, DOMAIN, &[room, &parts], &self.signature.to_bytes())
    }

    /// How many changes of this seat are in it.
    pub fn included(&self, seat: SeatNumber) -> u64 {
        self.folded.get(usize::from(seat)).copied().unwrap_or(0)
    }
}

fn signed_parts(generation: u32, folded: &[u64], document: &[u8]) -> Vec<u8> {
    encode(&(generation, folded, document))
}

/// Our own request for it, and those of others. Over a restart only remains that we lack it.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(Clone))]
pub struct Requests {
    /// We lack it as it is since this fold.
    wanted: Option<u32>,
    #[serde(skip)]
    ask_at: Option<Instant>,
    #[serde(skip)]
    answer_at: Option<Instant>,
    /// Before this nothing is answered: who missed the last answer asks later.
    #[serde(skip)]
    rests_until: Instant,
}

impl Requests {
    /// We lack it, of this fold or a later one: it was asked for, or is on its way, and is asked for again if nothing comes of that.
    pub fn want(&mut self, now: Instant, generation: u32) {
        self.wanted = self.wanted.max(Some(generation));
        self.ask_at = Some(now + DOCUMENT_ASK_INTERVAL);
    }

    /// What we lacked before a restart we lack still.
    pub fn restart(&mut self, now: Instant) {
        self.ask_at = self.wanted.map(|_| now + ASK_INTERVAL);
    }

    /// What was offered is in use, and of this fold. Says whether we lack it no longer.
    pub fn settle(&mut self, generation: u32) -> bool {
        let is_settled = self.wanted.take_if(|wanted| *wanted <= generation).is_some();
        if is_settled {
            self.ask_at = None;
        }
        is_settled
    }

    /// Whether we lack it.
    pub fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Whether it is time to ask.
    pub fn is_ask_due(&self, now: Instant) -> bool {
        self.ask_at.is_some_and(|at| at <= now)
    }

    /// Another asks: if we have it and nobody is faster, we answer.
    pub fn hear_request(&mut self, rng: &mut Rng, now: Instant) {
        if !self.is_wanted() && self.rests_until <= now {
            let delay = rng.between(Duration::from_millis(20), DOCUMENT_ANSWER_DELAY_MAX);
            self.answer_at.get_or_insert(now + delay);
        }
    }

    /// Another has answered already.
    pub fn hear_answer(&mut self) {
        self.answer_at = None;
    }

    /// Whether it is on us to answer now; said once.
    pub fn take_answer(&mut self, now: Instant) -> bool {
        let is_due = self.answer_at.take_if(|at| *at <= now).is_some();
        if is_due {
            self.rests_until = now + DOCUMENT_ASK_INTERVAL / 2;
        }
        is_due
    }

    /// Whether we are about to answer.
    pub fn is_answering(&self) -> bool {
        self.answer_at.is_some()
    }

    /// When to ask or to answer.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.ask_at.into_iter().chain(self.answer_at).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::talk::roster::Roster;

    const AT: Instant = Instant(1_000_000_000);

    #[test]
    fn an_offered_document_has_an_author_and_nothing_of_it_can_be_changed() {
        let rng = &mut Rng::new([1; 32]);
        let (keys, other) = (SeatKeys::generate(rng), SeatKeys::generate(rng));
        let mut roster = Roster::default();
        for keys in [&keys, &other] {
            roster.admit(keys.id(), keys.verifying_key());
        }
        let offered = Offered::new(&keys, &[7; 16], 0, 2, vec![3, 4], vec![5; 9]);
        let author = roster.seat(0).unwrap();
        assert!(offered.holds(&[7; 16], author) && !offered.holds(&[8; 16], author));
        assert!(!offered.holds(&[7; 16], roster.seat(1).unwrap()));
        assert_eq!([0, 1, 2].map(|seat| offered.included(seat)), [3, 4, 0]);
        for changed in [
            Offered { generation: 3, ..offered.clone() },
            Offered { folded: vec![3], ..offered.clone() },
            Offered { document: vec![5; 8], ..offered },
        ] {
            assert!(!changed.holds(&[7; 16], author), "{changed:?}");
        }
    }

    #[test]
    fn of_those_who_have_it_one_answers_and_not_again_for_a_while() {
        let (rng, mut quick, mut slow) = (&mut Rng::new([2; 32]), Requests::default(), Requests::default());
        [&mut quick, &mut slow].into_iter().for_each(|requests| requests.hear_request(rng, AT));
        let due = quick.poll_timeout().unwrap();
        assert!(due > AT && !quick.take_answer(AT) && quick.take_answer(due) && !quick.take_answer(due));
        slow.hear_answer();
        assert_eq!(slow.poll_timeout(), None);
        quick.hear_request(rng, due);
        assert_eq!(quick.poll_timeout(), None, "who missed it asks later");
        quick.hear_request(rng, due + DOCUMENT_ASK_INTERVAL / 2);
        assert!(quick.is_answering());
    }

    #[test]
    fn whoever_lacks_it_asks_until_it_is_in_use_a_restart_between_or_not_and_answers_nobody() {
        let mut requests = Requests::default();
        requests.want(AT, 0);
        assert!(!requests.is_ask_due(AT) && requests.is_ask_due(AT + DOCUMENT_ASK_INTERVAL));
        requests.hear_request(&mut Rng::new([3; 32]), AT);
        assert!(!requests.is_answering());
        let mut again: Requests = crate::proto::wire::decode(&encode(&requests), "requests").unwrap();
        again.restart(Instant(0));
        assert!(again.is_wanted() && again.is_ask_due(Instant(0) + ASK_INTERVAL));
        assert!(again.settle(0) && !again.settle(0) && again.poll_timeout().is_none());
    }

    #[test]
    fn a_document_of_a_former_fold_that_comes_into_use_meanwhile_is_not_what_is_lacking() {
        let mut requests = Requests::default();
        requests.want(AT, 0);
        requests.want(AT, 2);
        requests.want(AT, 0);
        assert!(!requests.settle(1) && requests.is_wanted() && requests.poll_timeout().is_some());
        assert!(requests.settle(2) && !requests.is_wanted() && requests.poll_timeout().is_none());
    }
}
