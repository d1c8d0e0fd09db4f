//! A label set: the identity of a series or of a stream.
//!
//! A set is one reference-counted text that holds its pairs in order of name, each string behind
//! its length in bytes, and nothing else: cloning costs a counter, comparing for equality costs a
//! `memcmp`, and a million of them cost a million small allocations instead of ten. The text is also
//! the durable form: the write-ahead log and the parts store it as it is.
//!
//! Lengths are written in seven-bit characters so that the text stays UTF-8: one character
//! `0..=126`, or `127` and four characters of seven bits each, most significant first.
//!
//! A label with an empty value is the same as no label, so the builder drops it; LogQL alone can
//! tell the two apart in a result, and uses [`Builder::set_keeping_empty`].

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

/// The label that carries a metric's name.
pub const METRIC_NAME: &str = "__name__";
/// The label that bounds a bucket of a classic histogram.
pub const BUCKET: &str = "le";
/// The longest label name or value that can be held, in bytes.
pub const STRING_BYTES_MAX: usize = (1 << 28) - 1;

/// A set of label pairs, ordered by name, without duplicates.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels(Arc<str>);

impl Labels {
    /// The set of no labels.
    pub fn empty() -> Self {
        Self(Arc::from(""))
    }

    /// Collects pairs in any order; of two pairs with one name the later wins.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut builder = Builder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Takes a text that [`Labels::as_encoded`] gave, or says that it is none.
    pub fn from_encoded(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut previous: Option<&str> = None;
        while !rest.is_empty() {
            let (name, after) = read_string(rest)?;
            let (_, after) = read_string(after)?;
            if previous.is_some_and(|previous| previous >= name) {
                return None;
            }
            previous = Some(name);
            rest = after;
        }
        Some(Self(Arc::from(text)))
    }

    /// The durable form of the set.
    pub fn as_encoded(&self) -> &str {
        &self.0
    }

    /// The value of `name`, if the set has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        for (candidate, value) in self {
            match candidate.cmp(name) {
                Ordering::Less => {}
                Ordering::Equal => return Some(value),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The metric name, or the empty text.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or_default()
    }

    /// The pairs in order of name.
    pub fn iter(&self) -> Iter<'_> {
        Iter { rest: &self.0 }
    }

    /// The pairs in order of name, each in its durable form: the text of a set of that pair alone,
    /// which [`decode_pair`] reads.
    pub fn encoded_pairs(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (pair, after) = split_pair(rest)?;
            rest = after;
            Some(pair)
        })
    }

    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A 64-bit fingerprint, the same on every machine and in every version.
    pub fn fingerprint(&self) -> u64 {
        xxh3_64(self.0.as_bytes())
    }

    /// A builder that starts from this set.
    pub fn to_builder(&self) -> Builder {
        Builder {
            pairs: self
                .iter()
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// The set without the metric name.
    #[must_use]
    pub fn without_metric_name(&self) -> Self {
        if self.get(METRIC_NAME).is_none() {
            return self.clone();
        }
        self.filtered(|name| name != METRIC_NAME)
    }

    /// The pairs whose name passes `keep`.
    #[must_use]
    pub fn filtered(&self, keep: impl FnMut(&str) -> bool) -> Self {
        let mut text = String::with_capacity(self.0.len());
        self.write_filtered(&mut text, keep);
        Self(Arc::from(text))
    }

    /// The set with `name` set to `value`, or without it where that is empty.
    #[must_use]
    pub fn replaced(&self, name: &str, value: &str) -> Self {
        // What comes before the name, and what comes behind it.
        let (mut before, mut rest) = (0, &*self.0);
        while let Some((candidate, after)) = read_string(rest)
            && let Some((_, after)) = read_string(after)
            && candidate <= name
        {
            rest = after;
            if candidate == name {
                break;
            }
            before = self.0.len() - rest.len();
        }
        let mut text = String::with_capacity(self.0.len() + name.len() + value.len() + 2);
        text.push_str(self.0.get(..before).unwrap_or_default());
        if !value.is_empty() {
            write_string(&mut text, name);
            write_string(&mut text, value);
        }
        text.push_str(rest);
        Self(Arc::from(text))
    }

    /// Writes the durable form of [`Labels::filtered`] over what `text` holds: for those who only look
    /// whether they know the set.
    pub fn write_filtered(&self, text: &mut String, mut keep: impl FnMut(&str) -> bool) {
        text.clear();
        let mut rest = &*self.0;
        while let Some((name, after)) = read_string(rest)
            && let Some((_, after)) = read_string(after)
        {
            if keep(name) {
                text.push_str(rest.get(..rest.len() - after.len()).unwrap_or_default());
            }
            rest = after;
        }
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Pair by pair, names before values; a set sorts before the sets it begins.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

impl<N: AsRef<str>, V: AsRef<str>> FromIterator<(N, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self::from_pairs(pairs)
    }
}

/// As Prometheus writes a series: `name{a="b"}`, `{a="b"}` without a name.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let plain = is_legacy_metric_name(name);
        if plain {
            f.write_str(name)?;
            if self.len() == 1 {
                return Ok(());
            }
        }
        f.write_str("{")?;
        let mut first = true;
        for (label, value) in self {
            if plain && label == METRIC_NAME {
                continue;
            }
            if !first {
                f.write_str(", ")?;
            }
            first = false;
            if is_legacy_label_name(label) {
                write!(f, "{label}={value:?}")?;
            } else {
                write!(f, "{label:?}={value:?}")?;
            }
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Labels {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

/// Whether `name` needs no quotes as a label name: `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_legacy_label_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether `name` needs no quotes as a metric name: a label name that may also hold `:`.
pub fn is_legacy_metric_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b':')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
}

/// The pairs of a set in order of name.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = read_string(self.rest)?;
        let (value, rest) = read_string(rest)?;
        self.rest = rest;
        Some((name, value))
    }
}

