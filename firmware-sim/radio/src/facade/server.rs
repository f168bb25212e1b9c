//! The side that programs offer: advertisements, GATT applications, and what peers ask of them.
//!
//! Laws: a registration holds until it is taken back or its program leaves the bus; an application hears StartNotify
//! once, with its first subscriber, and after the time that was set, while the peer already has its answer.

use std::collections::HashMap;

use zbus::Message;
use zbus::message::Type;
use zbus::zvariant::{OwnedObjectPath, OwnedValue, Value};

use super::Answer;
use super::address::Address;
use super::advertising::{Advertisement, INSTANCES_MAX};
use super::client::{Pdu, Waiting};
use super::gatt::Attribute;
use super::phone::Registered;
use super::wire::{self, ADVERTISEMENT, CHARACTERISTIC, Call, DESCRIPTOR, OBJECT_MANAGER, Options, PROPERTIES, Refusal};
use super::world::{Timer, World};
use crate::air::{LinkId, PhoneId};

/// What an application was asked.
#[derive(Debug)]
pub(crate) enum Asked {
    Advertisement { call: Call },
    Application { call: Call },
    Write { link: LinkId, waiting: Waiting },
    Read { link: LinkId, attribute: Attribute, waiting: Waiting },
}

impl World {
    pub(crate) fn advertising_call(&mut self, phone: PhoneId, call: &Call) -> Result<Answer, Refusal> {
        match call.member.as_str() {
            "RegisterAdvertisement" => {
                let key = registration(call)?;
                if self.phones[phone].adverts.contains_key(&key) {
                    return Err(Refusal::already_exists());
                }
                if self.phones[phone].adverts.len() >= INSTANCES_MAX {
                    return Err(Refusal::not_permitted("Maximum advertisements reached"));
                }
                let question = wire::call(&key.0, &key.1, PROPERTIES, "GetAll", &ADVERTISEMENT);
                self.ask(phone, question, Asked::Advertisement { call: call.clone() });
                Ok(Answer::Later)
            }
            "UnregisterAdvertisement" => {
                let path = call.arguments::<OwnedObjectPath>()?;
                let gone = self.phones[phone].adverts.remove(&(call.sender.clone(), path.to_string()));
                self.air.stop_advertising(gone.ok_or_else(Refusal::does_not_exist)?.advert);
                self.adapter_changed(phone, &["ActiveInstances", "SupportedInstances"]);
                Ok(Answer::Now(call.reply(&())))
            }
            _ => Err(Refusal::unknown_method(call)),
        }
    }

    fn advertise(&mut self, phone: PhoneId, call: &Call, properties: &Options) -> Result<(), Refusal> {
        let advertisement = Advertisement::read(properties, &self.phones[phone].alias)?;
        let key = registration(call)?;
        if !self.phones[phone].powered || self.phones[phone].adverts.len() >= INSTANCES_MAX {
            return Err(Refusal::failed("Failed to register advertisement"));
        }
        if self.phones[phone].adverts.is_empty() && self.settings.rotates_address {
            self.phones[phone].address = Address::random(&mut self.rng);
        }
        let interval_us = advertisement.interval_us.unwrap_or(self.settings.advertising_interval_us);
        let advert = self.air.start_advertising(self.now_us, phone, interval_us, advertisement.data().len());
        let own = &mut self.phones[phone];
        own.adverts.insert(key, Registered { advert, advertisement, address: own.address });
        self.adapter_changed(phone, &["ActiveInstances", "SupportedInstances"]);
        Ok(())
    }

    pub(crate) fn gatt_manager_call(&mut self, phone: PhoneId, call: &Call) -> Result<Answer, Refusal> {
        match call.member.as_str() {
            "RegisterApplication" => {
                let (owner, path) = registration(call)?;
                if self.phones[phone].database.has(&owner, &path) {
                    return Err(Refusal::already_exists());
                }
                let question = wire::call(&owner, &path, OBJECT_MANAGER, "GetManagedObjects", &());
                self.ask(phone, question, Asked::Application { call: call.clone() });
                Ok(Answer::Later)
            }
            "UnregisterApplication" => {
                let path = call.arguments::<OwnedObjectPath>()?;
                if !self.phones[phone].database.has(&call.sender, path.as_str()) {
                    return Err(Refusal::does_not_exist());
                }
                self.change_services(phone, |world| world.phones[phone].database.unregister(&call.sender, Some(path.as_str())));
                self.adapter_changed(phone, &["UUIDs"]);
                Ok(Answer::Now(call.reply(&())))
            }
            _ => Err(Refusal::unknown_method(call)),
        }
    }

    fn serve(&mut self, phone: PhoneId, call: &Call, objects: &wire::ManagedObjects) -> Result<(), Refusal> {
        let (owner, path) = registration(call)?;
        let handles = self.change_services(phone, |world| world.phones[phone].database.register(&owner, &path, objects));
        for (path, handle) in handles.ok_or_else(|| Refusal::failed("No object received"))? {
            let body = (CHARACTERISTIC, "Handle", Value::from(handle));
            self.send(phone, wire::call_no_reply(&owner, &path, PROPERTIES, "Set", &body));
        }
        self.adapter_changed(phone, &["UUIDs"]);
        Ok(())
    }

