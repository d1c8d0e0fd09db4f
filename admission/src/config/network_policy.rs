//! Rules about who may reach whom: all of them off unless they are chosen.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::ConfigError;
use crate::network_policy::Ends;

/// Which rules hold for network policies, and for what changes their effect.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkPolicyConfig {
    /// What no policy may say.
    pub refuse: BTreeSet<Refused>,
    /// The directions that every namespace with pods must deny by default.
    pub default_deny: BTreeSet<DeniedDirection>,
    /// Pairs of namespaces between which no change may open a way.
    pub separate: BTreeSet<[String; 2]>,
    /// Ways that no change may open.
    pub never_open: Vec<NeverOpen>,
    /// Namespaces whose policies may say anything, and which need no default deny. Ways that may not be opened
    /// may not be opened from there either.
    pub exempt_namespaces: BTreeSet<String>,
}

/// What no policy may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refused {
    /// That the internet, or half of it, may come in.
    WorldOpenIngress,
    /// That pods may reach the internet, or half of it.
    WorldOpenEgress,
    /// That pods may reach the address where a cloud keeps a machine's credentials.
    MetadataAddress,
    /// A selector that selects everything, where something is allowed.
    EmptySelectors,
}

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeniedDirection {
    /// To pods.
    Ingress,
    /// From pods.
    Egress,
}

/// A way that no change may open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeverOpen {
    /// What refusals call it.
    pub name: String,
    /// From whom.
    pub from: Ends,
    /// To whom.
    pub to: Ends,
}

impl NetworkPolicyConfig {
    /// Whether a rule is chosen.
    pub fn is_on(&self) -> bool {
        !self.refuse.is_empty() || self.needs_state()
    }

    /// Whether a rule is chosen that is about the whole cluster, not about the object alone.
    pub fn needs_state(&self) -> bool {
        !self.default_deny.is_empty() || !self.separate.is_empty() || !self.never_open.is_empty()
    }

    /// The rules that are about the whole cluster cannot hold where nobody knows it: judged against an empty one
    /// they would let everything pass.
    pub(crate) fn check_without_state(&self) -> Result<(), ConfigError> {
        for (key, is_chosen) in [
            ("default_deny", !self.default_deny.is_empty()),
            ("separate", !self.separate.is_empty()),
            ("never_open", !self.never_open.is_empty()),
        ] {
            if is_chosen {
                return Err(ConfigError::NeedsState(key));
            }
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for [one, other] in &self.separate {
            if one.is_empty() || other.is_empty() || one == other {
                return Err(ConfigError::Separate(one.clone(), other.clone()));
            }
        }
        for way in &self.never_open {
            for (end, ends) in [("from", &way.from), ("to", &way.to)] {
                ends.check().map_err(|problem| ConfigError::NeverOpen {
                    name: way.name.clone(),
                    end,
                    problem,
                })?;
            }
        }
        Ok(())
    }

    /// As the rules in Rego see it.
    pub(crate) fn input(&self) -> serde_json::Value {
        json!({
            "refuse": self.refuse,
            "defaultDeny": self.default_deny,
            "separate": self.separate,
            "neverOpen": self.never_open,
            "exemptNamespaces": self.exempt_namespaces,
        })
    }
}
