//! How much memory the webhook needs for a cluster: the real binary, told of it by an API server.
//!
//! Starts a server that lists and watches 10,000 pods as they are in a cluster (some 9 KiB each), 1,000 network policies, 100
//! namespaces, 50 nodes and 50 ConstraintTemplates with a constraint each, and `taffrail admission` beside it. Told are resident
//! memory and its peak when the webhook is ready, after some time of rolling updates, and after 10,000 reviews, among which are
//! changes of network policies that the rules about the whole cluster judge. What tightening a namespace costs is
//! told last.

#![allow(clippy::indexing_slicing)] // of JSON, where what is not there is null

#[path = "../rivals/process.rs"]
#[allow(dead_code, reason = "the other program asks more of a process")]
mod process;

mod objects;
mod server;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use clap::Parser;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::time::sleep;

use objects::{Phase, Which};
use process::Process;
use server::{Kind, Server};

/// Measures the memory of the webhook.
#[derive(Debug, Parser)]
#[command(name = "resident_admission", max_term_width = 100)]
struct Arguments {
    /// The taffrail binary; build it with `cargo build --release`
    #[arg(long, value_name = "PATH", default_value = "target/release/taffrail")]
    taffrail: PathBuf,
    /// How long pods are replaced, in seconds
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// How many pods are replaced a second; each is four events
    #[arg(long, default_value_t = 50)]
    replaced: usize,
    /// Reviews
    #[arg(long, default_value_t = 10_000)]
    reviews: usize,
    /// What the program is told that there is; the manifests' limit
    #[arg(long, default_value = "256MiB")]
    memory: String,
    /// ConstraintTemplates
    #[arg(long, default_value_t = 50)]
    templates: usize,
    /// Pods of one more namespace, which is made stricter at the end
    #[arg(long, default_value_t = 3_000)]
    tightened: usize,
    /// Fail where more than so many MiB are resident at any of these moments
    #[arg(long)]
    mib_max: Option<f64>,
}

/// How long the program may take to be ready.
const START_PATIENCE: Duration = Duration::from_mins(10);
/// The audit looks every so often whether there is something to do.
const REST: Duration = Duration::from_secs(8);
/// At rest it uses less than this of a second.
const REST_CPU_SECONDS: f64 = 0.05;
/// Reviews under way.
const CONNECTIONS: usize = 4;
/// The namespace that is made stricter.
const TIGHTENED: usize = objects::NAMESPACES;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One crypto provider for every client of this process; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir()?;
    let server = Server::default();
    fill(&server, arguments.templates)?;
    let api = server.start().await?;
    let (process, webhook) = start(&arguments, dir.path(), &api).await?;
    let mut measured = Measured {
        process,
        at_most: 0.0,
    };
    measured
        .tell("ready, and everything listed and audited")
        .await?;

    let mut pods: Vec<Which> = objects::everybody().collect();
    let replaced = replace(&server, &mut pods, &arguments).await?;
    measured
        .tell(&format!("after {replaced} pods were replaced"))
        .await?;

    let webhook = Webhook {
        client: client()?,
        url: format!("https://{webhook}/validate?timeout=10s"),
    };
    let began = measured.process.cpu_seconds()?;
    review(&webhook, arguments.reviews).await?;
    let used = measured.process.cpu_seconds()? - began;
    measured
        .tell(&format!("after {} reviews", arguments.reviews))
        .await?;
    print(&format!(
        "  {:.0} µs CPU each\n",
        used * 1e6 / arguments.reviews as f64
    ));

    for replica in 0..arguments.tightened {
        server.put("pods", tightened(replica).pod(Phase::Running))?;
    }
    sleep(REST).await;
    let began = measured.process.cpu_seconds()?;
    let took = Instant::now();
    let warnings = tighten(&webhook).await?;
    print(&format!(
        "a namespace of {} pods made stricter: {:.0} ms CPU, {:.0} ms, {warnings} warnings\n",
        arguments.tightened,
        (measured.process.cpu_seconds()? - began) * 1e3,
        took.elapsed().as_secs_f64() * 1e3,
    ));
    measured.tell("after that").await?;
    let at_most = measured.at_most;
    if let Some(max) = arguments.mib_max.filter(|max| at_most > *max) {
        bail!("{at_most:.1} MiB were resident, more than {max}");
    }
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the report is what the program is for")]
fn print(report: &str) {
    print!("{report}");
}

struct Measured {
    process: Process,
    at_most: f64,
}

