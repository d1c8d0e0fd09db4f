//! YAML with the line of everything, for files whose mistakes are found after they are read.
//!
//! A rule file is well-formed YAML long before its expressions, names and templates are right, and
//! whoever is told that one of them is wrong wants its line. So a text becomes a tree of [`Node`]s,
//! each with its line; anchors, aliases and merge keys (`<<`) are resolved here, as people use
//! them in rule files. Depth and size are bounded: aliases make a small text a large tree.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

/// How deep a text may nest.
const DEPTH_MAX: usize = 64;
/// How many nodes a tree may have.
const NODES_MAX: usize = 1_000_000;

/// A place of the text and what stands there.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its line, from 1.
    pub line: usize,
    /// Its column, from 1.
    pub column: usize,
    /// What it is.
    pub content: Content,
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// Nothing, or `null`.
    Null,
    /// A text or a number, as it is written.
    Scalar {
        /// What it says.
        text: String,
        /// Whether it stood in quotes or in a block: it is no number then.
        quoted: bool,
    },
    /// `- a`
    Sequence(Vec<Node>),
    /// `a: b`, in the order written.
    Mapping(Vec<(Node, Node)>),
}

/// Why a text is no YAML, or not what was wanted; `:LINE:` is for the caller to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl YamlError {
    /// An error at a line.
    pub fn new(line: usize, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { line, message }
    }
}

impl Node {
    /// The text of a scalar; a null is empty.
    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar { text, .. } => Some(text),
            Content::Null => Some(""),
            _ => None,
        }
    }

    /// The text of a scalar, or what it is instead.
    pub fn text(&self) -> Result<&str, YamlError> {
        self.as_text().ok_or_else(|| self.not("a string"))
    }

    /// The elements of a sequence; a null has none.
    pub fn elements(&self) -> Result<&[Self], YamlError> {
        match &self.content {
            Content::Sequence(nodes) => Ok(nodes),
            Content::Null => Ok(&[]),
            _ => Err(self.not("a sequence")),
        }
    }

    /// The pairs of a mapping; a null has none.
    pub fn pairs(&self) -> Result<&[(Self, Self)], YamlError> {
        match &self.content {
            Content::Mapping(pairs) => Ok(pairs),
            Content::Null => Ok(&[]),
            _ => Err(self.not("a mapping")),
        }
    }

    fn not(&self, wanted: &str) -> YamlError {
        let is = match &self.content {
            Content::Null => "null",
            Content::Scalar { .. } => "a string",
            Content::Sequence(_) => "a sequence",
            Content::Mapping(_) => "a mapping",
        };
        YamlError::new(self.line, format!("expected {wanted}, found {is}"))
    }
}

/// The documents of a text.
pub fn parse(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let line = error.marker().line();
            YamlError::new(line, error.info())
        })?;
        builder.event(event, span.start.line(), span.start.col().saturating_add(1))?;
    }
    Ok(builder.documents)
}

/// A collection that is still open.
struct Open {
    line: usize,
    column: usize,
    anchor: usize,
    nodes: Vec<Node>,
    is_mapping: bool,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, line: usize, column: usize) -> Result<(), YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = style == ScalarStyle::Plain && tag.is_none();
                let is_null = is_plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let content = if is_null {
                    Content::Null
                } else {
                    Content::Scalar {
                        text: text.into_owned(),
                        quoted: style != ScalarStyle::Plain,
                    }
                };
                let node = Node {
                    line,
                    column,
                    content,
                };
                self.put(node, anchor, 1)
            }
            Event::SequenceStart(anchor, _) => self.start(line, column, anchor, false),
            Event::MappingStart(anchor, _) => self.start(line, column, anchor, true),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else {
                    return Ok(());
                };
                let content = if open.is_mapping {
                    Content::Mapping(mapping(open.nodes)?)
                } else {
                    Content::Sequence(open.nodes)
                };
                let node = Node {
                    line: open.line,
                    column: open.column,
                    content,
                };
                self.put(node, open.anchor, 1)
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(YamlError::new(line, "unknown anchor"));
                };
                if self.open.len() + height(&node) > DEPTH_MAX {
                    return Err(too_deep(line));
                }
                self.put(node, 0, size)
            }
            _ => Ok(()),
        }
    }

    fn start(
        &mut self,
        line: usize,
        column: usize,
        anchor: usize,
        is_mapping: bool,
    ) -> Result<(), YamlError> {
        if self.open.len() >= DEPTH_MAX {
            return Err(too_deep(line));
        }
        self.open.push(Open {
            line,
            column,
            anchor,
            nodes: Vec::new(),
            is_mapping,
        });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), YamlError> {
        self.nodes = self.nodes.saturating_add(size);
        if self.nodes > NODES_MAX {
            let message = format!("more than {NODES_MAX} values, aliases included");
            return Err(YamlError::new(node.line, message));
        }
        if anchor > 0 {
            let size = weight(&node);
            self.anchors.insert(anchor, (node.clone(), size));
        }
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => self.documents.push(node),
        }
        Ok(())
    }
}

