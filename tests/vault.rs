//! The laws of the vault: order, atomicity, what a reboot takes and what damage costs.

use alcove::proto::config::{RECORD_BYTES_MAX, RECORD_NAME_BYTES_MAX};
use alcove::proto::id::TalkId;
use alcove::proto::io::{Persist, Record, Scope};
use alcove::proto::rng::Rng;
use alcove::shell::keystore::{Choice, Level, Memory};
use alcove::shell::vault::{Opened, Step, Vault, VaultError, layout};
use redb::{Database, ReadableTable};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const DURABLE: Scope = Scope::Durable;

fn talk(number: u8) -> TalkId {
    TalkId([number; 16])
}

fn put(scope: Scope, name: &str, value: &str) -> Persist {
    Persist::Put { scope, name: name.into(), value: value.into() }
}

fn record(scope: Scope, name: &str, value: &str) -> Record {
    Record { scope, name: name.into(), value: value.into() }
}

/// Opens with a generator of its own, as each start of the app does.
fn open(profile: &Path, memory: &Memory) -> Opened {
    let start = fs::read_dir(profile).map(Iterator::count).unwrap_or(0) as u8;
    Vault::open(profile, Choice::Memory(memory.clone()), Rng::new([start; 32])).expect("the profile opens")
}

#[test]
fn a_committed_record_is_there_after_reopening_and_a_deleted_one_is_not() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    let scope = Scope::Talk(talk(1));
    vault.commit(&[put(DURABLE, "card", "mine"), put(scope, "notes", "one"), put(scope, "mls", "state")]).unwrap();
    vault.commit(&[put(scope, "notes", "two"), Persist::Delete { scope, name: b"mls".to_vec() }]).unwrap();
    vault.commit(&[Persist::Delete { scope, name: b"never there".to_vec() }]).unwrap();
    drop(vault);
    let opened = open(profile.path(), &memory);
    assert_eq!(opened.records, [record(DURABLE, "card", "mine"), record(scope, "notes", "two")]);
    assert!(opened.corrupt.is_empty() && opened.lost.is_empty());
}

#[test]
fn within_a_batch_the_order_counts() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    let scope = Scope::Talk(talk(1));
    vault.commit(&[put(scope, "old", "x")]).unwrap();
    vault
        .commit(&[
            put(scope, "before", "x"),
            Persist::Forget { talk: talk(1) },
            put(scope, "after", "y"),
            put(DURABLE, "receipt", "z"),
        ])
        .unwrap();
    drop(vault);
    assert_eq!(open(profile.path(), &memory).records, [record(DURABLE, "receipt", "z"), record(scope, "after", "y")]);
}

#[test]
fn a_forgotten_talk_leaves_the_others_readable() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    for number in 1..=5 {
        vault.commit(&[put(Scope::Talk(talk(number)), "notes", "text")]).unwrap();
    }
    let before = memory.keys();
    vault.commit(&[Persist::Forget { talk: talk(2) }, Persist::Forget { talk: talk(4) }]).unwrap();
    assert_eq!(memory.keys().len(), 1);
    assert_ne!(memory.keys(), before);
    drop(vault);
    let left = [1, 3, 5].map(|number| record(Scope::Talk(talk(number)), "notes", "text"));
    assert_eq!(open(profile.path(), &memory).records, left);
}

#[test]
fn forgetting_an_unknown_talk_changes_no_key() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    let before = memory.keys();
    vault.commit(&[Persist::Forget { talk: talk(9) }]).unwrap();
    assert_eq!(memory.keys(), before);
}

#[test]
fn a_reboot_loses_the_open_talks_and_keeps_the_durable_records() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    vault.commit(&[put(DURABLE, "stub", "re-join"), put(Scope::Talk(talk(1)), "notes", "text")]).unwrap();
    drop(vault);
    memory.reboot();
    let mut opened = open(profile.path(), &memory);
    assert_eq!(opened.records, [record(DURABLE, "stub", "re-join")]);
    assert_eq!(opened.lost, [talk(1)]);
    assert!(opened.corrupt.is_empty());
    opened.vault.commit(&[put(Scope::Talk(talk(1)), "notes", "again")]).unwrap();
    drop(opened);
    let opened = open(profile.path(), &memory);
    assert_eq!(opened.records.last(), Some(&record(Scope::Talk(talk(1)), "notes", "again")));
    assert!(opened.lost.is_empty(), "a loss is reported once");
}

