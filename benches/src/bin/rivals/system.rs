//! The three systems: how each is started, and what it calls things.
//!
//! Each runs with its own defaults, but for what a comparison needs: every timestamp is kept, and
//! VictoriaMetrics hides nothing of the last seconds from a query and takes as many series as there
//! are.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::client::Client;
use crate::process::Process;

/// A system that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    /// This project's.
    Taffrail,
    /// As Debian packages it.
    Prometheus,
    /// As Debian packages it.
    VictoriaMetrics,
}

/// In the order of the table's columns.
pub(crate) const SYSTEMS: [System; 3] = [
    System::Taffrail,
    System::Prometheus,
    System::VictoriaMetrics,
];

/// When Taffrail syncs its log; the rivals cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fsync {
    /// As by default.
    Interval,
    /// Before a write is acknowledged.
    Always,
}

impl System {
    /// Its name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Taffrail => "taffrail",
            Self::Prometheus => "prometheus",
            Self::VictoriaMetrics => "victoria-metrics",
        }
    }

    /// How one gets it.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Taffrail => "cargo build --release, or --taffrail PATH",
            Self::Prometheus => "apt-get install prometheus, or --prometheus PATH",
            Self::VictoriaMetrics => "apt-get install victoria-metrics, or --victoria-metrics PATH",
        }
    }

    const fn ready_path(self) -> &'static str {
        match self {
            Self::Taffrail | Self::Prometheus => "/-/ready",
            Self::VictoriaMetrics => "/health",
        }
    }
}

/// What every row has at hand.
pub(crate) struct Bench<'a> {
    /// Sizes and programs.
    pub(crate) arguments: &'a Arguments,
    /// The systems that are there, with their programs and what they call their version.
    pub(crate) programs: Vec<(System, PathBuf, String)>,
    scratch: TempDir,
}

impl<'a> Bench<'a> {
    /// Looks which systems are there.
    pub(crate) fn new(arguments: &'a Arguments) -> anyhow::Result<Self> {
        let scratch = match &arguments.scratch {
            Some(dir) => TempDir::new_in(dir)?,
            None => TempDir::new()?,
        };
        let paths = [
            (System::Taffrail, &arguments.taffrail, "version"),
            (System::Prometheus, &arguments.prometheus, "--version"),
            (
                System::VictoriaMetrics,
                &arguments.victoria_metrics,
                "-version",
            ),
        ];
        let programs = paths
            .into_iter()
            .filter_map(|(system, path, flag)| Some((system, path.clone(), version(path, flag)?)))
            .collect();
        let bench = Self {
            arguments,
            programs,
            scratch,
        };
        if arguments.wants(System::Taffrail) && !bench.has(System::Taffrail) {
            bail!(
                "{} is not there or does not run: {}",
                arguments.taffrail.display(),
                System::Taffrail.advice()
            );
        }
        Ok(bench)
    }

    /// Whether a system can be measured.
    pub(crate) fn has(&self, system: System) -> bool {
        self.programs.iter().any(|(there, ..)| *there == system)
    }

