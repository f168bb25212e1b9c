//! The private dbus-daemon of each phone, and a thread that owns them.
//!
//! Laws: a daemon never outlives the facade: it is killed on drop, and by the kernel when our process dies (where
//! util-linux `setpriv` exists; otherwise a killed process leaves its daemons behind).

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::{fs, io};

/// The daemons. The kernel's parent-death signal belongs to the thread that started them, so one thread lives
/// as long as they do.
#[derive(Debug)]
pub(crate) struct Buses {
    pub(crate) sockets: Vec<PathBuf>,
    stop: Option<mpsc::Sender<()>>,
    keeper: Option<JoinHandle<()>>,
}

impl Buses {
    /// Starts so many daemons with sockets in `dir`, and waits until they listen. Blocks for some ten milliseconds.
    pub(crate) fn start(dir: &Path, count: usize) -> io::Result<Self> {
        let mut sockets = Vec::new();
        let mut commands = Vec::new();
        for number in 0..count {
            let (socket, config) = (dir.join(format!("phone{number}.sock")), dir.join(format!("phone{number}.conf")));
            fs::write(&config, configuration(&socket))?;
            sockets.push(socket);
            commands.push(config);
        }
        let (started_tx, started_rx) = mpsc::channel();
        let (stop_tx, stop_rx) = mpsc::channel::<()>();
        let keeper = std::thread::Builder::new().name("dbus-daemons".into()).spawn(move || {
            let mut children = Vec::new();
            let started = commands.iter().try_for_each(|config| spawn(config).map(|child| children.push(child)));
            let _ = started_tx.send(started);
            // Nothing is ever sent: this ends when the other side is dropped.
            let _ = stop_rx.recv();
            for mut child in children {
                let _ = child.kill();
                let _ = child.wait();
            }
        })?;
        let buses = Self { sockets, stop: Some(stop_tx), keeper: Some(keeper) };
        started_rx.recv().map_err(io::Error::other)??;
        Ok(buses)
    }
}

impl Drop for Buses {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        for socket in &self.sockets {
            let _ = fs::remove_file(socket);
            let _ = fs::remove_file(socket.with_extension("conf"));
        }
    }
}

fn spawn(config: &Path) -> io::Result<Child> {
    let daemon = |command: &mut Command| {
        command.arg("--nofork").arg("--print-address=1").arg(format!("--config-file={}", config.display()));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()
    };
    let guarded = daemon(Command::new("setpriv").args(["--pdeathsig", "KILL", "dbus-daemon"]));
    let mut child = match guarded {
        Err(error) if error.kind() == io::ErrorKind::NotFound => daemon(&mut Command::new("dbus-daemon"))?,
        other => other?,
    };
    let mut address = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut address)?;
    }
    if address.is_empty() {
        let _ = child.kill();
        let status = child.wait()?;
        return Err(io::Error::other(format!("dbus-daemon did not start: {status}")));
    }
    Ok(child)
}

/// Everybody may own, send and receive everything; the limits are those of a session bus.
fn configuration(socket: &Path) -> String {
    let limits = [
        ("max_incoming_bytes", 1_000_000_000),
        ("max_outgoing_bytes", 1_000_000_000),
        ("max_message_size", 128_000_000),
        ("max_match_rules_per_connection", 50_000),
        ("max_replies_per_connection", 50_000),
        ("max_completed_connections", 1_000),
    ];
    let limits: String = limits.map(|(name, value)| format!("  <limit name=\"{name}\">{value}</limit>\n")).concat();
    format!(
        r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
{limits}</busconfig>
"#,
        socket.display()
    )
}
