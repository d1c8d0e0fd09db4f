//! Loading, swapping, and the tests written in Rego beside the policies.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::network_policy::Manifests;
use crate::network_policy::builtins::with_world;

const LIMIT: Duration = Duration::from_mins(1);

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

fn rego_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rego_files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "rego")
        {
            found.push(path);
        }
    }
}

#[test]
fn the_embedded_list_is_the_folder() {
    let embedded: BTreeSet<_> = embedded::modules()
        .into_iter()
        .map(|module| module.path)
        .collect();
    let folder: BTreeSet<_> = load::directory(&policies())
        .unwrap()
        .into_iter()
        .map(|module| {
            let path = Path::new(&module.path).strip_prefix(env!("CARGO_MANIFEST_DIR"));
            path.unwrap().display().to_string()
        })
        .collect();
    assert_eq!(embedded, folder);
}

/// Every rule `test_…` of every `*_test.rego` holds.
#[test]
fn the_tests_beside_the_policies_hold() {
    let mut cluster = Manifests::default();
    let manifests = policies().join("network_policy/test_cluster.yaml");
    cluster
        .read(&fs::read_to_string(manifests).unwrap(), "default")
        .unwrap();
    let world = Arc::new(cluster.world());
    let mut files = Vec::new();
    rego_files(&policies(), &mut files);
    files.sort();
    let modules: Vec<_> = (files.iter())
        .map(|file| Module {
            path: file.display().to_string(),
            text: fs::read_to_string(file).unwrap(),
        })
        .collect();
    let mut engine = engine(&prepared(&modules, Allowed::default()).unwrap()).unwrap();
    let mut tests = Vec::new();
    for Module { text, .. } in modules {
        let package = text.lines().find_map(|line| line.strip_prefix("package "));
        let names = text.lines().filter_map(|line| {
            let name: String = line
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            name.starts_with("test_").then_some(name)
        });
        tests.extend(names.map(|name| format!("data.{}.{name}", package.unwrap())));
    }
    assert!(tests.len() >= 20, "{} tests", tests.len());
    let mut failed = Vec::new();
    for test in tests {
        let result = with_world(Ok(world.clone()), || engine.eval_rule(test.clone()));
        if !matches!(result, Ok(Value::Bool(true))) {
            failed.push(format!("{test}: {result:?}"));
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

fn check_load_error(files: &[(&str, &str)], expected: &[&str]) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let message = Bundle::from_directory(directory.path())
        .unwrap_err()
        .to_string();
    for part in expected {
        assert!(message.contains(part), "{message:?} lacks {part:?}");
    }
}

#[test]
fn load_errors_name_file_and_line() {
    check_load_error(
        &[("broken.rego", "package a\n\nb := := 1\n")],
        &["broken.rego:3:"],
    );
    check_load_error(
        &[(
            "unsafe.rego",
            "package pod_security\n\nviolations := [x | x > 1]\n",
        )],
        &["unsafe.rego:3:"],
    );
    check_load_error(&[], &["no *.rego files"]);
    check_load_error(
        &[("other.rego", "package other\n\na := 1\n")],
        &["pod_security.violations"],
    );
}

#[test]
fn what_would_decide_wrongly_does_not_load() {
    for (rest, problem) in [
        ("a := nope(input.pod)", "there is no function nope"),
        (
            "a := http.send({\"url\": \"http://x\"})",
            "http.send asks the network",
        ),
        (
            "a := netpol.reaches(1, 2, 3)",
            "netpol.reaches takes 1 arguments",
        ),
        ("a := b\n\nb := a", "must not be recursive"),
        ("a := data.shop.open", "only data.pod_security can be asked"),
        (
            "a if not b(x)\n\nb(y) if y",
            "the variable x is only known inside a negation",
        ),
    ] {
        let text = format!("package pod_security\n\nviolations := []\n\n{rest}\n");
        check_load_error(&[("main.rego", &text)], &["main.rego:", problem]);
    }
}

/// Where regorus by itself would say something else: what a body makes of a pod, by plan and by interpreter.
#[test]
fn modules_mean_what_they_mean_to_opa() {
    let pod = |body: &str| {
        let text = format!(
            "package pod_security\n\nis_short(text) if count(text) < 4\n\n\
             violations := [{{\"rule\": \"r\", \"reason\": \"why\", \"fields\": [\"spec\"]}} | {body}]\n"
        );
        let path = "main.rego".to_string();
        let bundle = || {
            Bundle::compile(&[Module {
                path: path.clone(),
                text: text.clone(),
            }])
        };
        let (metadata, spec) = (
            json!({"name": "web"}),
            json!({"containers": [{"name": "c", "image": "i"}], "nodeName": "n1", "volumes": null}),
        );
        let judged = [bundle().unwrap(), bundle().unwrap().without_plans()].map(|bundle| {
            let policy = LevelVersion::latest(Level::Baseline);
            let found = bundle.pod_violations(PodInput::new(&metadata, &spec), policy, LIMIT);
            found
                .map(|found| found.len())
                .map_err(|error| error.to_string())
        });
        assert_eq!(judged[0], judged[1], "{body}");
        judged[0].clone()
    };
    for (body, found) in [
        // The argument of a negated call is looked up before.
        ("not is_short(input.pod.metadata.namespace)", 0),
        ("not startswith(input.pod.spec.hostname, \"a\")", 0),
        ("not input.pod.spec.hostname == \"a\"", 1),
        // A pattern is all of an object.
        (
            "some {\"name\": name} in input.pod.spec.containers; name != \"\"",
            0,
        ),
        // There is nothing in what is no collection.
        ("some volume in input.pod.spec.volumes; volume.hostPath", 0),
        ("some letter in input.pod.spec.nodeName; letter != \"\"", 0),
        ("0.1 + 0.2 == 0.3", 1),
        ("-count(input.pod.spec.containers) < 0", 1),
        (
            "parts := split(input.pod.metadata.name, \"e\"); parts == [\"w\", \"b\"]",
            1,
        ),
        ("sprintf(\"%v\", [[\"a\"]]) == `[\"a\"]`", 1),
    ] {
        assert_eq!(pod(body), Ok(found), "{body}");
    }
    for (body, problem) in [
        (
            "input.pod.spec.nodeName + 1 > 0",
            "+: cannot calculate with string and number",
        ),
        (
            "not input.pod.spec.nodeName + 1 > 0",
            "+: cannot calculate with string and number",
        ),
        (
            "units.parse_bytes(input.pod.spec.nodeName) > 0",
            "could not parse number",
        ),
        ("regex.match(\"(\", input.pod.spec.nodeName)", "regex.match"),
    ] {
        let error = pod(body).unwrap_err();
        assert!(error.contains(problem), "{body}: {error}");
    }
}

#[test]
fn a_bundle_that_gives_no_usable_answer_does_not_load() {
    for (text, problem) in [
        ("violations := 1", "other than violations"),
        (
            "violations := [] if input.level == \"baseline\"",
            "undefined for restricted:latest",
        ),
        (
            "violations := [{\"rule\": \"r\", \"reason\": \"why\", \"fields\": []}]",
            "without an object path",
        ),
        ("violations := [to_number(\"x\")]", "failed"),
    ] {
        let text = format!("package pod_security\n\n{text}\n");
        check_load_error(&[("main.rego", &text)], &["trial pod", problem]);
    }
}

#[test]
fn a_folder_takes_the_place_of_the_embedded_policies() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(
        directory.path().join("main.rego"),
        "package pod_security\n\nviolations := []\n",
    )
    .unwrap();
    fs::write(directory.path().join("main_test.rego"), "not read").unwrap();
    let privileged =
        json!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]});
    let baseline = LevelVersion::latest(Level::Baseline);
    let bundles = Bundles::new(Bundle::embedded().unwrap());
    let before = bundles.current();
    bundles.swap(Bundle::from_directory(directory.path()).unwrap());
    let after = bundles.current();
    let count = |bundle: &Bundle| {
        let found =
            bundle.pod_violations(PodInput::new(&json!(null), &privileged), baseline, LIMIT);
        found.unwrap().len()
    };
    assert_eq!((count(&before), count(&after)), (1, 0));
}

