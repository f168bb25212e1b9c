//! A server as a child process on the loopback: started, waited for, measured from `/proc`, and ended.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Which server, and how it keeps what it acknowledges.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    AlcoveInMemory,
    AlcoveOnDisk,
    Mosquitto,
    Nats,
    JetStream,
}

impl Kind {
    pub const ALL: [Kind; 5] = [Kind::AlcoveInMemory, Kind::AlcoveOnDisk, Kind::Mosquitto, Kind::Nats, Kind::JetStream];

    pub fn name(self) -> &'static str {
        match self {
            Kind::AlcoveInMemory => "`alcove relay`",
            Kind::AlcoveOnDisk => "`alcove relay --store`",
            Kind::Mosquitto => "`mosquitto`, QoS 1",
            Kind::Nats => "`nats-server`",
            Kind::JetStream => "`nats-server --jetstream`",
        }
    }

    pub fn promise(self) -> &'static str {
        match self {
            Kind::AlcoveInMemory => "kept in memory for its hours",
            Kind::AlcoveOnDisk => "durable on disk (fsync)",
            Kind::Mosquitto => "taken, no persistence",
            Kind::Nats => "taken (+OK), nothing kept",
            Kind::JetStream => "written to a file, no fsync",
        }
    }

    fn command(self, port: u16, folder: &TempDir) -> Command {
        let path = |name: &str| folder.path().join(name);
        match self {
            Kind::AlcoveInMemory | Kind::AlcoveOnDisk => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_alcove"));
                command.args(["relay", "--listen", &format!("127.0.0.1:{port}"), "--requests-per-second", "1000000"]);
                command.args(["--mailbox-blobs", "65536", "--capacity-mib", "2048"]);
                if self == Kind::AlcoveOnDisk {
                    command.arg("--store").arg(path("store"));
                }
                command
            }
            Kind::Mosquitto => {
                let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nlog_dest none\n");
                fs::write(path("mosquitto.conf"), text).expect("a temporary folder");
                let mut command = Command::new("/usr/sbin/mosquitto");
                command.arg("-c").arg(path("mosquitto.conf"));
                command
            }
            Kind::Nats | Kind::JetStream => {
                let mut command = Command::new("/usr/sbin/nats-server");
                command.args(["-a", "127.0.0.1", "-p", &port.to_string()]);
                if self == Kind::JetStream {
                    command.arg("--jetstream").arg("-sd").arg(path("jetstream"));
                }
                command
            }
        }
    }
}

/// A running server. It ends with this value.
pub struct Service {
    kind: Kind,
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Service {
    /// `None`: it is not installed.
    pub fn start(kind: Kind) -> Option<Service> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("a free port");
        let mut command = kind.command(free.port(), &folder);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().ok()?;
        let service = Service { kind, child, address: free, _folder: folder };
        let began = Instant::now();
        while TcpStream::connect(free).is_err() {
            assert!(began.elapsed() < Duration::from_secs(20), "{} does not listen", kind.name());
            sleep(Duration::from_millis(20));
        }
        Some(service)
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Time on a core so far, of all its threads that live.
    pub fn cpu(&self) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("Linux");
        let on_core = |task: fs::DirEntry| -> Option<u64> {
            fs::read_to_string(task.path().join("schedstat")).ok()?.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(tasks.flatten().filter_map(on_core).sum())
    }

    /// The most memory that it held.
    pub fn memory_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _ended = self.child.wait();
    }
}
