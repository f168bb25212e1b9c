//! BlueZ on D-Bus without bluetoothd: each simulated phone has a bus of its own, on which `org.bluez` answers.
//!
//! Laws: all phones share one [`Air`](crate::air::Air) and one state machine ([`world`]); this file only carries
//! messages, times and settings to it. Behaves like bluetoothd 5.66 as far as btleplug and bluer use it.
//! Not here: pairing, agents, AcquireWrite and AcquireNotify, advertisement monitors, classic Bluetooth, the
//! D-Bus signals of properties that no known client reads.

mod address;
mod advertising;
mod bus;
mod capture;
mod client;
mod connection;
mod gatt;
mod link;
mod phone;
mod scan;
mod server;
mod wire;
mod world;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use std::{fmt, io};

use futures_util::StreamExt;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use zbus::{Connection, Message, MessageStream};

pub use address::Address;
pub use capture::{Kind, Record};

use bus::Buses;
use world::{Answer, Settings, World};

/// How a facade starts. Everything else may change while it runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many phones there are.
    pub phones: usize,
    /// Decides every draw: addresses, shadowing, losses, delays.
    pub seed: u64,
    /// They stand in a row, so many metres apart.
    pub near_m: f64,
    /// Where sockets go; the path must be short (a socket's has at most 107 bytes). `None`: a fresh directory
    /// that is removed at the end.
    pub dir: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self { phones: 2, seed: 0, near_m: 2.0, dir: None }
    }
}

/// Why a facade does not start.
#[derive(Debug)]
pub enum Error {
    /// No directory, or no dbus-daemon.
    Io(io::Error),
    /// A bus does not take us.
    Bus(zbus::Error),
}

/// The running simulation. Dropping it ends the daemons too.
pub struct Facade {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
    buses: Buses,
    _dir: Option<tempfile::TempDir>,
}

/// One simulated phone.
#[derive(Clone)]
pub struct Phone {
    shared: Arc<Shared>,
    number: usize,
    bus_address: String,
}

struct Shared {
    started: Instant,
    world: Mutex<World>,
    /// What each phone's bus is to get.
    out: Vec<mpsc::UnboundedSender<Message>>,
    /// The next deadline may have moved.
    moved: Notify,
}

impl Facade {
    /// Starts the buses and answers on them. Needs a tokio runtime, and `dbus-daemon` on the path.
    ///
    /// # Errors
    /// [`Error::Io`] without dbus-daemon or a writable directory, [`Error::Bus`] when a bus refuses the name.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let own_dir = if options.dir.is_none() { Some(tempfile::tempdir()?) } else { None };
        let dir = options.dir.or_else(|| own_dir.as_ref().map(|dir| dir.path().to_owned())).unwrap_or_default();
        let phones = options.phones;
        let buses = tokio::task::spawn_blocking(move || Buses::start(&dir, phones)).await.map_err(io::Error::other)??;
        let (out, queues): (Vec<_>, Vec<_>) = (0..phones).map(|_| mpsc::unbounded_channel()).unzip();
        let world = World::new(options.seed, phones, options.near_m, Settings::default());
        let shared = Arc::new(Shared { started: Instant::now(), world: Mutex::new(world), out, moved: Notify::new() });
        let mut facade = Self { shared: shared.clone(), tasks: Vec::new(), buses, _dir: own_dir };
        for (number, queue) in queues.into_iter().enumerate() {
            let address = facade.phone(number).bus_address();
            let connection = zbus::connection::Builder::address(address.as_str())?.build().await?;
            let stream = MessageStream::from(&connection);
            facade.tasks.push(tokio::spawn(receive(shared.clone(), number, stream)));
            facade.tasks.push(tokio::spawn(transmit(connection.clone(), queue)));
            take_name(&connection).await?;
        }
        facade.tasks.push(tokio::spawn(keep_time(shared)));
        Ok(facade)
    }

    /// # Panics
    /// When there is no phone of this number.
    pub fn phone(&self, number: usize) -> Phone {
        let bus_address = format!("unix:path={}", self.buses.sockets[number].display());
        Phone { shared: self.shared.clone(), number, bus_address }
    }

    pub fn phones(&self) -> impl Iterator<Item = Phone> {
        (0..self.buses.sockets.len()).map(|number| self.phone(number))
    }

    /// Share of advertisements lost, 0 to 100; connections get slower by it, and at 100 they end.
    pub fn set_loss_percent(&self, percent: u8) {
        self.shared.step(|world, now_us| world.air.set_loss_percent(now_us, percent));
    }

    /// How long after the subscriber has its answer the application hears StartNotify. Zero at first; on a real
    /// system it takes some milliseconds, and a notification sent before is lost.
    pub fn set_start_notify_delay(&self, delay: Duration) {
        self.set(|settings| settings.start_notify_delay_us = micros(delay));
    }

    /// Whether a phone gets a fresh address when it begins to advertise after a pause. True at first.
    pub fn set_rotates_address(&self, rotates: bool) {
        self.set(|settings| settings.rotates_address = rotates);
    }

    /// The ATT MTU of connections made from now on: 23 to 517, which it is at first.
    pub fn set_mtu(&self, mtu: u16) {
        self.set(|settings| settings.mtu = mtu.clamp(23, 517));
    }

    /// What one direction of a connection carries. At first four packets of 244 bytes in each 30 ms: 32,533.
    pub fn set_bytes_per_second(&self, bytes: u32) {
        self.set(|settings| settings.bytes_per_second = bytes.max(1));
    }

    /// How many ATT bearers a connection has, which keep no order between them: of so many, one less may overtake a value that nobody
    /// answers. One at first.
    pub fn set_bearers(&self, bearers: u8) {
        self.set(|settings| settings.bearers = u32::from(bearers));
    }

    /// The interval of advertisements that name none (MinInterval). At first the kernel's 1.28 s.
    pub fn set_advertising_interval(&self, interval: Duration) {
        self.set(|settings| settings.advertising_interval_us = micros(interval).max(20_000));
    }

    /// How long Connect waits for a peer that is not heard. At first the kernel's 20 s.
    pub fn set_connect_timeout(&self, timeout: Duration) {
        self.set(|settings| settings.connect_timeout_us = micros(timeout));
    }

    /// How long Disconnect takes at least. Zero at first; bluetoothd takes about 2 s.
    pub fn set_disconnect_delay(&self, delay: Duration) {
        self.set(|settings| settings.disconnect_delay_us = micros(delay));
    }

    /// Everything that went over the air, oldest first; the last 100,000 packets of it.
    pub fn capture(&self) -> Vec<Record> {
        self.shared.step(|world, _| world.capture.records())
    }

    /// Ends the tasks and the daemons, and waits until they are gone.
    pub async fn shutdown(mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            let _ = task.await;
        }
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }

    fn set(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.step(|world, _| change(&mut world.settings));
    }
}

