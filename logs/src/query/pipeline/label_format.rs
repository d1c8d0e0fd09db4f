//! `| label_format new=old, other="{{.template}}"`.

use super::template::LineTemplate;
use super::wanted::Names;
use super::{Category, ERROR, ERROR_DETAILS, WorkingLabels};
use crate::query::ast::{LabelFormat, LabelFormatValue};

/// The assignments, in order.
pub(super) struct CompiledLabelFormat {
    assignments: Vec<(String, Assignment)>,
}

enum Assignment {
    Rename(String),
    Template(Box<LineTemplate>),
}

impl CompiledLabelFormat {
    pub(super) fn compile(formats: &[LabelFormat]) -> Result<Self, String> {
        let mut assignments: Vec<(String, Assignment)> = Vec::with_capacity(formats.len());
        for format in formats {
            if format.label == ERROR || format.label == ERROR_DETAILS {
                return Err(format!("{} cannot be formatted", format.label));
            }
            if assignments.iter().any(|(label, _)| *label == format.label) {
                return Err(format!(
                    "multiple label name '{}' not allowed in a single format operation",
                    format.label
                ));
            }
            let assignment = match &format.value {
                LabelFormatValue::Rename(source) => Assignment::Rename(source.clone()),
                LabelFormatValue::Template(text) => {
                    Assignment::Template(Box::new(LineTemplate::compile(text)?))
                }
            };
            assignments.push((format.label.clone(), assignment));
        }
        Ok(Self { assignments })
    }

    pub(super) fn process(&self, timestamp_ns: i64, line: &str, labels: &mut WorkingLabels) {
        for (label, assignment) in &self.assignments {
            match assignment {
                Assignment::Rename(source) => {
                    let found = labels
                        .iter()
                        .find(|(name, _, _)| name == source)
                        .map(|(_, value, category)| (value.to_owned(), category));
                    if let Some((value, category)) = found {
                        labels.set(label, &value, category);
                        labels.remove(source);
                    }
                }
                Assignment::Template(template) => {
                    if let Some(value) = template.process(timestamp_ns, line, labels) {
                        labels.set(label, &value, Category::Parsed);
                    }
                }
            }
        }
    }

    /// Adds the labels that are read; false where that cannot be told.
    pub(super) fn add_names(&self, names: &mut Names) -> bool {
        self.assignments
            .iter()
            .all(|(_, assignment)| match assignment {
                Assignment::Rename(source) => {
                    names.add(source);
                    true
                }
                Assignment::Template(template) => template.add_names(names),
            })
    }
}
