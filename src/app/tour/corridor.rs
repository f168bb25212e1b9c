//! The act without any network: the phones' real Bluetooth stack on a simulated radio, and somebody between them who knows nothing.

use super::story::{NOTE, NOTE_IN_CORRIDOR, NOTE_IN_TUNNEL, Play, contains_words, holds_any_word, notes, text, view};
use super::verdict::Verdict;
use crate::proto::config::{ADVERT_BYTES, CELL_BYTES};
use crate::proto::wire::advert::{Advert, SERVICE_UUID};
use anyhow::{Context, Result};
use radio::{Facade, Kind, Options};
use serde_json::{Value, json};
use std::time::Instant;
use tokio::runtime::Runtime;

/// Everybody with a phone in the corridor, by the number of the phone.
const PEOPLE: [&str; 4] = ["Ada", "Ben", "Cleo", "Dora"];
/// With this seed twenty metres are heard and forty are not.
const SEED: u64 = 2;
/// The flags in an advert, with their length and type.
const FLAGS_BYTES: usize = 3;
/// Where they stand, in metres: Ada and Ben together, Cleo out of their reach, Dora between them.
const PLACES: [f64; 4] = [0.0, 1.0, 40.0, 20.0];
/// Where nobody is heard.
const FAR_AWAY: f64 = 5_000.0;

/// The simulated radio.
pub struct Corridor {
    facade: Facade,
    /// Where it runs.
    _runtime: Runtime,
}

impl Corridor {
    /// Everybody is far from everybody.
    ///
    /// # Errors
    /// Without `dbus-daemon`.
    pub fn open() -> Result<Corridor> {
        let runtime = Runtime::new()?;
        let options = Options { phones: PEOPLE.len(), seed: SEED, ..Options::default() };
        let facade = runtime
            .block_on(Facade::start(options))
            .context("the simulated radio does not start: is dbus-daemon installed (Debian's package dbus-daemon)?")?;
        let corridor = Corridor { facade, _runtime: runtime };
        (0..PEOPLE.len()).for_each(|phone| corridor.send_away(phone));
        Ok(corridor)
    }

    /// The system bus of somebody's phone; nobody else has one.
    pub fn bus(&self, name: &str) -> Option<String> {
        let phone = PEOPLE.iter().position(|other| *other == name)?;
        Some(self.facade.phone(phone).bus_address())
    }

    /// Takes a phone out of everybody's reach.
    fn send_away(&self, phone: usize) {
        self.facade.phone(phone).place(FAR_AWAY * (1.0 + phone as f64), 0.0);
    }

    fn gather(&self) {
        PLACES.iter().enumerate().for_each(|(phone, x)| self.facade.phone(phone).place(*x, 0.0));
    }

    /// What went over the air: every advert, and every value that a phone wrote or notified.
    fn on_the_air(&self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (mut adverts, mut values) = (Vec::new(), Vec::new());
        for record in self.facade.capture() {
            match record.kind {
                Kind::Advert => adverts.push(record.bytes),
                Kind::Write | Kind::WriteCommand | Kind::Notify => values.push(record.bytes),
                Kind::ScanResponse | Kind::Connect | Kind::Disconnect | Kind::Read => {}
            }
        }
        (adverts, values)
    }
}

