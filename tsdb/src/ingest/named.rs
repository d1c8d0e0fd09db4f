//! The labels of a series as a remote write names it with, and the fingerprint that is made of them.
//!
//! Nearly every series of a write was written before, and its sender names it with the same bytes each
//! time. So those bytes are what a series is looked up by: they are hashed and compared where they
//! lie, and only a series that is not found has its labels read, checked, put in order and written anew.
//!
//! A label set has one *plain* form on the wire, which is what senders write: its labels in order of
//! name, the name before the value, no length longer than it must be, nothing else.
//!
//! ```text
//! label       0x0a, length uvarint, then 0x0a, length uvarint, name, 0x12, length uvarint, value
//! ```
//!
//! Whatever is written in another way is not found by its bytes and is read in full, after which its
//! labels have their plain form too: the fingerprint is that of the label set, however it was written. It
//! is of this process and never stored.

use model::labels::{decode_pair, split_pair};
use storage::codec::put_uvarint;
use xxhash_rust::xxh3::xxh3_64;

/// Key of a label within a series, and of the name within a label.
pub(super) const LABEL: u8 = 0x0a;
const NAME: u8 = 0x0a;
const VALUE: u8 = 0x12;
/// A label shorter than this has lengths of one byte, in both forms.
const SHORT_BYTES: usize = 0x80;

/// The fingerprint of a series whose labels are written like this in their plain form.
#[inline]
pub(super) fn fingerprint_of_plain(labels: &[u8]) -> u64 {
    xxh3_64(labels)
}

/// What makes fingerprints of labels that are not in their plain form.
#[derive(Debug, Default)]
pub(crate) struct Fingerprints {
    plain: Vec<u8>,
}

impl Fingerprints {
    /// The fingerprint of the series with these labels, in their durable form.
    pub(crate) fn of(&mut self, labels: &str) -> u64 {
        let mut rest = labels;
        let pairs = std::iter::from_fn(|| {
            let (pair, after) = split_pair(rest)?;
            rest = after;
            Some(pair.as_bytes())
        });
        self.of_pairs(pairs)
    }

    /// The fingerprint of the series with these pairs, each in its durable form, in order of name.
    pub(crate) fn of_pairs<'a>(&mut self, pairs: impl Iterator<Item = &'a [u8]>) -> u64 {
        self.plain.clear();
        for pair in pairs {
            put_label(&mut self.plain, pair);
        }
        fingerprint_of_plain(&self.plain)
    }
}

/// Appends a label in its plain form; `bytes` are its durable form.
fn put_label(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = bytes.len() + 2;
    let name = bytes.first().map(|length| 1 + usize::from(*length));
    if let (true, Some((name, value))) = (
        length < SHORT_BYTES,
        name.and_then(|name| bytes.split_at_checked(name)),
    ) {
        out.extend_from_slice(&[LABEL, length as u8, NAME]);
        out.extend_from_slice(name);
        out.push(VALUE);
        out.extend_from_slice(value);
        return;
    }
    let pair = std::str::from_utf8(bytes).unwrap_or_default();
    let (name, value) = decode_pair(pair).unwrap_or_default();
    let mut head = vec![NAME];
    put_uvarint(&mut head, name.len() as u64);
    let mut middle = vec![VALUE];
    put_uvarint(&mut middle, value.len() as u64);
    out.push(LABEL);
    let length = head.len() + name.len() + middle.len() + value.len();
    put_uvarint(out, length as u64);
    for piece in [&head, name.as_bytes(), &middle, value.as_bytes()] {
        out.extend_from_slice(piece);
    }
}

/// Takes a label off labels in their plain form, if it is the one that `pair` is in its durable form.
#[inline]
pub(crate) fn strip_label<'a>(labels: &'a [u8], pair: &[u8]) -> Option<&'a [u8]> {
    let length = pair.len() + 2;
    if length >= SHORT_BYTES {
        return strip_long_label(labels, pair);
    }
    let (name, value) = pair.split_at_checked(1 + usize::from(*pair.first()?))?;
    let [LABEL, label_length, NAME, rest @ ..] = labels else {
        return None;
    };
    if usize::from(*label_length) != length {
        return None;
    }
    match rest.strip_prefix(name)? {
        [VALUE, rest @ ..] => rest.strip_prefix(value),
        _ => None,
    }
}

fn strip_long_label<'a>(labels: &'a [u8], pair: &[u8]) -> Option<&'a [u8]> {
    let mut label = Vec::with_capacity(pair.len() + 8);
    put_label(&mut label, pair);
    labels.strip_prefix(label.as_slice())
}

#[cfg(test)]
mod tests {
    use model::labels::Labels;
    use model::sample::SeriesSamples;
    use model::wire::remote_write::TimeSeries;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    /// What a sender writes.
    fn sent(labels: &Labels) -> Vec<u8> {
        let series = SeriesSamples {
            labels: labels.clone(),
            ..SeriesSamples::default()
        };
        TimeSeries::from(&series).encode_to_vec()
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop_oneof![
            6 => "[a-cü]{1,4}",
            1 => "[a-z日]{30,70}",
            1 => (100usize..140).prop_map(|length| "x".repeat(length)),
            1 => (16_300usize..16_400).prop_map(|length| "y".repeat(length)),
        ]
    }

    proptest! {
        #[test]
        fn the_plain_form_is_what_senders_write(
            pairs in prop::collection::btree_map(any_text(), any_text(), 0..6),
        ) {
            let labels = Labels::from_pairs(pairs);
            let sent = sent(&labels);
            let mut fingerprints = Fingerprints::default();
            prop_assert_eq!(
                fingerprints.of(labels.as_encoded()),
                fingerprint_of_plain(&sent)
            );
            let mut rest = sent.as_slice();
            for pair in labels.encoded_pairs() {
                rest = strip_label(rest, pair.as_bytes()).expect("its own label");
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn a_label_is_taken_for_no_other(
            pair in (any_text(), any_text()),
            at: prop::sample::Index,
            byte: u8,
        ) {
            let labels = Labels::from_pairs([pair]);
            let mut sent = sent(&labels);
            let at = at.index(sent.len());
            let is_same = sent[at] == byte;
            sent[at] = byte;
            let stripped = strip_label(&sent, labels.as_encoded().as_bytes());
            prop_assert_eq!(stripped.is_some_and(<[u8]>::is_empty), is_same);
            sent.pop();
            prop_assert_eq!(strip_label(&sent, labels.as_encoded().as_bytes()), None);
        }
    }
}
