//! This device as a station on the LAN: the loop that listens, shows itself, redraws its names, and dials whom it sees.
//!
//! Law: everything it starts (listeners, links, attempts to dial, the mDNS daemon) is its own and ends with it, or when it goes
//! offline. It does not move bytes (see `link`) and does not decide whom to dial (see `neighbourhood`).

use super::dial::first_to_answer;
use super::discovery::{Name, Sighting, Watch};
use super::interface::{is_any, is_on_link, leading_somewhere, reachable};
use super::link;
use super::listener::Listener;
use super::neighbourhood::Neighbourhood;
use super::place::Places;
use super::{DIALS_MAX, Discovery, LanOptions};
use crate::proto::id::{DialId, LinkId};
use crate::proto::io::{Input, Origin};
use crate::proto::rng::Rng;
use crate::shell::queue::{End, Links};
use if_addrs::Interface;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// How often the addresses of this machine are looked at.
const LOOK_AROUND: Duration = Duration::from_secs(5);
/// Nothing is announced for so long between an old name and a new one, so that neighbours have forgotten the old one (RFC 6762
/// section 10.1: a second after its goodbye) and need not count both.
const GAP_MIN: Duration = Duration::from_millis(1_500);
/// The gap's length is random up to this.
const GAP_MAX: Duration = Duration::from_secs(3);
/// An old port stays open for so long: a code on a screen may name it until it is replaced after 45 s.
const OLD_PORT: Duration = Duration::from_secs(60);
/// Own names that are recognised when they echo: as long as a cache may keep one, which is 75 minutes.
const OWN_NAMES_MAX: usize = 10;
/// How long to sleep when there is nothing to wake up for.
const NOTHING_TO_DO: Duration = Duration::from_secs(3600);
/// How long links may take to say what is queued when the program ends.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What the owner wants.
pub(super) enum Order {
    Dial { dial: DialId, addresses: Vec<SocketAddr> },
    Online(bool),
    Close,
}

/// For whom a stream is opened.
#[derive(Clone, Copy)]
enum For {
    Node(DialId),
    Neighbour(Name),
}

pub(super) struct Station {
    options: LanOptions,
    rng: Rng,
    events: mpsc::Sender<Input>,
    links: Arc<Links>,
    orders: mpsc::UnboundedReceiver<Order>,
    accepted: mpsc::Receiver<TcpStream>,
    acceptor: mpsc::Sender<TcpStream>,
    /// Whether the owner wants us online; we may be so only later, when a port can be opened again.
    is_wanted: bool,
    online: Option<Online>,
    /// The names we had, the present one last.
    own: VecDeque<Name>,
    neighbourhood: Neighbourhood,
    interfaces: Vec<Interface>,
    told: Vec<SocketAddr>,
    places: Places,
    carriers: JoinSet<LinkId>,
    dials: JoinSet<(For, Option<TcpStream>)>,
    node_dials: BTreeSet<DialId>,
    look_around_at: Instant,
}

/// What is there only while we are online.
struct Online {
    listener: Listener,
    /// The listener before, until then.
    old: Option<(Listener, Instant)>,
    watch: Option<Watch>,
    appearance: Appearance,
}

/// What others see of us.
enum Appearance {
    /// Nothing, until then.
    Gap { until: Instant },
    /// Our present name, until then.
    Shown { until: Instant },
}

