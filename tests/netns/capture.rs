//! What an onlooker at the cable sees: every TCP stream over the loopback interface of this namespace, in the pieces in which it was
//! written.
//!
//! Laws: a capture that lost something says so; a piece ends where the writer's system pushed (RFC 9293 §3.9.1), so that what was
//! written together is one piece whatever the segments are.

use socket2::{Domain, Protocol, Socket, Type};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// IPv4 among the link's protocols (IEEE 802 numbers, RFC 9542): packets as they arrive, without those that leave, which are the same.
const ETHERTYPE_IPV4: u16 = 0x0800;
const TCP: u8 = 6;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const PSH: u8 = 0x08;
/// What waits for the reader.
const BUFFER_BYTES: usize = 64 * 1024 * 1024;

/// A capture that runs.
pub struct Capture {
    is_over: Arc<AtomicBool>,
    reader: JoinHandle<Result<Seen, String>>,
}

/// What was seen.
#[derive(Default)]
pub struct Seen {
    /// In the order in which they were opened.
    pub streams: Vec<Stream>,
    /// Packets of anything but TCP.
    pub others: usize,
    open: BTreeMap<(u16, u16), usize>,
}

/// One direction of one connection.
pub struct Stream {
    /// From which port to which.
    pub ports: (u16, u16),
    /// What was written together.
    pub pieces: Vec<Vec<u8>>,
    next_sequence: u32,
    is_pushed: bool,
}

impl Capture {
    /// Begins. Needs the right to capture (root).
    pub fn begin() -> Result<Capture, String> {
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(i32::from(ETHERTYPE_IPV4.to_be()))));
        let mut socket = socket.map_err(|error| format!("this system lets you capture nothing ({error}): run it as root"))?;
        // As much as the system gives; too little shows as a gap.
        let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
        socket.set_read_timeout(Some(Duration::from_millis(200))).map_err(|error| error.to_string())?;
        let is_over = Arc::new(AtomicBool::new(false));
        let over = is_over.clone();
        let reader = std::thread::spawn(move || {
            let (mut seen, mut packet) = (Seen::default(), vec![0; 128 * 1024]);
            loop {
                match socket.read(&mut packet) {
                    Ok(length) => seen.take(&packet[..length]).ok_or("a packet is cut off")??,
                    // Nothing waits any more.
                    Err(_) if over.load(Ordering::SeqCst) => return Ok(seen),
                    Err(_) => {}
                }
            }
        });
        Ok(Capture { is_over, reader })
    }

    /// Ends, and gives what was seen.
    pub fn end(self) -> Result<Seen, String> {
        self.is_over.store(true, Ordering::SeqCst);
        self.reader.join().map_err(|_| "the capture broke off".to_owned())?
    }
}

impl Seen {
    /// Takes a packet; `None` if it is not whole.
    fn take(&mut self, packet: &[u8]) -> Option<Result<(), &'static str>> {
        let total = usize::from(u16::from_be_bytes(*packet.get(2..)?.first_chunk()?));
        let header = usize::from(*packet.first()? & 0x0f) * 4;
        if *packet.get(9)? != TCP {
            self.others += 1;
            return Some(Ok(()));
        }
        // A segment of 64 KiB and more, which never meets a cable, has no length.
        let segment = packet.get(header..if total == 0 { packet.len() } else { total })?;
        let port = |at: usize| Some(u16::from_be_bytes(*segment.get(at..)?.first_chunk()?));
        let ports = (port(0)?, port(2)?);
        let sequence = u32::from_be_bytes(*segment.get(4..)?.first_chunk()?);
        let flags = *segment.get(13)?;
        let content = segment.get(usize::from(*segment.get(12)? >> 4) * 4..)?;
        if flags & SYN != 0 {
            self.open.insert(ports, self.streams.len());
            self.streams.push(Stream { ports, pieces: Vec::new(), next_sequence: sequence.wrapping_add(1), is_pushed: true });
        } else if let Some(stream) = self.open.get(&ports).and_then(|at| self.streams.get_mut(*at)) {
            return Some(stream.take(sequence, flags, content));
        }
        Some(Ok(()))
    }
}

impl Stream {
    fn take(&mut self, sequence: u32, flags: u8, content: &[u8]) -> Result<(), &'static str> {
        if content.is_empty() {
            return Ok(());
        }
        // Sent once more, or a probe of a peer that is silent.
        if sequence.wrapping_sub(self.next_sequence) >= 1 << 31 {
            return Ok(());
        }
        if sequence != self.next_sequence {
            return Err("the capture lost something: this machine is too busy for it");
        }
        self.next_sequence = sequence.wrapping_add(content.len() as u32);
        match self.pieces.last_mut() {
            Some(piece) if !self.is_pushed => piece.extend_from_slice(content),
            _ => self.pieces.push(content.to_vec()),
        }
        self.is_pushed = flags & (PSH | FIN) != 0;
        Ok(())
    }

    /// All of it.
    pub fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}
