//! The story itself, act by act, and what each act claims.

use super::Narrator;
use super::corridor::{self, Corridor};
use super::process::{Attendee, Relay, SOON, Stage};
use super::tap::Tap;
use super::verdict::Verdict;
use crate::proto::config::{RELAY_BLOB_BYTES, RELAY_MESSAGE_BYTES};
use crate::shell::worker;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fs;
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const TOPIC: &str = "What did you stop doing, and did anybody notice?";
const SAID: &str = "We stopped the weekly report. Nobody asked for it in eleven months.";
pub(super) const NOTE: &str = "Stopped: weekly report. ";
pub(super) const NOTE_IN_TUNNEL: &str = "Stopped: code freeze. ";
pub(super) const NOTE_IN_CORRIDOR: &str = "Kept: the demo on Fridays. ";
const NOTE_HOME: &str = "Next: tell them why. ";
/// Whatever of these stands anywhere can be read.
const WORDS: [&str; 6] = [TOPIC, SAID, "weekly report", "code freeze", "demo on Fridays", "tell them why"];

/// Plays all acts.
pub(super) fn play(narrator: &mut Narrator, folder: &Path, out: &Path) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut play = Play::begin(narrator, folder, out)?;
    play.gather(&mut verdict)?;
    play.talk(&mut verdict)?;
    play.table(&mut verdict)?;
    corridor::play(&mut play, &mut verdict)?;
    play.train_home(&mut verdict)?;
    play.close(&mut verdict)?;
    play.afterwards(&mut verdict)?;
    Ok(verdict)
}

pub(super) struct Play<'a> {
    pub(super) narrator: &'a mut Narrator,
    pub(super) stage: Stage,
    out: &'a Path,
    relay: Relay,
    tap: Tap,
    pub(super) cast: Vec<Attendee>,
    pub(super) talks: Vec<String>,
    copy_showed_words: bool,
    /// How many blobs had been put before the talk began.
    puts_before: usize,
}

