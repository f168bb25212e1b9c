//! Everything that can be touched can be read out and reached without a pointer: a name, a role, and a ring around it when Tab comes to it.

mod ui_support;

use alcove::shell::ble::BleState;
use alcove_ui::{Nav, Theme};
use firmware_sim::scenario::S;
use i_slint_backend_testing::{AccessibleRole, ElementHandle, ElementQuery};
use slint::platform::{Key, WindowEvent};
use slint::{ComponentHandle, Rgba8Pixel, SharedPixelBuffer, SharedString};
use std::collections::BTreeSet;
use ui_support::{SCREENS, SHOWN, Scene, init, resize};

/// What a person can do something with.
const CONTROLS: [AccessibleRole; 6] = [
    AccessibleRole::Button,
    AccessibleRole::Checkbox,
    AccessibleRole::RadioButton,
    AccessibleRole::Switch,
    AccessibleRole::Tab,
    AccessibleRole::TextInput,
];

fn scene() -> Scene {
    let mut scene = Scene::in_a_room(3);
    scene.on(1).tap("Notes");
    scene.on(1).tap("Begin to write");
    scene.on(1).type_text("one\ntwo");
    scene.on(2).tap("Plan");
    scene.on(2).field("Add a point to the agenda", "What worked");
    scene.on(2).tap("Add to the agenda");
    (0..3).for_each(|person| scene.set_bluetooth(person, Some(SHOWN)));
    scene.pass(S(60));
    scene.hear(0, 1, Some(-50));
    scene.hear(0, 2, Some(-70));
    // All at once: members near, and nothing that works.
    scene.people[0].situation.bluetooth = Some(BleState::PoweredOff);
    scene.set_lan_failed(0, true);
    scene
}

fn controls(scene: &Scene) -> Vec<ElementHandle> {
    let window = scene.people[0].screens.window();
    let all = ElementQuery::from_root(window).find_all();
    all.into_iter().filter(|element| element.accessible_role().is_some_and(|role| CONTROLS.contains(&role))).collect()
}

#[test]
fn every_control_has_a_name_of_its_own() {
    init();
    let scene = scene();
    let nav = scene.people[0].screens.window().global::<Nav>();
    let mut count = 0;
    for (_, page, part) in SCREENS {
        nav.set_part(part);
        nav.set_page(page);
        i_slint_backend_testing::mock_elapsed_time(std::time::Duration::from_millis(300));
        let mut seen = BTreeSet::new();
        for control in controls(&scene) {
            let name = control.accessible_label().unwrap_or_default();
            let role = control.accessible_role().map(|role| format!("{role:?}"));
            assert!(!name.trim().is_empty(), "{page:?} {part:?}: a {role:?} at {:?} has no name", control.absolute_position());
            assert!(seen.insert((name.to_string(), role)), "{page:?} {part:?}: two are called {name:?}");
            count += 1;
        }
    }
    assert!(count > 100, "only {count} controls were found");
}

#[test]
fn every_control_is_reached_by_tab_and_shows_it() {
    init();
    let scene = scene();
    let window = scene.people[0].screens.window().clone_strong();
    let nav = window.global::<Nav>();
    let ring = window.global::<Theme>().get_focus();
    let ring = (ring.red(), ring.green(), ring.blue());
    // High enough that nothing has to be scrolled.
    for (width, height) in [(360, 1_400), (1_280, 1_400)] {
        resize(&window, width, height);
        for (_, page, part) in SCREENS {
            nav.set_part(part);
            nav.set_page(page);
            i_slint_backend_testing::mock_elapsed_time(std::time::Duration::from_millis(400));
            let is_on = |control: &ElementHandle| control.accessible_enabled() != Some(false) && control.size().width > 0.0;
            let wanted: Vec<_> = controls(&scene).into_iter().filter(is_on).collect();
            // What is sometimes there and sometimes not is a ring; what is always there is a colour.
            let mut seen: Vec<[BTreeSet<bool>; 2]> = vec![Default::default(); wanted.len()];
            for _ in 0..wanted.len() * 2 + 4 {
                press(&window, Key::Tab);
                let picture = window.window().take_snapshot().unwrap();
                for (control, seen) in wanted.iter().zip(&mut seen) {
                    let found = has_ring(&picture, control, ring);
                    for (seen, found) in seen.iter_mut().zip(found) {
                        seen.insert(found);
                    }
                }
            }
            let reached: BTreeSet<_> =
                (0..wanted.len()).filter(|number| seen[*number].iter().any(|seen| seen.len() == 2)).collect();
            let missed: Vec<_> = wanted
                .iter()
                .enumerate()
                .filter(|(number, _)| !reached.contains(number))
                .map(|(_, control)| (control.accessible_role(), control.accessible_label().unwrap_or_default()))
                .collect();
            assert!(missed.is_empty(), "{page:?} {part:?} at {width}: Tab does not come to {missed:?}");
        }
    }
}

fn press(window: &alcove_ui::AttendeeWindow, key: Key) {
    let text: SharedString = key.into();
    window.window().dispatch_event(WindowEvent::KeyPressed { text: text.clone() });
    window.window().dispatch_event(WindowEvent::KeyReleased { text });
    i_slint_backend_testing::mock_elapsed_time(std::time::Duration::from_millis(20));
}

/// Whether a line in the ring's colour goes along the left of a control, and another along its right: around it, or around the frame of
/// the field in which it lies, or within it at the window's edge.
fn has_ring(picture: &SharedPixelBuffer<Rgba8Pixel>, control: &ElementHandle, ring: (u8, u8, u8)) -> [bool; 2] {
    let (at, size) = (control.absolute_position(), control.size());
    let reach = if control.accessible_role() == Some(AccessibleRole::TextInput) { 60 } else { 4 };
    let y = (at.y + size.height / 2.0) as i64;
    let is_ring = |x: i64| {
        let is_inside = (0..i64::from(picture.width())).contains(&x) && (0..i64::from(picture.height())).contains(&y);
        is_inside && {
            let pixel = picture.as_slice()[(y * i64::from(picture.width()) + x) as usize];
            (pixel.r, pixel.g, pixel.b) == ring
        }
    };
    let (left, right) = (at.x as i64, (at.x + size.width) as i64);
    let around = (left - reach..left).any(is_ring) && (right + 1..=right + reach).any(is_ring);
    let within = (left..left + 4).any(is_ring) && (right - 4..right).any(is_ring);
    [around, within]
}
