//! `metrics.tier`: the bucket that old parts move to.
//!
//! What is written is checked whole, without asking the bucket: one that is away must not prevent a
//! start. Secrets come from files or from the environment, are never in the configuration itself, and
//! no `Debug` shows them.

use std::fmt;
use std::path::{Path, PathBuf};

use model::time::parse_duration;
use serde::Deserialize;

/// The section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TierSection {
    /// `s3://BUCKET/PREFIX`, or `file:///FOLDER`; no tier without it.
    url: Option<String>,
    /// Where the server is, such as `https://minio.example:9000`; Amazon's where it is not said.
    endpoint: Option<String>,
    /// The bucket's region.
    region: Option<String>,
    /// A file with the access key's id; `AWS_ACCESS_KEY_ID` where it is not said.
    access_key_id_file: Option<PathBuf>,
    /// A file with the secret key; `AWS_SECRET_ACCESS_KEY` where it is not said.
    secret_access_key_file: Option<PathBuf>,
    /// Partitions that ended this long ago move.
    after: Option<String>,
    /// What the cache of remote ranges may hold.
    cache: Option<String>,
}

/// A tier, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TierConfig {
    /// The folder's URL.
    pub(crate) url: String,
    /// What is behind it.
    pub(crate) place: Place,
    /// Partitions that ended this long ago move.
    pub(crate) after_ms: i64,
    /// What the cache of remote ranges may hold.
    pub(crate) cache_bytes_max: usize,
}

/// What is behind a tier's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder of this machine, from the root on, without the first slash.
    Folder(String),
    /// A folder of a bucket.
    S3 {
        /// The bucket's name.
        bucket: String,
        /// The folder's key.
        prefix: String,
        /// The server, if it is not Amazon's.
        endpoint: Option<String>,
        /// The bucket's region.
        region: Option<String>,
        /// Where the keys are, if they are not in the environment.
        keys: Option<KeyFiles>,
    },
}

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyFiles {
    /// The access key's id.
    pub(crate) id: PathBuf,
    /// The secret.
    pub(crate) secret: PathBuf,
}

/// A text that is not shown.
#[derive(Clone, Deserialize, PartialEq, Eq)]
#[serde(transparent)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

const AFTER_DEFAULT: &str = "7d";
const CACHE_DEFAULT: &str = "256MiB";
const HOUR_MS: i64 = 3_600_000;

impl TierSection {
    /// What it means; `None` where there is no tier. An error begins with its key.
    pub(crate) fn check(&self) -> Result<Option<TierConfig>, String> {
        let Some(url) = &self.url else {
            return match self.first_key() {
                Some(key) => Err(format!(
                    "metrics.tier.{key}: needs `url` beside it, such as s3://BUCKET/PREFIX"
                )),
                None => Ok(None),
            };
        };
        Ok(Some(TierConfig {
            url: url.trim_end_matches('/').to_owned(),
            place: self.place(url)?,
            after_ms: self.after_ms()?,
            cache_bytes_max: self.cache_bytes_max()?,
        }))
    }

