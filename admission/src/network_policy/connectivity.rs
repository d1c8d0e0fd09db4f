//! One connection, and why it is allowed or not.
//!
//! Policies are asked in order, rule by rule, about two given ends and one port, so that the
//! answer can name the rule. It is the same meaning as the sets' ([`group`](super::group)),
//! read once more for one point; tests hold the two against each other.

use std::fmt;
use std::net::IpAddr;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::address::AddressSet;
use super::named::numbers_of;
use super::partition::Groups as _;
use super::pod::Network;
use super::policy::{Action, Direction, Peer, Peers, PolicyName, PortMatch, Ports, Rule, Tier};
use super::port::{AXIS_LAST, PortSet, Protocol, place};
use super::region::PeerSet;
use super::world::{Compiled, World, peer_selects, selects_address};

/// An end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A pod, by its number.
    Pod(u32),
    /// Addresses, one or many; of many it is asked whether any of them.
    Addresses(AddressSet),
    /// A domain name, whose addresses nobody knows; as a destination.
    Domain(String),
}

/// One connection, judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connectivity {
    /// What the source may send.
    pub egress: Decision,
    /// What the destination lets in.
    pub ingress: Decision,
}

impl Connectivity {
    /// Whether both ends allow it.
    pub fn is_allowed(&self) -> bool {
        self.egress.is_allowed() && self.ingress.is_allowed()
    }
}

/// What is decided at one end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Which way.
    pub direction: Direction,
    /// Why.
    pub reason: Reason,
}

/// Why a direction is allowed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// This end is no pod: no policy is about it.
    NoPod,
    /// This end is a pod in its host's network: no policy is about it.
    HostNetwork,
    /// Both ends are the same pod, which always reaches itself.
    Itself,
    /// One end is the node that the other runs on, which always reach each other.
    SameNode,
    /// No policy speaks of it.
    NoPolicy,
    /// A rule decides.
    Rule {
        /// Whose.
        policy: PolicyName,
        /// In which tier it was asked.
        tier: Tier,
        /// What the rule does.
        action: Action,
        /// Which rule and which peer of it.
        path: String,
    },
    /// NetworkPolicies select the pod, and no rule of theirs allows it.
    Isolated {
        /// All that select it.
        policies: Vec<PolicyName>,
    },
}

impl Decision {
    /// Whether this end allows it.
    pub fn is_allowed(&self) -> bool {
        match &self.reason {
            Reason::Rule { action, .. } => *action != Action::Deny,
            Reason::Isolated { .. } => false,
            _ => true,
        }
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_allowed() {
            "allowed"
        } else {
            "denied"
        };
        write!(f, "{} {word}", self.direction.as_str())?;
        let end = match self.direction {
            Direction::Ingress => "destination",
            Direction::Egress => "source",
        };
        match &self.reason {
            Reason::NoPod => write!(f, ": the {end} is no pod, so no policy is about it"),
            Reason::HostNetwork => {
                write!(
                    f,
                    ": the {end} is in its host's network, so no policy is about it"
                )
            }
            Reason::Itself => f.write_str(": a pod always reaches itself"),
            Reason::SameNode => {
                f.write_str(": a pod and the node it runs on always reach each other")
            }
            Reason::NoPolicy => write!(f, ": no policy speaks of it for the {end}"),
            Reason::Rule {
                policy,
                tier,
                path,
                action,
            } => {
                write!(f, " by {} {policy} at {path}", policy.kind())?;
                match tier {
                    Tier::NetworkPolicy => Ok(()),
                    tier => write!(f, " ({} in the {} tier)", action.as_str(), tier.as_str()),
                }
            }
            Reason::Isolated { policies } => {
                f.write_str(": the ")?;
                write!(f, "{end} is isolated by ")?;
                for (i, policy) in policies.iter().enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    policy.fmt(f)?;
                }
                f.write_str(", and none of their rules allows it")
            }
        }
    }
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let verdict = if self.is_allowed() {
            "allowed"
        } else {
            "denied"
        };
        map.serialize_entry("verdict", verdict)?;
        match &self.reason {
            Reason::Rule {
                policy,
                tier,
                action,
                path,
            } => {
                map.serialize_entry("kind", policy.kind())?;
                map.serialize_entry("policy", &policy.to_string())?;
                map.serialize_entry("tier", tier.as_str())?;
                map.serialize_entry("action", action.as_str())?;
                map.serialize_entry("path", path)?;
            }
            Reason::Isolated { policies } => {
                let names: Vec<_> = policies.iter().map(ToString::to_string).collect();
                map.serialize_entry("isolatedBy", &names)?;
            }
            _ => {}
        }
        map.serialize_entry("reason", &self.to_string())?;
        map.end()
    }
}

/// The other end, as one point.
#[derive(Clone, Copy)]
enum Other<'a> {
    Pod(u32),
    Address(IpAddr),
    Domain(&'a str),
    /// There is none: a set of addresses that is empty.
    Nobody,
}

