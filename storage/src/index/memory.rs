//! The index of a memtable.

use std::collections::{BTreeMap, HashMap};

use model::labels::Labels;
use roaring::RoaringBitmap;

use super::{LabelIndex, SeriesRef, VisitValue};
use crate::part::PartError;

/// Labels to series, growing.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    series: Vec<Labels>,
    by_labels: HashMap<Labels, SeriesRef>,
    postings: BTreeMap<String, BTreeMap<String, RoaringBitmap>>,
    bytes: usize,
}

/// What an entry of the index costs beside its texts, roughly: map nodes and a small bitmap.
const ENTRY_BYTES: usize = 96;

impl MemoryIndex {
    /// The number of a series, if it is known.
    pub fn get(&self, labels: &Labels) -> Option<SeriesRef> {
        self.by_labels.get(labels).copied()
    }

    /// The number of a series, given now if it is new.
    pub fn get_or_insert(&mut self, labels: &Labels) -> SeriesRef {
        if let Some(known) = self.get(labels) {
            return known;
        }
        let series = self.series.len() as SeriesRef;
        self.series.push(labels.clone());
        self.by_labels.insert(labels.clone(), series);
        self.bytes += labels.as_encoded().len() + ENTRY_BYTES;
        for (name, value) in labels {
            if !self.postings.contains_key(name) {
                self.postings.insert(name.to_owned(), BTreeMap::new());
                self.bytes += name.len() + ENTRY_BYTES;
            }
            let Some(values) = self.postings.get_mut(name) else {
                continue;
            };
            if let Some(bitmap) = values.get_mut(value) {
                bitmap.insert(series);
            } else {
                values.insert(value.to_owned(), RoaringBitmap::from([series]));
                self.bytes += value.len() + ENTRY_BYTES;
            }
            self.bytes += size_of::<u16>();
        }
        series
    }

    /// The labels of a series.
    pub fn labels(&self, series: SeriesRef) -> Option<&Labels> {
        self.series.get(series as usize)
    }

    /// Every series in the order of its number.
    pub fn series(&self) -> &[Labels] {
        &self.series
    }

    /// What the index takes in memory, roughly, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl LabelIndex for MemoryIndex {
    fn len(&self) -> u32 {
        self.series.len() as u32
    }

    fn postings(&self, name: &str, value: &str) -> Result<RoaringBitmap, PartError> {
        let values = self.postings.get(name);
        Ok(values
            .and_then(|values| values.get(value))
            .cloned()
            .unwrap_or_default())
    }

    fn each_value(
        &self,
        name: &str,
        prefix: &str,
        visit: &mut VisitValue<'_>,
    ) -> Result<(), PartError> {
        let Some(values) = self.postings.get(name) else {
            return Ok(());
        };
        for (value, bitmap) in values.range(prefix.to_owned()..) {
            if !value.starts_with(prefix) {
                break;
            }
            visit(value, &mut || Ok(bitmap.clone()))?;
        }
        Ok(())
    }

    fn label_names(&self) -> Result<Vec<String>, PartError> {
        Ok(self.postings.keys().cloned().collect())
    }
}
