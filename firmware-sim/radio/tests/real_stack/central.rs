//! The central: btleplug.
//!
//! Commands: `scan`, `connect ADDRESS`, `reconnect`, `subscribe`, `unsubscribe`, `flood COUNT LENGTH` (without response),
//! `write LENGTH` (with), `read`, `state`, `disconnect`.

use std::time::Instant;

use btleplug::api::{Central, CentralEvent, Characteristic, Manager as _, Peripheral as _, ScanFilter, WriteType};
use btleplug::platform::{Adapter, Manager, Peripheral, PeripheralId};
use futures_util::StreamExt;
use uuid::Uuid;

use crate::{RX, SERVICE, TX, commands, hex};

pub async fn play() {
    let manager = Manager::new().await.expect("a bus");
    let adapter = manager.adapters().await.expect("adapters").into_iter().next().expect("an adapter");
    tokio::spawn(watch(adapter.clone()));
    println!("ready");
    let mut peer: Option<Peripheral> = None;
    let mut told = commands();
    while let Some(command) = told.recv().await {
        let words: Vec<&str> = command.split(' ').collect();
        match (words[0], &peer) {
            ("scan", _) => adapter.start_scan(ScanFilter::default()).await.expect("a scan"),
            ("connect", _) => {
                let all = adapter.peripherals().await.expect("peripherals");
                let found = all.into_iter().find(|own| own.address().to_string() == words[1]).expect("it was found");
                connect(&found).await;
                peer = Some(found);
            }
            ("reconnect", Some(peer)) => connect(peer).await,
            ("subscribe", Some(peer)) => {
                let mut values = peer.notifications().await.expect("a stream");
                tokio::spawn(async move {
                    while let Some(value) = values.next().await.filter(|value| !value.value.is_empty()) {
                        if value.uuid == Uuid::from_u128(TX) {
                            println!("notified {}\nlength {}", hex(&value.value[..value.value.len().min(4)]), value.value.len());
                        }
                    }
                });
                match peer.subscribe(&characteristic(peer, TX)).await {
                    Ok(()) => println!("subscribed"),
                    Err(error) => println!("failed {error}"),
                }
            }
            ("flood", Some(peer)) => {
                let (count, length) = (words[1].parse::<u32>().expect("count"), words[2].parse().expect("length"));
                let (rx, begin) = (characteristic(peer, RX), Instant::now());
                let mut done = Ok(());
                for n in 0..count {
                    let mut value = n.to_be_bytes().to_vec();
                    value.resize(length, 0xaa);
                    done = done.and(peer.write(&rx, &value, WriteType::WithoutResponse).await);
                }
                match done {
                    Ok(()) => println!("flooded {}", begin.elapsed().as_millis()),
                    Err(error) => println!("failed {error}"),
                }
            }
            ("write", Some(peer)) => {
                let value = vec![0; words[1].parse().expect("length")];
                peer.write(&characteristic(peer, RX), &value, WriteType::WithResponse).await.expect("written");
                println!("written");
            }
            ("unsubscribe", Some(peer)) => {
                peer.unsubscribe(&characteristic(peer, TX)).await.expect("it was subscribed");
                println!("unsubscribed");
            }
            ("read", Some(peer)) => println!("value {}", hex(&peer.read(&characteristic(peer, RX)).await.expect("a value"))),
            ("state", Some(peer)) => println!("state {}", peer.is_connected().await.expect("a state")),
            ("disconnect", Some(peer)) => {
                peer.disconnect().await.expect("the end");
                println!("disconnected");
            }
            (other, _) => panic!("no such command now: {other:?}"),
        }
    }
}

async fn connect(peer: &Peripheral) {
    match peer.connect().await {
        Ok(()) => {
            peer.discover_services().await.expect("services");
            println!("connected {}", peer.mtu());
        }
        Err(error) => println!("failed {error}"),
    }
}

fn characteristic(peer: &Peripheral, uuid: u128) -> Characteristic {
    let uuid = Uuid::from_u128(uuid);
    peer.characteristics().into_iter().find(|own| own.uuid == uuid).expect("the service")
}

async fn watch(adapter: Adapter) {
    let mut events = adapter.events().await.expect("events");
    while let Some(event) = events.next().await {
        match event {
            // The first advertisement of a device shows only in its properties.
            CentralEvent::DeviceDiscovered(id) => tell(&adapter, &id).await,
            CentralEvent::ServiceDataAdvertisement { id, .. } => tell(&adapter, &id).await,
            CentralEvent::RssiUpdate { rssi, .. } => println!("rssi {rssi}"),
            CentralEvent::DeviceDisconnected(id) => println!("gone {id}"),
            _ => {}
        }
    }
}

async fn tell(adapter: &Adapter, id: &PeripheralId) {
    let Ok(peer) = adapter.peripheral(id).await else { return };
    let Ok(Some(properties)) = peer.properties().await else { return };
    if let Some(data) = properties.service_data.get(&Uuid::from_u128(SERVICE)) {
        println!("found {} {}", peer.address(), hex(data));
    }
}
