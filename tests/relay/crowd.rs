//! Many devices at once, through the whole way: put, durable, delivered. Prints its rate; `ALCOVE_RELAY_BLOBS` sets how much.

use crate::world::*;
use alcove::shell::relay::message::Reply;
use alcove::shell::relay::{Limits, Options};
use std::path::Path;
use std::time::Instant;

const PAIRS: u8 = 8;
/// Unanswered puts per writer; the relay allows 64.
const WINDOW: usize = 32;

async fn pass_through(world: &World, blobs: usize) {
    let mut tasks = Vec::new();
    for pair in 0..PAIRS {
        let (mut writer, mut reader) = (world.socket().await, world.socket().await);
        assert_eq!(reader.read(pair, 0).await, []);
        tasks.push(tokio::spawn(async move {
            let (mut said, mut stored) = (0, 0);
            while stored < blobs {
                while said < blobs && said - stored < WINDOW {
                    writer.say(put(said, read_key(pair).write_name())).await;
                    said += 1;
                }
                assert!(matches!(writer.hear().await, Some(Reply::Stored { .. })));
                stored += 1;
            }
        }));
        tasks.push(tokio::spawn(async move {
            for n in 0..blobs {
                let Some(Reply::Blob { blob, .. }) = reader.hear().await else { panic!("blob {n} of pair {pair} is missing") };
                assert_eq!(number(&blob), n);
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

async fn measure(name: &str, store: Option<&Path>) {
    let blobs = std::env::var("ALCOVE_RELAY_BLOBS").ok().and_then(|blobs| blobs.parse().ok()).unwrap_or(100);
    let limits = Limits { mailbox_blobs_max: blobs, blobs_max: blobs * usize::from(PAIRS) };
    let world = World::new(Options { limits, store: store.map(Path::to_owned), ..quick() }).await;
    let began = Instant::now();
    pass_through(&world, blobs).await;
    let (total, seconds) = (blobs * usize::from(PAIRS), began.elapsed().as_secs_f64());
    println!("{name}: {total} blobs put, acknowledged and delivered in {seconds:.2} s: {:.0} per second", total as f64 / seconds);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_gets_everything_in_order_from_memory() {
    measure("in memory", None).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_gets_everything_in_order_from_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    measure("on disk", Some(folder.path())).await;
}
