//! What is kept for how long: the keys of `metrics` that say so.

use model::matcher::Matcher;
use serde::{Deserialize, Deserializer};
use storage::store::RetentionRule;
use tsdb::query::parse_series_selector;
use tsdb::rollup::{Resolution, RollupOptions};

use super::file::{Retention, parse_duration};

/// A number of bytes: `500MB`, `2GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

/// Powers of 1000 and of 1024.
const UNITS: [(&str, u64); 9] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size = UNITS.iter().find_map(|(unit, bytes)| {
            let number: u64 = text.strip_suffix(unit)?.trim().parse().ok()?;
            number.checked_mul(*bytes).filter(|bytes| *bytes > 0)
        });
        size.map(Self).ok_or_else(|| {
            let reason = format!("{text:?} must be a size above 0, such as `500MB` or `2GiB`");
            serde::de::Error::custom(reason)
        })
    }
}

/// Series that are kept for less than the others.
#[derive(Clone, Debug)]
pub(crate) struct RetentionRuleSection(pub(crate) RetentionRule);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    r#match: String,
    keep: Retention,
}

impl<'de> Deserialize<'de> for RetentionRuleSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = RuleText::deserialize(deserializer)?;
        let matchers = parse_series_selector(&text.r#match).map_err(|error| {
            serde::de::Error::custom(format!("match {:?}: {error}", text.r#match))
        })?;
        let keep_ms = text.keep.millis().ok_or_else(|| {
            serde::de::Error::custom("keep must be a duration; leave the rule out to keep for ever")
        })?;
        if matchers.iter().all(Matcher::matches_empty) {
            let reason = format!("match {:?}: it must name at least one label", text.r#match);
            return Err(serde::de::Error::custom(reason));
        }
        Ok(Self(RetentionRule { matchers, keep_ms }))
    }
}

/// A roll-up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DownsamplingSection(pub(crate) RollupOptions);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RollupText {
    resolution: String,
    after: String,
    #[serde(default)]
    retention: Option<Retention>,
}

/// What is younger may still be merged, and would be rolled up again and again.
const AFTER_MS_MIN: i64 = 2 * 24 * 3_600_000;

impl<'de> Deserialize<'de> for DownsamplingSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let custom = serde::de::Error::custom::<String>;
        let text = RollupText::deserialize(deserializer)?;
        let all = [Resolution::FiveMinutes, Resolution::Hour];
        let resolution = all.into_iter().find(|one| one.as_str() == text.resolution);
        let resolution = resolution.ok_or_else(|| {
            let given = &text.resolution;
            custom(format!("resolution {given:?} must be `5m` or `1h`"))
        })?;
        let after_ms = parse_duration(&text.after).map_err(custom)?;
        if after_ms < AFTER_MS_MIN {
            return Err(custom(format!(
                "after {:?} must be at least 2d",
                text.after
            )));
        }
        Ok(Self(RollupOptions {
            resolution,
            after_ms,
            retention_ms: text.retention.and_then(Retention::millis),
        }))
    }
}
