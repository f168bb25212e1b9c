//! One device's WebSocket at the relay: commands in, replies out, side by side so that neither waits for the other.
//!
//! Laws: what is not a message of the protocol ends this connection and touches no other; a put beyond the connection's rate is refused
//! with `SlowDown`, everything else waits its turn; at most [`ANSWERS_MAX`] puts are under way, then nothing more is read.

use super::hub::{Outbox, Step};
use super::listener::Connection;
use super::mailbox::Put;
use super::message::{Reply, decode_command, delete_hash, encode_reply};
use super::meter::Meter;
use super::server::Shared;
use crate::proto::config::RELAY_MESSAGE_BYTES;
use crate::proto::io::{RelayCommand, RelayRefusal};
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

/// Puts of one connection that are not answered yet: half of what it may hold in memory.
const ANSWERS_MAX: u32 = 8;
/// Enough for one message and its frame; a phone that only listens costs no more.
const READ_BUFFER_BYTES: usize = RELAY_MESSAGE_BYTES + 256;
/// What waits to be written: one message, and the next one behind it.
const WRITE_BUFFER_BYTES: usize = RELAY_MESSAGE_BYTES;
/// A peer that does not take our last words within this time does not get them.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// RFC 6455, 7.4.1.
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const INTERNAL_ERROR: u16 = 1011;

/// Turns the HTTP connection into a WebSocket and serves it.
pub fn open(upgrade: WebSocketUpgrade, connection: Connection, shared: Arc<Shared>) -> Response {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_write_buffer_size(2 * WRITE_BUFFER_BYTES)
        .max_message_size(RELAY_MESSAGE_BYTES)
        .max_frame_size(RELAY_MESSAGE_BYTES)
        .on_upgrade(move |socket| async move {
            connection.is_socket.store(true, Relaxed);
            serve(socket, &connection, &shared).await;
        })
}

async fn serve(socket: WebSocket, connection: &Connection, shared: &Shared) {
    let (sink, stream) = socket.split();
    let outbox = Arc::new(Outbox::default());
    let permits = Arc::new(Semaphore::new(ANSWERS_MAX as usize));
    let mut closing = shared.closing.clone();
    let closed = async {
        let _ = closing.wait_for(|is_closing| *is_closing).await;
    };
    let listening = async {
        let code = tokio::select! {
            code = hear(stream, connection, &outbox, &permits, shared) => code,
            () = closed => {
                // What has been asked is answered first: all permits are back when all answers are said.
                let _ = timeout(FAREWELL_MAX, permits.acquire_many(ANSWERS_MAX)).await;
                Some(GOING_AWAY)
            }
        };
        if let Some(code) = code {
            outbox.end(code);
            sleep(FAREWELL_MAX).await;
        }
    };
    // Whichever ends first, the other has nobody to talk to.
    tokio::select! {
        () = say(sink, &outbox, shared) => {}
        () = listening => {}
    }
    shared.hub.leave(&outbox);
}

/// Reads commands until the connection ends; then the code to close it with, or `None` if the peer is gone.
async fn hear(
    mut stream: SplitStream<WebSocket>,
    connection: &Connection,
    outbox: &Arc<Outbox>,
    permits: &Arc<Semaphore>,
    shared: &Shared,
) -> Option<u16> {
    while let Some(message) = stream.next().await {
        let command = match message {
            Ok(Message::Binary(bytes)) => decode_command(&bytes),
            Ok(Message::Ping(_) | Message::Pong(_)) => continue,
            Ok(Message::Close(_)) => return None,
            Ok(Message::Text(_)) | Err(_) => Err(super::message::Malformed),
        };
        let Ok(command) = command else {
            Meter::count(&shared.meter.malformed);
            return Some(PROTOCOL_ERROR);
        };
        if let RelayCommand::Put { id, to, blob, hours, delete_hash } = command {
            let permit = permits.clone().acquire_owned().await.ok();
            if connection.bucket.take().is_err() {
                shared.meter.count_refusal(RelayRefusal::SlowDown);
                outbox.answer(Reply::Refused { id, why: RelayRefusal::SlowDown }, permit);
                continue;
            }
            let outbox = outbox.clone();
            let answer = move |placed| {
                let reply = match placed {
                    Ok(()) => Reply::Stored { id },
                    Err(why) => Reply::Refused { id, why },
                };
                outbox.answer(reply, permit);
            };
            shared.store.put(Put { to, blob: blob.into(), hours, delete_hash }, answer).await;
            continue;
        }
        connection.bucket.wait().await;
        match command {
            RelayCommand::Subscribe { read_key, after } => {
                if !shared.hub.subscribe(outbox, read_key.write_name(), after) {
                    Meter::count(&shared.meter.subscriptions);
                }
            }
            RelayCommand::Unsubscribe { read_key } => shared.hub.unsubscribe(outbox, read_key.write_name()),
            RelayCommand::Delete { from, delete_key } => shared.store.delete(from, delete_hash(&delete_key), |_| ()).await,
            RelayCommand::Put { .. } => {}
        }
    }
    None
}

/// Writes replies until the connection ends.
async fn say(mut sink: SplitSink<WebSocket, Message>, outbox: &Outbox, shared: &Shared) {
    loop {
        let said = match outbox.next() {
            Step::Say(reply, permit) => {
                let said = sink.feed(binary(&reply)).await;
                drop(permit);
                said
            }
            Step::Read { mailbox, after } => match shared.store.next_after(mailbox, after).await {
                Ok(Some((cursor, blob))) => {
                    let said = sink.feed(binary(&Reply::Blob { mailbox, cursor, blob })).await;
                    Meter::count(&shared.meter.reads);
                    outbox.sent(mailbox, after, cursor);
                    said
                }
                Ok(None) if outbox.drained(mailbox, after) => sink.feed(binary(&Reply::CaughtUp { mailbox })).await,
                Ok(None) => Ok(()),
                Err(error) => {
                    tracing::error!("{error}");
                    outbox.end(INTERNAL_ERROR);
                    Ok(())
                }
            },
            Step::Rest { ending: None } => {
                let said = sink.flush().await;
                outbox.news().await;
                said
            }
            Step::Rest { ending: Some(code) } => {
                let farewell = CloseFrame { code, reason: "".into() };
                let _ = sink.send(Message::Close(Some(farewell))).await;
                return;
            }
        };
        if said.is_err() {
            return;
        }
    }
}

fn binary(reply: &Reply) -> Message {
    Message::Binary(encode_reply(reply).into())
}
