//! Bytes of one file into lines: splitting, unframing, merging of partial lines, the limit.
//!
//! Pure but for its state: what has been fed and not yet handed on. [`Decoder::settled`] is the
//! offset before the oldest such byte, and so the place a reader must begin at to lose nothing.
//!
//! A line over the limit is handed on in parts, numbered from 1, and nothing of it is lost. A part
//! ends before the character that would pass the limit. A line that does not follow its file's
//! format is handed on as it stands. Text that is not UTF-8 is handed on with U+FFFD in its place.

use std::borrow::Cow;

use memchr::memchr;

use super::{cri, docker};

/// How the lines of a file are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Not at all.
    Plain,
    /// As a container log; the first line says whether by the container runtime interface or by
    /// docker.
    Container,
    /// By the container runtime interface.
    Cri,
    /// By docker's json-file driver.
    Docker,
}

/// Which output of a program a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// The file does not say.
    Only,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line, lent to the one who takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where it came from.
    pub stream: Stream,
    /// When, where the file says.
    pub timestamp: Option<i64>,
    /// The text.
    pub text: Cow<'a, str>,
    /// Which part of an overlong line this is, from 1.
    pub part: Option<u32>,
}

/// Figures of decoding, since they were last taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Lines handed on, parts counted each.
    pub lines: u64,
    /// Lines that were cut into parts.
    pub split: u64,
    /// Lines that do not follow the format.
    pub malformed: u64,
    /// Lines that were not UTF-8.
    pub replaced: u64,
}

/// The decoder of one file.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    line_bytes_max: usize,
    /// The offset of the next byte to feed.
    position: u64,
    /// The line under way, and how many parts of it were handed on.
    pending: Vec<u8>,
    pending_parts: u32,
    /// Whether the line under way began before the first byte read, and is not wanted.
    skipping: bool,
    partials: [Partial; 3],
    tally: Tally,
}

/// The message under way of one stream.
#[derive(Debug, Default)]
struct Partial {
    /// Where its oldest line begins that has not been handed on.
    start: Option<u64>,
    text: Vec<u8>,
    timestamp: i64,
    parts: u32,
}

impl Decoder {
    /// A decoder of a file from `position` on.
    pub fn new(format: Format, position: u64, line_bytes_max: usize) -> Self {
        Self {
            format,
            line_bytes_max,
            position,
            pending: Vec::new(),
            pending_parts: 0,
            skipping: false,
            partials: Default::default(),
            tally: Tally::default(),
        }
    }

    /// Leaves out the rest of the line the position may be in.
    pub fn skip_line(&mut self) {
        self.skipping = true;
    }

    /// The offset of the next byte to feed.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The offset before the oldest byte that was fed and not handed on.
    pub fn settled(&self) -> u64 {
        let line = self.position - self.pending.len() as u64;
        self.partials
            .iter()
            .filter_map(|partial| partial.start)
            .fold(line, u64::min)
    }

    /// The figures since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Takes the next bytes of the file and hands on the lines they end.
    pub fn feed(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) {
        while let Some(end) = memchr(b'\n', bytes) {
            let (line, rest) = bytes.split_at(end);
            let rest = rest.get(1..).unwrap_or_default();
            let start = self.position - self.pending.len() as u64;
            self.position += end as u64 + 1;
            if self.skipping {
                self.skipping = false;
            } else if self.pending.is_empty() {
                self.physical(line, start, out);
            } else {
                let mut whole = std::mem::take(&mut self.pending);
                whole.extend_from_slice(line);
                self.physical(&whole, start, out);
                whole.clear();
                self.pending = whole;
            }
            bytes = rest;
        }
        self.position += bytes.len() as u64;
        if self.skipping {
            return;
        }
        self.pending.extend_from_slice(bytes);
        while self.pending.len() > self.physical_bytes_max() {
            self.overflow(out);
        }
    }

