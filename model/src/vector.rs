//! What a query answers, and its JSON.
//!
//! Prometheus and Loki write instant vectors and matrices alike, so the shapes and the number
//! formats live here once. Numbers are texts in JSON (`"1.5"`, `"NaN"`, `"+Inf"`), times are
//! seconds with at most three decimals.

use std::fmt::Write as _;

use crate::histogram::Histogram;
use crate::labels::Labels;
use crate::time::Timestamp;

/// A value at one instant.
#[derive(Clone, Debug, PartialEq)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Box<Histogram>),
}

/// One series of an instant vector.
#[derive(Clone, Debug, PartialEq)]
pub struct InstantSample {
    /// Labels of the result.
    pub labels: Labels,
    /// The instant asked for.
    pub timestamp: Timestamp,
    /// The value there.
    pub value: SampleValue,
}

/// One series of a matrix. Points are ascending in time; an instant has a float or a histogram.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeSeries {
    /// Labels of the result.
    pub labels: Labels,
    /// Float points.
    pub floats: Vec<(Timestamp, f64)>,
    /// Histogram points.
    pub histograms: Vec<(Timestamp, Histogram)>,
}

/// The value of a whole query.
#[derive(Clone, Debug, PartialEq)]
pub enum QueryValue {
    /// One number.
    Scalar(Timestamp, f64),
    /// One text.
    String(Timestamp, String),
    /// Series at one instant.
    Vector(Vec<InstantSample>),
    /// Series over time.
    Matrix(Vec<RangeSeries>),
}

impl InstantSample {
    /// The memory it takes.
    pub fn bytes(&self) -> usize {
        let histogram = match &self.value {
            SampleValue::Float(_) => 0,
            SampleValue::Histogram(histogram) => histogram_bytes(histogram),
        };
        size_of::<Self>() + self.labels.as_encoded().len() + histogram
    }

    /// Appends it as the API writes it.
    pub fn write_json(&self, out: &mut String) {
        out.push_str("{\"metric\":");
        write_labels(out, &self.labels);
        match &self.value {
            SampleValue::Float(value) => {
                out.push_str(",\"value\":");
                write_point(out, self.timestamp, *value);
            }
            SampleValue::Histogram(histogram) => {
                out.push_str(",\"histogram\":");
                write_histogram_point(out, self.timestamp, histogram);
            }
        }
        out.push('}');
    }
}

impl RangeSeries {
    /// The memory it takes.
    pub fn bytes(&self) -> usize {
        let histograms = self.histograms.iter().map(|(_, h)| histogram_bytes(h));
        size_of::<Self>()
            + self.labels.as_encoded().len()
            + self.floats.len() * size_of::<(Timestamp, f64)>()
            + histograms.sum::<usize>()
    }

    /// Appends it as the API writes it.
    pub fn write_json(&self, out: &mut String) {
        out.push_str("{\"metric\":");
        write_labels(out, &self.labels);
        if !self.floats.is_empty() || self.histograms.is_empty() {
            out.push_str(",\"values\":");
            write_list(out, &self.floats, |out, (at, value)| {
                write_point(out, *at, *value);
            });
        }
        if !self.histograms.is_empty() {
            out.push_str(",\"histograms\":");
            write_list(out, &self.histograms, |out, (at, histogram)| {
                write_histogram_point(out, *at, histogram);
            });
        }
        out.push('}');
    }
}

fn histogram_bytes(histogram: &Histogram) -> usize {
    size_of::<(Timestamp, Histogram)>() + histogram.budget_size() * size_of::<(Timestamp, f64)>()
}

impl QueryValue {
    /// The memory it takes.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Scalar(..) => 0,
            Self::String(_, text) => text.len(),
            Self::Vector(samples) => samples.iter().map(InstantSample::bytes).sum(),
            Self::Matrix(series) => series.iter().map(RangeSeries::bytes).sum(),
        }
    }

    /// The `resultType` of the API.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar(..) => "scalar",
            Self::String(..) => "string",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
        }
    }

    /// Appends the `result` of the API.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Scalar(at, value) => write_point(out, *at, *value),
            Self::String(at, text) => {
                out.push('[');
                write_time(out, *at);
                out.push(',');
                write_text(out, text);
                out.push(']');
            }
            Self::Vector(samples) => {
                write_list(out, samples, |out, sample| sample.write_json(out));
            }
            Self::Matrix(series) => {
                write_list(out, series, |out, series| series.write_json(out));
            }
        }
    }
}

