//! A laptop within range of two people who talk by Bluetooth alone: it connects to both, and writes silence, noise, and values of every
//! length but ours, while honest traffic goes on.

use super::process::{Attendee, BINARY, make_event};
use super::resident::resident;
use super::{assert_goes_over, open_room};
use alcove::proto::config::CELL_BYTES;
use alcove::proto::rng::Rng;
use alcove::proto::wire::advert::SERVICE_UUID;
use futures_util::StreamExt;
use radio::{Facade, Options, Phone};
use serde_json::json;
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use zbus::connection::Builder;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};
use zbus::{Connection, MatchRule, Message, MessageStream, block_on, message};

const PATIENCE: Duration = Duration::from_secs(20);
/// What a stranger may cost, and what the system gives a program beside what it asks for.
const STRANGER_BYTES: usize = 64 * 1024;
const MARGIN_BYTES: usize = 2 * 1024 * 1024;
/// Who come one after another, say one cell, and go.
const HASTY: usize = 8;

#[test]
fn a_laptop_on_the_air_that_writes_nonsense_is_sent_away_and_the_talk_goes_on() {
    let runtime = Runtime::new().expect("threads");
    let options = Options { phones: 3, seed: 5, ..Options::default() };
    let facade = runtime.block_on(Facade::start(options)).expect("the simulated radio starts: is dbus-daemon installed?");
    let folder = tempfile::tempdir().expect("a temporary folder");
    make_event(folder.path(), "Beside a Laptop", "ws://127.0.0.1:9");
    let [mut heron, mut otter] = [(0, "heron"), (1, "otter")].map(|(phone, name)| enter(folder.path(), &facade.phone(phone), name));
    let talks = open_room(&mut heron, &mut otter, "Beside a laptop");
    for person in [&mut heron, &mut otter] {
        person.until_status("one neighbour", |status| status["neighbours"] == 1 && status["links"] == 1);
    }

    let laptop = Laptop::at(&facade.phone(2));
    let mut rng = Rng::new([13; 32]);
    let mut cell = || rng.bytes::<CELL_BYTES>().to_vec();
    let mut faults = 0;
    for (number, (what, values)) in [
        ("silence", vec![]),
        ("one cell", vec![cell()]),
        ("half a cell", vec![cell()[..CELL_BYTES / 2].to_vec()]),
        ("one byte", vec![vec![1]]),
        ("nothing at all", vec![vec![], vec![]]),
        ("a byte too many", vec![[cell(), vec![1]].concat()]),
        ("two cells in one", vec![[cell(), cell()].concat()]),
        ("noise", (0..100).map(|_| cell()).collect()),
    ]
    .into_iter()
    .enumerate()
    {
        let met = [0, 1].map(|phone| laptop.meet(&facade.phone(phone)));
        for characteristic in &met {
            values.iter().for_each(|value| laptop.write(characteristic, value));
        }
        let words = format!("{number}: {what}. ");
        if number % 2 == 0 {
            assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), &words);
        } else {
            assert_goes_over((&mut otter, &talks[1]), (&mut heron, &talks[0]), &words);
        }
        for person in [&mut heron, &mut otter] {
            let status = person.until_status("the stranger gone", |status| status["links"] == 1);
            assert_eq!(status["neighbours"], 1, "{what}: {status}");
            faults += status["faults"].as_u64().expect("a count");
        }
        [0, 1].into_iter().for_each(|phone| laptop.part(&facade.phone(phone)));
    }
    assert!(faults > 0, "control: the phones heard what was written");

    let before = [&heron, &otter].map(|person| resident(person.id()));
    for _ in 0..HASTY {
        for phone in [0, 1].map(|phone| facade.phone(phone)) {
            laptop.write(&laptop.meet(&phone), &cell());
            laptop.part(&phone);
        }
    }
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "After many. ");
    for (person, before) in [&mut heron, &mut otter].into_iter().zip(before) {
        person.until_status("all gone", |status| status["links"] == 1 && status["neighbours"] == 1);
        let cost = resident(person.id()).saturating_sub(before);
        assert!(cost <= HASTY * STRANGER_BYTES + MARGIN_BYTES, "{}: {HASTY} strangers left {cost} bytes", person.name());
    }
    runtime.block_on(facade.shutdown());
}