impl Measured {
    /// Waits until it has nothing to do, and says what it needs then.
    async fn tell(&mut self, when: &str) -> anyhow::Result<()> {
        let began = Instant::now();
        let mut used = self.process.cpu_seconds()?;
        loop {
            sleep(REST).await;
            let now = self.process.cpu_seconds()?;
            if now - used < REST_CPU_SECONDS * REST.as_secs_f64() {
                break;
            }
            ensure!(began.elapsed() < START_PATIENCE, "it does not come to rest");
            used = now;
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let resident = mib(self.process.resident_bytes()?);
        self.at_most = self.at_most.max(resident);
        print(&format!(
            "{when}: {resident:.1} MiB resident, at most {:.1} so far; {:.1} s CPU\n",
            mib(self.process.peak_bytes()?),
            self.process.cpu_seconds()?
        ));
        Ok(())
    }
}

/// Everything there is at the start.
fn fill(server: &Server, templates: usize) -> anyhow::Result<()> {
    let kind = |group: &str, version, kind: &str, plural: &str, namespaced| {
        server.know(Kind {
            group: group.to_owned(),
            version,
            name: kind.to_owned(),
            plural: plural.to_owned(),
            namespaced,
        });
    };
    kind("", "v1", "Namespace", "namespaces", false);
    kind("", "v1", "Node", "nodes", false);
    kind("", "v1", "Pod", "pods", true);
    kind(
        "networking.k8s.io",
        "v1",
        "NetworkPolicy",
        "networkpolicies",
        true,
    );
    kind(
        "templates.gatekeeper.sh",
        "v1",
        "ConstraintTemplate",
        "constrainttemplates",
        false,
    );
    // Of the webhook's own namespace, as its path has it.
    kind("", "v1", "ConfigMap", "namespaces/default/configmaps", true);
    for i in 0..=objects::NAMESPACES {
        server.put("namespaces", objects::namespace(i, "privileged"))?;
    }
    for node in objects::nodes() {
        server.put("nodes", node)?;
    }
    let mut bytes = 0;
    for which in objects::everybody() {
        let pod = which.pod(Phase::Running);
        bytes = bytes.max(pod.to_string().len());
        server.put("pods", pod)?;
    }
    print(&format!("a pod is {bytes} bytes\n"));
    for policy in objects::network_policies() {
        server.put("networkpolicies", policy)?;
    }
    for i in 0..templates {
        let (name, template, constraint) = objects::template(i)?;
        let plural = name.to_lowercase();
        kind(
            "constraints.gatekeeper.sh",
            "v1beta1",
            &name,
            &plural,
            false,
        );
        server.put("constrainttemplates", template)?;
        server.put(&plural, constraint)?;
    }
    Ok(())
}

/// Starts the webhook, and returns where it is once it is ready.
async fn start(arguments: &Arguments, dir: &Path, api: &str) -> anyhow::Result<(Process, String)> {
    let kubeconfig = dir.join("kubeconfig");
    std::fs::write(
        &kubeconfig,
        format!(
            "{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: '{api}'}}}}], \
             users: [{{name: u, user: {{}}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}\n"
        ),
    )?;
    let config = dir.join("taffrail.yaml");
    std::fs::write(
        &config,
        format!(
            "memory: {}\nadmission:\n  kubernetes: {{kubeconfig: {}}}\n  network_policy:\n    refuse: [world_open_ingress, metadata_address]\n    \
             default_deny: [ingress]\n    separate: [[team-1, team-2]]\n",
            arguments.memory,
            kubeconfig.display()
        ),
    )?;
    // Free a moment ago; the program says which one it took, but not before it is ready.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let webhook = format!("127.0.0.1:{port}");
    let mut command = Command::new(&arguments.taffrail);
    command
        .args(["admission", "--server", api, "--webhook", &webhook])
        .args(["--http", "127.0.0.1:0"])
        .arg("--config")
        .arg(&config)
        .arg("--data")
        .arg(dir.join("data"))
        .env("TAFFRAIL_LOG", "warn");
    let log = dir.join("log");
    let mut process = Process::start(command, &log)?;
    let client = client()?;
    let began = Instant::now();
    loop {
        let ready = client.get(format!("https://{webhook}/readyz")).send().await;
        if ready.is_ok_and(|answer| answer.status().is_success()) {
            return Ok((process, webhook));
        }
        if let Err(error) = process.check() {
            bail!("{error}: {}", std::fs::read_to_string(log)?);
        }
        ensure!(
            began.elapsed() < START_PATIENCE,
            "the webhook does not become ready: {}",
            std::fs::read_to_string(log)?
        );
        sleep(Duration::from_millis(50)).await;
    }
}

fn client() -> anyhow::Result<Client> {
    let builder = Client::builder().danger_accept_invalid_certs(true);
    Ok(builder.timeout(Duration::from_secs(30)).build()?)
}

/// Replaces pods as rolling updates do: one goes, another is made, scheduled, and runs.
async fn replace(
    server: &Server,
    pods: &mut [Which],
    arguments: &Arguments,
) -> anyhow::Result<usize> {
    let mut interval = tokio::time::interval(Duration::from_secs(1));
    let total = arguments.replaced * arguments.seconds as usize;
    let count = pods.len();
    for number in 0..total {
        if number % arguments.replaced.max(1) == 0 {
            interval.tick().await;
        }
        let Some(which) = pods.get_mut(number % count) else {
            bail!("no pods");
        };
        server.delete("pods", &which.pod(Phase::Running))?;
        which.generation += 1;
        server.put("pods", which.pod(Phase::Made))?;
        let mut scheduled = which.pod(Phase::Made);
        scheduled["spec"]["nodeName"] = "node-1".into();
        server.put("pods", scheduled)?;
        server.put("pods", which.pod(Phase::Running))?;
    }
    Ok(total)
}

/// The webhook, and a client of it.
#[derive(Clone)]
struct Webhook {
    client: Client,
    url: String,
}

impl Webhook {
    async fn ask(&self, request: Value) -> anyhow::Result<Value> {
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let request = self.client.post(&self.url).json(&review).send().await?;
        ensure!(request.status().is_success(), "{}", request.status());
        let answer: Value = request.json().await?;
        Ok(answer["response"].clone())
    }
}

/// What an API server asks about an object that is now, and was.
fn request(group: &str, kind: &str, resource: &str, now: &Value, was: Option<&Value>) -> Value {
    let version = if group.is_empty() {
        "v1".to_owned()
    } else {
        format!("{group}/v1")
    };
    let whole = |object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = version.clone().into();
        object["kind"] = kind.into();
        object
    };
    let kind_of = json!({"group": group, "version": "v1", "kind": kind});
    let resource_of = json!({"group": group, "version": "v1", "resource": resource});
    json!({
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": kind_of, "resource": resource_of,
        "requestKind": kind_of, "requestResource": resource_of,
        "name": now["metadata"]["name"], "namespace": now["metadata"]["namespace"],
        "operation": if was.is_some() { "UPDATE" } else { "CREATE" },
        "userInfo": {"username": "system:serviceaccount:kube-system:replicaset-controller", "groups": ["system:authenticated"]},
        "object": whole(now), "oldObject": was.map(whole), "dryRun": false, "options": {},
    })
}

