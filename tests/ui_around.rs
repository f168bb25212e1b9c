//! "Around me" as a person reads it: who is near, by count and strength, whom of one's talks one recognises, why nobody is found and what to
//! do then.

mod ui_support;

use alcove::proto::wire::advert::Shower;
use alcove::shell::ble::BleState;
use alcove::shell::driver::Transport;
use alcove_ui::Page;
use firmware_sim::scenario::{S, number, room};
use i_slint_backend_testing::mock_elapsed_time;
use slint::ComponentHandle;
use std::collections::BTreeSet;
use std::time::Duration;
use ui_support::{SHOWN, Scene, init};

/// Longer than anybody is looked for before it is said that nobody is there.
const SEARCHED: Duration = Duration::from_secs(25);

/// One person alone in the hall, on "Around me", for whom the ways stand so.
fn alone(lan: Option<bool>, bluetooth: Option<BleState>) -> Scene {
    let mut scene = Scene::new(1);
    scene.people[0].situation.lan = lan;
    scene.set_bluetooth(0, bluetooth);
    scene.on(0).tap("Around me");
    scene
}

#[test]
fn those_near_are_counted_by_how_strongly_they_are_heard_and_have_no_names() {
    init();
    let mut scene = alone(Some(true), Some(SHOWN));
    for (number, rssi_dbm) in [(1, -50), (2, -70), (3, -75), (4, -90)] {
        scene.hear_stranger(0, Shower::Attendee, number, Some(rssi_dbm));
    }
    scene.hear_stranger(0, Shower::Table, 5, Some(-55));
    scene.hear_stranger(0, Shower::Kiosk, 6, Some(-60));
    scene.hear_stranger(0, Shower::Kiosk, 7, Some(-60));
    for said in ["4 devices near", "1 device close", "2 devices around", "1 device farther off", "1 table near", "2 kiosks near"] {
        assert!(scene.on(0).says(said), "{said}: {:?}", scene.on(0).texts());
    }
    assert!(!scene.on(0).says_in_part("unknown strength") && !scene.on(0).says("Of your talks"), "{:?}", scene.on(0).texts());
    assert!(!scene.on(0).says_in_part("Nobody found"));
    scene.pass(S(60));
    mock_elapsed_time(SEARCHED);
    assert!(scene.on(0).says("Nobody found yet"), "who is not heard any more is not near: {:?}", scene.on(0).texts());
}

#[test]
fn the_event_is_named_with_its_place_where_it_has_one() {
    init();
    let mut scene = alone(Some(true), Some(SHOWN));
    let window = scene.people[0].screens.window().as_weak().unwrap();
    let event = window.global::<alcove_ui::EventAdapter>();
    let (name, place) = (event.get_name(), event.get_place());
    assert!(!place.is_empty() && scene.on(0).says(&format!("{name} · {place}")), "{:?}", scene.on(0).texts());
    event.set_place("".into());
    assert!(scene.on(0).says(&name), "{:?}", scene.on(0).texts());
}

#[test]
fn the_nearest_table_that_says_its_number_is_named() {
    init();
    let mut scene = alone(Some(true), Some(SHOWN));
    scene.hear_stranger(0, Shower::Table, 5, Some(-40));
    assert!(scene.on(0).says("1 table near"), "control: who has no number of ours has no name: {:?}", scene.on(0).texts());
    scene.hear_table(0, 12, Some(-70));
    assert!(scene.on(0).says("2 tables near, the nearest is 12"), "{:?}", scene.on(0).texts());
}

#[test]
fn a_radio_that_measures_nothing_still_counts() {
    init();
    let mut scene = alone(Some(false), Some(SHOWN));
    scene.hear_stranger(0, Shower::Attendee, 1, None);
    assert!(scene.on(0).says("1 device near") && scene.on(0).says("1 device of unknown strength"), "{:?}", scene.on(0).texts());
    assert!(!scene.on(0).says_in_part("devices close"), "no strength is claimed");
}

#[test]
fn whom_radio_and_network_bring_is_not_counted_twice() {
    init();
    let mut scene = Scene::in_a_room(3);
    scene.set_bluetooth(0, Some(SHOWN));
    scene.hear_stranger(0, Shower::Attendee, 1, Some(-50));
    scene.on(0).tap("Back to the talks");
    scene.on(0).tap("Around me");
    assert!(scene.on(0).says("2 devices near"), "two on the network, one of whom may be the one heard: {:?}", scene.on(0).texts());
}

