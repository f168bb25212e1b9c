//! One authenticated hop: a Noise handshake, then nothing but cells of one size.
//!
//! Patterns (Noise rev. 34, through `snow`): `XKpsk0` towards the one who shows a handoff code, `NN` between all others; 25519,
//! ChaChaPoly, BLAKE2s. Handshake messages are padded to a cell, so that an observer sees cells of 244 bytes from the first byte on.
//! Laws: nothing that identifies anybody leaves before the handshake is over; a one-time secret opens one handshake; memory per link
//! is one cell and one frame, by radio the cells that are early, too; a link with a fault is closed by its owner.

use super::config::{CELL_BYTES, EARLY_CELLS_MAX, PARCEL_LARGE_BYTES};
use super::error::Fault;
use super::rng::Rng;
use super::secret::{Key, hash};
use super::time::Instant;
use super::wire::frame::{CELL_PLAIN_BYTES, Frame, FrameReader};
use rand_core::RngCore;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};
use snow::{Builder, HandshakeState, TransportState};
use std::sync::Mutex;

const NN: &str = "Noise_NN_25519_ChaChaPoly_BLAKE2s";
const XK: &str = "Noise_XKpsk0_25519_ChaChaPoly_BLAKE2s";
/// The first message of NN: one key. Of XKpsk0: one key and a tag.
const NN_FIRST_BYTES: usize = 32;
const XK_FIRST_BYTES: usize = 48;

/// The secret half of a handoff code: what the shower needs to answer whoever scanned it.
pub struct Invitation<'a> {
    /// The X25519 secret behind the code's public key.
    pub secret: &'a Key,
    /// Derived from the code's one-time secret.
    pub psk: &'a Key,
    /// All bytes of the code, bound into the handshake.
    pub code: &'a [u8],
}

/// What a scanner knows of the one who shows the code.
pub struct Scanned<'a> {
    /// The code's one-time X25519 key.
    pub public: &'a [u8; 32],
    /// Derived from the code's one-time secret.
    pub psk: &'a Key,
    /// All bytes of the code.
    pub code: &'a [u8],
}

/// What came of received bytes.
#[derive(Debug)]
pub enum Heard {
    /// Send these cells now.
    Reply(Vec<u8>),
    /// The handshake is over.
    Up {
        /// The code it burned: meanwhile another may have. `None` for NN or on the scanner's side.
        burned: Option<Vec<u8>>,
    },
    /// A whole frame.
    Frame(Frame),
}

/// One hop.
pub struct Link {
    state: State,
    event: Vec<u8>,
    pending: Vec<u8>,
    /// Cells that may wait for one before them: none where bytes keep their order.
    early_max: usize,
    /// We opened it, so the first word is ours.
    pub is_initiator: bool,
    /// When it came up or began to shake hands.
    pub since: Instant,
}

enum State {
    /// Nothing has come yet, nothing is decided.
    Listening,
    Handshaking {
        noise: Box<HandshakeState>,
        burns: Option<Vec<u8>>,
    },
    Up {
        noise: Box<TransportState>,
        hash: [u8; 32],
        reader: FrameReader,
        /// What has come and does not open yet.
        early: Vec<Vec<u8>>,
        /// The other side has shown that it holds the keys: who answers NN knows it only by the first cell.
        is_proven: bool,
    },
    Dead,
}

impl Link {
    /// Opens a link to a neighbour (NN), or to the one whose code was scanned (XKpsk0). Gives the first cell to send.
    pub fn initiate(rng: &mut Rng, now: Instant, event: &[u8], scanned: Option<Scanned<'_>>) -> (Link, Vec<u8>) {
        let resolver = Box::new(Resolver(Mutex::new(rng.fork())));
        let mut noise = match &scanned {
            None => Builder::with_resolver(params(NN), resolver).prologue(&prologue(event, &[])).and_then(Builder::build_initiator),
            Some(code) => {
                let own = rng.bytes::<32>();
                Builder::with_resolver(params(XK), resolver)
                    .prologue(&prologue(event, code.code))
                    .and_then(|b| b.psk(0, &code.psk.0))
                    .and_then(|b| b.remote_public_key(code.public))
                    .and_then(|b| b.local_private_key(&own))
                    .and_then(Builder::build_initiator)
            }
        }
        .expect("the patterns are constants and every key they need is given");
        let first = padded(rng, |buffer| noise.write_message(&[], buffer))
            .expect("the first message of a handshake needs nothing from the peer");
        let state = State::Handshaking { noise: Box::new(noise), burns: None };
        (Link { state, event: event.to_vec(), pending: Vec::new(), early_max: 0, is_initiator: true, since: now }, first)
    }

