//! Reading a part.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::cache::{FileRef, PartCache};
use super::{
    BlockHandle, CHECKSUM_BYTES, PART_MAGIC, PartError, TRAILER_BYTES, TRAILER_MAGIC,
    block_checksum,
};
use crate::codec::{Cursor, Malformed};
use crate::disk::{Disk, ReadFile};
use crate::patience::Patience;

/// An open part. Cloning shares the open file.
#[derive(Clone)]
pub struct PartFile {
    inner: Arc<Inner>,
    patience: Patience,
}

struct Inner {
    path: PathBuf,
    file: Arc<dyn ReadFile>,
    bytes: u64,
    sections: BTreeMap<String, BlockHandle>,
    cache: Arc<PartCache>,
    /// The file's number in the cache.
    number: FileRef,
}

/// What a part keeps decoded where it has no store.
const ALONE_CACHE_BYTES: usize = 8 << 20;

impl Drop for Inner {
    fn drop(&mut self) {
        self.cache.forget(self.number);
    }
}

impl fmt::Debug for PartFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PartFile").field(&self.inner.path).finish()
    }
}

impl PartFile {
    /// Opens a part that has a small cache to itself.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, PartError> {
        Self::open_with(disk, path, &Arc::new(PartCache::new(ALONE_CACHE_BYTES)))
    }

    /// Opens a part and reads its directory. What is decoded of it is kept in `cache`.
    pub fn open_with(
        disk: &dyn Disk,
        path: &Path,
        cache: &Arc<PartCache>,
    ) -> Result<Self, PartError> {
        let file = disk.open(path).map_err(|source| PartError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::over_with(file, path, cache)
    }

    /// Opens a part that lies in an open file, with a small cache to itself.
    pub fn over(file: Arc<dyn ReadFile>, path: &Path) -> Result<Self, PartError> {
        Self::over_with(file, path, &Arc::new(PartCache::new(ALONE_CACHE_BYTES)))
    }

    /// Reads the directory of a part that lies in an open file. Errors will name it as `path`.
    pub fn over_with(
        file: Arc<dyn ReadFile>,
        path: &Path,
        cache: &Arc<PartCache>,
    ) -> Result<Self, PartError> {
        let bytes = file.len().map_err(|source| PartError::Io {
            path: path.to_owned(),
            source,
        })?;
        let mut inner = Inner {
            path: path.to_owned(),
            file,
            bytes,
            sections: BTreeMap::new(),
            cache: Arc::clone(cache),
            number: cache.file(),
        };
        let whole = 0..inner.bytes;
        inner.sections = inner.twice(whole, || inner.read_directory())?;
        Ok(Self {
            inner: Arc::new(inner),
            patience: Patience::default(),
        })
    }

    /// The same part for somebody who may not wait until all is read: each block is a piece of the work.
    #[must_use]
    pub fn patient(&self, patience: &Patience) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            patience: patience.clone(),
        }
    }

    /// Whether somebody still waits for what is read.
    pub fn check_patience(&self) -> Result<(), PartError> {
        self.patience.check()
    }

    /// The part's file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes
    }

    /// A block, verified.
    pub fn block(&self, handle: BlockHandle) -> Result<Vec<u8>, PartError> {
        self.patience.check()?;
        self.inner.block(handle)
    }

    /// A block that `lz4_flex::compress_prepend_size` made, unpacked to at most `bytes_max`.
    pub fn block_lz4(&self, handle: BlockHandle, bytes_max: usize) -> Result<Vec<u8>, PartError> {
        let packed = self.block(handle)?;
        let corrupt = |reason: String| self.corrupt(handle.offset, reason);
        let (size, body) = lz4_flex::block::uncompressed_size(&packed)
            .map_err(|error| corrupt(error.to_string()))?;
        if size > bytes_max {
            return Err(corrupt(format!("a block claims to unpack to {size} bytes")));
        }
        lz4_flex::decompress(body, size).map_err(|error| corrupt(error.to_string()))
    }

    /// Whether there is a section of this name.
    pub fn has_section(&self, name: &str) -> bool {
        self.inner.sections.contains_key(name)
    }

    /// What `decode` makes of a block, or made of it lately; it also says how many bytes that takes.
    /// A block is always decoded to the same type.
    pub fn cached<T: Any + Send + Sync>(
        &self,
        handle: BlockHandle,
        decode: impl FnOnce(&[u8]) -> Result<(T, usize), PartError>,
    ) -> Result<Arc<T>, PartError> {
        self.remembered(handle.offset, || decode(&self.inner.block(handle)?))
    }

    /// What `make` makes of what lies at an offset, or made of it lately; it also says how many bytes
    /// that takes. At one offset it is always of the same type.
    pub fn remembered<T: Any + Send + Sync>(
        &self,
        offset: u64,
        make: impl FnOnce() -> Result<(T, usize), PartError>,
    ) -> Result<Arc<T>, PartError> {
        self.patience.check()?;
        let Inner { cache, number, .. } = &*self.inner;
        if let Some(held) = cache.get(*number, offset) {
            return Ok(held);
        }
        let (value, bytes) = make()?;
        let value = Arc::new(value);
        cache.put(*number, offset, &value, bytes);
        Ok(value)
    }

    /// A named section, verified.
    pub fn section(&self, name: &str) -> Result<Vec<u8>, PartError> {
        match self.inner.sections.get(name) {
            Some(handle) => self.block(*handle),
            None => Err(self.corrupt(self.inner.bytes, format!("section {name:?} is missing"))),
        }
    }

    /// The error for bytes that passed their checksum and still make no sense.
    pub fn corrupt(&self, offset: u64, reason: impl Into<String>) -> PartError {
        self.inner.corrupt(offset, reason)
    }

    /// The error for a section that passed its checksum and still makes no sense.
    pub fn corrupt_section(&self, name: &str, reason: impl Into<String>) -> PartError {
        let offset = self
            .inner
            .sections
            .get(name)
            .map_or(0, |handle| handle.offset);
        self.corrupt(offset, format!("section {name:?}: {}", reason.into()))
    }

    /// The error for a section that does not decode.
    pub fn malformed(&self, section: &str, malformed: Malformed) -> PartError {
        self.corrupt_section(section, malformed.to_string())
    }
}