impl<'a> Play<'a> {
    fn begin(narrator: &'a mut Narrator, folder: &Path, out: &'a Path) -> Result<Play<'a>> {
        narrator.act("The cast");
        // Discovery on a port of our own: other nodes of this machine do not hear ours.
        let mdns_port = UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port();
        let stage = Stage { binary: worker::this_binary(), folder: folder.to_owned(), mdns_port, corridor: Corridor::open()? };
        let relay = Relay::start(&stage.binary, &folder.join("relay"))?;
        let tap = Tap::new(relay.address)?;
        narrator.say(&format!("A blind relay listens on {}; a tap on its line measures what it can see.", relay.address));
        let today = jiff::Zoned::now().date();
        let made = Command::new(&stage.binary)
            .args(["event", "new", "--name", "Alcove Tour", "--place", "this machine", "--zone", "UTC", "--tables", "12"])
            .args(["--relay", &format!("ws://{}", tap.address())])
            .args(["--starts", &today.to_string(), "--ends", &today.tomorrow()?.tomorrow()?.to_string(), "--out"])
            .arg(folder)
            .output()?;
        if !made.status.success() {
            bail!("the event could not be made: {}", String::from_utf8_lossy(&made.stderr));
        }
        let mut cast = Vec::new();
        for name in ["Ada", "Ben", "Cleo"] {
            // No discovery: whoever meets at the table meets by the code alone.
            let mut attendee = stage.start(name, name, "direct")?;
            attendee.ask(json!({ "do": "join-event", "file": folder.join("event.alcove") }))?;
            for transport in ["lan", "bluetooth"] {
                attendee.ask(json!({ "do": "offline", "transport": transport }))?;
            }
            cast.push(attendee);
        }
        narrator.say("Ada, Ben and Cleo have the event's code, a process and a profile each. They sit in three trains.");
        narrator.say(cast[0].ready["keystore"].as_str().unwrap_or_default());
        Ok(Play { narrator, stage, out, relay, tap, cast, talks: vec![String::new(); 3], copy_showed_words: false, puts_before: 0 })
    }

    /// Card, seats, quorum.
    fn gather(&mut self, verdict: &mut Verdict) -> Result<()> {
        self.narrator.act("On the train: a card, and no room yet");
        let card = json!({ "do": "post-card", "topic": TOPIC, "tags": ["teams", "letting go"], "seats_min": 3, "seats_max": 5, "hours": 12 });
        let posted = self.cast[0].ask(card)?;
        self.talks[0] = text(&posted["talk"]);
        let card = text(&posted["card"]);
        self.narrator.say(&format!("Ada posts a card: «{TOPIC}» At least 3 seats."));
        self.take_seat(1, &card)?;
        self.cast[0].until("two seats", view(&self.talks[0].clone()), |talk| talk["taken"] == 2)?;
        // Two of three sit: give everything that could open a room time to do so.
        let until = Instant::now() + Duration::from_secs(2);
        let mut rooms = 0;
        while Instant::now() < until {
            rooms += self.rooms(2)?;
            std::thread::sleep(Duration::from_millis(200));
        }
        self.narrator.say("Two sit. There is no room: no key of it exists on any device.");
        let relay_held_words = contains_words(&self.stage.folder.join("relay"))?;

        let began = Instant::now();
        self.take_seat(2, &card)?;
        for place in 0..3 {
            let talk = self.talks[place].clone();
            self.cast[place].until("the open room", view(&talk), |talk| talk["state"] == "open")?;
        }
        let opened = began.elapsed();
        let rooms_at_quorum = self.rooms(3)?;
        self.narrator.say(&format!("Cleo takes the third seat: the room opens for all, {:.1} s later.", opened.as_secs_f32()));
        let none = rooms == 0 && !relay_held_words;
        let figure =
            format!("0 rooms at 2 of 3 seats ({rooms} seen in 2 s), {rooms_at_quorum} at 3; relay readable: {relay_held_words}");
        verdict.claim(
            "no_group_below_k",
            none,
            figure,
            rooms_at_quorum == 0,
            "the same look at the devices with the third seat taken",
        );

        let rosters = self.rosters()?;
        for place in 0..3 {
            let me = self.cast[place].ask(view(&self.talks[place].clone()))?;
            let name = self.cast[place].name;
            self.narrator.say(&format!("{name} is {} here, and sees: {}", text(&me["persona"]), rosters[place].0.join(", ")));
        }
        let other = self.second_roster()?;
        let figure = format!("3 devices see the same 3 seats and the same words «{}»", rosters[0].1);
        let same = |rosters: &[Roster]| rosters.iter().all(|roster| *roster == rosters[0]);
        verdict.claim(
            "roster_equal",
            same(&rosters),
            figure,
            same(&[rosters[0].clone(), other]),
            "the roster of another talk of Ada and Ben",
        );
        Ok(())
    }

    fn take_seat(&mut self, place: usize, card: &str) -> Result<()> {
        let attendee = &mut self.cast[place];
        let board = attendee.until("the card", json!({ "do": "board", "interests": ["Teams"] }), |answer| {
            answer["cards"].as_array().is_some_and(|cards| cards.iter().any(|other| other["card"] == card))
        })?;
        let cards = board["cards"].as_array().cloned().unwrap_or_default();
        let shown = cards.iter().find(|other| other["card"] == card).context("the card is on the board")?;
        let line = format!(
            "{} sees it from {}, {} tag in common, and takes a seat.",
            attendee.name,
            text(&shown["persona"]),
            shown["shared_tags"]
        );
        self.talks[place] = text(&attendee.ask(json!({ "do": "take-seat", "card": card }))?["talk"]);
        self.narrator.say(&line);
        Ok(())
    }

    /// A talk of Ada and Ben alone, to compare with; closed again at once.
    fn second_roster(&mut self) -> Result<Roster> {
        let posted = self.cast[0]
            .ask(json!({ "do": "post-card", "topic": "A second table", "seats_min": 2, "seats_max": 2, "hours": 1 }))?;
        let (host, card) = (text(&posted["talk"]), text(&posted["card"]));
        let listed =
            |answer: &Value| answer["cards"].as_array().is_some_and(|cards| cards.iter().any(|other| other["card"] == card));
        self.cast[1].until("the second card", json!({ "do": "board" }), listed)?;
        let guest = text(&self.cast[1].ask(json!({ "do": "take-seat", "card": card }))?["talk"]);
        let open = self.cast[0].until("the second room", view(&host), |talk| talk["state"] == "open")?;
        self.cast[1].until("the second room", view(&guest), |talk| talk["state"] == "open")?;
        self.cast[0].ask(json!({ "do": "close", "talk": host }))?;
        self.cast[1].ask(json!({ "do": "close", "talk": guest }))?;
        for (place, talk) in [(0, host), (1, guest)] {
            // With both confirmations there, nothing more is on its way that is not of the talk in this play.
            self.cast[place].until("the second close", json!({ "do": "receipts" }), |answer| {
                receipt(answer, &talk).is_some_and(|receipt| receipt["confirmed"] == 2)
            })?;
        }
        Ok(roster(&open))
    }

    /// Words and notes over the relay.
    fn talk(&mut self, verdict: &mut Verdict) -> Result<()> {
        self.narrator.act("The talk, over the relay alone");
        self.puts_before = self.tap.puts();
        self.say_to_all(0, SAID)?;
        self.write(1, NOTE)?;
        for place in 0..3 {
            self.cast[place]
                .until("Ada's words", view(&self.talks[place].clone()), |talk| talk["room"]["messages"][0]["text"] == SAID)?;
            self.cast[place].until("Ben's note", notes(&self.talks[place].clone()), |notes| notes["text"] == NOTE)?;
        }
        self.narrator.say("All three read what Ada said, and the notes that Ben began.");
        let sizes = self.tap.sizes();
        let one_size = |sizes: &[usize]| !sizes.is_empty() && sizes.iter().all(|size| *size == RELAY_MESSAGE_BYTES);
        let (blobs, bytes) = (self.relay.metric("blobs")?, self.relay.metric("bytes")?);
        let held_in_blobs = bytes == blobs * RELAY_BLOB_BYTES as u64;
        let unsealed: Vec<usize> = WORDS.iter().map(|word| word.len()).collect();
        self.narrator.say(&format!(
            "What the relay saw: {} messages of {RELAY_MESSAGE_BYTES} bytes, {blobs} blobs of {RELAY_BLOB_BYTES} held.",
            sizes.len()
        ));
        let figure = format!("{} messages, all of {RELAY_MESSAGE_BYTES} bytes; {blobs} blobs held, {bytes} bytes", sizes.len());
        verdict.claim(
            "relay_sizes",
            one_size(&sizes) && held_in_blobs,
            figure,
            one_size(&unsealed),
            "the sizes of the same words unsealed",
        );
        Ok(())
    }

    /// The relay is cut; the talk goes on at the table, by a picture of a code.
    fn table(&mut self, verdict: &mut Verdict) -> Result<()> {
        self.narrator.act("A tunnel: the relay is cut");
        self.tap.cut();
        for attendee in &mut self.cast {
            attendee.until("the cut", json!({ "do": "status" }), |status| status["relay"]["state"] != "up")?;
        }
        self.write(0, NOTE_IN_TUNNEL)?;
        let apart = self.texts()?;
        self.narrator.say("Nobody has a network. Ada goes on writing; Ben and Cleo cannot see it.");

        self.narrator.act("The table: one shows a code, the others scan it");
        for attendee in &mut self.cast {
            attendee.ask(json!({ "do": "online", "transport": "lan" }))?;
            let listens = |status: &Value| status["listening"].as_array().is_some_and(|all| !all.is_empty());
            attendee.until("the network", json!({ "do": "status" }), listens)?;
        }
        let mut times = Vec::new();
        let mut used = String::new();
        for guest in 1..3 {
            let picture = self.out.join(format!("table-{guest}.png"));
            let shown = self.cast[0].ask(json!({ "do": "show-handoff", "talk": self.talks[0], "png": picture }))?;
            let began = Instant::now();
            self.cast[guest].ask(json!({ "do": "scan", "image": picture }))?;
            let ended = self.cast[guest].event("handoff-ended", |_| true)?;
            if ended["end"] != "at-table" {
                bail!("{} scanned and got {ended}", self.cast[guest].name);
            }
            let expected = format!("{NOTE_IN_TUNNEL}{NOTE}");
            self.cast[guest].until("the notes", notes(&self.talks[guest].clone()), |notes| notes["text"] == expected)?;
            times.push(began.elapsed().as_secs_f32());
            let name = self.cast[guest].name;
            self.narrator.say(&format!(
                "{name} reads the code from the picture and has Ada's notes {:.2} s later.",
                began.elapsed().as_secs_f32()
            ));
            used = text(&shown["text"]);
        }
        self.cast[1].heard();
        self.cast[1].ask(json!({ "do": "scan", "text": used }))?;
        let again = self.cast[1].event("handoff-ended", |_| true)?;
        self.narrator.say(&format!("Ben tries Cleo's code again: {}", text(&again["message"])));
        let figure = format!("scan to equal notes: {:.2} s and {:.2} s", times[0], times[1]);
        verdict.claim(
            "qr_read_by_other_process",
            times.len() == 2,
            figure,
            again["end"] == "at-table",
            "a code that was used already",
        );

        let together = self.texts()?;
        let same = |texts: &[String]| texts.iter().all(|other| *other == texts[0]);
        let figure = format!("{} characters on 3 devices, with no relay", together[0].chars().count());
        verdict.claim("notes_equal", same(&together), figure, same(&apart), "the same comparison while they were apart");
        for place in 0..3 {
            self.cast[place].until("the rest", view(&self.talks[place].clone()), |talk| talk["room"]["resting"] == true)?;
        }
        self.narrator.say("Three seats at the table: the online leg rests.");

        // A thief copies Ben's profile while the talk lives. Opened now, the copy gives the words: that is the control for the end.
        copy(&self.stage.profile("Ben"), &self.stage.profile("copy"))?;
        self.copy_showed_words = self.profile_shows_words("copy")?;
        copy(&self.stage.profile("Ben"), &self.stage.profile("stolen"))?;
        Ok(())
    }

    /// The very same room goes on over the relay.
    fn train_home(&mut self, _verdict: &mut Verdict) -> Result<()> {
        self.narrator.act("The train home: the same room");
        self.tap.mend();
        for attendee in &mut self.cast {
            attendee.until("the relay", json!({ "do": "status" }), |status| status["relay"]["state"] == "up")?;
        }
        self.write(2, NOTE_HOME)?;
        let expected = format!("{NOTE_HOME}{NOTE_IN_CORRIDOR}{NOTE_IN_TUNNEL}{NOTE}");
        for place in 0..3 {
            self.cast[place].until("Cleo's note", notes(&self.talks[place].clone()), |notes| notes["text"] == expected)?;
        }
        self.narrator.say("Cleo is back on a train and writes one more line; Ada and Ben read it where they stand.");
        Ok(())
    }

    /// All agree; Cleo is away when the last vote falls, and returns.
    fn close(&mut self, verdict: &mut Verdict) -> Result<()> {
        self.narrator.act("The end: everybody agrees, one is away");
        self.cast[2].ask(json!({ "do": "close", "talk": self.talks[2] }))?;
        for place in 0..2 {
            self.cast[place].until("Cleo's vote", view(&self.talks[place].clone()), |talk| talk["room"]["agreed"] == 1)?;
        }
        let cleo = self.cast.pop().context("Cleo is there")?;
        cleo.quit()?;
        self.narrator.say("Cleo agrees to close and switches her phone off.");
        self.cast[0].ask(json!({ "do": "close", "talk": self.talks[0] }))?;
        let closed_too_early = self.closed()?;
        let of_the_talk = self.puts_before..self.tap.puts();
        let (before, left_before) = (self.relay.metric("blobs")?, self.tap.left_of(of_the_talk.clone()));
        let began = Instant::now();
        self.cast[1].ask(json!({ "do": "close", "talk": self.talks[1] }))?;
        for place in 0..2 {
            let talk = self.talks[place].clone();
            self.cast[place].until("the erasure", json!({ "do": "talks" }), |answer| !lists(&answer["talks"], &talk))?;
        }
        let erased = began.elapsed();
        self.narrator.say(&format!(
            "With Ben's vote it is unanimous: gone from Ada's and Ben's device {:.2} s later.",
            erased.as_secs_f32()
        ));

        self.tap.cut();
        let mut cleo = self.stage.start("Cleo", "Cleo", "off")?;
        let talk = self.talks[2].clone();
        let unchecked = cleo.until("the absence", view(&talk), |talk| talk["room"]["contact"] == "unchecked")?;
        let showed_before = unchecked.to_string().contains(SAID);
        self.narrator.say("Cleo's phone starts in a tunnel: her talk opens as «not checked».");
        self.tap.mend();
        cleo.event("talk-erased", |line| line["talk"] == talk.as_str())?;
        cleo.until("the end", json!({ "do": "talks" }), |answer| !lists(&answer["talks"], &talk))?;
        cleo.heard();
        std::thread::sleep(Duration::from_secs(1));
        let after = [cleo.tell(view(&talk))?, cleo.tell(notes(&talk))?, cleo.tell(json!({ "do": "talks" }))?];
        let spoken: String = after.iter().chain(&cleo.heard()).map(Value::to_string).collect();
        let showed_after = WORDS.iter().any(|word| spoken.contains(word));
        self.narrator
            .say("Out of the tunnel, the certificate that was left for her arrives: her device erases and shows nothing more.");
        verdict.claim(
            "returner_silent",
            !showed_after,
            "0 of the talk's words in everything said after the first contact".into(),
            !showed_before,
            "the same device before that contact",
        );
        self.cast.push(cleo);

        let mut receipts = Vec::new();
        for place in 0..3 {
            let talk = self.talks[place].clone();
            let all = |answer: &Value| {
                receipt(answer, &talk).is_some_and(|receipt| receipt["confirmed"] == 3 && receipt["confirmed_of"] == 3)
            };
            let answer = self.cast[place].until("all confirmations", json!({ "do": "receipts" }), all)?;
            receipts.push(receipt(&answer, &talk).cloned().unwrap_or_default());
        }
        self.narrator.say("What remains on each device is a receipt: a talk of 3 seats, erased on 3 of 3.");
        let figure =
            format!("3 receipts, each 3 of 3; last vote to erased on both reachable devices {:.2} s", erased.as_secs_f32());
        verdict.claim("closed_all", receipts.len() == 3, figure, closed_too_early, "the same look before the last vote");

        // Withdrawals are on their way. What nobody withdraws are notices without content, and the relay holds nothing else.
        let deadline = Instant::now() + SOON;
        let look = |play: &Self| -> Result<_> {
            Ok((play.tap.left_of(of_the_talk.clone()), play.relay.metric("blobs")?, play.tap.left_of(0..play.tap.puts()) as u64))
        };
        let mut seen = look(self)?;
        while (seen.0 > 0 || seen.1 != seen.2) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(200));
            seen = look(self)?;
        }
        let (left, held, notices) = seen;
        let figure = format!(
            "of the {} blobs that the talk left there {left} are still held ({left_before} before the close); {held} sealed notices \
             (cards withdrawn, erasures confirmed) lie there until they expire",
            of_the_talk.len()
        );
        self.narrator.say(&format!(
            "The relay held {before} blobs; now {held}: withdrawal notices and confirmations, sealed, until they expire."
        ));
        verdict.claim("relay_empty", left == 0 && held == notices, figure, left_before == 0, "the same count before the close");
        Ok(())
    }

    /// What a thief finds.
    fn afterwards(&mut self, verdict: &mut Verdict) -> Result<()> {
        self.narrator.act("Afterwards: what a thief finds");
        let forgets = self.cast[0].ready["forgets"] == true;
        for attendee in self.cast.drain(..) {
            attendee.quit()?;
        }
        let mut readable = 0;
        for name in ["Ada", "Ben", "Cleo"] {
            readable += usize::from(self.profile_shows_words(name)?) + usize::from(contains_words(&self.stage.profile(name))?);
        }
        // With a keystore that forgets, not even what was copied before the close opens any more.
        let stolen = if forgets { self.profile_shows_words("stolen")? } else { false };
        let relay = contains_words(&self.stage.folder.join("relay"))?;
        let copied = if forgets {
            "a copy made before the close opens nothing either"
        } else {
            "no keystore here forgets, so a copy made before the close still could"
        };
        self.narrator.say(&format!("3 profiles and the relay's store, opened and searched: nothing; {copied}."));
        let figure = format!("3 profiles opened and searched for {} phrases: {readable} found; {copied}", WORDS.len());
        let blind = !self.copy_showed_words || !holds_words(&self.out.join("transcript.txt"))?;
        let control = "a copy of Ben's profile, opened before the close, and the same search in this transcript";
        verdict.claim("profile_opens_nothing", readable == 0 && !stolen && !relay, figure, blind, control);
        Ok(())
    }

    // ---- what is looked at -------------------------------------------------------------------------------------------------------

    /// How many of the first devices show a room.
    fn rooms(&mut self, devices: usize) -> Result<usize> {
        let mut rooms = 0;
        for place in 0..devices {
            let seen = self.cast[place].ask(view(&self.talks[place].clone()))?;
            rooms += usize::from(!seen["room"].is_null());
        }
        Ok(rooms)
    }

    fn rosters(&mut self) -> Result<Vec<Roster>> {
        (0..3).map(|place| Ok(roster(&self.cast[place].ask(view(&self.talks[place].clone()))?))).collect()
    }

    pub(super) fn texts(&mut self) -> Result<Vec<String>> {
        (0..3).map(|place| Ok(text(&self.cast[place].ask(notes(&self.talks[place].clone()))?["text"]))).collect()
    }

    /// Whether Ada and Ben both have the receipt of a close.
    fn closed(&mut self) -> Result<bool> {
        let mut closed = true;
        for place in 0..2 {
            let receipts = self.cast[place].ask(json!({ "do": "receipts" }))?;
            closed &= receipt(&receipts, &self.talks[place]).is_some();
        }
        Ok(closed)
    }

    fn say_to_all(&mut self, place: usize, words: &str) -> Result<()> {
        self.cast[place].ask(json!({ "do": "say", "talk": self.talks[place], "text": words }))?;
        self.narrator.say(&format!("{} says: {words}", self.cast[place].name));
        Ok(())
    }

    pub(super) fn write(&mut self, place: usize, words: &str) -> Result<()> {
        let edits = json!([{ "splice": { "at": 0, "insert": words } }]);
        self.cast[place].ask(json!({ "do": "edit", "talk": self.talks[place], "edits": edits }))?;
        self.cast[place].ask(json!({ "do": "flush", "talk": self.talks[place] }))?;
        self.narrator.say(&format!("{} writes into the notes: {words}", self.cast[place].name));
        Ok(())
    }

    /// Opens a profile with everything switched off, and looks whether a word of the talk is shown.
    fn profile_shows_words(&self, profile: &str) -> Result<bool> {
        let mut thief = self.stage.start("a thief", profile, "off")?;
        thief.ask(json!({ "do": "offline", "transport": "relay" }))?;
        let talks = thief.ask(json!({ "do": "talks" }))?;
        let mut shown = talks.to_string();
        for talk in talks["talks"].as_array().into_iter().flatten() {
            shown += &thief.tell(notes(&text(&talk["talk"])))?.to_string();
        }
        thief.quit()?;
        Ok(WORDS.iter().any(|word| shown.contains(word)))
    }
}

