//! The relay's door: accepts connections, finishes TLS beside the others, and ends those that do nothing.
//!
//! Laws: a connection costs at most 64 KiB, whatever is said on it; at most `connections_max` connections stand, unfinished handshakes included; one that stalls (90 s without a byte either way)
//! ends; one that speaks plain HTTP ends after two minutes whatever it does. No address is kept, shown or logged.

use super::meter::Meter;
use super::stream::Stream;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// A TLS handshake that takes longer is given up.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// A WebSocket that stands still for longer is dead: devices ping every 30 s.
const STALL_MAX: Duration = Duration::from_secs(90);
/// A plain HTTP connection ends after this: enough for a pack over a slow link, too little to hoard connections cheaply.
const HTTP_MAX: Duration = Duration::from_secs(120);
/// What the kernel buffers per connection and direction: bounds what a slow reader costs, and still moves 640 kB/s at 100 ms.
const SOCKET_BUFFER_BYTES: u32 = 64 * 1024;

/// What TLS holds back for a peer that does not read.
const TLS_BUFFER_BYTES: usize = 4 * 1024;

/// Binds the address with small socket buffers; accepted connections inherit them.
///
/// # Errors
/// The system's.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(1_024)
}

/// What a request knows of the connection it came by.
#[derive(Clone)]
pub struct Connection {
    /// How fast it may ask.
    pub bucket: Arc<Bucket>,
    /// Set once it is a WebSocket.
    pub is_socket: Arc<AtomicBool>,
}

/// Tokens that refill steadily; each request takes one.
pub struct Bucket {
    per_second: f64,
    tokens: Mutex<(f64, Instant)>,
}

/// A bucket holds this many seconds' worth: a device that comes back subscribes and puts in one go.
const BURST_SECONDS: f64 = 4.0;

impl Bucket {
    /// A full bucket. `per_second` ≥ 1.
    pub fn new(per_second: u32) -> Bucket {
        let per_second = f64::from(per_second.max(1));
        Bucket { per_second, tokens: Mutex::new((per_second * BURST_SECONDS, Instant::now())) }
    }

    /// Takes one if there is one; else how long until there is.
    pub fn take(&self) -> Result<(), Duration> {
        let mut inside = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, since) = *inside;
        let now = Instant::now();
        let tokens = (tokens + now.duration_since(since).as_secs_f64() * self.per_second).min(self.per_second * BURST_SECONDS);
        if tokens >= 1.0 {
            *inside = (tokens - 1.0, now);
            Ok(())
        } else {
            *inside = (tokens, now);
            Err(Duration::from_secs_f64((1.0 - tokens) / self.per_second))
        }
    }

    /// Takes one, later if need be.
    pub async fn wait(&self) {
        while let Err(pause) = self.take() {
            sleep(pause).await;
        }
    }
}

/// Gives connections that are ready to speak HTTP.
pub struct Door {
    ready: mpsc::Receiver<Io>,
    _accepting: JoinSet<()>,
}

impl Door {
    /// Starts accepting.
    pub fn open(
        listener: TcpListener,
        tls: Option<Arc<ServerConfig>>,
        connections_max: usize,
        per_second: u32,
        meter: Arc<Meter>,
    ) -> Door {
        let (arrived, ready) = mpsc::channel(64);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, tls.map(TlsAcceptor::from), connections_max, per_second, meter, arrived));
        Door { ready, _accepting: accepting }
    }
}

impl Door {
    /// The next connection; `None` once nobody accepts any more.
    pub async fn next(&mut self) -> Option<Io> {
        self.ready.recv().await
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    connections_max: usize,
    per_second: u32,
    meter: Arc<Meter>,
    arrived: mpsc::Sender<Io>,
) {
    let places = Arc::new(Semaphore::new(connections_max));
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok((tcp, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: some come back when connections end.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            Meter::count(&meter.turned_away);
            continue;
        };
        let _ = tcp.set_nodelay(true);
        let (tls, meter, arrived) = (tls.clone(), meter.clone(), arrived.clone());
        handshakes.spawn(async move {
            if let Some(stream) = finish(tcp, tls).await {
                let _ = arrived.send(Io::new(stream, Bucket::new(per_second), place, meter)).await;
            }
        });
    }
}

async fn finish(tcp: TcpStream, tls: Option<TlsAcceptor>) -> Option<Stream> {
    let Some(tls) = tls else { return Some(Stream::Plain(tcp)) };
    let mut stream = timeout(HANDSHAKE_MAX, tls.accept(tcp)).await.ok()?.ok()?;
    stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES));
    Some(Stream::Tls(Box::new(stream.into())))
}

/// One connection. It counts itself as standing until it is dropped, and fails when it has used up its patience.
pub struct Io {
    stream: Stream,
    connection: Connection,
    opened: Instant,
    moved: Instant,
    patience: Pin<Box<Sleep>>,
    meter: Arc<Meter>,
    _place: OwnedSemaphorePermit,
}

impl Io {
    /// What a request knows of this connection.
    pub fn connection(&self) -> Connection {
        self.connection.clone()
    }

    fn new(stream: Stream, bucket: Bucket, place: OwnedSemaphorePermit, meter: Arc<Meter>) -> Io {
        Meter::count(&meter.connections);
        let connection = Connection { bucket: Arc::new(bucket), is_socket: Arc::default() };
        let now = Instant::now();
        Io { stream, connection, opened: now, moved: now, patience: Box::pin(sleep(STALL_MAX)), meter, _place: place }
    }

    /// Fails once the connection has stalled or lived too long. The timer is set anew only when it fires, not at every byte.
    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while self.patience.as_mut().poll(cx).is_ready() {
            let mut until = self.moved + STALL_MAX;
            if !self.connection.is_socket.load(Relaxed) {
                until = until.min(self.opened + HTTP_MAX);
            }
            if until <= Instant::now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.patience.as_mut().reset(until);
        }
        Ok(())
    }

    fn judge<T>(&mut self, cx: &mut Context<'_>, progress: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if progress.is_ready() {
            self.moved = Instant::now();
        }
        match self.check(cx) {
            Ok(()) => progress,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.meter.connections.fetch_sub(1, Relaxed);
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let progress = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.judge(cx, progress)
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judge(cx, progress)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushing moves nothing by itself, so it does not count as life.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.check(cx)?;
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let progress = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.judge(cx, progress)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
