//! Go's format verbs, for integers, floats and strings.
//!
//! From the documentation of Go's package `fmt`: flags, width, precision, argument indexes, and
//! what is printed where verb and argument do not go together, which is never an error.

use std::fmt::Write as _;

use super::format::quote;

/// An argument, of the types OPA hands to Go.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Argument {
    /// An `int`.
    Integer(i64),
    /// A `*big.Int`, in decimal.
    Big(String),
    /// A `float64`.
    Float(f64),
    /// A `string`.
    Text(String),
}

impl Argument {
    fn type_name(&self) -> &'static str {
        match self {
            Argument::Integer(_) => "int",
            Argument::Big(_) => "*big.Int",
            Argument::Float(_) => "float64",
            Argument::Text(_) => "string",
        }
    }

    /// As `%v` prints it.
    pub(super) fn plain(&self) -> String {
        Spec::default().verb('v', self)
    }
}

/// What stands between the percent sign and the verb.
#[derive(Debug, Clone, Default)]
struct Spec {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// No width and no precision is larger; Go has the same bound.
const WIDTH_MAX: usize = 1_000_000;

/// Formats; an error where the text would be longer than `bytes_max`.
pub(super) fn sprintf(
    pattern: &str,
    arguments: &[Argument],
    bytes_max: usize,
) -> Result<String, String> {
    let mut printer = Printer {
        rest: pattern,
        arguments,
        next: 0,
        reordered: false,
        out: String::new(),
    };
    while let Some(at) = printer.rest.find('%') {
        let (before, rest) = printer.rest.split_at(at);
        printer.out.push_str(before);
        printer.rest = rest.get(1..).unwrap_or_default();
        printer.directive();
        if printer.out.len() > bytes_max {
            return Err(format!("the text is longer than {bytes_max} bytes"));
        }
    }
    printer.out.push_str(printer.rest);
    if !printer.reordered && printer.next < arguments.len() {
        printer.extra();
    }
    if printer.out.len() > bytes_max {
        return Err(format!("the text is longer than {bytes_max} bytes"));
    }
    Ok(printer.out)
}

struct Printer<'a> {
    rest: &'a str,
    arguments: &'a [Argument],
    next: usize,
    reordered: bool,
    out: String,
}

impl Printer<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or_default();
        Some(c)
    }

    fn directive(&mut self) {
        let mut spec = Spec::default();
        loop {
            match self.peek() {
                Some('+') => spec.plus = true,
                Some('-') => spec.minus = true,
                Some('#') => spec.sharp = true,
                Some(' ') => spec.space = true,
                Some('0') => spec.zero = true,
                _ => break,
            }
            self.take();
        }
        self.reordered = false;
        let mut bad_index = !self.index();
        if self.peek() == Some('*') {
            self.take();
            match self.integer_argument() {
                Some(width) if width < 0 => {
                    spec.minus = true;
                    spec.zero = false;
                    spec.width = usize::try_from(width.unsigned_abs()).ok();
                }
                Some(width) => spec.width = usize::try_from(width).ok(),
                None => self.out.push_str("%!(BADWIDTH)"),
            }
            bad_index |= !self.index();
        } else {
            spec.width = self.number();
        }
        if self.peek() == Some('.') {
            self.take();
            bad_index |= !self.index();
            if self.peek() == Some('*') {
                self.take();
                match self.integer_argument() {
                    Some(precision) if precision >= 0 => {
                        spec.precision = usize::try_from(precision).ok();
                    }
                    Some(_) => {}
                    None => self.out.push_str("%!(BADPREC)"),
                }
                bad_index |= !self.index();
            } else {
                spec.precision = Some(self.number().unwrap_or(0));
            }
        }
        bad_index |= !self.index();
        let Some(verb) = self.take() else {
            self.out.push_str("%!(NOVERB)");
            return;
        };
        if verb == '%' {
            self.out.push('%');
        } else if bad_index {
            let _ = write!(self.out, "%!{verb}(BADINDEX)");
        } else if let Some(argument) = self.arguments.get(self.next) {
            self.next += 1;
            let text = spec.verb(verb, argument);
            self.out.push_str(&text);
        } else {
            let _ = write!(self.out, "%!{verb}(MISSING)");
        }
    }

    /// An explicit argument index, `[3]`. False where it is there and no good.
    fn index(&mut self) -> bool {
        if self.peek() != Some('[') {
            return true;
        }
        self.reordered = true;
        let Some((inside, rest)) = self.rest.split_once(']') else {
            self.take();
            return false;
        };
        self.rest = rest;
        match inside
            .get(1..)
            .and_then(|digits| digits.parse::<usize>().ok())
        {
            Some(index) if index >= 1 && index <= self.arguments.len() => {
                self.next = index - 1;
                true
            }
            _ => false,
        }
    }

    fn number(&mut self) -> Option<usize> {
        let digits: String = self.rest.chars().take_while(char::is_ascii_digit).collect();
        self.rest = self.rest.get(digits.len()..).unwrap_or_default();
        digits.parse().ok().filter(|number| *number <= WIDTH_MAX)
    }

    fn integer_argument(&mut self) -> Option<i64> {
        let argument = self.arguments.get(self.next)?;
        self.next += 1;
        match argument {
            Argument::Integer(number) if number.unsigned_abs() <= WIDTH_MAX as u64 => Some(*number),
            _ => None,
        }
    }

    fn extra(&mut self) {
        let extra: Vec<_> = self
            .arguments
            .iter()
            .skip(self.next)
            .map(|argument| format!("{}={}", argument.type_name(), argument.plain()))
            .collect();
        let _ = write!(self.out, "%!(EXTRA {})", extra.join(", "));
    }
}

