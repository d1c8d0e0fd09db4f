//! The labels of the entry at hand, while the stages work on it.
//!
//! A name can come from the stream, from structured metadata and from the line at once. The plain
//! name belongs to the first of the three that has it; what the line says about a taken name goes to
//! `NAME_extracted`, and so does metadata whose name the stream has, unless the line wants that
//! place. Of two values from the line the first stays.
//!
//! Slots keep their strings from entry to entry. The first `stream_slots` hold the labels of the
//! stream and are only written again when a stage touched them.

use model::labels::{Builder, Labels};

use super::wanted::{EXTRACTED, Wanted};
use super::{ERROR, ERROR_DETAILS};

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Category {
    /// The stream.
    Stream,
    /// Structured metadata.
    Metadata,
    /// The line, or a stage.
    Parsed,
}

#[derive(Clone, Debug)]
struct Slot {
    name: String,
    value: String,
    category: Category,
    /// Whether stream or metadata brought the name, whatever a stage did to it since.
    base: bool,
    live: bool,
}

/// The labels of the entry at hand.
#[derive(Debug, Default)]
pub(crate) struct WorkingLabels {
    slots: Vec<Slot>,
    /// Slots in use; those behind are spare.
    used: usize,
    stream_slots: usize,
    stream: Labels,
    stream_touched: bool,
    error: Option<&'static str>,
    error_details: String,
    order: Vec<usize>,
}

impl WorkingLabels {
    /// Starts on the entries of another stream.
    pub(crate) fn begin_stream(&mut self, stream: &Labels) {
        self.stream = stream.clone();
        self.stream_touched = true;
    }

    /// Starts on another entry of the stream.
    pub(crate) fn begin_entry(&mut self, metadata: &Labels) {
        self.error = None;
        if self.stream_touched {
            self.used = 0;
            let stream = self.stream.clone();
            for (name, value) in &stream {
                self.push(name, value, Category::Stream, true);
            }
            self.stream_slots = self.used;
            self.stream_touched = false;
        }
        self.used = self.stream_slots;
        for (name, value) in metadata {
            if self.find(name).is_some() {
                let extracted = format!("{name}{EXTRACTED}");
                self.set(&extracted, value, Category::Metadata);
            } else {
                self.push(name, value, Category::Metadata, true);
            }
        }
    }

