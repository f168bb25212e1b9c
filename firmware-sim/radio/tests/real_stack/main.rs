//! The real btleplug and bluer meet over the facade: each plays a phone in a process of its own.
//!
//! Laws: every wait has a deadline; all stories together take less than 30 seconds. A role is a program that reads
//! commands from stdin and tells what happens on stdout, see `peripheral` and `central`.

mod central;
mod peripheral;

use std::collections::VecDeque;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use radio::{Facade, Kind, Options};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{timeout, timeout_at};

/// Longer than anything here takes, also on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(8);
/// A story waits several times, and all must end.
const STORY_MAX: Duration = Duration::from_secs(20);

/// Service and characteristics of the stories.
const SERVICE: u128 = 0x6e40_0001_b5a3_f393_e0a9_e50e_24dc_ca9e;
const RX: u128 = 0x6e40_0002_b5a3_f393_e0a9_e50e_24dc_ca9e;
const TX: u128 = 0x6e40_0003_b5a3_f393_e0a9_e50e_24dc_ca9e;

type Story = (&'static str, fn() -> futures_util::future::BoxFuture<'static, ()>);

const STORIES: [Story; 10] = [
    ("ten_bytes_are_found_and_eleven_are_refused", || Box::pin(ten_bytes_are_found_and_eleven_are_refused())),
    ("a_talk_arrives_whole_and_in_order", || Box::pin(a_talk_arrives_whole_and_in_order())),
    ("over_several_bearers_values_overtake_each_other_and_all_arrive", || Box::pin(over_several_bearers_values_overtake())),
    ("a_value_too_long_for_the_link_is_refused_or_cut", || Box::pin(a_value_too_long_for_the_link_is_refused_or_cut())),
    ("a_new_registration_has_a_new_address_unless_told_not_to", || Box::pin(a_new_registration_has_a_new_address())),
    ("out_of_range_ends_the_link_on_both_sides", || Box::pin(out_of_range_ends_the_link_on_both_sides())),
    ("what_is_sent_before_start_notify_is_lost", || Box::pin(what_is_sent_before_start_notify_is_lost())),
    ("two_phones_play_both_roles_at_once", || Box::pin(two_phones_play_both_roles_at_once())),
    ("an_adapter_that_was_pulled_out_comes_back_empty", || Box::pin(an_adapter_that_was_pulled_out_comes_back_empty())),
    ("a_dead_program_falls_silent", || Box::pin(a_dead_program_falls_silent())),
];

fn main() -> ExitCode {
    let several = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    match std::env::var("RADIO_ROLE").as_deref() {
        // bluer answers each D-Bus call in a task of its own: on several threads, writes without response that come
        // close together reach the callback in any order.
        Ok("peripheral") => {
            let one = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            one.block_on(peripheral::play());
        }
        Ok("central") => several().block_on(central::play()),
        _ => return tell_stories(&several()),
    }
    // A pending read of stdin would hold the runtime's shutdown.
    std::process::exit(0)
}

