//! Laws of the whole beacon, on a simulated board.

use crate::beacon::{Beacon, Input};
use crate::board::{ADVERTISING_EVENT_US, Board, Shown};
use crate::config::{
    ADVERTISE_INTERVAL_ALONE_US, ADVERTISE_INTERVAL_US, CARRIED_MAX, CELL_BYTES, CELL_PLAIN_BYTES, CONTACT_CELLS_MAX,
    CONTACT_TIME_MAX_US, GAP_US, HANDSHAKE_TIME_MAX_US, HANDSHAKES_AT_ONCE, IDLE_TIME_MAX_US, PARCEL_BYTES, ROTATION_US,
};
use crate::hardware::Hardware;
use crate::table::Table;
use crate::visitor::{Visitor, parcel};
use std::collections::BTreeSet;
use std::vec::Vec;

const EVENT: [u8; 16] = [1; 16];
const HOUR_US: u64 = 3_600_000_000;
const SECOND_US: u64 = 1_000_000;

fn table() -> Table {
    Table { event: EVENT, key: [2; 32], secret: [3; 32], number: 4 }
}

/// A beacon that shows itself.
fn shown(seed: u64) -> (Board, Beacon) {
    let mut board = Board::new(seed);
    let mut beacon = Beacon::power_up(&mut board, table());
    board.run(&mut beacon, GAP_US.1);
    assert!(board.advert().is_some());
    (board, beacon)
}

fn meet(board: &mut Board, beacon: &mut Beacon, connection: u16) -> Visitor {
    Visitor::meet(board, beacon, connection, EVENT).expect("somebody of the event is let in")
}

fn has(parcels: &[[u8; PARCEL_BYTES]], parcel: &[u8; PARCEL_BYTES]) -> bool {
    parcels.iter().any(|other| other[2..] == parcel[2..])
}

#[test]
fn id_and_address_change_together_behind_a_silence_and_never_come_again() {
    let (mut board, mut beacon) = shown(1);
    board.run(&mut beacon, 48 * HOUR_US);
    let shown = &board.shown[..board.shown.len() - 1];
    let distinct = |of: fn(&Shown) -> [u8; 6]| shown.iter().map(of).collect::<BTreeSet<_>>().len();
    assert!(shown.len() > 200);
    assert_eq!(distinct(|shown| shown.address), shown.len());
    assert_eq!(distinct(|shown| shown.advert[1..7].try_into().unwrap()), shown.len());
    assert!(shown.iter().all(|shown| shown.address[5] >> 6 == 0), "non-resolvable private addresses");
    assert!(shown.iter().all(|shown| (ROTATION_US.0..ROTATION_US.1).contains(&(shown.until - shown.from))));
    assert!(shown.windows(2).all(|pair| (GAP_US.0..GAP_US.1).contains(&(pair[1].from - pair[0].until))));
    let lengths: BTreeSet<_> = shown.iter().map(|shown| shown.until - shown.from).collect();
    assert_eq!(lengths.len(), shown.len(), "no two alike");
}

#[test]
fn no_id_is_shown_twice_over_ten_thousand_reboots() {
    let mut board = Board::new(2);
    for _ in 0..10_000 {
        let mut beacon = Beacon::power_up(&mut board, table());
        board.cut_after = Some(board.below(6) as u32).filter(|cut| *cut < 3);
        let span = board.below(3) * 15 * 60 * SECOND_US + board.below(60 * SECOND_US);
        board.run(&mut beacon, span);
        board.reboot();
    }
    let ids: BTreeSet<_> = board.shown.iter().map(|shown| shown.advert).collect();
    std::eprintln!("{} ids shown in 10,000 lives", board.shown.len());
    assert!(board.shown.len() > 5_000);
    assert_eq!(ids.len(), board.shown.len());
}

#[test]
fn control_over_a_hundred_reboots_without_flash_ids_come_again() {
    let mut board = Board::new(2);
    for _ in 0..100 {
        let mut beacon = Beacon::power_up(&mut board, table());
        board.run(&mut beacon, HOUR_US);
        board.wipe();
        board.reboot();
    }
    let ids: BTreeSet<_> = board.shown.iter().map(|shown| shown.advert).collect();
    assert!(ids.len() < 10 && board.shown.len() > 300, "{} of {}", ids.len(), board.shown.len());
}

