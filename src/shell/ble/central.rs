//! The central's side, by `btleplug`: who is heard, and connections that we open.
//!
//! A peripheral's name in the system is no identity: it changes with the address, and is remembered only to connect to whom was heard.

use super::link::{Gone, Values};
use super::{BleState, NOTIFY, SERVICE, WRITE, value_bytes};
use crate::proto::config::SIGHTINGS_MAX;
use crate::proto::id::EphemeralId;
use crate::proto::io::RadioEvent;
use crate::proto::wire::advert::Advert;
use btleplug::api::{
    Central as _, CentralEvent, CentralState, Characteristic, Manager as _, Peripheral as _, ScanFilter, WriteType,
};
use btleplug::platform::{Adapter, Manager, Peripheral, PeripheralId};
use futures_util::{Stream, StreamExt};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A connection that takes longer is given up, with its search for services.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(15);
/// An adapter that does not answer within this time is none.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// A value that is not taken for so long will not be: as long as a full queue may stay full.
const WRITE_TIME_MAX: Duration = crate::shell::queue::PATIENCE;
/// The service asks the system about one device at most once in this time.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// The RSSI of an adapter that does not measure it (Bluetooth Core 5.4, vol. 4 part E §7.7.65.2).
const RSSI_UNKNOWN: i16 = 127;

/// The adapter, listening.
pub struct Central {
    adapter: Adapter,
    /// Behind a lock that nobody ever waits for: the stream itself cannot be shared between threads.
    events: Mutex<Pin<Box<dyn Stream<Item = CentralEvent> + Send>>>,
    /// Where each id was heard last.
    heard: BTreeMap<EphemeralId, (Instant, PeripheralId)>,
    looked: BTreeMap<PeripheralId, Instant>,
}

/// A connection that we opened.
pub struct Connection {
    peripheral: Peripheral,
    write: Characteristic,
}

/// What the adapter says.
pub enum Word {
    /// For the node.
    Event(RadioEvent),
    /// It cannot be used any more.
    Lost(BleState),
}

impl Central {
    /// The adapter of this name, or the first.
    ///
    /// # Errors
    /// Why there is none, as a state to show.
    pub async fn open(name: Option<&str>) -> Result<Central, BleState> {
        let open = async {
            let manager = Manager::new().await.map_err(|error| state_of(&error))?;
            let adapters = manager.adapters().await.map_err(|error| state_of(&error))?;
            let adapter = named(adapters, name).await.ok_or(BleState::NoAdapter)?;
            if let Ok(CentralState::PoweredOff) = adapter.adapter_state().await {
                return Err(BleState::PoweredOff);
            }
            let events = adapter.events().await.map_err(|error| state_of(&error))?;
            Ok(Central { adapter, events: Mutex::new(events), heard: BTreeMap::new(), looked: BTreeMap::new() })
        };
        timeout(ANSWER_TIME_MAX, open).await.unwrap_or(Err(BleState::NoAdapter))
    }

    /// Listens from now on, or rests. A scan that the system refuses is tried again with the next.
    pub async fn scan(&self, is_on: bool) {
        let done = async {
            match is_on {
                true => self.adapter.start_scan(ScanFilter::default()).await,
                false => self.adapter.stop_scan().await,
            }
        };
        if let Ok(Err(error)) = timeout(ANSWER_TIME_MAX, done).await {
            tracing::debug!(%error, is_on, "scan");
        }
    }

    /// What it says next.
    pub async fn next(&mut self) -> Word {
        loop {
            let event = match self.events.get_mut().unwrap_or_else(PoisonError::into_inner).next().await {
                Some(event) => event,
                None => return Word::Lost(BleState::NoAdapter),
            };
            let id = match event {
                CentralEvent::StateUpdate(CentralState::PoweredOff) => return Word::Lost(BleState::PoweredOff),
                CentralEvent::DeviceDiscovered(id)
                | CentralEvent::DeviceUpdated(id)
                | CentralEvent::RssiUpdate { id, .. }
                | CentralEvent::ServiceDataAdvertisement { id, .. } => id,
                _ => continue,
            };
            if let Some(event) = self.look(id).await {
                return Word::Event(event);
            }
        }
    }

