//! MLS messages, welcomes and key packages: raw, and true ones with changes. What fails changes nothing.

use super::Choices;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::talk::group::{Group, Opened, SeatKeys, check_key_package};

const PSK_ID: &[u8] = b"roster";

/// A founder and one member, made afresh for each run from one seed.
struct Table {
    rng: Rng,
    founder: Group,
    member: Group,
    welcome: Vec<u8>,
}

/// Somebody who has a welcome and has not joined, the welcome, and the key of all contributions.
fn invited() -> (Rng, Group, SeatKeys, Vec<u8>, Key) {
    let mut rng = Rng::new([40; 32]);
    let (host, mut guest) = (SeatKeys::generate(&mut rng), SeatKeys::generate(&mut rng));
    let package = guest.key_package(&mut rng).expect("fresh keys");
    let psk = Key(rng.bytes());
    let (founder, welcome) = Group::found(&mut rng, &host, [7; 16], &[package], &psk, PSK_ID).expect("a group of two");
    (rng, founder, guest, welcome, psk)
}

fn table() -> Table {
    let (rng, founder, mut guest, welcome, psk) = invited();
    let (member, _) = Group::join(&mut guest, &welcome, Some((&psk, PSK_ID))).expect("a true welcome");
    Table { rng, founder, member, welcome }
}

pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(6) {
        0 => drop(check_key_package(choices.rest())),
        1 => key_package(choices),
        2 => messages(choices),
        3 => welcome(choices),
        4 => raw_message(choices.rest()),
        _ => {
            let (_, _, mut guest, _, psk) = invited();
            drop(Group::join(&mut guest, choices.rest(), Some((&psk, PSK_ID))));
        }
    }
}

fn key_package(mut choices: Choices<'_>) {
    let mut seat = SeatKeys::generate(&mut Rng::new([41; 32]));
    let mut package = seat.key_package(&mut Rng::new([42; 32])).expect("fresh keys");
    let before = package.clone();
    choices.mutate(&mut package);
    match check_key_package(&package) {
        Ok(member) => assert_eq!((member, &package), (seat.member(), &before), "one changed bit is noticed"),
        Err(_) => assert_ne!(package, before),
    }
}

fn raw_message(bytes: &[u8]) {
    let mut table = table();
    table.member.take_changes();
    if table.member.open(bytes).is_err() {
        assert!(table.member.take_changes().is_empty(), "after an error nothing has changed");
    }
}

fn welcome(mut choices: Choices<'_>) {
    let (_, _, mut guest, mut welcome, psk) = invited();
    let before = (welcome.clone(), guest.to_bytes());
    choices.mutate(&mut welcome);
    let joined = Group::join(&mut guest, &welcome, Some((&psk, PSK_ID))).is_ok();
    assert_eq!(joined, welcome == before.0, "one changed bit is noticed");
    assert!(joined || guest.to_bytes() == before.1, "after an error nothing has changed");
}

/// A line that loses, repeats and changes messages and commits; a restart at any point.
fn messages(mut choices: Choices<'_>) {
    let mut table = table();
    let mut on_the_way: Vec<(Vec<u8>, bool)> = Vec::new();
    let mut rounds = 0;
    while !choices.is_over() && rounds < 40 {
        rounds += 1;
        match choices.below(6) {
            0 => {
                let text = choices.sized();
                on_the_way.push((table.founder.seal(&mut table.rng, text).expect("a member seals"), true));
            }
            1 => {
                let package = SeatKeys::generate(&mut table.rng).key_package(&mut table.rng).expect("fresh keys");
                if let Ok(made) = table.founder.admit_and_remove(&mut table.rng, &[package], None) {
                    on_the_way.push((made.commit, true));
                }
            }
            2 => {
                if let Some((bytes, is_whole)) = on_the_way.last_mut() {
                    let before = bytes.clone();
                    choices.mutate(bytes);
                    *is_whole &= *bytes == before;
                }
            }
            3 => on_the_way.extend(on_the_way.last().cloned()),
            4 => on_the_way.extend([(table.welcome.clone(), false)]),
            _ => {
                if on_the_way.is_empty() {
                    continue;
                }
                let (bytes, is_whole) = on_the_way.remove(choices.below(on_the_way.len()));
                table.member.take_changes();
                match table.member.open(&bytes) {
                    Ok(Opened::Commit(staged)) => {
                        assert!(is_whole);
                        table.member.merge(*staged).expect("it fits this epoch");
                    }
                    Ok(Opened::Message { from, .. }) => assert!(is_whole && from == table.founder.me().seat),
                    Err(_) => assert!(table.member.take_changes().is_empty(), "after an error nothing has changed"),
                }
            }
        }
    }
}
