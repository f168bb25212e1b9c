//! A link towards a stranger that sends anything, and a link between two of ours on a line that changes bytes.

use super::Choices;
use alcove::proto::config::CELL_BYTES;
use alcove::proto::link::{Heard, Invitation, Link, Scanned};
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::Instant;
use alcove::proto::wire::decode;
use alcove::proto::wire::frame::{Control, Frame};
use x25519_dalek::{PublicKey, StaticSecret};

const EVENT: &[u8] = b"event";
const CODE: [u8; 62] = [9; 62];

pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    let rng = &mut Rng::new([1; 32]);
    match choices.below(3) {
        0 => stranger(choices, rng),
        1 => changed_line(choices, rng, false),
        _ => changed_line(choices, rng, true),
    }
}

fn stranger(mut choices: Choices<'_>, rng: &mut Rng) {
    let (secret, psk) = (Key([2; 32]), Key([3; 32]));
    let public = PublicKey::from(&StaticSecret::from(secret.0)).to_bytes();
    let shown = [Invitation { secret: &secret, psk: &psk, code: &CODE }];
    let scanned = Scanned { public: &public, psk: &psk, code: &CODE };
    let (mut link, invitations) = match choices.below(4) {
        0 => (Link::accept(Instant(0), EVENT), &shown[..0]),
        1 => (Link::accept(Instant(0), EVENT), &shown[..]),
        2 => (Link::initiate(rng, Instant(0), EVENT, None).0, &shown[..0]),
        _ => (Link::initiate(rng, Instant(0), EVENT, Some(scanned)).0, &shown[..0]),
    };
    let (mut asked, mut answered) = (0, 0);
    while !choices.is_over() {
        let mut bytes = choices.sized().to_vec();
        if choices.below(2) == 0 {
            bytes.resize(CELL_BYTES, 0);
        }
        asked += bytes.len();
        let Ok(heard) = link.receive(rng, &bytes, invitations) else {
            assert!(link.receive(rng, &[0; CELL_BYTES], invitations).is_err(), "a link with a fault is dead");
            break;
        };
        for heard in heard {
            match heard {
                Heard::Reply(cells) => answered += cells.len(),
                Heard::Up { .. } | Heard::Frame(_) => panic!("nobody holds the keys"),
            }
        }
        assert!(answered <= asked && !link.is_up(), "at most a byte answered for a byte asked");
    }
}

/// Both ends shake hands and send frames; the choices change the bytes of one direction. What is heard is what was said.
fn changed_line(mut choices: Choices<'_>, rng: &mut Rng, scans: bool) {
    let (secret, psk) = (Key([2; 32]), Key([3; 32]));
    let public = PublicKey::from(&StaticSecret::from(secret.0)).to_bytes();
    let invitations = [Invitation { secret: &secret, psk: &psk, code: &CODE }];
    let scanned = scans.then_some(Scanned { public: &public, psk: &psk, code: &CODE });
    let (mut one, mut to_other) = Link::initiate(rng, Instant(0), EVENT, scanned);
    let mut other = Link::accept(Instant(0), EVENT);
    let (mut to_one, mut said, mut is_changed, mut rounds) = (Vec::new(), Vec::new(), false, 0);
    while !choices.is_over() && rounds < 200 {
        rounds += 1;
        match choices.below(4) {
            0 => {
                let before = to_other.clone();
                choices.mutate(&mut to_other);
                is_changed |= before != to_other;
            }
            1 => {
                let control = decode(choices.sized(), "control").unwrap_or(Control::Admission { admitted: true });
                if let Some(cells) = one.send(&Frame::Control(control.clone())) {
                    to_other.extend(cells);
                    said.push(Frame::Control(control));
                }
            }
            _ => {}
        }
        let arrives: Vec<u8> = std::mem::take(&mut to_other);
        let Ok(heard) = other.receive(rng, &arrives, &invitations) else {
            assert!(is_changed, "an honest line breaks nothing");
            return;
        };
        for heard in heard {
            match heard {
                Heard::Reply(cells) => to_one.extend(cells),
                Heard::Up { .. } => assert_eq!(one.handshake_hash(), other.handshake_hash()),
                Heard::Frame(frame) => assert_eq!(frame, said.remove(0)),
            }
        }
        match one.receive(rng, &std::mem::take(&mut to_one), &[]) {
            Ok(heard) => heard.into_iter().for_each(|heard| {
                if let Heard::Reply(cells) = heard {
                    to_other.extend(cells);
                }
            }),
            Err(_) => {
                assert!(is_changed, "an honest line breaks nothing");
                return;
            }
        }
    }
}
