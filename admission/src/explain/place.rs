//! Where the Rego of a template stands in its file.
//!
//! A template's Rego is a text in YAML, and its lines are those of the file where it is written as a block, each as deep as the first.
//! Where the file holds these lines just once, its own line is told; where it does not, as in JSON, the line
//! is that of the Rego, and the place says so.

use crate::gatekeeper::template::Code;

/// The places of a template's modules.
pub(super) struct Places(Vec<InFile>);

struct InFile {
    module: String,
    file: String,
    /// The line of the file before the module's first.
    before: u32,
}

impl Places {
    /// Of the template that was read at `place`, which is a file or a document of one.
    pub(super) fn of(place: &str, code: &Code) -> Self {
        let path = place.rsplit_once('#').map_or(place, |(path, _)| path);
        let (path, text) = match std::fs::read_to_string(place) {
            Ok(text) => (place, text),
            Err(_) => (path, std::fs::read_to_string(path).unwrap_or_default()),
        };
        let place = |module: &crate::rego::Text| match found(&text, &module.rego) {
            Some(before) => InFile {
                module: module.name.clone(),
                file: path.to_string(),
                before,
            },
            None => InFile {
                module: module.name.clone(),
                file: format!("{path} (Rego of {})", module.name),
                before: 0,
            },
        };
        Places(code.modules().map(place).collect())
    }

    /// The file and the line of a line of a module.
    pub(super) fn of_line(&self, module: &str, line: u32) -> (String, u32) {
        match self.0.iter().find(|place| place.module == module) {
            Some(place) => (place.file.clone(), place.before + line),
            None => (module.to_string(), line),
        }
    }
}

/// How many lines of a file stand before a text in it, where it stands there once.
fn found(file: &str, text: &str) -> Option<u32> {
    let wanted: Vec<_> = text.trim_end().lines().map(str::trim_end).collect();
    let first = wanted.iter().position(|line| !line.is_empty())?;
    let lines: Vec<_> = file.lines().map(str::trim_end).collect();
    let is_here = |lines: &[&str]| {
        let indent = lines.get(first).zip(wanted.get(first));
        let Some(indent) = indent.and_then(|(line, wanted)| line.strip_suffix(wanted)) else {
            return false;
        };
        let same = |(line, wanted): (&&str, &&str)| {
            line.strip_prefix(indent) == Some(wanted) || (line.is_empty() && wanted.is_empty())
        };
        indent.trim().is_empty() && lines.iter().zip(&wanted).all(same)
    };
    let mut places = lines.windows(wanted.len()).enumerate();
    let mut places = places.by_ref().filter(|(_, lines)| is_here(lines));
    let (at, _) = places.next()?;
    match places.next() {
        None => u32::try_from(at).ok(),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_where_it_stands_once() {
        let rego = "package t\n\nviolation[x] {\n  x\n}\n";
        let block =
            "spec:\n  rego: |\n    package t\n\n    violation[x] {\n      x\n    }\nstatus: {}\n";
        assert_eq!(found(block, rego), Some(2));
        assert_eq!(found(&format!("{block}{block}"), rego), None);
        assert_eq!(found("rego: \"package t\\n\"", rego), None);
        assert_eq!(found("", ""), None);
    }
}