    /// What a device shows now. The first advert of a device comes with no data, so that all are asked for.
    async fn look(&mut self, id: PeripheralId) -> Option<RadioEvent> {
        let now = Instant::now();
        if self.looked.get(&id).is_some_and(|at| now.duration_since(*at) < LOOK_INTERVAL) {
            return None;
        }
        keep_newest(&mut self.looked, |at| *at);
        self.looked.insert(id.clone(), now);
        let peripheral = self.adapter.peripheral(&id).await.ok()?;
        let properties = timeout(ANSWER_TIME_MAX, peripheral.properties()).await.ok()?.ok()??;
        let advert = properties.service_data.get(&SERVICE)?.clone();
        let shown = Advert::from_bytes(&advert)?;
        keep_newest(&mut self.heard, |(at, _)| *at);
        self.heard.insert(shown.id, (now, id));
        let rssi_dbm = properties.rssi.filter(|rssi| *rssi != RSSI_UNKNOWN).and_then(|rssi| i8::try_from(rssi).ok());
        Some(RadioEvent::Heard { advert, rssi_dbm })
    }

    /// Who showed this id last, to be connected to; `None`: nobody.
    pub async fn peripheral(&self, id: EphemeralId) -> Option<Peripheral> {
        let (_, peripheral) = self.heard.get(&id)?;
        self.adapter.peripheral(peripheral).await.ok()
    }
}

impl Connection {
    /// Connects and subscribes; gives the MTU and what comes in, too. `None`: it is out of reach, or no Alcove.
    pub async fn open(peripheral: Peripheral) -> Option<(Connection, u16, impl Stream<Item = Vec<u8>> + Unpin + Send)> {
        let open = async {
            peripheral.connect().await.ok()?;
            peripheral.discover_services().await.ok()?;
            let characteristics = peripheral.characteristics();
            let of_service =
                |uuid| characteristics.iter().find(|found| found.uuid == uuid && found.service_uuid == SERVICE).cloned();
            let (write, notify) = (of_service(WRITE)?, of_service(NOTIFY)?);
            value_bytes(peripheral.mtu())?;
            let values = peripheral.notifications().await.ok()?;
            peripheral.subscribe(&notify).await.ok()?;
            let values = values.filter_map(|value| std::future::ready((value.uuid == NOTIFY).then_some(value.value)));
            Some((write, peripheral.mtu(), values))
        };
        match timeout(CONNECT_TIME_MAX, open).await {
            Ok(Some((write, mtu, values))) => Some((Connection { peripheral, write }, mtu, values)),
            Ok(None) | Err(_) => {
                let _ = timeout(ANSWER_TIME_MAX, peripheral.disconnect()).await;
                None
            }
        }
    }

    /// Closes it.
    pub async fn close(self) {
        let _ = timeout(ANSWER_TIME_MAX, self.peripheral.disconnect()).await;
    }

    /// Waits until it is gone: no notification says so.
    pub async fn gone(peripheral: Peripheral) {
        // A system that is slow to answer has not said that it is gone.
        while let Ok(Ok(true)) | Err(_) = timeout(ANSWER_TIME_MAX, peripheral.is_connected()).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// The other end, to ask about it.
    pub fn peripheral(&self) -> Peripheral {
        self.peripheral.clone()
    }
}

impl Values for Connection {
    async fn send(&mut self, value: Vec<u8>) -> Result<(), Gone> {
        let written = self.peripheral.write(&self.write, &value, WriteType::WithoutResponse);
        match timeout(WRITE_TIME_MAX, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}

/// The adapter whose description begins with this name ("hci0 (usb:…)" on Linux), or the first.
async fn named(adapters: Vec<Adapter>, name: Option<&str>) -> Option<Adapter> {
    let Some(name) = name else { return adapters.into_iter().next() };
    for adapter in adapters {
        if adapter.adapter_info().await.is_ok_and(|info| info.split(' ').next() == Some(name)) {
            return Some(adapter);
        }
    }
    None
}

/// Drops the older half when there are too many.
fn keep_newest<K: Ord + Clone, V>(map: &mut BTreeMap<K, V>, at: impl Fn(&V) -> Instant) {
    if map.len() < SIGHTINGS_MAX {
        return;
    }
    let mut times: Vec<_> = map.values().map(&at).collect();
    times.sort_unstable();
    let middle = times[times.len() / 2];
    map.retain(|_, value| at(value) >= middle);
}

fn state_of(error: &btleplug::Error) -> BleState {
    match error {
        btleplug::Error::PermissionDenied => BleState::NotAllowed,
        _ if error.to_string().contains("AccessDenied") => BleState::NotAllowed,
        _ => BleState::NoAdapter,
    }
}
