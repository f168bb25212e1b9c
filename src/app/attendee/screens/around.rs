//! Who is near, and if nobody is, why: what radio and network say of it together, and the switches of the ways to others.

use super::{Screens, State};
use crate::app::attendee::snapshot::Snapshot;
use crate::app::attendee::wish::Wish;
use crate::app::attendee::{paint, words};
use crate::proto::node::view::TalkView;
use crate::proto::presence::{Band, Member, Near};
use crate::proto::talk::roster::Standing;
use crate::proto::wire::advert::Shower;
use crate::shell::driver::Transport;
use alcove_ui as ui;
use slint::{ComponentHandle, Timer, TimerMode};
use std::collections::BTreeMap;
use std::time::Duration;

/// Who was not found so long after a way was switched on is not expected any more: a radio that has just come listens all the time.
const SEARCH: Duration = Duration::from_secs(20);

/// The first seconds of a way to others, in which it has found nobody yet and that says nothing.
#[derive(Default)]
pub(super) struct Search {
    /// Network and radio.
    in_use: [bool; 2],
    timer: Timer,
    /// What to show when it is over.
    found: ui::Nearby,
}

impl Screens {
    pub(super) fn show_around(&self, state: &mut State, snapshot: &Snapshot) {
        let event = snapshot.event.as_ref();
        let lan = words::lan(&snapshot.situation, state.lan_has_failed);
        let bluetooth = words::bluetooth(&snapshot.situation, event.is_some());
        let online = words::online(&snapshot.situation, event.is_some_and(|event| event.has_relay));
        let heard = snapshot.near.as_deref().unwrap_or_default();
        let people = heard.iter().filter(|near| near.shower == Shower::Attendee);
        let in_band = |band: Band| paint::int(people.clone().filter(|near| near.band == band).count());
        let shown_by = |shower: Shower| paint::int(heard.iter().filter(|near| near.shower == shower).count());
        let around = self.window.global::<ui::AroundAdapter>();
        // Whom the radio hears and whom the network brings may be one.
        let count = snapshot.status.neighbours.max(people.clone().count());
        around.set_count(paint::int(count));
        around.set_close(in_band(Band::Close));
        around.set_around(in_band(Band::Around));
        around.set_far(in_band(Band::Far));
        around.set_unknown(in_band(Band::Unknown));
        around.set_tables(shown_by(Shower::Table));
        // The strongest comes first.
        around.set_table(heard.iter().find_map(|near| near.table).map_or(-1, i32::from));
        around.set_kiosks(shown_by(Shower::Kiosk));
        state.members.set(members(heard, &snapshot.talks));
        around.set_lan(lan);
        around.set_lan_on(matches!(lan, ui::Lan::On | ui::Lan::Failed));
        around.set_bluetooth(bluetooth);
        around.set_bluetooth_on(is_wanted(bluetooth));
        around.set_online(online);
        around.set_relay_on(!matches!(online, ui::Online::None | ui::Online::Off));
        around.set_carried(paint::int(snapshot.status.carried.0));
        let found = match event {
            None => ui::Nearby::NoEvent,
            Some(_) if people.clone().next().is_some() => ui::Nearby::Heard,
            Some(_) if count > 0 => ui::Nearby::Some,
            Some(_) => nobody(lan, bluetooth),
        };
        let in_use = [lan == ui::Lan::On, is_in_use(bluetooth)].map(|is_in_use| is_in_use && event.is_some());
        self.search(&mut state.search, in_use, found);
        around.set_nearby(if state.search.is_on() { ui::Nearby::Searching } else { found });
    }

    /// Begins anew with each way that comes into use.
    fn search(&self, search: &mut Search, in_use: [bool; 2], found: ui::Nearby) {
        let is_new = in_use.iter().zip(search.in_use).any(|(is_used, was_used)| *is_used && !was_used);
        (search.in_use, search.found) = (in_use, found);
        if is_new {
            let screens = self.downgrade();
            search.timer.start(TimerMode::SingleShot, SEARCH, move || {
                screens.with(|screens, state| {
                    screens.window.global::<ui::AroundAdapter>().set_nearby(state.search.found);
                    true
                });
            });
        }
    }

    pub(super) fn listen_to_around(&self) {
        let around = self.window.global::<ui::AroundAdapter>();
        let switch = |transport| self.when(move |_, state, on| (state.ask)(Wish::Switch(transport, on)));
        around.on_switch_bluetooth(switch(Transport::Bluetooth));
        around.on_switch_lan(switch(Transport::Lan));
        around.on_switch_relay(switch(Transport::Relay));
        let retry = |transport| {
            self.when(move |_, state, ()| [false, true].into_iter().for_each(|on| (state.ask)(Wish::Switch(transport, on))))
        };
        let (mut bluetooth, mut lan) = (retry(Transport::Bluetooth), retry(Transport::Lan));
        around.on_retry_bluetooth(move || bluetooth(()));
        around.on_retry_lan(move || lan(()));
    }
}

impl Search {
    /// Only who has found nobody searches.
    fn is_on(&self) -> bool {
        let is_alone = matches!(self.found, ui::Nearby::Nobody | ui::Nearby::NobodyByBluetooth | ui::Nearby::NobodyByLan);
        is_alone && self.timer.running()
    }
}

/// Why nobody is found.
fn nobody(lan: ui::Lan, bluetooth: ui::Bluetooth) -> ui::Nearby {
    match (lan, bluetooth) {
        (_, ui::Bluetooth::Starting) => ui::Nearby::Searching,
        (ui::Lan::On, bluetooth) if is_in_use(bluetooth) => ui::Nearby::Nobody,
        (ui::Lan::On, _) => ui::Nearby::NobodyByLan,
        (_, bluetooth) if is_in_use(bluetooth) => ui::Nearby::NobodyByBluetooth,
        (ui::Lan::None | ui::Lan::Off, bluetooth) if !is_wanted(bluetooth) => ui::Nearby::Off,
        (ui::Lan::None | ui::Lan::Off | ui::Lan::Failed, _) => ui::Nearby::Blocked,
    }
}

fn is_wanted(bluetooth: ui::Bluetooth) -> bool {
    !matches!(bluetooth, ui::Bluetooth::None | ui::Bluetooth::NoEvent | ui::Bluetooth::Off)
}

fn is_in_use(bluetooth: ui::Bluetooth) -> bool {
    matches!(bluetooth, ui::Bluetooth::On | ui::Bluetooth::OnHidden)
}

/// The members of my talks among those near, each once, by talk and seat: who comes nearer does not move under a finger.
fn members(heard: &[Near], talks: &[TalkView]) -> Vec<ui::NearItem> {
    let mut strongest: BTreeMap<Member, Band> = BTreeMap::new();
    for (member, near) in heard.iter().filter_map(|near| Some((near.member?, near))) {
        strongest.entry(member).and_modify(|band| *band = near.band.min(*band)).or_insert(near.band);
    }
    let item = |(member, band): (Member, Band)| {
        let talk = talks.iter().find(|talk| talk.talk == member.talk)?;
        let sits = |seat: &&crate::proto::node::view::SeatView| seat.number == member.seat && seat.standing == Standing::Sits;
        let seat = talk.room.as_ref()?.seats.iter().find(sits)?;
        Some(ui::NearItem {
            talk: talk.talk.to_string().into(),
            topic: (&talk.topic).into(),
            persona: (&seat.persona).into(),
            letters: paint::letters(&seat.persona),
            seat: member.seat.into(),
            band: words::band(band),
        })
    };
    strongest.into_iter().filter_map(item).collect()
}
