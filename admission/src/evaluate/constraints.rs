//! Gatekeeper's constraints over a review, and what their findings make of a verdict.
//!
//! Asked of every kind of object, after everything else has let the request pass. All findings are
//! told at once, as Gatekeeper's webhook tells them: `[constraint] message`, a line each.

use std::collections::BTreeMap;
use std::time::Instant;

use tracing::warn;

use super::{Evaluator, Trace};
use crate::bundle::Bundle;
use crate::gatekeeper::exclusion::Process;
use crate::gatekeeper::matching::Origin;
use crate::gatekeeper::policies::{Findings, Judged};
use crate::gatekeeper::request::RequestError;
use crate::gatekeeper::{Action, EnforcementPoint, Finding, Request};
use crate::review::{Operation, Review, Target};
use crate::verdict::{Allowance, Denial, Exemption, Hit, Mode, Verdict, cut, cut_warnings};

/// What one finding says at the most.
const MESSAGE_BYTES_MAX: usize = 16 << 10;

/// How many findings of one review are told; one that denies is told before others.
const HITS_MAX: usize = 256;

/// What an audit annotation holds at the most; the API server keeps the whole review beside it.
const ANNOTATION_BYTES_MAX: usize = 8 << 10;

impl Evaluator {
    pub(super) fn constraints(
        &self,
        review: &Review,
        mut allowance: Allowance,
        bundle: &Bundle,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Verdict {
        if matches!(review.operation, Operation::Create | Operation::Update)
            && let Some(problem) = bundle.constraints().problem_of(&review.object)
        {
            // Not a refusal: it may hold for another program that shares the kind.
            let warning = format!("this policy does not hold in taffrail: {problem}");
            allowance.warnings.push(warning);
            allowance.warnings = cut_warnings(allowance.warnings);
        }
        let namespace = namespace_of(review);
        if bundle.constraints().is_empty() || self.inventory.excludes(Process::Webhook, namespace) {
            return Verdict::Allowed(allowance);
        }
        let request = match self.request(review) {
            Ok(request) => request,
            // A stream that is opened to an object carries options of its own, or nothing at all.
            Err(RequestError::NoObject) if review.operation == Operation::Connect => {
                return Verdict::Allowed(allowance);
            }
            Err(error) => return Verdict::Denied(Denial::malformed("request", error.to_string())),
        };
        let found = bundle.constraints().review_expanded(
            &request,
            &self.inventory.current(),
            EnforcementPoint::Webhook,
            self.fail_mode,
            deadline,
        );
        match found {
            Ok(mut findings) => {
                trace.times.append(&mut findings.times);
                verdict(&findings, allowance)
            }
            Err(error) => Verdict::Denied(Denial::malformed("request.object", error.to_string())),
        }
    }

    fn request(&self, review: &Review) -> Result<Request, RequestError> {
        let mut request = review.request.clone();
        request.insert("object".into(), review.object.clone());
        request.insert("oldObject".into(), review.old_object.clone());
        let namespace = match review.namespace.as_str() {
            "" => None,
            name => self.namespaces.object(name),
        };
        Ok(Request::of_request(request, Origin::Original)?.with_namespace(namespace))
    }
}

/// The namespace that an object is in, as Gatekeeper's Config sees it: a namespace is in itself.
pub(super) fn namespace_of(review: &Review) -> &str {
    match review.target {
        Target::Namespace => &review.name,
        _ => &review.namespace,
    }
}

fn verdict(findings: &Findings, mut allowance: Allowance) -> Verdict {
    if findings.asked > 0 && allowance.exempt == Some(Exemption::NotJudged) {
        allowance.exempt = None;
    }
    let mut annotations = BTreeMap::new();
    if !findings.swallowed.is_empty() {
        warn!(errors = ?findings.swallowed, "builtins failed, and templates passed over it");
        annotate(&mut annotations, "swallowed-errors", &findings.swallowed);
    }
    let with = |mode: Mode, wanted: &dyn Fn(&Finding) -> bool| -> Vec<Hit> {
        let wanted = findings.findings.iter().filter(|finding| wanted(finding));
        wanted
            .take(HITS_MAX)
            .map(|finding| hit(mode, finding))
            .collect()
    };
    let open = |finding: &Finding| finding.judged == Judged::FailedOpen;
    let denied = with(Mode::Enforce, &|f| {
        f.actions.contains(&Action::Deny) && !open(f)
    });
    let recorded = with(Mode::Audit, &|f| {
        f.actions.contains(&Action::Dryrun) && !open(f)
    });
    let warned = with(Mode::Warn, &|f| {
        f.actions.contains(&Action::Warn) || open(f)
    });
    if !recorded.is_empty() {
        let messages: Vec<_> = recorded.iter().map(|hit| hit.message.clone()).collect();
        annotate(&mut annotations, "dryrun-violations", &messages);
    }
    let judged = findings
        .findings
        .iter()
        .any(|f| f.judged == Judged::Violation && f.actions.contains(&Action::Deny));
    let others: Vec<Hit> = recorded.into_iter().chain(warned.iter().cloned()).collect();
    if !denied.is_empty() {
        let denial = Denial::constrained(denied, judged);
        return Verdict::Denied(denial.with_audit(annotations, others));
    }
    let mut warnings = allowance.warnings;
    warnings.extend(warned.into_iter().map(|hit| hit.message));
    allowance.warnings = cut_warnings(warnings);
    allowance.audit_annotations.extend(annotations);
    allowance.hits.extend(others);
    Verdict::Allowed(allowance)
}

/// A template says nothing of fields: what a finding is about is the object.
fn hit(mode: Mode, finding: &Finding) -> Hit {
    let mut message = match finding.judged {
        Judged::Violation => format!("[{}] {}", finding.constraint, finding.message),
        Judged::FailedClosed => format!(
            "[{}] the request could not be judged: {}; it is refused because the fail mode is closed",
            finding.constraint, finding.message
        ),
        Judged::FailedOpen => format!(
            "[{}] the request could not be judged: {}; it passes because the fail mode is open",
            finding.constraint, finding.message
        ),
    };
    cut(&mut message, MESSAGE_BYTES_MAX);
    Hit {
        mode,
        rule: format!("{}/{}", finding.kind, finding.constraint),
        message,
        paths: vec!["object".to_string()],
    }
}

fn annotate(annotations: &mut BTreeMap<String, String>, key: &str, lines: &[String]) {
    let mut text = lines.join("\n");
    let mut end = text.len().min(ANNOTATION_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    annotations.insert(key.to_string(), text);
}

#[cfg(test)]
mod tests;
