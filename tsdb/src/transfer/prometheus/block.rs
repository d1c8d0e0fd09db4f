//! A block as a source of pieces.

use std::path::Path;

use model::sample::SeriesSamples;
use model::time::{TimeRange, Timestamp};
use storage::disk::Disk;

use super::chunk::{Chunk, ChunkFiles};
use super::index::{Index, IndexSeries};
use super::tombstones::Tombstones;
use crate::transfer::{InputError, Piece, Position, Source};

/// Samples of a piece, a little more at most.
const PIECE_SAMPLES: usize = 10_000;

/// What `meta.json` says of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// The block's name, which is its folder's as well.
    pub ulid: String,
    /// The first instant, in milliseconds.
    pub min_time: i64,
    /// Behind the last instant, in milliseconds.
    pub max_time: i64,
    /// Of the format.
    pub version: i64,
    /// How much it holds.
    #[serde(default)]
    pub stats: BlockStats,
}

/// How much a block holds, by its own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples.
    pub num_samples: u64,
    /// Series.
    pub num_series: u64,
}

/// A block that is open.
pub struct Block {
    meta: BlockMeta,
    index: Index,
    chunks: ChunkFiles,
    tombstones: Tombstones,
    /// Series that were read.
    items: u64,
    /// The series whose chunks are being read, and how many of them were.
    series: Option<(IndexSeries, usize)>,
    /// Where another run would go on: the last series that was not read to its end.
    resume: Position,
    /// What is wrong behind the piece that was returned last.
    pending: Option<InputError>,
}

impl std::fmt::Debug for Block {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Block").field(&self.meta.ulid).finish()
    }
}

impl Block {
    /// Opens the block in a folder, behind what an earlier run has read.
    pub fn open(disk: &dyn Disk, dir: &Path, start: Position) -> Result<Self, InputError> {
        let meta = Self::read_meta(disk, dir)?;
        let mut index = Index::open(disk, dir)?;
        index.skip_to(start.offset);
        Ok(Self {
            meta,
            index,
            chunks: ChunkFiles::open(disk, dir)?,
            tombstones: Tombstones::open(disk, dir)?,
            items: start.items,
            series: None,
            resume: start,
            pending: None,
        })
    }

    /// What the block says of itself.
    pub fn read_meta(disk: &dyn Disk, dir: &Path) -> Result<BlockMeta, InputError> {
        let bytes = disk.read(&dir.join("meta.json"))?;
        let meta: BlockMeta = serde_json::from_slice(&bytes)
            .map_err(|error| InputError::Unreadable(format!("meta.json: {error}")))?;
        if meta.version != 1 {
            return Err(InputError::Unreadable(format!(
                "meta.json: a block of version {}; version 1 is read",
                meta.version
            )));
        }
        Ok(meta)
    }

    /// What it says of itself.
    pub const fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    /// How far it was read, and how far there is to go, in bytes of its index.
    pub const fn progress(&self) -> (u64, u64) {
        (self.index.offset(), self.index.end())
    }

    /// Reads on until the piece is large enough, or to the end.
    fn fill(&mut self, piece: &mut Piece, samples: &mut usize) -> Result<(), InputError> {
        while *samples < PIECE_SAMPLES {
            let Some((series, done)) = &mut self.series else {
                // Only between series can another run go on.
                piece.position = self.position();
                let Some(series) = self.index.next()? else {
                    return Ok(());
                };
                piece.series.push(SeriesSamples {
                    labels: series.labels.clone(),
                    ..SeriesSamples::default()
                });
                self.series = Some((series, 0));
                continue;
            };
            let Some(meta) = series.chunks.get(*done).copied() else {
                self.series = None;
                self.items += 1;
                continue;
            };
            *done += 1;
            let erased = self.tombstones.of(series.reference);
            let is_erased =
                |range: &TimeRange| range.start <= meta.range.start && meta.range.end <= range.end;
            if erased.iter().any(is_erased) {
                continue;
            }
            let chunk = self.chunks.read(meta.reference)?;
            if piece.series.is_empty() {
                piece.series.push(SeriesSamples {
                    labels: series.labels.clone(),
                    ..SeriesSamples::default()
                });
            }
            if let Some(into) = piece.series.last_mut() {
                *samples += append(into, chunk, erased);
            }
        }
        Ok(())
    }

    const fn position(&self) -> Position {
        Position {
            offset: self.index.offset(),
            items: self.items,
        }
    }
}

/// Appends what was not deleted of a chunk, and says how much that is.
fn append(series: &mut SeriesSamples, chunk: Chunk, erased: &[TimeRange]) -> usize {
    let is_kept = |at: Timestamp| !erased.iter().any(|range| range.contains(at));
    let before = series.samples.len() + series.histograms.len();
    match chunk {
        Chunk::Floats(samples) => {
            let samples = samples.into_iter();
            series
                .samples
                .extend(samples.filter(|sample| is_kept(sample.timestamp)));
        }
        Chunk::Histograms(samples) => {
            let samples = samples.into_iter();
            series
                .histograms
                .extend(samples.filter(|sample| is_kept(sample.timestamp)));
        }
    }
    series.samples.len() + series.histograms.len() - before
}

impl Source for Block {
    fn next(&mut self) -> Result<Option<Piece>, InputError> {
        if let Some(pending) = self.pending.take() {
            return Err(pending);
        }
        let mut piece = Piece {
            position: self.resume,
            ..Piece::default()
        };
        let mut samples = 0;
        let filled = self.fill(&mut piece, &mut samples);
        self.resume = piece.position;
        piece
            .series
            .retain(|series| !series.samples.is_empty() || !series.histograms.is_empty());
        match filled {
            Err(error) if piece.series.is_empty() => return Err(error),
            Err(error) => self.pending = Some(error),
            Ok(()) => {}
        }
        Ok((!piece.series.is_empty()).then_some(piece))
    }
}