#[test]
fn an_evaluation_ends_at_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    // Slow only when asked about a pod of that name, so that the bundle passes its trial.
    let text = "package pod_security\n\nviolations := [x | input.pod.metadata.name == \"slow\"; \
                some a in numbers.range(1, 3000); some b in numbers.range(1, 3000); a * b < 0; \
                x := a]\n";
    fs::write(directory.path().join("main.rego"), text).unwrap();
    let bundle = Bundle::from_directory(directory.path()).unwrap();
    let (metadata, spec) = (json!({"name": "slow"}), json!({}));
    let slow = PodInput::new(&metadata, &spec);
    let limit = Duration::from_millis(5);
    let error = bundle
        .pod_violations(slow, LevelVersion::latest(Level::Baseline), limit)
        .unwrap_err();
    assert!(matches!(error, EvaluateError::Failed(_)), "{error}");
}

/// A bundle that names itself in two rules of two files.
fn signed(name: &str) -> Bundle {
    let module = |path: &str, text: String| Module {
        path: path.to_string(),
        text,
    };
    Bundle::compile(&[
        module(
            "main.rego",
            format!(
                "package pod_security\n\nimport data.other.second\n\n\
                 violations := [{{\"rule\": \"{name}\", \"reason\": second, \"fields\": [\"spec\"]}}]\n"
            ),
        ),
        module(
            "other.rego",
            format!("package other\n\nsecond := \"{name}\"\n"),
        ),
    ])
    .unwrap()
}

