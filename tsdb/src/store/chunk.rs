//! What a part says of a block of samples without opening it.
//!
//! The headers of 128 series lie together by column, see [`directory`](super::directory); this module
//! says what they mean.
//!
//! A [`Summary`] speaks of every value of its block, so a block with a NaN (the staleness marker is
//! one) has none, and neither has a small block or one that a codec describes in a dozen bytes: these
//! cost less to decode than to describe.

use model::time::TimeRange;

/// Smaller blocks have no summary.
const SUMMARY_SAMPLES_MIN: usize = 64;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Floats.
    Floats,
    /// Native histograms.
    Histograms,
    /// Exemplars.
    Exemplars,
}

/// Where a body is: in which page, and where there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The number of the page.
    pub page: u32,
    /// Offset in the page.
    pub offset: u32,
    /// Length in bytes.
    pub length: u32,
}

/// Where the timestamps of a block are: as many as it has samples, behind the first `skip` of a
/// body that other series may share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimesSpan {
    /// The body.
    pub body: Place,
    /// How many of the body's timestamps come before the block's.
    pub skip: usize,
}

/// The values of a block of floats, in brief. None is a NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The first value.
    pub first: f64,
    /// The last value.
    pub last: f64,
    /// The least value.
    pub min: f64,
    /// The greatest value.
    pub max: f64,
    /// The sum, by plain additions from 0 on, from the first value to the last. A sum that is added up in
    /// another order, or with compensation, may differ from it, unless all are integers and the
    /// sum of their magnitudes is below 2^53.
    pub sum: f64,
    /// How many values are less than the one before.
    pub resets: u32,
}

/// A block of samples of one series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkHeader {
    /// What it holds.
    pub kind: ChunkKind,
    /// How many samples.
    pub count: usize,
    /// The instants of the first and the last.
    pub range: TimeRange,
    /// Where the timestamps are; of no meaning for exemplars.
    pub times: TimesSpan,
    /// Where the values are.
    pub values: Place,
    /// Where the start timestamps are, if any is known.
    pub starts: Option<Place>,
    /// Its values in brief.
    pub summary: Option<Summary>,
}

impl Summary {
    /// The summary of a block that is worth one.
    pub fn of(values: &[f64]) -> Option<Self> {
        if values.len() < SUMMARY_SAMPLES_MIN {
            return None;
        }
        let (first, last) = (*values.first()?, *values.last()?);
        let mut summary = Self {
            first,
            last,
            min: first,
            max: first,
            sum: 0.0,
            resets: 0,
        };
        let mut before = first;
        let mut has_nan = false;
        for value in values {
            has_nan |= value.is_nan();
            summary.resets += u32::from(*value < before);
            summary.min = if *value < summary.min {
                *value
            } else {
                summary.min
            };
            summary.max = if *value > summary.max {
                *value
            } else {
                summary.max
            };
            summary.sum += *value;
            before = *value;
        }
        // The sum of infinities of both signs is a NaN and still the sum.
        (!has_nan).then_some(summary)
    }
}
