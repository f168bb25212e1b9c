//! All phones and the air between them, as one state machine: messages and times go in, messages come out.
//!
//! Laws: no I/O and no clock; whatever happens leaves through `out`, in order. This file only routes:
//! `scan` finds devices, `connection` joins them, `client` and `server` are the two sides of GATT.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;
use zbus::Message;
use zbus::message::Type;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::address::Address;
use super::capture::Capture;
use super::client::Pdu;
use super::gatt;
use super::link::{self, Link};
use super::phone::Phone;
use super::server::Asked;
use super::wire::{self, ADAPTER_PATH, Call, Interfaces, Properties, Refusal};
use crate::air::{Air, Event, LinkId, PhoneId};

/// Forgetting is checked this often.
const SWEEP_US: u64 = 1_000_000;

pub(crate) struct World {
    pub(crate) now_us: u64,
    pub(crate) settings: Settings,
    pub(crate) air: Air,
    pub(crate) rng: ChaCha8Rng,
    pub(crate) phones: Vec<Phone>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    pub(crate) capture: Capture,
    /// What applications were asked and have not answered: by phone and the serial of our call.
    pub(crate) asked: BTreeMap<(PhoneId, u32), Asked>,
    timers: BTreeMap<(u64, u64), Timer>,
    next_timer: u64,
    out: VecDeque<(PhoneId, Message)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) mtu: u16,
    pub(crate) bytes_per_second: u32,
    pub(crate) bearers: u32,
    pub(crate) rotates_address: bool,
    pub(crate) start_notify_delay_us: u64,
    pub(crate) disconnect_delay_us: u64,
    pub(crate) connect_timeout_us: u64,
    pub(crate) advertising_interval_us: u64,
}

#[derive(Debug)]
pub(crate) enum Timer {
    Sweep,
    /// A Connect has waited long enough.
    ConnectTimeout {
        phone: PhoneId,
        address: Address,
        call: Call,
    },
    /// Service discovery over a fresh link is done.
    Resolve {
        link: LinkId,
    },
    /// What was on its way has arrived.
    Close {
        link: LinkId,
        phone: PhoneId,
        call: Call,
    },
    /// The application hears of its first subscriber.
    StartNotify {
        phone: PhoneId,
        handle: u16,
    },
    /// The controller has taken a write without response.
    Taken {
        link: LinkId,
        phone: PhoneId,
        call: Call,
    },
    /// A packet is at the other end; `from` is the sender's end of the link.
    Arrive {
        link: LinkId,
        from: usize,
        pdu: Pdu,
    },
}

/// How a method call is answered.
pub(crate) enum Answer {
    Now(Option<Message>),
    /// Something later will reply: a timer or an application.
    Later,
}

