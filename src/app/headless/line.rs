//! Lines from standard input, each of a bounded length.
//!
//! Laws: a line that is too long is refused as soon as that is known, read to its end without being kept, and does not harm the next; no
//! byte of a line stays behind once it was given out.

use std::io::{self, Read};
use zeroize::Zeroize;

/// The longest line: a large paste with room to spare.
pub const LINE_BYTES_MAX: usize = 1 << 20;
/// What one read takes at most.
const READ_BYTES_MAX: usize = 8 * 1024;

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Line {
    /// A line without its end.
    Whole(Vec<u8>),
    /// One of more than [`LINE_BYTES_MAX`] bytes; its bytes are gone.
    TooLong,
}

/// Reads line by line. The last one may lack its end.
pub struct Lines<R> {
    from: R,
    /// What was read and not yet used; all before and behind is zero.
    read: Box<[u8; READ_BYTES_MAX]>,
    ready: std::ops::Range<usize>,
    line: Vec<u8>,
    is_too_long: bool,
}

impl<R: Read> Lines<R> {
    /// The lines of this input, which should keep nothing of what it gave.
    pub fn new(from: R) -> Lines<R> {
        Lines { from, read: Box::new([0; READ_BYTES_MAX]), ready: 0..0, line: Vec::new(), is_too_long: false }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if self.ready.is_empty() {
                self.ready = 0..self.from.read(&mut self.read[..])?;
            }
            let ready = &mut self.read[self.ready.clone()];
            let is_over = ready.is_empty();
            if is_over && self.line.is_empty() && !self.is_too_long {
                return Ok(None);
            }
            let end = ready.iter().position(|byte| *byte == b'\n');
            let piece = &mut ready[..end.unwrap_or(self.ready.len())];
            if !self.is_too_long && self.line.len() + piece.len() > LINE_BYTES_MAX {
                self.is_too_long = true;
                self.line = Vec::new();
            }
            if !self.is_too_long {
                self.line.extend_from_slice(piece);
            }
            piece.zeroize();
            self.ready.start += piece.len() + usize::from(end.is_some());
            if end.is_some() || is_over {
                let line = std::mem::take(&mut self.line);
                let is_too_long = std::mem::take(&mut self.is_too_long);
                return Ok(Some(if is_too_long { Line::TooLong } else { Line::Whole(line) }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(text);
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            assert!(lines.line.capacity() <= LINE_BYTES_MAX + READ_BYTES_MAX);
            let (before, behind) = (&lines.read[..lines.ready.start], &lines.read[lines.ready.end..]);
            assert!(before.iter().chain(behind).all(|byte| *byte == 0 || *byte == b'\n'), "nothing stays behind");
            all.push(line);
        }
        all
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_and_the_next_is_read() {
        let (longest, longer) = ("x".repeat(LINE_BYTES_MAX), "x".repeat(3 * LINE_BYTES_MAX));
        let text = format!("one\n\n{longest}\n{longer}\nlast");
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(lines(text.as_bytes()), [whole("one"), whole(""), whole(&longest), Line::TooLong, whole("last")]);
        assert_eq!(lines(longer.as_bytes()), [Line::TooLong]);
        assert_eq!(lines(b""), []);
    }
}