    /// The value of a label.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.slots
            .get(self.find(name)?)
            .filter(|slot| slot.live)
            .map(|slot| slot.value.as_str())
    }

    /// The value of a label as text filters and templates see it, error labels included.
    pub(crate) fn get_or_error(&self, name: &str) -> Option<&str> {
        match name {
            ERROR => self.error,
            ERROR_DETAILS => self.error.map(|_| self.error_details.as_str()),
            _ => self.get(name),
        }
    }

    /// Whether the line brought a value under this name or its `_extracted` form already.
    pub(crate) fn has_extracted(&self, name: &str) -> bool {
        self.find(name)
            .and_then(|at| self.slots.get(at))
            .is_some_and(|slot| slot.live && slot.category == Category::Parsed)
    }

    /// Takes what a parser found in the line; the first value of a name stays.
    pub(crate) fn extract(&mut self, name: &str, value: &str, wanted: &Wanted) {
        if name.is_empty() || wanted.as_ref().is_some_and(|wanted| !wanted.contains(name)) {
            return;
        }
        let Some(slot) = self.find(name).and_then(|at| self.slots.get(at)) else {
            self.push(name, value, Category::Parsed, false);
            return;
        };
        if slot.base {
            let extracted = format!("{name}{EXTRACTED}");
            if !self.has_extracted(&extracted) {
                self.set(&extracted, value, Category::Parsed);
            }
        } else if !(slot.live && slot.category == Category::Parsed) {
            self.set(name, value, Category::Parsed);
        }
    }

    /// Takes what an expression of a parser found; the label was asked for by name, so the last
    /// value stays.
    pub(crate) fn extract_named(&mut self, name: &str, value: &str) {
        if self.is_base(name) {
            let extracted = format!("{name}{EXTRACTED}");
            self.set(&extracted, value, Category::Parsed);
        } else {
            self.set(name, value, Category::Parsed);
        }
    }

    /// Gives a label a value, whatever it had.
    pub(crate) fn set(&mut self, name: &str, value: &str, category: Category) {
        match self.find(name) {
            Some(at) => {
                self.stream_touched |= at < self.stream_slots;
                if let Some(slot) = self.slots.get_mut(at) {
                    value.clone_into(&mut slot.value);
                    slot.category = category;
                    slot.live = true;
                }
            }
            None => self.push(name, value, category, false),
        }
    }

    /// Removes a label; the error labels can be removed too.
    pub(crate) fn remove(&mut self, name: &str) {
        match name {
            ERROR => self.error = None,
            ERROR_DETAILS => self.error_details.clear(),
            _ => {
                if let Some(at) = self.find(name) {
                    self.stream_touched |= at < self.stream_slots;
                    if let Some(slot) = self.slots.get_mut(at) {
                        slot.live = false;
                    }
                }
            }
        }
    }

    /// Removes the labels that do not pass.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        for (at, slot) in self.slots.iter_mut().take(self.used).enumerate() {
            if slot.live && !keep(&slot.name, &slot.value) {
                slot.live = false;
                self.stream_touched |= at < self.stream_slots;
            }
        }
    }

    /// Marks the entry as failed; the first failure stays.
    pub(crate) fn set_error(&mut self, error: &'static str, details: &str) {
        if self.error.is_none() {
            self.error = Some(error);
            details.clone_into(&mut self.error_details);
        }
    }

    /// What failed, if something did.
    pub(crate) const fn error(&self) -> Option<&'static str> {
        self.error
    }

    /// The labels as they are now, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str, Category)> {
        self.slots
            .iter()
            .take(self.used)
            .filter(|slot| slot.live)
            .map(|slot| (slot.name.as_str(), slot.value.as_str(), slot.category))
    }

    /// The labels that pass as a set, with the error labels where something failed.
    pub(crate) fn to_labels(&self, mut keep: impl FnMut(&str, Category) -> bool) -> Labels {
        let mut builder = Builder::new();
        for (name, value, category) in self.iter() {
            if keep(name, category) {
                builder.set_keeping_empty(name, value);
            }
        }
        builder.build()
    }

    /// Adds the error labels to a set.
    pub(crate) fn with_error(&self, labels: &Labels) -> Labels {
        let Some(error) = self.error else {
            return labels.clone();
        };
        let mut builder = labels.to_builder();
        builder.set(ERROR, error);
        builder.set(ERROR_DETAILS, &self.error_details);
        builder.build()
    }

    /// Writes a key that two entries share exactly if their labels that pass are the same, by
    /// name, value and, where asked for, category.
    pub(crate) fn write_key(
        &mut self,
        key: &mut Vec<u8>,
        with_category: bool,
        mut keep: impl FnMut(&str) -> bool,
    ) {
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        order.extend((0..self.used).filter(|at| {
            self.slots
                .get(*at)
                .is_some_and(|slot| slot.live && keep(&slot.name))
        }));
        order.sort_unstable_by_key(|at| self.slots.get(*at).map(|slot| slot.name.as_str()));
        key.clear();
        for slot in order.iter().filter_map(|at| self.slots.get(*at)) {
            for text in [&slot.name, &slot.value] {
                key.extend_from_slice(&(text.len() as u32).to_le_bytes());
                key.extend_from_slice(text.as_bytes());
            }
            if with_category {
                key.push(slot.category as u8);
            }
        }
        if let Some(error) = self.error {
            key.push(0xff);
            key.extend_from_slice(error.as_bytes());
            key.extend_from_slice(self.error_details.as_bytes());
        }
        self.order = order;
    }

    fn is_base(&self, name: &str) -> bool {
        self.find(name)
            .and_then(|at| self.slots.get(at))
            .is_some_and(|slot| slot.base)
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.slots
            .iter()
            .take(self.used)
            .position(|slot| slot.name == name)
    }

    fn push(&mut self, name: &str, value: &str, category: Category, base: bool) {
        if let Some(slot) = self.slots.get_mut(self.used) {
            name.clone_into(&mut slot.name);
            value.clone_into(&mut slot.value);
            slot.category = category;
            slot.base = base;
            slot.live = true;
        } else {
            self.slots.push(Slot {
                name: name.to_owned(),
                value: value.to_owned(),
                category,
                base,
                live: true,
            });
        }
        self.used += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn working() -> WorkingLabels {
        let mut labels = WorkingLabels::default();
        labels.begin_stream(&Labels::from_pairs([("a", "s"), ("k", "s")]));
        labels.begin_entry(&Labels::from_pairs([("k", "m"), ("m", "m")]));
        labels
    }

    fn pairs(labels: &WorkingLabels) -> String {
        labels.to_labels(|_, _| true).to_string()
    }

    #[test]
    fn a_taken_name_spills_and_the_line_wins_the_spill() {
        let mut labels = working();
        assert_eq!(pairs(&labels), r#"{a="s", k="s", k_extracted="m", m="m"}"#);
        labels.extract("k", "p", &None);
        labels.extract("k", "second", &None);
        labels.extract("m", "p", &None);
        assert_eq!(
            pairs(&labels),
            r#"{a="s", k="s", k_extracted="p", m="m", m_extracted="p"}"#
        );
    }

    #[test]
    fn the_next_entry_sees_the_stream_as_it_was() {
        let mut labels = working();
        labels.set("a", "changed", Category::Parsed);
        labels.remove("k");
        labels.set_error("Oops", "first");
        labels.set_error("Other", "second");
        assert_eq!(labels.get_or_error(ERROR_DETAILS), Some("first"));
        labels.begin_entry(&Labels::empty());
        assert_eq!(pairs(&labels), r#"{a="s", k="s"}"#);
        assert_eq!(labels.error(), None);
    }
}
