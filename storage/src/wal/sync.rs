//! Group commit: one fsync for every thread that waits for one.
//!
//! A thread that needs its write durable asks for a position. The first to get the lock syncs all
//! that was appended so far; those behind it find their position already covered and go on.
//!
//! After an fsync error the kernel may have dropped the pages and forgotten the error, so a later
//! success proves nothing: the segment has failed for good, every position in it that was not synced
//! stays unsynced, and the store moves its rows into a part.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::writer::Position;
use crate::disk::WriteFile;

/// When a write becomes durable against power loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// Before it is acknowledged.
    Always,
    /// At most this many milliseconds after it was acknowledged.
    Interval(u64),
}

/// Makes the log durable.
pub struct Syncer {
    appended: AtomicU64,
    failed: AtomicBool,
    state: Mutex<State>,
}

struct State {
    file: Arc<dyn WriteFile>,
    synced: Position,
}

impl Syncer {
    pub(super) fn new(file: Arc<dyn WriteFile>) -> Self {
        Self {
            appended: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            state: Mutex::new(State {
                file,
                synced: Position::default(),
            }),
        }
    }

    /// Says that the kernel has everything up to `position`.
    pub(super) fn advance(&self, position: Position) {
        self.appended.store(position.0, Ordering::Release);
    }

    /// Goes on with a new segment; the old one needs no sync any more.
    pub(super) fn switch(&self, file: Arc<dyn WriteFile>) {
        let mut state = self.state.lock();
        state.file = file;
        state.synced = Position(self.appended.load(Ordering::Acquire));
        self.failed.store(false, Ordering::Release);
    }

    /// Whether an fsync of the open segment has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Returns when everything up to `position` is durable.
    pub fn sync_to(&self, position: Position) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.synced >= position {
            return Ok(());
        }
        if self.has_failed() {
            return Err(io::Error::other(
                "an earlier fsync of this log segment failed",
            ));
        }
        let appended = Position(self.appended.load(Ordering::Acquire));
        if let Err(error) = state.file.sync() {
            self.failed.store(true, Ordering::Release);
            return Err(error);
        }
        state.synced = appended;
        Ok(())
    }

    /// Makes durable what was appended so far.
    pub fn sync(&self) -> io::Result<()> {
        self.sync_to(Position(self.appended.load(Ordering::Acquire)))
    }
}
