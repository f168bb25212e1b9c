//! A talk of many changes, written by a real node, and how long it takes to open it again.

use super::measure::{Times, head, ms, row, shown};
use alcove::model::event::SignedPack;
use alcove::proto::board::{Pattern, Terms};
use alcove::proto::id::{LinkId, TalkId};
use alcove::proto::io::{Input, Origin, Output, Persist, Scope};
use alcove::proto::job;
use alcove::proto::node::Node;
use alcove::proto::node::view::State;
use alcove::proto::notes::Edit;
use alcove::proto::rng::Rng;
use alcove::proto::time::{Duration, Instant, WallTime};
use alcove::proto::wire::decode;
use alcove::shell::keystore::{Choice, Memory};
use alcove::shell::vault::Vault;
use automerge::transaction::Transactable;
use automerge::{ActorId, Automerge, ObjType, ROOT, ReadDoc};
use std::collections::{BTreeMap, VecDeque};

const START: WallTime = WallTime(1_794_301_200_000);

/// Writes a talk of so many changes into a vault, then opens it so often.
pub fn open(changes: usize, runs: usize) {
    let mut pair = Pair::met();
    let talk = pair.write(changes);
    let (text, generation) = pair.notes(talk);
    let (folder, memory) = (tempfile::tempdir().expect("a temporary folder"), Memory::default());
    let mut vault = Vault::open(folder.path(), Choice::Memory(memory.clone()), Rng::new([1; 32])).expect("a fresh profile").vault;
    let records: Vec<Persist> =
        pair.records.into_iter().map(|((scope, name), value)| Persist::Put { scope, name, value }).collect();
    records.chunks(500).for_each(|batch| vault.commit(batch).expect("the disk takes it"));
    drop(vault);

    let (mut unsealed, mut restored) = (Times::default(), Times::default());
    for run in 0..runs {
        let keystore = Choice::Memory(memory.clone());
        let opened = unsealed.time(|| Vault::open(folder.path(), keystore, Rng::new([run as u8; 32]))).expect("the profile opens");
        assert!(opened.corrupt.is_empty() && opened.lost.is_empty());
        let now = Instant(0);
        let shown = restored.time(|| {
            let node = Node::restore([3; 32], now, START, opened.records);
            node.notes(talk).map(|notes| notes.notes.text)
        });
        assert_eq!(shown.as_deref(), Some(&text[..]), "the notes are there");
    }

    let saved = records.iter().find_map(|record| match record {
        Persist::Put { scope: Scope::Talk(_), name, value } if name == b"notes" => Some(value),
        _ => None,
    });
    let (_, saved): (u32, Vec<u8>) = saved.and_then(|value| decode(value, "notes").ok()).expect("the notes");
    let whole = unfolded(changes);
    let (same, all) = (load(&saved, runs), load(&whole, runs));
    println!("\nopening a talk of {changes} changes, folded {generation} times, {} records", records.len());
    head(&["what", "time", "beside ours"]);
    let ours = ms(unsealed.median()) + ms(restored.median());
    row(&["`Vault::open`: read and unseal".into(), shown(&unsealed), String::new()]);
    row(&["`Node::restore` until the notes are in view".into(), shown(&restored), String::new()]);
    row(&["together".into(), format!("{ours:.3} ms"), "1".into()]);
    for (what, times) in [("the same saved document", &same), ("all changes, never folded", &all)] {
        row(&[format!("`Automerge::load` and its text, {what}"), shown(times), format!("{:.2}", ms(times.median()) / ours)]);
    }
}

fn load(saved: &[u8], runs: usize) -> Times {
    Times::of(runs, || {
        let document = Automerge::load(saved).expect("what we saved");
        let text = document.get(ROOT, "text").ok().flatten().map(|(_, id)| id).expect("our shape");
        assert!(!document.text(&text).expect("a text").is_empty());
    })
}

/// The line that is written as this change.
fn line(number: usize) -> String {
    format!("Line {number}.\n")
}

fn unfolded(changes: usize) -> Vec<u8> {
    let mut document = Automerge::new().with_actor(ActorId::from(&[1; 8][..]));
    let mut writing = document.transaction();
    let text = writing.put_object(ROOT, "text", ObjType::Text).expect("an empty document");
    writing.commit();
    for number in 0..changes {
        let mut writing = document.transaction();
        writing.splice_text(&text, 0, 0, &line(number)).expect("at the beginning");
        writing.commit();
    }
    document.save()
}

