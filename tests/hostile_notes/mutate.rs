//! What a member with a program of her own can make of an honest change or document: bytes, columns, fields and operations that are
//! wrong in every way we could think of. Lengths and checksums are always true.

use super::chunk::{self, CHANGE, COMPRESSED_CHANGE, Column, DEFLATED, DOCUMENT, signed, unsigned};
use alcove::proto::rng::Rng;
use automerge::legacy::{ElementId, Key, MarkData, ObjectId, Op, OpId, OpType};
use automerge::{ActorId, ExpandedChange, ObjType, ScalarValue};

/// The ways to make a change hostile, for the count of each.
pub const CHANGE_WAYS: [&str; 7] = ["bytes", "compressed bytes", "a column", "columns", "a bomb", "the head", "operations"];
/// The ways to make a document hostile.
pub const DOCUMENT_WAYS: [&str; 6] = ["bytes", "a column", "columns", "the head", "a hostile change inside", "a bomb"];
/// The last of them.
pub const DOCUMENT_BOMB: usize = 5;

/// What the attacker has at hand.
pub struct Kit<'a> {
    /// Another chunk, to take pieces from.
    pub donor: &'a [u8],
    /// Names of changes that are there.
    pub hashes: &'a [[u8; 32]],
    /// The actors of all seats.
    pub actors: &'a [Vec<u8>],
}

/// A hostile change made of an honest one, in this way.
pub fn change(honest: &[u8], way: usize, kit: &Kit<'_>, rng: &mut Rng) -> Vec<u8> {
    let mut parts = chunk::Change::read(honest);
    match CHANGE_WAYS[way] {
        "bytes" => {
            let mut body = chunk::body(honest).to_vec();
            bytes(&mut body, chunk::body(kit.donor), rng);
            return chunk::chunk(CHANGE, &body);
        }
        "compressed bytes" => {
            let mut body = chunk::body(honest).to_vec();
            let before = rng.below(2) == 0;
            if before {
                bytes(&mut body, chunk::body(kit.donor), rng);
            }
            let mut deflated = chunk::deflate(&body);
            if !before {
                bytes(&mut deflated, &body, rng);
            }
            return chunk::chunk(COMPRESSED_CHANGE, &deflated);
        }
        "a column" => in_a_column(&mut parts.columns, chunk::body(kit.donor), rng),
        "columns" => columns(&mut parts.columns, rng),
        "a bomb" => bomb(&mut parts.columns, rng),
        "the head" => head(&mut parts, honest, kit, rng),
        "operations" => return operations(honest, kit, rng).unwrap_or_else(|| change(honest, 0, kit, rng)),
        other => panic!("no such way: {other}"),
    }
    chunk::chunk(CHANGE, &parts.body())
}

/// A hostile document made of an honest one, in this way; `hostile_inside` is one into which Automerge itself let a hostile change.
pub fn document(honest: &[u8], way: usize, hostile_inside: Option<Vec<u8>>, kit: &Kit<'_>, rng: &mut Rng) -> Vec<u8> {
    let mut parts = chunk::Document::read(honest);
    match DOCUMENT_WAYS[way] {
        "bytes" => {
            let mut body = chunk::body(honest).to_vec();
            bytes(&mut body, kit.donor, rng);
            return chunk::chunk(DOCUMENT, &body);
        }
        "a column" => in_a_column(either(&mut parts, rng), kit.donor, rng),
        "columns" => columns(either(&mut parts, rng), rng),
        "a bomb" => bomb(either(&mut parts, rng), rng),
        "the head" => match rng.below(6) {
            0 => parts.actors.push(pick(kit.actors, rng).clone()),
            1 => parts.actors.reverse(),
            2 => drop(parts.actors.pop()),
            3 => parts.heads.push(*pick(kit.hashes, rng)),
            4 => drop(parts.heads.pop()),
            _ => bytes(&mut parts.tail, kit.donor, rng),
        },
        "a hostile change inside" => return hostile_inside.unwrap_or_else(|| document(honest, 0, None, kit, rng)),
        other => panic!("no such way: {other}"),
    }
    chunk::chunk(DOCUMENT, &parts.body())
}

