//! One rule's word against an object, and a set of them that cannot be empty.

use std::fmt;

use serde::Serialize;

use super::{Hit, Mode, cut};

/// What a rule says of one object at the most: the names of some hundred containers. Longer ones are cut, as the answer and
/// the log line of a refusal would otherwise be as large as what somebody sent.
const DETAIL_BYTES_MAX: usize = 16 << 10;

/// How many object paths it names.
const FIELDS_MAX: usize = 256;

/// One rule's word against an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    rule: String,
    reason: String,
    detail: String,
    fields: Vec<String>,
}

/// A violation that lacks what a refusal must name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rule {rule:?} answered without {missing}: a violation needs rule, reason and fields")]
pub struct Incomplete {
    rule: String,
    missing: &'static str,
}

impl Violation {
    /// A violation of `rule` for `reason`, with a detail that may be empty, about `fields`, the
    /// object paths.
    pub fn new(
        rule: String,
        reason: String,
        mut detail: String,
        mut fields: Vec<String>,
    ) -> Result<Self, Incomplete> {
        cut(&mut detail, DETAIL_BYTES_MAX);
        fields.truncate(FIELDS_MAX);
        let missing = if rule.is_empty() {
            Some("a rule")
        } else if reason.is_empty() {
            Some("a reason")
        } else if fields.is_empty() || fields.iter().any(String::is_empty) {
            Some("an object path")
        } else {
            None
        };
        match missing {
            Some(missing) => Err(Incomplete { rule, missing }),
            None => Ok(Violation {
                rule,
                reason,
                detail,
                fields,
            }),
        }
    }

    /// The rule's name.
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// Why, in few words.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who and what exactly.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// The object paths; at least one.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        if self.detail.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", self.detail)
    }
}

/// At least one violation, in the order messages name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// None where there is nothing to complain about.
    pub fn from_list(list: Vec<Violation>) -> Option<Self> {
        (!list.is_empty()).then_some(Violations(list))
    }

    /// The violations, in order.
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }

    pub(crate) fn hits(&self, mode: Mode) -> Vec<Hit> {
        self.0
            .iter()
            .map(|violation| Hit {
                mode,
                rule: violation.rule.clone(),
                message: violation.to_string(),
                paths: violation.fields.clone(),
            })
            .collect()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, violation) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            violation.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, reason: &str, detail: &str, fields: &[&str], expected: Option<&str>) {
        let violation = Violation::new(
            rule.into(),
            reason.into(),
            detail.into(),
            fields.iter().map(|field| (*field).to_string()).collect(),
        );
        assert_eq!(violation.ok().map(|v| v.to_string()).as_deref(), expected);
    }

    #[test]
    fn a_violation_is_complete_or_is_not() {
        check("r", "why", "who", &["spec"], Some("why (who)"));
        check("r", "why", "", &["spec"], Some("why"));
        check("", "why", "who", &["spec"], None);
        check("r", "", "who", &["spec"], None);
        check("r", "why", "who", &[], None);
        check("r", "why", "who", &[""], None);
    }

    #[test]
    fn what_nobody_would_read_is_cut() {
        let fields = vec!["spec".to_string(); FIELDS_MAX + 1];
        let detail = "é".repeat(DETAIL_BYTES_MAX);
        let violation = Violation::new("r".into(), "why".into(), detail, fields).unwrap();
        assert!(violation.detail().len() <= DETAIL_BYTES_MAX);
        assert!(violation.detail().ends_with('…'));
        assert_eq!(violation.fields().len(), FIELDS_MAX);
    }

    #[test]
    fn violations_are_joined_in_order() {
        let one = |reason: &str| {
            Violation::new("r".into(), reason.into(), "d".into(), vec!["spec".into()]).unwrap()
        };
        assert_eq!(Violations::from_list(Vec::new()), None);
        let both = Violations::from_list(vec![one("b"), one("a")]).unwrap();
        assert_eq!(both.to_string(), "b (d), a (d)");
    }
}