/// Two nodes whose links are calls; what the first one is to remember is kept.
struct Pair {
    nodes: [Node; 2],
    now: Instant,
    linked: bool,
    records: BTreeMap<(Scope, Vec<u8>), Vec<u8>>,
    talks: [TalkId; 2],
}

impl Pair {
    /// Both sit in one talk.
    fn met() -> Pair {
        let pack = pack();
        let nodes = [1, 2].map(|seed| Node::new([seed; 32]));
        let mut pair = Pair { nodes, now: Instant(0), linked: true, records: BTreeMap::new(), talks: [TalkId([0; 16]); 2] };
        for node in &mut pair.nodes {
            node.handle_input(Instant(0), Input::Wall(START));
            node.join_event(&pack).expect("the pack is fresh");
        }
        pair.nodes[1].handle_input(Instant(0), Input::LinkUp { link: LinkId(1), origin: Origin::Accepted });
        pair.nodes[0].handle_input(Instant(0), Input::LinkUp { link: LinkId(1), origin: Origin::Found });
        pair.settle();
        let terms = Terms {
            topic: "What did you stop doing?".into(),
            tags: Vec::new(),
            pattern: Pattern::KnowHow,
            seats_min: 2,
            seats_max: 2,
            expires_hours: START.hours() + 10,
        };
        let host = pair.nodes[0].draft_card(terms).expect("terms within their bounds");
        let card = pair.nodes[0].post_card(host).expect("a draft");
        pair.settle();
        let guest = pair.nodes[1].take_seat(card).expect("the card is there");
        pair.talks = [host, guest];
        let is_open = |pair: &Pair| (0..2).all(|n| pair.nodes[n].talk(pair.talks[n]).is_some_and(|talk| talk.state == State::Open));
        for _ in 0..600 {
            if is_open(&pair) {
                return pair;
            }
            pair.pass(Duration::from_millis(100));
        }
        panic!("the room does not open");
    }

    /// The other goes away, and the first one writes so many changes.
    fn write(&mut self, changes: usize) -> TalkId {
        self.linked = false;
        for _ in 0..12 {
            // Not heard for ten minutes: a fold need not wait for it.
            self.pass(Duration::from_secs(60));
        }
        let talk = self.talks[0];
        for number in 0..changes {
            let edit = Edit::Splice { at: 0, delete: 0, insert: line(number) };
            self.nodes[0].edit(talk, &[edit]).and_then(|()| self.nodes[0].flush(talk)).expect("the room can be written in");
            self.pass(Duration::from_millis(10));
        }
        talk
    }

    fn notes(&self, talk: TalkId) -> (String, u32) {
        self.nodes[0].notes(talk).map(|notes| (notes.notes.text, notes.generation)).expect("the talk is open")
    }

    fn pass(&mut self, span: Duration) {
        self.now = self.now + span;
        self.nodes.iter_mut().for_each(|node| node.handle_input(self.now, Input::Timeout));
        self.settle();
    }

    /// Carries out what both want until they are quiet.
    fn settle(&mut self) {
        let mut inputs = VecDeque::new();
        loop {
            for n in 0..2 {
                while let Some(output) = self.nodes[n].poll_output() {
                    match output {
                        Output::Persist(change) if n == 0 => self.remember(change),
                        Output::Transmit { bytes, .. } if self.linked => {
                            inputs.push_back((1 - n, Input::Received { link: LinkId(1), bytes }));
                        }
                        Output::Compute { id, job } => inputs.push_back((n, Input::Computed { id, answer: Some(job::run(&job)) })),
                        Output::Persist(_)
                        | Output::Transmit { .. }
                        | Output::Disconnect { .. }
                        | Output::Dial { .. }
                        | Output::Relay(_)
                        | Output::Radio(_)
                        | Output::Event(_) => {}
                    }
                }
            }
            let Some((n, input)) = inputs.pop_front() else { return };
            self.nodes[n].handle_input(self.now, input);
        }
    }

    fn remember(&mut self, change: Persist) {
        match change {
            Persist::Put { scope, name, value } => drop(self.records.insert((scope, name), value)),
            Persist::Delete { scope, name } => drop(self.records.remove(&(scope, name))),
            Persist::Forget { talk } => self.records.retain(|(scope, _), _| *scope != Scope::Talk(talk)),
        }
    }
}

fn pack() -> SignedPack {
    firmware_sim::network::pack(&mut Rng::new([5; 32]))
}
