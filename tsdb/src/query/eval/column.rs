//! Values over a grid of instants.
//!
//! A column holds a float for every instant of the grid. Where a series has no value the float is
//! the staleness marker, which no computation yields and every selection filters out; so "absent"
//! costs no second array, and operators run along plain floats. Histograms lie beside the floats
//! in an array that is empty for the columns that have none.

use std::sync::Arc;

use model::histogram::Histogram;
use model::labels::Labels;
use model::sample::{is_stale_nan, stale_nan};

use crate::query::functions::window::Sample;
use crate::query::giving_up::{let_go, sum};
use crate::query::source::{Guard, Interrupted, touch};

/// Evenly spaced instants, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::query) struct Grid {
    pub start: i64,
    pub step: i64,
    pub len: usize,
}

impl Grid {
    /// The instants from `start` to `end`.
    pub(crate) fn new(start: i64, end: i64, step: i64) -> Self {
        let len = if end < start {
            0
        } else {
            usize::try_from(end.saturating_sub(start) / step.max(1)).unwrap_or(usize::MAX - 1) + 1
        };
        Self {
            start,
            step: step.max(1),
            len,
        }
    }

    /// The grid of its first instant alone.
    pub(crate) const fn first(self) -> Self {
        Self { len: 1, ..self }
    }

    pub(crate) const fn last(self) -> i64 {
        self.at(self.len.saturating_sub(1))
    }

    pub(crate) const fn at(self, index: usize) -> i64 {
        self.start
            .saturating_add(self.step.saturating_mul(index as i64))
    }

    pub(crate) fn instants(self) -> impl Iterator<Item = i64> {
        (0..self.len).map(move |index| self.at(index))
    }
}

/// Values of one series over a grid.
#[derive(Clone, Debug, Default)]
pub(in crate::query) struct Column {
    floats: Vec<f64>,
    histograms: Vec<Option<Arc<Histogram>>>,
}

impl Column {
    /// A column without values.
    pub(crate) fn absent(len: usize) -> Self {
        touch();
        Self {
            floats: vec![stale_nan(); len],
            histograms: Vec::new(),
        }
    }

    /// A column with a float everywhere.
    pub(crate) const fn of_floats(floats: Vec<f64>) -> Self {
        Self {
            floats,
            histograms: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.floats.len()
    }

    /// The float at an index, if there is one.
    pub(crate) fn float(&self, index: usize) -> Option<f64> {
        touch();
        let value = *self.floats.get(index)?;
        (!is_stale_nan(value)).then_some(value)
    }

    /// The histogram at an index, if there is one.
    pub(crate) fn histogram(&self, index: usize) -> Option<&Arc<Histogram>> {
        self.histograms.get(index)?.as_ref()
    }

    pub(crate) fn get(&self, index: usize) -> Option<Sample> {
        match self.float(index) {
            Some(value) => Some(Sample::Float(value)),
            None => self
                .histogram(index)
                .map(|histogram| Sample::Histogram(Arc::clone(histogram))),
        }
    }

    pub(crate) fn is_present(&self, index: usize) -> bool {
        self.float(index).is_some() || self.histogram(index).is_some()
    }

    pub(crate) fn set(&mut self, index: usize, sample: Sample) {
        match sample {
            Sample::Float(value) => self.set_float(index, value),
            Sample::Histogram(histogram) => {
                if self.histograms.is_empty() {
                    self.histograms = vec![None; self.floats.len()];
                }
                if let Some(place) = self.histograms.get_mut(index) {
                    *place = Some(histogram);
                }
            }
        }
    }

    pub(crate) fn set_float(&mut self, index: usize, value: f64) {
        touch();
        if let Some(place) = self.floats.get_mut(index) {
            *place = value;
        }
    }

    pub(crate) fn clear(&mut self, index: usize) {
        self.set_float(index, stale_nan());
        if let Some(place) = self.histograms.get_mut(index) {
            *place = None;
        }
    }

    /// Present floats with their indices.
    pub(crate) fn floats(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        touch();
        let all = self.floats.iter().copied().enumerate();
        all.filter(|(_, value)| !is_stale_nan(*value))
    }

    /// Histograms with their indices.
    pub(crate) fn histograms(&self) -> impl Iterator<Item = (usize, &Arc<Histogram>)> + '_ {
        touch();
        let all = self.histograms.iter().enumerate();
        all.filter_map(|(index, histogram)| Some((index, histogram.as_ref()?)))
    }

    /// The floats of all instants, the staleness marker where there is none.
    pub(crate) fn dense(&self) -> &[f64] {
        touch();
        &self.floats
    }

    /// The floats of all instants, to be changed; nothing where there are histograms too.
    pub(crate) fn floats_alone_mut(&mut self) -> Option<&mut [f64]> {
        (!self.has_histograms()).then_some(self.floats.as_mut_slice())
    }

    pub(crate) fn has_histograms(&self) -> bool {
        self.histograms().next().is_some()
    }

    pub(crate) fn map_floats(&mut self, map: impl Fn(f64) -> f64) {
        touch();
        for value in &mut self.floats {
            if !is_stale_nan(*value) {
                *value = map(*value);
            }
        }
    }

