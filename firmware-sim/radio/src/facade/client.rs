//! The client side of GATT: what a program may do with a peer's attributes, and what crosses the link for it.
//!
//! Laws: a value longer than MTU - 3 is never sent without response; a write without response is answered when the
//! controller has taken it, a request when the peer has; every call is answered, also when the link ends.

use rand_core::RngCore;
use zbus::zvariant::Value;

use super::Answer;
use super::address::Address;
use super::capture::Kind;
use super::gatt::Attribute;
use super::link::Slot;
use super::wire::{self, CHARACTERISTIC, Call, Options, Properties, Refusal};
use super::world::{Timer, World};
use crate::air::{LinkId, PhoneId};

/// Longest attribute value (Core Vol 3 Part F 3.2.9); a longer one than MTU - 3 takes several packets.
const VALUE_MAX: usize = 512;

/// A program's call that waits for what comes back over the link.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) phone: PhoneId,
    pub(crate) call: Call,
}

/// What one end sends to the other.
#[derive(Debug)]
pub(crate) enum Pdu {
    Write { attribute: Attribute, value: Vec<u8>, request: Option<Waiting> },
    Read { attribute: Attribute, offset: u16, waiting: Waiting },
    Subscribe { handle: u16, on: bool, waiting: Waiting },
    WriteResponse { waiting: Waiting, result: Result<(), Refusal> },
    ReadResponse { attribute: Attribute, waiting: Waiting, result: Result<Vec<u8>, Refusal> },
    Subscribed { handle: u16, on: bool, waiting: Waiting },
    Notify { handle: u16, value: Vec<u8> },
}

impl Pdu {
    /// Payload bytes; the few of an answer without a value count as none.
    fn len(&self) -> usize {
        match self {
            Self::Write { value, .. } | Self::Notify { value, .. } => value.len(),
            Self::ReadResponse { result: Ok(value), .. } => value.len(),
            Self::Read { .. } | Self::Subscribe { .. } | Self::WriteResponse { .. } => 0,
            Self::ReadResponse { .. } | Self::Subscribed { .. } => 0,
        }
    }

    /// The other end waits for it, so there are never more of these than of its questions.
    fn is_answer(&self) -> bool {
        matches!(self, Self::WriteResponse { .. } | Self::ReadResponse { .. } | Self::Subscribed { .. })
    }

    /// Nobody waits for an answer, so that the next may go over another bearer at once.
    fn is_unanswered(&self) -> bool {
        matches!(self, Self::Write { request: None, .. } | Self::Notify { .. })
    }

    fn into_waiting(self) -> Option<Waiting> {
        match self {
            Self::Write { request, .. } => request,
            Self::Read { waiting, .. } | Self::Subscribe { waiting, .. } => Some(waiting),
            Self::WriteResponse { waiting, .. } | Self::ReadResponse { waiting, .. } => Some(waiting),
            Self::Subscribed { waiting, .. } => Some(waiting),
            Self::Notify { .. } => None,
        }
    }

    fn kind(&self) -> Option<Kind> {
        match self {
            Self::Write { request: Some(_), .. } => Some(Kind::Write),
            Self::Write { request: None, .. } => Some(Kind::WriteCommand),
            Self::ReadResponse { .. } => Some(Kind::Read),
            Self::Notify { .. } => Some(Kind::Notify),
            Self::Read { .. } | Self::Subscribe { .. } | Self::WriteResponse { .. } | Self::Subscribed { .. } => None,
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Write { value, .. } | Self::Notify { value, .. } => value,
            Self::ReadResponse { result: Ok(value), .. } => value,
            _ => &[],
        }
    }
}

impl World {
    pub(crate) fn attribute_call(&mut self, phone: PhoneId, call: &Call) -> Result<Answer, Refusal> {
        let (address, below) = Address::from_path(&call.path).ok_or_else(Refusal::does_not_exist)?;
        let attribute = Attribute::from_path(below).ok_or_else(Refusal::does_not_exist)?;
        let link = self.phones[phone].devices.get(&address).and_then(|device| device.link);
        let link = link.filter(|link| self.links.get(link).is_some_and(|state| !state.closing));
        let link = link.ok_or_else(Refusal::not_connected)?;
        let waiting = Waiting { phone, call: call.clone() };
        match (call.member.as_str(), attribute) {
            ("ReadValue", _) => {
                let options = call.arguments::<Options>()?;
                if matches!(attribute, Attribute::Characteristic(_)) && !self.remote_may(phone, link, attribute, "read") {
                    return Err(Refusal::not_permitted("Read not permitted"));
                }
                self.transmit(phone, link, Pdu::Read { attribute, offset: offset(&options), waiting })?;
            }
            ("WriteValue", _) => return self.write(phone, link, attribute, waiting),
            ("StartNotify", Attribute::Characteristic(handle)) => return self.subscribe(phone, address, link, handle, waiting),
            ("StopNotify", Attribute::Characteristic(handle)) => return self.unsubscribe(phone, address, link, handle, waiting),
            ("AcquireWrite" | "AcquireNotify", _) => return Err(Refusal::not_supported()),
            _ => return Err(Refusal::unknown_method(call)),
        }
        Ok(Answer::Later)
    }

