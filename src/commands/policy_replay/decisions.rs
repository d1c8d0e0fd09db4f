//! Recorded decisions, oldest first: of a server, of a data folder, of a file.
//!
//! A store is read in pages. A page begins at the instant the one before it ended at, and what was there already is
//! passed over: several decisions may have one instant.

use std::collections::{HashSet, VecDeque};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use logs::Logs;
use logs::query::{Direction, QueryResult};
use model::time::TimestampNs;
use serde_json::Value;
use storage::clock::SystemClock;
use storage::disk::real::RealDisk;
use tokio::runtime::Runtime;

use crate::cli::replay::PolicyReplayArgs;
use crate::cli::{ClientArgs, RunArgs};
use crate::commands::ask::{ask, instant, seconds};
use crate::config::Config;
use crate::stores::lock_data;

/// The stream that decisions are in.
const STREAM: &str = "{job=\"taffrail/admission\"}";

/// How many decisions a page holds: a line is some kilobytes, and at the most 256.
const PAGE: usize = 500;

/// The most a server gives at once.
const PAGE_MAX: usize = 5000;

type Lines<'a> = Box<dyn Iterator<Item = anyhow::Result<String>> + 'a>;

/// A page: instants in nanoseconds, and lines.
type Page = Vec<(i64, String)>;

/// Gives so many decisions from an instant on.
type Read<'a> = Box<dyn FnMut(i64, usize) -> anyhow::Result<Page> + 'a>;

/// The decisions that the command line names.
pub(super) fn lines<'a>(
    args: &'a PolicyReplayArgs,
    runtime: &'a Runtime,
) -> anyhow::Result<Lines<'a>> {
    if let Some(path) = &args.records {
        return of_file(path);
    }
    let end = instant("now")?;
    let nanos = |seconds: f64| (seconds * 1e9) as i64;
    let (start, end) = (nanos(end - seconds(&args.since)?), nanos(end));
    let read: Read<'a> = match &args.data {
        Some(data) => of_folder(data, end)?,
        None => Box::new(move |start, limit| of_server(&args.client, runtime, start, end, limit)),
    };
    Ok(Box::new(Pages {
        read,
        start,
        seen: HashSet::new(),
        waiting: VecDeque::new(),
        is_done: false,
    }))
}

fn of_file<'a>(path: &Path) -> anyhow::Result<Lines<'a>> {
    let shown = path.display().to_string();
    let reader: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
        Box::new(BufReader::new(file))
    };
    let lines = reader.lines();
    Ok(Box::new(lines.map(move |line| {
        line.with_context(|| format!("cannot read {shown}"))
    })))
}

/// Reads pages until one is not full.
struct Pages<'a> {
    read: Read<'a>,
    start: i64,
    /// What there is at `start` and was given.
    seen: HashSet<String>,
    waiting: VecDeque<String>,
    is_done: bool,
}

impl Pages<'_> {
    fn turn(&mut self) -> anyhow::Result<()> {
        let mut limit = PAGE;
        let page = loop {
            let page = (self.read)(self.start, limit)?;
            self.is_done = page.len() < limit;
            // A page full of one instant leads nowhere.
            if self.is_done || page.last().is_some_and(|(at, _)| *at > self.start) {
                break page;
            }
            if limit == PAGE_MAX {
                bail!(
                    "there are more than {PAGE_MAX} decisions at one instant, {}",
                    self.start
                );
            }
            limit = PAGE_MAX;
        };
        for (at, line) in page {
            if at > self.start {
                self.start = at;
                self.seen.clear();
            }
            if self.seen.insert(line.clone()) {
                self.waiting.push_back(line);
            }
        }
        Ok(())
    }
}

impl Iterator for Pages<'_> {
    type Item = anyhow::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.waiting.is_empty() {
            if self.is_done {
                return None;
            }
            if let Err(error) = self.turn() {
                self.is_done = true;
                return Some(Err(error));
            }
        }
        self.waiting.pop_front().map(Ok)
    }
}

