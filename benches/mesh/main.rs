//! What the mesh costs: `cargo bench --workspace --bench mesh [-- RUNS]`.
//!
//! - Two that carry 10,000 ids each find what they lack of each other, beside `negentropy` and `riblt` with the same ids in the same run.
//! - A parcel is taken, carried and passed on, beside one that was seen and the hash by which it is known.
//! - A foreign parcel is sorted among the keys of 50 talks, beside trying to open it.
//!
//! It fails if one of a hundred missing parcels costs more than 12 B.

#[path = "../measure/mod.rs"]
mod measure;
mod others;

use alcove::proto::config::CELL_BYTES;
use alcove::proto::id::{LinkId, ParcelId};
use alcove::proto::mesh::reconcile::{Exchange, Step};
use alcove::proto::mesh::{Kind, Mesh};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::{Instant, WallTime};
use alcove::proto::wire::encode;
use alcove::proto::wire::frame::{Control, Frame};
use alcove::proto::wire::parcel::{Parcel, ParcelKeys, Travel};
use measure::{Times, head, machine, ms, row, size};
use std::collections::BTreeSet;
use std::process::ExitCode;

const CARRIED: usize = 10_000;
const BUDGET_BYTES: usize = 12;
const WALL: WallTime = WallTime(3_600_000 * 1_000);

/// What it took to find a difference.
#[derive(Default)]
pub struct Cost {
    /// What was said, both ways.
    bytes: usize,
    /// The same as cells on the air, where it was said in cells.
    cells: usize,
    /// How often one waited for the other.
    turns: usize,
}

