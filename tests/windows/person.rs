//! One person at the desk: a window of the real program, a pointer, a keyboard, and eyes that see what a screen reader sees.

use super::desk::Desk;
use super::eye::{ENTRY, Eye, LABEL, Seen, UNKNOWN};
use super::process::{Attendee, BINARY};
use radio::Phone;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A machine under load is slow; what happens at all happens within this time.
const SOON: Duration = Duration::from_secs(40);
const GLANCE: Duration = Duration::from_millis(100);

/// What is shared by all at the desk.
pub struct Table<'a> {
    pub desk: &'a Desk,
    pub eye: &'a Eye,
    pub folder: &'a Path,
    pub pictures: &'a Path,
    pub mdns_port: u16,
    /// How its people are on the local network, as the app's option has it.
    pub lan: &'a str,
}

impl Table<'_> {
    /// How many talks a profile holds whose window is closed, asked without a window.
    pub fn talks_left(&self, name: &str) -> usize {
        let mut node = Attendee::run(Command::new(BINARY), &["--lan", "off"], name, self.folder.join(name));
        let talks = node.ask(json!({ "do": "talks" }));
        talks["talks"].as_array().map_or(usize::MAX, Vec::len)
    }
}

/// A person.
pub struct Person<'a> {
    table: &'a Table<'a>,
    name: String,
    child: Child,
    window: String,
    /// Where the window is, and how large.
    place: (usize, usize, usize, usize),
    pictures: AtomicUsize,
}

