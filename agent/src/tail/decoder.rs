//! Bytes of one file into lines: splitting, unframing, merging of partial lines, the limit.
//!
//! Pure but for its state: what has been fed and not yet handed on. [`Decoder::settled`] is the
//! offset before the oldest such byte, and so the place a reader must begin at to lose nothing. The
//! lines do not depend on how the bytes were cut into reads: what is read again from a [`Place`] is
//! handed on as it was, parts and all.
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

/// Where a reader must begin to lose nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The offset.
    pub offset: u64,
    /// How many parts of the line that goes on there were handed on.
    pub parts: u32,
}

/// A line, lent to the one who takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Where in the file it begins, a part where the part begins; of a framed line, where its frame
    /// begins.
    pub offset: u64,
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
    /// The first byte that is wanted.
    begin: u64,
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
    /// Where it begins.
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
            begin: position,
            position,
            pending: Vec::new(),
            pending_parts: 0,
            skipping: false,
            partials: Default::default(),
            tally: Tally::default(),
        }
    }

    /// A decoder that goes on where another one was settled.
    pub fn resumed(format: Format, place: Place, line_bytes_max: usize) -> Self {
        Self {
            pending_parts: place.parts,
            ..Self::new(format, place.offset, line_bytes_max)
        }
    }

    /// Leaves out the rest of the line the position may be in.
    pub fn skip_line(&mut self) {
        self.skipping = true;
    }

    /// The offset of the first byte that is wanted.
    pub fn begin(&self) -> u64 {
        self.begin
    }

    /// The offset of the next byte to feed.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The offset before the oldest byte that was fed and not handed on.
    pub fn settled(&self) -> u64 {
        self.partials
            .iter()
            .filter_map(|partial| partial.start)
            .fold(self.pending_start(), u64::min)
    }

    /// The settled offset as a place to go on from.
    pub fn place(&self) -> Place {
        let offset = self.settled();
        let within = offset == self.pending_start();
        Place {
            offset,
            parts: if within { self.pending_parts } else { 0 },
        }
    }

    fn pending_start(&self) -> u64 {
        self.position - self.pending.len() as u64
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
            if self.skipping {
                self.position += end as u64 + 1;
                self.begin = self.position;
                self.skipping = false;
            } else if self.pending.is_empty() && line.len() <= self.physical_bytes_max() {
                let start = self.position;
                self.position += end as u64 + 1;
                self.physical(line, start, out);
            } else {
                self.gather(line, out);
                let start = self.pending_start();
                self.position += 1;
                let mut whole = std::mem::take(&mut self.pending);
                self.physical(&whole, start, out);
                whole.clear();
                self.pending = whole;
            }
            bytes = rest;
        }
        if self.skipping {
            self.position += bytes.len() as u64;
        } else {
            self.gather(bytes, out);
        }
    }

    /// Takes bytes of the line under way, and hands on its first parts when it is too long to wait
    /// for its end.
    fn gather(&mut self, bytes: &[u8], out: &mut dyn FnMut(Line<'_>)) {
        self.position += bytes.len() as u64;
        self.pending.extend_from_slice(bytes);
        while self.is_overlong() {
            self.overflow(out);
        }
    }

    /// Whether the line under way is too long. A carriage return may belong to its end.
    fn is_overlong(&self) -> bool {
        let text = self.pending.strip_suffix(b"\r").unwrap_or(&self.pending);
        text.len() > self.physical_bytes_max()
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
            if let Some(start) = partial.start
                && !partial.text.is_empty()
            {
                let (text, parts) = (&partial.text, partial.parts);
                self.hand_on(stream, Some(partial.timestamp), text, parts, start, out);
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
        let start = self.pending_start();
        let pending = std::mem::take(&mut self.pending);
        if self.format == Format::Plain && self.pending_parts == 0 && pending.starts_with(b"\0") {
            self.pending = without_hole(&pending).to_vec();
            return;
        }
        let (part, rest) = split_text(&pending, self.line_bytes_max);
        if self.pending_parts == 0 {
            self.tally.split += 1;
        }
        self.pending_parts += 1;
        let number = Some(self.pending_parts);
        self.emit(Stream::Only, None, part, number, start, out);
        self.pending = rest.to_vec();
    }

    /// One line of the file, without its line break.
    fn physical(&mut self, line: &[u8], start: u64, out: &mut dyn FnMut(Line<'_>)) {
        if self.pending_parts > 0 {
            // The end of a line whose parts went on without their frame.
            let parts = std::mem::take(&mut self.pending_parts);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.hand_on(Stream::Only, None, line, parts, start, out);
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
            Format::Plain | Format::Container => self.plain(line, start, out),
            Format::Cri => match cri::parse(line) {
                Some(framed) => self.message(
                    (framed.stream, framed.timestamp, framed.partial),
                    framed.message,
                    start,
                    out,
                ),
                None => self.malformed(line, start, out),
            },
            Format::Docker => match docker::parse(line) {
                Some(framed) => self.message(
                    (framed.stream, framed.timestamp, framed.partial),
                    framed.message.as_bytes(),
                    start,
                    out,
                ),
                None => self.malformed(line, start, out),
            },
        }
    }

    fn plain(&mut self, line: &[u8], start: u64, out: &mut dyn FnMut(Line<'_>)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let text = without_hole(line);
        let offset = start + (line.len() - text.len()) as u64;
        self.hand_on(Stream::Only, None, text, 0, offset, out);
    }

    fn malformed(&mut self, line: &[u8], start: u64, out: &mut dyn FnMut(Line<'_>)) {
        if !line.is_empty() {
            self.tally.malformed += 1;
            self.plain(line, start, out);
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
        let limit = self.line_bytes_max;
        let partial = self.partial(stream);
        if !goes_on && partial.start.is_none() {
            self.hand_on(stream, Some(timestamp), message, 0, start, out);
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
                // It still begins where it began: read from anywhere else it would be cut elsewhere.
                let number = partial.parts;
                self.tally.split += u64::from(number == 1);
                self.emit(stream, Some(timestamp), part, Some(number), start, out);
            }
            return;
        }
        let whole = std::mem::take(partial);
        let (text, parts) = (&whole.text, whole.parts);
        self.hand_on(stream, Some(timestamp), text, parts, start, out);
    }

    fn partial(&mut self, stream: Stream) -> &mut Partial {
        let [only, stdout, stderr] = &mut self.partials;
        match stream {
            Stream::Only => only,
            Stream::Stdout => stdout,
            Stream::Stderr => stderr,
        }
    }

    /// Hands on a text of any length that begins at `offset`, `parts` of which went before.
    fn hand_on(
        &mut self,
        stream: Stream,
        timestamp: Option<i64>,
        mut text: &[u8],
        mut parts: u32,
        mut offset: u64,
        out: &mut dyn FnMut(Line<'_>),
    ) {
        while text.len() > self.line_bytes_max {
            let (part, rest) = split_text(text, self.line_bytes_max);
            self.tally.split += u64::from(parts == 0);
            parts += 1;
            self.emit(stream, timestamp, part, Some(parts), offset, out);
            offset += part.len() as u64;
            text = rest;
        }
        if parts == 0 || !text.is_empty() {
            let part = (parts > 0).then_some(parts + 1);
            self.emit(stream, timestamp, text, part, offset, out);
        }
    }

    fn emit(
        &mut self,
        stream: Stream,
        timestamp: Option<i64>,
        text: &[u8],
        part: Option<u32>,
        offset: u64,
        out: &mut dyn FnMut(Line<'_>),
    ) {
        let text = String::from_utf8_lossy(text);
        self.tally.lines += 1;
        self.tally.replaced += u64::from(matches!(text, Cow::Owned(_)));
        out(Line {
            offset,
            stream,
            timestamp,
            text,
            part,
        });
    }
}

/// A writer that keeps its offset across a truncation leaves a hole of zeros before its text.
fn without_hole(line: &[u8]) -> &[u8] {
    let hole = line.iter().take_while(|b| **b == 0).count();
    line.get(hole..).unwrap_or_default()
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