#[test]
fn nobody_is_judged_by_half_a_bundle() {
    const QUESTIONS: usize = 200;
    let bundles = Bundles::new(signed("a"));
    let nothing = json!({});
    let pod = PodInput::new(&nothing, &nothing);
    let policy = LevelVersion::latest(Level::Baseline);
    let ask = || {
        for _ in 0..QUESTIONS {
            let bundle = bundles.current();
            let answers: Vec<_> = (0..2)
                .flat_map(|_| bundle.pod_violations(pod, policy, LIMIT).unwrap())
                .flat_map(|v| [v.rule().to_string(), v.reason().to_string()])
                .collect();
            let first = &answers[0];
            assert!(answers.iter().all(|answer| answer == first), "{answers:?}");
        }
    };
    std::thread::scope(|scope| {
        let askers = [scope.spawn(ask), scope.spawn(ask)];
        for name in ["b", "a"].into_iter().cycle().take(20) {
            bundles.swap(signed(name));
        }
        for asker in askers {
            asker.join().unwrap();
        }
    });
}

/// A template that comes or goes compiles nothing that is none of it.
#[test]
fn the_same_modules_are_compiled_once() {
    let modules = embedded::modules();
    let bundle = Bundle::compile(&modules).unwrap();
    let same = bundle.with_same(&modules, Allowed::default()).unwrap();
    assert!(Arc::ptr_eq(&bundle.rules.modules, &same.rules.modules));
    assert!(bundle.with_same(&modules, Allowed::ALL).is_none());
    assert!(
        bundle
            .with_same(&modules[1..], Allowed::default())
            .is_none()
    );
}

/// What each check alone forbids: its name at restricted, what is put over a hardened
/// container's security context, and what is put over the spec.
fn forbidden() -> Vec<(&'static str, serde_json::Value, serde_json::Value)> {
    let in_container = |rule, security| (rule, security, json!({}));
    let in_spec = |rule, spec| (rule, json!(null), spec);
    vec![
        in_spec("hostNamespaces", json!({"hostNetwork": true})),
        in_container("privileged", json!({"privileged": true})),
        in_container(
            "appArmorProfile",
            json!({"appArmorProfile": {"type": "Unconfined"}}),
        ),
        in_container("seLinuxOptions", json!({"seLinuxOptions": {"user": "u"}})),
        in_container(
            "windowsHostProcess",
            json!({"windowsOptions": {"hostProcess": true}}),
        ),
        in_container(
            "allowPrivilegeEscalation",
            json!({"allowPrivilegeEscalation": true}),
        ),
        in_container("capabilities_restricted", json!({"capabilities": {}})),
        in_container("procMount_restricted", json!({"procMount": "Unmasked"})),
        in_spec(
            "restrictedVolumes",
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        ),
        in_container("runAsNonRoot", json!({"runAsNonRoot": false})),
        in_container("runAsUser", json!({"runAsUser": 0})),
        in_container(
            "seccompProfile_restricted",
            json!({"seccompProfile": {"type": "Unconfined"}}),
        ),
    ]
}

