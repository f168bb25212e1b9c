//! Laws of who is recognised, by what, and for how long.

use super::*;

const NOW: Instant = Instant(1_000_000);
const WALL: WallTime = WallTime(1_790_000_000_000);

/// A member whose key was told, and what it told.
fn told(rng: &mut Rng, wall: WallTime) -> (Recognition, Told) {
    let mut member = Recognition::default();
    member.show(rng, NOW, wall, (1, 1));
    let due = member.poll_timeout().expect("it is due");
    assert!(member.take_due(Instant(due.0 - 1), true).is_none(), "the others are not there yet");
    let told = member.take_due(due, true).expect("it is time");
    assert!(member.take_due(due, true).is_none() && member.poll_timeout().is_none(), "said once");
    (member, told)
}

fn id(rng: &mut Rng) -> EphemeralId {
    EphemeralId(rng.bytes())
}

#[test]
fn a_member_is_recognised_by_its_hint_and_a_stranger_is_not() {
    let rng = &mut Rng::new([1; 32]);
    let (shower, told) = told(rng, WALL);
    let mut other = Recognition::default();
    other.hear(rng, NOW, WALL, 3, told);
    assert!(other.take_news() && !other.take_news() && other.knows(3));
    let shown = id(rng);
    let hint = shower.hint(shown).expect("it has a key");
    assert_eq!(other.recognise(shown, hint), Some(3));
    assert_eq!(Recognition::default().recognise(shown, hint), None, "a stranger");
    assert_eq!(other.recognise(id(rng), hint), None, "a hint is of one id");
    let strangers = (0..2_000).filter(|_| other.recognise(id(rng), rng.bytes()).is_some()).count();
    assert_eq!(strangers, 0, "chance takes 2^24 tries for one of five");
}

#[test]
fn what_is_known_now_recognises_nothing_of_three_quarters_of_an_hour_ago() {
    let rng = &mut Rng::new([2; 32]);
    let (mut shower, told) = told(rng, WALL);
    let mut other = Recognition::default();
    other.hear(rng, NOW, WALL, 1, told);
    let (before, shown) = (WALL, id(rng));
    let hint = shower.hint(shown).expect("it has a key");
    for steps in 0..=5 {
        let wall = before + PRESENCE_STEP * steps;
        [&mut shower, &mut other].into_iter().for_each(|member| member.advance(wall));
        assert_eq!(other.recognise(shown, hint).is_some(), steps <= PRESENCE_STEPS_KEPT, "{steps} steps later");
        assert_eq!(shower.hint(shown) == Some(hint), steps == 0, "not even by itself");
        let fresh = id(rng);
        assert_eq!(other.recognise(fresh, shower.hint(fresh).expect("a key")), Some(1), "what is shown now is recognised");
    }
}

#[test]
fn clocks_may_differ_by_two_steps_either_way() {
    for (ours, theirs, is_known) in [(0, 2, true), (2, 0, true), (0, 3, false), (3, 0, false)] {
        let rng = &mut Rng::new([3; 32]);
        let (mut shower, told) = told(rng, WALL);
        let mut other = Recognition::default();
        other.hear(rng, NOW, WALL, 1, told);
        shower.advance(WALL + PRESENCE_STEP * ours);
        other.advance(WALL + PRESENCE_STEP * theirs);
        let shown = id(rng);
        let known = other.recognise(shown, shower.hint(shown).expect("a key"));
        assert_eq!(known.is_some(), is_known, "shown at step {ours}, heard at step {theirs}");
    }
}

#[test]
fn who_is_at_the_other_end_of_a_link_is_known_to_members_and_only_on_that_link() {
    let rng = &mut Rng::new([7; 32]);
    let (shower, told) = told(rng, WALL);
    let mut other = Recognition::default();
    other.hear(rng, NOW, WALL, 4, told);
    let (hash, chance): ([u8; 32], [u8; 8]) = (rng.bytes(), rng.bytes());
    let proof = shower.proof(&hash).expect("it has a key");
    assert_eq!(other.prover(&hash, &[chance, proof]), Some(4));
    assert_eq!(other.prover(&hash, &[chance, chance]), None);
    assert_eq!(other.prover(&rng.bytes(), &[proof]), None, "played back on another link");
    assert_eq!(Recognition::default().prover(&hash, &[proof]), None, "a stranger");
}

#[test]
fn another_epoch_has_another_key_and_who_has_left_recognises_nobody() {
    let rng = &mut Rng::new([4; 32]);
    let (mut shower, told) = told(rng, WALL);
    let mut leaver = Recognition::default();
    leaver.hear(rng, NOW, WALL, 1, told);
    shower.show(rng, NOW, WALL, (1, 1));
    let shown = id(rng);
    assert!(leaver.recognise(shown, shower.hint(shown).expect("a key")).is_some(), "control: in the same epoch it does");
    shower.show(rng, NOW, WALL, (1, 2));
    assert!(leaver.recognise(shown, shower.hint(shown).expect("a key")).is_none());
    leaver.retain(|seat| seat != 1);
    assert!(!leaver.knows(1));
    shower.hide();
    assert!(shower.hint(shown).is_none() && shower.poll_timeout().is_none());
}

#[test]
fn who_asks_is_told_once_a_minute_and_who_misses_somebody_asks_every_five() {
    let rng = &mut Rng::new([5; 32]);
    let (mut member, _) = told(rng, WALL);
    let asks = |rng: &mut Rng| Told { asks: true, ..told(rng, WALL).1 };
    let mut answers = 0;
    let mut at = NOW;
    for second in 0..600 {
        at = NOW + Duration::from_secs(20 + second);
        let asks = asks(rng);
        member.hear(rng, at, WALL, 2, asks);
        answers += usize::from(member.take_due(at, true).is_some_and(|told| !told.asks));
    }
    assert!((8..=10).contains(&answers), "{answers} answers in ten minutes");
    let mut asked = 0;
    let settled = at + Duration::from_secs(70);
    member.take_due(settled, true);
    for second in 0..1_200 {
        let at = settled + Duration::from_secs(second);
        member.miss(at);
        asked += usize::from(member.take_due(at, false).is_some_and(|told| told.asks));
    }
    assert!((3..=4).contains(&asked), "{asked} questions in twenty minutes");
}

#[test]
fn a_key_from_long_ago_is_passed_over_and_one_from_far_ahead_costs_nothing() {
    let rng = &mut Rng::new([6; 32]);
    let hostile = |step| Told { key: PresenceKey { step, key: Key([7; 32]) }, asks: false };
    let mut member = Recognition::default();
    member.hear(rng, NOW, WALL, 1, hostile(0));
    assert!(!member.knows(1) && !member.take_news(), "two million hashes would be two seconds");
    member.hear(rng, NOW, WALL, 1, hostile(u32::MAX));
    assert!(member.knows(1), "a clock far ahead: it is not recognised before ours is there");
    assert_eq!(member.recognise(id(rng), [0; 3]), None);
    member.show(rng, NOW, WallTime(0), (1, 1));
    member.advance(WALL);
    assert!(member.hint(id(rng)).is_none(), "a clock that was set draws anew");
}