    fn write(&mut self, phone: PhoneId, link: LinkId, attribute: Attribute, waiting: Waiting) -> Result<Answer, Refusal> {
        let (value, options) = waiting.call.arguments::<(Vec<u8>, Options)>()?;
        let kind = options.get("type").and_then(|value| wire::text(value));
        let writes = matches!(attribute, Attribute::Descriptor(_)) || self.remote_may(phone, link, attribute, "write");
        let commands = self.remote_may(phone, link, attribute, "write-without-response");
        let as_command = match kind.as_deref() {
            Some("command") if commands => true,
            Some("request" | "reliable") if writes => false,
            None if writes || commands => !writes,
            _ => return Err(Refusal::not_supported()),
        };
        if !as_command {
            if value.len() > VALUE_MAX {
                return Err(Refusal::failed("Operation failed with ATT error: 0x0d")); // Invalid Attribute Value Length
            }
            self.transmit(phone, link, Pdu::Write { attribute, value, request: Some(waiting) })?;
            return Ok(Answer::Later);
        }
        if self.links.get(&link).is_none_or(|state| value.len() > state.value_max()) {
            return Err(Refusal::failed("Failed to initiate write"));
        }
        let slot = self.transmit(phone, link, Pdu::Write { attribute, value, request: None })?;
        self.at(slot.taken_us, Timer::Taken { link, phone, call: waiting.call });
        Ok(Answer::Later)
    }

    fn subscribe(
        &mut self,
        phone: PhoneId,
        address: Address,
        link: LinkId,
        handle: u16,
        waiting: Waiting,
    ) -> Result<Answer, Refusal> {
        let attribute = Attribute::Characteristic(handle);
        if !self.remote_may(phone, link, attribute, "notify") && !self.remote_may(phone, link, attribute, "indicate") {
            return Err(Refusal::not_supported());
        }
        let Some(device) = self.phones[phone].devices.get_mut(&address) else { return Err(Refusal::not_connected()) };
        let clients = device.notifying.entry(handle).or_default();
        clients.insert(waiting.call.sender.clone());
        if clients.len() > 1 {
            return Ok(Answer::Now(waiting.call.reply(&())));
        }
        let sent = self.transmit(phone, link, Pdu::Subscribe { handle, on: true, waiting });
        if let (Err(_), Some(device)) = (&sent, self.phones[phone].devices.get_mut(&address)) {
            device.notifying.remove(&handle);
        }
        sent.map(|_| Answer::Later)
    }

    fn unsubscribe(
        &mut self,
        phone: PhoneId,
        address: Address,
        link: LinkId,
        handle: u16,
        waiting: Waiting,
    ) -> Result<Answer, Refusal> {
        let none = || Refusal::failed("No notify session started");
        let device = self.phones[phone].devices.get_mut(&address).ok_or_else(Refusal::not_connected)?;
        let clients = device.notifying.get_mut(&handle).ok_or_else(none)?;
        if !clients.remove(&waiting.call.sender) {
            return Err(none());
        }
        if !clients.is_empty() {
            return Ok(Answer::Now(waiting.call.reply(&())));
        }
        device.notifying.remove(&handle);
        self.transmit(phone, link, Pdu::Subscribe { handle, on: false, waiting })?;
        Ok(Answer::Later)
    }

    /// A program left the bus: what it followed is followed no more, and peers are told when it was the last.
    pub(crate) fn subscriptions_left(&mut self, phone: PhoneId, client: &str) {
        let mut over = Vec::new();
        for device in self.phones[phone].devices.values_mut() {
            let Some(link) = device.link else { continue };
            device.notifying.retain(|handle, clients| {
                if clients.remove(client) && clients.is_empty() {
                    over.push((link, *handle));
                }
                !clients.is_empty()
            });
        }
        for (link, handle) in over {
            if let Some(peer) = self.links.get(&link).map(|state| state.peer_of(phone).phone) {
                self.set_subscribed(peer, link, handle, false);
            }
        }
    }

