//! The webhook under the load of an API server: latency, CPU and memory of the real binary, over TLS.
//!
//! Starts `taffrail run` on loopback and asks it for reviews of pods. The loop is open: a review is due at its instant whether those
//! before it were answered or not, and its latency counts from when it was due, so that a webhook that stops for a while is not asked
//! less for it. Then some are kept under way: few, where each wakes threads that sleep, and many, which says what a core can do. CPU is what
//! the kernel counted for the process, user and system, TLS and HTTP and the decision's log line in it.

#![allow(clippy::indexing_slicing)] // of JSON, where what is not there is null

#[path = "../rivals/process.rs"]
#[allow(dead_code, reason = "the other program asks more of a process")]
mod process;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use benches::reviews;
use bytes::Bytes;
use clap::Parser;
use reqwest::Client;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};

use process::Process;

/// A ConstraintTemplate that resembles what people use, taken as often as is asked for.
const TEMPLATE: &str =
    include_str!("../../../../admission/tests/gatekeeper/capabilities/template.yaml");

/// Measures the webhook as an API server meets it.
#[derive(Debug, Parser)]
#[command(name = "reviews", max_term_width = 100)]
struct Arguments {
    /// The taffrail binary; build it with `cargo build --release`
    #[arg(long, value_name = "PATH", default_value = "target/release/taffrail")]
    taffrail: PathBuf,
    /// Reviews a second
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// How long, in seconds
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Connections, each with its own TLS session; an API server has one
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Gatekeeper's templates in force, each with a constraint that judges pods
    #[arg(long, default_value_t = 0)]
    templates: usize,
    /// The webhook alone, whose decisions go nowhere, instead of all of the program
    #[arg(long)]
    alone: bool,
    /// Pods that violate what is enforced, one in so many; 0 for none
    #[arg(long, default_value_t = 20)]
    violating_every: usize,
    /// Workloads that the pods are of; those of one differ in what no rule looks at. 0: no two pods are alike
    #[arg(long, default_value_t = 50)]
    workloads: usize,
}

/// So many pods before one comes again are as good as no two alike: it is more than the webhook remembers.
const NEVER_AGAIN: usize = 4096;

/// How long the program may take to start.
const START_PATIENCE: Duration = Duration::from_mins(1);
/// Reviews before those that count.
const WARM_UP: usize = 500;
/// How many reviews of a connection are kept under way: so few that the program sleeps between them, and so many that it does not.
const UNDER_WAY: [usize; 2] = [2, 32];

// One thread asks, so that the webhook has the other core.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // One crypto provider for every client of this process; a second call changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir()?;
    let (server, url) = start(&arguments, dir.path()).await?;
    let asking = Asking::new(&arguments, url)?;
    for number in 0..WARM_UP {
        asking.ask(number).await?;
    }
    let mut report = format!(
        "{} connections, {} templates, {} workloads, {} pods violate\n",
        arguments.connections,
        arguments.templates,
        match arguments.workloads {
            0 => "as many as pods".to_owned(),
            some => some.to_string(),
        },
        match arguments.violating_every {
            0 => "no".to_owned(),
            every => format!("one in {every}"),
        },
    );
    // What the machine, the network and this program take for themselves.
    let nothing = asking.open(What::Nothing, &arguments).await?;
    let began = server.cpu_seconds()?;
    let latencies = asking.open(What::Review, &arguments).await?;
    let used = server.cpu_seconds()? - began;
    let _ = writeln!(
        report,
        "open loop, {} of /healthz a second: {}",
        arguments.rate,
        told(&nothing)
    );
    let _ = writeln!(
        report,
        "open loop, {} reviews/s: {}",
        arguments.rate,
        told(&latencies)
    );
    let _ = writeln!(
        report,
        "  {:.0} µs CPU each",
        used * 1e6 / latencies.len() as f64
    );

    for under_way in UNDER_WAY {
        let began = server.cpu_seconds()?;
        let latencies = asking.closed(arguments.seconds, under_way).await?;
        let used = server.cpu_seconds()? - began;
        let _ = writeln!(
            report,
            "closed loop, {under_way} under way, {:.0} reviews/s: {}",
            latencies.len() as f64 / arguments.seconds,
            told(&latencies)
        );
        let _ = writeln!(
            report,
            "  {:.0} µs CPU each: {:.0} reviews/s per core",
            used * 1e6 / latencies.len() as f64,
            latencies.len() as f64 / used
        );
    }
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (resident, peak) = (server.resident_bytes()?, server.peak_bytes()?);
    let _ = writeln!(
        report,
        "resident {:.1} MiB, at most {:.1}",
        mib(resident),
        mib(peak)
    );
    print(&report);
    Ok(())
}

