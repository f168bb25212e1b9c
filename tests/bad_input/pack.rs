//! Event packs that are damaged, foreign, altered, unsigned, too new, too large or over.

use super::process::{Attendee, BINARY, Place, make_event};
use super::{assert_goes_over, assert_says, open_room};
use alcove::proto::scheme;
use alcove::proto::secret::hash;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Magic and version; then the check, the organizer's key and the signature.
const CHECK: usize = 5;
const KEY: usize = CHECK + 4;
const SIGNATURE: usize = KEY + 32;
const PAYLOAD: usize = SIGNATURE + 64;

#[test]
fn a_bad_event_pack_is_named_and_the_event_that_was_joined_stays() {
    let place = Place::new();
    let [mut heron, mut otter] = ["heron", "otter"].map(|name| Attendee::start(&place, name));
    for person in [&mut heron, &mut otter] {
        person.ask(json!({ "do": "join-event", "file": place.pack() }));
    }
    let talks = open_room(&mut heron, &mut otter, "Packs");
    let joined = heron.ask(json!({ "do": "status" }))["joined"].clone();

    let good = fs::read(place.pack()).expect("the pack");
    let changed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        bytes
    };
    let last = good.len() - 1;
    for (name, bytes, advice) in [
        ("foreign", b"%PDF-1.7 the programme, perhaps".to_vec(), "not an event pack"),
        ("empty", Vec::new(), "not an event pack"),
        ("cut", good[..last].to_vec(), "get it again"),
        ("cut in the head", good[..20].to_vec(), "get it again"),
        ("damaged", changed(&|bytes| bytes[PAYLOAD + 9] ^= 1), "get it again"),
        ("unsigned", changed(&|bytes| resigned(bytes, |bytes| bytes[SIGNATURE..PAYLOAD].fill(0))), "do not use it"),
        ("altered", changed(&|bytes| resigned(bytes, |bytes| bytes[last] ^= 1)), "do not use it"),
        ("another organizer's", changed(&|bytes| resigned(bytes, |bytes| bytes[KEY] ^= 1)), "do not use it"),
        ("newer", changed(&|bytes| bytes[4] = 2), "update this one"),
        ("too large", changed(&|bytes| bytes.resize(300 << 10, 0)), "use fewer tables"),
    ] {
        let file = place.path("bad.alcove");
        fs::write(&file, &bytes).expect("written");
        assert_says(&heron.refusal(json!({ "do": "join-event", "file": file })), "pack-invalid", advice);
        let shown = show(&file);
        let said = String::from_utf8_lossy(&shown.stderr);
        assert_eq!((shown.status.code(), shown.stdout.len()), (Some(1), 0), "{name}: {said}");
        assert!(said.contains(advice) && said.contains("bad.alcove") && said.lines().count() == 1, "{name}: {said}");
        if bytes.len() < 1_000 && advice != "not an event pack" {
            let link = scheme::to_text("P", &bytes);
            assert_says(&heron.refusal(json!({ "do": "join-event", "link": link })), "pack-invalid", advice);
        }
        assert_eq!(heron.ask(json!({ "do": "status" }))["joined"], joined, "{name}");
    }
    assert!(show(&place.pack()).status.success(), "control: the good one is shown");

    let missing = place.path("nowhere.alcove");
    assert_says(&heron.refusal(json!({ "do": "join-event", "file": missing })), "file", "check the path");
    assert_says(
        &heron.refusal(json!({ "do": "join-event", "link": "https://example.org" })),
        "not-a-code",
        "not the code of an event",
    );
    let other = make_event(&place.path("other"), "Another Event", "ws://127.0.0.1:9");
    assert_says(&heron.refusal(json!({ "do": "join-event", "file": other })), "other-event", "lose or leave your talks");
    let over = over(&place.path("over"));
    assert_says(&heron.refusal(json!({ "do": "join-event", "file": over })), "event-over", "is over");
    let shown = show(&over);
    assert!(shown.status.success() && String::from_utf8_lossy(&shown.stdout).contains("over: it can no longer be joined"));

    assert_eq!(heron.ask(json!({ "do": "status" }))["joined"], joined);
    assert_goes_over((&mut heron, &talks[0]), (&mut otter, &talks[1]), "Still here. ");
}

/// Changes a pack and then makes its check right, as somebody would who alters it on purpose.
fn resigned(bytes: &mut [u8], change: impl Fn(&mut [u8])) {
    change(bytes);
    let (key, signature, payload) = (&bytes[KEY..SIGNATURE], &bytes[SIGNATURE..PAYLOAD], &bytes[PAYLOAD..]);
    let check = hash("alcove/1 event pack check", &[key, signature, payload]);
    bytes[CHECK..KEY].copy_from_slice(&check[..4]);
}

/// The pack of an event of years ago.
fn over(folder: &Path) -> std::path::PathBuf {
    let made = Command::new(BINARY)
        .args(["event", "new", "--name", "Long Ago", "--zone", "UTC", "--starts", "2020-01-01", "--ends", "2020-01-02", "--out"])
        .arg(folder)
        .output()
        .expect("the binary runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.join("event.alcove")
}

fn show(file: &Path) -> Output {
    Command::new(BINARY).args(["event", "show"]).arg(file).output().expect("the binary runs")
}
