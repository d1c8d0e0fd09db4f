//! `| drop a, b="c"` and `| keep a, b="c"`.

use super::wanted::Names;
use super::{ERROR, ERROR_DETAILS, WorkingLabels};
use crate::query::ast::LabelChoice;

/// The labels chosen, and whether they go or stay.
pub(super) struct CompiledChoice {
    choices: Vec<LabelChoice>,
    keep: bool,
}

impl CompiledChoice {
    pub(super) fn drop(choices: &[LabelChoice]) -> Self {
        Self {
            choices: choices.to_vec(),
            keep: false,
        }
    }

    pub(super) fn keep(choices: &[LabelChoice]) -> Self {
        Self {
            choices: choices.to_vec(),
            keep: true,
        }
    }

    pub(super) fn process(&self, labels: &mut WorkingLabels) {
        if !self.keep {
            for name in [ERROR, ERROR_DETAILS] {
                let chosen = labels
                    .get_or_error(name)
                    .is_some_and(|value| self.chosen(name, value));
                if chosen {
                    labels.remove(name);
                }
            }
        }
        labels.retain(|name, value| self.chosen(name, value) == self.keep);
    }

    /// Adds the labels whose values decide.
    pub(super) fn add_names(&self, names: &mut Names) {
        for choice in &self.choices {
            if let LabelChoice::Matching(matcher) = choice {
                names.add(matcher.name());
            }
        }
    }

    fn chosen(&self, name: &str, value: &str) -> bool {
        self.choices.iter().any(|choice| match choice {
            LabelChoice::Name(chosen) => chosen == name,
            LabelChoice::Matching(matcher) => matcher.name() == name && matcher.matches(value),
        })
    }
}