fn put_over(base: &mut serde_json::Value, changes: &serde_json::Value) {
    for (name, value) in changes.as_object().into_iter().flatten() {
        base[name] = value.clone();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// What is forbidden alone is forbidden together: no check hides another, wherever in the
    /// pod the container stands that breaks it.
    #[test]
    fn checks_do_not_hide_each_other(
        chosen in prop::sample::subsequence(forbidden(), 0..=12),
        fields in prop::collection::vec(
            prop::sample::select(vec!["initContainers", "containers", "ephemeralContainers"]), 12),
    ) {
        static BUNDLE: std::sync::LazyLock<Bundle> =
            std::sync::LazyLock::new(|| Bundle::embedded().unwrap());
        let hardened = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": true,
            "seccompProfile": {"type": "RuntimeDefault"},
        });
        let mut spec = json!({"initContainers": [], "containers": [], "ephemeralContainers": []});
        let mut expected = BTreeSet::new();
        for (i, ((rule, security, in_spec), field)) in chosen.iter().zip(&fields).enumerate() {
            expected.insert((*rule).to_string());
            put_over(&mut spec, in_spec);
            let mut container = json!({"name": format!("c{i}"), "securityContext": hardened});
            put_over(&mut container["securityContext"], security);
            spec[*field].as_array_mut().unwrap().push(container);
        }
        let metadata = json!(null);
        let pod = PodInput::new(&metadata, &spec);
        let policy = LevelVersion::latest(Level::Restricted);
        static INTERPRETED: std::sync::LazyLock<Bundle> =
            std::sync::LazyLock::new(|| Bundle::embedded().unwrap().without_plans());
        let found = BUNDLE.pod_violations(pod, policy, LIMIT).unwrap();
        prop_assert_eq!(&found, &INTERPRETED.pod_violations(pod, policy, LIMIT).unwrap());
        let found: BTreeSet<_> = found
            .iter()
            .map(|violation| violation.rule().to_string())
            .collect();
        prop_assert_eq!(found, expected, "{}", spec);
    }
}

#[test]
fn the_rules_that_come_with_the_program_are_planned() {
    let prepared = prepared(&embedded::modules(), Allowed::default()).unwrap();
    let mut engine = engine(&prepared).unwrap();
    for rule in [POD_SECURITY, network::NETWORK_POLICY] {
        let plan = Plan::new(engine.get_modules(), rule, &function);
        assert!(plan.is_ok(), "{rule}: {}", plan.unwrap_err());
    }
}

/// What no rule asks about costs nothing.
#[test]
fn the_rules_look_at_no_more_of_a_pod_than_they_name() {
    let bundle = Bundle::embedded().unwrap();
    let metadata = json!({"name": "web", "labels": {"a": "b"}, "annotations": {"c": "d"}});
    let container = json!({
        "name": "web", "image": "web:1", "env": [{"name": "A", "value": "b"}],
        "resources": {"limits": {"cpu": 1}}, "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
        "ports": [{"name": "http", "containerPort": 80, "hostPort": 80}],
        "livenessProbe": {"httpGet": {"path": "/", "port": 80, "host": "h"}, "periodSeconds": 10},
        "securityContext": {"runAsNonRoot": true},
    });
    let spec = json!({
        "containers": [container], "nodeSelector": {"a": "b"}, "tolerations": [{"key": "k"}],
        "volumes": [{"name": "tmp", "configMap": {"name": "web", "items": [1]}}],
        "securityContext": {"runAsUser": 1, "fsGroup": 2},
    });
    let read = PodInput::new(&metadata, &spec).read(&bundle.rules.pod_reads);
    let expected = json!({
        "metadata": {"annotations": {"c": "d"}},
        "spec": {
            "containers": [{
                "name": "web", "ports": [{"hostPort": 80}],
                "livenessProbe": {"httpGet": {"host": "h"}},
                "securityContext": {"runAsNonRoot": true},
            }],
            "volumes": [{"name": "tmp", "configMap": null}],
            "securityContext": {"runAsUser": 1, "fsGroup": 2},
        },
    });
    let policy = LevelVersion::latest(Level::Restricted);
    let read = serde_json::to_value(&read.at(policy)["pod"]).unwrap();
    assert_eq!(read, expected);
}
