//! The value of a metric expression for all steps at once.

use model::labels::Labels;
use model::time::TimestampNs;
use model::vector::{InstantSample, QueryValue, RangeSeries, SampleValue};

use super::windows::Steps;

/// One series: a point for each step, or none where the series is absent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    pub(super) labels: Labels,
    pub(super) points: Vec<Option<f64>>,
}

/// A number for all steps, or series.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Columns {
    Scalar(f64),
    Series(Vec<Series>),
}

impl Columns {
    /// The value at the only step.
    pub(super) fn into_instant(self, at: TimestampNs, sort_by_labels: bool) -> QueryValue {
        let timestamp = at.floor_millis();
        let mut series = match self {
            Self::Scalar(value) => return QueryValue::Scalar(timestamp, value),
            Self::Series(series) => series,
        };
        if sort_by_labels {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        QueryValue::Vector(
            series
                .into_iter()
                .filter_map(|series| {
                    let value = series.points.first().copied().flatten()?;
                    Some(InstantSample {
                        labels: series.labels,
                        timestamp,
                        value: SampleValue::Float(value),
                    })
                })
                .collect(),
        )
    }

    /// The values at all steps; a number is a series without labels.
    pub(super) fn into_range(self, steps: Steps) -> QueryValue {
        let mut series = match self {
            Self::Scalar(value) => vec![Series {
                labels: Labels::empty(),
                points: vec![Some(value); steps.count],
            }],
            Self::Series(series) => series,
        };
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        QueryValue::Matrix(
            series
                .into_iter()
                .filter_map(|series| {
                    let floats: Vec<_> = series
                        .points
                        .iter()
                        .enumerate()
                        .filter_map(|(at, point)| {
                            Some((TimestampNs(steps.at(at)).floor_millis(), (*point)?))
                        })
                        .collect();
                    (!floats.is_empty()).then(|| RangeSeries {
                        labels: series.labels,
                        floats,
                        histograms: Vec::new(),
                    })
                })
                .collect(),
        )
    }
}
