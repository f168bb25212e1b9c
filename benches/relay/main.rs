//! What the relay does per second and what a message costs it, beside mosquitto (QoS 1) and nats-server on the same machine:
//! `cargo bench --workspace --bench relay [-- MESSAGES]`, so many per publisher.
//!
//! Eight publishers and eight subscribers, each pair with an address of its own, over loopback; 4,096 bytes a message, at most 20
//! unacknowledged per publisher. A round is over when every message is acknowledged to its publisher and delivered to its subscriber.
//! The clients are blocking sockets, one thread each, and speak no more of a protocol than this needs. CPU time and memory are those of
//! the server's process. What is not installed is left out (Debian: `apt-get install mosquitto nats-server`).

#[path = "../measure/mod.rs"]
mod measure;
mod service;
mod speaker;

use measure::{head, machine, row, size};
use service::{Kind, Service};
use speaker::Speaker;
use std::thread;
use std::time::Instant;

const PAIRS: usize = 8;
const WINDOW: usize = 20;
const PAYLOAD_BYTES: usize = 4_096;

fn main() {
    let each = size(3_000);
    println!("relay, {PAIRS} publishers and {PAIRS} subscribers, {each} messages each, {}", machine());
    head(&["server", "acknowledged when", "messages per second", "CPU per message", "memory (peak)"]);
    for kind in Kind::ALL {
        match Service::start(kind) {
            Some(service) => row(&round(&service, each)),
            None => println!("| {} | not installed | | | |", kind.name()),
        }
    }
}

fn round(service: &Service, each: usize) -> Vec<String> {
    let kind = service.kind();
    // Subscribers are there first; then a few messages that are not counted.
    let mut pairs: Vec<_> = (0..PAIRS)
        .map(|pair| (Speaker::subscriber(kind, service.address(), pair), Speaker::publisher(kind, service.address(), pair)))
        .collect();
    pass(&mut pairs, 50);
    let (cpu, began) = (service.cpu(), Instant::now());
    pass(&mut pairs, each);
    let (took, cpu) = (began.elapsed(), service.cpu() - cpu);
    let total = (PAIRS * each) as f64;
    vec![
        kind.name().into(),
        kind.promise().into(),
        format!("{:.0}", total / took.as_secs_f64()),
        format!("{:.1} µs", cpu.as_secs_f64() * 1e6 / total),
        format!("{} MiB", service.memory_kib() / 1024),
    ]
}

fn pass(pairs: &mut [(Speaker, Speaker)], each: usize) {
    thread::scope(|scope| {
        for (subscriber, publisher) in pairs {
            scope.spawn(move || (0..each).for_each(|_| subscriber.hear_message()));
            scope.spawn(move || {
                let (mut said, mut acknowledged) = (0, 0);
                while acknowledged < each {
                    if said < each && said - acknowledged < WINDOW {
                        publisher.publish();
                        said += 1;
                    } else {
                        publisher.hear_acknowledgement();
                        acknowledged += 1;
                    }
                }
            });
        }
    });
}
