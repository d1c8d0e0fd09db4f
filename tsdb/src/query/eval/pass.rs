//! A pass: every series of a selection or of a subquery, one at a time, on every core.
//!
//! Series are handed out in chunks of neighbours, since neighbours share pages of a part. Each
//! worker has a reader, a buffer and annotations of its own, so that memory is bounded by one
//! series per worker and nothing is locked. Results, annotations and the first error are put
//! together in the order of the series: an answer does not tell how many workers made it.
//!
//! Workers are threads of one pass, within a scope. A pass takes milliseconds and a thread
//! microseconds, and the scope lets them borrow the selection; a pool that outlives the query
//! would need neither its own queue nor its own limits, for how many queries run at once is bounded
//! where they come in.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use model::histogram::{CounterResetHint, Histogram};
use model::labels::Labels;
use model::time::Timestamp;
use parking_lot::Mutex;

use super::column::SERIES_BYTES;
use super::{Column, EvalError, Evaluator, Grid, Result, Series, finish};
use crate::query::annotations::Annotations;
use crate::query::functions::sliding::Scratch;
use crate::query::giving_up::let_go;
use crate::query::source::{Bounds, Guard, ReadSeries, Samples, Selection};

/// Series that a worker takes at once.
const CHUNK_SERIES: usize = 64;

/// What a pass goes through.
pub(super) enum Origin {
    /// Series of the source.
    Selection {
        selection: Arc<dyn Selection>,
        /// Whether only counts and sums of histograms are read.
        statistics: bool,
    },
    /// Series that a subquery evaluated over a grid.
    Subquery { series: Vec<Series>, grid: Grid },
}

impl Origin {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Selection { selection, .. } => selection.labels().len(),
            Self::Subquery { series, .. } => series.len(),
        }
    }

    /// The labels of a series, and whether its name no longer fits.
    pub(super) fn labels(&self, series: usize) -> (Labels, bool) {
        let found = match self {
            Self::Selection { selection, .. } => {
                let labels = selection.labels().get(series);
                labels.map(|labels| (labels.clone(), false))
            }
            Self::Subquery { series: all, .. } => {
                let series = all.get(series);
                series.map(|series| (series.labels.clone(), series.drops_name))
            }
        };
        found.unwrap_or_else(|| (Labels::empty(), false))
    }

    /// Whether all series have the same name, type and unit.
    pub(super) fn has_one_name(&self, guard: &Guard) -> Result<bool> {
        match self {
            Self::Selection { selection, .. } => {
                finish::have_one_name(selection.labels().iter(), guard)
            }
            Self::Subquery { series, .. } => {
                finish::have_one_name(series.iter().map(|one| &one.labels), guard)
            }
        }
    }

    /// Drops it; the selection is kept to the end of the query.
    pub(super) fn let_go(self, guard: &Guard) -> Result<()> {
        match self {
            Self::Selection { .. } => Ok(()),
            Self::Subquery { series, .. } => Ok(let_go(series, guard)?),
        }
    }

    fn reader(&self) -> OriginReader<'_> {
        match self {
            Self::Selection {
                selection,
                statistics,
            } => OriginReader::Selection {
                reader: selection.reader(),
                statistics: *statistics,
            },
            Self::Subquery { series, grid } => OriginReader::Subquery(series, *grid),
        }
    }
}

enum OriginReader<'o> {
    Selection {
        reader: Box<dyn ReadSeries + 'o>,
        statistics: bool,
    },
    Subquery(&'o [Series], Grid),
}

/// What the workers of a pass share.
struct Shared<'e> {
    guard: &'e Guard,
    /// Samples that were held before the pass, and those of its results so far.
    held: AtomicUsize,
    /// Samples that were read.
    read: AtomicUsize,
}

/// One of those who make a pass.
pub(super) struct Worker<'p> {
    shared: &'p Shared<'p>,
    reader: OriginReader<'p>,
    /// The samples of the series that was read last.
    pub samples: Samples,
    /// What there is to say of the chunk.
    pub annotations: Annotations,
    /// What functions keep from series to series.
    pub scratch: Scratch,
    /// Memory that `samples` has taken.
    buffer_bytes: usize,
    /// Memory taken for the series at hand.
    series_bytes: Cell<usize>,
}