impl Drop for Facade {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Phone {
    /// The value of `DBUS_SYSTEM_BUS_ADDRESS` for the programs of this phone.
    pub fn bus_address(&self) -> String {
        self.bus_address.clone()
    }

    /// Puts the phone at a place in metres.
    pub fn place(&self, x_m: f64, y_m: f64) {
        self.shared.step(|world, now_us| world.air.place(now_us, self.number, x_m, y_m));
    }

    /// Switches Bluetooth on or off, as a user does.
    pub fn set_powered(&self, powered: bool) {
        self.step(|world, phone| world.set_powered(phone, powered));
    }

    /// Pulls the Bluetooth controller out, or plugs it in again: the adapter object goes and comes, and all that
    /// was registered with it is gone.
    pub fn set_present(&self, present: bool) {
        self.step(|world, phone| world.set_present(phone, present));
    }

    /// What others see this phone as when it next advertises or connects.
    pub fn address(&self) -> Address {
        self.shared.step(|world, _| world.phones[self.number].address)
    }

    fn step(&self, act: impl FnOnce(&mut World, usize)) {
        self.shared.step(|world, now_us| {
            world.now_us = now_us;
            act(world, self.number);
        });
    }
}

impl Shared {
    /// The one door to the world: acts on it, then carries out what it wants sent.
    fn step<T>(&self, act: impl FnOnce(&mut World, u64) -> T) -> T {
        let mut world = self.lock();
        let now_us = self.now_us();
        let result = act(&mut world, now_us);
        for (phone, message) in world.take_out() {
            // Only fails while we shut down.
            let _ = self.out[phone].send(message);
        }
        drop(world);
        self.moved.notify_one();
        result
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn now_us(&self) -> u64 {
        micros(self.started.elapsed())
    }
}

async fn receive(shared: Arc<Shared>, phone: usize, mut stream: MessageStream) {
    while let Some(Ok(message)) = stream.next().await {
        shared.step(|world, now_us| world.handle_message(now_us, phone, &message));
    }
}

async fn transmit(connection: Connection, mut queue: mpsc::UnboundedReceiver<Message>) {
    while let Some(message) = queue.recv().await {
        if connection.send(&message).await.is_err() {
            return;
        }
    }
}

async fn keep_time(shared: Arc<Shared>) {
    loop {
        let next_us = shared.lock().poll_timeout();
        let until = shared.started + Duration::from_micros(next_us.unwrap_or(u64::from(u32::MAX)));
        tokio::select! {
            () = tokio::time::sleep_until(until) => shared.step(|world, now_us| world.handle_timeout(now_us)),
            () = shared.moved.notified() => {}
        }
    }
}

/// Becomes org.bluez, and asks for the signals that matter: values of applications, and who leaves the bus.
async fn take_name(connection: &Connection) -> Result<(), Error> {
    let daemon = Some("org.freedesktop.DBus");
    let rules = [
        "type='signal',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',arg0='org.bluez.GattCharacteristic1'",
        "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
    ];
    for rule in rules {
        connection.call_method(daemon, "/org/freedesktop/DBus", daemon, "AddMatch", &rule).await?;
    }
    connection.call_method(daemon, "/org/freedesktop/DBus", daemon, "RequestName", &("org.bluez", 4_u32)).await?;
    Ok(())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<zbus::Error> for Error {
    fn from(error: zbus::Error) -> Self {
        Self::Bus(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the buses of the phones do not start: {error}"),
            Self::Bus(error) => write!(f, "a phone's bus does not serve us: {error}"),
        }
    }
}

impl std::error::Error for Error {}