fn either<'a>(parts: &'a mut chunk::Document, rng: &mut Rng) -> &'a mut Vec<Column> {
    if rng.below(2) == 0 { &mut parts.changes } else { &mut parts.operations }
}

fn pick<'a, T>(from: &'a [T], rng: &mut Rng) -> &'a T {
    &from[rng.below(from.len() as u64) as usize]
}

/// Flips, inserts, deletes and splices, one to three of them.
fn bytes(data: &mut Vec<u8>, donor: &[u8], rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let at = rng.below(data.len() as u64 + 1) as usize;
        let end = (at + 1 + rng.below(8) as usize).min(data.len());
        match rng.below(6) {
            0 | 1 if at < data.len() => data[at] ^= 1 << rng.below(8),
            2 if at < data.len() => data[at] = rng.bytes::<1>()[0],
            3 => data.insert(at, rng.bytes::<1>()[0]),
            4 if at < data.len() => drop(data.drain(at..end)),
            _ => {
                let from = rng.below(donor.len() as u64) as usize;
                let piece = &donor[from..(from + 1 + rng.below(16) as usize).min(donor.len())];
                data.splice(at..end.max(at), piece.iter().copied());
            }
        }
    }
}

fn in_a_column(columns: &mut [Column], donor: &[u8], rng: &mut Rng) {
    if !columns.is_empty() {
        let place = rng.below(columns.len() as u64) as usize;
        bytes(&mut columns[place].data, donor, rng);
    }
}

/// Columns missing, twice, exchanged, unknown, deflated where they must not be, and giant.
fn columns(columns: &mut Vec<Column>, rng: &mut Rng) {
    if columns.is_empty() {
        return;
    }
    let place = rng.below(columns.len() as u64) as usize;
    let other = rng.below(columns.len() as u64) as usize;
    match rng.below(8) {
        0 => drop(columns.remove(place)),
        1 => columns.insert(place, columns[other].clone()),
        2 => columns.swap(place, other),
        3 => columns[place].number = rng.below(0x200),
        4 => columns[place].number ^= DEFLATED,
        5 => columns[place].data.clear(),
        6 => {
            let data = columns[other].data.clone();
            columns[place].data.extend(data);
        }
        _ => {
            let giant = columns[place].data.iter().copied().cycle().take(60_000).collect::<Vec<_>>();
            columns[place].data.extend(giant);
        }
    }
}

/// A few bytes that claim 2^20 to 2^60 rows, or stand for megabytes when they are inflated.
fn bomb(columns: &mut [Column], rng: &mut Rng) {
    if columns.is_empty() {
        return;
    }
    let place = rng.below(columns.len() as u64) as usize;
    let column = &mut columns[place];
    let count = 1u64 << (20 + rng.below(41));
    let mut run = Vec::new();
    match rng.below(4) {
        0 => {
            signed(&mut run, count as i64);
            unsigned(&mut run, rng.below(4));
        }
        1 => {
            run.push(0);
            unsigned(&mut run, count);
        }
        2 => signed(&mut run, -(count as i64)),
        _ => {
            column.number |= DEFLATED;
            run = vec![rng.below(3) as u8; 1 << (16 + rng.below(5))];
        }
    }
    match rng.below(3) {
        0 => column.data = run,
        1 => column.data.extend(run),
        _ => drop(column.data.splice(0..0, run)),
    }
}

