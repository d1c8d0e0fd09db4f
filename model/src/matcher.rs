//! A condition on one label.
//!
//! Regular expressions are anchored at both ends and `.` matches newlines, as in Prometheus and
//! Loki. A label a series lacks counts as the empty text, so `a=""` and `a!~".+"` match series
//! without `a`: [`Matcher::matches_empty`] is what an index must ask first.

use std::fmt;

use regex::{Regex, RegexBuilder};

use crate::labels::{Labels, is_legacy_label_name};
use crate::re2::translate;

/// The compiled size a matcher's regular expression may reach, in bytes.
pub const REGEX_BYTES_MAX: usize = 4 << 20;
/// The size that most stay below.
const REGEX_BYTES_MIN: usize = 16 << 10;

/// How a matcher compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

impl MatchOp {
    /// The operator as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Regex => "=~",
            Self::NotRegex => "!~",
        }
    }

    /// Whether the operator selects what does not match.
    pub const fn is_negative(self) -> bool {
        matches!(self, Self::NotEqual | Self::NotRegex)
    }
}

/// Why a matcher cannot be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MatcherError {
    /// The regular expression does not parse.
    #[error("error parsing regexp {pattern:?}: {reason}")]
    Syntax {
        /// The expression as given.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The regular expression compiles to more than [`REGEX_BYTES_MAX`].
    #[error(
        "regexp {pattern:?} is too large: it compiles to more than {REGEX_BYTES_MAX} bytes; split it"
    )]
    TooLarge {
        /// The expression as given.
        pattern: String,
    },
}

/// A condition on one label.
#[derive(Clone, Debug)]
pub struct Matcher {
    name: String,
    op: MatchOp,
    value: String,
    regex: Option<Regex>,
    regex_bytes: usize,
}

impl Matcher {
    /// A matcher of any kind. Compiles the regular expression where there is one.
    pub fn new(
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, MatcherError> {
        let value = value.into();
        let (regex, regex_bytes) = match op {
            MatchOp::Equal | MatchOp::NotEqual => (None, 0),
            MatchOp::Regex | MatchOp::NotRegex => {
                let (regex, bytes) = sized(&value)?;
                (Some(regex), bytes)
            }
        };
        Ok(Self {
            name: name.into(),
            op,
            value,
            regex,
            regex_bytes,
        })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            op: MatchOp::Equal,
            value: value.into(),
            regex: None,
            regex_bytes: 0,
        }
    }

    /// The label it looks at.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it compares.
    pub const fn op(&self) -> MatchOp {
        self.op
    }

    /// The text or expression it compares with.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The compiled, anchored expression, where there is one.
    pub const fn regex(&self) -> Option<&Regex> {
        self.regex.as_ref()
    }

    /// A bound of the compiled size of the expression, no more than four times as much; 0 where there
    /// is none.
    pub const fn regex_bytes(&self) -> usize {
        self.regex_bytes
    }

    /// Whether `value` passes.
    pub fn matches(&self, value: &str) -> bool {
        self.matches_positive(value) != self.op.is_negative()
    }

    /// Whether `value` equals or matches, before any negation.
    pub fn matches_positive(&self, value: &str) -> bool {
        match &self.regex {
            None => self.value == value,
            Some(regex) => regex.is_match(value),
        }
    }

    /// Whether a series without the label passes.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }

    /// Whether a label set passes.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or_default())
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_legacy_label_name(&self.name) {
            write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
        } else {
            write!(f, "{:?}{}{:?}", self.name, self.op.as_str(), self.value)
        }
    }
}

/// Compiles `pattern` so that it must match a whole value.
pub fn anchored(pattern: &str) -> Result<Regex, MatcherError> {
    sized(pattern).map(|(regex, _)| regex)
}

/// The same, with a bound of its size. A compiled expression does not tell it, so it is compiled within
/// more and more; what is too large for a bound is given up early.
fn sized(pattern: &str) -> Result<(Regex, usize), MatcherError> {
    let text = anchored_text(pattern)?;
    let mut bytes_max = REGEX_BYTES_MIN;
    loop {
        match RegexBuilder::new(&text).size_limit(bytes_max).build() {
            Ok(regex) => return Ok((regex, bytes_max)),
            Err(regex::Error::CompiledTooBig(_)) if bytes_max < REGEX_BYTES_MAX => bytes_max *= 4,
            Err(regex::Error::CompiledTooBig(_)) => {
                return Err(MatcherError::TooLarge {
                    pattern: pattern.to_owned(),
                });
            }
            Err(error) => {
                return Err(MatcherError::Syntax {
                    pattern: pattern.to_owned(),
                    reason: last_line(&error.to_string()),
                });
            }
        }
    }
}

/// The expression that [`anchored`] compiles, as the `regex` crate reads it.
pub fn anchored_text(pattern: &str) -> Result<String, MatcherError> {
    let translated = translate(pattern).map_err(|reason| MatcherError::Syntax {
        pattern: pattern.to_owned(),
        reason: reason.to_owned(),
    })?;
    Ok(format!("^(?s:{translated})$"))
}

/// The regex crate draws the expression over several lines; the last says what is wrong.
fn last_line(message: &str) -> String {
    let line = message.lines().last().unwrap_or(message);
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regexes_are_anchored_and_cross_lines() {
        let matcher = Matcher::new(MatchOp::Regex, "a", "b|c.d").expect("valid");
        assert!(matcher.matches("b"));
        assert!(!matcher.matches("bb"));
        assert!(matcher.matches("c\nd"));
        assert!(!matcher.matches_empty());
    }

    #[test]
    fn a_missing_label_is_the_empty_text() {
        let labels = Labels::from_pairs([("x", "1")]);
        let passes = |op, value| {
            Matcher::new(op, "a", value)
                .expect("valid")
                .matches_labels(&labels)
        };
        assert!(passes(MatchOp::Equal, ""));
        assert!(passes(MatchOp::NotEqual, "b"));
        assert!(passes(MatchOp::Regex, ".*"));
        assert!(!passes(MatchOp::Regex, ".+"));
        assert!(passes(MatchOp::NotRegex, ".+"));
    }

    #[test]
    fn a_wrong_regex_is_named() {
        let error = Matcher::new(MatchOp::Regex, "a", "(").expect_err("unclosed");
        assert!(
            error.to_string().contains("error parsing regexp \"(\""),
            "{error}"
        );
        assert!(matches!(
            Matcher::new(MatchOp::Regex, "a", "(.{1000}){1000}"),
            Err(MatcherError::TooLarge { .. })
        ));
    }
}