/// Everybody is in the corridor, with Bluetooth alone; at its end Cleo goes, and Ada and Ben stay together.
pub fn play(play: &mut Play<'_>, verdict: &mut Verdict) -> Result<()> {
    play.narrator.act("The corridor: no network at all, Bluetooth alone");
    for attendee in &mut play.cast {
        attendee.ask(json!({ "do": "offline", "transport": "lan" }))?;
    }
    let mut dora = play.stage.start("Dora", "Dora", "off")?;
    dora.ask(json!({ "do": "join-event", "file": play.stage.folder.join("event.alcove") }))?;
    dora.ask(json!({ "do": "offline", "transport": "relay" }))?;
    play.write(0, NOTE_IN_CORRIDOR)?;
    let apart = play.texts()?;
    play.stage.corridor.gather();
    let began = Instant::now();
    for attendee in &mut play.cast {
        attendee.ask(json!({ "do": "online", "transport": "bluetooth" }))?;
    }
    play.narrator.say("The Wi-Fi is gone, too. Ada and Ben stand together, Cleo forty metres away, out of their radio's reach.");
    play.narrator.say("Between them stands Dora: of the same event, and in no talk.");

    let expected = format!("{NOTE_IN_CORRIDOR}{NOTE_IN_TUNNEL}{NOTE}");
    for place in 0..3 {
        play.cast[place].until("Ada's note", notes(&play.talks[place].clone()), |notes| notes["text"] == *expected)?;
    }
    let took = began.elapsed().as_secs_f32();
    let together = play.texts()?;
    play.narrator.say(&format!("Cleo reads what Ada wrote, through Dora's phone, {took:.0} s after Bluetooth was switched on."));
    let same = |texts: &[String]| texts.iter().all(|other| *other == texts[0]);
    let figure = format!("the same notes on 3 devices, {took:.1} s after Bluetooth was switched on, with neither LAN nor relay");
    verdict.claim("bluetooth_carries", same(&together), figure, same(&apart), "the same comparison while it was off");

    let is_known = |near: &Value| !members(near).is_empty();
    let near = play.cast[0].until("Ben near", json!({ "do": "nearby" }), is_known)?;
    let seen_by_dora = dora.ask(json!({ "do": "nearby" }))?;
    play.narrator.say(&format!("Ada's phone: {} of her talk is near.", members(&near).join(" and ")));
    play.narrator.say(&format!("Dora's phone: {} people are near, and it knows none of them.", people(&seen_by_dora)));
    let figure = format!("Ada's phone knows {}, Dora's counts {} people", members(&near).join(" and "), people(&seen_by_dora));
    let blind = people(&seen_by_dora) == 0 || is_known(&seen_by_dora);
    verdict.claim("members_near", is_known(&near), figure, blind, "the phone of somebody who is in no talk, and hears them");

    play.narrator.say("Cleo has a train to catch.");
    play.cast[2].ask(json!({ "do": "leave-table", "talk": play.talks[2] }))?;
    play.cast[0].until("Cleo gone", view(&play.talks[0].clone()), |talk| talk["room"]["resting"] == false)?;
    play.cast[2].ask(json!({ "do": "offline", "transport": "bluetooth" }))?;
    play.stage.corridor.send_away(2);
    dora.quit()?;
    check_the_air(play, verdict)
}

fn check_the_air(play: &mut Play<'_>, verdict: &mut Verdict) -> Result<()> {
    let (adverts, values) = play.stage.corridor.on_the_air();
    let are_ours = |adverts: &[Vec<u8>]| !adverts.is_empty() && adverts.iter().all(|advert| is_ours(advert));
    let are_cells = |values: &[Vec<u8>]| !values.is_empty() && values.iter().all(|value| is_cell(value.len()));
    let unsealed: Vec<_> = [NOTE, NOTE_IN_TUNNEL, NOTE_IN_CORRIDOR].iter().map(|note| note.as_bytes().to_vec()).collect();
    let figure = format!(
        "{} adverts with {ADVERT_BYTES} bytes of ours and no more, {} values of a cell or half of one",
        adverts.len(),
        values.len()
    );
    play.narrator.say(&format!("On the air: {figure}."));
    let holds = are_ours(&adverts) && are_cells(&values);
    verdict.claim("bluetooth_sizes", holds, figure, are_cells(&unsealed), "the sizes of the same notes unsealed");

    let readable = |pieces: &[Vec<u8>]| holds_any_word(&pieces.concat());
    let at_dora = contains_words(&play.stage.profile("Dora"))?;
    let figure = format!("0 of the talk's phrases in {} values and on the disk of the phone between them", values.len());
    let control = readable(&unsealed);
    verdict.claim("bluetooth_blind", !readable(&values) && !at_dora, figure, !control, "the same search in the notes unsealed");
    Ok(())
}

/// Flags, and our service's data (Bluetooth Core Specification Supplement 12, part A): nothing before, between or behind.
fn is_ours(advert: &[u8]) -> bool {
    let service = SERVICE_UUID.to_le_bytes();
    let Some((head, data)) = advert.split_last_chunk::<ADVERT_BYTES>() else { return false };
    head.len() == FLAGS_BYTES + 2 + service.len() && head.ends_with(&service) && Advert::from_bytes(data).is_some()
}

fn is_cell(bytes: usize) -> bool {
    bytes == CELL_BYTES || bytes == CELL_BYTES / 2
}

fn members(near: &Value) -> Vec<String> {
    near["members"].as_array().into_iter().flatten().map(|member| text(&member["persona"])).collect()
}

fn people(near: &Value) -> u64 {
    near["attendees"].as_object().into_iter().flat_map(|bands| bands.values()).filter_map(Value::as_u64).sum()
}