fn enter(folder: &Path, phone: &Phone, name: &str) -> Attendee {
    let mut command = Command::new(BINARY);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", phone.bus_address());
    let mut attendee = Attendee::run(command, &["--lan", "off", "--bluetooth", "on"], name, folder.join(name));
    attendee.ask(json!({ "do": "join-event", "file": folder.join("event.alcove") }));
    attendee.ask(json!({ "do": "offline", "transport": "relay" }));
    attendee
}

/// A program that speaks to BlueZ as it likes.
struct Laptop {
    bus: Connection,
    /// Its BlueZ told something: a phone was heard, or a connection changed.
    news: Receiver<()>,
}

type Objects = HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedValue>>>;

impl Laptop {
    fn at(phone: &Phone) -> Laptop {
        let bus = block_on(async { Builder::address(phone.bus_address().as_str())?.build().await }).expect("its bus");
        let rule = MatchRule::builder().msg_type(message::Type::Signal).build();
        let mut signals = block_on(MessageStream::for_match_rule(rule, &bus, None)).expect("what is told");
        let (told, news) = channel();
        std::thread::spawn(move || while block_on(signals.next()).is_some() && told.send(()).is_ok() {});
        let laptop = Laptop { bus, news };
        laptop.call("/org/bluez/hci0", "org.bluez.Adapter1", "StartDiscovery", &()).expect("it listens");
        laptop
    }

    /// Connects to a phone as soon as it is heard; gives the characteristic that centrals write to.
    fn meet(&self, phone: &Phone) -> OwnedObjectPath {
        let deadline = Instant::now() + PATIENCE;
        let device = self.device(phone);
        while Instant::now() < deadline {
            // Until it is heard, or while the last connection ends, the call is refused.
            if self.call(&device, "org.bluez.Device1", "Connect", &()).is_ok()
                && let Some(characteristic) = self.characteristic(&device)
            {
                return characteristic;
            }
            let _ = self.news.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        }
        panic!("{device} is not reached");
    }

    /// Writes without response; a value that its own system refuses is not sent.
    fn write(&self, characteristic: &OwnedObjectPath, value: &[u8]) {
        let options = HashMap::from([("type", Value::from("command"))]);
        let _ = self.call(characteristic.as_str(), "org.bluez.GattCharacteristic1", "WriteValue", &(value, options));
    }

    fn part(&self, phone: &Phone) {
        let _ = self.call(&self.device(phone), "org.bluez.Device1", "Disconnect", &());
    }

    fn device(&self, phone: &Phone) -> String {
        format!("/org/bluez/hci0/dev_{}", phone.address().to_string().replace(':', "_"))
    }

    fn characteristic(&self, device: &str) -> Option<OwnedObjectPath> {
        let uuid = uuid::Uuid::from_u128(SERVICE_UUID + 1).to_string();
        let reply = self.call("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", &()).ok()?;
        let objects: Objects = reply.body().deserialize().ok()?;
        let is_it = |interfaces: &HashMap<String, HashMap<String, OwnedValue>>| {
            let shown = interfaces.get("org.bluez.GattCharacteristic1").and_then(|all| all.get("UUID"));
            shown.is_some_and(|shown| shown.downcast_ref::<&str>() == Ok(uuid.as_str()))
        };
        objects.into_iter().find(|(path, all)| path.starts_with(device) && is_it(all)).map(|(path, _)| path)
    }

    fn call<B: serde::Serialize + zbus::zvariant::DynamicType>(
        &self,
        path: &str,
        interface: &str,
        member: &str,
        body: &B,
    ) -> zbus::Result<Message> {
        block_on(self.bus.call_method(Some("org.bluez"), path, Some(interface), member, body))
    }
}
