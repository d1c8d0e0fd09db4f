//! What is deployed fits together: manifests, container file, configuration and dashboards name one image, the
//! same ports, and objects that exist.
//!
//! A misspelt name in a manifest is valid Kubernetes; it shows only as a Pod that never becomes ready. Whether an
//! API server takes the manifests is asked of one by `deploy/testcluster/check`.

// Helpers of tests fail as tests do; clippy knows only functions marked as tests.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod objects;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use admission::check::{CheckVerdict, Checker};
use admission::pod_security::{Level, LevelVersion, Version};
use serde_json::Value;

use objects::{
    NAMESPACE, addresses, find, flag, list, manifests, objects, read, root, text, workloads, yaml,
};

/// Kinds that belong to no namespace.
const CLUSTER_WIDE: [&str; 4] = [
    "Namespace",
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingWebhookConfiguration",
];

#[test]
fn every_object_is_named_and_in_the_namespace() {
    let mut seen = BTreeSet::new();
    for object in objects() {
        let (kind, name) = (text(&object, "/kind"), text(&object, "/metadata/name"));
        assert!(
            !text(&object, "/apiVersion").is_empty() && !name.is_empty(),
            "{object}"
        );
        let namespace = object
            .pointer("/metadata/namespace")
            .and_then(Value::as_str);
        let expected = (!CLUSTER_WIDE.contains(&kind)).then_some(NAMESPACE);
        assert_eq!(namespace, expected, "{kind} {name}");
        assert!(
            seen.insert((kind.to_owned(), name.to_owned())),
            "{kind} {name} is there twice"
        );
    }
    assert!(seen.contains(&("Namespace".to_owned(), NAMESPACE.to_owned())));
}

#[test]
fn kustomize_holds_every_manifest() {
    let kustomization = yaml("deploy/kustomization.yaml");
    let listed: Vec<String> = list(&kustomization[0], "/resources")
        .iter()
        .map(ToString::to_string)
        .collect();
    let there: Vec<String> = manifests()
        .iter()
        .map(|path| {
            format!(
                "{:?}",
                Path::new("manifests").join(path.file_name().unwrap_or_default())
            )
        })
        .collect();
    assert_eq!(listed, there);
    assert_eq!(
        text(&kustomization[0], "/images/0/newTag"),
        env!("CARGO_PKG_VERSION")
    );
}

#[test]
fn containers_name_one_image_and_what_exists() {
    let objects = objects();
    let roles: Vec<&str> = workloads(&objects)
        .map(|workload| {
            check_workload(&objects, workload);
            text(workload, "/spec/template/spec/containers/0/args/0")
        })
        .collect();
    assert_eq!(roles, ["server", "agent", "admission"]);
}

