//! Laws of the mesh as one node sees it.

use super::*;
use crate::proto::config::{CELL_CONTENT_BYTES, CROWDED_PER_ROUND_MAX, RECONCILE_ANSWER_BYTES_MAX, SYMBOLS_PER_CELL};
use crate::proto::secret::Key;
use crate::proto::wire::parcel::{ParcelKeys, Travel};

const WALL: WallTime = WallTime(3_600_000 * 1_000);

fn parcel(rng: &mut Rng, ephemeral: bool) -> Parcel {
    ParcelKeys::new(&Key([1; 32])).seal(rng, Travel { expiry_hours: 1_010, ephemeral, hops: 5 }, b"x").unwrap()
}

#[test]
fn a_seen_parcel_is_never_passed_on_twice() {
    let rng = &mut Rng::new([1; 32]);
    let mut mesh = Mesh::default();
    mesh.link_up(rng, Instant(0), LinkId(1), [1; 32], false);
    mesh.link_up(rng, Instant(0), LinkId(2), [2; 32], false);
    let parcel = parcel(rng, false);
    let (_, sent) = mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), Kind::Sealed, &parcel).unwrap();
    assert!(matches!(&sent[..], [(LinkId(2), Frame::Parcel(next))] if next.travel().hops == 4));
    assert!(mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &parcel).is_none());
    assert!(mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &parcel.next_hop().unwrap()).is_none());
}

#[test]
fn an_expired_parcel_is_refused_and_an_ephemeral_one_is_not_carried() {
    let rng = &mut Rng::new([2; 32]);
    let mut mesh = Mesh::default();
    let (lasting, fleeting) = (parcel(rng, false), parcel(rng, true));
    assert!(mesh.receive(rng, Instant(0), WallTime(3_600_000 * 1_010), None, Kind::Sealed, &lasting).is_none());
    assert!(mesh.receive(rng, Instant(0), WALL, None, Kind::Sealed, &fleeting).is_some());
    assert_eq!(mesh.carried(), (0, 0));
}

#[test]
fn what_one_neighbour_gave_and_nobody_else_has_is_not_kept_under_the_next_name() {
    let rng = &mut Rng::new([3; 32]);
    let mut mesh = Mesh::default();
    mesh.link_up(rng, Instant(0), LinkId(1), [1; 32], false);
    mesh.link_up(rng, Instant(0), LinkId(2), [2; 32], false);
    let own = parcel(rng, false);
    mesh.originate(rng, Instant(0), WALL, own.clone());
    let [old, last_hop, crowded, fleeting, known] = [false, false, false, true, false].map(|ephemeral| parcel(rng, ephemeral));
    let at = Instant(0) + MARK_TIME_MAX;
    let mut give =
        |mesh: &mut Mesh, now, parcel: &Parcel| mesh.receive(rng, now, WALL, Some(LinkId(1)), Kind::Sealed, parcel).is_some();
    assert!(give(&mut mesh, Instant(0), &old.with_hops(0)), "it was passed on to nobody, and since then everybody was told of it");
    let young = [last_hop.with_hops(0), crowded.in_crowd(CROWD_MAX), fleeting.with_hops(0)];
    assert!(young.iter().all(|mark| give(&mut mesh, Instant(1), mark)) && give(&mut mesh, Instant(1), &known));
    mesh.forget_marks(at);
    let mut left = [&own, &old, &known].map(Parcel::id);
    left.sort_unstable();
    assert_eq!(mesh.carried.keys().copied().collect::<Vec<_>>(), left);
    assert!(young.iter().all(|mark| give(&mut mesh, at, mark)), "whether it was here before does not show");
    assert!(!give(&mut mesh, at, &known), "control: what goes round is known again");
}

/// Two that have one link, which carries what they say at once.
struct Meeting<'a> {
    rng: &'a mut Rng,
    now: Instant,
    sides: [Mesh; 2],
    /// Parcels that came to each side, new or not, and cells of reconciliation.
    parcels: [usize; 2],
    cells: usize,
}

const LINK: LinkId = LinkId(1);