impl Inner {
    fn corrupt(&self, offset: u64, reason: impl Into<String>) -> PartError {
        PartError::Corrupt {
            path: self.path.clone(),
            offset,
            reason: reason.into(),
        }
    }

    fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, PartError> {
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| end > self.bytes) {
            let reason = format!("{length} bytes are not there; the file has {}", self.bytes);
            return Err(self.corrupt(offset, reason));
        }
        let mut buffer = vec![0; length];
        self.file
            .read_exact_at(&mut buffer, offset)
            .map_err(|source| PartError::Io {
                path: self.path.clone(),
                source,
            })?;
        Ok(buffer)
    }

    /// Reads again, from the medium, what was wrong at first and may have been kept wrong on the
    /// way.
    fn twice<R>(
        &self,
        bytes: Range<u64>,
        read: impl Fn() -> Result<R, PartError>,
    ) -> Result<R, PartError> {
        match read() {
            Err(error) if error.is_corruption() && self.file.forget(bytes) => read(),
            result => result,
        }
    }

    fn block(&self, handle: BlockHandle) -> Result<Vec<u8>, PartError> {
        let length = u64::from(handle.length) + CHECKSUM_BYTES as u64;
        let bytes = handle.offset..handle.offset.saturating_add(length);
        self.twice(bytes, || self.read_block(handle))
    }

    fn read_block(&self, handle: BlockHandle) -> Result<Vec<u8>, PartError> {
        let length = handle.length as usize;
        let mut bytes = self.read(handle.offset, length + CHECKSUM_BYTES)?;
        let mut checksum = Cursor::new(bytes.get(length..).unwrap_or_default());
        let stored = checksum
            .u32()
            .map_err(|malformed| self.corrupt(handle.offset, malformed.to_string()))?;
        bytes.truncate(length);
        if block_checksum(handle.offset, &bytes) != stored && !cfg!(fuzzing) {
            return Err(self.corrupt(handle.offset, "checksum mismatch"));
        }
        Ok(bytes)
    }

    fn read_directory(&self) -> Result<BTreeMap<String, BlockHandle>, PartError> {
        if self.read(0, PART_MAGIC.len())? != PART_MAGIC {
            return Err(self.corrupt(0, "this is not a part of a version this program reads"));
        }
        let trailer_at = self.bytes.saturating_sub(TRAILER_BYTES as u64);
        let trailer = self.read(trailer_at, TRAILER_BYTES)?;
        let wrong = |malformed: Malformed| self.corrupt(trailer_at, malformed.to_string());
        let mut cursor = Cursor::new(&trailer);
        let offset = cursor.u64().map_err(wrong)?;
        let length = cursor.u32().map_err(wrong)?;
        let checksum = cursor.u32().map_err(wrong)?;
        if cursor.take(TRAILER_MAGIC.len()).map_err(wrong)? != TRAILER_MAGIC {
            return Err(self.corrupt(trailer_at, "the part does not end as a part does"));
        }
        let directory = self.read(offset, length as usize)?;
        let place = trailer.get(..12).unwrap_or_default();
        let computed = crc32c::crc32c_append(crc32c::crc32c(&directory), place);
        // A fuzzer could never make a checksum fit; what lies behind it is what it is for.
        if computed != checksum && !cfg!(fuzzing) {
            return Err(self.corrupt(offset, "checksum mismatch in the directory"));
        }
        decode_directory(&directory)
            .map_err(|malformed| self.corrupt(offset, malformed.to_string()))
    }
}

fn decode_directory(bytes: &[u8]) -> Result<BTreeMap<String, BlockHandle>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(3)?;
    let mut sections = BTreeMap::new();
    for _ in 0..count {
        let name = cursor.text()?.to_owned();
        let offset = cursor.uvarint()?;
        let length = u32::try_from(cursor.uvarint()?)
            .map_err(|_| cursor.malformed("a length below 2^32"))?;
        sections.insert(name, BlockHandle { offset, length });
    }
    Ok(sections)
}
