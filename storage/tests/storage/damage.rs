//! Flipped bits, missing files, foreign formats: named, moved aside, and the rest is served.

use std::path::{Path, PathBuf};

use storage::disk::Disk as _;
use storage::disk::sim::SimDisk;
use storage::manifest::ManifestError;
use storage::store::OpenError;
use storage::wal::sync::FsyncPolicy;

use crate::toy::{Rows, batch, open, read_all, read_or_damage, state_after};

/// A store with two parts in one partition each way, and rows that are only in the log.
fn filled() -> SimDisk {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    for number in 0..9 {
        store.append(&batch(number)).expect("writes");
        if number == 2 || number == 5 {
            store.flush().expect("flushes");
        }
    }
    disk
}

fn files(disk: &SimDisk, ending: &str) -> Vec<(PathBuf, u64)> {
    let named = |path: &Path| path.to_string_lossy().ends_with(ending);
    disk.files()
        .into_iter()
        .filter(|(path, _)| named(path))
        .collect()
}

#[test]
fn a_flipped_bit_anywhere_never_yields_a_wrong_row() {
    let truth = state_after(9);
    let pristine = filled().after_kill();
    for (path, length) in pristine.files() {
        for bit in (0..length * 8).step_by(5) {
            let disk = pristine.after_kill();
            assert!(disk.flip_bit(&path, bit));
            let what = format!("bit {bit} of {}", path.display());
            match open(&disk, FsyncPolicy::Always) {
                Ok((store, recovered)) => {
                    // An index is read when it is asked, so damage in it shows then.
                    let mut met_damage = false;
                    let rows = loop {
                        match read_or_damage(&store) {
                            Ok(rows) => break rows,
                            Err((part, error)) => {
                                assert!(error.is_corruption(), "{what}: {error}");
                                store.quarantine(part, &error).expect("moves it aside");
                                met_damage = true;
                            }
                        }
                    };
                    let lost = truth
                        .iter()
                        .any(|(key, value)| rows.get(key) != Some(value));
                    let noticed = met_damage
                        || !recovered.quarantined.is_empty()
                        || !recovered.damage.is_empty()
                        || recovered.torn_bytes > 0;
                    assert!(!lost || noticed, "{what}: silently lost");
                    for (key, value) in rows {
                        // An overwritten row may come back in an older version, never in one that
                        // was not written.
                        assert!(
                            value < 9 && batch(value).contains_key(&key),
                            "{what}: {key:?}"
                        );
                    }
                }
                Err(error) => {
                    assert!(path.ends_with("MANIFEST"), "{what}: {error}");
                    assert!(error.to_string().contains("MANIFEST"), "{what}: {error}");
                }
            }
        }
    }
}

#[test]
fn damage_in_a_part_names_file_and_offset_and_the_rest_is_served() {
    let disk = filled().after_kill();
    let parts = files(&disk, ".part");
    let (damaged, _) = &parts[0];
    assert!(disk.flip_bit(damaged, 8 * 10));
    let (store, recovered) = open(&disk, FsyncPolicy::Always).expect("opens");
    let message = &recovered.quarantined[0];
    assert!(
        message.contains(&damaged.display().to_string()),
        "{message}"
    );
    assert!(message.contains("corrupt at offset 8"), "{message}");
    assert!(!read_all(&store).is_empty());
    assert_eq!(
        files(&disk, ".part").len(),
        parts.len(),
        "moved, not removed"
    );
    let moved = disk.list(Path::new("/data/quarantine")).expect("there");
    assert_eq!(moved.len(), 1);
    // The next start finds a whole store.
    drop(store);
    let (_, recovered) = open(&disk, FsyncPolicy::Always).expect("opens");
    assert!(recovered.quarantined.is_empty());
}

#[test]
fn damage_in_the_middle_of_the_log_costs_one_record() {
    let disk = SimDisk::new(1);
    let (store, _) = open(&disk, FsyncPolicy::Always).expect("opens");
    for number in 0..5 {
        store.append(&batch(number)).expect("writes");
    }
    drop(store);
    let (segment, _) = files(&disk, ".wal").remove(0);
    assert!(disk.flip_bit(&segment, 8 * 40));
    let (store, recovered) = open(&disk, FsyncPolicy::Always).expect("opens");
    assert_eq!(recovered.damage.len(), 1, "{recovered:?}");
    assert_eq!(recovered.damage[0].path, segment);
    assert_eq!(recovered.records, 4);
    let rows = read_all(&store);
    let expected: Rows = (1..5).flat_map(batch).collect();
    assert_eq!(rows, expected);
}

#[test]
fn a_missing_part_is_named() {
    let disk = filled().after_kill();
    let (path, _) = files(&disk, ".part").remove(0);
    disk.remove(&path).expect("there");
    let (_, recovered) = open(&disk, FsyncPolicy::Always).expect("opens");
    assert!(recovered.quarantined[0].contains(&path.display().to_string()));
}

#[test]
fn a_missing_manifest_is_refused_rather_than_swept() {
    let disk = filled().after_kill();
    disk.remove(Path::new("/data/MANIFEST")).expect("there");
    let error = open(&disk, FsyncPolicy::Always).err().expect("refused");
    assert!(
        matches!(error, OpenError::ManifestMissing { .. }),
        "{error}"
    );
    assert!(!files(&disk, ".part").is_empty());
}

#[test]
fn a_newer_format_is_refused() {
    let disk = filled().after_kill();
    let manifest = Path::new("/data/MANIFEST");
    disk.replace(manifest, b"taffrail-manifest 99 00000000\n{}")
        .expect("writes");
    let error = open(&disk, FsyncPolicy::Always).err().expect("refused");
    let newer = matches!(
        error,
        OpenError::Manifest(ManifestError::NewerFormat { found: 99, .. })
    );
    assert!(newer, "{error}");
    assert!(
        error.to_string().contains("start the newer version"),
        "{error}"
    );
}
