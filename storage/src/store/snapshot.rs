//! A snapshot: a folder that opens as a store and holds what was written so far.
//!
//! Parts never change, so a snapshot is one more name for each of them, and a manifest. While names are
//! given the files of parts that merges replace stay; they are removed afterwards. The manifest is written
//! last: what a crash leaves of a snapshot does not open, and says so.

use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::{MaintainError, Store, recover};
use crate::manifest::{Manifest, PartId};
use crate::table::Table;

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Parts.
    pub parts: usize,
    /// Samples or lines in them.
    pub rows: u64,
    /// Bytes of the parts.
    pub bytes: u64,
}

/// The files of parts that are not needed any more.
#[derive(Default)]
pub(super) struct Removals {
    /// Held by the one snapshot that is made.
    snapshot: Mutex<()>,
    /// What is removed when it is made, while it is.
    waiting: Mutex<Option<Vec<PathBuf>>>,
}

impl<T: Table> Store<T> {
    /// Makes a snapshot in the folder `to`, which must not hold anything yet, out of hard links where the
    /// file system has them.
    pub fn snapshot(&self, to: &Path) -> Result<SnapshotReport, MaintainError> {
        let _snapshot = self.removals.snapshot.lock();
        let parts_to = recover::parts_dir(to);
        for dir in [to, &parts_to] {
            match self.disk.list(dir) {
                Ok(names) if names.is_empty() => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(_) => {
                    return Err(MaintainError::SnapshotExists {
                        path: to.to_owned(),
                    });
                }
                Err(source) => return Err(io_error(dir)(source)),
            }
        }
        self.flush()?;
        *self.removals.waiting.lock() = Some(Vec::new());
        let manifest = self.manifest.lock().clone();
        let made = self.fill_snapshot(&manifest, to, &parts_to);
        let waiting = self.removals.waiting.lock().take();
        for path in waiting.unwrap_or_default() {
            self.remove_file(&path);
        }
        if made.is_err() {
            // Room, and a folder that the next try finds empty.
            for record in &manifest.parts {
                let _ = self.disk.remove(&parts_to.join(record.id.file_name()));
            }
        }
        made
    }

    fn fill_snapshot(
        &self,
        manifest: &Manifest,
        to: &Path,
        parts_to: &Path,
    ) -> Result<SnapshotReport, MaintainError> {
        let disk = self.disk.as_ref();
        disk.create_dir_all(parts_to).map_err(io_error(parts_to))?;
        let mut report = SnapshotReport::default();
        // What lies in a bucket is named by the snapshot and not held by it.
        for record in manifest.parts.iter().filter(|part| !part.is_remote()) {
            let from = self.part_path(record.id);
            disk.hard_link(&from, &parts_to.join(record.id.file_name()))
                .map_err(io_error(&from))?;
            report.parts += 1;
            report.rows += record.rows;
            report.bytes += record.bytes;
        }
        disk.sync_dir(parts_to).map_err(io_error(parts_to))?;
        let mut manifest = manifest.clone();
        if let Some(tier) = &mut manifest.tier {
            // Two stores will name the same objects; only this one may change them.
            tier.sessions.clear();
        }
        manifest.store(disk, to)?;
        if let Some(parent) = to.parent() {
            disk.sync_dir(parent).map_err(io_error(parent))?;
        }
        Ok(report)
    }

    /// Removes the files of parts that the manifest no longer names. Queries that still read them
    /// have them open.
    pub(super) fn remove_files(&self, parts: &[PartId]) {
        for part in parts {
            let path = self.part_path(*part);
            match self.removals.waiting.lock().as_mut() {
                Some(waiting) => waiting.push(path),
                None => self.remove_file(&path),
            }
        }
    }

    fn remove_file(&self, path: &Path) {
        if let Err(error) = self.disk.remove(path)
            // One that lay in a bucket has no file.
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a part that is not needed any more could not be removed; the next start sweeps it");
        }
    }
}

fn io_error(path: &Path) -> impl FnOnce(io::Error) -> MaintainError {
    let path = path.to_owned();
    move |source| MaintainError::Io { path, source }
}
