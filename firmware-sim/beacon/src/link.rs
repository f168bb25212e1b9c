//! One link, as the one who answers: Noise NN (rev. 34, through `snow`), then nothing but cells of one size.
//!
//! Laws: until somebody has shown with a first sealed cell that it is of the event, it costs one cell of memory and is given nothing but the
//! handshake; a cell that does not open ends the link. Between two cells no handshake lies half done: it is answered in one go.

use crate::Broken;
use crate::config::{CELL_BYTES, CELL_PLAIN_BYTES, CONTACT_CELLS_MAX};
use crate::hardware::Hardware;
use crate::parcel::Parcel;
use crate::reader::{Reader, cells};
use alloc::boxed::Box;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, TransportState};

const PATTERN: &str = "Noise_NN_25519_ChaChaPoly_BLAKE2s";
/// NN's first message: a key.
const FIRST_BYTES: usize = 32;

/// One link.
pub(crate) struct Link {
    pub(crate) connection: u16,
    /// When it came.
    pub(crate) since: u64,
    /// When something new came or went over it.
    pub(crate) news: u64,
    stage: Stage,
    pending: [u8; CELL_BYTES],
    filled: u8,
    /// Cells that it may still bring.
    left: u8,
    reader: Reader,
}

enum Stage {
    /// Nothing has come yet.
    Waiting,
    /// The handshake is over; whether the other holds the keys shows with its first cell.
    Up { noise: Box<TransportState>, is_proven: bool },
}

impl Link {
    pub(crate) fn new(connection: u16, now: u64) -> Link {
        let (stage, reader) = (Stage::Waiting, Reader::default());
        Link { connection, since: now, news: now, stage, pending: [0; CELL_BYTES], filled: 0, left: CONTACT_CELLS_MAX, reader }
    }

    /// Whether nothing has come yet: the next cell is the first of a handshake.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.stage, Stage::Waiting)
    }

    /// Whether the other has shown that it is of the event.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Up { is_proven: true, .. })
    }

    /// Takes of the bytes what the next cell needs; gives the cell when it is whole.
    ///
    /// # Errors
    /// It has brought as much as a contact may.
    pub(crate) fn gather(&mut self, bytes: &mut &[u8]) -> Result<Option<[u8; CELL_BYTES]>, Broken> {
        let open = &mut self.pending[usize::from(self.filled)..];
        let (taken, rest) = bytes.split_at(bytes.len().min(open.len()));
        open[..taken.len()].copy_from_slice(taken);
        *bytes = rest;
        self.filled += taken.len() as u8;
        if usize::from(self.filled) < CELL_BYTES {
            return Ok(None);
        }
        self.filled = 0;
        self.left = self.left.checked_sub(1).ok_or(Broken)?;
        Ok(Some(self.pending))
    }

    /// Answers the first cell.
    ///
    /// # Errors
    /// It is no first message of NN, or the radio takes no answer.
    pub(crate) fn answer(&mut self, hardware: &mut impl Hardware, event: &[u8; 16], cell: &[u8; CELL_BYTES]) -> Result<(), Broken> {
        let mut key = [0; 32];
        hardware.random(&mut key);
        let params: NoiseParams = PATTERN.parse().map_err(broken)?;
        let mut prologue = *b"alcove/1 link0123456789abcdef";
        prologue[13..].copy_from_slice(event);
        let builder = Builder::with_resolver(params, Box::new(Resolver(key))).prologue(&prologue).map_err(broken)?;
        let mut noise = builder.build_responder().map_err(broken)?;
        noise.read_message(&cell[..FIRST_BYTES], &mut [0; CELL_BYTES]).map_err(broken)?;
        let mut reply = [0; CELL_BYTES];
        hardware.random(&mut reply);
        noise.write_message(&[], &mut reply).map_err(broken)?;
        let noise = noise.into_transport_mode().map_err(broken)?;
        if hardware.room(self.connection) == 0 {
            return Err(Broken);
        }
        hardware.send(self.connection, &reply);
        self.stage = Stage::Up { noise: Box::new(noise), is_proven: false };
        Ok(())
    }

    /// Opens a cell that is not the first; gives the parcel that it completes.
    ///
    /// # Errors
    /// It does not open, or is no cell of a frame.
    pub(crate) fn open(&mut self, cell: &[u8; CELL_BYTES]) -> Result<Option<Parcel>, Broken> {
        let Stage::Up { noise, is_proven } = &mut self.stage else { return Err(Broken) };
        let mut plain = [0; CELL_PLAIN_BYTES];
        noise.read_message(cell, &mut plain).map_err(broken)?;
        *is_proven = true;
        self.reader.take(&plain)
    }

    /// Sends a parcel: two cells, for which there is room.
    pub(crate) fn send(&mut self, hardware: &mut impl Hardware, parcel: &Parcel) -> Result<(), Broken> {
        cells(parcel).iter().try_for_each(|plain| self.seal(hardware, plain))
    }

    fn seal(&mut self, hardware: &mut impl Hardware, plain: &[u8; CELL_PLAIN_BYTES]) -> Result<(), Broken> {
        let Stage::Up { noise, .. } = &mut self.stage else { return Err(Broken) };
        let mut cell = [0; CELL_BYTES];
        noise.write_message(plain, &mut cell).map_err(broken)?;
        hardware.send(self.connection, &cell);
        Ok(())
    }
}

fn broken(_: snow::Error) -> Broken {
    Broken
}

/// snow's primitives with the board's chance.
struct Resolver([u8; 32]);

/// The one draw of a handshake, its one-time key. There is no second.
struct Draw(Option<[u8; 32]>);

impl Random for Draw {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        let key = self.0.take().filter(|key| key.len() == dest.len()).ok_or(snow::Error::Rng)?;
        dest.copy_from_slice(&key);
        Ok(())
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Draw(Some(self.0))))
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        DefaultResolver.resolve_dh(choice)
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}
