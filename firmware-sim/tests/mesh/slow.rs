//! Two that meet over a link that takes a while: nearly each parcel is handed over once, and in the end both carry the same.

use super::{LINK, WALL, parcels};
use alcove::proto::config::CELL_BYTES;
use alcove::proto::id::ParcelId;
use alcove::proto::mesh::{Kind, Mesh, Outgoing};
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};
use alcove::proto::wire::frame::Frame;
use alcove::proto::wire::parcel::Parcel;
use std::collections::VecDeque;

struct Way {
    free: Instant,
    queue: VecDeque<(Instant, Frame)>,
}

/// Bytes per second each way: gives how many parcels each side was handed, new to it, and after how many seconds both carried the same.
fn meet(rng: &mut Rng, mine: &[Parcel], theirs: &[Parcel], rate: u64) -> ([usize; 2], [usize; 2], Option<u64>) {
    let mut sides = [Mesh::default(), Mesh::default()];
    for (side, carried) in [mine, theirs].into_iter().enumerate() {
        for parcel in carried {
            sides[side].originate(rng, Instant(0), WALL, parcel.clone());
        }
    }
    let mut ways = [Way { free: Instant(0), queue: VecDeque::new() }, Way { free: Instant(0), queue: VecDeque::new() }];
    let push = |ways: &mut [Way; 2], now: Instant, to: usize, frames: Vec<Outgoing>| {
        for (_, frame) in frames {
            let bytes = frame.to_cells().unwrap().len() * CELL_BYTES;
            let way = &mut ways[to];
            way.free = way.free.max(now) + Duration::from_micros(bytes as u64 * 1_000_000 / rate);
            way.queue.push_back((way.free + Duration::from_millis(30), frame));
        }
    };
    let first = sides[0].link_up(rng, Instant(0), LINK, [7; 32], true);
    sides[1].link_up(rng, Instant(0), LINK, [7; 32], false);
    push(&mut ways, Instant(0), 1, first);
    let (mut given, mut taken) = ([0; 2], [0; 2]);
    for milli in 0..900_000_u64 {
        let now = Instant(milli * 1_000);
        for to in 0..2 {
            while let Some((_, frame)) = ways[to].queue.pop_front_if(|(at, _)| *at <= now) {
                match frame {
                    Frame::Parcel(parcel) => {
                        given[to] += 1;
                        taken[to] += usize::from(sides[to].receive(rng, now, WALL, Some(LINK), Kind::Sealed, &parcel).is_some());
                    }
                    Frame::Control(control) => {
                        let frames = sides[to].hear(rng, now, LINK, &control);
                        push(&mut ways, now, 1 - to, frames);
                    }
                }
            }
        }
        for side in 0..2 {
            if sides[side].poll_timeout().is_some_and(|due| due <= now) {
                let frames = sides[side].tick(rng, now);
                push(&mut ways, now, 1 - side, frames);
            }
        }
        if milli % 1_000 == 0 {
            let ids = |side: &Mesh| side.carried_parcels().map(Parcel::id).collect::<Vec<ParcelId>>();
            if ids(&sides[0]) == ids(&sides[1]) {
                return (given, taken, Some(milli / 1_000));
            }
        }
    }
    (given, taken, None)
}

#[test]
fn over_a_slow_link_hardly_a_parcel_is_handed_over_twice_and_in_the_end_both_carry_the_same() {
    let rng = &mut Rng::new([8; 32]);
    let all = parcels(rng, 6_000);
    let (mut twice, mut once) = (0, 0);
    for rate in [15_000, 60_000, 1_000_000] {
        for (mine, theirs) in
            [(0..0, 0..3_000), (0..3_000, 0..0), (0..3_000, 3_000..6_000), (0..3_500, 2_500..6_000), (0..20, 0..0)]
        {
            let (given, taken, even) = meet(rng, &all[mine.clone()], &all[theirs.clone()], rate);
            eprintln!("{rate} B/s, {mine:?} and {theirs:?}: handed {given:?}, new {taken:?}, even after {even:?} s");
            assert!(even.is_some(), "both carry the same");
            once += taken[0] + taken[1];
            twice += given[0] + given[1] - taken[0] - taken[1];
        }
    }
    // What came over the link while a round was under way is given back by it.
    assert!(twice * 50 <= once, "{twice} of {once} were handed over once more than needed");
}
