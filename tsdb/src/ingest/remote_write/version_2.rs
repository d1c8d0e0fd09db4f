//! The bytes of a remote write 2.0 (`io.prometheus.write.v2.Request`) to a batch.
//!
//! Texts are in a table of symbols that series refer to. The table may come behind them, so it is read
//! first, and then the series in one pass that feeds a [`Builder`], as in version 1. What a sender says of
//! one series alone costs that series alone: a reference to no symbol, or a series without a sample.
//!
//! ```text
//! Request     4 symbols*: text, 5 timeseries*
//! TimeSeries  1 labels_refs: packed uvarint, 2 samples*, 3 histograms*, 4 exemplars*, 5 metadata,
//!             6 created timestamp of all samples (drafts of the specification had it here)
//! Sample      1 value: f64, 2 timestamp, 3 start timestamp
//! Histogram   as in version 1, and 17 start timestamp
//! Exemplar    1 labels_refs, 2 value: f64, 3 timestamp
//! Metadata    1 type, 3 help_ref, 4 unit_ref
//! ```
//!
//! Source: the specification of Prometheus remote write 2.0.

use model::labels::{Labels, METRIC_NAME};
use model::sample::{Exemplar, Metadata, MetricType};
use model::time::{TimeRange, Timestamp};
use storage::codec::Malformed;

use super::{DecodeError, ReadError, histogram};
use crate::ingest::batch::{Batch, Start};
use crate::ingest::build::{Builder, GiveUp};
use crate::ingest::limits::IngestLimits;
use crate::ingest::protobuf::{Value, Wire};
use crate::ingest::refusal::{Refusal, Refused};
use crate::store::registry::ActiveRegistries;

/// References of a series that are repeated in an error.
const REFERENCES_SHOWN: usize = 16;

/// Decodes a message into `batch`, which is empty.
pub(super) fn decode_into(
    batch: Batch,
    message: &[u8],
    limits: &IngestLimits,
    accepted: TimeRange,
    registries: &ActiveRegistries,
) -> Result<(Batch, Refused), DecodeError> {
    let message = Wire::new(message);
    let mut builder = Builder::new(batch, limits, accepted, registries);
    let read = read_symbols(message, limits, &mut builder).and_then(|symbols| {
        let mut reader = Reader {
            symbols,
            references: Vec::new(),
            starts: Vec::new(),
            described: None,
        };
        reader.read(message, &mut builder)
    });
    match read {
        Ok(()) => Ok(builder.finish()),
        Err(Failure::Read(ReadError::Malformed(malformed))) => Err(malformed.into()),
        Err(Failure::Read(ReadError::TooHeavy(bytes))) => Err(DecodeError::TooHeavy {
            bytes,
            limit: limits.decoded_bytes_max,
        }),
        Err(Failure::TooManySeries(count)) => Err(DecodeError::TooManySeries {
            count,
            limit: limits.series_max,
        }),
    }
}

/// Why a message is not read to its end.
enum Failure {
    Read(ReadError),
    TooManySeries(usize),
}

impl<E: Into<ReadError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Read(error.into())
    }
}

/// The table of symbols; counts the series on the way.
fn read_symbols<'a>(
    mut message: Wire<'a>,
    limits: &IngestLimits,
    builder: &mut Builder<'_>,
) -> Result<Vec<&'a [u8]>, Failure> {
    let mut symbols = Vec::new();
    let mut series = 0;
    while let Some((number, value)) = message.field()? {
        match number {
            4 => {
                let weighed = builder.weigh(size_of::<&[u8]>());
                weighed.map_err(|reason| ReadError::within(&message, reason))?;
                symbols.push(value.bytes(&message)?.as_bytes());
            }
            5 => series += 1,
            _ => {}
        }
    }
    if series > limits.series_max {
        return Err(Failure::TooManySeries(series));
    }
    Ok(symbols)
}

/// What references cannot be resolved to.
struct Unresolved(String);

/// What a series says of its family.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Description {
    metric_type: u64,
    help: u32,
    unit: u32,
}

/// Reads the series of a request.
struct Reader<'a> {
    symbols: Vec<&'a [u8]>,
    /// Of the series at hand.
    references: Vec<u32>,
    starts: Vec<Start>,
    /// What the series before said, and of which family.
    described: Option<(Description, &'a [u8])>,
}

impl<'a> Reader<'a> {
    fn read(&mut self, mut message: Wire<'a>, builder: &mut Builder<'a>) -> Result<(), Failure> {
        while let Some((number, value)) = message.field()? {
            if number == 5 {
                self.read_series(value.bytes(&message)?, builder)?;
            }
        }
        Ok(())
    }