impl Worker<'_> {
    /// Whether the query may go on.
    pub(super) fn check(&self) -> Result<()> {
        Ok(self.shared.guard.check()?)
    }

    /// Reads a series, staleness markers included.
    pub(super) fn read(&mut self, series: usize) -> Result<()> {
        self.shared.guard.check()?;
        match &mut self.reader {
            OriginReader::Selection { reader, statistics } => {
                reader.read(series, &mut self.samples)?;
                if *statistics {
                    tell_resets(&mut self.samples);
                }
            }
            OriginReader::Subquery(all, grid) => {
                read_subquery(all.get(series), *grid, &mut self.samples);
                return self.count_buffer();
            }
        }
        self.count_buffer()?;
        let size = self.samples.budget_size();
        let read = self.shared.read.fetch_add(size, Ordering::Relaxed);
        let limit = self.shared.guard.samples_max;
        if read.saturating_add(size) > limit {
            return Err(EvalError::TooManySamples { limit });
        }
        Ok(())
    }

    /// Takes memory for the largest series so far; the buffer does not shrink.
    fn count_buffer(&mut self) -> Result<()> {
        let bytes = self.samples.budget_size() * size_of::<(i64, f64)>();
        let more = bytes.saturating_sub(self.buffer_bytes);
        self.shared.guard.memory.take(more)?;
        self.buffer_bytes = self.buffer_bytes.max(bytes);
        Ok(())
    }

    /// Takes memory for what is made of the series at hand; nothing is held where that is nothing.
    pub(super) fn room(&self, bytes: usize) -> Result<()> {
        self.shared.guard.memory.take(bytes)?;
        let taken = self.series_bytes.get();
        self.series_bytes.set(taken.saturating_add(bytes));
        Ok(())
    }

    /// A column without values, for the series at hand.
    pub(super) fn column(&self, len: usize) -> Result<Column> {
        self.room(
            len.saturating_mul(size_of::<f64>())
                .saturating_add(SERIES_BYTES),
        )?;
        Ok(Column::absent(len))
    }

    /// The series at hand is done, and whether anything was made of it.
    fn settle<T>(&self, made: Result<Option<T>>) -> Result<Option<T>> {
        let bytes = self.series_bytes.take();
        if !matches!(made, Ok(Some(_))) {
            self.shared.guard.memory.give(bytes);
        }
        made
    }

    /// Reads a series without staleness markers.
    pub(super) fn read_present(&mut self, series: usize) -> Result<()> {
        self.read(series)?;
        self.samples.drop_stale();
        Ok(())
    }

    /// Bounds of a series, where they can be told without reading it.
    pub(super) fn bounds(&mut self, series: usize) -> Result<Option<Bounds>> {
        match &mut self.reader {
            OriginReader::Selection { reader, .. } => Ok(reader.bounds(series)?),
            OriginReader::Subquery(..) => Ok(None),
        }
    }

    /// Counts samples of a result.
    pub(super) fn hold(&self, samples: usize) -> Result<()> {
        let held = self.shared.held.fetch_add(samples, Ordering::Relaxed);
        self.within_limit(held.saturating_add(samples))
    }

    /// Refuses to go on with so many samples more than are held.
    pub(super) fn allow(&self, more: usize) -> Result<()> {
        self.within_limit(
            self.shared
                .held
                .load(Ordering::Relaxed)
                .saturating_add(more),
        )
    }

    fn within_limit(&self, samples: usize) -> Result<()> {
        let limit = self.shared.guard.samples_max;
        if samples > limit {
            return Err(EvalError::TooManySamples { limit });
        }
        Ok(())
    }
}

/// What became of a chunk of series.
type Chunk<T> = (Result<Vec<T>>, Annotations);

