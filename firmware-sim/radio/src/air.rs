//! The simulated air: who hears which advertisement, and which connections still hold.
//!
//! Laws: the same seed, the same calls and the same times give the same events; time only enters as an argument
//! (microseconds since the start); nobody hears a phone that is out of range or switched off.
//! Not modelled: capture effect, half duplex, channel maps, walls. Scanners listen all the time, as BlueZ's do
//! while it discovers.

use std::collections::BTreeMap;

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

/// Mean signal at one metre: a phone at 0 dBm.
pub const RSSI_AT_1_M_DBM: f64 = -59.0;
/// Path-loss exponent of a furnished hall: free space has 2.0, a corridor full of people about 3.
pub const PATH_LOSS_EXPONENT: f64 = 2.2;
/// Standard deviation of the shadowing of one pair of phones, drawn once from the seed and cut at two of these.
pub const SHADOWING_DB: f64 = 3.0;
/// Largest change of one reading around the pair's mean: bodies and hands move.
pub const FADING_DB: f64 = 3.0;
/// Weakest mean signal that is received: common for LE 1M receivers.
pub const SENSITIVITY_DBM: f64 = -90.0;
/// Nobody is heard from further away, however kind the shadowing.
pub const RANGE_LIMIT_M: f64 = 50.0;
/// A connection that hears nothing for so long is lost. BlueZ's default: 420 ms.
pub const SUPERVISION_TIMEOUT_US: u64 = 420_000;
/// Largest pseudo-random advDelay (Core Vol 6 Part B 4.4.2.2).
pub const ADV_DELAY_MAX_US: u64 = 10_000;

/// A phone, by its place in the order in which they were added.
pub type PhoneId = usize;

/// One advertising instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AdvertId(u64);

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinkId(u64);

/// What the air does at a point in time.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// An advertising event took place; `heard` lists the phones that received it.
    Advert { advert: AdvertId, phone: PhoneId, heard: Vec<Heard> },
    /// The ends of a connection did not hear each other for the supervision timeout. It is closed.
    LinkLost { link: LinkId },
}

/// A phone that received an advertisement, and how strongly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub phone: PhoneId,
    pub rssi_dbm: i16,
}

/// The space between the phones.
#[derive(Debug)]
pub struct Air {
    seed: u64,
    rng: ChaCha8Rng,
    phones: Vec<Station>,
    adverts: BTreeMap<AdvertId, Advertising>,
    links: BTreeMap<LinkId, Span>,
    loss_percent: u8,
    next_id: u64,
    /// Shadowing of each pair, `[later phone][earlier phone]`.
    shadowing_db: Vec<Vec<f64>>,
    /// What each phone hears of all advertisers; empty after a change, until it is needed again.
    crowds: Vec<Crowd>,
}

/// The advertising that one phone hears.
#[derive(Clone, Copy, Debug, Default)]
struct Crowd {
    packets_per_us: f64,
    /// Share of the time that they fill.
    busy: f64,
}

#[derive(Clone, Copy, Debug)]
struct Station {
    x_m: f64,
    y_m: f64,
    radio_on: bool,
}

#[derive(Debug)]
struct Advertising {
    phone: PhoneId,
    interval_us: u64,
    airtime_us: u64,
    next_us: u64,
}

#[derive(Debug)]
struct Span {
    ends: [PhoneId; 2],
    /// Set while the ends do not hear each other.
    lost_at_us: Option<u64>,
}

impl Advertising {
    /// One packet per event on the channel that a scanner listens to.
    fn packets_per_us(&self) -> f64 {
        1.0 / (self.interval_us + ADV_DELAY_MAX_US / 2) as f64
    }
}

