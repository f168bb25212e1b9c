//! What a group keeps: restarts after any step, commits opened twice, and one history per seed whatever the clock says.

use super::*;
use std::collections::BTreeMap;

fn restored(seat: &SeatKeys, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> Group {
    Group::restore(seat, records.iter().map(|(name, value)| (name.as_slice(), value.as_slice()))).unwrap()
}

fn persist(group: &mut Group, records: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
    for (name, value) in group.take_changes() {
        match value {
            Some(value) => records.insert(name, value),
            None => records.remove(&name),
        };
    }
}

#[test]
fn a_commit_opens_again_until_one_is_merged() {
    let mut table = table(3, 13);
    let mut records = BTreeMap::new();
    persist(&mut table.groups[1], &mut records);
    let sealed = table.seal(2, "meanwhile");
    let commit = table.pass_epochs(1, &[1]).remove(0);

    drop(staged(&mut table.groups[1], &commit));
    assert!(table.groups[1].take_changes().is_empty(), "opened and dropped, it has changed nothing");
    let held = staged(&mut table.groups[1], &commit);
    assert_eq!(text(&mut table.groups[1], &sealed).unwrap(), "meanwhile");
    persist(&mut table.groups[1], &mut records);
    table.groups[1] = restored(&table.seats[1], &records);
    let staged = staged(&mut table.groups[1], &commit);
    table.groups[1].merge(staged).unwrap();
    assert_eq!(table.groups[1].merge(held).err(), Some(GroupError::TooOld));
    assert_eq!(table.groups[1].open(&commit).err(), Some(GroupError::TooOld));
    assert_eq!(text(&mut table.groups[1], &sealed), Err(GroupError::Replayed), "what was opened meanwhile stays opened");
    assert!(table.groups[1].export("links", b"").unwrap() == table.groups[0].export("links", b"").unwrap());
}

#[test]
fn a_restart_after_any_step_goes_on_and_never_seals_under_an_old_key() {
    let mut table = table(3, 14);
    let mut records = vec![BTreeMap::new(); 3];
    let mut early = Vec::new();
    for round in 0..12 {
        if round % 4 == 3 {
            table.pass_epochs(1, &[]);
        }
        let by = round % 3;
        let said = format!("round {round}");
        let sealed = table.seal(by, &said);
        for (i, records) in records.iter_mut().enumerate() {
            let group = &mut table.groups[i];
            if i != by {
                assert_eq!(text(group, &sealed).unwrap(), said);
            }
            let names = group.record_names();
            persist(group, records);
            assert!(records.keys().all(|name| names.contains(name)), "whoever removes the named records removes all");
            *group = restored(&table.seats[i], records);
        }
        if round == 0 {
            early = records.clone();
        }
    }
    // The control: from records that lag behind what was sealed, a key comes twice and the others notice.
    let mut table = self::table(3, 14);
    persist(&mut table.groups[0], &mut early[0]);
    let first = table.seal(0, "round 0");
    table.groups[0] = restored(&table.seats[0], &early[0]);
    let again = table.seal(0, "round 0 again");
    assert_eq!(text(&mut table.groups[1], &first).unwrap(), "round 0");
    assert_eq!(text(&mut table.groups[1], &again), Err(GroupError::Replayed));
}

#[test]
fn a_damaged_or_foreign_record_is_corrupt_and_no_panic() {
    let mut table = table(2, 15);
    let mut records = BTreeMap::new();
    persist(&mut table.groups[1], &mut records);
    assert!(Group::restore(&table.seats[0], records.iter().map(|(n, v)| (n.as_slice(), v.as_slice()))).is_err(), "not its seat");
    for missing in records.keys() {
        let fewer = || records.iter().filter(|(name, _)| *name != missing).map(|(n, v)| (n.as_slice(), v.as_slice()));
        assert!(Group::restore(&table.seats[1], fewer()).is_err(), "all of them are needed");
        let misnamed = ([0u8; 16].as_slice(), records[missing].as_slice());
        assert!(Group::restore(&table.seats[1], fewer().chain([misnamed])).is_err());
    }
    assert!(Group::restore(&table.seats[1], []).is_err());
    assert!(SeatKeys::from_bytes(&table.seats[1].to_bytes()[1..]).is_err());
}

/// One life of a group as a digest: everything that left and everything persisted.
fn history(seed: u8) -> [u8; 32] {
    let mut table = table(9, seed);
    let mut left: Vec<Vec<u8>> = vec![table.welcome.clone()];
    left.extend(table.seats.iter().map(|seat| seat.to_bytes().to_vec()));
    for round in 0..6 {
        left.push(table.seal(round % 9, "a line of text"));
        let (sealed, by) = (left.last().unwrap().clone(), round % 9);
        table.groups.iter_mut().enumerate().filter(|(i, _)| *i != by).for_each(|(_, group)| drop(group.open(&sealed).unwrap()));
        left.extend(table.pass_epochs(2, &[]));
        for group in &mut table.groups {
            left.extend(group.take_changes().into_iter().flat_map(|(name, value)| [name, value.unwrap_or_default()]));
        }
    }
    hash("history", &left.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn one_seed_gives_one_history_in_this_process_and_in_another() {
    const ASKED: &str = "ALCOVE_GROUP_HISTORY";
    let ours = Key(history(17)).0;
    if std::env::var_os(ASKED).is_some() {
        println!("history {ours:?}.");
        return;
    }
    assert_eq!(history(17), ours);
    assert_ne!(history(18), ours, "the control: another seed gives another");
    // Another process: another clock reading, another hash seed.
    let name = "one_seed_gives_one_history_in_this_process_and_in_another";
    let child = std::process::Command::new(std::env::current_exe().unwrap())
        .args([&format!("proto::talk::group::tests::restart::{name}"), "--exact", "--nocapture"])
        .env(ASKED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains(&format!("history {ours:?}.")), "the other process said: {said}");
}
