//! Series to send: generated, or recorded once.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use benches::day::{Day, DaySeries};
use model::labels::Labels;
use model::wire::remote_write::{LabelPair, TimeSeries};
use prost::Message as _;
use serde::Deserialize;

/// One series with all its samples.
pub(crate) struct Series {
    /// Its identity.
    pub(crate) labels: Labels,
    /// Its labels as remote write carries them, made once.
    pub(crate) wire_labels: Vec<u8>,
    /// When, ascending.
    pub(crate) timestamps: Arc<[i64]>,
    /// What.
    pub(crate) values: Vec<f64>,
}

/// Series, shared by the connections that send them.
pub(crate) type Set = Arc<Vec<Series>>;

impl Series {
    pub(crate) fn new(labels: Labels, timestamps: Arc<[i64]>, values: Vec<f64>) -> Self {
        let pairs = labels.iter().map(|(name, value)| LabelPair {
            name: name.to_owned(),
            value: value.to_owned(),
        });
        let message = TimeSeries {
            labels: pairs.collect(),
            ..TimeSeries::default()
        };
        Self {
            wire_labels: message.encode_to_vec(),
            labels,
            timestamps,
            values,
        }
    }
}

impl From<DaySeries> for Series {
    fn from(series: DaySeries) -> Self {
        Self::new(series.labels, series.timestamps, series.values)
    }
}

/// How many samples there are.
pub(crate) fn samples(set: &[Series]) -> usize {
    set.iter().map(|series| series.values.len()).sum()
}

/// The first and the last instant.
pub(crate) fn range(set: &[Series]) -> (i64, i64) {
    let first = set.iter().filter_map(|series| series.timestamps.first());
    let last = set.iter().filter_map(|series| series.timestamps.last());
    (
        first.min().copied().unwrap_or_default(),
        last.max().copied().unwrap_or_default(),
    )
}

/// A generated day.
pub(crate) fn generated(day: &Day) -> Set {
    Arc::new(day.series().map(Series::from).collect())
}

/// A generated day under one metric name, so that functions over a range, which drop the name, can
/// be asked of all of it.
pub(crate) fn generated_under(day: &Day, name: &str) -> Set {
    let series = day.series().map(|series| series.renamed(name).into());
    Arc::new(series.collect())
}

#[derive(Deserialize)]
struct Line {
    metric: std::collections::BTreeMap<String, String>,
    values: Vec<f64>,
    timestamps: Vec<i64>,
}

/// A recording; `None` where it is not there.
pub(crate) fn recorded(path: &Path) -> anyhow::Result<Option<Set>> {
    let Ok(file) = File::open(path) else {
        return Ok(None);
    };
    let unpacked = Command::new("xz")
        .arg("-dc")
        .stdin(file)
        .stderr(Stdio::inherit())
        .output()
        .context("cannot start xz: apt-get install xz-utils")?;
    if !unpacked.status.success() {
        bail!("{}: xz ended with {}", path.display(), unpacked.status);
    }
    let text = String::from_utf8(unpacked.stdout)?;
    let mut set = Vec::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line)?;
        let labels = Labels::from_pairs(line.metric);
        set.push(Series::new(labels, line.timestamps.into(), line.values));
    }
    Ok(Some(Arc::new(set)))
}
