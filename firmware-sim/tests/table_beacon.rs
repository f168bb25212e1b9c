//! Two who are never near each other at one time meet at a table: its beacon, the real firmware on a simulated board, carries what one
//! leaves to the other.

use alcove::proto::id::TalkId;
use alcove::proto::time::Duration;
use alcove::proto::wire::advert::Advert;
use alcove::proto::wire::table_advert::TableKey;
use firmware_sim::intruder::Intruder;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, open_room, post, terms, text, view, write};
use table_beacon::board::Board;
use table_beacon::{Beacon, Input};

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
        let mut board = Board::new(network.rng().below(1 << 32));
        let key = *key(network).as_bytes();
        let table = table_beacon::Table { event: network.pack().event().0, key, secret: network.rng().bytes(), number: NUMBER };
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
        self.connections += 1;
        self.guests.push(Guest { phone, connection: self.connections, end: Intruder::found(network, phone) });
        self.beacon.handle(&mut self.board, Input::Connected(self.connections));
        self.run(network, S(2));
    }

    /// It goes.
    fn part(&mut self, network: &mut Network, phone: usize) {
        for guest in self.guests.extract_if(.., |guest| guest.phone == phone) {
            guest.end.leave(network);
            self.beacon.handle(&mut self.board, Input::Disconnected(guest.connection));
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
                    self.beacon.handle(&mut self.board, Input::Received(guest.connection, &bytes));
                }
                for cell in self.board.fetch(guest.connection) {
                    guest.end.say_raw(network, cell.to_vec());
                }
                self.beacon.handle(&mut self.board, Input::Ready(guest.connection));
            }
            for connection in std::mem::take(&mut self.board.ended) {
                self.guests.extract_if(.., |guest| guest.connection == connection).for_each(|guest| guest.end.leave(network));
            }
        }
    }
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

#[test]
fn a_note_left_at_a_table_is_read_by_the_other_who_comes_an_hour_later() {
    for seed in 1..=8 {
        let (mut network, talks) = parted(seed);
        let mut table = Table::new(&mut network);
        table.welcome(&mut network, 0);
        write(&mut network, 0, talks[0], "Back at four.");
        table.run(&mut network, S(5));
        table.part(&mut network, 0);
        table.run(&mut network, S(3_600));
        assert_eq!(text(&network, 1, talks[1]), "", "control: nothing came any other way");
        table.welcome(&mut network, 1);
        table.run(&mut network, S(5));
        assert_eq!(text(&network, 1, talks[1]), "Back at four.", "seed {seed}");
        assert_eq!(table.guests.len(), 1, "and nobody was shown out for what he said");
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
