//! The bytes of a remote write 1.0 to a batch.

use std::io;

use model::labels::{Labels, METRIC_NAME};
use model::sample::{Metadata, SeriesSamples};
use model::wire::remote_write::{TimeSeries, WriteRequest};
use prost::Message as _;
use storage::codec::Malformed;

use super::limits::IngestLimits;
use super::refusal::{Refusal, Refused};
use super::weigh::weigh;

/// Why the bytes are no remote write.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// They are not compressed as they should be.
    #[error("snappy: {0}")]
    Snappy(#[from] snap::Error),
    /// They unpack to more than is allowed.
    #[error(
        "the request unpacks to {bytes} bytes and at most {limit} are allowed; send less at once, or raise the limit"
    )]
    TooLarge {
        /// To how much.
        bytes: usize,
        /// To how much they may.
        limit: usize,
    },
    /// There are more series than is allowed.
    #[error(
        "the request has {count} series and at most {limit} are allowed; send less at once, or raise the limit"
    )]
    TooManySeries {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// They decode to more than is allowed.
    #[error(
        "the request takes {bytes} bytes decoded and at most {limit} are allowed; send less at once, or raise the limit"
    )]
    TooHeavy {
        /// How much they take.
        bytes: usize,
        /// How much they may take.
        limit: usize,
    },
    /// What they unpack to is no message.
    #[error("protobuf: {0}")]
    Wire(#[from] Malformed),
    /// What they unpack to is not the message.
    #[error("protobuf: {0}")]
    Protobuf(#[from] prost::DecodeError),
}

/// What a remote write holds.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The series that can be told apart.
    pub series: Vec<SeriesSamples>,
    /// Metadata beside them.
    pub metadata: Vec<Metadata>,
    /// Series whose labels contradict themselves.
    pub refused: Refused,
}

/// Decodes a remote write.
pub fn decode(body: &[u8], limits: &IngestLimits) -> Result<Decoded, DecodeError> {
    let bytes = snap::raw::decompress_len(body)?;
    if bytes > limits.unpacked_bytes_max {
        let limit = limits.unpacked_bytes_max;
        return Err(DecodeError::TooLarge { bytes, limit });
    }
    let unpacked = snap::raw::Decoder::new().decompress_vec(body)?;
    let weight = weigh(&unpacked)?;
    if weight.series > limits.series_max {
        return Err(DecodeError::TooManySeries {
            count: weight.series,
            limit: limits.series_max,
        });
    }
    if weight.bytes > limits.decoded_bytes_max {
        return Err(DecodeError::TooHeavy {
            bytes: weight.bytes,
            limit: limits.decoded_bytes_max,
        });
    }
    let request = WriteRequest::decode(unpacked.as_slice())?;
    let mut decoded = Decoded {
        metadata: request.metadata.into_iter().map(Metadata::from).collect(),
        ..Decoded::default()
    };
    for series in request.timeseries {
        match contradiction(&series) {
            Some(refusal) => {
                let samples = series.samples.len() + series.histograms.len();
                decoded.refused.add(samples, || refusal);
            }
            None => decoded.series.push(SeriesSamples::from(series)),
        }
    }
    Ok(decoded)
}

/// A label that is there twice. A label set keeps one of them, so it is looked for before.
fn contradiction(series: &TimeSeries) -> Option<Refusal> {
    let mut names: Vec<&str> = series
        .labels
        .iter()
        .map(|label| label.name.as_str())
        .collect();
    names.sort_unstable();
    let name = names
        .iter()
        .zip(names.iter().skip(1))
        .find(|(a, b)| a == b)
        .map(|(name, _)| (*name).to_owned())?;
    let pairs = series.labels.iter();
    let labels = Labels::from_pairs(pairs.map(|label| (&label.name, &label.value)));
    Some(Refusal::DuplicateLabel { labels, name })
}

/// The bytes of a remote write.
pub fn encode(series: &[SeriesSamples], metadata: &[Metadata]) -> io::Result<Vec<u8>> {
    let request = WriteRequest {
        timeseries: series.iter().map(TimeSeries::from).collect(),
        metadata: metadata.iter().map(Into::into).collect(),
    };
    debug_assert!(series.iter().all(|s| s.labels.get(METRIC_NAME).is_some()));
    snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .map_err(io::Error::other)
}
