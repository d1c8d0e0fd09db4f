//! Many parts become one.
//!
//! The parts are walked side by side in the order of labels, so that one series at a time is in
//! memory, however large the parts are. Of two samples at one instant the later part's stays.

use std::collections::VecDeque;

use model::labels::Labels;
use roaring::RoaringBitmap;
use storage::index::{LabelIndex as _, SeriesRef};
use storage::part::PartError;
use storage::part::writer::PartWriter;
use storage::table::{MergePlan, PartSummary};

use super::columns::Columns;
use super::part_reader::{MetricsPart, PartScan};
use super::part_writer::SeriesWriter;

/// Series whose labels a walk reads at once.
const SERIES_AT_ONCE: u32 = 1024;

/// Writes what the plan leaves of its parts.
pub(super) fn merge(
    plan: &MergePlan<MetricsPart>,
    writer: &mut PartWriter,
) -> Result<Option<PartSummary>, PartError> {
    let mut out = SeriesWriter::new(writer, plan.density);
    let mut walks = Vec::with_capacity(plan.inputs.len());
    for input in &plan.inputs {
        let mut walk = Walk::new(&input.part);
        walk.fill()?;
        walks.push((walk, &*input.erasures));
        // From the oldest to the newest, so that the last write stays.
        out.metadata(input.part.metadata()?);
    }
    loop {
        let ahead = walks.iter().filter_map(|(walk, _)| walk.labels());
        let Some(labels) = ahead.min().cloned() else {
            return out.finish();
        };
        let mut columns = Columns::default();
        for (walk, erasures) in &mut walks {
            if walk.labels() == Some(&labels) {
                let mut taken = walk.take()?;
                taken.erase(&labels, erasures);
                columns.overlay(taken);
            }
        }
        out.series(&labels, &columns)?;
    }
}

/// A part on its way past the others.
struct Walk<'a> {
    part: &'a MetricsPart,
    scan: PartScan<'a>,
    /// Labels that were read, of the series from `next` on.
    ahead: VecDeque<Labels>,
    next: SeriesRef,
}

impl<'a> Walk<'a> {
    fn new(part: &'a MetricsPart) -> Self {
        Self {
            part,
            scan: part.scan(),
            ahead: VecDeque::new(),
            next: 0,
        }
    }

    /// The labels of the next series.
    fn labels(&self) -> Option<&Labels> {
        self.ahead.front()
    }

    /// The samples of the next series, which is left behind.
    fn take(&mut self) -> Result<Columns, PartError> {
        let mut columns = Columns::default();
        for header in self.scan.chunks(self.next)?.iter() {
            self.scan.read_chunk(header, &mut columns)?;
        }
        self.ahead.pop_front();
        self.next += 1;
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(columns)
    }

    fn fill(&mut self) -> Result<(), PartError> {
        let end = self
            .part
            .index()
            .len()
            .min(self.next.saturating_add(SERIES_AT_ONCE));
        let series: RoaringBitmap = (self.next..end).collect();
        let ahead = &mut self.ahead;
        self.part
            .index()
            .labels_of(&series, |_, labels| ahead.push_back(labels))
    }
}