impl Spec {
    fn verb(&self, verb: char, argument: &Argument) -> String {
        if verb == 'T' {
            return self.text(argument.type_name());
        }
        let said = match argument {
            Argument::Integer(number) => self.integer(verb, *number),
            Argument::Big(digits) => match verb {
                'd' | 'v' | 's' => Some(self.number(digits, true)),
                _ => None,
            },
            Argument::Float(number) => self.float(verb, *number),
            Argument::Text(text) => self.string(verb, text),
        };
        said.unwrap_or_else(|| {
            format!(
                "%!{verb}({}={})",
                argument.type_name(),
                self.verb('v', argument)
            )
        })
    }

    fn integer(&self, verb: char, number: i64) -> Option<String> {
        let magnitude = number.unsigned_abs();
        let character = || {
            u32::try_from(number)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or('\u{fffd}')
        };
        let digits = match verb {
            'd' | 'v' => magnitude.to_string(),
            'b' => format!("{}{magnitude:b}", if self.sharp { "0b" } else { "" }),
            'o' => format!("{}{magnitude:o}", if self.sharp { "0" } else { "" }),
            'O' => format!("0o{magnitude:o}"),
            'x' => format!("{}{magnitude:x}", if self.sharp { "0x" } else { "" }),
            'X' => format!("{}{magnitude:X}", if self.sharp { "0X" } else { "" }),
            'c' => return Some(self.text(&character().to_string())),
            'q' => return Some(self.text(&format!("'{}'", character()))),
            'U' => return Some(self.text(&format!("U+{magnitude:04X}"))),
            _ => return None,
        };
        let digits = match self.precision {
            Some(precision) => format!("{digits:0>precision$}"),
            None => digits,
        };
        let spec = Spec {
            plus: self.plus && verb != 'v',
            zero: self.zero && self.precision.is_none(),
            ..self.clone()
        };
        let sign = if number < 0 { "-" } else { "" };
        Some(spec.number(&format!("{sign}{digits}"), true))
    }

    fn float(&self, verb: char, number: f64) -> Option<String> {
        let text = match verb {
            'e' | 'E' => exponent(number, Some(self.precision.unwrap_or(6))),
            'f' | 'F' => format!("{number:.*}", self.precision.unwrap_or(6)),
            'g' | 'G' | 'v' => general(number, self.precision),
            _ => return None,
        };
        let text = if verb.is_ascii_uppercase() {
            text.to_uppercase()
        } else {
            text
        };
        let spec = Spec {
            plus: self.plus && verb != 'v',
            ..self.clone()
        };
        Some(spec.number(&text, number.is_finite()))
    }

