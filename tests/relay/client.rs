//! The device's side: a connection that comes back by itself and believes only what it asked for.

use crate::world::*;
use alcove::proto::config::RELAY_MESSAGE_BYTES;
use alcove::proto::id::PutId;
use alcove::proto::io::{RelayCommand, RelayEvent, RelayRefusal};
use alcove::shell::relay::message::{Reply, encode_reply};
use alcove::shell::relay::{Options, Pace, RelayAddress, RelayClient, RelayState};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

async fn false_relay() -> (TcpListener, RelayAddress) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    (listener, RelayAddress { url, tls_pin: None })
}

async fn accept(listener: &TcpListener) -> WebSocketStream<TcpStream> {
    let (stream, _) = within("a connection", listener.accept()).await.unwrap();
    accept_async(stream).await.unwrap()
}

#[tokio::test]
async fn a_client_outlives_its_relay() {
    let folder = tempfile::tempdir().unwrap();
    let options = || Options { store: Some(folder.path().to_owned()), ..quick() };
    let world = World::new(options()).await;
    let (client, mut events) = RelayClient::start(&world.relay_address(), hasty()).unwrap();
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    assert_eq!(client.send(put(1, read_key(1).write_name())), None);
    assert_eq!(event(&mut events).await, RelayEvent::Stored { id: PutId(1) });
    let listen = world.address;
    world.stop().await;
    assert_eq!(event(&mut events).await, RelayEvent::Down);
    let refused = RelayEvent::Refused { id: PutId(2), why: RelayRefusal::SlowDown };
    assert_eq!(client.send(put(2, read_key(1).write_name())), Some(refused));

    let world = World::new(Options { listen, ..options() }).await;
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    client.send(subscribe(1, 0));
    let RelayEvent::Blob { blob, cursor, .. } = event(&mut events).await else { panic!("the blob from before") };
    assert_eq!(number(&blob), 1);
    assert_eq!(event(&mut events).await, RelayEvent::CaughtUp { mailbox: read_key(1).write_name() });
    assert_eq!(client.send(put(3, read_key(1).write_name())), None);
    let mut both = [event(&mut events).await, event(&mut events).await];
    both.sort_by_key(|event| matches!(event, RelayEvent::Stored { .. }));
    let [RelayEvent::Blob { cursor: next, .. }, RelayEvent::Stored { id: PutId(3) }] = both else { panic!("{both:?}") };
    assert!(next > cursor);
    assert_eq!(client.faults(), 0);
    world.stop().await;
}

#[tokio::test]
async fn a_client_that_is_switched_off_says_nothing_until_it_is_switched_on() {
    let world = World::new(quick()).await;
    let (client, mut events) = RelayClient::start(&world.relay_address(), hasty()).unwrap();
    let mut state = client.state();
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    assert_eq!(client.send(put(1, read_key(1).write_name())), None);
    assert_eq!(event(&mut events).await, RelayEvent::Stored { id: PutId(1) });
    client.set_online(false);
    assert_eq!(event(&mut events).await, RelayEvent::Down);
    assert_eq!(*state.borrow_and_update(), RelayState::Offline);
    until("the connection is gone", async || world.meter.connections.load(std::sync::atomic::Ordering::SeqCst) == 0).await;
    // What is withdrawn meanwhile is withdrawn later: nobody else would remember it.
    client.send(RelayCommand::Delete { from: read_key(1).write_name(), delete_key: [1; 16] });
    client.set_online(true);
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    assert_eq!(*state.borrow_and_update(), RelayState::Up);
    until("the withdrawal", async || world.metric("blobs").await == 0).await;
    world.stop().await;
}

/// Passes messages on and notes the size of every one.
async fn pass_on(
    mut from: SplitStream<WebSocketStream<TcpStream>>,
    mut to: SplitSink<WebSocketStream<TcpStream>, Message>,
    sizes: Arc<Mutex<Vec<usize>>>,
) {
    while let Some(Ok(message)) = from.next().await {
        if !message.is_close() {
            sizes.lock().unwrap().push(message.len());
        }
        let _ = to.send(message).await;
    }
}

/// Stands between a device and its relay.
async fn tap(listener: TcpListener, relay: SocketAddr, sizes: Arc<Mutex<Vec<usize>>>) {
    let (to_device, from_device) = accept(&listener).await.split();
    let (relay, _) = client_async("ws://relay/v1/ws", TcpStream::connect(relay).await.unwrap()).await.unwrap();
    let (to_relay, from_relay) = relay.split();
    tokio::join!(pass_on(from_device, to_relay, sizes.clone()), pass_on(from_relay, to_device, sizes));
}

#[tokio::test]
async fn every_message_on_the_wire_has_one_size() {
    let world = World::new(quick()).await;
    let (listener, address) = false_relay().await;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let tapping = tokio::spawn(tap(listener, world.address, sizes.clone()));
    let (client, mut events) = RelayClient::start(&address, hasty()).unwrap();
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    let mailbox = read_key(1).write_name();
    client.send(subscribe(1, 0));
    assert_eq!(event(&mut events).await, RelayEvent::CaughtUp { mailbox });
    client.send(put(1, mailbox));
    client.send(put_for(2, mailbox, 0, [0; 16]));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        kinds.push(event(&mut events).await);
    }
    assert!(kinds.iter().any(|event| matches!(event, RelayEvent::Blob { .. })));
    assert!(kinds.iter().any(|event| matches!(event, RelayEvent::Stored { .. })));
    assert!(kinds.iter().any(|event| matches!(event, RelayEvent::Refused { .. })));
    client.send(RelayCommand::Delete { from: mailbox, delete_key: [1; 16] });
    client.send(RelayCommand::Unsubscribe { read_key: read_key(1) });
    client.send(put(3, mailbox));
    assert_eq!(event(&mut events).await, RelayEvent::Stored { id: PutId(3) });
    let sizes = sizes.lock().unwrap().clone();
    assert_eq!(sizes, [RELAY_MESSAGE_BYTES; 11], "six commands, five replies");
    tapping.abort();
    world.stop().await;
}

