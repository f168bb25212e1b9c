//! A practice talk: an event of one's own on this device alone, and two companions who take seats, talk, write and agree to close. They
//! are attendees like any other, with profiles, links and keys of their own; only their owner is a script.
//!
//! Law: nothing of it leaves the device, and nothing stays when it is over.

use crate::app::headless::request::Failure;
use crate::app::start::{self, BluetoothChoice, LanChoice, Ways};
use crate::model::event::{EventPack, OrganizerKeys, SignedPack};
use crate::proto::id::TalkId;
use crate::proto::io::Event;
use crate::proto::node::Node;
use crate::proto::node::view::State;
use crate::proto::notes::Edit;
use crate::proto::rng::Rng;
use crate::shell::driver::{self, DriverHandle, Notice, Parts};
use crate::shell::keystore::Choice;
use jiff::tz::TimeZone;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc::Receiver;
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

/// Somebody who reads before they answer.
const THOUGHT: Duration = Duration::from_millis(1_200);

/// The folder of a practice, gone with it.
pub struct Practice {
    folder: PathBuf,
    pack: SignedPack,
}

/// What the two say, in the language of the screen.
struct Lines {
    hello: [&'static str; 2],
    note: [&'static str; 2],
    answer: [&'static str; 2],
}

const ENGLISH: Lines = Lines {
    hello: [
        "Hello. Nobody here knows who I am, and I do not know who you are.",
        "Hi. Write something in the notes: I see it as you type.",
    ],
    note: ["What we have learned\n", "- below the minimum there is no room, and no key to one\n"],
    answer: [
        "Close the talk when you have seen enough. We agree, and then it is gone everywhere.",
        "I have put a line into the notes.",
    ],
};
const GERMAN: Lines = Lines {
    hello: [
        "Hallo. Niemand hier weiß, wer ich bin, und ich weiß nicht, wer du bist.",
        "Hi. Schreib etwas in die Notizen: Ich sehe es, während du tippst.",
    ],
    note: ["Was wir gelernt haben\n", "- unter der Mindestzahl gibt es keinen Raum und keinen Schlüssel dazu\n"],
    answer: [
        "Schließ das Gespräch, wenn du genug gesehen hast. Wir stimmen zu, und dann ist es überall weg.",
        "Ich habe eine Zeile in die Notizen geschrieben.",
    ],
};

impl Practice {
    /// An event for today and tomorrow, whose organizer's keys nobody keeps.
    ///
    /// # Errors
    /// No randomness, or no place for its folder.
    pub fn new(name: &str, place: &str) -> Result<Practice, Failure> {
        let mut rng = Rng::new(start::entropy()?);
        let keys = OrganizerKeys::new(&mut rng);
        let today = jiff::Zoned::now().with_time_zone(TimeZone::UTC).date();
        let pack = today.tomorrow().ok().and_then(|tomorrow| EventPack::bare(name, today, tomorrow, &TimeZone::UTC, &keys));
        let pack = pack.ok_or_else(|| Failure::new("failed", "this device's clock is far off"))?;
        let pack = EventPack { place: place.into(), ..pack };
        let pack = SignedPack::sign(pack, &keys).map_err(|error| Failure::new("failed", error))?;
        let name: String = rng.bytes::<8>().iter().map(|byte| format!("{byte:02x}")).collect();
        let folder = std::env::temp_dir().join(format!("alcove-practice-{name}"));
        std::fs::create_dir(&folder).map_err(|error| Failure::new("profile-access", format!("{}: {error}", folder.display())))?;
        Ok(Practice { folder, pack })
    }

    /// A node of this event, at home on this device alone.
    ///
    /// # Errors
    /// As [`start::open`].
    pub fn open(&self, who: &str) -> Result<(Parts, start::Found), Failure> {
        let ways = Ways {
            keystore: Choice::Auto,
            lan: LanChoice::Loopback,
            bluetooth: BluetoothChoice::Off,
            adapter: None,
            bind: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            mdns_port: 5353,
        };
        let (mut parts, found) = start::open(&self.folder.join(who), &ways)?;
        parts.node.join_event(&self.pack)?;
        Ok((parts, found))
    }

    /// Starts the two companions, within a Tokio runtime.
    ///
    /// # Errors
    /// As [`start::open`].
    pub fn companions(&self, language: &str) -> Result<Vec<JoinHandle<()>>, Failure> {
        let lines = if language == "de" { &GERMAN } else { &ENGLISH };
        ["first", "second"]
            .into_iter()
            .enumerate()
            .map(|(number, who)| {
                let (parts, _) = self.open(who)?;
                let (driver, notices) = driver::start(parts);
                Ok(tokio::spawn(play(driver, notices, number, lines)))
            })
            .collect()
    }

    /// Where it all lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Practice {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.folder);
    }
}

/// One companion's life: takes a seat wherever there is one, says its lines, writes its line, and agrees to close.
async fn play(driver: DriverHandle, mut notices: Receiver<Notice>, number: usize, lines: &'static Lines) {
    let mut has_answered = false;
    while let Some(notice) = notices.recv().await {
        let Notice::Node(event) = notice else { continue };
        let done = match event {
            Event::BoardChanged => {
                sleep(THOUGHT).await;
                driver.change(take_a_seat).await
            }
            Event::TalkOpened(talk) => {
                sleep(THOUGHT * (1 + number as u32)).await;
                driver.change(move |node| greet(node, talk, number, lines)).await
            }
            Event::Said(talk) | Event::NotesChanged(talk) if !has_answered => {
                let heard = driver.view(move |node, _| has_spoken(node, talk)).await;
                if !matches!(heard, Ok(true)) {
                    continue;
                }
                has_answered = true;
                sleep(THOUGHT * (2 - number as u32)).await;
                driver.change(move |node| answer(node, talk, number, lines)).await
            }
            Event::TalkChanged(talk) => {
                let is_closing = driver.view(move |node, _| node.talk(talk).is_some_and(|talk| talk.state == State::Closing)).await;
                if !matches!(is_closing, Ok(true)) {
                    continue;
                }
                sleep(THOUGHT).await;
                driver.change(move |node| node.close(talk).unwrap_or_default()).await
            }
            _ => continue,
        };
        if done.is_err() {
            return;
        }
    }
}

/// In the first talk that is not its own.
fn take_a_seat(node: &mut Node) {
    if node.talks().is_empty()
        && let Some(card) = node.board().first()
    {
        let _refused = node.take_seat(card.card);
    }
}

fn greet(node: &mut Node, talk: TalkId, number: usize, lines: &Lines) {
    let _refused = node.say(talk, lines.hello[number]);
}

/// Whether anybody but the companions has: whoever hosts the talk is the first seat.
fn has_spoken(node: &Node, talk: TalkId) -> bool {
    let Some(room) = node.talk(talk).and_then(|talk| talk.room) else { return false };
    let wrote = node.notes(talk).is_some_and(|notes| !notes.notes.text.is_empty());
    wrote || room.messages.iter().any(|message| message.seat == 0)
}

fn answer(node: &mut Node, talk: TalkId, number: usize, lines: &Lines) {
    let end = node.notes(talk).map_or(0, |notes| notes.notes.text.chars().count());
    let _refused = node.say(talk, lines.answer[number]);
    let line = if number == 0 && end > 0 { format!("\n{}", lines.note[number]) } else { lines.note[number].to_owned() };
    let _refused = node.edit(talk, &[Edit::Splice { at: end, delete: 0, insert: line }]);
}
