//! Which parts there are.
//!
//! The manifest is one small text file that is replaced whole, by one atomic rename. What it
//! names exists and is complete; a part it does not name is garbage of a flush or merge that a crash cut
//! short, and is swept at the next start. It also holds the log's floor: rows of segments before it
//! are in parts, rows from it on are in the log. Both change together, so a row is in exactly one place.
//!
//! ```text
//! taffrail-manifest 2 <crc32c of the rest, eight hex digits>\n
//! { "table": "metrics", "partition_ms": 86400000, "wal_floor": 41, "next_part": 48,
//!   "parts": [ { "id": 12, "partition": 20738, "level": 0, "sequence": 3, "rows": 481600,
//!                "bytes": 1096635, "start_ms": 1791766800000, "end_ms": 1791806798000,
//!                "location": "bucket", "density": "settled", "erased": [ 46 ], "ruled": [ … ] } ],
//!   "erasures": [ … ],
//!   "tier": { "store": …, "url": …, "sessions": [ … ] } }
//! ```
//!
//! The fields are described at [`Manifest`], [`PartRecord`], [`TierRecord`] and in [`erasure`]. Ids are
//! decimal here and sixteen hex digits in the names of files: part 12 is `parts/000000000000000c.part`,
//! and the log begins at `wal/0000000000000029.wal`. Partition n begins n times `partition_ms` after 1970.
//! What is absent is an empty list, `"disk"`, `"hot"`, or no tier.
//!
//! Version 2 added what is optional: `erasures` and `tier`, and of a part `location`, `erased`, `ruled` and
//! `density`. A manifest of version 1 has none of them and is read like any other; a later version is refused.

pub mod erasure;

use std::io;
use std::path::{Path, PathBuf};

use model::time::{TimeRange, Timestamp};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::table::{Density, Partition};
use crate::wal::SegmentId;
use erasure::{ErasureId, ErasureRecord};

/// The version of the format of everything in a store's folder.
pub const FORMAT: u32 = 2;
/// The manifest's file name.
pub const FILE_NAME: &str = "MANIFEST";
const MAGIC: &str = "taffrail-manifest";

/// The number of a part; also its file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartId(pub u64);

impl PartId {
    /// Its file name.
    pub fn file_name(self) -> String {
        format!("{:016x}.part", self.0)
    }

    /// The part that a file name is of; `None` where it has not exactly that shape.
    pub fn from_file_name(name: &str) -> Option<Self> {
        let digits = name.strip_suffix(".part")?;
        let part = Self(u64::from_str_radix(digits, 16).ok()?);
        (part.file_name() == name).then_some(part)
    }
}

/// A part, as the manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRecord {
    /// Its number.
    pub id: PartId,
    /// The partition its rows lie in.
    pub partition: Partition,
    /// How many merges its rows went through.
    pub level: u32,
    /// Its place in the order of writing: of the same row in two parts of a partition, the one of
    /// the greater sequence wins.
    pub sequence: u64,
    /// Samples or lines.
    pub rows: u64,
    /// Length of its file.
    pub bytes: u64,
    /// Milliseconds of its first row.
    pub start_ms: i64,
    /// Milliseconds of its last row.
    pub end_ms: i64,
    /// Where its bytes lie.
    #[serde(default, skip_serializing_if = "Location::is_disk")]
    pub location: Location,
    /// What it was written for.
    #[serde(default, skip_serializing_if = "Density::is_hot")]
    pub density: Density,
    /// The deletions of a greater number that left nothing of theirs in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erased: Vec<ErasureId>,
    /// The retention rules that left nothing of theirs in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ruled: Vec<RuleId>,
}

/// What a retention rule is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RuleId(pub u64);

/// Where a part's bytes lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Location {
    /// In the folder `parts` of the store.
    #[default]
    Disk,
    /// In the store's folder of a bucket.
    Bucket,
}

impl Location {
    /// Whether it is the store's own folder.
    pub const fn is_disk(&self) -> bool {
        matches!(self, Self::Disk)
    }
}

