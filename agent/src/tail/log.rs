//! One log: the path that is written to, and the generations that were under it, oldest first.
//!
//! At every look the file under the path is compared with the one that was being read. Another
//! inode is a rotation: the old generation is read to its end, whatever its name, and those that
//! came and went between two looks are searched among the files beside it. Fewer bytes, or other
//! first bytes, are a truncation: what was not read is searched in a copy.
//!
//! A file beside the path ([`Log::adopt`]) is, in this order: a generation known by its inode; the
//! copy of one that lost its bytes; a copy of a finished one; a copy in the making, left alone; or
//! else a generation never seen, if it was written since we began to look.

mod rotation;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::time::TimestampNs;

use super::batch::{Batch, GenerationNumber};
use super::checkpoint::{SavedGeneration, SavedLog};
use super::dates::{Date, Dates};
use super::decoder::{Line, Place};
use super::generation::{Change, Generation};
use super::identity::FileId;
use super::source::Source;
use crate::metrics::TailMetrics;

/// How long a file that is no longer under its path is held open after it last grew: the runtime
/// goes on writing to it until it has opened the new one.
const LINGER_NANOS: i64 = 10_000_000_000;
/// How long the copy of lost bytes is waited for, and a finished generation's file is remembered
/// after it was last seen.
const MEMORY_NANOS: i64 = 600_000_000_000;
/// The most generations of one log that are remembered.
const GENERATIONS_MAX: usize = 64;

/// What all logs share.
pub struct Shared<'a> {
    /// What is counted.
    pub metrics: &'a TailMetrics,
    /// The longest line.
    pub line_bytes_max: usize,
    /// Numbers for generations.
    pub next_number: &'a mut u64,
    /// Files beside a log that were last written before this are none of ours.
    pub since: i64,
    /// The time of this look.
    pub now: TimestampNs,
    /// What could not be read was said.
    pub unreadable: &'a mut std::collections::HashSet<PathBuf>,
}

/// One log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    source: Source,
    generations: Vec<Generation>,
    /// The generation under the path.
    active: Option<GenerationNumber>,
    /// The time given to the last line without one.
    last_timestamp: i64,
    /// Lengths of compressed files at the last look: one that still grows is not read.
    compressed_lengths: HashMap<FileId, u64>,
}

impl Shared<'_> {
    fn number(&mut self) -> GenerationNumber {
        *self.next_number += 1;
        GenerationNumber(*self.next_number)
    }

    /// Says that a path cannot be read, once.
    pub fn say_unreadable(&mut self, path: &Path, error: &io::Error) {
        /// The most paths that are said and remembered.
        const SAID_MAX: usize = 4096;
        if error.kind() != io::ErrorKind::NotFound
            && self.unreadable.len() < SAID_MAX
            && self.unreadable.insert(path.to_owned())
        {
            self.metrics.unreadable.inc();
            tracing::warn!(path = %path.display(), %error, "a log cannot be read and is left out");
        }
    }
}

impl Log {
    /// A log that was never read.
    pub fn new(path: PathBuf, source: Source) -> Self {
        Self {
            path,
            source,
            generations: Vec::new(),
            active: None,
            last_timestamp: i64::MIN,
            compressed_lengths: HashMap::new(),
        }
    }

    /// A log as the checkpoint knew it; its files are found by the next looks.
    pub fn restored(saved: &SavedLog, source: Source, shared: &mut Shared<'_>) -> Self {
        let mut log = Self::new(saved.path.clone(), source);
        log.last_timestamp = saved.last_timestamp;
        // Of a file that was empty nothing is known, and nothing was read.
        let begun = |g: &&SavedGeneration| g.prefix.bytes > 0;
        for generation in saved.generations.iter().filter(begun) {
            let number = shared.number();
            let format = log.source.format;
            let mut generation =
                Generation::restored(number, format, generation, shared.line_bytes_max);
            generation.idle_since = Some(shared.now);
            log.generations.push(generation);
        }
        log
    }

    /// What the checkpoint keeps of it.
    pub fn saved(&self) -> SavedLog {
        SavedLog {
            path: self.path.clone(),
            last_timestamp: self.last_timestamp,
            generations: self.generations.iter().map(Generation::saved).collect(),
        }
    }

    /// Whether lines of it were dated that are not acknowledged.
    pub fn is_dated(&self) -> bool {
        self.generations.iter().any(|g| !g.dates.is_empty())
    }

    /// Whether there is nothing left to know: the path is gone and every generation with it.
    pub fn is_over(&self) -> bool {
        self.generations.is_empty() && !self.path.exists()
    }

    /// How many of its files are open.
    pub fn open_files(&self) -> usize {
        self.generations.iter().filter(|g| g.is_open()).count()
    }

    /// Whether one of its open generations is this file.
    pub fn holds(&self, id: FileId) -> bool {
        self.generations.iter().any(|g| g.is_open() && g.id == id)
    }

    /// Begins only near the end of a file that was there, and long, before the first start.
    pub fn skip_to_end(&mut self, bytes_max: u64, shared: &Shared<'_>) {
        let (format, limit) = (self.source.format, shared.line_bytes_max);
        let Some(generation) = self.generations.last_mut() else {
            return;
        };
        let length = fs::metadata(&self.path).map_or(0, |metadata| metadata.len());
        if length > bytes_max {
            let offset = length - bytes_max;
            if generation.skip_to(offset, format, limit).is_ok() {
                shared.metrics.skipped_bytes.inc_by(offset);
                tracing::info!(path = %self.path.display(), bytes = offset,
                    "the log was there before the first start: its beginning is not read");
            }
        }
    }

