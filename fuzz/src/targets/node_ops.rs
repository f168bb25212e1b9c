//! Sequences of operations on real nodes: what their people do, what the network does to them, and what strangers send.
//!
//! Three phones of the simulator, either fresh or in an open room. Beside the simulator's own invariants (nothing is written for a talk
//! that was forgotten, virtual time goes on) each run holds: no panic, bounded records, a phone that restarts knows the talks it had,
//! and no talk that ended comes back.

use super::{Choices, guarded};
use alcove::model::event::SignedPack;
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::config::{RECORD_BYTES_MAX, RECORD_NAME_BYTES_MAX};
use alcove::proto::cx::EventKeys;
use alcove::proto::handoff::code::Kind;
use alcove::proto::id::{CardId, DialId, JobId, LinkId, PutId, TalkId, WriteName};
use alcove::proto::io::{Input, Origin, Record, RelayEvent, RelayRefusal};
use alcove::proto::node::Node;
use alcove::proto::node::view::State;
use alcove::proto::notes::Edit;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::{Duration, WallTime};
use alcove::proto::wire::parcel::{ParcelKeys, Travel};
use firmware_sim::disk::Image;
use firmware_sim::network::{Network, START};
use firmware_sim::scenario::open_room;
use std::collections::BTreeSet;
use std::net::SocketAddr;

const PHONES: usize = 3;
const OPS_MAX: usize = 60;
/// All records of one phone. A room of three that says what 60 operations can say stays far below.
const DISK_BYTES_MAX: usize = 8 << 20;

thread_local! {
    /// The disks of three phones in an open room, made once: a run starts from copies.
    static OPEN: (Vec<Image>, Vec<TalkId>) = {
        let mut network = Network::new(7, PHONES);
        network.connect_all();
        (0..PHONES).for_each(|phone| network.set_online(phone, true));
        let talks = open_room(&mut network, PHONES, 3);
        network.run(Duration::from_secs(5));
        (network.phones.iter().map(|phone| phone.disk.image()).collect(), talks)
    };
}

pub fn run(data: &[u8]) {
    guarded(|| operations(Choices(data)));
}

struct World {
    network: Network,
    keys: EventKeys,
    codes: Vec<String>,
    /// Talks that ended on a phone: they must not come back.
    ended: BTreeSet<(usize, TalkId)>,
}

fn operations(mut choices: Choices<'_>) {
    let mut world = World::new(choices.byte());
    for _ in 0..OPS_MAX {
        if choices.is_over() {
            break;
        }
        world.operate(&mut choices);
        world.check();
    }
    world.network.run(Duration::from_secs(30));
    world.check();
}

impl World {
    fn new(start: u8) -> World {
        let mut network = Network::new(7, PHONES);
        if !start.is_multiple_of(4) {
            OPEN.with(|(disks, _)| {
                for (phone, disk) in disks.iter().enumerate() {
                    network.phones[phone].disk = disk.revived();
                    network.restart(phone);
                }
            });
        }
        if start & 4 == 0 {
            network.connect_all();
        }
        (0..PHONES).for_each(|phone| network.set_online(phone, start & 8 == 0));
        network.run(Duration::from_secs(1));
        let bytes = network.node(0).pack().expect("the phones joined an event").to_vec();
        let signed = SignedPack::decode(&bytes).expect("the simulator's own pack");
        let pack = signed.pack();
        let keys = EventKeys {
            id: signed.event(),
            board: ParcelKeys::new(&pack.board_key),
            relay: pack.relay_key.clone(),
            room_buckets: pack.room_buckets,
            report: pack.report_key,
            ends: pack.ends_at,
        };
        World { network, keys, codes: Vec::new(), ended: BTreeSet::new() }
    }

    fn operate(&mut self, choices: &mut Choices<'_>) {
        let (phone, other) = (choices.below(PHONES), choices.below(PHONES));
        match choices.below(16) {
            0 => self.network.run(Duration::from_millis(u64::from(choices.short()))),
            1 => self.network.run(Duration::from_secs(u64::from(choices.byte()) * 4)),
            2 if phone != other => self.network.connect(phone, other),
            3 if phone != other => self.network.separate(phone, other),
            4 if phone != other => self.network.break_link(phone, other),
            5 => self.network.set_online(phone, choices.below(2) == 0),
            6 => {
                let writes = choices.byte();
                self.network.crash(phone, (writes > 0).then_some(u64::from(writes % 8)));
            }
            7 => self.restart(phone),
            8 => {
                let minutes = i64::from(choices.short() as i16);
                self.network.jump_clock(phone, minutes * 60_000);
            }
            9 | 10 => self.stranger(choices, phone),
            _ => self.person(choices, phone),
        }
    }

