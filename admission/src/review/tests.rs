//! Reading requests and the pods in them.

use proptest::prelude::*;
use serde_json::json;

use super::pod::{Pod, PodError};
use super::*;

fn body(request: &Value) -> Vec<u8> {
    let review = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request,
    });
    serde_json::to_vec(&review).unwrap()
}

#[test]
fn a_request_is_read_into_what_it_means() {
    let review = Review::read(&body(&json!({
        "uid": "u1",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "subResource": "ephemeralcontainers",
        "name": "p", "namespace": "n", "operation": "UPDATE",
        "userInfo": {"username": "jane", "groups": ["g"]},
        "object": {"kind": "Pod"}, "oldObject": {"kind": "Pod"}, "dryRun": true, "options": {},
    })))
    .unwrap();
    assert_eq!(
        (
            review.uid.as_str(),
            review.operation,
            review.target,
            review.dry_run
        ),
        ("u1", Operation::Update, Target::Pod, true)
    );
    assert_eq!(
        (
            review.user.as_str(),
            review.namespace.as_str(),
            review.name.as_str()
        ),
        ("jane", "n", "p")
    );
    assert_eq!(
        (review.kind.as_str(), review.subresource.as_str()),
        ("Pod", "ephemeralcontainers")
    );
}

#[test]
fn a_delete_has_no_object_and_a_name_may_be_inside() {
    let resource = json!({"group": "apps", "resource": "deployments"});
    let review = Review::read(&body(&json!({
        "uid": "u", "operation": "DELETE", "resource": resource, "object": null,
    })))
    .unwrap();
    assert!(review.object.is_null() && review.target == Target::Workload(Workload::Deployment));
    let review = Review::read(&body(&json!({
        "uid": "u", "operation": "CREATE", "kind": {"group": "", "kind": "Pod"},
        "object": {"metadata": {"name": "inside"}}, "name": "",
    })))
    .unwrap();
    assert_eq!(
        (review.name.as_str(), review.target),
        ("inside", Target::Pod)
    );
}

fn check_refused(body: &[u8], expected: &str) {
    let message = Review::read(body).unwrap_err().to_string();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn what_is_no_review_is_refused() {
    check_refused(b"", "failed to decode AdmissionReview");
    check_refused(b"{\"kind\": 1}", "expected a string");
    check_refused(b"{}", "expected an AdmissionReview");
    check_refused(
        br#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}"#,
        "list v1 in the webhook's admissionReviewVersions",
    );
    check_refused(
        br#"{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}"#,
        "holds no request",
    );
    check_refused(&body(&json!({"operation": "CREATE"})), "no uid");
    check_refused(
        &body(&json!({"uid": "u", "operation": "PATCH"})),
        "unknown operation \"PATCH\"",
    );
    check_refused(
        &body(&json!({"uid": "u", "operation": "CREATE"})),
        "neither a resource nor a kind",
    );
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let deep = format!("{{\"request\": {{\"object\": {open}{close}}}}}");
    check_refused(deep.as_bytes(), "recursion limit");
}

#[test]
fn pods_are_found_in_what_makes_them() {
    let spec = json!({"containers": [], "runtimeClassName": "kata"});
    let template = json!({"metadata": {"name": "t"}, "spec": spec});
    for (target, object) in [
        (Target::Pod, json!({"kind": "Pod", "spec": spec})),
        (
            Target::Workload(Workload::PodTemplate),
            json!({"template": template}),
        ),
        (
            Target::Workload(Workload::Deployment),
            json!({"spec": {"template": template}}),
        ),
        (
            Target::Workload(Workload::CronJob),
            json!({"spec": {"jobTemplate": {"spec": {"template": template}}}}),
        ),
    ] {
        let pod = Pod::of(target, &object).unwrap().unwrap();
        assert_eq!(pod.runtime_class, "kata", "{object}");
    }
    let controller = Target::Workload(Workload::ReplicationController);
    assert!(Pod::of(controller, &json!({"spec": {}})).unwrap().is_none());
}

fn check_pod_error(object: &Value, expected: &str) {
    let error = Pod::of(Target::Pod, object).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    assert!(!error.path().is_empty());
}

#[test]
fn a_pod_that_cannot_be_read_as_one_is_refused() {
    check_pod_error(&json!(null), "there is none");
    check_pod_error(
        &json!({"kind": "Deployment", "spec": {}}),
        "expected kind Pod, got \"Deployment\"",
    );
    check_pod_error(&json!({"kind": "Pod"}), "/spec is missing");
    check_pod_error(&json!([]), "/spec is missing");
    check_pod_error(&json!("Pod"), "/spec is missing");
    for spec in [
        json!("x"),
        json!({"containers": {}}),
        json!({"containers": [null]}),
        json!({"containers": [{"name": 1}]}),
        json!({"hostNetwork": "true"}),
        json!({"initContainers": [{"securityContext": {"privileged": 1}}]}),
        json!({"ephemeralContainers": [{"securityContext": {"capabilities": {"add": "ALL"}}}]}),
        json!({"securityContext": {"runAsUser": 0.5}}),
        json!({"volumes": [{"name": "v", "hostPath": "/"}]}),
        json!({"containers": [{"ports": [{"hostPort": "80"}]}]}),
    ] {
        check_pod_error(
            &json!({ "spec": spec }),
            "failed to decode pod: /spec: invalid type",
        );
    }
    check_pod_error(
        &json!({"metadata": {"annotations": {"a": 1}}, "spec": {}}),
        "failed to decode pod: /metadata: invalid type",
    );
    assert_eq!(
        Pod::of(Target::Pod, &json!({"spec": null}))
            .err()
            .map(|error| error.path().to_string()),
        Some("/spec".to_string()),
    );
    assert!(matches!(
        Pod::of(Target::Pod, &Value::Null),
        Err(PodError::NoObject)
    ));
}

#[test]
fn null_is_the_same_as_nothing() {
    let object = json!({"kind": "Pod", "metadata": null, "spec": {
        "containers": [{"name": null, "securityContext": null, "ports": null}],
        "initContainers": null, "volumes": [{"name": "v", "hostPath": null}], "os": null,
    }});
    assert!(Pod::of(Target::Pod, &object).is_ok());
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "kind",
        "spec",
        "metadata",
        "containers",
        "initContainers",
        "ephemeralContainers",
        "securityContext",
        "privileged",
        "name",
        "image",
        "volumes",
        "hostPath",
        "hostNetwork",
        "annotations",
        "capabilities",
        "add",
        "drop",
        "ports",
        "hostPort",
        "template",
        "type",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["Pod", "ALL", "Unconfined"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_string), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..512), value in any_json()) {
        let _ = Review::read(&bytes);
        let _ = Review::read(&serde_json::to_vec(&value).unwrap());
        let _ = Review::read(&body(&value));
    }
}
