//! LAN, Bluetooth and relay as the loop uses them: they belong to the event that the node attends.
//!
//! Laws: none is started before there is an event; with another event all begin anew; what is switched off stays off until it is
//! switched on. They carry out what the node orders and decide nothing.

use super::{Notice, Transport};
use crate::model::event::SignedPack;
use crate::proto::id::{DialId, LinkId};
use crate::proto::io::{Input, RadioCommand, RelayCommand, RelayEvent, RelayRefusal};
use crate::shell::ble::{Ble, BleOptions, BleState};
use crate::shell::lan::{Lan, LanOptions};
use crate::shell::relay::{Pace, RelayAddress, RelayClient, RelayState};
use std::net::SocketAddr;
use tokio::sync::{mpsc, watch};

/// The ways to others.
pub(super) struct Transports {
    /// The bytes of the event that they are there for; empty before the first.
    pack: Vec<u8>,
    lan_options: Option<LanOptions>,
    /// What LAN and Bluetooth tell.
    inputs: mpsc::Sender<Input>,
    lan: Option<Lan>,
    is_lan_wanted: bool,
    ble_options: Option<BleOptions>,
    ble: Option<Bluetooth>,
    is_ble_wanted: bool,
    relay: Option<Relay>,
    is_relay_wanted: bool,
}

/// The radio.
struct Bluetooth {
    ble: Ble,
    state: watch::Receiver<BleState>,
}

/// The relay of the event.
struct Relay {
    address: RelayAddress,
    client: RelayClient,
    events: mpsc::Receiver<RelayEvent>,
    state: watch::Receiver<RelayState>,
    /// The node was told `Up` and not yet `Down`.
    is_up: bool,
}

/// What relay and radio say next.
pub(super) enum Word {
    /// For the node.
    Event(RelayEvent),
    /// For people.
    State(RelayState),
    /// For people, too.
    Bluetooth(BleState),
}

/// What follows from another event.
#[derive(Default)]
pub(super) struct Follows {
    pub inputs: Vec<Input>,
    pub notices: Vec<Notice>,
}

impl Transports {
    pub fn new(lan_options: Option<LanOptions>, ble_options: Option<BleOptions>, inputs: mpsc::Sender<Input>) -> Transports {
        Transports {
            pack: Vec::new(),
            lan_options,
            inputs,
            lan: None,
            is_lan_wanted: true,
            ble_options,
            ble: None,
            is_ble_wanted: true,
            relay: None,
            is_relay_wanted: true,
        }
    }

    /// Begins with an event, or begins anew with another one; nothing happens if it is the one that is attended already.
    pub fn attend(&mut self, pack: Option<&[u8]>) -> Follows {
        let mut follows = Follows::default();
        let Some(pack) = pack.filter(|pack| *pack != self.pack) else { return follows };
        let Ok(signed) = SignedPack::decode(pack) else { return follows };
        let is_other = !self.pack.is_empty() && SignedPack::decode(&self.pack).is_ok_and(|old| old.event() != signed.event());
        self.pack = pack.to_vec();
        match &self.lan {
            Some(lan) if is_other && self.is_lan_wanted => {
                lan.set_online(false);
                lan.set_online(true);
            }
            Some(_) => {}
            None => follows.notices.extend(self.start_lan()),
        }
        match &self.ble {
            Some(bluetooth) if is_other && self.is_ble_wanted => {
                bluetooth.ble.set_online(false);
                bluetooth.ble.set_online(true);
            }
            Some(_) => {}
            None => self.start_ble(),
        }
        let wanted = signed.pack().relays.first();
        let wanted = wanted.map(|relay| RelayAddress { url: relay.url.clone(), tls_pin: relay.tls_pin });
        if is_other || wanted.as_ref() != self.relay.as_ref().map(|relay| &relay.address) {
            self.start_relay(wanted, &mut follows);
        }
        follows
    }

    /// Switches one on or off; what goes wrong is told.
    pub fn switch(&mut self, transport: Transport, is_on: bool) -> Option<Notice> {
        match transport {
            Transport::Lan => {
                self.is_lan_wanted = is_on;
                match &self.lan {
                    Some(lan) => lan.set_online(is_on),
                    None if !self.pack.is_empty() => return self.start_lan(),
                    None => {}
                }
            }
            Transport::Bluetooth => {
                self.is_ble_wanted = is_on;
                match &self.ble {
                    Some(bluetooth) => bluetooth.ble.set_online(is_on),
                    None if !self.pack.is_empty() => self.start_ble(),
                    None => {}
                }
            }
            Transport::Relay => {
                self.is_relay_wanted = is_on;
                if let Some(relay) = &self.relay {
                    relay.client.set_online(is_on);
                }
            }
        }
        None
    }

    /// Each knows its own links: no two have one number.
    pub fn transmit(&self, link: LinkId, bytes: Vec<u8>) {
        match (&self.lan, &self.ble) {
            (Some(lan), _) if lan.has(link) => lan.transmit(link, bytes),
            (_, Some(bluetooth)) => bluetooth.ble.transmit(link, bytes),
            (Some(_) | None, None) => {}
        }
    }