impl Air {
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rng: ChaCha8Rng::seed_from_u64(seed),
            phones: Vec::new(),
            adverts: BTreeMap::new(),
            links: BTreeMap::new(),
            loss_percent: 0,
            next_id: 0,
            shadowing_db: Vec::new(),
            crowds: Vec::new(),
        }
    }

    /// Adds a phone at a place in metres, its radio on.
    pub fn add_phone(&mut self, x_m: f64, y_m: f64) -> PhoneId {
        let phone = self.phones.len();
        self.shadowing_db.push((0..phone).map(|earlier| shadowing_db(self.seed, earlier, phone)).collect());
        self.phones.push(Station { x_m, y_m, radio_on: true });
        self.crowds.clear();
        phone
    }

    pub fn place(&mut self, now_us: u64, phone: PhoneId, x_m: f64, y_m: f64) {
        self.phones[phone] = Station { x_m, y_m, ..self.phones[phone] };
        self.supervise(now_us);
    }

    /// A phone with its radio off neither sends nor receives; its connections are lost like those out of range.
    pub fn set_radio(&mut self, now_us: u64, phone: PhoneId, on: bool) {
        self.phones[phone].radio_on = on;
        self.supervise(now_us);
    }

    pub fn radio_is_on(&self, phone: PhoneId) -> bool {
        self.phones[phone].radio_on
    }

    /// Share of packets lost on top of range and collisions, 0 to 100. At 100 no connection survives either.
    pub fn set_loss_percent(&mut self, now_us: u64, percent: u8) {
        self.loss_percent = percent.min(100);
        self.supervise(now_us);
    }

    pub fn loss_percent(&self) -> u8 {
        self.loss_percent
    }

    /// Mean signal between two different phones in dBm: log-distance path loss with this pair's shadowing, the same
    /// both ways.
    pub fn mean_rssi_dbm(&self, a: PhoneId, b: PhoneId) -> f64 {
        RSSI_AT_1_M_DBM - 10.0 * PATH_LOSS_EXPONENT * self.distance_m(a, b).max(0.1).log10() + self.shadowing_db[a.max(b)][a.min(b)]
    }

    pub fn in_range(&self, a: PhoneId, b: PhoneId) -> bool {
        self.phones[a].radio_on
            && self.phones[b].radio_on
            && self.distance_m(a, b) <= RANGE_LIMIT_M
            && self.mean_rssi_dbm(a, b) >= SENSITIVITY_DBM
    }

    /// Begins to advertise `data_bytes` (0 to 31) of AdvData every `interval_us` plus 0 to 10 ms of advDelay.
    pub fn start_advertising(&mut self, now_us: u64, phone: PhoneId, interval_us: u64, data_bytes: usize) -> AdvertId {
        let advert = AdvertId(self.fresh_id());
        let next_us = now_us + self.adv_delay_us();
        self.crowds.clear();
        self.adverts.insert(advert, Advertising { phone, interval_us, airtime_us: airtime_us(data_bytes), next_us });
        advert
    }

    pub fn stop_advertising(&mut self, advert: AdvertId) {
        self.crowds.clear();
        self.adverts.remove(&advert);
    }

    /// Opens a connection between two phones, or `None` when they do not hear each other.
    pub fn open_link(&mut self, a: PhoneId, b: PhoneId) -> Option<LinkId> {
        self.in_range(a, b).then(|| {
            let link = LinkId(self.fresh_id());
            self.links.insert(link, Span { ends: [a, b], lost_at_us: None });
            link
        })
    }

    pub fn close_link(&mut self, link: LinkId) {
        self.links.remove(&link);
    }

    /// When [`Self::handle_timeout`] next has something to do.
    pub fn poll_timeout(&self) -> Option<u64> {
        let adverts = self.adverts.values().map(|advert| advert.next_us);
        let links = self.links.values().filter_map(|span| span.lost_at_us);
        adverts.chain(links).min()
    }

    /// Everything that is due, in the order of time; what is overdue happens once.
    pub fn handle_timeout(&mut self, now_us: u64) -> Vec<Event> {
        let lost = self.links.iter().filter_map(|(link, span)| Some((span.lost_at_us?, *link)));
        let lost: Vec<_> = lost.filter(|(at, _)| *at <= now_us).collect();
        let due = self.adverts.iter().map(|(advert, state)| (state.next_us, *advert));
        let mut due: Vec<_> = due.filter(|(at, _)| *at <= now_us).collect();
        due.sort();
        let mut events = Vec::new();
        for (_, link) in lost {
            self.links.remove(&link);
            events.push(Event::LinkLost { link });
        }
        for (_, advert) in due {
            let delay_us = self.adv_delay_us();
            let Some(state) = self.adverts.get_mut(&advert) else { continue };
            state.next_us = now_us + state.interval_us + delay_us;
            let phone = state.phone;
            events.push(Event::Advert { advert, phone, heard: self.hearers(advert, phone) });
        }
        events
    }

    fn hearers(&mut self, advert: AdvertId, from: PhoneId) -> Vec<Heard> {
        if self.crowds.is_empty() {
            self.crowds = (0..self.phones.len()).map(|phone| self.crowd_around(phone)).collect();
        }
        let mut heard = Vec::new();
        for phone in 0..self.phones.len() {
            if phone == from || !self.in_range(from, phone) {
                continue;
            }
            let lost = self.chance() * 100.0 < f64::from(self.loss_percent);
            let clean = self.chance() < self.clean_share(advert, phone);
            let fading_db = (self.chance() * 2.0 - 1.0) * FADING_DB;
            if !lost && clean {
                heard.push(Heard { phone, rssi_dbm: (self.mean_rssi_dbm(from, phone) + fading_db).round() as i16 });
            }
        }
        heard
    }

    fn crowd_around(&self, listener: PhoneId) -> Crowd {
        let audible = self.adverts.values().filter(|advert| advert.phone != listener && self.in_range(advert.phone, listener));
        audible.fold(Crowd::default(), |crowd, advert| Crowd {
            packets_per_us: crowd.packets_per_us + advert.packets_per_us(),
            busy: crowd.busy + advert.packets_per_us() * advert.airtime_us as f64,
        })
    }

    /// The share of an advert's events that a phone in range receives undisturbed: with N alike advertisers in its
    /// range, `exp(-2a(N-1) / (T + 5 ms))` for airtime `a` and interval `T` (unslotted ALOHA, one of three channels).
    fn clean_share(&self, advert: AdvertId, listener: PhoneId) -> f64 {
        let (Some(own), Some(crowd)) = (self.adverts.get(&advert), self.crowds.get(listener)) else { return 1.0 };
        // A packet of another phone destroys ours when it begins within its own airtime before ours, or within ours.
        let airtime_us = own.airtime_us as f64;
        let others = Crowd {
            packets_per_us: crowd.packets_per_us - own.packets_per_us(),
            busy: crowd.busy - own.packets_per_us() * airtime_us,
        };
        (-(airtime_us * others.packets_per_us + others.busy)).exp().min(1.0)
    }

    /// Starts or stops the supervision timer of each connection, after anything that changes who hears whom.
    fn supervise(&mut self, now_us: u64) {
        self.crowds.clear();
        let mut links = std::mem::take(&mut self.links);
        for span in links.values_mut() {
            let hold = self.loss_percent < 100 && self.in_range(span.ends[0], span.ends[1]);
            span.lost_at_us = match (hold, span.lost_at_us) {
                (true, _) => None,
                (false, running @ Some(_)) => running,
                (false, None) => Some(now_us + SUPERVISION_TIMEOUT_US),
            };
        }
        self.links = links;
    }

    fn distance_m(&self, a: PhoneId, b: PhoneId) -> f64 {
        let (a, b) = (self.phones[a], self.phones[b]);
        (a.x_m - b.x_m).hypot(a.y_m - b.y_m)
    }

    fn adv_delay_us(&mut self) -> u64 {
        self.rng.next_u64() % (ADV_DELAY_MAX_US + 1)
    }

    fn chance(&mut self) -> f64 {
        uniform(&mut self.rng)
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Airtime of one legacy advertising packet on LE 1M: 128 us when empty, 376 us when full.
pub fn airtime_us(data_bytes: usize) -> u64 {
    (16 + data_bytes.min(31) as u64) * 8
}

/// A draw from 0 up to, not including, 1.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    f64::from(rng.next_u32()) / (f64::from(u32::MAX) + 1.0)
}

