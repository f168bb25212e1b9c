//! The other end of a link, for tests: shakes hands with the beacon as a phone does, brings parcels and takes them.

use crate::beacon::{Beacon, Input};
use crate::board::Board;
use crate::config::{CELL_BYTES, CELL_PLAIN_BYTES, PARCEL_BYTES};
use crate::parcel::Parcel;
use crate::reader::{Reader, cells};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};
use std::boxed::Box;
use std::vec::Vec;

/// A phone, as far as the beacon can tell.
pub struct Visitor {
    /// The connection's number.
    pub connection: u16,
    noise: Option<TransportState>,
    reader: Reader,
}

impl Visitor {
    /// Connects and says nothing.
    pub fn connect(board: &mut Board, beacon: &mut Beacon, connection: u16) -> Visitor {
        beacon.handle(board, Input::Connected(connection));
        Visitor { connection, noise: None, reader: Reader::default() }
    }

    /// Connects, shakes hands for this event, and says its first word. `None`: it was not let in.
    pub fn meet(board: &mut Board, beacon: &mut Beacon, connection: u16, event: [u8; 16]) -> Option<Visitor> {
        let mut visitor = Visitor::connect(board, beacon, connection);
        let mut noise = initiator(board.draw(), event);
        let mut first = [0; CELL_BYTES];
        noise.write_message(&[], &mut first).ok()?;
        beacon.handle(board, Input::Received(connection, &first));
        let reply = board.fetch(connection);
        noise.read_message(&reply.first()?[..48], &mut [0; CELL_BYTES]).ok()?;
        visitor.noise = noise.into_transport_mode().ok();
        // `Carrying` with some fingerprint: a control frame in one cell.
        let mut word = [0; CELL_PLAIN_BYTES];
        word[..6].copy_from_slice(&[2, 0, 1, 0, 0, 17]);
        visitor.say(board, beacon, &word);
        (!board.ended.contains(&connection)).then_some(visitor)
    }

    /// Says a cell, sealed.
    pub fn say(&mut self, board: &mut Board, beacon: &mut Beacon, plain: &[u8; CELL_PLAIN_BYTES]) {
        let mut cell = [0; CELL_BYTES];
        let noise = self.noise.as_mut().expect("the handshake is over");
        noise.write_message(plain, &mut cell).expect("a cell");
        beacon.handle(board, Input::Received(self.connection, &cell));
    }

    /// Hands a parcel over: any bytes.
    pub fn hand(&mut self, board: &mut Board, beacon: &mut Beacon, parcel: [u8; PARCEL_BYTES]) {
        let parcel = Parcel::decode(parcel).expect("a parcel");
        cells(&parcel).iter().for_each(|cell| self.say(board, beacon, cell));
    }

    /// Takes all that the beacon has for it.
    pub fn take(&mut self, board: &mut Board, beacon: &mut Beacon) -> Vec<[u8; PARCEL_BYTES]> {
        let mut parcels = Vec::new();
        loop {
            let cells = board.fetch(self.connection);
            if cells.is_empty() {
                return parcels;
            }
            for cell in cells {
                let mut plain = [0; CELL_PLAIN_BYTES];
                let noise = self.noise.as_mut().expect("the handshake is over");
                noise.read_message(&cell, &mut plain).expect("the beacon's cells open");
                let read = self.reader.take(&plain).expect("the beacon's frames are whole");
                parcels.extend(read.map(|parcel| *parcel.as_bytes()));
            }
            beacon.handle(board, Input::Ready(self.connection));
        }
    }

    /// Goes.
    pub fn leave(self, board: &mut Board, beacon: &mut Beacon) {
        beacon.handle(board, Input::Disconnected(self.connection));
        drop(board.fetch(self.connection));
    }
}

/// A parcel that nobody can open.
pub fn parcel(board: &mut Board, crowd: u8, hops: u8) -> [u8; PARCEL_BYTES] {
    let mut parcel = [0; PARCEL_BYTES];
    parcel.iter_mut().for_each(|byte| *byte = board.draw() as u8);
    parcel[..2].copy_from_slice(&[0x10, crowd << 4 | hops]);
    parcel
}

fn initiator(seed: u64, event: [u8; 16]) -> HandshakeState {
    let params = "Noise_NN_25519_ChaChaPoly_BLAKE2s".parse().expect("a pattern");
    let prologue = [&b"alcove/1 link"[..], &event].concat();
    let builder = Builder::with_resolver(params, Box::new(Seeded(seed))).prologue(&prologue).expect("a prologue");
    builder.build_initiator().expect("all that NN needs")
}

#[derive(Clone, Copy)]
struct Seeded(u64);

impl Random for Seeded {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let mut board = Board::new(self.0);
        dest.iter_mut().for_each(|byte| *byte = board.draw() as u8);
        Ok(())
    }
}

impl CryptoResolver for Seeded {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(*self))
    }
    fn resolve_dh(&self, choice: &snow::params::DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }
    fn resolve_hash(&self, choice: &snow::params::HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &snow::params::CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}
