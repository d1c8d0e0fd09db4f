//! Writing the index of a part.
//!
//! A scrape gives every pod the same metric names, so the label sets of a part are few tails (what a
//! set is behind its metric name) under many names. Tails are written once, and so is what has which
//! label: postings are tails, not series. A metric name is a set of tails, and its series follow
//! from that. The bytes are described in `FORMAT.md`.
//!
//! Series that do not begin with a metric name (those of logs, and those with a label that sorts
//! before it) are tails as a whole.

use model::labels::{Labels, METRIC_NAME};

use super::apart::{Apart, Ordered, Unwritable};
use super::block::{put_block, put_handle};
use super::dictionary::{self, put_label};
use super::groups::{self, put_groups};
use super::postings::{Postings, runs_of};
use super::tails::{LabelPlace, put_tails};
use crate::codec::put_uvarint;
use crate::part::writer::PartWriter;
use crate::part::{BlockHandle, PartError};

/// Name of the section that says where everything else is.
pub(super) const INDEX_SECTION: &str = "index";

/// The index of a part that is being written.
#[derive(Debug, Default)]
pub struct IndexWriter {
    apart: Apart,
    /// Whether a series found no room; what came then is lost, and the index is not written.
    is_full: bool,
}

impl IndexWriter {
    /// Takes the next series, whose number is how many came before.
    pub fn push(&mut self, labels: &Labels) {
        self.is_full |= self.apart.push(labels).is_none();
    }

    /// Writes the index of the series that came.
    pub fn finish(self, writer: &mut PartWriter) -> Result<(), PartError> {
        let ordered = if self.is_full {
            Err(Unwritable::TooMany)
        } else {
            self.apart.ordered()
        };
        let ordered = ordered.map_err(|reason| writer.unexpected(&reason))?;
        let mut places = vec![LabelPlace::default(); ordered.pairs()];
        let dictionary = put_dictionary(&ordered, &mut places, writer)?;
        let place_of = |pair: u32| places.get(pair as usize).copied().unwrap_or_default();
        let tails = ordered.each_tail();
        let tails = tails.map(|pairs| pairs.iter().map(|pair| place_of(*pair)));
        let tail_places = put_tails(tails, writer)?;
        let entries = ordered.groups().iter().map(|group| groups::Entry {
            name: group.name.map(|pair| place_of(pair).ordinal),
            tails: ordered.tails_of(group),
        });
        let group_places = put_groups(entries, writer)?;
        let mut section = Vec::new();
        put_uvarint(&mut section, ordered.series() as u64);
        put_uvarint(&mut section, ordered.tails() as u64);
        for place in [dictionary, tail_places, group_places] {
            put_handle(&mut section, place);
        }
        writer.section(INDEX_SECTION, &section)
    }
}

/// Writes the index of `series`, whose numbers are their positions.
pub fn write_index(series: &[Labels], writer: &mut PartWriter) -> Result<(), PartError> {
    let mut index = IndexWriter::default();
    for labels in series {
        index.push(labels);
    }
    index.finish(writer)
}

/// Writes the values of each name, and notes under which place each pair is written.
fn put_dictionary(
    ordered: &Ordered,
    places: &mut [LabelPlace],
    writer: &mut PartWriter,
) -> Result<BlockHandle, PartError> {
    let mut groups = vec![None; ordered.pairs()];
    for (number, group) in (0..).zip(ordered.groups()) {
        if let Some(of) = group.name.and_then(|pair| groups.get_mut(pair as usize)) {
            *of = Some(number);
        }
    }
    let names = ordered.names();
    let mut postings = Postings::new(ordered, &names);
    let mut presence = vec![false; ordered.tails()];
    let mut dictionary = Vec::new();
    put_uvarint(&mut dictionary, names.len() as u64);
    for (label, pairs) in names.iter().enumerate() {
        postings.take(label);
        presence.fill(false);
        for (ordinal, pair) in (0..).zip(pairs.clone()) {
            if let Some(place) = places.get_mut(pair as usize) {
                let label = label as u32;
                *place = LabelPlace { label, ordinal };
            }
            for tail in postings.of(pair) {
                if let Some(present) = presence.get_mut(*tail as usize) {
                    *present = true;
                }
            }
        }
        let name = ordered.parts_of(pairs.start).0;
        let group_of = |pair: u32| groups.get(pair as usize).copied().flatten();
        put_label(
            &mut dictionary,
            name,
            name == METRIC_NAME && pairs.clone().any(|pair| group_of(pair).is_some()),
            runs_of_present(&presence),
            pairs.clone().map(|pair| dictionary::Entry {
                value: ordered.parts_of(pair).1,
                group: group_of(pair),
                tails: runs_of(postings.of(pair)),
            }),
            writer,
        )?;
    }
    put_block(writer, &dictionary)
}

/// The runs of what is there.
fn runs_of_present(present: &[bool]) -> impl Iterator<Item = (u32, u32)> {
    let mut start = 0_u32;
    present.chunk_by(|a, b| a == b).filter_map(move |run| {
        let first = start;
        start += run.len() as u32;
        (run.first() == Some(&true)).then(|| (first, start - 1))
    })
}