impl<'a> Meeting<'a> {
    fn new(rng: &'a mut Rng, alice: Mesh, bob: Mesh) -> Meeting<'a> {
        let mut meeting = Meeting { rng, now: Instant(0), sides: [alice, bob], parcels: [0; 2], cells: 0 };
        let first = meeting.sides[0].link_up(meeting.rng, Instant(0), LINK, [7; 32], true);
        meeting.sides[1].link_up(meeting.rng, Instant(0), LINK, [7; 32], false);
        meeting.say(1, first);
        meeting
    }

    fn say(&mut self, to: usize, frames: Vec<Outgoing>) {
        let mut under_way: Vec<_> = frames.into_iter().map(|(_, frame)| (to, frame)).collect();
        while !under_way.is_empty() {
            let (to, frame) = under_way.remove(0);
            let answers = match &frame {
                Frame::Parcel(parcel) => {
                    self.parcels[to] += 1;
                    self.sides[to].receive(self.rng, self.now, WALL, Some(LINK), Kind::Sealed, parcel);
                    Vec::new()
                }
                Frame::Control(control) => {
                    self.cells += frame.to_cells().unwrap().len();
                    self.sides[to].hear(self.rng, self.now, LINK, control)
                }
            };
            under_way.extend(answers.into_iter().map(|(_, frame)| (1 - to, frame)));
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.now = self.now + Duration::from_secs(1);
            for side in 0..2 {
                let frames = self.sides[side].tick(self.rng, self.now);
                self.say(1 - side, frames);
            }
        }
    }

    fn is_even(&self) -> bool {
        let [alice, bob] = &self.sides;
        alice.carried.keys().eq(bob.carried.keys())
    }
}

/// Parcels in all but the making, which takes longer than taking them.
fn parcels(rng: &mut Rng, count: usize) -> Vec<Parcel> {
    let mut bytes = parcel(rng, false).as_bytes().to_vec();
    let next = |number: usize| {
        bytes[20..28].copy_from_slice(&(number as u64).to_be_bytes());
        Parcel::decode(bytes.clone()).unwrap()
    };
    (0..count).map(next).collect()
}

fn carrying(rng: &mut Rng, parcels: &[Parcel]) -> Mesh {
    let mut mesh = Mesh::default();
    parcels.iter().for_each(|parcel| drop(mesh.originate(rng, Instant(0), WALL, parcel.clone())));
    mesh
}

#[test]
fn two_that_meet_exchange_exactly_what_is_missing() {
    let rng = &mut Rng::new([3; 32]);
    let all = parcels(rng, 1_100);
    let (alice, bob) = (carrying(rng, &all[..1_000]), carrying(rng, &all[100..]));
    let meeting = Meeting::new(rng, alice, bob);
    assert_eq!(meeting.parcels, [100, 100], "at once, and none that the other carries");
    assert!(meeting.is_even());
}

#[test]
fn when_nothing_is_missing_a_contact_costs_one_cell() {
    let rng = &mut Rng::new([3; 32]);
    let all = parcels(rng, 1_000);
    for carried in [0, 1, 1_000] {
        let (alice, bob) = (carrying(rng, &all[..carried]), carrying(rng, &all[..carried]));
        let mut meeting = Meeting::new(rng, alice, bob);
        assert_eq!((meeting.cells, meeting.parcels), (1, [0, 0]));
        meeting.run(29);
        assert_eq!(meeting.cells, 1);
        meeting.run(1);
        assert_eq!(meeting.cells, 2, "and one more every half minute, from one side");
    }
}

#[test]
fn who_carries_nothing_or_most_of_what_the_other_lacks_gets_everything_in_time() {
    let rng = &mut Rng::new([3; 32]);
    let all = parcels(rng, 6_000);
    for (alice, bob) in [(0..0, 0..3_000), (0..3_000, 0..0), (0..3_000, 3_000..6_000), (0..100, 0..3_000)] {
        let lacking = [bob.end.max(alice.end) - alice.len(), bob.end.max(alice.end) - bob.len()];
        let (alice, bob) = (carrying(rng, &all[alice]), carrying(rng, &all[bob]));
        let mut meeting = Meeting::new(rng, alice, bob);
        meeting.run(120);
        assert!(meeting.is_even());
        assert_eq!(meeting.parcels, lacking, "nothing is handed over twice");
    }
}

#[test]
fn a_neighbour_that_asks_again_and_again_gets_one_answer_a_second_and_in_the_end_everything() {
    let rng = &mut Rng::new([5; 32]);
    let carried = 3 * RECONCILE_ANSWER_BYTES_MAX / 448;
    let all = parcels(rng, carried);
    let mut mesh = carrying(rng, &all);
    mesh.link_up(rng, Instant(0), LINK, [7; 32], false);
    let bytes = |frames: &[Outgoing]| -> usize {
        frames.iter().map(|(_, frame)| frame.to_cells().unwrap().len() * CELL_CONTENT_BYTES).sum()
    };
    for second in 0..3 {
        let now = Instant(second * 1_000_000);
        let mut answered = 0;
        for round in 0..50 {
            let nothing = Control::Carrying { round: [round; 4], slice: 0, first: 0, symbols: vec![[0; 4]; SYMBOLS_PER_CELL] };
            answered += bytes(&mesh.hear(rng, now, LINK, &nothing));
            let everything = Control::Lacking { round: [round; 4], short_ids: Some(vec![[round; 3]; 1_000]) };
            answered += bytes(&mesh.hear(rng, now, LINK, &everything));
        }
        assert!(answered <= RECONCILE_ANSWER_BYTES_MAX, "{answered}");
        assert!(answered > RECONCILE_ANSWER_BYTES_MAX / 2, "control: it is answered");
    }
    let mut meeting = Meeting::new(rng, carrying(&mut Rng::new([1; 32]), &[]), carrying(&mut Rng::new([1; 32]), &all));
    meeting.run(10);
    assert_eq!(meeting.sides[0].carried().0, carried, "control: who asks in time gets all");
}

#[test]
fn a_flooder_silences_neither_this_device_nor_others_however_often_it_comes_again() {
    let rng = &mut Rng::new([6; 32]);
    let mut mesh = Mesh::default();
    // Parcels are made by hand: sealing so many takes longer than taking them.
    let (mut bytes, mut number) = (parcel(rng, true).as_bytes().to_vec(), 0_u64);
    let mut next = || {
        number += 1;
        bytes[20..28].copy_from_slice(&number.to_be_bytes());
        Parcel::decode(bytes.clone()).unwrap()
    };
    for link in 0..8 {
        let link = LinkId(100 + link);
        mesh.link_up(rng, Instant(0), link, [1; 32], false);
        for _ in 0..SEEN_MAX / 6 {
            mesh.receive(rng, Instant(0), WALL, Some(link), Kind::Sealed, &next());
        }
        mesh.link_down(link);
    }
    assert_eq!(mesh.seen.len(), SEEN_MAX, "control: the memory is full");
    mesh.link_up(rng, Instant(0), LinkId(99), [1; 32], false);
    mesh.link_up(rng, Instant(0), LinkId(1), [1; 32], false);
    for _ in 0..500 {
        assert!(mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), Kind::Sealed, &next()).is_some(), "an honest neighbour");
        assert!(mesh.receive(rng, Instant(0), WALL, None, Kind::Sealed, &next()).is_some(), "the relay");
        assert!(!mesh.originate(rng, Instant(0), WALL, next()).is_empty(), "this device");
    }
    assert_eq!(mesh.seen.len(), SEEN_MAX);
}

