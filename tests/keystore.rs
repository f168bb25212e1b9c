//! The laws of the keystores: what is put is found by the next process, and what is deleted by nobody.

use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::shell::keystore::{Choice, Keystore, KeystoreError, Level, Memory};
use alcove::shell::vault::Vault;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Tells the process that it is the child; its value is the expected answer.
const EXPECTED: &str = "KEYSTORE_EXPECTED";

/// The kernel's keyring for this test, or `None` where the kernel offers none; then the vault must not claim to forget.
fn kernel(profile: [u8; 16]) -> Option<Keystore> {
    match Keystore::kernel(profile) {
        Ok(keystore) => Some(keystore),
        Err(error) => {
            println!("no kernel keyring here: {error}");
            let directory = tempfile::tempdir().unwrap();
            let opened = Vault::open(directory.path(), Choice::Auto, Rng::new([1; 32])).unwrap();
            assert_eq!(opened.vault.level(), Level::DoesNotForget);
            None
        }
    }
}

/// A profile name that no other test run uses.
fn unique(number: u8) -> [u8; 16] {
    let mut profile = [number; 16];
    profile[..4].copy_from_slice(&std::process::id().to_le_bytes());
    profile
}

fn keeps_and_forgets(keystore: &Keystore) {
    let (first, second) = (Key([1; 32]), Key([2; 32]));
    assert_eq!(keystore.read(1).unwrap(), None);
    keystore.put(1, &first).unwrap();
    keystore.put(2, &first).unwrap();
    keystore.put(2, &second).unwrap();
    assert_eq!(keystore.read(1).unwrap(), Some(first));
    assert_eq!(keystore.read(2).unwrap(), Some(second.clone()), "a put replaces");
    keystore.delete(1).unwrap();
    assert_eq!(keystore.read(1).unwrap(), None);
    assert_eq!(keystore.read(2).unwrap(), Some(second), "a deletion takes one generation");
    keystore.delete(2).unwrap();
    keystore.delete(2).expect("deleting what is gone is no error");
    assert_eq!(keystore.read(2).unwrap(), None);
}

#[test]
fn every_keystore_keeps_what_is_put_and_forgets_what_is_deleted() {
    let directory = tempfile::tempdir().unwrap();
    keeps_and_forgets(&Keystore::Memory(Memory::default()));
    keeps_and_forgets(&Keystore::File { directory: directory.path().into() });
    if let Some(keystore) = kernel(unique(1)) {
        keeps_and_forgets(&keystore);
    }
}

#[test]
fn a_key_in_the_kernel_is_found_by_another_process_until_it_is_deleted() {
    if let Ok(expected) = std::env::var(EXPECTED) {
        let profile = std::env::var("KEYSTORE_PROFILE").unwrap();
        let profile: Vec<u8> = profile.split(',').map(|byte| byte.parse().unwrap()).collect();
        let found = Keystore::Kernel { profile: profile.try_into().unwrap() }.read(7).unwrap();
        assert_eq!(found, (expected == "found").then_some(Key([3; 32])));
        return;
    }
    let profile = unique(2);
    let Some(keystore) = kernel(profile) else { return };
    let other_process_sees = |expected: &str| {
        let test = "a_key_in_the_kernel_is_found_by_another_process_until_it_is_deleted";
        let profile = profile.map(|byte| byte.to_string()).join(",");
        let mut child = Command::new(std::env::current_exe().unwrap());
        let status = child.args([test, "--exact"]).env(EXPECTED, expected).env("KEYSTORE_PROFILE", profile).status().unwrap();
        assert!(status.success(), "another process: {expected}");
    };
    other_process_sees("missing");
    keystore.put(7, &Key([3; 32])).unwrap();
    other_process_sees("found");
    keystore.delete(7).unwrap();
    other_process_sees("missing");
}

#[test]
fn the_key_file_is_for_its_user_alone_and_a_cut_one_is_an_error_and_not_an_absence() {
    let directory = tempfile::tempdir().unwrap();
    let keystore = Keystore::File { directory: directory.path().into() };
    keystore.put(1, &Key([1; 32])).unwrap();
    let path = directory.path().join("forgetting.1.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    fs::write(&path, [1; 31]).unwrap();
    assert!(matches!(keystore.read(1), Err(KeystoreError::File { .. })));
}

#[test]
fn the_option_names_the_keystores() {
    for (text, matches) in [("auto", true), ("kernel", true), ("file", true), ("tpm", false), ("", false)] {
        assert_eq!(text.parse::<Choice>().is_ok(), matches, "{text}");
    }
}

#[test]
fn a_copy_of_a_test_keystore_survives_the_reboot_of_the_original() {
    let memory = Memory::default();
    Keystore::Memory(memory.clone()).put(1, &Key([1; 32])).unwrap();
    let copy = memory.copy();
    memory.reboot();
    assert!(memory.keys().is_empty());
    assert_eq!(copy.keys(), [Key([1; 32])]);
}

#[test]
fn each_level_says_in_a_sentence_what_it_means() {
    assert!(Level::Forgets.description().contains("cannot be read again"));
    assert!(Level::DoesNotForget.description().contains("can still read it"));
}
