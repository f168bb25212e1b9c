//! What the people in the hall do: some sit in talks, say something and write notes, each at a pace of their own; now and then somebody
//! posts a card.

use super::arena::Arena;
use crate::network::START;
use crate::scenario::terms;
use alcove::proto::id::{CardId, TalkId};
use alcove::proto::node::view::State;
use alcove::proto::notes::Edit;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};

/// The talks come together within so long.
const GATHERING: Duration = Duration::from_secs(600);
/// Between two cards of the hall.
const CARD_PAUSE: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(1_200));
/// Between two words or notes of one person, on average: from a lively one to a silent one.
const PACE: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(1_800));

/// Everybody who does something.
pub(super) struct People {
    tables: Vec<Table>,
    rng: Rng,
    next_card: Instant,
}

struct Table {
    begins: Instant,
    card: Option<CardId>,
    seats: Vec<Seat>,
}

struct Seat {
    phone: usize,
    talk: Option<TalkId>,
    pace: Duration,
    next: Instant,
}

impl People {
    /// So many talks of three to five, of phones that sit in no other.
    pub(super) fn new(mut rng: Rng, talks: usize) -> People {
        let mut phone = 0;
        let mut table = || {
            let begins = Instant(0) + rng.between(Duration::from_secs(90), GATHERING);
            let count = 3 + rng.below(3) as usize;
            let seats = (phone..phone + count).map(|phone| {
                let pace = rng.between(PACE.0, PACE.1);
                Seat { phone, talk: None, pace, next: Instant(0) }
            });
            let seats = seats.collect();
            phone += count;
            Table { begins, card: None, seats }
        };
        let tables = (0..talks).map(|_| table()).collect();
        People { tables, rng, next_card: Instant(0) + GATHERING }
    }

    /// What they do now.
    pub(super) fn act(&mut self, arena: &mut Arena) {
        let now = arena.now();
        for table in &mut self.tables {
            table.act(&mut self.rng, arena);
        }
        if self.next_card <= now {
            self.next_card = now + self.rng.between(CARD_PAUSE.0, CARD_PAUSE.1);
            let phone = self.rng.below(arena.count() as u64) as usize;
            let hours = START.hours() + 2 + (now.0 / 3_600_000_000) as u32;
            arena.with(phone, |node| {
                let mut terms = terms(2, 5);
                terms.expires_hours = hours;
                // Whoever has too many cards out posts no more.
                let _ = node.draft_card(terms).and_then(|talk| node.post_card(talk));
            });
        }
    }
}

impl Table {
    fn act(&mut self, rng: &mut Rng, arena: &mut Arena) {
        let now = arena.now();
        if now < self.begins {
            return;
        }
        let Some(card) = self.card else {
            let mut terms = terms(self.seats.len() as u8, 5);
            terms.expires_hours = START.hours() + 12;
            let host = arena.with(self.seats[0].phone, |node| {
                let talk = node.draft_card(terms).expect("the terms are within their bounds");
                (talk, node.post_card(talk).expect("it is a draft"))
            });
            (self.seats[0].talk, self.card) = (Some(host.0), Some(host.1));
            return;
        };
        for seat in &mut self.seats {
            match seat.talk {
                None => seat.talk = arena.with(seat.phone, |node| node.take_seat(card).ok()),
                Some(talk) => seat.act(rng, arena, talk),
            }
        }
    }
}

impl Seat {
    fn act(&mut self, rng: &mut Rng, arena: &mut Arena, talk: TalkId) {
        let now = arena.now();
        if now < self.next {
            return;
        }
        self.next = now + rng.between(Duration::ZERO, self.pace * 2);
        let (says, number) = (rng.below(2) == 0, now.0 / 1_000_000);
        let words = arena.words(number);
        arena.with(self.phone, |node| {
            if node.talk(talk).is_none_or(|view| view.state != State::Open) {
                return;
            }
            // A room that closes or is checked takes nothing; the next word comes later.
            let _ = match says {
                true => node.say(talk, &words),
                false => node.edit(talk, &[Edit::Splice { at: 0, delete: 0, insert: words }]),
            };
        });
    }
}
