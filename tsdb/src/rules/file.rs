//! A rule file: Prometheus' format, read whole, with every mistake by line, group and rule.
//!
//! Reading never stops at the first mistake: who mends a file wants all of them. What is read is
//! complete: expressions are in their normal form, templates are compiled, the labels of a group are those
//! of its rules. Nothing of a file with a mistake is used.

use std::collections::HashSet;
use std::fmt;

use model::labels::METRIC_NAME;
use model::time::parse_duration;

use super::template::Template;
use super::yaml::{self, Node, YamlError};

/// Size of a rule file that is read.
pub const FILE_BYTES_MAX: usize = 64 << 20;

/// A group of rules that are evaluated one after another at the same instants.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSpec {
    /// Its name, the only one in its file.
    pub name: String,
    /// From one evaluation to the next; as configured where absent.
    pub interval_ms: Option<i64>,
    /// How far in the past it looks; as configured where absent.
    pub query_offset_ms: Option<i64>,
    /// How many series or alerts each rule may give; 0 is no limit.
    pub limit: usize,
    /// Its rules, in order.
    pub rules: Vec<RuleSpec>,
}

/// A rule as it is written, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSpec {
    /// Name of the metric or the alert.
    pub name: String,
    /// Its expression, in normal form.
    pub expr: String,
    /// Its labels and those of its group, by name.
    pub labels: Vec<(String, Template)>,
    /// What it does with what the expression gives.
    pub kind: RuleKind,
}

/// What a rule does with what its expression gives.
#[derive(Clone, Debug, PartialEq)]
pub enum RuleKind {
    /// Stores it.
    Recording,
    /// Raises an alert for each series.
    Alerting(AlertSpec),
}

/// What an alert has beside a name, an expression and labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertSpec {
    /// How long it is pending.
    pub hold_ms: i64,
    /// How long it goes on firing.
    pub keep_firing_ms: i64,
    /// Texts for people, by name.
    pub annotations: Vec<(String, Template)>,
}

/// A mistake in a rule file. The file itself is for the caller to say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct RuleFileError {
    /// Line and column, from 1, where they are known.
    pub place: Option<(usize, usize)>,
    /// The group, if it is within one.
    pub group: Option<String>,
    /// The rule, counted from 1, and its name.
    pub rule: Option<(usize, String)>,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for RuleFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}: ")?;
        }
        if let Some(group) = &self.group {
            write!(f, "group {group:?}, ")?;
        }
        if let Some((number, name)) = &self.rule {
            write!(f, "rule {number}, {name:?}, ")?;
        }
        f.write_str(&self.message)
    }
}

/// The normal form of an expression, or why it is none.
pub type CheckExpr<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Reads a rule file.
pub fn parse(text: &str, check: CheckExpr<'_>) -> Result<Vec<GroupSpec>, Vec<RuleFileError>> {
    let mut reader = Reader {
        check,
        errors: Vec::new(),
        group: None,
        rule: None,
    };
    let groups = match yaml::parse(text) {
        Ok(documents) => documents
            .iter()
            .flat_map(|document| reader.file(document))
            .collect(),
        Err(error) => {
            reader.push(&error);
            Vec::new()
        }
    };
    if reader.errors.is_empty() {
        Ok(groups)
    } else {
        Err(reader.errors)
    }
}

struct Reader<'a> {
    check: CheckExpr<'a>,
    errors: Vec<RuleFileError>,
    group: Option<String>,
    rule: Option<(usize, String)>,
}

/// The nodes of a mapping by their keys.
type Fields<'n, const N: usize> = [Option<&'n Node>; N];

