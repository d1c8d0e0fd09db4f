//! What is done to Taffrail's files while no process has them: the last merge, and counting.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use storage::clock::SystemClock;
use storage::codec::Cursor;
use storage::disk::real::RealDisk;
use tsdb::{Tsdb, TsdbOptions};

/// The folder of the metrics store of a server that was started on `dir`.
pub(crate) fn store_dir(dir: &Path) -> PathBuf {
    dir.join("data").join("metrics")
}

/// Opens the store in `dir` as the server would.
pub(crate) fn open(dir: &Path, options: TsdbOptions) -> anyhow::Result<Tsdb> {
    Ok(Tsdb::open(Arc::new(RealDisk), Arc::new(SystemClock), dir, options)?.0)
}

/// Makes one settled part of each partition, as the server does by itself when the partition is over.
pub(crate) fn settle(dir: &Path) -> anyhow::Result<()> {
    let tsdb = open(&store_dir(dir), TsdbOptions::default())?;
    tsdb.store().merge_all().context("merge")?;
    tsdb.store().close()?;
    Ok(())
}

/// Bytes of the parts that reach into a range; the server's own metrics are elsewhere.
pub(crate) fn part_bytes(dir: &Path, range: (i64, i64)) -> anyhow::Result<(u64, usize)> {
    let tsdb = open(&store_dir(dir), TsdbOptions::default())?;
    let view = tsdb.store().view();
    let records = view.parts.iter().map(|part| &part.record);
    let bytes: Vec<u64> = records
        .filter(|record| record.end_ms >= range.0 && record.start_ms <= range.1)
        .map(|record| record.bytes)
        .collect();
    Ok((bytes.iter().sum(), bytes.len()))
}

/// Sections of a part that belong to the label index; every other describes samples.
const INDEX_SECTIONS: [&str; 1] = ["index"];
const TRAILER_BYTES: usize = 20;

/// Bytes of the label index in the parts that reach into a range: its sections, and the blocks that
/// lie in front of them and belong to them.
pub(crate) fn index_bytes(dir: &Path, range: (i64, i64)) -> anyhow::Result<u64> {
    let tsdb = open(&store_dir(dir), TsdbOptions::default())?;
    let view = tsdb.store().view();
    let mut bytes = 0;
    for part in &view.parts {
        let record = &part.record;
        if record.end_ms >= range.0 && record.start_ms <= range.1 {
            let path = store_dir(dir).join("parts").join(record.id.file_name());
            bytes += index_bytes_of(&fs::read(&path)?)
                .with_context(|| format!("{}: not a part as it is known here", path.display()))?;
        }
    }
    Ok(bytes)
}

/// Reads the directory of a part as `storage::part` describes it.
fn index_bytes_of(part: &[u8]) -> Option<u64> {
    let trailer = part.get(part.len().checked_sub(TRAILER_BYTES)?..)?;
    let mut cursor = Cursor::new(trailer);
    let start = usize::try_from(cursor.u64().ok()?).ok()?;
    let length = cursor.u32().ok()? as usize;
    let mut cursor = Cursor::new(part.get(start..start.checked_add(length)?)?);
    let mut sections = Vec::new();
    for _ in 0..cursor.uvarint().ok()? {
        let name = cursor.text().ok()?.to_owned();
        let (offset, length) = (cursor.uvarint().ok()?, cursor.uvarint().ok()?);
        sections.push((offset.checked_add(length)?, name));
    }
    sections.sort();
    let (mut bytes, mut previous_end) = (0, 0);
    for (end, name) in sections {
        if INDEX_SECTIONS.contains(&name.as_str()) {
            bytes += end - previous_end;
        }
        previous_end = end;
    }
    Some(bytes)
}
