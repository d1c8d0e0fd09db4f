//! An in-memory source that returns samples as upstream's store does.
//!
//! That store cuts a series of counter histograms where the layout changes or a reset shows, and
//! tells of each histogram but the first of a piece that it was not reset; of the first it tells
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::histogram::{CounterResetHint, Histogram};
use model::labels::Labels;
use model::matcher::Matcher;
use model::time::{TimeRange, Timestamp};
use tsdb::query::{Guard, HeldSeries, SelectError, SelectedSeries, Selection, Source};

use super::classic;
use super::points::Point;
use super::script::Load;

/// A sample of a series.
#[derive(Clone)]
struct Stored {
    point: Point,
    start: i64,
}

/// Everything loaded.
#[derive(Default)]
pub struct Storage {
    series: BTreeMap<Labels, BTreeMap<i64, Stored>>,
}

impl Storage {
    pub fn load(&mut self, load: &Load) {
        for (labels, points) in &load.series {
            let starts = load.starts.iter().find(|(of, _)| of == labels);
            for (index, point) in points.iter().enumerate() {
                let at = index as i64 * load.step;
                let start = starts.and_then(|(_, starts)| starts.get(index).copied().flatten());
                let start = start.map_or(0, |relative| at + relative);
                self.store(labels, at, point.clone(), start);
            }
        }
        if load.with_nhcb {
            for (labels, at, histogram) in classic::natives(&load.series, load.step) {
                let point = Point::Histogram(Box::new(histogram), false);
                self.store(&labels, at, point, 0);
            }
        }
    }

    fn store(&mut self, labels: &Labels, at: i64, point: Point, start: i64) {
        let samples = self.series.entry(labels.clone()).or_default();
        if !matches!(point, Point::Absent) {
            samples.insert(at, Stored { point, start });
        }
    }
}

/// What the store says of a histogram's reset, given the one before it in its piece.
fn told(histogram: &Histogram, previous: Option<&Histogram>) -> CounterResetHint {
    if histogram.counter_reset_hint == CounterResetHint::Gauge {
        return CounterResetHint::Gauge;
    }
    let Some(previous) = previous else {
        return CounterResetHint::Unknown;
    };
    let silent = Histogram {
        counter_reset_hint: CounterResetHint::Unknown,
        ..histogram.clone()
    };
    let cut = histogram.counter_reset_hint == CounterResetHint::Reset
        || previous.counter_reset_hint == CounterResetHint::Gauge
        || histogram.schema != previous.schema
        || histogram.zero_threshold != previous.zero_threshold
        || histogram.custom_values != previous.custom_values
        || silent.is_reset_after(previous);
    if cut {
        CounterResetHint::Unknown
    } else {
        CounterResetHint::NotReset
    }
}

impl Source for Storage {
    fn select(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        guard: &Guard,
    ) -> Result<Arc<dyn Selection>, SelectError> {
        let mut result = Vec::new();
        for (labels, samples) in &self.series {
            guard.check()?;
            if !matchers
                .iter()
                .all(|matcher| matcher.matches_labels(labels))
            {
                continue;
            }
            let mut selected = SelectedSeries {
                labels: labels.clone(),
                ..SelectedSeries::default()
            };
            let mut previous: Option<&Histogram> = None;
            for (at, stored) in samples {
                let inside = range.contains(Timestamp(*at));
                match &stored.point {
                    Point::Absent => {}
                    Point::Float(value) => {
                        previous = None;
                        if inside {
                            selected.timestamps.push(*at);
                            selected.values.push(*value);
                            selected.start_timestamps.push(stored.start);
                        }
                    }
                    Point::Histogram(histogram, _) => {
                        let mut kept = Histogram::clone(histogram);
                        kept.counter_reset_hint = told(histogram, previous);
                        previous = Some(histogram);
                        if inside {
                            selected.histograms.push((Timestamp(*at), Arc::new(kept)));
                            selected.histogram_start_timestamps.push(stored.start);
                        }
                    }
                }
            }
            if !selected.timestamps.is_empty() || !selected.histograms.is_empty() {
                result.push(selected);
            }
        }
        Ok(Arc::new(HeldSeries::new(result)))
    }
}
