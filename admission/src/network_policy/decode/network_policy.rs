//! networking.k8s.io/v1 NetworkPolicy.

use std::sync::Arc;

use super::selector::{cidr, port_name, selector};
use super::{Field, Read};
use crate::network_policy::address::Block;
use crate::network_policy::policy::{
    Action, Direction, Namespaces, Peer, Peers, PodsPeer, Policy, PolicyName, PortMatch, Ports,
    Rule, Tier,
};
use crate::network_policy::port::{PortSet, Protocol};

pub(super) fn network_policy(object: &Field<'_>, namespace: &str, name: &str) -> Read<Policy> {
    let namespace: Arc<str> = namespace.into();
    let spec = object.member("spec")?;
    spec.only(&["podSelector", "policyTypes", "ingress", "egress"])?;
    let (mut has_ingress, mut has_egress) = (false, false);
    let types = spec.member("policyTypes")?.items()?;
    for kind in &types {
        match kind.text()?.unwrap_or_default() {
            "Ingress" => has_ingress = true,
            "Egress" => has_egress = true,
            other => return kind.wrong(format!("must be Ingress or Egress, not {other:?}")),
        }
    }
    // Rules of a direction that the policy is not about are checked all the same.
    let ingress = rules(&spec, Direction::Ingress, &namespace)?;
    let egress = rules(&spec, Direction::Egress, &namespace)?;
    if types.is_empty() {
        has_ingress = true;
        has_egress = !egress.is_empty();
    }
    Ok(Policy {
        subject: PodsPeer {
            namespaces: Namespaces::Own(namespace.clone()),
            pods: selector(&spec.member("podSelector")?)?,
        },
        name: PolicyName::NetworkPolicy {
            namespace,
            name: name.into(),
        },
        tier: Tier::NetworkPolicy,
        ingress: has_ingress.then_some(ingress),
        egress: has_egress.then_some(egress),
    })
}

fn rules(spec: &Field<'_>, direction: Direction, namespace: &Arc<str>) -> Read<Vec<Rule>> {
    let mut rules = Vec::new();
    let list = spec.member(direction.as_str())?;
    let items = list.items()?;
    list.at_most(items.len())?;
    for rule in items {
        rule.only(&["ports", direction.peers()])?;
        let mut peers = Vec::new();
        for item in rule.member(direction.peers())?.items()? {
            peers.push(peer(&item, namespace)?);
        }
        let mut ports = Vec::new();
        for item in rule.member("ports")?.items()? {
            ports.push(port(&item)?);
        }
        let selectors = peers.iter().filter(|peer| matches!(peer, Peer::Pods(_)));
        rule.at_most(selectors.count().max(ports.len()))?;
        rules.push(Rule {
            action: Action::Accept,
            peers: if peers.is_empty() {
                Peers::Everyone
            } else {
                Peers::Only(peers)
            },
            ports: if ports.is_empty() {
                Ports::Every
            } else {
                Ports::Only(ports)
            },
        });
    }
    Ok(rules)
}

fn peer(field: &Field<'_>, namespace: &Arc<str>) -> Read<Peer> {
    field.only(&["podSelector", "namespaceSelector", "ipBlock"])?;
    let pods = field.member("podSelector")?;
    let namespaces = field.member("namespaceSelector")?;
    let block = field.member("ipBlock")?;
    if !block.is_absent() {
        if !pods.is_absent() || !namespaces.is_absent() {
            return field.wrong("must not hold both ipBlock and a selector");
        }
        return ip_block(&block).map(Peer::Block);
    }
    if pods.is_absent() && namespaces.is_absent() {
        return field.wrong("must hold podSelector, namespaceSelector or ipBlock");
    }
    Ok(Peer::Pods(PodsPeer {
        namespaces: if namespaces.is_absent() {
            Namespaces::Own(namespace.clone())
        } else {
            Namespaces::Selected(selector(&namespaces)?)
        },
        pods: selector(&pods)?,
    }))
}

fn ip_block(field: &Field<'_>) -> Read<Block> {
    field.only(&["cidr", "except"])?;
    let net = cidr(&field.member("cidr")?)?;
    let mut except = Vec::new();
    for item in field.member("except")?.items()? {
        let hole = cidr(&item)?;
        if !net.contains(&hole) || net.prefix_len() >= hole.prefix_len() {
            return item.wrong(format!("{hole} must be a part of cidr, {net}"));
        }
        except.push(hole);
    }
    Ok(Block::new(net, &except))
}

fn port(field: &Field<'_>) -> Read<PortMatch> {
    field.only(&["protocol", "port", "endPort"])?;
    let protocol_field = field.member("protocol")?;
    let protocol = match protocol_field.text()? {
        None => Protocol::Tcp,
        Some(text) => match text.parse() {
            Ok(protocol) => protocol,
            Err(error) => return protocol_field.wrong(format!("{error}")),
        },
    };
    let port_field = field.member("port")?;
    let end_field = field.member("endPort")?;
    if port_field.is_absent() {
        if !end_field.is_absent() {
            return end_field.wrong("must not be set without port");
        }
        return Ok(PortMatch::Numbers(PortSet::all_of(protocol)));
    }
    if let Some(name) = port_field.value.and_then(serde_json::Value::as_str) {
        port_name(&port_field, name)?;
        if !end_field.is_absent() {
            return end_field.wrong("must not be set where port is a name");
        }
        return Ok(PortMatch::Named {
            protocol: Some(protocol),
            name: name.into(),
        });
    }
    let first = port_field.port()?.unwrap_or(1);
    let last = end_field.port()?.unwrap_or(first);
    if last < first {
        return end_field.wrong(format!("must not be less than port, {first}"));
    }
    Ok(PortMatch::Numbers(PortSet::of(protocol, first, last)))
}
