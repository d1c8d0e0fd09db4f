//! A child process: its CPU time and memory as the kernel counts them, and its end.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

/// A running program. It is killed when dropped.
pub(crate) struct Process {
    child: Child,
    name: String,
}

/// Ticks of `/proc/PID/stat` in a second, as the kernel tells them to programs.
const TICKS_PER_SECOND: f64 = 100.0;
/// How long a clean stop may take.
const STOP_PATIENCE: Duration = Duration::from_mins(3);

impl Process {
    /// Starts `command` with what it says going to `log`.
    pub(crate) fn start(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let log = fs::File::create(log)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { child, name })
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// CPU seconds of all its threads, user and system, since it started.
    pub(crate) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        Ok(self.stat()?.1)
    }

    /// State and CPU seconds.
    fn stat(&self) -> anyhow::Result<(char, f64)> {
        let text = self.proc("stat")?;
        // The name may hold anything; what follows its last parenthesis is fields from the third on.
        let fields = text.rsplit(") ").next().unwrap_or_default();
        let mut fields = fields.split(' ');
        let state = fields.next().and_then(|state| state.chars().next());
        let ticks = fields
            .skip(10)
            .take(2)
            .map(str::parse::<f64>)
            .sum::<Result<f64, _>>()?;
        Ok((state.unwrap_or('?'), ticks / TICKS_PER_SECOND))
    }

    /// Resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        self.status("VmRSS:")
    }

    /// The most that was ever resident, in bytes.
    pub(crate) fn peak_bytes(&self) -> anyhow::Result<u64> {
        self.status("VmHWM:")
    }

    fn status(&self, key: &str) -> anyhow::Result<u64> {
        let text = self.proc("status")?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .with_context(|| format!("no {key} of {}", self.name))?
            .parse()?;
        Ok(kib * 1024)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        fs::read_to_string(&path).with_context(|| format!("{path}, of {}", self.name))
    }

    /// kill -9.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM. Returns the CPU seconds of its whole life, the work of stopping included.
    pub(crate) fn terminate(mut self) -> anyhow::Result<f64> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let began = Instant::now();
        // A process that ended and was not waited for still tells what it used.
        let cpu_seconds = loop {
            let (state, cpu_seconds) = self.stat()?;
            if state == 'Z' {
                break cpu_seconds;
            }
            if began.elapsed() > STOP_PATIENCE {
                bail!("{} does not stop", self.name);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(cpu_seconds)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
