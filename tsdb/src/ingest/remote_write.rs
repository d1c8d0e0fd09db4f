//! The bytes of a remote write 1.0 to a batch.
//!
//! The messages are read where they lie, in one pass that feeds a [`Builder`], so that no field costs
//! an allocation. A series that is known is told by the bytes of its labels, which are not read then. What the generated decoder of `model::wire::remote_write` makes of the same bytes is
//! what this one makes of them: a test holds the two together.
//!
//! An empty message takes two bytes on the wire and a multiple of that decoded, so a limit on the
//! bytes of a request does not bound the memory it asks for. What is gathered is weighed before it is
//! taken, and a request that takes too much is given up.

mod histogram;
#[cfg(test)]
mod tests;
pub mod version_2;

use std::io;

use model::labels::{Labels, METRIC_NAME};
use model::sample::{Exemplar, Metadata, SeriesSamples};
use model::time::{TimeRange, Timestamp};
use model::wire::remote_write::{TimeSeries, WriteRequest, metric_type};
use prost::Message as _;
use storage::codec::Malformed;

use super::batch::Batch;
use super::build::{Builder, GiveUp};
use super::limits::IngestLimits;
use super::named::LABEL;
use super::protobuf::{Value, Wire};
use super::refusal::Refused;
use crate::store::registry::ActiveRegistries;

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
    /// What they unpack to is not the message.
    #[error("protobuf: {0}")]
    Wire(#[from] Malformed),
}

/// Room that a request needs and that the next one can use again: what a write allocates anew the
/// kernel has to clear first.
#[derive(Debug, Default)]
pub(crate) struct Room {
    unpacked: Unpacked,
    batch: Batch,
}

impl Room {
    /// Unpacks a body and decodes it into an empty batch.
    fn unpack<R>(
        &mut self,
        body: &[u8],
        limits: &IngestLimits,
        decode: impl FnOnce(Batch, &[u8]) -> Result<R, DecodeError>,
    ) -> Result<R, DecodeError> {
        let message = self.unpacked.unpack(body, limits.unpacked_bytes_max)?;
        let decoded = decode(std::mem::take(&mut self.batch), message);
        self.unpacked.shrink();
        decoded
    }

    /// Keeps the room of a batch that was written.
    pub(crate) fn keep(&mut self, mut batch: Batch) {
        batch.clear();
        if batch.bytes_kept() <= KEPT_BYTES_MAX {
            self.batch = batch;
        }
    }
}

/// What a body unpacks to.
#[derive(Debug, Default)]
struct Unpacked(Vec<u8>);

/// How much a byte can unpack to at most: three say that 64 are repeated.
const SNAPPY_RATIO_MAX: usize = 22;
/// What a part of the room may keep between requests; a larger request gives its own back.
const KEPT_BYTES_MAX: usize = 8 << 20;

impl Unpacked {
    /// Unpacks a body.
    fn unpack(&mut self, body: &[u8], bytes_max: usize) -> Result<&[u8], DecodeError> {
        let bytes = snap::raw::decompress_len(body)?;
        if bytes > bytes_max {
            let limit = bytes_max;
            return Err(DecodeError::TooLarge { bytes, limit });
        }
        // No body unpacks to more, so a few bytes cannot ask for much memory.
        let most = body.len().saturating_mul(SNAPPY_RATIO_MAX);
        if bytes > most {
            return Err(DecodeError::Snappy(snap::Error::HeaderMismatch {
                expected_len: bytes as u64,
                got_len: most as u64,
            }));
        }
        if self.0.len() < bytes {
            self.0.resize(bytes, 0);
        }
        let bytes = snap::raw::Decoder::new().decompress(body, &mut self.0)?;
        Ok(self.0.get(..bytes).unwrap_or_default())
    }

    /// Gives back what a large request took.
    fn shrink(&mut self) {
        if self.0.len() > KEPT_BYTES_MAX {
            self.0 = Vec::new();
        }
    }
}

/// Which message a remote write is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 1.0
    One,
    /// 2.0
    Two,
}

impl Version {
    pub(crate) const ALL: [Self; 2] = [Self::One, Self::Two];

    /// Its message, as a parameter of the content type may name it.
    pub(crate) const fn message(self) -> &'static str {
        match self {
            Self::One => "prometheus.WriteRequest",
            Self::Two => "io.prometheus.write.v2.Request",
        }
    }

    /// Decodes a message into `batch`, which is empty.
    fn decode_into(
        self,
        batch: Batch,
        message: &[u8],
        limits: &IngestLimits,
        accepted: TimeRange,
        registries: &ActiveRegistries,
    ) -> Result<(Batch, Refused), DecodeError> {
        let decode = match self {
            Self::One => decode_into,
            Self::Two => version_2::decode_into,
        };
        decode(batch, message, limits, accepted, registries)
    }
}

