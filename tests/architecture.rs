//! The layers, read from the sources: an arrow that points up or sideways fails here, with its file and the reason.
//!
//! Laws: the core names no runtime, file, socket, clock or thread; parts never name each other; one place each names OpenMLS and
//! Automerge; a file says at its top what it is and fits in the head. Every rule is shown to fail on a line that breaks it, and an
//! exception that nobody needs any more fails too. What this cannot see is a path hidden in a macro; the feature wall
//! (`cargo check --no-default-features --lib`) holds against that.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Layer 0: words that everybody uses.
const WORDS: [&str; 9] = ["time", "id", "rng", "config", "error", "io", "secret", "scheme", "shelf"];
/// Layer 1: bytes, and what a part is given.
const BYTES: [&str; 2] = ["wire", "cx"];
/// Layer 2: siblings.
const PARTS: [&str; 9] = ["presence", "link", "mesh", "board", "talk", "notes", "handoff", "mailbox", "job"];

/// Sideways arrows that stand: from, to, why.
const SIDEWAYS: [(&str, &str, &str); 6] = [
    ("proto::job", "crate::proto::notes", "a job is one run of the quarantine, with the notes' own code, in another process"),
    ("proto::handoff::table", "crate::proto::link::Invitation", "a plain value: what a shown code gives to the handshake"),
    ("proto::handoff::table", "crate::proto::link::Scanned", "a plain value: what a scanned code gives to the handshake"),
    ("proto::talk", "crate::proto::board::Terms", "a plain value: what a card promises is what its talk keeps"),
    ("proto::talk", "crate::proto::board::Content", "a plain value: what a guest answers, and the host posts again"),
    ("proto::talk", "crate::proto::board::Card", "a plain value: the host's door signs the next version of its card"),
];

/// What fits in the head, tests included.
const LINES_MAX: usize = 600;

/// Names that no deterministic code may say: a prefix of a path, and what to do instead.
const OUTSIDE: [(&str, &str); 11] = [
    ("tokio", "the core has no runtime: leave an Output"),
    ("std::fs", "the core stores nothing: leave Output::Persist"),
    ("std::process", "the core starts nothing: leave Output::Compute"),
    ("std::thread", "the core has no threads"),
    ("std::env", "the core has no surroundings"),
    ("std::net::Tcp*", "the core has no sockets: addresses are values, connections are links"),
    ("std::net::Udp*", "the core has no sockets: addresses are values, connections are links"),
    ("std::net::ToSocketAddrs", "the core resolves no names"),
    ("std::time::Instant", "elapsed time comes in with each input"),
    ("std::time::SystemTime", "wall time comes in as an input"),
    ("std::os", "the core knows no system"),
];

#[test]
fn every_arrow_points_down() {
    let sources = sources("src");
    assert!(sources.len() > 50, "the sources were found");
    let broken: Vec<_> = sources.iter().flat_map(Source::broken_arrows).collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn every_sideways_arrow_in_the_list_is_needed() {
    let sources = sources("src");
    let is_used = |from: &str, to: &str| {
        let inside = sources.iter().filter(|source| starts_with(&source.module, from));
        inside.flat_map(Source::paths).any(|path| starts_with(&path, to))
    };
    let idle: Vec<_> = SIDEWAYS.iter().filter(|(from, to, _)| !is_used(from, to)).collect();
    assert!(idle.is_empty(), "nobody needs these any more, take them off the list: {idle:?}");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<_> = all_sources().into_iter().filter(|source| !says_what_it_is(&source.text)).collect();
    assert!(silent.is_empty(), "no `//!` at the top of {:?}", silent.iter().map(|source| &source.file).collect::<Vec<_>>());
}

#[test]
fn every_file_fits_in_the_head() {
    let is_long = |source: &Source| source.text.lines().count() > LINES_MAX;
    let long: Vec<_> = all_sources().into_iter().filter(is_long).map(|source| source.file).collect();
    assert!(long.is_empty(), "over {LINES_MAX} lines, find the noun that wants to exist: {long:?}");
}

#[test]
fn every_invariant_names_tests_that_exist() {
    let sources = all_sources();
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).expect("the page is there");
    assert!(page.lines().count() <= 300, "ARCHITECTURE.md is to be read in one go");
    let invariants = invariants(&page);
    assert!(invariants.len() > 40, "the invariants were found");
    let exists = |name: &str| sources.iter().any(|source| has_test(&source.text, name));
    for (place, invariant) in invariants.iter().enumerate() {
        let tests = tests_named(invariant);
        let number = format!("{}.", place + 1);
        assert!(invariant.starts_with(&number), "the invariants are numbered: {invariant}");
        assert!(!tests.is_empty() || invariant.contains("**gap**"), "neither a test nor a gap: {invariant}");
        let missing: Vec<_> = tests.iter().filter(|name| !exists(name)).collect();
        assert!(missing.is_empty(), "no such test: {missing:?}");
    }
    assert!(!exists("a_test_that_nobody_wrote_is_found"), "control: a name is not enough");
}

