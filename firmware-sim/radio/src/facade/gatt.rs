//! The GATT database of one phone: what its applications registered, under the handles that peers see.
//!
//! Laws: a handle is never used twice; a characteristic that can notify has a Client Characteristic Configuration,
//! which the stack keeps itself. Not modelled: includes, secondary services, authorization, AcquireWrite and
//! AcquireNotify (an application that offers only those answers NotSupported).

use std::collections::{BTreeMap, BTreeSet};

use zbus::zvariant::Value;

use super::advertising::canonical_uuid;
use super::wire::{self, CHARACTERISTIC, DESCRIPTOR, Interfaces, ManagedObjects, Options, Properties, SERVICE};
use crate::air::LinkId;

/// Client Characteristic Configuration.
const CCC_UUID: &str = "00002902-0000-1000-8000-00805f9b34fb";
/// Generic Attribute and Device Information, which bluetoothd adds by itself.
const STACK_SERVICES: [&str; 2] = ["00001801-0000-1000-8000-00805f9b34fb", "0000180a-0000-1000-8000-00805f9b34fb"];

#[derive(Debug)]
pub(crate) struct Database {
    apps: Vec<App>,
    next_handle: u16,
}

/// One RegisterApplication.
#[derive(Debug)]
pub(crate) struct App {
    /// Its unique name on the bus.
    pub(crate) owner: String,
    pub(crate) path: String,
    pub(crate) services: Vec<Service>,
}

#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) handle: u16,
    uuid: String,
    primary: bool,
    characteristics: Vec<Characteristic>,
}

#[derive(Debug)]
pub(crate) struct Characteristic {
    pub(crate) handle: u16,
    pub(crate) path: String,
    uuid: String,
    flags: Vec<String>,
    descriptors: Vec<Descriptor>,
    /// The connections whose other end asked for notifications.
    pub(crate) subscribers: BTreeSet<LinkId>,
    /// The application was told of them.
    pub(crate) started: bool,
}

#[derive(Debug)]
pub(crate) struct Descriptor {
    handle: u16,
    uuid: String,
    flags: Vec<String>,
    /// `None` for the one that the stack keeps itself.
    pub(crate) path: Option<String>,
}

/// An attribute that a peer named by its path below the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attribute {
    Service(u16),
    Characteristic(u16),
    Descriptor(u16),
}

impl Attribute {
    /// Reads `serviceXXXX[/charXXXX[/descXXXX]]`.
    pub(crate) fn from_path(below: &str) -> Option<Self> {
        let handle = |name: &str, prefix| u16::from_str_radix(name.strip_prefix(prefix)?, 16).ok();
        let mut parts = below.split('/');
        let service = handle(parts.next()?, "service")?;
        let Some(name) = parts.next() else { return Some(Self::Service(service)) };
        let characteristic = handle(name, "char")?;
        let Some(name) = parts.next() else { return Some(Self::Characteristic(characteristic)) };
        Some(Self::Descriptor(handle(name, "desc")?))
    }
}

impl Characteristic {
    pub(crate) fn may(&self, flag: &str) -> bool {
        self.flags.iter().any(|own| own == flag)
    }

    pub(crate) fn notifies(&self) -> bool {
        self.may("notify") || self.may("indicate")
    }

    /// Each value waits for the peer's confirmation.
    pub(crate) fn only_indicates(&self) -> bool {
        self.may("indicate") && !self.may("notify")
    }
}

impl Default for Database {
    fn default() -> Self {
        let mut database = Self { apps: Vec::new(), next_handle: 1 };
        let services = STACK_SERVICES.map(|uuid| Service {
            handle: database.take_handles(4),
            uuid: uuid.into(),
            primary: true,
            characteristics: Vec::new(),
        });
        database.apps.push(App { owner: String::new(), path: String::new(), services: services.into() });
        database
    }
}