/// Decodes a remote write: what may be stored of it, and what may not. Series that `registries` know are
/// their numbers there.
pub(crate) fn decode(
    version: Version,
    body: &[u8],
    limits: &IngestLimits,
    accepted: TimeRange,
    registries: &ActiveRegistries,
    room: &mut Room,
) -> Result<(Batch, Refused), DecodeError> {
    room.unpack(body, limits, |batch, message| {
        version.decode_into(batch, message, limits, accepted, registries)
    })
}

/// Decodes the message of a remote write.
pub fn decode_unpacked(
    version: Version,
    message: &[u8],
    limits: &IngestLimits,
    accepted: TimeRange,
) -> Result<(Batch, Refused), DecodeError> {
    let registries = ActiveRegistries::default();
    version.decode_into(Batch::default(), message, limits, accepted, &registries)
}

/// Decodes a message into `batch`, which is empty.
fn decode_into(
    batch: Batch,
    message: &[u8],
    limits: &IngestLimits,
    accepted: TimeRange,
    registries: &ActiveRegistries,
) -> Result<(Batch, Refused), DecodeError> {
    let message = Wire::new(message);
    let count = count_series(message)?;
    if count > limits.series_max {
        let limit = limits.series_max;
        return Err(DecodeError::TooManySeries { count, limit });
    }
    let mut builder = Builder::new(batch, limits, accepted, registries);
    read_request(message, &mut builder).map_err(|error| match error {
        ReadError::Malformed(malformed) => DecodeError::Wire(malformed),
        ReadError::TooHeavy(bytes) => DecodeError::TooHeavy {
            bytes,
            limit: limits.decoded_bytes_max,
        },
    })?;
    Ok(builder.finish())
}

/// Why a message is not read to its end.
#[derive(Debug)]
enum ReadError {
    Malformed(Malformed),
    TooHeavy(usize),
}

impl From<Malformed> for ReadError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl ReadError {
    /// A builder gave up within `message`.
    fn within(message: &Wire<'_>, reason: GiveUp) -> Self {
        match reason {
            GiveUp::NotText => Self::Malformed(message.malformed("UTF-8")),
            GiveUp::TooHeavy(bytes) => Self::TooHeavy(bytes),
        }
    }
}

fn count_series(mut message: Wire<'_>) -> Result<usize, Malformed> {
    let mut count = 0;
    while let Some((number, _)) = message.field()? {
        count += usize::from(number == 1);
    }
    Ok(count)
}