fn main() -> ExitCode {
    let runs = size(20);
    println!("mesh, {runs} runs, {}", machine());
    let is_held = reconciliation(runs);
    forwarding(runs);
    sorting(runs);
    if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn reconciliation(runs: usize) -> bool {
    let rng = &mut Rng::new([1; 32]);
    let all: Vec<ParcelId> = (0..CARRIED).map(|_| ParcelId(rng.bytes())).collect();
    head(&["missing", "whose it is", "found by", "bytes", "per missing", "cells", "turns", "both sides' CPU", "ratio"]);
    let mut is_held = true;
    for missing in [0, 1, 100] {
        for (name, mine, theirs) in [("who begins", &all[..], &all[missing..]), ("the other", &all[missing..], &all[..])] {
            let ours = rounds(runs, || one_round(rng, mine, theirs, missing));
            let ranges = others::Ranges::new(mine, theirs);
            let negentropy = rounds(runs.min(5), || ranges.find(missing));
            let riblt = rounds(runs.min(5), || others::riblt(mine, theirs, missing));
            is_held &= missing < 100 || ours.0.bytes <= BUDGET_BYTES * missing;
            for (by, (cost, times)) in [("sketches", &ours), ("negentropy", &negentropy), ("riblt", &riblt)] {
                let each = cost.bytes.checked_div(missing).map_or("—".into(), |each| format!("{each} B"));
                let cells = if cost.cells > 0 { format!("{} ({} B)", cost.cells, cost.cells * CELL_BYTES) } else { "—".into() };
                let (bytes, turns) = (format!("{} B", cost.bytes), cost.turns.to_string());
                let (time, ratio) =
                    (format!("{:.2} ms", ms(times.median())), format!("{:.1}", ms(times.median()) / ms(ours.1.median())));
                row(&[missing.to_string(), name.into(), by.into(), bytes, each, cells, turns, time, ratio]);
            }
            if missing == 0 {
                break;
            }
        }
    }
    is_held
}

/// The mean cost, and the times.
fn rounds(runs: usize, mut round: impl FnMut() -> Cost) -> (Cost, Times) {
    round();
    let (mut sum, mut times) = (Cost::default(), Times::default());
    for _ in 0..runs {
        let cost = times.time(&mut round);
        sum = Cost { bytes: sum.bytes + cost.bytes, cells: sum.cells + cost.cells, turns: sum.turns + cost.turns };
    }
    let mean = |sum: usize| (sum + runs / 2) / runs;
    (Cost { bytes: mean(sum.bytes), cells: mean(sum.cells), turns: mean(sum.turns) }, times)
}

/// One round between two of the mesh's own ends.
fn one_round(rng: &mut Rng, mine: &[ParcelId], theirs: &[ParcelId], missing: usize) -> Cost {
    let salt = rng.bytes();
    let (mut one, mut other) = (Exchange::new(Instant(0), salt, true), Exchange::new(Instant(0), salt, false));
    let mut cost = Cost::default();
    let mut word = one.begin(rng, Instant(0), mine.iter());
    loop {
        cost.say(&word);
        let Control::Carrying { round, slice, first, symbols } = &word else { unreachable!("who begins tells symbols") };
        match other.hear(rng, Instant(0), (*round, *slice, *first), symbols, theirs.iter()) {
            Step::Say(more) => {
                cost.say(&more);
                let Control::Lacking { round, short_ids: None } = more else { unreachable!("it wants more") };
                let Step::Say(next) = one.answered(round, None) else { unreachable!("there are more") };
                word = next;
            }
            Step::Found(round, difference) => {
                assert_eq!(difference.len(), missing);
                let here: BTreeSet<u32> = theirs.iter().filter_map(|id| round.short_id(id)).collect();
                let unknown: BTreeSet<u32> = difference.difference(&here).copied().collect();
                if !unknown.is_empty() {
                    cost.say(&round.ask(&unknown));
                }
                return cost;
            }
            Step::Nothing | Step::Asked(..) => unreachable!("a hundred are found in one round"),
        }
    }
}

impl Cost {
    fn say(&mut self, control: &Control) {
        self.bytes += encode(control).len();
        self.cells += Frame::Control(control.clone()).to_cells().expect("it fits a frame").len();
        self.turns += 1;
    }
}

/// New small parcels come over one link, are remembered, carried and passed on; the same ones come again over another.
fn forwarding(runs: usize) {
    head(&["neighbours", "a new parcel is taken, carried, passed on", "one that was seen is refused", "its hash alone"]);
    for neighbours in [2, 6, 12, 50] {
        let (mut new, mut seen, mut hash) = (Times::default(), Times::default(), Times::default());
        for run in 0..runs {
            let rng = &mut Rng::new([run as u8; 32]);
            let mut mesh = Mesh::default();
            for link in 0..neighbours {
                let salt = rng.bytes();
                mesh.link_up(rng, Instant(0), LinkId(link), salt, false);
            }
            let parcels = parcels(rng, 1_000);
            let mut take = |times: &mut Times, link| {
                times.time(|| {
                    // A parcel a second: no crowd.
                    let receive = |(second, parcel)| {
                        mesh.receive(rng, Instant(second * 1_000_000), WALL, Some(LinkId(link)), Kind::Sealed, parcel)
                    };
                    (0_u64..).zip(&parcels).filter_map(receive).count()
                })
            };
            assert_eq!((take(&mut new, 0), take(&mut seen, 1)), (parcels.len(), 0));
            hash.time(|| parcels.iter().map(Parcel::id).collect::<BTreeSet<_>>());
        }
        // Of a thousand, so that milliseconds of all are microseconds of each.
        let each = |times: &Times| format!("{:.2} µs", ms(times.median()));
        row(&[neighbours.to_string(), each(&new), each(&seen), each(&hash)]);
    }
}

/// Whether a parcel is for one of fifty keys: by its label, and by trying to open it.
fn sorting(runs: usize) {
    let rng = &mut Rng::new([3; 32]);
    let keys: Vec<_> = (0..50).map(|_| ParcelKeys::new(&Key(rng.bytes()))).collect();
    let seals: Vec<_> = (0..50).map(|_| Key(rng.bytes())).collect();
    let parcels = parcels(rng, 100);
    let (mut by_label, mut by_trial) = (Times::default(), Times::default());
    for _ in 0..runs {
        let found = by_label.time(|| parcels.iter().filter(|parcel| keys.iter().any(|keys| keys.recognises(parcel))).count());
        let opened = by_trial.time(|| {
            let opens = |parcel: &&Parcel| {
                let bytes = parcel.as_bytes();
                let nonce = std::array::from_fn(|at| bytes[14 + at]);
                seals.iter().any(|key| key.open(&nonce, &bytes[..6], &bytes[26..]).is_some())
            };
            parcels.iter().filter(opens).count()
        });
        assert_eq!((found, opened), (0, 0));
    }
    head(&["a foreign parcel of 448 B among 50 keys", "time", "ratio"]);
    let each = |times: &Times| format!("{:.1} µs", ms(times.median()) * 1_000.0 / 100.0);
    row(&["by its label".into(), each(&by_label), "1".into()]);
    let ratio = ms(by_trial.median()) / ms(by_label.median());
    row(&["by trying to open it".into(), each(&by_trial), format!("{ratio:.1}")]);
}

/// Small parcels in all but the sealing, each with an id of its own.
fn parcels(rng: &mut Rng, count: usize) -> Vec<Parcel> {
    let travel = Travel { expiry_hours: 1_010, ephemeral: false, hops: 5 };
    let mut bytes = ParcelKeys::new(&Key(rng.bytes())).seal(rng, travel, b"x").expect("it is small").as_bytes().to_vec();
    let next = |number: usize| {
        bytes[20..28].copy_from_slice(&(number as u64).to_be_bytes());
        Parcel::decode(bytes.clone()).expect("of the right size")
    };
    (0..count).map(next).collect()
}
