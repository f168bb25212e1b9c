//! Scanning, and the adapter's own calls: what a phone sees, and when it stops to see it.
//!
//! Laws: only a phone that discovers makes device objects of what it hears; an adapter that is off sees nobody.

use super::Answer;
use super::address::Address;
use super::capture::Kind;
use super::phone::{Filter, Sighting};
use super::wire::{self, ADAPTER, ADAPTER_PATH, ADVERTISING_MANAGER, Call, DEVICE, GATT_MANAGER, Properties, Refusal};
use super::world::World;
use crate::air::{AdvertId, Heard, PhoneId};

impl World {
    pub(crate) fn adapter_call(&mut self, phone: PhoneId, call: &Call) -> Result<Answer, Refusal> {
        match call.member.as_str() {
            "SetDiscoveryFilter" => {
                let filter = Filter::read(&call.arguments()?);
                let own = &mut self.phones[phone];
                if let Some(running) = own.discovering.get_mut(&call.sender) {
                    running.clone_from(&filter);
                }
                own.filters.insert(call.sender.clone(), filter);
            }
            "GetDiscoveryFilters" => {
                let names = vec!["UUIDs", "RSSI", "Pathloss", "Transport", "DuplicateData", "Discoverable", "Pattern"];
                return Ok(Answer::Now(call.reply(&names)));
            }
            "StartDiscovery" => self.start_discovery(phone, &call.sender)?,
            "StopDiscovery" => {
                if self.phones[phone].discovering.remove(&call.sender).is_none() {
                    return Err(Refusal::failed("No discovery started"));
                }
                self.discovery_stopped(phone);
            }
            "RemoveDevice" => {
                let path = call.arguments::<zbus::zvariant::OwnedObjectPath>()?;
                let (address, _) = Address::from_path(path.as_str()).ok_or_else(Refusal::does_not_exist)?;
                let device = self.phones[phone].devices.get(&address).ok_or_else(Refusal::does_not_exist)?;
                if let Some(link) = device.link {
                    self.end_link(link, Some(phone));
                }
                self.forget(phone, address);
            }
            _ => return Err(Refusal::unknown_method(call)),
        }
        Ok(Answer::Now(call.reply(&())))
    }

    fn start_discovery(&mut self, phone: PhoneId, client: &str) -> Result<(), Refusal> {
        let own = &mut self.phones[phone];
        if !own.powered {
            return Err(Refusal::not_ready());
        }
        if own.discovering.contains_key(client) {
            return Err(Refusal::in_progress());
        }
        let filter = own.filters.get(client).cloned().unwrap_or_default();
        own.discovering.insert(client.to_owned(), filter);
        if own.discovering.len() == 1 {
            self.adapter_changed(phone, &["Discovering"]);
        }
        Ok(())
    }

    /// After a client left: when it was the last, the scan ends and the last signal readings go.
    fn discovery_stopped(&mut self, phone: PhoneId) {
        if !self.phones[phone].discovering.is_empty() {
            return;
        }
        let read = self.phones[phone].devices.values_mut();
        let read: Vec<Address> = read.filter_map(|device| device.clear_rssi().then_some(device.address)).collect();
        for address in read {
            let gone = wire::properties_changed(&address.path(), DEVICE, &Properties::new(), &["RSSI"]);
            self.send(phone, gone);
        }
        self.adapter_changed(phone, &["Discovering"]);
    }

    /// An advertising event took place on the air.
    pub(crate) fn advertised(&mut self, advert: AdvertId, from: PhoneId, heard: &[Heard]) {
        if !self.air.radio_is_on(from) {
            return;
        }
        let Some(sent) = self.phones[from].adverts.values().find(|own| own.advert == advert) else { return };
        let (address, advertisement) = (sent.address, sent.advertisement.clone());
        self.capture.push(self.now_us, from, address, Kind::Advert, &advertisement.data());
        let response = advertisement.scan_response();
        let asked = heard.iter().any(|one| !self.phones[one.phone].discovering.is_empty());
        if asked && !response.is_empty() {
            self.capture.push(self.now_us, from, address, Kind::ScanResponse, &response);
        }
        for one in heard {
            if advertisement.connectable && self.phones[one.phone].connecting.contains_key(&address) {
                self.establish(one.phone, from, address);
            }
            match self.phones[one.phone].see(self.now_us, one.rssi_dbm, address, &advertisement) {
                Sighting::Ignored => {}
                Sighting::New => self.show(one.phone, address),
                Sighting::Known(properties) => self.changed(one.phone, &address.path(), DEVICE, &properties),
            }
        }
    }

