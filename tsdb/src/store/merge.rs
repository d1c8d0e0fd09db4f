//! Many parts become one.
//!
//! The parts are walked side by side in the order of labels, so that one series at a time is in
//! memory, however large the parts are. Of two samples at one instant the later part's stays. A series
//! that one part has alone is copied block by block, unless its blocks are small, something of it was
//! deleted, or they were written for a part that would not stay and this one will.

use std::collections::VecDeque;

use model::labels::Labels;
use roaring::RoaringBitmap;
use storage::index::{LabelIndex as _, SeriesRef};
use storage::part::PartError;
use storage::part::writer::PartWriter;
use storage::table::{Density, Erasure, MergePlan, PartSummary};

use super::chunk::ChunkHeader;
use super::codec::BLOCK_SAMPLES_MAX;
use super::columns::Columns;
use super::part_reader::{MetricsPart, PartScan};
use super::part_writer::SeriesWriter;

/// Series whose labels a walk reads at once.
const SERIES_AT_ONCE: u32 = 1024;
/// Samples of a block that is large enough to be copied although its series goes on.
const FULL_SAMPLES_MIN: usize = BLOCK_SAMPLES_MAX / 2;

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
        let holds = |(walk, _): &&mut (Walk<'_>, &[Erasure])| walk.labels() == Some(&labels);
        let mut holding: Vec<_> = walks.iter_mut().filter(holds).collect();
        if let [(walk, erasures)] = holding.as_mut_slice()
            && !erasures.iter().any(|erasure| erases(erasure, &labels))
            && walk.copy(&labels, plan.density, &mut out)?
        {
            continue;
        }
        let mut columns = Columns::default();
        for (walk, erasures) in holding {
            let mut taken = walk.take()?;
            taken.erase(&labels, erasures);
            columns.overlay(taken);
        }
        out.series(&labels, &columns)?;
    }
}

fn erases(erasure: &Erasure, labels: &Labels) -> bool {
    erasure.matchers.iter().all(|m| m.matches_labels(labels))
}

/// Whether blocks are as large as they should be: of each kind all but the last.
fn are_full(chunks: &[ChunkHeader]) -> bool {
    let mut kinds = chunks.chunk_by(|a, b| a.kind == b.kind);
    kinds.all(|chunks| {
        let rest = chunks.split_last().map_or(chunks, |(_, rest)| rest);
        rest.iter().all(|chunk| chunk.count >= FULL_SAMPLES_MIN)
    })
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
        self.pass()?;
        Ok(columns)
    }

    /// Copies the next series, which is left behind, if decoding and encoding it would gain nothing.
    fn copy(
        &mut self,
        labels: &Labels,
        density: Density,
        out: &mut SeriesWriter<'_>,
    ) -> Result<bool, PartError> {
        if density == Density::Settled && self.part.density() != Density::Settled {
            return Ok(false);
        }
        let chunks = self.scan.chunks(self.next)?;
        if !are_full(&chunks) {
            return Ok(false);
        }
        out.copy_series(labels, &chunks, &mut self.scan)?;
        self.pass()?;
        Ok(true)
    }

    fn pass(&mut self) -> Result<(), PartError> {
        self.ahead.pop_front();
        self.next += 1;
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(())
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