/// Personas in the order of seats, and the words that everybody in the room sees alike.
type Roster = (Vec<String>, String);

fn roster(talk: &Value) -> Roster {
    let seats = talk["room"]["seats"].as_array().cloned().unwrap_or_default();
    (seats.iter().map(|seat| text(&seat["persona"])).collect(), text(&talk["room"]["fingerprint"]))
}

pub(super) fn view(talk: &str) -> Value {
    json!({ "do": "talk", "talk": talk })
}

pub(super) fn notes(talk: &str) -> Value {
    json!({ "do": "notes", "talk": talk })
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn lists(talks: &Value, talk: &str) -> bool {
    talks.as_array().is_some_and(|talks| talks.iter().any(|other| other["talk"] == talk))
}

fn receipt<'v>(answer: &'v Value, talk: &str) -> Option<&'v Value> {
    answer["receipts"].as_array()?.iter().find(|receipt| receipt["talk"] == talk)
}

/// Whether any file below this folder holds one of the talk's phrases.
pub(super) fn contains_words(folder: &Path) -> Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if if path.is_dir() { contains_words(&path)? } else { holds_words(&path)? } {
            return Ok(true);
        }
    }
    Ok(false)
}

fn holds_words(file: &Path) -> Result<bool> {
    Ok(holds_any_word(&fs::read(file)?))
}

pub(super) fn holds_any_word(bytes: &[u8]) -> bool {
    WORDS.iter().any(|word| bytes.windows(word.len()).any(|window| window == word.as_bytes()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