    /// Hands on what is under way: the file will have no more.
    pub fn finish(&mut self, out: &mut dyn FnMut(Line<'_>)) {
        if !self.pending.is_empty() {
            let line = std::mem::take(&mut self.pending);
            let start = self.position - line.len() as u64;
            self.physical(&line, start, out);
        }
        for stream in [Stream::Only, Stream::Stdout, Stream::Stderr] {
            let partial = std::mem::take(self.partial(stream));
            if partial.start.is_some() && !partial.text.is_empty() {
                self.hand_on(
                    stream,
                    Some(partial.timestamp),
                    &partial.text,
                    partial.parts,
                    out,
                );
            }
        }
    }

    /// A frame costs some bytes, and docker's escapes up to six for one.
    fn physical_bytes_max(&self) -> usize {
        match self.format {
            Format::Plain => self.line_bytes_max,
            Format::Container | Format::Cri => self.line_bytes_max + 256,
            Format::Docker => self.line_bytes_max.saturating_mul(6) + 256,
        }
    }

    /// Hands on the first part of a line that has not ended and is too long to wait for.
    fn overflow(&mut self, out: &mut dyn FnMut(Line<'_>)) {
        let pending = std::mem::take(&mut self.pending);
        let (part, rest) = split_text(&pending, self.line_bytes_max);
        if self.pending_parts == 0 {
            self.tally.split += 1;
        }
        self.pending_parts += 1;
        self.emit(Stream::Only, None, part, Some(self.pending_parts), out);
        self.pending = rest.to_vec();
    }

    /// One line of the file, without its line break.
    fn physical(&mut self, line: &[u8], start: u64, out: &mut dyn FnMut(Line<'_>)) {
        if self.pending_parts > 0 {
            // The end of a line whose parts went on without their frame.
            let parts = std::mem::take(&mut self.pending_parts);
            self.hand_on(Stream::Only, None, line, parts, out);
            return;
        }
        if self.format == Format::Container {
            self.format = if line.starts_with(b"{") {
                Format::Docker
            } else {
                Format::Cri
            };
        }
        match self.format {
            Format::Plain | Format::Container => self.plain(line, out),
            Format::Cri => match cri::parse(line) {
                Some(framed) => self.message(
                    (framed.stream, framed.timestamp, framed.partial),
                    framed.message,
                    start,
                    out,
                ),
                None => self.malformed(line, out),
            },
            Format::Docker => match docker::parse(line) {
                Some(framed) => self.message(
                    (framed.stream, framed.timestamp, framed.partial),
                    framed.message.as_bytes(),
                    start,
                    out,
                ),
                None => self.malformed(line, out),
            },
        }
    }

    fn plain(&mut self, line: &[u8], out: &mut dyn FnMut(Line<'_>)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        // A writer that keeps its offset across a truncation leaves a hole of zeros before its text.
        let hole = line.iter().take_while(|b| **b == 0).count();
        let line = line.get(hole..).unwrap_or_default();
        self.hand_on(Stream::Only, None, line, 0, out);
    }

    fn malformed(&mut self, line: &[u8], out: &mut dyn FnMut(Line<'_>)) {
        if !line.is_empty() {
            self.tally.malformed += 1;
            self.plain(line, out);
        }
    }

    /// A message of one stream, merged with those before it while it goes on. As in promtail, the
    /// whole has the time of its last line.
    fn message(
        &mut self,
        (stream, timestamp, goes_on): (Stream, i64, bool),
        message: &[u8],
        start: u64,
        out: &mut dyn FnMut(Line<'_>),
    ) {
        let (position, limit) = (self.position, self.line_bytes_max);
        let partial = self.partial(stream);
        if !goes_on && partial.start.is_none() {
            self.hand_on(stream, Some(timestamp), message, 0, out);
            return;
        }
        partial.start.get_or_insert(start);
        partial.timestamp = timestamp;
        partial.text.extend_from_slice(message);
        if goes_on {
            if partial.text.len() > limit {
                let text = std::mem::take(&mut partial.text);
                let (part, rest) = split_text(&text, limit);
                partial.text = rest.to_vec();
                partial.parts += 1;
                // What remains of the text lies in the line just read.
                partial.start = Some(if rest.is_empty() { position } else { start });
                let number = partial.parts;
                self.tally.split += u64::from(number == 1);
                self.emit(stream, Some(timestamp), part, Some(number), out);
            }
            return;
        }
        let whole = std::mem::take(partial);
        self.hand_on(stream, Some(timestamp), &whole.text, whole.parts, out);
    }

    fn partial(&mut self, stream: Stream) -> &mut Partial {
        let [only, stdout, stderr] = &mut self.partials;
        match stream {
            Stream::Only => only,
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    /// Hands on a text of any length, `parts` of which went before.
    fn hand_on(
        &mut self,
        stream: Stream,
        timestamp: Option<i64>,
        mut text: &[u8],
        mut parts: u32,
        out: &mut dyn FnMut(Line<'_>),
    ) {
        while text.len() > self.line_bytes_max {
            let (part, rest) = split_text(text, self.line_bytes_max);
            self.tally.split += u64::from(parts == 0);
            parts += 1;
            self.emit(stream, timestamp, part, Some(parts), out);
            text = rest;
        }
        if parts == 0 || !text.is_empty() {
            let part = (parts > 0).then_some(parts + 1);
            self.emit(stream, timestamp, text, part, out);
        }
    }

    fn emit(
        &mut self,
        stream: Stream,
        timestamp: Option<i64>,
        text: &[u8],
        part: Option<u32>,
        out: &mut dyn FnMut(Line<'_>),
    ) {
        let text = String::from_utf8_lossy(text);
        self.tally.lines += 1;
        self.tally.replaced += u64::from(matches!(text, Cow::Owned(_)));
        out(Line {
            stream,
            timestamp,
            text,
            part,
        });
    }
}

/// Cuts a text behind at most `bytes_max` bytes, not within a character.
fn split_text(text: &[u8], bytes_max: usize) -> (&[u8], &[u8]) {
    /// A character continues for at most this many bytes.
    const CONTINUATION_MAX: usize = 3;
    let is_continuation = |at: usize| text.get(at).is_some_and(|b| b & 0b1100_0000 == 0b1000_0000);
    let mut at = bytes_max.min(text.len());
    for _ in 0..CONTINUATION_MAX {
        if at > 1 && is_continuation(at) {
            at -= 1;
        }
    }
    text.split_at(at)
}

#[cfg(test)]
mod tests;
