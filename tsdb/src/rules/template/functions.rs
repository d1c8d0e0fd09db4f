//! What Prometheus adds to the template language. Source: its `template/template.go`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;

use gotmpl::{FuncMap, Value};
use model::vector::{InstantSample, SampleValue, write_text};

use super::{Outcome, TemplateContext, failed, labels_value, numbers, print, time};

/// Every function there is.
pub(super) const NAMES: [&str; 34] = [
    "args",
    "externalURL",
    "first",
    "graphLink",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "label",
    "match",
    "now",
    "parseDuration",
    "pathPrefix",
    "query",
    "reReplaceAll",
    "safeHtml",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "tmpl",
    "toDuration",
    "toJson",
    "toLower",
    "toTime",
    "toUpper",
    "urlQueryEscape",
    "value",
    "print",
    "printf",
    "println",
];

/// Adds them, but for `tmpl`, which needs the template.
pub(super) fn register(functions: &mut FuncMap, context: &TemplateContext) {
    let mut add = |name: &str, function: fn(&[Value]) -> Outcome| {
        functions.insert(name.to_owned(), Arc::new(function));
    };
    add("args", |all| Ok(args(all)));
    add("first", first);
    add("label", label);
    add("value", value);
    add("strvalue", strvalue);
    add("sortByLabel", sort_by_label);
    add("safeHtml", |all| Ok(text(all, 0)?.into_value()));
    add("title", |all| Ok(title(text(all, 0)?).into_value()));
    add("toUpper", |all| {
        Ok(text(all, 0)?.to_uppercase().into_value())
    });
    add("toLower", |all| {
        Ok(text(all, 0)?.to_lowercase().into_value())
    });
    add("match", |all| {
        Ok(Value::Bool(regex(text(all, 0)?)?.is_match(text(all, 1)?)))
    });
    add("reReplaceAll", |all| {
        let replaced = regex(text(all, 0)?)?.replace_all(text(all, 2)?, text(all, 1)?);
        Ok(replaced.into_value())
    });
    add("stripPort", |all| {
        let address = text(all, 0)?;
        let host = split_host_port(address).map_or(address, |(host, _)| host);
        Ok(host.into_value())
    });
    add("stripDomain", |all| {
        Ok(strip_domain(text(all, 0)?).into_value())
    });
    add("graphLink", |all| Ok(link(text(all, 0)?, 0).into_value()));
    add("tableLink", |all| Ok(link(text(all, 0)?, 1).into_value()));
    add("urlQueryEscape", |all| {
        Ok(query_escape(text(all, 0)?).into_value())
    });
    add("humanize", |all| {
        Ok(numbers::humanize(float(all)?).into_value())
    });
    add("humanize1024", |all| {
        Ok(numbers::humanize_1024(float(all)?).into_value())
    });
    add("humanizeDuration", |all| {
        Ok(numbers::humanize_duration(float(all)?).into_value())
    });
    add("humanizePercentage", |all| {
        Ok(numbers::humanize_percentage(float(all)?).into_value())
    });
    add("humanizeTimestamp", humanize_timestamp);
    add("toTime", |all| {
        let millis = time::from_seconds(float(all)?).map_err(failed)?;
        Ok(time::value(millis))
    });
    add("toDuration", |all| {
        // Go prints what it calls a duration as `1h2m3s`.
        let millis = (float(all)? * 1000.0) as i64;
        Ok(go_duration(millis).into_value())
    });
    add("parseDuration", |all| {
        let millis = model::time::parse_duration(text(all, 0)?)
            .map_err(|error| failed(error.to_string()))?;
        Ok(Value::Float(millis as f64 / 1000.0))
    });
    add("toJson", |all| {
        let mut out = String::new();
        write_json(&mut out, all.first().unwrap_or(&Value::Nil));
        Ok(out.into_value())
    });
    register_of_context(functions, context);
}

fn register_of_context(functions: &mut FuncMap, context: &TemplateContext) {
    let mut constant = |name: &str, value: Value| {
        functions.insert(name.to_owned(), Arc::new(move |_| Ok(value.clone())));
    };
    let url = &context.external_url;
    let path = url::Url::parse(url).map(|url| url.path().trim_end_matches('/').to_owned());
    constant("externalURL", Value::String(Arc::clone(url)));
    constant("pathPrefix", path.unwrap_or_default().into_value());
    constant("now", Value::Float(context.now.seconds()));
    let query = Arc::clone(&context.query);
    let ask: gotmpl::ValueFunc = Arc::new(move |all: &[Value]| {
        let samples = query(text(all, 0)?).map_err(failed)?;
        let samples: Vec<Value> = samples.iter().map(sample_value).collect();
        Ok(Value::List(samples.into()))
    });
    functions.insert("query".to_owned(), ask);
}

trait IntoValue {
    fn into_value(self) -> Value;
}

impl<T: Into<Arc<str>>> IntoValue for T {
    fn into_value(self) -> Value {
        Value::String(self.into())
    }
}

fn text(all: &[Value], at: usize) -> Result<&str, gotmpl::TemplateError> {
    match all.get(at) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => {
            let (is, at) = (print::go_type(other), at + 1);
            Err(failed(format!(
                "wrong type for value {at}; expected string; got {is}"
            )))
        }
        None => Err(failed(format!(
            "wrong number of args: want {} got {}",
            at + 1,
            all.len()
        ))),
    }
}

