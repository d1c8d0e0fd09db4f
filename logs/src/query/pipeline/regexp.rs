//! ``| regexp `(?P<name>…)` ``: the named groups of an expression become labels.

use std::sync::Arc;

use regex::Regex;

use super::WorkingLabels;
use super::line_filter::compile_regex;

/// The expression with the names of its groups.
pub(super) struct Regexp {
    regex: Regex,
    groups: Vec<(usize, Arc<str>)>,
}

impl Regexp {
    pub(super) fn compile(pattern: &str) -> Result<Self, String> {
        let regex = compile_regex(pattern).map_err(|error| {
            if error.contains("duplicate capture group name") {
                format!("duplicate extracted label name: {error}")
            } else {
                error
            }
        })?;
        let groups: Vec<_> = regex
            .capture_names()
            .enumerate()
            .filter_map(|(at, name)| Some((at, Arc::from(name?))))
            .collect();
        if groups.is_empty() {
            return Err("at least one named capture must be supplied".to_owned());
        }
        Ok(Self { regex, groups })
    }

    pub(super) fn process(&self, line: &str, labels: &mut WorkingLabels) {
        let Some(captures) = self.regex.captures(line) else {
            return;
        };
        for (at, name) in &self.groups {
            let value = captures.get(*at).map_or("", |found| found.as_str());
            labels.extract(name, value, &None);
        }
    }
}