    fn string(&self, verb: char, text: &str) -> Option<String> {
        match verb {
            'v' if self.sharp => Some(self.quoted(text)),
            's' | 'v' => Some(self.text(self.cut(text))),
            'q' if self.sharp && !text.contains('`') && !text.contains(char::is_control) => {
                Some(self.text(&format!("`{}`", self.cut(text))))
            }
            'q' => Some(self.quoted(self.cut(text))),
            'x' | 'X' => {
                let mut hex = String::new();
                for byte in text.bytes() {
                    let _ = match verb {
                        'x' => write!(hex, "{byte:02x}"),
                        _ => write!(hex, "{byte:02X}"),
                    };
                }
                Some(self.text(&hex))
            }
            _ => None,
        }
    }

    fn cut<'a>(&self, text: &'a str) -> &'a str {
        let end = self
            .precision
            .and_then(|precision| text.char_indices().nth(precision))
            .map_or(text.len(), |(end, _)| end);
        text.get(..end).unwrap_or(text)
    }

    fn quoted(&self, text: &str) -> String {
        let mut quoted = String::new();
        quote(text, &mut quoted);
        self.text(&quoted)
    }

    /// Puts a sign before a number and fills it up to the width.
    fn number(&self, text: &str, zeros: bool) -> String {
        let sign = match text.starts_with('-') {
            false if self.plus => "+",
            false if self.space => " ",
            _ => "",
        };
        let signed = format!("{sign}{text}");
        let missing = self
            .width
            .unwrap_or(0)
            .saturating_sub(signed.chars().count());
        if self.zero && zeros && !self.minus && missing > 0 {
            let digits = signed.trim_start_matches(['+', '-', ' ']);
            let sign = signed.strip_suffix(digits).unwrap_or_default();
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        self.text(&signed)
    }

    /// Fills a text up to the width.
    fn text(&self, text: &str) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text.to_string();
        }
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        let fill = if self.zero { "0" } else { " " };
        format!("{}{text}", fill.repeat(missing))
    }
}

/// `d.dddde±dd`; as few digits as tell the number apart where no precision is given.
fn exponent(number: f64, precision: Option<usize>) -> String {
    let text = match precision {
        Some(precision) => format!("{number:.precision$e}"),
        None => format!("{number:e}"),
    };
    let Some((mantissa, power)) = text.split_once('e') else {
        return go_name(number);
    };
    let (sign, digits) = match power.strip_prefix('-') {
        Some(digits) => ('-', digits),
        None => ('+', power),
    };
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// The shorter of `%e` and `%f`, as `%g` has it.
fn general(number: f64, precision: Option<usize>) -> String {
    if !number.is_finite() {
        return go_name(number);
    }
    let precision = precision.map(|precision| precision.max(1));
    let scientific = exponent(number, precision.map(|precision| precision - 1));
    let (mantissa, power) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let power: i32 = power.trim_start_matches('+').parse().unwrap_or(0);
    let significant = mantissa.chars().filter(char::is_ascii_digit).count();
    let limit = match precision {
        Some(precision) => i32::try_from(precision.max(1)).unwrap_or(i32::MAX),
        None => 6,
    };
    let trim = |text: &str| {
        if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.').to_string()
        } else {
            text.to_string()
        }
    };
    if power < -4 || power >= limit {
        let mantissa = trim(mantissa);
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", power.unsigned_abs());
    }
    let decimals = i64::try_from(significant).unwrap_or(0) - 1 - i64::from(power);
    trim(&format!(
        "{number:.*}",
        usize::try_from(decimals.max(0)).unwrap_or(0)
    ))
}

fn go_name(number: f64) -> String {
    match number {
        number if number.is_nan() => "NaN".to_string(),
        number if number > 0.0 => "+Inf".to_string(),
        _ => "-Inf".to_string(),
    }
}