    fn read_series(
        &mut self,
        series: Wire<'a>,
        builder: &mut Builder<'a>,
    ) -> Result<(), ReadError> {
        self.references.clear();
        self.starts.clear();
        let mut description = Description::default();
        let mut created = 0;
        let mut message = series;
        while let Some((number, value)) = message.field()? {
            match number {
                1 => read_references(value, &message, &mut self.references)?,
                2 => self.read_float(value.bytes(&message)?, builder)?,
                3 => {
                    let sample = value.bytes(&message)?;
                    let weighed = builder.weigh(histogram::weight(sample));
                    weighed.map_err(|reason| ReadError::within(&sample, reason))?;
                    let start = histogram_start(sample)?;
                    let sample = histogram::read(sample)?;
                    self.note_start(sample.timestamp.0, start);
                    builder.histogram(sample);
                }
                4 => self.read_exemplar(value.bytes(&message)?, builder)?,
                5 => description = read_description(value.bytes(&message)?)?,
                6 => created = value.varint(&message)? as i64,
                _ => {}
            }
        }
        let given_up = |reason: GiveUp| ReadError::within(&series, reason);
        let resolved = self.each_pair(&self.references, |name, value| builder.label(name, value));
        let resolved = resolved.map_err(given_up)?;
        let family = resolved.and_then(|()| self.family(description));
        let family = match family {
            Ok(family) => family,
            Err(Unresolved(reason)) => {
                let shown = self.references.iter().take(REFERENCES_SHOWN);
                let references = shown.copied().collect();
                builder.refuse_series(|_| Refusal::BadReferences { references, reason });
                return Ok(());
            }
        };
        if !builder.has_samples() {
            builder.refuse_series(|labels| Refusal::NoSamples { labels });
            return Ok(());
        }
        if created != 0 && self.starts.is_empty() {
            let starts = builder.instants().map(|at| Start { at, start: created });
            self.starts.extend(starts);
        }
        let bytes = self.starts.len() * size_of::<(usize, Start)>();
        builder.weigh(bytes).map_err(given_up)?;
        if builder.end_series().map_err(given_up)? {
            builder.start_series(&self.starts);
            if let Some(family) = family {
                let bytes = size_of::<Metadata>() + family.help.len() + family.family.len();
                builder.weigh(bytes).map_err(given_up)?;
                builder.metadata(family);
            }
        }
        Ok(())
    }

    fn note_start(&mut self, at: i64, start: i64) {
        if start != 0 {
            self.starts.push(Start { at, start });
        }
    }

    fn read_float(
        &mut self,
        mut message: Wire<'a>,
        builder: &mut Builder<'a>,
    ) -> Result<(), ReadError> {
        let (mut at, mut float, mut start) = (0, 0.0, 0);
        while let Some((number, value)) = message.field()? {
            match number {
                1 => float = value.double(&message)?,
                2 => at = value.varint(&message)? as i64,
                3 => start = value.varint(&message)? as i64,
                _ => {}
            }
        }
        self.note_start(at, start);
        let given = builder.float(at, float);
        given.map_err(|reason| ReadError::within(&message, reason))
    }

    /// Reads an exemplar. One that refers to no symbol is left out, and said.
    fn read_exemplar(
        &self,
        mut message: Wire<'a>,
        builder: &mut Builder<'a>,
    ) -> Result<(), ReadError> {
        let weighed = builder.weigh(size_of::<Exemplar>() + 8 * message.as_bytes().len());
        weighed.map_err(|reason| ReadError::within(&message, reason))?;
        let mut references = Vec::new();
        let (mut float, mut at) = (0.0, 0);
        while let Some((number, value)) = message.field()? {
            match number {
                1 => read_references(value, &message, &mut references)?,
                2 => float = value.double(&message)?,
                3 => at = value.varint(&message)? as i64,
                _ => {}
            }
        }
        let mut pairs = Vec::new();
        let resolved = self.each_pair(&references, |name, value| {
            builder.weigh(name.len() + value.len() + size_of::<(&str, &str)>())?;
            pairs.push((name, value));
            Ok(())
        });
        match resolved.map_err(|reason| ReadError::within(&message, reason))? {
            Ok(()) => {
                let mut texts = Vec::with_capacity(pairs.len());
                for (name, value) in pairs {
                    texts.push((Wire::new(name).text()?, Wire::new(value).text()?));
                }
                builder.exemplar(Exemplar {
                    labels: Labels::from_pairs(texts),
                    value: float,
                    timestamp: Some(Timestamp(at)),
                });
            }
            Err(Unresolved(reason)) => {
                let reason = format!("of an exemplar: {reason}");
                references.truncate(REFERENCES_SHOWN);
                builder.refuse(0, || Refusal::BadReferences { references, reason });
            }
        }
        Ok(())
    }

