//! The hall around people: their radios, which hear what a test lets them hear, and the switches of their ways to others.

use super::{Hand, Person, SHOWN, Scene};
use alcove::app::attendee::session::News;
use alcove::proto::config::ADVERT_BYTES;
use alcove::proto::id::EphemeralId;
use alcove::proto::io::{Input, RadioEvent};
use alcove::proto::time::Instant;
use alcove::proto::wire::advert::{Advert, Shower};
use alcove::shell::ble::BleState;
use alcove::shell::driver::Transport;
use firmware_sim::network::Network;

impl Scene {
    /// This is how Bluetooth stands for one of them from now on.
    pub fn set_bluetooth(&mut self, person: usize, state: Option<BleState>) {
        self.people[person].set_bluetooth(&mut self.network, state);
        self.settle();
    }

    /// The local network of one of them can be used or not.
    pub fn set_lan_failed(&mut self, person: usize, has_failed: bool) {
        self.people[person].screens.take(News::LanFailed(has_failed));
        self.settle();
    }

    /// One of them hears what another shows, so strongly.
    pub fn hear(&mut self, person: usize, other: usize, rssi_dbm: Option<i8>) {
        let shown = self.network.adverts.iter().rev().find(|(_, by, _)| *by == other);
        let advert = shown.expect("the other shows something").2;
        self.hear_bytes(person, advert, rssi_dbm);
    }

    /// One of them hears somebody of whom nobody knows anything.
    pub fn hear_stranger(&mut self, person: usize, shower: Shower, number: u8, rssi_dbm: Option<i8>) {
        let advert = Advert { shower, id: EphemeralId([number; 6]), hint: [number; 3] };
        self.hear_bytes(person, advert.to_bytes(), rssi_dbm);
    }

    /// One of them hears the beacon of a table of the event.
    pub fn hear_table(&mut self, person: usize, number: u16, rssi_dbm: Option<i8>) {
        let key = self.network.pack().pack().board_key.derive("alcove/1 table beacons", &[]);
        let (id, [high, low]) = (EphemeralId([99; 6]), number.to_be_bytes());
        let (mask, check) = (key.mac(&[&[0], &id.0]), key.mac(&[&[1], &id.0, &[high, low]]));
        let hint = [high ^ mask[0], low ^ mask[1], check[0]];
        self.hear_bytes(person, Advert { shower: Shower::Table, id, hint }.to_bytes(), rssi_dbm);
    }

    fn hear_bytes(&mut self, person: usize, advert: [u8; ADVERT_BYTES], rssi_dbm: Option<i8>) {
        let heard = RadioEvent::Heard { advert: advert.to_vec(), rssi_dbm };
        self.network.with(person, |node| node.handle_input(Instant(0), Input::Radio(heard)));
        self.settle();
    }
}

/// A switch, as it is read out.
#[derive(Debug)]
pub struct Switch {
    pub detail: String,
    pub is_enabled: bool,
    pub is_on: bool,
}

impl Hand<'_> {
    /// The switch that is called so.
    pub fn switch(&self, label: &str) -> Switch {
        let found = self.labelled(label);
        let element = found.first().unwrap_or_else(|| panic!("no switch is called {label:?}: {:?}", self.texts()));
        Switch {
            detail: element.accessible_description().unwrap_or_default().into(),
            is_enabled: element.accessible_enabled() != Some(false),
            is_on: element.accessible_checked() == Some(true),
        }
    }
}

impl Person {
    /// What the shell does when a way is switched.
    pub(super) fn switch(&mut self, network: &mut Network, transport: Transport, is_on: bool) {
        self.switched.push((transport, is_on));
        match transport {
            Transport::Lan => self.situation.lan = self.situation.lan.map(|_| is_on),
            Transport::Bluetooth => self.set_bluetooth(network, Some(if is_on { SHOWN } else { BleState::Off })),
            Transport::Relay => {}
        }
    }

    fn set_bluetooth(&mut self, network: &mut Network, state: Option<BleState>) {
        self.situation.bluetooth = state;
        let event = if state == Some(SHOWN) { RadioEvent::On } else { RadioEvent::Off };
        network.with(self.phone, |node| node.handle_input(Instant(0), Input::Radio(event)));
    }
}
