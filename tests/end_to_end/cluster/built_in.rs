//! Kubernetes' own Pod Security admission and ours judge the same objects, and say the same.
//!
//! Each policy has two namespaces with the same labels. One is exempt from the built-in plugin, the other one
//! from ours, so that one request is judged by one of them. What they answer, warn and write down is compared
//! byte for byte.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::api_server::Answer;
use super::generator::{Generator, WORKLOADS, workload};
use super::install::{Installed, pod};
use crate::harness::{from_environment, until};

/// Levels and versions: enforce, audit, warn. The API server's newest version is older than ours, and `latest`
/// means another one to each; but what differs between the two is not generated.
const POLICIES: [Option<[(&str, &str); 3]>; 9] = [
    // The defaults, which are the same in both configurations.
    None,
    Some([
        ("restricted", "latest"),
        ("restricted", "latest"),
        ("restricted", "latest"),
    ]),
    Some([
        ("baseline", "latest"),
        ("restricted", "v1.36"),
        ("restricted", "v1.25"),
    ]),
    Some([
        ("privileged", "latest"),
        ("baseline", "v1.0"),
        ("restricted", "v1.8"),
    ]),
    Some([
        ("restricted", "v1.19"),
        ("baseline", "v1.27"),
        ("baseline", "v1.29"),
    ]),
    Some([
        ("restricted", "v1.24"),
        ("baseline", "v1.31"),
        ("baseline", "v1.33"),
    ]),
    Some([
        ("baseline", "v1.18"),
        ("restricted", "v1.22"),
        ("restricted", "v1.23"),
    ]),
    Some([
        ("baseline", "v1.34"),
        ("restricted", "v1.35"),
        ("restricted", "v1.34"),
    ]),
    Some([
        ("restricted", "v1.7"),
        ("privileged", "v1.30"),
        ("privileged", "latest"),
    ]),
];

/// The policy that lets everything in.
const LAX: usize = 3;

/// So many Pods, and half as many workloads, at each policy.
const PODS: usize = 36;

/// At least so many of all must have been judged, and so many refused; others are refused by the API server itself
/// before anybody is asked.
const JUDGED_MIN: usize = 300;
const REFUSED_MIN: usize = 60;

fn namespaces(judge: &str) -> Vec<String> {
    let name = |policy: usize| format!("{judge}-{policy}");
    (0..POLICIES.len()).map(name).collect()
}

/// What somebody is told and what is written down.
#[derive(Debug, PartialEq, Eq)]
struct Judgement {
    status: u16,
    message: String,
    warnings: Vec<String>,
    annotations: BTreeMap<String, Value>,
}

/// Without what only says who speaks.
fn judgement(answer: &Answer, annotations: Map<String, Value>, speaker: &[&str]) -> Judgement {
    let message = answer.message();
    let begin = message.find("violates PodSecurity").unwrap_or_default();
    let mut warnings = answer.warnings.clone();
    // The API server's own come between ours and after the built-in's.
    warnings.sort();
    let of_speaker = |key: &str| -> Option<String> {
        let strip = |prefix: &&str| key.strip_prefix(*prefix).map(str::to_owned);
        speaker.iter().find_map(strip)
    };
    Judgement {
        status: answer.status,
        message: message[begin..].to_owned(),
        warnings,
        annotations: annotations
            .into_iter()
            .filter_map(|(key, value)| Some((of_speaker(&key)?, value)))
            .collect(),
    }
}

fn configuration() -> String {
    let mut exempt = namespaces("ours");
    // Where the harness looks whether we are asked.
    exempt.push("default".to_owned());
    let defaults = json!({
        "enforce": "baseline", "enforce-version": "latest",
        "audit": "restricted", "audit-version": "latest",
        "warn": "baseline", "warn-version": "latest",
    });
    json!({
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AdmissionConfiguration",
        "plugins": [{"name": "PodSecurity", "configuration": {
            "apiVersion": "pod-security.admission.config.k8s.io/v1",
            "kind": "PodSecurityConfiguration",
            "defaults": defaults,
            "exemptions": {"usernames": [], "runtimeClasses": [], "namespaces": exempt},
        }}],
    })
    .to_string()
}

fn namespace(name: &str, policy: Option<[(&str, &str); 3]>) -> String {
    let mut labels = Map::new();
    let modes = ["enforce", "audit", "warn"];
    for (mode, (level, version)) in modes.iter().zip(policy.into_iter().flatten()) {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), json!(level));
        labels.insert(
            format!("pod-security.kubernetes.io/{mode}-version"),
            json!(version),
        );
    }
    let metadata = json!({"name": name, "labels": labels});
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
    format!("---\n{object}\n")
}

