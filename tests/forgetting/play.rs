//! The play: a talk of three, another of two that both leave, cards that are taken back, and one who only carries; every field a person
//! can type into gets words that must be forgotten.

use super::marker::Markers;
use super::process::{self, Attendee, BINARY, text};
use super::scan::Thief;
use rustix::process::geteuid;
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How many words are planted in all.
pub const MARKERS: usize = 1_000;

/// A folder in which the processes of one play keep whatever they write, and their relay.
pub struct World {
    folder: tempfile::TempDir,
    mdns_port: String,
    pub relay: Child,
    program: PathBuf,
}

impl World {
    /// A world whose people run this program, an `alcove` or one like it.
    pub fn new(program: &Path) -> World {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["profiles", "store", "logs", "tmp", "home", "here"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let port = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let mut command = at_home(folder.path(), Path::new(BINARY), "relay");
        command.args(["relay", "--listen", "127.0.0.1:0", "--store"]).arg(folder.path().join("store"));
        let (relay, url) = process::start_relay(command);
        process::make_event(folder.path(), "Forgetting", &url);
        World { folder, mdns_port: port.to_string(), relay, program: program.into() }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Starts one of the people, who joins the event the first time.
    pub fn person(&self, name: &str) -> Attendee {
        let profile = self.path().join("profiles").join(name);
        let is_new = !profile.exists();
        let options = ["--lan", "loopback", "--mdns-port", &self.mdns_port];
        let mut person = Attendee::run(at_home(self.path(), &self.program, name), &options, name, profile);
        if is_new {
            person.ask(json!({ "do": "join-event", "file": self.path().join("event.alcove") }));
        }
        person
    }

    /// A power cut at the relay.
    pub fn cut_relay(&mut self) {
        self.relay.kill().expect("the relay runs");
        self.relay.wait().expect("it ends");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}

/// A program that can write nowhere but below this folder, and logs as much as it can.
fn at_home(folder: &Path, program: &Path, name: &str) -> Command {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("logs").join(name)).expect("a log");
    let mut command = Command::new(program);
    command.current_dir(folder.join("here")).env("HOME", folder.join("home")).env("TMPDIR", folder.join("tmp"));
    command
        .env("XDG_RUNTIME_DIR", folder.join("tmp"))
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .stderr(Stdio::from(log));
    if !geteuid().is_root() {
        command.env("ALCOVE_TEST_READABLE", "1");
    }
    command
}

/// Three who talk and one who carries; before the close.
pub struct Cast {
    pub heron: Attendee,
    pub otter: Attendee,
    pub wren: Attendee,
    pub raven: Attendee,
    /// The name of the talk that will be closed, for heron, otter and wren.
    pub talks: [String; 3],
}

fn each(cast: &mut Cast) -> [(&mut Attendee, &String); 3] {
    let Cast { heron, otter, wren, talks: [of_heron, of_otter, of_wren], .. } = cast;
    [(heron, of_heron), (otter, of_otter), (wren, of_wren)]
}

/// Everything up to the close.
pub fn play(world: &mut World, markers: &mut Markers) -> Cast {
    let [mut heron, mut otter, mut wren, mut raven] = ["heron", "otter", "wren", "raven"].map(|name| world.person(name));
    for (person, name) in [(&mut heron, "heron"), (&mut otter, "otter"), (&mut raven, "raven")] {
        let tags = markers.kept(16, "interests", name);
        person.ask(json!({ "do": "board", "interests": tags }));
    }
    nonsense(&mut heron, markers);
    taken_back(&mut heron, &mut raven, markers);
    let talks = gather(&mut heron, [&mut otter, &mut wren], markers, 3);
    left_talk(&mut heron, &mut otter, markers);
    heron.ask(json!({ "do": "report", "text": markers.some(20, "report") }));
    let mut cast = Cast { heron, otter, wren, raven, talks: [talks[0].clone(), talks[1].clone(), talks[2].clone()] };
    conversation(&mut cast, markers);
    notes(&mut cast, markers);
    cut_off(world, &mut cast, markers);
    queued(world, &mut cast, markers);
    fill(&mut cast, markers);
    let carried = cast.raven.ask(json!({ "do": "status" }))["carried_parcels"].as_u64();
    assert!(carried > Some(20), "the fourth carries what it cannot read: {carried:?}");
    // Not yet a change when the close comes.
    let edits = json!([{ "splice": { "at": 0, "insert": markers.some(10, "typed, not yet a change") } }]);
    cast.heron.ask(json!({ "do": "edit", "talk": cast.talks[0], "edits": edits }));
    assert_eq!(markers.all.len(), MARKERS);
    cast
}

/// What is refused was typed all the same.
fn nonsense(person: &mut Attendee, markers: &mut Markers) {
    let mut word = |field| markers.one(field);
    let nobody = "00112233445566778899aabbccddeeff";
    let lines = [
        format!("{{nonsense {}", word("not JSON")),
        format!("[\"{}\"]", word("not an object")),
        json!({ "do": word("unknown command") }).to_string(),
        json!({ "do": "status", word("unknown field"): word("unknown field") }).to_string(),
        json!({ "do": "say", "talk": word("no name of a talk"), "text": word("say in no talk") }).to_string(),
        json!({ "do": "say", "talk": nobody, "text": word("say in no talk") }).to_string(),
        json!({ "do": "edit", "talk": nobody, "edits": [{ word("unknown edit"): {} }] }).to_string(),
        json!({ "do": "edit", "talk": nobody, "edits": [{ "splice": { "at": word("no number"), "insert": word("bad edit") } }] })
            .to_string(),
        json!({ "do": "scan", "text": word("no code") }).to_string(),
        json!({ "do": "join-event", "link": word("no link") }).to_string(),
        json!({ "do": "join-event", "file": format!("/nowhere/{}", word("no file")) }).to_string(),
        json!({ "do": "post-card", "topic": word("bad card"), "tags": word("bad card"), "seats_min": 2 }).to_string(),
        json!({ "do": "report", "text": word("long report").repeat(200) }).to_string(),
        format!("{{\"do\": \"{}", word("line too long").repeat(1 << 17)),
        word("escaped line").chars().map(|letter| format!("\\u{:04x}", letter as u32)).collect(),
        json!({ "do": "set-interests", "tags": markers.list(33, "too many interests") }).to_string(),
    ];
    for line in lines {
        let answer = person.line(&line);
        assert!(answer.get("error").is_some(), "{answer}");
    }
}

/// Cards that never came to a talk: a draft, and one that stood on the board.
fn taken_back(person: &mut Attendee, other: &mut Attendee, markers: &mut Markers) {
    let mut card = |field| {
        let (topic, tags) = (markers.some(7, field), markers.list(8, field));
        json!({ "topic": topic, "tags": tags, "seats_min": 2, "seats_max": 4, "hours": 5 })
    };
    let mut draft = card("drafted card");
    draft["do"] = json!("draft-card");
    let draft = person.ask(draft);
    person.ask(json!({ "do": "withdraw", "talk": draft["talk"] }));
    let mut posted = card("card taken back");
    posted["do"] = json!("post-card");
    let posted = person.ask(posted);
    other.until("the card", json!({ "do": "board" }), |board| board["cards"].as_array().is_some_and(|cards| cards.len() == 1));
    person.ask(json!({ "do": "withdraw", "talk": posted["talk"] }));
    other.until("no card", json!({ "do": "board" }), |board| board["cards"] == json!([]));
}

/// A card, seats, and the room open for all; gives everybody's name of the talk, the host's first.
pub fn gather<const N: usize>(host: &mut Attendee, guests: [&mut Attendee; N], markers: &mut Markers, seats: usize) -> Vec<String> {
    let (topic, tags) = (markers.some(7, "topic"), markers.list(8, "tags"));
    let posted = host.ask(json!({
        "do": "post-card", "topic": topic, "tags": tags, "pattern": "open", "seats_min": seats, "seats_max": seats, "hours": 12,
    }));
    let mut talks = vec![text(&posted["talk"])];
    let mut people = vec![host];
    for guest in guests {
        let stands =
            |board: &Value| board["cards"].as_array().is_some_and(|cards| cards.iter().any(|card| card["topic"] == *topic));
        guest.until("the card", json!({ "do": "board" }), stands);
        talks.push(text(&guest.ask(json!({ "do": "take-seat", "card": posted["card"] }))["talk"]));
        people.push(guest);
    }
    for (person, talk) in people.into_iter().zip(&talks) {
        person.event("talk-opened", |event| event["talk"] == **talk);
    }
    talks
}

/// A talk that nobody closes: one leaves with words that are not a change yet, then the other.
fn left_talk(heron: &mut Attendee, otter: &mut Attendee, markers: &mut Markers) {
    let talks = gather(heron, [&mut *otter], markers, 2);
    let said = markers.some(20, "message in a talk that is left");
    heron.ask(json!({ "do": "say", "talk": talks[0], "text": said }));
    otter.until("the message", json!({ "do": "talk", "talk": talks[1] }), |view| view["room"]["messages"][0]["text"] == *said);
    let edits = json!([{ "splice": { "at": 0, "insert": markers.some(10, "typed, then left") } }]);
    otter.ask(json!({ "do": "edit", "talk": talks[1], "edits": edits }));
    otter.ask(json!({ "do": "leave", "talk": talks[1] }));
    heron.ask(json!({ "do": "hide", "talk": talks[0], "seat": 1 }));
    heron.ask(json!({ "do": "leave", "talk": talks[0] }));
}

fn conversation(cast: &mut Cast, markers: &mut Markers) {
    for _ in 0..3 {
        for number in 0..3 {
            let said = markers.some(20, "message");
            let (person, talk) = &mut each(cast)[number];
            person.ask(json!({ "do": "say", "talk": talk, "text": said }));
        }
    }
    for (person, talk) in each(cast) {
        let all = |view: &Value| view["room"]["messages"].as_array().is_some_and(|messages| messages.len() == 9);
        person.until("nine messages", json!({ "do": "talk", "talk": talk }), all);
    }
    let too_long = markers.one("message that is too long").repeat(200);
    cast.heron.refusal(json!({ "do": "say", "talk": cast.talks[0], "text": too_long }));
}

fn notes(cast: &mut Cast, markers: &mut Markers) {
    let [(heron, talk), (otter, of_otter), _] = each(cast);
    for _ in 0..5 {
        edit(heron, talk, json!([{ "splice": { "at": 0, "insert": markers.some(15, "notes") } }]));
        edit(otter, of_otter, json!([{ "splice": { "at": 0, "insert": markers.some(8, "notes") } }]));
    }
    // Struck again, before and after it is a change; and taken back.
    edit(
        heron,
        talk,
        json!([{ "splice": { "at": 0, "insert": markers.some(15, "struck at once") } }, { "splice": { "at": 0, "delete": 254 } }]),
    );
    edit(heron, talk, json!([{ "splice": { "at": 0, "insert": markers.some(15, "struck later") } }]));
    edit(heron, talk, json!([{ "splice": { "at": 0, "delete": 254 } }]));
    edit(heron, talk, json!([{ "splice": { "at": 0, "insert": markers.some(15, "taken back") } }]));
    heron.ask(json!({ "do": "undo", "talk": talk }));
    let marks: Vec<_> = (0..10)
        .map(|place| {
            let (name, value) = (markers.one("name of a mark"), markers.some(3, "value of a mark"));
            json!({ "mark": { "start": place, "end": place + 20, "name": name, "value": value } })
        })
        .collect();
    edit(heron, talk, json!(marks));
    edit(heron, talk, json!([{ "unmark": { "start": 0, "end": 4, "name": markers.one("mark taken off") } }]));
    for (add, set, remove, field) in
        [("add-agenda", "set-agenda", "remove-agenda", "agenda"), ("add-action", "set-action", "remove-action", "actions")]
    {
        let adds: Vec<_> = (0..10).map(|_| json!({ add: { "text": markers.some(3, field) } })).collect();
        let items = edit(heron, talk, json!(adds))["items"].clone();
        let sets: Vec<_> = (0..4).map(|item| json!({ set: { "id": items[item], "text": markers.some(3, field) } })).collect();
        edit(heron, talk, json!(sets));
        edit(heron, talk, json!([{ remove: { "id": items[0] } }, { remove: { "id": items[9] } }]));
    }
    heron.ask(json!({ "do": "strike", "talk": talk }));
    let folded = |notes: &Value| notes["generation"] == 1 && notes["waiting"] == 0;
    for (person, talk) in each(cast) {
        person.until("the fold", json!({ "do": "notes", "talk": talk }), folded);
    }
    let frames = json!({ "do": "animated-code", "talk": cast.talks[1], "frames": 5, "png_dir": "frames" });
    cast.otter.ask(frames);
}

/// Edits the notes and makes a change of it.
pub fn edit(person: &mut Attendee, talk: &str, edits: Value) -> Value {
    let answer = person.ask(json!({ "do": "edit", "talk": talk, "edits": edits }));
    person.ask(json!({ "do": "flush", "talk": talk }));
    answer
}

/// A large paste whose sender dies while it is on its way, by a signal that would leave a core dump; it returns and goes on.
fn cut_off(world: &World, cast: &mut Cast, markers: &mut Markers) {
    let words = markers.list(60, "large paste");
    let paste: String = words.iter().map(|word| format!("{word} {}", "lorem ipsum ".repeat(5))).collect();
    let talk = cast.talks[2].clone();
    cast.wren.ask(json!({ "do": "edit", "talk": talk, "edits": [{ "splice": { "at": 0, "insert": &paste[..2_000] } }] }));
    let rest: Vec<_> = (0..paste.len() / 1_000 - 2).map(|piece| &paste[2_000 + piece * 1_000..3_000 + piece * 1_000]).collect();
    for piece in rest {
        cast.wren.ask(json!({ "do": "edit", "talk": talk, "edits": [{ "splice": { "at": 0, "insert": piece } }] }));
    }
    cast.wren.ask(json!({ "do": "flush", "talk": talk }));
    cast.wren.abort();
    cast.wren = world.person("wren");
    assert_eq!(cast.wren.view(&talk)["state"], "open");
}

/// Words that wait for a relay that is dead and for neighbours that are not there.
fn queued(world: &mut World, cast: &mut Cast, markers: &mut Markers) {
    let Cast { heron, talks, .. } = cast;
    heron.ask(json!({ "do": "offline", "transport": "lan" }));
    heron.until_status("nobody", |status| status["neighbours"] == 0);
    relay_is_blind(world, markers);
    world.cut_relay();
    let said = markers.some(20, "queued message");
    heron.ask(json!({ "do": "say", "talk": talks[0], "text": said }));
    edit(heron, &talks[0], json!([{ "splice": { "at": 0, "insert": markers.some(15, "queued notes") } }]));
    heron.until_status("what waits", |status| status["relay_waiting"].as_u64() > Some(0));
    heron.ask(json!({ "do": "online", "transport": "lan" }));
    for (person, talk) in each(cast).into_iter().skip(1) {
        let there =
            |view: &Value| view["room"]["messages"].as_array().is_some_and(|all| all.iter().any(|one| one["text"] == *said));
        person.until("the queued message", json!({ "do": "talk", "talk": talk }), there);
    }
}

/// While the talk lives, and with all that waits there: what the relay has in memory is sealed.
fn relay_is_blind(world: &World, markers: &Markers) {
    let thief = Thief::new(&markers.all.iter().collect::<Vec<_>>());
    let mut loot = thief.empty();
    thief.search_memory(world.relay.id(), &mut loot);
    println!("the relay's {} MB hold {} words", loot.bytes >> 20, loot.markers());
    assert!(loot.markers() == 0 && loot.automerge == 0, "{:?}", loot.places);
}

/// As many more messages as it takes to have planted enough.
fn fill(cast: &mut Cast, markers: &mut Markers) {
    while markers.all.len() + 10 < MARKERS {
        let said = markers.some(20.min(MARKERS - 10 - markers.all.len()), "message");
        cast.otter.ask(json!({ "do": "say", "talk": cast.talks[1], "text": said }));
    }
}

/// Everybody agrees to the end, and every device confirms it to the others.
pub fn close(cast: &mut Cast) {
    for (person, talk) in each(cast) {
        person.until_ok(json!({ "do": "close", "talk": talk }));
    }
    for (person, talk) in each(cast) {
        person.event("talk-erased", |event| event["talk"] == **talk);
        let all = |answer: &Value| {
            let receipts = answer["receipts"].as_array().cloned().unwrap_or_default();
            receipts.iter().any(|receipt| receipt["ending"] == "closed" && receipt["confirmed"] == 3)
        };
        person.until("every confirmation", json!({ "do": "receipts" }), all);
        assert_eq!(person.ask(json!({ "do": "talks" }))["talks"], json!([]));
    }
    for person in [&mut cast.heron, &mut cast.otter, &mut cast.wren, &mut cast.raven] {
        person.until("an empty board", json!({ "do": "board" }), |board| board["cards"] == json!([]));
    }
}

/// Copies a folder, files and all.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    fs::set_permissions(to, fs::metadata(from).expect("it is there").permissions()).expect("its permissions");
    for entry in fs::read_dir(from).expect("the folder").map(|entry| entry.expect("an entry").path()) {
        let target = to.join(entry.file_name().expect("a name"));
        if entry.is_dir() { copy(&entry, &target) } else { _ = fs::copy(&entry, &target).expect("a copy") }
    }
}
