//! The series of one target from scrape to scrape.
//!
//! The key is the series as the body writes it, which is the same bytes every time; so a series
//! costs its label set once and a lookup afterwards. The map holds what the last good scrape held
//! and nothing else: its size is bounded by the body limit, and a failed scrape empties it.
//!
//! Nothing of a failed scrape comes out of here but the stale markers of what was there before.

use std::collections::{HashMap, HashSet};

use model::labels::{Builder, Labels};
use model::sample::{Exemplar, Metadata, SeriesSamples, stale_nan};
use model::time::Timestamp;
use model::wire::exposition::{Format, Item, Parser, Sample};

use super::ScrapeError;
use super::report::one_sample;
use super::target::Conflicts;

/// All metadata are handed on again after this long: the other side may have started anew.
const METADATA_RESEND_MS: i64 = 60_000;

/// What a target showed, and how to name what it shows.
#[derive(Debug)]
pub struct SeriesCache {
    target: Labels,
    conflicts: Conflicts,
    /// The number of the scrape under way.
    scrape: u64,
    series: HashMap<Box<str>, Known>,
    metadata: HashMap<Box<str>, KnownMetadata>,
    metadata_sent: Option<Timestamp>,
}

#[derive(Debug)]
struct Known {
    labels: Labels,
    /// The last scrape that showed it.
    seen: u64,
    /// Whether it came with timestamps of its own in that scrape.
    explicit: bool,
    /// Whether its end is ours to mark: the last good scrape handed it on without a timestamp.
    live: bool,
}

#[derive(Debug)]
struct KnownMetadata {
    metadata: Metadata,
    seen: u64,
    changed: bool,
}

/// What a scrape yields.
#[derive(Debug, Default)]
pub struct Scraped {
    /// The samples, and the markers of what vanished.
    pub series: Vec<SeriesSamples>,
    /// What is new of the families.
    pub metadata: Vec<Metadata>,
}

/// Figures of a scrape, also of one that fails half way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples in the body, as far as it was read.
    pub scraped: usize,
    /// Series that the last good scrape did not have.
    pub added: usize,
    /// Samples that repeated a series, of which the first was kept.
    pub duplicates: usize,
}

impl SeriesCache {
    /// The cache of a target with these labels.
    pub fn new(target: Labels, conflicts: Conflicts) -> Self {
        Self {
            target,
            conflicts,
            scrape: 0,
            series: HashMap::new(),
            metadata: HashMap::new(),
            metadata_sent: None,
        }
    }

    /// Reads a body scraped at `at`. After an error the caller rolls back with [`Self::fail`].
    pub fn read(
        &mut self,
        body: &str,
        format: Format,
        at: Timestamp,
        samples_max: usize,
        counts: &mut Counts,
    ) -> Result<Scraped, ScrapeError> {
        self.scrape += 1;
        let mut scraped = Scraped::default();
        scraped.series.reserve(self.series.len());
        let mut parser = Parser::new(body, format);
        while let Some(item) = parser.next()? {
            match item {
                Item::Sample(sample) => {
                    counts.scraped += 1;
                    if samples_max > 0 && counts.scraped > samples_max {
                        return Err(ScrapeError::SampleLimit(samples_max));
                    }
                    if let Some(series) = self.sample(&sample, at, counts)? {
                        scraped.series.push(series);
                    }
                }
                Item::Help { family, text } => self.describe(&family, |m| &mut m.help, &*text),
                Item::Unit { family, unit } => self.describe(&family, |m| &mut m.unit, unit),
                Item::Type {
                    family,
                    metric_type,
                } => self.describe(&family, |m| &mut m.metric_type, &metric_type),
            }
        }
        self.end_vanished(at, &mut scraped.series);
        scraped.metadata = self.take_metadata(at);
        Ok(scraped)
    }

    /// Rolls a scrape back: the markers of all that was there before it.
    pub fn fail(&mut self, at: Timestamp) -> Vec<SeriesSamples> {
        self.metadata_sent = None;
        self.metadata.clear();
        self.series
            .drain()
            .filter(|(_, known)| known.live)
            .map(|(_, known)| one_sample(known.labels, stale_nan(), at))
            .collect()
    }

