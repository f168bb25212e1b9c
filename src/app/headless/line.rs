//! Lines from standard input, each of a bounded length.
//!
//! Law: a line that is too long is refused as soon as that is known, read to its end without being kept, and does not harm the next.

use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// The longest line: a large paste with room to spare.
pub const LINE_BYTES_MAX: usize = 1 << 20;

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
    line: Vec<u8>,
    is_too_long: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// The lines of this input.
    pub fn new(from: R) -> Lines<R> {
        Lines { from, line: Vec::new(), is_too_long: false }
    }

    /// The next line; `None` at the end. May be dropped while it waits without losing anything.
    ///
    /// # Errors
    /// The input cannot be read.
    pub async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let ready = self.from.fill_buf().await?;
            let is_over = ready.is_empty();
            if is_over && self.line.is_empty() && !self.is_too_long {
                return Ok(None);
            }
            let end = ready.iter().position(|byte| *byte == b'\n');
            let piece = &ready[..end.unwrap_or(ready.len())];
            if !self.is_too_long && self.line.len() + piece.len() > LINE_BYTES_MAX {
                self.is_too_long = true;
                self.line = Vec::new();
            }
            if !self.is_too_long {
                self.line.extend_from_slice(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.from.consume(used);
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
    use tokio::io::BufReader;

    async fn lines(text: &[u8]) -> Vec<Line> {
        let mut lines = Lines::new(BufReader::with_capacity(16, text));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            assert!(lines.line.capacity() <= LINE_BYTES_MAX + 16);
            all.push(line);
        }
        all
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_refused_and_the_next_is_read() {
        let (longest, longer) = ("x".repeat(LINE_BYTES_MAX), "x".repeat(3 * LINE_BYTES_MAX));
        let text = format!("one\n\n{longest}\n{longer}\nlast");
        let whole = |text: &str| Line::Whole(text.into());
        assert_eq!(lines(text.as_bytes()).await, [whole("one"), whole(""), whole(&longest), Line::TooLong, whole("last")]);
        assert_eq!(lines(longer.as_bytes()).await, [Line::TooLong]);
        assert_eq!(lines(b"").await, []);
    }
}