impl Station {
    /// A station with an open port, so that a port that cannot be opened is known at once.
    pub fn open(
        mut options: LanOptions,
        links: Arc<Links>,
        events: mpsc::Sender<Input>,
        orders: mpsc::UnboundedReceiver<Order>,
    ) -> io::Result<Self> {
        let mut rng = Rng::new(options.seed);
        let (acceptor, accepted) = mpsc::channel(1);
        let is_left_to_us = options.discovery == Discovery::LoopbackOnly && options.bind.is_empty();
        if is_left_to_us {
            let [a, b, c] = rng.bytes::<3>().map(|byte| byte.clamp(1, 254));
            options.bind = vec![Ipv4Addr::new(127, a, b, c).into()];
        }
        let listener = match Listener::open(&options.bind, options.port, &acceptor) {
            Err(_) if is_left_to_us => {
                options.bind = vec![Ipv4Addr::LOCALHOST.into()];
                Listener::open(&options.bind, options.port, &acceptor)?
            }
            opened => opened?,
        };
        let now = Instant::now();
        let online = Online { listener, old: None, watch: None, appearance: Appearance::Gap { until: now } };
        Ok(Self {
            own: VecDeque::from([Name::new(&mut rng)]),
            rng,
            options,
            events,
            links,
            orders,
            is_wanted: true,
            accepted,
            acceptor,
            online: Some(online),
            neighbourhood: Neighbourhood::default(),
            interfaces: Vec::new(),
            told: Vec::new(),
            places: Places::default(),
            carriers: JoinSet::new(),
            dials: JoinSet::new(),
            node_dials: BTreeSet::new(),
            look_around_at: now,
        })
    }

