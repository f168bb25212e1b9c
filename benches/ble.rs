//! How much of a Bluetooth link is used: `cargo bench --workspace --bench ble [-- RUNS]`.
//!
//! Two processes with the app's own Bluetooth stack stand on the simulated radio, whose links carry four packets of 244 bytes in each
//! connection event of 30 ms. One has 400 cells for the other: handed over at once, as the node does, and, for comparison, one in every
//! 25 ms, as others pace them. It fails if less than nine tenths of the link is used.

mod measure;

use alcove::proto::config::CELL_BYTES;
use alcove::proto::id::EphemeralId;
use alcove::proto::io::{Input, RadioCommand, RadioEvent};
use alcove::proto::time;
use alcove::proto::wire::advert::{Advert, Shower};
use alcove::shell::ble::{Ble, BleOptions};
use measure::{Times, head, machine, row, size};
use radio::{Facade, Options};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const CELLS: usize = 400;
const PACE: Duration = Duration::from_millis(25);
/// Four packets of 244 bytes in 30 ms.
const LINK_BYTES_PER_SECOND: u32 = 4 * CELL_BYTES as u32 * 1_000 / 30;
const SHARE_MIN: f64 = 0.9;
const SHOWN: Advert = Advert { shower: Shower::Attendee, id: EphemeralId([7; 6]), hint: [0; 3] };

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("peripheral") => stand(true),
        Some("central") => stand(false),
        _ => return measure_all(),
    }
    ExitCode::SUCCESS
}

fn measure_all() -> ExitCode {
    let runs = size(3);
    println!("ble, {runs} runs of {CELLS} cells, {}", machine());
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let facade = runtime.block_on(Facade::start(Options::default())).expect("the simulated radio: is dbus-daemon installed?");
    facade.set_bytes_per_second(LINK_BYTES_PER_SECOND);
    let [mut peripheral, mut central] =
        [("peripheral", 0), ("central", 1)].map(|(role, phone)| Process::start(role, &facade, phone));
    for process in [&mut peripheral, &mut central] {
        assert_eq!(process.line(), "up", "the link");
    }
    head(&["way", "handed over", "cells per second", "goodput", "share of the link"]);
    let mut is_held = true;
    for way in ["write without response", "notification"] {
        for pace in [Duration::ZERO, PACE] {
            let (from, to) = if way == "notification" { (&mut peripheral, &mut central) } else { (&mut central, &mut peripheral) };
            let mut times = Times::default();
            for _ in 0..runs {
                from.say(&pace.as_millis().to_string());
                times.add(Duration::from_micros(to.line().parse().expect("a time")));
            }
            let cells = (CELLS - 1) as f64 / times.median().as_secs_f64();
            let share = cells * CELL_BYTES as f64 / f64::from(LINK_BYTES_PER_SECOND);
            is_held &= !pace.is_zero() || share >= SHARE_MIN;
            let handed = if pace.is_zero() { "at once".into() } else { format!("one in {} ms", pace.as_millis()) };
            let goodput = format!("{:.1} kB/s", cells * CELL_BYTES as f64 / 1_000.0);
            row(&[way.into(), handed, format!("{cells:.0}"), goodput, format!("{share:.2}")]);
        }
    }
    runtime.block_on(facade.shutdown());
    if is_held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One of the two; it ends when its input does.
struct Process {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Process {
    fn start(role: &str, facade: &Facade, phone: usize) -> Process {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg(role).env("DBUS_SYSTEM_BUS_ADDRESS", facade.phone(phone).bus_address());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program starts");
        let lines = BufReader::new(child.stdout.take().expect("its output"));
        Process { child, lines }
    }

    fn say(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().expect("its input"), "{line}").expect("it listens");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("it speaks");
        line.trim_end().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Stands on its phone: opens the link, says "up", sends on each line of input, and says how many microseconds passed from the first
/// cell of each transfer to the last.
fn stand(is_shown: bool) {
    let (told, mut events) = mpsc::channel(64);
    let (ask, mut asked) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = ask.send(Duration::from_millis(line.parse().expect("milliseconds")));
        }
    });
    let ble = Ble::start(BleOptions { adapter: None, links: Arc::default() }, told);
    let (mut link, mut is_asked, mut began) = (None, false, Instant::now());
    // Without the greeting, by which the peripheral has its link.
    let mut received = if is_shown { -1 } else { 0 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("timers");
    runtime.block_on(async {
        loop {
            tokio::select! {
                pace = asked.recv() => {
                    let Some(pace) = pace else { break };
                    for _ in 0..CELLS {
                        ble.transmit(link.expect("a link"), vec![7; CELL_BYTES]);
                        if !pace.is_zero() {
                            tokio::time::sleep(pace).await;
                        }
                    }
                }
                event = events.recv() => match event.expect("it runs") {
                    Input::Radio(RadioEvent::On) if is_shown => {
                        ble.command(RadioCommand::Advertise { advert: SHOWN.to_bytes(), interval: time::Duration::from_millis(100) });
                    }
                    Input::Radio(RadioEvent::On) => ble.command(RadioCommand::Scan { duty_percent: 100 }),
                    Input::Radio(RadioEvent::Heard { .. }) if !is_shown && !is_asked => {
                        is_asked = true;
                        ble.command(RadioCommand::Connect { id: SHOWN.id });
                    }
                    Input::Radio(RadioEvent::OutOfReach { .. }) => is_asked = false,
                    Input::LinkUp { link: up, .. } => {
                        link = Some(up);
                        if !is_shown {
                            ble.command(RadioCommand::Scan { duty_percent: 1 });
                            ble.transmit(up, vec![7; CELL_BYTES]);
                        }
                        println!("up");
                    }
                    Input::Received { bytes, .. } => {
                        if received == 0 {
                            began = Instant::now();
                        }
                        received += (bytes.len() / CELL_BYTES) as isize;
                        if received == CELLS as isize {
                            println!("{}", began.elapsed().as_micros());
                            received = 0;
                        }
                    }
                    _ => {}
                },
            }
        }
        ble.shutdown().await;
    });
}
