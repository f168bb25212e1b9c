//! The actors: the relay and the attendees, each a process of its own, driven as anybody could drive them.

use super::corridor::Corridor;
use anyhow::{Context, Result, anyhow, bail};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What happens at all happens within this time, also on a machine under load.
pub const SOON: Duration = Duration::from_secs(45);
/// Views are asked for again after so long if no event comes first.
const AGAIN: Duration = Duration::from_millis(200);

/// The relay's process.
pub struct Relay {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Relay {
    /// Starts `alcove relay` with a store.
    ///
    /// # Errors
    /// If it does not start or does not say where it listens.
    pub fn start(binary: &Path, store: &Path) -> Result<Relay> {
        let mut command = Command::new(binary);
        command.args(["relay", "--listen", "127.0.0.1:0", "--store"]).arg(store);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("the relay does not start")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("the relay has no output")?).read_line(&mut line)?;
        let url = line.split(' ').find_map(|word| word.strip_prefix("ws://")).ok_or_else(|| anyhow!("the relay said: {line}"))?;
        let address = url.trim_end_matches(['/', '\n']).parse().with_context(|| format!("the relay said: {line}"))?;
        Ok(Relay { child, address })
    }

    /// One of the counts at `/metrics`.
    ///
    /// # Errors
    /// If the relay does not answer or has no such count.
    pub fn metric(&self, name: &str) -> Result<u64> {
        let mut stream = std::net::TcpStream::connect(self.address)?;
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n")?;
        let mut page = String::new();
        std::io::Read::read_to_string(&mut stream, &mut page)?;
        let value = page.lines().find_map(|line| line.strip_prefix(&format!("alcove_relay_{name} ")));
        Ok(value.ok_or_else(|| anyhow!("the relay counts no {name}"))?.trim().parse()?)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// One `alcove node`.
pub struct Attendee {
    /// How the tour calls her.
    pub name: &'static str,
    /// What `ready` said.
    pub ready: Value,
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<Value>,
    events: Vec<Value>,
    asked: u64,
}

/// How a node is started.
pub struct Stage {
    /// The program.
    pub binary: PathBuf,
    /// Where the profiles lie.
    pub folder: PathBuf,
    /// Discovery among the tour's own nodes alone.
    pub mdns_port: u16,
    /// The simulated radio, with a phone for each of the cast.
    pub corridor: Corridor,
}

impl Stage {
    /// Starts an attendee over the profile of this name.
    ///
    /// # Errors
    /// If it does not start; what it said.
    pub fn start(&self, name: &'static str, profile: &str, lan: &str) -> Result<Attendee> {
        let mut command = Command::new(&self.binary);
        command.args(["node", "--lan", lan, "--mdns-port", &self.mdns_port.to_string(), "--profile"]).arg(self.profile(profile));
        match self.corridor.bus(name) {
            Some(bus) => command.args(["--bluetooth", "on"]).env("DBUS_SYSTEM_BUS_ADDRESS", bus),
            None => command.args(["--bluetooth", "off"]),
        };
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| format!("{name} does not start"))?;
        let (sender, lines) = channel();
        let out = BufReader::new(child.stdout.take().context("a node has no output")?);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let stdin = child.stdin.take().context("a node has no input")?;
        let mut attendee = Attendee { name, ready: Value::Null, child, stdin, lines, events: Vec::new(), asked: 0 };
        attendee.ready = attendee.event("ready", |_| true)?;
        Ok(attendee)
    }

    /// The folder of a profile.
    pub fn profile(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Attendee {
    /// Carries a command out; it must succeed.
    ///
    /// # Errors
    /// What the node refused, or that it does not answer.
    pub fn ask(&mut self, command: Value) -> Result<Value> {
        let answer = self.tell(command.clone())?;
        match answer["ok"] == true {
            true => Ok(answer),
            false => bail!("{}: {command} got {answer}", self.name),
        }
    }

    /// Carries a command out, whatever comes of it.
    ///
    /// # Errors
    /// If the node does not answer.
    pub fn tell(&mut self, mut command: Value) -> Result<Value> {
        self.asked += 1;
        command["id"] = json!(self.asked);
        writeln!(self.stdin, "{command}").with_context(|| format!("{} has gone", self.name))?;
        let deadline = Instant::now() + SOON;
        loop {
            let line = self.next(deadline).with_context(|| format!("{} does not answer {command}", self.name))?;
            if line["reply"] == self.asked {
                return Ok(line);
            }
            self.events.push(line);
        }
    }

    /// Asks until the answer is as wanted.
    ///
    /// # Errors
    /// If it does not become so in time; with the last answer.
    pub fn until(&mut self, what: &str, command: Value, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + SOON;
        loop {
            let answer = self.tell(command.clone())?;
            if wanted(&answer) {
                return Ok(answer);
            }
            if Instant::now() >= deadline {
                bail!("{}: {what} did not come about; last seen: {answer}", self.name);
            }
            if let Ok(line) = self.lines.recv_timeout(AGAIN) {
                self.events.push(line);
            }
        }
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// If it does not come in time.
    pub fn event(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + SOON;
        let is_it = |line: &Value| line["event"] == name && wanted(line);
        if let Some(place) = self.events.iter().position(&is_it) {
            return Ok(self.events.remove(place));
        }
        loop {
            let line = self.next(deadline).with_context(|| format!("{} did not say {name}", self.name))?;
            if is_it(&line) {
                return Ok(line);
            }
            self.events.push(line);
        }
    }

    /// Everything it said of its own accord since the last time.
    pub fn heard(&mut self) -> Vec<Value> {
        let more: Vec<_> = self.lines.try_iter().collect();
        self.events.extend(more);
        std::mem::take(&mut self.events)
    }

    /// Ends it in good order.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn quit(mut self) -> Result<()> {
        self.tell(json!({ "do": "quit" }))?;
        self.child.wait()?;
        Ok(())
    }

    fn next(&mut self, deadline: Instant) -> Result<Value> {
        Ok(self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))?)
    }
}

impl Drop for Attendee {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
