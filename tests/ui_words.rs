//! The words: every one has its German, none is left over, and nothing is shown that is not to be translated.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn ui() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ui")
}

/// The text of every `.slint` file, without comments.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![ui().join("slint")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "slint") {
                let text = fs::read_to_string(&path).unwrap();
                let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                found.push((path.file_name().unwrap().to_string_lossy().into_owned(), lines.collect::<Vec<_>>().join("\n")));
            }
        }
    }
    found
}

/// A string in quotes at the beginning of a text, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut letters = text.strip_prefix('"')?.char_indices();
    let mut read = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((read, &text[at + 2..])),
            '\\' => {
                let (_, escaped) = letters.next()?;
                read.push(if escaped == 'n' { '\n' } else { escaped });
            }
            _ => read.push(letter),
        }
    }
    None
}

/// What is to be translated: the words, and the words for many.
fn messages(source: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("@tr(") {
        let (one, rest) = quoted(source[at + 4..].trim_start()).expect("@tr begins with its words");
        let many = rest.trim_start().strip_prefix('|').map(|rest| quoted(rest.trim_start()).expect("words for many").0);
        found.push((one, many));
    }
    found
}

/// What a PO file says: for the words and the words for many the translations.
fn catalogue(text: &str) -> BTreeMap<(String, Option<String>), Vec<String>> {
    let mut found = BTreeMap::new();
    for block in text.split("\n\n") {
        let (mut one, mut many, mut said) = (None, None, Vec::new());
        let mut parts: Vec<(String, String)> = Vec::new();
        for line in block.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('"') {
                let last = &mut parts.last_mut().expect("a string goes on").1;
                last.push_str(&quoted(line).expect("a string").0);
            } else if let Some((key, value)) = line.split_once(' ') {
                parts.push((key.to_owned(), quoted(value).expect("a string").0));
            }
        }
        for (key, value) in parts {
            match key.as_str() {
                "msgid" => one = Some(value),
                "msgid_plural" => many = Some(value),
                _ => said.push(value),
            }
        }
        if let Some(one) = one.filter(|one| !one.is_empty()) {
            assert!(found.insert((one.clone(), many), said).is_none(), "{one:?} is there twice");
        }
    }
    found
}

/// The places where a value is put in.
fn places(text: &str) -> BTreeSet<&str> {
    text.match_indices('{').filter_map(|(at, _)| text[at..].split_inclusive('}').next()).collect()
}

#[test]
fn every_word_has_its_german_and_none_is_left_over() {
    let german = fs::read_to_string(ui().join("lang/de/LC_MESSAGES/alcove-ui.po")).unwrap();
    let german = catalogue(&german);
    let wanted: BTreeSet<_> = sources().iter().flat_map(|(_, source)| messages(source)).collect();
    assert!(wanted.len() > 200, "only {} words were found", wanted.len());
    for message in &wanted {
        let said = german.get(message).unwrap_or_else(|| panic!("no German for {message:?}"));
        assert_eq!(said.len(), if message.1.is_some() { 2 } else { 1 }, "{message:?}");
        for one in said {
            assert!(!one.trim().is_empty(), "the German of {message:?} is empty");
            assert_eq!(places(one), places(message.1.as_ref().unwrap_or(&message.0)), "{message:?}: {one:?}");
        }
    }
    let left: Vec<_> = german.keys().filter(|message| !wanted.contains(*message)).collect();
    assert!(left.is_empty(), "nobody says {left:?}");
}

#[test]
fn control_a_word_without_german_and_a_lost_place_are_found() {
    let said = messages(r#"text: @tr("One thing"); text: @tr("{n} of \"it\"" | "{n} of \"them\"" % n);"#);
    assert_eq!(said, [("One thing".into(), None), ("{n} of \"it\"".into(), Some("{n} of \"them\"".into()))]);
    assert_eq!(places("Waiting for {n} of {m}"), BTreeSet::from(["{n}", "{m}"]));
    let read = catalogue(
        "msgid \"\"\nmsgstr \"\"\n\"Language: de\\n\"\n\nmsgid \"a\"\nmsgid_plural \"b\"\nmsgstr[0] \"c\"\nmsgstr[1] \"d\"\n",
    );
    assert_eq!(read, BTreeMap::from([(("a".into(), Some("b".into())), vec!["c".into(), "d".into()])]));
    assert_eq!(untranslated(r#"Text { text: "Hello"; }"#), ["Hello"]);
    assert_eq!(untranslated(r#"Text { text: @tr("Hello"); font-family: "Inter"; label: "–"; }"#), Vec::<String>::new());
}

/// Words that are shown or read out as they are written.
fn untranslated(source: &str) -> Vec<String> {
    let shown =
        ["text:", "label:", "title:", "hint:", "placeholder-text:", "accessible-label:", "accessible-description:", "help:"];
    let mut found = Vec::new();
    for key in shown {
        for (at, _) in source.match_indices(key) {
            let value = source[at + key.len()..].split(['\n', ';']).next().unwrap_or_default();
            let mut rest = value;
            while let Some(quote) = rest.find('"') {
                let (before, from) = rest.split_at(quote);
                let Some((word, after)) = quoted(from) else { break };
                // The words for many come after a bar.
                let is_translated = ["@tr(", "|"].iter().any(|sign| before.trim_end().ends_with(sign));
                let is_compared = ["==", "!="].iter().any(|sign| before.trim_end().ends_with(sign));
                if !is_translated && !is_compared && word.chars().any(char::is_alphabetic) && !word.contains("\\{") {
                    found.push(word);
                }
                rest = after;
            }
        }
    }
    found
}

#[test]
fn nothing_is_shown_that_is_not_to_be_translated() {
    // What is the same in every language.
    let names = ["Alcove", "Alcove · ", "English", "Deutsch"];
    for (file, source) in sources() {
        for word in untranslated(&source) {
            assert!(names.contains(&word.as_str()), "{file}: {word:?} is shown in English to everybody");
        }
    }
}
