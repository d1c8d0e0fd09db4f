//! The labels anyone will look at, so that parsers leave the others in the line.

/// What a parser appends to a name that is taken.
pub(super) const EXTRACTED: &str = "_extracted";

/// Label names; all of them where `None`.
pub(in crate::query) type Wanted = Option<Names>;

/// A handful of names. A query names few labels, and a list of few is searched faster than any
/// table: most names differ in length already.
#[derive(Clone, Debug, Default)]
pub(in crate::query) struct Names(Vec<String>);

impl Names {
    /// Adds a label that is read, and the name a parser finds it under where the name is taken.
    pub(in crate::query) fn add(&mut self, name: &str) {
        let plain = name.strip_suffix(EXTRACTED);
        for name in plain.into_iter().chain([name]) {
            if !self.contains(name) {
                self.0.push(name.to_owned());
            }
        }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|known| known == name)
    }
}

impl<'n> FromIterator<&'n String> for Names {
    fn from_iter<I: IntoIterator<Item = &'n String>>(names: I) -> Self {
        let mut wanted = Self::default();
        for name in names {
            wanted.add(name);
        }
        wanted
    }
}
