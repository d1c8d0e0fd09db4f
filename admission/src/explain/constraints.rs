//! Constraints: what they say, and why not.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use regorus::Value as Rego;
use serde_json::Value;

use super::place::Places;
use super::subject::Reviewed;
use super::{Because, Explainer, Found, FoundValue, Place, PolicySaid, Said, Yes};
use crate::bundle::Sources;
use crate::data::{Allowed, DataLimits, Recorded, Session, with_session};
use crate::evaluate::NamespaceLabels as _;
use crate::gatekeeper::matching::{Criterion, Origin};
use crate::gatekeeper::policies::{Judged, Stand, WhyNot};
use crate::gatekeeper::template::Code;
use crate::gatekeeper::{Action, EnforcementPoint, Finding, Inventory, Request};
use crate::rego::trace::{Cause, Read, Spot, Tracer};
use crate::replay::record::ThenLabels;
use crate::review::Operation;

/// The templates as they were read, by the kinds of their constraints.
pub(super) struct Templates {
    of_kinds: BTreeMap<String, OfKind>,
    allowed: Allowed,
}

struct OfKind {
    file: String,
    object: Value,
    tracer: OnceLock<Option<(Tracer, Places)>>,
}

impl Templates {
    pub(super) fn of(sources: &Sources) -> Self {
        let templates = sources.documents.iter().filter_map(|document| {
            let kind = document.object.pointer("/spec/crd/spec/names/kind")?;
            let template = OfKind {
                file: document.place.clone(),
                object: document.object.clone(),
                tracer: OnceLock::new(),
            };
            Some((kind.as_str()?.to_string(), template))
        });
        Templates {
            of_kinds: templates.collect(),
            allowed: sources.allowed,
        }
    }

    fn tracer(&self, kind: &str) -> Option<&(Tracer, Places)> {
        let template = self.of_kinds.get(kind)?;
        let made = template.tracer.get_or_init(|| {
            let code = Code::of(&template.object).ok()?;
            let places = Places::of(&template.file, &code);
            let tracer = code.tracer(self.allowed).ok()?;
            Some((tracer, places))
        });
        made.as_ref()
    }
}

/// What constraints are asked with beside the request.
struct Around<'a> {
    point: EnforcementPoint,
    deadline: Instant,
    /// What the object is, where it is not the one that was sent.
    about: String,
    action: Option<Action>,
    session: &'a dyn Fn() -> Option<Session>,
}

impl Explainer {
    pub(super) fn constraints_of_manifest(
        &self,
        object: &Value,
        deadline: Instant,
    ) -> Vec<PolicySaid> {
        let request = Request::of_object(object, Origin::Original).map_err(|e| e.to_string());
        let point = EnforcementPoint::Gator;
        self.constraints(request, point, deadline, &|| None)
    }

    pub(super) fn constraints_of_review(
        &self,
        reviewed: &Reviewed,
        deadline: Instant,
    ) -> Vec<PolicySaid> {
        let review = &reviewed.review;
        let mut request = review.request.clone();
        request.insert("object".into(), review.object.clone());
        request.insert("oldObject".into(), review.old_object.clone());
        let labels = ThenLabels(reviewed.labels.clone());
        let namespace = match review.namespace.as_str() {
            "" => None,
            name => labels.object(name),
        };
        let request = Request::of_request(request, Origin::Original)
            .map(|request| request.with_namespace(namespace))
            .map_err(|error| error.to_string());
        if request.is_err() && review.operation == Operation::Connect {
            return self
                .constraints_not_asked("a stream that carries no object is not judged")
                .collect();
        }
        let session = || {
            let now = jiff::Timestamp::now().as_millisecond();
            let recorded = Arc::new(Recorded::new(&reviewed.data));
            Some(Session::new(recorded, DataLimits::default(), deadline, now))
        };
        self.constraints(request, EnforcementPoint::Webhook, deadline, &session)
    }

