//! What has been acknowledged, on disk: for each generation of each log the offset before the oldest
//! byte that was not.
//!
//! One JSON file, written whole beside the old one, synced, and named by a rename; so it is the old
//! or the new one after a crash at any point. It is written after an acknowledgement and before the
//! next write: a crash repeats one batch at most.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::identity::{FileId, Prefix};

/// The version this code writes, and the only one it reads.
const VERSION: u32 = 1;

/// The checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    version: u32,
    /// When it was written, in nanoseconds since the epoch.
    pub saved_at: i64,
    /// The logs.
    pub logs: Vec<SavedLog>,
}

/// A log: a path and the generations that were under it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedLog {
    /// The path that is written to.
    pub path: PathBuf,
    /// The time given to the last line without one.
    pub last_timestamp: i64,
    /// Oldest first.
    pub generations: Vec<SavedGeneration>,
}

/// One file that was under a log's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedGeneration {
    /// Which file.
    pub id: FileId,
    /// How it begins.
    pub prefix: Prefix,
    /// Everything before is acknowledged.
    pub offset: u64,
    /// Whether it was read to its end and will not grow.
    pub finished: bool,
}

/// Why a checkpoint cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk failed.
    #[error("checkpoint {path}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// How.
        source: io::Error,
    },
    /// The file is no checkpoint of this version.
    #[error(
        "checkpoint {path}: {problem}; move the file away to read all logs again from their beginning"
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Checkpoint {
    /// A checkpoint of these logs.
    pub fn new(saved_at: i64, logs: Vec<SavedLog>) -> Self {
        Self {
            version: VERSION,
            saved_at,
            logs,
        }
    }

    /// Reads a checkpoint; nothing where there is none yet.
    pub fn load(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let content = |problem: String| CheckpointError::Content {
            path: path.to_owned(),
            problem,
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(CheckpointError::Disk {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let checkpoint: Self =
            serde_json::from_slice(&bytes).map_err(|error| content(error.to_string()))?;
        if checkpoint.version != VERSION {
            return Err(content(format!(
                "version {} is not version {VERSION}",
                checkpoint.version
            )));
        }
        Ok(Some(checkpoint))
    }

    /// Writes the checkpoint in place of the old one.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        self.write(path).map_err(|source| CheckpointError::Disk {
            path: path.to_owned(),
            source,
        })
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let beside = path.with_extension("tmp");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_saved_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/tail.json");
        assert_eq!(Checkpoint::load(&path).expect("absent"), None);
        let checkpoint = Checkpoint::new(
            7,
            vec![SavedLog {
                path: "/a".into(),
                last_timestamp: 5,
                generations: vec![SavedGeneration {
                    id: FileId {
                        device: 1,
                        inode: u64::MAX,
                    },
                    prefix: Prefix::of(b"abc"),
                    offset: 3,
                    finished: false,
                }],
            }],
        );
        checkpoint.save(&path).expect("saved");
        checkpoint.save(&path).expect("saved again");
        assert_eq!(Checkpoint::load(&path).expect("loaded"), Some(checkpoint));
    }

    #[test]
    fn a_damaged_file_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tail.json");
        for text in ["", "{", "[]", r#"{"version":2,"saved_at":0,"logs":[]}"#] {
            fs::write(&path, text).expect("written");
            let error = Checkpoint::load(&path).expect_err(text).to_string();
            assert!(
                error.contains("tail.json") && error.contains("move the file"),
                "{error}"
            );
        }
    }
}
