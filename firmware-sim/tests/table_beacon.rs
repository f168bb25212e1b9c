//! Two who are never near each other at one time meet at a table: its beacon, the real firmware on a simulated board, carries what one
//! leaves to the other; and phones name the table by what it shows, visit it, and go again.

use alcove::proto::config::ADVERT_BYTES;
use alcove::proto::id::TalkId;
use alcove::proto::io::{Input, RadioEvent};
use alcove::proto::presence::Band;
use alcove::proto::time::{Duration, Instant};
use alcove::proto::wire::advert::Advert;
use alcove::proto::wire::table_advert::{TableKey, TablePlan};
use firmware_sim::intruder::Intruder;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, open_room, post, terms, text, view, write};
use table_beacon::Beacon;
use table_beacon::board::Board;

const NUMBER: u16 = 17;
const STEP: Duration = Duration::from_millis(25);

/// A table with its beacon, and the phones that sit at it.
struct Table {
    board: Board,
    beacon: Beacon,
    guests: Vec<Guest>,
    connections: u16,
}

struct Guest {
    phone: usize,
    connection: u16,
    /// The beacon's end of the link.
    end: Intruder,
}

impl Table {
    fn new(network: &mut Network) -> Table {
        let secret = network.rng().bytes();
        let pack = network.pack().pack();
        let plan = TablePlan::new(&pack.board_key, pack.tables.iter().map(|table| table.number));
        let flash = plan.flash(network.pack().event(), NUMBER, secret).expect("it is on the plan");
        Table::flashed(network, table_beacon::Table::from_bytes(&flash))
    }

    fn flashed(network: &mut Network, table: table_beacon::Table) -> Table {
        let mut board = Board::new(network.rng().below(1 << 32));
        let beacon = Beacon::power_up(&mut board, table);
        let mut table = Table { board, beacon, guests: Vec::new(), connections: 0 };
        table.run(network, S(25));
        table
    }

    /// A phone comes to the table and opens a link, as the radio would.
    fn welcome(&mut self, network: &mut Network, phone: usize) {
        while self.board.advert().is_none() {
            self.run(network, S(1));
        }
        let end = Intruder::found(network, phone);
        self.let_in(phone, end);
        self.run(network, S(2));
    }

    fn let_in(&mut self, phone: usize, end: Intruder) {
        self.connections += 1;
        self.guests.push(Guest { phone, connection: self.connections, end });
        self.beacon.handle(&mut self.board, table_beacon::Input::Connected(self.connections));
    }

    /// A phone with a radio sits here: it hears the beacon every second, and gets the links that it orders. Gives how many these were.
    fn seat(&mut self, network: &mut Network, phone: usize, span: Duration) -> usize {
        let (end, mut orders) = (network.now() + span, 0);
        while network.now() < end {
            if let Some(advert) = self.board.advert() {
                hear(network, phone, &advert);
            }
            self.run(network, S(1));
            for (_, by, id) in std::mem::take(&mut network.ordered) {
                assert_eq!(by, phone, "nobody else has a radio");
                orders += 1;
                match self.board.advert().and_then(|advert| Advert::from_bytes(&advert)) {
                    Some(shown) if shown.id == id => {
                        let end = Intruder::found_by_radio(network, phone, id);
                        self.let_in(phone, end);
                    }
                    _ => tell(network, phone, RadioEvent::OutOfReach { id }),
                }
            }
        }
        orders
    }

    /// It goes.
    fn part(&mut self, network: &mut Network, phone: usize) {
        for guest in self.guests.extract_if(.., |guest| guest.phone == phone) {
            guest.end.leave(network);
            self.beacon.handle(&mut self.board, table_beacon::Input::Disconnected(guest.connection));
        }
    }

    /// Lets time pass for everybody.
    fn run(&mut self, network: &mut Network, span: Duration) {
        let end = network.now() + span;
        while network.now() < end {
            // While nobody sits here there is nothing to carry back and forth.
            let step = if self.guests.is_empty() { end.since(network.now()) } else { STEP };
            network.run(step);
            let passed = network.now().0 - self.board.now_us;
            self.board.run(&mut self.beacon, passed);
            for guest in &mut self.guests {
                if let Some(bytes) = guest.end.hear_raw(network) {
                    self.beacon.handle(&mut self.board, table_beacon::Input::Received(guest.connection, &bytes));
                }
                for cell in self.board.fetch(guest.connection) {
                    guest.end.say_raw(network, cell.to_vec());
                }
                self.beacon.handle(&mut self.board, table_beacon::Input::Ready(guest.connection));
            }
            for connection in std::mem::take(&mut self.board.ended) {
                self.guests.extract_if(.., |guest| guest.connection == connection).for_each(|guest| guest.end.leave(network));
            }
        }
    }
}

