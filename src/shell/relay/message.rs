//! What a device and its relay say to each other: every WebSocket message, either way, has exactly [`RELAY_MESSAGE_BYTES`].
//!
//! Layout: one byte that says which message it is, its fields (integers little-endian) in the first [`HEADER_BYTES`], then the blob.
//! What is unused is zero. Laws: decoding is total; whatever decodes encodes to the same bytes, so there is one form per message.
//! It does not judge a command (hours, quota, keys): that is the relay's part.

use crate::proto::config::{RELAY_BLOB_BYTES, RELAY_MESSAGE_BYTES};
use crate::proto::id::{PutId, WriteName};
use crate::proto::io::{ReadKey, RelayCommand, RelayEvent, RelayRefusal};
use crate::proto::secret::{Key, hash16};
use axum::body::Bytes;

/// The path at which a relay speaks this protocol; a later, different one gets another path.
pub const SOCKET_PATH: &str = "/v1/ws";

/// Everything of a message that is not the blob.
pub const HEADER_BYTES: usize = RELAY_MESSAGE_BYTES - RELAY_BLOB_BYTES;

/// Mailboxes that one connection may read: a phone reads one per talk and a fixed number of shared buckets. The relay ignores what
/// is beyond, so both sides know the number.
pub const SUBSCRIPTIONS_MAX: usize = 128;

const SUBSCRIBE: u8 = 1;
const UNSUBSCRIBE: u8 = 2;
const PUT: u8 = 3;
const DELETE: u8 = 4;
const BLOB: u8 = 129;
const CAUGHT_UP: u8 = 130;
const STORED: u8 = 131;
const REFUSED: u8 = 132;

/// The hash that a blob is put with and that its delete key must match.
pub fn delete_hash(delete_key: &[u8; 16]) -> [u8; 16] {
    hash16("alcove/1 delete", &[delete_key])
}

/// The bytes are no message of this protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("these bytes are no message between a device and its relay")]
pub struct Malformed;

/// What a relay says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// A blob of a subscribed mailbox.
    Blob {
        /// Which mailbox.
        mailbox: WriteName,
        /// Its place; ascending per mailbox, never 0.
        cursor: u64,
        /// Exactly [`RELAY_BLOB_BYTES`].
        blob: Bytes,
    },
    /// Nothing newer is there.
    CaughtUp {
        /// Which mailbox.
        mailbox: WriteName,
    },
    /// The blob is kept, and survives the relay's power cut if it has a disk.
    Stored {
        /// Which put.
        id: PutId,
    },
    /// The blob is not kept.
    Refused {
        /// Which put.
        id: PutId,
        /// Why.
        why: RelayRefusal,
    },
}

impl From<Reply> for RelayEvent {
    fn from(reply: Reply) -> RelayEvent {
        match reply {
            Reply::Blob { mailbox, cursor, blob } => RelayEvent::Blob { mailbox, cursor, blob: blob.into() },
            Reply::CaughtUp { mailbox } => RelayEvent::CaughtUp { mailbox },
            Reply::Stored { id } => RelayEvent::Stored { id },
            Reply::Refused { id, why } => RelayEvent::Refused { id, why },
        }
    }
}

/// Device to relay.
///
/// # Errors
/// [`Malformed`] if a put's blob has not exactly [`RELAY_BLOB_BYTES`].
pub fn encode_command(command: &RelayCommand) -> Result<Vec<u8>, Malformed> {
    Ok(match command {
        RelayCommand::Subscribe { read_key, after } => write(SUBSCRIBE, &[&read_key.0.0, &after.to_le_bytes()], &[]),
        RelayCommand::Unsubscribe { read_key } => write(UNSUBSCRIBE, &[&read_key.0.0], &[]),
        RelayCommand::Put { id, to, blob, hours, delete_hash } => {
            if blob.len() != RELAY_BLOB_BYTES {
                return Err(Malformed);
            }
            write(PUT, &[&id.0.to_le_bytes(), &to.0, &[*hours], delete_hash], blob)
        }
        RelayCommand::Delete { from, delete_key } => write(DELETE, &[&from.0, delete_key], &[]),
    })
}

