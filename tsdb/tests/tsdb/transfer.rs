//! Blocks that Prometheus wrote, read: every sample with its bits, what was deleted left out, and every damage
//! told.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ::model::wire::exposition::Format;
use storage::disk::real::RealDisk;
use tsdb::transfer::json_lines::reader::JsonLines;
use tsdb::transfer::open_metrics::reader::OpenMetrics;
use tsdb::transfer::prometheus::block::Block;
use tsdb::transfer::{InputError, Position, Source};

use crate::support::{Rows, apply};

fn fixture(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tsdb/fixtures/prometheus");
    dir.join(name)
}

/// The only block of a folder.
fn block_in(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let blocks: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
    let [block] = blocks.as_slice() else {
        panic!("{blocks:?}");
    };
    block.clone()
}

fn file(path: &Path) -> BufReader<File> {
    BufReader::new(File::open(path).expect("a file"))
}

/// Everything a source holds, and what was wrong with it.
fn read(source: &mut dyn Source) -> (Rows, Vec<String>) {
    let (mut rows, mut errors) = (Rows::new(), Vec::new());
    loop {
        match source.next() {
            Ok(Some(piece)) => apply(&mut rows, &piece.series),
            Ok(None) => return (rows, errors),
            Err(error) => {
                errors.push(error.to_string());
                if !error.is_passable() {
                    return (rows, errors);
                }
            }
        }
    }
}

fn read_whole(source: &mut dyn Source) -> Rows {
    let (rows, errors) = read(source);
    assert!(errors.is_empty(), "{errors:?}");
    rows
}

fn open(dir: &Path, start: Position) -> Result<Block, InputError> {
    Block::open(&RealDisk, dir, start)
}

#[test]
fn every_kind_of_sample_is_read_bit_for_bit() {
    let mut block = open(&block_in(&fixture("native")), Position::default()).expect("a block");
    let stats = block.meta().stats;
    let rows = read_whole(&mut block);
    let expected = file(&fixture("native/expected.jsonl"));
    let mut expected = JsonLines::new(expected, Position::default()).expect("a file");
    let expected = read_whole(&mut expected);
    // 101 samples of one series and 11 of another were deleted.
    assert_eq!(rows.len() as u64, stats.num_samples - 112);
    assert_eq!(rows.len(), expected.len());
    for ((key, row), (expected_key, expected_row)) in rows.iter().zip(&expected) {
        assert_eq!(key, expected_key);
        assert_eq!(row, expected_row, "{key:?}");
    }
}

#[test]
fn a_block_of_promtool_is_the_text_it_was_made_of() {
    let mut block = open(&block_in(&fixture("promtool")), Position::default()).expect("a block");
    let text = file(&fixture("promtool/harbour.om"));
    let mut text =
        OpenMetrics::new(text, Format::OpenMetrics, Position::default()).expect("a file");
    let rows = read_whole(&mut block);
    assert_eq!(rows.len(), 9);
    assert_eq!(rows, read_whole(&mut text));
}

#[test]
fn a_block_is_read_on_from_every_position() {
    let dir = block_in(&fixture("native"));
    let whole = read_whole(&mut open(&dir, Position::default()).expect("a block"));
    let mut block = open(&dir, Position::default()).expect("a block");
    let (mut done, mut series) = (Rows::new(), 0);
    while let Some(piece) = block.next().expect("whole") {
        apply(&mut done, &piece.series);
        series += piece.series.len();
        let mut both = done.clone();
        both.extend(read_whole(
            &mut open(&dir, piece.position).expect("a block"),
        ));
        assert_eq!(both, whole);
    }
    assert_eq!(series as u64, block.meta().stats.num_series);
    let (offset, end) = block.progress();
    assert_eq!(offset.next_multiple_of(16), end.next_multiple_of(16));
}

/// Copies a block, changes the bytes of one of its files, and reads what is left.
fn read_changed(file: &str, change: impl Fn(&mut Vec<u8>)) -> (Rows, Vec<String>) {
    let dir = tempfile::tempdir().expect("temporary folder");
    let block = block_in(&fixture("native"));
    fs::create_dir(dir.path().join("chunks")).expect("a folder");
    for name in ["meta.json", "index", "tombstones", "chunks/000001"] {
        let mut bytes = fs::read(block.join(name)).expect("a file");
        if name == file {
            change(&mut bytes);
        }
        fs::write(dir.path().join(name), bytes).expect("written");
    }
    match open(dir.path(), Position::default()) {
        Ok(mut block) => read(&mut block),
        Err(error) => (Rows::new(), vec![error.to_string()]),
    }
}

#[test]
fn no_damage_goes_unnoticed() {
    let (whole, errors) = read_changed("", |_| {});
    assert!(errors.is_empty());
    let mut passed = 0;
    for file in ["index", "tombstones", "chunks/000001"] {
        let length = fs::metadata(block_in(&fixture("native")).join(file))
            .expect("a file")
            .len() as usize;
        for at in (0..length).step_by(61) {
            let (rows, errors) = read_changed(file, |bytes| bytes[at] ^= 1 << (at % 8));
            assert!(
                rows.iter().all(|(key, row)| whole.get(key) == Some(row)),
                "{file} {at}"
            );
            if rows.len() < whole.len() {
                assert!(!errors.is_empty(), "{file} {at}: lost in silence");
                let is_named =
                    |error: &String| error.starts_with(file) || error.starts_with("index");
                assert!(errors.iter().all(is_named), "{errors:?}");
                passed += 1;
            }
        }
        for length in (0..length).step_by(499) {
            let (rows, errors) = read_changed(file, |bytes| bytes.truncate(length));
            assert!(!errors.is_empty(), "{file}: cut to {length} bytes");
            assert!(rows.iter().all(|(key, row)| whole.get(key) == Some(row)));
        }
    }
    println!("{passed} damages were told");
}

#[test]
fn what_is_not_a_block_says_so() {
    for (file, change, expected) in [
        (
            "meta.json",
            b"{}".as_slice(),
            "meta.json: missing field `ulid`",
        ),
        (
            "meta.json",
            b"{\"ulid\":\"x\",\"minTime\":1,\"maxTime\":2,\"version\":2}",
            "meta.json: a block of version 2; version 1 is read",
        ),
        ("index", b"short", "index: cut short: 5 bytes"),
        (
            "chunks/000001",
            b"not of chunks",
            "chunks/000001: not a file of chunks of version 1",
        ),
    ] {
        let (_, errors) = read_changed(file, |bytes| *bytes = change.to_vec());
        assert_eq!(errors.len(), 1);
        assert!(errors[0].starts_with(expected), "{errors:?}");
    }
    let missing = open(Path::new("/nowhere"), Position::default()).expect_err("no folder");
    assert!(matches!(missing, InputError::Io(_)));
}