fn check_workload(objects: &[Value], workload: &Value) {
    let name = text(workload, "/metadata/name");
    let pod = &workload["spec"]["template"]["spec"];
    assert_eq!(
        workload["spec"]["selector"]["matchLabels"],
        workload["spec"]["template"]["metadata"]["labels"],
        "{name}"
    );
    find(objects, "ServiceAccount", text(pod, "/serviceAccountName"));
    let [container] = list(pod, "/containers") else {
        panic!("{name}: not one container")
    };
    let image = concat!("taffrail:", env!("CARGO_PKG_VERSION"));
    assert_eq!(text(container, "/image"), image, "{name}");

    let ports: BTreeMap<&str, i64> = list(container, "/ports")
        .iter()
        .map(|port| {
            (
                text(port, "/name"),
                port["containerPort"].as_i64().unwrap_or_default(),
            )
        })
        .collect();
    for port in ["http", "webhook"] {
        let listened = flag(container, port)
            .map(|address| address.rsplit_once(':').map(|(_, port)| port.to_owned()));
        let declared = ports.get(port).map(|number| Some(number.to_string()));
        assert_eq!(listened, declared, "{name}: --{port} and the port {port}");
    }
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        let Some(probe) = container.get(probe) else {
            continue;
        };
        assert!(
            ports.contains_key(text(probe, "/httpGet/port")),
            "{name}: {probe}"
        );
    }
    for url in ["server", "scrape"]
        .iter()
        .filter_map(|name| flag(container, name))
    {
        let address = url
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or_default();
        assert!(
            addresses(objects).contains(address),
            "{name}: no Service is at {url}"
        );
    }

    let volumes: BTreeSet<&str> = list(pod, "/volumes")
        .iter()
        .map(|volume| text(volume, "/name"))
        .chain(
            list(workload, "/spec/volumeClaimTemplates")
                .iter()
                .map(|claim| text(claim, "/metadata/name")),
        )
        .collect();
    let mounts: BTreeMap<&str, &str> = list(container, "/volumeMounts")
        .iter()
        .map(|mount| (text(mount, "/mountPath"), text(mount, "/name")))
        .collect();
    assert_eq!(
        mounts.values().copied().collect::<BTreeSet<_>>(),
        volumes,
        "{name}: volumes and mounts"
    );
    let data = flag(container, "data").unwrap_or_default();
    assert_eq!(
        mounts.get(data.as_str()),
        Some(&"data"),
        "{name}: --data is kept"
    );
    for volume in list(pod, "/volumes") {
        if let Some(config) = volume.pointer("/configMap/name").and_then(Value::as_str) {
            let file = flag(container, "config").unwrap_or_default();
            let (folder, file) = file.rsplit_once('/').unwrap_or_default();
            assert_eq!(
                mounts.get(folder),
                Some(&text(volume, "/name")),
                "{name}: --config"
            );
            assert!(
                find(objects, "ConfigMap", config)["data"]
                    .get(file)
                    .is_some(),
                "{name}: no {file} in {config}"
            );
        }
    }
}

#[test]
fn the_program_takes_what_it_is_told() {
    let objects = objects();
    for workload in workloads(&objects) {
        let args = list(workload, "/spec/template/spec/containers/0/args").iter();
        // The arguments before it are parsed, and nothing is started.
        run(args.filter_map(Value::as_str).chain(["--help"]));
    }
    for config_map in objects
        .iter()
        .filter(|object| object["kind"] == "ConfigMap")
    {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("taffrail.yaml");
        std::fs::write(&file, text(config_map, "/data/taffrail.yaml")).expect("a file");
        run(["check", &file.to_string_lossy()]);
    }
}

fn run<'a>(args: impl IntoIterator<Item = &'a str>) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_taffrail"));
    command.args(args);
    let output = command.output().expect("a program that starts");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
}

