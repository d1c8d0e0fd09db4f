//! A write on its way into the store: series as they are stored, samples side by side.
//!
//! A request repeats the labels of every series in full, so what a write costs is mostly what its
//! labels cost. A series that the store was found to know is its number, and has no labels here. Those of
//! the others are kept in their durable form (see [`model::labels`]), one set behind another in one
//! text, each with its fingerprint: nothing is allocated for a series.
//!
//! A batch holds what may be stored. What may not is left out where the batch is built
//! ([`super::build`]), but for one thing that only the store knows: whether a series is new. So a batch
//! may carry a [`Census`], which the store asks before it takes a new series in.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::Labels;
use model::sample::{Exemplar, HistogramSample, Metadata, Sample, SeriesSamples};
use parking_lot::Mutex;
use storage::index::SeriesRef;

use super::census::{Census, TurnedAway};
use super::named::Fingerprints;
use super::refusal::Refused;
use crate::store::registry::ActiveRegistries;

/// A write.
#[derive(Debug, Default)]
pub struct Batch {
    text: String,
    series: Vec<Entry>,
    pub(super) floats: Vec<Sample>,
    pub(super) histograms: Vec<HistogramSample>,
    pub(super) exemplars: Vec<Exemplar>,
    pub(super) metadata: Vec<Metadata>,
    /// In the order of series.
    starts: Vec<(usize, Start)>,
    census: Option<Arc<Census>>,
    /// Where the known series are known.
    registries: ActiveRegistries,
    /// By shard: one that had to wait is asked again.
    refused: Mutex<BTreeMap<u32, (Refused, TurnedAway)>>,
}

/// A series; where what it has ends.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u64,
    known: Option<SeriesRef>,
    text_end: usize,
    floats_end: usize,
    histograms_end: usize,
    exemplars_end: usize,
}

/// What an entry takes in memory.
pub(super) const SERIES_BYTES: usize = size_of::<Entry>();

/// When the counter behind a sample started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The sample's instant, in milliseconds.
    pub at: i64,
    /// The instant it started, in milliseconds.
    pub start: i64,
}

/// A series of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchSeries<'a> {
    /// Which series it is.
    pub identity: Identity<'a>,
    /// The fingerprint of its labels.
    pub hash: u64,
    /// Its floats, in any order.
    pub floats: &'a [Sample],
    /// Its native histograms, in any order.
    pub histograms: &'a [HistogramSample],
    /// Its exemplars.
    pub exemplars: &'a [Exemplar],
    /// When the counters behind its samples started, where that is known.
    pub starts: &'a [(usize, Start)],
}

/// Which series a series of a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity<'a> {
    /// The one with these labels, in their durable form.
    Labels(&'a str),
    /// The one that has this number in that registry of the batch's which is its shard's.
    Known(SeriesRef),
}

impl BatchSeries<'_> {
    /// Whether there is nothing to store of it.
    pub const fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty() && self.exemplars.is_empty()
    }

    /// Samples of the series in the batch.
    pub const fn samples(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }
}

impl Batch {
    /// The batch of these series, none of which is checked.
    pub fn of(series: &[SeriesSamples]) -> Self {
        let mut batch = Self::default();
        let mut fingerprints = Fingerprints::default();
        for series in series {
            batch.floats.extend(&series.samples);
            batch.histograms.extend_from_slice(&series.histograms);
            batch.exemplars.extend_from_slice(&series.exemplars);
            let labels = series.labels.as_encoded();
            batch.end_series(labels, fingerprints.of(labels));
        }
        batch
    }

