//! Go templates over the labels of an entry, for `line_format` and `label_format`.
//!
//! The template is read twice: the library compiles it, and [`reads`] walks its tree for the
//! labels it reads. That tells parsers what to extract, lets a missing label print as nothing (the
//! library would print `<no value>`), and finds calls of unknown functions before the query
//! runs. A template of texts and plain `{{.label}}`s is rendered without the library.

mod date_layout;
mod dates;
mod encoding;
mod numbers;
mod reads;
mod texts;

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::{FuncMap, Template, TemplateError, Value};
use parking_lot::Mutex;

use super::WorkingLabels;
use super::wanted::Names;
use reads::{Reads, SimplePart};

/// What `__error__` says of a template that fails.
const TEMPLATE_FORMAT_ERROR: &str = "TemplateFormatErr";
/// How often `range` may turn in one rendering.
const RANGE_ITERATIONS_MAX: u64 = 10_000;

/// What functions of a template do.
type Outcome = Result<Value, TemplateError>;

/// A compiled template.
pub(super) struct LineTemplate {
    template: Template,
    reads: Reads,
    entry: Arc<Mutex<CurrentEntry>>,
}

/// The entry that `__line__` and `__timestamp__` speak of.
struct CurrentEntry {
    line: Value,
    timestamp: Value,
}

impl LineTemplate {
    pub(super) fn compile(text: &str) -> Result<Self, String> {
        let invalid = |error: &dyn std::fmt::Display| format!("invalid line template: {error}");
        let entry = Arc::new(Mutex::new(CurrentEntry {
            line: Value::Nil,
            timestamp: Value::Nil,
        }));
        let functions = functions(&entry);
        let reads = Reads::of(text).map_err(|error| invalid(&error))?;
        if let Some(unknown) = reads.unknown_function(&functions) {
            return Err(invalid(&format!("function {unknown:?} not defined")));
        }
        let template = Template::new("template")
            .max_range_iters(RANGE_ITERATIONS_MAX)
            .funcs(functions)
            .parse(text)
            .map_err(|error| invalid(&error))?;
        Ok(Self {
            template,
            reads,
            entry,
        })
    }

    /// The rendered text; `None` where it fails, which marks the entry.
    pub(super) fn process(
        &self,
        timestamp_ns: i64,
        line: &str,
        labels: &mut WorkingLabels,
    ) -> Option<String> {
        if let Some(parts) = &self.reads.simple {
            return Some(render_simple(parts, labels));
        }
        if self.reads.entry {
            *self.entry.lock() = CurrentEntry {
                line: Value::String(line.into()),
                timestamp: dates::from_nanos(timestamp_ns),
            };
        }
        let mut data: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for name in &self.reads.names {
            let value = labels.get_or_error(name).unwrap_or_default();
            data.insert(Arc::clone(name), Value::String(value.into()));
        }
        if self.reads.everything {
            for (name, value, _) in labels.iter() {
                data.insert(name.into(), Value::String(value.into()));
            }
        }
        match self.template.execute_to_string(&Value::Map(Arc::new(data))) {
            Ok(text) => Some(text),
            Err(error) => {
                labels.set_error(TEMPLATE_FORMAT_ERROR, &error.to_string());
                None
            }
        }
    }

    /// Adds the labels the template reads; false where it reads all.
    pub(super) fn add_names(&self, names: &mut Names) -> bool {
        for name in &self.reads.names {
            names.add(name);
        }
        !self.reads.everything
    }
}

fn render_simple(parts: &[SimplePart], labels: &WorkingLabels) -> String {
    let mut out = String::new();
    for part in parts {
        match part {
            SimplePart::Text(text) => out.push_str(text),
            SimplePart::Label(name) => {
                out.push_str(labels.get_or_error(name).unwrap_or_default());
            }
        }
    }
    out
}

/// Every function LogQL adds to the template language.
fn functions(entry: &Arc<Mutex<CurrentEntry>>) -> FuncMap {
    let mut functions = FuncMap::new();
    texts::register(&mut functions);
    numbers::register(&mut functions);
    encoding::register(&mut functions);
    dates::register(&mut functions);
    let current = Arc::clone(entry);
    functions.insert(
        "__line__".to_owned(),
        Arc::new(move |_| Ok(current.lock().line.clone())),
    );
    let current = Arc::clone(entry);
    functions.insert(
        "__timestamp__".to_owned(),
        Arc::new(move |_| Ok(current.lock().timestamp.clone())),
    );
    functions
}

/// The argument at a place, or a complaint that names the function.
fn argument<'v>(
    function: &str,
    arguments: &'v [Value],
    at: usize,
) -> Result<&'v Value, TemplateError> {
    arguments.get(at).ok_or_else(|| {
        TemplateError::Exec(format!(
            "wrong number of args for {function}: want at least {} got {}",
            at + 1,
            arguments.len()
        ))
    })
}

/// The argument at a place as text; nothing prints as nothing.
fn text_argument(function: &str, arguments: &[Value], at: usize) -> Result<String, TemplateError> {
    argument(function, arguments, at).map(|value| match value {
        Value::Nil => String::new(),
        value => value.to_string(),
    })
}

/// The argument at a place as a whole number; texts are read, anything else is zero.
fn int_argument(function: &str, arguments: &[Value], at: usize) -> Result<i64, TemplateError> {
    argument(function, arguments, at).map(to_int)
}

fn to_int(value: &Value) -> i64 {
    match value {
        Value::Float(float) => *float as i64,
        Value::Bool(value) => i64::from(*value),
        Value::String(text) => text
            .parse()
            .unwrap_or_else(|_| text.parse::<f64>().map_or(0, |float| float as i64)),
        value => value.as_int().unwrap_or_default(),
    }
}

fn to_float(value: &Value) -> f64 {
    match value {
        Value::Float(float) => *float,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::String(text) => text.parse().unwrap_or_default(),
        value => value.as_int().unwrap_or_default() as f64,
    }
}

#[cfg(test)]
mod tests;
