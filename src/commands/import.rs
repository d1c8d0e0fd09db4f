//! `taffrail import`: files of samples into a store, to go on with where it was interrupted.
//!
//! Samples are written in batches; every few seconds, and at the end, what was written is made durable and
//! then noted in the checkpoint, never before. Written again is what came after the last note, which changes
//! nothing: the last write of a sample wins, and it is the same.
//!
//! - [`input`]: what is imported: files, unpacked, and blocks.
//! - [`target`]: where it goes.
//! - [`checkpoint`]: how far it got.

mod checkpoint;
mod input;
mod target;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use model::sample::{Metadata, SeriesSamples};
use tokio::runtime::Runtime;
use tsdb::transfer::Position;

use super::progress::Progress;
use super::store;
use crate::cli::moving::{ImportArgs, OnError};
use checkpoint::{Checkpoint, Identity};
use input::Input;
use target::Target;

/// Samples that are written at once, roughly.
const BATCH_SAMPLES: usize = 50_000;
/// How often what was written is made durable and noted.
const NOTE_EVERY: Duration = Duration::from_secs(3);
/// Faults that are said; the others are counted.
const FAULTS_SAID_MAX: u64 = 10;

/// Imports.
pub(crate) fn import(args: &ImportArgs, runtime: &Runtime) -> anyhow::Result<()> {
    let stop = stop_on_signal(runtime);
    let mut inputs = Vec::new();
    let progress = Progress::new("import", args.quiet);
    for named in &args.files {
        let (found, note) = Input::find(named)?;
        if let Some(note) = note {
            progress.say(&note);
        }
        inputs.extend(found);
    }
    let (target, path, name) = if let Some(url) = &args.place.url {
        let path = std::env::current_dir()?.join("taffrail-import.json");
        (
            Target::server(url, &args.place.access, runtime)?,
            path,
            url.clone(),
        )
    } else {
        let otherwise = "a server that runs there imports over HTTP:";
        let store = store::open(&args.place, otherwise)?;
        let data = store.config.data.clone();
        // It lies in the folder that it speaks of, wherever that is.
        let name = "this data folder".to_owned();
        (Target::store(store)?, data.join("import.json"), name)
    };
    let checkpoint = if args.restart {
        Checkpoint::empty(path, name)
    } else {
        Checkpoint::load(path, name)?
    };
    let mut run = Run {
        args,
        target,
        checkpoint,
        progress,
        stop,
        faults: 0,
        refused: 0,
        refusals: 0,
    };
    let mut imported = Ok(());
    for (number, input) in inputs.iter().enumerate() {
        imported = run.one(input, number, inputs.len());
        if imported.is_err() || run.is_stopped() {
            break;
        }
    }
    run.finish(imported)
}

/// Raised at the first Ctrl-C; the second ends the process at once.
fn stop_on_signal(runtime: &Runtime) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    runtime.spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if raised.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        }
    });
    stop
}

/// An import that runs.
struct Run<'a> {
    args: &'a ImportArgs,
    target: Target<'a>,
    checkpoint: Checkpoint,
    progress: Progress,
    stop: Arc<AtomicBool>,
    /// Lines and chunks that could not be read.
    faults: u64,
    /// Samples that were not taken, as far as that was said.
    refused: u64,
    /// Batches that were not taken whole.
    refusals: u64,
}

/// What is read and not written yet.
#[derive(Default)]
struct Batch {
    series: Vec<SeriesSamples>,
    metadata: Vec<Metadata>,
    samples: usize,
}

