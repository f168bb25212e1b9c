//! Laws of the animated code.

use super::*;

fn message(length: usize, seed: u8) -> Vec<u8> {
    let mut rng = Rng::new([seed; 32]);
    (0..length).map(|_| rng.below(256) as u8).collect()
}

/// Feeds frames until the message is whole; how many it took.
fn gather(receiver: &mut Receiver, frames: impl Iterator<Item = String>) -> (Vec<u8>, usize) {
    let mut taken = 0;
    for frame in frames.take(10_000) {
        taken += 1;
        if let Ok(Heard::Whole(message)) = receiver.receive(&frame) {
            return (message, taken);
        }
    }
    panic!("not whole after {taken} frames");
}

#[test]
fn a_message_of_any_size_comes_back_and_a_third_of_the_frames_may_be_lost() {
    for (length, symbol_bytes) in [
        (1, 256),
        (255, 256),
        (256, 256),
        (257, 256),
        (20_000, 400),
        (50_001, 1024),
        (MESSAGE_BYTES_MAX, 400),
        (MESSAGE_BYTES_MAX, 1024),
    ] {
        let sealed = message(length, 1);
        let sender = Sender::with_symbol_bytes(&sealed, symbol_bytes).unwrap();
        let mut rng = Rng::new([2; 32]);
        let mut receiver = Receiver::default();
        let (whole, taken) = gather(&mut receiver, sender.frames().filter(|_| rng.below(3) != 0));
        assert_eq!(whole, sealed);
        assert!(taken <= sender.frames_needed() + 3, "{taken} frames for {} symbols", sender.frames_needed());
        assert_eq!(receiver.progress(), 1.0);
    }
}

#[test]
fn it_does_not_matter_when_one_starts_to_look() {
    let sealed = message(9_000, 3);
    let sender = Sender::new(&sealed).unwrap();
    for start in [1, 17, 1_000, SYMBOL_IDS - 10, u32::MAX - 100] {
        let (whole, _) = gather(&mut Receiver::default(), (start..).map(|number| sender.frame(number)));
        assert_eq!(whole, sealed, "from frame {start}");
    }
}

#[test]
fn progress_only_grows_and_ends_at_one() {
    let sender = Sender::new(&message(30_000, 4)).unwrap();
    let mut receiver = Receiver::default();
    let mut last = receiver.progress();
    assert_eq!(last, 0.0);
    for number in 0..sender.frames_needed() as u32 {
        receiver.receive(&sender.frame(number)).unwrap();
        assert!(receiver.progress() > last);
        last = receiver.progress();
    }
    assert_eq!(last, 1.0);
    assert_eq!(receiver.receive(&sender.frame(0)), Ok(Heard::Again));
}

#[test]
fn a_frame_seen_twice_counts_once() {
    let sender = Sender::new(&message(5_000, 5)).unwrap();
    let mut receiver = Receiver::default();
    assert_eq!(receiver.receive(&sender.frame(3)), Ok(Heard::New));
    let progress = receiver.progress();
    assert_eq!(receiver.receive(&sender.frame(3)), Ok(Heard::Again));
    assert_eq!(receiver.progress(), progress);
}

#[test]
fn empty_and_oversized_messages_and_symbols_are_refused() {
    assert!(matches!(Sender::new(&[]), Err(Refused::OutOfRange)));
    assert!(matches!(Sender::new(&vec![0; MESSAGE_BYTES_MAX + 1]), Err(Refused::OutOfRange)));
    for symbol_bytes in [0, 255, 1025, u16::MAX] {
        assert!(matches!(Sender::with_symbol_bytes(&[1], symbol_bytes), Err(Refused::OutOfRange)));
    }
}

#[test]
fn a_misread_frame_is_dropped_and_the_message_is_not_spoilt() {
    let sealed = message(8_000, 6);
    let sender = Sender::new(&sealed).unwrap();
    let mut rng = Rng::new([7; 32]);
    let mut receiver = Receiver::default();
    for number in 0..10_000 {
        let frame = sender.frame(number);
        let mut misread = frame.clone().into_bytes();
        let at = 8 + rng.below(misread.len() as u64 - 8) as usize;
        misread[at] = if misread[at] == b'0' { b'1' } else { b'0' };
        assert_eq!(receiver.receive(std::str::from_utf8(&misread).unwrap()), Err(Refused::NotACode));
        if let Ok(Heard::Whole(whole)) = receiver.receive(&frame) {
            assert_eq!(whole, sealed);
            return;
        }
    }
    panic!("never whole");
}

/// A frame with the honest transfer's id and a valid check around a wrong symbol: what only an attacker makes.
fn forged(sender: &Sender, symbol_id: u32) -> String {
    sender.transfer.frame(symbol_id, &vec![0xEE; usize::from(sender.transfer.symbol_bytes)])
}

