//! `tenants`: whether those who ask are told apart, by `X-Scope-OrgID`.

use std::fmt;

use serde::Deserialize;

/// The longest name, as in Mimir.
const NAME_BYTES_MAX: usize = 150;
/// What a name may hold beside letters and digits of ASCII.
const NAME_SIGNS: &str = "!-_.*'()";

/// The section as it is written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TenantsSection {
    /// Whether they are told apart.
    enabled: bool,
    /// Whose the program's own samples and lines are, and what was stored before.
    default: String,
    /// The most tenants, beside the default one.
    count_max: usize,
}

/// Tenants are told apart.
#[derive(Clone, Debug)]
pub(crate) struct TenantsConfig {
    /// Whose the data folder itself is.
    pub(crate) default: TenantId,
    /// The most tenants beside it.
    pub(crate) count_max: usize,
}

/// A tenant's name: one that can be the name of a folder too.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TenantId(String);

impl Default for TenantsSection {
    fn default() -> Self {
        Self {
            enabled: false,
            default: "anonymous".to_owned(),
            count_max: 16,
        }
    }
}

impl TenantsSection {
    /// What it means.
    pub(crate) fn check(&self) -> Result<Option<TenantsConfig>, String> {
        let default = TenantId::new(&self.default);
        let default = default.map_err(|reason| format!("tenants.default: {reason}"))?;
        if self.count_max == 0 {
            return Err("tenants.count_max: must be above 0".to_owned());
        }
        Ok(self.enabled.then_some(TenantsConfig {
            default,
            count_max: self.count_max,
        }))
    }
}

impl TenantId {
    /// A name that is one; errors are in upstream's words.
    pub(crate) fn new(name: &str) -> Result<Self, String> {
        if name.is_empty() {
            return Err("no org id".to_owned());
        }
        if name.len() > NAME_BYTES_MAX {
            return Err(format!(
                "tenant ID is too long: max {NAME_BYTES_MAX} characters"
            ));
        }
        let is_sound = |c: char| c.is_ascii_alphanumeric() || NAME_SIGNS.contains(c);
        if let Some(bad) = name.chars().find(|c| !is_sound(*c)) {
            return Err(format!(
                "tenant ID '{name}' contains unsupported character '{bad}'"
            ));
        }
        if matches!(name, "." | "..") {
            return Err("tenant ID is '.' or '..'".to_owned());
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_safe() {
        let long = "a".repeat(150);
        for good in ["a", "Team-1_x.y", "!-_.*'()", "...", &long] {
            assert_eq!(TenantId::new(good).expect(good).as_str(), good);
        }
        let too_long = "a".repeat(151);
        for (bad, expected) in [
            ("", "no org id"),
            (".", "'.' or '..'"),
            ("..", "'.' or '..'"),
            ("a/b", "unsupported character '/'"),
            ("../a", "unsupported character '/'"),
            ("a|b", "unsupported character '|'"),
            ("a b", "unsupported character ' '"),
            ("a\0", "unsupported character '\0'"),
            ("ä", "unsupported character 'ä'"),
            (&too_long, "max 150 characters"),
        ] {
            let error = TenantId::new(bad).expect_err(bad);
            assert!(error.contains(expected), "{error}");
        }
    }
}