    /// Runs until the owner closes it, or is gone.
    pub async fn run(mut self) {
        loop {
            let deadline = self.deadline();
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Dial { dial, addresses }) => self.dial_for_node(dial, addresses).await,
                    Some(Order::Online(true)) => self.go_online(),
                    Some(Order::Online(false)) => self.go_offline().await,
                    Some(Order::Close) => return self.close().await,
                    None => return,
                },
                Some(stream) = self.accepted.recv() => self.accept(stream),
                Some(Ok(link)) = self.carriers.join_next() => self.link_ended(link),
                Some(Ok((whom, stream))) = self.dials.join_next() => self.dialled(whom, stream).await,
                sighting = sighting(&mut self.online) => self.note(sighting),
                () = sleep_until(deadline) => self.keep_time().await,
            }
            self.dial_neighbours();
        }
    }

    fn deadline(&self) -> Instant {
        let Some(online) = &self.online else {
            return if self.is_wanted { self.look_around_at } else { Instant::now() + NOTHING_TO_DO };
        };
        let (Appearance::Gap { until } | Appearance::Shown { until }) = online.appearance;
        let old = online.old.as_ref().map(|(_, until)| *until);
        [old, self.neighbour_due()].into_iter().flatten().fold(until.min(self.look_around_at), Instant::min)
    }

    async fn keep_time(&mut self) {
        let now = Instant::now();
        if self.look_around_at <= now {
            self.look_around_at = now + LOOK_AROUND;
            self.look_around();
        }
        if let Some(online) = &mut self.online {
            online.old.take_if(|(_, until)| *until <= now);
            match online.appearance {
                Appearance::Gap { until } if until <= now => self.appear(),
                Appearance::Shown { until } if until <= now => self.rotate().await,
                Appearance::Gap { .. } | Appearance::Shown { .. } => {}
            }
        }
        self.tell_addresses().await;
    }

    /// Learns the machine's addresses; a link from one that is gone cannot live.
    fn look_around(&mut self) {
        let Ok(all) = if_addrs::get_if_addrs() else { return };
        let here = |ip: IpAddr| ip.is_loopback() || all.iter().any(|interface| interface.ip() == ip);
        self.places.severed(here).for_each(|link| self.links.end(link, End::Abrupt));
        self.interfaces = leading_somewhere(all, self.options.discovery == Discovery::LoopbackOnly);
        if self.is_wanted {
            self.go_online();
        }
        let Some(online) = self.online.as_mut().filter(|online| online.watch.is_none()) else { return };
        match Watch::start(self.options.discovery, self.options.mdns_port) {
            Ok(Some(watch)) => (online.watch, online.appearance) = (Some(watch), Appearance::Gap { until: Instant::now() }),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "nobody is discovered on the local network for now"),
        }
    }

    /// Shows the present name under a fresh host name.
    fn appear(&mut self) {
        let Some(online) = &mut self.online else { return };
        let until = Instant::now() + self.rng.between(self.options.rotation.start, self.options.rotation.end);
        online.appearance = Appearance::Shown { until };
        let (Some(watch), Some(&name)) = (&online.watch, self.own.back()) else { return };
        let addresses = if is_any(&self.options.bind) { &[][..] } else { &self.options.bind };
        if let Err(error) = watch.announce(name, Name::new(&mut self.rng), addresses, online.listener.port) {
            tracing::warn!(%error, "this device is not shown on the local network for now");
            online.watch = None;
        }
    }

    /// Withdraws the present name and draws the next one, and a port with it unless one is prescribed.
    async fn rotate(&mut self) {
        let Some(online) = &mut self.online else { return };
        let now = Instant::now();
        if self.options.port == 0
            && let Ok(listener) = Listener::open(&self.options.bind, 0, &self.acceptor)
        {
            online.old = Some((std::mem::replace(&mut online.listener, listener), now + OLD_PORT));
        }
        online.appearance = Appearance::Gap { until: now + self.rng.between(GAP_MIN, GAP_MAX) };
        if let (Some(watch), Some(&name)) = (&online.watch, self.own.back()) {
            watch.withdraw(name).await;
        }
        self.draw_name();
    }

    fn draw_name(&mut self) {
        if self.own.len() == OWN_NAMES_MAX {
            self.own.pop_front();
        }
        self.own.push_back(Name::new(&mut self.rng));
    }

    /// Tells the node where it can be dialled, if that has changed.
    async fn tell_addresses(&mut self) {
        let port = self.online.as_ref().map(|online| online.listener.port);
        let addresses = port.map(|port| reachable(&self.interfaces, &self.options.bind, port)).unwrap_or_default();
        if addresses != self.told {
            self.told.clone_from(&addresses);
            let _ = self.events.send(Input::Listening(addresses)).await;
        }
    }

    fn go_online(&mut self) {
        self.is_wanted = true;
        if self.online.is_some() {
            return;
        }
        // If it does not succeed, looking around tries again.
        if let Ok(listener) = Listener::open(&self.options.bind, self.options.port, &self.acceptor) {
            let now = Instant::now();
            self.draw_name();
            self.online = Some(Online { listener, old: None, watch: None, appearance: Appearance::Gap { until: now } });
            self.look_around_at = now;
        }
    }

    async fn go_offline(&mut self) {
        self.is_wanted = false;
        self.leave(End::Abrupt).await;
        for dial in std::mem::take(&mut self.node_dials) {
            let _ = self.events.send(Input::DialFailed { dial }).await;
        }
        self.tell_addresses().await;
    }

    /// Goes without a word to the node, which may no longer listen.
    async fn close(mut self) {
        self.leave(End::Flushed).await;
        let _ = timeout(LAST_WORDS, async { while self.carriers.join_next().await.is_some() {} }).await;
    }

    async fn leave(&mut self, end: End) {
        self.links.end_all(end);
        self.dials.shutdown().await;
        self.neighbourhood.forget_instances();
        let Some(Online { watch, appearance, .. }) = self.online.take() else { return };
        let Some(watch) = watch else { return };
        if let (Appearance::Shown { .. }, Some(&name)) = (appearance, self.own.back()) {
            watch.withdraw(name).await;
        }
        watch.stop().await;
    }

    fn note(&mut self, sighting: Option<Sighting>) {
        match sighting {
            Some(Sighting::Seen(name, _)) if self.own.contains(&name) => {}
            Some(Sighting::Seen(name, addresses)) => self.neighbourhood.seen(name, addresses, Instant::now()),
            Some(Sighting::Gone(name)) => self.neighbourhood.gone(name),
            Some(Sighting::Anew) => self.neighbourhood.forget_instances(),
            None => {
                self.neighbourhood.forget_instances();
                if let Some(online) = &mut self.online {
                    online.watch = None;
                    online.appearance = Appearance::Gap { until: Instant::now() + LOOK_AROUND };
                }
            }
        }
    }

    async fn dial_for_node(&mut self, dial: DialId, addresses: Vec<SocketAddr>) {
        if self.online.is_none() || self.node_dials.len() >= DIALS_MAX || !self.node_dials.insert(dial) {
            let _ = self.events.send(Input::DialFailed { dial }).await;
            return;
        }
        self.open_stream(For::Node(dial), addresses);
    }

    fn neighbour_due(&self) -> Option<Instant> {
        self.own.back().filter(|_| self.dials_left() > 0).and_then(|&own| self.neighbourhood.next_due(own))
    }

    fn dials_left(&self) -> usize {
        self.places.left_for_found().min(DIALS_MAX).saturating_sub(self.dials.len())
    }

    fn dial_neighbours(&mut self) {
        let (Some(&own), true) = (self.own.back(), self.online.is_some()) else { return };
        let dials_left = self.dials_left();
        for (name, mut addresses) in self.neighbourhood.take_due(own, Instant::now(), dials_left) {
            addresses.retain(|address| is_on_link(&self.interfaces, address.ip()));
            self.open_stream(For::Neighbour(name), addresses);
        }
    }

    fn open_stream(&mut self, whom: For, addresses: Vec<SocketAddr>) {
        let from = self.options.bind.clone();
        self.dials.spawn(async move { (whom, first_to_answer(addresses, from).await) });
    }

    async fn dialled(&mut self, whom: For, stream: Option<TcpStream>) {
        let stream = stream.filter(|_| self.online.is_some() && self.places.admits_ours());
        match whom {
            For::Node(dial) => {
                let is_awaited = self.node_dials.remove(&dial);
                match stream.filter(|_| is_awaited) {
                    Some(stream) => self.link_begins(stream, Origin::Dialed(dial), None),
                    None if is_awaited => drop(self.events.send(Input::DialFailed { dial }).await),
                    None => {}
                }
            }
            For::Neighbour(name) => match stream {
                // Meanwhile it may have dialled us.
                Some(stream) if self.neighbourhood.wants(name) => self.link_begins(stream, Origin::Found, Some(name)),
                Some(_) => {}
                None => self.neighbourhood.failed(name, Instant::now(), &mut self.rng),
            },
        }
    }

    fn accept(&mut self, stream: TcpStream) {
        let Ok(remote) = stream.peer_addr().map(|address| address.ip().to_canonical()) else { return };
        if self.online.is_some() && self.places.admits(remote) {
            self.link_begins(stream, Origin::Accepted, None);
        }
    }

    fn link_begins(&mut self, stream: TcpStream, origin: Origin, instance: Option<Name>) {
        let (Ok(remote), Ok(local), Some(&own)) = (stream.peer_addr(), stream.local_addr(), self.own.back()) else {
            if let Some(name) = instance {
                self.neighbourhood.failed(name, Instant::now(), &mut self.rng);
            }
            return;
        };
        let (remote, local) = (remote.ip().to_canonical(), local.ip().to_canonical());
        let link = self.links.open();
        self.places.take(link, origin, remote, local);
        self.neighbourhood.link_up(link, remote, instance, own, Instant::now());
        let carried = link::carry(self.links.clone(), link, origin, stream, self.events.clone());
        self.carriers.spawn(async move {
            carried.await;
            link
        });
    }

    fn link_ended(&mut self, link: LinkId) {
        self.places.free(link);
        self.neighbourhood.link_down(link, Instant::now(), &mut self.rng);
    }
}

/// What the watch sees next; never, if there is none.
async fn sighting(online: &mut Option<Online>) -> Option<Sighting> {
    match online {
        Some(Online { watch: Some(watch), .. }) => watch.next().await,
        Some(Online { watch: None, .. }) | None => std::future::pending().await,
    }
}
