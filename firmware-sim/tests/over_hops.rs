//! The close over many hops: from the last vote until the talk is erased on every device in reach, over four hops of Bluetooth on which
//! a fifth of all packets is lost. Simulated time; the table in `golden/over_hops.txt` is compared byte for byte.
//!
//! `ALCOVE_BLESS=1` writes the table anew: what changed is then a reviewed diff.

use alcove::proto::id::TalkId;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};
use firmware_sim::checker::converged;
use firmware_sim::network::{Faults, Network};
use firmware_sim::radio::Radio;
use firmware_sim::scenario::{S, post, take_seat, terms, view};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is promised, and it is promised for the rows whose links do not break.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(5);
const HOPS: usize = 4;

/// A row of the table.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    is_mesh: bool,
    lose_percent: u64,
    break_one_in: u64,
    runs: u64,
}

const ROWS: [Row; 4] = [
    Row { name: "line of five, nothing lost", is_mesh: false, lose_percent: 0, break_one_in: 0, runs: 10 },
    Row { name: "line of five, 20 % lost", is_mesh: false, lose_percent: 20, break_one_in: 0, runs: 300 },
    Row { name: "mesh of twelve, 20 % lost", is_mesh: true, lose_percent: 20, break_one_in: 0, runs: 20 },
    Row { name: "line, 20 % lost, links break", is_mesh: false, lose_percent: 20, break_one_in: 100, runs: 20 },
];

/// Who is in reach of whom, and who sits in the talk: the host first, the last voter last, four hops apart.
fn shape(row: &Row, rng: &mut Rng) -> (usize, Vec<(usize, usize)>, Vec<usize>) {
    if !row.is_mesh {
        return (HOPS + 1, (0..HOPS).map(|phone| (phone, phone + 1)).collect(), vec![0, 2, HOPS]);
    }
    let count = 12;
    loop {
        let mut near: BTreeSet<_> = (1..count).map(|phone| (rng.below(phone as u64) as usize, phone)).collect();
        for _ in 0..count / 2 {
            let (a, b) = (rng.below(count as u64) as usize, rng.below(count as u64) as usize);
            if a != b {
                near.insert((a.min(b), a.max(b)));
            }
        }
        let far: Vec<_> = (0..count).map(|phone| hops(&near, count, phone)).collect();
        let pairs = || (0..count).flat_map(|a| (0..count).map(move |b| (a, b)));
        let diameter = pairs().map(|(a, b)| far[a][b]).max();
        if let (Some(HOPS), Some((host, last))) = (diameter, pairs().find(|(a, b)| far[*a][*b] == HOPS)) {
            let mut others: Vec<_> = (0..count).filter(|phone| *phone != host && *phone != last).collect();
            for place in 0..3 {
                let other = place + rng.below((others.len() - place) as u64) as usize;
                others.swap(place, other);
            }
            return (count, near.into_iter().collect(), vec![host, others[0], others[1], others[2], last]);
        }
    }
}

fn hops(near: &BTreeSet<(usize, usize)>, count: usize, from: usize) -> Vec<usize> {
    let mut far = vec![usize::MAX; count];
    far[from] = 0;
    let mut reached = vec![from];
    for place in 0..count {
        let Some(here) = reached.get(place).copied() else { break };
        for &(a, b) in near {
            for (one, other) in [(a, b), (b, a)] {
                if one == here && far[other] == usize::MAX {
                    far[other] = far[here] + 1;
                    reached.push(other);
                }
            }
        }
    }
    far
}

