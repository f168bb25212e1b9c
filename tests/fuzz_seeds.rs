//! The fuzz targets on stable Rust: every committed seed, and a bounded number of mutations of them from a fixed seed.
//!
//! This is what runs with every change; `fuzz/run SECONDS` is the search itself. `ALCOVE_FUZZ_FACTOR=50` tries fifty times as many.

#[path = "../fuzz/src/targets/mod.rs"]
mod targets;
#[path = "../fuzz/src/seeds.rs"]
mod writing;

use alcove::proto::rng::Rng;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use targets::TARGETS;

/// All seeds together: small enough to be read by a person who wonders.
const SEED_BYTES_MAX: usize = 300_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds")
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = folder().join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .map(|path| (path.file_name().unwrap_or_default().to_string_lossy().into_owned(), fs::read(&path).expect("it can be read")))
        .collect();
    seeds.sort();
    seeds
}

/// Runs one input; a failure says what it takes to see it again.
fn run(target: &targets::Target, origin: &str, data: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(data))).is_err() {
        let hex: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} falls over {origin}: {hex}", target.name);
    }
}

/// A few changes anywhere: bits, bytes, lengths, and pieces of another seed.
fn mutated(rng: &mut Rng, seeds: &[(String, Vec<u8>)]) -> (String, Vec<u8>) {
    let pick = |rng: &mut Rng| &seeds[rng.below(seeds.len() as u64) as usize];
    let (name, seed) = pick(rng);
    let mut data = seed.clone();
    for _ in 0..=rng.below(4) {
        let at = rng.below(data.len() as u64 + 1) as usize;
        match rng.below(7) {
            0 | 1 if at < data.len() => data[at] ^= 1 << rng.below(8),
            2 if at < data.len() => data[at] = rng.below(256) as u8,
            3 if at < data.len() => data[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
            4 => data.truncate(at),
            5 => data.insert(at, rng.below(256) as u8),
            _ => {
                let (_, other) = pick(rng);
                let from = rng.below(other.len() as u64 + 1) as usize;
                let length = rng.below(64).min((other.len() - from) as u64) as usize;
                data.splice(at..at, other[from..from + length].iter().copied());
            }
        }
    }
    (name.clone(), data)
}

fn try_target(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target exists");
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has seeds");
    seeds.iter().for_each(|(file, data)| run(target, file, data));
    let factor = std::env::var("ALCOVE_FUZZ_FACTOR").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    let rng = &mut Rng::new([90; 32]);
    for _ in 0..target.rounds * factor {
        let (file, data) = mutated(rng, &seeds);
        run(target, &format!("a mutation of {file}"), &data);
    }
}

/// Finds what is planted: a reader that falls over one byte of a seed.
#[test]
fn control_a_planted_fault_is_found() {
    let planted = |data: &[u8]| assert_ne!(data.get(3), Some(&0x80), "planted");
    let seeds = vec![("seed".to_owned(), vec![0; 40])];
    let rng = &mut Rng::new([91; 32]);
    let found = (0..4_000)
        .filter(|_| {
            let (_, data) = mutated(rng, &seeds);
            catch_unwind(|| planted(&data)).is_err()
        })
        .count();
    assert!(found > 0);
}

#[test]
fn no_bytes_break_a_reader_of_cells_parcels_or_values() {
    try_target("wire");
}

#[test]
fn no_bytes_on_a_link_break_it_or_are_taken_for_others() {
    try_target("link");
}

#[test]
fn no_scanned_text_breaks_a_reader_of_codes() {
    try_target("codes");
}

#[test]
fn nothing_that_a_hostile_signer_signs_breaks_a_reader() {
    try_target("signed");
}

#[test]
fn no_bytes_from_relay_or_standard_input_break_a_reader() {
    try_target("local");
}

#[test]
fn no_picture_breaks_the_reader_of_pictures() {
    try_target("picture");
}

#[test]
fn no_bytes_break_the_group_and_what_fails_changes_nothing() {
    try_target("mls");
}

#[test]
fn nothing_that_a_hostile_member_says_breaks_a_room() {
    try_target("room");
}

#[test]
fn no_changes_or_documents_break_the_quarantine() {
    try_target("quarantine");
}

#[test]
fn no_sequence_of_operations_breaks_a_node() {
    try_target("node_ops");
}

#[test]
fn every_target_has_its_law_and_the_seeds_are_small() {
    if std::env::var_os("ALCOVE_WRITE_SEEDS").is_some() {
        writing::write_all(&folder());
    }
    let laws = include_str!("fuzz_seeds.rs");
    let without: Vec<_> = TARGETS.iter().filter(|target| !laws.contains(&format!("try_target(\"{}\")", target.name))).collect();
    assert!(without.is_empty(), "{:?}", without.iter().map(|target| target.name).collect::<Vec<_>>());
    let bytes: usize = TARGETS.iter().flat_map(|target| seeds(target.name)).map(|(_, data)| data.len()).sum();
    assert!(bytes <= SEED_BYTES_MAX, "{bytes}");
}
