//! Laws of waiting.

use super::*;
use crate::proto::config::FORWARD_HEARD_MAX;
use crate::proto::id::Source;
use crate::proto::mesh::{Kind, Mesh, Outgoing};
use crate::proto::secret::Key;
use crate::proto::time::WallTime;
use crate::proto::wire::frame::Frame;
use crate::proto::wire::parcel::{ParcelKeys, Travel};

const WALL: WallTime = WallTime(3_600_000 * 1_000);
const LATER: Instant = Instant(400_000);

fn parcel(rng: &mut Rng, ephemeral: bool) -> Parcel {
    ParcelKeys::new(&Key([1; 32])).seal(rng, Travel { expiry_hours: 1_010, ephemeral, hops: 5 }, b"x").unwrap()
}

fn mesh(rng: &mut Rng, neighbours: u64) -> Mesh {
    let mut mesh = Mesh::default();
    (1..=neighbours).for_each(|link| drop(mesh.link_up(rng, Instant(0), LinkId(link), [link as u8; 32], false)));
    assert_eq!(mesh.source(Some(LinkId(1))), Source::Neighbour(0));
    mesh
}

/// A parcel comes from so many of the neighbours; gives who gets it at once, and who when it has waited.
fn passed_on(rng: &mut Rng, mesh: &mut Mesh, parcel: &Parcel, from: u64) -> [BTreeSet<LinkId>; 2] {
    let links = |frames: Vec<Outgoing>| {
        frames.into_iter().filter(|(_, frame)| matches!(frame, Frame::Parcel(_))).map(|(link, _)| link).collect()
    };
    let mut at_once = Vec::new();
    for link in 1..=from {
        let taken = mesh.receive(rng, Instant(0), WALL, Some(LinkId(link)), Kind::Sealed, parcel);
        at_once.extend(taken.map(|(_, frames)| frames).unwrap_or_default());
    }
    [links(at_once), links(mesh.tick(rng, LATER))]
}

#[test]
fn with_few_neighbours_a_parcel_goes_on_at_once_and_with_many_it_waits_a_moment() {
    let rng = &mut Rng::new([1; 32]);
    for neighbours in 2..=10 {
        let (mut mesh, parcel) = (mesh(rng, neighbours), parcel(rng, false));
        let [at_once, later] = passed_on(rng, &mut mesh, &parcel, 1);
        let is_few = neighbours as usize <= FORWARD_AT_ONCE_MAX + 1;
        let to = if is_few { at_once } else { later };
        assert!(!to.contains(&LinkId(1)) && to.len() == (neighbours as usize - 1).min(9), "{neighbours}: {to:?}");
    }
}

#[test]
fn who_brought_a_parcel_does_not_get_it_back_and_one_that_came_often_is_not_passed_on() {
    let rng = &mut Rng::new([2; 32]);
    for from in 1..=6 {
        let (mut mesh, parcel) = (mesh(rng, 7), parcel(rng, false));
        let [at_once, later] = passed_on(rng, &mut mesh, &parcel, from);
        let expected: BTreeSet<_> = (from + 1..=7).map(LinkId).collect();
        assert!(at_once.is_empty());
        assert_eq!(later, if (from as usize) < FORWARD_HEARD_MAX { expected } else { BTreeSet::new() });
    }
}

#[test]
fn who_did_not_bring_what_is_not_passed_on_is_told_soon_what_is_carried() {
    let rng = &mut Rng::new([3; 32]);
    let (mut mesh, parcel) = (mesh(rng, 7), parcel(rng, false));
    passed_on(rng, &mut mesh, &parcel, 3);
    let due = mesh.poll_timeout().unwrap();
    assert!(due <= LATER + Duration::from_secs(2), "{due:?}");
    let told: BTreeSet<_> = mesh.tick(rng, due).into_iter().map(|(link, _)| link).collect();
    assert_eq!(told, (4..=7).map(LinkId).collect());
}

#[test]
fn an_ephemeral_parcel_which_no_round_would_find_is_passed_on_however_often_it_came() {
    let rng = &mut Rng::new([4; 32]);
    let (mut mesh, parcel) = (mesh(rng, 7), parcel(rng, true));
    assert_eq!(passed_on(rng, &mut mesh, &parcel, 5)[1], BTreeSet::from([LinkId(6), LinkId(7)]));
}

#[test]
fn what_waits_is_bounded_and_what_finds_no_place_goes_on_at_once() {
    let rng = &mut Rng::new([5; 32]);
    let mut mesh = mesh(rng, 7);
    for number in 0..2 * FORWARD_WAITING_MAX {
        let parcel = parcel(rng, true);
        let (_, sent) = mesh.receive(rng, Instant(0), WALL, Some(LinkId(1)), Kind::Sealed, &parcel).unwrap();
        assert_eq!(sent.is_empty(), number < FORWARD_WAITING_MAX);
    }
    assert!(mesh.poll_timeout().is_some_and(|due| due <= Instant(0) + FORWARD_DELAY_MAX));
    assert_eq!(mesh.tick(rng, LATER).len(), FORWARD_WAITING_MAX * 6);
}