/// Device to relay, at the relay.
///
/// # Errors
/// [`Malformed`] for everything that [`encode_command`] does not write.
pub fn decode_command(message: &[u8]) -> Result<RelayCommand, Malformed> {
    let (op, mut fields, blob) = parts(message)?;
    let fields = &mut fields;
    let command = match op {
        SUBSCRIBE => RelayCommand::Subscribe { read_key: ReadKey(Key(take(fields)?)), after: u64::from_le_bytes(take(fields)?) },
        UNSUBSCRIBE => RelayCommand::Unsubscribe { read_key: ReadKey(Key(take(fields)?)) },
        PUT => RelayCommand::Put {
            id: PutId(u64::from_le_bytes(take(fields)?)),
            to: WriteName(take(fields)?),
            hours: take::<1>(fields)?[0],
            delete_hash: take(fields)?,
            blob: blob.to_vec(),
        },
        DELETE => RelayCommand::Delete { from: WriteName(take(fields)?), delete_key: take(fields)? },
        _ => return Err(Malformed),
    };
    end(fields, (op != PUT).then_some(blob))?;
    Ok(command)
}

/// Relay to device. A blob must have [`RELAY_BLOB_BYTES`]; one of another size is cut or filled with zeros, so that the message has
/// its one size whatever is asked.
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    match reply {
        Reply::Blob { mailbox, cursor, blob } => write(BLOB, &[&mailbox.0, &cursor.to_le_bytes()], blob),
        Reply::CaughtUp { mailbox } => write(CAUGHT_UP, &[&mailbox.0], &[]),
        Reply::Stored { id } => write(STORED, &[&id.0.to_le_bytes()], &[]),
        Reply::Refused { id, why } => write(REFUSED, &[&id.0.to_le_bytes(), &[refusal_code(*why)]], &[]),
    }
}

/// Relay to device, at the device.
///
/// # Errors
/// [`Malformed`] for everything that [`encode_reply`] does not write, a cursor of 0 included.
pub fn decode_reply(message: &[u8]) -> Result<Reply, Malformed> {
    let (op, mut fields, blob) = parts(message)?;
    let fields = &mut fields;
    let reply = match op {
        BLOB => {
            let mailbox = WriteName(take(fields)?);
            let cursor = u64::from_le_bytes(take(fields)?);
            if cursor == 0 {
                return Err(Malformed);
            }
            Reply::Blob { mailbox, cursor, blob: Bytes::copy_from_slice(blob) }
        }
        CAUGHT_UP => Reply::CaughtUp { mailbox: WriteName(take(fields)?) },
        STORED => Reply::Stored { id: PutId(u64::from_le_bytes(take(fields)?)) },
        REFUSED => {
            let id = PutId(u64::from_le_bytes(take(fields)?));
            Reply::Refused { id, why: refusal(take::<1>(fields)?[0])? }
        }
        _ => return Err(Malformed),
    };
    end(fields, (op != BLOB).then_some(blob))?;
    Ok(reply)
}

fn refusal_code(why: RelayRefusal) -> u8 {
    match why {
        RelayRefusal::MailboxFull => 1,
        RelayRefusal::RelayFull => 2,
        RelayRefusal::SlowDown => 3,
        RelayRefusal::Malformed => 4,
    }
}

fn refusal(code: u8) -> Result<RelayRefusal, Malformed> {
    match code {
        1 => Ok(RelayRefusal::MailboxFull),
        2 => Ok(RelayRefusal::RelayFull),
        3 => Ok(RelayRefusal::SlowDown),
        4 => Ok(RelayRefusal::Malformed),
        _ => Err(Malformed),
    }
}

fn write(op: u8, fields: &[&[u8]], blob: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(RELAY_MESSAGE_BYTES);
    message.push(op);
    fields.iter().for_each(|field| message.extend_from_slice(field));
    message.resize(HEADER_BYTES, 0);
    message.extend_from_slice(blob);
    message.resize(RELAY_MESSAGE_BYTES, 0);
    message
}

fn parts(message: &[u8]) -> Result<(u8, &[u8], &[u8]), Malformed> {
    if message.len() != RELAY_MESSAGE_BYTES {
        return Err(Malformed);
    }
    let (header, blob) = message.split_at_checked(HEADER_BYTES).ok_or(Malformed)?;
    let (op, fields) = header.split_first().ok_or(Malformed)?;
    Ok((*op, fields, blob))
}

