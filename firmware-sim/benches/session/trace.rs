//! A long document as a list of edits: from an editing trace, or written by chance.

use alcove::proto::rng::Rng;

/// At this place so many characters go and these come.
pub type Patch = (usize, usize, String);

/// Its name, and its edits.
pub fn long_document() -> (String, Vec<Patch>) {
    match std::env::var("ALCOVE_TRACE") {
        Ok(path) => {
            let text = std::fs::read_to_string(&path).expect("ALCOVE_TRACE names a JSON file");
            let name = std::path::Path::new(&path).file_stem().map(|name| name.to_string_lossy().into_owned());
            (name.unwrap_or_default(), read(&text))
        }
        Err(_) => ("synthetic".into(), synthetic(30_000)),
    }
}

/// What the document says after these edits.
pub fn play(patches: &[Patch]) -> String {
    let mut text: Vec<char> = Vec::new();
    for (at, gone, come) in patches {
        text.splice(at..&(at + gone), come.chars());
    }
    text.into_iter().collect()
}

/// One keystroke each: mostly where the last one was, one in fourteen deletes, one in a hundred goes elsewhere.
fn synthetic(keys: usize) -> Vec<Patch> {
    let rng = &mut Rng::new([3; 32]);
    let (mut length, mut cursor) = (0, 0);
    let mut patches = Vec::new();
    for _ in 0..keys {
        if rng.below(100) == 0 {
            cursor = rng.below(length as u64 + 1) as usize;
        }
        if rng.below(14) == 0 && cursor > 0 {
            (cursor, length) = (cursor - 1, length - 1);
            patches.push((cursor, 1, String::new()));
        } else {
            patches.push((cursor, 0, char::from(b"etaoin shrdlu"[rng.below(13) as usize]).to_string()));
            (cursor, length) = (cursor + 1, length + 1);
        }
    }
    patches
}

/// The patches of a `sequential_traces` file, from `"txns"` on: `[place, deleted, "inserted"]`.
fn read(text: &str) -> Vec<Patch> {
    let trace: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let transactions = trace["txns"].as_array().expect("txns");
    let patches = transactions.iter().flat_map(|transaction| transaction["patches"].as_array().expect("patches"));
    let number = |value: &serde_json::Value| value.as_u64().expect("a number") as usize;
    patches.map(|patch| (number(&patch[0]), number(&patch[1]), patch[2].as_str().expect("text").to_owned())).collect()
}
