//! The app itself, used by two people at one desk: started by `tests/windows/run`.
//!
//! Two processes with profiles of their own, on the local network of this machine and over a real relay, are used by pointer and keyboard
//! alone: what is touched is found as a screen reader finds it, by its name. Law: it plays the whole story or fails with a sentence.

#[path = "../node_story/process.rs"]
#[allow(dead_code)]
mod process;

mod bulletin;
mod desk;
mod eye;
mod hall;
mod measure;
mod person;

use bulletin::Bulletin;
use desk::Desk;
use eye::Eye;
use person::{Person, Table};
use process::{BINARY, make_event, start_relay};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, ExitCode};
use std::time::Instant;

const TOPIC: &str = "What did you stop doing?";

fn main() -> ExitCode {
    // A claim that does not hold panics, and a panic ends the process with an exit code that is not 0.
    let pictures = Path::new(env!("CARGO_TARGET_TMPDIR")).join("windows");
    let _none_yet = std::fs::remove_dir_all(&pictures);
    std::fs::create_dir_all(&pictures).expect("a folder for the pictures");
    let began = Instant::now();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(BINARY);
    command.args(["relay", "--listen", "127.0.0.1:0"]);
    let (relay, url) = start_relay(command);
    let relay = Ended(relay);
    let pack = make_event(folder.path(), "Offline Days", &url);
    let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
    let desk = Desk::new();
    let eye = Eye::open(desk.session());
    let table = Table { desk: &desk, eye: &eye, folder: folder.path(), pictures: &pictures, mdns_port: port, lan: "loopback" };
    if std::env::args().any(|word| word == "--measure") {
        measure::measure(&table, &pack);
        return ExitCode::SUCCESS;
    }
    let bulletin = Bulletin::open(desk.session());
    play(&table, &pack, &bulletin);
    println!("two windows, from the card to the erased talk: held ({:.1} s)", began.elapsed().as_secs_f32());
    let began = Instant::now();
    let beside = Desk::new();
    let eye = Eye::open(beside.session());
    write_at_once([&table, &Table { desk: &beside, eye: &eye, ..table }], &pack);
    println!("two desks, on which two people type at once: held ({:.1} s)", began.elapsed().as_secs_f32());
    drop(relay);
    let began = Instant::now();
    first_start(&table, &pack);
    println!("first start, from the event's code: held ({:.1} s)", began.elapsed().as_secs_f32());
    let began = Instant::now();
    practise(&table);
    println!("alone, with two companions: held ({:.1} s)", began.elapsed().as_secs_f32());
    let began = Instant::now();
    hall::meet(&table, &pack);
    println!("two windows without a network, found by Bluetooth: held ({:.1} s)", began.elapsed().as_secs_f32());
    println!("pictures: {}", pictures.display());
    ExitCode::SUCCESS
}

/// A process that ends with the story, however that ends.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