fn take<const N: usize>(fields: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (field, rest) = fields.split_first_chunk::<N>().ok_or(Malformed)?;
    *fields = rest;
    Ok(*field)
}

/// What is left of the header, and the blob of a message that carries none, must be zero.
fn end(rest: &[u8], unused: Option<&[u8]>) -> Result<(), Malformed> {
    let is_zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    if is_zero(rest) && unused.is_none_or(is_zero) { Ok(()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;

    fn commands(rng: &mut Rng) -> Vec<RelayCommand> {
        let read_key = ReadKey(Key(rng.bytes()));
        let blob = rng.bytes::<RELAY_BLOB_BYTES>().to_vec();
        vec![
            RelayCommand::Subscribe { read_key: read_key.clone(), after: rng.below(u64::MAX) },
            RelayCommand::Unsubscribe { read_key },
            RelayCommand::Put { id: PutId(7), to: WriteName(rng.bytes()), blob, hours: 168, delete_hash: rng.bytes() },
            RelayCommand::Delete { from: WriteName(rng.bytes()), delete_key: rng.bytes() },
        ]
    }

    fn replies(rng: &mut Rng) -> Vec<Reply> {
        let blob = Bytes::copy_from_slice(&rng.bytes::<RELAY_BLOB_BYTES>());
        let mailbox = WriteName(rng.bytes());
        let mut replies = vec![
            Reply::Blob { mailbox, cursor: u64::MAX, blob },
            Reply::CaughtUp { mailbox },
            Reply::Stored { id: PutId(rng.below(u64::MAX)) },
        ];
        for why in [RelayRefusal::MailboxFull, RelayRefusal::RelayFull, RelayRefusal::SlowDown, RelayRefusal::Malformed] {
            replies.push(Reply::Refused { id: PutId(1), why });
        }
        replies
    }

    #[test]
    fn every_message_has_one_size_and_reads_back() {
        let rng = &mut Rng::new([1; 32]);
        for command in commands(rng) {
            let message = encode_command(&command).unwrap();
            assert_eq!(message.len(), RELAY_MESSAGE_BYTES);
            assert_eq!(decode_command(&message), Ok(command));
            assert_eq!(decode_reply(&message), Err(Malformed), "a command is no reply");
        }
        for reply in replies(rng) {
            let message = encode_reply(&reply);
            assert_eq!(message.len(), RELAY_MESSAGE_BYTES);
            assert_eq!(decode_reply(&message), Ok(reply));
            assert_eq!(decode_command(&message), Err(Malformed), "a reply is no command");
        }
    }

    #[test]
    fn whatever_decodes_encodes_to_the_same_bytes() {
        let rng = &mut Rng::new([2; 32]);
        let mut messages: Vec<Vec<u8>> = commands(rng).iter().map(|command| encode_command(command).unwrap()).collect();
        messages.extend(replies(rng).iter().map(encode_reply));
        let mut understood = 0;
        for round in 0..20_000 {
            let mut message = messages[round % messages.len()].clone();
            for _ in 0..=rng.below(3) {
                // Half of the mutations hit the header, where the meaning is.
                let span = if rng.below(2) == 0 { HEADER_BYTES } else { RELAY_MESSAGE_BYTES } as u64;
                message[rng.below(span) as usize] = rng.below(256) as u8;
            }
            if rng.below(20) == 0 {
                message.truncate(rng.below(RELAY_MESSAGE_BYTES as u64 + 1) as usize);
            }
            if let Ok(command) = decode_command(&message) {
                assert_eq!(encode_command(&command).as_deref(), Ok(&message[..]));
                understood += 1;
            }
            if let Ok(reply) = decode_reply(&message) {
                assert_eq!(encode_reply(&reply), message);
                understood += 1;
            }
        }
        assert!(understood > 1_000, "the mutations must also meet valid messages: {understood}");
    }

    #[test]
    fn a_blob_of_another_size_is_not_sent() {
        for size in [0, RELAY_BLOB_BYTES - 1, RELAY_BLOB_BYTES + 1] {
            let put =
                RelayCommand::Put { id: PutId(1), to: WriteName([0; 16]), blob: vec![0; size], hours: 1, delete_hash: [0; 16] };
            assert_eq!(encode_command(&put), Err(Malformed));
        }
    }
}
