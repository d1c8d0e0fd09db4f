//! How much may come in at once.

/// Limits on what is ingested. Every field has a default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IngestLimits {
    /// Labels a series may have.
    pub labels_max: usize,
    /// Length of a label's name.
    pub label_name_bytes_max: usize,
    /// Length of a label's value.
    pub label_value_bytes_max: usize,
    /// Series in one request.
    pub series_max: usize,
    /// Buckets, spans and bounds of one native histogram, together.
    pub histogram_buckets_max: usize,
    /// How far ahead of the clock a sample may be.
    pub future_ms_max: i64,
    /// Size of a request, compressed as it arrives.
    pub request_bytes_max: usize,
    /// Size of a request once it is unpacked.
    pub unpacked_bytes_max: usize,
    /// What a request may take in memory once it is decoded, roughly.
    pub decoded_bytes_max: usize,
    /// Series that were written lately, altogether; beyond it a new one is refused. None is no limit.
    pub series_active_max: Option<u64>,
    /// The same of each target, which is a `job` and an `instance`.
    pub series_per_target_max: Option<u64>,
    /// Metric families whose metadata is remembered.
    pub families_max: usize,
}

impl Default for IngestLimits {
    fn default() -> Self {
        Self {
            labels_max: 128,
            label_name_bytes_max: 1024,
            label_value_bytes_max: 16 << 10,
            series_max: 500_000,
            histogram_buckets_max: 10_000,
            // As upstream's remote write receiver.
            future_ms_max: 600_000,
            request_bytes_max: 32 << 20,
            unpacked_bytes_max: 128 << 20,
            decoded_bytes_max: 512 << 20,
            series_active_max: None,
            series_per_target_max: None,
            families_max: 100_000,
        }
    }
}
