//! The peripheral: bluer, with one service that sends back the first four bytes of what is written to it.
//!
//! Commands: `advertise HEX`, `silent`, `notify LENGTH`, `hang up`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bluer::adv::Advertisement;
use bluer::gatt::local::{
    Application, Characteristic, CharacteristicNotifier, CharacteristicNotify, CharacteristicNotifyMethod, CharacteristicRead,
    CharacteristicWrite, CharacteristicWriteMethod, Service,
};
use futures_util::FutureExt;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{RX, SERVICE, TX, commands, hex};

type Subscribers = Arc<Mutex<Vec<CharacteristicNotifier>>>;

pub async fn play() {
    let session = bluer::Session::new().await.expect("a bus");
    let adapter = session.default_adapter().await.expect("an adapter");
    adapter.set_powered(true).await.expect("power");
    let subscribers = Subscribers::default();
    let _served = adapter.serve_gatt_application(application(&subscribers)).await.expect("a service");
    println!("ready");
    let mut advertising = None;
    let mut told = commands();
    while let Some(command) = told.recv().await {
        match command.split_once(' ').unwrap_or((&command, "")) {
            ("advertise", data) => {
                drop(advertising.take());
                let interval = Some(Duration::from_millis(50));
                let advertisement = Advertisement {
                    service_data: BTreeMap::from([(Uuid::from_u128(SERVICE), bytes(data))]),
                    discoverable: Some(true),
                    min_interval: interval,
                    max_interval: interval,
                    ..Default::default()
                };
                match adapter.advertise(advertisement).await {
                    Ok(handle) => {
                        advertising = Some(handle);
                        println!("advertising");
                    }
                    Err(error) => println!("refused {error}"),
                }
            }
            ("silent", _) => {
                drop(advertising.take());
                // bluer takes the registration back in a task of its own.
                while adapter.active_advertising_instances().await.is_ok_and(|count| count > 0) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                println!("silent");
            }
            ("notify", length) => notify(&subscribers, &vec![0; length.parse().expect("a number")]).await,
            ("hang", _) => {
                // Of the connections, the one that another phone opened: it did not advertise to us.
                for address in adapter.device_addresses().await.expect("devices") {
                    let device = adapter.device(address).expect("a device");
                    if device.is_connected().await.unwrap_or(false) {
                        device.disconnect().await.expect("hung up");
                    }
                }
                println!("hung up");
            }
            other => panic!("no such command: {other:?}"),
        }
    }
}

fn application(subscribers: &Subscribers) -> Application {
    let (echo, new) = (subscribers.clone(), subscribers.clone());
    let write = move |value: Vec<u8>, _| {
        let subscribers = echo.clone();
        async move {
            let head = &value[..value.len().min(4)];
            println!("wrote {} {}", value.len(), hex(head));
            notify(&subscribers, head).await;
            Ok(())
        }
        .boxed()
    };
    let subscribe = move |notifier: CharacteristicNotifier| {
        let subscribers = new.clone();
        async move {
            tokio::spawn(notifier.stopped().map(|()| println!("unsubscriber")));
            subscribers.lock().await.push(notifier);
            println!("subscriber");
        }
        .boxed()
    };
    let rx = Characteristic {
        uuid: Uuid::from_u128(RX),
        read: Some(CharacteristicRead { read: true, fun: Box::new(|_| async { Ok(vec![0x2a]) }.boxed()), ..Default::default() }),
        write: Some(CharacteristicWrite {
            write: true,
            write_without_response: true,
            method: CharacteristicWriteMethod::Fun(Box::new(write)),
            ..Default::default()
        }),
        ..Default::default()
    };
    let tx = Characteristic {
        uuid: Uuid::from_u128(TX),
        notify: Some(CharacteristicNotify {
            notify: true,
            method: CharacteristicNotifyMethod::Fun(Box::new(subscribe)),
            ..Default::default()
        }),
        ..Default::default()
    };
    let service = Service { uuid: Uuid::from_u128(SERVICE), primary: true, characteristics: vec![rx, tx], ..Default::default() };
    Application { services: vec![service], ..Default::default() }
}

/// Tells all who follow now, or says that there is nobody.
async fn notify(subscribers: &Subscribers, value: &[u8]) {
    let mut subscribers = subscribers.lock().await;
    subscribers.retain(|notifier| !notifier.is_stopped());
    if subscribers.is_empty() {
        println!("nobody");
    }
    for notifier in subscribers.iter_mut() {
        notifier.notify(value.to_vec()).await.expect("a subscriber");
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("ascii"), 16).expect("hex")).collect()
}