    /// Waits for a neighbour's first cell.
    pub fn accept(now: Instant, event: &[u8]) -> Link {
        Link { state: State::Listening, event: event.to_vec(), pending: Vec::new(), early_max: 0, is_initiator: false, since: now }
    }

    /// The same by radio, where one cell may overtake another: a connection's Enhanced ATT bearers (Bluetooth Core 5.2, vol. 3 part F) keep
    /// no order between them. After the handshake early cells wait for those before them, at most [`EARLY_CELLS_MAX`].
    pub fn in_any_order(self) -> Link {
        Link { early_max: EARLY_CELLS_MAX, ..self }
    }

    /// Whether the handshake is over.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { is_proven: true, .. })
    }

    /// The handshake hash: the same on both sides, different for every link; to be mixed into whatever is proven over the link.
    pub fn handshake_hash(&self) -> Option<[u8; 32]> {
        match &self.state {
            State::Up { hash, .. } => Some(*hash),
            _ => None,
        }
    }

    /// Takes bytes as they come, cut anywhere. `invitations` are the handoff codes on show, newest first.
    ///
    /// # Errors
    /// A [`Fault`] if a cell does not open or parse: close the link. What was heard before it in these bytes is lost.
    pub fn receive(&mut self, rng: &mut Rng, bytes: &[u8], invitations: &[Invitation<'_>]) -> Result<Vec<Heard>, Fault> {
        let mut heard = Vec::new();
        let mut bytes = bytes;
        while !bytes.is_empty() {
            let (taken, rest) = bytes.split_at(bytes.len().min(CELL_BYTES - self.pending.len()));
            self.pending.extend_from_slice(taken);
            bytes = rest;
            if self.pending.len() == CELL_BYTES {
                let cell = std::mem::take(&mut self.pending);
                self.take_cell(rng, &cell, invitations, &mut heard)?;
            }
        }
        Ok(heard)
    }

    /// The cells of a frame, ready to be sent; `None` before the handshake is over or if the frame is too long.
    pub fn send(&mut self, frame: &Frame) -> Option<Vec<u8>> {
        let State::Up { noise, .. } = &mut self.state else { return None };
        let cells = frame.to_cells()?;
        let mut out = Vec::with_capacity(cells.len() * CELL_BYTES);
        for cell in cells {
            let mut sealed = [0; CELL_BYTES];
            noise.write_message(&cell, &mut sealed).ok()?;
            out.extend_from_slice(&sealed);
        }
        Some(out)
    }

    fn take_cell(
        &mut self,
        rng: &mut Rng,
        cell: &[u8],
        invitations: &[Invitation<'_>],
        heard: &mut Vec<Heard>,
    ) -> Result<(), Fault> {
        match std::mem::replace(&mut self.state, State::Dead) {
            State::Listening => {
                let (mut noise, burns) = self.answer(rng, cell, invitations)?;
                let reply = padded(rng, |buffer| noise.write_message(&[], buffer))?;
                heard.push(Heard::Reply(reply));
                self.advance(noise, burns, true, heard)
            }
            State::Handshaking { mut noise, burns } => {
                // XKpsk0's third message is a sealed key and a tag; NN's second and XKpsk0's second are a key and a tag.
                let length = if burns.is_some() { 64 } else { 48 };
                noise.read_message(&cell[..length], &mut [0; CELL_BYTES]).map_err(|_| Fault::Forged("handshake"))?;
                if noise.is_my_turn() && !noise.is_handshake_finished() {
                    heard.push(Heard::Reply(padded(rng, |buffer| noise.write_message(&[], buffer))?));
                }
                self.advance(*noise, burns, false, heard)
            }
            State::Up { mut noise, hash, mut reader, mut early, mut is_proven } => {
                early.push(cell.to_vec());
                let mut plain = [0; CELL_PLAIN_BYTES];
                while let Some(next) = early.iter().position(|cell| noise.read_message(cell, &mut plain).is_ok()) {
                    early.swap_remove(next);
                    if !std::mem::replace(&mut is_proven, true) {
                        heard.push(Heard::Up { burned: None });
                    }
                    if let Some(frame) = reader.take(&plain)? {
                        heard.push(Heard::Frame(frame));
                    }
                }
                if early.len() > self.early_max {
                    return Err(Fault::Forged("cell"));
                }
                self.state = State::Up { noise, hash, reader, early, is_proven };
                Ok(())
            }
            State::Dead => Err(Fault::OutOfPlace("cell")),
        }
    }

    /// Finds the pattern that the first cell speaks: a code on show, else NN.
    fn answer(
        &self,
        rng: &mut Rng,
        cell: &[u8],
        invitations: &[Invitation<'_>],
    ) -> Result<(HandshakeState, Option<Vec<u8>>), Fault> {
        let broken = |_| Fault::Forged("handshake");
        for invitation in invitations {
            let mut noise = Builder::with_resolver(params(XK), Box::new(Resolver(Mutex::new(rng.fork()))))
                .prologue(&prologue(&self.event, invitation.code))
                .and_then(|b| b.psk(0, &invitation.psk.0))
                .and_then(|b| b.local_private_key(&invitation.secret.0))
                .and_then(Builder::build_responder)
                .map_err(broken)?;
            if noise.read_message(&cell[..XK_FIRST_BYTES], &mut [0; CELL_BYTES]).is_ok() {
                return Ok((noise, Some(invitation.code.to_vec())));
            }
        }
        let mut noise = Builder::with_resolver(params(NN), Box::new(Resolver(Mutex::new(rng.fork()))))
            .prologue(&prologue(&self.event, &[]))
            .and_then(Builder::build_responder)
            .map_err(broken)?;
        noise.read_message(&cell[..NN_FIRST_BYTES], &mut [0; CELL_BYTES]).map_err(broken)?;
        Ok((noise, None))
    }

    fn advance(
        &mut self,
        noise: HandshakeState,
        burns: Option<Vec<u8>>,
        answers: bool,
        heard: &mut Vec<Heard>,
    ) -> Result<(), Fault> {
        if !noise.is_handshake_finished() {
            self.state = State::Handshaking { noise: Box::new(noise), burns };
            return Ok(());
        }
        let hash = hash("alcove/1 handshake", &[noise.get_handshake_hash()]);
        let noise = noise.into_transport_mode().map_err(|_| Fault::Forged("handshake"))?;
        let is_proven = burns.is_some() || !answers;
        self.state = State::Up { noise: Box::new(noise), hash, reader: FrameReader::default(), early: Vec::new(), is_proven };
        if is_proven {
            heard.push(Heard::Up { burned: burns });
        }
        Ok(())
    }
}

fn params(name: &str) -> NoiseParams {
    name.parse().expect("the pattern names are constants")
}

fn prologue(event: &[u8], code: &[u8]) -> Vec<u8> {
    [b"alcove/1 link", event, code].concat()
}

/// One handshake message, filled up to a cell with random bytes.
fn padded(rng: &mut Rng, write: impl FnOnce(&mut [u8]) -> Result<usize, snow::Error>) -> Result<Vec<u8>, Fault> {
    let mut cell = vec![0; CELL_BYTES];
    let length = write(&mut cell).map_err(|_| Fault::Forged("handshake"))?;
    rng.fill_bytes(&mut cell[length..]);
    Ok(cell)
}

/// snow's primitives with our chance: the only way to make its handshakes repeatable.
struct Resolver(Mutex<Rng>);

struct Chance(Rng);

impl Random for Chance {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Chance(self.0.lock().ok()?.fork())))
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

const _: () = assert!(PARCEL_LARGE_BYTES.is_multiple_of(super::config::CELL_CONTENT_BYTES));

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::wire::frame::Control;
    use x25519_dalek::{PublicKey, StaticSecret};

    struct Shown {
        secret: Key,
        public: [u8; 32],
        psk: Key,
        code: Vec<u8>,
    }

    fn shown(seed: u8) -> Shown {
        let secret = StaticSecret::from([seed; 32]);
        Shown {
            public: PublicKey::from(&secret).to_bytes(),
            secret: Key([seed; 32]),
            psk: Key([seed ^ 0xff; 32]),
            code: vec![seed; 62],
        }
    }

    impl Shown {
        fn scanned(&self) -> Scanned<'_> {
            Scanned { public: &self.public, psk: &self.psk, code: &self.code }
        }
        fn invitation(&self) -> Invitation<'_> {
            Invitation { secret: &self.secret, psk: &self.psk, code: &self.code }
        }
    }

    /// Runs both ends until neither has anything to say; gives what each heard, or the fault that ended it.
    fn run(scan: Option<&Shown>, on_show: &[&Shown], events: (&[u8], &[u8])) -> Result<(Link, Link, Option<Vec<u8>>), Fault> {
        let rng = &mut Rng::new([1; 32]);
        let (mut alice, first) = Link::initiate(rng, Instant(0), events.0, scan.map(Shown::scanned));
        let mut bob = Link::accept(Instant(0), events.1);
        let invitations: Vec<_> = on_show.iter().map(|shown| shown.invitation()).collect();
        let (mut to_bob, mut to_alice, mut burned) = (first, Vec::new(), None);
        while !(to_bob.is_empty() && to_alice.is_empty()) {
            assert!(to_bob.len() % CELL_BYTES == 0 && to_alice.len() % CELL_BYTES == 0);
            for heard in bob.receive(rng, &std::mem::take(&mut to_bob), &invitations)? {
                match heard {
                    Heard::Reply(cells) => to_alice.extend(cells),
                    Heard::Up { burned: code } => burned = code,
                    Heard::Frame(_) => unreachable!(),
                }
            }
            for heard in alice.receive(rng, &std::mem::take(&mut to_alice), &[])? {
                if let Heard::Reply(cells) = heard {
                    to_bob.extend(cells);
                }
            }
        }
        // Who answered NN takes the link for up with the first cell that opens.
        assert_eq!(bob.is_up(), burned.is_some());
        let first = alice.send(&Frame::Control(Control::Admission { admitted: true })).unwrap();
        let heard = bob.receive(rng, &first, &[])?;
        assert_eq!(heard.len(), if burned.is_some() { 1 } else { 2 });
        Ok((alice, bob, burned))
    }

    #[test]
    fn noise_instead_of_a_first_cell_makes_no_neighbour() {
        let rng = &mut Rng::new([3; 32]);
        let mut bob = Link::accept(Instant(0), b"event");
        let noise: [u8; CELL_BYTES] = rng.bytes();
        let heard = bob.receive(rng, &noise, &[]).unwrap();
        assert!(matches!(&heard[..], [Heard::Reply(_)]) && !bob.is_up(), "any 32 bytes are a key: answered, and no more");
        assert!(bob.receive(rng, &noise, &[]).is_err());
    }

    #[test]
    fn strangers_of_one_event_get_a_link_and_those_of_two_do_not() {
        let (alice, bob, burned) = run(None, &[], (b"event", b"event")).unwrap();
        assert!(alice.is_up() && bob.is_up() && burned.is_none());
        assert_eq!(alice.handshake_hash(), bob.handshake_hash());
        assert!(run(None, &[], (b"event", b"other")).is_err());
    }

    #[test]
    fn a_scanned_code_finds_its_invitation_among_those_on_show() {
        let (old, new) = (shown(1), shown(2));
        let (alice, bob, burned) = run(Some(&old), &[&new, &old], (b"event", b"event")).unwrap();
        assert!(alice.is_up() && bob.is_up());
        assert_eq!(burned, Some(old.code));
    }

    #[test]
    fn a_code_that_is_no_longer_on_show_opens_nothing() {
        let (old, new) = (shown(1), shown(2));
        assert!(run(Some(&old), &[&new], (b"event", b"event")).is_err());
        assert!(run(Some(&old), &[], (b"event", b"event")).is_err());
    }

    #[test]
    fn a_code_with_one_bit_changed_opens_nothing() {
        let host = shown(1);
        let mut changed = shown(1);
        changed.code[5] ^= 1;
        assert!(run(Some(&changed), &[&host], (b"event", b"event")).is_err());
        let mut changed = shown(1);
        changed.psk.0[0] ^= 1;
        assert!(run(Some(&changed), &[&host], (b"event", b"event")).is_err());
    }

    #[test]
    fn frames_arrive_however_the_stream_is_cut_and_a_flipped_bit_ends_the_link() {
        let rng = &mut Rng::new([2; 32]);
        let (mut alice, mut bob, _) = run(None, &[], (b"event", b"event")).unwrap();
        let frame = Frame::Control(Control::Lacking { round: [2; 4], short_ids: Some(vec![[1; 3]; 300]) });
        let cells = alice.send(&frame).unwrap();
        let mut frames = Vec::new();
        for piece in cells.chunks(7) {
            frames.extend(bob.receive(rng, piece, &[]).unwrap());
        }
        assert!(matches!(&frames[..], [Heard::Frame(heard)] if *heard == frame));
        let mut cells = bob.send(&frame).unwrap();
        cells[100] ^= 1;
        assert!(alice.receive(rng, &cells, &[]).is_err());
        assert!(alice.receive(rng, &cells, &[]).is_err(), "a dead link stays dead");
    }

    /// Two ends of a link that is up, the second one's as `end` makes it, and the cells of some frames from the first.
    fn with_cells(end: fn(Link) -> Link) -> (Link, Vec<Vec<u8>>, Vec<Frame>) {
        let (mut alice, bob, _) = run(None, &[], (b"event", b"event")).unwrap();
        let lacking =
            |n: u8| Frame::Control(Control::Lacking { round: [n; 4], short_ids: Some(vec![[n; 3]; 200 * usize::from(n)]) });
        let frames: Vec<_> = (0..6).map(lacking).collect();
        let cells = frames.iter().flat_map(|frame| alice.send(frame).unwrap()).collect::<Vec<_>>();
        (end(bob), cells.chunks(CELL_BYTES).map(<[u8]>::to_vec).collect(), frames)
    }

    fn hears(link: &mut Link, cells: &[Vec<u8>]) -> Result<Vec<Frame>, Fault> {
        let rng = &mut Rng::new([5; 32]);
        let mut frames = Vec::new();
        for cell in cells {
            frames.extend(link.receive(rng, cell, &[])?.into_iter().filter_map(|heard| match heard {
                Heard::Frame(frame) => Some(frame),
                Heard::Reply(_) | Heard::Up { .. } => None,
            }));
        }
        Ok(frames)
    }

    #[test]
    fn by_radio_frames_arrive_in_order_though_their_cells_overtake_each_other() {
        let (mut bob, mut cells, frames) = with_cells(Link::in_any_order);
        cells.chunks_mut(EARLY_CELLS_MAX + 1).for_each(<[_]>::reverse);
        assert_eq!(hears(&mut bob, &cells).unwrap(), frames);
        let (mut bob, mut cells, _) = with_cells(|link| link);
        cells.swap(3, 4);
        assert!(hears(&mut bob, &cells).is_err(), "control: elsewhere the order is the connection's");
    }

    #[test]
    fn cells_that_never_open_end_a_link_by_radio_once_there_are_too_many_and_not_before() {
        let (mut bob, cells, frames) = with_cells(Link::in_any_order);
        let forged = vec![vec![7; CELL_BYTES]; EARLY_CELLS_MAX];
        assert_eq!(hears(&mut bob, &forged).unwrap(), []);
        assert_eq!(hears(&mut bob, &cells).unwrap(), frames);
        assert!(hears(&mut bob, &forged[..1]).is_err());
        assert!(hears(&mut bob, &cells).is_err(), "a dead link stays dead");
    }

    #[test]
    fn a_cell_that_is_lost_by_radio_ends_the_link_and_none_is_read_twice() {
        let (mut bob, cells, frames) = with_cells(Link::in_any_order);
        assert_eq!(hears(&mut bob, &cells).unwrap(), frames);
        assert_eq!(hears(&mut bob, &cells[..EARLY_CELLS_MAX]).unwrap(), [], "said again, they do not open");
        let (mut bob, cells, _) = with_cells(Link::in_any_order);
        assert!(cells.len() > EARLY_CELLS_MAX + 1);
        assert!(hears(&mut bob, &cells[1..]).is_err());
    }
}