/// Appends `[a,b,…]`.
pub fn write_list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Appends a label set as an object.
pub fn write_labels(out: &mut String, labels: &Labels) {
    write_pairs(out, labels.iter());
}

/// Appends names and their texts as an object.
pub fn write_pairs<'a>(out: &mut String, pairs: impl Iterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (index, (name, value)) in pairs.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, name);
        out.push(':');
        write_text(out, value);
    }
    out.push('}');
}

/// Appends a JSON string.
pub fn write_text(out: &mut String, text: &str) {
    out.push('"');
    if text.bytes().all(is_plain) {
        out.push_str(text);
    } else {
        write_escaped(out, text);
    }
    out.push('"');
}

/// Whether a byte of a text stands for itself in a JSON string.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\'
}

fn write_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if (c as u32) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
}

/// Appends an instant in seconds, with three decimals where it is not whole.
pub fn write_time(out: &mut String, at: Timestamp) {
    let millis = at.millis();
    if millis < 0 {
        out.push('-');
    }
    let magnitude = millis.unsigned_abs();
    out.push_str(itoa::Buffer::new().format(magnitude / 1000));
    if !magnitude.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", magnitude % 1000);
    }
}

/// Appends `[time,"value"]`.
pub fn write_point(out: &mut String, at: Timestamp, value: f64) {
    out.push('[');
    write_time(out, at);
    out.push_str(",\"");
    write_float(out, value);
    out.push_str("\"]");
}

fn write_histogram_point(out: &mut String, at: Timestamp, histogram: &Histogram) {
    out.push('[');
    write_time(out, at);
    out.push_str(",{\"count\":\"");
    out.push_str(&format_float(histogram.count));
    out.push_str("\",\"sum\":\"");
    out.push_str(&format_float(histogram.sum));
    out.push('"');
    let mut buckets = histogram.all_buckets();
    buckets.retain(|bucket| bucket.count != 0.0);
    if !buckets.is_empty() {
        out.push_str(",\"buckets\":");
        write_list(out, &buckets, |out, bucket| {
            let _ = write!(
                out,
                "[{},\"{}\",\"{}\",\"{}\"]",
                bucket.boundary_rule(),
                format_float(bucket.lower),
                format_float(bucket.upper),
                format_float(bucket.count)
            );
        });
    }
    out.push_str("}]");
}

/// A float as Prometheus' API writes it: the shortest text that reads back to the same bits,
/// with an exponent below 1e-6 and from 1e21 on. Source: Prometheus' `util/jsonutil`.
pub fn format_float(value: f64) -> String {
    let mut text = String::new();
    write_float(&mut text, value);
    text
}

/// Appends a float as [`format_float`] gives it.
pub fn write_float(out: &mut String, value: f64) {
    let magnitude = value.abs();
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else if value.to_bits() == (-0.0_f64).to_bits() {
        out.push_str("-0");
    } else if magnitude < 1e15 && value.trunc() == value {
        // Most values are counts, and no search is needed for their shortest text.
        out.push_str(itoa::Buffer::new().format(value as i64));
    } else if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        Shortest::of(value).write_with_exponent(out, 1);
    } else {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        // It has an exponent sooner than this format, and a decimal where none is needed.
        if text.contains('e') || text.ends_with(".0") {
            Shortest::of(value).write(out);
        } else {
            out.push_str(text);
        }
    }
}

/// A float as Go's `%g` writes it: the shortest text, with an exponent of at least two digits
/// below 1e-4 and from 1e6 on. Annotations, and histograms in labels, are written so.
pub fn format_general(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() || magnitude == 0.0 || (1e-4..1e6).contains(&magnitude) {
        return format_float(value);
    }
    let mut text = String::new();
    Shortest::of(value).write_with_exponent(&mut text, 2);
    text
}

/// The fewest digits that read back to the same float, and of those with as few the closest: of two that are
/// as close the even one, as in Go, where the standard library's formatting takes the greater.
struct Shortest {
    is_negative: bool,
    /// No zeros at either end, but for zero itself.
    digits: String,
    /// How many digits stand before the point; below 0, how many zeros after it.
    point: i32,
}

impl Shortest {
    /// Of a float that is finite.
    fn of(value: f64) -> Self {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mantissa = mantissa.trim_start_matches('-');
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let zeros = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_matches('0');
        Self {
            is_negative: value.is_sign_negative(),
            digits: if digits.is_empty() { "0" } else { digits }.to_owned(),
            point: whole.len() as i32 - zeros as i32 + exponent.parse().unwrap_or(0),
        }
    }

