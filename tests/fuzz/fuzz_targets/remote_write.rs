//! A remote write: any bytes as they are, and any bytes as what snappy unpacks to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::time::TimeRange;
use tsdb::ingest::limits::IngestLimits;
use tsdb::ingest::remote_write::{Unpacked, decode, decode_unpacked};

fuzz_target!(|bytes: &[u8]| {
    let limits = IngestLimits::default();
    let _ = decode(bytes, &limits, TimeRange::ALL, &mut Unpacked::default());
    let _ = decode_unpacked(bytes, &limits, TimeRange::ALL);
});