/// Gathers pairs for a set.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    /// Ordered by name, without duplicates.
    pairs: Vec<(String, String)>,
}

impl Builder {
    /// A builder of the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `name` to `value`; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() {
            return self.remove(name);
        }
        self.set_keeping_empty(name, value)
    }

    /// Sets `name` to `value`, also where the value is empty: LogQL shows such labels.
    pub fn set_keeping_empty(&mut self, name: &str, value: &str) -> &mut Self {
        match self.position(name) {
            Ok(at) => {
                if let Some(pair) = self.pairs.get_mut(at) {
                    value.clone_into(&mut pair.1);
                }
            }
            Err(at) => self.pairs.insert(at, (name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name`, if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        if let Ok(at) = self.position(name) {
            self.pairs.remove(at);
        }
        self
    }

    /// The value of `name` so far.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.position(name).ok()?;
        self.pairs.get(at).map(|(_, value)| value.as_str())
    }

    /// The pairs so far, in order of name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The set of the pairs gathered.
    pub fn build(&self) -> Labels {
        let bytes = self
            .pairs
            .iter()
            .map(|(name, value)| name.len() + value.len() + 2)
            .sum();
        let mut text = String::with_capacity(bytes);
        for (name, value) in &self.pairs {
            write_string(&mut text, name);
            write_string(&mut text, value);
        }
        Labels(Arc::from(text))
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.pairs
            .binary_search_by(|(candidate, _)| candidate.as_str().cmp(name))
    }
}

/// The durable form of one pair, as [`Labels::encoded_pairs`] gives it.
pub fn encode_pair(name: &str, value: &str) -> String {
    let mut text = String::with_capacity(name.len() + value.len() + 2);
    write_string(&mut text, name);
    write_string(&mut text, value);
    text
}

/// The name and the value of a pair in its durable form.
pub fn decode_pair(text: &str) -> Option<(&str, &str)> {
    Iter { rest: text }.next()
}

/// Appends `text` behind its length. A text over [`STRING_BYTES_MAX`] is cut at a character.
fn write_string(out: &mut String, text: &str) {
    let mut end = text.len().min(STRING_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if end < 127 {
        out.push(end as u8 as char);
    } else {
        out.push('\x7f');
        for shift in [21, 14, 7, 0] {
            out.push((((end >> shift) & 0x7f) as u8) as char);
        }
    }
    out.push_str(text.get(..end).unwrap_or_default());
}

/// Appends a pair in its durable form, of which a set's is made, in order of name. For texts that are
/// not known to be UTF-8 yet: whole sets are checked at once, which is as good, since every length is
/// written in ASCII. Neither text is longer than [`STRING_BYTES_MAX`].
pub fn write_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for text in [name, value] {
        debug_assert!(text.len() <= STRING_BYTES_MAX);
        if text.len() < 127 {
            out.push(text.len() as u8);
        } else {
            out.push(0x7f);
            out.extend([21, 14, 7, 0].map(|shift| ((text.len() >> shift) & 0x7f) as u8));
        }
        out.extend_from_slice(text);
    }
}

/// Takes the first pair off the durable form of a set: the pair as it is written, and what follows.
pub fn split_pair(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = read_string(text)?;
    let (_, rest) = read_string(rest)?;
    text.split_at_checked(text.len() - rest.len())
}

/// Reads one string behind its length: the string and what follows.
fn read_string(text: &str) -> Option<(&str, &str)> {
    let bytes = text.as_bytes();
    let first = usize::from(*bytes.first()?);
    let (length, start): (usize, usize) = match first {
        0..127 => (first, 1),
        127 => {
            let length = bytes
                .get(1..5)?
                .iter()
                .fold(0, |length, byte| (length << 7) | usize::from(*byte));
            (length, 5)
        }
        _ => return None,
    };
    let end = start.checked_add(length)?;
    Some((text.get(start..end)?, text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_label_is_one_that_a_builder_sets() {
        let long = "x".repeat(200);
        let set = Labels::from_pairs([("b", "1"), ("d", long.as_str()), ("f", "3")]);
        for name in ["a", "b", "c", "d", "e", "f", "g"] {
            for value in ["", "new", long.as_str()] {
                let mut builder = set.to_builder();
                builder.set(name, value);
                let replaced = set.replaced(name, value);
                assert_eq!(replaced, builder.build(), "{name}={value}");
            }
        }
        assert_eq!(Labels::empty().replaced("a", ""), Labels::empty());
    }

    #[test]
    fn what_is_filtered_into_a_buffer_is_what_is_filtered() {
        let set = Labels::from_pairs([("a", "1"), ("b", "2"), ("c", "3")]);
        let mut text = "what was there".to_owned();
        for dropped in ["", "a", "b", "c"] {
            set.write_filtered(&mut text, |name| name != dropped);
            let mut builder = set.to_builder();
            builder.remove(dropped);
            assert_eq!(text, builder.build().as_encoded(), "without {dropped}");
        }
    }

    #[test]
    fn pairs_come_back_in_order_and_last_wins() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("b", "3"), ("c", "")]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "3")]);
        assert_eq!(labels.get("b"), Some("3"));
        assert_eq!(labels.get("bb"), None);
        assert_eq!(labels.len(), 2);
    }

    #[test]
    fn a_pair_alone_is_a_set_of_one() {
        let long = "ü".repeat(300);
        let pairs = [("a", "1"), ("b", long.as_str()), ("näme", "x")];
        let labels = Labels::from_pairs(pairs);
        let texts: Vec<_> = labels.encoded_pairs().collect();
        assert_eq!(texts.concat(), labels.as_encoded());
        for (text, (name, value)) in texts.into_iter().zip(pairs) {
            assert_eq!(decode_pair(text), Some((name, value)));
            assert_eq!(encode_pair(name, value), text);
            assert_eq!(Labels::from_pairs([(name, value)]).as_encoded(), text);
        }
    }

    #[test]
    fn long_and_foreign_strings_survive_the_durable_form() {
        for length in [0, 1, 126, 127, 128, 300, 70_000] {
            let value = "ü".repeat(length) + "x";
            let labels = Labels::from_pairs([("näme", value.as_str()), (METRIC_NAME, "m")]);
            let back = Labels::from_encoded(labels.as_encoded()).expect("own encoding");
            assert_eq!(back, labels);
            assert_eq!(back.get("näme"), Some(value.as_str()));
        }
    }

    #[test]
    fn a_set_is_the_pairs_it_is_written_as() {
        let pairs = [
            ("a", "1".repeat(126)),
            ("b", "ü".repeat(100)),
            ("c", String::new()),
        ];
        let mut builder = Builder::new();
        let mut text = Vec::new();
        for (name, value) in &pairs {
            builder.set_keeping_empty(name, value);
            write_pair(&mut text, name.as_bytes(), value.as_bytes());
        }
        let labels = builder.build();
        assert_eq!(labels.as_encoded().as_bytes(), text);
        let mut rest = labels.as_encoded();
        for (name, value) in &pairs {
            let (pair, after) = split_pair(rest).expect("own encoding");
            assert_eq!(decode_pair(pair), Some((*name, value.as_str())));
            rest = after;
        }
        assert_eq!(split_pair(rest), None);
    }

    #[test]
    fn a_damaged_text_is_refused() {
        let good = Labels::from_pairs([("a", "1"), ("b", "2")]);
        let text = good.as_encoded();
        assert!(Labels::from_encoded(&text[..text.len() - 1]).is_none());
        let swapped = format!("{}{}", &text[4..], &text[..4]);
        assert!(Labels::from_encoded(&swapped).is_none());
        assert!(Labels::from_encoded("\x7f\x7f").is_none());
    }

    #[test]
    fn display_is_prometheus_notation() {
        let labels = Labels::from_pairs([(METRIC_NAME, "up"), ("job", "a\"b")]);
        assert_eq!(labels.to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(Labels::from_pairs([(METRIC_NAME, "up")]).to_string(), "up");
        assert_eq!(Labels::empty().to_string(), "{}");
        assert_eq!(
            Labels::from_pairs([(METRIC_NAME, "a.b"), ("x.y", "1")]).to_string(),
            r#"{__name__="a.b", "x.y"="1"}"#
        );
    }

    #[test]
    fn order_is_by_pairs() {
        let order = |a: &Labels, b: &Labels| a.cmp(b);
        let a = Labels::from_pairs([("a", "1")]);
        let ab = Labels::from_pairs([("a", "1"), ("b", "1")]);
        let a2 = Labels::from_pairs([("a", "2")]);
        let long = Labels::from_pairs([("a", "1".repeat(200))]);
        assert_eq!(order(&a, &ab), Ordering::Less);
        assert_eq!(order(&ab, &a2), Ordering::Less);
        assert_eq!(order(&long, &a2), Ordering::Less);
    }
}
