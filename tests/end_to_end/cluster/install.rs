//! The webhook as the manifests describe it, in a cluster that runs nothing itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::api_server::ApiServer;
use super::service::Service;
use crate::harness::{Taffrail, until};

/// An API server with our manifests, the Service's address, and a server that keeps the decisions.
pub(crate) struct Installed {
    pub(crate) cluster: ApiServer,
    pub(crate) service: Service,
    /// Where decisions are stored.
    pub(crate) stores: Taffrail,
    config: Value,
    started: usize,
}

/// One Pod of the webhook's Deployment.
pub(crate) struct Replica {
    pub(crate) process: Taffrail,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Its folder: the configuration, the data, and what it said.
    pub(crate) folder: PathBuf,
}

fn manifest(name: &str) -> String {
    format!("{}/deploy/manifests/{name}", env!("CARGO_MANIFEST_DIR"))
}

impl Installed {
    /// Applies the manifests but the one that makes the API server ask, and opens the Service. `settings` are
    /// laid over the configuration of the ConfigMap.
    pub(crate) async fn new(flags: &[String], settings: &Value) -> Self {
        Self::on(ApiServer::start(flags), settings).await
    }

    /// The same on an API server that was started for it.
    pub(crate) async fn on(cluster: ApiServer, settings: &Value) -> Self {
        for file in ["00-namespace.yaml", "30-admission.yaml"] {
            cluster.done(&["apply", "-f", &manifest(file)], "");
        }
        let get = |what: &str, path: &str| {
            let path = format!("jsonpath={{{path}}}");
            cluster.done(&["-n", "taffrail", "get", what, "-o", &path], "")
        };
        let address = get("service/taffrail-admission", ".spec.clusterIP");
        let service = format!("{address}:443").parse().expect("an address");
        let service = Service::start(service).await;
        let told = get("configmap/taffrail-admission", r".data.taffrail\.yaml");
        let mut config: Value = serde_yaml_ng::from_str(&told).expect("YAML");
        let token = cluster.done(
            &["-n", "taffrail", "create", "token", "taffrail-admission"],
            "",
        );
        let kubeconfig = cluster.folder().join("replica.kubeconfig");
        let as_replica = |arguments: &[&str]| {
            let file = format!("--kubeconfig={}", kubeconfig.display());
            cluster.done(&[&["config", &file], arguments].concat(), "");
        };
        std::fs::copy(cluster.folder().join("kubeconfig"), &kubeconfig).expect("writes");
        as_replica(&[
            "set-credentials",
            "replica",
            &format!("--token={}", token.trim()),
        ]);
        as_replica(&["set-context", "--current", "--user=replica"]);
        lay_over(
            &mut config,
            &json!({"admission": {
                // Outside of a Pod its rights lie in a file.
                "kubernetes": {"kubeconfig": kubeconfig, "namespace": "taffrail"},
                "certificate": {"reload_seconds": 1},
            }}),
        );
        lay_over(&mut config, settings);
        let stores = Taffrail::start(&cluster.folder().join("stores"), &[]);
        Self {
            cluster,
            service,
            stores,
            config,
            started: 0,
        }
    }

    /// The same with one replica that is asked about everything the manifest names.
    pub(crate) async fn with_replica(flags: &[String], settings: &Value) -> (Self, Replica) {
        let mut installed = Self::new(flags, settings).await;
        let replica = installed.replica();
        installed.asked(&replica).await;
        (installed, replica)
    }

    /// Replicas that start from now on are told this, too.
    pub(crate) fn tell(&mut self, settings: &Value) {
        lay_over(&mut self.config, settings);
    }

    /// The stores are gone.
    pub(crate) fn lose_stores(&self) {
        self.stores.signal(Signal::KILL);
    }

    /// They are back, where they were.
    pub(crate) fn restart_stores(&mut self) {
        // Another process may have the folder only when this one has ended.
        self.stores.wait();
        let address = self.stores.http.trim_start_matches("http://").to_owned();
        let data = self.cluster.folder().join("stores");
        self.stores = Taffrail::start(&data, &["--http", &address]);
    }

