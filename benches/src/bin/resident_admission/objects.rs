//! A cluster as an API server has it: pods with all that Deployments, kubelets and networks write into them.

use serde_json::{Value, json};

pub(crate) const NAMESPACES: usize = 100;
const APPS: usize = 10;
const REPLICAS: usize = 10;
const NODES: usize = 50;

/// A ConstraintTemplate that resembles what people use, taken as often as is asked for.
const TEMPLATES: [&str; 3] = [
    include_str!("../../../../admission/tests/gatekeeper/capabilities/template.yaml"),
    include_str!("../../../../admission/tests/gatekeeper/limits/template.yaml"),
    include_str!("../../../../admission/tests/gatekeeper/probes/template.yaml"),
];

/// A pod, of which the replica's generation says how often it was replaced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which {
    pub(crate) namespace: usize,
    pub(crate) app: usize,
    pub(crate) replica: usize,
    pub(crate) generation: usize,
}

/// How far a pod has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// As it was made.
    Made,
    /// As it runs.
    Running,
}

pub(crate) fn everybody() -> impl Iterator<Item = Which> {
    (0..NAMESPACES * APPS * REPLICAS).map(|number| Which {
        namespace: number / (APPS * REPLICAS),
        app: number / REPLICAS % APPS,
        replica: number % REPLICAS,
        generation: 0,
    })
}

/// Letters and digits that look random, the same for the same parts.
fn letters(parts: &[usize], count: usize) -> String {
    let mut state = parts.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, part| {
        (state ^ *part as u64).wrapping_mul(0x100_0000_01b3)
    });
    let letters: Vec<char> = "bcdfghjklmnpqrstvwxz2456789".chars().collect();
    (0..count)
        .filter_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            letters.get(state as usize % letters.len()).copied()
        })
        .collect()
}

impl Which {
    fn hash(self) -> String {
        letters(&[self.namespace, self.app, self.generation], 10)
    }

    fn name(self) -> String {
        let Which {
            namespace,
            app,
            replica,
            generation,
        } = self;
        let end = letters(&[namespace, app, replica, generation, 7], 5);
        format!("app-{app}-{}-{end}", self.hash())
    }

    fn container(self, name: &str) -> Value {
        let env: Vec<Value> = (0..12)
            .map(|i| {
                json!({"name": format!("SETTING_{i}"), "value": letters(&[self.namespace, self.app, i], 24)})
            })
            .collect();
        json!({
            "name": name,
            "image": format!("registry.example/team-{}/{name}-{}:1.{}.0", self.namespace, self.app, self.generation),
            "imagePullPolicy": "IfNotPresent",
            "args": ["--listen=:8080", "--log-level=info"],
            "env": env,
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}, {"name": "metrics", "containerPort": 9090, "protocol": "TCP"}],
            "resources": {"limits": {"cpu": "500m", "memory": "128Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": true},
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "volumeMounts": [
                {"name": "tmp", "mountPath": "/tmp"}, {"name": "config", "mountPath": "/etc/app", "readOnly": true},
                {"name": format!("kube-api-access-{}", self.name().rsplit('-').next().unwrap_or_default()), "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true},
            ],
        })
    }

