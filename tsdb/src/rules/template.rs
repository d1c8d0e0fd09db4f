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

use gotmpl::parse::{DefineNode, ListNode, Node, Parser};
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

    /// Makes the template ready to be expanded for many alerts.
    pub fn with<'a>(&'a self, context: &'a TemplateContext) -> Expander<'a> {
        Expander {
            template: self,
            context,
            ready: (self.tree.as_ref()).map(|tree| tree.ready(context, 0)),
        }
    }
}

/// A template that is ready to be expanded.
pub struct Expander<'a> {
    template: &'a Template,
    context: &'a TemplateContext,
    ready: Option<gotmpl::Template>,
}

impl Expander<'_> {
    /// The text for an alert with these labels and this value.
    pub fn expand(&self, labels: &Labels, value: &SampleValue) -> Result<String, String> {
        let (Some(ready), Some(tree)) = (&self.ready, &self.template.tree) else {
            return Ok(self.template.text.to_string());
        };
        let value = match value {
            SampleValue::Float(value) => Value::Float(*value),
            SampleValue::Histogram(histogram) => Value::String(histogram.to_string().into()),
        };
        let external_url = Arc::clone(&self.context.external_url);
        let data: BTreeMap<Arc<str>, Value> = [
            ("Labels".into(), labels_value(labels)),
            (
                "ExternalLabels".into(),
                labels_value(&self.context.external_labels),
            ),
            ("ExternalURL".into(), Value::String(external_url)),
            ("Value".into(), value),
        ]
        .into();
        let text = ready.execute_template_to_string(&tree.name, &Value::Map(Arc::new(data)));
        text.map_err(|error| {
            let name = &tree.name;
            let error = error.to_string();
            let error = error.strip_prefix("execution error: ").unwrap_or(&error);
            format!("error executing template {name}: template: {name}: {error}")
        })
    }
}

impl Tree {
    fn parse(name: &str, text: &str) -> Result<Self, String> {
        let (mut main, mut definitions) = parse_whole(name, text)?;
        mend::mend(&mut main, &mut definitions)
            .map_err(|error| format!("template: {name}:{}: {}", error.line, error.message))?;
        Ok(Self {
            name: name.to_owned(),
            main,
            definitions,
        })
    }

    /// The tree with its functions. `depth` is how many templates called each other by `tmpl` to get here.
    fn ready(self: &Arc<Self>, context: &TemplateContext, depth: usize) -> gotmpl::Template {
        let mut functions = FuncMap::new();
        functions::register(&mut functions, context);
        print::register(&mut functions);
        mend::register(&mut functions);
        let (tree, inner) = (Arc::clone(self), context.clone());
        let tmpl: gotmpl::ValueFunc = Arc::new(move |arguments: &[Value]| {
            let [Value::String(name), data] = arguments else {
                return Err(failed("tmpl needs the name of a template and its data"));
            };
            if depth >= DEPTH_MAX {
                return Err(TemplateError::RecursionLimit);
            }
            let template = tree.ready(&inner, depth + 1);
            let text = template.execute_template_to_string(name, data)?;
            Ok(Value::String(text.into()))
        });
        functions.insert("tmpl".to_owned(), tmpl);
        let functions: FuncMap = functions
            .into_iter()
            .map(|(name, function)| (name.clone(), naming(name, function)))
            .collect();
        let mut template = gotmpl::Template::new(&self.name)
            .max_range_iters(RANGE_ITERATIONS_MAX)
            .funcs(functions)
            .add_parse_tree(&self.name, self.main.clone());
        for definition in &self.definitions {
            template = template.add_parse_tree(definition.name.as_str(), definition.body.clone());
        }
        template
    }
}

/// What no template holds: a mark behind its end.
const END: char = '\u{1}';

/// Reads a text to its end. The library takes a block that nobody closes, and stops at an `end` that closes
/// nothing, so a mark is put behind the text and looked for where it must be.
fn parse_whole(name: &str, text: &str) -> Result<(ListNode, Vec<DefineNode>), String> {
    let parse = |text: &str| {
        let parser = Parser::with_name(Some(name), text, "{{", "}}");
        parser
            .and_then(Parser::parse)
            .map_err(|error| error.to_string())
    };
    let parsed = parse(text)?;
    let marked = parse(&format!("{text}{END}"))?;
    let ends = |list: &ListNode| match list.nodes.last() {
        Some(Node::Text(node)) => node.text.ends_with(END),
        _ => false,
    };
    if ends(&marked.0) {
        return Ok(parsed);
    }
    let line = text.lines().count();
    // The mark is nowhere if reading stopped before it.
    let is_inside = format!("{marked:?}").contains(&format!("{END:?}").replace('\'', ""));
    let what = if is_inside {
        "unexpected EOF"
    } else {
        "unexpected {{end}} or {{else}}"
    };
    Err(format!("template: {name}:{line}: {what}"))
}

/// An error of a function, in its own words.
fn failed(message: impl Into<String>) -> TemplateError {
    TemplateError::Exec(message.into())
}

/// A function whose errors name it.
fn naming(name: String, function: gotmpl::ValueFunc) -> gotmpl::ValueFunc {
    if name.starts_with("__") {
        return function;
    }
    Arc::new(move |arguments| {
        function(arguments).map_err(|error| match error {
            TemplateError::Exec(message) => failed(format!("error calling {name}: {message}")),
            other => other,
        })
    })
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
