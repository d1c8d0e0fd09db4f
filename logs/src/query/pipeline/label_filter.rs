//! `| name="value"`, `| took > 1s and …`: conditions on the labels of an entry.
//!
//! A text filter reads a missing label as the empty text. A quantity filter drops an entry that
//! lacks its label; a value that cannot be read marks the entry and lets it pass, unless another
//! condition drops it. An address filter lets every marked entry pass, so that the mark is seen.

use model::matcher::Matcher;

use super::WorkingLabels;
use super::ip::IpPattern;
use super::wanted::Names;
use crate::query::ast::{LabelFilter, Quantity, QuantityFilter};
use crate::query::units::{parse_bytes, parse_float, parse_go_duration};

/// What `__error__` says of a value that cannot be read.
const LABEL_FILTER_ERROR: &str = "LabelFilterErr";

/// A condition, ready to be asked.
pub(crate) enum CompiledLabelFilter {
    Text(Matcher),
    Quantity(QuantityFilter),
    Ip {
        label: String,
        negative: bool,
        pattern: IpPattern,
    },
    And(Box<CompiledLabelFilter>, Box<CompiledLabelFilter>),
    Or(Box<CompiledLabelFilter>, Box<CompiledLabelFilter>),
}

impl CompiledLabelFilter {
    pub(super) fn compile(filter: &LabelFilter) -> Self {
        match filter {
            LabelFilter::Text(matcher) => Self::Text(matcher.clone()),
            LabelFilter::Quantity(quantity) => Self::Quantity(quantity.clone()),
            LabelFilter::Ip {
                label,
                negative,
                pattern,
            } => Self::Ip {
                label: label.clone(),
                negative: *negative,
                pattern: pattern.clone(),
            },
            LabelFilter::And(left, right) => Self::And(
                Box::new(Self::compile(left)),
                Box::new(Self::compile(right)),
            ),
            LabelFilter::Or(left, right) => Self::Or(
                Box::new(Self::compile(left)),
                Box::new(Self::compile(right)),
            ),
        }
    }

    /// Whether the entry passes; may mark it.
    pub(super) fn process(&self, labels: &mut WorkingLabels) -> bool {
        match self {
            Self::Text(matcher) => {
                matcher.matches(labels.get_or_error(matcher.name()).unwrap_or_default())
            }
            Self::Quantity(filter) => quantity_passes(filter, labels),
            Self::Ip {
                label,
                negative,
                pattern,
            } => {
                if labels.error().is_some() {
                    return true;
                }
                labels
                    .get(label)
                    .is_some_and(|value| pattern.found_in(value) != *negative)
            }
            // Both sides run, so that each may mark the entry.
            Self::And(left, right) => {
                let left = left.process(labels);
                let right = right.process(labels);
                left && right
            }
            Self::Or(left, right) => left.process(labels) || right.process(labels),
        }
    }

    /// Adds the labels the condition reads.
    pub(super) fn add_names(&self, names: &mut Names) {
        match self {
            Self::Text(matcher) => names.add(matcher.name()),
            Self::Quantity(filter) => names.add(&filter.label),
            Self::Ip { label, .. } => names.add(label),
            Self::And(left, right) | Self::Or(left, right) => {
                left.add_names(names);
                right.add_names(names);
            }
        }
    }
}

fn quantity_passes(filter: &QuantityFilter, labels: &mut WorkingLabels) -> bool {
    let Some(value) = labels.get(&filter.label) else {
        return false;
    };
    let comparison = filter.comparison;
    let outcome = match filter.quantity {
        Quantity::Number(wanted) => parse_float(value).map(|value| comparison.holds(value, wanted)),
        Quantity::Duration(wanted) => {
            parse_go_duration(value).map(|value| comparison.holds(value, wanted))
        }
        Quantity::Bytes(wanted) => parse_bytes(value).map(|value| comparison.holds(value, wanted)),
    };
    outcome.unwrap_or_else(|details| {
        labels.set_error(LABEL_FILTER_ERROR, &details);
        true
    })
}
