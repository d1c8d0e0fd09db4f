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
//! - [`validate`]: a batch to the part of it that may be stored.
//! - [`remote_write`]: the bytes of a remote write to a batch.
//! - [`weigh`]: what they will take in memory, before they do.
//! - [`metadata`]: what is known of metric families.

pub mod limits;
pub mod metadata;
pub mod refusal;
pub mod remote_write;
pub mod validate;
mod weigh;
