//! What a scrape says about itself: `up` and its companions.

use std::time::Duration;

use model::labels::{Labels, METRIC_NAME};
use model::sample::{Sample, SeriesSamples, stale_nan};
use model::time::Timestamp;

/// The report series of one target, their label sets made once.
#[derive(Clone, Debug)]
pub struct ReportSeries([Labels; 5]);

/// The figures of one scrape.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Report {
    /// Whether it succeeded.
    pub up: bool,
    /// How long it took.
    pub duration: Duration,
    /// Samples in the body.
    pub scraped: usize,
    /// Samples that metric relabelling left; the same while there is none.
    pub post_metric_relabeling: usize,
    /// Series that the scrape before did not have.
    pub added: usize,
}

impl ReportSeries {
    /// The report series of a target with these labels.
    pub fn new(target: &Labels) -> Self {
        let named = |name: &str| {
            let mut builder = target.to_builder();
            builder.set(METRIC_NAME, name);
            builder.build()
        };
        Self([
            named("up"),
            named("scrape_duration_seconds"),
            named("scrape_samples_scraped"),
            named("scrape_samples_post_metric_relabeling"),
            named("scrape_series_added"),
        ])
    }

    /// The samples of a report.
    pub fn samples(&self, report: &Report, at: Timestamp) -> impl Iterator<Item = SeriesSamples> {
        let values = [
            f64::from(u8::from(report.up)),
            report.duration.as_secs_f64(),
            report.scraped as f64,
            report.post_metric_relabeling as f64,
            report.added as f64,
        ];
        self.with(values, at)
    }

    /// The markers that end the report series, when the target is scraped no more.
    pub fn stale(&self, at: Timestamp) -> impl Iterator<Item = SeriesSamples> {
        self.with([stale_nan(); 5], at)
    }

    fn with(&self, values: [f64; 5], at: Timestamp) -> impl Iterator<Item = SeriesSamples> {
        self.0
            .iter()
            .zip(values)
            .map(move |(labels, value)| one_sample(labels.clone(), value, at))
    }
}

/// A series with one float.
pub(super) fn one_sample(labels: Labels, value: f64, at: Timestamp) -> SeriesSamples {
    SeriesSamples {
        labels,
        samples: vec![Sample {
            timestamp: at,
            value,
        }],
        ..SeriesSamples::default()
    }
}