    /// What is not installed.
    pub(crate) fn absent(&self) -> Vec<&'static str> {
        let absent = SYSTEMS.into_iter().filter(|system| !self.has(*system));
        absent.map(System::name).collect()
    }

    /// The systems that are there and wanted, in the order of the columns.
    pub(crate) fn systems(&self) -> impl Iterator<Item = System> + '_ {
        let there = self.programs.iter().map(|(system, ..)| *system);
        there.filter(|system| self.arguments.wants(*system))
    }

    /// A new folder for data.
    pub(crate) fn folder(&self) -> anyhow::Result<TempDir> {
        Ok(TempDir::new_in(self.scratch.path())?)
    }

    /// Lets a system do what it puts off for some seconds.
    pub(crate) async fn pause(&self) {
        let seconds = self.arguments.size(10, 1);
        tokio::time::sleep(Duration::from_secs(seconds as u64)).await;
    }

    /// Starts a system on the data in `dir` and waits until it is ready.
    pub(crate) async fn start(&self, system: System, dir: &Path) -> anyhow::Result<Server> {
        self.start_with(system, dir, Fsync::Interval).await
    }

    /// As [`Bench::start`], with Taffrail's way to sync.
    pub(crate) async fn start_with(
        &self,
        system: System,
        dir: &Path,
        fsync: Fsync,
    ) -> anyhow::Result<Server> {
        let mut server = self.exec(system, dir, fsync)?;
        server.wait_ready().await?;
        Ok(server)
    }

    /// Starts a system without waiting for it.
    pub(crate) fn exec(&self, system: System, dir: &Path, fsync: Fsync) -> anyhow::Result<Server> {
        let program = self.programs.iter().find(|(there, ..)| *there == system);
        let (_, program, _) = program.with_context(|| format!("{} is absent", system.name()))?;
        // Free at this moment; nobody else is expected to take it before the child does.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = Command::new(program);
        match system {
            System::Taffrail => taffrail(&mut command, dir, fsync)?,
            System::Prometheus => prometheus(&mut command, dir)?,
            System::VictoriaMetrics => victoria_metrics(&mut command, dir),
        }
        match system {
            System::Taffrail => command.arg(format!("--http={address}")),
            System::Prometheus => command.arg(format!("--web.listen-address={address}")),
            System::VictoriaMetrics => command.arg(format!("-httpListenAddr={address}")),
        };
        let began = Instant::now();
        let log = dir.join("log.txt");
        let process = Process::start(command, &log)?;
        Ok(Server {
            system,
            process,
            began,
            log,
            client: Client::new(format!("http://{address}"))?,
        })
    }
}

/// What a program calls its version; `None` where it does not run.
fn version(program: &Path, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    text.lines().next().map(|line| line.trim().to_owned())
}

fn taffrail(command: &mut Command, dir: &Path, fsync: Fsync) -> anyhow::Result<()> {
    let fsync = match fsync {
        Fsync::Interval => "100ms",
        Fsync::Always => "always",
    };
    let config = dir.join("taffrail.yaml");
    let text = format!(
        "storage:\n  fsync: {fsync}\nmetrics:\n  retention: forever\nshutdown_deadline: 3m\nagent:\n  scrape:\n    interval: 1h\n"
    );
    fs::write(&config, text)?;
    command.arg("server").arg("--config").arg(config);
    command.arg("--data").arg(dir.join("data"));
    command.env("TAFFRAIL_LOG", "warn");
    Ok(())
}

fn prometheus(command: &mut Command, dir: &Path) -> anyhow::Result<()> {
    let config = dir.join("prometheus.yml");
    fs::write(&config, "global: {}\n")?;
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            dir.join("data").display()
        ))
        .arg("--storage.tsdb.retention.time=100y")
        .arg("--web.enable-remote-write-receiver")
        .arg("--web.enable-admin-api")
        .arg("--log.level=warn");
    Ok(())
}

fn victoria_metrics(command: &mut Command, dir: &Path) {
    command
        .arg(format!("-storageDataPath={}", dir.join("data").display()))
        .arg("-retentionPeriod=100y")
        .arg("-search.latencyOffset=0s")
        .arg("-search.maxUniqueTimeseries=20000000")
        .arg("-loggerLevel=ERROR");
}

/// A system that runs.
pub(crate) struct Server {
    /// Which.
    pub(crate) system: System,
    /// Its process.
    pub(crate) process: Process,
    /// When it was started.
    pub(crate) began: Instant,
    /// What speaks to it.
    pub(crate) client: Client,
    log: PathBuf,
}

impl Server {
    /// Waits until it says that it is ready.
    pub(crate) async fn wait_ready(&mut self) -> anyhow::Result<()> {
        loop {
            self.check()?;
            if self.client.is_ok(self.system.ready_path()).await {
                return Ok(());
            }
            if self.began.elapsed() > Duration::from_mins(10) {
                bail!("{} does not become ready", self.system.name());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// An error with the end of what it said, if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        self.process.check().with_context(|| {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            last.into_iter().rev().collect::<Vec<_>>().join("\n")
        })
    }
}

/// Bytes of all files below `dir`.
pub(crate) fn folder_bytes(dir: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            folder_bytes(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}