    /// Looks at the open files and at the path. Says whether a file was rotated or truncated.
    pub fn look(&mut self, shared: &mut Shared<'_>) -> bool {
        let truncated = self.look_for_truncation(shared);
        let metadata = match fs::metadata(&self.path) {
            Ok(metadata) if metadata.is_file() => metadata,
            Ok(_) => return truncated,
            Err(error) => {
                shared.say_unreadable(&self.path, &error);
                // Renamed or unlinked; the handle reads on.
                return self.active.take().is_some() || truncated;
            }
        };
        let id = FileId::of(&metadata);
        let active = self.active;
        let is_current = |g: &Generation| Some(g.number) == active && g.id == id && g.is_open();
        if self.generations.iter().any(is_current) {
            return truncated;
        }
        self.open_active(id, shared);
        active.is_some() || truncated
    }

    /// Takes the reader from every generation whose bytes were taken, under whatever name it is.
    fn look_for_truncation(&mut self, shared: &mut Shared<'_>) -> bool {
        let mut truncated = false;
        for generation in &mut self.generations {
            match generation.compare() {
                Ok(Change::Grown) => {}
                Ok(Change::Truncated) => {
                    shared.metrics.truncations.inc();
                    generation.detach(shared.now);
                    truncated = true;
                }
                Err(error) => shared.say_unreadable(&self.path, &error),
            }
        }
        truncated
    }

    /// Reads the log's generations, oldest first, until `bytes_max` bytes were read. Gives their
    /// number.
    pub fn read(
        &mut self,
        buffer: &mut [u8],
        bytes_max: usize,
        batch: &mut Batch,
        shared: &mut Shared<'_>,
    ) -> usize {
        let mut total = 0;
        let (source, last, now) = (&self.source, &mut self.last_timestamp, shared.now);
        for generation in &mut self.generations {
            if !generation.is_open() {
                continue;
            }
            let mut dates = std::mem::take(&mut generation.dates);
            while total < bytes_max {
                let mut take = |line: Line<'_>| push(batch, source, &mut dates, last, now, line);
                match generation.read(buffer, &mut take) {
                    Ok(0) => break,
                    Ok(read) => total += read,
                    Err(error) => {
                        shared.say_unreadable(&self.path, &error);
                        if generation.is_compressed() {
                            // A damaged copy does not heal.
                            shared.metrics.lost_generations.inc();
                            generation.finish(&mut take);
                        }
                        break;
                    }
                }
            }
            generation.dates = dates;
            settle(generation, batch, shared.metrics);
        }
        shared.metrics.read_bytes.inc_by(total as u64);
        total
    }

    /// Closes generations that are read to their end and left alone, and forgets those that are
    /// gone. Says whether the checkpoint changes.
    pub fn retire(&mut self, batch: &mut Batch, shared: &mut Shared<'_>) -> bool {
        let mut changed = false;
        let (source, last, now) = (&self.source, &mut self.last_timestamp, shared.now);
        for generation in &mut self.generations {
            if Some(generation.number) == self.active {
                continue;
            }
            let since = *generation.idle_since.get_or_insert(now);
            let idle = now.nanos().saturating_sub(since.nanos());
            let lost = !generation.is_open() && !generation.finished && idle >= MEMORY_NANOS;
            if lost && generation.has_unread() {
                shared.metrics.lost_generations.inc();
                tracing::warn!(path = %self.path.display(), "bytes of a rotated log went away before they were read");
            }
            let rests = generation.is_open() && generation.is_read() && idle >= LINGER_NANOS;
            if lost || rests {
                let mut dates = std::mem::take(&mut generation.dates);
                let mut take = |line: Line<'_>| push(batch, source, &mut dates, last, now, line);
                generation.finish(&mut take);
                generation.dates = dates;
                settle(generation, batch, shared.metrics);
                generation.idle_since = Some(now);
                changed = true;
            }
        }
        let before = self.generations.len();
        let excess = before.saturating_sub(GENERATIONS_MAX);
        let mut forgotten = 0;
        self.generations.retain(|generation| {
            let gone = generation
                .idle_since
                .is_some_and(|since| now.nanos().saturating_sub(since.nanos()) >= MEMORY_NANOS);
            let forget =
                generation.finished && generation.is_acknowledged() && (gone || forgotten < excess);
            forgotten += usize::from(forget);
            !forget
        });
        changed || self.generations.len() != before
    }

    /// Takes an acknowledgement: the offsets of those generations that are this log's.
    pub fn acknowledge(&mut self, settled: &HashMap<GenerationNumber, Place>) {
        for generation in &mut self.generations {
            if let Some(place) = settled.get(&generation.number) {
                generation.acknowledge(*place);
            }
        }
    }
}

/// Hands a line to the batch, dated by the file, as it was before, or by now; the dates given by now
/// never repeat and never go back.
fn push(
    batch: &mut Batch,
    source: &Source,
    dates: &mut Dates,
    last: &mut i64,
    now: TimestampNs,
    line: Line<'_>,
) {
    let timestamp = match line.timestamp {
        Some(timestamp) => timestamp,
        None => match dates.date(line.offset, last, now) {
            Date::Again(timestamp) => timestamp,
            Date::New(timestamp) => {
                batch.newly_dated = true;
                timestamp
            }
        },
    };
    batch.push(source, line, TimestampNs(timestamp));
}

/// Notes how far a generation is settled once the batch is acknowledged.
fn settle(generation: &mut Generation, batch: &mut Batch, metrics: &TailMetrics) {
    if let Some(place) = generation.settled() {
        batch.settled.insert(generation.number, place);
    }
    let tally = generation.take_tally();
    metrics.lines.inc_by(tally.lines);
    metrics.lines_split.inc_by(tally.split);
    metrics.lines_malformed.inc_by(tally.malformed);
    metrics.lines_replaced.inc_by(tally.replaced);
}