#[test]
fn services_lead_to_ports_of_pods() {
    let objects = objects();
    for service in objects.iter().filter(|object| object["kind"] == "Service") {
        let name = text(service, "/metadata/name");
        let workload = workloads(&objects)
            .find(|workload| {
                workload["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
            })
            .unwrap_or_else(|| panic!("{name} selects nothing"));
        for port in list(service, "/spec/ports") {
            let target = text(port, "/targetPort");
            let ports = list(workload, "/spec/template/spec/containers/0/ports");
            assert!(
                ports.iter().any(|port| text(port, "/name") == target),
                "{name}: no port {target}"
            );
        }
    }
}

#[test]
fn the_webhook_is_asked_where_it_answers_and_never_about_itself() {
    let objects = objects();
    let configuration = find(&objects, "ValidatingWebhookConfiguration", "taffrail");
    let webhooks = list(configuration, "/webhooks");
    assert!(!webhooks.is_empty());
    for webhook in webhooks {
        let client = &webhook["clientConfig"]["service"];
        let (name, namespace) = (text(client, "/name"), text(client, "/namespace"));
        let service = find(&objects, "Service", name);
        assert_eq!(service["spec"]["ports"][0]["port"], client["port"]);
        assert_eq!((namespace, text(client, "/path")), (NAMESPACE, "/validate"));
        assert_eq!(text(webhook, "/sideEffects"), "None");
        let left_out = list(webhook, "/namespaceSelector/matchExpressions/0/values");
        for namespace in ["kube-system", NAMESPACE] {
            assert!(
                left_out.contains(&namespace.into()),
                "{namespace} is not left out"
            );
        }
        let admission = admission_config(&objects);
        let dns_name = format!("{name}.{namespace}.svc");
        assert!(
            admission.certificate.names.contains(&dns_name),
            "no certificate for {dns_name}"
        );
        assert_eq!(
            admission.certificate.webhook_configuration.as_deref(),
            Some("taffrail")
        );
        assert!(
            admission
                .pod_security
                .exemptions
                .namespaces
                .contains(NAMESPACE)
        );
    }
}

/// The text is one in the manifest and stands once more in the component, with another certificate.
#[test]
fn with_cert_manager_only_the_certificate_is_another() {
    let component = &yaml("deploy/components/cert-manager/kustomization.yaml")[0];
    let patch = |kind: &str| -> Value {
        let patches = list(component, "/patches").iter();
        let mut patches = patches.filter(|patch| text(patch, "/target/kind") == kind);
        let patch = patches.next().expect("a patch");
        serde_yaml_ng::from_str(text(patch, "/patch")).expect("operations")
    };
    let read = |config: &str| -> Value { serde_yaml_ng::from_str(config).expect("YAML") };
    let operations = patch("ConfigMap");
    assert_eq!(text(&operations, "/0/path"), "/data/taffrail.yaml");
    let mut config = read(text(&operations, "/0/value"));
    let mut manifests = read(text(
        find(&objects(), "ConfigMap", "taffrail-admission"),
        "/data/taffrail.yaml",
    ));
    let certificates = [&mut config, &mut manifests].map(|config| {
        let admission = config["admission"].as_object_mut().expect("a section");
        admission.remove("certificate").expect("a certificate")
    });
    assert_eq!(config, manifests);

    let operations = patch("Deployment");
    let mount = text(&operations, "/1/value/mountPath");
    for key in ["cert_file", "key_file"] {
        assert!(text(&certificates[0], &format!("/{key}")).starts_with(mount));
    }
    let certificate = yaml("deploy/components/cert-manager/certificate.yaml");
    let certificate = find(&certificate, "Certificate", "taffrail-admission");
    assert_eq!(
        text(certificate, "/spec/secretName"),
        text(&operations, "/0/value/secret/secretName")
    );
    assert_eq!(certificate["spec"]["dnsNames"], certificates[1]["names"]);
}

#[test]
fn gatekeepers_kinds_are_those_that_the_webhook_may_watch() {
    let objects = objects();
    let role = find(&objects, "ClusterRole", "taffrail-admission");
    let kinds = yaml("deploy/components/gatekeeper-kinds/kinds.yaml");
    for kind in &kinds {
        let (group, plural) = (text(kind, "/spec/group"), text(kind, "/spec/names/plural"));
        assert_eq!(text(kind, "/metadata/name"), format!("{plural}.{group}"));
        let is_watched = list(role, "/rules").iter().any(|rule| {
            list(rule, "/apiGroups").contains(&group.into())
                && list(rule, "/resources").contains(&plural.into())
                && list(rule, "/verbs").contains(&"watch".into())
        });
        assert!(is_watched, "{plural}.{group}");
        let versions = list(kind, "/spec/versions").iter();
        let stored = versions.filter(|version| version["storage"] == true);
        assert_eq!(stored.count(), 1, "{plural}.{group}");
    }
    assert_eq!(kinds.len(), 4);

    let component = &yaml("deploy/components/gatekeeper-kinds/kustomization.yaml")[0];
    let operations = text(component, "/patches/0/patch");
    let operations: Value = serde_yaml_ng::from_str(operations).expect("operations");
    let argument = text(&operations, "/0/value");
    run(["admission", "--server=http://localhost", argument, "--help"]);
    let role = yaml("deploy/components/gatekeeper-kinds/role.yaml");
    let name = "taffrail-admission-definitions";
    let binding = find(&role, "ClusterRoleBinding", name);
    let account = text(binding, "/subjects/0/name");
    find(&objects, "ServiceAccount", account);
    let policy = find(&role, "ValidatingAdmissionPolicy", name);
    let expression = text(policy, "/spec/matchConditions/0/expression");
    assert!(expression.contains(&format!("\"system:serviceaccount:{NAMESPACE}:{account}\"")));
}

#[test]
fn our_own_rules_find_what_the_api_server_finds() {
    let restricted = LevelVersion {
        level: Level::Restricted,
        version: Version::Latest,
    };
    let checker = Checker::new(&admission::AdmissionConfig::default())
        .expect("policies that compile")
        .at(restricted);
    let results = manifests()
        .into_iter()
        .flat_map(|path| checker.check(&path.to_string_lossy(), &read(&path)))
        .filter(|result| result.verdict != CheckVerdict::Skip);
    let found: BTreeMap<String, String> = results
        .map(|result| (result.kind, without_details(&result.messages.join("\n"))))
        .collect();
    let agent = "would violate PodSecurity \"restricted:latest\": unrestricted capabilities, \
                 restricted volume types, runAsNonRoot != true, runAsUser=0";
    let expected = [
        ("StatefulSet", ""),
        ("DaemonSet", agent),
        ("Deployment", ""),
    ];
    let expected = expected.map(|(kind, message)| (kind.to_owned(), message.to_owned()));
    assert_eq!(found, BTreeMap::from(expected));
}

/// A message without what stands in parentheses, as `deploy/testcluster/check` compares them.
fn without_details(message: &str) -> String {
    let mut parts = message.split(" (");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once(')').map_or("", |(_, after)| after)
    })
}

