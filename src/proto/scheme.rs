//! The text of every code that Alcove shows: `ALCOVE:`, a letter for its kind (none for a handoff) and bytes in base45 (RFC 9285).
//!
//! Laws: the text stays inside QR's alphanumeric set (ISO/IEC 18004, 7.4.4), so that a code is small; one text for each list of bytes
//! and the other way round; reading is total and capped before it allocates. It says nothing about what the bytes mean.

/// What every code begins with, so that a phone's own scanner can hand it to the app.
pub const SCHEME: &str = "ALCOVE:";

/// The code of this kind for these bytes.
pub fn to_text(kind: &str, bytes: &[u8]) -> String {
    format!("{SCHEME}{kind}{}", base45::encode(bytes))
}

/// The bytes of a code of this kind; `None` if it is another kind, holds more than `bytes_max` bytes or is not written as
/// [`to_text`] writes it. Space around the text and lower case are accepted: base45 has no lower case, so nothing is ambiguous, and
/// no base45 text ends in a space.
pub fn from_text(kind: &str, text: &str, bytes_max: usize) -> Option<Vec<u8>> {
    let text = text.trim();
    let prefix = SCHEME.len() + kind.len();
    if text.len() > prefix + (3 * bytes_max).div_ceil(2) || !text.is_ascii() {
        return None;
    }
    let text = text.to_ascii_uppercase();
    let body = text.strip_prefix(SCHEME)?.strip_prefix(kind)?;
    let bytes = base45::decode(body).ok()?;
    // The decoder wraps a last pair above 255; such a text is a second name for the same bytes.
    (base45::encode(&bytes) == body && bytes.len() <= bytes_max).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::rng::Rng;

    #[test]
    fn what_is_written_is_read_in_any_case_and_with_space_around() {
        let mut rng = Rng::new([1; 32]);
        for length in 0..200 {
            let bytes: Vec<u8> = (0..length).map(|_| rng.below(256) as u8).collect();
            let text = to_text("P", &bytes);
            assert_eq!(from_text("P", &text, 200), Some(bytes.clone()));
            assert_eq!(from_text("P", &format!("  {}\r\n", text.to_lowercase()), 200), Some(bytes));
        }
    }

    #[test]
    fn the_text_stays_in_the_alphanumeric_set_of_qr() {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_be_bytes).collect();
        assert!(to_text("P", &all).bytes().all(|c| b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:".contains(&c)));
    }

    #[test]
    fn a_second_spelling_of_the_same_bytes_is_refused() {
        let wrapped = format!("{SCHEME}::");
        assert!(base45::decode("::").is_ok(), "the control: the plain decoder wraps 2,024 to one byte");
        assert_eq!(from_text("", &wrapped, 10), None);
    }

    #[test]
    fn foreign_and_oversized_text_is_nothing() {
        for text in ["", "ALCOVE", "ALCOVE:", "https://example.org", "ALCOVE:Q00", "ALCOVE:P0", "ALCOVE:P\u{e4}\u{e4}"] {
            assert!(from_text("P", text, 10).is_none(), "{text}");
        }
        assert!(from_text("P", &to_text("P", &[7; 10]), 10).is_some());
        assert!(from_text("P", &to_text("P", &[7; 11]), 10).is_none());
    }
}
