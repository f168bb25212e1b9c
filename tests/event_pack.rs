//! An organizer makes an event, an attendee gets its pack, and everything that can be wrong with a pack on the way is told apart.
#![cfg(feature = "shell")]

use alcove::app::event::{EventArgs, execute};
use alcove::model::event::{OrganizerKeys, PackError, PackLink, SignedPack};
use alcove::proto::rng::Rng;
use alcove::proto::time::WallTime;
use alcove::proto::wire::table_advert::TableKey;
use alcove::shell::picture;
use clap::Parser;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Noon of 1 November 2026, UTC.
const BEFORE: WallTime = WallTime(1_793_534_400_000);
const PIN: &str = "9f2c4e6a8b0d1f3355779bbddff013579f2c4e6a8b0d1f3355779bbddff01357";

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    event: EventArgs,
}

/// Runs `alcove event …` in this process; what it said, or its one sentence.
fn event(seed: u8, wall: WallTime, args: &[&str]) -> Result<String, String> {
    let args = Program::try_parse_from([&["alcove"], args].concat()).map_err(|error| error.to_string())?;
    let mut said = Vec::new();
    execute(args.event, wall, &mut Rng::new([seed; 32]), &mut said).map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8(said).unwrap())
}

/// An event in Berlin from 24 to 26 November 2026.
fn new(seed: u8, dir: &Path, more: &[&str]) -> Result<String, String> {
    let fixed =
        ["new", "--name", "Offline Days", "--starts", "2026-11-24", "--ends", "2026-11-26", "--zone", "Europe/Berlin", "--out"];
    event(seed, BEFORE, &[&fixed[..], &[dir.to_str().unwrap()], more].concat())
}

fn file(dir: &TempDir, name: &str) -> String {
    dir.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn an_organizer_makes_an_event_and_sees_all_of_it() {
    let dir = TempDir::new().unwrap();
    let relay = format!("wss://relay.example:7878#{PIN}");
    let said = new(1, dir.path(), &["--place", "Halle 7", "--relay", &relay, "--tables", "20", "--kiosks", "2", "--talks", "400"])
        .unwrap();
    assert!(said.contains("Next:") && said.contains("organizer.key"), "{said}");

    let pack = file(&dir, "event.alcove");
    let shown = event(1, BEFORE, &["show", &pack]).unwrap();
    let expected = [
        "Offline Days\n",
        "Halle 7",
        "2026-11-24 to 2026-11-26 (Europe/Berlin)",
        "2026-11-23 23:00 UTC to 2026-11-26 23:00 UTC",
        "begins in 22 days",
        "wss://relay.example:7878",
        PIN,
        "20 buckets",
        "20 with 80 seats",
        "kiosks      2",
        "none needed",
    ];
    for expected in expected {
        assert!(shown.contains(expected), "{expected:?} is missing in:\n{shown}");
    }
    let signed = SignedPack::decode(&fs::read(&pack).unwrap()).unwrap();
    assert!(shown.contains(&signed.event().to_string()));
    let secrets =
        [&signed.pack().board_key, &signed.pack().relay_key].map(|key| key.0.iter().map(|byte| format!("{byte:02x}")).collect());
    assert!(secrets.iter().all(|secret: &String| !shown.contains(secret)), "what is shown may be copied into a mail");

    let link = event(1, BEFORE, &["link", &pack]).unwrap();
    assert_eq!(PackLink::parse(&link), Ok(PackLink::Inline(Box::new(signed))));
}

#[test]
fn the_beacon_of_a_table_on_the_plan_gets_its_file_and_that_of_no_other() {
    let dir = TempDir::new().unwrap();
    new(1, dir.path(), &["--tables", "20"]).unwrap();
    let (pack, out) = (file(&dir, "event.alcove"), file(&dir, "t"));
    let write = |seed, table, more: &[&str]| {
        let fixed = ["beacon", &pack, "--table", table, "--out", &out];
        event(seed, BEFORE, &[&fixed[..], more].concat())
    };
    let said = write(1, "12", &[]).unwrap();
    assert!(said.contains("table 12 of Offline Days") && said.contains("delete"), "{said}");
    let signed = SignedPack::decode(&fs::read(&pack).unwrap()).unwrap();
    let bytes = fs::read(&out).unwrap();
    let key = TableKey::new(&signed.pack().board_key);
    let (event_id, rest) = bytes.split_at(16);
    assert_eq!((event_id, &rest[..32], &rest[64..]), (&signed.event().0[..], &key.as_bytes()[..], &[0, 12][..]));
    assert_ne!(rest[..32], signed.pack().board_key.0, "a beacon reads no board");
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&out).unwrap().permissions()) & 0o777, 0o600);

    assert!(write(2, "12", &[]).unwrap_err().contains("--force"));
    write(2, "12", &["--force"]).unwrap();
    let again = fs::read(&out).unwrap();
    assert!(again[48..80] != bytes[48..80] && again[..48] == bytes[..48], "each device has a secret of its own");

    fs::remove_file(&out).unwrap();
    for off in ["0", "21", "65535"] {
        let refused = write(1, off, &[]).unwrap_err();
        assert_eq!(refused, format!("table {off} is not on the plan of Offline Days: it has 20 tables, from 1 to 20"));
    }
    assert!(write(1, "65536", &[]).is_err() && !Path::new(&out).exists());
    let bare = TempDir::new().unwrap();
    new(1, bare.path(), &[]).unwrap();
    let refused = event(1, BEFORE, &["beacon", &file(&bare, "event.alcove"), "--table", "1"]).unwrap_err();
    assert!(refused.contains("has no tables"), "{refused}");
}