    pub(crate) fn map_histograms(&mut self, map: impl Fn(&Histogram) -> Histogram) {
        for histogram in self.histograms.iter_mut().flatten() {
            *histogram = Arc::new(map(histogram));
        }
    }

    pub(crate) fn drop_histograms(&mut self) {
        touch();
        self.histograms.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats().next().is_none() && !self.has_histograms()
    }

    /// How much of a sample budget it takes.
    pub(crate) fn budget_size(&self) -> usize {
        let histograms: usize = self.histograms().map(|(_, h)| h.budget_size()).sum();
        self.floats().count() + histograms
    }

    /// The memory it takes.
    fn bytes(&self) -> usize {
        touch();
        let places = self.histograms.capacity() * size_of::<Option<Arc<Histogram>>>();
        self.floats.capacity() * size_of::<f64>()
            + places
            + histogram_bytes(self.histograms().map(|(_, histogram)| &**histogram))
    }

    /// The first value repeated.
    fn spread(&self, len: usize) -> Self {
        touch();
        let float = self.floats.first().copied().unwrap_or(stale_nan());
        let histograms = match self.histograms.first().cloned() {
            Some(Some(histogram)) => vec![Some(histogram); len],
            _ => Vec::new(),
        };
        Self {
            floats: vec![float; len],
            histograms,
        }
    }
}

#[cfg(test)]
impl Drop for Column {
    fn drop(&mut self) {
        touch();
    }
}

/// A series over a grid.
#[derive(Clone, Debug)]
pub(in crate::query) struct Series {
    pub labels: Labels,
    /// Whether the metric name no longer fits, and goes at the end.
    pub drops_name: bool,
    pub column: Column,
}

impl Series {
    pub(crate) const fn new(labels: Labels, column: Column) -> Self {
        Self {
            labels,
            drops_name: false,
            column,
        }
    }

    /// A scalar as a series without labels.
    pub(crate) fn of_scalar(values: Vec<f64>) -> Self {
        Self::new(Labels::empty(), Column::of_floats(values))
    }
}

/// What a series takes beside its values while it is made: its text, and its places in lists.
pub(in crate::query) const SERIES_BYTES: usize = 256;

/// What histograms take.
pub(in crate::query) fn histogram_bytes<'h>(all: impl Iterator<Item = &'h Histogram>) -> usize {
    let bytes = |histogram: &Histogram| {
        size_of::<Histogram>() + histogram.budget_size() * size_of::<(i64, f64)>()
    };
    all.map(bytes).sum()
}

/// What an expression yields over a grid.
#[derive(Debug)]
pub(in crate::query) enum Value {
    Scalar(Vec<f64>),
    Vector(Vec<Series>),
}

impl Value {
    pub(crate) fn budget_size(&self, guard: &Guard) -> Result<usize, Interrupted> {
        match self {
            Self::Scalar(values) => Ok(values.len()),
            Self::Vector(series) => sum(series, guard, |one| one.column.budget_size()),
        }
    }

    /// How many columns there are.
    pub(crate) const fn series_count(&self) -> usize {
        match self {
            Self::Scalar(_) => 1,
            Self::Vector(series) => series.len(),
        }
    }

    /// The memory it takes.
    pub(crate) fn bytes(&self, guard: &Guard) -> Result<usize, Interrupted> {
        match self {
            Self::Scalar(values) => Ok(values.capacity() * size_of::<f64>()),
            Self::Vector(series) => {
                let bytes = |one: &Series| one.labels.as_encoded().len() + one.column.bytes();
                let places = series.capacity() * size_of::<Series>();
                Ok(places.saturating_add(sum(series, guard, bytes)?))
            }
        }
    }

    /// The value at the first instant, at every one.
    pub(crate) fn spread(self, len: usize, guard: &Guard) -> Result<Self, Interrupted> {
        match self {
            Self::Scalar(values) => {
                let value = values.first().copied().unwrap_or(f64::NAN);
                Ok(Self::Scalar(vec![value; len]))
            }
            Self::Vector(mut series) => {
                for (at, one) in series.iter_mut().enumerate() {
                    guard.check_wide(at, len)?;
                    one.column = one.column.spread(len);
                }
                Ok(Self::Vector(series))
            }
        }
    }

    /// Drops it.
    pub(crate) fn let_go(self, guard: &Guard) -> Result<(), Interrupted> {
        match self {
            Self::Scalar(_) => Ok(()),
            Self::Vector(series) => let_go(series, guard),
        }
    }

    /// The same once more.
    pub(crate) fn copied(&self, guard: &Guard) -> Result<Self, Interrupted> {
        match self {
            Self::Scalar(values) => Ok(Self::Scalar(values.clone())),
            Self::Vector(series) => {
                let mut copies = Vec::with_capacity(series.len());
                for (at, one) in series.iter().enumerate() {
                    guard.check_wide(at, one.column.len())?;
                    copies.push(one.clone());
                }
                Ok(Self::Vector(copies))
            }
        }
    }
}