#[test]
fn a_key_that_vanishes_while_running_is_an_error_and_not_a_new_key() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    vault.commit(&[put(Scope::Talk(talk(1)), "notes", "text")]).unwrap();
    memory.reboot();
    assert!(matches!(vault.commit(&[put(Scope::Talk(talk(1)), "notes", "more")]), Err(VaultError::KeyVanished)));
    vault.commit(&[put(DURABLE, "card", "mine")]).expect("durable records need no forgetting key");
}

#[test]
fn a_power_cut_after_each_step_leaves_a_talk_open_or_erased() {
    for step in Step::ALL {
        let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
        let mut vault = open(profile.path(), &memory).vault;
        vault.commit(&[put(Scope::Talk(talk(1)), "notes", "one"), put(Scope::Talk(talk(2)), "notes", "two")]).unwrap();
        vault.stop_after(step);
        let batch = [put(DURABLE, "receipt", "x"), Persist::Forget { talk: talk(1) }];
        assert!(matches!(vault.commit(&batch), Err(VaultError::Stopped(at)) if at == step));
        drop(vault);
        let opened = open(profile.path(), &memory);
        let (one, two) = (record(Scope::Talk(talk(1)), "notes", "one"), record(Scope::Talk(talk(2)), "notes", "two"));
        match step {
            Step::KeyMade => assert_eq!(opened.records, [one, two]),
            Step::Committed | Step::KeyGone | Step::Compacted => assert_eq!(opened.records, [record(DURABLE, "receipt", "x"), two]),
        }
        assert_eq!(memory.keys().len(), 1, "only the generation in use is left after {step:?}");
    }
}

#[test]
fn going_on_after_a_failed_step_needs_no_restart() {
    for step in [Step::KeyMade, Step::Committed, Step::KeyGone] {
        let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
        let mut vault = open(profile.path(), &memory).vault;
        vault.commit(&[put(Scope::Talk(talk(1)), "notes", "one"), put(Scope::Talk(talk(2)), "notes", "two")]).unwrap();
        let used = memory.keys();
        vault.stop_after(step);
        assert!(vault.commit(&[Persist::Forget { talk: talk(1) }]).is_err());
        vault.stop_after(Step::Compacted);
        _ = vault.commit(&[Persist::Forget { talk: talk(1) }]);
        assert!(memory.keys().len() == 1 && memory.keys() != used, "{step:?}");
        vault.commit(&[put(Scope::Talk(talk(2)), "notes", "more")]).unwrap();
        drop(vault);
        assert_eq!(open(profile.path(), &memory).records, [record(Scope::Talk(talk(2)), "notes", "more")]);
    }
}

#[test]
fn a_full_disk_loses_nothing_committed_and_going_on_works_once_there_is_room() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    let big = "x".repeat(RECORD_BYTES_MAX);
    vault.commit(&[put(Scope::Talk(talk(1)), "notes", "kept"), put(Scope::Talk(talk(2)), "notes", "other")]).unwrap();
    vault.limit_disk(fs::metadata(profile.path().join("vault.redb")).unwrap().len());
    let fill: Vec<_> = (0..4).map(|number| put(Scope::Talk(talk(1)), &format!("big {number}"), &big)).collect();
    let error = vault.commit(&fill).unwrap_err();
    assert!(matches!(error, VaultError::DiskFull), "{error}");
    assert!(matches!(vault.commit(&fill), Err(VaultError::DiskFull)), "still full");
    vault.commit(&[Persist::Forget { talk: talk(2) }]).expect("an erasure needs no room that the file does not have");
    vault.limit_disk(u64::MAX);
    vault.commit(&fill[..1]).unwrap();
    drop(vault);
    let records = open(profile.path(), &memory).records;
    assert_eq!(records, [record(Scope::Talk(talk(1)), "big 0", &big), record(Scope::Talk(talk(1)), "notes", "kept")]);
}

