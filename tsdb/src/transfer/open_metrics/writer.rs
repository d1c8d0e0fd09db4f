//! Series to OpenMetrics.
//!
//! Families are of no stated type: what the store holds of a counter are the series that it is exposed
//! as, and a type would ask for suffixes that those need not have.

use model::labels::{Labels, METRIC_NAME, is_legacy_label_name, is_legacy_metric_name};
use model::sample::is_stale_nan;
use model::time::Timestamp;
use model::vector::{format_float, write_time};

/// The last line.
pub const END: &str = "# EOF\n";

/// What the text cannot say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Native histograms.
    pub histograms: u64,
    /// Staleness markers.
    pub stale_markers: u64,
    /// NaNs that are written, and read back as the ordinary one.
    pub nan_payloads: u64,
}

impl LeftOut {
    /// Whether everything was said, bit for bit.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// Counts what another part of an export left out.
    pub const fn add(&mut self, other: Self) {
        self.histograms += other.histograms;
        self.stale_markers += other.stale_markers;
        self.nan_payloads += other.nan_payloads;
    }
}

/// Appends the floats of a series, a line each, and says what could not be.
pub fn write_series(
    out: &mut String,
    labels: &Labels,
    timestamps: &[i64],
    values: &[f64],
    histograms: usize,
) -> LeftOut {
    let mut left_out = LeftOut {
        histograms: histograms as u64,
        ..LeftOut::default()
    };
    let series = series_text(labels);
    for (at, value) in timestamps.iter().zip(values) {
        if is_stale_nan(*value) {
            left_out.stale_markers += 1;
            continue;
        }
        if value.is_nan() && value.to_bits() != model::sample::NORMAL_NAN_BITS {
            left_out.nan_payloads += 1;
        }
        out.push_str(&series);
        out.push(' ');
        out.push_str(&format_float(*value));
        out.push(' ');
        write_time(out, Timestamp(*at));
        out.push('\n');
    }
    left_out
}

/// `name{a="b"}`, or `{"a name",a="b"}` where the name needs quotes.
fn series_text(labels: &Labels) -> String {
    let mut text = String::new();
    let name = labels.metric_name();
    let mut is_first = true;
    if is_legacy_metric_name(name) {
        text.push_str(name);
    } else {
        text.push('{');
        write_quoted(&mut text, name);
        is_first = false;
    }
    for (label, value) in labels {
        if label == METRIC_NAME {
            continue;
        }
        text.push(if is_first { '{' } else { ',' });
        is_first = false;
        if is_legacy_label_name(label) {
            text.push_str(label);
        } else {
            write_quoted(&mut text, label);
        }
        text.push('=');
        write_quoted(&mut text, value);
    }
    if !is_first {
        text.push('}');
    }
    text
}

fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('"');
}
