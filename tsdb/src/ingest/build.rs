//! Building a [`Batch`]: every rule is checked in the one pass over what came in.
//!
//! The common series breaks no rule and has its labels in order, and pays for nothing else: its
//! pairs are written behind one another, checked for UTF-8 at once, and hashed. Whatever is not in
//! order, or looks as if it broke a rule, takes the slow way, which decides and finds the words.
//!
//! A series that is known has passed the rules for labels before, and is its number.

use model::labels::{Labels, METRIC_NAME, STRING_BYTES_MAX, write_pair};
use model::sample::{Exemplar, HistogramSample, Metadata, Sample, SeriesSamples};
use model::time::{TimeRange, Timestamp};
use storage::index::SeriesRef;

use super::batch::{Batch, SERIES_BYTES, Start};
use super::limits::IngestLimits;
use super::named::{Fingerprints, fingerprint_of_plain};
use super::refusal::{Refusal, Refused};
use super::validate::{check_histogram, check_instant, check_labels};
use crate::store::registry::{ActiveRegistries, Lookup};

/// Gathers a batch, and what is not taken into it.
pub(super) struct Builder<'a> {
    limits: &'a IngestLimits,
    /// The instants that are accepted.
    accepted: TimeRange,
    batch: Batch,
    refused: Refused,
    /// The labels of the series at hand, as they come.
    pairs: Vec<(&'a [u8], &'a [u8])>,
    /// The durable form of the same.
    text: Vec<u8>,
    fingerprints: Fingerprints,
    registries: &'a ActiveRegistries,
    lookup: Lookup<'a>,
    /// Labels that take no more bytes than this break no rule for labels, if they are a set.
    harmless_bytes_max: usize,
    /// What was gathered takes in memory, roughly.
    bytes: usize,
}

/// The fewest bytes that a label with a name and a value takes in a message.
const LABEL_BYTES_MIN: usize = 8;
/// After as many series those pass who wait to take in new ones.
const SERIES_AT_ONCE: usize = 256;

/// A series that is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    hash: u64,
    series: SeriesRef,
}

/// Why a write is given up as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    /// A text is not UTF-8.
    NotText,
    /// It takes this many bytes or more, which is more than is allowed.
    TooHeavy(usize),
}

impl<'a> Builder<'a> {
    /// A builder that fills `batch`, which is empty, and looks series up in `registries`.
    pub(super) fn new(
        batch: Batch,
        limits: &'a IngestLimits,
        accepted: TimeRange,
        registries: &'a ActiveRegistries,
    ) -> Self {
        Self {
            limits,
            accepted,
            batch,
            refused: Refused::default(),
            pairs: Vec::new(),
            text: Vec::new(),
            fingerprints: Fingerprints::default(),
            registries,
            lookup: registries.lookup(),
            harmless_bytes_max: (limits.label_name_bytes_max)
                .min(limits.label_value_bytes_max)
                .min(limits.labels_max.saturating_mul(LABEL_BYTES_MIN)),
            bytes: 0,
        }
    }

    /// What was taken, and what was not.
    pub(super) fn finish(mut self) -> (Batch, Refused) {
        self.batch.set_registries(self.registries.clone());
        (self.batch, self.refused)
    }

    /// The series with these labels, as they lie in a message, if it is known and its labels break no
    /// rule.
    ///
    /// They were checked when it became known, but maybe by an earlier process under other limits. Labels
    /// that all of them together are not too long, or too many, to be one are left alone.
    #[inline]
    pub(super) fn find(&mut self, labels: &[u8]) -> Option<Known> {
        if labels.is_empty() || labels.len() > self.harmless_bytes_max {
            return None;
        }
        let hash = fingerprint_of_plain(labels);
        let series = self.lookup.find(hash, labels)?;
        Some(Known { hash, series })
    }