/// The time from the last vote until no device in reach has the talk.
fn close_time(row: &Row, seed: u64) -> Duration {
    let mut bytes = [3; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let (count, near, seats) = shape(row, &mut Rng::new(bytes));
    let mut network = Network::new(seed, count);
    network.is_traced = false;
    network.faults = Faults { radio: Some(Radio::losing(row.lose_percent)), ..Faults::default() };
    near.iter().for_each(|(a, b)| network.connect(*a, *b));
    let (host, card) = post(&mut network, seats[0], terms(seats.len() as u8, 50));
    let mut members = vec![(seats[0], host)];
    members.extend(seats[1..].iter().map(|guest| (*guest, take_seat(&mut network, *guest, card))));
    let open = |n: &Network| converged(n, &members).is_ok();
    assert!(network.run_until(S(300), open), "seed {seed}: {:?}", converged(&network, &members));
    network.faults.break_one_in = row.break_one_in;
    let (first, last) = members.split_at(members.len() - 1);
    let vote = |network: &mut Network, members: &[(usize, TalkId)]| {
        for (phone, talk) in members {
            network.with(*phone, |node| node.close(*talk)).expect("the room is open");
            network.run(Duration::from_millis(700));
        }
    };
    vote(&mut network, first);
    network.run(S(10));
    let voted = network.now();
    network.with(last[0].0, |node| node.close(last[0].1)).expect("the room is open");
    while members.iter().any(|(phone, talk)| view(&network, *phone, *talk).is_some()) {
        network.run(Duration::from_millis(10));
        assert!(network.now().since(voted) < S(600), "seed {seed} of {:?} never ends", row.name);
    }
    network.now().since(voted)
}

/// All times of a row, sorted.
fn times(row: &Row) -> Vec<Duration> {
    let (next, times) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > row.runs {
                        break;
                    }
                    let time = close_time(row, seed);
                    times.lock().unwrap().push(time);
                }
            });
        }
    });
    let mut times = times.into_inner().unwrap();
    times.sort();
    times
}

#[test]
fn from_the_last_vote_to_erased_on_every_reachable_device_takes_five_seconds_at_most_over_four_lossy_hops() {
    let mut table = String::from("last vote to erased everywhere, ms of simulated time   runs median    p90    p99    max\n");
    for row in &ROWS {
        let times = times(row);
        let rank = |percent: usize| times[(times.len() * percent).div_ceil(100) - 1];
        let ms = |percent| rank(percent).as_millis();
        let (median, p90, p99, max) = (ms(50), ms(90), ms(99), ms(100));
        writeln!(table, "{:<52} {:>6} {median:>6} {p90:>6} {p99:>6} {max:>6}", row.name, row.runs).unwrap();
        assert!(row.break_one_in > 0 || rank(99) <= CLOSE_TIME_MAX, "{}: p99 is {p99} ms\n{table}", row.name);
    }
    eprint!("{table}");
    compare("over_hops.txt", &table);
}

#[test]
fn control_with_a_neighbour_that_only_listens_at_a_cut_the_far_end_is_not_erased() {
    let row = &ROWS[1];
    let mut network = Network::new(1, HOPS + 1);
    network.faults = Faults { radio: Some(Radio::losing(row.lose_percent)), ..Faults::default() };
    (0..HOPS).for_each(|phone| network.connect(phone, phone + 1));
    let (host, card) = post(&mut network, 0, terms(3, 50));
    let members: Vec<_> =
        [(0, host)].into_iter().chain([2, HOPS].map(|guest| (guest, take_seat(&mut network, guest, card)))).collect();
    assert!(network.run_until(S(300), |n| converged(n, &members).is_ok()));
    network.possess(3, firmware_sim::hostile::Conduct::Drop);
    network.run(S(5));
    let begun: Instant = network.now();
    for (phone, talk) in &members {
        network.with(*phone, |node| node.close(*talk)).unwrap();
    }
    network.run(S(60));
    assert!(members.iter().all(|(phone, talk)| view(&network, *phone, *talk).is_some()), "{:?}", network.now().since(begun));
}

/// Compares a table with the one that was reviewed.
fn compare(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    if std::env::var_os("ALCOVE_BLESS").is_some() {
        std::fs::create_dir_all(path.parent().expect("it lies in a directory")).expect("a directory");
        std::fs::write(&path, table).expect("the table is written");
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == table, "not what was reviewed in golden/{name} (ALCOVE_BLESS=1 writes it anew):\n{golden}\nnow:\n{table}");
}
