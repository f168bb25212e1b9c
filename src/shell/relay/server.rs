//! The blind relay: a door, a store, and the paths between them.
//!
//! Laws: it learns no name, talk, size or number of seats; it logs no address and no mailbox; it acknowledges nothing that it could lose.
//! [`Relay::bind`] takes the address, [`Relay::run`] serves until told to stop, then finishes what is under way.

use super::disk::DiskError;
use super::http;
use super::hub::Hub;
use super::listener::{Door, listen};
use super::mailbox::Limits;
use super::meter::Meter;
use super::store::{HourClock, Store};
use super::tls::{Identity, IdentityError, Pin};
use rustls::ServerConfig;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Requests and farewells get this long after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How a relay is to run.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// The folder of blobs (`relay.redb`) and packs (`packs/`); `None`: blobs in memory only, no packs.
    pub store: Option<PathBuf>,
    /// `None`: no TLS, for tests and behind a proxy that does it.
    pub tls: Option<Identity>,
    /// How much is held.
    pub limits: Limits,
    /// Connections at the same time; one more is closed at once.
    pub connections_max: usize,
    /// Requests per second and connection, at least 1; four seconds' worth may come at once.
    pub requests_per_second: u32,
    /// Tells the hour.
    pub clock: HourClock,
    /// How often to look whether an hour has passed.
    pub sweep_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            store: None,
            tls: None,
            limits: Limits { mailbox_blobs_max: 512, blobs_max: 65_536 },
            connections_max: 4_096,
            requests_per_second: 50,
            clock: HourClock::system(),
            sweep_every: Duration::from_secs(60),
        }
    }
}

/// Why a relay does not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address} ({source}): choose another --listen address or stop what listens there")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The folder cannot be made.
    #[error("the folder {} cannot be used as a store ({source})", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Certificate or key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The store.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What all connections share.
pub struct Shared {
    pub(super) store: Store,
    pub(super) hub: Arc<Hub>,
    pub(super) meter: Arc<Meter>,
    pub(super) packs: Option<PathBuf>,
    pub(super) closing: watch::Receiver<bool>,
}

/// A relay that has its address and store, and serves once it runs.
pub struct Relay {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<(Arc<ServerConfig>, Pin)>,
    connections_max: usize,
    requests_per_second: u32,
    sweep_every: Duration,
    shared: Arc<Shared>,
    close: watch::Sender<bool>,
    store_ended: oneshot::Receiver<Result<(), DiskError>>,
}

impl Relay {
    /// Opens the store and takes the address. Connections wait until [`Relay::run`].
    ///
    /// # Errors
    /// [`RelayError`]: says which option to change.
    pub async fn bind(options: Options) -> Result<Relay, RelayError> {
        if let Some(folder) = &options.store {
            std::fs::create_dir_all(folder.join("packs"))
                .map_err(|source| RelayError::Folder { folder: folder.clone(), source })?;
        }
        let tls = options.tls.as_ref().map(Identity::load).transpose()?;
        let fault = |source| RelayError::Listen { address: options.listen, source };
        let listener = listen(options.listen).map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        let (hub, meter) = (Arc::<Hub>::default(), Arc::<Meter>::default());
        let (store, store_ended) =
            Store::open(options.store.as_deref(), options.limits, options.clock, hub.clone(), meter.clone())?;
        let (close, closing) = watch::channel(false);
        let packs = options.store.map(|folder| folder.join("packs"));
        Ok(Relay {
            listener,
            address,
            tls,
            connections_max: options.connections_max,
            requests_per_second: options.requests_per_second,
            sweep_every: options.sweep_every,
            shared: Arc::new(Shared { store, hub, meter, packs, closing }),
            close,
            store_ended,
        })
    }

    /// The address that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What devices need to trust this relay; `None` without TLS.
    pub fn tls_pin(&self) -> Option<Pin> {
        self.tls.as_ref().map(|(_, pin)| *pin)
    }

    /// The relay's counters, as they go on counting.
    pub fn meter(&self) -> Arc<Meter> {
        self.shared.meter.clone()
    }

    /// Serves until `shutdown` resolves, then takes no more, says what is left to say and makes everything durable.
    ///
    /// # Errors
    /// [`RelayError::Disk`] if the store failed meanwhile.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RelayError> {
        let Relay { listener, tls, connections_max, requests_per_second, sweep_every, shared, close, mut store_ended, .. } = self;
        let config = tls.map(|(config, _)| config);
        let door = Door::open(listener, config, connections_max, requests_per_second, shared.meter.clone());
        let serving = tokio::spawn(http::serve(door, shared.clone()));
        let failed = tokio::select! {
            () = shutdown => None,
            () = sweep(&shared.store, sweep_every) => None,
            ended = &mut store_ended => Some(ended),
        };
        let _ = close.send(true);
        let left = Arc::downgrade(&shared);
        drop(shared);
        let drained = async {
            let _ = serving.await;
            // WebSockets have left axum's hands, but not ours: each holds a receiver until it has said its last words.
            close.closed().await;
        };
        let _ = timeout(DRAIN_MAX, drained).await;
        if let Some(shared) = left.upgrade() {
            shared.store.end().await;
        }
        let ended = match failed {
            Some(ended) => ended,
            None => store_ended.await,
        };
        ended.unwrap_or(Ok(())).map_err(RelayError::from)
    }
}

async fn sweep(store: &Store, every: Duration) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        store.tick().await;
    }
}
