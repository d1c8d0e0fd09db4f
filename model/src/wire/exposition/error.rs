//! Why a body is not an exposition: the line, and what is wrong with it.

/// The first fault of a body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct ParseError {
    /// The line, counted from one.
    pub line: usize,
    /// What is wrong with it.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No metric name where one must be.
    #[error("expected a metric name, got {0:?}")]
    MetricName(String),
    /// A series in braces that never names its metric.
    #[error("a series without a metric name")]
    MetricNameMissing,
    /// A second quoted text without a value in one series.
    #[error("a second metric name in one series: {0:?}")]
    MetricNameTwice(String),
    /// No label name where one must be.
    #[error("expected a label name, got {0:?}")]
    LabelName(String),
    /// A label name that is not followed by `=`.
    #[error("expected \"=\" after the label name {0:?}")]
    LabelEquals(String),
    /// A label whose value is not quoted.
    #[error("expected a quoted value for the label {0:?}")]
    LabelValue(String),
    /// A quote that never closes on its line.
    #[error("a quoted text does not end on its line")]
    Unterminated,
    /// Neither a comma nor a closing brace after a label.
    #[error("expected \",\" or \"}}\" after a label, got {0:?}")]
    LabelSeparator(String),
    /// No blank between the series and its value.
    #[error("expected a blank before the value, got {0:?}")]
    ValueSeparator(String),
    /// A series without a value.
    #[error("expected a value after the series")]
    ValueMissing,
    /// A value that is no number.
    #[error("not a number: {0:?}")]
    Value(String),
    /// A timestamp the format does not know.
    #[error("not a timestamp: {0:?}")]
    Timestamp(String),
    /// Text after all that a line may hold.
    #[error("unexpected text at the end of the line: {0:?}")]
    Trailing(String),
    /// A type the format does not know.
    #[error("unknown metric type {0:?}")]
    Type(String),
    /// A unit that the family's name does not end with.
    #[error("unit {unit:?} is not a suffix of the metric family {family:?}")]
    Unit {
        /// The family.
        family: String,
        /// The unit.
        unit: String,
    },
    /// A comment of another kind than HELP, TYPE, UNIT or EOF, in OpenMetrics.
    #[error("expected HELP, TYPE, UNIT or EOF after \"#\", got {0:?}")]
    Comment(String),
    /// An exemplar that does not start with `# {`.
    #[error("expected an exemplar \"# {{…}} value\", got {0:?}")]
    Exemplar(String),
    /// An empty line, in OpenMetrics.
    #[error("OpenMetrics has no empty lines")]
    EmptyLine,
    /// A body that does not end with `# EOF`, in OpenMetrics.
    #[error("data does not end with # EOF")]
    EofMissing,
    /// Anything after `# EOF`, in OpenMetrics.
    #[error("unexpected data after # EOF")]
    AfterEof,
}

/// The start of a text, short enough for a message.
pub(super) fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
