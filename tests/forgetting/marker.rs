//! Words that stand nowhere but where the play typed them: sixteen letters each, made of a number by a hash, so that no program and no
//! environment holds them. Each remembers into which field it went.

use sha2::{Digest, Sha256};

/// Letters of one marker: the longest name of a mark.
pub const LETTERS: usize = 16;

/// One planted word.
#[derive(Clone)]
pub struct Marker {
    pub word: String,
    /// Where it was typed.
    pub field: &'static str,
    /// Who keeps it as long as the profile lives, because it is about its owner and not about the talk.
    pub keeper: Option<&'static str>,
}

/// All that were planted so far.
#[derive(Default)]
pub struct Markers {
    pub all: Vec<Marker>,
}

impl Markers {
    /// A fresh word for a field.
    pub fn one(&mut self, field: &'static str) -> String {
        self.some(1, field)
    }

    /// So many fresh words with spaces between them.
    pub fn some(&mut self, count: usize, field: &'static str) -> String {
        self.list(count, field).join(" ")
    }

    /// So many fresh words.
    pub fn list(&mut self, count: usize, field: &'static str) -> Vec<String> {
        (0..count).map(|_| self.plant(field, None)).collect()
    }

    /// Words that their owner keeps.
    pub fn kept(&mut self, count: usize, field: &'static str, keeper: &'static str) -> Vec<String> {
        (0..count).map(|_| self.plant(field, Some(keeper))).collect()
    }

    fn plant(&mut self, field: &'static str, keeper: Option<&'static str>) -> String {
        let word = word(self.all.len());
        self.all.push(Marker { word: word.clone(), field, keeper });
        word
    }
}

/// The word of a number: letters and digits of base 32, 80 bits.
fn word(number: usize) -> String {
    let digest = Sha256::digest(format!("a word to be forgotten, number {number}"));
    digest.iter().take(LETTERS).map(|byte| char::from(b"abcdefghijkmnopqrstuvwxyz2345678"[usize::from(byte % 32)])).collect()
}