fn read_request<'a>(mut message: Wire<'a>, builder: &mut Builder<'a>) -> Result<(), ReadError> {
    while let Some((number, value)) = message.field()? {
        match number {
            1 => {
                let series = value.bytes(&message)?;
                if !read_known(series, builder)? {
                    read_series(series, builder)?;
                }
            }
            3 => {
                let family = value.bytes(&message)?;
                let weighed = builder.weigh(size_of::<Metadata>() + family.as_bytes().len());
                weighed.map_err(|reason| ReadError::within(&family, reason))?;
                builder.metadata(read_metadata(family)?);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Reads a series that is known and begins with its labels. Returns false, with nothing read, where it
/// is another.
#[inline]
fn read_known<'a>(mut message: Wire<'a>, builder: &mut Builder<'a>) -> Result<bool, ReadError> {
    let Some(known) = builder.find(message.take_all_of(LABEL)) else {
        return Ok(false);
    };
    while let Some((number, value)) = message.field()? {
        if number == 1 {
            // There are more labels behind what was taken for all.
            builder.drop_series();
            return Ok(false);
        }
        read_sample(number, value, &message, builder)?;
    }
    let ended = builder.end_known(known);
    ended.map_err(|reason| ReadError::within(&message, reason))?;
    Ok(true)
}

fn read_series<'a>(whole: Wire<'a>, builder: &mut Builder<'a>) -> Result<(), ReadError> {
    let mut message = whole;
    while let Some((number, value)) = message.field()? {
        if number == 1 {
            let (name, label) = read_label(value.bytes(&message)?)?;
            let given = builder.label(name, label);
            given.map_err(|reason| ReadError::within(&message, reason))?;
        } else {
            read_sample(number, value, &message, builder)?;
        }
    }
    let ended = builder.end_series();
    ended.map_err(|reason| ReadError::within(&whole, reason))?;
    Ok(())
}

/// Reads a field of a series that is no label.
#[inline]
fn read_sample<'a>(
    number: u32,
    value: Value<'a>,
    message: &Wire<'a>,
    builder: &mut Builder<'a>,
) -> Result<(), ReadError> {
    match number {
        2 => {
            let (at, float) = read_float(value.bytes(message)?)?;
            let given = builder.float(at, float);
            given.map_err(|reason| ReadError::within(message, reason))
        }
        3 => {
            let exemplar = value.bytes(message)?;
            let weighed = builder.weigh(size_of::<Exemplar>() + exemplar.as_bytes().len());
            weighed.map_err(|reason| ReadError::within(&exemplar, reason))?;
            let exemplar = read_exemplar(exemplar, builder)?;
            builder.exemplar(exemplar);
            Ok(())
        }
        4 => {
            let sample = value.bytes(message)?;
            let weighed = builder.weigh(histogram::weight(sample));
            weighed.map_err(|reason| ReadError::within(&sample, reason))?;
            builder.histogram(histogram::read(sample)?);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The name and the value of a label, not known to be UTF-8 yet.
#[inline]
fn read_label(message: Wire<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    // As everyone writes it: both texts, in this order, both short.
    if let [0x0a, name_length @ 0..0x80, rest @ ..] = message.as_bytes()
        && let Some((name, rest)) = rest.split_at_checked(usize::from(*name_length))
        && let [0x12, value_length @ 0..0x80, value @ ..] = rest
        && value.len() == usize::from(*value_length)
    {
        return Ok((name, value));
    }
    read_any_label(message)
}

fn read_any_label(mut message: Wire<'_>) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut name, mut label) = (Wire::new(&[]), Wire::new(&[]));
    while let Some((number, value)) = message.field()? {
        // The last one counts; the others must be texts all the same.
        match number {
            1 => {
                name.text()?;
                name = value.bytes(&message)?;
            }
            2 => {
                label.text()?;
                label = value.bytes(&message)?;
            }
            _ => {}
        }
    }
    Ok((name.as_bytes(), label.as_bytes()))
}

/// Instant and value of a float.
#[inline]
fn read_float(message: Wire<'_>) -> Result<(i64, f64), Malformed> {
    if let [0x09, rest @ ..] = message.as_bytes()
        && let Some((value, [0x10, at @ ..])) = rest.split_first_chunk()
        && let Some(at) = short_varint(at)
    {
        return Ok((at as i64, f64::from_le_bytes(*value)));
    }
    read_any_float(message)
}

/// The varint of at most nine bytes that `bytes` are, if they are one.
#[inline]
fn short_varint(bytes: &[u8]) -> Option<u64> {
    let (last, head) = bytes.split_last()?;
    if *last >= 0x80 || head.len() > 8 {
        return None;
    }
    let mut value = u64::from(*last);
    for byte in head.iter().rev() {
        if *byte < 0x80 {
            return None;
        }
        value = value << 7 | u64::from(byte & 0x7f);
    }
    Some(value)
}

fn read_any_float(mut message: Wire<'_>) -> Result<(i64, f64), Malformed> {
    let (mut at, mut float) = (0, 0.0);
    while let Some((number, value)) = message.field()? {
        match number {
            1 => float = value.double(&message)?,
            2 => at = value.varint(&message)? as i64,
            _ => {}
        }
    }
    Ok((at, float))
}

fn read_exemplar(mut message: Wire<'_>, builder: &mut Builder<'_>) -> Result<Exemplar, ReadError> {
    let mut pairs = Vec::new();
    let (mut float, mut at) = (0.0, 0);
    while let Some((number, value)) = message.field()? {
        match number {
            1 => {
                let label = value.bytes(&message)?;
                let (name, value) = read_label(label)?;
                let weighed = builder.weigh(size_of::<(&str, &str)>());
                weighed.map_err(|reason| ReadError::within(&label, reason))?;
                pairs.push((Wire::new(name).text()?, Wire::new(value).text()?));
            }
            2 => float = value.double(&message)?,
            3 => at = value.varint(&message)? as i64,
            _ => {}
        }
    }
    Ok(Exemplar {
        labels: Labels::from_pairs(pairs),
        value: float,
        timestamp: Some(Timestamp(at)),
    })
}

fn read_metadata(mut message: Wire<'_>) -> Result<Metadata, Malformed> {
    let text = |value: Value<'_>, of: &Wire<'_>| Ok(value.bytes(of)?.text()?.to_owned());
    let mut metadata = Metadata::default();
    while let Some((number, value)) = message.field()? {
        match number {
            1 => metadata.metric_type = metric_type(value.varint(&message)? as i32),
            2 => metadata.family = text(value, &message)?,
            4 => metadata.help = text(value, &message)?,
            5 => metadata.unit = text(value, &message)?,
            _ => {}
        }
    }
    Ok(metadata)
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