impl Evaluator<'_> {
    /// What `run` makes of each series, in the order of the series; nothing where it makes nothing.
    pub(super) fn each_series<T: Send>(
        &mut self,
        origin: &Origin,
        run: impl Fn(&mut Worker<'_>, usize) -> Result<Option<T>> + Sync,
    ) -> Result<Vec<T>> {
        let all: Vec<usize> = (0..origin.len()).collect();
        self.each_of(origin, &all, run)
    }

    /// [`Evaluator::each_series`] of some of the series.
    pub(super) fn each_of<T: Send>(
        &mut self,
        origin: &Origin,
        series: &[usize],
        run: impl Fn(&mut Worker<'_>, usize) -> Result<Option<T>> + Sync,
    ) -> Result<Vec<T>> {
        let shared = Shared {
            guard: self.guard,
            held: AtomicUsize::new(self.held),
            read: AtomicUsize::new(0),
        };
        let chunks: Vec<&[usize]> = series.chunks(CHUNK_SERIES).collect();
        let done: Vec<Mutex<Option<Chunk<T>>>> = chunks.iter().map(|_| Mutex::default()).collect();
        let next = AtomicUsize::new(0);
        let failed = AtomicUsize::new(usize::MAX);
        let work = || {
            let mut worker = Worker {
                shared: &shared,
                reader: origin.reader(),
                samples: Samples::default(),
                annotations: Annotations::default(),
                scratch: Scratch::default(),
                buffer_bytes: 0,
                series_bytes: Cell::new(0),
            };
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let (Some(chunk), Some(place)) = (chunks.get(at), done.get(at)) else {
                    return;
                };
                // What comes before a failure is finished, for it may hold the first one.
                if at > failed.load(Ordering::Relaxed) {
                    return;
                }
                let results = chunk.iter().map(|series| {
                    let made = run(&mut worker, *series);
                    worker.settle(made)
                });
                let results: Result<Vec<Option<T>>> = results.collect();
                if results.is_err() {
                    failed.fetch_min(at, Ordering::Relaxed);
                }
                let results = results.map(|results| results.into_iter().flatten().collect());
                *place.lock() = Some((results, std::mem::take(&mut worker.annotations)));
            }
        };
        let workers = self.options.workers.min(chunks.len());
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(work);
            }
            work();
        });
        self.read_total = self.read_total.saturating_add(shared.read.into_inner());
        let is_whole = failed.into_inner() == usize::MAX;
        let mut all = Vec::with_capacity(if is_whole { series.len() } else { 0 });
        for (at, place) in done.into_iter().enumerate() {
            let Some((results, annotations)) = place.into_inner() else {
                continue;
            };
            self.annotations.absorb(annotations);
            let results = results?;
            if is_whole {
                self.guard.check_wide(at, CHUNK_SERIES)?;
                all.extend(results);
            }
        }
        self.held = shared.held.into_inner();
        self.hold(0)?;
        Ok(all)
    }
}

/// The values of a series that a subquery evaluated.
fn read_subquery(series: Option<&Series>, grid: Grid, samples: &mut Samples) {
    samples.clear();
    let Some(series) = series else {
        return;
    };
    let timestamps = samples.timestamps.refill();
    let values = samples.values.refill();
    for (index, value) in series.column.floats() {
        timestamps.push(grid.at(index));
        values.push(value);
    }
    for (index, histogram) in series.column.histograms() {
        let mut histogram = Arc::clone(histogram);
        // A subquery may skip the sample that was reset, or show it twice.
        if matches!(
            histogram.counter_reset_hint,
            CounterResetHint::Reset | CounterResetHint::NotReset
        ) {
            Arc::make_mut(&mut histogram).counter_reset_hint = CounterResetHint::Unknown;
        }
        let at = Timestamp(grid.at(index));
        samples.histograms.push((at, histogram));
    }
}

/// Where only counts and sums are read, resets are told sample by sample before buckets are gone.
fn tell_resets(samples: &mut Samples) {
    let mut previous: Option<Arc<Histogram>> = None;
    for (_, histogram) in &mut samples.histograms {
        if histogram.is_stale() {
            continue;
        }
        let original = Arc::clone(histogram);
        if let Some(previous) = &previous
            && histogram.counter_reset_hint == CounterResetHint::Unknown
        {
            let reset = histogram.is_reset_after(previous);
            Arc::make_mut(histogram).counter_reset_hint = if reset {
                CounterResetHint::Reset
            } else {
                CounterResetHint::NotReset
            };
        }
        previous = Some(original);
    }
}
