//! What comes from the relay, from the program that drives `alcove node`, and from a camera.

use super::Choices;
use alcove::app::headless::edit::Asked;
use alcove::app::headless::request::Request;
use alcove::proto::config::RELAY_MESSAGE_BYTES;
use alcove::shell::picture::{decode_luma, decode_png_bytes};
use alcove::shell::relay::message::{decode_command, decode_reply, encode_command, encode_reply};

pub fn run(data: &[u8]) {
    let mut choices = Choices(data);
    match choices.below(3) {
        0 => {
            let mut message = choices.rest().to_vec();
            relay_message(&message);
            message.resize(RELAY_MESSAGE_BYTES, 0);
            relay_message(&message);
        }
        1 => request(choices.rest()),
        _ => edits(choices.rest()),
    }
}

/// One form for each message: what decodes is written as the same bytes.
fn relay_message(bytes: &[u8]) {
    if let Ok(command) = decode_command(bytes) {
        assert_eq!(encode_command(&command).as_deref(), Ok(bytes));
        assert!(decode_reply(bytes).is_err());
    }
    if let Ok(reply) = decode_reply(bytes) {
        assert_eq!(encode_reply(&reply), bytes);
    }
}

fn request(line: &[u8]) {
    match Request::parse(line) {
        Err(answer) => assert!(answer["error"].is_string() && answer["message"].is_string()),
        Ok(mut request) => {
            let f = &mut request.fields;
            let _ = (f.text("talk"), f.optional_text("text"), f.optional_texts("tags"), f.number::<u8>("seat", 0..=50));
            let _ = (f.optional_flag("hidden"), f.nullable_number::<u16>("minutes", 0..=9), f.optional_path("png"));
            if let Ok(list) = f.list("edits") {
                list.into_iter().enumerate().for_each(|(place, edit)| drop(Asked::parse(edit, place)));
            }
            let _ = request.fields.finish();
        }
    }
}

fn edits(line: &[u8]) {
    let Ok(value) = serde_json::from_slice(line) else { return };
    if let Err(failure) = Asked::parse(value, 3) {
        assert!(failure.message.to_lowercase().contains("edits[3]") || failure.code != "bad-request", "{}", failure.message);
    }
}

/// Larger pictures cost what their pixels cost, which is bounded and slow.
const PIXELS_MAX: u64 = 1 << 16;

pub fn picture(data: &[u8]) {
    let mut choices = Choices(data);
    if choices.below(2) == 0 {
        let file = choices.rest();
        let side =
            |at: usize| file.get(at..at + 4).map_or(0, |side| u64::from(u32::from_be_bytes([side[0], side[1], side[2], side[3]])));
        let pixels = side(16) * side(20);
        if pixels <= PIXELS_MAX || pixels > 1 << 33 {
            drop(decode_png_bytes(file));
        }
    } else {
        // Every bit of the input is four pixels, so that a code fits into few bytes.
        let width = 1 + choices.below(255);
        let bits = choices.rest();
        let pixels: Vec<u8> = bits
            .iter()
            .take(2_048)
            .flat_map(|byte| (0..8).map(move |bit| if byte >> bit & 1 == 1 { 255 } else { 0 }))
            .flat_map(|pixel| [pixel; 4])
            .collect();
        let height = pixels.len() / width;
        drop(decode_luma(width, height, &pixels[..width * height]));
        assert!(decode_luma(width, height + 1, &pixels[..width * height]).is_err());
    }
}
