//! Explanations, written out.

use std::path::{Path as FilePath, PathBuf};

use super::*;
use crate::config::Refused;
use crate::pod_security::Level;

fn folder(name: &str) -> PathBuf {
    FilePath::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/gatekeeper")
        .join(name)
}

fn told(explanation: &Explanation) -> Vec<String> {
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gatekeeper/");
    let place = |place: &Place| {
        let file = place.file.replace(here, "");
        format!("{} {file}:{}", place.rule, place.line)
    };
    let verdict = format!("{:?} {}", explanation.verdict, explanation.problem);
    let mut lines = vec![verdict.trim_end().to_string()];
    for said in &explanation.policies {
        let about = match said.about.as_str() {
            "" => String::new(),
            about => format!(" ({about})"),
        };
        let line = format!(
            "{} {}{about}: {:?} {}",
            said.policy, said.mode, said.outcome, said.why
        );
        lines.push(line.trim_end().to_string());
        for one in &said.said {
            lines.push(format!("  {} {}", one.check, one.message));
            for because in &one.causes {
                lines.push(format!("  by {}", place(&because.place)));
                let through = because.through.iter().map(place);
                lines.extend(through.map(|place| format!("  through {place}")));
                lines.extend(because.input.iter().map(|found| match &found.value {
                    FoundValue::Value(value) => format!("    {} = {value}", found.path),
                    FoundValue::Absent(_) => format!("    {} is absent", found.path),
                    FoundValue::Unknown(_) => format!("    {}", found.path),
                }));
            }
        }
    }
    lines
}

/// All that is told of the objects of a text.
fn check(explainer: &Explainer, text: &str, expected: &str) {
    let explanations = explainer.explain("f", text);
    let lines: Vec<_> = explanations.iter().flat_map(told).collect();
    let expected: Vec<_> = expected.lines().skip(1).collect();
    assert_eq!(lines.join("\n"), expected.join("\n"));
}

/// The same of a file of a suite, by the policies beside it.
fn check_file(name: &str, file: &str, expected: &str) {
    let text = std::fs::read_to_string(folder(name).join(file)).unwrap();
    check(&with_policies(name), &text, expected);
}

fn with_policies(name: &str) -> Explainer {
    let mut config = AdmissionConfig::default();
    config.gatekeeper.directory = Some(folder(name));
    Explainer::new(&config).unwrap()
}

fn built_in(change: impl FnOnce(&mut AdmissionConfig)) -> Explainer {
    let mut config = AdmissionConfig::default();
    change(&mut config);
    Explainer::new(&config).unwrap()
}

#[test]
fn a_constraint_names_its_rule_its_line_and_the_fields() {
    check_file(
        "limits",
        "high-cpu.yaml",
        r#"
Fail
PodSecurity baseline:latest: Held no check of the level speaks against it
ResourceLimits/small deny: Violated
   container <a> cpu limit <201m> is higher than <200m>
  by data.resourcelimits.violation limits/template.yaml:95
  through data.resourcelimits.general_violation limits/template.yaml:129
    input.review.object.spec.containers[0].resources.limits.cpu = "201m"
    input.parameters.cpu = "200m"
    input.review.object.spec.containers[0].name = "a"
   container <b> cpu limit <1> is higher than <200m>
  by data.resourcelimits.violation limits/template.yaml:95
  through data.resourcelimits.general_violation limits/template.yaml:129
    input.review.object.spec.containers[1].resources.limits.cpu = 1
    input.parameters.cpu = "200m"
    input.review.object.spec.containers[1].name = "b"
"#,
    );
    check_file(
        "capabilities",
        "nothing.yaml",
        r#"
Fail
PodSecurity baseline:latest: Held no check of the level speaks against it
DropsCapabilities/caps deny: Violated
   container <a> does not drop all of ["NET_RAW", "sys_admin"] or "ALL"
  by data.dropscapabilities.violation capabilities/template.yaml:30
    input.review.object.spec.containers[0].image = "x"
    input.parameters.excluded is absent
    input.parameters.drop[0] = "NET_RAW"
    input.parameters.drop[1] = "sys_admin"
    input.review.object.spec.containers[0].securityContext.capabilities.drop is absent
    input.review.object.spec.containers[0].name = "a"
    input.parameters.drop = ["NET_RAW","sys_admin"]
"#,
    );
}