#[test]
fn a_flooder_evicts_itself() {
    let rng = &mut Rng::new([4; 32]);
    let mut mesh = Mesh::default();
    [1, 2].into_iter().for_each(|link| drop(mesh.link_up(rng, Instant(0), LinkId(link), [1; 32], false)));
    let honest: Vec<_> = (0..20).map(|_| parcel(rng, false)).collect();
    honest.iter().for_each(|parcel| assert!(mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), Kind::Sealed, parcel).is_some()));
    for _ in 0..CARRIED_BYTES_MAX / 448 + 100 {
        let parcel = parcel(rng, false);
        mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &parcel);
    }
    assert!(mesh.carried().1 <= CARRIED_BYTES_MAX);
    assert!(honest.iter().all(|parcel| mesh.carried.get(&parcel.id()).is_some()));
}

#[test]
fn a_full_memory_still_takes_what_is_not_crowded() {
    let rng = &mut Rng::new([5; 32]);
    let mut mesh = Mesh::default();
    for link in 1..3 {
        mesh.link_up(rng, Instant(0), LinkId(link), [link as u8; 32], false);
    }
    let parcel = parcel(rng, true);
    for flood in 0..SEEN_MAX as u32 + 10 {
        // Parcels in all but the making: each has another expiry.
        let mut bytes = parcel.as_bytes().to_vec();
        bytes[2..6].copy_from_slice(&(2_000 + flood).to_be_bytes());
        mesh.receive(rng, Instant(1), WALL, Some(LinkId(1)), Kind::Sealed, &Parcel::decode(bytes).unwrap());
    }
    assert_eq!(mesh.seen.len(), SEEN_MAX);
    let honest = self::parcel(rng, false);
    let (taken, sent) = mesh.receive(rng, Instant(1), WALL, Some(LinkId(2)), Kind::Sealed, &honest).unwrap();
    assert!(taken.crowd() <= EAGER_CROWD_MAX && sent.len() == 1, "and passes it on");
}