    fn runs(&self, phone: usize) -> bool {
        self.network.phones[phone].node.is_some()
    }

    fn restart(&mut self, phone: usize) {
        self.network.restart(phone);
        assert!(self.runs(phone));
    }

    /// One of a phone's talks, or a name that no talk has.
    fn talk(&self, choices: &mut Choices<'_>, phone: usize) -> TalkId {
        let talks = self.network.node(phone).talks();
        let pick = choices.below(talks.len() + 1);
        talks.get(pick).map_or(TalkId([0xee; 16]), |talk| talk.talk)
    }

    /// What the phone's owner does. Every refusal is an answer.
    fn person(&mut self, choices: &mut Choices<'_>, phone: usize) {
        if !self.runs(phone) {
            return self.restart(phone);
        }
        let talk = self.talk(choices, phone);
        let card = {
            let cards = self.network.node(phone).board();
            cards.get(choices.below(cards.len() + 1)).map_or(CardId([0xee; 16]), |card| card.card)
        };
        let kind = choices.below(24);
        let number = choices.byte();
        let said = String::from_utf8_lossy(choices.take(usize::from(number) % 64)).into_owned();
        let code = self.codes.get(choices.below(self.codes.len() + 1)).cloned().unwrap_or_else(|| said.clone());
        let shown = self.network.with(phone, |node| person(node, kind, talk, card, number, &said, &code));
        self.codes.extend(shown);
    }

    /// What comes from outside: garbage on a link, parcels under the event's own keys, a relay that lies, an answer nobody asked for.
    fn stranger(&mut self, choices: &mut Choices<'_>, phone: usize) {
        if !self.runs(phone) {
            return;
        }
        let link = LinkId(u64::from(choices.byte() % 32));
        let input = match choices.below(12) {
            0 | 1 => Input::Received { link, bytes: choices.sized().to_vec() },
            2 => Input::LinkUp { link: LinkId(1_000 + link.0), origin: Origin::Accepted },
            3 => Input::LinkUp { link: LinkId(1_000 + link.0), origin: Origin::Found },
            4 => Input::LinkDown { link },
            5 => {
                Input::Received { link: LinkId(1_000 + link.0), bytes: vec![choices.byte(); usize::from(choices.short()) % 2_000] }
            }
            6 => Input::DialFailed { dial: DialId(link.0) },
            7 => Input::Computed { id: JobId(link.0), answer: None },
            8 => Input::Listening(vec![SocketAddr::from(([127, 0, 0, 1], choices.short()))]),
            9 => Input::Wall(WallTime(START.0.saturating_add_signed(i64::from(choices.short() as i16) * 3_600_000))),
            _ => Input::Relay(self.relay(choices)),
        };
        self.network.with(phone, |node| {
            let now = alcove::proto::time::Instant(0);
            node.handle_input(now, input);
        });
    }

    fn relay(&self, choices: &mut Choices<'_>) -> RelayEvent {
        let mailbox = match choices.below(4) {
            0 => self.keys.board_mailbox().write_name(),
            1 => self.keys.bucket(0).write_name(),
            2 => self.keys.bucket(1).write_name(),
            _ => WriteName(choices.array()),
        };
        match choices.below(6) {
            0 => RelayEvent::CaughtUp { mailbox },
            1 => RelayEvent::Stored { id: PutId(u64::from(choices.byte())) },
            2 => RelayEvent::Refused { id: PutId(u64::from(choices.byte())), why: RelayRefusal::MailboxFull },
            3 => RelayEvent::Blob { mailbox, cursor: u64::MAX, blob: choices.sized().to_vec() },
            _ => RelayEvent::Blob { mailbox, cursor: 1 + u64::from(choices.short()), blob: self.blob(choices) },
        }
    }