    fn write_sign(&self, out: &mut String) {
        if self.is_negative {
            out.push('-');
        }
    }

    fn write(&self, out: &mut String) {
        self.write_sign(out);
        let count = self.digits.len();
        match usize::try_from(self.point) {
            Ok(0) | Err(_) => {
                out.push_str("0.");
                (self.point..0).for_each(|_| out.push('0'));
                out.push_str(&self.digits);
            }
            Ok(point) if point >= count => {
                out.push_str(&self.digits);
                (count..point).for_each(|_| out.push('0'));
            }
            Ok(point) => {
                let (whole, fraction) = self.digits.split_at(point);
                out.push_str(whole);
                out.push('.');
                out.push_str(fraction);
            }
        }
    }

    /// With an exponent that has a sign and so many digits at the least.
    fn write_with_exponent(&self, out: &mut String, width: usize) {
        self.write_sign(out);
        let (first, rest) = self.digits.split_at(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let exponent = self.point - 1;
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:0width$}", exponent.unsigned_abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Span;

    #[test]
    fn a_histogram_is_upstream_json() {
        let histogram = Histogram {
            count: 3.0,
            sum: 2.5,
            zero_count: 1.0,
            zero_threshold: 0.5,
            positive_spans: vec![Span {
                offset: 1,
                length: 1,
            }],
            positive_buckets: vec![2.0],
            ..Histogram::default()
        };
        let value = QueryValue::Vector(vec![InstantSample {
            labels: Labels::empty(),
            timestamp: Timestamp(1000),
            value: SampleValue::Histogram(Box::new(histogram)),
        }]);
        let mut out = String::new();
        value.write_json(&mut out);
        assert_eq!(
            out,
            r#"[{"metric":{},"histogram":[1,{"count":"3","sum":"2.5","buckets":[[3,"-0.5","0.5","1"],[0,"1","2","2"]]}]}]"#
        );
    }

    #[test]
    fn floats_are_the_shortest_texts_however_they_are_made() {
        let mut bits = 1_u64;
        for exponent in -8..23 {
            for _ in 0..500 {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let fraction = 1.0 + (bits >> 12) as f64 / (1_u64 << 52) as f64 * 9.0;
                for value in [
                    fraction,
                    -fraction,
                    fraction.trunc(),
                    (fraction * 8.0).round() / 8.0,
                ] {
                    let value = value * 10_f64.powi(exponent);
                    let text = format_float(value);
                    assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(value.to_bits()));
                    // No shorter than the standard library's, which breaks ties otherwise.
                    if (1e-6..1e21).contains(&value.abs()) {
                        assert_eq!(text.len(), format!("{value}").len(), "{text}");
                    }
                }
            }
        }
        assert_eq!(format_float(-0.0), "-0");
        assert_eq!(format_float(0.0), "0");
    }

    #[test]
    fn general_floats_are_as_in_go() {
        for (value, text) in [
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1.5e22, "1.5e+22"),
            (1e100, "1e+100"),
            (100_000.0, "100000"),
            (1_234_567.0, "1.234567e+06"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_general(value), text);
        }
    }

    #[test]
    fn floats_read_as_upstream_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.1"),
            (1e20, "100000000000000000000"),
            (123_456_789_012_345_680_000.0, "123456789012345680000"),
            (1e15, "1000000000000000"),
            (2.5e-5, "0.000025"),
            (-0.25, "-0.25"),
            (3_362_716_315_600.781_3, "3362716315600.7812"),
            (3_362_716_315_600.718_8, "3362716315600.7188"),
            (-1.25e-300, "-1.25e-300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
            (1e21, "1e+21"),
            (1.5e-7, "1.5e-7"),
            (0.000_001, "0.000001"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(format_float(value), text);
        }
    }

    #[test]
    fn a_vector_is_upstream_json() {
        let value = QueryValue::Vector(vec![InstantSample {
            labels: Labels::from_pairs([("__name__", "up"), ("a", "x\"y")]),
            timestamp: Timestamp(1_435_781_451_781),
            value: SampleValue::Float(1.5),
        }]);
        let mut out = String::new();
        value.write_json(&mut out);
        assert_eq!(
            out,
            r#"[{"metric":{"__name__":"up","a":"x\"y"},"value":[1435781451.781,"1.5"]}]"#
        );
    }
}
