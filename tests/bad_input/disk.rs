//! A profile that is damaged, or in use: the program says which, opens the rest or refuses, and what is there can be rescued.

use super::process::{Attendee, BINARY, Place, text};
use super::{assert_goes_over, assert_says, open_room};
use redb::{Database, ReadableDatabase, ReadableTable};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use alcove::proto::io::Scope;
use alcove::proto::rng::Rng;
use alcove::shell::vault::layout;

#[test]
fn a_damaged_record_is_named_and_the_rest_opens() {
    let place = Place::new();
    let [mut heron, mut otter] = ["heron", "otter"].map(|name| Attendee::start(&place, name));
    for person in [&mut heron, &mut otter] {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let talks = open_room(&mut heron, &mut otter, "Healthy");
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "Before the damage. ");
    let draft = heron.ask(json!({ "do": "draft-card", "topic": "To be hurt", "seats_min": 2, "seats_max": 2, "hours": 6 }));
    let hurt = text(&draft["talk"]);
    let profile = heron.quit();

    let damaged = damage_a_record(&profile, &hurt);
    let mut heron = Attendee::start(&place, "heron");
    let ready = heron.ready();
    assert_eq!(ready["corrupt_records"], json!([damaged]), "{ready}");
    assert_eq!(ready["joined"]["name"], "Node Story");
    assert_eq!(heron.view(&talks[0])["state"], "open");
    assert_eq!(heron.ask(json!({ "do": "notes", "talk": talks[0] }))["text"], "Before the damage. ");
    otter.until_status("heron again", |status| status["neighbours"] == 1);
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "After it. ");
    heron.quit();
    let heron = Attendee::start(&place, "heron");
    assert_eq!(heron.ready()["corrupt_records"], json!([]), "told once: it was set aside");
}

/// Flips a bit in the first record of a talk, with the store's own bookkeeping in order; the record as it is named to people.
fn damage_a_record(profile: &Path, talk: &str) -> String {
    let store = Database::open(profile.join("vault.redb")).expect("the store");
    let read = store.begin_read().expect("a reader");
    let records = read.open_table(layout::RECORDS).expect("the records");
    let of_talk = |place: &layout::Place| matches!(layout::scope_of(place), Scope::Talk(of) if of.to_string() == *talk);
    let all = records.iter().expect("records").map(|entry| entry.expect("a record"));
    let (place, mut value) = all
        .map(|(place, value)| (*place.value(), value.value().to_vec()))
        .find(|(place, _)| of_talk(place))
        .expect("a record of the talk");
    *value.last_mut().expect("a byte") ^= 1;
    drop((records, read));
    let write = store.begin_write().expect("a writer");
    write.open_table(layout::RECORDS).expect("the records").insert(&place, value.as_slice()).expect("written");
    write.commit().expect("committed");
    layout::describe(&place)
}