    /// Sends a PDU from a phone's end of a link.
    ///
    /// # Errors
    /// The link is gone, or its queue is full.
    pub(crate) fn transmit(&mut self, phone: PhoneId, link: LinkId, pdu: Pdu) -> Result<Slot, Refusal> {
        let rate = self.bytes_per_second();
        let overtaken = match self.settings.bearers {
            several @ 2.. if pdu.is_unanswered() => u64::from(self.rng.next_u32() % several),
            _ => 0,
        };
        let state = self.links.get_mut(&link).ok_or_else(Refusal::not_connected)?;
        let from = state.end_of(phone);
        if state.ends[from].is_full() && !pdu.is_answer() {
            return Err(Refusal::failed("Failed to initiate write"));
        }
        let slot = state.ends[from].send(self.now_us, pdu.len(), rate, overtaken);
        self.at(slot.arrives_us, Timer::Arrive { link, from, pdu });
        Ok(slot)
    }

    /// A PDU reached the other end.
    pub(crate) fn arrive(&mut self, link: LinkId, from: usize, pdu: Pdu) {
        let Some(state) = self.links.get_mut(&link) else {
            if let Some(waiting) = pdu.into_waiting() {
                self.refuse(waiting.phone, &waiting.call, &Refusal::not_connected());
            }
            return;
        };
        state.ends[from].queued -= 1;
        let (sender, address) = (state.ends[from].phone, state.ends[from].address);
        let receiver = state.ends[1 - from].phone;
        if let Some(kind) = pdu.kind() {
            self.capture.push(self.now_us, sender, address, kind, pdu.bytes());
        }
        match pdu {
            Pdu::Write { attribute, value, request } => self.ask_to_write(receiver, link, attribute, value, request),
            Pdu::Read { attribute, offset, waiting } => self.ask_to_read(receiver, link, attribute, offset, waiting),
            Pdu::Subscribe { handle, on, waiting } => {
                self.set_subscribed(receiver, link, handle, on);
                let _ = self.transmit(receiver, link, Pdu::Subscribed { handle, on, waiting });
            }
            Pdu::WriteResponse { waiting, result } => match result {
                Ok(()) => self.send(receiver, waiting.call.reply(&())),
                Err(refusal) => self.refuse(receiver, &waiting.call, &refusal),
            },
            Pdu::ReadResponse { attribute, waiting, result } => match result {
                Ok(value) => {
                    if let Attribute::Characteristic(handle) = attribute {
                        // bluetoothd caches what it reads, so a read shows as a changed Value.
                        self.show_value(receiver, link, handle, &value);
                    }
                    self.send(receiver, waiting.call.reply(&value));
                }
                Err(refusal) => self.refuse(receiver, &waiting.call, &refusal),
            },
            Pdu::Subscribed { handle, on, waiting } => {
                let notifying = Properties::from([("Notifying", Value::from(on))]);
                if let Some(path) = self.remote_path(receiver, link, handle) {
                    self.changed(receiver, &path, CHARACTERISTIC, &notifying);
                }
                self.send(receiver, waiting.call.reply(&()));
            }
            Pdu::Notify { handle, value } => {
                let follows = self.phones[receiver].device_of(link).is_some_and(|device| device.notifying.contains_key(&handle));
                if follows {
                    self.show_value(receiver, link, handle, &value);
                }
                self.confirm(sender, handle);
            }
        }
    }

    fn show_value(&mut self, phone: PhoneId, link: LinkId, handle: u16, value: &[u8]) {
        if let Some(path) = self.remote_path(phone, link, handle) {
            self.changed(phone, &path, CHARACTERISTIC, &Properties::from([("Value", Value::from(value.to_vec()))]));
        }
    }

    /// Where a phone's bus shows a characteristic of the peer.
    fn remote_path(&mut self, phone: PhoneId, link: LinkId, handle: u16) -> Option<String> {
        let device = self.phones[phone].device_of(link)?.address.path();
        let peer = self.links.get(&link)?.peer_of(phone).phone;
        Some(format!("{device}/{}", self.phones[peer].database.path_of(handle)?))
    }

    fn remote_may(&self, phone: PhoneId, link: LinkId, attribute: Attribute, flag: &str) -> bool {
        let Attribute::Characteristic(handle) = attribute else { return false };
        let Some(state) = self.links.get(&link) else { return false };
        let found = self.phones[state.peer_of(phone).phone].database.find(handle);
        found.is_some_and(|(_, characteristic)| characteristic.may(flag))
    }
}

fn offset(options: &Options) -> u16 {
    options.get("offset").and_then(|value| wire::number(value)).unwrap_or_default().min(u64::from(u16::MAX)) as u16
}
