//! Where a relay is, and the way to it: TCP, with pinned TLS if the address says so.

use super::stream::Stream;
use super::tls::{self, Pin};
use rustls::pki_types::ServerName;
use std::fmt;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::http::Uri;

/// Longer than this and there is no way to the relay: DNS, TCP and TLS together.
const CONNECT_MAX: Duration = Duration::from_secs(20);

/// A relay's address as the event pack gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayAddress {
    /// `ws://host:port` or `wss://host:port`; nothing behind the port.
    pub url: String,
    /// SHA-256 of the relay's certificate (DER). With `wss` it must be there, with `ws` it must not.
    pub tls_pin: Option<[u8; 32]>,
}

/// Why an address is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AddressInvalid {
    /// It does not parse, or says more than it may.
    #[error("a relay's address reads ws://host:port or wss://host:port")]
    Form,
    /// `wss` without a pin: there is no certificate authority to ask instead.
    #[error("a wss:// relay needs the hash of its certificate: `alcove relay` prints it when it starts")]
    PinMissing,
    /// `ws` with a pin, which nothing would check.
    #[error("a certificate's hash protects only a wss:// relay: write wss:// or leave the hash out")]
    PinUseless,
}

/// Why there is no way to a relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody answers there.
    #[error("the relay cannot be reached")]
    Unreachable,
    /// Somebody answers who is not the event's relay: a captive portal, or worse.
    #[error("somebody else answers in the relay's place: the certificate is not the one in the event pack")]
    PinMismatch,
}

/// A checked [`RelayAddress`].
#[derive(Clone, Debug)]
pub struct Endpoint {
    host: String,
    port: u16,
    pin: Option<Pin>,
}

impl RelayAddress {
    /// Checks the address.
    ///
    /// # Errors
    /// [`AddressInvalid`]: what is wrong with it.
    pub fn endpoint(&self) -> Result<Endpoint, AddressInvalid> {
        let uri: Uri = self.url.parse().map_err(|_| AddressInvalid::Form)?;
        let is_tls = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            Some(_) | None => return Err(AddressInvalid::Form),
        };
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let authority = uri.authority().filter(|authority| is_bare && !authority.as_str().contains('@'));
        let authority = authority.ok_or(AddressInvalid::Form)?;
        // `Uri` keeps a port that is no u16 and gives none: taken for "not given", it would lead somewhere else.
        let port = match authority.as_str().strip_prefix(authority.host()).unwrap_or_default().strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| AddressInvalid::Form)?,
            None => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
        };
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() || ServerName::try_from(host.as_str()).is_err() {
            return Err(AddressInvalid::Form);
        }
        let pin = match (is_tls, self.tls_pin) {
            (true, Some(pin)) => Some(Pin(pin)),
            (false, None) => None,
            (true, None) => return Err(AddressInvalid::PinMissing),
            (false, Some(_)) => return Err(AddressInvalid::PinUseless),
        };
        Ok(Endpoint { host, port, pin })
    }
}

impl Endpoint {
    /// Opens a connection, TLS included, within 20 s.
    ///
    /// # Errors
    /// [`ConnectError`]: nobody, or not the right one, is there.
    pub async fn connect(&self) -> Result<Stream, ConnectError> {
        timeout(CONNECT_MAX, self.open()).await.unwrap_or(Err(ConnectError::Unreachable))
    }

    async fn open(&self) -> Result<Stream, ConnectError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|_| ConnectError::Unreachable)?;
        let _ = tcp.set_nodelay(true);
        let Some(pin) = self.pin else { return Ok(Stream::Plain(tcp)) };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| ConnectError::Unreachable)?;
        match TlsConnector::from(tls::pinned(pin)).connect(name, tcp).await {
            Ok(tls) => Ok(Stream::Tls(Box::new(tls.into()))),
            Err(error) if tls::is_pin_mismatch(&error) => Err(ConnectError::PinMismatch),
            Err(_) => Err(ConnectError::Unreachable),
        }
    }
}

/// Host and port as a `Host` header and a URL want them.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') { write!(f, "[{}]:{}", self.host, self.port) } else { write!(f, "{}:{}", self.host, self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, tls_pin: Option<[u8; 32]>) -> Result<String, AddressInvalid> {
        RelayAddress { url: url.into(), tls_pin }.endpoint().map(|endpoint| endpoint.to_string())
    }

    #[test]
    fn an_address_names_a_host_and_a_port_and_nothing_else() {
        assert_eq!(check("ws://relay.example:7878", None).as_deref(), Ok("relay.example:7878"));
        assert_eq!(check("ws://relay.example/", None).as_deref(), Ok("relay.example:80"));
        assert_eq!(check("wss://[::1]:9", Some([1; 32])).as_deref(), Ok("[::1]:9"));
        for wrong in [
            "",
            "relay.example",
            "http://a",
            "ws://",
            "ws://a/b",
            "ws://a?b",
            "ws://user@a",
            "ws://a:70000",
            "ws://a:",
            "ws://a:0x1",
            "ws://a b",
        ] {
            assert_eq!(check(wrong, None), Err(AddressInvalid::Form), "{wrong}");
        }
    }

    #[test]
    fn tls_without_a_pin_and_a_pin_without_tls_are_refused() {
        assert_eq!(check("wss://a", None), Err(AddressInvalid::PinMissing));
        assert_eq!(check("ws://a", Some([0; 32])), Err(AddressInvalid::PinUseless));
    }
}
