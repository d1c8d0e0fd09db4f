//! When a target is scraped, and the task that does it until it is told to stop.
//!
//! A target over HTTP is scraped at its own offset into each interval, by the wall clock, so that
//! restarts do not move it. A body of this process costs nobody a connection and is scraped at
//! once. Samples carry the time a scrape was due where it began within 2 ms of that: equal
//! distances compress to nothing.
//!
//! When the task ends, everything the target showed is marked stale, its report series too.

use std::time::Duration;

use model::sample::SeriesSamples;
use model::time::Timestamp;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::ScrapeError;
use super::fetch::{Body, Fetcher};
use super::report::{Report, ReportSeries};
use super::series::{Counts, Scraped, SeriesCache};
use super::status::Place;
use super::target::{Source, Target};
use crate::clock::Clock;
use crate::metrics::AgentMetrics;
use crate::ship::{Outbox, SeriesBatch};

/// How far from its due time a scrape may begin and still be dated then.
const ALIGNMENT_MS_MAX: i64 = 2;

/// What a target's task needs beside the target.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// What fetches all bodies.
    pub fetcher: Fetcher,
    /// What time it is.
    pub clock: Clock,
    /// Where samples go.
    pub outbox: Outbox,
    /// What is counted.
    pub metrics: std::sync::Arc<AgentMetrics>,
}

/// The state of one target between scrapes.
pub struct Scraper {
    target: Target,
    cache: SeriesCache,
    report: ReportSeries,
    place: Place,
    up: Option<bool>,
    last: Option<Timestamp>,
}

impl Scraper {
    /// A target that has not been scraped.
    pub fn new(target: Target) -> Self {
        Self {
            cache: SeriesCache::new(target.labels.clone(), target.conflicts),
            report: ReportSeries::new(&target.labels),
            place: Place::new(&target),
            up: None,
            last: None,
            target,
        }
    }

    /// Where others read what became of its scrapes.
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Scrapes until `stop`, then marks everything stale.
    pub async fn run(mut self, around: Surroundings, stop: CancellationToken) {
        let interval = self.target.interval;
        let mut due = self.first_due(around.clock.now());
        let wait = due.millis().saturating_sub(around.clock.now().millis());
        let first = Instant::now() + Duration::from_millis(wait.unsigned_abs());
        let mut ticks = tokio::time::interval_at(first, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            let at = align(around.clock.now(), due);
            due = at.saturating_add(interval.as_millis() as i64);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                batch = self.scrape(&around, at) => around.outbox.send(batch),
            }
        }
        let batch = self.end(around.clock.now());
        if !batch.series.is_empty() {
            around.outbox.send(batch);
        }
    }

    fn first_due(&self, now: Timestamp) -> Timestamp {
        if matches!(self.target.source, Source::Process(..)) {
            return now;
        }
        let interval = self.target.interval.as_millis().max(1) as i64;
        let offset = self.target.offset().as_millis() as i64;
        let into = (now.millis() - offset).rem_euclid(interval);
        now.saturating_add(interval - into)
    }

    /// One scrape dated `at`.
    pub async fn scrape(&mut self, around: &Surroundings, at: Timestamp) -> SeriesBatch {
        let start = Instant::now();
        let body = self.body(&around.fetcher).await;
        let mut counts = Counts::default();
        let read = body.and_then(|body| {
            let limit = self.target.limits.samples_max;
            self.cache
                .read(&body.text, body.format, at, limit, &mut counts)
        });
        self.last = Some(at);
        let mut report = Report {
            up: read.is_ok(),
            duration: start.elapsed(),
            scraped: counts.scraped,
            post_metric_relabeling: counts.scraped,
            added: counts.added,
        };
        let metrics = &around.metrics;
        metrics.samples_duplicate.inc_by(counts.duplicates as u64);
        let scraped = match read {
            Ok(scraped) => {
                metrics.scrapes.inc();
                metrics.samples_scraped.inc_by(counts.scraped as u64);
                self.place.note(at, report.duration, Ok(&scraped.metadata));
                self.say_up();
                scraped
            }
            Err(error) => {
                metrics.scrapes_failed.inc();
                report.added = 0;
                self.place.note(at, report.duration, Err(error.to_string()));
                self.say_down(&error);
                Scraped {
                    series: self.cache.fail(at),
                    metadata: Vec::new(),
                }
            }
        };
        let mut series = scraped.series;
        series.extend(self.report.samples(&report, at));
        SeriesBatch {
            series,
            metadata: scraped.metadata,
        }
    }

    /// The markers that end everything the target showed.
    pub fn end(&mut self, now: Timestamp) -> SeriesBatch {
        let Some(last) = self.last.take() else {
            return SeriesBatch::default();
        };
        // A marker must not replace the sample it ends.
        let at = now.max(last.saturating_add(1));
        let mut series: Vec<SeriesSamples> = self.cache.fail(at);
        series.extend(self.report.stale(at));
        SeriesBatch {
            series,
            metadata: Vec::new(),
        }
    }

    async fn body(&self, fetcher: &Fetcher) -> Result<Body, ScrapeError> {
        let limit = self.target.limits.body_bytes_max;
        let (exposer, format) = match &self.target.source {
            Source::Http(url) => return fetcher.fetch(url, self.target.timeout, limit).await,
            Source::Process(exposer, format) => (exposer.clone(), *format),
        };
        let made = tokio::task::spawn_blocking(move || exposer());
        let text = match tokio::time::timeout(self.target.timeout, made).await {
            Err(_) => return Err(ScrapeError::Timeout(self.target.timeout)),
            Ok(Err(panicked)) => return Err(ScrapeError::Collector(panicked.to_string())),
            Ok(Ok(made)) => made.map_err(ScrapeError::Collector)?,
        };
        if text.len() > limit {
            return Err(ScrapeError::BodySize(limit));
        }
        Ok(Body { text, format })
    }

    fn say_up(&mut self) {
        if self.up == Some(false) {
            tracing::info!(url = self.target.name(), "the target is up again");
        }
        self.up = Some(true);
    }

    fn say_down(&mut self, error: &ScrapeError) {
        if self.up != Some(false) {
            tracing::warn!(url = self.target.name(), %error, "scrape failed");
        }
        self.up = Some(false);
    }
}

/// The date of a scrape that begins now: the moment it was due where the two are close.
fn align(now: Timestamp, due: Timestamp) -> Timestamp {
    if (now.millis() - due.millis()).abs() <= ALIGNMENT_MS_MAX {
        due
    } else {
        now
    }
}

#[cfg(test)]
mod tests;
