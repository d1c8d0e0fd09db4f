//! The stages behind a selector, compiled: what happens to one entry.
//!
//! A [`Pipeline`] is built once per query and shared; what changes from line to line lives in
//! [`WorkingLabels`], whose memory is reused, so that a line which is dropped or whose labels
//! are already known costs no allocation. A stage that cannot do its work marks the entry with
//! `__error__` and lets it pass: whether that fails the query is the evaluator's business, and a
//! later `__error__=""` filter must get its chance before.
//!
//! Stages never look at the store and never at another entry.

mod colour;
pub(super) mod ip;
mod json;
mod json_path;
mod label_choice;
mod label_filter;
mod label_format;
mod labels;
mod line_filter;
mod logfmt;
mod pattern;
mod regexp;
mod template;
mod unpack;
mod unwrap;
mod wanted;

use std::borrow::Cow;

use super::ast::Stage;
use label_filter::CompiledLabelFilter;
pub(super) use labels::{Category, WorkingLabels};
use line_filter::CompiledLineFilter;
pub(super) use line_filter::parse_regex as line_filter_regex;
pub(super) use pattern::required_texts;
pub(super) use unwrap::CompiledUnwrap;
pub(super) use wanted::Wanted;

/// The label that says which stage failed.
pub(super) const ERROR: &str = "__error__";
/// The label that says how it failed.
pub(super) const ERROR_DETAILS: &str = "__error_details__";

enum CompiledStage {
    LineFilter(CompiledLineFilter),
    Json(json::Json),
    Logfmt(logfmt::CompiledLogfmt),
    Regexp(regexp::Regexp),
    Pattern(pattern::Pattern),
    Unpack,
    LabelFilter(CompiledLabelFilter),
    LineFormat(Box<template::LineTemplate>),
    LabelFormat(label_format::CompiledLabelFormat),
    Decolorize,
    LabelChoice(label_choice::CompiledChoice),
}

/// What the stages of a query do to one entry.
pub(super) struct Pipeline {
    /// The line filters before any other stage. They need no labels, so they are asked before
    /// an entry's labels are laid out: most lines end here.
    leading: Vec<CompiledLineFilter>,
    stages: Vec<CompiledStage>,
    wanted: Wanted,
    alters_labels: bool,
    reads_line: bool,
}

impl Pipeline {
    /// Compiles stages; `grouped` are the labels the result needs, where that is known.
    pub(super) fn compile(stages: &[Stage], grouped: Wanted) -> Result<Self, String> {
        let mut compiled = Vec::with_capacity(stages.len());
        for stage in stages {
            compiled.push(compile_stage(stage)?);
        }
        let mut wanted = grouped;
        for stage in &compiled {
            stage.add_wanted(&mut wanted);
        }
        let alters_labels = compiled.iter().any(|stage| {
            !matches!(
                stage,
                CompiledStage::LineFilter(_)
                    | CompiledStage::LineFormat(_)
                    | CompiledStage::Decolorize
                    | CompiledStage::LabelFilter(CompiledLabelFilter::Text(_))
            )
        });
        let reads_line = compiled.iter().any(|stage| {
            !matches!(
                stage,
                CompiledStage::LabelFilter(_) | CompiledStage::LabelChoice(_)
            )
        });
        let mut leading = Vec::new();
        let mut rest = Vec::new();
        for stage in compiled {
            match stage {
                CompiledStage::LineFilter(filter) if rest.is_empty() => leading.push(filter),
                stage => rest.push(stage),
            }
        }
        Ok(Self {
            leading,
            stages: rest,
            wanted,
            alters_labels,
            reads_line,
        })
    }

    /// Whether an entry may leave with other labels than its stream and metadata gave it.
    pub(super) const fn alters_labels(&self) -> bool {
        self.alters_labels
    }

    /// Whether any stage looks at lines.
    pub(super) const fn reads_line(&self) -> bool {
        self.reads_line
    }

    /// Whether every entry passes as it came.
    pub(super) const fn is_empty(&self) -> bool {
        self.leading.is_empty() && self.only_filters_lines()
    }

    /// Whether an entry whose line [`Self::passes`] leaves as it came.
    pub(super) const fn only_filters_lines(&self) -> bool {
        self.stages.is_empty()
    }

    /// Whether a line passes the filters that stand before every other stage.
    pub(super) fn passes(&self, line: &str) -> bool {
        self.leading.iter().all(|filter| filter.matches(line))
    }