#[test]
fn the_readme_begins_with_the_tour_and_the_tests() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("the page is there");
    let code = page.split("```").nth(1).expect("there is a block of code");
    let commands: Vec<_> = code.lines().skip(1).filter_map(|line| line.split(" #").next()).map(str::trim).collect();
    assert_eq!(commands[..2], ["cargo run --release -- tour", "cargo test --workspace"]);
}

#[test]
fn control_the_checker_sees_every_kind_of_bad_line() {
    let bad = [
        ("proto/mesh.rs", "use tokio::sync::mpsc;"),
        ("proto/mesh.rs", "pub fn f() { let _ = ::tokio::spawn(async {}); }"),
        ("proto/board.rs", "use std::{fmt, fs};"),
        ("proto/board.rs", "fn f() { std::fs::read(\"x\").ok(); }"),
        ("proto/link.rs", "use std::net::{SocketAddr, TcpStream};"),
        ("proto/link.rs", "fn f() -> std::net::UdpSocket { loop {} }"),
        ("proto/mesh.rs", "fn f() { std::time::Instant::now(); }"),
        ("proto/talk/room.rs", "use crate::shell::vault::Vault;"),
        ("proto/node/view.rs", "use crate::app::event;"),
        ("proto/node.rs", "use crate::{app::event, model};"),
        ("proto/mesh.rs", "use super::board::Card;"),
        ("proto/mesh.rs", "fn f(c: crate::proto::board::Card) {}"),
        ("proto/mesh.rs", "fn f(c: super::talk::Talk) {}"),
        ("proto/talk/room/view.rs", "use super::super::super::link::Link;"),
        ("proto/talk/room.rs", "use crate::proto::board::Board;"),
        ("proto/handoff/table.rs", "use crate::proto::link::{Invitation, Link};"),
        ("proto/notes/edit.rs", "use crate::proto::{id::ItemId, talk::entry};"),
        ("proto/wire/frame.rs", "use crate::proto::mesh::Mesh;"),
        ("proto/io.rs", "use super::cx::Cx;"),
        ("proto/mailbox.rs", "use super::node::Node;"),
        ("proto/mailbox.rs", "use super::*;"),
        ("proto/mailbox.rs", "use crate::proto;"),
        ("proto/rumour.rs", "pub fn f() {}"),
        ("proto/mesh.rs", "use super::rumour::Rumour;"),
        ("proto/mesh.rs", "use crate::model::event::EventPack;"),
        ("model/event.rs", "use crate::proto::wire::encode;"),
        ("model/event.rs", "use crate::proto::board::Terms;"),
        ("model/event.rs", "use crate::shell::relay::RelayAddress;"),
        ("shell/lan/mod.rs", "use crate::app::headless;"),
        ("proto/talk/seats.rs", "use openmls::prelude::KeyPackage;"),
        ("proto/talk/seats.rs", "use openmls_traits::OpenMlsProvider;"),
        ("shell/driver.rs", "use openmls::group::MlsGroup;"),
        ("proto/talk/entry.rs", "fn f(d: automerge::AutoCommit) {}"),
    ];
    for (file, line) in bad {
        let source = Source::new(file, &format!("//! Something.\n{line}\n"));
        assert!(!source.broken_arrows().is_empty(), "{file}: {line}");
    }
    assert!(!says_what_it_is("use std::fmt;\n//! Too late.\n"));
}

