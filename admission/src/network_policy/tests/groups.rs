//! Groups of pods against a plain refinement of them, set by set.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::random::{alike, change, cluster, crowded};
use super::{applied, world_of};
use crate::network_policy::partition::{Groups, NO_GROUP, parts};
use crate::network_policy::pod::NamedPort;
use crate::network_policy::policy::{Direction, PortMatch, Ports};
use crate::network_policy::world::{Compiled, World};

/// Pods that the same policies select, in the order in which they fall off each other.
fn by_policies(world: &World, direction: Direction) -> Vec<(Vec<Arc<Compiled>>, Vec<u32>)> {
    let everyone: Vec<u32> = world.everyone().iter().collect();
    let mut groups = vec![(Vec::new(), everyone)];
    for compiled in &world.grouping().order {
        if compiled.policy.rules(direction).is_none() {
            continue;
        }
        let mut fallen = Vec::new();
        for (policies, pods) in &mut groups {
            let (selected, others): (Vec<u32>, Vec<u32>) = pods
                .iter()
                .partition(|pod| compiled.subject.contains(**pod));
            if selected.is_empty() {
                continue;
            }
            let mut more = policies.clone();
            more.push(Arc::clone(compiled));
            if others.is_empty() {
                *policies = more;
            } else {
                *pods = others;
                fallen.push((more, selected));
            }
        }
        groups.extend(fallen);
    }
    groups
}

/// Of a pod's ports those that policies name.
fn named(world: &World, pod: u32, policies: &[Arc<Compiled>]) -> Option<Vec<NamedPort>> {
    let rules = policies
        .iter()
        .filter_map(|of| of.policy.rules(Direction::Ingress));
    let ports = rules.flatten().filter_map(|rule| match &rule.ports {
        Ports::Every => None,
        Ports::Only(list) => Some(list),
    });
    let names: BTreeSet<&str> = ports
        .flatten()
        .filter_map(|port| match port {
            PortMatch::Numbers(_) => None,
            PortMatch::Named { name, .. } => Some(&**name),
        })
        .collect();
    let ports = world.pod(pod).unwrap().ports.iter();
    let ports = ports.filter(|port| names.contains(&*port.name));
    (!names.is_empty()).then(|| ports.cloned().collect())
}

/// Pods that are decided alike, as they are numbered.
fn expected(world: &World, direction: Direction) -> Vec<(Option<Vec<NamedPort>>, Vec<u32>)> {
    let (mut groups, mut fallen) = (Vec::new(), Vec::new());
    for (policies, pods) in by_policies(world, direction) {
        let mut kinds: Vec<(Option<Vec<NamedPort>>, Vec<u32>)> = Vec::new();
        for pod in pods {
            let ports = match direction {
                Direction::Ingress => named(world, pod, &policies),
                Direction::Egress => None,
            };
            match kinds.iter_mut().find(|(known, _)| *known == ports) {
                Some((_, pods)) => pods.push(pod),
                None => kinds.push((ports, vec![pod])),
            }
        }
        let mut kinds = kinds.into_iter();
        groups.extend(kinds.next());
        fallen.extend(kinds);
    }
    groups
        .into_iter()
        .chain(fallen)
        .filter(|(_, pods)| !pods.is_empty())
        .collect()
}

fn check(world: &World) -> Result<(), TestCaseError> {
    for direction in [Direction::Ingress, Direction::Egress] {
        let partition = world.grouping().partition(direction);
        let found = parts(world.everyone(), partition)
            .into_iter()
            .map(|(group, pods)| {
                let group = partition.groups.get(group as usize).unwrap();
                let ports = group.ports.as_ref().map(|ports| ports.to_vec());
                (ports, pods.iter().collect::<Vec<u32>>())
            });
        prop_assert_eq!(found.collect::<Vec<_>>(), expected(world, direction));
        // What is the same is kept in one place: others go by that.
        for one in partition
            .groups
            .iter()
            .filter_map(|group| group.ports.as_ref())
        {
            for other in partition
                .groups
                .iter()
                .filter_map(|group| group.ports.as_ref())
            {
                prop_assert_eq!(one == other, Arc::ptr_eq(one, other));
            }
        }
    }
    Ok(())
}

/// Pods in as many groups as one likes.
struct Numbered(Vec<u32>, usize);

impl Groups for Numbered {
    fn len(&self) -> usize {
        self.1
    }

    fn group_of(&self, pod: u32) -> u32 {
        self.0.get(pod as usize).copied().unwrap_or(NO_GROUP)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(160))]

    /// They are those that they would be one policy after the other, with the same numbers, also when a pod or a policy
    /// is gone.
    #[test]
    fn pods_are_grouped_as_policies_select_them(cluster in prop_oneof![cluster(), crowded(), alike()], edits in prop::collection::vec(change(), 0..3)) {
        let mut cluster = cluster;
        let mut world = world_of(&cluster);
        check(&world)?;
        for edit in edits {
            if let Some((change, changed)) = applied(&cluster, &edit) {
                world.apply(change);
                cluster = changed;
                check(&world)?;
            }
        }
    }

    /// Parts are the same whether pods are counted or, where there are more groups, sorted.
    #[test]
    fn parts_are_all_of_them(groups in prop::collection::vec(0_u32..7, 0..40), pods in prop::collection::btree_set(0_u32..45, 0..40)) {
        let pods: RoaringBitmap = pods.into_iter().collect();
        let [few, many] = [7, 10_000].map(|count| parts(&pods, &Numbered(groups.clone(), count)));
        prop_assert_eq!(&few, &many);
        prop_assert!(few.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (group, part) in &few {
            let is_in = |pod: &u32| groups.get(*pod as usize) == Some(group);
            prop_assert_eq!(&**part, &pods.iter().filter(is_in).collect::<RoaringBitmap>());
        }
        let all: u64 = few.iter().map(|(_, part)| part.len()).sum();
        prop_assert_eq!(all, pods.range(..groups.len() as u32).count() as u64);
    }
}