    /// The object, without version and kind.
    pub(crate) fn pod(self, phase: Phase) -> Value {
        let Which {
            namespace,
            app,
            replica,
            ..
        } = self;
        let (name, hash) = (self.name(), self.hash());
        let uid = format!(
            "{}-7a3b-4a55-9f0e-{}",
            letters(&[namespace, app, replica], 8),
            hash
        );
        let labels = json!({
            "app": format!("app-{app}"), "app.kubernetes.io/name": format!("app-{app}"), "app.kubernetes.io/part-of": format!("team-{namespace}"),
            "app.kubernetes.io/version": format!("1.{}.0", self.generation), "pod-template-hash": hash,
        });
        let mut pod = json!({
            "metadata": {
                "name": name, "namespace": format!("team-{namespace}"), "generateName": format!("app-{app}-{hash}-"), "uid": uid,
                "creationTimestamp": "2026-11-20T10:00:00Z", "labels": labels,
                "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090",
                                "checksum/config": letters(&[namespace, app, 3], 64)},
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("app-{app}-{hash}"),
                    "uid": letters(&[namespace, app, self.generation, 9], 32), "controller": true, "blockOwnerDeletion": true}],
                "managedFields": [managed("kube-controller-manager", "")],
            },
            "spec": {
                "serviceAccountName": format!("app-{app}"), "serviceAccount": format!("app-{app}"), "restartPolicy": "Always", "dnsPolicy": "ClusterFirst",
                "schedulerName": "default-scheduler", "terminationGracePeriodSeconds": 30, "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority",
                "priority": 0, "nodeSelector": {"kubernetes.io/os": "linux"},
                "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "fsGroup": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                "containers": [self.container("main"), self.container("proxy")],
                "tolerations": [
                    {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                    {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                ],
                "volumes": [
                    {"name": "tmp", "emptyDir": {}}, {"name": "config", "configMap": {"name": format!("app-{app}"), "defaultMode": 420}},
                    {"name": format!("kube-api-access-{}", name.rsplit('-').next().unwrap_or_default()), "projected": {"defaultMode": 420, "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
                    ]}},
                ],
            },
            "status": {"phase": "Pending", "qosClass": "Burstable"},
        });
        if phase == Phase::Running {
            self.runs(&mut pod);
        }
        pod
    }

    /// What scheduler, network and kubelet add.
    fn runs(self, pod: &mut Value) {
        let Which {
            namespace,
            app,
            replica,
            generation,
        } = self;
        let address = format!(
            "10.{namespace}.{}.{}",
            app * 20 + generation % 20 + 1,
            replica % 250
        );
        let node = (namespace + app + replica) % NODES;
        pod["spec"]["nodeName"] = format!("node-{node}").into();
        pod["metadata"]["annotations"]["cni.projectcalico.org/podIP"] =
            format!("{address}/32").into();
        pod["metadata"]["annotations"]["cni.projectcalico.org/containerID"] =
            letters(&[namespace, app, replica, generation], 64).into();
        pod["metadata"]["managedFields"] = json!([
            managed("kube-controller-manager", ""),
            managed("kubelet", "status")
        ]);
        let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-20T10:00:09Z"});
        let conditions = [
            "PodReadyToStartContainers",
            "Initialized",
            "Ready",
            "ContainersReady",
            "PodScheduled",
        ]
        .map(condition);
        let container = |name: &str| {
            json!({
                "name": name, "ready": true, "started": true, "restartCount": 0, "image": format!("registry.example/team-{namespace}/{name}-{app}:1.{generation}.0"),
                "imageID": format!("registry.example/team-{namespace}/{name}-{app}@sha256:{}", letters(&[namespace, app], 64)),
                "containerID": format!("containerd://{}", letters(&[namespace, app, replica, generation, name.len()], 64)),
                "lastState": {}, "state": {"running": {"startedAt": "2026-11-20T10:00:07Z"}},
            })
        };
        pod["status"] = json!({
            "phase": "Running", "qosClass": "Burstable", "startTime": "2026-11-20T10:00:00Z", "hostIP": format!("192.168.0.{node}"), "hostIPs": [{"ip": format!("192.168.0.{node}")}],
            "podIP": address, "podIPs": [{"ip": address}],
            "conditions": conditions,
            "containerStatuses": [container("main"), container("proxy")],
        });
    }
}

/// The bookkeeping of the API server, long as it is.
fn managed(manager: &str, subresource: &str) -> Value {
    let of_container = json!({".": {}, "f:args": {}, "f:env": {".": {}, "k:{\"name\":\"SETTING_0\"}": {".": {}, "f:name": {}, "f:value": {}}},
        "f:image": {}, "f:imagePullPolicy": {}, "f:livenessProbe": {".": {}, "f:httpGet": {".": {}, "f:path": {}, "f:port": {}}},
        "f:name": {}, "f:ports": {".": {}, "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
        "f:resources": {}, "f:securityContext": {}, "f:terminationMessagePath": {}, "f:volumeMounts": {}});
    json!({
        "manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-11-20T10:00:09Z", "fieldsType": "FieldsV1", "subresource": subresource,
        "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, "f:checksum/config": {}}, "f:labels": {".": {}, "f:app": {}}},
                     "f:spec": {"f:containers": {"k:{\"name\":\"main\"}": of_container, "k:{\"name\":\"proxy\"}": of_container}, "f:dnsPolicy": {}}},
    })
}

