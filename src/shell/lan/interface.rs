//! This machine's addresses: those at which a neighbour can reach it, and those of neighbours that it can reach.

use if_addrs::{IfAddr, Interface};
use std::net::{IpAddr, SocketAddr};

/// The interfaces that lead somewhere: the loopback interface only if there is no other, or if `loopback` asks for it alone.
pub(super) fn leading_somewhere(mut all: Vec<Interface>, loopback: bool) -> Vec<Interface> {
    all.retain(Interface::is_oper_up);
    if loopback || !all.iter().all(Interface::is_loopback) {
        all.retain(|interface| interface.is_loopback() == loopback);
    }
    all
}

/// Where a neighbour can dial us, best first: IPv4, then IPv6, then what is there but seldom leads to us. Link-local IPv6 is left
/// out, for its scope means nothing to anybody else.
pub(super) fn reachable(interfaces: &[Interface], bind: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    if !is_any(bind) {
        return bind.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
    }
    let mut ranked: Vec<(u8, IpAddr)> = interfaces
        .iter()
        .filter(|interface| !(interface.ip().is_ipv6() && interface.is_link_local()))
        .filter(|interface| bind.is_empty() || bind.iter().any(|ip| ip.is_ipv6() || interface.ip().is_ipv4()))
        .map(|interface| (rank(interface), interface.ip()))
        .collect();
    ranked.sort();
    ranked.dedup();
    ranked.into_iter().map(|(_, ip)| SocketAddr::new(ip, port)).collect()
}

/// Whether these addresses to listen at stand for all there are.
pub(super) fn is_any(bind: &[IpAddr]) -> bool {
    bind.iter().all(IpAddr::is_unspecified)
}

fn rank(interface: &Interface) -> u8 {
    const INSIDE_THIS_MACHINE: [&str; 4] = ["docker", "br-", "virbr", "veth"];
    let is_inside = INSIDE_THIS_MACHINE.iter().any(|prefix| interface.name.starts_with(prefix));
    match interface.ip() {
        _ if is_inside => 2,
        IpAddr::V4(ip) if ip.is_link_local() => 3,
        IpAddr::V4(_) => 0,
        IpAddr::V6(_) => 1,
    }
}

/// Whether an address that was discovered lies in the network of one of these interfaces. mDNS reaches no further, so whoever
/// announces another address only wants us to knock there.
pub(super) fn is_on_link(interfaces: &[Interface], ip: IpAddr) -> bool {
    interfaces.iter().any(|interface| match (&interface.addr, ip) {
        (IfAddr::V4(own), IpAddr::V4(ip)) => {
            let mask = u32::from(own.netmask);
            let is_host = mask == u32::MAX || (ip != (own.ip & own.netmask) && Some(ip) != own.broadcast);
            is_host && u32::from(own.ip) & mask == u32::from(ip) & mask
        }
        (IfAddr::V6(own), IpAddr::V6(ip)) => {
            let mask = u128::from(own.netmask);
            u128::from(own.ip) & mask == u128::from(ip) & mask
        }
        (IfAddr::V4(_), IpAddr::V6(_)) | (IfAddr::V6(_), IpAddr::V4(_)) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use if_addrs::{IfOperStatus, Ifv4Addr, Ifv6Addr};
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn v4(name: &str, ip: [u8; 4], prefixlen: u8) -> Interface {
        let netmask = Ipv4Addr::from(u32::MAX << (32 - prefixlen));
        named(name, IfAddr::V4(Ifv4Addr { ip: ip.into(), netmask, prefixlen, broadcast: None }))
    }

    fn v6(name: &str, ip: &str) -> Interface {
        let netmask = Ipv6Addr::from(u128::MAX << 64);
        named(name, IfAddr::V6(Ifv6Addr { ip: ip.parse().unwrap(), netmask, prefixlen: 64, broadcast: None }))
    }

    fn named(name: &str, addr: IfAddr) -> Interface {
        Interface { name: name.into(), addr, index: Some(1), oper_status: IfOperStatus::Up, is_p2p: false }
    }

    #[test]
    fn the_best_address_comes_first_and_what_leads_nowhere_is_not_told() {
        let all = vec![
            v4("lo", [127, 0, 0, 1], 8),
            v6("wlan0", "fe80::1"),
            v4("docker0", [172, 17, 0, 1], 16),
            v6("wlan0", "2001:db8::7"),
            v4("wlan0", [192, 0, 2, 7], 24),
        ];

        let told: Vec<String> = reachable(&leading_somewhere(all, false), &[], 4000).iter().map(ToString::to_string).collect();

        assert_eq!(told, ["192.0.2.7:4000", "[2001:db8::7]:4000", "172.17.0.1:4000"]);
    }

    #[test]
    fn the_loopback_address_is_told_when_there_is_nothing_else() {
        let told = reachable(&leading_somewhere(vec![v4("lo", [127, 0, 0, 1], 8)], false), &[], 4000);
        assert_eq!(told, ["127.0.0.1:4000".parse().unwrap()]);
    }

    #[test]
    fn an_announced_address_outside_our_networks_is_not_reached_for() {
        let own =
            leading_somewhere(vec![v4("lo", [127, 0, 0, 1], 8), v4("wlan0", [192, 0, 2, 7], 24), v6("wlan0", "fe80::1")], false);
        for (ip, expected) in [
            ("192.0.2.9", true),
            ("fe80::9", true),
            ("192.0.2.0", false),
            ("198.51.100.1", false),
            ("127.0.0.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_on_link(&own, ip.parse().unwrap()), expected, "{ip}");
        }
    }
}
