//! What a part knows of metric families: type, help and unit.
//!
//! ```text
//! families   count uvarint, then per family in the order of names: name, type u8, help, unit
//! type       0 unknown, 1 counter, 2 gauge, 3 histogram, 4 gauge histogram, 5 summary, 6 info,
//!            7 state set
//! ```
//!
//! Texts stand behind their length (uvarint). A type this program does not know is read as unknown.

use std::collections::BTreeMap;

use model::sample::{Metadata, MetricType};
use storage::codec::{Cursor, Malformed, put_bytes, put_uvarint};

const TYPES: [MetricType; 8] = [
    MetricType::Unknown,
    MetricType::Counter,
    MetricType::Gauge,
    MetricType::Histogram,
    MetricType::GaugeHistogram,
    MetricType::Summary,
    MetricType::Info,
    MetricType::StateSet,
];

/// The section's bytes.
pub(super) fn encode(families: &BTreeMap<String, Metadata>) -> Vec<u8> {
    let mut out = Vec::new();
    put_uvarint(&mut out, families.len() as u64);
    for family in families.values() {
        put_bytes(&mut out, family.family.as_bytes());
        let number = TYPES.iter().position(|known| *known == family.metric_type);
        out.push(number.unwrap_or_default() as u8);
        put_bytes(&mut out, family.help.as_bytes());
        put_bytes(&mut out, family.unit.as_bytes());
    }
    out
}

/// Reads the section.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Metadata>, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let count = cursor.count(4)?;
    let mut families = Vec::with_capacity(count);
    for _ in 0..count {
        let family = cursor.text()?.to_owned();
        let number = usize::from(cursor.u8()?);
        families.push(Metadata {
            family,
            metric_type: TYPES.get(number).copied().unwrap_or_default(),
            help: cursor.text()?.to_owned(),
            unit: cursor.text()?.to_owned(),
        });
    }
    Ok(families)
}