pub(crate) fn namespace(i: usize, level: &str) -> Value {
    json!({"metadata": {"name": format!("team-{i}"), "uid": letters(&[i], 32), "labels": {
        "tier": if i.is_multiple_of(20) { "monitoring" } else { "apps" }, "team": format!("{i}"),
        "kubernetes.io/metadata.name": format!("team-{i}"), "pod-security.kubernetes.io/enforce": level,
    }}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}})
}

pub(crate) fn nodes() -> impl Iterator<Item = Value> {
    (0..NODES).map(|node| {
        let images: Vec<Value> = (0..50)
            .map(|i| json!({"names": [format!("registry.example/{}", letters(&[node, i], 64))], "sizeBytes": 50_000_000}))
            .collect();
        json!({"metadata": {"name": format!("node-{node}"), "labels": {"kubernetes.io/os": "linux", "kubernetes.io/hostname": format!("node-{node}")}},
               "spec": {}, "status": {"addresses": [{"type": "InternalIP", "address": format!("192.168.0.{node}")}], "images": images}})
    })
}

fn policy(i: usize, name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": format!("team-{i}"), "uid": letters(&[i, name.len()], 32),
                        "managedFields": [managed("kubectl", "")]}, "spec": spec})
}

/// A policy of one app, which lets those of a tier in.
pub(crate) fn app_policy(i: usize, app: usize, tier: &str) -> Value {
    policy(
        i,
        &format!("app-{app}"),
        &json!({
            "podSelector": {"matchLabels": {"app": format!("app-{app}")}}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": [{"podSelector": {"matchLabels": {"app": format!("app-{}", (app + 1) % APPS)}}}], "ports": [{"port": "http", "protocol": "TCP"}]},
                {"from": [{"namespaceSelector": {"matchLabels": {"tier": tier}}}], "ports": [{"port": "metrics", "protocol": "TCP"}]},
            ],
            "egress": [{"to": [{"podSelector": {"matchLabels": {"app": format!("app-{}", (app + 9) % APPS)}}}], "ports": [{"port": 8080, "protocol": "TCP"}]}],
        }),
    )
}

/// Ten policies for each namespace: a thousand.
pub(crate) fn network_policies() -> impl Iterator<Item = Value> {
    (0..NAMESPACES).flat_map(|i| {
        let deny = policy(i, "default-deny", &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}));
        let dns = policy(i, "dns", &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {"matchLabels": {"team": "0"}}}], "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]}));
        let outside = policy(i, "outside", &json!({"podSelector": {"matchLabels": {"app": "app-0"}}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25"]}}], "ports": [{"port": 443, "protocol": "TCP"}]}]}));
        let apps = (0..7).map(move |app| app_policy(i, app, "monitoring"));
        [deny, dns, outside].into_iter().chain(apps)
    })
}

/// A ConstraintTemplate and a constraint of its kind, and what the kind is called.
pub(crate) fn template(i: usize) -> anyhow::Result<(String, Value, Value)> {
    let (text, kind, parameters) = match i % 3 {
        0 => (
            TEMPLATES[0],
            "DropsCapabilities",
            json!({"allowed": ["NET_BIND_SERVICE"], "drop": ["NET_RAW"]}),
        ),
        1 => (
            TEMPLATES[1],
            "ResourceLimits",
            json!({"cpu": "2", "memory": "2Gi", "ratio": 20}),
        ),
        _ => (
            TEMPLATES[2],
            "NeedsProbes",
            json!({"types": ["httpGet", "tcpSocket"]}),
        ),
    };
    let fresh = format!("{kind}{i}");
    let text = text
        .replace(
            &format!("name: {}", kind.to_lowercase()),
            &format!("name: {}", fresh.to_lowercase()),
        )
        .replace(&format!("kind: {kind}"), &format!("kind: {fresh}"));
    let constraint = json!({
        "metadata": {"name": "all"},
        "spec": {"enforcementAction": "warn", "match": {"kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]}, "parameters": parameters},
    });
    Ok((fresh, serde_yaml_ng::from_str(&text)?, constraint))
}
