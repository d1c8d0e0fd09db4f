//! Whether a change opens a way from some ends to others, and by which rule.
//!
//! Who the ends are can change too: a pod that is labelled so that it becomes one of them brings
//! along whoever reaches it already. So beside what the change opens it is asked what those
//! that are new among the ends reach and are reached by.

use super::connectivity::{Connectivity, Endpoint};
use super::decode::Malformed;
use super::difference::Difference;
use super::ends::Ends;
use super::port::Protocol;
use super::reach::Flow;
use super::world::World;

/// A way that is open now and was not.
#[derive(Debug)]
pub struct Opened {
    /// All of it.
    pub flow: Flow,
    /// One connection of it, with the rules that allow it.
    pub example: Example,
}

/// One connection.
#[derive(Debug)]
pub struct Example {
    /// Its source.
    pub from: Endpoint,
    /// Its destination.
    pub to: Endpoint,
    /// Its port.
    pub port: (Protocol, u16),
    /// Why it is allowed.
    pub connectivity: Connectivity,
}

impl Difference {
    /// What the change opens from some ends to others.
    pub fn opens(&self, from: &Ends, to: &Ends) -> Result<Vec<Opened>, Malformed> {
        let (sources, destinations) = (from.of(&self.after)?, to.of(&self.after)?);
        let (old_sources, old_destinations) = (from.of(&self.before)?, to.of(&self.before)?);
        let new_sources = sources.difference(&old_sources);
        let new_destinations = destinations.difference(&old_destinations);
        let mut flows: Vec<Flow> = Vec::new();
        flows.extend(
            self.opened
                .iter()
                .filter_map(|flow| flow.between(&sources, &destinations)),
        );
        if !new_destinations.pods.is_empty() {
            let reach = self.after.reaches(&new_destinations.pods);
            flows.extend(
                reach
                    .iter()
                    .filter_map(|flow| flow.between(&sources, &destinations)),
            );
        }
        if !new_sources.pods.is_empty() {
            let reached = self.after.reached_by(&new_sources.pods);
            flows.extend(
                reached
                    .iter()
                    .filter_map(|flow| flow.between(&sources, &destinations)),
            );
        }
        let with_example = |flow: Flow| {
            let example = example(&self.after, &flow)?;
            Some(Opened { flow, example })
        };
        Ok(flows.into_iter().filter_map(with_example).collect())
    }
}

/// One connection of a flow, between two different ends.
fn example(world: &World, flow: &Flow) -> Option<Example> {
    let range = flow.ports.ranges().into_iter().next()?;
    let ends = |peers: &super::region::PeerSet| {
        let pods = peers.pods.iter().take(2).map(Endpoint::Pod);
        let address = peers
            .addresses
            .any()
            .map(|_| Endpoint::Addresses(peers.addresses.clone()));
        pods.chain(address).collect::<Vec<_>>()
    };
    let (from, to) = (ends(&flow.from), ends(&flow.to));
    let (from, to) = from.iter().find_map(|from| {
        let other = to.iter().find(|to| *to != from)?;
        Some((from.clone(), other.clone()))
    })?;
    let port = (range.protocol, range.first);
    Some(Example {
        connectivity: world.connectivity(&from, &to, port.0, port.1),
        from,
        to,
        port,
    })
}
