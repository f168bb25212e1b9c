//! One phone: its adapter, what it advertises, which devices it knows.
//!
//! Laws: a phone that begins to advertise after a pause has a fresh address, unless told not to rotate; a device
//! that is neither connected nor seen for 30 s is forgotten.
//! Simplification: real controllers rotate by a timer (Privacy = device, 15 minutes), not by advertisement.

use std::collections::{BTreeMap, BTreeSet};

use zbus::zvariant::Value;

use super::address::Address;
use super::advertising::{Advertisement, DATA_MAX, INSTANCES_MAX};
use super::gatt::Database;
use super::wire::{self, ADAPTER, ADAPTER_PATH, ADVERTISING_MANAGER, Call, DEVICE, GATT_MANAGER, Interfaces, Properties};
use crate::air::{AdvertId, LinkId};

/// How long bluetoothd remembers a device that it neither paired with nor sees.
pub(crate) const TEMPORARY_US: u64 = 30_000_000;
/// Devices one phone knows at once; those seen longest ago go first.
pub(crate) const DEVICES_MAX: usize = 4_096;

#[derive(Debug)]
pub(crate) struct Phone {
    /// The address of the adapter itself; it never goes over the air while addresses rotate.
    pub(crate) identity: Address,
    /// What new advertisements and connections use.
    pub(crate) address: Address,
    pub(crate) alias: String,
    pub(crate) powered: bool,
    /// The controller is plugged in.
    pub(crate) present: bool,
    /// What each client asked for in SetDiscoveryFilter.
    pub(crate) filters: BTreeMap<String, Filter>,
    /// The clients that scan.
    pub(crate) discovering: BTreeMap<String, Filter>,
    pub(crate) devices: BTreeMap<Address, Device>,
    /// By the owner's unique name and the object's path.
    pub(crate) adverts: BTreeMap<(String, String), Registered>,
    pub(crate) database: Database,
    /// The devices that a client wants connected, with its calls.
    pub(crate) connecting: BTreeMap<Address, Vec<Call>>,
}

#[derive(Debug)]
pub(crate) struct Registered {
    pub(crate) advert: AdvertId,
    pub(crate) advertisement: Advertisement,
    pub(crate) address: Address,
}

/// What a client wants reported. An advertisement must match one filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    uuids: BTreeSet<String>,
    rssi_dbm: Option<i16>,
    duplicate_data: bool,
}

/// Another phone as this one sees it.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) address: Address,
    name: Option<String>,
    appearance: Option<u16>,
    rssi_dbm: Option<i16>,
    pub(crate) uuids: BTreeSet<String>,
    service_data: BTreeMap<String, Vec<u8>>,
    manufacturer_data: BTreeMap<u16, Vec<u8>>,
    pub(crate) link: Option<LinkId>,
    pub(crate) services_resolved: bool,
    pub(crate) last_seen_us: u64,
    /// The clients that follow each characteristic, by its handle.
    pub(crate) notifying: BTreeMap<u16, BTreeSet<String>>,
}

impl Phone {
    pub(crate) fn new(number: usize, identity: Address, address: Address) -> Self {
        Self {
            identity,
            address,
            alias: format!("phone {number}"),
            powered: true,
            present: true,
            filters: BTreeMap::new(),
            discovering: BTreeMap::new(),
            devices: BTreeMap::new(),
            adverts: BTreeMap::new(),
            database: Database::default(),
            connecting: BTreeMap::new(),
        }
    }

    pub(crate) fn radio_on(&self) -> bool {
        self.powered && self.present
    }

    /// The device that another end of a link is shown as.
    pub(crate) fn device_of(&mut self, link: LinkId) -> Option<&mut Device> {
        self.devices.values_mut().find(|device| device.link == Some(link))
    }

    pub(crate) fn adapter_objects(&self) -> Interfaces {
        Interfaces::from([
            (ADAPTER, self.adapter_properties()),
            (ADVERTISING_MANAGER, self.advertising_properties()),
            (GATT_MANAGER, Properties::new()),
        ])
    }

    fn adapter_properties(&self) -> Properties {
        let uuids: Vec<String> = self.database.service_uuids().collect();
        Properties::from([
            ("Address", Value::from(self.identity.to_string())),
            ("AddressType", Value::from("public")),
            ("Name", Value::from(self.alias.clone())),
            ("Alias", Value::from(self.alias.clone())),
            ("Class", Value::from(0_u32)),
            ("Powered", Value::from(self.powered)),
            ("Discoverable", Value::from(false)),
            ("DiscoverableTimeout", Value::from(180_u32)),
            ("Pairable", Value::from(true)),
            ("PairableTimeout", Value::from(0_u32)),
            ("Discovering", Value::from(!self.discovering.is_empty())),
            ("UUIDs", Value::from(uuids)),
            ("Modalias", Value::from("usb:v1D6Bp0246d0542")),
            ("Roles", Value::from(vec!["central", "peripheral", "central-peripheral"])),
        ])
    }

