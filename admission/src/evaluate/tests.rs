//! From reviews to verdicts: who is judged, in which mode, and what is never let through.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::AdmissionConfig;
use crate::network_policy::builtins::UnknownCluster;
use crate::review::tests::any_json;
use crate::review::{Workload, respond};

static BUNDLE: LazyLock<Bundle> = LazyLock::new(|| Bundle::embedded().unwrap());

fn evaluator(config: &str, namespaces: Arc<dyn NamespaceLabels>) -> Evaluator {
    let config: AdmissionConfig = serde_yaml_ng::from_str(config).unwrap();
    let config = config.validate().unwrap();
    Evaluator::new(
        config.defaults,
        config.exemptions,
        config.fail_mode,
        namespaces,
    )
    .with_network(config.network_policy, Arc::new(UnknownCluster::default()))
}

fn review(target: Target, operation: Operation, object: Value) -> Review {
    Review {
        uid: "u".into(),
        operation,
        target,
        kind: target.as_str().into(),
        subresource: String::new(),
        namespace: "default".into(),
        name: "p".into(),
        user: "jane".into(),
        dry_run: false,
        object,
        old_object: Value::Null,
        request: serde_json::Map::new(),
    }
}

fn create(spec: &Value) -> Review {
    review(
        Target::Pod,
        Operation::Create,
        json!({"kind": "Pod", "spec": spec}),
    )
}

fn privileged() -> Value {
    json!({"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": true}}]})
}

fn judge(evaluator: &Evaluator, review: &Review) -> Verdict {
    let deadline = Instant::now() + Duration::from_mins(1);
    evaluator.evaluate(review, &BUNDLE, deadline).unwrap()
}

fn judged_by_default(review: &Review) -> Verdict {
    judge(&evaluator("{}", Arc::new(DefaultsEverywhere)), review)
}

const REFUSAL: &str = "violates PodSecurity \"baseline:latest\": \
    privileged (container \"c\" must not set securityContext.privileged=true)";

#[test]
fn a_privileged_pod_is_refused_in_upstreams_words() {
    let verdict = judged_by_default(&create(&privileged()));
    let Verdict::Denied(denial) = &verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(denial.message(), REFUSAL);
    let hit = &denial.hits()[0];
    assert_eq!(hit.rule, "privileged");
    assert_eq!(hit.paths, ["spec.containers[0].securityContext.privileged"]);
    let response = &respond("u", &verdict)["response"];
    assert_eq!(response["allowed"], json!(false));
    assert_eq!(response["status"]["code"], json!(403));
    assert_eq!(response["status"]["reason"], json!("Forbidden"));
    assert_eq!(response["status"]["message"], json!(REFUSAL));
    assert_eq!(
        response["auditAnnotations"]["enforce-policy"],
        json!("baseline:latest")
    );
    assert!(
        response.get("warnings").is_none(),
        "who is refused needs no warning"
    );
}

#[test]
fn a_workload_is_warned_about_and_audited_but_not_refused() {
    let object = json!({"spec": {"template": {"spec": privileged()}}});
    let target = Target::Workload(Workload::Deployment);
    let verdict = judged_by_default(&review(target, Operation::Create, object));
    let response = &respond("u", &verdict)["response"];
    assert_eq!(response["allowed"], json!(true));
    assert_eq!(
        response["warnings"],
        json!([format!("would {}", REFUSAL.replace("violates", "violate"))])
    );
    let audit = response["auditAnnotations"]["audit-violations"]
        .as_str()
        .unwrap();
    assert!(
        audit.starts_with("would violate PodSecurity \"restricted:latest\": privileged ("),
        "{audit}"
    );
    assert!(response["auditAnnotations"].get("enforce-policy").is_none());

    let broken = json!({"spec": {"template": {"spec": {"containers": 1}}}});
    let verdict = judged_by_default(&review(target, Operation::Create, broken));
    assert!(
        matches!(&verdict, Verdict::Allowed(allowance) if !allowance.warnings.is_empty()),
        "{verdict:?}"
    );
}

