//! A remote write: any bytes as what snappy unpacks to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use model::time::TimeRange;
use tsdb::ingest::limits::IngestLimits;
use tsdb::ingest::remote_write::{Version, decode_unpacked};

fuzz_target!(|bytes: &[u8]| {
    for version in [Version::One, Version::Two] {
        let _ = decode_unpacked(version, bytes, &IngestLimits::default(), TimeRange::ALL);
    }
});
