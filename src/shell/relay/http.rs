//! The relay's plain HTTP: mailboxes for scripts, event packs, health and counts.
//!
//! | request | answer |
//! |---|---|
//! | `PUT /v1/mailbox/{write name}`, body one blob, `Alcove-Hours: N`, `Alcove-Delete-Hash: HEX` | 201 when durable; 400, 429, 503, 507 with the reason |
//! | `GET /v1/mailbox/{write name}?after=N`, `Authorization: Bearer {read key}` | 200 the next blob, `Alcove-Cursor: N`; 204 nothing newer; 403 |
//! | `DELETE /v1/mailbox/{write name}`, `Authorization: Bearer {delete key}` | 204; 404 nothing that this key withdraws |
//! | `GET /v1/pack/{sha256}` | 200 the pack; 404 |
//! | `GET /healthz`, `GET /metrics` | 200 |
//!
//! A request's head has at most 8 KiB, and no answer is held in memory as a whole but a blob. Names, keys and hashes are hex. Keys stand in headers, never in an address, because addresses end up in logs.

use super::hex;
use super::listener::{Connection, Door, Io};
use super::mailbox::Put;
use super::message::{SOCKET_PATH, delete_hash};
use super::meter::Meter;
use super::pack::PACK_BYTES_MAX;
use super::server::Shared;
use super::socket;
use crate::proto::config::RELAY_BLOB_BYTES;
use crate::proto::id::WriteName;
use crate::proto::io::{ReadKey, RelayRefusal};
use crate::proto::secret::Key;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Path, Query, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::fs::File;
use tokio::io::AsyncReadExt;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

const HOURS: &str = "alcove-hours";
const DELETE_HASH: &str = "alcove-delete-hash";
const CURSOR: &str = "alcove-cursor";

/// The head of a request, and what of the next one is read before this one is answered: hyper's least. Its default is fifty times that.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// A pack goes out in pieces of this size.
const PIECE_BYTES: usize = 8 * 1024;

/// Serves every connection that comes through the door, until the relay closes; then what is under way is finished.
pub async fn serve(mut door: Door, shared: Arc<Shared>) {
    let (router, mut closing) = (router(shared.clone()), shared.closing.clone());
    drop(shared);
    let mut connections = JoinSet::new();
    loop {
        let io = tokio::select! {
            io = door.next() => io,
            _ = closing.wait_for(|is_closing| *is_closing) => None,
            Some(_) = connections.join_next() => continue,
        };
        let Some(io) = io else { break };
        connections.spawn(serve_one(io, router.clone(), closing.clone()));
    }
    drop((door, router, closing));
    while connections.join_next().await.is_some() {}
}

async fn serve_one(io: Io, router: Router, mut closing: watch::Receiver<bool>) {
    let connection = io.connection();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(connection.clone()));
        TowerToHyperService::new(router.clone()).call(request)
    });
    let served = http1::Builder::new().max_buf_size(HEAD_BYTES_MAX).serve_connection(TokioIo::new(io), service).with_upgrades();
    let mut served = pin!(served);
    tokio::select! {
        _ = served.as_mut() => return,
        _ = closing.wait_for(|is_closing| *is_closing) => served.as_mut().graceful_shutdown(),
    }
    drop(closing);
    let _ = served.await;
}

/// All paths of the relay.
pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route(SOCKET_PATH, get(open_socket))
        .route("/v1/mailbox/{name}", get(read).put(put).delete(withdraw))
        .route("/v1/pack/{hash}", get(pack))
        .route("/healthz", get(async || "ok\n"))
        .route("/metrics", get(metrics))
        .layer(DefaultBodyLimit::max(RELAY_BLOB_BYTES))
        .with_state(shared)
}

type App = State<Arc<Shared>>;

async fn open_socket(State(shared): App, ConnectInfo(connection): ConnectInfo<Connection>, upgrade: WebSocketUpgrade) -> Response {
    socket::open(upgrade, connection, shared)
}

