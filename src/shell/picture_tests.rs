//! Laws of pictures of codes.

use super::*;
use crate::proto::handoff::code::{Kind, OneTime};
use crate::proto::handoff::fountain;
use crate::proto::id::EventId;
use crate::proto::rng::Rng;
use crate::proto::scheme;
use crate::proto::time::WallTime;

fn handoff_text() -> String {
    let code = OneTime::new(&mut Rng::new([1; 32])).code(Kind::Members, WallTime(1_795_521_600_000), None, EventId([7; 16]));
    code.to_text().to_string()
}

#[test]
fn a_handoff_code_is_version_5_m() {
    let qr = Qr::new(&handoff_text(), Correction::Medium).unwrap();
    assert_eq!((qr.version(), qr.modules()), (5, 37));
    // The control: the same bytes as text that leaves the alphanumeric set need a larger code.
    assert!(Qr::new(&handoff_text().to_lowercase(), Correction::Medium).unwrap().version() > 5);
}

#[test]
fn a_frame_of_the_animated_code_is_version_16_m() {
    let sender = fountain::Sender::new(&[5; 3_000]).unwrap();
    assert_eq!(Qr::new(&sender.frame(0), Correction::Medium).unwrap().version(), 16);
    assert_eq!(Qr::new(&sender.frame(9_999), Correction::Low).unwrap().version(), 14);
}

#[test]
fn a_picture_keeps_its_quiet_zone_and_its_module_size() {
    let qr = Qr::new("ALCOVE:TEST", Correction::Medium).unwrap();
    let luma = qr.luma(MODULE_PX).unwrap();
    assert_eq!(luma.width, (qr.modules() + 8) * 8);
    let edge = QUIET_MODULES * MODULE_PX;
    let is_light = |x: usize, y: usize| luma.pixels[y * luma.width + x] == 255;
    assert!((0..luma.width).all(|at| (0..edge).all(|depth| is_light(at, depth) && is_light(depth, at))));
    assert!(!is_light(edge, edge) && !is_light(edge + 7 * MODULE_PX - 1, edge), "the finder pattern begins there");
}

#[test]
fn what_is_drawn_is_read() {
    for length in [1, 62, 300, 900, 1_200] {
        let mut rng = Rng::new([length as u8; 32]);
        let text = scheme::to_text("P", &(0..length).map(|_| rng.below(256) as u8).collect::<Vec<_>>());
        for correction in [Correction::Low, Correction::Medium] {
            let png = Qr::new(&text, correction).unwrap().png(MODULE_PX).unwrap();
            assert_eq!(decode_png_bytes(&png).unwrap(), text, "{length} bytes");
        }
    }
}

#[test]
fn terminal_text_is_read_on_dark_and_on_light_ground() {
    let text = handoff_text();
    let qr = Qr::new(&text, Correction::Medium).unwrap();
    for (ground, ink) in [(Ground::Dark, 255), (Ground::Light, 0)] {
        let lines: Vec<Vec<char>> = qr.terminal(ground).lines().map(|line| line.chars().collect()).collect();
        let (width, height) = (lines[0].len() * 6, lines.len() * 12);
        let pixels = (0..width * height).map(|at| {
            let (x, y) = (at % width, at / width);
            let upper = y % 12 < 6;
            let is_ink = match lines[y / 12][x / 6] {
                '█' => true,
                '▀' => upper,
                '▄' => !upper,
                _ => false,
            };
            if is_ink { ink } else { 255 - ink }
        });
        assert_eq!(decode_luma(width, height, &pixels.collect::<Vec<u8>>()).unwrap(), text);
    }
}

#[test]
fn an_inverted_code_is_read() {
    let luma = Qr::new(&handoff_text(), Correction::Medium).unwrap().luma(6).unwrap();
    let inverted: Vec<u8> = luma.pixels.iter().map(|pixel| 255 - pixel).collect();
    assert_eq!(decode_luma(luma.width, luma.height, &inverted).unwrap(), handoff_text());
}

