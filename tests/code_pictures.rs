//! Codes as cameras see them: drawn, distorted and read back, down to a document that crosses the table as an animated code alone.
#![cfg(feature = "shell")]

use alcove::model::event::{EventPack, OrganizerKeys, PackLink, SignedPack, plan};
use alcove::proto::handoff::code::{Code, Kind, OneTime};
use alcove::proto::handoff::fountain::{Heard, Receiver, Sender, open_for_members, seal_for_members};
use alcove::proto::id::EventId;
use alcove::proto::rng::Rng;
use alcove::proto::secret::Key;
use alcove::proto::time::WallTime;
use alcove::shell::picture::{Correction, Luma, PictureError, Qr, decode_luma, decode_png_bytes};
use jiff::civil::date;
use jiff::tz::TimeZone;

const NOON: WallTime = WallTime(1_795_521_600_000);

/// What a camera does to a picture, in this order: it stands at a distance (scale), is held askew (degrees), has little contrast, and
/// its sensor is noisy (standard deviation of the brightness, of 255).
#[derive(Clone, Copy)]
struct Camera {
    scale: f32,
    degrees: f32,
    contrast: f32,
    noise: f32,
}

const STEADY: Camera = Camera { scale: 1.0, degrees: 0.0, contrast: 1.0, noise: 0.0 };
const HAND_HELD: Camera = Camera { scale: 0.83, degrees: 4.0, contrast: 0.6, noise: 12.0 };

impl Camera {
    fn sees(self, picture: &Luma, rng: &mut Rng) -> Luma {
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        let side = (picture.width as f32 * self.scale * (sin.abs() + cos.abs())).ceil() as usize + 20;
        let (from, to) = (picture.width as f32 / 2.0, side as f32 / 2.0);
        let at = |x: f32, y: f32| {
            let inside = x >= 0.0 && y >= 0.0 && x < picture.width as f32 && y < picture.height as f32;
            if inside { f32::from(picture.pixels[y as usize * picture.width + x as usize]) } else { 255.0 }
        };
        let mut pixels = Vec::with_capacity(side * side);
        for index in 0..side * side {
            let (dx, dy) = ((index % side) as f32 + 0.5 - to, (index / side) as f32 + 0.5 - to);
            let (x, y) = ((cos * dx + sin * dy) / self.scale + from, (cos * dy - sin * dx) / self.scale + from);
            let smooth = (at(x - 0.5, y - 0.5) + at(x + 0.5, y - 0.5) + at(x - 0.5, y + 0.5) + at(x + 0.5, y + 0.5)) / 4.0;
            // Eight evenly distributed bytes add up to a number that is nearly normal: mean 1,020, standard deviation 209.
            let normal = (rng.bytes::<8>().iter().map(|byte| f32::from(*byte)).sum::<f32>() - 1_020.0) / 209.0;
            pixels.push((128.0 + (smooth - 128.0) * self.contrast + normal * self.noise).clamp(0.0, 255.0) as u8);
        }
        Luma { width: side, height: side, pixels }
    }
}

fn read(luma: &Luma) -> Result<String, PictureError> {
    decode_luma(luma.width, luma.height, &luma.pixels)
}

fn small_pack() -> SignedPack {
    let keys = OrganizerKeys::new(&mut Rng::new([1; 32]));
    let bare = EventPack::bare("Offline Days", date(2026, 11, 24), date(2026, 11, 26), &TimeZone::UTC, &keys).unwrap();
    let pack = EventPack { place: "Halle 7".into(), tables: plan::in_rows(30, 4), ..bare };
    SignedPack::sign(pack, &keys).unwrap()
}

