//! What the relay promises, asked by a bare socket and by bare HTTP.

use crate::world::*;
use alcove::proto::config::{RELAY_BLOB_BYTES, RELAY_HOURS_MAX, RELAY_MESSAGE_BYTES};
use alcove::proto::id::{PutId, WriteName};
use alcove::proto::io::{RelayCommand, RelayRefusal};
use alcove::proto::rng::Rng;
use alcove::shell::relay::message::{Reply, SUBSCRIPTIONS_MAX, encode_command, encode_reply};
use alcove::shell::relay::{Limits, Options};
use std::sync::atomic::Ordering::SeqCst;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn put_line(to: WriteName) -> String {
    format!("PUT /v1/mailbox/{to}\nAlcove-Hours: 24\nAlcove-Delete-Hash: {}", hex(&[7; 16]))
}

fn read_line(to: WriteName, after: u64, key: u8) -> String {
    format!("GET /v1/mailbox/{to}?after={after}\nAuthorization: Bearer {}", hex(&[key; 32]))
}

#[tokio::test]
async fn what_is_put_reaches_its_reader_in_order_before_and_after_it_asks() {
    let world = World::new(quick()).await;
    let (mut writer, mut reader) = (world.socket().await, world.socket().await);
    let mailbox = read_key(1).write_name();
    for n in 0..3 {
        writer.store(put(n, mailbox)).await;
    }
    writer.store(put(99, read_key(2).write_name())).await;
    let early = reader.read(1, 0).await;
    assert_eq!(numbers(&early), [0, 1, 2]);
    writer.store(put(3, mailbox)).await;
    let Some(Reply::Blob { cursor, blob, .. }) = reader.hear().await else { panic!("the fourth arrives by itself") };
    assert_eq!(number(&blob), 3);
    assert!(cursor > early[2].0);
    assert_eq!(numbers(&world.socket().await.read(1, early[1].0).await), [2, 3], "a cursor says what is known already");
    reader.say(RelayCommand::Unsubscribe { read_key: read_key(1) }).await;
    assert_eq!(reader.read(2, 0).await.len(), 1, "the unsubscribing is done");
    writer.store(put(4, mailbox)).await;
    writer.store(put(5, read_key(2).write_name())).await;
    let Some(Reply::Blob { blob, .. }) = reader.hear().await else { panic!("a blob of the other mailbox") };
    assert_eq!(number(&blob), 5);
    world.stop().await;
}

#[tokio::test]
async fn a_mailbox_opens_only_to_the_key_that_its_name_is_a_hash_of() {
    let world = World::new(quick()).await;
    let mailbox = read_key(1).write_name();
    assert_eq!(world.http(&put_line(mailbox), &blob(5)).await.0, 201);
    assert_eq!(world.http(&read_line(mailbox, 0, 2), &[]).await.0, 403);
    assert_eq!(world.http(&format!("GET /v1/mailbox/{mailbox}"), &[]).await.0, 403);
    let name_as_key = format!("GET /v1/mailbox/{mailbox}\nAuthorization: Bearer {mailbox}{mailbox}");
    assert_eq!(world.http(&name_as_key, &[]).await.0, 403);
    assert_eq!(world.socket().await.read(2, 0).await, [], "over the socket a foreign key opens its own, empty mailbox");
    // The control: the right key reads it, both ways.
    let (status, head, body) = world.http(&read_line(mailbox, 0, 1), &[]).await;
    assert_eq!((status, number(&body), body.len()), (200, 5, RELAY_BLOB_BYTES));
    let cursor: u64 = head.split("alcove-cursor: ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!(world.http(&read_line(mailbox, cursor, 1), &[]).await.0, 204);
    assert_eq!(world.socket().await.read(1, 0).await, [(cursor, 5)]);
    world.stop().await;
}

#[tokio::test]
async fn a_blob_is_withdrawn_only_with_its_key() {
    let world = World::new(quick()).await;
    let mailbox = read_key(1).write_name();
    let mut writer = world.socket().await;
    for n in 0..3 {
        writer.store(put(n, mailbox)).await;
    }
    let delete = |key: u8| format!("DELETE /v1/mailbox/{mailbox}\nAuthorization: Bearer {}", hex(&[key; 16]));
    assert_eq!(world.http(&delete(9), &[]).await.0, 404);
    writer.say(RelayCommand::Delete { from: mailbox, delete_key: [9; 16] }).await;
    writer.say(RelayCommand::Delete { from: read_key(2).write_name(), delete_key: [1; 16] }).await;
    writer.store(put(3, mailbox)).await;
    assert_eq!(numbers(&world.socket().await.read(1, 0).await), [0, 1, 2, 3], "neither key fits");
    // The control: the right keys, one by each way.
    assert_eq!(world.http(&delete(0), &[]).await.0, 204);
    writer.say(RelayCommand::Delete { from: mailbox, delete_key: [2; 16] }).await;
    writer.store(put(4, mailbox)).await;
    assert_eq!(numbers(&world.socket().await.read(1, 0).await), [1, 3, 4]);
    assert_eq!(world.metric("deletes_total").await, 2);
    world.stop().await;
}

#[tokio::test]
async fn a_full_mailbox_and_a_full_relay_say_which_of_them_is_full() {
    let limits = Limits { mailbox_blobs_max: 2, blobs_max: 3 };
    let world = World::new(Options { limits, ..quick() }).await;
    let (one, other) = (read_key(1).write_name(), read_key(2).write_name());
    let mut socket = world.socket().await;
    let refused = |id, why| Some(Reply::Refused { id: PutId(id), why });
    socket.store(put(0, one)).await;
    socket.store(put(1, one)).await;
    socket.say(put(2, one)).await;
    assert_eq!(socket.hear().await, refused(2, RelayRefusal::MailboxFull));
    assert_eq!(world.http(&put_line(one), &blob(0)).await.0, 507);
    socket.store(put(3, other)).await;
    socket.say(put(4, other)).await;
    assert_eq!(socket.hear().await, refused(4, RelayRefusal::RelayFull));
    assert_eq!(world.http(&put_line(other), &blob(0)).await.0, 503);
    socket.say(RelayCommand::Delete { from: one, delete_key: [0; 16] }).await;
    socket.store(put(5, other)).await;
    world.stop().await;
}

#[tokio::test]
async fn who_asks_too_fast_is_told_so_and_who_does_not_is_served() {
    let world = World::new(Options { requests_per_second: 1, ..quick() }).await;
    let (mut fast, mut calm) = (world.socket().await, world.socket().await);
    for n in 0..20 {
        fast.say(put(n, read_key(1).write_name())).await;
    }
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(matches!(fast.hear().await, Some(Reply::Refused { why: RelayRefusal::SlowDown, .. })));
    }
    assert!((8..=16).contains(&refused), "four at once, then one a second: {refused}");
    calm.store(put(1, read_key(1).write_name())).await;
    world.stop().await;
}

