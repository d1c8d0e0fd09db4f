//! One file that is or was under a log's path, from its first byte to its last.
//!
//! A generation is opened when it appears and held open until it was read to its end and nobody
//! wrote to it for a while; so a rename or an unlink takes nothing away. One whose bytes were taken
//! from under it (truncated, or compressed while we were away) has no reader until a copy is found
//! that begins as it began.

use std::fs::{File, Metadata};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use model::time::TimestampNs;

use super::batch::GenerationNumber;
use super::checkpoint::SavedGeneration;
use super::dates::Dates;
use super::decoder::{Decoder, Format, Line, Place};
use super::identity::{FileId, PREFIX_BYTES_MAX, Prefix, first_bytes};

/// How the bytes come.
enum Reader {
    /// As they are.
    Plain(File),
    /// Compressed by rotation; boxed because it is large and rare.
    Gzip(Box<MultiGzDecoder<File>>),
}

/// One file of a log.
pub struct Generation {
    /// Its number while the agent runs.
    pub number: GenerationNumber,
    /// Which file it is.
    pub id: FileId,
    /// How it begins.
    pub prefix: Prefix,
    reader: Option<Reader>,
    decoder: Decoder,
    /// Everything before is acknowledged.
    acknowledged: Place,
    /// The times of its lines that are not acknowledged.
    pub dates: Dates,
    /// Read to its end, all handed on, closed.
    pub finished: bool,
    /// Its length when it was last looked at; more than the position if bytes are known to be unread.
    length_seen: u64,
    modified_seen: i64,
    /// Whether the last read found the end.
    at_end: bool,
    /// Since when it has not grown, or has had no reader.
    pub idle_since: Option<TimestampNs>,
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generation")
            .field("id", &self.id)
            .field("position", &self.decoder.position())
            .field("reader", &self.reader.is_some())
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

/// What became of a generation under its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing, or it grew.
    Grown,
    /// Its bytes were taken and others may be in their place.
    Truncated,
}

impl Generation {
    /// A generation that was not read, without its file.
    pub fn new(
        number: GenerationNumber,
        format: Format,
        offset: u64,
        line_bytes_max: usize,
    ) -> Self {
        Self {
            number,
            id: FileId::default(),
            prefix: Prefix::default(),
            reader: None,
            decoder: Decoder::new(format, offset, line_bytes_max),
            acknowledged: Place { offset, parts: 0 },
            dates: Dates::default(),
            finished: false,
            length_seen: 0,
            modified_seen: 0,
            at_end: false,
            idle_since: None,
        }
    }

    /// A generation as the checkpoint knew it, without its file.
    pub fn restored(
        number: GenerationNumber,
        format: Format,
        saved: &SavedGeneration,
        line_bytes_max: usize,
    ) -> Self {
        let place = Place {
            offset: saved.offset,
            parts: saved.parts,
        };
        Self {
            id: saved.id,
            prefix: saved.prefix,
            finished: saved.finished,
            decoder: Decoder::resumed(format, place, line_bytes_max),
            acknowledged: place,
            dates: Dates::restored(&saved.dates),
            ..Self::new(number, format, saved.offset, line_bytes_max)
        }
    }

    /// What the checkpoint keeps of it.
    pub fn saved(&self) -> SavedGeneration {
        SavedGeneration {
            id: self.id,
            prefix: self.prefix,
            // What was skipped needs no acknowledgement.
            offset: self.acknowledged.offset.max(self.decoder.begin()),
            parts: self.acknowledged.parts,
            dates: self.dates.saved(),
            // What was handed on and not acknowledged must be read again.
            finished: self.finished && self.is_acknowledged(),
        }
    }

