//! Exemplars in order of time.
//!
//! ```text
//! exemplars  per exemplar: instant ivarint (change against the one before), labels text, value f64
//! ```

use model::labels::Labels;
use model::sample::Exemplar;
use model::time::Timestamp;
use storage::codec::{Cursor, Malformed, put_bytes, put_f64, put_ivarint};

/// Appends a body. One without an instant is written at that of the one before.
pub fn encode(exemplars: &[Exemplar], out: &mut Vec<u8>) {
    let mut before = 0i64;
    for exemplar in exemplars {
        let at = exemplar.timestamp.map_or(before, |at| at.0);
        put_ivarint(out, at.wrapping_sub(before));
        put_bytes(out, exemplar.labels.as_encoded().as_bytes());
        put_f64(out, exemplar.value);
        before = at;
    }
}

/// Reads a body of `count` exemplars.
pub fn decode(bytes: &[u8], count: usize) -> Result<Vec<Exemplar>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let mut exemplars = Vec::with_capacity(count.min(bytes.len()));
    let mut at = 0i64;
    for _ in 0..count {
        at = at.wrapping_add(cursor.ivarint()?);
        let labels =
            Labels::from_encoded(cursor.text()?).ok_or_else(|| cursor.malformed("a label set"))?;
        exemplars.push(Exemplar {
            labels,
            value: cursor.f64()?,
            timestamp: Some(Timestamp(at)),
        });
    }
    Ok(exemplars)
}
