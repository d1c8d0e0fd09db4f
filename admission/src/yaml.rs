//! YAML as kubectl and Gatekeeper read it.
//!
//! What an object says must be what the API server is told, and kubectl turns YAML into JSON by the rules of sigs.k8s.io/yaml:
//! those of YAML 1.1, by and large. `yes` and `on` are true, `0400` is 256, `<<` takes in another mapping, keys are texts. The
//! cases of the tests say what it makes of each, which OPA's `yaml.unmarshal` told, for it is the same reader.
//!
//! One thing is read otherwise in manifests: `y` and `n` stay texts. They name namespaces and labels in examples, which kubectl
//! makes true and false, and the API server then refuses.

mod scalar;

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use scalar::Written;

/// How deep a document may nest.
const DEPTH_MAX: usize = 128;

/// How many values aliases may repeat, for they make a small text a large value.
const REPEATED_MAX: usize = 400_000;

/// Why a text is no YAML, or no JSON could say the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at line {line} column {column}")]
pub(crate) struct YamlError {
    problem: String,
    /// From 1.
    line: usize,
    /// From 1.
    column: usize,
}

impl YamlError {
    fn new(problem: impl Into<String>, at: Marker) -> Self {
        YamlError {
            problem: problem.into(),
            line: at.line(),
            column: at.col() + 1,
        }
    }
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        YamlError::new(error.info(), *error.marker())
    }
}

/// What a plain `y` or `n` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Letters {
    Booleans,
    Texts,
}

/// The documents of manifests, JSON among them; null where there is nothing in one. An error is the last, for what follows it would
/// be guesses.
pub(crate) fn documents(text: &str) -> Box<dyn Iterator<Item = Result<Value, YamlError>> + '_> {
    // JSON is YAML but for some escapes, and is read faster as what it is.
    if text.trim_start().starts_with('{') {
        let values = serde_json::Deserializer::from_str(text).into_iter();
        let values: Result<Vec<Value>, _> = values.collect();
        if let Ok(values) = values {
            return Box::new(values.into_iter().map(Ok));
        }
    }
    Box::new(Documents::new(text, Letters::Texts))
}

/// The first document of a text, as `yaml.unmarshal` reads it; null where there is none.
pub(crate) fn document(text: &str) -> Result<Value, YamlError> {
    let mut documents = Documents::new(text, Letters::Booleans);
    documents.next().unwrap_or(Ok(Value::Null))
}

/// Reads documents one by one.
struct Documents<'a> {
    parser: Parser<'a, StrInput<'a>>,
    letters: Letters,
    anchors: HashMap<usize, Read>,
    repeated: usize,
    is_over: bool,
}

impl Iterator for Documents<'_> {
    type Item = Result<Value, YamlError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.read().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

/// A value that was read.
#[derive(Clone)]
struct Read {
    value: Value,
    /// How many values it is, itself among them.
    count: usize,
    /// How deep it nests below itself.
    height: usize,
}

impl Read {
    fn scalar(value: Value) -> Self {
        Read {
            value,
            count: 1,
            height: 0,
        }
    }

    /// Counts what it holds.
    fn hold(&mut self, other: &Read) {
        self.count += other.count;
        self.height = self.height.max(other.height + 1);
    }
}

impl<'a> Documents<'a> {
    fn new(text: &'a str, letters: Letters) -> Self {
        Documents {
            parser: Parser::new_from_str(text),
            letters,
            anchors: HashMap::new(),
            repeated: 0,
            is_over: false,
        }
    }

    fn event(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        let event = self.parser.next_event();
        Ok(event.unwrap_or_else(|| Ok((Event::StreamEnd, Span::default())))?)
    }

