//! The files that protect the port, read whole, and whether they are what they were.
//!
//! What was read is remembered as one digest, in the order it was read: two looks that give the same digest
//! saw the same bytes. The bytes themselves are not kept.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

/// More than any certificate chain, list of users or token needs.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// What all files held.
pub(super) type Digest = [u8; 32];

/// Reads files.
#[derive(Default)]
pub(super) struct Files(Sha256);

impl Files {
    /// What a file holds.
    pub(super) fn read(&mut self, path: &Path) -> anyhow::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path);
        let file = file.with_context(|| format!("cannot read {}", path.display()))?;
        let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("cannot read {}", path.display()))?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            bail!("{}: has more than {FILE_BYTES_MAX} bytes", path.display());
        }
        self.note(&bytes);
        Ok(bytes)
    }

    /// What a file of text holds.
    pub(super) fn text(&mut self, path: &Path) -> anyhow::Result<String> {
        let bytes = self.read(path)?;
        String::from_utf8(bytes).with_context(|| format!("{}: is no text", path.display()))
    }

    /// Has other bytes count as well.
    pub(super) fn note(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    /// What all of it was.
    pub(super) fn digest(self) -> Digest {
        self.0.finalize().into()
    }
}