#[test]
fn a_record_beyond_the_bounds_is_refused_with_its_whole_batch() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    let (name, value) = ("n".repeat(RECORD_NAME_BYTES_MAX), "v".repeat(RECORD_BYTES_MAX));
    vault.commit(&[put(DURABLE, &name, &value)]).expect("the bounds themselves fit");
    for beyond in [put(DURABLE, &(name + "n"), ""), put(DURABLE, "n", &(value + "v"))] {
        assert!(matches!(vault.commit(&[put(DURABLE, "good", ""), beyond]), Err(VaultError::TooLong)));
    }
    drop(vault);
    assert_eq!(open(profile.path(), &memory).records.len(), 1);
}

#[test]
fn a_damaged_record_is_set_aside_and_the_rest_opens() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    let scope = Scope::Talk(talk(1));
    vault.commit(&[put(DURABLE, "card", "mine"), put(scope, "mls", "state"), put(scope, "notes", "text")]).unwrap();
    drop(vault);
    damage(profile.path(), |store| {
        let transaction = store.begin_write().unwrap();
        let mut records = transaction.open_table(layout::RECORDS).unwrap();
        let (first, last) = layout::places(scope);
        let (place, mut sealed) = {
            let entry = records.range::<&layout::Place>(&first..=&last).unwrap().next().unwrap().unwrap();
            (*entry.0.value(), entry.1.value().to_vec())
        };
        sealed[30] ^= 1;
        records.insert(&place, sealed.as_slice()).unwrap();
        drop(records);
        transaction.commit().unwrap();
    });
    let opened = open(profile.path(), &memory);
    assert_eq!(opened.records.len(), 2);
    assert_eq!(opened.corrupt.len(), 1);
    assert!(opened.corrupt[0].name.starts_with(&talk(1).to_string()), "{}", opened.corrupt[0]);
    assert!(opened.lost.is_empty());
    drop(opened);
    assert!(open(profile.path(), &memory).corrupt.is_empty(), "it is reported once");
    damage(profile.path(), |store| {
        let transaction = store.begin_write().unwrap();
        assert_eq!(transaction.open_table(layout::ASIDE).unwrap().iter().unwrap().count(), 1, "and kept");
    });
}

#[test]
fn a_talk_whose_wrapped_key_is_damaged_is_lost_and_forgetting_it_still_changes_the_key() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    vault.commit(&[put(Scope::Talk(talk(1)), "notes", "one"), put(Scope::Talk(talk(2)), "notes", "two")]).unwrap();
    drop(vault);
    damage(profile.path(), |store| {
        let transaction = store.begin_write().unwrap();
        transaction.open_table(layout::SLOTS).unwrap().insert(&talk(1).0, [0; 72].as_slice()).unwrap();
        transaction.commit().unwrap();
    });
    let used = memory.keys();
    let mut opened = open(profile.path(), &memory);
    assert_eq!(opened.records, [record(Scope::Talk(talk(2)), "notes", "two")]);
    assert_eq!(opened.lost, [talk(1)]);
    assert_eq!(opened.corrupt.iter().map(|corrupt| corrupt.name.clone()).collect::<Vec<_>>(), [format!("{}/key", talk(1))]);
    opened.vault.commit(&[Persist::Forget { talk: talk(1) }]).unwrap();
    assert_ne!(memory.keys(), used, "an earlier copy of the disk holds the undamaged wrapped key");
}

