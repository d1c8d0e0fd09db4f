//! Series to JSON lines.
//!
//! Where a line ends depends on how many samples the series had before and on nothing else: neither on
//! how the store has cut its blocks nor on what is written at once. So the same samples are the same bytes.

use model::histogram::{CounterResetHint, Histogram, Span};
use model::labels::Labels;
use model::vector::{write_labels, write_list};

use super::number::write_float;

/// Floats in a line.
pub const LINE_FLOATS: usize = 8192;
/// Native histograms in a line.
pub const LINE_HISTOGRAMS: usize = 256;

/// Appends all samples of a series, in as many lines as it takes. Floats and histograms are each in
/// order of time.
pub fn write_series<'a>(
    out: &mut String,
    labels: &Labels,
    timestamps: &[i64],
    values: &[f64],
    histograms: impl Iterator<Item = (i64, &'a Histogram)>,
) {
    let chunks = timestamps
        .chunks(LINE_FLOATS)
        .zip(values.chunks(LINE_FLOATS));
    for (timestamps, values) in chunks {
        begin(out, labels, timestamps, values);
        out.push_str("}\n");
    }
    let mut histograms = histograms.peekable();
    while histograms.peek().is_some() {
        let line: Vec<_> = histograms.by_ref().take(LINE_HISTOGRAMS).collect();
        begin(out, labels, &[], &[]);
        out.push_str(",\"histograms\":");
        write_list(out, &line, |out, (_, histogram)| {
            write_histogram(out, histogram);
        });
        out.push_str(",\"histogram_timestamps\":");
        write_list(out, &line, |out, (at, _)| write_integer(out, *at));
        out.push_str("}\n");
    }
}

fn begin(out: &mut String, labels: &Labels, timestamps: &[i64], values: &[f64]) {
    out.push_str("{\"metric\":");
    write_labels(out, labels);
    out.push_str(",\"values\":");
    write_list(out, values, |out, value| write_float(out, *value));
    out.push_str(",\"timestamps\":");
    write_list(out, timestamps, |out, at| write_integer(out, *at));
}

fn write_integer(out: &mut String, value: i64) {
    use std::fmt::Write as _;
    // Writing to a text does not fail.
    let _ = write!(out, "{value}");
}

fn write_histogram(out: &mut String, histogram: &Histogram) {
    out.push_str("{\"schema\":");
    write_integer(out, i64::from(histogram.schema));
    for (name, value, is_always_written) in [
        ("count", histogram.count, true),
        ("sum", histogram.sum, true),
        ("zero_threshold", histogram.zero_threshold, false),
        ("zero_count", histogram.zero_count, false),
    ] {
        // Minus zero is not zero.
        if is_always_written || value.to_bits() != 0 {
            key(out, name);
            write_float(out, value);
        }
    }
    for (name, spans, buckets_name, buckets) in [
        (
            "positive_spans",
            &histogram.positive_spans,
            "positive_buckets",
            &histogram.positive_buckets,
        ),
        (
            "negative_spans",
            &histogram.negative_spans,
            "negative_buckets",
            &histogram.negative_buckets,
        ),
    ] {
        if !spans.is_empty() {
            key(out, name);
            write_list(out, spans, |out, span| write_span(out, *span));
        }
        write_floats(out, buckets_name, buckets);
    }
    write_floats(out, "custom_values", &histogram.custom_values);
    let hint = match histogram.counter_reset_hint {
        CounterResetHint::Unknown => None,
        CounterResetHint::Reset => Some("\"reset\""),
        CounterResetHint::NotReset => Some("\"not_reset\""),
        CounterResetHint::Gauge => Some("\"gauge\""),
    };
    if let Some(hint) = hint {
        key(out, "counter_reset_hint");
        out.push_str(hint);
    }
    out.push('}');
}

fn key(out: &mut String, name: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
}

fn write_floats(out: &mut String, name: &str, values: &[f64]) {
    if !values.is_empty() {
        key(out, name);
        write_list(out, values, |out, value| write_float(out, *value));
    }
}

fn write_span(out: &mut String, span: Span) {
    out.push('[');
    write_integer(out, i64::from(span.offset));
    out.push(',');
    write_integer(out, i64::from(span.length));
    out.push(']');
}
