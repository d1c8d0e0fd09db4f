//! The templates of labels and annotations: Go's template language with Prometheus' functions.
//!
//! The library that reads and runs them differs from Go where alerts are written: a label that is
//! not there prints as `<no value>` instead of nothing, a float prints in full instead of with an exponent,
//! a value has no methods, and unknown functions and variables are found when they are met instead of when the
//! template is read. So the tree is put right once, when a rule is loaded ([`mend`]): fields, method
//! calls and prints become calls of functions of ours ([`print`](mod@print), [`time`]), and what is unknown is refused.
//!
//! - [`mend`]: what Go does and the library does not.
//! - [`functions`]: what Prometheus adds to the language.
//! - [`numbers`]: numbers for people.
//! - [`print`](mod@print): values as Go prints them.
//! - [`time`]: instants and their methods.

mod functions;
mod mend;
mod numbers;
mod print;
mod time;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use gotmpl::parse::{DefineNode, ListNode, Parser};
use gotmpl::{FuncMap, TemplateError, Value};
use model::labels::Labels;
use model::time::Timestamp;
use model::vector::{InstantSample, SampleValue};

pub(super) use functions::query_escape;

/// How often `range` may turn in one expansion.
const RANGE_ITERATIONS_MAX: u64 = 1_000_000;
/// How deep templates may call templates through `tmpl`.
const DEPTH_MAX: usize = 32;
/// The variables that every template of a rule has.
const DEFINITIONS: &str = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}";

/// What a function of a template gives.
type Outcome = Result<Value, TemplateError>;

/// Asks the store, for `query`.
pub type QueryFunction = Arc<dyn Fn(&str) -> Result<Vec<InstantSample>, String> + Send + Sync>;

/// What templates are expanded with, beside the alert's own data.
#[derive(Clone)]
pub struct TemplateContext {
    /// The labels that name this server.
    pub external_labels: Labels,
    /// Where people reach it, such as `http://prometheus.example/taffrail`.
    pub external_url: Arc<str>,
    /// Answers `query`.
    pub query: QueryFunction,
    /// The present instant.
    pub now: Timestamp,
}

/// A template that was read.
#[derive(Clone)]
pub struct Template {
    text: Arc<str>,
    /// None where the text is all there is to say.
    tree: Option<Arc<Tree>>,
}

/// A tree that was put right.
struct Tree {
    name: String,
    main: ListNode,
    definitions: Vec<DefineNode>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Template").field(&self.text).finish()
    }
}

impl PartialEq for Template {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Template {
    /// Reads the template of a label or an annotation of a rule.
    pub fn parse(rule: &str, text: &str) -> Result<Self, String> {
        let mut template = Self::plain(text);
        if text.contains("{{") {
            let whole = format!("{DEFINITIONS}{text}");
            let tree = Tree::parse(&format!("__alert_{rule}"), &whole)?;
            template.tree = Some(Arc::new(tree));
        }
        Ok(template)
    }

    /// A text that stands for itself.
    pub fn plain(text: &str) -> Self {
        Self {
            text: text.into(),
            tree: None,
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text for an alert with these labels and this value.
    pub fn expand(
        &self,
        context: &TemplateContext,
        labels: &Labels,
        value: &SampleValue,
    ) -> Result<String, String> {
        let Some(tree) = &self.tree else {
            return Ok(self.text.to_string());
        };
        let value = match value {
            SampleValue::Float(value) => Value::Float(*value),
            SampleValue::Histogram(histogram) => Value::String(histogram.to_string().into()),
        };
        let data: BTreeMap<Arc<str>, Value> = [
            ("Labels".into(), labels_value(labels)),
            (
                "ExternalLabels".into(),
                labels_value(&context.external_labels),
            ),
            (
                "ExternalURL".into(),
                Value::String(Arc::clone(&context.external_url)),
            ),
            ("Value".into(), value),
        ]
        .into();
        tree.execute(context, 0, None, &Value::Map(Arc::new(data)))
            .map_err(|error| {
                let name = &tree.name;
                format!("error executing template {name}: template: {name}: {error}")
            })
    }
}

impl Tree {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let parser = Parser::with_name(Some(name), text, "{{", "}}");
        let (mut main, mut definitions) = parser
            .and_then(Parser::parse)
            .map_err(|error| error.to_string())?;
        mend::mend(&mut main, &mut definitions)
            .map_err(|error| format!("template: {name}:{}: {}", error.line, error.message))?;
        Ok(Self {
            name: name.to_owned(),
            main,
            definitions,
        })
    }

    /// Runs the whole, or one of the templates it defines.
    fn execute(
        self: &Arc<Self>,
        context: &TemplateContext,
        depth: usize,
        of: Option<&str>,
        data: &Value,
    ) -> Result<String, TemplateError> {
        if depth > DEPTH_MAX {
            return Err(TemplateError::RecursionLimit);
        }
        let mut functions = FuncMap::new();
        functions::register(&mut functions, context);
        print::register(&mut functions);
        mend::register(&mut functions);
        let (tree, inner) = (Arc::clone(self), context.clone());
        let tmpl: gotmpl::ValueFunc = Arc::new(move |arguments: &[Value]| {
            let [Value::String(name), data] = arguments else {
                return Err(failed("tmpl needs the name of a template and its data"));
            };
            let text = tree.execute(&inner, depth + 1, Some(name), data)?;
            Ok(Value::String(text.into()))
        });
        functions.insert("tmpl".to_owned(), tmpl);
        let mut template = gotmpl::Template::new(&self.name)
            .max_range_iters(RANGE_ITERATIONS_MAX)
            .funcs(functions);
        for definition in &self.definitions {
            template = template.add_parse_tree(definition.name.as_str(), definition.body.clone());
        }
        let name = of.unwrap_or(&self.name);
        if of.is_none() {
            template = template.add_parse_tree(&self.name, self.main.clone());
        }
        template.execute_template_to_string(name, data)
    }
}

/// An error of a function, in its own words.
fn failed(message: impl Into<String>) -> TemplateError {
    TemplateError::Exec(message.into())
}

/// Labels as templates see them.
fn labels_value(labels: &Labels) -> Value {
    let pairs = labels
        .iter()
        .map(|(name, value)| (Arc::from(name), Value::String(value.into())));
    Value::Map(Arc::new(pairs.collect()))
}

#[cfg(test)]
mod tests;