fn tell(network: &mut Network, phone: usize, event: RadioEvent) {
    network.with(phone, |node| node.handle_input(Instant(0), Input::Radio(event)));
}

fn hear(network: &mut Network, phone: usize, advert: &[u8; ADVERT_BYTES]) {
    tell(network, phone, RadioEvent::Heard { advert: advert.to_vec(), rssi_dbm: Some(-50) });
}

/// The tables that a phone names, with how strongly it hears them.
fn named(network: &Network, phone: usize) -> Vec<(u16, Band)> {
    let near = network.node(phone).nearby().expect("it has a radio");
    near.iter().filter_map(|near| Some((near.table?, near.band))).collect()
}

fn switch_radio_on(network: &mut Network, phone: usize) {
    network.leave_lan(phone);
    network.run(S(3));
}

fn key(network: &Network) -> TableKey {
    TableKey::new(&network.pack().pack().board_key)
}

/// A room of two who sat together once and are out of each other's reach now.
fn parted(seed: u64) -> (Network, Vec<TalkId>) {
    let mut network = Network::new(seed, 2);
    network.connect(0, 1);
    let talks = open_room(&mut network, 2, 2);
    network.run(S(30));
    network.separate(0, 1);
    network.run(S(5));
    (network, talks)
}

/// The first of the two has left a note at a table, and that was so long ago.
fn note_left(seed: u64, ago: Duration) -> (Network, Vec<TalkId>, Table) {
    let (mut network, talks) = parted(seed);
    let mut table = Table::new(&mut network);
    table.welcome(&mut network, 0);
    write(&mut network, 0, talks[0], "Back at four.");
    table.run(&mut network, S(5));
    table.part(&mut network, 0);
    table.run(&mut network, ago);
    (network, talks, table)
}

#[test]
fn a_note_left_at_a_table_is_read_by_the_other_who_comes_an_hour_later() {
    for seed in 1..=8 {
        let (mut network, talks, mut table) = note_left(seed, S(3_600));
        assert_eq!(text(&network, 1, talks[1]), "", "control: nothing came any other way");
        table.welcome(&mut network, 1);
        let shown = table.board.advert();
        table.run(&mut network, S(5));
        assert_eq!(text(&network, 1, talks[1]), "Back at four.", "seed {seed}");
        // With a new id everybody goes.
        assert!(table.guests.len() == 1 || table.board.advert() != shown, "and nobody was shown out for what he said");
    }
}

#[test]
fn a_card_left_at_a_table_is_on_the_board_of_who_comes_later() {
    let mut network = Network::new(2, 3);
    let mut table = Table::new(&mut network);
    table.welcome(&mut network, 0);
    let (host, card) = post(&mut network, 0, terms(2, 5));
    table.run(&mut network, S(5));
    table.part(&mut network, 0);
    table.run(&mut network, S(1_800));
    table.welcome(&mut network, 1);
    table.run(&mut network, S(5));
    let has = |phone: usize| network.node(phone).board().iter().any(|view| view.card == card);
    assert!(has(1) && !has(2), "and who never came has nothing");
    assert!(view(&network, 0, host).is_some());
}

#[test]
fn who_holds_the_pack_reads_the_tables_number_and_nobody_else_does() {
    let mut network = Network::new(3, 1);
    let mut table = Table::new(&mut network);
    let (ours, theirs) = (key(&network), key(&Network::new(4, 1)));
    let (mut read, mut misread, mut ids) = (0, 0, std::collections::BTreeSet::new());
    for _ in 0..200 {
        let Some(bytes) = table.board.advert() else {
            table.run(&mut network, S(20));
            continue;
        };
        let advert = Advert::from_bytes(&bytes).expect("the app's form");
        ids.insert(advert.id);
        assert_eq!(ours.recognise(&advert, |number| number <= 40), Some(NUMBER));
        assert_eq!(ours.recognise(&advert, |number| number < NUMBER), None, "it is not on this plan");
        (read, misread) = (read + 1, misread + usize::from(theirs.recognise(&advert, |number| number <= 40).is_some()));
        table.run(&mut network, S(480));
    }
    assert!(read > 150 && ids.len() > 80 && misread == 0, "{read} adverts, {} ids, {misread} misread", ids.len());
}

