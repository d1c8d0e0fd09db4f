//! What speaks against an object that is there already.
//!
//! Asked of everything, one after the other, for nobody waits and everything is to be told: the namespace's levels in
//! all three modes, what no network policy may say, and constraints at the point of their audit; and of each
//! namespace with pods, whether it denies by default. Rules about what a change opens are about changes, and have nothing to say here.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::constraints::namespace_of;
use super::{Evaluator, Unjudged};
use crate::bundle::Bundle;
use crate::bundle::network::{NetworkChange, NetworkError};
use crate::config::NetworkPolicyConfig;
use crate::data::{DataSource, KeptAnswers, with_session};
use crate::gatekeeper::exclusion::Process;
use crate::gatekeeper::matching::Origin;
use crate::gatekeeper::policies::Judged;
use crate::gatekeeper::{Action, EnforcementPoint, Finding, Request};
use crate::network_policy::World;
use crate::review::{Operation, Review};
use crate::verdict::{Hit, Mode, Verdict, Violations};

/// One audit: what all its objects are judged by.
pub(crate) struct AuditRun {
    bundle: Arc<Bundle>,
    at: Timestamp,
    /// Whom rules ask, once for all objects.
    answers: Option<Arc<dyn DataSource>>,
}

impl Evaluator {
    /// Begins an audit: what rules ask is asked as of now.
    pub(crate) fn begin_audit(&self, bundle: Arc<Bundle>) -> AuditRun {
        let source = self.data.as_ref().map(|(source, _)| source.clone());
        AuditRun {
            bundle,
            at: Timestamp::now(),
            answers: source
                .map(|source| -> Arc<dyn DataSource> { Arc::new(KeptAnswers::of(source)) }),
        }
    }

    /// All that speaks against the object of `review`, which is as it would be if it were made now.
    pub(crate) fn audit(&self, review: &Review, run: &AuditRun, deadline: Instant) -> Vec<Hit> {
        let answers = run.answers.clone();
        let session = answers.and_then(|answers| self.session_at(answers, deadline, run.at));
        with_session(session, || self.audit_asking(review, &run.bundle, deadline)).0
    }

    /// What speaks against each namespace that has pods: that it denies nothing by default. Asked as if one more pod
    /// were made in it.
    pub(crate) fn audit_namespaces(
        &self,
        run: &AuditRun,
        deadline: impl Fn() -> Instant,
    ) -> Result<Vec<(String, Vec<Hit>)>, Unjudged> {
        let Some((rules, state)) = &self.network else {
            return Ok(Vec::new());
        };
        let rules = NetworkPolicyConfig {
            default_deny: rules.default_deny.clone(),
            exempt_namespaces: rules.exempt_namespaces.clone(),
            ..NetworkPolicyConfig::default()
        };
        if !rules.is_on() {
            return Ok(Vec::new());
        }
        let world = state.world();
        let known = world
            .clone()
            .map_err(|error| NetworkError::Failed(error.to_string()))?;
        let mut found = Vec::new();
        for namespace in known.namespaces() {
            if known.pods_of(namespace).is_empty() {
                continue;
            }
            let pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "one-more", "namespace": namespace}, "spec": {"containers": []}});
            let change = NetworkChange {
                operation: Operation::Create.as_str(),
                namespace,
                object: &pod,
                old_object: &Value::Null,
            };
            let limit = deadline().saturating_duration_since(Instant::now());
            let said = (run.bundle).network_violations(world.clone(), change, &rules, limit)?;
            if let Some(violations) = Violations::from_list(said) {
                found.push((namespace.to_string(), violations.hits(Mode::Enforce)));
            }
        }
        Ok(found)
    }

    fn audit_asking(&self, review: &Review, bundle: &Bundle, deadline: Instant) -> Vec<Hit> {
        let mut hits = match self.pod_security(review, bundle, deadline) {
            Ok(Verdict::Denied(denial)) => denial.hits().to_vec(),
            Ok(Verdict::Allowed(allowance)) => allowance.hits,
            Err(why) => vec![unjudged("pod_security", &why)],
        };
        match self.audit_network(review, bundle, deadline) {
            Ok(found) => hits.extend(found),
            Err(why) => hits.push(unjudged("network_policy", &why)),
        }
        hits.extend(self.audit_constraints(review, bundle, deadline));
        hits
    }

    fn audit_network(
        &self,
        review: &Review,
        bundle: &Bundle,
        deadline: Instant,
    ) -> Result<Vec<Hit>, Unjudged> {
        let Some((rules, _)) = &self.network else {
            return Ok(Vec::new());
        };
        let rules = NetworkPolicyConfig {
            refuse: rules.refuse.clone(),
            exempt_namespaces: rules.exempt_namespaces.clone(),
            ..NetworkPolicyConfig::default()
        };
        if !rules.is_on() {
            return Ok(Vec::new());
        }
        let change = NetworkChange {
            operation: Operation::Create.as_str(),
            namespace: &review.namespace,
            object: &review.object,
            old_object: &review.old_object,
        };
        let limit = deadline.saturating_duration_since(Instant::now());
        let found = bundle.network_violations(Ok(Arc::new(World::new())), change, &rules, limit)?;
        let found = Violations::from_list(found);
        Ok(found.map_or_else(Vec::new, |violations| violations.hits(Mode::Enforce)))
    }

    fn audit_constraints(&self, review: &Review, bundle: &Bundle, deadline: Instant) -> Vec<Hit> {
        let namespace = namespace_of(review);
        if bundle.constraints().is_empty() || self.inventory.excludes(Process::Audit, namespace) {
            return Vec::new();
        }
        let Ok(request) = Request::of_object(&review.object, Origin::Original) else {
            return Vec::new();
        };
        let namespace = match review.namespace.as_str() {
            "" => None,
            name => self.namespaces.object(name),
        };
        let findings = bundle.constraints().review(
            &request.with_namespace(namespace),
            &self.inventory.current(),
            EnforcementPoint::Audit,
            self.fail_mode,
            deadline,
        );
        findings.findings.iter().flat_map(hits).collect()
    }
}

fn hits(finding: &Finding) -> impl Iterator<Item = Hit> {
    let message = match finding.judged {
        Judged::Violation => finding.message.clone(),
        Judged::FailedClosed | Judged::FailedOpen => {
            format!("could not be judged: {}", finding.message)
        }
    };
    let rule = format!("{}/{}", finding.kind, finding.constraint);
    finding.actions.iter().map(move |action| Hit {
        mode: match action {
            Action::Deny => Mode::Enforce,
            Action::Warn => Mode::Warn,
            Action::Dryrun => Mode::Audit,
        },
        rule: rule.clone(),
        message: message.clone(),
        paths: vec!["object".to_string()],
    })
}

fn unjudged(rule: &str, why: &Unjudged) -> Hit {
    Hit {
        mode: Mode::Enforce,
        rule: rule.to_string(),
        message: format!("could not be judged: {why}"),
        paths: vec!["object".to_string()],
    }
}
