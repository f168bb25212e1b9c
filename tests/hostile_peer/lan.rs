//! A crowd of strangers at a phone's port, while its owner talks to a friend.

use crate::phone::{Phone, close, meet, pack, run_until, talk};
use crate::{MEMORY, PEER_BYTES_MAX, alone, peak_of};
use alcove::proto::config::CELL_BYTES;
use alcove::shell::lan::ACCEPTED_MAX;
use std::net::{SocketAddr, UdpSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than there are places, by far.
const CROWD: usize = 120;
/// What the two honest phones may hold more meanwhile: cards, parcels, timers.
const HONEST_BYTES: usize = 512 * 1024;

/// Two phones that have found each other.
async fn friends() -> (Phone, Phone) {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pack = pack();
    let (mut ada, mut bob) = (Phone::start(1, &pack, port), Phone::start(2, &pack, port));
    run_until("a link", &mut ada, &mut bob, |a, b| {
        a.node.status().neighbours == 1 && b.node.status().neighbours == 1 && a.address.is_some()
    })
    .await;
    (ada, bob)
}

/// So many streams to an address, each of which says this in pieces of one byte or at once.
async fn crowd(at: SocketAddr, says: &[u8], is_slow: bool) -> Vec<TcpStream> {
    let mut crowd = Vec::with_capacity(CROWD);
    for _ in 0..CROWD {
        let mut stream = TcpStream::connect(at).await.unwrap();
        if is_slow {
            stream.set_nodelay(true).unwrap();
            for byte in says.chunks(1) {
                let _ = stream.write_all(byte).await;
            }
        } else {
            // Whoever is not accepted yet may find the buffers full: what does not fit is not said.
            let _ = stream.try_write(says);
        }
        crowd.push(stream);
    }
    crowd
}

#[tokio::test]
async fn strangers_cost_64_kib_each_at_most_and_the_friends_talk_goes_on() {
    let _turn = alone().await;
    let (mut ada, mut bob) = friends().await;
    let at = ada.address.unwrap();
    let talks = meet(&mut ada, &mut bob, "In a crowd").await;
    talk(&mut ada, &mut bob, talks, "before").await;

    let garbage: Vec<u8> = (0..256 * 1024_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (name, says, is_slow) in [
        ("silence", &[][..], false),
        ("half a cell", &garbage[..CELL_BYTES / 2], false),
        ("a first cell, byte by byte", &garbage[..CELL_BYTES], true),
        ("a flood", &garbage[..], false),
    ] {
        let (peak, streams) = peak_of(async {
            let streams = crowd(at, says, is_slow).await;
            // They come in while the friends talk.
            talk(&mut ada, &mut bob, talks, &format!("beside {name}")).await;
            streams
        })
        .await;
        assert!(peak <= CROWD.min(ACCEPTED_MAX) * PEER_BYTES_MAX + HONEST_BYTES, "{name}: {peak} bytes at most at one time");
        println!("{name}: {CROWD} strangers, {peak} bytes at most at one time");
        talk(&mut ada, &mut bob, talks, &format!("still beside {name}")).await;
        // All are let go, those who wait in the backlog too, and the places are free again.
        drop(streams);
        run_until("the crowd is gone", &mut ada, &mut bob, |a, _| a.lan.peers() == 1 && a.node.status().neighbours == 1).await;
    }

    // Those who finish no handshake are sent away, though they would stay.
    let (held, mut streams) = (MEMORY.current_usage(), crowd(at, &garbage[..100], false).await);
    run_until("some are let in", &mut ada, &mut bob, |a, _| a.lan.peers() > 10).await;
    let last = streams.last_mut().unwrap();
    let mut one = [0; 1];
    crate::within("the last of them is sent away", async {
        loop {
            tokio::select! {
                read = last.read(&mut one) => if !matches!(read, Ok(1..)) { return },
                () = ada.step() => {}
                () = bob.step() => {}
            }
        }
    })
    .await;
    run_until("the places are free", &mut ada, &mut bob, |a, _| a.lan.peers() == 1).await;
    drop(streams);
    talk(&mut ada, &mut bob, talks, "after").await;
    assert!(MEMORY.current_usage() <= held + HONEST_BYTES, "everything is let go");
    close(&mut ada, &mut bob, talks).await;
}

#[tokio::test]
async fn control_the_measure_sees_a_peer_that_costs_more() {
    let _turn = alone().await;
    let (peak, _) = peak_of(async { (0..CROWD).map(|_| vec![1_u8; PEER_BYTES_MAX + 1_024]).collect::<Vec<_>>() }).await;
    assert!(peak > CROWD * PEER_BYTES_MAX);
}
