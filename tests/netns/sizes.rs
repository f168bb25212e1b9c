//! The sizes that the design gives to everything that leaves a device over TCP, and no others.
//!
//! A link of the local network: whole cells, from the first byte of its handshake. A line to the relay: the upgrade to WebSocket, then
//! messages of one size.

use super::capture::{Seen, Stream};
use alcove::proto::config::{CELL_BYTES, RELAY_MESSAGE_BYTES};

/// WebSocket opcodes (RFC 6455 §5.2).
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
/// A code and no words.
const CLOSE_BYTES_MAX: usize = 2;

/// What was counted, or what has no size of ours.
pub fn check(seen: &Seen) -> Result<String, String> {
    let (mut writes, mut length, mut links, mut messages, mut lines) = (0, 0, 0, 0, 0);
    // Whoever runs the relay looks at its page for operators, as the tour does. No device asks for it.
    let pages: Vec<_> = seen.streams.iter().filter(|stream| stream.bytes().starts_with(b"GET /metrics ")).collect();
    let is_page = |(from, to)| pages.iter().any(|page| page.ports == (from, to) || page.ports == (to, from));
    for stream in seen.streams.iter().filter(|stream| !stream.pieces.is_empty() && !is_page(stream.ports)) {
        let ports = stream.ports;
        let bytes = stream.bytes();
        if bytes.starts_with(b"GET ") || bytes.starts_with(b"HTTP/1.1 ") {
            lines += 1;
            messages += frames(&bytes).map_err(|(opcode, length)| format!("{ports:?}: a frame {opcode} of {length} bytes"))?;
        } else {
            links += 1;
            length += bytes.len();
            writes += cells(stream).map_err(|length| format!("{ports:?}: {length} bytes in one piece are no whole cells"))?;
        }
    }
    if writes == 0 || messages == 0 {
        return Err(format!("nothing was seen: {writes} writes to neighbours, {messages} messages of relays"));
    }
    Ok(format!(
        "{writes} writes of {length} bytes on {links} ways of links, all whole cells of {CELL_BYTES} bytes; {messages} messages of {RELAY_MESSAGE_BYTES} bytes on {lines} ways of relay lines"
    ))
}

/// How many pieces; or the length of one that is not whole cells.
fn cells(stream: &Stream) -> Result<usize, usize> {
    let odd = stream.pieces.iter().map(Vec::len).find(|length| !length.is_multiple_of(CELL_BYTES));
    odd.map_or(Ok(stream.pieces.len()), Err)
}

/// How many messages follow the upgrade; or the opcode and length of a frame that is none, but for the end of a line.
fn frames(bytes: &[u8]) -> Result<usize, (u8, usize)> {
    let upgrade = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let (mut rest, mut count) = (&bytes[upgrade..], 0);
    while let [first, second, high, low, ..] = *rest {
        let (length, mask_at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([high, low])), 4),
            127 => (usize::MAX, 10),
            short => (usize::from(short), 2),
        };
        match first & 0x0f {
            BINARY if length == RELAY_MESSAGE_BYTES => count += 1,
            CLOSE if length <= CLOSE_BYTES_MAX => {}
            opcode => return Err((opcode, length)),
        }
        let masked = mask_at + if second & 0x80 == 0 { 0 } else { 4 } + length;
        // A line that is torn ends anywhere.
        rest = rest.get(masked..).unwrap_or_default();
    }
    Ok(count)
}
