//! A picture of each screen, phone and wide, light and dark, English and German, of a scene that is the same in every run.

mod ui_support;

use alcove::app::attendee::look_like;
use alcove::app::attendee::settings::Settings;
use alcove_ui::{Nav, Page, Part};
use firmware_sim::scenario::S;
use slint::ComponentHandle;
use std::fs::{self, File};
use std::io::BufWriter;
use std::path::PathBuf;
use ui_support::{Scene, init, resize};

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
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("screens");
    fs::create_dir_all(&folder).unwrap();
    let screens = scene.people[0].screens.clone();
    let window = screens.window();
    for (size, width, height) in [("phone", 360, 800), ("wide", 1280, 800)] {
        resize(window, width, height);
        for look in ["light", "dark"] {
            for language in ["en", "de"] {
                let settings =
                    Settings { language: language.into(), look: look.into(), reduced_motion: true, ..Settings::default() };
                look_like(&screens, &settings);
                let shots = [
                    ("welcome", Page::Welcome, Part::Talk),
                    ("around", Page::Around, Part::Talk),
                    ("talks", Page::Talks, Part::Talk),
                    ("draft", Page::Draft, Part::Talk),
                    ("room", Page::Room, Part::Talk),
                    ("notes", Page::Room, Part::Notes),
                    ("plan", Page::Room, Part::Plan),
                    ("people", Page::Room, Part::People),
                    ("scan", Page::Scan, Part::Talk),
                    ("code", Page::ShowCode, Part::Talk),
                    ("privacy", Page::Privacy, Part::Talk),
                    ("settings", Page::Settings, Part::Talk),
                ];
                for (name, page, part) in shots {
                    window.global::<Nav>().set_part(part);
                    window.global::<Nav>().set_page(page);
                    i_slint_backend_testing::mock_elapsed_time(std::time::Duration::from_millis(400));
                    let picture = window.window().take_snapshot().expect("a picture");
                    let path = folder.join(format!("{name}-{size}-{look}-{language}.png"));
                    let mut encoder =
                        png::Encoder::new(BufWriter::new(File::create(path).unwrap()), picture.width(), picture.height());
                    encoder.set_color(png::ColorType::Rgba);
                    encoder.set_depth(png::BitDepth::Eight);
                    encoder.write_header().unwrap().write_image_data(picture.as_bytes()).unwrap();
                }
            }
        }
    }
}
