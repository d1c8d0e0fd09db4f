//! What a push must be before it is kept.
//!
//! A push may come from anywhere, so everything in it has a limit, and the limits stand together in
//! [`IngestLimits`]. What is wrong with one entry is no reason to refuse the others: [`prepare`] keeps what
//! may be kept and says of the rest what is wrong with it, in Loki's words, which clients know.
//! What is kept gets the label `service_name` and the structured metadata `detected_level`, as
//! Loki derives them.
//!
//! Pure: the clock is an argument, and the store is somebody else's.
//!
//! - [`body`]: the bodies of a push, protobuf and JSON.
//! - [`weigh`]: what a body will ask for, before it gets it.
//! - [`service`]: the label `service_name`.
//! - [`level`]: the structured metadata `detected_level`.

pub mod body;
mod json;
pub mod level;
pub mod service;
mod weigh;

use std::fmt::Write as _;

use model::entry::{Entry, StreamEntries};
use model::labels::{Labels, is_legacy_label_name};
use model::time::{Timestamp, TimestampNs};

use level::LevelDetector;

/// What a push may contain. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestLimits {
    /// The longest line.
    pub line_bytes_max: usize,
    /// The most labels of a stream.
    pub labels_max: usize,
    /// The longest label name.
    pub label_name_bytes_max: usize,
    /// The longest label value.
    pub label_value_bytes_max: usize,
    /// The most pairs of structured metadata of an entry.
    pub metadata_max: usize,
    /// The largest structured metadata of an entry.
    pub metadata_bytes_max: usize,
    /// How far ahead of the clock a timestamp may be.
    pub ahead_ms_max: i64,
    /// The largest push, packed and unpacked.
    pub push_bytes_max: usize,
    /// The most streams, entries and pairs of metadata of a push together.
    pub push_items_max: usize,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self {
            line_bytes_max: 256 << 10,
            labels_max: 30,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 2048,
            metadata_max: 128,
            metadata_bytes_max: 64 << 10,
            ahead_ms_max: 600_000,
            push_bytes_max: 64 << 20,
            push_items_max: 500_000,
        }
    }
}

/// Why an entry or a whole stream of a push is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The text of the label set is none.
    #[error("error parsing labels '{labels}' with error: {reason}")]
    Labels {
        /// The text.
        labels: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The stream has no label.
    #[error("error at least one label pair is required per stream")]
    NoLabels,
    /// The stream has too many labels.
    #[error("entry for stream '{stream}' has {count} label names; limit {max}")]
    TooManyLabels {
        /// The stream.
        stream: Labels,
        /// How many labels it has.
        count: usize,
        /// How many it may have.
        max: usize,
    },
    /// A label's name is none.
    #[error("stream '{stream}' has invalid label name: '{name}'")]
    LabelName {
        /// The stream.
        stream: Labels,
        /// The name.
        name: String,
    },
    /// A label's name is too long.
    #[error("stream '{stream}' has label name too long: '{name}'")]
    LabelNameTooLong {
        /// The stream.
        stream: Labels,
        /// The name.
        name: String,
    },
    /// A label's value is too long.
    #[error("stream '{stream}' has label value too long: '{value}'")]
    LabelValueTooLong {
        /// The stream.
        stream: Labels,
        /// The value.
        value: String,
    },
    /// The line is too long.
    #[error(
        "Max entry size '{max}' bytes exceeded for stream '{stream}' while adding an entry with length '{bytes}' bytes"
    )]
    LineTooLong {
        /// The stream.
        stream: Labels,
        /// The line's length.
        bytes: usize,
        /// What it may be.
        max: usize,
    },
    /// The entry has too much structured metadata.
    #[error(
        "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: '{max}' bytes"
    )]
    MetadataTooLarge {
        /// The stream.
        stream: Labels,
        /// Its size.
        bytes: usize,
        /// What it may be.
        max: usize,
    },
    /// The entry has too many pairs of structured metadata.
    #[error("stream '{stream}' has too many structured metadata labels: '{count}', limit: '{max}'")]
    TooMuchMetadata {
        /// The stream.
        stream: Labels,
        /// How many pairs there are.
        count: usize,
        /// How many there may be.
        max: usize,
    },
    /// The entry is older than what is kept.
    #[error(
        "entry for stream '{stream}' has timestamp too old: {at}, oldest acceptable timestamp is: {oldest}"
    )]
    TooOld {
        /// The stream.
        stream: Labels,
        /// When the entry is.
        at: String,
        /// The oldest instant that is kept.
        oldest: String,
    },
    /// The entry is of the future.
    #[error("entry for stream '{stream}' has timestamp too new: {at}")]
    TooNew {
        /// The stream.
        stream: Labels,
        /// When the entry is.
        at: String,
    },
}

/// What a client sent.
#[derive(Clone, Debug, Default)]
pub struct Push {
    /// The streams.
    pub streams: Vec<StreamEntries>,
    /// Streams whose label sets cannot be read: how many entries they had, and why.
    pub unreadable: Vec<(u64, Rejection)>,
}

