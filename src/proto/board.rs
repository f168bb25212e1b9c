//! The event's talk cards: readable by everybody with the event's code, changed only by the one who posted.
//!
//! Laws: a card is signed by its own fresh key, which alone edits or withdraws it; the board is bounded and shared fairly ([`Shelf`]); a
//! withdrawn card does not come back. Matching with the owner's tags happens here, on the
//! device, and nothing of it leaves.

use super::config::{CARD_HOURS_MAX, CARDS_MAX, SEATS_MAX, TAG_CHARS_MAX, TAGS_MAX, TOPIC_CHARS_MAX};
use super::error::{Fault, Refused};
use super::id::{CardId, SeatId, Source, WriteName};
use super::secret::{Key, hash16, is_signed_by};
use super::shelf::{Shelf, Tag};
use super::time::WallTime;
use super::wire::{decode, encode};
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use unicode_normalization::UnicodeNormalization;

const SIGNATURE_DOMAIN: &[u8] = b"alcove/1 card\0";

/// What kind of talk it is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Pattern {
    /// People who know different things tell each other.
    #[default]
    KnowHow,
    /// Somebody looks for something that others may offer.
    Need,
    /// One who knows, several who ask.
    Mentoring,
    /// No form.
    Open,
}

/// What a card says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Terms {
    /// One line, 1 to 120 characters.
    pub topic: String,
    /// At most 8, each 1 to 32 characters, folded to compare equal however they are typed.
    pub tags: Vec<String>,
    /// The talk's form.
    pub pattern: Pattern,
    /// The room opens with this many seats taken, at least 2.
    pub seats_min: u8,
    /// No more seats than this, at most 50.
    pub seats_max: u8,
    /// The talk ends with this hour (since the Unix epoch) if nobody closes it before.
    pub expires_hours: u32,
}

impl Terms {
    /// Checks every bound and folds the tags.
    ///
    /// # Errors
    /// [`Refused::OutOfRange`]: shorten the text, use fewer tags, or choose 2 to 50 seats and an end within a week.
    pub fn checked(mut self, wall: WallTime) -> Result<Terms, Refused> {
        self.topic = self.topic.trim().to_owned();
        self.tags = self.tags.iter().map(|tag| fold_tag(tag)).collect::<BTreeSet<_>>().into_iter().collect();
        let fits = |text: &str, max: usize| !text.is_empty() && text.chars().count() <= max && !text.chars().any(char::is_control);
        let hours = self.expires_hours.saturating_sub(wall.hours());
        let sound = fits(&self.topic, TOPIC_CHARS_MAX)
            && self.tags.len() <= TAGS_MAX
            && self.tags.iter().all(|tag| fits(tag, TAG_CHARS_MAX))
            && self.seats_min >= 2
            && self.seats_min <= self.seats_max
            && self.seats_max <= SEATS_MAX
            && (1..=u32::from(CARD_HOURS_MAX)).contains(&hours);
        if sound { Ok(self) } else { Err(Refused::OutOfRange) }
    }
}

/// A tag as it is compared: compatibility-normalised, lower case, inner white space single.
pub fn fold_tag(tag: &str) -> String {
    tag.nfkc().collect::<String>().to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A card as it stands on the board.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Card {
    /// The one-time key that signs it; its hash is the card's id.
    pub key: [u8; 32],
    /// Counts its edits; the highest wins.
    pub version: u32,
    /// `None`: withdrawn, or its room is full.
    pub content: Option<Content>,
}

/// What a card that stands tells.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Content {
    /// Topic, tags, seats.
    pub terms: Terms,
    /// The seat of the one who posted, from which her persona follows.
    pub host: SeatId,
    /// Seat requests are sealed to this X25519 key.
    pub door: [u8; 32],
    /// And may be left here at the relay.
    pub mailbox: WriteName,
}

impl Card {
    /// The card's id: a hash of its key.
    pub fn id(&self) -> CardId {
        CardId(hash16("alcove/1 card id", &[&self.key]))
    }

    /// The card with its signature, ready to be sealed for the board.
    pub fn sign(&self, key: &Key) -> Vec<u8> {
        let body = encode(self);
        let signature = SigningKey::from_bytes(&key.0).sign(&[SIGNATURE_DOMAIN, &body].concat());
        [&signature.to_bytes()[..], &body].concat()
    }

    /// A card from a peer.
    ///
    /// # Errors
    /// [`Fault::Malformed`] or [`Fault::Forged`]; [`Fault::TooMuch`] if its terms break a bound.
    pub fn decode_signed(bytes: &[u8], wall: WallTime) -> Result<Card, Fault> {
        let (signature, body) = bytes.split_first_chunk::<64>().ok_or(Fault::Malformed("card"))?;
        let card: Card = decode(body, "card")?;
        if !is_signed_by(&card.key, &[SIGNATURE_DOMAIN, body].concat(), signature) {
            return Err(Fault::Forged("card"));
        }
        if let Some(content) = &card.content {
            let checked = content.terms.clone().checked(wall).map_err(|_| Fault::TooMuch("card"))?;
            if checked != content.terms {
                return Err(Fault::Malformed("card"));
            }
        }
        Ok(card)
    }
}

/// The cards this node knows of.
#[cfg_attr(test, derive(Clone))]
pub struct Board {
    cards: Shelf<CardId, Card>,
}

impl Default for Board {
    fn default() -> Board {
        Board { cards: Shelf::new(CARDS_MAX) }
    }
}