#[test]
fn every_kind_of_png_is_read() {
    let luma = Qr::new(&handoff_text(), Correction::Medium).unwrap().luma(5).unwrap();
    let coloured = |color: ColorType, pixel: fn(u8) -> Vec<u8>| {
        let mut file = Vec::new();
        let mut encoder = Encoder::new(&mut file, luma.width as u32, luma.height as u32);
        encoder.set_color(color);
        encoder.set_depth(BitDepth::Eight);
        let pixels: Vec<u8> = luma.pixels.iter().flat_map(|grey| pixel(*grey)).collect();
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        decode_png_bytes(&file).unwrap()
    };
    assert_eq!(coloured(ColorType::Rgb, |grey| vec![grey / 2, grey, grey]), handoff_text());
    assert_eq!(coloured(ColorType::Rgba, |grey| vec![0, 0, 0, 255 - grey]), handoff_text(), "ink on nothing");
    assert_eq!(coloured(ColorType::GrayscaleAlpha, |grey| vec![grey, 255]), handoff_text());
}

#[test]
fn text_that_no_code_holds_and_pictures_without_end_are_refused() {
    assert!(matches!(Qr::new(&"A".repeat(4_297), Correction::Low), Err(PictureError::TextTooLong)));
    let qr = Qr::new("A", Correction::Low).unwrap();
    assert!(matches!(qr.png(1_000), Err(PictureError::DrawingTooLarge)));
    assert!(matches!(qr.png(usize::MAX), Err(PictureError::DrawingTooLarge)));
}

/// A PNG's first 33 bytes with any width and height and a right checksum.
fn header(width: u32, height: u32) -> Vec<u8> {
    let mut chunk = b"IHDR".to_vec();
    chunk.extend(width.to_be_bytes());
    chunk.extend(height.to_be_bytes());
    chunk.extend([8, 6, 0, 0, 0]);
    let crc = !chunk.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    [&b"\x89PNG\r\n\x1a\n\0\0\0\x0d"[..], &chunk, &crc.to_be_bytes()].concat()
}

#[test]
fn a_picture_that_claims_to_be_huge_is_refused_before_it_is_allocated() {
    for (width, height) in [(u32::MAX >> 1, u32::MAX >> 1), (100_000, 100_000), (1 << 25, 2)] {
        assert!(matches!(decode_png_bytes(&header(width, height)), Err(PictureError::PictureTooLarge)), "{width} x {height}");
    }
    assert!(
        matches!(decode_png_bytes(&header(100, 100)), Err(PictureError::NotAPicture)),
        "the control: the header is well-formed"
    );
    assert!(matches!(decode_luma(1 << 20, 1 << 20, &[]), Err(PictureError::PictureTooLarge)));
    assert!(matches!(decode_luma(usize::MAX, 2, &[]), Err(PictureError::PictureTooLarge)));
    assert!(matches!(decode_luma(10, 10, &[0; 99]), Err(PictureError::NotAPicture)));
    assert!(matches!(decode_luma(0, 10, &[]), Err(PictureError::NotAPicture)));
}

#[test]
fn damaged_pictures_give_an_error_or_the_text_and_never_a_panic() {
    let text = handoff_text();
    let good = Qr::new(&text, Correction::Medium).unwrap().png(2).unwrap();
    let mut rng = Rng::new([2; 32]);
    for _ in 0..400 {
        let mut bad = good.clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bad.len() as u64) as usize;
            if rng.below(4) == 0 { bad.truncate(at.max(1)) } else { bad[at] = rng.below(256) as u8 }
        }
        if let Ok(read) = decode_png_bytes(&bad) {
            assert_eq!(read, text);
        }
    }
}

#[test]
fn noise_holds_no_code() {
    let mut rng = Rng::new([3; 32]);
    let pixels: Vec<u8> = (0..300 * 200).map(|_| rng.below(256) as u8).collect();
    assert!(matches!(decode_luma(300, 200, &pixels), Err(PictureError::NoCode)));
    for (width, height) in [(1, 1), (1, 1_000), (1_000, 1), (39, 40), (40, 40)] {
        assert!(matches!(decode_luma(width, height, &vec![0; width * height]), Err(PictureError::NoCode)), "{width} x {height}");
    }
}

#[test]
fn a_missing_file_is_unreadable() {
    assert!(matches!(decode_png(Path::new("/nowhere/at/all.png")), Err(PictureError::Unreadable(_))));
}