    /// The first key that is there.
    fn first_key(&self) -> Option<&'static str> {
        let keys = [
            ("endpoint", self.endpoint.is_some()),
            ("region", self.region.is_some()),
            ("access_key_id_file", self.access_key_id_file.is_some()),
            (
                "secret_access_key_file",
                self.secret_access_key_file.is_some(),
            ),
            ("after", self.after.is_some()),
            ("cache", self.cache.is_some()),
        ];
        keys.iter()
            .find(|(_, is_there)| *is_there)
            .map(|(key, _)| *key)
    }

    fn place(&self, url: &str) -> Result<Place, String> {
        let wrong = |reason: &str| {
            Err(format!(
                "metrics.tier.url: {url:?} {reason}; write s3://BUCKET/PREFIX or file:///FOLDER"
            ))
        };
        if let Some(folder) = url.strip_prefix("file://") {
            let Some(folder) = folder.strip_prefix('/') else {
                return wrong("names no folder from the root on");
            };
            let folder = folder.trim_end_matches('/');
            if folder.is_empty() || !is_key(folder) {
                return wrong("names no folder that could be used");
            }
            let keys = [
                "endpoint",
                "region",
                "access_key_id_file",
                "secret_access_key_file",
            ];
            return match self.first_key().filter(|key| keys.contains(key)) {
                Some(key) => Err(format!(
                    "metrics.tier.{key}: a folder has none; leave it out, or write an s3:// URL"
                )),
                None => Ok(Place::Folder(folder.to_owned())),
            };
        }
        let Some(rest) = url.strip_prefix("s3://") else {
            return wrong("is of no kind that is known");
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(is_name) {
            return wrong("names no bucket (3 to 63 of a-z, 0-9, `-`, `.`)");
        }
        let prefix = prefix.trim_end_matches('/');
        if !is_key(prefix) {
            return wrong("has a prefix that is no path of plain names");
        }
        Ok(Place::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: self.endpoint()?,
            region: self.region.clone(),
            keys: self.keys()?,
        })
    }

    fn endpoint(&self) -> Result<Option<String>, String> {
        let Some(endpoint) = &self.endpoint else {
            return Ok(None);
        };
        match reqwest::Url::parse(endpoint) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {
                Ok(Some(endpoint.trim_end_matches('/').to_owned()))
            }
            _ => Err(format!(
                "metrics.tier.endpoint: {endpoint:?} must be a URL such as https://minio.example:9000"
            )),
        }
    }

    fn keys(&self) -> Result<Option<KeyFiles>, String> {
        match (&self.access_key_id_file, &self.secret_access_key_file) {
            (None, None) => Ok(None),
            (Some(id), Some(secret)) => {
                for (key, path) in [
                    ("access_key_id_file", id),
                    ("secret_access_key_file", secret),
                ] {
                    read_key(path).map_err(|error| format!("metrics.tier.{key}: {error}"))?;
                }
                Ok(Some(KeyFiles {
                    id: id.clone(),
                    secret: secret.clone(),
                }))
            }
            (Some(_), None) => Err(
                "metrics.tier.access_key_id_file: needs `secret_access_key_file` beside it"
                    .to_owned(),
            ),
            (None, Some(_)) => Err(
                "metrics.tier.secret_access_key_file: needs `access_key_id_file` beside it"
                    .to_owned(),
            ),
        }
    }

    fn after_ms(&self) -> Result<i64, String> {
        let text = self.after.as_deref().unwrap_or(AFTER_DEFAULT);
        match parse_duration(text) {
            Ok(millis) if millis >= HOUR_MS => Ok(millis),
            _ => Err(format!(
                "metrics.tier.after: {text:?} must be a duration of at least 1h, such as 7d"
            )),
        }
    }

    fn cache_bytes_max(&self) -> Result<usize, String> {
        let text = self.cache.as_deref().unwrap_or(CACHE_DEFAULT);
        parse_bytes(text)
            .filter(|bytes| *bytes >= 1 << 20)
            .ok_or_else(|| {
                format!(
                    "metrics.tier.cache: {text:?} must be at least 1MiB, such as 256MiB or 2GiB"
                )
            })
    }
}

/// Reads a key from its file; a line's end behind it does not belong to it.
pub(crate) fn read_key(path: &Path) -> Result<Secret, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let key = text.trim();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return Err(format!(
            "{}: must hold one key and nothing else",
            path.display()
        ));
    }
    Ok(Secret(key.to_owned()))
}

/// Whether a key's components are plain names.
fn is_key(key: &str) -> bool {
    key.is_empty()
        || key.split('/').all(|name| {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._=".contains(c);
            !name.is_empty() && name != "." && name != ".." && name.chars().all(is_plain)
        })
}

