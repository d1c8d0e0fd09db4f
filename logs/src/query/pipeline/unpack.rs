//! `| unpack`: the inverse of promtail's `pack` stage. The text fields of a flat object become
//! labels, and `_entry` becomes the line again.

use super::json::{JSON_PARSER_ERROR, JsonScanner};
use super::{Wanted, WorkingLabels, sanitize_key};

/// The field that holds the line.
const ENTRY: &str = "_entry";

/// Takes the fields; gives the line where the object holds one.
pub(super) fn process(line: &str, labels: &mut WorkingLabels, wanted: &Wanted) -> Option<String> {
    let mut entry = None;
    let mut name = String::new();
    let mut scanner = JsonScanner::new(line);
    let result = scanner.object(|scanner, key| {
        if scanner.peek() != Some(b'"') {
            return scanner.skip_value(0);
        }
        let value = scanner.string()?;
        if key == ENTRY {
            entry = Some(value.into_owned());
        } else {
            name.clear();
            sanitize_key(&key, &mut name);
            labels.extract(&name, &value, wanted);
        }
        Ok(())
    });
    if let Err(reason) = result {
        labels.set_error(JSON_PARSER_ERROR, reason);
        return None;
    }
    entry
}
