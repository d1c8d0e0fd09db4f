//! Aggregations over windows: where a metric query meets the source.
//!
//! Counts and sizes are whole numbers, so they are kept as differences between steps: an entry
//! costs two additions however many windows hold it, and the sums are exact. Unwrapped samples are
//! kept as they are, sorted by time at the end, and each window is a slice of them.
//!
//! A page whose entries lie in the same windows is counted from its summary, where no stage would
//! look at its lines.

use model::labels::{Builder, Labels};
use model::matcher::{MatchOp, Matcher};
use model::time::TimestampNs;

use super::guard::Guard;
use super::matrix::Series;
use super::series_index::{ResultLabels, SeriesIndex};
use super::windows::{Sample, Steps, aggregate};
use crate::query::ast::{Grouping, RangeAggregation, RangeOp};
use crate::query::error::{ParseError, QueryError};
use crate::query::pipeline::{CompiledUnwrap, Pipeline, WorkingLabels};
use crate::query::pruning::Hints;
use crate::query::source::{
    Batch, Direction, LineNeed, PageSummary, Scan, Selection, Source, SummaryVerdict, Visitor,
};

/// Evaluates an aggregation at all steps. `outer` is the grouping of a sum around it, which may as
/// well be applied here.
pub(super) fn evaluate(
    source: &dyn Source,
    aggregation: &RangeAggregation,
    outer: Option<&Grouping>,
    steps: Steps,
    guard: &mut Guard<'_>,
) -> Result<Vec<Series>, QueryError> {
    let plan = Plan::new(aggregation, outer)?;
    let unwrapped = plan.unwrap.as_ref().map(|unwrap| unwrap.label().to_owned());
    let mut visitor = WindowVisitor {
        plan: &plan,
        steps,
        range_ns: aggregation.range.range_ns,
        offset_ns: aggregation.range.offset_ns,
        index: SeriesIndex::new(ResultLabels::new(plan.grouping.clone(), unwrapped)),
        cells: Vec::new(),
        labels: WorkingLabels::default(),
        stream: None,
        known: None,
        guard,
        failure: None,
    };
    source
        .scan(&plan.selection(aggregation, steps), &mut visitor)
        .map_err(QueryError::Source)?;
    if let Some(failure) = visitor.failure {
        return Err(failure);
    }
    let (labels, cells) = (visitor.index.into_labels(), visitor.cells);
    let series: Vec<_> = labels
        .into_iter()
        .zip(cells)
        .map(|(labels, cell)| Series {
            labels,
            points: cell.into_points(aggregation, steps),
        })
        .collect();
    if aggregation.op == RangeOp::AbsentOverTime {
        return Ok(absence(&series, &aggregation.range.log.matchers, steps));
    }
    Ok(series)
}

/// What is decided before the first entry.
struct Plan {
    pipeline: Pipeline,
    unwrap: Option<CompiledUnwrap>,
    grouping: Option<Grouping>,
    measure: Measure,
    hints: Hints,
}

impl Plan {
    fn new(aggregation: &RangeAggregation, outer: Option<&Grouping>) -> Result<Self, QueryError> {
        let absent = aggregation.op == RangeOp::AbsentOverTime;
        let grouping = match (&aggregation.grouping, outer) {
            // Whether there is anything at all needs no labels.
            _ if absent => Some(Grouping::By(Vec::new())),
            (Some(own), _) => Some(own.clone()),
            (None, outer) => outer.cloned(),
        };
        let unwrap = aggregation
            .range
            .unwrap
            .as_ref()
            .map(CompiledUnwrap::compile);
        let mut wanted = match &grouping {
            Some(Grouping::By(names)) => Some(names.iter().collect()),
            _ => None,
        };
        if let Some(unwrap) = &unwrap {
            unwrap.add_wanted(&mut wanted);
        }
        let stages = &aggregation.range.log.stages;
        let pipeline = Pipeline::compile(stages, wanted).map_err(ParseError::whole)?;
        let measure = match aggregation.op {
            RangeOp::BytesOverTime | RangeOp::BytesRate => Measure::Bytes,
            _ if unwrap.is_some() && !absent => Measure::Samples,
            _ => Measure::Entries,
        };
        Ok(Self {
            pipeline,
            unwrap,
            grouping,
            measure,
            hints: Hints::of(stages),
        })
    }