#[test]
fn what_an_object_implies_is_explained_too() {
    check_file(
        "expansion",
        "bad.yaml",
        r#"
Fail
PodSecurity baseline:latest: Violated
  hostNamespaces host namespaces (hostNetwork=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.template.spec.hostNetwork = true
NoHostNetwork/hostnetwork deny: NotAsked spec.match.kinds does not name Deployment of "apps/v1"
NoHostNetwork/hostnetwork deny (Pod bad-pod, implied by pods): Violated
   Pod bad-pod uses the host's network
  by data.nohostnetwork.violation expansion/template.yaml:18
    input.review.object.spec.hostNetwork = true
    input.review.kind.kind = "Pod"
    input.review.object.metadata.name = "bad-pod"
"#,
    );
}

#[test]
fn those_that_are_not_asked_say_why() {
    check_file(
        "probes",
        "unselected.yaml",
        "
Pass
PodSecurity baseline:latest: Held no check of the level speaks against it
NeedsProbes/probes deny: NotAsked spec.match.labelSelector does not select what has no labels
",
    );
    check_file(
        "registries",
        "elsewhere.yaml",
        r#"
Pass
PodSecurity baseline:latest: Held no check of the level speaks against it
Registries/our-registry warn: NotAsked spec.match.namespaces does not name the namespace "other"
"#,
    );
    check(
        &built_in(|_| ()),
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}",
        "
Skip
PodSecurity baseline:latest: NotAsked it judges pods and what makes pods, and this is neither
",
    );
    let open = built_in(|config| config.pod_security.enforce = Level::Privileged);
    check(
        &open,
        "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: []}}",
        "
Pass
PodSecurity privileged:latest: NotAsked the level privileged asks nothing
",
    );
}

#[test]
fn checks_of_pod_security_name_the_fields_of_the_object() {
    check(
        &built_in(|config| config.pod_security.enforce = Level::Restricted),
        "{apiVersion: batch/v1, kind: CronJob, metadata: {name: j}, spec: {jobTemplate: {spec: {template: {spec: \
         {hostPID: true, containers: [{name: a, securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: false, \
         seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}}]}}}}}}",
        r#"
Fail
PodSecurity restricted:latest: Violated
  hostNamespaces host namespaces (hostPID=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.jobTemplate.spec.template.spec.hostPID = true
  runAsNonRoot runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)
  by data.pod_security.set_to_root policies/pod_security/restricted/run_as_non_root.rego:20
    spec.jobTemplate.spec.template.spec.containers[0].securityContext.runAsNonRoot = false
"#,
    );
}

#[test]
fn rules_about_networks_name_path_and_reason() {
    let explainer = built_in(|config| {
        config.network_policy.refuse = [Refused::WorldOpenIngress].into();
    });
    check(
        &explainer,
        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: p, namespace: n}, \
         spec: {podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}}\n---\n\
         {apiVersion: v1, kind: Secret, metadata: {name: s}}",
        r#"
Fail
PodSecurity baseline:latest: NotAsked it judges pods and what makes pods, and this is neither
NetworkPolicy refuse: Violated
  world_open_ingress ingress open to the world (NetworkPolicy n/p allows the internet at spec.ingress[0].from[0])
  by data.network_policy.rules.found policies/network_policy/rules/world_open.rego:6
    spec.ingress[0].from[0] = {"ipBlock":{"cidr":"0.0.0.0/0"}}
Skip
PodSecurity baseline:latest: NotAsked it judges pods and what makes pods, and this is neither
NetworkPolicy refuse: NotAsked what may not be said is said by network policies, and this is none
"#,
    );
}

