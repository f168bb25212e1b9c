//! Laws of reconciliation.

use super::*;
use crate::proto::wire::frame::Frame;

const SALT: [u8; 32] = [7; 32];

fn ids(rng: &mut Rng, count: usize) -> Vec<ParcelId> {
    (0..count).map(|_| ParcelId(rng.bytes())).collect()
}

/// One round in which the first begins: the bytes that were said, and the difference that the second found.
fn round(rng: &mut Rng, mine: &[ParcelId], theirs: &[ParcelId]) -> (usize, Option<(Round, ShortIds)>) {
    let (mut one, mut other) = (Exchange::new(Instant(0), SALT, true), Exchange::new(Instant(0), SALT, false));
    let (mut word, mut bytes) = (one.begin(rng, Instant(0), mine.iter()), 0);
    loop {
        bytes += crate::proto::wire::encode(&word).len();
        let Control::Carrying { round, slice, first, symbols } = &word else { unreachable!() };
        match other.hear(rng, Instant(0), (*round, *slice, *first), symbols, theirs.iter()) {
            Step::Nothing | Step::Asked(..) => return (bytes, None),
            Step::Found(round, difference) => {
                let unknown: ShortIds = difference
                    .iter()
                    .copied()
                    .filter(|id| !theirs.iter().any(|their| round.short_id(their) == Some(*id)))
                    .collect();
                if !unknown.is_empty() {
                    bytes += crate::proto::wire::encode(&round.ask(&unknown)).len();
                }
                return (bytes, Some((round, difference)));
            }
            Step::Say(Control::Lacking { round, short_ids }) => {
                bytes += crate::proto::wire::encode(&Control::Lacking { round, short_ids: short_ids.clone() }).len();
                let Step::Say(next) = one.answered(round, short_ids.as_deref()) else { unreachable!() };
                word = next;
            }
            Step::Say(_) => return (bytes, None),
        }
    }
}

#[test]
fn a_difference_costs_a_few_bytes_each_however_much_both_carry_and_whoever_lacks_it() {
    let rng = &mut Rng::new([1; 32]);
    let all = ids(rng, 10_000);
    for (missing, bytes_max) in [(0, 240), (1, 240), (20, 500), (100, 1_200), (600, 7_200)] {
        let fewer = &all[missing..];
        for (mine, theirs) in [(&all[..], fewer), (fewer, &all[..])] {
            let rounds = 5;
            let mut bytes = 0;
            for _ in 0..rounds {
                let (said, found) = round(rng, mine, theirs);
                let (round, difference) = found.expect("it is found");
                let expected: ShortIds = all[..missing].iter().filter_map(|id| round.short_id(id)).collect();
                assert_eq!(difference, expected);
                bytes += said;
            }
            assert!(bytes <= rounds * bytes_max, "{} bytes for {missing}: the budget is 12 each of a hundred", bytes / rounds);
        }
    }
}

#[test]
fn a_round_begins_with_one_whole_cell_and_every_word_fits_a_frame() {
    let rng = &mut Rng::new([2; 32]);
    let cells = |control: &Control| Frame::Control(control.clone()).to_cells().unwrap().len();
    let mut exchange = Exchange::new(Instant(0), SALT, true);
    let all = ids(rng, 2_000);
    let Control::Carrying { round, slice, first, mut symbols } = exchange.begin(rng, Instant(0), all.iter()) else {
        unreachable!()
    };
    assert_eq!((cells(&Control::Carrying { round, slice, first, symbols: symbols.clone() }), first, symbols.len()), (1, 0, 53));
    symbols.push([0; 4]);
    assert_eq!(cells(&Control::Carrying { round, slice, first, symbols }), 2, "control: another symbol does not fit");
    let (mut told, mut words) = (SYMBOLS_PER_CELL, 1);
    while let Step::Say(word) = exchange.answered(round, None) {
        let Control::Carrying { first, symbols, .. } = &word else { unreachable!() };
        assert_eq!((usize::from(*first), cells(&word)), (told, symbols.len() / SYMBOLS_PER_CELL));
        (told, words) = (told + symbols.len(), words + 1);
    }
    assert_eq!((told, words), (RECONCILE_SYMBOLS_MAX, 8));
    let round = Round::new(&SALT, round, 0);
    assert_eq!(cells(&round.ask(&(0..2_000).collect())), 14);
}