fn too_deep(line: usize) -> YamlError {
    YamlError::new(line, format!("nested deeper than {DEPTH_MAX} levels"))
}

/// How many collections stand within one another.
fn height(node: &Node) -> usize {
    match &node.content {
        Content::Sequence(nodes) => 1 + nodes.iter().map(height).max().unwrap_or(0),
        Content::Mapping(pairs) => {
            let pairs = pairs.iter().map(|(k, v)| height(k).max(height(v)));
            1 + pairs.max().unwrap_or(0)
        }
        _ => 0,
    }
}

fn weight(node: &Node) -> usize {
    1 + match &node.content {
        Content::Sequence(nodes) => nodes.iter().map(weight).sum(),
        Content::Mapping(pairs) => pairs.iter().map(|(k, v)| weight(k) + weight(v)).sum(),
        _ => 0,
    }
}

/// Keys and values in turn, with what `<<` brings along. A key that stands twice is refused.
fn mapping(nodes: Vec<Node>) -> Result<Vec<(Node, Node)>, YamlError> {
    let mut pairs: Vec<(Node, Node)> = Vec::new();
    let mut merged: Vec<(Node, Node)> = Vec::new();
    let mut nodes = nodes.into_iter();
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        if key.as_text() == Some("<<") {
            match value.content {
                Content::Mapping(pairs) => merged.extend(pairs),
                Content::Sequence(all) => {
                    for one in all {
                        merged.extend(one.pairs()?.iter().cloned());
                    }
                }
                _ => {
                    let message = "map merge requires map or sequence of maps as the value";
                    return Err(YamlError::new(value.line, message));
                }
            }
            continue;
        }
        if let Some((first, _)) = pairs.iter().find(|(first, _)| first.content == key.content) {
            let message = format!(
                "mapping key {:?} already defined at line {}",
                key.as_text().unwrap_or_default(),
                first.line
            );
            return Err(YamlError::new(key.line, message));
        }
        pairs.push((key, value));
    }
    for (key, value) in merged {
        if !pairs.iter().any(|(own, _)| own.content == key.content) {
            pairs.push((key, value));
        }
    }
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree as a text with lines: `{a@1: b@1}`.
    fn shown(node: &Node) -> String {
        let line = node.line;
        match &node.content {
            Content::Null => format!("null@{line}"),
            Content::Scalar { text, .. } => format!("{text}@{line}"),
            Content::Sequence(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(shown).collect();
                format!("[{}]", nodes.join(", "))
            }
            Content::Mapping(pairs) => {
                let pairs: Vec<String> = pairs
                    .iter()
                    .map(|(key, value)| format!("{}: {}", shown(key), shown(value)))
                    .collect();
                format!("{{{}}}", pairs.join(", "))
            }
        }
    }

    #[test]
    fn a_text_becomes_a_tree_with_lines() {
        for (text, expected) in [
            (
                "a: 1\nb:\n- x\n- 'y: z'\n",
                "{a@1: 1@1, b@2: [x@3, y: z@4]}",
            ),
            (
                "a: &x {b: 1}\nc: *x\n",
                "{a@1: {b@1: 1@1}, c@2: {b@1: 1@1}}",
            ),
            (
                "d: &d\n  a: 1\n  b: 2\ne:\n  <<: *d\n  b: 3\n",
                "{d@1: {a@2: 1@2, b@3: 2@3}, e@4: {b@6: 3@6, a@2: 1@2}}",
            ),
            ("a: |\n  two\n  lines\n", "{a@1: two\nlines\n@2}"),
            ("a:\n", "{a@1: null@1}"),
        ] {
            let documents = parse(text).expect(text);
            assert_eq!(shown(&documents[0]), expected, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let deep = "[".repeat(DEPTH_MAX + 1);
        let half = DEPTH_MAX / 2;
        let (open, close) = ("[".repeat(half), "]".repeat(half));
        let deep_by_alias = format!("a: &a {open}{close}\nb: {open}*a{close}\n");
        let many = format!(
            "a: &a [{}]\nb: &b [{}]\nc: &c [{}]\nd: [{}]\n",
            "x, ".repeat(100),
            "*a, ".repeat(100),
            "*b, ".repeat(100),
            "*c, ".repeat(100)
        );
        for (text, line, part) in [
            ("a: 1\na: 2\n", 2, "already defined at line 1"),
            ("a: [1\nb: 2\n", 2, ""),
            ("a: 1\n<<: 3\n", 2, "map merge"),
            (deep.as_str(), 1, "nested deeper"),
            (deep_by_alias.as_str(), 2, "nested deeper"),
            (many.as_str(), 3, "more than"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.message.contains(part), "{error}");
            assert!(error.line <= line + 1, "{text}: {}", error.line);
        }
    }
}
