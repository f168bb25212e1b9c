//! The laws of a group among honest members: founding, order, restart, admission, removal, and one history per seed.

mod hostile;
mod restart;

use super::{Group, GroupError, OUT_OF_ORDER_MAX, Opened, PAST_EPOCHS_MAX, SeatKeys, Staged, check_key_package, verify};
use crate::proto::id::SeatId;
use crate::proto::rng::Rng;
use crate::proto::secret::{Key, hash};

const PSK_ID: &[u8] = b"roster";

/// Everybody at one table, the founder first.
struct Table {
    rng: Rng,
    seats: Vec<SeatKeys>,
    groups: Vec<Group>,
    welcome: Vec<u8>,
}

/// The key over all contributions.
fn contributions(parts: &[[u8; 16]]) -> Key {
    Key(hash("contributions", &parts.iter().map(|part| part.as_slice()).collect::<Vec<_>>()))
}

fn table(n: usize, seed: u8) -> Table {
    let mut rng = Rng::new([seed; 32]);
    let mut seats: Vec<_> = (0..n).map(|_| SeatKeys::generate(&mut rng)).collect();
    let packages: Vec<_> = seats[1..].iter_mut().map(|seat| seat.key_package(&mut rng).unwrap()).collect();
    let psk = contributions(&(0..n).map(|_| rng.bytes()).collect::<Vec<_>>());
    let (founder, welcome) = Group::found(&mut rng, &seats[0], [7; 16], &packages, &psk, PSK_ID).unwrap();
    let mut groups = vec![founder];
    for seat in &mut seats[1..] {
        let (group, welcomer) = Group::join(seat, &welcome, Some((&psk, PSK_ID))).unwrap();
        assert_eq!(welcomer, groups[0].me().seat);
        groups.push(group);
    }
    Table { rng, seats, groups, welcome }
}

impl Table {
    fn seal(&mut self, by: usize, text: &str) -> Vec<u8> {
        self.groups[by].seal(&mut self.rng, text.as_bytes()).unwrap()
    }

    /// The founder commits; all others but `absent` merge it.
    fn commit(&mut self, add: &[Vec<u8>], remove: Option<SeatId>, absent: &[usize]) -> (Vec<u8>, Option<Vec<u8>>) {
        let made = self.groups[0].admit_and_remove(&mut self.rng, add, remove).unwrap();
        for (i, group) in self.groups.iter_mut().enumerate().skip(1).filter(|(_, group)| group.is_member()) {
            if !absent.contains(&i) {
                let staged = staged(group, &made.commit);
                group.merge(staged).unwrap();
            }
        }
        (made.commit, made.welcome)
    }

    /// A commit that changes the epoch and leaves everybody seated but a passer-by, who gets up in the next one.
    fn pass_epochs(&mut self, n: usize, absent: &[usize]) -> Vec<Vec<u8>> {
        let mut passer: Option<SeatId> = None;
        (0..n)
            .map(|_| {
                let mut seat = SeatKeys::generate(&mut self.rng);
                let package = seat.key_package(&mut self.rng).unwrap();
                self.commit(&[package], passer.replace(seat.id()), absent).0
            })
            .collect()
    }
}

fn text(group: &mut Group, bytes: &[u8]) -> Result<String, GroupError> {
    match group.open(bytes)? {
        Opened::Message { plaintext, .. } => Ok(String::from_utf8(plaintext).unwrap()),
        Opened::Commit(_) => panic!("a commit where a message was expected"),
    }
}

fn staged(group: &mut Group, commit: &[u8]) -> Staged {
    match group.open(commit).unwrap() {
        Opened::Commit(staged) => *staged,
        Opened::Message { .. } => panic!("a message where a commit was expected"),
    }
}

