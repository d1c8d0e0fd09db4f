//! Sets of ends, as rules and configurations name them.
//!
//! `{namespaces: [payments]}`, `{namespaceSelector: {matchLabels: {zone: dmz}}, podSelector: {}}`, `{internet: true}`,
//! `{cidrs: [10.0.0.0/8]}`. What is said of pods holds together; addresses are added to them. One that says nothing is
//! nobody, so that a slip of the pen forbids nothing by accident and is told at once.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::address::AddressSet;
use super::decode::{Malformed, label_selector};
use super::region::PeerSet;
use super::world::World;

/// A set of ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Ends {
    /// Pods of these namespaces, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<Vec<String>>,
    /// Pods of namespaces with these labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<Value>,
    /// Pods with these labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<Value>,
    /// Every public address.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub internet: bool,
    /// These addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
}

impl Ends {
    /// The pods of a namespace.
    pub fn namespace(name: &str) -> Self {
        Ends {
            namespaces: Some(vec![name.to_string()]),
            ..Ends::default()
        }
    }

    /// Whether they can be meant.
    pub fn check(&self) -> Result<(), Malformed> {
        self.of(&World::new()).map(drop)?;
        if *self == Ends::default() {
            return Err(Malformed {
                path: "ends".to_string(),
                problem: "must name namespaces, namespaceSelector, podSelector, internet or cidrs"
                    .to_string(),
            });
        }
        Ok(())
    }

    /// Who they are in a world.
    pub fn of(&self, world: &World) -> Result<PeerSet, Malformed> {
        let selector = |value: &Option<Value>, path| {
            let value = value.as_ref();
            value.map(|value| label_selector(value, path)).transpose()
        };
        let by_namespace = selector(&self.namespace_selector, "namespaceSelector")?;
        let by_pod = selector(&self.pod_selector, "podSelector")?;
        let mut peers = PeerSet::default();
        if self.namespaces.is_some() || by_namespace.is_some() || by_pod.is_some() {
            for (name, entry) in world.namespace_entries() {
                let is_named = self.namespaces.as_ref();
                let is_meant = is_named.is_none_or(|names| names.iter().any(|n| **n == **name))
                    && by_namespace
                        .as_ref()
                        .is_none_or(|s| s.matches(&entry.labels));
                if is_meant {
                    let pods = entry.pods.iter().filter(|number| {
                        let selects = by_pod.as_ref();
                        selects.is_none_or(|selector| {
                            world
                                .pod(*number)
                                .is_some_and(|pod| selector.matches(&pod.labels))
                        })
                    });
                    peers.pods.extend(pods);
                }
            }
        }
        if self.internet {
            peers.addresses = AddressSet::internet();
        }
        for (i, cidr) in self.cidrs.iter().enumerate() {
            let net: IpNet = cidr.parse().map_err(|_| Malformed {
                path: format!("cidrs[{i}]"),
                problem: format!("must be a CIDR such as 10.0.0.0/8, not {cidr:?}"),
            })?;
            peers.addresses = peers.addresses.union(&AddressSet::of_net(net));
        }
        Ok(peers)
    }
}