fn of_folder<'a>(data: &Path, end: i64) -> anyhow::Result<Read<'a>> {
    let config = Config::load(&RunArgs {
        data: Some(data.to_path_buf()),
        ..RunArgs::default()
    })?;
    let folder = config.data.join("logs");
    if !folder.is_dir() {
        bail!(
            "{} holds no log store: give the data folder of a server",
            data.display()
        );
    }
    let lock = lock_data(&config.data)?;
    let (disk, clock) = (Arc::new(RealDisk), Arc::new(SystemClock));
    let opened = Logs::open(disk, clock, &folder, config.logs_options());
    let store = opened.context("the log store")?.0;
    let snapshot = store.snapshot();
    Ok(Box::new(move |start, limit| {
        // Held as long as pages are read.
        let _lock = &lock;
        let (start, end) = (TimestampNs(start), TimestampNs(end.max(start)));
        let (step, forward) = (Duration::from_secs(1), Direction::Forward);
        let output = (store.engine()).range(&snapshot, STREAM, start, end, step, limit, forward)?;
        let QueryResult::Streams(streams) = output.value else {
            bail!("the log store did not answer with lines");
        };
        let entries = streams.into_iter().flat_map(|stream| stream.entries);
        let mut page: Page = entries.map(|e| (e.timestamp.0, e.line)).collect();
        page.sort_by_key(|(at, _)| *at);
        Ok(page)
    }))
}

fn of_server(
    client: &ClientArgs,
    runtime: &Runtime,
    start: i64,
    end: i64,
    limit: usize,
) -> anyhow::Result<Page> {
    let form = [
        ("query", STREAM.to_owned()),
        ("start", start.to_string()),
        ("end", end.max(start).to_string()),
        ("limit", limit.to_string()),
        ("direction", "forward".to_owned()),
    ];
    let answer = runtime.block_on(ask(client, "/loki/api/v1/query_range", &form))?;
    let mut page = Page::new();
    for stream in answer.result() {
        let entries = stream.get("values").and_then(Value::as_array);
        for entry in entries.into_iter().flatten() {
            let text = |index: usize| entry.get(index).and_then(Value::as_str);
            let at = text(0).and_then(|at| at.parse().ok());
            let (Some(at), Some(line)) = (at, text(1)) else {
                bail!("the server answers with lines in another shape");
            };
            page.push((at, line.to_owned()));
        }
    }
    page.sort_by_key(|(at, _)| *at);
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the pages give of so many decisions at each instant.
    fn given(counts: &[usize]) -> anyhow::Result<usize> {
        let mut all = Page::new();
        for (at, count) in counts.iter().enumerate() {
            all.extend((0..*count).map(|i| (at as i64, format!("{at} {i}"))));
        }
        let pages = Pages {
            read: Box::new(|start, limit| {
                let from = all.iter().filter(|(at, _)| *at >= start);
                Ok(from.take(limit).cloned().collect())
            }),
            start: 0,
            seen: HashSet::new(),
            waiting: VecDeque::new(),
            is_done: false,
        };
        let lines = pages.collect::<anyhow::Result<Vec<_>>>()?;
        let different: HashSet<_> = lines.iter().collect();
        assert_eq!(different.len(), lines.len());
        Ok(lines.len())
    }

    #[test]
    fn every_decision_is_given_once() {
        let cases: [&[usize]; 6] = [
            &[],
            &[3],
            &[1; 2000],
            &[PAGE, PAGE],
            &[PAGE - 1, 2, 3000, 1],
            &[0, PAGE_MAX - 1, 7],
        ];
        for counts in cases {
            assert_eq!(given(counts).expect("pages"), counts.iter().sum::<usize>());
        }
        assert!(given(&[PAGE_MAX + 1]).is_err());
    }
}
