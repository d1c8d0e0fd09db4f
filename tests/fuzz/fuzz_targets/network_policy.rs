//! Who may reach whom: any text as the manifests of a cluster, and after a line of `=====` those of the cluster that it becomes. What
//! the change opens and closes is what two clusters made anew differ in; and a single connection is what the sets say.
#![no_main]

use std::collections::BTreeSet;
use std::net::IpAddr;

use admission::network_policy::{AddressSet, Endpoint, Flow, Manifests, PeerSet, Protocol, World};
use libfuzzer_sys::fuzz_target;

/// Pods of a cluster that is looked at in whole.
const PODS_MAX: u64 = 12;

/// At the edges of what the seeds say.
const PORTS: [u16; 10] = [1, 53, 79, 80, 81, 443, 8080, 9090, 32_000, 65_535];
const ADDRESSES: [&str; 10] = [
    "8.8.8.8",
    "10.0.0.0",
    "10.0.0.3",
    "10.0.0.200",
    "10.0.1.1",
    "169.254.169.254",
    "192.168.0.1",
    "0.0.0.0",
    "fd00::2",
    "2001:db8::1",
];

/// Source, destination, protocol, port.
type Connection = (String, String, &'static str, u16);

fn addresses() -> impl Iterator<Item = (String, IpAddr)> {
    let read = |text: &str| text.parse().expect("an address");
    ADDRESSES
        .iter()
        .map(move |text| ((*text).to_owned(), read(text)))
}

/// Flows, connection by connection, with the names that pods have in the first of `worlds` that has them.
fn spelled(worlds: &[&World], flows: &[Flow]) -> BTreeSet<Connection> {
    let names = |peers: &PeerSet| -> Vec<String> {
        let name = |pod| worlds.iter().find_map(|world| world.pod(pod));
        let pods = peers.pods.iter().filter_map(name);
        let outside = addresses().filter(|(_, address)| peers.addresses.contains(*address));
        pods.map(ToString::to_string)
            .chain(outside.map(|(name, _)| name))
            .collect()
    };
    let mut connections = BTreeSet::new();
    for flow in flows {
        let (from, to) = (names(&flow.from), names(&flow.to));
        for protocol in Protocol::ALL {
            for port in PORTS {
                if !flow.ports.contains(protocol, port) {
                    continue;
                }
                for (from, to) in from
                    .iter()
                    .flat_map(|from| to.iter().map(move |to| (from, to)))
                {
                    if from != to {
                        connections.insert((from.clone(), to.clone(), protocol.as_str(), port));
                    }
                }
            }
        }
    }
    connections
}

/// Everything that is allowed to or from a pod.
fn all(world: &World) -> BTreeSet<Connection> {
    let mut connections = spelled(&[world], &world.reaches(world.everyone()));
    connections.extend(spelled(&[world], &world.reached_by(world.everyone())));
    connections
}

/// Each single connection is what the sets say.
fn check_single(world: &World, allowed: &BTreeSet<Connection>) {
    let pods = world.everyone().iter().filter_map(|number| {
        let pod = world.pod(number)?;
        Some((pod.to_string(), Endpoint::Pod(number)))
    });
    let outside =
        addresses().map(|(name, address)| (name, Endpoint::Addresses(AddressSet::of(address))));
    let ends: Vec<_> = pods.chain(outside).collect();
    for (from, source) in &ends {
        for (to, destination) in &ends {
            let both_outside =
                !matches!(source, Endpoint::Pod(_)) && !matches!(destination, Endpoint::Pod(_));
            if from == to || both_outside {
                continue;
            }
            let ports = world.ports(source, destination);
            for protocol in Protocol::ALL {
                for port in PORTS {
                    let connection = (from.clone(), to.clone(), protocol.as_str(), port);
                    let found = world.connectivity(source, destination, protocol, port);
                    let expected = allowed.contains(&connection);
                    assert_eq!(found.is_allowed(), expected, "{connection:?}: {found:?}");
                    assert_eq!(ports.contains(protocol, port), expected, "{connection:?}");
                }
            }
        }
    }
}

fn read(text: &str) -> Option<Manifests> {
    let mut manifests = Manifests::default();
    manifests.read(text, "default").ok()?;
    Some(manifests)
}

fuzz_target!(|text: &str| {
    let (before, after) = text.split_once("\n=====\n").unwrap_or((text, ""));
    let Some((before, after)) = read(before).zip(read(after)) else {
        return;
    };
    let (old, new) = (before.world(), after.world());
    if old.everyone().len() > PODS_MAX || new.everyone().len() > PODS_MAX {
        // What is more is only asked whether it ends.
        let _ = old.differences(before.changes(&after));
        return;
    }
    let (old_connections, new_connections) = (all(&old), all(&new));
    let difference = old.differences(before.changes(&after));
    assert_eq!(
        all(&difference.after),
        new_connections,
        "changed and made anew"
    );
    // A number means one pod in both: what is new came before what is gone.
    let both = [&difference.after, &difference.before];
    let opened = spelled(&both, &difference.opened);
    let closed = spelled(&both, &difference.closed);
    assert_eq!(
        opened,
        new_connections
            .difference(&old_connections)
            .cloned()
            .collect(),
        "opened"
    );
    assert_eq!(
        closed,
        old_connections
            .difference(&new_connections)
            .cloned()
            .collect(),
        "closed"
    );
    check_single(&new, &new_connections);
});
