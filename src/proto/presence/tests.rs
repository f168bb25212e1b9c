//! Laws of presence: rotation, who dials whom, and what a flood of ids may cost.

use super::*;
use crate::proto::config::ADVERT_BYTES;
use std::collections::BTreeSet;

fn advert(id: u64) -> [u8; ADVERT_BYTES] {
    let mut name = [0; 6];
    name.copy_from_slice(&id.to_be_bytes()[2..]);
    Advert { shower: Shower::Attendee, id: EphemeralId(name), hint: [0; 3] }.to_bytes()
}

/// Ticks at each deadline until then; gives all commands with their times.
fn run(presence: &mut Presence, rng: &mut Rng, from: Instant, until: Instant) -> Vec<(Instant, RadioCommand)> {
    let (mut commands, mut now) = (Vec::new(), from);
    loop {
        commands.extend(presence.tick(rng, now, |_, _| None).into_iter().map(|command| (now, command)));
        let due = presence.poll_timeout().unwrap_or(until);
        assert!(due > now, "after a tick nothing is due: {due:?} at {now:?}");
        if due >= until {
            return commands;
        }
        now = due;
    }
}

fn on(seed: u8) -> (Presence, Rng) {
    let (mut presence, mut rng) = (Presence::default(), Rng::new([seed; 32]));
    presence.switch(&mut rng, Instant(0), true);
    (presence, rng)
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn an_id_lasts_eight_to_fifteen_minutes_and_a_silent_gap_follows() {
    let (mut presence, mut rng) = on(1);
    let commands = run(&mut presence, &mut rng, Instant(0), Instant(0) + HOUR * 100);
    let commands: Vec<_> = commands.into_iter().filter(|(_, command)| !matches!(command, RadioCommand::Scan { .. })).collect();
    let (mut ids, mut lives, mut gaps) = (BTreeSet::new(), Vec::new(), Vec::new());
    for pair in commands.windows(2) {
        let between = pair[1].0.since(pair[0].0);
        match (&pair[0].1, &pair[1].1) {
            (RadioCommand::Advertise { advert, .. }, RadioCommand::Silence) => {
                assert!(ids.insert(Advert::from_bytes(advert).unwrap().id), "an id comes once");
                lives.push(between);
            }
            (RadioCommand::Silence, RadioCommand::Advertise { .. }) => gaps.push(between),
            other => panic!("{other:?}"),
        }
    }
    assert!(lives.len() > 400 && lives.iter().all(|life| (ROTATION_MIN..ROTATION_MAX).contains(life)));
    assert!(gaps.iter().all(|gap| (SILENT_GAP_MIN..SILENT_GAP_MAX).contains(gap)));
}

#[test]
fn of_two_that_hear_each_other_the_lower_dials_and_the_higher_only_if_it_waited_in_vain() {
    let (mut presence, mut rng) = on(2);
    run(&mut presence, &mut rng, Instant(0), Instant(0) + SILENT_GAP_MIN);
    let start = Instant(0) + SILENT_GAP_MIN;
    let own = presence.id().unwrap();
    let (lower, higher) = (advert(0), advert(u64::MAX));
    assert!(Advert::from_bytes(&lower).unwrap().id < own && own < Advert::from_bytes(&higher).unwrap().id);
    presence.hear(start, &higher, None);
    let ids = |commands: Vec<RadioCommand>| {
        commands
            .into_iter()
            .filter_map(|command| if let RadioCommand::Connect { id } = command { Some(id) } else { None })
            .collect()
    };
    let dialled: Vec<_> = ids(presence.tick(&mut rng, start, |_, _| None));
    assert_eq!(dialled, [EphemeralId([0xff; 6])]);
    presence.link_up(start, LinkId(1), Some(EphemeralId([0xff; 6])));

    presence.hear(start, &lower, None);
    let commands = run(&mut presence, &mut rng, start, start + DIAL_PATIENCE);
    assert!(commands.is_empty(), "{commands:?}");
    let later = start + DIAL_PATIENCE;
    assert_eq!(presence.tick(&mut rng, later, |_, _| None), [RadioCommand::Connect { id: EphemeralId([0; 6]) }]);
    presence.out_of_reach(later, EphemeralId([0; 6]));
    // It dials us meanwhile, and says who it is: no second link.
    presence.link_up(later, LinkId(2), None);
    presence.introduced(LinkId(2), EphemeralId([0; 6]));
    let commands = run(&mut presence, &mut rng, later, later + RADIO_RETRY_MAX);
    assert!(!commands.iter().any(|(_, command)| matches!(command, RadioCommand::Connect { .. })), "{commands:?}");
    assert_eq!(presence.near().iter().filter(|near| near.is_linked).count(), 2);
}

#[test]
fn one_link_is_opened_at_a_time_and_no_more_than_the_radio_carries() {
    let (mut presence, mut rng) = on(3);
    let mut now = Instant(0) + SILENT_GAP_MIN;
    run(&mut presence, &mut rng, Instant(0), now);
    let mut dialled = 0;
    for link in 0..40 {
        for id in 0..40 {
            presence.hear(now, &advert(id), Some(-50));
        }
        let commands = presence.tick(&mut rng, now, |_, _| None);
        let wanted: Vec<_> = commands
            .iter()
            .filter_map(|command| if let RadioCommand::Connect { id } = command { Some(*id) } else { None })
            .collect();
        assert!(wanted.len() <= 1);
        for id in wanted {
            dialled += 1;
            assert!(presence.tick(&mut rng, now, |_, _| None).is_empty(), "one at a time");
            presence.link_up(now, LinkId(link), Some(id));
        }
        now = now + Duration::from_secs(5);
    }
    assert_eq!(dialled, RADIO_DIALED_MAX);
}

#[test]
fn who_cannot_be_reached_is_tried_ever_more_rarely() {
    let (mut presence, mut rng) = on(4);
    let mut now = Instant(0) + SILENT_GAP_MIN;
    run(&mut presence, &mut rng, Instant(0), now);
    let mut tries = Vec::new();
    for _ in 0..500 {
        presence.hear(now, &advert(u64::MAX), None);
        for command in presence.tick(&mut rng, now, |_, _| None) {
            let RadioCommand::Connect { id } = command else { continue };
            presence.out_of_reach(now, id);
            tries.push(now);
        }
        now = now + Duration::from_secs(1);
    }
    let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1].since(pair[0]).as_secs()).collect();
    assert_eq!(pauses[..6], [2, 4, 8, 16, 32, 60]);
}