fn check_exempt(change: impl FnOnce(&mut Review), config: &str, expected: Exemption) {
    let mut review = create(&privileged());
    change(&mut review);
    let verdict = judge(&evaluator(config, Arc::new(DefaultsEverywhere)), &review);
    let Verdict::Allowed(allowance) = &verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(allowance.exempt, Some(expected));
    let annotation = allowance
        .audit_annotations
        .get("exempt")
        .map(String::as_str);
    assert_eq!(annotation, expected.annotation());
}

#[test]
fn exemptions_and_what_is_not_ours() {
    let exemptions =
        "pod_security: {exemptions: {namespaces: [n], usernames: [root], runtime_classes: [kata]}}";
    check_exempt(
        |r| r.namespace = "n".into(),
        exemptions,
        Exemption::Namespace,
    );
    check_exempt(|r| r.user = "root".into(), exemptions, Exemption::User);
    check_exempt(
        |r| r.object["spec"]["runtimeClassName"] = json!("kata"),
        exemptions,
        Exemption::RuntimeClass,
    );
    check_exempt(
        |r| r.namespace = "kube-system".into(),
        "{}",
        Exemption::Namespace,
    );
    check_exempt(|r| r.target = Target::Other, "{}", Exemption::NotJudged);
    for operation in [Operation::Delete, Operation::Connect] {
        check_exempt(|r| r.operation = operation, "{}", Exemption::NotJudged);
    }
    for subresource in SUBRESOURCES_IGNORED {
        check_exempt(
            |r| r.subresource = (*subresource).into(),
            "{}",
            Exemption::NotJudged,
        );
    }
}

#[test]
fn other_subresources_of_a_pod_are_judged() {
    for subresource in ["ephemeralcontainers", "resize", "of-the-future"] {
        let mut review = create(&privileged());
        review.subresource = subresource.into();
        assert!(!judged_by_default(&review).allows(), "{subresource}");
    }
}

fn check_update(new: &Value, old: &Value, allowed: bool) {
    let mut review = create(new);
    review.operation = Operation::Update;
    review.old_object = json!({"kind": "Pod", "spec": old});
    assert_eq!(judged_by_default(&review).allows(), allowed);
}

#[test]
fn an_update_is_judged_if_it_changes_what_runs() {
    let mut other_image = privileged();
    other_image["containers"][0]["image"] = json!("j");
    let mut debugged = privileged();
    debugged["ephemeralContainers"] = json!([{"name": "d", "image": "x"}]);
    check_update(&privileged(), &privileged(), true);
    check_update(&other_image, &privileged(), false);
    check_update(&debugged, &privileged(), false);
    check_update(&privileged(), &json!({"containers": "x"}), false);
}