impl World {
    /// Judges one connection. Of an end that is many addresses one is judged that is allowed,
    /// if there is one.
    pub fn connectivity(
        &self,
        from: &Endpoint,
        to: &Endpoint,
        protocol: Protocol,
        port: u16,
    ) -> Connectivity {
        let whole = |reason: Reason| Connectivity {
            egress: Decision {
                direction: Direction::Egress,
                reason: reason.clone(),
            },
            ingress: Decision {
                direction: Direction::Ingress,
                reason,
            },
        };
        if let Some(reason) = self.always(from, to) {
            return whole(reason);
        }
        let decision = |direction, subject: &Endpoint, other: &Endpoint| Decision {
            direction,
            reason: match subject {
                Endpoint::Pod(pod) => {
                    let other = self.point(direction, *pod, other, place(protocol, port));
                    self.decide(direction, *pod, other, (protocol, port))
                }
                Endpoint::Addresses(_) | Endpoint::Domain(_) => Reason::NoPod,
            },
        };
        Connectivity {
            egress: decision(Direction::Egress, from, to),
            ingress: decision(Direction::Ingress, to, from),
        }
    }

    /// The ports on which `from` reaches `to`.
    pub fn ports(&self, from: &Endpoint, to: &Endpoint) -> PortSet {
        if self.always(from, to).is_some() {
            return PortSet::everything();
        }
        let side = |direction, subject: &Endpoint, other: &Endpoint| match subject {
            Endpoint::Pod(pod) => self.side_ports(direction, *pod, other),
            _ => PortSet::everything(),
        };
        let egress = side(Direction::Egress, from, to);
        egress.intersection(&side(Direction::Ingress, to, from))
    }

    /// Why the two ends reach each other whatever policies say, if they do.
    fn always(&self, from: &Endpoint, to: &Endpoint) -> Option<Reason> {
        let (pods, addresses) = (
            [from, to].map(|end| self.pod_at(end)),
            [from, to].map(|end| match end {
                Endpoint::Addresses(set) => {
                    let one = set.any().filter(|one| AddressSet::of(*one) == *set);
                    one.into_iter().collect::<Vec<_>>()
                }
                Endpoint::Pod(_) => {
                    let host = self.pod_at(end).filter(|pod| pod.network == Network::Host);
                    host.map(|pod| pod.addresses.to_vec()).unwrap_or_default()
                }
                Endpoint::Domain(_) => Vec::new(),
            }),
        );
        if from == to && pods[0].is_some() {
            return Some(Reason::Itself);
        }
        let [from_addresses, to_addresses] = addresses;
        let runs_on = |pod: Option<&super::pod::Pod>, node: &[IpAddr]| {
            pod.is_some_and(|pod| node.iter().any(|a| pod.host_addresses.contains(a)))
        };
        let [from, to] = pods;
        (runs_on(from, &to_addresses) || runs_on(to, &from_addresses)).then_some(Reason::SameNode)
    }

    fn pod_at(&self, end: &Endpoint) -> Option<&super::pod::Pod> {
        match end {
            Endpoint::Pod(number) => self.pod(*number),
            _ => None,
        }
    }

