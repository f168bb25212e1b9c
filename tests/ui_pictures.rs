//! A picture of each screen, phone and wide, light and dark, English and German, and with text of twice the size, of a scene that is the
//! same in every run: it looks as it did when somebody last looked at it and accepted it.

mod ui_support;

use alcove::app::attendee::look_like;
use alcove::app::attendee::settings::Settings;
use alcove::proto::secret::hash;
use alcove::proto::wire::advert::Shower;
use alcove::shell::ble::BleState;
use alcove_ui::{Nav, Page, Part};
use firmware_sim::scenario::S;
use i_slint_backend_testing::mock_elapsed_time;
use slint::ComponentHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ui_support::{SCREENS, SHOWN, Scene, init, resize};

#[test]
fn every_screen_looks_as_it_did() {
    init();
    let mut scene = Scene::in_a_room(3);
    scene.on(0).field("Say something", "We write one page, without blame, within two days.");
    scene.on(0).tap("Say it");
    scene.pass(S(3));
    scene.on(1).field("Say something", "Who reads it?");
    scene.on(1).tap("Say it");
    scene.pass(S(3));
    scene.on(1).field("Say something", "Ours end up in a folder that nobody opens.");
    scene.on(1).tap("Say it");
    scene.pass(S(3));
    scene.on(2).field("Say something", "We read two of them aloud on Fridays.");
    scene.on(2).tap("Say it");
    scene.pass(S(3));
    scene.on(1).tap("Notes");
    scene.on(1).tap("Begin to write");
    scene
        .on(1)
        .type_text("What works\n- one page, no blame\n- read aloud on Fridays\n\nWhat does not\n- a folder that nobody opens");
    scene.pass(S(10));
    scene.on(2).tap("Plan");
    scene.on(2).field("Add a point to the agenda", "What worked");
    scene.on(2).tap("Add to the agenda");
    scene.on(2).field("Add something to do", "Send the template around");
    scene.on(2).tap("Add it");
    scene.pass(S(10));
    scene.on(0).tap("Show the code for the table");
    let folder = folder();
    let mut hashes = BTreeMap::new();
    take_pictures(&mut scene, &SCREENS, &folder, &mut hashes);
    let heard = ("around-heard", Page::Around, Part::Talk);
    hear_the_hall(&mut scene);
    take_pictures(&mut scene, &[heard], &folder, &mut hashes);
    let mut scene = Scene::new(1);
    for (name, bluetooth, lan, lan_has_failed) in [
        ("around-off", Some(BleState::Off), Some(false), false),
        ("around-blocked", Some(BleState::PoweredOff), Some(true), true),
        ("around-searching", Some(SHOWN), Some(false), false),
        ("around-nobody", Some(SHOWN), Some(true), false),
    ] {
        scene.people[0].situation.lan = lan;
        scene.set_lan_failed(0, lan_has_failed);
        scene.set_bluetooth(0, bluetooth);
        if name == "around-nobody" {
            mock_elapsed_time(Duration::from_secs(25));
        }
        take_pictures(&mut scene, &[(name, Page::Around, Part::Talk)], &folder, &mut hashes);
    }
    compare(&hashes, &folder);
}

fn folder() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screens");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// The other two of the room are recognised, and there are more.
fn hear_the_hall(scene: &mut Scene) {
    (0..3).for_each(|person| scene.set_bluetooth(person, Some(SHOWN)));
    scene.pass(S(60));
    scene.hear(0, 1, Some(-50));
    scene.hear(0, 2, Some(-70));
    for (number, rssi_dbm) in [(1, -72), (2, -75), (3, -88)] {
        scene.hear_stranger(0, Shower::Attendee, number, Some(rssi_dbm));
    }
    scene.hear_stranger(0, Shower::Table, 4, Some(-55));
    scene.hear_stranger(0, Shower::Kiosk, 5, Some(-66));
}

/// Each of these screens in each size and look.
fn take_pictures(scene: &mut Scene, screens: &[(&str, Page, Part)], folder: &Path, hashes: &mut BTreeMap<String, String>) {
    let window = scene.people[0].screens.clone();
    for (size, width, height) in [("phone", 360, 800), ("wide", 1280, 800)] {
        resize(window.window(), width, height);
        for (look, language, text_scale) in
            [("light", "en", 1.0), ("light", "de", 1.0), ("dark", "en", 1.0), ("dark", "de", 1.0), ("light", "en", 2.0)]
        {
            let settings =
                Settings { language: language.into(), look: look.into(), reduced_motion: true, text_scale, ..Settings::default() };
            look_like(&window, &settings);
            for (name, page, part) in screens {
                window.window().global::<Nav>().set_part(*part);
                window.window().global::<Nav>().set_page(*page);
                let scale = if text_scale == 1.0 { "" } else { "-200" };
                let file = format!("{name}-{size}-{look}-{language}{scale}.png");
                let pixels = scene.on(0).picture(folder.join(&file));
                let hash: String = hash("alcove/1 picture", &[&pixels]).iter().map(|byte| format!("{byte:02x}")).collect();
                hashes.insert(file, hash);
            }
        }
    }
}

/// They are those that somebody has looked at.
fn compare(hashes: &BTreeMap<String, String>, folder: &Path) {
    let seen: String = hashes.iter().map(|(file, hash)| format!("{hash}  {file}\n")).collect();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui_support/screens.txt");
    if std::env::var_os("ALCOVE_ACCEPT").is_some() {
        fs::write(&golden, &seen).unwrap();
    }
    let known = fs::read_to_string(&golden).unwrap_or_default();
    let known: BTreeSet<_> = known.lines().collect();
    let changed: Vec<_> = seen.lines().filter(|line| !known.contains(line)).filter_map(|line| line.split("  ").nth(1)).collect();
    assert!(
        changed.is_empty(),
        "these look otherwise than they did: {changed:?}\nLook at them in {}, and if they are right: ALCOVE_ACCEPT=1 cargo test --workspace --test ui_pictures",
        folder.display()
    );
    assert_eq!(known.len(), hashes.len(), "a picture is not made any more");
}