    pub(super) fn constraints_not_asked(&self, why: &str) -> impl Iterator<Item = PolicySaid> {
        let constraints = self.checker.bundle.constraints();
        constraints.names().map(move |(kind, name)| {
            PolicySaid::not_asked(&format!("{kind}/{name}"), String::new(), why)
        })
    }

    fn constraints(
        &self,
        request: Result<Request, String>,
        point: EnforcementPoint,
        deadline: Instant,
        session: &dyn Fn() -> Option<Session>,
    ) -> Vec<PolicySaid> {
        let constraints = self.checker.bundle.constraints();
        let all_failed = |problem: &str| -> Vec<PolicySaid> {
            let failed = |(kind, name): (&str, &str)| {
                PolicySaid::failed(&format!("{kind}/{name}"), String::new(), problem)
            };
            constraints.names().map(failed).collect()
        };
        let request = match request {
            Ok(request) => request,
            Err(problem) => return all_failed(&problem),
        };
        let mut around = Around {
            point,
            deadline,
            about: String::new(),
            action: None,
            session,
        };
        let mut told = self.stands(&request, &around);
        match constraints.implied(&request) {
            Ok(all) => {
                for implied in all {
                    let object = implied.request.object();
                    let text = |path| {
                        let text = object.and_then(|object| object.pointer(path)?.as_str());
                        text.unwrap_or_default().to_string()
                    };
                    around.about = format!(
                        "{} {}, implied by {}",
                        text("/kind"),
                        text("/metadata/name"),
                        implied.by
                    );
                    around.action = implied.action;
                    told.extend(self.stands(&implied.request, &around));
                }
            }
            Err(error) => told.extend(all_failed(&error.to_string())),
        }
        told
    }

    fn stands(&self, request: &Request, around: &Around<'_>) -> Vec<PolicySaid> {
        let inventory = Inventory::unknown();
        let constraints = self.checker.bundle.constraints();
        let (fail_mode, point) = (self.checker.fail_mode, around.point);
        let (stands, _) = with_session((around.session)(), || {
            constraints.stands(request, &inventory, point, fail_mode, around.deadline)
        });
        (stands.iter())
            .map(|stand| PolicySaid {
                about: around.about.clone(),
                ..self.stand(stand, request, around)
            })
            .collect()
    }

    fn stand(&self, stand: &Stand<'_>, request: &Request, around: &Around<'_>) -> PolicySaid {
        let policy = format!("{}/{}", stand.kind, stand.constraint);
        let actions: Vec<_> = match around.action {
            Some(action) => vec![action.as_str()],
            None => stand.actions.iter().map(|action| action.as_str()).collect(),
        };
        let mode = actions.join(", ");
        if let Some(why_not) = stand.why_not {
            return PolicySaid::not_asked(&policy, mode, why(why_not, request, around.point));
        }
        let failed: Vec<_> = (stand.findings.iter())
            .filter(|finding| finding.judged != Judged::Violation)
            .map(|finding| match finding.judged {
                Judged::FailedOpen => {
                    format!(
                        "{}; it passes because the fail mode is open",
                        finding.message
                    )
                }
                _ => finding.message.clone(),
            })
            .collect();
        if !failed.is_empty() {
            return PolicySaid::failed(&policy, mode, failed.join("; "));
        }
        if stand.findings.is_empty() {
            return PolicySaid::held(&policy, mode, "no body of the template's rule holds");
        }
        PolicySaid::violated(&policy, mode, self.said(stand, around))
    }

