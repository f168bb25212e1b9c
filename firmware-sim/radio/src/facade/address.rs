//! A Bluetooth device address, and the D-Bus paths that carry it.

use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::RngCore;

use super::wire::ADAPTER_PATH;

/// Six bytes, most significant first, as people read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 6]);

impl Address {
    /// A random address of the shape of a resolvable private one: its two top bits are 01 (Core Vol 6 Part B 1.3.2.2).
    pub(crate) fn random(rng: &mut ChaCha8Rng) -> Self {
        let mut bytes = [0; 6];
        rng.fill_bytes(&mut bytes);
        bytes[0] = (bytes[0] & 0x3f) | 0x40;
        Self(bytes)
    }

    /// The object that shows this device.
    pub(crate) fn path(self) -> String {
        format!("{ADAPTER_PATH}/dev_{}", self.to_string().replace(':', "_"))
    }

    /// Splits an object path into the device's address and what lies below it.
    pub(crate) fn from_path(path: &str) -> Option<(Self, &str)> {
        let name = path.strip_prefix(ADAPTER_PATH)?.strip_prefix("/dev_")?;
        let (device, below) = name.split_once('/').unwrap_or((name, ""));
        let mut bytes = [0; 6];
        let mut parts = device.split('_');
        for byte in &mut bytes {
            *byte = u8::from_str_radix(parts.next().filter(|part| part.len() == 2)?, 16).ok()?;
        }
        parts.next().is_none().then_some((Self(bytes), below))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02X}:{b:02X}:{c:02X}:{d:02X}:{e:02X}:{g:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_again_in_its_path() {
        let address = Address([0x4a, 0, 1, 2, 3, 0xff]);
        assert_eq!(address.path(), "/org/bluez/hci0/dev_4A_00_01_02_03_FF");
        assert_eq!(Address::from_path(&address.path()), Some((address, "")));
        let below = format!("{}/service000a/char000b", address.path());
        assert_eq!(Address::from_path(&below), Some((address, "service000a/char000b")));
        for wrong in ["/org/bluez/hci0", "/org/bluez/hci0/dev_4A", "/org/bluez/hci1/dev_4A_00_01_02_03_FF"] {
            assert_eq!(Address::from_path(wrong), None);
        }
    }
}
