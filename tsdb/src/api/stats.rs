//! What a query took, in upstream's fields.

use std::time::Duration;

use model::time::Timestamp;
use serde_json::{Value, json};

use crate::query::QueryStats;

/// What a query took, from its arrival on.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    /// How long it waited for its turn.
    pub(super) queued: Duration,
    /// What the evaluator says.
    pub(super) evaluation: QueryStats,
    /// The samples of each instant; empty where nobody asked for them.
    pub(super) samples_by_step: Vec<(Timestamp, usize)>,
}

/// What is told of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// How many there were.
    Totals,
    /// How many there were at each instant, too.
    Steps,
}

impl Stats {
    pub(super) fn to_json(&self, told: Told) -> Value {
        let QueryStats {
            samples_total,
            samples_peak,
            preparation,
            inner,
            sorting,
        } = &self.evaluation;
        let total = *preparation + *inner + *sorting;
        let mut samples =
            json!({"totalQueryableSamples": samples_total, "peakSamples": samples_peak});
        if let (false, Some(fields)) = (self.samples_by_step.is_empty(), samples.as_object_mut()) {
            let counts = self.samples_by_step.iter();
            let total: usize = counts.clone().map(|(_, count)| count).sum();
            fields.insert("totalQueryableSamples".to_owned(), total.into());
            if told == Told::Steps {
                let steps = counts.map(|(at, count)| json!([seconds(*at), count]));
                fields.insert("totalQueryableSamplesPerStep".to_owned(), steps.collect());
            }
        }
        json!({
            "timings": {
                "evalTotalTime": total.as_secs_f64(),
                "resultSortTime": sorting.as_secs_f64(),
                "queryPreparationTime": preparation.as_secs_f64(),
                "innerEvalTime": inner.as_secs_f64(),
                "execQueueTime": self.queued.as_secs_f64(),
                "execTotalTime": (self.queued + total).as_secs_f64(),
            },
            "samples": samples,
        })
    }
}

/// An instant in seconds, without a fraction where it is whole.
fn seconds(at: Timestamp) -> Value {
    if at.millis() % 1000 == 0 {
        return (at.millis() / 1000).into();
    }
    (at.millis() as f64 / 1000.0).into()
}
