//! A policy as it is meant: NetworkPolicy and ClusterNetworkPolicy in one shape.
//!
//! Both are a subject, and for each direction a list of rules or none. They differ in the tier
//! they stand in: an object of the Admin or Baseline tier has ordered rules with actions, and
//! where no rule applies the next is asked; NetworkPolicies are added up, accept only, and
//! whoever one of them selects is isolated but for what they accept.
//!
//! Values of these types are made by [`decode`](super::decode) only, which has checked them.

use std::fmt;
use std::sync::Arc;

use super::address::Block;
use super::port::{PortSet, Protocol};
use super::selector::Selector;

/// Which policy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PolicyName {
    /// A NetworkPolicy of a namespace.
    NetworkPolicy {
        /// The namespace.
        namespace: Arc<str>,
        /// The name.
        name: Arc<str>,
    },
    /// A ClusterNetworkPolicy.
    ClusterNetworkPolicy {
        /// The name.
        name: Arc<str>,
    },
}

impl PolicyName {
    /// The namespace its selectors mean where they name none.
    pub fn namespace(&self) -> Option<&Arc<str>> {
        match self {
            PolicyName::NetworkPolicy { namespace, .. } => Some(namespace),
            PolicyName::ClusterNetworkPolicy { .. } => None,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            PolicyName::NetworkPolicy { .. } => "NetworkPolicy",
            PolicyName::ClusterNetworkPolicy { .. } => "ClusterNetworkPolicy",
        }
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PolicyName::NetworkPolicy { namespace, name } => write!(f, "{namespace}/{name}"),
            PolicyName::ClusterNetworkPolicy { name } => f.write_str(name),
        }
    }
}

/// Who is asked first. Priorities run from 0 to 1000; the lower is asked before the higher.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// ClusterNetworkPolicies nobody overrides.
    Admin(u16),
    /// NetworkPolicies.
    NetworkPolicy,
    /// ClusterNetworkPolicies that NetworkPolicies override.
    Baseline(u16),
}

impl Tier {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Admin(_) => "Admin",
            Tier::NetworkPolicy => "NetworkPolicy",
            Tier::Baseline(_) => "Baseline",
        }
    }
}

/// Which way, seen from a policy's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To it.
    Ingress,
    /// From it.
    Egress,
}

impl Direction {
    /// The field of a policy that holds its rules.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }

    /// Seen from the other end.
    #[must_use]
    pub fn other(self) -> Direction {
        match self {
            Direction::Ingress => Direction::Egress,
            Direction::Egress => Direction::Ingress,
        }
    }

    /// The field of a rule that holds its peers.
    pub fn peers(self) -> &'static str {
        match self {
            Direction::Ingress => "from",
            Direction::Egress => "to",
        }
    }
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Which.
    pub name: PolicyName,
    /// Where it stands.
    pub tier: Tier,
    /// The pods it is about.
    pub subject: PodsPeer,
    /// What it says of traffic to them; None if nothing.
    pub ingress: Option<Vec<Rule>>,
    /// What it says of traffic from them; None if nothing.
    pub egress: Option<Vec<Rule>>,
}

impl Policy {
    /// Its rules of a direction; None where it says nothing of it.
    pub fn rules(&self, direction: Direction) -> Option<&[Rule]> {
        match direction {
            Direction::Ingress => self.ingress.as_deref(),
            Direction::Egress => self.egress.as_deref(),
        }
    }
}

/// What a rule does with what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is allowed.
    Accept,
    /// It is not.
    Deny,
    /// The next tier is asked.
    Pass,
}

impl Action {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Accept => "Accept",
            Action::Deny => "Deny",
            Action::Pass => "Pass",
        }
    }
}

/// A rule; it matches where its peers and its ports both do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it does.
    pub action: Action,
    /// The other end.
    pub peers: Peers,
    /// The destination's ports.
    pub ports: Ports,
}

/// The other ends of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// Whoever it is.
    Everyone,
    /// One of these.
    Only(Vec<Peer>),
}

/// The other end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// Pods, by labels. Pods in the host's network are never among them.
    Pods(PodsPeer),
    /// Addresses, those of pods as well.
    Block(Block),
    /// The addresses of nodes, by the nodes' labels.
    Nodes(Selector),
    /// Names, which have addresses nobody knows here.
    Domains(Vec<Domain>),
}

/// Pods of some namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodsPeer {
    /// Which namespaces.
    pub namespaces: Namespaces,
    /// Which of their pods.
    pub pods: Selector,
}

/// Which namespaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// The one of that name.
    Own(Arc<str>),
    /// Those with these labels.
    Selected(Selector),
}

/// The ports of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ports {
    /// Every port of every protocol.
    Every,
    /// One of these.
    Only(Vec<PortMatch>),
}

impl Ports {
    /// Their numbers; None where one is meant by name.
    pub(super) fn numbers(&self) -> Option<PortSet> {
        let list = match self {
            Ports::Every => return Some(PortSet::everything()),
            Ports::Only(list) => list,
        };
        let numbers = list.iter().map(|port| match port {
            PortMatch::Numbers(numbers) => Some(numbers),
            PortMatch::Named { .. } => None,
        });
        let numbers: Option<Vec<&PortSet>> = numbers.collect();
        numbers.map(PortSet::union_all)
    }
}

/// A port of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortMatch {
    /// By number.
    Numbers(PortSet),
    /// By the name that the destination's containers give it.
    Named {
        /// Of that protocol; None if of any.
        protocol: Option<Protocol>,
        /// The name.
        name: Arc<str>,
    },
}

/// A domain name, or all names below one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domain {
    /// That name.
    Exactly(String),
    /// Names that end with it, after a dot.
    Below(String),
}

impl Domain {
    /// Whether `name` is meant; a final dot makes no difference, nor does case.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        match self {
            Domain::Exactly(domain) => *domain == name,
            Domain::Below(domain) => name
                .strip_suffix(domain.as_str())
                .is_some_and(|head| head.len() > 1 && head.ends_with('.')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_whole_labels() {
        let exact = Domain::Exactly("kubernetes.io".to_string());
        let below = Domain::Below("kubernetes.io".to_string());
        for (name, is_exact, is_below) in [
            ("kubernetes.io", true, false),
            ("Kubernetes.io.", true, false),
            ("www.kubernetes.io", false, true),
            ("latest.blog.kubernetes.io", false, true),
            ("my-kubernetes.io", false, false),
            (".kubernetes.io", false, false),
        ] {
            assert_eq!(exact.matches(name), is_exact, "{name}");
            assert_eq!(below.matches(name), is_below, "{name}");
        }
    }
}
