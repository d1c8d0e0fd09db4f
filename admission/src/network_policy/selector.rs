//! Labels, and the selectors that choose by them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// The labels of a pod or a namespace, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Labels(Box<[(Arc<str>, Arc<str>)]>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.shared_value(name).map(|value| &**value)
    }

    pub(super) fn shared_value(&self, name: &str) -> Option<&Arc<str>> {
        let at = self.0.binary_search_by(|(key, _)| (**key).cmp(name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(super) fn shared(&self, mut share: impl FnMut(&Arc<str>) -> Arc<str>) -> Self {
        Labels(
            self.0
                .iter()
                .map(|(name, value)| (share(name), share(value)))
                .collect(),
        )
    }
}

impl<S: AsRef<str>> FromIterator<(S, S)> for Labels {
    fn from_iter<I: IntoIterator<Item = (S, S)>>(labels: I) -> Self {
        let sorted: BTreeMap<Arc<str>, Arc<str>> = labels
            .into_iter()
            .map(|(name, value)| (Arc::from(name.as_ref()), Arc::from(value.as_ref())))
            .collect();
        Labels(sorted.into_iter().collect())
    }
}

/// What is asked of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operator {
    /// It is there, with one of these values, which are sorted.
    In(Vec<String>),
    /// It is not there, or has none of these values, which are sorted.
    NotIn(Vec<String>),
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// A label and what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The label's name.
    pub key: String,
    /// What is asked.
    pub operator: Operator,
}

/// A label selector: all of its requirements hold. One without any selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(pub Vec<Requirement>);

impl Selector {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether these labels are selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| {
            let value = labels.get(&requirement.key);
            match &requirement.operator {
                Operator::In(values) => value.is_some_and(|value| holds(values, value)),
                Operator::NotIn(values) => value.is_none_or(|value| !holds(values, value)),
                Operator::Exists => value.is_some(),
                Operator::DoesNotExist => value.is_none(),
            }
        })
    }
}

fn holds(sorted: &[String], value: &str) -> bool {
    sorted
        .binary_search_by(|known| known.as_str().cmp(value))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(operator: Operator, expected: [bool; 3]) {
        let selector = Selector(vec![Requirement {
            key: "a".to_string(),
            operator,
        }]);
        let sets = [
            vec![("b", "1")],
            vec![("a", "1")],
            vec![("a", "2"), ("b", "1")],
        ];
        let found = sets.map(|set| selector.matches(&set.into_iter().collect()));
        assert_eq!(found, expected, "{selector:?}");
    }

    #[test]
    fn operators_are_kubernetes() {
        let one = || vec!["1".to_string(), "3".to_string()];
        check(Operator::In(one()), [false, true, false]);
        check(Operator::NotIn(one()), [true, false, true]);
        check(Operator::Exists, [false, true, true]);
        check(Operator::DoesNotExist, [true, false, false]);
        assert!(Selector::default().matches(&Labels::default()));
    }
}
