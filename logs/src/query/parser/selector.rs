//! Stream selectors, and the label sets that pushes carry in the same notation.

use model::labels::{Builder, Labels, is_legacy_label_name};
use model::matcher::{MatchOp, Matcher};

use super::{ParseError, Parser, TokenKind};

/// How many labels a pushed stream may have.
const STREAM_LABELS_MAX: usize = 128;

/// Reads a selector such as `{a="b", c=~"d.+"}`, as `match[]` has it.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, ParseError> {
    let mut parser = Parser::new(text)?;
    let matchers = parser.matchers()?;
    parser.end()?;
    Ok(matchers)
}

/// Reads the label set of a pushed stream, `{a="b", c="d"}`. Empty values are dropped.
pub fn parse_stream_labels(text: &str) -> Result<Labels, ParseError> {
    let matchers = parse_selector(text)?;
    if matchers.len() > STREAM_LABELS_MAX {
        return Err(ParseError::whole(format!(
            "stream has {} labels, more than {STREAM_LABELS_MAX}",
            matchers.len()
        )));
    }
    let mut labels = Builder::new();
    for matcher in &matchers {
        if matcher.op() != MatchOp::Equal {
            return Err(ParseError::whole(format!(
                "stream label {} is set with {}, only = sets a label",
                matcher.name(),
                matcher.op().as_str()
            )));
        }
        if labels.get(matcher.name()).is_some() {
            return Err(ParseError::whole(format!(
                "stream has duplicate label name: {}",
                matcher.name()
            )));
        }
        labels.set(matcher.name(), matcher.value());
    }
    Ok(labels.build())
}

impl Parser {
    /// `{a="b", …}`; a comma may close the list.
    pub(super) fn matchers(&mut self) -> Result<Vec<Matcher>, ParseError> {
        self.expect("{")?;
        let mut matchers = Vec::new();
        if self.accept("}") {
            return Ok(matchers);
        }
        loop {
            matchers.push(self.matcher()?);
            if self.accept("}") {
                return Ok(matchers);
            }
            if !self.accept(",") {
                return Err(self.unexpected(&["}", ","]));
            }
            if self.accept("}") {
                return Ok(matchers);
            }
        }
    }

    /// The selector of a query, which must bound what it selects.
    pub(super) fn bounded_matchers(&mut self) -> Result<Vec<Matcher>, ParseError> {
        let matchers = self.matchers()?;
        if matchers.iter().any(|matcher| !matcher.matches_empty()) {
            return Ok(matchers);
        }
        Err(ParseError::whole(
            "queries require at least one regexp or equality matcher that does not have an \
             empty-compatible value. For instance, app=~\".*\" does not meet this requirement, \
             but app=~\".+\" will",
        ))
    }

    /// `a="b"`
    pub(super) fn matcher(&mut self) -> Result<Matcher, ParseError> {
        let token = self.peek().clone();
        let named = matches!(
            token.kind,
            TokenKind::Identifier | TokenKind::Keyword | TokenKind::Function
        );
        if !named || !is_legacy_label_name(&token.text) {
            return Err(token.unexpected(&["IDENTIFIER", "}"]));
        }
        self.next();
        let op = self
            .match_op()
            .ok_or_else(|| self.unexpected(&["=", "!=", "=~", "!~"]))?;
        self.next();
        let value = self.string()?;
        Matcher::new(op, token.text, value)
            .map_err(|error| ParseError::at(token.position, error.to_string()))
    }

    /// The matching operator at the cursor.
    pub(super) fn match_op(&self) -> Option<MatchOp> {
        [
            MatchOp::Equal,
            MatchOp::NotEqual,
            MatchOp::Regex,
            MatchOp::NotRegex,
        ]
        .into_iter()
        .find(|op| self.peek().is(op.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_labels_are_read_as_pushed() {
        let labels = parse_stream_labels(r#"{b="x\"y", a="1", empty=""}"#).expect("labels");
        assert_eq!(
            labels.iter().collect::<Vec<_>>(),
            [("a", "1"), ("b", "x\"y")]
        );
        assert_eq!(parse_stream_labels("{}").expect("none"), Labels::empty());
        for text in [
            r#"{a=~"b"}"#,
            r#"{a="1",a="2"}"#,
            r#"{a="1"} x"#,
            "a",
            r#"{1a="b"}"#,
        ] {
            assert!(parse_stream_labels(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_selector_may_match_everything_outside_of_queries() {
        assert_eq!(parse_selector(r#"{a=~".*"}"#).expect("selector").len(), 1);
        assert!(super::super::parse(r#"{a=~".*"}"#).is_err());
    }
}
