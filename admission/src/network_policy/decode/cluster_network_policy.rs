//! policy.networking.k8s.io/v1alpha2 ClusterNetworkPolicy.
//!
//! The object's definition asks implementations that meet a peer they do not know to fail
//! closed. Here nothing is guessed: such a policy is an error that names the peer.

use super::selector::{cidr, port_name, selector};
use super::{Field, Read};
use crate::network_policy::address::Block;
use crate::network_policy::policy::{
    Action, Direction, Domain, Namespaces, Peer, Peers, PodsPeer, Policy, PolicyName, PortMatch,
    Ports, Rule, Tier,
};
use crate::network_policy::port::{PortSet, Protocol};

/// The most rules, peers, ports, networks or names in one list.
const ITEMS_MAX: usize = 25;

/// The priority that is asked last.
const PRIORITY_MAX: u16 = 1000;

pub(super) fn cluster_network_policy(object: &Field<'_>, name: &str) -> Read<Policy> {
    let spec = object.member("spec")?;
    spec.only(&["tier", "priority", "subject", "ingress", "egress"])?;
    let priority_field = spec.member("priority")?;
    let priority = match priority_field.integer()? {
        Some(number) => u16::try_from(number).ok().filter(|p| *p <= PRIORITY_MAX),
        None => None,
    };
    let Some(priority) = priority else {
        return priority_field.wrong("must be from 0 to 1000");
    };
    let tier_field = spec.member("tier")?;
    let tier = match tier_field.text()?.unwrap_or_default() {
        "Admin" => Tier::Admin(priority),
        "Baseline" => Tier::Baseline(priority),
        other => return tier_field.wrong(format!("must be Admin or Baseline, not {other:?}")),
    };
    let (which, subject) = spec.member("subject")?.one_of(&["namespaces", "pods"])?;
    let rules = |direction| {
        let rules = rules(&spec, direction)?;
        // One without rules says nothing of a direction; it does not isolate.
        Ok((!rules.is_empty()).then_some(rules))
    };
    Ok(Policy {
        name: PolicyName::ClusterNetworkPolicy { name: name.into() },
        tier,
        subject: pods_peer(which, &subject)?,
        ingress: rules(Direction::Ingress)?,
        egress: rules(Direction::Egress)?,
    })
}

fn items<'a>(field: &Field<'a>, items_min: usize) -> Read<Vec<Field<'a>>> {
    let items = field.items()?;
    if items.len() < items_min {
        return field.wrong("must hold an item at the least");
    }
    if items.len() > ITEMS_MAX {
        return field.wrong(format!("must hold {ITEMS_MAX} items at the most"));
    }
    Ok(items)
}

fn rules(spec: &Field<'_>, direction: Direction) -> Read<Vec<Rule>> {
    let mut rules = Vec::new();
    for rule in items(&spec.member(direction.as_str())?, 0)? {
        rule.only(&["name", "action", direction.peers(), "protocols"])?;
        let action_field = rule.member("action")?;
        let action = match action_field.text()?.unwrap_or_default() {
            "Accept" => Action::Accept,
            "Deny" => Action::Deny,
            "Pass" => Action::Pass,
            other => {
                return action_field.wrong(format!("must be Accept, Deny or Pass, not {other:?}"));
            }
        };
        rule.member("name")?.text()?;
        let mut peers = Vec::new();
        for item in items(&rule.member(direction.peers())?, 1)? {
            peer(&item, direction, action, &mut peers)?;
        }
        let protocols = rule.member("protocols")?;
        let ports = if protocols.is_absent() {
            Ports::Every
        } else {
            let mut ports = Vec::new();
            for item in items(&protocols, 1)? {
                ports.push(protocol(&item, &peers)?);
            }
            Ports::Only(ports)
        };
        rules.push(Rule {
            action,
            peers: Peers::Only(peers),
            ports,
        });
    }
    Ok(rules)
}