#[tokio::test]
async fn a_relay_that_lies_is_counted_and_not_believed() {
    let (listener, address) = false_relay().await;
    let (client, mut events) = RelayClient::start(&address, hasty()).unwrap();
    let mut relay = accept(&listener).await;
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    client.send(subscribe(1, 10));
    relay.next().await.unwrap().unwrap();
    let mailbox = read_key(1).write_name();
    let blob = |mailbox, cursor| Reply::Blob { mailbox, cursor, blob: blob(0).into() };
    let lies = [
        blob(read_key(2).write_name(), 11),
        blob(mailbox, 10),
        Reply::CaughtUp { mailbox: read_key(2).write_name() },
        Reply::Stored { id: PutId(1) },
        Reply::Refused { id: PutId(1), why: RelayRefusal::MailboxFull },
    ];
    for lie in &lies {
        relay.send(Message::Binary(encode_reply(lie).into())).await.unwrap();
    }
    // The control: what was asked for comes through.
    relay.send(Message::Binary(encode_reply(&blob(mailbox, 11)).into())).await.unwrap();
    assert!(matches!(event(&mut events).await, RelayEvent::Blob { cursor: 11, .. }));
    assert_eq!(client.faults(), lies.len() as u64);

    let mut unknown = vec![0; RELAY_MESSAGE_BYTES];
    unknown[0] = 99;
    let nonsense = [Message::Text("hello".into()), Message::Binary(vec![129; 12].into()), Message::Binary(unknown.into())];
    for (n, message) in nonsense.into_iter().enumerate() {
        relay.send(message).await.unwrap();
        assert_eq!(event(&mut events).await, RelayEvent::Down);
        assert_eq!(client.faults(), (lies.len() + n) as u64 + 1);
        relay = accept(&listener).await;
        assert_eq!(event(&mut events).await, RelayEvent::Up);
    }
}

#[tokio::test]
async fn a_dead_tunnel_is_noticed_and_a_quiet_relay_is_not_mistaken_for_one() {
    let pace = Pace { quiet_max: Duration::from_millis(50), answer_max: Duration::from_secs(1), ..hasty() };
    let (listener, address) = false_relay().await;
    let (_client, mut events) = RelayClient::start(&address, pace).unwrap();
    // It takes the connection, and then nothing of it comes back, not even a pong.
    let _dead = accept(&listener).await;
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    assert_eq!(event(&mut events).await, RelayEvent::Down);

    // The control: a live relay that has nothing to say answers the pings.
    let world = World::new(quick()).await;
    let (_client, mut events) = RelayClient::start(&world.relay_address(), pace).unwrap();
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    let silence = tokio::time::timeout(2 * (pace.quiet_max + pace.answer_max), events.recv()).await;
    assert!(silence.is_err(), "{silence:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_full_queue_refuses_puts_at_once_and_still_takes_subscriptions() {
    let (listener, address) = false_relay().await;
    let (client, mut events) = RelayClient::start(&address, hasty()).unwrap();
    let mut relay = accept(&listener).await;
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    // No turn of the scheduler in between: the queue fills.
    let refused = (0..1_000).filter(|n| client.send(put(*n, read_key(1).write_name())).is_some()).count();
    assert!((800..1_000).contains(&refused), "{refused}");
    assert_eq!(client.send(subscribe(1, 0)), None);
    let mut heard = Vec::new();
    // 64 puts go out without an answer; the first answers let the rest and the subscription follow.
    while heard.len() < 1_001 - refused {
        let message = within("a command", relay.next()).await.unwrap().unwrap().into_data();
        if message[0] == 3 {
            let id = PutId(u64::from_le_bytes(message[1..9].try_into().unwrap()));
            relay.send(Message::Binary(encode_reply(&Reply::Stored { id }).into())).await.unwrap();
        }
        heard.push(message[0]);
    }
    assert_eq!(heard.last(), Some(&1), "the subscription stands behind the puts, and arrives");
}

#[tokio::test]
async fn of_what_a_lost_connection_did_not_say_only_withdrawals_are_said_later() {
    let (listener, address) = false_relay().await;
    let (client, mut events) = RelayClient::start(&address, hasty()).unwrap();
    let mut relay = accept(&listener).await;
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    // 64 puts without an answer stop the queue; the rest stands behind them.
    for n in 0..70 {
        assert_eq!(client.send(put(n, read_key(1).write_name())), None);
    }
    client.send(RelayCommand::Delete { from: read_key(1).write_name(), delete_key: [1; 16] });
    client.send(subscribe(1, 0));
    for _ in 0..64 {
        assert_eq!(within("a put", relay.next()).await.unwrap().unwrap().into_data()[0], 3);
    }
    drop(relay);
    assert_eq!(event(&mut events).await, RelayEvent::Down);
    let mut relay = accept(&listener).await;
    assert_eq!(event(&mut events).await, RelayEvent::Up);
    client.send(subscribe(2, 0));
    let mut ops = Vec::new();
    for _ in 0..2 {
        ops.push(within("a command", relay.next()).await.unwrap().unwrap().into_data()[0]);
    }
    assert_eq!(ops, [4, 1], "the withdrawal, then what is new");
}