    /// The entries any window holds.
    fn selection<'q>(&'q self, aggregation: &'q RangeAggregation, steps: Steps) -> Selection<'q> {
        let range = &aggregation.range;
        let start = steps.at(0).saturating_sub(range.range_ns - 1);
        let reads_line = self.pipeline.reads_line() || self.measure == Measure::Bytes;
        Selection {
            matchers: &range.log.matchers,
            start: TimestampNs(start.saturating_sub(range.offset_ns)),
            end: TimestampNs(steps.last().saturating_sub(range.offset_ns)),
            direction: Direction::Forward,
            hints: &self.hints,
            line_need: if reads_line {
                LineNeed::Text
            } else {
                LineNeed::Nothing
            },
        }
    }
}

/// What is taken of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Measure {
    Entries,
    Bytes,
    Samples,
}

impl Measure {
    /// What an entry adds to its windows.
    const fn amount(self, line: &str) -> i64 {
        match self {
            Self::Bytes => line.len() as i64,
            Self::Entries | Self::Samples => 1,
        }
    }
}

/// What is known of one series.
enum Cell {
    /// Differences between steps, of the entries and of the amount.
    Differences(Vec<(i64, i64)>),
    /// Samples as they came.
    Samples(Vec<Sample>),
}

impl Cell {
    fn into_points(self, aggregation: &RangeAggregation, steps: Steps) -> Vec<Option<f64>> {
        let range = &aggregation.range;
        let seconds = range.range_ns as f64 / 1e9;
        match self {
            Self::Differences(differences) => {
                let scale = match aggregation.op {
                    RangeOp::Rate | RangeOp::BytesRate => seconds,
                    _ => 1.0,
                };
                let (mut entries, mut amount) = (0, 0);
                differences
                    .iter()
                    .take(steps.count)
                    .map(|(entry_difference, amount_difference)| {
                        entries += entry_difference;
                        amount += amount_difference;
                        (entries > 0).then(|| amount as f64 / scale)
                    })
                    .collect()
            }
            Self::Samples(mut samples) => {
                samples.sort_by_key(|(at, _)| *at);
                let parameter = aggregation.parameter.unwrap_or_default();
                (0..steps.count)
                    .map(|step| {
                        let end = steps.at(step);
                        let start = end.saturating_sub(range.range_ns);
                        let from = samples.partition_point(|(at, _)| *at <= start);
                        let to = samples.partition_point(|(at, _)| *at <= end);
                        let window = samples.get(from..to).filter(|window| !window.is_empty())?;
                        Some(aggregate(aggregation.op, window, parameter, (start, end)))
                    })
                    .collect()
            }
        }
    }
}

struct WindowVisitor<'q, 'e> {
    plan: &'q Plan,
    steps: Steps,
    range_ns: i64,
    offset_ns: i64,
    index: SeriesIndex,
    cells: Vec<Cell>,
    labels: WorkingLabels,
    stream: Option<Labels>,
    /// The series of the last entry with its metadata, where no stage touches labels.
    known: Option<(Labels, usize)>,
    guard: &'q mut Guard<'e>,
    failure: Option<QueryError>,
}

impl WindowVisitor<'_, '_> {
    fn begin_stream(&mut self, stream: &Labels) {
        if self.stream.as_ref() != Some(stream) {
            self.labels.begin_stream(stream);
            self.stream = Some(stream.clone());
            self.known = None;
        }
    }

    /// The time of an entry as the windows see it.
    const fn shifted(&self, at: TimestampNs) -> i64 {
        at.nanos().saturating_add(self.offset_ns)
    }

    fn entry(
        &mut self,
        timestamp: TimestampNs,
        line: &str,
        metadata: &Labels,
    ) -> Result<(), QueryError> {
        let at = self.shifted(timestamp);
        let Some(windows) = self.steps.holding(at, self.range_ns) else {
            return Ok(());
        };
        if !self.plan.pipeline.passes(line) {
            return Ok(());
        }
        if self.plan.pipeline.only_filters_lines()
            && self.plan.unwrap.is_none()
            && let Some((known, series)) = &self.known
            && known == metadata
        {
            let amount = self.plan.measure.amount(line);
            self.add(*series, windows, 1, amount);
            return Ok(());
        }
        self.labels.begin_entry(metadata);
        let Some(line) = self
            .plan
            .pipeline
            .process(timestamp.nanos(), line, &mut self.labels)
        else {
            return Ok(());
        };
        let value = match &self.plan.unwrap {
            Some(unwrap) => match unwrap.process(&mut self.labels) {
                Some(value) => value,
                None => return Ok(()),
            },
            None => 0.0,
        };
        if let Some(error) = self.labels.error() {
            return Err(self.pipeline_error(error));
        }
        let series = self.series(metadata)?;
        if let Some(Cell::Samples(samples)) = self.cells.get_mut(series) {
            samples.push((at, value));
            return self.guard.sample();
        }
        self.add(series, windows, 1, self.plan.measure.amount(&line));
        Ok(())
    }

