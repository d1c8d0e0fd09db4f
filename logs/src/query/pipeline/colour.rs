//! `| decolorize`: takes terminal control sequences out of a line.

/// The line without its sequences, or `None` where it has none.
pub(super) fn decolorize(line: &str) -> Option<String> {
    if !line.contains('\x1b') {
        return None;
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        out.push_str(before);
        let length = sequence_length(after).unwrap_or_else(|| {
            out.push('\x1b');
            0
        });
        rest = after.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    Some(out)
}

/// The length of a control sequence behind its escape character: `[`, parameters, one letter.
fn sequence_length(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix('[')?;
    let end = parameters.find(|c: char| !matches!(c, '\x20'..='\x3f'))?;
    let last = parameters.get(end..)?.chars().next()?;
    matches!(last, '\x40'..='\x7e').then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_go_and_text_stays() {
        for (line, plain) in [
            ("plain", None),
            ("\x1b[31mred\x1b[0m", Some("red")),
            ("a\x1b[1;32mb\x1b[mc", Some("abc")),
            ("lone \x1b escape", Some("lone \x1b escape")),
        ] {
            assert_eq!(decolorize(line).as_deref(), plain, "{line:?}");
        }
    }
}