fn tell_stories(runtime: &tokio::runtime::Runtime) -> ExitCode {
    let filter: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut failed = 0;
    for (name, story) in STORIES.into_iter().filter(|(name, _)| filter.is_empty() || filter.iter().any(|part| name.contains(part)))
    {
        let begin = Instant::now();
        let ok = runtime.block_on(async { tokio::spawn(timeout(STORY_MAX, story())).await.is_ok_and(|told| told.is_ok()) });
        println!("test {name} ... {} ({} ms)", if ok { "ok" } else { "FAILED" }, begin.elapsed().as_millis());
        failed += usize::from(!ok);
    }
    println!("\ntest result: {}. {failed} failed", if failed == 0 { "ok" } else { "FAILED" });
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A program of one phone.
struct Actor {
    role: &'static str,
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// What it said and nobody has waited for yet.
    unheard: VecDeque<String>,
}

impl Actor {
    async fn start(role: &'static str, phone: &radio::Phone) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        command.env("RUST_BACKTRACE", "0").env("RADIO_ROLE", role).env("DBUS_SYSTEM_BUS_ADDRESS", phone.bus_address());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().expect("ourselves");
        let stdin = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut actor = Self { role, child, stdin, lines, unheard: VecDeque::new() };
        actor.hear("ready").await;
        actor
    }

    async fn tell(&mut self, command: &str) {
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.expect("the program lives");
    }

    /// Waits for a line that begins so, and answers what follows. Other lines wait for who asks for them.
    async fn hear(&mut self, what: &str) -> String {
        let fits = |line: &str| Some(line.strip_prefix(what)?.trim_start().to_owned());
        if let Some(place) = self.unheard.iter().position(|line| fits(line).is_some()) {
            return self.unheard.remove(place).and_then(|line| fits(&line)).unwrap_or_default();
        }
        let until = tokio::time::Instant::now() + DEADLINE;
        while let Ok(Ok(Some(line))) = timeout_at(until, self.lines.next_line()).await {
            match fits(&line) {
                Some(rest) => return rest,
                None => self.unheard.push_back(line),
            }
        }
        panic!("{} never said {what:?}, but {:?}", self.role, self.unheard);
    }

    async fn ask(&mut self, command: &str, what: &str) -> String {
        self.tell(command).await;
        self.hear(what).await
    }

    /// Waits until an advertisement with these bytes is found, and answers its address.
    async fn find(&mut self, data: &str) -> String {
        loop {
            let found = self.hear("found").await;
            if let Some(address) = found.strip_suffix(data) {
                return address.trim().to_owned();
            }
        }
    }
}

/// Two phones next to each other: a peripheral on the first, a central on the second.
async fn pair() -> (Facade, Actor, Actor) {
    let facade = Facade::start(Options { phones: 2, seed: 7, ..Default::default() }).await.expect("dbus-daemon");
    let peripheral = Actor::start("peripheral", &facade.phone(0)).await;
    let central = Actor::start("central", &facade.phone(1)).await;
    (facade, peripheral, central)
}

/// The pair, connected and subscribed.
async fn connected_pair() -> (Facade, Actor, Actor) {
    let (facade, mut peripheral, mut central) = pair().await;
    peripheral.ask("advertise 0102", "advertising").await;
    central.tell("scan").await;
    let address = central.find("0102").await;
    assert_eq!(central.ask(&format!("connect {address}"), "connected").await, "517");
    central.ask("subscribe", "subscribed").await;
    peripheral.hear("subscriber").await;
    (facade, peripheral, central)
}

async fn ten_bytes_are_found_and_eleven_are_refused() {
    let (facade, mut peripheral, mut central) = pair().await;
    let refusal = peripheral.ask("advertise 000102030405060708090a", "refused").await;
    assert!(refusal.contains("Failed to register advertisement"), "{refusal}");
    let refusal = peripheral.ask(&format!("advertise {}", "00".repeat(16)), "refused").await;
    assert!(refusal.contains("Failed to parse advertisement."), "{refusal}");
    peripheral.ask("advertise 00010203040506070809", "advertising").await;
    central.tell("scan").await;
    let address = central.find("00010203040506070809").await;
    assert_eq!(address, facade.phone(0).address().to_string());
    assert!((-80..-40).contains(&central.hear("rssi").await.parse::<i32>().expect("a number")));
    let sent = facade.capture().into_iter().find(|record| record.kind == Kind::Advert).expect("an advert");
    assert_eq!((sent.bytes.len(), sent.sender.to_string()), (31, address));
    facade.shutdown().await;
}

async fn a_talk_arrives_whole_and_in_order() {
    let (facade, mut peripheral, mut central) = connected_pair().await;
    let took_ms: f64 = central.ask("flood 100 244", "flooded").await.parse().expect("a number");
    for n in 0..100_u32 {
        assert_eq!(peripheral.hear("wrote").await, format!("244 {n:08x}"));
    }
    for n in 0..100_u32 {
        assert_eq!(central.hear("notified").await, format!("{n:08x}"));
    }
    // 24,400 bytes at four packets of 244 in 30 ms, less the one event that the controller buffers.
    assert!(took_ms >= 700.0, "the link was faster than its rate: {took_ms} ms");
    central.ask("write 512", "written").await;
    assert_eq!(peripheral.hear("wrote").await, "512 00000000");
    assert_eq!(central.ask("read", "value").await, "2a");
    central.ask("unsubscribe", "unsubscribed").await;
    peripheral.hear("unsubscriber").await;
    central.ask("disconnect", "disconnected").await;
    let capture = facade.capture();
    let count = |kind| capture.iter().filter(|record| record.kind == kind).count();
    assert_eq!((count(Kind::WriteCommand), count(Kind::Write), count(Kind::Notify)), (100, 1, 101));
    assert_eq!((count(Kind::Connect), count(Kind::Disconnect)), (1, 1));
    facade.shutdown().await;
}

async fn over_several_bearers_values_overtake() {
    let (facade, mut peripheral, mut central) = connected_pair().await;
    facade.set_bearers(5);
    central.ask("flood 100 244", "flooded").await;
    let (mut written, mut notified) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        written.push(peripheral.hear("wrote 244").await);
        notified.push(central.hear("notified").await);
    }
    let sent: Vec<String> = (0..100_u32).map(|n| format!("{n:08x}")).collect();
    for mut arrived in [written, notified] {
        let number = |value: &String| usize::from_str_radix(value, 16).expect("hex");
        let places = arrived.iter().enumerate().map(|(at, value)| at.abs_diff(number(value)));
        assert!((1..20).contains(&places.max().unwrap_or_default()), "{arrived:?}");
        arrived.sort();
        assert_eq!(arrived, sent);
    }
    facade.shutdown().await;
}

async fn a_value_too_long_for_the_link_is_refused_or_cut() {
    let (facade, mut peripheral, mut central) = connected_pair().await;
    central.ask("flood 1 514", "flooded").await;
    peripheral.hear("wrote").await;
    let refusal = central.ask("flood 1 515", "failed").await;
    assert!(refusal.contains("Failed to initiate write"), "{refusal}");
    peripheral.tell("notify 600").await;
    central.hear("notified 00000000").await;
    central.hear("length 514").await;
    facade.shutdown().await;
}

