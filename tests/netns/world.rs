//! Network namespaces joined by a bridge, made by `ip` (iproute2) and gone when dropped.
//!
//! Law: two places share a cable and nothing else; where multicast is off, the bridge forwards none.

use super::process::BINARY;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

/// A bridge, and a namespace with one cable to it for each place.
pub struct World {
    id: u32,
    places: Vec<&'static str>,
}

/// What is missing to make one, in a sentence.
pub fn is_possible() -> Result<(), String> {
    if !Path::new(BINARY).exists() {
        return Err(format!("{BINARY} is not there: run tests/netns/run, which builds it"));
    }
    let probe = format!("alcove-{}-probe", std::process::id());
    let made = Command::new("ip").args(["netns", "add", &probe]).output();
    let made = made.map_err(|error| format!("ip cannot be run ({error}): install iproute2"))?;
    if !made.status.success() {
        let why = String::from_utf8_lossy(&made.stderr);
        return Err(format!("No network namespace can be made ({}): run tests/netns/run as root", why.trim()));
    }
    ip(&["netns", "delete", &probe]);
    Ok(())
}

/// The loopback interface of the namespace in which this program runs itself.
pub fn raise_loopback() {
    ip(&["link", "set", "lo", "up"]);
}

impl World {
    /// The places and their cables; multicast passes between them only if `multicast`.
    pub fn new(places: &[&'static str], multicast: bool) -> World {
        let world = World { id: std::process::id(), places: places.to_vec() };
        let bridge = world.bridge();
        // Without snooping the bridge floods multicast, as a home router does.
        ip(&["link", "add", &bridge, "type", "bridge", "mcast_snooping", "0", "forward_delay", "0"]);
        ip(&["link", "set", &bridge, "up"]);
        for (number, place) in places.iter().enumerate() {
            let (space, port) = (world.space(place), format!("alc{number}p{}", world.id));
            ip(&["netns", "add", &space]);
            ip(&["link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &space]);
            ip(&["link", "set", &port, "master", &bridge, "up"]);
            if !multicast {
                ip(&["link", "set", "dev", &port, "type", "bridge_slave", "mcast_flood", "off"]);
                ip(&["-n", &space, "link", "set", "dev", "eth0", "multicast", "off"]);
            }
            ip(&["-n", &space, "address", "add", &format!("{}/24", world.address(place)), "dev", "eth0"]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
            ip(&["-n", &space, "link", "set", "eth0", "up"]);
            // As everywhere where there is a router: packets to a group leave by it too.
            ip(&["-n", &space, "route", "add", "default", "dev", "eth0"]);
        }
        world
    }

    /// A program that runs in this place.
    pub fn command(&self, place: &str, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(place), program]);
        command
    }

    /// Where this place is.
    pub fn address(&self, place: &str) -> Ipv4Addr {
        let number = self.places.iter().position(|other| *other == place).expect("a place of this world");
        Ipv4Addr::new(10, 77, 0, u8::try_from(number + 1).expect("a few places"))
    }

    fn space(&self, place: &str) -> String {
        format!("alcove-{}-{place}", self.id)
    }

    fn bridge(&self) -> String {
        format!("alcb{}", self.id)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for place in &self.places {
            let _ = Command::new("ip").args(["netns", "delete", &self.space(place)]).output();
        }
        let _ = Command::new("ip").args(["link", "delete", &self.bridge()]).output();
    }
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).output().expect("ip runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "ip {}: {}", arguments.join(" "), said.trim());
}
