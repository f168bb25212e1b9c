//! Connections: how they come about, what both buses show of them, how they end.
//!
//! Laws: a connection opens when the peer's advertisement is heard; both ends show the other as a device and may
//! end it; both keep the addresses that it was opened with.

use zbus::zvariant::Value;

use super::Answer;
use super::address::Address;
use super::capture::Kind;
use super::link::Link;
use super::phone::Device;
use super::wire::{self, Call, DEVICE, Properties, Refusal};
use super::world::{Timer, World};
use crate::air::{LinkId, PhoneId};

/// From the connection to ServicesResolved: three connection events of MTU exchange and discovery.
const DISCOVERY_US: u64 = 90_000;
/// Longest wait of a Disconnect for packets that are on their way.
const DRAIN_MAX_US: u64 = 2_000_000;

impl World {
    pub(crate) fn device_call(&mut self, phone: PhoneId, call: &Call) -> Result<Answer, Refusal> {
        let Some((address, _)) = Address::from_path(&call.path) else { return Err(Refusal::does_not_exist()) };
        match call.member.as_str() {
            "Connect" => self.connect(phone, address, call),
            "Disconnect" => self.disconnect(phone, address, call),
            "Pair" | "CancelPairing" | "ConnectProfile" | "DisconnectProfile" => Err(Refusal::not_supported()),
            _ => Err(Refusal::unknown_method(call)),
        }
    }

    fn connect(&mut self, phone: PhoneId, address: Address, call: &Call) -> Result<Answer, Refusal> {
        let own = &mut self.phones[phone];
        if !own.powered {
            return Err(Refusal::not_ready());
        }
        if own.devices.get(&address).is_some_and(Device::is_connected) {
            return Ok(Answer::Now(call.reply(&())));
        }
        if own.connecting.contains_key(&address) {
            return Err(Refusal::in_progress());
        }
        own.connecting.insert(address, vec![call.clone()]);
        self.after(self.settings.connect_timeout_us, Timer::ConnectTimeout { phone, address, call: call.clone() });
        Ok(Answer::Later)
    }

    /// The peer's advertisement was heard by a phone that wants to connect.
    pub(crate) fn establish(&mut self, central: PhoneId, peripheral: PhoneId, address: Address) {
        let own = self.phones[central].address;
        // Two connections between the same two addresses cannot be told apart: controllers refuse the second.
        let taken = self.phones[peripheral].devices.get(&own).is_some_and(Device::is_connected);
        let opened = if taken { None } else { self.air.open_link(central, peripheral) };
        let Some(link) = opened else { return self.give_up_connecting(central, address, None) };
        self.links.insert(link, Link::new((central, own), (peripheral, address), self.settings.mtu));
        self.capture.push(self.now_us, central, own, Kind::Connect, &address.0);
        for (phone, peer) in [(central, address), (peripheral, own)] {
            let now_us = self.now_us;
            let known = self.phones[phone].devices.contains_key(&peer);
            let device = self.phones[phone].devices.entry(peer).or_insert_with(|| Device::new(peer, now_us));
            device.link = Some(link);
            match known {
                true => self.changed(phone, &peer.path(), DEVICE, &Properties::from([("Connected", Value::from(true))])),
                false => self.show(phone, peer),
            }
        }
        for call in self.phones[central].connecting.remove(&address).unwrap_or_default() {
            self.send(central, call.reply(&()));
        }
        self.after(DISCOVERY_US, Timer::Resolve { link });
    }

    /// Ends the wait for a device: that of one call, or all of it.
    pub(crate) fn give_up_connecting(&mut self, phone: PhoneId, address: Address, call: Option<&Call>) {
        let waiting = self.phones[phone].connecting.get(&address);
        let same = |own: &Call| call.is_none_or(|call| own.is(call));
        if !waiting.is_some_and(|calls| calls.iter().any(same)) {
            return;
        }
        for call in self.phones[phone].connecting.remove(&address).unwrap_or_default() {
            self.refuse(phone, &call, &Refusal::failed("le-connection-abort-by-local"));
        }
    }

    pub(crate) fn stop_connecting(&mut self, phone: PhoneId) {
        let wanted: Vec<Address> = self.phones[phone].connecting.keys().copied().collect();
        wanted.into_iter().for_each(|address| self.give_up_connecting(phone, address, None));
    }