fn play(table: &Table<'_>, pack: &Path, bulletin: &Bulletin) {
    let host = Person::start(table, "host", 20, &[pack.to_str().expect("a plain path")]);
    let guest = Person::start(table, "guest", 660, &[]);
    guest.sees("In each talk you have another name, and nobody sees who you are.");
    guest.picture("welcome");
    guest.write_in("Or the path of the event's file, or the text of its code", pack.to_str().expect("a plain path"));
    guest.key("Return");
    host.sees("The board is empty");
    guest.sees("The board is empty");
    host.picture("empty board");

    host.touch("New talk card");
    host.write_in("Topic", TOPIC);
    host.touch("Opens with so many: one less");
    host.sees("Opens with so many: 2");
    host.picture("card");
    host.touch("Post the card");
    host.sees("Gathering");
    guest.sees_touchable(&format!("Take a seat in “{TOPIC}”"));
    guest.picture("board");
    guest.touch(&format!("Take a seat in “{TOPIC}”"));
    host.sees("Nothing said yet");
    guest.sees("Nothing said yet");
    // The guest looks at its window, and is told by it alone.
    bulletin.tells("Your talk has opened.");
    assert_eq!(bulletin.told().len(), 1, "the host looks elsewhere: {:?}", bulletin.told());

    host.write_in("Say something", "Standups. Nobody missed them.");
    host.touch("Say it");
    guest.sees_in_part("Standups. Nobody missed them.");
    guest.write_in("Say something", "What came instead?");
    guest.key("Return");
    host.sees_in_part("What came instead?");
    host.picture("room");

    write_together(&host, &guest);
    // One desk has one keyboard: letter by letter in turn.
    for (of_host, of_guest) in ["stan", "dups ", "on ", "Mondays"].iter().zip(["a sh", "ort wri", "tten ", "note"]) {
        host.take_keyboard();
        host.types(of_host);
        guest.take_keyboard();
        guest.types(of_guest);
    }
    finish_writing(&host, &guest, ["Stopped: standups on Mondays", "Instead: a short written note"]);
    hand_over(&host, &guest);
    second_window(table);
    close(&host, &guest);
    host.end();
    guest.end();
    for told in bulletin.told() {
        println!("notified: {}", told.whole);
        let may_be = ["Your talk has opened.", "There is something new in a talk.", "A talk is over, and erased on this device."];
        assert!(may_be.contains(&&told.body[..]), "{}", told.whole);
        let content = [TOPIC, "Standups", "instead", "Offline Days"].into_iter().find(|content| told.whole.contains(content));
        assert_eq!(content, None, "{}", told.whole);
    }
    for name in ["host", "guest"] {
        assert_eq!(table.talks_left(name), 0, "{name} holds no talk any more");
    }
}

/// Journey 2: the system's language, a picture of the event's code, and that is all.
fn first_start(table: &Table<'_>, pack: &Path) {
    let code = table.folder.join("event.png");
    let made = Command::new(BINARY).args(["event", "qr"]).arg(pack).arg("--out").arg(&code).output().expect("the code is made");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let first = Person::start_speaking(table, "de_DE.UTF-8", "first", 340);
    first.sees("In jedem Gespräch hast du einen anderen Namen, und niemand sieht, wer du bist.");
    first.touch("Code der Veranstaltung scannen");
    first.write_in("Pfad eines Bilds des Codes (PNG)", code.to_str().expect("a plain path"));
    first.touch("Bild lesen");
    first.sees("Offline Days");
    first.picture("event opened");
    first.end();
}

/// The first run of somebody who has no event: the practice talk, and nothing is left of it.
fn practise(table: &Table<'_>) {
    let alone = Person::start(table, "alone", 340, &[]);
    alone.touch("Try it alone: a practice talk");
    alone.sees("Practice, on this device alone");
    alone.touch("New talk card");
    alone.write_in("Topic", "Trying it out");
    alone.touch("Post the card");
    alone.sees_in_part("Nobody here knows who I am");
    alone.picture("companions");
    alone.touch("Notes");
    alone.touch("Begin to write");
    alone.types("I can write here");
    alone.sees_in_part("below the minimum there is no room");
    alone.picture("practice notes");
    alone.touch("Close this talk");
    alone.touch("Propose to close");
    alone.sees("The board is empty");
    alone.touch("Privacy");
    alone.sees_in_part("Erased on 3 of 3.");
    alone.picture("practice over");
    alone.touch("Talks");
    alone.touch("End the practice");
    alone.sees("In each talk you have another name, and nobody sees who you are.");
    alone.end();
    let left = std::fs::read_dir(table.folder).expect("the folder").filter_map(Result::ok);
    let left: Vec<_> = left.map(|entry| entry.file_name()).filter(|name| name.to_string_lossy().contains("practice")).collect();
    assert!(left.is_empty(), "of the practice is left {left:?}");
    assert_eq!(table.talks_left("alone"), 0);
}

