//! Writing the index of a part.
//!
//! A scrape gives every pod the same metric names, so the label sets of a part are few tails (what a
//! set is behind its metric name) under many names. Tails are written once, and so is what has which
//! label: postings are tails, not series. A metric name is a set of tails, and its series follow
//! from that. The bytes are described in `FORMAT.md`.
//!
//! Series that do not begin with a metric name (those of logs, and those with a label that sorts
//! before it) are tails as a whole.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;
use model::labels::{Labels, METRIC_NAME, decode_pair};
use xxhash_rust::xxh3::xxh3_64;

use super::block::put_handle;
use super::dictionary::{self, put_label};
use super::groups::{self, put_groups};
use super::memory::{MemoryIndex, PairRef};
use super::tails::{LabelPlace, put_tails};
use crate::codec::put_uvarint;
use crate::part::PartError;
use crate::part::writer::PartWriter;

/// Name of the section that says where everything else is.
pub(super) const INDEX_SECTION: &str = "index";

/// Series side by side that have one metric name, or none in front.
struct Group<'a> {
    name: Option<&'a str>,
    tails: Vec<u32>,
}

/// Label sets taken apart.
struct Apart<'a> {
    /// In order of their numbers, each once.
    tails: Vec<Labels>,
    groups: Vec<Group<'a>>,
}

/// Writes the index of `series`, whose numbers are their positions.
pub fn write_index(series: &[Labels], writer: &mut PartWriter) -> Result<(), PartError> {
    let Apart { tails, groups } = take_apart(series);
    let mut index = MemoryIndex::default();
    for tail in &tails {
        index.get_or_insert(tail);
    }
    if index.series().len() != tails.len() {
        return Err(writer.unexpected(&"a label set comes twice"));
    }
    let mut names: Vec<&str> = index.names().collect();
    let leads = groups.iter().any(|group| group.name.is_some());
    if let (true, Err(at)) = (leads, names.binary_search(&METRIC_NAME)) {
        names.insert(at, METRIC_NAME);
    }
    let mut rows: Vec<Vec<LabelPlace>> = vec![Vec::new(); tails.len()];
    let mut group_names = vec![None; groups.len()];
    let mut dictionary = Vec::new();
    put_uvarint(&mut dictionary, names.len() as u64);
    for (label, name) in (0..).zip(&names) {
        let pairs = index.pairs_of(name);
        let mut values: Vec<Value<'_>> = pairs
            .iter()
            .map(|pair| Value {
                text: index.value(*pair),
                group: None,
                pair: Some(*pair),
            })
            .collect();
        let leads = leads && *name == METRIC_NAME;
        if leads {
            add_groups(&mut values, &groups);
        }
        let mut presence = vec![false; tails.len()];
        for (ordinal, value) in (0..).zip(&values) {
            if let Some(name) = value.group.and_then(|g| group_names.get_mut(g as usize)) {
                *name = Some(ordinal);
            }
            let runs = value.pair.into_iter().flat_map(|pair| index.runs_of(pair));
            for tail in runs.flat_map(|(first, last)| first..=last) {
                if let Some(row) = rows.get_mut(tail as usize) {
                    row.push(LabelPlace { label, ordinal });
                }
                if let Some(present) = presence.get_mut(tail as usize) {
                    *present = true;
                }
            }
        }
        put_label(
            &mut dictionary,
            name,
            leads,
            runs_of(&presence),
            values.iter().map(|value| dictionary::Entry {
                value: value.text,
                group: value.group,
                tails: value.pair.into_iter().flat_map(|pair| index.runs_of(pair)),
            }),
            writer,
        )?;
    }
    let dictionary = super::block::put_block(writer, &dictionary)?;
    let tail_places = put_tails(&rows, writer)?;
    let entries = groups.iter().zip(group_names);
    let entries = entries.map(|(group, name)| groups::Entry {
        name,
        tails: &group.tails,
    });
    let group_places = put_groups(entries, writer)?;
    let mut section = Vec::new();
    put_uvarint(&mut section, series.len() as u64);
    put_uvarint(&mut section, tails.len() as u64);
    for place in [dictionary, tail_places, group_places] {
        put_handle(&mut section, place);
    }
    writer.section(INDEX_SECTION, &section)
}