#[tokio::test]
async fn a_blob_lasts_its_hours_and_then_leaves_the_relay() {
    let (hand, clock) = clock(500_000);
    let world = World::new(Options { clock, ..quick() }).await;
    let mailbox = read_key(1).write_name();
    let mut socket = world.socket().await;
    socket.store(put_for(0, mailbox, 1, [0; 16])).await;
    socket.store(put_for(1, mailbox, RELAY_HOURS_MAX, [0; 16])).await;
    for hours in [0, RELAY_HOURS_MAX + 1] {
        socket.say(put_for(2, mailbox, hours, [0; 16])).await;
        assert_eq!(socket.hear().await, Some(Reply::Refused { id: PutId(2), why: RelayRefusal::Malformed }));
    }
    hand.store(500_001, SeqCst);
    assert_eq!(numbers(&world.socket().await.read(1, 0).await), [0, 1], "the promised hour is not over");
    hand.store(500_002, SeqCst);
    assert_eq!(numbers(&world.socket().await.read(1, 0).await), [1]);
    until("the sweep", async || world.metric("blobs").await == 1 && world.metric("expiries_total").await == 1).await;
    hand.store(500_001 + u32::from(RELAY_HOURS_MAX), SeqCst);
    until("the second sweep", async || world.metric("bytes").await == 0).await;
    world.stop().await;
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_loses_nothing() {
    const BLOBS: usize = 2_000;
    let limits = Limits { mailbox_blobs_max: BLOBS, blobs_max: BLOBS };
    let world = World::new(Options { limits, ..quick() }).await;
    let mailbox = read_key(1).write_name();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let mut slow = Socket::over(socket.connect(world.address).await.unwrap()).await;
    slow.say(subscribe(1, 0)).await;
    assert_eq!(slow.hear().await, Some(Reply::CaughtUp { mailbox }));
    let mut writer = world.socket().await;
    for n in 0..BLOBS {
        writer.store(put(n, mailbox)).await;
    }
    let given = world.meter.reads.load(SeqCst);
    assert!(given < 200, "beyond a few socket buffers nothing is taken from the store for it: {given}");
    for n in 0..BLOBS {
        let Some(Reply::Blob { blob, .. }) = slow.hear().await else { panic!("blob {n} is missing") };
        assert_eq!(number(&blob), n);
    }
    world.stop().await;
}

#[tokio::test]
async fn nonsense_ends_its_own_connection_and_no_other() {
    let world = World::new(quick()).await;
    let mailbox = read_key(1).write_name();
    let mut honest = world.socket().await;
    assert_eq!(honest.read(1, 0).await, []);
    let rng = &mut Rng::new([5; 32]);
    let mut nonsense = vec![
        Message::Text("hello".into()),
        Message::Binary(Default::default()),
        Message::Binary(vec![3; RELAY_MESSAGE_BYTES - 1].into()),
        Message::Binary(vec![3; RELAY_MESSAGE_BYTES + 1].into()),
        Message::Binary(vec![0; 1 << 20].into()),
        Message::Binary(vec![0; RELAY_MESSAGE_BYTES].into()),
        Message::Binary(encode_reply(&Reply::CaughtUp { mailbox }).into()),
    ];
    let sound = encode_command(&subscribe(1, 0)).unwrap();
    for _ in 0..20 {
        let mut mutated = sound.clone();
        mutated[41 + rng.below(4_000) as usize] = 1 + rng.below(255) as u8;
        nonsense.push(Message::Binary(mutated.into()));
    }
    let kinds = nonsense.len() as u64;
    for (n, message) in nonsense.into_iter().enumerate() {
        let mut rude = world.socket().await;
        let _ = rude.say_raw(message).await;
        assert_eq!(rude.hear().await, None, "the connection ends");
        honest.store(put(n, read_key(2).write_name())).await;
    }
    assert_eq!(world.metric("refusals_total{reason=\"malformed\"}").await, kinds);
    for line in ["GARBAGE", "GET /v1/mailbox/zz", "PUT /v1/mailbox/00", "GET /v1/ws", "DELETE /v1/mailbox/00", "GET /"] {
        assert!((400..500).contains(&world.http(line, &[]).await.0), "{line}");
    }
    assert_eq!(world.http(&put_line(mailbox), &vec![0; RELAY_BLOB_BYTES + 1]).await.0, 413);
    assert_eq!(world.http(&put_line(mailbox), &vec![0; RELAY_BLOB_BYTES - 1]).await.0, 400);
    honest.store(put(90, read_key(2).write_name())).await;
    world.stop().await;
}

#[tokio::test]
async fn one_connection_reads_a_bounded_number_of_mailboxes() {
    let world = World::new(quick()).await;
    let mut socket = world.socket().await;
    for n in 0..SUBSCRIPTIONS_MAX as u8 {
        assert_eq!(socket.read(n, 0).await, []);
    }
    socket.say(subscribe(SUBSCRIPTIONS_MAX as u8, 0)).await;
    socket.store(put(0, read_key(SUBSCRIPTIONS_MAX as u8).write_name())).await;
    assert_eq!(world.metric("refusals_total{reason=\"subscriptions\"}").await, 1);
    socket.say(RelayCommand::Unsubscribe { read_key: read_key(0) }).await;
    assert_eq!(socket.read(SUBSCRIPTIONS_MAX as u8, 0).await.len(), 1, "the control: one less, and there is room");
    world.stop().await;
}

#[tokio::test]
async fn one_connection_too_many_is_closed_and_the_others_stay() {
    let world = World::new(Options { connections_max: 2, ..quick() }).await;
    let (mut one, other) = (world.socket().await, world.socket().await);
    let late = TcpStream::connect(world.address).await.unwrap();
    let refused = within("a verdict", tokio_tungstenite::client_async("ws://relay/v1/ws", late)).await;
    assert!(refused.is_err());
    one.store(put(0, read_key(1).write_name())).await;
    drop(other);
    until("a place is free", async || world.meter.connections.load(SeqCst) == 1).await;
    assert_eq!(numbers(&world.socket().await.read(1, 0).await), [0]);
    world.stop().await;
}

#[tokio::test]
async fn the_counts_tell_no_name_and_no_key() {
    let world = World::new(quick()).await;
    let mailbox = read_key(1).write_name();
    let mut socket = world.socket().await;
    socket.store(put(0, mailbox)).await;
    assert_eq!(socket.read(1, 0).await.len(), 1);
    assert_eq!(world.http(&read_line(mailbox, 0, 2), &[]).await.0, 403);
    let page = String::from_utf8(world.http("GET /metrics", &[]).await.2).unwrap();
    assert!(page.contains("alcove_relay_puts_total 1\n") && page.contains("alcove_relay_bytes 4096\n"), "{page}");
    let secrets = [mailbox.to_string(), hex(&[1; 32]), hex(&[2; 32])];
    for secret in &secrets {
        assert!(!page.contains(&secret[..8]), "{page}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let labels = line.split(['{', '}']).nth(1).unwrap_or("");
        assert!(labels.is_empty() || labels.starts_with("reason="), "{line}");
    }
    assert_eq!(world.http("GET /healthz", &[]).await.0, 200);
    world.stop().await;
}
