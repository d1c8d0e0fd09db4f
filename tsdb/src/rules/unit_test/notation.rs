//! Series as tests write them: `1 2`, `1+2x3`, `_x4`, `stale`, `{{schema:0 count:1}}+{{count:2}}x3`.

use model::histogram::{CounterResetHint, Histogram, Span};
use model::labels::{Labels, METRIC_NAME};
use model::matcher::MatchOp;
use model::sample::stale_nan;

use crate::query::parse_series_selector;

/// Values of one series that a test may have.
const POINTS_MAX: usize = 1_000_000;

/// One place of a sequence.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Point {
    /// Nothing.
    Absent,
    /// A float; the staleness marker among them.
    Float(f64),
    /// A histogram.
    Histogram(Box<Histogram>),
}

/// The labels of `name{a="b"}`.
pub(super) fn labels(text: &str) -> Result<Labels, String> {
    let text = text.trim();
    if text.is_empty()
        || text
            .strip_prefix('{')
            .and_then(|t| t.strip_suffix('}'))
            .is_some_and(|t| t.trim().is_empty())
    {
        return Ok(Labels::empty());
    }
    // A name of its own lets labels alone be read; `{}` around nothing else is no selector.
    let has_name = !text.starts_with('{');
    let named = if has_name {
        text.to_owned()
    } else {
        format!("x{text}")
    };
    let matchers = parse_series_selector(&named).or_else(|_| parse_series_selector(text));
    let matchers = matchers.map_err(|error| format!("{text:?}: {error}"))?;
    let mut pairs = Vec::with_capacity(matchers.len());
    for matcher in matchers {
        if matcher.op() != MatchOp::Equal {
            return Err(format!(
                "{text:?}: write NAME{{LABEL=\"VALUE\"}}, with = only"
            ));
        }
        if has_name || matcher.name() != METRIC_NAME || matcher.value() != "x" {
            pairs.push((matcher.name().to_owned(), matcher.value().to_owned()));
        }
    }
    Ok(Labels::from_pairs(pairs))
}

/// A float as Go reads it.
pub(super) fn float(text: &str) -> Option<f64> {
    let plain = text.trim_start_matches(['+', '-']).trim_start_matches('.');
    match plain.to_lowercase().as_str() {
        "inf" => Some(if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }),
        "nan" => Some(f64::NAN),
        "infinity" => None,
        _ => text.replace('_', "").parse().ok(),
    }
}

/// The points of a series.
pub(super) fn points(text: &str) -> Result<Vec<Point>, String> {
    let mut reader = Reader {
        rest: text.trim_start(),
        points: Vec::new(),
    };
    while !reader.rest.is_empty() {
        reader.item()?;
        let rest = reader.rest.trim_start();
        if rest.len() == reader.rest.len() && !rest.is_empty() {
            return Err(format!(
                "unexpected {rest:?}; a blank belongs between values"
            ));
        }
        reader.rest = rest;
    }
    Ok(reader.points)
}

struct Reader<'a> {
    rest: &'a str,
    points: Vec<Point>,
}