    /// A program left the bus, and all that it had registered with it.
    pub(crate) fn registrations_left(&mut self, phone: PhoneId, owner: &str) {
        let all = std::mem::take(&mut self.phones[phone].adverts);
        let (gone, kept): (Vec<_>, Vec<_>) = all.into_iter().partition(|((own, _), _)| own == owner);
        self.phones[phone].adverts = kept.into_iter().collect();
        for (_, registered) in &gone {
            self.air.stop_advertising(registered.advert);
        }
        if !gone.is_empty() {
            self.adapter_changed(phone, &["ActiveInstances", "SupportedInstances"]);
        }
        if !self.change_services(phone, |world| world.phones[phone].database.unregister(owner, None)).is_empty() {
            self.adapter_changed(phone, &["UUIDs"]);
        }
    }

    fn ask(&mut self, phone: PhoneId, question: Option<Message>, asked: Asked) {
        if let Some(question) = question {
            self.asked.insert((phone, question.primary_header().serial_num().get()), asked);
            self.send(phone, Some(question));
        }
    }

    /// An application answered.
    pub(crate) fn handle_answer(&mut self, phone: PhoneId, message: &Message) {
        let Some(serial) = message.header().reply_serial() else { return };
        let Some(asked) = self.asked.remove(&(phone, serial.get())) else { return };
        let failed = message.message_type() == Type::Error;
        match asked {
            Asked::Advertisement { call } => {
                let properties = wire::read_body::<Options>(message).filter(|_| !failed);
                let properties = properties.ok_or_else(|| Refusal::failed("Failed to parse advertisement."));
                let done = properties.and_then(|properties| self.advertise(phone, &call, &properties));
                self.finish(phone, &call, done);
            }
            Asked::Application { call } => {
                let objects = wire::read_body::<wire::ManagedObjects>(message).filter(|_| !failed);
                let objects = objects.ok_or_else(|| Refusal::failed("No object received"));
                let done = objects.and_then(|objects| self.serve(phone, &call, &objects));
                self.finish(phone, &call, done);
            }
            Asked::Write { link, waiting } => {
                let result = if failed { Err(Refusal::from_message(message)) } else { Ok(()) };
                self.respond(phone, link, Pdu::WriteResponse { waiting, result });
            }
            Asked::Read { link, attribute, waiting } => {
                let value = wire::read_body::<Vec<u8>>(message).filter(|_| !failed);
                let result = value.ok_or_else(|| Refusal::from_message(message));
                self.respond(phone, link, Pdu::ReadResponse { attribute, waiting, result });
            }
        }
    }

    fn finish(&mut self, phone: PhoneId, call: &Call, done: Result<(), Refusal>) {
        match done {
            Ok(()) => self.send(phone, call.reply(&())),
            Err(refusal) => self.refuse(phone, call, &refusal),
        }
    }

    /// Sends an answer back over the link; when it is gone, the program that waits is told at once.
    fn respond(&mut self, phone: PhoneId, link: LinkId, pdu: Pdu) {
        match self.links.contains_key(&link) {
            true => drop(self.transmit(phone, link, pdu)),
            false => self.arrive(link, 0, pdu),
        }
    }

    pub(crate) fn handle_signal(&mut self, phone: PhoneId, message: &Message) {
        let header = message.header();
        let (Some(sender), Some(path), Some(member)) = (header.sender(), header.path(), header.member()) else { return };
        match member.as_str() {
            "PropertiesChanged" => {
                let Some((interface, changed, _)) = wire::read_body::<(String, Options, Vec<String>)>(message) else { return };
                let value = changed.get("Value").and_then(|value| wire::bytes(value));
                if let Some(value) = value.filter(|_| interface == CHARACTERISTIC) {
                    self.notify(phone, sender.as_str(), path.as_str(), &value);
                }
            }
            "NameOwnerChanged" if sender.as_str() == "org.freedesktop.DBus" => {
                let Some((name, _, new)) = wire::read_body::<(String, String, String)>(message) else { return };
                if new.is_empty() && name.starts_with(':') {
                    self.client_left(phone, &name);
                }
            }
            _ => {}
        }
    }

    /// An application has a new value for its subscribers. As in bluetoothd, what is too long is cut.
    fn notify(&mut self, phone: PhoneId, owner: &str, path: &str, value: &[u8]) {
        let Some(characteristic) = self.phones[phone].database.find_published(owner, path) else { return };
        let handle = characteristic.handle;
        for link in characteristic.subscribers.clone() {
            let Some(state) = self.links.get(&link).filter(|state| !state.closing) else { continue };
            let value = value[..value.len().min(state.value_max())].to_vec();
            // A full queue drops the newest: a notification is never confirmed.
            let _ = self.transmit(phone, link, Pdu::Notify { handle, value });
        }
    }