/// Numbers, and texts that say one.
fn float(all: &[Value]) -> Result<f64, gotmpl::TemplateError> {
    match all.first() {
        Some(Value::String(text)) => parse_float(text).ok_or_else(|| {
            failed(format!(
                "strconv.ParseFloat: parsing {text:?}: invalid syntax"
            ))
        }),
        Some(value) => value.as_float().ok_or_else(|| {
            let is = print::go_type(value);
            failed(format!("can't convert {is} to float"))
        }),
        None => Err(failed("wrong number of args: want 1 got 0")),
    }
}

fn parse_float(text: &str) -> Option<f64> {
    text.parse().ok()
}

/// A sample as `query` gives it.
fn sample_value(sample: &InstantSample) -> Value {
    let value = match &sample.value {
        SampleValue::Float(value) => *value,
        SampleValue::Histogram(_) => 0.0,
    };
    let pairs: BTreeMap<Arc<str>, Value> = [
        ("Labels".into(), labels_value(&sample.labels)),
        ("Value".into(), Value::Float(value)),
    ]
    .into();
    Value::Map(Arc::new(pairs))
}

fn args(all: &[Value]) -> Value {
    let pairs = all.iter().enumerate();
    let pairs = pairs.map(|(index, value)| (Arc::from(format!("arg{index}")), value.clone()));
    Value::Map(Arc::new(pairs.collect()))
}

fn first(all: &[Value]) -> Outcome {
    match all {
        [Value::List(samples)] => (samples.first().cloned())
            .ok_or_else(|| failed("first() called on vector with no elements")),
        _ => Err(failed("first needs what query gave")),
    }
}

/// The label of a sample; one that is not there is empty.
fn label_of(sample: Option<&Value>, name: &str) -> Outcome {
    match sample.and_then(|sample| sample.field("Labels")) {
        Some(labels) => Ok(labels.field(name).cloned().unwrap_or("".into_value())),
        None => Err(failed("label needs a sample that query gave")),
    }
}

fn label(all: &[Value]) -> Outcome {
    label_of(all.get(1), text(all, 0)?)
}

fn strvalue(all: &[Value]) -> Outcome {
    label_of(all.first(), "__value__")
}

fn value(all: &[Value]) -> Outcome {
    let value = all.first().and_then(|sample| sample.field("Value"));
    (value.cloned()).ok_or_else(|| failed("value needs a sample that query gave"))
}

fn sort_by_label(all: &[Value]) -> Outcome {
    let name = text(all, 0)?;
    let Some(Value::List(samples)) = all.get(1) else {
        return Err(failed("sortByLabel needs a label and what query gave"));
    };
    let mut sorted = samples.to_vec();
    sorted.sort_by_cached_key(|sample| {
        let label = label_of(Some(sample), name).ok();
        label.map(|label| label.to_string()).unwrap_or_default()
    });
    Ok(Value::List(sorted.into()))
}

fn humanize_timestamp(all: &[Value]) -> Outcome {
    let seconds = float(all)?;
    if !seconds.is_finite() {
        return Ok(numbers::significant(seconds).into_value());
    }
    let millis = time::from_seconds(seconds).map_err(failed)?;
    Ok(time::of_millis(millis).into_value())
}

fn regex(pattern: &str) -> Result<regex::Regex, gotmpl::TemplateError> {
    let translated = model::re2::translate(pattern).map_err(failed)?;
    regex::Regex::new(&translated).map_err(|_| failed(format!("error parsing regexp: {pattern:?}")))
}

/// The first letter of each word in upper case, the others as they are.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        if in_word {
            out.push(c);
        } else {
            out.extend(c.to_uppercase());
        }
        in_word = c.is_alphanumeric() || c == '_' || c == '\'';
    }
    out
}

/// `host:port` or `[host]:port` in two.
fn split_host_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    if let Some(host) = host.strip_prefix('[') {
        return Some((host.strip_suffix(']')?, port));
    }
    (!host.contains(':') && !host.contains(['[', ']'])).then_some((host, port))
}

fn strip_domain(address: &str) -> String {
    let (host, port) = match split_host_port(address) {
        Some((host, port)) => (host, Some(port)),
        None => (address, None),
    };
    if host.parse::<IpAddr>().is_ok() {
        return address.to_owned();
    }
    let host = host.split('.').next().unwrap_or_default();
    match port {
        Some(port) if !port.is_empty() => format!("{host}:{port}"),
        _ => host.to_owned(),
    }
}

/// Where the web page shows an expression.
fn link(expression: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", query_escape(expression))
}

/// As Go's `url.QueryEscape`.
pub(in crate::rules) fn query_escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            byte => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A duration as Go prints it: `1h2m3.5s`.
fn go_duration(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let total = millis.unsigned_abs();
    let (hours, minutes) = (total / 3_600_000, total / 60_000 % 60);
    let seconds = model::vector::format_float((total % 60_000) as f64 / 1000.0);
    match (total, hours, minutes) {
        (0, ..) => "0s".to_owned(),
        (1..1000, ..) => format!("{sign}{total}ms"),
        (_, 0, 0) => format!("{sign}{seconds}s"),
        (_, 0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

fn write_json(out: &mut String, value: &Value) {
    match value {
        Value::Nil | Value::Function(_) => out.push_str("null"),
        Value::Bool(_) | Value::Int(_) | Value::Uint(_) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&model::vector::format_float(*value)),
        Value::String(text) => write_text(out, text),
        Value::List(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_json(out, value);
            }
            out.push(']');
        }
        Value::Map(pairs) => {
            out.push('{');
            for (index, (key, value)) in pairs.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(out, key);
                out.push(':');
                write_json(out, value);
            }
            out.push('}');
        }
    }
}
