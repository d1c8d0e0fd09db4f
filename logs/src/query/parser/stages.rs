//! The stages of a pipeline, up to where `unwrap` or the range begins.

use super::{ParseError, Parser, TokenKind, check_stages};
use crate::query::ast::{
    Conversion, Extraction, LabelChoice, LabelFormat, LabelFormatValue, LineFilter, LineFilterOp,
    LineOperand, LogExpr, Logfmt, Stage, Unwrap,
};

const LINE_FILTERS: [LineFilterOp; 6] = [
    LineFilterOp::Contains,
    LineFilterOp::NotContains,
    LineFilterOp::Matches,
    LineFilterOp::NotMatches,
    LineFilterOp::Pattern,
    LineFilterOp::NotPattern,
];

impl Parser {
    /// `{…} | stage | stage`
    pub(super) fn log_expr(&mut self) -> Result<LogExpr, ParseError> {
        let matchers = self.bounded_matchers()?;
        let stages = self.stages()?;
        let log = LogExpr { matchers, stages };
        check_stages(&log)?;
        Ok(log)
    }

    /// As many stages as follow; stops before `| unwrap`.
    pub(super) fn stages(&mut self) -> Result<Vec<Stage>, ParseError> {
        let mut stages = Vec::new();
        loop {
            if let Some(op) = self.line_filter_op() {
                self.next();
                self.link()?;
                stages.push(Stage::LineFilter(self.line_filter(op)?));
            } else if self.peek().is("|") && !self.peek_ahead(1).is("unwrap") {
                self.next();
                self.link()?;
                stages.push(self.stage()?);
            } else {
                return Ok(stages);
            }
        }
    }

    fn line_filter_op(&self) -> Option<LineFilterOp> {
        LINE_FILTERS
            .into_iter()
            .find(|op| self.peek().is(op.as_str()))
    }

    fn line_filter(&mut self, op: LineFilterOp) -> Result<LineFilter, ParseError> {
        let mut operands = vec![self.line_operand(op)?];
        while self.accept("or") {
            self.link()?;
            operands.push(self.line_operand(op)?);
        }
        Ok(LineFilter { op, operands })
    }

    fn line_operand(&mut self, op: LineFilterOp) -> Result<LineOperand, ParseError> {
        let token = self.peek().clone();
        if !token.is("ip") {
            return self.string().map(LineOperand::Text);
        }
        if !matches!(op, LineFilterOp::Contains | LineFilterOp::NotContains) {
            return Err(ParseError::at(
                token.position,
                format!(
                    "ip: invalid operation {:?}, only |= and != take ip()",
                    op.as_str()
                ),
            ));
        }
        self.ip_pattern().map(LineOperand::Ip)
    }

    /// What follows a `|`.
    fn stage(&mut self) -> Result<Stage, ParseError> {
        let token = self.peek().clone();
        if token.kind != TokenKind::Keyword {
            return self.label_filter().map(Stage::LabelFilter);
        }
        self.next();
        Ok(match token.text.as_str() {
            "json" => Stage::Json(self.extractions()?),
            "logfmt" => Stage::Logfmt(self.logfmt()?),
            "regexp" => Stage::Regexp(self.string()?),
            "pattern" => Stage::Pattern(self.string()?),
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.string()?),
            "label_format" => Stage::LabelFormat(self.label_formats()?),
            "decolorize" => Stage::Decolorize,
            "drop" => Stage::Drop(self.label_choices()?),
            "keep" => Stage::Keep(self.label_choices()?),
            _ => return Err(token.unexpected(&[])),
        })
    }

    fn logfmt(&mut self) -> Result<Logfmt, ParseError> {
        let mut logfmt = Logfmt::default();
        while self.peek().kind == TokenKind::Flag {
            let flag = self.next();
            match flag.text.as_str() {
                "--strict" => logfmt.strict = true,
                "--keep-empty" => logfmt.keep_empty = true,
                unknown => {
                    return Err(ParseError::at(
                        flag.position,
                        format!("unknown flag {unknown}, logfmt takes --strict and --keep-empty"),
                    ));
                }
            }
        }
        logfmt.extractions = self.extractions()?;
        Ok(logfmt)
    }

    /// `a, b="expression"`, or nothing.
    fn extractions(&mut self) -> Result<Vec<Extraction>, ParseError> {
        let mut extractions = Vec::new();
        if self.peek().kind != TokenKind::Identifier {
            return Ok(extractions);
        }
        loop {
            let label = self.identifier()?;
            let expression = if self.accept("=") {
                self.string()?
            } else {
                label.clone()
            };
            extractions.push(Extraction { label, expression });
            if !self.accept(",") {
                return Ok(extractions);
            }
        }
    }

    fn label_formats(&mut self) -> Result<Vec<LabelFormat>, ParseError> {
        let mut formats = Vec::new();
        loop {
            let label = self.identifier()?;
            self.expect("=")?;
            let value = if self.peek().kind == TokenKind::Identifier {
                LabelFormatValue::Rename(self.identifier()?)
            } else {
                LabelFormatValue::Template(self.string()?)
            };
            formats.push(LabelFormat { label, value });
            if !self.accept(",") {
                return Ok(formats);
            }
        }
    }

    fn label_choices(&mut self) -> Result<Vec<LabelChoice>, ParseError> {
        let mut choices = Vec::new();
        loop {
            if self.peek().kind != TokenKind::Identifier {
                return Err(self.unexpected(&["IDENTIFIER"]));
            }
            let next = self.peek_ahead(1);
            let matching = ["=", "!=", "=~", "!~"].iter().any(|op| next.is(op));
            choices.push(if matching {
                LabelChoice::Matching(self.matcher()?)
            } else {
                LabelChoice::Name(self.identifier()?)
            });
            if !self.accept(",") {
                return Ok(choices);
            }
        }
    }

    /// `| unwrap …` with the filters behind it, where it follows.
    pub(super) fn unwrap_stage(&mut self) -> Result<Option<Unwrap>, ParseError> {
        if !(self.peek().is("|") && self.peek_ahead(1).is("unwrap")) {
            return Ok(None);
        }
        self.next();
        self.next();
        let conversion = match self.peek() {
            token if token.is("bytes") => Conversion::Bytes,
            token if token.is("duration") => Conversion::Duration,
            token if token.is("duration_seconds") => Conversion::DurationSeconds,
            _ => Conversion::None,
        };
        let label = if conversion == Conversion::None {
            self.identifier()?
        } else {
            self.next();
            self.expect("(")?;
            let label = self.identifier()?;
            self.expect(")")?;
            label
        };
        let mut filters = Vec::new();
        while self.accept("|") {
            filters.push(self.label_filter()?);
        }
        Ok(Some(Unwrap {
            label,
            conversion,
            filters,
        }))
    }
}