#[test]
fn all_who_sat_down_share_one_key_and_read_each_other() {
    for n in [2, 5, 12] {
        let mut table = table(n, 1);
        let key = table.groups[0].export("links", b"").unwrap();
        let roster = table.groups[0].roster();
        assert_eq!(roster, table.seats.iter().map(SeatKeys::member).collect::<Vec<_>>());
        for group in &table.groups {
            assert_eq!((group.epoch(), group.id(), group.roster()), (1, [7; 16], roster.clone()));
            assert!(group.export("links", b"").unwrap() == key);
            assert!(group.export("links", b"other").unwrap() != key && group.export("labels", b"").unwrap() != key);
        }
        for by in 0..n {
            let sealed = table.seal(by, "hello");
            let from = table.seats[by].id();
            for (i, group) in table.groups.iter_mut().enumerate() {
                match group.open(&sealed) {
                    Ok(Opened::Message { from: named, epoch: 1, plaintext }) if i != by => {
                        assert_eq!((named, plaintext.as_slice()), (from, b"hello".as_slice()));
                    }
                    Err(GroupError::Replayed) if i == by => {}
                    _ => panic!("seat {i} did not read seat {by}"),
                }
            }
        }
    }
}

#[test]
fn without_every_contribution_nobody_joins() {
    let mut rng = Rng::new([2; 32]);
    let mut parts: Vec<[u8; 16]> = (0..3).map(|_| rng.bytes()).collect();
    let host = SeatKeys::generate(&mut rng);
    let mut guests: Vec<_> = (0..2).map(|_| SeatKeys::generate(&mut rng)).collect();
    let packages: Vec<_> = guests.iter_mut().map(|guest| guest.key_package(&mut rng).unwrap()).collect();
    let psk = contributions(&parts);
    let (_, welcome) = Group::found(&mut rng, &host, [7; 16], &packages, &psk, PSK_ID).unwrap();

    let guest = &mut guests[0];
    assert_eq!(Group::join(guest, &welcome, None).err(), Some(GroupError::Forged));
    assert_eq!(Group::join(guest, &welcome, Some((&psk, b"other roster"))).err(), Some(GroupError::Forged));
    parts[1][0] ^= 1;
    assert_eq!(Group::join(guest, &welcome, Some((&contributions(&parts), PSK_ID))).err(), Some(GroupError::Forged));
    assert!(Group::join(guest, &welcome, Some((&psk, PSK_ID))).is_ok(), "the control: with all contributions it works");
}

#[test]
fn a_founding_without_contributions_is_not_joined_as_one_with_them() {
    let mut table = table(2, 3);
    let mut guest = SeatKeys::generate(&mut table.rng);
    let package = guest.key_package(&mut table.rng).unwrap();
    let (_, welcome) = table.commit(&[package], None, &[]);
    let welcome = welcome.unwrap();
    let any = Key([1; 32]);
    let wanted = Some((&any, PSK_ID));
    assert!(matches!(Group::join(&mut guest, &welcome, wanted), Err(GroupError::Refused(_))));
    assert!(Group::join(&mut guest, &welcome, None).is_ok(), "the control: as a later admission it works");
}

#[test]
fn a_key_package_joins_once_and_survives_a_failed_welcome() {
    let mut table = table(2, 4);
    let welcome = table.welcome.clone();
    let guest = &mut table.seats[1];
    assert_eq!(Group::join(guest, &welcome, None).err(), Some(GroupError::Foreign), "its private half is gone");

    let first = guest.key_package(&mut table.rng).unwrap();
    let second = guest.key_package(&mut table.rng).unwrap();
    assert_ne!(first, second);
    assert_eq!(check_key_package(&first), check_key_package(&second));
    let mut kept = SeatKeys::from_bytes(&guest.to_bytes()).unwrap();
    let gone = table.seats[1].id();
    let (_, welcome) = table.commit(&[second], Some(gone), &[1]);
    let welcome = welcome.unwrap();
    let mut garbled = welcome.clone();
    *garbled.last_mut().unwrap() ^= 1;
    assert_eq!(Group::join(&mut kept, &garbled, None).err(), Some(GroupError::Forged));
    assert!(Group::join(&mut kept, &welcome, None).is_ok());
    assert_eq!(kept.packages.len(), 1, "the first is still unspent");
}

