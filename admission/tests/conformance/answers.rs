//! The same fixtures as an API server would send them: each pod by itself, in a namespace whose labels enforce the
//! fixture's level and version; and in a Deployment, which is never refused but warned about, and written down for
//! the audit, in the words in which its pod is refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admission::bundle::Bundle;
use admission::config::{Exemptions, FailMode};
use admission::evaluate::{Evaluator, NamespaceLabels, NamespaceLookupError};
use admission::pod_security::{Level, LevelVersion, Policy};
use admission::review::{Review, respond};
use serde_json::{Value, json};

use super::{Case, check_of};

/// How upstream begins what a check says, or the check that stands in its place at the restricted level; which check
/// it is by the start of the fixture's name, the longer before the shorter.
const REASONS: [(&str, &[&str]); 18] = [
    (
        "allowprivilegeescalation",
        &["allowPrivilegeEscalation != false ("],
    ),
    ("apparmorprofile", &["forbidden AppArmor profile"]),
    (
        "capabilities_baseline",
        &["non-default capabilities (", "unrestricted capabilities ("],
    ),
    ("capabilities_restricted", &["unrestricted capabilities ("]),
    ("hostnamespaces", &["host namespaces ("]),
    (
        "hostpathvolumes",
        &["hostPath volumes (", "restricted volume types ("],
    ),
    ("hostports", &["hostPort ("]),
    ("hostprobesandhostlifecycle", &["probe or lifecycle host ("]),
    ("privileged", &["privileged ("]),
    ("procmount", &["procMount ("]),
    ("restrictedvolumes", &["restricted volume types ("]),
    ("runasnonroot", &["runAsNonRoot != true ("]),
    ("runasuser", &["runAsUser=0 ("]),
    ("seccompprofile", &["seccompProfile ("]),
    ("selinuxoptions", &["seLinuxOptions ("]),
    ("sysctls", &["forbidden sysctl"]),
    ("windowshostprocess", &["hostProcess ("]),
    ("procmount_restricted", &["procMount ("]),
];

/// The labels of the only namespace there is.
struct Labels(Arc<BTreeMap<String, String>>);

impl NamespaceLabels for Labels {
    fn labels(&self, _: &str) -> Result<Arc<BTreeMap<String, String>>, NamespaceLookupError> {
        Ok(self.0.clone())
    }
}

fn evaluator(case: &Case) -> Evaluator {
    let label = |mode: &str| {
        let key = format!("pod-security.kubernetes.io/{mode}");
        let version = (format!("{key}-version"), case.policy.version.to_string());
        [(key, case.policy.level.to_string()), version]
    };
    let labels = ["enforce", "audit", "warn"].into_iter().flat_map(label);
    // The labels say all.
    let unasked = LevelVersion::latest(Level::Privileged);
    let defaults = Policy {
        enforce: unasked,
        audit: unasked,
        warn: unasked,
    };
    let labels = Arc::new(Labels(Arc::new(labels.collect())));
    Evaluator::new(defaults, Exemptions::default(), FailMode::Closed, labels)
}

/// The response to the creation of an object.
fn asked(evaluator: &Evaluator, bundle: &Bundle, resource: &str, object: &Value) -> Value {
    let kind = object["kind"].as_str().unwrap();
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let body = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "kind": {"group": group, "version": version, "kind": kind},
            "resource": {"group": group, "version": version, "resource": resource},
            "namespace": "default",
            "operation": "CREATE",
            "userInfo": {"username": "jane"},
            "object": object,
        },
    });
    let review = Review::read(body.to_string().as_bytes()).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let verdict = evaluator.evaluate(&review, bundle, deadline).unwrap();
    respond(&review.uid, &verdict)["response"].clone()
}

/// Why a fixture is not answered as upstream answers it.
pub(crate) fn judge(bundle: &Bundle, case: &Case, pod: &Value) -> Result<(), String> {
    let evaluator = evaluator(case);
    let answer = asked(&evaluator, bundle, "pods", pod);
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "of-it"},
        "spec": {
            "selector": {"matchLabels": {"app": "it"}},
            "template": {"metadata": pod["metadata"], "spec": pod["spec"]},
        },
    });
    let of_it = asked(&evaluator, bundle, "deployments", &deployment);
    if of_it["allowed"] != json!(true) {
        return Err(format!("the Deployment is refused: {of_it}"));
    }
    if answer["auditAnnotations"]["enforce-policy"] != json!(case.policy.to_string()) {
        return Err(format!("not by {}: {answer}", case.policy));
    }
    if case.allowed {
        let is_clean = answer["allowed"] == json!(true) && answer.get("warnings").is_none();
        return match (is_clean, of_it.get("warnings")) {
            (true, None) => Ok(()),
            _ => Err(format!("expected no word against it: {answer}, {of_it}")),
        };
    }
    let message = answer["status"]["message"].as_str().unwrap_or_default();
    let head = format!("violates PodSecurity \"{}\": ", case.policy);
    let said = message.strip_prefix(&head);
    let said = said.ok_or_else(|| format!("expected {head:?}: {answer}"))?;
    if answer["status"]["code"] != json!(403) || answer.get("warnings").is_some() {
        return Err(format!("expected 403 without warnings: {answer}"));
    }
    let name = case.path.file_name().unwrap().to_string_lossy();
    let of_check = REASONS.iter().filter(|(check, _)| name.starts_with(check));
    let (_, reasons) = of_check
        .max_by_key(|(check, _)| check.len())
        .ok_or_else(|| format!("no words are known of {}", check_of(&case.path)))?;
    if !reasons.iter().any(|reason| said.contains(reason)) {
        return Err(format!("expected one of {reasons:?}: {said}"));
    }
    let would = format!("would violate PodSecurity \"{}\": {said}", case.policy);
    if of_it["warnings"] != json!([would]) {
        return Err(format!("expected the warning {would:?}: {of_it}"));
    }
    if of_it["auditAnnotations"]["audit-violations"] != json!(would) {
        return Err(format!("expected it in the audit: {would:?}: {of_it}"));
    }
    Ok(())
}
