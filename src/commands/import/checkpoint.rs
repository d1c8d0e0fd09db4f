//! How far an import got, so that the same command goes on there.
//!
//! Written only after what it speaks of is durable. A file is known by its path, size and first bytes:
//! one that has changed is imported from its start.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use storage::disk::Disk as _;
use storage::disk::real::RealDisk;
use tsdb::transfer::Position;
use xxhash_rust::xxh3::xxh3_64;

/// How much of a file tells it apart from others.
const HEAD_BYTES: u64 = 64 << 10;

/// What is on disk.
#[derive(Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Content {
    /// Where to: a data folder or a server.
    target: String,
    files: Vec<Done>,
}

/// How far one file was imported.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Done {
    file: Identity,
    position: Position,
    is_whole: bool,
}

/// Which file it is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Identity {
    path: PathBuf,
    bytes: u64,
    head: u64,
}

impl Identity {
    /// Of a file.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut head = Vec::new();
        file.take(HEAD_BYTES).read_to_end(&mut head)?;
        Ok(Self {
            path: path.canonicalize()?,
            bytes,
            head: xxh3_64(&head),
        })
    }
}

/// The checkpoint of one import.
pub(super) struct Checkpoint {
    path: PathBuf,
    content: Content,
}

impl Checkpoint {
    /// What an earlier run left for the same target.
    pub(super) fn load(path: PathBuf, target: String) -> anyhow::Result<Self> {
        let content = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{}: remove it, or give --restart", path.display()))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let mut checkpoint = Self { path, content };
        if checkpoint.content.target != target {
            checkpoint.content = Content {
                target,
                files: Vec::new(),
            };
        }
        Ok(checkpoint)
    }

    /// Nothing was imported yet.
    pub(super) const fn empty(path: PathBuf, target: String) -> Self {
        Self {
            path,
            content: Content {
                target,
                files: Vec::new(),
            },
        }
    }

    /// Where it is kept.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// How far a file was imported, and whether to its end.
    pub(super) fn of(&self, file: &Identity) -> (Position, bool) {
        let done = self.content.files.iter().find(|done| done.file == *file);
        done.map_or_else(Default::default, |done| (done.position, done.is_whole))
    }

    /// Notes how far a file is imported; what is noted must be durable already.
    pub(super) fn note(
        &mut self,
        file: &Identity,
        position: Position,
        is_whole: bool,
    ) -> anyhow::Result<()> {
        self.content
            .files
            .retain(|done| done.file.path != file.path);
        self.content.files.push(Done {
            file: file.clone(),
            position,
            is_whole,
        });
        let bytes = serde_json::to_vec_pretty(&self.content)?;
        let replaced = RealDisk.replace(&self.path, &bytes);
        replaced.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Everything is imported: nothing is left to go on with.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_gone_on_with_where_it_was_unless_it_has_changed() {
        let dir = tempfile::tempdir().expect("temporary folder");
        let input = dir.path().join("input");
        std::fs::write(&input, "some lines").expect("written");
        let path = dir.path().join("import.json");
        let load = |target: &str| Checkpoint::load(path.clone(), target.to_owned()).expect("read");
        let identity = Identity::of(&input).expect("a file");
        let position = Position {
            offset: 5,
            items: 1,
        };
        let nothing = (Position::default(), false);
        let mut checkpoint = load("here");
        assert_eq!(checkpoint.of(&identity), nothing);
        checkpoint
            .note(&identity, position, false)
            .expect("written");
        assert_eq!(load("here").of(&identity), (position, false));
        assert_eq!(load("elsewhere").of(&identity), nothing);
        std::fs::write(&input, "other lines").expect("written");
        let changed = Identity::of(&input).expect("a file");
        assert_eq!(load("here").of(&changed), nothing);
        load("here").finish().expect("removed");
        assert_eq!(load("here").of(&identity), nothing);
        assert!(!path.exists());
    }
}
