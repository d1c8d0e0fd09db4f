//! `taffrail test rules`: promtool's unit tests of rules, as they are.

use std::fmt::Write as _;
use std::path::PathBuf;

use tsdb::rules::unit_test;

use super::check_rules::Checked;

/// Runs every file; one that fails does not hide the others.
pub(crate) fn test(files: &[PathBuf]) -> Checked {
    let mut checked = Checked {
        text: String::new(),
        failed: false,
    };
    for path in files {
        let out = &mut checked.text;
        let _ = writeln!(out, "Unit Testing:  {}", path.display());
        let errors = match std::fs::read_to_string(path) {
            Ok(text) => unit_test::run(path, &text),
            Err(error) => vec![format!("{}: {error}", path.display())],
        };
        if errors.is_empty() {
            out.push_str("  SUCCESS\n");
        } else {
            checked.failed = true;
            out.push_str("  FAILED:\n");
            for error in errors {
                let _ = writeln!(out, "{error}");
            }
        }
        out.push('\n');
    }
    checked
}
