//! The LAN transport: discovers neighbours, dials, accepts and moves bytes. It knows no cryptography and no protocol.
//!
//! Laws: it writes to a link only what the core handed over, whole cells in order; a `LinkUp` precedes and a `LinkDown` ends
//! everything else about a link; of two devices that see each other one dials; nothing here grows without bound. What an onlooker
//! sees of us (instance name, host name, port) is random and redrawn after a random 8–15 minutes, with a silent gap between the
//! old and the new, so that nobody counts both at once.
//!
//! What this does not hide: that a device announces `_alcove._tcp`, and its IP (and MAC) address, which stays the same over a
//! redrawn name and links the two for everybody on the same network. Standing links keep their ports, too.

mod dial;
mod discovery;
mod interface;
mod link;
mod listener;
mod neighbourhood;
mod place;
mod station;

use crate::proto::config::CELL_BYTES;
use crate::proto::id::{DialId, LinkId};
use crate::proto::io::Input;
use crate::shell::queue::{End, Links};
use station::{Order, Station};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Links in all: more neighbours than fan-out ever uses, few enough that their buffers stay below 100 MiB.
pub const LINKS_MAX: usize = 64;
/// Links that others opened: the rest of [`LINKS_MAX`] stays free for those we open ourselves.
pub const ACCEPTED_MAX: usize = 40;
/// Links that others opened from one address: one neighbour cannot take every place.
pub const ACCEPTED_PER_ADDRESS_MAX: usize = 8;
/// Links to what discovery found stop here, so that a scanned code can always be dialled.
pub const FOUND_MAX: usize = 56;
/// Attempts to dial that run at a time; further orders of the node fail at once.
pub const DIALS_MAX: usize = 16;
/// Addresses of one order to dial, or of one neighbour, that are tried.
pub const ADDRESSES_MAX: usize = 8;
/// How long [`Lan::shutdown`] waits for goodbyes and for what is still queued.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(3);

/// How neighbours are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discovery {
    /// mDNS on every interface.
    Multicast,
    /// mDNS on the loopback interface alone: for several nodes on one machine. Each takes an address of its own in 127.0.0.0/8,
    /// if the system has them all, so that it looks like a host of its own. Nothing is announced or asked outside this machine
    /// (the mDNS daemon joins and leaves the multicast group on the other interfaces when it starts).
    LoopbackOnly,
    /// Not at all: links come from [`Lan::dial`] and from being dialled, and no multicast is sent.
    Off,
}

/// How a [`Lan`] is set up.
#[derive(Clone)]
pub struct LanOptions {
    /// The addresses to listen at; empty: all of them.
    pub bind: Vec<IpAddr>,
    /// The port to listen at; 0: a fresh random one, and another one at each rotation.
    pub port: u16,
    /// How neighbours are found.
    pub discovery: Discovery,
    /// The UDP port of mDNS: 5353 (RFC 6762 section 2). Another one makes a group of its own, which tests need.
    pub mdns_port: u16,
    /// After how long names and port are redrawn: 8–15 minutes.
    pub rotation: Range<Duration>,
    /// Seeds the random names and the schedule.
    pub seed: [u8; 32],
    /// The next link's number, shared with the other transports.
    pub links: Arc<AtomicU64>,
}

impl LanOptions {
    /// The app's setting: all interfaces, random port, mDNS.
    pub fn new(seed: [u8; 32], links: Arc<AtomicU64>) -> Self {
        let rotation = Duration::from_secs(8 * 60)..Duration::from_secs(15 * 60);
        Self { bind: Vec::new(), port: 0, discovery: Discovery::Multicast, mdns_port: 5353, rotation, seed, links }
    }
}

/// Why there is no LAN.
#[derive(Debug, thiserror::Error)]
pub enum LanError {
    /// No socket to listen at.
    #[error("the local network cannot be used: another program may hold the port, or the address is not this machine's ({0})")]
    Listen(#[source] std::io::Error),
}

/// The running transport. None of its methods but [`Lan::shutdown`] waits; dropping it closes everything in a hurry.
pub struct Lan {
    links: Arc<Links>,
    /// Unbounded, because every order must be answered; the node alone fills it, and the station refuses what is too much.
    orders: mpsc::UnboundedSender<Order>,
    station: JoinHandle<()>,
}

impl Lan {
    /// Opens a port, starts discovery, and from then on tells `events` what happens. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`LanError::Listen`] if no port can be opened: free the port or leave it to chance (0).
    pub fn start(options: LanOptions, events: mpsc::Sender<Input>) -> Result<Lan, LanError> {
        let links = Arc::new(Links::new(options.links.clone()));
        let (orders, ordered) = mpsc::unbounded_channel();
        let station = Station::open(options, links.clone(), events, ordered).map_err(LanError::Listen)?;
        Ok(Lan { links, orders, station: tokio::spawn(station.run()) })
    }

    /// Queues whole cells on a link; nothing happens if the link is gone. A link whose peer does not read is closed, see `link`.
    pub fn transmit(&self, link: LinkId, bytes: Vec<u8>) {
        debug_assert!(bytes.len().is_multiple_of(CELL_BYTES), "only whole cells leave the device");
        self.links.push(link, bytes);
    }

    /// Closes a link once what is queued on it has left, within a second; `LinkDown` answers at once.
    pub fn disconnect(&self, link: LinkId) {
        self.links.end(link, End::Flushed);
    }

    /// Opens a link to the first of `addresses` that answers within 3 s; `LinkUp` or `DialFailed` answers.
    pub fn dial(&self, dial: DialId, addresses: Vec<SocketAddr>) {
        let _ = self.orders.send(Order::Dial { dial, addresses });
    }

    /// Off: closes all links, says goodbye and stops listening. On: begins again, under new names and at a new port.
    pub fn set_online(&self, online: bool) {
        let _ = self.orders.send(Order::Online(online));
    }

    /// Whether this link is one of its own, and stands.
    pub fn has(&self, link: LinkId) -> bool {
        self.links.queue(link).is_some()
    }

    /// How many links stand.
    pub fn peers(&self) -> usize {
        self.links.count()
    }

    /// Says goodbye, lets what is queued leave (half a second each), and closes everything. The last `LinkDown`s need not be heard.
    pub async fn shutdown(self) {
        let _ = self.orders.send(Order::Close);
        let mut station = self.station;
        if tokio::time::timeout(SHUTDOWN_TIME_MAX, &mut station).await.is_err() {
            station.abort();
        }
    }
}
