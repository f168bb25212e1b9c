//! Hostile peers against the real LAN station and the real relay, over sockets on the loopback: what one of them may cost in memory is
//! counted by the allocator, and honest people do their work meanwhile.
#![cfg(feature = "shell")]

mod lan;
mod phone;
mod process;
mod relay;
mod resident;
#[path = "../relay/world.rs"]
#[allow(dead_code)] // shared with the relay's own tests
mod world;

use peak_alloc::PeakAlloc;
use std::future::Future;
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a peer that proved nothing may cost.
const PEER_BYTES_MAX: usize = 64 * 1024;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

static TURN: Mutex<()> = Mutex::const_new(());

/// Only one test at a time is counted.
async fn alone() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("did not happen: {what}"))
}

/// Waits until a condition holds that nobody announces.
async fn until(what: &str, condition: impl Fn() -> bool) {
    within(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// The most that was allocated at one time while this ran, beyond what was there before.
async fn peak_of<T>(work: impl Future<Output = T>) -> (usize, T) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let done = work.await;
    (MEMORY.peak_usage().saturating_sub(before), done)
}