    /// Takes each pair that references stand for, up to the first that is none.
    fn each_pair(
        &self,
        references: &[u32],
        mut take: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), GiveUp>,
    ) -> Result<Result<(), Unresolved>, GiveUp> {
        let (pairs, rest) = references.as_chunks();
        if !rest.is_empty() {
            let reason = format!("invalid labelRefs length {}", references.len());
            return Ok(Err(Unresolved(reason)));
        }
        let symbol = |reference: u32| self.symbols.get(reference as usize).copied();
        for [name, value] in pairs {
            let Some((name, value)) = symbol(*name).zip(symbol(*value)) else {
                let size = self.symbols.len();
                return Ok(Err(Unresolved(format!(
                    "labelRefs {name} (name) = {value} (value) outside of symbols table (size {size})"
                ))));
            };
            take(name, value)?;
        }
        Ok(Ok(()))
    }

    /// What the series at hand says of its family, where that is news.
    fn family(&mut self, description: Description) -> Result<Option<Metadata>, Unresolved> {
        if description == Description::default() {
            return Ok(None);
        }
        let text = |reference: u32| {
            let symbol = self.symbols.get(reference as usize).copied();
            let text = symbol.and_then(|symbol| std::str::from_utf8(symbol).ok());
            // Where nothing is said, nothing need be in the table either.
            match (text, reference) {
                (Some(text), _) => Ok(text.to_owned()),
                (None, 0) => Ok(String::new()),
                (None, _) => {
                    let size = self.symbols.len();
                    let reason = format!(
                        "metadata: {reference} is no text of the symbols table (size {size})"
                    );
                    Err(Unresolved(reason))
                }
            }
        };
        let (help, unit) = (text(description.help)?, text(description.unit)?);
        let metric_type = metric_type(description.metric_type);
        let symbol = |reference: u32| self.symbols.get(reference as usize).copied();
        let mut pairs = self.references.as_chunks().0.iter();
        let named = pairs.find(|[name, _]| symbol(*name) == Some(METRIC_NAME.as_bytes()));
        let name = named.and_then(|[_, value]| Some(without_suffix(symbol(*value)?, metric_type)));
        let Some(name) = name else {
            return Ok(None);
        };
        if self.described.replace((description, name)) == Some((description, name)) {
            return Ok(None);
        }
        Ok(Some(Metadata {
            family: String::from_utf8_lossy(name).into_owned(),
            metric_type,
            help,
            unit,
        }))
    }
}

/// The name of the family of a metric: what the type adds to the names of its series is left out.
fn without_suffix(name: &[u8], metric_type: MetricType) -> &[u8] {
    let suffixes: &[&[u8]] = match metric_type {
        MetricType::Histogram | MetricType::GaugeHistogram => {
            &[b"_bucket", b"_sum", b"_count", b"_gsum", b"_gcount"]
        }
        MetricType::Summary => &[b"_sum", b"_count"],
        _ => &[],
    };
    let short = suffixes
        .iter()
        .find_map(|suffix| name.strip_suffix(*suffix));
    short.unwrap_or(name)
}

const fn metric_type(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

/// References, packed or one by one.
fn read_references(
    value: Value<'_>,
    of: &Wire<'_>,
    references: &mut Vec<u32>,
) -> Result<(), Malformed> {
    let mut packed = match value {
        Value::Bytes(packed) => packed,
        one => {
            references.push(one.varint(of)? as u32);
            return Ok(());
        }
    };
    while !packed.is_empty() {
        references.push(packed.varint()? as u32);
    }
    Ok(())
}

fn read_description(mut message: Wire<'_>) -> Result<Description, Malformed> {
    let mut description = Description::default();
    while let Some((number, value)) = message.field()? {
        match number {
            1 => description.metric_type = value.varint(&message)?,
            3 => description.help = value.varint(&message)? as u32,
            4 => description.unit = value.varint(&message)? as u32,
            _ => {}
        }
    }
    Ok(description)
}

/// When the counts of a histogram started; 0 where that is not said.
fn histogram_start(mut message: Wire<'_>) -> Result<i64, Malformed> {
    let mut start = 0;
    while let Some((number, value)) = message.field()? {
        if number == 17 {
            start = value.varint(&message)? as i64;
        }
    }
    Ok(start)
}