#[test]
fn a_phone_that_lost_its_state_comes_back_in_one_commit() {
    let mut table = table(3, 5);
    let package = table.seats[2].key_package(&mut table.rng).unwrap();
    let seat = table.seats[2].id();
    let (_, welcome) = table.commit(&[package], Some(seat), &[2]);
    let (group, _) = Group::join(&mut table.seats[2], &welcome.unwrap(), None).unwrap();
    table.groups[2] = group;
    assert_eq!(table.groups[1].roster().len(), 3);
    let sealed = table.seal(2, "back again");
    assert_eq!(text(&mut table.groups[0], &sealed).unwrap(), "back again");
    assert_eq!(text(&mut table.groups[1], &sealed).unwrap(), "back again");
}

#[test]
fn messages_open_once_in_any_order_with_gaps() {
    let mut table = table(3, 6);
    let sealed: Vec<_> = (0..40).map(|i| table.seal(1, &format!("{i}"))).collect();
    let mut order: Vec<usize> = (0..40).filter(|i| i % 7 != 3).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, table.rng.below(i as u64 + 1) as usize);
    }
    for i in order {
        assert_eq!(text(&mut table.groups[0], &sealed[i]).unwrap(), format!("{i}"));
        assert_eq!(text(&mut table.groups[0], &sealed[i]), Err(GroupError::Replayed));
    }
    assert_eq!(text(&mut table.groups[0], &sealed[3]).unwrap(), "3", "late, not lost");
}

#[test]
fn a_message_may_be_as_late_as_the_window_and_no_later() {
    let mut table = table(2, 7);
    let sealed: Vec<_> = (0..OUT_OF_ORDER_MAX + 2).map(|i| table.seal(1, &format!("{i}"))).collect();
    text(&mut table.groups[0], sealed.last().unwrap()).unwrap();
    assert_eq!(text(&mut table.groups[0], &sealed[0]), Err(GroupError::TooOld));
    assert_eq!(text(&mut table.groups[0], &sealed[2]).unwrap(), "2");
}

#[test]
fn messages_of_past_epochs_open_within_the_window() {
    let mut table = table(3, 8);
    let (kept, lost) = (table.seal(1, "in time"), table.seal(1, "too late"));
    table.pass_epochs(PAST_EPOCHS_MAX, &[]);
    assert_eq!(text(&mut table.groups[0], &kept).unwrap(), "in time");
    table.pass_epochs(1, &[]);
    assert_eq!(text(&mut table.groups[0], &lost), Err(GroupError::TooOld));
}

#[test]
fn a_message_from_a_later_epoch_waits_for_its_commit() {
    let mut table = table(3, 9);
    let commits = table.pass_epochs(2, &[2]);
    let sealed = table.seal(1, "news");
    let late = &mut table.groups[2];
    assert_eq!(text(late, &sealed), Err(GroupError::Later { epoch: 3 }));
    assert_eq!(late.open(&commits[1]).err(), Some(GroupError::Later { epoch: 2 }));
    for commit in &commits {
        let staged = staged(late, commit);
        late.merge(staged).unwrap();
    }
    assert_eq!(text(late, &sealed).unwrap(), "news");
}

#[test]
fn a_removed_seat_reads_nothing_more() {
    let mut table = table(3, 10);
    let before = table.seal(1, "before");
    assert_eq!(text(&mut table.groups[2], &before).unwrap(), "before", "the control: it could until now");
    let gone = table.seats[2].id();
    let (commit, _) = table.commit(&[], Some(gone), &[2]);
    let after = table.seal(1, "after");
    assert_eq!(text(&mut table.groups[0], &after).unwrap(), "after");

    // Neither if it hides the commit from itself, nor once it has seen it.
    assert_eq!(text(&mut table.groups[2], &after), Err(GroupError::Later { epoch: 2 }));
    let old = table.groups[2].export("links", b"").unwrap();
    assert!(table.groups[0].export("links", b"").unwrap() != old);
    let staged = staged(&mut table.groups[2], &commit);
    assert_eq!((staged.committer, staged.removed.as_slice()), (table.seats[0].id(), [gone].as_slice()));
    table.groups[2].merge(staged).unwrap();
    assert!(!table.groups[2].is_member());
    assert_eq!(text(&mut table.groups[2], &after), Err(GroupError::Removed));
    assert_eq!(table.groups[2].seal(&mut table.rng, b"?"), Err(GroupError::Removed));
    assert_eq!(table.groups[2].export("links", b"").err(), Some(GroupError::Removed));
}