impl<'a> Reader<'a> {
    /// Takes off what `count` bytes at the front are.
    fn take(&mut self, count: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, ""));
        self.rest = rest;
        taken
    }

    fn skip(&mut self, prefix: &str) -> bool {
        let rest = self.rest.strip_prefix(prefix);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn item(&mut self) -> Result<(), String> {
        if self.rest.starts_with("{{") {
            self.histograms()
        } else if self.skip("_") {
            let count = self.times()?.unwrap_or(1);
            self.push_all(count, |_| Ok(Point::Absent))
        } else {
            self.floats()
        }
    }

    fn push_all(
        &mut self,
        count: usize,
        mut point: impl FnMut(usize) -> Result<Point, String>,
    ) -> Result<(), String> {
        if self.points.len().saturating_add(count) > POINTS_MAX {
            return Err(format!("more than {POINTS_MAX} values"));
        }
        for index in 0..count {
            self.points.push(point(index)?);
        }
        Ok(())
    }

    /// How often a value is repeated: `x3`.
    fn times(&mut self) -> Result<Option<usize>, String> {
        if !self.skip("x") {
            return Ok(None);
        }
        let digits = self.rest.find(|c: char| !c.is_ascii_digit());
        let digits = self.take(digits.unwrap_or(self.rest.len()));
        let count = digits.parse();
        count
            .map(Some)
            .map_err(|_| format!("x{digits}: a number of repetitions belongs behind the x"))
    }

    /// A word that may be a number: until a blank, an `x`, or a sign that is not an exponent's.
    fn word(&mut self) -> &'a str {
        let mut before = ' ';
        let mut end = self.rest.len();
        for (at, c) in self.rest.char_indices() {
            let exponent = matches!(before, 'e' | 'E') && matches!(c, '+' | '-');
            let first_sign = at == 0 && matches!(c, '+' | '-');
            let goes_on = first_sign
                || exponent
                || matches!(c, '.' | '_')
                || (c.is_ascii_alphanumeric() && c != 'x');
            if !goes_on {
                end = at;
                break;
            }
            before = c;
        }
        self.take(end)
    }

    fn number(&mut self) -> Result<f64, String> {
        let rest = self.rest;
        let word = self.word();
        float(word).ok_or_else(|| {
            let shown = rest.split_whitespace().next().unwrap_or_default();
            format!("{shown:?} is no value; write 1, 1+2x3, _, _x3, stale or {{{{…}}}}")
        })
    }

    fn floats(&mut self) -> Result<(), String> {
        if self.skip("stale") {
            let count = self.times()?.unwrap_or(0);
            return self.push_all(count + 1, |_| Ok(Point::Float(stale_nan())));
        }
        let first = self.number()?;
        let step = if self.rest.starts_with(['+', '-']) {
            self.number()?
        } else {
            0.0
        };
        let count = self.times()?.unwrap_or(0);
        let mut value = first;
        self.push_all(count + 1, |_| {
            let point = Point::Float(value);
            value += step;
            Ok(point)
        })
    }

    fn histograms(&mut self) -> Result<(), String> {
        let mut current = self.histogram()?;
        let negative = self.rest.starts_with("-{{");
        let step = if negative || self.rest.starts_with("+{{") {
            self.take(1);
            Some(self.histogram()?)
        } else {
            None
        };
        let count = self.times()?.unwrap_or(0);
        self.push_all(count + 1, |index| {
            if let Some(step) = step.as_ref().filter(|_| index > 0) {
                let next = if negative {
                    current.minus(step)
                } else {
                    current.plus(step)
                };
                let next = next.map_err(|_| "histograms of different kinds".to_owned())?;
                current = next.0;
            }
            Ok(Point::Histogram(Box::new(current.clone())))
        })
    }

    /// `{{schema:0 sum:1 count:2 buckets:[1 1]}}`
    fn histogram(&mut self) -> Result<Histogram, String> {
        let end = self.rest.find("}}").ok_or("a histogram ends with }}")?;
        let text = self.take(end + 2);
        let inner = text.strip_prefix("{{").and_then(|t| t.strip_suffix("}}"));
        histogram(inner.unwrap_or_default())
    }
}

