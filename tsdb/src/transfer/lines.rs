//! A stream of bytes as lines of bounded length.

use std::io::{self, BufRead};

use super::{InputError, Position};

/// The longest line that is read: a series of some millions of samples.
pub const LINE_BYTES_MAX: usize = 256 << 20;

/// Lines of a stream, and how far they go.
#[derive(Debug)]
pub struct Lines<R> {
    input: R,
    bytes_max: usize,
    position: Position,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Lines from the start of `input`.
    pub const fn new(input: R) -> Self {
        Self::with_limit(input, LINE_BYTES_MAX)
    }

    const fn with_limit(input: R, bytes_max: usize) -> Self {
        Self {
            input,
            bytes_max,
            position: Position {
                offset: 0,
                items: 0,
            },
            line: Vec::new(),
        }
    }

    /// Leaves out what an earlier run has read.
    pub fn skip_to(&mut self, position: Position) -> Result<(), InputError> {
        let mut left = position.offset.saturating_sub(self.position.offset);
        while left > 0 {
            let available = self.input.fill_buf()?.len();
            if available == 0 {
                return Err(InputError::Unreadable(format!(
                    "ends before byte {}, where an earlier import stopped; import all of it again with --restart",
                    position.offset
                )));
            }
            let step = usize::try_from(left).map_or(available, |left| left.min(available));
            self.input.consume(step);
            left -= step as u64;
        }
        self.position = position;
        Ok(())
    }

    /// The next line, with its line break where it has one; nothing at the end.
    pub fn take_line(&mut self) -> Result<Option<&[u8]>, InputError> {
        self.line.clear();
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            if buffer.is_empty() {
                break;
            }
            let end = memchr::memchr(b'\n', buffer).map(|end| end + 1);
            let taken = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(buffer);
            if self.line.len() + taken.len() > self.bytes_max {
                return Err(self.pass_over());
            }
            let length = taken.len();
            self.line.extend_from_slice(taken);
            self.input.consume(length);
            if end.is_some() {
                break;
            }
        }
        if self.line.is_empty() {
            return Ok(None);
        }
        self.position.offset += self.line.len() as u64;
        self.position.items += 1;
        Ok(Some(&self.line))
    }

    /// Behind the last line that was read.
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Leaves a line out that does not fit.
    fn pass_over(&mut self) -> InputError {
        let mut bytes = self.line.len() as u64;
        self.line = Vec::new();
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return error.into(),
                Ok(buffer) => buffer,
            };
            let end = memchr::memchr(b'\n', buffer).map(|end| end + 1);
            let length = end.unwrap_or(buffer.len());
            self.input.consume(length);
            bytes += length as u64;
            if length == 0 || end.is_some() {
                break;
            }
        }
        self.position.offset += bytes;
        self.position.items += 1;
        InputError::line(
            self.position.items,
            format!(
                "has {bytes} bytes and at most {} are read; export fewer samples a line",
                self.bytes_max
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    fn all(lines: &mut Lines<BufReader<&[u8]>>) -> Vec<(String, Position)> {
        let mut found = Vec::new();
        while let Some(line) = lines.take_line().expect("short lines") {
            let line = String::from_utf8_lossy(line).into_owned();
            found.push((line, lines.position()));
        }
        found
    }

    #[test]
    fn lines_are_found_across_buffers_and_after_a_skip() {
        let text: &[u8] = b"first\n\nsecond line\nlast";
        for capacity in [1, 2, 7, 100] {
            let new = || Lines::new(BufReader::with_capacity(capacity, text));
            let whole = all(&mut new());
            let lines: Vec<&str> = whole.iter().map(|(line, _)| line.as_str()).collect();
            assert_eq!(lines, ["first\n", "\n", "second line\n", "last"]);
            for (done, (_, position)) in whole.iter().enumerate() {
                let mut rest = new();
                rest.skip_to(*position).expect("long enough");
                assert_eq!(all(&mut rest), whole[done + 1..]);
            }
            let beyond = Position {
                offset: 100,
                items: 9,
            };
            let error = new().skip_to(beyond).expect_err("too short");
            assert!(error.to_string().starts_with("ends before byte 100"));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let text: &[u8] = b"short\nmuch too long\nagain\n";
        for capacity in [1, 2, 7, 100] {
            let mut lines = Lines::with_limit(BufReader::with_capacity(capacity, text), 6);
            assert_eq!(lines.take_line().expect("short"), Some(&b"short\n"[..]));
            let error = lines.take_line().expect_err("too long");
            let said = "line 2: has 14 bytes and at most 6 are read; export fewer samples a line";
            assert_eq!(error.to_string(), said);
            assert_eq!(lines.take_line().expect("short"), Some(&b"again\n"[..]));
            assert_eq!(lines.take_line().expect("the end"), None);
            assert_eq!(lines.position().offset, text.len() as u64);
        }
    }
}