#[test]
fn a_phone_names_the_table_that_it_sits_at_and_has_what_was_said_there_within_seconds() {
    for seed in 1..=8 {
        let (mut network, talks, mut table) = note_left(seed, S(1_800));
        switch_radio_on(&mut network, 1);
        while table.board.advert().is_none() {
            table.run(&mut network, S(1));
        }
        assert_eq!(text(&network, 1, talks[1]), "", "control: nothing came any other way");
        let orders = table.seat(&mut network, 1, S(8));
        assert_eq!((named(&network, 1), orders), (vec![(NUMBER, Band::Close)], 1), "seed {seed}");
        assert_eq!(text(&network, 1, talks[1]), "Back at four.", "seed {seed}");
        let orders = table.seat(&mut network, 1, S(30));
        assert!(orders == 0 && table.guests.is_empty(), "seed {seed}: nothing more is to be had, and its place is free");
    }
}

#[test]
fn what_is_said_at_a_table_is_left_there_long_after_the_visit() {
    for seed in 1..=8 {
        let (mut network, talks) = parted(seed);
        let mut table = Table::new(&mut network);
        switch_radio_on(&mut network, 0);
        table.seat(&mut network, 0, S(120));
        assert!(table.guests.is_empty(), "seed {seed}: the visit is over");
        write(&mut network, 0, talks[0], "Back at four.");
        let orders = table.seat(&mut network, 0, S(90));
        assert!((1..=3).contains(&orders), "seed {seed}: it comes once more, and not for ever: {orders}");
        tell(&mut network, 0, RadioEvent::Off);
        table.run(&mut network, S(1_800));
        switch_radio_on(&mut network, 1);
        assert_eq!(text(&network, 1, talks[1]), "", "control: nothing came any other way");
        table.seat(&mut network, 1, S(30));
        assert_eq!(text(&network, 1, talks[1]), "Back at four.", "seed {seed}");
    }
}

#[test]
fn a_phone_visits_a_table_once_under_each_id() {
    let mut network = Network::new(5, 1);
    let mut table = Table::new(&mut network);
    switch_radio_on(&mut network, 0);
    let (mut orders, mut ids) = (0, std::collections::BTreeSet::new());
    for _ in 0..2_400 {
        ids.extend(table.board.advert().map(|advert| advert[1..7].to_vec()));
        orders += table.seat(&mut network, 0, S(3));
    }
    // It is shown nothing while its own id changes, and an id that is over by then was not visited.
    assert!(ids.len() >= 8 && orders <= ids.len() && orders + 2 >= ids.len(), "{orders} links to {} ids in two hours", ids.len());
}

#[test]
fn a_table_of_another_event_and_one_that_is_not_on_the_plan_are_counted_and_neither_named_nor_dialled() {
    let mut network = Network::new(6, 1);
    let event = network.pack().event().0;
    let (ours, theirs) = (*key(&network).as_bytes(), *key(&Network::new(7, 1)).as_bytes());
    switch_radio_on(&mut network, 0);
    for (key, number, expected) in [(theirs, NUMBER, 0), (ours, 21, 0), (ours, 20, 1)] {
        let secret = network.rng().bytes();
        let mut table = Table::flashed(&mut network, table_beacon::Table { event, key, secret, number });
        let orders = table.seat(&mut network, 0, S(20));
        assert_eq!(orders.min(1), expected, "table {number}");
        assert_eq!(named(&network, 0), [(number, Band::Close)][..expected], "table {number}");
        assert_eq!(network.node(0).nearby().map(|near| near.len()), Some(1), "it is heard");
        network.run(S(60));
    }
}

#[test]
fn a_record_of_a_table_that_was_here_names_nothing_later() {
    let mut network = Network::new(8, 2);
    let table = Table::new(&mut network);
    switch_radio_on(&mut network, 0);
    switch_radio_on(&mut network, 1);
    let record = table.board.advert().expect("it shows something");
    hear(&mut network, 0, &record);
    assert_eq!(named(&network, 0), [(NUMBER, Band::Close)]);
    network.run(S(1_800));
    (0..2).for_each(|phone| hear(&mut network, phone, &record));
    assert!(named(&network, 0).is_empty(), "this phone has heard it long ago");
    assert_eq!(
        named(&network, 1),
        [(NUMBER, Band::Close)],
        "the known limit: who was not there cannot tell, as of what is relayed live"
    );
    assert!(!network.ordered.is_empty() && table.guests.is_empty());
}
