//! This device's radio as a loop: opens the adapter, carries out what the node orders, and tells what happens.
//!
//! Law: everything it starts (scan, advert, connections) is its own and ends with it, or when it goes offline.

use super::BleState;
use super::central::{Central, Connection, Word};
use super::link::carry;
use super::peripheral::Peripheral;
use crate::proto::id::{EphemeralId, LinkId};
use crate::proto::io::{Input, Origin, RadioCommand, RadioEvent};
use crate::shell::queue::{End, Links};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

/// Without an adapter it is looked for again after this long.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// A scan window and the rest after it together: Android's longest.
const SCAN_PERIOD: Duration = Duration::from_millis(5_120);

/// What whoever owns the transport wants done.
pub enum Order {
    /// The node's wish.
    Radio(RadioCommand),
    /// On or off.
    Online(bool),
    /// The end.
    Close,
}

/// The loop and what it owns.
pub struct Station {
    adapter: Option<String>,
    links: Arc<Links>,
    events: mpsc::Sender<Input>,
    orders: mpsc::UnboundedReceiver<Order>,
    state: watch::Sender<BleState>,
    is_online: bool,
}

/// What is there while the adapter can be used.
struct Radio {
    central: Central,
    peripheral: Option<Peripheral>,
    carriers: JoinSet<Option<EphemeralId>>,
    scan: Scan,
}

/// When to listen: `duty_percent` of each period.
struct Scan {
    duty_percent: u8,
    is_on: bool,
    next: Instant,
}

impl Station {
    /// Online from the start.
    pub fn new(
        adapter: Option<String>,
        links: Arc<Links>,
        events: mpsc::Sender<Input>,
        orders: mpsc::UnboundedReceiver<Order>,
        state: watch::Sender<BleState>,
    ) -> Station {
        Station { adapter, links, events, orders, state, is_online: true }
    }

    /// Until the end is ordered.
    pub async fn run(mut self) {
        loop {
            let rest = match self.is_online {
                true => match self.open().await {
                    Ok(radio) => {
                        let why = self.serve(radio).await;
                        self.state.send_replace(why);
                        LOOK_AGAIN
                    }
                    Err(why) => {
                        self.state.send_replace(why);
                        LOOK_AGAIN
                    }
                },
                false => {
                    self.state.send_replace(BleState::Off);
                    Duration::MAX
                }
            };
            if !self.wait(rest).await {
                return;
            }
        }
    }

    /// Waits so long, or for an order that changes something; false: it is the end.
    async fn wait(&mut self, rest: Duration) -> bool {
        let until = Instant::now().checked_add(rest);
        loop {
            let due = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => return true,
                order = self.orders.recv() => match order {
                    // What the node wanted of a radio that is gone it will want again.
                    Some(Order::Radio(_)) => {}
                    Some(Order::Online(is_online)) if is_online == self.is_online => {}
                    Some(Order::Online(is_online)) => {
                        self.is_online = is_online;
                        return true;
                    }
                    Some(Order::Close) | None => return false,
                },
            }
        }
    }

    async fn open(&mut self) -> Result<Radio, BleState> {
        // While it is looked for again, what is missing stays in view.
        if *self.state.borrow() == BleState::Off {
            self.state.send_replace(BleState::Starting);
        }
        let central = Central::open(self.adapter.as_deref()).await?;
        let peripheral = Peripheral::open(self.adapter.as_deref(), self.links.clone(), self.events.clone()).await?;
        let scan = Scan { duty_percent: 0, is_on: false, next: Instant::now() };
        Ok(Radio { central, peripheral, carriers: JoinSet::new(), scan })
    }

    /// Until the adapter is lost or no longer wanted: gives the state to show.
    async fn serve(&mut self, mut radio: Radio) -> BleState {
        let _ = self.events.send(Input::Radio(RadioEvent::On)).await;
        self.state.send_replace(BleState::On { is_shown: radio.peripheral.is_some() });
        let why = loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Radio(command)) => self.command(&mut radio, command).await,
                    Some(Order::Online(true)) => {}
                    Some(Order::Online(false)) => {
                        self.is_online = false;
                        break BleState::Off;
                    }
                    Some(Order::Close) | None => {
                        self.orders.close();
                        break BleState::Off;
                    }
                },
                word = radio.central.next() => match word {
                    Word::Event(event) => drop(self.events.send(Input::Radio(event)).await),
                    Word::Lost(why) => break why,
                },
                Some(Ok(Some(id))) = radio.carriers.join_next() => {
                    let _ = self.events.send(Input::Radio(RadioEvent::OutOfReach { id })).await;
                }
                () = sleep_until(radio.scan.next) => radio.turn_scan().await,
            }
        };
        if let Some(peripheral) = &mut radio.peripheral {
            peripheral.silence().await;
        }
        radio.end_links(&self.links).await;
        if let Some(peripheral) = radio.peripheral.take() {
            peripheral.end().await;
        }
        radio.central.scan(false).await;
        let _ = self.events.send(Input::Radio(RadioEvent::Off)).await;
        why
    }

    async fn command(&self, radio: &mut Radio, command: RadioCommand) {
        match command {
            RadioCommand::Advertise { advert, interval } => {
                if let Some(peripheral) = &mut radio.peripheral {
                    peripheral.advertise(advert, interval).await;
                }
            }
            RadioCommand::Silence => {
                if let Some(peripheral) = &mut radio.peripheral {
                    peripheral.silence().await;
                }
                radio.end_links(&self.links).await;
            }
            RadioCommand::Scan { duty_percent } => {
                radio.scan = Scan { duty_percent, is_on: radio.scan.is_on, next: Instant::now() };
            }
            RadioCommand::Connect { id } => match radio.central.peripheral(id).await {
                Some(peripheral) => {
                    let (links, events) = (self.links.clone(), self.events.clone());
                    radio.carriers.spawn(async move {
                        let Some((mut connection, mtu, values)) = Connection::open(peripheral).await else { return Some(id) };
                        let (link, other_end) = (links.open(), connection.peripheral());
                        tokio::select! {
                            () = carry(&links, link, Origin::Near(Some(id)), mtu, &mut connection, values, &events) => {}
                            () = Connection::gone(other_end) => down(&links, link, &events).await,
                        }
                        connection.close().await;
                        None
                    });
                }
                None => drop(self.events.send(Input::Radio(RadioEvent::OutOfReach { id })).await),
            },
        }
    }
}

impl Radio {
    /// Listens or rests, in turn.
    async fn turn_scan(&mut self) {
        let duty = u32::from(self.scan.duty_percent.min(100));
        let is_on = duty > 0 && (!self.scan.is_on || duty == 100);
        if is_on != self.scan.is_on {
            self.central.scan(is_on).await;
        }
        let share = if is_on { duty } else { 100 - duty };
        let rest = if duty == 0 { Duration::from_secs(3600) } else { SCAN_PERIOD * share / 100 };
        (self.scan.is_on, self.scan.next) = (is_on, Instant::now() + rest);
    }

    /// Ends every link, and waits until those that we opened are closed.
    async fn end_links(&mut self, links: &Links) {
        links.end_all(End::Abrupt);
        let ended = async { while self.carriers.join_next().await.is_some() {} };
        tokio::select! {
            () = ended => {}
            () = sleep(Duration::from_secs(3)) => self.carriers.abort_all(),
        }
    }
}

async fn down(links: &Links, link: LinkId, events: &mpsc::Sender<Input>) {
    links.close(link);
    let _ = events.send(Input::LinkDown { link }).await;
}