#[test]
fn a_damaged_file_is_refused_and_set_aside_rescues_what_is_legible() {
    let place = Place::new();
    let mut heron = Attendee::start(&place, "heron");
    heron.ask(json!({ "do": "join-event", "file": place.pack() }));
    for number in 0..10 {
        let topic = format!("Draft {number}");
        heron.ask(json!({ "do": "draft-card", "topic": topic, "seats_min": 2, "seats_max": 2, "hours": 6 }));
    }
    let profile = heron.quit();
    let store = profile.join("vault.redb");
    let image = fs::read(&store).expect("the store");
    let used: Vec<usize> = (0..image.len()).filter(|at| image[*at] != 0).collect();
    let mut rng = Rng::new([8; 32]);
    let (mut tries, mut refused, mut rescued) = (0, 0, 0);
    // Where the keys of this run put what, and so which bytes matter, is chance: until enough of them did.
    while refused < 4 && tries < 400 {
        tries += 1;
        let at = used[rng.below(used.len() as u64) as usize];
        let mut damaged = image.clone();
        damaged[at] ^= 0xff;
        fs::write(&store, &damaged).expect("damaged");
        let (started, line) = start(&profile);
        if started.status.success() {
            assert_eq!(line["event"], "ready", "byte {at}: {line}");
            let drafts = drafts(&started);
            assert_eq!((drafts, &line["corrupt_records"]), (10, &json!([])), "byte {at}: nothing is lost in silence");
            continue;
        }
        refused += 1;
        assert_refused(&started, &line, "alcove set-aside");
        assert!(fs::read(&store).expect("the store") == damaged, "byte {at}: it is left as it was");
        let done = set_aside(&profile);
        assert!(done.status.success(), "byte {at}: {}", String::from_utf8_lossy(&done.stderr));
        let (started, line) = start(&profile);
        assert!(started.status.success(), "byte {at}: {line}");
        assert!(kept(&profile).contains(&damaged), "byte {at}: the damaged store is kept");
        rescued += usize::from(line["joined"]["name"] == "Node Story" && drafts(&started) >= 9);
    }
    println!("{refused} of {tries} refused, {rescued} of them lost at most one talk after setting aside");
    assert!(refused > 0, "control: damage is found");
    assert!(rescued > 0, "damage may cost one record: {rescued} of {refused}");

    fs::write(&store, &image[..image.len() / 3]).expect("cut");
    let (cut, line) = start(&profile);
    assert_refused(&cut, &line, "set-aside");
    fs::write(&store, &image).expect("whole again");
    let key = profile.join("durable.key");
    let good = fs::read(&key).expect("the key");
    for bad in [vec![7; good.len()], good[..good.len() / 2].to_vec()] {
        fs::write(&key, bad).expect("damaged");
        let (refused, line) = start(&profile);
        assert_refused(&refused, &line, "put the right one back");
    }
    fs::write(&key, &good).expect("put back");
    let (started, line) = start(&profile);
    assert_eq!((started.status.success(), drafts(&started)), (true, 10), "nothing was lost: {line}");
}

#[test]
fn a_profile_in_use_is_left_alone_by_a_second_process_and_by_set_aside() {
    let place = Place::new();
    let mut heron = Attendee::start(&place, "heron");
    heron.ask(json!({ "do": "join-event", "file": place.pack() }));
    let (second, line) = start(&place.path("heron"));
    assert_says(&line, "profile-in-use", "close it, or start this one with another --profile");
    assert_eq!((second.status.code(), &line["event"]), (Some(1), &json!("failed")));
    let done = set_aside(&place.path("heron"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), said.contains("another Alcove is running")), (Some(1), true), "{said}");
    heron.ask(json!({ "do": "draft-card", "topic": "Undisturbed", "seats_min": 2, "seats_max": 2, "hours": 6 }));
    let profile = heron.quit();
    assert_eq!(drafts(&start(&profile).0), 1);
}

/// Starts the program on a profile, asks for the talks and lets it end; its first line too.
fn start(profile: &Path) -> (Output, Value) {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = Command::new(BINARY)
        .args(["node", "--lan", "off", "--keystore", "file", "--profile"])
        .arg(profile)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    // One that refuses does not read.
    let _ = child.stdin.take().expect("its input").write_all(b"{\"do\":\"talks\"}\n");
    let output = child.wait_with_output().expect("it ends");
    let first = output.stdout.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = serde_json::from_slice(first).unwrap_or_else(|_| panic!("no JSON line first: {output:?}"));
    (output, line)
}

/// How many talks it answered with.
fn drafts(output: &Output) -> usize {
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    answers.filter_map(|line| line["talks"].as_array().map(Vec::len)).next_back().unwrap_or_default()
}

/// One line on each stream, with the code and the advice, and exit code 1.
fn assert_refused(output: &Output, line: &Value, advice: &str) {
    assert_eq!((output.status.code(), &line["event"]), (Some(1), &json!("failed")), "{output:?}");
    assert_says(line, "profile-damaged", advice);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(advice) && said.lines().count() == 1, "{said}");
}

fn set_aside(profile: &Path) -> Output {
    Command::new(BINARY).args(["set-aside", "--profile"]).arg(profile).output().expect("the binary runs")
}

/// The stores that were set aside.
fn kept(profile: &Path) -> Vec<Vec<u8>> {
    let entries = fs::read_dir(profile).expect("the profile").map(|entry| entry.expect("an entry").path());
    let aside = entries.filter(|path| path.file_name().is_some_and(|name| name != "vault.redb"));
    aside.filter_map(|path| fs::read(path).ok()).collect()
}
