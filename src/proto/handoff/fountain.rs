//! The animated code: a sealed message cut into endlessly many QR frames, any sufficient few of which give it back (RaptorQ, RFC 6330).
//!
//! Laws: hostile frames cost at most [`MESSAGE_BYTES_MAX`] and [`SURPLUS_SYMBOLS_MAX`] more symbols, and panic nothing: the parameters
//! of the code are never taken from the wire, they follow from the message's length and the symbol's, both bounded. A frame that was
//! read wrongly fails its check and is dropped. A forged frame can spoil a transfer but not alter it: the whole message must hash to the
//! transfer's id, and the caller opens it with an AEAD; if either fails the receiver starts over.
//! It does not say for whom a message is: that is in its seal.
//!
//! A frame is [`scheme`] with `F`: transfer id 4 ‖ check 4 ‖ message length 3 ‖ encoding symbol id 3 ‖ symbol, all big endian.

use crate::proto::error::Refused;
use crate::proto::rng::Rng;
use crate::proto::scheme;
use crate::proto::secret::{Key, hash, hash16};
use raptorq::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder, SourceBlockEncoder, SourceBlockEncodingPlan,
};
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

/// The longest message: as long as the largest that parcels carry.
pub const MESSAGE_BYTES_MAX: usize = 110 * 1024;
/// Bytes of the message in one frame unless asked otherwise: a QR code of version 16-M, which a phone reads from a screen at arm's length.
pub const SYMBOL_BYTES: u16 = 400;
/// The symbols that may be asked for and are accepted: below 256 bytes the solver's matrix grows, above 1,024 no camera keeps up.
pub const SYMBOL_BYTES_RANGE: RangeInclusive<u16> = 256..=1024;
/// Symbols kept beyond the number that the message is cut into. RaptorQ fails with probability 256⁻ⁿ⁻¹ at n more (RFC 6330, 1), so
/// whoever needs this many has been fed forgeries.
pub const SURPLUS_SYMBOLS_MAX: usize = 16;
/// So many frames of one other transfer in a row mean that the camera points at another code now.
pub const SWITCH_AFTER_FRAMES: u8 = 8;

const KIND: &str = "F";
const HEADER_BYTES: usize = 14;
const SYMBOL_IDS: u32 = 1 << 24;
const SEAL_PURPOSE: &str = "alcove/1 animated code";

/// Seals a message for those who hold the key: 24 bytes of random nonce, then XChaCha20-Poly1305.
pub fn seal_for_members(key: &Key, message: &[u8], rng: &mut Rng) -> Vec<u8> {
    let nonce: [u8; 24] = rng.bytes();
    let mut sealed = nonce.to_vec();
    sealed.extend(key.derive(SEAL_PURPOSE, &[]).seal_x(&nonce, SEAL_PURPOSE.as_bytes(), message));
    sealed
}

/// Opens what [`seal_for_members`] made; `None` for another key or a message that was altered.
pub fn open_for_members(key: &Key, sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk()?;
    key.derive(SEAL_PURPOSE, &[]).open_x(nonce, SEAL_PURPOSE.as_bytes(), sealed)
}

/// Cuts one sealed message into frames.
pub struct Sender {
    transfer: Transfer,
    source: Vec<EncodingPacket>,
    encoder: SourceBlockEncoder,
}

impl Sender {
    /// Frames of [`SYMBOL_BYTES`].
    ///
    /// # Errors
    /// [`Refused::OutOfRange`]: the message is empty or longer than [`MESSAGE_BYTES_MAX`].
    pub fn new(sealed: &[u8]) -> Result<Sender, Refused> {
        Sender::with_symbol_bytes(sealed, SYMBOL_BYTES)
    }

    /// Frames of the given size.
    ///
    /// # Errors
    /// [`Refused::OutOfRange`]: the message is empty or longer than [`MESSAGE_BYTES_MAX`], or the size is outside [`SYMBOL_BYTES_RANGE`].
    pub fn with_symbol_bytes(sealed: &[u8], symbol_bytes: u16) -> Result<Sender, Refused> {
        let id = transfer_id(sealed);
        let transfer = Transfer::new(id, sealed.len(), usize::from(symbol_bytes)).ok_or(Refused::OutOfRange)?;
        let mut padded = sealed.to_vec();
        padded.resize(transfer.block_bytes(), 0);
        // With its own plan, because the encoder's plain constructor keeps plans in a global.
        let plan = SourceBlockEncodingPlan::generate(transfer.symbols() as u16);
        let encoder = SourceBlockEncoder::with_encoding_plan(0, &transfer.parameters(), &padded, &plan);
        Ok(Sender { transfer, source: encoder.source_packets(), encoder })
    }