impl Run<'_> {
    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Imports one input.
    fn one(&mut self, input: &Input, number: usize, of: usize) -> anyhow::Result<()> {
        let name = input.name();
        let identity = input.identity()?;
        let (start, is_whole) = identity
            .as_ref()
            .map_or_else(Default::default, |identity| self.checkpoint.of(identity));
        if is_whole {
            self.progress.say(&format!("{name}: imported already"));
            return Ok(());
        }
        if start != Position::default() {
            self.progress.say(&format!(
                "{name}: going on behind line or series {}",
                start.items
            ));
        }
        let opened = input.open(self.args.format, start);
        let mut opened = opened.with_context(|| name.clone())?;
        let mut batch = Batch::default();
        // Behind what is read; once the batch is written, that is what may be noted.
        let mut position = start;
        let mut noted_at = Instant::now();
        let mut bytes_before = 0;
        loop {
            let piece = opened.next();
            let (bytes, whole) = opened.progress();
            self.progress
                .count_bytes(bytes.saturating_sub(bytes_before));
            bytes_before = bytes;
            let has_ended = matches!(piece, Ok(None));
            match piece {
                Ok(Some(piece)) => {
                    batch.samples += piece.samples();
                    for series in &piece.series {
                        let samples = series.samples.len() + series.histograms.len();
                        self.progress.count(&series.labels, samples);
                    }
                    batch.series.extend(piece.series);
                    batch.metadata.extend(piece.metadata);
                    position = piece.position;
                }
                Ok(None) => {}
                Err(error) => {
                    self.write(&mut batch, &name)?;
                    self.note(identity.as_ref(), position, false)?;
                    let can_go_on = error.is_passable() && self.args.on_error == OnError::Skip;
                    if !can_go_on {
                        let hint = if error.is_passable() {
                            "; --on-error skip leaves it out"
                        } else {
                            ""
                        };
                        bail!("{name}: {error}{hint}");
                    }
                    self.faults += 1;
                    if self.faults <= FAULTS_SAID_MAX {
                        self.progress.warn(&format!("{name}: {error}; left out"));
                    }
                }
            }
            let is_stopped = self.is_stopped();
            if has_ended || is_stopped || batch.samples >= BATCH_SAMPLES {
                self.write(&mut batch, &name)?;
            }
            if has_ended || is_stopped {
                return self.note(identity.as_ref(), position, has_ended);
            }
            if batch.series.is_empty() && noted_at.elapsed() >= NOTE_EVERY {
                self.note(identity.as_ref(), position, false)?;
                noted_at = Instant::now();
            }
            let within = whole.map(|whole| bytes as f64 / (whole as f64).max(1.0));
            let done = within.map(|within| (number as f64 + within.min(1.0)) / of as f64);
            self.progress.tell(done);
        }
    }

    /// Writes what was read.
    fn write(&mut self, batch: &mut Batch, name: &str) -> anyhow::Result<()> {
        let Batch {
            series, metadata, ..
        } = std::mem::take(batch);
        if series.is_empty() && metadata.is_empty() {
            return Ok(());
        }
        let Some(refusal) = self.target.write(series, metadata, &self.stop)? else {
            bail!(
                "interrupted while the server took no samples; the same command goes on where it was"
            );
        };
        if refusal.reason.is_empty() {
            return Ok(());
        }
        self.refusals += 1;
        self.refused += refusal.samples.unwrap_or_default();
        let count = refusal.samples.map_or_else(
            || "samples were".to_owned(),
            |count| format!("{count} samples were"),
        );
        let said = format!("{name}: {count} refused: {}", refusal.reason);
        if self.args.on_error == OnError::Stop {
            bail!(
                "{said}\n--on-error skip leaves out what is refused; metrics.retention in the configuration says how old a sample may be"
            );
        }
        if self.refusals <= FAULTS_SAID_MAX {
            self.progress.warn(&said);
        }
        Ok(())
    }

    /// Makes durable what was written, and then says so in the checkpoint.
    fn note(
        &mut self,
        file: Option<&Identity>,
        position: Position,
        is_whole: bool,
    ) -> anyhow::Result<()> {
        self.target.sync()?;
        match file {
            Some(file) => self.checkpoint.note(file, position, is_whole),
            None => Ok(()),
        }
    }

    fn finish(self, imported: anyhow::Result<()>) -> anyhow::Result<()> {
        let is_stopped = self.is_stopped();
        let is_whole = imported.is_ok() && !is_stopped;
        if is_whole {
            self.progress.say("merging");
        }
        // What was taken is flushed, whatever went wrong.
        let finished = if is_whole {
            self.target.finish(&self.stop)
        } else {
            self.target.finish(&Arc::new(AtomicBool::new(true)))
        };
        imported?;
        finished?;
        self.progress.say(&self.progress.summary());
        if self.faults > 0 || self.refusals > 0 {
            self.progress.warn(&format!(
                "left out: {} lines or chunks that could not be read, {} samples that were refused",
                self.faults, self.refused
            ));
        }
        if is_stopped {
            bail!(
                "interrupted; the same command goes on where it was ({})",
                self.checkpoint.path().display()
            );
        }
        self.checkpoint.finish()
    }
}