/// Reviews of pods; one in twenty is of a network policy, which now lets others in.
async fn review(webhook: &Webhook, count: usize) -> anyhow::Result<()> {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..CONNECTIONS {
        let webhook = webhook.clone();
        tasks.spawn(async move {
            for number in (task..count).step_by(CONNECTIONS) {
                let (i, app) = (number % objects::NAMESPACES, number / 100 % 7);
                let asked = if number % 20 == 19 {
                    let [was, now] =
                        ["monitoring", "apps"].map(|tier| objects::app_policy(i, app, tier));
                    request(
                        "networking.k8s.io",
                        "NetworkPolicy",
                        "networkpolicies",
                        &now,
                        Some(&was),
                    )
                } else {
                    let pod = Which {
                        namespace: i,
                        app,
                        replica: 0,
                        generation: number,
                    };
                    request("", "Pod", "pods", &pod.pod(Phase::Made), None)
                };
                let answer = webhook.ask(asked).await?;
                ensure!(answer["allowed"].is_boolean(), "{answer}");
                ensure!(answer["status"]["code"] != 500, "{answer}");
            }
            Ok(())
        });
    }
    tasks.join_all().await.into_iter().collect()
}

/// A pod of the namespace that is made stricter, each of a Deployment of its own.
fn tightened(replica: usize) -> Which {
    Which {
        namespace: TIGHTENED,
        app: 0,
        replica,
        generation: replica,
    }
}

/// Makes the namespace stricter; returns how many warnings that gives.
async fn tighten(webhook: &Webhook) -> anyhow::Result<usize> {
    let [was, now] = ["privileged", "restricted"].map(|level| objects::namespace(TIGHTENED, level));
    let answer = webhook
        .ask(request("", "Namespace", "namespaces", &now, Some(&was)))
        .await?;
    ensure!(answer["allowed"] == true, "{answer}");
    Ok(answer["warnings"].as_array().map_or(0, Vec::len))
}
