//! What it takes to bring what somebody missed: changes of a long document, and parcels among many that are carried.

use super::measure::{head, kb, row};
use super::room::{self, Entries, Heard, entries};
use super::{pairwise, trace};
use alcove::proto::config::{CELL_BYTES, CELL_CONTENT_BYTES};
use alcove::proto::id::{LinkId, TalkId};
use alcove::proto::io::Scope;
use alcove::proto::mesh::{Kind, Mesh, Outgoing};
use alcove::proto::notes::Edit;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::{Instant, WallTime};
use alcove::proto::wire::decode;
use alcove::proto::wire::frame::{Control, Frame};
use alcove::proto::wire::parcel::{ParcelKeys, Travel};
use automerge::transaction::Transactable;
use automerge::{ActorId, Automerge, ObjType, ROOT};
use firmware_sim::checker::converged;
use firmware_sim::network::Network;
use firmware_sim::scenario::{S, open_room, text};
use trace::Patch;

const MISSING: usize = 100;
/// So many of the trace's last edits make the missing changes; the rest is written and folded before.
const LAST_EDITS: usize = 6_000;

/// A member was away while the other wrote 100 changes; they meet again.
pub fn changes_of_a_long_document() {
    let (name, patches) = trace::long_document();
    let (before, last) = patches.split_at(patches.len().saturating_sub(LAST_EDITS));
    let document = trace::play(before);
    println!("\n{MISSING} missing changes, document {name}: {} edits, {} characters", patches.len(), document.chars().count());
    head(&["way", "payload", "on the air: what was missing", "everything, both ways", "how"]);
    let mut documents = None;
    for (way, forgets) in [("parcels that the other carries", false), ("entries that the other remembers (it was restarted)", true)]
    {
        let met = meet(&document, last, forgets);
        // Entries that share a parcel share what MLS adds to it.
        let payload =
            if forgets { room::plain(&met.missed) + 150 * met.heard.lasting_count as u64 } else { met.heard.entry_content };
        let how = format!("{} entries in {} parcels", met.missed.len(), met.heard.lasting_count);
        row(&[way.into(), kb(payload), kb(met.heard.lasting), kb(met.on_the_air), how]);
        documents = Some((met.documents, met.missed));
    }
    let (Some((one, other)), missed) = documents.map_or((None, Entries::new()), |(both, missed)| (Some(both), missed)) else {
        return;
    };
    let same = pairwise::cold(one, other);
    let unsealed = || "not sealed".to_owned();
    row(&["`automerge::sync`, cold, the same two documents".into(), kb(same.bytes), unsealed(), unsealed(), messages(&same)]);
    let history = pairwise::cold(typed(&patches), typed(&patches[..patches.len() - MISSING]));
    row(&["`automerge::sync`, cold, one change per edit".into(), kb(history.bytes), unsealed(), unsealed(), messages(&history)]);
    let changes: usize = room::changes(&missed).iter().map(|(_, bytes)| bytes.len()).sum();
    println!("\nof the payload: changes {}, signatures of entries {}", kb(changes as u64), kb(64 * missed.len() as u64));
}

fn messages(cost: &pairwise::Cost) -> String {
    format!("{} messages", cost.messages)
}

struct Met {
    heard: Heard,
    on_the_air: u64,
    missed: Entries,
    documents: (Automerge, Automerge),
}

fn meet(document: &str, last: &[Patch], forgets: bool) -> Met {
    let mut network = Network::new(7, 2);
    network.connect_all();
    let talks = open_room(&mut network, 2, 2);
    paste(&mut network, talks[0], document);
    assert!(network.run_until(S(120), |n| both_agree(n, &talks)));
    network.with(0, |node| node.strike_for_good(talks[0])).expect("the host is the chair");
    let is_folded = |n: &Network| (0..2).all(|phone| n.node(phone).notes(talks[phone]).is_some_and(|notes| notes.generation == 1));
    assert!(network.run_until(S(120), is_folded), "both fold");

    network.separate(0, 1);
    network.run(S(130));
    let known = entries(&mut network, 1, talks[1]);
    let written = |network: &Network| network.phones[0].disk.count(b"e/");
    let (mut cursor, all) = (0, written(&network) + MISSING);
    for (at, gone, come) in last {
        cursor += 1;
        let edit = Edit::Splice { at: *at, delete: *gone, insert: come.clone() };
        network.with(0, |node| node.edit(talks[0], &[edit])).expect("the room can be written in");
        network.run(alcove::proto::time::Duration::from_millis(200));
        if written(&network) >= all {
            break;
        }
    }
    assert!(cursor < last.len(), "the last edits are enough for so many changes");
    network.with(0, |node| node.flush(talks[0])).expect("the room can be written in");
    if forgets {
        network.restart(0);
        network.run(S(10));
    }
    let old = saved(&mut network, 1, talks[1]);
    let missed = missed(&mut network, talks[0], &known);
    // Phone 1 passes on to the onlooker what it did not know.
    network.overhear(1);
    network.run(S(5));
    network.onlooker.heard.clear();
    let before = network.bytes_sent;
    network.connect(0, 1);
    assert!(network.run_until(S(300), |n| both_agree(n, &talks)), "they agree again");
    let heard = Heard::of(network.onlooker.heard.values(), &missed);
    let documents = (saved(&mut network, 0, talks[0]), old);
    Met { heard, on_the_air: network.bytes_sent - before, missed, documents }
}

