//! What a remote write will take in memory once it is decoded, before any of it is allocated.
//!
//! An empty message takes two bytes on the wire and a hundred times that decoded, so a limit on the
//! bytes of a request does not bound the memory it asks for. This walk over the wire format does: it
//! allocates nothing, and follows only the messages that can be repeated.

use model::wire::remote_write::{
    BucketSpan, LabelPair, MetricMetadata, TimeSeries, WireExemplar, WireHistogram, WireSample,
};
use storage::codec::{Cursor, Malformed};

/// A repeated message: its field, what one takes, and what is repeated in it.
struct Repeated {
    field: u64,
    bytes: usize,
    /// What each byte on the wire may become: packed integers grow eightfold.
    bytes_per_wire_byte: usize,
    inner: &'static [Repeated],
}

const fn repeated<T>(field: u64, inner: &'static [Repeated]) -> Repeated {
    Repeated {
        field,
        bytes: size_of::<T>(),
        bytes_per_wire_byte: 1,
        inner,
    }
}

const REQUEST: &[Repeated] = &[
    repeated::<TimeSeries>(1, SERIES),
    repeated::<MetricMetadata>(3, &[]),
];

const SERIES: &[Repeated] = &[
    repeated::<LabelPair>(1, &[]),
    repeated::<WireSample>(2, &[]),
    repeated::<WireExemplar>(3, &[repeated::<LabelPair>(1, &[])]),
    Repeated {
        field: 4,
        bytes: size_of::<WireHistogram>(),
        bytes_per_wire_byte: 8,
        inner: &[
            repeated::<BucketSpan>(8, &[]),
            repeated::<BucketSpan>(11, &[]),
        ],
    },
];

/// What a request weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Series in it.
    pub(super) series: usize,
    /// Bytes it takes decoded, roughly.
    pub(super) bytes: usize,
}

/// Weighs the bytes of a request.
pub(super) fn weigh(request: &[u8]) -> Result<Weight, Malformed> {
    let mut weight = Weight::default();
    walk(request, REQUEST, &mut weight.bytes, &mut |field| {
        if field == 1 {
            weight.series += 1;
        }
    })?;
    Ok(weight)
}

fn walk(
    message: &[u8],
    fields: &[Repeated],
    bytes: &mut usize,
    met: &mut dyn FnMut(u64),
) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(message);
    while !cursor.is_at_end() {
        let key = cursor.uvarint()?;
        match key & 7 {
            0 => {
                cursor.uvarint()?;
            }
            1 => {
                cursor.take(8)?;
            }
            2 => {
                let body = cursor.bytes()?;
                let known = fields.iter().find(|known| known.field == key >> 3);
                if let Some(known) = known {
                    met(known.field);
                    *bytes = bytes
                        .saturating_add(known.bytes)
                        .saturating_add(body.len().saturating_mul(known.bytes_per_wire_byte));
                    walk(body, known.inner, bytes, &mut |_| {})?;
                }
            }
            5 => {
                cursor.take(4)?;
            }
            _ => return Err(cursor.malformed("a field of a known wire type")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::wire::remote_write::WriteRequest;
    use prost::Message as _;

    use super::*;

    #[test]
    fn empty_messages_weigh_what_they_become() {
        let series = TimeSeries {
            histograms: vec![WireHistogram::default(); 1000],
            ..TimeSeries::default()
        };
        let request = WriteRequest {
            timeseries: vec![series, TimeSeries::default()],
            metadata: Vec::new(),
        };
        let bytes = request.encode_to_vec();
        let weight = weigh(&bytes).expect("own encoding");
        assert_eq!(weight.series, 2);
        assert!(bytes.len() < 20_000);
        assert!(weight.bytes > 1000 * size_of::<WireHistogram>());
    }
}
