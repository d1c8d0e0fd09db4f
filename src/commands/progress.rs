//! How far a long command is, on standard error: one line that changes on a terminal, a line now and then
//! elsewhere.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use model::labels::Labels;

/// Series that are told apart; beyond it their number is a lower bound.
const SERIES_MAX: usize = 1_000_000;

/// Counts and tells.
pub(super) struct Progress {
    what: &'static str,
    is_quiet: bool,
    is_terminal: bool,
    every: Duration,
    begin: Instant,
    told: Instant,
    series: HashSet<u64>,
    samples: u64,
    bytes: u64,
}

impl Progress {
    /// Begins now; `what` stands in front.
    pub(super) fn new(what: &'static str, is_quiet: bool) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self {
            what,
            is_quiet,
            is_terminal,
            every: Duration::from_millis(if is_terminal { 200 } else { 10_000 }),
            begin: Instant::now(),
            told: Instant::now(),
            series: HashSet::new(),
            samples: 0,
            bytes: 0,
        }
    }

    /// Counts samples of a series.
    pub(super) fn count(&mut self, labels: &Labels, samples: usize) {
        if self.series.len() < SERIES_MAX {
            self.series.insert(labels.fingerprint());
        }
        self.samples += samples as u64;
    }

    /// Counts bytes that were read or written.
    pub(super) const fn count_bytes(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// Tells how far it is, if it is time to. `fraction` is of the whole, where that is known.
    pub(super) fn tell(&mut self, fraction: Option<f64>) {
        if self.is_quiet || self.told.elapsed() < self.every {
            return;
        }
        self.told = Instant::now();
        let percent = fraction.map_or_else(String::new, |f| format!(", {:.0} %", f * 100.0));
        let line = format!("{}: {}{percent}", self.what, self.summary());
        let (start, end) = if self.is_terminal {
            ("\r\x1b[K", "")
        } else {
            ("", "\n")
        };
        let _ = write!(std::io::stderr(), "{start}{line}{end}");
    }

    /// Says something that stays.
    pub(super) fn say(&self, text: &str) {
        if !self.is_quiet {
            self.warn(text);
        }
    }

    /// Says something that matters, however quiet it is to be.
    pub(super) fn warn(&self, text: &str) {
        let start = if self.is_terminal { "\r\x1b[K" } else { "" };
        let _ = writeln!(std::io::stderr(), "{start}{}: {text}", self.what);
    }

    /// What was counted.
    pub(super) fn summary(&self) -> String {
        let seconds = self.begin.elapsed().as_secs_f64().max(0.001);
        let least = if self.series.len() < SERIES_MAX {
            ""
        } else {
            "at least "
        };
        format!(
            "{least}{} series, {} samples, {:.1} MB, {:.0} samples/s",
            self.series.len(),
            self.samples,
            self.bytes as f64 / 1e6,
            self.samples as f64 / seconds
        )
    }
}
