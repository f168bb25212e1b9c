//! The LAN transport between several nodes of one machine, over real sockets; multicast stays on the loopback interface, and each
//! test has an mDNS port of its own, so that tests do not see each other.

use alcove::proto::config::CELL_BYTES;
use alcove::proto::id::{DialId, LinkId};
use alcove::proto::io::{Input, Origin};
use alcove::shell::lan::{Discovery, Lan, LanOptions};
use mdns_sd::{IfKind, ServiceDaemon, ServiceEvent};
use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// A machine under load is slow; what happens at all happens within this time.
const SOON: Duration = Duration::from_secs(40);
/// So long nothing may happen that must not: longer than a neighbour with the greater name defers to the other.
const LONG_ENOUGH: Duration = Duration::from_secs(13);

/// A running transport and what it says.
struct Node {
    lan: Lan,
    events: mpsc::Receiver<Input>,
}

impl Node {
    fn start(options: LanOptions) -> Node {
        let (sender, events) = mpsc::channel(64);
        Node { lan: Lan::start(options, sender).unwrap(), events }
    }

    async fn next(&mut self) -> Input {
        timeout(SOON, self.events.recv()).await.expect("nothing happened").expect("the transport has ended")
    }

    /// The next input that `pick` takes; the others are skipped.
    async fn until<T>(&mut self, mut pick: impl FnMut(Input) -> Option<T>) -> T {
        loop {
            if let Some(picked) = pick(self.next().await) {
                return picked;
            }
        }
    }

    async fn link(&mut self) -> (LinkId, Origin) {
        self.until(|input| match input {
            Input::LinkUp { link, origin } => Some((link, origin)),
            _ => None,
        })
        .await
    }

    async fn address(&mut self) -> SocketAddr {
        self.until(|input| match input {
            Input::Listening(addresses) => addresses.first().copied(),
            _ => None,
        })
        .await
    }

    async fn down(&mut self, of: LinkId) {
        self.until(|input| matches!(input, Input::LinkDown { link } if link == of).then_some(())).await;
    }

    /// Reads until `count` bytes have arrived on the link.
    async fn bytes(&mut self, of: LinkId, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < count {
            match self.next().await {
                Input::Received { link, bytes } if link == of => all.extend(bytes),
                Input::LinkDown { link } if link == of => panic!("the link fell after {} bytes", all.len()),
                _ => {}
            }
        }
        all
    }

    /// That in this time no link comes or goes.
    async fn stays_as_it_is(&mut self, span: Duration) {
        let until = Instant::now() + span;
        while let Ok(input) = tokio::time::timeout_at(until, self.events.recv()).await {
            assert!(!matches!(input, Some(Input::LinkUp { .. } | Input::LinkDown { .. })), "{input:?}");
        }
    }
}

fn options(seed: u8, discovery: Discovery, mdns_port: u16) -> LanOptions {
    LanOptions { discovery, mdns_port, ..LanOptions::new([seed; 32], Arc::new(AtomicU64::new(1))) }
}

fn loopback(seed: u8, mdns_port: u16) -> Node {
    Node::start(options(seed, Discovery::LoopbackOnly, mdns_port))
}