#[test]
fn control_the_checker_lets_good_lines_pass() {
    let good = [
        ("proto/mesh.rs", "use super::wire::parcel::Parcel; use std::collections::BTreeMap; // not tokio::spawn"),
        ("proto/mesh.rs", "const WHY: &str = \"std::fs::read is not for us\"; fn f<'a>(c: &'a u8) -> char { '\"' }"),
        ("proto/mesh.rs", "/// See [`super::board::Board`].\nfn f() {}"),
        ("proto/mesh.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use super::*;\n}"),
        ("proto/link.rs", "use std::net::{Ipv4Addr, SocketAddr}; pub use std::time::Duration;"),
        ("proto/job.rs", "use super::notes::quarantine;"),
        ("proto/handoff/table.rs", "use super::code::Code; use crate::proto::link::Scanned;"),
        ("proto/node/command.rs", "use crate::model::event::EventPack; use crate::proto::talk::Talk;"),
        ("proto/talk/group/seat.rs", "use openmls::prelude::*; use super::error::GroupError;"),
        ("proto/notes/fold.rs", "use automerge::AutoCommit;"),
        ("model/event.rs", "use crate::proto::id::EventId;"),
        ("shell/driver.rs", "use crate::proto::node::Node; use tokio::sync::mpsc;"),
        ("app/headless.rs", "use crate::shell::driver; use std::fs;"),
    ];
    for (file, line) in good {
        let source = Source::new(file, &format!("//! Something.\n{line}\n"));
        assert_eq!(source.broken_arrows(), Vec::<String>::new(), "{file}: {line}");
    }
}

/// One source file.
struct Source {
    /// From the workspace's root.
    file: String,
    /// As in Rust: `proto::talk::room`.
    module: String,
    text: String,
}

impl Source {
    /// A file by its path below `src/`.
    fn new(below_src: &str, text: &str) -> Source {
        let module = below_src.trim_end_matches(".rs").trim_end_matches("/mod").replace('/', "::");
        Source { file: format!("src/{below_src}"), module, text: text.into() }
    }

    /// What this file names that it may not.
    fn broken_arrows(&self) -> Vec<String> {
        let part = self.module.split("::").nth(1).unwrap_or_default();
        let is_of_core = starts_with(&self.module, "proto") && self.module != "proto";
        let homeless = (is_of_core && layer(part).is_none()).then(|| format!("{}: `{part}` has no layer", self.file));
        let named = self.paths();
        let broken = named.iter().filter_map(|path| Some(format!("{}: `{path}`: {}", self.file, judge(&self.module, path)?)));
        homeless.into_iter().chain(broken).collect()
    }

    /// All paths that the code says, in full: `use` trees unfolded, `super` and `self` resolved. The files' own tests, which may look
    /// sideways, are left out.
    fn paths(&self) -> BTreeSet<String> {
        if self.is_test() {
            return BTreeSet::new();
        }
        let code = code_of(&self.text);
        let code = code.find("\nmod tests {").filter(|at| code[..*at].contains("#[cfg(test)]")).map_or(&code[..], |at| &code[..at]);
        let mut paths = BTreeSet::new();
        for statement in code.split(';') {
            match statement.rfind("use ").filter(|at| is_keyword(statement, *at)) {
                Some(at) => unfold("", statement[at + 4..].trim(), &mut paths),
                None => spoken(statement, &mut paths),
            }
        }
        paths.into_iter().map(|path| self.in_full(&path)).collect()
    }

    /// Test modules in files of their own.
    fn is_test(&self) -> bool {
        self.module.split("::").any(|name| name == "tests" || name == "laws" || name.ends_with("_tests"))
    }

