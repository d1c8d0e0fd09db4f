//! From the labels of an entry to the number of its series, without building them twice.

use std::collections::HashMap;

use model::labels::Labels;

use crate::query::ast::Grouping;
use crate::query::pipeline::WorkingLabels;

/// Which labels make a series.
#[derive(Clone, Debug)]
pub(super) struct ResultLabels {
    grouping: Option<Grouping>,
    unwrapped: Option<String>,
}

impl ResultLabels {
    /// Labels as a grouping has them; the unwrapped one belongs to the result only where it is
    /// named.
    pub(super) const fn new(grouping: Option<Grouping>, unwrapped: Option<String>) -> Self {
        Self {
            grouping,
            unwrapped,
        }
    }

    fn keeps(&self, name: &str) -> bool {
        let unwrapped = self.unwrapped.as_deref() == Some(name);
        match &self.grouping {
            Some(Grouping::By(names)) => names.iter().any(|kept| kept == name),
            Some(Grouping::Without(names)) => {
                !unwrapped && !names.iter().any(|dropped| dropped == name)
            }
            None => !unwrapped,
        }
    }
}

/// The series met so far.
pub(super) struct SeriesIndex {
    result: ResultLabels,
    numbers: HashMap<Vec<u8>, usize>,
    labels: Vec<Labels>,
    key: Vec<u8>,
}

impl SeriesIndex {
    pub(super) fn new(result: ResultLabels) -> Self {
        Self {
            result,
            numbers: HashMap::new(),
            labels: Vec::new(),
            key: Vec::new(),
        }
    }

    /// The number of the series these labels belong to.
    pub(super) fn number(&mut self, labels: &mut WorkingLabels) -> usize {
        let result = &self.result;
        labels.write_key(&mut self.key, false, |name| result.keeps(name));
        if let Some(number) = self.numbers.get(&self.key) {
            return *number;
        }
        let number = self.labels.len();
        self.labels
            .push(labels.to_labels(|name, _| result.keeps(name)));
        self.numbers.insert(self.key.clone(), number);
        number
    }

    /// How many series there are.
    pub(super) const fn len(&self) -> usize {
        self.labels.len()
    }

    /// The labels of the series, in order of number.
    pub(super) fn into_labels(self) -> Vec<Labels> {
        self.labels
    }
}