#[test]
fn a_table_that_cannot_remember_is_silent() {
    let mut board = Board::new(3);
    board.is_flash_dead = true;
    let mut beacon = Beacon::power_up(&mut board, table());
    board.run(&mut beacon, 10 * HOUR_US);
    assert!(board.shown.is_empty() && board.erased < 150, "{}", board.erased);
}

#[test]
fn with_the_rotation_every_link_is_closed() {
    let (mut board, mut beacon) = shown(4);
    board.now_us = beacon.wake_at() - SECOND_US;
    drop(meet(&mut board, &mut beacon, 7));
    assert!(board.ended.is_empty());
    board.run(&mut beacon, 2 * SECOND_US);
    assert_eq!((board.ended.as_slice(), board.advert()), (&[7][..], None));
    beacon.handle(&mut board, Input::Connected(8));
    assert_eq!(board.ended, [7, 8], "in the gap nobody is let in");
}

/// Radio on, in microseconds per hour, over a day.
fn radio_per_hour(is_somebody_about: bool) -> u64 {
    let mut board = Board::new(5);
    let mut beacon = Beacon::power_up(&mut board, table());
    for _ in 0..24 * 60 {
        board.run(&mut beacon, 60 * SECOND_US);
        if is_somebody_about {
            beacon.handle(&mut board, Input::Heard(&[0x10, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
        }
        // Another table is nobody.
        beacon.handle(&mut board, Input::Heard(&[0x11, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
    }
    let expected = if is_somebody_about { ADVERTISE_INTERVAL_US } else { ADVERTISE_INTERVAL_ALONE_US };
    assert!(board.shown[1..].iter().all(|shown| shown.interval_us == expected));
    board.silence();
    board.radio_on_us / 24
}

#[test]
fn the_radio_is_on_for_eight_seconds_an_hour_and_for_four_in_an_empty_hall() {
    let (busy, empty) = (radio_per_hour(true), radio_per_hour(false));
    std::eprintln!("radio on: {busy} us per hour, {empty} us in an empty hall, links left out");
    assert!(busy < 8 * SECOND_US && empty < 4 * SECOND_US);
    let listening = 5 * u64::from(crate::config::LISTEN_US);
    assert!(empty > listening + HOUR_US / 3_100_000 * ADVERTISING_EVENT_US, "control: adverts and listening were counted");

    let mut board = Board::new(6);
    board.advertise([0; 6], [0; 10], 250_000);
    board.now_us = HOUR_US;
    board.silence();
    assert!(board.radio_on_us > 8 * SECOND_US, "control: who shows itself as often as a lonely phone is over it");
}

#[test]
fn what_one_leaves_another_gets_who_comes_hours_later() {
    let (mut board, mut beacon) = shown(7);
    let mut first = meet(&mut board, &mut beacon, 1);
    let left: Vec<_> = (0..3).map(|_| parcel(&mut board, 1, 6)).collect();
    left.iter().for_each(|parcel| first.hand(&mut board, &mut beacon, *parcel));
    assert!(first.take(&mut board, &mut beacon).is_empty(), "it does not get back what it brought");
    first.leave(&mut board, &mut beacon);
    board.run(&mut beacon, 5 * HOUR_US);
    board.run(&mut beacon, GAP_US.1);
    let mut second = meet(&mut board, &mut beacon, 1);
    let got = second.take(&mut board, &mut beacon);
    assert!(got.len() == 3 && left.iter().all(|parcel| has(&got, parcel)));
    assert!(got.iter().all(|parcel| parcel[1] & 0x0f == 5), "one hop less");
}

#[test]
fn what_one_brings_goes_to_the_others_that_are_here_at_once() {
    let (mut board, mut beacon) = shown(8);
    let mut visitors: Vec<_> = (0..3).map(|connection| meet(&mut board, &mut beacon, connection)).collect();
    let mut bytes = parcel(&mut board, 0, 1);
    bytes[0] |= 1;
    visitors[0].hand(&mut board, &mut beacon, bytes);
    let got: Vec<_> = visitors.iter_mut().map(|visitor| visitor.take(&mut board, &mut beacon).len()).collect();
    assert_eq!(got, [0, 1, 1]);
}

#[test]
fn a_radio_that_takes_little_gets_no_half_parcel_and_in_the_end_everything() {
    let (mut board, mut beacon) = shown(9);
    let mut first = meet(&mut board, &mut beacon, 1);
    (0..CARRIED_MAX).for_each(|_| {
        let parcel = parcel(&mut board, 0, 6);
        first.hand(&mut board, &mut beacon, parcel);
    });
    board.room = 3;
    let mut second = meet(&mut board, &mut beacon, 2);
    assert_eq!(board.sent[&2].len(), 2);
    assert_eq!(second.take(&mut board, &mut beacon).len(), CARRIED_MAX);
}

#[test]
fn a_handshake_that_is_not_finished_costs_a_place_for_five_seconds_and_gets_a_byte_for_a_byte() {
    let (mut board, mut beacon) = shown(10);
    let noise = |board: &mut Board| -> Vec<u8> { (0..CELL_BYTES).map(|_| board.draw() as u8).collect() };
    Visitor::connect(&mut board, &mut beacon, 0);
    let half = noise(&mut board);
    beacon.handle(&mut board, Input::Received(1, &half));
    assert!(board.sent.is_empty(), "who is not connected is not heard");
    Visitor::connect(&mut board, &mut beacon, 1);
    beacon.handle(&mut board, Input::Received(1, &half[..100]));
    Visitor::connect(&mut board, &mut beacon, 2);
    beacon.handle(&mut board, Input::Received(2, &half));
    assert!(board.fetch(1).is_empty() && board.fetch(2).len() == 1);
    Visitor::connect(&mut board, &mut beacon, 3);
    assert_eq!(board.ended, [3], "three are three");
    board.run(&mut beacon, HANDSHAKE_TIME_MAX_US - 1);
    assert_eq!(board.ended.len(), 1);
    board.run(&mut beacon, 1);
    assert_eq!(board.ended, [3, 0, 1, 2]);
    assert!(Visitor::meet(&mut board, &mut beacon, 4, EVENT).is_some());
    board.run(&mut beacon, HANDSHAKE_TIME_MAX_US);
    assert!(!board.ended.contains(&4), "control: who is of the event stays");
}

#[test]
fn nobody_of_another_event_is_let_in_or_given_anything() {
    let (mut board, mut beacon) = shown(11);
    let mut first = meet(&mut board, &mut beacon, 1);
    let left = parcel(&mut board, 0, 6);
    first.hand(&mut board, &mut beacon, left);
    assert!(Visitor::meet(&mut board, &mut beacon, 2, [9; 16]).is_none());
    let live = parcel(&mut board, 0, 6);
    first.hand(&mut board, &mut beacon, live);
    assert!(board.fetch(2).is_empty(), "not a cell after the handshake");
    let mut third = meet(&mut board, &mut beacon, 3);
    assert_eq!(third.take(&mut board, &mut beacon).len(), 2, "control");
}

#[test]
fn a_flood_of_handshakes_is_answered_once_in_two_seconds() {
    let (mut board, mut beacon) = shown(12);
    let mut let_in = |board: &mut Board, tries: u16| {
        let mut try_one = |connection| {
            let visitor = Visitor::meet(board, &mut beacon, connection, EVENT)?;
            visitor.leave(board, &mut beacon);
            Some(())
        };
        (0..tries).filter_map(|connection| try_one(connection + 100)).count() as u64
    };
    assert_eq!(let_in(&mut board, 200), HANDSHAKES_AT_ONCE);
    board.now_us += 10 * SECOND_US;
    board.ended.clear();
    assert_eq!(let_in(&mut board, 200), 5);
}

#[test]
fn a_contact_ends_when_nothing_new_comes_when_it_has_brought_enough_and_after_two_minutes() {
    let (mut board, mut beacon) = shown(13);
    drop(meet(&mut board, &mut beacon, 1));
    board.run(&mut beacon, IDLE_TIME_MAX_US);
    assert_eq!(board.ended, [1]);

    let mut flooder = meet(&mut board, &mut beacon, 2);
    let mut word = [0; CELL_PLAIN_BYTES];
    word[..3].copy_from_slice(&[2, 0, 1]);
    // Two cells are spent: the handshake's and the first word.
    (0..CONTACT_CELLS_MAX - 2).for_each(|_| flooder.say(&mut board, &mut beacon, &word));
    assert!(!board.ended.contains(&2));
    flooder.say(&mut board, &mut beacon, &word);
    assert!(board.ended.contains(&2));

    let mut lasting = meet(&mut board, &mut beacon, 3);
    let step = IDLE_TIME_MAX_US * 2 / 3;
    for _ in 0..CONTACT_TIME_MAX_US / step {
        assert!(!board.ended.contains(&3), "something new comes all the time");
        board.run(&mut beacon, step);
        let parcel = parcel(&mut board, 0, 6);
        lasting.hand(&mut board, &mut beacon, parcel);
    }
    assert!(board.ended.contains(&3));
}

#[test]
fn no_bytes_break_the_beacon_and_it_never_wakes_for_nothing() {
    let (mut board, mut beacon) = shown(14);
    let mut visitors: Vec<Visitor> = Vec::new();
    for step in 0..60_000_u32 {
        let connection = board.below(6) as u16;
        let length = [0, 1, 31, 100, 243, 244, 245, 488, 2_000][board.below(9) as usize];
        let bytes: Vec<u8> = (0..length).map(|_| board.draw() as u8).collect();
        match board.below(12) {
            0 => beacon.handle(&mut board, Input::Connected(connection)),
            1 => beacon.handle(&mut board, Input::Disconnected(connection)),
            2 => beacon.handle(&mut board, Input::Heard(&bytes)),
            3 => beacon.handle(&mut board, Input::Ready(connection)),
            4 => {
                let span = board.below(20 * SECOND_US);
                board.run(&mut beacon, span);
            }
            5 => visitors.extend(Visitor::meet(&mut board, &mut beacon, 100 + connection, EVENT)),
            6..=8 => {
                // Sealed nonsense, half of it shaped like cells.
                let mut plain = [0; CELL_PLAIN_BYTES];
                board.random(&mut plain);
                if step % 2 == 0 {
                    let count = [2, 16, 1, 17][board.below(4) as usize];
                    plain[..5].copy_from_slice(&[1 + board.below(2) as u8, board.below(3) as u8, count, 0, 0x10]);
                }
                let last = visitors.len().checked_sub(1);
                if let Some(visitor) = last.map(|last| &mut visitors[last]) {
                    visitor.say(&mut board, &mut beacon, &plain);
                }
            }
            _ => beacon.handle(&mut board, Input::Received(connection, &bytes)),
        }
        board.ended.clear();
        board.sent.retain(|_, cells| cells.len() < board.room);
        visitors.truncate(50);
        assert!(beacon.wake_at() > board.now_us, "step {step}");
    }
    board.run(&mut beacon, HOUR_US);
    assert!(board.shown.len() > 10);
    // After all that it still does what it is for.
    while board.advert().is_none() {
        board.run(&mut beacon, SECOND_US);
    }
    (board.ended, board.sent) = Default::default();
    let mut first = meet(&mut board, &mut beacon, 1);
    let left = parcel(&mut board, 0, 6);
    first.hand(&mut board, &mut beacon, left);
    let mut second = meet(&mut board, &mut beacon, 2);
    assert!(has(&second.take(&mut board, &mut beacon), &left));
}

#[test]
fn a_flooder_that_comes_again_and_again_pushes_out_nothing_of_who_is_here() {
    let (mut board, mut beacon) = shown(15);
    let mut quiet = meet(&mut board, &mut beacon, 1);
    let left: Vec<_> = (0..3).map(|_| parcel(&mut board, 0, 6)).collect();
    left.iter().for_each(|parcel| quiet.hand(&mut board, &mut beacon, *parcel));
    for connection in 2..6 {
        let mut flooder = meet(&mut board, &mut beacon, connection);
        for _ in 0..CONTACT_CELLS_MAX {
            let parcel = parcel(&mut board, 0, 6);
            flooder.hand(&mut board, &mut beacon, parcel);
        }
        assert!(board.ended.contains(&connection));
    }
    let mut late = meet(&mut board, &mut beacon, 9);
    let got = late.take(&mut board, &mut beacon);
    assert!(got.len() == CARRIED_MAX && left.iter().all(|parcel| has(&got, parcel)));
}

#[test]
fn the_state_has_one_size() {
    std::eprintln!("{} bytes of state, {} of them for each link", size_of::<Beacon>(), size_of::<crate::link::Link>());
    assert!(size_of::<Beacon>() <= crate::STATE_BYTES_MAX);
}
