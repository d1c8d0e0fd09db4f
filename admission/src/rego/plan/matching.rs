//! A value against a pattern.

use regorus::Value;

use super::program::Pattern;
use super::run::Run;

impl Run<'_> {
    /// Whether a value matches; the variables of the pattern have their values then.
    pub(super) fn matches(&mut self, pattern: &Pattern, value: &Value, base: usize) -> bool {
        match pattern {
            Pattern::Anything => true,
            Pattern::Bind(slot) => {
                self.set(base, *slot, value.clone());
                true
            }
            Pattern::Equal(term) => self.value(term, base) == value,
            Pattern::Array(parts) => match value {
                Value::Array(items) => {
                    items.len() == parts.len()
                        && parts
                            .iter()
                            .zip(items.iter())
                            .all(|(part, item)| self.matches(part, item, base))
                }
                _ => false,
            },
            Pattern::Object(parts) => match value {
                Value::Object(members) => {
                    members.len() == parts.len()
                        && parts.iter().all(|(key, part)| {
                            let member = members.get(self.value(key, base)).cloned();
                            member.is_some_and(|member| self.matches(part, &member, base))
                        })
                }
                _ => false,
            },
        }
    }
}
