//! Laws of the loop: what is durable before what, and a disk that is full.

use super::*;
use crate::model::event::{EventPack, OrganizerKeys, SignedPack};
use crate::proto::board::{Pattern, Terms};
use crate::proto::error::Refused;
use crate::proto::id::TalkId;
use crate::proto::io::Scope;
use crate::proto::node::view::State;
use crate::proto::rng::Rng;
use crate::shell::clock;
use crate::shell::keystore::Choice;
use jiff::tz::TimeZone;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use tempfile::TempDir;
use tokio::sync::oneshot;

fn pack() -> SignedPack {
    let keys = OrganizerKeys::new(&mut Rng::new([1; 32]));
    let today = jiff::Zoned::now().with_time_zone(TimeZone::UTC).date();
    let pack = EventPack::bare("Driver", today, today.tomorrow().unwrap(), &TimeZone::UTC, &keys).unwrap();
    SignedPack::sign(pack, &keys).unwrap()
}

fn parts(profile: &Path) -> Parts {
    let opened = Vault::open(profile, Choice::File, Rng::new([2; 32])).unwrap();
    let clock = Clock::start();
    let node = Node::restore([3; 32], clock.now(), clock::wall(), opened.records);
    Parts { node, vault: opened.vault, clock, lan: None, bluetooth: None, worker: "/nowhere".into() }
}

fn draft(node: &mut Node) -> Result<TalkId, Refused> {
    let expires_hours = node.wall().hours() + 2;
    let topic = "Trains".to_owned();
    node.draft_card(Terms { topic, tags: vec![], pattern: Pattern::Open, seats_min: 2, seats_max: 3, expires_hours })
}

/// What [`DriverHandle::change`] does, without the loop between.
fn change<T: Send + 'static>(driver: &mut Driver, act: impl FnOnce(&mut Node) -> T + Send + 'static) -> Result<T, NotAnswered> {
    let (answer, mut answered) = oneshot::channel();
    driver.change(handle::Change::new(act, answer));
    answered.try_recv().expect("an answer")
}

fn talks_on_disk(profile: &Path) -> usize {
    let opened = Vault::open(profile, Choice::File, Rng::new([4; 32])).unwrap();
    opened.records.iter().filter(|record| matches!(record.scope, Scope::Talk(_)) && record.name == b"stage").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_loses_nothing_and_is_over_when_there_is_space() {
    let folder = TempDir::new().unwrap();
    let profile = folder.path().join("profile");
    let (mut driver, ends) = Driver::new(parts(&profile));
    let mut notices = ends.notices;
    change(&mut driver, |node| node.join_event(&pack())).unwrap().unwrap();
    change(&mut driver, draft).unwrap().unwrap();

    driver.vault.limit_disk(0);
    let refused = change(&mut driver, draft);
    let Err(NotAnswered::NotSaved(why)) = &refused else { panic!("{refused:?}") };
    assert!(why.contains("the disk is full"), "{why}");
    let again = change(&mut driver, |_| -> () { unreachable!("nothing is carried out that could not be saved") });
    assert_eq!(again, Err(NotAnswered::NotSaved(why.clone())));
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        told.push(notice);
    }
    assert_eq!(told.iter().filter(|notice| matches!(notice, Notice::NotSaved(_))).count(), 1, "{told:?}");

    driver.vault.limit_disk(u64::MAX);
    driver.handle(Input::Timeout);
    assert_eq!(notices.try_recv(), Ok(Notice::Saved));
    change(&mut driver, draft).unwrap().unwrap();
    let drafts = driver.node.talks().iter().filter(|talk| talk.state == State::Drafted).count();
    drop(driver);
    assert_eq!((drafts, talks_on_disk(&profile)), (3, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_the_end_of_the_process() {
    let folder = TempDir::new().unwrap();
    let profile = folder.path().join("profile");
    let (driver, _notices) = start(parts(&profile));
    driver.change(|node| node.join_event(&pack())).await.unwrap().unwrap();
    let talk = driver.change(draft).await.unwrap().unwrap();
    // No farewell: the disk as it is when the power fails.
    let cut = folder.path().join("cut");
    std::fs::DirBuilder::new().mode(0o700).create(&cut).unwrap();
    for entry in std::fs::read_dir(&profile).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), cut.join(entry.file_name())).unwrap();
    }
    let (going_on, driver) = (driver, start(parts(&cut)).0);
    let view = driver.view(move |node, _| node.talk(talk)).await.unwrap().expect("the talk is there");
    assert_eq!((view.state, view.topic.as_str()), (State::Drafted, "Trains"));
    driver.shutdown().await;
    going_on.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_without_a_network_ends_at_once() {
    let folder = TempDir::new().unwrap();
    let (mut driver, ends) = Driver::new(parts(&folder.path().join("profile")));
    let mut notices = ends.notices;
    change(&mut driver, |node| node.join_event(&pack())).unwrap().unwrap();
    let event = pack().event();
    let code = crate::proto::handoff::code::OneTime::new(&mut Rng::new([9; 32])).code(
        crate::proto::handoff::code::Kind::Members,
        clock::wall() + Duration::from_secs(60),
        Some("127.0.0.1:9".parse().unwrap()),
        event,
    );
    let text = code.to_text().to_string();
    change(&mut driver, move |node| node.scan(&text)).unwrap().unwrap();
    let mut told = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        told.push(notice);
    }
    let ended = |notice: &Notice| matches!(notice, Notice::Node(Event::HandoffEnded(_)));
    assert!(told.iter().any(ended), "{told:?}");
}