    /// A blob as everybody at the event can make it: a parcel for the board or for a stranger, with any content, or cut anywhere.
    fn blob(&self, choices: &mut Choices<'_>) -> Vec<u8> {
        let rng = &mut Rng::new([choices.byte(); 32]);
        let keys = if choices.below(4) > 0 { self.keys.board.clone() } else { ParcelKeys::new(&Key([1; 32])) };
        let travel = Travel { expiry_hours: START.hours() + u32::from(choices.byte()), ephemeral: choices.below(4) == 0, hops: 5 };
        let mut content = vec![0];
        content.extend_from_slice(choices.sized());
        content.truncate(400);
        let parcel = keys.seal(rng, travel, &content).expect("it is small");
        let mut plain = (parcel.as_bytes().len() as u16).to_be_bytes().to_vec();
        plain.extend_from_slice(parcel.as_bytes());
        choices.mutate(&mut plain);
        plain.resize(4096 - 40, 0);
        let nonce: [u8; 24] = rng.bytes();
        [&nonce[..], &self.keys.relay.derive("alcove/1 blob", &[]).seal_x(&nonce, &[], &plain)].concat()
    }

    fn check(&mut self) {
        for phone in (0..PHONES).filter(|phone| self.network.phones[*phone].node.is_some()).collect::<Vec<_>>() {
            let node = self.network.node(phone);
            let status = node.status();
            drop(format!("{status:?}"));
            let talks: BTreeSet<_> = node.talks().iter().map(|talk| talk.talk).collect();
            for receipt in node.receipts() {
                self.ended.insert((phone, receipt.talk));
            }
            for talk in &talks {
                assert!(!self.ended.contains(&(phone, *talk)), "a talk that ended is back on phone {phone}");
                let view = node.talk(*talk).expect("it is in the list");
                assert_eq!(view.room.is_some(), matches!(view.state, State::Open | State::Closing), "{:?}", view.state);
                drop(node.notes(*talk));
            }
            let records = self.network.phones[phone].disk.records();
            let fits = |record: &Record| record.name.len() <= RECORD_NAME_BYTES_MAX && record.value.len() <= RECORD_BYTES_MAX;
            assert!(records.iter().all(fits), "the vault takes every record");
            let bytes: usize = records.iter().map(|record| record.value.len()).sum();
            assert!(bytes <= DISK_BYTES_MAX, "{bytes} bytes of records");
            self.network.phones[phone].events.clear();
        }
    }
}

/// One command; gives the code that it shows, if any.
fn person(node: &mut Node, kind: usize, talk: TalkId, card: CardId, number: u8, said: &str, code: &str) -> Option<String> {
    let terms = Terms {
        topic: said.to_owned(),
        tags: vec!["rust".into()],
        pattern: Pattern::Open,
        seats_min: 2 + number % 3,
        seats_max: 5,
        expires_hours: START.hours() + u32::from(number % 30),
    };
    let at = usize::from(number);
    match kind {
        0 => drop(node.draft_card(terms)),
        1 => drop(node.post_card(talk)),
        2 => drop(node.withdraw(talk)),
        3 | 4 => drop(node.take_seat(card)),
        5 | 6 => drop(node.say(talk, said)),
        7 | 8 => drop(node.edit(talk, &[Edit::Splice { at, delete: at / 2, insert: said.to_owned() }])),
        9 => drop(node.edit(talk, &[Edit::Splice { at: 0, delete: 0, insert: said.to_owned() }])),
        10 => drop(node.flush(talk)),
        11 => drop(node.undo(talk)),
        12 => drop(node.strike_for_good(talk)),
        13 => drop(node.remove(talk, number % 4)),
        14 => drop(node.hide(talk, number % 4, number & 16 == 0)),
        15 => drop(node.report(said)),
        16 => drop(node.close(talk)),
        17 if number < 64 => drop(node.leave(talk)),
        18 | 19 => return node.show_handoff(talk, if number & 1 == 0 { Kind::Members } else { Kind::Newcomers }).ok(),
        20 => node.hide_handoff(talk),
        21 => drop(node.scan(code)),
        22 => drop(node.admit(LinkId(u64::from(number % 32)), number & 1 == 0)),
        23 => return node.animated_code(talk).ok().map(|sender| sender.frame(u32::from(number % 4))),
        _ => drop(node.set_interests(vec![said.to_owned()])),
    }
    None
}