#[test]
fn a_review_is_held_to_what_the_webhook_would_hold_it_to() {
    let review = |request: &str| {
        format!(
            r#"{{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {{"uid": "u", {request}}}}}"#
        )
    };
    let pod = r#""kind": {"group": "", "version": "v1", "kind": "Pod"}, "resource": {"group": "", "version": "v1", "resource": "pods"},
        "namespace": "kube-system", "name": "p""#;
    let spec = r#""object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"hostPID": true, "containers": []}}"#;
    let cases = [
        format!(r#""operation": "CREATE", {pod}, {spec}"#),
        format!(r#""operation": "DELETE", {pod}, "oldObject": null"#),
        format!(r#""operation": "CREATE", "subResource": "binding", {pod}"#),
        format!(
            r#""operation": "CREATE", {}, {spec}"#,
            pod.replace("kube-system", "shop")
        ),
    ];
    let explainer = built_in(|_| ());
    let all: Vec<_> = cases.iter().map(|case| review(case)).collect();
    check(
        &explainer,
        &all.join("\n---\n"),
        r#"
Skip
PodSecurity : NotAsked the namespace "kube-system" is exempt
Skip
PodSecurity : NotAsked it does not judge DELETE
Skip
PodSecurity : NotAsked it does not judge the subresource "binding"
Fail
PodSecurity enforce baseline:latest (by default: the labels of its namespace are not known here): Violated
  hostNamespaces host namespaces (hostPID=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.hostPID = true
PodSecurity audit restricted:latest (by default: the labels of its namespace are not known here): Violated
  hostNamespaces host namespaces (hostPID=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.hostPID = true
PodSecurity warn baseline:latest (by default: the labels of its namespace are not known here): NotAsked the request is refused, and needs no warning
"#,
    );
}

#[test]
fn a_recorded_decision_is_explained_by_the_labels_of_then() {
    let line = r#"{"time":"2026-01-01T00:00:00Z","uid":"u","verdict":"allow","namespaceLabels":{"pod-security.kubernetes.io/enforce":"privileged","pod-security.kubernetes.io/warn":"baseline"},"review":{"uid":"u","kind":{"group":"","version":"v1","kind":"Pod"},"operation":"CREATE","namespace":"n","name":"p","object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"hostPID":true,"containers":[]}}}}"#;
    check(
        &built_in(|_| ()),
        &format!("{line}\n{line}\n"),
        r#"
Pass
PodSecurity enforce privileged:latest (by the labels of namespace "n"): NotAsked the level privileged asks nothing
PodSecurity audit restricted:latest (by default: no label of namespace "n" says): Violated
  hostNamespaces host namespaces (hostPID=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.hostPID = true
PodSecurity warn baseline:latest (by the labels of namespace "n"): Violated
  hostNamespaces host namespaces (hostPID=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.hostPID = true
Pass
PodSecurity enforce privileged:latest (by the labels of namespace "n"): NotAsked the level privileged asks nothing
PodSecurity audit restricted:latest (by default: no label of namespace "n" says): Violated
  hostNamespaces host namespaces (hostPID=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.hostPID = true
PodSecurity warn baseline:latest (by the labels of namespace "n"): Violated
  hostNamespaces host namespaces (hostPID=true)
  by data.pod_security.baseline policies/pod_security/baseline/host_namespaces.rego:4
    spec.hostPID = true
"#,
    );
    check(
        &built_in(|_| ()),
        r#"{"uid": "u", "verdict": "allow", "time": "t"}"#,
        "
Error the record holds no request
",
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    check(
        &built_in(|_| ()),
        "metadata: {}\n---\na: b: c",
        "
Error the document names no kind
Error mapping values are not allowed in this context at line 3 column 5
",
    );
}

/// Whatever the suites hold, the verdict is that of the check, who speaks tells a line, and its reads are of the input.
#[test]
fn everything_that_is_said_has_a_line() {
    let mut said = 0;
    for name in [
        "capabilities",
        "expansion",
        "libraries",
        "limits",
        "probes",
        "registries",
    ] {
        let explainer = with_policies(name);
        for file in std::fs::read_dir(folder(name)).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            let checked = explainer.checker.check("f", &text);
            let explained = explainer.explain("f", &text);
            assert_eq!(checked.len(), explained.len());
            for (checked, explained) in checked.iter().zip(&explained) {
                assert_eq!(checked.verdict, explained.verdict, "{explained:?}");
                let messages = checked.messages.len() + checked.warnings.len();
                let speaks = (explained.policies.iter())
                    .any(|policy| matches!(policy.outcome, Outcome::Violated | Outcome::Failed));
                assert_eq!(messages > 0, speaks || !explained.problem.is_empty());
                for one in explained.policies.iter().flat_map(|policy| &policy.said) {
                    assert!(!one.causes.is_empty(), "{name}: {one:?}");
                    said += 1;
                }
            }
        }
    }
    assert!(said > 60, "{said}");
}