    fn in_full(&self, path: &str) -> String {
        let mut names: Vec<&str> = path.trim_start_matches("::").split("::").collect();
        if !matches!(names[0], "super" | "self") {
            return names.join("::");
        }
        let mut at: Vec<&str> = self.module.split("::").collect();
        while let Some(first) = names.first().filter(|first| matches!(**first, "super" | "self")) {
            if *first == "super" {
                at.pop();
            }
            names.remove(0);
        }
        ["crate"].into_iter().chain(at).chain(names).collect::<Vec<_>>().join("::")
    }
}

/// Why `module` may not name `path`; `None` if it may.
fn judge(module: &str, path: &str) -> Option<String> {
    let names: Vec<&str> = path.split("::").collect();
    if names[0].starts_with("openmls") && !starts_with(module, "proto::talk::group") {
        return Some("only talk::group names OpenMLS".into());
    }
    if names[0] == "automerge" && !starts_with(module, "proto::notes") {
        return Some("only notes names Automerge".into());
    }
    let is_core = starts_with(module, "proto") || starts_with(module, "model");
    if is_core && let Some((_, instead)) = OUTSIDE.iter().find(|(outside, _)| matches_prefix(path, outside)) {
        return Some((*instead).into());
    }
    if names[0] != "crate" {
        return None;
    }
    let part = module.split("::").nth(1).unwrap_or_default();
    match (module.split("::").next()?, names.get(1).copied().unwrap_or_default()) {
        ("proto" | "model", "shell" | "app") => Some("the core knows nothing of the outside".into()),
        ("shell", "app") => Some("the shell never names the app".into()),
        ("proto", "model") if part != "node" => Some("of the core only the node names the models".into()),
        ("proto", "proto") if module != "proto" => judge_inside(module, part, &names[2..], path),
        ("model", "proto") => {
            let is_word = names.get(2).is_some_and(|word| WORDS.contains(word));
            (!is_word).then(|| "models name only the words of layer 0".into())
        }
        _ => None,
    }
}

/// Arrows from one part of the core to another.
fn judge_inside(module: &str, from: &str, names: &[&str], path: &str) -> Option<String> {
    let Some(to) = names.first().filter(|to| **to != "*") else { return Some("say which part is meant".into()) };
    if *to == from || SIDEWAYS.iter().any(|(inside, target, _)| starts_with(module, inside) && starts_with(path, target)) {
        return None;
    }
    match (layer(from), layer(to)) {
        (_, None) => Some(format!("`{to}` has no layer")),
        (Some(from), Some(to)) if to < from || (to == from && to < 2) => None,
        (Some(from), Some(to)) if to == from => Some("siblings never name each other: let the node carry the value".into()),
        _ => Some("this arrow points up".into()),
    }
}

/// The layer of a part of the core.
fn layer(part: &str) -> Option<u8> {
    match part {
        word if WORDS.contains(&word) => Some(0),
        bytes if BYTES.contains(&bytes) => Some(1),
        part if PARTS.contains(&part) => Some(2),
        "node" => Some(3),
        _ => None,
    }
}

