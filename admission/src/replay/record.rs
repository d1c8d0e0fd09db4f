//! A line of the log, as far as a replay needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::data::Asked;
use crate::evaluate::{NamespaceLabels, NamespaceLookupError};
use crate::review::Review;
use crate::verdict::decision::{Outcome, RuleHit};

/// What a line says.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    time: String,
    verdict: Outcome,
    #[serde(default)]
    rules: Vec<RuleHit>,
    #[serde(default)]
    data: Vec<Asked>,
    #[serde(default)]
    namespace_labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    cut: Vec<String>,
    review: Option<Map<String, Value>>,
}

/// A decision that can be tried again.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) time: String,
    pub(crate) verdict: Outcome,
    pub(crate) rules: Vec<RuleHit>,
    pub(crate) data: Vec<Asked>,
    pub(crate) labels: Option<BTreeMap<String, String>>,
    pub(crate) review: Review,
}

impl Record {
    /// Reads a line, or says why the decision cannot be tried again.
    pub(crate) fn read(line: &str) -> Result<Self, String> {
        let line: Line = serde_json::from_str(line)
            .map_err(|error| format!("the line is no decision ({error})"))?;
        let cut = |what: &str| line.cut.iter().any(|cut| cut == what);
        let Some(request) = line.review else {
            let why = if cut("review") {
                "the request was too large to be recorded"
            } else {
                "the record holds no request"
            };
            return Err(why.to_string());
        };
        if cut("review.oldObject") {
            return Err("the old object was too large to be recorded".to_string());
        }
        if cut("rules") || cut("data") {
            return Err("its rules or data were too many to be recorded".to_string());
        }
        let review = Review::of_request(request).map_err(|error| error.to_string())?;
        Ok(Record {
            time: line.time,
            verdict: line.verdict,
            rules: line.rules,
            data: line.data,
            labels: line.namespace_labels,
            review,
        })
    }
}

/// The labels a namespace had then.
pub(crate) struct ThenLabels(pub(crate) Option<BTreeMap<String, String>>);

impl NamespaceLabels for ThenLabels {
    fn labels(&self, _: &str) -> Result<Arc<BTreeMap<String, String>>, NamespaceLookupError> {
        Ok(Arc::new(self.0.clone().unwrap_or_default()))
    }

    fn object(&self, namespace: &str) -> Option<Arc<Value>> {
        let labels = self.0.as_ref()?;
        Some(Arc::new(serde_json::json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace, "labels": labels},
        })))
    }
}
