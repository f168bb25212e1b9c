//! One connection as a link, whichever side opened it: its queue goes out in values of one size, what comes in goes to the node.
//!
//! Law: after `LinkDown` nothing more is said of a link.

use super::value_bytes;
use crate::proto::id::LinkId;
use crate::proto::io::{Input, Origin};
use crate::shell::queue::{End, Links, PATIENCE, Queue};
use futures_util::{Stream, StreamExt};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// At most so much is taken from a queue at a time: what a connection event carries.
const BATCH_BYTES: usize = 4 * 244;
/// How long a link that the node closed may take to send what is still queued.
const FAREWELL: Duration = Duration::from_secs(2);

/// The way out of a connection.
pub trait Values {
    /// Sends one value; an error ends the link.
    fn send(&mut self, value: Vec<u8>) -> impl Future<Output = Result<(), Gone>> + Send;
}

/// The connection is gone.
#[derive(Debug)]
pub struct Gone;

/// Moves values both ways until the connection or the link ends. `incoming` ends with the connection.
pub async fn carry(
    links: &Links,
    link: LinkId,
    origin: Origin,
    mtu: u16,
    out: &mut (impl Values + Send),
    mut incoming: impl Stream<Item = Vec<u8>> + Unpin + Send,
    events: &mpsc::Sender<Input>,
) {
    let (Some(queue), Some(value_bytes)) = (links.queue(link), value_bytes(mtu)) else { return };
    if events.send(Input::LinkUp { link, origin }).await.is_ok() {
        tokio::select! {
            () = receive(&mut incoming, link, events) => {}
            _ = send(&queue, value_bytes, out) => {}
            () = queue.ended(PATIENCE) => {}
        }
    }
    links.close(link);
    if queue.ending() == Some(End::Flushed) {
        let _ = timeout(FAREWELL, send_queued(&queue, value_bytes, out)).await;
    }
    let _ = events.send(Input::LinkDown { link }).await;
}

async fn receive(incoming: &mut (impl Stream<Item = Vec<u8>> + Unpin), link: LinkId, events: &mpsc::Sender<Input>) {
    while let Some(bytes) = incoming.next().await {
        if events.send(Input::Received { link, bytes }).await.is_err() {
            return;
        }
    }
}

async fn send(queue: &Arc<Queue>, value_bytes: usize, out: &mut impl Values) -> Result<(), Gone> {
    loop {
        send_queued(queue, value_bytes, out).await?;
        queue.filled.notified().await;
    }
}

async fn send_queued(queue: &Arc<Queue>, value_bytes: usize, out: &mut impl Values) -> Result<(), Gone> {
    while let Some(batch) = queue.take(BATCH_BYTES) {
        for value in batch.chunks(value_bytes) {
            out.send(value.to_vec()).await?;
            queue.wrote(value.len());
        }
    }
    Ok(())
}