/// Whether a path is `prefix` or lies below it.
fn starts_with(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// The same, where a `*` at the end stands for any rest of a name.
fn matches_prefix(path: &str, prefix: &str) -> bool {
    prefix.strip_suffix('*').map_or_else(|| starts_with(path, prefix), |open| path.starts_with(open))
}

fn is_keyword(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// Unfolds `a::{b, c::d}` under a path that leads there.
fn unfold(leading: &str, tree: &str, paths: &mut BTreeSet<String>) {
    let tree = tree.split(" as ").next().unwrap_or_default().trim();
    let joined = |name: &str| if leading.is_empty() { name.to_string() } else { format!("{leading}::{name}") };
    match tree.find('{') {
        None if tree.is_empty() => {}
        None if tree == "self" => drop(paths.insert(if leading.is_empty() { "self".into() } else { leading.into() })),
        None => drop(paths.insert(joined(tree))),
        Some(brace) => {
            let before = tree[..brace].trim().trim_end_matches("::");
            let leading = if before.is_empty() { leading.to_string() } else { joined(before) };
            let inside = tree[brace + 1..].trim_end().trim_end_matches('}');
            branches(inside).iter().for_each(|branch| unfold(&leading, branch, paths));
        }
    }
}

/// Cuts `a, b::{c, d}` at its outer commas. One brace at the end may be missing: the caller has taken it off.
fn branches(list: &str) -> Vec<String> {
    let (mut branches, mut depth) = (vec![String::new()], 0);
    for letter in list.chars() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        match letter {
            ',' if depth == 0 => branches.push(String::new()),
            _ => branches.last_mut().expect("there is always one").push(letter),
        }
    }
    branches.into_iter().map(|branch| branch.trim().to_string() + &"}".repeat(usize::from(opens(&branch)))).collect()
}

fn opens(branch: &str) -> bool {
    branch.matches('{').count() > branch.matches('}').count()
}

/// Paths of two names and more, wherever they stand in the code.
fn spoken(code: &str, paths: &mut BTreeSet<String>) {
    let is_of_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    for word in code.split(|letter| !is_of_path(letter)) {
        let word = word.trim_matches(':');
        if word.contains("::") {
            paths.insert(word.to_string());
        }
    }
}

/// The code without comments and without what stands in quotes.
fn code_of(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let skipped = match letter {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            'r' if rest.starts_with("r\"") && is_keyword(&code, code.len()) => {
                2 + rest[2..].find('"').map_or(rest.len() - 2, |end| end + 1)
            }
            'r' if rest.starts_with("r#\"") => 3 + rest[3..].find("\"#").map_or(rest.len() - 3, |end| end + 2),
            '"' => quoted(rest),
            '\'' => lettered(rest),
            _ => 0,
        };
        if skipped == 0 {
            code.push(letter);
            rest = &rest[letter.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// The length of a text in quotes.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a letter in quotes; 0 for a lifetime.
fn lettered(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => text.char_indices().skip(3).find(|(_, letter)| *letter == '\'').map_or(0, |(at, _)| at + 1),
        Some(_) => letters.next().filter(|(_, letter)| *letter == '\'').map_or(0, |(at, _)| at + 1),
        None => 0,
    }
}

/// The numbered paragraphs below "Invariants".
fn invariants(page: &str) -> Vec<String> {
    let part = page.split("\n## ").find(|part| part.starts_with("Invariants")).unwrap_or_default();
    let mut invariants: Vec<String> = Vec::new();
    for line in part.lines() {
        match invariants.last_mut() {
            _ if line.starts_with(|first: char| first.is_ascii_digit()) => invariants.push(line.into()),
            Some(last) if line.starts_with("  ") => last.push_str(line),
            Some(_) | None => {}
        }
    }
    invariants
}

/// The names in backticks that can only be those of tests.
fn tests_named(paragraph: &str) -> Vec<&str> {
    let is_name = |word: &&str| word.matches('_').count() >= 3 && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    paragraph.split('`').skip(1).step_by(2).filter(is_name).collect()
}

/// Whether a test of this name is defined, not only mentioned.
fn has_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}()");
    text.find(&function).is_some_and(|at| text[..at].trim_end().trim_end_matches("async").trim_end().ends_with(']'))
}

fn says_what_it_is(text: &str) -> bool {
    text.lines().next().is_some_and(|line| line.starts_with("//! "))
}

/// Everything in Rust that is ours.
fn all_sources() -> Vec<Source> {
    ["src", "tests", "benches", "firmware-sim"].into_iter().flat_map(sources).collect()
}

fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    let read = |file: PathBuf| {
        let below = file.strip_prefix(root).expect("it lies below").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a source is text");
        let source = Source::new(below.strip_prefix("src/").unwrap_or(&below), &text);
        Source { file: below, ..source }
    };
    files.into_iter().map(read).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        match path.is_dir() {
            true if path.ends_with("target") => {}
            true => collect(&path, files),
            false if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
            false => {}
        }
    }
    files.sort();
}
