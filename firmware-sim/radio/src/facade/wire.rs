//! D-Bus messages as the facade reads and writes them.
//!
//! Laws: a message of a form we do not expect is an error reply, never a panic; the error names and texts are
//! those of bluetoothd and of its GDBus library.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use serde::Serialize;
use zbus::Message;
use zbus::message::Flags;
use zbus::zvariant::{DynamicDeserialize, DynamicType, OwnedObjectPath, OwnedValue, Value};

pub(crate) const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
pub(crate) const OBJECT_MANAGER: &str = "org.freedesktop.DBus.ObjectManager";
pub(crate) const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
pub(crate) const ADAPTER: &str = "org.bluez.Adapter1";
pub(crate) const DEVICE: &str = "org.bluez.Device1";
pub(crate) const GATT_MANAGER: &str = "org.bluez.GattManager1";
pub(crate) const ADVERTISING_MANAGER: &str = "org.bluez.LEAdvertisingManager1";
pub(crate) const ADVERTISEMENT: &str = "org.bluez.LEAdvertisement1";
pub(crate) const SERVICE: &str = "org.bluez.GattService1";
pub(crate) const CHARACTERISTIC: &str = "org.bluez.GattCharacteristic1";
pub(crate) const DESCRIPTOR: &str = "org.bluez.GattDescriptor1";
pub(crate) const ADAPTER_PATH: &str = "/org/bluez/hci0";

/// Properties of one interface, in the order of their names.
pub(crate) type Properties = BTreeMap<&'static str, Value<'static>>;
/// Interfaces of one object.
pub(crate) type Interfaces = BTreeMap<&'static str, Properties>;
/// `a{sv}` as it comes in.
pub(crate) type Options = HashMap<String, OwnedValue>;
/// What an application answers to GetManagedObjects.
pub(crate) type ManagedObjects = HashMap<OwnedObjectPath, HashMap<String, Options>>;

/// A method call that waits for its reply.
#[derive(Clone)]
pub(crate) struct Call {
    message: Message,
    pub(crate) sender: String,
    pub(crate) path: String,
    pub(crate) interface: String,
    pub(crate) member: String,
}

impl Call {
    pub(crate) fn read(message: &Message) -> Option<Self> {
        let header = message.header();
        Some(Self {
            sender: header.sender()?.to_string(),
            path: header.path()?.to_string(),
            interface: header.interface().map(ToString::to_string).unwrap_or_default(),
            member: header.member()?.to_string(),
            message: message.clone(),
        })
    }

    /// Whether this is the same call, not only one like it.
    pub(crate) fn is(&self, other: &Self) -> bool {
        let serial = |call: &Self| call.message.primary_header().serial_num();
        self.sender == other.sender && serial(self) == serial(other)
    }

    pub(crate) fn arguments<T: for<'a> DynamicDeserialize<'a>>(&self) -> Result<T, Refusal> {
        read_body(&self.message).ok_or_else(Refusal::invalid_arguments)
    }

    pub(crate) fn reply<B: Serialize + DynamicType>(&self, body: &B) -> Option<Message> {
        Message::method_return(&self.message.header()).ok()?.build(body).ok()
    }

    pub(crate) fn refuse(&self, refusal: &Refusal) -> Option<Message> {
        Message::error(&self.message.header(), refusal.name.as_str()).ok()?.build(&refusal.text).ok()
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}.{}", self.path, self.interface, self.member)
    }
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Refusal {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }
    pub(crate) fn failed(text: &str) -> Self {
        Self::new("org.bluez.Error.Failed", text)
    }
    pub(crate) fn not_connected() -> Self {
        Self::failed("Not connected")
    }
    pub(crate) fn not_ready() -> Self {
        Self::new("org.bluez.Error.NotReady", "Resource Not Ready")
    }
    pub(crate) fn in_progress() -> Self {
        Self::new("org.bluez.Error.InProgress", "Operation already in progress")
    }
    pub(crate) fn not_supported() -> Self {
        Self::new("org.bluez.Error.NotSupported", "Operation is not supported")
    }
    pub(crate) fn not_permitted(text: &str) -> Self {
        Self::new("org.bluez.Error.NotPermitted", text)
    }
    pub(crate) fn already_exists() -> Self {
        Self::new("org.bluez.Error.AlreadyExists", "Already Exists")
    }
    pub(crate) fn does_not_exist() -> Self {
        Self::new("org.bluez.Error.DoesNotExist", "Does Not Exist")
    }
    pub(crate) fn invalid_arguments() -> Self {
        Self::new("org.bluez.Error.InvalidArguments", "Invalid arguments in method call")
    }
    pub(crate) fn no_such_property(name: &str) -> Self {
        Self::new("org.freedesktop.DBus.Error.InvalidArgs", &format!("No such property '{name}'"))
    }
    pub(crate) fn unknown_method(call: &Call) -> Self {
        let text = format!("Method \"{}\" on interface \"{}\" doesn't exist", call.member, call.interface);
        Self::new("org.freedesktop.DBus.Error.UnknownMethod", &text)
    }
    pub(crate) fn unknown_object(path: &str) -> Self {
        Self::new("org.freedesktop.DBus.Error.UnknownObject", &format!("Object does not exist at path \"{path}\""))
    }

    /// What an application answered instead of a value, as its peer gets it over the air.
    pub(crate) fn from_message(message: &Message) -> Self {
        let name = message.header().error_name().map(ToString::to_string).unwrap_or_default();
        let text = read_body(message).unwrap_or_default();
        match name.starts_with("org.bluez.Error.") {
            true => Self { name, text },
            false => Self::failed("Operation failed with ATT error: 0x0e"), // Unlikely Error
        }
    }
}