#[test]
fn a_forged_frame_delays_but_never_alters_the_message() {
    let sealed = message(8_000, 8);
    let sender = Sender::new(&sealed).unwrap();
    let needed = sender.frames_needed();
    // A forged repair symbol, and a forged piece of the message itself.
    for forged_id in [900, 2] {
        let mut receiver = Receiver::default();
        receiver.receive(&forged(&sender, forged_id)).unwrap();
        let heard: Vec<Heard> = sender.frames().take(3 * needed).map(|frame| receiver.receive(&frame).unwrap()).collect();
        assert_eq!(heard.iter().filter(|heard| **heard == Heard::StartedOver).count(), 1, "the forgery was found out");
        let whole: Vec<&Heard> = heard.iter().filter(|heard| matches!(heard, Heard::Whole(_))).collect();
        assert_eq!(whole, [&Heard::Whole(sealed.clone())]);
    }
}

#[test]
fn a_stray_frame_of_another_code_loses_nothing_and_turning_to_it_switches() {
    let (mine, theirs) = (Sender::new(&message(8_000, 9)).unwrap(), Sender::new(&message(6_000, 10)).unwrap());
    let mut receiver = Receiver::default();
    for number in 0..10 {
        assert_eq!(receiver.receive(&mine.frame(number)), Ok(Heard::New));
        assert_eq!(receiver.receive(&theirs.frame(number)), Ok(Heard::Other));
    }
    let progress = receiver.progress();
    for number in 0..u32::from(SWITCH_AFTER_FRAMES) - 2 {
        assert_eq!(receiver.receive(&theirs.frame(100 + number)), Ok(Heard::Other));
        assert_eq!(receiver.progress(), progress);
    }
    assert_eq!(receiver.receive(&theirs.frame(200)), Ok(Heard::New));
    assert!(receiver.progress() < progress);
    let (whole, _) = gather(&mut receiver, theirs.frames());
    assert_eq!(whole, message(6_000, 10));
}

#[test]
fn hostile_frames_are_bounded_and_panic_nothing() {
    let mut rng = Rng::new([11; 32]);
    let mut receiver = Receiver::default();
    let (mut taken, mut started_over) = (0, 0);
    for _ in 0..3_000 {
        // Valid checks around arbitrary numbers: few distinct ids and lengths, so that transfers do fill up.
        let length = [1, 200, 1_000, MESSAGE_BYTES_MAX as u64, MESSAGE_BYTES_MAX as u64 + 1, 0, 0xFF_FFFF][rng.below(7) as usize];
        let symbol_bytes = [0, 1, 255, 256, 257, 1_024, 1_025][rng.below(7) as usize];
        let id = [rng.below(2) as u8; 4];
        for _ in 0..20 {
            let symbol_id = if rng.below(2) == 0 { rng.below(12) } else { rng.below(u64::from(SYMBOL_IDS)) } as u32;
            let [_, length @ ..] = (length as u32).to_be_bytes();
            let [_, symbol_id @ ..] = symbol_id.to_be_bytes();
            let symbol = vec![rng.below(256) as u8; symbol_bytes];
            let check = frame_check(&id, &length, &symbol_id, &symbol);
            let text = scheme::to_text(KIND, &[&id[..], &check, &length, &symbol_id, &symbol].concat());
            match receiver.receive(&text) {
                Ok(Heard::StartedOver) => started_over += 1,
                Ok(_) => taken += 1,
                Err(refused) => assert_eq!(refused, Refused::NotACode),
            }
            if let State::Gathering(gathering) = &receiver.state {
                assert!(gathering.seen.len() < gathering.transfer.symbols() + SURPLUS_SYMBOLS_MAX);
                assert!(gathering.transfer.message_bytes <= MESSAGE_BYTES_MAX);
            }
        }
    }
    assert!(taken > 1_000 && started_over > 10, "{taken} taken, {started_over} started over");
}

#[test]
fn cut_and_altered_texts_are_refused_and_never_panic() {
    let sender = Sender::new(&message(3_000, 12)).unwrap();
    let frame = sender.frame(1);
    let mut receiver = Receiver::default();
    for end in 0..frame.len() {
        assert_eq!(receiver.receive(&frame[..end]), Err(Refused::NotACode));
    }
    assert_eq!(receiver.progress(), 0.0);
    assert_eq!(receiver.receive(&frame.to_lowercase()), Ok(Heard::New));
}

#[test]
fn only_members_open_what_was_sealed_for_them() {
    let mut rng = Rng::new([13; 32]);
    let (members, stranger) = (Key(rng.bytes()), Key(rng.bytes()));
    let sealed = seal_for_members(&members, b"the notes", &mut rng);
    assert_eq!(open_for_members(&members, &sealed).as_deref(), Some(&b"the notes"[..]));
    assert_eq!(open_for_members(&stranger, &sealed), None);
    for at in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert_eq!(open_for_members(&members, &altered), None);
    }
    assert_eq!(open_for_members(&members, &sealed[..23]), None);
}
