//! Which file is which, across names.
//!
//! A file is its device and inode while it lives, and its first bytes when it was copied or
//! compressed, or when an inode came back under another file. The first bytes are hashed, and the
//! hash grows with the file up to [`PREFIX_BYTES_MAX`]: a short log is still told from a shorter
//! one that begins alike.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use flate2::read::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// How much of the beginning of a file identifies it.
pub const PREFIX_BYTES_MAX: usize = 1024;

/// A file on this machine, while it lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileId {
    /// The device it lies on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
}

impl FileId {
    /// The identity in a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// The hash of a file's first bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prefix {
    /// How many bytes.
    pub bytes: usize,
    /// Their hash.
    pub hash: u64,
}

impl Prefix {
    /// The prefix of these first bytes.
    pub fn of(first: &[u8]) -> Self {
        let first = first.get(..PREFIX_BYTES_MAX).unwrap_or(first);
        Self {
            bytes: first.len(),
            hash: xxh3_64(first),
        }
    }

    /// Whether a file with these first bytes begins as this one did. The empty prefix begins
    /// nothing: it says nothing.
    pub fn begins(&self, first: &[u8]) -> bool {
        self.bytes > 0
            && first
                .get(..self.bytes)
                .is_some_and(|first| xxh3_64(first) == self.hash)
    }
}

/// The first bytes of a plain file, at most `bytes_max` of them.
pub fn first_bytes(file: &File, bytes_max: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; bytes_max.min(PREFIX_BYTES_MAX)];
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, length as u64)? {
            0 => break,
            read => length += read,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// The first bytes of what a gzip file holds; as many as can be had of one that is being written.
pub fn first_bytes_compressed(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = PREFIX_BYTES_MAX as u64;
    match MultiGzDecoder::new(file)
        .take(limit)
        .read_to_end(&mut bytes)
    {
        Ok(_) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(bytes),
        Err(error) => Err(error),
    }
}

/// How much a gzip file holds, modulo 2^32, by its last four bytes.
pub fn compressed_content_bytes(file: &File) -> io::Result<u32> {
    let length = file.metadata()?.len();
    let mut trailer = [0; 4];
    file.read_exact_at(&mut trailer, length.saturating_sub(4))?;
    Ok(u32::from_le_bytes(trailer))
}