/// The bucket that parts move to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierRecord {
    /// What the store is called there; made when it first claimed a folder, and never changed.
    pub store: String,
    /// The folder's URL, as it was configured when it was last changed; for messages.
    pub url: String,
    /// The sessions of this store of which the last claim of the folder can be; none in a snapshot.
    #[serde(default)]
    pub sessions: Vec<String>,
}

impl PartRecord {
    /// Whether it lies in a bucket.
    pub const fn is_remote(&self) -> bool {
        !self.location.is_disk()
    }

    /// The instants of the first and the last row.
    pub const fn range(&self) -> TimeRange {
        TimeRange {
            start: Timestamp(self.start_ms),
            end: Timestamp(self.end_ms),
        }
    }
}

/// Which parts there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The kind of rows.
    pub table: String,
    /// Width of a partition in milliseconds; fixed when the store is made.
    pub partition_ms: i64,
    /// The first segment of the log whose rows are in no part.
    pub wal_floor: SegmentId,
    /// The number of the next part or deletion; also the next sequence.
    pub next_part: u64,
    /// The parts, in the order of partition and sequence.
    pub parts: Vec<PartRecord>,
    /// The deletions that some part is subject to, from the oldest to the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub erasures: Vec<ErasureRecord>,
    /// The bucket that parts move to, once one did or was about to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<TierRecord>,
}

/// Why a manifest cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The manifest's file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// A later version of the program wrote it.
    #[error(
        "{}: the data has format {found} and this program reads up to {FORMAT}; start the newer version that wrote it, or choose another data folder",
        path.display()
    )]
    NewerFormat {
        /// The manifest's file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It is not what was written.
    #[error("{}: corrupt: {reason}; restore the file from a backup, or move the folder away to start empty", path.display())]
    Corrupt {
        /// The manifest's file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Manifest {
    /// The manifest of a store without rows.
    pub fn empty(table: &str, partition_ms: i64) -> Self {
        Self {
            table: table.to_owned(),
            partition_ms,
            wal_floor: SegmentId(1),
            next_part: 1,
            parts: Vec::new(),
            erasures: Vec::new(),
            tier: None,
        }
    }

    /// The parts that lie in a bucket.
    pub fn remote_parts(&self) -> impl Iterator<Item = PartId> {
        let remote = self.parts.iter().filter(|part| part.is_remote());
        remote.map(|part| part.id)
    }

    /// Reads the manifest in `dir`; `None` where there is none.
    pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Self>, ManifestError> {
        let path = dir.join(FILE_NAME);
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ManifestError::Io { path, source }),
        };
        let corrupt = |reason: String| ManifestError::Corrupt {
            path: path.clone(),
            reason,
        };
        let text = String::from_utf8(bytes).map_err(|error| corrupt(error.to_string()))?;
        let (first, rest) = text
            .split_once('\n')
            .ok_or_else(|| corrupt("the first line is missing".to_owned()))?;
        let mut words = first.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(corrupt("the first line is not a manifest's".to_owned()));
        }
        let format: u32 = words
            .next()
            .and_then(|word| word.parse().ok())
            .ok_or_else(|| corrupt("the first line lacks a version".to_owned()))?;
        if format > FORMAT {
            return Err(ManifestError::NewerFormat {
                path,
                found: format,
            });
        }
        let checksum = words
            .next()
            .and_then(|word| u32::from_str_radix(word, 16).ok());
        if checksum != Some(crc32c::crc32c(rest.as_bytes())) {
            return Err(corrupt("checksum mismatch".to_owned()));
        }
        serde_json::from_str(rest)
            .map(Some)
            .map_err(|error| corrupt(error.to_string()))
    }

    /// Replaces the manifest in `dir`, durably.
    pub fn store(&self, disk: &dyn Disk, dir: &Path) -> Result<(), ManifestError> {
        let path = dir.join(FILE_NAME);
        let io = |source: io::Error| ManifestError::Io {
            path: path.clone(),
            source,
        };
        let rest =
            serde_json::to_string_pretty(self).map_err(|error| io(io::Error::other(error)))?;
        let checksum = crc32c::crc32c(rest.as_bytes());
        let text = format!("{MAGIC} {FORMAT} {checksum:08x}\n{rest}");
        disk.replace(&path, text.as_bytes()).map_err(io)
    }
}
