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
    /// Positions after the first up to the second that an earlier segment ended with, unsynced.
    given_up: Option<(Position, Position)>,
}

impl Syncer {
    pub(super) fn new(file: Arc<dyn WriteFile>) -> Self {
        Self {
            appended: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            state: Mutex::new(State {
                file,
                synced: Position::default(),
                given_up: None,
            }),
        }
    }

    /// Says that the kernel has everything up to `position`.
    pub(super) fn advance(&self, position: Position) {
        self.appended.store(position.0, Ordering::Release);
    }

    /// Goes on with a new segment. What the old one had not synced becomes durable as a part, which
    /// whoever waits for it here does not learn: to them it stays unsynced.
    pub(super) fn switch(&self, file: Arc<dyn WriteFile>) {
        let mut state = self.state.lock();
        state.file = file;
        let appended = Position(self.appended.load(Ordering::Acquire));
        if state.synced < appended {
            let from = state.given_up.map_or(state.synced, |(from, _)| from);
            state.given_up = Some((from, appended));
        }
        state.synced = appended;
        self.failed.store(false, Ordering::Release);
    }

    /// Whether an fsync of the open segment has failed.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Returns when everything up to `position` is durable.
    pub fn sync_to(&self, position: Position) -> io::Result<()> {
        let mut state = self.state.lock();
        let failed = || io::Error::other("an earlier fsync of this log segment failed");
        let is_given_up = |(from, to): (Position, Position)| from < position && position <= to;
        if state.given_up.is_some_and(is_given_up) {
            return Err(failed());
        }
        if state.synced >= position {
            return Ok(());
        }
        if self.has_failed() {
            return Err(failed());
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::disk::sim::{Fault, SimDisk};
    use crate::wal::SegmentId;
    use crate::wal::writer::{WalWriter, create_segments};

    #[test]
    fn what_a_segment_ended_with_unsynced_is_never_said_to_be_synced() {
        let disk = SimDisk::new(1);
        let segment = |number| {
            let made = create_segments(&disk, Path::new("/wal"), SegmentId(number), 1);
            made.expect("creates").remove(0)
        };
        let mut wal = WalWriter::new(Path::new("/wal"), segment(1));
        let syncer = wal.syncer();
        let before = wal.append(b"synced").expect("appends");
        syncer.sync_to(before).expect("syncs");
        // A writer appends, and before it comes to its sync another seals the memtable.
        let lost = wal.append(b"not synced").expect("appends");
        let next = segment(2);
        disk.inject(Fault::SyncError(disk.operations()));
        wal.go_on_in(next);
        assert!(syncer.sync_to(lost).is_err(), "its fsync failed");
        assert!(syncer.sync_to(before).is_ok());
        let after = wal.append(b"in the new segment").expect("appends");
        assert!(syncer.sync_to(after).is_ok());
        assert!(syncer.sync_to(lost).is_err(), "still");
    }
}
