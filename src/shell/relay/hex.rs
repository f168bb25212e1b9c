//! Names, keys and hashes as lower-case hex, for URLs, headers and people.

/// Reads exactly `N` bytes from `2 * N` hex digits of either case; `None` for anything else.
pub fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = (high * 16 + low) as u8;
    }
    Some(bytes)
}

/// Two lower-case digits per byte.
pub fn print(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_and_nothing_else_does() {
        assert_eq!(parse(&print(&[0, 1, 0xab, 0xff])), Some([0, 1, 0xab, 0xff]));
        assert_eq!(parse::<2>("ABcd"), Some([0xab, 0xcd]));
        for wrong in ["", "abc", "abcdef", "xyzw", "+1+2", "äb1"] {
            assert_eq!(parse::<2>(wrong), None, "{wrong}");
        }
    }
}