    /// Tells a phone's bus of a new device.
    pub(crate) fn show(&mut self, phone: PhoneId, address: Address) {
        if let Some(device) = self.phones[phone].devices.get(&address) {
            let added = wire::interfaces_added(&address.path(), &device.interfaces());
            self.send(phone, added);
        }
    }

    pub(crate) fn forget(&mut self, phone: PhoneId, address: Address) {
        if self.phones[phone].devices.remove(&address).is_some() {
            self.send(phone, wire::interfaces_removed(&address.path(), &[DEVICE]));
        }
    }

    pub(crate) fn forget_stale_devices(&mut self) {
        for phone in 0..self.phones.len() {
            for address in self.phones[phone].stale_devices(self.now_us) {
                self.forget(phone, address);
            }
        }
    }

    /// Switches an adapter on or off, as a user does: peers are told goodbye, registrations stay.
    pub(crate) fn set_powered(&mut self, phone: PhoneId, powered: bool) {
        if self.phones[phone].powered == powered {
            return;
        }
        if !powered {
            let links = self.phones[phone].devices.values().filter_map(|device| device.link);
            for link in links.collect::<Vec<_>>() {
                self.end_link(link, Some(phone));
            }
            self.stop_connecting(phone);
            self.phones[phone].discovering.clear();
            self.discovery_stopped(phone);
        }
        self.phones[phone].powered = powered;
        self.air.set_radio(self.now_us, phone, self.phones[phone].radio_on());
        self.adapter_changed(phone, &["Powered"]);
    }

    /// Pulls the controller out, or plugs it in: peers notice by silence, and all registrations are gone.
    pub(crate) fn set_present(&mut self, phone: PhoneId, present: bool) {
        if self.phones[phone].present == present {
            return;
        }
        if present {
            // What it was connected to before it left is not connected to it any more, noticed or not.
            let old = self.links.iter().filter(|(_, link)| link.ends.iter().any(|end| end.phone == phone));
            for link in old.map(|(link, _)| *link).collect::<Vec<_>>() {
                self.end_link(link, None);
            }
            self.phones[phone].present = true;
            let added = wire::interfaces_added(ADAPTER_PATH, &self.phones[phone].adapter_objects());
            self.send(phone, added);
        } else {
            self.stop_connecting(phone);
            for (path, interfaces) in self.objects(phone).into_iter().rev() {
                let names: Vec<&str> = match path.as_str() {
                    ADAPTER_PATH => vec![ADAPTER, ADVERTISING_MANAGER, GATT_MANAGER],
                    _ => interfaces.keys().copied().collect(),
                };
                self.send(phone, wire::interfaces_removed(&path, &names));
            }
            let own = &mut self.phones[phone];
            own.present = false;
            own.discovering.clear();
            own.filters.clear();
            own.devices.clear();
            own.database = Default::default();
            for ((owner, path), gone) in std::mem::take(&mut own.adverts) {
                self.air.stop_advertising(gone.advert);
                self.send(phone, wire::call_no_reply(&owner, &path, wire::ADVERTISEMENT, "Release", &()));
            }
        }
        self.air.set_radio(self.now_us, phone, self.phones[phone].radio_on());
    }

    /// A program left the bus: what it had asked for ends. Its connections stay, as with bluetoothd.
    pub(crate) fn client_left(&mut self, phone: PhoneId, client: &str) {
        self.phones[phone].filters.remove(client);
        if self.phones[phone].discovering.remove(client).is_some() {
            self.discovery_stopped(phone);
        }
        self.registrations_left(phone, client);
        self.subscriptions_left(phone, client);
    }
}
