//! Laws of tables: what names one, when it is visited, and what somebody may cost who plays back or makes up its adverts.

use super::*;
use crate::proto::config::{ADVERT_BYTES, TABLE_ID_LIFE_MAX, TABLE_IDS_MAX};

const SECOND: Duration = Duration::from_secs(1);
const OURS: [u8; HINT_BYTES] = [0, 12, 0];

fn id(number: u64) -> EphemeralId {
    let mut id = [0; 6];
    id.copy_from_slice(&number.to_be_bytes()[2..]);
    EphemeralId(id)
}

fn advert(shower: Shower, number: u64, hint: [u8; HINT_BYTES]) -> [u8; ADVERT_BYTES] {
    Advert { shower, id: id(number), hint }.to_bytes()
}

/// A table of this event, as far as [`recognised`] goes.
fn table(number: u64) -> [u8; ADVERT_BYTES] {
    advert(Shower::Table, number, OURS)
}

/// In these laws every table with this hint is number 12, and all others are of another event. Gives how many were compared.
fn recognised(presence: &mut Presence, now: Instant) -> usize {
    let mut compared = 0;
    presence.recognise(now, |advert| {
        compared += 1;
        (advert.shower == Shower::Table && advert.hint == OURS).then_some(Known::Table(12))
    });
    compared
}

fn dialled(presence: &mut Presence, rng: &mut Rng, now: Instant) -> Option<EphemeralId> {
    recognised(presence, now);
    let commands = presence.tick(rng, now, |_, _| None);
    commands.into_iter().find_map(|command| if let RadioCommand::Connect { id } = command { Some(id) } else { None })
}

/// A phone that shows its first id, which is above those of these laws: people would be waited for.
fn shown(seed: u8) -> (Presence, Rng, Instant) {
    let (mut presence, mut rng) = (Presence::default(), Rng::new([seed; 32]));
    presence.switch(&mut rng, Instant(0), true);
    let now = Instant(0) + SILENT_GAP_MIN;
    presence.tick(&mut rng, now, |_, _| None);
    assert!(presence.id().is_some_and(|own| own > id(1 << 32)));
    (presence, rng, now)
}

/// A whole visit that brings nothing.
fn visit(presence: &mut Presence, now: Instant, to: EphemeralId) -> Instant {
    presence.link_up(now, LinkId(1), Some(to));
    presence.shaken(now, LinkId(1));
    let end = now + TABLE_QUIET_MAX;
    assert_eq!(presence.visits_over(end), [LinkId(1)]);
    presence.link_down(end, LinkId(1));
    end
}

#[test]
fn a_table_of_ours_is_named_in_its_band_and_what_only_says_to_be_one_is_not() {
    let (mut presence, _, now) = shown(1);
    presence.hear(now, &table(1), Some(-50));
    presence.hear(now, &advert(Shower::Table, 2, [9; 3]), Some(-70));
    presence.hear(now, &advert(Shower::Attendee, 3, OURS), Some(-90));
    recognised(&mut presence, now);
    let named: Vec<_> = presence.near().iter().map(|near| (near.shower, near.band, near.table)).collect();
    let expected =
        [(Shower::Table, Band::Close, Some(12)), (Shower::Table, Band::Around, None), (Shower::Attendee, Band::Far, None)];
    assert_eq!(named, expected);
    assert!(presence.take_changed());
}