#[test]
fn a_handoff_code_is_read_from_a_hand_held_phone() {
    let mut rng = Rng::new([2; 32]);
    let mut found = 0;
    for _ in 0..20 {
        let code =
            OneTime::new(&mut rng).code(Kind::Newcomers, NOON, Some("192.168.7.21:40123".parse().unwrap()), EventId([7; 16]));
        let qr = Qr::new(&code.to_text(), Correction::Medium).unwrap();
        let drawn = qr.luma(8).unwrap();
        assert_eq!(Code::parse(&read(&drawn).unwrap()).unwrap(), code);
        assert_eq!(Code::parse(&decode_png_bytes(&qr.png(8).unwrap()).unwrap()).unwrap(), code);
        // A frame that is not read is followed by another; one that is read must be right.
        if let Ok(text) = read(&HAND_HELD.sees(&drawn, &mut rng)) {
            assert_eq!(Code::parse(&text).unwrap(), code);
            found += 1;
        }
    }
    assert!(found >= 18, "{found} of 20");
}

#[test]
fn an_event_is_read_from_its_poster() {
    let signed = small_pack();
    let mut rng = Rng::new([3; 32]);
    let poster = Qr::new(&signed.to_link().unwrap(), Correction::Medium).unwrap();
    let drawn = poster.luma(8).unwrap();
    let text = (0..5).find_map(|_| read(&HAND_HELD.sees(&drawn, &mut rng)).ok()).expect("one of five frames is read");
    assert_eq!(PackLink::parse(&text), Ok(PackLink::Inline(Box::new(signed))));
}

#[test]
fn a_covered_code_gives_no_text_rather_than_a_wrong_one() {
    let code = OneTime::new(&mut Rng::new([4; 32])).code(Kind::Members, NOON, None, EventId([7; 16]));
    let mut luma = Qr::new(&code.to_text(), Correction::Medium).unwrap().luma(8).unwrap();
    let (from, to) = (luma.width / 3, 2 * luma.width / 3);
    let mut cover = |share: usize| {
        for y in from..from + (to - from) * share / 10 {
            luma.pixels[y * luma.width + from..y * luma.width + to].fill(255);
        }
        read(&luma)
    };
    assert_eq!(cover(3).unwrap(), *code.to_text(), "error correction mends a small stain");
    assert!(matches!(cover(10), Err(PictureError::NoCode)));
}

#[test]
fn notes_cross_the_table_as_an_animated_code_though_every_third_frame_is_lost() {
    let mut rng = Rng::new([5; 32]);
    let members = Key(rng.bytes());
    let notes: Vec<u8> = (0..20_000).map(|_| rng.below(256) as u8).collect();
    let sender = Sender::new(&seal_for_members(&members, &notes, &mut rng)).unwrap();
    let mut receiver = Receiver::default();
    let (mut shown, mut unread) = (0, 0);
    let camera = Camera { scale: 0.9, degrees: 2.0, contrast: 0.7, noise: 8.0 };
    let sealed = loop {
        let frame = sender.frame(shown);
        shown += 1;
        assert!(shown < 300, "{:?}", receiver);
        if rng.below(3) == 0 {
            continue;
        }
        let picture = Qr::new(&frame, Correction::Medium).unwrap().luma(4).unwrap();
        let Ok(text) = read(&camera.sees(&picture, &mut rng)) else {
            unread += 1;
            continue;
        };
        assert_eq!(text, frame);
        if let Heard::Whole(sealed) = receiver.receive(&text).unwrap() {
            break sealed;
        }
    };
    assert_eq!(open_for_members(&members, &sealed), Some(notes));
    assert_eq!(open_for_members(&Key([0; 32]), &sealed), None, "whoever else films the screen has nothing");
    let needed = sender.frames_needed() as u32;
    assert!(shown <= 2 * needed + unread, "{shown} frames shown, {needed} needed, {unread} unread");
}

#[test]
fn the_distorting_camera_does_distort() {
    let mut rng = Rng::new([6; 32]);
    let drawn = Qr::new("ALCOVE:TEST", Correction::Medium).unwrap().luma(8).unwrap();
    assert_eq!(read(&STEADY.sees(&drawn, &mut rng)).unwrap(), "ALCOVE:TEST");
    let hopeless = Camera { noise: 200.0, ..HAND_HELD };
    assert!(read(&hopeless.sees(&drawn, &mut rng)).is_err());
}