    fn said(&self, stand: &Stand<'_>, around: &Around<'_>) -> Vec<Said> {
        let traced = self.templates.tracer(stand.kind);
        let limit = around.deadline.saturating_duration_since(Instant::now());
        let limit = limit.max(Duration::from_secs(1));
        let inventory = Inventory::unknown();
        let traces = traced.and_then(|(tracer, _)| {
            let ask = || tracer.ask(&stand.input, Some(inventory.data()), limit).ok();
            with_session((around.session)(), ask).0
        });
        let because = |cause: Cause| {
            let (_, places) = traced?;
            let place = |spot: Spot| {
                let (file, line) = places.of_line(&spot.module, spot.line);
                let rule = spot.rule;
                Place { rule, file, line }
            };
            Some(Because {
                place: place(cause.spot),
                through: cause.through.into_iter().map(place).collect(),
                input: cause.reads.into_iter().map(found).collect(),
            })
        };
        (stand.findings.iter())
            .map(|finding| {
                let causes = (traces.as_ref())
                    .map(|traces| traces.causes(false, |value| is_of(value, finding)));
                Said {
                    message: finding.message.clone(),
                    check: String::new(),
                    causes: causes.into_iter().flatten().filter_map(because).collect(),
                }
            })
            .collect()
    }
}

fn found(read: Read) -> Found {
    let value = match read.value {
        None => FoundValue::Absent(Yes),
        Some(value) => match serde_json::to_value(&value) {
            Ok(value) => FoundValue::Value(value),
            Err(_) => FoundValue::Unknown(Yes),
        },
    };
    Found {
        path: read.path,
        value,
    }
}

/// Whether a value of the rule is the finding.
fn is_of(value: &Rego, finding: &Finding) -> bool {
    let Rego::Object(members) = value else {
        return false;
    };
    let details = members.get(&Rego::from("details"));
    let details = details.map_or(Ok(Value::Null), serde_json::to_value);
    let message = members.get(&Rego::from("msg"));
    message == Some(&Rego::from(finding.message.as_str()))
        && details.is_ok_and(|details| details == finding.details)
}

fn why(why_not: WhyNot, request: &Request, point: EnforcementPoint) -> String {
    let criterion = match why_not {
        WhyNot::Operation => {
            return format!("its template does not judge {}", request.operation);
        }
        WhyNot::Point => {
            return format!("it is not enforced at {}", point.as_str());
        }
        WhyNot::Match(criterion) => criterion,
    };
    let text = |path: &str| {
        let object = request.object();
        let text = object.and_then(|object| object.pointer(path)?.as_str());
        text.unwrap_or_default().to_string()
    };
    let what = match criterion {
        Criterion::Kinds => {
            format!(
                "does not name {} of {:?}",
                text("/kind"),
                text("/apiVersion")
            )
        }
        Criterion::Scope => "asks for the other scope".to_string(),
        Criterion::Namespaces => format!("does not name the namespace {:?}", namespace(request)),
        Criterion::ExcludedNamespaces => format!("names the namespace {:?}", namespace(request)),
        Criterion::LabelSelector => {
            let labels = request
                .object()
                .and_then(|object| object.pointer("/metadata/labels"));
            match labels {
                Some(labels) => format!("does not select the labels {labels}"),
                None => "does not select what has no labels".to_string(),
            }
        }
        Criterion::NamespaceSelector => {
            format!(
                "does not select the labels of the namespace {:?}",
                namespace(request)
            )
        }
        Criterion::Name => format!("does not name {:?}", text("/metadata/name")),
        Criterion::Source => match request.origin {
            Origin::Original => "asks for what others imply".to_string(),
            Origin::Generated => "asks for what is sent, not for what is implied".to_string(),
        },
    };
    format!("spec.match.{} {what}", criterion.as_str())
}

/// The namespace as match criteria see it: a Namespace is in itself.
fn namespace(request: &Request) -> String {
    let object = request.object();
    let text = |path: &str| {
        let text = object.and_then(|object| object.pointer(path)?.as_str());
        text.unwrap_or_default().to_string()
    };
    if text("/kind") == "Namespace" && text("/apiVersion") == "v1" {
        return text("/metadata/name");
    }
    match text("/metadata/namespace") {
        empty if empty.is_empty() => request.namespace.clone(),
        namespace => namespace,
    }
}