#[test]
fn a_table_is_dialled_at_once_and_once_for_each_id_and_what_is_not_ours_never() {
    let (mut presence, mut rng, mut now) = shown(2);
    for round in 1..=3 {
        presence.hear(now, &advert(Shower::Table, 100 + round, [9; 3]), None);
        presence.hear(now, &table(round), None);
        presence.hear(now, &advert(Shower::Attendee, 200 + round, OURS), None);
        assert_eq!(dialled(&mut presence, &mut rng, now), Some(id(round)), "without patience, and before people");
        now = visit(&mut presence, now, id(round));
        // Heard all the time; then silent for so long that it is near no more, and heard again.
        for _ in 0..60 {
            now = now + SECOND;
            presence.hear(now, &table(round), None);
            presence.hear(now, &advert(Shower::Table, 100 + round, [9; 3]), None);
            assert_eq!(dialled(&mut presence, &mut rng, now).filter(|to| *to < id(200)), None, "round {round}");
            presence.out_of_reach(now, id(200 + round));
        }
        now = now + NEAR_SILENCE_MAX;
        assert_eq!(dialled(&mut presence, &mut rng, now), None);
        presence.hear(now, &table(round), None);
        assert_eq!(dialled(&mut presence, &mut rng, now), None, "it was visited under this id");
    }
}

#[test]
fn a_table_that_lets_nobody_in_is_tried_again_ever_more_rarely() {
    let (mut presence, mut rng, mut now) = shown(3);
    let mut tries = Vec::new();
    while tries.len() < 5 {
        presence.hear(now, &table(1), None);
        if let Some(to) = dialled(&mut presence, &mut rng, now) {
            tries.push(now);
            presence.link_up(now, LinkId(1), Some(to));
            presence.link_down(now, LinkId(1));
        }
        now = now + SECOND;
    }
    let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert_eq!(pauses, [2, 4, 8, 16]);
}

#[test]
fn a_visit_lasts_while_it_brings_something_and_two_minutes_at_most() {
    let (mut presence, mut rng, start) = shown(4);
    presence.hear(start, &table(1), None);
    let to = dialled(&mut presence, &mut rng, start);
    presence.link_up(start, LinkId(1), to);
    presence.shaken(start, LinkId(1));
    presence.link_up(start, LinkId(2), Some(id(7)));
    presence.shaken(start, LinkId(2));
    let mut now = start;
    while presence.visits_over(now).is_empty() {
        presence.brought(now, LinkId(1));
        now = now + SECOND;
    }
    assert_eq!((now, presence.visits_over(now)), (start + TABLE_VISIT_MAX, vec![LinkId(1)]), "people stay");
}

#[test]
fn a_table_has_a_place_beside_those_of_people_and_one_visit_at_a_time() {
    let (mut presence, mut rng, now) = shown(5);
    for link in 0..RADIO_DIALED_MAX as u64 {
        presence.link_up(now, LinkId(10 + link), Some(id(10 + link)));
    }
    presence.hear(now, &advert(Shower::Attendee, u64::MAX, OURS), None);
    assert_eq!(dialled(&mut presence, &mut rng, now), None, "control: there is no place for a person");
    presence.hear(now, &table(1), None);
    presence.hear(now, &table(2), None);
    let first = dialled(&mut presence, &mut rng, now).expect("a table");
    presence.link_up(now, LinkId(1), Some(first));
    assert_eq!(dialled(&mut presence, &mut rng, now), None);
    presence.shaken(now, LinkId(1));
    presence.link_down(now, LinkId(1));
    assert_eq!(dialled(&mut presence, &mut rng, now), Some(if first == id(1) { id(2) } else { id(1) }));
}

#[test]
fn an_id_that_is_played_back_later_names_no_table_and_is_not_dialled() {
    let (mut presence, mut rng, start) = shown(6);
    let hear = |presence: &mut Presence, rng: &mut Rng, now| {
        presence.hear(now, &table(1), Some(-50));
        (dialled(presence, rng, now), presence.near().first().and_then(|near| near.table))
    };
    assert_eq!(hear(&mut presence, &mut rng, start), (Some(id(1)), Some(12)));
    visit(&mut presence, start, id(1));
    let mut now = start;
    while now + SECOND < start + TABLE_ID_LIFE_MAX {
        now = now + SECOND;
        assert_eq!(hear(&mut presence, &mut rng, now), (None, Some(12)), "as long as a beacon may show it");
    }
    presence.take_changed();
    assert_eq!(hear(&mut presence, &mut rng, start + TABLE_ID_LIFE_MAX), (None, None), "shown for longer than any");
    assert!(presence.take_changed());
    presence.tick(&mut rng, start + TABLE_ID_LIFE_MAX * 4, |_, _| None);
    assert!(presence.near().is_empty());
    assert_eq!(hear(&mut presence, &mut rng, start + TABLE_ID_LIFE_MAX * 4), (None, None), "and played back an hour later");
    presence.hear(start + TABLE_ID_LIFE_MAX * 4, &table(2), Some(-50));
    recognised(&mut presence, start + TABLE_ID_LIFE_MAX * 4);
    assert_eq!(presence.near().iter().filter(|near| near.table == Some(12)).count(), 1, "control: a new id does");
}