#[test]
fn a_damaged_file_is_named_left_alone_and_set_aside_only_on_request() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    vault.commit(&[put(DURABLE, "card", "mine")]).unwrap();
    drop(vault);
    let path = profile.path().join("vault.redb");
    for bytes in [b"not a store".to_vec(), vec![0; 100_000], fs::read(&path).unwrap()[..10_000].to_vec()] {
        fs::write(&path, &bytes).unwrap();
        let error = Vault::open(profile.path(), Choice::Memory(memory.clone()), Rng::new([1; 32])).unwrap_err();
        assert!(matches!(error, VaultError::Damaged { .. }) && error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    let aside = Vault::set_aside(profile.path()).unwrap();
    assert!(aside.exists() && !path.exists());
    assert!(open(profile.path(), &memory).records.is_empty());
}

#[test]
fn a_store_that_was_emptied_or_is_missing_is_a_loss_to_be_told_and_not_a_new_profile() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let path = profile.path().join("vault.redb");
    let mut vault = open(profile.path(), &memory).vault;
    vault.commit(&[put(DURABLE, "card", "mine")]).unwrap();
    drop(vault);
    let copy = fs::read(&path).unwrap();
    for is_missing in [false, true] {
        if is_missing {
            fs::remove_file(&path).unwrap()
        } else {
            fs::write(&path, "").unwrap()
        }
        let error = Vault::open(profile.path(), Choice::Memory(memory.clone()), Rng::new([1; 32])).unwrap_err();
        assert!(matches!(error, VaultError::Damaged { .. }) && error.to_string().contains("set-aside"), "{error}");
        assert_eq!(path.exists(), !is_missing, "nothing was made in its place");
    }
    fs::write(&path, &copy).unwrap();
    assert_eq!(open(profile.path(), &memory).records, [record(DURABLE, "card", "mine")], "with a copy put back it opens");
    fs::remove_file(&path).unwrap();
    Vault::set_aside(profile.path()).unwrap();
    assert!(open(profile.path(), &memory).records.is_empty(), "who asks for it begins anew");
}

#[test]
fn beginning_anew_spares_the_key_of_what_was_set_aside_and_a_copy_put_back_opens() {
    let profile = tempfile::tempdir().unwrap();
    let open = || Vault::open(profile.path(), Choice::File, Rng::new([1; 32])).unwrap();
    let mut vault = open().vault;
    vault.commit(&[put(Scope::Talk(talk(1)), "note", "mine")]).unwrap();
    drop(vault);
    let path = profile.path().join("vault.redb");
    let copy = fs::read(&path).unwrap();
    for _ in 0..2 {
        fs::write(&path, "not a store").unwrap();
        Vault::set_aside(profile.path()).unwrap();
        let mut vault = open().vault;
        vault.commit(&[put(Scope::Talk(talk(2)), "note", "another"), Persist::Forget { talk: talk(2) }]).unwrap();
        drop(vault);
        drop(open());
        fs::write(&path, &copy).unwrap();
        assert_eq!(open().records, [record(Scope::Talk(talk(1)), "note", "mine")]);
    }
}

#[test]
fn a_flipped_bit_anywhere_is_harmless_or_an_error_and_setting_aside_saves_what_is_legible() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    for number in 0..20 {
        let scope = Scope::Talk(talk(number));
        vault.commit(&["a", "b", "c"].map(|name| put(scope, name, &"text".repeat(100)))).unwrap();
    }
    drop(vault);
    let path = profile.path().join("vault.redb");
    let image = fs::read(&path).unwrap();
    let used: Vec<usize> = (0..image.len()).filter(|at| image[*at] != 0).collect();
    let mut rng = Rng::new([3; 32]);
    let reopen = || Vault::open(profile.path(), Choice::Memory(memory.clone()), Rng::new([4; 32]));
    let (mut refused, mut saved_all_but_one) = (0, 0);
    for _ in 0..60 {
        let mut damaged = image.clone();
        let at = used[rng.below(used.len() as u64) as usize];
        damaged[at] ^= 1 << rng.below(8);
        fs::write(&path, &damaged).unwrap();
        match reopen() {
            Ok(opened) => {
                assert_eq!((opened.records.len(), opened.corrupt.len()), (60, 0), "byte {at}: nothing is lost in silence")
            }
            Err(error) => {
                assert!(matches!(error, VaultError::Damaged { .. }), "byte {at}: {error}");
                assert!(fs::read(&path).unwrap() == damaged, "byte {at}: the damaged file is left alone");
                refused += 1;
                let aside = Vault::set_aside(profile.path()).unwrap();
                assert!(fs::read(&aside).unwrap() == damaged, "byte {at}: and kept");
                let opened = reopen().expect("what was legible opens");
                saved_all_but_one += usize::from(opened.records.len() == 59 && opened.corrupt.len() == 1);
                fs::remove_file(aside).unwrap();
            }
        }
    }
    println!("{refused} of 60 flips refused, {saved_all_but_one} of them cost one record after setting aside");
    assert!(saved_all_but_one > refused / 2, "most of a store is values, so most damage costs one record");
}