    /// Opens the generation in a plain file, at its position. The path must still lead to the file
    /// that was judged.
    pub fn attach(&mut self, path: &Path, judged: FileId) -> io::Result<()> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        same_file(&metadata, judged)?;
        file.seek(SeekFrom::Start(self.decoder.position()))?;
        self.see(&metadata);
        self.id = FileId::of(&metadata);
        self.reader = Some(Reader::Plain(file));
        self.finished = false;
        self.idle_since = None;
        self.grow_prefix()
    }

    /// Opens the generation in its compressed copy, at its position. The path must still lead to the
    /// file that was judged.
    pub fn attach_compressed(&mut self, path: &Path, judged: FileId) -> io::Result<()> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        same_file(&metadata, judged)?;
        let mut reader = Box::new(MultiGzDecoder::new(file));
        let position = self.decoder.position();
        let skipped = io::copy(&mut reader.by_ref().take(position), &mut io::sink())?;
        if skipped < position {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the compressed file holds less than was read of the plain one",
            ));
        }
        self.id = FileId::of(&metadata);
        self.reader = Some(Reader::Gzip(reader));
        self.finished = false;
        self.idle_since = None;
        Ok(())
    }

    /// Begins `offset` bytes into the file, at the next line.
    pub fn skip_to(
        &mut self,
        offset: u64,
        format: Format,
        line_bytes_max: usize,
    ) -> io::Result<()> {
        self.decoder = Decoder::new(format, offset, line_bytes_max);
        self.decoder.skip_line();
        self.acknowledged = Place { offset, parts: 0 };
        match &mut self.reader {
            Some(Reader::Plain(file)) => file.seek(SeekFrom::Start(offset)).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// Whether it is read out of a compressed file.
    pub fn is_compressed(&self) -> bool {
        matches!(self.reader, Some(Reader::Gzip(_)))
    }

    /// Whether it has a file to read.
    pub fn is_open(&self) -> bool {
        self.reader.is_some()
    }

    /// How far it was read.
    pub fn position(&self) -> u64 {
        self.decoder.position()
    }

    /// The place before the oldest byte that was not handed on, if it lies behind the acknowledged.
    pub fn settled(&self) -> Option<Place> {
        let place = self.decoder.place();
        (place.offset > self.acknowledged.offset).then_some(place)
    }

    /// Takes an acknowledgement of everything before `place`.
    pub fn acknowledge(&mut self, place: Place) {
        self.acknowledged = place;
        self.dates.acknowledge(place.offset);
    }

    /// Whether everything that was read is acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged.offset >= self.decoder.settled()
    }

    /// Whether its file was read to the end, as far as is known. A file that waits for its turn, or
    /// for a sink that is down, does not rest.
    pub fn is_read(&self) -> bool {
        match self.reader {
            Some(Reader::Gzip(_)) => self.at_end,
            Some(Reader::Plain(_)) | None => !self.has_unread(),
        }
    }

    /// Whether bytes are known that were never read.
    pub fn has_unread(&self) -> bool {
        self.length_seen > self.decoder.position()
    }

    /// The figures of decoding since this was last asked.
    pub fn take_tally(&mut self) -> super::decoder::Tally {
        self.decoder.take_tally()
    }

    /// Reads once into `buffer` and hands on the lines that end there. Gives the number of bytes.
    pub fn read(&mut self, buffer: &mut [u8], out: &mut dyn FnMut(Line<'_>)) -> io::Result<usize> {
        let read = match &mut self.reader {
            None => return Ok(0),
            Some(Reader::Plain(file)) => file.read(buffer)?,
            Some(Reader::Gzip(reader)) => reader.read(buffer)?,
        };
        self.decoder
            .feed(buffer.get(..read).unwrap_or_default(), out);
        self.at_end = read == 0;
        if read > 0 {
            self.idle_since = None;
            if self.prefix.bytes < PREFIX_BYTES_MAX {
                self.grow_prefix()?;
            }
        }
        Ok(read)
    }

    /// Compares the open file with what was read of it.
    pub fn compare(&mut self) -> io::Result<Change> {
        let Some(Reader::Plain(file)) = &self.reader else {
            return Ok(Change::Grown);
        };
        let metadata = file.metadata()?;
        let same =
            metadata.len() == self.length_seen && modified_nanos(&metadata) == self.modified_seen;
        if same {
            return Ok(Change::Grown);
        }
        if metadata.len() < self.decoder.position() {
            return Ok(Change::Truncated);
        }
        if self.prefix.bytes > 0 {
            let first = first_bytes(file, self.prefix.bytes)?;
            if !self.prefix.begins(&first) {
                return Ok(Change::Truncated);
            }
        }
        self.see(&metadata);
        Ok(Change::Grown)
    }

    /// Whether the file has the length and the date it had when it was last looked at.
    pub fn is_as_seen(&self, metadata: &Metadata) -> bool {
        metadata.len() == self.length_seen && modified_nanos(metadata) == self.modified_seen
    }

    /// Notes the length and the date of the file.
    pub fn see(&mut self, metadata: &Metadata) {
        self.length_seen = metadata.len();
        self.modified_seen = modified_nanos(metadata);
    }

    /// Takes the reader away: the bytes are gone from this file. A copy of them may be found.
    pub fn detach(&mut self, now: TimestampNs) {
        self.reader = None;
        self.id = FileId::default();
        self.idle_since = Some(now);
    }

    /// Closes the generation for good and hands on what had no end.
    pub fn finish(&mut self, out: &mut dyn FnMut(Line<'_>)) {
        self.decoder.finish(out);
        self.reader = None;
        self.finished = true;
        self.idle_since = None;
    }

    /// Hashes more of the beginning, as far as it was read: what was read cannot change unless the
    /// file is truncated.
    fn grow_prefix(&mut self) -> io::Result<()> {
        if let Some(Reader::Plain(file)) = &self.reader {
            let known = usize::try_from(self.decoder.position()).unwrap_or(usize::MAX);
            if known > self.prefix.bytes {
                self.prefix = Prefix::of(&first_bytes(file, known)?);
            }
        }
        Ok(())
    }
}

/// A rotation between judging a path and opening it makes the file that was judged as good as gone;
/// the next look judges anew.
fn same_file(metadata: &Metadata, judged: FileId) -> io::Result<()> {
    if FileId::of(metadata) == judged {
        Ok(())
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

/// When a file was last written, in nanoseconds since the epoch.
pub fn modified_nanos(metadata: &Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}
