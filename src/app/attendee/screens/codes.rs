//! Codes: the one that is shown to others, still or moving, and the one that is read.

use super::{Screens, State};
use crate::app::attendee::paint;
use crate::app::attendee::wish::{Act, Given, Wish};
use crate::proto::handoff::code::Kind;
use crate::proto::handoff::fountain;
use crate::shell::picture::{Correction, Qr};
use alcove_ui as ui;
use slint::{ComponentHandle, Image, Rgb8Pixel, SharedPixelBuffer, SharedString, TimerMode};
use std::time::Duration;

/// How long a code is on show before another takes its place, in seconds.
const CODE_SECONDS: i32 = 45;
/// Between two pictures of a moving code.
const FRAME: Duration = Duration::from_millis(160);

impl Screens {
    pub(super) fn show_code(&self, state: &State, text: &str) {
        let code = self.window.global::<ui::CodeAdapter>();
        code.set_text(text.into());
        code.set_picture(picture(text));
        code.set_is_animated(false);
        code.set_seconds_left(CODE_SECONDS);
        let window = self.window.as_weak();
        state.clock.start(TimerMode::Repeated, Duration::from_secs(1), move || {
            if let Some(window) = window.upgrade() {
                let code = window.global::<ui::CodeAdapter>();
                code.set_seconds_left((code.get_seconds_left() - 1).max(0));
            }
        });
    }

    pub(super) fn show_frames(&self, state: &State, sender: &fountain::Sender) {
        let code = self.window.global::<ui::CodeAdapter>();
        code.set_is_animated(true);
        code.set_frames(paint::int(sender.frames_needed()));
        // Round and round, with spare ones in each round.
        let frames: Vec<String> = sender.frames().take(sender.frames_needed() * 3 + 8).collect();
        let (window, mut number) = (self.window.as_weak(), 0_usize);
        state.clock.start(TimerMode::Repeated, FRAME, move || {
            if let Some(window) = window.upgrade() {
                let code = window.global::<ui::CodeAdapter>();
                code.set_picture(picture(&frames[number % frames.len()]));
                number += 1;
                code.set_frame(paint::int(number));
            }
        });
    }

    pub(super) fn hide_code(&self, state: &mut State) {
        state.clock.stop();
        state.code = None;
        self.window.global::<ui::CodeAdapter>().set_is_animated(false);
        self.window.global::<ui::CodeAdapter>().set_picture(Image::default());
        self.window.global::<ui::CodeAdapter>().set_text(SharedString::new());
        if let Some(talk) = state.talk {
            (state.ask)(Wish::Node(Act::HideCode(talk)));
        }
    }

    pub(super) fn listen_to_codes(&self) {
        let code = self.window.global::<ui::CodeAdapter>();
        code.on_choose(self.when(|screens, state, for_newcomer| {
            if let Some(talk) = state.talk {
                let kind = if for_newcomer { Kind::Newcomers } else { Kind::Members };
                state.code = Some(kind);
                screens.window.global::<ui::CodeAdapter>().set_for_newcomer(for_newcomer);
                (state.ask)(Wish::Node(Act::ShowCode(talk, kind)));
            }
        }));
        code.on_animate(self.when(|_, state, on| {
            if let Some(talk) = state.talk {
                let act = if on { Act::Animate(talk) } else { Act::ShowCode(talk, state.code.unwrap_or(Kind::Members)) };
                (state.ask)(Wish::Node(act));
            }
        }));
        let mut done = self.when(|screens, state, ()| screens.back(state));
        code.on_done(move || done(()));
        let scan = self.window.global::<ui::ScanAdapter>();
        scan.on_picture(self.when(|screens, state, path: SharedString| {
            screens.window.global::<ui::ScanAdapter>().set_is_working(true);
            (state.ask)(Wish::Read(Given::Path(path.trim().into())));
        }));
        scan.on_paste(self.when(|screens, state, text: SharedString| screens.read(state, &text)));
        let mut cancel = self.when(|screens, state, ()| screens.back(state));
        scan.on_cancel(move || cancel(()));
    }

    /// A path or the text of a code, whichever was typed.
    pub(super) fn read(&self, state: &State, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        self.window.global::<ui::EventAdapter>().set_is_working(true);
        self.window.global::<ui::ScanAdapter>().set_is_working(true);
        (state.ask)(Wish::Read(Given::of(text)));
    }
}

/// A code as a picture, a point for each module.
fn picture(text: &str) -> Image {
    let Ok(luma) = Qr::new(text, Correction::Medium).and_then(|qr| qr.luma(1)) else { return Image::default() };
    let mut pixels = SharedPixelBuffer::<Rgb8Pixel>::new(luma.width as u32, luma.height as u32);
    for (pixel, level) in pixels.make_mut_slice().iter_mut().zip(&luma.pixels) {
        *pixel = Rgb8Pixel { r: *level, g: *level, b: *level };
    }
    Image::from_rgb8(pixels)
}
