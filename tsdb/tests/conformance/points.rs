//! Sequences of values: `1 2`, `1+2x3`, `_x4`, `stale`, `{{schema:0 count:1}}+{{count:2}}x3`.

use model::histogram::{CounterResetHint, Histogram, Span};
use model::sample::stale_nan;

/// One place of a sequence.
#[derive(Clone, Debug)]
pub enum Point {
    /// Nothing.
    Absent,
    /// A float; the staleness marker among them.
    Float(f64),
    /// A histogram, and whether its reset hint was given.
    Histogram(Box<Histogram>, bool),
}

/// A float as Go reads it.
pub fn float(text: &str) -> Option<f64> {
    let plain = text.trim_start_matches(['+', '-']).to_lowercase();
    if plain == "inf" {
        return Some(if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        });
    }
    text.parse().ok()
}

/// A value and what follows it.
fn token(text: &str) -> (&str, &str) {
    let mut previous = ' ';
    let end = text
        .char_indices()
        .skip(1)
        .find(|(at, c)| {
            previous = text[..*at].chars().next_back().unwrap_or(' ');
            let exponent = matches!(previous, 'e' | 'E') && matches!(c, '+' | '-');
            !(c.is_ascii_alphanumeric() && *c != 'x' || matches!(c, '.' | '_') || exponent)
        })
        .map_or(text.len(), |(at, _)| at);
    text.split_at(end)
}

/// How often a value is repeated, and what follows.
fn times(text: &str) -> (Option<usize>, &str) {
    let Some(rest) = text.strip_prefix('x') else {
        return (None, text);
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    let count = rest[..end].parse().expect("a number of repetitions");
    (Some(count), &rest[end..])
}

/// The points of a series.
pub fn points(text: &str) -> Vec<Point> {
    let mut points = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = if rest.starts_with("{{") {
            histograms(rest, &mut points)
        } else if let Some(after) = rest.strip_prefix('_') {
            let (count, after) = times(after);
            points.extend((0..count.unwrap_or(1)).map(|_| Point::Absent));
            after
        } else {
            floats(rest, &mut points)
        }
        .trim_start();
    }
    points
}

fn floats<'a>(text: &'a str, points: &mut Vec<Point>) -> &'a str {
    let (first, rest) = token(text);
    let start = if first == "stale" {
        stale_nan()
    } else {
        float(first).unwrap_or_else(|| panic!("{first:?} is no value"))
    };
    let (step, rest) = if rest.starts_with(['+', '-']) {
        let (step, rest) = token(rest);
        (float(step).expect("a step"), rest)
    } else {
        (0.0, rest)
    };
    let (count, rest) = times(rest);
    let mut value = start;
    for _ in 0..=count.unwrap_or(0) {
        points.push(Point::Float(value));
        value += step;
    }
    rest
}

fn histograms<'a>(text: &'a str, points: &mut Vec<Point>) -> &'a str {
    let (histogram, hinted, rest) = histogram(text);
    let sign = rest.chars().next().filter(|c| matches!(c, '+' | '-'));
    let (step, rest) = match sign {
        Some(_) if rest[1..].starts_with("{{") => {
            let (step, _, rest) = self::histogram(&rest[1..]);
            (Some(step), rest)
        }
        _ => (None, rest),
    };
    let (count, rest) = times(rest);
    let mut current = histogram;
    for index in 0..=count.unwrap_or(0) {
        if index > 0
            && let Some(step) = &step
        {
            let next = if sign == Some('-') {
                current.minus(step)
            } else {
                current.plus(step)
            };
            current = next.expect("histograms of one kind").0;
        }
        points.push(Point::Histogram(Box::new(current.clone()), hinted));
    }
    rest
}

fn histogram(text: &str) -> (Histogram, bool, &str) {
    let end = text.find("}}").expect("a closed histogram");
    let mut histogram = Histogram::default();
    let mut hinted = false;
    let (mut offset, mut negative_offset) = (0, 0);
    let (mut buckets, mut negative_buckets) = (Vec::new(), Vec::new());
    let mut rest = text[2..end].trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once(':').expect("key:value");
        let (value, after) = if let Some(list) = after.strip_prefix('[') {
            list.split_once(']').expect("a closed list")
        } else {
            after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()))
        };
        let list = || -> Vec<f64> {
            let words = value.split_whitespace();
            words.map(|word| float(word).expect("a count")).collect()
        };
        let number = || float(value).unwrap_or_else(|| panic!("{value:?} is no number"));
        match key.trim() {
            "schema" => histogram.schema = value.parse().expect("a schema"),
            "sum" => histogram.sum = number(),
            "count" => histogram.count = number(),
            "z_bucket" => histogram.zero_count = number(),
            "z_bucket_w" => histogram.zero_threshold = number(),
            "offset" => offset = value.parse().expect("an offset"),
            "n_offset" => negative_offset = value.parse().expect("an offset"),
            "buckets" => buckets = list(),
            "n_buckets" => negative_buckets = list(),
            "custom_values" => histogram.custom_values = list(),
            "counter_reset_hint" => {
                hinted = true;
                histogram.counter_reset_hint = match value {
                    "unknown" => CounterResetHint::Unknown,
                    "reset" => CounterResetHint::Reset,
                    "not_reset" => CounterResetHint::NotReset,
                    "gauge" => CounterResetHint::Gauge,
                    _ => panic!("unknown reset hint {value:?}"),
                };
            }
            key => panic!("unknown field {key:?} of a histogram"),
        }
        rest = after.trim_start();
    }
    let spans = |offset: i32, buckets: &[f64]| {
        let length = buckets.len() as u32;
        (length > 0).then_some(Span { offset, length })
    };
    histogram.positive_spans.extend(spans(offset, &buckets));
    histogram.positive_buckets = buckets;
    let negative = spans(negative_offset, &negative_buckets);
    histogram.negative_spans.extend(negative);
    histogram.negative_buckets = negative_buckets;
    (histogram, hinted, &text[end + 2..])
}

/// Start times, relative to their points.
pub fn start_times(text: &str) -> Vec<Option<i64>> {
    let signed = |text: &str| {
        let (sign, plain) = match text.strip_prefix('-') {
            Some(plain) => (-1, plain),
            None => (1, text.trim_start_matches('+')),
        };
        sign * super::script::duration(plain)
    };
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('_') {
            let (count, after) = times(after);
            all.extend((0..count.unwrap_or(1)).map(|_| None));
            rest = after.trim_start();
            continue;
        }
        let (first, after) = token(rest);
        let (step, after) = if after.starts_with(['+', '-']) {
            let (step, after) = token(after);
            (signed(step), after)
        } else {
            (0, after)
        };
        let (count, after) = times(after);
        let repetitions = count.unwrap_or(0) as i64;
        all.extend((0..=repetitions).map(|index| Some(signed(first) + index * step)));
        rest = after.trim_start();
    }
    all
}
