//! Where an expression stands in the text: regorus' spans leave out quotes, and now and then a
//! bracket or a parenthesis.

use regorus::unstable::Expr;

use super::walk::{Child, children};

/// Where an expression begins and ends, quotes and closing parentheses included.
pub(super) fn bounds(text: &str, expr: &Expr) -> (usize, usize) {
    let span = expr.span();
    let (mut start, mut end) = (span.start as usize, span.end as usize);
    if matches!(expr, Expr::String { .. } | Expr::RawString { .. }) {
        return (start.saturating_sub(1), end + 1);
    }
    for child in children(expr) {
        if let Child::Expr(child) = child {
            let (child_start, child_end) = bounds(text, child);
            start = start.min(child_start);
            end = end.max(child_end);
        }
    }
    let brackets = match expr {
        Expr::Array { .. } | Expr::ArrayCompr { .. } => Some(('[', ']')),
        Expr::Set { .. }
        | Expr::Object { .. }
        | Expr::SetCompr { .. }
        | Expr::ObjectCompr { .. } => Some(('{', '}')),
        _ => None,
    };
    // regorus begins some of them after their bracket.
    if let Some((open, close)) = brackets {
        let before = text.get(..start).unwrap_or_default();
        let inside = text.get(start..end).unwrap_or_default();
        if !inside.starts_with(open) && !inside.starts_with("set(") {
            start = before.rfind(open).unwrap_or(start);
        }
        if !inside.ends_with(close) && !inside.starts_with("set(") {
            let after = text.get(end..).unwrap_or_default();
            end += after.find(close).map_or(0, |at| at + 1);
        }
    }
    for _ in 0..64 {
        let (open, close) = depth(text.get(start..end).unwrap_or_default());
        if open == 0 && close == 0 {
            break;
        }
        if close > 0 {
            let Some(at) = text.get(..start).and_then(|text| text.rfind('(')) else {
                break;
            };
            start = at;
        } else {
            let rest = text.get(end..).unwrap_or_default();
            let Some(at) = rest.find(')') else { break };
            end += at + 1;
        }
    }
    (start, end)
}

/// How many parentheses are left open, and how many closed that were not open; strings aside.
fn depth(text: &str) -> (usize, usize) {
    let (mut open, mut close) = (0_usize, 0_usize);
    let mut quotes = Quotes::default();
    for c in text.chars().filter(|c| !quotes.take(*c)) {
        match c {
            '(' => open += 1,
            ')' => match open.checked_sub(1) {
                Some(less) => open = less,
                None => close += 1,
            },
            _ => {}
        }
    }
    (open, close)
}

/// The text without its comments, in one line.
pub(super) fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut quotes = Quotes::default();
    let mut is_comment = false;
    for c in text.chars() {
        if is_comment && c != '\n' {
            continue;
        }
        is_comment = false;
        if quotes.take(c) {
            out.push(c);
            continue;
        }
        match c {
            '#' => is_comment = true,
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Where strings begin and end, as characters go by.
#[derive(Default)]
struct Quotes {
    open: Option<char>,
    is_escaped: bool,
}

impl Quotes {
    /// Takes the next character; whether it is one of a string, its quotes included.
    fn take(&mut self, c: char) -> bool {
        match self.open {
            Some('"') if self.is_escaped => self.is_escaped = false,
            Some('"') if c == '\\' => self.is_escaped = true,
            Some(open) if c == open => self.open = None,
            Some(_) => {}
            None if matches!(c, '"' | '`') => self.open = Some(c),
            None => return false,
        }
        true
    }
}