fn both_agree(network: &Network, talks: &[TalkId]) -> bool {
    let members: Vec<_> = talks.iter().copied().enumerate().collect();
    converged(network, &members).is_ok()
}

fn missed(network: &mut Network, talk: TalkId, known: &Entries) -> Entries {
    let mut all = entries(network, 0, talk);
    all.retain(|place, _| !known.contains_key(place));
    all
}

fn paste(network: &mut Network, talk: TalkId, document: &str) {
    let letters: Vec<char> = document.chars().collect();
    for piece in letters.chunks(3_000) {
        let at = text(network, 0, talk).chars().count();
        let edit = Edit::Splice { at, delete: 0, insert: piece.iter().collect() };
        network.with(0, |node| node.edit(talk, &[edit]).and_then(|()| node.flush(talk))).expect("the room can be written in");
        network.run(S(1));
    }
}

fn saved(network: &mut Network, phone: usize, talk: TalkId) -> Automerge {
    let records = network.phones[phone].disk.records();
    let notes = records.iter().find(|record| record.scope == Scope::Talk(talk) && record.name == b"notes").expect("the notes");
    let (_, document): (u32, Vec<u8>) = decode(&notes.value, "notes").expect("what we saved");
    Automerge::load(&document).expect("what we saved")
}

/// The whole history, a change for each edit, as an editor without a fold has it.
fn typed(patches: &[Patch]) -> Automerge {
    let mut document = Automerge::new().with_actor(ActorId::from(&[1; 8][..]));
    let mut writing = document.transaction();
    let text = writing.put_object(ROOT, "text", ObjType::Text).expect("an empty document");
    writing.commit();
    for (at, gone, come) in patches {
        let mut writing = document.transaction();
        writing.splice_text(&text, *at, *gone as isize, come).expect("an edit of the trace");
        writing.commit();
    }
    document
}

/// Two that meet find out what they lack of each other, among as many parcels as a device carries.
pub fn parcels_of_many() {
    const WALL: WallTime = WallTime(3_600_000 * 1_000);
    let travel = Travel { expiry_hours: 1_010, ephemeral: false, hops: 5 };
    let keys = ParcelKeys::new(&Key([1; 32]));
    println!();
    head(&["carried by each", "missing", "found out with", "per missing parcel", "when nothing is missing"]);
    for (carried, missing) in [(100, 10), (1_000, 100), (9_300, 100)] {
        let rng = &mut Rng::new([4; 32]);
        let (mut alice, mut bob) = (Mesh::default(), Mesh::default());
        for number in 0..carried {
            let parcel = keys.seal(rng, travel, b"x").expect("it is small");
            if number >= missing {
                bob.originate(rng, Instant(0), WALL, parcel.clone());
            }
            alice.originate(rng, Instant(0), WALL, parcel);
        }
        let (words, parcels) = reconcile(rng, &mut alice, &mut bob, WALL);
        assert_eq!(parcels, missing as u64);
        let (quiet, none) = reconcile(rng, &mut alice, &mut bob, WALL);
        assert_eq!(none, 0);
        row(&[carried.to_string(), missing.to_string(), kb(words), format!("{} B", words / parcels), format!("{quiet} B")]);
    }
}

/// Bytes of cells in words of reconciliation, and how many parcels were sent.
fn reconcile(rng: &mut Rng, alice: &mut Mesh, bob: &mut Mesh, wall: WallTime) -> (u64, u64) {
    let (link, salt) = (LinkId(1), [7; 32]);
    let (mut words, mut parcels) = (0, 0);
    let mut to_bob = alice.link_up(rng, Instant(0), link, salt, true);
    let mut to_alice = bob.link_up(rng, Instant(0), link, salt, false);
    let mut hear = |mesh: &mut Mesh, rng: &mut Rng, frames: Vec<Outgoing>| -> Vec<Outgoing> {
        let mut answers = Vec::new();
        for (_, frame) in frames {
            match &frame {
                Frame::Parcel(parcel) => {
                    parcels += 1;
                    mesh.receive(rng, Instant(0), wall, Some(link), Kind::Sealed, parcel);
                }
                Frame::Control(control) => {
                    words += cells_of(control);
                    answers.extend(mesh.hear(rng, Instant(0), link, control));
                }
            }
        }
        answers
    };
    while !(to_bob.is_empty() && to_alice.is_empty()) {
        let from_bob = hear(bob, rng, to_bob);
        to_bob = hear(alice, rng, to_alice);
        to_alice = from_bob;
    }
    (words, parcels)
}

fn cells_of(control: &Control) -> u64 {
    let cells = Frame::Control(control.clone()).to_cells().expect("it fits a frame");
    assert!(cells.iter().all(|cell| cell.len() >= CELL_CONTENT_BYTES));
    (cells.len() * CELL_BYTES) as u64
}
