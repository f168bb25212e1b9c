//! Strangers at the relay: requests that never end, frames that lie, answers that nobody reads, more connections than there are places.

use crate::world::{Socket, World, number, put, put_for, quick, read_key, subscribe};
use crate::{MEMORY, PEER_BYTES_MAX, alone, peak_of, until, within};
use alcove::proto::config::RELAY_MESSAGE_BYTES;
use alcove::proto::io::RelayCommand;
use alcove::shell::relay::message::{Reply, SUBSCRIPTIONS_MAX, encode_command};
use alcove::shell::relay::{Identity, Limits, Options};
use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

const CROWD: usize = 150;
/// What the relay and the honest two may hold more meanwhile: blobs under way, answers, the mailboxes' own.
const HONEST_BYTES: usize = 512 * 1024;
pub const UPGRADE: &str = "GET /v1/ws HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A writer and a reader who go on with their work.
struct Honest {
    writer: Socket,
    reader: Socket,
    said: usize,
}

impl Honest {
    async fn new(world: &World) -> Honest {
        let (writer, mut reader) = (world.socket().await, world.socket().await);
        assert_eq!(reader.read(1, 0).await, []);
        Honest { writer, reader, said: 0 }
    }

    /// Some blobs are put, kept and delivered, and withdrawn so that they take no room.
    async fn go_on(&mut self) {
        for _ in 0..5 {
            self.said += 1;
            let mailbox = read_key(1).write_name();
            self.writer.store(put_for(self.said, mailbox, 1, [9; 16])).await;
            let Some(Reply::Blob { blob, .. }) = self.reader.hear().await else { panic!("the blob arrives") };
            assert_eq!(number(&blob), self.said);
            self.writer.say(RelayCommand::Delete { from: mailbox, delete_key: [9; 16] }).await;
        }
    }
}

/// A stranger that says this, as far as it is taken: who takes nothing for a while gets no more.
async fn stranger(at: SocketAddr, says: &[u8]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    let stream = within("a stream", socket.connect(at)).await.unwrap();
    let mut said = 0;
    while said < says.len() && matches!(timeout(Duration::from_millis(15), stream.writable()).await, Ok(Ok(()))) {
        match stream.try_write(&says[said..]) {
            Ok(count) => said += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // It has been cut off.
            Err(_) => break,
        }
    }
    stream
}

/// A frame of a WebSocket with a mask of zeros, whose header says this length.
pub fn frame(first: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    [&[first, 0xff][..], &length.to_be_bytes(), &[0; 4], payload].concat()
}

fn messages(commands: impl Iterator<Item = RelayCommand>) -> Vec<u8> {
    let one = |command| frame(0x82, RELAY_MESSAGE_BYTES as u64, &encode_command(&command).unwrap());
    [UPGRADE.as_bytes().to_vec(), commands.flat_map(one).collect()].concat()
}

fn upgraded(frames: &[u8]) -> Vec<u8> {
    [UPGRADE.as_bytes(), frames].concat()
}

