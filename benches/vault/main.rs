//! What the vault costs: appending, erasing a talk, and opening one of 5,000 changes: `cargo bench --workspace --bench vault [-- RUNS]`.
//!
//! Appending stands beside a plain file that is appended to and synced (`fdatasync`), in turn within one run; opening stands beside
//! `Automerge::load` of the same saved document, and of the document with all its changes. Everything is in the system's temporary
//! folder (`TMPDIR`).

#[path = "../measure/mod.rs"]
mod measure;
mod talk;

use alcove::proto::id::TalkId;
use alcove::proto::io::{Persist, Scope};
use alcove::proto::rng::Rng;
use alcove::shell::keystore::{Choice, Memory};
use alcove::shell::vault::Vault;
use measure::{Times, head, machine, ms, row, shown, size};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// An entry with one small change, sealed.
const RECORD_BYTES: usize = 240;

fn main() {
    let runs = size(100);
    println!("vault, {runs} runs, {}", machine());
    append(runs);
    erase(runs / 3 + 1);
    talk::open(5_000, runs / 10 + 1);
}

fn open(profile: &Path, keystore: &Choice, start: u8) -> Vault {
    Vault::open(profile, keystore.clone(), Rng::new([start; 32])).expect("a fresh profile").vault
}

fn records(talk: TalkId, first: usize, count: usize) -> Vec<Persist> {
    let record = |number: usize| Persist::Put {
        scope: Scope::Talk(talk),
        name: [b"e/", &number.to_be_bytes()[..]].concat(),
        value: vec![number as u8; RECORD_BYTES],
    };
    (first..first + count).map(record).collect()
}

fn append(runs: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut vault = open(&folder.path().join("profile"), &Choice::Memory(Memory::default()), 1);
    let mut file: File =
        OpenOptions::new().create(true).append(true).open(folder.path().join("plain")).expect("a temporary folder");
    head(&["records per commit", "vault", "plain file and fdatasync", "ratio of medians", "vault per record"]);
    let mut next = 0;
    for count in [1, 10, 100] {
        let (mut ours, mut plain) = (Times::default(), Times::default());
        for _ in 0..runs {
            let batch = records(TalkId([1; 16]), next, count);
            next += count;
            ours.time(|| vault.commit(&batch)).expect("the disk takes it");
            let bytes = vec![7; count * (RECORD_BYTES + 40)];
            plain.time(|| file.write_all(&bytes).and_then(|()| file.sync_data())).expect("the disk takes it");
        }
        let ratio = ms(ours.median()) / ms(plain.median());
        let each = format!("{:.3} ms", ms(ours.median()) / count as f64);
        row(&[count.to_string(), shown(&ours), shown(&plain), format!("{ratio:.1}"), each]);
    }
}

fn erase(runs: usize) {
    head(&["erasing a talk", "time", "budget"]);
    let kernel = Choice::Kernel;
    for (name, keystore) in [("keys in memory", Choice::Memory(Memory::default())), ("keys in the kernel's keyring", kernel)] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let Ok(opened) = Vault::open(folder.path(), keystore, Rng::new([2; 32])) else {
            println!("| {name} | does not work here | |");
            continue;
        };
        let mut vault = opened.vault;
        // Four talks that stay.
        (1..5).for_each(|talk| vault.commit(&records(TalkId([talk; 16]), 0, 500)).expect("the disk takes it"));
        let mut times = Times::default();
        for _ in 0..runs {
            let talk = TalkId([9; 16]);
            vault.commit(&records(talk, 0, 500)).expect("the disk takes it");
            times.time(|| vault.commit(&[Persist::Forget { talk }])).expect("the keystore forgets");
        }
        row(&[format!("500 records, four talks stay, {name}"), shown(&times), "100 ms".into()]);
        vault.destroy_talks().expect("the keystore forgets");
    }
}