    fn sample(
        &mut self,
        sample: &Sample<'_, '_>,
        at: Timestamp,
        counts: &mut Counts,
    ) -> Result<Option<SeriesSamples>, ScrapeError> {
        let labels = if let Some(known) = self.series.get_mut(sample.series) {
            if known.seen == self.scrape && sample.timestamp.is_none() {
                counts.duplicates += 1;
                return Ok(None);
            }
            known.seen = self.scrape;
            known.explicit = sample.timestamp.is_some();
            known.labels.clone()
        } else {
            counts.added += 1;
            let labels = self.name(sample)?;
            let known = Known {
                labels: labels.clone(),
                seen: self.scrape,
                explicit: sample.timestamp.is_some(),
                live: false,
            };
            self.series.insert(sample.series.into(), known);
            labels
        };
        let mut series = one_sample(labels, sample.value, sample.timestamp.unwrap_or(at));
        if let Some(exemplar) = &sample.exemplar {
            let labels = exemplar
                .to_labels()
                .map_err(|label| label_twice(sample, label))?;
            series.exemplars.push(Exemplar {
                labels,
                value: exemplar.value,
                timestamp: exemplar.timestamp,
            });
        }
        Ok(Some(series))
    }

    /// The label set of a series: its own labels and the target's, the conflicts resolved.
    fn name(&self, sample: &Sample<'_, '_>) -> Result<Labels, ScrapeError> {
        let exposed = sample
            .to_labels()
            .map_err(|label| label_twice(sample, label))?;
        let mut builder = exposed.to_builder();
        for (name, value) in &self.target {
            match exposed.get(name) {
                None => {
                    builder.set(name, value);
                }
                Some(_) if self.conflicts == Conflicts::Honor => {}
                Some(shadowed) => {
                    builder.set(name, value);
                    let free = exported_name(&builder, name);
                    builder.set(&free, shadowed);
                }
            }
        }
        Ok(builder.build())
    }

    /// Ends a good scrape: marks what the one before showed and this one does not, and forgets it.
    fn end_vanished(&mut self, at: Timestamp, out: &mut Vec<SeriesSamples>) {
        let scrape = self.scrape;
        let mut vanished = Vec::new();
        self.series.retain(|_, known| {
            if known.seen == scrape {
                known.live = !known.explicit;
                return true;
            }
            if known.live {
                vanished.push(known.labels.clone());
            }
            false
        });
        if !vanished.is_empty() {
            // The same label set may have come back written in another order.
            let present: HashSet<&Labels> = out.iter().map(|series| &series.labels).collect();
            vanished.retain(|labels| !present.contains(labels));
            let markers = vanished
                .into_iter()
                .map(|labels| one_sample(labels, stale_nan(), at));
            out.extend(markers);
        }
    }

    fn describe<T: PartialEq + ToOwned + ?Sized>(
        &mut self,
        family: &str,
        field: impl Fn(&mut Metadata) -> &mut T::Owned,
        value: &T,
    ) where
        T::Owned: PartialEq<T>,
    {
        let scrape = self.scrape;
        if !self.metadata.contains_key(family) {
            let metadata = Metadata {
                family: family.to_owned(),
                ..Metadata::default()
            };
            let known = KnownMetadata {
                metadata,
                seen: scrape,
                changed: true,
            };
            self.metadata.insert(family.into(), known);
        }
        if let Some(known) = self.metadata.get_mut(family) {
            known.seen = scrape;
            let field = field(&mut known.metadata);
            if *field != *value {
                *field = value.to_owned();
                known.changed = true;
            }
        }
    }

    fn take_metadata(&mut self, at: Timestamp) -> Vec<Metadata> {
        let due = self
            .metadata_sent
            .is_none_or(|sent| at.millis().saturating_sub(sent.millis()) >= METADATA_RESEND_MS);
        if due {
            self.metadata_sent = Some(at);
        }
        let scrape = self.scrape;
        self.metadata.retain(|_, known| known.seen == scrape);
        self.metadata
            .values_mut()
            .filter(|known| due || known.changed)
            .map(|known| {
                known.changed = false;
                known.metadata.clone()
            })
            .collect()
    }
}

/// `exported_NAME`, prefixed again while the name is taken.
fn exported_name(builder: &Builder, name: &str) -> String {
    let mut free = format!("exported_{name}");
    while builder.get(&free).is_some() {
        free.insert_str(0, "exported_");
    }
    free
}

fn label_twice(sample: &Sample<'_, '_>, label: String) -> ScrapeError {
    ScrapeError::LabelTwice {
        series: sample.series.to_owned(),
        label,
    }
}

#[cfg(test)]
mod tests;
