//! Labels of namespaces, and who runs there.

use serde_json::{Map, json};

use super::*;
use crate::config::AdmissionConfig;
use crate::evaluate::DefaultsEverywhere;

/// Pods of one namespace.
struct Shop(Vec<RunningPod>);

impl RunningPods for Shop {
    fn running(&self, namespace: &str) -> Vec<RunningPod> {
        if namespace == "shop" {
            self.0.clone()
        } else {
            Vec::new()
        }
    }
}

fn pod(name: &str, controller: Option<&str>, spec: &Value) -> RunningPod {
    RunningPod {
        name: name.to_string(),
        controller: controller.map(str::to_string),
        pod: json!({"kind": "Pod", "spec": spec}).to_string().into(),
    }
}

fn on_host() -> Value {
    json!({"hostNetwork": true, "containers": [{"name": "c"}]})
}

fn privileged() -> Value {
    json!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]})
}

fn labelled(name: &str, labels: &[(&str, &str)]) -> Value {
    let labels: Map<String, Value> = labels
        .iter()
        .map(|(name, value)| (format!("pod-security.kubernetes.io/{name}"), json!(value)))
        .collect();
    json!({"kind": "Namespace", "metadata": {"name": name, "labels": labels}})
}

/// What changing a namespace's labels is answered with; `before` is None where it is made.
fn warnings(
    pods: Vec<RunningPod>,
    name: &str,
    before: Option<&[(&str, &str)]>,
    after: &[(&str, &str)],
) -> Vec<String> {
    let config: AdmissionConfig =
        serde_yaml_ng::from_str("pod_security: {exemptions: {runtime_classes: [vm]}}").unwrap();
    let config = config.validate().unwrap();
    let evaluator = Evaluator::new(
        Policy {
            enforce: LevelVersion::latest(Level::Privileged),
            ..config.defaults
        },
        config.exemptions,
        config.fail_mode,
        Arc::new(DefaultsEverywhere),
    )
    .with_running_pods(Arc::new(Shop(pods)));
    let review = Review {
        uid: "u".into(),
        operation: before.map_or(Operation::Create, |_| Operation::Update),
        target: Target::Namespace,
        kind: "Namespace".into(),
        subresource: String::new(),
        namespace: name.into(),
        name: name.into(),
        user: "jane".into(),
        dry_run: false,
        object: labelled(name, after),
        old_object: before.map_or(Value::Null, |before| labelled(name, before)),
        request: Map::new(),
    };
    let bundle = Bundle::embedded().unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    match evaluator.evaluate(&review, &bundle, deadline).unwrap() {
        Verdict::Allowed(allowance) => allowance.warnings,
        denied @ Verdict::Denied(_) => panic!("{denied:?}"),
    }
}

fn check(before: &[(&str, &str)], after: &[(&str, &str)], expected: &[&str]) {
    let pods = vec![
        pod("a", Some("x"), &privileged()),
        pod("b", Some("x"), &privileged()),
        pod("c", Some("y"), &on_host()),
        pod("d", None, &json!({"containers": [{"name": "c"}]})),
        pod("e", Some("x"), &privileged()),
        pod(
            "f",
            None,
            &json!({"runtimeClassName": "vm", "hostNetwork": true, "containers": [{"name": "c"}]}),
        ),
    ];
    let told = warnings(pods, "shop", Some(before), after);
    assert_eq!(told, expected, "{before:?} {after:?}");
}

const BASELINE: &[&str] = &[
    "existing pods in namespace \"shop\" violate the new PodSecurity enforce level \"baseline:latest\"",
    "a (and 2 other pods): privileged",
    "c: host namespaces",
];

#[test]
fn a_stricter_level_warns_about_what_runs() {
    check(&[], &[("enforce", "baseline")], BASELINE);
    check(
        &[("enforce", "baseline"), ("enforce-version", "v1.20")],
        &[("enforce", "baseline")],
        BASELINE,
    );
    // Nothing is stricter, or nothing asked.
    check(&[("enforce", "baseline")], &[("enforce", "baseline")], &[]);
    check(
        &[("enforce", "restricted")],
        &[("enforce", "baseline")],
        &[],
    );
    check(&[("enforce", "restricted")], &[], &[]);
    check(&[], &[("warn", "restricted"), ("audit", "restricted")], &[]);
}

#[test]
fn two_pods_are_one_and_one_other() {
    let pods = vec![pod("b", None, &on_host()), pod("a", None, &on_host())];
    let told = warnings(pods, "shop", Some(&[]), &[("enforce", "baseline")]);
    assert_eq!(told[1..], ["a (and 1 other pod): host namespaces"]);
}

#[test]
fn a_pod_of_each_controller_is_looked_at_first() {
    let mut pods: Vec<_> = (0..PODS_MAX + 7)
        .map(|i| {
            pod(
                &format!("p{i}"),
                Some("many"),
                &json!({"containers": [{"name": "c"}]}),
            )
        })
        .collect();
    pods.push(pod("the-last", Some("few"), &on_host()));
    let told = warnings(pods, "shop", Some(&[]), &[("enforce", "baseline")]);
    assert_eq!(
        told,
        [
            "new PodSecurity enforce level only checked against the first 3000 of 3008 existing pods",
            "existing pods in namespace \"shop\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "the-last: host namespaces",
        ]
    );
}

#[test]
fn who_labels_an_exempt_namespace_is_told_that_it_means_nothing() {
    let told = |before, after| warnings(Vec::new(), "kube-system", before, after);
    assert_eq!(
        told(
            None,
            &[("enforce", "restricted"), ("warn-version", "v1.30")]
        ),
        [
            "namespace \"kube-system\" is exempt from Pod Security, and the policy (enforce=restricted:latest, \
          warn=baseline:v1.30) will be ignored"
        ]
    );
    assert_eq!(told(None, &[]), [""; 0]);
    assert_eq!(
        told(Some(&[]), &[("enforce", "baseline")]),
        [
            "namespace \"kube-system\" is exempt from Pod Security, and the policy (enforce=baseline:latest) will be ignored"
        ]
    );
    assert_eq!(told(Some(&[]), &[("warn", "restricted")]), [""; 0]);
}
