//! The rows of the table, each a module that says what it measures.
//!
//! - [`recording`]: bytes a sample of a recording of two real programs, and whether it comes back.
//! - [`day`]: bytes a sample of the generated day, and range queries over it.
//! - [`dashboard`]: what dashboards ask of a cluster, one after the other and eight clients at once.
//! - [`ingest`]: remote write.
//! - [`resident`]: memory of many active series, and the start after kill -9.
//! - [`churn`]: bytes of index for a new series.
//! - [`labels`]: label values among many series.
//! - [`settled`]: what all do before bytes are counted.

mod answers;
mod churn;
mod dashboard;
mod day;
mod ingest;
mod labels;
mod recording;
mod resident;
mod settled;

use crate::arguments::RowName;
use crate::report::Row;
use crate::system::Bench;

/// Measures a row, or the rows that share its load.
pub(crate) async fn run(row: RowName, bench: &Bench<'_>) -> anyhow::Result<Vec<Row>> {
    match row {
        RowName::Recording => recording::run(bench).await,
        RowName::Day => day::run(bench).await,
        RowName::Dashboard => dashboard::run_day(bench).await,
        RowName::Crowd => dashboard::run_crowd(bench).await,
        RowName::Ingest => ingest::run(bench).await,
        RowName::Resident => resident::run(bench).await,
        RowName::Churn => churn::run(bench).await,
        RowName::Labels => labels::run(bench).await,
    }
}
