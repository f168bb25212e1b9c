//! Two devices of a busy hall, each with as much as it may carry: what they say to each other comes to an end.

use super::{LINK, WALL, parcels};
use alcove::proto::config::{CARRIED_BYTES_MAX, PARCEL_SMALL_BYTES};
use alcove::proto::id::LinkId;
use alcove::proto::mesh::{Kind, Mesh, Outgoing};
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};
use alcove::proto::wire::frame::Frame;

#[test]
fn two_that_carry_all_they_may_and_not_the_same_hand_over_each_parcel_once() {
    let rng = &mut Rng::new([4; 32]);
    let full = CARRIED_BYTES_MAX / PARCEL_SMALL_BYTES;
    let day = parcels(rng, full * 3 / 2);
    // Each in a crowd as its author draws it.
    let day: Vec<_> = day.into_iter().map(|parcel| parcel.in_crowd(rng.below(4) as u8)).collect();
    let mut sides = [Mesh::default(), Mesh::default()];
    // Everybody hears everything in the course of half a day, one over one neighbour, the other over three.
    sides.iter_mut().for_each(|side| (1..4).for_each(|link| drop(side.link_up(rng, Instant(0), LinkId(link), [1; 32], false))));
    let mut now = Instant(0);
    for (number, parcel) in day.iter().enumerate() {
        now = now + Duration::from_secs(3);
        for (side, link) in [(0, 1), (1, 1 + number as u64 % 3)] {
            assert!(sides[side].receive(rng, now, WALL, Some(LinkId(link)), Kind::Sealed, parcel).is_some());
        }
    }
    let mut given = [0_usize; 2];
    let mut taken = [0_usize; 2];
    for side in &mut sides {
        (1..4).for_each(|link| side.link_down(LinkId(link)));
    }
    let mut say = |rng: &mut Rng, sides: &mut [Mesh; 2], now: Instant, to: usize, frames: Vec<Outgoing>| {
        let mut under_way: Vec<_> = frames.into_iter().map(|(_, frame)| (to, frame)).collect();
        while !under_way.is_empty() {
            let (to, frame) = under_way.remove(0);
            let answers = match &frame {
                Frame::Parcel(parcel) => {
                    given[to] += 1;
                    taken[to] += usize::from(sides[to].receive(rng, now, WALL, Some(LINK), Kind::Sealed, parcel).is_some());
                    Vec::new()
                }
                Frame::Control(control) => sides[to].hear(rng, now, LINK, control),
            };
            under_way.extend(answers.into_iter().map(|(_, frame)| (1 - to, frame)));
        }
        (given, taken)
    };
    let first = sides[0].link_up(rng, now, LINK, [7; 32], true);
    sides[1].link_up(rng, now, LINK, [7; 32], false);
    say(rng, &mut sides, now, 1, first);
    let (mut before, mut last, mut new) = ([0; 2], [0; 2], [0; 2]);
    for minute in 1..=20 {
        for _ in 0..60 {
            now = now + Duration::from_secs(1);
            for side in 0..2 {
                let frames = sides[side].tick(rng, now);
                (last, new) = say(rng, &mut sides, now, 1 - side, frames);
            }
        }
        eprintln!("minute {minute}: {} and {} parcels", last[0] - before[0], last[1] - before[1]);
        before = last;
    }
    eprintln!("in all {last:?} were handed over, {new:?} of them new");
    assert!(last.iter().all(|given| *given <= full), "each parcel once: {last:?} of {full}");
}
