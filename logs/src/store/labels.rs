//! What streams there are: label names and values, series, and how much each holds.
//!
//! Nothing here opens a page. Names and values are those of the parts and memtables that have rows in the
//! range; series and volumes look at the stream's own times, in a part page by page.

use std::collections::{BTreeMap, BTreeSet};

use model::labels::Labels;
use model::matcher::Matcher;
use storage::index::LabelIndex;
use storage::index::select::{label_names, label_values, select};
use storage::part::PartError;

use super::rows::{Run, Span, Volume};
use super::{Snapshot, millis};
use crate::query::SourceError;

/// A stream and what of it lies in a range.
pub type StreamVolume = (Labels, Volume);

impl Snapshot {
    /// The label names of the streams that pass every matcher.
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        range: Span,
    ) -> Result<BTreeSet<String>, SourceError> {
        let mut names = BTreeSet::new();
        self.each_index(range, &mut |index| label_names(index, matchers, &mut names))?;
        Ok(names)
    }

    /// The values of a label that streams passing every matcher have.
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: Span,
    ) -> Result<BTreeSet<String>, SourceError> {
        let mut values = BTreeSet::new();
        self.each_index(range, &mut |index| {
            label_values(index, name, matchers, &mut values)
        })?;
        Ok(values)
    }

    /// The streams that pass every matcher and have rows in the range, and how much each has there:
    /// pages that begin or end in it count whole, rows that two places repeat count twice.
    pub fn volumes(
        &self,
        matchers: &[Matcher],
        range: Span,
    ) -> Result<Vec<StreamVolume>, SourceError> {
        let mut volumes = BTreeMap::new();
        self.add_volumes(matchers, range, &mut volumes)
            .map_err(|error| self.report(error))?;
        Ok(volumes.into_iter().collect())
    }

    fn add_volumes(
        &self,
        matchers: &[Matcher],
        range: Span,
        volumes: &mut BTreeMap<Labels, Volume>,
    ) -> Result<(), PartError> {
        for part in self.view.parts_in(millis(range)) {
            let part = part.part()?;
            let selected = select(part.index(), matchers)?;
            part.index().labels_of(&selected, |stream, labels| {
                let mut volume = Volume::default();
                for span in part.spans_in(stream, range) {
                    volume += Volume {
                        entries: u64::from(span.rows),
                        bytes: span.line_bytes,
                        chunks: 1,
                    };
                }
                if volume.entries > 0 {
                    *volumes.entry(labels).or_default() += volume;
                }
            })?;
        }
        for memory in &self.view.memtables {
            let table = memory.table.read();
            for stream in select(table.index(), matchers)? {
                let volume = memory_volume(table.runs(stream), range);
                if let Some(labels) = table.index().labels(stream).filter(|_| volume.entries > 0) {
                    *volumes.entry(labels.clone()).or_default() += volume;
                }
            }
        }
        Ok(())
    }

    fn each_index(
        &self,
        range: Span,
        visit: &mut dyn FnMut(&dyn LabelIndex) -> Result<(), PartError>,
    ) -> Result<(), SourceError> {
        for part in self.view.parts_in(millis(range)) {
            part.part()
                .and_then(|part| visit(part.index()))
                .map_err(|error| self.report(error))?;
        }
        for memory in &self.view.memtables {
            let table = memory.table.read();
            if table.overlaps(range) {
                visit(table.index()).map_err(|error| self.report(error))?;
            }
        }
        Ok(())
    }
}

/// What a stream has in a memtable: one chunk, if anything.
fn memory_volume(runs: &[Run], range: Span) -> Volume {
    let mut volume = Volume::default();
    for run in runs {
        volume += run.volume(range);
    }
    volume.chunks = u64::from(volume.entries > 0);
    volume
}
