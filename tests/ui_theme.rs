//! The colours: every text that stands on a ground can be read there, in each look (WCAG 2.2, 1.4.3 and 1.4.11).

mod ui_support;

use alcove_ui::{AttendeeWindow, Theme};
use slint::{Color, ComponentHandle};
use ui_support::init;

/// WCAG 2.2, relative luminance.
fn luminance(colour: Color) -> f64 {
    let linear = |channel: u8| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(colour.red()) + 0.7152 * linear(colour.green()) + 0.0722 * linear(colour.blue())
}

/// WCAG 2.2, contrast ratio.
fn contrast(one: Color, other: Color) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

#[test]
fn control_the_ratio_is_that_of_the_standard() {
    let grey = |level| Color::from_rgb_u8(level, level, level);
    assert_eq!(contrast(grey(0), grey(255)), 21.0);
    // #767676 is the lightest grey that may stand on white, #777777 is not.
    assert!(contrast(grey(0x76), grey(255)) >= 4.5);
    assert!(contrast(grey(0x77), grey(255)) < 4.5);
}

#[test]
fn every_text_stands_out_from_its_ground_in_every_look() {
    init();
    let window = AttendeeWindow::new().unwrap();
    let theme = window.global::<Theme>();
    for (is_dark, is_high) in [(false, false), (false, true), (true, false), (true, true)] {
        theme.set_dark(is_dark);
        theme.set_high_contrast(is_high);
        let grounds = [
            ("background", theme.get_background()),
            ("surface", theme.get_surface()),
            ("raised", theme.get_raised()),
            ("accent-soft", theme.get_accent_soft()),
            ("warning-soft", theme.get_warning_soft()),
        ];
        let mut texts = vec![
            ("text".to_owned(), theme.get_text()),
            ("text-soft".to_owned(), theme.get_text_soft()),
            ("accent".to_owned(), theme.get_accent()),
            ("danger".to_owned(), theme.get_danger()),
        ];
        texts.extend((0..6).map(|seat| (format!("persona {seat}"), theme.invoke_persona(seat))));
        let mut pairs: Vec<(String, Color, Color, f64)> = Vec::new();
        for (on, ground) in grounds {
            pairs.extend(texts.iter().map(|(text, ink)| (format!("{text} on {on}"), *ink, ground, 4.5)));
            pairs.push((format!("the focus ring on {on}"), theme.get_focus(), ground, 3.0));
        }
        pairs.push(("on-accent on accent".into(), theme.get_on_accent(), theme.get_accent(), 4.5));
        pairs.push(("on-danger on danger".into(), theme.get_on_danger(), theme.get_danger(), 4.5));
        let floor = if is_high { 7.0 } else { 0.0 };
        for (what, ink, ground, least) in pairs {
            let ratio = contrast(ink, ground);
            assert!(ratio >= least.max(floor), "dark {is_dark}, high contrast {is_high}: {what} is {ratio:.2} : 1");
        }
    }
}
