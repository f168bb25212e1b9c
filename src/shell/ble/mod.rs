//! The Bluetooth transport: shows what the node wants shown, tells what is heard, opens links and moves bytes. It knows no cryptography
//! and no protocol.
//!
//! Laws: it shows an advert only as long as the node says; it writes to a link only what the core handed over, whole cells in order; a
//! `LinkUp` precedes and a `LinkDown` ends everything else about a link; nothing here grows without bound. An address is no identity: it
//! never leaves this module.
//!
//! Central (scan, connect) is `btleplug` everywhere; peripheral (advertise, GATT server) is `bluer` on Linux and nothing elsewhere: there
//! this device finds others and is not found. Neither Android nor iOS has been built.
//!
//! One service with two characteristics. A central writes cells to one without response, and takes cells from the other as
//! notifications. BlueZ sends a notification to every central that subscribed, so that a Linux device answers one at a time; whoever
//! comes meanwhile is not heard, and tries again or is dialled.

mod central;
mod link;
#[cfg(target_os = "linux")]
mod peripheral;
#[cfg(not(target_os = "linux"))]
#[path = "peripheral_elsewhere.rs"]
mod peripheral;
mod station;

use crate::proto::config::CELL_BYTES;
use crate::proto::id::LinkId;
use crate::proto::io::{Input, RadioCommand};
use crate::proto::wire::advert::SERVICE_UUID;
use crate::shell::queue::{End, Links};
use station::{Order, Station};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

const SERVICE: Uuid = Uuid::from_u128(SERVICE_UUID);
/// Cells to the peripheral.
const WRITE: Uuid = Uuid::from_u128(SERVICE_UUID + 1);
/// Cells from the peripheral.
const NOTIFY: Uuid = Uuid::from_u128(SERVICE_UUID + 2);
/// What ATT takes of each packet (Bluetooth Core 5.4, vol. 3 part F §3.4.5.3 and §3.4.7.1).
const ATT_HEADER_BYTES: usize = 3;
/// How long [`Ble::shutdown`] waits for what is still queued.
const SHUTDOWN_TIME_MAX: Duration = Duration::from_secs(5);

/// How Bluetooth stands, and with it what a person can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum BleState {
    /// Switched off here.
    #[default]
    Off,
    /// Being opened.
    Starting,
    /// In use.
    On {
        /// Others find this device; otherwise it only finds others.
        is_shown: bool,
    },
    /// No Bluetooth service or no adapter: plug one in.
    NoAdapter,
    /// The adapter is switched off in the system: switch it on.
    PoweredOff,
    /// The system does not let this program use Bluetooth: allow it.
    NotAllowed,
}

/// How a [`Ble`] is set up.
#[derive(Clone)]
pub struct BleOptions {
    /// The adapter, as the system calls it; `None`: the first.
    pub adapter: Option<String>,
    /// The next link's number, shared with the other transports.
    pub links: Arc<AtomicU64>,
}

/// The running transport. None of its methods but [`Ble::shutdown`] waits; dropping it closes everything in a hurry.
pub struct Ble {
    links: Arc<Links>,
    /// Unbounded, because every order must be carried out; the node alone fills it.
    orders: mpsc::UnboundedSender<Order>,
    state: watch::Receiver<BleState>,
    /// Ends with the station.
    ended: oneshot::Receiver<()>,
}

impl Ble {
    /// Opens the adapter, and from then on tells `events` what happens. It is tried again while there is none.
    ///
    /// It has a thread of its own: on several, `bluer` hands over values that came close together in any order.
    pub fn start(options: BleOptions, events: mpsc::Sender<Input>) -> Ble {
        let links = Arc::new(Links::new(options.links));
        let (orders, ordered) = mpsc::unbounded_channel();
        let (told, state) = watch::channel(BleState::Starting);
        let station = Station::new(options.adapter, links.clone(), events, ordered, told);
        let (end, ended) = oneshot::channel();
        std::thread::spawn(move || {
            // Without timers there is nothing to wait with: then there is no Bluetooth, as without an adapter.
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime.block_on(station.run());
            }
            let _ = end.send(());
        });
        Ble { links, orders, state, ended }
    }

    /// Queues whole cells on a link; nothing happens if the link is gone. A link whose peer does not read is closed, see `queue`.
    pub fn transmit(&self, link: LinkId, bytes: Vec<u8>) {
        debug_assert!(bytes.len().is_multiple_of(CELL_BYTES), "only whole cells leave the device");
        self.links.push(link, bytes);
    }

    /// Closes a link once what is queued on it has left; `LinkDown` answers.
    pub fn disconnect(&self, link: LinkId) {
        self.links.end(link, End::Flushed);
    }

    /// What the node wants of the radio.
    pub fn command(&self, command: RadioCommand) {
        let _ = self.orders.send(Order::Radio(command));
    }

    /// Off: shows nothing, hears nothing, closes all links. On: begins again.
    pub fn set_online(&self, online: bool) {
        let _ = self.orders.send(Order::Online(online));
    }

    /// How it stands, now and from now on.
    pub fn state(&self) -> watch::Receiver<BleState> {
        self.state.clone()
    }

    /// How many links stand.
    pub fn peers(&self) -> usize {
        self.links.count()
    }

    /// Shows nothing more and closes everything. The last `LinkDown`s need not be heard.
    pub async fn shutdown(self) {
        let _ = self.orders.send(Order::Close);
        let _ = tokio::time::timeout(SHUTDOWN_TIME_MAX, self.ended).await;
    }
}

/// How many bytes of a cell fit one GATT value at this MTU: all 244, or half; `None`: too little for a link.
fn value_bytes(mtu: u16) -> Option<usize> {
    match usize::from(mtu).saturating_sub(ATT_HEADER_BYTES) {
        CELL_BYTES.. => Some(CELL_BYTES),
        HALF_CELL_BYTES.. => Some(HALF_CELL_BYTES),
        _ => None,
    }
}

const HALF_CELL_BYTES: usize = CELL_BYTES / 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_cell_or_half_of_one_or_there_is_no_link() {
        let of = [23, 124, 125, 246, 247, 517].map(value_bytes);
        assert_eq!(of, [None, None, Some(122), Some(122), Some(244), Some(244)]);
    }
}
