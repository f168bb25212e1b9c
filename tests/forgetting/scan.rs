//! The thief: looks for every marker in each byte of files and of a live process's memory.
//!
//! A marker counts as found by half of it (eight letters, so that a block whose beginning was reused is still seen), in UTF-16, or with
//! each letter escaped as in JSON. Automerge's magic number counts too: what is saved may be compressed, and then no word of it is legible.

use super::marker::{LETTERS, Marker};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The first four bytes of whatever Automerge saves, and the first byte of what a document or change goes on with is anything.
const AUTOMERGE: [u8; 4] = [0x85, 0x6f, 0x4a, 0x83];
const KEY: usize = 8;
const FILTER_BITS: u32 = 22;

/// What was found: how often, by the field of the marker.
pub type Found = BTreeMap<&'static str, usize>;

/// Looks for these markers.
pub struct Thief {
    /// By their first eight bytes: the whole, and whose it is.
    needles: HashMap<u64, Vec<(Vec<u8>, usize)>>,
    filter: Vec<bool>,
    fields: Vec<&'static str>,
}

/// How often each marker was found, and Automerge's magic number.
pub struct Loot {
    pub times: Vec<usize>,
    pub automerge: usize,
    pub bytes: u64,
    /// The first few, with where they were.
    pub places: Vec<String>,
}

impl Loot {
    /// How many different markers were found.
    pub fn markers(&self) -> usize {
        self.times.iter().filter(|times| **times > 0).count()
    }
}

impl Thief {
    pub fn new(markers: &[&Marker]) -> Thief {
        let mut thief = Thief {
            needles: HashMap::new(),
            filter: vec![false; 1 << FILTER_BITS],
            fields: markers.iter().map(|m| m.field).collect(),
        };
        for (number, marker) in markers.iter().enumerate() {
            let word = marker.word.as_bytes();
            let wide = word.iter().flat_map(|letter| [*letter, 0]).collect();
            let escaped = word.iter().flat_map(|letter| format!("\\u{letter:04x}").into_bytes()).collect();
            let halves = [word[..LETTERS / 2].to_vec(), word[LETTERS / 2..].to_vec()];
            for needle in halves.into_iter().chain([wide, escaped]) {
                let key = key(&needle);
                thief.filter[slot(key)] = true;
                thief.needles.entry(key).or_default().push((needle, number));
            }
        }
        thief
    }

    /// Nothing found yet.
    pub fn empty(&self) -> Loot {
        Loot { times: vec![0; self.fields.len()], automerge: 0, bytes: 0, places: Vec::new() }
    }

    /// What was found, by field.
    pub fn fields(&self, loot: &Loot) -> Found {
        let mut found = Found::new();
        for (number, times) in loot.times.iter().enumerate().filter(|(_, times)| **times > 0) {
            *found.entry(self.fields[number]).or_default() += times;
        }
        found
    }

    /// Searches bytes that lie at this place.
    pub fn search(&self, bytes: &[u8], place: &str, loot: &mut Loot) {
        loot.bytes += bytes.len() as u64;
        for at in 0..bytes.len().saturating_sub(KEY - 1) {
            let key = key(&bytes[at..]);
            if key as u32 == u32::from_le_bytes(AUTOMERGE) {
                loot.automerge += 1;
            }
            if !self.filter[slot(key)] {
                continue;
            }
            for (needle, number) in self.needles.get(&key).into_iter().flatten() {
                if bytes[at..].starts_with(needle) {
                    loot.times[*number] += 1;
                    if loot.places.len() < 12 {
                        loot.places.push(format!("{} in {place} at {at:#x}: {}", self.fields[*number], around(bytes, at)));
                    }
                }
            }
        }
    }

    /// Searches every file below a folder, by what lies in it.
    pub fn search_files(&self, folder: &Path, loot: &mut Loot) {
        for entry in fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                self.search_files(&entry, loot);
            } else if entry.is_file() {
                self.search(&fs::read(&entry).expect("the file"), &entry.display().to_string(), loot);
            }
        }
    }

    /// Searches all memory that a process can write to.
    pub fn search_memory(&self, process: u32, loot: &mut Loot) {
        let memory = File::open(format!("/proc/{process}/mem")).expect("the memory of a process of ours can be read");
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).expect("its map");
        for line in maps.lines() {
            let mut words = line.split_whitespace();
            let (Some(range), Some(rights)) = (words.next(), words.next()) else { continue };
            let (start, end) = range.split_once('-').expect("a range");
            let [start, end] = [start, end].map(|word| u64::from_str_radix(word, 16).expect("an address"));
            if !rights.starts_with("rw") {
                continue;
            }
            let mut bytes = vec![0; (end - start) as usize];
            if memory.read_exact_at(&mut bytes, start).is_ok() {
                self.search(&bytes, &format!("{range} {}", words.last().unwrap_or_default()), loot);
            }
        }
    }
}

fn key(bytes: &[u8]) -> u64 {
    u64::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7]])
}

fn slot(key: u64) -> usize {
    (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - FILTER_BITS)) as usize
}

/// What stands around a place, legible.
fn around(bytes: &[u8], at: usize) -> String {
    let piece = &bytes[at.saturating_sub(48)..(at + 64).min(bytes.len())];
    piece.iter().map(|byte| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' }).collect()
}