/// Dependencies on itself, twice, on nothing, on what is not there; another's name; counters that leap.
fn head(parts: &mut chunk::Change, honest: &[u8], kit: &Kit<'_>, rng: &mut Rng) {
    let numbers = [0, 1, 2, u64::from(u32::MAX) - 3, u64::from(u32::MAX), 1 << 32, i64::MAX as u64, u64::MAX];
    let own = alcove::proto::notes::change_hash(honest).expect("an honest change");
    match rng.below(16) {
        0 => parts.deps = vec![own],
        1 => parts.deps.push(own),
        2 => parts.deps.clear(),
        3 => parts.deps.push(rng.bytes()),
        4 => parts.deps.extend(parts.deps.clone()),
        5 => parts.deps = kit.hashes.iter().take(70).copied().collect(),
        6 => parts.deps = vec![*pick(kit.hashes, rng)],
        7 => parts.actor = pick(kit.actors, rng).clone(),
        8 => parts.actor = vec![7; rng.below(40) as usize],
        9 => parts.seq = *pick(&numbers, rng),
        10 => parts.seq = parts.seq.wrapping_add(rng.below(5)).wrapping_sub(2),
        11 => parts.start_op = *pick(&numbers, rng),
        12 => parts.start_op = parts.start_op.wrapping_add(rng.below(9)).wrapping_sub(4),
        13 => parts.actors.push(pick(kit.actors, rng).clone()),
        14 => parts.actors.reverse(),
        _ => (parts.time, parts.message) = (rng.below(1 << 40) as i64, b"psst".to_vec()),
    }
    if rng.below(4) != 0 {
        parts.deps.sort_unstable();
    }
}

/// Operations that no editor writes: on what is not there or was deleted, with the names of others, twice, beyond the end, out of order.
/// `None` if Automerge cannot even write it down.
fn operations(honest: &[u8], kit: &Kit<'_>, rng: &mut Rng) -> Option<Vec<u8>> {
    let mut change: ExpandedChange = automerge::Change::try_from(honest).expect("an honest change").decode();
    let nowhere =
        OpId::new(*pick(&[1, 2, 5, 40, 1 << 31, u64::from(u32::MAX)], rng), &ActorId::from(pick(kit.actors, rng).clone()));
    let own = OpId::new(change.start_op.get() + rng.below(change.operations.len() as u64 + 2), &change.actor_id);
    let id = if rng.below(3) == 0 { own } else { nowhere };
    let place = rng.below(change.operations.len() as u64) as usize;
    let copy: Op = change.operations[place].clone();
    let operation = &mut change.operations[place];
    match rng.below(14) {
        0 => operation.obj = ObjectId::Id(id),
        1 => operation.key = Key::Seq(ElementId::Id(id)),
        2 => operation.key = Key::Seq(ElementId::Head),
        3 => operation.key = Key::Map(["id", "text", "minutes", "done", "owner", "", "x"][rng.below(7) as usize].into()),
        4 => operation.pred = vec![id].into(),
        5 => operation.pred = vec![id; 2 + rng.below(5) as usize].into(),
        6 => operation.insert = !operation.insert,
        7 => operation.action = OpType::Delete,
        8 => {
            operation.action = OpType::Put(match rng.below(6) {
                0 => ScalarValue::Str("two".into()),
                1 => ScalarValue::Str("x".repeat(10_000).into()),
                2 => ScalarValue::Counter(i64::MAX.into()),
                3 => ScalarValue::F64(f64::NAN),
                4 => ScalarValue::Bytes(vec![0; 40]),
                _ => ScalarValue::Uint(u64::MAX),
            });
        }
        9 => operation.action = OpType::Make([ObjType::Text, ObjType::List, ObjType::Map][rng.below(3) as usize]),
        10 => {
            let mark = MarkData { name: "bold".into(), value: ScalarValue::Str("true".into()), expand: rng.below(2) == 0 };
            operation.action = if rng.below(2) == 0 { OpType::MarkBegin(mark) } else { OpType::MarkEnd(rng.below(2) == 0) };
        }
        11 => change.operations.insert(rng.below(place as u64 + 1) as usize, copy),
        12 => change.operations.reverse(),
        _ => operation.action = OpType::Increment(i64::MAX),
    }
    std::panic::catch_unwind(move || automerge::Change::from(change).raw_bytes().to_vec()).ok()
}
