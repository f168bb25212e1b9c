//! A room of twelve with loss, duplication, reordering, partitions, crashes, restarts and clocks that jump: it converges, closes, and
//! is gone.
//!
//! `ALCOVE_SEED=n` plays one seed, `ALCOVE_SEEDS=n` so many; with `ALCOVE_SHRINK=1` a failure is played again with fewer steps until
//! none can be left out.

use firmware_sim::failure::{number, report, verdict};
use firmware_sim::twelve::{COUNT, STEPS, Step, play, steps};

#[test]
fn a_room_of_twelve_converges_closes_and_is_gone_whatever_befalls_it() {
    let count = number("ALCOVE_COUNT").map_or(COUNT, |count| count as usize);
    let seeds = match number("ALCOVE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + number("ALCOVE_SEEDS").unwrap_or(4),
    };
    for seed in seeds {
        let steps = steps(seed, count, STEPS);
        let began = std::time::Instant::now();
        let play = |steps: &[Step]| play(seed, count, steps).map(drop);
        if let Err(why) = verdict(|| play(&steps)) {
            panic!("{}", report("room_of_twelve", seed, &why, steps, play));
        }
        eprintln!("seed {seed}: {:?}", began.elapsed());
    }
}