impl Board {
    /// Takes a signed card that came from `source` in this crowd. Says whether the board changed.
    ///
    /// # Errors
    /// The card's [`Fault`].
    pub fn receive(&mut self, wall: WallTime, source: Source, crowd: u8, bytes: &[u8]) -> Result<Option<CardId>, Fault> {
        let card = Card::decode_signed(bytes, wall)?;
        let id = card.id();
        if self.cards.get(&id).is_some_and(|known| known.version >= card.version) {
            return Ok(None);
        }
        // A withdrawal is remembered as long as any card may live, so that an older version carried elsewhere stays dead.
        let until_hours =
            card.content.as_ref().map_or(wall.hours() + u32::from(CARD_HOURS_MAX), |content| content.terms.expires_hours);
        let stands = self.cards.put(id, card, Tag { size: 1, source, crowd, until: u64::from(until_hours) });
        Ok(stands.then_some(id))
    }

    /// Drops cards whose time is over; says whether there were any.
    pub fn expire(&mut self, wall: WallTime) -> bool {
        self.cards.expire(u64::from(wall.hours()))
    }

    /// The content of a card that stands.
    pub fn card(&self, id: CardId) -> Option<&Content> {
        self.cards.get(&id).and_then(|card| card.content.as_ref())
    }

    /// All cards that stand, those that share most tags with `interests` first, then by id.
    pub fn matching<'a>(&'a self, interests: &[String]) -> Vec<(CardId, &'a Content, usize)> {
        let interests: BTreeSet<_> = interests.iter().map(|tag| fold_tag(tag)).collect();
        let standing = self.cards.iter().filter_map(|(id, card)| card.content.as_ref().map(|content| (*id, content)));
        let mut cards: Vec<_> = standing
            .map(|(id, content)| (id, content, content.terms.tags.iter().filter(|tag| interests.contains(*tag)).count()))
            .collect();
        cards.sort_by_key(|(id, _, shared)| (std::cmp::Reverse(*shared), *id));
        cards
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;

    const WALL: WallTime = WallTime(3_600_000 * 1_000);

    fn card(rng: &mut Rng, version: u32, topic: Option<&str>) -> (Key, Card) {
        let key = Key(rng.bytes());
        let terms = |topic: &str| Terms {
            topic: topic.into(),
            tags: vec!["rust".into()],
            pattern: Pattern::KnowHow,
            seats_min: 3,
            seats_max: 5,
            expires_hours: 1_010,
        };
        let content =
            topic.map(|topic| Content { terms: terms(topic), host: SeatId([1; 16]), door: [2; 32], mailbox: WriteName([3; 16]) });
        let card = Card { key: SigningKey::from_bytes(&key.0).verifying_key().to_bytes(), version, content };
        (key, card)
    }

    #[test]
    fn only_its_own_key_edits_or_withdraws_a_card_and_it_stays_withdrawn() {
        let rng = &mut Rng::new([1; 32]);
        let mut board = Board::default();
        let (key, first) = card(rng, 1, Some("lifetimes"));
        let id = board.receive(WALL, Source::Relay, 0, &first.sign(&key)).unwrap().unwrap();
        let withdrawn = Card { version: 2, content: None, ..first.clone() };
        assert_eq!(board.receive(WALL, Source::Relay, 0, &withdrawn.sign(&Key([9; 32]))), Err(Fault::Forged("card")));
        assert!(board.card(id).is_some());
        assert_eq!(board.receive(WALL, Source::Relay, 0, &withdrawn.sign(&key)), Ok(Some(id)));
        assert_eq!(board.receive(WALL, Source::Relay, 0, &first.sign(&key)), Ok(None));
        assert!(board.card(id).is_none());
    }

    #[test]
    fn a_flood_from_one_link_leaves_the_cards_of_others_on_the_board() {
        let rng = &mut Rng::new([2; 32]);
        let mut board = Board::default();
        let mut honest = Vec::new();
        for link in 0..20 {
            let (key, card) = card(rng, 1, Some("honest"));
            honest.push(card.id());
            board.receive(WALL, Source::Neighbour(link), 0, &card.sign(&key)).unwrap();
        }
        for _ in 0..CARDS_MAX + 1_000 {
            let (key, card) = card(rng, 1, Some("spam"));
            board.receive(WALL, Source::Neighbour(99), 0, &card.sign(&key)).unwrap();
        }
        assert_eq!(board.cards.len(), CARDS_MAX);
        assert!(honest.iter().all(|id| board.card(*id).is_some()));
    }

    #[test]
    fn tags_compare_equal_however_they_are_typed_and_the_best_match_comes_first() {
        let rng = &mut Rng::new([3; 32]);
        let mut board = Board::default();
        for topic in ["one", "two"] {
            let (key, mut card) = card(rng, 1, Some(topic));
            card.content.as_mut().unwrap().terms.tags = vec![if topic == "two" { "crdt" } else { "wine" }.into()];
            board.receive(WALL, Source::Relay, 0, &card.sign(&key)).unwrap();
        }
        let found = board.matching(&["  ＣＲＤＴ ".into()]);
        assert_eq!(
            found.iter().map(|(_, content, shared)| (content.terms.topic.as_str(), *shared)).collect::<Vec<_>>(),
            [("two", 1), ("one", 0)]
        );
    }

    #[test]
    fn a_card_out_of_bounds_is_a_fault_and_mutated_ones_never_panic() {
        let rng = &mut Rng::new([4; 32]);
        let (key, card) = card(rng, 1, Some(&"x".repeat(121)));
        assert_eq!(Card::decode_signed(&card.sign(&key), WALL), Err(Fault::TooMuch("card")));
        let (key, card) = self::card(rng, 1, Some("fine"));
        let bytes = card.sign(&key);
        for index in 0..bytes.len() {
            let mut mutated = bytes.clone();
            mutated[index] ^= 1 << (index % 8);
            assert!(Card::decode_signed(&mutated, WALL).is_err());
        }
    }
}