#[test]
fn a_million_ids_are_bounded_and_push_out_nobody_who_is_there() {
    let (mut presence, mut rng) = on(5);
    let mut now = Instant(0) + SILENT_GAP_MIN;
    run(&mut presence, &mut rng, Instant(0), now);
    let honest: Vec<_> = (0..50).map(|id| advert(id + 1)).collect();
    for round in 0..1_000_000_u64 {
        // Two thousand a second from one sender; each of the others comes every quarter of a second.
        if round % 500 == 0 {
            honest.iter().for_each(|advert| presence.hear(now, advert, Some(-70)));
        }
        now = now + Duration::from_micros(500);
        presence.hear(now, &advert(1_000_000 + round), Some(-40));
    }
    assert!(presence.heard.len() <= SIGHTINGS_MAX);
    assert!(honest.iter().all(|advert| presence.heard.contains_key(&Advert::from_bytes(advert).unwrap().id)));
    assert!(size_of::<Sighting>() * SIGHTINGS_MAX <= 128 * 1024, "{}", size_of::<Sighting>());
}

#[test]
fn who_falls_silent_is_near_no_more_and_strength_is_told_in_bands() {
    let (mut presence, mut rng) = on(6);
    let now = Instant(0) + SILENT_GAP_MIN;
    run(&mut presence, &mut rng, Instant(0), now);
    for (id, rssi) in [(1, Some(-90)), (2, Some(-40)), (3, Some(-70)), (4, None)] {
        presence.hear(now, &advert(id), rssi);
    }
    let bands: Vec<_> = presence.near().iter().map(|near| near.band).collect();
    assert_eq!(bands, [Band::Close, Band::Around, Band::Far, Band::Unknown]);
    assert!(presence.take_changed() && !presence.take_changed());
    presence.tick(&mut rng, now + NEAR_SILENCE_MAX, |_, _| None);
    assert!(presence.near().is_empty() && presence.take_changed());
}

#[test]
fn whoever_has_just_come_listens_all_the_time_and_then_as_much_as_it_needs() {
    let (mut presence, mut rng) = on(9);
    let scans = |commands: Vec<(Instant, RadioCommand)>| {
        let scan = |(at, command)| if let RadioCommand::Scan { duty_percent } = command { Some((at, duty_percent)) } else { None };
        commands.into_iter().filter_map(scan).collect::<Vec<_>>()
    };
    let calm = Instant(0) + EAGER_LISTENING;
    assert_eq!(scans(run(&mut presence, &mut rng, Instant(0), calm + HOUR)), [(Instant(0), 100), (calm, 10)]);
    for (attention, duty) in [(Attention::Talking, 25), (Attention::Gathering, 50), (Attention::Background, 10)] {
        presence.attend(attention);
        let now = calm + HOUR;
        assert_eq!(
            scans(presence.tick(&mut rng, now, |_, _| None).into_iter().map(|command| (now, command)).collect()),
            [(now, duty)]
        );
    }
}

#[test]
fn the_interval_grows_with_those_in_range() {
    let (mut presence, _) = on(7);
    assert_eq!(presence.interval(), ADVERTISE_INTERVAL_MIN);
    (1..=1_000).for_each(|id| presence.hear(Instant(0), &advert(id), None));
    assert_eq!(presence.interval(), Duration::from_millis(752));
}

#[test]
fn a_radio_that_is_off_shows_and_hears_nothing_and_forgets_whom_it_heard() {
    let (mut presence, mut rng) = on(8);
    presence.hear(Instant(0), &advert(1), None);
    presence.switch(&mut rng, Instant(1), false);
    presence.hear(Instant(1), &advert(2), None);
    assert!(
        presence.near().is_empty()
            && presence.poll_timeout().is_none()
            && presence.tick(&mut rng, Instant(2), |_, _| None).is_empty()
    );
}

#[test]
fn a_flood_of_ids_is_compared_once_each_and_everybody_again_when_a_key_comes() {
    let (mut presence, now) = (Presence::default(), Instant(1));
    presence.switch(&mut Rng::new([7; 32]), now, true);
    let compared = |presence: &mut Presence| {
        let mut compared = 0;
        presence.recognise(now, |_| {
            compared += 1;
            None
        });
        compared
    };
    for id in 0..100 {
        presence.hear(now, &advert(id), None);
        assert_eq!(compared(&mut presence), 1, "the one that has come");
        presence.hear(now, &advert(id), None);
        assert_eq!(compared(&mut presence), 0, "heard again");
    }
    presence.compare_again();
    assert_eq!(compared(&mut presence), 100);
    let member = Member { talk: TalkId([1; 16]), seat: 2 };
    presence.compare_again();
    presence.recognise(now, |advert| (advert.id == EphemeralId([0; 6])).then_some(Known::Member(member)));
    presence.compare_again();
    assert_eq!(compared(&mut presence), 99, "who is known stays so");
}
