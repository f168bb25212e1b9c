//! One registered LE advertisement: its fields, its bytes, and whether BlueZ takes it.
//!
//! Laws, measured on bluetoothd 5.66: what does not fit 31 bytes even without the flags "cannot be parsed"; what
//! does not fit with them "cannot be registered". So with Discoverable, service data under a 128-bit UUID holds
//! at most 10 bytes. Not modelled: extended advertising (SecondaryChannel is ignored) and Duration.

use std::collections::BTreeMap;

use super::wire::{self, Options, Refusal};

/// AdvData and ScanRspData of legacy advertising (Core Vol 6 Part B 2.3).
pub(crate) const DATA_MAX: usize = 31;
/// Instances that one adapter takes at once, as bluetoothd reports it.
pub(crate) const INSTANCES_MAX: usize = 5;

const BASE_UUID: &str = "-0000-1000-8000-00805f9b34fb";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Advertisement {
    pub(crate) service_uuids: Vec<String>,
    pub(crate) service_data: BTreeMap<String, Vec<u8>>,
    pub(crate) manufacturer_data: BTreeMap<u16, Vec<u8>>,
    pub(crate) local_name: Option<String>,
    pub(crate) appearance: Option<u16>,
    pub(crate) interval_us: Option<u64>,
    pub(crate) extra: BTreeMap<u8, Vec<u8>>,
    pub(crate) solicit_uuids: Vec<String>,
    pub(crate) discoverable: bool,
    /// Others may connect: Type is "peripheral", not "broadcast".
    pub(crate) connectable: bool,
    pub(crate) includes_tx_power: bool,
}

impl Advertisement {
    /// Reads the properties of an `org.bluez.LEAdvertisement1`; `alias` is the adapter's name, sent when asked for.
    pub(crate) fn read(properties: &Options, alias: &str) -> Result<Self, Refusal> {
        let advertisement = Self::parse(properties, alias).ok_or_else(unparsable)?;
        let unflagged = advertisement.fields().ok_or_else(unparsable)?;
        if unflagged.len() > DATA_MAX {
            return Err(unparsable());
        }
        match advertisement.data().len() > DATA_MAX {
            true => Err(Refusal::failed("Failed to register advertisement")),
            false => Ok(advertisement),
        }
    }

