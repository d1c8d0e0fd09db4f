//! What happens to series once they are computed: names that no longer fit go, series that became
//! one are merged, points are handed out.

use std::sync::Arc;

use model::labels::{Labels, METRIC_NAME};
use model::time::Timestamp;
use model::vector::RangeSeries;
use storage::pages::Pages;

use super::column::SERIES_BYTES;
use super::groups::{Groups, Left};
use super::range::windows::Part;
use super::{Column, Result, Sample, Series, same_labels};
use crate::query::ast::Extension;
use crate::query::functions::extended::interpolate;
use crate::query::functions::rate::Quantity;
use crate::query::giving_up::retain_present;
use crate::query::source::{Guard, touch};

/// Labels that describe the metric and not the series.
const METADATA: [&str; 3] = [METRIC_NAME, "__type__", "__unit__"];

/// The labels without what describes the metric.
pub(super) fn without_metadata(labels: &Labels) -> Labels {
    touch();
    let describes = |name: &str| name.starts_with("__") && METADATA.contains(&name);
    if labels.iter().any(|(name, _)| describes(name)) {
        return labels.filtered(|name| !describes(name));
    }
    labels.clone()
}

/// Whether all series have the same name, type and unit.
pub(super) fn have_one_name<'l>(
    mut all: impl Iterator<Item = &'l Labels>,
    guard: &Guard,
) -> Result<bool> {
    let Some(first) = all.next() else {
        return Ok(true);
    };
    let told = METADATA.map(|name| first.get(name));
    for (at, labels) in all.enumerate() {
        guard.check_at(at)?;
        touch();
        if METADATA.map(|name| labels.get(name)) != told {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a label describes the metric and not the series.
pub(super) fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name)
}

/// Takes the names that no longer fit off, and merges what became one.
pub(in crate::query) fn remove_names(
    mut series: Vec<Series>,
    guard: &Guard,
) -> Result<Vec<Series>> {
    for (at, series) in series.iter_mut().enumerate() {
        guard.check_at(at)?;
        if series.drops_name {
            series.labels = without_metadata(&series.labels);
        }
    }
    merge_same_labels(series, guard)
}

/// Merges series with the same labels, which must not share an instant.
pub(in crate::query) fn merge_same_labels(
    series: Vec<Series>,
    guard: &Guard,
) -> Result<Vec<Series>> {
    let mut places = Groups::new(Left::All);
    let mut merged: Vec<Series> = Vec::with_capacity(series.len());
    for (at, one) in series.into_iter().enumerate() {
        guard.check_wide(at, one.column.len())?;
        let place = places.number(&one.labels);
        let Some(into) = merged.get_mut(place) else {
            merged.push(one);
            continue;
        };
        into.drops_name |= one.drops_name;
        for index in 0..one.column.len() {
            if let Some(sample) = one.column.get(index) {
                if into.column.is_present(index) {
                    return Err(same_labels());
                }
                into.column.set(index, sample);
            }
        }
    }
    places.let_go(guard)?;
    Ok(merged)
}

/// Gathers series value by value.
pub(super) struct OutputSeries {
    len: usize,
    guard: Guard,
    places: Groups<'static>,
    /// In pages: nobody can interrupt a list that moves because it grows.
    series: Pages<Series>,
}

impl OutputSeries {
    /// Of so many instants; series take their memory from the allotment.
    pub(super) fn new(len: usize, guard: &Guard) -> Self {
        Self {
            len,
            guard: guard.clone(),
            places: Groups::new(Left::All),
            series: Pages::default(),
        }
    }

    /// The place of a series.
    pub(super) fn place(&mut self, labels: Labels, drops_name: bool) -> Result<usize> {
        let place = self.places.number(&labels);
        if place == self.series.len() {
            let bytes = self.len * size_of::<f64>() + SERIES_BYTES;
            self.guard.memory.take(bytes + labels.as_encoded().len())?;
            let series = Series::new(labels, Column::absent(self.len));
            self.series.push(series);
        }
        if let Some(series) = self.series.get_mut(place as u32) {
            series.drops_name |= drops_name;
        }
        Ok(place)
    }

    /// Puts a value into a series that has none at this instant.
    pub(super) fn set(&mut self, place: usize, index: usize, sample: Sample) -> Result<()> {
        if let Some(series) = self.series.get_mut(place as u32) {
            if series.column.is_present(index) {
                return Err(same_labels());
            }
            series.column.set(index, sample);
        }
        Ok(())
    }

    /// The floats of a series, the staleness marker where there is none yet; nothing where it has
    /// histograms.
    pub(super) fn floats_mut(&mut self, place: usize) -> Option<&mut [f64]> {
        self.series.get_mut(place as u32)?.column.floats_alone_mut()
    }

    /// Whether a series has a value at an instant.
    pub(super) fn is_taken(&self, place: usize, index: usize) -> bool {
        let series = self.series.get(place as u32);
        series.is_some_and(|series| series.column.is_present(index))
    }

    /// [`OutputSeries::set`] of a float, by labels.
    pub(super) fn put(
        &mut self,
        labels: Labels,
        drops_name: bool,
        index: usize,
        value: f64,
    ) -> Result<()> {
        let place = self.place(labels, drops_name)?;
        self.set(place, index, Sample::Float(value))
    }

    pub(super) fn finish(self) -> Result<Vec<Series>> {
        self.places.let_go(&self.guard)?;
        let mut all = Vec::with_capacity(self.series.len());
        for page in self.series.into_pages() {
            self.guard.check()?;
            all.extend(page);
        }
        retain_present(&mut all, &self.guard)?;
        Ok(all)
    }
}

/// The points of a range as a result. Where samples beyond the range serve it, points at its ends
/// stand for them.
pub(super) fn matrix_of_range(
    labels: &Labels,
    drops_name: bool,
    part: &Part<'_>,
    (start, end): (i64, i64),
    extension: Extension,
) -> Option<RangeSeries> {
    let mut floats: Vec<(i64, f64)> = part
        .times
        .iter()
        .copied()
        .zip(part.values.iter().copied())
        .collect();
    if extension != Extension::None {
        floats = extended(&floats, (start, end), extension);
    }
    let inside = |at: i64| extension != Extension::None || (at > start && at <= end);
    let histograms: Vec<_> = part
        .histograms
        .iter()
        .filter(|(at, _)| at.millis() > start && at.millis() <= end)
        .map(|(at, histogram)| (*at, Arc::unwrap_or_clone(Arc::clone(histogram))))
        .collect();
    floats.retain(|(at, _)| inside(*at));
    if floats.is_empty() && histograms.is_empty() {
        return None;
    }
    let labels = if drops_name {
        without_metadata(labels)
    } else {
        labels.clone()
    };
    Some(RangeSeries {
        labels,
        floats: floats
            .into_iter()
            .map(|(at, value)| (Timestamp(at), value))
            .collect(),
        histograms,
    })
}

fn extended(
    floats: &[(i64, f64)],
    (start, end): (i64, i64),
    extension: Extension,
) -> Vec<(i64, f64)> {
    let smoothed = extension == Extension::Smoothed;
    let after_start = floats.partition_point(|(at, _)| *at <= start);
    let inside: Vec<_> = floats
        .iter()
        .copied()
        .filter(|(at, _)| *at > start && *at < end)
        .collect();
    let before = after_start.checked_sub(1).and_then(|at| floats.get(at));
    let Some(after) = floats.get(after_start) else {
        return Vec::new();
    };
    let left = match before {
        Some(before) if smoothed => interpolate(*before, *after, start, Quantity::Gauge),
        Some((_, value)) => *value,
        None => after.1,
    };
    let at_end = floats.partition_point(|(at, _)| *at < end);
    let last = at_end.checked_sub(1).and_then(|at| floats.get(at));
    let right = match (last, floats.get(at_end)) {
        (_, Some((at, value))) if *at == end => *value,
        (Some(last), Some(next)) if smoothed => interpolate(*last, *next, end, Quantity::Gauge),
        (Some((_, value)), _) | (None, Some((_, value))) => *value,
        (None, None) => return Vec::new(),
    };
    let mut result = vec![(start, left)];
    result.extend(inside);
    result.push((end, right));
    result
}
