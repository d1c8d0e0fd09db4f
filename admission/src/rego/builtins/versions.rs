//! `semver.compare` and `semver.is_valid`, as the OPA in Gatekeeper has them: a `v` may stand before a version, and zeros before a number.

use std::cmp::Ordering;

use regorus::Value;

use super::{Builtin, arguments, text};

pub(super) const BUILTINS: &[Builtin] = &[
    Builtin {
        name: "semver.compare",
        arity: 2,
        run: compare,
    },
    Builtin {
        name: "semver.is_valid",
        arity: 1,
        run: is_valid,
    },
];

fn is_valid(given: &[Value]) -> Result<Value, String> {
    let [of] = arguments(given)?;
    Ok(Value::from(
        text(of).is_ok_and(|of| Version::of(of).is_some()),
    ))
}

fn compare(given: &[Value]) -> Result<Value, String> {
    let [a, b] = arguments(given)?;
    let version = |of| {
        let of = text(of)?;
        Version::of(of).ok_or_else(|| format!("{of:?} is no version such as 1.2.3"))
    };
    Ok(Value::from(match version(a)?.cmp(&version(b)?) {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }))
}

/// A version without what it says of its build, which does not count.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Version<'a> {
    numbers: [i64; 3],
    before: Before<'a>,
}

/// What a version comes before: a later one of the same numbers, or none.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Before<'a> {
    Release(Vec<Part<'a>>),
    Nothing,
}

/// Numbers come before words.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    Number(u64),
    Word(&'a str),
}

impl<'a> Version<'a> {
    fn of(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = match text.split_once('+') {
            Some((text, build)) => (text, Some(build)),
            None => (text, None),
        };
        let (numbers, release) = match text.split_once('-') {
            Some((numbers, release)) => (numbers, Some(release)),
            None => (text, None),
        };
        // Nothing behind the sign is as no sign.
        let [build, release] = [build, release].map(|text| text.filter(|text| !text.is_empty()));
        let is_named = |names: &str| names.split('.').all(is_identifier);
        if !build.is_none_or(is_named) || !release.is_none_or(is_named) {
            return None;
        }
        let is_number = |text: &&str| text.bytes().all(|b| b.is_ascii_digit());
        let mut found = numbers
            .split('.')
            .map(|number| Some(number).filter(is_number)?.parse::<i64>().ok());
        let numbers = [found.next()??, found.next()??, found.next()??];
        let before = match release {
            Some(release) => Before::Release(release.split('.').map(Part::of).collect()),
            None => Before::Nothing,
        };
        found
            .next()
            .is_none()
            .then_some(Version { numbers, before })
    }
}

impl<'a> Part<'a> {
    fn of(text: &'a str) -> Self {
        match text.parse() {
            Ok(number) => Part::Number(number),
            Err(_) => Part::Word(text),
        }
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