    fn read(&mut self) -> Result<Option<Value>, YamlError> {
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(None),
                (Event::DocumentStart(_), _) => {
                    self.anchors.clear();
                    let (event, span) = self.event()?;
                    return self.value(event, span, 0).map(|read| Some(read.value));
                }
                _ => {}
            }
        }
    }

    /// The value that an event begins.
    fn value(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Read, YamlError> {
        let at = span.start;
        nests(depth, at)?;
        let (read, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = Written::new(&text, style, tag.as_deref(), self.letters).value();
                let value = value.map_err(|problem| YamlError::new(problem, at))?;
                (Read::scalar(value), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.sequence(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.mapping(depth)?, anchor),
            Event::Alias(anchor) => {
                let read = self.alias(anchor, at)?;
                nests(depth + read.height, at)?;
                return Ok(read);
            }
            // No other event begins a value, and the parser gives them in their order.
            _ => return Ok(Read::scalar(Value::Null)),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, read.clone());
        }
        Ok(read)
    }

    fn alias(&mut self, anchor: usize, at: Marker) -> Result<Read, YamlError> {
        let Some(read) = self.anchors.get(&anchor) else {
            return Err(YamlError::new("an alias stands within what it names", at));
        };
        self.repeated = self.repeated.saturating_add(read.count);
        if self.repeated > REPEATED_MAX {
            let problem = format!("aliases repeat more than {REPEATED_MAX} values");
            return Err(YamlError::new(problem, at));
        }
        Ok(read.clone())
    }

    fn sequence(&mut self, depth: usize) -> Result<Read, YamlError> {
        let (mut items, mut read) = (Vec::new(), Read::scalar(Value::Null));
        loop {
            let (event, span) = self.event()?;
            if matches!(event, Event::SequenceEnd) {
                read.value = Value::Array(items);
                return Ok(read);
            }
            let item = self.value(event, span, depth + 1)?;
            read.hold(&item);
            items.push(item.value);
        }
    }

    /// A key that comes again replaces what it had, and so does one that is taken in.
    fn mapping(&mut self, depth: usize) -> Result<Read, YamlError> {
        let (mut members, mut read) = (Map::new(), Read::scalar(Value::Null));
        loop {
            let (event, span) = self.event()?;
            if matches!(event, Event::MappingEnd) {
                read.value = Value::Object(members);
                return Ok(read);
            }
            let key = self.key(event, span)?;
            let (event, value_span) = self.event()?;
            let member = self.value(event, value_span, depth + 1)?;
            read.hold(&member);
            match key {
                Some(key) => {
                    members.insert(key, member.value);
                }
                None => take_in(member.value, &mut members)
                    .map_err(|problem| YamlError::new(problem, value_span.start))?,
            }
        }
    }

    /// A key; None where it is `<<`.
    fn key(&mut self, event: Event<'a>, span: Span) -> Result<Option<String>, YamlError> {
        let refused = |problem: String| YamlError::new(problem, span.start);
        let no_text = || refused("a key is a text, not a sequence or a mapping".to_string());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let written = Written::new(&text, style, tag.as_deref(), self.letters);
                if written.is_merge() {
                    return Ok(None);
                }
                if anchor != 0 {
                    let value = written.value().map_err(refused)?;
                    self.anchors.insert(anchor, Read::scalar(value));
                }
                written.key().map(Some).map_err(refused)
            }
            Event::Alias(anchor) => match self.alias(anchor, span.start)?.value {
                Value::String(text) => Ok(Some(text)),
                value @ (Value::Bool(_) | Value::Number(_)) => Ok(Some(value.to_string())),
                _ => Err(no_text()),
            },
            _ => Err(no_text()),
        }
    }
}

/// Whether a document may nest so deep.
fn nests(depth: usize, at: Marker) -> Result<(), YamlError> {
    if depth > DEPTH_MAX {
        let problem = format!("the document nests deeper than {DEPTH_MAX} levels");
        return Err(YamlError::new(problem, at));
    }
    Ok(())
}

/// What `<<` stands for: the members of a mapping, or of several, of which the first counts most.
fn take_in(value: Value, members: &mut Map<String, Value>) -> Result<(), &'static str> {
    const WRONG: &str = "<< takes in a mapping, or a sequence of mappings";
    match value {
        Value::Object(taken) => members.extend(taken),
        Value::Array(several) => {
            for taken in several.into_iter().rev() {
                let Value::Object(taken) = taken else {
                    return Err(WRONG);
                };
                members.extend(taken);
            }
        }
        _ => return Err(WRONG),
    }
    Ok(())
}

/// `!!KIND`
fn core_kind(tag: &Tag) -> Option<&str> {
    tag.is_yaml_core_schema().then_some(tag.suffix.as_str())
}

#[cfg(test)]
mod tests;