    /// The one point to ask about of an end that may be many.
    fn point<'a>(
        &self,
        direction: Direction,
        pod: u32,
        other: &'a Endpoint,
        place: u32,
    ) -> Other<'a> {
        match other {
            Endpoint::Pod(number) => Other::Pod(*number),
            Endpoint::Domain(name) => Other::Domain(name),
            Endpoint::Addresses(set) => {
                let within = PeerSet {
                    pods: roaring::RoaringBitmap::new(),
                    addresses: set.clone(),
                };
                let group = self.grouping().partition(direction).group_of(pod);
                let side = self.side(direction, group, within);
                let allowed = side.peers_at(place).and_then(|peers| peers.addresses.any());
                allowed
                    .or_else(|| set.any())
                    .map_or(Other::Nobody, Other::Address)
            }
        }
    }

    /// The ports that a pod allows of another end.
    fn side_ports(&self, direction: Direction, pod: u32, other: &Endpoint) -> PortSet {
        let within = match other {
            Endpoint::Pod(number) => PeerSet::of_pods([*number].into_iter().collect()),
            Endpoint::Addresses(set) => PeerSet {
                pods: roaring::RoaringBitmap::new(),
                addresses: set.clone(),
            },
            Endpoint::Domain(name) => return self.domain_ports(pod, name),
        };
        let group = self.grouping().partition(direction).group_of(pod);
        let side = self.side(direction, group, within);
        let pieces = side.pieces().iter();
        pieces.fold(PortSet::default(), |ports, piece| {
            ports.union(&PortSet::of_places(piece.first, piece.last))
        })
    }

    /// Asks at every place where the answer can change.
    fn domain_ports(&self, pod: u32, name: &str) -> PortSet {
        let mut places = vec![0];
        for compiled in self.selecting(Direction::Egress, pod) {
            for rule in compiled.policy.rules(Direction::Egress).unwrap_or_default() {
                let Ports::Only(list) = &rule.ports else {
                    continue;
                };
                for port in list {
                    if let PortMatch::Numbers(numbers) = port {
                        places.extend(numbers.places().flat_map(|(a, b)| [a, b + 1]));
                    }
                }
            }
        }
        places.retain(|place| *place <= AXIS_LAST);
        places.sort_unstable();
        places.dedup();
        let ends = places
            .iter()
            .skip(1)
            .map(|next| next - 1)
            .chain([AXIS_LAST]);
        let mut ports = PortSet::default();
        for (first, last) in places.iter().copied().zip(ends) {
            let stretch = PortSet::of_places(first, last);
            // The first port of each protocol in the stretch stands for it.
            for range in stretch.ranges() {
                let reason = self.decide(
                    Direction::Egress,
                    pod,
                    Other::Domain(name),
                    (range.protocol, range.first),
                );
                let decision = Decision {
                    direction: Direction::Egress,
                    reason,
                };
                if decision.is_allowed() {
                    ports = ports.union(&PortSet::of(range.protocol, range.first, range.last));
                }
            }
        }
        ports
    }

    fn selecting(&self, direction: Direction, pod: u32) -> impl Iterator<Item = &Compiled> {
        let order = self.grouping().order.iter().map(|compiled| &**compiled);
        order.filter(move |compiled| {
            compiled.subject.contains(pod) && compiled.policy.rules(direction).is_some()
        })
    }

    /// Asks the policies about a pod, one after the other.
    fn decide(
        &self,
        direction: Direction,
        pod: u32,
        other: Other<'_>,
        port: (Protocol, u16),
    ) -> Reason {
        if self
            .pod(pod)
            .is_some_and(|pod| pod.network == Network::Host)
        {
            return Reason::HostNetwork;
        }
        let mut isolating: Vec<PolicyName> = Vec::new();
        let mut passed: Option<&'static str> = None;
        for compiled in self.selecting(direction, pod) {
            let policy = &compiled.policy;
            let tier = policy.tier.as_str();
            if passed == Some(tier) {
                continue;
            }
            if policy.tier == Tier::NetworkPolicy {
                isolating.push(policy.name.clone());
            } else if !isolating.is_empty() {
                break;
            }
            let rules = policy.rules(direction).unwrap_or_default();
            for (i, rule) in rules.iter().enumerate() {
                let destination = match direction {
                    Direction::Ingress => Other::Pod(pod),
                    Direction::Egress => other,
                };
                if !self.port_matches(rule, destination, port) {
                    continue;
                }
                let Some(path) = self.peer_path(direction, i, rule, other) else {
                    continue;
                };
                if rule.action == Action::Pass {
                    passed = Some(tier);
                    break;
                }
                return Reason::Rule {
                    policy: policy.name.clone(),
                    tier: policy.tier,
                    action: rule.action,
                    path,
                };
            }
        }
        if isolating.is_empty() {
            Reason::NoPolicy
        } else {
            Reason::Isolated {
                policies: isolating,
            }
        }
    }

    fn port_matches(&self, rule: &Rule, destination: Other<'_>, port: (Protocol, u16)) -> bool {
        let list = match &rule.ports {
            Ports::Every => return true,
            Ports::Only(list) => list,
        };
        let (protocol, number) = port;
        let named = match destination {
            Other::Pod(pod) => self.pod(pod).map(|pod| &*pod.ports),
            _ => None,
        };
        list.iter().any(|wanted| match wanted {
            PortMatch::Numbers(numbers) => numbers.contains(protocol, number),
            PortMatch::Named {
                protocol: named_protocol,
                name,
            } => numbers_of(named, *named_protocol, name).contains(protocol, number),
        })
    }

    /// The path of the rule and of its first peer that is meant.
    fn peer_path(
        &self,
        direction: Direction,
        i: usize,
        rule: &Rule,
        other: Other<'_>,
    ) -> Option<String> {
        let list = match &rule.peers {
            Peers::Everyone => return Some(format!("spec.{}[{i}]", direction.as_str())),
            Peers::Only(list) => list,
        };
        let j = list.iter().position(|peer| match other {
            Other::Pod(number) => peer_selects(peer, self, number),
            Other::Address(address) => selects_address(peer, self, address),
            Other::Domain(name) => match peer {
                Peer::Domains(domains) => domains.iter().any(|domain| domain.matches(name)),
                Peer::Block(block) => block.holds(&[]),
                Peer::Pods(_) | Peer::Nodes(_) => false,
            },
            Other::Nobody => false,
        })?;
        Some(format!(
            "spec.{}[{i}].{}[{j}]",
            direction.as_str(),
            direction.peers()
        ))
    }
}