/// The body of a message, when it has the expected form.
pub(crate) fn read_body<T: for<'a> DynamicDeserialize<'a>>(message: &Message) -> Option<T> {
    message.body().deserialize().ok()
}

/// A call to an application.
pub(crate) fn call<B: Serialize + DynamicType>(to: &str, path: &str, interface: &str, member: &str, body: &B) -> Option<Message> {
    let builder = Message::method_call(path, member).ok()?.destination(to).ok()?.interface(interface).ok()?;
    builder.build(body).ok()
}

/// A call whose answer nobody awaits.
pub(crate) fn call_no_reply<B: Serialize + DynamicType>(
    to: &str,
    path: &str,
    interface: &str,
    member: &str,
    body: &B,
) -> Option<Message> {
    let builder = Message::method_call(path, member).ok()?.destination(to).ok()?.interface(interface).ok()?;
    builder.with_flags(Flags::NoReplyExpected).ok()?.build(body).ok()
}

pub(crate) fn properties_changed(path: &str, interface: &str, changed: &Properties, invalidated: &[&str]) -> Option<Message> {
    Message::signal(path, PROPERTIES, "PropertiesChanged").ok()?.build(&(interface, changed, invalidated)).ok()
}

pub(crate) fn interfaces_added(path: &str, interfaces: &Interfaces) -> Option<Message> {
    let object = OwnedObjectPath::try_from(path).ok()?;
    Message::signal("/", OBJECT_MANAGER, "InterfacesAdded").ok()?.build(&(object, interfaces)).ok()
}

pub(crate) fn interfaces_removed(path: &str, interfaces: &[&str]) -> Option<Message> {
    let object = OwnedObjectPath::try_from(path).ok()?;
    Message::signal("/", OBJECT_MANAGER, "InterfacesRemoved").ok()?.build(&(object, interfaces)).ok()
}

/// The bytes of an `ay`, whether or not wrapped in a variant.
pub(crate) fn bytes(value: &Value<'_>) -> Option<Vec<u8>> {
    match value {
        Value::Value(inner) => bytes(inner),
        Value::Array(array) => array.iter().map(|item| if let Value::U8(byte) = item { Some(*byte) } else { None }).collect(),
        _ => None,
    }
}

/// The text of an `s` or `o`.
pub(crate) fn text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Value(inner) => text(inner),
        Value::Str(text) => Some(text.to_string()),
        Value::ObjectPath(path) => Some(path.to_string()),
        _ => None,
    }
}

/// The texts of an `as`.
pub(crate) fn texts(value: &Value<'_>) -> Option<Vec<String>> {
    match value {
        Value::Value(inner) => texts(inner),
        Value::Array(array) => array.iter().map(text).collect(),
        _ => None,
    }
}

/// The pairs of a dictionary.
pub(crate) fn pairs<'a>(value: &'a Value<'a>) -> Option<Vec<(&'a Value<'a>, &'a Value<'a>)>> {
    match value {
        Value::Value(inner) => pairs(inner),
        Value::Dict(dict) => Some(dict.iter().collect()),
        _ => None,
    }
}

/// A whole number of any width that is not negative.
pub(crate) fn number(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Value(inner) => number(inner),
        Value::U8(n) => Some(u64::from(*n)),
        Value::U16(n) => Some(u64::from(*n)),
        Value::U32(n) => Some(u64::from(*n)),
        Value::U64(n) => Some(*n),
        Value::I16(n) => u64::try_from(*n).ok(),
        Value::I32(n) => u64::try_from(*n).ok(),
        Value::I64(n) => u64::try_from(*n).ok(),
        _ => None,
    }
}

pub(crate) fn path_value(path: &str) -> Value<'static> {
    OwnedObjectPath::try_from(path).map_or_else(|_| Value::from(path.to_owned()), |path| Value::from(path.into_inner()))
}
