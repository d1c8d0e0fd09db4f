//! Start and stop on a real disk, with the background threads running.

use std::path::Path;
use std::sync::Arc;

use logs::{Logs, PushError};
use storage::clock::ManualClock;
use storage::disk::real::RealDisk;
use storage::store::{AppendError, OpenError, Recovered};
use storage::wal::sync::FsyncPolicy;

use crate::support::{NOW, batch, options, read_all, state_after};

fn open(dir: &Path) -> Result<(Logs, Recovered), OpenError> {
    let clock = Arc::new(ManualClock::new(NOW));
    let options = options(FsyncPolicy::Interval(5));
    Logs::open(Arc::new(RealDisk), clock, dir, options)
}

#[test]
fn stopping_flushes_and_the_next_start_replays_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let (logs, _) = open(dir.path()).expect("opens");
    let background = logs.start_background().expect("starts");
    for number in 0..4 {
        logs.push(batch(number)).expect("writes");
    }
    background.stop().expect("stops");
    let error = logs.push(batch(4)).expect_err("closed");
    assert!(
        matches!(error, PushError::Append(AppendError::Closed)),
        "{error}"
    );
    drop(logs);
    let (logs, recovered) = open(dir.path()).expect("opens again");
    assert_eq!(recovered.records, 0);
    assert_eq!(read_all(&logs).expect("reads"), state_after(4));
}

#[test]
fn a_start_after_a_kill_replays_what_was_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let (logs, _) = open(dir.path()).expect("opens");
    logs.push(batch(0)).expect("writes");
    let error = open(dir.path()).err().expect("in use");
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    // Dropped without a word, as a killed process would.
    drop(logs);
    let (logs, recovered) = open(dir.path()).expect("opens again");
    assert_eq!((recovered.records, recovered.rows), (1, 5));
    assert_eq!(read_all(&logs).expect("reads"), state_after(1));
}