    /// Adds entries and an amount to the steps from `first` to `last`.
    fn add(&mut self, series: usize, (first, last): (usize, usize), entries: i64, amount: i64) {
        let Some(Cell::Differences(differences)) = self.cells.get_mut(series) else {
            return;
        };
        if let Some(cell) = differences.get_mut(first) {
            cell.0 += entries;
            cell.1 += amount;
        }
        if let Some(cell) = differences.get_mut(last + 1) {
            cell.0 -= entries;
            cell.1 -= amount;
        }
    }

    /// The number of the series the labels at hand belong to.
    fn series(&mut self, metadata: &Labels) -> Result<usize, QueryError> {
        let stable = !self.plan.pipeline.alters_labels() && self.plan.unwrap.is_none();
        if stable
            && let Some((known, series)) = &self.known
            && known == metadata
        {
            return Ok(*series);
        }
        let series = self.index.number(&mut self.labels);
        if series == self.cells.len() {
            let sampled = self.plan.measure == Measure::Samples;
            let steps = if sampled { 1 } else { self.steps.count };
            self.guard.series(self.index.len(), steps)?;
            self.cells.push(if sampled {
                Cell::Samples(Vec::new())
            } else {
                Cell::Differences(vec![(0, 0); self.steps.count + 1])
            });
        }
        if stable {
            self.known = Some((metadata.clone(), series));
        }
        Ok(series)
    }

    fn pipeline_error(&self, error: &str) -> QueryError {
        let labels = self.labels.with_error(&self.labels.to_labels(|_, _| true));
        QueryError::Execution(format!(
            "pipeline error: '{error}' for series: '{labels}'. Use a label filter to skip this \
             error (e.g. | __error__!=\"{error}\"), or all errors (e.g. | __error__=\"\"); the \
             filter may also stand behind unwrap"
        ))
    }
}

impl Visitor for WindowVisitor<'_, '_> {
    fn entries(&mut self, batch: &Batch<'_>) -> Scan {
        if let Err(failure) = self.guard.check() {
            self.failure = Some(failure);
            return Scan::Stop;
        }
        self.begin_stream(batch.stream);
        for entry in batch.entries {
            let outcome = self
                .guard
                .entry(entry.line.len())
                .and_then(|()| self.entry(entry.timestamp, entry.line, entry.metadata));
            if let Err(failure) = outcome {
                self.failure = Some(failure);
                return Scan::Stop;
            }
        }
        Scan::Continue
    }

    fn summary(&mut self, page: &PageSummary<'_>) -> SummaryVerdict {
        let (first, last) = (self.shifted(page.first), self.shifted(page.last));
        if self.steps.miss(first, last, self.range_ns) {
            return SummaryVerdict::Taken;
        }
        if !self.plan.pipeline.is_empty() || self.plan.measure == Measure::Samples {
            return SummaryVerdict::Decode;
        }
        let holding = |at: i64| self.steps.holding(at, self.range_ns);
        let Some(windows) = holding(first).filter(|windows| holding(last) == Some(*windows)) else {
            return SummaryVerdict::Decode;
        };
        self.begin_stream(page.stream);
        self.labels.begin_entry(page.metadata);
        let Ok(series) = self.series(page.metadata) else {
            // The entries will meet the same limit and name it.
            return SummaryVerdict::Decode;
        };
        let amount = match self.plan.measure {
            Measure::Bytes => page.bytes,
            Measure::Entries | Measure::Samples => page.entries,
        };
        self.add(series, windows, page.entries as i64, amount as i64);
        self.guard.stats.entries_summarized += page.entries;
        SummaryVerdict::Taken
    }
}

/// One where no series has a point, under the labels the selector pins down.
fn absence(series: &[Series], matchers: &[Matcher], steps: Steps) -> Vec<Series> {
    let points: Vec<_> = (0..steps.count)
        .map(|step| {
            let present = series
                .iter()
                .any(|series| series.points.get(step).copied().flatten().is_some());
            (!present).then_some(1.0)
        })
        .collect();
    let mut labels = Builder::new();
    for matcher in matchers {
        let alone = matchers
            .iter()
            .filter(|other| other.name() == matcher.name())
            .count()
            == 1;
        if alone && matcher.op() == MatchOp::Equal {
            labels.set(matcher.name(), matcher.value());
        }
    }
    vec![Series {
        labels: labels.build(),
        points,
    }]
}