impl Database {
    /// Takes an application's objects, or `None` when there is no whole service among them. Answers where each
    /// characteristic's handle is to be told: (path, handle).
    pub(crate) fn register(&mut self, owner: &str, path: &str, objects: &ManagedObjects) -> Option<Vec<(String, u16)>> {
        let mut paths: Vec<&str> = objects.keys().map(|path| path.as_str()).collect();
        paths.sort_by_key(|path| (path.len(), *path));
        let of =
            |path: &str, interface| objects.iter().find(|(own, _)| own.as_str() == path).and_then(|(_, all)| all.get(interface));
        let mut services = Vec::new();
        for service_path in &paths {
            let Some(properties) = of(service_path, SERVICE) else { continue };
            let mut service = Service {
                handle: self.take_handles(1),
                uuid: uuid_of(properties)?,
                primary: properties.get("Primary").is_none_or(|value| matches!(**value, Value::Bool(true))),
                characteristics: Vec::new(),
            };
            for char_path in &paths {
                let Some(properties) = of(char_path, CHARACTERISTIC).filter(|of| belongs(of, "Service", service_path)) else {
                    continue;
                };
                let descriptors = paths.iter().filter_map(|path| Some((*path, of(path, DESCRIPTOR)?)));
                let descriptors = descriptors.filter(|(_, of)| belongs(of, "Characteristic", char_path));
                service.characteristics.push(self.characteristic(char_path, properties, descriptors)?);
            }
            services.push(service);
        }
        if services.is_empty() {
            return None;
        }
        let told = services.iter().flat_map(|service| &service.characteristics);
        let told = told.map(|characteristic| (characteristic.path.clone(), characteristic.handle)).collect();
        self.apps.push(App { owner: owner.into(), path: path.into(), services });
        Some(told)
    }

    fn characteristic<'a>(
        &mut self,
        path: &str,
        properties: &Options,
        descriptors: impl Iterator<Item = (&'a str, &'a Options)>,
    ) -> Option<Characteristic> {
        let handle = self.take_handles(2);
        let mut characteristic = Characteristic {
            handle,
            path: path.into(),
            uuid: uuid_of(properties)?,
            flags: properties.get("Flags").and_then(|value| wire::texts(value))?,
            descriptors: Vec::new(),
            subscribers: BTreeSet::new(),
            started: false,
        };
        if characteristic.notifies() {
            let handle = self.take_handles(1);
            characteristic.descriptors.push(Descriptor { handle, uuid: CCC_UUID.into(), flags: Vec::new(), path: None });
        }
        for (path, properties) in descriptors {
            characteristic.descriptors.push(Descriptor {
                handle: self.take_handles(1),
                uuid: uuid_of(properties)?,
                flags: properties.get("Flags").and_then(|value| wire::texts(value)).unwrap_or_default(),
                path: Some(path.into()),
            });
        }
        Some(characteristic)
    }

    pub(crate) fn has(&self, owner: &str, path: &str) -> bool {
        self.apps.iter().any(|app| app.owner == owner && app.path == path)
    }

    /// Takes out the applications of one owner: the one at a path, or all.
    pub(crate) fn unregister(&mut self, owner: &str, path: Option<&str>) -> Vec<App> {
        let gone = |app: &mut App| app.owner == owner && path.is_none_or(|path| app.path == path);
        self.apps.extract_if(.., gone).collect()
    }

    pub(crate) fn find(&self, handle: u16) -> Option<(&App, &Characteristic)> {
        let of = |app: &'_ App| app.services.iter().flat_map(|service| &service.characteristics).any(|own| own.handle == handle);
        let app = self.apps.iter().find(|app| of(app))?;
        let found = app.services.iter().flat_map(|service| &service.characteristics).find(|own| own.handle == handle)?;
        Some((app, found))
    }

    pub(crate) fn find_mut(&mut self, handle: u16) -> Option<&mut Characteristic> {
        self.characteristics_mut().find(|own| own.handle == handle)
    }

    /// Where a characteristic is below its device on a peer's bus.
    pub(crate) fn path_of(&self, handle: u16) -> Option<String> {
        let of = |service: &&Service| service.characteristics.iter().any(|own| own.handle == handle);
        let service = self.services().find(of)?;
        Some(format!("service{:04x}/char{handle:04x}", service.handle))
    }

    /// The characteristic that an application publishes at a path.
    pub(crate) fn find_published(&self, owner: &str, path: &str) -> Option<&Characteristic> {
        let apps = self.apps.iter().filter(|app| app.owner == owner);
        apps.flat_map(|app| &app.services).flat_map(|service| &service.characteristics).find(|own| own.path == path)
    }

    pub(crate) fn find_descriptor(&self, handle: u16) -> Option<(&App, &Descriptor)> {
        let of = |app: &'_ App| {
            let all = app.services.iter().flat_map(|service| &service.characteristics);
            all.flat_map(|characteristic| &characteristic.descriptors).position(|own| own.handle == handle)
        };
        let app = self.apps.iter().find(|app| of(app).is_some())?;
        let all = app.services.iter().flat_map(|service| &service.characteristics);
        Some((app, all.flat_map(|characteristic| &characteristic.descriptors).nth(of(app)?)?))
    }

    /// Forgets a connection. Answers the characteristics that nobody follows any more.
    pub(crate) fn forget_link(&mut self, link: LinkId) -> Vec<u16> {
        let left = |own: &mut Characteristic| (own.subscribers.remove(&link) && own.subscribers.is_empty()).then_some(own.handle);
        self.characteristics_mut().filter_map(left).collect()
    }

    fn characteristics_mut(&mut self) -> impl Iterator<Item = &mut Characteristic> {
        self.apps.iter_mut().flat_map(|app| &mut app.services).flat_map(|service| &mut service.characteristics)
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Service> {
        self.apps.iter().flat_map(|app| &app.services)
    }

    pub(crate) fn service_uuids(&self) -> impl Iterator<Item = String> {
        self.services().map(|service| service.uuid.clone())
    }

    fn take_handles(&mut self, count: u16) -> u16 {
        let first = self.next_handle;
        self.next_handle = self.next_handle.saturating_add(count);
        first
    }
}

