//! The answer, as the API server reads it.

use serde_json::{Map, Value, json};

use crate::verdict::{Denial, Verdict};

/// The AdmissionReview that answers the request `uid`.
pub fn respond(uid: &str, verdict: &Verdict) -> Value {
    let mut response = Map::new();
    response.insert("uid".into(), uid.into());
    response.insert("allowed".into(), verdict.allows().into());
    let audit_annotations = match verdict {
        Verdict::Allowed(allowance) => {
            if !allowance.warnings.is_empty() {
                response.insert("warnings".into(), json!(allowance.warnings));
            }
            &allowance.audit_annotations
        }
        Verdict::Denied(denial) => {
            response.insert("status".into(), denial_status(denial));
            denial.audit_annotations()
        }
    };
    if !audit_annotations.is_empty() {
        response.insert("auditAnnotations".into(), json!(audit_annotations));
    }
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": response,
    })
}

fn denial_status(denial: &Denial) -> Value {
    status(
        denial.cause().code(),
        denial.cause().reason(),
        denial.message(),
    )
}

/// A `Status`, which is how Kubernetes tells a failure, inside an answer or instead of one.
pub fn status(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    })
}
