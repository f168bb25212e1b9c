//! A relay in this process, a bare WebSocket and a bare HTTP request to talk to it, and waiting with a limit.

use alcove::proto::config::RELAY_BLOB_BYTES;
use alcove::proto::id::{PutId, WriteName};
use alcove::proto::io::{ReadKey, RelayCommand, RelayEvent};
use alcove::proto::secret::Key;
use alcove::shell::relay::message::{Reply, decode_reply, delete_hash, encode_command};
use alcove::shell::relay::{HourClock, Meter, Options, Pace, Pin, Relay, RelayAddress};
use futures_util::{SinkExt, StreamExt};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("did not happen: {what}"))
}

/// Waits until a condition holds that nobody announces.
pub async fn until(what: &str, condition: impl AsyncFn() -> bool) {
    within(what, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub struct World {
    pub address: SocketAddr,
    pub pin: Option<Pin>,
    pub meter: Arc<Meter>,
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl World {
    pub async fn new(options: Options) -> World {
        let relay = Relay::bind(options).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        let (address, pin, meter) = (relay.local_addr(), relay.tls_pin(), relay.meter());
        let running = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            relay.run(stopped).await.unwrap();
        });
        World { address, pin, meter, stop, running }
    }

    /// As after SIGTERM.
    pub async fn stop(self) {
        self.stop.send(()).unwrap();
        within("the relay stops", self.running).await.unwrap();
    }

    pub fn relay_address(&self) -> RelayAddress {
        let scheme = if self.pin.is_some() { "wss" } else { "ws" };
        RelayAddress { url: format!("{scheme}://{}", self.address), tls_pin: self.pin.map(|pin| pin.0) }
    }

    pub async fn socket(&self) -> Socket {
        Socket::over(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// Status, head and body.
    pub async fn http(&self, request: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let length = body.len();
        let (line, headers) = request.split_once('\n').unwrap_or((request, ""));
        let headers: String = headers.lines().map(|header| format!("{}\r\n", header.trim())).collect();
        let head = format!("{line} HTTP/1.1\r\nHost: r\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        // A relay that refuses early need not take the body.
        let _ = stream.write_all(body).await;
        let mut answer = Vec::new();
        let _ = within("an HTTP answer", stream.read_to_end(&mut answer)).await;
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("an HTTP head");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), answer[end + 4..].to_vec())
    }

    /// The value of a line of `/metrics`.
    pub async fn metric(&self, name: &str) -> u64 {
        let page = String::from_utf8(self.http("GET /metrics", &[]).await.2).unwrap();
        let line = page.lines().find_map(|line| line.strip_prefix(&format!("alcove_relay_{name} ")));
        line.unwrap_or_else(|| panic!("no {name} in {page}")).parse().unwrap()
    }
}

/// A clock that stands until it is set.
pub fn clock(hour: u32) -> (Arc<AtomicU32>, HourClock) {
    let hand = Arc::new(AtomicU32::new(hour));
    let shown = hand.clone();
    (hand, HourClock(Arc::new(move || shown.load(SeqCst))))
}

pub fn quick() -> Options {
    Options { requests_per_second: 1_000_000, sweep_every: Duration::from_millis(20), ..Options::default() }
}

/// Retries at once, so that no test waits for a pause that is meant for people.
pub fn hasty() -> Pace {
    Pace { retry_min: Duration::from_millis(10), retry_max: Duration::from_millis(50), ..Pace::default() }
}

pub fn read_key(n: u8) -> ReadKey {
    ReadKey(Key([n; 32]))
}

pub fn blob(n: usize) -> Vec<u8> {
    let mut blob = vec![0xa5; RELAY_BLOB_BYTES];
    blob[..8].copy_from_slice(&(n as u64).to_le_bytes());
    blob
}

/// The number that [`blob`] wrote into it.
pub fn number(blob: &[u8]) -> usize {
    u64::from_le_bytes(blob[..8].try_into().unwrap()) as usize
}

pub fn put(n: usize, to: WriteName) -> RelayCommand {
    put_for(n, to, 24, [n as u8; 16])
}

pub fn put_for(n: usize, to: WriteName, hours: u8, delete_key: [u8; 16]) -> RelayCommand {
    RelayCommand::Put { id: PutId(n as u64), to, blob: blob(n), hours, delete_hash: delete_hash(&delete_key) }
}

pub fn subscribe(n: u8, after: u64) -> RelayCommand {
    RelayCommand::Subscribe { read_key: read_key(n), after }
}

/// A device that speaks the protocol and has no manners of its own.
pub struct Socket(pub WebSocketStream<TcpStream>);

impl Socket {
    pub async fn over(stream: TcpStream) -> Socket {
        let (socket, _) = within("a WebSocket", client_async("ws://relay/v1/ws", stream)).await.unwrap();
        Socket(socket)
    }

    pub async fn say(&mut self, command: RelayCommand) {
        self.say_raw(Message::Binary(encode_command(&command).unwrap().into())).await.unwrap();
    }

    pub async fn say_raw(&mut self, message: Message) -> Result<(), Error> {
        within("the relay takes a message", self.0.send(message)).await
    }

    /// The next reply; `None`: the relay ended the connection.
    pub async fn hear(&mut self) -> Option<Reply> {
        match within("a reply", self.0.next()).await? {
            Ok(Message::Binary(bytes)) => Some(decode_reply(&bytes).unwrap()),
            Ok(_) | Err(_) => None,
        }
    }

    pub async fn store(&mut self, command: RelayCommand) {
        let RelayCommand::Put { id, .. } = command else { panic!("only puts are stored") };
        self.say(command).await;
        assert_eq!(self.hear().await, Some(Reply::Stored { id }));
    }

    /// Everything of a mailbox after a cursor, up to `CaughtUp`: cursors and numbers.
    pub async fn read(&mut self, n: u8, after: u64) -> Vec<(u64, usize)> {
        self.say(subscribe(n, after)).await;
        let mut seen = Vec::new();
        loop {
            match self.hear().await {
                Some(Reply::Blob { mailbox, cursor, blob }) => {
                    assert_eq!(mailbox, read_key(n).write_name());
                    seen.push((cursor, number(&blob)));
                }
                Some(Reply::CaughtUp { mailbox }) => {
                    assert_eq!(mailbox, read_key(n).write_name());
                    return seen;
                }
                other => panic!("no part of a reading: {other:?}"),
            }
        }
    }
}

pub fn numbers(seen: &[(u64, usize)]) -> Vec<usize> {
    assert!(seen.windows(2).all(|pair| pair[0].0 < pair[1].0), "cursors ascend");
    assert!(seen.iter().all(|(cursor, _)| *cursor > 0), "no cursor is 0");
    seen.iter().map(|(_, number)| *number).collect()
}

pub async fn event(events: &mut mpsc::Receiver<RelayEvent>) -> RelayEvent {
    within("an event", events.recv()).await.expect("the client lives")
}