    /// Each end now knows the other's services, as bluetoothd discovers both ways.
    pub(crate) fn resolve(&mut self, link: LinkId) {
        let Some(state) = self.links.get(&link) else { return };
        for (phone, peer) in [(state.ends[0].phone, state.ends[1].phone), (state.ends[1].phone, state.ends[0].phone)] {
            let uuids: Vec<String> = self.phones[peer].database.service_uuids().collect();
            let Some(device) = self.phones[phone].device_of(link) else { continue };
            device.services_resolved = true;
            device.uuids.extend(uuids);
            let uuids: Vec<String> = device.uuids.iter().cloned().collect();
            let address = device.address;
            for (path, interfaces) in self.attributes(phone, address) {
                self.send(phone, wire::interfaces_added(&path, &interfaces));
            }
            let resolved = Properties::from([("ServicesResolved", Value::from(true)), ("UUIDs", Value::from(uuids))]);
            self.changed(phone, &address.path(), DEVICE, &resolved);
        }
    }

    fn disconnect(&mut self, phone: PhoneId, address: Address, call: &Call) -> Result<Answer, Refusal> {
        if self.phones[phone].connecting.contains_key(&address) {
            self.give_up_connecting(phone, address, None);
            return Ok(Answer::Now(call.reply(&())));
        }
        let not_connected = || Refusal::new("org.bluez.Error.NotConnected", "Not Connected");
        let link = self.phones[phone].devices.get(&address).and_then(|device| device.link).ok_or_else(not_connected)?;
        let state = self.links.get_mut(&link).ok_or_else(not_connected)?;
        state.closing = true;
        let drained_us = state.drained_us().min(self.now_us + DRAIN_MAX_US);
        let at_us = drained_us.max(self.now_us + self.settings.disconnect_delay_us);
        self.at(at_us, Timer::Close { link, phone, call: call.clone() });
        Ok(Answer::Later)
    }

    /// A connection is over: said by one end, or lost in silence.
    pub(crate) fn end_link(&mut self, link: LinkId, by: Option<PhoneId>) {
        let Some(state) = self.links.get(&link) else { return };
        let ends = [(state.ends[0].phone, state.ends[0].address), (state.ends[1].phone, state.ends[1].address)];
        if let Some(by) = by {
            let (own, peer) = if ends[0].0 == by { (ends[0].1, ends[1].1) } else { (ends[1].1, ends[0].1) };
            self.capture.push(self.now_us, by, own, Kind::Disconnect, &peer.0);
        }
        for (phone, peer) in [(ends[0].0, ends[1].1), (ends[1].0, ends[0].1)] {
            if self.phones[phone].device_of(link).is_some() {
                self.hide_attributes(phone, peer);
                self.show_disconnected(phone, link);
            }
            for handle in self.phones[phone].database.forget_link(link) {
                self.stop_notify(phone, handle);
            }
        }
        self.air.close_link(link);
        self.links.remove(&link);
    }

    fn hide_attributes(&mut self, phone: PhoneId, address: Address) {
        for (path, interfaces) in self.attributes(phone, address).into_iter().rev() {
            let names: Vec<&str> = interfaces.keys().copied().collect();
            self.send(phone, wire::interfaces_removed(&path, &names));
        }
    }

    fn show_disconnected(&mut self, phone: PhoneId, link: LinkId) {
        let now_us = self.now_us;
        let Some(device) = self.phones[phone].device_of(link) else { return };
        device.link = None;
        device.last_seen_us = now_us;
        device.notifying.clear();
        let resolved = std::mem::take(&mut device.services_resolved);
        let path = device.address.path();
        if resolved {
            self.changed(phone, &path, DEVICE, &Properties::from([("ServicesResolved", Value::from(false))]));
        }
        self.changed(phone, &path, DEVICE, &Properties::from([("Connected", Value::from(false))]));
    }

    /// A phone's services changed while it has connections: its peers see objects come or go.
    /// `change` makes the change.
    pub(crate) fn change_services<T>(&mut self, phone: PhoneId, change: impl FnOnce(&mut World) -> T) -> T {
        let peers: Vec<(PhoneId, Address)> = self
            .links
            .values()
            .filter(|link| link.ends.iter().any(|end| end.phone == phone))
            .map(|link| (link.peer_of(phone).phone, link.ends[link.end_of(phone)].address))
            .collect();
        let before: Vec<_> = peers.iter().map(|(peer, address)| self.attributes(*peer, *address)).collect();
        let result = change(self);
        for ((peer, address), before) in peers.into_iter().zip(before) {
            let after = self.attributes(peer, address);
            for (path, interfaces) in before.iter().rev().filter(|(path, _)| !after.contains_key(*path)) {
                let names: Vec<&str> = interfaces.keys().copied().collect();
                self.send(peer, wire::interfaces_removed(path, &names));
            }
            for (path, interfaces) in after.iter().filter(|(path, _)| !before.contains_key(*path)) {
                self.send(peer, wire::interfaces_added(path, interfaces));
            }
        }
        result
    }
}
