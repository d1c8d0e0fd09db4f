//! Why a store does not do what it was asked: one enum for each operation. Every message names the file or the
//! limit and says what to do.

use std::io;
use std::path::PathBuf;

use super::erase::ERASURES_MAX;
use crate::manifest::ManifestError;
use crate::part::PartError;
use crate::tier::TierError;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{}: in use by another process; stop it, or choose another data folder", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The disk refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The manifest cannot be read.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There are parts and nothing says which of them count.
    #[error("{}: there are parts but no manifest; restore MANIFEST from a backup, or move the folder away to start empty", dir.display())]
    ManifestMissing {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The folder holds rows of another kind.
    #[error("{}: holds {found}, not {expected}; choose another data folder", dir.display())]
    OtherTable {
        /// The store's folder.
        dir: PathBuf,
        /// What the manifest says.
        found: String,
        /// What was to be opened.
        expected: &'static str,
    },
    /// Parts lie in a bucket, and no bucket is configured.
    #[error("{}: {parts} parts of the store lie in {url}, and no tier is configured; configure it again", dir.display())]
    NoTier {
        /// The store's folder.
        dir: PathBuf,
        /// How many.
        parts: usize,
        /// Where they were moved to.
        url: String,
    },
    /// A part cannot be read for a reason other than its bytes.
    #[error(transparent)]
    Part(PartError),
}

/// Why a write was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The medium is full.
    #[error("disk full: {}: {source}; free some room, or lower the retention; writes go on by themselves", path.display())]
    DiskFull {
        /// The log's segment.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The disk refused for another reason.
    #[error("{}: {source}", path.display())]
    Io {
        /// The log's segment.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// Memtables were at their budget for longer than a write waits.
    #[error(
        "too much is waiting to be flushed: {bytes} bytes of at most {bytes_max}; try again later"
    )]
    Overloaded {
        /// What memtables hold.
        bytes: usize,
        /// What they may hold.
        bytes_max: usize,
    },
    /// The batch encodes to more than one record may hold, or takes more memory than there is for all.
    #[error("{0}")]
    TooLarge(io::Error),
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// Why a flush, merge or other change of the parts failed. What was there before is there still.
#[derive(Debug, thiserror::Error)]
pub enum MaintainError {
    /// A part cannot be written or read.
    #[error(transparent)]
    Part(#[from] PartError),
    /// The manifest cannot be replaced.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The tier cannot be asked or changed.
    #[error(transparent)]
    Tier(TierError),
    /// A deletion that does not say of what.
    #[error("a deletion needs at least one matcher; name the series to delete")]
    NoMatchers,
    /// Merges are behind with what was deleted before.
    #[error(
        "{ERASURES_MAX} deletions wait to be applied; try again when merges have caught up, or delete more series at once"
    )]
    TooManyErasures,
    /// There is something where the snapshot should be.
    #[error("{}: there is something already; choose another folder for the snapshot, or empty this one", path.display())]
    SnapshotExists {
        /// The snapshot's folder.
        path: PathBuf,
    },
    /// The log cannot go on in a new segment, or the folder cannot be synced.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl AppendError {
    /// What a disk's error while writing to the segment at `path` means.
    pub(super) fn from_disk(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            io::ErrorKind::InvalidInput => Self::TooLarge(source),
            kind @ io::ErrorKind::ReadOnlyFilesystem => {
                let told = "the file system is read-only; make it writable again; writes go on by themselves";
                let source = io::Error::new(kind, told);
                Self::Io { path, source }
            }
            _ => Self::Io { path, source },
        }
    }

    /// A batch that takes more memory than all batches together may.
    pub(super) fn over_budget(growth: usize, bytes_max: usize) -> Self {
        Self::TooLarge(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "a batch that takes {growth} bytes of memory, where all together have {bytes_max}; send smaller batches"
            ),
        ))
    }
}
