//! A tap on the line between the attendees and their relay: it measures every WebSocket message, and it can cut the line.
//!
//! It sees what whoever runs the relay sees: connections, the sizes of what is in them, and which blobs come and are withdrawn.

use crate::proto::io::RelayCommand;
use crate::shell::relay::message::{decode_command, delete_hash};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The tap. Its threads end with the process.
pub struct Tap {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    is_cut: AtomicBool,
    seen: Mutex<Seen>,
    open: Mutex<Vec<TcpStream>>,
}

/// What passed, in order.
#[derive(Default)]
struct Seen {
    sizes: Vec<usize>,
    /// The delete hash of each blob, where it was first put.
    puts: Vec<[u8; 16]>,
    withdrawn: BTreeSet<[u8; 16]>,
}

impl Seen {
    fn take(&mut self, message: &[u8], is_to_relay: bool) {
        self.sizes.push(message.len());
        match decode_command(message) {
            Ok(RelayCommand::Put { delete_hash, .. }) if is_to_relay && !self.puts.contains(&delete_hash) => {
                self.puts.push(delete_hash);
            }
            Ok(RelayCommand::Delete { delete_key, .. }) if is_to_relay => {
                self.withdrawn.insert(delete_hash(&delete_key));
            }
            _ => {}
        }
    }
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
        self.seen().sizes.clone()
    }

    /// How many blobs were put so far.
    pub fn puts(&self) -> usize {
        self.seen().puts.len()
    }

    /// How many of these blobs, counted in the order in which they were put, their writers have not withdrawn.
    pub fn left_of(&self, puts: Range<usize>) -> usize {
        let seen = self.seen();
        seen.puts.get(puts).unwrap_or_default().iter().filter(|hash| !seen.withdrawn.contains(*hash)).count()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn pass_on(shared: &Arc<Shared>, near: TcpStream, relay: SocketAddr) {
    let Ok(far) = TcpStream::connect(relay) else { return };
    let (Ok(near_too), Ok(far_too)) = (near.try_clone(), far.try_clone()) else { return };
    if let (Ok(near), Ok(far)) = (near.try_clone(), far.try_clone()) {
        shared.open.lock().unwrap_or_else(PoisonError::into_inner).extend([near, far]);
    }
    for (from, to, is_to_relay) in [(near, far_too, true), (far, near_too, false)] {
        let shared = Arc::clone(shared);
        thread::spawn(move || pump(&shared, from, to, is_to_relay));
    }
}

fn pump(shared: &Shared, mut from: TcpStream, mut to: TcpStream, is_to_relay: bool) {
    let (mut reader, mut buffer) = (MessageReader::default(), [0; 16_384]);
    while let Ok(length) = from.read(&mut buffer) {
        let messages = reader.read(&buffer[..length]);
        // Noted before it is passed on: nobody can have acted on what the tap has not seen.
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        messages.iter().for_each(|message| seen.take(message, is_to_relay));
        drop(seen);
        if length == 0 || to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _torn_already = to.shutdown(Shutdown::Both);
}

/// Reads binary messages out of one direction of a WebSocket connection (RFC 6455, section 5.2).
#[derive(Default)]
struct MessageReader {
    is_upgraded: bool,
    bytes: Vec<u8>,
}

impl MessageReader {
    fn read(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.bytes.extend_from_slice(bytes);
        if !self.is_upgraded {
            let Some(end) = self.bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Vec::new() };
            self.bytes.drain(..end + 4);
            self.is_upgraded = true;
        }
        let mut messages = Vec::new();
        while let Some(frame) = frame(&self.bytes) {
            if frame.is_binary {
                messages.push(frame.payload);
            }
            self.bytes.drain(..frame.bytes);
        }
        messages
    }
}

/// One whole frame.
struct WebSocketFrame {
    is_binary: bool,
    payload: Vec<u8>,
    /// With its head.
    bytes: usize,
}

fn frame(bytes: &[u8]) -> Option<WebSocketFrame> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (payload_bytes, mask_at) = match second & 0x7f {
        126 => (usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).ok()?, 10),
        short => (usize::from(short), 2),
    };
    let (mask, payload_at) = match second & 0x80 {
        0 => ([0; 4], mask_at),
        _ => (*bytes.get(mask_at..)?.first_chunk::<4>()?, mask_at + 4),
    };
    let end = payload_at.checked_add(payload_bytes)?;
    let masked = bytes.get(payload_at..end)?;
    let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    Some(WebSocketFrame { is_binary: matches!(first & 0x0f, 0 | 2), payload, bytes: end })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::config::RELAY_BLOB_BYTES;
    use crate::proto::id::{PutId, WriteName};
    use crate::shell::relay::message::encode_command;

    #[test]
    fn messages_are_read_however_the_stream_is_cut_and_control_frames_are_not_counted() {
        let mut stream = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec();
        stream.extend([0x82, 0x80 | 126, 0x10, 0x40, 1, 2, 3, 4]);
        stream.extend([1, 2, 3, 4].iter().cycle().take(0x1040).map(|mask| mask ^ 7));
        stream.extend([0x89, 0x00]);
        stream.extend([0x82, 5, 1, 2, 3, 4, 5]);
        for piece in [1, 7, stream.len()] {
            let mut reader = MessageReader::default();
            let messages: Vec<_> = stream.chunks(piece).flat_map(|chunk| reader.read(chunk)).collect();
            assert_eq!(messages, [vec![7; 0x1040], vec![1, 2, 3, 4, 5]]);
        }
    }

    #[test]
    fn a_blob_is_left_until_its_own_writer_withdraws_it_however_often_it_was_put() {
        let mut seen = Seen::default();
        let mut tell = |command: RelayCommand| seen.take(&encode_command(&command).unwrap(), true);
        let to = WriteName([1; 16]);
        let put = |key: u8| RelayCommand::Put {
            id: PutId(u64::from(key)),
            to,
            blob: vec![0; RELAY_BLOB_BYTES],
            hours: 1,
            delete_hash: delete_hash(&[key; 16]),
        };
        [1, 2, 1].into_iter().for_each(|key| tell(put(key)));
        tell(RelayCommand::Delete { from: to, delete_key: [1; 16] });
        tell(RelayCommand::Delete { from: to, delete_key: [3; 16] });
        let tap = Tap {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            shared: Arc::new(Shared { seen: Mutex::new(seen), ..Shared::default() }),
        };
        assert_eq!((tap.puts(), tap.left_of(0..2), tap.left_of(0..1), tap.left_of(1..2)), (2, 1, 0, 1));
    }
}