    /// How many different frames suffice if none is lost; nearly always also if they are other ones.
    pub fn frames_needed(&self) -> usize {
        self.source.len()
    }

    /// The frame with this number. The first [`Sender::frames_needed`] hold the message itself, all later ones repair losses.
    pub fn frame(&self, number: u32) -> String {
        let id = number % SYMBOL_IDS;
        let needed = self.source.len() as u32;
        match self.source.get(id as usize) {
            Some(packet) => self.transfer.frame(id, packet.data()),
            None => {
                self.encoder.repair_packets(id - needed, 1).iter().map(|packet| self.transfer.frame(id, packet.data())).collect()
            }
        }
    }

    /// Frames without end, each different: show one after the other, never the same twice.
    pub fn frames(&self) -> impl Iterator<Item = String> + '_ {
        (0..).map(|number| self.frame(number))
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sender").field(&self.transfer).finish()
    }
}

/// What a scanned frame did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A new piece of the message.
    New,
    /// A piece that was there already, or one of a message that is complete.
    Again,
    /// A frame of another transfer; the present one is kept until several follow each other.
    Other,
    /// The pieces did not fit together: one was forged. Everything is asked for again.
    StartedOver,
    /// The message, still sealed. If it does not open, call [`Receiver::start_over`] and go on scanning.
    Whole(Vec<u8>),
}

/// Puts a message together from the frames that the camera reads, one transfer at a time.
#[derive(Default)]
pub struct Receiver {
    state: State,
    /// Another transfer and how many of its frames came in a row.
    other: Option<(Transfer, u8)>,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Gathering(Gathering),
    Complete(Transfer),
}

impl Receiver {
    /// Takes one scanned text.
    ///
    /// # Errors
    /// [`Refused::NotACode`]: not a frame, or one that was read wrongly. Nothing is lost: go on scanning.
    pub fn receive(&mut self, text: &str) -> Result<Heard, Refused> {
        let frame = Frame::parse(text).ok_or(Refused::NotACode)?;
        let known = match &self.state {
            State::Idle => None,
            State::Gathering(gathering) => Some(gathering.transfer),
            State::Complete(transfer) => Some(*transfer),
        };
        if known.is_some_and(|known| known != frame.transfer) {
            let in_a_row = match self.other {
                Some((other, count)) if other == frame.transfer => count.saturating_add(1),
                Some(_) | None => 1,
            };
            self.other = Some((frame.transfer, in_a_row));
            if in_a_row < SWITCH_AFTER_FRAMES {
                return Ok(Heard::Other);
            }
            self.state = State::Idle;
        }
        self.other = None;
        if matches!(self.state, State::Idle) {
            self.state = State::Gathering(Gathering::new(frame.transfer));
        }
        let State::Gathering(gathering) = &mut self.state else {
            return Ok(Heard::Again);
        };
        let heard = gathering.take(frame);
        match &heard {
            Heard::Whole(_) => self.state = State::Complete(gathering.transfer),
            Heard::StartedOver => self.state = State::Idle,
            Heard::New | Heard::Again | Heard::Other => {}
        }
        Ok(heard)
    }

    /// How much of the message is here, from 0 to 1. It may stay just below 1 for a frame or two.
    pub fn progress(&self) -> f32 {
        match &self.state {
            State::Idle => 0.0,
            State::Gathering(gathering) => {
                let (have, need) = (gathering.seen.len(), gathering.transfer.symbols());
                (have as f32 / (need as f32 + 1.0)).min(0.99)
            }
            State::Complete(_) => 1.0,
        }
    }

    /// Forgets everything: the message did not open, or the person wants another code.
    pub fn start_over(&mut self) {
        *self = Receiver::default();
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Receiver({:.0} %)", self.progress() * 100.0)
    }
}

/// The pieces of one transfer so far.
struct Gathering {
    transfer: Transfer,
    seen: BTreeSet<u32>,
    decoder: SourceBlockDecoder,
}

