//! A picture of each screen, phone and wide, light and dark, English and German, and with text of twice the size, of a scene that is the
//! same in every run: it looks as it did when somebody last looked at it and accepted it.

mod ui_support;

use alcove::app::attendee::look_like;
use alcove::app::attendee::settings::Settings;
use alcove::proto::secret::hash;
use alcove_ui::Nav;
use firmware_sim::scenario::S;
use slint::ComponentHandle;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use ui_support::{SCREENS, Scene, init, resize};

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
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screens");
    fs::create_dir_all(&folder).unwrap();
    let screens = scene.people[0].screens.clone();
    let mut hashes = BTreeMap::new();
    for (size, width, height) in [("phone", 360, 800), ("wide", 1280, 800)] {
        resize(screens.window(), width, height);
        for (look, language, text_scale) in
            [("light", "en", 1.0), ("light", "de", 1.0), ("dark", "en", 1.0), ("dark", "de", 1.0), ("light", "en", 2.0)]
        {
            let settings =
                Settings { language: language.into(), look: look.into(), reduced_motion: true, text_scale, ..Settings::default() };
            look_like(&screens, &settings);
            for (name, page, part) in SCREENS {
                screens.window().global::<Nav>().set_part(part);
                screens.window().global::<Nav>().set_page(page);
                let scale = if text_scale == 1.0 { "" } else { "-200" };
                let file = format!("{name}-{size}-{look}-{language}{scale}.png");
                let pixels = scene.on(0).picture(folder.join(&file));
                let hash: String = hash("alcove/1 picture", &[&pixels]).iter().map(|byte| format!("{byte:02x}")).collect();
                hashes.insert(file, hash);
            }
        }
    }
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
