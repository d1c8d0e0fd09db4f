//! Making a roll-up: partition by partition, the oldest first.
//!
//! A partition is due when its last instant is long enough ago and it is not rolled up yet, or was
//! from other parts than there are now: late samples, deletions and merges change the parts. What was
//! there before is deleted first, so that a stretch that lost its samples loses its roll-up.
//!
//! A crash in the middle leaves the partition due: it is made again, and the same samples written
//! twice are the same.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use model::labels::{Labels, METRIC_NAME};
use model::matcher::{MatchOp, Matcher, MatcherError};
use model::sample::{Sample, SeriesSamples};
use model::time::{TimeRange, Timestamp};
use storage::store::view::View;
use storage::store::{AppendError, MaintainError};
use storage::table::{Erasure, Partition};

use super::aspect::{Aspect, Stretch, roll_up};
use super::{Origin, Rollup};
use crate::ingest::batch::Batch;
use crate::query::{Guard, Samples, SelectError, Source as _};
use crate::store::read::Reader;
use crate::store::{MetricStore, Metrics};

/// Samples that are written at once.
const BATCH_SAMPLES: usize = 50_000;

/// Why a partition could not be rolled up. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum RollupError {
    /// The samples cannot be read.
    #[error("cannot read what is to be rolled up: {0}")]
    Read(#[from] SelectError),
    /// The roll-up cannot be written.
    #[error("cannot write the roll-up: {0}")]
    Append(#[from] AppendError),
    /// The roll-up cannot be flushed.
    #[error("cannot write the roll-up: {0}")]
    Maintain(#[from] MaintainError),
    /// What was made cannot be noted.
    #[error("cannot note what is rolled up: {0}")]
    Note(#[from] io::Error),
    /// The matcher of everything is refused.
    #[error(transparent)]
    Matcher(#[from] MatcherError),
}

/// The parts that a partition is rolled up from. The neighbours count: the value before the first
/// stretch, and the instant that ends the last one, lie in them.
pub(super) fn origin_of(view: &View<Metrics>, partition: Partition) -> Origin {
    let near = partition.0.saturating_sub(1)..=partition.0.saturating_add(1);
    let parts = view.parts.iter();
    parts
        .filter(|part| near.contains(&part.record.partition.0))
        .map(|part| (part.record.partition, part.record.id))
        .collect()
}

/// Whether a partition that was rolled up from `made` would be from the same parts again. A
/// partition before it that has expired meanwhile changes nothing.
pub(super) fn is_current(made: &Origin, partition: Partition, view: &View<Metrics>) -> bool {
    let now = origin_of(view, partition);
    let expired = |before: &Partition| {
        *before < partition && !now.iter().any(|(present, _)| present == before)
    };
    made.iter().filter(|(of, _)| !expired(of)).eq(&now)
}

impl Rollup {
    /// Rolls up the oldest partition of `raw` that is due. Returns whether there was one.
    pub fn make_one(&self, raw: &Arc<MetricStore>, now: Timestamp) -> Result<bool, RollupError> {
        let width = raw.options().partition_ms;
        let view = raw.view();
        let mut made = BTreeMap::clone(&self.made());
        let due = view
            .parts
            .iter()
            .map(|part| part.record.partition)
            .find(|partition| {
                let ended = partition
                    .range(width)
                    .end
                    .saturating_add(self.options.after_ms)
                    < now;
                let made = made.get(partition);
                ended && !made.is_some_and(|made| is_current(made, *partition, &view))
            });
        let Some(partition) = due else {
            return Ok(false);
        };
        let origin = origin_of(&view, partition);
        drop(view);
        self.make(raw, partition, made.contains_key(&partition))?;
        self.store.flush()?;
        made.insert(partition, origin);
        let oldest = raw.oldest_kept();
        made.retain(|partition, _| partition.range(width).end >= oldest);
        self.set_made(made)?;
        Ok(true)
    }

    fn make(
        &self,
        raw: &Arc<MetricStore>,
        partition: Partition,
        again: bool,
    ) -> Result<(), RollupError> {
        let width = raw.options().partition_ms;
        let range = partition.range(width);
        let (after, until) = (range.start, range.end.saturating_add(1));
        let everything = Matcher::new(MatchOp::Regex, METRIC_NAME, ".+")?;
        let stretches = TimeRange::new(after.saturating_add(1), until);
        if again || self.store.view().parts_in(stretches).next().is_some() {
            self.store.delete(Erasure {
                matchers: vec![everything.clone()],
                range: stretches,
            })?;
        }
        let wanted = TimeRange::new(after.saturating_sub(width), until);
        let reader = Reader::new(Arc::clone(raw));
        let selection = reader.select(wanted, &[everything], &Guard::default())?;
        let mut read = selection.reader();
        let mut samples = Samples::default();
        let mut batch = Vec::new();
        let mut waiting = 0;
        for (series, labels) in selection.labels().iter().enumerate() {
            read.read(series, &mut samples)?;
            let floats = samples
                .timestamps
                .iter()
                .copied()
                .zip(samples.values.iter().copied());
            let resolution = self.options.resolution.millis();
            let stretches = roll_up(floats, resolution, after.0, until.0);
            for aspect in Aspect::OF_FLOATS {
                let told = series_of(labels, aspect, &stretches);
                waiting += told.samples.len();
                batch.push(told);
            }
            if samples
                .histograms
                .iter()
                .any(|(at, _)| *at > after && *at <= until)
            {
                batch.push(with_samples(labels, Aspect::Native, vec![(until.0, 1.0)]));
            }
            if waiting >= BATCH_SAMPLES {
                self.store.append(&Batch::of(&batch))?;
                batch.clear();
                waiting = 0;
            }
        }
        self.store.append(&Batch::of(&batch))?;
        Ok(())
    }
}

fn series_of(labels: &Labels, aspect: Aspect, stretches: &[Stretch]) -> SeriesSamples {
    let told = stretches.iter();
    let told = told.filter_map(|stretch| Some((stretch.end, stretch.aspect(aspect)?)));
    with_samples(labels, aspect, told.collect())
}

fn with_samples(labels: &Labels, aspect: Aspect, samples: Vec<(i64, f64)>) -> SeriesSamples {
    let own = [(Aspect::LABEL, aspect.as_str())];
    let sample = |(at, value)| Sample {
        timestamp: Timestamp(at),
        value,
    };
    SeriesSamples {
        labels: Labels::from_pairs(labels.iter().chain(own)),
        samples: samples.into_iter().map(sample).collect(),
        ..SeriesSamples::default()
    }
}