#[test]
fn one_process_at_a_time_works_in_a_profile() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let first = open(profile.path(), &memory);
    let error = Vault::open(profile.path(), Choice::Memory(memory.clone()), Rng::new([1; 32])).unwrap_err();
    assert!(matches!(error, VaultError::InUse { .. }));
    assert!(error.to_string().contains(profile.path().to_str().unwrap()));
    drop(first);
    open(profile.path(), &memory);
}

#[test]
fn a_missing_directory_is_made_for_its_user_alone_and_an_exposed_one_is_refused() {
    let (parent, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let profile = parent.path().join("a/b");
    drop(open(&profile, &memory));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&profile), 0o700);
    for file in ["durable.key", "vault.redb", "lock"] {
        assert_eq!(mode(&profile.join(file)), 0o600, "{file}");
    }
    fs::set_permissions(&profile, Permissions::from_mode(0o750)).unwrap();
    let error = Vault::open(&profile, Choice::Memory(memory.clone()), Rng::new([1; 32])).unwrap_err();
    assert!(matches!(error, VaultError::Exposed { .. }), "{error}");
    fs::set_permissions(&profile, Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(profile.join("durable.key"), Permissions::from_mode(0o644)).unwrap();
    let error = Vault::open(&profile, Choice::Memory(memory.clone()), Rng::new([1; 32])).unwrap_err();
    assert!(matches!(error, VaultError::Exposed { .. }), "{error}");
}

#[test]
fn a_missing_or_foreign_durable_key_is_never_replaced() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    vault.commit(&[put(DURABLE, "card", "mine")]).unwrap();
    drop(vault);
    let path = profile.path().join("durable.key");
    let right = fs::read(&path).unwrap();
    for wrong in [Some(vec![7; 32]), Some(vec![7; 31]), None] {
        match wrong {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let error = Vault::open(profile.path(), Choice::Memory(memory.clone()), Rng::new([1; 32])).unwrap_err();
        assert!(matches!(error, VaultError::DurableKey { .. }), "{error}");
    }
    fs::write(&path, right).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(open(profile.path(), &memory).records.len(), 1);
}

#[test]
fn the_keystore_may_change_only_while_no_talk_is_open() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    assert_eq!(vault.level(), Level::Forgets);
    vault.commit(&[put(DURABLE, "card", "mine"), put(Scope::Talk(talk(1)), "notes", "text")]).unwrap();
    drop(vault);
    let error = Vault::open(profile.path(), Choice::File, Rng::new([1; 32])).unwrap_err();
    assert!(matches!(error, VaultError::KeystoreElsewhere(_)), "{error}");
    let mut vault = open(profile.path(), &memory).vault;
    vault.commit(&[Persist::Forget { talk: talk(1) }]).unwrap();
    drop(vault);
    let opened = Vault::open(profile.path(), Choice::File, Rng::new([2; 32])).unwrap();
    assert_eq!(opened.vault.level(), Level::DoesNotForget);
    assert_eq!(opened.records, [record(DURABLE, "card", "mine")]);
    assert!(opened.lost.is_empty());
}

#[test]
fn no_name_and_no_value_is_readable_on_the_disk() {
    let (profile, memory) = (tempfile::tempdir().unwrap(), Memory::default());
    let mut vault = open(profile.path(), &memory).vault;
    let words = ["name-in-the-talk", "value-in-the-talk", "name-of-the-durable", "value-of-the-durable"];
    vault.commit(&[put(Scope::Talk(talk(1)), words[0], words[1]), put(DURABLE, words[2], words[3])]).unwrap();
    drop(vault);
    let image = fs::read(profile.path().join("vault.redb")).unwrap();
    let holds = |needle: &[u8]| image.windows(needle.len()).any(|window| window == needle);
    assert!(words.iter().all(|word| !holds(word.as_bytes())));
    assert!(holds(&talk(1).0), "the control: the talk's random id is found");
}

fn damage(profile: &Path, act: impl FnOnce(&Database)) {
    let store = Database::open(profile.join("vault.redb")).unwrap();
    act(&store);
}