#[test]
fn who_breaks_its_link_and_comes_back_does_not_begin_anew() {
    let rng = &mut Rng::new([6; 32]);
    let mut mesh = Mesh::default();
    let mut last = 0;
    for link in 1..=100 {
        mesh.link_up(rng, Instant(0), LinkId(link), [1; 32], false);
        for _ in 0..50 {
            let parcel = parcel(rng, true);
            last = mesh.receive(rng, Instant(1), WALL, Some(LinkId(link)), Kind::Sealed, &parcel).unwrap().0.crowd();
        }
        mesh.link_down(LinkId(link));
    }
    assert_eq!(last, 12, "five thousand parcels, over however many links");
    mesh.link_up(rng, Instant(0), LinkId(101), [1; 32], false);
    mesh.link_up(rng, Instant(0), LinkId(102), [2; 32], false);
    let honest = parcel(rng, true);
    let (honest, _) = mesh.receive(rng, Instant(1), WALL, Some(LinkId(102)), Kind::Sealed, &honest).unwrap();
    assert_eq!(honest.crowd(), 0, "control: another place is another's");
}

#[test]
fn what_comes_in_a_crowd_is_passed_on_at_leisure() {
    let rng = &mut Rng::new([7; 32]);
    let mut mesh = Mesh::default();
    for link in 1..3 {
        mesh.link_up(rng, Instant(0), LinkId(link), [link as u8; 32], false);
    }
    let mut sent = 0;
    for _ in 0..5_000 {
        let parcel = parcel(rng, false);
        sent += mesh.receive(rng, Instant(1), WALL, Some(LinkId(1)), Kind::Sealed, &parcel).unwrap().1.len();
    }
    assert_eq!(sent, 2_047, "at once while the crowd is small");
    let calm: Vec<_> = mesh.carried_parcels().filter(|parcel| parcel.crowd() <= EAGER_CROWD_MAX).cloned().collect();
    assert_eq!(calm.len(), 2_047);
    let nothing = |round| Control::Carrying { round: [round; 4], slice: 0, first: 0, symbols: vec![[0; 4]; SYMBOLS_PER_CELL] };
    let given = mesh.hear(rng, Instant(1), LinkId(2), &nothing(1));
    let is_crowded = |frame: &Frame| matches!(frame, Frame::Parcel(parcel) if parcel.crowd() > EAGER_CROWD_MAX);
    assert_eq!(given.len(), RECONCILE_ANSWER_BYTES_MAX / 448);
    assert!(!given.iter().any(|(_, frame)| is_crowded(frame)), "what is calm goes first");
    let mut meeting = Meeting::new(rng, mesh.clone(), carrying(&mut Rng::new([1; 32]), &calm));
    assert!(meeting.parcels[1] <= CROWDED_PER_ROUND_MAX);
    meeting.run(29);
    assert!(meeting.parcels[1] <= CROWDED_PER_ROUND_MAX, "so many in half a minute");
    meeting.run(121);
    assert!((CROWDED_PER_ROUND_MAX..=5 * CROWDED_PER_ROUND_MAX).contains(&meeting.parcels[1]), "{:?}", meeting.parcels);
    let later = Instant(0) + CROWD_HALF_LIFE * 20;
    let parcel = parcel(rng, false);
    let (calm, _) = mesh.receive(rng, later, WALL, Some(LinkId(1)), Kind::Sealed, &parcel).unwrap();
    assert_eq!(calm.crowd(), 0, "a flood that is over is forgotten");
}
