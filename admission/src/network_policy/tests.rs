//! The evaluator against a direct reading of the specification, over small random clusters, and
//! against tables of cases.

mod cases;
mod cluster_cases;
mod groups;
mod meeting_cases;
mod oracle;
mod random;

use std::collections::BTreeSet;
use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::Value;

use super::difference::{Between, Flows};
use super::*;
use oracle::{Cluster, End};
use random::{Edit, alike, change, cluster, crowded};

const PORTS: [u16; 6] = [1, 53, 79, 80, 81, 8080];

/// Addresses at the edges of the blocks that are generated.
const ADDRESSES: [&str; 7] = [
    "8.8.8.8",
    "10.0.0.0",
    "10.0.0.3",
    "10.0.0.200",
    "192.168.0.1",
    "fd00::2",
    "2001:db8::1",
];

/// Source, destination, protocol, port.
type Connection = (String, String, Protocol, u16);

fn world_of(cluster: &Cluster) -> World {
    let mut world = World::new();
    for value in cluster.objects() {
        let object = object(&value, "default").unwrap().unwrap();
        world.apply(Change::Is(object));
    }
    world
}

fn pod_name(world: &World, number: u32) -> String {
    world.pod(number).unwrap().to_string()
}

fn ends(cluster: &Cluster) -> Vec<End> {
    let addresses = ADDRESSES.iter().map(|a| End::Address(a.parse().unwrap()));
    cluster.pods().map(End::Pod).chain(addresses).collect()
}

/// What the specification says is allowed, but for what is so whatever policies say.
fn expected(cluster: &Cluster) -> BTreeSet<Connection> {
    let mut allowed = BTreeSet::new();
    let ends = ends(cluster);
    for from in &ends {
        for to in &ends {
            let both_outside = matches!((from, to), (End::Address(_), End::Address(_)));
            if from == to || both_outside {
                continue;
            }
            for protocol in Protocol::ALL {
                for port in PORTS {
                    if oracle::allowed(cluster, from, to, protocol.as_str(), port) {
                        allowed.insert((from.to_string(), to.to_string(), protocol, port));
                    }
                }
            }
        }
    }
    allowed
}

/// Flows, connection by connection.
fn spelled(world: &World, flows: &[Flow]) -> BTreeSet<Connection> {
    let names = |peers: &PeerSet| {
        let pods = peers.pods.iter().map(|pod| pod_name(world, pod));
        let addresses: Vec<String> = ADDRESSES
            .iter()
            .filter(|a| peers.addresses.contains(a.parse::<IpAddr>().unwrap()))
            .map(|a| (*a).to_string())
            .collect();
        pods.chain(addresses).collect::<Vec<_>>()
    };
    let mut connections = BTreeSet::new();
    for flow in flows {
        for from in names(&flow.from) {
            for to in names(&flow.to) {
                for protocol in Protocol::ALL {
                    for port in PORTS {
                        if from != to && flow.ports.contains(protocol, port) {
                            connections.insert((from.clone(), to.clone(), protocol, port));
                        }
                    }
                }
            }
        }
    }
    connections
}