/// A node that nobody discovers, at 127.0.0.1.
fn silent(seed: u8) -> Node {
    Node::start(LanOptions { bind: vec!["127.0.0.1".parse().unwrap()], ..options(seed, Discovery::Off, 5353) })
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// An address where nobody listens; the system gives its port to nobody while the socket lives.
fn dead_address() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Cells that differ from each other, so that a lost or swapped one shows.
fn cells(count: usize, salt: u8) -> Vec<u8> {
    (0..count * CELL_BYTES).map(|place| (place / CELL_BYTES * 31 + place) as u8 ^ salt).collect()
}

/// Dials from one silent node to the other; the link's number at each end.
async fn connect(from: &mut Node, to: &mut Node, at: SocketAddr, number: u64) -> (LinkId, LinkId) {
    from.lan.dial(DialId(number), vec![at]);
    let (near, origin) = from.link().await;
    assert_eq!(origin, Origin::Dialed(DialId(number)));
    let (far, origin) = to.link().await;
    assert_eq!(origin, Origin::Accepted);
    (near, far)
}

#[tokio::test]
async fn two_that_see_each_other_have_exactly_one_link_and_bytes_arrive_whole_and_in_order() {
    let port = free_udp_port();
    let (mut ada, mut bob) = (loopback(1, port), loopback(2, port));
    let ((at_ada, one), (at_bob, two)) = tokio::join!(ada.link(), bob.link());
    assert!([(Origin::Found, Origin::Accepted), (Origin::Accepted, Origin::Found)].contains(&(one, two)), "{one:?} {two:?}");

    let (there, back) = (cells(600, 1), cells(600, 2));
    for place in (0..there.len()).step_by(CELL_BYTES) {
        ada.lan.transmit(at_ada, there[place..place + CELL_BYTES].to_vec());
        bob.lan.transmit(at_bob, back[place..place + CELL_BYTES].to_vec());
    }
    let (got_back, got_there) = tokio::join!(ada.bytes(at_ada, back.len()), bob.bytes(at_bob, there.len()));

    assert!(got_there == there && got_back == back);
    tokio::join!(ada.stays_as_it_is(LONG_ENOUGH), bob.stays_as_it_is(LONG_ENOUGH));
    assert_eq!((ada.lan.peers(), bob.lan.peers()), (1, 1));
    tokio::join!(ada.lan.shutdown(), bob.lan.shutdown());
}

#[tokio::test]
async fn a_node_alone_never_dials_itself() {
    let mut alone = loopback(1, free_udp_port());
    alone.stays_as_it_is(LONG_ENOUGH).await;
    assert_eq!(alone.lan.peers(), 0);
}

#[tokio::test]
async fn without_discovery_nobody_is_found_but_who_is_dialled_answers() {
    let (mut ada, mut bob) = (silent(1), silent(2));
    let at = bob.address().await;
    tokio::join!(ada.stays_as_it_is(LONG_ENOUGH / 4), bob.stays_as_it_is(LONG_ENOUGH / 4));

    let (_held, dead) = dead_address();
    ada.lan.dial(DialId(7), vec![dead, at]);

    let (link, origin) = ada.link().await;
    assert_eq!(origin, Origin::Dialed(DialId(7)));
    let (at_bob, _) = bob.link().await;
    ada.lan.transmit(link, cells(3, 0));
    assert_eq!(bob.bytes(at_bob, 3 * CELL_BYTES).await, cells(3, 0));
}

#[tokio::test]
async fn an_address_where_nobody_listens_fails() {
    let mut ada = silent(1);
    let [(_held, one), (_held_too, other)] = [dead_address(), dead_address()];
    for (number, addresses) in [vec![one], vec![one, other], vec![]].into_iter().enumerate() {
        let number = number as u64;
        ada.lan.dial(DialId(number), addresses);
        ada.until(|input| matches!(input, Input::DialFailed { dial } if dial == DialId(number)).then_some(())).await;
    }
    assert_eq!(ada.lan.peers(), 0);
}

#[tokio::test]
async fn offline_drops_every_link_and_online_brings_them_back() {
    let port = free_udp_port();
    let (mut ada, mut bob) = (loopback(1, port), loopback(2, port));
    let (address, at) = tokio::join!(ada.address(), bob.address());
    let ((at_ada, _), (at_bob, _)) = tokio::join!(ada.link(), bob.link());

    ada.lan.set_online(false);
    let ended = async {
        let (mut is_down, mut is_deaf) = (false, false);
        // In whichever order they come.
        while !(is_down && is_deaf) {
            match ada.next().await {
                Input::LinkDown { link } if link == at_ada => is_down = true,
                Input::Listening(addresses) if addresses.is_empty() => is_deaf = true,
                _ => {}
            }
        }
    };
    tokio::join!(ended, bob.down(at_bob));
    assert!(TcpStream::connect(address).await.is_err(), "nothing listens any more");
    ada.lan.dial(DialId(1), vec![at]);
    ada.until(|input| matches!(input, Input::DialFailed { .. }).then_some(())).await;

    ada.lan.set_online(true);
    assert_ne!(ada.address().await, address);
    tokio::join!(ada.link(), bob.link());
}

#[tokio::test]
async fn a_rotation_shows_a_new_instance_host_and_port_and_keeps_the_link() {
    let port = free_udp_port();
    let short = Duration::from_secs(3)..Duration::from_secs(4);
    let mut ada = Node::start(LanOptions { rotation: short, ..options(1, Discovery::LoopbackOnly, port) });
    let mut bob = loopback(7, port);
    let bobs_port = bob.address().await.port();
    let ((at_ada, _), (at_bob, _)) = tokio::join!(ada.link(), bob.link());

    let onlooker = ServiceDaemon::new_with_port(port).unwrap();
    onlooker.disable_interface(IfKind::All).unwrap();
    onlooker.enable_interface(IfKind::LoopbackV4).unwrap();
    let sights = onlooker.browse("_alcove._tcp.local.").unwrap();
    let (mut instances, mut hosts, mut ports) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut bobs = String::new();
    while instances.len() < 5 {
        if let ServiceEvent::ServiceResolved(service) = timeout(SOON, sights.recv_async()).await.unwrap().unwrap() {
            assert!(service.txt_properties.is_empty());
            instances.insert(service.fullname.clone());
            hosts.insert(service.host.clone());
            ports.insert(service.port);
            if service.port == bobs_port {
                bobs = service.fullname.clone();
            }
        }
    }
    let _ = onlooker.shutdown();

    // Bob's and four of Ada's.
    assert_eq!((instances.len(), hosts.len(), ports.len()), (5, 5, 5));
    let instance_of = |name: &String| name.split('.').next().unwrap().to_string();
    assert!(instances.iter().all(|name| !hosts.iter().any(|host| instance_of(host) == instance_of(name))));
    assert!(instances.iter().filter(|name| **name > bobs).count() >= 2, "Bob never had reason to dial: choose another seed");
    tokio::join!(ada.stays_as_it_is(Duration::from_secs(1)), bob.stays_as_it_is(Duration::from_secs(1)));
    assert_eq!((ada.lan.peers(), bob.lan.peers()), (1, 1), "no second link came of it");
    ada.lan.transmit(at_ada, cells(2, 3));
    assert_eq!(bob.bytes(at_bob, 2 * CELL_BYTES).await, cells(2, 3));
}

#[tokio::test]
async fn a_peer_that_never_reads_loses_its_link_and_the_others_go_on() {
    let (mut ada, mut bob) = (silent(1), silent(2));
    let at = ada.address().await;
    let mut deaf = TcpStream::connect(at).await.unwrap();
    let (to_deaf, _) = ada.link().await;
    let (at_bob, to_bob) = connect(&mut bob, &mut ada, at, 1).await;

    // Half a full queue at a time: the socket's own buffers take some of it, then it stays full.
    for round in 0.. {
        assert!(round < 100, "the queue has no bound");
        ada.lan.transmit(to_deaf, cells(512, 0));
        ada.lan.transmit(to_bob, cells(1, round));
        assert_eq!(bob.bytes(at_bob, CELL_BYTES).await, cells(1, round));
        if let Ok(Some(Input::LinkDown { link })) = timeout(Duration::from_millis(10), ada.events.recv()).await {
            assert_eq!(link, to_deaf);
            break;
        }
    }

    assert_eq!(ada.lan.peers(), 1);
    let mut heard = Vec::new();
    let _ = timeout(SOON, deaf.read_to_end(&mut heard)).await.expect("the stream has ended");
    ada.lan.transmit(to_bob, cells(5, 9));
    assert_eq!(bob.bytes(at_bob, 5 * CELL_BYTES).await, cells(5, 9));
}

#[tokio::test]
async fn a_full_queue_that_never_moves_ends_the_link_in_time() {
    let mut ada = silent(1);
    let deaf = TcpStream::connect(ada.address().await).await.unwrap();
    let (to_deaf, _) = ada.link().await;

    // More than the socket takes by itself, less than what ends the link at once.
    ada.lan.transmit(to_deaf, cells(4_000, 0));
    let start = Instant::now();
    ada.down(to_deaf).await;

    // The system itself would give up after 18 s.
    assert!((9..17).contains(&start.elapsed().as_secs()), "after {:?}", start.elapsed());
    drop(deaf);
}

#[tokio::test]
async fn what_was_queued_before_a_disconnect_still_arrives() {
    let (mut ada, mut bob) = (silent(1), silent(2));
    let at = bob.address().await;
    let (near, far) = connect(&mut ada, &mut bob, at, 1).await;

    bob.lan.transmit(far, cells(20, 7));
    ada.lan.transmit(near, cells(800, 1));
    ada.lan.disconnect(near);

    ada.down(near).await;
    assert!(bob.bytes(far, 800 * CELL_BYTES).await == cells(800, 1));
    bob.down(far).await;
}

#[tokio::test]
async fn a_node_that_reads_slowly_slows_its_peer_down_and_loses_nothing() {
    let (sender, events) = mpsc::channel(1);
    let options = LanOptions { bind: vec!["127.0.0.1".parse().unwrap()], ..options(2, Discovery::Off, 5353) };
    let mut slow = Node { lan: Lan::start(options, sender).unwrap(), events };
    let mut ada = silent(1);
    let at = slow.address().await;
    let (near, far) = connect(&mut ada, &mut slow, at, 1).await;

    let all = cells(4_000, 5);
    ada.lan.transmit(near, all.clone());
    ada.stays_as_it_is(Duration::from_secs(2)).await;

    assert!(slow.bytes(far, all.len()).await == all);
}

#[tokio::test]
async fn a_hundred_dials_leak_nothing() {
    let (mut ada, mut bob) = (silent(1), silent(2));
    let at = bob.address().await;
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();

    for number in 0..100 {
        let (near, far) = connect(&mut ada, &mut bob, at, number).await;
        let (closer, its, other, others) =
            if number % 2 == 0 { (&mut ada, near, &mut bob, far) } else { (&mut bob, far, &mut ada, near) };
        closer.lan.disconnect(its);
        tokio::join!(closer.down(its), other.down(others));
    }

    assert_eq!((ada.lan.peers(), bob.lan.peers()), (0, 0));
    let deadline = Instant::now() + SOON;
    while alive() > before {
        assert!(Instant::now() < deadline, "{} tasks before, {} after", before, alive());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_crowd_at_the_door_leaves_room_for_whom_we_dial() {
    let mut ada = silent(1);
    let at = ada.address().await;
    let mut crowd = Vec::new();
    for _ in 0..60 {
        crowd.push(TcpStream::connect(at).await.unwrap());
    }
    let mut bob = silent(2);
    let to = bob.address().await;
    let mut accepted = 0;
    let dialled = loop {
        match ada.next().await {
            Input::LinkUp { origin: Origin::Accepted, .. } => accepted += 1,
            Input::LinkUp { origin: Origin::Dialed(dial), .. } => break dial,
            _ => {}
        }
        if accepted == alcove::shell::lan::ACCEPTED_MAX {
            ada.lan.dial(DialId(1), vec![to]);
        }
    };
    assert_eq!(dialled, DialId(1), "a place is left for whom we dial");
    ada.stays_as_it_is(Duration::from_secs(2)).await;
    assert_eq!(ada.lan.peers(), alcove::shell::lan::ACCEPTED_MAX + 1);
    bob.link().await;
}
