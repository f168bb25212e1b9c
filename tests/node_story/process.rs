//! The story's stage: an event with its relay, and attendees who are processes of their own.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;

/// The program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_alcove");
/// Where it lies when it runs elsewhere than it was built.
const ELSEWHERE: &str = "ALCOVE_PROGRAM";
/// A machine under load is slow; what happens at all happens within this time.
const SOON: Duration = Duration::from_secs(40);
/// In an emulated one a virtual controller tells of an advert once: who missed it hears of it when the scan begins again.
const SOON_ELSEWHERE: Duration = Duration::from_secs(150);
/// Views are asked again after this long if no event comes first.
const AGAIN: Duration = Duration::from_millis(500);

/// The program to run.
pub fn program() -> String {
    std::env::var(ELSEWHERE).unwrap_or_else(|_| BINARY.to_owned())
}

fn soon() -> Instant {
    Instant::now() + if std::env::var_os(ELSEWHERE).is_some() { SOON_ELSEWHERE } else { SOON }
}

/// A folder with an event in it whose relay runs.
pub struct Place {
    folder: tempfile::TempDir,
    mdns_port: u16,
    relay: Child,
}

impl Place {
    pub fn new() -> Place {
        Place::with_relay(&[])
    }

    /// A place whose relay has these options too.
    pub fn with_relay(options: &[&str]) -> Place {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut command = Command::new(BINARY);
        command.args(["relay", "--listen", "127.0.0.1:0"]).args(options);
        let (relay, url) = start_relay(command);
        make_event(folder.path(), "Node Story", &url);
        // Nodes of other tests on this machine do not hear ours.
        let mdns_port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        Place { folder, mdns_port, relay }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn pack(&self) -> PathBuf {
        self.path("event.alcove")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}

/// Starts a relay and gives its address.
pub fn start_relay(mut command: Command) -> (Child, String) {
    let mut relay = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the relay starts");
    let mut line = String::new();
    BufReader::new(relay.stdout.take().expect("its output")).read_line(&mut line).expect("its first line");
    let url = line.split(' ').find(|word| word.starts_with("ws://")).expect("its address").to_owned();
    (relay, url)
}

/// An address where nobody listens. While the socket lives, the system gives its port to no other test; a server may listen there.
pub fn silent_address() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("its port can be shared with a server");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = socket.local_addr().expect("its address");
    (socket, address)
}

/// Makes an event of three days that runs now, with its pack in this folder.
pub fn make_event(folder: &Path, name: &str, relay_url: &str) -> PathBuf {
    let today = jiff::Zoned::now().date();
    let last = today.tomorrow().and_then(|day| day.tomorrow()).expect("a day after tomorrow");
    let made = Command::new(program())
        .args(["event", "new", "--name", name, "--zone", "UTC", "--relay", relay_url])
        .args(["--starts", &today.to_string(), "--ends", &last.to_string(), "--out"])
        .arg(folder)
        .output()
        .expect("the event is made");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.join("event.alcove")
}

/// One `alcove node`.
pub struct Attendee {
    name: String,
    profile: PathBuf,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
    events: Vec<Value>,
    asked: u64,
    ready: Value,
}

impl Attendee {
    /// One who finds others on this machine.
    pub fn start(place: &Place, name: &str) -> Attendee {
        let port = place.mdns_port.to_string();
        let options = ["--lan", "loopback", "--mdns-port", &port];
        Attendee::run(Command::new(BINARY), &options, name, place.path(name))
    }

    /// One with these options of `alcove node`; the program begins as `command`, for one who lives elsewhere.
    pub fn run(mut command: Command, options: &[&str], name: &str, profile: PathBuf) -> Attendee {
        let mut child = command
            .args(["node", "--keystore", "file"])
            .args(options)
            .arg("--profile")
            .arg(&profile)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the node starts");
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().expect("its output"));
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take().expect("its input");
        let mut attendee =
            Attendee { name: name.to_owned(), profile, child, stdin, lines, events: Vec::new(), asked: 0, ready: Value::Null };
        attendee.ready = attendee.event("ready", |_| true);
        attendee
    }

    /// Who it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a crash does, by the signal that leaves a core dump where there is one.
    pub fn abort(&mut self) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, rustix::process::Signal::ABORT).expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// What it said first.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// The whole answer to a command that must be refused.
    pub fn refusal(&mut self, command: Value) -> Value {
        let answer = self.tell(command.clone());
        assert!(answer.get("error").is_some(), "{}: {command} got {answer}", self.name);
        answer
    }

    /// Sends a raw line and gives the answer to it, which has no id or that of the line.
    pub fn line(&mut self, line: &str) -> Value {
        writeln!(self.stdin, "{line}").expect("the node reads");
        self.answer(None)
    }

    /// Carries a command out; it must succeed.
    pub fn ask(&mut self, command: Value) -> Value {
        let answer = self.tell(command.clone());
        assert_eq!(answer["ok"], true, "{}: {command} got {answer}", self.name);
        answer
    }

    /// Carries a command out as soon as it succeeds.
    pub fn until_ok(&mut self, command: Value) -> Value {
        let deadline = soon();
        loop {
            let answer = self.tell(command.clone());
            if answer["ok"] == true {
                return answer;
            }
            assert!(Instant::now() < deadline, "{}: {command} got {answer} after {:#?}", self.name, self.events);
            if let Ok(line) = self.lines.recv_timeout(AGAIN) {
                self.events.push(line);
            }
        }
    }

    /// Carries a command out that must be refused, with this code.
    pub fn refused(&mut self, command: Value) -> String {
        text(&self.refusal(command)["error"])
    }

    /// The view of a talk.
    pub fn view(&mut self, talk: &str) -> Value {
        self.ask(json!({ "do": "talk", "talk": talk }))
    }

    /// Asks until the answer is as wanted.
    pub fn until(&mut self, what: &str, command: Value, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = soon();
        loop {
            let answer = self.ask(command.clone());
            if wanted(&answer) {
                return answer;
            }
            assert!(Instant::now() < deadline, "{} waits for {what}: {answer:#}\nafter {:#?}", self.name, self.events);
            if let Ok(line) = self.lines.recv_timeout(AGAIN) {
                self.events.push(line);
            }
        }
    }

    pub fn until_status(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(what, json!({ "do": "status" }), wanted)
    }

    /// Waits for an event that is as wanted, one that has come already included; it is used up.
    pub fn event(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = soon();
        let is_it = |line: &Value| line["event"] == name && wanted(line);
        loop {
            if let Some(place) = self.events.iter().position(&is_it) {
                return self.events.remove(place);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => self.events.push(line),
                Err(_) => panic!("{} waits for {name} after {:#?}", self.name, self.events),
            }
        }
    }

    /// Ends the node in good order; gives the profile that is left.
    pub fn quit(mut self) -> PathBuf {
        self.ask(json!({ "do": "quit" }));
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "{status}");
        std::mem::take(&mut self.profile)
    }

    fn tell(&mut self, mut command: Value) -> Value {
        self.asked += 1;
        command["id"] = json!(self.asked);
        writeln!(self.stdin, "{command}").expect("the node reads");
        self.answer(Some(self.asked))
    }

    fn answer(&mut self, id: Option<u64>) -> Value {
        let deadline = soon();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if line.get("reply").is_some_and(|reply| id.is_none_or(|id| *reply == id)) => return line,
                Ok(line) => self.events.push(line),
                Err(_) => panic!("{} waits for an answer after {:#?}", self.name, self.events),
            }
        }
    }
}

impl Drop for Attendee {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A JSON text as a string.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