fn endpoint(world: &World, end: &End) -> Endpoint {
    match end {
        End::Pod(name) => {
            let (namespace, name) = name.split_once('/').unwrap();
            Endpoint::Pod(world.find(namespace, name)[0])
        }
        End::Address(address) => Endpoint::Addresses(AddressSet::of(*address)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    /// One connection, its ports, and the sets all say what the specification says.
    #[test]
    fn the_specification_is_what_is_evaluated(cluster in prop_oneof![cluster(), crowded(), alike()]) {
        let world = world_of(&cluster);
        let expected = expected(&cluster);
        for from in &ends(&cluster) {
            for to in &ends(&cluster) {
                if matches!((from, to), (End::Address(_), End::Address(_))) {
                    continue;
                }
                let (source, destination) = (endpoint(&world, from), endpoint(&world, to));
                let ports = world.ports(&source, &destination);
                for protocol in Protocol::ALL {
                    for port in PORTS {
                        let key = (from.to_string(), to.to_string(), protocol, port);
                        let should = from == to || expected.contains(&key);
                        let found = world.connectivity(&source, &destination, protocol, port);
                        prop_assert_eq!(found.is_allowed(), should, "{:?}: {:?}", key, found);
                        prop_assert_eq!(ports.contains(protocol, port), should, "{:?}", key);
                    }
                }
            }
        }
        let to_pods = spelled(&world, &world.reaches(world.everyone()));
        let from_pods = spelled(&world, &world.reached_by(world.everyone()));
        let to = |connection: &&Connection| connection.1.contains('/');
        let from = |connection: &&Connection| connection.0.contains('/');
        prop_assert_eq!(&to_pods, &expected.iter().filter(to).cloned().collect());
        prop_assert_eq!(&from_pods, &expected.iter().filter(from).cloned().collect());
    }

    /// What a change opens and closes is what evaluating everything before and after tells; and
    /// a world that changes went into is the world that is made from what came out.
    #[test]
    fn a_difference_is_all_that_is_different(cluster in prop_oneof![cluster(), crowded(), alike()], edits in prop::collection::vec(change(), 1..4)) {
        let mut cluster = cluster;
        let mut world = world_of(&cluster);
        for edit in edits {
            let before = expected(&cluster);
            let Some((change, changed)) = applied(&cluster, &edit) else {
                continue;
            };
            let after = expected(&changed);
            let difference = world.difference(change.clone());
            let opened = spelled_in(&difference, &difference.opened);
            let closed = spelled_in(&difference, &difference.closed);
            prop_assert_eq!(opened, after.difference(&before).cloned().collect(), "{:?}", edit);
            prop_assert_eq!(closed, before.difference(&after).cloned().collect(), "{:?}", edit);
            check_between(&world, change.clone(), &difference)?;
            world.apply(change);
            let all = spelled(&world, &world.reaches(world.everyone()));
            let to = |connection: &&Connection| connection.1.contains('/');
            prop_assert_eq!(all, after.iter().filter(to).cloned().collect());
            cluster = changed;
        }
    }
}

/// What a change opens between some ends is what of all that it opens is between them.
fn check_between(
    world: &World,
    change: Change,
    difference: &Difference,
) -> Result<(), TestCaseError> {
    let applied = world.applied([change]);
    let end = |namespaces: [&str; 2], cidr: &str| Ends {
        namespaces: Some(namespaces.map(str::to_string).to_vec()),
        cidrs: vec![cidr.to_string()],
        ..Ends::default()
    };
    let of = |ends: Ends| ends.of(&difference.after).unwrap();
    for [from, to] in [
        [end(["x", "y"], "10.0.0.0/8"), end(["z", "y"], "fd00::/8")],
        [end(["z", "z"], "fd00::/8"), end(["x", "x"], "8.0.0.0/8")],
    ] {
        let between = Between {
            from: of(from.clone()),
            to: of(to.clone()),
        };
        let Flows { opened, closed } = applied.flows_between(&between);
        for (flows, all) in [(opened, &difference.opened), (closed, &difference.closed)] {
            let all = all.iter();
            let some: Vec<Flow> = all
                .filter_map(|flow| flow.between(&between.from, &between.to))
                .collect();
            prop_assert_eq!(
                spelled_in(difference, &flows),
                spelled_in(difference, &some)
            );
        }
        let told = |opens: Vec<Opened>| {
            let flows: Vec<Flow> = opens.into_iter().map(|opened| opened.flow).collect();
            spelled_in(difference, &flows)
        };
        let (some, all) = (applied.opens(&from, &to), difference.opens(&from, &to));
        prop_assert_eq!(told(some.unwrap()), told(all.unwrap()));
    }
    Ok(())
}

/// As [`spelled`]; a pod that is gone or new has a name in one of the states.
fn spelled_in(difference: &Difference, flows: &[Flow]) -> BTreeSet<Connection> {
    let mut both = difference.after.clone();
    for number in difference.before.everyone() {
        let pod = difference.before.pod(number).unwrap();
        if difference.after.pod(number).is_none() {
            both.apply(Change::Is(Object::Pod(pod.clone())));
        }
    }
    spelled(&both, flows)
}

/// The change an edit is, and the cluster after it; None where it edits what is not there.
fn applied(cluster: &Cluster, edit: &Edit) -> Option<(Change, Cluster)> {
    let mut changed = cluster.clone();
    let read = |value: &Value| object(value, "default").unwrap().unwrap();
    let change = match edit {
        Edit::Put(value) => {
            changed.put(value.clone());
            Change::Is(read(value))
        }
        Edit::Remove(at) => Change::gone(read(&changed.remove(*at)?)),
    };
    Some((change, changed))
}
