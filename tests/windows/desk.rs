//! A desk for windows: a display without a screen, a window manager, and a session bus with the accessibility bus switched on, as with a
//! screen reader. All of it is gone when it is dropped.

use super::person::eventually;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Width and height of the display.
const SIZE: (usize, usize) = (1_280, 860);

const RULES: &str = r#"<openbox_config xmlns="http://openbox.org/3.4/rc">
  <keyboard><keybind key="A-F4"><action name="Close"/></keybind></keyboard>
  <applications><application class="*"><decor>no</decor></application></applications>
</openbox_config>"#;

pub struct Desk {
    folder: TempDir,
    display: String,
    session: String,
    processes: Vec<Child>,
}

impl Desk {
    pub fn new() -> Desk {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let screen = format!("{}x{}x24", SIZE.0, SIZE.1);
        let mut server = Command::new("Xvfb");
        // Not to begin again when its first client ends: that would cut off who connects meanwhile.
        server.args(["-noreset", "-displayfd", "1", "-nolisten", "tcp", "-screen", "0", &screen, "-fbdir"]).arg(folder.path());
        let (server, number) = first_line(server);
        let display = format!(":{number}");
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--session", "--nofork", "--print-address=1"]).env("DISPLAY", &display).env("XDG_RUNTIME_DIR", folder.path());
        let (bus, session) = first_line(bus);
        let mut desk = Desk { folder, display, session, processes: vec![server, bus] };
        // Windows without a frame: a place in the window is a place on the display.
        let rules = desk.folder.path().join("openbox.xml");
        fs::write(&rules, RULES).expect("the window manager's rules");
        let mut manager = desk.command("openbox");
        let manager = manager.arg("--config-file").arg(rules).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let manager = manager.expect("openbox starts");
        desk.processes.push(manager);
        // It has taken the display: a window that is mapped from now on is seen.
        eventually("a window manager", || (!desk.xdotool(&["get_num_desktops"]).is_empty()).then_some(()));
        desk
    }

    /// A program on this desk, that speaks English.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("DISPLAY", &self.display).env("DBUS_SESSION_BUS_ADDRESS", &self.session);
        command.env_remove("WAYLAND_DISPLAY").env("LC_ALL", "C.UTF-8");
        command
    }

    /// The address of the session bus.
    pub fn session(&self) -> &str {
        &self.session
    }

    /// Hands and fingers: the words of `xdotool`.
    pub fn xdotool(&self, words: &[&str]) -> String {
        let done = self.command("xdotool").args(words).output().expect("xdotool runs");
        String::from_utf8(done.stdout).expect("text")
    }

    /// The colours of a part of the display, row by row.
    pub fn shown(&self, (x, y, width, height): (usize, usize, usize, usize)) -> Vec<[u8; 3]> {
        let dump = fs::read(self.folder.path().join("Xvfb_screen0")).expect("the display's memory");
        // X Window Dump, version 7: a header of big-endian words, then colours of 12 bytes each, then rows of BGRX.
        let word = |number: usize| u32::from_be_bytes(dump[4 * number..4 * number + 4].try_into().expect("four bytes")) as usize;
        let (begin, row) = (word(0) + 12 * word(19), word(12));
        let (right, bottom) = ((x + width).min(word(4)), (y + height).min(word(5)));
        let line = |line: usize| dump[begin + line * row + 4 * x..begin + line * row + 4 * right].chunks_exact(4);
        (y..bottom).flat_map(line).map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect()
    }

    /// Writes a part of what is on the display as a PNG file.
    pub fn picture(&self, place: (usize, usize, usize, usize), path: &Path) {
        let pixels = self.shown(place);
        let width = place.2.min(SIZE.0 - place.0);
        let height = pixels.len() / width;
        let file = fs::File::create(path).expect("the picture's file");
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), width as u32, height as u32);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        encoder
            .write_header()
            .and_then(|mut writer| writer.write_image_data(pixels.as_flattened()))
            .expect("the picture is written");
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Starts a program and gives the first line that it says: that it is ready, and where.
fn first_line(mut command: Command) -> (Child, String) {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = started.unwrap_or_else(|error| panic!("{command:?} does not start ({error}): use tests/windows/run"));
    let mut out = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    out.read_line(&mut line).expect("its first line");
    // Open as long as it lives: what it starts writes there too.
    child.stdout = Some(out.into_inner());
    (child, line.trim().to_owned())
}