    pub fn disconnect(&self, link: LinkId) {
        self.lan.iter().for_each(|lan| lan.disconnect(link));
        self.ble.iter().for_each(|bluetooth| bluetooth.ble.disconnect(link));
    }

    pub fn radio(&self, command: RadioCommand) {
        self.ble.iter().for_each(|bluetooth| bluetooth.ble.command(command.clone()));
    }

    /// Dials; without a LAN it has failed at once.
    pub fn dial(&self, dial: DialId, addresses: Vec<SocketAddr>) -> Option<Input> {
        match &self.lan {
            Some(lan) => {
                lan.dial(dial, addresses);
                None
            }
            None => Some(Input::DialFailed { dial }),
        }
    }

    /// Hands a command to the relay; what is known of it at once comes back.
    pub fn command(&self, command: RelayCommand) -> Option<Input> {
        let answer = match &self.relay {
            Some(relay) => relay.client.send(command),
            None => without_relay(command),
        };
        answer.map(Input::Relay)
    }

    /// What relay or radio say next; never, if there is neither. `None`: one ended, which they do not by themselves.
    pub async fn next_word(&mut self) -> Option<Word> {
        let bluetooth = async {
            match &mut self.ble {
                Some(Bluetooth { state, .. }) => match state.changed().await {
                    Ok(()) => Word::Bluetooth(*state.borrow_and_update()),
                    Err(_) => std::future::pending().await,
                },
                None => std::future::pending().await,
            }
        };
        let relay = async {
            match &mut self.relay {
                Some(relay) => relay.next_word().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            word = bluetooth => Some(word),
            word = relay => word,
        }
    }

    /// Whether the LAN is on; `None`: there is none.
    pub fn lan(&self) -> Option<bool> {
        self.lan_options.is_some().then_some(self.is_lan_wanted)
    }

    /// How Bluetooth stands; `None`: it is not to be used.
    pub fn bluetooth(&self) -> Option<BleState> {
        match &self.ble {
            Some(bluetooth) => Some(*bluetooth.state.borrow()),
            None => self.ble_options.is_some().then_some(BleState::Off),
        }
    }

    /// How many links there are.
    pub fn links(&self) -> usize {
        self.lan.as_ref().map_or(0, Lan::peers) + self.ble.as_ref().map_or(0, |bluetooth| bluetooth.ble.peers())
    }

    /// How the relay stands; `None`: there is none.
    pub fn relay(&self) -> Option<RelayState> {
        self.relay.as_ref().map(|relay| *relay.state.borrow())
    }

    /// Says goodbye.
    pub async fn shutdown(&mut self) {
        self.relay = None;
        if let Some(lan) = self.lan.take() {
            lan.shutdown().await;
        }
        if let Some(bluetooth) = self.ble.take() {
            bluetooth.ble.shutdown().await;
        }
    }

    fn start_ble(&mut self) {
        let Some(options) = self.ble_options.clone().filter(|_| self.is_ble_wanted) else { return };
        let ble = Ble::start(options, self.inputs.clone());
        self.ble = Some(Bluetooth { state: ble.state(), ble });
    }

    fn start_lan(&mut self) -> Option<Notice> {
        let options = self.lan_options.clone().filter(|_| self.is_lan_wanted)?;
        match Lan::start(options, self.inputs.clone()) {
            Ok(lan) => {
                self.lan = Some(lan);
                None
            }
            Err(error) => Some(Notice::LanFailed(error.to_string())),
        }
    }

    fn start_relay(&mut self, address: Option<RelayAddress>, follows: &mut Follows) {
        if self.relay.take().is_some_and(|relay| relay.is_up) {
            follows.inputs.push(Input::Relay(RelayEvent::Down));
        }
        self.relay = address.and_then(|address| {
            // An address that the pack's rules let through is one.
            let (client, events) = RelayClient::start(&address, Pace::default()).ok()?;
            client.set_online(self.is_relay_wanted);
            Some(Relay { state: client.state(), address, client, events, is_up: false })
        });
        follows.notices.push(Notice::Relay(self.relay()));
    }
}

impl Relay {
    async fn next_word(&mut self) -> Option<Word> {
        tokio::select! {
            event = self.events.recv() => {
                match event {
                    Some(RelayEvent::Up) => self.is_up = true,
                    Some(RelayEvent::Down) => self.is_up = false,
                    Some(RelayEvent::Blob { .. } | RelayEvent::CaughtUp { .. } | RelayEvent::Stored { .. } | RelayEvent::Refused { .. })
                    | None => {}
                }
                event.map(Word::Event)
            }
            Ok(()) = self.state.changed() => Some(Word::State(*self.state.borrow_and_update())),
        }
    }
}

/// Without a relay there is nobody to answer, and a put must not wait for ever.
fn without_relay(command: RelayCommand) -> Option<RelayEvent> {
    match command {
        RelayCommand::Put { id, .. } => Some(RelayEvent::Refused { id, why: RelayRefusal::SlowDown }),
        RelayCommand::Subscribe { .. } | RelayCommand::Unsubscribe { .. } | RelayCommand::Delete { .. } => None,
    }
}
