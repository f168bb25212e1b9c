//! What a relay with a disk still knows afterwards.

use crate::world::*;
use alcove::proto::id::PutId;
use alcove::proto::io::RelayCommand;
use alcove::shell::relay::message::Reply;
use alcove::shell::relay::{FetchError, HourClock, Options, PACK_BYTES_MAX, fetch_pack};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

fn on_disk(folder: &Path) -> Options {
    Options { store: Some(folder.to_owned()), ..quick() }
}

#[tokio::test]
async fn a_restart_keeps_blobs_and_goes_on_with_the_cursors() {
    let folder = tempfile::tempdir().unwrap();
    let mailbox = read_key(1).write_name();
    let world = World::new(on_disk(folder.path())).await;
    let mut socket = world.socket().await;
    for n in 0..3 {
        socket.store(put(n, mailbox)).await;
    }
    // The newest one goes: its cursor must not come back although nothing in the mailbox shows it.
    socket.say(RelayCommand::Delete { from: mailbox, delete_key: [2; 16] }).await;
    socket.store(put(9, read_key(2).write_name())).await;
    let before = world.socket().await.read(1, 0).await;
    world.stop().await;

    let world = World::new(on_disk(folder.path())).await;
    let mut socket = world.socket().await;
    assert_eq!(before.len(), 2);
    assert_eq!(socket.read(1, 0).await, before);
    // By another connection: whoever reads the mailbox is told of the blob, before or after its own word that it is stored.
    world.socket().await.store(put(3, mailbox)).await;
    let after = world.socket().await.read(1, 0).await;
    assert_eq!(numbers(&after), [0, 1, 3]);
    assert!(after[2].0 > before[1].0 + 1, "the cursor of the withdrawn blob is not given again");
    world.stop().await;
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut() {
    let (folder, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::new(on_disk(folder.path())).await;
    let mut socket = world.socket().await;
    for n in 0..8 {
        socket.store(put(n, read_key(1).write_name())).await;
        // What lies on the disk at this moment, with the relay in full run, is what a power cut would leave.
        std::fs::copy(folder.path().join("relay.redb"), cut.path().join("relay.redb")).unwrap();
        let after = World::new(on_disk(cut.path())).await;
        let seen = after.socket().await.read(1, 0).await;
        assert_eq!(numbers(&seen), (0..=n).collect::<Vec<_>>());
        after.stop().await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_relay_that_is_told_to_stop_answers_what_it_took_and_keeps_what_it_answered() {
    let folder = tempfile::tempdir().unwrap();
    // The writer looks at the clock before each batch: a clock that waits keeps the disk busy for as long as the test wants.
    let is_held = Arc::new((Mutex::new(false), Condvar::new()));
    let gate = is_held.clone();
    let held_clock = HourClock(Arc::new(move || {
        drop(gate.1.wait_while(gate.0.lock().unwrap(), |is_held| *is_held).unwrap());
        500_000
    }));
    let world = World::new(Options { clock: held_clock, ..on_disk(folder.path()) }).await;
    let address = world.address;
    let mut socket = world.socket().await;
    *is_held.0.lock().unwrap() = true;
    for n in 0..8 {
        socket.say(put(n, read_key(1).write_name())).await;
    }
    // The answer to a ping says that everything before it has been taken.
    socket.say_raw(Message::Ping(Default::default())).await.unwrap();
    assert!(matches!(within("a pong", socket.0.next()).await, Some(Ok(Message::Pong(_)))));
    let stopping = tokio::spawn(world.stop());
    until("the door is closed", async || TcpStream::connect(address).await.is_err()).await;
    *is_held.0.lock().unwrap() = false;
    is_held.1.notify_all();
    for n in 0..8 {
        assert_eq!(socket.hear().await, Some(Reply::Stored { id: PutId(n) }));
    }
    assert_eq!(socket.hear().await, None);
    stopping.await.unwrap();
    let (_, clock) = clock(500_000);
    let world = World::new(Options { clock, ..on_disk(folder.path()) }).await;
    assert_eq!(numbers(&world.socket().await.read(1, 0).await), (0..8).collect::<Vec<_>>());
    world.stop().await;
}

#[tokio::test]
async fn blobs_that_are_no_longer_in_memory_come_from_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(on_disk(folder.path())).await;
    let mut socket = world.socket().await;
    for n in 0..20 {
        socket.store(put(n, read_key(1).write_name())).await;
    }
    world.stop().await;
    // After a restart no body is in memory.
    let world = World::new(on_disk(folder.path())).await;
    let seen = world.socket().await.read(1, 0).await;
    assert_eq!(numbers(&seen), (0..20).collect::<Vec<_>>());
    world.stop().await;
}

#[tokio::test]
async fn one_store_serves_one_relay() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::new(on_disk(folder.path())).await;
    assert!(alcove::shell::relay::Relay::bind(on_disk(folder.path())).await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn a_pack_comes_by_its_hash_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let packs = folder.path().join("packs");
    std::fs::create_dir(&packs).unwrap();
    let keep = |name: [u8; 32], bytes: &[u8]| {
        let name: String = name.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::write(packs.join(name), bytes).unwrap();
    };
    let pack = vec![7; PACK_BYTES_MAX];
    let hash: [u8; 32] = Sha256::digest(&pack).into();
    keep(hash, &pack);
    keep([1; 32], b"not what the name says");
    keep([2; 32], &vec![7; PACK_BYTES_MAX + 1]);
    std::fs::write(folder.path().join("secret"), b"a file beside").unwrap();
    let world = World::new(on_disk(folder.path())).await;
    let address = world.relay_address();
    assert_eq!(fetch_pack(&address, hash).await, Ok(pack));
    assert_eq!(fetch_pack(&address, [1; 32]).await, Err(FetchError::Wrong));
    assert_eq!(fetch_pack(&address, [2; 32]).await, Err(FetchError::Absent));
    assert_eq!(fetch_pack(&address, [3; 32]).await, Err(FetchError::Absent));
    for path in ["../secret", "..%2Fsecret", "%2e%2e%2fsecret", "secret", ""] {
        assert_eq!(world.http(&format!("GET /v1/pack/{path}"), &[]).await.0, 404, "{path}");
    }
    world.stop().await;
}