/// The objects by which a peer's bus shows services below the device at `device`.
pub(crate) fn objects<'a>(
    services: impl Iterator<Item = &'a Service>,
    device: &str,
    mtu: u16,
    notifying: &BTreeMap<u16, BTreeSet<String>>,
) -> BTreeMap<String, Interfaces> {
    let mut objects = BTreeMap::new();
    for service in services {
        let service_path = format!("{device}/service{:04x}", service.handle);
        let mut properties = Properties::from([
            ("UUID", Value::from(service.uuid.clone())),
            ("Primary", Value::from(service.primary)),
            ("Device", wire::path_value(device)),
        ]);
        properties.insert("Includes", Value::from(Vec::<zbus::zvariant::ObjectPath<'static>>::new()));
        objects.insert(service_path.clone(), Interfaces::from([(SERVICE, properties)]));
        for characteristic in &service.characteristics {
            let char_path = format!("{service_path}/char{:04x}", characteristic.handle);
            let mut properties = Properties::from([
                ("UUID", Value::from(characteristic.uuid.clone())),
                ("Service", wire::path_value(&service_path)),
                ("Flags", Value::from(characteristic.flags.clone())),
                ("Value", Value::from(Vec::<u8>::new())),
                ("MTU", Value::from(mtu)),
            ]);
            if characteristic.notifies() {
                properties.insert("Notifying", Value::from(notifying.contains_key(&characteristic.handle)));
            }
            objects.insert(char_path.clone(), Interfaces::from([(CHARACTERISTIC, properties)]));
            for descriptor in &characteristic.descriptors {
                let properties = Properties::from([
                    ("UUID", Value::from(descriptor.uuid.clone())),
                    ("Characteristic", wire::path_value(&char_path)),
                    ("Flags", Value::from(descriptor.flags.clone())),
                    ("Value", Value::from(Vec::<u8>::new())),
                ]);
                let path = format!("{char_path}/desc{:04x}", descriptor.handle);
                objects.insert(path, Interfaces::from([(DESCRIPTOR, properties)]));
            }
        }
    }
    objects
}

fn uuid_of(properties: &Options) -> Option<String> {
    canonical_uuid(&wire::text(properties.get("UUID")?)?)
}

fn belongs(properties: &Options, property: &str, parent: &str) -> bool {
    properties.get(property).and_then(|value| wire::text(value)).as_deref() == Some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_read_from_its_path() {
        assert_eq!(Attribute::from_path("service000a"), Some(Attribute::Service(10)));
        assert_eq!(Attribute::from_path("service000a/char000b"), Some(Attribute::Characteristic(11)));
        assert_eq!(Attribute::from_path("service000a/char000b/desc000d"), Some(Attribute::Descriptor(13)));
        assert_eq!(Attribute::from_path("service000a/xyz"), None);
        assert_eq!(Attribute::from_path(""), None);
    }

    #[test]
    fn an_application_without_a_service_is_not_taken() {
        assert_eq!(Database::default().register(":1.2", "/app", &ManagedObjects::new()), None);
    }
}
