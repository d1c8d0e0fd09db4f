//! What rules need of others: somebody who answers an expression, and somebody who keeps samples.
//!
//! The two are apart because a rule's expression need not be PromQL: what LogQL answers is stored as
//! samples too, and its evaluator is wired by the binary. Both are this member's [`Tsdb`] otherwise.

use model::labels::Labels;
use model::matcher::Matcher;
use model::sample::SeriesSamples;
use model::time::{TimeRange, Timestamp};
use model::vector::{InstantSample, QueryValue, SampleValue};

use crate::database::Tsdb;
use crate::query::{self, QueryOptions, Samples, Source as _};

/// Answers the expressions of rules, under the limits that queries have.
pub trait Evaluator: Send + Sync {
    /// The normal form of an expression, or why it is none.
    fn check(&self, expr: &str) -> Result<String, String>;

    /// What an expression gives at an instant; a number is a series without labels.
    fn instant(&self, expr: &str, at: Timestamp) -> Result<Vec<InstantSample>, String>;
}

/// Keeps what rules give.
pub trait Store: Send + Sync {
    /// Stores samples, or says why not all of them.
    fn append(&self, series: &[SeriesSamples]) -> Result<(), String>;

    /// The last sample in `range` of each series that matches, if it is a float.
    fn last(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Timestamp, f64)>, String>;
}

impl Evaluator for Tsdb {
    fn check(&self, expr: &str) -> Result<String, String> {
        let expr = query::parse_with(expr, self.engine().options().syntax);
        expr.map(|expr| expr.to_string())
            .map_err(|error| error.to_string())
    }

    fn instant(&self, expr: &str, at: Timestamp) -> Result<Vec<InstantSample>, String> {
        let (source, options) = (self.source(), QueryOptions::default());
        let answer = self.engine().instant(&source, expr, at, &options);
        match answer.map_err(|error| error.to_string())?.value {
            QueryValue::Vector(samples) => Ok(samples),
            QueryValue::Scalar(timestamp, value) => Ok(vec![InstantSample {
                labels: Labels::empty(),
                timestamp,
                value: SampleValue::Float(value),
            }]),
            _ => Err("rule result is not a vector or scalar".to_owned()),
        }
    }
}

impl Store for Tsdb {
    fn append(&self, series: &[SeriesSamples]) -> Result<(), String> {
        let appended = Self::append(self, series).map_err(|error| error.to_string())?;
        match appended.refused.samples {
            0 => Ok(()),
            _ => Err(appended.refused.to_string()),
        }
    }

    fn last(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<(Labels, Timestamp, f64)>, String> {
        let guard = self.engine().guard(&QueryOptions::default());
        let selection = self.reader().select(range, matchers, &guard);
        let selection = selection.map_err(|error| error.to_string())?;
        let mut reader = selection.reader();
        let mut samples = Samples::default();
        let mut found = Vec::new();
        for (index, labels) in selection.labels().iter().enumerate() {
            reader
                .read(index, &mut samples)
                .map_err(|error| error.to_string())?;
            if let Some((at, value)) = samples.timestamps.last().zip(samples.values.last()) {
                found.push((labels.clone(), Timestamp(*at), *value));
            }
        }
        Ok(found)
    }
}