/// What people and pillars between two phones take away, drawn from the seed and the pair alone.
fn shadowing_db(seed: u64, a: PhoneId, b: PhoneId) -> f64 {
    let pair = ((a.min(b) as u64) << 32) | a.max(b) as u64;
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ pair.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    // Twelve uniform draws less six are close to a normal draw.
    let normal = (0..12).map(|_| uniform(&mut rng)).sum::<f64>() - 6.0;
    normal.clamp(-2.0, 2.0) * SHADOWING_DB
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the air for so long and counts, for each listener, the adverts it heard.
    fn run(air: &mut Air, until_us: u64, mut on: impl FnMut(u64, Event)) {
        while let Some(at) = air.poll_timeout().filter(|at| *at <= until_us) {
            air.handle_timeout(at).into_iter().for_each(|event| on(at, event));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let story = |seed| {
            let mut air = Air::new(seed);
            for n in 0..4 {
                air.add_phone(f64::from(n) * 6.0, 0.0);
            }
            air.set_loss_percent(0, 20);
            air.start_advertising(0, 0, 100_000, 31);
            air.start_advertising(0, 1, 100_000, 31);
            let mut events = Vec::new();
            run(&mut air, 5_000_000, |at, event| events.push((at, event)));
            events
        };
        assert_eq!(story(3), story(3));
        assert_ne!(story(3), story(4));
    }

    #[test]
    fn the_signal_falls_with_distance_and_is_the_same_both_ways() {
        let mut air = Air::new(1);
        let (a, b) = (air.add_phone(0.0, 0.0), air.add_phone(1.0, 0.0));
        let near = air.mean_rssi_dbm(a, b);
        air.place(0, b, 10.0, 0.0);
        assert!((near - air.mean_rssi_dbm(a, b) - 22.0).abs() < 1e-9);
        assert_eq!(air.mean_rssi_dbm(a, b), air.mean_rssi_dbm(b, a));
        assert!((near - RSSI_AT_1_M_DBM).abs() <= 2.0 * SHADOWING_DB);
    }

    #[test]
    fn nobody_is_heard_from_out_of_range_or_with_the_radio_off() {
        let mut air = Air::new(1);
        let (a, b) = (air.add_phone(0.0, 0.0), air.add_phone(RANGE_LIMIT_M + 1.0, 0.0));
        air.start_advertising(0, a, 100_000, 31);
        let mut heard = 0;
        let mut count = |_, event| {
            if let Event::Advert { heard: phones, .. } = event {
                heard += phones.len();
            }
        };
        run(&mut air, 1_000_000, &mut count);
        air.place(1_000_000, b, 2.0, 0.0);
        air.set_radio(1_000_000, b, false);
        run(&mut air, 2_000_000, &mut count);
        assert_eq!(heard, 0);
        air.set_radio(2_000_000, b, true);
        run(&mut air, 3_000_000, |_, event| heard += usize::from(matches!(event, Event::Advert { heard, .. } if heard.len() == 1)));
        assert!(heard >= 8);
    }

    #[test]
    fn adverts_follow_the_interval_and_the_random_delay() {
        let mut air = Air::new(5);
        let a = air.add_phone(0.0, 0.0);
        air.start_advertising(0, a, 100_000, 31);
        let mut times = Vec::new();
        run(&mut air, 60_000_000, |at, _| times.push(at));
        let gaps: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (100_000..=110_000).contains(gap)));
        let mean = gaps.iter().sum::<u64>() as f64 / gaps.len() as f64;
        assert!((mean - 105_000.0).abs() < 500.0, "{mean}");
    }

    #[test]
    fn the_share_of_clean_adverts_matches_the_closed_form() {
        let advertisers = 100;
        let mut air = Air::new(9);
        let listener = air.add_phone(0.0, 0.0);
        for n in 0..advertisers {
            let phone = air.add_phone(1.0 + f64::from(n % 10) * 0.2, f64::from(n / 10) * 0.2);
            air.start_advertising(0, phone, 100_000, 31);
        }
        let (mut sent, mut heard) = (0.0, 0.0);
        run(&mut air, 10_000_000, |_, event| {
            if let Event::Advert { heard: phones, .. } = event {
                sent += 1.0;
                heard += f64::from(u8::from(phones.iter().any(|one| one.phone == listener)));
            }
        });
        let expected = (-2.0 * 376.0 * (f64::from(advertisers) - 1.0) / 105_000.0_f64).exp();
        assert!((heard / sent / expected - 1.0).abs() < 0.04, "{} against {expected}", heard / sent);
    }

    #[test]
    fn loss_takes_its_share_of_the_adverts() {
        let mut air = Air::new(2);
        let a = air.add_phone(0.0, 0.0);
        air.add_phone(2.0, 0.0);
        air.set_loss_percent(0, 30);
        air.start_advertising(0, a, 20_000, 10);
        let (mut sent, mut heard) = (0.0, 0.0);
        run(&mut air, 60_000_000, |_, event| {
            if let Event::Advert { heard: phones, .. } = event {
                sent += 1.0;
                heard += phones.len() as f64;
            }
        });
        assert!((heard / sent - 0.7_f64).abs() < 0.03, "{}", heard / sent);
    }

    #[test]
    fn a_connection_out_of_range_is_lost_after_the_supervision_timeout() {
        let mut air = Air::new(1);
        let (a, b) = (air.add_phone(0.0, 0.0), air.add_phone(2.0, 0.0));
        let link = air.open_link(a, b).expect("in range");
        assert_eq!(air.poll_timeout(), None);
        air.place(1_000, b, 500.0, 0.0);
        air.place(2_000, b, 600.0, 0.0);
        assert_eq!(air.poll_timeout(), Some(1_000 + SUPERVISION_TIMEOUT_US));
        assert_eq!(air.handle_timeout(1_000 + SUPERVISION_TIMEOUT_US), [Event::LinkLost { link }]);
        assert_eq!(air.open_link(a, b), None);
    }

    #[test]
    fn a_connection_that_comes_back_in_time_holds() {
        let mut air = Air::new(1);
        let (a, b) = (air.add_phone(0.0, 0.0), air.add_phone(2.0, 0.0));
        air.open_link(a, b).expect("in range");
        air.place(0, b, 500.0, 0.0);
        air.place(SUPERVISION_TIMEOUT_US - 1, b, 2.0, 0.0);
        assert_eq!(air.poll_timeout(), None);
    }
}
