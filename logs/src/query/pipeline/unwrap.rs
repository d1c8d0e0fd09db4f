//! `| unwrap …`: the value of a label becomes the sample, and the label leaves the labels.

use super::label_filter::CompiledLabelFilter;
use super::wanted::Names;
use super::{Wanted, WorkingLabels};
use crate::query::ast::{Conversion, Unwrap};
use crate::query::units::{parse_bytes, parse_float, parse_go_duration};

/// What `__error__` says of a value that is no sample.
const SAMPLE_EXTRACTION_ERROR: &str = "SampleExtractionErr";

/// The label, how it is read, and the conditions behind.
pub(crate) struct CompiledUnwrap {
    label: String,
    conversion: Conversion,
    filters: Vec<CompiledLabelFilter>,
}

impl CompiledUnwrap {
    pub(crate) fn compile(unwrap: &Unwrap) -> Self {
        Self {
            label: unwrap.label.clone(),
            conversion: unwrap.conversion,
            filters: unwrap
                .filters
                .iter()
                .map(CompiledLabelFilter::compile)
                .collect(),
        }
    }

    /// The label that is taken.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// The sample of an entry; `None` where it has none or a condition drops it. A value that
    /// cannot be read marks the entry and counts as zero.
    pub(crate) fn process(&self, labels: &mut WorkingLabels) -> Option<f64> {
        let text = labels.get(&self.label)?;
        let value = match self.conversion {
            Conversion::None => parse_float(text),
            Conversion::Bytes => parse_bytes(text).map(|bytes| bytes as f64),
            Conversion::Duration | Conversion::DurationSeconds => {
                parse_go_duration(text).map(|nanos| nanos as f64 / 1e9)
            }
        };
        let value = value.unwrap_or_else(|details| {
            labels.set_error(SAMPLE_EXTRACTION_ERROR, &details);
            0.0
        });
        self.filters
            .iter()
            .all(|filter| filter.process(labels))
            .then_some(value)
    }

    /// Adds the labels that are read.
    pub(crate) fn add_wanted(&self, wanted: &mut Wanted) {
        let Some(names) = wanted else { return };
        self.add_names(names);
    }

    fn add_names(&self, names: &mut Names) {
        names.add(&self.label);
        for filter in &self.filters {
            filter.add_names(names);
        }
    }
}
