//! What a group costs: founding, joining, sealing, opening, and a commit, at 2, 5, 12 and 50 seats:
//! `cargo bench --workspace --bench group [-- RUNS]`.

mod measure;

use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::group::{Group, Opened, SeatKeys};
use measure::{Times, head, machine, row, shown, size};

const PSK: Key = Key([9; 32]);
const PSK_ID: &[u8] = b"roster";

fn main() {
    let runs = size(30);
    println!("group, {runs} runs, {}", machine());
    head(&[
        "seats",
        "found (host)",
        "welcome",
        "join (guest)",
        "seal 20 B",
        "sealed",
        "open",
        "commit that adds one",
        "commit",
        "merge",
    ]);
    for seats in [2, 5, 12, 50] {
        row(&measure_at(seats, runs));
    }
}

fn measure_at(seats: usize, runs: usize) -> Vec<String> {
    let mut rng = Rng::new([seats as u8; 32]);
    let (mut found, mut join, mut seal, mut open) = (Times::default(), Times::default(), Times::default(), Times::default());
    let (mut commit, mut merge) = (Times::default(), Times::default());
    let (mut welcome_bytes, mut sealed_bytes, mut commit_bytes) = (0, 0, 0);
    for _ in 0..runs {
        let host = SeatKeys::generate(&mut rng);
        let mut guests: Vec<_> = (1..seats).map(|_| SeatKeys::generate(&mut rng)).collect();
        let packages: Vec<_> = guests.iter_mut().map(|seat| seat.key_package(&mut rng).expect("a fresh seat")).collect();
        let founded = found.time(|| Group::found(&mut rng, &host, [7; 16], &packages, &PSK, PSK_ID));
        let (mut ours, welcome) = founded.expect("fresh seats");
        welcome_bytes = welcome.len();
        let (mut theirs, _) = join.time(|| Group::join(&mut guests[0], &welcome, Some((&PSK, PSK_ID)))).expect("it is for them");
        for _ in 0..10 {
            let sealed = seal.time(|| ours.seal(&mut rng, &[7; 20])).expect("we sit there");
            sealed_bytes = sealed.len();
            let opened = open.time(|| theirs.open(&sealed));
            assert!(matches!(opened, Ok(Opened::Message { plaintext, .. }) if plaintext == [7; 20]));
        }
        let newcomer = SeatKeys::generate(&mut rng).key_package(&mut rng).expect("a fresh seat");
        let made = commit.time(|| ours.admit_and_remove(&mut rng, &[newcomer], None)).expect("they are new");
        commit_bytes = made.commit.len();
        merge.time(|| {
            let Ok(Opened::Commit(staged)) = theirs.open(&made.commit) else { panic!("an honest commit") };
            theirs.merge(*staged).expect("an honest commit");
        });
        assert_eq!(ours.epoch(), theirs.epoch());
    }
    let bytes = |bytes: usize| format!("{bytes} B");
    vec![
        seats.to_string(),
        shown(&found),
        bytes(welcome_bytes),
        shown(&join),
        shown(&seal),
        bytes(sealed_bytes),
        shown(&open),
        shown(&commit),
        bytes(commit_bytes),
        shown(&merge),
    ]
}
