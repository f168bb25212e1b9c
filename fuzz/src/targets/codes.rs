//! Scanned texts: handoff codes, events' codes, and frames of an animated code, forged ones with true checks among honest ones.

use super::Choices;
use alcove::model::event::PackLink;
use alcove::proto::handoff::code::Code;
use alcove::proto::handoff::fountain::{Heard, MESSAGE_BYTES_MAX, Receiver, Sender};
use alcove::proto::id::EventId;
use alcove::proto::scheme;
use alcove::proto::secret::hash;
use alcove::proto::time::WallTime;

pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(5) {
        0 => code(&String::from_utf8_lossy(choices.rest())),
        1 => code(&scheme::to_text("", choices.rest())),
        2 => pack_link(&String::from_utf8_lossy(choices.rest())),
        3 => {
            let kind = ["P", "H"][choices.below(2)];
            pack_link(&scheme::to_text(kind, choices.rest()));
        }
        _ => frames(choices),
    }
}

fn code(text: &str) {
    let Ok(code) = Code::parse(text) else { return };
    assert_eq!(*code.to_text(), text.trim().to_ascii_uppercase(), "one text for one code");
    let _ = (code.is_expired(WallTime(0)), code.is_for(EventId([0; 16])), code.psk());
}

fn pack_link(text: &str) {
    let Ok(link) = PackLink::parse(text) else { return };
    if let PackLink::Fetch { url, tls_pin, .. } = &link {
        assert!(!url.is_empty() && url.len() <= 1_024);
        assert!(link.accept(b"something else").is_err(), "{url} {tls_pin:?}");
    }
}

fn frames(mut choices: Choices<'_>) {
    let message: Vec<u8> = (0..300 + 8 * choices.short() as usize % 4_000).map(|at| (at * at) as u8).collect();
    let honest = Sender::new(&message).expect("it is within its bounds");
    let mut receiver = Receiver::default();
    let (mut forged, mut rounds) = (false, 0);
    while !choices.is_over() && rounds < 300 {
        rounds += 1;
        let number = u32::from(choices.byte());
        let text = match choices.below(4) {
            0 | 1 => honest.frame(number),
            2 => {
                forged = true;
                let like = scheme::from_text("F", &honest.frame(number), 2_000).expect("an honest frame");
                forge(&mut choices, like)
            }
            _ => String::from_utf8_lossy(choices.sized()).into_owned(),
        };
        match receiver.receive(&text) {
            Ok(Heard::Whole(whole)) => {
                assert!(whole.len() <= MESSAGE_BYTES_MAX && (forged || whole == message));
                receiver.start_over();
            }
            Ok(Heard::StartedOver) => assert!(forged, "honest frames fit together"),
            Ok(Heard::New | Heard::Again | Heard::Other) | Err(_) => {}
        }
        assert!((0.0..=1.0).contains(&receiver.progress()));
    }
}

/// A frame with other fields and a true check, which anybody can compute.
fn forge(choices: &mut Choices<'_>, mut frame: Vec<u8>) -> String {
    if choices.below(2) == 0 {
        let length = 256 + usize::from(choices.short()) % 769;
        frame.resize(14 + length, choices.byte());
    }
    for _ in 0..choices.below(6) {
        let place = usize::from(choices.short()) % frame.len();
        frame[place] = choices.byte();
    }
    let (id, rest) = frame.split_at(4);
    let check = hash("alcove/1 animated frame", &[id, &rest[4..7], &rest[7..10], &rest[10..]]);
    scheme::to_text("F", &[id, &check[..4], &rest[4..]].concat())
}
