//! One TCP stream as a link: its reading and writing, its end.
//!
//! Laws: nothing is read while the events' channel is full; after `LinkDown` nothing more is said of a link.

use super::dial::configure;
use crate::proto::id::LinkId;
use crate::proto::io::{Input, Origin};
use crate::shell::queue::{End, Links, PATIENCE, Queue};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// At most so much in one `Received`, and in one write if it is made of several pieces.
const READ_BYTES_MAX: usize = 16 * 1024;
/// How long a link that the node closed may take to send what is still queued.
const FAREWELL: Duration = Duration::from_secs(1);

/// Moves bytes both ways until the stream or the link ends.
pub(super) async fn carry(links: Arc<Links>, link: LinkId, origin: Origin, stream: TcpStream, events: mpsc::Sender<Input>) {
    let Some(queue) = links.queue(link) else { return };
    configure(&stream);
    let (mut read, write) = stream.into_split();
    let mut writer = Writer { half: write, batch: Vec::new(), written: 0 };
    if events.send(Input::LinkUp { link, origin }).await.is_ok() {
        tokio::select! {
            () = receive(&mut read, link, &events) => {}
            () = writer.send(&queue) => {}
            () = queue.ended(PATIENCE) => {}
        }
    }
    links.close(link);
    let down = events.send(Input::LinkDown { link });
    let farewell = async {
        if queue.ending() == Some(End::Flushed) {
            let _ = timeout(FAREWELL, writer.send_rest_and_close(&queue, &mut read)).await;
        }
    };
    let _ = tokio::join!(down, farewell);
}

/// Hands over what arrives, until the peer ends the stream or nobody listens.
async fn receive(read: &mut OwnedReadHalf, link: LinkId, events: &mpsc::Sender<Input>) {
    let mut buffer = vec![0; READ_BYTES_MAX];
    while let Ok(count @ 1..) = read.read(&mut buffer).await {
        if events.send(Input::Received { link, bytes: buffer[..count].to_vec() }).await.is_err() {
            return;
        }
    }
}

/// The writing side of a stream with the place it has got to, so that it can be interrupted and go on.
struct Writer {
    half: OwnedWriteHalf,
    batch: Vec<u8>,
    written: usize,
}

impl Writer {
    /// Writes what is queued and what will be, until the stream fails.
    async fn send(&mut self, queue: &Queue) {
        while self.send_queued(queue).await {
            queue.filled.notified().await;
        }
    }

    /// Writes what is queued and says the end; then waits for the peer's, because closing with unread bytes would reset the
    /// stream and destroy what the peer has not read yet.
    async fn send_rest_and_close(&mut self, queue: &Queue, read: &mut OwnedReadHalf) {
        if self.send_queued(queue).await && self.half.shutdown().await.is_ok() {
            let mut unheard = vec![0; READ_BYTES_MAX];
            while let Ok(1..) = read.read(&mut unheard).await {}
        }
    }

    /// Writes until the queue is empty (true) or the stream fails (false).
    async fn send_queued(&mut self, queue: &Queue) -> bool {
        loop {
            while self.written < self.batch.len() {
                match self.half.write(&self.batch[self.written..]).await {
                    Ok(count @ 1..) => {
                        self.written += count;
                        queue.wrote(count);
                    }
                    Ok(0) | Err(_) => return false,
                }
            }
            let Some(batch) = queue.take(READ_BYTES_MAX) else { return true };
            (self.batch, self.written) = (batch, 0);
        }
    }
}