    fn advertising_properties(&self) -> Properties {
        let active = self.adverts.len().min(INSTANCES_MAX) as u8;
        let capabilities = BTreeMap::from([
            ("MaxAdvLen", Value::from(DATA_MAX as u8)),
            ("MaxScnRspLen", Value::from(DATA_MAX as u8)),
            ("MinTxPower", Value::from(-34_i16)),
            ("MaxTxPower", Value::from(7_i16)),
        ]);
        Properties::from([
            ("ActiveInstances", Value::from(active)),
            ("SupportedInstances", Value::from(INSTANCES_MAX as u8 - active)),
            ("SupportedIncludes", Value::from(vec!["tx-power", "appearance", "local-name"])),
            ("SupportedSecondaryChannels", Value::from(vec!["1M", "2M", "Coded"])),
            ("SupportedFeatures", Value::from(Vec::<String>::new())),
            ("SupportedCapabilities", dict(capabilities)),
        ])
    }
}

impl Filter {
    pub(crate) fn read(options: &wire::Options) -> Self {
        Self {
            uuids: options.get("UUIDs").and_then(|value| wire::texts(value)).into_iter().flatten().collect(),
            rssi_dbm: options.get("RSSI").and_then(|value| if let Value::I16(dbm) = **value { Some(dbm) } else { None }),
            duplicate_data: options.get("DuplicateData").is_some_and(|value| matches!(**value, Value::Bool(true))),
        }
    }

    /// Whether an advertisement is reported. As in bluetoothd, a UUID counts in the UUID lists, not in service data.
    fn takes(&self, rssi_dbm: i16, uuids: &[String]) -> bool {
        self.rssi_dbm.is_none_or(|least| rssi_dbm >= least)
            && (self.uuids.is_empty() || uuids.iter().any(|uuid| self.uuids.contains(uuid)))
    }
}

/// What an advertisement meant for the phone that heard it.
#[derive(Debug, PartialEq)]
pub(crate) enum Sighting {
    /// No filter takes it.
    Ignored,
    /// The device is new.
    New,
    /// The device was known; these properties are to be told.
    Known(Properties),
}

impl Phone {
    /// Handles an advertisement that was heard while scanning.
    pub(crate) fn see(&mut self, now_us: u64, rssi_dbm: i16, sender: Address, seen: &Advertisement) -> Sighting {
        if !self.discovering.values().any(|filter| filter.takes(rssi_dbm, &seen.service_uuids)) {
            return Sighting::Ignored;
        }
        let duplicates = self.discovering.values().any(|filter| filter.duplicate_data);
        let Some(device) = self.devices.get_mut(&sender) else {
            let mut device = Device::new(sender, now_us);
            device.update(now_us, rssi_dbm, seen, false);
            self.devices.insert(sender, device);
            return Sighting::New;
        };
        Sighting::Known(device.update(now_us, rssi_dbm, seen, duplicates))
    }

    /// The devices to forget now.
    pub(crate) fn stale_devices(&self, now_us: u64) -> Vec<Address> {
        let mut idle: Vec<(u64, Address)> =
            self.devices.values().filter(|device| device.link.is_none()).map(|d| (d.last_seen_us, d.address)).collect();
        idle.sort();
        let surplus = self.devices.len().saturating_sub(DEVICES_MAX);
        let old = |n: usize, seen_us: u64| n < surplus || seen_us + TEMPORARY_US <= now_us;
        let idle = idle.into_iter().enumerate().filter(|(n, (seen_us, _))| old(*n, *seen_us));
        idle.map(|(_, (_, address))| address).filter(|address| !self.connecting.contains_key(address)).collect()
    }
}