async fn a_new_registration_has_a_new_address() {
    let (facade, mut peripheral, mut central) = pair().await;
    central.tell("scan").await;
    let mut addresses = Vec::new();
    for data in ["01", "02", "03", "04"] {
        if data == "03" {
            facade.set_rotates_address(false);
        }
        peripheral.ask("silent", "silent").await;
        peripheral.ask(&format!("advertise {data}"), "advertising").await;
        addresses.push(central.find(data).await);
    }
    assert_ne!(addresses[0], addresses[1]);
    assert_eq!(addresses[1], addresses[2]);
    assert_eq!(addresses[2], addresses[3]);
    facade.shutdown().await;
}

async fn out_of_range_ends_the_link_on_both_sides() {
    let (facade, mut peripheral, mut central) = connected_pair().await;
    facade.phone(1).place(500.0, 0.0);
    central.hear("gone").await;
    peripheral.hear("unsubscriber").await;
    assert_eq!(central.ask("state", "state").await, "false");
    facade.set_connect_timeout(Duration::from_millis(300));
    let refusal = central.ask("reconnect", "failed").await;
    assert!(refusal.contains("le-connection-abort-by-local"), "{refusal}");
    facade.phone(1).place(2.0, 0.0);
    central.ask("reconnect", "connected").await;
    facade.shutdown().await;
}

async fn what_is_sent_before_start_notify_is_lost() {
    let (facade, mut peripheral, mut central) = pair().await;
    facade.set_start_notify_delay(Duration::from_millis(400));
    peripheral.ask("advertise 0102", "advertising").await;
    central.tell("scan").await;
    let address = central.find("0102").await;
    central.ask(&format!("connect {address}"), "connected").await;
    central.ask("subscribe", "subscribed").await;
    central.ask("flood 1 4", "flooded").await;
    peripheral.hear("nobody").await;
    peripheral.hear("subscriber").await;
    peripheral.tell("notify 5").await;
    central.hear("notified 00000000").await;
    assert_eq!(central.hear("length").await, "5"); // not 4: that echo is lost
    facade.shutdown().await;
}

async fn two_phones_play_both_roles_at_once() {
    let facade = Facade::start(Options { phones: 3, seed: 1, ..Default::default() }).await.expect("dbus-daemon");
    let mut peripherals = Vec::new();
    let mut centrals = Vec::new();
    for (number, phone) in facade.phones().enumerate() {
        let mut peripheral = Actor::start("peripheral", &phone).await;
        peripheral.ask(&format!("advertise 0{number}"), "advertising").await;
        peripherals.push(peripheral);
        centrals.push(Actor::start("central", &phone).await);
    }
    // A ring: each phone connects to the next one, so each has two connections.
    for (number, central) in centrals.iter_mut().enumerate() {
        central.tell("scan").await;
        let address = central.find(&format!("0{}", (number + 1) % 3)).await;
        central.ask(&format!("connect {address}"), "connected").await;
        central.ask("subscribe", "subscribed").await;
    }
    for central in &mut centrals {
        central.ask("flood 10 100", "flooded").await;
    }
    for (central, peripheral) in centrals.iter_mut().zip(&mut peripherals) {
        for n in 0..10_u32 {
            assert_eq!(central.hear("notified").await, format!("{n:08x}"));
            peripheral.hear("wrote").await;
        }
    }
    // The peripheral of phone 1 ends the connection that phone 0 opened.
    peripherals[1].ask("hang up", "hung up").await;
    centrals[0].hear("gone").await;
    facade.shutdown().await;
}

async fn an_adapter_that_was_pulled_out_comes_back_empty() {
    let (facade, mut peripheral, mut central) = connected_pair().await;
    facade.phone(0).set_present(false);
    central.hear("gone").await;
    facade.phone(0).set_present(true);
    let before = facade.capture().len();
    peripheral.ask("advertise 09", "advertising").await;
    central.find("09").await;
    assert!(facade.capture().len() > before);
    facade.phone(0).set_powered(false);
    let refusal = peripheral.ask("advertise 0a", "refused").await;
    assert!(refusal.contains("Failed to register advertisement"), "{refusal}");
    facade.shutdown().await;
}

async fn a_dead_program_falls_silent() {
    let (facade, mut peripheral, mut central) = pair().await;
    peripheral.ask("advertise 0102", "advertising").await;
    central.tell("scan").await;
    central.find("0102").await;
    peripheral.child.kill().await.expect("it lived");
    let quiet = async {
        loop {
            let before = facade.capture().len();
            tokio::time::sleep(Duration::from_millis(300)).await;
            if facade.capture().len() == before {
                return;
            }
        }
    };
    timeout(DEADLINE, quiet).await.expect("silence");
    facade.shutdown().await;
}

/// Reads commands line by line from a thread: tokio's stdin would hold the end of the program.
fn commands() -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    told
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