impl Gathering {
    fn new(transfer: Transfer) -> Gathering {
        let decoder = SourceBlockDecoder::new(0, &transfer.parameters(), transfer.block_bytes() as u64);
        Gathering { transfer, seen: BTreeSet::new(), decoder }
    }

    /// The frame is of this transfer.
    fn take(&mut self, frame: Frame) -> Heard {
        if !self.seen.insert(frame.symbol_id) {
            return Heard::Again;
        }
        let packet = EncodingPacket::new(PayloadId::new(0, frame.symbol_id), frame.symbol);
        match self.decoder.decode([packet]) {
            Some(mut message) => {
                message.truncate(self.transfer.message_bytes);
                if transfer_id(&message) == self.transfer.id { Heard::Whole(message) } else { Heard::StartedOver }
            }
            None if self.seen.len() >= self.transfer.symbols() + SURPLUS_SYMBOLS_MAX => Heard::StartedOver,
            None => Heard::New,
        }
    }
}

/// What all frames of one transfer agree on. One that exists is within the bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Transfer {
    id: [u8; 4],
    message_bytes: usize,
    symbol_bytes: u16,
}

impl Transfer {
    fn new(id: [u8; 4], message_bytes: usize, symbol_bytes: usize) -> Option<Transfer> {
        let symbol_bytes = u16::try_from(symbol_bytes).ok().filter(|bytes| SYMBOL_BYTES_RANGE.contains(bytes))?;
        (1..=MESSAGE_BYTES_MAX).contains(&message_bytes).then_some(Transfer { id, message_bytes, symbol_bytes })
    }

    /// At most 440: the bounds allow no more.
    fn symbols(&self) -> usize {
        self.message_bytes.div_ceil(usize::from(self.symbol_bytes))
    }

    fn block_bytes(&self) -> usize {
        self.symbols() * usize::from(self.symbol_bytes)
    }

    /// One source block, one sub-block (RFC 6330, 4.3): the message is small.
    fn parameters(&self) -> ObjectTransmissionInformation {
        ObjectTransmissionInformation::new(self.message_bytes as u64, self.symbol_bytes, 1, 1, 1)
    }

    fn frame(&self, symbol_id: u32, symbol: &[u8]) -> String {
        let [_, length @ ..] = (self.message_bytes as u32).to_be_bytes();
        let [_, symbol_id @ ..] = symbol_id.to_be_bytes();
        let check = frame_check(&self.id, &length, &symbol_id, symbol);
        scheme::to_text(KIND, &[&self.id[..], &check, &length, &symbol_id, symbol].concat())
    }
}

/// One frame as read; its symbol has the length that its transfer says.
struct Frame {
    transfer: Transfer,
    symbol_id: u32,
    symbol: Vec<u8>,
}

impl Frame {
    fn parse(text: &str) -> Option<Frame> {
        let bytes = scheme::from_text(KIND, text, HEADER_BYTES + usize::from(*SYMBOL_BYTES_RANGE.end()))?;
        let (id, rest) = bytes.split_first_chunk::<4>()?;
        let (check, rest) = rest.split_first_chunk::<4>()?;
        let (length, rest) = rest.split_first_chunk::<3>()?;
        let (symbol_id, symbol) = rest.split_first_chunk::<3>()?;
        if frame_check(id, length, symbol_id, symbol) != *check {
            return None;
        }
        let transfer = Transfer::new(*id, number(length) as usize, symbol.len())?;
        Some(Frame { transfer, symbol_id: number(symbol_id), symbol: symbol.to_vec() })
    }
}

fn number(&[a, b, c]: &[u8; 3]) -> u32 {
    u32::from_be_bytes([0, a, b, c])
}

fn transfer_id(sealed: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = hash16("alcove/1 animated transfer", &[sealed]);
    [a, b, c, d]
}

/// Against misreading, not against forgery: anybody can compute it.
fn frame_check(id: &[u8; 4], length: &[u8; 3], symbol_id: &[u8; 3], symbol: &[u8]) -> [u8; 4] {
    let [a, b, c, d, ..] = hash("alcove/1 animated frame", &[id, length, symbol_id, symbol]);
    [a, b, c, d]
}

#[cfg(test)]
#[path = "fountain_tests.rs"]
mod tests;
