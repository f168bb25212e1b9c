//! The peripheral's side on Linux, by `bluer`: the advert, and a GATT server that one central at a time has a link with.
//!
//! Law: what is to be sent waits until the central has subscribed: BlueZ acknowledges a subscription before it tells us of it.

use super::link::{Gone, Values, carry};
use super::{BleState, NOTIFY, SERVICE, WRITE};
use crate::proto::config::ADVERT_BYTES;
use crate::proto::io::{Input, Origin};
use crate::shell::queue::{End, Links};
use bluer::adv::{Advertisement, AdvertisementHandle};
use bluer::gatt::local::{
    Application, ApplicationHandle, Characteristic, CharacteristicNotifier, CharacteristicNotify, CharacteristicNotifyMethod,
    CharacteristicWrite, CharacteristicWriteMethod, CharacteristicWriteRequest, ReqError, Service,
};
use bluer::{Adapter, Address, Session};
use futures_util::{FutureExt, stream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Values of one central that wait for the node; then BlueZ waits with its acknowledgement.
const VALUES_MAX: usize = 64;
/// A central that has not subscribed within this time after its first value is no link.
const SUBSCRIBE_TIME_MAX: Duration = Duration::from_secs(10);
/// The system answers within this time or not at all.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// What the bus gets to empty its socket.
const SOCKET_TIME: Duration = Duration::from_millis(5);
/// A bus that has taken nothing so often is gone.
const SOCKET_ERRORS_MAX: u32 = 200;
/// At the end so much is left to close the guest's connection; the node has heard of it by then.
const ENDING_TIME_MAX: Duration = Duration::from_secs(2);

/// The advert and the server.
pub struct Peripheral {
    adapter: Adapter,
    server: Arc<Server>,
    shown: Option<AdvertisementHandle>,
    _application: ApplicationHandle,
}

/// What the two characteristics share.
struct Server {
    adapter: Adapter,
    links: Arc<Links>,
    events: mpsc::Sender<Input>,
    place: Mutex<Place>,
    /// Of whoever writes next: most subscribe before they write.
    unclaimed: Mutex<Option<Subscription>>,
}

/// Who has the link now.
enum Place {
    Free,
    Taken(Guest),
    /// For good.
    Closed,
}

struct Guest {
    address: Address,
    values: mpsc::Sender<Vec<u8>>,
    subscription: watch::Sender<Option<Subscription>>,
    task: JoinHandle<()>,
}

/// The way to a central, until it goes.
#[derive(Clone)]
struct Subscription(Arc<tokio::sync::Mutex<CharacteristicNotifier>>);

impl Peripheral {
    /// Serves; shows nothing yet. `None`: this adapter cannot advertise.
    ///
    /// # Errors
    /// Why there is no adapter, as a state to show.
    pub async fn open(name: Option<&str>, links: Arc<Links>, events: mpsc::Sender<Input>) -> Result<Option<Peripheral>, BleState> {
        let open = async {
            let session = Session::new().await.map_err(|error| state_of(&error))?;
            let adapter = match name {
                Some(name) => session.adapter(name),
                None => session.default_adapter().await,
            };
            let adapter = adapter.map_err(|error| state_of(&error))?;
            let server = Arc::new(Server {
                adapter: adapter.clone(),
                links,
                events,
                place: Mutex::new(Place::Free),
                unclaimed: Mutex::new(None),
            });
            match adapter.serve_gatt_application(application(&server)).await {
                Ok(handle) => Ok(Some(Peripheral { adapter, server, shown: None, _application: handle })),
                Err(error) => {
                    tracing::warn!(%error, "no GATT server: this device finds others and is not found");
                    Ok(None)
                }
            }
        };
        timeout(ANSWER_TIME_MAX, open).await.unwrap_or(Err(BleState::NoAdapter))
    }

    /// Shows these bytes.
    pub async fn advertise(&mut self, advert: [u8; ADVERT_BYTES], interval: Duration) {
        self.shown = None;
        let advertisement = Advertisement {
            service_data: [(SERVICE, advert.to_vec())].into(),
            discoverable: Some(true),
            min_interval: Some(interval),
            max_interval: Some(interval + interval / 10),
            ..Advertisement::default()
        };
        match timeout(ANSWER_TIME_MAX, self.adapter.advertise(advertisement)).await {
            Ok(Ok(handle)) => self.shown = Some(handle),
            Ok(Err(error)) => tracing::warn!(%error, "the advert is refused"),
            Err(_) => tracing::warn!("the advert is not answered"),
        }
    }

    /// Shows nothing.
    pub async fn silence(&mut self) {
        self.shown = None;
    }

    /// The end: nobody becomes the guest any more, and the node knows that the link with the last one is over.
    pub async fn end(self) {
        let Place::Taken(mut guest) = self.server.close() else { return };
        self.server.links.end_all(End::Abrupt);
        if timeout(ENDING_TIME_MAX, &mut guest.task).await.is_err() {
            guest.task.abort();
        }
    }
}

impl Drop for Peripheral {
    fn drop(&mut self) {
        if let Place::Taken(guest) = self.server.close() {
            guest.task.abort();
        }
    }
}

impl Server {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unclaimed(&self) -> MutexGuard<'_, Option<Subscription>> {
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) -> Place {
        std::mem::replace(&mut *self.place(), Place::Closed)
    }

    /// A value came: of the guest, or of somebody who becomes it if there is none.
    async fn take(self: Arc<Self>, value: Vec<u8>, request: CharacteristicWriteRequest) -> Result<(), ReqError> {
        let values = self.values_of(&request).ok_or(ReqError::NotPermitted)?;
        values.send(value).await.map_err(|_| ReqError::Failed)
    }

    fn values_of(self: &Arc<Self>, request: &CharacteristicWriteRequest) -> Option<mpsc::Sender<Vec<u8>>> {
        let address = request.device_address;
        let mut place = self.place();
        match &*place {
            Place::Taken(guest) if !guest.is_gone() => return (guest.address == address).then(|| guest.values.clone()),
            Place::Closed => return None,
            Place::Taken(_) | Place::Free => {}
        }
        let (values, incoming) = mpsc::channel(VALUES_MAX);
        let (subscription, subscribed) = watch::channel(self.unclaimed().take().filter(|unclaimed| !unclaimed.is_over()));
        let task = tokio::spawn(self.clone().host(address, request.mtu, incoming, subscribed));
        *place = Place::Taken(Guest { address, values: values.clone(), subscription, task });
        Some(values)
    }

    /// A central has subscribed: the guest, if it has not yet, or the next.
    fn subscribe(&self, notifier: CharacteristicNotifier) {
        let subscription = Some(Subscription(Arc::new(notifier.into())));
        match &*self.place() {
            Place::Taken(guest) if guest.waits() => drop(guest.subscription.send_replace(subscription)),
            Place::Taken(_) | Place::Free | Place::Closed => *self.unclaimed() = subscription,
        }
    }

    /// The link with one central, from its first value to its end.
    async fn host(
        self: Arc<Self>,
        address: Address,
        mtu: u16,
        incoming: mpsc::Receiver<Vec<u8>>,
        subscription: watch::Receiver<Option<Subscription>>,
    ) {
        let link = self.links.open();
        let mut out = Notifications { subscription: subscription.clone(), errors: 0 };
        let incoming = stream::unfold(incoming, |mut incoming| async { Some((incoming.recv().await?, incoming)) });
        tokio::select! {
            () = carry(&self.links, link, Origin::Near(None), mtu, &mut out, Box::pin(incoming), &self.events) => {
                if let Ok(device) = self.adapter.device(address) {
                    let _ = timeout(ANSWER_TIME_MAX, device.disconnect()).await;
                }
                return;
            }
            () = gone(subscription) => {}
        }
        self.links.close(link);
        let _ = self.events.send(Input::LinkDown { link }).await;
    }
}

