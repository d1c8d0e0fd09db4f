//! Text put in the place of text.

/// What stands in the place of a range of bytes.
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) text: String,
}

impl Edit {
    /// Text between what is there.
    pub(super) fn insert(at: usize, text: impl Into<String>) -> Self {
        Edit {
            start: at,
            end: at,
            text: text.into(),
        }
    }
}

/// The text with edits that do not overlap; of those in one place the first comes first.
pub(super) fn edited(text: &str, mut edits: Vec<Edit>) -> String {
    edits.sort_by_key(|edit| edit.start);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits {
        out.push_str(text.get(done..edit.start).unwrap_or_default());
        out.push_str(&edit.text);
        done = edit.end;
    }
    out.push_str(text.get(done..).unwrap_or_default());
    out
}
