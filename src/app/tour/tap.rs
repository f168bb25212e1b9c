//! A tap on the line between the attendees and their relay: it measures every WebSocket message, and it can cut the line.
//!
//! It sees what whoever runs the relay sees: connections, and the sizes of what is in them.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// The tap. Its threads end with the process.
pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    sizes: Mutex<Vec<usize>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Tap {
    /// Listens on a free port and passes everything on to the relay.
    ///
    /// # Errors
    /// If no port can be opened.
    pub fn new(relay: SocketAddr) -> Result<Tap> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no port is free on this machine")?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
        let tapped = Arc::clone(&shared);
        thread::spawn(move || {
            for incoming in listener.incoming().flatten() {
                if !tapped.is_cut.load(Ordering::SeqCst) {
                    pass_on(&tapped, incoming, relay);
                }
            }
        });
        Ok(Tap { address, shared })
    }

    /// Where the attendees find "the relay".
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The line is dead: what stands is torn, and nothing new gets through.
    pub fn cut(&self) {
        self.shared.is_cut.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _torn_already = stream.shutdown(Shutdown::Both);
        }
    }

    /// The line is whole again.
    pub fn mend(&self) {
        self.shared.is_cut.store(false, Ordering::SeqCst);
    }

    /// The sizes of all messages so far, both ways.
    pub fn sizes(&self) -> Vec<usize> {
        self.shared.sizes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn pass_on(shared: &Arc<Shared>, near: TcpStream, relay: SocketAddr) {
    let Ok(far) = TcpStream::connect(relay) else { return };
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    if let (Ok(near), Ok(far)) = (near.try_clone(), far.try_clone()) {
        shared.open.lock().unwrap_or_else(PoisonError::into_inner).extend([near, far]);
    }
    for (from, to) in [(near, far_too), (far, near_too)] {
        let shared = Arc::clone(shared);
        thread::spawn(move || pump(&shared, from, to));
    }
}

fn pump(shared: &Shared, mut from: TcpStream, mut to: TcpStream) {
    let (mut reader, mut buffer) = (SizeReader::default(), [0; 16_384]);
    while let Ok(length) = from.read(&mut buffer) {
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
        let sizes = reader.read(&buffer[..length]);
        shared.sizes.lock().unwrap_or_else(PoisonError::into_inner).extend(sizes);
    }
    let _torn_already = to.shutdown(Shutdown::Both);
}

/// Reads the sizes of binary messages out of one direction of a WebSocket connection (RFC 6455, section 5.2).
#[derive(Default)]
struct SizeReader {
    is_upgraded: bool,
    bytes: Vec<u8>,
    skip: usize,
}

impl SizeReader {
    fn read(&mut self, mut bytes: &[u8]) -> Vec<usize> {
        let mut sizes = Vec::new();
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let Some((byte, rest)) = bytes.split_first() else { break };
            self.bytes.push(*byte);
            bytes = rest;
            if !self.is_upgraded {
                if self.bytes.ends_with(b"\r\n\r\n") {
                    self.is_upgraded = true;
                    self.bytes.clear();
                }
            } else if let Some((is_binary, payload, mask)) = frame_head(&self.bytes) {
                self.bytes.clear();
                self.skip = payload + mask;
                if is_binary {
                    sizes.push(payload);
                }
            }
        }
        sizes
    }
}

/// What a complete frame head says: binary or continued, payload bytes, mask bytes.
fn frame_head(head: &[u8]) -> Option<(bool, usize, usize)> {
    let (first, second) = (*head.first()?, *head.get(1)?);
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let payload = match second & 0x7f {
        126 => usize::from(u16::from_be_bytes([*head.get(2)?, *head.get(3)?])),
        127 => usize::try_from(u64::from_be_bytes(head.get(2..10)?.try_into().ok()?)).unwrap_or(usize::MAX),
        short => usize::from(short),
    };
    Some((matches!(first & 0x0f, 0 | 2), payload, mask))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_however_the_stream_is_cut_and_control_frames_are_not_counted() {
        let mut stream = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec();
        stream.extend([0x82, 0x80 | 126, 0x10, 0x40, 1, 2, 3, 4]);
        stream.extend(vec![7; 0x1040]);
        stream.extend([0x89, 0x00]);
        stream.extend([0x82, 5, 1, 2, 3, 4, 5]);
        for piece in [1, 7, stream.len()] {
            let mut reader = SizeReader::default();
            let sizes: Vec<_> = stream.chunks(piece).flat_map(|chunk| reader.read(chunk)).collect();
            assert_eq!(sizes, [0x1040, 5]);
        }
    }
}
