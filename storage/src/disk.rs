//! The disk, as little of it as a log-structured store needs.
//!
//! Everything durable goes through [`Disk`], so that the same code runs on a real file system
//! ([`real::RealDisk`]) and on a simulated one ([`sim::SimDisk`]) that can shorten a write, fail an
//! fsync, fill up, lose everything that was not fsynced, or flip a bit.
//!
//! What is assumed of a medium: a file's bytes survive a crash of the process once the write
//! returned, and a crash of the machine once `sync` returned; a name survives a crash of the machine
//! once its folder was synced; a rename is atomic. Nothing is assumed of bytes that were not
//! synced: after a power loss any prefix of them may be there.

use std::any::Any;
use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub mod real;
pub mod sim;

/// A file system.
pub trait Disk: Send + Sync + Debug + 'static {
    /// Creates an empty file, replacing one of the same name.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn WriteFile>>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;
    /// Renames a file, replacing one of the new name, atomically.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file. Its bytes stay readable through files that are open.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// The names of the files in a folder, without subfolders, in order.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a folder and those above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the exclusive lock of a file, creating it, until the guard is dropped.
    /// `WouldBlock` says that somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send + Sync>>;

    /// Gives a file another name, durably but for the name: by a hard link, or by a copy where the two
    /// lie on file systems apart.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// A whole file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let length = usize::try_from(file.len()?)
            .map_err(|_| io::Error::other("the file does not fit in memory"))?;
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Replaces a file by `bytes` so that a crash leaves the old or the new one, never a mixture.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension("tmp");
        let file = self.create(&temporary)?;
        file.append(bytes)?;
        file.sync()?;
        drop(file);
        self.rename(&temporary, path)?;
        match path.parent() {
            Some(dir) => self.sync_dir(dir),
            None => Ok(()),
        }
    }
}

/// A file that is being appended to. One thread appends; any may sync.
pub trait WriteFile: Send + Sync {
    /// Appends all of `bytes`. After an error an unknown prefix of them may be there.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Makes what was appended durable. After an error nothing may be assumed of the file's
    /// unsynced bytes, not even after a later success.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to `length` bytes.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// A file that is being read, by any number of threads.
pub trait ReadFile: Send + Sync {
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether there is nothing to read.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Fills `buffer` from `offset` on.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Drops what is kept of these bytes between the medium and its readers, so that the next read
    /// is of the medium again. Returns whether there is such a place at all: where there is none,
    /// reading again would give the same.
    fn forget(&self, bytes: Range<u64>) -> bool {
        let _ = bytes;
        false
    }
}