/// Asks in both namespaces and compares; whether it was judged, and refused.
async fn compare(
    installed: &Installed,
    policy: usize,
    resource: &str,
    object: &Value,
) -> (bool, bool) {
    let cluster = &installed.cluster;
    let path = |judge: &str| {
        let (group, resource) = resource.rsplit_once('/').expect("a group");
        format!("/{group}/namespaces/{judge}-{policy}/{resource}?dryRun=All")
    };
    let built_in = cluster.create(&path("built-in"), object).await;
    let ours = cluster.create(&path("ours"), object).await;
    let annotations = cluster.annotations(&built_in).await;
    let built_in = judgement(&built_in, annotations, &["pod-security.kubernetes.io/"]);
    let annotations = cluster.annotations(&ours).await;
    let webhooks = ["pods.admission.taffrail/", "workloads.admission.taffrail/"];
    let ours = judgement(&ours, annotations, &webhooks);
    assert_eq!(
        ours, built_in,
        "ours and theirs, at {:?}: {object}",
        POLICIES[policy]
    );
    (ours.status == 201 || ours.status == 403, ours.status == 403)
}

/// What runs in a namespace is told to who makes its level stricter. Both learn of the Pods by watching.
async fn stricter(installed: &Installed) {
    let cluster = &installed.cluster;
    let contexts = [
        json!({"privileged": true}),
        json!({}),
        json!({"procMount": "Default"}),
    ];
    for judge in ["built-in", "ours"] {
        for (number, context) in contexts.iter().enumerate() {
            let path = format!("/api/v1/namespaces/{judge}-{LAX}/pods");
            let answer = cluster
                .create(&path, &pod(&format!("p-{number}"), context))
                .await;
            assert_eq!(answer.status, 201, "{answer:?}");
        }
    }
    let warnings = |judge: &str, level: &str| {
        let namespace = format!("{judge}-{LAX}");
        let label = format!("pod-security.kubernetes.io/enforce={level}");
        let arguments = [
            "label",
            "namespace",
            &namespace,
            &label,
            "--overwrite",
            "--dry-run=server",
        ];
        let said = cluster.kubectl(&arguments, "");
        assert!(said.success, "{said:?}");
        let said = said.err.replace(&namespace, "NAMESPACE");
        // The judge warns about Pods, and the other one, who comes before or after, that the namespace is exempt.
        let (exempt, pods): (Vec<String>, Vec<String>) = said
            .lines()
            .map(str::to_owned)
            .partition(|line| line.contains("is exempt from Pod Security"));
        assert_eq!(exempt.len(), 1, "{said}");
        (exempt, pods)
    };
    for level in ["baseline", "restricted"] {
        until("both warn about the same Pods", async || {
            let (theirs, ours) = (warnings("built-in", level), warnings("ours", level));
            println!("built-in: {level}: theirs {theirs:?}, ours {ours:?}");
            (theirs.1.len() > 1 && theirs == ours).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs deploy/testcluster and port 443: run by .ci/run"]
async fn the_built_in_admission_says_the_same() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("admission.yaml");
    std::fs::write(&file, configuration()).expect("writes");
    let flags = [format!(
        "--admission-control-config-file={}",
        file.display()
    )];
    let mut exempt = namespaces("built-in");
    exempt.extend(["kube-system", "taffrail"].map(str::to_owned));
    let settings = json!({"admission": {"pod_security": {"exemptions": {"namespaces": exempt}}}});
    let (installed, _replica) = Installed::with_replica(&flags, &settings).await;
    let mut manifests = String::new();
    for (index, policy) in POLICIES.iter().enumerate() {
        manifests += &namespace(&format!("built-in-{index}"), *policy);
        manifests += &namespace(&format!("ours-{index}"), *policy);
    }
    installed.cluster.apply(&manifests);

    let seed = from_environment("TAFFRAIL_SEED", 1);
    println!("built-in: TAFFRAIL_SEED={seed}");
    let mut generator = Generator::new(seed);
    let (mut judged, mut refused) = (0, 0);
    for policy in 0..POLICIES.len() {
        for number in 0..PODS {
            let pod = generator.pod();
            let mut object = pod.clone();
            object["apiVersion"] = json!("v1");
            object["kind"] = json!("Pod");
            object["metadata"]["name"] = json!(format!("p-{number}"));
            let mut results = vec![compare(&installed, policy, "api/v1/pods", &object).await];
            if number.is_multiple_of(2) {
                let (api_version, kind, resource) = *generator.of(&WORKLOADS);
                let object = workload(api_version, kind, &format!("w-{number}"), &pod);
                let root = if api_version == "v1" { "api" } else { "apis" };
                let resource = format!("{root}/{api_version}/{resource}");
                results.push(compare(&installed, policy, &resource, &object).await);
            }
            for (was_judged, was_refused) in results {
                judged += usize::from(was_judged);
                refused += usize::from(was_refused);
            }
        }
    }
    stricter(&installed).await;
    println!("built-in: {judged} objects judged, {refused} refused, by both in the same words");
    assert!(
        judged >= JUDGED_MIN && refused >= REFUSED_MIN,
        "{judged} judged, {refused} refused"
    );
}