#[tokio::test]
async fn a_stranger_costs_the_relay_64_kib_at_most_and_the_honest_go_on() {
    let _turn = alone().await;
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { mailbox_blobs_max: 64, blobs_max: 256 };
    let world = World::new(Options { store: Some(folder.path().to_owned()), limits, ..quick() }).await;
    let pack = vec![5; 200 * 1024];
    let hash: [u8; 32] = sha2::Digest::finalize(sha2::Digest::chain_update(<sha2::Sha256 as sha2::Digest>::new(), &pack)).into();
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(folder.path().join("packs").join(&hash), &pack).unwrap();
    let mut honest = Honest::new(&world).await;
    // A mailbox with something in it, to be read without reading.
    for n in 0..40 {
        honest.writer.store(put(n, read_key(2).write_name())).await;
    }

    let long = vec![b'a'; 600 * 1024];
    let subscriptions = (0..SUBSCRIPTIONS_MAX as u8).map(|n| subscribe(n.wrapping_add(2), 0));
    let attacks: Vec<(&str, Vec<u8>)> = vec![
        ("silence", Vec::new()),
        ("half a line", b"GET /v1/ma".to_vec()),
        ("a head that might still end", [b"GET /healthz HTTP/1.1\r\nHost: ", &long[..8_000]].concat()),
        (
            "lines that might still end",
            [&b"GET /healthz HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(90), b"Y: ", &long[..7_000]].concat(),
        ),
        (
            "a body that might still end",
            [&b"PUT /v1/mailbox/00 HTTP/1.1\r\nHost: r\r\nContent-Length: 4096\r\n\r\n"[..], &long[..4_090]].concat(),
        ),
        ("a frame that might still end", upgraded(&frame(0x82, RELAY_MESSAGE_BYTES as u64, &long[..4_000]))),
        ("an address without end", [b"GET /", &long[..]].concat()),
        ("a header without end", [b"GET /healthz HTTP/1.1\r\nHost: ", &long[..]].concat()),
        ("headers without end", [&b"GET /healthz HTTP/1.1\r\n"[..], &b"X: y\r\n".repeat(80_000)].concat()),
        (
            "a body without end",
            [&b"PUT /v1/mailbox/00 HTTP/1.1\r\nHost: r\r\nContent-Length: 99999999999\r\n\r\n"[..], &long].concat(),
        ),
        (
            "a piece without end",
            [&b"PUT /v1/mailbox/00 HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n"[..], &long].concat(),
        ),
        ("requests whose answers are not read", b"GET /metrics HTTP/1.1\r\nHost: r\r\n\r\n".repeat(2_000)),
        ("a pack that is not read", format!("GET /v1/pack/{hash} HTTP/1.1\r\nHost: r\r\n\r\n").repeat(20).into_bytes()),
        ("a frame that says it has 4 EiB", upgraded(&frame(0x82, 1 << 62, &long))),
        ("a frame of a mebibyte", upgraded(&frame(0x82, 1 << 20, &long))),
        (
            "a message in pieces without end",
            upgraded(&[frame(0x02, 4_000, &long[..4_000]), frame(0x00, 4_000, &long[..4_000]).repeat(50)].concat()),
        ),
        ("pings whose answers are not read", upgraded(&frame(0x89, 125, &long[..125]).repeat(4_000))),
        ("reading without reading", messages(subscriptions)),
        ("putting without reading", messages((0..200).map(|n| put(n, read_key(3).write_name())))),
        ("a first word of TLS", [&[0x16, 3, 1, 0xff, 0xff][..], &long].concat()),
    ];
    for (name, says) in attacks {
        let (peak, crowd) = peak_of(async {
            let mut crowd = Vec::with_capacity(CROWD);
            for number in 0..CROWD {
                crowd.push(stranger(world.address, &says).await);
                if number % 50 == 0 {
                    honest.go_on().await;
                }
            }
            honest.go_on().await;
            crowd
        })
        .await;
        println!("{name}: {CROWD} strangers, {} bytes each at most at one time", peak / CROWD);
        assert!(peak <= CROWD * PEER_BYTES_MAX + HONEST_BYTES, "{name}: {peak} bytes at most at one time");
        drop(crowd);
        until("they are let go", || world.meter.connections.load(SeqCst) == 2).await;
    }
    drop(honest);
    until("all are let go", || world.meter.connections.load(SeqCst) == 0).await;
    world.stop().await;
}

#[tokio::test]
async fn a_stranger_under_tls_costs_no_more() {
    let _turn = alone().await;
    let world = World::new(Options { tls: Some(Identity::SelfSigned { folder: None }), ..quick() }).await;
    let long = vec![b'a'; 300 * 1024];
    let record = |length: u16, payload: &[u8]| [&[0x16, 3, 1][..], &length.to_be_bytes(), payload].concat();
    // A ClientHello that says it has 16 MiB, in records of 16 KiB.
    let hello = record(16_384, &[&[1, 0xff, 0xff, 0xff][..], &long[..16_380]].concat());
    for (name, says) in [
        ("silence", Vec::new()),
        ("half a record", record(16_384, &long[..16_000])),
        ("a hello that might still end", record_of_hello(&record, &long)),
        ("a hello without end", [hello, record(16_384, &long[..16_384]).repeat(10)].concat()),
        ("no TLS at all", [b"GET / HTTP/1.1\r\nHost: ", &long[..]].concat()),
    ] {
        let (peak, crowd) = peak_of(async {
            let mut crowd = Vec::with_capacity(CROWD);
            for _ in 0..CROWD {
                crowd.push(stranger(world.address, &says).await);
            }
            crowd
        })
        .await;
        println!("{name} under TLS: {CROWD} strangers, {} bytes each at most at one time", peak / CROWD);
        assert!(peak <= CROWD * PEER_BYTES_MAX + HONEST_BYTES, "{name}: {peak} bytes at most at one time");
        drop(crowd);
    }
    world.stop().await;
}

/// A ClientHello of 60 KiB, which TLS allows, that lacks its end.
fn record_of_hello(record: &impl Fn(u16, &[u8]) -> Vec<u8>, long: &[u8]) -> Vec<u8> {
    let first = record(16_384, &[&[1, 0, 0xf0, 0][..], &long[..16_380]].concat());
    [first, record(16_384, &long[..16_384]).repeat(2)].concat()
}

#[tokio::test]
async fn more_connections_than_there_are_places_are_closed_and_the_honest_stay() {
    let _turn = alone().await;
    let world = World::new(Options { connections_max: 20, ..quick() }).await;
    let mut honest = Honest::new(&world).await;
    let held = MEMORY.current_usage();
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(stranger(world.address, b"GET / HTTP").await);
    }
    honest.go_on().await;
    until("all are seen", || world.meter.turned_away.load(SeqCst) == 300 - 18).await;
    assert_eq!(world.meter.connections.load(SeqCst), 20);
    drop(crowd);
    until("they are let go", || world.meter.connections.load(SeqCst) == 2).await;
    honest.go_on().await;
    assert!(MEMORY.current_usage() <= held + HONEST_BYTES);
    let mut late = world.socket().await;
    assert_eq!(late.read(4, 0).await, [], "control: there is room again");
    drop((honest, late));
    world.stop().await;
}

#[tokio::test]
async fn control_a_server_that_buffers_what_comes_costs_more() {
    let _turn = alone().await;
    // The same crowd at the same paths, served by axum as it comes: hyper gathers 400 KiB of a head before it gives up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let router = axum::Router::new().route("/healthz", axum::routing::get(async || "ok\n"));
    let server = tokio::spawn(axum::serve(listener, router).into_future());
    let head = [&b"GET /healthz HTTP/1.1\r\n"[..], &b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n".repeat(90)].concat();
    let head = [&head[..], b"Y: ", &vec![b'z'; 350 * 1024]].concat();
    let (peak, crowd) = peak_of(async {
        let mut crowd = Vec::with_capacity(CROWD);
        for _ in 0..CROWD {
            crowd.push(stranger(at, &head).await);
        }
        crowd
    })
    .await;
    println!("control: {CROWD} strangers, {} bytes each at most at one time", peak / CROWD);
    assert!(peak > CROWD * PEER_BYTES_MAX + HONEST_BYTES, "{peak}");
    drop(crowd);
    server.abort();
}