/// Labels of one namespace, and an error for every other.
struct One(&'static [(&'static str, &'static str)]);

impl NamespaceLabels for One {
    fn labels(
        &self,
        namespace: &str,
    ) -> Result<Arc<BTreeMap<String, String>>, NamespaceLookupError> {
        if namespace != "default" {
            return Err(NamespaceLookupError {
                namespace: namespace.into(),
                problem: "not synced".into(),
            });
        }
        let label = |(name, value): &(&str, &str)| {
            (
                format!("pod-security.kubernetes.io/{name}"),
                (*value).to_string(),
            )
        };
        Ok(Arc::new(self.0.iter().map(label).collect()))
    }
}

#[test]
fn labels_choose_and_a_failed_lookup_refuses() {
    let by = |labels| evaluator("fail_mode: open", Arc::new(One(labels)));
    assert!(judge(&by(&[("enforce", "privileged")]), &create(&privileged())).allows());
    let verdict = judge(
        &by(&[("enforce", "restrictd"), ("enforce-version", "v1.24")]),
        &create(&json!({"containers": [{"name": "c"}]})),
    );
    let Verdict::Denied(denial) = verdict else {
        panic!("{verdict:?}")
    };
    assert!(
        denial
            .message()
            .starts_with("violates PodSecurity \"restricted:v1.24\": "),
        "{}",
        denial.message()
    );
    let error = &denial.audit_annotations()["error"];
    assert!(
        error.contains("metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value"),
        "{error}"
    );

    let mut elsewhere = create(&json!({"containers": []}));
    elsewhere.namespace = "elsewhere".into();
    let verdict = judge(&by(&[]), &elsewhere);
    let Verdict::Denied(denial) = verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(
        denial.message(),
        "failed to lookup namespace \"elsewhere\": not synced"
    );
}

#[test]
fn a_namespace_with_unreadable_labels_is_refused() {
    let labels = |level: &str| json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": level}}});
    let mut namespace = review(Target::Namespace, Operation::Create, labels("strict"));
    let verdict = judged_by_default(&namespace);
    let Verdict::Denied(denial) = &verdict else {
        panic!("{verdict:?}")
    };
    assert_eq!(denial.cause().code(), 422);
    assert_eq!(
        denial.message(),
        "Namespace \"p\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: \
         Invalid value: \"strict\": must be one of privileged, baseline, restricted"
    );
    namespace.operation = Operation::Update;
    namespace.old_object = labels("strict");
    assert!(
        judged_by_default(&namespace).allows(),
        "what is broken stays editable"
    );
    namespace.old_object = labels("baseline");
    assert!(!judged_by_default(&namespace).allows());
}

#[test]
fn what_goes_wrong_follows_the_fail_mode_and_says_so() {
    let past = Instant::now();
    for (mode, allowed) in [("closed", false), ("open", true)] {
        let evaluator = evaluator(&format!("fail_mode: {mode}"), Arc::new(DefaultsEverywhere));
        let why = evaluator
            .evaluate(&create(&privileged()), &BUNDLE, past)
            .unwrap_err();
        let verdict = evaluator.fail(&why);
        let answer = respond("u", &verdict).to_string();
        assert_eq!(verdict.allows(), allowed);
        assert!(
            answer.contains("the deadline passed")
                && answer.contains(&format!("the fail mode is {mode}")),
            "{answer}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever else a pod holds, one privileged container is never let through, and what
    /// cannot be read as a pod is neither.
    #[test]
    fn nothing_passes_silently(mut object in any_json(), noise in any_json()) {
        let verdict = judged_by_default(&review(Target::Pod, Operation::Create, object.clone()));
        let readable = matches!(Pod::of(Target::Pod, &object), Ok(Some(_)));
        prop_assert!(readable || !verdict.allows(), "{verdict:?}");

        if !object.is_object() {
            object = json!({});
        }
        object["kind"] = json!("Pod");
        let mut spec = match &object["spec"] {
            Value::Object(spec) => Value::Object(spec.clone()),
            _ => json!({}),
        };
        let mut container = json!({"name": "c", "noise": noise});
        container["securityContext"] = json!({"privileged": true});
        spec["containers"] = json!([container]);
        object["spec"] = spec;
        let verdict = judged_by_default(&review(Target::Pod, Operation::Create, object));
        prop_assert!(!verdict.allows(), "{verdict:?}");
    }
}

#[test]
fn a_network_policy_is_held_to_the_rules_that_are_chosen() {
    let policy = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    });
    let config = "network_policy: {refuse: [metadata_address]}";
    let chosen = evaluator(config, Arc::new(DefaultsEverywhere));
    for (operation, subresource, refused) in [
        (Operation::Create, "", true),
        (Operation::Update, "", true),
        (Operation::Update, "status", false),
        (Operation::Connect, "", false),
    ] {
        let mut review = review(Target::Other, operation, policy.clone());
        review.subresource = subresource.into();
        let verdict = judge(&chosen, &review);
        let Verdict::Denied(denial) = &verdict else {
            assert!(!refused, "{operation:?} {subresource:?}");
            continue;
        };
        assert!(refused, "{operation:?} {subresource:?}");
        assert_eq!(denial.cause().code(), 403);
        assert_eq!(denial.hits()[0].rule, "metadata_address");
        assert_eq!(denial.hits()[0].paths, ["spec.egress[0]"]);
        assert!(matches!(judged_by_default(&review), Verdict::Allowed(_)));
    }
    // Its removal holds nothing any more.
    let mut gone = review(Target::Other, Operation::Delete, Value::Null);
    gone.old_object = policy;
    assert!(matches!(judge(&chosen, &gone), Verdict::Allowed(_)));
}
