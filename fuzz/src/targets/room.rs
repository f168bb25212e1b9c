//! A hostile member: whoever sits in the room can seal and sign, and says anything. The room neither panics nor piles up effects, and
//! what it remembers can be read after a restart.

use super::Choices;
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::config::{RECORD_BYTES_MAX, RECORD_NAME_BYTES_MAX, SAY_CHARS_MAX};
use alcove::proto::cx::{Cx, EventKeys, Post, Via};
use alcove::proto::id::{CardId, EventId, TalkId};
use alcove::proto::io::{Output, Persist};
use alcove::proto::rng::Rng;
use alcove::proto::secret::{Key, hash16};
use alcove::proto::talk::entry::{Body, Entry, Head, Item, Log};
use alcove::proto::talk::group::{Group, SeatKeys};
use alcove::proto::talk::room::Room;
use alcove::proto::talk::seats::Founding;
use alcove::proto::time::{Duration, Instant, WallTime};
use alcove::proto::wire::parcel::ParcelKeys;
use alcove::proto::wire::{decode, encode};
use std::collections::{BTreeMap, VecDeque};

const WALL: u64 = 1_794_301_200_000;
const TALK: TalkId = TalkId([1; 16]);
const PSK_ID: &[u8] = b"roster";

struct World {
    rng: Rng,
    now: Instant,
    out: VecDeque<Output>,
    posts: Vec<Post>,
    event: EventKeys,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl World {
    fn with<T>(&mut self, f: impl FnOnce(&mut Cx<'_>) -> T) -> T {
        let wall = WallTime(WALL + self.now.0 / 1_000);
        let Self { rng, now, out, posts, event, .. } = self;
        f(&mut Cx { now: *now, wall, shown: wall, rng, out, posts, event })
    }

    /// Takes what one input caused: bounded, and remembered as the vault would.
    fn drain(&mut self) {
        let posted: usize = self.posts.drain(..).map(|post| post.message.len()).sum();
        assert!(posted <= 4 << 20 && self.out.len() <= 20_000, "{posted} bytes and {} outputs", self.out.len());
        for output in self.out.drain(..) {
            match output {
                Output::Persist(Persist::Put { name, value, .. }) => {
                    assert!(name.len() <= RECORD_NAME_BYTES_MAX && value.len() <= RECORD_BYTES_MAX, "the vault takes it");
                    self.records.insert(name, value);
                }
                Output::Persist(Persist::Delete { name, .. }) => drop(self.records.remove(&name)),
                _ => {}
            }
        }
    }
}

/// The room of the host, and the hostile member's keys and group.
fn founded(world: &mut World) -> (Room, SeatKeys, Group) {
    let (host, mut hostile, mut third) =
        (SeatKeys::generate(&mut world.rng), SeatKeys::generate(&mut world.rng), SeatKeys::generate(&mut world.rng));
    let packages = [&mut hostile, &mut third].map(|seat| seat.key_package(&mut world.rng).expect("fresh keys"));
    let psk = Key([5; 32]);
    let (group, welcome) = Group::found(&mut world.rng, &host, [7; 16], &packages, &psk, PSK_ID).expect("a group of three");
    let (theirs, _) = Group::join(&mut hostile, &welcome, Some((&psk, PSK_ID))).expect("a true welcome");
    let terms = Terms {
        topic: "Lifetimes".into(),
        tags: Vec::new(),
        pattern: Pattern::Open,
        seats_min: 2,
        seats_max: 5,
        expires_hours: WallTime(WALL).hours() + 10,
    };
    let founding = Founding { group, keys: host, terms, card: CardId([2; 16]), door: None, to_tell: Vec::new() };
    let room = world.with(|cx| Room::found(cx, TALK, founding)).expect("a founding that holds");
    world.drain();
    (room, hostile, theirs)
}

/// A room message of one kind with one byte string in it: the enum's tag, then the string.
fn content(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[0, tag][..], &encode(&bytes)].concat()
}

pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let event = EventKeys {
        id: EventId([3; 16]),
        board: ParcelKeys::new(&Key([4; 32])),
        relay: Key([5; 32]),
        room_buckets: 2,
        report: [6; 32],
        ends: WallTime(WALL + 72 * 3_600_000),
    };
    let mut world = World {
        rng: Rng::new([50; 32]),
        now: Instant(1_000_000),
        out: VecDeque::new(),
        posts: Vec::new(),
        event,
        records: BTreeMap::new(),
    };
    let (mut room, hostile, mut theirs) = founded(&mut world);
    let number = room.roster().number(hostile.id()).expect("it sits");
    let id = room_id(&theirs);
    // The hostile member's own line, so that each of its entries follows the one before.
    let mut line = Log::default();
    (0..3).for_each(|_| line.open_line(hostile.id(), hostile.verifying_key(), Head::default()));
    let mut rounds = 0;
    while !choices.is_over() && rounds < 60 {
        rounds += 1;
        let via = if choices.below(2) == 0 { Via::Link } else { Via::Relay };
        match choices.below(8) {
            0 => {
                let content = choices.sized();
                let _ = world.with(|cx| room.receive(cx, content, via));
            }
            1 => {
                let plain = choices.sized();
                if let Ok(sealed) = theirs.seal(&mut world.rng, plain) {
                    let _ = world.with(|cx| room.receive(cx, &content(0, &sealed), via));
                }
            }
            2 | 3 => {
                let Ok(body) = decode::<Body>(choices.sized(), "body") else { continue };
                let (next, chain) = line.next(number);
                let signed = Entry::signed_parts(&id, hostile.id(), next, &chain, &body);
                let signature = hostile.sign("entry", &[&signed]).into();
                let item = Item::Entry(Entry { seat: number, number: next, body, signature });
                line.append(item.clone());
                if let Ok(sealed) = theirs.seal(&mut world.rng, &encode(&vec![item])) {
                    let _ = world.with(|cx| room.receive(cx, &content(0, &sealed), via));
                }
            }
            4 => {
                // The remaining words of a room: a tag and what follows it.
                let (tag, bytes) = (choices.byte() % 8, choices.sized());
                let _ = world.with(|cx| room.receive(cx, &[&[0, tag], bytes].concat(), via));
            }
            5 => {
                world.now = world.now + Duration::from_millis(u64::from(choices.short()) * 4);
                world.with(|cx| room.tick(cx));
            }
            6 => act(&mut choices, &mut world, &mut room),
            _ => {
                let bytes = choices.sized();
                let _ = world.with(|cx| room.vouch(cx, bytes.to_vec()));
            }
        }
        world.drain();
        let _ = room.poll_timeout();
    }
    let restored = Room::restore(world.now, TALK, &world.records).expect("what was remembered can be read");
    assert_eq!(restored.roster().people(), room.roster().people());
}

fn act(choices: &mut Choices<'_>, world: &mut World, room: &mut Room) {
    match choices.below(6) {
        0 => {
            let text: String = String::from_utf8_lossy(choices.sized()).chars().take(SAY_CHARS_MAX).collect();
            let _ = world.with(|cx| room.say(cx, &text));
        }
        1 => drop(world.with(|cx| room.close(cx))),
        2 => drop(world.with(|cx| room.remove(cx, choices.byte()))),
        3 => world.with(|cx| room.relay_up(cx)),
        4 => world.with(|cx| room.check(cx)),
        _ => world.with(|cx| room.place(cx, choices.byte() & 1 == 1)),
    }
}

/// The room's id, which its entries are signed over.
fn room_id(group: &Group) -> [u8; 16] {
    let founding = group.export("alcove/1 founding", &[]).expect("a member exports");
    hash16("alcove/1 room", &[&founding.0])
}
