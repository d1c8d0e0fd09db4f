//! Which queries are answered from roll-ups.
//!
//! A range query says what it does with a selection: its [`Purpose`]. It is answered from a roll-up
//! where the answer is of the same kind as from the samples themselves:
//!
//! - its instants and windows are whole stretches of the roll-up: step, start, window and lookback are
//!   multiples of the resolution;
//! - the function is one that a stretch can stand in for its samples in: least, greatest, first, last,
//!   presence (exactly the same answer), sums and increases (the same up to rounding, and up to where in
//!   its stretch a sample lay);
//! - no series selected has native histograms.
//!
//! What is not rolled up yet, or has changed since, is read as it is: a series is stretches first and then
//! samples. A counter stands at both ends of each stretch, so that a window of one stretch has its
//! increase; and it goes on without a step where stretches and samples meet, for it is put together
//! backwards from the last value.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::labels::Labels;
use model::matcher::Matcher;
use model::time::TimeRange;

use super::Rollup;
use super::aspect::Aspect;
use crate::query::{Guard, Purpose, ReadSeries, Samples, SelectError, Selection, Source};
use crate::store::read::Reader;

/// The samples of a store, or what its roll-ups tell of them.
#[derive(Clone)]
pub struct RolledSource {
    raw: Reader,
    /// The coarsest first.
    rollups: Arc<[Rollup]>,
}

impl RolledSource {
    /// A source over a store and its roll-ups, the coarsest first.
    pub const fn new(raw: Reader, rollups: Arc<[Rollup]>) -> Self {
        Self { raw, rollups }
    }
}

impl Source for RolledSource {
    fn heeds_purpose(&self) -> bool {
        !self.rollups.is_empty()
    }

    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        self.raw.select(range, matchers, guard)
    }

    fn select_for(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        purpose: &Purpose,
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        for rollup in &*self.rollups {
            let Some(aspect) = aspect_for(purpose, rollup.options.resolution.millis()) else {
                continue;
            };
            let until = rollup.covered(self.raw.store(), range.start).min(range.end);
            if until < range.start {
                continue;
            }
            let rolled = TimeRange::new(range.start, until);
            let told = Reader::new(Arc::clone(&rollup.store));
            let of = |aspect: Aspect| {
                let mut matchers = matchers.to_vec();
                matchers.push(Matcher::equal(Aspect::LABEL, aspect.as_str()));
                told.select(rolled, &matchers, guard)
            };
            // The marker of a partition stands at its end, which may lie behind the range.
            let mut native = matchers.to_vec();
            native.push(Matcher::equal(Aspect::LABEL, Aspect::Native.as_str()));
            let width = self.raw.store().options().partition_ms;
            let marked = TimeRange::new(range.start, until.saturating_add(width));
            if !told.select(marked, &native, guard)?.labels().is_empty() {
                continue;
            }
            let also = match (aspect, purpose.function) {
                (Aspect::Increase, _) => Also::Lasts(of(Aspect::Last)?),
                (_, None) => Also::Ends(of(Aspect::End)?),
                _ => Also::Nothing,
            };
            let form = Form {
                resolution: rollup.options.resolution.millis(),
                also,
            };
            let rest = TimeRange::new(until.saturating_add(1), range.end);
            let raw = if rest.start <= rest.end {
                Some(self.raw.select(rest, matchers, guard)?)
            } else {
                None
            };
            return Ok(Arc::new(Rolled::new(of(aspect)?, form, raw, guard)?));
        }
        self.raw.select(range, matchers, guard)
    }
}

/// Which aspect serves the purpose, if one does.
fn aspect_for(purpose: &Purpose, resolution: i64) -> Option<Aspect> {
    let whole = |millis: i64| millis > 0 && millis % resolution == 0;
    if purpose.instants < 2 || !whole(purpose.step) || purpose.first % resolution != 0 {
        return None;
    }
    let Some(function) = purpose.function else {
        return whole(purpose.lookback).then_some(Aspect::Last);
    };
    if !whole(purpose.window) {
        return None;
    }
    match function {
        "max_over_time" => Some(Aspect::Max),
        "min_over_time" => Some(Aspect::Min),
        "sum_over_time" => Some(Aspect::Sum),
        "first_over_time" => Some(Aspect::First),
        "last_over_time" | "present_over_time" => Some(Aspect::Last),
        "increase" | "rate" => Some(Aspect::Increase),
        _ => None,
    }
}

/// What is read beside the stretches.
enum Also {
    Nothing,
    /// The last values: the stretches are increases.
    Lasts(Arc<dyn Selection>),
    /// Staleness markers.
    Ends(Arc<dyn Selection>),
}

impl Also {
    const fn selection(&self) -> Option<&Arc<dyn Selection>> {
        match self {
            Self::Nothing => None,
            Self::Lasts(selection) | Self::Ends(selection) => Some(selection),
        }
    }
}

/// How stretches become samples.
struct Form {
    resolution: i64,
    also: Also,
}

/// Stretches, and the samples that follow them.
struct Rolled {
    labels: Vec<Labels>,
    /// For each series its place in the stretches, in what is read beside them and in the samples.
    places: Vec<[Option<usize>; 3]>,
    stretches: Arc<dyn Selection>,
    form: Form,
    samples: Option<Arc<dyn Selection>>,
}