    /// Notes that `bytes` more are about to be taken.
    #[inline]
    pub(super) fn weigh(&mut self, bytes: usize) -> Result<(), GiveUp> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.decoded_bytes_max {
            return Err(GiveUp::TooHeavy(self.bytes));
        }
        Ok(())
    }

    /// A label of the series at hand.
    #[inline]
    pub(super) fn label(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), GiveUp> {
        self.weigh(size_of::<(&[u8], &[u8])>() + name.len() + value.len())?;
        self.pairs.push((name, value));
        Ok(())
    }

    /// A float of the series at hand.
    #[inline]
    pub(super) fn float(&mut self, at: i64, value: f64) -> Result<(), GiveUp> {
        self.weigh(size_of::<Sample>())?;
        let timestamp = Timestamp(at);
        self.batch.floats.push(Sample { timestamp, value });
        Ok(())
    }

    /// A native histogram of the series at hand, weighed already.
    pub(super) fn histogram(&mut self, sample: HistogramSample) {
        self.batch.histograms.push(sample);
    }

    /// An exemplar of the series at hand, weighed already.
    pub(super) fn exemplar(&mut self, exemplar: Exemplar) {
        self.batch.exemplars.push(exemplar);
    }

    /// What is known of a family, weighed already.
    pub(super) fn metadata(&mut self, metadata: Metadata) {
        self.batch.metadata.push(metadata);
    }

    /// Ends the series at hand: it is taken whole or in part, or not at all, which is false.
    pub(super) fn end_series(&mut self) -> Result<bool, GiveUp> {
        self.weigh(SERIES_BYTES)?;
        self.let_pass();
        let ordered = self.pairs.is_sorted_by(|(a, _), (b, _)| a < b);
        let refusal = if ordered { None } else { self.put_in_order()? };
        let looks_good = self.write_labels()?;
        let Ok(labels) = std::str::from_utf8(&self.text) else {
            return Err(GiveUp::NotText);
        };
        self.pairs.clear();
        let refusal = match refusal {
            None if looks_good => None,
            None => {
                let labels = Labels::from_encoded(labels).unwrap_or_default();
                check_labels(&labels, self.limits).err()
            }
            refused => refused,
        };
        if let Some(refusal) = refusal {
            let (floats, histograms, _) = self.batch.ended();
            let samples = self.batch.samples() - floats - histograms;
            self.refused.add(samples, || refusal);
            self.batch.drop_series();
            return Ok(false);
        }
        let hash = self.fingerprints.of(labels);
        check_samples(
            &mut self.batch,
            || Labels::from_encoded(labels).unwrap_or_default(),
            self.accepted,
            self.limits,
            &mut self.refused,
        );
        self.batch.end_series(labels, hash);
        Ok(true)
    }

    /// Says when the counters behind samples of the series that was just taken started.
    pub(super) fn start_series(&mut self, starts: &[Start]) {
        self.batch.start_series(starts);
    }

    /// Whether the series at hand has a sample.
    pub(super) fn has_samples(&self) -> bool {
        let (floats, histograms, _) = self.batch.ended();
        self.batch.samples() > floats + histograms
    }

    /// The instants of the samples of the series at hand.
    pub(super) fn instants(&self) -> impl Iterator<Item = i64> {
        let (floats, histograms, _) = self.batch.ended();
        let floats = self.batch.floats.iter().skip(floats);
        let histograms = self.batch.histograms.iter().skip(histograms);
        let floats = floats.map(|sample| sample.timestamp.0);
        floats.chain(histograms.map(|sample| sample.timestamp.0))
    }

    /// Takes nothing of the series at hand.
    pub(super) fn refuse_series(&mut self, reason: impl FnOnce(Labels) -> Refusal) {
        let (floats, histograms, _) = self.batch.ended();
        let samples = self.batch.samples() - floats - histograms;
        let texts = self.pairs.iter().filter_map(|(name, value)| {
            let text = |bytes| std::str::from_utf8(bytes).ok();
            text(*name).zip(text(*value))
        });
        let labels = Labels::from_pairs(texts);
        self.refused.add(samples, || reason(labels));
        self.pairs.clear();
        self.batch.drop_series();
    }

    /// Notes that something was not taken.
    pub(super) fn refuse(&mut self, samples: usize, reason: impl FnOnce() -> Refusal) {
        self.refused.add(samples, reason);
    }

    /// Ends the series at hand, which is known.
    #[inline]
    pub(super) fn end_known(&mut self, known: Known) -> Result<(), GiveUp> {
        self.weigh(SERIES_BYTES)?;
        self.let_pass();
        let Known { hash, series } = known;
        check_samples(
            &mut self.batch,
            || self.registries.labels(hash, series).unwrap_or_default(),
            self.accepted,
            self.limits,
            &mut self.refused,
        );
        self.batch.end_known(hash, series);
        Ok(())
    }

    /// Now and then lets those pass who wait to take in new series.
    #[inline]
    fn let_pass(&mut self) {
        if self.batch.len().is_multiple_of(SERIES_AT_ONCE) {
            self.lookup.let_pass();
        }
    }

    /// Forgets the series at hand, to be read once more.
    pub(super) fn drop_series(&mut self) {
        self.batch.drop_series();
    }

    /// A series whose labels are a set already. Returns whether it was taken, if only in part.
    pub(super) fn series(&mut self, series: &SeriesSamples) -> bool {
        if let Err(refusal) = check_labels(&series.labels, self.limits) {
            let samples = series.samples.len() + series.histograms.len();
            self.refused.add(samples, || refusal);
            return false;
        }
        self.batch.floats.extend(&series.samples);
        self.batch.histograms.extend_from_slice(&series.histograms);
        self.batch.exemplars.extend_from_slice(&series.exemplars);
        let labels = series.labels.as_encoded();
        check_samples(
            &mut self.batch,
            || series.labels.clone(),
            self.accepted,
            self.limits,
            &mut self.refused,
        );
        let hash = self.fingerprints.of(labels);
        self.batch.end_series(labels, hash);
        true
    }

    /// Writes the pairs at hand in their durable form, without those that have no value. Returns
    /// whether they look as if no rule were broken.
    fn write_labels(&mut self) -> Result<bool, GiveUp> {
        self.text.clear();
        let (mut count, mut has_name, mut fits) = (0, false, true);
        for (name, value) in &self.pairs {
            if value.is_empty() {
                std::str::from_utf8(name).map_err(|_| GiveUp::NotText)?;
                continue;
            }
            count += 1;
            has_name |= *name == METRIC_NAME.as_bytes();
            fits &= !name.is_empty()
                && name.len() <= self.limits.label_name_bytes_max.min(STRING_BYTES_MAX)
                && value.len() <= self.limits.label_value_bytes_max.min(STRING_BYTES_MAX);
            write_pair(
                &mut self.text,
                name.get(..STRING_BYTES_MAX).unwrap_or(name),
                value.get(..STRING_BYTES_MAX).unwrap_or(value),
            );
        }
        Ok(fits && has_name && count <= self.limits.labels_max)
    }

    /// Orders the pairs at hand by name. Where a name is there twice the series contradicts itself,
    /// which is looked for here because a label set could not show it.
    fn put_in_order(&mut self) -> Result<Option<Refusal>, GiveUp> {
        self.pairs.sort_by_key(|(name, _)| *name);
        let names = self.pairs.iter().map(|(name, _)| *name);
        let twice = names
            .clone()
            .zip(names.skip(1))
            .find(|(a, b)| a == b)
            .map(|(name, _)| name);
        let Some(name) = twice else {
            return Ok(None);
        };
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| GiveUp::NotText);
        let name = text(name)?.to_owned();
        let pairs: Result<Vec<_>, GiveUp> = self
            .pairs
            .iter()
            .map(|(name, value)| Ok((text(name)?, text(value)?)))
            .collect();
        let labels = Labels::from_pairs(pairs?);
        self.pairs.dedup_by_key(|(name, _)| *name);
        Ok(Some(Refusal::DuplicateLabel { labels, name }))
    }
}

