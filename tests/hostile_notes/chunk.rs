//! A chunk of the Automerge storage format taken apart, and put together again however wrong it has become meanwhile: lengths and
//! checksum are true, so that nothing but its content is at fault.

use flate2::Compression;
use flate2::read::{DeflateDecoder, DeflateEncoder};
use sha2::{Digest, Sha256};
use std::io::Read;

const MAGIC: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
/// The kind of a chunk that holds a whole document.
pub const DOCUMENT: u8 = 0;
/// The kind of a chunk that holds one change.
pub const CHANGE: u8 = 1;
/// The same, deflated.
pub const COMPRESSED_CHANGE: u8 = 2;
/// The bit of a column's number that says that its data is deflated.
pub const DEFLATED: u64 = 8;

/// A chunk of this kind around this body.
pub fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut hashed = vec![kind];
    unsigned(&mut hashed, body.len() as u64);
    hashed.extend(body);
    [&MAGIC[..], &Sha256::digest(&hashed)[..4], &hashed].concat()
}

/// The body of a sound chunk.
pub fn body(chunk: &[u8]) -> &[u8] {
    let mut input = Input(&chunk[9..]);
    let length = input.unsigned() as usize;
    &input.0[..length]
}

/// A number in LEB128.
pub fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A signed number in LEB128.
pub fn signed(out: &mut Vec<u8>, mut value: i64) {
    loop {
        let byte = value as u8 & 0x7f;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            out.push(byte);
            return;
        }
        out.push(byte | 0x80);
    }
}

/// Deflated, as Automerge does it.
pub fn deflate(data: &[u8]) -> Vec<u8> {
    let mut deflated = Vec::new();
    DeflateEncoder::new(data, Compression::default()).read_to_end(&mut deflated).expect("memory");
    deflated
}

/// One column: its number and its data, not deflated.
#[derive(Clone)]
pub struct Column {
    pub number: u64,
    pub data: Vec<u8>,
}

/// What stands in a change chunk.
#[derive(Clone)]
pub struct Change {
    pub deps: Vec<[u8; 32]>,
    pub actor: Vec<u8>,
    pub seq: u64,
    pub start_op: u64,
    pub time: i64,
    pub message: Vec<u8>,
    pub actors: Vec<Vec<u8>>,
    pub columns: Vec<Column>,
    pub extra: Vec<u8>,
}

impl Change {
    pub fn read(chunk: &[u8]) -> Change {
        let mut input = Input(body(chunk));
        let deps = (0..input.unsigned()).map(|_| input.hash()).collect();
        let (actor, seq, start_op) = (input.sized(), input.unsigned(), input.unsigned());
        let time = i64::from(input.take(1)[0]);
        let message = input.sized();
        let actors = (0..input.unsigned()).map(|_| input.sized()).collect();
        let table = input.table();
        let columns = input.columns(table);
        Change { deps, actor, seq, start_op, time, message, actors, columns, extra: input.0.to_vec() }
    }

    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        unsigned(&mut out, self.deps.len() as u64);
        self.deps.iter().for_each(|dep| out.extend(dep));
        sized(&mut out, &self.actor);
        unsigned(&mut out, self.seq);
        unsigned(&mut out, self.start_op);
        signed(&mut out, self.time);
        sized(&mut out, &self.message);
        unsigned(&mut out, self.actors.len() as u64);
        self.actors.iter().for_each(|actor| sized(&mut out, actor));
        let data = table(&mut out, &self.columns);
        out.extend(data);
        out.extend(&self.extra);
        out
    }
}

/// What stands in a document chunk.
#[derive(Clone)]
pub struct Document {
    pub actors: Vec<Vec<u8>>,
    pub heads: Vec<[u8; 32]>,
    pub changes: Vec<Column>,
    pub operations: Vec<Column>,
    /// Which changes are the heads.
    pub tail: Vec<u8>,
}

impl Document {
    pub fn read(chunk: &[u8]) -> Document {
        let mut input = Input(body(chunk));
        let actors = (0..input.unsigned()).map(|_| input.sized()).collect();
        let heads = (0..input.unsigned()).map(|_| input.hash()).collect();
        let (changes, operations) = (input.table(), input.table());
        let (changes, operations) = (input.columns(changes), input.columns(operations));
        Document { actors, heads, changes, operations, tail: input.0.to_vec() }
    }

    pub fn body(&self) -> Vec<u8> {
        let mut out = Vec::new();
        unsigned(&mut out, self.actors.len() as u64);
        self.actors.iter().for_each(|actor| sized(&mut out, actor));
        unsigned(&mut out, self.heads.len() as u64);
        self.heads.iter().for_each(|head| out.extend(head));
        let changes = table(&mut out, &self.changes);
        let operations = table(&mut out, &self.operations);
        out.extend([changes, operations, self.tail.clone()].concat());
        out
    }
}

fn sized(out: &mut Vec<u8>, bytes: &[u8]) {
    unsigned(out, bytes.len() as u64);
    out.extend(bytes);
}

/// Writes the table of these columns; gives the data to be written behind it.
fn table(out: &mut Vec<u8>, columns: &[Column]) -> Vec<u8> {
    let mut data = Vec::new();
    unsigned(out, columns.len() as u64);
    for column in columns {
        let before = data.len();
        data.extend(if column.number & DEFLATED != 0 { deflate(&column.data) } else { column.data.clone() });
        unsigned(out, column.number);
        unsigned(out, (data.len() - before) as u64);
    }
    data
}

/// What is left to read of bytes that are sound.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    fn unsigned(&mut self) -> u64 {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        value
    }

    fn sized(&mut self) -> Vec<u8> {
        let length = self.unsigned() as usize;
        self.take(length).to_vec()
    }

    fn hash(&mut self) -> [u8; 32] {
        self.take(32).try_into().expect("32 bytes")
    }

    fn table(&mut self) -> Vec<(u64, usize)> {
        (0..self.unsigned()).map(|_| (self.unsigned(), self.unsigned() as usize)).collect()
    }

    fn columns(&mut self, table: Vec<(u64, usize)>) -> Vec<Column> {
        let column = |(number, length)| {
            let data = self.take(length);
            let mut inflated = Vec::new();
            match number & DEFLATED {
                0 => inflated.extend(data),
                _ => _ = DeflateDecoder::new(data).read_to_end(&mut inflated).expect("a sound column"),
            }
            Column { number, data: inflated }
        };
        table.into_iter().map(column).collect()
    }
}
