//! Levels, versions and policies: what is asked of a namespace's pods.
//!
//! The words and their rules are those of the Pod Security admission controller: a namespace's
//! labels choose a level and a version for each of three modes (enforce, audit, warn), and what
//! they leave open comes from the configured defaults. What a level asks for is not here: that
//! is Rego, in `policies/pod_security`.
//!
//! Reading labels never fails. What cannot be read is reported beside the policy, and the
//! policy is then the one that errs on the safe side: a broken enforce level means restricted,
//! a broken version means the latest, a broken audit or warn level means nothing is asked.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The newest minor version the embedded policies know; later ones are judged by it.
pub const LATEST_MINOR: u32 = 37;

/// How much is asked of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Level {
    /// Nothing.
    Privileged,
    /// That it does not reach for the node.
    Baseline,
    /// That it also follows current hardening practice.
    Restricted,
}

impl Level {
    /// The level as labels and messages spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A level that is none of the three.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of privileged, baseline, restricted")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        [Level::Privileged, Level::Baseline, Level::Restricted]
            .into_iter()
            .find(|level| level.as_str() == text)
            .ok_or(UnknownLevel)
    }
}

impl TryFrom<String> for Level {
    type Error = UnknownLevel;

    fn try_from(text: String) -> Result<Self, UnknownLevel> {
        text.parse()
    }
}

/// Which version of a level is asked for: `latest` or `v1.MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Version {
    /// The newest one known, now and after an upgrade.
    Latest,
    /// A pinned one.
    Minor(u32),
}

impl Version {
    /// The minor version a pod is judged by: the latest one known at most.
    pub fn judged_as(self) -> u32 {
        match self {
            Version::Latest => LATEST_MINOR,
            Version::Minor(minor) => minor.min(LATEST_MINOR),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Latest => f.write_str("latest"),
            Version::Minor(minor) => write!(f, "v1.{minor}"),
        }
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

/// A version that is neither `latest` nor `v1.x`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be \"latest\" or \"v1.x\"")]
pub struct UnknownVersion;

impl FromStr for Version {
    type Err = UnknownVersion;

    fn from_str(text: &str) -> Result<Self, UnknownVersion> {
        if text == "latest" {
            return Ok(Version::Latest);
        }
        let digits = text.strip_prefix("v1.").ok_or(UnknownVersion)?;
        let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
            && (digits == "0" || !digits.starts_with('0'));
        if !canonical {
            return Err(UnknownVersion);
        }
        digits
            .parse()
            .map(Version::Minor)
            .map_err(|_| UnknownVersion)
    }
}

impl TryFrom<String> for Version {
    type Error = UnknownVersion;

    fn try_from(text: String) -> Result<Self, UnknownVersion> {
        text.parse()
    }
}

/// A level at a version, written `LEVEL:VERSION`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LevelVersion {
    /// How much is asked.
    pub level: Level,
    /// By which version of it.
    pub version: Version,
}

impl LevelVersion {
    /// A level at the latest version.
    pub fn latest(level: Level) -> Self {
        LevelVersion {
            level,
            version: Version::Latest,
        }
    }
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}

/// What is asked in each of the three modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// A pod that violates this is refused.
    pub enforce: LevelVersion,
    /// A violation of this is written into the API server's audit log.
    pub audit: LevelVersion,
    /// A violation of this is told to the user as a warning.
    pub warn: LevelVersion,
}

/// A label whose value cannot be read, worded as the API server words an invalid field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metadata.labels[{label}]: Invalid value: \"{value}\": {problem}")]
pub struct InvalidLabel {
    /// The label's key.
    pub label: String,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub problem: String,
}

const LABEL_PREFIX: &str = "pod-security.kubernetes.io/";

impl Policy {
    /// The policy a namespace's labels choose, with `defaults` for what they leave open, and
    /// the labels that could not be read.
    pub fn from_labels(
        labels: &BTreeMap<String, String>,
        defaults: Policy,
    ) -> (Policy, Vec<InvalidLabel>) {
        let mut invalid = Vec::new();
        let mut mode = |name: &str, default: LevelVersion, on_error: Level| LevelVersion {
            level: read(labels, name, &mut invalid).or(default.level, on_error),
            version: read(labels, &format!("{name}-version"), &mut invalid)
                .or(default.version, Version::Latest),
        };
        let policy = Policy {
            enforce: mode("enforce", defaults.enforce, Level::Restricted),
            audit: mode("audit", defaults.audit, Level::Privileged),
            warn: mode("warn", defaults.warn, Level::Privileged),
        };
        (policy, invalid)
    }