#[test]
fn who_repeats_a_tables_id_with_other_words_changes_nothing() {
    let (mut presence, _, now) = shown(7);
    for (number, hint) in [(1, OURS), (2, [9; 3])] {
        presence.hear(now, &advert(Shower::Table, number, hint), Some(-70));
        recognised(&mut presence, now);
        for shower in [Shower::Table, Shower::Attendee, Shower::Kiosk] {
            presence.hear(now, &advert(shower, number, [7; 3]), Some(-30));
            recognised(&mut presence, now);
        }
    }
    let near: Vec<_> = presence.near().iter().map(|near| (near.shower, near.table)).collect();
    assert_eq!(near, [(Shower::Kiosk, None), (Shower::Table, Some(12))], "control: who was no table of ours did change");
}

#[test]
fn who_opens_a_link_and_says_that_it_is_the_table_keeps_nobody_from_visiting_it() {
    let (mut presence, mut rng, now) = shown(9);
    for number in [1, 2] {
        presence.link_up(now, LinkId(number), None);
        presence.introduced(LinkId(number), id(number));
    }
    presence.hear(now, &table(1), None);
    presence.hear(now, &advert(Shower::Attendee, 2, [9; 3]), None);
    let later = now + DIAL_PATIENCE;
    assert_eq!(dialled(&mut presence, &mut rng, later), Some(id(1)));
    presence.link_up(later, LinkId(3), Some(id(1)));
    assert_eq!(dialled(&mut presence, &mut rng, later), None, "control: a person who opened a link has one");
    assert!(!presence.leave_at_table(), "who stands at the table hears it now");
    presence.shaken(later, LinkId(3));
    presence.link_down(later, LinkId(3));
    assert!(presence.leave_at_table());
    assert_eq!(dialled(&mut presence, &mut rng, later + RADIO_RETRY_MIN), Some(id(1)), "there is something to leave");
}

#[test]
fn a_flood_of_tables_is_compared_once_each_bounded_and_dialled_by_nobody() {
    let (mut presence, mut rng, mut now) = shown(8);
    presence.hear(now, &table(1), Some(-70));
    assert_eq!(dialled(&mut presence, &mut rng, now), Some(id(1)));
    visit(&mut presence, now, id(1));
    const FLOOD: u64 = 200_000;
    let mut compared = 0;
    for round in 0..FLOOD {
        now = now + Duration::from_micros(500);
        presence.hear(now, &advert(Shower::Table, 1_000 + round, [9; 3]), Some(-40));
        if round % 1_000 == 0 {
            presence.hear(now, &table(1), Some(-70));
            assert_eq!(dialled(&mut presence, &mut rng, now), None);
        }
        compared += recognised(&mut presence, now) as u64;
    }
    assert!(compared <= FLOOD && presence.heard.len() <= SIGHTINGS_MAX, "{compared}");
    assert_eq!(presence.near().iter().filter_map(|near| near.table).collect::<Vec<_>>(), [12], "and ours is still there");
    // Somebody who has the pack makes up as many of ours as it likes.
    for round in 0..10_000 {
        presence.hear(now, &table(1_000_000 + round), Some(-40));
        recognised(&mut presence, now);
    }
    assert!(presence.heard.len() <= SIGHTINGS_MAX && presence.tables.len() == TABLE_IDS_MAX);
}