    /// Judges and rewrites one entry whose line [`Self::passes`]; `None` where it is dropped.
    pub(super) fn process<'l>(
        &self,
        timestamp_ns: i64,
        line: &'l str,
        labels: &mut WorkingLabels,
    ) -> Option<Cow<'l, str>> {
        let mut line = Cow::Borrowed(line);
        for stage in &self.stages {
            match stage {
                CompiledStage::LineFilter(filter) => {
                    if !filter.matches(&line) {
                        return None;
                    }
                }
                CompiledStage::LabelFilter(filter) => {
                    if !filter.process(labels) {
                        return None;
                    }
                }
                CompiledStage::Json(json) => json.process(&line, labels, &self.wanted),
                CompiledStage::Logfmt(logfmt) => logfmt.process(&line, labels, &self.wanted),
                CompiledStage::Regexp(regexp) => regexp.process(&line, labels),
                CompiledStage::Pattern(pattern) => pattern.process(&line, labels),
                CompiledStage::Unpack => {
                    if let Some(entry) = unpack::process(&line, labels, &self.wanted) {
                        line = Cow::Owned(entry);
                    }
                }
                CompiledStage::LineFormat(template) => {
                    if let Some(formatted) = template.process(timestamp_ns, &line, labels) {
                        line = Cow::Owned(formatted);
                    }
                }
                CompiledStage::LabelFormat(format) => format.process(timestamp_ns, &line, labels),
                CompiledStage::Decolorize => {
                    if let Some(plain) = colour::decolorize(&line) {
                        line = Cow::Owned(plain);
                    }
                }
                CompiledStage::LabelChoice(choice) => choice.process(labels),
            }
        }
        Some(line)
    }
}

impl CompiledStage {
    /// Adds the labels this stage looks at; a template that cannot be read through wants all.
    fn add_wanted(&self, wanted: &mut Wanted) {
        let Some(names) = wanted else { return };
        let all = match self {
            Self::LabelFilter(filter) => {
                filter.add_names(names);
                false
            }
            Self::LineFormat(template) => !template.add_names(names),
            Self::LabelFormat(format) => !format.add_names(names),
            Self::LabelChoice(choice) => {
                choice.add_names(names);
                false
            }
            _ => false,
        };
        if all {
            *wanted = None;
        }
    }
}

fn compile_stage(stage: &Stage) -> Result<CompiledStage, String> {
    Ok(match stage {
        Stage::LineFilter(filter) => {
            CompiledStage::LineFilter(CompiledLineFilter::compile(filter)?)
        }
        Stage::Json(extractions) => CompiledStage::Json(json::Json::compile(extractions)?),
        Stage::Logfmt(logfmt) => CompiledStage::Logfmt(logfmt::CompiledLogfmt::compile(logfmt)?),
        Stage::Regexp(pattern) => CompiledStage::Regexp(regexp::Regexp::compile(pattern)?),
        Stage::Pattern(pattern) => CompiledStage::Pattern(pattern::Pattern::compile(pattern)?),
        Stage::Unpack => CompiledStage::Unpack,
        Stage::LabelFilter(filter) => {
            CompiledStage::LabelFilter(CompiledLabelFilter::compile(filter))
        }
        Stage::LineFormat(text) => {
            CompiledStage::LineFormat(Box::new(template::LineTemplate::compile(text)?))
        }
        Stage::LabelFormat(formats) => {
            CompiledStage::LabelFormat(label_format::CompiledLabelFormat::compile(formats)?)
        }
        Stage::Decolorize => CompiledStage::Decolorize,
        Stage::Drop(choices) => {
            CompiledStage::LabelChoice(label_choice::CompiledChoice::drop(choices))
        }
        Stage::Keep(choices) => {
            CompiledStage::LabelChoice(label_choice::CompiledChoice::keep(choices))
        }
    })
}

/// Makes a label name of a key: letters, digits and `_`, not beginning with a digit.
pub(super) fn sanitize_key(key: &str, out: &mut String) {
    let key = key.trim();
    if out.is_empty() && key.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if key.bytes().all(valid) {
        out.push_str(key);
        return;
    }
    out.extend(key.chars().map(|c| {
        if u8::try_from(c).is_ok_and(valid) {
            c
        } else {
            '_'
        }
    }));
}