#[test]
fn what_collides_in_one_round_is_found_in_another() {
    let rng = &mut Rng::new([3; 32]);
    let number = [1; 4];
    let chosen = Round::new(&SALT, number, 0);
    let mut seen = std::collections::BTreeMap::new();
    let (one, other) = loop {
        let id = ParcelId(rng.bytes());
        if let Some(before) = seen.insert(chosen.short_id(&id), id) {
            break (before, id);
        }
    };
    let mut mine = ids(rng, 100);
    let theirs = mine.clone();
    mine.extend([one, other]);
    let rest = |round: &Round| {
        let mut rest = Sketch::of(round, mine.iter());
        let theirs: Vec<_> = Sketch::of(round, theirs.iter()).0.iter().map(|symbol| symbol.to_be_bytes()).collect();
        rest.take_off(0, &theirs);
        rest.peel(round, SYMBOLS_PER_CELL).map(|found| found.len())
    };
    assert_eq!(rest(&chosen), Some(0), "the two hide each other");
    assert_eq!(rest(&Round::new(&SALT, [2; 4], 0)), Some(2));
    assert_eq!(rest(&Round::new(&[8; 32], number, 0)), Some(2), "nor on another link");
}

#[test]
fn two_links_or_rounds_share_no_symbol_and_a_sketch_does_not_show_how_much_is_carried() {
    let rng = &mut Rng::new([4; 32]);
    let all = ids(rng, 5_000);
    let mut first = |salt: [u8; 32], carried: &[ParcelId]| {
        let word = Exchange::new(Instant(0), salt, true).begin(rng, Instant(0), carried.iter());
        let Control::Carrying { symbols, .. } = word else { unreachable!() };
        symbols
    };
    let told = [first([1; 32], &all), first([2; 32], &all), first([2; 32], &all)];
    let equal = |one: &[[u8; 4]], other: &[[u8; 4]]| one.iter().zip(other).filter(|(one, other)| one == other).count();
    assert_eq!((equal(&told[0], &told[1]), equal(&told[1], &told[2])), (0, 0));
    let ones = |symbols: &[[u8; 4]]| symbols.iter().flatten().map(|byte| byte.count_ones()).sum::<u32>();
    for carried in [200, 1_000, 5_000] {
        let ones = ones(&first([3; 32], &all[..carried]));
        // 53 · 32 fair coins: 848 ± 4 · 21.
        assert!((764..=932).contains(&ones), "{ones} of 1,696 with {carried}");
    }
}

#[test]
fn hostile_symbols_never_panic_and_cost_a_bounded_answer() {
    let rng = &mut Rng::new([5; 32]);
    let all = ids(rng, 300);
    let mut exchange = Exchange::new(Instant(0), SALT, false);
    let (mut answers, mut failures) = (0, 0);
    for second in 0..300_u64 {
        let now = Instant(second * 1_000_000);
        let (number, slice) = (rng.bytes(), rng.below(256) as u8);
        let mut first = 0;
        for _ in 0..40 {
            // Now and then a portion of another size, out of place, or of a sketch of few wild items, which peels.
            let count = if rng.below(20) == 0 { rng.below(900) as usize } else { portion(first.min(RECONCILE_SYMBOLS_MAX)) };
            let wild = rng.below(3) == 0;
            let one: [u8; 4] = rng.bytes();
            let symbols: Vec<[u8; 4]> = (0..count)
                .map(|_| {
                    if wild {
                        rng.bytes()
                    } else if rng.below(9) == 0 {
                        one
                    } else {
                        [0; 4]
                    }
                })
                .collect();
            let place = if rng.below(30) == 0 { rng.below(65_536) as u16 } else { first as u16 };
            match exchange.hear(rng, now, (number, slice, place), &symbols, all.iter()) {
                Step::Say(Control::Lacking { .. }) => (first, answers) = (first + count, answers + 1),
                Step::Found(round, difference) => {
                    assert!(difference.len() <= RECONCILE_SYMBOLS_MAX * 4);
                    assert!(Frame::Control(round.ask(&difference)).to_cells().is_some());
                }
                Step::Say(_) | Step::Asked(..) | Step::Nothing => failures += 1,
            }
        }
        assert!(answers <= 7 * (second + 1), "a round has so many portions");
    }
    assert!(answers > 300 && failures > 300, "control: {answers} answers, {failures} failures");
}

#[test]
fn a_difference_that_is_too_large_is_looked_for_in_ever_smaller_slices() {
    let rng = &mut Rng::new([6; 32]);
    let all = ids(rng, 4_000);
    let (bytes, found) = round(rng, &all[..2_000], &all[2_000..]);
    assert!(found.is_none() && bytes < 19 * 230, "{bytes}");
    let sliced = |slice| all.iter().filter(|id| Round::new(&SALT, [1; 4], slice).short_id(id).is_some()).count();
    for slice in 0..=RECONCILE_SLICE_MAX {
        let expected = 4_000 >> slice;
        assert!(sliced(slice).abs_diff(expected) <= 20 + expected / 5, "{} at {slice}", sliced(slice));
    }
    let mut exchange = Exchange::new(Instant(0), SALT, false);
    exchange.slice = 2;
    exchange.settled(Instant(0), 290, false);
    assert_eq!((exchange.slice, exchange.next_round), (2, Instant(0) + RECONCILE_ANSWER_INTERVAL * 2), "more of it at once");
    exchange.settled(Instant(0), 290, true);
    assert_eq!(exchange.slice, 1, "then of a larger one");
}