#[test]
fn members_of_my_talk_are_recognised_by_name_and_a_touch_opens_the_room() {
    init();
    let mut scene = Scene::in_a_room_among(3, 4);
    (0..4).for_each(|person| scene.set_bluetooth(person, Some(SHOWN)));
    scene.pass(S(60));
    let talk = scene.network.node(0).talks()[0].talk;
    scene.on(0).tap("Back to the talks");
    scene.on(0).tap("Around me");
    assert!(!scene.on(0).says("Of your talks"), "nobody is heard");
    scene.hear(0, 1, Some(-50));
    scene.hear(0, 2, Some(-70));
    scene.hear(0, 3, Some(-70));
    let seats = room(&scene.network, 0, talk).seats;
    let name = |scene: &Scene, person: usize| {
        let talk = scene.network.node(person).talks()[0].talk;
        seats[usize::from(number(&scene.network, person, talk))].persona.clone()
    };
    let close = format!("{} (What did you stop doing?) is close", name(&scene, 1));
    let around = format!("{} (What did you stop doing?) is around", name(&scene, 2));
    assert!(scene.on(0).says("Of your talks") && scene.on(0).has(&close) && scene.on(0).has(&around), "{:?}", scene.on(0).texts());
    let recognised = scene.on(0).texts().into_iter().filter(|text| text.contains("(What did you stop doing?)"));
    assert_eq!(recognised.collect::<BTreeSet<_>>().len(), 2, "the stranger has no name");
    assert!(scene.on(0).says_in_part("A hint, not a proof"), "{:?}", scene.on(0).texts());
    scene.on(0).tap(&close);
    assert_eq!(scene.on(0).page(), Page::Room);
    assert!(scene.on(0).says("What did you stop doing?"));
}

#[test]
fn who_has_left_the_talk_is_nobody_of_mine_any_more() {
    init();
    let mut scene = Scene::in_a_room(3);
    (0..3).for_each(|person| scene.set_bluetooth(person, Some(SHOWN)));
    scene.pass(S(60));
    scene.on(0).tap("Back to the talks");
    scene.on(0).tap("Around me");
    scene.hear(0, 1, Some(-50));
    assert!(scene.on(0).says("Of your talks"), "control: {:?}", scene.on(0).texts());
    scene.on(1).tap("People");
    scene.on(1).tap("Leave silently");
    scene.on(1).tap("Leave and erase");
    scene.pass(S(10));
    assert!(!scene.on(0).says("Of your talks"), "{:?}", scene.on(0).texts());
}

/// Why nobody is found: how network and Bluetooth stand, what is said of it, and what can be done.
struct Reason {
    lan: Option<bool>,
    bluetooth: Option<BleState>,
    says: &'static str,
    bluetooth_says: &'static str,
    action: &'static str,
}

fn reasons() -> Vec<Reason> {
    let walls = "many venues keep devices apart on their Wi-Fi. Scanning a code at a table still works.";
    let reach = "The local network, once it is on, reaches further.";
    let lan_alone = "Bluetooth finds people without it.";
    let nothing = "Switch Bluetooth or the local network on to find the people around you.";
    let stuck = "What each of them needs stands below.";
    let works = "Finds people here and at the table without any Wi-Fi, under random names.";
    let adapter = "There is no Bluetooth adapter, or its service does not run. Plug one in.";
    let power = "The Bluetooth adapter is switched off. Switch it on in the system's settings.";
    let permission = "The system does not let Alcove use Bluetooth. Allow it in the system's settings.";
    let hidden = "This device finds others, and they do not find it: its Bluetooth shows nothing.";
    let without = "Alcove runs without Bluetooth here.";
    let (scan, again, on) = ("Scan a code", "Try Bluetooth again", "Switch Bluetooth on");
    let both = [
        (Some(true), Some(SHOWN), walls, works, scan),
        (Some(true), Some(BleState::On { is_shown: false }), walls, hidden, scan),
        (Some(false), Some(SHOWN), reach, works, "Local network"),
        (None, Some(SHOWN), reach, works, scan),
        (Some(true), Some(BleState::Off), lan_alone, works, "Bluetooth"),
        (Some(true), Some(BleState::NoAdapter), lan_alone, adapter, again),
        (Some(true), Some(BleState::PoweredOff), lan_alone, power, again),
        (Some(true), Some(BleState::NotAllowed), lan_alone, permission, again),
        (Some(true), None, lan_alone, without, scan),
        (Some(false), Some(BleState::Off), nothing, works, on),
        (None, Some(BleState::Off), nothing, works, on),
        (Some(false), None, nothing, without, "Local network"),
        (Some(false), Some(BleState::NoAdapter), stuck, adapter, again),
        (Some(false), Some(BleState::PoweredOff), stuck, power, again),
        (None, Some(BleState::NotAllowed), stuck, permission, again),
        (Some(false), Some(BleState::Starting), "It was just switched on.", "Being switched on …", "Bluetooth"),
    ];
    let reason = |(lan, bluetooth, says, bluetooth_says, action)| Reason { lan, bluetooth, says, bluetooth_says, action };
    both.into_iter().map(reason).collect()
}

