//! Where a relay is, and by which certificate it is known.
//!
//! Laws: one that passes [`RelayAddress::check`] names a host and a port and nothing else; TLS always has its pin, because at a venue
//! there is no certificate authority to ask, and plain `ws` never has one, because nothing would check it.

use super::{OutOfBounds, bound};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A relay's address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayAddress {
    /// `wss://host:port`, or `ws://host:port` (for trying things out).
    pub url: String,
    /// SHA-256 of the relay's certificate (DER): with `wss`, and only then.
    pub tls_pin: Option<[u8; 32]>,
}

/// Why an address is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressInvalid {
    /// It does not parse, or says more than it may.
    #[error("a relay's address reads wss://host:port#hash, where the hash is what `alcove relay` prints when it starts")]
    Form,
    /// The pin is not 64 hex digits.
    #[error("the hash behind # must be 64 hex digits, as `alcove relay` prints it when it starts")]
    Pin,
    /// `wss` without a pin.
    #[error("a wss:// relay needs the hash of its certificate behind a #: `alcove relay` prints it when it starts")]
    PinMissing,
    /// `ws` with a pin.
    #[error("a certificate's hash protects only a wss:// relay: write wss:// or leave the hash out")]
    PinUseless,
}

impl From<AddressInvalid> for OutOfBounds {
    fn from(wrong: AddressInvalid) -> OutOfBounds {
        let rule = match wrong {
            AddressInvalid::Form | AddressInvalid::Pin => "wss://host:port or ws://host:port, at most 200 characters",
            AddressInvalid::PinMissing => "wss:// always with a pin",
            AddressInvalid::PinUseless => "ws:// never with a pin",
        };
        OutOfBounds { field: "relays", rule }
    }
}

impl RelayAddress {
    /// Whether it is one.
    ///
    /// # Errors
    /// [`AddressInvalid`]: what is wrong with it.
    pub fn check(&self) -> Result<(), AddressInvalid> {
        let (is_tls, authority) = match self.url.split_once("://") {
            Some(("wss", authority)) => (true, authority),
            Some(("ws", authority)) => (false, authority),
            Some(_) | None => return Err(AddressInvalid::Form),
        };
        if !is_text(&self.url) || !is_authority(authority.strip_suffix('/').unwrap_or(authority)) {
            return Err(AddressInvalid::Form);
        }
        match (is_tls, self.tls_pin) {
            (true, Some(_)) | (false, None) => Ok(()),
            (true, None) => Err(AddressInvalid::PinMissing),
            (false, Some(_)) => Err(AddressInvalid::PinUseless),
        }
    }
}

/// `wss://host:port#` and the pin as 64 hex digits, or `ws://host:port`.
impl FromStr for RelayAddress {
    type Err = AddressInvalid;

    fn from_str(text: &str) -> Result<RelayAddress, AddressInvalid> {
        let (url, pin) = text.split_once('#').map_or((text, None), |(url, pin)| (url, Some(pin)));
        let tls_pin = pin.map(|pin| from_hex(pin).ok_or(AddressInvalid::Pin)).transpose()?;
        let address = RelayAddress { url: url.to_owned(), tls_pin };
        address.check().map(|()| address)
    }
}

impl fmt::Display for RelayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)?;
        let Some(pin) = self.tls_pin else { return Ok(()) };
        f.write_str("#")?;
        pin.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Whether a text is an `https` address: what a programme, or a pack too large for a code, is fetched from.
pub(super) fn is_web(url: &str) -> bool {
    let host = |rest: &str| is_authority(rest.split(['/', '?']).next().unwrap_or_default());
    is_text(url) && url.strip_prefix("https://").is_some_and(host)
}

fn is_text(url: &str) -> bool {
    url.len() <= bound::URL_BYTES_MAX && url.bytes().all(|c| c.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&c))
}

/// `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 3986, 3.2), without a user.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let Some((host, rest)) = v6.split_once(']') else { return false };
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').unwrap_or_default()) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_name = |c: u8| c.is_ascii_alphanumeric() || b"-._".contains(&c);
    let is_host = match text.starts_with('[') {
        true => host.parse::<std::net::Ipv6Addr>().is_ok(),
        false => !host.is_empty() && host.bytes().all(is_name),
    };
    let is_port = |port: &str| port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port != 0);
    is_host && port.is_none_or(is_port)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *byte = u8::try_from(high? * 16 + low?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_host_and_a_port_and_nothing_else() {
        let pin = "ab".repeat(32);
        for good in [&format!("wss://relay.example:7878#{pin}")[..], "ws://127.0.0.1:9", "ws://[::1]:9", "ws://[::1]", "ws://a/"] {
            assert_eq!(good.parse::<RelayAddress>().map(|address| address.to_string()), Ok(good.to_owned()));
        }
        for wrong in [
            "",
            "a",
            "http://a",
            "ws://",
            "ws://a/b",
            "ws://a?b",
            "ws://u@a",
            "ws://a:70000",
            "ws://a:",
            "ws://[::1]x",
            "ws://[g]",
            "ws://a b",
            "ws://ä",
        ] {
            assert_eq!(wrong.parse::<RelayAddress>(), Err(AddressInvalid::Form), "{wrong}");
        }
    }

    #[test]
    fn tls_without_a_pin_and_a_pin_without_tls_are_refused() {
        assert_eq!("wss://a".parse::<RelayAddress>(), Err(AddressInvalid::PinMissing));
        assert_eq!(format!("ws://a#{}", "0".repeat(64)).parse::<RelayAddress>(), Err(AddressInvalid::PinUseless));
        for short in ["", "ab", &"g".repeat(64), &"a".repeat(66)] {
            assert_eq!(format!("wss://a#{short}").parse::<RelayAddress>(), Err(AddressInvalid::Pin));
        }
    }

    #[test]
    fn a_web_address_is_https() {
        assert!(is_web("https://conf.example/programme.ics?v=2"));
        for wrong in ["http://conf.example/", "https://", "https://u@conf.example/", "https://conf.example/ä", "file:///etc"] {
            assert!(!is_web(wrong), "{wrong}");
        }
    }
}