    /// The peer has the value: an application that only indicates waits for this.
    pub(crate) fn confirm(&mut self, phone: PhoneId, handle: u16) {
        let Some((app, characteristic)) = self.phones[phone].database.find(handle) else { return };
        if characteristic.only_indicates() {
            let confirm = wire::call_no_reply(&app.owner, &characteristic.path, CHARACTERISTIC, "Confirm", &());
            self.send(phone, confirm);
        }
    }

    pub(crate) fn set_subscribed(&mut self, phone: PhoneId, link: LinkId, handle: u16, on: bool) {
        let Some(characteristic) = self.phones[phone].database.find_mut(handle) else { return };
        if on {
            characteristic.subscribers.insert(link);
            self.after(self.settings.start_notify_delay_us, Timer::StartNotify { phone, handle });
        } else if characteristic.subscribers.remove(&link) && characteristic.subscribers.is_empty() {
            self.stop_notify(phone, handle);
        }
    }

    pub(crate) fn start_notify(&mut self, phone: PhoneId, handle: u16) {
        let Some(characteristic) = self.phones[phone].database.find_mut(handle) else { return };
        if characteristic.subscribers.is_empty() || std::mem::replace(&mut characteristic.started, true) {
            return;
        }
        self.tell(phone, handle, "StartNotify");
    }

    pub(crate) fn stop_notify(&mut self, phone: PhoneId, handle: u16) {
        let Some(characteristic) = self.phones[phone].database.find_mut(handle) else { return };
        if std::mem::replace(&mut characteristic.started, false) {
            self.tell(phone, handle, "StopNotify");
        }
    }

    fn tell(&mut self, phone: PhoneId, handle: u16, member: &str) {
        if let Some((app, characteristic)) = self.phones[phone].database.find(handle) {
            let told = wire::call_no_reply(&app.owner, &characteristic.path, CHARACTERISTIC, member, &());
            self.send(phone, told);
        }
    }

    pub(crate) fn ask_to_write(
        &mut self,
        phone: PhoneId,
        link: LinkId,
        attribute: Attribute,
        value: Vec<u8>,
        request: Option<Waiting>,
    ) {
        let kind = if request.is_some() { "request" } else { "command" };
        let options = self.options(phone, link, HashMap::from([("type", Value::from(kind))]));
        let question = self
            .published(phone, attribute)
            .and_then(|(owner, path, interface)| wire::call(&owner, &path, interface, "WriteValue", &(value, options?)));
        match (question, request) {
            (Some(question), Some(waiting)) => self.ask(phone, Some(question), Asked::Write { link, waiting }),
            (question @ Some(_), None) => self.send(phone, question),
            (None, Some(waiting)) => {
                let result = Err(Refusal::not_permitted("Write not permitted"));
                self.respond(phone, link, Pdu::WriteResponse { waiting, result });
            }
            (None, None) => {}
        }
    }

    pub(crate) fn ask_to_read(&mut self, phone: PhoneId, link: LinkId, attribute: Attribute, offset: u16, waiting: Waiting) {
        let options = self.options(phone, link, HashMap::from([("offset", Value::from(offset))]));
        let question = self
            .published(phone, attribute)
            .and_then(|(owner, path, interface)| wire::call(&owner, &path, interface, "ReadValue", &options?));
        match question {
            Some(question) => self.ask(phone, Some(question), Asked::Read { link, attribute, waiting }),
            None => {
                let result = Err(Refusal::not_permitted("Read not permitted"));
                self.respond(phone, link, Pdu::ReadResponse { attribute, waiting, result });
            }
        }
    }

    /// Who publishes an attribute, where, and under which interface.
    fn published(&self, phone: PhoneId, attribute: Attribute) -> Option<(String, String, &'static str)> {
        let database = &self.phones[phone].database;
        match attribute {
            Attribute::Service(_) => None,
            Attribute::Characteristic(handle) => {
                let (app, found) = database.find(handle)?;
                Some((app.owner.clone(), found.path.clone(), CHARACTERISTIC))
            }
            Attribute::Descriptor(handle) => {
                let (app, found) = database.find_descriptor(handle)?;
                Some((app.owner.clone(), found.path.clone()?, DESCRIPTOR))
            }
        }
    }

    /// What each question to an application carries: the peer as this bus shows it, the MTU, the bearer.
    fn options(
        &mut self,
        phone: PhoneId,
        link: LinkId,
        mut options: HashMap<&'static str, Value<'static>>,
    ) -> Option<HashMap<&'static str, OwnedValue>> {
        let device = self.phones[phone].device_of(link)?.address.path();
        options.insert("device", wire::path_value(&device));
        options.insert("mtu", Value::from(self.links.get(&link)?.mtu));
        options.insert("link", Value::from("LE"));
        options.into_iter().map(|(name, value)| Some((name, OwnedValue::try_from(value).ok()?))).collect()
    }
}

/// The program and the object path of a registration.
fn registration(call: &Call) -> Result<(String, String), Refusal> {
    let (path, _) = call.arguments::<(OwnedObjectPath, Options)>()?;
    Ok((call.sender.clone(), path.to_string()))
}
