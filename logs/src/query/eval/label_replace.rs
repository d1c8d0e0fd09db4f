//! `label_replace`: a label written from what another one matches.

use super::matrix::Series;
use crate::query::ast::LabelReplace;

pub(super) fn evaluate(replace: &LabelReplace, mut inner: Vec<Series>) -> Vec<Series> {
    for series in &mut inner {
        let source = series.labels.get(&replace.source).unwrap_or_default();
        let Some(captures) = replace.regex.captures(source) else {
            continue;
        };
        let mut value = String::new();
        captures.expand(&replace.replacement, &mut value);
        let mut labels = series.labels.to_builder();
        labels.set(&replace.destination, &value);
        series.labels = labels.build();
    }
    inner
}
