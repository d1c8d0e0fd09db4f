//! What an export takes in memory once it is decoded, from its bytes.
//!
//! An empty message takes two bytes on the wire and a hundred times that decoded, and the decoder does
//! not ask before it takes them. So the messages are counted first, by a table of which fields are
//! messages of what size.

use model::wire::otlp;
use storage::codec::Malformed;

use crate::ingest::protobuf::{Value, Wire};

/// A kind of message: its size, and which of its fields are messages. What is in other fields takes
/// what it takes on the wire, up to eight times that where it is packed.
struct Kind {
    bytes: usize,
    fields: &'static [(u32, &'static Kind)],
}

macro_rules! kinds {
    ($($name:ident: $message:ty = [$($field:literal $of:ident),*];)+) => {
        $(static $name: Kind = Kind {
            bytes: size_of::<$message>(),
            fields: &[$(($field, &$of)),*],
        };)+
    };
}

kinds! {
    REQUEST: otlp::ExportMetricsServiceRequest = [1 RESOURCE_METRICS];
    RESOURCE_METRICS: otlp::ResourceMetrics = [1 RESOURCE, 2 SCOPE_METRICS];
    RESOURCE: otlp::Resource = [1 PAIR];
    SCOPE_METRICS: otlp::ScopeMetrics = [2 METRIC];
    METRIC: otlp::Metric = [5 NUMBERS, 7 NUMBERS, 9 HISTOGRAMS, 10 EXPONENTIALS, 11 SUMMARIES];
    NUMBERS: otlp::Sum = [1 NUMBER];
    HISTOGRAMS: otlp::Histogram = [1 HISTOGRAM];
    EXPONENTIALS: otlp::ExponentialHistogram = [1 EXPONENTIAL];
    SUMMARIES: otlp::Summary = [1 SUMMARY];
    NUMBER: otlp::NumberDataPoint = [5 EXEMPLAR, 7 PAIR];
    HISTOGRAM: otlp::HistogramDataPoint = [8 EXEMPLAR, 9 PAIR];
    EXPONENTIAL: otlp::ExponentialHistogramDataPoint = [1 PAIR, 8 BUCKETS, 9 BUCKETS, 11 EXEMPLAR];
    BUCKETS: otlp::Buckets = [];
    SUMMARY: otlp::SummaryDataPoint = [6 QUANTILE, 7 PAIR];
    QUANTILE: otlp::ValueAtQuantile = [];
    EXEMPLAR: otlp::Exemplar = [7 PAIR];
    PAIR: otlp::KeyValue = [2 VALUE];
    VALUE: otlp::AnyValue = [5 VALUES, 6 PAIRS];
    VALUES: otlp::ArrayValue = [1 VALUE];
    PAIRS: otlp::KeyValueList = [1 PAIR];
}

/// As the decoder has it.
const DEPTH_MAX: u32 = 100;
/// A packed integer of one byte becomes one of eight.
const PACKED_RATIO: usize = 8;

/// What the message of a request takes decoded, roughly.
pub(super) fn of_request(message: &[u8]) -> Result<usize, Malformed> {
    of_message(Wire::new(message), &REQUEST, DEPTH_MAX)
}

/// The same of JSON: as if everything in braces were the largest message.
pub(super) fn of_json(text: &[u8]) -> usize {
    let messages = memchr::memchr_iter(b'{', text).count();
    let largest = size_of::<otlp::ExponentialHistogramDataPoint>();
    text.len().saturating_mul(PACKED_RATIO / 2) + messages.saturating_mul(largest)
}

fn of_message(mut message: Wire<'_>, kind: &Kind, depth: u32) -> Result<usize, Malformed> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(message.malformed("messages in one another up to a hundred deep"));
    };
    let mut bytes = kind.bytes;
    while let Some((number, value)) = message.field()? {
        let Value::Bytes(field) = value else {
            bytes += PACKED_RATIO;
            continue;
        };
        let of = kind.fields.iter().find(|(known, _)| *known == number);
        bytes = bytes.saturating_add(match of {
            Some((_, kind)) => of_message(field, kind, depth)?,
            None => field.as_bytes().len().saturating_mul(PACKED_RATIO),
        });
    }
    Ok(bytes)
}
