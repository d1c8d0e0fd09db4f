//! What comes in, checked before it is stored.
//!
//! A write is accepted in part: series that break a rule are refused by name and the rest is
//! stored, because one bad series of one target must not cost the others their samples. Nothing is
//! dropped silently; what is refused is counted and the first refusals are said.
//!
//! Every limit on what comes from outside sits in [`limits::IngestLimits`].
//!
//! - [`limits`]: how much, how long, how far ahead.
//! - [`refusal`]: why a series or a sample was not taken, in upstream's words where it has any.
//! - [`validate`]: the rules for labels, instants and histograms.
//! - [`named`]: the bytes that a series is named with, and its fingerprint.
//! - [`batch`]: a write on its way into the store.
//! - [`build`]: what comes in to a batch of what may be stored.
//! - [`remote_write`]: the bytes of a remote write to a batch; [`protobuf`] is how they are read.
//! - [`otlp`]: an export of OTLP's metrics to a batch.
//! - [`census`]: how many series there are, and may be.
//! - [`metadata`]: what is known of metric families.

pub mod batch;
mod build;
pub mod census;
pub mod limits;
pub mod metadata;
pub(crate) mod named;
pub mod otlp;
mod protobuf;
pub mod refusal;
pub mod remote_write;
mod validate;

use model::sample::SeriesSamples;
use model::time::TimeRange;

use batch::Batch;
use build::Builder;
use limits::IngestLimits;
use refusal::Refused;

use crate::store::registry::ActiveRegistries;

/// What of `series` may be stored, and what not.
pub fn check(
    series: &[SeriesSamples],
    limits: &IngestLimits,
    accepted: TimeRange,
) -> (Batch, Refused) {
    let none_known = ActiveRegistries::default();
    let mut builder = Builder::new(Batch::default(), limits, accepted, &none_known);
    for series in series {
        builder.series(series);
    }
    builder.finish()
}