/// Takes the samples that may not be stored out of what was gathered since the last series.
#[inline]
fn check_samples(
    batch: &mut Batch,
    labels: impl FnOnce() -> Labels,
    accepted: TimeRange,
    limits: &IngestLimits,
    refused: &mut Refused,
) {
    let (floats, histograms, _) = batch.ended();
    let new = batch.floats.get(floats..).unwrap_or_default();
    let all_accepted = new.iter().all(|sample| accepted.contains(sample.timestamp));
    if all_accepted && batch.histograms.len() == histograms {
        return;
    }
    refuse_samples(batch, &labels(), accepted, limits, refused);
}

fn refuse_samples(
    batch: &mut Batch,
    labels: &Labels,
    accepted: TimeRange,
    limits: &IngestLimits,
    refused: &mut Refused,
) {
    let (floats, histograms, _) = batch.ended();
    retain_from(&mut batch.floats, floats, |sample| {
        let checked = check_instant(labels, sample.timestamp, accepted);
        checked
            .map_err(|refusal| refused.add(1, || refusal))
            .is_ok()
    });
    retain_from(&mut batch.histograms, histograms, |sample| {
        let at = sample.timestamp;
        let checked = check_instant(labels, at, accepted).and_then(|()| {
            check_histogram(&sample.histogram, limits).map_err(|reason| {
                let labels = labels.clone();
                Refusal::InvalidHistogram { labels, at, reason }
            })
        });
        checked
            .map_err(|refusal| refused.add(1, || refusal))
            .is_ok()
    });
}

/// Keeps of the items from `start` on those that pass.
fn retain_from<T>(items: &mut Vec<T>, start: usize, keep: impl FnMut(&T) -> bool) {
    let tail = items.split_off(start);
    items.extend(tail.into_iter().filter(keep));
}
