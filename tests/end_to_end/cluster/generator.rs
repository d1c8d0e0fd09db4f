//! Random Pods and what makes Pods, such as an API server takes them, or nearly.
//!
//! Each thing that a Pod Security level has an opinion on is there now and then, well and badly; the rest of a Pod is
//! as plain as can be. What the API server itself refuses is nothing to worry about: it does so whoever is asked
//! about the rest.

use serde_json::{Map, Value, json};

/// A small generator of numbers: the same seed, the same Pods.
pub(crate) struct Generator(u64);

/// What people make Pods with.
pub(crate) const WORKLOADS: [(&str, &str, &str); 8] = [
    ("v1", "PodTemplate", "podtemplates"),
    ("v1", "ReplicationController", "replicationcontrollers"),
    ("apps/v1", "DaemonSet", "daemonsets"),
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "ReplicaSet", "replicasets"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("batch/v1", "CronJob", "cronjobs"),
    ("batch/v1", "Job", "jobs"),
];

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.number().is_multiple_of(chances)
    }

    pub(crate) fn of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.number() as usize % choices.len()]
    }

    /// Now and then sets a key to one of several values.
    fn maybe(
        &mut self,
        object: &mut Map<String, Value>,
        key: &str,
        chances: u64,
        values: &[Value],
    ) {
        if self.one_in(chances) {
            object.insert(key.to_owned(), self.of(values).clone());
        }
    }

    /// A Pod's annotations and its spec.
    pub(crate) fn pod(&mut self) -> Value {
        let mut spec = Map::new();
        let windows = self.one_in(12);
        // Many violations hide each other's words; some Pods have few of them.
        let rarely = *self.of(&[4, 12, 40]);
        if windows {
            spec.insert("os".to_owned(), json!({"name": "windows"}));
        }
        let yes = [json!(true), json!(false)];
        for key in ["hostPID", "hostIPC"] {
            self.maybe(&mut spec, key, rarely * 2, &yes);
        }
        let host_network = self.one_in(rarely * 2);
        if host_network {
            spec.insert("hostNetwork".to_owned(), json!(true));
        }
        if !host_network {
            self.maybe(&mut spec, "hostUsers", 5, &yes);
        }
        let context = self.pod_context(rarely, windows);
        if !self.one_in(4) {
            spec.insert("securityContext".to_owned(), context);
        }
        let volumes = self.volumes(rarely);
        spec.insert("volumes".to_owned(), volumes);
        let without_host_users = spec.get("hostUsers") == Some(&json!(false));
        let containers = |generator: &mut Self, names: &[&str]| -> Value {
            let make = |name: &&str| {
                generator.container(name, rarely, windows, host_network, without_host_users)
            };
            names.iter().map(make).collect()
        };
        let names = &["a", "b", "c"][..*self.of(&[1, 2, 3])];
        spec.insert("containers".to_owned(), containers(self, names));
        if self.one_in(3) {
            spec.insert("initContainers".to_owned(), containers(self, &["i"]));
        }
        let mut annotations = Map::new();
        let profiles = ["runtime/default", "localhost/x", "unconfined"].map(|text| json!(text));
        let key = "container.apparmor.security.beta.kubernetes.io/a";
        self.maybe(&mut annotations, key, rarely * 2, &profiles);
        json!({"metadata": {"annotations": annotations, "labels": {"app": "x"}}, "spec": spec})
    }

    fn pod_context(&mut self, rarely: u64, windows: bool) -> Value {
        let mut context = Map::new();
        if windows {
            let options = [json!({"hostProcess": false}), json!({"runAsUserName": "u"})];
            self.maybe(&mut context, "windowsOptions", 3, &options);
            return Value::Object(context);
        }
        self.user(&mut context, rarely);
        self.profiles(&mut context, rarely);
        let policies = ["OnRootMismatch", "Always"].map(|text| json!(text));
        self.maybe(&mut context, "fsGroupChangePolicy", 10, &policies);
        let names = [
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_reserved_ports",
            "net.ipv4.tcp_keepalive_time",
            "net.ipv4.tcp_rmem",
            "kernel.msgmax",
            "net.core.somaxconn",
        ];
        let mut sysctls: Vec<Value> = Vec::new();
        for name in names {
            if self.one_in(rarely * 2) {
                sysctls.push(json!({"name": name, "value": "1"}));
            }
        }
        if !sysctls.is_empty() {
            context.insert("sysctls".to_owned(), json!(sysctls));
        }
        Value::Object(context)
    }

    /// Who it runs as, for a Pod and for a container.
    fn user(&mut self, context: &mut Map<String, Value>, rarely: u64) {
        self.maybe(
            context,
            "runAsNonRoot",
            2,
            &[json!(true), json!(true), json!(false)],
        );
        self.maybe(context, "runAsUser", rarely, &[json!(0), json!(1000)]);
    }

    /// Profiles of the kernel's, for a Pod and for a container.
    fn profiles(&mut self, context: &mut Map<String, Value>, rarely: u64) {
        let good = json!({"type": "RuntimeDefault"});
        let local = json!({"type": "Localhost", "localhostProfile": "p.json"});
        let bad = json!({"type": "Unconfined"});
        self.maybe(
            context,
            "seccompProfile",
            2,
            &[good.clone(), good.clone(), local.clone()],
        );
        self.maybe(
            context,
            "seccompProfile",
            rarely * 2,
            std::slice::from_ref(&bad),
        );
        self.maybe(context, "appArmorProfile", rarely * 2, &[good, local, bad]);
        let options = [
            json!({"type": "container_t", "level": "s0"}),
            json!({"type": "container_engine_t"}),
            json!({"type": "spc_t"}),
            json!({"user": "u", "role": "r"}),
            json!({"level": "s0:c1"}),
        ];
        self.maybe(context, "seLinuxOptions", rarely, &options);
    }

    fn container(
        &mut self,
        name: &str,
        rarely: u64,
        windows: bool,
        host_network: bool,
        without_host_users: bool,
    ) -> Value {
        let mut container = Map::from_iter([
            ("name".to_owned(), json!(name)),
            ("image".to_owned(), json!("example.com/c")),
        ]);
        let context = self.container_context(rarely, windows, without_host_users);
        if !self.one_in(5) {
            container.insert("securityContext".to_owned(), context);
        }
        let port = 1024 + self.number() % 1000;
        let ports = if host_network {
            [
                json!([{"containerPort": port, "hostPort": port}]),
                json!([]),
            ]
        } else {
            [
                json!([{"containerPort": 80, "hostPort": port}]),
                json!([{"containerPort": 80}]),
            ]
        };
        self.maybe(&mut container, "ports", rarely, &ports);
        if name != "i" {
            let hosts = ["", "10.0.0.1", "127.0.0.1", "example.com"];
            let get = |host: &str| json!({"httpGet": {"port": 80, "host": host}});
            let probes = hosts.map(get);
            for key in ["livenessProbe", "readinessProbe", "startupProbe"] {
                self.maybe(&mut container, key, rarely * 2, &probes);
            }
            let hooks = hosts.map(|host| json!({"preStop": get(host)}));
            self.maybe(&mut container, "lifecycle", rarely * 2, &hooks);
        }
        Value::Object(container)
    }

    fn container_context(&mut self, rarely: u64, windows: bool, without_host_users: bool) -> Value {
        let mut context = Map::new();
        if windows {
            let options = [json!({"hostProcess": true}), json!({"runAsUserName": "u"})];
            self.maybe(&mut context, "windowsOptions", 3, &options);
            self.maybe(
                &mut context,
                "runAsNonRoot",
                2,
                &[json!(true), json!(false)],
            );
            return Value::Object(context);
        }
        self.user(&mut context, rarely);
        self.profiles(&mut context, rarely);
        let privileged = self.one_in(rarely * 2);
        if privileged {
            context.insert("privileged".to_owned(), json!(true));
        } else {
            let escalation = [json!(false), json!(false), json!(true)];
            self.maybe(&mut context, "allowPrivilegeEscalation", 2, &escalation);
        }
        let added = [
            json!(["NET_BIND_SERVICE"]),
            json!(["CHOWN", "SETUID"]),
            json!(["NET_ADMIN", "SYS_TIME"]),
            json!(["CAP_SYS_ADMIN"]),
        ];
        let mut capabilities = Map::new();
        self.maybe(&mut capabilities, "add", rarely, &added);
        self.maybe(
            &mut capabilities,
            "drop",
            2,
            &[json!(["ALL"]), json!(["ALL"]), json!(["CHOWN"])],
        );
        if !capabilities.is_empty() {
            context.insert("capabilities".to_owned(), Value::Object(capabilities));
        }
        let mounts = [json!("Default"), json!("Unmasked")];
        let mounts = if without_host_users {
            &mounts[..]
        } else {
            &mounts[..1]
        };
        self.maybe(&mut context, "procMount", rarely, mounts);
        Value::Object(context)
    }

    fn volumes(&mut self, rarely: u64) -> Value {
        let kinds = [
            ("emptyDir", json!({})),
            ("configMap", json!({"name": "c"})),
            ("secret", json!({"secretName": "s"})),
            ("downwardAPI", json!({"items": []})),
            (
                "projected",
                json!({"sources": [{"configMap": {"name": "c"}}]}),
            ),
            ("persistentVolumeClaim", json!({"claimName": "c"})),
            (
                "ephemeral",
                json!({"volumeClaimTemplate": {"spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "resources": {"requests": {"storage": "1Gi"}},
                }}}),
            ),
            ("csi", json!({"driver": "d.example.com"})),
            ("hostPath", json!({"path": "/tmp"})),
            ("nfs", json!({"server": "s", "path": "/p"})),
            (
                "iscsi",
                json!({"targetPortal": "10.0.0.1:3260", "iqn": "iqn.2001-04.com.example:s", "lun": 0}),
            ),
            ("fc", json!({"targetWWNs": ["5"], "lun": 1})),
            ("image", json!({"reference": "example.com/i"})),
        ];
        let mut volumes: Vec<Value> = Vec::new();
        for (index, (kind, source)) in kinds.into_iter().enumerate() {
            let chances = if index < 8 { 6 } else { rarely * 2 };
            if self.one_in(chances) {
                volumes.push(json!({"name": format!("v{index}"), (kind): source}));
            }
        }
        json!(volumes)
    }
}

/// The workload of a kind whose Pods are these.
pub(crate) fn workload(api_version: &str, kind: &str, name: &str, pod: &Value) -> Value {
    let mut template = pod.clone();
    let job = || {
        let mut template = pod.clone();
        template["spec"]["restartPolicy"] = json!("Never");
        json!({"template": template})
    };
    let selector = json!({"matchLabels": {"app": "x"}});
    let head = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    let mut object = head;
    match kind {
        "PodTemplate" => object["template"] = template,
        "ReplicationController" => object["spec"] = json!({"template": template}),
        "Job" => object["spec"] = job(),
        "CronJob" => object["spec"] = json!({"schedule": "@daily", "jobTemplate": {"spec": job()}}),
        _ => {
            // What only a Pod may choose is left out of what makes Pods.
            template["spec"]["restartPolicy"] = json!("Always");
            object["spec"] = json!({"selector": selector, "template": template});
            if kind == "StatefulSet" {
                object["spec"]["serviceName"] = json!("s");
            }
        }
    }
    object
}