/// A number of bytes such as `64MiB`.
fn parse_bytes(text: &str) -> Option<usize> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30)];
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)))?;
    let number: usize = number.parse().ok()?;
    number.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str) -> Result<Option<TierConfig>, String> {
        let section: TierSection = serde_yaml_ng::from_str(yaml).expect(yaml);
        section.check()
    }

    #[test]
    fn what_is_right_is_taken() {
        assert_eq!(check("{}"), Ok(None));
        let tier = |yaml: &str| check(yaml).expect(yaml).expect(yaml);
        let s3 = tier("{url: 's3://my-bucket/a/b/', endpoint: 'http://[::1]:9000/', cache: 2GiB}");
        assert_eq!(s3.url, "s3://my-bucket/a/b");
        assert_eq!((s3.after_ms, s3.cache_bytes_max), (168 * HOUR_MS, 2 << 30));
        let Place::S3 {
            bucket,
            prefix,
            endpoint,
            ..
        } = s3.place
        else {
            panic!("a bucket");
        };
        assert_eq!((bucket.as_str(), prefix.as_str()), ("my-bucket", "a/b"));
        assert_eq!(endpoint.as_deref(), Some("http://[::1]:9000"));
        let folder = tier("{url: 'file:///mnt/nas/taffrail', after: 36h}");
        assert_eq!(folder.place, Place::Folder("mnt/nas/taffrail".to_owned()));
        assert_eq!(folder.after_ms, 36 * HOUR_MS);
    }

    #[test]
    fn what_is_wrong_is_named_by_its_key() {
        let dir = tempfile::tempdir().expect("folder");
        let (good, bad) = (dir.path().join("good"), dir.path().join("bad"));
        std::fs::write(&good, "key\n").expect("writes");
        std::fs::write(&bad, "two words\n").expect("writes");
        let (good, bad) = (good.display(), bad.display());
        let keys = |id: &str, secret: &str| {
            format!(
                "{{url: 's3://abc', access_key_id_file: {id}, secret_access_key_file: {secret}}}"
            )
        };
        assert!(check(&keys(&good.to_string(), &good.to_string())).is_ok());
        for (yaml, expected) in [
            ("{after: 7d}", "after: needs `url`"),
            ("{url: 'ftp://x'}", "url: \"ftp://x\" is of no kind"),
            ("{url: 's3://'}", "url: \"s3://\" names no bucket"),
            (
                "{url: 's3://UPPER/x'}",
                "url: \"s3://UPPER/x\" names no bucket",
            ),
            (
                "{url: 's3://abc/a//b'}",
                "url: \"s3://abc/a//b\" has a prefix",
            ),
            (
                "{url: 's3://abc/../b'}",
                "url: \"s3://abc/../b\" has a prefix",
            ),
            (
                "{url: 'file://a/b'}",
                "url: \"file://a/b\" names no folder from the root",
            ),
            (
                "{url: 'file:///'}",
                "url: \"file:///\" names no folder that",
            ),
            ("{url: 'file:///a', region: x}", "region: a folder has none"),
            (
                "{url: 's3://abc', endpoint: 'minio:9000'}",
                "endpoint: \"minio:9000\" must be a URL",
            ),
            (
                "{url: 's3://abc', after: 5m}",
                "after: \"5m\" must be a duration of at least 1h",
            ),
            (
                "{url: 's3://abc', cache: 12B}",
                "cache: \"12B\" must be at least 1MiB",
            ),
            (
                "{url: 's3://abc', cache: 1KiB}",
                "cache: \"1KiB\" must be at least 1MiB",
            ),
            (
                &keys("/missing/file", &good.to_string()),
                "access_key_id_file: cannot read /missing/file",
            ),
            (
                &keys(&good.to_string(), &bad.to_string()),
                "secret_access_key_file: /",
            ),
            (
                "{url: 's3://abc', access_key_id_file: /x}",
                "access_key_id_file: needs `secret_access",
            ),
            (
                "{url: 's3://abc', secret_access_key_file: /x}",
                "secret_access_key_file: needs `access",
            ),
        ] {
            let problem = check(yaml).expect_err(yaml);
            let expected = format!("metrics.tier.{expected}");
            assert!(problem.starts_with(&expected), "{yaml}: {problem}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret("hush".to_owned())), "(secret)");
    }
}