#[test]
fn the_agents_configuration_is_valid_and_within_its_mounts() {
    let objects = objects();
    let config: agent::AgentConfig = section(&objects, "taffrail-agent", "agent");
    config.validate().expect("a valid configuration");
    let agent = find(&objects, "DaemonSet", "taffrail-agent");
    let mounts = list(agent, "/spec/template/spec/containers/0/volumeMounts");
    for root in [
        config.roots.proc,
        config.roots.sys.join("fs/cgroup"),
        config.roots.var_log,
    ] {
        let mount = mounts
            .iter()
            .find(|mount| Path::new(text(mount, "/mountPath")) == root);
        let mount = mount.unwrap_or_else(|| panic!("{} is not mounted", root.display()));
        assert_eq!(mount["readOnly"], true, "{}", root.display());
    }
}

#[test]
fn the_container_file_copies_every_member() {
    let containerfile = read(&root("deploy/Containerfile"));
    let ignored = read(&root("deploy/Containerfile.dockerignore"));
    let manifest = read(&root("Cargo.toml"));
    let members = manifest
        .lines()
        .find_map(|line| line.strip_prefix("members = ["))
        .unwrap_or_default();
    let members = members
        .trim_end_matches(']')
        .split(',')
        .map(|member| member.trim().trim_matches('"'));
    for folder in members.chain(["src"]) {
        assert!(
            containerfile.contains(&format!("COPY {folder} {folder}\n")),
            "{folder} is not copied"
        );
        assert!(
            ignored.contains(&format!("!{folder}\n")),
            "{folder} is ignored"
        );
    }
    let objects = objects();
    let user = &find(&objects, "StatefulSet", "taffrail")["spec"]["template"]["spec"]["securityContext"]
        ["runAsUser"];
    assert!(
        containerfile.contains(&format!("USER {user}:{user}\n")),
        "another user than {user}"
    );
}

#[test]
fn grafana_asks_the_servers_port() {
    let service = find(&objects(), "Service", "taffrail")["spec"]["ports"][0]["port"].to_string();
    let sources = yaml("dashboards/grafana/provisioning/datasources/taffrail.yaml");
    for source in list(&sources[0], "/datasources") {
        let url = text(source, "/url");
        assert_eq!(url.rsplit(':').next(), Some(service.as_str()), "{url}");
    }
}

fn admission_config(objects: &[Value]) -> admission::AdmissionConfig {
    let config: admission::AdmissionConfig = section(objects, "taffrail-admission", "admission");
    config.clone().validate().expect("a valid configuration");
    config
}

/// A section of the configuration file in a ConfigMap.
fn section<T: serde::de::DeserializeOwned>(objects: &[Value], config_map: &str, key: &str) -> T {
    let file = text(
        find(objects, "ConfigMap", config_map),
        "/data/taffrail.yaml",
    );
    let mut config: BTreeMap<String, serde_yaml_ng::Value> =
        serde_yaml_ng::from_str(file).expect("YAML");
    let section = config
        .remove(key)
        .unwrap_or_else(|| panic!("{config_map}: no {key}"));
    serde_yaml_ng::from_value(section).unwrap_or_else(|error| panic!("{config_map}: {error}"))
}