impl World {
    pub(crate) fn new(seed: u64, phones: usize, near_m: f64, settings: Settings) -> Self {
        // The air draws from the seed itself; the addresses must not follow its draws.
        let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_add(0x5eed));
        let mut air = Air::new(seed);
        let phones: Vec<Phone> = (0..phones)
            .map(|number| {
                air.add_phone(number as f64 * near_m, 0.0);
                Phone::new(number, Address::random(&mut rng), Address::random(&mut rng))
            })
            .collect();
        let mut world = Self {
            now_us: 0,
            settings,
            air,
            rng,
            phones,
            links: BTreeMap::new(),
            capture: Capture::default(),
            asked: BTreeMap::new(),
            timers: BTreeMap::new(),
            next_timer: 0,
            out: VecDeque::new(),
        };
        world.after(SWEEP_US, Timer::Sweep);
        world
    }

    /// A message came in over a phone's bus.
    pub(crate) fn handle_message(&mut self, now_us: u64, phone: PhoneId, message: &Message) {
        self.now_us = now_us;
        match message.message_type() {
            Type::MethodCall => {
                let Some(call) = Call::read(message) else { return };
                match self.answer(phone, &call) {
                    Ok(Answer::Now(reply)) => self.send(phone, reply),
                    Ok(Answer::Later) => {}
                    Err(refusal) => self.refuse(phone, &call, &refusal),
                }
            }
            Type::MethodReturn | Type::Error => self.handle_answer(phone, message),
            Type::Signal => self.handle_signal(phone, message),
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        let timer = self.timers.keys().next().map(|(at, _)| *at);
        timer.into_iter().chain(self.air.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, now_us: u64) {
        self.now_us = now_us;
        while let Some(entry) = self.timers.first_entry().filter(|entry| entry.key().0 <= now_us) {
            let timer = entry.remove();
            self.handle_timer(timer);
        }
        for event in self.air.handle_timeout(now_us) {
            match event {
                Event::Advert { advert, phone, heard } => self.advertised(advert, phone, &heard),
                Event::LinkLost { link } => self.end_link(link, None),
            }
        }
    }

    fn handle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Sweep => {
                self.forget_stale_devices();
                self.after(SWEEP_US, Timer::Sweep);
            }
            Timer::ConnectTimeout { phone, address, call } => self.give_up_connecting(phone, address, Some(&call)),
            Timer::Resolve { link } => self.resolve(link),
            Timer::Close { link, phone, call } => {
                self.end_link(link, Some(phone));
                self.send(phone, call.reply(&()));
            }
            Timer::StartNotify { phone, handle } => self.start_notify(phone, handle),
            Timer::Taken { link, phone, call } => match self.links.contains_key(&link) {
                true => self.send(phone, call.reply(&())),
                false => self.refuse(phone, &call, &Refusal::not_connected()),
            },
            Timer::Arrive { link, from, pdu } => self.arrive(link, from, pdu),
        }
    }

    /// What is to be sent, oldest first: the phone whose bus it goes to, and the message.
    pub(crate) fn take_out(&mut self) -> VecDeque<(PhoneId, Message)> {
        std::mem::take(&mut self.out)
    }

    pub(crate) fn send(&mut self, phone: PhoneId, message: Option<Message>) {
        self.out.extend(message.map(|message| (phone, message)));
    }

    pub(crate) fn refuse(&mut self, phone: PhoneId, call: &Call, refusal: &Refusal) {
        self.send(phone, call.refuse(refusal));
    }

    pub(crate) fn after(&mut self, delay_us: u64, timer: Timer) {
        self.at(self.now_us + delay_us, timer);
    }

    pub(crate) fn at(&mut self, at_us: u64, timer: Timer) {
        self.next_timer += 1;
        self.timers.insert((at_us, self.next_timer), timer);
    }

    /// Bytes per second of one direction: lost packets are sent again.
    pub(crate) fn bytes_per_second(&self) -> u32 {
        let arrives = 100 - u64::from(self.air.loss_percent().min(99));
        (u64::from(self.settings.bytes_per_second) * arrives / 100).max(1) as u32
    }

    fn answer(&mut self, phone: PhoneId, call: &Call) -> Result<Answer, Refusal> {
        match (call.interface.as_str(), call.member.as_str()) {
            ("org.freedesktop.DBus.Peer", "Ping") => Ok(Answer::Now(call.reply(&()))),
            (wire::INTROSPECTABLE | "", "Introspect") => Ok(Answer::Now(call.reply(&self.introspect(phone, &call.path)))),
            (wire::OBJECT_MANAGER | "", "GetManagedObjects") if call.path == "/" => {
                let objects = self.objects(phone).into_iter();
                let objects = objects.filter_map(|(path, all)| Some((OwnedObjectPath::try_from(path).ok()?, all)));
                Ok(Answer::Now(call.reply(&objects.collect::<HashMap<_, _>>())))
            }
            (wire::PROPERTIES, _) => self.property_call(phone, call),
            _ => {
                let interfaces = self.interfaces(phone, &call.path).ok_or_else(|| Refusal::unknown_object(&call.path))?;
                match call.interface.as_str() {
                    own if !interfaces.contains_key(own) => Err(Refusal::unknown_method(call)),
                    wire::ADAPTER => self.adapter_call(phone, call),
                    wire::ADVERTISING_MANAGER => self.advertising_call(phone, call),
                    wire::GATT_MANAGER => self.gatt_manager_call(phone, call),
                    wire::DEVICE => self.device_call(phone, call),
                    wire::CHARACTERISTIC | wire::DESCRIPTOR => self.attribute_call(phone, call),
                    _ => Err(Refusal::unknown_method(call)),
                }
            }
        }
    }

    fn property_call(&mut self, phone: PhoneId, call: &Call) -> Result<Answer, Refusal> {
        let interfaces = self.interfaces(phone, &call.path).ok_or_else(|| Refusal::unknown_object(&call.path))?;
        let of = |name: &str| {
            let text = format!("No such interface '{name}'");
            let found = interfaces.iter().find(|(own, _)| **own == name);
            found.map(|(_, properties)| properties).ok_or_else(|| Refusal::new("org.freedesktop.DBus.Error.InvalidArgs", &text))
        };
        match call.member.as_str() {
            "GetAll" => Ok(Answer::Now(call.reply(of(&call.arguments::<String>()?)?))),
            "Get" => {
                let (interface, name) = call.arguments::<(String, String)>()?;
                let value = of(&interface)?.get(name.as_str()).ok_or_else(|| Refusal::no_such_property(&name))?;
                Ok(Answer::Now(call.reply(value)))
            }
            "Set" => {
                let (interface, name, value) = call.arguments::<(String, String, OwnedValue)>()?;
                of(&interface)?.get(name.as_str()).ok_or_else(|| Refusal::no_such_property(&name))?;
                self.set_property(phone, &interface, &name, &value)?;
                Ok(Answer::Now(call.reply(&())))
            }
            _ => Err(Refusal::unknown_method(call)),
        }
    }

    fn set_property(&mut self, phone: PhoneId, interface: &str, name: &str, value: &OwnedValue) -> Result<(), Refusal> {
        let flag = || bool::try_from(&**value).map_err(|_| Refusal::invalid_arguments());
        match (interface, name) {
            (wire::ADAPTER, "Powered") => self.set_powered(phone, flag()?),
            (wire::ADAPTER, "Alias") => {
                self.phones[phone].alias = wire::text(value).ok_or_else(Refusal::invalid_arguments)?;
                self.adapter_changed(phone, &["Alias", "Name"]);
            }
            // Neither classic discovery nor pairing exists here: these may be set and do nothing.
            (wire::ADAPTER, "Discoverable" | "DiscoverableTimeout" | "Pairable" | "PairableTimeout") => {}
            (wire::DEVICE, "Trusted" | "Blocked" | "Alias") => {}
            _ => return Err(Refusal::new("org.freedesktop.DBus.Error.PropertyReadOnly", "Property is read-only")),
        }
        Ok(())
    }

    /// Tells the current values of some properties of the adapter.
    pub(crate) fn adapter_changed(&mut self, phone: PhoneId, names: &[&str]) {
        for (interface, mut properties) in self.phones[phone].adapter_objects() {
            properties.retain(|name, _| names.contains(name));
            self.changed(phone, ADAPTER_PATH, interface, &properties);
        }
    }

    pub(crate) fn changed(&mut self, phone: PhoneId, path: &str, interface: &str, properties: &Properties) {
        if !properties.is_empty() && self.phones[phone].present {
            self.send(phone, wire::properties_changed(path, interface, properties, &[]));
        }
    }

    /// Everything on a phone's bus.
    pub(crate) fn objects(&self, phone: PhoneId) -> BTreeMap<String, Interfaces> {
        let own = &self.phones[phone];
        let mut objects = BTreeMap::new();
        if own.present {
            objects.insert(ADAPTER_PATH.to_owned(), own.adapter_objects());
        }
        for device in own.devices.values() {
            objects.insert(device.address.path(), device.interfaces());
            objects.extend(self.attributes(phone, device.address));
        }
        objects
    }

    /// The objects of the GATT services that a device offers over its connection.
    pub(crate) fn attributes(&self, phone: PhoneId, address: Address) -> BTreeMap<String, Interfaces> {
        let device = self.phones[phone].devices.get(&address).filter(|device| device.services_resolved);
        let link = device.and_then(|device| self.links.get(&device.link?));
        let (Some(device), Some(link)) = (device, link) else { return BTreeMap::new() };
        let services = self.phones[link.peer_of(phone).phone].database.services();
        gatt::objects(services, &address.path(), link.mtu, &device.notifying)
    }

    fn interfaces(&self, phone: PhoneId, path: &str) -> Option<Interfaces> {
        if path == ADAPTER_PATH {
            return self.phones[phone].present.then(|| self.phones[phone].adapter_objects());
        }
        let (address, below) = Address::from_path(path)?;
        match below {
            "" => self.phones[phone].devices.get(&address).map(|device| device.interfaces()),
            _ => self.attributes(phone, address).remove(path),
        }
    }

    /// The XML of one node: its interfaces and the names of its children.
    fn introspect(&self, phone: PhoneId, path: &str) -> String {
        let objects = self.objects(phone);
        let prefix = if path == "/" { "/".to_owned() } else { format!("{path}/") };
        let mut children: Vec<&str> = objects.keys().filter_map(|own| own.strip_prefix(&prefix)?.split('/').next()).collect();
        children.dedup();
        let mut interfaces: Vec<&str> = vec![wire::INTROSPECTABLE];
        match path {
            "/" => interfaces.push(wire::OBJECT_MANAGER),
            _ => interfaces.push(wire::PROPERTIES),
        }
        interfaces.extend(objects.get(path).into_iter().flat_map(|all| all.keys().copied()));
        let interfaces = interfaces.into_iter().map(|name| format!("<interface name=\"{name}\"></interface>"));
        let children = children.into_iter().map(|name| format!("<node name=\"{name}\"/>"));
        format!("<node>{}{}</node>", interfaces.collect::<String>(), children.collect::<String>())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mtu: 517,
            bytes_per_second: link::BYTES_PER_SECOND,
            bearers: 1,
            rotates_address: true,
            start_notify_delay_us: 0,
            disconnect_delay_us: 0,
            connect_timeout_us: 20_000_000,     // the kernel's LE connection timeout
            advertising_interval_us: 1_280_000, // the kernel's default, when the advertisement names none
        }
    }
}