#[test]
fn the_state_of_an_event_follows_the_clock() {
    let dir = TempDir::new().unwrap();
    new(1, dir.path(), &[]).unwrap();
    let pack = file(&dir, "event.alcove");
    let signed = SignedPack::decode(&fs::read(&pack).unwrap()).unwrap();
    for (wall, state) in [
        (WallTime(signed.pack().opens_at.0 - 1), "begins in less than an hour"),
        (signed.pack().opens_at, "running, for another 3 days"),
        (signed.pack().ends_at, "over: it can no longer be joined"),
    ] {
        assert!(event(1, wall, &["show", &pack]).unwrap().contains(state), "{state}");
    }
    assert_eq!(SignedPack::decode_at(signed.bytes(), signed.pack().ends_at), Err(PackError::Over));
}

#[test]
fn the_organizers_key_is_readable_by_its_owner_only_and_never_overwritten_unasked() {
    let dir = TempDir::new().unwrap();
    new(1, dir.path(), &[]).unwrap();
    let key = file(&dir, "organizer.key");
    let first = fs::read(&key).unwrap();
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&key).unwrap().permissions()) & 0o777, 0o600);

    let refused = new(2, dir.path(), &[]).unwrap_err();
    assert!(refused.contains("exists already"), "{refused}");
    assert_eq!(fs::read(&key).unwrap(), first);

    fs::remove_file(file(&dir, "event.alcove")).unwrap();
    new(2, dir.path(), &[]).unwrap_err();
    assert_eq!(fs::read(&key).unwrap(), first, "not even when the pack is gone");

    new(2, dir.path(), &["--force"]).unwrap();
    assert_ne!(fs::read(&key).unwrap(), first);
    #[cfg(unix)]
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&key).unwrap().permissions()) & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "nothing else is left behind");
}

#[test]
fn a_changed_pack_signed_with_the_same_key_is_the_same_event() {
    let dir = TempDir::new().unwrap();
    new(1, dir.path(), &["--tables", "3"]).unwrap();
    let (pack, key) = (file(&dir, "event.alcove"), file(&dir, "organizer.key"));
    let old = SignedPack::decode(&fs::read(&pack).unwrap()).unwrap();
    new(2, dir.path(), &["--tables", "4", "--keys", &key]).unwrap_err();
    new(2, dir.path(), &["--tables", "4", "--keys", &key, "--force"]).unwrap();
    let new = SignedPack::decode(&fs::read(&pack).unwrap()).unwrap();
    assert_eq!((old.event(), &old.pack().board_key), (new.event(), &new.pack().board_key));
    assert_eq!((old.pack().tables.len(), new.pack().tables.len()), (3, 4));
    let keys = OrganizerKeys::from_bytes(&fs::read(&key).unwrap()).unwrap();
    assert_eq!(keys.signing_key().verifying_key().to_bytes(), new.organizer());
}

#[test]
fn tables_come_from_a_plan_and_the_programme_by_its_hash() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("plan.csv"), "number,seats,zone,x_m,y_m\n7,6,Foyer,12.5,3\n2,4,\"Hall, east\",0,0\n").unwrap();
    fs::write(dir.path().join("programme.ics"), "BEGIN:VCALENDAR\nEND:VCALENDAR\n").unwrap();
    let (plan, programme) = (file(&dir, "plan.csv"), file(&dir, "programme.ics"));
    let url = "https://conf.example/programme.ics";
    new(1, dir.path(), &["--plan", &plan, "--programme", &programme, "--programme-url", url]).unwrap();
    let shown = event(1, BEFORE, &["show", &file(&dir, "event.alcove")]).unwrap();
    for expected in ["2 with 10 seats", "1 in Foyer", "1 in Hall, east", url] {
        assert!(shown.contains(expected), "{expected:?} is missing in:\n{shown}");
    }
    fs::write(&plan, "number,seats,zone,x_m,y_m\n7,six,Foyer,12.5,3\n").unwrap();
    let refused = new(1, dir.path(), &["--plan", &plan, "--force"]).unwrap_err();
    assert!(refused.ends_with("line 2 of the plan: the seats are a whole number up to 100"), "{refused}");
}