    /// Whether labels choose the level or the version of a mode.
    pub(crate) fn is_said(labels: &BTreeMap<String, String>, mode: &str) -> bool {
        let has = |suffix| labels.contains_key(&format!("{LABEL_PREFIX}{mode}{suffix}"));
        has("") || has("-version")
    }

    /// Whether nothing is asked in any mode.
    pub fn asks_nothing(&self) -> bool {
        self.enforce.level == Level::Privileged
            && self.audit.level == Level::Privileged
            && self.warn.level == Level::Privileged
    }
}

enum Label<T> {
    Absent,
    Broken,
    Says(T),
}

impl<T> Label<T> {
    fn or(self, absent: T, broken: T) -> T {
        match self {
            Label::Absent => absent,
            Label::Broken => broken,
            Label::Says(value) => value,
        }
    }
}

fn read<T>(
    labels: &BTreeMap<String, String>,
    name: &str,
    invalid: &mut Vec<InvalidLabel>,
) -> Label<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let label = format!("{LABEL_PREFIX}{name}");
    let Some(value) = labels.get(&label) else {
        return Label::Absent;
    };
    match value.parse() {
        Ok(parsed) => Label::Says(parsed),
        Err(problem) => {
            invalid.push(InvalidLabel {
                value: value.clone(),
                problem: T::Err::to_string(&problem),
                label,
            });
            Label::Broken
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(level: Level, version: Version) -> LevelVersion {
        LevelVersion { level, version }
    }

    const DEFAULTS: Policy = Policy {
        enforce: LevelVersion {
            level: Level::Baseline,
            version: Version::Latest,
        },
        audit: LevelVersion {
            level: Level::Restricted,
            version: Version::Minor(30),
        },
        warn: LevelVersion {
            level: Level::Baseline,
            version: Version::Latest,
        },
    };

    fn check(labels: &[(&str, &str)], expected: Policy, problems: usize) {
        let labels = labels
            .iter()
            .map(|(name, value)| (format!("{LABEL_PREFIX}{name}"), (*value).to_string()))
            .collect();
        let (policy, invalid) = Policy::from_labels(&labels, DEFAULTS);
        assert_eq!(policy, expected, "{labels:?}");
        assert_eq!(invalid.len(), problems, "{invalid:?}");
    }

    #[test]
    fn labels_choose_and_defaults_fill() {
        check(&[], DEFAULTS, 0);
        check(
            &[("enforce", "restricted"), ("enforce-version", "v1.25")],
            Policy {
                enforce: at(Level::Restricted, Version::Minor(25)),
                ..DEFAULTS
            },
            0,
        );
        check(
            &[("audit", "privileged")],
            Policy {
                audit: at(Level::Privileged, Version::Minor(30)),
                ..DEFAULTS
            },
            0,
        );
    }

    #[test]
    fn what_cannot_be_read_errs_on_the_safe_side() {
        check(
            &[
                ("enforce", "Baseline"),
                ("enforce-version", "1.25"),
                ("audit", ""),
                ("warn", "none"),
                ("warn-version", "v1.01"),
            ],
            Policy {
                enforce: at(Level::Restricted, Version::Latest),
                audit: at(Level::Privileged, Version::Minor(30)),
                warn: at(Level::Privileged, Version::Latest),
            },
            5,
        );
    }

    #[test]
    fn later_versions_are_judged_as_the_newest_known() {
        for (text, judged) in [
            ("v1.0", 0),
            ("v1.37", 37),
            ("v1.99", 37),
            ("latest", LATEST_MINOR),
        ] {
            let version: Version = text.parse().unwrap();
            assert_eq!(version.judged_as(), judged, "{text}");
            assert_eq!(version.to_string(), text);
        }
        for text in [
            "",
            "v1",
            "v2.0",
            "v1.",
            "v1.-1",
            "v1.007",
            "V1.2",
            "v1.99999999999",
        ] {
            assert_eq!(text.parse::<Version>(), Err(UnknownVersion), "{text}");
        }
    }
}
