//! LAN and relay as the loop uses them: both belong to the event that the node attends.
//!
//! Laws: neither is started before there is an event; with another event both begin anew; what is switched off stays off until it is
//! switched on. They carry out what the node orders and decide nothing.

use super::{Notice, Transport};
use crate::model::event::SignedPack;
use crate::proto::id::{DialId, LinkId};
use crate::proto::io::{Input, RelayCommand, RelayEvent, RelayRefusal};
use crate::shell::lan::{Lan, LanOptions};
use crate::shell::relay::{Pace, RelayAddress, RelayClient, RelayState};
use std::net::SocketAddr;
use tokio::sync::{mpsc, watch};

/// The ways to others.
pub(super) struct Transports {
    /// The bytes of the event that they are there for; empty before the first.
    pack: Vec<u8>,
    lan_options: Option<LanOptions>,
    from_lan: mpsc::Sender<Input>,
    lan: Option<Lan>,
    is_lan_wanted: bool,
    relay: Option<Relay>,
    is_relay_wanted: bool,
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

/// What a relay says next.
pub(super) enum Word {
    /// For the node.
    Event(RelayEvent),
    /// For people.
    State(RelayState),
}

/// What follows from another event.
#[derive(Default)]
pub(super) struct Follows {
    pub inputs: Vec<Input>,
    pub notices: Vec<Notice>,
}

impl Transports {
    pub fn new(lan_options: Option<LanOptions>, from_lan: mpsc::Sender<Input>) -> Transports {
        let (lan, relay) = (None, None);
        Transports { pack: Vec::new(), lan_options, from_lan, lan, is_lan_wanted: true, relay, is_relay_wanted: true }
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
            Transport::Relay => {
                self.is_relay_wanted = is_on;
                if let Some(relay) = &self.relay {
                    relay.client.set_online(is_on);
                }
            }
        }
        None
    }

    pub fn transmit(&self, link: LinkId, bytes: Vec<u8>) {
        if let Some(lan) = &self.lan {
            lan.transmit(link, bytes);
        }
    }

    pub fn disconnect(&self, link: LinkId) {
        if let Some(lan) = &self.lan {
            lan.disconnect(link);
        }
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

    /// What the relay says next; never, if there is none. `None`: it ended, which it does not by itself.
    pub async fn next_word(&mut self) -> Option<Word> {
        let Some(relay) = &mut self.relay else { return std::future::pending().await };
        tokio::select! {
            event = relay.events.recv() => {
                match event {
                    Some(RelayEvent::Up) => relay.is_up = true,
                    Some(RelayEvent::Down) => relay.is_up = false,
                    Some(RelayEvent::Blob { .. } | RelayEvent::CaughtUp { .. } | RelayEvent::Stored { .. } | RelayEvent::Refused { .. })
                    | None => {}
                }
                event.map(Word::Event)
            }
            Ok(()) = relay.state.changed() => Some(Word::State(*relay.state.borrow_and_update())),
        }
    }

    /// Whether the LAN is on; `None`: there is none.
    pub fn lan(&self) -> Option<bool> {
        self.lan_options.is_some().then_some(self.is_lan_wanted)
    }

    /// How many links the LAN has.
    pub fn links(&self) -> usize {
        self.lan.as_ref().map_or(0, Lan::peers)
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
    }

    fn start_lan(&mut self) -> Option<Notice> {
        let options = self.lan_options.clone().filter(|_| self.is_lan_wanted)?;
        match Lan::start(options, self.from_lan.clone()) {
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

/// Without a relay there is nobody to answer, and a put must not wait for ever.
fn without_relay(command: RelayCommand) -> Option<RelayEvent> {
    match command {
        RelayCommand::Put { id, .. } => Some(RelayEvent::Refused { id, why: RelayRefusal::SlowDown }),
        RelayCommand::Subscribe { .. } | RelayCommand::Unsubscribe { .. } | RelayCommand::Delete { .. } => None,
    }
}