#[test]
fn each_reason_for_an_empty_hall_has_its_sentence_and_what_to_do() {
    init();
    let mut scene = alone(Some(true), None);
    for Reason { lan, bluetooth, says, bluetooth_says, action } in reasons() {
        let of = format!("{lan:?} {bluetooth:?}");
        scene.people[0].situation.lan = lan;
        scene.set_bluetooth(0, bluetooth);
        mock_elapsed_time(SEARCHED);
        let on_screen = scene.on(0);
        assert!(on_screen.says_in_part(says), "{of}: {:?}", on_screen.texts());
        assert!(on_screen.says("0 devices near") && on_screen.has(action), "{of}: {:?}", on_screen.texts());
        let switch = on_screen.switch("Bluetooth");
        assert_eq!(switch.detail, bluetooth_says, "{of}");
        assert_eq!(switch.is_enabled, bluetooth.is_some(), "{of}");
        assert_eq!(switch.is_on, !matches!(bluetooth, None | Some(BleState::Off)), "{of}");
        assert_eq!(on_screen.switch("Local network").is_enabled, lan.is_some(), "{of}");
    }
}

#[test]
fn a_network_that_cannot_be_used_says_so_and_is_tried_again() {
    init();
    let mut scene = alone(Some(true), Some(BleState::PoweredOff));
    scene.set_lan_failed(0, true);
    assert!(scene.on(0).says("Nobody can be found now"), "{:?}", scene.on(0).texts());
    assert_eq!(scene.on(0).switch("Local network").detail, "The local network cannot be used. Join a Wi-Fi.");
    scene.on(0).tap("Try the local network again");
    assert_eq!(scene.people[0].switched, [(Transport::Lan, false), (Transport::Lan, true)]);
    scene.set_bluetooth(0, Some(SHOWN));
    mock_elapsed_time(SEARCHED);
    assert!(scene.on(0).says("Nobody found yet"), "one way is enough: {:?}", scene.on(0).texts());
}

#[test]
fn the_switch_of_bluetooth_is_where_that_of_the_network_is_and_drives_it() {
    init();
    let mut scene = alone(Some(false), Some(BleState::Off));
    assert!(scene.on(0).says("Bluetooth and the local network are off"), "{:?}", scene.on(0).texts());
    scene.on(0).tap("Bluetooth");
    assert!(scene.on(0).switch("Bluetooth").is_on && scene.network.node(0).nearby().is_some());
    scene.on(0).tap("Bluetooth");
    assert!(!scene.on(0).switch("Bluetooth").is_on && scene.network.node(0).nearby().is_none());
    scene.on(0).tap("Switch Bluetooth on");
    let wanted = [true, false, true].map(|is_on| (Transport::Bluetooth, is_on));
    assert_eq!(scene.people[0].switched, wanted);
}

#[test]
fn bluetooth_that_is_stuck_is_tried_again_by_a_touch() {
    init();
    let mut scene = alone(Some(true), Some(BleState::PoweredOff));
    scene.on(0).tap("Try Bluetooth again");
    assert_eq!(scene.people[0].switched, [(Transport::Bluetooth, false), (Transport::Bluetooth, true)]);
    assert!(!scene.on(0).has("Try Bluetooth again"));
}

#[test]
fn what_was_just_switched_on_searches_before_it_says_that_nobody_is_there() {
    init();
    let mut scene = alone(Some(false), Some(BleState::Off));
    scene.on(0).tap("Bluetooth");
    assert!(scene.on(0).says("Looking around …"), "{:?}", scene.on(0).texts());
    scene.pass(S(5));
    assert!(scene.on(0).says("Looking around …"), "{:?}", scene.on(0).texts());
    mock_elapsed_time(Duration::from_secs(20));
    assert!(scene.on(0).says("Nobody found yet"), "without any look at the node: {:?}", scene.on(0).texts());
    scene.on(0).tap("Bluetooth");
    scene.on(0).tap("Bluetooth");
    assert!(scene.on(0).says("Looking around …"), "it searches anew: {:?}", scene.on(0).texts());
    scene.hear_stranger(0, Shower::Attendee, 1, Some(-70));
    assert!(scene.on(0).says("Around you"), "who has found somebody searches no more: {:?}", scene.on(0).texts());
}

#[test]
fn before_there_is_an_event_bluetooth_waits_for_it() {
    init();
    let mut scene = Scene::new(1);
    scene.renew(0, "de");
    scene.set_bluetooth(0, Some(BleState::Off));
    scene.people[0].screens.window().global::<alcove_ui::Nav>().invoke_go(Page::Around);
    scene.settle();
    let switch = scene.on(0).switch("Bluetooth");
    assert_eq!((switch.detail.as_str(), switch.is_enabled), ("Es beginnt mit einer Veranstaltung.", false));
    assert!(scene.on(0).says("Noch keine Veranstaltung"));
}