async fn put(
    State(shared): App,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(name): Path<String>,
    headers: HeaderMap,
    blob: Bytes,
) -> Response {
    if let Some(refused) = refuse_haste(&shared, &connection) {
        return refused;
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(to), Some(hours), Some(delete_hash)) =
        (hex::parse(&name), header(HOURS).and_then(|hours| hours.parse().ok()), header(DELETE_HASH).and_then(hex::parse))
    else {
        shared.meter.count_refusal(RelayRefusal::Malformed);
        return refusal(RelayRefusal::Malformed);
    };
    let (answer, answered) = oneshot::channel();
    let put = Put { to: WriteName(to), blob, hours, delete_hash };
    shared
        .store
        .put(put, |placed| {
            let _ = answer.send(placed);
        })
        .await;
    match answered.await {
        Ok(Ok(())) => StatusCode::CREATED.into_response(),
        Ok(Err(why)) => refusal(why),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn read(
    State(shared): App,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(name): Path<String>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refuse_haste(&shared, &connection) {
        return refused;
    }
    let mailbox = hex::parse(&name).map(WriteName);
    let opened = bearer(&headers).map(|key| ReadKey(Key(key)).write_name());
    let (Some(mailbox), true) = (mailbox, mailbox == opened) else {
        Meter::count(&shared.meter.wrong_key);
        return (StatusCode::FORBIDDEN, "this key does not open this mailbox\n").into_response();
    };
    match shared.store.next_after(mailbox, after).await {
        Ok(Some((cursor, blob))) => {
            Meter::count(&shared.meter.reads);
            ([(CURSOR, cursor.to_string()), (CACHE_CONTROL.as_str(), "no-store".into())], blob).into_response()
        }
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => {
            tracing::error!("{error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn withdraw(
    State(shared): App,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refuse_haste(&shared, &connection) {
        return refused;
    }
    let (Some(from), Some(delete_key)) = (hex::parse(&name), bearer(&headers)) else {
        shared.meter.count_refusal(RelayRefusal::Malformed);
        return refusal(RelayRefusal::Malformed);
    };
    let (answer, answered) = oneshot::channel();
    shared
        .store
        .delete(WriteName(from), delete_hash(&delete_key), |gone| {
            let _ = answer.send(gone);
        })
        .await;
    match answered.await {
        Ok(0) => {
            Meter::count(&shared.meter.wrong_key);
            (StatusCode::NOT_FOUND, "no blob there that this key withdraws\n").into_response()
        }
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn pack(State(shared): App, ConnectInfo(connection): ConnectInfo<Connection>, Path(hash): Path<String>) -> Response {
    if let Some(refused) = refuse_haste(&shared, &connection) {
        return refused;
    }
    // Only the form of a hash becomes a file's name, so no path leads out of the folder.
    let file = hex::parse::<32>(&hash).zip(shared.packs.as_ref()).map(|(hash, packs)| packs.join(hex::print(&hash)));
    let Some(file) = file else { return StatusCode::NOT_FOUND.into_response() };
    match open_pack(file).await {
        Ok((file, size)) if size <= PACK_BYTES_MAX as u64 => ([(CONTENT_LENGTH, size)], in_pieces(file, size)).into_response(),
        Ok(_) | Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn open_pack(path: std::path::PathBuf) -> io::Result<(File, u64)> {
    let file = File::open(path).await?;
    let size = file.metadata().await?.len();
    Ok((file, size))
}

/// So that whoever asks for a pack and does not read it costs a piece of it.
fn in_pieces(mut file: File, size: u64) -> Body {
    file.set_max_buf_size(PIECE_BYTES);
    let next = |mut file: tokio::io::Take<File>| async {
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece).await {
            Ok(0) => None,
            Ok(count) => {
                piece.truncate(count);
                Some((Ok(piece), file))
            }
            Err(error) => Some((Err(error), file)),
        }
    };
    Body::from_stream(stream::unfold(file.take(size), next))
}

async fn metrics(State(shared): App) -> Response {
    let (blobs, bytes) = shared.store.holds();
    ([("content-type", "text/plain; version=0.0.4")], shared.meter.page(blobs, bytes)).into_response()
}

fn refuse_haste(shared: &Shared, connection: &Connection) -> Option<Response> {
    connection.bucket.take().err()?;
    shared.meter.count_refusal(RelayRefusal::SlowDown);
    Some(refusal(RelayRefusal::SlowDown))
}

fn refusal(why: RelayRefusal) -> Response {
    let status = match why {
        RelayRefusal::MailboxFull => StatusCode::INSUFFICIENT_STORAGE,
        RelayRefusal::RelayFull => StatusCode::SERVICE_UNAVAILABLE,
        RelayRefusal::SlowDown => StatusCode::TOO_MANY_REQUESTS,
        RelayRefusal::Malformed => StatusCode::BAD_REQUEST,
    };
    (status, format!("{why}\n")).into_response()
}

fn bearer<const N: usize>(headers: &HeaderMap) -> Option<[u8; N]> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ").and_then(hex::parse)
}