    fn parse(properties: &Options, alias: &str) -> Option<Self> {
        let mut ad = Self::default();
        for (name, value) in properties {
            match name.as_str() {
                "Type" => ad.connectable = wire::text(value)? == "peripheral",
                "ServiceUUIDs" => ad.service_uuids = uuids(wire::texts(value)?)?,
                "SolicitUUIDs" => ad.solicit_uuids = uuids(wire::texts(value)?)?,
                "ServiceData" => {
                    for (uuid, data) in wire::pairs(value)? {
                        ad.service_data.insert(canonical_uuid(&wire::text(uuid)?)?, wire::bytes(data)?);
                    }
                }
                "ManufacturerData" => {
                    for (company, data) in wire::pairs(value)? {
                        ad.manufacturer_data.insert(u16::try_from(wire::number(company)?).ok()?, wire::bytes(data)?);
                    }
                }
                "Data" => {
                    for (kind, data) in wire::pairs(value)? {
                        ad.extra.insert(u8::try_from(wire::number(kind)?).ok()?, wire::bytes(data)?);
                    }
                }
                "Discoverable" => ad.discoverable = bool::try_from(value.try_clone().ok()?).ok()?,
                "LocalName" => ad.local_name = Some(wire::text(value)?),
                "Appearance" => ad.appearance = Some(u16::try_from(wire::number(value)?).ok()?),
                "MinInterval" | "MaxInterval" => {
                    let interval_us = wire::number(value)?.clamp(20, 10_485_000) * 1_000;
                    ad.interval_us = Some(ad.interval_us.map_or(interval_us, |other| other.min(interval_us)));
                }
                "Includes" => {
                    for include in wire::texts(value)? {
                        match include.as_str() {
                            "tx-power" => ad.includes_tx_power = true,
                            "local-name" => ad.local_name = Some(ad.local_name.unwrap_or_else(|| alias.to_owned())),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        Some(ad)
    }

    /// The AdvData as it goes over the air.
    pub(crate) fn data(&self) -> Vec<u8> {
        let mut data = Vec::new();
        if self.discoverable {
            push_field(&mut data, 0x01, &[0x06]); // LE General Discoverable, BR/EDR Not Supported
        }
        data.extend(self.fields().unwrap_or_default());
        data
    }

    /// The ScanRspData: name (cut to fit) and appearance go here, as bluetoothd has them.
    pub(crate) fn scan_response(&self) -> Vec<u8> {
        let mut data = Vec::new();
        if let Some(appearance) = self.appearance {
            push_field(&mut data, 0x19, &appearance.to_le_bytes());
        }
        if let Some(name) = &self.local_name {
            let room = DATA_MAX - data.len() - 2;
            let whole = name.len() <= room;
            push_field(&mut data, if whole { 0x09 } else { 0x08 }, &name.as_bytes()[..name.len().min(room)]);
        }
        data
    }

    /// All AD structures but the flags, or `None` when one is too long for its length byte.
    fn fields(&self) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        push_uuids(&mut data, &self.service_uuids, 0x03, 0x07);
        push_uuids(&mut data, &self.solicit_uuids, 0x14, 0x15);
        for (company, bytes) in &self.manufacturer_data {
            push_field(&mut data, 0xff, &[&company.to_le_bytes()[..], bytes].concat());
        }
        for (uuid, bytes) in &self.service_data {
            let kind = if short_uuid(uuid).is_some() { 0x16 } else { 0x21 };
            push_field(&mut data, kind, &[uuid_bytes(uuid), bytes.clone()].concat());
        }
        for (kind, bytes) in &self.extra {
            push_field(&mut data, *kind, bytes);
        }
        if self.includes_tx_power {
            push_field(&mut data, 0x0a, &[0]);
        }
        (data.len() <= 255).then_some(data)
    }
}

fn unparsable() -> Refusal {
    Refusal::failed("Failed to parse advertisement.")
}

fn push_field(data: &mut Vec<u8>, kind: u8, bytes: &[u8]) {
    data.push((bytes.len() + 1).min(255) as u8);
    data.push(kind);
    data.extend_from_slice(bytes);
}

fn push_uuids(data: &mut Vec<u8>, uuids: &[String], short_kind: u8, long_kind: u8) {
    let (short, long): (Vec<_>, Vec<_>) = uuids.iter().partition(|uuid| short_uuid(uuid).is_some());
    for (kind, list) in [(short_kind, short), (long_kind, long)] {
        if !list.is_empty() {
            push_field(data, kind, &list.iter().flat_map(|uuid| uuid_bytes(uuid)).collect::<Vec<u8>>());
        }
    }
}

fn uuids(list: Vec<String>) -> Option<Vec<String>> {
    list.iter().map(|uuid| canonical_uuid(uuid)).collect()
}

/// A UUID in its 36 lower-case characters; four or eight hexadecimal digits mean a short one.
pub(crate) fn canonical_uuid(uuid: &str) -> Option<String> {
    let uuid = uuid.trim_start_matches("0x").to_ascii_lowercase();
    let uuid = match uuid.len() {
        4 => format!("0000{uuid}{BASE_UUID}"),
        8 => format!("{uuid}{BASE_UUID}"),
        _ => uuid,
    };
    let shape = |(n, c): (usize, char)| if [8, 13, 18, 23].contains(&n) { c == '-' } else { c.is_ascii_hexdigit() };
    (uuid.len() == 36 && uuid.chars().enumerate().all(shape)).then_some(uuid)
}

/// The 16-bit form of a UUID on the Bluetooth base.
fn short_uuid(uuid: &str) -> Option<u16> {
    let head = uuid.strip_suffix(BASE_UUID)?.strip_prefix("0000")?;
    u16::from_str_radix(head, 16).ok()
}

/// A UUID in over-the-air order, 2 or 16 bytes.
fn uuid_bytes(uuid: &str) -> Vec<u8> {
    match short_uuid(uuid) {
        Some(short) => short.to_le_bytes().to_vec(),
        None => u128::from_str_radix(&uuid.replace('-', ""), 16).unwrap_or_default().to_le_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use zbus::zvariant::{OwnedValue, Value};

    const UUID: &str = "6e400001-b5a3-f393-e0a9-e50e24dcca9e";

    fn with_service_data(uuid: &str, bytes: usize, discoverable: bool) -> Result<Advertisement, Refusal> {
        let data = HashMap::from([(uuid.to_owned(), Value::from(vec![7_u8; bytes]))]);
        let mut properties = Options::new();
        let own = |value: Value<'static>| OwnedValue::try_from(value).expect("no file descriptor");
        properties.insert("Type".into(), own(Value::from("peripheral")));
        properties.insert("ServiceData".into(), own(Value::from(data)));
        properties.insert("Discoverable".into(), own(Value::from(discoverable)));
        Advertisement::read(&properties, "phone")
    }

    #[test]
    fn ten_bytes_under_a_long_uuid_fill_the_advert_when_discoverable() {
        for bytes in [0, 7, 10] {
            assert!(with_service_data(UUID, bytes, true).is_ok());
        }
        let full = with_service_data(UUID, 10, true).expect("fits");
        assert_eq!(full.data().len(), DATA_MAX);
        assert_eq!(&full.data()[..5], [2, 1, 6, 27, 0x21]);
        assert!(full.data().ends_with(&[7; 10]));
    }

    #[test]
    fn eleven_to_thirteen_bytes_are_refused_at_registration_and_more_at_parsing() {
        let refusal = |bytes| with_service_data(UUID, bytes, true).expect_err("too long").text;
        for bytes in [11, 12, 13] {
            assert_eq!(refusal(bytes), "Failed to register advertisement");
        }
        for bytes in [16, 17, 40, 400] {
            assert_eq!(refusal(bytes), "Failed to parse advertisement.");
        }
        assert!(with_service_data(UUID, 13, false).is_ok());
    }

    #[test]
    fn a_short_uuid_leaves_room_for_twenty_four_bytes() {
        assert!(with_service_data("180a", 24, true).is_ok());
        assert!(with_service_data("180a", 25, true).is_err());
    }
}
