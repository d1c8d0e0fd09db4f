//! How many streams, entries and pairs a protobuf push holds, before any of it is allocated.
//!
//! An empty message takes two bytes on the wire and some forty times that decoded, so a limit on the
//! bytes of a push does not bound the memory it asks for. This walk over the wire format does: it
//! allocates nothing, and follows only the messages that are repeated.

use storage::codec::{Cursor, Malformed};

/// Field of the streams in a push.
const STREAMS: u64 = 1;
/// Field of the entries in a stream.
const ENTRIES: u64 = 2;
/// Field of the structured metadata in an entry.
const METADATA: u64 = 3;

/// Streams, entries and pairs of metadata together.
pub(super) fn items(push: &[u8]) -> Result<usize, Malformed> {
    let mut items = 0usize;
    each_message(push, STREAMS, &mut |stream| {
        items += 1;
        each_message(stream, ENTRIES, &mut |entry| {
            items += 1;
            each_message(entry, METADATA, &mut |_| {
                items += 1;
                Ok(())
            })
        })
    })?;
    Ok(items)
}

/// Shows every message that a field of `bytes` holds.
fn each_message(
    bytes: &[u8],
    field: u64,
    visit: &mut dyn FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<(), Malformed> {
    let mut cursor = Cursor::new(bytes);
    while !cursor.is_at_end() {
        let key = cursor.uvarint()?;
        match key & 7 {
            0 => drop(cursor.uvarint()?),
            1 => drop(cursor.take(8)?),
            2 => {
                let message = cursor.bytes()?;
                if key >> 3 == field {
                    visit(message)?;
                }
            }
            5 => drop(cursor.take(4)?),
            _ => return Err(cursor.malformed("a wire type of protobuf")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use model::wire::loki_push::{LabelPair, ProtoTimestamp, PushEntry, PushRequest, Stream};
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    #[test]
    fn everything_that_is_repeated_counts() {
        let entry = |pairs: usize| PushEntry {
            timestamp: Some(ProtoTimestamp::from_nanos(5)),
            line: "x".to_owned(),
            structured_metadata: vec![LabelPair::default(); pairs],
        };
        let stream = |entries: &[usize]| Stream {
            labels: "{a=\"b\"}".to_owned(),
            entries: entries.iter().map(|pairs| entry(*pairs)).collect(),
        };
        let push = PushRequest {
            streams: vec![stream(&[0, 2]), stream(&[]), stream(&[1])],
        };
        assert_eq!(items(&push.encode_to_vec()), Ok(3 + 3 + 3));
    }

    proptest! {
        #[test]
        fn any_bytes_are_weighed_without_a_panic(bytes: Vec<u8>) {
            let _ = items(&bytes);
        }
    }
}