#[test]
fn a_newcomer_reads_what_comes_after_and_not_what_came_before() {
    let mut table = table(3, 11);
    let before = table.seal(1, "before");
    let mut guest = SeatKeys::generate(&mut table.rng);
    let package = guest.key_package(&mut table.rng).unwrap();
    assert_eq!(check_key_package(&package), Ok(guest.member()));
    let made = table.groups[0].admit_and_remove(&mut table.rng, &[package], None).unwrap();
    for group in &mut table.groups[1..] {
        let staged = staged(group, &made.commit);
        assert_eq!((staged.added.as_slice(), staged.removed.len()), ([guest.member()].as_slice(), 0));
        group.merge(staged).unwrap();
    }
    let (mut group, welcomer) = Group::join(&mut guest, &made.welcome.unwrap(), None).unwrap();
    assert_eq!(welcomer, table.seats[0].id());
    let after = table.seal(1, "after");
    assert_eq!(text(&mut group, &after).unwrap(), "after");
    assert_eq!(text(&mut group, &before), Err(GroupError::TooOld));
    assert_eq!(text(&mut table.groups[0], &before).unwrap(), "before", "the control: an old member can");
    let sealed = group.seal(&mut table.rng, b"thank you").unwrap();
    assert_eq!(text(&mut table.groups[2], &sealed).unwrap(), "thank you");
}

#[test]
fn every_epoch_has_its_own_key() {
    let mut table = table(2, 12);
    let mut keys = vec![table.groups[0].export("links", b"").unwrap().0];
    for _ in 0..5 {
        table.pass_epochs(1, &[]);
        assert!(table.groups[0].export("links", b"").unwrap() == table.groups[1].export("links", b"").unwrap());
        keys.push(table.groups[0].export("links", b"").unwrap().0);
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 6);
}

#[test]
fn a_seat_speaks_in_two_tongues_that_are_never_confused() {
    use openmls_traits::signatures::Signer;
    let mut rng = Rng::new([16; 32]);
    let seat = SeatKeys::generate(&mut rng);
    let signature = seat.sign("close", &[b"talk", b"heads"]);
    let key = seat.verifying_key();
    assert!(verify(&key, "close", &[b"talk", b"heads"], &signature));
    assert!(!verify(&key, "close", &[b"talkheads"], &signature) && !verify(&key, "leave", &[b"talk", b"heads"], &signature));
    assert!(!verify(&SeatKeys::generate(&mut rng).verifying_key(), "close", &[b"talk", b"heads"], &signature));
    assert!(!verify(&[0; 32], "close", &[], &[0; 64]));
    let raw: [u8; 64] = seat.signing().sign(b"close").unwrap().try_into().unwrap();
    assert!(!verify(&key, "close", &[], &raw));
}

#[test]
fn sizes_on_the_air_stay_what_they_were_planned_with() {
    let mut sizes = Vec::new();
    for (n, welcome_max) in [(2, 760), (5, 1_900), (12, 4_400)] {
        let mut table = table(n, 19);
        let package = SeatKeys::generate(&mut table.rng).key_package(&mut table.rng).unwrap();
        let sealed = table.seal(1, &"x".repeat(200)).len() - 200;
        let secrets: Vec<_> =
            (0..n).map(|i| table.groups[i].take_changes().values().flatten().map(Vec::len).sum::<usize>()).collect();
        table.seal(1, "x");
        let delta: usize = table.groups[1].take_changes().values().flatten().map(Vec::len).sum();
        let package_len = package.len();
        let made = table.groups[0].admit_and_remove(&mut table.rng, &[package], None).unwrap();
        let welcome = made.welcome.unwrap().len();
        sizes.push(format!(
            "n={n}: key package {package_len}, founding welcome {}, overhead {sealed}, add one: commit {} welcome {welcome}, state {} (guest {}), delta of a seal {delta}",
            table.welcome.len(),
            made.commit.len(),
            secrets[0],
            secrets[1]
        ));
        assert!(package_len == 284 && sealed <= 150 && table.welcome.len() <= welcome_max, "{sizes:?}");
    }
    println!("{}", sizes.join("\n"));
}