#[test]
fn a_bad_file_ends_with_one_sentence_that_says_what_is_wrong() {
    let dir = TempDir::new().unwrap();
    new(1, dir.path(), &["--tables", "5"]).unwrap();
    let good = fs::read(file(&dir, "event.alcove")).unwrap();
    let mut version = good.clone();
    version[4] = 2;
    let mut flipped = good.clone();
    flipped[150] ^= 1;
    let cases: [(&[u8], &str); 6] = [
        (b"", "this is not an event pack"),
        (b"GIF89a", "this is not an event pack"),
        (&version, "made by a newer Alcove: update this one"),
        (&flipped, "damaged: get it again"),
        (&good[..200], "damaged: get it again"),
        (&[&b"ALCP\x01"[..], &[0; 300_000]].concat(), "larger than 256 KiB"),
    ];
    for (bytes, sentence) in cases {
        let path = file(&dir, "bad.alcove");
        fs::write(&path, bytes).unwrap();
        for command in ["show", "link", "qr"] {
            let refused = event(1, BEFORE, &[command, &path]).unwrap_err();
            assert!(refused.contains(sentence) && refused.lines().count() == 1, "{refused}");
        }
    }
    assert!(event(1, BEFORE, &["show", &file(&dir, "nowhere")]).unwrap_err().contains("cannot be read"));
}

#[test]
fn what_no_event_can_be_is_refused_before_anything_is_written() {
    let dir = TempDir::new().unwrap();
    let berlin = ["--zone", "Europe/Berlin"];
    let days = ["--starts", "2026-11-24", "--ends", "2026-11-26"];
    let backwards = ["--starts", "2026-11-24", "--ends", "2026-11-23"];
    type Case<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a [&'a str], &'a str);
    let cases: [Case; 6] = [
        ("E", &days, &["--zone", "Europe/Atlantis"], &[], "there is no time zone"),
        ("E", &backwards, &berlin, &[], "1 to 31 days"),
        (" ", &days, &berlin, &[], "name: one line"),
        ("E", &days, &berlin, &["--tables", "2", "--seats", "0"], "tables: 1 to 100 seats"),
        ("E", &days, &berlin, &["--relay", "wss://relay.example"], "needs the hash of its certificate"),
        ("E", &days, &berlin, &["--kiosks", "300"], "kiosk_keys: at most 256"),
    ];
    for (name, days, zone, more, sentence) in cases {
        let args = [&["new", "--name", name, "--out", dir.path().to_str().unwrap()][..], days, zone, more].concat();
        let refused = event(1, BEFORE, &args).unwrap_err();
        assert!(refused.contains(sentence), "{refused}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_small_event_is_in_its_picture_and_a_large_one_is_named_by_it() {
    let dir = TempDir::new().unwrap();
    let (pack, png) = (file(&dir, "event.alcove"), file(&dir, "event.png"));
    let relay = format!("wss://relay.example:7878#{PIN}");
    for (tables, is_inline) in [("40", true), ("2000", false)] {
        new(1, dir.path(), &["--tables", tables, "--relay", &relay, "--force"]).unwrap();
        let signed = SignedPack::decode(&fs::read(&pack).unwrap()).unwrap();
        event(1, BEFORE, &["qr", &pack, "--out", &png]).unwrap();
        let link = PackLink::parse(&picture::decode_png(Path::new(&png)).unwrap()).unwrap();
        assert_eq!(matches!(link, PackLink::Inline(_)), is_inline, "{} bytes", signed.bytes().len());
        assert_eq!(link.accept(signed.bytes()).unwrap(), signed);
    }
    let said = event(1, BEFORE, &["qr", &pack]).unwrap();
    assert!(said.lines().count() > 20 && said.contains('█'));
    let at = event(1, BEFORE, &["link", &pack, "--at", "https://conf.example/event.alcove"]).unwrap();
    assert!(matches!(PackLink::parse(&at), Ok(PackLink::Fetch { url, .. }) if url == "https://conf.example/event.alcove"));
    assert!(event(1, BEFORE, &["link", &pack, "--at", "ftp://conf.example"]).is_err());
}

#[test]
fn the_help_teaches_with_examples_that_parse() {
    for (args, line) in [(&["--help"][..], "alcove event new --name"), (&["new", "--help"][..], "number,seats,zone,x_m,y_m")] {
        let help = event(1, BEFORE, args).unwrap_err();
        assert!(help.contains(line), "{help}");
    }
}