impl Rolled {
    fn new(
        stretches: Arc<dyn Selection>,
        form: Form,
        samples: Option<Arc<dyn Selection>>,
        guard: &Guard,
    ) -> Result<Self, SelectError> {
        let mut all: BTreeMap<Labels, [Option<usize>; 3]> = BTreeMap::new();
        let selections = [Some(&stretches), form.also.selection(), samples.as_ref()];
        for (column, selection) in selections.into_iter().enumerate() {
            let labels = selection
                .map(|selection| selection.labels())
                .unwrap_or_default();
            for (place, labels) in labels.iter().enumerate() {
                guard.check_at(place)?;
                let series = all.entry(without_aspect(labels)).or_default();
                if let Some(cell) = series.get_mut(column) {
                    *cell = Some(place);
                }
            }
        }
        let (mut labels, mut places) = (Vec::new(), Vec::new());
        for (at, (series, of_series)) in all.into_iter().enumerate() {
            guard.check_at(at)?;
            labels.push(series);
            places.push(of_series);
        }
        Ok(Self {
            labels,
            places,
            stretches,
            form,
            samples,
        })
    }
}

fn without_aspect(labels: &Labels) -> Labels {
    Labels::from_pairs(labels.iter().filter(|(name, _)| *name != Aspect::LABEL))
}

impl Selection for Rolled {
    fn labels(&self) -> &[Labels] {
        &self.labels
    }

    fn reader(&self) -> Box<dyn ReadSeries + '_> {
        Box::new(RolledReader {
            rolled: self,
            stretches: self.stretches.reader(),
            also: self.form.also.selection().map(|also| also.reader()),
            samples: self.samples.as_ref().map(|samples| samples.reader()),
            buffer: Samples::default(),
        })
    }
}

struct RolledReader<'r> {
    rolled: &'r Rolled,
    stretches: Box<dyn ReadSeries + 'r>,
    also: Option<Box<dyn ReadSeries + 'r>>,
    samples: Option<Box<dyn ReadSeries + 'r>>,
    buffer: Samples,
}

impl RolledReader<'_> {
    /// Reads into the buffer what stands beside the stretches of a series.
    fn read_also(&mut self, place: Option<usize>) -> Result<(), SelectError> {
        self.buffer.clear();
        match (place, &mut self.also) {
            (Some(place), Some(also)) => also.read(place, &mut self.buffer),
            _ => Ok(()),
        }
    }

    /// A counter of increases: at both ends of each stretch, and at the last with the last value.
    fn counter(&self, ends: &[i64], increases: &[f64], counter: &mut Vec<(i64, f64)>) {
        let mut value = self.buffer.values.last().copied().unwrap_or_default();
        for (end, increase) in ends.iter().zip(increases).rev() {
            counter.push((*end, value));
            value -= increase;
            // A window is open at its start.
            counter.push((end - self.rolled.form.resolution + 1, value));
        }
        counter.reverse();
    }

    /// Writes the staleness markers of the buffer over what is there.
    fn end(&self, samples: &mut Vec<(i64, f64)>) {
        let markers = self.buffer.timestamps.iter().zip(&*self.buffer.values);
        samples.extend(markers.map(|(at, marker)| (*at, *marker)));
        // Stable: a marker stays behind the sample of the same stretch, and is the one that is kept.
        samples.sort_by_key(|(at, _)| *at);
        samples.reverse();
        samples.dedup_by_key(|(at, _)| *at);
        samples.reverse();
    }

    fn stretches(
        &mut self,
        place: Option<usize>,
        also: Option<usize>,
    ) -> Result<Vec<(i64, f64)>, SelectError> {
        let (mut ends, mut values) = (Vec::new(), Vec::new());
        if let Some(place) = place {
            self.stretches.read(place, &mut self.buffer)?;
            ends.extend_from_slice(&self.buffer.timestamps);
            values.extend_from_slice(&self.buffer.values);
        }
        self.read_also(also)?;
        let mut samples = Vec::new();
        if matches!(self.rolled.form.also, Also::Lasts(_)) {
            self.counter(&ends, &values, &mut samples);
        } else {
            samples.extend(ends.into_iter().zip(values));
            self.end(&mut samples);
        }
        Ok(samples)
    }
}

impl ReadSeries for RolledReader<'_> {
    fn read(&mut self, series: usize, samples: &mut Samples) -> Result<(), SelectError> {
        samples.clear();
        let Some([stretch, also, sample]) = self.rolled.places.get(series).copied() else {
            return Ok(());
        };
        let stretches = self.stretches(stretch, also)?;
        let (mut timestamps, mut values): (Vec<i64>, Vec<f64>) = stretches.into_iter().unzip();
        if let (Some(sample), Some(reader)) = (sample, &mut self.samples) {
            reader.read(sample, samples)?;
            timestamps.extend_from_slice(&samples.timestamps);
            values.extend_from_slice(&samples.values);
        }
        // A stretch has no start timestamp, so nothing has one.
        samples.start_timestamps.clear();
        samples.timestamps = timestamps.into();
        samples.values = values.into();
        Ok(())
    }
}
