//! How people name the ends of a connection, and how ends are told to people.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::address::AddressSet;
use super::connectivity::Endpoint;
use super::named::numbers_of;
use super::port::{PortSet, Protocol};
use super::region::PeerSet;
use super::world::World;

/// Every address outside that is public.
const INTERNET: &str = "internet";

/// A text that names no end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It has none of the forms.
    #[error(
        "{0:?} is no endpoint: give NAMESPACE/POD, NAMESPACE/WORKLOAD, internet, an address, a \
         CIDR or a domain name"
    )]
    Form(String),
    /// There is no such pod.
    #[error("there is no pod or workload {name:?} in namespace {namespace:?}")]
    NotFound {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// Several makers of pods have that name.
    #[error("{0} have that name: give one of them whole")]
    Ambiguous(String),
}

impl World {
    /// The end that a text names.
    pub fn endpoint(&self, text: &str) -> Result<Endpoint, EndpointError> {
        if text == INTERNET {
            return Ok(Endpoint::Addresses(AddressSet::internet()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Endpoint::Addresses(AddressSet::of(address)));
        }
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Endpoint::Addresses(AddressSet::of_net(net)));
        }
        let Some((namespace, name)) = text.split_once('/') else {
            if text.contains('.') {
                return Ok(Endpoint::Domain(text.to_string()));
            }
            return Err(EndpointError::Form(text.to_string()));
        };
        match self.find(namespace, name).as_slice() {
            [] => Err(EndpointError::NotFound {
                namespace: namespace.to_string(),
                name: name.to_string(),
            }),
            [one] => Ok(Endpoint::Pod(*one)),
            many => {
                let names = many.iter().filter_map(|number| self.pod(*number));
                let names: Vec<_> = names.map(ToString::to_string).collect();
                Err(EndpointError::Ambiguous(names.join(" and ")))
            }
        }
    }

    /// The name of an end.
    pub fn name(&self, end: &Endpoint) -> String {
        match end {
            Endpoint::Pod(number) => self
                .pod(*number)
                .map(ToString::to_string)
                .unwrap_or_default(),
            Endpoint::Domain(name) => name.clone(),
            Endpoint::Addresses(set) => match set.any() {
                Some(one) if AddressSet::of(one) == *set => one.to_string(),
                _ => set.to_string(),
            },
        }
    }

    /// An end as a set; empty for a domain name, whose addresses nobody knows.
    pub fn peers(&self, end: &Endpoint) -> PeerSet {
        match end {
            Endpoint::Pod(number) => PeerSet::of_pods([*number].into_iter().collect()),
            Endpoint::Addresses(addresses) => PeerSet {
                addresses: addresses.clone(),
                ..PeerSet::default()
            },
            Endpoint::Domain(_) => PeerSet::default(),
        }
    }

    /// The ports that the containers at an end give a name to.
    pub fn named_ports(&self, end: &Endpoint, protocol: Protocol, name: &str) -> PortSet {
        let pod = match end {
            Endpoint::Pod(number) => self.pod(*number),
            _ => None,
        };
        numbers_of(pod.map(|pod| &*pod.ports), Some(protocol), name)
    }

    /// Who is in a set, by name.
    pub fn names(&self, peers: &PeerSet) -> Names {
        let pods = peers.pods.iter().filter_map(|number| self.pod(number));
        let mut short = Vec::new();
        for namespace in self.namespaces() {
            let all = self.pods_of(namespace);
            let some = &all & &peers.pods;
            if some.len() > 1 && some == all {
                short.push(format!("{namespace}/*"));
                continue;
            }
            let pods = some.iter().filter_map(|number| self.pod(number));
            short.extend(pods.map(ToString::to_string));
        }
        Names {
            pods: pods.map(ToString::to_string).collect(),
            addresses: peers.addresses.clone(),
            short,
        }
    }
}

/// Pods by name, and addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Names {
    /// The pods, as NAMESPACE/NAME.
    pub pods: Vec<String>,
    /// The addresses.
    pub addresses: AddressSet,
    /// The pods again, whole namespaces as NAMESPACE/*.
    #[serde(skip)]
    short: Vec<String>,
}

/// How many names a message names before it says how many more there are.
const NAMES_SHOWN: usize = 8;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.short.iter().take(NAMES_SHOWN).enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
        }
        if let Some(more) = self.short.len().checked_sub(NAMES_SHOWN).filter(|m| *m > 0) {
            write!(f, " and {more} more")?;
        }
        if self.addresses.is_empty() {
            return Ok(());
        }
        if !self.short.is_empty() {
            f.write_str(", ")?;
        }
        self.addresses.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network_policy::Manifests;

    fn world() -> World {
        let mut manifests = Manifests::default();
        let text = "\
            {apiVersion: v1, kind: Pod, metadata: {name: web, namespace: x}}\n---\n\
            {apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: x}}\n---\n\
            {apiVersion: apps/v1, kind: Deployment, metadata: {name: api, namespace: x}}\n---\n\
            {apiVersion: apps/v1, kind: Deployment, metadata: {name: both, namespace: y}}\n---\n\
            {apiVersion: batch/v1, kind: Job, metadata: {name: both, namespace: y}}\n";
        manifests.read(text, "default").unwrap();
        manifests.world()
    }

    #[test]
    fn an_end_is_named_as_people_name_it() {
        let world = world();
        for (text, expected) in [
            // A pod of that name comes before a workload of it.
            ("x/web", Ok("x/web")),
            ("x/deployment/web", Ok("x/deployment/web")),
            ("x/api", Ok("x/deployment/api")),
            (
                "y/both",
                Err("y/deployment/both and y/job/both have that name"),
            ),
            (
                "y/web",
                Err("there is no pod or workload \"web\" in namespace \"y\""),
            ),
            ("internet", Ok("internet")),
            ("10.0.0.1", Ok("10.0.0.1")),
            ("10.1.0.0/8", Ok("10.0.0.0/8")),
            ("fd00::1", Ok("fd00::1")),
            ("example.com", Ok("example.com")),
            ("web", Err("\"web\" is no endpoint")),
        ] {
            match (world.endpoint(text), expected) {
                (Ok(end), Ok(name)) => assert_eq!(world.name(&end), name),
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{error}");
                }
                (found, expected) => panic!("{text}: {found:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn whole_namespaces_are_told_in_short() {
        let world = world();
        let mut pods = world.pods_of("x");
        pods.insert(world.find("y", "job/both")[0]);
        let peers = PeerSet {
            pods,
            addresses: AddressSet::internet(),
        };
        assert_eq!(world.names(&peers).to_string(), "x/*, y/job/both, internet");
    }
}