/// Two people in an open room.
fn open_room<'a>(of_host: &'a Table<'a>, of_guest: &'a Table<'a>, pack: &Path) -> (Person<'a>, Person<'a>) {
    let pack = pack.to_str().expect("a plain path");
    let (host, guest) = (Person::start(of_host, "left", 20, &[pack]), Person::start(of_guest, "right", 660, &[pack]));
    open_talk(&host, &guest);
    (host, guest)
}

/// From two people on the page of the talks to a room of two.
fn open_talk(host: &Person<'_>, guest: &Person<'_>) {
    host.touch("New talk card");
    host.write_in("Topic", TOPIC);
    host.touch("Opens with so many: one less");
    host.touch("Post the card");
    guest.touch(&format!("Take a seat in “{TOPIC}”"));
    host.sees("Nothing said yet");
    guest.sees("Nothing said yet");
}

/// Each writes a line of its own; what the one types is in the other's window before it is a change.
fn write_together(host: &Person<'_>, guest: &Person<'_>) {
    host.touch("Notes");
    guest.touch("Notes");
    host.touch("Begin to write");
    host.types("Stopped: ");
    guest.sees_in_part("Stopped:");
    host.key("Return");
    host.types("Instead: ");
    // Until the change comes it is shown where it is typed, at the end of the first.
    guest.touch_in_part("Paragraph 2: Instead:");
    guest.key("End");
    host.touch_in_part("Stopped:");
    host.key("End");
}

/// Two people at two desks type at the same time, and in the end both have all that either has typed.
fn write_at_once(tables: [&Table<'_>; 2], pack: &Path) {
    let (host, guest) = open_room(tables[0], tables[1], pack);
    write_together(&host, &guest);
    std::thread::scope(|scope| {
        scope.spawn(|| host.types("standups on Mondays, and nobody has asked for them since"));
        scope.spawn(|| guest.types("a short written note, read whenever there is time for it"));
    });
    finish_writing(
        &host,
        &guest,
        [
            "Stopped: standups on Mondays, and nobody has asked for them since",
            "Instead: a short written note, read whenever there is time for it",
        ],
    );
    host.end();
    guest.end();
}

fn finish_writing(host: &Person<'_>, guest: &Person<'_>, lines: [&str; 2]) {
    for person in [host, guest] {
        for line in lines {
            person.sees_in_part(line);
        }
        person.picture("notes");
    }
    assert_eq!(host.notes(), guest.notes(), "both have the same notes");
}

/// The code on the one screen, read by the other from a picture of that screen.
fn hand_over(host: &Person<'_>, guest: &Person<'_>) {
    host.touch("Show the code for the table");
    host.sees("Code of this talk");
    let picture = host.picture("code");
    guest.touch("Back to the talks");
    guest.touch("Scan a code");
    guest.write_in("Path of a picture of the code (PNG)", picture.to_str().expect("a plain path"));
    guest.touch("Read the picture");
    guest.sees("You are at the table. The talk goes on here.");
    guest.picture("at the table");
    host.touch("Stop showing the code");
}

/// Who opens a profile twice is told so.
fn second_window(table: &Table<'_>) {
    let second = Person::start_as(table, "host", "second", 340);
    second.sees_in_part("Another Alcove is running with the profile");
    second.picture("in use");
    second.end();
}

fn close(host: &Person<'_>, guest: &Person<'_>) {
    host.touch("Close this talk");
    host.touch("Propose to close");
    host.sees_in_part("Waiting for 1 of 2");
    host.picture("waiting");
    guest.sees_in_part("Close this talk? 1 of 2 agree");
    guest.picture("asked to close");
    guest.touch("Agree and close");
    for person in [host, guest] {
        person.sees("The board is empty");
        person.touch("Privacy");
        person.sees_in_part("Erased on 2 of 2.");
        person.picture("erased");
    }
}