/// A histogram without its braces.
fn histogram(text: &str) -> Result<Histogram, String> {
    let mut histogram = Histogram::default();
    let (mut offset, mut negative_offset) = (0, 0);
    let (mut buckets, mut negative_buckets) = (Vec::new(), Vec::new());
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, after) = rest
            .split_once(':')
            .ok_or_else(|| format!("{rest:?}: write KEY:VALUE"))?;
        let (value, after) = match after.strip_prefix('[') {
            Some(list) => list.split_once(']').ok_or("a list ends with ]")?,
            None => after
                .split_at_checked(after.find(char::is_whitespace).unwrap_or(after.len()))
                .unwrap_or((after, "")),
        };
        let wrong = || format!("{key}:{value}: {value:?} is no number");
        let number = || float(value).ok_or_else(wrong);
        let whole = || value.parse::<i32>().map_err(|_| wrong());
        let list = || -> Result<Vec<f64>, String> {
            let words = value.split_whitespace();
            words.map(|word| float(word).ok_or_else(wrong)).collect()
        };
        match key.trim() {
            "schema" => histogram.schema = whole()?,
            "sum" => histogram.sum = number()?,
            "count" => histogram.count = number()?,
            "z_bucket" => histogram.zero_count = number()?,
            "z_bucket_w" => histogram.zero_threshold = number()?,
            "offset" => offset = whole()?,
            "n_offset" => negative_offset = whole()?,
            "buckets" => buckets = list()?,
            "n_buckets" => negative_buckets = list()?,
            "custom_values" => histogram.custom_values = list()?,
            "counter_reset_hint" => {
                histogram.counter_reset_hint = match value {
                    "unknown" => CounterResetHint::Unknown,
                    "reset" => CounterResetHint::Reset,
                    "not_reset" => CounterResetHint::NotReset,
                    "gauge" => CounterResetHint::Gauge,
                    _ => return Err(format!("counter_reset_hint:{value}: unknown hint")),
                };
            }
            key => return Err(format!("{key:?} is no field of a histogram")),
        }
        rest = after.trim_start();
    }
    let spans = |offset: i32, buckets: &[f64]| {
        let length = u32::try_from(buckets.len()).unwrap_or(u32::MAX);
        (length > 0).then_some(Span { offset, length })
    };
    histogram.positive_spans.extend(spans(offset, &buckets));
    histogram.positive_buckets = buckets;
    let negative = spans(negative_offset, &negative_buckets);
    histogram.negative_spans.extend(negative);
    histogram.negative_buckets = negative_buckets;
    Ok(histogram)
}

/// A histogram that a test expects: `{{…}}`.
pub(super) fn expected_histogram(text: &str) -> Result<Histogram, String> {
    match points(text)?.as_slice() {
        [Point::Histogram(histogram)] => Ok(histogram.as_ref().clone()),
        _ => Err(format!("{text:?} must be one histogram: {{{{…}}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let texts: Vec<String> = points(text)?
            .iter()
            .map(|point| match point {
                Point::Absent => "_".to_owned(),
                Point::Float(value) if model::sample::is_stale_nan(*value) => "stale".to_owned(),
                Point::Float(value) => value.to_string(),
                Point::Histogram(histogram) => histogram.to_string(),
            })
            .collect();
        Ok(texts.join(" "))
    }

    #[test]
    fn sequences_are_read_as_upstream_reads_them() {
        for (text, expected) in [
            ("", ""),
            ("1 2 3", "1 2 3"),
            ("0+10x3 7", "0 10 20 30 7"),
            ("10-2x2", "10 8 6"),
            ("-2x1", "-2 -2"),
            ("1x3", "1 1 1 1"),
            ("1 _ _x2 stale 2", "1 _ _ _ stale 2"),
            ("1e3 1e-3 1.5e+2 -1.5", "1000 0.001 150 -1.5"),
            ("NaN Inf -Inf +Inf", "NaN inf -inf inf"),
            ("1+1e1x2", "1 11 21"),
            ("stalex1", "stale stale"),
            (
                "{{count:2 sum:3 buckets:[1 1]}}x1",
                "{count:2, sum:3, (0.5,1]:1, (1,2]:1} {count:2, sum:3, (0.5,1]:1, (1,2]:1}",
            ),
            (
                "{{count:1 buckets:[1]}}+{{count:1 buckets:[1]}}x1",
                "{count:1, sum:0, (0.5,1]:1} {count:2, sum:0, (0.5,1]:2}",
            ),
        ] {
            assert_eq!(shown(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_sequence_is_named() {
        for text in [
            "a",
            "1xb",
            "1,2",
            "1+x3",
            "{{count:1",
            "{{coun:1}}",
            "{{count:a}}",
            "_y",
            "1x99999999",
            "1 2;3",
        ] {
            assert!(points(text).is_err(), "{text}: {:?}", points(text));
        }
    }

    #[test]
    fn labels_are_read() {
        for (text, expected) in [
            ("up", "up"),
            ("up{job=\"x\", a=\"b\"}", "up{a=\"b\", job=\"x\"}"),
            ("{a=\"b\"}", "{a=\"b\"}"),
            ("{__name__=\"y\"}", "y"),
            ("{}", "{}"),
            ("", "{}"),
        ] {
            let found = labels(text).map(|labels| labels.to_string());
            assert_eq!(found.as_deref(), Ok(expected), "{text}");
        }
        assert!(labels("up{a=~\"b\"}").is_err());
        assert!(labels("up{").is_err());
    }
}
