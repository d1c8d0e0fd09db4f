//! Writing a part.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BlockHandle, PART_MAGIC, PartError, TRAILER_MAGIC, block_checksum};
use crate::codec::{put_bytes, put_uvarint};
use crate::disk::{Disk, WriteFile};

/// Bytes gathered before they go to the disk.
const BUFFER_BYTES: usize = 1 << 20;

/// Bytes after which the pace is asked again.
const PACE_BYTES: u64 = 64 << 10;

/// Whoever says how fast a part may be written.
pub trait Pace: Send + Sync {
    /// Returns when the `bytes` that were just written may have been.
    fn pass(&self, bytes: u64);
}

/// A part that is being written.
pub struct PartWriter {
    path: PathBuf,
    file: Arc<dyn WriteFile>,
    buffer: Vec<u8>,
    offset: u64,
    sections: Vec<(String, BlockHandle)>,
    pace: Option<Arc<dyn Pace>>,
    /// Bytes since the pace was asked.
    unpaced: u64,
}

impl PartWriter {
    /// Starts a part at `path`.
    pub fn create(disk: &dyn Disk, path: &Path) -> Result<Self, PartError> {
        let file = disk.create(path).map_err(|source| PartError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut writer = Self {
            path: path.to_owned(),
            file,
            buffer: Vec::new(),
            offset: 0,
            sections: Vec::new(),
            pace: None,
            unpaced: 0,
        };
        writer.put(&PART_MAGIC)?;
        Ok(writer)
    }

    /// Writes the rest at a pace.
    pub fn set_pace(&mut self, pace: Arc<dyn Pace>) {
        self.pace = Some(pace);
    }

    /// Appends a block and says where it is.
    pub fn block(&mut self, bytes: &[u8]) -> Result<BlockHandle, PartError> {
        let length = u32::try_from(bytes.len())
            .map_err(|_| self.unexpected(&"a block must be smaller than 4 GiB"))?;
        let offset = self.offset;
        self.put(bytes)?;
        self.put(&block_checksum(offset, bytes).to_le_bytes())?;
        Ok(BlockHandle { offset, length })
    }

    /// Appends a block that is found by name.
    pub fn section(&mut self, name: &str, bytes: &[u8]) -> Result<(), PartError> {
        let handle = self.block(bytes)?;
        self.sections.push((name.to_owned(), handle));
        Ok(())
    }

    /// Ends the part and makes its bytes durable. Returns its length in bytes.
    pub fn finish(mut self) -> Result<u64, PartError> {
        let mut directory = Vec::new();
        put_uvarint(&mut directory, self.sections.len() as u64);
        for (name, handle) in &self.sections {
            put_bytes(&mut directory, name.as_bytes());
            put_uvarint(&mut directory, handle.offset);
            put_uvarint(&mut directory, u64::from(handle.length));
        }
        let mut place = self.offset.to_le_bytes().to_vec();
        place.extend_from_slice(&(directory.len() as u32).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&directory), &place);
        self.put(&directory)?;
        self.put(&place)?;
        self.put(&checksum.to_le_bytes())?;
        self.put(&TRAILER_MAGIC)?;
        self.write_out()?;
        self.file.sync().map_err(|source| PartError::Io {
            path: self.path.clone(),
            source,
        })?;
        Ok(self.offset)
    }

    /// The error for rows that do not fit the format.
    pub fn unexpected(&self, reason: &dyn Display) -> PartError {
        PartError::Unexpected {
            path: self.path.clone(),
            reason: reason.to_string(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), PartError> {
        self.buffer.extend_from_slice(bytes);
        self.offset += bytes.len() as u64;
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        self.unpaced += bytes.len() as u64;
        if let Some(pace) = self.pace.as_ref().filter(|_| self.unpaced >= PACE_BYTES) {
            pace.pass(std::mem::take(&mut self.unpaced));
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), PartError> {
        let written = self.file.append(&self.buffer);
        self.buffer.clear();
        written.map_err(|source| PartError::Io {
            path: self.path.clone(),
            source,
        })
    }
}
