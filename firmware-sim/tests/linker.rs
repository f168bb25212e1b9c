//! Nobody who watches knows which id follows which.

use alcove::proto::time::Duration;
use firmware_sim::linker::arena::play;
use firmware_sim::linker::attack::Linker;
use firmware_sim::linker::feature::{NEIGHBOUR, PASSIVE};
use firmware_sim::linker::{Setting, Weakness};

#[test]
fn explore() {
    let get = |name: &str, default: u64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default);
    let weakness = std::env::var("WEAK").ok().and_then(|name| Weakness::ALL.into_iter().find(|w| format!("{w:?}") == name));
    let setting = Setting {
        seed: get("SEED", 1),
        devices: get("DEVICES", 60) as usize,
        span: Duration::from_secs(60 * get("MINUTES", 120)),
        talks: get("TALKS", 3) as usize,
        weakness,
    };
    let started = std::time::Instant::now();
    let sightings = play(setting);
    println!("{setting:?} played in {:?}: {} ids, {} parcels", started.elapsed(), sightings.ids.len(), sightings.parcels.len());
    let all: Vec<_> = PASSIVE.into_iter().chain(NEIGHBOUR).collect();
    let gap = if weakness == Some(Weakness::NoGap) { Duration::ZERO } else { Linker::gap_min() };
    let mut linker = Linker::new(&sightings, &all, gap);
    let show = |name: String, v: firmware_sim::linker::attack::Verdict| {
        println!("{name:>12}: {} of {} ({:.1} by chance {:.3}): ratio {:.3} ± {:.3}", v.hits, v.decisions, v.expected, v.chance(), v.ratio(), v.spread());
    };
    for feature in &all {
        show(format!("{feature:?}"), linker.guess(&[*feature]));
    }
    show("passive".into(), linker.guess(&PASSIVE));
    show("neighbour".into(), linker.guess(&NEIGHBOUR));
    show("all".into(), linker.guess(&all));
    show("jointly none".into(), linker.guess_jointly(&[]));
    show("jointly all".into(), linker.guess_jointly(&all));
    println!("{:?}", started.elapsed());
}
