//! A hundred deaths: a process that writes and erases is killed at random points; each time the profile opens with every acknowledged
//! batch in it, and the batch in flight is there whole or not at all.

use alcove::proto::id::TalkId;
use alcove::proto::io::{Persist, Record, Scope};
use alcove::proto::rng::Rng;
use alcove::shell::keystore::Choice;
use alcove::shell::vault::{Opened, Vault};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const KILLS: u64 = 100;
/// In the child's environment: the profile, and the number of its first batch.
const PROFILE: &str = "VAULT_CRASH_PROFILE";
const FIRST: &str = "VAULT_CRASH_FIRST";

type State = BTreeMap<(Scope, Vec<u8>), Vec<u8>>;

#[test]
fn a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_erased_talk() {
    if let (Ok(profile), Ok(first)) = (std::env::var(PROFILE), std::env::var(FIRST)) {
        return write_until_killed(Path::new(&profile), first.parse().unwrap());
    }
    let profile = tempfile::tempdir().unwrap();
    let mut rng = Rng::new([7; 32]);
    let (mut state, mut done) = (State::new(), 0);
    let mut killed_while_erasing = 0;
    for kill in 0..KILLS {
        let acknowledged = run_and_kill(profile.path(), done, &mut rng);
        for number in done..acknowledged {
            apply(&mut state, &batch(number));
        }
        let mut next = state.clone();
        apply(&mut next, &batch(acknowledged));
        let opened = open(profile.path(), acknowledged);
        assert!(opened.lost.is_empty() && opened.corrupt.is_empty(), "kill {kill}: {:?} {:?}", opened.lost, opened.corrupt);
        let found = opened.records.into_iter().map(|Record { scope, name, value }| ((scope, name), value)).collect::<State>();
        assert!(found == state || found == next, "kill {kill}: neither the state before nor after batch {acknowledged}");
        killed_while_erasing += u32::from(batch(acknowledged).iter().any(|change| matches!(change, Persist::Forget { .. })));
        done = acknowledged + u64::from(found != state);
        state = found;
    }
    println!("{KILLS} kills over {done} batches, {killed_while_erasing} of them with an erasure next or in flight");
    assert!(killed_while_erasing > 0 && done > KILLS, "the kills must hit writing and erasing");
    open(profile.path(), done).vault.destroy_talks().unwrap();
}

/// Starts the writer, kills it a random while after a random number of batches, and says how many batches are acknowledged in all.
fn run_and_kill(profile: &Path, first: u64, rng: &mut Rng) -> u64 {
    let test = "a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_erased_talk";
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(PROFILE, profile)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = BufReader::new(writer.stdout.take().unwrap()).lines().map_while(Result::ok).filter_map(|line| {
        let number = line.strip_prefix("committed ")?;
        number.parse::<u64>().ok()
    });
    let mut last = None;
    for _ in 0..rng.below(8) {
        last = acknowledged.next();
        assert!(last.is_some(), "the writer ended by itself");
    }
    std::thread::sleep(rng.between(Duration::ZERO, Duration::from_millis(30)));
    writer.kill().unwrap();
    let last = acknowledged.last().or(last);
    writer.wait().unwrap();
    last.map_or(first, |number| number + 1)
}

/// The child: commits batch after batch and says so after each.
fn write_until_killed(profile: &Path, first: u64) {
    let mut vault = open(profile, first).vault;
    let mut out = std::io::stdout();
    // The test harness may have left a line unfinished.
    writeln!(out).unwrap();
    for number in first.. {
        vault.commit(&batch(number)).unwrap();
        writeln!(out, "committed {number}").unwrap();
        out.flush().unwrap();
    }
}

fn open(profile: &Path, start: u64) -> Opened {
    let mut seed = [9; 32];
    seed[..8].copy_from_slice(&start.to_le_bytes());
    Vault::open(profile, Choice::Auto, Rng::new(seed)).unwrap()
}

/// The batch of this number: every third erases, and the others write one to three records in one of four talks or beside them.
fn batch(number: u64) -> Vec<Persist> {
    let mut seed = [5; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let mut rng = Rng::new(seed);
    let talk = TalkId([rng.below(4) as u8; 16]);
    let receipt = Persist::Put { scope: Scope::Durable, name: b"receipt".to_vec(), value: number.to_le_bytes().to_vec() };
    if rng.below(3) == 0 {
        return vec![receipt, Persist::Forget { talk }];
    }
    let records = (0..=rng.below(3)).map(|record| {
        let scope = if rng.below(4) == 0 { Scope::Durable } else { Scope::Talk(talk) };
        let value = vec![number as u8; rng.below(3_000) as usize];
        Persist::Put { scope, name: format!("record {record}").into_bytes(), value }
    });
    records.collect()
}

fn apply(state: &mut State, batch: &[Persist]) {
    for change in batch {
        match change {
            Persist::Put { scope, name, value } => _ = state.insert((*scope, name.clone()), value.clone()),
            Persist::Delete { scope, name } => _ = state.remove(&(*scope, name.clone())),
            Persist::Forget { talk } => state.retain(|(scope, _), _| *scope != Scope::Talk(*talk)),
        }
    }
}
