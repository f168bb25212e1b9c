//! What the window does while others write: the time from a change in the node to the picture, in a long note and in a short one, and the
//! time from a key to the picture. The whole window is drawn each time, as no real window has to.

#[path = "../tests/ui_support/mod.rs"]
mod ui_support;

use alcove::proto::notes::Edit;
use alcove::proto::time::Duration as Virtual;
use firmware_sim::scenario::S;
use slint::ComponentHandle;
use std::time::{Duration, Instant};
use ui_support::{Scene, init};

/// Half a minute of ten edits in a second.
const EDITS: usize = 300;
const KEYS: usize = 100;

fn main() {
    init();
    for words in [100, 10_000] {
        let mut scene = Scene::in_a_room(2);
        let talk = scene.network.node(0).talks()[0].talk;
        let page: String = (1..=words).map(|word| if word % 20 == 0 { "words.\n" } else { "word " }).collect();
        let write = |scene: &mut Scene, at: usize, insert: String| {
            for piece in (Edit::Splice { at, delete: 0, insert }).pieces() {
                scene.network.with(0, |node| node.edit(talk, &[piece]).and_then(|()| node.flush(talk))).expect("it may write");
            }
        };
        write(&mut scene, 0, page);
        scene.pass(S(30));
        scene.people[1].screens.window().global::<alcove_ui::Nav>().set_part(alcove_ui::Part::Notes);
        scene.on(1).focus_paragraph(2, 0);
        let length = scene.network.node(1).notes(scene.network.node(1).talks()[0].talk).expect("open").notes.text.chars().count();
        assert!(length >= 4 * words, "the note has arrived");

        let mut frames: Vec<_> = (0..EDITS)
            .map(|edit| {
                let at = (edit * 7_919) % length;
                scene
                    .network
                    .with(0, |node| node.edit(talk, &[Edit::Splice { at, delete: 0, insert: "x".into() }]))
                    .expect("it may write");
                scene.network.run(Virtual::from_millis(100));
                timed(|| {
                    scene.look(1);
                    draw(&scene);
                })
            })
            .collect();
        say(&format!("a remote edit in {words} words, to the picture"), &mut frames);
        let mut keys: Vec<_> = (0..KEYS)
            .map(|_| {
                timed(|| {
                    scene.on(1).press('y');
                    draw(&scene);
                })
            })
            .collect();
        say(&format!("a key in {words} words, to the picture"), &mut keys);
        if words == 10_000 {
            let page = "A line of a page that somebody pastes.\n".repeat(2_600);
            let mut pasted = [timed(|| {
                let notes = scene.people[1].screens.window().global::<alcove_ui::NotesAdapter>();
                notes.invoke_edited(2, page.as_str().into(), page.len() as i32);
                draw(&scene);
            })];
            say(&format!("{} kB pasted into {words} words, to the picture", page.len() / 1_000), &mut pasted);
            let mut carried_out = [timed(|| scene.look(1))];
            say("and until the node has it", &mut carried_out);
        }
        let mut drawn: Vec<_> = (0..KEYS).map(|_| timed(|| draw(&scene))).collect();
        say(&format!("baseline: drawing {words} words alone"), &mut drawn);
    }
}

fn draw(scene: &Scene) {
    let picture = scene.people[1].screens.window().window().take_snapshot().expect("a picture");
    assert!(picture.width() == 360);
}

fn timed(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed()
}

fn say(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
    println!("{what}: median {:.1?}, p99 {:.1?} of {}", at(50), at(99), times.len());
}