impl<'a> Person<'a> {
    /// Opens the app with a profile of this name, so far from the left of the display.
    pub fn start(table: &'a Table<'a>, name: &str, left: usize, options: &[&str]) -> Person<'a> {
        Person::open(table, table.desk.command(BINARY), (name, name), left, options)
    }

    /// Opens the app on a device with this phone's radio.
    pub fn start_with_radio(table: &'a Table<'a>, phone: &Phone, name: &str, left: usize, options: &[&str]) -> Person<'a> {
        let mut command = table.desk.command(BINARY);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", phone.bus_address());
        Person::open(table, command, (name, name), left, &[&["--bluetooth", "on"], options].concat())
    }

    /// The same under another name than the profile's.
    pub fn start_as(table: &'a Table<'a>, profile: &str, name: &str, left: usize) -> Person<'a> {
        Person::open(table, table.desk.command(BINARY), (profile, name), left, &[])
    }

    /// Opens the app on a system that speaks another language.
    pub fn start_speaking(table: &'a Table<'a>, language: &str, name: &str, left: usize) -> Person<'a> {
        let mut command = table.desk.command(BINARY);
        command.env("LC_ALL", language);
        Person::open(table, command, (name, name), left, &[])
    }

    fn open(
        table: &'a Table<'a>,
        mut command: Command,
        (profile, name): (&str, &str),
        left: usize,
        options: &[&str],
    ) -> Person<'a> {
        let port = table.mdns_port.to_string();
        command.args(["--lan", table.lan, "--keystore", "file", "--mdns-port", &port, "--profile"]);
        command.arg(table.folder.join(profile)).args(options).env("TMPDIR", table.folder);
        let child = command.stdin(Stdio::null()).spawn().expect("the app starts");
        let (window, pictures) = (String::new(), AtomicUsize::new(0));
        let mut person = Person { table, name: name.to_owned(), child, window, place: (0, 0, 0, 0), pictures };
        person.window = eventually("a window", || {
            let ended = person.child.try_wait().expect("whether it runs");
            assert_eq!(ended, None, "the app ends before there is a window");
            let found = table.desk.xdotool(&["search", "--onlyvisible", "--pid", &person.child.id().to_string()]);
            found.lines().next().map(str::to_owned)
        });
        table.desk.xdotool(&["windowmove", "--sync", &person.window, &left.to_string(), "10"]);
        person.place = person.look_where();
        person
    }

    fn look_where(&self) -> (usize, usize, usize, usize) {
        let told = self.table.desk.xdotool(&["getwindowgeometry", "--shell", &self.window]);
        let number = |key: &str| {
            let line = told.lines().find_map(|line| line.strip_prefix(key)).expect("where the window is");
            line.parse().expect("a number")
        };
        (number("X="), number("Y="), number("WIDTH="), number("HEIGHT="))
    }

    fn seen(&self) -> Vec<Seen> {
        self.table.eye.all(self.child.id())
    }

    fn wait_for(&self, what: &str, is_it: impl Fn(&Seen) -> bool) -> Seen {
        let began = Instant::now();
        loop {
            let all = self.seen();
            if let Some(found) = all.iter().find(|seen| is_it(seen)) {
                return found.clone();
            }
            if began.elapsed() > SOON {
                self.picture("not found");
                let names: Vec<_> = all.iter().map(|seen| (seen.role, &seen.name, &seen.text)).collect();
                panic!("{} does not see {what}: {names:?}", self.name);
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Waits until something is called so, word for word.
    pub fn sees(&self, name: &str) -> Seen {
        self.wait_for(name, |seen| seen.name == name)
    }

    /// Waits until something has this in its name.
    pub fn sees_in_part(&self, part: &str) -> Seen {
        self.wait_for(part, |seen| seen.name.contains(part))
    }

    /// Waits until there is something to touch that is called so.
    pub fn sees_touchable(&self, name: &str) -> Seen {
        let is_touchable = |seen: &Seen| seen.name == name && ![LABEL, UNKNOWN].contains(&seen.role) && seen.place.2 > 0;
        self.wait_for(name, is_touchable)
    }

    /// Clicks in the middle of what is called so.
    pub fn touch(&self, name: &str) {
        let seen = self.sees_touchable(name);
        self.click(&seen);
    }

    /// Clicks on what has this in its name.
    pub fn touch_in_part(&self, part: &str) {
        let seen = self.sees_in_part(part);
        self.click(&seen);
    }

    fn click(&self, seen: &Seen) {
        let (x, y, width, height) = seen.place;
        let (x, y) = (self.place.0 as i32 + x + width / 2, self.place.1 as i32 + y + height / 2);
        self.table.desk.xdotool(&["mousemove", &x.to_string(), &y.to_string(), "click", "1"]);
        std::thread::sleep(GLANCE);
    }

    /// Clicks into a field and writes in it.
    pub fn write_in(&self, field: &str, text: &str) {
        self.touch(field);
        self.types(text);
    }

    /// The keys go to this window now.
    pub fn take_keyboard(&self) {
        self.table.desk.xdotool(&["windowfocus", "--sync", &self.window]);
    }

    /// Types on the keyboard.
    pub fn types(&self, text: &str) {
        self.table.desk.xdotool(&["type", "--delay", "15", text]);
    }

    /// Presses a key.
    pub fn key(&self, key: &str) {
        self.table.desk.xdotool(&["key", key]);
    }

    /// The notes as they are read out.
    pub fn notes(&self) -> Vec<String> {
        let is_note = |seen: &Seen| seen.role == ENTRY && seen.name.starts_with("Paragraph ");
        self.seen().into_iter().filter(is_note).map(|seen| seen.name).collect()
    }

    /// Keeps a picture of the window.
    pub fn picture(&self, of: &str) -> PathBuf {
        std::thread::sleep(4 * GLANCE);
        let number = self.pictures.fetch_add(1, Ordering::Relaxed) + 1;
        let path = self.table.pictures.join(format!("{}-{number:02}-{}.png", self.name, of.replace(' ', "-")));
        self.table.desk.picture(self.place, &path);
        path
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How long after this moment something was drawn in the window.
    pub fn shown_after(&self, began: Instant) -> Duration {
        let first = self.table.desk.shown(self.place)[0];
        while self.table.desk.shown(self.place).iter().all(|pixel| *pixel == first) {
            assert!(began.elapsed() < SOON, "nothing is drawn");
        }
        began.elapsed()
    }

    /// How long it takes from a key that is pressed here until another's screen changes.
    pub fn key_to_screen(&self, other: &Person<'_>) -> Duration {
        self.take_keyboard();
        std::thread::sleep(10 * GLANCE);
        let before = self.table.desk.shown(other.place);
        let began = Instant::now();
        self.key("x");
        while self.table.desk.shown(other.place) == before {
            assert!(began.elapsed() < SOON, "the key does not arrive");
        }
        began.elapsed()
    }

    /// Closes the window by the keys of the desk, and the program ends well.
    pub fn end(mut self) {
        self.take_keyboard();
        self.key("alt+F4");
        let status = eventually("the end of the program", || self.child.try_wait().expect("its end"));
        assert!(status.success(), "{} ends with {status}", self.name);
    }
}

impl Drop for Person<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    let (began, mut look) = (Instant::now(), look);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < SOON, "there is not {what}");
        std::thread::sleep(GLANCE);
    }
}
