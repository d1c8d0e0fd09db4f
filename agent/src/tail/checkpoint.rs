//! What has been acknowledged, on disk: for each generation of each log the offset before the oldest
//! byte that was not; and which times the lines behind it were given.
//!
//! One JSON file, written whole beside the old one, synced, and named by a rename; so it is the old
//! or the new one after a crash at any point. It is written after an acknowledgement and before the
//! next write: a crash repeats one batch at most.
//!
//! The repeated batch must be the batch it was, for the store keeps one copy of what is the same to
//! the nanosecond. So before a batch with newly dated lines goes anywhere, its logs are written, as
//! they will be read again, to the *intent*: a file of the same form, with the extension `intent`,
//! whose logs replace those of the checkpoint at the next start. It is not synced: a process that
//! dies takes nothing from the kernel. A machine that dies may leave it empty, and then a batch is
//! repeated under new times; that is why it is a file of its own and no risk to the checkpoint. The
//! next checkpoint removes it. A kill between the two steps leaves an intent of what is acknowledged
//! already, which costs a repetition and changes nothing.
//!
//! `parts` and `dates` are left out where there is nothing to say: version 1 was born without them,
//! a file without them is read, and after an orderly stop none of them is usually written.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dates::Dated;
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
    /// How many parts of the overlong line that goes on there are acknowledged.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parts: u32,
    /// The times of lines behind the offset that were handed on, or were about to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dates: Vec<Dated>,
    /// Whether it was read to its end and will not grow.
    pub finished: bool,
}

// The signature is serde's.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(parts: &u32) -> bool {
    *parts == 0
}

/// What a file must outlive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outlives {
    /// The process.
    Process,
    /// The machine.
    Machine,
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

    /// Reads a checkpoint, and the intent if it was left behind; nothing where there is no
    /// checkpoint yet. An intent is made part of the checkpoint on disk at once: the next one will
    /// be written in its place and know nothing of logs that it does not touch.
    pub fn load(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let Some(mut checkpoint) = Self::read(path)? else {
            return Ok(None);
        };
        match Self::read(&intent_path(path)) {
            Ok(None) => {}
            Ok(Some(intent)) => {
                checkpoint.replace(intent.logs);
                if let Err(error) = checkpoint.save(path) {
                    tracing::error!(%error, "the checkpoint is not written; tailing goes on");
                }
            }
            Err(error) => tracing::warn!(
                %error,
                "the intent beside the checkpoint is damaged, as a power failure leaves it: the last lines may be repeated"
            ),
        }
        Ok(Some(checkpoint))
    }

    /// Puts these logs in the place of those with the same paths.
    fn replace(&mut self, logs: Vec<SavedLog>) {
        let paths: HashSet<PathBuf> = logs.iter().map(|log| log.path.clone()).collect();
        self.logs.retain(|log| !paths.contains(&log.path));
        self.logs.extend(logs);
    }

    fn read(path: &Path) -> Result<Option<Self>, CheckpointError> {
        let content = |problem: String| CheckpointError::Content {
            path: path.to_owned(),
            problem,
        };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(disk(path, error)),
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

    /// Writes the checkpoint in place of the old one; an intent is then no longer of use.
    pub fn save(&self, path: &Path) -> Result<(), CheckpointError> {
        self.write(path, Outlives::Machine)?;
        let intent = intent_path(path);
        match fs::remove_file(&intent) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk(&intent, error)),
            _ => Ok(()),
        }
    }

    /// Writes these logs as the intent beside the checkpoint.
    pub fn save_intent(&self, path: &Path) -> Result<(), CheckpointError> {
        self.write(&intent_path(path), Outlives::Process)
    }

    fn write(&self, path: &Path, outlives: Outlives) -> Result<(), CheckpointError> {
        self.write_whole(path, outlives)
            .map_err(|error| disk(path, error))
    }

    fn write_whole(&self, path: &Path, outlives: Outlives) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let beside = path.with_extension("tmp");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        if outlives == Outlives::Process {
            return fs::rename(&beside, path);
        }
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    }
}

/// Where the intent of a checkpoint lies.
fn intent_path(path: &Path) -> PathBuf {
    path.with_extension("intent")
}

fn disk(path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Disk {
        path: path.to_owned(),
        source,
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
                    parts: 2,
                    dates: vec![Dated {
                        from: 4,
                        last: 9,
                        timestamp: 5,
                    }],
                    finished: false,
                }],
            }],
        );
        checkpoint.save(&path).expect("saved");
        checkpoint.save(&path).expect("saved again");
        assert_eq!(Checkpoint::load(&path).expect("loaded"), Some(checkpoint));
    }

    /// A checkpoint of one log, and its text as the first version 1 wrote it.
    fn of_one_log(offset: u64) -> (Checkpoint, String) {
        let text = format!(
            r#"{{"version":1,"saved_at":7,"logs":[{{"path":"/a","last_timestamp":5,"generations":[{{"id":{{"device":1,"inode":2}},"prefix":{{"bytes":3,"hash":4}},"offset":{offset},"finished":false}}]}}]}}"#
        );
        (serde_json::from_str(&text).expect("a checkpoint"), text)
    }

    #[test]
    fn the_first_form_of_version_1_is_read_and_written() {
        let (checkpoint, text) = of_one_log(3);
        assert_eq!(serde_json::to_string(&checkpoint).expect("JSON"), text);
    }

    #[test]
    fn an_intent_replaces_its_logs_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tail.json");
        let (mut checkpoint, _) = of_one_log(3);
        let mut other = checkpoint.logs.clone();
        for log in &mut other {
            log.path = "/b".into();
        }
        checkpoint.logs.extend(other);
        let (intent, _) = of_one_log(9);
        intent.save_intent(&path).expect("saved");
        assert_eq!(
            Checkpoint::load(&path).expect("loaded"),
            None,
            "an intent alone is of a checkpoint that was moved away"
        );
        checkpoint.save(&path).expect("saved");
        assert_eq!(
            Checkpoint::load(&path).expect("loaded"),
            Some(checkpoint.clone())
        );
        intent.save_intent(&path).expect("saved");
        checkpoint.replace(intent.logs);
        for _ in 0..2 {
            let loaded = Checkpoint::load(&path).expect("loaded");
            assert_eq!(loaded, Some(checkpoint.clone()));
            assert!(!intent_path(&path).exists());
        }
        fs::write(intent_path(&path), "").expect("written");
        let loaded = Checkpoint::load(&path).expect("a power failure stops nothing");
        assert_eq!(loaded, Some(checkpoint));
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