    /// Empties the batch; it keeps its room.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.series.clear();
        self.floats.clear();
        self.histograms.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.starts.clear();
        self.census = None;
        self.registries = ActiveRegistries::default();
        self.refused.get_mut().clear();
    }

    /// What an empty batch takes in memory.
    pub(super) const fn bytes_kept(&self) -> usize {
        self.text.capacity()
            + self.series.capacity() * SERIES_BYTES
            + self.floats.capacity() * size_of::<Sample>()
            + self.histograms.capacity() * size_of::<HistogramSample>()
            + self.exemplars.capacity() * size_of::<Exemplar>()
            + self.metadata.capacity() * size_of::<Metadata>()
            + self.starts.capacity() * size_of::<(usize, Start)>()
    }

    /// Says in which registries the known series are known.
    pub(super) fn set_registries(&mut self, registries: ActiveRegistries) {
        self.registries = registries;
    }

    /// Where the known series are known.
    pub(crate) const fn registries(&self) -> &ActiveRegistries {
        &self.registries
    }

    /// Has the store ask `census` before it takes in a series that is new.
    pub(crate) fn counted_by(&mut self, census: Arc<Census>) {
        self.census = Some(census);
    }

    /// Whom to ask before a new series is taken in.
    pub(crate) const fn census(&self) -> Option<&Arc<Census>> {
        self.census.as_ref()
    }

    /// Notes what a shard of the store did not take in.
    pub(crate) fn refuse(&self, shard: u32, refused: Refused, turned_away: TurnedAway) {
        self.refused.lock().insert(shard, (refused, turned_away));
    }

    /// What the store did not take in.
    pub(crate) fn take_refused(&self) -> (Refused, TurnedAway) {
        let (mut all, mut turned_away) = (Refused::default(), TurnedAway::default());
        for (refused, of_shard) in std::mem::take(&mut *self.refused.lock()).into_values() {
            all.extend(refused);
            turned_away.total += of_shard.total;
            turned_away.per_target += of_shard.per_target;
        }
        (all, turned_away)
    }

    /// What was gathered since the last series is of a series with these labels.
    pub(super) fn end_series(&mut self, labels: &str, hash: u64) {
        self.text.push_str(labels);
        self.end(hash, None);
    }

    /// What was gathered since the last series is of the series with this number.
    pub(super) fn end_known(&mut self, hash: u64, series: SeriesRef) {
        self.end(hash, Some(series));
    }

    fn end(&mut self, hash: u64, known: Option<SeriesRef>) {
        self.series.push(Entry {
            hash,
            known,
            text_end: self.text.len(),
            floats_end: self.floats.len(),
            histograms_end: self.histograms.len(),
            exemplars_end: self.exemplars.len(),
        });
    }

    /// Says when the counters behind samples of the last series started.
    pub(super) fn start_series(&mut self, starts: &[Start]) {
        if let Some(last) = self.series.len().checked_sub(1) {
            let starts = starts.iter().map(|start| (last, *start));
            self.starts.extend(starts);
        }
    }

    /// Floats, histograms and exemplars of the series that are ended.
    pub(super) fn ended(&self) -> (usize, usize, usize) {
        let last = self.series.last().copied().unwrap_or_default();
        (last.floats_end, last.histograms_end, last.exemplars_end)
    }

    /// Forgets what was gathered since the last series.
    pub(super) fn drop_series(&mut self) {
        let (floats, histograms, exemplars) = self.ended();
        self.floats.truncate(floats);
        self.histograms.truncate(histograms);
        self.exemplars.truncate(exemplars);
    }

    /// How many series there are.
    pub const fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there is no series.
    pub const fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Samples of all series.
    pub const fn samples(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }

    /// Native histograms and exemplars of all series.
    pub(crate) const fn histograms_and_exemplars(&self) -> (usize, usize) {
        (self.histograms.len(), self.exemplars.len())
    }

    /// Takes what is known of metric families out.
    pub(crate) fn take_metadata(&mut self) -> Vec<Metadata> {
        std::mem::take(&mut self.metadata)
    }

    /// Says what is known of metric families.
    pub(crate) fn describe(&mut self, metadata: Vec<Metadata>) {
        self.metadata = metadata;
    }

    /// What is known of metric families.
    pub fn metadata(&self) -> &[Metadata] {
        &self.metadata
    }

    /// The series, in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = BatchSeries<'_>> {
        let mut before = Entry::default();
        let mut starts = self.starts.as_slice();
        self.series.iter().enumerate().map(move |(number, entry)| {
            let own = starts.iter().take_while(|(series, _)| *series == number);
            let own = own.count();
            let (own, rest) = starts.split_at_checked(own).unwrap_or_default();
            starts = rest;
            let start = std::mem::replace(&mut before, *entry);
            BatchSeries {
                identity: match entry.known {
                    Some(series) => Identity::Known(series),
                    None => Identity::Labels(slice(self.text.get(start.text_end..entry.text_end))),
                },
                hash: entry.hash,
                floats: slice(self.floats.get(start.floats_end..entry.floats_end)),
                histograms: slice(
                    self.histograms
                        .get(start.histograms_end..entry.histograms_end),
                ),
                exemplars: slice(self.exemplars.get(start.exemplars_end..entry.exemplars_end)),
                starts: own,
            }
        })
    }

    /// The labels of a series of the batch.
    pub(crate) fn labels_of(&self, series: &BatchSeries<'_>) -> Option<Labels> {
        match series.identity {
            Identity::Labels(labels) => Labels::from_encoded(labels),
            Identity::Known(known) => self.registries.labels(series.hash, known),
        }
    }

    /// The series with everything they own, for tests and messages.
    pub fn to_series(&self) -> Vec<SeriesSamples> {
        self.iter()
            .map(|series| SeriesSamples {
                labels: self.labels_of(&series).unwrap_or_default(),
                samples: series.floats.to_vec(),
                histograms: series.histograms.to_vec(),
                exemplars: series.exemplars.to_vec(),
            })
            .collect()
    }
}

/// Entries end where the columns did when they were made, so there is a slice.
fn slice<T: Default>(slice: Option<T>) -> T {
    debug_assert!(slice.is_some(), "an entry ends within its columns");
    slice.unwrap_or_default()
}
