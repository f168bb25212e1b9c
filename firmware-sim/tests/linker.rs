//! Nobody who watches knows which id follows which.
//!
//! `cargo test` tries the linker on ids that were drawn by hand. A hall of real nodes takes minutes: CI plays one of a hundred in a
//! release build (`cargo test --release --workspace --test linker -- --ignored --nocapture`), with a line for each thing that the linker
//! looks at; `ALCOVE_LINKER=200 ALCOVE_LINKER_MINUTES=480` makes it one of two hundred for eight hours.

use alcove::proto::config::{ROTATION_MAX, ROTATION_MIN, SILENT_GAP_MAX, SILENT_GAP_MIN};
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant};
use firmware_sim::failure::number;
use firmware_sim::linker::Setting;
use firmware_sim::linker::arena::play;
use firmware_sim::linker::attack::{Linker, Verdict};
use firmware_sim::linker::feature::{Feature, NEIGHBOUR, PASSIVE};
use firmware_sim::linker::sighting::{Sighted, Sightings};
use firmware_sim::linker::weakness::Weakness;

/// How much better than chance the linker may be.
const RATIO_MAX: f64 = 1.2;

fn show(name: &str, verdict: Verdict) {
    let Verdict { hits, decisions, expected, .. } = verdict;
    let (ratio, spread) = (verdict.ratio(), verdict.spread());
    eprintln!("{name:>14}: {hits} of {decisions}, {expected:.1} by chance: {ratio:.3} ± {spread:.3}");
}

/// What was measured, as far as so few decisions can tell: it may be so much better or worse by luck.
fn doubt(verdict: &Verdict) -> f64 {
    2.0 * verdict.spread()
}

/// What is found with one protection less.
fn without(weakness: Weakness, sightings: &Sightings, features: &[Feature]) -> Verdict {
    let verdict = Linker::new(&weakness.of(sightings), features).guess(features);
    show(&format!("{weakness:?}"), verdict);
    verdict
}

#[test]
#[ignore = "a hall of real nodes takes minutes in a release build: CI plays it"]
fn nobody_who_watches_knows_which_id_follows_which_and_each_protection_is_needed_for_it() {
    let devices = number("ALCOVE_LINKER").unwrap_or(100) as usize;
    let minutes = number("ALCOVE_LINKER_MINUTES").unwrap_or(90);
    let seed = number("ALCOVE_SEED").unwrap_or(1);
    let setting = Setting { seed, devices, span: Duration::from_secs(60 * minutes), talks: devices / 25 + 1 };
    let sightings = play(setting);
    eprintln!("{setting:?}: {} ids, {} parcels", sightings.ids.len(), sightings.parcels.len());
    let all: Vec<Feature> = PASSIVE.into_iter().chain(NEIGHBOUR).collect();
    let mut linker = Linker::new(&sightings, &all);
    for feature in &all {
        show(&format!("{feature:?}"), linker.guess(&[*feature]));
    }
    let verdict = linker.guess(&all);
    show("all", verdict);
    show("all, jointly", linker.guess_jointly(&all));
    let weak = Weakness::ALL.map(|weakness| (weakness, without(weakness, &sightings, &all)));
    assert!(verdict.ratio() <= RATIO_MAX + doubt(&verdict), "all together: {verdict:?}");
    // A kept silence is faint among so few: it is found in ids drawn by hand.
    for (weakness, weak) in weak.into_iter().filter(|(weakness, _)| *weakness != Weakness::GapKept) {
        assert!(weak.ratio() > RATIO_MAX && weak.ratio() > verdict.ratio() + doubt(&weak), "{weakness:?}: {weak:?}");
    }
}

/// A hundred devices for four hours, each id drawn for itself, and nothing else to be seen of them.
fn drawn() -> Sightings {
    let (mut sightings, rng) = (Sightings::default(), &mut Rng::new([3; 32]));
    for device in 0..100 {
        let mut began = Instant(0) + rng.between(Duration::ZERO, Duration::from_secs(900));
        while began < Instant(0) + Duration::from_secs(4 * 3_600) {
            let life = rng.between(ROTATION_MIN, ROTATION_MAX);
            let (address, id, hint) = (rng.bytes(), rng.bytes(), rng.bytes());
            let interval = Duration::from_secs(1) + rng.between(Duration::ZERO, Duration::from_micros(200));
            let ended = Some(began + life);
            sightings.ids.push(Sighted { device, began, ended, life, address, id, hint, interval, ..Sighted::default() });
            began = began + life + rng.between(SILENT_GAP_MIN, SILENT_GAP_MAX);
        }
    }
    sightings.ids.sort_by_key(|id| id.began);
    sightings
}

#[test]
fn ids_that_are_drawn_each_for_itself_are_linked_as_often_as_chance_does_and_what_a_device_keeps_is_found() {
    let sightings = drawn();
    let verdict = Linker::new(&sightings, &PASSIVE).guess(&PASSIVE);
    show("drawn", verdict);
    assert!(verdict.decisions > 500 && verdict.ratio() <= RATIO_MAX, "{verdict:?}");
    // Nobody brings anything here, over whatever links.
    let brings = |weakness: &Weakness| matches!(weakness, Weakness::LinksKept | Weakness::HopsKept | Weakness::SizeKept);
    for weakness in Weakness::ALL.into_iter().filter(|weakness| !brings(weakness)) {
        let weak = without(weakness, &sightings, &PASSIVE);
        assert!(weak.ratio() > RATIO_MAX + doubt(&weak), "{weakness:?}: {weak:?}");
    }
}

#[test]
fn one_seed_gives_one_play() {
    let setting = Setting { seed: 7, devices: 8, span: Duration::from_secs(25 * 60), talks: 1 };
    let outline = || {
        let seen = play(setting);
        let ids: Vec<_> = seen.ids.iter().map(|id| (id.device, id.began, id.ended, id.id, id.sent.clone())).collect();
        (ids, seen.parcels.len())
    };
    assert_eq!(outline(), outline());
}
