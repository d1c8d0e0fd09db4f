//! Damaged bytes: named, taken out, never a wrong line, and the rest is served.

use std::path::PathBuf;

use logs::Logs;
use storage::disk::sim::SimDisk;
use storage::wal::sync::FsyncPolicy;

use crate::support::{Lines, batch, open, read_all, state_after};

const FSYNC: FsyncPolicy = FsyncPolicy::Always;

/// Parts of several partitions, and pushes that are only in the log.
fn filled() -> SimDisk {
    let disk = SimDisk::new(1);
    let (logs, _) = open(&disk, FSYNC).expect("opens");
    for number in 0..8 {
        logs.push(batch(number)).expect("writes");
        if number == 5 {
            logs.store().flush().expect("flushes");
        }
    }
    drop(logs);
    disk.after_kill()
}

fn parts(disk: &SimDisk) -> Vec<(PathBuf, u64)> {
    let files = disk.files().into_iter();
    let is_part = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension == "part")
    };
    files.filter(|(path, _)| is_part(path)).collect()
}

/// Every line that is read was written.
fn holds_only(truth: &Lines, lines: &Lines, what: &str) {
    for (stream, lines) in lines {
        for line in lines {
            assert!(
                truth[stream].contains(line),
                "{what}: {line:?} was never written"
            );
        }
    }
}

fn reads_what_is_left(logs: &Logs, truth: &Lines, what: &str) -> bool {
    match read_all(logs) {
        Ok(lines) => {
            holds_only(truth, &lines, what);
            lines != *truth
        }
        Err(error) => {
            assert!(
                error.to_string().contains("corrupt at offset"),
                "{what}: {error}"
            );
            let lines =
                read_all(logs).unwrap_or_else(|error| panic!("{what}, read again: {error}"));
            holds_only(truth, &lines, what);
            assert_eq!(
                logs.store()
                    .counters()
                    .quarantined
                    .load(std::sync::atomic::Ordering::Relaxed),
                1
            );
            true
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_never_yields_a_wrong_line() {
    let truth = state_after(8);
    let pristine = filled();
    let mut noticed_by_reading = 0;
    for (path, length) in pristine.files() {
        for bit in (0..length * 8).step_by(13) {
            let disk = pristine.after_kill();
            assert!(disk.flip_bit(&path, bit));
            let what = format!("bit {bit} of {}", path.display());
            let Ok((logs, recovered)) = open(&disk, FSYNC) else {
                assert!(path.ends_with("MANIFEST"), "{what}");
                continue;
            };
            let noticed_at_start = !recovered.quarantined.is_empty()
                || !recovered.damage.is_empty()
                || recovered.torn_bytes > 0;
            let before = logs.store().view().parts.len();
            let lost = reads_what_is_left(&logs, &truth, &what);
            let noticed_now = logs.store().view().parts.len() < before;
            noticed_by_reading += u64::from(noticed_now);
            assert!(
                !lost || noticed_at_start || noticed_now,
                "{what}: silently lost"
            );
        }
    }
    assert!(noticed_by_reading > 0, "no flip hit a page");
}

#[test]
fn a_corrupt_page_is_named_and_the_rest_is_served() {
    let disk = filled();
    let (damaged, _) = parts(&disk).remove(0);
    let (logs, _) = open(&disk, FSYNC).expect("opens");
    // Behind the container's magic stands the first page.
    assert!(disk.flip_bit(&damaged, 8 * 12));
    let error = read_all(&logs)
        .expect_err("the page is corrupt")
        .to_string();
    assert!(error.contains(&damaged.display().to_string()), "{error}");
    assert!(error.contains("corrupt at offset 8"), "{error}");
    let left = read_all(&logs).expect("the rest is served");
    assert!(!left.is_empty());
    holds_only(&state_after(8), &left, "after the quarantine");
    assert!(
        parts(&disk)
            .iter()
            .any(|(path, _)| path.starts_with("/logs/quarantine"))
    );
}