impl Guest {
    /// It has not subscribed yet.
    fn waits(&self) -> bool {
        !self.task.is_finished() && self.subscription.borrow().is_none()
    }

    /// Whoever writes now has come anew, from the same address perhaps, though this one's link may not have ended yet.
    fn is_gone(&self) -> bool {
        self.task.is_finished() || self.subscription.borrow().as_ref().is_some_and(Subscription::is_over)
    }
}

impl Subscription {
    /// While something is being sent it is not.
    fn is_over(&self) -> bool {
        self.0.try_lock().is_ok_and(|notifier| notifier.is_stopped())
    }
}

/// Waits until the central that subscribed has gone, or has not subscribed in time.
async fn gone(mut subscription: watch::Receiver<Option<Subscription>>) {
    let subscribed = async { subscription.wait_for(Option::is_some).await.ok()?.clone() };
    if let Ok(Some(Subscription(notifier))) = timeout(SUBSCRIBE_TIME_MAX, subscribed).await {
        let stopped = notifier.lock().await.stopped();
        stopped.await;
    }
}

struct Notifications {
    subscription: watch::Receiver<Option<Subscription>>,
    /// Errors one after the other, though the session was not stopped.
    errors: u32,
}

impl Values for Notifications {
    async fn send(&mut self, value: Vec<u8>) -> Result<(), Gone> {
        let Subscription(notifier) = self.subscription.wait_for(Option::is_some).await.map_err(|_| Gone)?.clone().ok_or(Gone)?;
        let mut notifier = notifier.lock().await;
        let sent = notifier.notify(value).await;
        let is_stopped = notifier.is_stopped();
        drop(notifier);
        self.errors = if sent.is_ok() { 0 } else { self.errors + 1 };
        if sent.is_ok() {
            return Ok(());
        }
        if is_stopped || self.errors > SOCKET_ERRORS_MAX {
            return Err(Gone);
        }
        // D-Bus queues what its socket does not take now, and may call that a failure: it has the value, and wants time.
        sleep(SOCKET_TIME).await;
        Ok(())
    }
}

fn application(server: &Arc<Server>) -> Application {
    let (writes, notifies) = (server.clone(), server.clone());
    let write = CharacteristicWrite {
        write: true,
        write_without_response: true,
        method: CharacteristicWriteMethod::Fun(Box::new(move |value, request| writes.clone().take(value, request).boxed())),
        ..CharacteristicWrite::default()
    };
    let notify = CharacteristicNotify {
        notify: true,
        method: CharacteristicNotifyMethod::Fun(Box::new(move |notifier| {
            notifies.subscribe(notifier);
            async {}.boxed()
        })),
        ..CharacteristicNotify::default()
    };
    let characteristics = vec![
        Characteristic { uuid: WRITE, write: Some(write), ..Characteristic::default() },
        Characteristic { uuid: NOTIFY, notify: Some(notify), ..Characteristic::default() },
    ];
    let service = Service { uuid: SERVICE, primary: true, characteristics, ..Service::default() };
    Application { services: vec![service], ..Application::default() }
}

fn state_of(error: &bluer::Error) -> BleState {
    match error.kind {
        bluer::ErrorKind::NotAuthorized | bluer::ErrorKind::NotPermitted => BleState::NotAllowed,
        _ => BleState::NoAdapter,
    }
}