/// A value of a label that is written.
struct Value<'a> {
    text: &'a str,
    group: Option<u32>,
    pair: Option<PairRef>,
}

/// Gives the metric names their groups.
fn add_groups<'a>(values: &mut Vec<Value<'a>>, groups: &[Group<'a>]) {
    for (number, group) in (0..).zip(groups) {
        let Some(text) = group.name else {
            continue;
        };
        match values.binary_search_by(|value| value.text.cmp(text)) {
            Ok(at) => {
                if let Some(value) = values.get_mut(at) {
                    value.group = Some(number);
                }
            }
            Err(at) => values.insert(
                at,
                Value {
                    text,
                    group: Some(number),
                    pair: None,
                },
            ),
        }
    }
}

/// The runs of what is there.
fn runs_of(present: &[bool]) -> impl Iterator<Item = (u32, u32)> {
    let mut start = 0_u32;
    present.chunk_by(|a, b| a == b).filter_map(move |run| {
        let first = start;
        start += run.len() as u32;
        (run.first() == Some(&true)).then(|| (first, start - 1))
    })
}

/// Metric names and tails, or, of label sets that are not in order, tails alone.
fn take_apart(series: &[Labels]) -> Apart<'_> {
    let whole = || Apart {
        tails: series.to_vec(),
        groups: vec![Group {
            name: None,
            tails: (0..series.len() as u32).collect(),
        }],
    };
    by_name(series).unwrap_or_else(whole)
}

/// Metric names and tails, of label sets that are in order.
fn by_name(series: &[Labels]) -> Option<Apart<'_>> {
    let mut texts: Vec<&str> = Vec::new();
    let mut by_text: HashTable<u32> = HashTable::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for labels in series {
        let text = labels.as_encoded();
        let first = labels.encoded_pairs().next().unwrap_or_default();
        let name = match decode_pair(first) {
            Some((METRIC_NAME, value)) => Some(value),
            _ => None,
        };
        let tail = if name.is_some() {
            text.get(first.len()..)?
        } else {
            text
        };
        let next = texts.len() as u32;
        let slot = by_text.entry(
            xxh3_64(tail.as_bytes()),
            |number| texts.get(*number as usize) == Some(&tail),
            |number| {
                xxh3_64(
                    texts
                        .get(*number as usize)
                        .map_or(b"", |text| text.as_bytes()),
                )
            },
        );
        let number = match slot {
            Slot::Occupied(known) => *known.get(),
            Slot::Vacant(vacant) => {
                vacant.insert(next);
                texts.push(tail);
                next
            }
        };
        match groups.last_mut() {
            Some(group) if group.name == name => group.tails.push(number),
            _ => groups.push(Group {
                name,
                tails: vec![number],
            }),
        }
    }
    let mut ordered: Vec<(Labels, u32)> = Vec::with_capacity(texts.len());
    for (number, text) in (0..).zip(texts) {
        ordered.push((Labels::from_encoded(text)?, number));
    }
    ordered.sort();
    let mut renumbered = vec![0_u32; ordered.len()];
    for (number, (_, before)) in (0..).zip(&ordered) {
        *renumbered.get_mut(*before as usize)? = number;
    }
    for group in &mut groups {
        for tail in &mut group.tails {
            *tail = *renumbered.get(*tail as usize)?;
        }
    }
    let in_order = groups
        .iter()
        .filter_map(|group| group.name)
        .is_sorted_by(|a, b| a < b)
        && groups
            .iter()
            .all(|group| group.tails.is_sorted_by(|a, b| a < b));
    in_order.then(|| Apart {
        tails: ordered.into_iter().map(|(labels, _)| labels).collect(),
        groups,
    })
}