    /// Starts a replica, as the Deployment's Pod would.
    pub(crate) fn replica(&mut self) -> Replica {
        self.started += 1;
        let folder = self
            .cluster
            .folder()
            .join(format!("replica-{}", self.started));
        self.replica_in(folder)
    }

    /// Starts a replica whose folder may have been another's.
    pub(crate) fn replica_in(&mut self, folder: PathBuf) -> Replica {
        self.started_as("admission", folder)
    }

    /// Starts a role that has the webhook in it.
    pub(crate) fn started_as(&mut self, role: &str, folder: PathBuf) -> Replica {
        std::fs::create_dir_all(&folder).expect("writes");
        let config = folder.join("taffrail.yaml");
        let text = serde_yaml_ng::to_string(&self.config).expect("YAML");
        std::fs::write(&config, text).expect("writes");
        let mut arguments = vec!["--config", config.to_str().expect("UTF-8")];
        if role == "admission" {
            arguments.extend(["--server", &self.stores.http]);
        }
        let (data, log) = (folder.join("data"), folder.join("log"));
        let process = Taffrail::start_role(role, &data, &arguments, &log);
        let url = reqwest::Url::parse(&process.webhook).expect("an address");
        let address = url.socket_addrs(|| None).expect("an address")[0];
        self.service.add(address);
        Replica {
            process,
            address,
            folder,
        }
    }

    /// Tells the API server to ask, and returns when it does and is answered. It waits for as long as it can: what a
    /// webhook that fails open lets pass where the machine is busy is not what these tests are about.
    pub(crate) async fn asked(&self, replica: &Replica) {
        let cluster = &self.cluster;
        cluster.done(&["apply", "-f", &manifest("40-webhook.yaml")], "");
        let configuration = "validatingwebhookconfiguration/taffrail";
        let names = ["get", configuration, "-o", "jsonpath={.webhooks[*].name}"];
        let webhooks = cluster.done(&names, "").split(' ').count();
        let patient = |webhook| {
            let path = format!("/webhooks/{webhook}/timeoutSeconds");
            json!({"op": "replace", "path": path, "value": 30})
        };
        let patch: Value = (0..webhooks).map(patient).collect();
        let patch = [
            "patch",
            configuration,
            "--type=json",
            "-p",
            &patch.to_string(),
        ];
        cluster.done(&patch, "");
        self.ready(replica).await;
        let probe = pod("probe", &json!({"privileged": true}));
        let path = "/api/v1/namespaces/default/pods?dryRun=All";
        until("the API server asks the webhook", async || {
            let answer = cluster.create(path, &probe).await;
            answer
                .message()
                .contains("denied the request: violates PodSecurity")
                .then_some(())
        })
        .await;
    }

    /// Returns when a replica gets connections.
    pub(crate) async fn ready(&self, replica: &Replica) {
        until("a replica is ready", async || {
            self.service.is_ready(replica.address).then_some(())
        })
        .await;
    }

    /// The decisions that are stored, each as its JSON.
    pub(crate) async fn decisions(&self) -> Vec<Value> {
        let lines = self.stores.lines(r#"{job="taffrail/admission"}"#).await;
        let parse = |line: &String| serde_json::from_str(line).expect("a JSON line");
        lines.iter().map(parse).collect()
    }
}

/// A Pod of one container.
pub(crate) fn pod(name: &str, security_context: &Value) -> Value {
    let container =
        json!({"name": "c", "image": "example.com/c", "securityContext": security_context});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [container]},
    })
}

/// Puts what `over` says in place of what is there, key by key.
fn lay_over(config: &mut Value, over: &Value) {
    match (config, over) {
        (Value::Object(config), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(config.entry(key).or_insert(Value::Null), value);
            }
        }
        (config, over) => config.clone_from(over),
    }
}
