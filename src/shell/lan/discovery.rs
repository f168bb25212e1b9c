//! mDNS service discovery (RFC 6762, RFC 6763) of `_alcove._tcp`: what we show of ourselves, and whom we see.
//!
//! Laws: what we show are two random names, a port and our addresses, no TXT record; only instances with a name of our own form
//! are seen. It does not decide whom to dial.

use super::{ADDRESSES_MAX, Discovery};
use crate::proto::rng::Rng;
use mdns_sd::{IfKind, Receiver, ResolvedService, ScopedIp, ServiceDaemon, ServiceEvent, ServiceInfo};
use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;
use tokio::time::timeout;

const SERVICE: &str = "_alcove._tcp.local.";
/// How long a goodbye may take to leave (notes/lan.md: not awaited, it is lost, and neighbours keep a ghost).
const GOODBYE: Duration = Duration::from_millis(500);
/// Ports below are other services' (RFC 6335): nobody makes us knock there.
const PORT_MIN: u16 = 1024;

/// The name of an instance: random, so that it says nothing; its order decides who dials.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name([u8; 16]);

impl Name {
    /// A fresh one.
    pub fn new(rng: &mut Rng) -> Self {
        Self(rng.bytes())
    }

    /// Reads the name of one of our instances from its full name; `None` if it is not exactly of that form.
    fn of(fullname: &str) -> Option<Self> {
        let digits = fullname.strip_suffix(SERVICE)?.strip_suffix('.')?.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = (char::from(pair[0]).to_digit(16)? * 16 + char::from(pair[1]).to_digit(16)?) as u8;
        }
        Some(Self(bytes))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A change of what is to be seen.
pub(super) enum Sighting {
    /// An instance, with all addresses known of it by now, best first.
    Seen(Name, Vec<SocketAddr>),
    /// An instance said goodbye, or was not heard for too long.
    Gone(Name),
    /// All that was seen so far is to be forgotten: what is there will be seen anew.
    Anew,
}

/// The running mDNS daemon.
pub(super) struct Watch {
    daemon: ServiceDaemon,
    sightings: Receiver<ServiceEvent>,
}

impl Watch {
    /// Starts to look; `None` if discovery is off.
    ///
    /// # Errors
    /// If the daemon does not start: try again later.
    pub fn start(discovery: Discovery, mdns_port: u16) -> mdns_sd::Result<Option<Self>> {
        let daemon = match discovery {
            Discovery::Off => return Ok(None),
            Discovery::Multicast => ServiceDaemon::new_with_port(mdns_port)?,
            Discovery::LoopbackOnly => {
                let daemon = ServiceDaemon::new_with_port(mdns_port)?;
                daemon.disable_interface(IfKind::All)?;
                daemon.enable_interface(IfKind::LoopbackV4)?;
                daemon
            }
        };
        let sightings = daemon.browse(SERVICE)?;
        Ok(Some(Self { daemon, sightings }))
    }

    /// Shows ourselves under this name, at these addresses (none: at all that the interfaces have, now and later).
    ///
    /// # Errors
    /// If the daemon does not answer: start another one.
    pub fn announce(&self, name: Name, host: Name, addresses: &[IpAddr], port: u16) -> mdns_sd::Result<()> {
        let (name, host) = (name.to_string(), format!("{host}.local."));
        let mut shown =
            ServiceInfo::new(SERVICE, &name, &host, addresses, port, None::<std::collections::HashMap<String, String>>)?;
        if addresses.is_empty() {
            shown = shown.enable_addr_auto();
        }
        self.daemon.register(shown)
    }

    /// Says goodbye to a name.
    pub async fn withdraw(&self, name: Name) {
        if let Ok(answer) = self.daemon.unregister(&format!("{name}.{SERVICE}")) {
            let _ = timeout(GOODBYE, answer.recv_async()).await;
        }
    }

    /// The next sighting; `None` if the daemon has died. Nothing is lost if this is not waited for to its end.
    pub async fn next(&mut self) -> Option<Sighting> {
        loop {
            match self.sightings.recv_async().await {
                Ok(ServiceEvent::ServiceResolved(service)) => {
                    if let Some(name) = Name::of(&service.fullname) {
                        return Some(Sighting::Seen(name, addresses(&service)));
                    }
                }
                Ok(ServiceEvent::ServiceRemoved(_, fullname)) => {
                    if let Some(name) = Name::of(&fullname) {
                        return Some(Sighting::Gone(name));
                    }
                }
                Ok(_) => {}
                // The daemon drops whoever falls a thousand events behind.
                Err(_) => {
                    self.sightings = self.daemon.browse(SERVICE).ok()?;
                    return Some(Sighting::Anew);
                }
            }
        }
    }

    /// Ends the daemon and waits until it has said goodbye.
    pub async fn stop(self) {
        if let Ok(answer) = self.daemon.shutdown() {
            let _ = timeout(GOODBYE, answer.recv_async()).await;
        }
    }
}

impl Drop for Watch {
    /// The daemon's thread does not end by itself.
    fn drop(&mut self) {
        let _ = self.daemon.shutdown();
    }
}

/// IPv4 first, then IPv6, then IPv6 that needs a scope.
fn addresses(service: &ResolvedService) -> Vec<SocketAddr> {
    if service.port < PORT_MIN {
        return Vec::new();
    }
    let mut ranked: Vec<(u8, SocketAddr)> = service.addresses.iter().filter_map(|ip| rank(ip, service.port)).collect();
    ranked.sort();
    ranked.into_iter().map(|(_, address)| address).take(ADDRESSES_MAX).collect()
}

fn rank(ip: &ScopedIp, port: u16) -> Option<(u8, SocketAddr)> {
    match ip {
        ScopedIp::V4(v4) => Some((0, SocketAddr::new((*v4.addr()).into(), port))),
        ScopedIp::V6(v6) if v6.addr().is_unicast_link_local() => {
            Some((2, SocketAddrV6::new(*v6.addr(), port, 0, v6.scope_id().index).into()))
        }
        ScopedIp::V6(v6) => Some((1, SocketAddr::new((*v6.addr()).into(), port))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_from_what_is_announced() {
        let name = Name::new(&mut Rng::new([1; 32]));
        assert!(Name::of(&format!("{name}.{SERVICE}")) == Some(name));
        assert!(Name::of(&format!("{name}.{SERVICE}").to_uppercase().replace("_ALCOVE._TCP.LOCAL.", SERVICE)) == Some(name));
    }

    #[test]
    fn an_instance_with_a_name_not_of_our_form_is_not_seen() {
        let name = Name::new(&mut Rng::new([1; 32])).to_string();
        for fullname in [
            format!("{name} (2).{SERVICE}"),
            format!("{}.{SERVICE}", &name[1..]),
            format!("{}é.{SERVICE}", &name[2..]),
            format!("{}g.{SERVICE}", &name[1..]),
            format!("{name}._other._tcp.local."),
            String::new(),
        ] {
            assert!(Name::of(&fullname).is_none(), "{fullname}");
        }
    }
}
