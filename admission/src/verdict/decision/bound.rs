//! What a record may hold at the most: users, names and messages are as long as a client makes them.

use std::io::{self, Write};

use super::Decision;

/// No text of a record is longer.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// No list of a record is longer.
const ITEMS_MAX: usize = 64;

/// What redacted paths may take of a line, with their names and brackets.
pub(super) const REDACTED_BYTES: usize = 8 << 10;

/// What the paths themselves may take.
const PATHS_BYTES: usize = REDACTED_BYTES - 512;

/// Lets go of one member; false where it was empty already.
type Shed = fn(&mut Decision) -> bool;

/// What is let go of where the record alone is longer than a line, the least needed first.
const SHED: [(&str, Shed); 6] = [
    ("times", |it| !std::mem::take(&mut it.times).is_empty()),
    ("namespaceLabels", |it| {
        !std::mem::take(&mut it.namespace_labels).is_empty()
    }),
    ("groups", |it| !std::mem::take(&mut it.groups).is_empty()),
    ("warnings", |it| {
        !std::mem::take(&mut it.warnings).is_empty()
    }),
    ("data", |it| !std::mem::take(&mut it.data).is_empty()),
    ("rules", |it| {
        let is_long = it.rules.len() > 1;
        it.rules.truncate(1);
        is_long
    }),
];

/// Counts what is written.
#[derive(Default)]
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How long a record is as JSON.
fn length(of: &Decision) -> usize {
    let mut counter = Counter::default();
    serde_json::to_writer(&mut counter, of).map_or(0, |()| counter.0)
}

impl Decision {
    /// How long the record is without the request, after it was made to fit.
    pub(super) fn shed(&mut self, bytes_max: usize) -> usize {
        let mut bytes = length(self);
        for (name, shed) in SHED {
            if bytes <= bytes_max {
                break;
            }
            if shed(self) && !self.cut.iter().any(|known| known == name) {
                self.cut.push(name.to_string());
            }
            bytes = length(self);
        }
        bytes
    }

    /// What a client may make as long as it likes is cut.
    pub(super) fn bound(&mut self) {
        let mut cut = Vec::new();
        {
            let mut text = |name: &str, text: &mut String| {
                if cut_text(text) && !cut.iter().any(|known| known == name) {
                    cut.push(name.to_string());
                }
            };
            for (name, value) in [
                ("uid", &mut self.uid),
                ("user", &mut self.user),
                ("kind", &mut self.kind),
                ("resource", &mut self.resource),
                ("namespace", &mut self.namespace),
                ("name", &mut self.name),
                ("subresource", &mut self.subresource),
            ] {
                text(name, value);
            }
            if let Some(message) = &mut self.message {
                text("message", message);
            }
            for warning in &mut self.warnings {
                text("warnings", warning);
            }
            for group in &mut self.groups {
                text("groups", group);
            }
            for hit in &mut self.rules {
                text("rules", &mut hit.message);
                hit.paths.iter_mut().for_each(|path| text("rules", path));
            }
        }
        let mut list = |name: &str, is_cut: bool| {
            if is_cut && !cut.iter().any(|known| known == name) {
                cut.push(name.to_string());
            }
        };
        // The slowest are those somebody looks for.
        if self.times.len() > ITEMS_MAX {
            self.times
                .sort_by_key(|time| std::cmp::Reverse(time.microseconds));
        }
        for hit in &mut self.rules {
            list("rules", cut_items(&mut hit.paths));
        }
        list("rules", cut_items(&mut self.rules));
        list("groups", cut_items(&mut self.groups));
        list("times", cut_items(&mut self.times));
        if self.namespace_labels.len() > ITEMS_MAX {
            self.namespace_labels.clear();
            list("namespaceLabels", true);
        }
        self.cut = cut;
    }
}

/// True where something was cut.
fn cut_text(text: &mut String) -> bool {
    if text.len() <= TEXT_BYTES_MAX {
        return false;
    }
    let mut end = TEXT_BYTES_MAX;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text.push('…');
    true
}

fn cut_items<T>(items: &mut Vec<T>) -> bool {
    let is_cut = items.len() > ITEMS_MAX;
    items.truncate(ITEMS_MAX);
    is_cut
}

/// Paths are as long as the names a client gives; the first of them tell enough.
pub(super) fn cut_paths(paths: &mut Vec<String>) {
    let mut left = PATHS_BYTES;
    let mut kept = 0;
    for path in paths.iter() {
        // A path may be escaped to twice its length.
        let bytes = path.len().saturating_mul(2) + 3;
        if bytes > left {
            break;
        }
        left -= bytes;
        kept += 1;
    }
    if kept < paths.len() {
        let more = paths.len() - kept;
        paths.truncate(kept);
        paths.push(format!("and {more} more places"));
    }
}