impl Device {
    pub(crate) fn new(address: Address, now_us: u64) -> Self {
        Self {
            address,
            name: None,
            appearance: None,
            rssi_dbm: None,
            uuids: BTreeSet::new(),
            service_data: BTreeMap::new(),
            manufacturer_data: BTreeMap::new(),
            link: None,
            services_resolved: false,
            last_seen_us: now_us,
            notifying: BTreeMap::new(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Takes over what was advertised, and answers the properties that changed; with `duplicates` the data counts
    /// as changed each time, as BlueZ has it under DuplicateData.
    fn update(&mut self, now_us: u64, rssi_dbm: i16, seen: &Advertisement, duplicates: bool) -> Properties {
        self.last_seen_us = now_us;
        let before = self.properties();
        self.rssi_dbm = Some(rssi_dbm);
        self.name = seen.local_name.clone().or(self.name.take());
        self.appearance = seen.appearance.or(self.appearance);
        self.uuids.extend(seen.service_uuids.iter().cloned());
        if !seen.service_data.is_empty() {
            self.service_data = seen.service_data.clone();
        }
        if !seen.manufacturer_data.is_empty() {
            self.manufacturer_data = seen.manufacturer_data.clone();
        }
        let again = |name| {
            duplicates
                && ((name == "ServiceData" && !seen.service_data.is_empty())
                    || (name == "ManufacturerData" && !seen.manufacturer_data.is_empty()))
        };
        let mut changed = self.properties();
        changed.retain(|name, value| again(*name) || before.get(name) != Some(value));
        changed
    }

    /// The scan is over: the last reading says nothing any more. True when there was one.
    pub(crate) fn clear_rssi(&mut self) -> bool {
        self.rssi_dbm.take().is_some()
    }

    pub(crate) fn interfaces(&self) -> Interfaces {
        Interfaces::from([(DEVICE, self.properties())])
    }

    fn properties(&self) -> Properties {
        let dashed = self.address.to_string().replace(':', "-");
        let mut properties = Properties::from([
            ("Address", Value::from(self.address.to_string())),
            ("AddressType", Value::from("random")),
            ("Adapter", wire::path_value(ADAPTER_PATH)),
            ("Alias", Value::from(self.name.clone().unwrap_or(dashed))),
            ("Paired", Value::from(false)),
            ("Bonded", Value::from(false)),
            ("Trusted", Value::from(false)),
            ("Blocked", Value::from(false)),
            ("LegacyPairing", Value::from(false)),
            ("Connected", Value::from(self.is_connected())),
            ("ServicesResolved", Value::from(self.services_resolved)),
            ("UUIDs", Value::from(self.uuids.iter().cloned().collect::<Vec<_>>())),
        ]);
        if let Some(name) = &self.name {
            properties.insert("Name", Value::from(name.clone()));
        }
        if let Some(appearance) = self.appearance {
            properties.insert("Appearance", Value::from(appearance));
        }
        if let Some(rssi_dbm) = self.rssi_dbm {
            properties.insert("RSSI", Value::from(rssi_dbm));
        }
        if !self.service_data.is_empty() {
            let data = self.service_data.iter().map(|(uuid, bytes)| (uuid.clone(), Value::from(bytes.clone())));
            properties.insert("ServiceData", dict(data.collect::<BTreeMap<_, _>>()));
        }
        if !self.manufacturer_data.is_empty() {
            let data = self.manufacturer_data.iter().map(|(company, bytes)| (*company, Value::from(bytes.clone())));
            properties.insert("ManufacturerData", dict(data.collect::<BTreeMap<_, _>>()));
        }
        properties
    }
}

fn dict<K, V>(map: BTreeMap<K, V>) -> Value<'static>
where
    K: zbus::zvariant::Type + Into<Value<'static>> + Ord,
    V: zbus::zvariant::Type + Into<Value<'static>>,
{
    Value::from(zbus::zvariant::Dict::from(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone() -> Phone {
        let mut phone = Phone::new(0, Address([1; 6]), Address([2; 6]));
        phone.discovering.insert(":1.1".into(), Filter::default());
        phone
    }

    fn advert(bytes: &[u8]) -> Advertisement {
        let uuid = "6e400001-b5a3-f393-e0a9-e50e24dcca9e".to_owned();
        Advertisement { service_data: BTreeMap::from([(uuid, bytes.to_vec())]), ..Default::default() }
    }

    #[test]
    fn a_first_sight_makes_a_device_and_a_second_tells_what_changed() {
        let (mut phone, other) = (phone(), Address([9; 6]));
        assert_eq!(phone.see(0, -60, other, &advert(b"one")), Sighting::New);
        assert_eq!(phone.see(1, -60, other, &advert(b"one")), Sighting::Known(Properties::new()));
        let Sighting::Known(changed) = phone.see(2, -61, other, &advert(b"two")) else { panic!("known") };
        assert_eq!(changed.keys().copied().collect::<Vec<_>>(), ["RSSI", "ServiceData"]);
    }

    #[test]
    fn with_duplicate_data_each_advert_is_told_again() {
        let (mut phone, other) = (phone(), Address([9; 6]));
        phone.discovering.insert(":1.2".into(), Filter { duplicate_data: true, ..Default::default() });
        phone.see(0, -60, other, &advert(b"one"));
        let Sighting::Known(changed) = phone.see(1, -60, other, &advert(b"one")) else { panic!("known") };
        assert_eq!(changed.keys().copied().collect::<Vec<_>>(), ["ServiceData"]);
    }

    #[test]
    fn a_uuid_in_service_data_alone_does_not_pass_a_uuid_filter() {
        let mut phone = phone();
        let uuids = BTreeSet::from(["6e400001-b5a3-f393-e0a9-e50e24dcca9e".to_owned()]);
        phone.discovering.insert(":1.1".into(), Filter { uuids, ..Default::default() });
        assert_eq!(phone.see(0, -60, Address([9; 6]), &advert(b"one")), Sighting::Ignored);
    }

    #[test]
    fn a_device_not_seen_for_thirty_seconds_is_stale() {
        let (mut phone, other) = (phone(), Address([9; 6]));
        phone.see(5, -60, other, &advert(b"one"));
        assert!(phone.stale_devices(TEMPORARY_US).is_empty());
        assert_eq!(phone.stale_devices(TEMPORARY_US + 5), [other]);
    }
}