impl From<Vec<StreamEntries>> for Push {
    fn from(streams: Vec<StreamEntries>) -> Self {
        Self {
            streams,
            unreadable: Vec::new(),
        }
    }
}

/// Instants that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The oldest instant that is kept.
    pub oldest: Timestamp,
    /// The present.
    pub now: Timestamp,
}

/// A push, sorted into what is kept and what is not.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// What to append; streams without entries are gone.
    pub accepted: Vec<StreamEntries>,
    /// How many entries are refused.
    pub refused: u64,
    /// What is wrong, once for each kind of fault that came up; a whole stream counts as one.
    pub rejections: Vec<Rejection>,
}

/// The most rejections that are told one by one.
const REJECTIONS_MAX: usize = 10;

/// Checks a push and adds what is derived.
pub fn prepare(push: Push, limits: &IngestLimits, window: Window) -> Prepared {
    let mut prepared = Prepared::default();
    for (entries, rejection) in push.unreadable {
        prepared.refuse(entries, rejection);
    }
    for stream in push.streams {
        if stream.entries.is_empty() {
            continue;
        }
        if let Err(rejection) = check_labels(&stream.labels, limits) {
            prepared.refuse(stream.entries.len() as u64, rejection);
            continue;
        }
        let labels = service::with_service_name(&stream.labels);
        let mut detector = LevelDetector::new(&labels);
        let mut entries = Vec::with_capacity(stream.entries.len());
        for mut entry in stream.entries {
            match check_entry(&stream.labels, &entry, limits, window) {
                Ok(()) => {
                    detector.detect(&mut entry);
                    entries.push(entry);
                }
                Err(rejection) => prepared.refuse(1, rejection),
            }
        }
        if !entries.is_empty() {
            prepared.accepted.push(StreamEntries { labels, entries });
        }
    }
    prepared
}

impl Prepared {
    fn refuse(&mut self, entries: u64, rejection: Rejection) {
        self.refused += entries;
        if self.rejections.len() < REJECTIONS_MAX {
            self.rejections.push(rejection);
        }
    }

    /// What is wrong, for the client: a line for each rejection. None where nothing is.
    pub fn complaint(&self) -> Option<String> {
        if self.refused == 0 {
            return None;
        }
        let mut text = String::new();
        for rejection in &self.rejections {
            let _ = writeln!(text, "{rejection}");
        }
        let _ = write!(text, "total ignored: {}", self.refused);
        Some(text)
    }
}

fn check_labels(labels: &Labels, limits: &IngestLimits) -> Result<(), Rejection> {
    let stream = || labels.clone();
    if labels.is_empty() {
        return Err(Rejection::NoLabels);
    }
    let count = labels.len();
    if count > limits.labels_max {
        return Err(Rejection::TooManyLabels {
            stream: stream(),
            count,
            max: limits.labels_max,
        });
    }
    for (name, value) in labels {
        if name.len() > limits.label_name_bytes_max {
            return Err(Rejection::LabelNameTooLong {
                stream: stream(),
                name: name.to_owned(),
            });
        }
        if !is_legacy_label_name(name) {
            return Err(Rejection::LabelName {
                stream: stream(),
                name: name.to_owned(),
            });
        }
        if value.len() > limits.label_value_bytes_max {
            return Err(Rejection::LabelValueTooLong {
                stream: stream(),
                value: value.to_owned(),
            });
        }
    }
    Ok(())
}

fn check_entry(
    stream: &Labels,
    entry: &Entry,
    limits: &IngestLimits,
    window: Window,
) -> Result<(), Rejection> {
    let at = entry.timestamp.floor_millis();
    if at < window.oldest {
        return Err(Rejection::TooOld {
            stream: stream.clone(),
            at: rfc3339(entry.timestamp),
            oldest: rfc3339(TimestampNs::from_millis(window.oldest)),
        });
    }
    if at > window.now.saturating_add(limits.ahead_ms_max) {
        return Err(Rejection::TooNew {
            stream: stream.clone(),
            at: rfc3339(entry.timestamp),
        });
    }
    if entry.line.len() > limits.line_bytes_max {
        return Err(Rejection::LineTooLong {
            stream: stream.clone(),
            bytes: entry.line.len(),
            max: limits.line_bytes_max,
        });
    }
    let count = entry.metadata.len();
    if count > limits.metadata_max {
        return Err(Rejection::TooMuchMetadata {
            stream: stream.clone(),
            count,
            max: limits.metadata_max,
        });
    }
    let pairs = entry.metadata.iter();
    let bytes = pairs.map(|(name, value)| name.len() + value.len()).sum();
    if bytes > limits.metadata_bytes_max {
        return Err(Rejection::MetadataTooLarge {
            stream: stream.clone(),
            bytes,
            max: limits.metadata_bytes_max,
        });
    }
    Ok(())
}

/// An instant as people read it.
fn rfc3339(at: TimestampNs) -> String {
    let instant = jiff::Timestamp::from_nanosecond(i128::from(at.nanos()));
    instant.map_or_else(|_| at.nanos().to_string(), |instant| instant.to_string())
}

#[cfg(test)]
mod tests;