impl Reader<'_> {
    fn fail(&mut self, at: &Node, message: impl Into<String>) {
        self.errors.push(RuleFileError {
            place: Some((at.line, at.column)),
            group: self.group.clone(),
            rule: self.rule.clone(),
            message: message.into(),
        });
    }

    fn push(&mut self, error: &YamlError) {
        self.errors.push(RuleFileError {
            place: Some((error.line, 1)),
            group: self.group.clone(),
            rule: self.rule.clone(),
            message: error.message.clone(),
        });
    }

    /// The fields of a mapping, each key once; others are mistakes.
    fn fields<'n, const N: usize>(
        &mut self,
        node: &'n Node,
        of: &str,
        keys: [&str; N],
    ) -> Fields<'n, N> {
        let mut fields = [None; N];
        let pairs = match node.pairs() {
            Ok(pairs) => pairs,
            Err(error) => {
                self.push(&error);
                return fields;
            }
        };
        for (key, value) in pairs {
            let name = key.as_text().unwrap_or_default();
            let place = keys.iter().position(|known| *known == name);
            match place.and_then(|place| fields.get_mut(place)) {
                Some(field) => *field = Some(value),
                None => self.fail(
                    key,
                    format!(
                        "field {name} not found in {of}; known are {}",
                        keys.join(", ")
                    ),
                ),
            }
        }
        fields
    }

    fn text(&mut self, node: Option<&Node>) -> String {
        match node.map_or(Ok(""), Node::text) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                self.push(&error);
                String::new()
            }
        }
    }

    fn duration(&mut self, node: Option<&Node>) -> Option<i64> {
        let node = node?;
        let text = self.text(Some(node));
        match parse_duration(&text) {
            Ok(millis) => Some(millis),
            Err(error) => {
                self.fail(node, format!("{error}; write 30s, 5m or 1h30m"));
                None
            }
        }
    }

    fn elements<'n>(&mut self, node: Option<&'n Node>) -> &'n [Node] {
        let elements = node.map_or(Ok([].as_slice()), Node::elements);
        elements.unwrap_or_else(|error| {
            self.push(&error);
            &[]
        })
    }

    fn file(&mut self, document: &Node) -> Vec<GroupSpec> {
        let [groups] = self.fields(document, "a rule file", ["groups"]);
        let mut names = HashSet::new();
        let mut specs = Vec::new();
        for node in self.elements(groups) {
            let spec = self.group(node);
            self.group = None;
            if spec.name.is_empty() {
                self.fail(node, "Groupname must not be empty");
            } else if !names.insert(spec.name.clone()) {
                let name = &spec.name;
                self.fail(
                    node,
                    format!("groupname: {name:?} is repeated in the same file"),
                );
            }
            specs.push(spec);
        }
        specs
    }

    fn group(&mut self, node: &Node) -> GroupSpec {
        let keys = [
            "name",
            "interval",
            "query_offset",
            "limit",
            "labels",
            "rules",
        ];
        let [name, interval, offset, limit, labels, rules] =
            self.fields(node, "a group of rules", keys);
        let name = self.text(name);
        self.group = Some(name.clone());
        let interval_ms = self.duration(interval).filter(|interval| *interval > 0);
        let query_offset_ms = self.duration(offset);
        let limit = match limit.map(|node| (node, node.as_text().unwrap_or("-").parse())) {
            None => 0,
            Some((_, Ok(limit))) => limit,
            Some((node, Err(_))) => {
                self.fail(node, "limit must be a whole number, 0 for none");
                0
            }
        };
        let labels = self.labels(labels);
        let mut specs = Vec::new();
        for (index, node) in self.elements(rules).iter().enumerate() {
            specs.extend(self.rule(node, index + 1, &labels));
            self.rule = None;
        }
        GroupSpec {
            name,
            interval_ms,
            query_offset_ms,
            limit,
            rules: specs,
        }
    }

    /// Names and values, with the place of the value.
    fn pairs<'n>(&mut self, node: Option<&'n Node>) -> Vec<(String, String, &'n Node)> {
        let pairs = node.map_or(Ok([].as_slice()), Node::pairs);
        let pairs = pairs.unwrap_or_else(|error| {
            self.push(&error);
            &[]
        });
        let mut texts: Vec<(String, String, &Node)> = pairs
            .iter()
            .map(|(name, value)| (self.text(Some(name)), self.text(Some(value)), value))
            .collect();
        texts.sort_by(|a, b| a.0.cmp(&b.0));
        texts
    }

    fn labels<'n>(&mut self, node: Option<&'n Node>) -> Vec<(String, String, &'n Node)> {
        let labels = self.pairs(node);
        for (name, _, value) in &labels {
            if name.is_empty() || name == METRIC_NAME {
                self.fail(value, format!("invalid label name: {name}"));
            }
        }
        labels
    }

    fn rule(
        &mut self,
        node: &Node,
        number: usize,
        of_group: &[(String, String, &Node)],
    ) -> Option<RuleSpec> {
        let errors = self.errors.len();
        let keys = [
            "record",
            "alert",
            "expr",
            "for",
            "keep_firing_for",
            "labels",
            "annotations",
        ];
        let [record, alert, expr, hold, keep, labels, annotations] =
            self.fields(node, "a rule", keys);
        let (metric, name) = (self.text(record), self.text(alert));
        let is_alert = !name.is_empty();
        let shown = if is_alert { &name } else { &metric };
        self.rule = Some((number, shown.clone()));
        match (metric.is_empty(), name.is_empty()) {
            (false, false) => self.fail(node, "only one of 'record' and 'alert' must be set"),
            (true, true) => self.fail(node, "one of 'record' or 'alert' must be set"),
            _ => {}
        }
        let text = self.text(expr);
        let normal = match expr {
            Some(at) if !text.is_empty() => (self.check)(&text).unwrap_or_else(|error| {
                self.fail(at, format!("could not parse expression: {error}"));
                String::new()
            }),
            _ => {
                self.fail(node, "field 'expr' must be set in rule");
                String::new()
            }
        };
        let (hold_ms, keep_firing_ms) = (self.duration(hold), self.duration(keep));
        let mut labels = self.labels(labels);
        let annotations = self.pairs(annotations);
        if is_alert {
            if let Some((_, _, at)) = annotations.iter().find(|(name, ..)| name.is_empty()) {
                self.fail(at, "invalid annotation name: ");
            }
        } else {
            let unfit = [
                ("annotations", annotations.first().map(|(_, _, at)| *at)),
                ("for", hold.filter(|_| hold_ms.unwrap_or_default() != 0)),
                (
                    "keep_firing_for",
                    keep.filter(|_| keep_firing_ms.unwrap_or_default() != 0),
                ),
            ];
            for (field, at) in unfit {
                if let Some(at) = at {
                    self.fail(at, format!("invalid field '{field}' in recording rule"));
                }
            }
            if let Some(at) = record.filter(|_| metric.contains(['{', '}'])) {
                let message = "braces present in the recording rule name; should it be in expr?";
                self.fail(at, format!("{message}: {metric}"));
            }
        }
        for (name, value, at) in of_group {
            if !labels.iter().any(|(own, ..)| own == name) {
                labels.push((name.clone(), value.clone(), at));
            }
        }
        labels.sort_by(|a, b| a.0.cmp(&b.0));
        let template_of = if is_alert { Some(name.as_str()) } else { None };
        let labels = self.templates(template_of, "label", labels);
        let annotations = self.templates(template_of, "annotation", annotations);
        let kind = if is_alert {
            RuleKind::Alerting(AlertSpec {
                hold_ms: hold_ms.unwrap_or_default(),
                keep_firing_ms: keep_firing_ms.unwrap_or_default(),
                annotations,
            })
        } else {
            RuleKind::Recording
        };
        (self.errors.len() == errors).then_some(RuleSpec {
            name: if is_alert { name } else { metric },
            expr: normal,
            labels,
            kind,
        })
    }

    /// Templates of an alert; the labels of a recording rule are texts, whatever they look like.
    fn templates(
        &mut self,
        alert: Option<&str>,
        what: &str,
        pairs: Vec<(String, String, &Node)>,
    ) -> Vec<(String, Template)> {
        let mut templates = Vec::with_capacity(pairs.len());
        for (name, text, at) in pairs {
            let template = match alert {
                Some(alert) => Template::parse(alert, &text),
                None => Ok(Template::plain(&text)),
            };
            match template {
                Ok(template) => templates.push((name, template)),
                Err(error) => self.fail(at, format!("{what} {name:?}: {error}")),
            }
        }
        templates
    }
}

#[cfg(test)]
mod tests;