/// A peer of the object is a peer of the rule, so that their numbers are the same.
fn peer(
    field: &Field<'_>,
    direction: Direction,
    action: Action,
    peers: &mut Vec<Peer>,
) -> Read<()> {
    let kinds: &[&str] = match direction {
        Direction::Ingress => &["namespaces", "pods"],
        Direction::Egress => &["namespaces", "pods", "nodes", "networks", "domainNames"],
    };
    let (kind, value) = field.one_of(kinds)?;
    peers.push(match kind {
        "nodes" => Peer::Nodes(selector(&value)?),
        "networks" => {
            let mut networks = Block::nothing();
            for item in items(&value, 1)? {
                networks = networks.and(&Block::new(cidr(&item)?, &[]));
            }
            Peer::Block(networks)
        }
        "domainNames" => {
            if action != Action::Accept {
                return value.wrong("must not be set unless action is Accept");
            }
            let mut names = Vec::new();
            for item in items(&value, 1)? {
                names.push(domain(&item)?);
            }
            Peer::Domains(names)
        }
        _ => Peer::Pods(pods_peer(kind, &value)?),
    });
    Ok(())
}

fn pods_peer(kind: &str, value: &Field<'_>) -> Read<PodsPeer> {
    if kind == "namespaces" {
        return Ok(PodsPeer {
            namespaces: Namespaces::Selected(selector(value)?),
            pods: selector(&value.absent())?,
        });
    }
    value.only(&["namespaceSelector", "podSelector"])?;
    let pods = value.member("podSelector")?;
    if pods.is_absent() {
        return pods.wrong("is required; {} selects every pod");
    }
    Ok(PodsPeer {
        namespaces: Namespaces::Selected(selector(&value.member("namespaceSelector")?)?),
        pods: selector(&pods)?,
    })
}

fn protocol(field: &Field<'_>, peers: &[Peer]) -> Read<PortMatch> {
    let (kind, value) = field.one_of(&["tcp", "udp", "sctp", "destinationNamedPort"])?;
    let protocol = match kind {
        "tcp" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => {
            if !peers.iter().all(|peer| matches!(peer, Peer::Pods(_))) {
                return value.wrong("networks, nodes and domain names have no named ports");
            }
            let name = value.required_text()?;
            port_name(&value, name)?;
            return Ok(PortMatch::Named {
                protocol: None,
                name: name.into(),
            });
        }
    };
    let (_, destination) = value.one_of(&["destinationPort"])?;
    let (kind, value) = destination.one_of(&["number", "range"])?;
    if kind == "number" {
        let port = value.port()?.unwrap_or(1);
        return Ok(PortMatch::Numbers(PortSet::of(protocol, port, port)));
    }
    value.only(&["start", "end"])?;
    let (start, end) = (value.member("start")?, value.member("end")?);
    let (Some(first), Some(last)) = (start.port()?, end.port()?) else {
        return value.wrong("must hold start and end");
    };
    if last <= first {
        return end.wrong(format!("must be more than start, {first}"));
    }
    Ok(PortMatch::Numbers(PortSet::of(protocol, first, last)))
}

fn domain(field: &Field<'_>) -> Read<Domain> {
    let text = field.required_text()?;
    let (below, name) = match text.strip_prefix("*.") {
        Some(name) => (true, name),
        None => (false, text),
    };
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        label.bytes().all(inner)
            && label
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_alphanumeric())
            && label
                .bytes()
                .last()
                .is_some_and(|b| b.is_ascii_alphanumeric())
    };
    if !name.contains('.') || !name.split('.').all(label) {
        return field.wrong(format!(
            "must be a domain name such as kubernetes.io or *.kubernetes.io, not {text:?}"
        ));
    }
    let name = name.to_ascii_lowercase();
    Ok(if below {
        Domain::Below(name)
    } else {
        Domain::Exactly(name)
    })
}