#[allow(clippy::print_stdout, reason = "the report is what the program is for")]
fn print(report: &str) {
    print!("{report}");
}

/// Starts the program, and returns where its webhook is once it answers.
async fn start(arguments: &Arguments, dir: &Path) -> anyhow::Result<(Process, String)> {
    let policies = dir.join("policies");
    std::fs::create_dir(&policies)?;
    std::fs::write(policies.join("all.yaml"), templates(arguments.templates))?;
    let config = dir.join("taffrail.yaml");
    let text = format!(
        "admission:\n  gatekeeper: {{directory: {}}}\n  \
         pod_security: {{enforce: restricted, audit: restricted, warn: restricted}}\n",
        policies.display(),
    );
    std::fs::write(&config, text)?;
    // Free a moment ago; the program says which one it took, but not before it is ready.
    let port = std::net::TcpListener::bind("127.0.0.1:0")?
        .local_addr()?
        .port();
    let webhook = format!("127.0.0.1:{port}");
    let mut command = Command::new(&arguments.taffrail);
    if arguments.alone {
        command.args(["admission", "--server", "http://127.0.0.1:9"]);
    } else {
        command.args(["run", "--http", "127.0.0.1:0"]);
    }
    command
        .args(["--webhook", &webhook])
        .arg("--config")
        .arg(&config);
    command
        .arg("--data")
        .arg(dir.join("data"))
        .env("TAFFRAIL_LOG", "error");
    let mut process = Process::start(command, &dir.join("log"))?;
    let client = client()?;
    let began = Instant::now();
    loop {
        let ready = client.get(format!("https://{webhook}/readyz")).send().await;
        if ready.is_ok_and(|answer| answer.status().is_success()) {
            return Ok((process, format!("https://{webhook}/validate?timeout=10s")));
        }
        if let Err(error) = process.check() {
            bail!("{error}: {}", std::fs::read_to_string(dir.join("log"))?);
        }
        ensure!(
            began.elapsed() < START_PATIENCE,
            "the webhook does not become ready"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

fn templates(count: usize) -> String {
    let mut all = String::new();
    for i in 0..count {
        let kind = format!("DropsCapabilities{i}");
        let template = TEMPLATE
            .replace(
                "name: dropscapabilities",
                &format!("name: {}", kind.to_lowercase()),
            )
            .replace("kind: DropsCapabilities", &format!("kind: {kind}"));
        let _ = write!(
            all,
            "---\n{template}---\napiVersion: constraints.gatekeeper.sh/v1beta1\nkind: {kind}\nmetadata: {{name: caps}}\n\
             spec: {{match: {{kinds: [{{apiGroups: [''], kinds: [Pod]}}]}}, parameters: {{allowed: [NET_BIND_SERVICE], drop: [NET_RAW]}}}}\n"
        );
    }
    all
}

/// A client with a connection of its own.
fn client() -> anyhow::Result<Client> {
    let builder = Client::builder().danger_accept_invalid_certs(true);
    Ok(builder.timeout(Duration::from_secs(30)).build()?)
}

/// What is asked in the open loop.
#[derive(Clone, Copy)]
enum What {
    Nothing,
    Review,
}

/// What is asked, and through which connections.
#[derive(Clone)]
struct Asking {
    url: Arc<str>,
    health: Arc<str>,
    clients: Arc<[Client]>,
    /// Bodies of pods that are to be let in, and of some that are not: one of each workload.
    follows: Arc<[Bytes]>,
    violates: Arc<[Bytes]>,
    violating_every: usize,
}

impl Asking {
    fn new(arguments: &Arguments, url: String) -> anyhow::Result<Self> {
        let clients: Vec<Client> = (0..arguments.connections)
            .map(|_| client())
            .collect::<anyhow::Result<_>>()?;
        let workloads = match arguments.workloads {
            0 => NEVER_AGAIN,
            some => some,
        };
        let bodies = |pod: fn(&str) -> Value| -> Arc<[Bytes]> {
            let of = |user: usize| {
                let mut pod = pod("web");
                pod["spec"]["securityContext"]["runAsUser"] = user.into();
                Bytes::from(reviews::body(&pod))
            };
            (1000..1000 + workloads).map(of).collect()
        };
        let health = url.replace("/validate?timeout=10s", "/healthz");
        Ok(Self {
            url: url.into(),
            health: health.into(),
            clients: clients.into(),
            follows: bodies(reviews::hardened),
            violates: bodies(reviews::privileged),
            violating_every: arguments.violating_every,
        })
    }

    /// Asks whether the webhook is there.
    async fn ask_nothing(&self, number: usize) -> anyhow::Result<()> {
        let answer = self.client(number)?.get(&*self.health).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(())
    }

    fn client(&self, number: usize) -> anyhow::Result<&Client> {
        let client = self.clients.get(number % self.clients.len());
        client.context("no connections")
    }

    /// Asks for one review, and sees that the verdict is right.
    async fn ask(&self, number: usize) -> anyhow::Result<()> {
        let violates = self.violating_every > 0 && number.is_multiple_of(self.violating_every);
        let bodies = if violates {
            &self.violates
        } else {
            &self.follows
        };
        let body = bodies.get(number % bodies.len()).context("no workloads")?;
        let request = (self.client(number)?)
            .post(&*self.url)
            .header("content-type", "application/json");
        let answer = request.body(body.clone()).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        let answer: Value = answer.json().await?;
        ensure!(
            answer.pointer("/response/allowed") == Some(&Value::Bool(!violates)),
            "a wrong verdict: {answer}"
        );
        Ok(())
    }

    /// Asks at moments that are fixed before. A thread of its own keeps them, for the runtime's timer counts milliseconds.
    async fn open(&self, what: What, arguments: &Arguments) -> anyhow::Result<Vec<Duration>> {
        let (rate, seconds) = (arguments.rate, arguments.seconds);
        let (asking, runtime) = (self.clone(), Handle::current());
        let pacing = spawn_blocking(move || {
            let began = Instant::now();
            let mut tasks = JoinSet::new();
            for number in 0..(rate * seconds) as usize {
                let due = began + Duration::from_secs_f64(number as f64 / rate);
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let asking = asking.clone();
                let ask = async move {
                    match what {
                        What::Nothing => asking.ask_nothing(number).await?,
                        What::Review => asking.ask(number).await?,
                    }
                    Ok(due.elapsed())
                };
                tasks.spawn_on(ask, &runtime);
            }
            tasks
        });
        pacing.await?.join_all().await.into_iter().collect()
    }

    /// Keeps so many reviews of each connection under way.
    async fn closed(&self, seconds: f64, under_way: usize) -> anyhow::Result<Vec<Duration>> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        let next = Arc::new(AtomicUsize::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..self.clients.len() * under_way {
            let (asking, next) = (self.clone(), next.clone());
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < until {
                    let began = Instant::now();
                    asking.ask(next.fetch_add(1, Ordering::Relaxed)).await?;
                    latencies.push(began.elapsed());
                }
                Ok(latencies)
            });
        }
        let all: anyhow::Result<Vec<Vec<Duration>>> = tasks.join_all().await.into_iter().collect();
        Ok(all?.concat())
    }
}

fn told(latencies: &[Duration]) -> String {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = |part: f64| {
        let place = (sorted.len() as f64 * part) as usize;
        let latency = sorted
            .get(place)
            .or(sorted.last())
            .copied()
            .unwrap_or_default();
        latency.as_secs_f64() * 1e3
    };
    format!(
        "p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, at most {:.2}, of {}",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0),
        sorted.len()
    )
}
